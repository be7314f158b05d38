/* Files and small texts: snapshots, keyrings, tags, addresses. Never a crash; what was read can be
 * written and read again.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/gossip.h"
#include "gossip/rules.h"

static void snapshot(struct str text, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct gossip_timing timing = gossip_timing_lan();
    struct gossip_actions out = GOSSIP_ACTIONS_INIT;
    struct gossip_options o = {.name = STR("s1"),
                               .timing = &timing,
                               .snapshot = true,
                               .snapshot_text = text,
                               .rejoin_after_leave = text.len % 2};
    gossip_address_parse(&o.address, STR("127.10.0.1:21001"));
    struct gossip *g = gossip_new(&o, SECOND, 1, &out, &e);
    ASSERT(g != NULL);
    struct gossip_event fire = {.kind = GOSSIP_EVENT_FIRE, .now = 2 * SECOND};
    fire.fire.name = STR("x");
    gossip_step(g, &fire, &out);
    gossip_close(g, 3 * SECOND, &out);
    gossip_free(g);
    gossip_actions_free(&out);
}

static void keyring(struct str text, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct keyring ring, again;
    if (!keyring_parse(&ring, text, &e))
        return;
    struct buf out = BUF_INIT;
    keyring_format(&out, &ring, text.len % 2);
    ASSERT(keyring_parse(&again, buf_str(&out), &e) && again.len == ring.len);
    for (size_t i = 0; i < ring.len; i++)
        ASSERT(memcmp(ring.keys[i].bytes, again.keys[i].bytes, KEY_MAX) == 0);
    buf_free(&out);
}

static void tags(struct str meta, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct gossip_tag *list;
    size_t len = gossip_tags_read(meta, &list, arena);
    for (size_t i = 0; i < len; i++) {
        ASSERT(i == 0 || str_compare(list[i - 1].name, list[i].name) < 0);
        ASSERT(str_eq(gossip_tag_get(meta, list[i].name), list[i].value));
    }
    struct gossip_member m = {.name = STR("a.dc1"), .meta = meta};
    struct gossip_server server;
    gossip_server_of(&m, &server);
    struct gossip_rules rules = {STR("s1"), STR("id"), STR("dc1"), STR("")};
    gossip_merge_lan(&rules, &m, 1, &e);
    struct str again;
    if (gossip_tags_write(list, len, &again, arena, &e)) {
        struct gossip_tag *same;
        ASSERT(gossip_tags_read(again, &same, arena) == len);
    }
}

static void address(struct str text) {
    struct gossip_address a, b;
    char out[GOSSIP_ADDRESS_TEXT];
    if (gossip_address_parse(&a, text)) {
        ASSERT(gossip_address_parse(&b, gossip_address_text(&a, out)));
        ASSERT(gossip_address_eq(&a, &b));
    }
    struct gossip_cidr c;
    if (gossip_cidr_parse(&c, text) && gossip_address_parse_ip(&a, STR("10.0.0.1"), 1))
        gossip_cidr_holds(&c, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct arena arena = ARENA_INIT;
    struct str text = str_of((const char *)data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        snapshot(text, &arena);
        break;
    case 1:
        keyring(text, &arena);
        break;
    case 2:
        tags(text, &arena);
        break;
    default:
        address(text);
    }
    arena_free(&arena);
    return 0;
}

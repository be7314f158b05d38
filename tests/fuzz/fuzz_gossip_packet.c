/* Packets from anybody: a core in a small pool takes them, one after the other, with time passing
 * in between; it never crashes, what it keeps stays bounded, and what it sends fits into datagrams.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/gossip.h"

enum { PACKETS_MAX = 64 };

static bool match(void *owner, struct str expression, struct str value, bool *matches,
                  struct error *e) {
    (void)owner, (void)e;
    *matches = str_find(value, expression, 0) >= 0;
    return true;
}

static struct gossip *make(unsigned flags, struct gossip_actions *out, struct arena *arena) {
    static const struct gossip_tag tags[] = {{STR_INIT("role"), STR_INIT("node")},
                                             {STR_INIT("dc"), STR_INIT("dc1")}};
    struct error e = ERROR_IN(arena);
    struct gossip_timing timing = gossip_timing_lan();
    struct keyring ring = {.len = 0};
    struct str meta;
    gossip_tags_write(tags, COUNT_OF(tags), &meta, arena, &e);
    if (flags & 1)
        keyring_add(&ring, STR("0123456789abcdef"), &e);
    struct gossip_options o = {.name = STR("s1"),
                               .meta = meta,
                               .timing = &timing,
                               .keyring = &ring,
                               .verify_incoming = !(flags & 2),
                               .verify_outgoing = true,
                               .keyring_file = flags & 4,
                               .snapshot = true,
                               .match = match,
                               .max_members = 50,
                               .log = LOG_TRACE};
    gossip_address_parse(&o.address, STR("127.10.0.1:21001"));
    struct gossip *g = gossip_new(&o, SECOND, 1, out, &e);
    ASSERT(g != NULL);
    return g;
}

static void check(const struct gossip *g, struct gossip_actions *out) {
    size_t sent = 0;
    for (size_t i = 0; i < out->len; i++) {
        const struct gossip_action *a = &out->items[i];
        if (a->kind == GOSSIP_ACTION_SEND) {
            sent++;
            ASSERT(a->send.bytes.len > 0 && a->send.bytes.len <= 1500);
            ASSERT(a->send.to.len == 4 || a->send.to.len == 16);
        }
    }
    ASSERT(sent <= 4096); /* of one packet that may hold some thousand messages */
    struct gossip_stats s = gossip_get_stats(g);
    ASSERT(s.members <= 50 && s.nodes <= 51 && s.health_score <= 7);
    gossip_actions_clear(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct gossip_actions out = GOSSIP_ACTIONS_INIT;
    struct arena arena = ARENA_INIT;
    struct gossip *g = make(data[0], &out, &arena);
    struct gossip_event e = {.kind = GOSSIP_EVENT_PACKET, .now = SECOND};
    gossip_address_parse(&e.packet.from, STR("127.10.0.9:21001"));
    check(g, &out);
    data++, size--;
    for (int i = 0; i < PACKETS_MAX && size >= 3; i++) {
        /* Two bytes of length, one of time: up to a quarter minute. */
        size_t len = (size_t)data[0] << 8 | data[1];
        e.now += data[2] * 60 * MILLISECOND;
        data += 3, size -= 3;
        len = len < size ? len : size;
        struct gossip_event tick = {.kind = GOSSIP_EVENT_TICK, .now = e.now};
        gossip_step(g, &tick, &out);
        check(g, &out);
        e.packet.bytes = str_of((const char *)data, len);
        gossip_step(g, &e, &out);
        check(g, &out);
        data += len, size -= len;
    }
    struct gossip_event tick = {.kind = GOSSIP_EVENT_TICK};
    for (int i = 0; i < 64; i++) {
        tick.now = gossip_next_wakeup(g);
        ASSERT(tick.now < INT64_MAX);
        gossip_step(g, &tick, &out);
        check(g, &out);
    }
    gossip_close(g, tick.now, &out);
    gossip_free(g);
    gossip_actions_free(&out);
    arena_free(&arena);
    return 0;
}

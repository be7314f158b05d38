/* Streams from anybody: accepted ones and answers to our own joins, cut into pieces; the core never
 * crashes, closes what it was given, and ends the join.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/gossip.h"
#include "gossip/rules.h"

static const struct gossip_rules rules = {STR_INIT("s1"),
                                          STR_INIT("570621a7-9462-612a-7310-468c0d9737ab"),
                                          STR_INIT("dc1"), STR_INIT("")};

static bool merge(void *owner, const struct gossip_member *members, size_t len, struct error *e) {
    (void)owner;
    return gossip_merge_lan(&rules, members, len, e);
}

static struct gossip *make(unsigned flags, struct gossip_actions *out, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct gossip_timing timing = gossip_timing_lan();
    struct keyring ring = {.len = 0};
    if (flags & 1)
        keyring_add(&ring, STR("0123456789abcdef"), &e);
    struct gossip_options o = {.name = STR("s1"),
                               .timing = &timing,
                               .keyring = &ring,
                               .verify_incoming = !(flags & 2),
                               .verify_outgoing = true,
                               .merge = flags & 4 ? merge : NULL,
                               .max_members = 50,
                               .log = LOG_TRACE};
    gossip_address_parse(&o.address, STR("127.10.0.1:21001"));
    struct gossip *g = gossip_new(&o, SECOND, 1, out, &e);
    ASSERT(g != NULL);
    return g;
}

static uint64_t begin(struct gossip *g, bool join, struct gossip_actions *out) {
    struct gossip_event e = {.kind = GOSSIP_EVENT_STREAM_ACCEPTED, .now = SECOND};
    gossip_address_parse(&e.stream.from, STR("127.10.0.9:50000"));
    if (!join) {
        gossip_step(g, &e, out);
        return e.stream.id;
    }
    struct gossip_target target = {.name = STR("x")};
    gossip_address_parse(&target.address, STR("127.10.0.9:21001"));
    struct gossip_event j = {
        .kind = GOSSIP_EVENT_JOIN, .now = SECOND, .join = {.targets = &target, .len = 1}};
    gossip_step(g, &j, out);
    for (size_t i = 0; i < out->len; i++) {
        if (out->items[i].kind == GOSSIP_ACTION_STREAM_OPEN) {
            struct gossip_event o = {.kind = GOSSIP_EVENT_STREAM_OPENED,
                                     .now = SECOND,
                                     .stream = {.id = out->items[i].stream.id}};
            gossip_step(g, &o, out);
            return o.stream.id;
        }
    }
    ASSERT(false); /* no stream for the join */
    return 0;
}

static size_t count(const struct gossip_actions *out, enum gossip_action_kind kind) {
    size_t n = 0;
    for (size_t i = 0; i < out->len; i++)
        n += out->items[i].kind == kind;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct gossip_actions out = GOSSIP_ACTIONS_INIT;
    struct arena arena = ARENA_INIT;
    struct gossip *g = make(data[0], &out, &arena);
    bool join = data[0] & 8;
    size_t piece = data[1] + (size_t)1;
    uint64_t id = begin(g, join, &out);
    struct gossip_event e = {.kind = GOSSIP_EVENT_STREAM_DATA, .now = SECOND, .stream = {.id = id}};
    data += 2, size -= 2;
    while (size > 0) {
        size_t len = piece < size ? piece : size;
        e.stream.bytes = str_of((const char *)data, len);
        gossip_step(g, &e, &out);
        data += len, size -= len;
    }
    e.kind = GOSSIP_EVENT_STREAM_CLOSED;
    e.stream.text = STR_NONE;
    gossip_step(g, &e, &out);
    ASSERT(count(&out, GOSSIP_ACTION_STREAM_CLOSE) >= 1);
    ASSERT(count(&out, GOSSIP_ACTION_JOINED) == join);
    ASSERT(gossip_get_stats(g).members <= 50);
    struct gossip_event tick = {.kind = GOSSIP_EVENT_TICK};
    for (int i = 0; i < 32; i++) {
        tick.now = gossip_next_wakeup(g);
        gossip_step(g, &tick, &out);
    }
    gossip_free(g);
    gossip_actions_free(&out);
    arena_free(&arena);
    return 0;
}

/* What others may send: garbage, huge lengths, bombs, floods. The core answers what the peer
 * answers, and what it keeps stays bounded. And the upper layer's odd messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/gossip/single.h"

static struct str repeat(struct single *s, char c, size_t len) {
    char *p = arena_alloc(&s->arena, len);
    memset(p, c, len);
    return str_of(p, len);
}

static struct str compressed(struct single *s, struct str message) {
    struct buf out = BUF_INIT;
    frame_compress(&out, message);
    struct str copy = str_copy(&s->arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static void test_bombs(void **state) {
    struct single s;
    single_init(&s);
    struct str bomb = compressed(&s, repeat(&s, MESSAGE_USER, 80u << 20));
    assert_true(bomb.len < 500000);
    packet(&s, compressed(&s, repeat(&s, MESSAGE_USER, 1u << 20)));
    assert_true(logged(&s, "Failed to decompress payload: decompressed data is larger than limit"));
    uint64_t id = stream_to(&s);
    stream_put(&s, id, bomb);
    assert_true(closed(&s, id));
    struct str answer = written(&s, id);
    assert_int_equal((uint8_t)answer.data[0], MESSAGE_ERROR);
    /* One in another, and another. */
    struct str nested = STR("\x02\x80");
    for (int i = 0; i < 20; i++)
        nested = compressed(&s, nested);
    packet(&s, nested);
    assert_true(logged(&s, "messages nested deeper than 4"));
    struct str inner = STR("\x02\x80");
    for (int i = 0; i < 20; i++) {
        struct buf out = BUF_INIT;
        frame_compound(&out, &inner, 1);
        inner = str_copy(&s.arena, buf_str(&out));
        buf_free(&out);
    }
    packet(&s, inner);
    assert_true(logged(&s, "messages nested deeper than 4"));
    single_free(&s);
}

static void refused(struct single *s, struct str bytes, const char *text) {
    uint64_t id = stream_to(s);
    stream_put(s, id, bytes);
    assert_true(closed(s, id));
    struct str answer = written(s, id);
    struct error_message m;
    assert_int_equal((uint8_t)answer.data[0], MESSAGE_ERROR);
    assert_true(read_body(s, str_sub(answer, 1, SIZE_MAX), &error_wire, &m));
    if (!str_is(m.error, text))
        fail_msg(STR_FMT, STR_ARG(m.error));
    struct str line = str_format(&s->arena, "memberlist: failed to receive: %s from=", text);
    assert_true(logged(s, line.data));
    assert_int_equal(s->g->accepted, 0);
}

static void test_streams(void **state) {
    struct single s;
    single_init(&s);
    refused(&s, STR("\x0a\0\0\0\x20 whatever"),
            "Remote state is encrypted and encryption is not configured");
    refused(&s,
            STR("\x09\x82\xa4"
                "Algo\x05\xa3"
                "Buf\xa1x"),
            "Cannot decompress unknown algorithm 5");
    refused(&s,
            STR("\x09\x82\xa4"
                "Algo\x00\xa3"
                "Buf\xa1x"),
            "unexpected EOF");
    /* Behind the first byte nothing is answered. */
    static const struct {
        struct str bytes;
        const char *log;
    } cases[] = {
        {STR_INIT("GET / HTTP/1.1\r\n"), "Received invalid msgType (71)"},
        {STR_INIT("\x06\x81\xa5Nodes\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"),
         "announced lengths are not acceptable"},
        {STR_INIT("\x06\x81\xa5Nodes\xff"), "announced lengths are not acceptable"},
        {STR_INIT("\x06\x81\xacUserStateLen\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"),
         "announced lengths are not acceptable"},
        {STR_INIT("\x08\x81\xaaUserMsgLen\xce\xff\xff\xff\xff"),
         "announced lengths are not acceptable"},
        {STR_INIT("\x06\xc1"), "Unrecognized descriptor byte"},
        {STR_INIT("\x06\x81\xa5Nodes\x01\x81\xa3Vsn\xa3\x01\x05\x02"),
         "Failed push/pull merge: Node '' has a Vsn of 3 bytes"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t id = stream_to(&s);
        stream_put(&s, id, cases[i].bytes);
        assert_true(closed(&s, id));
        if (!logged(&s, cases[i].log))
            fail_msg("%s", cases[i].log);
    }
    assert_int_equal(s.g->stream_memory, 0);
    single_free(&s);
}

static void test_encrypted_streams(void **state) {
    struct single s;
    struct keyring ring = {.len = 0};
    struct gossip_timing timing = gossip_timing_lan();
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    keyring_add(&ring, STR("aaaaaaaaaaaaaaaa"), &e);
    struct gossip_options o = {.name = STR("me"),
                               .timing = &timing,
                               .keyring = &ring,
                               .verify_incoming = true,
                               .log = LOG_DEBUG};
    gossip_address_parse(&o.address, STR("10.0.0.1:8301"));
    single_start(&s, &o);
    refused(&s, STR("\x06\x80"), "Encryption is configured but remote state is not encrypted");
    refused(&s, STR("\x0a\xff\xff\xff\xff"), "Remote node state is larger than limit (4294967295)");
    refused(&s, STR("\x0a\0\0\0\x02\x07q"), "Unsupported encryption version 7");
    refused(&s, STR("\x0a\0\0\0\x02\x01q"), "Payload is too small to decrypt: 2");
    refused(&s, STR("\x0a\0\0\0\0"), "Cannot decrypt empty payload");
    refused(&s,
            STR("\x0a\0\0\0\x20\x01"
                "123456789012345678901234567890x"),
            "No installed keys could decrypt the message");
    packet(&s, STR("\x02\x80"));
    assert_true(logged(&s, "memberlist: Decrypt packet failed: Unsupported encryption version 2"));
    single_free(&s);
    o.verify_incoming = false; /* a key is there, but what comes plain is taken as well */
    single_start(&s, &o);
    alive_of(&s, "a", "10.0.0.2:8301", 1, "x");
    assert_int_equal(gossip_member_count(s.g), 2);
    uint64_t id = stream_to(&s);
    stream_put(&s, id, STR("\x06\x80"));
    assert_int_equal((uint8_t)written(&s, id).data[0], MESSAGE_PUSH_PULL); /* and ours is plain */
    single_free(&s);
    arena_free(&arena);
}

static void test_stream_floods(void **state) {
    struct single s;
    single_init(&s);
    uint64_t first = stream_to(&s), id = first;
    size_t accepted = 1;
    for (int i = 0; i < 1000; i++) {
        id = stream_to(&s);
        accepted += id != 0;
    }
    /* One address may not have them all. */
    assert_int_equal(accepted, GOSSIP_ACCEPTED_FROM_ONE);
    for (int i = 0; i < 1000; i++) {
        char from[32];
        snprintf(from, sizeof(from), "10.0.1.%d:50000", i % 200);
        accepted += stream_from(&s, from) != 0;
    }
    assert_int_equal(accepted, GOSSIP_ACCEPTED_MAX);
    assert_true(logged(&s, "Too many streams") || s.g->input_log_dropped > 0);
    /* Many bytes on them: together they may not take more than the limit. */
    struct str chunk = repeat(&s, 0, 1 << 20);
    stream_put(&s, first, STR("\x06\x81\xa5Nodes\x00\xacUserStateLen\xce\x01\x00\x00\x00"));
    size_t put = 0;
    for (id = first; id < first + 10; id++) {
        stream_put(&s, id, STR("\x06\x82\xa5Nodes\x00\xacUserStateLen\xce\x01\x00\x00\x00"));
        for (int i = 0; i < 15; i++, put++)
            stream_put(&s, id, chunk);
        assert_true(s.g->stream_memory <= STREAM_MEMORY_MAX);
    }
    assert_true(put > 70);
    /* One alone may not take more than its own. */
    pass(&s, 11 * SECOND); /* time is over for all of them */
    assert_int_equal(s.g->accepted, 0);
    assert_int_equal(s.g->stream_memory, 0);
    assert_int_equal(s.g->push_pulls, 0);
    id = stream_to(&s);
    stream_put(&s, id, STR("\x06\x82\xa5Nodes\x00\xacUserStateLen\xce\x03\x00\x00\x00"));
    for (int i = 0; i < 30 && !closed(&s, id); i++)
        stream_put(&s, id, chunk);
    assert_true(closed(&s, id));
    assert_true(logged(&s, "Remote node state is larger than limit"));
    /* Push/pulls that do not end, more than the peer takes at a time. */
    size_t refusals = 0;
    for (int i = 0; i < 140; i++) {
        char from[32];
        snprintf(from, sizeof(from), "10.0.2.%d:50000", i);
        id = stream_from(&s, from);
        stream_put(&s, id, STR("\x06"));
        refusals += closed(&s, id);
    }
    assert_int_equal(refusals, 140 - PUSH_PULLS_MAX);
    single_free(&s);
}

static void test_member_floods(void **state) {
    static struct gossip_timing timing;
    timing = gossip_timing_lan();
    struct single s;
    struct gossip_options o = {
        .name = STR("me"), .timing = &timing, .log = LOG_DEBUG, .max_members = 200};
    gossip_address_parse(&o.address, STR("10.0.0.1:8301"));
    single_start(&s, &o);
    char name[64];
    size_t lines = 0;
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "node-%d", i);
        alive_of(&s, name, "10.0.0.2:8301", 1, "x");
        lines += count(&s, GOSSIP_ACTION_LOG);
    }
    assert_int_equal(gossip_member_count(s.g), 200);
    assert_true(lines < 200 + 2 * INPUT_LOG_MAX);
    /* Names and tags that are too long, addresses that are none. */
    struct alive_message a = {.incarnation = 1,
                              .node = repeat(&s, 'n', GOSSIP_NAME_MAX + 1),
                              .addr = STR("1234"),
                              .vsn = STR("\1\5\2\2\5\4")};
    size_t before = gossip_get_stats(s.g).nodes;
    packet(&s, encode(&s, MESSAGE_ALIVE, &alive_wire, &a));
    a.node = STR("q"), a.meta = repeat(&s, 'm', GOSSIP_META_MAX + 1);
    packet(&s, encode(&s, MESSAGE_ALIVE, &alive_wire, &a));
    a.meta = STR_NONE, a.addr = STR("12345");
    packet(&s, encode(&s, MESSAGE_ALIVE, &alive_wire, &a));
    assert_int_equal(gossip_get_stats(s.g).nodes, before);
    single_free(&s);
    /* Versions. */
    single_init(&s);
    a.addr = STR("1234"), a.vsn = STR("\1\5\2");
    packet(&s, encode(&s, MESSAGE_ALIVE, &alive_wire, &a));
    assert_true(logged(&s, "ignoring alive message for 'q' (49.50.51.52:8301) because Vsn is not "
                           "present"));
    a.vsn = STR("\0\5\2\2\5\4");
    packet(&s, encode(&s, MESSAGE_ALIVE, &alive_wire, &a));
    assert_true(logged(&s, "because protocol version(s) are wrong: 0 <= 2 <= 5 should be >0"));
    a.vsn = STR("\1\5\2\2\5\4");
    packet(&s, encode(&s, MESSAGE_ALIVE, &alive_wire, &a));
    assert_int_equal(gossip_member_count(s.g), 2);
    single_free(&s);
}

static void test_upper_floods(void **state) {
    struct single s;
    single_init(&s);
    char name[64];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "unknown-%d", i);
        struct join_message j = {.ltime = 5, .node = str_from(name)};
        packet(&s, encode_serf(&s, SERF_JOIN, &join_wire, &j));
        if (i % 1000 == 0)
            arena_free(&s.arena);
    }
    assert_int_equal(s.g->intents.count, INTENTS_MAX);
    assert_true(gossip_get_stats(s.g).intent_queue <= 16384);
    pass(&s, 6 * MINUTE);
    assert_int_equal(s.g->intents.count, 0);
    size_t delivered = 0;
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "event-%d", i);
        struct user_event_message m = {.ltime = 9, .name = str_from(name)};
        packet(&s, encode_serf(&s, SERF_USER_EVENT, &user_event_wire, &m));
        delivered += count(&s, GOSSIP_ACTION_USER_EVENT);
    }
    assert_int_equal(delivered, BUCKET_MAX);
    for (int i = 0; i < 5000; i++) {
        struct query_message q = {.ltime = 9, .id = (uint32_t)i, .name = STR("_serf_ping")};
        packet(&s, encode_serf(&s, SERF_QUERY, &query_wire, &q));
    }
    assert_int_equal(s.g->queries[9].len, BUCKET_MAX);
    for (int i = 0; i < 5000; i++) {
        struct indirect_ping_message ask = {.seq_no = 1, .target = STR("1234"), .port = 1};
        packet(&s, encode(&s, MESSAGE_INDIRECT_PING, &indirect_ping_wire, &ask));
    }
    assert_int_equal(s.g->relayed_len, RELAYED_PINGS_MAX);
    /* A packet of a hundred pings is not answered a hundred times. */
    struct ping_message ping = {.seq_no = 1};
    struct str one = encode(&s, MESSAGE_PING, &ping_wire, &ping), many[100];
    for (int i = 0; i < 100; i++)
        many[i] = one;
    struct buf whole = BUF_INIT;
    frame_compound(&whole, many, 100);
    packet(&s, buf_str(&whole));
    assert_true(count(&s, GOSSIP_ACTION_SEND) <= 4);
    buf_free(&whole);
    single_free(&s);
}

static void test_logging(void **state) {
    struct single s;
    single_init(&s);
    size_t lines = 0;
    for (int i = 0; i < 10000; i++) {
        packet(&s, STR("\x63garbage"));
        lines += count(&s, GOSSIP_ACTION_LOG);
    }
    assert_int_equal(lines, INPUT_LOG_MAX);
    s.now += 2 * SECOND;
    packet(&s, STR("\x63garbage"));
    assert_true(logged(&s, "9950 lines about what was received were left out"));
    assert_true(logged(&s, "memberlist: msg type (99) not supported from=10.0.0.99:8301"));
    packet(&s, STR("\x0c\0\0\0\0zzz"));
    assert_true(logged(&s, "Got invalid checksum"));
    packet(&s, STR("\x07\x03\0\x02\0\x02\0\x02\x02\x80\x02\x80\x02"));
    assert_true(logged(&s, "Compound request had 1 truncated messages"));
    packet(&s, STR("\x08\x63zzz"));
    assert_true(logged(&s, "serf: Received message of unknown type: 99"));
    single_free(&s);
}

/* ---- internal queries ---- */

static void ask(struct single *s, const char *name, struct str payload) {
    static uint32_t id;
    struct query_message q = {.ltime = 3,
                              .id = ++id,
                              .addr = STR("1234"),
                              .port = 99,
                              .source_node = STR("z"),
                              .timeout = SECOND,
                              .name = str_from(name),
                              .payload = payload};
    packet(s, encode_serf(s, SERF_QUERY, &query_wire, &q));
}

/* The payload of what was answered. */
static struct str answered(struct single *s) {
    struct query_response_message r;
    for (size_t i = 0;; i++) {
        struct str user = sent(s, MESSAGE_USER, i, NULL);
        if (user.data == NULL)
            return STR_NONE;
        if (user.data[0] == SERF_QUERY_RESPONSE &&
            read_body(s, str_sub(user, 1, SIZE_MAX), &query_response_wire, &r))
            return r.payload;
    }
}

static void test_internal_queries(void **state) {
    struct single s;
    single_init(&s);
    alive_of(&s, "a", "10.0.0.2:8301", 1, "\xff\x81\xa1k\xa1v");
    struct key_response r;
    static const char *const modify[] = {"_serf_install-key", "_serf_use-key", "_serf_remove-key"};
    for (int i = 0; i < 3; i++) {
        size_t queued = gossip_get_stats(s.g).query_queue;
        ask(&s, modify[i], STR_NONE); /* the peer dies of this */
        assert_null(answered(&s).data);
        assert_int_equal(gossip_get_stats(s.g).query_queue, queued);
        ask(&s, modify[i], STR("\x07\xc1"));
        struct str payload = answered(&s);
        assert_true(payload.len > 0 && payload.data[0] == SERF_KEY_RESPONSE);
        assert_true(read_body(&s, str_sub(payload, 1, SIZE_MAX), &key_response_wire, &r));
        assert_true(!r.result && r.message.len == 0);
        ask(&s, modify[i],
            STR("\x07\x81\xa3Key\xb0"
                "aaaaaaaaaaaaaaaa"));
        assert_true(read_body(&s, str_sub(answered(&s), 1, SIZE_MAX), &key_response_wire, &r));
        assert_true(!r.result &&
                    str_is(r.message, "No keyring to modify (encryption not enabled)"));
    }
    ask(&s, "_serf_list-keys", STR("\x07\x81\xa3Key\xa0"));
    assert_true(read_body(&s, str_sub(answered(&s), 1, SIZE_MAX), &key_response_wire, &r));
    assert_true(str_is(r.message, "Keyring is empty (encryption not enabled)"));
    ask(&s, "_serf_conflict", STR("nobody"));
    assert_true(str_eq(answered(&s), STR("\x06\xc0")));
    ask(&s, "_serf_conflict", STR("me"));
    assert_null(answered(&s).data);
    ask(&s, "_serf_conflict", STR("a"));
    struct conflict_member m;
    assert_int_equal(answered(&s).data[0], SERF_CONFLICT_RESPONSE);
    assert_true(read_body(&s, str_sub(answered(&s), 1, SIZE_MAX), &conflict_member_wire, &m));
    assert_true(str_is(m.name, "a") && m.port == 8301 && m.status == 1 && m.tags.len == 1);
    ask(&s, "_serf_other", STR_NONE);
    assert_true(logged(&s, "serf: Unhandled internal query 'other'"));
    single_free(&s);
}

static void test_relay(void **state) {
    struct single s;
    single_init(&s);
    struct relay_header h = {.dest_addr = {.ip = STR("1234"), .port = 77}, .dest_name = STR("z")};
    struct buf whole = BUF_INIT;
    buf_add_str(&whole, encode_serf(&s, SERF_RELAY, &relay_header_wire, &h));
    buf_add_text(&whole, "\x05inner");
    packet(&s, buf_str(&whole));
    struct gossip_address to = {0};
    assert_true(str_eq(sent(&s, MESSAGE_USER, 0, &to), STR("\x05inner")));
    assert_true(to.port == 77 && to.ip[0] == '1');
    h.dest_addr.port = 70000;
    buf_clear(&whole);
    buf_add_str(&whole, encode_serf(&s, SERF_RELAY, &relay_header_wire, &h));
    buf_add_text(&whole, "\x05inner");
    packet(&s, buf_str(&whole));
    assert_int_equal(count(&s, GOSSIP_ACTION_SEND), 0);
    buf_free(&whole);
    single_free(&s);
}

/* ---- merging ---- */

static void test_merge(void **state) {
    struct single s;
    single_init(&s);
    struct node_record records[] = {
        {STR("a"), STR("1234"), 1, STR("m"), 5, GOSSIP_ALIVE, STR("\1\5\2\2\5\4")},
        {STR("b"), STR("1235"), 1, STR("m"), 5, GOSSIP_DEAD, STR("\1\5\2\2\5\4")},
        {STR("c"), STR("1236"), 1, STR("m"), 5, GOSSIP_LEFT, STR("\1\5\2\2\5\4")},
    };
    uint64_t id = stream_to(&s);
    stream_put(&s, id, push_pull_of(&s, records, 3, true));
    assert_true(closed(&s, id));
    struct str answer = written(&s, id); /* its own state first: without the new one */
    struct push_pull_header h;
    assert_int_equal(answer.data[0], MESSAGE_PUSH_PULL);
    assert_true(read_body(&s, str_sub(answer, 1, SIZE_MAX), &push_pull_header_wire, &h));
    assert_true(h.join && h.nodes == 1);
    assert_int_equal(gossip_member_count(s.g), 2);
    /* What others hold for dead is only suspected. */
    records[0].state = GOSSIP_DEAD;
    id = stream_to(&s);
    stream_put(&s, id, push_pull_of(&s, records, 1, false));
    assert_int_equal(state_of(&s, "a"), GOSSIP_SUSPECT);
    records[0].state = GOSSIP_LEFT;
    id = stream_to(&s);
    stream_put(&s, id, push_pull_of(&s, records, 1, false));
    assert_int_equal(state_of(&s, "a"), GOSSIP_LEFT);
    /* Versions that do not go together: all or nothing. */
    records[0] = (struct node_record){STR("n"),     STR("1237"),        1, STR("m"), 1,
                                      GOSSIP_ALIVE, STR("\1\5\2\2\5\4")};
    records[1] = (struct node_record){STR("old"),   STR("1238"),        1, STR("m"), 1,
                                      GOSSIP_ALIVE, STR("\3\5\3\2\5\4")};
    id = stream_to(&s);
    stream_put(&s, id, push_pull_of(&s, records, 2, false));
    assert_true(logged(&s, "Failed push/pull merge: Node 'n' protocol version (2) is incompatible: "
                           "[3, 5]"));
    assert_int_equal(gossip_member_count(s.g), 2);
    records[1].vsn = STR("\1\5\2\5\5\5");
    id = stream_to(&s);
    stream_put(&s, id, push_pull_of(&s, records, 2, false));
    assert_true(logged(&s, "Node 'n' delegate protocol version (4) is incompatible: [5, 5]"));
    records[1].vsn = STR_NONE;
    id = stream_to(&s);
    stream_put(&s, id, push_pull_of(&s, records, 2, false));
    assert_true(logged(&s, "Node 'old' protocol version (0) is incompatible: [1, 5]"));
    single_free(&s);
}

/* ---- the snapshot's text ---- */

static void test_snapshot(void **state) {
    static struct gossip_timing timing;
    timing = gossip_timing_lan();
    for (int rejoin = 0; rejoin < 2; rejoin++) {
        struct single s;
        struct gossip_options o = {
            .name = STR("c1"),
            .timing = &timing,
            .log = LOG_DEBUG,
            .snapshot = true,
            .snapshot_text = STR("alive: c1 127.10.0.3:21001\nalive: a b c 127.10.0.1:21001\n"
                                 "alive: six [fd00::1]:8301\nalive: gone 127.10.0.9:1\n"
                                 "not-alive: gone\n# remark\ncoordinate: x\nclock: 5\n"
                                 "event-clock: 9\nquery-clock: 2\nwhat is this\nleave\nclock: 6\n"
                                 "alive: cut of"),
            .rejoin_after_leave = rejoin};
        gossip_address_parse(&o.address, STR("127.10.0.3:21001"));
        s = (struct single){.out = GOSSIP_ACTIONS_INIT, .now = SECOND};
        struct error e = ERROR_IN(&s.arena);
        s.g = gossip_new(&o, s.now, 1, &s.out, &e);
        assert_true(logged(&s, "serf: Unrecognized snapshot line: what is this"));
        /* Nodes and clocks before the leave count only if it is asked for. */
        assert_int_equal(gossip_get_stats(s.g).member_time, 7);
        assert_int_equal(gossip_get_stats(s.g).event_time, rejoin ? 10 : 1);
        assert_int_equal(gossip_get_stats(s.g).query_time, rejoin ? 3 : 1);
        assert_int_equal(count(&s, GOSSIP_ACTION_STREAM_OPEN), rejoin);
        if (rejoin) { /* one after the other: both are tried */
            size_t tried = 0;
            for (int i = 0; i < 2; i++) {
                const struct gossip_action *a = nth(&s, GOSSIP_ACTION_STREAM_OPEN, 0);
                assert_non_null(a);
                tried += str_is(a->stream.name, "a b c") || str_is(a->stream.name, "six");
                struct gossip_event close = {
                    .kind = GOSSIP_EVENT_STREAM_CLOSED,
                    .now = s.now,
                    .stream = {.id = a->stream.id, .text = STR("dial: refused")}};
                gossip_actions_clear(&s.out);
                gossip_step(s.g, &close, &s.out);
            }
            assert_int_equal(tried, 2);
            assert_true(logged(&s, "serf: Failed to re-join any previously known node"));
        }
        single_free(&s);
    }
}

/* Many lines: the file is written anew before it grows without end. */
static void test_compaction(void **state) {
    static struct gossip_timing timing;
    timing = gossip_timing_lan();
    struct single s;
    struct gossip_options o = {
        .name = STR("me"), .timing = &timing, .log = LOG_OFF, .snapshot = true};
    gossip_address_parse(&o.address, STR("10.0.0.1:8301"));
    single_start(&s, &o);
    alive_of(&s, "a", "10.0.0.2:8301", 1, "x");
    size_t size = 0, replaced = 0, largest = 0;
    struct buf file = BUF_INIT;
    for (uint64_t i = 1; i < 20000; i++) {
        struct user_event_message m = {.ltime = i, .name = STR("e")};
        packet(&s, encode_serf(&s, SERF_USER_EVENT, &user_event_wire, &m));
        for (size_t k = 0; k < s.out.len; k++) {
            const struct gossip_action *a = &s.out.items[k];
            if (a->kind != GOSSIP_ACTION_SNAPSHOT)
                continue;
            if (a->snapshot.replace)
                buf_clear(&file);
            replaced += a->snapshot.replace;
            buf_add_str(&file, a->snapshot.bytes);
            size = file.len;
            largest = size > largest ? size : largest;
        }
        s.now += 600 * MILLISECOND;
        if (i % 1000 == 0)
            arena_free(&s.arena);
    }
    assert_true(replaced >= 2 && largest <= 128 * 1024);
    /* And says the same as before. */
    gossip_actions_clear(&s.out);
    gossip_close(s.g, s.now, &s.out);
    for (size_t k = 0; k < s.out.len; k++) {
        if (s.out.items[k].kind == GOSSIP_ACTION_SNAPSHOT)
            buf_add_str(&file, s.out.items[k].snapshot.bytes);
    }
    assert_true(str_find(buf_str(&file), STR("event-clock: 19999\n"), 0) >= 0);
    assert_true(str_has_prefix(buf_str(&file), STR("alive: me 10.0.0.1:8301\n")));
    assert_true(str_find(buf_str(&file), STR("alive: a "), 0) < 0); /* it never answered */
    buf_free(&file);
    single_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_encrypted_streams),
        cmocka_unit_test(test_stream_floods),
        cmocka_unit_test(test_member_floods),
        cmocka_unit_test(test_upper_floods),
        cmocka_unit_test(test_logging),
        cmocka_unit_test(test_internal_queries),
        cmocka_unit_test(test_relay),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_compaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

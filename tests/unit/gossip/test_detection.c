/* Failure detection and membership to the packet (gossip.md 5 and 6): one core, whose others are
 * played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/gossip/single.h"

/* Five members: me, a, b, c, d. */
static void with_others(struct single *s) {
    single_init(s);
    alive_of(s, "a", "10.0.0.2:8301", 1, "x");
    alive_of(s, "b", "10.0.0.3:8301", 1, "x");
    alive_of(s, "c", "10.0.0.4:8301", 1, "x");
    alive_of(s, "d", "10.0.0.5:8301", 1, "x");
    assert_int_equal(gossip_member_count(s->g), 5);
}

static void answer(struct single *s, uint32_t seq, struct str payload) {
    struct ack_message ack = {.seq_no = seq, .payload = payload};
    packet(s, encode(s, MESSAGE_ACK, &ack_wire, &ack));
}

/* Runs to the next ping of our own. */
static struct ping_message next_ping(struct single *s, struct gossip_address *to) {
    struct ping_message ping;
    for (int i = 0; i < 100000; i++) {
        pass(s, 10 * MILLISECOND);
        if (read_body(s, sent(s, MESSAGE_PING, 0, to), &ping_wire, &ping))
            return ping;
    }
    fail();
    return ping;
}

static void test_ping(void **state) {
    struct single s;
    with_others(&s);
    struct gossip_address to;
    struct ping_message ping = next_ping(&s, &to);
    char text[GOSSIP_ADDRESS_TEXT];
    assert_int_equal(ping.seq_no, 1);
    assert_true(str_is(ping.source_node, "me"));
    assert_memory_equal(ping.source_addr.data, "\x0a\0\0\x01", 4);
    assert_int_equal(ping.source_port, 8301);
    /* To him whom it names; each of four once in four seconds. */
    bool seen[128] = {false};
    for (int i = 0; i < 4; i++) {
        char name = ping.node.data[0];
        gossip_address_text(&to, text);
        assert_int_equal(text[7], '2' + (name - 'a'));
        assert_false(seen[(int)name]);
        seen[(int)name] = true;
        answer(&s, ping.seq_no, STR_NONE);
        ping = next_ping(&s, &to);
    }
    single_free(&s);
}

static void test_indirect(void **state) {
    struct single s;
    with_others(&s);
    struct ping_message ping = next_ping(&s, NULL);
    char target[2] = {ping.node.data[0], 0};
    pass(&s, 480 * MILLISECOND);
    assert_null(sent(&s, MESSAGE_INDIRECT_PING, 0, NULL).data);
    pass(&s, 30 * MILLISECOND);
    /* The three others are asked, all with the same number; and a stream is opened. */
    bool seen[128] = {false};
    for (size_t i = 0; i < 3; i++) {
        struct indirect_ping_message ask;
        struct gossip_address to;
        assert_true(
            read_body(&s, sent(&s, MESSAGE_INDIRECT_PING, i, &to), &indirect_ping_wire, &ask));
        assert_int_equal(ask.seq_no, ping.seq_no);
        assert_true(str_is(ask.node, target) && ask.nack);
        assert_int_equal((uint8_t)ask.target.data[3], 2 + target[0] - 'a');
        assert_int_equal(ask.port, 8301);
        assert_false(seen[to.ip[3]] || to.ip[3] == (uint8_t)ask.target.data[3]);
        seen[to.ip[3]] = true;
    }
    assert_null(sent(&s, MESSAGE_INDIRECT_PING, 3, NULL).data);
    const struct gossip_action *open = nth(&s, GOSSIP_ACTION_STREAM_OPEN, 0);
    assert_non_null(open);
    uint64_t id = open->stream.id;
    stream_is_open(&s, id);
    struct ping_message again;
    struct str bytes = written(&s, id);
    assert_int_equal((uint8_t)bytes.data[0], MESSAGE_PING);
    assert_true(read_body(&s, str_sub(bytes, 1, SIZE_MAX), &ping_wire, &again));
    assert_int_equal(again.seq_no, ping.seq_no);
    /* A relayed answer is enough, and the stream is given up. */
    answer(&s, ping.seq_no, STR_NONE);
    assert_true(closed(&s, id));
    pass(&s, 400 * MILLISECOND);
    assert_int_equal(state_of(&s, target), GOSSIP_ALIVE);
    single_free(&s);
}

static bool all_carried(void *owner, struct str name) {
    return name.len == 1;
}

/* Where packets come reliably, a stream would tell nothing more. */
static void test_carried(void **state) {
    struct single s;
    with_others(&s);
    s.g->carried = all_carried;
    struct ping_message ping = next_ping(&s, NULL);
    pass(&s, 520 * MILLISECOND);
    assert_non_null(sent(&s, MESSAGE_INDIRECT_PING, 2, NULL).data);
    assert_null(nth(&s, GOSSIP_ACTION_STREAM_OPEN, 0));
    char target[2] = {ping.node.data[0], 0};
    pass(&s, 500 * MILLISECOND);
    assert_int_equal(state_of(&s, target), GOSSIP_SUSPECT);
    single_free(&s);
}

/* Nobody answers: health and suspicion. */
static void fail_probe(struct single *s, int nacks, unsigned health) {
    struct ping_message ping = next_ping(s, NULL);
    char target[2] = {ping.node.data[0], 0};
    pass(s, 600 * MILLISECOND);
    for (int i = 0; i < nacks; i++) {
        struct nack_message nack = {ping.seq_no};
        packet(s, encode(s, MESSAGE_NACK, &nack_wire, &nack));
    }
    assert_int_equal(state_of(s, target), GOSSIP_ALIVE);
    pass(s, 420 * MILLISECOND);
    assert_int_equal(state_of(s, target), GOSSIP_SUSPECT);
    assert_true(logged(s, "has failed, no acks received"));
    assert_int_equal(gossip_get_stats(s->g).health_score, health);
    struct accusation_message suspect; /* what comes after silence is sent at once */
    assert_true(read_body(s, sent(s, MESSAGE_SUSPECT, 0, NULL), &accusation_wire, &suspect));
    assert_true(str_is(suspect.node, target) && str_is(suspect.from, "me"));
    assert_int_equal(suspect.incarnation, 1);
    pass(s, 220 * MILLISECOND);
}

static void test_health(void **state) {
    struct single s;
    with_others(&s);
    fail_probe(&s, 3, 0); /* all three said that they could not reach it either */
    single_free(&s);
    with_others(&s);
    fail_probe(&s, 1, 2);
    single_free(&s);
    with_others(&s);
    fail_probe(&s, 0, 3);
    /* With a score of three the next probe, which is under way, may take four intervals. */
    assert_true(s.g->probe.active);
    assert_int_equal(s.g->probe.deadline.at - s.g->probe.sent_at, 4 * SECOND);
    assert_int_equal(s.g->probe.timeout.at - s.g->probe.sent_at, 500 * MILLISECOND);
    single_free(&s);
    /* Nobody to ask: one worse. */
    single_init(&s);
    alive_of(&s, "a", "10.0.0.2:8301", 1, "x");
    fail_probe(&s, 0, 1);
    single_free(&s);
}

static void test_stream_saves(void **state) {
    struct single s;
    with_others(&s);
    struct ping_message ping = next_ping(&s, NULL);
    char target[2] = {ping.node.data[0], 0};
    pass(&s, 510 * MILLISECOND);
    uint64_t id = nth(&s, GOSSIP_ACTION_STREAM_OPEN, 0)->stream.id;
    stream_is_open(&s, id);
    struct ack_message ack = {.seq_no = ping.seq_no};
    stream_put(&s, id, encode(&s, MESSAGE_ACK, &ack_wire, &ack));
    assert_true(closed(&s, id));
    pass(&s, 500 * MILLISECOND);
    assert_true(logged(&s, "but other probes failed, network may be misconfigured"));
    assert_int_equal(state_of(&s, target), GOSSIP_ALIVE);
    single_free(&s);
}

/* Lets time pass, and answers all our pings. */
static void live(struct single *s, int64_t time) {
    for (int64_t end = s->now + time; s->now < end;) {
        struct ping_message ping;
        pass(s, MILLISECOND);
        if (read_body(s, sent(s, MESSAGE_PING, 0, NULL), &ping_wire, &ping))
            answer(s, ping.seq_no, STR_NONE);
    }
}

/* A suspect is pinged together with what is said of it, and with nothing else. */
static void test_ping_suspect(void **state) {
    struct single s;
    with_others(&s);
    live(&s, 10 * SECOND); /* what was to be spread is out */
    accuse(&s, MESSAGE_SUSPECT, "a", 1, "z");
    for (int i = 0; i < 8; i++) {
        while (!s.g->probe.active)
            pass(&s, MILLISECOND);
        /* The ping is the last that was sent. */
        const struct gossip_action *a =
            nth(&s, GOSSIP_ACTION_SEND, count(&s, GOSSIP_ACTION_SEND) - 1);
        struct str parts[8];
        size_t len = messages_of(&s, a->send.bytes, parts, 8);
        assert_int_equal(parts[0].data[0], MESSAGE_PING);
        if (str_is(a->send.name, "a")) {
            assert_int_equal((uint8_t)a->send.bytes.data[0], MESSAGE_CRC);
            assert_int_equal(len, 2);
            assert_int_equal(parts[1].data[0], MESSAGE_SUSPECT);
            single_free(&s);
            return;
        }
        answer(&s, s.g->probe.sequence, STR_NONE);
    }
    fail();
}

/* The times of gossip.md 6.3 with k = 2. */
static void test_suspicion(void **state) {
    static const struct {
        int confirmations;
        int64_t time;
    } cases[] = {{0, 24000}, {1, 11381}, {2, 4000}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct single s;
        single_init(&s);
        /* Four of them; probes of our own are answered at once, so that only this one is suspect.
         */
        alive_of(&s, "a", "10.0.0.2:8301", 1, "x");
        alive_of(&s, "b", "10.0.0.3:8301", 1, "x");
        alive_of(&s, "c", "10.0.0.4:8301", 1, "x");
        accuse(&s, MESSAGE_SUSPECT, "a", 1, "b");
        assert_int_equal(state_of(&s, "a"), GOSSIP_SUSPECT);
        for (int k = 0; k < cases[i].confirmations; k++) {
            char from[2] = {(char)('p' + k), 0};
            accuse(&s, MESSAGE_SUSPECT, "a", 1, from);
            accuse(&s, MESSAGE_SUSPECT, "a", 1, from); /* twice counts once */
            accuse(&s, MESSAGE_SUSPECT, "a", 1, "b");  /* the first does not confirm himself */
        }
        int64_t start = s.now;
        while (status_of(&s, "a") == GOSSIP_STATUS_ALIVE && s.now < start + 30 * SECOND)
            live(&s, MILLISECOND);
        assert_int_equal((s.now - start) / MILLISECOND, cases[i].time);
        assert_true(logged(&s, "Marking a as failed, suspect timeout reached ("));
        assert_int_equal(status_of(&s, "a"), GOSSIP_STATUS_FAILED);
        single_free(&s);
    }
}

static void test_refute(void **state) {
    struct single s;
    with_others(&s);
    struct alive_message a;
    accuse(&s, MESSAGE_SUSPECT, "me", 1, "b");
    assert_true(logged(&s, "Refuting a suspect message (from: b)"));
    pass(&s, 200 * MILLISECOND);
    /* At the next tick, with a higher number. */
    bool found = false;
    for (size_t i = 0; read_body(&s, sent(&s, MESSAGE_ALIVE, i, NULL), &alive_wire, &a); i++)
        found |= str_is(a.node, "me") && a.incarnation == 2;
    assert_true(found);
    assert_int_equal(gossip_get_stats(s.g).health_score, 1);
    accuse(&s, MESSAGE_DEAD, "me", 40, "c");
    assert_int_equal(gossip_get_stats(s.g).incarnation, 41);
    accuse(&s, MESSAGE_SUSPECT, "me", 40, "c"); /* old news */
    assert_int_equal(gossip_get_stats(s.g).incarnation, 41);
    /* Somebody says that we are other than we are; the same again is nothing. */
    alive_of(&s, "me", "10.0.0.1:8301", 41, "other");
    assert_int_equal(gossip_get_stats(s.g).incarnation, 42);
    alive_of(&s, "me", "10.0.0.1:8301", 42, "meta");
    assert_int_equal(gossip_get_stats(s.g).incarnation, 42);
    alive_of(&s, "me", "10.0.0.1:8301", 50, "meta");
    assert_int_equal(gossip_get_stats(s.g).incarnation, 51);
    /* At the end of the numbers it does not begin anew. */
    accuse(&s, MESSAGE_SUSPECT, "me", UINT32_MAX, "c");
    assert_int_equal(gossip_get_stats(s.g).incarnation, UINT32_MAX);
    accuse(&s, MESSAGE_SUSPECT, "me", UINT32_MAX, "c");
    assert_int_equal(gossip_get_stats(s.g).incarnation, UINT32_MAX);
    assert_int_equal(status_of(&s, "me"), GOSSIP_STATUS_ALIVE);
    single_free(&s);
}

static void test_states(void **state) {
    struct single s;
    with_others(&s);
    accuse(&s, MESSAGE_DEAD, "a", 1, "b");
    assert_int_equal(status_of(&s, "a"), GOSSIP_STATUS_FAILED);
    assert_int_equal(count(&s, GOSSIP_ACTION_MEMBER), 1);
    assert_true(logged(&s, "serf: EventMemberFailed: a 10.0.0.2"));
    /* Only a higher number brings it back. */
    alive_of(&s, "a", "10.0.0.2:8301", 1, "x");
    assert_int_equal(status_of(&s, "a"), GOSSIP_STATUS_FAILED);
    alive_of(&s, "a", "10.0.0.2:8301", 2, "x");
    assert_int_equal(status_of(&s, "a"), GOSSIP_STATUS_ALIVE);
    assert_int_equal(nth(&s, GOSSIP_ACTION_MEMBER, 0)->member.event, GOSSIP_MEMBER_JOIN);
    alive_of(&s, "a", "10.0.0.2:8301", 3, "y");
    assert_int_equal(nth(&s, GOSSIP_ACTION_MEMBER, 0)->member.event, GOSSIP_MEMBER_UPDATE);
    /* An accusation of an older life. */
    accuse(&s, MESSAGE_SUSPECT, "a", 2, "b");
    assert_int_equal(state_of(&s, "a"), GOSSIP_ALIVE);
    /* Dead by its own word: left, once the intent is known; without it, failed. */
    accuse(&s, MESSAGE_DEAD, "b", 1, "b");
    assert_int_equal(state_of(&s, "b"), GOSSIP_LEFT);
    assert_int_equal(status_of(&s, "b"), GOSSIP_STATUS_FAILED);
    struct leave_message leave = {.ltime = 7, .node = STR("c")};
    packet(&s, encode_serf(&s, SERF_LEAVE, &leave_wire, &leave));
    assert_int_equal(status_of(&s, "c"), GOSSIP_STATUS_LEAVING);
    accuse(&s, MESSAGE_DEAD, "c", 1, "c");
    assert_int_equal(status_of(&s, "c"), GOSSIP_STATUS_LEFT);
    assert_int_equal(gossip_get_stats(s.g).member_time, 8);
    /* Nobody knows them. */
    accuse(&s, MESSAGE_DEAD, "nobody", 1, "b");
    accuse(&s, MESSAGE_SUSPECT, "nobody", 1, "b");
    assert_int_equal(gossip_member_count(s.g), 5);
    single_free(&s);
}

static void test_conflict(void **state) {
    struct single s;
    with_others(&s);
    alive_of(&s, "a", "10.0.0.77:8301", 9, "x");
    assert_true(logged(&s, "memberlist: Conflicting address for a. Mine: 10.0.0.2:8301 Theirs: "
                           "10.0.0.77:8301 Old state: 0"));
    assert_true(logged(&s, "serf: Name conflict for 'a' both 10.0.0.2:8301 and 10.0.0.77:8301 are "
                           "claiming"));
    alive_of(&s, "me", "10.0.0.77:8301", 9, "x");
    assert_true(logged(&s, "Node name conflicts with another node at 10.0.0.77:8301. Names must be "
                           "unique! (Resolution enabled: false)"));
    /* Of one that failed the name may be taken after half a minute; of one that left, at once. */
    accuse(&s, MESSAGE_DEAD, "a", 1, "b");
    s.now += 29 * SECOND;
    alive_of(&s, "a", "10.0.0.77:8301", 1, "x");
    assert_int_equal(status_of(&s, "a"), GOSSIP_STATUS_FAILED);
    s.now += 2 * SECOND;
    alive_of(&s, "a", "10.0.0.77:8301", 1, "x");
    assert_int_equal(status_of(&s, "a"), GOSSIP_STATUS_ALIVE);
    accuse(&s, MESSAGE_DEAD, "b", 1, "b");
    alive_of(&s, "b", "10.0.0.78:8301", 1, "x");
    assert_int_equal(status_of(&s, "b"), GOSSIP_STATUS_ALIVE);
    single_free(&s);
}

/* Others ask us. */
static void test_serve(void **state) {
    struct single s;
    with_others(&s);
    pass(&s, 10 * SECOND);
    struct ping_message ping = {.seq_no = 77, .node = STR("me")};
    struct gossip_address to;
    struct ack_message ack;
    packet(&s, encode(&s, MESSAGE_PING, &ping_wire, &ping));
    assert_true(read_body(&s, sent(&s, MESSAGE_ACK, 0, &to), &ack_wire, &ack));
    assert_int_equal(ack.seq_no, 77);
    assert_int_equal(to.ip[3], 99); /* where it came from */
    assert_int_equal(ack.payload.len, 130);
    uint8_t ip[4] = {10, 0, 0, 50};
    ping.source_addr = str_of(ip, 4), ping.source_port = 1234;
    packet(&s, encode(&s, MESSAGE_PING, &ping_wire, &ping));
    assert_non_null(sent(&s, MESSAGE_ACK, 0, &to).data);
    assert_true(to.ip[3] == 50 && to.port == 1234);
    ping.node = STR("somebody");
    packet(&s, encode(&s, MESSAGE_PING, &ping_wire, &ping));
    assert_null(sent(&s, MESSAGE_ACK, 0, NULL).data);
    assert_true(logged(&s, "Got ping for unexpected node 'somebody'"));

    /* For another: asked, answered, passed back; or not answered. */
    struct indirect_ping_message ask = {
        .seq_no = 500, .target = str_of(ip, 4), .node = STR("x"), .nack = true};
    packet(&s, encode(&s, MESSAGE_INDIRECT_PING, &indirect_ping_wire, &ask));
    assert_true(read_body(&s, sent(&s, MESSAGE_PING, 0, &to), &ping_wire, &ping));
    assert_true(to.ip[3] == 50 && to.port == 8301 && str_is(ping.node, "x"));
    assert_true(str_is(ping.source_node, "me"));
    answer(&s, ping.seq_no, STR("payload"));
    assert_true(read_body(&s, sent(&s, MESSAGE_ACK, 0, &to), &ack_wire, &ack));
    assert_true(ack.seq_no == 500 && ack.payload.data == NULL && to.ip[3] == 99);
    pass(&s, SECOND);
    assert_null(sent(&s, MESSAGE_NACK, 0, NULL).data);
    packet(&s, encode(&s, MESSAGE_INDIRECT_PING, &indirect_ping_wire, &ask));
    assert_true(read_body(&s, sent(&s, MESSAGE_PING, 0, &to), &ping_wire, &ping));
    uint32_t relayed = ping.seq_no;
    pass(&s, 490 * MILLISECOND);
    assert_null(sent(&s, MESSAGE_NACK, 0, NULL).data);
    pass(&s, 20 * MILLISECOND);
    struct nack_message nack;
    assert_true(read_body(&s, sent(&s, MESSAGE_NACK, 0, &to), &nack_wire, &nack));
    assert_int_equal(nack.seq_no, 500);
    answer(&s, relayed, STR_NONE); /* too late */
    assert_null(sent(&s, MESSAGE_ACK, 0, NULL).data);
    single_free(&s);
}

/* Dead ones go out of the table when the list begins anew, those who left do not. */
static void test_purge(void **state) {
    struct single s;
    with_others(&s);
    accuse(&s, MESSAGE_DEAD, "a", 1, "b");
    accuse(&s, MESSAGE_DEAD, "b", 1, "b");
    assert_int_equal(gossip_get_stats(s.g).nodes, 5);
    live(&s, 60 * SECOND);
    assert_int_equal(gossip_get_stats(s.g).nodes, 4);
    assert_int_equal(gossip_member_count(s.g), 5); /* the upper layer remembers both */
    assert_int_equal(status_of(&s, "a"), GOSSIP_STATUS_FAILED);
    alive_of(&s, "a", "10.0.0.2:8301", 1, "x"); /* forgotten is also the number of its life */
    assert_int_equal(status_of(&s, "a"), GOSSIP_STATUS_ALIVE);
    single_free(&s);
}

static void test_coordinates(void **state) {
    struct single s;
    with_others(&s);
    struct ping_message ping = next_ping(&s, NULL);
    char target[2] = {ping.node.data[0], 0};
    double vec[8] = {0.1};
    struct coordinate_payload c = {.vec = {vec, 8, true}, .error = 1, .height = 1e-5};
    struct buf payload = BUF_INIT;
    buf_add_char(&payload, 1);
    wire_write(&payload, &coordinate_wire, &c);
    s.now += 20 * MILLISECOND;
    answer(&s, ping.seq_no, buf_str(&payload));
    assert_int_equal(count(&s, GOSSIP_ACTION_COORDINATE), 1);
    struct gossip_coordinate heard, own = gossip_coordinate(s.g);
    assert_true(gossip_coordinate_of(s.g, str_from(target), &heard));
    assert_true(heard.vec[0] == 0.1 && own.vec[0] != 0);
    /* Another version, nonsense, too few numbers: ignored. */
    static const char *const lines[] = {"Unsupported ping version: 2", "Failed to decode",
                                        "Failed to decode coordinate from ping: dimensions aren't "
                                        "compatible"};
    for (int i = 0; i < 3; i++) {
        ping = next_ping(&s, NULL);
        c.vec.len = 7;
        buf_clear(&payload);
        buf_add_char(&payload, i == 0 ? 2 : 1);
        if (i == 1)
            buf_add_char(&payload, 5);
        else
            wire_write(&payload, &coordinate_wire, &c);
        answer(&s, ping.seq_no, buf_str(&payload));
        assert_int_equal(count(&s, GOSSIP_ACTION_COORDINATE), 0);
        assert_true(logged(&s, lines[i]));
    }
    buf_free(&payload);
    single_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping),         cmocka_unit_test(test_indirect),
        cmocka_unit_test(test_carried),      cmocka_unit_test(test_carried),
        cmocka_unit_test(test_health),       cmocka_unit_test(test_stream_saves),
        cmocka_unit_test(test_ping_suspect), cmocka_unit_test(test_suspicion),
        cmocka_unit_test(test_refute),       cmocka_unit_test(test_states),
        cmocka_unit_test(test_conflict),     cmocka_unit_test(test_serve),
        cmocka_unit_test(test_purge),        cmocka_unit_test(test_coordinates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The core's values: what the wire's reader tolerates and what it does not, the queue of
 * broadcasts, timers, the table of members, addresses, keys, the rules of members.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"
#include "gossip/rules.h"
#include "gossip/state.h"

static struct arena arena;

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

#define BYTES(literal) STR(literal)

static bool read_ping(struct str bytes, struct ping_message *ping, struct error *e) {
    error_clear(e);
    return wire_read_all(bytes, &ping_wire, ping, &arena, e);
}

/* gossip.md 2.2, "Accepted by the peer". */
static void test_tolerance(void **state) {
    struct ping_message p;
    struct error e = ERROR_IN(&arena);
    /* Any order, unknown keys of any type, doubled keys. */
    assert_true(read_ping(BYTES("\x84\xa1x\x82\x01\x92\xc0\xc3\x02\xcb\0\0\0\0\0\0\0\0\xa5SeqNo\x01"
                                "\xa4Node\xa1q\xa5SeqNo\x07"),
                          &p, &e));
    assert_int_equal(p.seq_no, 7);
    assert_true(str_is(p.node, "q"));
    assert_null(p.source_addr.data);
    /* Wider integers, signed ones; nil; text in the new form. */
    assert_true(read_ping(BYTES("\x82\xa5SeqNo\xd3\0\0\0\0\0\0\0\x09\xa4Node\xd9\x02zz"), &p, &e));
    assert_int_equal(p.seq_no, 9);
    assert_true(str_is(p.node, "zz"));
    assert_true(read_ping(BYTES("\x82\xa5SeqNo\xc0\xa4Node\xc0"), &p, &e));
    assert_int_equal(p.seq_no, 0);
    /* Too big, negative. */
    assert_false(read_ping(BYTES("\x81\xa5SeqNo\xcf\0\0\0\x01\0\0\0\0"), &p, &e));
    assert_true(str_is(e.text, "Overflow uint value: 4294967296"));
    assert_false(read_ping(BYTES("\x81\xa5SeqNo\xff"), &p, &e));
    /* Bytes: the new form, an array of numbers; not so texts and keys. */
    assert_true(read_ping(BYTES("\x81\xaaSourceAddr\xc4\x04\x01\x02\x03\x04"), &p, &e));
    assert_int_equal(p.source_addr.len, 4);
    assert_true(read_ping(BYTES("\x81\xaaSourceAddr\x94\x7f\0\0\xcc\xff"), &p, &e));
    assert_memory_equal(p.source_addr.data, "\x7f\0\0\xff", 4);
    assert_false(read_ping(BYTES("\x81\xaaSourceAddr\x92\x01\xcd\x01\x00"), &p, &e));
    assert_false(read_ping(BYTES("\x81\xa4Node\xc4\x01z"), &p, &e));
    assert_true(str_is(e.text, "Unrecognized descriptor byte: hex: c4, dec: 196"));
    assert_false(read_ping(BYTES("\x81\xc4\x04Node\xa1z"), &p, &e));
    /* A structure as an array, in the order of declaration; shorter, longer. */
    assert_true(read_ping(BYTES("\x93\x05\xa1n\xa4\x01\x02\x03\x04"), &p, &e));
    assert_int_equal(p.seq_no, 5);
    assert_true(str_is(p.node, "n"));
    assert_int_equal(p.source_addr.len, 4);
    assert_true(read_ping(BYTES("\x97\x05\xa1n\xc0\x00\xa1s\x90\x80"), &p, &e));
    assert_true(str_is(p.source_node, "s"));
    /* Bytes behind it do not matter; missing ones do. */
    assert_true(read_ping(BYTES("\x80\xff\xff"), &p, &e));
    assert_false(read_ping(BYTES("\x81\xa5SeqNo"), &p, &e));
    assert_false(read_ping(BYTES(""), &p, &e));
    assert_false(read_ping(BYTES("\xdd\xff\xff\xff\xff"), &p, &e));
    /* Booleans as numbers, floats from anything. */
    struct leave_message l;
    assert_true(wire_read_all(BYTES("\x81\xa5Prune\x01"), &leave_wire, &l, &arena, &e));
    assert_true(l.prune);
    struct coordinate_payload c;
    assert_true(wire_read_all(BYTES("\x82\xa5"
                                    "Error\x03\xa6Height\xca\x3f\xc0\0\0"),
                              &coordinate_wire, &c, &arena, &e));
    assert_true(c.error == 3 && c.height == 1.5);
}

static void test_scan(void **state) {
    struct str value =
        BYTES("\x84\xa1x\x82\x01\x92\xc0\xc3\x02\xcb\0\0\0\0\0\0\0\0\xc4\x01z\xd9\x01"
              "a\xd4\x01\x02\xc7\x01\x05z\xde\x00\x01\xa0\xdc\x00\x01\x01\x01");
    for (size_t len = 0; len < value.len; len++) {
        struct wire_scan s = {0, 0};
        assert_int_equal(wire_scan_value(&s, str_sub(value, 0, len)), WIRE_MORE);
        /* Goes on where it was. */
        assert_int_equal(wire_scan_value(&s, value), WIRE_DONE);
        assert_int_equal(s.at, value.len);
    }
    struct wire_scan s = {0, 0};
    assert_int_equal(wire_scan_value(&s, BYTES("\x91\xc1")), WIRE_BAD);
    s = (struct wire_scan){0, 0}; /* a huge length is only waited for */
    assert_int_equal(wire_scan_value(&s, BYTES("\xdf\xff\xff\xff\xff\x01")), WIRE_MORE);
}

/* ---- broadcasts ---- */

static uint32_t finished[16];
static size_t finished_len;
static void note_finished(void *owner, uint32_t waiter) {
    finished[finished_len++] = waiter;
}

static size_t take(struct broadcasts *q, unsigned limit, size_t space, struct str *out) {
    size_t used = 0;
    size_t n = broadcasts_take(q, limit, 2, space, 100, STR_NONE, &arena, out, &used);
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += out[i].len + 2;
    assert_int_equal(used, sum);
    assert_true(used <= space);
    return n;
}

static void test_broadcasts(void **state) {
    struct broadcasts q;
    struct str out[100];
    finished_len = 0;
    broadcasts_init(&q, note_finished, NULL);
    broadcasts_add(&q, STR_NONE, STR("bbbb"), 1);
    broadcasts_add(&q, STR_NONE, STR("aaaaaaaa"), 2);
    broadcasts_add(&q, STR_NONE, STR("cccc"), 3);
    /* The largest first; then of equal ones the newest. Filling it exactly is allowed. */
    assert_int_equal(take(&q, 3, 16, out), 2);
    assert_true(str_is(out[0], "aaaaaaaa") && str_is(out[1], "cccc"));
    /* Those that were sent less come before. */
    assert_int_equal(take(&q, 3, 12, out), 2);
    assert_true(str_is(out[0], "bbbb") && str_is(out[1], "cccc"));
    assert_int_equal(take(&q, 3, 5, out), 0);
    assert_int_equal(finished_len, 0);
    assert_int_equal(take(&q, 3, 100, out), 3);
    assert_int_equal(finished_len, 1); /* cccc, thrice */
    assert_int_equal(finished[0], 3);
    assert_int_equal(q.len, 2);
    /* A key replaces; the old one is finished. */
    broadcasts_add(&q, STR("n"), STR("one"), 4);
    broadcasts_add(&q, STR("n"), STR("two!"), 5);
    assert_int_equal(finished_len, 2);
    assert_int_equal(finished[1], 4);
    assert_int_equal(q.len, 3);
    assert_int_equal(take(&q, 3, 6, out), 1);
    assert_true(str_is(out[0], "two!"));
    broadcasts_add(&q, STR("n"), STR("three"), 0);
    assert_int_equal(finished[2], 5);
    /* Cut: the most sent go first. */
    broadcasts_prune(&q, 1);
    assert_int_equal(q.len, 1);
    assert_int_equal(take(&q, 3, 100, out), 1);
    assert_true(str_is(out[0], "three"));
    broadcasts_free(&q);
}

/* ---- timers ---- */

static void test_timers(void **state) {
    struct timers t = {NULL, 0, 0, 0};
    static struct timer all[200];
    struct prng rng;
    prng_seed(&rng, 5);
    for (int i = 0; i < 200; i++)
        timer_start(&t, &all[i], (int64_t)prng_below(&rng, 50));
    for (int i = 0; i < 200; i += 3)
        timer_stop(&t, &all[i]);
    for (int i = 1; i < 200; i += 3)
        timer_start(&t, &all[i], (int64_t)prng_below(&rng, 50));
    int64_t last = -1;
    uint64_t order = 0;
    size_t count = 0;
    assert_null(timers_take(&t, -1));
    for (struct timer *x; (x = timers_take(&t, 1000)) != NULL; count++) {
        assert_true(x->at > last || (x->at == last && x->order > order));
        assert_false(timer_runs(x));
        last = x->at, order = x->order;
    }
    assert_int_equal(count, 133);
    assert_int_equal(timers_next(&t), INT64_MAX);
    timers_free(&t);
}

/* ---- members ---- */

static const uint8_t versions[GOSSIP_VERSIONS] = OUR_VERSIONS;

static void test_members(void **state) {
    struct members m = {.shared = gossip_shared_new()}, other = {.shared = m.shared};
    struct prng rng;
    prng_seed(&rng, 6);
    struct gossip_address a;
    gossip_address_parse(&a, STR("10.0.0.1:1"));
    static bool there[500];
    size_t count = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t k = (uint32_t)prng_below(&rng, COUNT_OF(there));
        struct str name = str_format(&arena, "node-%u", k);
        struct member *x = members_find(&m, name);
        assert_int_equal(x != NULL, there[k]);
        if (x == NULL) {
            x = members_add(&m, identity_new(m.shared, name, &a, STR("meta"), versions));
            if (k % 2)
                members_list(&m, x, &rng);
            member_set_status(&m, x, GOSSIP_STATUS_ALIVE);
            count++;
        } else {
            assert_true(str_eq(member_name(x), name));
            for (uint32_t at = 0; x->listed && at < m.listed; at++) {
                if (members_in_order(&m, at) == x)
                    members_unlist(&m, at);
            }
            member_set_status(&m, x, GOSSIP_STATUS_NONE);
            count--;
        }
        there[k] = !there[k];
        assert_int_equal(m.with_status, count);
        assert_int_equal(m.by_status[GOSSIP_STATUS_ALIVE], count);
    }
    /* Equal identities are one. */
    struct identity *one = identity_new(m.shared, STR("same"), &a, STR("meta"), versions);
    struct identity *two = identity_new(m.shared, STR("same"), &a, STR("meta"), versions);
    struct identity *three = identity_new(m.shared, STR("same"), &a, STR("meto"), versions);
    assert_ptr_equal(one, two);
    assert_ptr_not_equal(one, three);
    identity_release(m.shared, one);
    identity_release(m.shared, two);
    identity_release(m.shared, three);
    assert_true(sizeof(struct member) <= 64);
    members_free(&m);
    members_free(&other);
    gossip_shared_free(m.shared);
}

/* ---- addresses ---- */

static void test_addresses(void **state) {
    struct gossip_address a, b;
    char text[GOSSIP_ADDRESS_TEXT];
    assert_true(gossip_address_parse(&a, STR("1.2.3.4:5")));
    assert_true(str_is(gossip_address_text(&a, text), "1.2.3.4:5"));
    assert_true(gossip_address_parse(&a, STR("[fd00::1]:8301")));
    assert_true(str_is(gossip_address_text(&a, text), "[fd00::1]:8301"));
    assert_true(str_is(gossip_address_ip(&a, text), "fd00::1"));
    /* A mapped address is the short one. */
    assert_true(gossip_address_parse(&a, STR("[::ffff:1.2.3.4]:5")));
    assert_true(gossip_address_parse(&b, STR("1.2.3.4:5")));
    assert_true(gossip_address_eq(&a, &b));
    assert_false(gossip_address_parse(&a, STR("1.2.3.4")));
    assert_false(gossip_address_parse(&a, STR("::1:8301")));
    assert_false(gossip_address_parse(&a, STR("1.2.3.4:65536")));
    assert_false(gossip_address_parse(&a, STR("host:1")));
    struct gossip_cidr c;
    assert_true(gossip_cidr_parse(&c, STR("1.2.3.0/23")));
    assert_true(gossip_cidr_holds(&c, &b));
    gossip_address_parse(&a, STR("1.2.4.4:5"));
    assert_false(gossip_cidr_holds(&c, &a));
    assert_true(gossip_cidr_parse(&c, STR("0.0.0.0/0")) && gossip_cidr_holds(&c, &a));
    assert_true(gossip_cidr_parse(&c, STR("fd00::/8")));
    assert_false(gossip_cidr_holds(&c, &a));
    assert_false(gossip_cidr_parse(&c, STR("1.2.3.4")));
    assert_false(gossip_cidr_parse(&c, STR("1.2.3.4/33")));
}

/* ---- keys ---- */

static void test_keyring(void **state) {
    struct keyring ring = {.len = 0};
    struct error e = ERROR_IN(&arena);
    assert_false(keyring_add(&ring, STR("short"), &e));
    assert_true(str_is(e.text, "key size must be 16, 24 or 32 bytes"));
    assert_true(keyring_add(&ring, STR("aaaaaaaaaaaaaaaa"), &e));
    assert_true(keyring_add(&ring, STR("bbbbbbbbbbbbbbbbbbbbbbbb"), &e));
    assert_true(keyring_add(&ring, STR("cccccccccccccccc"), &e));
    assert_true(keyring_add(&ring, STR("aaaaaaaaaaaaaaaa"), &e));
    assert_int_equal(ring.len, 3);
    assert_true(keyring_use(&ring, STR("cccccccccccccccc"), &e));
    assert_memory_equal(ring.keys[0].bytes, "cccccccccccccccc", 16);
    assert_memory_equal(ring.keys[1].bytes, "aaaaaaaaaaaaaaaa", 16);
    assert_false(keyring_use(&ring, STR("dddddddddddddddd"), &e));
    assert_true(str_is(e.text, "Requested key is not in the keyring"));
    assert_false(keyring_remove(&ring, STR("cccccccccccccccc"), &e));
    assert_true(str_is(e.text, "Removing the primary key is not allowed"));
    assert_true(keyring_remove(&ring, STR("dddddddddddddddd"), &e));
    assert_true(keyring_remove(&ring, STR("aaaaaaaaaaaaaaaa"), &e));
    assert_int_equal(ring.len, 2);
    assert_false(keyring_parse(&ring, STR("[1]"), &e));
    assert_false(keyring_parse(&ring, STR("[\"%\"]"), &e));
    assert_false(keyring_parse(&ring, STR("{}"), &e));
    assert_true(keyring_parse(&ring, STR("[]"), &e) && ring.len == 0);
}

/* ---- rules ---- */

static struct gossip_member member(const char *name, const char *const *pairs) {
    struct gossip_tag tags[16];
    size_t len = 0;
    for (; pairs[2 * len] != NULL; len++)
        tags[len] = (struct gossip_tag){str_from(pairs[2 * len]), str_from(pairs[2 * len + 1])};
    struct gossip_member m = {.name = str_from(name), .status = GOSSIP_STATUS_ALIVE};
    struct error e = ERROR_IN(&arena);
    gossip_address_parse(&m.address, STR("10.0.0.1:8301"));
    assert_true(gossip_tags_write(tags, len, &m.meta, &arena, &e));
    return m;
}
#define MEMBER(name, ...) member((name), (const char *const[]){__VA_ARGS__, NULL})
#define SERVER(name, ...)                                                                          \
    MEMBER(name, "role", "consul", "port", "8300", "vsn", "2", "build", "1.8.7:", __VA_ARGS__)

static void test_servers(void **state) {
    struct gossip_server s;
    struct gossip_member m =
        SERVER("s1.dc1", "dc", "dc1", "id", "I", "raft_vsn", "3", "wan_join_port", "8302",
               "bootstrap", "1", "acls", "1", "ft_fs", "1");
    assert_true(gossip_server_of(&m, &s));
    assert_int_equal(s.address.port, 8300);
    assert_true(str_is(s.short_name, "s1") && str_is(s.name, "s1.dc1") && str_is(s.id, "I"));
    assert_true(s.bootstrap && !s.non_voter && s.acls == 1 && s.raft_version == 3);
    assert_int_equal(s.build[0] * 100 + s.build[1] * 10 + s.build[2], 187);
    assert_true(str_is(s.build_text, "1.8.7"));
    m = MEMBER("c", "role", "node", "dc", "dc1");
    assert_false(gossip_server_of(&m, &s));
    m = SERVER("s", "expect", "x");
    assert_false(gossip_server_of(&m, &s));
    m = SERVER("s", "ft_new", "");
    assert_false(gossip_server_of(&m, &s));
    m = SERVER("s", "sl_a", "nothing");
    assert_false(gossip_server_of(&m, &s));
    m = SERVER("s", "sl_a", "10.0.0.1:8300", "dc", "dc");
    assert_true(gossip_server_of(&m, &s) && s.acls == 3 && str_is(s.short_name, "s"));
    m = MEMBER("s", "role", "consul", "port", "8300", "vsn", "2", "build", "1.8");
    assert_false(gossip_server_of(&m, &s));
    m = MEMBER("s", "role", "consul", "vsn", "2", "build", "1.8.7");
    assert_false(gossip_server_of(&m, &s));
}

static const struct gossip_rules rules = {STR_INIT("me"), STR_INIT("my-id"), STR_INIT("dc1"),
                                          STR_INIT("")};

static void refused(struct gossip_member *list, size_t len, const char *text) {
    struct error e = ERROR_IN(&arena);
    bool ok = gossip_merge_lan(&rules, list, len, &e);
    assert_int_equal(ok, text == NULL);
    if (text != NULL && !str_is(e.text, text))
        fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(e.text), text);
}

static void test_merge(void **state) {
    struct gossip_member list[] = {
        SERVER("s1", "dc", "dc1", "id", "a"),
        MEMBER("c1", "role", "node", "dc", "dc1", "id", "b", "build", "1.8.7"),
    };
    refused(list, 2, NULL);
    list[1] = MEMBER("c1", "role", "node", "dc", "dc2", "id", "b");
    refused(list, 2, "Member 'c1' part of wrong datacenter 'dc2'");
    list[1] = MEMBER("c1", "role", "node", "dc", "dc1", "id", "my-id");
    refused(list, 2, "Member 'c1' has conflicting node ID 'my-id' with this agent's ID");
    list[1] = MEMBER("me", "role", "node", "dc", "dc1", "id", "my-id");
    refused(list, 2, NULL);
    list[1] = MEMBER("c1", "role", "node", "dc", "dc1", "id", "a");
    refused(list, 2, "Member 'c1' has conflicting node ID 'a' with member 's1'");
    list[1].state = GOSSIP_LEFT; /* one that left may have been anything */
    refused(list, 2, NULL);
    list[0] = SERVER("s1", "dc", "dc1", "segment", "alpha");
    refused(list, 1, "Member 's1' part of wrong segment 'alpha' (expected '')");
    list[0] = MEMBER("x", "role", "other");
    refused(list, 1, NULL);
    /* Identifiers of old versions do not count. */
    list[0] = MEMBER("old", "role", "node", "dc", "dc1", "id", "a", "build", "0.8.4");
    list[1] = MEMBER("c1", "role", "node", "dc", "dc1", "id", "a");
    refused(list, 2, NULL);

    struct error e = ERROR_IN(&arena);
    assert_false(gossip_merge_wan(&rules, list, 1, &e));
    assert_true(str_is(e.text, "Member 'old' is not a server"));
    list[0] = SERVER("s1.dc2", "dc", "dc2");
    assert_true(gossip_merge_wan(&rules, list, 1, &e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_tolerance, teardown),
        cmocka_unit_test_teardown(test_scan, teardown),
        cmocka_unit_test_teardown(test_broadcasts, teardown),
        cmocka_unit_test_teardown(test_timers, teardown),
        cmocka_unit_test_teardown(test_members, teardown),
        cmocka_unit_test_teardown(test_addresses, teardown),
        cmocka_unit_test_teardown(test_keyring, teardown),
        cmocka_unit_test_teardown(test_servers, teardown),
        cmocka_unit_test_teardown(test_merge, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

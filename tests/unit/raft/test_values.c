/* The small parts: checksums, configurations and their encodings, membership commands, the core's
 * view of the log, and meta.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "raft/checksum.h"
#include "raft/configuration.h"
#include "raft/log.h"
#include "raft/snapshots.h"
#include "unit/vectors.h"

static void test_checksums(void **state) {
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_true(crc64_ecma(0, "123456789", 9) == UINT64_C(0x995dc9bbdf1939fa));
    /* In pieces, at any offset. */
    char text[100];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (size_t i = 0; i <= sizeof text; i++) {
        uint32_t a = crc32c(crc32c(0, text, i), text + i, sizeof text - i);
        uint64_t b = crc64_ecma(crc64_ecma(0, text, i), text + i, sizeof text - i);
        assert_int_equal(a, crc32c(0, text, sizeof text));
        assert_true(b == crc64_ecma(0, text, sizeof text));
    }
}

static struct raft_configuration *three(void) {
    struct raft_server s[] = {{STR("a"), STR("1:1"), RAFT_VOTER},
                              {STR("b"), STR("2:2"), RAFT_VOTER},
                              {STR("c"), STR("3:3"), RAFT_NONVOTER}};
    return raft_configuration_new(s, 3);
}

static void test_encodings(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_configuration *c = three();
    struct buf bytes = BUF_INIT;
    raft_configuration_encode(c, &bytes);
    static const char head[] = "\x81\xa7Servers\x93\x83\xa7"
                               "Address\xa3"
                               "1:1\xa2ID\xa1"
                               "a\xa8Suffrage";
    assert_memory_equal(bytes.data, head, sizeof head - 1);
    struct raft_configuration *back = raft_configuration_decode(buf_str(&bytes), &e);
    assert_non_null(back);
    assert_int_equal(back->len, 3);
    assert_int_equal(back->servers[2].suffrage, RAFT_NONVOTER);
    assert_true(str_is(back->servers[1].address, "2:2"));
    raft_configuration_release(back);
    /* Cut anywhere it is an error. */
    for (size_t i = 0; i < bytes.len; i++)
        assert_null(raft_configuration_decode(str_sub(buf_str(&bytes), 0, i), &e));
    buf_clear(&bytes);
    raft_configuration_encode_peers(c, &bytes);
    assert_true(str_eq(buf_str(&bytes), STR("\x92\xa3"
                                            "1:1\xa3"
                                            "2:2")));
    back = raft_configuration_of_entry(3, buf_str(&bytes), &e);
    assert_int_equal(back->len, 2);
    assert_true(str_is(back->servers[0].id, "1:1"));
    raft_configuration_release(back);
    assert_true(str_is(raft_configuration_text(c, &arena),
                       "[{Suffrage:Voter ID:a Address:1:1} {Suffrage:Voter ID:b Address:2:2} "
                       "{Suffrage:Nonvoter ID:c Address:3:3}]"));
    raft_configuration_release(c);
    buf_free(&bytes);
    arena_free(&arena);
}

static void check_change(enum raft_change change, const char *id, const char *address,
                         const char *expected) {
    struct arena arena = ARENA_INIT;
    struct raft_configuration *c = three();
    struct raft_configuration *next =
        raft_configuration_change(c, change, str_from(id), str_from(address));
    struct str text = STR("");
    for (size_t i = 0; i < next->len; i++)
        text = str_format(&arena, "%.*s%s%.*s %.*s %s", STR_ARG(text), i > 0 ? ", " : "",
                          STR_ARG(next->servers[i].id), STR_ARG(next->servers[i].address),
                          next->servers[i].suffrage == RAFT_VOTER ? "v" : "n");
    assert_string_equal(str_terminated(&arena, text), expected);
    raft_configuration_release(c);
    raft_configuration_release(next);
    arena_free(&arena);
}

/* The table of raft.md 2.5. */
static void test_changes(void **state) {
    check_change(RAFT_ADD_VOTER, "d", "4:4", "a 1:1 v, b 2:2 v, c 3:3 n, d 4:4 v");
    check_change(RAFT_ADD_VOTER, "a", "9:9", "a 9:9 v, b 2:2 v, c 3:3 n");
    check_change(RAFT_ADD_VOTER, "c", "9:9", "a 1:1 v, b 2:2 v, c 9:9 v");
    check_change(RAFT_ADD_NONVOTER, "d", "4:4", "a 1:1 v, b 2:2 v, c 3:3 n, d 4:4 n");
    check_change(RAFT_ADD_NONVOTER, "c", "9:9", "a 1:1 v, b 2:2 v, c 9:9 n");
    check_change(RAFT_ADD_NONVOTER, "a", "9:9", "a 9:9 v, b 2:2 v, c 3:3 n");
    check_change(RAFT_DEMOTE, "a", "", "a 1:1 n, b 2:2 v, c 3:3 n");
    check_change(RAFT_DEMOTE, "x", "", "a 1:1 v, b 2:2 v, c 3:3 n");
    check_change(RAFT_REMOVE, "b", "", "a 1:1 v, c 3:3 n");
    check_change(RAFT_REMOVE, "x", "", "a 1:1 v, b 2:2 v, c 3:3 n");
}

static void check_invalid(const struct raft_server *s, size_t n, const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_configuration *c = raft_configuration_new(s, n);
    assert_false(raft_configuration_validate(c, &e));
    assert_true(str_has_prefix(e.text, str_from(text)));
    raft_configuration_release(c);
    arena_free(&arena);
}

static void test_validation(void **state) {
    struct raft_server a = {STR("a"), STR("1:1"), RAFT_VOTER},
                       b = {STR("b"), STR("2:2"), RAFT_VOTER};
    struct raft_server x;
    x = (struct raft_server){STR(""), STR("2:2"), RAFT_VOTER};
    check_invalid((struct raft_server[]){a, x}, 2, "Empty ID in configuration: ");
    x = (struct raft_server){STR("b"), STR(""), RAFT_VOTER};
    check_invalid((struct raft_server[]){a, x}, 2, "Empty address in configuration: ");
    x = (struct raft_server){STR("a"), STR("2:2"), RAFT_VOTER};
    check_invalid((struct raft_server[]){a, x}, 2, "Found duplicate ID in configuration: a");
    x = (struct raft_server){STR("b"), STR("1:1"), RAFT_VOTER};
    check_invalid((struct raft_server[]){a, x}, 2, "Found duplicate address in configuration: 1:1");
    b.suffrage = RAFT_NONVOTER;
    check_invalid(&b, 1, "Need at least one voter in configuration: ");
}

/* ---- the log ---- */

static void append(struct raft_log *l, uint64_t term) {
    struct raft_entry *e = raft_entry_new(RAFT_COMMAND, STR("0123456789"), STR_NONE);
    e->index = l->last + 1;
    e->term = term;
    raft_log_append(l, e);
}

static void test_log(void **state) {
    struct raft_log l;
    uint64_t term;
    struct raft_run runs[] = {{11, 2}, {15, 3}};
    raft_log_init(&l, 10, 2, 11, 20, runs, 2);
    assert_true(raft_log_term(&l, 10, &term) && term == 2); /* the snapshot's */
    assert_true(raft_log_term(&l, 14, &term) && term == 2);
    assert_true(raft_log_term(&l, 15, &term) && term == 3);
    assert_true(raft_log_term(&l, 20, &term) && term == 3);
    assert_false(raft_log_term(&l, 21, &term));
    assert_false(raft_log_term(&l, 9, &term));
    assert_true(raft_log_term(&l, 0, &term) && term == 0);
    assert_null(raft_log_cached(&l, 20)); /* on disk only */
    for (int i = 0; i < 200; i++)
        append(&l, i < 100 ? 4 : 5);
    assert_int_equal(raft_log_last_index(&l), 220);
    assert_int_equal(raft_log_last_term(&l), 5);
    assert_int_equal(raft_log_cached(&l, 150)->index, 150);
    /* Cutting off goes through what is in memory into what is not. */
    raft_log_truncate(&l, 130);
    assert_int_equal(raft_log_last_term(&l), 5 - 1 + (l.last >= 121));
    assert_null(raft_log_cached(&l, 130));
    raft_log_truncate(&l, 18);
    assert_int_equal(l.last, 17);
    assert_int_equal(raft_log_last_term(&l), 3);
    assert_int_equal(l.cached_first, 18);
    assert_int_equal(l.cached_bytes, 0);
    append(&l, 6);
    assert_int_equal(raft_log_cached(&l, 18)->term, 6);
    /* Compacting behind a snapshot. */
    l.snapshot_index = 16;
    l.snapshot_term = 3;
    raft_log_compact(&l, 15);
    assert_int_equal(l.first, 16);
    assert_false(raft_log_term(&l, 15, &term));
    assert_true(raft_log_term(&l, 16, &term) && term == 3);
    assert_int_equal(l.runs[0].first, 16);
    raft_log_reset(&l, 90, 7);
    assert_int_equal(raft_log_last_index(&l), 90);
    assert_int_equal(raft_log_last_term(&l), 7);
    assert_int_equal(l.first, 91);
    append(&l, 7);
    assert_int_equal(l.last, 91);
    raft_log_free(&l);
}

/* Memory is bounded by entries and by bytes, but only for what may be let go. */
static void test_cache(void **state) {
    struct raft_log l;
    raft_log_init(&l, 0, 0, 1, 0, NULL, 0);
    for (int i = 0; i < 1000; i++)
        append(&l, 1);
    raft_log_trim_cache(&l, 500, 512, SIZE_MAX);
    assert_int_equal(l.cached_first, 489);
    raft_log_trim_cache(&l, 700, 10, SIZE_MAX);
    assert_int_equal(l.cached_first, 701);
    size_t each = raft_entry_bytes(raft_log_cached(&l, 1000));
    raft_log_trim_cache(&l, 1000, 512, 20 * each);
    assert_int_equal(l.cached_first, 981);
    assert_int_equal(l.cached_bytes, 20 * each);
    raft_log_free(&l);
}

/* ---- meta.json ---- */

#define PEER_SNAPSHOT "raft/snapshot-dir/2-15-1795425206503"

static void test_meta_of_peer(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct snapshot_meta m;
    struct str text = vectors_bytes(&arena, PEER_SNAPSHOT "/meta.json");
    assert_true(snapshot_meta_read(text, &m, &arena, &e));
    assert_int_equal(m.index, 15);
    assert_int_equal(m.term, 2);
    assert_int_equal(m.configuration->len, 2);
    assert_int_equal(m.configuration->servers[1].suffrage, RAFT_NONVOTER);
    struct buf out = BUF_INIT;
    snapshot_meta_write(&m, true, &out);
    assert_true(str_eq(buf_str(&out), text)); /* to the byte */
    /* Its checksum is that of its state.bin. */
    struct str state_bin = vectors_unpacked(&arena, PEER_SNAPSHOT "/state.bin.gz");
    assert_int_equal(state_bin.len, m.size);
    assert_true(m.has_crc && m.crc == crc64_ecma(0, state_bin.data, state_bin.len));
    buf_free(&out);
    snapshot_meta_free(&m);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksums),    cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_changes),      cmocka_unit_test(test_validation),
        cmocka_unit_test(test_log),          cmocka_unit_test(test_cache),
        cmocka_unit_test(test_meta_of_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

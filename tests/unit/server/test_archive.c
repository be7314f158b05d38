/* Archives: what we write, what we read, and every text of fsm.md 8 against what the peer answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "server/archive.h"
#include "server/raft_driver.h"
#include "unit/vectors.h"

struct from_str {
    struct str rest;
    size_t piece; /* 0: as much as is wanted */
    bool fail_at_end;
};

static ptrdiff_t from_str(void *owner, char *out, size_t max, struct error *e) {
    struct from_str *s = owner;
    size_t n = s->rest.len < max ? s->rest.len : max;
    if (s->piece > 0 && n > s->piece)
        n = s->piece;
    if (n == 0 && s->fail_at_end) {
        error_set(e, ERROR_IO, "the disk is on fire");
        return -1;
    }
    if (n > 0)
        memcpy(out, s->rest.data, n);
    s->rest = str_sub(s->rest, n, SIZE_MAX);
    return (ptrdiff_t)n;
}

static bool into_buf(void *owner, struct str bytes, struct error *e) {
    buf_add_str(owner, bytes);
    return true;
}

static bool refuse(void *owner, struct str bytes, struct error *e) {
    return error_set(e, ERROR_INTERNAL, "no room");
}

/* The driver's part of the answers: raft's own checks of meta.json. */
static struct raft_driver *memory_driver(struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct raft_driver *d =
        raft_driver_open(&(struct raft_driver_options){.id = STR("id"),
                                                       .address = STR("127.44.0.1:8300"),
                                                       .bootstrap = true,
                                                       .dev_timing = true,
                                                       .store = {.map_size = (uint64_t)1 << 28}},
                         &e);
    assert_non_null(d);
    return d;
}

static void check_case(struct raft_driver *d, const struct value *c, size_t piece) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str bytes, name = value_get(c, "case")->string;
    struct str body = value_get(c, "body")->string;
    if (str_is(name, "stale")) { /* refused before the archive is looked at: not ours */
        arena_free(&arena);
        return;
    }
    assert_true(base64_decode(value_get(c, "archive_base64")->string, &bytes, &arena, &e));
    struct from_str source = {bytes, piece, false};
    struct raft_driver_restore *r = raft_driver_restore_read(d, from_str, &source, &e);
    if (body.len == 0) {
        if (r == NULL)
            print_error("%.*s: %.*s\n", STR_ARG(name), STR_ARG(e.text));
        assert_non_null(r);
        raft_driver_restore_free(r);
    } else {
        assert_null(r);
        if (!str_eq(e.text, body))
            print_error("%.*s:\n have %.*s\n want %.*s\n", STR_ARG(name), STR_ARG(e.text),
                        STR_ARG(body));
        assert_true(str_eq(e.text, body));
    }
    arena_free(&arena);
}

static void test_restore_errors(void **state) {
    struct arena arena = ARENA_INIT;
    const struct value *cases = value_get(vectors_json(&arena, "fsm/restore-errors.json"), "cases");
    assert_true(cases->list.len >= 20);
    struct raft_driver *d = memory_driver(&arena);
    for (size_t i = 0; i < cases->list.len; i++) {
        check_case(d, &cases->list.items[i], 0);
        check_case(d, &cases->list.items[i], 7);
    }
    raft_driver_free(d);
    arena_free(&arena);
}

static void read_archive(struct str bytes, struct archive_content *content, struct buf *state_bin,
                         struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct from_str source = {bytes, 0, false};
    if (!archive_read(from_str, &source, into_buf, state_bin, content, arena, &e)) {
        print_error("%.*s\n", STR_ARG(e.text));
        fail();
    }
}

/* The peer's archive, packed again: the same meta and state, and readable by ourselves. */
static void test_round_trip(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct archive_content first, second;
    struct buf state1 = BUF_INIT, state2 = BUF_INIT, packed = BUF_INIT;
    read_archive(vectors_bytes(&arena, "fsm/full.snap"), &first, &state1, &arena);
    assert_int_equal(first.meta.index, 92);
    assert_int_equal(first.meta.term, 2);
    assert_int_equal(first.meta.size, state1.len);
    assert_int_equal(first.meta.configuration->len, 1);
    struct from_str source = {buf_str(&state1), 1000, false};
    assert_true(archive_write(&first.meta, from_str, &source, into_buf, &packed, &e));
    read_archive(buf_str(&packed), &second, &state2, &arena);
    assert_true(str_eq(buf_str(&state1), buf_str(&state2)));
    struct buf meta1 = BUF_INIT, meta2 = BUF_INIT;
    snapshot_meta_write(&first.meta, false, &meta1);
    snapshot_meta_write(&second.meta, false, &meta2);
    assert_true(str_eq(buf_str(&meta1), buf_str(&meta2)));
    snapshot_meta_free(&first.meta);
    snapshot_meta_free(&second.meta);
    buf_free(&meta1);
    buf_free(&meta2);
    buf_free(&state1);
    buf_free(&state2);
    buf_free(&packed);
    arena_free(&arena);
}

/* What tar makes of it, whoever reads it after us. */
static void test_readable_by_tar(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_server self = {STR("id"), STR("127.0.0.1:8300"), RAFT_VOTER};
    struct snapshot_meta meta = {
        .version = 1, .id = STR("2-9-9"), .index = 9, .term = 2, .size = 5};
    meta.configuration = raft_configuration_new(&self, 1);
    struct from_str source = {STR("state"), 0, false};
    struct buf packed = BUF_INIT;
    assert_true(archive_write(&meta, from_str, &source, into_buf, &packed, &e));
    char path[] = "/tmp/praetor-archive-XXXXXX", command[400];
    int fd = mkstemp(path);
    assert_int_equal(write(fd, packed.data, packed.len), packed.len);
    close(fd);
    snprintf(command, sizeof command,
             "mkdir %s.d && tar -xzf %s -C %s.d && cd %s.d && sha256sum --quiet -c SHA256SUMS && "
             "test $(cat state.bin) = state",
             path, path, path, path);
    assert_int_equal(0, system(command));
    snprintf(command, sizeof command, "rm -rf %s %s.d", path, path);
    assert_int_equal(0, system(command));
    snapshot_meta_free(&meta);
    buf_free(&packed);
    arena_free(&arena);
}

/* Cut anywhere, or with any byte changed, it is an error, and never a crash. */
static void test_damage(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_server self = {STR("id"), STR("127.0.0.1:8300"), RAFT_VOTER};
    struct snapshot_meta meta = {
        .version = 1, .id = STR("2-9-9"), .index = 9, .term = 2, .size = 9};
    meta.configuration = raft_configuration_new(&self, 1);
    struct from_str source = {STR("the state"), 0, false};
    struct buf packed = BUF_INIT;
    assert_true(archive_write(&meta, from_str, &source, into_buf, &packed, &e));
    snapshot_meta_free(&meta);
    for (size_t i = 0; i < packed.len; i++) {
        struct arena scratch = ARENA_INIT;
        struct error why = ERROR_IN(&scratch);
        struct archive_content content;
        struct buf out = BUF_INIT;
        struct from_str cut = {str_of(packed.data, i), 0, false};
        assert_false(archive_read(from_str, &cut, into_buf, &out, &content, &scratch, &why));
        assert_true(error_is_set(&why) && why.text.len > 0);
        buf_clear(&out);
        error_clear(&why);
        /* Bytes 4 to 9 of a gzip header (time, flags, system) mean nothing. */
        if (i < 4 || i > 9) {
            packed.data[i] = (char)(packed.data[i] ^ 0x41);
            struct from_str changed = {buf_str(&packed), 0, false};
            assert_false(
                archive_read(from_str, &changed, into_buf, &out, &content, &scratch, &why));
            packed.data[i] = (char)(packed.data[i] ^ 0x41);
        }
        buf_free(&out);
        arena_free(&scratch);
    }
    buf_free(&packed);
    arena_free(&arena);
}

/* Failures that are not the archive's come through as they are. */
static void test_other_errors(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct archive_content content;
    struct str bytes = vectors_bytes(&arena, "fsm/full.snap");
    struct from_str source = {str_sub(bytes, 0, 1000), 0, true};
    struct buf out = BUF_INIT;
    assert_false(archive_read(from_str, &source, into_buf, &out, &content, &arena, &e));
    assert_true(str_is(e.text, "the disk is on fire"));
    error_clear(&e);
    source = (struct from_str){bytes, 0, false};
    assert_false(archive_read(from_str, &source, refuse, NULL, &content, &arena, &e));
    assert_true(str_is(e.text, "no room"));
    buf_free(&out);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore_errors),  cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_readable_by_tar), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_other_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

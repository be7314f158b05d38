/* error.c: texts, prefixes, copies that outlive where they came from. */
#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_set_and_prefix(void **state) {
    struct arena arena = ARENA_INIT;
    struct error err = ERROR_IN(&arena);
    assert_false(error_is_set(&err));
    assert_false(error_set(&err, ERROR_DENIED, "Permission %s", "denied"));
    assert_true(error_is_set(&err));
    assert_int_equal(err.kind, ERROR_DENIED);
    assert_true(str_is(err.text, "Permission denied"));
    assert_false(error_prefix(&err, "%d: ", 7));
    assert_false(error_prefix(&err, "rpc error: "));
    assert_true(str_is(err.text, "rpc error: 7: Permission denied"));
    assert_int_equal(err.kind, ERROR_DENIED);
    /* A text may be made from the one before. */
    error_set(&err, ERROR_BAD_REQUEST, "[" STR_FMT "]", STR_ARG(err.text));
    assert_true(str_is(err.text, "[rpc error: 7: Permission denied]"));
    error_clear(&err);
    assert_false(error_is_set(&err));
    assert_int_equal(err.text.len, 0);
    arena_free(&arena);
}

static void test_empty_text(void **state) {
    struct arena arena = ARENA_INIT;
    struct error err = ERROR_IN(&arena);
    error_set(&err, ERROR_RATE_LIMIT, "%s", "");
    assert_true(error_is_set(&err));
    error_prefix(&err, "a");
    assert_true(str_is(err.text, "a"));
    arena_free(&arena);
}

static void test_errno(void **state) {
    struct arena arena = ARENA_INIT;
    struct error err = ERROR_IN(&arena);
    assert_false(error_set_errno(&err, ENOENT, "open %s", "/nope"));
    assert_int_equal(err.kind, ERROR_IO);
    assert_true(str_is(err.text, "open /nope: No such file or directory"));
    error_set_errno(&err, 99999, "x");
    assert_true(str_has_prefix(err.text, STR("x: ")));
    arena_free(&arena);
}

static void test_copy(void **state) {
    struct arena from_arena = ARENA_INIT, arena = ARENA_INIT;
    struct error from = ERROR_IN(&from_arena), err = ERROR_IN(&arena);
    error_set(&from, ERROR_NO_LEADER, "No cluster leader");
    assert_false(error_copy(&err, &from));
    arena_free(&from_arena);
    assert_int_equal(err.kind, ERROR_NO_LEADER);
    assert_true(str_is(err.text, "No cluster leader"));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_prefix),
        cmocka_unit_test(test_empty_text),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

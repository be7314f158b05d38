/* fault.c: which names a server is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/fault.h"

static void test_names(void **state) {
    static const char *const names[] = {"localhost", "a",   "a.b",     "a.b.",
                                        "A_b-c.9d",  "1-2", "_x._tcp", "1.a"};
    static const char *const others[] = {"",     ".",   "a..b", ".a",  "-a",  "a-",    "a.-b",
                                         "a-.b", "1.2", "12",   "a b", "a/b", "a\x80", "[::1]"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_true(fault_is_host_name(str_from(names[i])));
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_false(fault_is_host_name(str_from(others[i])));
}

/* "aaa…a.aaa…a." with labels of the length, cut off behind `len` bytes. */
static struct str long_name(char out[512], size_t label, size_t len) {
    memset(out, 'a', 512);
    for (size_t i = label; i < 512; i += label + 1)
        out[i] = '.';
    return str_of(out, len);
}

static void test_lengths(void **state) {
    char name[512];
    assert_true(fault_is_host_name(long_name(name, 63, 63)));
    assert_false(fault_is_host_name(long_name(name, 64, 64)));
    assert_false(fault_is_host_name(long_name(name, 64, 66)));
    assert_true(fault_is_host_name(long_name(name, 50, 253)));
    assert_false(fault_is_host_name(long_name(name, 60, 254))); /* no dot at its end */
    name[253] = '.';
    assert_true(fault_is_host_name(str_of(name, 254)));
    name[253] = 'a';
    name[254] = '.';
    assert_false(fault_is_host_name(str_of(name, 255)));
}

static void test_texts(void **state) {
    struct arena arena = ARENA_INIT;
    struct str text = fault_lookup(&arena, STR("a..b"));
    assert_string_equal(str_terminated(&arena, text), "dial tcp: lookup a..b: no such host");
    text = fault_unknown_host(&arena, STR("a.invalid"));
    assert_true(str_has_prefix(text, STR("lookup a.invalid on ")));
    assert_true(str_has_suffix(text, STR(":53: no such host")));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

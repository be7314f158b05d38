/* str.c and utf8_print.c: comparing, searching, cutting, copies, numbers, quoting, UTF-8. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"

#define assert_str(s, text) assert_true(str_eq((s), STR(text)))

static void test_compare(void **state) {
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_true(str_eq_secret(STR_NONE, STR("")));
    assert_true(str_eq_secret(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq_secret(STR("a\0b"), STR("b\0b")));
    assert_false(str_eq_secret(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq_secret(STR("a"), STR("ab")));
    assert_true(str_is(STR("kvs"), "kvs"));
    assert_true(str_is(STR(""), NULL));
    assert_true(str_eq_fold(STR("WeB-1"), STR("wEb-1")));
    assert_false(str_eq_fold(STR("[web"), STR("{web"))); /* 0x20 apart, but no letters */
    assert_false(str_eq_fold(STR("\xc3\x84"), STR("\xc3\xa4")));
    assert_int_equal(str_compare(STR("a"), STR("a")), 0);
    assert_int_equal(str_compare(STR_NONE, STR("")), 0);
    assert_true(str_compare(STR("a"), STR("ab")) < 0);
    assert_true(str_compare(STR("b"), STR("ab")) > 0);
    assert_true(str_compare(STR("\xff"), STR("a")) > 0); /* bytes are unsigned */
    assert_true(str_compare(STR_NONE, STR("a")) < 0);
    assert_int_equal(str_compare_fold(STR("WeB"), STR("wEb")), 0);
    assert_true(str_compare_fold(STR("A"), STR("b")) < 0);
    assert_true(str_compare_fold(STR("B"), STR("a")) > 0);
    assert_true(str_compare_fold(STR("A"), STR("ab")) < 0);
    assert_true(str_compare_fold(STR("["), STR("a")) < 0); /* not the letters' */
    assert_true(str_compare_fold(STR("\xff"), STR("a")) > 0);
}

static void test_find(void **state) {
    assert_true(str_has_prefix(STR("service"), STR("serv")));
    assert_true(str_has_prefix(STR("service"), STR_NONE));
    assert_true(str_has_prefix(STR_NONE, STR_NONE));
    assert_false(str_has_prefix(STR("ser"), STR("serv")));
    assert_true(str_has_suffix(STR("service"), STR("ice")));
    assert_false(str_has_suffix(STR("ice"), STR("service")));
    assert_int_equal(str_find(STR("abcabc"), STR("bc"), 0), 1);
    assert_int_equal(str_find(STR("abcabc"), STR("bc"), 2), 4);
    assert_int_equal(str_find(STR("abcabc"), STR("bc"), 5), -1);
    assert_int_equal(str_find(STR("abc"), STR(""), 3), 3);
    assert_int_equal(str_find(STR("abc"), STR(""), 4), -1);
    assert_int_equal(str_find(STR_NONE, STR("a"), 0), -1);
    assert_int_equal(str_find(STR("abc"), STR("c"), SIZE_MAX), -1);
    assert_int_equal(str_find_char(STR("a/b"), '/'), 1);
    assert_int_equal(str_find_char(STR_NONE, '/'), -1);
}

static void test_cut(void **state) {
    assert_str(str_sub(STR("abcdef"), 2, 3), "cde");
    assert_str(str_sub(STR("abcdef"), 4, SIZE_MAX), "ef");
    assert_str(str_sub(STR("abcdef"), 9, 1), "");
    assert_null(str_sub(STR_NONE, 0, 5).data);
    assert_str(str_trim(STR(" \t\r\n a b \n")), "a b");
    assert_str(str_trim(STR(" \n")), "");
    assert_str(str_trim(STR_NONE), "");
    assert_str(str_trim(STR("\va")), "\va");

    struct str rest = STR("a//b/");
    assert_str(str_cut(&rest, '/'), "a");
    assert_str(str_cut(&rest, '/'), "");
    assert_str(str_cut(&rest, '/'), "b");
    assert_non_null(rest.data); /* something follows the last separator: an empty part */
    assert_str(str_cut(&rest, '/'), "");
    assert_null(rest.data);
    assert_null(str_cut(&rest, '/').data);
}

static void test_copies(void **state) {
    struct arena arena = ARENA_INIT;
    struct str copy = str_copy(&arena, STR("ab\0c"));
    assert_int_equal(copy.len, 4);
    assert_memory_equal(copy.data, "ab\0c", 5);
    assert_null(str_copy(&arena, STR_NONE).data);
    assert_non_null(str_copy(&arena, STR("")).data);
    assert_string_equal(str_terminated(&arena, STR_NONE), "");
    assert_string_equal(str_terminated(&arena, str_sub(STR("abc"), 0, 2)), "ab");
    assert_str(str_lower(&arena, STR("NoDe-1\xc3\x84Z[")), "node-1\xc3\x84z[");
    assert_null(str_lower(&arena, STR_NONE).data);
    assert_null(str_from(NULL).data);
    assert_true(str_hash(STR("a")) == 0xaf63dc4c8601ec8cu); /* FNV-1a as published */
    assert_true(str_hash(STR_NONE) == 0xcbf29ce484222325u);
    arena_free(&arena);
}

static void test_format(void **state) {
    struct arena arena = ARENA_INIT;
    assert_str(str_format(&arena, "%s-%d", "a", 5), "a-5");
    assert_str(str_format(&arena, STR_FMT "|" STR_FMT, STR_ARG(STR_NONE), STR_ARG(STR("x"))), "|x");
    for (int width = 250; width < 262; width++) { /* around the size of the small buffer */
        struct str s = str_format(&arena, "%*d", width, 7);
        assert_int_equal(s.len, width);
        assert_int_equal(s.data[width - 1], '7');
        assert_int_equal(s.data[width], '\0');
    }
    arena_free(&arena);
}

static void test_numbers(void **state) {
    uint64_t u = 1;
    int64_t i = 1;
    assert_true(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(str_to_u64(STR("000"), &u) && u == 0);
    u = 5;
    static const char *const no_u64[] = {"",
                                         "18446744073709551616",
                                         "99999999999999999999",
                                         "-1",
                                         "+1",
                                         " 1",
                                         "1 ",
                                         "0x1",
                                         "1_0",
                                         "1.0",
                                         "a"};
    for (size_t n = 0; n < sizeof no_u64 / sizeof no_u64[0]; n++) {
        assert_false(str_to_u64(str_from(no_u64[n]), &u));
        assert_int_equal(u, 5);
    }
    assert_false(str_to_u64(STR("1\0"), &u));
    assert_true(str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_to_i64(STR("+7"), &i) && i == 7);
    assert_true(str_to_i64(STR("-0"), &i) && i == 0);
    static const char *const no_i64[] = {
        "",    "9223372036854775808", "-9223372036854775809", "-", "+", "--1", "+-1",
        "- 1", "18446744073709551617"};
    for (size_t n = 0; n < sizeof no_i64 / sizeof no_i64[0]; n++) {
        assert_false(str_to_i64(str_from(no_i64[n]), &i));
        assert_int_equal(i, 0);
    }
}

static void test_quote(void **state) {
    struct arena arena = ARENA_INIT;
    assert_str(str_quote(&arena, STR_NONE), "\"\"");
    assert_str(str_quote(&arena, STR("a\"b\\c")), "\"a\\\"b\\\\c\"");
    assert_str(str_quote(&arena, STR("\a\b\f\n\r\t\v")), "\"\\a\\b\\f\\n\\r\\t\\v\"");
    /* The peer's validate command, run: "1\x01s", "1\u007f". */
    assert_str(str_quote(&arena, STR("\x01 \x7f")), "\"\\x01 \\u007f\"");
    assert_str(str_quote(&arena, STR("a\0b")), "\"a\\x00b\"");
    assert_str(str_quote(&arena, STR("\xff\xc3")), "\"\\xff\\xc3\"");
    assert_str(str_quote(&arena, STR("5\u00b5\u65e5\U0001f600")), "\"5\u00b5\u65e5\U0001f600\"");
    assert_str(str_quote(&arena, STR("\u00a0\u200b\u2028\ufeff\ue000")),
               "\"\\u00a0\\u200b\\u2028\\ufeff\\ue000\"");
    assert_str(str_quote(&arena, STR("\U000e0001\U0010ffff")), "\"\\U000e0001\\U0010ffff\"");
    assert_str(str_quote(&arena, STR("\xef\xbf\xbd")), "\"\xef\xbf\xbd\"");    /* U+FFFD itself */
    assert_str(str_quote(&arena, STR("\xed\xa0\x80")), "\"\\xed\\xa0\\x80\""); /* surrogate */
    arena_free(&arena);
}

static void test_print(void **state) {
    assert_true(utf8_is_print(' ') && utf8_is_print('~') && utf8_is_print(0xe000 - 0x1800));
    assert_false(utf8_is_print(0x1f) || utf8_is_print(0x7f) || utf8_is_print(0xad));
    assert_false(utf8_is_print(0x378)); /* not assigned */
    assert_true(utf8_is_print(0x1f9ff) && utf8_is_print(0xe01ef));
    assert_true(utf8_is_print(0x1fa73));  /* Unicode 12 */
    assert_false(utf8_is_print(0x1fa74)); /* Unicode 13 */
    assert_false(utf8_is_print(0x10ffff) || utf8_is_print(UINT32_MAX));
}

static void test_utf8_every_rune(void **state) {
    for (uint32_t rune = 0; rune < 0x110000; rune++) {
        char bytes[4];
        size_t size = rune < 0x80 ? 1 : rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
        static const unsigned lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = size; i-- > 1;) {
            bytes[i] = (char)(0x80 | (rune >> 6 * (size - 1 - i) & 0x3f));
        }
        bytes[0] = (char)(lead[size] | rune >> 6 * (size - 1));
        uint32_t got = UINT32_MAX;
        bool surrogate = rune >= 0xd800 && rune < 0xe000;
        size_t expected = surrogate ? 0 : size;
        if (utf8_decode(bytes, size, &got) != expected || (!surrogate && got != rune) ||
            utf8_decode(bytes, size - 1, NULL) != 0) {
            fail_msg("rune %x", rune);
        }
    }
}

static void test_utf8_invalid(void **state) {
    static const char *const invalid[] = {
        "\x80",     /* continuation alone */
        "\xc0\x80", /* longer than needed */
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", /* above 10ffff */
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xc3(",
        "\xe2\x82(",
        "\xf0\x9f\x98(",
    };
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        assert_int_equal(utf8_decode(invalid[i], strlen(invalid[i]), NULL), 0);
    }
    uint32_t rune = 9;
    assert_int_equal(utf8_decode("", 1, &rune), 1); /* the NUL byte is a rune */
    assert_int_equal(rune, 0);
    assert_int_equal(utf8_decode("abc", 3, &rune), 1);
}

static void test_bool(void **state) {
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    static const char *const neither[] = {"", "2", "tRUE", "yes", "true ", "fALSE"};
    for (size_t i = 0; i < 6; i++) {
        bool value = false;
        assert_true(str_to_bool(str_from(yes[i]), &value) && value);
        assert_true(str_to_bool(str_from(no[i]), &value) && !value);
        assert_false(str_to_bool(str_from(neither[i]), &value));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bool),         cmocka_unit_test(test_compare),
        cmocka_unit_test(test_find),         cmocka_unit_test(test_cut),
        cmocka_unit_test(test_copies),       cmocka_unit_test(test_format),
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_quote),
        cmocka_unit_test(test_print),        cmocka_unit_test(test_utf8_every_rune),
        cmocka_unit_test(test_utf8_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

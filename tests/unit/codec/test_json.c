/* JSON text: what the parser says to broken texts, and what the writer makes of values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/json.h"

static void expect_error(const char *text, const char *stream, const char *whole) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    bool ok = json_parse(str_from(text), &v, NULL, &arena, &e);
    if (ok ? stream != NULL : stream == NULL || !str_is(e.text, stream)) {
        fail_msg("%s: stream says '%.*s'", text, STR_ARG(ok ? STR("ok") : e.text));
    }
    error_clear(&e);
    ok = json_parse_whole(str_from(text), &v, &arena, &e);
    if (ok ? whole != NULL : whole == NULL || !str_is(e.text, whole)) {
        fail_msg("%s: whole says '%.*s'", text, STR_ARG(ok ? STR("ok") : e.text));
    }
    arena_free(&arena);
}

/* The whole-text forms are those of the peer's language for a text in memory. */
static void test_errors(void **state) {
    static const char unexpected_end[] = "unexpected end of JSON input";
    expect_error("", "EOF", unexpected_end);
    expect_error(" \n", "EOF", unexpected_end);
    expect_error("{", "unexpected EOF", unexpected_end);
    expect_error("[1,", "unexpected EOF", unexpected_end);
    expect_error("\"a", "unexpected EOF", unexpected_end);
    expect_error("nul", "unexpected EOF", "invalid character ' ' in literal null (expecting 'l')");
    expect_error("-", "unexpected EOF", "invalid character ' ' in numeric literal");
    expect_error("1.", "unexpected EOF",
                 "invalid character ' ' after decimal point in numeric literal");
    expect_error("1e", "unexpected EOF", "invalid character ' ' in exponent of numeric literal");
    expect_error("\"\\", "unexpected EOF", "invalid character ' ' in string escape code");
    expect_error("\"\\u1", "unexpected EOF",
                 "invalid character ' ' in \\u hexadecimal character escape");
    expect_error("x", "invalid character 'x' looking for beginning of value",
                 "invalid character 'x' looking for beginning of value");
    expect_error("{} x", NULL, "invalid character 'x' after top-level value");
    expect_error("{}{", NULL, "invalid character '{' after top-level value");
    expect_error("1 2", NULL, "invalid character '2' after top-level value");
    expect_error("012", NULL, "invalid character '1' after top-level value");
    expect_error("[1 2]", "invalid character '2' after array element",
                 "invalid character '2' after array element");
    expect_error("\"\x7f\"", NULL, NULL);
    expect_error("{\"a\":tru}", "invalid character '}' in literal true (expecting 'e')",
                 "invalid character '}' in literal true (expecting 'e')");
}

static void test_depth(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    char text[JSON_MAX_DEPTH * 2 + 4];
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    assert_true(json_parse_whole(str_of(text, JSON_MAX_DEPTH * 2), &v, &arena, &e));
    memset(text, '[', JSON_MAX_DEPTH + 1);
    memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
    assert_false(json_parse_whole(str_of(text, JSON_MAX_DEPTH * 2 + 2), &v, &arena, &e));
    assert_true(str_is(e.text, "exceeded max depth"));
    arena_free(&arena);
}

static void check_string(const char *json, const char *want, size_t len) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    assert_true(json_parse_whole(str_from(json), &v, &arena, &e));
    assert_int_equal(v.kind, VALUE_STRING);
    if (!str_eq(v.string, str_of(want, len))) {
        fail_msg("%s gives '%.*s'", json, STR_ARG(v.string));
    }
    arena_free(&arena);
}
#define EXPECT_STRING(json, want) check_string(json, want, sizeof(want) - 1)

static void test_strings(void **state) {
    EXPECT_STRING("\"\"", "");
    EXPECT_STRING("\"plain \xc3\xa9\"", "plain \xc3\xa9");
    EXPECT_STRING("\"\\b\\f\\n\\r\\t\\\\\\/\\\"\"", "\b\f\n\r\t\\/\"");
    EXPECT_STRING("\"\\u0041\\u00e9\\u20ac\\u0000\"", "A\xc3\xa9\xe2\x82\xac\0");
    EXPECT_STRING("\"\\ud83d\\ude00\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80");
    EXPECT_STRING("\"\\ud800\"", "\xef\xbf\xbd");
    EXPECT_STRING("\"\\ud800\\u0041\"", "\xef\xbf\xbd\x41");
    EXPECT_STRING("\"\\udc00\\ud800\\udc00\"", "\xef\xbf\xbd\xf0\x90\x80\x80");
    EXPECT_STRING("\"a\xff\xc3z\"", "a\xef\xbf\xbd\xef\xbf\xbdz");
    EXPECT_STRING("\"\xed\xa0\x80\"", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void test_trees(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    size_t end;
    struct str text = STR(" {\"b\":[1,-2.5e3,true,null],\"a\":{},\"b\":\"x\"} rest");
    assert_true(json_parse(text, &v, &end, &arena, &e));
    assert_int_equal(end, text.len - 5);
    assert_int_equal(v.map.len, 3);
    assert_int_equal(v.position, 1);
    assert_true(str_is(value_get(&v, "b")->string, "x"));
    const struct value *list = &v.map.pairs[0].value;
    assert_int_equal(list->list.len, 4);
    assert_true(list->list.items[1].number == -2500);
    assert_true(str_is(list->list.items[1].literal, "-2.5e3"));
    assert_int_equal(list->list.items[3].kind, VALUE_NULL);
    assert_null(value_get(&v, "nope"));
    struct value *copy = value_copy(&v, &arena);
    assert_true(value_equal(copy, &v));
    copy->map.pairs[1].key = STR("c");
    assert_false(value_equal(copy, &v));

    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_value(&w, &v);
    assert_true(str_is(buf_str(&out), "{\"a\":{},\"b\":\"x\"}"));
    buf_free(&out);
    arena_free(&arena);
}

static void expect_number(double d, const char *want) {
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_f64(&w, d);
    buf_add_char(&out, 0);
    assert_string_equal(out.data, want);
    buf_free(&out);
}

static void test_numbers(void **state) {
    expect_number(0, "0");
    expect_number(-0.0, "-0");
    expect_number(1, "1");
    expect_number(-1.5, "-1.5");
    expect_number(0.1, "0.1");
    expect_number(1e-5, "0.00001");
    expect_number(1e-6, "0.000001");
    expect_number(1e-7, "1e-7");
    expect_number(1.5e-7, "1.5e-7");
    expect_number(1e-100, "1e-100");
    expect_number(123456789012345680.0, "123456789012345680");
    expect_number(1e20, "100000000000000000000");
    expect_number(1e21, "1e+21");
    expect_number(1.25e22, "1.25e+22");
    expect_number(1e100, "1e+100");
    expect_number(5e-324, "5e-324");
    expect_number(2.2250738585072014e-308, "2.2250738585072014e-308");
    expect_number(1.7976931348623157e308, "1.7976931348623157e+308");
    expect_number(0.3, "0.3");
    expect_number(0.1 + 0.2, "0.30000000000000004");
    expect_number(9007199254740993.0, "9007199254740992");
    expect_number(9.5367431640625e-07, "9.5367431640625e-7");
    expect_number(33.34, "33.34");
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_f32(&w, 33.34f);
    assert_true(str_is(buf_str(&out), "33.34"));
    buf_clear(&out);
    json_begin(&w, &out, false);
    json_f32(&w, 3.4e10f);
    assert_true(str_is(buf_str(&out), "34000000000"));
    buf_free(&out);
}

/* Reads back, and no shorter text does. */
static void test_random_numbers(void **state) {
    struct prng random;
    prng_seed(&random, 7);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = prng_next(&random);
        double d;
        memcpy(&d, &bits, sizeof(d));
        if (i % 2 == 1) {
            d = prng_unit(&random) * 2 - 1;
        }
        if (d != d || d - d != 0) {
            continue;
        }
        struct buf out = BUF_INIT;
        struct json_writer w;
        json_begin(&w, &out, false);
        json_f64(&w, d);
        buf_add_char(&out, 0);
        assert_true(strtod(out.data, NULL) == d);
        buf_free(&out);
    }
}

static void expect_escaped(const char *in, size_t len, const char *want) {
    struct buf out = BUF_INIT;
    json_escape(&out, str_of(in, len));
    buf_add_char(&out, 0);
    assert_string_equal(out.data, want);
    buf_free(&out);
}
#define EXPECT_ESCAPED(in, want) expect_escaped(in, sizeof(in) - 1, want)

static void test_escapes(void **state) {
    EXPECT_ESCAPED("a<b&\"\\\xff>\xc3\xa9+ ",
                   "\"a\\u003cb\\u0026\\\"\\\\\\ufffd\\u003e\xc3\xa9+ \"");
    EXPECT_ESCAPED("\n\r\t\b\f\x1f\x7f\0", "\"\\n\\r\\t\\u0008\\u000c\\u001f\x7f\\u0000\"");
    EXPECT_ESCAPED("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\"");
    EXPECT_ESCAPED("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
}

static void test_layout(void **state) {
    struct buf out = BUF_INIT;
    struct json_writer w;
    for (int pretty = 0; pretty < 2; pretty++) {
        buf_clear(&out);
        json_begin(&w, &out, pretty);
        json_open_object(&w);
        json_key(&w, STR("a"));
        json_open_array(&w);
        json_i64(&w, -1);
        json_open_object(&w);
        json_close_object(&w);
        json_bool(&w, true);
        json_close_array(&w);
        json_key(&w, STR("b<"));
        json_open_array(&w);
        json_close_array(&w);
        json_key(&w, STR("c"));
        json_base64(&w, STR("ab"));
        json_key(&w, STR("d"));
        json_base64(&w, STR_NONE);
        json_close_object(&w);
        json_finish(&w);
        buf_add_char(&out, 0);
        assert_string_equal(
            out.data, pretty ? "{\n    \"a\": [\n        -1,\n        {},\n        true\n    ],\n"
                               "    \"b\\u003c\": [],\n    \"c\": \"YWI=\",\n    \"d\": null\n}\n"
                             : "{\"a\":[-1,{},true],\"b\\u003c\":[],\"c\":\"YWI=\",\"d\":null}");
    }
    buf_free(&out);
}

static void expect_anew(const char *text, const char *expected) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf out = BUF_INIT;
    bool ok = json_layout(str_from(text), "\t", &out, &arena, &e);
    struct str got = ok ? buf_str(&out) : e.text;
    if (!str_is(got, expected))
        fail_msg("%s gave %.*s", text, STR_ARG(got));
    buf_free(&out);
    arena_free(&arena);
}

/* What the peer's language makes of texts that it indents. */
static void test_anew(void **state) {
    expect_anew("{}", "{}");
    expect_anew(" [ ] ", "[] ");
    expect_anew("5\n", "5\n");
    expect_anew("{\"b\" :1e5,\"a\":[1, 2.50,{ }],\"b\":{\"x\":[[]]}}\n\n",
                "{\n\t\"b\": 1e5,\n\t\"a\": [\n\t\t1,\n\t\t2.50,\n\t\t{}\n\t],\n\t\"b\": "
                "{\n\t\t\"x\": [\n\t\t\t[]\n\t\t]\n\t}\n}\n\n");
    expect_anew("\"a\\\"{,}\\\\\"", "\"a\\\"{,}\\\\\"");
    expect_anew("[\"\\u00e9 <&>\"]", "[\n\t\"\\u00e9 <&>\"\n]");
    expect_anew("{", "unexpected end of JSON input");
    expect_anew("{]", "invalid character ']' looking for beginning of object key string");
    expect_anew("{} x", "invalid character 'x' after top-level value");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_trees),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_random_numbers),
        cmocka_unit_test(test_escapes), cmocka_unit_test(test_layout),
        cmocka_unit_test(test_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

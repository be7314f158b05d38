/* The HCL reader against what the peer was seen to do (config.md 1.5; the error texts and places
 * come from runs of it).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/hcl.h"
#include "codec/json.h"

static struct str parse(const char *text, size_t len, struct arena *arena) {
    struct value v = {0};
    struct error e = ERROR_IN(arena);
    if (!hcl_parse(str_of(text, len), &v, arena, &e))
        return str_format(arena, "error: " STR_FMT, STR_ARG(e.text));
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_value(&w, &v);
    json_finish(&w);
    struct str json = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return json;
}

static void check(const char *text, const char *expected) {
    struct arena arena = ARENA_INIT;
    struct str got = parse(text, strlen(text), &arena);
    if (!str_is(got, expected))
        fail_msg("%s\n   gave %s\n   not  %s", text, got.data, expected);
    arena_free(&arena);
}

static void test_values(void **state) {
    check("", "{}");
    check("a = 1", "{\"a\":1}");
    check("a = 010 b = 0x1F c = -0x3 d = -7", "{\"a\":8,\"b\":31,\"c\":-3,\"d\":-7}");
    check("a = 1.5 b = .5 c = 1. d = 1e3 e = 1.5E-3",
          "{\"a\":1.5,\"b\":0.5,\"c\":1,\"d\":1000,\"e\":0.0015}");
    check("a = true b = false", "{\"a\":true,\"b\":false}");
    check("a = \"x\\n\\\"\\\\\\u00e9\\x41\\101\"", "{\"a\":\"x\\n\\\"\\\\\xc3\xa9"
                                                   "AA\"}");
    check("a = \"${foo \"bar\" {x} \\n}\"", "{\"a\":\"${foo \\\"bar\\\" {x} \\\\n}\"}");
    check("a = \"${b\n}\"", "{\"a\":\"${b\\n}\"}");
    check("a = [1, \"x\", true,]", "{\"a\":[1,\"x\",true]}");
    check("a=[,1]\nb=[[1] [2]]", "{\"a\":[1],\"b\":[[1],[2]]}");
    check("a=[1,,2]", "{\"a\":[1,2]}");
    check("server =", "{}");
    check("a=1, b=2,", "{\"a\":1,\"b\":2}");
    check("# c\na = 1 // d\n/* e\n */ b = 2", "{\"a\":1,\"b\":2}");
    check("a-b.c = 1\r\n\"x y\" = 2\r\n", "{\"a-b.c\":1,\"x y\":2}");
    check("\xc3\xa9 = 1", "{\"\xc3\xa9\":1}");
}

static void test_heredocs(void **state) {
    check("a = <<EOF\nfoo\nEOF\n", "{\"a\":\"foo\\n\"}");
    check("a = <<EOF\nfoo\n  EOF\n", "{\"a\":\"foo\\n  \"}");
    check("a = <<EOF\nEOF\n", "{\"a\":\"\"}");
    check("a = <<-EOF\n  foo\n    bar\n  EOF\n", "{\"a\":\"foo\\n  bar\\n\"}");
    check("a = <<-EOF\n  foo\n bar\n  EOF\n", "{\"a\":\"  foo\\n bar\\n\"}");
    check("a = <<-EOF\nfoo\nEOF\n", "error: At 4:1: heredoc not terminated");
    check("a = <<EOF\nfoo\nEOF", "error: At 3:4: heredoc not terminated");
    check("a = <<EOF\nabc", "error: At 2:4: heredoc not terminated");
    check("a = <<\n", "error: At 1:7: zero-length heredoc anchor");
    check("a = <<E-F\nE-F\n", "error: At 1:8: invalid characters in heredoc anchor");
    check("a = <E", "error: At 1:6: heredoc expected second '<', didn't see it");
}

static void test_blocks(void **state) {
    check("a { b = 1 }", "{\"a\":[{\"b\":1}]}");
    check("a = { b = 1 }", "{\"a\":[{\"b\":1}]}");
    check("a { b = 1 } a { c = 2 }", "{\"a\":[{\"b\":1},{\"c\":2}]}");
    check("a = [{ b = 1 }]", "{\"a\":[{\"b\":1}]}");
    check("a = [{ b = { c = 1 } }]", "{\"a\":[{\"b\":[{\"c\":1}]}]}");
    check("a = [\"x\"] a = [\"y\"]", "{\"a\":[\"x\",\"y\"]}");
    check("k \"l\" { a = 1 }", "{\"k\":[{\"l\":[{\"a\":1}]}]}");
    check("k \"l\" \"m\" { a = 1 }", "{\"k\":[{\"l\":[{\"m\":[{\"a\":1}]}]}]}");
    check("k \"l\" { a = 1 } k { b = 2 }", "error: At -: root.k[1]: map must have string keys");
    check("a \"b\" \"c\" { d = 1 }\na = 5", "error: At -: root.a[1]: map must have string keys");
}

static void test_repeated_scalars(void **state) {
    check("a=\"x\"\na=5", "{\"a\":\"5\"}");
    check("a=1\na=\"7\"", "{\"a\":7}");
    check("a=1\na=\"x\"", "error: strconv.ParseInt: parsing \"x\": invalid syntax");
    check("a=1.5\na=2", "{\"a\":2}");
    check("server=true\nserver=5", "error: At 2:8: root.server: unknown type *ast.LiteralType");
    check("a=\"x\"\n a {b=1}", "error: At 2:4: root.a: unknown type for string *ast.ObjectType");
    check("a=\"x\"\na=[\"b\"]", "error: At 2:3: root.a: unknown type for string *ast.ListType");
    check("a=1\na={b=1}", "error: At 2:3: root.a: unknown type *ast.ObjectType");
    check("a=[\"x\"]\na=\"b\"", "error: At 2:3: unknown slice type: *ast.LiteralType");
    check("service{ id=1\n id=true}",
          "error: At 2:5: root.service[0].id: unknown type *ast.LiteralType");
}

static void test_errors(void **state) {
    check("a = 08", "error: strconv.ParseInt: parsing \"08\": invalid syntax");
    check("a = 1e", "error: strconv.ParseFloat: parsing \"1e\": invalid syntax");
    check("a = 1e999", "error: strconv.ParseFloat: parsing \"1e999\": value out of range");
    check("a = 99999999999999999999",
          "error: strconv.ParseInt: parsing \"99999999999999999999\": value out of range");
    check("datacenter = 0x", "error: At 1:16: illegal hexadecimal number");
    check("datacenter = \"x\\q\"", "error: At 1:17: illegal char escape");
    check("a = \"\\12\"", "error: At 1:9: illegal char escape");
    check("a = \"\\xg\"", "error: At 1:8: illegal char escape");
    check("a = \"\\u12\"", "error: At 1:10: illegal char escape");
    check("d = \"abc\nxyz", "error: At 1:9: literal not terminated");
    check("d = \"abc", "error: At 1:9: literal not terminated");
    check("d = \"abc\nx\"\n", "error: At 2:3: literal not terminated");
    check("a = \"${abc\"", "error: At 1:12: literal not terminated");
    check("  datacenter = ;", "error: At 1:16: illegal char");
    check("/* abc", "error: At 1:7: comment not terminated");
    check("/x", "error: At 1:1: expected '/' for comment");
    check("a = \"\xff\"", "error: At 1:6: illegal UTF-8 encoding");
    check("a = 1 \xff", "error: At 1:7: illegal char");
    check("\xef\xbb\xbf"
          "a=1",
          "error: At 1:1: illegal char");
    check("= 5", "error: At 1:1: no object keys found!");
    check("}", "error: At 1:1: expected: IDENT | STRING | ASSIGN | LBRACE got: RBRACE");
    check("1a = 2", "error: At 1:1: expected: IDENT | STRING | ASSIGN | LBRACE got: NUMBER");
    check("[1]", "error: At 1:1: expected: IDENT | STRING | ASSIGN | LBRACE got: LBRACK");
    check("a,,", "error: At 1:2: expected: IDENT | STRING | ASSIGN | LBRACE got: COMMA");
    check("a=1,,b=2", "error: At 1:5: expected: IDENT | STRING | ASSIGN | LBRACE got: COMMA");
    check("ports { http }",
          "error: At 1:14: key 'http' expected start of object ('{') or assignment ('=')");
    check("a b = 5", "error: At 1:5: nested object expected: LBRACE got: ASSIGN");
    check("datacenter = foo", "error: At 1:14: Unknown token: 1:14 IDENT foo");
    check("x = +5", "error: At 1:5: Unknown token: 1:5 ADD +");
    check("datacenter = -x", "error: At 1:14: Unknown token: 1:14 SUB -");
    check("recursors = [\"a\" \"b\"]",
          "error: At 1:18: error parsing list, expected comma or list end, got: STRING");
    check("recursors=[foo]", "error: At 1:12: unexpected token while parsing list: IDENT");
    check("recursors=[ {a=foo} ]",
          "error: At 1:13: error while trying to parse object within list: "
          "At 1:16: Unknown token: 1:16 IDENT foo");
    check("recursors=[[foo]]", "error: At 1:12: error while trying to parse list within list: "
                               "At 1:13: unexpected token while parsing list: IDENT");
}

static void test_nul(void **state) {
    struct arena arena = ARENA_INIT;
    static const char text[] = "a = \0 b";
    assert_true(str_is(parse(text, sizeof(text) - 1, &arena),
                       "error: At 1:5: unexpected null character (0x00)"));
    arena_free(&arena);
}

static void test_json_dialect(void **state) {
    check("{\"a\":5", "{\"a\":5}");
    check(" {\"a\":\"x\" \"b\":true", "{\"a\":\"x\"}");
    check("{\"a\":null}", "{\"a\":\"\"}");
    check("{\"a\":[1,2,],} garbage", "{\"a\":[1,2]}");
    check("{\"a\":{\"b\":1}}", "{\"a\":[{\"b\":1}]}");
    check("{\"a\"}", "{}");
    check("{\"a\":}", "{}");
    check("{\"a\":\"${x \\\"y\\\"}\"}", "{\"a\":\"${x \\\"y\\\"}\"}");
    check("{\"a\":\"\\u00e9\"}", "{\"a\":\"\xc3\xa9\"}");
    check("{\"a\":\"\\u00e9\\/\"}", "error: 1:14: illegal char escape");
    check("{/x", "error: 1:2: illegal char: /");
    check("{\"a\":tru}", "error: 1:8: illegal char");
    check("{\"a\":01}", "error: 1:7: numbers cannot start with 0");
    check("{\"a\":\"unterminated", "error: 1:19: literal not terminated");
    check("{\"a\":\"x\\q\"}", "error: 1:9: illegal char escape");
    check("{", "{}");
}

static void test_depth(void **state) {
    struct arena arena = ARENA_INIT;
    char deep[4096];
    memset(deep, '[', sizeof(deep));
    memcpy(deep, "a = ", 4);
    struct str got = parse(deep, sizeof(deep), &arena);
    assert_true(str_has_suffix(got, STR("nested too deeply")));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_heredocs),
        cmocka_unit_test(test_blocks),       cmocka_unit_test(test_repeated_scalars),
        cmocka_unit_test(test_errors),       cmocka_unit_test(test_nul),
        cmocka_unit_test(test_json_dialect), cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

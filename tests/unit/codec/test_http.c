/* codec/http.c and codec/url.c: heads whole and byte by byte, what is refused and how, chunks in
 * any pieces, query strings and paths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/http.h"
#include "codec/url.h"

/* ---- heads ---- */

static bool parse(const char *text, struct http_head *head, struct arena *arena,
                  struct http_refusal *refusal) {
    struct http_head_scan scan = {0};
    size_t end = 0;
    enum http_progress p = http_head_find(&scan, str_from(text), &end, refusal);
    assert_int_not_equal(p, HTTP_MORE);
    if (p == HTTP_REFUSED)
        return false;
    return http_head_parse(str_of(text, end), head, arena, refusal);
}

static void test_ordinary(void **state) {
    struct arena arena = ARENA_INIT;
    struct http_head head;
    struct http_refusal refusal;
    assert_true(parse("PUT /v1/kv/a?cas=1 HTTP/1.1\r\nHost: x\r\ncontent-length:  12 \r\n"
                      "Accept-Encoding: deflate, gzip;q=0.5\r\nX-Empty:\r\n\r\n",
                      &head, &arena, &refusal));
    assert_true(str_is(head.method, "PUT"));
    assert_true(str_is(head.target, "/v1/kv/a?cas=1"));
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.content_length, 12);
    assert_int_equal(head.header_count, 4);
    assert_true(str_is(head.headers[0].name, "Host"));
    assert_true(str_is(head.headers[1].value, "12"));
    assert_true(str_is(head.headers[3].value, ""));
    assert_true(head.keep_alive);
    assert_true(head.accepts_gzip);
    assert_false(head.chunked);
    arena_free(&arena);
}

static void test_keep_alive(void **state) {
    static const struct {
        const char *text;
        bool keep;
    } cases[] = {
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade, Close\r\n\r\n", false},
        {"GET / HTTP/1.1\nHost: x\n\n", true},
        {"PUT / HTTP/1.1\nHost: [::1]:8500\nContent-Length: 1\nContent-Length: 1\n\n", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct http_head head;
        struct http_refusal refusal;
        assert_true(parse(cases[i].text, &head, &arena, &refusal));
        assert_int_equal(head.keep_alive, cases[i].keep);
        arena_free(&arena);
    }
}

static void test_gzip(void **state) {
    static const struct {
        const char *value;
        bool gzip;
    } cases[] = {
        {"gzip", true},
        {"GZIP", true},
        {"gzip;q=0", false},
        {"gzip;q=0.000", false},
        {"gzip; q=0.001", true},
        {"*", false},
        {"deflate", false},
        {"br , gzip;q=1", true},
        {"x-gzip", false},
        {"", false},
        {"gzip\r\nAccept-Encoding: gzip;q=0", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct http_head head;
        struct http_refusal refusal;
        struct str text = str_format(
            &arena, "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n", cases[i].value);
        assert_true(parse(text.data, &head, &arena, &refusal));
        assert_int_equal(head.accepts_gzip, cases[i].gzip);
        arena_free(&arena);
    }
}

#define H "Host: x\r\n"
static const struct {
    const char *text;
    int status;
    const char *line;
} refused[] = {
    {"NONSENSE\r\n\r\n", 400, "400 Bad Request"},
    {"GET /\r\n\r\n", 400, "400 Bad Request"},
    {"GET  / HTTP/1.1\r\n\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/1.1 \r\n" H "\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/1\r\n" H "\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/11\r\n" H "\r\n", 400, "400 Bad Request"},
    {"GET /\x01 HTTP/1.1\r\n" H "\r\n", 400, "400 Bad Request"},
    {"G(T / HTTP/1.1\r\n" H "\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/1.1\r\n\r\n", 400, "400 Bad Request: missing required Host header"},
    {"GET / HTTP/1.1\r\n" H H "\r\n", 400, "400 Bad Request: too many Host headers"},
    {"GET / HTTP/3.0\r\n" H "\r\n", 400, "400 Bad Request: unsupported protocol version"},
    {"PRI * HTTP/2.0\r\n\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/1.1\r\n" H "Foo : x\r\n\r\n", 400, "400 Bad Request: invalid header name"},
    {"GET / HTTP/1.1\r\n" H "Foo\r\n\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/1.1\r\n" H ": x\r\n\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/1.1\r\n" H "Foo: a\r\n b\r\n\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/1.1\r\n" H "Foo: a\rb\r\n\r\n", 400, "400 Bad Request: invalid header value"},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: x\r\n\r\n", 400, "400 Bad Request"},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400, "400 Bad Request"},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", 400, "400 Bad Request"},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n", 400, "400 Bad Request"},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", 400, "400 Bad Request"},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400,
     "400 Bad Request"},
    {"\r\nGET / HTTP/1.1\r\n" H "\r\n", 400, "400 Bad Request"},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "400 Bad Request: malformed Host header"},
    {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "400 Bad Request: missing required Host header"},
    {"PUT / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "400 Bad Request"},
    {"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "400 Bad Request"},
    {"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "400 Bad Request"},
    {"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "501 Not Implemented"},
    {"PUT / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", 501, "501 Not Implemented"},
    {"PUT / HTTP/1.1\r\n" H "Expect: tea\r\n\r\n", 417, "417 Expectation Failed"},
};

static void test_refused(void **state) {
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct http_head head;
        struct http_refusal refusal = {0};
        if (parse(refused[i].text, &head, &arena, &refusal))
            fail_msg("accepted: %s", refused[i].text);
        assert_int_equal(refusal.status, refused[i].status);
        assert_string_equal(refusal.line, refused[i].line);
        arena_free(&arena);
    }
}

static void test_byte_by_byte(void **state) {
    const char *text = "GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\nGET";
    size_t whole = strlen(text) - 3;
    struct http_head_scan scan = {0};
    struct http_refusal refusal;
    size_t end = 0;
    for (size_t len = 1; len < whole; len++) {
        assert_int_equal(http_head_find(&scan, str_of(text, len), &end, &refusal), HTTP_MORE);
        assert_true(scan.scanned <= len);
    }
    assert_int_equal(http_head_find(&scan, str_of(text, whole + 3), &end, &refusal), HTTP_COMPLETE);
    assert_int_equal(end, whole);
    /* A broken request line is refused without waiting for the rest. */
    memset(&scan, 0, sizeof scan);
    assert_int_equal(http_head_find(&scan, STR("GARB"), &end, &refusal), HTTP_MORE);
    assert_int_equal(http_head_find(&scan, STR("GARBAGE\r\nx"), &end, &refusal), HTTP_REFUSED);
}

static void test_too_long(void **state) {
    struct http_head_scan scan = {0};
    struct http_refusal refusal;
    size_t end;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
    while (text.len < HTTP_HEAD_MAX - 1)
        buf_add_char(&text, 'a');
    assert_int_equal(http_head_find(&scan, buf_str(&text), &end, &refusal), HTTP_MORE);
    buf_add_text(&text, "\r\n\r\n");
    assert_int_equal(http_head_find(&scan, buf_str(&text), &end, &refusal), HTTP_REFUSED);
    assert_int_equal(refusal.status, 431);
    buf_clear(&text);
    buf_add_text(&text, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (unsigned i = 0; i < HTTP_HEADERS_MAX; i++)
        buf_add_text(&text, "a:\r\n");
    buf_add_text(&text, "\r\n");
    struct arena arena = ARENA_INIT;
    struct http_head head;
    assert_false(http_head_parse(buf_str(&text), &head, &arena, &refusal));
    assert_int_equal(refusal.status, 431);
    arena_free(&arena);
    buf_free(&text);
}

/* ---- chunks ---- */

/* Feeds the text in pieces of `step` bytes. Returns the progress at its end. */
static enum http_progress feed(const char *text, size_t step, struct buf *body, size_t *left) {
    struct http_chunked c = {0};
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at += step) {
        struct str in = str_of(text + at, step < len - at ? step : len - at);
        while (in.len > 0) {
            struct str piece;
            enum http_progress p = http_chunked_read(&c, &in, &piece);
            buf_add_str(body, piece);
            *left = len - at - (step < len - at ? step : len - at) + in.len;
            if (p != HTTP_MORE)
                return p;
        }
    }
    return HTTP_MORE;
}

static void test_chunks(void **state) {
    static const struct {
        const char *text, *body;
        enum http_progress progress;
        size_t left;
    } cases[] = {
        {"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", HTTP_COMPLETE, 0},
        {"0\r\n\r\nGET", "", HTTP_COMPLETE, 3},
        {"A;x=\"y\"\r\n0123456789\r\n00\r\nT: v\r\nU: w\r\n\r\nX", "0123456789", HTTP_COMPLETE, 1},
        {"3\r\nabc\r\n", "abc", HTTP_MORE, 0},
        {"3\r\nabcd\r\n", "abc", HTTP_REFUSED, 0},
        {"3\nabc\r\n0\r\n\r\n", "", HTTP_REFUSED, 0},
        {"\r\n", "", HTTP_REFUSED, 0},
        {"-1\r\n", "", HTTP_REFUSED, 0},
        {"0x3\r\nabc\r\n", "", HTTP_REFUSED, 0},
        {"fffffffffffffffff\r\n", "", HTTP_REFUSED, 0},
        {"0\r\nT\x01\r\n\r\n", "", HTTP_REFUSED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t step = 1; step < 40; step++) {
            struct buf body = BUF_INIT;
            size_t left = 0;
            enum http_progress p = feed(cases[i].text, step, &body, &left);
            if (p != cases[i].progress)
                fail_msg("%s in steps of %zu: %d", cases[i].text, step, p);
            assert_true(str_is(buf_str(&body), cases[i].body));
            if (p == HTTP_COMPLETE)
                assert_int_equal(left, cases[i].left);
            buf_free(&body);
        }
}

/* ---- URLs ---- */

static void test_targets(void **state) {
    struct str path, query;
    assert_true(url_split_target(STR("/a/b?c=d?e"), &path, &query));
    assert_true(str_is(path, "/a/b") && str_is(query, "c=d?e"));
    assert_true(url_split_target(STR("/a"), &path, &query));
    assert_true(str_is(path, "/a") && query.data == NULL);
    assert_true(url_split_target(STR("http://h:1/x?y"), &path, &query));
    assert_true(str_is(path, "/x") && str_is(query, "y"));
    assert_true(url_split_target(STR("*"), &path, &query));
    assert_false(url_split_target(STR("a/b"), &path, &query));
    assert_false(url_split_target(STR("h:1"), &path, &query));
    assert_false(url_split_target(STR("1http://x/"), &path, &query));
}

static void test_decode(void **state) {
    static const struct {
        const char *in, *out;
        bool plus;
    } cases[] = {
        {"abc", "abc", false}, {"a%2fb", "a/b", false},       {"a%2Fb%20", "a/b ", false},
        {"a+b", "a+b", false}, {"a+b%2B", "a b+", true},      {"%", NULL, false},
        {"%4", NULL, false},   {"%zz", NULL, false},          {"%41%", NULL, true},
        {"%41%4", NULL, true}, {"%C3%a9", "\xc3\xa9", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct str out;
        bool fine = url_decode(str_from(cases[i].in), cases[i].plus, &arena, &out);
        assert_int_equal(fine, cases[i].out != NULL);
        if (fine)
            assert_true(str_is(out, cases[i].out));
        arena_free(&arena);
    }
}

static void test_query(void **state) {
    struct arena arena = ARENA_INIT;
    struct url_param *p;
    uint32_t n;
    assert_true(url_parse_query(STR("a=1;b&&c=%20+x&d=e=f&a="), &arena, &p, &n));
    assert_int_equal(n, 5);
    assert_true(str_is(p[0].name, "a") && str_is(p[0].value, "1"));
    assert_true(str_is(p[1].name, "b") && str_is(p[1].value, "") && p[1].value.data != NULL);
    assert_true(str_is(p[2].value, "  x"));
    assert_true(str_is(p[3].value, "e=f"));
    assert_true(str_is(url_encode_query(&arena, p, n), "a=1&a=&b=&c=++x&d=e%3Df"));
    assert_false(url_parse_query(STR("a=%zz"), &arena, &p, &n));
    assert_true(url_parse_query(STR_NONE, &arena, &p, &n));
    assert_int_equal(n, 0);
    arena_free(&arena);
}

static void test_clean(void **state) {
    static const char *const cases[][2] = {
        {"/", "/"},           {"/a", "/a"},         {"/a/", "/a/"},      {"//a", "/a"},
        {"/a//b", "/a/b"},    {"/a/./b", "/a/b"},   {"/a/../b", "/b"},   {"/..", "/"},
        {"/a/..", "/"},       {"/a/.", "/a"},       {"/a/b/../", "/a/"}, {"/a/...", "/a/..."},
        {"/.a", "/.a"},       {"/a.", "/a."},       {"", "/"},           {"a", "/a"},
        {"/../../x/", "/x/"}, {"/a/..b", "/a/..b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct str in = str_from(cases[i][0]);
        struct str out = url_clean_path(in, &arena);
        if (!str_is(out, cases[i][1]))
            fail_msg("%s became " STR_FMT, cases[i][0], STR_ARG(out));
        assert_int_equal(out.data == in.data, strcmp(cases[i][0], cases[i][1]) == 0);
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary),     cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_gzip),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_byte_by_byte), cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_chunks),       cmocka_unit_test(test_targets),
        cmocka_unit_test(test_decode),       cmocka_unit_test(test_query),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

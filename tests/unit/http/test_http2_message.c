/* http2_message.c: fields of HTTP/2 as heads of HTTP/1.1, as codec/http.h reads them, and answers
 * back; what would come out as something else than it went in, and answers in pieces of any size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "http/http.h"
#include "http/http2_message.h"

const struct http_route http_routes_agent[] = {{NULL, NULL, NULL, 0}}; /* instead of http/agent.c */

/* ---- requests ---- */

struct pair {
    const char *name, *value;
};
#define FIELDS(...) ((const struct pair[]){__VA_ARGS__, {NULL, NULL}})
#define GET_A                                                                                      \
    {":method", "GET"}, {":scheme", "https"}, {":authority", "h"}, {                               \
        ":path", "/a"                                                                              \
    }
#define PUT_A                                                                                      \
    {":method", "PUT"}, {":scheme", "https"}, {":authority", "h"}, {                               \
        ":path", "/a"                                                                              \
    }

static bool put_fields(struct http2_request *q, const struct pair *fields) {
    for (; fields->name != NULL; fields++)
        if (!http2_request_field(q, str_from(fields->name), str_from(fields->value)))
            return false;
    return true;
}

static void expect_head(const struct pair *fields, bool ended, const char *text) {
    struct http2_request q = {0};
    struct buf out = BUF_INIT;
    assert_true(put_fields(&q, fields));
    assert_true(http2_request_head(&q, ended, &out));
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, text);
    http2_request_free(&q);
    buf_free(&out);
}

static void expect_malformed(const struct pair *fields) {
    struct http2_request q = {0};
    struct buf out = BUF_INIT;
    bool fine = put_fields(&q, fields) && http2_request_head(&q, true, &out);
    if (fine)
        fail_msg("came out as %.*s", (int)out.len, out.data);
    http2_request_free(&q);
    buf_free(&out);
}

static void test_heads(void **state) {
    expect_head(FIELDS(GET_A), true, "GET /a HTTP/1.1\r\nhost: h\r\n\r\n");
    expect_head(FIELDS(GET_A, {"host", "other"}, {"x", " y "}), true,
                "GET /a HTTP/1.1\r\nhost: h\r\nx:  y \r\n\r\n");
    expect_head(FIELDS({":method", "GET"}, {":path", "/a"}, {"x", ""}, {"host", "o"}), true,
                "GET /a HTTP/1.1\r\nhost: o\r\nx: \r\n\r\n");
    expect_head(FIELDS({":method", "GET"}, {":path", "/a"}, {":authority", ""}), true,
                "GET /a HTTP/1.1\r\n\r\n"); /* the reader says what it thinks of that */
    expect_head(FIELDS({":method", "CONNECT"}, {":authority", "h:1"}), true,
                "CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n");
    expect_head(FIELDS(PUT_A), false,
                "PUT /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
    expect_head(FIELDS(PUT_A, {"content-length", "3"}), false,
                "PUT /a HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n");
    expect_head(FIELDS(PUT_A, {"content-length", "0"}), true,
                "PUT /a HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
    expect_head(FIELDS(PUT_A, {"expect", "foo"}, {"expect", "100-Continue"}), true,
                "PUT /a HTTP/1.1\r\nhost: h\r\nexpect: 100-Continue\r\n\r\n");
}

static void test_what_would_break_out(void **state) {
    expect_malformed(FIELDS(GET_A, {"x", "a\r\ny: z"}));
    expect_malformed(FIELDS(GET_A, {"x", "a\ny: z"}));
    expect_malformed(FIELDS(GET_A, {"x\r\ny", "z"}));
    expect_malformed(FIELDS(GET_A, {"x: y", "z"}));
    expect_malformed(FIELDS(GET_A, {"x ", "z"}));
    expect_malformed(FIELDS(GET_A, {"", "z"}));
    expect_malformed(FIELDS(GET_A, {":foo", "z"}));
    expect_malformed(FIELDS(GET_A, {":path", "/b"}));
    expect_malformed(FIELDS(GET_A, {":method", "PUT"}));
    expect_malformed(FIELDS({":method", "GET"}, {":path", "/a b"}, {"host", "h"}));
    expect_malformed(FIELDS({":method", "GET"}, {":path", "/a HTTP/1.1\r\nx: y"}, {"host", "h"}));
    expect_malformed(FIELDS({":method", "GET /b"}, {":path", "/a"}, {"host", "h"}));
    expect_malformed(FIELDS({":method", "G\n"}, {":path", "/a"}, {"host", "h"}));
    expect_malformed(FIELDS({":method", "GET"}, {":path", "/a"}, {":authority", "h\r\nx: y"}));
    expect_malformed(FIELDS({":method", "GET"}, {":path", "/a"}, {"host", "h\nx: y"}));
    expect_malformed(FIELDS({":method", "GET"}, {"host", "h"}));
    expect_malformed(FIELDS({":path", "/a"}, {"host", "h"}));
    expect_malformed(FIELDS({":method", "CONNECT"}, {":path", "/a"}, {":authority", "h"}));
    struct http2_request q = {0};
    assert_false(http2_request_field(&q, STR("x"), str_of("a\0b", 3)));
    http2_request_free(&q);
}

/* Nobody but the frames says where a body ends. */
static void test_lengths(void **state) {
    expect_malformed(FIELDS(GET_A, {"transfer-encoding", "chunked"}));
    expect_malformed(FIELDS(GET_A, {"Transfer-Encoding", "identity"}));
    expect_malformed(FIELDS(GET_A, {"connection", "content-length"}));
    expect_malformed(FIELDS(GET_A, {"upgrade", "h2c"}));
    expect_malformed(FIELDS(PUT_A, {"content-length", "1"}, {"content-length", "2"}));
    expect_malformed(FIELDS(PUT_A, {"content-length", "1"}, {"content-length", "1"}));
    expect_malformed(FIELDS(PUT_A, {"content-length", "+1"}));
    expect_malformed(FIELDS(PUT_A, {"content-length", "1, 1"}));
    expect_malformed(FIELDS(PUT_A, {"content-length", "5"})); /* none follows */

    struct http2_request q = {0};
    struct buf out = BUF_INIT;
    assert_true(put_fields(&q, FIELDS(PUT_A, {"content-length", "5"})));
    assert_true(http2_request_head(&q, false, &out));
    buf_clear(&out);
    assert_true(http2_request_body(&q, STR("abc"), &out));
    assert_false(http2_request_end(&q, &out));
    assert_false(http2_request_body(&q, STR("defGET /b HTTP/1.1"), &out));
    assert_true(http2_request_body(&q, STR("de"), &out));
    assert_true(http2_request_end(&q, &out));
    assert_true(str_is(buf_str(&out), "abcde"));
    http2_request_free(&q);

    buf_clear(&out);
    q = (struct http2_request){0};
    assert_true(put_fields(&q, FIELDS(PUT_A)));
    assert_true(http2_request_head(&q, false, &out));
    buf_clear(&out);
    assert_true(http2_request_body(&q, STR("0\r\n\r\n"), &out));
    assert_true(http2_request_body(&q, STR(""), &out)); /* not the end */
    assert_true(http2_request_body(&q, STR("x"), &out));
    assert_true(http2_request_end(&q, &out));
    assert_true(str_is(buf_str(&out), "5\r\n0\r\n\r\n\r\n1\r\nx\r\n0\r\n\r\n"));
    http2_request_free(&q);
    buf_free(&out);
}

static void test_too_many_fields(void **state) {
    struct http2_request q = {0};
    static char value[10000];
    memset(value, 'v', sizeof value);
    assert_true(put_fields(&q, FIELDS(GET_A)));
    size_t cost = sizeof value + 1 + 32, most = (HTTP2_FIELDS_MAX - q.size) / cost;
    for (size_t i = 0; i < most; i++)
        assert_true(http2_request_field(&q, STR("x"), str_of(value, sizeof value)));
    assert_false(q.too_large);
    for (size_t i = 0; i < 1000; i++)
        assert_true(http2_request_field(&q, STR("x"), str_of(value, sizeof value)));
    assert_true(q.too_large);
    assert_int_equal(q.lines.len, 0); /* nothing is kept */
    http2_request_free(&q);
}

/* ---- answers ---- */

struct got {
    struct buf heads, body; /* "name=value;"…, "|" behind each head */
    enum http_progress end;
};

static void note_head(struct got *g, const struct http2_answer *a) {
    for (size_t i = 0; i < a->field_count; i++)
        buf_add_format(&g->heads, "%.*s=%.*s;", STR_ARG(a->fields[i].name),
                       STR_ARG(a->fields[i].value));
    buf_add_char(&g->heads, '|');
}

static struct got read_answer(struct str text, bool to_head, size_t step) {
    struct http2_answer a = {.to_head = to_head};
    struct got g = {.end = HTTP_MORE};
    for (size_t at = 0; at < text.len && g.end == HTTP_MORE; at += step) {
        struct str in = str_sub(text, at, step), piece;
        while (in.len > 0 && !a.head_done && g.end == HTTP_MORE) {
            enum http_progress p = http2_answer_head(&a, &in);
            if (p == HTTP_COMPLETE)
                note_head(&g, &a);
            if (p == HTTP_REFUSED)
                g.end = p;
        }
        if (a.head_done && a.body == HTTP2_NO_BODY)
            g.end = HTTP_COMPLETE;
        while (in.len > 0 && g.end == HTTP_MORE) {
            g.end = http2_answer_body(&a, &in, &piece);
            buf_add_str(&g.body, piece);
        }
    }
    http2_answer_free(&a);
    return g;
}

static void expect_answer(const char *text, bool to_head, const char *heads, const char *body,
                          enum http_progress end) {
    for (size_t step = 1; step <= strlen(text); step++) {
        struct got g = read_answer(str_from(text), to_head, step);
        buf_add_char(&g.heads, '\0');
        buf_add_char(&g.body, '\0');
        assert_string_equal(g.heads.data, heads);
        assert_string_equal(g.body.data, body);
        assert_int_equal(g.end, end);
        buf_free(&g.heads);
        buf_free(&g.body);
    }
}

static void test_answers(void **state) {
    expect_answer("HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 5\r\n\r\nhello", false,
                  ":status=200;x-consul-index=7;content-length=5;|", "hello", HTTP_COMPLETE);
    expect_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n"
                  "3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n",
                  false, ":status=200;a=b;|", "abc0123456789", HTTP_COMPLETE);
    expect_answer("HTTP/1.1 400 Bad Request: what\r\nConnection: close\r\n\r\nwhat", false,
                  ":status=400;|", "what", HTTP_MORE); /* it ends with the output */
    expect_answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false,
                  ":status=404;content-length=0;|", "", HTTP_COMPLETE);
    expect_answer("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 23\r\n\r\n", true,
                  ":status=405;content-length=23;|", "", HTTP_COMPLETE);
    expect_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, ":status=200;|",
                  "", HTTP_COMPLETE);
    expect_answer("HTTP/1.1 304 Not Modified\r\nEtag: x\r\n\r\n", false, ":status=304;etag=x;|", "",
                  HTTP_COMPLETE);
    expect_answer("HTTP/1.1 204 x\r\n\r\n", false, ":status=204;|", "", HTTP_COMPLETE);
    expect_answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n"
                  "Content-Length: 1\r\n\r\nx",
                  false, ":status=100;|:status=200;a=b;content-length=1;|", "x", HTTP_COMPLETE);
}

static void test_no_answers(void **state) {
    expect_answer("HTTP/1.1 2x0 OK\r\n\r\n", false, "", "", HTTP_REFUSED);
    expect_answer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", false, "", "", HTTP_REFUSED);
    expect_answer("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false, "", "", HTTP_REFUSED);
    expect_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx", false, ":status=200;|",
                  "", HTTP_REFUSED);
    expect_answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", false,
                  ":status=200;content-length=9;|", "abc", HTTP_MORE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),   cmocka_unit_test(test_what_would_break_out),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_answers), cmocka_unit_test(test_no_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

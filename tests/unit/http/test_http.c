/* The HTTP interface over a real server (with a fake Raft): routing, parameters, bodies, answers,
 * the wire. What the peer does was recorded in tests/conformance; here are the ways through the
 * code.
 */
#include "unit/http/client.h"

#include <zlib.h>

static int setup(void **state) {
    http_begin();
    http_ready();
    return 0;
}

static int teardown(void **state) {
    http_end();
    return 0;
}

/* ---- routes ---- */

static void test_paths(void **state) {
    want("GET /v1/nothing", "", NULL, 404, "Content-Length: 0", "");
    want("GET /V1/kv/a", "", NULL, 404, "Content-Length: 0", "");
    want("GET /v1/kv?keys&x=1", "", NULL, 301,
         "Location: /v1/kv/?keys&x=1|Content-Type: text/html; charset=utf-8|Content-Length: 55",
         "<a href=\"/v1/kv/?keys&amp;x=1\">Moved Permanently</a>.\n\n");
    want("PUT /v1/kv/a%2f%2fb", "", NULL, 301, "Location: /v1/kv/a/b|Content-Length: 0", "");
    want("GET /v1/../v1/kv/./a", "", NULL, 301, "Location: /v1/kv/a", NULL);
    want("GET /v1/status/leader/", "", NULL, 404, "", "");
    want("GET /", "", NULL, 200, "Content-Type: text/plain; charset=utf-8", "Consul Agent");
    want("PUT /", "", NULL, 200, "", "Consul Agent");
    want("GET /ui/", "", NULL, 404, "", "");
    want("GET /v1/kv/a%00", "", NULL, 400, "Content-Length: 0", "");
    want("GET /v1/kv/a%E2%80%8B", "", NULL, 400, "Content-Length: 0", "");
    want("OPTIONS *", "", NULL, 200, "Content-Length: 0", "");
}

static void test_methods(void **state) {
    want("DELETE /v1/catalog/nodes", "", NULL, 405,
         "Allow: OPTIONS,GET|Vary: Accept-Encoding|Content-Type: text/plain; charset=utf-8",
         "method DELETE not allowed");
    want("get /v1/catalog/nodes", "", NULL, 405, "", "method get not allowed");
    want("HEAD /v1/catalog/nodes", "", NULL, 405, "Content-Length: 23", "");
    want("OPTIONS /v1/kv/a", "", NULL, 200, "Allow: OPTIONS,GET,PUT,DELETE|Content-Length: 0", "");
    want("GET /v1/kv/a?a=%zz", "", NULL, 500, "Content-Length: 0", "");
}

static void test_settings(void **state) {
    static struct str blocked[] = {STR_INIT("/v1/kv/secret")};
    static struct str writers[] = {STR_INIT("10.0.0.0/8"), STR_INIT("127.0.0.0/9")};
    static struct str_pair headers[] = {{STR_INIT("access-control-allow-origin"), STR_INIT("*")}};
    config.http.block_endpoints = (struct list){blocked, 1, true};
    config.http.allow_write_http_from = (struct list){writers, 1, true};
    config.http.response_headers = (struct list){headers, 1, true};
    config.dev_mode = true;
    http_changed();
    want("GET /v1/kv/secret/x", "", NULL, 403, "Access-Control-Allow-Origin: *",
         "Endpoint is blocked by agent configuration");
    want("PUT /v1/kv/b", "", "x", 403, "Access-Control-Allow-Origin: *", "Access is restricted");
    want("GET /v1/nothing", "", NULL, 404, "", "");
    config.http.allow_write_http_from.len = 2;
    http_changed();
    want("PUT /v1/kv/b", "", "x", 200, "Content-Type: application/json", "true\n");
    config.http = (struct config_http){.use_cache = true};
    config.dev_mode = false;
    http_changed();
    want("PUT /v1/kv/b", "", "x", 200, "", "true");
}

/* ---- parameters ---- */

static void test_bad_parameters(void **state) {
    static const struct {
        const char *request;
        int status;
        const char *text;
    } cases[] = {
        {"GET /v1/kv/a?index=x", 400, "Invalid index"},
        {"GET /v1/kv/a?index=x&wait=y", 400, "Invalid wait time"},
        {"GET /v1/kv/a?wait=5", 400, "Invalid wait time"},
        {"GET /v1/kv/a?stale&consistent", 400,
         "Cannot specify ?stale with ?consistent, conflicting semantics."},
        {"GET /v1/kv/a?cached&consistent", 400,
         "Cannot specify ?cached with ?consistent, conflicting semantics."},
        {"GET /v1/kv/a?max_stale=foo", 400, "Invalid max_stale value \"foo\""},
        {"GET /v1/kv/a?ns=x", 400,
         "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise "
         "feature"},
        {"GET /v1/kv/", 400, "Missing key name"},
        {"PUT /v1/kv/a?cas=1&acquire=x&flags=1", 400, "Conflicting flags: acquire=x&cas=1&flags=1"},
        {"DELETE /v1/kv/a?cas=1&recurse", 400, "Conflicting flags: cas=1&recurse="},
        {"PUT /v1/kv/a?flags=-1", 500, "strconv.ParseUint: parsing \"-1\": invalid syntax"},
        {"PUT /v1/kv/a?cas=", 500, "strconv.ParseUint: parsing \"\": invalid syntax"},
        {"PUT /v1/kv/a?flags=18446744073709551616", 500,
         "strconv.ParseUint: parsing \"18446744073709551616\": value out of range"},
        {"GET /v1/catalog/service/", 400, "Missing service name"},
        {"GET /v1/catalog/node/", 400, "Missing node name"},
        {"GET /v1/health/state/", 400, "Missing check state"},
        {"GET /v1/health/service/x?passing=maybe", 400, "Invalid value for ?passing"},
        {"GET /v1/catalog/datacenters?stale&consistent", 400,
         "Cannot specify ?stale with ?consistent, conflicting semantics.[\"dc1\"]"},
        {"PUT /v1/session/destroy/", 400, "Missing session"},
        {"GET /v1/session/info/nope", 500,
         "failed session lookup: index error: UUID must be 36 characters"},
        {"PUT /v1/snapshot?stale", 500, "stale not allowed for restore"},
        {"GET /v1/kv/a?dc=nowhere", 500, "No path to datacenter"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        want(cases[i].request, "", NULL, cases[i].status, "Vary: Accept-Encoding", cases[i].text);
    want("GET /v1/kv/a", "Cache-Control: max-age=x\r\n", NULL, 400, "",
         "Invalid Cache-Control header.");
    want("GET /v1/kv/a", "X-Consul-Namespace: x\r\n", NULL, 400, "", NULL);
}

/* ---- keys ---- */

static void test_kv(void **state) {
    want("PUT /v1/kv/one?flags=7", "", "hello", 200, "Content-Length: 4", "true");
    struct buf got = http_ask("GET /v1/kv/one", "", NULL);
    assert_non_null(strstr(got.data, "[{\"LockIndex\":0,\"Key\":\"one\",\"Flags\":7,"
                                     "\"Value\":\"aGVsbG8=\",\"CreateIndex\":"));
    check(got, 200, "Content-Type: application/json|X-Consul-Knownleader: true", NULL);
    want("GET /v1/kv/one?raw", "", NULL, 200,
         "Content-Type: text/plain|Content-Security-Policy: sandbox|Content-Length: 5|"
         "X-Content-Type-Options: nosniff",
         "hello");
    want("GET /v1/kv/two", "", NULL, 404, "Content-Length: 0|X-Consul-Knownleader: true", "");
    want("PUT /v1/kv/dir/a", "", "", 200, "", "true");
    want("PUT /v1/kv/dir/b/c", "", "x", 200, "", "true");
    want("GET /v1/kv/dir/?keys&separator=/", "", NULL, 200, "", "[\"dir/a\",\"dir/b/\"]");
    want("GET /v1/kv/none/?keys", "", NULL, 404, "", "");
    want("PUT /v1/kv/one?cas=1", "", "x", 200, "", "false");
    want("DELETE /v1/kv/dir/?recurse", "", NULL, 200, "", "true");
    want("GET /v1/kv/dir/?recurse", "", NULL, 404, "", "");
    want("GET /v1/kv/one?keys&pretty", "", NULL, 200, "", NULL);
}

static void test_bodies(void **state) {
    int fd = dial();
    put_text(fd, "PUT /v1/kv/chunked" CLOSE "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    usleep(20000);
    put_text(fd, "2\r\nde\r\n0\r\nTrailer: x\r\n\r\n");
    check(read_all(fd, 10000), 200, "", "true");
    close(fd);
    want("GET /v1/kv/chunked?raw", "", NULL, 200, "", "abcde");

    fd = dial();
    put_text(fd, "PUT /v1/kv/expected" CLOSE "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    char line[25] = "";
    assert_int_equal(recv(fd, line, 25, MSG_WAITALL), 25);
    assert_memory_equal(line, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    put_text(fd, "hi");
    check(read_all(fd, 10000), 200, "", "true");
    close(fd);
    want("GET /v1/kv/expected?raw", "", NULL, 200, "", "hi");
    /* No body is asked for when it is refused. */
    check(ask_raw("PUT /v1/kv/big" CLOSE "Content-Length: 524289\r\nExpect: 100-continue\r\n\r\n"),
          413, "Connection: close",
          "Request body(524289 bytes) too large, max size: 524288 bytes. See "
          "https://www.consul.io/docs/agent/options.html#kv_max_value_size.");
    check(ask_raw("PUT /v1/kv/big" CLOSE "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400, "",
          "400 Bad Request");
    /* A connection that ends in the middle leaves nothing behind. */
    fd = dial();
    put_text(fd, "PUT /v1/kv/half HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    usleep(20000);
    close(fd);
    want("GET /v1/kv/half", "", NULL, 404, "", "");
    check(ask_raw("PUT /v1/txn" CLOSE "Content-Length: 600000\r\n\r\n"), 413, "", NULL);
}

static void test_unread_body_is_drained(void **state) {
    struct buf got =
        ask_raw("GET /v1/kv/one?raw HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
                "GET /v1/kv/one?raw" CLOSE "\r\n");
    char *second = strstr(got.data + 10, "HTTP/1.1 200 OK");
    assert_non_null(second);
    buf_free(&got);
}

/* ---- the wire ---- */

static void test_pipeline(void **state) {
    struct buf text = BUF_INIT;
    enum { TIMES = 500 };
    for (int i = 0; i < TIMES; i++)
        buf_add_format(&text,
                       "PUT /v1/kv/p%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d"
                       "GET /v1/kv/p%d?raw HTTP/1.1\r\nHost: x\r\n\r\n",
                       i, i, i);
    buf_add_text(&text, "GET /v1/kv/p0?raw" CLOSE "\r\n");
    struct buf got = ask_raw(text.data);
    const char *at = got.data;
    for (int i = 0; i < TIMES; i++) { /* answers in order */
        char body[16];
        at = strstr(at, "\r\n\r\ntrue");
        assert_non_null(at);
        snprintf(body, sizeof body, "\r\n\r\n%03d", i);
        at = strstr(at + 4, body);
        assert_non_null(at);
    }
    buf_free(&text);
    buf_free(&got);
}

static void test_old_protocol(void **state) {
    struct buf got = ask_raw("GET /v1/kv/one?raw HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(got.data, "HTTP/1.0 200 OK\r\n"));
    assert_null(strstr(got.data, "Connection:"));
    buf_free(&got);
    got = ask_raw("GET /v1/kv/one?raw HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                  "GET /v1/kv/one?raw HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(got.data, "Connection: keep-alive\r\n"));
    assert_non_null(strstr(got.data + 20, "HTTP/1.0 200 OK\r\n"));
    buf_free(&got);
}

static void test_refusals(void **state) {
    struct buf got = ask_raw("GET / HTTP/1.1\r\n\r\n");
    assert_string_equal(got.data,
                        "HTTP/1.1 400 Bad Request: missing required Host header\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
                        "400 Bad Request: missing required Host header");
    buf_free(&got);
    got = ask_raw("GET /v1/kv/%zz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(got.data, "\r\n\r\n400 Bad Request"));
    buf_free(&got);
    got = ask_raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_non_null(strstr(got.data, "HTTP/1.1 400 Bad Request\r\n"));
    buf_free(&got);
}

static size_t unzip(struct str packed, char *out, size_t room) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.data,
                  .avail_in = (uInt)packed.len,
                  .next_out = (Bytef *)out,
                  .avail_out = (uInt)room};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    inflateEnd(&z);
    return z.total_out;
}

static void test_large_and_packed(void **state) {
    char *value = mem_alloc(100001), *out = mem_alloc(200000);
    memset(value, 'v', 100000);
    value[100000] = '\0';
    want("PUT /v1/kv/large", "", value, 200, "", "true");
    struct buf got = http_ask("GET /v1/kv/large", "", NULL);
    char *body = strstr(got.data, "\r\n\r\n");
    assert_non_null(strstr(got.data, "Transfer-Encoding: chunked\r\n"));
    unsigned long chunk = strtoul(body + 4, NULL, 16);
    assert_true(chunk > 133333);
    assert_int_equal(got.len, (size_t)(strstr(body + 4, "\r\n") + 2 - got.data) + chunk + 7);
    assert_string_equal(got.data + got.len - 9, "}]\r\n0\r\n\r\n");
    buf_free(&got);
    got = http_ask("GET /v1/kv/large?raw", "", NULL);
    assert_non_null(strstr(got.data, "Content-Length: 100000\r\n"));
    buf_free(&got);
    got = http_ask("GET /v1/kv/large?raw", "Accept-Encoding: gzip\r\n", NULL);
    body = strstr(got.data, "\r\n\r\n") + 4;
    assert_non_null(strstr(got.data, "Content-Encoding: gzip\r\n"));
    assert_int_equal(unzip(str_of(body, got.len - (size_t)(body - got.data)), out, 200000), 100000);
    assert_memory_equal(out, value, 100000);
    buf_free(&got);
    got = http_ask("GET /v1/kv/one?index=x", "Accept-Encoding: gzip\r\n", NULL);
    body = strstr(got.data, "\r\n\r\n") + 4;
    size_t len = unzip(str_of(body, got.len - (size_t)(body - got.data)), out, 200000);
    assert_true(str_is(str_of(out, len), "Invalid index"));
    buf_free(&got);
    mem_free(value);
    mem_free(out);
}

static void test_connection_limit(void **state) {
    int fds[3];
    for (unsigned left = 1; left > 0; usleep(1000)) { /* those of the tests before */
        left = 0;
        for (unsigned i = 0; i < server_io_count(server); i++)
            left += stream_count(server_io(server, i));
    }
    config.limits.http_max_conns_per_client = 2;
    http_changed();
    for (int i = 0; i < 3; i++) {
        fds[i] = dial();
        put_text(fds[i], "GET /v1/kv/one?raw HTTP/1.1\r\nHost: x\r\n\r\n");
        struct buf got = read_all(fds[i], 200);
        if (i < 2)
            check(got, 200, "", NULL);
        else
            assert_int_equal(got.len, 0), buf_free(&got);
    }
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    config.limits.http_max_conns_per_client = 200;
    http_changed();
}

/* ---- waiting ---- */

static uint64_t index_of(const char *key) {
    char path[64];
    snprintf(path, sizeof path, "GET /v1/kv/%s", key);
    struct buf got = http_ask(path, "", NULL);
    uint64_t index = strtoull(strstr(got.data, "X-Consul-Index: ") + 16, NULL, 10);
    buf_free(&got);
    return index;
}

static void test_blocking(void **state) {
    enum { WAITERS = 50 };
    int fds[WAITERS];
    char text[200];
    want("PUT /v1/kv/watched", "", "1", 200, "", "true");
    snprintf(
        text, sizeof text,
        "GET /v1/kv/watched?index=%llu&wait=60s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        (unsigned long long)index_of("watched"));
    for (int i = 0; i < WAITERS; i++) {
        fds[i] = dial();
        put_text(fds[i], text);
    }
    struct pollfd p = {.fd = fds[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 100), 0);
    close(fds[WAITERS - 1]);   /* one loses patience */
    shutdown(fds[0], SHUT_WR); /* and one has nothing more to say, but listens */
    want("PUT /v1/kv/watched", "", "2", 200, "", "true");
    for (int i = 0; i < WAITERS - 1; i++) {
        struct buf got = read_all(fds[i], 10000);
        assert_non_null(strstr(got.data, "\"Value\":\"Mg==\""));
        check(got, 200, "", NULL);
        close(fds[i]);
    }
    /* Nobody changes anything: the time runs out. */
    int64_t start = time_now_monotonic();
    snprintf(text, sizeof text, "GET /v1/kv/watched?index=%llu&wait=200ms",
             (unsigned long long)index_of("watched"));
    want(text, "", NULL, 200, "", NULL);
    assert_true(time_now_monotonic() - start >= 200 * MILLISECOND);
    /* Those who wait when the server stops are in teardown's hands. */
    snprintf(text, sizeof text, "GET /v1/kv/watched?index=%llu HTTP/1.1\r\nHost: x\r\n\r\n",
             (unsigned long long)index_of("watched"));
    put_text(dial(), text);
}

static void test_cached(void **state) {
    want("PUT /v1/catalog/register", "",
         "{\"Node\":\"c\",\"Address\":\"1.2.3.4\",\"Service\":{\"Service\":\"cached\"}}", 200, "",
         "true");
    want("GET /v1/health/service/cached?cached", "", NULL, 200,
         "X-Cache: MISS|X-Consul-Effective-Consistency: leader", NULL);
    want("GET /v1/health/service/cached?cached", "", NULL, 200, "X-Cache: HIT|Age: 0", NULL);
    want("GET /v1/health/service/cached?cached&stale", "", NULL, 200,
         "X-Cache: HIT|X-Consul-Effective-Consistency: stale", NULL);
    want("GET /v1/catalog/datacenters?cached", "", NULL, 200, "X-Cache: MISS", "[\"dc1\"]");
    want("GET /v1/catalog/datacenters?cached", "", NULL, 200, "X-Cache: HIT", "[\"dc1\"]");
    want("GET /v1/catalog/datacenters?cached", "Cache-Control: must-revalidate\r\n", NULL, 200,
         "X-Cache: MISS", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_bad_parameters),
        cmocka_unit_test(test_kv),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_unread_body_is_drained),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_old_protocol),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_large_and_packed),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_blocking),
        cmocka_unit_test(test_cached),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

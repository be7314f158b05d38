/* Metrics as they leave: the text for Prometheus, and the lines of statsd and dogstatsd as they
 * arrive at a socket; names with and without the host's, filters, labels.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/telemetry.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"

static struct arena arena;

static const struct config *load(const char *telemetry) {
    struct config_inputs in;
    struct list warnings;
    struct error e = ERROR_IN(&arena);
    config_inputs_init(&in);
    in.dev_mode = true;
    in.fragments = LIST_NEW(&in.arena, struct str, 1);
    LIST_AT(in.fragments, struct str, 0) =
        str_format(&arena, "node_name=\"n\" bind_addr=\"127.0.0.1\" telemetry { %s }", telemetry);
    const struct config *c = config_load(&in, &warnings, &arena, &e);
    assert_non_null(c);
    config_inputs_free(&in);
    return c;
}

static bool has(struct str text, const char *part) {
    return str_find(text, str_from(part), 0) >= 0;
}

static void test_prometheus(void **state) {
    (void)state;
    struct error e = ERROR_IN(&arena);
    const struct config *c = load("prometheus_retention_time=\"1m\" metrics_prefix=\"our\" "
                                  "prefix_filter=[\"-our.secret\"]");
    char host[256] = "", gauge[512];
    gethostname(host, sizeof(host) - 1);
    assert_true(telemetry_start(c, &e));
    struct metric_label labels[] = {{"op", STR("a\"b")}, {NULL, STR_NONE}};
    metric_count("rpc.not-found", 2);
    metric_count("rpc.not-found", 1);
    metric_count("secret.x", 1);
    metric_gauge("mem.bytes", 1048576);
    metric_add(METRIC_SAMPLE, "fsm", 0.5, labels);
    metric_add(METRIC_SAMPLE, "fsm", 1.5, labels);
    struct metric_label tags[] = {
        {"service", STR("a;b=c\nd")}, {"tag", STR("x")}, {"tag", STR("y")}, {NULL, STR_NONE}};
    metric_add(METRIC_COUNTER, "tagged", 1, tags);
    struct buf out = BUF_INIT;
    telemetry_write_prometheus(&out);
    struct str text = buf_str(&out);
    assert_true(has(text, "# HELP our_rpc_not_found our_rpc_not_found\n"
                          "# TYPE our_rpc_not_found counter\nour_rpc_not_found 3\n"));
    assert_true(has(text, "# TYPE our_fsm summary\nour_fsm{op=\"a\\\"b\",quantile=\"0.5\"} 0.5\n"
                          "our_fsm{op=\"a\\\"b\",quantile=\"0.9\"} 1.5\n"));
    assert_true(has(text, "our_fsm_sum{op=\"a\\\"b\"} 2\nour_fsm_count{op=\"a\\\"b\"} 2\n"));
    assert_true(has(text, "\nour_tagged{service=\"a;b=c d\",tag=\"y\"} 1\n"));
    assert_true(has(text, "# TYPE process_max_fds gauge\n"));
    assert_false(has(text, "secret"));
    snprintf(gauge, sizeof(gauge), "_mem_bytes 1.048576e+06\n");
    assert_true(has(text, gauge) && !has(text, "our_mem_bytes"));
    buf_free(&out);
    const struct config *other = load("metrics_prefix=\"our\" filter_default=false");
    telemetry_reload(other);
    metric_count("rpc.later", 1);
    telemetry_write_prometheus(&out);
    assert_false(has(buf_str(&out), "our_rpc_later"));
    buf_free(&out);
    telemetry_stop();
    config_release(other);
    config_release(c);
}

/* In the order of "name;label=value", each label's name once. */
static void test_json(void **state) {
    (void)state;
    const struct config *c = load("");
    struct metric_label labels[] = {
        {"service", STR("a;b")}, {"tag", STR("x")}, {"tag", STR("y")}, {NULL, STR_NONE}};
    metric_add(METRIC_COUNTER, "zz.query", 1, labels);
    metric_count("zz.query-tags", 1);
    metric_count("zz.query", 1);
    metric_count("zz.queryx", 1);
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    telemetry_write_json(&w, c);
    json_finish(&w);
    const char *const parts[] = {"\"Name\":\"consul.zz.query\",",
                                 "\"Labels\":{}",
                                 "\"Name\":\"consul.zz.query-tags\",",
                                 "\"Name\":\"consul.zz.query\",",
                                 "\"Labels\":{\"service\":\"a;b\",\"tag\":\"y\"}",
                                 "\"Name\":\"consul.zz.queryx\","};
    ptrdiff_t at = 0;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        at = str_find(buf_str(&out), str_from(parts[i]), (size_t)at);
        assert_true(at >= 0);
        at += (ptrdiff_t)strlen(parts[i]);
    }
    buf_free(&out);
    config_release(c);
}

static int udp_socket(unsigned *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f2f1501)};
    socklen_t len = sizeof(a);
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    *port = ntohs(a.sin_port);
    return fd;
}

static void receives(int fd, const char *expected) {
    char text[2048];
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, expected);
}

static void test_network(void **state) {
    (void)state;
    struct error e = ERROR_IN(&arena);
    unsigned plain_port, dog_port;
    int plain = udp_socket(&plain_port), dog = udp_socket(&dog_port);
    const struct config *c =
        load(str_format(&arena,
                        "disable_hostname=true statsd_address=\"127.47.21.1:%u\" "
                        "dogstatsd_addr=\"127.47.21.1:%u\" dogstatsd_tags=[\"t:1\"]",
                        plain_port, dog_port)
                 .data);
    assert_true(telemetry_start(c, &e));
    struct metric_label labels[] = {{"service", STR("we:b")}, {NULL, STR_NONE}};
    metric_add(METRIC_COUNTER, "q", 2, labels);
    metric_gauge("g g", 1.5);
    telemetry_stop(); /* sends what waits, if the thread has not yet */
    char text[2048] = "";
    size_t len = 0;
    while (strstr(text, "|g") == NULL) {
        ssize_t n = recv(plain, text + len, sizeof(text) - 1 - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_string_equal(text, "consul.q.we_b:2.000000|c\nconsul.g_g:1.500000|g\n");
    receives(dog, "consul.q:2|c|#t:1,service:we:b");
    receives(dog, "consul.g_g:1.500000|g|#t:1");
    config_release(c);
    close(plain);
    close(dog);
}

/* Sinks that are there and take nothing hold nobody up: neither who measures nor the end. */
static void test_sinks_that_sleep(void **state) {
    (void)state;
    struct error e = ERROR_IN(&arena);
    char path[] = "/tmp/praetor-sink-XXXXXX";
    int made = mkstemp(path), dog = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    assert_true(made >= 0 && unlink(path) == 0);
    close(made);
    strcpy(to.sun_path, path);
    assert_int_equal(bind(dog, (struct sockaddr *)&to, sizeof(to)), 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f2f1502)};
    socklen_t len = sizeof(in);
    int site = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(site, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(site, 1), 0);
    getsockname(site, (struct sockaddr *)&in, &len);
    const struct config *c =
        load(str_format(&arena, "dogstatsd_addr=\"unix://%s\" statsite_address=\"127.47.21.2:%u\"",
                        path, ntohs(in.sin_port))
                 .data);
    assert_true(telemetry_start(c, &e));
    int64_t began = time_now_monotonic();
    for (int i = 0; i < 200000; i++)
        metric_count("some.thing.that.is.counted.very.often.and.has.a.long.name", 1);
    telemetry_stop();
    assert_true(time_now_monotonic() - began < 30 * SECOND);
    config_release(c);
    close(dog);
    close(site);
    unlink(path);
}

static void test_bad_address(void **state) {
    (void)state;
    struct error e = ERROR_IN(&arena);
    const struct config *c = load("dogstatsd_addr=\"nohost\"");
    assert_false(telemetry_start(c, &e));
    assert_true(str_is(e.text, "address nohost: missing port in address"));
    telemetry_stop();
    config_release(c);
}

static int forget(void **state) {
    (void)state;
    arena_free(&arena);
    metrics_reset();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_prometheus, forget),
        cmocka_unit_test_teardown(test_json, forget),
        cmocka_unit_test_teardown(test_network, forget),
        cmocka_unit_test_teardown(test_sinks_that_sleep, forget),
        cmocka_unit_test_teardown(test_bad_address, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

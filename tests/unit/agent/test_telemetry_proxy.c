/* The metrics of a built-in proxy: what its registration's settings are read as, with the peer's
 * texts for what is of the wrong kind, and that they are sent (connect.md 7.1).
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/telemetry_proxy.h"
#include "base/mem.h"
#include "codec/json.h"

static struct arena arena;

static struct value *json(const char *text) {
    struct error e = ERROR_IN(&arena);
    struct value *v = ARENA_NEW(&arena, struct value);
    if (!json_parse_whole(str_from(text), v, &arena, &e))
        fail_msg("%s", text);
    return v;
}

/* error NULL: none. */
static struct config_telemetry read_settings(const char *text, const char *error) {
    struct error e = ERROR_IN(&arena);
    struct proxy_telemetry out;
    bool ok = proxy_telemetry_read(json(text), &out, &arena, &e);
    if (ok != (error == NULL) || (!ok && !str_is(e.text, error)))
        fail_msg("%s: " STR_FMT, text, STR_ARG(e.text));
    return out.settings;
}

static void test_good(void **state) {
    struct config_telemetry t = read_settings(
        "{\"statsd_address\":\"h:1\",\"Statsite_Address\":\"h:2\",\"dogstatsd_addr\":\"h:3\","
        "\"dogstatsd_tags\":[\"a:b\",\"c\"],\"metrics_prefix\":\"mp\",\"disable_hostname\":true,"
        "\"filter_default\":true,\"allowed_prefixes\":[\"x\"],\"blocked_prefixes\":[\"y\",\"z\"],"
        "\"prometheus_retention_time\":5,\"unknown\":{}}",
        NULL);
    assert_true(str_is(t.statsd_addr, "h:1") && str_is(t.statsite_addr, "h:2") &&
                str_is(t.dogstatsd_addr, "h:3") && str_is(t.metrics_prefix, "mp"));
    assert_true(t.disable_hostname && t.filter_default);
    assert_int_equal(t.dogstatsd_tags.len, 2);
    assert_true(str_is(LIST_AT(t.dogstatsd_tags, struct str, 1), "c"));
    assert_true(str_is(LIST_AT(t.allowed_prefixes, struct str, 0), "x"));
    assert_true(str_is(LIST_AT(t.blocked_prefixes, struct str, 1), "z"));
    /* Nothing passes by default, nothing is in front of names. */
    t = read_settings("{\"statsd_address\":null}", NULL);
    assert_true(!t.filter_default && t.metrics_prefix.len == 0 && t.statsd_addr.len == 0);
    read_settings("null", NULL);
    read_settings("{}", NULL);
}

static void test_wrong(void **state) {
    read_settings("\"x\"", "'' expected a map, got 'string'");
    read_settings("[{}]", "'' expected a map, got 'slice'");
    read_settings("5", "'' expected a map, got 'float64'");
    read_settings("true", "'' expected a map, got 'bool'");
    struct config_telemetry t = read_settings(
        "{\"metrics_prefix\":5,\"disable_hostname\":\"true\",\"filter_default\":\"1\","
        "\"statsd_address\":\"h:1\"}",
        "3 error(s) decoding:\n\n"
        "* 'disable_hostname' expected type 'bool', got unconvertible type 'string'\n"
        "* 'filter_default' expected type 'bool', got unconvertible type 'string'\n"
        "* 'metrics_prefix' expected type 'string', got unconvertible type 'float64'");
    assert_true(str_is(t.statsd_addr, "h:1")); /* the rest counts */
    t = read_settings(
        "{\"allowed_prefixes\":{\"a\":1},\"metrics_prefix\":[\"a\"],"
        "\"blocked_prefixes\":[1,\"upstream\",true],\"dogstatsd_tags\":\"a:b\"}",
        "5 error(s) decoding:\n\n"
        "* 'allowed_prefixes': source data must be an array or slice, got map\n"
        "* 'blocked_prefixes[0]' expected type 'string', got unconvertible type 'float64'\n"
        "* 'blocked_prefixes[2]' expected type 'string', got unconvertible type 'bool'\n"
        "* 'dogstatsd_tags': source data must be an array or slice, got string\n"
        "* 'metrics_prefix' expected type 'string', got unconvertible type '[]interface {}'");
    assert_int_equal(t.blocked_prefixes.len, 3);
    assert_true(str_is(LIST_AT(t.blocked_prefixes, struct str, 0), ""));
    read_settings("{\"prometheus_retention_time\":\"10s\"}",
                  "1 error(s) decoding:\n\n* 'prometheus_retention_time' expected type "
                  "'time.Duration', got unconvertible type 'string'");
    read_settings("{\"circonus_api_token\":{}}",
                  "1 error(s) decoding:\n\n* 'circonus_api_token' expected type 'string', got "
                  "unconvertible type 'map[string]interface {}'");
}

static void test_sent(void **state) {
    struct error unread = ERROR_IN(&arena), e = ERROR_IN(&arena);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    getsockname(fd, (struct sockaddr *)&at, &len);

    assert_false(proxy_telemetry_start(json("{\"dogstatsd_addr\":\"1\"}"), &unread, &e));
    assert_true(str_is(e.text, "address 1: missing port in address"));
    proxy_telemetry_dump(stderr); /* of nothing */

    error_clear(&e);
    struct str settings =
        str_format(&arena,
                   "{\"statsd_address\":\"127.0.0.1:%d\",\"allowed_prefixes\":[\"up\"],"
                   "\"metrics_prefix\":5}",
                   ntohs(at.sin_port));
    assert_true(proxy_telemetry_start(json(settings.data), &unread, &e));
    assert_true(error_is_set(&unread));
    int64_t again = proxy_telemetry_sample();
    assert_true(again > 0 && again <= 2 * (int64_t)1000000000);
    struct metric_label labels[] = {{"src", STR("web")}, {"dst", STR("db")}, {NULL, STR_NONE}};
    metric_add(METRIC_COUNTER, "down.bytes", 1, labels);
    metric_add(METRIC_COUNTER, "up.bytes", 7, labels);
    proxy_telemetry_stop(); /* sends it */
    char got[2000];
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, "up.bytes.web.db:7.000000|c\n");
    proxy_telemetry_stop();
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_sent),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}

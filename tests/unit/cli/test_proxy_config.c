/* proxy_config.c: what the built-in proxy is told by flags, registrations and instances, and whose
 * certificate it believes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/proxy_config.h"
#include "codec/json.h"

static struct arena arena;
static struct error error;

static struct value json(const char *text) {
    struct value v;
    error = ERROR_IN(&arena);
    assert_true(json_parse_whole(str_from(text), &v, &arena, &error));
    return v;
}

#define assert_str(s, expected) assert_string_equal(str_terminated(&arena, (s)), (expected))

static void expect_upstream(const char *text, const char *label, const char *fault) {
    struct proxy_upstream u;
    error = ERROR_IN(&arena);
    bool ok = proxy_upstream_parse(str_from(text), &u, &arena, &error);
    if (ok != (label != NULL))
        fail_msg("%s: %.*s", text, STR_ARG(error.text));
    if (ok)
        assert_str(proxy_upstream_label(&u, &arena), label);
    else
        assert_str(error.text, fault);
}

static void test_upstreams(void **state) {
    expect_upstream("db:8181", "127.0.0.1:8181->service:default/db", NULL);
    expect_upstream("db.service:127.0.0.2:8181", "127.0.0.2:8181->service:default/db", NULL);
    expect_upstream("db.query:h:1", "h:1->prepared_query:default/db", NULL);
    expect_upstream("db.:5", "127.0.0.1:5->service:default/db", NULL);
    expect_upstream(":1", "127.0.0.1:1->service:default/", NULL);
    expect_upstream("db", NULL, "Upstream value should be name:addr in \"db\"");
    expect_upstream("db.zork:1", NULL,
                    "Upstream type must be blank, 'service', or 'query'. Got: \"zork\"");
    expect_upstream("a.b.service:4", NULL,
                    "Upstream type must be blank, 'service', or 'query'. Got: \"b.service\"");
    expect_upstream("db:", NULL, "strconv.ParseInt: parsing \"\": invalid syntax");
    expect_upstream("db:h:x", NULL, "strconv.ParseInt: parsing \"x\": invalid syntax");
    expect_upstream("db:[::1]:5", NULL, "strconv.ParseInt: parsing \":1]:5\": invalid syntax");
    expect_upstream("db:99999999999999999999", NULL,
                    "strconv.ParseInt: parsing \"99999999999999999999\": value out of range");
    arena_free(&arena);
}

static void test_registrations(void **state) {
    struct proxy_config c;
    struct value v = json(
        "{\"Kind\":\"connect-proxy\",\"Port\":21000,\"Proxy\":{\"DestinationServiceName\":\"web\","
        "\"LocalServicePort\":8080,\"Config\":{\"local_connect_timeout_ms\":250,"
        "\"handshake_timeout_ms\":\"500\"},\"Upstreams\":[{\"DestinationName\":\"db\","
        "\"LocalBindPort\":9191,\"Config\":{\"connect_timeout_ms\":1500}},{\"DestinationType\":"
        "\"prepared_query\",\"DestinationName\":\"q\",\"Datacenter\":\"dc2\",\"LocalBindAddress\":"
        "\"127.0.0.3\",\"LocalBindPort\":9192,\"Config\":{\"connect_timeout_ms\":-5}}]}}");
    assert_true(proxy_config_read(&v, &c, &arena, &error));
    assert_str(c.service, "web");
    assert_true(c.listens);
    assert_str(c.bind_address, "0.0.0.0");
    assert_int_equal(c.bind_port, 21000);
    assert_str(c.local_host, "127.0.0.1");
    assert_int_equal(c.local_port, 8080);
    assert_int_equal(c.local_connect_timeout, 250 * MILLISECOND);
    assert_int_equal(c.handshake_timeout, 500 * MILLISECOND);
    assert_int_equal(c.upstream_count, 2);
    assert_str(proxy_upstream_label(&c.upstreams[0], &arena), "127.0.0.1:9191->service:default/db");
    assert_int_equal(c.upstreams[0].connect_timeout, 1500 * MILLISECOND);
    assert_str(proxy_upstream_label(&c.upstreams[1], &arena),
               "127.0.0.3:9192->prepared_query:default/q");
    assert_str(c.upstreams[1].datacenter, "dc2");
    assert_int_equal(c.upstreams[1].connect_timeout, 10 * SECOND);

    struct arena other = ARENA_INIT;
    struct proxy_config *copy = proxy_config_copy(&c, &other);
    assert_true(proxy_upstream_same(&copy->upstreams[0], &c.upstreams[0]));
    assert_false(proxy_upstream_same(&copy->upstreams[0], &c.upstreams[1]));
    copy->upstreams[0].connect_timeout++;
    assert_false(proxy_upstream_same(&copy->upstreams[0], &c.upstreams[0]));
    arena_free(&other);

    static const char *const bad[] = {
        "{}",
        "[]",
        "null",
        "{\"Kind\":\"connect-proxy\"}",
        "{\"Kind\":\"\",\"Proxy\":{}}",
        "{\"Kind\":\"connect-proxy\",\"Proxy\":{\"DestinationServiceName\":\"\"}}",
        "{\"Kind\":\"mesh-gateway\",\"Proxy\":{\"DestinationServiceName\":\"a\"}}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        v = json(bad[i]);
        assert_false(proxy_config_read(&v, &c, &arena, &error));
        assert_str(error.text, "service is not a valid connect proxy");
    }
    arena_free(&arena);
}

static void test_instances(void **state) {
    size_t count;
    struct value v =
        json("[{\"Node\":{\"Address\":\"10.0.0.1\",\"Datacenter\":\"dc2\"},\"Service\":{\"Kind\":"
             "\"connect-proxy\",\"Service\":\"db-sidecar-proxy\",\"Port\":21000,\"Proxy\":{"
             "\"DestinationServiceName\":\"db\"}}},"
             "{\"Node\":{\"Address\":\"10.0.0.2\",\"Datacenter\":\"dc1\"},\"Service\":{\"Service\":"
             "\"native\",\"Address\":\"host\",\"Port\":5,\"Connect\":{\"Native\":true}}},"
             "{\"Node\":{\"Address\":\"10.0.0.3\"},\"Service\":{\"Service\":\"a\",\"Port\":0}},"
             "{\"Node\":{\"Address\":\"10.0.0.3\"},\"Service\":{\"Service\":\"a\",\"Port\":70000}},"
             "{\"Node\":{\"Address\":\"\"},\"Service\":{\"Service\":\"a\",\"Port\":1}},{},5,null]");
    struct proxy_instance *all = proxy_instances_read(&v, &count, &arena);
    assert_int_equal(count, 2);
    assert_str(all[0].address, "10.0.0.1");
    assert_str(proxy_identity_text(&all[0], &arena), "spiffe:///ns/default/dc/dc2/svc/db");
    assert_str(all[1].address, "host");
    assert_str(proxy_identity_text(&all[1], &arena), "spiffe:///ns/default/dc/dc1/svc/native");
    v = json("{\"a\":1}");
    proxy_instances_read(&v, &count, &arena);
    assert_int_equal(count, 0);
    arena_free(&arena);
}

static void test_identities(void **state) {
    struct proxy_instance db = {
        .name_space = STR("default"), .datacenter = STR("dc1"), .service = STR("My DB")};
    static const char *const good[] = {"spiffe://1111.consul/ns/default/dc/dc1/svc/My%20DB",
                                       "SPIFFE://other.consul/ns/Default/dc/DC1/svc/my%20db",
                                       "spiffe:///ns/default/dc/dc1/svc/My DB"};
    static const char *const bad[] = {"",
                                      "spiffe://",
                                      "spiffe://x",
                                      "spiffe://x/",
                                      "https://x/ns/default/dc/dc1/svc/My%20DB",
                                      "spiffe://x/ns/default/dc/dc2/svc/My%20DB",
                                      "spiffe://x/ns/other/dc/dc1/svc/My%20DB",
                                      "spiffe://x/ns/default/dc/dc1/svc/My%20DB/",
                                      "spiffe://x/ns/default/dc/dc1/svc/My%20DB/x",
                                      "spiffe://x/ns/default/dc/dc1/svc/My%20DBX",
                                      "spiffe://x/ns/default/dc/dc1/svc/",
                                      "spiffe://x/ns/default/dc//svc/My%20DB",
                                      "spiffe://x//ns/default/dc/dc1/svc/My%20DB",
                                      "spiffe://x/dc/dc1/ns/default/svc/My%20DB",
                                      "spiffe://x/ns/default/dc/dc1/svc/My%2",
                                      "spiffe://x/ns/default/dc/dc1/svc/My%20DB?a",
                                      "spiffe://x/ns/default/dc/dc1/svc/My%20DB#a",
                                      "spiffe://x/agent/client/dc/dc1/id/n1"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(proxy_identity_matches(str_from(good[i]), &db, &arena));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (proxy_identity_matches(str_from(bad[i]), &db, &arena))
            fail_msg("%s", bad[i]);
    /* A certificate may hold a NUL. */
    assert_false(
        proxy_identity_matches(STR("spiffe://x/ns/default/dc/dc1/svc/My%20DB\0evil"), &db, &arena));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upstreams),
        cmocka_unit_test(test_registrations),
        cmocka_unit_test(test_instances),
        cmocka_unit_test(test_identities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

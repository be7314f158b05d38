/* auto_config (tls.md 14): claim assertions, the source that an answer becomes, and how addresses
 * of servers are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/auto_config.h"
#include "agent/auto_servers.h"
#include "base/mem.h"
#include "server/auth_method.h"
#include "server/auto_config.h"

static struct arena arena;

static void assert_text(struct str got, const char *want) {
    assert_string_equal(str_terminated(&arena, got), want);
}

/* The error, or "". */
static struct str asserted(const char *assertion, const char *claim, const char *node,
                           const char *segment) {
    struct str text = str_from(assertion);
    struct auto_config_options o = {.assertions = {&text, 1, true}};
    struct str_pair value = {STR("node"), str_from(claim)};
    struct auth_identity identity = {.type = STR("jwt"), .value = {&value, 1, true}};
    struct auto_config_request request = {.node = str_from(node), .segment = str_from(segment)};
    struct error e = ERROR_IN(&arena);
    bool ok = auto_config_assert(&o, &identity, &request, &arena, &e);
    assert_int_equal(ok, !error_is_set(&e));
    return ok ? STR("") : e.text;
}

static void test_assertions(void **state) {
    static const char denied[] = "Permission denied: Failed JWT claim assertion";
    static const char invalid[] = "Permission denied: node name is invalid";
    const char *own = "value.node == \"${node}\"";
    assert_text(asserted(own, "n1", "n1", ""), "");
    assert_text(asserted(own, "n1", "n2", ""), denied);
    assert_text(asserted("value.other == x", "n1", "n1", ""), denied);
    /* What an agent says of itself does not become part of the question. */
    assert_text(asserted(own, "n1", "n2\" or \"a\" == \"a", ""), invalid);
    assert_text(asserted("value.node == `${node}`", "n1", "x` or `a` != `b", ""), invalid);
    assert_text(asserted("value.node == ${node}", "n1", "n1 or true", ""), invalid);
    assert_text(asserted("value.node == \"n1\" and \"${segment}\" == \"\"", "n1", "n1", "\\"),
                invalid);
    assert_text(asserted(own, "", "", ""), invalid);
}

static void test_source(void **state) {
    struct error e = ERROR_IN(&arena);
    struct auto_config_tokens tokens = {.agent = STR("t")};
    struct auto_config_acl acl = {
        .enabled = true, .default_policy = STR("deny"), .tokens = &tokens};
    struct auto_config_encryption encryption = {.key = STR("AAEC"), .verify_incoming = true};
    struct str servers[] = {STR("10.0.0.1:8301")};
    struct auto_config_gossip gossip = {.encryption = &encryption,
                                        .retry_join_lan = {servers, 1, true}};
    struct auto_config_tls tls = {.verify_outgoing = true, .min_version = STR("tls12")};
    struct auto_config_config config = {.datacenter = STR("dc1"),
                                        .node_name = STR("n"),
                                        .acl = &acl,
                                        .gossip = &gossip,
                                        .tls = &tls};
    struct buf given = BUF_INIT, out = BUF_INIT;
    proto_encode(&given, &auto_config_config_proto, &config);
    assert_true(auto_config_source(buf_str(&given), &out, &e));
    assert_text(buf_str(&out),
                "{\"datacenter\":\"dc1\",\"node_name\":\"n\",\"acl\":{\"enabled\":true,"
                "\"default_policy\":\"deny\",\"enable_key_list_policy\":false,"
                "\"enable_token_persistence\":false,\"tokens\":{\"agent\":\"t\"}},"
                "\"encrypt\":\"AAEC\",\"encrypt_verify_incoming\":true,"
                "\"encrypt_verify_outgoing\":false,\"retry_join\":[\"10.0.0.1:8301\"],"
                "\"verify_outgoing\":true,\"verify_server_hostname\":false,"
                "\"tls_min_version\":\"tls12\",\"tls_prefer_server_cipher_suites\":false}");
    buf_free(&given);
    buf_free(&out);
}

static void test_addresses(void **state) {
    static const struct {
        const char *text, *host;
        uint16_t port;
    } cases[] = {
        {"10.0.0.1", "10.0.0.1", 1},
        {"10.0.0.1:8300", "10.0.0.1", 8300},
        {"host:8300", "host", 8300},
        {"::1", "::1", 1},
        {"[::1]:8300", "::1", 8300},
        {"[::1]", "::1", 1},
        {"host:", "host", 1},
        {"host:x", "host", 1},
        {"host:99999", "host", 1},
        {"", "", 1},
        {"fe80::1:8300", "fe80::1:8300", 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint16_t port = 1;
        assert_text(auto_servers_split(str_from(cases[i].text), &port), cases[i].host);
        assert_int_equal(port, cases[i].port);
    }
}

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assertions),
        cmocka_unit_test(test_source),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

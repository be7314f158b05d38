/* The `acl` commands against an agent that answers what the test says: what they send where the
 * peer's send something else (docs/compatibility.md), and answers that no server gives. The rest is
 * tests/e2e/test_cli_acl.py, beside the peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/cli/fake_agent.h"
#include "unit/cli/run.h"

#define OK(body) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" body
#define ID "c062c34d-2260-1098-9849-a83a51e4651b"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct fake_agent agent;

static const char *body_of(size_t request) {
    assert_true(request < agent.request_count);
    return strstr(agent.requests[request], "\r\n\r\n") + 4;
}

static void expect_sent(struct ran r, const char *text) {
    assert_int_equal(r.code, 0);
    run_free(&r);
    fake_join(&agent);
    const char *body = body_of(agent.request_count - 1);
    if (strstr(body, text) == NULL)
        assert_string_equal(body, text);
    fake_free(&agent);
}

/* ---- what is sent ---- */

static void test_links(void **state) {
    FAKE_START(&agent, OK("{\"AccessorID\":\"" ID "\",\"Roles\":[{\"ID\":\"a\",\"Name\":\"r\"}]}"),
               OK("[{\"ID\":\"b1\",\"Name\":\"s\"}]"), OK("{}"));
    expect_sent(RUN("acl", "token", "update", "-id", ID, "-merge-roles", "-role-id", "b"),
                "\"Roles\":[{\"ID\":\"a\",\"Name\":\"r\"},{\"ID\":\"b1\",\"Name\":\"\"}]");
    FAKE_START(&agent, OK("{\"NodeIdentities\":[{\"NodeName\":\"n\",\"Datacenter\":\"dc1\"}]}"),
               OK("{}"));
    expect_sent(RUN("acl", "role", "update", "-id", ID, "-node-identity", "n:dc2", "-node-identity",
                    "n:dc1"),
                "\"NodeIdentities\":[{\"NodeName\":\"n\",\"Datacenter\":\"dc1\"},"
                "{\"NodeName\":\"n\",\"Datacenter\":\"dc2\"}]");
    FAKE_START(&agent,
               OK("{\"ServiceIdentities\":[{\"ServiceName\":\"x\"},{\"ServiceName\":\"y\"}]}"),
               OK("{}"));
    expect_sent(RUN("acl", "role", "update", "-id", ID, "-service-identity", "x:dc1",
                    "-service-identity", "x:dc2,dc3"),
                "\"ServiceIdentities\":[{\"ServiceName\":\"y\"},"
                "{\"ServiceName\":\"x\",\"Datacenters\":[\"dc1\"]},"
                "{\"ServiceName\":\"x\",\"Datacenters\":[\"dc2\",\"dc3\"]}]");
}

static void test_lifetimes(void **state) {
    FAKE_START(&agent, OK("{}"));
    expect_sent(RUN("acl", "token", "create", "-policy-name", "p", "-expires-ttl", "-5s"),
                "\"ExpirationTTL\":-5000000000,");
    FAKE_START(&agent, OK("{}"));
    expect_sent(
        RUN("acl", "auth-method", "create", "-type", "t", "-name", "n", "-max-token-ttl", "-90s"),
        "{\"MaxTokenTTL\":\"-1m30s\",");
}

static void test_binding_rule_keeps_type(void **state) {
    FAKE_START(&agent, OK("{\"AuthMethod\":\"m\",\"BindType\":\"role\",\"BindName\":\"r\"}"),
               OK("{}"));
    expect_sent(RUN("acl", "binding-rule", "update", "-id", ID, "-description", "d"),
                "\"BindType\":\"role\",\"BindName\":\"r\"");
}

static void test_partial_id(void **state) {
    FAKE_START(&agent, OK("[{\"ID\":\"ab\"},{\"ID\":\"ac\"},{\"ID\":\"b\"}]"));
    struct ran r = RUN("acl", "role", "delete", "-id", "a");
    assert_int_equal(r.code, 1);
    assert_string_equal(r.err, "Error determining role ID: Partial role ID is not unique\n");
    run_free(&r);
    fake_join(&agent);
    fake_free(&agent);
}

/* ---- secrets ---- */

static bool translate(struct arena *arena, struct str text, struct str *out, struct error *e) {
    if (str_is(text, "bad"))
        return error_set(e, ERROR_BAD_REQUEST, "Failed to parse rules: it is bad");
    *out = str_format(arena, "<" STR_FMT ">", STR_ARG(text));
    return true;
}
static const struct cli_hooks hooks = {.translate_rules = translate};

static void expect_translated(struct ran r, int code, const char *out, const char *err) {
    assert_int_equal(r.code, code);
    assert_string_equal(r.out, out);
    assert_string_equal(r.err, err);
    run_free(&r);
}

static void test_secret_is_sent_as_one(void **state) {
    char *const argv[] = {"acl", "translate-rules", "-token-secret", "-", NULL};
    FAKE_START(&agent, OK("{\"Rules\":\"r\"}"),
               "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nACL not found",
               OK("{\"Rules\":\"bad\"}"), OK("{\"SecretID\":\"short\"}"));
    expect_translated(run_with("consul", &hooks, "short\n", argv), 0, "<r>\n", "");
    expect_translated(run_with("consul", &hooks, "short\n", argv), 1, "",
                      "Error reading token: Unexpected response code: 403 (ACL not found)\n");
    expect_translated(run_with("consul", &hooks, "short\n", argv), 1, "",
                      "Error translating rules: Failed to parse rules: it is bad\n");
    expect_translated(run_with("consul", &hooks, "short\n", argv), 1, "",
                      "Token is not a legacy token with rules\n");
    fake_join(&agent);
    assert_non_null(strstr(agent.requests[0], "\r\nX-Consul-Token: short\r\n"));
    assert_int_equal(strncmp(agent.requests[0], "GET /v1/acl/token/self ", 23), 0);
    fake_free(&agent);
}

static void test_agent_token_of_a_file(void **state) {
    FAKE_START(&agent, OK(""), OK(""));
    char *const from_input[] = {"acl", "set-agent-token", "master", "-", NULL};
    expect_translated(run_with("consul", &hooks, " s\n", from_input), 0,
                      "ACL token \"master\" set successfully\n", "");
    expect_translated(RUN("acl", "set-agent-token", "agent", " s "), 0,
                      "ACL token \"agent\" set successfully\n", "");
    fake_join(&agent);
    assert_int_equal(strncmp(agent.requests[0], "PUT /v1/agent/token/agent_master ", 33), 0);
    assert_string_equal(body_of(0), "{\"Token\":\"s\"}");
    assert_string_equal(body_of(1), "{\"Token\":\" s \"}"); /* an argument is what it says */
    fake_free(&agent);
}

static void test_translate_needs_no_agent(void **state) {
    setenv("CONSUL_HTTP_TOKEN_FILE", "/none", 1);
    char *const argv[] = {"acl", "translate-rules", "text", NULL};
    expect_translated(run_with("consul", &hooks, "", argv), 0, "<text>\n", "");
    expect_translated(RUN("acl", "translate-rules", "text"), 1, "",
                      "Error translating rules: this build of Praetor cannot translate rules\n");
    unsetenv("CONSUL_HTTP_TOKEN_FILE");
}

/* ---- answers that no server gives ---- */

/* Lets the agent end, however many of its answers were asked for. */
static void drain(void) {
    struct sockaddr_in to;
    socklen_t len = sizeof to;
    getsockname(agent.fd, (struct sockaddr *)&to, &len);
    for (size_t i = 0; i < agent.answer_count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        close(fd);
    }
    fake_join(&agent);
    fake_free(&agent);
}

#define LINKS_FLAGS                                                                                \
    "-policy-name", "p", "-policy-id", "a", "-service-identity", "s:d", "-node-identity", "n:d"
#define MERGE_FLAGS                                                                                \
    "-merge-policies", "-merge-roles", "-merge-service-identities", "-merge-node-identities"

static void test_odd_answers(void **state) {
    static const char *const answers[] = {
        OK(""),
        OK("null"),
        OK("[]"),
        OK("{}"),
        OK("\"x\""),
        OK("1"),
        OK("[1,null,\"x\",[],{},{\"ID\":7,\"Name\":[],\"AccessorID\":null}]"),
        OK("[[{\"ID\":\"ab\"}]]"),
        OK("[{\"ID\":\"ab\",\"AccessorID\":\"ab\",\"Name\":\"p\",\"Hash\":\"!\",\"Policies\":7}]"),
        OK("{\"Policies\":{},\"Roles\":[1],\"ServiceIdentities\":[1,{\"Datacenters\":5},"
           "{\"Datacenters\":[1,null]}],\"NodeIdentities\":\"x\",\"Hash\":7,\"CreateIndex\":-1,"
           "\"CreateTime\":\"T\",\"ExpirationTime\":\"Z\",\"Local\":1,\"Rules\":[]}"),
        OK("{\"Type\":\"kubernetes\",\"Config\":[1],\"MaxTokenTTL\":5,\"Hash\":\"AA\"}"),
        OK("{\"CreateTime\":\"\",\"ExpirationTime\":\"TZ\",\"Type\":5,\"Datacenters\":{\"a\":1}}"),
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n",
    };
    static char *const commands[][24] = {
        {"acl", "bootstrap"},
        {"acl", "token", "read", "-id", "a", "-meta"},
        {"acl", "token", "read", "-self", "-format", "json"},
        {"acl", "token", "create", LINKS_FLAGS, "-role-id", "a"},
        {"acl", "token", "update", "-id", ID, LINKS_FLAGS, MERGE_FLAGS},
        {"acl", "token", "clone", "-id", "a"},
        {"acl", "token", "list", "-meta"},
        {"acl", "token", "list", "-format", "json"},
        {"acl", "policy", "read", "-name", "p", "-meta"},
        {"acl", "policy", "update", "-name", "p", "-valid-datacenter", "d"},
        {"acl", "policy", "list", "-meta"},
        {"acl", "policy", "create", "-name", "p", "-from-token", "a"},
        {"acl", "role", "read", "-name", "p", "-meta"},
        {"acl", "role", "update", "-id", "a", LINKS_FLAGS},
        {"acl", "role", "list", "-meta"},
        {"acl", "auth-method", "read", "-name", "m", "-meta"},
        {"acl", "auth-method", "update", "-name", "m", "-kubernetes-host", "h"},
        {"acl", "auth-method", "list"},
        {"acl", "binding-rule", "read", "-id", "a", "-meta"},
        {"acl", "binding-rule", "update", "-id", ID, "-selector", ""},
        {"acl", "binding-rule", "list", "-format", "json"},
        {"acl", "translate-rules", "-token-accessor", "a"},
    };
    for (size_t c = 0; c < COUNT(commands); c++) {
        for (size_t a = 0; a < COUNT(answers); a++) {
            FAKE_START(&agent, answers[a], answers[a], answers[a], answers[a]);
            struct ran r = run_with("consul", &hooks, NULL, commands[c]);
            assert_true(r.code == 0 || r.code == 1);
            assert_true(r.code == 0 ? r.err_len == 0 : r.err_len > 0);
            run_free(&r);
            drain();
        }
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_binding_rule_keeps_type),
        cmocka_unit_test(test_partial_id),
        cmocka_unit_test(test_secret_is_sent_as_one),
        cmocka_unit_test(test_agent_token_of_a_file),
        cmocka_unit_test(test_translate_needs_no_agent),
        cmocka_unit_test(test_odd_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

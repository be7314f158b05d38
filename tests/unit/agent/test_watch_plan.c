/* Watches of the configuration: what is taken, and the peer's texts with the parameters that were
 * left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/watch_plan.h"
#include "base/mem.h"
#include "codec/json.h"

static struct arena arena;

static bool parse(const char *json, struct watch_plan *plan, struct error *e) {
    struct value v;
    *e = ERROR_IN(&arena);
    assert_true(json_parse_whole(str_from(json), &v, &arena, e));
    return watch_plan_parse(&v, plan, &arena, e);
}

static void refused(const char *json, const char *text) {
    struct watch_plan plan;
    struct error e;
    assert_false(parse(json, &plan, &e));
    assert_string_equal(str_terminated(&arena, e.text), text);
}

static void test_refused(void **state) {
    (void)state;
#define MAP "Failed to parse watch (map[string]interface {}{"
    refused("{\"type\":\"nope\",\"args\":\"x\"}",
            MAP "\"args\":\"x\"}): Unsupported watch type: nope");
    refused("{\"args\":\"x\",\"extra\":{\"a\":[1,2.5,true,null,\"b\"]},\"n\":5}",
            MAP "\"args\":\"x\", \"extra\":map[string]interface {}{\"a\":[]interface {}{1, 2.5, "
                "true, interface {}(nil), \"b\"}}, \"handler_type\":\"script\", \"n\":5}): Watch "
                "type must be specified");
    refused("{\"type\":\"key\",\"args\":\"x\",\"datacenter\":5}",
            MAP "\"args\":\"x\", \"datacenter\":5, \"handler_type\":\"script\", "
                "\"type\":\"key\"}): Expecting datacenter to be a string");
    refused("{\"type\":\"key\",\"key\":\"k\",\"args\":\"x\",\"extra\":1,\"zz\":{\"a\":1}}",
            MAP "\"extra\":1, \"zz\":map[string]interface {}{\"a\":1}}): Invalid parameters: "
                "[extra zz]");
    refused("{\"type\":\"service\",\"service\":\"s\",\"tag\":[\"a\",5],\"args\":\"x\"}",
            MAP "\"args\":\"x\", \"tag\":[]interface {}{\"a\", 5}}): Index 1 of tag expected to be "
                "string");
    refused("{\"type\":\"key\",\"key\":\"k\",\"handler_type\":\"http\"}",
            MAP "\"key\":\"k\"}): Handler type 'http' requires 'http_handler_config' to be set");
    refused("{\"type\":\"key\",\"key\":\"k\",\"handler_type\":\"mail\"}",
            "Handler type 'mail' not recognized");
    refused("{\"type\":\"key\",\"key\":\"k\",\"args\":5}", "Watch args must be a list of strings");
    refused("{\"type\":\"key\",\"key\":\"k\"}", "Must define a watch handler");
    refused("{\"type\":\"connect_leaf\"}",
            "Watch type connect_leaf is not allowed in agent config");
    refused("{\"type\":\"checks\",\"service\":\"s\",\"state\":\"any\",\"args\":\"x\"}",
            MAP "\"args\":\"x\"}): Cannot specify service and state");
}

static void test_script(void **state) {
    (void)state;
    struct watch_plan plan;
    struct error e;
    assert_true(
        parse("{\"type\":\"service\",\"service\":\"web\",\"tag\":\"v1\",\"passingonly\":true,"
              "\"stale\":true,\"token\":\"t\",\"args\":[\"/bin/x\",\"-v\"]}",
              &plan, &e));
    assert_int_equal(plan.type, WATCH_TYPE_SERVICE);
    assert_true(plan.passing_only && plan.stale && plan.tags.len == 1);
    assert_true(str_is(plan.token, "t") && plan.words.len == 2);
    assert_string_equal(plan.argv[1], "-v");
    assert_null(plan.argv[2]);
    assert_true(parse("{\"type\":\"checks\",\"handler\":\"a b\"}", &plan, &e));
    assert_string_equal(plan.argv[1], "-c");
    assert_true(plan.deprecated && str_is(plan.state, "any"));
}

static void test_call(void **state) {
    (void)state;
    struct watch_plan plan;
    struct error e;
    assert_true(
        parse("{\"type\":\"nodes\",\"handler_type\":\"http\",\"http_handler_config\":{"
              "\"path\":\"http://x/\",\"header\":{\"A\":[\"b\",\"c\"]},\"timeout\":\"2s\"}}",
              &plan, &e));
    assert_null(plan.argv);
    assert_string_equal(plan.url, "http://x/");
    assert_string_equal(plan.method, "POST");
    assert_int_equal(plan.timeout, 2000000000);
    assert_int_equal(plan.headers.len, 2);
    assert_true(str_is(LIST_AT(plan.headers, struct str, 1), "A: c"));
}

static int forget(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_refused, forget),
        cmocka_unit_test_teardown(test_script, forget),
        cmocka_unit_test_teardown(test_call, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

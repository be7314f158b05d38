/* Binding rules: what is refused when one is written, what selectors select, what names become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "server/binding_rule.h"

static struct arena arena;

static int begin(void **state) {
    arena = ARENA_INIT;
    return 0;
}
static int end(void **state) {
    arena_free(&arena);
    return 0;
}

static void assert_text(struct str got, const char *want) {
    assert_string_equal(str_terminated(&arena, got), want);
}

static struct acl_auth_method method(const char *type, const char *config) {
    struct acl_auth_method m = {.name = STR("m"), .type = str_from(type)};
    struct error e = ERROR_IN(&arena);
    m.config = ARENA_NEW(&arena, struct value);
    assert_true(json_parse_whole(str_from(config), m.config, &arena, &e));
    return m;
}

/* The error, or "". */
static struct str check(const struct acl_auth_method *m, const char *selector, const char *type,
                        const char *name) {
    struct acl_binding_rule rule = {
        .selector = str_from(selector), .bind_type = str_from(type), .bind_name = str_from(name)};
    struct error e = ERROR_IN(&arena);
    bool ok = binding_rule_check(m, &rule, &e);
    assert_int_equal(ok, !error_is_set(&e));
    if (!ok)
        assert_int_equal(e.kind, ERROR_INTERNAL);
    return ok ? STR("") : e.text;
}

#define SELECTOR "invalid Binding Rule: Selector is invalid: "
#define NAME "Invalid Binding Rule: invalid BindName"

static void test_check(void **state) {
    static const struct {
        const char *selector, *type, *name, *wrong;
    } cases[] = {
        {"", "service", "a", ""},
        {"value.t == Hello", "service", "a", ""},
        {"value.anything is empty", "service", "a",
         SELECTOR "Invalid match operator \"Is Empty\" for selector \"value.anything\""},
        {"foo == bar", "service", "a", SELECTOR "Selector \"foo\" is not valid"},
        {"serviceaccount.name == a", "service", "a",
         SELECTOR "Selector \"serviceaccount\" is not valid"},
        {"list.l == a", "service", "a",
         SELECTOR "Invalid match operator \"Equal\" for selector \"list.l\""},
        {"value.u matches `[`", "service", "a",
         SELECTOR
         "Failed to compile regular expression \"[\": error parsing regexp: missing closing "
         "]: `[`"},
        {"value[t] == a", "", "", SELECTOR "1:7 (6): rule \"index\": Invalid index"},
        {"", "", "a", "Invalid Binding Rule: no BindType is set"},
        {"", "zz", "", "Invalid Binding Rule: no BindName is set"},
        {"", "zz", "a", "Invalid Binding Rule: unknown BindType \"zz\""},
        {"", "service", "${value.t}", ""},
        {"", "service", "x-${ value.t }-${value.u}", ""},
        {"", "service", "a-${1+2}", ""},
        {"", "service", "${value.q}", NAME ": 1:3: unknown variable accessed: value.q"},
        {"", "service", "${list.l}", NAME ": 1:3: unknown variable accessed: list.l"},
        {"", "service", "${upper(value.t)}", NAME ": 1:3: unknown function called: upper"},
        {"", "service", "${value.t", NAME ": parse error: syntax error"},
        {"", "service", "$${x}", NAME},
        {"", "service", "$x", NAME},
        {"", "service", "A", NAME},
        {"", "service", "a-", NAME},
        {"", "service", "_a", NAME},
        {"", "service", "a--b__c", ""},
        {"", "service", "a.b", NAME},
        {"", "service", "a\n", NAME},
        {"", "node", "A", NAME},
        {"", "node", "a_", NAME},
        {"", "role", "-A_", ""},
        {"", "role", "a.b", NAME},
        {"", "role", "a b", NAME},
        {"", "role", " ", NAME},
    };
    struct acl_auth_method m = method(
        "jwt", "{\"ClaimMappings\":{\"a\":\"t\",\"b\":\"u\"},\"ListClaimMappings\":{\"c\":\"l\"}}");
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_text(check(&m, cases[i].selector, cases[i].type, cases[i].name), cases[i].wrong);
    char long_name[258];
    memset(long_name, 'x', sizeof(long_name));
    static const char *const types[] = {"service", "node", "role"};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        long_name[256] = '\0';
        assert_text(check(&m, "", types[i], long_name), "");
        long_name[256] = 'x';
        long_name[257] = '\0';
        assert_text(check(&m, "", types[i], long_name), NAME);
    }
}

static void test_check_kubernetes(void **state) {
    struct acl_auth_method m = method("kubernetes", "{\"Host\":\"h\"}");
    assert_text(check(&m, "serviceaccount.name == a and serviceaccount.uid matches `x`", "service",
                      "${serviceaccount.namespace}-${serviceaccount.name}-${serviceaccount.uid}"),
                "");
    assert_text(check(&m, "value.t == a", "service", "a"),
                SELECTOR "Selector \"value\" is not valid");
    assert_text(check(&m, "serviceaccount.x == a", "service", "a"),
                SELECTOR "Selector \"serviceaccount.x\" is not valid");
    assert_text(check(&m, "", "service", "${value.t}"),
                NAME ": 1:3: unknown variable accessed: value.t");
}

/* ---- logins ---- */

static struct str_pair values[] = {{STR_INIT("t"), STR_INIT("Hello")},
                                   {STR_INIT("u"), STR_INIT("7")}};
static struct str groups[] = {STR_INIT("a"), STR_INIT("B")};
static struct list_pair lists[] = {{STR_INIT("l"), {groups, 2, true}}};
static struct str_pair variables[] = {{STR_INIT("value.t"), STR_INIT("hello")},
                                      {STR_INIT("value.u"), STR_INIT("7")},
                                      {STR_INIT("value.none"), STR_INIT("")}};
static const struct auth_identity somebody = {
    .type = STR_INIT("jwt"),
    .value = {values, 2, true},
    .list = {lists, 1, true},
    .variables = {variables, 3, true},
};

static void test_selectors(void **state) {
    static const struct {
        const char *selector;
        bool matches;
    } cases[] = {
        {"", true},
        {"value.t == Hello", true},
        {"value.t == hello", false},
        {"value[\"t\"] == Hello", true},
        {"value.t != Hello", false},
        {"ell in value.t", true},
        {"value.t contains ell", true},
        {"value.t matches `^H`", true},
        {"value.t not matches `^H`", false},
        {"value is empty", false},
        {"t in value", true},
        {"zz in value", false},
        /* A key that is not there. */
        {"value.q == a", false},
        {"value.q != a", true},
        {"q in value.q", false},
        {"q not in value.q", true},
        {"value.q matches `x`", true},
        {"value.q not matches `x`", true},
        {"list.q is empty", true},
        {"list.q is not empty", false},
        {"a in list.q", false},
        {"a not in list.q", true},
        {"a in list.l", true},
        {"b in list.l", false},
        {"list[\"l\"] contains B", true},
        {"list.l is empty", false},
        {"not a in list.l", false},
        {"value.t == Hello and value.u == 7", true},
        {"value.t == Hello and not (value.u == 7)", false},
        {"value.q == 1 or value.u == 7", true},
        /* What cannot be compiled selects nobody. */
        {"nonsense", false},
        {"serviceaccount.name == a", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct acl_binding_rule rule = {.selector = str_from(cases[i].selector),
                                        .bind_type = STR("service"),
                                        .bind_name = STR("a")};
        struct error e = ERROR_IN(&arena);
        struct binding b;
        bool matches;
        assert_true(binding_rule_apply(&somebody, &rule, &arena, &matches, &b, &e));
        if (matches != cases[i].matches)
            fail_msg("%s: %d", cases[i].selector, matches);
    }
}

static void test_names(void **state) {
    static const struct {
        const char *type, *name, *computed; /* or the error */
        bool ok;
    } cases[] = {
        {"service", "x-${value.t}", "x-hello", true},
        {"node", "${value.u}-${value.t}", "7-hello", true},
        {"role", "R_${value.t}", "R_hello", true},
        {"service", "z-${1+2}", "z-3", true},
        {"service", "plain", "plain", true},
        {"service", "${value.none}",
         "computed \"service\" bind name for bind target is invalid: \"\"", false},
        {"node", "${value.t} q",
         "computed \"node\" bind name for bind target is invalid: \"hello q\"", false},
        {"role", "a.b", "computed \"role\" bind name for bind target is invalid: \"a.b\"", false},
        {"service", "${value.gone}",
         "cannot compute \"service\" bind name for bind target: 1:3: unknown variable accessed: "
         "value.gone",
         false},
    };
    static const enum bind_type types[] = {BIND_SERVICE, BIND_NODE, BIND_ROLE};
    static const char *const type_names[] = {"service", "node", "role"};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct acl_binding_rule rule = {.bind_type = str_from(cases[i].type),
                                        .bind_name = str_from(cases[i].name)};
        struct error e = ERROR_IN(&arena);
        struct binding b;
        bool matches, ok = binding_rule_apply(&somebody, &rule, &arena, &matches, &b, &e);
        assert_int_equal(ok, cases[i].ok);
        assert_text(ok ? b.name : e.text, cases[i].computed);
        for (size_t j = 0; ok && j < 3; j++)
            assert_int_equal(b.type == types[j], strcmp(type_names[j], cases[i].type) == 0);
    }
    struct acl_binding_rule rule = {.bind_type = STR("later"), .bind_name = STR("a")};
    struct error e = ERROR_IN(&arena);
    struct binding b;
    bool matches;
    assert_true(binding_rule_apply(&somebody, &rule, &arena, &matches, &b, &e));
    assert_false(matches);
}

static void test_service_accounts(void **state) {
    static struct str_pair all[] = {{STR_INIT("serviceaccount.name"), STR_INIT("web")},
                                    {STR_INIT("serviceaccount.namespace"), STR_INIT("ns")},
                                    {STR_INIT("serviceaccount.uid"), STR_INIT("u-1")}};
    const struct auth_identity account = {
        .type = STR("kubernetes"),
        .serviceaccount = {STR("Ns"), STR("Web"), STR("U-1")},
        .variables = {all, 3, true},
    };
    struct acl_binding_rule rule = {
        .selector = STR("serviceaccount.namespace == Ns and serviceaccount.name == Web"),
        .bind_type = STR("service"),
        .bind_name = STR("${serviceaccount.namespace}-${serviceaccount.name}"),
    };
    struct error e = ERROR_IN(&arena);
    struct binding b;
    bool matches;
    assert_true(binding_rule_apply(&account, &rule, &arena, &matches, &b, &e));
    assert_true(matches);
    assert_text(b.name, "ns-web");
    rule.selector = STR("serviceaccount.name == web");
    assert_true(binding_rule_apply(&account, &rule, &arena, &matches, &b, &e));
    assert_false(matches);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_check), TEST(test_check_kubernetes), TEST(test_selectors),
        TEST(test_names), TEST(test_service_accounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

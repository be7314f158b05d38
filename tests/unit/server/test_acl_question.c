/* Questions of rights asked in words: which words there are, and that each is asked of the right
 * rules. Texts are the peer's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/acl_question.h"

static struct authorizer *authorizer_of(const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct acl_rules rules;
    const struct acl_rules *policies[] = {&rules};
    assert_true(acl_rules_parse(str_from(text), ACL_SYNTAX_CURRENT, &rules, &arena, &e));
    struct authorizer *a = authorizer_new(policies, 1, false);
    arena_free(&arena);
    return a;
}

struct row {
    const char *resource, *segment, *access;
    bool allow;
};

static void ask_rows(const struct authorizer *a, const struct row *rows, size_t count) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct list requests = LIST_NEW(&arena, struct acl_authorization_request, count), answers;
    for (size_t i = 0; i < count; i++)
        LIST_AT(requests, struct acl_authorization_request, i) =
            (struct acl_authorization_request){.resource = str_from(rows[i].resource),
                                               .segment = str_from(rows[i].segment),
                                               .access = str_from(rows[i].access)};
    assert_true(acl_questions_answer(a, &requests, &arena, &answers, &e));
    assert_int_equal(answers.len, count);
    for (size_t i = 0; i < count; i++) {
        const struct acl_authorization_response *r =
            &LIST_AT(answers, struct acl_authorization_response, i);
        if (r->allow != rows[i].allow || !str_is(r->request.access, rows[i].access))
            fail_msg("%s \"%s\" %s", rows[i].resource, rows[i].segment, rows[i].access);
    }
    arena_free(&arena);
}

/* Each resource has a rule that none of the others has. */
static void test_each_resource(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"acl", "", "read", true},           {"acl", "x", "WRITE", false},
        {"agent", "a", "read", true},        {"agent", "b", "read", false},
        {"event", "e", "write", true},       {"event", "a", "write", false},
        {"intention", "s", "read", true},    {"intention", "t", "read", false},
        {"key", "k", "list", true},          {"key", "k", "Read", true},
        {"key", "k", "write", false},        {"key", "p/", "write-prefix", true},
        {"key", "k", "Write-Prefix", false}, {"keyring", "", "read", false},
        {"node", "n", "write", true},        {"node", "a", "read", false},
        {"operator", "", "write", true},     {"query", "q", "read", true},
        {"query", "a", "read", false},       {"service", "s", "read", true},
        {"service", "s", "write", false},    {"session", "x", "write", true},
        {"session", "a", "write", false},
    };
    struct authorizer *a = authorizer_of(
        "acl = \"read\" agent \"a\" { policy = \"read\" } event \"e\" { policy = \"write\" } "
        "key \"k\" { policy = \"list\" } key_prefix \"p/\" { policy = \"write\" } "
        "node \"n\" { policy = \"write\" } operator = \"write\" query \"q\" { policy = \"read\" } "
        "service \"s\" { policy = \"read\" } session \"x\" { policy = \"write\" }");
    ask_rows(a, rows, COUNT_OF(rows));
    authorizer_release(a);
}

static void refused(const char *resource, const char *access, const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct acl_authorization_request items[] = {
        {.resource = STR("key"), .access = STR("read")},
        {.resource = str_from(resource), .access = str_from(access)}};
    struct list requests = {items, 2, true}, answers;
    assert_false(acl_questions_answer(authorizer_manage_all(), &requests, &arena, &answers, &e));
    assert_int_equal(e.kind, ERROR_BAD_REQUEST);
    assert_string_equal(str_terminated(&arena, e.text), text);
    arena_free(&arena);
}

static void test_unknown_words(void **state) {
    (void)state;
    refused("bogus", "read", "Invalid ACL resource requested: \"bogus\"");
    refused("Key", "read", "Invalid ACL resource requested: \"Key\"");
    refused("", "read", "Invalid ACL resource requested: \"\"");
    refused("key", "bogus", "Invalid access level for key resource: bogus");
    refused("key", "", "Invalid access level for key resource: ");
    refused("acl", "list", "Invalid access level for acl resource: list");
    refused("session", "Write-Prefix", "Invalid access level for session resource: Write-Prefix");
}

static void test_none(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct list answers;
    assert_true(acl_questions_answer(NULL, &LIST_NIL, &arena, &answers, &e));
    assert_true(answers.present && answers.len == 0); /* [] and not null */
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_resource),
        cmocka_unit_test(test_unknown_words),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

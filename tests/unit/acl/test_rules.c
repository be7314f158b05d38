/* rules.c against the peer: some hundred texts, right and wrong, in both syntaxes, with what it
 * said of each (tests/vectors/acl/rules.json, recorded by tools/record_rules.py); and what right
 * ones mean.
 */
#include "acl/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "acl/authorizer.h"
#include "base/buf.h"
#include "base/mem.h"
#include "codec/json.h"
#include "unit/vectors.h"

/* wanted: null, an error's text, or false: the peer's process suffers, ours just refuses. */
static bool as_peer(struct str text, enum acl_syntax syntax, const struct value *wanted) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct acl_rules rules;
    bool ok = acl_rules_parse(text, syntax, &rules, &arena, &e);
    assert_int_equal(ok, !error_is_set(&e));
    bool same = wanted->kind == VALUE_NULL   ? ok
                : wanted->kind == VALUE_BOOL ? !ok
                                             : !ok && str_eq(e.text, wanted->string);
    if (!same) {
        struct str shown = wanted->kind == VALUE_STRING ? wanted->string : STR("-");
        print_message("%d " STR_FMT "\n  peer " STR_FMT "\n  ours " STR_FMT "\n", syntax,
                      STR_ARG(text), STR_ARG(shown), STR_ARG(e.text));
    }
    arena_free(&arena);
    return same;
}

static void test_texts_of_the_peer(void **state) {
    struct arena arena = ARENA_INIT;
    unsigned wrong = 0;
    const struct value *all = vectors_json(&arena, "acl/rules.json");
    assert_true(all->list.len > 600);
    for (size_t i = 0; i < all->list.len; i++) {
        const struct value *one = all->list.items[i].list.items;
        wrong += !as_peer(one[0].string, ACL_SYNTAX_CURRENT, &one[1]);
        wrong += !as_peer(one[0].string, ACL_SYNTAX_LEGACY, &one[2]);
    }
    assert_int_equal(wrong, 0);
    arena_free(&arena);
}

static struct authorizer *of(const char *text, enum acl_syntax syntax) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct acl_rules rules;
    assert_true(acl_rules_parse(str_from(text), syntax, &rules, &arena, &e));
    const struct acl_rules *one = &rules;
    struct authorizer *a = authorizer_new(&one, 1, false);
    arena_free(&arena);
    return a;
}

static void test_meaning(void **state) {
    static const char *const same[] = {
        "key_prefix \"a/\" { policy = \"list\" } KEY \"a/b\" { Policy = \"write\" } operator = "
        "\"read\""
        " service_prefix \"\" { policy = \"read\" intentions = \"write\" }",
        "{\"key_prefix\": {\"a/\": {\"policy\": \"list\"}}, \"key\": [{\"a/b\": [{\"policy\": "
        "\"write\"}]}],"
        " \"operator\": \"read\", \"service_prefix\": {\"\": {\"policy\": \"read\", "
        "\"intentions\": \"write\"}}}",
    };
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        struct authorizer *a = of(same[i], ACL_SYNTAX_CURRENT);
        assert_true(authorizer_may(a, ACL_KEY, ACL_LIST, STR("a/x")));
        assert_false(authorizer_may(a, ACL_KEY, ACL_WRITE, STR("a/x")));
        assert_true(authorizer_may(a, ACL_KEY, ACL_WRITE, STR("a/b")));
        assert_false(authorizer_may(a, ACL_KEY, ACL_READ, STR("b")));
        assert_true(authorizer_may_operator(a, ACL_READ));
        assert_false(authorizer_may_operator(a, ACL_WRITE));
        assert_false(authorizer_may_keyring(a, ACL_READ));
        assert_false(authorizer_may(a, ACL_SERVICE, ACL_WRITE, STR("web")));
        assert_true(authorizer_may_intention(a, ACL_WRITE, STR("web")));
        authorizer_release(a);
    }
}

static void test_legacy_rules_are_prefixes(void **state) {
    struct authorizer *a = of("key \"a\" { policy = \"read\" } key_prefix \"b\" { policy = \"zz\" }"
                              " acl = \"write\" keyring = \"write\"",
                              ACL_SYNTAX_LEGACY);
    assert_true(authorizer_may(a, ACL_KEY, ACL_READ, STR("abc")));
    assert_false(authorizer_may(a, ACL_KEY, ACL_READ, STR("b")));
    assert_false(authorizer_may_acl(a, ACL_READ));
    assert_true(authorizer_may_keyring(a, ACL_WRITE));
    authorizer_release(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_of_the_peer),
        cmocka_unit_test(test_meaning),
        cmocka_unit_test(test_legacy_rules_are_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

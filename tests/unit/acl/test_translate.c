/* translate.c against the peer: more than a thousand texts, right and wrong, with comments and
 * layout of every kind, and how it answered to each (tests/vectors/acl/translate.json, recorded by
 * tools/record_translate.py); and texts that are large or deep.
 */
#include "acl/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "acl/rules.h"
#include "base/buf.h"
#include "base/mem.h"
#include "codec/json.h"
#include "unit/vectors.h"

/* one: [text, answer] or [text, null, error]. */
static bool as_peer(const struct value *one, size_t len) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str out = {NULL, 0};
    bool ok = acl_rules_translate(&arena, one[0].string, &out, &e);
    assert_int_equal(ok, !error_is_set(&e));
    struct str got = ok ? out : e.text;
    bool same = ok == (len == 2) && str_eq(got, one[len - 1].string);
    if (!same)
        print_message("--- text\n" STR_FMT "\n--- peer\n" STR_FMT "\n--- ours\n" STR_FMT "\n",
                      STR_ARG(one[0].string), STR_ARG(one[len - 1].string), STR_ARG(got));
    arena_free(&arena);
    return same;
}

static void test_texts_of_the_peer(void **state) {
    struct arena arena = ARENA_INIT;
    unsigned wrong = 0;
    const struct value *all = vectors_json(&arena, "acl/translate.json");
    assert_true(all->list.len > 1300);
    for (size_t i = 0; i < all->list.len; i++) {
        const struct value *one = &all->list.items[i];
        wrong += !as_peer(one->list.items, one->list.len);
    }
    assert_int_equal(wrong, 0);
    arena_free(&arena);
}

/* Legacy rules mean the same in their own syntax as their translation in the current one. */
static void test_meaning_is_kept(void **state) {
    static const char text[] = "key \"a\" { policy = \"read\" } # all\n"
                               "service \"web\" { policy = \"write\" }\n"
                               "session \"n\" { policy = \"deny\" } operator = \"read\"";
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str translated;
    struct acl_rules before, after;
    assert_true(acl_rules_parse(STR(text), ACL_SYNTAX_LEGACY, &before, &arena, &e));
    assert_true(acl_rules_translate(&arena, STR(text), &translated, &e));
    assert_true(acl_rules_parse(translated, ACL_SYNTAX_CURRENT, &after, &arena, &e));
    assert_int_equal(before.len, 3);
    assert_int_equal(after.len, before.len);
    for (size_t i = 0; i < before.len; i++) {
        assert_int_equal(after.items[i].resource, before.items[i].resource);
        assert_int_equal(after.items[i].policy.level, before.items[i].policy.level);
        assert_true(after.items[i].prefix);
        assert_true(str_eq(after.items[i].name, before.items[i].name));
    }
    assert_int_equal(after.operator.level, ACL_LEVEL_READ);
    arena_free(&arena);
}

static void test_deep_and_large(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str out;
    struct buf text = BUF_INIT;
    for (int i = 0; i < 120; i++)
        buf_add_text(&text, i % 2 == 0 ? "a = [" : "{ /* c */ b {} /* d */ ");
    for (int i = 120; i-- > 0;)
        buf_add_text(&text, i % 2 == 0 ? "]" : "}");
    assert_true(acl_rules_translate(&arena, buf_str(&text), &out, &e));
    assert_true(out.len > text.len);
    buf_clear(&text);
    for (int i = 0; i < 1000; i++)
        buf_add_text(&text, "a = [{ b ");
    assert_false(acl_rules_translate(&arena, buf_str(&text), &out, &e));
    buf_clear(&text);
    for (int i = 0; i < 20000; i++)
        buf_add_text(&text, "# above\nkey \"a\" { policy = \"read\" /* behind */\n x = 1 }\n");
    assert_true(acl_rules_translate(&arena, buf_str(&text), &out, &e));
    assert_true(str_find(out, STR("key \""), 0) < 0);
    buf_free(&text);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_of_the_peer),
        cmocka_unit_test(test_meaning_is_kept),
        cmocka_unit_test(test_deep_and_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

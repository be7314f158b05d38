/* Which intention decides, and how it is told (connect.md 2.3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "schema/intention_rules.h"

static struct intention of_source(const char *ns, const char *name, const char *action) {
    return (struct intention){.id = STR("67e0d2bc"),
                              .source_ns = str_from(ns),
                              .source_name = str_from(name),
                              .destination_ns = STR("default"),
                              .destination_name = STR("d\"b"),
                              .action = str_from(action),
                              .precedence = 9};
}

static void test_deciding(void **state) {
    struct intention web = of_source("default", "web", "allow");
    struct intention all = of_source("default", "*", "deny");
    struct intention any = of_source("*", "*", "allow");
    struct intention *order[] = {&web, NULL /* as a server may send it */, &all, &any};
    struct list list = {order, COUNT_OF(order), true}, none = LIST_NIL;
    static const struct {
        const char *ns, *name;
        int at;
    } cases[] = {
        {"default", "web", 0}, {"default", "WEB", 2}, {"default", "", 2}, {"default", "*", 2},
        {"other", "web", 3},   {"Default", "web", 3}, {"*", "web", 3},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str ns = str_from(cases[i].ns), name = str_from(cases[i].name);
        assert_ptr_equal(intention_deciding(&list, ns, name), order[cases[i].at]);
        assert_null(intention_deciding(&none, ns, name));
    }
    list.len = 1;
    assert_null(intention_deciding(&list, STR("default"), STR("api")));
    assert_true(intention_allows(&web));
    assert_false(intention_allows(&all));
    web.action = STR("ALLOW");
    assert_false(intention_allows(&web));
}

static void test_describe(void **state) {
    struct arena arena = ARENA_INIT;
    struct intention x = of_source("*", "*", "deny");
    x.precedence = -1;
    assert_true(str_is(intention_describe(&x, &arena),
                       "DENY */* => default/d\"b (ID: 67e0d2bc, Precedence: -1)"));
    x = (struct intention){0};
    assert_true(str_is(intention_describe(&x, &arena), " / => / (ID: , Precedence: 0)"));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deciding),
        cmocka_unit_test(test_describe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

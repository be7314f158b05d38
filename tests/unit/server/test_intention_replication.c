/* What a secondary datacenter does to have the primary's intentions: the operations, their order,
 * and how many go into one log entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/intention_replication.h"

static struct intention made(const char *id, const char *source, const char *hash) {
    return (struct intention){.id = str_from(id),
                              .source_ns = STR("default"),
                              .source_name = str_from(source),
                              .destination_ns = STR("default"),
                              .destination_name = STR("db"),
                              .action = STR("allow"),
                              .hash = str_from(hash)};
}

/* "-id" and "+id", in their order. */
static void expect(struct intention *local, uint32_t here, struct intention *remote, uint32_t there,
                   const char *wanted) {
    struct arena arena = ARENA_INIT;
    struct intention *xs[8], *ys[8];
    struct list ops;
    char text[128] = "";
    for (uint32_t i = 0; i < here; i++)
        xs[i] = &local[i];
    for (uint32_t i = 0; i < there; i++)
        ys[i] = &remote[i];
    struct list x = {xs, here, true}, y = {ys, there, true};
    intention_diff(&x, &y, &arena, &ops);
    for (uint32_t i = 0; i < ops.len; i++) {
        const struct intention_request *r = LIST_AT(ops, struct txn_op *, i)->intention;
        bool deletes = str_is(r->op, "delete");
        assert_true(deletes || str_is(r->op, "update"));
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s" STR_FMT " ", deletes ? "-" : "+",
                 STR_ARG(r->intention->id));
        if (!deletes) { /* as the primary has it */
            bool there_too = false;
            for (uint32_t j = 0; j < there; j++)
                there_too |= r->intention == &remote[j];
            assert_true(there_too);
        }
    }
    assert_string_equal(text, wanted);
    arena_free(&arena);
}

static void test_operations(void **state) {
    struct intention two[] = {made("b", "web", "1"), made("a", "api", "1")};
    struct intention three[] = {made("c", "x", "1"), made("a", "api", "1"), made("b", "web", "2")};
    expect(NULL, 0, NULL, 0, "");
    expect(NULL, 0, two, 2, "+a +b ");
    expect(two, 2, NULL, 0, "-a -b ");
    expect(two, 2, two, 2, "");
    expect(two, 2, three, 3, "+b +c ");
    expect(three, 3, two, 2, "-c +b ");
}

/* Names that change hands: nothing may be there twice in between. */
static void test_renamed(void **state) {
    struct intention before[] = {made("a", "x", "1"), made("b", "y", "2")};
    struct intention after[] = {made("a", "y", "3"), made("b", "x", "4")};
    struct intention spelt[] = {made("a", "X", "5"), made("b", "y", "2")};
    struct intention other[] = {made("c", "x", "6")};
    expect(before, 2, after, 2, "-a -b +a +b ");
    expect(before, 2, spelt, 2, "+a ");
    expect(before, 2, other, 1, "-a -b +c ");
}

static void test_batches(void **state) {
    struct arena arena = ARENA_INIT;
    static char big[100 << 10];
    struct intention all[6];
    struct intention *pointers[6];
    struct list none = LIST_NIL, remote = {pointers, 6, true}, ops;
    static const char *const ids[] = {"1", "2", "3", "4", "5", "6"};
    memset(big, 'x', sizeof big);
    for (int i = 0; i < 6; i++) {
        all[i] = made(ids[i], ids[i], "1");
        all[i].description = str_of(big, sizeof big);
        pointers[i] = &all[i];
    }
    intention_diff(&none, &remote, &arena, &ops);
    assert_int_equal(ops.len, 6);
    assert_int_equal(intention_batch(&ops, 0), 3); /* the one that fills it belongs to it */
    assert_int_equal(intention_batch(&ops, 3), 3);
    assert_int_equal(intention_batch(&ops, 5), 1);
    struct str_pair pair = {STR("k"), str_of(big, sizeof big)};
    for (int i = 0; i < 6; i++)
        all[i].meta = (struct list){&pair, 1, true};
    assert_int_equal(intention_batch(&ops, 0), 2);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_renamed),
        cmocka_unit_test(test_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

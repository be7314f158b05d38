/* The judge of histories is judged: what can have happened is good, what cannot is bad, and
 * histories made by a machine that does one thing after the other are good until one answer is
 * changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "sim/cluster/linear.c"

#define STEPS 1000000
#define OPS(...) ((const struct linear_op[]){__VA_ARGS__})
#define COUNT(...) (sizeof OPS(__VA_ARGS__) / sizeof(struct linear_op))
#define VERDICT(...) linear_check(OPS(__VA_ARGS__), COUNT(__VA_ARGS__), STEPS)
#define READ(c, r, v) ((struct linear_op){LINEAR_READ, (c), (r), (v), 0, LINEAR_UNKNOWN})
#define WRITE(c, r, v) ((struct linear_op){LINEAR_WRITE, (c), (r), (v), 0, LINEAR_UNKNOWN})
#define CAS(c, r, e, v, x) ((struct linear_op){LINEAR_CAS, (c), (r), (v), (e), (x)})

static void test_good(void **state) {
    assert_int_equal(LINEAR_GOOD, linear_check(NULL, 0, STEPS));
    assert_int_equal(LINEAR_GOOD, VERDICT(READ(1, 2, 0), WRITE(3, 4, 7), READ(5, 6, 7)));
    /* Both overlap: either order. */
    assert_int_equal(LINEAR_GOOD, VERDICT(WRITE(1, 10, 1), WRITE(2, 9, 2), READ(11, 12, 1)));
    assert_int_equal(LINEAR_GOOD, VERDICT(WRITE(1, 10, 1), WRITE(2, 9, 2), READ(11, 12, 2)));
    /* Nobody knows whether it happened; later it has, or never does. */
    assert_int_equal(LINEAR_GOOD, VERDICT(WRITE(1, LINEAR_NEVER, 1), READ(2, 3, 0), READ(8, 9, 1)));
    assert_int_equal(LINEAR_GOOD, VERDICT(WRITE(1, LINEAR_NEVER, 1), READ(2, 3, 0), READ(8, 9, 0)));
    assert_int_equal(LINEAR_GOOD, VERDICT(WRITE(1, 2, 1), CAS(3, 4, 1, 2, LINEAR_YES),
                                          CAS(5, 6, 1, 3, LINEAR_NO), READ(7, 8, 2)));
}

static void test_bad(void **state) {
    /* Lost; stale; out of nothing; back again. */
    assert_int_equal(LINEAR_BAD, VERDICT(WRITE(1, 2, 1), READ(3, 4, 0)));
    assert_int_equal(LINEAR_BAD, VERDICT(WRITE(1, 2, 1), WRITE(3, 4, 2), READ(5, 6, 1)));
    assert_int_equal(LINEAR_BAD, VERDICT(READ(1, 2, 9)));
    assert_int_equal(LINEAR_BAD, VERDICT(WRITE(1, LINEAR_NEVER, 1), READ(2, 3, 1), READ(4, 5, 0)));
    assert_int_equal(LINEAR_BAD, VERDICT(WRITE(1, 20, 1), READ(2, 3, 1), READ(4, 5, 0)));
    /* Two succeed where one can; one fails where it must not. */
    assert_int_equal(LINEAR_BAD, VERDICT(CAS(1, 9, 0, 1, LINEAR_YES), CAS(2, 8, 0, 2, LINEAR_YES)));
    assert_int_equal(LINEAR_BAD, VERDICT(WRITE(1, 2, 1), CAS(3, 4, 1, 2, LINEAR_NO)));
}

/* Clients whose operations take effect somewhere between call and return. */
static size_t history(struct prng *p, struct linear_op *ops, size_t count) {
    uint64_t now = 0, state = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t at = (int64_t)(now += 10);
        struct linear_op *op = &ops[i];
        *op = (struct linear_op){.call = at - (int64_t)prng_below(p, 40),
                                 .ret = at + (int64_t)prng_below(p, 40),
                                 .kind = (enum linear_kind)prng_below(p, 3),
                                 .value = i + 1};
        if (op->kind == LINEAR_READ) {
            op->value = state;
            continue;
        }
        op->expect = prng_below(p, 2) == 0 ? state : 1000;
        bool happens = op->kind == LINEAR_WRITE || op->expect == state;
        op->result = happens ? LINEAR_YES : LINEAR_NO;
        state = happens ? op->value : state;
        if (prng_below(p, 20) == 0) {
            op->ret = LINEAR_NEVER;
            op->result = LINEAR_UNKNOWN;
        }
    }
    return count;
}

static void test_random(void **state) {
    struct linear_op ops[100];
    struct prng p;
    unsigned bad = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        prng_seed(&p, seed);
        size_t count = history(&p, ops, 20 + prng_below(&p, 80));
        assert_int_equal(LINEAR_GOOD, linear_check(ops, count, STEPS));
        for (size_t i = count / 2; i < count; i++) {
            if (ops[i].kind != LINEAR_READ)
                continue;
            ops[i].value = 5000; /* nobody wrote that */
            bad++;
            assert_int_equal(LINEAR_BAD, linear_check(ops, count, STEPS));
            break;
        }
    }
    assert_true(bad > 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* map.c: against a plain array as the model, over growth, removal, and removal while iterating. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"

static void test_empty(void **state) {
    struct map m = MAP_INIT;
    size_t cursor = 0;
    assert_null(map_get(&m, STR("a")));
    assert_null(map_remove(&m, STR("a")));
    assert_false(map_next(&m, &cursor, NULL, NULL));
    map_free(&m);
}

static void test_keys(void **state) {
    struct map m = MAP_INIT;
    char key[3] = "ab";
    int one, two, three;
    assert_null(map_put(&m, str_from(key), &one));
    key[0] = 'x'; /* the map has its own copy */
    assert_ptr_equal(map_get(&m, STR("ab")), &one);
    assert_null(map_get(&m, str_from(key)));
    assert_ptr_equal(map_put(&m, STR("ab"), &two), &one);
    assert_int_equal(m.count, 1);
    /* Empty and absent are the same key; NUL bytes count. */
    assert_null(map_put(&m, STR_NONE, &three));
    assert_ptr_equal(map_get(&m, STR("")), &three);
    assert_null(map_get(&m, STR("\0")));
    assert_null(map_put(&m, STR("a\0b"), &one));
    assert_null(map_get(&m, STR("a\0c")));
    assert_ptr_equal(map_get(&m, STR("a\0b")), &one);
    assert_ptr_equal(map_remove(&m, STR("")), &three);
    assert_null(map_get(&m, STR_NONE));
    assert_int_equal(m.count, 2);
    map_free(&m);
    assert_int_equal(m.cap, 0);
}

enum { KEYS = 5000 };

static struct str key_of(char text[32], size_t i) {
    snprintf(text, 32, "service-%zu", i);
    return str_from(text);
}

static size_t number_of(struct str key) {
    uint64_t n = KEYS;
    assert_true(str_to_u64(str_sub(key, strlen("service-"), SIZE_MAX), &n));
    return n;
}

static void check_iteration(const struct map *m, char *const present[KEYS]) {
    bool seen[KEYS] = {false};
    size_t count = 0;
    struct str key;
    void *value;
    char text[32];
    for (size_t cursor = 0; map_next(m, &cursor, &key, &value); count++) {
        size_t i = number_of(key);
        assert_in_range(i, 0, KEYS - 1);
        assert_true(str_eq(key, key_of(text, i)) && !seen[i]);
        assert_ptr_equal(value, present[i]);
        seen[i] = true;
    }
    assert_int_equal(count, m->count);
}

static void test_against_a_model(void **state) {
    struct map m = MAP_INIT;
    static char values[8];
    static char *model[KEYS];
    struct prng prng;
    prng_seed(&prng, 187);
    size_t count = 0;
    char text[32];
    for (int step = 0; step < 200000; step++) {
        /* The mix of puts and removals changes over time, so that the table fills and empties. */
        bool put = prng_below(&prng, 100) < (step / 20000 % 2 == 0 ? 70 : 30);
        size_t i = prng_below(&prng, KEYS);
        char *value = put ? &values[prng_below(&prng, sizeof values)] : NULL;
        struct str key = key_of(text, i);
        char *old = put ? map_put(&m, key, value) : map_remove(&m, key);
        assert_ptr_equal(old, model[i]);
        count = count + (put && old == NULL) - (!put && old != NULL);
        model[i] = value;
        assert_int_equal(m.count, count);
        assert_true(m.count <= m.used && m.used < m.cap);
    }
    for (size_t i = 0; i < KEYS; i++) {
        assert_ptr_equal(map_get(&m, key_of(text, i)), model[i]);
    }
    assert_true(m.cap <= 8 * KEYS);
    map_free(&m);
}

static void test_remove_while_iterating(void **state) {
    struct map m = MAP_INIT;
    static char value;
    static char *model[KEYS];
    char text[32];
    for (size_t i = 0; i < KEYS; i++) {
        map_put(&m, key_of(text, i), &value);
        model[i] = &value;
    }
    check_iteration(&m, model);
    struct str key;
    size_t seen = 0;
    for (size_t cursor = 0; map_next(&m, &cursor, &key, NULL); seen++) {
        if (seen % 3 != 0) {
            model[number_of(key)] = NULL;
            assert_ptr_equal(map_remove(&m, key), &value);
        }
    }
    assert_int_equal(seen, KEYS);
    assert_int_equal(m.count, (KEYS + 2) / 3);
    check_iteration(&m, model);
    map_free(&m);
}

static void test_churn_does_not_grow(void **state) {
    struct map m = MAP_INIT;
    static char value;
    char text[32];
    for (size_t i = 0; i < 100000; i++) {
        map_put(&m, key_of(text, i), &value);
        assert_ptr_equal(map_remove(&m, key_of(text, i)), &value);
    }
    assert_true(m.cap <= 16);
    map_free(&m);
}

/* The order in one run must be the order in the next, or simulations would not repeat. */
static void test_order_repeats_until_keyed(void **state) {
    struct map a = MAP_INIT, b = MAP_INIT;
    static char value;
    char text[32];
    for (size_t i = 0; i < 100; i++) {
        map_put(&a, key_of(text, i), &value);
        map_put(&b, key_of(text, i), &value);
    }
    struct str key_a, key_b;
    for (size_t i = 0, j = 0; map_next(&a, &i, &key_a, NULL);) {
        assert_true(map_next(&b, &j, &key_b, NULL));
        assert_true(str_eq(key_a, key_b));
    }
    map_free(&b);
    map_set_hash_key(1, 2);
    for (size_t i = 0; i < 100; i++) {
        map_put(&b, key_of(text, i), &value);
    }
    bool same = true;
    for (size_t i = 0, j = 0; map_next(&a, &i, &key_a, NULL);) {
        assert_true(map_next(&b, &j, &key_b, NULL));
        same = same && str_eq(key_a, key_b);
    }
    assert_false(same);
    map_free(&a);
    map_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_remove_while_iterating),
        cmocka_unit_test(test_churn_does_not_grow),
        cmocka_unit_test(test_order_repeats_until_keyed), /* last: it sets the key */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

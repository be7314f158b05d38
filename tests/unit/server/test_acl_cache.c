/* What is kept of other servers' answers, with a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "schema/acl.h"
#include "server/acl_cache.h"

static void put(struct acl_cache *c, const char *key, const char *secret, int64_t now) {
    struct acl_token token = {.secret_id = str_from(secret)};
    struct acl_value *v = acl_value_new(&acl_token_shape, secret != NULL ? &token : NULL);
    acl_cache_put(c, str_from(key), v, now);
    acl_value_release(v);
}

/* NULL with *freshness: what is kept, if anything, is that there is none. */
static const char *get(struct acl_cache *c, const char *key, int64_t now,
                       enum acl_freshness *freshness) {
    static char text[64];
    struct acl_value *v;
    const char *found = NULL;
    *freshness = acl_cache_get(c, str_from(key), now, &v);
    assert_int_equal(*freshness == ACL_UNKNOWN, v == NULL);
    const struct acl_token *token = v != NULL ? acl_value_object(v) : NULL;
    if (token != NULL) {
        snprintf(text, sizeof(text), STR_FMT, STR_ARG(token->secret_id));
        found = text;
    }
    acl_value_release(v);
    return found;
}

static void test_time_to_live(void **state) {
    struct acl_cache *c = acl_cache_new(10, 30 * SECOND);
    enum acl_freshness f;
    int64_t now = 1000 * SECOND;
    assert_null(get(c, "a", now, &f));
    assert_int_equal(f, ACL_UNKNOWN);
    put(c, "a", "one", now);
    assert_string_equal(get(c, "a", now, &f), "one");
    assert_int_equal(f, ACL_FRESH);
    assert_string_equal(get(c, "a", now + 30 * SECOND - 1, &f), "one");
    assert_int_equal(f, ACL_FRESH);
    assert_string_equal(get(c, "a", now + 30 * SECOND, &f), "one"); /* old, but known */
    assert_int_equal(f, ACL_STALE);
    now += 40 * SECOND;
    assert_true(acl_cache_extend(c, STR("a"), now));
    assert_string_equal(get(c, "a", now + 29 * SECOND, &f), "one");
    assert_int_equal(f, ACL_FRESH);
    assert_false(acl_cache_extend(c, STR("b"), now));
    put(c, "a", "two", now);
    assert_string_equal(get(c, "a", now, &f), "two");
    acl_cache_drop(c, STR("a"));
    acl_cache_drop(c, STR("a"));
    assert_null(get(c, "a", now, &f));
    assert_int_equal(f, ACL_UNKNOWN);
    acl_cache_free(c);
}

static void test_there_is_none(void **state) {
    struct acl_cache *c = acl_cache_new(10, SECOND);
    enum acl_freshness f;
    put(c, "a", NULL, 0);
    assert_null(get(c, "a", 0, &f));
    assert_int_equal(f, ACL_FRESH);
    assert_null(get(c, "a", SECOND, &f));
    assert_int_equal(f, ACL_STALE);
    put(c, "a", "one", SECOND);
    assert_string_equal(get(c, "a", SECOND, &f), "one");
    acl_cache_free(c);
}

static void test_never_fresh(void **state) {
    struct acl_cache *c = acl_cache_new(10, 0); /* roles, by default */
    enum acl_freshness f;
    put(c, "a", "one", 5);
    assert_string_equal(get(c, "a", 5, &f), "one");
    assert_int_equal(f, ACL_STALE);
    acl_cache_free(c);
}

static void test_the_oldest_used_goes(void **state) {
    struct acl_cache *c = acl_cache_new(3, SECOND);
    enum acl_freshness f;
    put(c, "a", "a", 0);
    put(c, "b", "b", 0);
    put(c, "c", "c", 0);
    assert_non_null(get(c, "a", 0, &f));
    put(c, "d", "d", 0);
    assert_null(get(c, "b", 0, &f));
    assert_int_equal(f, ACL_UNKNOWN);
    assert_non_null(get(c, "a", 0, &f));
    assert_non_null(get(c, "c", 0, &f));
    assert_non_null(get(c, "d", 0, &f));
    acl_cache_clear(c);
    assert_null(get(c, "a", 0, &f));
    acl_cache_free(c);
}

/* Who holds a value keeps it, whatever becomes of the cache. */
static void test_values_outlive_the_cache(void **state) {
    struct acl_cache *c = acl_cache_new(1, SECOND);
    struct acl_value *v;
    put(c, "a", "one", 0);
    assert_int_equal(acl_cache_get(c, STR("a"), 0, &v), ACL_FRESH);
    put(c, "a", "two", 0);
    put(c, "b", "three", 0);
    acl_cache_free(c);
    const struct acl_token *token = acl_value_object(v);
    assert_true(str_is(token->secret_id, "one"));
    acl_value_release(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_to_live),
        cmocka_unit_test(test_there_is_none),
        cmocka_unit_test(test_never_fresh),
        cmocka_unit_test(test_the_oldest_used_goes),
        cmocka_unit_test(test_values_outlive_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

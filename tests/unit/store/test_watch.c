/* Watch sets and registries: who is woken by what, and by nothing else. */
#include "fixture.h"

struct waiter {
    struct watcher watcher;
    int woken;
    bool restored;
    struct watcher *also;         /* unregistered by wake */
    struct watch_registry *again; /* registered again by wake, for the same set */
    struct watch_set set;
};

static void wake(struct watcher *w, bool restored) {
    struct waiter *waiter = (struct waiter *)w;
    assert_null(w->registry);
    waiter->woken++;
    waiter->restored = restored;
    if (waiter->also != NULL)
        watch_unregister(waiter->also);
    if (waiter->again != NULL)
        watch_register(waiter->again, w, &waiter->set);
}

static void wait_for(struct watch_registry *r, struct waiter *w, struct arena *a,
                     enum watch_table table, bool prefix, struct str name) {
    *w = (struct waiter){.watcher.wake = wake};
    watch_set_init(&w->set, a);
    if (prefix)
        watch_set_add_prefix(&w->set, name);
    else
        watch_set_add(&w->set, table, name);
    watch_register(r, &w->watcher, &w->set);
}

static size_t publish(struct watch_registry *r, enum watch_table table, bool prefix,
                      struct str name) {
    struct watch_touched *t = watch_touched_new();
    if (prefix)
        watch_touched_add_prefix(t, name);
    else
        watch_touched_add(t, table, name);
    size_t woken = watch_publish(r, t);
    watch_touched_release(t);
    return woken;
}

static void test_names(void **state) {
    struct arena a = ARENA_INIT;
    struct watch_registry *r = watch_registry_new();
    struct waiter service, node, everything;
    wait_for(r, &service, &a, WATCH_SERVICE, false, STR("web"));
    wait_for(r, &node, &a, WATCH_NODE, false, STR("web"));
    wait_for(r, &everything, &a, WATCH_TABLE, false, STR("services"));
    assert_int_equal(publish(r, WATCH_SERVICE, false, STR("db")), 0);
    assert_int_equal(publish(r, WATCH_SERVICE, false, STR("web")), 1);
    assert_int_equal(service.woken, 1);
    assert_int_equal(publish(r, WATCH_SERVICE, false, STR("web")), 0); /* once only */
    assert_int_equal(watch_registry_count(r), 2);
    assert_int_equal(publish(r, WATCH_ALL, false, STR("")), 2);
    assert_true(node.restored && everything.restored && !service.restored);
    watch_registry_free(r);
    arena_free(&a);
}

static void test_sets(void **state) {
    struct arena a = ARENA_INIT;
    struct watch_set set;
    struct watch_registry *r = watch_registry_new();
    struct waiter w = {.watcher.wake = wake};
    watch_set_add(NULL, WATCH_KEY, STR("no set, no crash"));
    watch_set_init(&set, &a);
    watch_set_add(&set, WATCH_KEY, STR("k"));
    watch_set_add(&set, WATCH_KEY, STR("k"));
    watch_set_add_prefix(&set, STR("k"));
    watch_set_add_record(&set, "sessions", STR("x"));
    watch_set_add_record(&set, "sessions", STR("x"));
    assert_int_equal(set.len, 3);
    watch_register(r, &w.watcher, &set);
    assert_int_equal(publish(r, WATCH_RECORD, false, str_of("sessions\0x", 10)), 1);
    assert_int_equal(w.woken, 1);
    assert_int_equal(publish(r, WATCH_KEY, false, STR("k")), 0);
    /* Two of its names at once wake it once. */
    watch_register(r, &w.watcher, &set);
    struct watch_touched *t = watch_touched_new();
    watch_touched_add(t, WATCH_KEY, STR("k"));
    watch_touched_add(t, WATCH_KEY, STR("k"));
    watch_touched_add(t, WATCH_KEY, STR("kk"));
    assert_int_equal(watch_touched_count(t), 2);
    watch_touched_truncate(t, 1); /* as if kk had been undone */
    watch_touched_add(t, WATCH_KEY, STR("kk"));
    assert_int_equal(watch_touched_count(t), 2);
    assert_int_equal(watch_publish(r, t), 1);
    watch_touched_release(t);
    watch_registry_free(r);
    arena_free(&a);
}

static void test_prefixes(void **state) {
    struct arena a = ARENA_INIT;
    struct watch_registry *r = watch_registry_new();
    struct waiter all, p_a, p_ab, k_ab, k_abc;
    wait_for(r, &all, &a, WATCH_KEY, true, STR(""));
    wait_for(r, &p_a, &a, WATCH_KEY, true, STR("a"));
    wait_for(r, &p_ab, &a, WATCH_KEY, true, STR("ab"));
    wait_for(r, &k_ab, &a, WATCH_KEY, false, STR("ab"));
    wait_for(r, &k_abc, &a, WATCH_KEY, false, STR("abc"));
    assert_int_equal(publish(r, WATCH_KEY, false, STR("b")), 1);
    assert_int_equal(all.woken, 1);
    assert_int_equal(publish(r, WATCH_KEY, false, STR("ax")), 1);
    assert_int_equal(p_a.woken, 1);
    wait_for(r, &p_a, &a, WATCH_KEY, true, STR("a"));
    assert_int_equal(publish(r, WATCH_KEY, false, STR("ab")), 3);
    assert_int_equal(p_a.woken + p_ab.woken + k_ab.woken, 3);
    assert_int_equal(k_abc.woken, 0);
    wait_for(r, &k_ab, &a, WATCH_KEY, false, STR("ab"));
    wait_for(r, &p_a, &a, WATCH_KEY, true, STR("a"));
    /* A touched prefix: keys below it, prefixes below and above it. */
    assert_int_equal(publish(r, WATCH_KEY, true, STR("abc")), 2);
    assert_int_equal(k_abc.woken + p_a.woken, 2);
    assert_int_equal(k_ab.woken, 0);
    assert_int_equal(publish(r, WATCH_KEY, true, STR("")), 1);
    assert_int_equal(watch_registry_count(r), 0);
    watch_registry_free(r);
    arena_free(&a);
}

static void test_wake_changes_registry(void **state) {
    struct arena a = ARENA_INIT;
    struct watch_registry *r = watch_registry_new();
    struct waiter one, two, three;
    wait_for(r, &one, &a, WATCH_KEY, false, STR("k"));
    wait_for(r, &two, &a, WATCH_KEY, false, STR("k"));
    wait_for(r, &three, &a, WATCH_KEY, false, STR("other"));
    one.also = &two.watcher; /* whichever is first takes the other away */
    two.also = &one.watcher;
    assert_int_equal(publish(r, WATCH_KEY, false, STR("k")), 1);
    assert_int_equal(one.woken + two.woken, 1);
    three.again = r;
    assert_int_equal(publish(r, WATCH_KEY, false, STR("other")), 1);
    assert_int_equal(publish(r, WATCH_KEY, false, STR("other")), 1);
    assert_int_equal(three.woken, 2);
    assert_int_equal(watch_registry_count(r), 1);
    three.again = NULL;
    watch_unregister(&three.watcher);
    watch_unregister(&three.watcher); /* no-op */
    watch_registry_free(r);
    arena_free(&a);
}

/* Random keys and prefixes, registered and unregistered, against comparing all of them. */
static void test_against_model(void **state) {
    enum { WAITERS = 400 };
    struct arena a = ARENA_INIT;
    struct watch_registry *r = watch_registry_new();
    struct waiter *waiters = mem_zalloc(WAITERS, sizeof *waiters);
    struct prng p;
    prng_seed(&p, 3);
    for (int round = 0; round < 3000; round++) {
        char text[12];
        size_t len = prng_below(&p, 8);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)("ab\0\xff"[prng_below(&p, 4)]);
        struct str name = str_of(text, len);
        struct waiter *w = &waiters[prng_below(&p, WAITERS)];
        bool prefix = prng_below(&p, 2);
        if (prng_below(&p, 4) != 0) {
            watch_unregister(&w->watcher);
            wait_for(r, w, &a, WATCH_KEY, prefix, name);
            continue;
        }
        size_t expected = 0;
        bool match[WAITERS] = {0};
        for (size_t i = 0; i < WAITERS; i++) {
            const struct watch_key *k = waiters[i].set.keys;
            if (waiters[i].watcher.registry == NULL)
                continue;
            match[i] = k->prefix ? str_has_prefix(name, k->name) : str_eq(name, k->name);
            if (prefix)
                match[i] |= str_has_prefix(k->name, name);
            waiters[i].woken = 0;
            expected += match[i];
        }
        assert_int_equal(publish(r, WATCH_KEY, prefix, name), expected);
        for (size_t i = 0; i < WAITERS; i++) {
            if (match[i])
                assert_int_equal(waiters[i].woken, 1);
        }
    }
    watch_registry_free(r);
    mem_free(waiters);
    arena_free(&a);
}

static void test_many_on_one_key(void **state) {
    enum { COUNT = 10000 };
    struct arena a = ARENA_INIT;
    struct watch_registry *r = watch_registry_new();
    struct waiter *waiters = mem_zalloc(COUNT, sizeof *waiters);
    for (size_t i = 0; i < COUNT; i++) {
        wait_for(r, &waiters[i], &a, WATCH_KEY, false, STR("config/the/one"));
    }
    assert_int_equal(publish(r, WATCH_KEY, false, STR("config/the/other")), 0);
    assert_int_equal(publish(r, WATCH_KEY, false, STR("config/the/one")), COUNT);
    watch_registry_free(r);
    mem_free(waiters);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),         cmocka_unit_test(test_sets),
        cmocka_unit_test(test_prefixes),      cmocka_unit_test(test_wake_changes_registry),
        cmocka_unit_test(test_against_model), cmocka_unit_test(test_many_on_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

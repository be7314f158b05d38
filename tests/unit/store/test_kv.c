/* The key/value table through log entries: operations, indexes, tombstones (fsm.md 4.1, 4.2, 6.1).
 */
#include "fixture.h"

static struct dir_entry *get(struct fixture *f, const char *key, uint64_t *index) {
    struct dir_entry *entry = NULL;
    uint64_t i = 0;
    WITH_READ(f, r) i = kv_get(r, S(key), &entry);
    if (index != NULL)
        *index = i;
    return entry;
}

static uint64_t list_index(struct fixture *f, const char *prefix, size_t *count) {
    struct list entries;
    uint64_t index = 0;
    WITH_READ(f, r) index = kv_list(r, S(prefix), &entries);
    if (count != NULL)
        *count = entries.len;
    return index;
}

static void test_set(void **state) {
    struct fixture *f = *state;
    uint64_t index;
    assert_null(get(f, "a", &index));
    assert_int_equal(index, 1); /* never less */
    assert_int_equal(kv_set(f, "a", "1")->kind, STORE_RESULT_NIL);
    struct dir_entry *e = get(f, "a", &index);
    assert_int_equal(index, 1);
    assert_int_equal(e->create_index, 1);
    assert_str(e->value, "1");
    kv_set(f, "b", "1");
    kv_set(f, "a", "1"); /* identical: nothing changes */
    assert_null(f->touched);
    assert_int_equal(get(f, "a", NULL)->modify_index, 1);
    assert_int_equal(index_of(f, "kvs"), 2);
    kv_op(f, "set", (struct dir_entry){.key = S("a"), .value = S("1"), .flags = 9});
    assert_true(was_touched(f, WATCH_KEY, "a"));
    assert_true(was_touched(f, WATCH_TABLE, "kvs"));
    assert_false(was_touched(f, WATCH_KEY, "b"));
    e = get(f, "a", NULL);
    assert_int_equal(e->create_index, 1);
    assert_int_equal(e->modify_index, 4);
    assert_int_equal(e->flags, 9);
    get(f, "zzz", &index);
    assert_int_equal(index, 4);
    kv_set(f, "empty", "");
    assert_null(get(f, "empty", NULL)->value.data);
}

static void test_cas(void **state) {
    struct fixture *f = *state;
    struct dir_entry d = {.key = S("a"), .value = S("1"), .modify_index = 5};
    assert_bool(kv_op(f, "cas", d), false); /* absent */
    d.modify_index = 0;
    assert_bool(kv_op(f, "cas", d), true);
    assert_bool(kv_op(f, "cas", d), false); /* exists now */
    d.modify_index = 2;
    d.value = S("2");
    assert_bool(kv_op(f, "cas", d), true);
    assert_bool(kv_op(f, "cas", d), false);
    assert_int_equal(get(f, "a", NULL)->modify_index, 4);
    assert_bool(kv_op(f, "delete-cas", (struct dir_entry){.key = S("a"), .modify_index = 2}),
                false);
    assert_non_null(get(f, "a", NULL));
    assert_bool(kv_op(f, "delete-cas", (struct dir_entry){.key = S("a"), .modify_index = 4}), true);
    assert_null(get(f, "a", NULL));
    assert_bool(kv_op(f, "delete-cas", (struct dir_entry){.key = S("a"), .modify_index = 4}), true);
    assert_int_equal(index_of(f, "tombstones"), 7);
    assert_refused(kv_op(f, "jump", d), "Invalid KVS operation 'jump'");
}

static void test_delete_and_tombstones(void **state) {
    struct fixture *f = *state;
    uint64_t index;
    size_t count;
    kv_set(f, "a/1", "x");
    kv_set(f, "a/2", "x");
    kv_set(f, "b/1", "x");
    kv_del(f, "nope");
    assert_int_equal(index_of(f, "tombstones"), 0);
    assert_int_equal(kv_del(f, "a/1")->kind, STORE_RESULT_NIL); /* 5 */
    assert_int_equal(list_index(f, "a/", &count), 5);
    assert_int_equal(count, 1);
    assert_int_equal(list_index(f, "b/", &count), 3);
    assert_int_equal(list_index(f, "c/", &count), 5); /* nothing below: the tables */
    get(f, "a/1", &index);
    assert_int_equal(index, 5);
    kv_op(f, "delete-tree", (struct dir_entry){.key = S("q/")}); /* no match: nothing */
    assert_null(f->touched);
    kv_set(f, "a/3", "x");
    kv_op(f, "delete-tree", (struct dir_entry){.key = S("a/")}); /* 8 */
    assert_int_equal(list_index(f, "a/", &count), 8);
    assert_int_equal(count, 0);
    /* The tombstone is of the prefix: one. It is not below longer prefixes. */
    assert_int_equal(list_index(f, "a/2", &count), 8);
    WITH_READ(f, r) assert_int_equal(kv_tombstone_count(r), 2);
    struct tombstone_request reap = {.op = S("reap"), .reap_index = 5};
    apply(f, ENTRY_TOMBSTONE, &tombstone_request_shape, &reap);
    WITH_READ(f, r) assert_int_equal(kv_tombstone_count(r), 1);
    assert_int_equal(index_of(f, "tombstones"), 8);
    assert_true(was_touched(f, WATCH_KEY, "a/1")); /* the index of its prefixes may fall */
    kv_op(f, "delete-tree", (struct dir_entry){.key = S("")}); /* 10: everything, no tombstone */
    WITH_READ(f, r)
    assert_int_equal(kv_tombstone_count(r), 1);
    assert_int_equal(list_index(f, "", &count), 10);
    assert_int_equal(count, 0);
    assert_int_equal(list_index(f, "b/", NULL), 10);
    reap.op = S("eat");
    assert_refused(apply(f, ENTRY_TOMBSTONE, &tombstone_request_shape, &reap),
                   "Invalid Tombstone operation 'eat'");
}

static bool is_not_owned(const void *owner, struct str key) {
    return !str_eq(key, str_from(owner));
}

/* What is asked about is the key, not what is left of it. */
static void test_keys_kept_before_the_cut(void **state) {
    struct fixture *f = *state;
    const char *keys[] = {"a/x", "a/y/1", "b/", "c/z"};
    struct list out;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        kv_set(f, keys[i], "x");
    WITH_READ(f, r) {
        kv_list_keys(r, STR(""), STR("/"), is_not_owned, "a/x", &out);
        assert_int_equal(out.len, 3);
        assert_str(LIST_AT(out, struct str, 0), "a/");
        kv_list_keys(r, STR(""), STR("/"), is_not_owned, "a/", &out);
        assert_int_equal(out.len, 3);
        kv_list_keys(r, STR("c"), STR("/"), is_not_owned, "c/z", &out);
        assert_int_equal(out.len, 0);
        assert_true(out.present);
    }
}

static void test_keys_with_separator(void **state) {
    struct fixture *f = *state;
    const char *keys[] = {"empty", "foo", "foo/a", "foo/b", "foo//c", "foo/b/d"};
    struct list out;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        kv_set(f, keys[i], "x");
    WITH_READ(f, r) {
        kv_list_keys(r, STR(""), STR("/"), NULL, NULL, &out);
        assert_int_equal(out.len, 3);
        assert_str(LIST_AT(out, struct str, 0), "empty");
        assert_str(LIST_AT(out, struct str, 1), "foo");
        assert_str(LIST_AT(out, struct str, 2), "foo/");
        kv_list_keys(r, STR("f"), STR("o"), NULL, NULL, &out);
        assert_int_equal(out.len, 1);
        assert_str(LIST_AT(out, struct str, 0), "fo");
        kv_list_keys(r, STR("foo/"), STR("/"), NULL, NULL, &out);
        assert_int_equal(out.len, 4);
        assert_str(LIST_AT(out, struct str, 0), "foo//");
        assert_str(LIST_AT(out, struct str, 1), "foo/a");
        assert_str(LIST_AT(out, struct str, 2), "foo/b");
        assert_str(LIST_AT(out, struct str, 3), "foo/b/");
        kv_list_keys(r, STR(""), STR(""), NULL, NULL, &out);
        assert_int_equal(out.len, 6);
        kv_list_keys(r, STR("none"), STR(""), NULL, NULL, &out);
        assert_false(out.present);
    }
}

static void test_watches(void **state) {
    struct fixture *f = *state;
    struct watch_set set;
    struct list out;
    struct dir_entry *entry;
    watch_set_init(&set, &f->arena);
    struct store_read *r = reading(f, &set);
    kv_get(r, STR("k"), &entry);
    kv_list(r, STR("p/"), &out);
    store_read_end(r);
    assert_int_equal(set.len, 2);
    assert_int_equal(set.keys[0].table, WATCH_KEY);
    assert_false(set.keys[0].prefix);
    assert_true(set.keys[1].prefix);
    assert_str(set.keys[1].name, "p/");
}

/* Pieces of one command: nothing until the last; the index is that of the last; another term's
 * pieces are dropped (fsm.md 1.2). */
static void test_chunks(void **state) {
    struct fixture *f = *state;
    struct kvs_request r = {.op = S("set"),
                            .dir_ent = {.key = S("big"), .value = S("a long value")}};
    struct buf data = BUF_INIT;
    buf_add_char(&data, (char)ENTRY_KVS);
    schema_encode(&data, &kvs_request_shape, &r);
    struct str one = str_sub(buf_str(&data), 0, 20), two = str_sub(buf_str(&data), 20, data.len);
    struct str first = STR("\x08\xc3\x99\x8f\x85\xf6\xd1\xd7\xac\xfb\x01\x18\x02"),
               second = STR("\x08\xc3\x99\x8f\x85\xf6\xd1\xd7\xac\xfb\x01\x10\x01\x18\x02");
    assert_int_equal(apply_at(f, 1, one, first)->kind, STORE_RESULT_INCOMPLETE);
    assert_null(get(f, "big", NULL));
    assert_int_equal(apply_at(f, 2, two, second)->kind, STORE_RESULT_NIL);
    assert_int_equal(get(f, "big", NULL)->modify_index, 2);
    assert_str(get(f, "big", NULL)->value, "a long value");

    kv_del(f, "big");
    apply_at(f, 4, two, second); /* any order of arrival */
    f->term = 2;
    assert_int_equal(apply_at(f, 5, one, first)->kind, STORE_RESULT_INCOMPLETE);
    assert_null(get(f, "big", NULL));
    assert_int_equal(apply_at(f, 6, two, second)->kind, STORE_RESULT_NIL);
    assert_int_equal(get(f, "big", NULL)->create_index, 6);
    buf_free(&data);
}

static void test_unknown_types(void **state) {
    struct fixture *f = *state;
    assert_int_equal(apply_at(f, 1, STR("\xc8\x80"), STR_NONE)->kind, STORE_RESULT_NIL);
    const struct str fatal[] = {STR("\x48\x80"), STR("\x02\xc1"), STR("\x02"), STR("")};
    for (size_t i = 0; i < COUNT_OF(fatal); i++) {
        struct store_batch *b = store_batch_begin(f->store, &f->error);
        assert_false(store_apply(b, 2, 1, fatal[i], STR_NONE, &f->result, &f->error));
        store_batch_abort(b);
        error_clear(&f->error);
    }
    assert_int_equal(store_applied_index(f->store), 1);
    assert_refused(apply_at(f, 2, STR("\x02\x80"), STR_NONE), "Invalid KVS operation ''");
}

/* ---- against a model ---- */

struct model_entry {
    struct str key, value;
    uint64_t flags, create, modify;
    bool there;
    uint64_t deleted; /* tombstone of the key itself */
};

#define KEYS 64

static struct str model_key(struct prng *p, char room[16]) {
    size_t len = 1 + prng_below(p, 3);
    for (size_t i = 0; i < len; i++)
        room[i] = (char)('a' + prng_below(p, 3));
    return str_of(room, len);
}

static void test_random_against_model(void **state) {
    struct fixture *f = *state;
    struct model_entry entries[KEYS] = {0};
    size_t count = 0;
    struct prng p;
    prng_seed(&p, 11);
    for (int step = 0; step < 3000; step++) {
        char room[16], value[4];
        struct str key = model_key(&p, room);
        struct model_entry *m = NULL;
        for (size_t i = 0; i < count; i++) {
            if (str_eq(entries[i].key, key))
                m = &entries[i];
        }
        if (m == NULL) {
            assert_true(count < KEYS);
            m = &entries[count++];
            m->key = str_copy(&f->arena, key);
        }
        struct dir_entry d = {.key = key, .flags = prng_below(&p, 2)};
        value[0] = (char)('0' + prng_below(&p, 3));
        d.value = str_of(value, prng_below(&p, 2));
        uint64_t choice = prng_below(&p, 12);
        if (choice < 6) {
            bool cas = choice < 3;
            d.modify_index = prng_below(&p, 2) ? m->modify : prng_below(&p, 3);
            struct store_result *r = kv_op(f, cas ? "cas" : "set", d);
            bool fits =
                !cas || (d.modify_index == 0 ? !m->there : m->there && m->modify == d.modify_index);
            if (cas)
                assert_bool(r, fits);
            bool same = m->there && m->flags == d.flags && str_eq(m->value, d.value);
            if (fits && !same) {
                if (!m->there)
                    m->create = f->index;
                m->there = true;
                m->modify = f->index;
                m->flags = d.flags;
                m->value = str_copy(&f->arena, d.value);
            }
        } else if (choice < 10) {
            kv_op(f, "delete", d);
            if (m->there)
                m->deleted = f->index;
            m->there = false;
            m->modify = m->there ? m->modify : 0;
        } else if (choice == 10) {
            kv_op(f, "delete-tree", d);
            for (size_t i = 0; i < count; i++) {
                if (!str_has_prefix(entries[i].key, key))
                    continue;
                entries[i].there = false;
                entries[i].modify = 0;
            }
        }
        if (step % 10 != 0)
            continue;
        struct list list;
        size_t expected = 0, found = 0;
        struct str prefix = str_sub(key, 0, prng_below(&p, key.len + 1));
        WITH_READ(f, r) {
            kv_list(r, prefix, &list);
            for (size_t i = 0; i < count; i++) {
                expected += entries[i].there && str_has_prefix(entries[i].key, prefix);
            }
            assert_int_equal(list.len, expected);
            for (uint32_t n = 0; n < list.len; n++) {
                struct dir_entry *e = LIST_AT(list, struct dir_entry *, n);
                if (n > 0)
                    assert_true(str_compare(LIST_AT(list, struct dir_entry *, n - 1)->key, e->key) <
                                0);
                for (size_t i = 0; i < count; i++) {
                    if (!str_eq(entries[i].key, e->key))
                        continue;
                    found++;
                    assert_true(entries[i].there && str_eq(e->value, entries[i].value));
                    assert_int_equal(e->flags, entries[i].flags);
                    assert_int_equal(e->create_index, entries[i].create);
                    assert_int_equal(e->modify_index, entries[i].modify);
                }
            }
            assert_int_equal(found, expected);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cas, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete_and_tombstones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_with_separator, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_kept_before_the_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_against_model, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Keys of any length against a sorted model, scans, undo: tables.c from inside. */
#include "fixture.h"
#include "store/env.h"

struct model {
    struct {
        struct str key, value;
    } items[4096];
    size_t count;
};

static size_t model_find(const struct model *m, struct str key, bool *found) {
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (str_compare(m->items[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < m->count && str_eq(m->items[low].key, key);
    return low;
}

static void model_put(struct model *m, struct arena *a, struct str key, struct str value) {
    bool found;
    size_t at = model_find(m, key, &found);
    if (!found) {
        assert_true(m->count < COUNT_OF(m->items));
        memmove(&m->items[at + 1], &m->items[at], (m->count - at) * sizeof m->items[0]);
        m->items[at].key = str_copy(a, key);
        m->count++;
    }
    m->items[at].value = str_copy(a, value);
}

static bool model_delete(struct model *m, struct str key) {
    bool found;
    size_t at = model_find(m, key, &found);
    if (!found)
        return false;
    m->count--;
    memmove(&m->items[at], &m->items[at + 1], (m->count - at) * sizeof m->items[0]);
    return true;
}

/* Keys that share long beginnings, with lengths around the segment's and bytes at both ends. */
static struct str random_key(struct prng *p, char *room, size_t size) {
    static const size_t lengths[] = {0, 1, 5, 479, 480, 481, 482, 960, 961, 962, 1500, 3000, 5000};
    size_t len = lengths[prng_below(p, COUNT_OF(lengths))];
    assert_true(len <= size);
    memset(room, 'm', len);
    for (size_t n = prng_below(p, 4); n > 0 && len > 0; n--) {
        static const char bytes[] = {0, 1, 2, 'm', (char)0xff};
        /* Mostly where segments end or keys end, where mistakes would be. */
        size_t at = prng_below(p, 3) == 0 ? prng_below(p, len)
                    : prng_below(p, 2)    ? len - 1
                                          : (prng_below(p, len / 480 + 1) * 480 + prng_below(p, 2));
        if (at < len)
            room[at] = bytes[prng_below(p, sizeof bytes)];
    }
    return str_of(room, len);
}

static void compare_scan(struct store_read *r, const struct model *m, struct str prefix) {
    struct table_scan s;
    struct str key, value;
    bool found;
    size_t at = model_find(m, prefix, &found);
    table_scan_begin(&s, r, TABLE_TOMBSTONES, prefix);
    while (table_scan_next(&s, &key, &value)) {
        assert_true(at < m->count && str_has_prefix(m->items[at].key, prefix));
        assert_true(str_eq(key, m->items[at].key));
        assert_true(str_eq(value, m->items[at].value));
        at++;
    }
    assert_false(table_scan_next(&s, &key, &value));
    table_scan_end(&s);
    assert_true(at == m->count || !str_has_prefix(m->items[at].key, prefix));
}

static void compare_all(struct store_read *r, const struct model *m, struct prng *p) {
    char room[5000];
    compare_scan(r, m, STR(""));
    for (int i = 0; i < 8; i++) {
        struct str key = random_key(p, room, sizeof room), value;
        bool found;
        size_t at = model_find(m, key, &found);
        assert_int_equal(table_get(r, TABLE_TOMBSTONES, key, &value), found);
        if (found)
            assert_true(str_eq(value, m->items[at].value));
        compare_scan(r, m, str_sub(key, 0, prng_below(p, key.len + 1)));
    }
}

static void test_long_keys_against_model(void **state) {
    struct fixture *f = *state;
    struct model *m = mem_zalloc(1, sizeof *m);
    struct prng p;
    prng_seed(&p, 42);
    for (int round = 0; round < 60; round++) {
        struct store_batch *b = store_batch_begin(f->store, &f->error);
        b->no_undo = true;
        for (int i = 0; i < 40; i++) {
            char room[5000], text[32];
            struct str key = random_key(&p, room, sizeof room);
            if (prng_below(&p, 5) < 3) {
                struct str value =
                    str_of(text, (size_t)snprintf(text, sizeof text, "%d/%d", round, i));
                table_put(b, TABLE_TOMBSTONES, key, value);
                model_put(m, &f->arena, key, value);
            } else {
                assert_int_equal(table_delete(b, TABLE_TOMBSTONES, key), model_delete(m, key));
            }
        }
        compare_all(&b->read, m, &p); /* as the writer sees it */
        assert_true(store_batch_commit(b, NULL, &f->error));
        WITH_READ(f, r) compare_all(r, m, &p);
    }
    assert_true(m->count > 20);
    mem_free(m);
}

/* All records of LMDB, those of long keys' spaces too. */
static size_t records_of(struct store_batch *b) {
    MDB_stat stat;
    assert_int_equal(mdb_stat(b->txn, 1, &stat), 0);
    return stat.ms_entries;
}

static void test_deleting_long_keys_leaves_nothing(void **state) {
    struct fixture *f = *state;
    struct str long_key = str_of(memset(arena_alloc(&f->arena, 100000), 'k', 100000), 100000);
    struct str half = str_sub(long_key, 0, 50000), value;
    struct store_batch *b = store_batch_begin(f->store, &f->error);
    b->no_undo = true;
    table_put(b, TABLE_TOMBSTONES, STR("k"), STR("v")); /* and the counter of spaces */
    table_put(b, TABLE_TOMBSTONES, long_key, STR("v"));
    size_t deep = records_of(b);
    assert_true(deep > 200);
    table_put(b, TABLE_TOMBSTONES, half, STR("w"));
    assert_int_equal(records_of(b), deep + 1);
    assert_true(table_delete(b, TABLE_TOMBSTONES, long_key));
    assert_in_range(records_of(b), deep / 2 - 2, deep / 2 + 2);
    assert_true(table_get(&b->read, TABLE_TOMBSTONES, half, &value));
    assert_false(table_get(&b->read, TABLE_TOMBSTONES, long_key, &value));
    assert_true(table_delete(b, TABLE_TOMBSTONES, half));
    assert_int_equal(records_of(b), 2);
    table_put(b, TABLE_TOMBSTONES, long_key, STR("x"));
    table_put(b, TABLE_TOMBSTONES, str_sub(long_key, 0, 481), STR("y"));
    assert_int_equal(table_delete_prefix(b, TABLE_TOMBSTONES, str_sub(long_key, 0, 481)), 2);
    assert_int_equal(records_of(b), 2);
    store_batch_abort(b);
}

static void test_undo(void **state) {
    struct fixture *f = *state;
    struct model *m = mem_zalloc(1, sizeof *m);
    struct prng p;
    char room[5000];
    prng_seed(&p, 7);
    struct store_batch *b = store_batch_begin(f->store, &f->error);
    for (int i = 0; i < 100; i++) {
        struct str key = random_key(&p, room, sizeof room);
        table_put(b, TABLE_TOMBSTONES, key, STR("before"));
        model_put(m, &f->arena, key, STR("before"));
    }
    for (int round = 0; round < 20; round++) {
        struct batch_mark mark = batch_mark(b);
        for (int i = 0; i < 50; i++) {
            struct str key = random_key(&p, room, sizeof room);
            if (prng_below(&p, 2))
                table_put(b, TABLE_TOMBSTONES, key, STR("after"));
            else
                table_delete(b, TABLE_TOMBSTONES, key);
        }
        index_bump(b, STR("kvs"));
        batch_rollback(b, mark);
        assert_int_equal(store_index(&b->read, STR("kvs")), 0);
        compare_all(&b->read, m, &p);
    }
    store_batch_abort(b);
    mem_free(m);
}

static void test_index_entries_ignore_case(void **state) {
    struct fixture *f = *state;
    struct store_batch *b = store_batch_begin(f->store, &f->error);
    store_advance(b, 7, 1);
    index_bump(b, STR("service.Web"));
    assert_int_equal(store_index(&b->read, STR("service.web")), 7);
    index_raise(b, STR("service.WEB"), 6);
    assert_int_equal(store_index(&b->read, STR("service.web")), 7);
    index_raise(b, STR("service.WEB"), 9);
    assert_int_equal(store_index(&b->read, STR("service.web")), 9);
    index_remove(b, STR("SERVICE.web"));
    assert_int_equal(store_index(&b->read, STR("service.Web")), 0);
    store_batch_abort(b);
}

/* Closed cleanly, or left by a crash of the process alone: everything is there. With another boot
 * id: nothing. */
static void test_reopen(void **state) {
    char directory[] = "/tmp/praetor-test-store-XXXXXX", path[128];
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a/b", directory);
    struct fixture *f = fixture_open(path);
    kv_set(f, "k", "v");
    uint64_t version = store_version(f->store);
    fixture_close(f);
    f = fixture_open(path);
    assert_int_equal(store_applied_index(f->store), 1);
    assert_int_equal(store_applied_term(f->store), 1);
    assert_true(store_version(f->store) >= version);
    struct dir_entry *entry;
    WITH_READ(f, r) kv_get(r, STR("k"), &entry);
    assert_non_null(entry);
    assert_str(entry->value, "v");

    char mark[160], text[128] = "";
    snprintf(mark, sizeof mark, "%s/current", path);
    FILE *file = fopen(mark, "r");
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    unsigned number = (unsigned)atoi(strchr(text, ' '));
    fixture_close(f);
    file = fopen(mark, "w"); /* as a machine that crashed leaves it */
    fprintf(file, "11111111-2222-3333-4444-555555555555 %u\n", number);
    fclose(file);
    f = fixture_open(path);
    assert_int_equal(store_applied_index(f->store), 0);
    WITH_READ(f, r) kv_get(r, STR("k"), &entry);
    assert_null(entry);
    fixture_close(f);
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_long_keys_against_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deleting_long_keys_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_index_entries_ignore_case, setup, teardown),
        cmocka_unit_test(test_reopen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Snapshots written, restored, written again; damaged streams; readers across the swap (fsm.md 7).
 */
#include <pthread.h>

#include "fixture.h"
#include "store/apply.h"
#include "store/tables.h"

static bool to_buf(void *owner, struct str bytes, struct error *e) {
    buf_add_str(owner, bytes);
    return true;
}

static struct buf snapshot_of(struct fixture *f) {
    struct buf out = BUF_INIT;
    WITH_READ(f, r) assert_true(store_snapshot_write(r, to_buf, &out, &f->error));
    return out;
}

struct feeder {
    struct store_restore *restore;
    struct str bytes;
    bool ok;
};

static void *feed_on(void *argument) {
    struct feeder *f = argument;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    f->ok = true;
    for (size_t at = 0; at < f->bytes.len && f->ok; at += 200) {
        f->ok = store_restore_feed(f->restore, str_sub(f->bytes, at, 200), &e);
    }
    arena_free(&arena);
    return NULL;
}

/* Restores bytes, `piece` at a time. */
static bool restore(struct fixture *f, struct str bytes, size_t piece, uint64_t index) {
    struct store_restore *r = store_restore_begin(f->store, &f->error);
    assert_non_null(r);
    for (size_t at = 0; at < bytes.len; at += piece) {
        if (!store_restore_feed(r, str_sub(bytes, at, piece), &f->error)) {
            store_restore_abort(r);
            return false;
        }
    }
    watch_touched_release(f->touched);
    bool ok = store_restore_commit(r, index, 9, &f->touched, &f->error);
    if (ok)
        f->index = index;
    return ok;
}

static void fill(struct fixture *f) {
    struct str tags[] = {S("a"), S("b")};
    struct str_pair meta[] = {{S("k"), S("v")}};
    struct str none[1];
    node_put(f, "n1", "aaaaaaaa-1111-4111-8111-111111111111", "10.0.0.1");
    node_put(f, "N2", "", "10.0.0.2");
    service_put(f, "n1",
                (struct node_service){.id = S("w"),
                                      .service = S("Web"),
                                      .tags = {tags, 2, true},
                                      .meta = {meta, 1, true},
                                      .port = 80});
    service_put(f, "n2",
                (struct node_service){.id = S("p"),
                                      .service = S("web-proxy"),
                                      .kind = S("connect-proxy"),
                                      .proxy.destination_service_name = S("web"),
                                      .tags = {none, 0, true}});
    check_put(f, "n1", "alive", "", "passing");
    check_put(f, "n1", "w", "w", "warning");
    struct session s = {.id = S("bbbbbbbb-0000-4000-8000-000000000002"),
                        .node = S("n1"),
                        .lock_delay = SECOND,
                        .node_checks = {&tags[0], 0, true}};
    session_op(f, "create", s);
    kv_op(f, "lock", (struct dir_entry){.key = S("lock"), .session = s.id, .value = S("x")});
    kv_set(f, "a/b", "1");
    kv_set(f, "a/c", "");
    kv_del(f, "a/c");
    char *key = arena_alloc(&f->arena, 3001);
    memset(key, 'z', 3000);
    key[3000] = '\0';
    kv_set(f, key, "long");
    struct autopilot_set_request autopilot = {.config = {.cleanup_dead_servers = true}};
    apply(f, ENTRY_AUTOPILOT, &autopilot_set_request_shape, &autopilot);
    struct coordinate c = {.node = S("n1"), .coord = &(struct coord){.error = 1.5}}, *pointer = &c;
    struct list one = {&pointer, 1, true};
    struct buf data = BUF_INIT;
    buf_add_char(&data, (char)ENTRY_COORDINATE_BATCH);
    schema_encode_type(&data, &coordinate_batch_type, &one);
    apply_at(f, f->index + 1, buf_str(&data), STR_NONE);
    buf_free(&data);
    deregister(f, "n2", "none", "");
    /* A piece of a command whose other one has not come. */
    apply_at(f, f->index + 1, STR("a piece"), STR("\x08\x63\x18\x02"));
}

static void test_round_trip(void **state) {
    struct fixture *f = *state, *g = fixture_open(NULL);
    fill(f);
    struct buf one = snapshot_of(f);
    assert_true(one.len > 1000);
    const size_t pieces[] = {1, 7, 100, 100000};
    kv_set(g, "gone", "after the restore");
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        uint64_t version = store_version(g->store);
        assert_true(restore(g, buf_str(&one), pieces[i], 500 + i));
        assert_true(store_version(g->store) > version);
        assert_int_equal(store_applied_index(g->store), 500 + i);
        assert_int_equal(store_applied_term(g->store), 9);
        struct watch_key key;
        assert_true(watch_touched_at(g->touched, 0, &key));
        assert_int_equal(key.table, WATCH_ALL);
        assert_true(watch_touched_version(g->touched) == store_version(g->store));
        struct buf two = snapshot_of(g);
        assert_true(str_eq(buf_str(&one), buf_str(&two)));
        buf_free(&two);
        WITH_READ(g, r) {
            uint64_t index, term;
            store_snapshot_index(r, &index, &term);
            assert_int_equal(index, 500 + i);
        }
    }
    /* Lookups are there too: both go on alike. */
    struct fixture *both[] = {f, g};
    f->index = g->index = 600;
    for (int i = 0; i < 2; i++) {
        both[i]->term = 1;
        apply_at(both[i], 601, STR("another"), STR("\x08\x64\x18\x02"));
        deregister(both[i], "N1", "", "");
        kv_op(both[i], "delete-tree", (struct dir_entry){.key = S("a/")});
        deregister(both[i], "n2", "p", "");
    }
    struct buf a = snapshot_of(f), b = snapshot_of(g);
    assert_true(str_eq(buf_str(&a), buf_str(&b)));
    buf_free(&a);
    buf_free(&b);
    buf_free(&one);
    fixture_close(g);
}

static void test_damaged_streams(void **state) {
    struct fixture *f = *state;
    fill(f);
    struct buf good = snapshot_of(f);
    uint64_t version = store_version(f->store), index = store_applied_index(f->store);
    /* Cut anywhere but between records: refused. Cut between them: fine, so only count both. */
    size_t refused = 0;
    for (size_t len = 0; len < good.len; len += 13) {
        if (!restore(f, str_sub(buf_str(&good), 0, len), 64, 1000))
            refused++;
        error_clear(&f->error);
        f->index = 1000;
    }
    assert_true(refused > 50);
    assert_true(restore(f, buf_str(&good), 64, index));
    version = store_version(f->store);

    struct str header = STR("\x81\xa9LastIndex\x05");
    struct {
        struct str record;
        const char *error;
    } rows[] = {
        {STR("\x63\x80"), "Unrecognized msg type 99"},
        {STR("\x86\x80"), "Unrecognized msg type 134"},
        {STR("\x0a\x80"), "Unrecognized msg type 10"},
        {STR("\x03\x81\xa2ID\xa1x"), "failed inserting session: UUID must be 36 characters"},
        {STR("\x1d\x81\xa8"
             "ChunkMap\x81\x01\x91\x80"),
         "bad chunk in snapshot"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf text = BUF_INIT;
        buf_add_str(&text, header);
        buf_add_str(&text, rows[i].record);
        error_clear(&f->error);
        assert_false(restore(f, buf_str(&text), 3, 2000));
        assert_str(f->error.text, rows[i].error);
        buf_free(&text);
    }
    error_clear(&f->error);
    assert_int_equal(store_version(f->store), version); /* nothing happened */
    assert_int_equal(store_applied_index(f->store), index);
    buf_free(&good);
}

/* The peer aborts on a check whose node is spelled otherwise than the record's: we neither write
 * nor mind it. */
static void test_spelling_of_nodes(void **state) {
    struct fixture *f = *state;
    struct list checks;
    node_put(f, "Beta", "", "1");
    check_put(f, "Beta", "c", "", "passing");
    node_put(f, "beta", "", "1");
    WITH_READ(f, r) catalog_node_checks(r, S("beta"), &checks);
    assert_str(LIST_AT(checks, struct health_check *, 0)->node, "Beta");
    struct buf one = snapshot_of(f);
    assert_int_equal(str_find(buf_str(&one), STR("Beta"), 0), -1);
    struct register_request r[2] = {{.node = S("beta")}, {.node = S("beta")}};
    struct health_check check = {.node = S("Beta"), .check_id = S("c"), .status = S("passing")};
    r[1].check = &check;
    buf_clear(&one);
    buf_add_str(&one, STR("\x81\xa9LastIndex\x05"));
    for (int i = 0; i < 2; i++) {
        buf_add_char(&one, (char)ENTRY_REGISTER);
        schema_encode(&one, &register_request_shape, &r[i]);
    }
    assert_true(restore(f, buf_str(&one), 10, 9));
    assert_int_equal(index_of(f, "nodes"), 5); /* LastIndex, until an index record says more */
    WITH_READ(f, rd) catalog_node_checks(rd, S("beta"), &checks);
    assert_int_equal(checks.len, 1);
    buf_free(&one);
}

static bool refuse(void *owner, struct str bytes, struct error *e) {
    return error_set(e, ERROR_IO, "no room");
}

static void test_sink_that_refuses(void **state) {
    struct fixture *f = *state;
    fill(f);
    WITH_READ(f, r) assert_false(store_snapshot_write(r, refuse, NULL, &f->error));
    assert_str(f->error.text, "no room");
}

/* A read that was begun before stays what it was, also when the environment is replaced under it.
 */
static void test_reads_outlive_the_swap(void **state) {
    struct fixture *f = *state;
    fill(f);
    struct buf one = snapshot_of(f);
    kv_set(f, "later", "x");
    struct store_read old;
    struct dir_entry *entry;
    assert_true(store_read_begin(f->store, &old, &f->arena, NULL, &f->error));
    assert_true(restore(f, buf_str(&one), 1000, 100));
    assert_true(restore(f, buf_str(&one), 1000, 101));
    kv_set(f, "after", "y");
    kv_get(&old, S("later"), &entry);
    assert_non_null(entry);
    kv_get(&old, S("after"), &entry);
    assert_null(entry);
    store_read_end(&old);
    WITH_READ(f, r) {
        kv_get(r, S("later"), &entry);
        assert_null(entry);
        kv_get(r, S("after"), &entry);
        assert_non_null(entry);
    }
    kv_set(f, "last", "z");
    buf_free(&one);
}

/* ---- several threads read while the writer writes and restores ---- */

struct reader {
    pthread_t thread;
    struct store *store;
    _Atomic bool *stop;
    uint64_t reads;
};

/* Both keys are always written in one entry, so every snapshot shows the same in both. */
static void *read_on(void *argument) {
    struct reader *me = argument;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    uint64_t last = 0;
    while (!atomic_load(me->stop)) {
        struct store_read r;
        struct dir_entry *a, *b;
        ASSERT(store_read_begin(me->store, &r, &arena, NULL, &e));
        kv_get(&r, STR("pair/a"), &a);
        kv_get(&r, STR("pair/b"), &b);
        ASSERT((a == NULL) == (b == NULL));
        ASSERT(a == NULL || str_eq(a->value, b->value));
        ASSERT(r.version >= last);
        last = r.version;
        if (me->reads % 64 == 0) {
            struct buf out = BUF_INIT;
            ASSERT(store_snapshot_write(&r, to_buf, &out, &e));
            buf_free(&out);
        }
        store_read_end(&r);
        arena_reset(&arena, 4096);
        me->reads++;
    }
    arena_free(&arena);
    return NULL;
}

static void pair_set(struct fixture *f, int n) {
    char text[16];
    snprintf(text, sizeof text, "%d", n);
    struct txn_op_kv a = {.verb = S("set"), .dir_ent = {.key = S("pair/a"), .value = S(text)}},
                     b = a;
    b.dir_ent.key = S("pair/b");
    struct txn_op ops[] = {{.kv = &a}, {.kv = &b}}, *pointers[] = {&ops[0], &ops[1]};
    struct txn_request txn = {.ops = {pointers, 2, true}};
    apply(f, ENTRY_TXN, &txn_request_shape, &txn);
}

static void test_threads(void **state) {
    struct fixture *f = *state;
    _Atomic bool stop = false;
    struct reader readers[3];
    pair_set(f, -1);
    struct buf one = snapshot_of(f);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        readers[i] = (struct reader){.store = f->store, .stop = &stop};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (int n = 0; n < 1000; n++) {
        pair_set(f, n);
        if (n % 100 == 99)
            assert_true(restore(f, buf_str(&one), 100, f->index + 1));
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_true(readers[i].reads > 0);
    }
    buf_free(&one);
}

/* Fed by another thread than the one that begins and commits, while the writer goes on. */
static void test_feeding_thread(void **state) {
    struct fixture *f = *state;
    fill(f);
    struct buf one = snapshot_of(f);
    pthread_t thread;
    for (int i = 0; i < 5; i++) {
        struct feeder feeder = {.restore = store_restore_begin(f->store, &f->error),
                                .bytes = buf_str(&one)};
        assert_non_null(feeder.restore);
        assert_int_equal(pthread_create(&thread, NULL, feed_on, &feeder), 0);
        kv_set(f, "meanwhile", "x");
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(feeder.ok);
        if (i % 2 == 0) {
            store_restore_abort(feeder.restore);
            continue;
        }
        assert_true(store_restore_commit(feeder.restore, f->index + 1, 1, NULL, &f->error));
        f->index++;
        struct buf two = snapshot_of(f);
        assert_true(str_eq(buf_str(&one), buf_str(&two)));
        buf_free(&two);
    }
    buf_free(&one);
}

/* A restore into files: the next start finds it, and only it. */
static void test_restore_on_disk(void **state) {
    char directory[] = "/tmp/praetor-test-restore-XXXXXX", command[128];
    struct fixture *f = *state;
    fill(f);
    struct buf one = snapshot_of(f);
    assert_non_null(mkdtemp(directory));
    struct fixture *g = fixture_open(directory);
    kv_set(g, "old", "x");
    struct store_restore *r = store_restore_begin(g->store, &g->error);
    assert_non_null(r);
    assert_null(store_restore_begin(g->store, &g->error)); /* one at a time */
    error_clear(&g->error);
    assert_true(store_restore_feed(r, str_sub(buf_str(&one), 0, 100), &g->error));
    store_restore_abort(r);
    assert_true(restore(g, buf_str(&one), 4096, 77));
    fixture_close(g);
    g = fixture_open(directory);
    assert_int_equal(store_applied_index(g->store), 77);
    struct buf two = snapshot_of(g);
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
    kv_set(g, "new", "y");
    fixture_close(g);
    snprintf(command, sizeof command, "test $(ls -d %s/state-* | wc -l) = 1", directory);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
    buf_free(&one);
    buf_free(&two);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spelling_of_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sink_that_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reads_outlive_the_swap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_feeding_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restore_on_disk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sessions beyond the transcript: every way to end, bound checks, lock delays, letter case,
 * lookups; and transactions that roll back (fsm.md 4.3, 5.1). */
#include "fixture.h"
#include "store/apply.h"
#include "store/query.h"
#include "store/tables.h"

#define S1 "aaaaaaaa-0000-4000-8000-000000000001"
#define S1_UPPER "AAAAAAAA-0000-4000-8000-000000000001"
#define S2 "bbbbbbbb-0000-4000-8000-000000000002"

static void base(struct fixture *f) {
    node_put(f, "n1", "", "10.0.0.1");
    service_put(f, "n1", (struct node_service){.id = S("web"), .service = S("web")});
    check_put(f, "n1", "alive", "", "passing");
    check_put(f, "n1", "web", "web", "passing");
}

static struct session session_of(const char *id) {
    static struct str checks[] = {{"Alive", 5}};
    static struct service_check service_checks[] = {{.id = {"web", 3}}};
    return (struct session){.id = S(id),
                            .node = S("N1"),
                            .lock_delay = 15 * SECOND,
                            .node_checks = {checks, 1, true},
                            .service_checks = {service_checks, 1, true}};
}

static struct dir_entry *entry_of(struct fixture *f, const char *key) {
    struct dir_entry *entry = NULL;
    WITH_READ(f, r) kv_get(r, S(key), &entry);
    return entry;
}

static bool alive(struct fixture *f, const char *id) {
    struct session *session = NULL;
    uint64_t index;
    WITH_READ(f, r) assert_true(session_get(r, S(id), &session, &index, &f->error));
    return session != NULL;
}

static void create_and_lock(struct fixture *f, const char *id, const char *key) {
    struct store_result *r = session_op(f, "create", session_of(id));
    assert_not_refused(r);
    assert_int_equal(r->kind, STORE_RESULT_STR);
    assert_str(r->string, id);
    assert_bool(kv_op(f, "lock", (struct dir_entry){.key = S(key), .session = S(id)}), true);
}

static void test_ways_to_end(void **state) {
    struct fixture *f = *state;
    base(f);
    for (int way = 0; way < 6; way++) {
        create_and_lock(f, S1, "k");
        uint64_t lock_index = entry_of(f, "k")->lock_index;
        store_set_clock(f->store, f->index * MINUTE * 2); /* no delay left */
        switch (way) {
        case 0:
            session_op(f, "destroy", (struct session){.id = S(S1_UPPER)});
            break;
        case 1:
            check_put(f, "n1", "ALIVE", "", "critical");
            break;
        case 2:
            check_put(f, "n1", "web", "web", "critical");
            break;
        case 3:
            deregister(f, "n1", "", "web");
            break;
        case 4:
            deregister(f, "n1", "web", "");
            break;
        case 5:
            deregister(f, "n1", "", "");
            break;
        }
        assert_false(alive(f, S1));
        struct dir_entry *e = entry_of(f, "k");
        assert_str(e->session, "");
        assert_int_equal(e->lock_index, lock_index);
        assert_int_equal(e->modify_index, f->index);
        assert_int_equal(index_of(f, "sessions"), f->index);
        assert_true(was_touched(f, WATCH_KEY, "k"));
        assert_true(was_touched(f, WATCH_NODE_SESSIONS, "n1"));
        assert_true(store_lock_delay(f->store, S("k")) > 0);
        base(f);
    }
}

static void test_lookups_are_gone(void **state) {
    struct fixture *f = *state;
    base(f);
    create_and_lock(f, S1, "k");
    session_op(f, "destroy", (struct session){.id = S(S1)});
    const enum store_table tables[] = {TABLE_SESSIONS, TABLE_SESSIONS_NODE, TABLE_SESSION_CHECKS,
                                       TABLE_KVS_SESSION};
    WITH_READ(f, r) {
        for (size_t i = 0; i < COUNT_OF(tables); i++) {
            struct table_scan s;
            table_scan_begin(&s, r, tables[i], STR(""));
            assert_false(table_scan_next(&s, NULL, NULL));
            table_scan_end(&s);
        }
    }
    assert_int_equal(session_op(f, "destroy", (struct session){.id = S(S1)})->kind,
                     STORE_RESULT_NIL);
    assert_null(f->touched);
    assert_refused(session_op(f, "destroy", (struct session){.id = S("x")}),
                   "failed session lookup: index error: UUID must be 36 characters");
    assert_refused(session_op(f, "mend", session_of(S1)), "Invalid Session operation 'mend'");
    assert_refused(session_op(f, "create", session_of("")), "Missing session ID");
    struct session bad = session_of(S1);
    bad.behavior = S("zz");
    assert_refused(session_op(f, "create", bad), "Invalid session behavior: zz");
}

static void test_lists(void **state) {
    struct fixture *f = *state;
    base(f);
    session_op(f, "create", session_of(S2));
    session_op(f, "create", session_of(S1));
    uint64_t index = f->index;
    kv_set(f, "x", "y");
    struct list list;
    WITH_READ(f, r) {
        assert_int_equal(session_list(r, &list), index);
        assert_int_equal(list.len, 2);
        assert_str(LIST_AT(list, struct session *, 0)->id, S1);
        assert_str(LIST_AT(list, struct session *, 0)->behavior, "release");
        assert_int_equal(session_node_list(r, S("n1"), &list), index);
        assert_int_equal(list.len, 2);
        session_node_list(r, S("n2"), &list);
        assert_false(list.present);
        struct session *session;
        assert_true(session_get(r, S(S1_UPPER), &session, &index, &f->error));
        assert_str(session->id, S1);
        assert_false(session_get(r, S("nope"), &session, &index, &f->error));
        assert_str(f->error.text, "failed session lookup: index error: UUID must be 36 characters");
        error_clear(&f->error);
    }
}

/* The key keeps the ID as spelled: released with the session, but "the same" only in the same
 * spelling. */
static void test_letter_case_of_holder(void **state) {
    struct fixture *f = *state;
    base(f);
    create_and_lock(f, S1, "other");
    struct dir_entry d = {.key = S("k"), .session = S(S1_UPPER)};
    assert_bool(kv_op(f, "lock", d), true);
    assert_str(entry_of(f, "k")->session, S1_UPPER);
    d.session = S(S1);
    assert_bool(kv_op(f, "lock", d), false);
    assert_bool(kv_op(f, "unlock", d), false);
    session_op(f, "destroy", (struct session){.id = S(S1)});
    assert_str(entry_of(f, "k")->session, "");
}

static void test_lock_delays(void **state) {
    struct fixture *f = *state;
    base(f);
    store_set_clock(f->store, 100 * SECOND);
    create_and_lock(f, S1, "k");
    kv_op(f, "unlock", (struct dir_entry){.key = S("k"), .session = S(S1)});
    assert_int_equal(store_lock_delay(f->store, S("k")), 0); /* no delay after an unlock */
    kv_op(f, "lock", (struct dir_entry){.key = S("k"), .session = S(S1)});
    session_op(f, "destroy", (struct session){.id = S(S1)});
    assert_int_equal(store_lock_delay(f->store, S("k")), 115 * SECOND);
    kv_del(f, "k"); /* does not end it */
    assert_int_equal(store_lock_delay(f->store, S("k")), 115 * SECOND);
    store_set_clock(f->store, 116 * SECOND);
    assert_int_equal(store_lock_delay(f->store, S("k")), 0);
    struct session s = session_of(S2);
    s.lock_delay = HOUR;
    session_op(f, "create", s);
    kv_op(f, "lock", (struct dir_entry){.key = S("k"), .session = S(S2)});
    session_op(f, "destroy", (struct session){.id = S(S2)});
    assert_int_equal(store_lock_delay(f->store, S("k")), 176 * SECOND); /* 60 s at most */
    /* An entry that is undone leaves none. */
    session_op(f, "create", session_of(S1));
    kv_op(f, "lock", (struct dir_entry){.key = S("z"), .session = S(S1)});
    struct txn_op_node node = {.verb = S("delete"), .node.node = S("n1")};
    struct txn_op_kv bad = {.verb = S("get"), .dir_ent.key = S("nope")};
    struct txn_op ops[] = {{.node = &node}, {.kv = &bad}};
    struct txn_op *pointers[] = {&ops[0], &ops[1]};
    struct txn_request txn = {.ops = {pointers, 2, true}};
    apply(f, ENTRY_TXN, &txn_request_shape, &txn);
    assert_true(alive(f, S1));
    assert_int_equal(store_lock_delay(f->store, S("z")), 0);
    assert_str(entry_of(f, "z")->session, S1);
}

/* A restart does not hand a lock on before its time, and what is over is forgotten. */
static void test_lock_delays_stay(void **state) {
    (void)state;
    char directory[] = "/tmp/praetor-test-delays-XXXXXX", command[128];
    assert_non_null(mkdtemp(directory));
    struct fixture *f = fixture_open(directory);
    base(f);
    store_set_clock(f->store, 100 * SECOND);
    create_and_lock(f, S1, "k");
    create_and_lock(f, S2, "l");
    session_op(f, "destroy", (struct session){.id = S(S1)});
    fixture_close(f);
    f = fixture_open(directory);
    store_set_clock(f->store, 110 * SECOND);
    assert_int_equal(store_lock_delay(f->store, S("k")), 115 * SECOND);
    assert_int_equal(store_lock_delay(f->store, S("l")), 0);
    store_set_clock(f->store, 300 * SECOND);
    session_op(f, "destroy", (struct session){.id = S(S2)});
    WITH_READ(f, r) {
        assert_false(table_has(r, TABLE_LOCK_DELAYS, S("k")));
        assert_true(table_has(r, TABLE_LOCK_DELAYS, S("l")));
    }
    fixture_close(f);
    f = fixture_open(directory);
    store_set_clock(f->store, 20 * SECOND); /* set back: still a minute at most */
    assert_int_equal(store_lock_delay(f->store, S("l")), 80 * SECOND);
    fixture_close(f);
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

/* Queries bound to a session go with it. */
static void test_bound_queries(void **state) {
    struct fixture *f = *state;
    base(f);
    create_and_lock(f, S1, "k");
    struct prepared_query bound = {.id = S(S2), .session = S(S1_UPPER), .name = S("b")};
    struct prepared_query other = {.id = S("cccccccc-0000-4000-8000-000000000003")};
    struct store_batch *b = store_batch_begin(f->store, &f->error);
    assert_true(query_store(b, &bound, &f->error));
    assert_true(query_store(b, &other, &f->error));
    assert_true(store_batch_commit(b, NULL, &f->error));
    session_op(f, "destroy", (struct session){.id = S(S1)});
    struct list list;
    WITH_READ(f, r) {
        assert_int_equal(query_list(r, &list), f->index);
        assert_int_equal(list.len, 1);
        assert_true(str_eq(LIST_AT(list, struct prepared_query *, 0)->id, other.id));
    }
}

/* ---- transactions ---- */

static void test_txn_rolls_back_everything(void **state) {
    struct fixture *f = *state;
    base(f);
    create_and_lock(f, S1, "held");
    kv_set(f, "a", "1");
    uint64_t kvs = index_of(f, "kvs"), nodes = index_of(f, "nodes");
    struct txn_op_kv set = {.verb = S("set"), .dir_ent = {.key = S("a"), .value = S("2")}};
    struct txn_op_kv tree = {.verb = S("delete-tree"), .dir_ent.key = S("")};
    struct txn_op_node node = {.verb = S("delete"), .node.node = S("n1")};
    struct txn_op_session session = {.verb = S("delete"), .session.id = S(S1)};
    struct txn_op_kv bad = {.verb = S("check-index"),
                            .dir_ent = {.key = S("a"), .modify_index = 1}};
    struct txn_op ops[] = {{.kv = &set},    {.kv = &tree}, {.session = &session},
                           {.node = &node}, {.kv = &bad},  {0}};
    struct txn_op *pointers[] = {&ops[0], &ops[1], &ops[2], &ops[3], &ops[4], &ops[5], NULL};
    struct txn_request txn = {.ops = {pointers, 7, true}};
    struct store_result *r = apply(f, ENTRY_TXN, &txn_request_shape, &txn);
    assert_int_equal(r->kind, STORE_RESULT_TXN);
    assert_false(r->txn->results.present);
    assert_int_equal(r->txn->errors.len, 3);
    struct txn_error *e = LIST_AT(r->txn->errors, struct txn_error *, 0);
    assert_int_equal(e->op_index, 4);
    assert_str(e->what, "failed to check index, key \"a\" doesn't exist"); /* it sees the effects */
    assert_str(LIST_AT(r->txn->errors, struct txn_error *, 2)->what, "no operation specified");
    assert_null(f->touched);
    assert_int_equal(index_of(f, "kvs"), kvs);
    assert_int_equal(index_of(f, "nodes"), nodes);
    assert_int_equal(index_of(f, "service_last_extinction"), 0);
    assert_str(entry_of(f, "a")->value, "1");
    assert_str(entry_of(f, "held")->session, S1);
    assert_true(alive(f, S1));
    struct list list;
    WITH_READ(f, rd) {
        catalog_check_service_nodes(rd, S("web"), NULL, &list);
        assert_int_equal(list.len, 1);
        assert_int_equal(LIST_AT(list, struct check_service_node, 0).checks.len, 2);
    }
}

static void test_txn_check_cas_that_cannot_write(void **state) {
    struct fixture *f = *state;
    base(f);
    struct txn_op_check check = {.verb = S("cas"),
                                 .check = {.node = S("none"), .check_id = S("c")}};
    struct txn_op op = {.check = &check}, *pointer = &op;
    struct txn_request txn = {.ops = {&pointer, 1, true}};
    struct store_result *r = apply(f, ENTRY_TXN, &txn_request_shape, &txn);
    assert_false(r->txn->errors.present);
    assert_true(r->txn->results.present);
    assert_int_equal(r->txn->results.len, 0);
    assert_null(f->touched);
}

/* The Session member removes the record and nothing else. */
static void test_txn_session_delete(void **state) {
    struct fixture *f = *state;
    base(f);
    create_and_lock(f, S1, "k");
    struct txn_op_session session = {.verb = S("delete"), .session.id = S(S1)};
    struct txn_op op = {.session = &session}, *pointer = &op;
    struct txn_request txn = {.ops = {&pointer, 1, true}};
    assert_int_equal(apply(f, ENTRY_TXN, &txn_request_shape, &txn)->txn->errors.len, 0);
    assert_false(alive(f, S1));
    assert_str(entry_of(f, "k")->session, S1);
}

static void test_empty_txn(void **state) {
    struct fixture *f = *state;
    struct txn_request txn = {.ops = LIST_NIL};
    struct store_result *r = apply(f, ENTRY_TXN, &txn_request_shape, &txn);
    assert_true(r->txn->results.present);
    assert_false(r->txn->errors.present);
    assert_true(txn_is_read_only(&txn.ops));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ways_to_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lookups_are_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_letter_case_of_holder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock_delays, setup, teardown),
        cmocka_unit_test(test_lock_delays_stay),
        cmocka_unit_test_setup_teardown(test_bound_queries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn_rolls_back_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn_check_cas_that_cannot_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn_session_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_txn, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The whole server on its real driver: a write, a read and a wait from end to end; a restart on the
 * same disk; a snapshot saved and restored. */
#include "harness.h"
#include "schema/entries.h"
#include "server/reconcile.h"
#include "server/server_room.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static void directory_make(void) {
    snprintf(directory, sizeof directory, "/tmp/praetor-server-XXXXXX");
    assert_non_null(mkdtemp(directory));
}

static void directory_remove(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
}

static struct server_options disk_options(void) {
    struct server_options o = harness_options();
    o.dev_mode = false;
    o.data_dir = str_from(directory);
    o.raft_multiplier = 1;
    o.rpc_hold_timeout = 20 * SECOND;
    return o;
}

static void cycle(void) {
    char value[64];
    kv_put(0, "cycle", "1", "set");
    uint64_t index = kv_read(1, "cycle", value);
    assert_string_equal(value, "1");
    struct key_request r = {.key = STR("cycle"), .options = {.min_query_index = index}};
    struct ask a;
    ask_start(&a, 1, &endpoint_kvs_get, &r);
    assert_null(ask_wait(&a, 20));
    kv_put(0, "cycle", "2", "set");
    struct answer *answer = ask_wait(&a, 5000);
    assert_non_null(answer);
    struct indexed_dir_entries *reply = answer->reply;
    assert_true(str_is(LIST_AT(reply->entries, struct dir_entry *, 0)->value, "2"));
    assert_true(answer->meta.index > index);
    ask_end(&a);
}

static void test_dev_mode(void **state) {
    struct server_options o = harness_options();
    o.rpc_hold_timeout = 20 * SECOND;
    server_begin(&o);
    server_settle();
    cycle();
    struct key_request r = {.key = STR("cycle"), .options = {.require_consistent = true}};
    struct ask a;
    ask(&a, 0, &endpoint_kvs_get, &r);
    ask_end(&a);
    /* What a new cluster begins with has the peer's indexes: 1 configuration, 2 no-op, 3 barrier,
     * 4 autopilot, 5 its own member, 6 federation state (the peer's are in the order of chance). */
    struct dc_request d = {.datacenter = STR("")};
    struct answer *answer = ask(&a, 0, &endpoint_operator_autopilot_get, &d);
    assert_int_equal(((struct autopilot_config *)answer->reply)->modify_index, 4);
    ask_end(&a);
    answer = ask(&a, 0, &endpoint_catalog_list_nodes, &d);
    struct indexed_nodes *nodes = answer->reply;
    assert_int_equal(LIST_AT(nodes->nodes, struct node *, 0)->create_index, 5);
    ask_end(&a);
    server_end();
}

static void test_restart(void **state) {
    char value[64];
    directory_make();
    struct server_options o = disk_options();
    server_begin(&o);
    server_settle();
    cycle();
    uint64_t index = kv_read(0, "cycle", value);
    server_end();
    for (int i = 0; i < 2; i++) {
        server_begin(&o);
        assert_int_equal(kv_read(0, "cycle", value), index);
        assert_string_equal(value, "2");
        server_end();
    }
    directory_remove();
}

/* ---- what an agent says of its node, and what the leader does ---- */

/* In one turn, so that the leader looks at its members before the agent's word is in the store. */
static void say_and_reconcile(void *arg) {
    struct str_pair address = {STR("lan"), STR("127.0.0.9")};
    struct register_request r = {.datacenter = STR("dc1"),
                                 .node = server->options.node_name,
                                 .address = STR("127.0.0.1"),
                                 .tagged_addresses = {&address, 1, true}};
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, ENTRY_REGISTER);
    schema_encode(&entry, &register_request_shape, &r);
    server_propose(server, &entry, "test", NULL, NULL);
    reconcile_all(server->reconcile);
    (void)arg;
}

static void said(void *arg) {
    sem_post(arg);
}

static bool checked_addresses(uint32_t *count) {
    struct node_request checks = {.node = server->options.node_name};
    struct dc_request nodes = {.datacenter = STR("")};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_health_node_checks, &checks);
    bool checked = ((struct indexed_health_checks *)answer->reply)->health_checks.len > 0;
    ask_end(&a);
    answer = ask(&a, 0, &endpoint_catalog_list_nodes, &nodes);
    struct list list = ((struct indexed_nodes *)answer->reply)->nodes;
    *count = list.len > 0 ? LIST_AT(list, struct node *, 0)->tagged_addresses.len : 0;
    ask_end(&a);
    return checked;
}

static void test_the_agents_word_stays(void **state) {
    struct server_options o = harness_options();
    o.rpc_hold_timeout = 20 * SECOND;
    server_begin(&o);
    server_settle();
    for (int round = 0; round < 20; round++) {
        struct deregister_request r = {.datacenter = STR("dc1"), .node = o.node_name};
        struct ask a;
        uint32_t count = 0;
        sem_t done;
        ask(&a, 0, &endpoint_catalog_deregister, &r);
        ask_end(&a);
        sem_init(&done, 0, 0);
        assert_true(server_run_on_core(server, say_and_reconcile, said, &done));
        assert_true(sem_wait_ms(&done, 20000));
        sem_destroy(&done);
        for (int i = 0; i < 20000 && !checked_addresses(&count); i++)
            usleep(1000);
        assert_int_equal(count, 1);
    }
    server_end();
}

#define WRITERS 64
#define WRITES 10

/* Writers on both threads at once: every answer is true to its own key, and all of it survives. */
static void test_many_writers(void **state) {
    static struct ask asks[WRITERS];
    static struct kvs_request requests[WRITERS];
    static char keys[WRITERS][24], values[WRITERS][24];
    char value[64];
    directory_make();
    struct server_options o = disk_options();
    server_begin(&o);
    server_settle();
    for (int round = 0; round < WRITES; round++) {
        for (int i = 0; i < WRITERS; i++) {
            snprintf(keys[i], sizeof keys[i], "writer/%d", i);
            snprintf(values[i], sizeof values[i], "%d-%d", i, round);
            requests[i] = (struct kvs_request){
                .dir_ent = {.key = str_from(keys[i]), .value = str_from(values[i])},
                .op = i % 2 ? STR("set") : STR("cas")}; /* cas 0: only the first time */
            ask_start(&asks[i], i % 2, &endpoint_kvs_apply, &requests[i]);
        }
        for (int i = 0; i < WRITERS; i++) {
            struct answer *answer = ask_wait(&asks[i], 10000);
            assert_non_null(answer);
            assert_false(error_is_set(&answer->error));
            assert_int_equal(*(bool *)answer->reply, i % 2 == 0 && round == 0);
            ask_end(&asks[i]);
        }
    }
    server_end();
    server_begin(&o);
    for (int i = 0; i < WRITERS; i++) {
        char expected[24];
        snprintf(expected, sizeof expected, "%d-%d", i, i % 2 ? WRITES - 1 : 0);
        kv_read(i % 2, keys[i], value);
        assert_string_equal(value, expected);
    }
    server_end();
    directory_remove();
}

/* ---- snapshots ---- */

static void snapshot_cycle(void) {
    char value[64];
    struct snap save, restore;
    kv_put(0, "saved", "before", "set");
    snap(&save, false, (struct snapshot_call){.archive = -1}, "");
    assert_true(save.call.result >= 0);
    assert_true(save.call.size > 100);
    assert_true(save.call.meta.index > 6);
    assert_true(save.call.meta.known_leader);
    kv_put(0, "saved", "after", "set");
    kv_put(0, "gone", "x", "set");
    uint64_t index = kv_read(1, "saved", value);
    /* Who waits, wherever, is answered by the restore. */
    struct key_request r = {.key = STR("saved"), .options = {.min_query_index = index + 100000}};
    struct ask a;
    ask_start(&a, 1, &endpoint_kvs_get, &r);
    assert_null(ask_wait(&a, 20));
    snap(&restore, true, (struct snapshot_call){.archive = save.call.result}, "");
    struct answer *answer = ask_wait(&a, 5000);
    assert_non_null(answer);
    ask_end(&a);
    kv_read(0, "saved", value);
    assert_string_equal(value, "before");
    kv_read(1, "gone", value);
    assert_string_equal(value, "");
    close(save.call.result);
    cycle();
}

static void test_snapshot_in_dev_mode(void **state) {
    struct server_options o = harness_options();
    o.rpc_hold_timeout = 20 * SECOND;
    server_begin(&o);
    server_settle();
    snapshot_cycle();
    server_end();
}

static void test_snapshot_on_disk(void **state) {
    char value[64];
    directory_make();
    struct server_options o = disk_options();
    server_begin(&o);
    server_settle();
    snapshot_cycle();
    server_end();
    server_begin(&o);
    kv_read(0, "saved", value);
    assert_string_equal(value, "before");
    server_end();
    directory_remove();
}

static void test_a_start_that_fails(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct server_options o = harness_options();
    o.dev_mode = false;
    o.data_dir = STR("/proc/praetor/nowhere");
    struct server *s = server_new(&o, &e);
    assert_non_null(s);
    assert_false(server_start(s, &e));
    assert_true(e.text.len > 0);
    server_free(s);
    o.node_name = STR("");
    error_clear(&e);
    assert_null(server_new(&o, &e));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dev_mode),
        cmocka_unit_test(test_the_agents_word_stays),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_many_writers),
        cmocka_unit_test(test_snapshot_in_dev_mode),
        cmocka_unit_test(test_snapshot_on_disk),
        cmocka_unit_test(test_a_start_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

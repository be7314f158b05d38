/* Three servers in one process, over real connections: what followers forward to the leader, what
 * they answer themselves, and what becomes of both when the leader goes.
 */
#include "harness.h"

#include <fcntl.h>
#include <unistd.h>

#include "server/server_room.h"

#define COUNT 3

static struct {
    struct server *s;
    char address[32], id[40], name[8], directory[96];
} all[COUNT];
static char directory[64];

static struct server_options options_of(int i) {
    struct server_options o = harness_options();
    o.node_name = str_from(all[i].name);
    o.node_id = str_from(all[i].id);
    o.advertise_address = str_from(all[i].address);
    o.bind_address = o.advertise_address;
    o.dev_mode = o.bootstrap = false;
    o.data_dir = str_from(all[i].directory);
    o.raft_multiplier = 1;
    o.serve_rpc = true;
    o.rpc_hold_timeout = 5 * SECOND;
    return o;
}

struct bootstrap_task {
    sem_t done;
    bool ok;
};

static void bootstrap_run(void *arg) {
    struct bootstrap_task *task = arg;
    struct raft_driver_server servers[COUNT] = {0};
    char addresses[COUNT][48];
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    for (int i = 0; i < COUNT; i++) {
        snprintf(addresses[i], sizeof addresses[i], "%s:8300", all[i].address);
        servers[i].id = str_from(all[i].id);
        servers[i].address = str_from(addresses[i]);
    }
    task->ok = raft_driver_bootstrap(server_driver(all[0].s), servers, COUNT, &e);
    arena_free(&arena);
    sem_post(&task->done);
}

/* Who leads and is ready, or -1 when nobody does in time. */
static int leader_wait(void) {
    for (int round = 0; round < 10000; round++) {
        for (int i = 0; i < COUNT; i++) {
            if (all[i].s != NULL && server_is_leader(all[i].s))
                return i;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return -1;
}

/* All that run know the leader. */
static void leader_known(int leader) {
    char want[64], got[64];
    snprintf(want, sizeof want, "%s:8300", all[leader].address);
    for (int i = 0; i < COUNT; i++) {
        bool known = all[i].s == NULL;
        for (int round = 0; round < 5000 && !known; round++) {
            size_t len = server_leader_address(all[i].s, got);
            known = str_is(str_of(got, len), want);
            if (!known)
                nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        }
        assert_true(known);
    }
}

static void start(int i) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct server_options o = options_of(i);
    all[i].s = server_new(&o, &e);
    if (all[i].s == NULL || !server_start(all[i].s, &e))
        fail_msg("server: %.*s", STR_ARG(e.text));
    arena_free(&arena);
}

static int begin(void **state) {
    log_set_level(LOG_ERROR);
    snprintf(directory, sizeof directory, "/tmp/praetor-three-XXXXXX");
    assert_non_null(mkdtemp(directory));
    for (int i = 0; i < COUNT; i++) {
        snprintf(all[i].address, sizeof all[i].address, "127.64.3.%d", i + 1);
        snprintf(all[i].id, sizeof all[i].id, "adf4238a-882b-9ddc-4a9d-5b6758e4159%d", i);
        snprintf(all[i].name, sizeof all[i].name, "n%d", i + 1);
        snprintf(all[i].directory, sizeof all[i].directory, "%s/%d", directory, i);
        start(i);
    }
    struct bootstrap_task task = {.ok = false};
    sem_init(&task.done, 0, 0);
    assert_true(server_run_on_core(all[0].s, bootstrap_run, NULL, &task));
    sem_wait(&task.done);
    sem_destroy(&task.done);
    assert_true(task.ok);
    int leader = leader_wait();
    assert_true(leader >= 0);
    leader_known(leader);
    return 0;
}

static void stop(int i) {
    server_stop(all[i].s);
    server_free(all[i].s);
    all[i].s = NULL;
}

static int end(void **state) {
    for (int i = 0; i < COUNT; i++) {
        if (all[i].s != NULL)
            stop(i);
    }
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
    server = NULL;
    return 0;
}

/* The followers, in any order. */
static int other(int leader, int n) {
    return (leader + 1 + n) % COUNT;
}

/* ---- while all is well ---- */

static void test_writes_anywhere(void **state) {
    char key[32], value[64];
    int leader = leader_wait();
    for (int i = 0; i < COUNT; i++) {
        server = all[i].s;
        snprintf(key, sizeof key, "from/%d", i);
        kv_put(0, key, "x", "set");
        kv_put(1, key, "y", "set");
    }
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            server = all[j].s;
            snprintf(key, sizeof key, "from/%d", i);
            kv_read(0, key, value); /* asked of the leader: never older than the write */
            assert_string_equal(value, "y");
        }
    }
    /* Sessions, whose timers only the leader has. */
    server = all[other(leader, 0)].s;
    struct register_request node = {.node = STR("node"), .address = STR("10.0.0.1")};
    struct ask a;
    ask(&a, 0, &endpoint_catalog_register, &node);
    ask_end(&a);
    struct session_request create = {.op = STR("create"),
                                     .session = {.node = STR("node"), .ttl = STR("30s")}};
    struct answer *answer = ask(&a, 0, &endpoint_session_apply, &create);
    char id[40];
    snprintf(id, sizeof id, "%.*s", STR_ARG(*(struct str *)answer->reply));
    ask_end(&a);
    struct session_specific_request renew = {.session_id = str_from(id)};
    answer = ask(&a, 0, &endpoint_session_renew, &renew);
    struct indexed_sessions *renewed = answer->reply;
    assert_int_equal(renewed->sessions.len, 1);
    ask_end(&a);
}

static void test_who_answers(void **state) {
    int leader = leader_wait();
    struct key_request r = {.key = STR("who")};
    struct ask a;
    server = all[other(leader, 0)].s;
    kv_put(0, "who", "v", "set");
    struct answer *answer = ask(&a, 0, &endpoint_kvs_get, &r);
    assert_true(answer->remote && answer->meta.known_leader);
    assert_int_equal(answer->meta.last_contact, 0);
    ask_end(&a);
    r.options.require_consistent = true;
    answer = ask(&a, 0, &endpoint_kvs_get, &r);
    assert_true(answer->remote);
    ask_end(&a);
    r.options.require_consistent = false;
    r.options.allow_stale = true;
    answer = ask(&a, 0, &endpoint_kvs_get, &r);
    assert_true(!answer->remote && answer->meta.known_leader);
    assert_true(answer->meta.last_contact > 0);
    ask_end(&a);
    r.options.require_consistent = true;
    ask_error(0, &endpoint_kvs_get, &r, "node is not the leader");
    server = all[leader].s;
    answer = ask(&a, 0, &endpoint_kvs_get, &r);
    assert_false(answer->remote);
    ask_end(&a);
}

static void test_prefixes(void **state) {
    int leader = leader_wait();
    struct kvs_request bad = {.op = STR("set")};
    server = all[leader].s;
    ask_error(0, &endpoint_kvs_apply, &bad, "Must provide key");
    server = all[other(leader, 0)].s;
    ask_error(0, &endpoint_kvs_apply, &bad, "rpc error making call: Must provide key");
}

static void test_blocking_on_a_follower(void **state) {
    char value[64];
    int leader = leader_wait();
    for (int stale = 0; stale < 2; stale++) {
        server = all[other(leader, 0)].s;
        kv_put(0, "block", "1", "set");
        uint64_t index = kv_read(0, "block", value);
        struct key_request r = {.key = STR("block"),
                                .options = {.min_query_index = index, .allow_stale = stale != 0}};
        struct ask a;
        ask_start(&a, 0, &endpoint_kvs_get, &r);
        assert_null(ask_wait(&a, 50));
        server = all[other(leader, 1)].s;
        kv_put(0, "block", "2", "set");
        struct answer *answer = ask_wait(&a, 5000);
        assert_non_null(answer);
        assert_true(answer->meta.index > index && answer->remote == !stale);
        ask_end(&a);
    }
}

/* ---- snapshots ---- */

/* Saved through whom `server` is; returns the archive. */
static int save(struct snap *s, bool stale) {
    return snap(s, false, (struct snapshot_call){.archive = -1, .allow_stale = stale}, "");
}

static void test_snapshots(void **state) {
    char value[64];
    struct snap s, stale;
    int leader = leader_wait();
    server = all[other(leader, 0)].s;
    kv_put(0, "snap", "before", "set");
    save(&s, false);
    assert_true(s.call.elsewhere && s.call.meta.known_leader && s.call.meta.index > 0);
    kv_put(0, "snap", "after", "set");
    save(&stale, true);
    assert_true(!stale.call.elsewhere && stale.call.meta.known_leader);
    close(stale.call.result);
    int archive = s.call.result;
    server = all[other(leader, 1)].s;
    snap(&s, true, (struct snapshot_call){.archive = archive}, "");
    assert_true(s.call.elsewhere);
    close(archive);
    kv_read(0, "snap", value);
    assert_string_equal(value, "before");
}

/* ---- a restore that no majority has yet ---- */

struct archive_file {
    int fd;
    off_t at;
};

static ptrdiff_t archive_file_read(void *owner, char *out, size_t max, struct error *e) {
    struct archive_file *file = owner;
    ssize_t n = pread(file->fd, out, max, file->at);
    file->at += n > 0 ? n : 0;
    return n;
}

static struct raft_driver_restore *read_by[COUNT];

/* The followers take no snapshot from the leader, being busy with this archive, but listen. */
static void followers_busy(int leader, int archive) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    for (int n = 0; n < COUNT - 1; n++) {
        int i = other(leader, n);
        for (int round = 0; round < 15000 && read_by[i] == NULL; round++) {
            struct archive_file file = {.fd = archive};
            read_by[i] =
                raft_driver_restore_read(server_driver(all[i].s), archive_file_read, &file, &e);
            if (read_by[i] == NULL) /* a snapshot of before is still being taken over */
                nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        }
        assert_non_null(read_by[i]);
    }
    arena_free(&arena);
}

static void followers_free(void) {
    for (int i = 0; i < COUNT; i++) {
        raft_driver_restore_free(read_by[i]);
        read_by[i] = NULL;
    }
}

static int snapshot_index(struct server *s) {
    struct raft_driver_stat stats[RAFT_DRIVER_STATS];
    struct arena arena = ARENA_INIT;
    raft_driver_stats(server_driver(s), &arena, stats);
    int index = -1;
    for (size_t i = 0; i < RAFT_DRIVER_STATS; i++) {
        if (strcmp(stats[i].key, "last_snapshot_index") == 0)
            index = atoi(str_terminated(&arena, stats[i].value));
    }
    arena_free(&arena);
    assert_true(index >= 0);
    return index;
}

/* What was saved has the key as "before"; it has "after" now. The leader has put it into the log's
 * place when this returns, and waits for a majority to follow. */
static void restore_start(struct snap *s, int leader) {
    server = all[leader].s;
    kv_put(0, "snap", "before", "set");
    save(s, false);
    kv_put(0, "snap", "after", "set");
    int archive = s->call.result;
    followers_busy(leader, archive);
    int index = snapshot_index(server);
    snap_start(s, true, (struct snapshot_call){.archive = archive});
    for (int round = 0; round < 15000 && snapshot_index(server) == index; round++)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    assert_true(snapshot_index(server) > index);
}

/* For want of a majority it may be lost: nobody has seen it. */
static void test_restore_not_committed(void **state) {
    char value[64];
    int leader = leader_wait();
    struct snap s;
    restore_start(&s, leader);
    struct key_request r = {.key = STR("snap")};
    struct key_request consistent = {.key = STR("snap"), .options = {.require_consistent = true}};
    struct ask waiting[2], a;
    for (unsigned thread = 0; thread < 2; thread++) {
        r.options.min_query_index = kv_read(thread, "snap", value);
        assert_string_equal(value, "after");
        ask_start(&waiting[thread], thread, &endpoint_kvs_get, &r);
        struct answer *answer = ask(&a, thread, &endpoint_kvs_get, &consistent);
        const struct indexed_dir_entries *reply = answer->reply;
        assert_true(str_is(LIST_AT(reply->entries, struct dir_entry *, 0)->value, "after"));
        ask_end(&a);
        assert_null(ask_wait(&waiting[thread], 50));
    }
    assert_int_not_equal(sem_trywait(&s.done), 0);
    followers_free();
    snap_wait(&s, "");
    close(s.call.archive);
    for (unsigned thread = 0; thread < 2; thread++) {
        kv_read(thread, "snap", value);
        assert_string_equal(value, "before");
        assert_non_null(ask_wait(&waiting[thread], 5000));
        ask_end(&waiting[thread]);
    }
}

/* Until a stale read has the value, which nothing else would show. */
static void stale_wait(const char *value) {
    struct key_request r = {.key = STR("snap"), .options = {.allow_stale = true}};
    bool there = false;
    for (int round = 0; round < 15000 && !there; round++) {
        struct ask a;
        struct answer *answer = ask(&a, 0, &endpoint_kvs_get, &r);
        const struct indexed_dir_entries *reply = answer->reply;
        there = reply->entries.len == 1 &&
                str_is(LIST_AT(reply->entries, struct dir_entry *, 0)->value, value);
        ask_end(&a);
        if (!there)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    assert_true(there);
}

/* Who no longer leads has it, as a follower has what comes from the leader; and gives it up when
 * the next leader knows nothing of it. */
static void test_restore_lost(void **state) {
    char value[64];
    int leader = leader_wait();
    struct snap s;
    restore_start(&s, leader);
    for (int n = 0; n < COUNT - 1; n++)
        server_stop(all[other(leader, n)].s);
    followers_free();
    for (int n = 0; n < COUNT - 1; n++)
        stop(other(leader, n));
    snap_wait(&s, "leadership lost while committing log");
    close(s.call.archive);
    stale_wait("before");
    stop(leader);
    for (int n = 0; n < COUNT - 1; n++)
        start(other(leader, n));
    assert_true(leader_wait() >= 0);
    server = all[other(leader, 0)].s;
    kv_read(0, "snap", value);
    assert_string_equal(value, "after");
    start(leader);
    server = all[leader].s;
    stale_wait("after");
    leader_known(leader_wait());
}

/* The leader ends meanwhile, with the one state in its store and the other behind its log. */
static void test_restore_not_finished(void **state) {
    char value[64];
    int leader = leader_wait();
    struct snap s;
    restore_start(&s, leader);
    server_stop(all[leader].s);
    followers_free();
    snap_wait(&s, "raft is already shutdown");
    close(s.call.archive);
    stop(leader);
    assert_true(leader_wait() >= 0);
    server = all[other(leader, 0)].s;
    kv_read(0, "snap", value);
    assert_string_equal(value, "after");
    start(leader);
    server = all[leader].s;
    stale_wait("after");
    leader_known(leader_wait());
}

/* ---- when the leader goes ---- */

static void test_the_leader_goes(void **state) {
    char value[64];
    int leader = leader_wait();
    int asked = other(leader, 0);
    server = all[asked].s;
    kv_put(0, "gone", "1", "set");
    uint64_t index = kv_read(0, "gone", value);
    struct key_request r = {.key = STR("gone"), .options = {.min_query_index = index}};
    struct ask a;
    ask_start(&a, 0, &endpoint_kvs_get, &r);
    assert_null(ask_wait(&a, 50));
    stop(leader);
    /* Who waits is told at once. */
    struct answer *answer = ask_wait(&a, 2000);
    assert_non_null(answer);
    char got[128];
    snprintf(got, sizeof got, "%.*s", STR_ARG(answer->error.text));
    ask_end(&a);
    assert_string_equal(got, "rpc error making call: EOF");
    /* Stale reads go on. */
    struct key_request stale = {.key = STR("gone"), .options = {.allow_stale = true}};
    answer = ask(&a, 0, &endpoint_kvs_get, &stale);
    assert_false(answer->remote);
    ask_end(&a);
    /* The next leader is found without anybody asking again. */
    for (;;) {
        char none[64];
        size_t len = server_leader_address(all[asked].s, none);
        char old[64];
        snprintf(old, sizeof old, "%s:8300", all[leader].address);
        if (!str_is(str_of(none, len), old))
            break;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    kv_put(0, "gone", "2", "set"); /* held meanwhile */
    kv_read(0, "gone", value);
    assert_string_equal(value, "2");
    leader = leader_wait();
    leader_known(leader);
}

static void test_no_quorum(void **state) {
    int leader = leader_wait();
    int left = -1;
    for (int i = 0; i < COUNT; i++) {
        if (i != leader && all[i].s != NULL)
            left = i;
    }
    stop(leader);
    server = all[left].s;
    char address[64];
    while (server_leader_address(server, address) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    struct key_request r = {.key = STR("gone")};
    int64_t before = time_now_monotonic();
    ask_error(0, &endpoint_kvs_get, &r, "No cluster leader");
    int64_t took = time_now_monotonic() - before;
    assert_true(took >= 5 * SECOND && took < 7 * SECOND);
    struct key_request stale = {.key = STR("gone"), .options = {.allow_stale = true}};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_kvs_get, &stale);
    assert_false(answer->meta.known_leader);
    ask_end(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_anywhere), cmocka_unit_test(test_who_answers),
        cmocka_unit_test(test_prefixes),        cmocka_unit_test(test_blocking_on_a_follower),
        cmocka_unit_test(test_snapshots),       cmocka_unit_test(test_restore_not_committed),
        cmocka_unit_test(test_restore_lost),    cmocka_unit_test(test_restore_not_finished),
        cmocka_unit_test(test_the_leader_goes), cmocka_unit_test(test_no_quorum),
    };
    return cmocka_run_group_tests(tests, begin, end);
}

/* The driver with a real disk, thread and store: one voter that elects itself, commits, restarts,
 * takes and restores snapshots, and loses nothing acknowledged when it is killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/random.h"
#include "server/archive.h"
#include "unit/server/driver_fixture.h"
#include "unit/vectors.h"

static void test_first_start(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    fixture_start(&f);
    /* Entry 1 is the configuration, 2 the leader's no-op: as with the peer. */
    assert_int_equal(put_key(&f, "a", STR("1")), 3);
    assert_int_equal(put_key(&f, "b", STR("2")), 4);
    assert_true(has_key(&f, "a", STR("1")));
    struct asked barrier = {.what = WHAT_BARRIER}, verify = {.what = WHAT_VERIFY};
    ask(&f, &barrier);
    assert_int_equal(barrier.kind, ERROR_NONE);
    assert_int_equal(barrier.index, 5);
    ask(&f, &verify);
    assert_int_equal(verify.kind, ERROR_NONE);
    assert_true(raft_driver_is_leader(f.driver));
    assert_int_equal(raft_driver_applied_index(f.driver), 5);
    assert_true(f.touched >= 1);
    char address[64];
    assert_int_equal(raft_driver_leader_address(f.driver, address), strlen("127.44.0.1:8300"));
    assert_string_equal(address, "127.44.0.1:8300");
    assert_string_equal(stat_of(&f, "state"), "Leader");
    assert_string_equal(stat_of(&f, "term"), "2");
    assert_string_equal(stat_of(&f, "commit_index"), "5");
    assert_string_equal(stat_of(&f, "last_contact"), "0");
    assert_string_equal(stat_of(&f, "num_peers"), "0");
    assert_string_equal(stat_of(&f, "latest_configuration"),
                        "[{Suffrage:Voter ID:11111111-1111-4111-8111-111111111111 "
                        "Address:127.44.0.1:8300}]");
    fixture_free(&f);
}

static void test_restart(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    fixture_start(&f);
    put_key(&f, "a", STR("1"));
    fixture_stop(&f);
    fixture_start(&f);
    assert_string_equal(stat_of(&f, "term"), "3");
    assert_true(has_key(&f, "a", STR("1")));
    assert_int_equal(put_key(&f, "b", STR("2")), 5);
    fixture_stop(&f);

    /* Without the store all of it comes from the log. */
    char state_dir[100];
    snprintf(state_dir, sizeof state_dir, "%s/state", f.dir);
    fixture_remove_dir(state_dir);
    fixture_start(&f);
    struct asked barrier = {.what = WHAT_BARRIER};
    ask(&f, &barrier);
    assert_true(has_key(&f, "a", STR("1")));
    assert_true(has_key(&f, "b", STR("2")));
    assert_int_equal(f.fatal, 0);
    fixture_free(&f);
}

static void test_chunks(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    fixture_start(&f);
    size_t len = 1200000;
    char *value = mem_alloc(len);
    memset(value, 'x', len);
    /* Three pieces; the answer is that of the last. */
    assert_int_equal(put_key(&f, "long", str_of(value, len)), 5);
    assert_true(has_key(&f, "long", str_of(value, len)));
    fixture_stop(&f);
    fixture_start(&f);
    assert_true(has_key(&f, "long", str_of(value, len)));
    mem_free(value);
    fixture_free(&f);
}

/* ---- many at once ---- */

struct burst {
    struct fixture *f;
    size_t count, done, refused;
    uint64_t last;
    bool in_order;
    struct raft_proposal *proposals;
    uv_sem_t all;
};

static void burst_done(struct raft_proposal *p, const struct raft_outcome *o) {
    struct burst *b = p->owner;
    if (o->error.kind != ERROR_NONE) {
        assert_true(str_is(o->error.text, "timed out enqueuing operation"));
        b->refused++;
    } else {
        b->in_order = b->in_order && o->index > b->last;
        b->last = o->index;
    }
    if (++b->done == b->count)
        uv_sem_post(&b->all);
}

static void burst_run(void *arg) {
    struct burst *b = arg;
    for (size_t i = 0; i < b->count; i++) {
        char key[32];
        snprintf(key, sizeof key, "burst/%06zu", i);
        b->proposals[i] = (struct raft_proposal){.done = burst_done, .owner = b};
        entry_kv_set(&b->proposals[i].entry, str_from(key), STR("some value"));
        raft_driver_propose(b->f->driver, &b->proposals[i]);
        assert_int_equal(b->done, 0); /* never inside the call */
    }
}

static void burst(struct fixture *f, struct burst *b, size_t count) {
    *b = (struct burst){.f = f, .count = count, .in_order = true};
    b->proposals = mem_zalloc(count, sizeof *b->proposals);
    uv_sem_init(&b->all, 0);
    fixture_on_core(f, burst_run, b);
    uv_sem_wait(&b->all);
    uv_sem_destroy(&b->all);
    mem_free(b->proposals);
}

static void test_many(void **state) {
    struct fixture f;
    struct burst b;
    fixture_options(&f, false);
    fixture_start(&f);
    burst(&f, &b, 10000);
    assert_int_equal(b.refused, 0);
    assert_true(b.in_order);
    assert_int_equal(b.last, 10002);
    assert_true(has_key(&f, "burst/009999", STR("some value")));
    fixture_free(&f);
}

/* The deletion of a tree is applied by a helper: in its place among the others, while the core goes
 * on; also when the driver is stopped in the middle. */
static void test_heavy(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    fixture_start(&f);
    char key[40];
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "tree/%03d", i);
        assert_true(put_key(&f, key, STR("x")) > 0);
    }
    for (int i = 0; i < 20; i++) {
        struct asked tree = {.what = WHAT_COMMAND};
        entry_kv(&tree.proposal.entry, "delete-tree", STR("tree/"), STR(""));
        struct asked after[3] = {0};
        for (int k = 0; k < 3; k++) {
            snprintf(key, sizeof key, "tree/after-%d", k);
            entry_kv_set(&after[k].proposal.entry, str_from(key), STR("y"));
            ask_begin(&f, &after[k], k == 0 ? &tree : NULL);
        }
        ask_end(&tree);
        for (int k = 0; k < 3; k++) {
            ask_end(&after[k]);
            assert_int_equal(after[k].index, tree.index + 1 + (uint64_t)k);
        }
        struct asked verify = {.what = WHAT_VERIFY};
        ask(&f, &verify);
        assert_false(has_key(&f, "tree/000", STR("x")));
        assert_true(has_key(&f, "tree/after-2", STR("y")));
    }
    assert_int_equal(f.fatal, 0);
    struct asked tree = {.what = WHAT_COMMAND};
    entry_kv(&tree.proposal.entry, "delete-tree", STR("tree/"), STR(""));
    ask_begin(&f, &tree, NULL);
    fixture_stop(&f);
    ask_end(&tree); /* with or without an error, but answered */
    fixture_start(&f);
    assert_int_equal(f.fatal, 0);
    fixture_free(&f);
}

static void test_limit(void **state) {
    struct fixture f;
    struct burst b;
    fixture_options(&f, false);
    f.options.max_in_flight_entries = 100;
    fixture_start(&f);
    burst(&f, &b, 1000);
    assert_int_equal(b.refused, 900);
    burst(&f, &b, 50); /* room again */
    assert_int_equal(b.refused, 0);
    fixture_free(&f);
}

static void test_stop_answers(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    fixture_start(&f);
    fixture_on_core(&f, fixture_stop_run, &f);
    struct asked a = {.what = WHAT_COMMAND};
    entry_kv_set(&a.proposal.entry, STR("k"), STR("v"));
    ask(&f, &a);
    assert_string_equal(a.text, "raft is already shutdown");
    fixture_free(&f);
}

static void test_lock(void **state) {
    struct fixture f, second;
    fixture_options(&f, false);
    fixture_options(&second, true);
    second.options.data_dir = str_from(f.dir);
    fixture_start(&f);
    struct error e = ERROR_IN(&second.arena);
    assert_false(fixture_open(&second, &e));
    assert_true(str_find(e.text, STR("in use by another process"), 0) >= 0);
    arena_free(&second.arena);
    fixture_free(&f);
}

static void test_foreign_data(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    char path[100];
    snprintf(path, sizeof path, "%s/raft", f.dir);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/raft/raft.db", f.dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    struct error e = ERROR_IN(&f.arena);
    assert_false(fixture_open(&f, &e));
    fixture_free(&f);
}

/* ---- membership, with nobody there to answer ---- */

static void test_membership(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    fixture_start(&f);
    struct asked add = {.what = WHAT_CHANGE,
                        .change = RAFT_DRIVER_ADD_NONVOTER,
                        .id = STR("22222222-2222-4222-8222-222222222222"),
                        .address = STR("127.44.0.2:8300")};
    ask(&f, &add); /* a nonvoter does not count: this commits */
    assert_int_equal(add.kind, ERROR_NONE);
    struct asked again = {.what = WHAT_CHANGE,
                          .change = RAFT_DRIVER_ADD_NONVOTER,
                          .id = STR("3"),
                          .address = STR("127.44.0.2:8300")};
    ask(&f, &again);
    assert_string_equal(again.text, "Found duplicate address in configuration: 127.44.0.2:8300");
    struct raft_driver_configuration c;
    raft_driver_configuration(f.driver, &f.arena, &c);
    assert_int_equal(c.len, 2);
    assert_int_equal(c.index, add.index);
    assert_true(c.servers[0].leader && !c.servers[1].leader);
    assert_int_equal(c.servers[1].suffrage, RAFT_DRIVER_NONVOTER);
    struct asked removal = {.what = WHAT_CHANGE,
                            .change = RAFT_DRIVER_REMOVE,
                            .id = STR("22222222-2222-4222-8222-222222222222")};
    ask(&f, &removal);
    assert_int_equal(removal.kind, ERROR_NONE);
    fixture_stop(&f);
    fixture_start(&f);
    raft_driver_configuration(f.driver, &f.arena, &c);
    assert_int_equal(c.len, 1);
    fixture_free(&f);
}

/* ---- snapshots ---- */

struct taken {
    struct fixture *f;
    struct raft_driver_snapshot *snapshot;
    char text[300];
    uv_sem_t done;
};

static void taken_done(void *owner, struct raft_driver_snapshot *snapshot, const struct error *e) {
    struct taken *t = owner;
    t->snapshot = snapshot;
    if (snapshot == NULL)
        snprintf(t->text, sizeof t->text, "%.*s", STR_ARG(e->text));
    uv_sem_post(&t->done);
}

static void taken_run(void *arg) {
    struct taken *t = arg;
    raft_driver_take_snapshot(t->f->driver, taken_done, t);
}

static void take(struct fixture *f, struct taken *t) {
    *t = (struct taken){.f = f};
    uv_sem_init(&t->done, 0);
    fixture_on_core(f, taken_run, t);
    uv_sem_wait(&t->done);
    uv_sem_destroy(&t->done);
}

static bool into_buf(void *owner, struct str bytes, struct error *e) {
    buf_add_str(owner, bytes);
    return true;
}

struct from_str {
    struct str rest;
};

static ptrdiff_t from_str(void *owner, char *out, size_t max, struct error *e) {
    struct from_str *s = owner;
    size_t n = s->rest.len < max ? s->rest.len : max;
    if (n > 0)
        memcpy(out, s->rest.data, n);
    s->rest = str_sub(s->rest, n, SIZE_MAX);
    return (ptrdiff_t)n;
}

struct restoring {
    struct fixture *f;
    struct raft_driver_restore *restore;
    struct asked asked;
};

static void restoring_run(void *arg) {
    struct restoring *r = arg;
    r->asked.proposal.done = asked_done;
    raft_driver_restore(r->f->driver, r->restore, &r->asked.proposal);
}

/* "" or the error. */
static const char *restore_archive(struct fixture *f, struct str archive, uint64_t *index) {
    struct error e = ERROR_IN(&f->arena);
    struct from_str source = {archive};
    struct restoring r = {.f = f};
    r.restore = raft_driver_restore_read(f->driver, from_str, &source, &e);
    if (r.restore == NULL)
        return str_terminated(&f->arena, e.text);
    uv_sem_init(&r.asked.done, 0);
    fixture_on_core(f, restoring_run, &r);
    uv_sem_wait(&r.asked.done);
    uv_sem_destroy(&r.asked.done);
    if (index != NULL)
        *index = r.asked.index;
    return str_terminated(&f->arena, str_from(r.asked.text));
}

static void snapshot_round_trip(bool dev) {
    struct fixture f, g;
    fixture_options(&f, dev);
    fixture_start(&f);
    struct taken t;
    take(&f, &t);
    assert_null(t.snapshot);
    assert_string_equal(t.text, "nothing new to snapshot");
    put_key(&f, "kept", STR("in the archive"));
    take(&f, &t);
    assert_non_null(t.snapshot);
    assert_int_equal(raft_driver_snapshot_index(t.snapshot), 3);
    assert_string_equal(stat_of(&f, "last_snapshot_index"), "3");
    put_key(&f, "kept", STR("changed"));
    struct buf archive = BUF_INIT;
    struct error e = ERROR_IN(&f.arena);
    assert_true(raft_driver_snapshot_pack(t.snapshot, into_buf, &archive, &e));
    raft_driver_snapshot_close(t.snapshot);

    /* Back into the same server: the old value, at a new index. */
    uint64_t index = 0;
    assert_string_equal(restore_archive(&f, buf_str(&archive), &index), "");
    assert_int_equal(index, 6); /* the no-op behind the state at 5 */
    assert_true(has_key(&f, "kept", STR("in the archive")));
    assert_int_equal(put_key(&f, "after", STR("x")), 7);
    if (!dev) {
        fixture_stop(&f);
        fixture_start(&f);
        assert_true(has_key(&f, "kept", STR("in the archive")));
        assert_true(has_key(&f, "after", STR("x")));
        char state_dir[100];
        snprintf(state_dir, sizeof state_dir, "%s/state", f.dir);
        fixture_stop(&f);
        fixture_remove_dir(state_dir);
        fixture_start(&f);
        struct asked barrier = {.what = WHAT_BARRIER};
        ask(&f, &barrier);
        assert_true(has_key(&f, "kept", STR("in the archive")));
        assert_true(has_key(&f, "after", STR("x")));
    }
    /* Into another server. */
    fixture_options(&g, !dev);
    fixture_start(&g);
    struct asked ready = {.what = WHAT_BARRIER};
    ask(&g, &ready);
    assert_string_equal(restore_archive(&g, buf_str(&archive), &index), "");
    assert_true(has_key(&g, "kept", STR("in the archive")));
    assert_int_equal(index, 5);
    buf_free(&archive);
    fixture_free(&g);
    fixture_free(&f);
}

static void test_snapshot(void **state) {
    snapshot_round_trip(false);
}
static void test_snapshot_dev(void **state) {
    snapshot_round_trip(true);
}

/* An archive of the peer, with every record type that it writes. */
static void test_restore_of_peer(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    fixture_start(&f);
    struct asked ready = {.what = WHAT_BARRIER};
    ask(&f, &ready);
    struct str archive = vectors_bytes(&f.arena, "fsm/full.snap");
    uint64_t index = 0;
    assert_string_equal(restore_archive(&f, archive, &index), "");
    assert_int_equal(index, 94); /* raft.md 4.9: the state has 93 */
    assert_int_equal(put_key(&f, "after", STR("x")), 95);
    struct taken t;
    take(&f, &t);
    assert_non_null(t.snapshot);
    assert_int_equal(raft_driver_snapshot_index(t.snapshot), 95);
    raft_driver_snapshot_close(t.snapshot);
    fixture_stop(&f);
    fixture_start(&f);
    assert_true(has_key(&f, "after", STR("x")));
    fixture_free(&f);
}

/* A state.bin that does not decode is refused before anything has changed. */
static void test_restore_bad_state(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    fixture_start(&f);
    put_key(&f, "k", STR("v"));
    struct buf archive = BUF_INIT;
    struct error e = ERROR_IN(&f.arena);
    struct raft_server self = {STR("id"), STR("address"), RAFT_VOTER};
    struct snapshot_meta meta = {
        .version = 1, .id = STR("2-9-9"), .index = 9, .term = 2, .size = 4};
    meta.configuration = raft_configuration_new(&self, 1);
    struct from_str bad = {STR("\x81\xa9La")};
    assert_true(archive_write(&meta, from_str, &bad, into_buf, &archive, &e));
    snapshot_meta_free(&meta);
    const char *text = restore_archive(&f, buf_str(&archive), NULL);
    assert_true(str_has_prefix(str_from(text), STR("Raft error when restoring snapshot: failed to "
                                                   "restore snapshot: ")));
    assert_true(has_key(&f, "k", STR("v")));
    assert_int_equal(put_key(&f, "k", STR("w")), 4);
    buf_free(&archive);
    fixture_free(&f);
}

/* The log is cut behind snapshots that are taken from time to time; a rebuild needs both. */
static void test_compaction(void **state) {
    struct fixture f;
    struct burst b;
    fixture_options(&f, false);
    f.options.snapshot_threshold = 500;
    f.options.trailing_logs = 100;
    f.options.snapshot_interval = 20 * MILLISECOND;
    fixture_start(&f);
    for (int i = 0; i < 5; i++) {
        burst(&f, &b, 1000);
        for (int k = 0; k < 2000; k++) {
            uint64_t at = strtoull(stat_of(&f, "last_snapshot_index"), NULL, 10);
            if (b.last - at < 500)
                break;
            usleep(5000);
        }
        assert_true(b.last - strtoull(stat_of(&f, "last_snapshot_index"), NULL, 10) < 500);
    }
    uint64_t last = put_key(&f, "last", STR("one"));
    assert_int_equal(last, b.last + 1);
    fixture_stop(&f);
    char path[100];
    snprintf(path, sizeof path, "%s/state", f.dir);
    fixture_remove_dir(path);
    fixture_start(&f);
    struct asked barrier = {.what = WHAT_BARRIER};
    ask(&f, &barrier);
    assert_true(has_key(&f, "last", STR("one")));
    assert_true(has_key(&f, "burst/000000", STR("some value")));
    assert_true(has_key(&f, "burst/000999", STR("some value")));
    fixture_free(&f);
}

/* The store has no room: nobody is told that a write is done, reads go on, and with a larger map
 * the next start applies what the log has kept. */
struct waiting {
    struct asked asked;
    _Atomic bool answered;
};

static void waiting_done(struct raft_proposal *p, const struct raft_outcome *o) {
    struct waiting *w = CONTAINER_OF(p, struct waiting, asked.proposal);
    snprintf(w->asked.text, sizeof w->asked.text, "%.*s", STR_ARG(o->error.text));
    w->answered = true;
}

static void waiting_run(void *arg) {
    struct waiting *w = arg;
    w->asked.proposal.done = waiting_done;
    raft_driver_propose(w->asked.f->driver, &w->asked.proposal);
}

static void test_store_is_full(void **state) {
    struct fixture f;
    fixture_options(&f, false);
    f.options.store.map_size = 1 << 20;
    fixture_start(&f);
    char value[100000] = {0}, key[32];
    struct waiting *w = NULL;
    int written = 0;
    for (;; written++) {
        w = mem_zalloc(1, sizeof *w);
        w->asked.f = &f;
        snprintf(key, sizeof key, "full/%d", written);
        entry_kv_set(&w->asked.proposal.entry, str_from(key), str_of(value, sizeof value));
        fixture_on_core(&f, waiting_run, w);
        for (int i = 0; i < 300 && !w->answered; i++)
            usleep(1000);
        if (!w->answered)
            break;
        assert_string_equal(w->asked.text, "");
        mem_free(w);
        assert_true(written < 20);
    }
    assert_true(written > 2);
    assert_true(has_key(&f, "full/0", str_of(value, sizeof value)));
    assert_int_equal(f.fatal, 0);
    fixture_stop(&f);
    assert_string_equal(w->asked.text, "raft is already shutdown");
    mem_free(w);
    f.options.store.map_size = 1 << 28;
    fixture_start(&f);
    struct asked barrier = {.what = WHAT_BARRIER};
    ask(&f, &barrier);
    assert_true(has_key(&f, key, str_of(value, sizeof value)));
    fixture_free(&f);
}

/* ---- kill -9 ---- */

/* Writes numbered keys, several at a time, and tells of each that was acknowledged. */
struct killed {
    struct fixture *f;
    int out;
    uint32_t next;
    struct raft_proposal slots[16];
    uint32_t numbers[16];
};

static void killed_propose(struct killed *k, size_t slot);

static void killed_done(struct raft_proposal *p, const struct raft_outcome *o) {
    struct killed *k = p->owner;
    size_t slot = (size_t)(p - k->slots);
    if (o->error.kind == ERROR_NONE)
        ASSERT(write(k->out, &k->numbers[slot], 4) == 4);
    killed_propose(k, slot);
}

static void killed_propose(struct killed *k, size_t slot) {
    char key[32];
    k->numbers[slot] = k->next++;
    snprintf(key, sizeof key, "killed/%u", k->numbers[slot]);
    k->slots[slot] = (struct raft_proposal){.done = killed_done, .owner = k};
    entry_kv_set(&k->slots[slot].entry, str_from(key), STR("acknowledged"));
    raft_driver_propose(k->f->driver, &k->slots[slot]);
}

static void killed_run(void *arg) {
    struct killed *k = arg;
    for (size_t i = 0; i < 16; i++)
        killed_propose(k, i);
}

static void child(struct fixture *f, int out, uint32_t from) {
    struct killed k = {.f = f, .out = out, .next = from};
    fixture_start(f);
    fixture_on_core(f, killed_run, &k);
    for (;;)
        pause();
}

static void test_kill(void **state) {
    struct fixture f;
    struct prng prng;
    const char *rounds = getenv("KILL_ROUNDS");
    int count = rounds != NULL ? atoi(rounds) : 12;
    prng_seed(&prng, 1);
    fixture_options(&f, false);
    f.options.snapshot_threshold = 300;
    f.options.trailing_logs = 50;
    f.options.snapshot_interval = 10 * MILLISECOND;
    uint32_t next = 0;
    static uint8_t acknowledged[1 << 22];
    for (int round = 0; round < count; round++) {
        int pipe_fds[2];
        assert_int_equal(0, pipe(pipe_fds));
        pid_t pid = fork();
        if (pid == 0) {
            close(pipe_fds[0]);
            child(&f, pipe_fds[1], next);
        }
        close(pipe_fds[1]);
        uint64_t wanted = prng_below(&prng, 600);
        uint32_t number;
        uint64_t got = 0;
        bool shot = false;
        while (read(pipe_fds[0], &number, 4) == 4) {
            acknowledged[number] = 1;
            if (number + 1 > next)
                next = number + 1;
            if (++got >= wanted && !shot) {
                kill(pid, SIGKILL);
                shot = true;
            }
        }
        close(pipe_fds[0]);
        waitpid(pid, NULL, 0);
        next += 16; /* numbers of the killed one that were not acknowledged are not used again */

        if (round % 4 == 3) { /* as after a power loss: only log and snapshots are there */
            char path[100];
            snprintf(path, sizeof path, "%s/state", f.dir);
            fixture_remove_dir(path);
        }
        fixture_start(&f);
        struct asked barrier = {.what = WHAT_BARRIER};
        ask(&f, &barrier);
        for (uint32_t i = 0; i < next; i++) {
            char key[32];
            snprintf(key, sizeof key, "killed/%u", i);
            if (acknowledged[i] && !has_key(&f, key, STR("acknowledged"))) {
                print_error("round %d: key %u of %u is lost\n", round, i, next);
                fail();
            }
        }
        fixture_stop(&f);
    }
    fixture_free(&f);
}

int main(void) {
    log_set_stdout(getenv("DRIVER_LOG") != NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_start),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_heavy),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_stop_answers),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_foreign_data),
        cmocka_unit_test(test_membership),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_snapshot_dev),
        cmocka_unit_test(test_restore_of_peer),
        cmocka_unit_test(test_restore_bad_state),
        cmocka_unit_test(test_compaction),
        cmocka_unit_test(test_store_is_full),
        cmocka_unit_test(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

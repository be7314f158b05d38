/* A driver on a core loop of its own, for tests: synchronous calls from the test's thread. */
#ifndef PRAETOR_TESTS_DRIVER_FIXTURE_H
#define PRAETOR_TESTS_DRIVER_FIXTURE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/msgpack.h"
#include "server/raft_driver.h"
#include "store/kv.h"

struct fixture {
    struct loop core;
    struct raft_driver *driver;
    struct store *store;
    char dir[64];
    struct arena arena;
    uv_sem_t leader;
    _Atomic unsigned touched, established, revoked, fatal;
    struct raft_driver_options options;
};

static inline void fixture_on_leader(void *owner, bool leader, uint64_t term) {
    struct fixture *f = owner;
    (void)term;
    if (leader) {
        f->established++;
        uv_sem_post(&f->leader);
    } else {
        f->revoked++;
    }
}

static inline void fixture_on_touched(void *owner, struct watch_touched *touched) {
    struct fixture *f = owner;
    f->touched++;
    watch_touched_release(touched);
}

static inline void fixture_on_fatal(void *owner, struct str text) {
    struct fixture *f = owner;
    f->fatal++;
    fprintf(stderr, "fatal: %.*s\n", STR_ARG(text));
}

struct fixture_task {
    struct message message;
    void (*fn)(void *arg);
    void *arg;
    uv_sem_t done;
};

static inline void fixture_task_run(struct message *m) {
    struct fixture_task *t = CONTAINER_OF(m, struct fixture_task, message);
    t->fn(t->arg);
    uv_sem_post(&t->done);
}

static inline void fixture_on_core(struct fixture *f, void (*fn)(void *), void *arg) {
    struct fixture_task t = {.message = {.run = fixture_task_run}, .fn = fn, .arg = arg};
    uv_sem_init(&t.done, 0);
    ASSERT(loop_post(&f->core, &t.message));
    uv_sem_wait(&t.done);
    uv_sem_destroy(&t.done);
}

static inline void fixture_options(struct fixture *f, bool dev) {
    memset(f, 0, sizeof *f);
    if (!dev) {
        strcpy(f->dir, "/tmp/praetor-driver-XXXXXX");
        ASSERT(mkdtemp(f->dir) != NULL);
    }
    f->options = (struct raft_driver_options){
        .data_dir = dev ? STR_NONE : str_from(f->dir),
        .id = STR("11111111-1111-4111-8111-111111111111"),
        .address = STR("127.44.0.1:8300"),
        .bootstrap = true,
        .dev_timing = true,
        .store = {.map_size = (uint64_t)1 << 30},
        .owner = f,
        .on_leader = fixture_on_leader,
        .on_touched = fixture_on_touched,
        .on_fatal = fixture_on_fatal,
    };
}

static inline void fixture_start_run(void *arg) {
    struct fixture *f = arg;
    struct error e = ERROR_IN(&f->arena);
    if (!raft_driver_start(f->driver, &f->core, &e)) {
        fprintf(stderr, "%.*s\n", STR_ARG(e.text));
        abort();
    }
}

static inline bool fixture_open(struct fixture *f, struct error *e) {
    f->driver = raft_driver_open(&f->options, e);
    f->store = f->driver != NULL ? raft_driver_store(f->driver) : NULL;
    return f->driver != NULL;
}

/* Opens and starts. */
static inline void fixture_begin(struct fixture *f) {
    struct error e = ERROR_IN(&f->arena);
    if (!fixture_open(f, &e)) {
        fprintf(stderr, "%.*s\n", STR_ARG(e.text));
        abort();
    }
    uv_sem_init(&f->leader, 0);
    ASSERT(loop_init(&f->core, "core", 100000, &e) && loop_start(&f->core, &e));
    fixture_on_core(f, fixture_start_run, f);
}

/* The same, and waits until it leads. */
static inline void fixture_start(struct fixture *f) {
    fixture_begin(f);
    uv_sem_wait(&f->leader);
}

static inline void fixture_stop_run(void *arg) {
    raft_driver_stop(((struct fixture *)arg)->driver);
}

static inline void fixture_stop(struct fixture *f) {
    fixture_on_core(f, fixture_stop_run, f);
    loop_stop(&f->core);
    loop_join(&f->core);
    loop_free(&f->core);
    raft_driver_free(f->driver);
    uv_sem_destroy(&f->leader);
    f->driver = NULL;
}

static inline int fixture_remove(const char *path, const struct stat *st, int flag, struct FTW *w) {
    (void)st;
    (void)flag;
    (void)w;
    return remove(path);
}

static inline void fixture_remove_dir(const char *path) {
    nftw(path, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_free(struct fixture *f) {
    if (f->driver != NULL)
        fixture_stop(f);
    if (f->dir[0] != 0)
        fixture_remove_dir(f->dir);
    arena_free(&f->arena);
}

/* ---- entries ---- */

static inline void entry_kv(struct buf *out, const char *operation, struct str key,
                            struct str value) {
    buf_add_char(out, 2);
    msgpack_write_map(out, 4);
    msgpack_write_text(out, "Datacenter");
    msgpack_write_text(out, "dc1");
    msgpack_write_text(out, "DirEnt");
    msgpack_write_map(out, 7);
    msgpack_write_text(out, "CreateIndex");
    msgpack_write_u64(out, 0);
    msgpack_write_text(out, "Flags");
    msgpack_write_u64(out, 0);
    msgpack_write_text(out, "Key");
    msgpack_write_str(out, key);
    msgpack_write_text(out, "LockIndex");
    msgpack_write_u64(out, 0);
    msgpack_write_text(out, "ModifyIndex");
    msgpack_write_u64(out, 0);
    msgpack_write_text(out, "Session");
    msgpack_write_text(out, "");
    msgpack_write_text(out, "Value");
    msgpack_write_str(out, value);
    msgpack_write_text(out, "Op");
    msgpack_write_text(out, operation);
    msgpack_write_text(out, "Token");
    msgpack_write_text(out, "");
}

static inline void entry_kv_set(struct buf *out, struct str key, struct str value) {
    entry_kv(out, "set", key, value);
}

/* ---- one proposal, waited for ---- */

enum what { WHAT_COMMAND, WHAT_BARRIER, WHAT_VERIFY, WHAT_CHANGE, WHAT_TRANSFER };
struct asked {
    struct fixture *f;
    struct asked *before; /* to be proposed in the same round, before this one */
    enum what what;
    struct raft_proposal proposal;
    uv_sem_t done;
    uint64_t index;
    enum error_kind kind;
    char text[300];
    enum store_result_kind result;
    /* CHANGE */
    enum raft_driver_change change;
    struct str id, address;
};

static inline void asked_done(struct raft_proposal *p, const struct raft_outcome *o) {
    struct asked *a = CONTAINER_OF(p, struct asked, proposal);
    a->index = o->index;
    a->kind = o->error.kind;
    snprintf(a->text, sizeof a->text, "%.*s", STR_ARG(o->error.text));
    if (o->result != NULL)
        a->result = o->result->kind;
    uv_sem_post(&a->done);
}

static inline void asked_run(void *arg) {
    struct asked *a = arg;
    if (a->before != NULL)
        asked_run(a->before);
    a->proposal.done = asked_done;
    if (a->what == WHAT_COMMAND)
        raft_driver_propose(a->f->driver, &a->proposal);
    else if (a->what == WHAT_BARRIER)
        raft_driver_barrier(a->f->driver, &a->proposal);
    else if (a->what == WHAT_VERIFY)
        raft_driver_verify_leader(a->f->driver, &a->proposal);
    else if (a->what == WHAT_TRANSFER)
        raft_driver_transfer(a->f->driver, &a->proposal, a->id);
    else
        raft_driver_change_membership(a->f->driver, &a->proposal, a->change, a->id, a->address, 0);
}

static inline void ask_begin(struct fixture *f, struct asked *a, struct asked *before) {
    a->f = f;
    a->before = before;
    uv_sem_init(&a->done, 0);
    if (before != NULL) {
        before->f = f;
        uv_sem_init(&before->done, 0);
    }
    fixture_on_core(f, asked_run, a);
}

static inline void ask_end(struct asked *a) {
    uv_sem_wait(&a->done);
    uv_sem_destroy(&a->done);
}

static inline void ask(struct fixture *f, struct asked *a) {
    ask_begin(f, a, NULL);
    ask_end(a);
}

/* The index of the entry; 0 when it failed. */
static inline uint64_t put_key(struct fixture *f, const char *key, struct str value) {
    struct asked a = {.what = WHAT_COMMAND};
    entry_kv_set(&a.proposal.entry, str_from(key), value);
    ask(f, &a);
    return a.kind == ERROR_NONE ? a.index : 0;
}

static inline bool has_key(struct fixture *f, const char *key, struct str value) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    struct dir_entry *entry = NULL;
    ASSERT(store_read_begin(f->store, &r, &arena, NULL, &e));
    (void)kv_get(&r, str_from(key), &entry);
    store_read_end(&r);
    bool same = entry != NULL && str_eq(entry->value, value);
    arena_free(&arena);
    return same;
}

static inline const char *stat_of(struct fixture *f, const char *key) {
    struct raft_driver_stat stats[RAFT_DRIVER_STATS];
    raft_driver_stats(f->driver, &f->arena, stats);
    for (size_t i = 0; i < RAFT_DRIVER_STATS; i++) {
        if (strcmp(stats[i].key, key) == 0)
            return str_terminated(&f->arena, stats[i].value);
    }
    return "?";
}

#endif

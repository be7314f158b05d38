/* A Raft driver for tests of calls: a real in-memory store, no log, no disk, and leadership, delays
 * and failures at the test's command. It takes the place of server/raft_driver.c, which then is not
 * linked. Everything runs on the core loop, through messages.
 */
#ifndef TEST_SERVER_FAKE_DRIVER_H
#define TEST_SERVER_FAKE_DRIVER_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"
#include "server/raft_driver.h"

struct raft_driver {
    struct raft_driver_options options;
    char id[64], address[80];
    struct store *store;
    struct loop *core;
    struct raft_proposal *first, **end;
    struct message message;
    bool posted;
    bool stopped;
    uint64_t index;
    atomic_bool leader;
    atomic_bool contact;
    atomic_bool hold;   /* nothing is applied for now */
    atomic_bool refuse; /* proposals of commands fail */
    atomic_int batches;
};

static struct raft_driver *fake; /* the one that a test has */
static bool fake_start_as_leader = true;

enum { FAKE_COMMAND, FAKE_BARRIER, FAKE_VERIFY };

static inline void fake_answer(struct raft_driver *d, struct raft_proposal *p,
                               const struct store_result *result, const char *error) {
    struct arena arena = ARENA_INIT;
    struct raft_outcome outcome = {
        .index = p->index, .term = 1, .result = result, .error = ERROR_IN(&arena)};
    if (error != NULL) {
        outcome.result = NULL;
        error_set(&outcome.error, ERROR_NO_LEADER, "%s", error);
    }
    buf_free(&p->entry);
    p->done(p, &outcome);
    arena_free(&arena);
}

static inline void fake_apply(struct raft_driver *d, struct raft_proposal *list) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    static struct store_result results[4096];
    size_t n = 0;
    store_set_clock(d->store, time_now_wall());
    struct store_batch *b = store_batch_begin(d->store, &e);
    ASSERT(b != NULL);
    for (struct raft_proposal *p = list; p != NULL; p = p->next) {
        ASSERT(n < 4096);
        if (p->kind == FAKE_COMMAND) {
            p->index = ++d->index;
            bool ok = store_apply(b, p->index, 1, buf_str(&p->entry), STR_NONE, &results[n], &e);
            if (!ok) {
                fprintf(stderr, "apply: %.*s\n", STR_ARG(e.text));
                abort();
            }
        } else if (p->kind == FAKE_BARRIER) {
            p->index = ++d->index;
            store_advance(b, p->index, 1);
        }
        n++;
    }
    struct watch_touched *touched = NULL;
    ASSERT(store_batch_commit(b, &touched, &e));
    atomic_fetch_add(&d->batches, 1);
    d->options.on_touched(d->options.owner, touched);
    n = 0;
    for (struct raft_proposal *p = list, *next; p != NULL; p = next) {
        next = p->next;
        fake_answer(d, p, p->kind == FAKE_COMMAND ? &results[n] : NULL, NULL);
        n++;
    }
    arena_free(&arena);
}

static inline void fake_run(struct message *m) {
    struct raft_driver *d = CONTAINER_OF(m, struct raft_driver, message);
    d->posted = false;
    if (atomic_load(&d->hold) && !d->stopped) {
        return;
    }
    struct raft_proposal *list = d->first;
    d->first = NULL;
    d->end = &d->first;
    if (list != NULL && (d->stopped || !atomic_load(&d->leader))) {
        const char *text = d->stopped ? "raft is already shutdown" : "node is not the leader";
        for (struct raft_proposal *next; list != NULL; list = next) {
            next = list->next;
            fake_answer(d, list, NULL, text);
        }
    } else if (list != NULL) {
        fake_apply(d, list);
    }
}

static inline void fake_kick(struct raft_driver *d) {
    if (!d->posted) {
        d->posted = true;
        d->message.run = fake_run;
        loop_post_reply(d->core, &d->message);
    }
}

static inline void fake_add(struct raft_driver *d, struct raft_proposal *p, uint8_t kind) {
    p->kind = kind;
    p->next = NULL;
    *d->end = p;
    d->end = &p->next;
    fake_kick(d);
}

/* ---- the driver's interface ---- */

struct raft_driver *raft_driver_open(const struct raft_driver_options *options, struct error *e) {
    struct raft_driver *d = MEM_NEW(struct raft_driver);
    d->options = *options;
    snprintf(d->id, sizeof d->id, "%.*s", STR_ARG(options->id));
    snprintf(d->address, sizeof d->address, "%.*s", STR_ARG(options->address));
    struct store_options store = options->store;
    store.memory_only = true;
    d->store = store_open(&store, e);
    d->end = &d->first;
    fake = d;
    return d->store != NULL ? d : NULL;
}

struct store *raft_driver_store(struct raft_driver *d) {
    return d->store;
}

static inline void fake_lead(bool leader) {
    atomic_store(&fake->leader, leader);
    if (leader)
        atomic_store(&fake->contact, true);
    fake->options.on_leader(fake->options.owner, leader, 1);
    fake->options.on_leader_address(fake->options.owner, STR(""));
}

struct fake_message {
    struct message message;
    bool leader;
};

static inline void fake_lead_run(struct message *m) {
    struct fake_message *f = CONTAINER_OF(m, struct fake_message, message);
    fake_lead(f->leader);
    mem_free(f);
}

/* From the test's thread. */
static inline void fake_set_leader(bool leader) {
    struct fake_message *f = MEM_NEW(struct fake_message);
    f->message.run = fake_lead_run;
    f->leader = leader;
    loop_post_reply(fake->core, &f->message);
}

static inline void fake_kick_run(struct message *m) {
    mem_free(CONTAINER_OF(m, struct fake_message, message));
    fake_kick(fake);
}

static inline void fake_set_hold(bool hold) {
    atomic_store(&fake->hold, hold);
    struct fake_message *f = MEM_NEW(struct fake_message);
    f->message.run = fake_kick_run;
    loop_post_reply(fake->core, &f->message);
}

static inline void fake_restored_run(struct message *m) {
    mem_free(CONTAINER_OF(m, struct fake_message, message));
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_batch *b = store_batch_begin(fake->store, &e);
    store_advance(b, ++fake->index, 1);
    ASSERT(store_batch_commit(b, NULL, &e));
    arena_free(&arena);
    struct watch_touched *t = watch_touched_new();
    watch_touched_add(t, WATCH_ALL, STR(""));
    watch_touched_set_version(t, store_version(fake->store));
    fake->options.on_touched(fake->options.owner, t);
}

/* Tells everybody that the state was replaced (by the same). */
static inline void fake_say_restored(void) {
    struct fake_message *f = MEM_NEW(struct fake_message);
    f->message.run = fake_restored_run;
    loop_post_reply(fake->core, &f->message);
}

bool raft_driver_start(struct raft_driver *d, struct loop *core, struct error *e) {
    d->core = core;
    if (fake_start_as_leader)
        fake_set_leader(true);
    return true;
}

void raft_driver_stop(struct raft_driver *d) {
    d->stopped = true;
    d->posted = true;
    fake_run(&d->message);
}

void raft_driver_free(struct raft_driver *d) {
    store_close(d->store);
    mem_free(d);
    fake = NULL;
}

void raft_driver_propose(struct raft_driver *d, struct raft_proposal *p) {
    fake_add(d, p, FAKE_COMMAND);
}
void raft_driver_barrier(struct raft_driver *d, struct raft_proposal *p) {
    fake_add(d, p, FAKE_BARRIER);
}
void raft_driver_verify_leader(struct raft_driver *d, struct raft_proposal *p) {
    fake_add(d, p, FAKE_VERIFY);
}

void raft_driver_configuration(const struct raft_driver *d, struct arena *arena,
                               struct raft_driver_configuration *out) {
    out->index = 1;
    out->len = 1;
    out->servers = ARENA_NEW(arena, struct raft_driver_server);
    *out->servers = (struct raft_driver_server){
        .id = str_from(d->id), .address = str_from(d->address), .leader = atomic_load(&d->leader)};
}
bool raft_driver_any_unapplied(const struct raft_driver *d, raft_driver_entry_test *test,
                               void *arg) {
    return false;
}
bool raft_driver_is_leader(const struct raft_driver *d) {
    return atomic_load(&d->leader);
}
uint64_t raft_driver_term(const struct raft_driver *d) {
    return 1;
}
uint64_t raft_driver_applied_index(const struct raft_driver *d) {
    return d->index;
}
uint64_t raft_driver_last_index(const struct raft_driver *d) {
    return d->index;
}
int64_t raft_driver_last_contact(const struct raft_driver *d) {
    return atomic_load(&d->contact) ? 0 : -1;
}
size_t raft_driver_leader_address(const struct raft_driver *d, char out[64]) {
    return atomic_load(&d->leader) ? (size_t)snprintf(out, 64, "%s", d->address) : 0;
}
void raft_driver_take_snapshot(struct raft_driver *d,
                               void (*done)(void *, struct raft_driver_snapshot *,
                                            const struct error *),
                               void *owner) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    error_set(&e, ERROR_INTERNAL, "nothing new to snapshot");
    done(owner, NULL, &e);
    arena_free(&arena);
}
uint64_t raft_driver_snapshot_index(const struct raft_driver_snapshot *s) {
    return 0;
}
bool raft_driver_snapshot_pack(struct raft_driver_snapshot *s,
                               bool (*sink)(void *, struct str, struct error *), void *owner,
                               struct error *e) {
    return false;
}
void raft_driver_snapshot_close(struct raft_driver_snapshot *s) {}
struct raft_driver_restore *raft_driver_restore_read(struct raft_driver *d,
                                                     ptrdiff_t (*source)(void *, char *, size_t,
                                                                         struct error *),
                                                     void *owner, struct error *e) {
    error_set(e, ERROR_INTERNAL, "failed to decompress snapshot: EOF");
    return NULL;
}
void raft_driver_restore(struct raft_driver *d, struct raft_driver_restore *r,
                         struct raft_proposal *p) {
    abort();
}
void raft_driver_restore_free(struct raft_driver_restore *r) {}

/* ---- other servers: there are none ---- */

void raft_driver_accept(struct raft_driver *d, struct stream_detached *connection, const char *from,
                        void (*closed)(void *owner), void *owner) {
    stream_detached_drop(connection);
    if (closed != NULL)
        closed(owner);
}
void raft_driver_change_membership(struct raft_driver *d, struct raft_proposal *p,
                                   enum raft_driver_change change, struct str id,
                                   struct str address, uint64_t previous_index) {
    fake_answer(d, p, NULL, "node is not the leader");
}
bool raft_driver_bootstrap(struct raft_driver *d, const struct raft_driver_server *servers,
                           size_t count, struct error *e) {
    return error_set(e, ERROR_INTERNAL, "bootstrap only works on new clusters");
}
bool raft_driver_has_state(const struct raft_driver *d) {
    return true;
}
uint64_t raft_driver_last_term(const struct raft_driver *d) {
    return 1;
}

#endif

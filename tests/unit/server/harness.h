/* For tests of server/: a server, and calls that a test starts on its I/O threads and waits for. */
#ifndef TEST_SERVER_HARNESS_H
#define TEST_SERVER_HARNESS_H

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/endpoints.h"
#include "server/server.h"

static struct server *server;

static struct server_options harness_options(void) {
    return (struct server_options){.node_name = STR("n1"),
                                   .node_id = STR("adf4238a-882b-9ddc-4a9d-5b6758e4159e"),
                                   .datacenter = STR("dc1"),
                                   .dev_mode = true,
                                   .bootstrap = true,
                                   .advertise_address = STR("127.46.0.9"),
                                   .server_port = 8300,
                                   .io_threads = 2,
                                   .rpc_hold_timeout = 2 * SECOND,
                                   .session_ttl_min = 10 * MILLISECOND};
}

static inline void server_begin(const struct server_options *options) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    log_set_level(LOG_WARN);
    server = server_new(options, &e);
    if (server == NULL || !server_start(server, &e)) {
        fail_msg("server: %.*s", STR_ARG(e.text));
    }
    arena_free(&arena);
}

static inline void server_end(void) {
    server_stop(server);
    server_free(server);
    server = NULL;
}

/* ---- one call ---- */

struct ask {
    struct call call;
    struct arena arena; /* of the call */
    struct message message, cancel;
    struct server *server; /* which `server` was when it was started */
    struct loop *loop;
    sem_t done;
    int64_t started, answered;
    atomic_bool cancelled;
};

static inline void ask_done(struct call *c) {
    struct ask *a = c->owner;
    a->answered = time_now_monotonic();
    sem_post(&a->done);
}

static inline void ask_run(struct message *m) {
    struct ask *a = CONTAINER_OF(m, struct ask, message);
    call_start(a->server, &a->call);
}

/* ask_start without the last step: ask_run, on that thread. */
static inline void ask_prepare(struct ask *a, unsigned thread, const struct endpoint *endpoint,
                               void *request) {
    memset(&a->call, 0, sizeof a->call);
    a->arena = ARENA_INIT;
    a->call.arena = &a->arena;
    a->call.endpoint = endpoint;
    a->call.request = request;
    a->call.done = ask_done;
    a->call.owner = a;
    a->cancelled = false;
    a->server = server;
    a->loop = thread == 99 ? server_core(server) : server_io(server, thread);
    a->message.run = ask_run;
    sem_init(&a->done, 0, 0);
    a->started = time_now_monotonic();
}

static inline void ask_start(struct ask *a, unsigned thread, const struct endpoint *endpoint,
                             void *request) {
    ask_prepare(a, thread, endpoint, request);
    loop_post_reply(a->loop, &a->message);
}

static inline bool sem_wait_ms(sem_t *sem, int ms) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    while (sem_timedwait(sem, &at) != 0) {
        if (errno != EINTR)
            return false;
    }
    return true;
}

/* NULL when it did not come in time. */
static inline struct answer *ask_wait(struct ask *a, int ms) {
    return sem_wait_ms(&a->done, ms) ? a->call.answer : NULL;
}

static inline void ask_release_run(struct message *m) {
    struct ask *a = CONTAINER_OF(m, struct ask, message);
    answer_release(a->call.answer);
    a->call.answer = NULL;
    sem_post(&a->done);
}

/* After ask_wait: gives the answer back on its thread. */
static inline void ask_end(struct ask *a) {
    while (sem_trywait(&a->done) == 0)
        continue;
    a->message.run = ask_release_run;
    loop_post_reply(a->loop, &a->message);
    sem_wait(&a->done);
    sem_destroy(&a->done);
    arena_free(&a->arena);
}

static inline void ask_freed(void *owner) {
    struct ask *a = owner;
    a->cancelled = true;
    sem_post(&a->done);
}

static inline void ask_cancel_run(struct message *m) {
    struct ask *a = CONTAINER_OF(m, struct ask, cancel);
    call_cancel(&a->call, ask_freed);
}

static inline void ask_cancel(struct ask *a) {
    a->cancel.run = ask_cancel_run;
    loop_post_reply(a->loop, &a->cancel);
}

/* Starts, waits, and checks that there is no error; the caller ends it. */
static inline struct answer *ask(struct ask *a, unsigned thread, const struct endpoint *endpoint,
                                 void *request) {
    ask_start(a, thread, endpoint, request);
    struct answer *answer = ask_wait(a, 10000);
    if (answer == NULL)
        fail_msg("%s: no answer", endpoint->name);
    if (error_is_set(&answer->error)) {
        fail_msg("%s: %.*s", endpoint->name, STR_ARG(answer->error.text));
    }
    return answer;
}

static inline void ask_error(unsigned thread, const struct endpoint *endpoint, void *request,
                             const char *text) {
    struct ask a;
    ask_start(&a, thread, endpoint, request);
    struct answer *answer = ask_wait(&a, 10000);
    if (answer == NULL)
        fail_msg("%s: no answer", endpoint->name);
    char got[2048];
    snprintf(got, sizeof got, "%.*s", STR_ARG(answer->error.text));
    ask_end(&a);
    assert_string_equal(got, text);
}

/* ---- a snapshot: saved, or restored from an archive ---- */

struct snap {
    struct snapshot_call call;
    bool restore;
    struct server *server; /* which `server` was when it was started */
    struct message message;
    sem_t done;
};

static inline void snap_done(struct snapshot_call *c) {
    sem_post(&((struct snap *)c->owner)->done);
}

static inline void snap_run(struct message *m) {
    struct snap *s = CONTAINER_OF(m, struct snap, message);
    (s->restore ? server_snapshot_restore : server_snapshot_save)(s->server, &s->call);
}

/* how: what of the call differs from a plain one. */
static inline void snap_start(struct snap *s, bool restore, struct snapshot_call how) {
    *s = (struct snap){
        .call = how, .restore = restore, .server = server, .message = {.run = snap_run}};
    s->call.done = snap_done;
    s->call.owner = s;
    sem_init(&s->done, 0, 0);
    loop_post_reply(server_io(server, 0), &s->message);
}

/* Returns the call's error in text[512]; "": it went well. */
static inline void snap_result(struct snap *s, char text[512]) {
    if (!sem_wait_ms(&s->done, 30000))
        fail_msg("snapshot: no answer");
    snprintf(text, 512, STR_FMT, STR_ARG(s->call.error.text));
    sem_destroy(&s->done);
    arena_free(&s->call.arena);
}

static inline void snap_wait(struct snap *s, const char *error) {
    char text[512];
    snap_result(s, text);
    assert_string_equal(text, error);
}

/* Returns the archive of one that is saved; the caller's to close. */
static inline int snap(struct snap *s, bool restore, struct snapshot_call how, const char *error) {
    snap_start(s, restore, how);
    snap_wait(s, error);
    return s->call.result;
}

/* ---- the commonest ---- */

static inline bool kv_put(unsigned thread, const char *key, const char *value, const char *op) {
    struct kvs_request r = {.dir_ent = {.key = str_from(key), .value = str_from(value)},
                            .op = str_from(op)};
    struct ask a;
    struct answer *answer = ask(&a, thread, &endpoint_kvs_apply, &r);
    bool result = *(bool *)answer->reply;
    ask_end(&a);
    return result;
}

/* Returns the index; value: "" when there is none. */
static inline uint64_t kv_read(unsigned thread, const char *key, char value[64]) {
    struct key_request r = {.key = str_from(key)};
    struct ask a;
    struct answer *answer = ask(&a, thread, &endpoint_kvs_get, &r);
    struct indexed_dir_entries *reply = answer->reply;
    value[0] = 0;
    if (reply->entries.len == 1) {
        snprintf(value, 64, "%.*s", STR_ARG(LIST_AT(reply->entries, struct dir_entry *, 0)->value));
    }
    uint64_t index = answer->meta.index;
    ask_end(&a);
    return index;
}

/* Until the leader's own entries are in: its node is in the catalog. */
static inline void server_settle(void) {
    for (int i = 0; i < 1000; i++) {
        struct node_request r = {.node = STR("n1")};
        struct ask a;
        struct answer *answer = ask(&a, 0, &endpoint_health_node_checks, &r);
        struct indexed_health_checks *reply = answer->reply;
        bool there = reply->health_checks.len > 0;
        ask_end(&a);
        if (there)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    fail_msg("the leader did not register itself");
}

#endif

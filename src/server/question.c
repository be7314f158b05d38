/* Questions: the same endpoint asked with the same request by any number of calls of one thread.
 * Here they are told apart, evaluated once for all, kept while what they read stands, and evaluated
 * again when it was touched. Not: who may ask, and when (call.c).
 *
 * Coherence. A question is registered with what its evaluation read, from snapshot X. The thread
 * has looked at all commits up to P <= X, since a commit is published after it is visible. Whatever
 * changes the answer later has a version above X, so its list is looked at after the registration,
 * and the question becomes dirty. An answer is given out again only if the thread has looked at
 * everything up to the store's present version; so nobody reads what is older than a write that was
 * acknowledged before he asked.
 */
#include "base/mem.h"
#include "base/time.h"
#include "codec/msgpack.h"
#include "server/server_room.h"
#include "server/thread.h"

#define QUESTION_REQUEST_MAX 512 /* bytes of a request struct */

/* ---- keys ---- */

static void key_type(struct buf *out, const struct type *type, const void *at);

static void key_u32(struct buf *out, uint32_t n) {
    buf_add(out, &n, sizeof(n));
}

static void key_str(struct buf *out, struct str s) {
    key_u32(out, (uint32_t)s.len);
    buf_add_str(out, s);
}

static bool key_is_zero(const struct type *type, const void *at) {
    switch (type->kind) {
    case KIND_STR:
        return ((const struct str *)at)->len == 0;
    case KIND_BYTES:
        return ((const struct str *)at)->data == NULL;
    case KIND_BOOL:
        return !*(const bool *)at;
    case KIND_INT:
    case KIND_UINT:
    case KIND_DUR:
    case KIND_F64:
        return *(const uint64_t *)at == 0;
    case KIND_ANY:
    case KIND_PTR:
        return *(void *const *)at == NULL;
    case KIND_LIST:
    case KIND_MAP:
        return !((const struct list *)at)->present;
    case KIND_TIME:
    case KIND_F32:
    case KIND_STRUCT:
        return false;
    }
    return false;
}

/* Fields that are set, each behind its number; an end mark. Only memory sees it: any form will do
 * that is unambiguous. */
static void key_struct(struct buf *out, const struct shape *shape, const void *object) {
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *field = &shape->fields[i];
        const void *at = (const char *)object + field->offset;
        if (!key_is_zero(&field->type, at)) {
            buf_add_char(out, (char)(i + 1));
            key_type(out, &field->type, at);
        }
    }
    buf_add_char(out, 0);
}

static size_t key_elem_size(const struct type *elem) {
    switch (elem->kind) {
    case KIND_STR:
    case KIND_BYTES:
        return sizeof(struct str);
    case KIND_BOOL:
        return sizeof(bool);
    case KIND_F32:
        return sizeof(float);
    case KIND_TIME:
        return sizeof(struct timestamp);
    case KIND_STRUCT:
        return elem->shape->size;
    case KIND_LIST:
    case KIND_MAP:
        return sizeof(struct list);
    case KIND_INT:
    case KIND_UINT:
    case KIND_DUR:
    case KIND_F64:
    case KIND_ANY:
    case KIND_PTR:
        break;
    }
    return 8;
}

static void key_list(struct buf *out, const struct type *type, const struct list *list) {
    bool map = type->kind == KIND_MAP;
    size_t size = key_elem_size(type->elem) + (map ? MAP_VALUE_OFFSET : 0);
    key_u32(out, list->len);
    for (uint32_t i = 0; i < list->len; i++) {
        const char *item = (const char *)list->items + i * size;
        if (map) {
            key_str(out, *(const struct str *)item);
            item += MAP_VALUE_OFFSET;
        }
        key_type(out, type->elem, item);
    }
}

static void key_type(struct buf *out, const struct type *type, const void *at) {
    switch (type->kind) {
    case KIND_STR:
    case KIND_BYTES:
        key_str(out, *(const struct str *)at);
        break;
    case KIND_BOOL:
        buf_add_char(out, *(const bool *)at ? 1 : 0);
        break;
    case KIND_INT:
    case KIND_UINT:
    case KIND_DUR:
    case KIND_F64:
        buf_add(out, at, 8);
        break;
    case KIND_F32:
        buf_add(out, at, sizeof(float));
        break;
    case KIND_TIME:
        msgpack_write_time(out, *(const struct timestamp *)at);
        break;
    case KIND_ANY:
        msgpack_write_value(out, *(struct value *const *)at);
        break;
    case KIND_STRUCT:
        key_struct(out, type->shape, at);
        break;
    case KIND_PTR:
        buf_add_char(out, *(void *const *)at != NULL ? 1 : 0);
        if (*(void *const *)at != NULL) {
            key_struct(out, type->shape, *(void *const *)at);
        }
        break;
    case KIND_LIST:
    case KIND_MAP:
        key_list(out, type, at);
        break;
    }
}

void question_key(struct buf *out, const struct call *c) {
    buf_clear(out);
    buf_add(out, &c->endpoint, sizeof(c->endpoint));
    key_u32(out, c->variant);
    struct query_options *options = call_options(c->endpoint, c->request);
    if (options == NULL) {
        key_struct(out, c->endpoint->request, c->request);
        return;
    }
    /* Without what says how long to wait or means something to agents only. */
    _Alignas(16) char copy[QUESTION_REQUEST_MAX];
    ASSERT(c->endpoint->request->size <= sizeof(copy));
    memcpy(copy, c->request, c->endpoint->request->size);
    struct query_options *of_copy = call_options(c->endpoint, copy);
    bool told_apart = c->who != NULL || c->endpoint->token < 0;
    *of_copy = (struct query_options){.allow_stale = options->allow_stale,
                                      .filter = options->filter,
                                      .require_consistent = options->require_consistent,
                                      .token = told_apart ? options->token : STR_NONE};
    key_struct(out, c->endpoint->request, copy);
}

bool question_asked_before(struct server_thread *t, struct str key) {
    uint64_t hash = str_hash(key);
    uint32_t *slot = &t->door[hash % THREAD_DOOR_SLOTS];
    uint32_t mark = (uint32_t)(hash >> 32) | 1;
    bool seen = *slot == mark;
    *slot = mark;
    return seen;
}

/* ---- chains ---- */

static void chain_add(struct question_chain *chain, struct question *q, struct question **link) {
    *link = NULL;
    if (chain->last == NULL) {
        chain->first = q;
    }
    chain->last = q;
}

static void dirty_add(struct server_thread *t, struct question *q) {
    if (t->dirty.last != NULL) {
        t->dirty.last->next_dirty = q;
    }
    chain_add(&t->dirty, q, &q->next_dirty);
    q->dirty = true;
}

static struct question *dirty_take(struct server_thread *t) {
    struct question *q = t->dirty.first;
    if (q != NULL) {
        t->dirty.first = q->next_dirty;
        if (t->dirty.first == NULL) {
            t->dirty.last = NULL;
        }
        q->next_dirty = NULL;
        q->dirty = false;
    }
    return q;
}

static void verify_add(struct question_chain *chain, struct question *q) {
    if (chain->last != NULL) {
        chain->last->next_verify = q;
    }
    chain_add(chain, q, &q->next_verify);
}

/* ---- kept answers ---- */

/* Monotonic, as old as the loop's present round: costs nothing. */
static int64_t loop_now(const struct server_thread *t) {
    return (int64_t)uv_now(&t->loop->uv) * MILLISECOND;
}

static size_t answer_bytes(const struct answer *a) {
    size_t bytes = a->arena.total + 512;
    for (size_t i = 0; i < COUNT_OF(a->encoded); i++) {
        bytes += a->encoded[i] != NULL ? a->encoded[i]->cap : 0;
    }
    return bytes;
}

static void kept_unlink(struct server_thread *t, struct question *q) {
    *(q->newer != NULL ? &q->newer->older : &t->newest) = q->older;
    *(q->older != NULL ? &q->older->newer : &t->oldest) = q->newer;
    q->newer = q->older = NULL;
}

static void kept_link(struct server_thread *t, struct question *q) {
    q->newer = NULL;
    q->older = t->newest;
    *(t->newest != NULL ? &t->newest->newer : &t->oldest) = q;
    t->newest = q;
}

static void question_unkeep(struct question *q) {
    if (q->answer == NULL) {
        return;
    }
    struct server_thread *t = q->thread;
    kept_unlink(t, q);
    t->cache_bytes -= q->bytes;
    q->bytes = 0;
    answer_release(q->answer);
    q->answer = NULL;
}

static void kept_count(struct server_thread *t, struct question *q, size_t bytes) {
    t->cache_bytes = t->cache_bytes - q->bytes + bytes;
    q->bytes = bytes;
    while (t->cache_bytes > THREAD_CACHE_BYTES && t->oldest != NULL && t->oldest != q) {
        struct question *victim = t->oldest;
        question_unkeep(victim);
        question_release(victim);
    }
}

static void question_keep(struct question *q, struct answer *a) {
    question_unkeep(q);
    size_t bytes = answer_bytes(a);
    struct server_thread *t = q->thread;
    if (bytes > THREAD_CACHE_BYTES / 2) {
        return;
    }
    q->answer = answer_hold(a);
    q->used_at = loop_now(t);
    kept_link(t, q);
    kept_count(t, q, bytes);
    if (!t->sweeping) {
        t->sweeping = true;
        loop_timer_set(&t->sweep, THREAD_CACHE_UNUSED);
    }
}

/* The oldest is the one that was used longest ago. */
void question_sweep(struct server_thread *t) {
    int64_t limit = loop_now(t) - THREAD_CACHE_UNUSED;
    while (t->oldest != NULL && t->oldest->used_at <= limit) {
        struct question *q = t->oldest;
        question_unkeep(q);
        question_release(q);
    }
    t->sweeping = t->oldest != NULL;
    if (t->sweeping) {
        loop_timer_set(&t->sweep, THREAD_CACHE_UNUSED / 2);
    }
}

void question_set_last(struct question *q, struct answer *a) {
    struct server_thread *t = q->thread;
    if (q->last == a) {
        return;
    }
    if (q->last != NULL) {
        t->last_bytes -= q->last_size;
        answer_release(q->last);
        q->last = NULL;
    }
    if (a != NULL && t->last_bytes + a->arena.total <= THREAD_LAST_BYTES) {
        q->last_size = a->arena.total;
        t->last_bytes += q->last_size;
        q->last = answer_hold(a);
    }
}

void question_used(struct question *q) {
    struct server_thread *t = q->thread;
    q->used_at = loop_now(t);
    if (t->newest != q) {
        kept_unlink(t, q);
        kept_link(t, q);
    }
    kept_count(t, q, answer_bytes(q->answer)); /* its encoded forms have come since */
}

/* ---- life ---- */

static void question_woken(struct watcher *w, bool restored) {
    struct question *q = CONTAINER_OF(w, struct question, watcher);
    question_unkeep(q);
    if (q->calls.first == NULL) {
        question_release(q);
        return;
    }
    q->restored = q->restored || restored;
    question_mark_dirty(q);
}

struct question *question_find(struct server_thread *t, struct str key) {
    return map_get(&t->questions, key);
}

struct question *question_get(struct server_thread *t, const struct endpoint *endpoint,
                              struct str key) {
    struct question *q = map_get(&t->questions, key);
    if (q == NULL) {
        q = mem_zalloc(1, sizeof(*q) + key.len);
        q->watcher.wake = question_woken;
        q->thread = t;
        q->endpoint = endpoint;
        q->key_len = (uint32_t)key.len;
        memcpy(q->key, key.data, key.len);
        map_put(&t->questions, key, q);
    }
    return q;
}

void question_release(struct question *q) {
    if (q->calls.first == NULL) {
        question_set_last(q, NULL);
    }
    if (q->calls.first != NULL || q->answer != NULL || q->dirty || q->verifying) {
        return;
    }
    watch_unregister(&q->watcher);
    map_remove(&q->thread->questions, str_of(q->key, q->key_len));
    authorizer_release(q->may);
    mem_free(q);
}

static bool is_registered(const struct question *q) {
    return q->watcher.registry != NULL && !q->dirty;
}

bool question_stands(const struct question *q, const struct authorizer *may) {
    return is_registered(q) && q->may == may;
}

void question_park(struct question *q, struct call *c) {
    c->state = CALL_PARKED;
    c->question = q;
    call_list_add(&q->calls, c);
}

void question_mark_dirty(struct question *q) {
    if (!q->dirty) {
        dirty_add(q->thread, q);
    }
}

void question_mark_all_dirty(struct server_thread *t) {
    size_t cursor = 0;
    void *value;
    while (map_next(&t->questions, &cursor, NULL, &value)) {
        struct question *q = value;
        watch_unregister(&q->watcher);
        question_unkeep(q);
        question_mark_dirty(q); /* frees nothing: we are iterating */
    }
}

/* ---- evaluation ---- */

static void question_set_may(struct question *q, const struct authorizer *may) {
    if (q->may != may) {
        authorizer_release(q->may);
        q->may = may != NULL ? authorizer_hold(may) : NULL;
    }
}

static struct answer *question_evaluate(struct question *q, const void *request,
                                        const struct authorization *who, struct store_read *read) {
    struct server_thread *t = q->thread;
    struct watch_set set;
    arena_reset(&t->watch_arena, 64 << 10);
    watch_set_init(&set, &t->watch_arena);
    read->watch = &set;
    struct answer *a = call_evaluate(t, q->endpoint, request, who, read);
    question_set_may(q, authorization_may(who));
    watch_unregister(&q->watcher);
    if (!error_is_set(&a->error)) {
        q->index = a->meta.index;
        q->exact = a->exact;
        watch_register(t->registry, &q->watcher, &set);
    }
    return a;
}

/* An answer that consists of an error, when there is no snapshot to be had. */
static struct answer *answer_of_error(const struct endpoint *endpoint, const struct error *e) {
    struct answer *a = answer_new(endpoint);
    error_copy(&a->error, e);
    return a;
}

struct answer *question_ask(struct question *q, const void *request,
                            const struct authorization *who, bool keep) {
    struct server_thread *t = q->thread;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    struct answer *a;
    bool stood = question_stands(q, authorization_may(who));
    if (store_read_begin(t->store, &read, &arena, NULL, &e)) {
        stood = stood && read.version == t->processed;
        a = question_evaluate(q, request, who, &read);
        store_read_end(&read);
    } else {
        a = answer_of_error(q->endpoint, &e);
    }
    arena_free(&arena);
    question_unkeep(q);
    if (keep && a->exact && is_registered(q)) {
        question_keep(q, a);
    }
    /* The new registration may not match what would have woken the parked calls: unless nothing has
     * happened since they were, they are looked at again. */
    if (q->calls.first != NULL && !stood) {
        question_mark_dirty(q);
        thread_wake_self(t);
    }
    return a;
}

/* Moves the calls that the answer ends to `ready`. */
static void question_settle(struct question *q, struct answer *a, struct call_list *ready) {
    bool all = error_is_set(&a->error) || a->unlooked || q->restored ||
               q->endpoint->kind != ENDPOINT_BLOCKING;
    q->restored = false;
    for (struct call *c = q->calls.first, *next; c != NULL; c = next) {
        next = c->next;
        if (all || c->expired ||
            a->meta.index > call_options(c->endpoint, c->request)->min_query_index) {
            call_list_remove(c);
            thread_deadline_clear(q->thread, c);
            c->question = NULL;
            c->state = CALL_READY;
            c->answer = answer_hold(a);
            call_list_add(ready, c);
        }
    }
}

static void deliver_all(struct call_list *ready) {
    while (ready->first != NULL) {
        struct call *c = ready->first;
        call_list_remove(c);
        struct answer *a = c->answer;
        call_deliver(c, a);
    }
}

static bool question_consistent(const struct question *q) {
    const struct query_options *options = call_options(q->endpoint, q->calls.first->request);
    return options != NULL && options->require_consistent;
}

/* The answer for those who wait, whose token may by now do something else. who: that of the
 * question's token, or NULL with the error (also when there is no read). */
static struct answer *answer_for_parked(struct question *q, bool fresh, struct store_read *read,
                                        const struct authorization *who, const struct error *e) {
    if (q->restored && q->last != NULL) {
        return answer_hold(
            q->last); /* as the peer: what was last read, of the state that is gone */
    }
    if (error_is_set(e)) {
        return answer_of_error(q->endpoint, e);
    }
    if (!fresh && q->answer != NULL && question_stands(q, authorization_may(who))) {
        return answer_hold(q->answer);
    }
    return question_evaluate(q, q->calls.first->request, who, read);
}

/* One question for all that wait for it. read: open, or NULL with the error. Nothing may be drained
 * between the beginning of the read and this (see above: P <= X). */
static void question_evaluate_for_parked(struct question *q, bool fresh, struct store_read *read,
                                         const struct error *failed, struct call_list *ready) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct authorization *who = NULL;
    if (read == NULL) {
        error_copy(&e, failed);
    } else {
        who = authorize_again(q->thread, q->calls.first->who, &e);
    }
    struct answer *a = answer_for_parked(q, fresh, read, who, &e);
    authorization_release(who);
    arena_free(&arena);
    question_settle(q, a, ready);
    question_set_last(q, q->calls.first != NULL ? a : NULL);
    answer_release(a);
    question_release(q);
}

void question_evaluate_dirty(struct server_thread *t) {
    while (t->dirty.first != NULL && !t->closing) {
        struct call_list ready = {NULL, NULL};
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        struct store_read read;
        thread_drain(t);
        bool open = store_read_begin(t->store, &read, &arena, NULL, &e);
        for (int i = 0; i < THREAD_BATCH && t->dirty.first != NULL; i++) {
            struct question *q = dirty_take(t);
            if (q->calls.first == NULL) {
                question_release(q);
            } else if (question_consistent(q) && !(q->restored && q->last != NULL)) {
                question_verify(q);
            } else {
                question_evaluate_for_parked(q, false, open ? &read : NULL, &e, &ready);
            }
        }
        if (open) {
            store_read_end(&read);
        }
        arena_free(&arena);
        deliver_all(&ready);
    }
}

/* ---- consistent reads: leadership is verified first, for all that wait at once (rpc.md 7.3) ----
 */

static void verify_send(struct server_thread *t);

/* What this server has when it no longer leads may be a restore that is lost: its leadership was
 * verified for a read of before. The store changes only after the server says that it is over. */
static bool verified_read_begin(struct server_thread *t, struct store_read *read,
                                struct arena *arena, struct error *e) {
    if (!store_read_begin(t->store, read, arena, NULL, e)) {
        return false;
    }
    if (server_is_leader(t->server)) {
        return true;
    }
    store_read_end(read);
    return error_set(e, ERROR_NO_LEADER, "node is not the leader");
}

static void question_verified(struct message *m) {
    struct server_thread *t = CONTAINER_OF(m, struct server_thread, verify_message);
    t->verify_sent = false;
    if (t->closing) {
        return;
    }
    struct question *q = t->verify_running.first;
    t->verify_running = (struct question_chain){NULL, NULL};
    struct call_list ready = {NULL, NULL};
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    bool open = false;
    if (t->verify_ok) {
        thread_drain(t);
        open = verified_read_begin(t, &read, &arena, &e);
    } else {
        error_copy(&e, &t->verify_error);
    }
    while (q != NULL) {
        struct question *next = q->next_verify;
        q->next_verify = NULL;
        q->verifying = false;
        if (q->calls.first == NULL) {
            question_release(q);
        } else if (t->verify_ok) {
            question_evaluate_for_parked(q, true, open ? &read : NULL, &e, &ready);
        } else {
            struct answer *a = answer_of_error(q->endpoint, &e);
            question_settle(q, a, &ready);
            answer_release(a);
            question_release(q);
        }
        q = next;
    }
    if (open) {
        store_read_end(&read);
    }
    arena_free(&arena);
    deliver_all(&ready);
    verify_send(t);
}

static void verify_send(struct server_thread *t) {
    if (t->verify_sent || t->verify_waiting.first == NULL || t->closing) {
        return;
    }
    t->verify_running = t->verify_waiting;
    t->verify_waiting = (struct question_chain){NULL, NULL};
    t->verify_sent = true;
    arena_reset(&t->verify_arena, 4096);
    t->verify_error = ERROR_IN(&t->verify_arena);
    t->verify_ok = false;
    t->verify_started = time_now_monotonic();
    t->verify_message.run = server_verify_run;
    t->verify_done = question_verified;
    if (!loop_post(server_core(t->server), &t->verify_message)) {
        error_set(&t->verify_error, ERROR_RATE_LIMIT, "RPC rate limit exceeded");
        t->verify_message.run = question_verified;
        loop_post_reply(t->loop, &t->verify_message);
    }
}

void question_verify(struct question *q) {
    if (!q->verifying) {
        q->verifying = true;
        verify_add(&q->thread->verify_waiting, q);
        verify_send(q->thread);
    }
}

/* ---- the end ---- */

void question_forget_all(struct server_thread *t, struct str text) {
    while (t->dirty.first != NULL) {
        dirty_take(t);
    }
    struct question *chains[2] = {t->verify_waiting.first, t->verify_running.first};
    for (int i = 0; i < 2; i++) {
        for (struct question *q = chains[i], *next; q != NULL; q = next) {
            next = q->next_verify;
            q->verifying = false;
        }
    }
    t->verify_waiting = t->verify_running = (struct question_chain){NULL, NULL};
    struct call_list ready = {NULL, NULL};
    size_t cursor = 0;
    void *value;
    while (map_next(&t->questions, &cursor, NULL, &value)) {
        struct question *q = value;
        while (q->calls.first != NULL) {
            struct call *c = q->calls.first;
            call_list_remove(c);
            thread_deadline_clear(t, c);
            c->question = NULL;
            c->state = CALL_READY;
            call_list_add(&ready, c);
        }
        question_unkeep(q);
        question_release(q);
    }
    while (ready.first != NULL) {
        struct call *c = ready.first;
        call_list_remove(c);
        call_deliver_error(c, ERROR_NO_LEADER, text);
    }
}

/* A thread's side of what others send it: what commits touched, news of leadership, and its own
 * deadlines. Not: what is done with the questions (question.c) and calls (call.c).
 *
 * Commits reach a thread through a small array under a mutex rather than as messages, so that a
 * question may look at them at once (an answer must never be older than an acknowledged write,
 * whichever thread acknowledged it) and so that a slow thread holds back nobody.
 */
#include "server/thread.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "server/agent_cache.h"
#include "server/leaf.h"
#include "server/server_room.h"

void call_list_add(struct call_list *list, struct call *c) {
    ASSERT(c->list == NULL);
    c->list = list;
    c->next = NULL;
    c->previous = list->last;
    if (list->last != NULL) {
        list->last->next = c;
    } else {
        list->first = c;
    }
    list->last = c;
}

void call_list_remove(struct call *c) {
    struct call_list *list = c->list;
    if (list == NULL) {
        return;
    }
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        list->first = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    } else {
        list->last = c->previous;
    }
    c->next = c->previous = NULL;
    c->list = NULL;
}

/* ---- deadlines: a binary heap of calls and one timer of the loop ---- */

static void heap_place(struct server_thread *t, uint32_t slot, struct call *c) {
    t->heap[slot] = c;
    c->deadline_slot = slot;
}

static void heap_up(struct server_thread *t, uint32_t slot, struct call *c) {
    while (slot > 1 && t->heap[slot / 2]->deadline > c->deadline) {
        heap_place(t, slot, t->heap[slot / 2]);
        slot /= 2;
    }
    heap_place(t, slot, c);
}

static void heap_down(struct server_thread *t, uint32_t slot, struct call *c) {
    for (;;) {
        uint32_t child = slot * 2;
        if (child > t->heap_len) {
            break;
        }
        if (child < t->heap_len && t->heap[child + 1]->deadline < t->heap[child]->deadline) {
            child++;
        }
        if (t->heap[child]->deadline >= c->deadline) {
            break;
        }
        heap_place(t, slot, t->heap[child]);
        slot = child;
    }
    heap_place(t, slot, c);
}

static void timer_update(struct server_thread *t) {
    int64_t at = t->heap_len > 0 ? t->heap[1]->deadline : 0;
    /* A later deadline need not move the timer: it fires, finds nothing due, and is set again. */
    if (at == 0 || (t->timer_at != 0 && t->timer_at <= at) || t->closing) {
        return;
    }
    t->timer_at = at;
    int64_t wait = at - time_now_monotonic();
    loop_timer_set(&t->timer, wait > 0 ? wait : 0);
}

void thread_deadline_set(struct server_thread *t, struct call *c, int64_t deadline) {
    ASSERT(c->deadline_slot == 0 && deadline > 0);
    c->deadline = deadline;
    if (t->heap_len + 2 > t->heap_cap) {
        t->heap_cap = t->heap_cap == 0 ? 64 : t->heap_cap * 2;
        t->heap = mem_resize(t->heap, t->heap_cap, sizeof(*t->heap));
    }
    t->heap_len++;
    atomic_fetch_add_explicit(&t->server->waiting, 1, memory_order_relaxed);
    heap_up(t, t->heap_len, c);
    timer_update(t);
}

void thread_deadline_clear(struct server_thread *t, struct call *c) {
    uint32_t slot = c->deadline_slot;
    c->deadline = 0;
    if (slot == 0) {
        return;
    }
    c->deadline_slot = 0;
    atomic_fetch_sub_explicit(&t->server->waiting, 1, memory_order_relaxed);
    struct call *last = t->heap[t->heap_len--];
    if (last == c) {
        return;
    }
    if (slot > 1 && t->heap[slot / 2]->deadline > last->deadline) {
        heap_up(t, slot, last);
    } else {
        heap_down(t, slot, last);
    }
}

static void deadline_passed(struct server_thread *t, struct call *c) {
    thread_deadline_clear(t, c);
    if (c->state == CALL_HELD) {
        call_hold_expired(t, c);
        return;
    }
    ASSERT(c->state == CALL_PARKED);
    c->expired = true;
    question_mark_dirty(c->question);
}

static void timer_fired(struct loop_timer *timer) {
    struct server_thread *t = timer->owner;
    t->timer_at = 0;
    int64_t now = time_now_monotonic();
    while (t->heap_len > 0 && t->heap[1]->deadline <= now) {
        deadline_passed(t, t->heap[1]);
    }
    question_evaluate_dirty(t);
    timer_update(t);
}

static void sweep_fired(struct loop_timer *timer) {
    question_sweep(timer->owner);
}

/* ---- what the core sends ---- */

/* Through the inbox, which a loop looks at after its replies: who wrote has his answer before the
 * many whom his write wakes. */
static void wake_post(struct server_thread *t, bool post) {
    if (post && !loop_post(t->loop, &t->wake_message)) {
        loop_post_reply(t->loop, &t->wake_message);
    }
}

void thread_send_touched(struct server_thread *t, uint64_t version, struct watch_touched *touched) {
    pthread_mutex_lock(&t->inbox.mutex);
    t->inbox.version = version;
    bool post = false;
    if (touched != NULL) {
        if (t->inbox.len < THREAD_TOUCHED_MAX) {
            t->inbox.touched[t->inbox.len++] = watch_touched_hold(touched);
        } else {
            t->inbox.overflow = true;
        }
        post = !t->inbox.posted;
        t->inbox.posted = true;
    }
    pthread_mutex_unlock(&t->inbox.mutex);
    wake_post(t, post);
}

void thread_wake_self(struct server_thread *t) {
    pthread_mutex_lock(&t->inbox.mutex);
    bool post = !t->inbox.posted;
    t->inbox.posted = true;
    pthread_mutex_unlock(&t->inbox.mutex);
    wake_post(t, post);
}

void thread_send_leader_news(struct server_thread *t) {
    pthread_mutex_lock(&t->inbox.mutex);
    t->inbox.leader_news = true;
    bool post = !t->inbox.posted;
    t->inbox.posted = true;
    pthread_mutex_unlock(&t->inbox.mutex);
    wake_post(t, post);
}

void thread_drain(struct server_thread *t) {
    if (t->store == NULL || t->processed == store_version(t->store)) {
        return;
    }
    struct watch_touched *touched[THREAD_TOUCHED_MAX];
    pthread_mutex_lock(&t->inbox.mutex);
    uint32_t len = t->inbox.len;
    memcpy(touched, t->inbox.touched, len * sizeof(touched[0]));
    t->inbox.len = 0;
    bool overflow = t->inbox.overflow;
    t->inbox.overflow = false;
    uint64_t version = t->inbox.version;
    pthread_mutex_unlock(&t->inbox.mutex);

    for (uint32_t i = 0; i < len; i++) {
        if (!overflow) {
            watch_publish(t->registry, touched[i]);
        }
        watch_touched_release(touched[i]);
    }
    if (overflow) {
        question_mark_all_dirty(t);
        authorizations_forget(t->authorizations);
    }
    ASSERT(version >= t->processed);
    t->processed = version;
}

bool thread_is_current(struct server_thread *t) {
    thread_drain(t);
    return t->processed == store_version(t->store);
}

static void wake_run(struct message *m) {
    struct server_thread *t = CONTAINER_OF(m, struct server_thread, wake_message);
    pthread_mutex_lock(&t->inbox.mutex);
    t->inbox.posted = false;
    bool leader_news = t->inbox.leader_news;
    t->inbox.leader_news = false;
    pthread_mutex_unlock(&t->inbox.mutex);
    thread_drain(t);
    if (t->closing) {
        return;
    }
    question_evaluate_dirty(t);
    if (leader_news) {
        call_held_retry(t);
    }
}

/* ---- life ---- */

struct server_thread *thread_current(void) {
    struct loop *loop = loop_current();
    return loop != NULL ? loop->owner : NULL;
}

struct server_thread *thread_new(struct server *server, struct store *store, struct loop *loop) {
    struct server_thread *t = MEM_NEW(struct server_thread);
    t->server = server;
    t->store = store;
    t->loop = loop;
    t->registry = watch_registry_new();
    t->questions = MAP_INIT;
    t->processed = store != NULL ? store_version(store) : 0;
    t->inbox.version = t->processed;
    pthread_mutex_init(&t->inbox.mutex, NULL);
    t->wake_message.run = wake_run;
    random_bytes(&t->jitter, sizeof(t->jitter));
    loop_timer_init(loop, &t->timer, timer_fired, t);
    loop_timer_init(loop, &t->sweep, sweep_fired, t);
    const struct server_thread *first = server->threads[0]; /* NULL: it is this one */
    struct rpc_pool_options pool = {.source = server->options.bind_address,
                                    .datacenter = server->options.datacenter,
                                    .secure = server->secure,
                                    .gateways = server->gateways,
                                    .gateway_home = first != NULL ? first->pool : NULL,
                                    .server = !server->options.client};
    t->pool = rpc_pool_new(loop, &pool);
    t->authorizations = authorizations_new(t);
    loop->owner = t;
    return t;
}

void thread_close(struct server_thread *t) {
    ASSERT(loop_is_current(t->loop));
    t->closing = true;
    struct str text = STR("server is shutting down");
    agent_cache_close(t->cache);
    leaves_close(t->leaves);
    authorizations_close(t->authorizations);
    while (t->held.first != NULL) {
        struct call *c = t->held.first;
        call_list_remove(c);
        call_deliver_error(c, ERROR_NO_LEADER, text);
    }
    rpc_pool_close(t->pool);
    question_forget_all(t, text);
    loop_timer_stop(&t->timer);
    loop_timer_close(&t->timer, NULL);
    loop_timer_stop(&t->sweep);
    loop_timer_close(&t->sweep, NULL);
}

void thread_abandon(struct server_thread *t) {
    t->closing = true;
    rpc_pool_close(t->pool);
    loop_timer_close(&t->timer, NULL);
    loop_timer_close(&t->sweep, NULL);
}

void thread_free(struct server_thread *t) {
    ASSERT(t->heap_len == 0 && t->questions.count == 0);
    for (uint32_t i = 0; i < t->inbox.len; i++) {
        watch_touched_release(t->inbox.touched[i]);
    }
    agent_cache_free(t->cache);
    leaves_free(t->leaves);
    authorizations_free(t->authorizations);
    rpc_pool_free(t->pool);
    pthread_mutex_destroy(&t->inbox.mutex);
    watch_registry_free(t->registry);
    map_free(&t->questions);
    arena_free(&t->watch_arena);
    arena_free(&t->verify_arena);
    buf_free(&t->key);
    mem_free(t->heap);
    t->loop->owner = NULL;
    mem_free(t);
}

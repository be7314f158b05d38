/* Loops: an inbox that is emptied when its wake-up signal arrives, and threads that run libuv. */
#include "net/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/stream.h"

static _Thread_local struct loop *current;

static void run_messages(struct queue_item *first) {
    while (first != NULL) {
        struct queue_item *next = first->next; /* run() may free the message */
        struct message *m = CONTAINER_OF(first, struct message, item);
        m->run(m);
        first = next;
    }
}

/* Signals merge, so one wake-up takes everything that waits. The flag is read before the queues:
 * what was posted before loop_stop is then certainly seen. */
static void on_wake(uv_async_t *wake) {
    struct loop *l = CONTAINER_OF(wake, struct loop, wake);
    bool stopping = atomic_load(&l->stopping);
    run_messages(queue_take_all(&l->replies));
    run_messages(queue_take_all(&l->inbox));
    if (stopping)
        uv_stop(&l->uv);
}

bool loop_init(struct loop *l, const char *name, size_t inbox_limit, struct error *e) {
    memset(l, 0, sizeof *l);
    snprintf(l->name, sizeof l->name, "%s", name);
    int code = uv_loop_init(&l->uv);
    if (code != 0)
        return error_set(e, ERROR_IO, "cannot make an event loop: %s", uv_strerror(code));
    code = uv_async_init(&l->uv, &l->wake, on_wake);
    if (code != 0) {
        uv_loop_close(&l->uv);
        return error_set(e, ERROR_IO, "cannot make an event loop: %s", uv_strerror(code));
    }
    queue_init(&l->inbox, inbox_limit);
    queue_init(&l->replies, SIZE_MAX);
    l->streams = stream_loop_new(l);
    return true;
}

void loop_run_here(struct loop *l) {
    struct loop *before = current;
    current = l;
    uv_run(&l->uv, UV_RUN_DEFAULT);
    current = before;
}

static void thread_main(void *argument) {
    struct loop *l = argument;
    pthread_setname_np(pthread_self(), l->name);
    loop_run_here(l);
}

bool loop_start(struct loop *l, struct error *e) {
    /* Signals belong to the main thread: a thread inherits the mask of its maker. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = uv_thread_create(&l->thread, thread_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return error_set(e, ERROR_IO, "cannot start thread %s: %s", l->name, uv_strerror(code));
    l->started = true;
    return true;
}

void loop_stop(struct loop *l) {
    queue_close(&l->inbox);
    atomic_store(&l->stopping, true);
    uv_async_send(&l->wake);
}

void loop_join(struct loop *l) {
    if (l->started)
        uv_thread_join(&l->thread);
    l->started = false;
}

void loop_free(struct loop *l) {
    ASSERT(!l->started);
    struct loop *before = current;
    current = l;
    queue_close(&l->inbox);
    run_messages(queue_take_all(&l->inbox));
    run_messages(queue_take_all(&l->replies));
    uv_close((uv_handle_t *)&l->wake, NULL);
    stream_loop_close(l->streams);
    /* Close callbacks may close further handles. A handle that nobody closed would keep the loop
     * alive for ever, so it is not waited for. */
    for (int i = 0; i < 100 && uv_run(&l->uv, UV_RUN_NOWAIT) != 0; i++)
        continue;
    uv_loop_close(&l->uv);
    stream_loop_free(l->streams);
    current = before;
    queue_destroy(&l->inbox);
    queue_destroy(&l->replies);
}

bool loop_post(struct loop *l, struct message *m) {
    if (!queue_push(&l->inbox, &m->item))
        return false;
    uv_async_send(&l->wake);
    return true;
}

void loop_post_reply(struct loop *l, struct message *m) {
    bool taken = queue_push(&l->replies, &m->item);
    ASSERT(taken);
    uv_async_send(&l->wake);
}

struct loop *loop_current(void) {
    return current;
}

bool loop_is_current(const struct loop *l) {
    return current == l;
}

static void on_timer(uv_timer_t *uv) {
    struct loop_timer *t = CONTAINER_OF(uv, struct loop_timer, uv);
    t->fn(t);
}

void loop_timer_init(struct loop *l, struct loop_timer *t, void (*fn)(struct loop_timer *),
                     void *owner) {
    memset(t, 0, sizeof *t);
    uv_timer_init(&l->uv, &t->uv);
    t->fn = fn;
    t->owner = owner;
}

void loop_timer_set(struct loop_timer *t, int64_t ns) {
    /* The loop's idea of now is as old as the current round; a timer must not fire early. */
    uv_update_time(t->uv.loop);
    uint64_t ms = ns <= 0 ? 0 : ((uint64_t)ns + 999999) / 1000000;
    uv_timer_start(&t->uv, on_timer, ms, 0);
}

void loop_timer_stop(struct loop_timer *t) {
    uv_timer_stop(&t->uv);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct loop_timer *t = CONTAINER_OF((uv_timer_t *)handle, struct loop_timer, uv);
    if (t->closed != NULL)
        t->closed(t);
}

void loop_timer_close(struct loop_timer *t, void (*closed)(struct loop_timer *)) {
    t->closed = closed;
    uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

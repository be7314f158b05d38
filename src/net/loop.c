/* Loops: an inbox that is emptied when its wake-up signal arrives, and threads that run libuv. */
#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/signals.h"
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

/* Signals merge, so one wake-up takes everything that waits. The flags are read before the queues:
 * what was posted before loop_stop is then certainly seen, and what is posted from now on wakes
 * again. (uv_async_t would do, but that its receiver spins while the sender is in the middle.) */
static void on_wake(uv_poll_t *poll, int status, int events) {
    struct loop *l = CONTAINER_OF(poll, struct loop, wake);
    uint64_t count;
    (void)status;
    (void)events;
    ssize_t got = read(l->wake_fd, &count, sizeof count);
    (void)got;
    atomic_exchange(&l->woken, false);
    bool stopping = atomic_load(&l->stopping);
    run_messages(queue_take_all(&l->replies));
    run_messages(queue_take_all(&l->inbox));
    if (stopping)
        uv_stop(&l->uv);
}

/* ---- waking others ---- */

static void send_wake(struct loop *l) {
    static const uint64_t one = 1;
    if (atomic_exchange(&l->woken, true))
        return;
    ssize_t sent = write(l->wake_fd, &one, sizeof one);
    ASSERT(sent == sizeof one);
}

static void wake_now(struct loop *me) {
    for (unsigned i = 0; i < me->unwoken_count; i++)
        send_wake(me->unwoken[i]);
    me->unwoken_count = 0;
}

/* A wake-up costs a system call here and a switch there; a round of many requests needs only one.
 */
static void wake(struct loop *l) {
    struct loop *me = current;
    if (me == NULL || !me->gathers || me == l) {
        send_wake(l);
        return;
    }
    for (unsigned i = 0; i < me->unwoken_count; i++)
        if (me->unwoken[i] == l)
            return;
    if (me->unwoken_count == LOOP_UNWOKEN_MAX)
        wake_now(me);
    me->unwoken[me->unwoken_count++] = l;
}

static void on_prepare(uv_prepare_t *prepare) {
    struct loop *l = CONTAINER_OF(prepare, struct loop, prepare);
    l->looks++;
    wake_now(l);
}

static void on_check(uv_check_t *check) {
    wake_now(CONTAINER_OF(check, struct loop, check));
}

/* Before all other handles of the loop: libuv runs the last one that was started first. */
static void gather_init(struct loop *l) {
    uv_prepare_init(&l->uv, &l->prepare);
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_init(&l->uv, &l->check);
    uv_check_start(&l->check, on_check);
}

/* ---- life ---- */

bool loop_init(struct loop *l, const char *name, size_t inbox_limit, struct error *e) {
    memset(l, 0, sizeof *l);
    snprintf(l->name, sizeof l->name, "%s", name);
    int code = uv_loop_init(&l->uv);
    if (code != 0)
        return error_set(e, ERROR_IO, "cannot make an event loop: %s", uv_strerror(code));
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0) {
        code = errno;
        uv_loop_close(&l->uv);
        return error_set_errno(e, code, "cannot make an event loop");
    }
    code = uv_poll_init(&l->uv, &l->wake, l->wake_fd);
    ASSERT(code == 0);
    uv_poll_start(&l->wake, UV_READABLE, on_wake);
    gather_init(l);
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
    l->gathers = true;
    loop_run_here(l);
    l->gathers = false;
    wake_now(l);
}

bool loop_start(struct loop *l, struct error *e) {
    /* Signals belong to the main thread: a thread inherits the mask of its maker. */
    sigset_t before;
    signals_block(&before);
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
    send_wake(l);
}

void loop_join(struct loop *l) {
    if (l->started)
        uv_thread_join(&l->thread);
    l->started = false;
}

/* A loop that this thread has posted to in the round in which it also ends it. */
static void forget_unwoken(struct loop *me, const struct loop *l) {
    for (unsigned i = 0; me != NULL && i < me->unwoken_count; i++)
        if (me->unwoken[i] == l)
            me->unwoken[i--] = me->unwoken[--me->unwoken_count];
}

void loop_free(struct loop *l) {
    ASSERT(!l->started);
    struct loop *before = current;
    forget_unwoken(before, l);
    current = l;
    queue_close(&l->inbox);
    run_messages(queue_take_all(&l->inbox));
    run_messages(queue_take_all(&l->replies));
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    stream_loop_close(l->streams);
    /* Close callbacks may close further handles. A handle that nobody closed would keep the loop
     * alive for ever, so it is not waited for. */
    for (int i = 0; i < 100 && uv_run(&l->uv, UV_RUN_NOWAIT) != 0; i++)
        continue;
    uv_loop_close(&l->uv);
    close(l->wake_fd);
    stream_loop_free(l->streams);
    current = before;
    queue_destroy(&l->inbox);
    queue_destroy(&l->replies);
}

bool loop_post(struct loop *l, struct message *m) {
    if (!queue_push(&l->inbox, &m->item))
        return false;
    wake(l);
    return true;
}

void loop_post_reply(struct loop *l, struct message *m) {
    bool taken = queue_push(&l->replies, &m->item);
    ASSERT(taken);
    wake(l);
}

struct loop *loop_current(void) {
    return current;
}

bool loop_is_current(const struct loop *l) {
    return current == l;
}

/* libuv runs timers before it looks at what has come in. So one that is this late waits for a look,
 * and for a moment, in which other threads hand on what they have found. */
#define LATE_MS 100
#define MOMENT_MS 10

static void on_timer(uv_timer_t *uv) {
    struct loop_timer *t = CONTAINER_OF(uv, struct loop_timer, uv);
    struct loop *l = CONTAINER_OF(uv->loop, struct loop, uv);
    if (t->looks == 0 && uv_now(&l->uv) > t->due + LATE_MS)
        t->looks = l->looks + 1;
    if (l->looks < t->looks)
        uv_timer_start(uv, on_timer, MOMENT_MS, 0);
    else
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
    t->due = uv_now(t->uv.loop) + ms;
    t->looks = 0;
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

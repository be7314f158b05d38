/* loop.c: messages between threads, limits, the end, timers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "net/loop.h"

struct note {
    struct message message;
    atomic_uint *counter;
    struct loop *where; /* must run there */
    uv_sem_t *gate;     /* waited for, when not NULL */
};

static void on_note(struct message *m) {
    struct note *n = CONTAINER_OF(m, struct note, message);
    if (n->where != NULL && !loop_is_current(n->where))
        abort();
    if (n->gate != NULL)
        uv_sem_wait(n->gate);
    atomic_fetch_add(n->counter, 1);
    mem_free(n);
}

static struct note *note_new(atomic_uint *counter, struct loop *where, uv_sem_t *gate) {
    struct note *n = MEM_NEW(struct note);
    n->message.run = on_note;
    n->counter = counter;
    n->where = where;
    n->gate = gate;
    return n;
}

static void test_messages_run_before_the_end(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct loop loop;
    atomic_uint counter = 0;
    assert_true(loop_init(&loop, "test", 100000, &e));
    assert_null(loop_current());
    assert_true(loop_start(&loop, &e));
    for (int i = 0; i < 10000; i++)
        assert_true(loop_post(&loop, &note_new(&counter, &loop, NULL)->message));
    loop_stop(&loop);
    loop_join(&loop);
    assert_int_equal(atomic_load(&counter), 10000);
    struct note *late = note_new(&counter, NULL, NULL);
    assert_false(loop_post(&loop, &late->message));
    loop_post_reply(&loop, &late->message); /* an answer is never refused… */
    loop_free(&loop);
    assert_int_equal(atomic_load(&counter), 10001); /* …and never lost */
}

static void test_full_inbox(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct loop loop;
    atomic_uint counter = 0;
    uv_sem_t gate;
    uv_sem_init(&gate, 0);
    assert_true(loop_init(&loop, "test", 3, &e));
    /* Not started: nothing takes them away. */
    for (int i = 0; i < 3; i++)
        assert_true(loop_post(&loop, &note_new(&counter, &loop, NULL)->message));
    struct note *over = note_new(&counter, &loop, NULL);
    assert_false(loop_post(&loop, &over->message));
    loop_post_reply(&loop, &over->message);
    assert_true(loop_start(&loop, &e));
    loop_stop(&loop);
    loop_join(&loop);
    loop_free(&loop);
    assert_int_equal(atomic_load(&counter), 4);
    uv_sem_destroy(&gate);
}

struct timed {
    struct loop_timer timer;
    int64_t start, fired;
    struct loop *loop;
    bool closed;
};

static void on_timed_closed(struct loop_timer *t) {
    ((struct timed *)t->owner)->closed = true;
}

static void on_timed(struct loop_timer *t) {
    struct timed *x = t->owner;
    x->fired = time_now_monotonic();
    loop_timer_close(t, on_timed_closed);
    loop_stop(x->loop);
}

static void test_timer_is_not_early(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct loop loop;
    struct timed x = {.loop = &loop};
    assert_true(loop_init(&loop, "test", 10, &e));
    loop_timer_init(&loop, &x.timer, on_timed, &x);
    loop_timer_set(&x.timer, 10 * SECOND);
    x.start = time_now_monotonic();
    loop_timer_set(&x.timer, 20 * MILLISECOND + 1); /* replaces */
    loop_run_here(&loop);
    assert_true(x.fired - x.start >= 20 * MILLISECOND);
    assert_true(x.fired - x.start < 5 * SECOND);
    loop_free(&loop);
    assert_true(x.closed);
}

struct stalled {
    struct message message;
    struct loop_timer timer;
    uv_poll_t poll;
    int pipe[2];
    char order[8]; /* what ran: 'd'ata, 't'imer */
    struct loop *loop;
};

static void on_late_data(uv_poll_t *poll, int status, int events) {
    struct stalled *s = poll->data;
    strcat(s->order, "d");
    uv_close((uv_handle_t *)poll, NULL);
}

static void on_late_timer(struct loop_timer *t) {
    struct stalled *s = t->owner;
    strcat(s->order, "t");
    loop_timer_close(t, NULL);
    loop_stop(s->loop);
}

/* The round in which this runs takes long; what comes meanwhile was in time. */
static void stand_still(struct message *m) {
    struct stalled *s = CONTAINER_OF(m, struct stalled, message);
    loop_timer_set(&s->timer, 50 * MILLISECOND);
    assert_int_equal(write(s->pipe[1], "x", 1), 1);
    uv_sleep(300);
}

static void test_what_has_come_is_before_a_late_timer(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct loop loop;
    struct stalled s = {.message.run = stand_still, .loop = &loop};
    assert_int_equal(pipe(s.pipe), 0);
    assert_true(loop_init(&loop, "test", 10, &e));
    loop_timer_init(&loop, &s.timer, on_late_timer, &s);
    s.poll.data = &s;
    assert_int_equal(uv_poll_init(&loop.uv, &s.poll, s.pipe[0]), 0);
    assert_int_equal(uv_poll_start(&s.poll, UV_READABLE, on_late_data), 0);
    assert_true(loop_post(&loop, &s.message));
    loop_run_here(&loop);
    assert_string_equal(s.order, "dt");
    loop_free(&loop);
    close(s.pipe[0]);
    close(s.pipe[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_run_before_the_end),
        cmocka_unit_test(test_full_inbox),
        cmocka_unit_test(test_timer_is_not_early),
        cmocka_unit_test(test_what_has_come_is_before_a_late_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

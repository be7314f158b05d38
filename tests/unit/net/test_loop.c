/* loop.c: messages between threads, limits, the end, timers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_run_before_the_end),
        cmocka_unit_test(test_full_inbox),
        cmocka_unit_test(test_timer_is_not_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

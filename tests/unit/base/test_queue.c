/* queue.c: order, limit, closing; several producers against one consumer (run it under TSan too).
 */
#include "base/queue.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

struct message {
    int producer;
    int number;
    struct queue_item item;
};

static struct message *message_of(struct queue_item *item) {
    return CONTAINER_OF(item, struct message, item);
}

static void test_order_and_limit(void **state) {
    struct queue q;
    struct message messages[4];
    queue_init(&q, 3);
    assert_null(queue_take_all(&q));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            messages[i].number = i;
            assert_true(queue_push(&q, &messages[i].item));
        }
        assert_false(queue_push(&q, &messages[3].item));
        assert_int_equal(queue_count(&q), 3);
        struct queue_item *item = queue_take_all(&q);
        for (int i = 0; i < 3; i++, item = item->next) {
            assert_int_equal(message_of(item)->number, i);
        }
        assert_null(item);
        assert_int_equal(queue_count(&q), 0);
    }
    queue_destroy(&q);
}

static void test_close(void **state) {
    struct queue q;
    struct message messages[2];
    queue_init(&q, SIZE_MAX);
    assert_true(queue_push(&q, &messages[0].item));
    queue_close(&q);
    assert_false(queue_push(&q, &messages[1].item));
    assert_ptr_equal(queue_take_all(&q), &messages[0].item);
    assert_null(queue_take_all(&q));
    queue_destroy(&q);
}

enum { PRODUCERS = 4, MESSAGES = 20000, LIMIT = 100 };

struct producer {
    pthread_t thread;
    struct queue *q;
    int id;
    size_t refused;
};

static void *produce(void *argument) {
    struct producer *p = argument;
    for (int i = 0; i < MESSAGES; i++) {
        struct message *m = MEM_NEW(struct message);
        m->producer = p->id;
        m->number = i;
        while (!queue_push(p->q, &m->item)) {
            p->refused++;
            sched_yield();
        }
    }
    return NULL;
}

static void test_threads(void **state) {
    struct queue q;
    struct producer producers[PRODUCERS] = {0};
    int next[PRODUCERS] = {0};
    queue_init(&q, LIMIT);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i].q = &q;
        producers[i].id = i;
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (size_t got = 0; got < PRODUCERS * MESSAGES;) {
        size_t batch = 0;
        struct queue_item *item = queue_take_all(&q);
        while (item != NULL) {
            struct message *m = message_of(item);
            item = item->next;
            /* Nothing lost, nothing twice, each producer's in order. */
            assert_int_equal(m->number, next[m->producer]);
            next[m->producer]++;
            mem_free(m);
            batch++;
        }
        assert_true(batch <= LIMIT);
        got += batch;
        if (batch == 0) {
            sched_yield();
        }
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        assert_int_equal(next[i], MESSAGES);
    }
    queue_destroy(&q);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_limit),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

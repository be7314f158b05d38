/* A bounded queue of messages from any number of threads to one. The message struct belongs to the
 * program; a `struct queue_item` inside it is the link, so pushing allocates nothing. The consumer
 * takes the whole queue at once, with one lock for however many messages waited.
 *
 * It does not wake anybody: after a push the producer signals the consumer's event loop (which may
 * merge signals). Order: messages of one producer come out in the order in which it pushed them.
 *
 * Ownership: a message is the queue's from a push that returned true until it is taken; a push that
 * returned false leaves it with the producer.
 */
#ifndef PRAETOR_BASE_QUEUE_H
#define PRAETOR_BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct queue_item {
    struct queue_item *next;
};

struct queue {
    pthread_mutex_t mutex; /* guards all that follows */
    struct queue_item *first;
    struct queue_item **end; /* where the next message is linked in */
    size_t count;
    size_t limit;
    bool closed;
};

/* limit: most messages that may wait, > 0. SIZE_MAX only where something else bounds them (answers:
 * never more than requests under way, which have their own limit, and which must not be lost). */
void queue_init(struct queue *q, size_t limit);
/* The queue must be empty, and no thread may use it any more. */
void queue_destroy(struct queue *q);

/* False when the queue is full or closed. Any thread. */
bool queue_push(struct queue *q, struct queue_item *item);
/* All that waits, oldest first, linked by `next` and ended by NULL; NULL when there is nothing.
 * Read `next` before passing a message on. The queue is empty afterwards. */
struct queue_item *queue_take_all(struct queue *q);
/* From now on pushes fail; what waits may still be taken. For shutting down. */
void queue_close(struct queue *q);
/* For gauges and tests: already out of date when it returns. */
size_t queue_count(struct queue *q);

#endif

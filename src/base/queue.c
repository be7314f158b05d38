/* The queue between threads: a linked list under a mutex. The critical sections are a handful of
 * instructions, so that a lock-free list would win little and be harder to trust.
 */
#include "base/queue.h"

#include "base/mem.h"

void queue_init(struct queue *q, size_t limit) {
    ASSERT(limit > 0);
    ASSERT(pthread_mutex_init(&q->mutex, NULL) == 0);
    q->first = NULL;
    q->end = &q->first;
    q->count = 0;
    q->limit = limit;
    q->closed = false;
}

void queue_destroy(struct queue *q) {
    ASSERT(q->first == NULL && q->count == 0);
    ASSERT(pthread_mutex_destroy(&q->mutex) == 0);
}

bool queue_push(struct queue *q, struct queue_item *item) {
    item->next = NULL;
    pthread_mutex_lock(&q->mutex);
    bool fits = !q->closed && q->count < q->limit;
    if (fits) {
        *q->end = item;
        q->end = &item->next;
        q->count++;
    }
    pthread_mutex_unlock(&q->mutex);
    return fits;
}

struct queue_item *queue_take_all(struct queue *q) {
    pthread_mutex_lock(&q->mutex);
    struct queue_item *first = q->first;
    q->first = NULL;
    q->end = &q->first;
    q->count = 0;
    pthread_mutex_unlock(&q->mutex);
    return first;
}

void queue_close(struct queue *q) {
    pthread_mutex_lock(&q->mutex);
    q->closed = true;
    pthread_mutex_unlock(&q->mutex);
}

size_t queue_count(struct queue *q) {
    pthread_mutex_lock(&q->mutex);
    size_t count = q->count;
    pthread_mutex_unlock(&q->mutex);
    return count;
}

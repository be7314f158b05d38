/* The heap of timers. */
#include "gossip/timer.h"

#include "base/mem.h"

static bool before(const struct timer *a, const struct timer *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void place(struct timers *t, size_t i, struct timer *timer) {
    t->heap[i] = timer;
    timer->position = (uint32_t)(i + 1);
}

static void sift_up(struct timers *t, size_t i, struct timer *timer) {
    for (; i > 0 && before(timer, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        place(t, i, t->heap[(i - 1) / 2]);
    place(t, i, timer);
}

static void sift_down(struct timers *t, size_t i, struct timer *timer) {
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < t->len && before(t->heap[child + 1], t->heap[child]))
            child++;
        if (child >= t->len || before(timer, t->heap[child]))
            break;
        place(t, i, t->heap[child]);
        i = child;
    }
    place(t, i, timer);
}

void timer_start(struct timers *t, struct timer *timer, int64_t at) {
    timer_stop(t, timer);
    timer->at = at;
    timer->order = ++t->order;
    if (t->len == t->cap) {
        t->cap = t->cap > 0 ? 2 * t->cap : 16;
        t->heap = mem_resize(t->heap, t->cap, sizeof(struct timer *));
    }
    sift_up(t, t->len++, timer);
}

void timer_stop(struct timers *t, struct timer *timer) {
    if (timer->position == 0)
        return;
    size_t i = timer->position - 1;
    ASSERT(i < t->len && t->heap[i] == timer);
    timer->position = 0;
    struct timer *last = t->heap[--t->len];
    if (last == timer)
        return;
    if (i > 0 && before(last, t->heap[(i - 1) / 2]))
        sift_up(t, i, last);
    else
        sift_down(t, i, last);
}

struct timer *timers_take(struct timers *t, int64_t now) {
    if (t->len == 0 || t->heap[0]->at > now)
        return NULL;
    struct timer *first = t->heap[0];
    timer_stop(t, first);
    return first;
}

int64_t timers_next(const struct timers *t) {
    return t->len > 0 ? t->heap[0]->at : INT64_MAX;
}

void timers_free(struct timers *t) {
    mem_free(t->heap);
    *t = (struct timers){NULL, 0, 0, 0};
}

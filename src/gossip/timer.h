/* Timers of a core: a binary heap of links that live inside what they wake. Equal times come out in
 * the order of starting, so that runs repeat.
 */
#ifndef PRAETOR_GOSSIP_TIMER_H
#define PRAETOR_GOSSIP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t at;
    uint64_t order;
    uint32_t position; /* in the heap, from 1; 0: not running */
    uint8_t kind;      /* the owner's */
};
struct timers {
    struct timer **heap;
    size_t len, cap;
    uint64_t order;
};

/* Starts it, or moves it when it runs. */
void timer_start(struct timers *t, struct timer *timer, int64_t at);
void timer_stop(struct timers *t, struct timer *timer);
static inline bool timer_runs(const struct timer *timer) {
    return timer->position != 0;
}
/* The next that is due at `now`, stopped; NULL: none. */
struct timer *timers_take(struct timers *t, int64_t now);
int64_t timers_next(const struct timers *t); /* INT64_MAX: none runs */
void timers_free(struct timers *t);

#endif

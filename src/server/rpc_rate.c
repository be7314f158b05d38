/* A token bucket in one atomic. */
#include "server/rpc_rate.h"

#include <math.h>

#include "base/time.h"

void rpc_rate_set(struct rpc_rate *r, double rate, int64_t burst) {
    int64_t interval = 0;
    if (isfinite(rate) && rate > 0) {
        double ns = (double)SECOND / rate;
        interval = ns < 1 ? 1 : ns > (double)HOUR ? HOUR : (int64_t)ns;
    }
    int64_t most = INT64_MAX / 4 / (interval > 0 ? interval : 1);
    burst = burst < 0 ? 0 : burst > most ? most : burst;
    atomic_store(&r->full_at, 0);
    atomic_store(&r->depth, burst * interval);
    atomic_store(&r->interval, interval);
}

bool rpc_rate_allow(struct rpc_rate *r) {
    int64_t interval = atomic_load_explicit(&r->interval, memory_order_relaxed);
    if (interval == 0) {
        return true;
    }
    int64_t now = time_now_monotonic();
    int64_t depth = atomic_load_explicit(&r->depth, memory_order_relaxed);
    int64_t full_at = atomic_load_explicit(&r->full_at, memory_order_relaxed);
    int64_t next;
    do {
        next = (full_at > now ? full_at : now) + interval;
        if (next - now > depth) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&r->full_at, &full_at, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

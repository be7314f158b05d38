/* The limit on calls that this agent starts itself (limits.rpc_rate, rpc_max_burst): a bucket of
 * `burst` tokens that fills with `rate` tokens a second, shared by all threads. Kept as one number,
 * the time at which the bucket is full again.
 */
#ifndef PRAETOR_SERVER_RPC_RATE_H
#define PRAETOR_SERVER_RPC_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rpc_rate {
    _Atomic int64_t interval; /* ns for a token; 0: no limit */
    _Atomic int64_t depth;    /* burst x interval */
    _Atomic int64_t full_at;  /* monotonic ns */
};

/* rate: tokens a second; infinite or <= 0: no limit. Any thread; the bucket starts full. */
void rpc_rate_set(struct rpc_rate *r, double rate, int64_t burst);
/* Takes a token; false: there is none. Any thread. */
bool rpc_rate_allow(struct rpc_rate *r);

#endif

/* Exchanges that another thread's pool makes (rpc_pool.h). Mesh gateways: to the servers behind one
 * all of a datacenter's servers come from one address, which admits a hundred connections
 * (limits.rpc_max_conns_per_client); so a process has one to each, on one thread, for all of its
 * threads.
 */
#ifndef PRAETOR_SERVER_RPC_AWAY_H
#define PRAETOR_SERVER_RPC_AWAY_H

#include "server/rpc_pool.h"

struct rpc_away;
/* inner: its error and reply are what the exchange came to, and valid during the call. On the
 * thread of rpc_away_start. */
typedef void rpc_away_done(void *owner, const struct rpc_exchange *inner);
/* x is copied. home is not this thread's; its loop ends later than this one, and is freed first. */
struct rpc_away *rpc_away_start(struct rpc_pool *home, struct loop *from,
                                const struct rpc_exchange *x, rpc_away_done *done, void *owner);
/* done will not run; the other side sees the stream closed. */
void rpc_away_cancel(struct rpc_away *a);

#endif

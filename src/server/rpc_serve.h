/* Requests that arrive on the server port (rpc.md 2, 3, 6): read, decoded, called (call.h, with
 * call->remote set), answered; one at a time on each stream, in order. Over a yamux session or
 * directly on a connection.
 *
 * A connection belongs to the loop on which it was accepted. A request that waits (a blocking
 * query) costs its stream, its call and its arena, some two kilobytes.
 */
#ifndef PRAETOR_SERVER_RPC_SERVE_H
#define PRAETOR_SERVER_RPC_SERVE_H

#include "net/listener.h"
#include "net/stream.h"

struct server;

/* What the connections of one port share on one loop. Counts connections so that the port knows
 * when all are gone. */
struct rpc_home {
    struct server *server;
    struct loop *loop;
    struct rpc_link *first; /* all of this loop */
    unsigned count;
    bool closing;
    void (*emptied)(struct rpc_home *h); /* closing, and the last is gone */
};

struct rpc_lease;
/* Each takes connection and lease over. */
void rpc_serve_mux(struct rpc_home *h, struct stream_detached *connection,
                   const struct peer_address *from, struct rpc_lease *lease); /* 0x04 */
void rpc_serve_single(struct rpc_home *h, struct stream_detached *connection,
                      const struct peer_address *from, struct rpc_lease *lease); /* 0x00 */
void rpc_serve_snapshot(struct rpc_home *h, struct stream_detached *connection,
                        const struct peer_address *from, struct rpc_lease *lease); /* 0x05 */
/* Ends all connections of the home; emptied() follows (perhaps inside). */
void rpc_serve_close(struct rpc_home *h);

#endif

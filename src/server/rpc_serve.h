/* Connections of the server port that carry requests (rpc.md 2, 3) or snapshots (8): what reads and
 * writes them. What is in the requests is rpc_line.h's.
 *
 * A connection belongs to the loop on which it was accepted. A request that waits (a blocking
 * query) costs its stream, its call and its arena, some two kilobytes.
 */
#ifndef PRAETOR_SERVER_RPC_SERVE_H
#define PRAETOR_SERVER_RPC_SERVE_H

#include "net/listener.h"
#include "net/stream.h"
#include "server/rpc_port.h"

/* What the connections of one port share on one loop. */
struct rpc_home {
    struct server *server;
    struct loop *loop;
    struct rpc_link *first; /* all connections of this loop */
    bool closing;
    void (*emptied)(struct rpc_home *h); /* closing, and the last is gone */
};

/* What all connections have; the first member of each kind's own struct. */
struct rpc_link {
    struct rpc_home *home;
    struct rpc_link *next, *previous;
    struct rpc_lease *lease;
    /* Ends it; rpc_link_remove follows, later or inside. May be called twice. */
    void (*close)(struct rpc_link *l);
    char from[64]; /* "from=127.0.0.1:5000" */
};
/* Takes the lease over. */
void rpc_link_add(struct rpc_link *l, struct rpc_home *h, const struct peer_address *from,
                  struct rpc_lease *lease, void (*close)(struct rpc_link *l));
/* The last thing: frees the link's struct. */
void rpc_link_remove(struct rpc_link *l);
/* Ends all connections of the home; emptied() follows (perhaps inside). On its loop. */
void rpc_home_close(struct rpc_home *h);

/* Each takes connection and lease over. */
void rpc_serve_mux(struct rpc_home *h, struct stream_detached *connection,
                   const struct peer_address *from, struct rpc_lease *lease); /* 0x04 */
void rpc_serve_single(struct rpc_home *h, struct stream_detached *connection,
                      const struct peer_address *from, struct rpc_lease *lease); /* 0x00 */
void rpc_serve_insecure(struct rpc_home *h, struct stream_detached *connection,
                        const struct peer_address *from, struct rpc_lease *lease); /* 0x07 */
void rpc_serve_snapshot(struct rpc_home *h, struct stream_detached *connection,
                        const struct peer_address *from,
                        struct rpc_lease *lease); /* 0x05: rpc_snapshot.c */

#endif

/* The server port (8300, rpc.md 1): one listener on all I/O loops; the first byte of a connection
 * selects what it is. RPC (0x00, 0x04) and snapshots (0x05) are served on the loop that accepted
 * the connection (server/rpc_serve.h, rpc_snapshot.c); Raft (0x01) is handed to whoever asked for
 * it. Behind 0x03 all of that comes again, encrypted; a connection that begins with a handshake
 * says by ALPN what it is.
 */
#ifndef PRAETOR_SERVER_RPC_PORT_H
#define PRAETOR_SERVER_RPC_PORT_H

#include "net/listener.h"
#include "net/stream.h"

struct secure;
struct server;
struct rpc_port;

struct rpc_port_options {
    struct str bind_address;      /* an IP literal */
    uint16_t port;                /* 0: any, for tests */
    int64_t handshake_timeout;    /* ns; 0: none */
    int64_t max_conns_per_client; /* <= 0: no limit */
    struct secure *secure;        /* NULL: no TLS, nothing is refused (tests) */
};

/* A connection's place in its client's count. Whoever owns the connection gives it back when the
 * connection is gone. Any thread. */
struct rpc_lease;
void rpc_lease_release(struct rpc_lease *lease); /* NULL: nothing */

/* A connection that chose Raft: what it sent after the type byte is in connection->input. Runs on
 * an I/O loop; the callee takes connection (moves it to its own loop: stream_attach there) and
 * lease over. Not called after rpc_port_stop. */
typedef void rpc_port_raft(void *owner, struct stream_detached *connection,
                           const struct peer_address *from, struct rpc_lease *lease);

/* The same for a connection that chose the WAN pool's gossip: packets, or one stream. */
typedef void rpc_port_gossip(void *owner, struct stream_detached *connection,
                             const struct peer_address *from, struct rpc_lease *lease,
                             bool packets);

/* Binds. NULL with an error: "listen tcp 127.0.0.1:8300: bind: address already in use". */
struct rpc_port *rpc_port_open(struct server *s, const struct rpc_port_options *o, struct error *e);
/* Before rpc_port_start; without it such connections are closed. */
void rpc_port_set_raft_handler(struct rpc_port *p, rpc_port_raft *handler, void *owner);
/* The same for gossip; without it such connections speak an unknown protocol. */
void rpc_port_set_gossip_handler(struct rpc_port *p, rpc_port_gossip *handler, void *owner);
/* The loops run: connections come in from now on. */
void rpc_port_start(struct rpc_port *p);
/* Ends accepting and all connections with what runs on them; returns when all are gone. From a
 * thread that runs none of the loops, while they run. Raft's connections are not its any more. */
void rpc_port_stop(struct rpc_port *p);
/* After rpc_port_stop, or instead of rpc_port_start; when all leases are back. */
void rpc_port_free(struct rpc_port *p);

/* Reload: for connections that come later. Any thread. */
void rpc_port_set_max_conns(struct rpc_port *p, int64_t most);
int rpc_port_number(const struct rpc_port *p);
const char *rpc_port_name(const struct rpc_port *p); /* "127.0.0.1:8300" */

#endif

/* Sockets that listen: bound once, so that a taken address is an error, and accepted from by all
 * loops that share the work. A new connection goes to the loop that has the fewest.
 */
#ifndef PRAETOR_NET_LISTENER_H
#define PRAETOR_NET_LISTENER_H

#include <netinet/in.h>

#include "net/loop.h"

struct listener;

/* "listen tcp 127.0.0.1:8500: bind: address already in use". address: an IP literal; port 0: any.
 */
struct listener *listener_open_tcp(struct str address, int port, struct error *e);
/* Removes a socket that is already there. user and group: a number or a name, mode: octal digits;
 * empty: left as they are. */
struct listener *listener_open_unix(struct str path, struct str user, struct str group,
                                    struct str mode, struct error *e);
/* Where it really listens: "127.0.0.1:8500", "[::1]:8500", "/path". */
const char *listener_name(const struct listener *l);
int listener_port(const struct listener *l); /* 0 for unix sockets */

/* The other side of a connection. */
struct peer_address {
    uint8_t ip[16];
    uint8_t ip_len; /* 4, 16; 0: a unix socket */
    uint16_t port;
};
/* "127.0.0.1:5000", "[::1]:5000", "@". out: 56 bytes. */
void peer_address_format(const struct peer_address *a, char out[56]);

/* Runs on the connection's loop and owns the descriptor (non-blocking). */
typedef void listener_accept(void *owner, struct loop *loop, int fd,
                             const struct peer_address *peer);
/* From any thread; the loops may not run yet. */
void listener_start(struct listener *l, struct loop *const *loops, unsigned count,
                    listener_accept *accept, void *owner);
/* Ends accepting and frees. From a thread that runs none of the loops, while they run; when it
 * returns, accept will not be called again. A unix socket's path is removed. */
void listener_close(struct listener *l);

/* The same for one loop alone, all on its own thread: for programs that have no other. */
void listener_start_here(struct listener *l, struct loop *loop, listener_accept *accept,
                         void *owner);
/* accept will not be called again; the address is free when this returns. */
void listener_close_here(struct listener *l);

#endif

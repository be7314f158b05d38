/* Outgoing TCP connections on a loop: with a time limit, from a chosen source address, with the
 * peer's error texts. What is said on the connection, TLS included, is the caller's business.
 */
#ifndef PRAETOR_NET_DIAL_H
#define PRAETOR_NET_DIAL_H

#include "base/error.h"
#include "net/loop.h"

#define DIAL_TIMEOUT ((int64_t)10 * 1000000000) /* the peer's, for servers */

struct dial;
/* fd: connected, non-blocking, close-on-exec, TCP_NODELAY and keep-alive on: the caller's, ready
 * for stream_open. -1: e says why, with the peer's text:
 *   "dial tcp 10.0.0.1:0->10.0.0.2:8300: connect: connection refused"
 *   "dial tcp 10.0.0.2:8300: i/o timeout"                 (without a source address)
 * e is valid during the call only. */
typedef void dial_done(void *owner, int fd, const struct error *e);

struct dial_target {
    struct str ip;     /* a literal, v4 or v6 */
    uint16_t port;     /* */
    struct str source; /* a literal; absent, empty, 0.0.0.0 or ::: any */
    int64_t timeout;   /* ns; 0: DIAL_TIMEOUT */
};

/* On the thread of the loop. done always runs, later and never inside, unless it is cancelled; the
 * strings are copied. The pointer is good until done runs or dial_cancel is called. */
struct dial *dial_start(struct loop *l, const struct dial_target *target, dial_done *done,
                        void *owner);
/* done will not run. */
void dial_cancel(struct dial *d);

/* Splits "10.0.0.1:8300" or "[::1]:8300". False: it is not that. */
bool dial_split(struct str address, struct str *ip, uint16_t *port);

#endif

/* Outgoing connections that may be encrypted: a dial (net/dial.h), then, if it is asked for, a byte
 * that announces it and the TLS handshake. On a loop; the time limit is for all of it.
 */
#ifndef PRAETOR_NET_CONNECT_H
#define PRAETOR_NET_CONNECT_H

#include "net/dial.h"
#include "net/stream.h"

struct connect;
/* connection: for stream_attach; who does not attach it drops it. NULL: e says why, in the peer's
 * words: those of dial.h, "x509: certificate signed by unknown authority", "remote error: tls: bad
 * certificate", "EOF". Both are valid during the call only. */
typedef void connect_done(void *owner, struct stream_detached *connection, const struct error *e);

struct connect_options {
    struct dial_target target;
    struct tls_session *tls; /* NULL: in clear. Taken over. */
    const char *announce;    /* with TLS: what is said in clear before it; NULL: nothing */
};
/* done always runs, later and never inside, unless it is cancelled. */
struct connect *connect_start(struct loop *l, const struct connect_options *options,
                              connect_done *done, void *owner);
/* done will not run. */
void connect_cancel(struct connect *c);

#endif

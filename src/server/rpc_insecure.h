/* One call to the restricted port of a server (byte 0x07, rpc.md 6.17): a connection of its own,
 * always encrypted, without a certificate of this side's; one request, one answer. On a loop.
 */
#ifndef PRAETOR_SERVER_RPC_INSECURE_H
#define PRAETOR_SERVER_RPC_INSECURE_H

#include "base/error.h"
#include "net/loop.h"
#include "net/tls.h"

#define RPC_INSECURE_TIME (30 * SECOND) /* for the answer, once the connection is there */

struct rpc_insecure;
/* reply: one whole msgpack object; absent: e says why, behind "rpcinsecure error establishing
 * connection: " or "rpcinsecure error making call: ". Both are valid during the call only. */
typedef void rpc_insecure_done(void *owner, struct str reply, const struct error *e);

struct rpc_insecure_options {
    struct str address;      /* "ip:port" */
    struct str source;       /* IP that the connection comes from; absent: any */
    struct tls_session *tls; /* taken over */
    struct str method;
    struct str body; /* one msgpack object; copied */
};
/* done always runs, later and never inside, unless it is cancelled. */
struct rpc_insecure *rpc_insecure_start(struct loop *l, const struct rpc_insecure_options *options,
                                        rpc_insecure_done *done, void *owner);
/* done will not run. */
void rpc_insecure_cancel(struct rpc_insecure *c);

#endif

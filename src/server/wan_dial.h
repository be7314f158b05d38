/* Connections to servers of other datacenters through mesh gateways (connect.md 7.3): one of the
 * gateways that lead there is dialled, which forwards what comes by the name that the TLS handshake
 * asks for. What is then spoken is agreed on in the handshake, so that there is no type byte.
 */
#ifndef PRAETOR_SERVER_WAN_DIAL_H
#define PRAETOR_SERVER_WAN_DIAL_H

#include "net/connect.h"
#include "server/gateways.h"

struct wan_dial;
struct wan_dial_options {
    struct str datacenter; /* absent: `node` says it, a member of the WAN pool: "node.dc" */
    struct str node;       /* the server's name; "" or "*": any of the datacenter */
    const char *protocol;  /* SECURE_NATIVE_...; not copied */
    struct str source;     /* IP that the connection comes from; absent: any */
    int64_t timeout;       /* ns, of each try; 0: DIAL_TIMEOUT */
};
/* On the loop's thread; strings are copied. done as of connect_start: it always runs, later and
 * never inside, unless it is cancelled. Errors also: GATEWAYS_NONE, "wanfed: cannot dial via a mesh
 * gateway when outgoing TLS is disabled". */
struct wan_dial *wan_dial_start(struct gateways *g, struct loop *l,
                                const struct wan_dial_options *options, connect_done *done,
                                void *owner);
/* done will not run. */
void wan_dial_cancel(struct wan_dial *d);

#endif

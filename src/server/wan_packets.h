/* Packets of the WAN pool to and from servers of other datacenters, through mesh gateways
 * (gossip.md 12.9): a connection for each server that something is sent to, kept while it is used;
 * and those that come in. On the core.
 */
#ifndef PRAETOR_SERVER_WAN_PACKETS_H
#define PRAETOR_SERVER_WAN_PACKETS_H

#include "net/listener.h"
#include "net/stream.h"
#include "server/gateways.h"
#include "server/rpc_port.h"

struct wan_packets;
struct wan_packets_options {
    struct loop *core;
    struct gateways *gateways; /* NULL: nothing is sent, only received */
    const char *logger;        /* of what cannot be sent: not copied */
    void *owner;
    void (*packet)(void *owner, const struct peer_address *from, struct str bytes);
};
struct wan_packets *wan_packets_new(const struct wan_packets_options *options);
/* name: the member's, "node.dc"; address: for the log. What cannot be sent is lost, as by UDP. */
void wan_packets_send(struct wan_packets *w, struct str name, struct str address, struct str bytes);
/* Takes the connection and the lease over. */
void wan_packets_accept(struct wan_packets *w, struct stream_detached *connection,
                        const struct peer_address *from, struct rpc_lease *lease);
/* Closes all; nothing is sent or received any more. */
void wan_packets_close(struct wan_packets *w);
void wan_packets_free(struct wan_packets *w); /* after loop_free; NULL is allowed */

#endif

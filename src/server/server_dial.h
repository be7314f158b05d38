/* Connections to other servers' RPC ports: straight to their address, or, when another datacenter
 * is behind mesh gateways, through one of these (wan_dial.h). On a loop.
 */
#ifndef PRAETOR_SERVER_SERVER_DIAL_H
#define PRAETOR_SERVER_SERVER_DIAL_H

#include "net/connect.h"
#include "server/wan_dial.h"

/* Embed it, zeroed. */
struct server_dial {
    struct connect *direct;
    struct wan_dial *behind; /* a gateway */
    bool native;             /* what is spoken is agreed on in the handshake */
};

struct server_dial_options {
    struct str address;    /* "ip:port" */
    struct str datacenter; /* of the server there; absent: the own one */
    struct str node;       /* its name; absent: it is behind no gateway */
    struct str source;     /* IP that connections come from; absent: any */
    const char *protocol;  /* SECURE_NATIVE_... */
    struct str own_datacenter;
    struct secure *secure;     /* NULL: in clear (tests) */
    struct gateways *gateways; /* NULL: nobody is behind any */
};

/* Whether the server is reached through a gateway. */
bool server_dial_is_behind(const struct server_dial_options *o);
/* done: as of connect_start. Its first act is server_dial_over. False: the address is none. */
bool server_dial_start(struct server_dial *d, struct loop *l, const struct server_dial_options *o,
                       connect_done *done, void *owner);
void server_dial_over(struct server_dial *d);
/* done will not run. Nothing when none is under way. */
void server_dial_cancel(struct server_dial *d);
bool server_dial_is_under_way(const struct server_dial *d);

#endif

/* Where the mesh gateways are through which the servers of other datacenters are reached
 * (connect.md 7.3): what the federation states say of the own datacenter's and of the primary's,
 * what the configuration says of the primary's until then, and which of them a connection takes.
 * How it is made is wan_dial.h's.
 *
 * Threads: any, but for what says "core".
 */
#ifndef PRAETOR_SERVER_GATEWAYS_H
#define PRAETOR_SERVER_GATEWAYS_H

#include "schema/connect.h"
#include "store/store.h"
#include "store/watch.h"

/* ---- pure ---- */

/* Of the gateways of a datacenter (NULL: it has no state) those that carry servers' connections and
 * have no critical check: struct str, "ip:port", sorted. wan: as seen from other datacenters. */
struct list gateways_of_state(const struct federation_state *state, bool wan, struct arena *arena);

/* Whether the own gateways are a way to the primary: the replication of federation states, which
 * goes by them, tells. */
struct gateway_signal {
    bool works;
    unsigned failures; /* in a row */
};
/* How a round of the replication ended. True: `works` has changed. */
bool gateway_signal_tell(struct gateway_signal *s, bool ok);

struct gateway_choice {
    struct list local, primary, fallback; /* of struct str; fallback: configured ones */
    bool in_primary;                      /* the own datacenter is the primary one */
    struct gateway_signal signal;
};
/* The addresses of which any will do for a connection to another datacenter; none: it cannot be
 * reached. to_primary: that is the primary one. */
struct list gateways_for(const struct gateway_choice *c, bool to_primary, struct arena *arena);

/* "gw.example.com:443", "[::1]:443"; *host may be empty: this machine. False: the peer's text, as
 * of a dial. */
bool gateway_split(struct str address, struct str *host, uint16_t *port, struct error *e);

/* The name of a member of the WAN pool: "node.dc", with the one dot. False: "node name does not
 * encode a datacenter: a.b.dc2", or that there is none. */
bool gateway_member_split(struct str name, struct str *node, struct str *datacenter,
                          struct error *e);
/* Whether the member, by its name, is of another datacenter. */
bool gateway_member_is_remote(struct str name, struct str datacenter);

/* ---- on a server ---- */

struct secure;
struct gateways;
struct gateways_options {
    struct str datacenter, primary; /* primary empty: the own one */
    struct secure *secure;
};
/* Strings are copied. Logs. */
struct gateways *gateways_new(const struct gateways_options *options);
void gateways_free(struct gateways *g); /* NULL is allowed */
struct secure *gateways_secure(struct gateways *g);
struct str gateways_datacenter(const struct gateways *g);
bool gateways_in_primary(const struct gateways *g);

/* Core: looks at the states; the second only when they were touched. */
void gateways_read(struct gateways *g, struct store *store);
void gateways_touched(struct gateways *g, struct store *store, const struct watch_touched *touched);
/* Core: the configured ones of the primary, expanded. */
void gateways_set_fallback(struct gateways *g, const struct str *addresses, size_t count);
/* A round of the replication of federation states ended. */
void gateways_replicated(struct gateways *g, bool ok);

#define GATEWAYS_NONE "Remote DC has no server currently reachable"
/* One of those that lead to the datacenter, in the arena. False: GATEWAYS_NONE. */
bool gateways_pick(struct gateways *g, struct str datacenter, struct str *address,
                   struct arena *arena, struct error *e);

#endif

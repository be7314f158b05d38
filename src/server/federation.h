/* Federation states (connect.md 7.2): for each datacenter a record of its mesh gateways, which the
 * primary has and the others copy. Here: whether they are in use, what a leader does for them, and
 * the pure parts of that. What may be asked of them is endpoint_federation_state.c's.
 */
#ifndef PRAETOR_SERVER_FEDERATION_H
#define PRAETOR_SERVER_FEDERATION_H

#include "schema/connect.h"
#include "server/peers.h"
#include "store/watch.h"

struct server;

/* ---- pure ---- */

/* Whether `servers` has one of the datacenter, and all of those that are alive or failed have the
 * feature's tag. */
bool federation_is_supported(const struct peer *const *servers, size_t count,
                             struct str datacenter);

struct federation_op {
    const struct federation_state *state; /* a deletion's: only the datacenter counts */
    bool delete;
};
/* What has to be done so that `local` becomes `remote` (lists of struct federation_state *): a list
 * of struct federation_op. last_index: up to where the primary's state is here already; 0: nothing
 * is known. What is a copy already is left alone. States to write are new, and say which of the
 * primary's they copy. */
struct list federation_diff(const struct list *local, const struct list *remote,
                            uint64_t last_index, struct arena *arena);

/* Whether both have the same gateways. */
bool federation_same_gateways(const struct federation_state *a, const struct federation_state *b);

/* Those of `states` (struct federation_state *) whose datacenter is none of the known ones: a list
 * of struct federation_op, of deletions. */
struct list federation_lost(const struct list *states, const struct peer_datacenter *known,
                            size_t count, struct arena *arena);

/* ---- on a server ---- */

#define FEDERATION_DISABLED                                                                        \
    "Federation states are currently disabled until all servers in the datacenter support the "    \
    "feature"
/* Whether all servers of the own datacenter and of the primary support them, or once did, as far as
 * was looked; logs why not. Any thread. */
bool federation_is_enabled(struct server *s);

/* What a leader does: tells the primary of the own gateways, copies the primary's states, and in
 * the primary deletes those of datacenters that are gone. On the core. */
struct federation;
struct federation *federation_new(struct server *s);
/* This server leads, or no longer. */
void federation_enable(struct federation *f, bool leading);
/* After each commit of a leader. */
void federation_touched(struct federation *f, const struct watch_touched *touched);
/* Deletes now what the hourly round would. */
void federation_prune(struct federation *f);
void federation_close(struct federation *f);
void federation_free(struct federation *f); /* NULL is allowed */

#endif

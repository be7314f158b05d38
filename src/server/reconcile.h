/* A leader's work with the members that gossip knows (raft.md 5.2, gossip.md 12.4): into the
 * catalog as nodes with the check serfHealth, servers into the Raft configuration, and out of both
 * when they are gone. One member at a time, in order. Without gossip (tests) the one member is the
 * server itself, and Raft's configuration is left alone.
 *
 * The core's thread.
 */
#ifndef PRAETOR_SERVER_RECONCILE_H
#define PRAETOR_SERVER_RECONCILE_H

#include "gossip/gossip.h"

struct server;
struct reconcile;

struct reconcile *reconcile_new(struct server *s);
void reconcile_close(struct reconcile *r);
void reconcile_free(struct reconcile *r); /* after raft_driver_stop; NULL is allowed */
/* Leadership was gained, lost. What waits is forgotten. */
void reconcile_enable(struct reconcile *r, bool on);
/* All members; after a barrier. */
void reconcile_all(struct reconcile *r);
/* One changed. Beyond the limit it is dropped: the next pass over all repairs that. */
#define RECONCILE_WAITING 256
void reconcile_member(struct reconcile *r, enum gossip_member_event event,
                      const struct gossip_member *m);

#endif

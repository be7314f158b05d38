/* A leader of a secondary datacenter keeps the primary's intentions in its own state, while the
 * service mesh is on (connect.md 2.5). On the core.
 */
#ifndef PRAETOR_SERVER_INTENTION_REPLICATION_H
#define PRAETOR_SERVER_INTENTION_REPLICATION_H

#include "schema/requests_intention.h"

struct server;

/* Whether this server has the primary's intentions, and none of its own. */
bool intentions_are_replicated(const struct server *s);

/* What has to be done so that `local` becomes `remote` (lists of struct intention *): a list of
 * struct txn_op *, in the order in which they are applied. One of which the names have changed goes
 * before it comes back, so that names may change hands. Pure. */
void intention_diff(const struct list *local, const struct list *remote, struct arena *arena,
                    struct list *ops);
/* How many of the operations, from `from` on, one log entry takes: at least one. */
uint32_t intention_batch(const struct list *ops, uint32_t from);

struct intention_replication;
struct intention_replication *intention_replication_new(struct server *s);
/* This server leads, or no longer. Nothing in the primary, nor without the mesh. */
void intention_replication_enable(struct intention_replication *r, bool leading);
void intention_replication_close(struct intention_replication *r);
void intention_replication_free(struct intention_replication *r); /* NULL is allowed */

#endif

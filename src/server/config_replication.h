/* A leader of a secondary datacenter keeps the primary's configuration entries in its own state
 * (connect.md 1.12). On the core.
 */
#ifndef PRAETOR_SERVER_CONFIG_REPLICATION_H
#define PRAETOR_SERVER_CONFIG_REPLICATION_H

#include "schema/config_entry.h"

struct server;

struct config_op {
    const struct config_entry *entry;
    bool delete;
    struct str refused; /* why, once it was */
};
/* What has to be done so that `local` becomes `remote` (lists of struct config_entry *): a list of
 * struct config_op, in an order in which the checks of discovery chains and gateways mostly let
 * them pass: what others need is written first and deleted last. last_index: up to where the
 * primary's state is here already; 0: nothing is known. What is the same is left alone. Pure. */
struct list config_diff(const struct list *local, const struct list *remote, uint64_t last_index,
                        struct arena *arena);

struct config_replication;
struct config_replication *config_replication_new(struct server *s);
/* This server leads, or no longer. Nothing in the primary. */
void config_replication_enable(struct config_replication *r, bool leading);
void config_replication_close(struct config_replication *r);
void config_replication_free(struct config_replication *r); /* NULL is allowed */

#endif

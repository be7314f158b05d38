/* config_entries.bootstrap (connect.md 1.11): what a new leader of the primary datacenter writes,
 * in order, where there is nothing of that kind and name. On the core.
 */
#ifndef PRAETOR_SERVER_CONFIG_BOOTSTRAP_H
#define PRAETOR_SERVER_CONFIG_BOOTSTRAP_H

#include <stdbool.h>
#include <stdint.h>

struct server;
struct store_read;

/* Proposes them; one that is refused is logged, the others go on. False: there are none. Otherwise
 * leader_bootstrapped is told, with the term, when the last one has its answer. */
bool config_bootstrap(struct server *s, struct store_read *read, uint64_t term);

#endif

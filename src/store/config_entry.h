/* Config entries: the table and its reads (fsm.md 5.7, connect.md 1). Conventions of reads:
 * store/catalog.h. The index of each is config-entries. Kinds and names are found in any letter
 * case.
 */
#ifndef PRAETOR_STORE_CONFIG_ENTRY_H
#define PRAETOR_STORE_CONFIG_ENTRY_H

#include "schema/config_entry.h"
#include "store/store.h"

/* *entry NULL when there is none. */
uint64_t config_entry_get(struct store_read *r, struct str kind, struct str name,
                          struct config_entry **entry);
/* struct config_entry *, by name; kind absent: all, by kind and name. nil when there is none. */
uint64_t config_entry_list(struct store_read *r, struct str kind, struct list *entries);

/* The services (struct str, with repeats) that a router, splitter, resolver or ingress gateway
 * names (fsm.md 5.7); none for other kinds. */
struct list config_entry_links(struct store_read *r, struct str kind,
                               const struct config_entry *entry);

#endif

/* What the files about config entries share: config_entry.c (the table, entry type 22), chain.c
 * (compiling discovery chains), config_graph.c (what a write is checked for), gateway.c (which
 * services gateways serve).
 */
#ifndef PRAETOR_STORE_CONFIG_ENTRY_TABLES_H
#define PRAETOR_STORE_CONFIG_ENTRY_TABLES_H

#include "store/apply.h"
#include "store/config_entry.h"

#define ENTRIES_INDEX "config-entries"
#define WILDCARD_SERVICE "*"

/* ---- config_entry.c ---- */

/* NULL when there is none. Watches nothing. */
struct config_entry *config_entry_fetch(struct store_read *r, struct str kind, struct str name);
/* The names (struct str) of entries of the kind that link to the service: routers, splitters,
 * resolvers and ingress gateways, by links as in fsm.md 5.7. Exact. */
struct list config_entry_linking(struct store_read *r, struct str kind, struct str service);
/* The names (struct str) of all entries of the kind. */
struct list config_entry_names(struct store_read *r, struct str kind);

/* ---- config_graph.c ---- */

/* A change that is not made yet: the entry that is there instead (or NULL: none) of the stored one
 * of its kind and name. */
struct config_change {
    struct str kind, name;
    const struct config_entry *entry;
};
/* Whether chains and gateways still make sense after the change; false with the text of fsm.md 5.7.
 */
bool config_graph_check(struct store_read *r, const struct config_change *change, struct error *e);

/* ---- chain.c (compiled chains for others: store/chain.h) ---- */

struct chain_facts {
    struct str protocol;       /* of all services reached; lower case */
    bool starts_with_resolver; /* neither router nor splitter */
};
/* Whether the discovery chain of a service makes sense, once the change (or NULL) is made. False
 * with the text of fsm.md 5.7. */
bool chain_check(struct store_read *r, const struct config_change *change, struct str service,
                 struct chain_facts *facts, struct error *e);

/* ---- chain_entries.c ---- */

/* The protocol that a service itself has, lower case: of its service-defaults (in this spelling),
 * or without those of proxy-defaults, or tcp. */
struct str service_protocol(struct store_read *r, struct str service);

/* ---- gateway.c ---- */

/* An entry of a gateway's kind is about to be written (entry NULL: deleted); old: the stored one or
 * NULL. index: of new mappings. */
void gateway_entry_changed(struct store_batch *b, uint64_t index, struct str kind, struct str name,
                           const struct config_entry *entry, const struct config_entry *old);

#endif

/* What is filled in and what must hold for a configuration entry before it is written (connect.md
 * 1.2 to 1.8). Not here: whether it fits to the others (store/config_graph.c).
 */
#ifndef PRAETOR_SCHEMA_CONFIG_ENTRY_RULES_H
#define PRAETOR_SCHEMA_CONFIG_ENTRY_RULES_H

#include "schema/config_entry.h"

#define PROXY_DEFAULTS_NAME "global" /* the only one */
#define CONFIG_WILDCARD "*"          /* every service; every subset */

/* entry->kind is set. Lists of the entry are changed in place. */
void config_entry_normalize(struct config_entry *entry, struct arena *arena);
/* After normalising. ERROR_INTERNAL with the peer's text. */
bool config_entry_validate(const struct config_entry *entry, struct arena *arena, struct error *e);
/* A weight of 100, with two decimals. */
float service_split_weight(float weight);
/* config_gateway_rules.c */
void ingress_gateway_normalize(struct ingress_gateway *gateway, struct arena *arena);
bool ingress_gateway_validate(const struct ingress_gateway *gateway, struct arena *arena,
                              struct error *e);
bool terminating_gateway_validate(const struct terminating_gateway *gateway, struct arena *arena,
                                  struct error *e);

#endif

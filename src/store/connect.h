/* Intentions, and the certificate authority's roots, configuration and provider states (fsm.md 5.3,
 * 5.4; connect.md 2, 3). Conventions of reads: store/catalog.h.
 */
#ifndef PRAETOR_STORE_CONNECT_H
#define PRAETOR_STORE_CONNECT_H

#include "schema/connect.h"
#include "store/store.h"

/* ---- intentions. Index of all: connect-intentions. Lists are of struct intention *, highest
 * precedence first, nil when there is none ---- */

/* *intention NULL when there is none. False when id is no UUID ("failed intention lookup: index
 * error: UUID must be 36 characters"). */
bool intention_get(struct store_read *r, struct str id, struct intention **intention,
                   uint64_t *index, struct error *e);
/* The one with exactly these four names, in any letter case. */
uint64_t intention_by_names(struct store_read *r, struct str source_ns, struct str source,
                            struct str destination_ns, struct str destination,
                            struct intention **intention);
uint64_t intention_list(struct store_read *r, struct list *intentions);
/* What all of these report, and waiting for any of them. */
uint64_t intention_index(struct store_read *r);
/* Those whose destination (or source) is the name, or covers it by a wildcard. */
uint64_t intention_match(struct store_read *r, bool by_source, struct str ns, struct str name,
                         struct list *intentions);

/* ---- the certificate authority ---- */

/* struct ca_root *. The value of the index entry itself, not this, is what set-roots compares. */
uint64_t ca_root_list(struct store_read *r, struct list *roots);
/* NULL when it was never set. Index: its ModifyIndex (at least 1). */
uint64_t ca_config_get(struct store_read *r, struct ca_configuration **config);
/* NULL when there is none. Index: connect-ca-builtin. */
uint64_t ca_provider_state_get(struct store_read *r, struct str id,
                               struct ca_consul_provider_state **state);

#endif

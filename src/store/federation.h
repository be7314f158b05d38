/* Federation states: the mesh gateways of each datacenter, as replicated from the primary (fsm.md
 * 5.2). Conventions of reads: store/catalog.h.
 */
#ifndef PRAETOR_STORE_FEDERATION_H
#define PRAETOR_STORE_FEDERATION_H

#include "schema/connect.h"
#include "store/store.h"

/* *state NULL when there is none. */
uint64_t federation_state_get(struct store_read *r, struct str datacenter,
                              struct federation_state **state);
/* struct federation_state *; nil when there is none. */
uint64_t federation_state_list(struct store_read *r, struct list *states);

#endif

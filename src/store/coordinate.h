/* Network coordinates of nodes. Conventions of reads: store/catalog.h.
 */
#ifndef PRAETOR_STORE_COORDINATE_H
#define PRAETOR_STORE_COORDINATE_H

#include "schema/coordinate.h"
#include "store/store.h"

/* struct coordinate *; nil when there is none. */
uint64_t coordinate_list(struct store_read *r, struct list *coordinates);
/* Those of one node, one a segment. */
uint64_t coordinate_node(struct store_read *r, struct str node, struct list *coordinates);

#endif

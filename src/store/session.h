/* Sessions. Creating and ending them is in apply (fsm.md 4.3); timers are the leader's (server/).
 * Conventions of reads: store/catalog.h.
 */
#ifndef PRAETOR_STORE_SESSION_H
#define PRAETOR_STORE_SESSION_H

#include "schema/session.h"
#include "store/store.h"

/* *session NULL when there is none. False when id is no UUID: "failed session lookup: index error:
 * UUID must be 36 characters". */
bool session_get(struct store_read *r, struct str id, struct session **session, uint64_t *index,
                 struct error *e);
/* struct session *, in order of the UUID's bytes; nil when there is none. */
uint64_t session_list(struct store_read *r, struct list *sessions);
uint64_t session_node_list(struct store_read *r, struct str node, struct list *sessions);

#endif

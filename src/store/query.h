/* Prepared queries. Owner: C; B wrote the first of it (reads, storing, sessions' end).
 * Conventions of reads: store/catalog.h.
 */
#ifndef PRAETOR_STORE_QUERY_H
#define PRAETOR_STORE_QUERY_H

#include "schema/query.h"
#include "store/store.h"

/* *query NULL when there is none. False when id is no UUID ("failed prepared query lookup: index
 * error: UUID must be 36 characters"). */
bool query_get(struct store_read *r, struct str id, struct prepared_query **query, uint64_t *index,
               struct error *e);
/* struct prepared_query *; nil when there is none. */
uint64_t query_list(struct store_read *r, struct list *queries);

/* ---- inside apply ---- */

/* The record and its lookups as given, without any rule or index. False when the ID is no UUID. */
bool query_store(struct store_batch *b, const struct prepared_query *query, struct error *e);
/* key: uuid_key of the ID. False: there was none. No index is bumped. */
bool query_remove(struct store_batch *b, struct str key);
/* For session.c: a session ended; deletes the queries bound to it and bumps prepared-queries if
 * there were any (fsm.md 4.3). id: the key of the session record (uuid_key). */
void query_session_ended(struct store_batch *b, struct str id);

#endif

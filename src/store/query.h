/* Prepared queries: reads, and what a name is resolved to. Conventions of reads: store/catalog.h.
 */
#ifndef PRAETOR_STORE_QUERY_H
#define PRAETOR_STORE_QUERY_H

#include "schema/query.h"
#include "store/store.h"

/* *query NULL when there is none. False when id is no UUID ("failed prepared query lookup: index
 * error: UUID must be 36 characters"). */
bool query_get(struct store_read *r, struct str id, struct prepared_query **query, uint64_t *index,
               struct error *e);
/* What is executed for an ID or a name: the query itself, or what a template makes of the name
 * (http-core.md 11.8). segment: the asking agent's. *query NULL: there is none. False: "prepared
 * query templates can only be resolved up by name, not by ID", or what is wrong with the name for
 * the template. Longer names than QUERY_MAX_NAME are none. */
#define QUERY_MAX_NAME 4096
bool query_resolve(struct store_read *r, struct str id_or_name, struct str segment,
                   struct prepared_query **query, uint64_t *index, struct error *e);
/* struct prepared_query *; nil when there is none. */
uint64_t query_list(struct store_read *r, struct list *queries);
/* Whether a query with a valid ID may be stored: its name is nobody else's, its session there. */
bool query_fits(struct store_read *r, const struct prepared_query *query, struct error *e);

/* ---- inside apply ---- */

/* The record and its lookups as given, without any rule or index. False when the ID is no UUID. */
bool query_store(struct store_batch *b, const struct prepared_query *query, struct error *e);
/* key: uuid_key of the ID. False: there was none. No index is bumped. */
bool query_remove(struct store_batch *b, struct str key);
/* For session.c: a session ended; deletes the queries bound to it and bumps prepared-queries if
 * there were any (fsm.md 4.3). id: the key of the session record (uuid_key). */
void query_session_ended(struct store_batch *b, struct str id);

#endif

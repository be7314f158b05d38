/* Prepared query templates (http-core.md 11.8): whether a query's texts make sense as a template,
 * and the query that they give for a name. Needs no store; the leader checks before it proposes,
 * and every server when it applies.
 */
#ifndef PRAETOR_STORE_QUERY_TEMPLATE_H
#define PRAETOR_STORE_QUERY_TEMPLATE_H

#include "schema/query.h"

/* Whether the query is a template at all. */
static inline bool query_is_template(const struct prepared_query *query) {
    return query->template.type.len > 0;
}
/* False with "Bad Template.Type 'x'", "Bad Regexp: …", "Bad format '…' in Service.Tags[0]: …" or
 * "Bad evaluation for '…' in Service.Service: …". For templates only. */
bool query_template_check(const struct prepared_query *query, struct arena *arena, struct error *e);
/* The query for a name (as asked for) and the agent's segment, in the arena; strings are shared
 * with the template. NULL when its texts cannot be evaluated for that name. */
struct prepared_query *query_template_render(const struct prepared_query *query, struct str name,
                                             struct str segment, struct arena *arena,
                                             struct error *e);

#endif

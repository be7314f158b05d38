/* Filter expressions (`?filter=`; agent.md 7): compiled against the shape of the elements that they
 * are to select, then run on each. Selectors are the shapes' JSON names; fields with
 * FIELD_NO_FILTER or FIELD_NO_JSON do not exist for them.
 */
#ifndef PRAETOR_SCHEMA_FILTER_H
#define PRAETOR_SCHEMA_FILTER_H

#include "schema/schema.h"

#define FILTER_MAX_BYTES 65536 /* of the text; the peer has no limit */
#define FILTER_MAX_DEPTH 200   /* of parentheses and "not" */

struct filter;

/* NULL on failure, with the peer's text behind "Failed to create boolean expression evaluator: ",
 * which is not included. The filter lives in the arena (its regular expressions are freed by
 * filter_free); it may be used by several threads at once. The empty text is the caller's case: no
 * filter. */
struct filter *filter_compile(struct str text, const struct shape *element, struct arena *arena,
                              struct error *e);
bool filter_match(const struct filter *filter, const void *element);
/* Frees what is not in the arena. NULL is allowed. */
void filter_free(struct filter *filter);

#endif

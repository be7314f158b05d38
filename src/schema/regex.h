/* Regular expressions as the peer's language has them (RE2 syntax and texts), run by PCRE2. For
 * filters, event filters and prepared query templates. Matching is bounded: an expression that
 * would backtrack for ever is run by PCRE2's other matcher, which does not backtrack.
 */
#ifndef PRAETOR_SCHEMA_REGEX_H
#define PRAETOR_SCHEMA_REGEX_H

#include "base/error.h"
#include "base/str.h"

#define REGEX_MAX_BYTES 65536 /* of the pattern */

struct regex;

/* NULL on failure: "error parsing regexp: missing closing ): `(`". Use by several threads at once
 * is allowed. regex_free when done; NULL is allowed there. */
struct regex *regex_compile(struct str pattern, struct error *e);
void regex_free(struct regex *re);
/* Whether it matches anywhere in the subject. Bytes that are no UTF-8 count as U+FFFD. */
bool regex_search(const struct regex *re, struct str subject);
/* The groups of the first match, 0 being the whole: views into the subject; absent for groups that
 * took no part, and for those beyond the expression's. Returns how many there are (groups of the
 * expression
 * + 1), or 0 for no match. The subject must be UTF-8, else there is no match. */
size_t regex_groups(const struct regex *re, struct str subject, struct str *groups, size_t max);

#endif

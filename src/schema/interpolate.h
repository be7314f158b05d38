/* Texts with ${…} in them: prepared query templates (http-core.md 11.8) and binding rules' names
 * (acl.md 10.4). Variables are texts; there is integer and float arithmetic with one level of
 * precedence, and the function match(n).
 *
 * Accepts and refuses what the peer does, since the state machine does so while it applies log
 * entries; but what ends the peer's process (division by zero, a unary operator that is not "-") is
 * an error here, and a number written as a text ("3" + 1) works whenever it is evaluated.
 */
#ifndef PRAETOR_SCHEMA_INTERPOLATE_H
#define PRAETOR_SCHEMA_INTERPOLATE_H

#include "schema/schema.h"

#define INTERPOLATE_MAX_DEPTH 1000 /* of parentheses, signs and texts inside each other */

struct interpolation_scope {
    const struct str_pair *variables;
    size_t variable_count;
    bool has_match;           /* whether the function is known */
    const struct str *groups; /* match(n) is groups[n], "" beyond */
    size_t group_count;
};

enum interpolation {
    INTERPOLATION_DONE,
    INTERPOLATION_MALFORMED,  /* "parse error: syntax error" */
    INTERPOLATION_IMPOSSIBLE, /* "1:3: unknown variable accessed: nope" */
};
/* *out is in the arena, or the text itself. Both kinds of failure set the error. */
enum interpolation interpolate(struct str text, const struct interpolation_scope *scope,
                               struct arena *arena, struct str *out, struct error *e);

#endif

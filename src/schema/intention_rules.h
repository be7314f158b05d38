/* What must hold for an intention before it is written, and what the leader fills in for its caller
 * (connect.md 2.1). Not here: which of several decides (store/connect.h orders them).
 */
#ifndef PRAETOR_SCHEMA_INTENTION_RULES_H
#define PRAETOR_SCHEMA_INTENTION_RULES_H

#include "schema/connect.h"

#define INTENTION_WILDCARD "*"
#define INTENTION_NAMESPACE "default" /* the only one whose services exist */
#define INTENTION_SOURCE_TYPE "consul"

/* Namespaces and the type of the source that were not given. */
void intention_set_defaults(struct intention *x);
/* The peer's multi-error of all that is wrong, with the kind ERROR_INTERNAL. After the defaults. */
bool intention_validate(const struct intention *x, struct arena *arena, struct error *e);
/* Whether it speaks of connections from there. Names are compared as they are written. */
bool intention_covers_source(const struct intention *x, struct str ns, struct str name);

#endif

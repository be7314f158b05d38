/* What must hold for an intention before it is written, what the leader fills in for its caller,
 * and which of several decides (connect.md 2.1, 2.3). Not here: their order (store/connect.h).
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
/* The first that speaks of connections from there, among those (struct intention *) of a
 * destination, highest precedence first. Names are compared as they are written. NULL: none does.
 */
const struct intention *intention_deciding(const struct list *intentions, struct str ns,
                                           struct str name);
bool intention_allows(const struct intention *x);
/* "DENY default/web => default/db (ID: 67e0d2bc-…, Precedence: 9)" */
struct str intention_describe(const struct intention *x, struct arena *arena);

#endif

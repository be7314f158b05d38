/* Rules in the legacy syntax to the current one (acl.md 5.4), for whoever moves away from legacy
 * tokens: a text becomes a text. What rules mean is not looked at.
 */
#ifndef PRAETOR_ACL_TRANSLATE_H
#define PRAETOR_ACL_TRANSLATE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* *out is in the arena. False: "Failed to parse rules: ..." */
bool acl_rules_translate(struct arena *arena, struct str text, struct str *out, struct error *e);

#endif

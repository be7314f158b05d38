/* Binding rules below their endpoints (acl.md 10.4, 15.2): whether a selector and a bind name are
 * good for a type of auth method, and what a rule gives an identity. Pure functions.
 */
#ifndef PRAETOR_SERVER_BINDING_RULE_H
#define PRAETOR_SERVER_BINDING_RULE_H

#include "server/auth_method.h"

/* What selectors over an identity of type jwt see: value.x, list.y. */
extern const struct shape jwt_identity_shape;

enum bind_type { BIND_SERVICE, BIND_NODE, BIND_ROLE };

struct binding {
    enum bind_type type;
    struct str name; /* computed and valid; in the arena, or the rule's own */
};

/* The checks of 10.4 on Selector, BindType and BindName, in that order, for the method as it is
 * stored (its ClaimMappings say which variables there are). Errors are whole: "invalid Binding
 * Rule: Selector is invalid: …" (ERROR_INTERNAL). */
bool binding_rule_check(const struct acl_auth_method *method, const struct acl_binding_rule *rule,
                        struct error *e);

/* What the rule gives the identity. *matches false: nothing. Of a role, whether one of that name
 * exists is for the caller to see. False: the login fails (`computed "node" bind name for bind
 * target is invalid: "node-q q"`). */
bool binding_rule_apply(const struct auth_identity *identity, const struct acl_binding_rule *rule,
                        struct arena *arena, bool *matches, struct binding *out, struct error *e);

#endif

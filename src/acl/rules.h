/* The rule language of policies (acl.md 5): text to rules, as HCL or JSON, in the current and the
 * legacy syntax, with the peer's error texts. What rules mean together is authorizer.h's.
 */
#ifndef PRAETOR_ACL_RULES_H
#define PRAETOR_ACL_RULES_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum acl_resource {
    ACL_AGENT,
    ACL_EVENT,
    ACL_KEY,
    ACL_NODE,
    ACL_QUERY,
    ACL_SERVICE,
    ACL_SESSION,
    ACL_RESOURCES, /* of named rules */
};

enum acl_level { ACL_LEVEL_NONE, ACL_LEVEL_READ, ACL_LEVEL_LIST, ACL_LEVEL_WRITE, ACL_LEVEL_DENY };

/* A level as it was written: in another letter case it is valid, but ranks below all others
 * (acl.md 6.2). */
struct acl_word {
    enum acl_level level;
    bool exact; /* lower case */
};

struct acl_rule {
    enum acl_resource resource;
    bool prefix;
    struct str name;
    struct acl_word policy;
    struct acl_word intentions; /* services; ACL_LEVEL_NONE: not given */
};

struct acl_rules {
    struct acl_word acl, keyring, operator;
    struct acl_rule *items;
    size_t len;
};

enum acl_syntax { ACL_SYNTAX_CURRENT, ACL_SYNTAX_LEGACY }; /* numbers of the protocol */

/* Everything is in the arena. False: "Failed to parse ACL rules: ...", "Invalid key policy: ...".
 */
bool acl_rules_parse(struct str text, enum acl_syntax syntax, struct acl_rules *out,
                     struct arena *arena, struct error *e);
/* One level as another server spells it; false: there is no such. */
bool acl_word_parse(struct str text, struct arena *arena, struct acl_word *out);

#endif

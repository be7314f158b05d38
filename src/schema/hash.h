/* The hashes that ACL objects and intentions carry (acl.md 4.5, fsm.md 5.3): computed by whoever
 * proposes them, and by the store for tokens that come without one. 32 bytes in the arena.
 */
#ifndef PRAETOR_SCHEMA_HASH_H
#define PRAETOR_SCHEMA_HASH_H

#include "schema/acl.h"
#include "schema/connect.h"

struct str acl_token_hash(const struct acl_token *token, struct arena *arena);
struct str acl_policy_hash(const struct acl_policy *policy, struct arena *arena);
struct str acl_role_hash(const struct acl_role *role, struct arena *arena);
struct str intention_hash(const struct intention *intention, struct arena *arena);

#endif

/* What acl.c, which holds the tables and their reads, shares with acl_apply.c, which holds the
 * rules of the log entries. For these two only.
 */
#ifndef PRAETOR_STORE_ACL_TABLES_H
#define PRAETOR_STORE_ACL_TABLES_H

#include "store/acl.h"
#include "store/apply.h"

#define TOKENS_INDEX "acl-tokens"
#define POLICIES_INDEX "acl-policies"
#define ROLES_INDEX "acl-roles"
#define RULES_INDEX "acl-binding-rules"
#define METHODS_INDEX "acl-auth-methods"
#define BOOTSTRAP_INDEX "acl-token-bootstrap"

/* Keys. By ID: false with "failed acl <what> lookup: index error: …". */
struct str acl_token_key(struct store_read *r, struct str secret);
struct str acl_method_key(struct store_read *r, struct str name);
bool acl_id_key(struct store_read *r, const char *what, struct str id, struct str *key,
                struct error *e);

/* Records as they are stored, links included; nothing is watched. */
bool acl_token_fetch(struct store_read *r, struct str key, struct acl_token *token);
bool acl_policy_fetch(struct store_read *r, struct str key, struct acl_policy *policy);
bool acl_role_fetch(struct store_read *r, struct str key, struct acl_role *role);
bool acl_rule_fetch(struct store_read *r, struct str key, struct acl_binding_rule *rule);
bool acl_method_fetch(struct store_read *r, struct str key, struct acl_auth_method *method);
/* The key of the policy or role (TABLE_ACL_POLICIES_NAME, TABLE_ACL_ROLES_NAME) of that name. */
bool acl_named_key(struct store_read *r, enum store_table names, struct str name, struct str *key);

/* A record and its lookups, replacing what has the key; without rules or index. */
void acl_token_store(struct store_batch *b, const struct acl_token *token);
bool acl_policy_store(struct store_batch *b, const struct acl_policy *policy, struct error *e);
bool acl_role_store(struct store_batch *b, const struct acl_role *role, struct error *e);
bool acl_rule_store(struct store_batch *b, const struct acl_binding_rule *rule, struct error *e);
void acl_method_store(struct store_batch *b, const struct acl_auth_method *method);

/* A record and its lookups; false when there is none. No index is bumped. */
bool acl_token_remove(struct store_batch *b, struct str key);
bool acl_policy_remove(struct store_batch *b, struct str key);
bool acl_role_remove(struct store_batch *b, struct str key);
bool acl_rule_remove(struct store_batch *b, struct str key);
bool acl_method_remove(struct store_batch *b, struct str key);

#endif

/* Access control's tables: tokens, policies, roles, binding rules, auth methods, and the reads that
 * endpoints and the resolver of tokens make (acl.md 4.6, 10). Conventions of reads:
 * store/catalog.h. The index of each is that of its whole table.
 *
 * Tokens and roles are given with their links as they are now: a link's name is that of its object,
 * links to what is gone are left out (fsm.md 5.5); such reads also watch the tables linked to.
 */
#ifndef PRAETOR_STORE_ACL_H
#define PRAETOR_STORE_ACL_H

#include "schema/acl.h"
#include "store/store.h"

#define ACL_POLICY_GLOBAL_MANAGEMENT "00000000-0000-0000-0000-000000000001"
#define ACL_TOKEN_ANONYMOUS "00000000-0000-0000-0000-000000000002" /* accessor */
/* Rules of global-management, byte for byte (acl.md 4.4). */
extern const struct str acl_global_management_rules;

/* Lookups set *object to NULL when there is none. Those by ID return false when it is no UUID:
 * "failed acl policy lookup: index error: UUID must be 36 characters" ("acl token", "acl role",
 * "acl binding rule"). */

/* ---- tokens ---- */

uint64_t acl_token_by_secret(struct store_read *r, struct str secret, struct acl_token **token);
bool acl_token_by_accessor(struct store_read *r, struct str accessor, struct acl_token **token,
                           uint64_t *index, struct error *e);
struct acl_token_filter { /* by at most one of policy, role and auth_method */
    bool local, global;   /* which to include */
    struct str policy;    /* ID, or absent */
    struct str role;      /* ID, or absent */
    struct str auth_method;
};
/* struct acl_token *, by SecretID. */
uint64_t acl_token_list(struct store_read *r, const struct acl_token_filter *filter,
                        struct list *tokens);
/* struct acl_token *: at most `max` local or global ones that expire before the instant, the
 * earliest first. Watches nothing. */
void acl_tokens_expired(struct store_read *r, bool local, int64_t before_unix_ns, uint32_t max,
                        struct list *tokens);
/* When the next local or global token expires, INT64_MAX: never. */
int64_t acl_tokens_next_expiry(struct store_read *r, bool local);
/* struct acl_token *: at most `max` that have no accessor, as the old system makes them, by
 * SecretID. Watches nothing. */
void acl_tokens_without_accessor(struct store_read *r, uint32_t max, struct list *tokens);
/* The index entry acl-token-bootstrap: 0 before any bootstrap. */
uint64_t acl_bootstrap_index(struct store_read *r);

/* Whether a table was ever written to. */
bool acl_tokens_written(struct store_read *r);
bool acl_policies_written(struct store_read *r);
bool acl_roles_written(struct store_read *r);

/* ---- policies, roles ---- */

bool acl_policy_by_id(struct store_read *r, struct str id, struct acl_policy **policy,
                      uint64_t *index, struct error *e);
uint64_t acl_policy_by_name(struct store_read *r, struct str name, struct acl_policy **policy);
uint64_t acl_policy_list(struct store_read *r, struct list *policies); /* struct acl_policy * */

bool acl_role_by_id(struct store_read *r, struct str id, struct acl_role **role, uint64_t *index,
                    struct error *e);
uint64_t acl_role_by_name(struct store_read *r, struct str name, struct acl_role **role);
/* policy: ID of a policy that they link to; absent: all. struct acl_role *. */
uint64_t acl_role_list(struct store_read *r, struct str policy, struct list *roles);

/* ---- binding rules, auth methods ---- */

bool acl_binding_rule_by_id(struct store_read *r, struct str id, struct acl_binding_rule **rule,
                            uint64_t *index, struct error *e);
/* auth_method: in any letter case; absent: all. struct acl_binding_rule *. */
uint64_t acl_binding_rule_list(struct store_read *r, struct str auth_method, struct list *rules);
uint64_t acl_auth_method_by_name(struct store_read *r, struct str name,
                                 struct acl_auth_method **method);
uint64_t acl_auth_method_list(struct store_read *r, struct list *methods);

#endif

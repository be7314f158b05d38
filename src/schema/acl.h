/* Access control: tokens, policies, roles, binding rules and auth methods (rpc.md 5.4). Field names
 * are the wire names in snake_case; what is nullable or a map is said beside the field. Each struct
 * X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_ACL_H
#define PRAETOR_SCHEMA_ACL_H

#include "schema/schema.h"

struct legacy_acl {
    uint64_t create_index;
    struct str id;
    uint64_t modify_index;
    struct str name;
    struct str rules;
    struct str type;
};

struct acl_link {
    struct str id;
    struct str name;
};

struct service_identity {
    struct list datacenters; /* of str */
    struct str service_name;
};

struct node_identity {
    struct str datacenter;
    struct str node_name;
};

struct acl_token {
    struct str accessor_id;
    struct str auth_method;
    uint64_t create_index;
    struct timestamp create_time;
    struct str description;
    int64_t expiration_ttl;
    struct timestamp expiration_time; /* optional */
    struct str hash;
    bool local;
    uint64_t modify_index;
    struct list node_identities; /* of struct node_identity * */
    struct list policies;        /* of struct acl_link */
    struct list roles;           /* of struct acl_link */
    struct str rules;
    struct str secret_id;
    struct list service_identities; /* of struct service_identity * */
    struct str type;
};

/* What ACL.TokenList answers. */
struct acl_token_list_stub {
    struct str accessor_id;
    struct str auth_method;
    uint64_t create_index;
    struct timestamp create_time;
    struct str description;
    struct timestamp expiration_time; /* optional */
    struct str hash;
    bool legacy;
    bool local;
    uint64_t modify_index;
    struct list node_identities;    /* of struct node_identity * */
    struct list policies;           /* of struct acl_link */
    struct list roles;              /* of struct acl_link */
    struct list service_identities; /* of struct service_identity * */
};

struct acl_policy_list_stub {
    uint64_t create_index;
    struct list datacenters; /* of str */
    struct str description;
    struct str hash;
    struct str id;
    uint64_t modify_index;
    struct str name;
};

struct acl_auth_method_list_stub {
    uint64_t create_index;
    struct str description;
    struct str display_name;
    uint64_t modify_index;
    struct str name;
    struct str type;
};

struct acl_policy {
    uint64_t create_index;
    struct list datacenters; /* of str */
    struct str description;
    struct str hash;
    struct str id;
    uint64_t modify_index;
    struct str name;
    struct str rules;
    int64_t syntax;
};

struct acl_role {
    uint64_t create_index;
    struct str description;
    struct str hash;
    struct str id;
    uint64_t modify_index;
    struct str name;
    struct list node_identities;    /* of struct node_identity * */
    struct list policies;           /* of struct acl_link */
    struct list service_identities; /* of struct service_identity * */
};

struct acl_binding_rule {
    struct str auth_method;
    struct str bind_name;
    struct str bind_type;
    uint64_t create_index;
    struct str description;
    struct str id;
    uint64_t modify_index;
    struct str selector;
};

struct acl_auth_method {
    struct value *config; /* map or NULL */
    uint64_t create_index;
    struct str description;
    struct str display_name;
    int64_t max_token_ttl;
    uint64_t modify_index;
    struct str name;
    struct str token_locality;
    struct str type;
};

extern const struct shape legacy_acl_shape;
extern const struct shape acl_link_shape;
extern const struct shape service_identity_shape;
extern const struct shape node_identity_shape;
extern const struct shape acl_token_shape;
extern const struct shape acl_token_list_stub_shape;
extern const struct shape acl_policy_list_stub_shape;
extern const struct shape acl_auth_method_list_stub_shape;
extern const struct shape acl_policy_shape;
extern const struct shape acl_role_shape;
extern const struct shape acl_binding_rule_shape;
extern const struct shape acl_auth_method_shape;

/* Whether it ends at all: the zero time given in so many words says that it does not. */
static inline bool acl_token_expires(const struct acl_token *token) {
    return token->expiration_time.present &&
           (token->expiration_time.seconds != 0 || token->expiration_time.nanoseconds != 0);
}

#endif

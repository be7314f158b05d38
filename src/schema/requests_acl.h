/* Requests and replies of the ACL endpoints (rpc.md 6.11, acl.md 16.1). Conventions: requests.h.
 * Each struct X has a `X_shape`. What ACL.Apply gets is entries.h's legacy_acl_request.
 */
#ifndef PRAETOR_SCHEMA_REQUESTS_ACL_H
#define PRAETOR_SCHEMA_REQUESTS_ACL_H

#include "schema/acl.h"
#include "schema/entries.h"
#include "schema/requests.h"

/* ---- tokens ---- */

struct acl_token_get_request {
    struct str datacenter;
    struct str token_id;
    struct str token_id_type; /* secret, accessor */
    struct query_options options;
};
struct acl_token_response {
    bool redacted;
    struct str source_datacenter;
    struct acl_token *token; /* or NULL */
    struct query_meta meta;
};
struct acl_token_set_request {
    struct acl_token acl_token;
    bool create;
    struct str datacenter;
    struct write_options write;
};
struct acl_token_delete_request {
    struct str datacenter;
    struct str token_id; /* accessor */
    struct write_options write;
};
struct acl_token_list_request {
    struct str auth_method;
    struct str datacenter;
    bool include_global;
    bool include_local;
    struct str policy;
    struct str role;
    struct query_options options;
};
struct acl_token_list_response {
    struct list tokens; /* of struct acl_token_list_stub * */
    struct query_meta meta;
};
struct acl_token_batch_get_request {
    struct list accessor_ids; /* of str */
    struct str datacenter;
    struct query_options options;
};
struct acl_token_batch_response {
    bool redacted;
    bool removed;
    struct list tokens; /* of struct acl_token * */
    struct query_meta meta;
};

/* ---- policies ---- */

struct acl_policy_get_request {
    struct str datacenter;
    struct str policy_id;
    struct str policy_name;
    struct query_options options;
};
struct acl_policy_response {
    struct acl_policy *policy; /* or NULL */
    struct query_meta meta;
};
struct acl_policy_set_request {
    struct str datacenter;
    struct acl_policy policy;
    struct write_options write;
};
struct acl_policy_delete_request {
    struct str datacenter;
    struct str policy_id;
    struct write_options write;
};
struct acl_policy_list_request {
    struct str datacenter;
    struct query_options options;
};
struct acl_policy_list_response {
    struct list policies; /* of struct acl_policy_list_stub * */
    struct query_meta meta;
};
struct acl_policy_batch_get_request { /* BatchRead, Resolve */
    struct str datacenter;
    struct list policy_ids; /* of str */
    struct query_options options;
};
struct acl_policy_batch_response {
    struct list policies; /* of struct acl_policy * */
    struct query_meta meta;
};

/* ---- roles ---- */

struct acl_role_get_request {
    struct str datacenter;
    struct str role_id;
    struct str role_name;
    struct query_options options;
};
struct acl_role_response {
    struct acl_role *role; /* or NULL */
    struct query_meta meta;
};
struct acl_role_set_request {
    struct str datacenter;
    struct acl_role role;
    struct write_options write;
};
struct acl_role_delete_request {
    struct str datacenter;
    struct str role_id;
    struct write_options write;
};
struct acl_role_list_request {
    struct str datacenter;
    struct str policy; /* ID, or "" */
    struct query_options options;
};
struct acl_role_batch_get_request { /* BatchRead, Resolve */
    struct str datacenter;
    struct list role_ids; /* of str */
    struct query_options options;
};
struct acl_role_batch_response { /* List too */
    struct list roles;           /* of struct acl_role * */
    struct query_meta meta;
};

/* ---- binding rules, auth methods ---- */

struct acl_binding_rule_get_request {
    struct str binding_rule_id;
    struct str datacenter;
    struct query_options options;
};
struct acl_binding_rule_response {
    struct acl_binding_rule *binding_rule; /* or NULL */
    struct query_meta meta;
};
struct acl_binding_rule_set_request {
    struct acl_binding_rule binding_rule;
    struct str datacenter;
    struct write_options write;
};
struct acl_binding_rule_delete_request {
    struct str binding_rule_id;
    struct str datacenter;
    struct write_options write;
};
struct acl_binding_rule_list_request {
    struct str auth_method; /* or "" */
    struct str datacenter;
    struct query_options options;
};
struct acl_binding_rule_list_response {
    struct list binding_rules; /* of struct acl_binding_rule * */
    struct query_meta meta;
};

struct acl_auth_method_get_request {
    struct str auth_method_name;
    struct str datacenter;
    struct query_options options;
};
struct acl_auth_method_response {
    struct acl_auth_method *auth_method; /* or NULL */
    struct query_meta meta;
};
struct acl_auth_method_set_request {
    struct acl_auth_method auth_method;
    struct str datacenter;
    struct write_options write;
};
struct acl_auth_method_delete_request {
    struct str auth_method_name;
    struct str datacenter;
    struct write_options write;
};
struct acl_auth_method_list_request {
    struct str datacenter;
    struct query_options options;
};
struct acl_auth_method_list_response {
    struct list auth_methods; /* of struct acl_auth_method_list_stub * */
    struct query_meta meta;
};

/* ---- login ---- */

struct acl_login_params {
    struct str auth_method;
    struct str bearer_token;
    struct list meta; /* map: str to str */
};
struct acl_login_request {
    struct acl_login_params *auth; /* or NULL */
    struct str datacenter;
    struct write_options write;
};
struct acl_logout_request {
    struct str datacenter;
    struct write_options write;
};

/* ---- what a token may do ---- */

struct acl_authorization_request {
    struct str access;
    struct str resource;
    struct str segment;
};
struct acl_remote_authorization_request {
    struct str datacenter;
    struct list requests; /* of struct acl_authorization_request */
    struct query_options options;
};
struct acl_authorization_response {
    struct acl_authorization_request request;
    bool allow;
};

/* ---- replication ---- */

struct acl_replication_status {
    bool enabled;
    struct timestamp last_error;
    struct timestamp last_success;
    uint64_t replicated_index;
    uint64_t replicated_role_index;
    uint64_t replicated_token_index;
    struct str replication_type; /* policies, tokens, legacy */
    bool running;
    struct str source_datacenter;
};

/* ---- the legacy system ---- */

struct acl_specific_request { /* Get */
    struct str acl;           /* secret */
    struct str datacenter;
    struct query_options options;
};
struct indexed_acls {
    struct list acls; /* of struct legacy_acl * */
    struct query_meta meta;
};
struct acl_policy_resolve_legacy_request { /* GetPolicy */
    struct str acl;                        /* secret */
    struct str datacenter;
    struct str etag;
    struct query_options options;
};
/* Rules as this reply spells them: each struct is {the name under its own key, Policy}. */
struct legacy_node_rule { /* agents, sessions */
    struct str node;
    struct str policy;
};
struct legacy_event_rule {
    struct str event;
    struct str policy;
};
struct legacy_prefix_rule { /* keys, prepared queries */
    struct str policy;
    struct str prefix;
};
struct legacy_name_rule { /* nodes */
    struct str name;
    struct str policy;
};
struct legacy_service_rule {
    struct str intentions;
    struct str name;
    struct str policy;
};
struct legacy_policy {
    struct str acl;
    struct list agent_prefixes; /* of struct legacy_node_rule *; so are the others by their kind */
    struct list agents;
    struct list event_prefixes;
    struct list events;
    struct str id;
    struct list key_prefixes;
    struct str keyring;
    struct list keys;
    struct list node_prefixes;
    struct list nodes;
    struct str operator;
    struct list prepared_queries;
    struct list prepared_query_prefixes;
    uint64_t revision;
    struct list service_prefixes;
    struct list services;
    struct list session_prefixes;
    struct list sessions;
};
struct acl_policy_resolve_legacy_response {
    struct str etag;
    struct str parent;
    struct legacy_policy *policy; /* or NULL */
    int64_t ttl;                  /* ns */
    struct query_meta meta;
};

extern const struct shape acl_token_get_request_shape;
extern const struct shape acl_token_response_shape;
extern const struct shape acl_token_set_request_shape;
extern const struct shape acl_token_delete_request_shape;
extern const struct shape acl_token_list_request_shape;
extern const struct shape acl_token_list_response_shape;
extern const struct shape acl_token_batch_get_request_shape;
extern const struct shape acl_token_batch_response_shape;
extern const struct shape acl_policy_get_request_shape;
extern const struct shape acl_policy_response_shape;
extern const struct shape acl_policy_set_request_shape;
extern const struct shape acl_policy_delete_request_shape;
extern const struct shape acl_policy_list_request_shape;
extern const struct shape acl_policy_list_response_shape;
extern const struct shape acl_policy_batch_get_request_shape;
extern const struct shape acl_policy_batch_response_shape;
extern const struct shape acl_role_get_request_shape;
extern const struct shape acl_role_response_shape;
extern const struct shape acl_role_set_request_shape;
extern const struct shape acl_role_delete_request_shape;
extern const struct shape acl_role_list_request_shape;
extern const struct shape acl_role_batch_get_request_shape;
extern const struct shape acl_role_batch_response_shape;
extern const struct shape acl_binding_rule_get_request_shape;
extern const struct shape acl_binding_rule_response_shape;
extern const struct shape acl_binding_rule_set_request_shape;
extern const struct shape acl_binding_rule_delete_request_shape;
extern const struct shape acl_binding_rule_list_request_shape;
extern const struct shape acl_binding_rule_list_response_shape;
extern const struct shape acl_auth_method_get_request_shape;
extern const struct shape acl_auth_method_response_shape;
extern const struct shape acl_auth_method_set_request_shape;
extern const struct shape acl_auth_method_delete_request_shape;
extern const struct shape acl_auth_method_list_request_shape;
extern const struct shape acl_auth_method_list_response_shape;
extern const struct shape acl_login_params_shape;
extern const struct shape acl_login_request_shape;
extern const struct shape acl_logout_request_shape;
extern const struct shape acl_authorization_request_shape;
extern const struct shape acl_remote_authorization_request_shape;
extern const struct shape acl_authorization_response_shape;
extern const struct shape acl_replication_status_shape;
extern const struct shape acl_specific_request_shape;
extern const struct shape indexed_acls_shape;
extern const struct shape acl_policy_resolve_legacy_request_shape;
extern const struct shape legacy_node_rule_shape;
extern const struct shape legacy_event_rule_shape;
extern const struct shape legacy_prefix_rule_shape;
extern const struct shape legacy_name_rule_shape;
extern const struct shape legacy_service_rule_shape;
extern const struct shape legacy_policy_shape;
extern const struct shape acl_policy_resolve_legacy_response_shape;

/* Replies that are lists: of struct acl_authorization_response; and the request over HTTP. */
extern const struct type acl_authorization_responses_type, acl_authorization_requests_type;

#endif

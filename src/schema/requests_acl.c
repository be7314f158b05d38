/* Field tables of the ACL endpoints' requests and replies. */
#include "schema/requests_acl.h"

#include "schema/table.h"

#define QUERY_BLOCK F_FLAT(options, query_options, FIELD_NO_JSON)
#define WRITE_BLOCK F_FLAT(write, write_options)
#define META_BLOCK F_FLAT(meta, query_meta)

#define OF struct acl_token_get_request
static const struct field acl_token_get_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("TokenID", token_id),
    F_STR("TokenIDType", token_id_type),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_token_get_request, "ACLTokenGetRequest");

#define OF struct acl_token_response
static const struct field acl_token_response_fields[] = {
    F_BOOL("Redacted", redacted),
    F_STR("SourceDatacenter", source_datacenter),
    F_PTR("Token", token, acl_token),
    META_BLOCK,
};
#undef OF
SHAPE(acl_token_response, "ACLTokenResponse");

#define OF struct acl_token_set_request
static const struct field acl_token_set_request_fields[] = {
    F_STRUCT("ACLToken", acl_token, acl_token),
    F_BOOL("Create", create),
    F_STR("Datacenter", datacenter),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_token_set_request, "ACLTokenSetRequest");

#define OF struct acl_token_delete_request
static const struct field acl_token_delete_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("TokenID", token_id),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_token_delete_request, "ACLTokenDeleteRequest");

#define OF struct acl_token_list_request
static const struct field acl_token_list_request_fields[] = {
    F_STR("AuthMethod", auth_method),
    F_STR("Datacenter", datacenter),
    F_BOOL("IncludeGlobal", include_global),
    F_BOOL("IncludeLocal", include_local),
    F_STR("Policy", policy),
    F_STR("Role", role),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_token_list_request, "ACLTokenListRequest");

#define OF struct acl_token_list_response
static const struct field acl_token_list_response_fields[] = {
    F_LIST("Tokens", tokens, OF_PTR(acl_token_list_stub)),
    META_BLOCK,
};
#undef OF
SHAPE(acl_token_list_response, "ACLTokenListResponse");

#define OF struct acl_token_batch_get_request
static const struct field acl_token_batch_get_request_fields[] = {
    F_LIST("AccessorIDs", accessor_ids, OF_STR),
    F_STR("Datacenter", datacenter),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_token_batch_get_request, "ACLTokenBatchGetRequest");

#define OF struct acl_token_batch_response
static const struct field acl_token_batch_response_fields[] = {
    F_BOOL("Redacted", redacted),
    F_BOOL("Removed", removed),
    F_LIST("Tokens", tokens, OF_PTR(acl_token)),
    META_BLOCK,
};
#undef OF
SHAPE(acl_token_batch_response, "ACLTokenBatchResponse");

#define OF struct acl_policy_get_request
static const struct field acl_policy_get_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("PolicyID", policy_id),
    F_STR("PolicyName", policy_name),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_policy_get_request, "ACLPolicyGetRequest");

#define OF struct acl_policy_response
static const struct field acl_policy_response_fields[] = {
    F_PTR("Policy", policy, acl_policy),
    META_BLOCK,
};
#undef OF
SHAPE(acl_policy_response, "ACLPolicyResponse");

#define OF struct acl_policy_set_request
static const struct field acl_policy_set_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STRUCT("Policy", policy, acl_policy),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_policy_set_request, "ACLPolicySetRequest");

#define OF struct acl_policy_delete_request
static const struct field acl_policy_delete_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("PolicyID", policy_id),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_policy_delete_request, "ACLPolicyDeleteRequest");

#define OF struct acl_policy_list_request
static const struct field acl_policy_list_request_fields[] = {
    F_STR("Datacenter", datacenter),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_policy_list_request, "ACLPolicyListRequest");

#define OF struct acl_policy_list_response
static const struct field acl_policy_list_response_fields[] = {
    F_LIST("Policies", policies, OF_PTR(acl_policy_list_stub)),
    META_BLOCK,
};
#undef OF
SHAPE(acl_policy_list_response, "ACLPolicyListResponse");

#define OF struct acl_policy_batch_get_request
static const struct field acl_policy_batch_get_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_LIST("PolicyIDs", policy_ids, OF_STR),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_policy_batch_get_request, "ACLPolicyBatchGetRequest");

#define OF struct acl_policy_batch_response
static const struct field acl_policy_batch_response_fields[] = {
    F_LIST("Policies", policies, OF_PTR(acl_policy)),
    META_BLOCK,
};
#undef OF
SHAPE(acl_policy_batch_response, "ACLPolicyBatchResponse");

#define OF struct acl_role_get_request
static const struct field acl_role_get_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("RoleID", role_id),
    F_STR("RoleName", role_name),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_role_get_request, "ACLRoleGetRequest");

#define OF struct acl_role_response
static const struct field acl_role_response_fields[] = {
    F_PTR("Role", role, acl_role),
    META_BLOCK,
};
#undef OF
SHAPE(acl_role_response, "ACLRoleResponse");

#define OF struct acl_role_set_request
static const struct field acl_role_set_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STRUCT("Role", role, acl_role),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_role_set_request, "ACLRoleSetRequest");

#define OF struct acl_role_delete_request
static const struct field acl_role_delete_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("RoleID", role_id),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_role_delete_request, "ACLRoleDeleteRequest");

#define OF struct acl_role_list_request
static const struct field acl_role_list_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Policy", policy),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_role_list_request, "ACLRoleListRequest");

#define OF struct acl_role_batch_get_request
static const struct field acl_role_batch_get_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_LIST("RoleIDs", role_ids, OF_STR),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_role_batch_get_request, "ACLRoleBatchGetRequest");

#define OF struct acl_role_batch_response
static const struct field acl_role_batch_response_fields[] = {
    F_LIST("Roles", roles, OF_PTR(acl_role)),
    META_BLOCK,
};
#undef OF
SHAPE(acl_role_batch_response, "ACLRoleBatchResponse");

#define OF struct acl_binding_rule_get_request
static const struct field acl_binding_rule_get_request_fields[] = {
    F_STR("BindingRuleID", binding_rule_id),
    F_STR("Datacenter", datacenter),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_binding_rule_get_request, "ACLBindingRuleGetRequest");

#define OF struct acl_binding_rule_response
static const struct field acl_binding_rule_response_fields[] = {
    F_PTR("BindingRule", binding_rule, acl_binding_rule),
    META_BLOCK,
};
#undef OF
SHAPE(acl_binding_rule_response, "ACLBindingRuleResponse");

#define OF struct acl_binding_rule_set_request
static const struct field acl_binding_rule_set_request_fields[] = {
    F_STRUCT("BindingRule", binding_rule, acl_binding_rule),
    F_STR("Datacenter", datacenter),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_binding_rule_set_request, "ACLBindingRuleSetRequest");

#define OF struct acl_binding_rule_delete_request
static const struct field acl_binding_rule_delete_request_fields[] = {
    F_STR("BindingRuleID", binding_rule_id),
    F_STR("Datacenter", datacenter),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_binding_rule_delete_request, "ACLBindingRuleDeleteRequest");

#define OF struct acl_binding_rule_list_request
static const struct field acl_binding_rule_list_request_fields[] = {
    F_STR("AuthMethod", auth_method),
    F_STR("Datacenter", datacenter),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_binding_rule_list_request, "ACLBindingRuleListRequest");

#define OF struct acl_binding_rule_list_response
static const struct field acl_binding_rule_list_response_fields[] = {
    F_LIST("BindingRules", binding_rules, OF_PTR(acl_binding_rule)),
    META_BLOCK,
};
#undef OF
SHAPE(acl_binding_rule_list_response, "ACLBindingRuleListResponse");

#define OF struct acl_auth_method_get_request
static const struct field acl_auth_method_get_request_fields[] = {
    F_STR("AuthMethodName", auth_method_name),
    F_STR("Datacenter", datacenter),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_auth_method_get_request, "ACLAuthMethodGetRequest");

#define OF struct acl_auth_method_response
static const struct field acl_auth_method_response_fields[] = {
    F_PTR("AuthMethod", auth_method, acl_auth_method),
    META_BLOCK,
};
#undef OF
SHAPE(acl_auth_method_response, "ACLAuthMethodResponse");

#define OF struct acl_auth_method_set_request
static const struct field acl_auth_method_set_request_fields[] = {
    F_STRUCT("AuthMethod", auth_method, acl_auth_method),
    F_STR("Datacenter", datacenter),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_auth_method_set_request, "ACLAuthMethodSetRequest");

#define OF struct acl_auth_method_delete_request
static const struct field acl_auth_method_delete_request_fields[] = {
    F_STR("AuthMethodName", auth_method_name),
    F_STR("Datacenter", datacenter),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_auth_method_delete_request, "ACLAuthMethodDeleteRequest");

#define OF struct acl_auth_method_list_request
static const struct field acl_auth_method_list_request_fields[] = {
    F_STR("Datacenter", datacenter),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_auth_method_list_request, "ACLAuthMethodListRequest");

#define OF struct acl_auth_method_list_response
static const struct field acl_auth_method_list_response_fields[] = {
    F_LIST("AuthMethods", auth_methods, OF_PTR(acl_auth_method_list_stub)),
    META_BLOCK,
};
#undef OF
SHAPE(acl_auth_method_list_response, "ACLAuthMethodListResponse");

#define OF struct acl_login_params
static const struct field acl_login_params_fields[] = {
    F_STR("AuthMethod", auth_method),
    F_STR("BearerToken", bearer_token),
    F_MAP("Meta", meta, OF_STR),
};
#undef OF
SHAPE(acl_login_params, "ACLLoginParams");

#define OF struct acl_login_request
static const struct field acl_login_request_fields[] = {
    F_PTR("Auth", auth, acl_login_params),
    F_STR("Datacenter", datacenter),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_login_request, "ACLLoginRequest");

#define OF struct acl_logout_request
static const struct field acl_logout_request_fields[] = {
    F_STR("Datacenter", datacenter),
    WRITE_BLOCK,
};
#undef OF
SHAPE(acl_logout_request, "ACLLogoutRequest");

#define OF struct acl_authorization_request
static const struct field acl_authorization_request_fields[] = {
    F_STR("Resource", resource, .go = "acl.Resource"),
    F_STR("Segment", segment, .flags = FIELD_OMIT_EMPTY),
    F_STR("Access", access),
};
#undef OF
SHAPE(acl_authorization_request, "ACLAuthorizationRequest");

#define OF struct acl_remote_authorization_request
static const struct field acl_remote_authorization_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_LIST("Requests", requests, OF_STRUCT(acl_authorization_request)),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_remote_authorization_request, "RemoteACLAuthorizationRequest");

#define OF struct acl_authorization_response
static const struct field acl_authorization_response_fields[] = {
    F_FLAT(request, acl_authorization_request),
    F_BOOL("Allow", allow),
};
#undef OF
SHAPE(acl_authorization_response, "ACLAuthorizationResponse");

#define OF struct acl_replication_status
static const struct field acl_replication_status_fields[] = {
    F_BOOL("Enabled", enabled),
    F_BOOL("Running", running),
    F_STR("SourceDatacenter", source_datacenter),
    F_STR("ReplicationType", replication_type),
    F_UINT("ReplicatedIndex", replicated_index),
    F_UINT("ReplicatedRoleIndex", replicated_role_index),
    F_UINT("ReplicatedTokenIndex", replicated_token_index),
    F_TIME("LastSuccess", last_success),
    F_TIME("LastError", last_error),
};
#undef OF
SHAPE(acl_replication_status, "ACLReplicationStatus");

#define OF struct acl_specific_request
static const struct field acl_specific_request_fields[] = {
    F_STR("ACL", acl),
    F_STR("Datacenter", datacenter),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_specific_request, "ACLSpecificRequest");

#define OF struct indexed_acls
static const struct field indexed_acls_fields[] = {
    F_LIST("ACLs", acls, OF_PTR(legacy_acl)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_acls, "IndexedACLs");

#define OF struct acl_policy_resolve_legacy_request
static const struct field acl_policy_resolve_legacy_request_fields[] = {
    F_STR("ACL", acl),
    F_STR("Datacenter", datacenter),
    F_STR("ETag", etag),
    QUERY_BLOCK,
};
#undef OF
SHAPE(acl_policy_resolve_legacy_request, "ACLPolicyResolveLegacyRequest");

#define OF struct legacy_node_rule
static const struct field legacy_node_rule_fields[] = {
    F_STR("Node", node),
    F_STR("Policy", policy),
};
#undef OF
SHAPE(legacy_node_rule, "AgentRule");

#define OF struct legacy_event_rule
static const struct field legacy_event_rule_fields[] = {
    F_STR("Event", event),
    F_STR("Policy", policy),
};
#undef OF
SHAPE(legacy_event_rule, "EventRule");

#define OF struct legacy_prefix_rule
static const struct field legacy_prefix_rule_fields[] = {
    F_STR("Policy", policy),
    F_STR("Prefix", prefix),
};
#undef OF
SHAPE(legacy_prefix_rule, "KeyRule");

#define OF struct legacy_name_rule
static const struct field legacy_name_rule_fields[] = {
    F_STR("Name", name),
    F_STR("Policy", policy),
};
#undef OF
SHAPE(legacy_name_rule, "NodeRule");

#define OF struct legacy_service_rule
static const struct field legacy_service_rule_fields[] = {
    F_STR("Intentions", intentions),
    F_STR("Name", name),
    F_STR("Policy", policy),
};
#undef OF
SHAPE(legacy_service_rule, "ServiceRule");

#define OF struct legacy_policy
static const struct field legacy_policy_fields[] = {
    F_STR("ACL", acl),
    F_LIST("AgentPrefixes", agent_prefixes, OF_PTR(legacy_node_rule)),
    F_LIST("Agents", agents, OF_PTR(legacy_node_rule)),
    F_LIST("EventPrefixes", event_prefixes, OF_PTR(legacy_event_rule)),
    F_LIST("Events", events, OF_PTR(legacy_event_rule)),
    F_STR("ID", id),
    F_LIST("KeyPrefixes", key_prefixes, OF_PTR(legacy_prefix_rule)),
    F_STR("Keyring", keyring),
    F_LIST("Keys", keys, OF_PTR(legacy_prefix_rule)),
    F_LIST("NodePrefixes", node_prefixes, OF_PTR(legacy_name_rule)),
    F_LIST("Nodes", nodes, OF_PTR(legacy_name_rule)),
    F_STR("Operator", operator),
    F_LIST("PreparedQueries", prepared_queries, OF_PTR(legacy_prefix_rule)),
    F_LIST("PreparedQueryPrefixes", prepared_query_prefixes, OF_PTR(legacy_prefix_rule)),
    F_UINT("Revision", revision),
    F_LIST("ServicePrefixes", service_prefixes, OF_PTR(legacy_service_rule)),
    F_LIST("Services", services, OF_PTR(legacy_service_rule)),
    F_LIST("SessionPrefixes", session_prefixes, OF_PTR(legacy_node_rule)),
    F_LIST("Sessions", sessions, OF_PTR(legacy_node_rule)),
};
#undef OF
SHAPE(legacy_policy, "Policy");

#define OF struct acl_policy_resolve_legacy_response
static const struct field acl_policy_resolve_legacy_response_fields[] = {
    F_STR("ETag", etag),
    F_STR("Parent", parent),
    F_PTR("Policy", policy, legacy_policy),
    F_DUR("TTL", ttl),
    META_BLOCK,
};
#undef OF
SHAPE(acl_policy_resolve_legacy_response, "ACLPolicyResolveLegacyResponse");

const struct type acl_authorization_responses_type = {KIND_LIST, NULL,
                                                      OF_STRUCT(acl_authorization_response)};
const struct type acl_authorization_requests_type = {KIND_LIST, NULL,
                                                     OF_STRUCT(acl_authorization_request)};

/* Field tables of log entries and snapshot records (fsm.md 1.3). */
#include "schema/entries.h"

#include "schema/table.h"

#define WRITE_BLOCK F_FLAT(write, write_options)

const struct type coordinate_batch_type = {KIND_LIST, NULL, OF_PTR(coordinate)};

#define OF struct legacy_acl_request
static const struct field legacy_acl_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Op", op),
    F_STRUCT("ACL", acl, legacy_acl),
    WRITE_BLOCK,
};
#undef OF
SHAPE(legacy_acl_request, "ACLRequest");

#define OF struct acl_bootstrap_request
static const struct field acl_bootstrap_request_fields[] = {
    F_STRUCT("Token", token, acl_token),
    F_UINT("ResetIndex", reset_index),
};
#undef OF
SHAPE(acl_bootstrap_request, "ACLTokenBootstrapRequest");

#define OF struct acl_bootstrap_record
static const struct field acl_bootstrap_record_fields[] = {
    F_BOOL("AllowBootstrap", allow_bootstrap),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(acl_bootstrap_record, "ACLBootstrap");

#define OF struct ca_request
static const struct field ca_request_fields[] = {
    F_STR("Op", op),
    F_STR("Datacenter", datacenter),
    F_UINT("Index", index),
    F_LIST("Roots", roots, OF_PTR(ca_root)),
    F_PTR("Config", config, ca_configuration),
    F_PTR("ProviderState", provider_state, ca_consul_provider_state),
    WRITE_BLOCK,
};
#undef OF
SHAPE(ca_request, "CARequest");

#define OF struct ca_leaf_request
static const struct field ca_leaf_request_fields[] = {
    F_STR("Op", op),
    F_STR("Datacenter", datacenter),
    WRITE_BLOCK,
};
#undef OF
SHAPE(ca_leaf_request, "CALeafRequest");

#define OF struct acl_token_batch_set_request
static const struct field acl_token_batch_set_request_fields[] = {
    F_LIST("Tokens", tokens, OF_PTR(acl_token)),
    F_BOOL("CAS", cas),
    F_BOOL("AllowMissingLinks", allow_missing_links),
    F_BOOL("ProhibitUnprivileged", prohibit_unprivileged),
    F_BOOL("FromReplication", from_replication),
};
#undef OF
SHAPE(acl_token_batch_set_request, "ACLTokenBatchSetRequest");

#define OF struct acl_token_batch_delete_request
static const struct field acl_token_batch_delete_request_fields[] = {
    F_LIST("TokenIDs", token_ids, OF_STR),
};
#undef OF
SHAPE(acl_token_batch_delete_request, "ACLTokenBatchDeleteRequest");

#define OF struct acl_policy_batch_set_request
static const struct field acl_policy_batch_set_request_fields[] = {
    F_LIST("Policies", policies, OF_PTR(acl_policy)),
};
#undef OF
SHAPE(acl_policy_batch_set_request, "ACLPolicyBatchSetRequest");

#define OF struct acl_policy_batch_delete_request
static const struct field acl_policy_batch_delete_request_fields[] = {
    F_LIST("PolicyIDs", policy_ids, OF_STR),
};
#undef OF
SHAPE(acl_policy_batch_delete_request, "ACLPolicyBatchDeleteRequest");

#define OF struct acl_role_batch_set_request
static const struct field acl_role_batch_set_request_fields[] = {
    F_LIST("Roles", roles, OF_PTR(acl_role)),
    F_BOOL("AllowMissingLinks", allow_missing_links),
};
#undef OF
SHAPE(acl_role_batch_set_request, "ACLRoleBatchSetRequest");

#define OF struct acl_role_batch_delete_request
static const struct field acl_role_batch_delete_request_fields[] = {
    F_LIST("RoleIDs", role_ids, OF_STR),
};
#undef OF
SHAPE(acl_role_batch_delete_request, "ACLRoleBatchDeleteRequest");

#define OF struct acl_binding_rule_batch_set_request
static const struct field acl_binding_rule_batch_set_request_fields[] = {
    F_LIST("BindingRules", binding_rules, OF_PTR(acl_binding_rule)),
};
#undef OF
SHAPE(acl_binding_rule_batch_set_request, "ACLBindingRuleBatchSetRequest");

#define OF struct acl_binding_rule_batch_delete_request
static const struct field acl_binding_rule_batch_delete_request_fields[] = {
    F_LIST("BindingRuleIDs", binding_rule_ids, OF_STR),
};
#undef OF
SHAPE(acl_binding_rule_batch_delete_request, "ACLBindingRuleBatchDeleteRequest");

#define OF struct acl_auth_method_batch_set_request
static const struct field acl_auth_method_batch_set_request_fields[] = {
    F_LIST("AuthMethods", auth_methods, OF_PTR(acl_auth_method)),
};
#undef OF
SHAPE(acl_auth_method_batch_set_request, "ACLAuthMethodBatchSetRequest");

#define OF struct acl_auth_method_batch_delete_request
static const struct field acl_auth_method_batch_delete_request_fields[] = {
    F_LIST("AuthMethodNames", auth_method_names, OF_STR),
};
#undef OF
SHAPE(acl_auth_method_batch_delete_request, "ACLAuthMethodBatchDeleteRequest");

#define OF struct federation_state_request
static const struct field federation_state_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Op", op),
    F_PTR("State", state, federation_state),
    WRITE_BLOCK,
};
#undef OF
SHAPE(federation_state_request, "FederationStateRequest");

#define OF struct snapshot_header
static const struct field snapshot_header_fields[] = {F_UINT("LastIndex", last_index)};
#undef OF
SHAPE(snapshot_header, "snapshotHeader");

#define OF struct index_entry
static const struct field index_entry_fields[] = {
    F_STR("Key", key),
    F_UINT("Value", value),
};
#undef OF
SHAPE(index_entry, "IndexEntry");

#define OF struct chunk_info
static const struct field chunk_info_fields[] = {
    F_UINT("OpNum", op_num),         F_UINT("SequenceNum", sequence_num),
    F_UINT("NumChunks", num_chunks), F_UINT("Term", term),
    F_BYTES("Data", data),
};
#undef OF
SHAPE(chunk_info, "ChunkInfo");

/* Field tables of tokens, policies, roles, binding rules and auth methods (acl.md 4). */
#include "schema/acl.h"

#include "schema/table.h"

#define OMIT .flags = FIELD_OMIT_EMPTY
#define HIDDEN .flags = FIELD_NO_JSON

#define OF struct legacy_acl
static const struct field legacy_acl_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Type", type),
    F_STR("Rules", rules),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(legacy_acl, "ACL");

#define OF struct acl_link
static const struct field acl_link_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
};
#undef OF
SHAPE(acl_link, "ACLTokenPolicyLink");

#define OF struct service_identity
static const struct field service_identity_fields[] = {
    F_STR("ServiceName", service_name),
    F_LIST("Datacenters", datacenters, OF_STR, OMIT),
};
#undef OF
SHAPE(service_identity, "ACLServiceIdentity");

#define OF struct node_identity
static const struct field node_identity_fields[] = {
    F_STR("NodeName", node_name),
    F_STR("Datacenter", datacenter),
};
#undef OF
SHAPE(node_identity, "ACLNodeIdentity");

#define OF struct acl_token
static const struct field acl_token_fields[] = {
    F_STR("AccessorID", accessor_id),
    F_STR("SecretID", secret_id),
    F_STR("Description", description),
    F_LIST("Policies", policies, OF_STRUCT(acl_link), OMIT),
    F_LIST("Roles", roles, OF_STRUCT(acl_link), OMIT),
    F_LIST("ServiceIdentities", service_identities, OF_PTR(service_identity), OMIT),
    F_LIST("NodeIdentities", node_identities, OF_PTR(node_identity), OMIT),
    F_STR("Type", type, HIDDEN),
    F_STR("Rules", rules, OMIT),
    F_BOOL("Local", local),
    F_STR("AuthMethod", auth_method, OMIT),
    F_TIME("ExpirationTime", expiration_time, .flags = FIELD_NULLABLE | FIELD_OMIT_EMPTY),
    F_DUR("ExpirationTTL", expiration_ttl,
          .flags = FIELD_DUR_TEXT | FIELD_DUR_ANY | FIELD_OMIT_EMPTY),
    F_TIME("CreateTime", create_time),
    F_BYTES("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(acl_token, "ACLToken");

#define OF struct acl_token_list_stub
static const struct field acl_token_list_stub_fields[] = {
    F_STR("AccessorID", accessor_id),
    F_STR("Description", description),
    F_LIST("Policies", policies, OF_STRUCT(acl_link), OMIT),
    F_LIST("Roles", roles, OF_STRUCT(acl_link), OMIT),
    F_LIST("ServiceIdentities", service_identities, OF_PTR(service_identity), OMIT),
    F_LIST("NodeIdentities", node_identities, OF_PTR(node_identity), OMIT),
    F_BOOL("Local", local),
    F_STR("AuthMethod", auth_method, OMIT),
    F_TIME("ExpirationTime", expiration_time, .flags = FIELD_NULLABLE | FIELD_OMIT_EMPTY),
    F_TIME("CreateTime", create_time),
    F_BYTES("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
    F_BOOL("Legacy", legacy, OMIT),
};
#undef OF
SHAPE(acl_token_list_stub, "ACLTokenListStub");

#define OF struct acl_policy
static const struct field acl_policy_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Description", description),
    F_STR("Rules", rules),
    F_INT("Syntax", syntax, HIDDEN),
    F_LIST("Datacenters", datacenters, OF_STR, OMIT),
    F_BYTES("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(acl_policy, "ACLPolicy");

#define OF struct acl_policy_list_stub
static const struct field acl_policy_list_stub_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Description", description),
    F_LIST("Datacenters", datacenters, OF_STR),
    F_BYTES("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(acl_policy_list_stub, "ACLPolicyListStub");

#define OF struct acl_role
static const struct field acl_role_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Description", description),
    F_LIST("Policies", policies, OF_STRUCT(acl_link), OMIT),
    F_LIST("ServiceIdentities", service_identities, OF_PTR(service_identity), OMIT),
    F_LIST("NodeIdentities", node_identities, OF_PTR(node_identity), OMIT),
    F_BYTES("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(acl_role, "ACLRole");

#define OF struct acl_binding_rule
static const struct field acl_binding_rule_fields[] = {
    F_STR("ID", id),
    F_STR("Description", description),
    F_STR("AuthMethod", auth_method),
    F_STR("Selector", selector),
    F_STR("BindType", bind_type),
    F_STR("BindName", bind_name),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(acl_binding_rule, "ACLBindingRule");

#define OF struct acl_auth_method
static const struct field acl_auth_method_fields[] = {
    F_DUR("MaxTokenTTL", max_token_ttl, .flags = FIELD_DUR_TEXT | FIELD_DUR_ANY | FIELD_OMIT_EMPTY),
    F_STR("Name", name),
    F_STR("Type", type),
    F_STR("DisplayName", display_name, OMIT),
    F_STR("Description", description, OMIT),
    F_STR("TokenLocality", token_locality, OMIT),
    F_ANY("Config", config, .flags = FIELD_MAP_ONLY),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(acl_auth_method, "ACLAuthMethod");

#define OF struct acl_auth_method_list_stub
static const struct field acl_auth_method_list_stub_fields[] = {
    F_STR("Name", name),
    F_STR("Type", type),
    F_STR("DisplayName", display_name, OMIT),
    F_STR("Description", description, OMIT),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(acl_auth_method_list_stub, "ACLAuthMethodListStub");

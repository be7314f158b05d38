/* The table of all endpoints by their names on the wire, and the few functions that they share. */
#include "codec/msgpack.h"
#include "server/endpoint.h"

static const struct endpoint *const all[] = {
    &endpoint_status_ping,
    &endpoint_status_leader,
    &endpoint_status_peers,
    &endpoint_status_raft_stats,
    &endpoint_catalog_register,
    &endpoint_catalog_deregister,
    &endpoint_catalog_list_datacenters,
    &endpoint_catalog_list_nodes,
    &endpoint_catalog_list_services,
    &endpoint_catalog_service_list,
    &endpoint_catalog_service_nodes,
    &endpoint_catalog_node_services,
    &endpoint_catalog_node_service_list,
    &endpoint_catalog_gateway_services,
    &endpoint_health_checks_in_state,
    &endpoint_health_node_checks,
    &endpoint_health_service_checks,
    &endpoint_health_service_nodes,
    &endpoint_kvs_apply,
    &endpoint_kvs_get,
    &endpoint_kvs_list,
    &endpoint_kvs_list_keys,
    &endpoint_session_apply,
    &endpoint_session_get,
    &endpoint_session_list,
    &endpoint_session_node_sessions,
    &endpoint_session_renew,
    &endpoint_coordinate_update,
    &endpoint_coordinate_list_datacenters,
    &endpoint_coordinate_list_nodes,
    &endpoint_coordinate_node,
    &endpoint_prepared_query_apply,
    &endpoint_prepared_query_get,
    &endpoint_prepared_query_list,
    &endpoint_prepared_query_explain,
    &endpoint_prepared_query_execute,
    &endpoint_prepared_query_execute_remote,
    &endpoint_txn_apply,
    &endpoint_txn_read,
    &endpoint_internal_node_info,
    &endpoint_internal_node_dump,
    &endpoint_internal_service_dump,
    &endpoint_internal_gateway_service_dump,
    &endpoint_internal_event_fire,
    &endpoint_internal_keyring_operation,
    &endpoint_operator_raft_configuration,
    &endpoint_operator_autopilot_get,
    &endpoint_operator_autopilot_set,
    &endpoint_operator_raft_remove_by_address,
    &endpoint_operator_raft_remove_by_id,
    &endpoint_operator_server_health,
    &endpoint_acl_token_read,
    &endpoint_acl_token_list,
    &endpoint_acl_token_batch_read,
    &endpoint_acl_token_set,
    &endpoint_acl_token_clone,
    &endpoint_acl_token_delete,
    &endpoint_acl_policy_read,
    &endpoint_acl_policy_list,
    &endpoint_acl_policy_batch_read,
    &endpoint_acl_policy_resolve,
    &endpoint_acl_policy_set,
    &endpoint_acl_policy_delete,
    &endpoint_acl_role_read,
    &endpoint_acl_role_list,
    &endpoint_acl_role_batch_read,
    &endpoint_acl_role_resolve,
    &endpoint_acl_role_set,
    &endpoint_acl_role_delete,
    &endpoint_acl_binding_rule_read,
    &endpoint_acl_binding_rule_list,
    &endpoint_acl_binding_rule_set,
    &endpoint_acl_binding_rule_delete,
    &endpoint_acl_auth_method_read,
    &endpoint_acl_auth_method_list,
    &endpoint_acl_auth_method_set,
    &endpoint_acl_auth_method_delete,
    &endpoint_acl_login,
    &endpoint_acl_logout,
    &endpoint_acl_authorize,
    &endpoint_acl_replication_status,
    &endpoint_acl_bootstrap_tokens,
    &endpoint_acl_apply,
    &endpoint_acl_get,
    &endpoint_acl_list,
    &endpoint_acl_bootstrap,
    &endpoint_acl_get_policy,
    &endpoint_connect_ca_roots,
    &endpoint_connect_ca_configuration_get,
    &endpoint_connect_ca_configuration_set,
    &endpoint_connect_ca_sign,
    &endpoint_connect_ca_sign_intermediate,
    &endpoint_auto_encrypt_sign,
    &endpoint_auto_config_initial_configuration,
    &endpoint_intention_apply,
    &endpoint_intention_get,
    &endpoint_intention_list,
    &endpoint_intention_match,
    &endpoint_intention_check,
};

const struct endpoint *endpoint_find(struct str name) {
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (str_is(name, all[i]->name)) {
            return all[i];
        }
    }
    return NULL;
}

const struct endpoint *endpoint_at(size_t i) {
    return i < COUNT_OF(all) ? all[i] : NULL;
}

void endpoint_entry(struct buf *entry, enum entry_type type, const struct shape *shape,
                    const void *request) {
    buf_add_char(entry, (char)type);
    schema_encode(entry, shape, request);
}

/* Every command, as commands.c lists them. The files that define them include this too, so that the
 * compiler compares.
 */
#ifndef PRAETOR_CLI_COMMANDS_H
#define PRAETOR_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command command_acl, command_acl_auth_method, command_acl_auth_method_create,
    command_acl_auth_method_delete, command_acl_auth_method_list, command_acl_auth_method_read,
    command_acl_auth_method_update, command_acl_binding_rule, command_acl_binding_rule_create,
    command_acl_binding_rule_delete, command_acl_binding_rule_list, command_acl_binding_rule_read,
    command_acl_binding_rule_update, command_acl_bootstrap, command_acl_policy,
    command_acl_policy_create, command_acl_policy_delete, command_acl_policy_list,
    command_acl_policy_read, command_acl_policy_update, command_acl_role, command_acl_role_create,
    command_acl_role_delete, command_acl_role_list, command_acl_role_read, command_acl_role_update,
    command_acl_set_agent_token, command_acl_token, command_acl_token_clone,
    command_acl_token_create, command_acl_token_delete, command_acl_token_list,
    command_acl_token_read, command_acl_token_update, command_acl_translate_rules;
extern const struct command command_agent;
extern const struct command command_catalog, command_catalog_datacenters, command_catalog_nodes,
    command_catalog_services;
extern const struct command command_config, command_config_delete, command_config_list,
    command_config_read, command_config_write;
extern const struct command command_connect, command_connect_ca, command_connect_ca_get_config,
    command_connect_ca_set_config, command_connect_envoy, command_connect_envoy_pipe_bootstrap,
    command_connect_expose, command_connect_proxy;
extern const struct command command_debug;
extern const struct command command_event;
extern const struct command command_exec;
extern const struct command command_force_leave;
extern const struct command command_info;
extern const struct command command_intention, command_intention_check, command_intention_create,
    command_intention_delete, command_intention_get, command_intention_match;
extern const struct command command_join;
extern const struct command command_keygen;
extern const struct command command_keyring;
extern const struct command command_kv, command_kv_delete, command_kv_export, command_kv_get,
    command_kv_import, command_kv_put;
extern const struct command command_leave;
extern const struct command command_lock;
extern const struct command command_login;
extern const struct command command_logout;
extern const struct command command_maint;
extern const struct command command_members;
extern const struct command command_monitor;
extern const struct command command_operator, command_operator_autopilot,
    command_operator_autopilot_get_config, command_operator_autopilot_set_config,
    command_operator_raft, command_operator_raft_list_peers, command_operator_raft_remove_peer;
extern const struct command command_reload;
extern const struct command command_rtt;
extern const struct command command_services, command_services_deregister,
    command_services_register;
extern const struct command command_snapshot, command_snapshot_inspect, command_snapshot_restore,
    command_snapshot_save;
extern const struct command command_tls, command_tls_ca, command_tls_ca_create, command_tls_cert,
    command_tls_cert_create;
extern const struct command command_validate;
extern const struct command command_version;
extern const struct command command_watch;

#endif

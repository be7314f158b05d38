/* Every command, as commands.c lists them. The files that define them include this too, so that the
 * compiler compares.
 */
#ifndef PRAETOR_CLI_COMMANDS_H
#define PRAETOR_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command command_catalog, command_catalog_datacenters, command_catalog_nodes,
    command_catalog_services;
extern const struct command command_event;
extern const struct command command_exec;
extern const struct command command_force_leave;
extern const struct command command_info;
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
extern const struct command command_validate;
extern const struct command command_version;
extern const struct command command_watch;

#endif

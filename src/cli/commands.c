/* The list of all commands, and finding one in it.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/commands.h"

#define COMMAND_WORDS_MAX 4

/* Sorted by name. */
const struct command *const cli_commands[] = {
    &command_acl,
    &command_acl_auth_method,
    &command_acl_auth_method_create,
    &command_acl_auth_method_delete,
    &command_acl_auth_method_list,
    &command_acl_auth_method_read,
    &command_acl_auth_method_update,
    &command_acl_binding_rule,
    &command_acl_binding_rule_create,
    &command_acl_binding_rule_delete,
    &command_acl_binding_rule_list,
    &command_acl_binding_rule_read,
    &command_acl_binding_rule_update,
    &command_acl_bootstrap,
    &command_acl_policy,
    &command_acl_policy_create,
    &command_acl_policy_delete,
    &command_acl_policy_list,
    &command_acl_policy_read,
    &command_acl_policy_update,
    &command_acl_role,
    &command_acl_role_create,
    &command_acl_role_delete,
    &command_acl_role_list,
    &command_acl_role_read,
    &command_acl_role_update,
    &command_acl_set_agent_token,
    &command_acl_token,
    &command_acl_token_clone,
    &command_acl_token_create,
    &command_acl_token_delete,
    &command_acl_token_list,
    &command_acl_token_read,
    &command_acl_token_update,
    &command_acl_translate_rules,
    &command_agent,
    &command_catalog,
    &command_catalog_datacenters,
    &command_catalog_nodes,
    &command_catalog_services,
    &command_config,
    &command_config_delete,
    &command_config_list,
    &command_config_read,
    &command_config_write,
    &command_connect,
    &command_connect_ca,
    &command_connect_ca_get_config,
    &command_connect_ca_set_config,
    &command_connect_envoy,
    &command_connect_envoy_pipe_bootstrap,
    &command_connect_expose,
    &command_connect_proxy,
    &command_debug,
    &command_event,
    &command_exec,
    &command_force_leave,
    &command_info,
    &command_intention,
    &command_intention_check,
    &command_intention_create,
    &command_intention_delete,
    &command_intention_get,
    &command_intention_match,
    &command_join,
    &command_keygen,
    &command_keyring,
    &command_kv,
    &command_kv_delete,
    &command_kv_export,
    &command_kv_get,
    &command_kv_import,
    &command_kv_put,
    &command_leave,
    &command_lock,
    &command_login,
    &command_logout,
    &command_maint,
    &command_members,
    &command_monitor,
    &command_operator,
    &command_operator_autopilot,
    &command_operator_autopilot_get_config,
    &command_operator_autopilot_set_config,
    &command_operator_raft,
    &command_operator_raft_list_peers,
    &command_operator_raft_remove_peer,
    &command_reload,
    &command_rtt,
    &command_services,
    &command_services_deregister,
    &command_services_register,
    &command_snapshot,
    &command_snapshot_inspect,
    &command_snapshot_restore,
    &command_snapshot_save,
    &command_tls,
    &command_tls_ca,
    &command_tls_ca_create,
    &command_tls_cert,
    &command_tls_cert_create,
    &command_validate,
    &command_version,
    &command_watch,
};

const size_t cli_command_count = COUNT_OF(cli_commands);

const struct command *cli_command_find(struct str name) {
    size_t low = 0, high = cli_command_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(name, str_from(cli_commands[middle]->name));
        if (order == 0)
            return cli_commands[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Words with blanks inside end the search: they are no parts of a command's name. */
const struct command *cli_command_match(char *const *args, size_t count, size_t *words) {
    const struct command *found = NULL;
    struct buf joined = BUF_INIT;
    *words = 1;
    for (size_t i = 0; i < count && i < COMMAND_WORDS_MAX; i++) {
        if (strchr(args[i], ' ') != NULL)
            break;
        if (i > 0)
            buf_add_char(&joined, ' ');
        buf_add_text(&joined, args[i]);
        const struct command *c = cli_command_find(buf_str(&joined));
        if (c != NULL) {
            found = c;
            *words = i + 1;
        }
    }
    buf_free(&joined);
    return found;
}

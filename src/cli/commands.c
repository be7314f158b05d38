/* The list of all commands, and finding one in it.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/commands.h"

#define COMMAND_WORDS_MAX 4

/* Sorted by name. */
const struct command *const cli_commands[] = {
    &command_catalog,
    &command_catalog_datacenters,
    &command_catalog_nodes,
    &command_catalog_services,
    &command_event,
    &command_exec,
    &command_force_leave,
    &command_info,
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

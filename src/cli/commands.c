/* The list of all commands, and finding one in it.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/commands.h"

/* Sorted by name. */
const struct command *const cli_commands[] = {
    &command_catalog,
    &command_catalog_datacenters,
    &command_catalog_nodes,
    &command_catalog_services,
    &command_event,
    &command_force_leave,
    &command_info,
    &command_join,
    &command_keygen,
    &command_kv,
    &command_kv_delete,
    &command_kv_export,
    &command_kv_get,
    &command_kv_import,
    &command_kv_put,
    &command_leave,
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
    &command_snapshot,
    &command_snapshot_inspect,
    &command_snapshot_restore,
    &command_snapshot_save,
    &command_validate,
    &command_version,
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

/* How many arguments the first `words` words of the joined text take is the number of its blanks
 * plus one, wherever the blanks came from. */
const struct command *cli_command_match(char *const *args, size_t count, size_t *words) {
    *words = 1;
    if (strchr(args[0], ' ') != NULL)
        return NULL;
    const struct command *found = NULL;
    struct buf joined = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(&joined, ' ');
        buf_add_text(&joined, args[i]);
    }
    size_t blanks = 0;
    for (size_t end = 0; end <= joined.len; end++) {
        if (end < joined.len && joined.data[end] != ' ')
            continue;
        const struct command *c = cli_command_find(str_of(joined.data, end));
        blanks++;
        if (c == NULL && blanks > 4) /* no command has that many words */
            break;
        if (c != NULL) {
            found = c;
            *words = blanks < count ? blanks : count;
        }
    }
    buf_free(&joined);
    return found;
}

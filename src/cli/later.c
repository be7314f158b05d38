/* Commands whose part of the agent is not built yet: they have their names and places, say so, and
 * exit with 1. A command leaves this file when it is built.
 */
#include "cli/commands.h"

static int run(struct cli *cli, const void *options) {
    (void)options;
    return cli_fail(cli, "The command \"%s\" is not part of this build of Praetor yet.",
                    cli->command->name);
}

#define ABOUT "  Not part of this build of Praetor yet.\n"

const struct command command_connect_proxy = {
    .name = "connect proxy",
    .synopsis = "Runs the built-in proxy",
    .usage = "connect proxy [options]",
    .about = ABOUT,
    .raw = true,
    .run = run,
};

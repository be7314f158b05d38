/* `agent`: passes on to the agent itself (a hook of main.c), which knows its flags and their help.
 */
#include "cli/agent.h"

#include "base/mem.h"
#include "cli/commands.h"

static int call_hook(struct cli *cli, char *const *args, size_t count) {
    static char name[] = "agent";
    char **argv = ARENA_ARRAY(cli->arena, char *, count + 2);
    if (cli->hooks->agent == NULL)
        return cli_fail(cli, "agent is not part of this build");
    argv[0] = name;
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = args[i];
    fflush(cli->out);
    return cli->hooks->agent((int)count + 1, argv);
}

static int run(struct cli *cli, const void *options) {
    (void)options;
    return call_hook(cli, cli->args, cli->arg_count);
}

int agent_help(struct cli *cli) {
    static char flag[] = "-h";
    char *args[] = {flag};
    return call_hook(cli, args, 1);
}

const struct command command_agent = {
    .name = "agent",
    .synopsis = "Runs an agent",
    .usage = "agent [options]",
    .raw = true,
    .run = run,
};

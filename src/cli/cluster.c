/* Commands that make an agent do something, with one request: `join`, `leave`, `force-leave`,
 * `reload` (cli.md 2.12, 2.15, 2.19, 2.25).
 */
#include "base/mem.h"
#include "cli/client.h"
#include "cli/commands.h"

/* ---- join ---- */

struct join_options {
    bool wan;
};

static bool join_one(struct cli *cli, struct client *c, const char *address, bool wan) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    call_init(&call, "PUT", str_format(cli->arena, "/v1/agent/join/%s", address));
    if (wan)
        call_param(&call, "wan", STR("1"));
    if (client_expect(c, &call, cli->arena, &e))
        return true;
    cli_err(cli, "Error joining address '%s': " STR_FMT, address, STR_ARG(e.text));
    return false;
}

static int run_join(struct cli *cli, const void *given) {
    const struct join_options *options = given;
    if (cli->arg_count == 0)
        return cli_usage_error(cli, "At least one address to join must be specified.");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    size_t joined = 0;
    for (size_t i = 0; i < cli->arg_count; i++)
        joined += join_one(cli, c, cli->args[i], options->wan);
    client_free(c);
    if (joined == 0)
        return cli_fail(cli, "Failed to join any nodes.");
    cli_out(cli, "Successfully joined cluster by contacting %zu nodes.", joined);
    return CLI_OK;
}

static const struct flag join_flags[] = {
    {"wan", FLAG_BOOL, offsetof(struct join_options, wan), NULL,
     "Join a server of another datacenter, over the wide-area pool."},
};

const struct command command_join = {
    .name = "join",
    .synopsis = "Makes an agent join a cluster",
    .usage = "join [options] address ...",
    .about = "  Makes a running agent join the cluster of the agents at the given addresses; one\n"
             "  that can be reached is enough.\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(join_flags, struct join_options, NULL),
    .run = run_join,
};

/* ---- one request, and perhaps a line ---- */

static int put(struct cli *cli, struct str path, const char *param, const char *failure,
               const char *success) {
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    call_init(&call, "PUT", path);
    if (param != NULL)
        call_param(&call, param, STR("1"));
    bool ok = client_expect(c, &call, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "%s: " STR_FMT, failure, STR_ARG(e.text));
    if (success != NULL)
        cli_out(cli, "%s", success);
    return CLI_OK;
}

static int run_leave(struct cli *cli, const void *options) {
    (void)options;
    if (cli->arg_count > 0) {
        struct buf text = BUF_INIT;
        for (size_t i = 0; i < cli->arg_count; i++)
            buf_add_format(&text, "%s%s", i > 0 ? " " : "", cli->args[i]);
        cli_err(cli, "Error found unexpected args: [" STR_FMT "]", STR_ARG(buf_str(&text)));
        buf_clear(&text);
        help_command(cli->command, &text);
        cli_write_buf(cli->out, &text);
        return CLI_FAILED;
    }
    return put(cli, STR("/v1/agent/leave"), NULL, "Error leaving", "Graceful leave complete");
}

const struct command command_leave = {
    .name = "leave",
    .synopsis = "Makes an agent leave its cluster and stop",
    .usage = "leave [options]",
    .about =
        "  Makes the agent leave its cluster and then stop. Other members do not take that for\n"
        "  a failure, and what the agent registered disappears.\n",
    .groups = GROUP_CLIENT,
    .run = run_leave,
};

static int run_reload(struct cli *cli, const void *options) {
    (void)options;
    return put(cli, STR("/v1/agent/reload"), NULL, "Error reloading",
               "Configuration reload triggered");
}

const struct command command_reload = {
    .name = "reload",
    .synopsis = "Makes an agent read its configuration again",
    .usage = "reload",
    .about = "  Makes the agent read its configuration files again, as SIGHUP does. Not every\n"
             "  setting takes effect without a restart.\n",
    .groups = GROUP_CLIENT,
    .run = run_reload,
};

/* ---- force-leave ---- */

struct force_leave_options {
    bool prune;
};

static int run_force_leave(struct cli *cli, const void *given) {
    const struct force_leave_options *options = given;
    if (cli->arg_count != 1)
        return cli_usage_error(cli, "A single node name must be specified to force leave.");
    return put(cli, str_format(cli->arena, "/v1/agent/force-leave/%s", cli->args[0]),
               options->prune ? "prune" : NULL, "Error force leaving", NULL);
}

static const struct flag force_leave_flags[] = {
    {"prune", FLAG_BOOL, offsetof(struct force_leave_options, prune), NULL,
     "Take the member off the list altogether."},
};

const struct command command_force_leave = {
    .name = "force-leave",
    .synopsis = "Declares a failed member gone",
    .usage = "force-leave [options] name",
    .about = "  Marks a member that failed and will not come back as having left, so that nobody\n"
             "  tries to reach it any more. One that is alive will join again.\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(force_leave_flags, struct force_leave_options, NULL),
    .run = run_force_leave,
};

/* `monitor`: an agent's log as it is written (cli.md 2.22).
 */
#include "cli/client.h"
#include "cli/commands.h"

struct options {
    bool log_json;
    struct str log_level;
};

struct output {
    struct cli *cli;
    bool in_line; /* what came last was no line's end */
};

static bool print_piece(void *owner, struct str piece) {
    struct output *output = owner;
    fwrite(piece.data, 1, piece.len, output->cli->out);
    output->in_line = !str_has_suffix(piece, STR("\n"));
    return fflush(output->cli->out) == 0;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct output output = {cli, false};
    struct call call;
    call_init(&call, "GET", STR("/v1/agent/monitor"));
    if (options->log_level.len > 0)
        call_param(&call, "loglevel", options->log_level);
    if (options->log_json)
        call_param(&call, "logjson", STR("true"));
    call.sink = print_piece;
    call.sink_owner = &output;
    const char *kind = options->log_json ? "JSON " : "";
    client_catch_signals();
    bool ok = client_call(c, &call, cli->arena, &e);
    bool interrupted = client_signal() != 0;
    client_free(c);
    if (interrupted)
        return CLI_OK;
    if (call.status == 0)
        return cli_fail(cli, "Error starting %smonitor: " STR_FMT, kind, STR_ARG(e.text));
    if (ok && call.status != 200) {
        call_unexpected(&call, &e);
        return cli_fail(cli, "Error starting %smonitor: " STR_FMT, kind, STR_ARG(e.text));
    }
    if (output.in_line)
        cli_out(cli, "%s", "");
    cli_out(cli, "\nRemote side ended the monitor! This usually means that the\n"
                 "remote side has exited or crashed.");
    return CLI_FAILED;
}

static const struct flag flags[] = {
    {"log-json", FLAG_BOOL, offsetof(struct options, log_json), NULL, "Lines as JSON objects."},
    {"log-level", FLAG_STRING, offsetof(struct options, log_level), NULL,
     "Show lines of this level and above: trace, debug, info, warn or err."},
};
static const struct options defaults = {.log_level = STR_INIT("INFO")};

const struct command command_monitor = {
    .name = "monitor",
    .synopsis = "Shows an agent's log as it is written",
    .usage = "monitor [options]",
    .about = "  Shows the last lines of an agent's log and then every new one, until interrupted.\n"
             "  The level may be lower than that at which the agent itself logs.\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .run = run,
};

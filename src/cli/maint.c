/* `maint`: maintenance mode of a node or service (cli.md 2.22).
 */
#include "cli/client.h"
#include "cli/commands.h"

struct options {
    bool disable, enable;
    struct str reason, service;
};

static const struct str service_prefix = STR_INIT("_service_maintenance:");

static void print_checks(struct cli *cli, const struct value *checks) {
    for (size_t i = 0; checks->kind == VALUE_MAP && i < checks->map.len; i++) {
        const struct value *check = &checks->map.pairs[i].value;
        struct str id = value_str(check, "CheckID");
        if (str_is(id, "_node_maintenance")) {
            cli_out(cli, "Node:\n  Name:   " STR_FMT, STR_ARG(value_str(check, "Node")));
        } else if (str_has_prefix(id, service_prefix)) {
            id = str_sub(id, service_prefix.len, id.len);
            cli_out(cli, "Service:\n  ID:     " STR_FMT, STR_ARG(id));
        } else {
            continue;
        }
        cli_out(cli, "  Reason: " STR_FMT "\n", STR_ARG(value_str(check, "Notes")));
    }
}

static int list(struct cli *cli, struct client *c) {
    struct error e = ERROR_IN(cli->arena);
    struct value self, checks;
    if (!client_get(c, STR("/v1/agent/self"), &self, cli->arena, &e))
        return cli_fail(cli, "Error querying Consul agent: " STR_FMT, STR_ARG(e.text));
    if (!client_get(c, STR("/v1/agent/checks"), &checks, cli->arena, &e))
        return cli_fail(cli, "Error getting checks: " STR_FMT, STR_ARG(e.text));
    print_checks(cli, &checks);
    return CLI_OK;
}

static int change(struct cli *cli, struct client *c, const struct options *options) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    bool of_service = options->service.len > 0;
    const char *what = options->enable ? "enabl" : "disabl";
    call_init(&call, "PUT",
              of_service ? str_format(cli->arena, "/v1/agent/service/maintenance/" STR_FMT,
                                      STR_ARG(options->service))
                         : STR("/v1/agent/maintenance"));
    call_param(&call, "enable", options->enable ? STR("true") : STR("false"));
    if (options->enable)
        call_param(&call, "reason", options->reason);
    if (!client_expect(c, &call, cli->arena, &e))
        return cli_fail(cli, "Error %sing %s maintenance: " STR_FMT, what,
                        of_service ? "service" : "node", STR_ARG(e.text));
    if (of_service)
        cli_out(cli, "Service maintenance is now %sed for " STR_FMT, what,
                STR_ARG(str_quote(cli->arena, options->service)));
    else
        cli_out(cli, "Node maintenance is now %sed", what);
    return CLI_OK;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    if (options->enable && options->disable)
        return cli_fail(cli, "Only one of -enable or -disable may be provided");
    if (!options->enable && options->reason.len > 0)
        return cli_fail(cli, "Reason may only be provided with -enable");
    if (!options->enable && !options->disable && options->service.len > 0)
        return cli_fail(cli, "Service requires either -enable or -disable");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = options->enable || options->disable ? change(cli, c, options) : list(cli, c);
    client_free(c);
    return exit_code;
}

static const struct flag flags[] = {
    {"disable", FLAG_BOOL, offsetof(struct options, disable), NULL, "End maintenance mode."},
    {"enable", FLAG_BOOL, offsetof(struct options, enable), NULL, "Begin maintenance mode."},
    {"reason", FLAG_STRING, offsetof(struct options, reason), NULL,
     "Why; kept as the note of the check that marks the mode."},
    {"service", FLAG_STRING, offsetof(struct options, service), NULL,
     "ID of the service that is meant, instead of the whole node."},
};

const struct command command_maint = {
    .name = "maint",
    .synopsis = "Begins and ends maintenance of a node or service",
    .usage = "maint [options]",
    .about =
        "  In maintenance mode a node or service counts as failing, so that nobody is sent to\n"
        "  it. Without options this lists what is in it on the agent's node.\n\n"
        "      $ consul maint -enable -service=web -reason=\"new disk\"\n"
        "      $ consul maint -disable -service=web\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(flags, struct options, NULL),
    .run = run,
};

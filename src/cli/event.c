/* `event`: fires a user event (cli.md 2.10).
 */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/filters.h"

struct options {
    struct str name;
    struct node_filters filters;
};

static int fire(struct cli *cli, struct client *c, const struct options *options) {
    struct error e = ERROR_IN(cli->arena);
    struct value answer;
    struct call call;
    if (!client_get(c, STR("/v1/agent/self"), &answer, cli->arena, &e))
        return cli_fail(cli, "Error querying Consul agent: " STR_FMT, STR_ARG(e.text));
    call_init(&call, "PUT",
              str_format(cli->arena, "/v1/event/fire/" STR_FMT, STR_ARG(options->name)));
    node_filters_add(&options->filters, &call);
    if (cli->arg_count == 1)
        call.body = str_from(cli->args[0]);
    if (!client_json(c, &call, &answer, cli->arena, &e))
        return cli_fail(cli, "Error firing event: " STR_FMT, STR_ARG(e.text));
    cli_out(cli, "Event ID: " STR_FMT, STR_ARG(value_str(&answer, "ID")));
    return CLI_OK;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    if (options->name.len == 0)
        return cli_usage_error(cli, "Event name must be specified");
    if (!node_filters_check(cli, &options->filters))
        return CLI_FAILED;
    if (cli->arg_count > 1)
        return cli_usage_error(cli, "Too many command line arguments.");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = fire(cli, c, options);
    client_free(c);
    return exit_code;
}

static const struct flag flags[] = {
    {"name", FLAG_STRING, offsetof(struct options, name), NULL, "The event's name; needed."},
    {"node", FLAG_STRING, offsetof(struct options, filters.node), NULL,
     "Regular expression: only nodes with such a name take notice."},
    {"service", FLAG_STRING, offsetof(struct options, filters.service), NULL,
     "Regular expression: only nodes with such a service take notice."},
    {"tag", FLAG_STRING, offsetof(struct options, filters.tag), NULL,
     "Regular expression: nodes whose service has such a tag. It needs -service."},
};

const struct command command_event = {
    .name = "event",
    .synopsis = "Fires an event",
    .usage = "event [options] [payload]",
    .about = "  Tells all nodes of a datacenter, or those that the options choose, that something\n"
             "  happened. Watches of the type \"event\" see it. Delivery is not certain.\n\n"
             "      $ consul event -name=deploy -service=web 1.2.3\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(flags, struct options, NULL),
    .run = run,
};

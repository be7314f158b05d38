/* `acl bootstrap` and `acl set-agent-token`: the first token, and the agent's own (acl.md 17.2).
 */
#include "cli/acl_token.h"
#include "cli/input.h"

/* ---- bootstrap ---- */

static int bootstrap(struct acl *a) {
    struct value token;
    struct call call;
    call_init(&call, "PUT", STR("/v1/acl/bootstrap"));
    if (!client_json(a->client, &call, &token, a->arena, &a->e))
        return acl_fail(a, "Failed ACL bootstrapping");
    return acl_print(a, &acl_token_view, &token);
}

static int run_bootstrap(struct cli *cli, const void *options) {
    return acl_run(cli, options, bootstrap);
}

static const struct flag bootstrap_flags[] = {ACL_FLAG_FORMAT};

const struct command command_acl_bootstrap = {
    .name = "acl bootstrap",
    .synopsis = "Makes the first token",
    .usage = "acl bootstrap [options]",
    .about =
        "  Makes the first token, which may do everything, and shows it. This works once; when\n"
        "  that token is lost, a file on the leader's disk makes it possible again.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    ACL_FLAGS(bootstrap_flags),
    .run = run_bootstrap,
};

/* ---- set-agent-token ---- */

/* The type as the API calls it; NULL: there is none of that name. */
static const char *api_type(const char *type) {
    static const char *const types[][2] = {{"default", "default"},
                                           {"agent", "agent"},
                                           {"master", "agent_master"},
                                           {"replication", "replication"}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i][0], type) == 0)
            return types[i][1];
    }
    return NULL;
}

static int set_agent_token(struct acl *a) {
    static const struct shape_field shape[] = {{"Token", SHAPE_STR}, {NULL}};
    const char *type = a->cli->args[0], *argument = a->cli->args[1];
    struct value body = value_map();
    struct str token;
    if (!data_load(a->cli, argument, &token, &a->e))
        return cli_fail(a->cli, "Error! " STR_FMT, STR_ARG(a->e.text));
    if (api_type(type) == NULL)
        return cli_fail(a->cli, "Unknown token type");
    struct str path = str_format(a->arena, "/v1/agent/token/%s", api_type(type));
    /* A file's last newline is no part of the token. */
    bool literal = argument[0] != '@' && strcmp(argument, "-") != 0;
    acl_set(a, &body, "Token", literal ? token : str_trim(token));
    if (!acl_put(a, path, &body, shape, NULL))
        return acl_fail(a, "Failed to set ACL token \"%s\"", type);
    cli_out(a->cli, "ACL token \"%s\" set successfully", type);
    return CLI_OK;
}

static int run_set_agent_token(struct cli *cli, const void *options) {
    if (cli->arg_count == 0)
        return cli_fail(cli, "Error! Missing TYPE and TOKEN arguments");
    if (cli->arg_count == 1 && api_type(cli->args[0]) != NULL)
        return cli_fail(cli, "Error! Missing TOKEN argument");
    if (cli->arg_count == 1)
        return cli_fail(cli, "Error! MISSING TYPE argument");
    if (cli->arg_count > 2)
        return cli_fail(cli, "Error! Too many arguments: expected 2 got %zu", cli->arg_count);
    return acl_run_saying(cli, options, "Error connecting to Consul Agent", set_agent_token);
}

const struct command command_acl_set_agent_token = {
    .name = "acl set-agent-token",
    .synopsis = "Gives the agent a token",
    .usage = "acl set-agent-token [options] TYPE TOKEN",
    .about =
        "  Gives the agent a token for its own requests. TOKEN is the secret itself, @ and the\n"
        "  name of a file, or - for standard input. Unless the agent is set to keep it, it is\n"
        "  forgotten at the next reload. TYPE is one of:\n\n"
        "    default      what is sent without a token over HTTP or DNS, and what the agent does\n"
        "                 itself when it has no token for that\n"
        "    agent        what the agent does itself, such as registering its node\n"
        "    master       a secret with which the agent's own API can be used while no server\n"
        "                 can be reached\n"
        "    replication  copying ACLs, configuration entries and the like from the primary\n"
        "                 datacenter\n\n"
        "      $ consul acl set-agent-token default @token\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .run = run_set_agent_token,
};

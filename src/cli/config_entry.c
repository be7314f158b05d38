/* `config list` and `config delete` (cli.md 2.4). Reading and writing entries is in later.c for
 * now.
 */
#include "cli/client.h"
#include "cli/commands.h"

const struct command command_config = {
    .name = "config",
    .synopsis = "Configuration entries that the servers keep",
    .usage = "config <subcommand> [options] [args]",
    .about = "  Configuration entries: settings that the servers keep for all.\n\n"
             "      $ consul config list -kind service-defaults\n"
             "      $ consul config read -kind service-defaults -name web\n",
};

struct options {
    struct str kind, name;
};

static struct client *open_client(struct cli *cli) {
    struct error e = ERROR_IN(cli->arena);
    struct client *c = client_new(cli, &e);
    if (c == NULL)
        cli_err(cli, "Error connect to Consul agent: " STR_FMT, STR_ARG(e.text));
    return c;
}

/* ---- list ---- */

static int run_list(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct error e = ERROR_IN(cli->arena);
    struct value list;
    if (options->kind.len == 0)
        return cli_fail(cli, "Must specify the -kind parameter");
    struct client *c = open_client(cli);
    if (c == NULL)
        return CLI_FAILED;
    bool ok = client_get(c, str_format(cli->arena, "/v1/config/" STR_FMT, STR_ARG(options->kind)),
                         &list, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error listing config entries for kind " STR_FMT ": " STR_FMT,
                        STR_ARG(str_quote(cli->arena, options->kind)), STR_ARG(e.text));
    for (size_t i = 0; i < value_len(&list); i++)
        cli_out_bytes(cli, value_str(&list.list.items[i], "Name"));
    return CLI_OK;
}

static const struct flag list_flags[] = {
    {"kind", FLAG_STRING, offsetof(struct options, kind), NULL, "Kind of the entries; needed."},
};

const struct command command_config_list = {
    .name = "config list",
    .synopsis = "Lists the configuration entries of a kind",
    .usage = "config list [options] -kind <config kind>",
    .about = "  Prints the names of all entries of a kind.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(list_flags, struct options, NULL),
    .run = run_list,
};

/* ---- delete ---- */

static int run_delete(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    if (options->kind.len == 0)
        return cli_fail(cli, "Must specify the -kind parameter");
    if (options->name.len == 0)
        return cli_fail(cli, "Must specify the -name parameter");
    struct client *c = open_client(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct str which =
        str_format(cli->arena, STR_FMT "/" STR_FMT, STR_ARG(options->kind), STR_ARG(options->name));
    call_init(&call, "DELETE", str_format(cli->arena, "/v1/config/" STR_FMT, STR_ARG(which)));
    bool ok = client_expect(c, &call, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error deleting config entry " STR_FMT ": " STR_FMT, STR_ARG(which),
                        STR_ARG(e.text));
    cli_out(cli, "Config entry deleted: " STR_FMT, STR_ARG(which));
    return CLI_OK;
}

static const struct flag delete_flags[] = {
    {"kind", FLAG_STRING, offsetof(struct options, kind), NULL, "Kind of the entry; needed."},
    {"name", FLAG_STRING, offsetof(struct options, name), NULL, "Name of the entry; needed."},
};

const struct command command_config_delete = {
    .name = "config delete",
    .synopsis = "Deletes a configuration entry",
    .usage = "config delete [options] -kind <config kind> -name <config name>",
    .about = "  Deletes an entry. One that is not there is no error.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(delete_flags, struct options, NULL),
    .run = run_delete,
};

/* `connect ca get-config` and `connect ca set-config` (cli.md 2.5).
 */
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/request.h"
#include "schema/client_view.h"

#define BAD_FLAGS "Failed to parse args: "

const struct command command_connect = {
    .name = "connect",
    .synopsis = "Services that know each other by certificate",
    .usage = "connect <subcommand> [options] [args]",
    .about = "  Connect: services that know each other by certificate.\n",
};
const struct command command_connect_ca = {
    .name = "connect ca",
    .synopsis = "The authority that signs for services",
    .usage = "connect ca <subcommand> [options] [args]",
    .about = "  The authority that signs the services' certificates.\n\n"
             "      $ consul connect ca get-config\n"
             "      $ consul connect ca set-config -config-file ca.json\n",
};

static int run_get_config(struct cli *cli, const void *options) {
    struct value answer;
    struct buf text = BUF_INIT, out = BUF_INIT;
    struct json_writer w;
    (void)options;
    if (!request_read(cli, "/v1/connect/ca/configuration", "Error querying CA configuration",
                      &answer))
        return CLI_FAILED;
    json_begin(&w, &text, true);
    shape_write(&w, &answer, shape_ca_config);
    json_indent(buf_str(&text), "\t", &out);
    cli_out_bytes(cli, buf_str(&out));
    buf_free(&text);
    buf_free(&out);
    return CLI_OK;
}

const struct command command_connect_ca_get_config = {
    .name = "connect ca get-config",
    .synopsis = "Shows the authority's settings",
    .usage = "connect ca get-config [options]",
    .about = "  Prints which authority is in use, and its settings.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .bad_flags_prefix = BAD_FLAGS,
    .run = run_get_config,
};

struct options {
    struct flag_set_string config_file;
};

static int set_config(struct cli *cli, struct client *c, struct str file) {
    struct error e = ERROR_IN(cli->arena);
    struct str text;
    struct value config;
    struct call call;
    if (!file_read(str_terminated(cli->arena, file), &text, cli->arena, &e))
        return cli_fail(cli, "Error reading config file: " STR_FMT, STR_ARG(e.text));
    if (!json_parse_whole(text, &config, cli->arena, &e))
        return cli_fail(cli, "Error parsing config file: " STR_FMT, STR_ARG(e.text));
    struct buf body = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &body, false);
    shape_write(&w, &config, shape_ca_config);
    buf_add_char(&body, '\n');
    call_init(&call, "PUT", STR("/v1/connect/ca/configuration"));
    call.body = buf_str(&body);
    bool ok = client_expect(c, &call, cli->arena, &e);
    buf_free(&body);
    if (!ok)
        return cli_fail(cli, "Error setting CA configuration: " STR_FMT, STR_ARG(e.text));
    cli_out(cli, "Configuration updated!");
    return CLI_OK;
}

static int run_set_config(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct client *c = request_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = options->config_file.value.len == 0
                        ? cli_fail(cli, "The -config-file flag is required")
                        : set_config(cli, c, options->config_file.value);
    client_free(c);
    return exit_code;
}

static const struct flag flags[] = {
    {"config-file", FLAG_SET_STRING, offsetof(struct options, config_file), NULL,
     "JSON file with the new settings; needed."},
};

const struct command command_connect_ca_set_config = {
    .name = "connect ca set-config",
    .synopsis = "Changes the authority's settings",
    .usage = "connect ca set-config [options]",
    .about =
        "  Changes the authority or its settings. That may start a change to new certificates.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(flags, struct options, NULL),
    .bad_flags_prefix = BAD_FLAGS,
    .run = run_set_config,
};

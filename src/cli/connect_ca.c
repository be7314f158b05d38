/* `connect ca get-config` and `connect ca set-config` (cli.md 2.5).
 */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/input.h"
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

static struct client *open_client(struct cli *cli) {
    struct error e = ERROR_IN(cli->arena);
    struct client *c = client_new(cli, &e);
    if (c == NULL)
        cli_err(cli, "Error initializing client: " STR_FMT, STR_ARG(e.text));
    return c;
}

/* The writer indents by four blanks; here it is a tab. Blanks at the start of a line are nothing
 * else: strings hold no newline. */
static void print_with_tabs(struct cli *cli, struct str json) {
    struct buf out = BUF_INIT;
    while (json.data != NULL) {
        struct str line = str_cut(&json, '\n');
        while (str_has_prefix(line, STR("    "))) {
            buf_add_char(&out, '\t');
            line = str_sub(line, 4, line.len);
        }
        buf_add_str(&out, line);
        if (json.data != NULL)
            buf_add_char(&out, '\n');
    }
    cli_out_bytes(cli, buf_str(&out));
    buf_free(&out);
}

static int run_get_config(struct cli *cli, const void *options) {
    (void)options;
    struct client *c = open_client(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    struct value answer;
    call_init(&call, "GET", STR("/v1/connect/ca/configuration"));
    call_stale(&call, cli);
    bool ok = client_json(c, &call, &answer, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error querying CA configuration: " STR_FMT, STR_ARG(e.text));
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, true);
    shape_write(&w, &answer, shape_ca_config);
    print_with_tabs(cli, buf_str(&text));
    buf_free(&text);
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
    struct client *c = open_client(cli);
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

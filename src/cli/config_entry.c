/* `config list`, `read`, `write` and `delete` (cli.md 2.4): settings that the servers keep. */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "codec/hcl.h"
#include "codec/json.h"
#include "schema/client_view.h"
#include "schema/config_entry_read.h"

const struct command command_config = {
    .name = "config",
    .synopsis = "Configuration entries that the servers keep",
    .usage = "config <subcommand> [options] [args]",
    .about = "  Configuration entries: settings that the servers keep for all.\n\n"
             "      $ consul config list -kind service-defaults\n"
             "      $ consul config read -kind service-defaults -name web\n"
             "      $ consul config write web.hcl\n",
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

/* ---- one entry ---- */

static const struct flag one_flags[] = {
    {"kind", FLAG_STRING, offsetof(struct options, kind), NULL, "Kind of the entry; needed."},
    {"name", FLAG_STRING, offsetof(struct options, name), NULL, "Name of the entry; needed."},
};

static bool names_one(struct cli *cli, const struct options *options) {
    if (options->kind.len == 0)
        cli_fail(cli, "Must specify the -kind parameter");
    else if (options->name.len == 0)
        cli_fail(cli, "Must specify the -name parameter");
    return options->kind.len > 0 && options->name.len > 0;
}

/* ---- read ---- */

static void print_entry(struct cli *cli, const struct value *entry,
                        const struct shape_field *fields) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, true);
    shape_write(&w, entry, fields);
    cli_out_bytes(cli, buf_str(&text));
    buf_free(&text);
}

/* What is wrong with a kind is known without the agent. */
static const struct shape_field *read_entry(struct cli *cli, struct client *c,
                                            const struct options *options, struct value *entry,
                                            struct error *e) {
    const struct shape_field *fields = shape_config_entry(options->kind);
    if (fields == NULL) {
        error_set(e, ERROR_INTERNAL, "invalid config entry kind: " STR_FMT, STR_ARG(options->kind));
        return NULL;
    }
    struct str path = str_format(cli->arena, "/v1/config/" STR_FMT "/" STR_FMT,
                                 STR_ARG(options->kind), STR_ARG(options->name));
    return client_get(c, path, entry, cli->arena, e) ? fields : NULL;
}

static int run_read(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct error e = ERROR_IN(cli->arena);
    struct value entry;
    if (!names_one(cli, options))
        return CLI_FAILED;
    struct client *c = open_client(cli);
    if (c == NULL)
        return CLI_FAILED;
    const struct shape_field *fields = read_entry(cli, c, options, &entry, &e);
    client_free(c);
    if (fields == NULL)
        return cli_fail(cli, "Error reading config entry " STR_FMT "/" STR_FMT ": " STR_FMT,
                        STR_ARG(options->kind), STR_ARG(options->name), STR_ARG(e.text));
    print_entry(cli, &entry, fields);
    return CLI_OK;
}

const struct command command_config_read = {
    .name = "config read",
    .synopsis = "Shows a configuration entry",
    .usage = "config read [options] -kind <config kind> -name <config name>",
    .about = "  Prints an entry as JSON.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(one_flags, struct options, NULL),
    .run = run_read,
};

/* ---- write ---- */

struct write_options {
    bool cas;
    uint64_t modify_index;
};

static bool load(struct cli *cli, const char *argument, struct str *text, struct error *e) {
    if (*argument == '\0')
        return error_set(e, ERROR_INTERNAL,
                         "Failed to load data: must specify a file path or '-' for stdin");
    if (strcmp(argument, "-") == 0)
        return data_load(cli, argument, text, e);
    return file_read(argument, text, cli->arena, e) || error_prefix(e, "Failed to read file: ");
}

/* JSON when it begins with a brace, else HCL. */
static bool parse(struct str text, struct value *out, struct arena *arena, struct error *e) {
    static const struct type any = {KIND_ANY, NULL, NULL};
    struct json_options options = {.go_type = "interface {}"};
    struct value json, *value = NULL;
    if (!str_has_prefix(str_trim(text), STR("{")))
        return hcl_parse(text, out, arena, e);
    if (!json_parse_whole(text, &json, arena, e) ||
        !schema_from_json_type(&json, &any, &value, &options, arena, e))
        return false;
    *out = *value;
    return true;
}

static struct config_entry *decode(struct cli *cli, struct str text, struct error *e) {
    struct value value;
    struct config_entry *entry = NULL;
    if (!parse(text, &value, cli->arena, e))
        error_prefix(e, "Failed to decode config entry input: ");
    else
        entry = config_entry_read(&value, cli->arena, e);
    return entry;
}

static bool send_entry(struct cli *cli, struct client *c, const struct write_options *options,
                       const struct config_entry *entry, bool *written, struct error *e) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    struct call call;
    struct value answer;
    json_begin(&w, &text, false);
    config_entry_write_json(&w, entry);
    call_init(&call, "PUT", STR("/v1/config"));
    call.body = buf_str(&text);
    if (options->cas)
        call_param(&call, "cas",
                   str_format(cli->arena, "%llu", (unsigned long long)options->modify_index));
    bool ok = client_json(c, &call, &answer, cli->arena, e);
    *written = ok && answer.kind == VALUE_BOOL && answer.boolean;
    buf_free(&text);
    return ok;
}

static int run_write(struct cli *cli, const void *given) {
    struct error e = ERROR_IN(cli->arena);
    struct str text;
    bool written;
    if (cli->arg_count != 1)
        return cli_fail(cli, "Must provide exactly one positional argument to specify the config "
                             "entry to write");
    if (!load(cli, cli->args[0], &text, &e))
        return cli_fail(cli, "Failed to load data: " STR_FMT, STR_ARG(e.text));
    const struct config_entry *entry = decode(cli, text, &e);
    if (entry == NULL)
        return cli_fail(cli, "Failed to decode config entry input: " STR_FMT, STR_ARG(e.text));
    struct client *c = open_client(cli);
    if (c == NULL)
        return CLI_FAILED;
    bool ok = send_entry(cli, c, given, entry, &written, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error writing config entry " STR_FMT "/" STR_FMT ": " STR_FMT,
                        STR_ARG(entry->kind), STR_ARG(entry->name), STR_ARG(e.text));
    if (!written)
        return cli_fail(cli, "Config entry not updated: " STR_FMT "/" STR_FMT, STR_ARG(entry->kind),
                        STR_ARG(entry->name));
    cli_out(cli, "Config entry written: " STR_FMT "/" STR_FMT, STR_ARG(entry->kind),
            STR_ARG(entry->name));
    return CLI_OK;
}

static const struct flag write_flags[] = {
    {"cas", FLAG_BOOL, offsetof(struct write_options, cas), NULL,
     "Write only if the entry has -modify-index still; 0: if it does not exist."},
    {"modify-index", FLAG_UINT, offsetof(struct write_options, modify_index), NULL,
     "Index of the entry's last change, for -cas."},
};

const struct command command_config_write = {
    .name = "config write",
    .synopsis = "Writes a configuration entry",
    .usage = "config write [options] <configuration>",
    .about =
        "  Writes an entry from a file, or from standard input when it is \"-\". It is HCL or\n"
        "  JSON.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(write_flags, struct write_options, NULL),
    .run = run_write,
};

/* ---- delete ---- */

static int run_delete(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    if (!names_one(cli, options))
        return CLI_FAILED;
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

const struct command command_config_delete = {
    .name = "config delete",
    .synopsis = "Deletes a configuration entry",
    .usage = "config delete [options] -kind <config kind> -name <config name>",
    .about =
        "  Deletes an entry. One that is not there is no error. Flags for the agent's address,\n"
        "  token, datacenter and namespace are those of `config read`.\n\n"
        "      $ consul config delete -kind service-defaults -name web\n",
    .flags_untold = true, /* as the peer's help */
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(one_flags, struct options, NULL),
    .run = run_delete,
};

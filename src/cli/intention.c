/* The `intention` commands: which service may talk to which (cli.md 2.14).
 */
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/table.h"
#include "schema/client_view.h"
#include "schema/connect.h"
#include "schema/table.h"

enum { EXIT_ERROR = 2 }; /* of `intention check`, where 1 is an answer */

const struct command command_intention = {
    .name = "intention",
    .synopsis = "Which services may talk to which",
    .usage = "intention <subcommand> [options] [args]",
    .about = "  Intentions say which services may open connections to which others.\n\n"
             "      $ consul intention create web db\n"
             "      $ consul intention create -deny web '*'\n"
             "      $ consul intention match db\n",
};

/* "name" or "namespace/name" */
struct target {
    struct str name_space, name;
};

static bool parse_target(const char *text, struct target *to, struct error *e) {
    struct str rest = str_from(text);
    ptrdiff_t slash = str_find_char(rest, '/');
    *to = (struct target){STR(""), rest};
    if (slash < 0)
        return true;
    to->name_space = str_sub(rest, 0, (size_t)slash);
    to->name = str_sub(rest, (size_t)slash + 1, rest.len);
    return str_find_char(to->name, '/') < 0 ||
           error_set(e, ERROR_BAD_REQUEST, "target can contain at most one '/'");
}

/* The name with its namespace, unless that is the default one. */
static struct str shown(struct str name_space, struct str name, struct arena *arena) {
    if (name_space.len == 0 || str_is(name_space, "default"))
        return name;
    return str_format(arena, STR_FMT "/" STR_FMT, STR_ARG(name_space), STR_ARG(name));
}

static struct str source_of(const struct value *v, struct arena *arena) {
    return shown(value_str(v, "SourceNS"), value_str(v, "SourceName"), arena);
}

static struct str destination_of(const struct value *v, struct arena *arena) {
    return shown(value_str(v, "DestinationNS"), value_str(v, "DestinationName"), arena);
}

/* "a => b (allow)" */
static struct str describe(const struct value *v, struct arena *arena) {
    return str_format(arena, STR_FMT " => " STR_FMT " (" STR_FMT ")", STR_ARG(source_of(v, arena)),
                      STR_ARG(destination_of(v, arena)), STR_ARG(value_str(v, "Action")));
}

static struct str without_default(const char *text) {
    struct str s = str_from(text), prefix = STR("default/");
    return str_has_prefix(s, prefix) ? str_sub(s, prefix.len, s.len) : s;
}

/* The intention between exactly these two; *found is NULL when there is none. False: E. */
static bool find_between(struct cli *cli, struct client *c, const char *source,
                         const char *destination, const struct value **found, struct error *e) {
    struct value *list = ARENA_NEW(cli->arena, struct value);
    struct str from = without_default(source), to = without_default(destination);
    *found = NULL;
    if (!client_get(c, STR("/v1/connect/intentions"), list, cli->arena, e))
        return false;
    for (size_t i = 0; i < value_len(list) && *found == NULL; i++) {
        const struct value *v = &list->list.items[i];
        if (str_eq(source_of(v, cli->arena), from) && str_eq(destination_of(v, cli->arena), to))
            *found = v;
    }
    return true;
}

static struct str not_found(struct arena *arena, char *const *args) {
    return str_format(
        arena, "Intention with source " STR_FMT " and destination " STR_FMT " not found.",
        STR_ARG(str_quote(arena, str_from(args[0]))), STR_ARG(str_quote(arena, str_from(args[1]))));
}

static struct str intention_path(struct arena *arena, struct str id) {
    return str_format(arena, "/v1/connect/intentions/" STR_FMT, STR_ARG(id));
}

/* ---- check ---- */

static int run_check(struct cli *cli, const void *options) {
    (void)options;
    struct error e = ERROR_IN(cli->arena);
    if (cli->arg_count != 2) {
        cli_err(cli, "Error: command requires exactly two arguments: src and dst");
        return EXIT_ERROR;
    }
    struct client *c = client_open(cli);
    if (c == NULL)
        return EXIT_ERROR;
    struct call call;
    struct value answer;
    call_init(&call, "GET", STR("/v1/connect/intentions/check"));
    call_param(&call, "source", str_from(cli->args[0]));
    call_param(&call, "destination", str_from(cli->args[1]));
    call_param(&call, "source-type", STR("consul"));
    bool ok = client_json(c, &call, &answer, cli->arena, &e);
    client_free(c);
    if (!ok) {
        cli_err(cli, "Error checking the connection: " STR_FMT, STR_ARG(e.text));
        return EXIT_ERROR;
    }
    bool allowed = value_bool(&answer, "Allowed");
    cli_out(cli, allowed ? "Allowed" : "Denied");
    return allowed ? CLI_OK : CLI_FAILED;
}

const struct command command_intention_check = {
    .name = "intention check",
    .synopsis = "Says whether one service may connect to another",
    .usage = "intention check [options] SRC DST",
    .about =
        "  Says whether the service SRC may open connections to DST. The exit code is 0 when it\n"
        "  may, 1 when it may not, 2 when that cannot be told.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .bad_flags_exit = EXIT_ERROR,
    .run = run_check,
};

/* ---- create ---- */

struct create_options {
    bool allow, deny, file, replace;
    struct flag_list meta;
};

static bool from_arguments(struct cli *cli, const struct create_options *options,
                           struct value *out) {
    struct error e = ERROR_IN(cli->arena);
    struct target source, destination;
    if (cli->arg_count != 2) {
        cli_err(cli, "Error: Must specify two arguments: source and destination");
        return false;
    }
    if (!parse_target(cli->args[0], &source, &e)) {
        cli_err(cli, "Error: Invalid intention source: " STR_FMT, STR_ARG(e.text));
        return false;
    }
    if (!parse_target(cli->args[1], &destination, &e)) {
        cli_err(cli, "Error: Invalid intention destination: " STR_FMT, STR_ARG(e.text));
        return false;
    }
    struct arena *arena = cli->arena;
    struct value action = value_from_str(options->deny ? STR("deny") : STR("allow"));
    *out = value_map();
    value_put(out, STR("SourceNS"), value_from_str(source.name_space), arena);
    value_put(out, STR("SourceName"), value_from_str(source.name), arena);
    value_put(out, STR("DestinationNS"), value_from_str(destination.name_space), arena);
    value_put(out, STR("DestinationName"), value_from_str(destination.name), arena);
    value_put(out, STR("SourceType"), value_from_str(STR("consul")), arena);
    value_put(out, STR("Action"), action, arena);
    if (options->meta.len > 0) {
        struct value meta = value_map();
        for (size_t i = 0; i + 1 < options->meta.len; i += 2)
            value_put(&meta, options->meta.items[i], value_from_str(options->meta.items[i + 1]),
                      arena);
        value_put(out, STR("Meta"), meta, arena);
    }
    return true;
}

static struct str intention_text(const struct value *v, struct arena *arena) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    shape_write(&w, v, shape_intention);
    buf_add_char(&text, '\n');
    struct str out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

/* *replaced: there was one, which is now this one. */
static bool replace(struct cli *cli, struct client *c, struct value *v, bool *replaced) {
    struct arena *arena = cli->arena;
    struct error e = ERROR_IN(arena);
    const struct value *old = NULL;
    struct call call;
    struct str source = source_of(v, arena), destination = destination_of(v, arena);
    struct str between =
        str_format(arena, "with source " STR_FMT " and destination " STR_FMT,
                   STR_ARG(str_quote(arena, source)), STR_ARG(str_quote(arena, destination)));
    *replaced = false;
    if (!find_between(cli, c, str_terminated(arena, source), str_terminated(arena, destination),
                      &old, &e)) {
        cli_err(cli, "Error looking up intention for replacement " STR_FMT ": " STR_FMT,
                STR_ARG(between), STR_ARG(e.text));
        return false;
    }
    if (old == NULL)
        return true;
    value_put(v, STR("ID"), value_from_str(value_str(old, "ID")), arena);
    call_init(&call, "PUT", intention_path(arena, value_str(old, "ID")));
    call.body = intention_text(v, arena);
    *replaced = client_expect(c, &call, arena, &e);
    if (!*replaced)
        cli_err(cli, "Error replacing intention " STR_FMT ": " STR_FMT, STR_ARG(between),
                STR_ARG(e.text));
    return *replaced;
}

static bool create_one(struct cli *cli, struct client *c, struct value *v, bool may_replace) {
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    struct value answer;
    bool replaced = false;
    if (may_replace && !replace(cli, c, v, &replaced))
        return false;
    if (replaced)
        return true;
    struct str what = describe(v, cli->arena);
    call_init(&call, "POST", STR("/v1/connect/intentions"));
    call.body = intention_text(v, cli->arena);
    if (!client_json(c, &call, &answer, cli->arena, &e)) {
        cli_err(cli, "Error creating intention " STR_FMT ": " STR_FMT,
                STR_ARG(str_quote(cli->arena, what)), STR_ARG(e.text));
        return false;
    }
    cli_out(cli, "Created: " STR_FMT, STR_ARG(what));
    return true;
}

/* An intention as files have it. */
#define OF struct intention
static const struct field intention_file_fields[] = {
    F_STR("ID", id),
    F_STR("Description", description),
    F_STR("SourceNS", source_ns),
    F_STR("SourceName", source_name),
    F_STR("DestinationNS", destination_ns),
    F_STR("DestinationName", destination_name),
    F_STR("SourceType", source_type, .go = "api.IntentionSourceType"),
    F_STR("Action", action, .go = "api.IntentionAction"),
    F_STR("DefaultAddr", default_addr),
    F_INT("DefaultPort", default_port),
    F_MAP("Meta", meta, OF_STR),
    F_INT("Precedence", precedence),
    F_TIME("CreatedAt", created_at),
    F_TIME("UpdatedAt", updated_at),
    F_BYTES("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE_OVER(intention_file, intention, "Intention");

/* Keys in any case, values of their types; then under their own names. */
static bool read_file(struct cli *cli, const char *path, struct value *out, struct error *e) {
    struct arena *arena = cli->arena;
    struct json_options options = {.ignore_unknown = true, .go_type = "api.Intention"};
    struct intention x = {0};
    struct str text;
    struct value given;
    if (!file_read(path, &text, arena, e) || !json_parse(text, &given, NULL, arena, e) ||
        !schema_from_json(&given, &intention_file_shape, &x, &options, arena, e))
        return false;
    struct buf json = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &json, false);
    schema_write_json(&w, &intention_file_shape, &x);
    bool ok = json_parse(str_copy(arena, buf_str(&json)), out, NULL, arena, e);
    buf_free(&json);
    return ok;
}

static bool read_files(struct cli *cli, struct value *list) {
    for (size_t i = 0; i < cli->arg_count; i++) {
        struct error e = ERROR_IN(cli->arena);
        if (!read_file(cli, cli->args[i], &list[i], &e)) {
            cli_err(cli, "Error: " STR_FMT, STR_ARG(e.text));
            return false;
        }
    }
    return true;
}

static int run_create(struct cli *cli, const void *given) {
    const struct create_options *options = given;
    if (options->allow && options->deny)
        return cli_fail(cli, "Only one of -allow or -deny may be specified.");
    size_t count = options->file ? cli->arg_count : 1;
    struct value *list = ARENA_ARRAY(cli->arena, struct value, count + 1);
    if (!(options->file ? read_files(cli, list) : from_arguments(cli, options, list)))
        return CLI_FAILED;
    struct client *c = client_open(cli);
    bool ok = c != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = create_one(cli, c, &list[i], options->replace);
    client_free(c);
    return ok ? CLI_OK : CLI_FAILED;
}

static const struct flag create_flags[] = {
    {"allow", FLAG_BOOL, offsetof(struct create_options, allow), NULL,
     "Connections are allowed; this is the default."},
    {"deny", FLAG_BOOL, offsetof(struct create_options, deny), NULL, "Connections are denied."},
    {"file", FLAG_BOOL, offsetof(struct create_options, file), NULL,
     "The arguments are files, each with an intention as JSON."},
    {"meta", FLAG_MAP, offsetof(struct create_options, meta), NULL,
     "Metadata of the form key=value. May be given several times."},
    {"replace", FLAG_BOOL, offsetof(struct create_options, replace), NULL,
     "Replace the intention between the two if there is one."},
};

const struct command command_intention_create = {
    .name = "intention create",
    .synopsis = "Allows or denies connections",
    .usage = "intention create [options] SRC DST",
    .about = "  Allows or denies connections from SRC to DST. \"*\" stands for every service.\n\n"
             "      $ consul intention create -deny web db\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(create_flags, struct create_options, NULL),
    .run = run_create,
};

/* ---- get ---- */

/* "Monday, 23-Nov-26 09:13:30 UTC", in local time */
static struct str local_time(struct str text, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct timestamp t;
    char out[128];
    struct tm parts;
    if (!timestamp_parse(text, &t, &e))
        return text;
    time_t seconds = (time_t)(timestamp_to_unix_ns(t) / SECOND);
    if (localtime_r(&seconds, &parts) == NULL)
        return text;
    size_t len = strftime(out, sizeof out, "%A, %d-%b-%y %H:%M:%S %Z", &parts);
    return str_copy(arena, str_of(out, len));
}

static void print_intention(struct cli *cli, const struct value *v) {
    struct arena *arena = cli->arena;
    struct table table = {arena, NULL, 0, 0};
    const struct value *meta = value_get(v, "Meta");
    const struct value_pair **pairs = NULL;
    TABLE_ADD(&table, STR("Source:"), source_of(v, arena));
    TABLE_ADD(&table, STR("Destination:"), destination_of(v, arena));
    TABLE_ADD(&table, STR("Action:"), value_str(v, "Action"));
    TABLE_ADD(&table, STR("ID:"), value_str(v, "ID"));
    if (value_str(v, "Description").len > 0)
        TABLE_ADD(&table, STR("Description:"), value_str(v, "Description"));
    size_t count = meta != NULL && meta->kind == VALUE_MAP && meta->map.len > 0
                       ? value_sorted_pairs(meta, &pairs)
                       : 0;
    for (size_t i = 0; i < count; i++)
        TABLE_ADD(&table, str_format(arena, "Meta[" STR_FMT "]:", STR_ARG(pairs[i]->key)),
                  pairs[i]->value.kind == VALUE_STRING ? pairs[i]->value.string : STR(""));
    mem_free(pairs);
    TABLE_ADD(&table, STR("Created At:"), local_time(value_str(v, "CreatedAt"), arena));
    struct buf out = BUF_INIT;
    table_format(&table, &out);
    cli_out_bytes(cli, buf_str(&out));
    buf_free(&out);
}

static bool get_by_id(struct cli *cli, struct client *c, const struct value **found,
                      struct error *e) {
    struct value *v = ARENA_NEW(cli->arena, struct value);
    struct call call;
    call_init(&call, "GET", intention_path(cli->arena, str_from(cli->args[0])));
    *found = v;
    if (!client_call(c, &call, cli->arena, e))
        return false;
    if (call.status == 404) /* the peer crashes */
        return error_set(e, ERROR_NOT_FOUND, "Intention not found");
    if (call.status != 200)
        return error_set(e, ERROR_INTERNAL, "Unexpected response %d: " STR_FMT, call.status,
                         STR_ARG(call.answer));
    return json_parse(call.answer, v, NULL, cli->arena, e);
}

/* Prints what failed; NULL then. */
static const struct value *look_up(struct cli *cli, struct client *c) {
    struct error e = ERROR_IN(cli->arena);
    const struct value *found = NULL;
    if (cli->arg_count == 1) {
        if (get_by_id(cli, c, &found, &e))
            return found;
        cli_err(cli, "Error reading the intention: " STR_FMT, STR_ARG(e.text));
        return NULL;
    }
    if (!find_between(cli, c, cli->args[0], cli->args[1], &found, &e))
        cli_err(cli, "Error: " STR_FMT, STR_ARG(e.text));
    else if (found == NULL)
        cli_err(cli, "Error: " STR_FMT, STR_ARG(not_found(cli->arena, cli->args)));
    return found;
}

static int run_get(struct cli *cli, const void *options) {
    (void)options;
    if (cli->arg_count < 1 || cli->arg_count > 2)
        return cli_fail(cli, "Error: command requires exactly 1 or 2 arguments");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    const struct value *found = look_up(cli, c);
    client_free(c);
    if (found == NULL)
        return CLI_FAILED;
    print_intention(cli, found);
    return CLI_OK;
}

const struct command command_intention_get = {
    .name = "intention get",
    .synopsis = "Shows an intention",
    .usage = "intention get [options] SRC DST",
    .about = "  Shows the intention between two services, or the one with an ID.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .run = run_get,
};

/* ---- delete ---- */

static int delete_one(struct cli *cli, struct client *c) {
    struct error e = ERROR_IN(cli->arena);
    struct str id = str_from(cli->args[0]);
    struct call call;
    if (cli->arg_count == 2) {
        const struct value *found = look_up(cli, c);
        if (found == NULL)
            return CLI_FAILED;
        id = value_str(found, "ID");
    }
    call_init(&call, "DELETE", intention_path(cli->arena, id));
    if (!client_expect(c, &call, cli->arena, &e))
        return cli_fail(cli, "Error reading the intention: " STR_FMT, STR_ARG(e.text));
    cli_out(cli, "Intention deleted.");
    return CLI_OK;
}

static int run_delete(struct cli *cli, const void *options) {
    (void)options;
    if (cli->arg_count < 1 || cli->arg_count > 2)
        return cli_fail(cli, "Error: command requires exactly 1 or 2 arguments");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = delete_one(cli, c);
    client_free(c);
    return exit_code;
}

const struct command command_intention_delete = {
    .name = "intention delete",
    .synopsis = "Deletes an intention",
    .usage = "intention delete [options] SRC DST",
    .about = "  Deletes the intention between two services, or the one with an ID.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .run = run_delete,
};

/* ---- match ---- */

struct match_options {
    bool source, destination;
};

static int run_match(struct cli *cli, const void *given) {
    const struct match_options *options = given;
    struct error e = ERROR_IN(cli->arena);
    if (cli->arg_count != 1)
        return cli_fail(cli, "Error: command requires exactly one argument: src or dst");
    if (options->source && options->destination)
        return cli_fail(cli, "Error: only one of -source or -destination may be specified");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct str name = str_from(cli->args[0]);
    struct call call;
    struct value answer;
    call_init(&call, "GET", STR("/v1/connect/intentions/match"));
    call_param(&call, "by", options->source ? STR("source") : STR("destination"));
    call_param(&call, "name", name);
    bool ok = client_json(c, &call, &answer, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error matching the connection: " STR_FMT, STR_ARG(e.text));
    const struct value *list = NULL;
    for (size_t i = 0; answer.kind == VALUE_MAP && i < answer.map.len; i++) {
        if (str_eq(answer.map.pairs[i].key, name))
            list = &answer.map.pairs[i].value;
    }
    for (size_t i = 0; list != NULL && i < value_len(list); i++)
        cli_out(cli, STR_FMT, STR_ARG(describe(&list->list.items[i], cli->arena)));
    return CLI_OK;
}

static const struct flag match_flags[] = {
    {"destination", FLAG_BOOL, offsetof(struct match_options, destination), NULL,
     "NAME is where connections go; this is the default."},
    {"source", FLAG_BOOL, offsetof(struct match_options, source), NULL,
     "NAME is where connections come from."},
};

const struct command command_intention_match = {
    .name = "intention match",
    .synopsis = "Lists the intentions that count for a service",
    .usage = "intention match [options] SRC|DST",
    .about =
        "  Lists the intentions that count for a service, in the order in which they are looked\n"
        "  at: the first that fits decides.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(match_flags, struct match_options, NULL),
    .bad_flags_exit = EXIT_ERROR,
    .run = run_match,
};

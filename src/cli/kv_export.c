/* `kv export` and `kv import`: trees of keys as JSON (cli.md 2.18).
 */
#include "cli/input.h"
#include "cli/kv.h"
#include "codec/base64.h"
#include "codec/json.h"

/* ---- export ---- */

static void print_entry(struct cli *cli, const struct kv_pair *pair, bool last) {
    struct buf text = BUF_INIT;
    buf_add_text(&text, "\t{\n\t\t\"key\": ");
    json_escape(&text, pair->key);
    buf_add_format(&text, ",\n\t\t\"flags\": %llu,\n\t\t\"value\": \"",
                   (unsigned long long)pair->flags);
    base64_encode(&text, pair->value);
    buf_add_char(&text, '"');
    if (pair->name_space.len > 0) {
        buf_add_text(&text, ",\n\t\t\"namespace\": ");
        json_escape(&text, pair->name_space);
    }
    buf_add_text(&text, last ? "\n\t}\n" : "\n\t},\n");
    cli_write_buf(cli->out, &text);
}

static int run_export(struct cli *cli, const void *options) {
    (void)options;
    if (cli->arg_count > 1)
        return cli_fail(cli, "Too many arguments (expected 1, got %zu)", cli->arg_count);
    struct str prefix = cli->arg_count == 1 ? kv_key(cli->args[0]) : STR("");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct kv_pair *pairs = NULL;
    size_t count = 0;
    bool ok = kv_read(c, prefix, true, cli->http.stale.value, &pairs, &count, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error querying Consul agent: " STR_FMT, STR_ARG(e.text));
    if (count == 0) {
        cli_out(cli, "[]");
        return CLI_OK;
    }
    cli_out(cli, "[");
    for (size_t i = 0; i < count; i++)
        print_entry(cli, &pairs[i], i + 1 == count);
    cli_out(cli, "]");
    return CLI_OK;
}

const struct command command_kv_export = {
    .name = "kv export",
    .synopsis = "Prints a tree of keys as JSON",
    .usage = "kv export [KEY_OR_PREFIX]",
    .about =
        "  Prints all keys that start with the given one, with flags and values in base64, in\n"
        "  the form that \"kv import\" reads:\n\n"
        "      $ consul kv export app/ > app.json\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    .run = run_export,
};

/* ---- import ---- */

struct entry {
    struct str key, value, name_space;
    uint64_t flags;
};

static const char *kind_name(const struct value *v) {
    switch (v->kind) {
    case VALUE_NULL:
        return "null";
    case VALUE_BOOL:
        return "bool";
    case VALUE_STRING:
        return "string";
    case VALUE_LIST:
        return "array";
    case VALUE_MAP:
        return "object";
    default:
        return "number";
    }
}

static bool wrong_type(const struct value *v, const char *type, struct error *e) {
    return error_set(e, ERROR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type %s",
                     kind_name(v), type);
}

static bool wrong_field(const struct value *v, const char *field, const char *type, bool number,
                        struct error *e) {
    struct str literal = number ? v->literal : STR_NONE;
    return error_set(e, ERROR_BAD_REQUEST,
                     "json: cannot unmarshal %s%s" STR_FMT
                     " into Go struct field Entry.%s of type %s",
                     kind_name(v), literal.len > 0 ? " " : "", STR_ARG(literal), field, type);
}

static bool read_field(const struct value_pair *pair, struct entry *to, struct error *e) {
    const struct value *v = &pair->value;
    struct {
        const char *name;
        struct str *to;
    } strings[] = {{"key", &to->key}, {"value", &to->value}, {"namespace", &to->name_space}};
    if (v->kind == VALUE_NULL)
        return true;
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        if (!str_eq_fold(pair->key, str_from(strings[i].name)))
            continue;
        if (v->kind != VALUE_STRING)
            return wrong_field(v, strings[i].name, "string", false, e);
        *strings[i].to = v->string;
        return true;
    }
    if (!str_eq_fold(pair->key, STR("flags")))
        return true;
    bool number = v->kind == VALUE_FLOAT;
    return (number && str_to_u64(v->literal, &to->flags)) ||
           wrong_field(v, "flags", "uint64", number, e);
}

static bool read_entry(const struct value *v, struct entry *to, struct error *e) {
    if (v->kind != VALUE_MAP)
        return wrong_type(v, "impexp.Entry", e);
    for (size_t i = 0; i < v->map.len; i++) {
        if (!read_field(&v->map.pairs[i], to, e))
            return false;
    }
    return true;
}

static bool read_entries(struct str text, struct entry **entries, size_t *count,
                         struct arena *arena, struct error *e) {
    struct value list;
    *count = 0;
    if (!json_parse_whole(text, &list, arena, e))
        return false;
    if (list.kind == VALUE_NULL)
        return true;
    if (list.kind != VALUE_LIST)
        return wrong_type(&list, "[]*impexp.Entry", e);
    *entries = ARENA_ARRAY(arena, struct entry, list.list.len + 1);
    for (size_t i = 0; i < list.list.len; i++) {
        if (!read_entry(&list.list.items[i], &(*entries)[i], e))
            return false;
    }
    *count = list.list.len;
    return true;
}

static bool import_entry(struct cli *cli, struct client *c, const struct entry *entry) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct call call;
    call_init(&call, "PUT", kv_path(&arena, entry->key));
    if (!base64_decode(entry->value, &call.body, &arena, &e)) {
        cli_err(cli, "Error base 64 decoding value for key " STR_FMT ": " STR_FMT,
                STR_ARG(entry->key), STR_ARG(e.text));
        arena_free(&arena);
        return false;
    }
    if (entry->flags != 0)
        call_param(&call, "flags", str_format(&arena, "%llu", (unsigned long long)entry->flags));
    if (entry->name_space.len > 0) {
        call_param(&call, "ns", entry->name_space);
        call.has_namespace = true;
    }
    bool ok = kv_key_check(entry->key, &e) && client_expect(c, &call, &arena, &e);
    if (ok)
        cli_out(cli, "Imported: " STR_FMT, STR_ARG(entry->key));
    else
        cli_err(cli, "Error! Failed writing data for key " STR_FMT ": " STR_FMT,
                STR_ARG(entry->key), STR_ARG(e.text));
    arena_free(&arena);
    return ok;
}

static bool load_data(struct cli *cli, struct str *text) {
    struct error e = ERROR_IN(cli->arena);
    if (cli->arg_count == 0)
        cli_err(cli, "Error! Missing DATA argument");
    else if (cli->arg_count > 1)
        cli_err(cli, "Error! Too many arguments (expected 1, got %zu)", cli->arg_count);
    else if (cli->args[0][0] == '\0')
        cli_err(cli, "Error! Empty DATA argument");
    else if (!data_load(cli, cli->args[0], text, &e))
        cli_err(cli, "Error! " STR_FMT, STR_ARG(e.text));
    else
        return true;
    return false;
}

static int run_import(struct cli *cli, const void *options) {
    (void)options;
    struct str text;
    struct entry *entries = NULL;
    size_t count = 0;
    struct error e = ERROR_IN(cli->arena);
    if (!load_data(cli, &text))
        return CLI_FAILED;
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    bool ok = read_entries(text, &entries, &count, cli->arena, &e);
    if (!ok)
        cli_err(cli, "Cannot unmarshal data: " STR_FMT, STR_ARG(e.text));
    for (size_t i = 0; ok && i < count; i++)
        ok = import_entry(cli, c, &entries[i]);
    client_free(c);
    return ok ? CLI_OK : CLI_FAILED;
}

const struct command command_kv_import = {
    .name = "kv import",
    .synopsis = "Writes a tree of keys from JSON",
    .usage = "kv import [DATA]",
    .about = "  Writes the keys that \"kv export\" printed: from a file, from standard input, or\n"
             "  given as they are:\n\n"
             "      $ consul kv import @app.json\n"
             "      $ consul kv export app/ | consul kv import -http-addr=other:8500 -\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    .run = run_import,
};

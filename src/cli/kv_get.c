/* `kv get`: values, or keys below a prefix (cli.md 2.18).
 */
#include "base/mem.h"
#include "cli/kv.h"
#include "cli/table.h"
#include "codec/base64.h"
#include "codec/json.h"

#define DETAIL_PADDING 6

struct options {
    bool base64, detailed, keys, recurse;
    struct str separator;
};

static struct str shown_value(const struct kv_pair *pair, bool base64, struct arena *arena) {
    if (!base64)
        return pair->value;
    struct buf text = BUF_INIT;
    base64_encode(&text, pair->value);
    struct str out = text.len > 0 ? str_copy(arena, buf_str(&text)) : STR("");
    buf_free(&text);
    return out;
}

static void print_detailed(struct cli *cli, const struct kv_pair *pair, bool base64) {
    struct arena scratch = ARENA_INIT;
    struct buf text = BUF_INIT, out = BUF_INIT;
    buf_add_format(&text, "CreateIndex\t%llu\nFlags\t%llu\nKey\t",
                   (unsigned long long)pair->create_index, (unsigned long long)pair->flags);
    buf_add_str(&text, pair->key);
    buf_add_format(&text, "\nLockIndex\t%llu\nModifyIndex\t%llu\nSession\t",
                   (unsigned long long)pair->lock_index, (unsigned long long)pair->modify_index);
    buf_add_str(&text, pair->session.len > 0 ? pair->session : STR("-"));
    if (pair->name_space.len > 0) {
        buf_add_text(&text, "\nNamespace\t");
        buf_add_str(&text, pair->name_space);
    }
    buf_add_text(&text, "\nValue\t");
    buf_add_str(&text, shown_value(pair, base64, &scratch));
    tabbed_format(buf_str(&text), DETAIL_PADDING, &out);
    cli_out_bytes(cli, buf_str(&out));
    buf_free(&out);
    buf_free(&text);
    arena_free(&scratch);
}

static int print_keys(struct cli *cli, struct client *c, struct str prefix,
                      const struct options *options) {
    struct call call;
    struct error e = ERROR_IN(cli->arena);
    struct value list;
    call_init(&call, "GET", kv_path(cli->arena, prefix));
    call_param(&call, "keys", STR(""));
    if (options->separator.len > 0)
        call_param(&call, "separator", options->separator);
    call_stale(&call, cli);
    bool ok = client_call(c, &call, cli->arena, &e);
    if (ok && call.status == 404)
        return CLI_OK;
    if (ok && call.status != 200)
        ok = error_set(&e, ERROR_INTERNAL, "Unexpected response code: %d", call.status);
    if (!ok || !json_parse(call.answer, &list, NULL, cli->arena, &e))
        return cli_fail(cli, "Error querying Consul agent: " STR_FMT, STR_ARG(e.text));
    for (size_t i = 0; i < value_len(&list); i++)
        cli_out_bytes(cli, list.list.items[i].kind == VALUE_STRING ? list.list.items[i].string
                                                                   : STR(""));
    return CLI_OK;
}

static void print_tree(struct cli *cli, const struct kv_pair *pairs, size_t count,
                       const struct options *options) {
    for (size_t i = 0; i < count; i++) {
        if (options->detailed) {
            print_detailed(cli, &pairs[i], options->base64);
            if (i + 1 < count)
                cli_out(cli, "%s", "");
            continue;
        }
        struct arena scratch = ARENA_INIT;
        fwrite(pairs[i].key.data, 1, pairs[i].key.len, cli->out);
        fputc(':', cli->out);
        cli_out_bytes(cli, shown_value(&pairs[i], options->base64, &scratch));
        arena_free(&scratch);
    }
}

static int print_values(struct cli *cli, struct client *c, struct str key,
                        const struct options *options) {
    struct error e = ERROR_IN(cli->arena);
    struct kv_pair *pairs = NULL;
    size_t count = 0;
    if (!kv_read(c, key, options->recurse, cli->http.stale.value, &pairs, &count, cli->arena, &e))
        return cli_fail(cli, "Error querying Consul agent: " STR_FMT, STR_ARG(e.text));
    if (options->recurse) {
        print_tree(cli, pairs, count, options);
        return CLI_OK;
    }
    if (count == 0)
        return cli_fail(cli, "Error! No key exists at: " STR_FMT, STR_ARG(key));
    if (options->detailed)
        print_detailed(cli, &pairs[0], options->base64);
    else
        cli_out_bytes(cli, shown_value(&pairs[0], options->base64, cli->arena));
    return CLI_OK;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    if (cli->arg_count > 1)
        return cli_fail(cli, "Too many arguments (expected 1, got %zu)", cli->arg_count);
    struct str key = cli->arg_count == 1 ? kv_key(cli->args[0]) : STR("");
    if (key.len == 0 && !options->recurse && !options->keys)
        return cli_fail(cli, "Error! Missing KEY argument");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code =
        options->keys ? print_keys(cli, c, key, options) : print_values(cli, c, key, options);
    client_free(c);
    return exit_code;
}

static const struct flag flags[] = {
    {"base64", FLAG_BOOL, offsetof(struct options, base64), NULL, "Show values in base64."},
    {"detailed", FLAG_BOOL, offsetof(struct options, detailed), NULL,
     "Show all that is known of a key: its indexes, flags and the session that holds it."},
    {"keys", FLAG_BOOL, offsetof(struct options, keys), NULL,
     "List the keys below the prefix, without their values, and only as far as the first "
     "-separator."},
    {"recurse", FLAG_BOOL, offsetof(struct options, recurse), NULL,
     "Show every key that starts with the given prefix."},
    {"separator", FLAG_STRING, offsetof(struct options, separator), NULL,
     "Where -keys cuts the keys that it lists; empty: nowhere."},
};
static const struct options defaults = {.separator = STR_INIT("/")};

const struct command command_kv_get = {
    .name = "kv get",
    .synopsis = "Reads keys",
    .usage = "kv get [options] [KEY_OR_PREFIX]",
    .about = "  Prints the value of a key as it is, and fails when there is no such key:\n\n"
             "      $ consul kv get app/limit\n\n"
             "  All keys with their values below a prefix, or the names alone:\n\n"
             "      $ consul kv get -recurse app/\n"
             "      $ consul kv get -keys app/\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .run = run,
};

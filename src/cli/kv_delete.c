/* `kv delete`: one key, or all below a prefix (cli.md 2.18).
 */
#include "base/mem.h"
#include "cli/kv.h"

struct options {
    bool cas, recurse;
    uint64_t modify_index;
};

static int delete_tree(struct cli *cli, struct client *c, struct call *call, struct str key) {
    struct error e = ERROR_IN(cli->arena);
    call_param(call, "recurse", STR(""));
    if (!client_expect(c, call, cli->arena, &e))
        return cli_fail(cli, "Error! Did not delete prefix " STR_FMT ": " STR_FMT, STR_ARG(key),
                        STR_ARG(e.text));
    cli_out(cli, "Success! Deleted keys with prefix: " STR_FMT, STR_ARG(key));
    return CLI_OK;
}

static int delete_cas(struct cli *cli, struct client *c, struct call *call, struct str key,
                      uint64_t index) {
    struct error e = ERROR_IN(cli->arena);
    bool done = false;
    call_param(call, "cas", str_format(cli->arena, "%llu", (unsigned long long)index));
    if (!kv_change(c, call, &done, cli->arena, &e))
        return cli_fail(cli, "Error! Did not delete key " STR_FMT ": " STR_FMT, STR_ARG(key),
                        STR_ARG(e.text));
    if (!done)
        return cli_fail(cli, "Error! Did not delete key " STR_FMT ": CAS failed", STR_ARG(key));
    cli_out(cli, "Success! Deleted key: " STR_FMT, STR_ARG(key));
    return CLI_OK;
}

static int delete_key(struct cli *cli, struct client *c, struct call *call, struct str key) {
    struct error e = ERROR_IN(cli->arena);
    if (!client_expect(c, call, cli->arena, &e))
        return cli_fail(cli, "Error deleting key " STR_FMT ": " STR_FMT, STR_ARG(key),
                        STR_ARG(e.text));
    cli_out(cli, "Success! Deleted key: " STR_FMT, STR_ARG(key));
    return CLI_OK;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    if (cli->arg_count > 1)
        return cli_fail(cli, "Too many arguments (expected 1, got %zu)", cli->arg_count);
    struct str key = cli->arg_count == 1 ? kv_key(cli->args[0]) : STR("");
    if (key.len == 0 && !options->recurse)
        return cli_fail(cli, "Error! Missing KEY argument");
    if (options->cas && options->modify_index == 0)
        return cli_fail(cli, "Must specify -modify-index with -cas!");
    if (options->modify_index != 0 && !options->cas)
        return cli_fail(cli, "Cannot specify -modify-index without -cas!");
    if (options->cas && options->recurse)
        return cli_fail(cli, "Cannot specify both -cas and -recurse!");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct call call;
    call_init(&call, "DELETE", kv_path(cli->arena, key));
    int exit_code = options->recurse ? delete_tree(cli, c, &call, key)
                    : options->cas   ? delete_cas(cli, c, &call, key, options->modify_index)
                                     : delete_key(cli, c, &call, key);
    client_free(c);
    return exit_code;
}

static const struct flag flags[] = {
    {"cas", FLAG_BOOL, offsetof(struct options, cas), NULL,
     "Delete only when the key's ModifyIndex is still the given one."},
    {"modify-index", FLAG_UINT, offsetof(struct options, modify_index), NULL,
     "The ModifyIndex that -cas compares."},
    {"recurse", FLAG_BOOL, offsetof(struct options, recurse), NULL,
     "Delete every key that starts with the given one."},
};

const struct command command_kv_delete = {
    .name = "kv delete",
    .synopsis = "Deletes keys",
    .usage = "kv delete [options] KEY_OR_PREFIX",
    .about =
        "  Deletes a key, or with -recurse all keys that start with it. To delete one that is\n"
        "  not there is no error.\n\n"
        "      $ consul kv delete app/limit\n"
        "      $ consul kv delete -recurse app/\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(flags, struct options, NULL),
    .run = run,
};

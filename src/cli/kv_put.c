/* `kv put`: writes a value, and takes and gives up locks (cli.md 2.18).
 */
#include "base/mem.h"
#include "cli/input.h"
#include "cli/kv.h"
#include "codec/base64.h"

struct options {
    bool acquire, base64, cas, release;
    uint64_t flags, modify_index;
    struct str session;
};

/* What stands before the place where decoding failed, as far as it is whole groups of four: the
 * peer writes that in spite of the error. */
static struct str decoded_part(struct str text, struct arena *arena) {
    for (size_t len = text.len; len > 0; len--) {
        struct error ignored = ERROR_IN(arena);
        struct str out;
        if (base64_decode(str_sub(text, 0, len), &out, arena, &ignored))
            return out;
    }
    return STR("");
}

static bool load_value(struct cli *cli, const struct options *options, struct str *value) {
    struct error e = ERROR_IN(cli->arena);
    *value = STR("");
    if (cli->arg_count < 2)
        return true;
    if (!data_load(cli, cli->args[1], value, &e)) {
        cli_err(cli, "Error! " STR_FMT, STR_ARG(e.text));
        return false;
    }
    struct str decoded;
    if (!options->base64)
        return true;
    if (!base64_decode(*value, &decoded, cli->arena, &e)) {
        cli_err(cli, "Error! Cannot base 64 decode data: " STR_FMT, STR_ARG(e.text));
        decoded = decoded_part(*value, cli->arena);
    }
    *value = decoded;
    return true;
}

static struct str number(struct arena *arena, uint64_t n) {
    return str_format(arena, "%llu", (unsigned long long)n);
}

static int put_cas(struct cli *cli, struct client *c, struct call *call, struct str key,
                   uint64_t index) {
    struct error e = ERROR_IN(cli->arena);
    bool done = false;
    call_param(call, "cas", number(cli->arena, index));
    if (!kv_change(c, call, &done, cli->arena, &e))
        return cli_fail(cli, "Error! Did not write to " STR_FMT ": " STR_FMT, STR_ARG(key),
                        STR_ARG(e.text));
    if (!done)
        return cli_fail(cli, "Error! Did not write to " STR_FMT ": CAS failed", STR_ARG(key));
    cli_out(cli, "Success! Data written to: " STR_FMT, STR_ARG(key));
    return CLI_OK;
}

static int put_lock(struct cli *cli, struct client *c, struct call *call, struct str key,
                    const struct options *options) {
    struct error e = ERROR_IN(cli->arena);
    bool done = false, acquire = options->acquire;
    call_param(call, acquire ? "acquire" : "release", options->session);
    if (!kv_change(c, call, &done, cli->arena, &e)) /* of a release the peer says only the key */
        return cli_fail(cli, "Error! Failed writing data: " STR_FMT,
                        STR_ARG(acquire || options->session.len == 0 ? e.text : key));
    if (!done)
        return cli_fail(cli, "Error! Did not %s lock", acquire ? "acquire" : "release");
    cli_out(cli, "Success! Lock %s on: " STR_FMT, acquire ? "acquired" : "released", STR_ARG(key));
    return CLI_OK;
}

static int put(struct cli *cli, struct client *c, struct str key, struct str value,
               const struct options *options) {
    struct call call;
    struct error e = ERROR_IN(cli->arena);
    if (!kv_key_check(key, &e))
        return cli_fail(cli, "Error! Failed writing data: " STR_FMT, STR_ARG(e.text));
    call_init(&call, "PUT", kv_path(cli->arena, key));
    call.body = value;
    if (options->flags != 0)
        call_param(&call, "flags", number(cli->arena, options->flags));
    if (options->cas)
        return put_cas(cli, c, &call, key, options->modify_index);
    if (options->acquire || options->release)
        return put_lock(cli, c, &call, key, options);
    if (!client_expect(c, &call, cli->arena, &e))
        return cli_fail(cli, "Error! Failed writing data: " STR_FMT, STR_ARG(e.text));
    cli_out(cli, "Success! Data written to: " STR_FMT, STR_ARG(key));
    return CLI_OK;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    if (cli->arg_count == 0)
        return cli_fail(cli, "Error! Missing KEY argument");
    if (cli->arg_count > 2)
        return cli_fail(cli, "Error! Too many arguments (expected 1 or 2, got %zu)",
                        cli->arg_count);
    struct str value;
    if (!load_value(cli, options, &value))
        return CLI_FAILED;
    if (options->session.len == 0 && (options->acquire || options->release))
        return cli_fail(cli, "Error! Missing -session (required with -acquire and -release)");
    if (options->cas && options->modify_index == 0)
        return cli_fail(cli, "Must specify -modify-index with -cas!");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = put(cli, c, str_from(cli->args[0]), value, options);
    client_free(c);
    return exit_code;
}

static const struct flag flags[] = {
    {"acquire", FLAG_BOOL, offsetof(struct options, acquire), NULL,
     "Take the lock on the key for -session, creating the key when it is not there."},
    {"base64", FLAG_BOOL, offsetof(struct options, base64), NULL,
     "The data is in base64 and is decoded before it is written."},
    {"cas", FLAG_BOOL, offsetof(struct options, cas), NULL,
     "Write only when the key's ModifyIndex is still the given one."},
    {"flags", FLAG_UINT, offsetof(struct options, flags), NULL,
     "A number that is kept with the value and means what its users agree on."},
    {"modify-index", FLAG_UINT, offsetof(struct options, modify_index), NULL,
     "The ModifyIndex that -cas compares."},
    {"release", FLAG_BOOL, offsetof(struct options, release), NULL,
     "Give up the lock that -session holds on the key."},
    {"session", FLAG_STRING, offsetof(struct options, session), NULL,
     "ID of the session for -acquire and -release; it must exist."},
};

const struct command command_kv_put = {
    .name = "kv put",
    .synopsis = "Writes a key",
    .usage = "kv put [options] KEY [DATA]",
    .about = "  Writes a value. Without DATA it is empty; \"-\" reads it from standard input, and\n"
             "  \"@name\" from that file:\n\n"
             "      $ consul kv put app/limit 5\n"
             "      $ consul kv put app/motd @motd.txt\n"
             "      $ date | consul kv put app/started -\n\n"
             "  DATA that begins with a dash needs \"--\" in front of the key.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(flags, struct options, NULL),
    .run = run,
};

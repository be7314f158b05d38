/* `login` and `logout`: a token for a bearer token of somebody else's, and its end (cli.md 2.21).
 */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "codec/json.h"

struct options {
    struct str bearer_token_file, method, token_sink_file, type;
    struct flag_list meta;
};

static struct str login_body(const struct options *options, struct str bearer,
                             struct arena *arena) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    json_open_object(&w);
    json_key(&w, STR("AuthMethod"));
    json_str(&w, options->method);
    json_key(&w, STR("BearerToken"));
    json_str(&w, bearer);
    if (options->meta.len > 0) {
        json_key(&w, STR("Meta"));
        json_open_object(&w);
        for (size_t i = 0; i + 1 < options->meta.len; i += 2) {
            json_key(&w, options->meta.items[i]);
            json_str(&w, options->meta.items[i + 1]);
        }
        json_close_object(&w);
    }
    json_close_object(&w);
    buf_add_char(&text, '\n');
    struct str out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

/* The directories above it are made as far as they are missing. */
static bool write_sink(struct str path, struct str secret, struct arena *arena, struct error *e) {
    const char *slash = memrchr(path.data, '/', path.len);
    struct str above = slash != NULL ? str_sub(path, 0, (size_t)(slash - path.data)) : STR("");
    if (above.len > 0 && !directories_make(str_terminated(arena, above), 0755, arena, e))
        return false;
    return file_write_atomic(path.data, secret, 0600, arena, e);
}

static int login(struct cli *cli, struct client *c, const struct options *options,
                 struct str bearer) {
    struct error e = ERROR_IN(cli->arena);
    struct value token;
    struct call call;
    call_init(&call, "POST", STR("/v1/acl/login"));
    call.body = login_body(options, bearer, cli->arena);
    if (!client_json(c, &call, &token, cli->arena, &e))
        return cli_fail(cli, "Error logging in: " STR_FMT, STR_ARG(e.text));
    if (!write_sink(options->token_sink_file, value_str(&token, "SecretID"), cli->arena, &e))
        return cli_fail(cli, "Error writing token to file sink: " STR_FMT, STR_ARG(e.text));
    return CLI_OK;
}

static int run_login(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct error e = ERROR_IN(cli->arena);
    struct str bearer;
    if (cli->arg_count > 0)
        return cli_fail(cli, "Should have no non-flag arguments.");
    if (options->method.len == 0)
        return cli_fail(cli, "Missing required '-method' flag");
    if (options->token_sink_file.len == 0)
        return cli_fail(cli, "Missing required '-token-sink-file' flag");
    if (options->bearer_token_file.len == 0)
        return cli_fail(cli, "Missing required '-bearer-token-file' flag");
    if (!file_read(options->bearer_token_file.data, &bearer, cli->arena, &e))
        return cli_fail(cli, STR_FMT, STR_ARG(e.text));
    bearer = str_trim(bearer);
    if (bearer.len == 0)
        return cli_fail(cli, "No bearer token found in " STR_FMT,
                        STR_ARG(options->bearer_token_file));
    cli->tokenless = true; /* whoever logs in has none yet */
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    int exit_code = login(cli, c, options, bearer);
    client_free(c);
    return exit_code;
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"bearer-token-file", FLAG_STRING, AT(bearer_token_file), NULL,
     "File with the secret that the auth method understands; needed."},
    {"meta", FLAG_MAP, AT(meta), NULL,
     "Metadata for the new token, of the form key=value. May be given several times."},
    {"method", FLAG_STRING, AT(method), NULL, "Name of the auth method; needed."},
    {"token-sink-file", FLAG_STRING, AT(token_sink_file), NULL,
     "File that gets the new token's secret; needed."},
    {"type", FLAG_STRING, AT(type), NULL, "Type of the auth method; not looked at."},
};
#undef AT

const struct command command_login = {
    .name = "login",
    .synopsis = "Gets a token for a secret of another system",
    .usage = "login [options]",
    .about =
        "  Exchanges a secret of another system, for example of Kubernetes, for an ACL token,\n"
        "  and writes its secret to a file.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER | GROUP_NAMESPACE,
    COMMAND_FLAGS(flags, struct options, NULL),
    .run = run_login,
};

static int run_logout(struct cli *cli, const void *options) {
    (void)options;
    if (cli->arg_count > 0)
        return cli_fail(cli, "Should have no non-flag arguments.");
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct call call;
    call_init(&call, "POST", STR("/v1/acl/logout"));
    bool ok = client_expect(c, &call, cli->arena, &e);
    client_free(c);
    return ok ? CLI_OK : cli_fail(cli, "Error destroying token: " STR_FMT, STR_ARG(e.text));
}

const struct command command_logout = {
    .name = "logout",
    .synopsis = "Deletes the token that login made",
    .usage = "logout [options]",
    .about = "  Deletes the token that \"login\" made. It is the one that the request carries.\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    .run = run_logout,
};

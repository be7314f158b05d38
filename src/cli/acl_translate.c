/* `acl translate-rules`, and the rules of a token of the old kind (acl.md 5.4, 17.2). Translating
 * itself is a hook: it is the room acl's.
 */
#include "cli/acl.h"
#include "cli/input.h"

static bool translate(struct cli *cli, struct str rules, struct str *out, struct error *e) {
    bool ok = cli->hooks->translate_rules != NULL
                  ? cli->hooks->translate_rules(cli->arena, rules, out, e)
                  : error_set(e, ERROR_INTERNAL, "this build of Praetor cannot translate rules");
    return ok || error_prefix(e, "Error translating rules: ");
}

/* The peer looks for secrets among the accessors' IDs when they are not 36 characters long. */
static bool get_legacy(struct acl *a, struct str token, bool is_secret, struct str *rules) {
    struct value found;
    struct call call;
    struct str id = STR("self");
    if (!is_secret && !acl_find_id(a, &acl_tokens, token, &id))
        return false;
    call_init(&call, "GET", acl_path(a, &acl_tokens, id));
    if (is_secret)
        call.token = token;
    if (!client_json(a->client, &call, &found, a->arena, &a->e))
        return error_prefix(&a->e, "Error reading token: ");
    *rules = value_str(&found, "Rules");
    return rules->len > 0 ||
           error_set(&a->e, ERROR_BAD_REQUEST, "Token is not a legacy token with rules");
}

bool acl_legacy_rules(struct acl *a, struct str token, bool is_secret, struct str *rules) {
    struct str legacy;
    if (!get_legacy(a, token, is_secret, &legacy))
        return false;
    return translate(a->cli, legacy, rules, &a->e);
}

static int translate_token(struct acl *a) {
    const struct acl_options *o = a->options;
    struct str token, rules;
    if (!data_load(a->cli, a->cli->args[0], &token, &a->e))
        return cli_fail(a->cli, "Error! " STR_FMT, STR_ARG(a->e.text));
    /* A file's last newline is no part of the token. */
    if (!acl_legacy_rules(a, str_trim(token), o->token_secret, &rules))
        return cli_fail(a->cli, STR_FMT, STR_ARG(a->e.text));
    cli_out_bytes(a->cli, rules);
    return CLI_OK;
}

/* Needs no agent. */
static int translate_text(struct cli *cli) {
    struct error e = ERROR_IN(cli->arena);
    struct str text, rules;
    if (!data_load(cli, cli->args[0], &text, &e))
        return cli_fail(cli, "Error! " STR_FMT, STR_ARG(e.text));
    if (!translate(cli, text, &rules, &e))
        return cli_fail(cli, STR_FMT, STR_ARG(e.text));
    cli_out_bytes(cli, rules);
    return CLI_OK;
}

static int run(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->token_secret && o->token_accessor)
        return cli_fail(cli, "Error - cannot specify both -token-secret and -token-accessor");
    if (cli->arg_count == 0)
        return cli_fail(cli, "Error! Missing TRANSLATE argument");
    if (cli->arg_count > 1)
        return cli_fail(cli, "Error! Too many arguments: expected 1 got %zu", cli->arg_count);
    if (!o->token_secret && !o->token_accessor)
        return translate_text(cli);
    return acl_run_saying(cli, options, "Error connecting to Consul Agent", translate_token);
}

static const struct flag flags[] = {
    {"token-accessor", FLAG_BOOL, ACL_AT(token_accessor), NULL,
     "TRANSLATE is the ID of a token's accessor; its rules are translated."},
    {"token-secret", FLAG_BOOL, ACL_AT(token_secret), NULL,
     "TRANSLATE is a token's secret; its rules are translated."},
};

const struct command command_acl_translate_rules = {
    .name = "acl translate-rules",
    .synopsis = "Translates rules of the old syntax",
    .usage = "acl translate-rules  [options] TRANSLATE",
    .about = "  Prints rules of the old syntax in that of policies. TRANSLATE is the rules\n"
             "  themselves, @ and the name of a file, or - for standard input.\n\n"
             "      $ consul acl translate-rules @old.hcl\n"
             "      $ consul acl translate-rules 'key \"\" { policy = \"write\" }'\n"
             "      $ consul acl translate-rules -token-accessor 429cd746\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    ACL_FLAGS(flags),
    .run = run,
};

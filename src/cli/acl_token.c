/* `acl token`: reading, listing, cloning and deleting tokens (acl.md 17.2). Creating and updating
 * them is in acl_token_write.c.
 */
#include "cli/acl_token.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "base/time.h"
#include "codec/json.h"

const struct command command_acl_token = {
    .name = "acl token",
    .synopsis = "Tokens: secrets and what they allow",
    .usage = "acl token <subcommand> [options] [args]",
    .about =
        "  Tokens: a secret that requests carry, an accessor's ID by which it is spoken of, and\n"
        "  links to the policies and roles that say what it allows.\n\n"
        "      $ consul acl token create -description 'For web' \\\n"
        "            -policy-id 06acc965\n"
        "      $ consul acl token update -id 986193a4 -policy-name kv -merge-policies\n"
        "      $ consul acl token read -id 986193a4\n"
        "      $ consul acl token list\n"
        "      $ consul acl token delete -id 986193a4\n",
};

/* " +0000 UTC"; an offset that is this machine's at that time has its zone's name, any other none.
 */
static void add_zone(struct buf *out, struct timestamp t) {
    time_t seconds = (time_t)(t.seconds - TIMESTAMP_UNIX_EPOCH);
    int minutes = t.offset < 0 ? -t.offset : t.offset;
    struct tm local;
    if (t.offset == -1) {
        buf_add_text(out, " +0000 UTC");
        return;
    }
    char number[16];
    snprintf(number, sizeof number, "%c%02d%02d", t.offset < 0 ? '-' : '+', minutes / 60,
             minutes % 60);
    bool here = localtime_r(&seconds, &local) != NULL && local.tm_gmtoff == t.offset * 60L;
    buf_add_format(out, " %s %s", number, here ? local.tm_zone : number);
}

/* "2026-11-23 09:18:41.03247069 +0000 UTC": the clock as it came. */
static struct str shown_time(struct str time, struct arena *arena) {
    struct error ignored = ERROR_IN(arena);
    struct timestamp t;
    if (!timestamp_parse(time, &t, &ignored))
        return time;
    struct str clock = time, date = str_cut(&clock, 'T');
    size_t len = sizeof "15:04:05" - 1;
    if (len < clock.len && clock.data[len] == '.') {
        for (len++; len < clock.len && isdigit((unsigned char)clock.data[len]);)
            len++;
        while (clock.data[len - 1] == '0')
            len--;
        len -= clock.data[len - 1] == '.';
    }
    struct buf out = BUF_INIT;
    buf_add_format(&out, STR_FMT " " STR_FMT, STR_ARG(date), STR_ARG(str_sub(clock, 0, len)));
    add_zone(&out, t);
    struct str shown = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return shown;
}

static struct str yes_no(const struct value *v, const char *key) {
    return value_bool(v, key) ? STR("true") : STR("false");
}

static void show_token(struct acl_text *t, const struct value *v) {
    acl_show_line(t, "AccessorID:", value_str(v, "AccessorID"));
    if (!t->listed)
        acl_show_line(t, "SecretID:", value_str(v, "SecretID"));
    acl_show_line(t, "Description:", value_str(v, "Description"));
    acl_show_line(t, "Local:", yes_no(v, "Local"));
    acl_show_some(t, "Auth Method:", value_str(v, "AuthMethod"));
    acl_show_line(t, "Create Time:", shown_time(value_str(v, "CreateTime"), t->arena));
    acl_show_some(t, "Expiration Time:", shown_time(value_str(v, "ExpirationTime"), t->arena));
    if (t->listed)
        acl_show_line(t, "Legacy:", yes_no(v, "Legacy"));
    acl_show_hashed_meta(t, v);
    acl_show_links(t, v);
    if (value_str(v, "Rules").len > 0) {
        buf_add_text(&t->out, "Rules:\n");
        buf_add_str(&t->out, value_str(v, "Rules"));
        buf_add_char(&t->out, '\n');
    }
}

const struct acl_view acl_token_view = {shape_acl_token, NULL, 18, show_token};
static const struct acl_view list_view = {shape_acl_token_stub, NULL, 18, show_token};

/* ---- read ---- */

static int read_token(struct acl *a) {
    struct value token;
    struct str id;
    if (a->options->self) {
        if (!acl_get(a, acl_path(a, &acl_tokens, STR("self")), &token))
            return acl_fail(a, "Error reading token");
        return acl_print(a, &acl_token_view, &token);
    }
    if (!acl_find(a, &acl_tokens, &id))
        return CLI_FAILED;
    if (!acl_get(a, acl_path(a, &acl_tokens, id), &token))
        return acl_fail(a, "Error reading token \"" STR_FMT "\"", STR_ARG(id));
    return acl_print(a, &acl_token_view, &token);
}

static int run_read(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0 && !o->self)
        return cli_fail(cli, "Must specify the -id parameter");
    return acl_run(cli, options, read_token);
}

static const struct flag read_flags[] = {
    ACL_TOKEN_FLAG_ID,
    {"self", FLAG_BOOL, ACL_AT(self), NULL,
     "Show the token that the request carries, instead of one by its ID."},
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_token_read = {
    .name = "acl token read",
    .synopsis = "Shows a token",
    .usage = "acl token read [options] -id TOKENID",
    .about = "  Shows a token: the one with an accessor's ID, or the request's own.\n\n"
             "      $ consul acl token read -id 986193a4\n"
             "      $ consul acl token read -self\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(read_flags),
    .run = run_read,
};

/* ---- clone ---- */

static const struct shape_field clone_shape[] = {{"Description", SHAPE_STR}, {NULL}};

static int clone_token(struct acl *a) {
    struct value wanted = value_map(), token;
    struct str id;
    if (!acl_find(a, &acl_tokens, &id))
        return CLI_FAILED;
    acl_set(a, &wanted, "Description", a->options->description.value);
    struct str path = acl_path(a, &acl_tokens, str_format(a->arena, STR_FMT "/clone", STR_ARG(id)));
    if (!acl_put(a, path, &wanted, clone_shape, &token))
        return acl_fail(a, "Error cloning token");
    return acl_print(a, &acl_token_view, &token);
}

static int run_clone(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0)
        return cli_fail(cli, "Cannot update a token without specifying the -id parameter");
    return acl_run(cli, options, clone_token);
}

static const struct flag clone_flags[] = {
    ACL_TOKEN_FLAG_ID,
    {"description", FLAG_SET_STRING, ACL_AT(description), "string",
     "Of the new token; without it, that of the old one."},
    ACL_FLAG_FORMAT,
};

const struct command command_acl_token_clone = {
    .name = "acl token clone",
    .synopsis = "Copies a token",
    .usage = "acl token clone [options]",
    .about = "  Makes a token with a new secret that allows what another one does.\n\n"
             "      $ consul acl token clone -id 986193a4 -description 'The second server'\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(clone_flags),
    .run = run_clone,
};

/* ---- delete, list ---- */

static int delete_token(struct acl *a) {
    return acl_delete_found(a, &acl_tokens);
}

static int run_delete(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0)
        return cli_fail(cli, "Must specify the -id parameter");
    return acl_run(cli, options, delete_token);
}

static const struct flag delete_flags[] = {ACL_TOKEN_FLAG_ID};

const struct command command_acl_token_delete = {
    .name = "acl token delete",
    .synopsis = "Deletes a token",
    .usage = "acl token delete [options] -id TOKEN",
    .about = "  Deletes a token: from now on its secret allows nothing.\n\n"
             "      $ consul acl token delete -id 986193a4\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(delete_flags),
    .run = run_delete,
};

static int list_tokens(struct acl *a) {
    return acl_list(a, &acl_tokens, &list_view);
}

static int run_list(struct cli *cli, const void *options) {
    return acl_run(cli, options, list_tokens);
}

const struct command command_acl_token_list = {
    .name = "acl token list",
    .synopsis = "Lists tokens",
    .usage = "acl token list [options]",
    .about = "  Lists all tokens, without their secrets.\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(acl_list_flags),
    .run = run_list,
};

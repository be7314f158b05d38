/* What the `acl` commands share: requests and IDs. Links are in acl_links.c, printing is in
 * acl_show.c; see acl.h.
 */
#include "cli/acl.h"

#include <ctype.h>

#include "codec/json.h"

#define UUID_LENGTH 36

const struct command command_acl = {
    .name = "acl",
    .synopsis = "Access control: tokens and what they may do",
    .usage = "acl <subcommand> [options] [args]",
    .about = "  Access control. A token carries policies, whose rules say what may be read and "
             "written;\n"
             "  roles bundle policies. Auth methods and binding rules make tokens for those whom\n"
             "  another system vouches for.\n\n"
             "      $ consul acl bootstrap\n"
             "      $ consul acl policy create -name kv -description 'Reads keys' \\\n"
             "            -rules @rules.hcl\n"
             "      $ consul acl token create -policy-name kv\n"
             "      $ consul acl token list\n",
};

const struct acl_options acl_defaults = {
    .format = STR_INIT("pretty"),
    .bind_type = STR_INIT("service"),
};

const struct flag acl_list_flags[2] = {ACL_FLAG_META, ACL_FLAG_FORMAT};

const struct acl_kind acl_tokens = {.what = "token",
                                    .noun = "token",
                                    .list_path = "/v1/acl/tokens",
                                    .item_path = "/v1/acl/token",
                                    .id_key = "AccessorID",
                                    .known_name = "anonymous",
                                    .known_id = "00000000-0000-0000-0000-000000000002"};
const struct acl_kind acl_policies = {.what = "policy",
                                      .noun = "policy",
                                      .list_path = "/v1/acl/policies",
                                      .item_path = "/v1/acl/policy",
                                      .id_key = "ID",
                                      .known_name = "global-management",
                                      .known_id = "00000000-0000-0000-0000-000000000001"};
const struct acl_kind acl_roles = {.what = "role",
                                   .noun = "role",
                                   .list_path = "/v1/acl/roles",
                                   .item_path = "/v1/acl/role",
                                   .id_key = "ID"};
const struct acl_kind acl_binding_rules = {.what = "binding rule",
                                           .noun = "rule",
                                           .list_path = "/v1/acl/binding-rules",
                                           .item_path = "/v1/acl/binding-rule",
                                           .id_key = "ID"};
const struct acl_kind acl_auth_methods = {
    .what = "auth method", .list_path = "/v1/acl/auth-methods", .item_path = "/v1/acl/auth-method"};

int acl_run(struct cli *cli, const void *options, int (*work)(struct acl *a)) {
    return acl_run_saying(cli, options, "Error connecting to Consul agent", work);
}

int acl_run_saying(struct cli *cli, const void *options, const char *failure,
                   int (*work)(struct acl *a)) {
    struct acl a = {cli, options, NULL, cli->arena, ERROR_IN(cli->arena)};
    a.client = client_new(cli, &a.e);
    if (a.client == NULL)
        return acl_fail(&a, "%s", failure);
    int exit_code = work(&a);
    client_free(a.client);
    return exit_code;
}

int acl_fail(struct acl *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str message = str_vformat(a->arena, format, args);
    va_end(args);
    return cli_fail(a->cli, STR_FMT ": " STR_FMT, STR_ARG(message), STR_ARG(a->e.text));
}

int acl_missing(struct cli *cli, const char *message) {
    cli_err(cli, "%s", message);
    return cli_usage_error(cli, NULL);
}

void acl_set(struct acl *a, struct value *object, const char *key, struct str text) {
    value_put(object, str_from(key), value_from_str(text), a->arena);
}

void acl_set_some(struct acl *a, struct value *object, const char *key, struct str text) {
    if (text.len > 0)
        acl_set(a, object, key, text);
}

/* ---- requests ---- */

struct str acl_path(struct acl *a, const struct acl_kind *kind, struct str id) {
    return str_format(a->arena, "%s/" STR_FMT, kind->item_path, STR_ARG(id));
}

/* "Binding rule" */
static const char *title(struct acl *a, const struct acl_kind *kind) {
    return str_format(a->arena, "%c%s", toupper((unsigned char)kind->what[0]), kind->what + 1).data;
}

bool acl_get(struct acl *a, struct str path, struct value *out) {
    return client_get(a->client, path, out, a->arena, &a->e);
}

bool acl_get_current(struct acl *a, const struct acl_kind *kind, struct str path, const char *by,
                     struct str given, const char *failure, struct value *out) {
    struct call call;
    call_init(&call, "GET", path);
    bool ok = client_call(a->client, &call, a->arena, &a->e);
    if (ok && call.status == 404) {
        cli_err(a->cli, "%s not found with %s \"" STR_FMT "\"", title(a, kind), by, STR_ARG(given));
        return false;
    }
    ok = ok && (call.status == 200 || call_unexpected(&call, &a->e));
    ok = ok && json_parse(call.answer, out, NULL, a->arena, &a->e);
    if (!ok)
        acl_fail(a, "%s", failure);
    return ok;
}

bool acl_put(struct acl *a, struct str path, const struct value *v, const struct shape_field *shape,
             struct value *out) {
    struct buf body = BUF_INIT;
    struct json_writer w;
    struct call call;
    json_begin(&w, &body, false);
    shape_write(&w, v, shape);
    call_init(&call, "PUT", path);
    call.body = buf_str(&body);
    bool ok = out != NULL ? client_json(a->client, &call, out, a->arena, &a->e)
                          : client_expect(a->client, &call, a->arena, &a->e);
    buf_free(&body);
    return ok;
}

int acl_create(struct acl *a, const struct acl_kind *kind, const struct acl_view *view,
               const struct value *v) {
    struct value answer;
    if (!acl_put(a, str_from(kind->item_path), v, view->shape, &answer))
        return acl_fail(a, "Failed to create new %s", kind->what);
    return acl_print(a, view, &answer);
}

int acl_update(struct acl *a, const struct acl_kind *kind, const struct acl_view *view,
               struct str id, const struct value *v) {
    struct value answer;
    if (!acl_put(a, acl_path(a, kind, id), v, view->shape, &answer))
        return acl_fail(a, "Error updating %s \"" STR_FMT "\"", kind->what, STR_ARG(id));
    return acl_print(a, view, &answer);
}

int acl_delete(struct acl *a, const struct acl_kind *kind, struct str id) {
    struct call call;
    call_init(&call, "DELETE", acl_path(a, kind, id));
    if (!client_expect(a->client, &call, a->arena, &a->e))
        return acl_fail(a, "Error deleting %s \"" STR_FMT "\"", kind->what, STR_ARG(id));
    cli_out(a->cli, "%s \"" STR_FMT "\" deleted successfully", title(a, kind), STR_ARG(id));
    return CLI_OK;
}

int acl_delete_found(struct acl *a, const struct acl_kind *kind) {
    struct str id;
    return acl_find(a, kind, &id) ? acl_delete(a, kind, id) : CLI_FAILED;
}

int acl_list(struct acl *a, const struct acl_kind *kind, const struct acl_view *view) {
    struct call call;
    struct value list;
    call_init(&call, "GET", str_from(kind->list_path));
    if (a->options->method.len > 0)
        call_param(&call, "authmethod", a->options->method);
    if (!client_json(a->client, &call, &list, a->arena, &a->e))
        return acl_fail(a, "Failed to retrieve the %s list", kind->what);
    return acl_print_list(a, view, &list);
}

/* ---- IDs ---- */

bool acl_find_id(struct acl *a, const struct acl_kind *kind, struct str given, struct str *id) {
    struct value list;
    size_t found = 0;
    *id = given;
    if (given.len == UUID_LENGTH)
        return true;
    if (kind->known_name != NULL && str_is(given, kind->known_name)) {
        *id = str_from(kind->known_id);
        return true;
    }
    if (!acl_get(a, str_from(kind->list_path), &list))
        return false;
    for (size_t i = 0; i < value_len(&list); i++) {
        struct str one = value_str(&list.list.items[i], kind->id_key);
        if (str_has_prefix(one, given)) {
            *id = one;
            found++;
        }
    }
    /* An empty beginning says nothing, also when there is only one that it could mean. */
    if (found > 1 || (found == 1 && given.len == 0))
        return error_set(&a->e, ERROR_NOT_FOUND, "Partial %s ID is not unique", kind->noun);
    return found == 1 || error_set(&a->e, ERROR_NOT_FOUND, "No such %s ID with prefix: " STR_FMT,
                                   kind->noun, STR_ARG(given));
}

static bool find_name(struct acl *a, const struct acl_kind *kind, struct str name, struct str *id) {
    struct value list;
    if (!acl_get(a, str_from(kind->list_path), &list))
        return false;
    for (size_t i = 0; i < value_len(&list); i++) {
        if (str_eq(value_str(&list.list.items[i], "Name"), name)) {
            *id = value_str(&list.list.items[i], kind->id_key);
            return true;
        }
    }
    return error_set(&a->e, ERROR_NOT_FOUND, "No such %s with name " STR_FMT, kind->noun,
                     STR_ARG(name));
}

bool acl_find(struct acl *a, const struct acl_kind *kind, struct str *id) {
    const struct acl_options *o = a->options;
    bool ok =
        o->id.len > 0 ? acl_find_id(a, kind, o->id, id) : find_name(a, kind, o->name.value, id);
    if (!ok)
        acl_fail(a, "Error determining %s ID", kind->what);
    return ok;
}

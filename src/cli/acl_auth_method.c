/* `acl auth-method`: who else may vouch for those that want a token (acl.md 17.2).
 */
#include "base/time.h"
#include "cli/acl.h"
#include "cli/input.h"
#include "cli/request.h"
#include "codec/json.h"

const struct command command_acl_auth_method = {
    .name = "acl auth-method",
    .synopsis = "Auth methods: who else may vouch for a token",
    .usage = "acl auth-method <subcommand> [options] [args]",
    .about =
        "  Auth methods: other systems that vouch for those who log in, so that they get a token\n"
        "  without having been given one.\n\n"
        "      $ consul acl auth-method create -type jwt -name sso -config @sso.json\n"
        "      $ consul acl auth-method create -type kubernetes -name k8s \\\n"
        "            -kubernetes-host https://k8s.example.com -kubernetes-ca-cert @k8s.pem \\\n"
        "            -kubernetes-service-account-jwt \"JWT_CONTENTS\"\n"
        "      $ consul acl auth-method update -name k8s -max-token-ttl 8h \\\n"
        "            -kubernetes-service-account-jwt \"NEW_JWT_CONTENTS\"\n"
        "      $ consul acl auth-method read -name sso\n"
        "      $ consul acl auth-method list\n"
        "      $ consul acl auth-method delete -name sso\n",
};

static void show_config(struct acl_text *t, const struct value *config) {
    static const struct value none = {.kind = VALUE_NULL};
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, true);
    json_value(&w, config != NULL ? config : &none);
    buf_add_text(&t->out, "Config:\n");
    json_indent(buf_str(&text), "  ", &t->out);
    buf_free(&text);
}

static void show_method(struct acl_text *t, const struct value *v) {
    if (!t->listed)
        acl_show_line(t, "Name:", value_str(v, "Name"));
    acl_show_line(t, "Type:", value_str(v, "Type"));
    acl_show_some(t, "DisplayName:", value_str(v, "DisplayName"));
    acl_show_line(t, "Description:", value_str(v, "Description"));
    if (!t->listed) {
        acl_show_some(t, "MaxTokenTTL:", value_str(v, "MaxTokenTTL"));
        acl_show_some(t, "TokenLocality:", value_str(v, "TokenLocality"));
    }
    acl_show_meta(t, v);
    if (!t->listed)
        show_config(t, value_get(v, "Config"));
}

static const struct acl_view view = {shape_acl_auth_method, NULL, 15, show_method};
static const struct acl_view list_view = {shape_acl_auth_method_stub, "Name", 14, show_method};

#define NAME_FLAG ACL_FLAG_NAME("Name of the auth method; needed.")
#define FLAGS_SETTINGS                                                                             \
    ACL_FLAG_DESCRIPTION,                                                                          \
        {"display-name", FLAG_STRING, ACL_AT(display_name), NULL,                                  \
         "What people are to see instead of the name."},                                           \
        {"max-token-ttl", FLAG_DURATION, ACL_AT(max_token_ttl), NULL,                              \
         "For how long the tokens of its logins are valid. Without it, until they are deleted."},  \
        {"token-locality", FLAG_STRING, ACL_AT(token_locality), NULL,                              \
         "Where its tokens count: \"local\" for this datacenter, which is so without it, or "      \
         "\"global\"."},                                                                           \
        {"config", FLAG_STRING, ACL_AT(config), NULL,                                              \
         "Its settings as a JSON object: itself, @ and the name of a file, or - for standard "     \
         "input."},                                                                                \
        {"kubernetes-host", FLAG_STRING, ACL_AT(kubernetes_host), NULL,                            \
         "Of type kubernetes: URL of its API."},                                                   \
        {"kubernetes-ca-cert", FLAG_STRING, ACL_AT(kubernetes_ca_cert), NULL,                      \
         "Of type kubernetes: certificate (PEM) of the API's authority: itself, @ and the name "   \
         "of a file, or - for standard input."},                                                   \
        {"kubernetes-service-account-jwt", FLAG_STRING, ACL_AT(kubernetes_jwt), NULL,              \
         "Of type kubernetes: JWT of the service account with which the API is asked."},           \
        ACL_FLAG_META, ACL_FLAG_FORMAT

/* ---- settings ---- */

static bool parse_config(struct acl *a, struct str text, struct value *config) {
    static const char *const kinds[] = {[VALUE_BOOL] = "bool",
                                        [VALUE_FLOAT] = "number",
                                        [VALUE_STRING] = "string",
                                        [VALUE_LIST] = "array"};
    if (!json_parse_whole(text, config, a->arena, &a->e))
        return false;
    return config->kind == VALUE_MAP || config->kind == VALUE_NULL ||
           error_set(&a->e, ERROR_BAD_REQUEST,
                     "json: cannot unmarshal %s into Go value of type map[string]interface {}",
                     kinds[config->kind]);
}

/* The settings from -config into the method. What to say when they cannot be used differs between
 * creating and updating. False: it was said. */
static bool take_config(struct acl *a, struct value *method, const char *conflict,
                        const char *unreadable) {
    const struct acl_options *o = a->options;
    struct value config;
    struct str text;
    if (o->kubernetes_host.len + o->kubernetes_ca_cert.len + o->kubernetes_jwt.len > 0) {
        cli_err(a->cli, "%s", conflict);
        return false;
    }
    if (!data_load(a->cli, o->config.data, &text, &a->e)) {
        acl_fail(a, "Error loading configuration file");
        return false;
    }
    if (!parse_config(a, text, &config)) {
        acl_fail(a, "%s", unreadable);
        return false;
    }
    value_put(method, STR("Config"), config, a->arena);
    return true;
}

/* Those of type kubernetes that have flags of their own, into the settings that are there. */
static bool take_kubernetes(struct acl *a, struct value *method) {
    const struct acl_options *o = a->options;
    const struct value *old = value_get(method, "Config");
    struct value config = old != NULL && old->kind == VALUE_MAP ? *old : value_map();
    struct str certificate = o->kubernetes_ca_cert;
    if (certificate.len > 0 && !data_load(a->cli, certificate.data, &certificate, &a->e)) {
        acl_fail(a, "Invalid '-kubernetes-ca-cert' value");
        return false;
    }
    acl_set_some(a, &config, "Host", o->kubernetes_host);
    acl_set_some(a, &config, "CACert", certificate);
    acl_set_some(a, &config, "ServiceAccountJWT", o->kubernetes_jwt);
    value_put(method, STR("Config"), config, a->arena);
    return true;
}

/* A method of type kubernetes that is made anew without -config needs all three. */
static bool has_kubernetes(struct acl *a) {
    const struct acl_options *o = a->options;
    const char *missing = o->kubernetes_host.len == 0      ? "-kubernetes-host"
                          : o->kubernetes_ca_cert.len == 0 ? "-kubernetes-ca-cert"
                          : o->kubernetes_jwt.len == 0     ? "-kubernetes-service-account-jwt"
                                                           : NULL;
    if (missing != NULL)
        cli_err(a->cli, "Missing required '%s' flag", missing);
    return missing == NULL;
}

static void take_fields(struct acl *a, struct value *method) {
    const struct acl_options *o = a->options;
    acl_set_some(a, method, "DisplayName", o->display_name);
    acl_set_some(a, method, "Description", o->description.value);
    acl_set_some(a, method, "TokenLocality", o->token_locality);
    if (o->max_token_ttl != 0) /* one below zero is the server's to refuse */
        acl_set(a, method, "MaxTokenTTL", duration_format(a->arena, o->max_token_ttl));
}

/* ---- create ---- */

static int create_method(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value method = value_map();
    bool ok = true;
    acl_set(a, &method, "Name", o->name.value);
    acl_set(a, &method, "Type", o->type);
    take_fields(a, &method);
    if (o->config.len > 0)
        ok = take_config(a, &method, "Cannot use command line arguments with '-config' flags",
                         "Error parsing JSON configuration file");
    else if (str_is(o->type, "kubernetes"))
        ok = has_kubernetes(a) && take_kubernetes(a, &method);
    return ok ? acl_create(a, &acl_auth_methods, &view, &method) : CLI_FAILED;
}

static int run_create(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->type.len == 0)
        return acl_missing(cli, "Missing required '-type' flag");
    if (o->name.value.len == 0)
        return acl_missing(cli, "Missing required '-name' flag");
    return acl_run(cli, options, create_method);
}

static const struct flag create_flags[] = {
    {"type", FLAG_STRING, ACL_AT(type), NULL,
     "Type of the auth method, jwt or kubernetes; needed."},
    NAME_FLAG,
    FLAGS_SETTINGS,
};

const struct command command_acl_auth_method_create = {
    .name = "acl auth-method create",
    .synopsis = "Creates an auth method",
    .usage = "acl auth-method create -name NAME -type TYPE [options]",
    .about = "  Creates an auth method and shows it.\n\n"
             "      $ consul acl auth-method create -type kubernetes -name k8s \\\n"
             "            -kubernetes-host https://k8s.example.com:8443 \\\n"
             "            -kubernetes-ca-cert @k8s.pem \\\n"
             "            -kubernetes-service-account-jwt \"JWT_CONTENTS\"\n"
             "      $ consul acl auth-method create -type jwt -name sso -config @sso.json\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(create_flags),
    .run = run_create,
};

/* ---- read, update ---- */

static int run_named(struct cli *cli, const void *options, const char *missing,
                     int (*work)(struct acl *a)) {
    const struct acl_options *o = options;
    if (o->name.value.len == 0)
        return cli_fail(cli, "%s", missing);
    return acl_run(cli, options, work);
}

/* The one that -name names. */
static bool get_current(struct acl *a, const char *failure, struct value *method) {
    struct str name = a->options->name.value;
    return acl_get_current(a, &acl_auth_methods, acl_path(a, &acl_auth_methods, name), "name", name,
                           failure, method);
}

static int read_method(struct acl *a) {
    struct value method;
    struct str failure = str_format(a->arena, "Error reading auth method \"" STR_FMT "\"",
                                    STR_ARG(a->options->name.value));
    return get_current(a, failure.data, &method) ? acl_print(a, &view, &method) : CLI_FAILED;
}

static int run_read(struct cli *cli, const void *options) {
    return run_named(cli, options, "Must specify the -name parameter", read_method);
}

static const struct flag read_flags[] = {NAME_FLAG, ACL_FLAG_META, ACL_FLAG_FORMAT};

const struct command command_acl_auth_method_read = {
    .name = "acl auth-method read",
    .synopsis = "Shows an auth method",
    .usage = "acl auth-method read -name NAME [options]",
    .about = "  Shows an auth method with its settings.\n\n"
             "      $ consul acl auth-method read -name sso\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(read_flags),
    .run = run_read,
};

static int update_method(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value method;
    bool ok = true;
    if (!get_current(a, "Error when retrieving current auth method", &method))
        return CLI_FAILED;
    struct str type = value_str(&method, "Type");
    if (o->no_merge)
        method = value_map();
    acl_set(a, &method, "Name", o->name.value);
    acl_set(a, &method, "Type", type);
    take_fields(a, &method);
    if (o->config.len > 0)
        ok = take_config(a, &method, "Cannot use command line arguments with '-config' flag",
                         "Error parsing JSON for auth method config");
    else if (str_is(type, "kubernetes"))
        ok = (!o->no_merge || has_kubernetes(a)) && take_kubernetes(a, &method);
    return ok ? acl_update(a, &acl_auth_methods, &view, o->name.value, &method) : CLI_FAILED;
}

static int run_update(struct cli *cli, const void *options) {
    return run_named(cli, options,
                     "Cannot update an auth method without specifying the -name parameter",
                     update_method);
}

static const struct flag update_flags[] = {NAME_FLAG, FLAGS_SETTINGS, ACL_FLAG_NO_MERGE};

const struct command command_acl_auth_method_update = {
    .name = "acl auth-method update",
    .synopsis = "Changes an auth method",
    .usage = "acl auth-method update -name NAME [options]",
    .about =
        "  Changes what the flags name of an auth method, and leaves the rest of it as it is.\n"
        "  -config replaces all settings.\n\n"
        "      $ consul acl auth-method update -name k8s -max-token-ttl 8h \\\n"
        "            -kubernetes-service-account-jwt \"NEW_JWT_CONTENTS\"\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(update_flags),
    .run = run_update,
};

/* ---- delete, list ---- */

static int delete_method(struct acl *a) {
    return acl_delete(a, &acl_auth_methods, a->options->name.value);
}

static int run_delete(struct cli *cli, const void *options) {
    return run_named(cli, options, "Must specify the -name parameter", delete_method);
}

static const struct flag delete_flags[] = {NAME_FLAG};

const struct command command_acl_auth_method_delete = {
    .name = "acl auth-method delete",
    .synopsis = "Deletes an auth method",
    .usage = "acl auth-method delete -name NAME [options]",
    .about = "  Deletes an auth method with its binding rules and the tokens of its logins.\n\n"
             "      $ consul acl auth-method delete -name sso\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(delete_flags),
    .run = run_delete,
};

static int list_methods(struct acl *a) {
    return acl_list(a, &acl_auth_methods, &list_view);
}

static int run_list(struct cli *cli, const void *options) {
    return acl_run(cli, options, list_methods);
}

const struct command command_acl_auth_method_list = {
    .name = "acl auth-method list",
    .synopsis = "Lists auth methods",
    .usage = "acl auth-method list [options]",
    .about = "  Lists all auth methods, without their settings.\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(acl_list_flags),
    .run = run_list,
};

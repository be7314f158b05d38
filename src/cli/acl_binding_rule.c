/* `acl binding-rule`: what a login at an auth method grants (acl.md 17.2).
 */
#include "cli/acl.h"

const struct command command_acl_binding_rule = {
    .name = "acl binding-rule",
    .synopsis = "Binding rules: what a login grants",
    .usage = "acl binding-rule <subcommand> [options] [args]",
    .about = "  Binding rules: which role or identity those get who log in at an auth method.\n\n"
             "      $ consul acl binding-rule create -method k8s -bind-type service \\\n"
             "            -selector 'serviceaccount.namespace==web' -description 'k8s of web' \\\n"
             "            -bind-name='k8s-${serviceaccount.name}'\n"
             "      $ consul acl binding-rule update -id 43cb72df -bind-name web\n"
             "      $ consul acl binding-rule read -id 43cb72df\n"
             "      $ consul acl binding-rule list\n"
             "      $ consul acl binding-rule delete -id 43cb72df\n",
};

static void show_rule(struct acl_text *t, const struct value *v) {
    if (!t->listed)
        acl_show_line(t, "ID:", value_str(v, "ID"));
    acl_show_line(t, "AuthMethod:", value_str(v, "AuthMethod"));
    acl_show_line(t, "Description:", value_str(v, "Description"));
    acl_show_line(t, "BindType:", value_str(v, "BindType"));
    acl_show_line(t, "BindName:", value_str(v, "BindName"));
    acl_show_line(t, "Selector:", value_str(v, "Selector"));
    acl_show_meta(t, v);
}

static const struct acl_view view = {shape_acl_binding_rule, "ID", 14, show_rule};

#define ID_FLAG ACL_FLAG_ID("ID of the binding rule; needed.")
#define FLAG_BIND_NAME                                                                             \
    {                                                                                              \
        "bind-name", FLAG_STRING, ACL_AT(bind_name), NULL,                                         \
            "Name of the service, node or role; ${variable} stands for what the auth method says " \
            "of who logs in."                                                                      \
    }
#define FLAG_SELECTOR                                                                              \
    {                                                                                              \
        "selector", FLAG_SET_STRING, ACL_AT(selector), "string",                                   \
            "Expression about what the auth method says of who logs in; the rule counts where it " \
            "is true. An empty one always is."                                                     \
    }

/* ---- create ---- */

static int create_rule(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value rule = value_map();
    acl_set(a, &rule, "Description", o->description.value);
    acl_set(a, &rule, "AuthMethod", o->method);
    acl_set(a, &rule, "Selector", o->selector.value);
    acl_set(a, &rule, "BindType", o->bind_type);
    acl_set(a, &rule, "BindName", o->bind_name);
    return acl_create(a, &acl_binding_rules, &view, &rule);
}

static int run_create(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->method.len == 0)
        return acl_missing(cli, "Missing required '-method' flag");
    if (o->bind_type.len == 0)
        return acl_missing(cli, "Missing required '-bind-type' flag");
    if (o->bind_name.len == 0)
        return acl_missing(cli, "Missing required '-bind-name' flag");
    return acl_run(cli, options, create_rule);
}

static const struct flag create_flags[] = {
    {"method", FLAG_STRING, ACL_AT(method), NULL, "Name of the auth method; needed."},
    {"bind-type", FLAG_STRING, ACL_AT(bind_type), NULL,
     "What a login gets: a \"service\" or \"node\" identity, or a \"role\"."},
    FLAG_BIND_NAME,
    FLAG_SELECTOR,
    ACL_FLAG_DESCRIPTION,
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_binding_rule_create = {
    .name = "acl binding-rule create",
    .synopsis = "Creates a binding rule",
    .usage = "acl binding-rule create [options]",
    .about = "  Creates a binding rule and shows it.\n\n"
             "      $ consul acl binding-rule create -method k8s -bind-type role \\\n"
             "            -bind-name web -selector 'serviceaccount.namespace==web'\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(create_flags),
    .run = run_create,
};

/* ---- read ---- */

static int read_rule(struct acl *a) {
    struct value rule;
    struct str id;
    if (!acl_find(a, &acl_binding_rules, &id))
        return CLI_FAILED;
    struct str failure =
        str_format(a->arena, "Error reading binding rule \"" STR_FMT "\"", STR_ARG(id));
    if (!acl_get_current(a, &acl_binding_rules, acl_path(a, &acl_binding_rules, id), "ID", id,
                         failure.data, &rule))
        return CLI_FAILED;
    return acl_print(a, &view, &rule);
}

static int run_read(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0)
        return cli_fail(cli, "Must specify the -id parameter.");
    return acl_run(cli, options, read_rule);
}

static const struct flag read_flags[] = {ID_FLAG, ACL_FLAG_META, ACL_FLAG_FORMAT};

const struct command command_acl_binding_rule_read = {
    .name = "acl binding-rule read",
    .synopsis = "Shows a binding rule",
    .usage = "acl binding-rule read -id ID [options]",
    .about = "  Shows a binding rule.\n\n"
             "      $ consul acl binding-rule read -id 43cb72df\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(read_flags),
    .run = run_read,
};

/* ---- update ---- */

/* The whole rule from the flags, which name all that it must have. False: one is missing, which was
 * said. */
static bool replace_rule(struct acl *a, struct value *rule) {
    const struct acl_options *o = a->options;
    const struct flag_set_string *type = &o->new_bind_type;
    struct str method = value_str(rule, "AuthMethod");
    if (type->set && type->value.len == 0) {
        acl_missing(a->cli, "Missing required '-bind-type' flag");
        return false;
    }
    if (o->bind_name.len == 0) {
        acl_missing(a->cli, "Missing required '-bind-name' flag");
        return false;
    }
    *rule = value_map();
    acl_set(a, rule, "AuthMethod", method);
    acl_set(a, rule, "BindType", type->set ? type->value : o->bind_type);
    return true;
}

static int update_rule(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value rule;
    struct str id;
    if (!acl_find(a, &acl_binding_rules, &id) ||
        !acl_get_current(a, &acl_binding_rules, acl_path(a, &acl_binding_rules, id), "ID", id,
                         "Error when retrieving current binding rule", &rule))
        return CLI_FAILED;
    if (o->no_merge && !replace_rule(a, &rule))
        return CLI_FAILED;
    acl_set(a, &rule, "ID", id);
    acl_set_some(a, &rule, "Description", o->description.value);
    acl_set_some(a, &rule, "BindType", o->new_bind_type.value);
    acl_set_some(a, &rule, "BindName", o->bind_name);
    if (o->selector.set)
        acl_set(a, &rule, "Selector", o->selector.value);
    return acl_update(a, &acl_binding_rules, &view, id, &rule);
}

static int run_update(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0)
        return cli_fail(cli, "Cannot update a binding rule without specifying the -id parameter");
    return acl_run(cli, options, update_rule);
}

static const struct flag update_flags[] = {
    ID_FLAG,
    {"bind-type", FLAG_SET_STRING, ACL_AT(new_bind_type), "string",
     "What a login gets: a \"service\" or \"node\" identity, or a \"role\". Without it, what it "
     "got; with -no-merge, \"service\"."},
    FLAG_BIND_NAME,
    FLAG_SELECTOR,
    ACL_FLAG_DESCRIPTION,
    ACL_FLAG_NO_MERGE,
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_binding_rule_update = {
    .name = "acl binding-rule update",
    .synopsis = "Changes a binding rule",
    .usage = "acl binding-rule update -id ID [options]",
    .about =
        "  Changes what the flags name of a binding rule, and leaves the rest of it as it is.\n\n"
        "      $ consul acl binding-rule update -id 43cb72df -bind-type role -bind-name web\n"
        "      $ consul acl binding-rule update -id 43cb72df -selector ''\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(update_flags),
    .run = run_update,
};

/* ---- delete, list ---- */

static int delete_rule(struct acl *a) {
    return acl_delete_found(a, &acl_binding_rules);
}

static int run_delete(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0)
        return cli_fail(cli, "Must specify the -id parameter");
    return acl_run(cli, options, delete_rule);
}

static const struct flag delete_flags[] = {ID_FLAG};

const struct command command_acl_binding_rule_delete = {
    .name = "acl binding-rule delete",
    .synopsis = "Deletes a binding rule",
    .usage = "acl binding-rule delete -id ID [options]",
    .about = "  Deletes a binding rule. Tokens of logins that it granted something keep it.\n\n"
             "      $ consul acl binding-rule delete -id 43cb72df\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(delete_flags),
    .run = run_delete,
};

static int list_rules(struct acl *a) {
    return acl_list(a, &acl_binding_rules, &view);
}

static int run_list(struct cli *cli, const void *options) {
    return acl_run(cli, options, list_rules);
}

static const struct flag list_flags[] = {
    {"method", FLAG_STRING, ACL_AT(method), NULL, "List only the rules of this auth method."},
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_binding_rule_list = {
    .name = "acl binding-rule list",
    .synopsis = "Lists binding rules",
    .usage = "acl binding-rule list [options]",
    .about = "  Lists all binding rules, or those of an auth method.\n\n"
             "      $ consul acl binding-rule list -method k8s\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(list_flags),
    .run = run_list,
};

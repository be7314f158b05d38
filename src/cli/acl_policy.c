/* `acl policy`: rules under a name (acl.md 17.2).
 */
#include "cli/acl.h"
#include "cli/input.h"

const struct command command_acl_policy = {
    .name = "acl policy",
    .synopsis = "Policies: rules under a name",
    .usage = "acl policy <subcommand> [options] [args]",
    .about = "  Policies: rules under a name, which tokens and roles link to.\n\n"
             "      $ consul acl policy create -name web -valid-datacenter dc1 \\\n"
             "            -rules @rules.hcl\n"
             "      $ consul acl policy update -name web -description 'For the web servers'\n"
             "      $ consul acl policy read -name web\n"
             "      $ consul acl policy list\n"
             "      $ consul acl policy delete -name web\n",
};

static void show_policy(struct acl_text *t, const struct value *v) {
    acl_show_line(t, "ID:", value_str(v, "ID"));
    if (!t->listed)
        acl_show_line(t, "Name:", value_str(v, "Name"));
    acl_show_line(t, "Description:", value_str(v, "Description"));
    acl_show_datacenters(t, v);
    acl_show_hashed_meta(t, v);
    if (t->listed)
        return;
    buf_add_text(&t->out, "Rules:\n");
    buf_add_str(&t->out, value_str(v, "Rules"));
}

static const struct acl_view view = {shape_acl_policy, "Name", 14, show_policy};
static const struct acl_view list_view = {shape_acl_policy_stub, "Name", 14, show_policy};

static void set_datacenters(struct acl *a, struct value *policy) {
    const struct flag_list *given = &a->options->datacenters;
    struct value list = {.kind = VALUE_LIST};
    for (size_t i = 0; i < given->len; i++)
        value_append(&list, value_from_str(given->items[i]), a->arena);
    if (given->len > 0)
        value_put(policy, STR("Datacenters"), list, a->arena);
}

#define FLAG_DATACENTER                                                                            \
    {                                                                                              \
        "valid-datacenter", FLAG_LIST, ACL_AT(datacenters), NULL,                                  \
            "Datacenter in which the rules count; without any, all. May be given several times."   \
    }
#define FLAG_RULES                                                                                 \
    {                                                                                              \
        "rules", FLAG_SET_STRING, ACL_AT(rules), "string",                                         \
            "The rules: themselves, @ and the name of a file, or - for standard input."            \
    }

/* ---- create ---- */

static bool load_rules(struct acl *a, struct str *rules) {
    const struct acl_options *o = a->options;
    struct str token;
    if (o->from_token.len > 0 && o->rules.value.len > 0)
        return error_set(&a->e, ERROR_BAD_REQUEST, "Cannot specify both -rules and -from-token");
    if (o->from_token.len == 0)
        return data_load(a->cli, str_terminated(a->arena, o->rules.value), rules, &a->e);
    if (!data_load(a->cli, o->from_token.data, &token, &a->e))
        return error_prefix(&a->e, "Invalid -from-token value: ");
    /* A file's last newline is no part of the token. */
    return acl_legacy_rules(a, str_trim(token), o->token_secret, rules);
}

static int create_policy(struct acl *a) {
    struct value policy = value_map();
    struct str rules;
    if (!load_rules(a, &rules))
        return acl_fail(a, "Error loading rules");
    acl_set(a, &policy, "Name", a->options->name.value);
    acl_set(a, &policy, "Description", a->options->description.value);
    acl_set(a, &policy, "Rules", rules);
    set_datacenters(a, &policy);
    return acl_create(a, &acl_policies, &view, &policy);
}

static int run_create(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->name.value.len == 0)
        return acl_missing(cli, "Missing require '-name' flag");
    return acl_run(cli, options, create_policy);
}

static const struct flag create_flags[] = {
    ACL_FLAG_NAME("Name of the new policy; needed."),
    ACL_FLAG_DESCRIPTION,
    FLAG_DATACENTER,
    FLAG_RULES,
    {"from-token", FLAG_STRING, ACL_AT(from_token), NULL,
     "A token of the old kind, whose rules are translated and taken: itself, @ and the name of a "
     "file, or - for standard input. It excludes -rules."},
    {"token-secret", FLAG_BOOL, ACL_AT(token_secret), NULL,
     "What -from-token gives is the token's secret. Without this, it is the accessor's ID."},
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_policy_create = {
    .name = "acl policy create",
    .synopsis = "Creates a policy",
    .usage = "acl policy create -name NAME [options]",
    .about = "  Creates a policy and shows it.\n\n"
             "      $ consul acl policy create -name web -description 'For web' \\\n"
             "            -rules @rules.hcl\n"
             "      $ consul acl policy create -name old \\\n"
             "            -from-token \"c1e34113-e7ab-4451-b1a6-336ddcc58fc6\"\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(create_flags),
    .run = run_create,
};

/* ---- read, update, delete ---- */

static int run_named(struct cli *cli, const void *options, int (*work)(struct acl *a)) {
    const struct acl_options *o = options;
    if (o->id.len == 0 && o->name.value.len == 0)
        return cli_fail(cli, "Must specify either the -id or -name parameters");
    return acl_run(cli, options, work);
}

static int read_policy(struct acl *a) {
    struct value policy;
    struct str id;
    if (!acl_find(a, &acl_policies, &id))
        return CLI_FAILED;
    if (!acl_get(a, acl_path(a, &acl_policies, id), &policy))
        return acl_fail(a, "Error reading policy \"" STR_FMT "\"", STR_ARG(id));
    return acl_print(a, &view, &policy);
}

static int run_read(struct cli *cli, const void *options) {
    return run_named(cli, options, read_policy);
}

static const struct flag read_flags[] = {
    ACL_FLAG_ID("ID of the policy."),
    ACL_FLAG_NAME("Name of the policy, instead of -id."),
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_policy_read = {
    .name = "acl policy read",
    .synopsis = "Shows a policy",
    .usage = "acl policy read [options] POLICY",
    .about = "  Shows a policy with its rules.\n\n"
             "      $ consul acl policy read -id 0479e93e\n"
             "      $ consul acl policy read -name web\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(read_flags),
    .run = run_read,
};

static int update_policy(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value policy = value_map();
    struct str id, rules;
    if (!acl_find(a, &acl_policies, &id))
        return CLI_FAILED;
    if (!data_load(a->cli, str_terminated(a->arena, o->rules.value), &rules, &a->e))
        return acl_fail(a, "Error loading data source");
    if (!o->no_merge && !acl_get(a, acl_path(a, &acl_policies, id), &policy))
        return acl_fail(a, "Error reading policy \"" STR_FMT "\"", STR_ARG(id));
    acl_set(a, &policy, "ID", id);
    if (o->name.set)
        acl_set(a, &policy, "Name", o->name.value);
    if (o->description.set)
        acl_set(a, &policy, "Description", o->description.value);
    if (o->rules.set)
        acl_set(a, &policy, "Rules", rules);
    set_datacenters(a, &policy);
    return acl_update(a, &acl_policies, &view, id, &policy);
}

static int run_update(struct cli *cli, const void *options) {
    return run_named(cli, options, update_policy);
}

static const struct flag update_flags[] = {
    ACL_FLAG_ID("ID of the policy."),
    ACL_FLAG_NAME("New name of the policy; without -id, the name that it has."),
    ACL_FLAG_DESCRIPTION,
    FLAG_DATACENTER,
    FLAG_RULES,
    ACL_FLAG_NO_MERGE,
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_policy_update = {
    .name = "acl policy update",
    .synopsis = "Changes a policy",
    .usage = "acl policy update [options]",
    .about = "  Changes what the flags name of a policy, and leaves the rest of it as it is.\n\n"
             "      $ consul acl policy update -id 0479e93e -name www\n"
             "      $ consul acl policy update -name www -rules @new.hcl\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(update_flags),
    .run = run_update,
};

static int delete_policy(struct acl *a) {
    return acl_delete_found(a, &acl_policies);
}

static int run_delete(struct cli *cli, const void *options) {
    return run_named(cli, options, delete_policy);
}

static const struct flag delete_flags[] = {
    ACL_FLAG_ID("ID of the policy."),
    ACL_FLAG_NAME("Name of the policy, instead of -id."),
};

const struct command command_acl_policy_delete = {
    .name = "acl policy delete",
    .synopsis = "Deletes a policy",
    .usage = "acl policy delete [options] -id POLICY",
    .about = "  Deletes a policy. Tokens and roles that link to it lose what it allowed.\n\n"
             "      $ consul acl policy delete -id 0479e93e\n"
             "      $ consul acl policy delete -name web\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(delete_flags),
    .run = run_delete,
};

/* ---- list ---- */

static int list_policies(struct acl *a) {
    return acl_list(a, &acl_policies, &list_view);
}

static int run_list(struct cli *cli, const void *options) {
    return acl_run(cli, options, list_policies);
}

const struct command command_acl_policy_list = {
    .name = "acl policy list",
    .synopsis = "Lists policies",
    .usage = "acl policy list [options]",
    .about = "  Lists all policies, without their rules.\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(acl_list_flags),
    .run = run_list,
};

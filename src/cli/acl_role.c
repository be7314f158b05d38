/* `acl role`: policies and identities under a name (acl.md 17.2).
 */
#include "cli/acl.h"

const struct command command_acl_role = {
    .name = "acl role",
    .synopsis = "Roles: policies bundled under a name",
    .usage = "acl role <subcommand> [options] [args]",
    .about = "  Roles: policies and identities bundled under a name, which tokens link to.\n\n"
             "      $ consul acl role create -name db -policy-name kv -service-identity db\n"
             "      $ consul acl role update -id 57147d87 -description 'For db' \\\n"
             "            -policy-id 06acc965\n"
             "      $ consul acl role read -name db\n"
             "      $ consul acl role list\n"
             "      $ consul acl role delete -name db\n",
};

static void show_role(struct acl_text *t, const struct value *v) {
    acl_show_line(t, "ID:", value_str(v, "ID"));
    if (!t->listed)
        acl_show_line(t, "Name:", value_str(v, "Name"));
    acl_show_line(t, "Description:", value_str(v, "Description"));
    acl_show_hashed_meta(t, v);
    acl_show_links(t, v);
}

static const struct acl_view view = {shape_acl_role, "Name", 14, show_role};

/* ---- create ---- */

static int create_role(struct acl *a) {
    struct value role = value_map();
    acl_set(a, &role, "Name", a->options->name.value);
    acl_set(a, &role, "Description", a->options->description.value);
    if (!acl_link_policies(a, &role) || !acl_identities_check(a->cli, a->options))
        return CLI_FAILED;
    acl_link_services(a, &role);
    acl_link_nodes(a, &role);
    return acl_create(a, &acl_roles, &view, &role);
}

static int run_create(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->name.value.len == 0)
        return acl_missing(cli, "Missing require '-name' flag");
    if (!acl_has_links(o))
        return cli_fail(cli, "Cannot create a role without specifying -policy-name, -policy-id, "
                             "-service-identity, or -node-identity at least once");
    return acl_run(cli, options, create_role);
}

static const struct flag create_flags[] = {
    ACL_FLAG_NAME("Name of the new role; needed."),
    ACL_FLAG_DESCRIPTION,
    ACL_FLAGS_LINKS,
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_role_create = {
    .name = "acl role create",
    .synopsis = "Creates a role",
    .usage = "acl role create -name NAME [options]",
    .about = "  Creates a role and shows it. It needs a policy or an identity.\n\n"
             "      $ consul acl role create -name db -policy-id 0479e93e \\\n"
             "            -node-identity n1:dc1 \\\n"
             "            -service-identity \"db:east,west\"\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(create_flags),
    .run = run_create,
};

/* ---- read ---- */

static int read_role(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value role;
    struct str id = o->name.value;
    struct str path = acl_path(a, &acl_roles, str_format(a->arena, "name/" STR_FMT, STR_ARG(id)));
    if (o->id.len > 0) {
        if (!acl_find(a, &acl_roles, &id))
            return CLI_FAILED;
        path = acl_path(a, &acl_roles, id);
    }
    struct str failure = str_format(a->arena, "Error reading role \"" STR_FMT "\"", STR_ARG(id));
    if (!acl_get_current(a, &acl_roles, path, o->id.len > 0 ? "ID" : "name", id, failure.data,
                         &role))
        return CLI_FAILED;
    return acl_print(a, &view, &role);
}

static int run_read(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0 && o->name.value.len == 0)
        return cli_fail(cli, "Must specify either the -id or -name parameters");
    return acl_run(cli, options, read_role);
}

static const struct flag read_flags[] = {
    ACL_FLAG_ID("ID of the role."),
    ACL_FLAG_NAME("Name of the role, instead of -id."),
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_role_read = {
    .name = "acl role read",
    .synopsis = "Shows a role",
    .usage = "acl role read [options] ROLE",
    .about = "  Shows a role with its links.\n\n"
             "      $ consul acl role read -id 57147d87\n"
             "      $ consul acl role read -name db\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(read_flags),
    .run = run_read,
};

/* ---- update ---- */

static int update_role(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value role;
    struct str id;
    if (!acl_find(a, &acl_roles, &id) || !acl_identities_check(a->cli, o) ||
        !acl_get_current(a, &acl_roles, acl_path(a, &acl_roles, id), "ID", id,
                         "Error when retrieving current role", &role))
        return CLI_FAILED;
    if (o->no_merge)
        role = value_map();
    acl_set(a, &role, "ID", id);
    acl_set_some(a, &role, "Name", o->name.value);
    acl_set_some(a, &role, "Description", o->description.value);
    acl_link_services(a, &role);
    acl_link_nodes(a, &role);
    if (!acl_link_policies(a, &role))
        return CLI_FAILED;
    return acl_update(a, &acl_roles, &view, id, &role);
}

static int run_update(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0)
        return cli_fail(cli, "Cannot update a role without specifying the -id parameter");
    return acl_run(cli, options, update_role);
}

static const struct flag update_flags[] = {
    ACL_FLAG_ID("ID of the role; needed."),
    ACL_FLAG_NAME("New name of the role."),
    ACL_FLAG_DESCRIPTION,
    ACL_FLAGS_LINKS,
    ACL_FLAG_NO_MERGE,
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_role_update = {
    .name = "acl role update",
    .synopsis = "Changes a role",
    .usage = "acl role update [options]",
    .about =
        "  Changes what the flags name of a role, and leaves the rest of it as it is: links are\n"
        "  added, and taken away only with -no-merge.\n\n"
        "      $ consul acl role update -id 57147d87 -name database\n"
        "      $ consul acl role update -id 57147d87 -no-merge -name db -policy-name kv \\\n"
        "            -service-identity \"web\"\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(update_flags),
    .run = run_update,
};

/* ---- delete, list ---- */

static int delete_role(struct acl *a) {
    return acl_delete_found(a, &acl_roles);
}

static int run_delete(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0 && o->name.value.len == 0)
        return cli_fail(cli, "Must specify the -id or -name parameters");
    return acl_run(cli, options, delete_role);
}

static const struct flag delete_flags[] = {
    ACL_FLAG_ID("ID of the role."),
    ACL_FLAG_NAME("Name of the role, instead of -id."),
};

const struct command command_acl_role_delete = {
    .name = "acl role delete",
    .synopsis = "Deletes a role",
    .usage = "acl role delete [options] -id ROLE",
    .about = "  Deletes a role. Tokens that link to it lose what it gave them.\n\n"
             "      $ consul acl role delete -id 57147d87\n"
             "      $ consul acl role delete -name db\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(delete_flags),
    .run = run_delete,
};

static int list_roles(struct acl *a) {
    return acl_list(a, &acl_roles, &view);
}

static int run_list(struct cli *cli, const void *options) {
    return acl_run(cli, options, list_roles);
}

const struct command command_acl_role_list = {
    .name = "acl role list",
    .synopsis = "Lists roles",
    .usage = "acl role list [options]",
    .about = "  Lists all roles with their links.\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(acl_list_flags),
    .run = run_list,
};

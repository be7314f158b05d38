/* `acl token create` and `acl token update` (acl.md 17.2).
 */
#include "cli/acl_token.h"

#define FLAGS_ROLES                                                                                \
    {"role-id", FLAG_LIST, ACL_AT(role_ids), NULL,                                                 \
     "ID, or how it begins, of a role that it gets. May be given several times."},                 \
    {                                                                                              \
        "role-name", FLAG_LIST, ACL_AT(role_names), NULL,                                          \
            "Name of a role that it gets. May be given several times."                             \
    }

static bool set_links(struct acl *a, struct value *token) {
    acl_link_services(a, token);
    acl_link_nodes(a, token);
    return acl_link_policies(a, token) && acl_link_roles(a, token);
}

/* ---- create ---- */

static int create_token(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value token = value_map();
    acl_set(a, &token, "AccessorID", o->accessor);
    acl_set(a, &token, "SecretID", o->secret);
    acl_set(a, &token, "Description", o->description.value);
    value_put(&token, STR("Local"), (struct value){.kind = VALUE_BOOL, .boolean = o->local},
              a->arena);
    /* One below zero is sent too: it is the server's to refuse. */
    if (o->expires_ttl != 0)
        value_put(
            &token, STR("ExpirationTTL"),
            (struct value){.kind = VALUE_FLOAT,
                           .number = (double)o->expires_ttl,
                           .literal = str_format(a->arena, "%lld", (long long)o->expires_ttl)},
            a->arena);
    if (!acl_identities_check(a->cli, o) || !set_links(a, &token))
        return CLI_FAILED;
    return acl_create(a, &acl_tokens, &acl_token_view, &token);
}

static int run_create(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (!acl_has_links(o) && o->role_ids.len + o->role_names.len == 0)
        return cli_fail(cli, "Cannot create a token without specifying -policy-name, -policy-id, "
                             "-role-name, -role-id, -service-identity, or -node-identity at least "
                             "once");
    return acl_run(cli, options, create_token);
}

static const struct flag create_flags[] = {
    {"accessor", FLAG_STRING, ACL_AT(accessor), NULL,
     "ID of the accessor, a UUID. Without it, a random one."},
    {"secret", FLAG_STRING, ACL_AT(secret), NULL, "The secret, a UUID. Without it, a random one."},
    ACL_FLAG_DESCRIPTION,
    {"local", FLAG_BOOL, ACL_AT(local), NULL, "The token counts in this datacenter only."},
    {"expires-ttl", FLAG_DURATION, ACL_AT(expires_ttl), NULL,
     "For how long it is to be valid. Without it, until it is deleted."},
    ACL_FLAGS_LINKS,
    FLAGS_ROLES,
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_token_create = {
    .name = "acl token create",
    .synopsis = "Creates a token",
    .usage = "acl token create [options]",
    .about = "  Creates a token and shows it with its secret. It needs a policy, a role or an\n"
             "  identity.\n\n"
             "      $ consul acl token create -description 'For db' -policy-name kv \\\n"
             "            -role-name nodes -expires-ttl 24h \\\n"
             "            -service-identity \"db:east,west\"\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(create_flags),
    .run = run_create,
};

/* ---- update ---- */

/* Links that are not merged begin with none. */
static void drop_links(struct acl *a, struct value *token) {
    const struct acl_options *o = a->options;
    const struct {
        const char *key;
        bool merge;
    } links[] = {
        {"Policies", o->merge_policies},
        {"Roles", o->merge_roles},
        {"ServiceIdentities", o->merge_service_identities},
        {"NodeIdentities", o->merge_node_identities},
    };
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        if (!links[i].merge)
            value_put(token, str_from(links[i].key), (struct value){.kind = VALUE_LIST}, a->arena);
    }
}

static int update_token(struct acl *a) {
    const struct acl_options *o = a->options;
    struct value token, answer;
    struct str id;
    if (!acl_find(a, &acl_tokens, &id))
        return CLI_FAILED;
    if (!acl_get(a, acl_path(a, &acl_tokens, id), &token))
        return acl_fail(a, "Error when retrieving current token");
    if (o->upgrade_legacy) {
        if (value_str(&token, "Rules").len == 0)
            return cli_fail(a->cli, "Can't use -upgrade-legacy on a non-legacy token");
        acl_set(a, &token, "Rules", STR(""));
    }
    acl_set_some(a, &token, "Description", o->description.value);
    drop_links(a, &token);
    if (!acl_identities_check(a->cli, o) || !set_links(a, &token))
        return CLI_FAILED;
    if (!acl_put(a, acl_path(a, &acl_tokens, id), &token, shape_acl_token, &answer))
        return acl_fail(a, "Failed to update token " STR_FMT, STR_ARG(id));
    return acl_print(a, &acl_token_view, &answer);
}

static int run_update(struct cli *cli, const void *options) {
    const struct acl_options *o = options;
    if (o->id.len == 0)
        return cli_fail(cli, "Cannot update a token without specifying the -id parameter");
    return acl_run(cli, options, update_token);
}

static const struct flag update_flags[] = {
    ACL_TOKEN_FLAG_ID,
    ACL_FLAG_DESCRIPTION,
    ACL_FLAGS_LINKS,
    FLAGS_ROLES,
    {"merge-policies", FLAG_BOOL, ACL_AT(merge_policies), NULL,
     "Keep the policies that it has. Without this, those named by flags are all that remain."},
    {"merge-roles", FLAG_BOOL, ACL_AT(merge_roles), NULL, "The same for roles."},
    {"merge-service-identities", FLAG_BOOL, ACL_AT(merge_service_identities), NULL,
     "The same for identities of services."},
    {"merge-node-identities", FLAG_BOOL, ACL_AT(merge_node_identities), NULL,
     "The same for identities of nodes."},
    {"upgrade-legacy", FLAG_BOOL, ACL_AT(upgrade_legacy), NULL,
     "Make a token of the old kind one of the new: its rules go, its secret stays. What the rules "
     "allowed must then come from the policies that you name here."},
    ACL_FLAG_META,
    ACL_FLAG_FORMAT,
};

const struct command command_acl_token_update = {
    .name = "acl token update",
    .synopsis = "Changes a token",
    .usage = "acl token update [options]",
    .about =
        "  Changes a token's description and links. Links of a kind without its -merge flag are\n"
        "  replaced by those that are named here, so also by none.\n\n"
        "      $ consul acl token update -id 986193a4 -policy-name kv -merge-policies\n"
        "      $ consul acl token update -id 986193a4 -description db -policy-name db \\\n"
        "            -role-name \"db-updater\"\n",
    .groups = ACL_GROUPS,
    ACL_FLAGS(update_flags),
    .run = run_update,
};

/* Links of tokens and roles: policies, roles, and identities of services and nodes, from flags into
 * the objects that are sent. See acl.h.
 */
#include "cli/acl.h"

bool acl_has_links(const struct acl_options *options) {
    return options->policy_ids.len + options->policy_names.len + options->service_identities.len +
               options->node_identities.len >
           0;
}

/* ---- identities ---- */

/* "NAME" or "NAME:REST"; *rest is absent without. False: there are more parts. */
static bool split_identity(struct str given, struct str *name, struct str *rest) {
    *rest = given;
    *name = str_cut(rest, ':');
    return rest->data == NULL || str_find_char(*rest, ':') < 0;
}

static bool malformed(struct cli *cli, const char *flag, struct str given) {
    cli_err(cli, "Malformed -%s argument: " STR_FMT, flag, STR_ARG(str_quote(cli->arena, given)));
    return false;
}

bool acl_identities_check(struct cli *cli, const struct acl_options *options) {
    struct str name, rest;
    for (size_t i = 0; i < options->service_identities.len; i++) {
        struct str given = options->service_identities.items[i];
        if (!split_identity(given, &name, &rest))
            return malformed(cli, "service-identity", given);
    }
    for (size_t i = 0; i < options->node_identities.len; i++) {
        struct str given = options->node_identities.items[i];
        if (!split_identity(given, &name, &rest) || rest.data == NULL)
            return malformed(cli, "node-identity", given);
    }
    return true;
}

/* The list in that field, ready for more. */
static struct value *field_list(struct acl *a, struct value *object, const char *key) {
    if (value_get(object, key) == NULL)
        value_put(object, str_from(key), (struct value){.kind = VALUE_LIST}, a->arena);
    return value_get(object, key);
}

/* The item whose field has that text, or NULL. */
static const struct value *item_with(const struct value *list, const char *key, struct str text) {
    for (size_t i = 0; i < value_len(list); i++) {
        if (str_eq(value_str(&list->list.items[i], key), text))
            return &list->list.items[i];
    }
    return NULL;
}

static struct value service_identity(struct acl *a, struct str given) {
    struct value identity = value_map(), datacenters = {.kind = VALUE_LIST};
    struct str name, rest;
    split_identity(given, &name, &rest);
    while (rest.data != NULL)
        value_append(&datacenters, value_from_str(str_cut(&rest, ',')), a->arena);
    acl_set(a, &identity, "ServiceName", name);
    value_put(&identity, STR("Datacenters"), datacenters, a->arena);
    return identity;
}

void acl_link_services(struct acl *a, struct value *object) {
    const struct flag_list *given = &a->options->service_identities;
    const struct value *old = value_get(object, "ServiceIdentities");
    struct value new = {.kind = VALUE_LIST}, all = {.kind = VALUE_LIST};
    for (size_t i = 0; i < given->len; i++)
        value_append(&new, service_identity(a, given->items[i]), a->arena);
    for (size_t i = 0; old != NULL && i < value_len(old); i++) {
        const struct value *item = &old->list.items[i];
        if (item_with(&new, "ServiceName", value_str(item, "ServiceName")) == NULL)
            value_append(&all, *item, a->arena);
    }
    for (size_t i = 0; i < value_len(&new); i++)
        value_append(&all, new.list.items[i], a->arena);
    value_put(object, STR("ServiceIdentities"), all, a->arena);
}

void acl_link_nodes(struct acl *a, struct value *object) {
    const struct flag_list *given = &a->options->node_identities;
    for (size_t i = 0; i < given->len; i++) {
        struct value *list = field_list(a, object, "NodeIdentities");
        struct value identity = value_map();
        struct str name, datacenter;
        bool known = false;
        split_identity(given->items[i], &name, &datacenter);
        acl_set(a, &identity, "NodeName", name);
        acl_set(a, &identity, "Datacenter", datacenter);
        for (size_t j = 0; j < value_len(list) && !known; j++)
            known = str_eq(value_str(&list->list.items[j], "NodeName"), name) &&
                    str_eq(value_str(&list->list.items[j], "Datacenter"), datacenter);
        if (!known)
            value_append(list, identity, a->arena);
    }
}

/* ---- policies and roles ---- */

static void link_to(struct acl *a, struct value *list, const char *key, struct str text) {
    if (item_with(list, key, text) != NULL)
        return;
    struct value link = value_map();
    acl_set(a, &link, key, text);
    value_append(list, link, a->arena);
}

static bool add_links(struct acl *a, struct value *object, const char *key,
                      const struct acl_kind *kind, const struct flag_list *names,
                      const struct flag_list *ids) {
    struct value *list = field_list(a, object, key);
    for (size_t i = 0; i < names->len; i++)
        link_to(a, list, "Name", names->items[i]);
    for (size_t i = 0; i < ids->len; i++) {
        struct str id;
        if (!acl_find_id(a, kind, ids->items[i], &id)) {
            acl_fail(a, "Error resolving %s ID ", kind->noun);
            return false;
        }
        link_to(a, list, "ID", id);
    }
    return true;
}

bool acl_link_policies(struct acl *a, struct value *object) {
    return add_links(a, object, "Policies", &acl_policies, &a->options->policy_names,
                     &a->options->policy_ids);
}

bool acl_link_roles(struct acl *a, struct value *object) {
    return add_links(a, object, "Roles", &acl_roles, &a->options->role_names,
                     &a->options->role_ids);
}

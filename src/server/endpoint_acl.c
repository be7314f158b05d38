/* See endpoint_acl.h. */
#include "server/endpoint_acl.h"

#include <stdlib.h>

#include "base/random.h"
#include "codec/uuid.h"
#include "server/agent_tokens.h"
#include "server/auth_method.h"

#define RESERVED_PREFIX STR("00000000-0000-0000-0000-0000000000")
#define IDENTITY_NAME_MAX 256

/* ---- where calls go ---- */

bool acl_is_primary(const struct server *s) {
    return str_eq(s->options.datacenter, s->options.acl.primary_datacenter);
}

bool acl_has_local_tokens(const struct server *s) {
    return acl_is_primary(s) || (s->options.acl.token_replication &&
                                 agent_token_is_set(s->tokens, AGENT_TOKEN_REPLICATION));
}

bool acl_place(const struct call *c, struct str *datacenter, struct error *e) {
    (void)datacenter;
    if (!c->server->options.acl.enabled)
        return error_set(e, ERROR_INTERNAL, ACL_DISABLED);
    if (server_acl_is_legacy(c->server))
        return error_set(e, ERROR_INTERNAL, "The ACL system is currently in legacy mode.");
    return true;
}

bool acl_place_primary(const struct call *c, struct str *datacenter, struct error *e) {
    *datacenter = c->server->options.acl.primary_datacenter;
    return acl_place(c, datacenter, e);
}

bool acl_place_tokens(const struct call *c, struct str *datacenter, struct error *e) {
    if (!acl_has_local_tokens(c->server))
        *datacenter = c->server->options.acl.primary_datacenter;
    return acl_place(c, datacenter, e);
}

bool acl_place_methods(const struct call *c, struct str *datacenter, struct error *e) {
    if (!acl_place(c, datacenter, e))
        return false;
    if (!acl_has_local_tokens(c->server))
        return error_set(e, ERROR_INTERNAL,
                         "Token replication is required for auth methods to function");
    return true;
}

bool acl_goes_to_primary(struct call_context *c, const struct acl_token *token) {
    if (acl_is_primary(c->server) || (token != NULL && token->local))
        return false;
    c->elsewhere = c->server->options.acl.primary_datacenter;
    return true;
}

/* ---- IDs and names ---- */

bool acl_id_reserved(struct str id) {
    return str_has_prefix(id, RESERVED_PREFIX);
}

struct str acl_new_id(struct call_context *c, bool (*taken)(struct store_read *r, struct str id)) {
    char id[37];
    do {
        uuid_random(id);
    } while (acl_id_reserved(str_from(id)) || taken(c->store, str_from(id)));
    return str_copy(c->arena, str_from(id));
}

static bool is_alphanumeric(char c, bool capitals) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (capitals && c >= 'A' && c <= 'Z');
}

bool acl_name_valid(struct str name, size_t most) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!is_alphanumeric(c, true) && c != '-' && c != '_')
            return false;
    }
    return name.len > 0 && name.len <= most;
}

static bool identity_name_valid(struct str name) {
    if (name.len == 0 || name.len > IDENTITY_NAME_MAX || !is_alphanumeric(name.data[0], false) ||
        !is_alphanumeric(name.data[name.len - 1], false))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!is_alphanumeric(c, false) && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* ---- links ---- */

static const char *kind_name(enum acl_link_kind kind) {
    return kind == ACL_LINKS_POLICIES ? "policy" : "role";
}

/* The ID of the object of that name; absent: there is none. */
static struct str id_by_name(struct store_read *r, enum acl_link_kind kind, struct str name) {
    struct acl_policy *policy = NULL;
    struct acl_role *role = NULL;
    if (kind == ACL_LINKS_POLICIES)
        acl_policy_by_name(r, name, &policy);
    else
        acl_role_by_name(r, name, &role);
    return policy != NULL ? policy->id : role != NULL ? role->id : STR_NONE;
}

static bool id_leads_somewhere(struct call_context *c, enum acl_link_kind kind, struct str id,
                               struct error *e) {
    struct acl_policy *policy = NULL;
    struct acl_role *role = NULL;
    uint64_t index;
    bool ok = kind == ACL_LINKS_POLICIES ? acl_policy_by_id(c->store, id, &policy, &index, e)
                                         : acl_role_by_id(c->store, id, &role, &index, e);
    struct str quoted = str_quote(c->arena, id);
    if (!ok)
        return error_prefix(e, "Error looking up %s for id " STR_FMT ": ", kind_name(kind),
                            STR_ARG(quoted));
    if (policy == NULL && role == NULL)
        return error_set(e, ERROR_INTERNAL, "No such ACL %s with ID " STR_FMT, kind_name(kind),
                         STR_ARG(quoted));
    return true;
}

static bool link_resolve(struct call_context *c, enum acl_link_kind kind, struct acl_link link,
                         bool check_ids, struct str *id, struct error *e) {
    *id = link.id;
    if (link.id.len > 0)
        return !check_ids || id_leads_somewhere(c, kind, link.id, e);
    *id = id_by_name(c->store, kind, link.name);
    if (id->data == NULL)
        return error_set(e, ERROR_INTERNAL, "No such ACL %s with name " STR_FMT, kind_name(kind),
                         STR_ARG(str_quote(c->arena, link.name)));
    return true;
}

static bool has_link(const struct list *links, struct str id) {
    for (uint32_t i = 0; i < links->len; i++) {
        if (str_eq(LIST_AT(*links, struct acl_link, i).id, id))
            return true;
    }
    return false;
}

bool acl_links_resolve(struct call_context *c, enum acl_link_kind kind, const struct list *links,
                       bool check_ids, struct list *out, struct error *e) {
    struct list resolved = LIST_NEW(c->arena, struct acl_link, links->len);
    resolved.len = 0;
    for (uint32_t i = 0; i < links->len; i++) {
        struct str id;
        if (!link_resolve(c, kind, LIST_AT(*links, struct acl_link, i), check_ids, &id, e))
            return false;
        if (!has_link(&resolved, id))
            LIST_AT(resolved, struct acl_link, resolved.len++) = (struct acl_link){.id = id};
    }
    *out = resolved.len > 0 ? resolved : LIST_NIL;
    return true;
}

/* ---- service identities ---- */

static bool service_identity_check(const struct service_identity *id, struct str quoted,
                                   const char *owner, bool local, struct error *e) {
    if (id == NULL || id->service_name.len == 0)
        return error_set(e, ERROR_INTERNAL,
                         "Service identity is missing the service name field on this %s", owner);
    if (local && id->datacenters.len > 0)
        return error_set(e, ERROR_INTERNAL,
                         "Service identity " STR_FMT
                         " cannot specify a list of datacenters on a local token",
                         STR_ARG(quoted));
    if (!identity_name_valid(id->service_name))
        return error_set(e, ERROR_INTERNAL,
                         "Service identity " STR_FMT " has an invalid name. " ACL_NAME_RULE,
                         STR_ARG(quoted));
    return true;
}

static int compare_service_identities(const void *a, const void *b) {
    const struct service_identity *const *x = a, *const *y = b;
    return str_compare((*x)->service_name, (*y)->service_name);
}

static int compare_strings(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Both lists, sorted, each once; of one without datacenters, which holds everywhere: none. */
static struct list datacenters_merge(struct arena *arena, const struct list *a,
                                     const struct list *b) {
    if (a->len == 0 || b->len == 0)
        return LIST_NIL;
    struct list all = LIST_NEW(arena, struct str, a->len + b->len);
    struct str *items = all.items;
    memcpy(items, a->items, a->len * sizeof *items);
    memcpy(items + a->len, b->items, b->len * sizeof *items);
    qsort(items, all.len, sizeof *items, compare_strings);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < all.len; i++) {
        if (kept == 0 || !str_eq(items[kept - 1], items[i]))
            items[kept++] = items[i];
    }
    all.len = kept;
    return all;
}

bool acl_service_identities(struct call_context *c, const struct list *in, const char *owner,
                            bool local, struct list *out, struct error *e) {
    struct list all = LIST_NEW(c->arena, struct service_identity *, in->len);
    struct service_identity **items = all.items;
    for (uint32_t i = 0; i < in->len; i++) {
        const struct service_identity *id = LIST_AT(*in, struct service_identity *, i);
        struct str quoted = str_quote(c->arena, id != NULL ? id->service_name : STR(""));
        if (!service_identity_check(id, quoted, owner, local, e))
            return false;
        items[i] = ARENA_NEW(c->arena, struct service_identity);
        *items[i] = *id;
        if (id->datacenters.len == 0)
            items[i]->datacenters = LIST_NIL;
    }
    if (in->len > 0)
        qsort(items, in->len, sizeof *items, compare_service_identities);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < in->len; i++) {
        if (kept > 0 && str_eq(items[kept - 1]->service_name, items[i]->service_name))
            items[kept - 1]->datacenters =
                datacenters_merge(c->arena, &items[kept - 1]->datacenters, &items[i]->datacenters);
        else
            items[kept++] = items[i];
    }
    all.len = kept;
    *out = kept > 0 ? all : LIST_NIL;
    return true;
}

/* ---- node identities ---- */

static bool node_identity_check(const struct node_identity *id, const char *owner,
                                struct error *e) {
    if (id == NULL || id->node_name.len == 0)
        return error_set(e, ERROR_INTERNAL,
                         "Node identity is missing the node name field on this %s", owner);
    if (id->datacenter.len == 0)
        return error_set(e, ERROR_INTERNAL,
                         "Node identity is missing the datacenter field on this %s", owner);
    if (!identity_name_valid(id->node_name))
        return error_set(e, ERROR_INTERNAL, "Node identity has an invalid name. " ACL_NAME_RULE);
    return true;
}

static int compare_node_identities(const void *a, const void *b) {
    const struct node_identity *const *x = a, *const *y = b;
    int order = str_compare((*x)->node_name, (*y)->node_name);
    return order != 0 ? order : str_compare((*x)->datacenter, (*y)->datacenter);
}

bool acl_node_identities(struct call_context *c, const struct list *in, const char *owner,
                         struct list *out, struct error *e) {
    struct list all = LIST_NEW(c->arena, struct node_identity *, in->len);
    struct node_identity **items = all.items;
    for (uint32_t i = 0; i < in->len; i++) {
        items[i] = LIST_AT(*in, struct node_identity *, i);
        if (!node_identity_check(items[i], owner, e))
            return false;
    }
    if (in->len > 0)
        qsort(items, in->len, sizeof *items, compare_node_identities);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < in->len; i++) {
        if (kept == 0 || compare_node_identities(&items[kept - 1], &items[i]) != 0)
            items[kept++] = items[i];
    }
    all.len = kept;
    *out = kept > 0 ? all : LIST_NIL;
    return true;
}

/* ---- entries ---- */

bool acl_admit_named(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)c;
    (void)request;
    (void)e;
    return ((const struct str *)reply)->len > 0;
}

bool acl_admit_found(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)c;
    (void)request;
    (void)e;
    return *(const bool *)reply;
}

void acl_inquire_end(struct call *c) {
    struct auth_work *w = c->following;
    c->following = NULL;
    if (w == NULL)
        return;
    if (c->state == CALL_INQUIRING)
        auth_work_cancel(w);
    else
        auth_work_free(w);
}

struct list acl_one(struct arena *arena, void *object) {
    struct list list = LIST_NEW(arena, void *, 1);
    LIST_AT(list, void *, 0) = object;
    return list;
}

struct list acl_one_name(struct arena *arena, struct str name) {
    struct list list = LIST_NEW(arena, struct str, 1);
    LIST_AT(list, struct str, 0) = name;
    return list;
}

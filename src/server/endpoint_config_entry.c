/* ConfigEntry (rpc.md 6.12, connect.md 1): settings that the servers keep for services and proxies.
 * They are the primary datacenter's: what is to change goes there, the others have copies.
 */
#include "schema/config_entry_rules.h"
#include "schema/requests_config.h"
#include "server/endpoint.h"
#include "server/permit.h"
#include "store/config_entry.h"

/* ---- who may ---- */

static bool is_kind(struct str kind, const char *wanted) {
    return str_is(kind, wanted);
}

static bool may_read(const struct call_context *c, struct str kind, struct str name) {
    return is_kind(kind, CONFIG_PROXY_DEFAULTS) || may(c, ACL_SERVICE, ACL_READ, name);
}

/* Whose entries are about all services that a proxy or gateway meets. */
static bool is_operators(struct str kind) {
    return is_kind(kind, CONFIG_PROXY_DEFAULTS) || is_kind(kind, CONFIG_INGRESS_GATEWAY) ||
           is_kind(kind, CONFIG_TERMINATING_GATEWAY);
}

static bool may_write(struct call_context *c, struct str kind, const struct config_entry *entry,
                      struct error *e) {
    if (is_operators(kind))
        return permit_operator(c, ACL_WRITE, e);
    if (!permit(c, ACL_SERVICE, ACL_WRITE, entry->name, e))
        return false;
    struct list links = config_entry_links(c->store, kind, entry);
    for (uint32_t i = 0; c->may != NULL && i < links.len; i++) {
        struct str service = LIST_AT(links, struct str, i);
        if (!str_eq(service, entry->name) && !permit(c, ACL_SERVICE, ACL_READ, service, e))
            return false;
    }
    return true;
}

/* ---- Apply, Delete ---- */

static bool write_place(const struct call *c, struct str *datacenter, struct error *e) {
    const struct server_options *o = server_options(c->server);
    (void)e;
    *datacenter = o->acl.primary_datacenter.len > 0 ? o->acl.primary_datacenter : o->datacenter;
    return true;
}

static bool apply_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    struct config_entry_request r = *(const struct config_entry_request *)request;
    r.entry->kind = r.kind;
    config_entry_normalize(r.entry, c->arena);
    if (!config_entry_validate(r.entry, c->arena, e) || !may_write(c, r.kind, r.entry, e))
        return false;
    if (!str_is(r.op, "upsert-cas"))
        r.op = STR("upsert");
    endpoint_entry(entry, ENTRY_CONFIG_ENTRY, &config_entry_request_shape, &r);
    return true;
}

static bool apply_finish(struct call_context *c, const void *request,
                         const struct store_result *result, void *reply, struct error *e) {
    (void)c, (void)request, (void)e;
    *(bool *)reply = result->boolean;
    return true;
}

static bool delete_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    struct config_entry_request r = *(const struct config_entry_request *)request;
    r.entry->kind = r.kind;
    config_entry_normalize(r.entry, c->arena);
    if (!may_write(c, r.kind, r.entry, e))
        return false;
    r.op = STR("delete");
    endpoint_entry(entry, ENTRY_CONFIG_ENTRY, &config_entry_request_shape, &r);
    return true;
}

/* ---- Get, List, ListAll ---- */

static bool check_kind(struct str kind, struct error *e) {
    return config_entry_shape(kind) != NULL ||
           error_set(e, ERROR_INTERNAL, "invalid config entry kind: " STR_FMT, STR_ARG(kind));
}

static bool get_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct config_entry_query *r = request;
    struct config_entry_response *out = reply;
    if (!check_kind(r->kind, e))
        return false;
    if (!may_read(c, r->kind, r->name))
        return permit_deny(e);
    c->meta->index = config_entry_get(c->store, r->kind, r->name, &out->entry);
    return true;
}

static void filter_entries(const struct call_context *c, struct list *entries) {
    FILTER_LIST(c, *entries, struct config_entry *, may_read(c, item->kind, item->name));
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct config_entry_query *r = request;
    struct indexed_config_entries *out = reply;
    if (r->kind.len > 0 && !check_kind(r->kind, e))
        return false;
    c->meta->index = config_entry_list(c->store, r->kind, &out->entries);
    c->exact = true; /* the whole table is watched */
    out->kind = str_copy(c->arena, r->kind);
    filter_entries(c, &out->entries);
    return true;
}

static bool list_all_read(struct call_context *c, const void *request, void *reply,
                          struct error *e) {
    struct indexed_generic_config_entries *out = reply;
    (void)request, (void)e;
    c->meta->index = config_entry_list(c->store, STR(""), &out->entries);
    c->exact = true; /* the whole table is watched */
    filter_entries(c, &out->entries);
    return true;
}

/* ---- ResolveServiceConfig ---- */

#define PROTOCOL STR("protocol")

/* What upstreams are given that have no protocol of their own. */
static struct value *protocol_map(struct call_context *c, const struct value *protocol) {
    struct value *map = ARENA_NEW(c->arena, struct value);
    value_put(map, PROTOCOL, *protocol, c->arena);
    return map;
}

static const struct service_defaults *defaults_of(struct call_context *c, struct str service) {
    struct config_entry *entry;
    uint64_t index = config_entry_get(c->store, STR(CONFIG_SERVICE_DEFAULTS), service, &entry);
    c->meta->index = index;
    return (const void *)entry;
}

/* NULL: nothing is known of the upstream. */
static struct value *upstream_config(struct call_context *c, struct str upstream,
                                     const struct proxy_defaults *proxy) {
    const struct service_defaults *own = defaults_of(c, upstream);
    if (own != NULL && own->protocol.len > 0) {
        struct value protocol = value_from_str(own->protocol);
        return protocol_map(c, &protocol);
    }
    const struct value *general = proxy != NULL ? value_get(proxy->config, "protocol") : NULL;
    return general != NULL ? protocol_map(c, general) : NULL;
}

static void resolve_ids(struct call_context *c, const struct list *ids,
                        const struct proxy_defaults *proxy, struct list *out) {
    struct map seen = MAP_INIT;
    struct list found = LIST_NEW(c->arena, struct upstream_config, ids->len);
    found.len = 0;
    for (uint32_t i = 0; i < ids->len; i++) {
        struct str id = LIST_AT(*ids, struct service_id, i).id;
        if (map_put(&seen, id, &seen) != NULL)
            continue;
        struct value *config = upstream_config(c, id, proxy);
        if (config != NULL)
            LIST_AT(found, struct upstream_config, found.len++) =
                (struct upstream_config){config, {str_copy(c->arena, id)}};
    }
    map_free(&seen);
    *out = found.len > 0 ? found : LIST_NIL;
}

static void resolve_names(struct call_context *c, const struct list *names,
                          const struct proxy_defaults *proxy, struct list *out) {
    struct list found = LIST_NEW(c->arena, struct value_pair_any, names->len);
    found.len = 0;
    for (uint32_t i = 0; i < names->len; i++) {
        struct str name = LIST_AT(*names, struct str, i);
        struct value *config = upstream_config(c, name, proxy);
        if (config != NULL)
            LIST_AT(found, struct value_pair_any, found.len++) =
                (struct value_pair_any){str_copy(c->arena, name), config};
    }
    map_sort(&found, sizeof(struct value_pair_any), c->arena);
    *out = found.len > 0 ? found : LIST_NIL;
}

/* The general settings, and over them what the service has of its own. */
static void resolve_own(struct call_context *c, const struct proxy_defaults *proxy,
                        const struct service_defaults *own, struct service_config_response *out) {
    if (proxy != NULL) {
        out->proxy_config = proxy->config;
        out->mesh_gateway = proxy->mesh_gateway;
        out->expose = proxy->expose;
    }
    if (own == NULL)
        return;
    if (own->protocol.len > 0) {
        if (out->proxy_config == NULL)
            out->proxy_config = ARENA_NEW(c->arena, struct value);
        value_put(out->proxy_config, PROTOCOL, value_from_str(own->protocol), c->arena);
    }
    if (own->mesh_gateway.mode.len > 0)
        out->mesh_gateway = own->mesh_gateway;
    out->expose.checks = out->expose.checks || own->expose.checks;
    if (own->expose.paths.len > 0)
        out->expose.paths = own->expose.paths;
}

static bool resolve_read(struct call_context *c, const void *request, void *reply,
                         struct error *e) {
    const struct service_config_request *r = request;
    struct service_config_response *out = reply;
    struct config_entry *entry;
    if (!permit(c, ACL_SERVICE, ACL_READ, r->name, e))
        return false;
    c->meta->index =
        config_entry_get(c->store, STR(CONFIG_PROXY_DEFAULTS), STR(PROXY_DEFAULTS_NAME), &entry);
    const struct proxy_defaults *proxy = (const void *)entry;
    /* Upstreams first: they are given the general protocol, not the service's. */
    if (r->upstream_ids.len > 0)
        resolve_ids(c, &r->upstream_ids, proxy, &out->upstream_id_configs);
    else if (r->upstreams.len > 0)
        resolve_names(c, &r->upstreams, proxy, &out->upstream_configs);
    resolve_own(c, proxy, defaults_of(c, r->name), out);
    return true;
}

/* ---- the table ---- */

#define CONFIG_ENTRY_WRITES(wire, counter)                                                         \
    .name = (wire), .kind = ENDPOINT_WRITE, .request = &config_entry_request_shape,                \
    .metric = (counter), .datacenter = offsetof(struct config_entry_request, datacenter),          \
    .options = -1, .meta = -1, .token = offsetof(struct config_entry_request, token),              \
    .place = write_place, .prepare_reads = true

const struct endpoint endpoint_config_entry_apply = {
    CONFIG_ENTRY_WRITES("ConfigEntry.Apply", "config_entry.apply"),
    ENDPOINT_REPLY_TYPE(bool_reply_type, bool),
    .prepare = apply_prepare,
    .finish = apply_finish,
};

const struct endpoint endpoint_config_entry_delete = {
    CONFIG_ENTRY_WRITES("ConfigEntry.Delete", "config_entry.delete"),
    ENDPOINT_REPLY(empty_struct),
    .prepare = delete_prepare,
};

const struct endpoint endpoint_config_entry_get = {
    ENDPOINT_READS("ConfigEntry.Get", ENDPOINT_BLOCKING, config_entry_query, config_entry_response),
    .metric = "config_entry.get",
    .read = get_read,
};

const struct endpoint endpoint_config_entry_list = {
    ENDPOINT_READS("ConfigEntry.List", ENDPOINT_BLOCKING, config_entry_query,
                   indexed_config_entries),
    .metric = "config_entry.list",
    .read = list_read,
};

const struct endpoint endpoint_config_entry_list_all = {
    ENDPOINT_READS("ConfigEntry.ListAll", ENDPOINT_BLOCKING, dc_request,
                   indexed_generic_config_entries),
    .metric = "config_entry.listAll",
    .read = list_all_read,
};

const struct endpoint endpoint_config_entry_resolve_service_config = {
    ENDPOINT_READS("ConfigEntry.ResolveServiceConfig", ENDPOINT_BLOCKING, service_config_request,
                   service_config_response),
    .metric = "config_entry.resolve_service_config",
    .read = resolve_read,
};

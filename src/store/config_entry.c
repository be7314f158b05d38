/* Config entries: the table, which entries link to which services, and entry type 22 (fsm.md 5.7).
 * A record is stored as its snapshot record: the raw string with kind, Datacenter "", Entry, Op "",
 * Token "".
 */
#include "store/config_entry.h"

#include "codec/msgpack.h"
#include "store/config_entry_tables.h"

/* ---- records ---- */

static struct str entry_key(struct store_read *r, struct str kind, struct str name) {
    return KEY(r->arena, K_LOWER(kind), K_LOWER(name));
}

/* Bytes of a record; the entry lives in the arena. */
static struct config_entry *entry_decode(struct store_read *r, struct str value) {
    struct config_entry_request request;
    struct error e = ERROR_IN(r->arena);
    struct msgpack_reader in = msgpack_read(str_copy(r->arena, value));
    bool ok = config_entry_request_decode(&in, &request, r->arena, &e);
    ASSERT(ok); /* we wrote it */
    /* What came in a minimal map has no Kind of its own, and readers go by it. */
    request.entry->kind = request.kind;
    return request.entry;
}

struct config_entry *config_entry_fetch(struct store_read *r, struct str kind, struct str name) {
    struct str value;
    if (!table_get(r, TABLE_CONFIG_ENTRIES, entry_key(r, kind, name), &value))
        return NULL;
    return entry_decode(r, value);
}

static void entries_with(struct store_read *r, struct str prefix, struct list *entries) {
    struct table_scan s;
    struct str value;
    uint32_t cap = 0;
    *entries = LIST_NIL;
    table_scan_begin(&s, r, TABLE_CONFIG_ENTRIES, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct config_entry *entry = entry_decode(r, value);
        *(struct config_entry **)list_push(entries, &cap, sizeof entry, r->arena) = entry;
    }
    table_scan_end(&s);
}

static struct list names_of(struct store_read *r, const struct list *entries) {
    struct list names = LIST_NEW(r->arena, struct str, entries->len);
    for (uint32_t i = 0; i < entries->len; i++)
        LIST_AT(names, struct str, i) = LIST_AT(*entries, struct config_entry *, i)->name;
    return names;
}

struct list config_entry_names(struct store_read *r, struct str kind) {
    struct list entries;
    entries_with(r, KEY(r->arena, K_LOWER(kind)), &entries);
    return names_of(r, &entries);
}

/* ---- reads ---- */

uint64_t config_entry_get(struct store_read *r, struct str kind, struct str name,
                          struct config_entry **entry) {
    watch_set_add_record(r->watch, ENTRIES_INDEX, entry_key(r, kind, name));
    *entry = config_entry_fetch(r, kind, name);
    return INDEX_MAX(r, ENTRIES_INDEX);
}

uint64_t config_entry_list(struct store_read *r, struct str kind, struct list *entries) {
    watch_name(r, WATCH_TABLE, STR(ENTRIES_INDEX));
    entries_with(r, kind.len > 0 ? KEY(r->arena, K_LOWER(kind)) : STR(""), entries);
    return INDEX_MAX(r, ENTRIES_INDEX);
}

/* ---- links: the services that an entry names ---- */

struct links {
    struct store_read *read;
    struct list services; /* of str; repeats do no harm */
    uint32_t cap;
};

static void link_add(struct links *links, struct str service) {
    if (service.len > 0) {
        *(struct str *)list_push(&links->services, &links->cap, sizeof service,
                                 links->read->arena) = service;
    }
}

static void link_add_other(struct links *links, struct str service, struct str own) {
    if (!str_eq(service, own))
        link_add(links, service);
}

static void links_of_router(struct links *links, const struct service_router *router) {
    link_add(links, router->head.name);
    for (uint32_t i = 0; i < router->routes.len; i++) {
        const struct service_route *route = &LIST_AT(router->routes, struct service_route, i);
        if (route->destination != NULL)
            link_add(links, route->destination->service);
    }
}

static void links_of_splitter(struct links *links, const struct service_splitter *splitter) {
    for (uint32_t i = 0; i < splitter->splits.len; i++) {
        struct str service = LIST_AT(splitter->splits, struct service_split, i).service;
        link_add_other(links, service, splitter->head.name);
    }
}

static void links_of_resolver(struct links *links, const struct service_resolver *resolver) {
    size_t size = schema_pair_size(&(struct type){KIND_STRUCT, &service_resolver_failover_shape});
    if (resolver->redirect != NULL)
        link_add_other(links, resolver->redirect->service, resolver->head.name);
    for (uint32_t i = 0; i < resolver->failover.len; i++) {
        const char *pair = (const char *)resolver->failover.items + i * size;
        const struct service_resolver_failover *failover = (const void *)(pair + MAP_VALUE_OFFSET);
        link_add_other(links, failover->service, resolver->head.name);
    }
}

static void links_of_ingress(struct links *links, const struct ingress_gateway *gateway) {
    for (uint32_t i = 0; i < gateway->listeners.len; i++) {
        const struct list *services =
            &LIST_AT(gateway->listeners, struct ingress_listener, i).services;
        for (uint32_t k = 0; k < services->len; k++) {
            struct str name = LIST_AT(*services, struct ingress_service, k).name;
            link_add_other(links, name, STR(WILDCARD_SERVICE));
        }
    }
}

struct list config_entry_links(struct store_read *r, struct str kind,
                               const struct config_entry *entry) {
    struct links links = {.read = r, .services = LIST_EMPTY};
    if (str_is(kind, CONFIG_SERVICE_ROUTER))
        links_of_router(&links, (const void *)entry);
    else if (str_is(kind, CONFIG_SERVICE_SPLITTER))
        links_of_splitter(&links, (const void *)entry);
    else if (str_is(kind, CONFIG_SERVICE_RESOLVER))
        links_of_resolver(&links, (const void *)entry);
    else if (str_is(kind, CONFIG_INGRESS_GATEWAY))
        links_of_ingress(&links, (const void *)entry);
    return links.services;
}

struct list config_entry_linking(struct store_read *r, struct str kind, struct str service) {
    struct str prefix = KEY(r->arena, K_EXACT(service), K_LOWER(kind));
    struct list keys = lookup_keys(r, TABLE_CONFIG_LINKS, prefix);
    struct list entries = LIST_EMPTY;
    uint32_t cap = 0;
    for (uint32_t i = 0; i < keys.len; i++) {
        struct str value;
        if (!table_get(r, TABLE_CONFIG_ENTRIES, LIST_AT(keys, struct str, i), &value))
            continue;
        struct config_entry *entry = entry_decode(r, value);
        *(struct config_entry **)list_push(&entries, &cap, sizeof entry, r->arena) = entry;
    }
    return names_of(r, &entries);
}

/* ---- writing ---- */

static struct str link_key(struct store_read *r, struct str service, struct str key) {
    return KEY(r->arena, K_EXACT(service), K_BARE(key));
}

static void entry_remove(struct store_batch *b, struct str kind, struct str name,
                         const struct config_entry *old) {
    struct str key = entry_key(&b->read, kind, name);
    struct list links = config_entry_links(&b->read, kind, old);
    for (uint32_t i = 0; i < links.len; i++)
        lookup_delete(b, TABLE_CONFIG_LINKS,
                      link_key(&b->read, LIST_AT(links, struct str, i), key));
    table_delete(b, TABLE_CONFIG_ENTRIES, key);
    touch_record(b, ENTRIES_INDEX, key);
}

static void entry_store(struct store_batch *b, struct str kind, struct config_entry *entry,
                        const struct config_entry *old) {
    struct str key = entry_key(&b->read, kind, entry->name);
    struct config_entry_request record = {.kind = kind, .entry = entry};
    if (old != NULL)
        entry_remove(b, kind, entry->name, old);
    buf_clear(&b->encoded);
    config_entry_request_encode(&b->encoded, &record);
    table_put(b, TABLE_CONFIG_ENTRIES, key, buf_str(&b->encoded));
    struct list links = config_entry_links(&b->read, kind, entry);
    for (uint32_t i = 0; i < links.len; i++)
        lookup_put(b, TABLE_CONFIG_LINKS, link_key(&b->read, LIST_AT(links, struct str, i), key),
                   key);
    touch_record(b, ENTRIES_INDEX, key);
}

/* ---- entry type 22 ---- */

static bool entry_upsert(struct store_batch *b, struct str kind, struct config_entry *entry,
                         const struct config_entry *old, struct error *e) {
    struct config_change change = {.kind = kind, .name = entry->name, .entry = entry};
    entry->create_index = old != NULL ? old->create_index : b->index;
    entry->modify_index = b->index;
    if (!config_graph_check(&b->read, &change, e))
        return false;
    if (entry->name.len == 0) {
        return error_set(e, ERROR_INTERNAL,
                         "failed inserting config entry: object missing primary index");
    }
    gateway_entry_changed(b, b->index, kind, entry->name, entry, old);
    entry_store(b, kind, entry, old);
    index_bump(b, STR(ENTRIES_INDEX));
    return true;
}

static bool entry_delete(struct store_batch *b, struct str kind, struct str name,
                         const struct config_entry *old, struct error *e) {
    struct config_change change = {.kind = kind, .name = name};
    if (old == NULL)
        return true;
    if (!config_graph_check(&b->read, &change, e))
        return false;
    gateway_entry_changed(b, b->index, kind, name, NULL, old);
    entry_remove(b, kind, name, old);
    index_bump(b, STR(ENTRIES_INDEX));
    return true;
}

static void apply_decoded(struct store_batch *b, const struct config_entry_request *request,
                          struct store_result *result) {
    struct str kind = request->kind;
    struct config_entry *entry = request->entry;
    const struct config_entry *old = config_entry_fetch(&b->read, kind, entry->name);
    struct error e = ERROR_IN(b->read.arena);
    bool ok = true, done = true;
    if (str_is(request->op, "upsert-cas"))
        done = entry->modify_index == (old != NULL ? old->modify_index : 0);
    if (str_is(request->op, "upsert") || str_is(request->op, "upsert-cas")) {
        ok = !done || entry_upsert(b, kind, entry, old, &e);
        *result = (struct store_result){.kind = STORE_RESULT_BOOL, .boolean = done};
    } else if (str_is(request->op, "delete")) {
        ok = entry_delete(b, kind, entry->name, old, &e);
    } else {
        ok = error_set(&e, ERROR_INTERNAL, "invalid config entry operation type: %.*s",
                       STR_ARG(request->op));
    }
    if (!ok)
        apply_fail(b, result, &e);
}

bool apply_config_entry(struct store_batch *b, struct str body, struct store_result *result,
                        struct error *e) {
    struct config_entry_request request;
    struct msgpack_reader in = msgpack_read(body);
    if (!config_entry_request_decode(&in, &request, b->read.arena, e))
        return false;
    apply_decoded(b, &request, result);
    return true;
}

/* ---- snapshots ---- */

void config_entry_snapshot(struct snapshot_writer *w) {
    snapshot_copy_table(w, ENTRY_CONFIG_ENTRY, TABLE_CONFIG_ENTRIES);
}

bool config_entry_restore(struct store_batch *b, struct msgpack_reader *in, struct error *e) {
    struct config_entry_request request;
    if (!config_entry_request_decode(in, &request, b->read.arena, e))
        return false;
    struct config_entry *entry = request.entry;
    const struct config_entry *old = config_entry_fetch(&b->read, request.kind, entry->name);
    gateway_entry_changed(b, entry->modify_index, request.kind, entry->name, entry, old);
    entry_store(b, request.kind, entry, old);
    index_raise(b, STR(ENTRIES_INDEX), entry->modify_index);
    return true;
}

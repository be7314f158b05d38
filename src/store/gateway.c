/* gateway-services (fsm.md 5.7): one mapping for each service that a gateway serves, and for each
 * wildcard one itself and one for each ordinary service there is. Derived from config entries and
 * the catalog; a restore builds it anew.
 */
#include "store/gateway.h"

#include "store/config_entry_tables.h"

#define INDEX_NAME "gateway-services"
#define OWN_SERVICE "consul" /* the servers; no wildcard means them */

/* ---- mappings ---- */

static struct str port_bytes(struct arena *arena, int64_t port) {
    char *bytes = arena_alloc(arena, 8);
    be64_put(bytes, (uint64_t)port ^ (UINT64_C(1) << 63));
    return str_of(bytes, 8);
}

static struct str mapping_key(struct store_read *r, const struct gateway_service *m) {
    return KEY(r->arena, K_LOWER(m->gateway.name), K_LOWER(m->service.name),
               K_BARE(port_bytes(r->arena, m->port)));
}

static struct str service_key(struct store_read *r, const struct gateway_service *m) {
    return KEY(r->arena, K_LOWER(m->service.name), K_LOWER(m->gateway.name),
               K_BARE(port_bytes(r->arena, m->port)));
}

static bool is_wildcard(const struct gateway_service *m) {
    return str_is(m->service.name, WILDCARD_SERVICE);
}

static void mapping_store(struct store_batch *b, const struct gateway_service *m) {
    struct str key = mapping_key(&b->read, m);
    record_put(b, TABLE_GATEWAYS, key, &gateway_service_shape, m);
    lookup_put(b, TABLE_GATEWAYS_SERVICE, service_key(&b->read, m), key);
}

static void mapping_remove(struct store_batch *b, const struct gateway_service *m) {
    lookup_delete(b, TABLE_GATEWAYS_SERVICE, service_key(&b->read, m));
    table_delete(b, TABLE_GATEWAYS, mapping_key(&b->read, m));
}

static bool mapping_fetch(struct store_read *r, struct str key, struct gateway_service *m) {
    return record_get(r, TABLE_GATEWAYS, key, &gateway_service_shape, m);
}

/* struct gateway_service *: those of a service (any gateway), by gateway and port. */
static struct list mappings_of_service(struct store_read *r, struct str service) {
    struct list keys = lookup_keys(r, TABLE_GATEWAYS_SERVICE, KEY(r->arena, K_LOWER(service)));
    struct list mappings = LIST_NIL;
    uint32_t cap = 0;
    for (uint32_t i = 0; i < keys.len; i++) {
        struct gateway_service *m = ARENA_NEW(r->arena, struct gateway_service);
        if (mapping_fetch(r, LIST_AT(keys, struct str, i), m))
            *(struct gateway_service **)list_push(&mappings, &cap, sizeof m, r->arena) = m;
    }
    return mappings;
}

static struct list mappings_of_gateway(struct store_read *r, struct str gateway) {
    struct list mappings;
    record_list(r, TABLE_GATEWAYS, KEY(r->arena, K_LOWER(gateway)), &gateway_service_shape,
                &mappings);
    return mappings;
}

/* ---- reads ---- */

/* Whether a mapping is shown: one that an ingress's wildcard made only if the service itself (not
 * what its chain leads to) speaks what the listener does. *checked: config entries were looked at.
 */
static bool mapping_serves(struct store_read *r, const struct gateway_service *m, bool *checked) {
    if (is_wildcard(m))
        return false;
    if (!m->from_wildcard || !str_is(m->gateway_kind, CONFIG_INGRESS_GATEWAY))
        return true;
    *checked = true;
    return str_eq(service_protocol(r, m->service.name), m->protocol);
}

uint64_t gateway_services(struct store_read *r, struct str gateway, struct list *services) {
    struct list all = mappings_of_gateway(r, gateway);
    bool checked = false;
    uint32_t cap = 0;
    *services = LIST_NIL;
    for (uint32_t i = 0; i < all.len; i++) {
        struct gateway_service *m = LIST_AT(all, struct gateway_service *, i);
        if (mapping_serves(r, m, &checked))
            *(struct gateway_service **)list_push(services, &cap, sizeof m, r->arena) = m;
    }
    watch_name(r, WATCH_TABLE, STR(INDEX_NAME));
    if (!checked)
        return INDEX_MAX(r, INDEX_NAME);
    watch_name(r, WATCH_TABLE, STR(ENTRIES_INDEX));
    return INDEX_MAX(r, INDEX_NAME, ENTRIES_INDEX);
}

uint64_t gateway_of_service(struct store_read *r, struct str service, const char *kind,
                            struct list *mappings) {
    struct list all = mappings_of_service(r, service);
    uint64_t index = 0;
    uint32_t cap = 0;
    *mappings = LIST_NIL;
    for (uint32_t i = 0; i < all.len; i++) {
        struct gateway_service *m = LIST_AT(all, struct gateway_service *, i);
        if (!str_is(m->gateway_kind, kind))
            continue;
        *(struct gateway_service **)list_push(mappings, &cap, sizeof m, r->arena) = m;
        if (m->modify_index > index)
            index = m->modify_index;
    }
    watch_name(r, WATCH_TABLE, STR(INDEX_NAME));
    return index;
}

/* ---- a gateway's entry changes ---- */

static struct gateway_service mapping_of_linked(struct str gateway,
                                                const struct linked_service *s) {
    return (struct gateway_service){.gateway.name = gateway,
                                    .service.name = s->name,
                                    .gateway_kind = STR(CONFIG_TERMINATING_GATEWAY),
                                    .ca_file = s->ca_file,
                                    .cert_file = s->cert_file,
                                    .key_file = s->key_file,
                                    .sni = s->sni};
}

static struct gateway_service mapping_of_listened(struct str gateway,
                                                  const struct ingress_listener *listener,
                                                  const struct ingress_service *s) {
    return (struct gateway_service){.gateway.name = gateway,
                                    .service.name = s->name,
                                    .gateway_kind = STR(CONFIG_INGRESS_GATEWAY),
                                    .port = listener->port,
                                    .protocol = listener->protocol,
                                    .hosts = s->hosts};
}

/* struct gateway_service, in the order of the entry. */
static struct list mappings_of_entry(struct arena *arena, struct str kind,
                                     const struct config_entry *entry) {
    struct list mappings = LIST_EMPTY;
    uint32_t cap = 0;
    if (str_is(kind, CONFIG_TERMINATING_GATEWAY)) {
        const struct list *services = &((const struct terminating_gateway *)entry)->services;
        for (uint32_t i = 0; i < services->len; i++) {
            struct gateway_service *m = list_push(&mappings, &cap, sizeof *m, arena);
            *m = mapping_of_linked(entry->name, &LIST_AT(*services, struct linked_service, i));
        }
        return mappings;
    }
    const struct list *listeners = &((const struct ingress_gateway *)entry)->listeners;
    for (uint32_t i = 0; i < listeners->len; i++) {
        const struct ingress_listener *listener = &LIST_AT(*listeners, struct ingress_listener, i);
        for (uint32_t k = 0; k < listener->services.len; k++) {
            struct gateway_service *m = list_push(&mappings, &cap, sizeof *m, arena);
            *m = mapping_of_listened(entry->name, listener,
                                     &LIST_AT(listener->services, struct ingress_service, k));
        }
    }
    return mappings;
}

/* Whether what mappings are made of is the same, strictly. */
static bool entry_serves_same(struct str kind, const struct config_entry *a,
                              const struct config_entry *b) {
    if (str_is(kind, CONFIG_TERMINATING_GATEWAY)) {
        struct terminating_gateway x = {.services =
                                            ((const struct terminating_gateway *)a)->services};
        struct terminating_gateway y = {.services =
                                            ((const struct terminating_gateway *)b)->services};
        return schema_equal(&terminating_gateway_shape, &x, &y);
    }
    struct ingress_gateway x = {.listeners = ((const struct ingress_gateway *)a)->listeners};
    struct ingress_gateway y = {.listeners = ((const struct ingress_gateway *)b)->listeners};
    return schema_equal(&ingress_gateway_shape, &x, &y);
}

/* The names (struct str) of ordinary services, each once; of several spellings the first. */
static struct list typical_services(struct store_read *r) {
    struct list keys = lookup_keys(r, TABLE_SERVICES_KIND, KEY(r->arena, K_EXACT(STR(""))));
    struct list names = LIST_EMPTY;
    struct map known = MAP_INIT;
    uint32_t cap = 0;
    for (uint32_t i = 0; i < keys.len; i++) {
        struct str value;
        struct node_service service;
        if (!table_get(r, TABLE_SERVICES, LIST_AT(keys, struct str, i), &value))
            continue;
        service_decode(r, value, NULL, &service);
        struct str lower = name_lower(r->arena, service.service);
        if (!str_is(service.service, OWN_SERVICE) && map_put(&known, lower, r) == NULL)
            *(struct str *)list_push(&names, &cap, sizeof(struct str), r->arena) = service.service;
    }
    map_free(&known);
    return names;
}

static void add_wildcard(struct store_batch *b, const struct gateway_service *wildcard,
                         const struct list *services) {
    for (uint32_t i = 0; i < services->len; i++) {
        struct gateway_service m = *wildcard;
        m.service.name = LIST_AT(*services, struct str, i);
        m.from_wildcard = true;
        if (!table_has(&b->read, TABLE_GATEWAYS, mapping_key(&b->read, &m)))
            mapping_store(b, &m);
    }
}

static void remove_all(struct store_batch *b, const struct list *mappings) {
    for (uint32_t i = 0; i < mappings->len; i++)
        mapping_remove(b, LIST_AT(*mappings, struct gateway_service *, i));
}

static void mappings_bump(struct store_batch *b, uint64_t index) {
    index_raise(b, STR(INDEX_NAME), index);
    touch(b, WATCH_TABLE, STR(INDEX_NAME));
}

void gateway_entry_changed(struct store_batch *b, uint64_t index, struct str kind, struct str name,
                           const struct config_entry *entry, const struct config_entry *old) {
    if (!str_is(kind, CONFIG_TERMINATING_GATEWAY) && !str_is(kind, CONFIG_INGRESS_GATEWAY))
        return;
    if (entry != NULL && old != NULL && entry_serves_same(kind, entry, old))
        return;
    struct list before = mappings_of_gateway(&b->read, name);
    remove_all(b, &before);
    struct list mappings = LIST_EMPTY, services = LIST_NIL;
    if (entry != NULL)
        mappings = mappings_of_entry(b->read.arena, kind, entry);
    for (uint32_t i = 0; i < mappings.len; i++) {
        struct gateway_service *m = &LIST_AT(mappings, struct gateway_service, i);
        m->create_index = m->modify_index = index;
        if (is_wildcard(m)) {
            if (!services.present)
                services = typical_services(&b->read);
            add_wildcard(b, m, &services);
        }
        mapping_store(b, m);
    }
    mappings_bump(b, index);
}

/* ---- the catalog changes ---- */

static const char *const not_content[] = {"CreateIndex", "ModifyIndex", NULL};

static void wildcard_written(struct store_batch *b, const struct gateway_service *wildcard,
                             struct str service) {
    struct gateway_service m = *wildcard, old;
    m.service.name = service;
    m.from_wildcard = true;
    m.create_index = m.modify_index = b->index;
    if (mapping_fetch(&b->read, mapping_key(&b->read, &m), &old)) {
        if (schema_equal_but(&gateway_service_shape, &old, &m, not_content))
            return;
        m.create_index = old.create_index;
    }
    mapping_store(b, &m);
    mappings_bump(b, b->index);
}

void gateway_service_written(struct store_batch *b, const struct node_service *service) {
    if (service->kind.len > 0 || str_is(service->service, OWN_SERVICE))
        return;
    struct list wildcards = mappings_of_service(&b->read, STR(WILDCARD_SERVICE));
    for (uint32_t i = 0; i < wildcards.len; i++)
        wildcard_written(b, LIST_AT(wildcards, struct gateway_service *, i), service->service);
}

void gateway_service_gone(struct store_batch *b, struct str name) {
    struct list mappings = mappings_of_service(&b->read, name);
    bool any = false;
    for (uint32_t i = 0; i < mappings.len; i++) {
        const struct gateway_service *m = LIST_AT(mappings, struct gateway_service *, i);
        if (!m->from_wildcard)
            continue;
        mapping_remove(b, m);
        any = true;
    }
    if (any)
        mappings_bump(b, b->index);
}

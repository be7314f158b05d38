/* Snapshots: held, released, looked into, and made out of what is known of a proxy. See
 * proxy_snapshot.h and proxy_parts.h.
 */
#include "agent/proxy_snapshot.h"

#include <stdlib.h>

#include "agent/proxy_parts.h"
#include "base/map.h"
#include "base/mem.h"
#include "server/endpoints.h"

void proxy_snapshot_hold(struct proxy_snapshot *s) {
    if (s != NULL)
        atomic_fetch_add(&s->references, 1);
}

void proxy_snapshot_release(struct proxy_snapshot *s) {
    if (s == NULL || atomic_fetch_sub(&s->references, 1) != 1)
        return;
    for (size_t i = 0; i < s->fact_count; i++)
        fact_release(s->facts[i]);
    struct arena arena = s->arena;
    mem_free(s);
    arena_free(&arena);
}

const struct proxy_instances *proxy_instances_get(const struct list *all, struct str key) {
    for (uint32_t i = 0; i < all->len; i++) {
        const struct proxy_instances *one = &LIST_AT(*all, struct proxy_instances, i);
        if (str_eq(one->key, key))
            return one;
    }
    return NULL;
}

/* ---- making one ---- */

/* NULL: not known. */
static const struct proxy_instances *instances(struct proxy_snapshot *s, const struct proxy_view *v,
                                               enum proxy_part part, struct str of,
                                               struct str key) {
    const struct indexed_check_service_nodes *known = v->known(v, part, of, key);
    if (known == NULL)
        return NULL;
    struct proxy_instances *out = ARENA_NEW(&s->arena, struct proxy_instances);
    *out = (struct proxy_instances){str_copy(&s->arena, key), known->nodes};
    return out;
}

static void add_instances(struct list *all, const struct proxy_instances *one) {
    if (one != NULL && proxy_instances_get(all, one->key) == NULL)
        LIST_AT(*all, struct proxy_instances, all->len++) = *one;
}

static void fill_chain(struct proxy_snapshot *s, const struct proxy_view *v,
                       struct proxy_upstream *up) {
    const struct discovery_chain_response *known = v->known(v, PART_CHAIN, STR(""), up->id);
    up->chain = known != NULL ? known->chain : NULL;
    up->targets =
        LIST_NEW(&s->arena, struct proxy_instances, up->chain != NULL ? up->chain->targets.len : 0);
    up->targets.len = 0;
    for (uint32_t i = 0; up->chain != NULL && i < up->chain->targets.len; i++)
        add_instances(&up->targets, instances(s, v, PART_TARGET, up->id,
                                              LIST_AT(up->chain->targets, struct ptr_pair, i).key));
}

static void fill_query(struct proxy_snapshot *s, const struct proxy_view *v,
                       struct proxy_upstream *up) {
    const struct prepared_query_execute_response *known = v->known(v, PART_QUERY, STR(""), up->id);
    up->targets = LIST_EMPTY;
    if (known == NULL)
        return;
    struct proxy_instances *out = ARENA_NEW(&s->arena, struct proxy_instances);
    *out = (struct proxy_instances){up->id, known->nodes};
    up->query = out;
}

/* Of all targets of all upstreams. */
static void fill_gateways(struct proxy_snapshot *s, const struct proxy_view *v) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < s->upstreams.len; i++) {
        const struct compiled_chain *chain = LIST_AT(s->upstreams, struct proxy_upstream, i).chain;
        most += chain != NULL ? chain->targets.len : 0;
    }
    s->gateways = LIST_NEW(&s->arena, struct proxy_instances, most);
    s->gateways.len = 0;
    for (uint32_t i = 0; i < s->upstreams.len; i++) {
        const struct compiled_chain *chain = LIST_AT(s->upstreams, struct proxy_upstream, i).chain;
        for (uint32_t t = 0; chain != NULL && t < chain->targets.len; t++) {
            const struct chain_target *target = LIST_AT(chain->targets, struct ptr_pair, t).value;
            struct str through =
                target != NULL ? proxy_gateways_of(target, s->datacenter) : STR("");
            if (through.len > 0 && proxy_instances_get(&s->gateways, through) == NULL)
                add_instances(&s->gateways, instances(s, v, PART_GATEWAYS, STR(""), through));
        }
    }
}

static void fill_upstreams(struct proxy_snapshot *s, const struct proxy_view *v) {
    s->upstreams = proxy_upstreams(v, &s->arena);
    for (uint32_t i = 0; i < s->upstreams.len; i++) {
        struct proxy_upstream *up = &LIST_AT(s->upstreams, struct proxy_upstream, i);
        if (proxy_upstream_is_query(up->upstream))
            fill_query(s, v, up);
        else
            fill_chain(s, v, up);
    }
    fill_gateways(s, v);
}

/* ---- the kinds: false, something is missing ---- */

static bool sidecar(struct proxy_snapshot *s, const struct proxy_view *v) {
    s->leaf = v->known(v, PART_LEAF, STR(""), s->service->proxy.destination_service_name);
    if (s->leaf == NULL)
        return false;
    s->exposed = v->registered->exposed;
    fill_upstreams(s, v);
    return true;
}

/* By lower case name, of struct service_resolver: the servers do not look at the case either. */
static struct map resolvers_by_name(const struct proxy_view *v, struct arena *arena) {
    const struct indexed_config_entries *all = v->known(v, PART_RESOLVERS, STR(""), STR(""));
    struct map out = MAP_INIT;
    for (uint32_t i = 0; all != NULL && i < all->entries.len; i++) {
        struct config_entry *entry = LIST_AT(all->entries, struct config_entry *, i);
        if (entry != NULL && str_is(entry->kind, CONFIG_SERVICE_RESOLVER))
            map_put(&out, str_lower(arena, entry->name), entry);
    }
    return out;
}

static const struct service_resolver *resolver_of(const struct map *resolvers, struct str service,
                                                  struct arena *arena) {
    return map_get(resolvers, str_lower(arena, service));
}

/* Those that are known not to be part of the mesh are left out. */
static void fill_meshed(struct proxy_snapshot *s, const struct proxy_view *v,
                        const struct indexed_service_list *names) {
    struct map resolvers = resolvers_by_name(v, &s->arena);
    s->meshed = LIST_NEW(&s->arena, struct proxy_meshed_service, names->services.len);
    s->meshed.len = 0;
    for (uint32_t i = 0; i < names->services.len; i++) {
        struct str name = LIST_AT(names->services, struct service_name, i).name;
        const struct proxy_instances *found = instances(s, v, PART_INSTANCES, STR(""), name);
        if (found == NULL || found->nodes.len > 0)
            LIST_AT(s->meshed, struct proxy_meshed_service, s->meshed.len++) =
                (struct proxy_meshed_service){name, found,
                                              resolver_of(&resolvers, name, &s->arena)};
    }
    map_free(&resolvers);
}

static int compare_names(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void fill_datacenters(struct proxy_snapshot *s, const struct proxy_view *v) {
    const struct list *all = v->known(v, PART_DATACENTERS, STR(""), STR(""));
    uint32_t most = all != NULL ? all->len : 0;
    s->datacenters = LIST_NEW(&s->arena, struct str, most);
    s->gateways = LIST_NEW(&s->arena, struct proxy_instances, most);
    s->datacenters.len = s->gateways.len = 0;
    for (uint32_t i = 0; i < most; i++) {
        struct str name = LIST_AT(*all, struct str, i);
        if (!str_eq(name, s->datacenter))
            LIST_AT(s->datacenters, struct str, s->datacenters.len++) = name;
    }
    qsort(s->datacenters.items, s->datacenters.len, sizeof(struct str), compare_names);
    for (uint32_t i = 0; i < s->datacenters.len; i++)
        add_instances(&s->gateways, instances(s, v, PART_GATEWAYS, STR(""),
                                              LIST_AT(s->datacenters, struct str, i)));
}

static void fill_federation(struct proxy_snapshot *s, const struct proxy_view *v) {
    const struct list *known = v->known(v, PART_FEDERATION, STR(""), STR(""));
    s->federation = LIST_NEW(&s->arena, struct proxy_instances, known != NULL ? known->len : 0);
    for (uint32_t i = 0; i < s->federation.len; i++) {
        const struct list_pair *pair = &LIST_AT(*known, struct list_pair, i);
        LIST_AT(s->federation, struct proxy_instances, i) =
            (struct proxy_instances){pair->key, pair->value};
    }
}

static bool mesh_gateway(struct proxy_snapshot *s, const struct proxy_view *v) {
    const struct indexed_service_list *names = v->known(v, PART_SERVICES, STR(""), STR(""));
    if (names == NULL)
        return false;
    if (proxy_federates(s->service)) {
        s->servers = instances(s, v, PART_SERVERS, STR(""), STR("consul"));
        if (s->servers == NULL)
            return false;
        fill_federation(s, v);
    }
    fill_meshed(s, v, names);
    fill_datacenters(s, v);
    return true;
}

static bool terminating_gateway(struct proxy_snapshot *s, const struct proxy_view *v) {
    const struct indexed_gateway_services *linked = v->known(v, PART_LINKED, STR(""), STR(""));
    struct map resolvers = resolvers_by_name(v, &s->arena);
    s->linked =
        LIST_NEW(&s->arena, struct proxy_linked_service, linked != NULL ? linked->services.len : 0);
    s->linked.len = 0;
    for (uint32_t i = 0; linked != NULL && i < linked->services.len; i++) {
        const struct gateway_service *one = LIST_AT(linked->services, struct gateway_service *, i);
        if (one == NULL)
            continue;
        LIST_AT(s->linked, struct proxy_linked_service, s->linked.len++) =
            (struct proxy_linked_service){
                .service = one,
                .leaf = v->known(v, PART_LEAF, STR(""), one->service.name),
                .instances = instances(s, v, PART_INSTANCES, STR(""), one->service.name),
                .resolver = resolver_of(&resolvers, one->service.name, &s->arena)};
    }
    map_free(&resolvers);
    return true;
}

static bool ingress_gateway(struct proxy_snapshot *s, const struct proxy_view *v) {
    const struct config_entry_response *answer = v->known(v, PART_ENTRY, STR(""), STR(""));
    s->leaf = v->known(v, PART_LEAF, STR(""), s->service->service);
    if (s->leaf == NULL || answer == NULL || answer->entry == NULL ||
        v->known(v, PART_LINKED, STR(""), STR("")) == NULL)
        return false;
    s->ingress = (const struct ingress_gateway *)answer->entry;
    fill_upstreams(s, v);
    return true;
}

static bool fill(struct proxy_snapshot *s, const struct proxy_view *v) {
    switch (proxy_kind_of(s->service)) {
    case PROXY_SIDECAR:
        return sidecar(s, v);
    case PROXY_MESH_GATEWAY:
        return mesh_gateway(s, v);
    case PROXY_TERMINATING_GATEWAY:
        return terminating_gateway(s, v);
    case PROXY_INGRESS_GATEWAY:
        return ingress_gateway(s, v);
    default:
        return false;
    }
}

struct proxy_snapshot *proxy_snapshot_make(const struct proxy_view *v) {
    const struct indexed_ca_roots *roots = v->known(v, PART_ROOTS, STR(""), STR(""));
    if (roots == NULL || roots->active_root_id.len == 0)
        return NULL;
    struct proxy_snapshot *s = MEM_NEW(struct proxy_snapshot);
    const struct config *c = v->config;
    s->references = 1;
    s->service = &v->registered->service;
    s->proxy_id = s->service->id;
    s->token = v->registered->token;
    s->datacenter = str_copy(&s->arena, c->datacenter);
    s->domain = str_copy(&s->arena, c->dns.domain);
    s->alt_domain = str_copy(&s->arena, c->dns.alt_domain);
    s->advertise_address = str_copy(&s->arena, c->advertise_addr_lan);
    s->is_server = c->server_mode;
    s->roots = roots;
    s->upstreams = s->gateways = s->exposed = s->meshed = s->datacenters = s->federation =
        s->linked = LIST_EMPTY;
    if (fill(s, v))
        return s;
    proxy_snapshot_release(s);
    return NULL;
}

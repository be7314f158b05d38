/* Which questions there are for a proxy: see proxy_parts.h. What is refused to the registration's
 * token is not asked with another.
 */
#include "agent/proxy_parts.h"

#include "base/mem.h"
#include "schema/config_entry_values.h"
#include "schema/table.h"
#include "server/endpoints.h"

#define POLL (30 * SECOND)
#define NAMESPACE "default"

#define OF struct proxy_check_path
static const struct field proxy_check_path_fields[] = {
    F_STR("Path", path),
    F_STR("Protocol", protocol),
    F_INT("LocalPort", local_port),
    F_INT("ListenerPort", listener_port),
};
#undef OF
SHAPE(proxy_check_path, "ProxyCheckPath");

#define OF struct proxy_registration
static const struct field proxy_registration_fields[] = {
    F_STRUCT("Service", service, node_service),
    F_STR("Token", token),
    F_LIST("Exposed", exposed, OF_STRUCT(proxy_check_path)),
};
#undef OF
SHAPE(proxy_registration, "ProxyRegistration");

enum proxy_kind proxy_kind_of(const struct node_service *s) {
    if (str_is(s->kind, "connect-proxy"))
        return s->proxy.destination_service_id.len > 0 ? PROXY_SIDECAR : PROXY_NONE;
    return str_is(s->kind, "mesh-gateway")          ? PROXY_MESH_GATEWAY
           : str_is(s->kind, "terminating-gateway") ? PROXY_TERMINATING_GATEWAY
           : str_is(s->kind, "ingress-gateway")     ? PROXY_INGRESS_GATEWAY
                                                    : PROXY_NONE;
}

bool proxy_federates(const struct node_service *s) {
    const struct str *meta = str_map_get(&s->meta, STR("consul-wan-federation"));
    return str_is(s->kind, "mesh-gateway") && meta != NULL && str_is(*meta, "1");
}

bool proxy_part_leads_on(enum proxy_part part) {
    return part == PART_CHAIN || part == PART_SERVICES || part == PART_DATACENTERS ||
           part == PART_LINKED || part == PART_ENTRY;
}

/* ---- the list ---- */

static struct proxy_need *add(struct proxy_needs *n, enum proxy_part part, struct str of,
                              struct str key) {
    for (size_t i = 0; part == PART_GATEWAYS && i < n->len; i++) {
        if (n->items[i].part == part && str_eq(n->items[i].key, key))
            return NULL; /* several targets may lead through the same */
    }
    if (n->len == n->cap) {
        size_t cap = n->cap > 0 ? 2 * n->cap : 16;
        struct proxy_need *items = ARENA_ARRAY(n->arena, struct proxy_need, cap);
        if (n->len > 0)
            memcpy(items, n->items, n->len * sizeof(*items));
        n->items = items;
        n->cap = cap;
    }
    struct proxy_need *need = &n->items[n->len++];
    *need = (struct proxy_need){.part = part, .of = of, .key = key};
    return need;
}

static struct query_options stale(const struct proxy_view *v) {
    return (struct query_options){.allow_stale = true, .token = v->registered->token};
}

static void add_roots(const struct proxy_view *v, struct proxy_needs *n) {
    struct dc_request *r = ARENA_NEW(n->arena, struct dc_request);
    r->datacenter = v->config->datacenter;
    r->options.token = v->registered->token;
    add(n, PART_ROOTS, STR(""), STR(""))->question =
        (struct fact_question){.endpoint = &endpoint_connect_ca_roots, .request = r};
}

static void add_leaf(const struct proxy_view *v, struct proxy_needs *n, struct str service,
                     struct list dns) {
    struct leaf_wish *wish = ARENA_NEW(n->arena, struct leaf_wish);
    *wish = (struct leaf_wish){.service = service,
                               .dns = dns,
                               .token = v->registered->token,
                               .datacenter = v->config->datacenter,
                               .spread = v->config->connect_test_ca_leaf_root_change_spread};
    add(n, PART_LEAF, STR(""), service)->question = (struct fact_question){.leaf = wish};
}

static void add_instances(const struct proxy_view *v, struct proxy_needs *n, enum proxy_part part,
                          struct str service, bool connect) {
    struct service_request *r = ARENA_NEW(n->arena, struct service_request);
    r->datacenter = v->config->datacenter;
    r->service_name = service;
    r->connect = connect;
    r->options = stale(v);
    add(n, part, STR(""), service)->question =
        (struct fact_question){.endpoint = &endpoint_health_service_nodes, .request = r};
}

static void add_resolvers(const struct proxy_view *v, struct proxy_needs *n) {
    struct config_entry_query *r = ARENA_NEW(n->arena, struct config_entry_query);
    r->datacenter = v->config->datacenter;
    r->kind = STR(CONFIG_SERVICE_RESOLVER);
    r->options = stale(v);
    add(n, PART_RESOLVERS, STR(""), STR(""))->question =
        (struct fact_question){.endpoint = &endpoint_config_entry_list, .request = r};
}

static void add_gateways(const struct proxy_view *v, struct proxy_needs *n, struct str datacenter) {
    struct service_dump_request *r = ARENA_NEW(n->arena, struct service_dump_request);
    r->datacenter = datacenter;
    r->service_kind = STR("mesh-gateway");
    r->use_service_kind = true;
    r->options = stale(v);
    struct proxy_need *need = add(n, PART_GATEWAYS, STR(""), datacenter);
    if (need != NULL)
        need->question =
            (struct fact_question){.endpoint = &endpoint_internal_service_dump, .request = r};
}

/* ---- upstreams ---- */

bool proxy_upstream_is_query(const struct upstream *u) {
    return str_is(u->destination_type, "prepared_query");
}

struct str proxy_upstream_id(const struct upstream *u, struct arena *arena) {
    struct str ns = u->destination_namespace;
    bool shown = ns.len > 0 && !str_is(ns, NAMESPACE);
    return str_format(arena, "%s" STR_FMT "%s" STR_FMT "%s" STR_FMT,
                      proxy_upstream_is_query(u) ? "prepared_query:" : "",
                      STR_ARG(shown ? ns : STR("")), shown ? "/" : "", STR_ARG(u->destination_name),
                      u->datacenter.len > 0 ? "?dc=" : "", STR_ARG(u->datacenter));
}

static struct list registered_upstreams(const struct proxy_view *v, struct arena *arena) {
    const struct list *all = &v->registered->service.proxy.upstreams;
    struct list out = LIST_NEW(arena, struct proxy_upstream, all->len);
    for (uint32_t i = 0; i < all->len; i++) {
        const struct upstream *u = &LIST_AT(*all, struct upstream, i);
        LIST_AT(out, struct proxy_upstream, i) =
            (struct proxy_upstream){.id = proxy_upstream_id(u, arena), .upstream = u};
    }
    return out;
}

/* What an ingress gateway leads to, as if it were upstreams of its own. */
static struct list gateway_upstreams(const struct proxy_view *v, struct arena *arena) {
    const struct indexed_gateway_services *linked = v->known(v, PART_LINKED, STR(""), STR(""));
    struct list out =
        LIST_NEW(arena, struct proxy_upstream, linked != NULL ? linked->services.len : 0);
    out.len = 0;
    for (uint32_t i = 0; linked != NULL && i < linked->services.len; i++) {
        const struct gateway_service *s = LIST_AT(linked->services, struct gateway_service *, i);
        if (s == NULL)
            continue;
        struct upstream *u = ARENA_NEW(arena, struct upstream);
        u->destination_name = s->service.name;
        u->destination_namespace = STR(NAMESPACE);
        u->local_bind_port = s->port;
        u->ingress_hosts = s->hosts;
        u->config = ARENA_NEW(arena, struct value);
        *u->config = value_map();
        value_put(u->config, STR("protocol"), value_from_str(s->protocol), arena);
        LIST_AT(out, struct proxy_upstream, out.len++) =
            (struct proxy_upstream){.id = proxy_upstream_id(u, arena), .upstream = u};
    }
    return out;
}

struct list proxy_upstreams(const struct proxy_view *v, struct arena *arena) {
    switch (proxy_kind_of(&v->registered->service)) {
    case PROXY_SIDECAR:
        return registered_upstreams(v, arena);
    case PROXY_INGRESS_GATEWAY:
        return gateway_upstreams(v, arena);
    default:
        return LIST_EMPTY;
    }
}

/* A setting of an upstream, however it is written. */
static const struct value *setting(const struct upstream *u, const char *name) {
    const struct value *found = value_get(u->config, name);
    for (size_t i = 0; found == NULL && u->config != NULL && u->config->kind == VALUE_MAP &&
                       i < u->config->map.len;
         i++) {
        if (str_eq_fold(u->config->map.pairs[i].key, str_from(name)))
            found = &u->config->map.pairs[i].value;
    }
    return found != NULL && found->kind != VALUE_NULL ? found : NULL;
}

/* What a wrong value says is not used. */
static void add_overrides(const struct proxy_view *v, const struct upstream *u,
                          struct discovery_chain_request *r, struct arena *arena) {
    struct reader reader = {.arena = arena};
    const struct value *protocol = setting(u, "protocol"),
                       *timeout = setting(u, "connect_timeout_ms");
    int64_t ms = 0;
    if (protocol != NULL)
        read_str(&reader, NULL, protocol, "string", &r->override_protocol);
    if (timeout != NULL)
        read_int(&reader, NULL, timeout, "int", &ms);
    if (ms > 0 && ms <= INT64_MAX / MILLISECOND)
        r->override_connect_timeout = ms * MILLISECOND;
    r->override_mesh_gateway =
        u->mesh_gateway.mode.len > 0 ? u->mesh_gateway : v->registered->service.proxy.mesh_gateway;
}

static void add_chain(const struct proxy_view *v, struct proxy_needs *n,
                      const struct proxy_upstream *up, bool overrides) {
    const struct upstream *u = up->upstream;
    struct str ns = u->destination_namespace;
    struct discovery_chain_request *r = ARENA_NEW(n->arena, struct discovery_chain_request);
    r->name = u->destination_name;
    r->datacenter = v->config->datacenter;
    r->evaluate_in_datacenter = u->datacenter.len > 0 ? u->datacenter : r->datacenter;
    r->evaluate_in_namespace = ns.len > 0 ? ns : STR(NAMESPACE);
    r->options = stale(v);
    if (overrides)
        add_overrides(v, u, r, n->arena);
    add(n, PART_CHAIN, STR(""), up->id)->question =
        (struct fact_question){.endpoint = &endpoint_discovery_chain_get, .request = r};
}

struct str proxy_gateways_of(const struct chain_target *target, struct str own_datacenter) {
    return str_is(target->mesh_gateway.mode, "local")    ? own_datacenter
           : str_is(target->mesh_gateway.mode, "remote") ? target->datacenter
                                                         : STR("");
}

static void add_targets(const struct proxy_view *v, struct proxy_needs *n,
                        const struct proxy_upstream *up) {
    const struct discovery_chain_response *known = v->known(v, PART_CHAIN, STR(""), up->id);
    if (known == NULL || known->chain == NULL)
        return;
    for (uint32_t i = 0; i < known->chain->targets.len; i++) {
        const struct chain_target *t = LIST_AT(known->chain->targets, struct ptr_pair, i).value;
        if (t == NULL)
            continue;
        struct service_request *r = ARENA_NEW(n->arena, struct service_request);
        r->datacenter = t->datacenter;
        r->service_name = t->service;
        r->connect = true;
        r->options = stale(v);
        r->options.filter = t->subset.filter;
        add(n, PART_TARGET, up->id, t->id)->question =
            (struct fact_question){.endpoint = &endpoint_health_service_nodes, .request = r};
        struct str through = proxy_gateways_of(t, v->config->datacenter);
        if (through.len > 0)
            add_gateways(v, n, through);
    }
}

static void add_query(const struct proxy_view *v, struct proxy_needs *n,
                      const struct proxy_upstream *up) {
    const struct config *c = v->config;
    const struct upstream *u = up->upstream;
    struct prepared_query_execute_request *r =
        ARENA_NEW(n->arena, struct prepared_query_execute_request);
    r->datacenter = u->datacenter.len > 0 ? u->datacenter : c->datacenter;
    r->query_id_or_name = u->destination_name;
    r->connect = true;
    r->source = (struct query_source){.datacenter = c->datacenter, .node = c->node_name};
    r->agent = (struct query_source){
        .datacenter = c->datacenter, .node = c->node_name, .segment = c->segment_name};
    r->options = stale(v);
    add(n, PART_QUERY, STR(""), up->id)->question = (struct fact_question){
        .endpoint = &endpoint_prepared_query_execute, .request = r, .period = POLL};
}

/* Equal ones once. */
static void add_upstreams(const struct proxy_view *v, struct proxy_needs *n, bool overrides) {
    struct list all = proxy_upstreams(v, n->arena);
    struct map seen = MAP_INIT;
    static char is_there;
    for (uint32_t i = 0; i < all.len; i++) {
        const struct proxy_upstream *up = &LIST_AT(all, struct proxy_upstream, i);
        if (map_put(&seen, up->id, &is_there) != NULL)
            continue;
        if (proxy_upstream_is_query(up->upstream)) {
            add_query(v, n, up);
        } else {
            add_chain(v, n, up, overrides);
            add_targets(v, n, up);
        }
    }
    map_free(&seen);
}

/* ---- the kinds ---- */

static void sidecar(const struct proxy_view *v, struct proxy_needs *n) {
    add_roots(v, n);
    add_leaf(v, n, v->registered->service.proxy.destination_service_name, LIST_NIL);
    add_upstreams(v, n, true);
}

static void add_federation(const struct proxy_view *v, struct proxy_needs *n) {
    struct dc_request *r = ARENA_NEW(n->arena, struct dc_request);
    r->datacenter = v->config->datacenter;
    r->options = stale(v);
    add(n, PART_FEDERATION, STR(""), STR(""))->question = (struct fact_question){
        .endpoint = &endpoint_federation_state_list_mesh_gateways, .request = r};
    add_instances(v, n, PART_SERVERS, STR("consul"), false);
}

static void mesh_gateway(const struct proxy_view *v, struct proxy_needs *n) {
    const struct indexed_service_list *names = v->known(v, PART_SERVICES, STR(""), STR(""));
    const struct list *datacenters = v->known(v, PART_DATACENTERS, STR(""), STR(""));
    struct dc_request *r = ARENA_NEW(n->arena, struct dc_request);
    struct datacenters_request *d = ARENA_NEW(n->arena, struct datacenters_request);
    r->datacenter = v->config->datacenter;
    r->options = d->options = stale(v);
    add_roots(v, n);
    add(n, PART_SERVICES, STR(""), STR(""))->question =
        (struct fact_question){.endpoint = &endpoint_catalog_service_list, .request = r};
    add(n, PART_DATACENTERS, STR(""), STR(""))->question = (struct fact_question){
        .endpoint = &endpoint_catalog_list_datacenters, .request = d, .period = POLL};
    add_resolvers(v, n);
    for (uint32_t i = 0; names != NULL && i < names->services.len; i++)
        add_instances(v, n, PART_INSTANCES, LIST_AT(names->services, struct service_name, i).name,
                      true);
    for (uint32_t i = 0; datacenters != NULL && i < datacenters->len; i++) {
        struct str name = LIST_AT(*datacenters, struct str, i);
        if (!str_eq(name, v->config->datacenter))
            add_gateways(v, n, name);
    }
    if (proxy_federates(&v->registered->service))
        add_federation(v, n);
}

static void add_linked(const struct proxy_view *v, struct proxy_needs *n) {
    struct service_request *r = ARENA_NEW(n->arena, struct service_request);
    r->datacenter = v->config->datacenter;
    r->service_name = v->registered->service.service;
    r->options = stale(v);
    add(n, PART_LINKED, STR(""), STR(""))->question =
        (struct fact_question){.endpoint = &endpoint_catalog_gateway_services, .request = r};
}

static void terminating_gateway(const struct proxy_view *v, struct proxy_needs *n) {
    const struct indexed_gateway_services *linked = v->known(v, PART_LINKED, STR(""), STR(""));
    add_roots(v, n);
    add_linked(v, n);
    add_resolvers(v, n);
    for (uint32_t i = 0; linked != NULL && i < linked->services.len; i++) {
        const struct gateway_service *s = LIST_AT(linked->services, struct gateway_service *, i);
        if (s == NULL)
            continue;
        add_instances(v, n, PART_INSTANCES, s->service.name, false);
        add_leaf(v, n, s->service.name, LIST_NIL);
    }
}

static void add_name(struct list *names, struct str name) {
    if (!str_list_has(names, name))
        LIST_AT(*names, struct str, names->len++) = name;
}

/* The names under which clients of an ingress gateway find it (connect.md 6.6); unlike the peer's
 * without the final dot, which no client would match. */
static struct list ingress_names(const struct proxy_view *v,
                                 const struct indexed_gateway_services *linked,
                                 struct arena *arena) {
    const struct config *c = v->config;
    struct str domains[] = {c->dns.domain, c->dns.alt_domain};
    uint32_t most = 4;
    for (uint32_t i = 0; i < linked->services.len; i++) {
        const struct gateway_service *s = LIST_AT(linked->services, struct gateway_service *, i);
        most += s != NULL ? s->hosts.len : 0;
    }
    struct list names = LIST_NEW(arena, struct str, most);
    names.len = 0;
    for (size_t i = 0; i < COUNT_OF(domains); i++) {
        struct str domain = domains[i];
        if (domain.len == 0)
            continue;
        if (str_has_suffix(domain, STR(".")))
            domain.len--;
        add_name(&names, str_format(arena, "*.ingress." STR_FMT, STR_ARG(domain)));
        add_name(&names, str_format(arena, "*.ingress." STR_FMT "." STR_FMT, STR_ARG(c->datacenter),
                                    STR_ARG(domain)));
    }
    for (uint32_t i = 0; i < linked->services.len; i++) {
        const struct gateway_service *s = LIST_AT(linked->services, struct gateway_service *, i);
        for (uint32_t h = 0; s != NULL && h < s->hosts.len; h++)
            add_name(&names, LIST_AT(s->hosts, struct str, h));
    }
    return names;
}

static void ingress_gateway(const struct proxy_view *v, struct proxy_needs *n) {
    struct str name = v->registered->service.service;
    const struct indexed_gateway_services *linked = v->known(v, PART_LINKED, STR(""), STR(""));
    const struct config_entry_response *answer = v->known(v, PART_ENTRY, STR(""), STR(""));
    struct config_entry_query *r = ARENA_NEW(n->arena, struct config_entry_query);
    r->datacenter = v->config->datacenter;
    r->kind = STR(CONFIG_INGRESS_GATEWAY);
    r->name = name;
    r->options = stale(v);
    add_roots(v, n);
    add(n, PART_ENTRY, STR(""), STR(""))->question =
        (struct fact_question){.endpoint = &endpoint_config_entry_get, .request = r};
    add_linked(v, n);
    add_upstreams(v, n, false);
    if (linked == NULL || answer == NULL || answer->entry == NULL)
        return;
    const struct ingress_gateway *entry = (const struct ingress_gateway *)answer->entry;
    add_leaf(v, n, name, entry->tls.enabled ? ingress_names(v, linked, n->arena) : LIST_NIL);
}

void proxy_needs_collect(const struct proxy_view *v, struct proxy_needs *out) {
    switch (proxy_kind_of(&v->registered->service)) {
    case PROXY_NONE:
        break;
    case PROXY_SIDECAR:
        sidecar(v, out);
        break;
    case PROXY_MESH_GATEWAY:
        mesh_gateway(v, out);
        break;
    case PROXY_TERMINATING_GATEWAY:
        terminating_gateway(v, out);
        break;
    case PROXY_INGRESS_GATEWAY:
        ingress_gateway(v, out);
        break;
    }
}

/* A vector of tests/vectors/connect/xds-*.json made a world: its configuration entries and
 * registrations in a store for each datacenter, and of these the snapshot of its proxy, with chains
 * compiled and instances found as servers do it.
 */
#ifndef TESTS_UNIT_XDS_WORLD_H
#define TESTS_UNIT_XDS_WORLD_H

#include "agent/central.h"
#include "schema/config_entry_read.h"
#include "schema/config_entry_rules.h"
#include "schema/filter.h"
#include "server/endpoints.h"
#include "store/chain.h"
#include "store/gateway.h"
#include "unit/store/entries.h"
#include "xds/resources.h"

#define TRUST_DOMAIN "11111111-2222-3333-4444-555555555555.consul"
#define SERVER_PORT 25844 /* of the vectors with two datacenters */

struct world {
    struct fixture *dc[2]; /* dc[1]: NULL where there is one datacenter */
    struct arena *arena;   /* of dc[0]'s fixture */
    const struct value *vector;
    const char *name;
    struct node_service proxy;
    struct proxy_snapshot snapshot;
    struct str node_address; /* of dc1's agent */
};

static inline struct str dc_name(int i) {
    return i == 0 ? STR("dc1") : STR("dc2");
}

/* ---- registrations ---- */

static inline void put_service(struct world *w, int dc, struct node_service *s) {
    struct fixture *f = w->dc[dc];
    struct register_request r = {.node = S("s1"),
                                 .address = dc == 0 ? w->node_address : S("127.22.3.1"),
                                 .datacenter = dc_name(dc),
                                 .service = s};
    assert_ok(apply(f, ENTRY_REGISTER, &register_request_shape, &r));
}

static inline void put_check(struct world *w, int dc, struct str service_id, struct str service,
                             struct str status, unsigned number) {
    struct health_check c = {
        .node = S("s1"),
        .check_id = str_format(w->arena, "service:%.*s:%u", STR_ARG(service_id), number),
        .service_id = service_id,
        .service_name = service,
        .status = status.len > 0 ? status : S("critical")};
    struct register_request r = {.node = S("s1"),
                                 .address = dc == 0 ? w->node_address : S("127.22.3.1"),
                                 .datacenter = dc_name(dc),
                                 .check = &c};
    assert_ok(apply(w->dc[dc], ENTRY_REGISTER, &register_request_shape, &r));
}

static inline struct node_service service_of(const struct service_definition *d) {
    static struct weights one = {1, 1};
    struct node_service s = {.kind = d->kind,
                             .id = d->id.len > 0 ? d->id : d->name,
                             .service = d->name,
                             .address = d->address,
                             .port = d->port,
                             .meta = d->meta,
                             .tagged_addresses = d->tagged_addresses,
                             .tags = d->tags,
                             .weights = d->weights != NULL ? d->weights : &one};
    if (d->proxy != NULL)
        s.proxy = *d->proxy;
    s.connect.native = d->connect != NULL && d->connect->native;
    return s;
}

static inline void put_checks(struct world *w, int dc, const struct service_definition *d,
                              const struct node_service *s) {
    if (!str_is(d->check.status, "") || d->check.ttl != 0)
        put_check(w, dc, s->id, s->service, d->check.status, 0);
    for (uint32_t i = 0; i < d->checks.len; i++)
        put_check(w, dc, s->id, s->service, LIST_AT(d->checks, struct check_type *, i)->status,
                  i + 1);
}

static inline void register_one(struct world *w, int dc, const struct value *json) {
    struct service_definition d = {0};
    from_json(w->dc[0], json, &service_definition_shape, &d);
    struct node_service s = service_of(&d);
    put_service(w, dc, &s);
    put_checks(w, dc, &d, &s);
    struct str wanted = value_text(value_get(w->vector, "node"), "id");
    if (dc == 0 && str_eq(s.id, wanted))
        w->proxy = s;
    if (d.connect == NULL || d.connect->sidecar_service == NULL)
        return;
    struct service_definition *own = d.connect->sidecar_service;
    own->name = str_format(w->arena, "%.*s-sidecar-proxy", STR_ARG(d.name));
    own->id = str_format(w->arena, "%.*s-sidecar-proxy", STR_ARG(s.id));
    own->kind = S("connect-proxy");
    int64_t first_port = w->dc[1] == NULL ? 25900 : 21000; /* of the agents of the vectors */
    own->port = own->port != 0 ? own->port : first_port;
    own->address = own->address.len > 0 ? own->address : d.address;
    struct node_service sidecar = service_of(own);
    sidecar.proxy.destination_service_name = d.name;
    sidecar.proxy.destination_service_id = s.id;
    sidecar.proxy.local_service_port = d.port;
    if (sidecar.proxy.local_service_address.len == 0)
        sidecar.proxy.local_service_address = S("127.0.0.1");
    put_service(w, dc, &sidecar);
    put_checks(w, dc, own, &sidecar);
    if (dc == 0 && str_eq(sidecar.id, wanted))
        w->proxy = sidecar;
}

/* ---- what a snapshot is made of ---- */

/* Not only views of the pages that a read shows. */
static inline struct list keep(struct world *w, const struct list *nodes) {
    struct list copy = LIST_NEW(w->arena, struct check_service_node, nodes->len);
    for (uint32_t i = 0; i < nodes->len; i++)
        schema_copy(&check_service_node_shape, &LIST_AT(copy, struct check_service_node, i),
                    &LIST_AT(*nodes, struct check_service_node, i), w->arena);
    return copy;
}

enum find { FIND_CONNECT, FIND_SERVICE, FIND_KIND };
static inline struct list find_nodes(struct world *w, int dc, enum find how, struct str name) {
    struct list nodes = LIST_EMPTY, kept = LIST_EMPTY;
    WITH_READ(w->dc[dc], r) {
        if (how == FIND_CONNECT)
            catalog_check_connect_nodes(r, name, &nodes);
        else if (how == FIND_SERVICE)
            catalog_check_service_nodes(r, name, NULL, &nodes);
        else
            catalog_service_dump(r, true, name, &nodes);
        kept = keep(w, &nodes);
    }
    return kept;
}

static inline struct list only_matching(struct world *w, struct list nodes, struct str filter) {
    uint32_t kept = 0;
    if (filter.len == 0)
        return nodes;
    struct filter *f =
        filter_compile(filter, &check_service_node_shape, w->arena, &w->dc[0]->error);
    assert_non_null(f);
    for (uint32_t i = 0; i < nodes.len; i++)
        if (filter_match(f, &LIST_AT(nodes, struct check_service_node, i)))
            LIST_AT(nodes, struct check_service_node, kept++) =
                LIST_AT(nodes, struct check_service_node, i);
    nodes.len = kept;
    filter_free(f);
    return nodes;
}

static inline const struct service_resolver *resolver_of(struct world *w, struct str name) {
    struct config_entry *entry = NULL, *copy = NULL;
    WITH_READ(w->dc[0], r) {
        config_entry_get(r, S(CONFIG_SERVICE_RESOLVER), name, &entry);
        copy = entry != NULL ? config_entry_copy(entry, w->arena) : NULL;
    }
    return (const struct service_resolver *)copy;
}

static inline void add_instances(struct world *w, struct list *to, struct str key,
                                 struct list nodes) {
    struct list more = LIST_NEW(w->arena, struct proxy_instances, to->len + 1);
    if (to->len > 0)
        memcpy(more.items, to->items, to->len * sizeof(struct proxy_instances));
    LIST_AT(more, struct proxy_instances, to->len) = (struct proxy_instances){key, nodes};
    *to = more;
}

/* ---- upstreams ---- */

static inline struct str setting(const struct upstream *u, const char *key) {
    return u->config != NULL ? value_text(u->config, key) : STR("");
}

static inline const struct compiled_chain *chain_for(struct world *w, const struct upstream *u,
                                                     bool override) {
    struct str mode = u->mesh_gateway.mode;
    const struct value *ms = value_get(u->config, "connect_timeout_ms");
    struct chain_question q = {.service = u->destination_name,
                               .datacenter = u->datacenter.len > 0 ? u->datacenter : STR("dc1"),
                               .namespace = STR("default"),
                               .use_datacenter = STR("dc1"),
                               .trust_domain = STR(TRUST_DOMAIN)};
    if (override) {
        q.override_protocol = setting(u, "protocol");
        q.override_mesh_gateway = mode.len > 0 ? mode : w->proxy.proxy.mesh_gateway.mode;
        if (ms != NULL && ms->kind == VALUE_FLOAT)
            q.override_connect_timeout = (int64_t)ms->number * MILLISECOND;
    }
    struct compiled_chain *chain = NULL, *copy = ARENA_NEW(w->arena, struct compiled_chain);
    uint64_t index;
    WITH_READ(w->dc[0], r) {
        assert_true(discovery_chain_get(r, &q, &chain, &index, &w->dc[0]->error));
        schema_copy(&compiled_chain_shape, copy, chain, w->arena);
    }
    return copy;
}

static inline void reach(struct world *w, struct proxy_upstream *u) {
    for (uint32_t i = 0; i < u->chain->targets.len; i++) {
        const struct chain_target *t = LIST_AT(u->chain->targets, struct ptr_pair, i).value;
        int dc = str_is(t->datacenter, "dc2");
        add_instances(
            w, &u->targets, t->id,
            only_matching(w, find_nodes(w, dc, FIND_CONNECT, t->service), t->subset.filter));
    }
}

static inline void add_upstreams(struct world *w, const struct list *upstreams, bool override) {
    struct list all = LIST_NEW(w->arena, struct proxy_upstream, upstreams->len);
    for (uint32_t i = 0; i < upstreams->len; i++) {
        const struct upstream *up = &LIST_AT(*upstreams, struct upstream, i);
        struct proxy_upstream *u = &LIST_AT(all, struct proxy_upstream, i);
        bool query = str_is(up->destination_type, "prepared_query");
        u->upstream = up;
        u->id = str_format(w->arena, "%s%.*s%s%.*s", query ? "prepared_query:" : "",
                           STR_ARG(up->destination_name), up->datacenter.len > 0 ? "?dc=" : "",
                           STR_ARG(up->datacenter));
        if (query) {
            struct proxy_instances *found = ARENA_NEW(w->arena, struct proxy_instances);
            found->nodes = find_nodes(w, 0, FIND_CONNECT, S("q")); /* what "pq" is about */
            u->query = found;
            continue;
        }
        u->chain = chain_for(w, up, override);
        reach(w, u);
    }
    w->snapshot.upstreams = all;
}

/* enable_central_service_config */
static inline void merge_central(struct world *w) {
    const struct connect_proxy_config *p = &w->proxy.proxy;
    struct service_config_request q = {.name = p->destination_service_name};
    struct service_config_response reply = {0};
    struct node_service merged;
    q.upstream_ids = LIST_NEW(w->arena, struct service_id, p->upstreams.len);
    q.upstream_ids.len = 0;
    for (uint32_t i = 0; i < p->upstreams.len; i++) {
        const struct upstream *u = &LIST_AT(p->upstreams, struct upstream, i);
        if (!str_is(u->destination_type, "prepared_query"))
            LIST_AT(q.upstream_ids, struct service_id, q.upstream_ids.len++).id =
                u->destination_name;
    }
    WITH_READ(w->dc[0], r) {
        struct call_context c = {.store = r, .arena = w->arena, .meta = &reply.meta};
        assert_true(
            endpoint_config_entry_resolve_service_config.read(&c, &q, &reply, &w->dc[0]->error));
        central_merge(&w->proxy, &reply, w->arena);
        schema_copy(&node_service_shape, &merged, &w->proxy, w->arena);
    }
    w->proxy = merged;
}

/* ---- certificates: as the vector shows them ---- */

static inline void find_texts(const struct value *v, const char *needle, struct str *out) {
    if (v->kind == VALUE_STRING && out->len == 0 && str_find(v->string, str_from(needle), 0) >= 0)
        *out = v->string;
    for (size_t i = 0; v->kind == VALUE_LIST && i < v->list.len; i++)
        find_texts(&v->list.items[i], needle, out);
    for (size_t i = 0; v->kind == VALUE_MAP && i < v->map.len; i++)
        find_texts(&v->map.pairs[i].value, needle, out);
}

/* The text under that key in the first of the contexts that has it, certificates in clear. */
static inline struct str first_text(const struct value *v, const char *field) {
    struct str found = STR("");
    const struct value *is = value_get(v, field);
    if (is != NULL && is->kind == VALUE_MAP && value_get(is, "inline_string") != NULL)
        return value_get(is, "inline_string")->string;
    for (size_t i = 0; v->kind == VALUE_LIST && i < v->list.len && found.len == 0; i++)
        found = first_text(&v->list.items[i], field);
    for (size_t i = 0; v->kind == VALUE_MAP && i < v->map.len && found.len == 0; i++)
        found = first_text(&v->map.pairs[i].value, field);
    return found;
}

static inline const struct issued_cert *leaf_of(struct world *w, struct str service) {
    struct issued_cert *leaf = ARENA_NEW(w->arena, struct issued_cert);
    const struct value *answers = value_get(w->vector, "answers");
    struct str of = str_format(w->arena, "/svc/%.*s", STR_ARG(service));
    struct str pem = STR("");
    find_texts(answers, str_terminated(w->arena, str_format(w->arena, "%.*s>", STR_ARG(of))), &pem);
    if (pem.len == 0)
        find_texts(answers, str_terminated(w->arena, str_format(w->arena, "%.*s DNS", STR_ARG(of))),
                   &pem);
    leaf->cert_pem = pem.len > 0 ? pem : first_text(answers, "certificate_chain");
    leaf->private_key_pem = first_text(answers, "private_key");
    return leaf;
}

static inline void add_roots(struct world *w) {
    struct indexed_ca_roots *roots = ARENA_NEW(w->arena, struct indexed_ca_roots);
    struct ca_root *root = ARENA_NEW(w->arena, struct ca_root);
    root->root_cert = first_text(value_get(w->vector, "answers"), "trusted_ca");
    roots->trust_domain = S(TRUST_DOMAIN);
    roots->roots = LIST_NEW(w->arena, struct ca_root *, 1);
    LIST_AT(roots->roots, struct ca_root *, 0) = root;
    w->snapshot.roots = roots;
}

/* ---- kinds ---- */

static inline void make_mesh_gateway(struct world *w) {
    struct proxy_snapshot *s = &w->snapshot;
    struct list names = LIST_EMPTY;
    WITH_READ(w->dc[0], r) {
        struct list found;
        catalog_service_names(r, &found);
        names = LIST_NEW(w->arena, struct str, found.len);
        for (uint32_t i = 0; i < found.len; i++)
            LIST_AT(names, struct str, i) =
                str_copy(w->arena, LIST_AT(found, struct service_name, i).name);
    }
    s->meshed = LIST_NEW(w->arena, struct proxy_meshed_service, names.len);
    for (uint32_t i = 0; i < names.len; i++) {
        struct proxy_meshed_service *m = &LIST_AT(s->meshed, struct proxy_meshed_service, i);
        struct proxy_instances *found = ARENA_NEW(w->arena, struct proxy_instances);
        m->name = LIST_AT(names, struct str, i);
        found->nodes = find_nodes(w, 0, FIND_CONNECT, m->name);
        m->instances = found;
        m->resolver = resolver_of(w, m->name);
    }
    if (w->dc[1] == NULL)
        return;
    s->datacenters = LIST_NEW(w->arena, struct str, 1);
    LIST_AT(s->datacenters, struct str, 0) = S("dc2");
    struct list gateways = find_nodes(w, 1, FIND_KIND, S("mesh-gateway"));
    if (str_map_get(&w->proxy.meta, S("consul-wan-federation")) == NULL) {
        add_instances(w, &s->gateways, S("dc2"), gateways);
        return;
    }
    struct node_service consul = {.id = S("consul"), .service = S("consul"), .port = SERVER_PORT};
    put_service(w, 0, &consul);
    struct proxy_instances *servers = ARENA_NEW(w->arena, struct proxy_instances);
    servers->nodes = find_nodes(w, 0, FIND_SERVICE, S("consul"));
    s->servers = servers;
    add_instances(w, &s->federation, S("dc2"), gateways);
}

static inline struct list gateway_services_of(struct world *w) {
    struct list kept = LIST_EMPTY;
    WITH_READ(w->dc[0], r) {
        struct list found;
        gateway_services(r, w->proxy.service, &found);
        kept = LIST_NEW(w->arena, struct gateway_service, found.len);
        for (uint32_t i = 0; i < found.len; i++)
            schema_copy(&gateway_service_shape, &LIST_AT(kept, struct gateway_service, i),
                        LIST_AT(found, struct gateway_service *, i), w->arena);
    }
    return kept;
}

static inline void make_terminating_gateway(struct world *w) {
    struct list services = gateway_services_of(w);
    w->snapshot.linked = LIST_NEW(w->arena, struct proxy_linked_service, services.len);
    for (uint32_t i = 0; i < services.len; i++) {
        struct proxy_linked_service *l =
            &LIST_AT(w->snapshot.linked, struct proxy_linked_service, i);
        struct proxy_instances *found = ARENA_NEW(w->arena, struct proxy_instances);
        l->service = &LIST_AT(services, struct gateway_service, i);
        found->nodes = find_nodes(w, 0, FIND_SERVICE, l->service->service.name);
        l->instances = found;
        l->leaf = leaf_of(w, l->service->service.name);
        l->resolver = resolver_of(w, l->service->service.name);
    }
}

static inline void make_ingress_gateway(struct world *w) {
    struct list services = gateway_services_of(w);
    struct list upstreams = LIST_NEW(w->arena, struct upstream, services.len);
    struct config_entry *entry = NULL;
    for (uint32_t i = 0; i < services.len; i++) {
        const struct gateway_service *g = &LIST_AT(services, struct gateway_service, i);
        struct value *config = ARENA_NEW(w->arena, struct value);
        value_put(config, S("protocol"), value_from_str(g->protocol), w->arena);
        LIST_AT(upstreams, struct upstream, i) = (struct upstream){
            .destination_name = g->service.name,
            .local_bind_port = g->port,
            .ingress_hosts = g->hosts,
            .config = config,
        };
    }
    add_upstreams(w, &upstreams, false);
    WITH_READ(w->dc[0], r) {
        config_entry_get(r, S(CONFIG_INGRESS_GATEWAY), w->proxy.service, &entry);
        entry = config_entry_copy(entry, w->arena);
    }
    w->snapshot.ingress = (const struct ingress_gateway *)entry;
    w->snapshot.leaf = leaf_of(w, w->proxy.service);
}

static inline void make_sidecar(struct world *w) {
    static struct proxy_check_path paths[] = {
        {STR_INIT("/health/a"), STR_INIT("http"), 8080, 21500},
        {STR_INIT("/grpc.health.v1.Health/Check"), STR_INIT("http2"), 8090, 21501},
    };
    if (strstr(w->name, "options") != NULL || strstr(w->name, "protocols") != NULL ||
        strstr(w->name, "router") != NULL)
        merge_central(w);
    w->snapshot.leaf = leaf_of(w, w->proxy.proxy.destination_service_name);
    add_upstreams(w, &w->proxy.proxy.upstreams, true);
    if (w->proxy.proxy.expose.checks)
        w->snapshot.exposed = (struct list){paths, COUNT_OF(paths), true};
    for (int i = 0; w->dc[1] != NULL && i < 2; i++)
        add_instances(w, &w->snapshot.gateways, dc_name(i),
                      find_nodes(w, i, FIND_KIND, S("mesh-gateway")));
}

/* ---- the whole ---- */

static inline struct world *world_open(const char *name) {
    struct world *w = MEM_NEW(struct world);
    char path[200];
    w->name = name;
    w->dc[0] = fixture_open(NULL);
    w->arena = &w->dc[0]->arena;
    snprintf(path, sizeof path, "connect/xds-%s.json", name);
    w->vector = vectors_json(w->arena, path);
    const struct value *entries = value_get(w->vector, "config_entries");
    const struct value *here = value_get(w->vector, "registrations");
    const struct value *there = value_get(w->vector, "registrations_dc2");
    w->dc[1] = there != NULL ? fixture_open(NULL) : NULL;
    w->node_address = there != NULL ? S("127.22.2.1") : S("127.22.1.1");
    for (size_t i = 0; i < entries->list.len; i++) {
        struct config_entry *entry =
            config_entry_read(&entries->list.items[i], w->arena, &w->dc[0]->error);
        assert_non_null(entry);
        config_entry_normalize(entry, w->arena);
        assert_ok(entry_op(w->dc[0], "upsert", entry));
    }
    for (size_t i = 0; i < here->list.len; i++)
        register_one(w, 0, &here->list.items[i]);
    for (size_t i = 0; there != NULL && i < there->list.len; i++)
        register_one(w, 1, &there->list.items[i]);
    assert_true(w->proxy.id.len > 0);
    w->snapshot.proxy_id = w->proxy.id;
    w->snapshot.service = &w->proxy;
    w->snapshot.datacenter = S("dc1");
    w->snapshot.domain = S("consul.");
    w->snapshot.advertise_address = w->node_address;
    add_roots(w);
    if (str_is(w->proxy.kind, "mesh-gateway"))
        make_mesh_gateway(w);
    else if (str_is(w->proxy.kind, "terminating-gateway"))
        make_terminating_gateway(w);
    else if (str_is(w->proxy.kind, "ingress-gateway"))
        make_ingress_gateway(w);
    else
        make_sidecar(w);
    return w;
}

static inline void world_close(struct world *w) {
    if (w->dc[1] != NULL)
        fixture_close(w->dc[1]);
    fixture_close(w->dc[0]);
    mem_free(w);
}

#endif

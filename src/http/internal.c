/* /v1/internal/ui: what the web page asks (http-core.md 11.14). */
#include <stdlib.h>

#include "base/map.h"
#include "http/reads.h"
#include "http/records.h"

/* ---- nodes ---- */

/* A node with its services and checks; lists are never null, their tags may be. */
static void write_node(struct json_writer *w, const struct node_info *node) {
    struct node_info copy = *node;
    if (!copy.services.present)
        copy.services = LIST_EMPTY;
    if (!copy.checks.present)
        copy.checks = LIST_EMPTY;
    schema_write_json(w, &node_info_shape, &copy);
}

static void write_nodes(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *dump = &((const struct indexed_node_dump *)reply)->dump;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < dump->len; i++)
        write_node(w, LIST_AT(*dump, struct node_info *, i));
    json_close_array(w);
}

static void ui_nodes(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->datacenter = http_datacenter(r);
    if (http_read_options(r, &q->options) && http_check_namespace(r))
        http_call_json(r, &endpoint_internal_node_dump, q, 0, write_nodes);
}

static void write_first_node(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *dump = &((const struct indexed_node_dump *)reply)->dump;
    (void)r;
    write_node(w, LIST_AT(*dump, struct node_info *, 0));
}

static void got_node(struct http_request *r, struct answer *a) {
    const struct indexed_node_dump *reply = a->reply;
    if (reply->dump.len == 0) {
        if (r->accepts_gzip) /* the peer forgets them otherwise */
            http_set_meta(r, &a->meta);
        http_answer_empty(r, 404);
        return;
    }
    http_set_meta(r, &a->meta);
    http_answer_shared(r, a, 200, write_first_node);
}

static void ui_node(struct http_request *r) {
    struct node_request *q = http_read_node_unfiltered(r);
    if (q != NULL)
        http_call(r, &endpoint_internal_node_info, q, got_node);
}

/* ---- services ---- */

/* One line of what is gathered: an instance, or (of a gateway's services) a name without any. */
struct instance {
    struct str name;
    uint32_t place; /* as they came */
    const struct node *node;
    const struct node_service *service;
    const struct list *checks;
    const struct gateway_service *gateway; /* through which it was found, or NULL */
};

/* The instances of one service name, gathered. Lists have repeats until they are made distinct. */
struct summary {
    struct str name, kind;
    struct str *tags, *nodes, *sources, *proxied, *addresses;
    uint32_t tag_count, node_count, source_count, proxied_count, address_count;
    uint64_t instances, passing, warning, critical;
};

static int compare_instances(const void *a, const void *b) {
    const struct instance *x = a, *y = b;
    int order = str_compare(x->name, y->name);
    return order != 0 ? order : x->place < y->place ? -1 : 1;
}

static int compare_strings(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void sort(struct str *list, uint32_t len) {
    if (len > 1)
        qsort(list, len, sizeof *list, compare_strings);
}

static uint32_t distinct(struct str *list, uint32_t len) {
    uint32_t kept = 0;
    sort(list, len);
    for (uint32_t i = 0; i < len; i++)
        if (kept == 0 || !str_eq(list[kept - 1], list[i]))
            list[kept++] = list[i];
    return kept;
}

/* Like distinct, but in the order of their first appearance. */
static uint32_t distinct_in_order(struct str *list, uint32_t len) {
    struct map seen = MAP_INIT;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < len; i++)
        if (map_put(&seen, list[i], list) == NULL)
            list[kept++] = list[i];
    map_free(&seen);
    return kept;
}

static void count_checks(struct summary *s, const struct list *checks) {
    for (uint32_t i = 0; i < checks->len; i++) {
        struct str status = LIST_AT(*checks, struct health_check *, i)->status;
        s->passing += str_is(status, "passing");
        s->warning += str_is(status, "warning");
        s->critical += str_is(status, "critical");
    }
}

static void add_instance(struct summary *s, const struct instance *i) {
    const struct node_service *service = i->service;
    s->kind = service->kind;
    s->instances++;
    s->nodes[s->node_count++] = i->node->node;
    for (uint32_t t = 0; t < service->tags.len; t++)
        s->tags[s->tag_count++] = LIST_AT(service->tags, struct str, t);
    struct str *source = str_map_get(&service->meta, STR("external-source"));
    if (source != NULL && source->len > 0)
        s->sources[s->source_count++] = *source;
    if (str_is(service->kind, "connect-proxy") && service->proxy.destination_service_name.len > 0)
        s->proxied[s->proxied_count++] = service->proxy.destination_service_name;
    count_checks(s, i->checks);
}

/* Once each, in the order in which they come: here the peer does not sort. */
static void add_address(struct summary *s, struct str address) {
    for (uint32_t i = 0; i < s->address_count; i++)
        if (str_eq(s->addresses[i], address))
            return;
    s->addresses[s->address_count++] = address;
}

static void add_domain(struct http_request *r, struct summary *s, const struct gateway_service *g,
                       struct str domain) {
    if (domain.len > 0)
        add_address(s, str_format(&r->arena, STR_FMT ".ingress." STR_FMT "." STR_FMT ":%lld",
                                  STR_ARG(g->service.name), STR_ARG(r->config->datacenter),
                                  STR_ARG(domain), (long long)g->port));
}

/* Where an ingress gateway offers the service. */
static void add_addresses(struct http_request *r, struct summary *s,
                          const struct gateway_service *g) {
    if (!str_is(g->gateway_kind, "ingress-gateway"))
        return;
    for (uint32_t i = 0; i < g->hosts.len; i++) {
        struct str host = LIST_AT(g->hosts, struct str, i);
        add_address(s, str_format(&r->arena, STR_FMT ":%lld", STR_ARG(host), (long long)g->port));
    }
    if (g->hosts.len == 0) {
        add_domain(r, s, g, r->config->dns.domain);
        add_domain(r, s, g, r->config->dns.alt_domain);
    }
}

static void gather(struct http_request *r, struct summary *s, const struct instance *list,
                   uint32_t len) {
    uint32_t tags = 0, addresses = 0;
    for (uint32_t i = 0; i < len; i++) {
        tags += list[i].service != NULL ? list[i].service->tags.len : 0;
        addresses += list[i].gateway != NULL ? list[i].gateway->hosts.len + 2 : 0;
    }
    memset(s, 0, sizeof *s);
    s->name = list[0].name;
    s->tags = ARENA_ARRAY(&r->arena, struct str, tags);
    s->nodes = ARENA_ARRAY(&r->arena, struct str, len);
    s->sources = ARENA_ARRAY(&r->arena, struct str, len);
    s->proxied = ARENA_ARRAY(&r->arena, struct str, len);
    s->addresses = ARENA_ARRAY(&r->arena, struct str, addresses);
    for (uint32_t i = 0; i < len; i++) {
        if (list[i].gateway != NULL)
            add_addresses(r, s, list[i].gateway);
        if (list[i].service != NULL)
            add_instance(s, &list[i]);
    }
    s->tag_count = distinct(s->tags, s->tag_count);
    s->source_count = distinct_in_order(s->sources, s->source_count);
    s->proxied_count = distinct_in_order(s->proxied, s->proxied_count);
    sort(s->nodes, s->node_count);
}

static void write_list(struct json_writer *w, const char *key, struct str *items, uint32_t len) {
    struct list list = {items, len, true};
    json_key(w, str_from(key));
    if (len == 0)
        json_null(w);
    else
        http_write_strings(w, &list);
}

static void write_count(struct json_writer *w, const char *key, uint64_t n) {
    json_key(w, str_from(key));
    json_u64(w, n);
}

static void write_summary(struct json_writer *w, const struct summary *s) {
    json_open_object(w);
    if (s->kind.len > 0) {
        json_key(w, STR("Kind"));
        json_str(w, s->kind);
    }
    json_key(w, STR("Name"));
    json_str(w, s->name);
    write_list(w, "Tags", s->tags, s->tag_count);
    write_list(w, "Nodes", s->nodes, s->node_count);
    write_count(w, "InstanceCount", s->instances);
    if (s->proxied_count > 0)
        write_list(w, "ProxyFor", s->proxied, s->proxied_count);
    write_count(w, "ChecksPassing", s->passing);
    write_count(w, "ChecksWarning", s->warning);
    write_count(w, "ChecksCritical", s->critical);
    write_list(w, "ExternalSources", s->sources, s->source_count);
    json_key(w, STR("GatewayConfig"));
    json_open_object(w);
    if (s->address_count > 0)
        write_list(w, "Addresses", s->addresses, s->address_count);
    json_close_object(w);
    json_close_object(w);
}

/* The list is sorted here. */
static void write_summaries(struct http_request *r, struct json_writer *w, struct instance *list,
                            uint32_t len) {
    if (len > 1)
        qsort(list, len, sizeof *list, compare_instances);
    json_open_array(w);
    for (uint32_t at = 0, end; at < len; at = end) {
        struct summary s;
        for (end = at + 1; end < len && str_eq(list[end].name, list[at].name); end++)
            continue;
        gather(r, &s, list + at, end - at);
        write_summary(w, &s);
    }
    json_close_array(w);
}

static void write_services(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *nodes = &((const struct indexed_check_service_nodes *)reply)->nodes;
    struct instance *list = ARENA_ARRAY(&r->arena, struct instance, nodes->len);
    uint32_t len = 0;
    for (uint32_t i = 0; i < nodes->len; i++) {
        const struct check_service_node *n = &LIST_AT(*nodes, struct check_service_node, i);
        if (n->service != NULL && n->node != NULL)
            list[len++] =
                (struct instance){n->service->service, i, n->node, n->service, &n->checks, NULL};
    }
    write_summaries(r, w, list, len);
}

/* An instance counts under its own name, which may be another spelling of the gateway's. */
static void write_gateway(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *dump = &((const struct indexed_service_dump *)reply)->dump;
    struct instance *list = ARENA_ARRAY(&r->arena, struct instance, 2 * (size_t)dump->len);
    uint32_t len = 0;
    for (uint32_t i = 0; i < dump->len; i++) {
        const struct service_info *n = LIST_AT(*dump, struct service_info *, i);
        const struct gateway_service *gateway = n->gateway_service;
        if (gateway == NULL)
            continue;
        list[len] =
            (struct instance){.name = gateway->service.name, .place = len, .gateway = gateway};
        len++;
        if (n->service == NULL || n->node == NULL)
            continue;
        list[len] =
            (struct instance){n->service->service, len, n->node, n->service, &n->checks, NULL};
        len++;
    }
    write_summaries(r, w, list, len);
}

static void ui_gateway_services(struct http_request *r) {
    struct service_request *q = http_read_gateway(r);
    if (q != NULL)
        http_call_json(r, &endpoint_internal_gateway_service_dump, q, 0, write_gateway);
}

static void ui_services(struct http_request *r) {
    struct service_dump_request *q = ARENA_NEW(&r->arena, struct service_dump_request);
    q->datacenter = http_datacenter(r);
    if (http_read_options(r, &q->options) && http_check_namespace(r))
        http_call_json(r, &endpoint_internal_service_dump, q, 0, write_services);
}

const struct http_route http_routes_internal[] = {
    {"/v1/internal/ui/nodes", "GET", ui_nodes, ROUTE_META},
    {"/v1/internal/ui/node/", "GET", ui_node, ROUTE_META},
    {"/v1/internal/ui/services", "GET", ui_services, ROUTE_META},
    {"/v1/internal/ui/gateway-services-nodes/", "GET", ui_gateway_services, ROUTE_META},
    {NULL, NULL, NULL, 0},
};

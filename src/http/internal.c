/* /v1/internal/ui: what the web page asks (http-core.md 11.14). */
#include <stdlib.h>

#include "http/records.h"
#include "http/room.h"

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
    struct node_request *q = ARENA_NEW(&r->arena, struct node_request);
    q->datacenter = http_datacenter(r);
    q->node = r->argument;
    if (!http_read_options(r, &q->options) || !http_check_namespace(r) ||
        !http_need_argument(r, "Missing node name"))
        return;
    q->options.filter = STR("");
    http_call(r, &endpoint_internal_node_info, q, got_node);
}

/* ---- services ---- */

/* The instances of one service name, gathered. */
struct summary {
    struct str name, kind;
    struct str *tags, *nodes, *sources, *proxied; /* with repeats */
    uint32_t tag_count, node_count, source_count, proxied_count;
    uint64_t instances, passing, warning, critical;
};

struct instance { /* for sorting: by name, then as they came */
    const struct check_service_node *n;
    uint32_t place;
};

static int compare_instances(const void *a, const void *b) {
    const struct instance *x = a, *y = b;
    int order = str_compare(x->n->service->service, y->n->service->service);
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

static void count_checks(struct summary *s, const struct list *checks) {
    for (uint32_t i = 0; i < checks->len; i++) {
        struct str status = LIST_AT(*checks, struct health_check *, i)->status;
        s->passing += str_is(status, "passing");
        s->warning += str_is(status, "warning");
        s->critical += str_is(status, "critical");
    }
}

static void add_instance(struct summary *s, const struct check_service_node *n) {
    const struct node_service *service = n->service;
    s->kind = service->kind;
    s->instances++;
    s->nodes[s->node_count++] = n->node->node;
    for (uint32_t i = 0; i < service->tags.len; i++)
        s->tags[s->tag_count++] = LIST_AT(service->tags, struct str, i);
    struct str *source = str_map_get(&service->meta, STR("external-source"));
    if (source != NULL && source->len > 0)
        s->sources[s->source_count++] = *source;
    if (service->proxy.destination_service_name.len > 0)
        s->proxied[s->proxied_count++] = service->proxy.destination_service_name;
    count_checks(s, &n->checks);
}

static void gather(struct summary *s, const struct instance *list, uint32_t len,
                   struct arena *arena) {
    uint32_t tags = 0;
    for (uint32_t i = 0; i < len; i++)
        tags += list[i].n->service->tags.len;
    memset(s, 0, sizeof *s);
    s->name = list[0].n->service->service;
    s->tags = ARENA_ARRAY(arena, struct str, tags);
    s->nodes = ARENA_ARRAY(arena, struct str, len);
    s->sources = ARENA_ARRAY(arena, struct str, len);
    s->proxied = ARENA_ARRAY(arena, struct str, len);
    for (uint32_t i = 0; i < len; i++)
        add_instance(s, list[i].n);
    s->tag_count = distinct(s->tags, s->tag_count);
    s->source_count = distinct(s->sources, s->source_count);
    s->proxied_count = distinct(s->proxied, s->proxied_count);
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
    json_close_object(w);
    json_close_object(w);
}

static void write_services(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *nodes = &((const struct indexed_check_service_nodes *)reply)->nodes;
    struct instance *list = ARENA_ARRAY(&r->arena, struct instance, nodes->len);
    uint32_t len = 0;
    for (uint32_t i = 0; i < nodes->len; i++) {
        const struct check_service_node *n = &LIST_AT(*nodes, struct check_service_node, i);
        if (n->service != NULL && n->node != NULL)
            list[len++] = (struct instance){n, i};
    }
    if (len > 1)
        qsort(list, len, sizeof *list, compare_instances);
    json_open_array(w);
    for (uint32_t at = 0, end; at < len; at = end) {
        struct summary s;
        for (end = at + 1; end < len; end++)
            if (!str_eq(list[end].n->service->service, list[at].n->service->service))
                break;
        gather(&s, list + at, end - at, &r->arena);
        write_summary(w, &s);
    }
    json_close_array(w);
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
    {NULL, NULL, NULL, 0},
};

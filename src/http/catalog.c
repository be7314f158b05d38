/* /v1/catalog: http-core.md 11.2 and 11.3. */
#include "http/reads.h"
#include "http/records.h"

/* ---- writes ---- */

static void wrote(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_bool(r, true);
}

/* False: answered. */
static bool decode(struct http_request *r, const struct shape *shape, void *out,
                   const char *go_type) {
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = go_type};
    if (http_body_from_json(r, shape, out, &options, &e))
        return true;
    bool namespace = str_is(e.text, "json: unknown field \"Namespace\"");
    http_answer_format(r, 400, "Request decode failed: " STR_FMT "%s", STR_ARG(e.text),
                       namespace ? " - Namespaces are a Consul Enterprise feature" : "");
    return false;
}

static void register_body(struct http_request *r) {
    struct register_request *q = ARENA_NEW(&r->arena, struct register_request);
    if (!decode(r, &register_request_shape, q, "structs.RegisterRequest"))
        return;
    q->write.token = http_token(r);
    http_call(r, &endpoint_catalog_register, q, wrote);
}

static void catalog_register(struct http_request *r) {
    if (http_check_namespace(r))
        http_read_body(r, 0, register_body);
}

static void deregister_body(struct http_request *r) {
    struct deregister_request *q = ARENA_NEW(&r->arena, struct deregister_request);
    if (!decode(r, &deregister_request_shape, q, "struct { Address string; *structs.Alias }"))
        return;
    q->write.token = http_token(r);
    http_call(r, &endpoint_catalog_deregister, q, wrote);
}

static void catalog_deregister(struct http_request *r) {
    if (http_check_namespace(r))
        http_read_body(r, 0, deregister_body);
}

/* ---- reads ---- */

static void write_datacenters(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_strings(w, reply);
}

/* What the peer does with bad parameters here: it complains, and then answers all the same. */
static void complain_and_answer(struct http_request *r, struct answer *a) {
    struct buf text = BUF_INIT;
    struct json_writer w;
    buf_add_str(&text, *(const struct str *)r->state);
    json_begin(&w, &text, r->pretty);
    http_write_strings(&w, a->reply);
    json_finish(&w);
    http_answer_text(r, 400, buf_str(&text));
    buf_free(&text);
}

static void catalog_datacenters(struct http_request *r) {
    struct datacenters_request *q = ARENA_NEW(&r->arena, struct datacenters_request);
    struct str *problem = ARENA_NEW(&r->arena, struct str);
    *problem = http_cache_problem(r, &q->options);
    r->state = problem;
    if (problem->data != NULL)
        http_call(r, &endpoint_catalog_list_datacenters, q, complain_and_answer);
    else
        http_call_cached(r, &endpoint_catalog_list_datacenters, q, &q->options, HTTP_CACHE_PLAIN, 0,
                         write_datacenters);
}

static void write_nodes(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *nodes = &((const struct indexed_nodes *)reply)->nodes;
    bool remote = http_request_translates(r);
    json_open_array(w);
    for (uint32_t i = 0; i < nodes->len; i++)
        http_write_node(w, LIST_AT(*nodes, struct node *, i), remote);
    json_close_array(w);
}

static void catalog_nodes(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->datacenter = http_datacenter(r);
    http_read_source(r, &q->source);
    http_read_node_meta(r, &q->node_meta_filters);
    if (http_read_options(r, &q->options))
        http_call_json(r, &endpoint_catalog_list_nodes, q, 0, write_nodes);
}

static void write_services(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *services = &((const struct indexed_services *)reply)->services;
    (void)r;
    json_open_object(w);
    for (uint32_t i = 0; i < services->len; i++) {
        const struct list_pair *pair = &LIST_AT(*services, struct list_pair, i);
        json_key(w, pair->key);
        http_write_strings(w, &pair->value);
    }
    json_close_object(w);
}

static void catalog_services(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    if (!http_check_namespace(r))
        return;
    q->datacenter = http_datacenter(r);
    http_read_node_meta(r, &q->node_meta_filters);
    if (http_read_options(r, &q->options)) {
        q->options.filter = STR(""); /* not one of those that filter */
        http_call_cached(r, &endpoint_catalog_list_services, q, &q->options, HTTP_CACHE_REFRESHED,
                         0, write_services);
    }
}

static void write_service_nodes(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *nodes = &((const struct indexed_service_nodes *)reply)->service_nodes;
    bool remote = http_request_translates(r);
    json_open_array(w);
    for (uint32_t i = 0; i < nodes->len; i++)
        http_write_service_node(w, LIST_AT(*nodes, struct service_node *, i), remote);
    json_close_array(w);
}

static void service_nodes(struct http_request *r, bool connect) {
    struct service_request *q = http_read_instances(r);
    if (q == NULL)
        return;
    q->connect = connect;
    http_call_cached(r, &endpoint_catalog_service_nodes, q, &q->options, HTTP_CACHE_REFRESHED, 0,
                     write_service_nodes);
}

static void catalog_service(struct http_request *r) {
    service_nodes(r, false);
}

static void catalog_connect(struct http_request *r) {
    service_nodes(r, true);
}

static void write_node_map(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct node_services *n = ((const struct indexed_node_services *)reply)->node_services;
    bool remote = http_request_translates(r);
    if (n == NULL || n->node == NULL) {
        json_null(w);
        return;
    }
    json_open_object(w);
    json_key(w, STR("Node"));
    http_write_node(w, n->node, remote);
    json_key(w, STR("Services"));
    json_open_object(w);
    for (uint32_t i = 0; i < n->services.len; i++) {
        const struct service_pair {
            struct str key;
            struct node_service *value;
        } *pair = &LIST_AT(n->services, struct service_pair, i);
        json_key(w, pair->key);
        http_write_node_service(w, pair->value, remote);
    }
    json_close_object(w);
    json_close_object(w);
}

static void catalog_node(struct http_request *r) {
    struct node_request *q = http_read_node(r);
    if (q != NULL)
        http_call_json(r, &endpoint_catalog_node_services, q, 0, write_node_map);
}

static void write_node_list(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct node_service_list *n =
        &((const struct indexed_node_service_list *)reply)->node_services;
    bool remote = http_request_translates(r);
    json_open_object(w);
    json_key(w, STR("Node"));
    http_write_node(w, n->node, remote);
    json_key(w, STR("Services"));
    if (!n->services.present) {
        json_null(w);
    } else {
        json_open_array(w);
        for (uint32_t i = 0; i < n->services.len; i++)
            http_write_node_service(w, LIST_AT(n->services, struct node_service *, i), remote);
        json_close_array(w);
    }
    json_close_object(w);
}

static void catalog_node_services(struct http_request *r) {
    struct node_request *q = http_read_node(r);
    if (q != NULL)
        http_call_json(r, &endpoint_catalog_node_service_list, q, 0, write_node_list);
}

static void write_gateway_services(struct http_request *r, const void *reply,
                                   struct json_writer *w) {
    const struct list *services = &((const struct indexed_gateway_services *)reply)->services;
    (void)r;
    if (services->present)
        http_write_pointers(w, services, &gateway_service_shape);
    else
        json_null(w);
}

static void catalog_gateway_services(struct http_request *r) {
    struct service_request *q = http_read_gateway(r);
    if (q != NULL)
        http_call_json(r, &endpoint_catalog_gateway_services, q, 0, write_gateway_services);
}

#define READ (ROUTE_META | ROUTE_EFFECTIVE)
const struct http_route http_routes_catalog[] = {
    {"/v1/catalog/register", "PUT", catalog_register, 0, "catalog_register"},
    {"/v1/catalog/deregister", "PUT", catalog_deregister, 0, "catalog_deregister"},
    {"/v1/catalog/datacenters", "GET", catalog_datacenters, 0, "catalog_datacenters"},
    {"/v1/catalog/nodes", "GET", catalog_nodes, READ, "catalog_nodes"},
    {"/v1/catalog/services", "GET", catalog_services, READ, "catalog_services"},
    {"/v1/catalog/service/", "GET", catalog_service, READ, "catalog_service_nodes"},
    {"/v1/catalog/connect/", "GET", catalog_connect, READ, "catalog_connect_service_nodes"},
    {"/v1/catalog/node/", "GET", catalog_node, READ, "catalog_node_services"},
    {"/v1/catalog/node-services/", "GET", catalog_node_services, READ, "catalog_node_service_list"},
    {"/v1/catalog/gateway-services/", "GET", catalog_gateway_services, READ,
     "catalog_gateway_services"},
    {NULL, NULL, NULL, 0},
};

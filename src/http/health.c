/* /v1/health: http-core.md 11.10. */
#include "http/reads.h"
#include "http/records.h"

/* ---- checks ---- */

static void write_health_checks(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_checks(w, &((const struct indexed_health_checks *)reply)->health_checks);
}

static void health_node(struct http_request *r) {
    struct node_request *q = http_read_node(r);
    if (q != NULL)
        http_call_json(r, &endpoint_health_node_checks, q, 0, write_health_checks);
}

static void health_checks(struct http_request *r) {
    struct service_request *q = ARENA_NEW(&r->arena, struct service_request);
    if (!http_check_namespace(r))
        return;
    q->datacenter = http_datacenter(r);
    q->service_name = r->argument;
    http_read_source(r, &q->source);
    http_read_node_meta(r, &q->node_meta_filters);
    if (http_read_options(r, &q->options) && http_need_argument(r, "Missing service name"))
        http_call_json(r, &endpoint_health_service_checks, q, 0, write_health_checks);
}

static void health_state(struct http_request *r) {
    struct checks_in_state_request *q = ARENA_NEW(&r->arena, struct checks_in_state_request);
    if (!http_check_namespace(r))
        return;
    q->datacenter = http_datacenter(r);
    q->state = r->argument;
    http_read_source(r, &q->source);
    http_read_node_meta(r, &q->node_meta_filters);
    if (http_read_options(r, &q->options) && http_need_argument(r, "Missing check state"))
        http_call_json(r, &endpoint_health_checks_in_state, q, 0, write_health_checks);
}

/* ---- instances ---- */

enum { VARIANT_ALL, VARIANT_PASSING };

static bool all_passing(const struct check_service_node *n) {
    for (uint32_t i = 0; i < n->checks.len; i++)
        if (!str_is(LIST_AT(n->checks, struct health_check *, i)->status, "passing"))
            return false;
    return true;
}

/* The order that the peer's removal leaves behind: the last remaining one moves into the hole. */
static uint32_t keep_passing(const struct list *nodes, const struct check_service_node **kept) {
    uint32_t len = nodes->len;
    for (uint32_t i = 0; i < len; i++)
        kept[i] = &LIST_AT(*nodes, struct check_service_node, i);
    for (uint32_t i = 0; i < len;) {
        if (all_passing(kept[i]))
            i++;
        else
            kept[i] = kept[--len];
    }
    return len;
}

static void write_instances(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *nodes = &((const struct indexed_check_service_nodes *)reply)->nodes;
    bool remote = http_request_translates(r);
    json_open_array(w);
    if (r->call.variant == VARIANT_PASSING) {
        const struct check_service_node **kept = arena_alloc(&r->arena, nodes->len * sizeof *kept);
        uint32_t len = keep_passing(nodes, kept);
        for (uint32_t i = 0; i < len; i++)
            http_write_check_service_node(w, kept[i], remote);
    } else {
        for (uint32_t i = 0; i < nodes->len; i++)
            http_write_check_service_node(w, &LIST_AT(*nodes, struct check_service_node, i),
                                          remote);
    }
    json_close_array(w);
}

static bool read_passing(const struct http_request *r, uint32_t *variant) {
    struct str text = http_param(r, "passing");
    bool passing = text.data != NULL;
    if (text.len > 0 && !str_to_bool(text, &passing))
        return false;
    *variant = passing ? VARIANT_PASSING : VARIANT_ALL;
    return true;
}

static void passing_unknown(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_text(r, 400, STR("Invalid value for ?passing"));
}

static void instances(struct http_request *r, bool connect, bool ingress) {
    struct service_request *q = http_read_instances(r);
    uint32_t variant;
    if (q == NULL)
        return;
    q->connect = connect;
    q->ingress = ingress;
    if (!read_passing(r, &variant)) { /* it is looked at last: what else is wrong comes first */
        http_call(r, &endpoint_health_service_nodes, q, passing_unknown);
        return;
    }
    http_call_cached(r, &endpoint_health_service_nodes, q, &q->options, HTTP_CACHE_REFRESHED,
                     variant, write_instances);
}

static void health_service(struct http_request *r) {
    instances(r, false, false);
}

static void health_connect(struct http_request *r) {
    instances(r, true, false);
}

static void health_ingress(struct http_request *r) {
    instances(r, false, true);
}

#define READ (ROUTE_META | ROUTE_EFFECTIVE)
const struct http_route http_routes_health[] = {
    {"/v1/health/node/", "GET", health_node, READ},
    {"/v1/health/checks/", "GET", health_checks, READ},
    {"/v1/health/state/", "GET", health_state, READ},
    {"/v1/health/service/", "GET", health_service, READ},
    {"/v1/health/connect/", "GET", health_connect, READ},
    {"/v1/health/ingress/", "GET", health_ingress, READ},
    {NULL, NULL, NULL, 0},
};

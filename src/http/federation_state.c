/* /v1/internal/federation-states: which mesh gateways each datacenter has (http-core.md 11.14).
 * Instances are shown as they are recorded: nil lists as null, addresses untranslated.
 */
#include "http/records.h"
#include "http/room.h"

static struct dc_request *question(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options))
        return NULL;
    q->options.filter = STR(""); /* looked at by nobody */
    return q;
}

static void write_states(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_pointers(w, &((const struct indexed_federation_states *)reply)->states,
                        &federation_state_shape);
}

static void states(struct http_request *r) {
    struct dc_request *q = question(r);
    if (q != NULL)
        http_call_json(r, &endpoint_federation_state_list, q, 0, write_states);
}

static void write_gateways(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *all = &((const struct datacenter_gateways *)reply)->nodes;
    (void)r;
    json_open_object(w);
    for (uint32_t i = 0; i < all->len; i++) {
        const struct list_pair *pair = &LIST_AT(*all, struct list_pair, i);
        json_key(w, pair->key);
        json_open_array(w);
        for (uint32_t k = 0; k < pair->value.len; k++)
            schema_write_json(w, &check_service_node_shape,
                              &LIST_AT(pair->value, struct check_service_node, k));
        json_close_array(w);
    }
    json_close_object(w);
}

static void gateways(struct http_request *r) {
    struct dc_request *q = question(r);
    if (q != NULL)
        http_call_json(r, &endpoint_federation_state_list_mesh_gateways, q, 0, write_gateways);
}

static void got(struct http_request *r, struct answer *a) {
    const struct federation_state_response *reply = a->reply;
    if (reply->state != NULL || r->accepts_gzip) /* the peer forgets them otherwise */
        http_set_meta(r, &a->meta);
    if (reply->state == NULL)
        http_answer_empty(r, 404);
    else
        http_answer_json(r, 200, &federation_state_response_shape, reply);
}

static void state(struct http_request *r) {
    struct federation_state_query *q = ARENA_NEW(&r->arena, struct federation_state_query);
    if (!http_need_argument(r, "Bad request: Missing datacenter name"))
        return;
    q->target_datacenter = http_datacenter(r);
    q->datacenter = r->argument;
    if (!http_read_options(r, &q->options))
        return;
    q->options.filter = STR("");
    http_call(r, &endpoint_federation_state_get, q, got);
}

const struct http_route http_routes_federation_state[] = {
    {"/v1/internal/federation-states", "GET", states, ROUTE_META},
    {"/v1/internal/federation-states/mesh-gateways", "GET", gateways, ROUTE_META},
    {"/v1/internal/federation-state/", "GET", state, ROUTE_META},
    {NULL, NULL, NULL, 0},
};

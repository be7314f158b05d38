/* /v1/coordinate: http-core.md 11.7. */
#include "http/records.h"
#include "http/room.h"

/* False: answered. */
static bool enabled(struct http_request *r) {
    if (!r->config->disable_coordinates)
        return true;
    http_answer_text(r, 401, STR("Coordinate support disabled"));
    return false;
}

/* ---- reads ---- */

static void write_datacenters(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct list *list = reply;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++)
        schema_write_json(w, &datacenter_map_shape, &LIST_AT(*list, struct datacenter_map, i));
    json_close_array(w);
}

static void coordinate_datacenters(struct http_request *r) {
    if (enabled(r))
        http_call_json(r, &endpoint_coordinate_list_datacenters,
                       ARENA_NEW(&r->arena, struct empty_struct), 0, write_datacenters);
}

/* Those of the segment that was asked for; all when none was. Returns how many. */
static uint32_t select_segment(struct http_request *r, const struct list *all,
                               const struct coordinate **out) {
    struct str segment = http_param(r, "segment");
    uint32_t len = 0;
    for (uint32_t i = 0; i < all->len; i++) {
        const struct coordinate *c = LIST_AT(*all, struct coordinate *, i);
        if (segment.data == NULL || str_eq(c->segment, segment))
            out[len++] = c;
    }
    return len;
}

/* name: absent, or what stands for all nodes' names. */
static void answer_coordinates(struct http_request *r, struct answer *a, struct str name) {
    const struct list *all = &((const struct indexed_coordinates *)a->reply)->coordinates;
    const struct coordinate **list = arena_alloc(&r->arena, (all->len + 1) * sizeof *list);
    uint32_t len = select_segment(r, all, list);
    if (len == 0 && name.data != NULL) {
        if (r->accepts_gzip) /* the peer forgets them otherwise */
            http_set_meta(r, &a->meta);
        http_answer_empty(r, 404);
        return;
    }
    http_set_meta(r, &a->meta);
    struct json_writer *w = http_json_begin(r);
    json_open_array(w);
    for (uint32_t i = 0; i < len; i++) {
        struct coordinate copy = *list[i];
        if (name.data != NULL)
            copy.node = name;
        schema_write_json(w, &coordinate_shape, &copy);
    }
    json_close_array(w);
    http_answer_json_written(r, 200);
}

static void got_nodes(struct http_request *r, struct answer *a) {
    answer_coordinates(r, a, STR_NONE);
}

static void coordinate_nodes(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    if (!enabled(r))
        return;
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options))
        return;
    q->options.filter = STR("");
    http_call(r, &endpoint_coordinate_list_nodes, q, got_nodes);
}

static void got_node(struct http_request *r, struct answer *a) {
    answer_coordinates(r, a, r->argument);
}

static void coordinate_node(struct http_request *r) {
    struct node_request *q = ARENA_NEW(&r->arena, struct node_request);
    if (!enabled(r))
        return;
    q->datacenter = http_datacenter(r);
    q->node = r->argument;
    if (!http_read_options(r, &q->options))
        return;
    q->options.filter = STR("");
    http_call(r, &endpoint_coordinate_node, q, got_node);
}

/* ---- update ---- */

static void updated(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_empty(r, 200);
}

static void update_body(struct http_request *r) {
    struct coordinate_update_request *q = ARENA_NEW(&r->arena, struct coordinate_update_request);
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = "structs.CoordinateUpdateRequest"};
    if (!http_body_from_json(r, &coordinate_update_request_shape, q, &options, &e)) {
        http_answer_format(r, 400, "Request decode failed: " STR_FMT, STR_ARG(e.text));
        return;
    }
    if (q->coord == NULL) { /* the peer breaks here */
        http_answer_text(r, 400, STR("Request decode failed: missing Coord"));
        return;
    }
    struct str dc = http_datacenter(r);
    q->datacenter = dc.len > 0 ? dc : r->config->datacenter;
    q->write.token = http_token(r);
    http_call(r, &endpoint_coordinate_update, q, updated);
}

static void coordinate_report(struct http_request *r) {
    if (enabled(r))
        http_read_body(r, 0, update_body);
}

const struct http_route http_routes_coordinate[] = {
    {"/v1/coordinate/datacenters", "GET", coordinate_datacenters, 0},
    {"/v1/coordinate/nodes", "GET", coordinate_nodes, ROUTE_META},
    {"/v1/coordinate/node/", "GET", coordinate_node, ROUTE_META},
    {"/v1/coordinate/update", "PUT", coordinate_report, 0},
    {NULL, NULL, NULL, 0},
};

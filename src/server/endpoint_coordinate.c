/* Coordinate (rpc.md 6.6). Updates are collected by coordinate_batch.c. */
#include <math.h>

#include "server/endpoint.h"
#include "store/coordinate.h"

#define COORDINATE_DIMENSIONS 8

static bool coord_check(const struct coord *coord, struct error *e) {
    if (coord == NULL) { /* the peer breaks here */
        return error_set(e, ERROR_BAD_REQUEST, "Bad request: Must provide Coord");
    }
    bool finite = isfinite(coord->adjustment) && isfinite(coord->error) && isfinite(coord->height);
    for (uint32_t i = 0; i < coord->vec.len; i++) {
        finite = finite && isfinite(LIST_AT(coord->vec, double, i));
    }
    if (!finite) {
        return error_set(e, ERROR_INTERNAL, "invalid coordinate");
    }
    if (coord->vec.len != COORDINATE_DIMENSIONS) {
        return error_set(e, ERROR_INTERNAL, "incompatible coordinate");
    }
    return true;
}

static bool update_core(struct call_context *c, void *request, void *reply, struct error *e) {
    (void)reply;
    const struct coordinate_update_request *r = request;
    if (!coord_check(r->coord, e)) {
        return false;
    }
    coordinate_batch_add(c->server->coordinates, r);
    return true;
}

/* The pool of all datacenters' servers: this one alone, where it began. */
static bool list_datacenters(struct call_context *c, const void *request, void *reply,
                             struct error *e) {
    (void)request;
    (void)e;
    const struct server_options *o = server_options(c->server);
    struct coord *coord = ARENA_NEW(c->arena, struct coord);
    *coord = (struct coord){
        .error = 1.5, .height = 1e-5, .vec = LIST_NEW(c->arena, double, COORDINATE_DIMENSIONS)};
    struct coordinate *self = ARENA_NEW(c->arena, struct coordinate);
    *self = (struct coordinate){.coord = coord, .node = o->node_name};
    struct list *out = reply;
    *out = LIST_NEW(c->arena, struct datacenter_map, 1);
    struct datacenter_map *map = &LIST_AT(*out, struct datacenter_map, 0);
    *map = (struct datacenter_map){.area_id = STR("wan"),
                                   .datacenter = o->datacenter,
                                   .coordinates = LIST_NEW(c->arena, struct coordinate *, 1)};
    LIST_AT(map->coordinates, struct coordinate *, 0) = self;
    return true;
}

static bool list_nodes(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)request;
    (void)e;
    struct indexed_coordinates *out = reply;
    c->meta->index = coordinate_list(c->store, &out->coordinates);
    c->exact = true;
    return true;
}

static bool node_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)e;
    const struct node_request *r = request;
    struct indexed_coordinates *out = reply;
    c->meta->index = coordinate_node(c->store, r->node, &out->coordinates);
    for (uint32_t i = 0; i < out->coordinates.len; i++) {
        LIST_AT(out->coordinates, struct coordinate *, i)->node = str_copy(c->arena, r->node);
    }
    return true;
}

const struct endpoint endpoint_coordinate_update = {
    .name = "Coordinate.Update",
    .kind = ENDPOINT_CORE,
    .request = &coordinate_update_request_shape,
    .datacenter = offsetof(struct coordinate_update_request, datacenter),
    .options = -1,
    .meta = -1,
    ENDPOINT_REPLY(empty_struct),
    .core = update_core,
};

const struct endpoint endpoint_coordinate_list_datacenters = {
    .name = "Coordinate.ListDatacenters",
    .kind = ENDPOINT_LOCAL,
    .request = &empty_struct_shape,
    ENDPOINT_NOWHERE,
    ENDPOINT_REPLY_TYPE(datacenter_map_list_reply_type, struct list),
    .read = list_datacenters,
};

const struct endpoint endpoint_coordinate_list_nodes = {
    ENDPOINT_READS("Coordinate.ListNodes", ENDPOINT_BLOCKING, dc_request, indexed_coordinates),
    .read = list_nodes,
};

const struct endpoint endpoint_coordinate_node = {
    ENDPOINT_READS("Coordinate.Node", ENDPOINT_BLOCKING, node_request, indexed_coordinates),
    .read = node_read,
};

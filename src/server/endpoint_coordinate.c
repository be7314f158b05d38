/* Coordinate (rpc.md 6.6). Updates are collected by coordinate_batch.c. */
#include <math.h>

#include "gossip/rules.h"
#include "server/endpoint.h"
#include "server/filter_acl.h"
#include "server/membership.h"
#include "server/permit.h"
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
    if (!coord_check(r->coord, e) || !permit(c, ACL_NODE, ACL_WRITE, r->node, e)) {
        return false;
    }
    coordinate_batch_add(c->server->coordinates, r);
    return true;
}

/* The pool of all datacenters' servers: this one alone, where it began. */
static struct coord *coord_of(const struct gossip_coordinate *from, struct arena *arena) {
    struct coord *coord = ARENA_NEW(arena, struct coord);
    *coord = (struct coord){.error = from->error,
                            .adjustment = from->adjustment,
                            .height = from->height,
                            .vec = LIST_NEW(arena, double, COORDINATE_DIMENSIONS)};
    memcpy(coord->vec.items, from->vec, sizeof(from->vec));
    return coord;
}

/* Of one datacenter: its servers in the WAN pool with the coordinates that are known of them. */
static struct list coordinates_in(struct call_context *c, const struct gossip_member *members,
                                  size_t count, struct str datacenter) {
    const struct gossip *g =
        gossip_driver_core(membership_pool(c->server->membership, MEMBERSHIP_WAN));
    struct list out = LIST_NEW(c->arena, struct coordinate *, count);
    out.len = 0;
    for (size_t i = 0; i < count; i++) {
        struct gossip_server server;
        struct gossip_coordinate at;
        if (!gossip_server_of(&members[i], &server) || !str_eq(server.datacenter, datacenter) ||
            members[i].status == GOSSIP_STATUS_LEFT ||
            !gossip_coordinate_of(g, members[i].name, &at))
            continue;
        struct coordinate *coordinate = ARENA_NEW(c->arena, struct coordinate);
        *coordinate =
            (struct coordinate){.coord = coord_of(&at, c->arena), .node = server.short_name};
        LIST_AT(out, struct coordinate *, out.len++) = coordinate;
    }
    return out;
}

static bool list_datacenters(struct call_context *c, void *request, void *reply, struct error *e) {
    (void)request;
    (void)e;
    struct membership *m = c->server->membership;
    struct list *out = reply;
    *out = LIST_NEW(c->arena, struct datacenter_map, 0);
    if (m == NULL || membership_pool(m, MEMBERSHIP_WAN) == NULL) {
        return true;
    }
    struct gossip_member *members;
    struct peer_datacenter *known;
    size_t members_len = membership_members(m, MEMBERSHIP_WAN, c->arena, &members);
    size_t count = peers_datacenters(c->server->peers, c->arena, &known);
    *out = LIST_NEW(c->arena, struct datacenter_map, count);
    for (size_t i = 0; i < count; i++) {
        LIST_AT(*out, struct datacenter_map, i) = (struct datacenter_map){
            .area_id = STR("wan"),
            .datacenter = known[i].name,
            .coordinates = coordinates_in(c, members, members_len, known[i].name)};
    }
    return true;
}

static bool list_nodes(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)request;
    (void)e;
    struct indexed_coordinates *out = reply;
    c->meta->index = coordinate_list(c->store, &out->coordinates);
    c->exact = true;
    filter_coordinates(c, &out->coordinates);
    return true;
}

static bool node_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct node_request *r = request;
    struct indexed_coordinates *out = reply;
    if (!permit(c, ACL_NODE, ACL_READ, r->node, e)) {
        return false;
    }
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
    .token = offsetof(struct coordinate_update_request, write.token),
    ENDPOINT_REPLY(empty_struct),
    .core = update_core,
};

const struct endpoint endpoint_coordinate_list_datacenters = {
    .name = "Coordinate.ListDatacenters",
    .kind = ENDPOINT_LOCAL,
    .request = &empty_struct_shape,
    ENDPOINT_NOWHERE,
    ENDPOINT_REPLY_TYPE(datacenter_map_list_reply_type, struct list),
    .core = list_datacenters,
};

const struct endpoint endpoint_coordinate_list_nodes = {
    ENDPOINT_READS("Coordinate.ListNodes", ENDPOINT_BLOCKING, dc_request, indexed_coordinates),
    .read = list_nodes,
};

const struct endpoint endpoint_coordinate_node = {
    ENDPOINT_READS("Coordinate.Node", ENDPOINT_BLOCKING, node_request, indexed_coordinates),
    .read = node_read,
};

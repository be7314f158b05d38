/* Which resources a proxy has, by its kind and their type, and what all of them need. */
#include <stdarg.h>

#include "base/mem.h"
#include "xds/room.h"

#define URL_PREFIX "type.googleapis.com/"

static const struct {
    const char *url;
    const struct envoy_message *message;
} types[XDS_TYPES] = {
    [XDS_CLUSTER] = {URL_PREFIX "envoy.api.v2.Cluster", &envoy_cluster},
    [XDS_ENDPOINTS] = {URL_PREFIX "envoy.api.v2.ClusterLoadAssignment",
                       &envoy_cluster_load_assignment},
    [XDS_ROUTE] = {URL_PREFIX "envoy.api.v2.RouteConfiguration", &envoy_route_configuration},
    [XDS_LISTENER] = {URL_PREFIX "envoy.api.v2.Listener", &envoy_listener},
};

const struct envoy_message *xds_message(enum xds_type type) {
    return types[type].message;
}

const char *xds_type_url(enum xds_type type) {
    return types[type].url;
}

enum xds_type xds_type_of(struct str url) {
    enum xds_type type = XDS_CLUSTER;
    while (type < XDS_TYPES && !str_is(url, types[type].url))
        type++;
    return type;
}

/* ---- kinds ---- */

static bool is_kind(const struct proxy_snapshot *s, const char *kind) {
    return str_is(s->service->kind, kind);
}

static bool is_gateway(const struct proxy_snapshot *s) {
    return !is_kind(s, "connect-proxy");
}

/* Of each upstream it must be known how it is reached. */
static bool chains_are_known(const struct proxy_snapshot *s) {
    for (uint32_t i = 0; i < s->upstreams.len; i++) {
        const struct proxy_upstream *u = &LIST_AT(s->upstreams, struct proxy_upstream, i);
        if (u->chain == NULL && !xds_is_query(u->upstream))
            return false;
    }
    return true;
}

bool xds_complete(const struct proxy_snapshot *s) {
    if (s->roots == NULL)
        return false;
    if (is_kind(s, "ingress-gateway"))
        return s->leaf != NULL && s->ingress != NULL && chains_are_known(s);
    return is_gateway(s) || (s->leaf != NULL && chains_are_known(s));
}

bool xds_may_be_empty(const struct proxy_snapshot *s, enum xds_type type) {
    switch (type) {
    case XDS_CLUSTER:
        return is_gateway(s);
    case XDS_ROUTE:
    case XDS_LISTENER:
        return is_kind(s, "ingress-gateway");
    default:
        return false;
    }
}

struct str xds_service(const struct proxy_snapshot *s) {
    return is_gateway(s) ? s->service->service : s->service->proxy.destination_service_name;
}

static bool make_sidecar(struct xds_maker *m, enum xds_type type) {
    switch (type) {
    case XDS_CLUSTER:
        return xds_sidecar_clusters(m);
    case XDS_ENDPOINTS:
        return xds_upstream_endpoints(m);
    case XDS_ROUTE:
        return xds_sidecar_routes(m);
    default:
        return xds_sidecar_listeners(m);
    }
}

bool xds_make(struct xds_maker *m, enum xds_type type) {
    m->resources = m->warnings = (struct trees){0};
    if (is_kind(m->snapshot, "mesh-gateway"))
        return xds_mesh_gateway(m, type);
    if (is_kind(m->snapshot, "terminating-gateway"))
        return xds_terminating_gateway(m, type);
    if (is_kind(m->snapshot, "ingress-gateway"))
        return xds_ingress_gateway(m, type);
    return make_sidecar(m, type);
}

/* ---- what is made ---- */

void xds_add(struct xds_maker *m, struct value resource) {
    trees_add(&m->resources, resource, m->arena);
}

/* Upstreams are few: they stand in one registration. */
void xds_add_once(struct xds_maker *m, const char *field, struct value resource) {
    const struct value *name = message_get(&resource, field);
    for (size_t i = 0; i < m->resources.len; i++)
        if (value_equal(message_get(&m->resources.items[i], field), name))
            return;
    xds_add(m, resource);
}

void xds_warn(struct xds_maker *m, const char *format, ...) {
    va_list args;
    va_start(args, format);
    trees_add(&m->warnings, tree_text(str_vformat(m->arena, format, args)), m->arena);
    va_end(args);
}

/* Ingress gateways (connect.md 6.6): from outside to services of the mesh, by port and by the host
 * that is asked for. Clusters and endpoints are those of upstreams.
 */
#include "xds/room.h"

static bool is_of(const struct proxy_upstream *u, const struct ingress_listener *l) {
    return u->upstream->local_bind_port == l->port;
}

static bool is_tcp(const struct ingress_listener *l) {
    return l->protocol.len == 0 || str_is(l->protocol, "tcp");
}

static struct str port_text(struct xds_maker *m, const struct ingress_listener *l) {
    return str_format(m->arena, "%lld", (long long)l->port);
}

/* The next upstream of a listener, from *i on; NULL: there is no other. */
static const struct proxy_upstream *next_of(const struct xds_maker *m,
                                            const struct ingress_listener *l, uint32_t *i) {
    while (*i < m->snapshot->upstreams.len) {
        const struct proxy_upstream *u =
            &LIST_AT(m->snapshot->upstreams, struct proxy_upstream, (*i)++);
        if (is_of(u, l))
            return u;
    }
    return NULL;
}

/* ---- listeners ---- */

static bool listener(struct xds_maker *m, const struct xds_bind *bind,
                     const struct ingress_listener *l) {
    uint32_t at = 0;
    const struct proxy_upstream *u = next_of(m, l, &at);
    struct value tls = m->snapshot->ingress->tls.enabled
                           ? xds_downstream_tls(m, m->snapshot->leaf, false)
                           : TREE_NONE;
    if (u == NULL)
        return true;
    if (is_tcp(l))
        return xds_upstream_listener(m, u, bind->address, tls);
    struct xds_http h = {.name = port_text(m, l),
                         .prefix = "ingress_upstream_",
                         .protocol = l->protocol,
                         .by_routes = true,
                         .egress = true};
    struct value chain =
        TREE(m->arena, {"filters", TREES(m->arena, xds_main_filter(m, &h))}, {"tls_context", tls});
    xds_add(
        m, xds_listener(m, l->protocol, bind->address, l->port, TREES(m->arena, chain), TREE_NONE));
    return true;
}

static bool listeners(struct xds_maker *m) {
    const struct list *all = &m->snapshot->ingress->listeners;
    struct list binds = xds_binds(m);
    for (uint32_t i = 0; i < binds.len; i++)
        for (uint32_t j = 0; j < all->len; j++)
            if (!listener(m, &LIST_AT(binds, struct xds_bind, i),
                          &LIST_AT(*all, struct ingress_listener, j)))
                return false;
    return true;
}

/* ---- routes ---- */

static bool has_text(const struct trees *list, struct str text) {
    for (size_t i = 0; i < list->len; i++)
        if (str_eq(list->items[i].string, text))
            return true;
    return false;
}

/* The hosts, and each with the port too: clients name it unless it is that of the protocol. */
static struct value domains(struct xds_maker *m, const struct proxy_upstream *u,
                            const struct ingress_listener *l) {
    const struct list *hosts = &u->upstream->ingress_hosts;
    struct trees all = {0};
    for (uint32_t i = 0; i < hosts->len; i++)
        trees_add(&all, tree_text(LIST_AT(*hosts, struct str, i)), m->arena);
    if (hosts->len == 0)
        trees_add(&all,
                  tree_text(str_format(m->arena, STR_FMT ".ingress.*",
                                       STR_ARG(u->upstream->destination_name))),
                  m->arena);
    for (size_t i = 0, len = all.len; i < len; i++) {
        struct str host = all.items[i].string;
        struct str with_port =
            str_format(m->arena, STR_FMT ":%lld", STR_ARG(host), (long long)l->port);
        if (str_find_char(host, ':') < 0 && !has_text(&all, with_port))
            trees_add(&all, tree_text(with_port), m->arena);
    }
    return trees_list(&all);
}

static bool routes(struct xds_maker *m, const struct ingress_listener *l) {
    const struct proxy_upstream *u;
    struct trees hosts = {0};
    for (uint32_t at = 0; (u = next_of(m, l, &at)) != NULL;) {
        struct value of_host;
        if (!xds_chain_routes(m, u->chain, &of_host))
            return false;
        trees_add(&hosts,
                  TREE(m->arena, {"name", tree_text(u->upstream->destination_name)},
                       {"domains", domains(m, u, l)}, {"routes", of_host}),
                  m->arena);
    }
    if (hosts.len > 0)
        xds_add(m, xds_route_configuration(m->arena, port_text(m, l), trees_list(&hosts)));
    return true;
}

bool xds_ingress_gateway(struct xds_maker *m, enum xds_type type) {
    const struct list *all = &m->snapshot->ingress->listeners;
    switch (type) {
    case XDS_CLUSTER:
        return xds_upstream_clusters(m);
    case XDS_ENDPOINTS:
        return xds_upstream_endpoints(m);
    case XDS_LISTENER:
        return listeners(m);
    default:
        break;
    }
    for (uint32_t i = 0; i < all->len; i++) {
        const struct ingress_listener *l = &LIST_AT(*all, struct ingress_listener, i);
        if (!is_tcp(l) && !routes(m, l))
            return false;
    }
    return true;
}

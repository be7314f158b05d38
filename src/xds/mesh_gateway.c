/* Mesh gateways (connect.md 6.6): connections between datacenters, passed on by the name that they
 * ask for; of the services of their own, and, where datacenters federate through gateways, of the
 * servers.
 */
#include "xds/room.h"

static const struct proxy_instances *gateways_of(const struct xds_maker *m, struct str datacenter) {
    const struct proxy_instances *known = proxy_instances_get(&m->snapshot->gateways, datacenter);
    if (known == NULL)
        known = proxy_instances_get(&m->snapshot->federation, datacenter);
    return known != NULL && known->nodes.len > 0 ? known : NULL;
}

static bool add(struct xds_maker *m, enum xds_type type, struct str name, int64_t timeout,
                const struct list *instances, bool only_passing) {
    if (type == XDS_CLUSTER)
        xds_add(m, xds_gateway_cluster(m, name, timeout, instances, only_passing));
    else if (!xds_has_names(m, instances))
        xds_add(m, xds_assignment(m, name, instances, only_passing));
    return true;
}

/* ---- other datacenters ---- */

static void datacenters(struct xds_maker *m, enum xds_type type) {
    for (uint32_t i = 0; i < m->snapshot->datacenters.len; i++) {
        struct str dc = LIST_AT(m->snapshot->datacenters, struct str, i);
        const struct proxy_instances *gateways = gateways_of(m, dc);
        if (gateways == NULL)
            continue;
        add(m, type, xds_datacenter_sni(m, dc), 0, &gateways->nodes, false);
        if (m->snapshot->servers != NULL)
            add(m, type, xds_server_sni(m, STR(""), dc), 0, &gateways->nodes, false);
    }
}

/* ---- servers ---- */

/* Their health is not told: who asks for a server by name means that one. */
static struct value server_assignment(struct xds_maker *m, struct str name,
                                      const struct check_service_node *nodes, uint32_t count) {
    struct trees endpoints = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct str address;
        int64_t port;
        xds_instance_address(m, &nodes[i], &address, &port);
        trees_add(
            &endpoints,
            TREE(m->arena,
                 {"endpoint", TREE(m->arena, {"address", xds_address(m->arena, address, port)})}),
            m->arena);
    }
    struct value group = TREE(m->arena, {"lb_endpoints", trees_list(&endpoints)});
    return TREE(m->arena, {"cluster_name", tree_text(name)}, {"endpoints", TREES(m->arena, group)});
}

static void server(struct xds_maker *m, enum xds_type type, struct str name,
                   const struct check_service_node *nodes, uint32_t count) {
    static const struct list none = {NULL, 0, true};
    if (type == XDS_CLUSTER)
        xds_add(m, xds_gateway_cluster(m, name, 0, &none, false));
    else
        xds_add(m, server_assignment(m, name, nodes, count));
}

static void servers(struct xds_maker *m, enum xds_type type) {
    const struct proxy_instances *all = m->snapshot->servers;
    struct str own = m->snapshot->datacenter;
    if (all == NULL)
        return;
    server(m, type, xds_server_sni(m, STR(""), own), all->nodes.items, all->nodes.len);
    for (uint32_t i = 0; i < all->nodes.len; i++) {
        const struct check_service_node *node = &LIST_AT(all->nodes, struct check_service_node, i);
        server(m, type, xds_server_sni(m, node->node->node, own), node, 1);
    }
}

/* ---- services ---- */

static bool subset_of(struct xds_maker *m, enum xds_type type, const struct proxy_meshed_service *s,
                      struct str name, struct str subset) {
    const struct service_resolver_subset *x = xds_subset(s->resolver, subset);
    struct list nodes;
    if (!xds_subset_instances(m, &s->instances->nodes, x, &nodes))
        return false;
    int64_t timeout = s->resolver != NULL ? s->resolver->connect_timeout : 0;
    return add(m, type, name, timeout, &nodes, x != NULL && x->only_passing);
}

static bool services(struct xds_maker *m, enum xds_type type) {
    struct str own = m->snapshot->datacenter;
    for (uint32_t i = 0; i < m->snapshot->meshed.len; i++) {
        const struct proxy_meshed_service *s =
            &LIST_AT(m->snapshot->meshed, struct proxy_meshed_service, i);
        if (s->instances == NULL || s->instances->nodes.len == 0)
            continue;
        struct str subset = s->resolver != NULL ? s->resolver->default_subset : STR("");
        if (!subset_of(m, type, s, xds_service_sni(m, STR(""), s->name, own), subset))
            return false;
        for (uint32_t j = 0; s->resolver != NULL && j < s->resolver->subsets.len; j++) {
            subset = LIST_AT(s->resolver->subsets, struct xds_subset_pair, j).name;
            if (!subset_of(m, type, s, xds_service_sni(m, subset, s->name, own), subset))
                return false;
        }
    }
    return true;
}

/* ---- listeners ---- */

static struct value chain(struct xds_maker *m, struct str server_name, struct str stat_prefix,
                          struct str cluster) {
    struct value match = TREE(m->arena, {"server_names", TREES(m->arena, tree_text(server_name))});
    return TREE(m->arena, {"filter_chain_match", match},
                {"filters", TREES(m->arena, xds_tcp_proxy(m->arena, stat_prefix, cluster))});
}

static void datacenter_chains(struct xds_maker *m, const struct xds_bind *bind, bool of_servers,
                              struct trees *chains) {
    for (uint32_t i = 0; i < m->snapshot->datacenters.len; i++) {
        struct str dc = LIST_AT(m->snapshot->datacenters, struct str, i);
        struct str cluster =
            of_servers ? xds_server_sni(m, STR(""), dc) : xds_datacenter_sni(m, dc);
        if (gateways_of(m, dc) == NULL)
            continue;
        trees_add(chains,
                  chain(m, str_format(m->arena, "*." STR_FMT, STR_ARG(cluster)),
                        str_format(m->arena, "mesh_gateway_remote_" STR_FMT "_" STR_FMT "_tcp",
                                   STR_ARG(bind->name), STR_ARG(dc)),
                        cluster),
                  m->arena);
    }
}

static void server_chains(struct xds_maker *m, const struct xds_bind *bind, struct trees *chains) {
    const struct proxy_instances *all = m->snapshot->servers;
    struct str own = m->snapshot->datacenter;
    for (uint32_t i = 0; all != NULL && i < all->nodes.len; i++) {
        const struct check_service_node *node = &LIST_AT(all->nodes, struct check_service_node, i);
        struct str name = xds_server_sni(m, node->node->node, own);
        trees_add(
            chains,
            chain(m, name,
                  str_format(m->arena, "mesh_gateway_local_server_" STR_FMT "_" STR_FMT "_tcp",
                             STR_ARG(bind->name), STR_ARG(own)),
                  name),
            m->arena);
    }
}

static void listener(struct xds_maker *m, const struct xds_bind *bind) {
    struct trees chains = {0};
    datacenter_chains(m, bind, false, &chains);
    if (m->snapshot->servers != NULL)
        datacenter_chains(m, bind, true, &chains);
    server_chains(m, bind, &chains);
    struct str prefix =
        str_format(m->arena, "mesh_gateway_local_" STR_FMT "_tcp", STR_ARG(bind->name));
    trees_add(&chains,
              TREE(m->arena, {"filters", TREES(m->arena, xds_sni_cluster(m->arena),
                                               xds_tcp_proxy(m->arena, prefix, STR("")))}),
              m->arena);
    xds_add(m, xds_listener(m, bind->name, bind->address, bind->port, trees_list(&chains),
                            xds_tls_inspector(m->arena)));
}

bool xds_mesh_gateway(struct xds_maker *m, enum xds_type type) {
    if (type == XDS_ROUTE)
        return true;
    if (type == XDS_LISTENER) {
        struct list binds = xds_binds(m);
        for (uint32_t i = 0; i < binds.len; i++)
            listener(m, &LIST_AT(binds, struct xds_bind, i));
        return true;
    }
    datacenters(m, type);
    servers(m, type);
    return services(m, type);
}

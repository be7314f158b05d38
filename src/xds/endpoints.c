/* Endpoints (connect.md 6.4): where the instances behind a cluster are, or the gateways that lead
 * to them, and how healthy they are.
 */
#include "xds/room.h"

#define WEIGHT_MOST 128
#define OVERPROVISIONING                                                                           \
    100000 /* so that what is left of a group takes all, until none is left                        \
            */

/* ---- instances ---- */

struct xds_health xds_health_of(const struct check_service_node *node, bool only_passing) {
    const struct weights *weights = node->service != NULL ? node->service->weights : NULL;
    struct xds_health h = {true, weights != NULL ? weights->passing : 1};
    for (uint32_t i = 0; i < node->checks.len; i++) {
        const struct health_check *check = LIST_AT(node->checks, struct health_check *, i);
        if (check == NULL)
            continue;
        bool passing = str_is(check->status, "passing");
        if (str_is(check->status, "critical") || (only_passing && !passing))
            h.healthy = false;
        if (str_is(check->status, "warning") && weights != NULL)
            h.weight = weights->warning;
    }
    if (h.weight < 1)
        h = (struct xds_health){false, 1};
    if (h.weight > WEIGHT_MOST)
        h.weight = WEIGHT_MOST;
    return h;
}

void xds_instance_address(const struct xds_maker *m, const struct check_service_node *node,
                          struct str *address, int64_t *port) {
    bool wan = !str_eq(node->node->datacenter, m->snapshot->datacenter);
    catalog_instance_address(node, wan, address, port);
}

static bool is_whole(const struct check_service_node *node) {
    return node->node != NULL && node->service != NULL;
}

bool xds_any_healthy(const struct proxy_instances *instances, bool only_passing) {
    for (uint32_t i = 0; instances != NULL && i < instances->nodes.len; i++)
        if (xds_health_of(&LIST_AT(instances->nodes, struct check_service_node, i), only_passing)
                .healthy)
            return true;
    return false;
}

struct value xds_lb_endpoint(struct xds_maker *m, const struct check_service_node *node,
                             struct xds_health health) {
    struct str address;
    int64_t port;
    xds_instance_address(m, node, &address, &port);
    return TREE(m->arena,
                {"endpoint", TREE(m->arena, {"address", xds_address(m->arena, address, port)})},
                {"health_status", tree_word(health.healthy ? "HEALTHY" : "UNHEALTHY")},
                {"load_balancing_weight", tree_number(health.weight)});
}

/* ---- groups of them ---- */

/* `priority` 0 is the first. `health`: of those for whom they stand; NULL: their own. */
static struct value group(struct xds_maker *m, const struct list *instances, bool only_passing,
                          const bool *healthy, int64_t priority) {
    struct trees endpoints = {0};
    for (uint32_t i = 0; i < instances->len; i++) {
        const struct check_service_node *node = &LIST_AT(*instances, struct check_service_node, i);
        struct xds_health health = xds_health_of(node, only_passing);
        if (healthy != NULL)
            health.healthy = *healthy;
        if (is_whole(node))
            trees_add(&endpoints, xds_lb_endpoint(m, node, health), m->arena);
    }
    return TREE(m->arena, {"lb_endpoints", tree_when(endpoints.len > 0, trees_list(&endpoints))},
                {"priority", tree_when(priority > 0, tree_number(priority))});
}

static struct value assignment(struct xds_maker *m, struct str cluster, struct value groups,
                               bool fails_over) {
    return TREE(m->arena, {"cluster_name", tree_text(cluster)}, {"endpoints", groups},
                {"policy", tree_when(fails_over, TREE(m->arena, {"overprovisioning_factor",
                                                                 tree_number(OVERPROVISIONING)}))});
}

struct value xds_assignment(struct xds_maker *m, struct str cluster, const struct list *instances,
                            bool only_passing) {
    struct value only = group(m, instances, only_passing, NULL, 0);
    return assignment(m, cluster, TREES(m->arena, only), false);
}

/* ---- upstreams ---- */

static bool through_gateway(const struct chain_target *t) {
    return str_is(t->mesh_gateway.mode, "local") || str_is(t->mesh_gateway.mode, "remote");
}

static const struct chain_target *
failover_target(const struct proxy_upstream *u, const struct chain_resolver *resolver, uint32_t i) {
    return chain_target_get(u->chain, LIST_AT(resolver->failover->targets, struct str, i));
}

static uint32_t failovers(const struct chain_resolver *resolver) {
    return resolver->failover != NULL ? resolver->failover->targets.len : 0;
}

static bool is_healthy(const struct proxy_upstream *u, const struct chain_target *t) {
    return xds_any_healthy(proxy_instances_get(&u->targets, t->id), t->subset.only_passing);
}

const struct chain_target *xds_through_gateway(const struct proxy_upstream *u,
                                               const struct chain_resolver *resolver) {
    const struct chain_target *primary = chain_target_get(u->chain, resolver->target);
    bool gateways = false;
    for (uint32_t i = 0; i < failovers(resolver); i++) {
        const struct chain_target *t = failover_target(u, resolver, i);
        gateways |= t != NULL && through_gateway(t);
    }
    if (!gateways || primary == NULL)
        return NULL;
    if (is_healthy(u, primary))
        return primary;
    for (uint32_t i = 0; i < failovers(resolver); i++) {
        const struct chain_target *t = failover_target(u, resolver, i);
        if (t != NULL && is_healthy(u, t))
            return t;
    }
    return primary;
}

/* False: where it is reached is not known yet. */
static bool target_group(struct xds_maker *m, const struct proxy_upstream *u,
                         const struct chain_target *t, int64_t priority, struct value *out) {
    const struct proxy_instances *instances = proxy_instances_get(&u->targets, t->id), *gateways;
    if (instances == NULL)
        return false;
    if (!through_gateway(t)) {
        *out = group(m, &instances->nodes, t->subset.only_passing, NULL, priority);
        return true;
    }
    bool local = str_is(t->mesh_gateway.mode, "local");
    bool healthy = xds_any_healthy(instances, t->subset.only_passing);
    gateways = proxy_instances_get(&m->snapshot->gateways,
                                   local ? m->snapshot->datacenter : t->datacenter);
    if (gateways == NULL)
        return false;
    *out = group(m, &gateways->nodes, t->subset.only_passing, &healthy, priority);
    return true;
}

static void node_endpoints(struct xds_maker *m, const struct proxy_upstream *u, struct str cluster,
                           const struct chain_resolver *resolver,
                           const struct chain_target *primary) {
    const struct chain_target *reached = xds_through_gateway(u, resolver);
    struct trees groups = {0};
    struct value one;
    if (!target_group(m, u, reached != NULL ? reached : primary, 0, &one))
        return;
    trees_add(&groups, one, m->arena);
    bool fails_over = reached == NULL && failovers(resolver) > 0;
    for (uint32_t i = 0; fails_over && i < failovers(resolver); i++) {
        const struct chain_target *t = failover_target(u, resolver, i);
        if (t != NULL && target_group(m, u, t, (int64_t)groups.len, &one))
            trees_add(&groups, one, m->arena);
    }
    xds_add_once(m, "cluster_name", assignment(m, cluster, trees_list(&groups), fails_over));
}

static void chain_endpoints(struct xds_maker *m, const struct proxy_upstream *u) {
    struct str chosen = xds_chosen_cluster(m, u);
    for (uint32_t i = 0; u->chain != NULL && i < u->chain->nodes.len; i++) {
        const struct chain_node *node = LIST_AT(u->chain->nodes, struct ptr_pair, i).value;
        const struct chain_target *target =
            node->resolver == NULL ? NULL : chain_target_get(u->chain, node->resolver->target);
        if (target != NULL)
            node_endpoints(m, u, chosen.len > 0 ? chosen : xds_target_cluster(m, u->chain, target),
                           node->resolver, target);
    }
}

bool xds_upstream_endpoints(struct xds_maker *m) {
    for (uint32_t i = 0; i < m->snapshot->upstreams.len; i++) {
        const struct proxy_upstream *u = &LIST_AT(m->snapshot->upstreams, struct proxy_upstream, i);
        if (!xds_is_query(u->upstream))
            chain_endpoints(m, u);
        else if (u->query != NULL)
            xds_add_once(m, "cluster_name",
                         xds_assignment(m, xds_query_sni(m, u->upstream), &u->query->nodes, false));
    }
    return true;
}

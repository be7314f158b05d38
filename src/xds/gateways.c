/* What gateways have in common (connect.md 6.6): where they listen, subsets of instances, and the
 * clusters behind them, which know nothing of TLS between proxies.
 */
#include "agent/config_table.h"
#include "base/time.h"
#include "schema/filter.h"
#include "xds/room.h"

#define DNS_REFRESH (10 * SECOND)

/* ---- where they listen ---- */

/* Each setting has an older name, from when there were mesh gateways only. */
static const struct value *either(const struct settings *s, const char *key, const char *older) {
    const struct value *v = setting_get(s, key);
    return v != NULL ? v : setting_get(s, older);
}

static bool either_bool(struct settings *s, const char *key, const char *older) {
    return setting_bool(s, setting_get(s, key) != NULL ? key : older);
}

struct binds {
    struct xds_bind *items;
    uint32_t len, cap;
};

static void bind_add(struct xds_maker *m, struct binds *all, struct str name, struct str address,
                     int64_t port) {
    for (uint32_t i = 0; i < all->len; i++)
        if (str_eq(all->items[i].address, address) && all->items[i].port == port)
            return;
    if (all->len == all->cap) {
        struct xds_bind *items = ARENA_ARRAY(m->arena, struct xds_bind, all->cap * 2 + 4);
        if (all->len > 0)
            memcpy(items, all->items, all->len * sizeof *items);
        all->items = items;
        all->cap = all->cap * 2 + 4;
    }
    all->items[all->len++] = (struct xds_bind){name, address, port};
}

struct tagged {
    struct str tag;
    struct service_address address;
};

struct list xds_binds(struct xds_maker *m) {
    const struct node_service *g = m->snapshot->service;
    struct settings s = xds_settings(m, g->proxy.config);
    struct binds all = {0};
    if (!either_bool(&s, "envoy_gateway_no_default_bind", "envoy_mesh_gateway_no_default_bind"))
        bind_add(m, &all, STR("default"), g->address.len > 0 ? g->address : STR("0.0.0.0"),
                 g->port);
    if (either_bool(&s, "envoy_gateway_bind_tagged_addresses",
                    "envoy_mesh_gateway_bind_tagged_addresses"))
        for (uint32_t i = 0; i < g->tagged_addresses.len; i++) {
            const struct tagged *t = &LIST_AT(g->tagged_addresses, struct tagged, i);
            bind_add(m, &all, t->tag, t->address.address, t->address.port);
        }
    const struct value *more =
        either(&s, "envoy_gateway_bind_addresses", "envoy_mesh_gateway_bind_addresses");
    for (size_t i = 0; more != NULL && more->kind == VALUE_MAP && i < more->map.len; i++) {
        struct settings one = xds_settings(m, &more->map.pairs[i].value);
        bind_add(m, &all, more->map.pairs[i].key, setting_str(&one, "address", STR("")),
                 setting_i64(&one, "port", 0));
        settings_leave(&s, &one);
    }
    xds_settings_done(m, &s, "gateway config");
    return (struct list){all.items, all.len, true};
}

/* ---- subsets ---- */

const struct service_resolver_subset *xds_subset(const struct service_resolver *r,
                                                 struct str name) {
    if (r == NULL || name.len == 0)
        return NULL;
    return map_pair_value(&r->subsets, MAP_VALUE_OFFSET + sizeof(struct service_resolver_subset),
                          name);
}

bool xds_subset_instances(struct xds_maker *m, const struct list *instances,
                          const struct service_resolver_subset *subset, struct list *out) {
    struct filter *filter = NULL;
    *out = *instances;
    if (subset == NULL || subset->filter.len == 0)
        return true;
    filter = filter_compile(subset->filter, &check_service_node_shape, m->arena, m->error);
    if (filter == NULL)
        return false;
    *out = LIST_NEW(m->arena, struct check_service_node, instances->len);
    out->len = 0;
    for (uint32_t i = 0; i < instances->len; i++) {
        const struct check_service_node *node = &LIST_AT(*instances, struct check_service_node, i);
        if (filter_match(filter, node))
            LIST_AT(*out, struct check_service_node, out->len++) = *node;
    }
    filter_free(filter);
    return true;
}

/* ---- clusters ---- */

static bool has_name(const struct xds_maker *m, const struct check_service_node *node) {
    struct str address;
    int64_t port;
    bool v6;
    if (node->node == NULL || node->service == NULL)
        return false;
    xds_instance_address(m, node, &address, &port);
    return !address_is_ip(address, &v6);
}

bool xds_has_names(const struct xds_maker *m, const struct list *instances) {
    for (uint32_t i = 0; i < instances->len; i++)
        if (has_name(m, &LIST_AT(*instances, struct check_service_node, i)))
            return true;
    return false;
}

/* Envoy resolves one name only: the first that is healthy, else the last. */
static struct value by_name(struct xds_maker *m, struct str cluster, const struct list *instances,
                            bool only_passing) {
    const struct check_service_node *chosen = NULL;
    struct list one = {NULL, 1, true};
    bool healthy = false;
    struct str first = STR_NONE;
    for (uint32_t i = 0; i < instances->len; i++) {
        const struct check_service_node *node = &LIST_AT(*instances, struct check_service_node, i);
        struct str address;
        int64_t port;
        if (!has_name(m, node))
            continue;
        xds_instance_address(m, node, &address, &port);
        if (first.data != NULL && !str_eq(first, address))
            xds_warn(m,
                     "service contains instances with more than one unique hostname; only one "
                     "hostname be resolved by Envoy: cluster=" STR_FMT,
                     STR_ARG(cluster));
        first = first.data == NULL ? address : first;
        if (!healthy)
            chosen = node;
        healthy |= xds_health_of(node, only_passing).healthy;
    }
    one.items = (void *)(uintptr_t)chosen;
    return xds_assignment(m, cluster, &one, only_passing);
}

struct value xds_gateway_cluster(struct xds_maker *m, struct str name, int64_t connect_timeout,
                                 const struct list *instances, bool only_passing) {
    struct settings s = xds_settings(m, m->snapshot->service->proxy.config);
    struct str discovery = setting_str(&s, "envoy_dns_discovery_type", STR(""));
    struct arena *a = m->arena;
    bool names = xds_has_names(m, instances);
    int64_t own = setting_ms(&s, "connect_timeout_ms", XDS_CONNECT_TIMEOUT);
    struct value timeout = tree_duration(a, connect_timeout > 0 ? connect_timeout : own);
    xds_settings_done(m, &s, "gateway config");
    if (!names)
        return TREE(a, {"name", tree_text(name)}, {"type", tree_word("EDS")},
                    {"eds_cluster_config", TREE(a, {"eds_config", xds_ads(a)})},
                    {"connect_timeout", timeout}, {"outlier_detection", tree_empty()});
    bool strict = str_eq_fold(discovery, STR("strict_dns"));
    return TREE(a, {"name", tree_text(name)},
                {"type", tree_word(strict ? "STRICT_DNS" : "LOGICAL_DNS")},
                {"connect_timeout", timeout}, {"dns_refresh_rate", tree_duration(a, DNS_REFRESH)},
                {"dns_lookup_family", tree_word("V4_ONLY")}, {"outlier_detection", tree_empty()},
                {"load_assignment", by_name(m, name, instances, only_passing)});
}

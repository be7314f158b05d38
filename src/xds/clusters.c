/* Clusters (connect.md 6.4): the own application, what a proxy connects to, and the application's
 * ports that are exposed; and those of gateways, which are made alike.
 */
#include "base/mem.h"
#include "base/time.h"
#include "xds/room.h"

#define LOCAL_APP "local_app"

static struct value eds(struct arena *arena) {
    return TREE(arena, {"eds_config", xds_ads(arena)});
}

/* ---- the application ---- */

/* Whoever has written something else there is told by a stream that ends, as by the peer: here all
 * settings are looked at, also those that are for listeners. */
static bool settings_can_be_read(struct xds_maker *m) {
    static const char *const texts[] = {"protocol", "bind_address", "envoy_public_listener_json",
                                        "envoy_local_cluster_json"};
    struct settings s = xds_settings(m, m->snapshot->service->proxy.config);
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        setting_str(&s, texts[i], STR(""));
    setting_i64(&s, "bind_port", 0);
    setting_i64(&s, "local_connect_timeout_ms", 0);
    return settings_are_fine(&s, m->error);
}

static bool local_cluster(struct xds_maker *m, struct str name, int64_t port, struct str protocol) {
    const struct connect_proxy_config *proxy = &m->snapshot->service->proxy;
    struct settings s = xds_settings(m, proxy->config);
    struct str own = setting_str(&s, "envoy_local_cluster_json", STR("")), address;
    struct value cluster;
    if (own.len > 0) {
        if (!xds_hatch(m, own, &envoy_cluster, &cluster))
            return false;
    } else {
        address = proxy->local_service_address;
        address = address.len > 0 ? address : STR("127.0.0.1");
        cluster = TREE(
            m->arena, {"name", tree_text(name)}, {"type", tree_word("STATIC")},
            {"connect_timeout", tree_duration(m->arena, setting_ms(&s, "local_connect_timeout_ms",
                                                                   XDS_CONNECT_TIMEOUT))},
            {"load_assignment", xds_static_assignment(m->arena, name, address, port)},
            {"http2_protocol_options", tree_when(xds_is_http2(protocol), tree_empty())});
    }
    xds_add_once(m, "name", cluster);
    return true;
}

static bool exposed_cluster(struct xds_maker *m, int64_t port, struct str protocol) {
    if (port == m->snapshot->service->proxy.local_service_port)
        return true;
    struct str name = str_format(m->arena, "exposed_cluster_%lld", (long long)port);
    return local_cluster(m, name, port, str_lower(m->arena, protocol));
}

static bool exposed_clusters(struct xds_maker *m) {
    const struct list *paths = &m->snapshot->service->proxy.expose.paths;
    for (uint32_t i = 0; i < paths->len; i++) {
        const struct expose_path *p = &LIST_AT(*paths, struct expose_path, i);
        if (!exposed_cluster(m, p->local_path_port, p->protocol))
            return false;
    }
    for (uint32_t i = 0; i < m->snapshot->exposed.len; i++) {
        const struct proxy_check_path *p =
            &LIST_AT(m->snapshot->exposed, struct proxy_check_path, i);
        if (!exposed_cluster(m, p->local_port, p->protocol))
            return false;
    }
    return true;
}

bool xds_sidecar_clusters(struct xds_maker *m) {
    struct settings s = xds_settings(m, m->snapshot->service->proxy.config);
    return settings_can_be_read(m) &&
           local_cluster(m, STR(LOCAL_APP), m->snapshot->service->proxy.local_service_port,
                         setting_protocol(&s)) &&
           xds_upstream_clusters(m) && exposed_clusters(m);
}

/* ---- upstreams ---- */

static struct value limit(struct settings *limits, const char *key) {
    int64_t n = setting_i64(limits, key, -1);
    return tree_when(n >= 0 && n <= UINT32_MAX, tree_number(n));
}

/* Only the limits that are set, and 0 is one. */
static struct value circuit_breakers(struct xds_maker *m, struct settings *s) {
    struct settings limits = settings_enter(s, "limits");
    struct value thresholds = TREE(m->arena, {"max_connections", limit(&limits, "max_connections")},
                                   {"max_pending_requests", limit(&limits, "max_pending_requests")},
                                   {"max_requests", limit(&limits, "max_concurrent_requests")});
    settings_leave(s, &limits);
    if (thresholds.map.len == 0)
        return tree_empty();
    return TREE(m->arena, {"thresholds", TREES(m->arena, thresholds)});
}

static struct value outlier_detection(struct xds_maker *m, struct settings *s) {
    struct settings check = settings_enter(s, "passive_health_check");
    int64_t interval = setting_duration(&check, "interval", 0);
    int64_t failures = setting_i64(&check, "max_failures", 0);
    settings_leave(s, &check);
    return TREE(m->arena,
                {"consecutive_5xx",
                 tree_when(failures > 0 && failures <= UINT32_MAX, tree_number(failures))},
                {"interval", tree_when(interval != 0, tree_duration(m->arena, interval))});
}

static struct value upstream_tls(struct xds_maker *m, struct str sni) {
    return TREE(m->arena, {"common_tls_context", xds_common_tls(m, m->snapshot->leaf)},
                {"sni", tree_text_or_none(sni)});
}

static void query_cluster(struct xds_maker *m, const struct proxy_upstream *u) {
    struct settings s = xds_settings(m, u->upstream->config);
    struct str sni = xds_query_sni(m, u->upstream);
    xds_add_once(
        m, "name",
        TREE(
            m->arena, {"name", tree_text(sni)}, {"type", tree_word("EDS")},
            {"eds_cluster_config", eds(m->arena)},
            {"connect_timeout",
             tree_duration(m->arena, setting_ms(&s, "connect_timeout_ms", XDS_CONNECT_TIMEOUT))},
            {"circuit_breakers", circuit_breakers(m, &s)},
            {"outlier_detection", outlier_detection(m, &s)},
            {"http2_protocol_options", tree_when(xds_is_http2(setting_protocol(&s)), tree_empty())},
            {"tls_context", upstream_tls(m, sni)}));
    xds_settings_done(m, &s, "Upstream[].Config");
}

static void node_cluster(struct xds_maker *m, const struct proxy_upstream *u,
                         const struct chain_resolver *resolver, const struct chain_target *target) {
    struct settings s = xds_settings(m, u->upstream->config);
    const struct chain_target *reached = xds_through_gateway(u, resolver);
    struct str name = xds_target_cluster(m, u->chain, target);
    xds_add_once(
        m, "name",
        TREE(m->arena, {"name", tree_text(name)}, {"alt_stat_name", tree_text(name)},
             {"type", tree_word("EDS")}, {"eds_cluster_config", eds(m->arena)},
             {"connect_timeout", tree_duration(m->arena, resolver->connect_timeout)},
             {"common_lb_config", TREE(m->arena, {"healthy_panic_threshold", tree_empty()})},
             {"circuit_breakers", circuit_breakers(m, &s)},
             {"outlier_detection", outlier_detection(m, &s)},
             {"http2_protocol_options",
              tree_when(xds_is_http2(xds_upstream_protocol(m, u)), tree_empty())},
             {"tls_context", upstream_tls(m, (reached != NULL ? reached : target)->sni)}));
    xds_settings_done(m, &s, "Upstream[].Config");
}

/* The user's, and where it leads to verified by the leaf. */
static bool chosen_cluster(struct xds_maker *m, const struct proxy_upstream *u,
                           struct value *cluster) {
    struct settings s = xds_settings(m, u->upstream->config);
    return xds_hatch(m, setting_str(&s, "envoy_cluster_json", STR("")), &envoy_cluster, cluster);
}

static bool chooses_cluster(struct xds_maker *m, const struct proxy_upstream *u) {
    struct settings s = xds_settings(m, u->upstream->config);
    return u->chain != NULL && chain_is_default(u->chain) &&
           setting_str(&s, "envoy_cluster_json", STR("")).len > 0;
}

struct str xds_chosen_cluster(struct xds_maker *m, const struct proxy_upstream *u) {
    struct value cluster;
    if (!chooses_cluster(m, u) || !chosen_cluster(m, u, &cluster))
        return STR("");
    const struct value *name = message_get(&cluster, "name");
    return name != NULL && name->kind == VALUE_STRING ? name->string : STR("");
}

static bool chain_clusters(struct xds_maker *m, const struct proxy_upstream *u) {
    struct settings s = xds_settings(m, u->upstream->config);
    bool chosen = chooses_cluster(m, u);
    if (!chosen && setting_str(&s, "envoy_cluster_json", STR("")).len > 0)
        xds_warn(m,
                 "ignoring escape hatch setting because a discovery chain is configured for: "
                 "chain=" STR_FMT " upstream=" STR_FMT " config=envoy_cluster_json",
                 STR_ARG(u->chain->service_name), STR_ARG(u->id));
    for (uint32_t i = 0; i < u->chain->nodes.len; i++) {
        const struct chain_node *node = LIST_AT(u->chain->nodes, struct ptr_pair, i).value;
        const struct chain_target *target =
            node->resolver == NULL ? NULL : chain_target_get(u->chain, node->resolver->target);
        struct value cluster;
        if (target == NULL)
            continue;
        if (!chosen) {
            node_cluster(m, u, node->resolver, target);
            continue;
        }
        if (!chosen_cluster(m, u, &cluster))
            return false;
        message_set(&cluster, "tls_context", upstream_tls(m, target->sni), m->arena);
        xds_add_once(m, "name", cluster);
    }
    return true;
}

bool xds_upstream_clusters(struct xds_maker *m) {
    for (uint32_t i = 0; i < m->snapshot->upstreams.len; i++) {
        const struct proxy_upstream *u = &LIST_AT(m->snapshot->upstreams, struct proxy_upstream, i);
        if (xds_is_query(u->upstream))
            query_cluster(m, u);
        else if (!chain_clusters(m, u))
            return false;
    }
    return true;
}

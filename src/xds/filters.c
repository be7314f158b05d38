/* Network filters, with their configuration as free-form structs (connect.md 6.4): names as in the
 * .proto, what is default left out.
 */
#include "xds/room.h"

struct value xds_filter(struct arena *arena, const char *name, struct value config) {
    return TREE(arena, {"name", tree_word(name)}, {"config", config});
}

/* Envoy asks the agent whether who connects may (6.7), with the token of its stream. */
struct value xds_ext_authz(struct xds_maker *m) {
    struct arena *a = m->arena;
    struct value token =
        TREE(a, {"key", tree_word("x-consul-token")}, {"value", tree_text_or_none(m->token)});
    struct value service =
        TREE(a, {"envoy_grpc", TREE(a, {"cluster_name", tree_word("local_agent")})},
             {"initial_metadata", TREES(a, token)});
    return xds_filter(
        a, "envoy.ext_authz",
        TREE(a, {"stat_prefix", tree_word("connect_authz")}, {"grpc_service", service}));
}

struct value xds_tcp_proxy(struct arena *arena, struct str stat_prefix, struct str cluster) {
    return xds_filter(
        arena, "envoy.tcp_proxy",
        TREE(arena, {"stat_prefix", tree_text(stat_prefix)}, {"cluster", tree_text(cluster)}));
}

struct value xds_sni_cluster(struct arena *arena) {
    return xds_filter(arena, "envoy.filters.network.sni_cluster", TREE_NONE);
}

/* Finds out the name that a client asks for. */
struct value xds_tls_inspector(struct arena *arena) {
    return TREES(arena, TREE(arena, {"name", tree_word("envoy.listener.tls_inspector")}));
}

/* ---- the main filter ---- */

static struct str stat_prefix(struct xds_maker *m, const struct xds_http *h, const char *end) {
    struct str s = str_format(m->arena, "%s" STR_FMT "_%s", h->prefix, STR_ARG(h->name), end);
    char *text = str_terminated(m->arena, s);
    for (size_t i = 0; i < s.len; i++)
        if (text[i] == ':')
            text[i] = '_';
    return str_from(text);
}

static struct value inline_routes(struct xds_maker *m, const struct xds_http *h) {
    struct arena *a = m->arena;
    struct value match = h->path.len > 0 ? TREE(a, {"path", tree_text(h->path)})
                                         : TREE(a, {"prefix", tree_word("/")});
    struct value route =
        TREE(a, {"match", match}, {"route", TREE(a, {"cluster", tree_text(h->cluster)})});
    struct value host = TREE(a, {"name", tree_text(h->name)}, {"domains", TREES(a, tree_word("*"))},
                             {"routes", TREES(a, route)});
    return TREE(a, {"name", tree_text(h->name)}, {"virtual_hosts", TREES(a, host)});
}

static struct value http_manager(struct xds_maker *m, const struct xds_http *h) {
    struct arena *a = m->arena;
    bool grpc = str_is(h->protocol, "grpc");
    struct value rds =
        TREE(a, {"config_source", xds_ads(a)}, {"route_config_name", tree_text(h->name)});
    struct value tracing = TREE(a, {"operation_name", tree_when(h->egress, tree_word("EGRESS"))},
                                {"random_sampling", tree_empty()});
    struct value filters =
        TREES(a, tree_when(grpc, xds_filter(a, "envoy.grpc_http1_bridge", tree_empty())),
              xds_filter(a, "envoy.router", TREE_NONE));
    return xds_filter(
        a, "envoy.http_connection_manager",
        TREE(a, {"stat_prefix", tree_text(stat_prefix(m, h, grpc ? "grpc" : "http"))},
             {"route_config", tree_when(!h->by_routes, inline_routes(m, h))},
             {"rds", tree_when(h->by_routes, rds)}, {"tracing", tracing}, {"http_filters", filters},
             {"http2_protocol_options", tree_when(xds_is_http2(h->protocol), tree_empty())}));
}

struct value xds_main_filter(struct xds_maker *m, const struct xds_http *h) {
    if (xds_is_http(h->protocol))
        return http_manager(m, h);
    return xds_tcp_proxy(m->arena, stat_prefix(m, h, "tcp"), h->cluster);
}

struct value xds_listener(struct xds_maker *m, struct str name, struct str address, int64_t port,
                          struct value filter_chains, struct value listener_filters) {
    struct str full = str_format(m->arena, STR_FMT ":" STR_FMT ":%lld", STR_ARG(name),
                                 STR_ARG(address), (long long)port);
    return TREE(m->arena, {"name", tree_text(full)},
                {"address", xds_address(m->arena, address, port)}, {"filter_chains", filter_chains},
                {"listener_filters", listener_filters});
}

/* Listeners of sidecars (connect.md 6.4): for connections to the application, from it to each
 * upstream, and for paths that are open to anybody.
 */
#include "xds/room.h"

/* ---- the public one ---- */

static struct str public_address(struct xds_maker *m) {
    struct settings s = xds_settings(m, m->snapshot->service->proxy.config);
    struct str address = setting_str(&s, "bind_address", STR(""));
    if (address.len == 0)
        address = m->snapshot->service->address;
    return address.len > 0 ? address : STR("0.0.0.0");
}

/* Verifies who connects and asks the agent, whatever the listener is. */
static void protect(struct xds_maker *m, struct value *listener) {
    struct value *chains = message_get(listener, "filter_chains");
    for (size_t i = 0; chains != NULL && chains->kind == VALUE_LIST && i < chains->list.len; i++) {
        struct value *chain = &chains->list.items[i], *filters = message_get(chain, "filters");
        struct value all = filters != NULL ? *filters : TREE_NONE;
        tree_prepend(&all, xds_ext_authz(m), m->arena);
        message_set(chain, "filters", all, m->arena);
        message_set(chain, "tls_context", xds_downstream_tls(m, m->snapshot->leaf, true), m->arena);
    }
}

static bool public_listener(struct xds_maker *m) {
    struct settings s = xds_settings(m, m->snapshot->service->proxy.config);
    struct str own = setting_str(&s, "envoy_public_listener_json", STR(""));
    struct value listener;
    int64_t port = setting_i64(&s, "bind_port", 0);
    struct xds_http h = {.name = STR("public_listener"),
                         .prefix = "",
                         .protocol = setting_protocol(&s),
                         .cluster = STR("local_app")};
    if (own.len > 0) {
        if (!xds_hatch(m, own, &envoy_listener, &listener))
            return false;
    } else {
        struct value chain = TREE(m->arena, {"filters", TREES(m->arena, xds_main_filter(m, &h))});
        listener = xds_listener(m, h.name, public_address(m),
                                port != 0 ? port : m->snapshot->service->port,
                                TREES(m->arena, chain), TREE_NONE);
    }
    protect(m, &listener);
    xds_settings_done(m, &s, "Connect.Proxy.Config");
    xds_add(m, listener);
    return true;
}

/* ---- upstreams ---- */

/* Where all connections of a chain that is not by routes go: its first target. */
static struct str start_cluster(struct xds_maker *m, const struct compiled_chain *chain) {
    const struct chain_node *start = xds_start_node(chain);
    const struct chain_target *target = start == NULL || start->resolver == NULL
                                            ? NULL
                                            : chain_target_get(chain, start->resolver->target);
    return target == NULL ? STR("") : xds_target_cluster(m, chain, target);
}

static bool describe(struct xds_maker *m, const struct proxy_upstream *u, struct settings *s,
                     struct xds_http *h) {
    bool query = xds_is_query(u->upstream);
    *h = (struct xds_http){.name = u->id, .prefix = "upstream_", .egress = true};
    if (query || chain_is_default(u->chain)) {
        h->protocol = setting_protocol(s);
        h->cluster = query ? xds_query_sni(m, u->upstream) : start_cluster(m, u->chain);
        return true;
    }
    h->protocol = xds_upstream_protocol(m, u);
    h->by_routes = !str_is(h->protocol, "tcp") && h->protocol.len > 0;
    if (!h->by_routes)
        h->cluster = start_cluster(m, u->chain);
    return !h->by_routes || xds_is_http(h->protocol) ||
           error_set(m->error, ERROR_INTERNAL, "RDS is not compatible with the tcp proxy filter");
}

bool xds_upstream_listener(struct xds_maker *m, const struct proxy_upstream *u, struct str address,
                           struct value tls) {
    struct settings s = xds_settings(m, u->upstream->config);
    struct str own = setting_str(&s, "envoy_listener_json", STR(""));
    struct value listener;
    struct xds_http h;
    if (own.len > 0 && (xds_is_query(u->upstream) || chain_is_default(u->chain))) {
        if (!xds_hatch(m, own, &envoy_listener, &listener))
            return false;
        xds_add(m, listener);
        return true;
    }
    if (own.len > 0)
        xds_warn(m,
                 "ignoring escape hatch setting because a discovery chain is configured for: "
                 "chain=" STR_FMT " upstream=" STR_FMT " config=envoy_listener_json",
                 STR_ARG(u->chain->service_name), STR_ARG(u->id));
    if (!describe(m, u, &s, &h))
        return false;
    struct value chain =
        TREE(m->arena, {"filters", TREES(m->arena, xds_main_filter(m, &h))}, {"tls_context", tls});
    xds_add(m, xds_listener(m, u->id, address, u->upstream->local_bind_port, TREES(m->arena, chain),
                            TREE_NONE));
    xds_settings_done(m, &s, "Upstream[].Config");
    return true;
}

/* ---- paths ---- */

static struct value cidr(struct arena *arena, const char *prefix, int64_t len) {
    return TREE(arena, {"address_prefix", tree_word(prefix)}, {"prefix_len", tree_number(len)});
}

/* Only this machine: the agent checks over it. */
static struct value from_here(struct xds_maker *m) {
    struct arena *a = m->arena;
    struct str own = m->snapshot->advertise_address;
    bool v6 = str_find_char(own, ':') >= 0;
    struct value agent = own.len == 0 ? TREE_NONE : cidr(a, str_terminated(a, own), v6 ? 128 : 32);
    return TREE(
        a, {"source_prefix_ranges", TREES(a, cidr(a, "127.0.0.1", 8), cidr(a, "::1", 128), agent)});
}

static struct str letters_of(struct arena *arena, struct str path) {
    char *out = arena_alloc(arena, path.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            out[len++] = c;
    }
    return str_of(out, len);
}

struct exposed {
    struct str path, protocol;
    int64_t local_port, port;
    bool from_check;
};

static void exposed_listener(struct xds_maker *m, const struct exposed *x) {
    struct arena *a = m->arena;
    struct str letters = letters_of(a, x->path);
    bool own = x->local_port == m->snapshot->service->proxy.local_service_port;
    struct xds_http h = {.name = str_format(a, "exposed_path_filter_" STR_FMT "_%lld",
                                            STR_ARG(letters), (long long)x->port),
                         .prefix = "",
                         .protocol = x->protocol.len > 0 ? str_lower(a, x->protocol) : STR("http"),
                         .path = x->path,
                         .cluster =
                             own ? STR("local_app")
                                 : str_format(a, "exposed_cluster_%lld", (long long)x->local_port)};
    struct value chain = TREE(a, {"filter_chain_match", x->from_check ? from_here(m) : TREE_NONE},
                              {"filters", TREES(a, xds_main_filter(m, &h))});
    xds_add(m, xds_listener(m, str_format(a, "exposed_path_" STR_FMT, STR_ARG(letters)),
                            public_address(m), x->port, TREES(a, chain), TREE_NONE));
}

static void exposed_listeners(struct xds_maker *m) {
    const struct list *paths = &m->snapshot->service->proxy.expose.paths;
    for (uint32_t i = 0; i < paths->len; i++) {
        const struct expose_path *p = &LIST_AT(*paths, struct expose_path, i);
        struct exposed x = {p->path, p->protocol, p->local_path_port, p->listener_port,
                            p->parsed_from_check};
        exposed_listener(m, &x);
    }
    for (uint32_t i = 0; i < m->snapshot->exposed.len; i++) {
        const struct proxy_check_path *p =
            &LIST_AT(m->snapshot->exposed, struct proxy_check_path, i);
        struct exposed x = {p->path, p->protocol, p->local_port, p->listener_port, true};
        exposed_listener(m, &x);
    }
}

bool xds_sidecar_listeners(struct xds_maker *m) {
    if (!public_listener(m))
        return false;
    for (uint32_t i = 0; i < m->snapshot->upstreams.len; i++) {
        const struct proxy_upstream *u = &LIST_AT(m->snapshot->upstreams, struct proxy_upstream, i);
        struct str address = u->upstream->local_bind_address;
        if (!xds_upstream_listener(m, u, address.len > 0 ? address : STR("127.0.0.1"), TREE_NONE))
            return false;
    }
    exposed_listeners(m);
    return true;
}

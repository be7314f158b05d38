/* Routes (connect.md 6.4): of each upstream whose chain is more than its own service. */
#include "xds/room.h"

/* ---- matches ---- */

static struct value regex_matcher(struct arena *a, struct str regex) {
    return TREE(a, {"google_re2", tree_empty()}, {"regex", tree_text(regex)});
}

/* A regular expression has another field where Envoy is old. */
static struct value header_regex(struct xds_maker *m, struct str name, struct str regex,
                                 bool invert) {
    return TREE(m->arena, {"name", tree_text(name)},
                {"safe_regex_match", m->safe_regex ? regex_matcher(m->arena, regex) : TREE_NONE},
                {"regex_match", m->safe_regex ? TREE_NONE : tree_text(regex)},
                {"invert_match", tree_when(invert, tree_bool(true))});
}

static struct value header(struct xds_maker *m, const struct http_match_header *h) {
    const char *how = h->exact.len > 0    ? "exact_match"
                      : h->regex.len > 0  ? NULL
                      : h->prefix.len > 0 ? "prefix_match"
                      : h->suffix.len > 0 ? "suffix_match"
                                          : "present_match";
    struct str text = h->exact.len > 0 ? h->exact : h->prefix.len > 0 ? h->prefix : h->suffix;
    if (how == NULL)
        return header_regex(m, h->name, h->regex, h->invert);
    if (text.len == 0 && !h->present)
        return TREE_NONE;
    return TREE(m->arena, {"name", tree_text(h->name)},
                {how, text.len > 0 ? tree_text(text) : tree_bool(true)},
                {"invert_match", tree_when(h->invert, tree_bool(true))});
}

static struct value headers(struct xds_maker *m, const struct http_match *http) {
    struct trees all = {0};
    struct buf methods = BUF_INIT;
    for (uint32_t i = 0; i < http->header.len; i++) {
        struct value h = header(m, &LIST_AT(http->header, struct http_match_header, i));
        if (h.kind != VALUE_NULL)
            trees_add(&all, h, m->arena);
    }
    for (uint32_t i = 0; i < http->methods.len; i++) {
        if (i > 0)
            buf_add_char(&methods, '|');
        buf_add_str(&methods, LIST_AT(http->methods, struct str, i));
    }
    if (http->methods.len > 0)
        trees_add(&all,
                  header_regex(m, STR(":method"), str_copy(m->arena, buf_str(&methods)), false),
                  m->arena);
    buf_free(&methods);
    return tree_when(all.len > 0, trees_list(&all));
}

static struct value old_parameter(struct arena *a, const struct http_match_query_param *q) {
    bool regex = q->exact.len == 0 && q->regex.len > 0;
    return TREE(a, {"name", tree_text(q->name)},
                {"value", tree_text_or_none(regex ? q->regex : q->exact)},
                {"regex", tree_when(regex, tree_bool(true))});
}

static struct value parameter(struct xds_maker *m, const struct http_match_query_param *q) {
    struct arena *a = m->arena;
    if (!m->safe_regex)
        return old_parameter(a, q);
    struct value match = TREE_NONE;
    if (q->exact.len > 0)
        match = TREE(a, {"exact", tree_text(q->exact)});
    else if (q->regex.len > 0)
        match = TREE(a, {"safe_regex", regex_matcher(a, q->regex)});
    bool present = match.kind == VALUE_NULL && q->present;
    if (match.kind == VALUE_NULL && !present)
        return TREE_NONE;
    return TREE(a, {"name", tree_text(q->name)}, {"string_match", match},
                {"present_match", tree_when(present, tree_bool(true))});
}

static struct value parameters(struct xds_maker *m, const struct http_match *http) {
    struct trees all = {0};
    for (uint32_t i = 0; i < http->query_param.len; i++) {
        struct value q =
            parameter(m, &LIST_AT(http->query_param, struct http_match_query_param, i));
        if (q.kind != VALUE_NULL)
            trees_add(&all, q, m->arena);
    }
    return tree_when(all.len > 0, trees_list(&all));
}

static struct value anything(struct arena *a) {
    return TREE(a, {"prefix", tree_word("/")});
}

static struct value match_of(struct xds_maker *m, const struct service_route *route) {
    struct arena *a = m->arena;
    const struct http_match *http =
        route == NULL || route->match == NULL ? NULL : route->match->http;
    if (http == NULL)
        return anything(a);
    bool exact = http->path_exact.len > 0, prefix = !exact && http->path_prefix.len > 0;
    bool regex = !exact && !prefix && http->path_regex.len > 0;
    struct str otherwise = prefix ? http->path_prefix : STR("/");
    return TREE(
        a, {"path", tree_when(exact, tree_text(http->path_exact))},
        {"prefix", tree_when(!exact && !regex, tree_text(otherwise))},
        {"safe_regex", tree_when(regex && m->safe_regex, regex_matcher(a, http->path_regex))},
        {"regex", tree_when(regex && !m->safe_regex, tree_text(http->path_regex))},
        {"headers", headers(m, http)}, {"query_parameters", parameters(m, http)});
}

/* ---- where to ---- */

static const struct chain_target *target_of(const struct compiled_chain *chain, struct str name) {
    const struct chain_node *node = chain_node_get(chain, name);
    return node == NULL || node->resolver == NULL ? NULL
                                                  : chain_target_get(chain, node->resolver->target);
}

static bool broken(struct xds_maker *m, const char *what, struct str name) {
    return error_set(m->error, ERROR_INTERNAL, "discovery chain: %s: " STR_FMT, what,
                     STR_ARG(name));
}

/* Of 10000; the fraction of a float is cut off as the peer does. */
static int64_t weight_of(const struct chain_split *split) {
    return (int64_t)(split->weight * 100);
}

static bool splits(struct xds_maker *m, const struct compiled_chain *chain,
                   const struct chain_node *node, struct value *out) {
    struct trees clusters = {0};
    for (uint32_t i = 0; i < node->splits.len; i++) {
        const struct chain_split *split = LIST_AT(node->splits, struct chain_split *, i);
        const struct chain_target *target = target_of(chain, split->next_node);
        if (target == NULL)
            return broken(m, "splitter leads to no resolver", split->next_node);
        trees_add(&clusters,
                  TREE(m->arena, {"name", tree_text(xds_target_cluster(m, chain, target))},
                       {"weight", tree_number(weight_of(split))}),
                  m->arena);
    }
    *out = TREE(m->arena, {"weighted_clusters", TREE(m->arena, {"clusters", trees_list(&clusters)},
                                                     {"total_weight", tree_number(10000)})});
    return true;
}

/* The action of a resolver or a splitter. */
static bool action(struct xds_maker *m, const struct compiled_chain *chain, struct str name,
                   struct value *out) {
    const struct chain_node *node = chain_node_get(chain, name);
    if (node != NULL && str_is(node->type, CHAIN_SPLITTER))
        return splits(m, chain, node, out);
    const struct chain_target *target = target_of(chain, name);
    if (target == NULL)
        return broken(m, "unknown node", name);
    *out = TREE(m->arena, {"cluster", tree_text(xds_target_cluster(m, chain, target))});
    return true;
}

static struct value retry_policy(struct arena *a, const struct service_route_destination *d) {
    struct trees codes = {0};
    for (uint32_t i = 0; i < d->retry_on_status_codes.len; i++)
        trees_add(&codes, tree_number((int64_t)LIST_AT(d->retry_on_status_codes, uint64_t, i)), a);
    const char *on = d->retry_on_connect_failure && codes.len > 0
                         ? "connect-failure,retriable-status-codes"
                     : d->retry_on_connect_failure ? "connect-failure"
                     : codes.len > 0               ? "retriable-status-codes"
                                                   : "";
    if (d->num_retries == 0 && *on == '\0')
        return TREE_NONE;
    return TREE(
        a, {"retry_on", tree_text_or_none(str_from(on))},
        {"num_retries", tree_when(d->num_retries > 0, tree_number((int64_t)d->num_retries))},
        {"retriable_status_codes", tree_when(codes.len > 0, trees_list(&codes))});
}

static void set_destination(struct xds_maker *m, const struct service_route_destination *d,
                            struct value *route) {
    struct value retry = retry_policy(m->arena, d);
    if (d->prefix_rewrite.len > 0)
        value_put(route, STR("prefix_rewrite"), tree_text(d->prefix_rewrite), m->arena);
    if (d->request_timeout > 0)
        value_put(route, STR("timeout"), tree_duration(m->arena, d->request_timeout), m->arena);
    if (retry.kind != VALUE_NULL)
        value_put(route, STR("retry_policy"), retry, m->arena);
}

/* ---- whole ---- */

static bool router_routes(struct xds_maker *m, const struct compiled_chain *chain,
                          const struct chain_node *router, struct trees *all) {
    for (uint32_t i = 0; i < router->routes.len; i++) {
        const struct chain_route *route = LIST_AT(router->routes, struct chain_route *, i);
        struct value to;
        if (!action(m, chain, route->next_node, &to))
            return false;
        if (route->definition != NULL && route->definition->destination != NULL)
            set_destination(m, route->definition->destination, &to);
        trees_add(all, TREE(m->arena, {"match", match_of(m, route->definition)}, {"route", to}),
                  m->arena);
    }
    return true;
}

bool xds_chain_routes(struct xds_maker *m, const struct compiled_chain *chain, struct value *out) {
    const struct chain_node *start = xds_start_node(chain);
    struct trees all = {0};
    struct value to;
    if (start == NULL)
        return broken(m, "missing first node", chain->start_node);
    if (str_is(start->type, CHAIN_ROUTER)) {
        if (!router_routes(m, chain, start, &all))
            return false;
    } else {
        if (!action(m, chain, chain->start_node, &to))
            return false;
        trees_add(&all, TREE(m->arena, {"match", anything(m->arena)}, {"route", to}), m->arena);
    }
    *out = trees_list(&all);
    return true;
}

struct value xds_route_configuration(struct arena *arena, struct str name,
                                     struct value virtual_hosts) {
    return TREE(arena, {"name", tree_text(name)}, {"virtual_hosts", virtual_hosts},
                {"validate_clusters", tree_bool(true)});
}

bool xds_sidecar_routes(struct xds_maker *m) {
    for (uint32_t i = 0; i < m->snapshot->upstreams.len; i++) {
        const struct proxy_upstream *u = &LIST_AT(m->snapshot->upstreams, struct proxy_upstream, i);
        struct value routes;
        if (xds_is_query(u->upstream) || chain_is_default(u->chain))
            continue;
        if (!xds_chain_routes(m, u->chain, &routes))
            return false;
        struct value host = TREE(m->arena, {"name", tree_text(u->id)},
                                 {"domains", TREES(m->arena, tree_word("*"))}, {"routes", routes});
        xds_add_once(m, "name", xds_route_configuration(m->arena, u->id, TREES(m->arena, host)));
    }
    return true;
}

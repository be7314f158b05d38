/* Compiling the discovery chain of a service (connect.md 5.2): its graph of a router, splitters and
 * resolvers, and on the way the checks that also decide whether a configuration entry is accepted
 * (fsm.md 5.7): the protocol that all services reached must share, circles, subsets that do not
 * exist.
 *
 * Splitters that lead to splitters are gone into with a list as the stack: the depth of the graph
 * is the users' choice.
 */
#include "store/chain_room.h"

#define CONNECT_TIMEOUT (5 * SECOND)
#define NAMESPACE "default"
/* The peer compiles for acceptance in this datacenter, whatever its own. */
#define CHECK_DATACENTER "dc1"

static bool record_protocol(struct compile *c, struct str service) {
    struct str protocol = chain_protocol_of(c, service);
    if (!c->any_protocol) {
        c->any_protocol = true;
        c->protocol = protocol;
        return true;
    }
    if (str_eq(c->protocol, protocol))
        return true;
    struct str chain = str_quote(c->arena, c->question->service);
    struct str name = str_quote(c->arena, service);
    struct str has = str_quote(c->arena, protocol), is_not = str_quote(c->arena, c->protocol);
    return error_set(c->error, ERROR_INTERNAL,
                     "discovery chain %.*s uses inconsistent protocols; service %.*s has %.*s "
                     "which is not %.*s",
                     STR_ARG(chain), STR_ARG(name), STR_ARG(has), STR_ARG(is_not));
}

/* The node of this type and name, made if there is none. */
static struct chain_node *node_get(struct compile *c, const char *type, struct str name,
                                   bool *made) {
    struct str key = str_format(c->arena, "%s:%.*s", type, STR_ARG(name));
    struct chain_node *node = map_get(&c->nodes, key);
    *made = node == NULL;
    if (node == NULL) {
        node = ARENA_NEW(c->arena, struct chain_node);
        node->type = str_from(type);
        node->name = name;
        map_put(&c->nodes, key, node);
    }
    return node;
}

static struct str node_key(struct compile *c, const struct chain_node *node) {
    return str_format(c->arena, "%.*s:%.*s", STR_ARG(node->type), STR_ARG(node->name));
}

/* ---- targets ---- */

struct target {
    struct str service, subset, namespace, datacenter;
};

static struct str target_id(struct compile *c, const struct target *t) {
    return str_format(c->arena, "%.*s%s%.*s.%.*s.%.*s", STR_ARG(t->subset),
                      t->subset.len > 0 ? "." : "", STR_ARG(t->service), STR_ARG(t->namespace),
                      STR_ARG(t->datacenter));
}

static struct target target_rewrite(struct target t, struct str service, struct str subset,
                                    struct str namespace, struct str datacenter) {
    if (service.len > 0 && !str_eq(service, t.service)) {
        t.service = service;
        t.subset = STR_NONE;
    }
    if (subset.len > 0)
        t.subset = subset;
    if (namespace.len > 0)
        t.namespace = namespace;
    if (datacenter.len > 0)
        t.datacenter = datacenter;
    return t;
}

static struct target target_of(const struct compile *c, struct str service, struct str subset,
                               struct str namespace) {
    struct target t = {.namespace = c->question->namespace, .datacenter = c->question->datacenter};
    return target_rewrite(t, service, subset, namespace, STR_NONE);
}

static size_t pair_size(const struct shape *shape) {
    return schema_pair_size(&(const struct type){KIND_STRUCT, shape, NULL});
}

static bool fail_redirect_circle(struct compile *c, const struct list *walk, struct str id) {
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i < walk->len; i++) {
        buf_add_str(&text, LIST_AT(*walk, struct str, i));
        buf_add_text(&text, " -> ");
    }
    buf_add_str(&text, id);
    error_set(c->error, ERROR_INTERNAL, "detected circular resolver redirect: [%.*s]",
              STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}

/* One step of following a target: true when *t is not the last one yet. */
static bool target_step(struct compile *c, const struct service_resolver *resolver,
                        struct target *t) {
    const struct service_resolver_redirect *redirect = resolver->redirect;
    if (redirect != NULL) {
        struct target next = target_rewrite(*t, redirect->service, redirect->service_subset,
                                            redirect->namespace, redirect->datacenter);
        if (!str_eq(target_id(c, &next), target_id(c, t))) {
            *t = next;
            return true;
        }
    }
    if (t->subset.len == 0 && resolver->default_subset.len > 0) {
        t->subset = resolver->default_subset;
        return true;
    }
    return false;
}

static struct str external_sni(const struct compile *c, struct str service) {
    const struct service_defaults *defaults = chain_entry(&c->defaults_entries, service);
    return defaults != NULL ? defaults->external_sni : STR("");
}

static bool check_external(struct compile *c, const struct service_resolver *resolver,
                           struct str service) {
    if (external_sni(c, service).len == 0)
        return true;
    const char *what = resolver->redirect != NULL   ? "redirects"
                       : resolver->subsets.len > 0  ? "subsets"
                       : resolver->failover.len > 0 ? "failover"
                                                    : NULL;
    if (what == NULL)
        return true;
    struct str name = str_quote(c->arena, service);
    return error_set(c->error, ERROR_INTERNAL,
                     "service %.*s has an external SNI set; cannot define %s for external services",
                     STR_ARG(name), what);
}

static const struct service_resolver_subset *subset_of(const struct service_resolver *resolver,
                                                       struct str name) {
    return map_pair_value(&resolver->subsets, pair_size(&service_resolver_subset_shape), name);
}

/* Follows a target to its end; *resolver is then that of its service, empty when it has none. */
static bool target_follow(struct compile *c, struct target *t,
                          const struct service_resolver **resolver) {
    static const struct service_resolver none;
    struct list walk = LIST_EMPTY;
    uint32_t cap = 0;
    bool more = true;
    while (more) {
        struct str id = target_id(c, t);
        if (!record_protocol(c, t->service))
            return false;
        if (str_list_has(&walk, id))
            return fail_redirect_circle(c, &walk, id);
        *(struct str *)list_push(&walk, &cap, sizeof id, c->arena) = id;
        *resolver = chain_entry(&c->resolver_entries, t->service);
        if (*resolver == NULL)
            *resolver = &none;
        more = target_step(c, *resolver, t);
    }
    if (t->subset.len > 0 && subset_of(*resolver, t->subset) == NULL) {
        struct str service = str_quote(c->arena, t->service);
        struct str subset = str_quote(c->arena, t->subset);
        return error_set(c->error, ERROR_INTERNAL, "service %.*s does not have a subset named %.*s",
                         STR_ARG(service), STR_ARG(subset));
    }
    return check_external(c, *resolver, t->service);
}

static struct str gateway_mode(struct compile *c, const struct target *t) {
    struct str asked = c->question->override_mesh_gateway;
    if (str_eq(t->datacenter, c->question->use_datacenter) || external_sni(c, t->service).len > 0)
        return STR("");
    struct str mode = chain_gateway_of(c, t->service);
    if (asked.len == 0 || str_eq(asked, mode))
        return mode;
    c->by_gateway = true;
    return asked;
}

/* The target where a walk has ended, noted once. */
static struct chain_target *target_note(struct compile *c, const struct target *t,
                                        const struct service_resolver *resolver) {
    struct str id = target_id(c, t);
    struct chain_target *known = map_get(&c->targets, id);
    if (known != NULL)
        return known;
    struct chain_target *target = ARENA_NEW(c->arena, struct chain_target);
    struct str sni = external_sni(c, t->service);
    *target = (struct chain_target){.id = id,
                                    .service = t->service,
                                    .service_subset = t->subset,
                                    .namespace = t->namespace,
                                    .datacenter = t->datacenter,
                                    .mesh_gateway.mode = gateway_mode(c, t),
                                    .external = sni.len > 0};
    target->name =
        str_format(c->arena, "%.*s.internal.%.*s", STR_ARG(id), STR_ARG(c->question->trust_domain));
    target->sni = sni.len > 0 ? sni : target->name;
    if (t->subset.len > 0)
        target->subset = *subset_of(resolver, t->subset);
    map_put(&c->targets, id, target);
    return target;
}

/* ---- resolvers ---- */

static int64_t connect_timeout(struct compile *c, const struct service_resolver *resolver) {
    int64_t asked = c->question->override_connect_timeout;
    int64_t own = resolver->connect_timeout > 0 ? resolver->connect_timeout : CONNECT_TIMEOUT;
    if (asked <= 0 || asked == own)
        return own;
    c->by_timeout = true;
    return asked;
}

/* NULL in *failover: there is none, or only to the target itself. */
static bool resolve_failover(struct compile *c, const struct target *t,
                             const struct service_resolver *resolver,
                             struct chain_failover **failover) {
    size_t size = pair_size(&service_resolver_failover_shape);
    const struct service_resolver_failover *f =
        map_pair_value(&resolver->failover, size, t->subset);
    if (f == NULL)
        f = map_pair_value(&resolver->failover, size, STR("*"));
    if (f == NULL)
        return true;
    struct list targets = LIST_EMPTY;
    uint32_t cap = 0, count = f->datacenters.len > 0 ? f->datacenters.len : 1;
    for (uint32_t i = 0; i < count; i++) {
        struct str datacenter = STR_NONE;
        if (f->datacenters.len > 0)
            datacenter = LIST_AT(f->datacenters, struct str, i);
        struct target other =
            target_rewrite(*t, f->service, f->service_subset, f->namespace, datacenter);
        const struct service_resolver *last;
        if (str_eq(target_id(c, &other), target_id(c, t)))
            continue;
        if (!target_follow(c, &other, &last))
            return false;
        connect_timeout(c, last);
        *(struct str *)list_push(&targets, &cap, sizeof(struct str), c->arena) =
            target_note(c, &other, last)->id;
    }
    if (targets.len > 0) {
        *failover = ARENA_NEW(c->arena, struct chain_failover);
        (*failover)->targets = targets;
    }
    return true;
}

static bool resolve(struct compile *c, struct target t, struct chain_node **out) {
    const struct service_resolver *resolver;
    bool made;
    struct str asked = target_id(c, &t);
    *out = map_get(&c->resolved, asked);
    if (*out != NULL)
        return true;
    if (!target_follow(c, &t, &resolver))
        return false;
    struct chain_node *node = *out = node_get(c, CHAIN_RESOLVER, target_id(c, &t), &made);
    map_put(&c->resolved, asked, node);
    if (!made)
        return true;
    node->resolver = ARENA_NEW(c->arena, struct chain_resolver);
    *node->resolver = (struct chain_resolver){
        .connect_timeout = connect_timeout(c, resolver),
        .is_default = resolver->default_subset.len == 0 && resolver->subsets.len == 0 &&
                      resolver->redirect == NULL && resolver->failover.len == 0 &&
                      resolver->connect_timeout == 0,
        .target = target_note(c, &t, resolver)->id};
    return resolve_failover(c, &t, resolver, &node->resolver->failover);
}

/* ---- splitters ---- */

/* The service's splitter, to be expanded when it is new; NULL when it has none. */
static struct chain_node *splitter_find(struct compile *c, struct str service) {
    bool made;
    const struct service_splitter *entry = chain_entry(&c->splitter_entries, service);
    if (entry != NULL && c->plain)
        c->by_protocol = true;
    if (entry == NULL || c->plain)
        return NULL;
    struct str name = str_format(c->arena, "%.*s." NAMESPACE, STR_ARG(service));
    struct chain_node *node = node_get(c, CHAIN_SPLITTER, name, &made);
    if (made) {
        struct splitter *s = list_push(&c->splitters, &c->splitter_cap, sizeof *s, c->arena);
        *s =
            (struct splitter){.node = node, .service = service, .entry = entry, .legs = LIST_EMPTY};
        node->splits = LIST_NEW(c->arena, struct chain_split *, entry->splits.len);
        map_put(&c->known_splitters, name, (void *)(uintptr_t)c->splitters.len);
        c->advanced = true;
    }
    return node;
}

/* One leg, whose namespace plays no part; the list of splitters may move. */
static bool expand_leg(struct compile *c, uint32_t number, const struct service_split *split,
                       struct chain_split **out) {
    struct str own = LIST_AT(c->splitters, struct splitter, number).service;
    struct str service = split->service.len > 0 ? split->service : own;
    struct chain_node *next = NULL;
    if (!str_eq(service, own) && split->service_subset.len == 0)
        next = splitter_find(c, service);
    if (next != NULL) {
        struct splitter *s = &LIST_AT(c->splitters, struct splitter, number);
        uint32_t leg = (uint32_t)(uintptr_t)map_get(&c->known_splitters, next->name) - 1;
        *(uint32_t *)list_push(&s->legs, &s->leg_cap, sizeof leg, c->arena) = leg;
    } else if (!resolve(c, target_of(c, service, split->service_subset, STR(NAMESPACE)), &next)) {
        return false;
    }
    *out = ARENA_NEW(c->arena, struct chain_split);
    **out = (struct chain_split){.weight = split->weight, .next_node = node_key(c, next)};
    return true;
}

/* In depth, as the peer meets what is wrong. */
static bool expand_from(struct compile *c, uint32_t first) {
    struct list path = LIST_EMPTY;
    uint32_t cap = 0;
    *(uint32_t *)list_push(&path, &cap, sizeof first, c->arena) = first;
    while (path.len > 0) {
        uint32_t number = LIST_AT(path, uint32_t, path.len - 1), count = c->splitters.len;
        struct splitter *s = &LIST_AT(c->splitters, struct splitter, number);
        if (s->next_split == s->entry->splits.len) {
            path.len--;
            continue;
        }
        uint32_t i = s->next_split++;
        if (!expand_leg(c, number, &LIST_AT(s->entry->splits, struct service_split, i),
                        &LIST_AT(s->node->splits, struct chain_split *, i)))
            return false;
        if (c->splitters.len > count)
            *(uint32_t *)list_push(&path, &cap, sizeof count, c->arena) = count;
    }
    return true;
}

static bool split_or_resolve(struct compile *c, struct str service, struct str namespace,
                             struct chain_node **out) {
    uint32_t count = c->splitters.len;
    *out = splitter_find(c, service);
    if (*out == NULL)
        return resolve(c, target_of(c, service, STR_NONE, namespace), out);
    return c->splitters.len == count || expand_from(c, count);
}

static bool fail_circle(struct compile *c, const struct list *path, uint32_t back_to) {
    struct buf text = BUF_INIT;
    if (c->router != NULL) { /* which leads to where the walk began */
        buf_add_str(&text, c->start);
        buf_add_text(&text, " -> ");
    }
    for (uint32_t i = 0; i <= path->len; i++) {
        uint32_t number = i < path->len ? LIST_AT(*path, uint32_t, i) : back_to;
        buf_add_text(&text, i > 0 ? " -> splitter:" : "splitter:");
        buf_add_str(&text, LIST_AT(c->splitters, struct splitter, number).node->name);
    }
    error_set(c->error, ERROR_INTERNAL, "detected circular reference: [%.*s]",
              STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}

/* Walks from one splitter in depth; path is the way to where it is. */
static bool walk_splitters(struct compile *c, uint32_t start) {
    struct list path = LIST_EMPTY;
    uint32_t cap = 0;
    *(uint32_t *)list_push(&path, &cap, sizeof start, c->arena) = start;
    while (path.len > 0) {
        uint32_t number = LIST_AT(path, uint32_t, path.len - 1);
        struct splitter *node = &LIST_AT(c->splitters, struct splitter, number);
        node->walking = true;
        if (node->next_leg == node->legs.len) {
            node->walking = false;
            node->walked = true;
            path.len--;
            continue;
        }
        uint32_t leg = LIST_AT(node->legs, uint32_t, node->next_leg++);
        const struct splitter *next = &LIST_AT(c->splitters, struct splitter, leg);
        if (next->walking)
            return fail_circle(c, &path, leg);
        if (!next->walked)
            *(uint32_t *)list_push(&path, &cap, sizeof leg, c->arena) = leg;
    }
    return true;
}

static bool check_circles(struct compile *c) {
    for (uint32_t i = 0; i < c->splitters.len; i++) {
        if (!LIST_AT(c->splitters, struct splitter, i).walked && !walk_splitters(c, i))
            return false;
    }
    return true;
}

/* ---- the router ---- */

static struct chain_route *route_new(struct compile *c, const struct service_route *definition) {
    struct chain_route *route = ARENA_NEW(c->arena, struct chain_route);
    route->definition = (struct service_route *)definition;
    return route;
}

/* For all that no other route takes. */
static struct service_route *last_route(struct compile *c, struct str service) {
    struct service_route *route = ARENA_NEW(c->arena, struct service_route);
    route->match = ARENA_NEW(c->arena, struct service_route_match);
    route->match->http = ARENA_NEW(c->arena, struct http_match);
    route->match->http->path_prefix = STR("/");
    route->destination = ARENA_NEW(c->arena, struct service_route_destination);
    route->destination->service = service;
    route->destination->namespace = STR(NAMESPACE);
    return route;
}

static bool compile_route(struct compile *c, struct chain_route *route) {
    static const struct service_route_destination own;
    struct chain_node *next;
    const struct service_route_destination *to =
        route->definition->destination != NULL ? route->definition->destination : &own;
    struct str service = to->service.len > 0 ? to->service : c->question->service;
    struct str namespace = to->namespace.len > 0 ? to->namespace : c->question->namespace;
    bool ok = to->service_subset.len > 0
                  ? resolve(c, target_of(c, service, to->service_subset, namespace), &next)
                  : split_or_resolve(c, service, namespace, &next);
    if (ok)
        route->next_node = node_key(c, next);
    return ok;
}

/* Where a route leaves out the service it is the chain's; the last route, for all else, is to the
 * router's own name, which may be spelled otherwise. */
static bool compile_router(struct compile *c, const struct service_router *router,
                           struct chain_node **out) {
    bool made;
    uint32_t count = router->routes.len;
    struct str name = str_format(c->arena, "%.*s.%.*s", STR_ARG(router->head.name),
                                 STR_ARG(c->question->namespace));
    c->advanced = true;
    if (!record_protocol(c, router->head.name))
        return false;
    struct chain_node *node = *out = node_get(c, CHAIN_ROUTER, name, &made);
    node->routes = LIST_NEW(c->arena, struct chain_route *, count + 1);
    for (uint32_t i = 0; i <= count; i++) {
        const struct service_route *definition =
            i < count ? &LIST_AT(router->routes, struct service_route, i)
                      : last_route(c, router->head.name);
        struct chain_route *route = route_new(c, definition);
        LIST_AT(node->routes, struct chain_route *, i) = route;
        if (!compile_route(c, route))
            return false;
    }
    return true;
}

/* ---- the whole ---- */

static bool is_http_like(struct str protocol) {
    return str_is(protocol, "http") || str_is(protocol, "http2") || str_is(protocol, "grpc");
}

static bool check_advanced(struct compile *c) {
    if (!c->advanced || is_http_like(c->protocol))
        return true;
    struct str chain = str_quote(c->arena, c->question->service);
    struct str protocol = str_quote(c->arena, c->protocol);
    return error_set(c->error, ERROR_INTERNAL,
                     "discovery chain %.*s uses a protocol %.*s that does not permit advanced "
                     "routing or splitting behavior",
                     STR_ARG(chain), STR_ARG(protocol));
}

static bool compile_graph(struct compile *c) {
    const struct chain_question *q = c->question;
    struct chain_node *start;
    c->plain = q->override_protocol.len > 0 && !is_http_like(q->override_protocol);
    chain_collect(c);
    bool ok = c->router != NULL ? compile_router(c, c->router, &start)
                                : split_or_resolve(c, q->service, q->namespace, &start);
    if (!ok)
        return false;
    c->start = node_key(c, start);
    return check_circles(c) && check_advanced(c);
}

static void compile_begin(struct compile *c, struct store_read *r,
                          const struct chain_question *question, struct error *e) {
    *c = (struct compile){.read = r,
                          .question = question,
                          .arena = r->arena,
                          .splitter_entries = {.kind = CONFIG_SERVICE_SPLITTER},
                          .resolver_entries = {.kind = CONFIG_SERVICE_RESOLVER},
                          .defaults_entries = {.kind = CONFIG_SERVICE_DEFAULTS},
                          .splitters = LIST_EMPTY,
                          .error = e};
}

static void compile_end(struct compile *c) {
    map_free(&c->splitter_entries.known);
    map_free(&c->resolver_entries.known);
    map_free(&c->defaults_entries.known);
    map_free(&c->known_splitters);
    map_free(&c->resolved);
    map_free(&c->nodes);
    map_free(&c->targets);
}

bool chain_check(struct store_read *r, const struct config_change *change, struct str service,
                 struct chain_facts *facts, struct error *e) {
    struct chain_question question = {.service = service,
                                      .datacenter = STR(CHECK_DATACENTER),
                                      .namespace = STR(NAMESPACE),
                                      .use_datacenter = STR(CHECK_DATACENTER)};
    struct compile c;
    if (service.len == 0)
        return error_set(e, ERROR_INTERNAL, "serviceName is required");
    compile_begin(&c, r, &question, e);
    c.change = change;
    bool ok = compile_graph(&c);
    if (ok) {
        facts->protocol = c.protocol;
        facts->starts_with_resolver = str_has_prefix(c.start, STR(CHAIN_RESOLVER ":"));
    }
    compile_end(&c);
    return ok;
}

static void make_chain(struct compile *c, struct compiled_chain *chain) {
    const struct chain_question *q = c->question;
    *chain = (struct compiled_chain){.service_name = q->service,
                                     .namespace = q->namespace,
                                     .datacenter = q->datacenter,
                                     .protocol = c->protocol,
                                     .start_node = c->start};
    if (q->override_protocol.len > 0 && !str_eq(q->override_protocol, c->protocol)) {
        c->by_protocol = true;
        chain->protocol = q->override_protocol;
    }
    chain->customization_hash = chain_customization(c);
    chain->nodes = chain_nodes(c);
    chain->targets = chain_targets(c);
}

bool discovery_chain_get(struct store_read *r, const struct chain_question *question,
                         struct compiled_chain **chain, uint64_t *index, struct error *e) {
    struct compile c;
    watch_name(r, WATCH_TABLE, STR(ENTRIES_INDEX));
    *index = INDEX_MAX(r, ENTRIES_INDEX);
    compile_begin(&c, r, question, e);
    bool ok = compile_graph(&c) && chain_flatten(&c);
    if (ok) {
        *chain = ARENA_NEW(r->arena, struct compiled_chain);
        make_chain(&c, *chain);
    }
    compile_end(&c);
    return ok;
}

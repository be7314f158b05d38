/* Compiling the discovery chain of a service (connect.md 5.2) as far as config entries are checked
 * by it (fsm.md 5.7): the protocol that all services reached must share, circles, subsets that do
 * not exist. Not the graph that proxies are given.
 *
 * Splitters that lead to splitters wait in a list instead of being gone into, so that the depth of
 * the graph costs no stack.
 */
#include "base/map.h"
#include "codec/json.h"
#include "store/config_entry_tables.h"

/* The peer compiles for acceptance in this datacenter, whatever its own. */
#define EVAL_DATACENTER "dc1"
#define EVAL_NAMESPACE "default"

struct target {
    struct str service, subset, namespace, datacenter;
};

struct splitter_node {
    struct str service, namespace;
    const struct service_splitter *entry;
    struct list legs; /* of uint32_t: splitters that it leads to */
    uint32_t leg_cap;
    uint32_t next_leg; /* when walked for circles */
    bool walking, walked;
};

/* Entries of one kind, by the names that were asked for. */
struct kind_of_entry {
    const char *kind;
    struct map known;  /* name: entry, or &absent */
    struct list names; /* of str, in the order in which they were asked for */
    uint32_t cap;
};

struct compile {
    struct store_read *read;
    const struct config_change *change;
    struct arena *arena;
    struct str service;                          /* whose chain it is */
    const struct service_router *router;         /* or NULL */
    const struct proxy_defaults *proxy_defaults; /* or NULL */
    struct kind_of_entry splitter_entries, resolver_entries, defaults_entries;
    struct str protocol;
    bool any_protocol, advanced;
    struct list splitters; /* of struct splitter_node */
    uint32_t splitter_cap;
    struct map known_splitters; /* id: its number + 1 */
    struct map known_targets;   /* id: anything */
    struct error *error;
};

/* ---- entries, as they will be after the change ----
 *
 * First the entries that the chain may need are collected, by the names that lead to them: the
 * changed one is found by its exact name, stored ones in any letter case. Only what was collected
 * under exactly the name that is asked for then counts. All this matters only where one service is
 * spelled in several ways, but there it decides what is accepted. */

static const char absent; /* what a map holds for a name without an entry */

static const void *fetch(struct compile *c, const char *kind, struct str name) {
    const struct config_change *change = c->change;
    if (change != NULL && str_is(change->kind, kind) && str_eq(change->name, name))
        return change->entry;
    return config_entry_fetch(c->read, str_from(kind), name);
}

static const void *collected(const struct kind_of_entry *k, struct str name) {
    const void *entry = map_get(&k->known, name);
    return entry != &absent ? entry : NULL;
}

static void want(struct compile *c, struct kind_of_entry *k, struct str name) {
    if (name.len == 0 || map_get(&k->known, name) != NULL)
        return;
    const void *entry = fetch(c, k->kind, name);
    map_put(&k->known, name, entry != NULL ? (void *)(uintptr_t)entry : (void *)(uintptr_t)&absent);
    *(struct str *)list_push(&k->names, &k->cap, sizeof name, c->arena) = name;
}

static void want_links(struct compile *c, struct kind_of_entry *to, struct str kind,
                       const struct config_entry *entry) {
    struct list links = config_entry_links(c->read, kind, entry);
    for (uint32_t i = 0; i < links.len; i++)
        want(c, to, LIST_AT(links, struct str, i));
}

static void collect(struct compile *c) {
    c->router = fetch(c, CONFIG_SERVICE_ROUTER, c->service);
    if (c->router != NULL)
        want_links(c, &c->splitter_entries, STR(CONFIG_SERVICE_ROUTER), &c->router->head);
    else
        want(c, &c->splitter_entries, c->service);
    for (uint32_t i = 0; i < c->splitter_entries.names.len; i++) { /* grows meanwhile, as below */
        struct str name = LIST_AT(c->splitter_entries.names, struct str, i);
        const struct config_entry *splitter = collected(&c->splitter_entries, name);
        want(c, &c->resolver_entries, name);
        if (splitter != NULL)
            want_links(c, &c->splitter_entries, STR(CONFIG_SERVICE_SPLITTER), splitter);
    }
    for (uint32_t i = 0; i < c->resolver_entries.names.len; i++) {
        struct str name = LIST_AT(c->resolver_entries.names, struct str, i);
        const struct config_entry *resolver = collected(&c->resolver_entries, name);
        want(c, &c->defaults_entries, name);
        if (resolver != NULL)
            want_links(c, &c->resolver_entries, STR(CONFIG_SERVICE_RESOLVER), resolver);
    }
    want(c, &c->defaults_entries, c->service);
    c->proxy_defaults = fetch(c, CONFIG_PROXY_DEFAULTS, STR("global"));
}

/* The value of the key in any letter case; the exact spelling wins, then the first in order (the
 * peer takes any). */
static const struct value *find_fold(const struct value *map, struct str key) {
    const struct value_pair *found = NULL;
    for (size_t i = 0; map != NULL && map->kind == VALUE_MAP && i < map->map.len; i++) {
        const struct value_pair *pair = &map->map.pairs[i];
        if (str_eq(pair->key, key))
            return &pair->value;
        if (str_eq_fold(pair->key, key) &&
            (found == NULL || str_compare(pair->key, found->key) < 0))
            found = pair;
    }
    return found != NULL ? &found->value : NULL;
}

/* What free-form content means where a text is wanted; absent for what has no such meaning. */
static struct str weak_text(struct arena *arena, const struct value *v) {
    if (v == NULL || v->kind == VALUE_NULL || v->kind == VALUE_LIST || v->kind == VALUE_MAP)
        return STR_NONE;
    if (v->kind == VALUE_STRING)
        return v->string;
    if (v->kind == VALUE_BOOL)
        return v->boolean ? STR("1") : STR("0");
    struct buf text = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, false);
    if (v->kind == VALUE_INT)
        buf_add_i64(&text, v->integer);
    else if (v->kind == VALUE_UINT)
        buf_add_u64(&text, v->uinteger);
    else
        json_f64(&w, v->number);
    struct str copy = str_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

/* Both may be NULL. */
static struct str protocol_by(struct arena *arena, const struct service_defaults *defaults,
                              const struct proxy_defaults *proxy) {
    struct str protocol = STR_NONE;
    if (defaults != NULL)
        protocol = defaults->protocol;
    else if (proxy != NULL)
        protocol = weak_text(arena, find_fold(proxy->config, STR("protocol")));
    return protocol.len == 0 ? STR("tcp") : name_lower(arena, protocol);
}

static struct str protocol_of(struct compile *c, struct str service) {
    return protocol_by(c->arena, collected(&c->defaults_entries, service), c->proxy_defaults);
}

struct str service_protocol(struct store_read *r, struct str service) {
    const struct config_entry *defaults =
        config_entry_fetch(r, STR(CONFIG_SERVICE_DEFAULTS), service);
    const void *proxy = config_entry_fetch(r, STR(CONFIG_PROXY_DEFAULTS), STR("global"));
    bool same = defaults != NULL && str_eq(defaults->name, service);
    return protocol_by(r->arena, same ? (const void *)defaults : NULL, proxy);
}

static bool record_protocol(struct compile *c, struct str service) {
    struct str protocol = protocol_of(c, service);
    if (!c->any_protocol) {
        c->any_protocol = true;
        c->protocol = protocol;
        return true;
    }
    if (str_eq(c->protocol, protocol))
        return true;
    struct str chain = str_quote(c->arena, c->service), name = str_quote(c->arena, service);
    struct str has = str_quote(c->arena, protocol), is_not = str_quote(c->arena, c->protocol);
    return error_set(c->error, ERROR_INTERNAL,
                     "discovery chain %.*s uses inconsistent protocols; service %.*s has %.*s "
                     "which is not %.*s",
                     STR_ARG(chain), STR_ARG(name), STR_ARG(has), STR_ARG(is_not));
}

/* ---- targets ---- */

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

static struct target target_of(struct str service, struct str subset, struct str namespace) {
    struct target t = {.namespace = STR(EVAL_NAMESPACE), .datacenter = STR(EVAL_DATACENTER)};
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

static bool check_external(struct compile *c, const struct service_resolver *resolver,
                           struct str service) {
    const struct service_defaults *defaults = collected(&c->defaults_entries, service);
    if (defaults == NULL || defaults->external_sni.len == 0)
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
        *resolver = collected(&c->resolver_entries, t->service);
        if (*resolver == NULL)
            *resolver = &none;
        more = target_step(c, *resolver, t);
    }
    if (t->subset.len > 0 &&
        map_pair_value(&(*resolver)->subsets, pair_size(&service_resolver_subset_shape),
                       t->subset) == NULL) {
        struct str service = str_quote(c->arena, t->service);
        struct str subset = str_quote(c->arena, t->subset);
        return error_set(c->error, ERROR_INTERNAL, "service %.*s does not have a subset named %.*s",
                         STR_ARG(service), STR_ARG(subset));
    }
    return check_external(c, *resolver, t->service);
}

static bool resolve_failover(struct compile *c, const struct target *t,
                             const struct service_resolver *resolver) {
    size_t size = pair_size(&service_resolver_failover_shape);
    const struct service_resolver_failover *f =
        map_pair_value(&resolver->failover, size, t->subset);
    if (f == NULL)
        f = map_pair_value(&resolver->failover, size, STR("*"));
    if (f == NULL)
        return true;
    uint32_t count = f->datacenters.len > 0 ? f->datacenters.len : 1;
    for (uint32_t i = 0; i < count; i++) {
        struct str datacenter = STR_NONE;
        if (f->datacenters.len > 0)
            datacenter = LIST_AT(f->datacenters, struct str, i);
        struct target other =
            target_rewrite(*t, f->service, f->service_subset, f->namespace, datacenter);
        const struct service_resolver *last;
        if (!str_eq(target_id(c, &other), target_id(c, t)) && !target_follow(c, &other, &last))
            return false;
    }
    return true;
}

static bool resolve(struct compile *c, struct target t) {
    const struct service_resolver *resolver;
    if (map_put(&c->known_targets, target_id(c, &t), c) != NULL)
        return true;
    return target_follow(c, &t, &resolver) && resolve_failover(c, &t, resolver);
}

/* ---- splitters ---- */

/* The number of the service's splitter, noted for expand_splitters; false when it has none. */
static bool splitter_find(struct compile *c, struct str service, struct str namespace,
                          uint32_t *number) {
    struct str id =
        str_format(c->arena, "splitter:%.*s.%.*s", STR_ARG(service), STR_ARG(namespace));
    uintptr_t known = (uintptr_t)map_get(&c->known_splitters, id);
    if (known != 0) {
        *number = (uint32_t)(known - 1);
        return true;
    }
    const struct service_splitter *entry = collected(&c->splitter_entries, service);
    if (entry == NULL)
        return false;
    struct splitter_node *node = list_push(&c->splitters, &c->splitter_cap, sizeof *node, c->arena);
    *node = (struct splitter_node){
        .service = service, .namespace = namespace, .entry = entry, .legs = LIST_EMPTY};
    *number = c->splitters.len - 1;
    map_put(&c->known_splitters, id, (void *)(uintptr_t)c->splitters.len);
    c->advanced = true;
    return true;
}

static bool split_or_resolve(struct compile *c, struct str service, struct str namespace) {
    uint32_t ignored;
    if (splitter_find(c, service, namespace, &ignored))
        return true;
    return resolve(c, target_of(service, STR_NONE, namespace));
}

static bool expand_splitter(struct compile *c, uint32_t number) {
    const struct service_splitter *entry =
        LIST_AT(c->splitters, struct splitter_node, number).entry;
    struct str own = LIST_AT(c->splitters, struct splitter_node, number).service;
    struct str space = LIST_AT(c->splitters, struct splitter_node, number).namespace;
    for (uint32_t i = 0; i < entry->splits.len; i++) {
        const struct service_split *split = &LIST_AT(entry->splits, struct service_split, i);
        struct str service = split->service.len > 0 ? split->service : own;
        struct str namespace = split->namespace.len > 0 ? split->namespace : space;
        uint32_t leg;
        if (!str_eq(service, own) && split->service_subset.len == 0 &&
            splitter_find(c, service, namespace, &leg)) {
            /* The list may have moved. */
            struct splitter_node *node = &LIST_AT(c->splitters, struct splitter_node, number);
            *(uint32_t *)list_push(&node->legs, &node->leg_cap, sizeof leg, c->arena) = leg;
        } else if (!resolve(c, target_of(service, split->service_subset, namespace))) {
            return false;
        }
    }
    return true;
}

static bool fail_circle(struct compile *c, const struct list *path, uint32_t back_to) {
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i <= path->len; i++) {
        uint32_t number = i < path->len ? LIST_AT(*path, uint32_t, i) : back_to;
        const struct splitter_node *node = &LIST_AT(c->splitters, struct splitter_node, number);
        buf_add_text(&text, i > 0 ? " -> splitter:" : "splitter:");
        buf_add_str(&text, node->service);
        buf_add_char(&text, '.');
        buf_add_str(&text, node->namespace);
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
        struct splitter_node *node = &LIST_AT(c->splitters, struct splitter_node, number);
        node->walking = true;
        if (node->next_leg == node->legs.len) {
            node->walking = false;
            node->walked = true;
            path.len--;
            continue;
        }
        uint32_t leg = LIST_AT(node->legs, uint32_t, node->next_leg++);
        const struct splitter_node *next = &LIST_AT(c->splitters, struct splitter_node, leg);
        if (next->walking)
            return fail_circle(c, &path, leg);
        if (!next->walked)
            *(uint32_t *)list_push(&path, &cap, sizeof leg, c->arena) = leg;
    }
    return true;
}

/* ---- the whole ---- */

/* Where a route leaves out the service it is the chain's; the last route, for all else, is to the
 * router's own name, which may be spelled otherwise. */
static bool compile_router(struct compile *c, const struct service_router *router) {
    c->advanced = true;
    if (!record_protocol(c, router->head.name))
        return false;
    for (uint32_t i = 0; i < router->routes.len; i++) {
        static const struct service_route_destination own;
        const struct service_route *route = &LIST_AT(router->routes, struct service_route, i);
        const struct service_route_destination *to =
            route->destination != NULL ? route->destination : &own;
        struct str service = to->service.len > 0 ? to->service : c->service;
        struct str namespace = to->namespace.len > 0 ? to->namespace : STR(EVAL_NAMESPACE);
        bool ok = to->service_subset.len > 0
                      ? resolve(c, target_of(service, to->service_subset, namespace))
                      : split_or_resolve(c, service, namespace);
        if (!ok)
            return false;
    }
    return split_or_resolve(c, router->head.name, STR(EVAL_NAMESPACE));
}

static bool check_advanced(struct compile *c) {
    if (!c->advanced || str_is(c->protocol, "http") || str_is(c->protocol, "http2") ||
        str_is(c->protocol, "grpc"))
        return true;
    struct str chain = str_quote(c->arena, c->service), protocol = str_quote(c->arena, c->protocol);
    return error_set(c->error, ERROR_INTERNAL,
                     "discovery chain %.*s uses a protocol %.*s that does not permit advanced "
                     "routing or splitting behavior",
                     STR_ARG(chain), STR_ARG(protocol));
}

static bool compile_all(struct compile *c, struct chain *chain) {
    collect(c);
    const struct service_router *router = c->router;
    bool ok = router != NULL ? compile_router(c, router)
                             : split_or_resolve(c, c->service, STR(EVAL_NAMESPACE));
    if (!ok)
        return false;
    chain->starts_with_resolver = router == NULL && c->splitters.len == 0;
    for (uint32_t i = 0; i < c->splitters.len; i++) { /* grows meanwhile */
        if (!expand_splitter(c, i))
            return false;
    }
    for (uint32_t i = 0; i < c->splitters.len; i++) {
        if (!LIST_AT(c->splitters, struct splitter_node, i).walked && !walk_splitters(c, i))
            return false;
    }
    chain->protocol = c->protocol;
    return check_advanced(c);
}

bool chain_compile(struct store_read *r, const struct config_change *change, struct str service,
                   struct chain *chain, struct error *e) {
    struct compile c = {.read = r,
                        .change = change,
                        .arena = r->arena,
                        .service = service,
                        .splitter_entries = {.kind = CONFIG_SERVICE_SPLITTER},
                        .resolver_entries = {.kind = CONFIG_SERVICE_RESOLVER},
                        .defaults_entries = {.kind = CONFIG_SERVICE_DEFAULTS},
                        .splitters = LIST_EMPTY,
                        .known_splitters = MAP_INIT,
                        .known_targets = MAP_INIT,
                        .error = e};
    if (service.len == 0)
        return error_set(e, ERROR_INTERNAL, "serviceName is required");
    bool ok = compile_all(&c, chain);
    map_free(&c.splitter_entries.known);
    map_free(&c.resolver_entries.known);
    map_free(&c.defaults_entries.known);
    map_free(&c.known_splitters);
    map_free(&c.known_targets);
    return ok;
}

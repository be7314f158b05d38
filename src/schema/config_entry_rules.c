/* Rules for entries that are no gateways', and what all have in common: see config_entry_rules.h.
 */
#include "schema/config_entry_rules.h"

#include <math.h>

#include "base/map.h"
#include "codec/number.h"
#include "schema/intention_rules.h"
#include "schema/problems.h"
#include "schema/table.h"

#define SUBSET_MAX 63

static bool is_kind(const struct config_entry *entry, const char *kind) {
    return str_is(entry->kind, kind);
}

static bool need_name(const struct config_entry *head, struct error *e) {
    return head->name.len > 0 || error_set(e, ERROR_INTERNAL, "Name is required");
}

static bool check_meta(const struct config_entry *head, struct arena *arena, struct error *e) {
    struct problems p = {.arena = arena};
    meta_problems(&p, &head->meta);
    return problems_end(&p, e);
}

/* ---- proxy-defaults ---- */

static bool has_null(const struct value *v) {
    bool found = v->kind == VALUE_NULL;
    for (size_t i = 0; v->kind == VALUE_LIST && !found && i < v->list.len; i++)
        found = has_null(&v->list.items[i]);
    for (size_t i = 0; v->kind == VALUE_MAP && !found && i < v->map.len; i++)
        found = has_null(&v->map.pairs[i].value);
    return found;
}

/* The peer's servers end, and end again at each start, when they apply an entry with a null. */
static bool proxy_defaults_validate(const struct proxy_defaults *d, struct arena *arena,
                                    struct error *e) {
    if (d->config != NULL && has_null(d->config))
        return error_set(e, ERROR_INTERNAL, "Config must not contain null");
    return check_meta(&d->head, arena, e);
}

/* ---- service-router ---- */

static struct str upper(struct arena *arena, struct str s) {
    char *copy = str_terminated(arena, s);
    for (size_t i = 0; i < s.len; i++)
        copy[i] = copy[i] >= 'a' && copy[i] <= 'z' ? (char)(copy[i] - ('a' - 'A')) : copy[i];
    return str_of(copy, s.len);
}

static const struct http_match *http_of(const struct service_route *route) {
    return route->match != NULL ? route->match->http : NULL;
}

/* A destination gets its namespace only where the route looks at methods. */
static void router_normalize(struct service_router *router, struct arena *arena) {
    for (uint32_t i = 0; i < router->routes.len; i++) {
        struct service_route *route = &LIST_AT(router->routes, struct service_route, i);
        const struct http_match *http = http_of(route);
        if (http == NULL || http->methods.len == 0)
            continue;
        for (uint32_t k = 0; k < http->methods.len; k++) {
            struct str *method = &LIST_AT(http->methods, struct str, k);
            *method = upper(arena, *method);
        }
        if (route->destination != NULL && route->destination->namespace.len == 0)
            route->destination->namespace = STR(INTENTION_NAMESPACE);
    }
}

static bool check_paths(const struct http_match *http, uint32_t route, struct arena *arena,
                        struct error *e) {
    bool exact = http->path_exact.len > 0, prefix = http->path_prefix.len > 0;
    if (exact && http->path_exact.data[0] != '/')
        return error_set(e, ERROR_INTERNAL, "Route[%u] PathExact doesn't start with '/': " STR_FMT,
                         route, STR_ARG(str_quote(arena, http->path_exact)));
    if (prefix && http->path_prefix.data[0] != '/')
        return error_set(e, ERROR_INTERNAL, "Route[%u] PathPrefix doesn't start with '/': " STR_FMT,
                         route, STR_ARG(str_quote(arena, http->path_prefix)));
    if (exact + prefix + (http->path_regex.len > 0) > 1)
        return error_set(
            e, ERROR_INTERNAL,
            "Route[%u] should only contain at most one of PathExact, PathPrefix, or PathRegex",
            route);
    return true;
}

static bool check_headers(const struct http_match *http, uint32_t route, struct error *e) {
    for (uint32_t i = 0; i < http->header.len; i++) {
        const struct http_match_header *h = &LIST_AT(http->header, struct http_match_header, i);
        if (h->name.len == 0)
            return error_set(e, ERROR_INTERNAL, "Route[%u] Header[%u] missing required Name field",
                             route, i);
        if (h->present + (h->exact.len > 0) + (h->prefix.len > 0) + (h->suffix.len > 0) +
                (h->regex.len > 0) !=
            1)
            return error_set(e, ERROR_INTERNAL,
                             "Route[%u] Header[%u] should only contain one of Present, Exact, "
                             "Prefix, Suffix, or Regex",
                             route, i);
    }
    return true;
}

static bool check_query_params(const struct http_match *http, uint32_t route, struct error *e) {
    for (uint32_t i = 0; i < http->query_param.len; i++) {
        const struct http_match_query_param *q =
            &LIST_AT(http->query_param, struct http_match_query_param, i);
        if (q->name.len == 0)
            return error_set(e, ERROR_INTERNAL,
                             "Route[%u] QueryParam[%u] missing required Name field", route, i);
        if (q->present + (q->exact.len > 0) + (q->regex.len > 0) != 1)
            return error_set(
                e, ERROR_INTERNAL,
                "Route[%u] QueryParam[%u] should only contain one of Present, Exact, or Regex",
                route, i);
    }
    return true;
}

static bool check_methods(const struct http_match *http, uint32_t route, struct arena *arena,
                          struct error *e) {
    struct map seen = MAP_INIT;
    bool ok = true;
    for (uint32_t i = 0; ok && i < http->methods.len; i++) {
        struct str method = LIST_AT(http->methods, struct str, i);
        ok = map_put(&seen, method, &seen) == NULL ||
             error_set(e, ERROR_INTERNAL, "Route[%u] Methods contains " STR_FMT " more than once",
                       route, STR_ARG(str_quote(arena, method)));
    }
    map_free(&seen);
    return ok;
}

static bool check_route(const struct service_route *route, uint32_t i, struct arena *arena,
                        struct error *e) {
    const struct http_match *http = http_of(route);
    if (http != NULL && !(check_paths(http, i, arena, e) && check_headers(http, i, e) &&
                          check_query_params(http, i, e) && check_methods(http, i, arena, e)))
        return false;
    bool rewrites = route->destination != NULL && route->destination->prefix_rewrite.len > 0;
    bool has_path = http != NULL && (http->path_exact.len > 0 || http->path_prefix.len > 0);
    if (rewrites && !has_path)
        return error_set(e, ERROR_INTERNAL,
                         "Route[%u] cannot make use of PrefixRewrite without configuring either "
                         "PathExact or PathPrefix",
                         i);
    return true;
}

static bool router_validate(const struct service_router *router, struct arena *arena,
                            struct error *e) {
    if (!need_name(&router->head, e) || !check_meta(&router->head, arena, e))
        return false;
    for (uint32_t i = 0; i < router->routes.len; i++) {
        if (!check_route(&LIST_AT(router->routes, struct service_route, i), i, arena, e))
            return false;
    }
    return true;
}

/* ---- service-splitter ---- */

/* Hundredths, half away from zero; of what is no number, as the processor does it. */
static int64_t hundredths(float weight) {
    return number_i64_of(round((double)(weight * 100.0f)));
}

float service_split_weight(float weight) {
    return (float)hundredths(weight) / 100.0f;
}

static void splitter_normalize(struct service_splitter *splitter) {
    for (uint32_t i = 0; i < splitter->splits.len; i++) {
        struct service_split *s = &LIST_AT(splitter->splits, struct service_split, i);
        s->weight = service_split_weight(s->weight);
    }
}

static struct str own_or(struct str service, const struct config_entry *head) {
    return service.len > 0 ? service : head->name;
}

static bool check_split(const struct service_splitter *splitter, const struct service_split *s,
                        struct map *seen, struct arena *arena, struct error *e) {
    struct str service = own_or(s->service, &splitter->head);
    struct str key =
        str_format(arena, "%zu %zu " STR_FMT STR_FMT STR_FMT, service.len, s->service_subset.len,
                   STR_ARG(service), STR_ARG(s->service_subset), STR_ARG(s->namespace));
    return map_put(seen, key, seen) == NULL ||
           error_set(e, ERROR_INTERNAL,
                     "split destination occurs more than once: service=" STR_FMT ", subset=" STR_FMT
                     ", namespace=" STR_FMT,
                     STR_ARG(str_quote(arena, service)),
                     STR_ARG(str_quote(arena, s->service_subset)),
                     STR_ARG(str_quote(arena, s->namespace)));
}

static bool splitter_validate(const struct service_splitter *splitter, struct arena *arena,
                              struct error *e) {
    struct map seen = MAP_INIT;
    uint64_t sum = 0; /* wraps as the peer's does */
    if (!need_name(&splitter->head, e))
        return false;
    if (splitter->splits.len == 0)
        return error_set(e, ERROR_INTERNAL, "no splits configured");
    bool ok = check_meta(&splitter->head, arena, e);
    for (uint32_t i = 0; ok && i < splitter->splits.len; i++) {
        const struct service_split *s = &LIST_AT(splitter->splits, struct service_split, i);
        ok = check_split(splitter, s, &seen, arena, e);
        sum += (uint64_t)hundredths(s->weight);
    }
    map_free(&seen);
    if (ok && sum != 10000)
        ok = error_set(e, ERROR_INTERNAL, "the sum of all split weights must be 100, not %f",
                       (double)((float)(int64_t)sum / 100.0f));
    return ok;
}

/* ---- service-resolver ---- */

#define SUBSET_PAIR schema_pair_size(&(struct type){KIND_STRUCT, &service_resolver_subset_shape})
#define FAILOVER_PAIR                                                                              \
    schema_pair_size(&(struct type){KIND_STRUCT, &service_resolver_failover_shape})

static struct str pair_key(const struct list *map, size_t pair_size, uint32_t i) {
    return *(const struct str *)((const char *)map->items + i * pair_size);
}

static bool has_subset(const struct service_resolver *r, struct str name) {
    return name.len == 0 || map_pair_value(&r->subsets, SUBSET_PAIR, name) != NULL;
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool check_subset_name(struct str name, struct arena *arena, struct error *e) {
    if (name.len == 0)
        return error_set(e, ERROR_INTERNAL, "Subset defined with empty name");
    struct str quoted = str_quote(arena, name);
    if (name.len > SUBSET_MAX)
        return error_set(e, ERROR_INTERNAL,
                         "Subset " STR_FMT
                         " is invalid: must be non-empty and %d characters or fewer",
                         STR_ARG(quoted), SUBSET_MAX);
    bool ok = is_plain(name.data[0]) && is_plain(name.data[name.len - 1]);
    for (size_t i = 0; i < name.len; i++)
        ok = ok && (is_plain(name.data[i]) || name.data[i] == '-');
    return ok || error_set(e, ERROR_INTERNAL,
                           "Subset " STR_FMT
                           " is invalid: must be %d characters or fewer, begin or end with lower "
                           "case alphanumeric characters, and contain lower case alphanumeric "
                           "characters or '-' in between",
                           STR_ARG(quoted), SUBSET_MAX);
}

static bool check_subsets(const struct service_resolver *r, struct arena *arena, struct error *e) {
    for (uint32_t i = 0; i < r->subsets.len; i++) {
        if (!check_subset_name(pair_key(&r->subsets, SUBSET_PAIR, i), arena, e))
            return false;
    }
    return has_subset(r, r->default_subset) ||
           error_set(e, ERROR_INTERNAL, "DefaultSubset " STR_FMT " is not a valid subset",
                     STR_ARG(str_quote(arena, r->default_subset)));
}

static bool check_redirect(const struct service_resolver *r, struct arena *arena, struct error *e) {
    const struct service_resolver_redirect *to = r->redirect;
    if (to == NULL)
        return true;
    if (r->failover.len > 0)
        return error_set(e, ERROR_INTERNAL, "Redirect and Failover cannot both be set");
    if (to->service.len + to->service_subset.len + to->namespace.len + to->datacenter.len == 0)
        return error_set(e, ERROR_INTERNAL, "Redirect is empty");
    if (to->service.len == 0 && to->service_subset.len > 0)
        return error_set(e, ERROR_INTERNAL,
                         "Redirect.ServiceSubset defined without Redirect.Service");
    if (to->service.len == 0 && to->namespace.len > 0)
        return error_set(e, ERROR_INTERNAL, "Redirect.Namespace defined without Redirect.Service");
    if (str_eq(to->service, r->head.name) && !has_subset(r, to->service_subset))
        return error_set(e, ERROR_INTERNAL,
                         "Redirect.ServiceSubset " STR_FMT " is not a valid subset of " STR_FMT,
                         STR_ARG(str_quote(arena, to->service_subset)),
                         STR_ARG(str_quote(arena, to->service)));
    return true;
}

static bool check_failover(const struct service_resolver *r, struct str subset,
                           const struct service_resolver_failover *f, struct arena *arena,
                           struct error *e) {
    struct str key = str_quote(arena, subset);
    if (!str_is(subset, CONFIG_WILDCARD) && (subset.len == 0 || !has_subset(r, subset)))
        return error_set(e, ERROR_INTERNAL, "Bad Failover[" STR_FMT "]: not a valid subset",
                         STR_ARG(key));
    if (f->service.len + f->service_subset.len + f->namespace.len + f->datacenters.len == 0)
        return error_set(e, ERROR_INTERNAL,
                         "Bad Failover[" STR_FMT
                         "] one of Service, ServiceSubset, Namespace, or Datacenters is required",
                         STR_ARG(key));
    if (str_eq(own_or(f->service, &r->head), r->head.name) && !has_subset(r, f->service_subset))
        return error_set(e, ERROR_INTERNAL,
                         "Bad Failover[" STR_FMT "].ServiceSubset " STR_FMT
                         " is not a valid subset of " STR_FMT,
                         STR_ARG(key), STR_ARG(str_quote(arena, f->service_subset)),
                         STR_ARG(str_quote(arena, f->service)));
    if (str_list_has(&f->datacenters, STR("")))
        return error_set(e, ERROR_INTERNAL,
                         "Bad Failover[" STR_FMT "].Datacenters: found empty datacenter",
                         STR_ARG(key));
    return true;
}

static const struct service_resolver_failover *failover_at(const struct service_resolver *r,
                                                           uint32_t i) {
    return (const void *)((const char *)r->failover.items + i * FAILOVER_PAIR + MAP_VALUE_OFFSET);
}

static bool resolver_validate(const struct service_resolver *r, struct arena *arena,
                              struct error *e) {
    if (!need_name(&r->head, e) || !check_meta(&r->head, arena, e) || !check_subsets(r, arena, e) ||
        !check_redirect(r, arena, e))
        return false;
    for (uint32_t i = 0; i < r->failover.len; i++) {
        struct str subset = pair_key(&r->failover, FAILOVER_PAIR, i);
        if (!check_failover(r, subset, failover_at(r, i), arena, e))
            return false;
    }
    return r->connect_timeout >= 0 ||
           error_set(e, ERROR_INTERNAL, "Bad ConnectTimeout '" STR_FMT "', must be >= 0",
                     STR_ARG(duration_format(arena, r->connect_timeout)));
}

/* ---- all ---- */

void config_entry_normalize(struct config_entry *entry, struct arena *arena) {
    if (is_kind(entry, CONFIG_SERVICE_DEFAULTS)) {
        struct service_defaults *d = (struct service_defaults *)entry;
        d->protocol = str_lower(arena, d->protocol);
    } else if (is_kind(entry, CONFIG_PROXY_DEFAULTS)) {
        entry->name = STR(PROXY_DEFAULTS_NAME);
    } else if (is_kind(entry, CONFIG_SERVICE_ROUTER)) {
        router_normalize((struct service_router *)entry, arena);
    } else if (is_kind(entry, CONFIG_SERVICE_SPLITTER)) {
        splitter_normalize((struct service_splitter *)entry);
    } else if (is_kind(entry, CONFIG_INGRESS_GATEWAY)) {
        ingress_gateway_normalize((struct ingress_gateway *)entry, arena);
    }
}

bool config_entry_validate(const struct config_entry *entry, struct arena *arena, struct error *e) {
    const void *x = entry;
    if (is_kind(entry, CONFIG_PROXY_DEFAULTS))
        return proxy_defaults_validate(x, arena, e);
    if (is_kind(entry, CONFIG_SERVICE_ROUTER))
        return router_validate(x, arena, e);
    if (is_kind(entry, CONFIG_SERVICE_SPLITTER))
        return splitter_validate(x, arena, e);
    if (is_kind(entry, CONFIG_SERVICE_RESOLVER))
        return resolver_validate(x, arena, e);
    if (!check_meta(entry, arena, e))
        return false;
    if (is_kind(entry, CONFIG_INGRESS_GATEWAY))
        return ingress_gateway_validate(x, arena, e);
    return !is_kind(entry, CONFIG_TERMINATING_GATEWAY) || terminating_gateway_validate(x, arena, e);
}

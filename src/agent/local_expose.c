/* Checks of a service that run through its sidecar (connect.md 4.3): of a sidecar with
 * Expose.Checks, each HTTP and gRPC check of its service gets a port of the agent's range, where
 * the sidecar is to listen without TLS, and is sent there. When the sidecar goes, or says
 * otherwise, they run as they were defined.
 */
#include <stdlib.h>

#include "agent/check_local.h"
#include "agent/local_state.h"
#include "agent/proxy_snapshot.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/url_parts.h"

#define LOGGER "agent"
#define GRPC_PATH "/grpc.health.v1.Health/Check"

/* Who exposes the checks of a service. */
struct exposure {
    struct arena arena;
    struct str sidecar, address;
};

static bool exposes(const struct node_service *s) {
    return str_is(s->kind, "connect-proxy") && s->proxy.expose.checks &&
           s->proxy.destination_service_id.len > 0;
}

/* ---- targets ---- */

static struct str with_port(struct str address, int64_t port, struct arena *arena) {
    bool v6 = str_find_char(address, ':') >= 0;
    return str_format(arena, "%s" STR_FMT "%s:%lld", v6 ? "[" : "", STR_ARG(address), v6 ? "]" : "",
                      (long long)port);
}

void expose_rewrite(struct check_type *t, struct str target, struct arena *arena) {
    if (t->http.len > 0) {
        struct str authority = url_authority(t->http);
        size_t before = authority.data != NULL && authority.len > 0
                            ? (size_t)(authority.data - t->http.data)
                            : t->http.len;
        t->http = str_format(arena, STR_FMT STR_FMT STR_FMT, STR_ARG(str_sub(t->http, 0, before)),
                             STR_ARG(target),
                             STR_ARG(str_sub(t->http, before + authority.len, t->http.len)));
    } else if (t->grpc.len > 0) {
        ptrdiff_t slash = str_find_char(t->grpc, '/');
        struct str rest = slash >= 0 ? str_sub(t->grpc, (size_t)slash, t->grpc.len) : STR("");
        t->grpc = str_format(arena, STR_FMT STR_FMT, STR_ARG(target), STR_ARG(rest));
    }
}

/* Where the check goes by its definition. */
static struct proxy_check_path path_of(const struct local_check *c, struct arena *arena) {
    struct proxy_check_path p = {.path = STR(GRPC_PATH), .protocol = STR("http2")};
    struct error ignored = ERROR_IN(arena);
    struct str url = c->type.http, port;
    if (url.len > 0) {
        url_normal(url, &url, arena, &ignored);
        port = url_port(url);
        p.path = url_path(url);
        if (p.path.len == 0)
            p.path = STR("/");
        p.protocol = STR("http");
        p.local_port = str_eq_fold(url_scheme(url), STR("https")) ? 443 : 80;
    } else {
        struct str rest = c->type.grpc, target = str_cut(&rest, '/');
        ptrdiff_t bracket = str_find_char(target, ']');
        ptrdiff_t colon = str_find(target, STR(":"), bracket < 0 ? 0 : (size_t)bracket);
        port = colon < 0 ? STR("") : str_sub(target, (size_t)colon + 1, target.len);
    }
    str_to_i64(port, &p.local_port);
    p.listener_port = c->exposed_port;
    return p;
}

/* ---- one check ---- */

static bool can_be_exposed(const struct local_check *c) {
    const struct check_type *t = &c->type;
    return !c->deleted && c->has_type && t->ttl <= 0 &&
           (t->http.len > 0 || (t->tcp.len == 0 && t->grpc.len > 0));
}

/* 0: none is left. */
static int64_t free_port(const struct local *l) {
    int min = l->config->expose_min_port, max = l->config->expose_max_port;
    size_t range = max > min && min > 0 ? (size_t)(max - min) : 0;
    bool *used = mem_zalloc(range + 1, sizeof(*used));
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        const struct local_check *c = value;
        if (!c->deleted && c->exposed_port >= min && c->exposed_port < max)
            used[c->exposed_port - min] = true;
    }
    size_t at = 0;
    while (at < range && used[at])
        at++;
    mem_free(used);
    return at < range ? min + (int64_t)at : 0;
}

static void set_target(struct local_check *c, const struct exposure *x) {
    struct arena scratch = ARENA_INIT;
    mem_free(c->exposed_at);
    c->exposed_at = mem_strdup(with_port(x->address, c->exposed_port, &scratch).data);
    arena_free(&scratch);
}

/* Where it runs from now on; false: as before. */
static bool expose(struct local *l, struct local_check *c, const struct exposure *x) {
    struct arena scratch = ARENA_INIT;
    struct str at =
        c->exposed_port > 0 ? with_port(x->address, c->exposed_port, &scratch) : STR_NONE;
    bool same = at.data != NULL && c->exposed_at != NULL && str_is(at, c->exposed_at);
    arena_free(&scratch);
    if (same)
        return false;
    if (c->exposed_port == 0)
        c->exposed_port = free_port(l);
    if (c->exposed_port == 0) {
        log_at(LOG_WARN, LOGGER, "failed to reroute L7 checks to exposed proxy listener",
               LOG_S("check", c->check.check_id));
        return false;
    }
    set_target(c, x);
    return true;
}

static void tell(struct local *l, struct str sidecar) {
    if (l->listener != NULL)
        l->listener(l->listener_owner, sidecar);
}

void expose_check(struct local *l, struct local_check *c) {
    const struct exposure *x = map_get(&l->exposures, c->check.service_id);
    if (x != NULL && can_be_exposed(c) && expose(l, c, x))
        tell(l, x->sidecar);
}

void expose_check_gone(struct local *l, struct local_check *c) {
    const struct exposure *x = map_get(&l->exposures, c->check.service_id);
    bool was = c->exposed_port > 0;
    mem_free(c->exposed_at);
    c->exposed_at = NULL;
    c->exposed_port = 0;
    if (was && x != NULL)
        tell(l, x->sidecar);
}

static void restart(struct local *l, struct local_check *c) {
    check_stop(c);
    check_start(l, c);
}

/* ---- sidecars ---- */

static void exposure_free(struct exposure *x) {
    if (x == NULL)
        return;
    struct arena arena = x->arena;
    mem_free(x);
    arena_free(&arena);
}

static void expose_begin(struct local *l, const struct node_service *sidecar) {
    struct str service = sidecar->proxy.destination_service_id;
    struct exposure *x = MEM_NEW(struct exposure);
    x->sidecar = str_copy(&x->arena, sidecar->id);
    x->address = str_copy(&x->arena, sidecar->address);
    exposure_free(map_put(&l->exposures, service, x));
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (str_eq(c->check.service_id, service) && can_be_exposed(c) && expose(l, c, x))
            restart(l, c);
    }
}

static void expose_end(struct local *l, const struct node_service *sidecar) {
    struct str service = sidecar->proxy.destination_service_id;
    const struct exposure *x = map_get(&l->exposures, service);
    if (x == NULL || !str_eq(x->sidecar, sidecar->id))
        return; /* another one exposes them */
    exposure_free(map_remove(&l->exposures, service));
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (c->deleted || c->exposed_port == 0 || !str_eq(c->check.service_id, service))
            continue;
        expose_check_gone(l, c);
        restart(l, c);
    }
}

void expose_change(struct local *l, const struct node_service *old,
                   const struct node_service *now) {
    bool before = old != NULL && exposes(old), after = now != NULL && exposes(now);
    if (before &&
        (!after || !str_eq(old->proxy.destination_service_id, now->proxy.destination_service_id)))
        expose_end(l, old);
    if (after)
        expose_begin(l, now);
}

void expose_forget(struct local *l) {
    void *value;
    for (size_t i = 0; map_next(&l->exposures, &i, NULL, &value);)
        exposure_free(value);
    map_free(&l->exposures);
    l->exposures = MAP_INIT;
}

/* ---- what the sidecar is to listen for ---- */

static int compare_ports(const void *a, const void *b) {
    int64_t x = ((const struct proxy_check_path *)a)->listener_port,
            y = ((const struct proxy_check_path *)b)->listener_port;
    return (x > y) - (x < y);
}

struct list local_exposed_paths(const struct local *l, const struct node_service *sidecar,
                                struct arena *arena) {
    struct str service = sidecar->proxy.destination_service_id;
    const struct exposure *x = exposes(sidecar) ? map_get(&l->exposures, service) : NULL;
    if (x == NULL || !str_eq(x->sidecar, sidecar->id))
        return LIST_EMPTY;
    struct list out = LIST_NEW(arena, struct proxy_check_path, l->checks.count);
    out.len = 0;
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        const struct local_check *c = value;
        if (!c->deleted && c->exposed_port > 0 && str_eq(c->check.service_id, service))
            LIST_AT(out, struct proxy_check_path, out.len++) = path_of(c, arena);
    }
    qsort(out.items, out.len, sizeof(struct proxy_check_path), compare_ports);
    return out;
}

/* The sidecar of a service that is registered with `connect.sidecar_service`: a second service
 * whose definition follows from that of its parent (agent.md 2.2). It is registered like any other;
 * that it goes away with its parent is local.c's.
 */
#include "agent/local_state.h"
#include "base/mem.h"

#define SIDECAR "-sidecar-proxy"
#define LISTENING_INTERVAL (10 * SECOND)

struct str local_sidecar_id(struct arena *arena, struct str parent_id) {
    return str_format(arena, STR_FMT SIDECAR, STR_ARG(parent_id));
}

struct list service_definition_checks(const struct service_definition *d, struct arena *arena) {
    bool has_one = !check_type_empty(&d->check);
    struct list all = LIST_NEW(arena, struct check_type *, d->checks.len + has_one);
    uint32_t len = 0;
    if (has_one) {
        struct check_type *copy = ARENA_NEW(arena, struct check_type);
        *copy = d->check;
        LIST_AT(all, struct check_type *, len++) = copy;
    }
    for (uint32_t i = 0; i < d->checks.len; i++) {
        struct check_type *check = LIST_AT(d->checks, struct check_type *, i);
        LIST_AT(all, struct check_type *, len++) =
            check != NULL ? check : ARENA_NEW(arena, struct check_type);
    }
    return all;
}

/* ---- the port ---- */

static bool port_is_used(const struct local *l, int64_t port) {
    void *value;
    for (size_t i = 0; map_next(&l->services, &i, NULL, &value);) {
        const struct local_service *s = value;
        if (!s->deleted && s->service.port == port)
            return true;
    }
    return false;
}

/* The port that the sidecar has already, when it is one of the range, else the lowest free one. */
static bool choose_port(const struct local *l, struct str id, int64_t *port, struct error *e) {
    int min = l->config->connect_sidecar_min_port, max = l->config->connect_sidecar_max_port;
    if (min < 1 || max < 1)
        return error_set(
            e, ERROR_INTERNAL,
            "no port provided for sidecar_service and auto-assignment disabled in config");
    const struct local_service *had = local_service_find(l, id);
    if (had != NULL && had->service.port >= min && had->service.port <= max) {
        *port = had->service.port;
        return true;
    }
    for (*port = min; *port <= max; (*port)++)
        if (!port_is_used(l, *port))
            return true;
    return error_set(e, ERROR_INTERNAL,
                     "no port provided for sidecar_service and none left in the configured range "
                     "[%d, %d]",
                     min, max);
}

/* ---- what follows from the parent ---- */

static void default_proxy(struct service_definition *sidecar,
                          const struct service_definition *parent, struct str parent_id,
                          struct arena *arena) {
    struct connect_proxy_config *proxy = ARENA_NEW(arena, struct connect_proxy_config);
    if (sidecar->proxy != NULL)
        *proxy = *sidecar->proxy;
    if (proxy->destination_service_name.len == 0)
        proxy->destination_service_name = parent->name;
    if (proxy->destination_service_id.len == 0)
        proxy->destination_service_id = parent_id;
    if (proxy->local_service_address.len == 0)
        proxy->local_service_address = STR("127.0.0.1");
    if (proxy->local_service_port < 1)
        proxy->local_service_port = parent->port;
    sidecar->proxy = proxy;
}

/* Is somebody listening, and is the parent well? */
static struct list default_checks(const struct service_definition *sidecar, struct str parent_id,
                                  struct arena *arena) {
    struct check_type *listening = ARENA_NEW(arena, struct check_type),
                      *alias = ARENA_NEW(arena, struct check_type);
    struct str address = sidecar->proxy->local_service_address;
    bool v6 = str_find_char(address, ':') >= 0;
    listening->name = STR("Connect Sidecar Listening");
    listening->tcp = str_format(arena, "%s" STR_FMT "%s:%lld", v6 ? "[" : "", STR_ARG(address),
                                v6 ? "]" : "", (long long)sidecar->port);
    listening->interval = LISTENING_INTERVAL;
    alias->name = str_format(arena, "Connect Sidecar Aliasing " STR_FMT, STR_ARG(parent_id));
    alias->alias_service = parent_id;
    struct list checks = LIST_NEW(arena, struct check_type *, 2);
    LIST_AT(checks, struct check_type *, 0) = listening;
    LIST_AT(checks, struct check_type *, 1) = alias;
    return checks;
}

bool local_sidecar_of(const struct local *l, const struct service_definition *parent,
                      struct service_definition **out, struct arena *arena, struct error *e) {
    *out = NULL;
    if (parent->connect == NULL || parent->connect->sidecar_service == NULL)
        return true;
    struct service_definition *sidecar = ARENA_NEW(arena, struct service_definition);
    *sidecar = *parent->connect->sidecar_service;
    struct str parent_id = parent->id.len > 0 ? parent->id : parent->name;
    if (!service_meta_validate(&sidecar->meta, str_is(sidecar->kind, "mesh-gateway"), e))
        return false;
    sidecar->id = local_sidecar_id(arena, parent_id);
    if (sidecar->kind.len == 0)
        sidecar->kind = STR("connect-proxy");
    if (sidecar->name.len == 0)
        sidecar->name = str_format(arena, STR_FMT SIDECAR, STR_ARG(parent->name));
    if (sidecar->address.len == 0)
        sidecar->address = parent->address;
    if (sidecar->meta.len == 0 && parent->meta.len > 0)
        sidecar->meta = parent->meta;
    if (sidecar->tags.len == 0 && parent->tags.len > 0)
        sidecar->tags = parent->tags;
    if (sidecar->token.len == 0)
        sidecar->token = parent->token;
    default_proxy(sidecar, parent, parent_id, arena);
    if (sidecar->port < 1 && !choose_port(l, sidecar->id, &sidecar->port, e))
        return false;
    sidecar->checks = service_definition_checks(sidecar, arena);
    sidecar->check = (struct check_type){0};
    if (sidecar->checks.len == 0)
        sidecar->checks = default_checks(sidecar, parent_id, arena);
    *out = sidecar;
    return true;
}

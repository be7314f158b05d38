/* What must hold for proxies, gateways and sidecars: see service_rules.h. */
#include "schema/service_rules.h"

#include "base/mem.h"
#include "schema/problems.h"

static bool upstream_check(struct problems *p, const struct upstream *u) {
    if (u->destination_type.len > 0 && !str_is(u->destination_type, "service") &&
        !str_is(u->destination_type, "prepared_query")) {
        problem(p, "unknown upstream destination type: \"%.*s\"", STR_ARG(u->destination_type));
        return false;
    }
    if (u->destination_name.len == 0) {
        problem(p, "upstream destination name cannot be empty");
        return false;
    }
    if (u->local_bind_port == 0) {
        problem(p, "upstream local bind port cannot be zero");
        return false;
    }
    return true;
}

static struct str bind_address(const struct upstream *u) {
    return u->local_bind_address.len > 0 ? u->local_bind_address : STR("127.0.0.1");
}

static bool same_destination(const struct upstream *a, const struct upstream *b) {
    return str_eq(a->destination_type, b->destination_type) &&
           str_eq(a->destination_name, b->destination_name) &&
           str_eq(a->destination_namespace, b->destination_namespace) &&
           str_eq(a->datacenter, b->datacenter);
}

static bool same_listener(const struct upstream *a, const struct upstream *b) {
    return a->local_bind_port == b->local_bind_port && str_eq(bind_address(a), bind_address(b));
}

/* Whether an earlier upstream that was in order itself is the same in one respect. */
static bool upstream_repeats(const struct upstream *all, const bool *good, uint32_t at,
                             bool (*same)(const struct upstream *, const struct upstream *)) {
    for (uint32_t i = 0; i < at; i++) {
        if (good[i] && same(&all[i], &all[at])) {
            return true;
        }
    }
    return false;
}

static void upstreams_check(struct problems *p, const struct list *list) {
    const struct upstream *all = list->items;
    bool *good = ARENA_ARRAY(p->arena, bool, list->len);
    for (uint32_t i = 0; i < list->len; i++) {
        const struct upstream *u = &all[i];
        if (!upstream_check(p, u)) {
            continue;
        }
        if (upstream_repeats(all, good, i, same_destination)) {
            problem(p,
                    "upstreams cannot contain duplicates of [type=\"%.*s\", name=\"%.*s\", "
                    "namespace=\"%.*s\", datacenter=\"%.*s\"]",
                    STR_ARG(u->destination_type), STR_ARG(u->destination_name),
                    STR_ARG(u->destination_namespace), STR_ARG(u->datacenter));
            continue;
        }
        if (upstream_repeats(all, good, i, same_listener)) {
            problem(p,
                    "upstreams cannot contain duplicates by local bind address and port; "
                    "\"%.*s:%lld\" is specified twice",
                    STR_ARG(bind_address(u)), (long long)u->local_bind_port);
            continue;
        }
        good[i] = true;
    }
}

static void expose_check(struct problems *p, const struct list *paths) {
    for (uint32_t i = 0; i < paths->len; i++) {
        const struct expose_path *path = &LIST_AT(*paths, struct expose_path, i);
        bool path_twice = false;
        bool port_twice = false;
        for (uint32_t j = 0; j < i; j++) {
            const struct expose_path *other = &LIST_AT(*paths, struct expose_path, j);
            path_twice |= str_eq(other->path, path->path);
            port_twice |= other->listener_port == path->listener_port;
        }
        if (path->path.len == 0) {
            problem(p, "expose.paths: empty path exposed");
        }
        if (path_twice) {
            problem(p, "expose.paths: duplicate paths exposed");
        }
        if (port_twice) {
            problem(p, "expose.paths: duplicate listener ports exposed");
        }
        if (path->listener_port <= 0 || path->listener_port > 65535) {
            problem(p, "expose.paths: invalid listener port: %lld", (long long)path->listener_port);
        }
        if (path->protocol.len > 0 && !str_is(path->protocol, "http") &&
            !str_is(path->protocol, "http2")) {
            problem(p, "protocol '%.*s' not supported for path: %.*s, must be in: [http http2]",
                    STR_ARG(path->protocol), STR_ARG(path->path));
        }
    }
}

static void proxy_check(struct problems *p, const struct node_service *s) {
    if (str_trim(s->proxy.destination_service_name).len == 0) {
        problem(p, "Proxy.DestinationServiceName must be non-empty for Connect proxy services");
    }
    if (s->port == 0) {
        problem(p, "Port must be set for a Connect proxy");
    }
    if (s->connect.native) {
        problem(p, "A Proxy cannot also be Connect Native, only typical services");
    }
    upstreams_check(p, &s->proxy.upstreams);
    expose_check(p, &s->proxy.expose.paths);
}

static void gateway_check(struct problems *p, const struct node_service *s) {
    const struct connect_proxy_config *proxy = &s->proxy;
    const struct {
        const char *name;
        bool set;
    } fields[] = {
        {"DestinationServiceName", proxy->destination_service_name.len > 0},
        {"DestinationServiceID", proxy->destination_service_id.len > 0},
        {"LocalServiceAddress", proxy->local_service_address.len > 0},
        {"LocalServicePort", proxy->local_service_port != 0},
        {"Upstreams", proxy->upstreams.len > 0},
    };
    if (s->port == 0 && !str_is(s->kind, "ingress-gateway")) {
        problem(p, "Port must be non-zero for a %.*s", STR_ARG(s->kind));
    }
    if (s->connect.sidecar_service != NULL) {
        problem(p, "A %.*s cannot have a sidecar service defined", STR_ARG(s->kind));
    }
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (fields[i].set) {
            problem(p, "The Proxy.%s configuration is invalid for a %.*s", fields[i].name,
                    STR_ARG(s->kind));
        }
    }
}

static void sidecar_check(struct problems *p, const struct node_service *s) {
    const struct service_definition *sidecar = s->connect.sidecar_service;
    if (sidecar == NULL) {
        return;
    }
    if (sidecar->id.len > 0) {
        problem(p, "A SidecarService cannot specify an ID as this is managed by the agent");
    }
    if (sidecar->connect != NULL && sidecar->connect->sidecar_service != NULL) {
        problem(p, "A SidecarService cannot have a nested SidecarService");
    }
}

bool service_kind_validate(const struct node_service *s, struct arena *arena, struct error *e) {
    struct problems p = {.arena = arena, .text = BUF_INIT};
    if (str_is(s->kind, "connect-proxy")) {
        proxy_check(&p, s);
    }
    if (str_is(s->kind, "mesh-gateway") || str_is(s->kind, "terminating-gateway") ||
        str_is(s->kind, "ingress-gateway")) {
        gateway_check(&p, s);
    }
    sidecar_check(&p, s);
    return problems_end(&p, e);
}

bool mesh_gateway_mode_known(struct str mode) {
    static const char *const modes[] = {"", "none", "local", "remote"};
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        if (str_is(mode, modes[i]))
            return true;
    return false;
}

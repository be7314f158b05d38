/* The rules for services and checks that the HTTP API and the configuration share
 * (agent.md 2.1–2.3).
 */
#include <stdlib.h>

#include "agent/check_run.h"
#include "agent/config_table.h"
#include "agent/local.h"
#include "base/mem.h"
#include "schema/meta.h"

/* ---- metadata ---- */

bool service_meta_validate(const struct list *meta, bool mesh_gateway, struct error *e) {
    if (meta_validate(meta, mesh_gateway ? META_RESERVED_MESH_GATEWAY : META_RESERVED_REFUSED, e))
        return true;
    e->kind = ERROR_BAD_REQUEST;
    return false;
}

bool weights_validate(const struct weights *w, struct error *e) {
    if (w->passing < 1)
        return error_set(e, ERROR_BAD_REQUEST, "Passing must be greater than 0");
    if (w->warning < 0)
        return error_set(e, ERROR_BAD_REQUEST, "Warning must be greater or equal than 0");
    if (w->passing > 65535 || w->warning > 65535)
        return error_set(e, ERROR_BAD_REQUEST, "DNS Weight must be between 0 and 65535");
    return true;
}

/* ---- names ---- */

bool dns_label_valid(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '\\'))
            return false;
    }
    return true;
}

/* ---- checks ---- */

static bool has_probe(const struct check_type *t) {
    return t->script_args.len > 0 || t->http.len > 0 || t->tcp.len > 0 || t->grpc.len > 0;
}

static bool is_alias(const struct check_type *t) {
    return t->alias_node.len > 0 || t->alias_service.len > 0;
}

bool check_type_validate(const struct check_type *t, struct error *e) {
    const char *fault = NULL;
    if (t->interval > 0 && t->ttl > 0)
        fault = "Interval and TTL cannot both be specified";
    else if (has_probe(t) && t->interval <= 0)
        fault = "Interval must be > 0 for Script, HTTP, or TCP checks";
    else if (has_probe(t) && is_alias(t))
        fault = "Interval cannot be set for Alias checks";
    else if (is_alias(t) && t->ttl > 0)
        fault = "TTL must be not be set for Alias checks";
    else if (!has_probe(t) && !is_alias(t) && t->ttl <= 0)
        fault = "TTL must be > 0 for TTL checks";
    else if (t->output_max_size < 0)
        fault = "MaxOutputMaxSize must be positive";
    return fault == NULL || error_set(e, ERROR_BAD_REQUEST, "%s", fault);
}

bool check_type_supported(const struct check_type *t, const struct config *c, bool from_api,
                          struct error *e) {
    bool script = t->script_args.len > 0;
    if (script && from_api && !c->enable_remote_script_checks)
        return error_set(
            e, ERROR_INTERNAL,
            "Scripts are disabled on this agent from remote calls; to enable, configure "
            "'enable_script_checks' to true");
    if (script && !from_api && !c->enable_local_script_checks)
        return error_set(
            e, ERROR_INTERNAL,
            "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or "
            "'enable_local_script_checks' to true");
    struct str address;
    bool tcp;
    return !script || t->docker_container_id.len == 0 ||
           check_docker_host(&address, &tcp, e->arena, e);
}

bool check_type_empty(const struct check_type *t) {
    static const struct check_type none;
    return schema_equal(&check_type_shape, t, &none);
}

struct str check_type_shown(const struct check_type *t) {
    if (t->grpc.len > 0)
        return STR("grpc");
    if (t->http.len > 0)
        return STR("http");
    if (t->ttl > 0)
        return STR("ttl");
    if (t->tcp.len > 0)
        return STR("tcp");
    if (is_alias(t))
        return STR("alias");
    if (t->docker_container_id.len > 0)
        return STR("docker");
    return t->script_args.len > 0 ? STR("script") : STR("");
}

/* ---- proxies and gateways ---- */

static void validate_upstream(const struct upstream *u, struct texts *errors) {
    struct str type = u->destination_type;
    if (type.len > 0 && !str_is(type, "service") && !str_is(type, "prepared_query"))
        texts_addf(errors, "unknown upstream destination type: \"" STR_FMT "\"", STR_ARG(type));
    if (u->destination_name.len == 0)
        texts_add(errors, STR("upstream destination name cannot be empty"));
    if (u->local_bind_port == 0)
        texts_add(errors, STR("upstream local bind port cannot be zero"));
}

static struct str upstream_bind(const struct upstream *u, struct arena *arena) {
    struct str address = u->local_bind_address.len > 0 ? u->local_bind_address : STR("127.0.0.1");
    return str_format(arena, STR_FMT ":%lld", STR_ARG(address), (long long)u->local_bind_port);
}

static bool same_destination(const struct upstream *a, const struct upstream *b) {
    return str_eq(a->destination_type, b->destination_type) &&
           str_eq(a->destination_name, b->destination_name) &&
           str_eq(a->destination_namespace, b->destination_namespace) &&
           str_eq(a->datacenter, b->datacenter);
}

static void validate_upstreams(const struct list *list, struct texts *errors) {
    for (uint32_t i = 0; i < list->len; i++) {
        const struct upstream *u = &LIST_AT(*list, struct upstream, i);
        validate_upstream(u, errors);
        struct str bind = upstream_bind(u, errors->arena);
        bool twice = false, bound = false;
        for (uint32_t j = 0; j < i; j++) {
            const struct upstream *other = &LIST_AT(*list, struct upstream, j);
            twice = twice || same_destination(u, other);
            bound = bound || str_eq(bind, upstream_bind(other, errors->arena));
        }
        if (twice)
            texts_addf(errors,
                       "upstreams cannot contain duplicates of [type=\"" STR_FMT
                       "\", name=\"" STR_FMT "\", namespace=\"" STR_FMT "\", datacenter=\"" STR_FMT
                       "\"]",
                       STR_ARG(u->destination_type), STR_ARG(u->destination_name),
                       STR_ARG(u->destination_namespace), STR_ARG(u->datacenter));
        if (bound)
            texts_addf(
                errors,
                "upstreams cannot contain duplicates by local bind address and port; \"" STR_FMT
                "\" is specified twice",
                STR_ARG(bind));
    }
}

static void validate_paths(const struct list *paths, struct texts *errors) {
    for (uint32_t i = 0; i < paths->len; i++) {
        const struct expose_path *p = &LIST_AT(*paths, struct expose_path, i);
        if (p->path.len == 0)
            texts_add(errors, STR("expose.paths: empty path exposed"));
        for (uint32_t j = 0; j < i; j++)
            if (str_eq(p->path, LIST_AT(*paths, struct expose_path, j).path)) {
                texts_add(errors, STR("expose.paths: duplicate paths exposed"));
                break;
            }
        for (uint32_t j = 0; j < i; j++)
            if (p->listener_port == LIST_AT(*paths, struct expose_path, j).listener_port) {
                texts_add(errors, STR("expose.paths: duplicate listener ports exposed"));
                break;
            }
        if (p->listener_port <= 0 || p->listener_port > 65535)
            texts_addf(errors, "expose.paths: invalid listener port: %lld",
                       (long long)p->listener_port);
        if (p->protocol.len > 0 && !str_is(p->protocol, "http") && !str_is(p->protocol, "http2"))
            texts_addf(errors,
                       "protocol '" STR_FMT "' not supported for path: " STR_FMT
                       ", must be in: [http http2]",
                       STR_ARG(p->protocol), STR_ARG(p->path));
    }
}

static void validate_proxy(const struct service_definition *d, struct texts *errors) {
    static const struct connect_proxy_config none;
    const struct connect_proxy_config *proxy = d->proxy ? d->proxy : &none;
    if (str_trim(proxy->destination_service_name).len == 0)
        texts_add(errors,
                  STR("Proxy.DestinationServiceName must be non-empty for Connect proxy services"));
    if (d->port == 0)
        texts_add(errors, STR("Port must be set for a Connect proxy"));
    if (d->connect != NULL && d->connect->native)
        texts_add(errors, STR("A Proxy cannot also be Connect Native, only typical services"));
    validate_upstreams(&proxy->upstreams, errors);
    validate_paths(&proxy->expose.paths, errors);
}

static void validate_gateway(const struct service_definition *d, struct texts *errors) {
    static const struct connect_proxy_config none;
    const struct connect_proxy_config *proxy = d->proxy ? d->proxy : &none;
    if (d->port == 0 && !str_is(d->kind, "ingress-gateway"))
        texts_addf(errors, "Port must be non-zero for a " STR_FMT, STR_ARG(d->kind));
    if (d->connect != NULL && d->connect->sidecar_service != NULL)
        texts_addf(errors, "A " STR_FMT " cannot have a sidecar service defined", STR_ARG(d->kind));
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
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (fields[i].set)
            texts_addf(errors, "The Proxy.%s configuration is invalid for a " STR_FMT,
                       fields[i].name, STR_ARG(d->kind));
}

bool service_definition_validate(const struct service_definition *d, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct texts errors = {.arena = &arena};
    if (str_is(d->kind, "connect-proxy"))
        validate_proxy(d, &errors);
    if (str_is(d->kind, "mesh-gateway") || str_is(d->kind, "terminating-gateway") ||
        str_is(d->kind, "ingress-gateway"))
        validate_gateway(d, &errors);
    if (d->connect != NULL && d->connect->sidecar_service != NULL) {
        const struct service_definition *sidecar = d->connect->sidecar_service;
        if (sidecar->id.len > 0)
            texts_add(&errors,
                      STR("A SidecarService cannot specify an ID as this is managed by the agent"));
        if (sidecar->connect != NULL && sidecar->connect->sidecar_service != NULL)
            texts_add(&errors, STR("A SidecarService cannot have a nested SidecarService"));
    }
    bool ok = errors.len == 0;
    if (!ok) {
        struct str text = texts_multi(&errors, &arena);
        error_set(e, ERROR_BAD_REQUEST, STR_FMT, STR_ARG(text));
    }
    arena_free(&arena);
    return ok;
}

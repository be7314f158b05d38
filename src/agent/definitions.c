/* The rules for services and checks that the HTTP API and the configuration share
 * (agent.md 2.1–2.3).
 */

#include "agent/check_run.h"
#include "agent/local.h"
#include "base/mem.h"
#include "schema/meta.h"
#include "schema/service_rules.h"

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

bool service_definition_validate(const struct service_definition *d, struct error *e) {
    struct node_service s = {.kind = d->kind, .port = d->port};
    if (d->proxy != NULL)
        s.proxy = *d->proxy;
    if (d->connect != NULL)
        s.connect = *d->connect;
    struct arena scratch = ARENA_INIT;
    bool ok = service_kind_validate(&s, &scratch, e);
    arena_free(&scratch);
    if (!ok)
        e->kind = ERROR_BAD_REQUEST;
    return ok;
}

/* Config entries: their tables (connect.md 1) and their wire forms (rpc.md 3.5). */
#include "schema/config_entry.h"

#include "codec/json.h"
#include "codec/msgpack.h"
#include "schema/table.h"

#define OMIT .flags = FIELD_OMIT_EMPTY
#define TEXT .flags = FIELD_OMIT_EMPTY | FIELD_DUR_TEXT | FIELD_DUR_ANY

/* Every kind begins and ends with these in JSON. */
#define HEAD F_STR("Kind", head.kind), F_STR("Name", head.name)
#define TAIL                                                                                       \
    F_MAP("Meta", head.meta, OF_STR, OMIT), F_UINT("CreateIndex", head.create_index),              \
        F_UINT("ModifyIndex", head.modify_index)

#define OF struct service_defaults
static const struct field service_defaults_fields[] = {
    HEAD,
    F_STR("Protocol", protocol),
    F_STRUCT("MeshGateway", mesh_gateway, mesh_gateway_config),
    F_STRUCT("Expose", expose, expose_config),
    F_STR("ExternalSNI", external_sni, OMIT),
    TAIL,
};
#undef OF
SHAPE(service_defaults, "ServiceConfigEntry");

#define OF struct proxy_defaults
static const struct field proxy_defaults_fields[] = {
    HEAD,
    F_ANY("Config", config, .flags = FIELD_MAP_ONLY),
    F_STRUCT("MeshGateway", mesh_gateway, mesh_gateway_config),
    F_STRUCT("Expose", expose, expose_config),
    TAIL,
};
#undef OF
SHAPE(proxy_defaults, "ProxyConfigEntry");

#define OF struct http_match_header
static const struct field http_match_header_fields[] = {
    F_STR("Name", name),
    F_BOOL("Present", present, OMIT),
    F_STR("Exact", exact, OMIT),
    F_STR("Prefix", prefix, OMIT),
    F_STR("Suffix", suffix, OMIT),
    F_STR("Regex", regex, OMIT),
    F_BOOL("Invert", invert, OMIT),
};
#undef OF
SHAPE(http_match_header, "ServiceRouteHTTPMatchHeader");

#define OF struct http_match_query_param
static const struct field http_match_query_param_fields[] = {
    F_STR("Name", name),
    F_BOOL("Present", present, OMIT),
    F_STR("Exact", exact, OMIT),
    F_STR("Regex", regex, OMIT),
};
#undef OF
SHAPE(http_match_query_param, "ServiceRouteHTTPMatchQueryParam");

#define OF struct http_match
static const struct field http_match_fields[] = {
    F_STR("PathExact", path_exact, OMIT),
    F_STR("PathPrefix", path_prefix, OMIT),
    F_STR("PathRegex", path_regex, OMIT),
    F_LIST("Header", header, OF_STRUCT(http_match_header), OMIT),
    F_LIST("QueryParam", query_param, OF_STRUCT(http_match_query_param), OMIT),
    F_LIST("Methods", methods, OF_STR, OMIT),
};
#undef OF
SHAPE(http_match, "ServiceRouteHTTPMatch");

#define OF struct service_route_match
static const struct field service_route_match_fields[] = {F_PTR("HTTP", http, http_match, OMIT)};
#undef OF
SHAPE(service_route_match, "ServiceRouteMatch");

#define OF struct service_route_destination
static const struct field service_route_destination_fields[] = {
    F_DUR("RequestTimeout", request_timeout, TEXT),
    F_STR("Service", service, OMIT),
    F_STR("ServiceSubset", service_subset, OMIT),
    F_STR("Namespace", namespace, OMIT),
    F_STR("PrefixRewrite", prefix_rewrite, OMIT),
    F_UINT("NumRetries", num_retries, OMIT, .go = "uint32"),
    F_BOOL("RetryOnConnectFailure", retry_on_connect_failure, OMIT),
    F_LIST("RetryOnStatusCodes", retry_on_status_codes, OF_UINT, OMIT, .go = "[]uint32"),
};
#undef OF
SHAPE(service_route_destination, "ServiceRouteDestination");

#define OF struct service_route
static const struct field service_route_fields[] = {
    F_PTR("Match", match, service_route_match, OMIT),
    F_PTR("Destination", destination, service_route_destination, OMIT),
};
#undef OF
SHAPE(service_route, "ServiceRoute");

#define OF struct service_router
static const struct field service_router_fields[] = {
    HEAD,
    F_LIST("Routes", routes, OF_STRUCT(service_route)),
    TAIL,
};
#undef OF
SHAPE(service_router, "ServiceRouterConfigEntry");

#define OF struct service_split
static const struct field service_split_fields[] = {
    F_F32("Weight", weight),
    F_STR("Service", service, OMIT),
    F_STR("ServiceSubset", service_subset, OMIT),
    F_STR("Namespace", namespace, OMIT),
};
#undef OF
SHAPE(service_split, "ServiceSplit");

#define OF struct service_splitter
static const struct field service_splitter_fields[] = {
    HEAD,
    F_LIST("Splits", splits, OF_STRUCT(service_split)),
    TAIL,
};
#undef OF
SHAPE(service_splitter, "ServiceSplitterConfigEntry");

#define OF struct service_resolver_subset
static const struct field service_resolver_subset_fields[] = {
    F_STR("Filter", filter, OMIT),
    F_BOOL("OnlyPassing", only_passing, OMIT),
};
#undef OF
SHAPE(service_resolver_subset, "ServiceResolverSubset");

#define OF struct service_resolver_redirect
static const struct field service_resolver_redirect_fields[] = {
    F_STR("Service", service, OMIT),
    F_STR("ServiceSubset", service_subset, OMIT),
    F_STR("Namespace", namespace, OMIT),
    F_STR("Datacenter", datacenter, OMIT),
};
#undef OF
SHAPE(service_resolver_redirect, "ServiceResolverRedirect");

#define OF struct service_resolver_failover
static const struct field service_resolver_failover_fields[] = {
    F_STR("Service", service, OMIT),
    F_STR("ServiceSubset", service_subset, OMIT),
    F_STR("Namespace", namespace, OMIT),
    F_LIST("Datacenters", datacenters, OF_STR, OMIT),
};
#undef OF
SHAPE(service_resolver_failover, "ServiceResolverFailover");

#define OF struct service_resolver
static const struct field service_resolver_fields[] = {
    F_DUR("ConnectTimeout", connect_timeout, TEXT),
    HEAD,
    F_STR("DefaultSubset", default_subset, OMIT),
    F_MAP("Subsets", subsets, OF_STRUCT(service_resolver_subset), OMIT),
    F_PTR("Redirect", redirect, service_resolver_redirect, OMIT),
    F_MAP("Failover", failover, OF_STRUCT(service_resolver_failover), OMIT),
    TAIL,
};
#undef OF
SHAPE(service_resolver, "ServiceResolverConfigEntry");

#define OF struct gateway_tls_config
static const struct field gateway_tls_config_fields[] = {F_BOOL("Enabled", enabled)};
#undef OF
SHAPE(gateway_tls_config, "GatewayTLSConfig");

#define OF struct ingress_service
static const struct field ingress_service_fields[] = {
    F_STR("Name", name),
    F_LIST("Hosts", hosts, OF_STR),
    F_MAP("Meta", meta, OF_STR, OMIT),
};
#undef OF
SHAPE(ingress_service, "IngressService");

#define OF struct ingress_listener
static const struct field ingress_listener_fields[] = {
    F_INT("Port", port),
    F_STR("Protocol", protocol),
    F_LIST("Services", services, OF_STRUCT(ingress_service)),
};
#undef OF
SHAPE(ingress_listener, "IngressListener");

#define OF struct ingress_gateway
static const struct field ingress_gateway_fields[] = {
    HEAD,
    F_STRUCT("TLS", tls, gateway_tls_config),
    F_LIST("Listeners", listeners, OF_STRUCT(ingress_listener)),
    TAIL,
};
#undef OF
SHAPE(ingress_gateway, "IngressGatewayConfigEntry");

#define OF struct linked_service
static const struct field linked_service_fields[] = {
    F_STR("Name", name, OMIT),
    F_STR("CAFile", ca_file, OMIT),
    F_STR("CertFile", cert_file, OMIT),
    F_STR("KeyFile", key_file, OMIT),
    F_STR("SNI", sni, OMIT),
};
#undef OF
SHAPE(linked_service, "LinkedService");

#define OF struct terminating_gateway
static const struct field terminating_gateway_fields[] = {
    HEAD,
    F_LIST("Services", services, OF_STRUCT(linked_service)),
    TAIL,
};
#undef OF
SHAPE(terminating_gateway, "TerminatingGatewayConfigEntry");

static const struct {
    const char *kind;
    const struct shape *shape;
} kinds[] = {
    {CONFIG_SERVICE_DEFAULTS, &service_defaults_shape},
    {CONFIG_PROXY_DEFAULTS, &proxy_defaults_shape},
    {CONFIG_SERVICE_ROUTER, &service_router_shape},
    {CONFIG_SERVICE_SPLITTER, &service_splitter_shape},
    {CONFIG_SERVICE_RESOLVER, &service_resolver_shape},
    {CONFIG_INGRESS_GATEWAY, &ingress_gateway_shape},
    {CONFIG_TERMINATING_GATEWAY, &terminating_gateway_shape},
};

const struct shape *config_entry_shape(struct str kind) {
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (str_is(kind, kinds[i].kind)) {
            return kinds[i].shape;
        }
    }
    return NULL;
}

/* Kinds whose entry is itself a raw string around the map. */
static bool is_wrapped(const struct shape *shape) {
    return shape == &proxy_defaults_shape;
}

bool config_entry_encode(struct buf *out, struct str kind, const struct config_entry *entry) {
    const struct shape *shape = config_entry_shape(kind);
    if (shape == NULL) {
        return false;
    }
    if (!is_wrapped(shape)) {
        schema_encode(out, shape, entry);
        return true;
    }
    struct buf inner = BUF_INIT;
    schema_encode(&inner, shape, entry);
    msgpack_write_str(out, buf_str(&inner));
    buf_free(&inner);
    return true;
}

struct config_entry *config_entry_decode(struct msgpack_reader *in, struct str kind,
                                         struct arena *arena, struct error *e) {
    const struct shape *shape = config_entry_shape(kind);
    if (shape == NULL) {
        error_set(e, ERROR_INTERNAL, "invalid config entry kind: " STR_FMT, STR_ARG(kind));
        return NULL;
    }
    void *entry = arena_zalloc(arena, 1, shape->size);
    struct msgpack_reader content;
    if (is_wrapped(shape)) {
        if (!msgpack_read_raw(in, &content, e)) {
            return NULL;
        }
        in = &content;
    }
    return schema_decode(in, shape, entry, arena, e) ? entry : NULL;
}

void config_entry_write_json(struct json_writer *out, const struct config_entry *entry) {
    const struct shape *shape = config_entry_shape(entry->kind);
    ASSERT(shape != NULL);
    schema_write_json(out, shape, entry);
}

struct config_entry *config_entry_copy(const struct config_entry *entry, struct arena *arena) {
    const struct shape *shape = config_entry_shape(entry->kind);
    ASSERT(shape != NULL);
    struct config_entry *copy = arena_zalloc(arena, 1, shape->size);
    schema_copy(shape, copy, entry, arena);
    return copy;
}

bool config_entry_equal(const struct config_entry *a, const struct config_entry *b) {
    const struct shape *shape = config_entry_shape(a->kind);
    return shape != NULL && shape == config_entry_shape(b->kind) && schema_equal(shape, a, b);
}

void config_entry_request_encode(struct buf *out, const struct config_entry_request *request) {
    struct buf content = BUF_INIT;
    msgpack_write_str(&content, request->kind);
    msgpack_write_map(&content, 4);
    msgpack_write_text(&content, "Datacenter");
    msgpack_write_str(&content, request->datacenter);
    msgpack_write_text(&content, "Entry");
    bool known = config_entry_encode(&content, request->kind, request->entry);
    ASSERT(known);
    msgpack_write_text(&content, "Op");
    msgpack_write_str(&content, request->op);
    msgpack_write_text(&content, "Token");
    msgpack_write_str(&content, request->token);
    msgpack_write_str(out, buf_str(&content));
    buf_free(&content);
}

/* What stands beside the entry. */
struct request_rest {
    struct str datacenter, op, token;
};
#define OF struct request_rest
static const struct field request_rest_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Op", op),
    F_STR("Token", token),
};
#undef OF
static struct shape_cache request_rest_cache;
static const struct shape request_rest_shape = {.name = "ConfigEntryRequest",
                                                .size = sizeof(struct request_rest),
                                                .fields = request_rest_fields,
                                                .field_count = COUNT_OF(request_rest_fields),
                                                .cache = &request_rest_cache};

/* Of a map that is known to be one, or something else that has no entry. */
static bool read_entry(struct msgpack_reader *in, struct config_entry_request *request,
                       struct arena *arena, struct error *e) {
    struct msgpack_token token;
    if (!msgpack_next(in, &token, e)) {
        return false;
    }
    for (uint32_t i = 0; token.type == MSGPACK_MAP && i < token.len; i++) {
        struct str name;
        if (!msgpack_read_str(in, &name, e)) {
            return false;
        }
        if (str_is(name, "Entry")) {
            request->entry = config_entry_decode(in, request->kind, arena, e);
            if (request->entry == NULL) {
                return false;
            }
        } else if (!msgpack_skip(in, e)) {
            return false;
        }
    }
    return true;
}

bool config_entry_request_decode(struct msgpack_reader *in, struct config_entry_request *request,
                                 struct arena *arena, struct error *e) {
    struct msgpack_reader content;
    struct request_rest rest;
    *request = (struct config_entry_request){0};
    if (!msgpack_read_raw(in, &content, e) || !msgpack_read_str(&content, &request->kind, e)) {
        return false;
    }
    const struct shape *shape = config_entry_shape(request->kind);
    if (shape == NULL) {
        return error_set(e, ERROR_INTERNAL, "invalid config entry kind: " STR_FMT,
                         STR_ARG(request->kind));
    }
    if (content.at == content.end) {
        return error_set(e, ERROR_INTERNAL, "EOF");
    }
    request->entry = arena_zalloc(arena, 1, shape->size);
    struct msgpack_reader again = content;
    if (!schema_decode(&again, &request_rest_shape, &rest, arena, e)) {
        return false;
    }
    request->datacenter = rest.datacenter;
    request->op = rest.op;
    request->token = rest.token;
    return read_entry(&content, request, arena, e);
}

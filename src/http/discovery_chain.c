/* /v1/discovery-chain: how the proxies of the mesh reach a service, compiled from configuration
 * entries (connect.md 5.1).
 */
#include "http/room.h"
#include "schema/chain.h"
#include "schema/config_entry_read.h"
#include "schema/service_rules.h"
#include "schema/table.h"

/* What a body may say. */
#define OF struct discovery_chain_request
static const struct field overrides_fields[] = {
    F_STRUCT("OverrideMeshGateway", override_mesh_gateway, mesh_gateway_config),
    F_STR("OverrideProtocol", override_protocol),
    F_DUR("OverrideConnectTimeout", override_connect_timeout),
};
#undef OF
static struct shape_cache overrides_cache;
static const struct shape overrides_shape = {.name = "DiscoveryChainRequest",
                                             .size = sizeof(struct discovery_chain_request),
                                             .fields = overrides_fields,
                                             .field_count = COUNT_OF(overrides_fields),
                                             .cache = &overrides_cache};

static void write_chain(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct discovery_chain_response *response = reply;
    (void)r;
    json_open_object(w);
    json_key(w, STR("Chain"));
    schema_write_json(w, &compiled_chain_shape, response->chain);
    json_close_object(w);
}

static void ask(struct http_request *r, struct discovery_chain_request *q) {
    http_call_cached(r, &endpoint_discovery_chain_get, q, &q->options, HTTP_CACHE_REFRESHED, 0,
                     write_chain);
}

static void ask_overridden(struct http_request *r) {
    struct discovery_chain_request *q = r->state;
    struct error e = ERROR_IN(&r->arena);
    if (!config_read_weakly(r->body, &overrides_shape, q, &r->arena, &e)) {
        error_prefix(&e, "Bad request: Request decoding failed: ");
        http_answer_error(r, &e);
        return;
    }
    if (!mesh_gateway_mode_known(q->override_mesh_gateway.mode)) {
        http_answer_text(r, 400, STR("Invalid OverrideMeshGateway.Mode parameter"));
        return;
    }
    ask(r, q);
}

static void get(struct http_request *r) {
    struct discovery_chain_request *q = ARENA_NEW(&r->arena, struct discovery_chain_request);
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options))
        return;
    q->name = r->argument;
    if (q->name.len == 0) {
        http_answer_fault(r, 400, STR("Bad request: Missing chain name"));
        return;
    }
    q->evaluate_in_datacenter = http_param(r, "compile-dc");
    if (!http_check_namespace(r))
        return;
    q->evaluate_in_namespace = STR("default");
    q->options.filter = STR(""); /* looked at by nobody */
    r->state = q;
    if (http_method_is(r, "POST"))
        http_read_body(r, 0, ask_overridden);
    else
        ask(r, q);
}

const struct http_route http_routes_discovery_chain[] = {
    {"/v1/discovery-chain/", "GET,POST", get, ROUTE_META | ROUTE_EFFECTIVE, NULL},
    {NULL, NULL, NULL, 0, NULL},
};

/* Field tables of the transaction's body. Several describe a struct of schema/catalog.h anew, as
 * the peer's API package declares it. */
#include "schema/txn_body.h"

#include "schema/table.h"

/* Fields that the peer knows and that go nowhere: they share this place in the operation. */
#define F_NAMESPACE(member) F_STR("Namespace", member)

#define OF struct service_address
static const struct field api_service_address_fields[] = {
    F_STR("Address", address),
    F_INT("Port", port),
};
#undef OF
SHAPE_OVER(api_service_address, service_address, "ServiceAddress", .go = "api.ServiceAddress");

#define OF struct weights
static const struct field api_weights_fields[] = {
    F_INT("Passing", passing),
    F_INT("Warning", warning),
};
#undef OF
SHAPE_OVER(api_weights, weights, "AgentWeights", .go = "api.AgentWeights");

#define OF struct mesh_gateway_config
static const struct field api_mesh_gateway_fields[] = {
    F_STR("Mode", mode, .go = "api.MeshGatewayMode"),
};
#undef OF
SHAPE_OVER(api_mesh_gateway, mesh_gateway_config, "MeshGatewayConfig",
           .go = "api.MeshGatewayConfig");

#define OF struct expose_path
static const struct field api_expose_path_fields[] = {
    F_INT("ListenerPort", listener_port),         F_STR("Path", path),
    F_INT("LocalPathPort", local_path_port),      F_STR("Protocol", protocol),
    F_BOOL("ParsedFromCheck", parsed_from_check),
};
#undef OF
SHAPE_OVER(api_expose_path, expose_path, "ExposePath", .go = "api.ExposePath");

#define OF struct expose_config
static const struct field api_expose_config_fields[] = {
    F_BOOL("Checks", checks),
    F_LIST("Paths", paths, OF_STRUCT(api_expose_path)),
};
#undef OF
SHAPE_OVER(api_expose_config, expose_config, "ExposeConfig", .go = "api.ExposeConfig");

/* F_STRUCT with a shape that is not named after the member's struct. */
#define F_STRUCT_AS(name, member, tag, item)                                                       \
    TABLE_FIELD(name, member, struct tag, {KIND_STRUCT, &item##_shape, NULL})
#define F_PTR_AS(name, member, tag, item, ...)                                                     \
    TABLE_FIELD(name, member, struct tag *,                                                        \
                {KIND_PTR, &item##_shape, NULL} __VA_OPT__(, ) __VA_ARGS__)

#define OF struct upstream
static const struct field api_upstream_fields[] = {
    F_STR("DestinationType", destination_type, .go = "api.UpstreamDestType"),
    F_STR("DestinationNamespace", destination_namespace),
    F_STR("DestinationName", destination_name),
    F_STR("Datacenter", datacenter),
    F_STR("LocalBindAddress", local_bind_address),
    F_INT("LocalBindPort", local_bind_port),
    F_ANY("Config", config, .flags = FIELD_MAP_ONLY),
    F_STRUCT_AS("MeshGateway", mesh_gateway, mesh_gateway_config, api_mesh_gateway),
};
#undef OF
SHAPE_OVER(api_upstream, upstream, "Upstream", .go = "api.Upstream");

#define OF struct connect_proxy_config
static const struct field api_proxy_fields[] = {
    F_STR("DestinationServiceName", destination_service_name),
    F_STR("DestinationServiceID", destination_service_id),
    F_STR("LocalServiceAddress", local_service_address),
    F_INT("LocalServicePort", local_service_port),
    F_ANY("Config", config, .flags = FIELD_MAP_ONLY),
    F_LIST("Upstreams", upstreams, OF_STRUCT(api_upstream)),
    F_STRUCT_AS("MeshGateway", mesh_gateway, mesh_gateway_config, api_mesh_gateway),
    F_STRUCT_AS("Expose", expose, expose_config, api_expose_config),
};
#undef OF
SHAPE_OVER(api_proxy, connect_proxy_config, "AgentServiceConnectProxyConfig",
           .go = "api.AgentServiceConnectProxyConfig");

/* A sidecar in a transaction has no effect: its plain fields are looked at, the rest may be
 * anything. */
#define OF struct service_definition
static const struct field api_registration_fields[] = {
    F_STR("Kind", kind, .go = "api.ServiceKind"),
    F_STR("ID", id),
    F_STR("Name", name),
    F_LIST("Tags", tags, OF_STR),
    F_INT("Port", port),
    F_STR("Address", address),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STRUCT(api_service_address)),
    F_BOOL("EnableTagOverride", enable_tag_override),
    F_MAP("Meta", meta, OF_STR),
    F_PTR_AS("Weights", weights, weights, api_weights),
    F_PTR_AS("Proxy", proxy, connect_proxy_config, api_proxy),
    F_STR("Namespace", token),
};
#undef OF
SHAPE_OVER(api_registration, service_definition, "AgentServiceRegistration",
           .go = "api.AgentServiceRegistration");

#define OF struct service_connect
static const struct field api_connect_fields[] = {
    F_BOOL("Native", native),
    F_PTR_AS("SidecarService", sidecar_service, service_definition, api_registration,
             .flags = FIELD_LENIENT),
};
#undef OF
SHAPE_OVER(api_connect, service_connect, "AgentServiceConnect", .go = "api.AgentServiceConnect");

/* ContentHash and Namespace have no member of their own: Kind's, which is not used either, takes
 * them. */
#define OF struct node_service
static const struct field api_service_fields[] = {
    F_STR("Kind", kind, .go = "api.ServiceKind"),
    F_STR("ID", id),
    F_STR("Service", service),
    F_LIST("Tags", tags, OF_STR),
    F_MAP("Meta", meta, OF_STR),
    F_INT("Port", port),
    F_STR("Address", address),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STRUCT(api_service_address)),
    F_PTR_AS("Weights", weights, weights, api_weights),
    F_BOOL("EnableTagOverride", enable_tag_override),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
    F_STR("ContentHash", kind),
    F_STRUCT_AS("Proxy", proxy, connect_proxy_config, api_proxy),
    F_STRUCT_AS("Connect", connect, service_connect, api_connect),
    F_NAMESPACE(kind),
};
#undef OF
SHAPE_OVER(api_service, node_service, "AgentService", .go = "api.AgentService");

#define OF struct node
static const struct field api_node_fields[] = {
    F_STR("ID", id),
    F_STR("Node", node),
    F_STR("Address", address),
    F_STR("Datacenter", datacenter),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STR),
    F_MAP("Meta", meta, OF_STR),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE_OVER(api_node, node, "Node", .go = "api.Node");

/* The "…Duration" forms are read last and win. */
#define OF struct health_check_definition
static const struct field api_check_definition_fields[] = {
    F_STR("HTTP", http),
    F_MAP("Header", header, OF_LIST(OF_STR)),
    F_STR("Method", method),
    F_STR("Body", body),
    F_BOOL("TLSSkipVerify", tls_skip_verify),
    F_STR("TCP", tcp),
    F_DUR("IntervalDuration", interval, .flags = FIELD_DUR_ANY),
    F_DUR("TimeoutDuration", timeout, .flags = FIELD_DUR_ANY),
    F_DUR("DeregisterCriticalServiceAfterDuration", deregister_critical_service_after,
          .flags = FIELD_DUR_ANY),
    F_DUR("Interval", interval, .flags = FIELD_DUR_READABLE),
    F_DUR("Timeout", timeout, .flags = FIELD_DUR_READABLE),
    F_DUR("DeregisterCriticalServiceAfter", deregister_critical_service_after,
          .flags = FIELD_DUR_READABLE),
};
#undef OF
SHAPE_OVER(api_check_definition, health_check_definition, "HealthCheckDefinition",
           .flags = SHAPE_OWN_JSON | SHAPE_LENIENT,
           .go = "struct { IntervalDuration interface {}; TimeoutDuration interface {}; "
                 "DeregisterCriticalServiceAfterDuration interface {}; *api.Alias }");

/* Type is taken and not used; Namespace likewise. */
#define OF struct health_check
static const struct field api_check_fields[] = {
    F_STR("Node", node),
    F_STR("CheckID", check_id),
    F_STR("Name", name),
    F_STR("Status", status),
    F_STR("Notes", notes),
    F_STR("Output", output),
    F_STR("ServiceID", service_id),
    F_STR("ServiceName", service_name),
    F_LIST("ServiceTags", service_tags, OF_STR),
    F_STR("Type", type),
    F_NAMESPACE(type),
    F_STRUCT_AS("Definition", definition, health_check_definition, api_check_definition),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE_OVER(api_check, health_check, "HealthCheck", .go = "api.HealthCheck");

#define OF struct api_kv_op
static const struct field api_kv_op_fields[] = {
    F_STR("Verb", verb, .go = "api.KVOp"),
    F_STR("Key", key),
    F_BYTES("Value", value),
    F_UINT("Flags", flags),
    F_UINT("Index", index),
    F_STR("Session", session),
    F_NAMESPACE(namespace),
};
#undef OF
SHAPE(api_kv_op, "KVTxnOp", .go = "api.KVTxnOp");

#define OF struct api_node_op
static const struct field api_node_op_fields[] = {
    F_STR("Verb", verb, .go = "api.NodeOp"),
    F_STRUCT_AS("Node", node, node, api_node),
};
#undef OF
SHAPE(api_node_op, "NodeTxnOp", .go = "api.NodeTxnOp");

#define OF struct api_service_op
static const struct field api_service_op_fields[] = {
    F_STR("Verb", verb, .go = "api.ServiceOp"),
    F_STR("Node", node),
    F_STRUCT_AS("Service", service, node_service, api_service),
};
#undef OF
SHAPE(api_service_op, "ServiceTxnOp", .go = "api.ServiceTxnOp");

#define OF struct api_check_op
static const struct field api_check_op_fields[] = {
    F_STR("Verb", verb, .go = "api.CheckOp"),
    F_STRUCT_AS("Check", check, health_check, api_check),
};
#undef OF
SHAPE(api_check_op, "CheckTxnOp", .go = "api.CheckTxnOp");

#define OF struct api_txn_op
static const struct field api_txn_op_fields[] = {
    F_PTR("KV", kv, api_kv_op),
    F_PTR("Node", node, api_node_op),
    F_PTR("Service", service, api_service_op),
    F_PTR("Check", check, api_check_op),
};
#undef OF
SHAPE(api_txn_op, "TxnOp", .go = "api.TxnOp");

const struct type api_txn_ops_type = {KIND_LIST, NULL, OF_PTR(api_txn_op)};

/* Field tables of the catalog's structures, in the order of http-core.md 10 and agent.md 1.7. */
#include "schema/catalog.h"

#include "schema/table.h"

#define OMIT .flags = FIELD_OMIT_EMPTY
#define HIDDEN .flags = FIELD_NO_JSON
#define INDEX .flags = FIELD_NO_FILTER

#define OF struct node
static const struct field node_fields[] = {
    F_STR("ID", id, .go = "types.NodeID"),
    F_STR("Node", node),
    F_STR("Address", address),
    F_STR("Datacenter", datacenter),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STR),
    F_MAP("Meta", meta, OF_STR),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
SHAPE(node, "Node");

#define OF struct service_address
static const struct field service_address_fields[] = {
    F_STR("Address", address),
    F_INT("Port", port),
};
#undef OF
SHAPE(service_address, "ServiceAddress");

#define OF struct weights
static const struct field weights_fields[] = {
    F_INT("Passing", passing),
    F_INT("Warning", warning),
};
#undef OF
SHAPE(weights, "Weights");

#define OF struct mesh_gateway_config
static const struct field mesh_gateway_config_fields[] = {
    F_STR("Mode", mode, OMIT, .go = "structs.MeshGatewayMode"),
};
#undef OF
SHAPE(mesh_gateway_config, "MeshGatewayConfig");

#define OF struct expose_path
static const struct field expose_path_fields[] = {
    F_INT("ListenerPort", listener_port, OMIT),    F_STR("Path", path, OMIT),
    F_INT("LocalPathPort", local_path_port, OMIT), F_STR("Protocol", protocol, OMIT),
    F_BOOL("ParsedFromCheck", parsed_from_check),
};
#undef OF
static const struct json_alias expose_path_aliases[] = {
    {"local_path_port", "LocalPathPort"},
    {"listener_port", "ListenerPort"},
    {NULL, NULL},
};
SHAPE(expose_path, "ExposePath", .flags = SHAPE_OWN_JSON, .aliases = expose_path_aliases,
      .go = "struct { LocalPathPortSnake int \"json:\\\"local_path_port\\\"\"; "
            "ListenerPortSnake int \"json:\\\"listener_port\\\"\"; *structs.Alias }");

#define OF struct expose_config
static const struct field expose_config_fields[] = {
    F_BOOL("Checks", checks, OMIT),
    F_LIST("Paths", paths, OF_STRUCT(expose_path), OMIT, .go = "[]structs.ExposePath"),
};
#undef OF
SHAPE(expose_config, "ExposeConfig");

#define OF struct upstream
static const struct field upstream_fields[] = {
    F_STR("DestinationType", destination_type),
    F_STR("DestinationNamespace", destination_namespace, OMIT),
    F_STR("DestinationName", destination_name),
    F_STR("Datacenter", datacenter),
    F_STR("LocalBindAddress", local_bind_address, OMIT),
    F_INT("LocalBindPort", local_bind_port),
    F_ANY("Config", config, .flags = FIELD_MAP_ONLY | FIELD_NO_FILTER),
    F_STRUCT("MeshGateway", mesh_gateway, mesh_gateway_config),
    F_LIST("IngressHosts", ingress_hosts, OF_STR, .flags = FIELD_NO_JSON | FIELD_NO_FILTER),
};
#undef OF
static const struct json_alias upstream_aliases[] = {
    {"destination_type", "DestinationType"},    {"destination_namespace", "DestinationNamespace"},
    {"destination_name", "DestinationName"},    {"local_bind_port", "LocalBindPort"},
    {"local_bind_address", "LocalBindAddress"}, {NULL, NULL},
};
SHAPE(upstream, "Upstream", .flags = SHAPE_OWN_JSON, .aliases = upstream_aliases,
      .go = "struct { DestinationTypeSnake string \"json:\\\"destination_type\\\"\"; "
            "DestinationNamespaceSnake string \"json:\\\"destination_namespace\\\"\"; "
            "DestinationNameSnake string \"json:\\\"destination_name\\\"\"; "
            "LocalBindPortSnake int \"json:\\\"local_bind_port\\\"\"; "
            "LocalBindAddressSnake string \"json:\\\"local_bind_address\\\"\"; *structs.Alias }");

#define OF struct connect_proxy_config
static const struct field connect_proxy_config_fields[] = {
    F_STR("DestinationServiceName", destination_service_name, OMIT),
    F_STR("DestinationServiceID", destination_service_id, OMIT),
    F_STR("LocalServiceAddress", local_service_address, OMIT),
    F_INT("LocalServicePort", local_service_port, OMIT),
    F_ANY("Config", config, .flags = FIELD_OMIT_EMPTY | FIELD_MAP_ONLY | FIELD_NO_FILTER),
    F_LIST("Upstreams", upstreams, OF_STRUCT(upstream), OMIT, .go = "structs.Upstreams"),
    F_STRUCT("MeshGateway", mesh_gateway, mesh_gateway_config),
    F_STRUCT("Expose", expose, expose_config),
};
#undef OF
static const struct json_alias connect_proxy_config_aliases[] = {
    {"destination_service_name", "DestinationServiceName"},
    {"destination_service_id", "DestinationServiceID"},
    {"local_service_address", "LocalServiceAddress"},
    {"local_service_port", "LocalServicePort"},
    {NULL, NULL},
};
SHAPE(connect_proxy_config, "ConnectProxyConfig", .flags = SHAPE_OWN_JSON,
      .aliases = connect_proxy_config_aliases,
      .go =
          "struct { DestinationServiceNameSnake string \"json:\\\"destination_service_name\\\"\"; "
          "DestinationServiceIDSnake string \"json:\\\"destination_service_id\\\"\"; "
          "LocalServiceAddressSnake string \"json:\\\"local_service_address\\\"\"; "
          "LocalServicePortSnake int \"json:\\\"local_service_port\\\"\"; *structs.Alias }");

#define DURATION(flag) .flags = (flag) | FIELD_DUR_ANY

/* As a check inside a service: JSON in has the aliases of agent.md 2.3. JSON out is seen only where
 * a sidecar's definition is printed (http-core.md 10.7). */
#define OF struct check_type
static const struct field check_type_fields[] = {
    F_STR("CheckID", check_id, .go = "types.CheckID"),
    F_STR("Name", name),
    F_STR("Status", status),
    F_STR("Notes", notes),
    F_LIST("ScriptArgs", script_args, OF_STR),
    F_STR("HTTP", http),
    F_MAP("Header", header, OF_LIST(OF_STR)),
    F_STR("Method", method),
    F_STR("Body", body),
    F_STR("TCP", tcp),
    F_DUR("Interval", interval, DURATION(0)),
    F_STR("AliasNode", alias_node),
    F_STR("AliasService", alias_service),
    F_STR("DockerContainerID", docker_container_id),
    F_STR("Shell", shell),
    F_STR("GRPC", grpc),
    F_BOOL("GRPCUseTLS", grpc_use_tls),
    F_BOOL("TLSSkipVerify", tls_skip_verify),
    F_DUR("Timeout", timeout, DURATION(0)),
    F_DUR("TTL", ttl, DURATION(0)),
    F_INT("SuccessBeforePassing", success_before_passing),
    F_INT("FailuresBeforeCritical", failures_before_critical),
    F_STR("ProxyHTTP", proxy_http),
    F_STR("ProxyGRPC", proxy_grpc),
    F_DUR("DeregisterCriticalServiceAfter", deregister_critical_service_after, DURATION(0)),
    F_INT("OutputMaxSize", output_max_size),
};
#undef OF
static const struct json_alias check_type_aliases[] = {
    {"args", "ScriptArgs"},
    {"script_args", "ScriptArgs"},
    {"deregister_critical_service_after", "DeregisterCriticalServiceAfter"},
    {"docker_container_id", "DockerContainerID"},
    {"tls_skip_verify", "TLSSkipVerify"},
    {"ServiceID", NULL},
    {"service_id", NULL},
    {NULL, NULL},
};
#define CHECK_GO_START                                                                             \
    "struct { Interval interface {}; Timeout interface {}; TTL interface {}; "                     \
    "DeregisterCriticalServiceAfter interface {}; Args []string \"json:\\\"args\\\"\"; "           \
    "ScriptArgsSnake []string \"json:\\\"script_args\\\"\"; "                                      \
    "DeregisterCriticalServiceAfterSnake interface {} "                                            \
    "\"json:\\\"deregister_critical_service_after\\\"\"; "                                         \
    "DockerContainerIDSnake string \"json:\\\"docker_container_id\\\"\"; "                         \
    "TLSSkipVerifySnake bool \"json:\\\"tls_skip_verify\\\"\"; "
SHAPE(check_type, "CheckType", .flags = SHAPE_OWN_JSON, .aliases = check_type_aliases,
      .go = CHECK_GO_START "ServiceID string \"json:\\\"ServiceID\\\"\"; "
                           "ServiceIDSnake string \"json:\\\"service_id\\\"\"; *structs.Alias }");

#define OF struct check_definition
static const struct field check_definition_fields[] = {
    F_STR("ID", id, .go = "types.CheckID"),
    F_STR("Name", name),
    F_STR("Notes", notes),
    F_STR("ServiceID", service_id),
    F_STR("Token", token),
    F_STR("Status", status),
    F_LIST("ScriptArgs", script_args, OF_STR),
    F_STR("HTTP", http),
    F_MAP("Header", header, OF_LIST(OF_STR)),
    F_STR("Method", method),
    F_STR("Body", body),
    F_STR("TCP", tcp),
    F_DUR("Interval", interval, DURATION(0)),
    F_STR("DockerContainerID", docker_container_id),
    F_STR("Shell", shell),
    F_STR("GRPC", grpc),
    F_BOOL("GRPCUseTLS", grpc_use_tls),
    F_BOOL("TLSSkipVerify", tls_skip_verify),
    F_STR("AliasNode", alias_node),
    F_STR("AliasService", alias_service),
    F_DUR("Timeout", timeout, DURATION(0)),
    F_DUR("TTL", ttl, DURATION(0)),
    F_INT("SuccessBeforePassing", success_before_passing),
    F_INT("FailuresBeforeCritical", failures_before_critical),
    F_DUR("DeregisterCriticalServiceAfter", deregister_critical_service_after, DURATION(0)),
    F_INT("OutputMaxSize", output_max_size),
};
#undef OF
static const struct json_alias check_definition_aliases[] = {
    {"args", "ScriptArgs"},
    {"script_args", "ScriptArgs"},
    {"deregister_critical_service_after", "DeregisterCriticalServiceAfter"},
    {"docker_container_id", "DockerContainerID"},
    {"tls_skip_verify", "TLSSkipVerify"},
    {"service_id", "ServiceID"},
    {NULL, NULL},
};
SHAPE(check_definition, "CheckDefinition", .flags = SHAPE_OWN_JSON,
      .aliases = check_definition_aliases,
      .go = CHECK_GO_START "ServiceIDSnake string \"json:\\\"service_id\\\"\"; *structs.Alias }");

#define OF struct service_connect
static const struct field service_connect_fields[] = {
    F_BOOL("Native", native, OMIT),
    F_PTR("SidecarService", sidecar_service, service_definition,
          .flags = FIELD_OMIT_EMPTY | FIELD_NO_FILTER),
};
#undef OF
static const struct json_alias service_connect_aliases[] = {
    {"sidecar_service", "SidecarService"},
    {NULL, NULL},
};
SHAPE(service_connect, "ServiceConnect", .flags = SHAPE_OWN_JSON | SHAPE_LENIENT,
      .aliases = service_connect_aliases,
      .go = "struct { SidecarServiceSnake *structs.ServiceDefinition "
            "\"json:\\\"sidecar_service\\\"\"; *structs.Alias }");

#define OF struct service_definition
static const struct field service_definition_fields[] = {
    F_STR("Kind", kind, OMIT, .go = "structs.ServiceKind"),
    F_STR("ID", id),
    F_STR("Name", name),
    F_LIST("Tags", tags, OF_STR),
    F_STR("Address", address),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STRUCT(service_address)),
    F_MAP("Meta", meta, OF_STR),
    F_INT("Port", port),
    F_STRUCT("Check", check, check_type),
    F_LIST("Checks", checks, OF_PTR(check_type), .go = "structs.CheckTypes"),
    F_PTR("Weights", weights, weights),
    F_STR("Token", token),
    F_BOOL("EnableTagOverride", enable_tag_override),
    F_PTR("Proxy", proxy, connect_proxy_config),
    F_PTR("Connect", connect, service_connect),
};
#undef OF
static const struct json_alias service_definition_aliases[] = {
    {"enable_tag_override", "EnableTagOverride"},
    {"tagged_addresses", "TaggedAddresses"},
    {NULL, NULL},
};
SHAPE(service_definition, "ServiceDefinition", .flags = SHAPE_OWN_JSON,
      .aliases = service_definition_aliases,
      .go = "struct { EnableTagOverrideSnake bool \"json:\\\"enable_tag_override\\\"\"; "
            "TaggedAddressesSnake map[string]structs.ServiceAddress "
            "\"json:\\\"tagged_addresses\\\"\"; *structs.Alias }");

#define OF struct node_service
static const struct field node_service_fields[] = {
    F_STR("Kind", kind, OMIT, .go = "structs.ServiceKind"),
    F_STR("ID", id),
    F_STR("Service", service),
    F_LIST("Tags", tags, OF_STR),
    F_STR("Address", address),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STRUCT(service_address), OMIT),
    F_MAP("Meta", meta, OF_STR),
    F_INT("Port", port),
    F_PTR("Weights", weights, weights),
    F_BOOL("EnableTagOverride", enable_tag_override),
    F_STRUCT("Proxy", proxy, connect_proxy_config),
    F_STRUCT("Connect", connect, service_connect),
    F_BOOL("LocallyRegisteredAsSidecar", locally_registered_as_sidecar, HIDDEN),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
SHAPE(node_service, "NodeService");

#define OF struct health_check_definition
static const struct field health_check_definition_fields[] = {
    F_DUR("Interval", interval, DURATION(FIELD_OMIT_EMPTY | FIELD_DUR_TEXT)),
    F_UINT("OutputMaxSize", output_max_size, OMIT, .go = "uint"),
    F_DUR("Timeout", timeout, DURATION(FIELD_OMIT_EMPTY | FIELD_DUR_TEXT)),
    F_DUR("DeregisterCriticalServiceAfter", deregister_critical_service_after,
          DURATION(FIELD_OMIT_EMPTY | FIELD_DUR_TEXT)),
    F_STR("HTTP", http, OMIT),
    F_BOOL("TLSSkipVerify", tls_skip_verify, OMIT),
    F_MAP("Header", header, OF_LIST(OF_STR), OMIT),
    F_STR("Method", method, OMIT),
    F_STR("Body", body, OMIT),
    F_STR("TCP", tcp, OMIT),
    F_LIST("ScriptArgs", script_args, OF_STR, OMIT),
    F_STR("DockerContainerID", docker_container_id, OMIT),
    F_STR("Shell", shell, OMIT),
    F_STR("GRPC", grpc, OMIT),
    F_BOOL("GRPCUseTLS", grpc_use_tls, OMIT),
    F_STR("AliasNode", alias_node, OMIT),
    F_STR("AliasService", alias_service, OMIT),
    F_DUR("TTL", ttl, DURATION(FIELD_OMIT_EMPTY)),
};
#undef OF
SHAPE(health_check_definition, "HealthCheckDefinition", .flags = SHAPE_OWN_JSON | SHAPE_LENIENT,
      .go = "struct { Interval interface {}; Timeout interface {}; "
            "DeregisterCriticalServiceAfter interface {}; TTL interface {}; *structs.Alias }");

#define OF struct health_check
static const struct field health_check_fields[] = {
    F_STR("Node", node),
    F_STR("CheckID", check_id, .go = "types.CheckID"),
    F_STR("Name", name),
    F_STR("Status", status),
    F_STR("Notes", notes),
    F_STR("Output", output),
    F_STR("ServiceID", service_id),
    F_STR("ServiceName", service_name),
    F_LIST("ServiceTags", service_tags, OF_STR),
    F_STR("Type", type),
    F_STRUCT("Definition", definition, health_check_definition, .flags = FIELD_NO_FILTER),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
SHAPE(health_check, "HealthCheck");

#define OF struct check_service_node
static const struct field check_service_node_fields[] = {
    F_PTR("Node", node, node),
    F_PTR("Service", service, node_service),
    F_LIST("Checks", checks, OF_PTR(health_check), .go = "structs.HealthChecks"),
};
#undef OF
SHAPE(check_service_node, "CheckServiceNode");

#define OF struct service_node
static const struct field service_node_fields[] = {
    F_STR("ID", id, .go = "types.NodeID"),
    F_STR("Node", node),
    F_STR("Address", address),
    F_STR("Datacenter", datacenter),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STR),
    F_MAP("NodeMeta", node_meta, OF_STR),
    F_STR("ServiceKind", service_kind, .go = "structs.ServiceKind"),
    F_STR("ServiceID", service_id),
    F_STR("ServiceName", service_name),
    F_LIST("ServiceTags", service_tags, OF_STR),
    F_STR("ServiceAddress", service_address),
    F_MAP("ServiceTaggedAddresses", service_tagged_addresses, OF_STRUCT(service_address), OMIT),
    F_STRUCT("ServiceWeights", service_weights, weights),
    F_MAP("ServiceMeta", service_meta, OF_STR),
    F_INT("ServicePort", service_port),
    F_BOOL("ServiceEnableTagOverride", service_enable_tag_override),
    F_STRUCT("ServiceProxy", service_proxy, connect_proxy_config),
    F_STRUCT("ServiceConnect", service_connect, service_connect),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
SHAPE(service_node, "ServiceNode");

#define OF struct node_info
static const struct field node_info_fields[] = {
    F_STR("ID", id, .go = "types.NodeID"),
    F_STR("Node", node),
    F_STR("Address", address),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STR),
    F_MAP("Meta", meta, OF_STR),
    F_LIST("Services", services, OF_PTR(node_service)),
    F_LIST("Checks", checks, OF_PTR(health_check), .go = "structs.HealthChecks"),
};
#undef OF
SHAPE(node_info, "NodeInfo");

#define OF struct service_name
static const struct field service_name_fields[] = {F_STR("Name", name)};
#undef OF
SHAPE(service_name, "ServiceName");

#define OF struct gateway_service
static const struct field gateway_service_fields[] = {
    F_STRUCT("Gateway", gateway, service_name),
    F_STRUCT("Service", service, service_name),
    F_STR("GatewayKind", gateway_kind),
    F_INT("Port", port, OMIT),
    F_STR("Protocol", protocol, OMIT),
    F_LIST("Hosts", hosts, OF_STR, OMIT),
    F_STR("CAFile", ca_file, OMIT),
    F_STR("CertFile", cert_file, OMIT),
    F_STR("KeyFile", key_file, OMIT),
    F_STR("SNI", sni, OMIT),
    F_BOOL("FromWildcard", from_wildcard, OMIT),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
SHAPE(gateway_service, "GatewayService");

#define OF struct service_info
static const struct field service_info_fields[] = {
    F_PTR("Node", node, node),
    F_PTR("Service", service, node_service),
    F_LIST("Checks", checks, OF_PTR(health_check), .go = "structs.HealthChecks"),
    F_PTR("GatewayService", gateway_service, gateway_service),
};
#undef OF
SHAPE(service_info, "ServiceInfo");

/* ---- where they are ---- */

struct tagged_address {
    struct str tag;
    struct service_address value;
};

void catalog_instance_address(const struct check_service_node *instance, bool wan,
                              struct str *address, int64_t *port) {
    const struct node_service *s = instance->service;
    const struct node *node = instance->node;
    const struct service_address *tagged =
        map_pair_value(&s->tagged_addresses, sizeof(struct tagged_address), STR("wan"));
    const struct str *node_wan = str_map_get(&node->tagged_addresses, STR("wan"));
    *address = wan && tagged != NULL ? tagged->address : s->address;
    *port = wan && tagged != NULL && tagged->port != 0 ? tagged->port : s->port;
    if (address->len == 0 && wan && node_wan != NULL)
        *address = *node_wan;
    if (address->len == 0)
        *address = node->address;
}

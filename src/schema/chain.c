/* Field tables of discovery chains (connect.md 5.1), and looking into one. */
#include "schema/chain.h"

#include "schema/table.h"

#define OMIT .flags = FIELD_OMIT_EMPTY

#define OF struct chain_failover
static const struct field chain_failover_fields[] = {F_LIST("Targets", targets, OF_STR)};
#undef OF
SHAPE(chain_failover, "DiscoveryFailover");

#define OF struct chain_resolver
static const struct field chain_resolver_fields[] = {
    F_DUR("ConnectTimeout", connect_timeout, .flags = FIELD_DUR_TEXT),
    F_BOOL("Default", is_default, OMIT),
    F_STR("Target", target),
    F_PTR("Failover", failover, chain_failover, OMIT),
};
#undef OF
SHAPE(chain_resolver, "DiscoveryResolver");

#define OF struct chain_route
static const struct field chain_route_fields[] = {
    F_PTR("Definition", definition, service_route, OMIT),
    F_STR("NextNode", next_node, OMIT),
};
#undef OF
SHAPE(chain_route, "DiscoveryRoute");

#define OF struct chain_split
static const struct field chain_split_fields[] = {
    F_F32("Weight", weight, OMIT),
    F_STR("NextNode", next_node, OMIT),
};
#undef OF
SHAPE(chain_split, "DiscoverySplit");

#define OF struct chain_node
static const struct field chain_node_fields[] = {
    F_STR("Type", type),
    F_STR("Name", name),
    F_LIST("Routes", routes, OF_PTR(chain_route), OMIT),
    F_LIST("Splits", splits, OF_PTR(chain_split), OMIT),
    F_PTR("Resolver", resolver, chain_resolver, OMIT),
};
#undef OF
SHAPE(chain_node, "DiscoveryGraphNode");

#define OF struct chain_target
static const struct field chain_target_fields[] = {
    F_STR("ID", id),
    F_STR("Service", service),
    F_STR("ServiceSubset", service_subset, OMIT),
    F_STR("Namespace", namespace),
    F_STR("Datacenter", datacenter),
    F_STRUCT("MeshGateway", mesh_gateway, mesh_gateway_config),
    F_STRUCT("Subset", subset, service_resolver_subset),
    F_BOOL("External", external, OMIT),
    F_STR("SNI", sni),
    F_STR("Name", name),
};
#undef OF
SHAPE(chain_target, "DiscoveryTarget");

#define OF struct compiled_chain
static const struct field compiled_chain_fields[] = {
    F_STR("ServiceName", service_name),
    F_STR("Namespace", namespace),
    F_STR("Datacenter", datacenter),
    F_STR("CustomizationHash", customization_hash, OMIT),
    F_STR("Protocol", protocol, OMIT),
    F_STR("StartNode", start_node, OMIT),
    F_MAP("Nodes", nodes, OF_PTR(chain_node), OMIT),
    F_MAP("Targets", targets, OF_PTR(chain_target), OMIT),
};
#undef OF
SHAPE(compiled_chain, "CompiledDiscoveryChain");

/* JSON in: http/chain.c has a table of its own for what a body may say. */
#define OF struct discovery_chain_request
static const struct field discovery_chain_request_fields[] = {
    F_STR("Name", name),
    F_STR("EvaluateInDatacenter", evaluate_in_datacenter),
    F_STR("EvaluateInNamespace", evaluate_in_namespace),
    F_STRUCT("OverrideMeshGateway", override_mesh_gateway, mesh_gateway_config),
    F_STR("OverrideProtocol", override_protocol),
    F_DUR("OverrideConnectTimeout", override_connect_timeout),
    F_STR("Datacenter", datacenter),
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(discovery_chain_request, "DiscoveryChainRequest");

#define OF struct discovery_chain_response
static const struct field discovery_chain_response_fields[] = {
    F_PTR("Chain", chain, compiled_chain),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(discovery_chain_response, "DiscoveryChainResponse");

const struct chain_node *chain_node_get(const struct compiled_chain *chain, struct str name) {
    struct chain_node **node = map_pair_value(&chain->nodes, sizeof(struct ptr_pair), name);
    return node != NULL ? *node : NULL;
}

const struct chain_target *chain_target_get(const struct compiled_chain *chain, struct str id) {
    struct chain_target **target = map_pair_value(&chain->targets, sizeof(struct ptr_pair), id);
    return target != NULL ? *target : NULL;
}

bool chain_is_default(const struct compiled_chain *chain) {
    const struct chain_node *start = chain_node_get(chain, chain->start_node);
    if (start == NULL || start->resolver == NULL || !start->resolver->is_default)
        return false;
    const struct chain_target *target = chain_target_get(chain, start->resolver->target);
    return target != NULL && str_eq(target->service, chain->service_name);
}

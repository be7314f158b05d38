/* Field tables of the requests and replies of federation states' endpoints. */
#include "schema/requests_federation.h"

#include "schema/table.h"

#define OF struct federation_state_query
static const struct field federation_state_query_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("TargetDatacenter", target_datacenter),
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(federation_state_query, "FederationStateQuery");

#define OF struct federation_state_response
static const struct field federation_state_response_fields[] = {
    F_PTR("State", state, federation_state),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(federation_state_response, "FederationStateResponse");

#define OF struct indexed_federation_states
static const struct field indexed_federation_states_fields[] = {
    F_LIST("States", states, OF_PTR(federation_state)),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(indexed_federation_states, "IndexedFederationStates");

#define OF struct datacenter_gateways
static const struct field datacenter_gateways_fields[] = {
    F_MAP("DatacenterNodes", nodes, OF_LIST(OF_STRUCT(check_service_node))),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(datacenter_gateways, "DatacenterIndexedCheckServiceNodes");

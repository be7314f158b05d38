/* Requests and replies of the endpoints of federation states (rpc.md 6.16). Conventions:
 * requests.h. Each struct X has a `X_shape`. What Apply gets is entries.h's
 * federation_state_request.
 */
#ifndef PRAETOR_SCHEMA_REQUESTS_FEDERATION_H
#define PRAETOR_SCHEMA_REQUESTS_FEDERATION_H

#include "schema/connect.h"
#include "schema/requests.h"

struct federation_state_query {
    struct str datacenter;        /* whose state it is */
    struct str target_datacenter; /* who is asked */
    struct query_options options;
};

struct federation_state_response {
    struct query_meta meta;
    struct federation_state *state; /* NULL: there is none */
};

struct indexed_federation_states {
    struct query_meta meta;
    struct list states; /* of struct federation_state * */
};

/* FederationState.ListMeshGateways */
struct datacenter_gateways {
    struct list nodes; /* map: str to list of struct check_service_node */
    struct query_meta meta;
};

extern const struct shape federation_state_query_shape, federation_state_response_shape,
    indexed_federation_states_shape, datacenter_gateways_shape;

#endif

/* Compiled discovery chains (connect.md 5, rpc.md 5.5) and the question for one. Conventions:
 * requests.h. Each struct X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_CHAIN_H
#define PRAETOR_SCHEMA_CHAIN_H

#include "schema/config_entry.h"
#include "schema/requests.h"

/* What a node is; its name in the graph begins with it: "resolver:db.default.dc1". */
#define CHAIN_ROUTER "router"
#define CHAIN_SPLITTER "splitter"
#define CHAIN_RESOLVER "resolver"

struct chain_failover {
    struct list targets; /* of str: their IDs, in the order in which they are tried */
};
struct chain_resolver {
    int64_t connect_timeout;         /* ns */
    bool is_default;                 /* nothing says how its target is found */
    struct chain_failover *failover; /* or NULL */
    struct str target;               /* its ID */
};
struct chain_route {
    struct service_route *definition;
    struct str next_node;
};
struct chain_split {
    struct str next_node;
    float weight; /* of 100 */
};
struct chain_node {
    struct str name;                 /* without the type */
    struct chain_resolver *resolver; /* or NULL */
    struct list routes;              /* of struct chain_route * */
    struct list splits;              /* of struct chain_split * */
    struct str type;
};
struct chain_target {
    struct str datacenter;
    bool external; /* sni is the service's own */
    struct str id; /* [subset.]service.namespace.datacenter */
    struct mesh_gateway_config mesh_gateway;
    struct str name; /* of its cluster */
    struct str namespace;
    struct str service;
    struct str service_subset;
    struct str sni;
    struct service_resolver_subset subset;
};
struct compiled_chain {
    struct str customization_hash; /* "": no override made a difference */
    struct str datacenter;
    struct str namespace;
    struct list nodes; /* map: str to struct chain_node * */
    struct str protocol;
    struct str service_name;
    struct str start_node;
    struct list targets; /* map: str to struct chain_target * */
};

struct discovery_chain_request { /* DiscoveryChain.Get */
    struct str datacenter;
    struct str evaluate_in_datacenter; /* "": that of the server which answers */
    struct str evaluate_in_namespace;
    struct str name;
    int64_t override_connect_timeout; /* ns; 0: as it is */
    struct mesh_gateway_config override_mesh_gateway;
    struct str override_protocol;
    struct query_options options;
};
struct discovery_chain_response {
    struct compiled_chain *chain;
    struct query_meta meta;
};

/* NULL: there is none of that name. */
const struct chain_node *chain_node_get(const struct compiled_chain *chain, struct str name);
const struct chain_target *chain_target_get(const struct compiled_chain *chain, struct str id);
/* Whether nothing was configured that proxies have to know (connect.md 5.2): it leads to its own
 * service as if there were no configuration entries. */
bool chain_is_default(const struct compiled_chain *chain);

extern const struct shape chain_failover_shape;
extern const struct shape chain_resolver_shape;
extern const struct shape chain_route_shape;
extern const struct shape chain_split_shape;
extern const struct shape chain_node_shape;
extern const struct shape chain_target_shape;
extern const struct shape compiled_chain_shape;
extern const struct shape discovery_chain_request_shape;
extern const struct shape discovery_chain_response_shape;

#endif

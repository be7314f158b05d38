/* The catalog: nodes, service instances and health checks, as they travel, are stored and are
 * listed (rpc.md 5.1, http-core.md 10). Field names are the wire names in snake_case; what is
 * nullable or a map is said beside the field. Each struct X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_CATALOG_H
#define PRAETOR_SCHEMA_CATALOG_H

#include "schema/schema.h"

struct node {
    struct str address;
    uint64_t create_index;
    struct str datacenter;
    struct str id;
    struct list meta; /* map: str to str */
    uint64_t modify_index;
    struct str node;
    struct list tagged_addresses; /* map: str to str */
};

struct service_address {
    struct str address;
    int64_t port;
};

struct weights {
    int64_t passing;
    int64_t warning;
};

struct mesh_gateway_config {
    struct str mode;
};

struct expose_path {
    int64_t listener_port;
    int64_t local_path_port;
    bool parsed_from_check;
    struct str path;
    struct str protocol;
};

struct expose_config {
    bool checks;
    struct list paths; /* of struct expose_path */
};

struct upstream {
    struct value *config; /* map or NULL */
    struct str datacenter;
    struct str destination_name;
    struct str destination_namespace;
    struct str destination_type;
    struct list ingress_hosts; /* of str */
    struct str local_bind_address;
    int64_t local_bind_port;
    struct mesh_gateway_config mesh_gateway;
};

struct connect_proxy_config {
    struct value *config; /* map or NULL */
    struct str destination_service_id;
    struct str destination_service_name;
    struct expose_config expose;
    struct str local_service_address;
    int64_t local_service_port;
    struct mesh_gateway_config mesh_gateway;
    struct list upstreams; /* of struct upstream */
};

struct check_type {
    struct str alias_node;
    struct str alias_service;
    struct str body;
    struct str check_id;
    int64_t deregister_critical_service_after;
    struct str docker_container_id;
    int64_t failures_before_critical;
    struct str grpc;
    bool grpc_use_tls;
    struct str http;
    struct list header; /* map: str to list of str */
    int64_t interval;
    struct str method;
    struct str name;
    struct str notes;
    int64_t output_max_size;
    struct str proxy_grpc;
    struct str proxy_http;
    struct list script_args; /* of str */
    struct str shell;
    struct str status;
    int64_t success_before_passing;
    struct str tcp;
    bool tls_skip_verify;
    int64_t ttl;
    int64_t timeout;
};

/* JSON in of agent/check/register only (agent.md 2.3); config files have it too. Not on the wire.
 */
struct check_definition {
    struct str alias_node;
    struct str alias_service;
    struct str body;
    int64_t deregister_critical_service_after;
    struct str docker_container_id;
    int64_t failures_before_critical;
    struct str grpc;
    bool grpc_use_tls;
    struct str http;
    struct list header; /* map: str to list of str */
    struct str id;
    int64_t interval;
    struct str method;
    struct str name;
    struct str notes;
    int64_t output_max_size;
    struct list script_args; /* of str */
    struct str service_id;
    struct str shell;
    struct str status;
    int64_t success_before_passing;
    struct str tcp;
    bool tls_skip_verify;
    int64_t timeout;
    struct str token;
    int64_t ttl;
};

struct service_definition;

struct service_connect {
    bool native;
    struct service_definition *sidecar_service; /* or NULL */
};

struct service_definition {
    struct str address;
    struct check_type check;
    struct list checks;              /* of struct check_type * */
    struct service_connect *connect; /* or NULL */
    bool enable_tag_override;
    struct str id;
    struct str kind;
    struct list meta; /* map: str to str */
    struct str name;
    int64_t port;
    struct connect_proxy_config *proxy; /* or NULL */
    struct list tagged_addresses;       /* map: str to struct service_address */
    struct list tags;                   /* of str */
    struct str token;
    struct weights *weights; /* or NULL */
};

struct node_service {
    struct str address;
    struct service_connect connect;
    uint64_t create_index;
    bool enable_tag_override;
    struct str id;
    struct str kind;
    bool locally_registered_as_sidecar;
    struct list meta; /* map: str to str */
    uint64_t modify_index;
    int64_t port;
    struct connect_proxy_config proxy;
    struct str service;
    struct list tagged_addresses; /* map: str to struct service_address */
    struct list tags;             /* of str */
    struct weights *weights;      /* or NULL */
};

struct health_check_definition {
    struct str alias_node;
    struct str alias_service;
    struct str body;
    int64_t deregister_critical_service_after;
    struct str docker_container_id;
    struct str grpc;
    bool grpc_use_tls;
    struct str http;
    struct list header; /* map: str to list of str */
    int64_t interval;
    struct str method;
    uint64_t output_max_size;
    struct list script_args; /* of str */
    struct str shell;
    struct str tcp;
    bool tls_skip_verify;
    int64_t ttl;
    int64_t timeout;
};

struct health_check {
    struct str check_id;
    uint64_t create_index;
    struct health_check_definition definition;
    uint64_t modify_index;
    struct str name;
    struct str node;
    struct str notes;
    struct str output;
    struct str service_id;
    struct str service_name;
    struct list service_tags; /* of str */
    struct str status;
    struct str type;
};

struct check_service_node {
    struct list checks;           /* of struct health_check * */
    struct node *node;            /* or NULL */
    struct node_service *service; /* or NULL */
};
/* Where an instance, whose node and service are there, is reached from its own datacenter or (wan)
 * from others (connect.md 6.4): what proxies and servers are told of mesh gateways. */
void catalog_instance_address(const struct check_service_node *instance, bool wan,
                              struct str *address, int64_t *port);

struct service_node {
    struct str address;
    uint64_t create_index;
    struct str datacenter;
    struct str id;
    uint64_t modify_index;
    struct str node;
    struct list node_meta; /* map: str to str */
    struct str service_address;
    struct service_connect service_connect;
    bool service_enable_tag_override;
    struct str service_id;
    struct str service_kind;
    struct list service_meta; /* map: str to str */
    struct str service_name;
    int64_t service_port;
    struct connect_proxy_config service_proxy;
    struct list service_tagged_addresses; /* map: str to struct service_address */
    struct list service_tags;             /* of str */
    struct weights service_weights;
    struct list tagged_addresses; /* map: str to str */
};

struct node_info {
    struct str address;
    struct list checks; /* of struct health_check * */
    struct str id;
    struct list meta; /* map: str to str */
    struct str node;
    struct list services;         /* of struct node_service * */
    struct list tagged_addresses; /* map: str to str */
};

struct service_name {
    struct str name;
};

struct gateway_service {
    struct str ca_file;
    struct str cert_file;
    uint64_t create_index;
    bool from_wildcard;
    struct service_name gateway;
    struct str gateway_kind;
    struct list hosts; /* of str */
    struct str key_file;
    uint64_t modify_index;
    int64_t port;
    struct str protocol;
    struct str sni;
    struct service_name service;
};

struct service_info {
    struct list checks;                      /* of struct health_check * */
    struct gateway_service *gateway_service; /* or NULL */
    struct node *node;                       /* or NULL */
    struct node_service *service;            /* or NULL */
};

extern const struct shape node_shape;
extern const struct shape service_address_shape;
extern const struct shape weights_shape;
extern const struct shape mesh_gateway_config_shape;
extern const struct shape expose_path_shape;
extern const struct shape expose_config_shape;
extern const struct shape upstream_shape;
extern const struct shape connect_proxy_config_shape;
extern const struct shape check_type_shape;
extern const struct shape check_definition_shape;
extern const struct shape service_connect_shape;
extern const struct shape service_definition_shape;
extern const struct shape node_service_shape;
extern const struct shape health_check_definition_shape;
extern const struct shape health_check_shape;
extern const struct shape check_service_node_shape;
extern const struct shape service_node_shape;
extern const struct shape node_info_shape;
extern const struct shape service_name_shape;
extern const struct shape gateway_service_shape;
extern const struct shape service_info_shape;

#endif

/* Config entries (rpc.md 5.5, connect.md 1): one struct a kind, all beginning with the same head,
 * and the odd wire form of requests that carry them (rpc.md 3.5). Field names are the wire names in
 * snake_case; what is nullable or a map is said beside the field. Each struct X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_CONFIG_ENTRY_H
#define PRAETOR_SCHEMA_CONFIG_ENTRY_H

#include "schema/catalog.h"

#define CONFIG_SERVICE_DEFAULTS "service-defaults"
#define CONFIG_PROXY_DEFAULTS "proxy-defaults"
#define CONFIG_SERVICE_ROUTER "service-router"
#define CONFIG_SERVICE_SPLITTER "service-splitter"
#define CONFIG_SERVICE_RESOLVER "service-resolver"
#define CONFIG_INGRESS_GATEWAY "ingress-gateway"
#define CONFIG_TERMINATING_GATEWAY "terminating-gateway"

/* First member of every kind, so a pointer to an entry is a pointer to its head. */
struct config_entry {
    struct str kind;
    struct str name;
    struct list meta; /* map: str to str */
    uint64_t create_index;
    uint64_t modify_index;
};

struct service_defaults {
    struct config_entry head;
    struct expose_config expose;
    struct str external_sni;
    struct mesh_gateway_config mesh_gateway;
    struct str protocol;
};

struct proxy_defaults { /* on the wire a raw string that holds the map: config_entry_encode does it
                         */
    struct config_entry head;
    struct value *config; /* map or NULL */
    struct expose_config expose;
    struct mesh_gateway_config mesh_gateway;
};

struct http_match_header {
    struct str exact;
    bool invert;
    struct str name;
    struct str prefix;
    bool present;
    struct str regex;
    struct str suffix;
};
struct http_match_query_param {
    struct str exact;
    struct str name;
    bool present;
    struct str regex;
};
struct http_match {
    struct list header;  /* of struct http_match_header */
    struct list methods; /* of str */
    struct str path_exact;
    struct str path_prefix;
    struct str path_regex;
    struct list query_param; /* of struct http_match_query_param */
};
struct service_route_match {
    struct http_match *http; /* or NULL */
};
struct service_route_destination {
    struct str namespace;
    uint64_t num_retries; /* uint32 */
    struct str prefix_rewrite;
    int64_t request_timeout; /* ns */
    bool retry_on_connect_failure;
    struct list retry_on_status_codes; /* of uint64_t */
    struct str service;
    struct str service_subset;
};
struct service_route {
    struct service_route_destination *destination; /* or NULL */
    struct service_route_match *match;             /* or NULL */
};
struct service_router {
    struct config_entry head;
    struct list routes; /* of struct service_route */
};

struct service_split {
    struct str namespace;
    struct str service;
    struct str service_subset;
    float weight;
};
struct service_splitter {
    struct config_entry head;
    struct list splits; /* of struct service_split */
};

struct service_resolver_subset {
    struct str filter;
    bool only_passing;
};
struct service_resolver_redirect {
    struct str datacenter;
    struct str namespace;
    struct str service;
    struct str service_subset;
};
struct service_resolver_failover {
    struct list datacenters; /* of str */
    struct str namespace;
    struct str service;
    struct str service_subset;
};
struct service_resolver {
    struct config_entry head;
    int64_t connect_timeout; /* ns */
    struct str default_subset;
    struct list failover;                       /* map: str to struct service_resolver_failover */
    struct service_resolver_redirect *redirect; /* or NULL */
    struct list subsets;                        /* map: str to struct service_resolver_subset */
};

struct gateway_tls_config {
    bool enabled;
};
struct ingress_service {
    struct list hosts; /* of str */
    struct list meta;  /* map: str to str */
    struct str name;
};
struct ingress_listener {
    int64_t port;
    struct str protocol;
    struct list services; /* of struct ingress_service */
};
struct ingress_gateway {
    struct config_entry head;
    struct list listeners; /* of struct ingress_listener */
    struct gateway_tls_config tls;
};

struct linked_service {
    struct str ca_file;
    struct str cert_file;
    struct str key_file;
    struct str name;
    struct str sni;
};
struct terminating_gateway {
    struct config_entry head;
    struct list services; /* of struct linked_service */
};

/* The shape of a kind's struct, or NULL for an unknown kind. */
const struct shape *config_entry_shape(struct str kind);
/* An entry alone, as in `Entry`; kind decides the struct (entry->kind may be ""). False only for an
 * unknown kind. */
bool config_entry_encode(struct buf *out, struct str kind, const struct config_entry *entry);
/* NULL on failure: "invalid config entry kind: x" or a decoder's text. */
struct config_entry *config_entry_decode(struct msgpack_reader *in, struct str kind,
                                         struct arena *arena, struct error *e);
void config_entry_write_json(struct json_writer *out, const struct config_entry *entry);
struct config_entry *config_entry_copy(const struct config_entry *entry, struct arena *arena);
bool config_entry_equal(const struct config_entry *a, const struct config_entry *b);

/* Body of log entry 22, of ConfigEntry.Apply and .Delete, and of the snapshot record. */
struct config_entry_request {
    struct str kind; /* the one in front, which decides */
    struct str datacenter;
    struct config_entry *entry;
    struct str op; /* upsert, upsert-cas, delete */
    struct str token;
};
/* With the raw string around it. */
void config_entry_request_encode(struct buf *out, const struct config_entry_request *request);
bool config_entry_request_decode(struct msgpack_reader *in, struct config_entry_request *request,
                                 struct arena *arena, struct error *e);

extern const struct shape service_defaults_shape;
extern const struct shape proxy_defaults_shape;
extern const struct shape http_match_header_shape;
extern const struct shape http_match_query_param_shape;
extern const struct shape http_match_shape;
extern const struct shape service_route_match_shape;
extern const struct shape service_route_destination_shape;
extern const struct shape service_route_shape;
extern const struct shape service_router_shape;
extern const struct shape service_split_shape;
extern const struct shape service_splitter_shape;
extern const struct shape service_resolver_subset_shape;
extern const struct shape service_resolver_redirect_shape;
extern const struct shape service_resolver_failover_shape;
extern const struct shape service_resolver_shape;
extern const struct shape gateway_tls_config_shape;
extern const struct shape ingress_service_shape;
extern const struct shape ingress_listener_shape;
extern const struct shape ingress_gateway_shape;
extern const struct shape linked_service_shape;
extern const struct shape terminating_gateway_shape;

#endif

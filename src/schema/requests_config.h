/* Requests and replies of the endpoints of configuration entries (rpc.md 6.12). Conventions:
 * requests.h. Each struct X has a `X_shape`. What Apply and Delete get is config_entry.h's
 * config_entry_request. Most of them travel as a raw string (rpc.md 3.5), which their shapes know.
 */
#ifndef PRAETOR_SCHEMA_REQUESTS_CONFIG_H
#define PRAETOR_SCHEMA_REQUESTS_CONFIG_H

#include "schema/config_entry.h"
#include "schema/requests.h"

struct config_entry_query { /* Get, List (which does not look at the name) */
    struct str datacenter;
    struct str kind;
    struct str name;
    struct query_options options;
};

struct config_entry_response {  /* Get */
    struct config_entry *entry; /* NULL: there is none */
    struct query_meta meta;
};

struct indexed_config_entries { /* List */
    struct list entries;        /* of struct config_entry *, of that kind */
    struct str kind;            /* "": of all; who gets that can decode nothing but an empty list */
    struct query_meta meta;
};

struct indexed_generic_config_entries { /* ListAll */
    struct list entries;                /* of struct config_entry * */
    struct query_meta meta;
};

struct service_id {
    struct str id;
};

struct service_config_request { /* ResolveServiceConfig */
    struct str datacenter;
    struct str name;
    struct list upstream_ids; /* of struct service_id; when there are some, upstreams is not read */
    struct list upstreams;    /* of str */
    struct query_options options;
};

struct upstream_config {
    struct value *config; /* map */
    struct service_id upstream;
};

struct value_pair_any { /* of {any} */
    struct str key;
    struct value *value;
};

struct service_config_response {
    struct expose_config expose;
    struct mesh_gateway_config mesh_gateway;
    struct value *proxy_config;      /* map or NULL */
    struct list upstream_configs;    /* map: str to struct value * (struct value_pair_any) */
    struct list upstream_id_configs; /* of struct upstream_config */
    struct query_meta meta;
};

extern const struct shape config_entry_request_shape;
extern const struct shape config_entry_query_shape;
extern const struct shape config_entry_response_shape;
extern const struct shape indexed_config_entries_shape;
extern const struct shape indexed_generic_config_entries_shape;
extern const struct shape service_id_shape;
extern const struct shape service_config_request_shape;
extern const struct shape upstream_config_shape;
extern const struct shape service_config_response_shape;
/* The same struct as the map that the raw string holds: for JSON. */
extern const struct shape service_config_content_shape;

#endif

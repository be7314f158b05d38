/* Prepared queries (rpc.md 5.3). Field names are the wire names in snake_case; what is
 * nullable or a map is said beside the field. Each struct X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_QUERY_H
#define PRAETOR_SCHEMA_QUERY_H

#include "schema/schema.h"

struct prepared_query_dns {
    struct str ttl;
};

struct prepared_query_template {
    struct str regexp;
    bool remove_empty_tags;
    struct str type;
};

struct service_query_failover {
    struct list datacenters; /* of str */
    int64_t nearest_n;
};

struct service_query {
    bool connect;
    struct service_query_failover failover;
    struct list ignore_check_ids; /* of str */
    struct str near;
    struct list node_meta; /* map: str to str */
    bool only_passing;
    struct str service;
    struct list service_meta; /* map: str to str */
    struct list tags;         /* of str */
};

struct prepared_query {
    uint64_t create_index;
    struct prepared_query_dns dns;
    struct str id;
    uint64_t modify_index;
    struct str name;
    struct service_query service;
    struct str session;
    struct prepared_query_template template;
    struct str token;
};

extern const struct shape prepared_query_dns_shape;
extern const struct shape prepared_query_template_shape;
extern const struct shape service_query_failover_shape;
extern const struct shape service_query_shape;
extern const struct shape prepared_query_shape;

#endif

/* Intentions, certificate authority and federation states (rpc.md 5.3). Field names are the wire
 * names in snake_case; what is nullable or a map is said beside the field. Each struct X has a
 * `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_CONNECT_H
#define PRAETOR_SCHEMA_CONNECT_H

#include "schema/schema.h"

struct intention {
    struct str action;
    uint64_t create_index;
    struct timestamp created_at;
    struct str default_addr;
    int64_t default_port;
    struct str description;
    struct str destination_ns;
    struct str destination_name;
    struct str hash;
    struct str id;
    struct list meta; /* map: str to str */
    uint64_t modify_index;
    int64_t precedence;
    struct str source_ns;
    struct str source_name;
    struct str source_type;
    struct timestamp updated_at;
};

struct ca_root {
    bool active;
    uint64_t create_index;
    struct str external_trust_domain;
    struct str id;
    struct list intermediate_certs; /* of str */
    uint64_t modify_index;
    struct str name;
    struct timestamp not_after;
    struct timestamp not_before;
    int64_t private_key_bits;
    struct str private_key_type;
    struct str root_cert;
    struct timestamp rotated_out_at;
    uint64_t serial_number;
    struct str signing_cert;
    struct str signing_key;
    struct str signing_key_id;
};

struct ca_configuration {
    struct str cluster_id;
    struct value *config; /* map or NULL */
    uint64_t create_index;
    bool force_without_cross_signing;
    uint64_t modify_index;
    struct str provider;
    struct list state; /* map: str to str */
};

struct issued_cert {
    struct str agent;
    struct str agent_uri;
    struct str cert_pem;
    uint64_t create_index;
    uint64_t modify_index;
    struct str private_key_pem;
    struct str serial_number;
    struct str service;
    struct str service_uri;
    struct timestamp valid_after;
    struct timestamp valid_before;
};

struct ca_consul_provider_state {
    uint64_t create_index;
    struct str id;
    struct str intermediate_cert;
    uint64_t modify_index;
    struct str private_key;
    struct str root_cert;
};

struct federation_state {
    uint64_t create_index;
    struct str datacenter;
    struct list mesh_gateways; /* of struct check_service_node */
    uint64_t modify_index;
    uint64_t primary_modify_index;
    struct timestamp updated_at;
};

extern const struct shape intention_shape;
extern const struct shape ca_root_shape;
extern const struct shape ca_configuration_shape;
extern const struct shape issued_cert_shape;
extern const struct shape ca_consul_provider_state_shape;
extern const struct shape federation_state_shape;

#endif

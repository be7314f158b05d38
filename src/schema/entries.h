/* Bodies of log entries and snapshot records that are no request of an endpoint (fsm.md 1.3, 7).
 * Those that are requests too are in schema/requests.h and schema/config_entry.h. Field names are
 * the wire names in snake_case. Each struct X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_ENTRIES_H
#define PRAETOR_SCHEMA_ENTRIES_H

#include "schema/acl.h"
#include "schema/config_entry.h"
#include "schema/requests.h"

/* The message types: first byte of a log entry, and of a snapshot record. */
enum entry_type {
    ENTRY_REGISTER = 0,         /* struct register_request; snapshot: same */
    ENTRY_DEREGISTER = 1,       /* struct deregister_request */
    ENTRY_KVS = 2,              /* struct kvs_request; snapshot: struct dir_entry */
    ENTRY_SESSION = 3,          /* struct session_request; snapshot: struct session */
    ENTRY_LEGACY_ACL = 4,       /* struct legacy_acl_request; snapshot (read): struct legacy_acl */
    ENTRY_TOMBSTONE = 5,        /* struct tombstone_request; snapshot: struct dir_entry */
    ENTRY_COORDINATE_BATCH = 6, /* coordinate_batch_type: a list of struct coordinate * */
    ENTRY_PREPARED_QUERY = 7,   /* struct prepared_query_request; snapshot: struct prepared_query */
    ENTRY_TXN = 8,              /* struct txn_request */
    ENTRY_AUTOPILOT = 9, /* struct autopilot_set_request; snapshot: struct autopilot_config */
    ENTRY_AREA = 10,     /* enterprise: refused */
    ENTRY_ACL_BOOTSTRAP =
        11,                /* struct acl_bootstrap_request; snapshot (read): acl_bootstrap_record */
    ENTRY_INTENTION = 12,  /* struct intention_request; snapshot: struct intention */
    ENTRY_CONNECT_CA = 13, /* struct ca_request; snapshot: struct ca_root */
    ENTRY_CA_PROVIDER_STATE = 14, /* snapshot only: struct ca_consul_provider_state */
    ENTRY_CA_CONFIG = 15,         /* snapshot only: struct ca_configuration */
    ENTRY_INDEX = 16,             /* snapshot only: struct index_entry */
    ENTRY_ACL_TOKEN_SET = 17, /* struct acl_token_batch_set_request; snapshot: struct acl_token */
    ENTRY_ACL_TOKEN_DELETE = 18,
    ENTRY_ACL_POLICY_SET = 19, /* snapshot: struct acl_policy */
    ENTRY_ACL_POLICY_DELETE = 20,
    ENTRY_CONNECT_CA_LEAF = 21, /* struct ca_leaf_request */
    ENTRY_CONFIG_ENTRY = 22,    /* struct config_entry_request; snapshot: same */
    ENTRY_ACL_ROLE_SET = 23,    /* snapshot: struct acl_role */
    ENTRY_ACL_ROLE_DELETE = 24,
    ENTRY_ACL_BINDING_RULE_SET = 25, /* snapshot: struct acl_binding_rule */
    ENTRY_ACL_BINDING_RULE_DELETE = 26,
    ENTRY_ACL_AUTH_METHOD_SET = 27, /* snapshot: struct acl_auth_method */
    ENTRY_ACL_AUTH_METHOD_DELETE = 28,
    ENTRY_CHUNKING_STATE = 29,   /* snapshot only: {ChunkMap: {op_num: [chunk_info or nil]}} */
    ENTRY_FEDERATION_STATE = 30, /* struct federation_state_request; snapshot: same */
    ENTRY_TYPE_MASK = 127,
    ENTRY_IGNORE_UNKNOWN = 128, /* bit of the type byte (fsm.md 1.1) */
};

extern const struct type coordinate_batch_type; /* type 6 */

struct legacy_acl_request { /* 4 */
    struct legacy_acl acl;
    struct str datacenter;
    struct str op; /* set, force-set, delete, bootstrap-init, bootstrap-now */
    struct write_options write;
};

struct acl_bootstrap_request { /* 11 */
    uint64_t reset_index;
    struct acl_token token;
};
struct acl_bootstrap_record { /* 11 in old snapshots */
    bool allow_bootstrap;
    uint64_t create_index;
    uint64_t modify_index;
};

struct ca_request {                  /* 13 */
    struct ca_configuration *config; /* or NULL */
    struct str datacenter;
    uint64_t index;
    struct str op;
    struct ca_consul_provider_state *provider_state; /* or NULL */
    struct list roots;                               /* of struct ca_root * */
    struct write_options write;
};
struct ca_leaf_request { /* 21 */
    struct str datacenter;
    struct str op; /* increment-index */
    struct write_options write;
};

struct acl_token_batch_set_request { /* 17 */
    bool allow_missing_links;
    bool cas;
    bool from_replication;
    bool prohibit_unprivileged;
    struct list tokens; /* of struct acl_token * */
};
struct acl_token_batch_delete_request { /* 18 */
    struct list token_ids;              /* of str: accessors */
};
struct acl_policy_batch_set_request { /* 19 */
    struct list policies;             /* of struct acl_policy * */
};
struct acl_policy_batch_delete_request { /* 20 */
    struct list policy_ids;              /* of str */
};
struct acl_role_batch_set_request { /* 23 */
    bool allow_missing_links;
    struct list roles; /* of struct acl_role * */
};
struct acl_role_batch_delete_request { /* 24 */
    struct list role_ids;              /* of str */
};
struct acl_binding_rule_batch_set_request { /* 25 */
    struct list binding_rules;              /* of struct acl_binding_rule * */
};
struct acl_binding_rule_batch_delete_request { /* 26 */
    struct list binding_rule_ids;              /* of str */
};
struct acl_auth_method_batch_set_request { /* 27 */
    struct list auth_methods;              /* of struct acl_auth_method * */
};
struct acl_auth_method_batch_delete_request { /* 28 */
    struct list auth_method_names;            /* of str */
};

struct federation_state_request { /* 30 */
    struct str datacenter;
    struct str op;                  /* upsert, delete */
    struct federation_state *state; /* or NULL */
    struct write_options write;
};

struct snapshot_header { /* first object of state.bin */
    uint64_t last_index;
};
struct index_entry { /* 16 */
    struct str key;
    uint64_t value;
};
struct chunk_info { /* inside 29; the map around it has integer keys and is read by hand */
    struct str data;
    uint64_t num_chunks;
    uint64_t op_num;
    uint64_t sequence_num;
    uint64_t term;
};

extern const struct shape legacy_acl_request_shape;
extern const struct shape acl_bootstrap_request_shape;
extern const struct shape acl_bootstrap_record_shape;
extern const struct shape ca_request_shape;
extern const struct shape ca_leaf_request_shape;
extern const struct shape acl_token_batch_set_request_shape;
extern const struct shape acl_token_batch_delete_request_shape;
extern const struct shape acl_policy_batch_set_request_shape;
extern const struct shape acl_policy_batch_delete_request_shape;
extern const struct shape acl_role_batch_set_request_shape;
extern const struct shape acl_role_batch_delete_request_shape;
extern const struct shape acl_binding_rule_batch_set_request_shape;
extern const struct shape acl_binding_rule_batch_delete_request_shape;
extern const struct shape acl_auth_method_batch_set_request_shape;
extern const struct shape acl_auth_method_batch_delete_request_shape;
extern const struct shape federation_state_request_shape;
extern const struct shape snapshot_header_shape;
extern const struct shape index_entry_shape;
extern const struct shape chunk_info_shape;

#endif

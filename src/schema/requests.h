/* Requests and replies of the endpoints (rpc.md 4 and 6), which are also the bodies of log entries
 * (fsm.md 1.3). `QO` and `W` blocks are the embedded structs query_options and write_options, whose
 * fields are flat on the wire. Field names are the wire names in snake_case. Each struct X has a
 * `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_REQUESTS_H
#define PRAETOR_SCHEMA_REQUESTS_H

#include "schema/catalog.h"
#include "schema/connect.h"
#include "schema/coordinate.h"
#include "schema/kv.h"
#include "schema/query.h"
#include "schema/session.h"

/* QO */
struct query_options {
    bool allow_stale;
    struct str filter;
    int64_t max_age;
    int64_t max_query_time; /* ns; 0 = the default */
    int64_t max_stale_duration;
    uint64_t min_query_index; /* 0 = do not block */
    bool must_revalidate;
    bool require_consistent;
    int64_t stale_if_error;
    struct str token;
    bool use_cache;
};

/* QM */
struct query_meta {
    struct str consistency_level;
    uint64_t index;
    bool known_leader;
    int64_t last_contact; /* ns */
};

struct write_options { /* W */
    struct str token;
};

struct query_source {
    struct str datacenter;
    struct str ip;
    struct str node;
    struct str segment;
};

/* DCReq */
struct dc_request {
    struct str datacenter;
    struct list node_meta_filters; /* map: str to str */
    struct query_source source;
    struct query_options options;
};

/* NodeReq */
struct node_request {
    struct str datacenter;
    struct str node;
    struct query_options options;
};

/* SvcReq */
struct service_request {
    bool connect;
    struct str datacenter;
    bool ingress;
    struct list node_meta_filters; /* map: str to str */
    struct str service_address;
    struct str service_name;
    struct str service_tag;
    struct list service_tags; /* of str */
    struct query_source source;
    bool tag_filter;
    struct query_options options;
};

struct register_request {
    struct str address;
    struct health_check *check; /* or NULL */
    struct list checks;         /* of struct health_check * */
    uint64_t create_index;
    struct str datacenter;
    struct str id;
    uint64_t modify_index;
    struct str node;
    struct list node_meta;        /* map: str to str */
    struct node_service *service; /* or NULL */
    bool skip_node_update;
    struct list tagged_addresses; /* map: str to str */
    struct write_options write;
};

struct deregister_request {
    struct str check_id;
    struct str datacenter;
    struct str node;
    struct str service_id;
    struct write_options write;
};

struct checks_in_state_request {
    struct str datacenter;
    struct list node_meta_filters; /* map: str to str */
    struct query_source source;
    struct str state;
    struct query_options options;
};

struct kvs_request {
    struct str datacenter;
    struct dir_entry dir_ent;
    struct str op;
    struct write_options write;
};

struct key_request { /* KVS.Get, KVS.List */
    struct str datacenter;
    struct str key;
    struct query_options options;
};

struct key_list_request { /* KVS.ListKeys */
    struct str datacenter;
    struct str prefix;
    struct str seperator; /* sic */
    struct query_options options;
};

struct session_request {
    struct str datacenter;
    struct str op;
    struct session session;
    struct write_options write;
};

struct session_specific_request {
    struct str datacenter;
    struct str session;
    struct str session_id;
    struct query_options options;
};

struct coordinate_update_request {
    struct coord *coord; /* or NULL */
    struct str datacenter;
    struct str node;
    struct str segment;
    struct write_options write;
};

struct tombstone_request {
    struct str datacenter;
    struct str op;
    uint64_t reap_index;
    struct write_options write;
};

struct prepared_query_request {
    struct str datacenter;
    struct str op;
    struct prepared_query *query; /* or NULL */
    struct write_options write;
};

struct prepared_query_specific_request { /* PreparedQuery.Get */
    struct str datacenter;
    struct str query_id;
    struct query_options options;
};

struct prepared_query_execute_request { /* Execute, Explain */
    struct query_source agent;          /* who was asked */
    bool connect;
    struct str datacenter;
    int64_t limit; /* at most; 0 or less: all */
    struct str query_id_or_name;
    struct query_source source; /* from where distances are counted; ip: of the client */
    struct query_options options;
};

struct prepared_query_execute_remote_request { /* ExecuteRemote */
    bool connect;
    struct str datacenter;
    int64_t limit;
    struct prepared_query query;
    struct query_options options;
};

struct intention_request {
    struct str datacenter;
    struct intention *intention; /* or NULL */
    struct str op;
    struct write_options write;
};

struct txn_op_kv {
    struct dir_entry dir_ent;
    struct str verb;
};

struct txn_op_node {
    struct node node;
    struct str verb;
};

struct txn_op_service {
    struct str node;
    struct node_service service;
    struct str verb;
};

struct txn_op_check {
    struct health_check check;
    struct str verb;
};

struct txn_op_session {
    struct session session;
    struct str verb;
};

struct txn_op {
    struct txn_op_check *check;          /* or NULL */
    struct intention_request *intention; /* or NULL; refused from outside */
    struct txn_op_kv *kv;                /* or NULL */
    struct txn_op_node *node;            /* or NULL */
    struct txn_op_service *service;      /* or NULL */
    struct txn_op_session *session;      /* or NULL */
};

struct txn_result {
    struct health_check *check;   /* or NULL */
    struct dir_entry *kv;         /* or NULL */
    struct node *node;            /* or NULL */
    struct node_service *service; /* or NULL */
};

struct txn_error {
    int64_t op_index;
    struct str what;
};

struct txn_request {
    struct str datacenter;
    struct list ops; /* of struct txn_op * */
    struct write_options write;
};

struct txn_read_request { /* Txn.Read */
    struct str datacenter;
    struct list ops; /* of struct txn_op * */
    struct query_options options;
};

struct txn_response {
    struct list errors;  /* of struct txn_error * */
    struct list results; /* of struct txn_result * */
};

struct txn_read_response {
    struct list errors;
    struct list results;
    struct query_meta meta;
};

struct autopilot_config {
    bool cleanup_dead_servers;
    uint64_t create_index;
    bool disable_upgrade_migration;
    int64_t last_contact_threshold;
    uint64_t max_trailing_logs;
    uint64_t min_quorum;
    uint64_t modify_index;
    struct str redundancy_zone_tag;
    int64_t server_stabilization_time;
    struct str upgrade_version_tag;
};

struct autopilot_set_request {
    bool cas;
    struct autopilot_config config;
    struct str datacenter;
    struct write_options write;
};

/* Replies; each with its query_meta. */
struct indexed_nodes {
    struct list nodes; /* of struct node * */
    struct query_meta meta;
};
struct indexed_services {
    struct list services; /* map: str to list of str */
    struct query_meta meta;
};
struct indexed_service_list {
    struct list services; /* of struct service_name */
    struct query_meta meta;
};
struct indexed_service_nodes {
    struct list service_nodes; /* of struct service_node * */
    struct query_meta meta;
};
struct node_services {
    struct node *node;    /* or NULL */
    struct list services; /* map: str to struct node_service * */
};
struct indexed_node_services {
    struct node_services *node_services; /* or NULL */
    struct query_meta meta;
};
struct node_service_list {
    struct node *node;    /* or NULL */
    struct list services; /* of struct node_service * */
};
struct indexed_node_service_list {
    struct node_service_list node_services;
    struct query_meta meta;
};
struct indexed_gateway_services {
    struct list services; /* of struct gateway_service * */
    struct query_meta meta;
};
struct indexed_health_checks {
    struct list health_checks; /* of struct health_check * */
    struct query_meta meta;
};
struct indexed_check_service_nodes {
    struct list nodes; /* of struct check_service_node */
    struct query_meta meta;
};
struct indexed_dir_entries {
    struct list entries; /* of struct dir_entry * */
    struct query_meta meta;
};
struct indexed_keys {
    struct list keys; /* of str */
    struct query_meta meta;
};
struct indexed_sessions {
    struct list sessions; /* of struct session * */
    struct query_meta meta;
};
struct indexed_coordinates {
    struct list coordinates; /* of struct coordinate * */
    struct query_meta meta;
};
struct indexed_node_dump {
    struct list dump; /* of struct node_info * */
    struct query_meta meta;
};

struct indexed_prepared_queries {
    struct list queries; /* of struct prepared_query * */
    struct query_meta meta;
};
struct prepared_query_explain_response {
    struct prepared_query query;
    struct query_meta meta;
};
struct prepared_query_execute_response {
    struct prepared_query_dns dns;
    struct str datacenter; /* whose answer it is */
    int64_t failovers;     /* other datacenters that were asked */
    struct list nodes;     /* of struct check_service_node */
    struct str service;
    struct query_meta meta;
    const struct prepared_query *query; /* that was executed; not on the wire */
};

struct raft_server {
    struct str address;
    struct str id;
    bool leader;
    struct str node;
    struct str protocol_version;
    bool voter;
};
struct raft_configuration_response {
    uint64_t index;
    struct list servers; /* of struct raft_server * */
};

extern const struct shape query_options_shape;
extern const struct shape query_meta_shape;
extern const struct shape write_options_shape;
extern const struct shape query_source_shape;
extern const struct shape dc_request_shape;
extern const struct shape node_request_shape;
extern const struct shape service_request_shape;
extern const struct shape register_request_shape;
extern const struct shape deregister_request_shape;
extern const struct shape checks_in_state_request_shape;
extern const struct shape kvs_request_shape;
extern const struct shape key_request_shape;
extern const struct shape key_list_request_shape;
extern const struct shape session_request_shape;
extern const struct shape session_specific_request_shape;
extern const struct shape coordinate_update_request_shape;
extern const struct shape tombstone_request_shape;
extern const struct shape prepared_query_request_shape;
extern const struct shape prepared_query_specific_request_shape;
extern const struct shape prepared_query_execute_request_shape;
extern const struct shape prepared_query_execute_remote_request_shape;
extern const struct shape indexed_prepared_queries_shape;
extern const struct shape prepared_query_explain_response_shape;
extern const struct shape prepared_query_execute_response_shape;
extern const struct shape intention_request_shape;
extern const struct shape txn_op_kv_shape;
extern const struct shape txn_op_node_shape;
extern const struct shape txn_op_service_shape;
extern const struct shape txn_op_check_shape;
extern const struct shape txn_op_session_shape;
extern const struct shape txn_op_shape;
extern const struct shape txn_result_shape;
extern const struct shape txn_error_shape;
extern const struct shape txn_request_shape;
extern const struct shape txn_read_request_shape;
extern const struct shape txn_response_shape;
extern const struct shape txn_read_response_shape;
extern const struct shape autopilot_config_shape;
extern const struct shape autopilot_set_request_shape;
extern const struct shape indexed_nodes_shape;
extern const struct shape indexed_services_shape;
extern const struct shape indexed_service_list_shape;
extern const struct shape indexed_service_nodes_shape;
extern const struct shape node_services_shape;
extern const struct shape indexed_node_services_shape;
extern const struct shape node_service_list_shape;
extern const struct shape indexed_node_service_list_shape;
extern const struct shape indexed_gateway_services_shape;
extern const struct shape indexed_health_checks_shape;
extern const struct shape indexed_check_service_nodes_shape;
extern const struct shape indexed_dir_entries_shape;
extern const struct shape indexed_keys_shape;
extern const struct shape indexed_sessions_shape;
extern const struct shape indexed_coordinates_shape;
extern const struct shape indexed_node_dump_shape;
extern const struct shape raft_server_shape;
extern const struct shape raft_configuration_response_shape;

#endif

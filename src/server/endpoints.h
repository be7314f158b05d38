/* The endpoints (rpc.md 6), by name, with what goes in and what comes out. Callers put a request
 * struct into a `struct call` together with one of these and pass it to call_start (server/call.h).
 *
 * Requests: `datacenter` "" is filled in with the server's own datacenter by call_start (callers in
 * this process; the RPC port, later, does not use that courtesy: rpc.md 12.7). Replies are the
 * structs named below; where it says "struct str", "bool" or "struct list", answer->reply points to
 * just that (endpoint->reply is then NULL and endpoint->reply_type describes it).
 *
 * Lists keep nil and empty apart (rpc.md 6.2): what http/ makes of nil is its own business
 * (http-core.md 10, 11).
 */
#ifndef PRAETOR_SERVER_ENDPOINTS_H
#define PRAETOR_SERVER_ENDPOINTS_H

#include "schema/requests_acl.h"
#include "schema/requests_config.h"
#include "schema/requests_connect.h"
#include "schema/requests_federation.h"
#include "schema/requests_intention.h"
#include "server/call.h"

struct peer;          /* server/peers.h */
struct snapshot_work; /* server/snapshot.c */

struct empty_struct {
    char unused;
};

/* Internal.ServiceDump */
struct service_dump_request {
    struct str datacenter;
    struct str service_kind;
    struct query_source source;
    bool use_service_kind;
    struct query_options options;
};

/* Internal.GatewayServiceDump: services of the gateway `service_name`; those without instances have
 * no node, service and checks. */
struct indexed_service_dump {
    struct list dump; /* of struct service_info * */
    struct query_meta meta;
};

/* Catalog.ListDatacenters */
struct datacenters_request {
    struct query_options options;
};

/* Operator.RaftRemovePeerByAddress, ByID */
struct raft_remove_peer_request {
    struct str address;
    struct str datacenter;
    struct str id;
    struct write_options write;
};

/* Status.RaftStats */
struct raft_stats {
    struct str last_contact;
    uint64_t last_index;
    uint64_t last_term;
};

extern const struct shape empty_struct_shape;
extern const struct shape service_dump_request_shape;
extern const struct shape indexed_service_dump_shape;
extern const struct shape datacenters_request_shape;
extern const struct shape raft_remove_peer_request_shape;
extern const struct shape raft_stats_shape;

/* Each with its request and what answer->reply points to; the names begin with endpoint_. */

/*
 * status_ping                   empty_struct               -> empty_struct
 * status_leader                 dc_request                 -> struct str
 * status_peers                  dc_request                 -> struct list of str
 * status_raft_stats             empty_struct               -> raft_stats
 *
 * Leader: "ip:port" or "".
 */
extern const struct endpoint endpoint_status_ping, endpoint_status_leader, endpoint_status_peers,
    endpoint_status_raft_stats;

/*
 * catalog_register              register_request           -> empty_struct
 * catalog_deregister            deregister_request         -> empty_struct
 * catalog_list_datacenters      datacenters_request        -> list of str
 * catalog_list_nodes            dc_request                 -> indexed_nodes
 * catalog_list_services         dc_request                 -> indexed_services
 * catalog_service_list          dc_request                 -> indexed_service_list
 * catalog_service_nodes         service_request            -> indexed_service_nodes
 * catalog_node_services         node_request               -> indexed_node_services
 * catalog_node_service_list     node_request               -> indexed_node_service_list
 * catalog_gateway_services      service_request            -> indexed_gateway_services
 *
 * GatewayServices: service_name is the gateway's.
 */
extern const struct endpoint endpoint_catalog_register, endpoint_catalog_deregister,
    endpoint_catalog_list_datacenters, endpoint_catalog_list_nodes, endpoint_catalog_list_services,
    endpoint_catalog_service_list, endpoint_catalog_service_nodes, endpoint_catalog_node_services,
    endpoint_catalog_node_service_list, endpoint_catalog_gateway_services;

/*
 * health_checks_in_state        checks_in_state_request    -> indexed_health_checks
 * health_node_checks            node_request               -> indexed_health_checks
 * health_service_checks         service_request            -> indexed_health_checks
 * health_service_nodes          service_request            -> indexed_check_service_nodes
 */
extern const struct endpoint endpoint_health_checks_in_state, endpoint_health_node_checks,
    endpoint_health_service_checks, endpoint_health_service_nodes;

/*
 * kvs_apply                     kvs_request                -> bool
 * kvs_get                       key_request                -> indexed_dir_entries
 * kvs_list                      key_request                -> indexed_dir_entries
 * kvs_list_keys                 key_list_request           -> indexed_keys
 *
 * KVS.Apply's op: set cas delete delete-cas delete-tree lock unlock; set, delete and
 * delete-tree answer false.
 */
extern const struct endpoint endpoint_kvs_apply, endpoint_kvs_get, endpoint_kvs_list,
    endpoint_kvs_list_keys;

/*
 * session_apply                 session_request            -> struct str
 * session_get                   session_specific_request   -> indexed_sessions
 * session_list                  session_specific_request   -> indexed_sessions
 * session_node_sessions         node_request               -> indexed_sessions
 * session_renew                 session_specific_request   -> indexed_sessions
 *
 * Session.Apply's op: create (the reply is the new ID), destroy ("").
 */
extern const struct endpoint endpoint_session_apply, endpoint_session_get, endpoint_session_list,
    endpoint_session_node_sessions, endpoint_session_renew;

/*
 * coordinate_update             coordinate_update_request  -> empty_struct
 * coordinate_list_datacenters   empty_struct               -> list of datacenter_map
 * coordinate_list_nodes         dc_request                 -> indexed_coordinates
 * coordinate_node               node_request               -> indexed_coordinates
 *
 * Updates are answered at once; the leader writes what it collected every 5 s.
 */
extern const struct endpoint endpoint_coordinate_update, endpoint_coordinate_list_datacenters,
    endpoint_coordinate_list_nodes, endpoint_coordinate_node;

/*
 * prepared_query_apply          prepared_query_request     -> struct str (the ID)
 * prepared_query_get            prepared_query_specific_request -> indexed_prepared_queries
 * prepared_query_list           dc_request                 -> indexed_prepared_queries
 * prepared_query_explain        prepared_query_execute_request -> prepared_query_explain_response
 * prepared_query_execute        prepared_query_execute_request -> prepared_query_execute_response
 * prepared_query_execute_remote prepared_query_execute_remote_request
 *                                                          -> prepared_query_execute_response
 *
 * Apply's op: create, update, delete. A query that is not there: ERROR_NOT_FOUND.
 */
extern const struct endpoint endpoint_prepared_query_apply, endpoint_prepared_query_get,
    endpoint_prepared_query_list, endpoint_prepared_query_explain, endpoint_prepared_query_execute,
    endpoint_prepared_query_execute_remote;

/*
 * txn_apply                     txn_request                -> txn_response
 * txn_read                      txn_read_request           -> txn_read_response
 *
 * Operations that fail are no error of the call: reply->errors.
 */
extern const struct endpoint endpoint_txn_apply, endpoint_txn_read;

/*
 * internal_node_info            node_request               -> indexed_node_dump
 * internal_node_dump            dc_request                 -> indexed_node_dump
 * internal_service_dump         service_dump_request       -> indexed_check_service_nodes
 * internal_gateway_service_dump service_request            -> indexed_service_dump
 */
extern const struct endpoint endpoint_internal_node_info, endpoint_internal_node_dump,
    endpoint_internal_service_dump, endpoint_internal_gateway_service_dump;

/*
 * internal_event_fire           event_fire_request         -> event_fire_response (keyring.h)
 * internal_keyring_operation    keyring_request            -> keyring_responses (keyring.h)
 */
extern const struct endpoint endpoint_internal_event_fire, endpoint_internal_keyring_operation;

/*
 * operator_raft_configuration   dc_request                 -> raft_configuration_response
 * operator_autopilot_get        dc_request                 -> autopilot_config
 * operator_autopilot_set        autopilot_set_request      -> bool
 * operator_raft_remove_by_...   raft_remove_peer_request   -> empty_struct
 * operator_server_health        dc_request                 -> operator_health_reply (autopilot.h)
 */
extern const struct endpoint endpoint_operator_raft_configuration, endpoint_operator_autopilot_get,
    endpoint_operator_autopilot_set, endpoint_operator_raft_remove_by_address,
    endpoint_operator_raft_remove_by_id, endpoint_operator_server_health;

/*
 * acl_token_read                acl_token_get_request      -> acl_token_response
 * acl_token_list                acl_token_list_request     -> acl_token_list_response
 * acl_token_batch_read          acl_token_batch_get_request -> acl_token_batch_response
 * acl_token_set                 acl_token_set_request      -> acl_token
 * acl_token_clone               acl_token_set_request      -> acl_token
 * acl_token_delete              acl_token_delete_request   -> struct str (the accessor, or "")
 *
 * A token that is not there is no error of a read: its pointer is NULL; so are policies, roles,
 * binding rules and auth methods. In the replies of writes it is as it was stored.
 */
extern const struct endpoint endpoint_acl_token_read, endpoint_acl_token_list,
    endpoint_acl_token_batch_read, endpoint_acl_token_set, endpoint_acl_token_clone,
    endpoint_acl_token_delete;

/*
 * acl_policy_read               acl_policy_get_request     -> acl_policy_response
 * acl_policy_list               acl_policy_list_request    -> acl_policy_list_response
 * acl_policy_batch_read         acl_policy_batch_get_request -> acl_policy_batch_response
 * acl_policy_resolve            acl_policy_batch_get_request -> acl_policy_batch_response
 * acl_policy_set                acl_policy_set_request     -> acl_policy
 * acl_policy_delete             acl_policy_delete_request  -> struct str (the name, or "")
 */
extern const struct endpoint endpoint_acl_policy_read, endpoint_acl_policy_list,
    endpoint_acl_policy_batch_read, endpoint_acl_policy_resolve, endpoint_acl_policy_set,
    endpoint_acl_policy_delete;

/*
 * acl_role_read                 acl_role_get_request       -> acl_role_response
 * acl_role_list                 acl_role_list_request      -> acl_role_batch_response
 * acl_role_batch_read           acl_role_batch_get_request -> acl_role_batch_response
 * acl_role_resolve              acl_role_batch_get_request -> acl_role_batch_response
 * acl_role_set                  acl_role_set_request       -> acl_role
 * acl_role_delete               acl_role_delete_request    -> struct str (the name, or "")
 */
extern const struct endpoint endpoint_acl_role_read, endpoint_acl_role_list,
    endpoint_acl_role_batch_read, endpoint_acl_role_resolve, endpoint_acl_role_set,
    endpoint_acl_role_delete;

/*
 * acl_binding_rule_read         acl_binding_rule_get_request -> acl_binding_rule_response
 * acl_binding_rule_list         acl_binding_rule_list_request -> acl_binding_rule_list_response
 * acl_binding_rule_set          acl_binding_rule_set_request -> acl_binding_rule
 * acl_binding_rule_delete       acl_binding_rule_delete_request -> bool (whether it was there)
 * acl_auth_method_read          acl_auth_method_get_request -> acl_auth_method_response
 * acl_auth_method_list          acl_auth_method_list_request -> acl_auth_method_list_response
 * acl_auth_method_set           acl_auth_method_set_request -> acl_auth_method
 * acl_auth_method_delete        acl_auth_method_delete_request -> bool
 */
extern const struct endpoint endpoint_acl_binding_rule_read, endpoint_acl_binding_rule_list,
    endpoint_acl_binding_rule_set, endpoint_acl_binding_rule_delete, endpoint_acl_auth_method_read,
    endpoint_acl_auth_method_list, endpoint_acl_auth_method_set, endpoint_acl_auth_method_delete;

/*
 * acl_login                     acl_login_request          -> acl_token
 * acl_logout                    acl_logout_request         -> bool
 * acl_authorize                 acl_remote_authorization_request
 *                                                -> list of struct acl_authorization_response
 * acl_replication_status        dc_request                 -> acl_replication_status
 * acl_bootstrap_tokens          dc_request                 -> acl_token
 */
extern const struct endpoint endpoint_acl_login, endpoint_acl_logout, endpoint_acl_authorize,
    endpoint_acl_replication_status, endpoint_acl_bootstrap_tokens;

/*
 * acl_apply                     legacy_acl_request         -> struct str (the secret)
 * acl_get                       acl_specific_request       -> indexed_acls
 * acl_list                      dc_request                 -> indexed_acls
 * acl_bootstrap                 dc_request                 -> legacy_acl
 * acl_get_policy                acl_policy_resolve_legacy_request
 *                                                          -> acl_policy_resolve_legacy_response
 *
 * Of the old system (acl.md 11). Apply's op: set, delete.
 */
extern const struct endpoint endpoint_acl_apply, endpoint_acl_get, endpoint_acl_list,
    endpoint_acl_bootstrap, endpoint_acl_get_policy;

/*
 * connect_ca_roots              dc_request                 -> indexed_ca_roots
 * connect_ca_configuration_get  dc_request                 -> ca_configuration
 * connect_ca_configuration_set  ca_request                 -> struct value * (NULL)
 * connect_ca_sign               ca_sign_request            -> issued_cert
 * connect_ca_sign_intermediate  ca_sign_request            -> struct str (PEM)
 */
extern const struct endpoint endpoint_connect_ca_roots, endpoint_connect_ca_configuration_get,
    endpoint_connect_ca_configuration_set, endpoint_connect_ca_sign,
    endpoint_connect_ca_sign_intermediate;

/*
 * auto_encrypt_sign             ca_sign_request            -> auto_encrypt_reply
 * auto_config_initial_configuration  struct str            -> struct str
 *
 * On the restricted port only (byte 0x07). The texts are auto_config_request and
 * auto_config_response of schema/auto_config.h.
 */
extern const struct endpoint endpoint_auto_encrypt_sign, endpoint_auto_config_initial_configuration;

/*
 * intention_apply               intention_request          -> struct str (the ID)
 * intention_get                 intention_query_request    -> indexed_intentions (one)
 * intention_list                dc_request                 -> indexed_intentions
 * intention_match               intention_query_request    -> indexed_intention_matches
 * intention_check               intention_query_request    -> intention_query_check_response
 */
extern const struct endpoint endpoint_intention_apply, endpoint_intention_get,
    endpoint_intention_list, endpoint_intention_match, endpoint_intention_check;

/*
 * config_entry_apply            config_entry_request       -> bool (false: cas missed)
 * config_entry_delete           config_entry_request       -> empty_struct
 * config_entry_get              config_entry_query         -> config_entry_response
 * config_entry_list             config_entry_query         -> indexed_config_entries
 * config_entry_list_all         dc_request                 -> indexed_generic_config_entries
 * config_entry_resolve_service_config  service_config_request -> service_config_response
 *
 * Writes go to the primary, whatever datacenter the request names.
 */
extern const struct endpoint endpoint_config_entry_apply, endpoint_config_entry_delete,
    endpoint_config_entry_get, endpoint_config_entry_list, endpoint_config_entry_list_all,
    endpoint_config_entry_resolve_service_config;

/*
 * discovery_chain_get           discovery_chain_request    -> discovery_chain_response
 */
extern const struct endpoint endpoint_discovery_chain_get;

/*
 * federation_state_apply               federation_state_request -> bool (false: deleted)
 * federation_state_get                 federation_state_query   -> federation_state_response
 * federation_state_list                dc_request               -> indexed_federation_states
 * federation_state_list_mesh_gateways  dc_request               -> datacenter_gateways
 *
 * Apply goes to the primary, whatever datacenter the request names.
 */
extern const struct endpoint endpoint_federation_state_apply, endpoint_federation_state_get,
    endpoint_federation_state_list, endpoint_federation_state_list_mesh_gateways;

/* ---- snapshots: not calls, because files go in and come out (rpc.md 8, fsm.md 8) ---- */

/* The caller fills in the first part, keeps the struct until done, and gets done() on the loop from
 * which it started. */
struct snapshot_call {
    bool allow_stale;
    bool remote;           /* it came in over the RPC port: limits.rpc_rate does not count it */
    struct str datacenter; /* "" = own */
    struct str token;
    int archive; /* restore: an open file, read from its start; closed by the caller. save: -1 */
    void (*done)(struct snapshot_call *c);
    void *owner;

    struct arena arena; /* of the error's text; freed by the caller */
    struct error error; /* ERROR_NONE: done */
    int result;         /* save: an open file at offset 0 that has no name; the caller closes it */
    uint64_t size;      /* save: its bytes */
    struct query_meta meta; /* save: index of the snapshot, known_leader, last_contact */

    struct server *server;   /* the rest belongs to server/snapshot.c */
    const struct peer *peer; /* who is asked; NULL: it is done here, or only an address is known */
    struct loop *home;
    struct message message;
    struct snapshot_work *work;
    struct authorize authorize;
    bool restoring;
    bool elsewhere;
};
/* They run here or on another server, as rpc.md 8 says: a client agent asks the server whose turn
 * it is, a server the leader (unless stale is enough) or another datacenter. On an I/O thread or
 * the core; done() always runs later, never inside. */
void server_snapshot_save(struct server *s, struct snapshot_call *c);
void server_snapshot_restore(struct server *s, struct snapshot_call *c);

#endif

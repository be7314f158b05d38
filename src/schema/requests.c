/* Field tables of requests and replies. The order of the fields is that of the peer's declarations
 * as far as they show (JSON in and out, positional decoding); blocks come last. */
#include "schema/requests.h"

#include "schema/table.h"

#define NO_JSON_BLOCK FIELD_NO_JSON

#define OF struct query_options
static const struct field query_options_fields[] = {
    F_STR("Token", token),
    F_UINT("MinQueryIndex", min_query_index),
    F_DUR("MaxQueryTime", max_query_time),
    F_BOOL("AllowStale", allow_stale),
    F_BOOL("RequireConsistent", require_consistent),
    F_BOOL("UseCache", use_cache),
    F_DUR("MaxStaleDuration", max_stale_duration),
    F_DUR("MaxAge", max_age),
    F_BOOL("MustRevalidate", must_revalidate),
    F_DUR("StaleIfError", stale_if_error),
    F_STR("Filter", filter),
};
#undef OF
SHAPE(query_options, "QueryOptions");

#define OF struct query_meta
static const struct field query_meta_fields[] = {
    F_UINT("Index", index),
    F_DUR("LastContact", last_contact),
    F_BOOL("KnownLeader", known_leader),
    F_STR("ConsistencyLevel", consistency_level),
};
#undef OF
SHAPE(query_meta, "QueryMeta");

#define OF struct write_options
static const struct field write_options_fields[] = {F_STR("Token", token)};
#undef OF
SHAPE(write_options, "WriteRequest");

#define OF struct query_source
static const struct field query_source_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Segment", segment),
    F_STR("Node", node),
    F_STR("Ip", ip),
};
#undef OF
SHAPE(query_source, "QuerySource");

#define QUERY_BLOCK F_FLAT(options, query_options, NO_JSON_BLOCK)
#define WRITE_BLOCK F_FLAT(write, write_options)
#define META_BLOCK F_FLAT(meta, query_meta)

#define OF struct dc_request
static const struct field dc_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_MAP("NodeMetaFilters", node_meta_filters, OF_STR),
    F_STRUCT("Source", source, query_source),
    QUERY_BLOCK,
};
#undef OF
SHAPE(dc_request, "DCSpecificRequest");

#define OF struct node_request
static const struct field node_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Node", node),
    QUERY_BLOCK,
};
#undef OF
SHAPE(node_request, "NodeSpecificRequest");

#define OF struct service_request
static const struct field service_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_MAP("NodeMetaFilters", node_meta_filters, OF_STR),
    F_STR("ServiceName", service_name),
    F_STR("ServiceTag", service_tag),
    F_LIST("ServiceTags", service_tags, OF_STR),
    F_STR("ServiceAddress", service_address),
    F_BOOL("TagFilter", tag_filter),
    F_STRUCT("Source", source, query_source),
    F_BOOL("Connect", connect),
    F_BOOL("Ingress", ingress),
    QUERY_BLOCK,
};
#undef OF
SHAPE(service_request, "ServiceSpecificRequest");

#define OF struct register_request
static const struct field register_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("ID", id, .go = "types.NodeID"),
    F_STR("Node", node),
    F_STR("Address", address),
    F_MAP("TaggedAddresses", tagged_addresses, OF_STR),
    F_MAP("NodeMeta", node_meta, OF_STR),
    F_PTR("Service", service, node_service),
    F_PTR("Check", check, health_check),
    F_LIST("Checks", checks, OF_PTR(health_check), .go = "structs.HealthChecks"),
    F_BOOL("SkipNodeUpdate", skip_node_update),
    WRITE_BLOCK,
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(register_request, "RegisterRequest");

#define OF struct deregister_request
static const struct field deregister_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Node", node),
    F_STR("ServiceID", service_id),
    F_STR("CheckID", check_id, .go = "types.CheckID"),
    WRITE_BLOCK,
};
#undef OF
static const struct json_alias deregister_request_aliases[] = {{"Address", NULL}, {NULL, NULL}};
SHAPE(deregister_request, "DeregisterRequest", .flags = SHAPE_OWN_JSON,
      .aliases = deregister_request_aliases, .go = "struct { Address string; *structs.Alias }");

#define OF struct checks_in_state_request
static const struct field checks_in_state_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_MAP("NodeMetaFilters", node_meta_filters, OF_STR),
    F_STR("State", state),
    F_STRUCT("Source", source, query_source),
    QUERY_BLOCK,
};
#undef OF
SHAPE(checks_in_state_request, "ChecksInStateRequest");

#define OF struct kvs_request
static const struct field kvs_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Op", op),
    F_STRUCT("DirEnt", dir_ent, dir_entry),
    WRITE_BLOCK,
};
#undef OF
SHAPE(kvs_request, "KVSRequest");

#define OF struct key_request
static const struct field key_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Key", key),
    QUERY_BLOCK,
};
#undef OF
SHAPE(key_request, "KeyRequest");

#define OF struct key_list_request
static const struct field key_list_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Prefix", prefix),
    F_STR("Seperator", seperator),
    QUERY_BLOCK,
};
#undef OF
SHAPE(key_list_request, "KeyListRequest");

#define OF struct session_request
static const struct field session_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Op", op),
    F_STRUCT("Session", session, session),
    WRITE_BLOCK,
};
#undef OF
SHAPE(session_request, "SessionRequest");

#define OF struct session_specific_request
static const struct field session_specific_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("SessionID", session_id),
    F_STR("Session", session),
    QUERY_BLOCK,
};
#undef OF
SHAPE(session_specific_request, "SessionSpecificRequest");

#define OF struct coordinate_update_request
static const struct field coordinate_update_request_fields[] = {
    F_STR("Datacenter", datacenter), F_STR("Node", node), F_STR("Segment", segment),
    F_PTR("Coord", coord, coord),    WRITE_BLOCK,
};
#undef OF
SHAPE(coordinate_update_request, "CoordinateUpdateRequest");

#define OF struct tombstone_request
static const struct field tombstone_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Op", op),
    F_UINT("ReapIndex", reap_index),
    WRITE_BLOCK,
};
#undef OF
SHAPE(tombstone_request, "TombstoneRequest");

#define OF struct prepared_query_request
static const struct field prepared_query_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Op", op),
    F_PTR("Query", query, prepared_query),
    WRITE_BLOCK,
};
#undef OF
SHAPE(prepared_query_request, "PreparedQueryRequest");

#define OF struct prepared_query_specific_request
static const struct field prepared_query_specific_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("QueryID", query_id),
    QUERY_BLOCK,
};
#undef OF
SHAPE(prepared_query_specific_request, "PreparedQuerySpecificRequest");

#define OF struct prepared_query_execute_request
static const struct field prepared_query_execute_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("QueryIDOrName", query_id_or_name),
    F_INT("Limit", limit),
    F_BOOL("Connect", connect),
    F_STRUCT("Source", source, query_source),
    F_STRUCT("Agent", agent, query_source),
    QUERY_BLOCK,
};
#undef OF
SHAPE(prepared_query_execute_request, "PreparedQueryExecuteRequest");

#define OF struct prepared_query_execute_remote_request
static const struct field prepared_query_execute_remote_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STRUCT("Query", query, prepared_query),
    F_INT("Limit", limit),
    F_BOOL("Connect", connect),
    QUERY_BLOCK,
};
#undef OF
SHAPE(prepared_query_execute_remote_request, "PreparedQueryExecuteRemoteRequest");

#define OF struct intention_request
static const struct field intention_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Op", op),
    F_PTR("Intention", intention, intention),
    WRITE_BLOCK,
};
#undef OF
SHAPE(intention_request, "IntentionRequest");

#define OF struct txn_op_kv
static const struct field txn_op_kv_fields[] = {
    F_STR("Verb", verb),
    F_STRUCT("DirEnt", dir_ent, dir_entry),
};
#undef OF
SHAPE(txn_op_kv, "TxnKVOp");

#define OF struct txn_op_node
static const struct field txn_op_node_fields[] = {
    F_STR("Verb", verb),
    F_STRUCT("Node", node, node),
};
#undef OF
SHAPE(txn_op_node, "TxnNodeOp");

#define OF struct txn_op_service
static const struct field txn_op_service_fields[] = {
    F_STR("Verb", verb),
    F_STR("Node", node),
    F_STRUCT("Service", service, node_service),
};
#undef OF
SHAPE(txn_op_service, "TxnServiceOp");

#define OF struct txn_op_check
static const struct field txn_op_check_fields[] = {
    F_STR("Verb", verb),
    F_STRUCT("Check", check, health_check),
};
#undef OF
SHAPE(txn_op_check, "TxnCheckOp");

#define OF struct txn_op_session
static const struct field txn_op_session_fields[] = {
    F_STR("Verb", verb),
    F_STRUCT("Session", session, session),
};
#undef OF
SHAPE(txn_op_session, "TxnSessionOp");

#define OF struct txn_op
static const struct field txn_op_fields[] = {
    F_PTR("KV", kv, txn_op_kv),
    F_PTR("Node", node, txn_op_node),
    F_PTR("Service", service, txn_op_service),
    F_PTR("Check", check, txn_op_check),
    F_PTR("Session", session, txn_op_session),
    F_PTR("Intention", intention, intention_request),
};
#undef OF
SHAPE(txn_op, "TxnOp");

#define OMIT .flags = FIELD_OMIT_EMPTY

#define OF struct txn_result
static const struct field txn_result_fields[] = {
    F_PTR("KV", kv, dir_entry, OMIT),
    F_PTR("Node", node, node, OMIT),
    F_PTR("Service", service, node_service, OMIT),
    F_PTR("Check", check, health_check, OMIT),
};
#undef OF
SHAPE(txn_result, "TxnResult");

#define OF struct txn_error
static const struct field txn_error_fields[] = {
    F_INT("OpIndex", op_index),
    F_STR("What", what),
};
#undef OF
SHAPE(txn_error, "TxnError");

#define OF struct txn_request
static const struct field txn_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_LIST("Ops", ops, OF_PTR(txn_op), .go = "structs.TxnOps"),
    WRITE_BLOCK,
};
#undef OF
SHAPE(txn_request, "TxnRequest");

#define OF struct txn_read_request
static const struct field txn_read_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_LIST("Ops", ops, OF_PTR(txn_op), .go = "structs.TxnOps"),
    QUERY_BLOCK,
};
#undef OF
SHAPE(txn_read_request, "TxnReadRequest");

#define OF struct txn_response
static const struct field txn_response_fields[] = {
    F_LIST("Results", results, OF_PTR(txn_result)),
    F_LIST("Errors", errors, OF_PTR(txn_error)),
};
#undef OF
SHAPE(txn_response, "TxnResponse");

#define OF struct txn_read_response
static const struct field txn_read_response_fields[] = {
    F_LIST("Results", results, OF_PTR(txn_result)),
    F_LIST("Errors", errors, OF_PTR(txn_error)),
    META_BLOCK,
};
#undef OF
SHAPE(txn_read_response, "TxnReadResponse");

/* JSON in as operator/autopilot/configuration takes it, hence the other name (http-core.md 11.13).
 */
#define READABLE .flags = FIELD_DUR_TEXT | FIELD_DUR_READABLE | FIELD_NULLABLE
#define OF struct autopilot_config
static const struct field autopilot_config_fields[] = {
    F_BOOL("CleanupDeadServers", cleanup_dead_servers),
    F_DUR("LastContactThreshold", last_contact_threshold, READABLE),
    F_UINT("MaxTrailingLogs", max_trailing_logs),
    F_UINT("MinQuorum", min_quorum, .go = "uint"),
    F_DUR("ServerStabilizationTime", server_stabilization_time, READABLE),
    F_STR("RedundancyZoneTag", redundancy_zone_tag),
    F_BOOL("DisableUpgradeMigration", disable_upgrade_migration),
    F_STR("UpgradeVersionTag", upgrade_version_tag),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(autopilot_config, "AutopilotConfiguration", .go = "api.AutopilotConfiguration");

#define OF struct autopilot_set_request
static const struct field autopilot_set_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STRUCT("Config", config, autopilot_config),
    F_BOOL("CAS", cas),
    WRITE_BLOCK,
};
#undef OF
SHAPE(autopilot_set_request, "AutopilotSetConfigRequest");

/* ---- replies ---- */

#define OF struct indexed_prepared_queries
static const struct field indexed_prepared_queries_fields[] = {
    F_LIST("Queries", queries, OF_PTR(prepared_query)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_prepared_queries, "IndexedPreparedQueries");

#define OF struct prepared_query_explain_response
static const struct field prepared_query_explain_response_fields[] = {
    F_STRUCT("Query", query, prepared_query),
    META_BLOCK,
};
#undef OF
SHAPE(prepared_query_explain_response, "PreparedQueryExplainResponse");

#define OF struct prepared_query_execute_response
static const struct field prepared_query_execute_response_fields[] = {
    F_STR("Service", service),
    F_LIST("Nodes", nodes, OF_STRUCT(check_service_node)),
    F_STRUCT("DNS", dns, prepared_query_dns),
    F_STR("Datacenter", datacenter),
    F_INT("Failovers", failovers),
    META_BLOCK,
};
#undef OF
SHAPE(prepared_query_execute_response, "PreparedQueryExecuteResponse");

#define OF struct indexed_nodes
static const struct field indexed_nodes_fields[] = {
    F_LIST("Nodes", nodes, OF_PTR(node)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_nodes, "IndexedNodes");

#define OF struct indexed_services
static const struct field indexed_services_fields[] = {
    F_MAP("Services", services, OF_LIST(OF_STR)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_services, "IndexedServices");

#define OF struct indexed_service_list
static const struct field indexed_service_list_fields[] = {
    F_LIST("Services", services, OF_STRUCT(service_name)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_service_list, "IndexedServiceList");

#define OF struct indexed_service_nodes
static const struct field indexed_service_nodes_fields[] = {
    F_LIST("ServiceNodes", service_nodes, OF_PTR(service_node)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_service_nodes, "IndexedServiceNodes");

#define OF struct node_services
static const struct field node_services_fields[] = {
    F_PTR("Node", node, node),
    F_MAP("Services", services, OF_PTR(node_service)),
};
#undef OF
SHAPE(node_services, "NodeServices");

#define OF struct indexed_node_services
static const struct field indexed_node_services_fields[] = {
    F_PTR("NodeServices", node_services, node_services),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_node_services, "IndexedNodeServices");

#define OF struct node_service_list
static const struct field node_service_list_fields[] = {
    F_PTR("Node", node, node),
    F_LIST("Services", services, OF_PTR(node_service)),
};
#undef OF
SHAPE(node_service_list, "NodeServiceList");

#define OF struct indexed_node_service_list
static const struct field indexed_node_service_list_fields[] = {
    F_STRUCT("NodeServices", node_services, node_service_list),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_node_service_list, "IndexedNodeServiceList");

#define OF struct indexed_gateway_services
static const struct field indexed_gateway_services_fields[] = {
    F_LIST("Services", services, OF_PTR(gateway_service)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_gateway_services, "IndexedGatewayServices");

#define OF struct indexed_health_checks
static const struct field indexed_health_checks_fields[] = {
    F_LIST("HealthChecks", health_checks, OF_PTR(health_check)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_health_checks, "IndexedHealthChecks");

#define OF struct indexed_check_service_nodes
static const struct field indexed_check_service_nodes_fields[] = {
    F_LIST("Nodes", nodes, OF_STRUCT(check_service_node)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_check_service_nodes, "IndexedCheckServiceNodes");

#define OF struct indexed_dir_entries
static const struct field indexed_dir_entries_fields[] = {
    F_LIST("Entries", entries, OF_PTR(dir_entry)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_dir_entries, "IndexedDirEntries");

#define OF struct indexed_keys
static const struct field indexed_keys_fields[] = {
    F_LIST("Keys", keys, OF_STR),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_keys, "IndexedKeyList");

#define OF struct indexed_sessions
static const struct field indexed_sessions_fields[] = {
    F_LIST("Sessions", sessions, OF_PTR(session)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_sessions, "IndexedSessions");

#define OF struct indexed_coordinates
static const struct field indexed_coordinates_fields[] = {
    F_LIST("Coordinates", coordinates, OF_PTR(coordinate)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_coordinates, "IndexedCoordinates");

#define OF struct indexed_node_dump
static const struct field indexed_node_dump_fields[] = {
    F_LIST("Dump", dump, OF_PTR(node_info)),
    META_BLOCK,
};
#undef OF
SHAPE(indexed_node_dump, "IndexedNodeDump");

#define OF struct raft_server
static const struct field raft_server_fields[] = {
    F_STR("ID", id),
    F_STR("Node", node),
    F_STR("Address", address),
    F_BOOL("Leader", leader),
    F_STR("ProtocolVersion", protocol_version),
    F_BOOL("Voter", voter),
};
#undef OF
SHAPE(raft_server, "RaftServer");

#define OF struct raft_configuration_response
static const struct field raft_configuration_response_fields[] = {
    F_LIST("Servers", servers, OF_PTR(raft_server)),
    F_UINT("Index", index),
};
#undef OF
SHAPE(raft_configuration_response, "RaftConfigurationResponse");

/* Requests and replies that only endpoints have (server/endpoints.h). */
#include "schema/table.h"
#include "server/endpoints.h"
#include "server/server_room.h"

#define OF struct empty_struct
static const struct field empty_struct_fields[1];
static struct shape_cache empty_struct_cache;
const struct shape empty_struct_shape = {.name = "struct {}",
                                         .size = sizeof(struct empty_struct),
                                         .fields = empty_struct_fields,
                                         .field_count = 0,
                                         .cache = &empty_struct_cache};
#undef OF

#define OF struct service_dump_request
static const struct field service_dump_request_fields[] = {
    F_STR("Datacenter", datacenter),          F_STR("ServiceKind", service_kind),
    F_STRUCT("Source", source, query_source), F_BOOL("UseServiceKind", use_service_kind),
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(service_dump_request, "ServiceDumpRequest");

#define OF struct indexed_service_dump
static const struct field indexed_service_dump_fields[] = {
    F_LIST("Dump", dump, OF_PTR(service_info)),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(indexed_service_dump, "IndexedServiceDump");

#define OF struct datacenters_request
static const struct field datacenters_request_fields[] = {
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(datacenters_request, "DatacentersRequest");

#define OF struct raft_remove_peer_request
static const struct field raft_remove_peer_request_fields[] = {
    F_STR("Address", address),
    F_STR("Datacenter", datacenter),
    F_STR("ID", id),
    F_FLAT(write, write_options),
};
#undef OF
SHAPE(raft_remove_peer_request, "RaftRemovePeerRequest");

#define OF struct raft_stats
static const struct field raft_stats_fields[] = {
    F_STR("LastContact", last_contact),
    F_UINT("LastIndex", last_index),
    F_UINT("LastTerm", last_term),
};
#undef OF
SHAPE(raft_stats, "ServerStats");

static const struct type str_type = {KIND_STR, NULL, NULL};
static const struct type datacenter_map_type = {KIND_STRUCT, &datacenter_map_shape, NULL};
const struct type str_reply_type = {KIND_STR, NULL, NULL};
const struct type bool_reply_type = {KIND_BOOL, NULL, NULL};
const struct type str_list_reply_type = {KIND_LIST, NULL, &str_type};
const struct type datacenter_map_list_reply_type = {KIND_LIST, NULL, &datacenter_map_type};

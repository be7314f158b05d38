/* Field tables of prepared queries (http-core.md 11.8). */
#include "schema/query.h"

#include "schema/table.h"

#define INDEX .flags = FIELD_NO_FILTER

#define OF struct prepared_query_dns
static const struct field prepared_query_dns_fields[] = {F_STR("TTL", ttl)};
#undef OF
SHAPE(prepared_query_dns, "QueryDNSOptions");

#define OF struct prepared_query_template
static const struct field prepared_query_template_fields[] = {
    F_STR("Type", type),
    F_STR("Regexp", regexp),
    F_BOOL("RemoveEmptyTags", remove_empty_tags),
};
#undef OF
SHAPE(prepared_query_template, "QueryTemplateOptions");

#define OF struct service_query_failover
static const struct field service_query_failover_fields[] = {
    F_INT("NearestN", nearest_n),
    F_LIST("Datacenters", datacenters, OF_STR),
};
#undef OF
SHAPE(service_query_failover, "QueryDatacenterOptions");

#define OF struct service_query
static const struct field service_query_fields[] = {
    F_STR("Service", service),
    F_STRUCT("Failover", failover, service_query_failover),
    F_BOOL("OnlyPassing", only_passing),
    F_LIST("IgnoreCheckIDs", ignore_check_ids, OF_STR, .go = "[]types.CheckID"),
    F_STR("Near", near),
    F_LIST("Tags", tags, OF_STR),
    F_MAP("NodeMeta", node_meta, OF_STR),
    F_MAP("ServiceMeta", service_meta, OF_STR),
    F_BOOL("Connect", connect),
};
#undef OF
SHAPE(service_query, "ServiceQuery");

#define OF struct prepared_query
static const struct field prepared_query_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Session", session),
    F_STR("Token", token),
    F_STRUCT("Template", template, prepared_query_template),
    F_STRUCT("Service", service, service_query),
    F_STRUCT("DNS", dns, prepared_query_dns),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
SHAPE(prepared_query, "PreparedQuery");

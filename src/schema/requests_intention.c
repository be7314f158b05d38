/* Field tables of the requests and replies of intentions' endpoints. */
#include "schema/requests_intention.h"

#include "schema/table.h"

#define OF struct intention_match_entry
static const struct field intention_match_entry_fields[] = {
    F_STR("Namespace", name_space),
    F_STR("Name", name),
};
#undef OF
SHAPE(intention_match_entry, "IntentionMatchEntry");

#define OF struct intention_query_match
static const struct field intention_query_match_fields[] = {
    F_STR("Type", type),
    F_LIST("Entries", entries, OF_STRUCT(intention_match_entry)),
};
#undef OF
SHAPE(intention_query_match, "IntentionQueryMatch");

#define OF struct intention_query_check
static const struct field intention_query_check_fields[] = {
    F_STR("SourceNS", source_ns),           F_STR("SourceName", source_name),
    F_STR("DestinationNS", destination_ns), F_STR("DestinationName", destination_name),
    F_STR("SourceType", source_type),
};
#undef OF
SHAPE(intention_query_check, "IntentionQueryCheck");

#define OF struct intention_query_request
static const struct field intention_query_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("IntentionID", intention_id),
    F_PTR("Match", match, intention_query_match),
    F_PTR("Check", check, intention_query_check),
    F_FLAT(options, query_options),
};
#undef OF
SHAPE(intention_query_request, "IntentionQueryRequest");

#define OF struct indexed_intentions
static const struct field indexed_intentions_fields[] = {
    F_LIST("Intentions", intentions, OF_PTR(intention)),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(indexed_intentions, "IndexedIntentions");

#define OF struct indexed_intention_matches
static const struct field indexed_intention_matches_fields[] = {
    F_LIST("Matches", matches, OF_LIST(OF_PTR(intention))),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(indexed_intention_matches, "IndexedIntentionMatches");

#define OF struct intention_query_check_response
static const struct field intention_query_check_response_fields[] = {
    F_BOOL("Allowed", allowed),
};
#undef OF
SHAPE(intention_query_check_response, "IntentionQueryCheckResponse");

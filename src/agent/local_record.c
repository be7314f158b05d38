/* Field tables of the agent's own files: see local_record.h. */
#include "agent/local_record.h"

#include "schema/table.h"

#define OF struct service_record
static const struct field service_record_fields[] = {
    F_STR("Token", token),
    F_PTR("Service", service, node_service),
    F_STR("Source", source),
    F_BOOL("LocallyRegisteredAsSidecar", is_sidecar, .flags = FIELD_OMIT_EMPTY),
};
#undef OF
SHAPE(service_record, "persistedService", .go = "agent.persistedService");

#define OF struct check_record
static const struct field check_record_fields[] = {
    F_PTR("Check", check, health_check),
    F_PTR("ChkType", type, check_type),
    F_STR("Token", token),
    F_STR("Source", source),
};
#undef OF
SHAPE(check_record, "persistedCheck", .go = "agent.persistedCheck");

#define OF struct state_record
static const struct field state_record_fields[] = {
    F_STR("CheckID", check_id),
    F_STR("Output", output),
    F_STR("Status", status),
    F_INT("Expires", expires),
};
#undef OF
SHAPE(state_record, "persistedCheckState", .go = "agent.persistedCheckState");

#define OF struct central_record
static const struct field central_record_fields[] = {
    F_STR("ServiceID", service_id),
    TABLE_FIELD("Defaults", defaults, struct service_config_response *,
                {KIND_PTR, &service_config_content_shape, NULL}),
};
#undef OF
SHAPE(central_record, "persistedServiceConfig", .go = "agent.persistedServiceConfig");

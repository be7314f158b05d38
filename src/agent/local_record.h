/* What the agent's own files hold: one service, one check, the state of a TTL check, or the central
 * configuration of a service each (agent.md 4.7), in the peer's format. Only for agent/local*.c.
 */
#ifndef PRAETOR_AGENT_LOCAL_RECORD_H
#define PRAETOR_AGENT_LOCAL_RECORD_H

#include "schema/catalog.h"
#include "schema/requests_config.h"

struct service_record {
    struct str token;
    struct node_service *service; /* NULL in no file that the peer or we wrote */
    struct str source;            /* "remote": of the API; "local", "" */
    bool is_sidecar;
};
struct check_record {
    struct health_check *check; /* as for the service */
    struct check_type *type;    /* NULL: a maintenance check */
    struct str token;
    struct str source;
};
struct state_record {
    struct str check_id, output, status;
    int64_t expires; /* Unix seconds */
};
struct central_record {
    struct str service_id;
    struct service_config_response *defaults; /* as for the service */
};

extern const struct shape service_record_shape;
extern const struct shape check_record_shape;
extern const struct shape state_record_shape;
extern const struct shape central_record_shape;

#endif

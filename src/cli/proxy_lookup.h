/* Which proxy is meant: the local agent is asked for the one of a service, or for the gateway of a
 * kind. For `connect envoy` and `connect proxy`.
 */
#ifndef PRAETOR_CLI_PROXY_LOOKUP_H
#define PRAETOR_CLI_PROXY_LOOKUP_H

#include "cli/client.h"

/* The ID of the one sidecar of the service with that ID. "No sidecar proxy registered for X", "More
 * than one sidecar proxy registered for X.\n    Start proxy with …" */
bool proxy_find_sidecar(struct client *c, struct str service_id, struct str *id,
                        struct arena *arena, struct error *e);
/* The one gateway of the kind ("mesh-gateway"). "No mesh-gateway services registered with this
 * agent", "Cannot lookup the …" */
bool proxy_find_gateway(struct client *c, const char *kind, struct str *id, struct str *name,
                        struct arena *arena, struct error *e);

#endif

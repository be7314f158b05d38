/* Central configuration of sidecars and gateways (enable_central_service_config; connect.md 4.2):
 * what the servers' configuration entries say is laid under what was registered, and followed from
 * then on. On the core. Unlike the peer's, the question names the upstreams that the service has
 * now.
 */
#ifndef PRAETOR_AGENT_CENTRAL_H
#define PRAETOR_AGENT_CENTRAL_H

#include "agent/local.h"
#include "schema/requests_config.h"

struct central; /* what follows one service */

/* What the servers have to be asked about the service; false: nothing, there is no central
 * configuration for it. In the arena, and pointing into the service. token: of its registration,
 * "": the agent's own is used. */
bool central_question(const struct local *l, const struct node_service *s, struct str token,
                      struct service_config_request *request, struct arena *arena);
/* Lays the answer under the service. Pure; in the arena, and pointing into both. */
void central_merge(struct node_service *s, const struct service_config_response *answer,
                   struct arena *arena);

/* Begins to follow: s->own is set. index: of the answer that it was made with, 0: without one. */
void central_start(struct local *l, struct local_service *s, uint64_t index);
void central_stop(struct local_service *s);

#endif

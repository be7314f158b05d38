/* What must hold for a service of a kind of its own (connect-proxy, the gateways) and for a sidecar
 * (agent.md 2.2). Agents ask it of a definition, servers of a registration.
 */
#ifndef PRAETOR_SCHEMA_SERVICE_RULES_H
#define PRAETOR_SCHEMA_SERVICE_RULES_H

#include "schema/catalog.h"

/* The peer's multi-error of all that is wrong, with the kind ERROR_INTERNAL. Looks at kind, port,
 * proxy and connect only. */
bool service_kind_validate(const struct node_service *s, struct arena *arena, struct error *e);

/* Whether there is such a mode of mesh gateways; "" is one. */
bool mesh_gateway_mode_known(struct str mode);

#endif

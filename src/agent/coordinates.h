/* The agent tells the catalog from time to time where it lies in the network (agent.md 4.6). On the
 * core's thread.
 */
#ifndef PRAETOR_AGENT_COORDINATES_H
#define PRAETOR_AGENT_COORDINATES_H

#include "agent/config.h"
#include "server/server.h"

struct coordinates;
/* config must live as long. */
struct coordinates *coordinates_start(struct server *server, const struct config *config);
void coordinates_stop(struct coordinates *c); /* NULL is allowed */
void coordinates_free(struct coordinates *c); /* after the core has ended */

#endif

/* Going for good (agent.md 8.3): a server takes itself out of Raft, both pools hear that the agent
 * leaves, and traffic under way gets time to end. The agent then stops.
 */
#ifndef PRAETOR_SERVER_LEAVE_H
#define PRAETOR_SERVER_LEAVE_H

#include "base/error.h"

struct server;

/* On the core's thread; done too, with the gossip's error if there was one (empty: none). Once. */
void server_leave(struct server *s, int64_t drain_time, void (*done)(void *owner, struct str error),
                  void *owner);

#endif

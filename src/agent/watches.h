/* The watches of the configuration (agent.md 5.3): each asks its question through a call, blocking,
 * on one of the I/O loops, and runs its handler, a script or an HTTP call, when the answer has
 * changed. What a handler does never holds up anybody else: scripts run by themselves, HTTP calls
 * with their timeout.
 */
#ifndef PRAETOR_AGENT_WATCHES_H
#define PRAETOR_AGENT_WATCHES_H

#include "agent/events.h"
#include "agent/local.h"

struct watches;
struct watches_options {
    struct server *server;
    struct local *local;
    struct events *events;
};

/* All functions on the main thread; each but watches_end returns without waiting. */
struct watches *watches_new(const struct watches_options *options);
/* Checks all of the configuration's watches, ends those that run, and starts the new ones. False:
 * the old ones have ended and none runs. */
bool watches_start(struct watches *w, const struct config *config, struct error *e);
/* Ends all, waits until nothing of them is left on the loops, which must still run, and frees. NULL
 * is allowed. */
void watches_end(struct watches *w);

#endif

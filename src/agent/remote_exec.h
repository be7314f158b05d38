/* `consul exec` at the end where the command runs (agent.md 5.2): an event says where in the
 * key/value store the job lies; its acknowledgement, output and exit code go there, held by the
 * caller's session. Only where disable_remote_exec is false.
 *
 * The core's thread.
 */
#ifndef PRAETOR_AGENT_REMOTE_EXEC_H
#define PRAETOR_AGENT_REMOTE_EXEC_H

#include "agent/config.h"
#include "server/server.h"

#define REMOTE_EXEC_JOBS_MAX 16 /* at a time; more are not taken */

struct remote_exec;
/* config must live as long. */
struct remote_exec *remote_exec_new(struct server *server, const struct config *config);
/* The event's payload. */
void remote_exec_start(struct remote_exec *x, struct str payload);
/* Ends all that runs; `stopped` runs when nothing is left. */
void remote_exec_stop(struct remote_exec *x, void (*stopped)(void *arg), void *arg);
void remote_exec_free(struct remote_exec *x);

#endif

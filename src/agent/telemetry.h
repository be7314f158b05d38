/* The metrics as users see them (agent.md 6): names with prefix and host name, filters, the JSON of
 * /v1/agent/metrics, and the dump of SIGUSR1. Gathering is base/metrics.h's; sinks over the network
 * are not built yet.
 */
#ifndef PRAETOR_AGENT_TELEMETRY_H
#define PRAETOR_AGENT_TELEMETRY_H

#include "agent/config.h"
#include "base/metrics.h"

struct json_writer;

/* The object of agent.md 6.2. */
void telemetry_write_json(struct json_writer *w, const struct config *c);
/* Finished intervals as lines on a stream (agent.md 6.1). */
void telemetry_dump(FILE *out, const struct config *c);
/* What the process itself is: gauges runtime.*. Called now and then by the agent. */
void telemetry_sample_runtime(void);

#endif

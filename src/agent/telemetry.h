/* The metrics as users see them (agent.md 6): names with prefix and host name, filters, the JSON of
 * /v1/agent/metrics, and the dump of SIGUSR1. Gathering is base/metrics.h's; telemetry_prometheus.c
 * and telemetry_sinks.c see each value as it comes and keep or send it.
 */
#ifndef PRAETOR_AGENT_TELEMETRY_H
#define PRAETOR_AGENT_TELEMETRY_H

#include "agent/config.h"
#include "base/buf.h"
#include "base/metrics.h"

struct json_writer;

/* The object of agent.md 6.2. */
void telemetry_write_json(struct json_writer *w, const struct config *c);
/* Finished intervals as lines on a stream (agent.md 6.1). */
void telemetry_dump(FILE *out, const struct config *c);

/* Before anything is measured: the sinks of the configuration. False with the peer's text. */
bool telemetry_start(const struct config *c, struct error *e);
/* The prefix filter of a new configuration. */
void telemetry_reload(const struct config *c);
/* Nothing measures any more; sends what waits. */
void telemetry_stop(void);
/* The text form for Prometheus (agent.md 6.2); only after a start with a retention time. */
void telemetry_write_prometheus(struct buf *out);

/* What the process itself is: gauges runtime.*. Any thread. */
void telemetry_sample_runtime(void);
/* How often gauges are to be sampled: each second when they are sent somewhere, otherwise at the
 * ends of intervals. After telemetry_start. */
int64_t telemetry_period(void);

#endif

/* What the files of the telemetry share. Only for agent/telemetry*.c.
 */
#ifndef PRAETOR_AGENT_TELEMETRY_SINKS_H
#define PRAETOR_AGENT_TELEMETRY_SINKS_H

#include "agent/telemetry.h"

/* Whether the full name ("consul.host.runtime.alloc_bytes") passes the filter. */
bool telemetry_allowed(const struct config *c, struct str name);
/* Whether gauges carry the host's name. */
bool telemetry_shows_host(const struct config *c);
struct str telemetry_host(void);
/* Prefix, host name for gauges, name; without any character replaced. */
struct str telemetry_full_name(const struct config *c, enum metric_kind kind, struct str name,
                               bool host, struct arena *arena);

/* telemetry_prometheus.c. full: telemetry_full_name's. Any thread. */
void prometheus_start(int64_t retention);
void prometheus_add(enum metric_kind kind, struct str full, struct str labels, double value);
void prometheus_stop(void);

/* telemetry_network.c */
bool network_start(const struct config *c, struct error *e);
bool network_wanted(const struct config *c);
/* hostless: the full name without the host's. Any thread. */
void network_add(enum metric_kind kind, struct str full, struct str hostless, struct str labels,
                 double value);
void network_stop(void);

#endif

/* The metrics of a built-in proxy (connect.md 7.1): a process of its own, whose telemetry is what
 * its registration's Proxy.Config says under "telemetry", by the keys of the agent's block of that
 * name but not by its rules: nothing is said by default, not even that metrics pass the filter.
 */
#ifndef PRAETOR_AGENT_TELEMETRY_PROXY_H
#define PRAETOR_AGENT_TELEMETRY_PROXY_H

#include "agent/telemetry.h"

struct proxy_telemetry {
    struct config_telemetry settings;
    bool asks_circonus; /* where nothing is sent */
};
/* False: something is of another kind than it must be, with the peer's text ("1 error(s)
 * decoding:\n\n* …"); the rest counts. Pure; in the arena, and pointing into the value. */
bool proxy_telemetry_read(const struct value *from, struct proxy_telemetry *out,
                          struct arena *arena, struct error *e);

/* Reads, and tells in *unread what could not be read; starts what it says. False with the peer's
 * text: there is none then. Once in a process. */
bool proxy_telemetry_start(const struct value *from, struct error *unread, struct error *e);
/* Gauges of the process, and the end of an interval. Returns after how long to come again, ns. */
int64_t proxy_telemetry_sample(void);
void proxy_telemetry_dump(FILE *out);
/* Sends what waits. */
void proxy_telemetry_stop(void);

#endif

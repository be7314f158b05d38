/* Gauges of a server that are read when somebody wants to see them (agent.md 6.4), rather than
 * set when they change.
 */
#include "base/metrics.h"
#include "server/server_room.h"

void server_sample_metrics(struct server *s) {
    if (s->driver == NULL)
        return; /* a client agent */
    metric_gauge("rpc.queries_blocking",
                 (double)atomic_load_explicit(&s->waiting, memory_order_relaxed));
    metric_gauge("raft.applied_index", (double)raft_driver_applied_index(s->driver));
    metric_gauge("raft.last_index", (double)raft_driver_last_index(s->driver));
}

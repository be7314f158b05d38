/* Counting and measuring, for any room and any thread: counters, gauges and samples (agent.md 6),
 * gathered in memory by intervals of ten seconds. Here is only the gathering; prefix, filters, host
 * name, JSON and the sinks are agent/telemetry.h's.
 *
 * Names are the peer's without the prefix ("kvs.apply", "http.GET.v1.kv._"). Cost of a call: a
 * look-up in a table of the calling thread's shard, some 50 ns. At most 4096 names an interval;
 * more are dropped.
 */
#ifndef PRAETOR_BASE_METRICS_H
#define PRAETOR_BASE_METRICS_H

#include "base/arena.h"
#include "base/str.h"

void metric_count(const char *name, double by); /* counter */
void metric_gauge(const char *name, double value);
void metric_sample(const char *name, double value);
/* A sample in milliseconds of the time since `start` (time_now_monotonic). */
void metric_since(const char *name, int64_t start);

/* With labels: "label=value" pairs as they are shown, at most 4, ended by a NULL name. */
struct metric_label {
    const char *name;
    struct str value;
};
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_SAMPLE, METRIC_KIND_COUNT };
void metric_add(enum metric_kind kind, const char *name, double value,
                const struct metric_label *labels);

/* Samples of one name that are added up first and given in at once, where there are very many.
 * Sinks that want each value do not see them: add one by one while metrics_are_observed. */
struct metric_tally {
    uint64_t count;
    double sum, sum_of_squares, min, max;
};
void metric_tally_add(struct metric_tally *t, double value);
/* Nothing when it is empty; then it is. */
void metric_add_tally(const char *name, const struct metric_label *labels, struct metric_tally *t);
bool metrics_are_observed(void);

/* ---- for agent/telemetry ---- */

/* Sees each value as it comes, on the thread that measured it: it must be quick, and the strings
 * are gone when it returns. labels as in struct metric_point. One at most; NULL: none. */
typedef void metric_observer(enum metric_kind kind, struct str name, struct str labels,
                             double value);
void metrics_observe(metric_observer *observer);

struct metric_point {
    struct str name;   /* without prefix */
    struct str labels; /* as given, for metric_label_next; empty without */
    enum metric_kind kind;
    uint64_t count;
    double sum, sum_of_squares, min, max;
    double last;     /* gauges: the value; others: the newest */
    int64_t updated; /* wall clock, ns; 0 in an interval that is not finished */
};
/* Between two "name=value". */
#define METRIC_LABEL_SEPARATOR '\x1f'
/* The first label, which is taken off; false: there is none. unique: of several of the same name
 * the last only. */
bool metric_label_next(struct str *labels, struct str *name, struct str *value);
bool metric_label_next_unique(struct str *labels, struct str *name, struct str *value);

struct metric_interval {
    int64_t start; /* wall clock, ns; a multiple of METRIC_INTERVAL */
    struct metric_point *points;
    size_t len;
};
#define METRIC_INTERVAL ((int64_t)10 * 1000000000)
#define METRIC_INTERVALS_KEPT 6

/* Ends the current interval if now_wall lies beyond it. Called by a timer at each multiple of ten
 * seconds; one thread. */
void metrics_rotate(int64_t now_wall);
/* The newest finished interval, or the current one when it is the only one, copied into the arena.
 */
struct metric_interval metrics_newest(struct arena *arena);
/* All finished ones, oldest first. Returns how many; *out in the arena. */
size_t metrics_finished(struct arena *arena, struct metric_interval **out);
/* Forgets everything: for tests. */
void metrics_reset(void);

#endif

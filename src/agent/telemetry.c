/* Metrics out (agent.md 6.1, 6.2).
 */
#include "agent/telemetry.h"

#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/telemetry_sinks.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"

/* ---- names ---- */

/* What the sinks go by; the filter's configuration changes with a reload. */
static struct {
    pthread_mutex_t mutex;
    const struct config *config; /* of the start */
    const struct config *filter;
    bool prometheus, network;
} sinks = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static char host_name[HOST_NAME_MAX + 1];
static pthread_once_t host_once = PTHREAD_ONCE_INIT;

static void find_host(void) {
    if (gethostname(host_name, sizeof(host_name) - 1) != 0)
        host_name[0] = '\0';
}

struct str telemetry_host(void) {
    pthread_once(&host_once, find_host);
    return str_from(host_name);
}

bool telemetry_shows_host(const struct config *c) {
    const struct config_telemetry *t = &c->telemetry;
    return !t->disable_hostname && (network_wanted(c) || t->prometheus_retention_time > 0);
}

struct str telemetry_full_name(const struct config *c, enum metric_kind kind, struct str name,
                               bool host, struct arena *arena) {
    struct str prefix = c->telemetry.metrics_prefix;
    host = host && kind == METRIC_GAUGE;
    return str_format(arena, STR_FMT "%s" STR_FMT "%s" STR_FMT, STR_ARG(prefix),
                      prefix.len > 0 ? "." : "", STR_ARG(host ? telemetry_host() : STR("")),
                      host ? "." : "", STR_ARG(name));
}

static struct str shown_name(const struct config *c, const struct metric_point *p,
                             struct arena *arena) {
    struct str name = telemetry_full_name(c, p->kind, p->name, telemetry_shows_host(c), arena);
    char *text = (char *)(uintptr_t)name.data; /* our own copy */
    for (size_t i = 0; i < name.len; i++)
        if (text[i] == ' ')
            text[i] = '_';
    return name;
}

static size_t longest_match(const struct list *prefixes, struct str name) {
    size_t best = 0;
    for (uint32_t i = 0; i < prefixes->len; i++) {
        struct str prefix = LIST_AT(*prefixes, struct str, i);
        if (prefix.len >= best && str_has_prefix(name, prefix))
            best = prefix.len + 1; /* so that 0 means none */
    }
    return best;
}

bool telemetry_allowed(const struct config *c, struct str name) {
    size_t yes = longest_match(&c->telemetry.allowed_prefixes, name);
    size_t no = longest_match(&c->telemetry.blocked_prefixes, name);
    return yes == 0 && no == 0 ? c->telemetry.filter_default : yes > no;
}

/* ---- numbers ---- */

static double mean(const struct metric_point *p) {
    return p->count == 0 ? 0 : p->sum / (double)p->count;
}

static double deviation(const struct metric_point *p) {
    double n = (double)p->count;
    if (p->count < 2)
        return 0;
    double square = (n * p->sum_of_squares - p->sum * p->sum) / (n * (n - 1));
    return square > 0 ? sqrt(square) : 0;
}

/* ---- JSON ---- */

static void write_number(struct json_writer *w, const char *key, double value) {
    json_key(w, str_from(key));
    json_f64(w, value);
}

static void write_labels(struct json_writer *w, struct str labels) {
    json_key(w, STR("Labels"));
    json_open_object(w);
    struct str key, value;
    while (metric_label_next_unique(&labels, &key, &value)) {
        json_key(w, key);
        json_str(w, value);
    }
    json_close_object(w);
}

static void write_point(struct json_writer *w, struct str name, const struct metric_point *p) {
    json_open_object(w);
    json_key(w, STR("Name"));
    json_str(w, name);
    if (p->kind == METRIC_GAUGE) {
        json_key(w, STR("Value"));
        json_f32(w, (float)p->last);
    } else {
        json_key(w, STR("Count"));
        json_u64(w, p->count);
        write_number(w, "Rate", p->sum / ((double)METRIC_INTERVAL / (double)SECOND));
        write_number(w, "Sum", p->sum);
        write_number(w, "Min", p->min);
        write_number(w, "Max", p->max);
        write_number(w, "Mean", mean(p));
        write_number(w, "Stddev", deviation(p));
    }
    write_labels(w, p->labels);
    json_close_object(w);
}

static void write_kind(struct json_writer *w, const struct config *c, const char *key,
                       enum metric_kind kind, const struct metric_interval *interval,
                       struct arena *arena) {
    json_key(w, str_from(key));
    json_open_array(w);
    for (size_t i = 0; i < interval->len; i++) { /* sorted by name and labels already */
        const struct metric_point *p = &interval->points[i];
        struct str name = shown_name(c, p, arena);
        if (p->kind == kind && telemetry_allowed(c, name))
            write_point(w, name, p);
    }
    json_close_array(w);
}

static void format_time(char out[64], int64_t ns) {
    time_t seconds = (time_t)(ns / SECOND);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(out, 64, "%Y-%m-%d %H:%M:%S +0000 UTC", &parts);
}

void telemetry_write_json(struct json_writer *w, const struct config *c) {
    struct arena arena = ARENA_INIT;
    struct metric_interval interval = metrics_newest(&arena);
    char start[64];
    format_time(start, interval.start);
    json_open_object(w);
    json_key(w, STR("Timestamp"));
    json_str(w, str_from(start));
    write_kind(w, c, "Gauges", METRIC_GAUGE, &interval, &arena);
    json_key(w, STR("Points"));
    json_open_array(w);
    json_close_array(w);
    write_kind(w, c, "Counters", METRIC_COUNTER, &interval, &arena);
    write_kind(w, c, "Samples", METRIC_SAMPLE, &interval, &arena);
    json_close_object(w);
    arena_free(&arena);
}

/* ---- the dump ---- */

static void dump_point(FILE *out, const char *start, struct str name,
                       const struct metric_point *p) {
    char updated[64];
    format_time(updated, p->updated);
    if (p->kind == METRIC_GAUGE) {
        fprintf(out, "[%s][G] '" STR_FMT "': %.3f\n", start, STR_ARG(name), p->last);
        return;
    }
    char kind = p->kind == METRIC_COUNTER ? 'C' : 'S';
    if (deviation(p) == 0)
        fprintf(out, "[%s][%c] '" STR_FMT "': Count: %llu Sum: %.3f LastUpdated: %s\n", start, kind,
                STR_ARG(name), (unsigned long long)p->count, p->sum, updated);
    else
        fprintf(out,
                "[%s][%c] '" STR_FMT
                "': Count: %llu Min: %.3f Mean: %.3f Max: %.3f Stddev: %.3f Sum: %.3f "
                "LastUpdated: %s\n",
                start, kind, STR_ARG(name), (unsigned long long)p->count, p->min, mean(p), p->max,
                deviation(p), p->sum, updated);
}

void telemetry_dump(FILE *out, const struct config *c) {
    struct arena arena = ARENA_INIT;
    struct metric_interval *intervals;
    size_t len = metrics_finished(&arena, &intervals);
    for (size_t i = 0; i < len; i++) {
        char start[64];
        format_time(start, intervals[i].start);
        for (size_t j = 0; j < intervals[i].len; j++) {
            const struct metric_point *p = &intervals[i].points[j];
            struct str name = shown_name(c, p, &arena);
            struct str labels = p->labels, key, value;
            while (metric_label_next(&labels, &key, &value))
                name = str_format(&arena, STR_FMT "." STR_FMT, STR_ARG(name), STR_ARG(value));
            if (telemetry_allowed(c, name))
                dump_point(out, start, name, p);
        }
    }
    fflush(out);
    arena_free(&arena);
}

/* ---- the process ---- */

static long thread_count(void) {
    FILE *status = fopen("/proc/self/status", "re");
    char line[128];
    long threads = 0;
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (sscanf(line, "Threads: %ld", &threads) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return threads;
}

void telemetry_sample_runtime(void) {
    struct mallinfo2 memory = mallinfo2();
    metric_gauge("runtime.num_goroutines", (double)thread_count());
    metric_gauge("runtime.alloc_bytes", (double)memory.uordblks);
    metric_gauge("runtime.sys_bytes", (double)memory.arena + (double)memory.hblkhd);
    metric_gauge("runtime.heap_objects", (double)(memory.ordblks + memory.hblks));
}

int64_t telemetry_period(void) {
    return sinks.network ? SECOND : METRIC_INTERVAL;
}

/* ---- sinks ---- */

static void observe(enum metric_kind kind, struct str name, struct str labels, double value) {
    struct arena scratch = ARENA_INIT;
    pthread_mutex_lock(&sinks.mutex);
    const struct config *c = sinks.config;
    bool host = telemetry_shows_host(c);
    struct str full = telemetry_full_name(c, kind, name, host, &scratch);
    bool wanted = telemetry_allowed(sinks.filter, full);
    pthread_mutex_unlock(&sinks.mutex);
    if (wanted && sinks.network) {
        struct str hostless = host ? telemetry_full_name(c, kind, name, false, &scratch) : full;
        network_add(kind, full, hostless, labels, value);
    }
    if (wanted && sinks.prometheus)
        prometheus_add(kind, full, labels, value);
    arena_free(&scratch);
}

bool telemetry_start(const struct config *c, struct error *e) {
    sinks.config = config_hold(c);
    sinks.filter = config_hold(c);
    sinks.prometheus = c->telemetry.prometheus_retention_time > 0;
    sinks.network = network_wanted(c);
    if (sinks.prometheus)
        prometheus_start(c->telemetry.prometheus_retention_time);
    if (sinks.network && !network_start(c, e)) {
        sinks.network = false;
        return false;
    }
    if (sinks.prometheus || sinks.network)
        metrics_observe(observe);
    return true;
}

void telemetry_reload(const struct config *c) {
    pthread_mutex_lock(&sinks.mutex);
    const struct config *old = sinks.filter;
    sinks.filter = config_hold(c);
    pthread_mutex_unlock(&sinks.mutex);
    config_release(old);
}

void telemetry_stop(void) {
    metrics_observe(NULL);
    if (sinks.network)
        network_stop();
    if (sinks.prometheus)
        prometheus_stop();
    sinks.network = sinks.prometheus = false;
    config_release(sinks.config);
    config_release(sinks.filter);
    sinks.config = sinks.filter = NULL;
}

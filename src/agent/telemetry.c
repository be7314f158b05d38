/* Metrics out (agent.md 6.1, 6.2).
 */
#include "agent/telemetry.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"

/* ---- names ---- */

static struct str shown_name(const struct config *c, const struct metric_point *p,
                             struct arena *arena) {
    struct str prefix = c->telemetry.metrics_prefix;
    struct str name =
        prefix.len > 0 ? str_format(arena, STR_FMT "." STR_FMT, STR_ARG(prefix), STR_ARG(p->name))
                       : str_copy(arena, p->name);
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

static bool allowed(const struct config *c, struct str name) {
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
    while (labels.len > 0) {
        struct str value = str_cut(&labels, ';');
        struct str key = str_cut(&value, '=');
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
        if (p->kind == kind && allowed(c, name))
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
            struct str labels = p->labels;
            while (labels.len > 0) {
                struct str value = str_cut(&labels, ';');
                str_cut(&value, '=');
                name = str_format(&arena, STR_FMT "." STR_FMT, STR_ARG(name), STR_ARG(value));
            }
            if (allowed(c, name))
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

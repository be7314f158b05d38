/* The text form for Prometheus (agent.md 6.2). Unlike the intervals of base/metrics.c its counters
 * and sums grow as long as the process lives, so it keeps series of its own: one for each name and
 * set of labels, forgotten when nothing came for the retention time. Quantiles are of the samples
 * of the last ten seconds, of the newest 512 when there were more.
 */
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "agent/telemetry_sinks.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"

#define WINDOW (10 * SECOND)
#define SAMPLES_MAX 512
#define SERIES_MAX 8192
#define KEY_MAX 1024

struct sample {
    int64_t at; /* monotonic */
    double value;
};

struct series {
    enum metric_kind kind;
    int64_t updated; /* monotonic */
    uint64_t count;
    double sum; /* of counters and samples; a gauge's value */
    struct sample *samples;
    size_t sample_count, sample_cap, sample_first;
    size_t name_len;
    char name[]; /* and, behind a NUL, the labels, ended by one */
};

static struct {
    pthread_mutex_t mutex;
    struct map series; /* by name, NUL, labels */
    int64_t retention;
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .series = MAP_INIT};

static void series_free(struct series *s) {
    mem_free(s->samples);
    mem_free(s);
}

void prometheus_start(int64_t retention) {
    state.retention = retention;
}

void prometheus_stop(void) {
    void *value;
    pthread_mutex_lock(&state.mutex);
    for (size_t i = 0; map_next(&state.series, &i, NULL, &value);)
        series_free(value);
    map_free(&state.series);
    state.series = (struct map)MAP_INIT;
    pthread_mutex_unlock(&state.mutex);
}

/* ---- in ---- */

static void add_sample(struct series *s, int64_t now, double value) {
    if (s->sample_count == s->sample_cap && s->sample_cap < SAMPLES_MAX) {
        size_t cap = s->sample_cap > 0 ? s->sample_cap * 2 : 8;
        ASSERT(s->sample_first == 0); /* it turns only when it is as large as it may be */
        s->samples = mem_resize(s->samples, cap, sizeof(*s->samples));
        s->sample_cap = cap;
    }
    if (s->sample_count < s->sample_cap) {
        s->samples[s->sample_count++] = (struct sample){now, value};
    } else {
        s->samples[s->sample_first] = (struct sample){now, value};
        s->sample_first = (s->sample_first + 1) % s->sample_cap;
    }
}

/* "a.b c" -> "a_b_c"; colons stay. */
static void clean(char *name, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (strchr(" .=-/", name[i]) != NULL && name[i] != '\0')
            name[i] = '_';
}

static struct series *find(enum metric_kind kind, struct str full, struct str labels) {
    char key[KEY_MAX];
    if (full.len + labels.len + 2 > sizeof(key))
        return NULL;
    memcpy(key, full.data, full.len);
    clean(key, full.len);
    key[full.len] = '\0';
    size_t len = full.len + 1;
    struct str label, value;
    while (metric_label_next_unique(&labels, &label, &value)) { /* twice would be no exposition */
        if (len > full.len + 1)
            key[len++] = METRIC_LABEL_SEPARATOR;
        memcpy(key + len, label.data, label.len);
        key[len + label.len] = '=';
        memcpy(key + len + label.len + 1, value.data, value.len);
        len += label.len + 1 + value.len;
    }
    struct series *s = map_get(&state.series, str_of(key, len));
    if (s != NULL)
        return s->kind == kind ? s : NULL;
    if (state.series.count >= SERIES_MAX)
        return NULL;
    s = mem_zalloc(1, sizeof(*s) + len + 1);
    s->kind = kind;
    s->name_len = full.len;
    memcpy(s->name, key, len);
    map_put(&state.series, str_of(key, len), s);
    return s;
}

void prometheus_add(enum metric_kind kind, struct str full, struct str labels, double value) {
    int64_t now = time_now_monotonic();
    value = (double)(float)value; /* as the peer measures */
    pthread_mutex_lock(&state.mutex);
    struct series *s = find(kind, full, labels);
    if (s != NULL) {
        s->updated = now;
        s->count++;
        s->sum = kind == METRIC_GAUGE ? value : s->sum + value;
        if (kind == METRIC_SAMPLE)
            add_sample(s, now, value);
    }
    pthread_mutex_unlock(&state.mutex);
}

/* ---- out ---- */

/* The shortest form that reads back as the same, in the peer's language's layout %g. */
static void add_number(struct buf *out, double value) {
    char text[40];
    if (isnan(value) || isinf(value)) {
        buf_add_text(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    int digits = 1;
    do
        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
    while (strtod(text, NULL) != value && digits++ < 17);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= -4 && exponent < 6)
        snprintf(text, sizeof(text), "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0,
                 value);
    buf_add_text(out, text);
}

static void add_label_value(struct buf *out, struct str value) {
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c == '\\' || c == '"')
            buf_add_char(out, '\\');
        if (c == '\n')
            buf_add_text(out, "\\n");
        else
            buf_add_char(out, c);
    }
}

/* {a="b",quantile="0.5"} */
static void add_labels(struct buf *out, struct str labels, const char *quantile) {
    const char *before = "{";
    bool any = false;
    struct str key, value;
    while (metric_label_next(&labels, &key, &value)) {
        buf_add_format(out, "%s" STR_FMT "=\"", before, STR_ARG(key));
        add_label_value(out, value);
        buf_add_char(out, '"');
        before = ",";
        any = true;
    }
    if (quantile != NULL)
        buf_add_format(out, "%squantile=\"%s\"", before, quantile);
    if (any || quantile != NULL)
        buf_add_char(out, '}');
}

static void add_line(struct buf *out, struct str name, const char *suffix, struct str labels,
                     const char *quantile, double value) {
    buf_add_format(out, STR_FMT "%s", STR_ARG(name), suffix);
    add_labels(out, labels, quantile);
    buf_add_char(out, ' ');
    add_number(out, value);
    buf_add_char(out, '\n');
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void add_summary(struct buf *out, const struct series *s, struct str name, struct str labels,
                        int64_t now) {
    static const struct {
        const char *text;
        double part;
    } quantiles[] = {{"0.5", 0.5}, {"0.9", 0.9}, {"0.99", 0.99}};
    double recent[SAMPLES_MAX];
    size_t len = 0;
    for (size_t i = 0; i < s->sample_count; i++)
        if (s->samples[i].at > now - WINDOW)
            recent[len++] = s->samples[i].value;
    if (len > 1)
        qsort(recent, len, sizeof(*recent), compare_doubles);
    for (size_t i = 0; i < COUNT_OF(quantiles); i++) {
        size_t rank = (size_t)ceil(quantiles[i].part * (double)len);
        double value = len > 0 ? recent[rank > 0 ? rank - 1 : 0] : (double)NAN;
        add_line(out, name, "", labels, quantiles[i].text, value);
    }
    add_line(out, name, "_sum", labels, NULL, s->sum);
    add_line(out, name, "_count", labels, NULL, (double)s->count);
}

static void add_head(struct buf *out, struct str name, const char *kind) {
    buf_add_format(out, "# HELP " STR_FMT " " STR_FMT "\n# TYPE " STR_FMT " %s\n", STR_ARG(name),
                   STR_ARG(name), STR_ARG(name), kind);
}

/* A family's text and where it belongs. */
struct family {
    struct str name, labels;
    struct str text; /* in the arena; NULL: the series is yet to be written */
    const struct series *series;
};

static int compare_families(const void *a, const void *b) {
    const struct family *x = a, *y = b;
    int order = str_compare(x->name, y->name);
    return order != 0 ? order : str_compare(x->labels, y->labels);
}

/* ---- the process ---- */

static void add_process(struct family *f, const char *name, const char *kind, double value,
                        struct arena *arena) {
    struct buf text = BUF_INIT;
    f->name = str_from(name);
    f->labels = STR("");
    add_head(&text, f->name, kind);
    add_line(&text, f->name, "", STR(""), NULL, value);
    f->text = str_copy(arena, buf_str(&text));
    buf_free(&text);
}

static double open_files(void) {
    DIR *folder = opendir("/proc/self/fd");
    double count = -3; /* this one, "." and ".." */
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count > 0 ? count : 0;
}

/* Of /proc/self/stat, the fields behind the name: 22 is the start, 23 virtual bytes, 24 pages. */
static void process_stat(double *start, double *virtual_bytes, double *resident) {
    char line[1024];
    unsigned long long ticks = 0, bytes = 0;
    long pages = 0;
    FILE *f = fopen("/proc/self/stat", "re");
    bool read = f != NULL && fgets(line, sizeof(line), f) != NULL;
    if (f != NULL)
        fclose(f);
    const char *at = read ? strrchr(line, ')') : NULL;
    if (at != NULL)
        sscanf(at + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu "
               "%llu %ld",
               &ticks, &bytes, &pages);
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    double up = (double)boot.tv_sec + (double)boot.tv_nsec / 1e9;
    double started = (double)ticks / (double)sysconf(_SC_CLK_TCK);
    *start = round((((double)time_now_wall() / 1e9) - up + started) * 100) / 100;
    *virtual_bytes = (double)bytes;
    *resident = (double)pages * (double)sysconf(_SC_PAGESIZE);
}

#define PROCESS_FAMILIES 7
static void add_processes(struct family *f, struct arena *arena) {
    struct rusage usage;
    struct rlimit files, memory;
    double start, bytes, resident;
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_AS, &memory);
    process_stat(&start, &bytes, &resident);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)((usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 10000) / 100;
    add_process(&f[0], "process_cpu_seconds_total", "counter", cpu, arena);
    add_process(&f[1], "process_max_fds", "gauge", (double)files.rlim_cur, arena);
    add_process(&f[2], "process_open_fds", "gauge", open_files(), arena);
    add_process(&f[3], "process_resident_memory_bytes", "gauge", resident, arena);
    add_process(&f[4], "process_start_time_seconds", "gauge", start, arena);
    add_process(&f[5], "process_virtual_memory_bytes", "gauge", bytes, arena);
    add_process(&f[6], "process_virtual_memory_max_bytes", "gauge", (double)memory.rlim_cur, arena);
}

/* ---- all of it ---- */

static void forget_old(int64_t now) {
    void *value;
    struct str key;
    for (size_t i = 0; map_next(&state.series, &i, &key, &value);) {
        struct series *s = value;
        if (s->updated >= now - state.retention)
            continue;
        map_remove(&state.series, key);
        series_free(s);
    }
}

static void add_series(struct buf *out, const struct family *f, bool first, int64_t now) {
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_SAMPLE] = "summary"};
    const struct series *s = f->series;
    if (first)
        add_head(out, f->name, kinds[s->kind]);
    if (s->kind == METRIC_SAMPLE)
        add_summary(out, s, f->name, f->labels, now);
    else
        add_line(out, f->name, "", f->labels, NULL, s->sum);
}

void telemetry_write_prometheus(struct buf *out) {
    struct arena arena = ARENA_INIT;
    int64_t now = time_now_monotonic();
    size_t len = 0;
    void *value;
    pthread_mutex_lock(&state.mutex);
    forget_old(now);
    struct family *families =
        ARENA_ARRAY(&arena, struct family, state.series.count + PROCESS_FAMILIES);
    for (size_t i = 0; map_next(&state.series, &i, NULL, &value);) {
        struct series *s = value;
        families[len++] = (struct family){.name = str_of(s->name, s->name_len),
                                          .labels = str_from(s->name + s->name_len + 1),
                                          .series = s};
    }
    add_processes(families + len, &arena);
    len += PROCESS_FAMILIES;
    qsort(families, len, sizeof(*families), compare_families);
    for (size_t i = 0; i < len; i++) {
        const struct family *f = &families[i];
        if (f->series != NULL)
            add_series(out, f, i == 0 || !str_eq(families[i - 1].name, f->name), now);
        else
            buf_add_str(out, f->text);
    }
    pthread_mutex_unlock(&state.mutex);
    arena_free(&arena);
}

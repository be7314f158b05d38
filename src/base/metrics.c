/* The gathering of metrics: shards, so that threads do not wait for each other, and the finished
 * intervals, into which a shard's points are summed up when an interval ends.
 */
#include "base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"

#define SHARDS 8
#define NAMES_MAX 4096 /* points of one shard in one interval */
#define KEY_MAX 512

struct point {
    struct metric_point p;
    char key[]; /* kind, name, NUL, labels */
};

struct shard {
    pthread_mutex_t mutex;
    struct map points; /* of struct point */
};

static struct shard shards[SHARDS] = {
    [0 ... SHARDS - 1] = {PTHREAD_MUTEX_INITIALIZER, MAP_INIT},
};
static metric_observer *_Atomic observer;
static _Atomic unsigned next_shard;
static _Thread_local unsigned my_shard; /* 0: none yet */

/* Guards what follows. Taken before a shard's mutex, never after. */
static pthread_mutex_t history_mutex = PTHREAD_MUTEX_INITIALIZER;
struct finished {
    struct arena arena;
    struct metric_interval interval;
};
static struct finished *history[METRIC_INTERVALS_KEPT];
static size_t history_len;
static int64_t current_start;

/* ---- adding ---- */

static struct shard *own_shard(void) {
    if (my_shard == 0)
        my_shard = 1 + atomic_fetch_add(&next_shard, 1u) % SHARDS;
    return &shards[my_shard - 1];
}

static struct point *point_new(struct str key, enum metric_kind kind, size_t name_len) {
    struct point *point = mem_zalloc(1, sizeof(*point) + key.len + 1);
    memcpy(point->key, key.data, key.len);
    point->p.kind = kind;
    point->p.name = str_of(point->key + 1, name_len);
    point->p.labels = str_of(point->key + name_len + 2, key.len - name_len - 2);
    return point;
}

static void point_add(struct metric_point *p, double value) {
    p->min = p->count == 0 || value < p->min ? value : p->min;
    p->max = p->count == 0 || value > p->max ? value : p->max;
    p->count++;
    p->sum += value;
    p->sum_of_squares += value * value;
    p->last = value;
}

bool metric_label_next(struct str *labels, struct str *name, struct str *value) {
    if (labels->len == 0)
        return false;
    *value = str_cut(labels, METRIC_LABEL_SEPARATOR);
    *name = str_cut(value, '=');
    return true;
}

bool metric_label_next_unique(struct str *labels, struct str *name, struct str *value) {
    while (metric_label_next(labels, name, value)) {
        struct str rest = *labels, other, ignored;
        bool again = false;
        while (!again && metric_label_next(&rest, &other, &ignored))
            again = str_eq(other, *name);
        if (!again)
            return true;
    }
    return false;
}

/* kind, name, NUL, labels. 0: does not fit. */
static size_t make_key(char key[KEY_MAX], enum metric_kind kind, const char *name,
                       const struct metric_label *labels, size_t *name_len) {
    *name_len = strlen(name);
    if (*name_len + 2 > KEY_MAX)
        return 0;
    key[0] = (char)kind;
    memcpy(key + 1, name, *name_len + 1);
    size_t len = *name_len + 2;
    for (; labels != NULL && labels->name != NULL; labels++) {
        size_t n = strlen(labels->name);
        if (len + n + labels->value.len + 2 > KEY_MAX)
            return 0;
        if (len > *name_len + 2)
            key[len++] = METRIC_LABEL_SEPARATOR;
        memcpy(key + len, labels->name, n);
        len += n;
        key[len++] = '=';
        for (size_t i = 0; i < labels->value.len; i++) /* some are what a client has sent */
            key[len++] = (unsigned char)labels->value.data[i] < ' ' ? ' ' : labels->value.data[i];
    }
    return len;
}

/* Mutex held. NULL: there are too many. */
static struct point *point_of(struct shard *s, struct str key, enum metric_kind kind,
                              size_t name_len) {
    struct point *point = map_get(&s->points, key);
    if (point == NULL && s->points.count < NAMES_MAX) {
        point = point_new(key, kind, name_len);
        map_put(&s->points, key, point);
    }
    return point;
}

void metric_add(enum metric_kind kind, const char *name, double value,
                const struct metric_label *labels) {
    char key[KEY_MAX];
    size_t name_len;
    size_t len = make_key(key, kind, name, labels, &name_len);
    if (len == 0)
        return;
    struct shard *s = own_shard();
    pthread_mutex_lock(&s->mutex);
    struct point *point = point_of(s, str_of(key, len), kind, name_len);
    if (point != NULL) {
        point_add(&point->p, value);
        if (kind == METRIC_GAUGE)
            point->p.updated = time_now_monotonic();
    }
    pthread_mutex_unlock(&s->mutex);
    metric_observer *observe = atomic_load_explicit(&observer, memory_order_acquire);
    if (observe != NULL)
        observe(kind, str_of(key + 1, name_len), str_of(key + name_len + 2, len - name_len - 2),
                value);
}

void metric_tally_add(struct metric_tally *t, double value) {
    t->min = t->count == 0 || value < t->min ? value : t->min;
    t->max = t->count == 0 || value > t->max ? value : t->max;
    t->count++;
    t->sum += value;
    t->sum_of_squares += value * value;
}

void metric_add_tally(const char *name, const struct metric_label *labels, struct metric_tally *t) {
    char key[KEY_MAX];
    size_t name_len;
    size_t len = t->count > 0 ? make_key(key, METRIC_SAMPLE, name, labels, &name_len) : 0;
    if (len == 0)
        return;
    struct shard *s = own_shard();
    pthread_mutex_lock(&s->mutex);
    struct point *point = point_of(s, str_of(key, len), METRIC_SAMPLE, name_len);
    if (point != NULL) {
        struct metric_point *p = &point->p;
        p->min = p->count == 0 || t->min < p->min ? t->min : p->min;
        p->max = p->count == 0 || t->max > p->max ? t->max : p->max;
        p->count += t->count;
        p->sum += t->sum;
        p->sum_of_squares += t->sum_of_squares;
        p->last = t->max;
    }
    pthread_mutex_unlock(&s->mutex);
    *t = (struct metric_tally){0};
}

bool metrics_are_observed(void) {
    return atomic_load_explicit(&observer, memory_order_relaxed) != NULL;
}

void metrics_observe(metric_observer *fn) {
    atomic_store_explicit(&observer, fn, memory_order_release);
}

void metric_count(const char *name, double by) {
    metric_add(METRIC_COUNTER, name, by, NULL);
}
void metric_gauge(const char *name, double value) {
    metric_add(METRIC_GAUGE, name, value, NULL);
}
void metric_sample(const char *name, double value) {
    metric_add(METRIC_SAMPLE, name, value, NULL);
}
void metric_since(const char *name, int64_t start) {
    metric_add(METRIC_SAMPLE, name, (double)(time_now_monotonic() - start) / (double)MILLISECOND,
               NULL);
}

/* ---- summing up ---- */

static void point_merge(struct metric_point *to, const struct metric_point *from) {
    if (from->kind == METRIC_GAUGE) { /* the newest wins, whatever thread it came from */
        if (from->updated >= to->updated) {
            to->last = from->last;
            to->updated = from->updated;
        }
    } else {
        to->last = from->last;
    }
    to->min = fmin(to->min, from->min);
    to->max = fmax(to->max, from->max);
    to->count += from->count;
    to->sum += from->sum;
    to->sum_of_squares += from->sum_of_squares;
}

/* What follows in "name;label=value" when another name goes on after as many bytes. */
static int after_name(const struct metric_point *p, size_t len) {
    return p->name.len > len ? (unsigned char)p->name.data[len] : p->labels.len > 0 ? ';' : -1;
}

/* By "name;label=value", as the peer shows them. */
static int compare_points(const void *a, const void *b) {
    const struct metric_point *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = str_compare(str_sub(x->name, 0, len), str_sub(y->name, 0, len));
    if (order != 0)
        return order;
    if (x->name.len != y->name.len)
        return after_name(x, len) - after_name(y, len);
    order = str_compare(x->labels, y->labels);
    return order != 0 ? order : (int)x->kind - (int)y->kind;
}

/* All shards' points, those of one name summed up, sorted, in the arena. */
static void gather(struct metric_interval *out, struct arena *arena, bool clear) {
    size_t count = 0, cap = 64;
    struct metric_point *points = mem_zalloc(cap, sizeof(*points));
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &shards[i];
        pthread_mutex_lock(&s->mutex);
        void *value;
        for (size_t cursor = 0; map_next(&s->points, &cursor, NULL, &value);) {
            const struct point *from = value;
            if (count == cap) {
                cap *= 2;
                points = mem_resize(points, cap, sizeof(*points));
            }
            points[count] = from->p;
            points[count].name = str_copy(arena, from->p.name);
            points[count++].labels = str_copy(arena, from->p.labels);
            if (clear)
                mem_free(value);
        }
        if (clear)
            map_free(&s->points);
        pthread_mutex_unlock(&s->mutex);
    }
    if (count > 1)
        qsort(points, count, sizeof(*points), compare_points);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (len > 0 && compare_points(&points[len - 1], &points[i]) == 0)
            point_merge(&points[len - 1], &points[i]);
        else
            points[len++] = points[i];
    }
    out->points = arena_copy(arena, points, len * sizeof(*points));
    out->len = len;
    mem_free(points);
}

void metrics_rotate(int64_t now_wall) {
    int64_t start = now_wall - now_wall % METRIC_INTERVAL;
    pthread_mutex_lock(&history_mutex);
    if (current_start == 0)
        current_start = start;
    if (start > current_start) {
        struct finished *f = MEM_NEW(struct finished);
        f->interval.start = current_start;
        gather(&f->interval, &f->arena, true);
        for (size_t i = 0; i < f->interval.len; i++)
            f->interval.points[i].updated = now_wall;
        if (history_len == METRIC_INTERVALS_KEPT) {
            arena_free(&history[0]->arena);
            mem_free(history[0]);
            memmove(history, history + 1, (METRIC_INTERVALS_KEPT - 1) * sizeof(*history));
            history_len--;
        }
        history[history_len++] = f;
        current_start = start;
    }
    pthread_mutex_unlock(&history_mutex);
}

/* ---- reading ---- */

static struct metric_interval interval_copy(const struct metric_interval *from,
                                            struct arena *arena) {
    struct metric_interval to = *from;
    to.points = arena_copy(arena, from->points, from->len * sizeof(*from->points));
    for (size_t i = 0; i < to.len; i++) {
        to.points[i].name = str_copy(arena, to.points[i].name);
        to.points[i].labels = str_copy(arena, to.points[i].labels);
    }
    return to;
}

struct metric_interval metrics_newest(struct arena *arena) {
    struct metric_interval out = {0};
    pthread_mutex_lock(&history_mutex);
    if (history_len > 0) {
        out = interval_copy(&history[history_len - 1]->interval, arena);
    } else {
        out.start = current_start;
        gather(&out, arena, false);
    }
    pthread_mutex_unlock(&history_mutex);
    return out;
}

size_t metrics_finished(struct arena *arena, struct metric_interval **out) {
    pthread_mutex_lock(&history_mutex);
    size_t len = history_len;
    *out = ARENA_ARRAY(arena, struct metric_interval, len);
    for (size_t i = 0; i < len; i++)
        (*out)[i] = interval_copy(&history[i]->interval, arena);
    pthread_mutex_unlock(&history_mutex);
    return len;
}

void metrics_reset(void) {
    pthread_mutex_lock(&history_mutex);
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&shards[i].mutex);
        void *value;
        for (size_t cursor = 0; map_next(&shards[i].points, &cursor, NULL, &value);)
            mem_free(value);
        map_free(&shards[i].points);
        shards[i].points = (struct map)MAP_INIT;
        pthread_mutex_unlock(&shards[i].mutex);
    }
    for (size_t i = 0; i < history_len; i++) {
        arena_free(&history[i]->arena);
        mem_free(history[i]);
    }
    history_len = 0;
    current_start = 0;
    pthread_mutex_unlock(&history_mutex);
}

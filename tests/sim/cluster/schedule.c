/* Virtual time: a heap of what will happen. Nothing else moves the clock. */
#include "sim/cluster/sim.h"

static bool before(const struct sim_event *a, const struct sim_event *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct sim *s, struct sim_event *e, size_t i) {
    s->heap[i] = e;
    e->place = i;
}

static void sift_up(struct sim *s, struct sim_event *e, size_t i) {
    while (i > 1 && before(e, s->heap[i / 2])) {
        put(s, s->heap[i / 2], i);
        i /= 2;
    }
    put(s, e, i);
}

static void sift_down(struct sim *s, struct sim_event *e, size_t i) {
    for (;;) {
        size_t child = i * 2;
        if (child > s->heap_count)
            break;
        if (child < s->heap_count && before(s->heap[child + 1], s->heap[child]))
            child++;
        if (!before(s->heap[child], e))
            break;
        put(s, s->heap[child], i);
        i = child;
    }
    put(s, e, i);
}

void sim_cancel(struct sim *s, struct sim_event *e) {
    size_t i = e->place;
    if (i == 0)
        return;
    e->place = 0;
    struct sim_event *last = s->heap[s->heap_count--];
    if (last == e)
        return;
    sift_up(s, last, i);
    sift_down(s, last, last->place);
}

void sim_at(struct sim *s, struct sim_event *e, int64_t at) {
    sim_cancel(s, e);
    if (s->heap_count + 2 > s->heap_cap) {
        s->heap_cap = s->heap_cap > 0 ? s->heap_cap * 2 : 256;
        s->heap = mem_resize(s->heap, s->heap_cap, sizeof *s->heap);
    }
    e->at = at > s->now ? at : s->now;
    e->order = ++s->order;
    sift_up(s, e, ++s->heap_count);
}

void sim_after(struct sim *s, struct sim_event *e, int64_t delay) {
    sim_at(s, e, delay < INT64_MAX - s->now ? s->now + delay : INT64_MAX);
}

void sim_bind(struct sim_event *e, struct node *n) {
    e->node = n;
    e->incarnation = n->incarnation;
}

static void fire(struct sim *s, struct sim_event *e) {
    struct node *n = e->node;
    if (n != NULL && e->incarnation != n->incarnation) {
        if (e->drop != NULL)
            e->drop(s, e);
    } else if (n != NULL && n->paused_until > s->now) {
        /* In the order in which they came; but the clock may be looked at after all of them. */
        bool later = e == &n->wake && sim_chance(s, 2);
        sim_at(s, e, n->paused_until + (later ? sim_delay(s, MILLISECOND) : 0));
    } else {
        s->totals.events++;
        e->fire(s, e);
    }
}

void sim_run(struct sim *s, int64_t end) {
    uint64_t standing = 0;
    while (s->heap_count > 0 && s->heap[1]->at <= end) {
        struct sim_event *e = s->heap[1];
        standing = e->at > s->now ? 0 : standing + 1;
        if (standing > 1000000)
            sim_fail(s, "time stands still");
        s->now = e->at;
        sim_cancel(s, e);
        fire(s, e);
    }
    s->now = end;
}

/* ---- chance ---- */

uint64_t sim_below(struct sim *s, uint64_t limit) {
    return limit > 0 ? prng_below(&s->prng, limit) : 0;
}

bool sim_chance(struct sim *s, unsigned one_in) {
    return one_in > 0 && sim_below(s, one_in) == 0;
}

int64_t sim_delay(struct sim *s, int64_t most) {
    double u = prng_unit(&s->prng);
    return (int64_t)((double)most * u * u * u) + 1;
}

void sim_note(struct sim *s, uint64_t what) {
    uint64_t x = (s->hash ^ what ^ (uint64_t)s->now) * UINT64_C(0x9e3779b97f4a7c15);
    s->hash = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
}

void sim_fault(struct sim *s, enum fault f) {
    s->totals.faults[f]++;
}

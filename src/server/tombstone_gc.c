/* Tombstones are deleted a quarter of an hour after they were written, by an entry that the leader
 * proposes (fsm.md 4.2). Here: what is remembered of their indexes until then. Not: the tombstones.
 */
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/server_room.h"

#define GC_TTL (15 * MINUTE)
#define GC_STEP (30 * SECOND)
#define GC_BINS 64 /* more than GC_TTL / GC_STEP, so that clock steps do not matter */

struct gc_bin {
    int64_t expiry; /* wall clock */
    uint64_t index; /* highest */
};

struct tombstone_gc {
    struct server *server;
    bool on;
    struct gc_bin bins[GC_BINS]; /* by expiry */
    size_t len;
    int64_t proposed_at; /* the newest entry */
    struct loop_timer timer;
};

int64_t tombstone_gc_expiry(int64_t now_wall) {
    int64_t at = now_wall + GC_TTL;
    return at - at % GC_STEP + GC_STEP;
}

static void gc_reaped(struct server *s, void *owner, bool ok) {
    (void)s;
    (void)ok;
    struct tombstone_gc *g = owner;
    metric_since("leader.reapTombstones", g->proposed_at);
}

static void gc_propose(struct tombstone_gc *g, uint64_t index) {
    struct buf entry = BUF_INIT;
    struct tombstone_request request = {
        .datacenter = g->server->options.datacenter, .op = STR("reap"), .reap_index = index};
    buf_add_char(&entry, ENTRY_TOMBSTONE);
    schema_encode(&entry, &tombstone_request_shape, &request);
    g->proposed_at = time_now_monotonic();
    server_propose(g->server, &entry, "failed to reap tombstones up to index", gc_reaped, g);
}

static void gc_timer_set(struct tombstone_gc *g) {
    if (g->len > 0) {
        int64_t wait = g->bins[0].expiry - time_now_steady();
        loop_timer_set(&g->timer, wait > 0 ? wait : 0);
    } else {
        loop_timer_stop(&g->timer);
    }
}

static void gc_fired(struct loop_timer *timer) {
    struct tombstone_gc *g = timer->owner;
    int64_t now = time_now_steady();
    size_t gone = 0;
    while (gone < g->len && g->bins[gone].expiry <= now) {
        gc_propose(g, g->bins[gone].index);
        gone++;
    }
    memmove(g->bins, g->bins + gone, (g->len - gone) * sizeof(g->bins[0]));
    g->len -= gone;
    gc_timer_set(g);
}

struct tombstone_gc *tombstone_gc_new(struct server *s) {
    struct tombstone_gc *g = MEM_NEW(struct tombstone_gc);
    g->server = s;
    loop_timer_init(&s->core, &g->timer, gc_fired, g);
    return g;
}

void tombstone_gc_close(struct tombstone_gc *g) {
    tombstone_gc_enable(g, false);
    loop_timer_close(&g->timer, NULL);
}

void tombstone_gc_free(struct tombstone_gc *g) {
    mem_free(g);
}

void tombstone_gc_enable(struct tombstone_gc *g, bool on) {
    g->on = on;
    if (!on) {
        g->len = 0;
        gc_timer_set(g);
    }
}

void tombstone_gc_hint(struct tombstone_gc *g, uint64_t index) {
    if (!g->on) {
        return;
    }
    int64_t expiry = tombstone_gc_expiry(time_now_steady());
    struct gc_bin *last = g->len > 0 ? &g->bins[g->len - 1] : NULL;
    if (last != NULL && (last->expiry >= expiry || g->len == GC_BINS)) {
        last->index = index > last->index ? index : last->index;
        return;
    }
    g->bins[g->len++] = (struct gc_bin){expiry, index};
    if (g->len == 1) {
        gc_timer_set(g);
    }
}

/* Who waits for the snapshots of a proxy, on whatever loop: see proxy_watch.h, proxy_room.h.
 *
 * Messages to the core are posted as replies: there are as many as there are watches, and those are
 * bounded by the streams that a server of proxies takes.
 */
#include "agent/local_state.h"
#include "agent/proxy_room.h"
#include "base/mem.h"

static void watch_release(struct proxy_watch *w) {
    if (atomic_fetch_sub(&w->references, 1) != 1)
        return;
    struct arena arena = w->arena;
    mem_free(w);
    arena_free(&arena);
}

/* ---- snapshots on their way ---- */

static void delivered(struct message *m) {
    struct proxy_watch *w = CONTAINER_OF(m, struct proxy_watch, delivery);
    struct proxy_snapshot *s = atomic_exchange(&w->newest, NULL);
    if (w->ended)
        proxy_snapshot_release(s);
    else
        w->fn(w->owner, s);
    watch_release(w);
}

void proxy_watch_give(struct proxy_watch *w, struct proxy_snapshot *s) {
    proxy_snapshot_hold(s);
    struct proxy_snapshot *older = atomic_exchange(&w->newest, s);
    if (older != NULL) {
        proxy_snapshot_release(older);
        return;
    }
    atomic_fetch_add(&w->references, 1);
    w->delivery.run = delivered;
    loop_post_reply(w->home, &w->delivery);
}

/* ---- on the core ---- */

static void unlink_watch(struct proxy_watch *w) {
    if (w->proxy == NULL)
        return;
    w->proxy = NULL;
    *w->back = w->next;
    if (w->next != NULL)
        w->next->back = w->back;
    watch_release(w);
}

void proxy_unwatch_all(struct proxy *p) {
    while (p->watches != NULL)
        unlink_watch(p->watches);
}

static void core_begin(struct message *m) {
    struct proxy_watch *w = CONTAINER_OF(m, struct proxy_watch, begin);
    if (w->all->stopping) {
        watch_release(w);
        return;
    }
    struct proxy *p = proxy_get(w->all, w->proxy_id);
    w->proxy = p;
    w->next = p->watches;
    w->back = &p->watches;
    if (w->next != NULL)
        w->next->back = &w->next;
    p->watches = w;
    if (p->snapshot != NULL)
        proxy_watch_give(w, p->snapshot);
}

static void core_end(struct message *m) {
    struct proxy_watch *w = CONTAINER_OF(m, struct proxy_watch, end);
    struct proxy *p = w->proxy;
    unlink_watch(w);
    if (p != NULL)
        proxy_maybe_free(p);
    watch_release(w);
}

/* ---- on the watcher's loop ---- */

struct proxy_watch *proxy_watch_begin(struct proxies *all, struct str proxy_id, proxy_watch_fn *fn,
                                      void *owner) {
    struct proxy_watch *w = MEM_NEW(struct proxy_watch);
    w->all = all;
    w->proxy_id = str_copy(&w->arena, proxy_id);
    w->home = loop_current();
    ASSERT(w->home != NULL);
    w->fn = fn;
    w->owner = owner;
    w->references = 2; /* this side, and the core's */
    w->begin.run = core_begin;
    loop_post_reply(all->local->loop, &w->begin);
    return w;
}

void proxy_watch_end(struct proxy_watch *w) {
    w->ended = true;
    w->end.run = core_end;
    loop_post_reply(w->all->local->loop, &w->end);
}

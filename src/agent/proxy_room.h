/* What proxy_watch.c (proxies and their snapshots) and proxy_watchers.c (who waits for them) share.
 * Only for those two.
 */
#ifndef PRAETOR_AGENT_PROXY_ROOM_H
#define PRAETOR_AGENT_PROXY_ROOM_H

#include "agent/proxy_parts.h"
#include "agent/proxy_watch.h"
#include "base/map.h"

struct proxies {
    struct local *local;
    struct facts *facts;
    struct map by_id; /* struct proxy: those that are registered, or watched */
    unsigned open;    /* timers, and the facts while they stop */
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* One question of a proxy. */
struct proxy_wanted {
    struct fact_watch watch;
    struct proxy *proxy;
    enum proxy_part part;
    const struct fact *earlier; /* answers what was asked in its place before; or NULL */
    uint64_t round;             /* when it was wanted last */
};

struct proxy {
    struct proxies *all;
    struct arena arena; /* of id */
    struct str id;
    const struct fact *registered; /* proxy_registration; NULL: it is not */
    struct map wanted;
    struct buf scratch;
    uint64_t round;
    struct loop_timer needs_timer, publish_timer;
    unsigned open_timers;
    bool publishing;                 /* a snapshot is due */
    struct proxy_snapshot *snapshot; /* the newest, or NULL */
    struct proxy_watch *watches;
};

/* proxy_watch.c, on the core. */
struct proxy *proxy_get(struct proxies *all, struct str id);
/* When it is neither registered nor watched. */
void proxy_maybe_free(struct proxy *p);

/* proxy_watchers.c. The watcher's and the core's side of a watch each hold a reference, and so does
 * a snapshot on its way: of several that come while it is, only the newest arrives. */
struct proxy_watch {
    struct proxies *all;
    struct arena arena; /* of proxy_id */
    struct str proxy_id;
    struct loop *home;
    proxy_watch_fn *fn;
    void *owner;
    atomic_uint references;
    _Atomic(struct proxy_snapshot *) newest; /* not NULL: `delivery` is on its way */
    struct message begin, end, delivery;
    bool ended; /* home's */

    /* The core's. */
    struct proxy *proxy; /* NULL: it is in no list */
    struct proxy_watch *next, **back;
};
/* On the core. */
void proxy_watch_give(struct proxy_watch *w, struct proxy_snapshot *s);
void proxy_unwatch_all(struct proxy *p);

#endif

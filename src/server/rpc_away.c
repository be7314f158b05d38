/* See rpc_away.h. One message takes the exchange to the other thread and brings it back; a second
 * one may follow it to call it off. Messages between two threads keep their order, so that the
 * second never arrives first.
 */
#include "server/rpc_away.h"

#include <stdatomic.h>

#include "base/mem.h"

struct rpc_away {
    struct message travel, stop;
    struct rpc_pool *home;
    struct loop *from;
    struct arena arena; /* of the copies, of the error and the reply */
    struct rpc_exchange inner;
    atomic_uint holds; /* messages under way */
    /* On the thread that asks. */
    rpc_away_done *done; /* NULL: nobody waits any more */
    void *owner;
    /* On the other one. */
    bool running;
};

static void release(struct rpc_away *a, unsigned holds) {
    if (atomic_fetch_sub_explicit(&a->holds, holds, memory_order_acq_rel) > holds)
        return;
    struct arena arena = a->arena;
    arena_free(&arena);
}

/* ---- on the thread that asks ---- */

static void returned(struct message *m) {
    struct rpc_away *a = CONTAINER_OF(m, struct rpc_away, travel);
    if (a->done != NULL)
        a->done(a->owner, &a->inner);
    a->done = NULL;
    release(a, 1);
}

/* ---- on the other one ---- */

static void ended(struct rpc_exchange *x) {
    struct rpc_away *a = x->owner;
    a->running = false;
    if (x->reply.data != NULL)
        x->reply = str_copy(&a->arena, x->reply);
    a->travel.run = returned;
    loop_post_reply(a->from, &a->travel);
}

static void arrive(struct message *m) {
    struct rpc_away *a = CONTAINER_OF(m, struct rpc_away, travel);
    a->running = true;
    rpc_start(a->home, &a->inner);
}

static void called_off(struct message *m) {
    struct rpc_away *a = CONTAINER_OF(m, struct rpc_away, stop);
    unsigned holds = 1;
    if (a->running) {
        a->running = false;
        rpc_cancel(&a->inner);
        holds = 2; /* it does not come back */
    }
    release(a, holds);
}

/* ---- the beginning ---- */

struct rpc_away *rpc_away_start(struct rpc_pool *home, struct loop *from,
                                const struct rpc_exchange *x, rpc_away_done *done, void *owner) {
    struct arena arena = ARENA_INIT;
    struct rpc_away *a = ARENA_NEW(&arena, struct rpc_away);
    a->arena = arena;
    a->home = home;
    a->from = from;
    a->done = done;
    a->owner = owner;
    a->inner = (struct rpc_exchange){.address = str_copy(&a->arena, x->address),
                                     .datacenter = str_copy(&a->arena, x->datacenter),
                                     .node = str_copy(&a->arena, x->node),
                                     .method = str_copy(&a->arena, x->method),
                                     .body = str_copy(&a->arena, x->body),
                                     .done = ended,
                                     .owner = a,
                                     .arena = &a->arena};
    atomic_init(&a->holds, 1);
    a->travel.run = arrive;
    loop_post_reply(rpc_pool_loop(home), &a->travel);
    return a;
}

void rpc_away_cancel(struct rpc_away *a) {
    a->done = NULL;
    a->stop.run = called_off;
    atomic_fetch_add_explicit(&a->holds, 1, memory_order_relaxed);
    loop_post_reply(rpc_pool_loop(a->home), &a->stop);
}

/* Rebalancing (rpc.md 9.2, 9.3): every two to three minutes the servers of each datacenter are
 * shuffled, and the first that answers a Status.Ping takes the calls from then on, so that the
 * clients of a cluster spread over its servers also after some were away. On the core thread.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "server/endpoints.h"
#include "server/server_room.h"

#define BALANCE_LOGGER "agent.router.manager"
#define PERIOD (120 * SECOND)
#define PERIOD_SPREAD (60 * SECOND)
/* Of the whole cluster, connections a second that may move. */
#define MOVES_PER_SECOND 64

struct balance {
    struct server *server;
    struct loop_timer timer;
    struct prng random;
    bool closed;

    /* A round: datacenter by datacenter, server by server. */
    struct arena arena;
    struct peer_datacenter *datacenters;
    size_t datacenter, datacenter_count;
    const struct peer **order; /* held */
    size_t order_len, tried, servers;
    struct empty_struct request;
    struct call call;
    bool calling;
};

static void datacenter_next(struct balance *b);

static int64_t period(struct balance *b) {
    int64_t wait = PERIOD + (int64_t)prng_below(&b->random, (uint64_t)PERIOD_SPREAD + 1);
    size_t servers = b->servers > 0 ? b->servers : 1;
    int64_t spread = (int64_t)(peers_members(b->server->peers) / (MOVES_PER_SECOND * servers));
    return spread * SECOND > wait ? spread * SECOND : wait;
}

static void shuffle(struct balance *b) {
    for (size_t i = b->order_len; i > 1; i--) {
        size_t j = (size_t)prng_below(&b->random, i);
        const struct peer *p = b->order[i - 1];
        b->order[i - 1] = b->order[j];
        b->order[j] = p;
    }
}

static void order_rotate(struct balance *b) {
    const struct peer *first = b->order[0];
    memmove(b->order, b->order + 1, (b->order_len - 1) * sizeof(struct peer *));
    b->order[b->order_len - 1] = first;
}

/* As the peer's lines show a server. */
static struct str peer_text(struct arena *arena, const struct peer *p) {
    return str_format(arena, STR_FMT " (Addr: tcp/" STR_FMT ") (DC: " STR_FMT ")", STR_ARG(p->name),
                      STR_ARG(p->address), STR_ARG(p->datacenter));
}

static void datacenter_done(struct balance *b, bool healthy) {
    struct str datacenter = b->datacenters[b->datacenter].name;
    peers_reorder(b->server->peers, datacenter, b->order, b->order_len, healthy);
    if (healthy) {
        log_at(LOG_DEBUG, BALANCE_LOGGER, "Rebalanced servers, new active server",
               LOG_I("number_of_servers", (int64_t)b->order_len),
               LOG_S("active_server", peer_text(&b->arena, b->order[0])));
    } else {
        log_at(LOG_DEBUG, BALANCE_LOGGER, "No healthy servers during rebalance, aborting");
    }
    peers_list_release(b->order, b->order_len);
    b->order_len = 0;
    b->datacenter++;
    datacenter_next(b);
}

static void ping_next(struct balance *b);

static void ping_done(struct call *c) {
    struct balance *b = c->owner;
    bool ok = !error_is_set(&c->answer->error);
    b->calling = false;
    if (!ok && !b->closed) {
        log_at(LOG_DEBUG, BALANCE_LOGGER, "pinging server failed",
               LOG_S("server", peer_text(&b->arena, b->order[0])),
               LOG_S("error", c->answer->error.text));
    }
    answer_release(c->answer);
    c->answer = NULL;
    if (b->closed) {
        return;
    }
    if (ok) {
        datacenter_done(b, true);
        return;
    }
    b->tried++;
    order_rotate(b);
    ping_next(b);
}

static void ping_next(struct balance *b) {
    if (b->tried == b->order_len) {
        datacenter_done(b, false);
        return;
    }
    const struct peer *first = b->order[0];
    const struct server_options *o = server_options(b->server);
    if (!o->client && str_eq(first->name, o->node_name) &&
        str_eq(first->datacenter, o->datacenter)) {
        datacenter_done(b, true); /* itself */
        return;
    }
    b->call = (struct call){
        .endpoint = &endpoint_status_ping, .request = &b->request, .done = ping_done, .owner = b};
    b->calling = true;
    call_start_at_peer(b->server, &b->call, first);
}

/* The next datacenter that has servers; the end of the round when there is none. */
static void datacenter_next(struct balance *b) {
    for (; b->datacenter < b->datacenter_count; b->datacenter++) {
        struct str name = b->datacenters[b->datacenter].name;
        b->order_len = peers_order(b->server->peers, name, &b->arena, &b->order);
        if (b->order_len > 0) {
            b->servers += b->order_len;
            b->tried = 0;
            shuffle(b);
            ping_next(b);
            return;
        }
    }
    arena_reset(&b->arena, 4096);
    loop_timer_set(&b->timer, period(b));
}

static void round_start(struct loop_timer *timer) {
    struct balance *b = timer->owner;
    b->datacenter = b->servers = 0;
    b->datacenter_count = peers_datacenters(b->server->peers, &b->arena, &b->datacenters);
    datacenter_next(b);
}

struct balance *balance_new(struct server *s) {
    struct balance *b = MEM_NEW(struct balance);
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    prng_seed(&b->random, seed);
    b->server = s;
    loop_timer_init(&s->core, &b->timer, round_start, b);
    return b;
}

void balance_start(struct balance *b) {
    loop_timer_set(&b->timer, PERIOD);
}

void balance_now(struct balance *b) {
    if (b->order_len == 0 && !b->closed) {
        loop_timer_set(&b->timer, 0);
    }
}

void balance_close(struct balance *b) {
    if (b->closed) {
        return;
    }
    b->closed = true;
    if (b->calling) {
        call_cancel(&b->call, NULL);
    }
    loop_timer_stop(&b->timer);
    loop_timer_close(&b->timer, NULL);
}

void balance_free(struct balance *b) {
    if (b == NULL) {
        return;
    }
    peers_list_release(b->order, b->order_len);
    arena_free(&b->arena);
    mem_free(b);
}

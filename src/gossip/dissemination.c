/* Spreading what is queued (gossip.md 7): on the packets of probes, and at each gossip tick to a
 * few random nodes. The tick's timer runs only while something waits.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/frame.h"
#include "gossip/state.h"

#define SOON (1 * MILLISECOND)
#define EARLY_MAX 4
#define QUEUES_CHECK_INTERVAL (30 * SECOND)
#define QUEUE_MIN_DEPTH 4096
#define QUEUE_HARD_DEPTH (4 * QUEUE_MIN_DEPTH) /* beyond this the check does not wait */

static bool anything_waits(const struct gossip *g) {
    for (int i = 0; i < QUEUE_COUNT; i++) {
        if (g->queues[i].len > 0)
            return true;
    }
    return false;
}

/* Rounds before their tick that are left: one more for each interval that passed. */
static bool may_be_early(struct gossip *g) {
    int64_t passed = (g->now - g->early_since) / g->timing.gossip_interval;
    if (passed > 0) {
        g->early_since += passed * g->timing.gossip_interval;
        int64_t left = g->early_left + passed;
        g->early_left = left < EARLY_MAX ? (uint32_t)left : EARLY_MAX;
    }
    return g->early_left > 0;
}

static void tick_at(struct gossip *g, int64_t at) {
    if (timer_runs(&g->gossip_timer)) {
        if (g->gossip_timer.at <= at)
            return;
        timer_stop(&g->timers, &g->gossip_timer);
    }
    timer_start(&g->timers, &g->gossip_timer, at);
}

/* Ticks lie at fixed times, whether somebody looks or not. */
static void start_tick(struct gossip *g) {
    int64_t next = g->gossip_phase;
    int64_t interval = g->timing.gossip_interval;
    if (next <= g->now)
        next += ((g->now - next) / interval + 1) * interval;
    tick_at(g, next);
}

/* News goes out nearly at once, with what else comes by then; but of a stream of news only the
 * first few, and over time no more rounds than there are ticks. No message is sent more often for
 * that. */
static void start_tick_for_news(struct gossip *g) {
    start_tick(g);
    if (g->gossip_timer.at > g->now + SOON && may_be_early(g)) {
        g->early_left--;
        tick_at(g, g->now + SOON);
    }
}

void broadcast_membership(struct gossip *g, struct str key, struct str message, uint32_t waiter) {
    broadcasts_add(&g->queues[QUEUE_MEMBERSHIP], key, message, waiter);
    start_tick_for_news(g);
}

void broadcast_serf(struct gossip *g, enum queue_name queue, struct str message, uint32_t waiter) {
    broadcasts_add(&g->queues[queue], STR_NONE, message, waiter);
    start_tick_for_news(g);
    size_t len = g->queues[queue].len;
    if (len > QUEUE_HARD_DEPTH && len > 4 * (size_t)g->members.with_status)
        queues_check(g);
    else if (len > QUEUE_MIN_DEPTH && !timer_runs(&g->queues_timer))
        timer_start(&g->timers, &g->queues_timer, g->now + QUEUES_CHECK_INTERVAL);
}

void dissemination_wake(struct gossip *g) {
    if (anything_waits(g))
        start_tick_for_news(g);
}

/* Cuts what grew too long. */
void queues_check(struct gossip *g) {
    static const char *const names[] = {
        [QUEUE_INTENTS] = "Intent", [QUEUE_QUERIES] = "Query", [QUEUE_EVENTS] = "Event"};
    size_t most = 2 * (size_t)g->members.with_status;
    most = most > QUEUE_MIN_DEPTH ? most : QUEUE_MIN_DEPTH;
    for (int i = QUEUE_INTENTS; i <= QUEUE_EVENTS; i++) {
        size_t len = g->queues[i].len;
        if (len <= most)
            continue;
        g_log(g, LOG_WARN, true, "%s queue depth (%zu) exceeds limit (%zu), dropping messages!",
              names[i], len, most);
        broadcasts_prune(&g->queues[i], most);
    }
}

size_t broadcasts_gather(struct gossip *g, size_t space, size_t max, struct str *out) {
    size_t used = 0, len = 0;
    for (int i = 0; i < QUEUE_COUNT; i++) {
        if (g->queues[i].len == 0)
            continue;
        bool serf = i != QUEUE_MEMBERSHIP;
        size_t nodes = serf ? g->members.with_status : g->members.listed;
        static const char type[] = {MESSAGE_USER};
        size_t before = len;
        len += broadcasts_take(&g->queues[i], g_retransmit_limit(g, nodes),
                               FRAME_PART_OVERHEAD + (serf ? 1 : 0), space, max - len,
                               serf ? str_of(type, 1) : STR_NONE, g_arena(g), out + len, &used);
        for (size_t k = before; serf && k < len; k++)
            g_metric(g, METRIC_SAMPLE, "serf.msgs.sent", (double)out[k].len);
    }
    return len;
}

/* Alive, suspect, or dead so recently that it may not know yet. */
static bool is_told(const struct gossip *g, const struct member *m, const void *context) {
    (void)context;
    switch (m->state) {
    case GOSSIP_ALIVE:
    case GOSSIP_SUSPECT:
        return true;
    case GOSSIP_DEAD:
        return g->now - m->changed <= g->timing.gossip_to_dead;
    default:
        return false;
    }
}

static void gossip_to(struct gossip *g, const struct member *m, const struct str *parts,
                      size_t len) {
    if (len == 1) {
        packet_send(g, &m->id->address, member_name(m), parts[0], member_takes_crc(m));
        return;
    }
    struct buf whole = BUF_INIT;
    frame_compound(&whole, parts, len);
    packet_send(g, &m->id->address, member_name(m), buf_str(&whole), member_takes_crc(m));
    buf_free(&whole);
}

static bool anybody_is_told(const struct gossip *g) {
    for (uint32_t i = 0; i < g->members.listed; i++) {
        const struct member *m = members_in_order(&g->members, i);
        if (m != g->self && is_told(g, m, NULL))
            return true;
    }
    return false;
}

void gossip_tick(struct gossip *g) {
    struct member *nodes[16];
    size_t wanted =
        g->timing.gossip_nodes < COUNT_OF(nodes) ? g->timing.gossip_nodes : COUNT_OF(nodes);
    size_t count = g_pick_nodes(g, wanted, is_told, NULL, nodes);
    for (size_t i = 0; i < count; i++) {
        struct str parts[FRAME_COMPOUND_MAX];
        size_t space =
            PACKET_BUDGET - FRAME_COMPOUND_OVERHEAD - (g_encrypts(g) ? CRYPT_OVERHEAD : 0);
        size_t len = broadcasts_gather(g, space, FRAME_COMPOUND_MAX, parts);
        if (len == 0)
            break;
        gossip_to(g, nodes[i], parts, len);
    }
    /* Alone, nothing is sent until somebody comes alive: alive.c wakes us then. */
    if (anything_waits(g) && (count > 0 || anybody_is_told(g)))
        start_tick(g);
}

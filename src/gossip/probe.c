/* Our own probes (gossip.md 6.1): one node after the other, each to its end: a ping, then indirect
 * ones and one over TCP, then suspicion. One probe runs at a time.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/frame.h"
#include "gossip/state.h"

/* Removes nodes that are dead for long and begins the list anew, in another order. */
static void next_round(struct gossip *g) {
    for (uint32_t i = 0; i < g->members.listed;) {
        const struct member *m = members_in_order(&g->members, i);
        if (m->state == GOSSIP_DEAD && m != g->self &&
            g->now - m->changed > g->timing.gossip_to_dead)
            members_unlist(&g->members, i);
        else
            i++;
    }
    members_shuffle(&g->members, &g->rng);
    g->probe_at = 0;
}

static struct member *next_target(struct gossip *g) {
    for (uint32_t checked = 0; checked < g->members.listed; checked++) {
        if (g->probe_at >= g->members.listed) {
            next_round(g);
            continue;
        }
        struct member *m = members_in_order(&g->members, g->probe_at++);
        if (m != g->self && (m->state == GOSSIP_ALIVE || m->state == GOSSIP_SUSPECT))
            return m;
    }
    return NULL;
}

static struct ping_message ping_to(struct gossip *g, struct str node, uint32_t sequence) {
    const struct identity *us = g->self->id;
    return (struct ping_message){.seq_no = sequence,
                                 .node = node,
                                 .source_addr = str_of(us->address.ip, us->address.len),
                                 .source_port = us->address.port,
                                 .source_node = identity_name(us)};
}

/* A suspect is told at once what is said of it, so that it can defend itself. */
static void ping_suspect(struct gossip *g, const struct member *m, struct str ping) {
    struct accusation_message s = {
        .incarnation = m->incarnation, .node = member_name(m), .from = member_name(g->self)};
    struct str parts[] = {ping, message_of(g, MESSAGE_SUSPECT, &accusation_wire, &s)};
    struct buf whole = BUF_INIT;
    frame_compound(&whole, parts, COUNT_OF(parts));
    packet_send(g, &m->id->address, member_name(m), buf_str(&whole), member_takes_crc(m));
    buf_free(&whole);
}

static void probe_node(struct gossip *g, struct member *m) {
    struct probe *p = &g->probe;
    p->active = true;
    p->indirect = p->stream_acked = false;
    p->target = m->slot;
    p->sequence = ++g->sequence;
    p->nacks_expected = p->nacks = 0;
    p->stream = 0;
    p->sent_at = g->now;
    if (g->health > 0)
        g_metric(g, METRIC_COUNTER, "memberlist.degraded.probe", 1);
    struct ping_message ping = ping_to(g, member_name(m), p->sequence);
    struct str message = message_of(g, MESSAGE_PING, &ping_wire, &ping);
    if (m->state == GOSSIP_ALIVE)
        packet_send_with_broadcasts(g, &m->id->address, member_name(m), message);
    else
        ping_suspect(g, m, message);
    timer_start(&g->timers, &p->timeout, g->now + g->timing.probe_timeout);
    timer_start(&g->timers, &p->deadline, g->now + g->timing.probe_interval * (g->health + 1));
}

static void begin(struct gossip *g) {
    struct member *m = next_target(g);
    g->probe_due = false;
    if (m != NULL && !g->left)
        probe_node(g, m);
}

void probe_tick(struct gossip *g) {
    int64_t interval = g->timing.probe_interval;
    int64_t next = g->probe_timer.at + interval;
    if (next <= g->now) /* ticks that nobody saw are lost */
        next += ((g->now - next) / interval + 1) * interval;
    timer_start(&g->timers, &g->probe_timer, next);
    if (g->probe.active)
        g->probe_due = true;
    else
        begin(g);
}

/* The probe is over; a tick that came meanwhile counts now. */
static void finish(struct gossip *g) {
    struct probe *p = &g->probe;
    timer_stop(&g->timers, &p->timeout);
    timer_stop(&g->timers, &p->deadline);
    p->active = false;
    g_metric(g, METRIC_SAMPLE, "memberlist.probeNode",
             (double)(g->now - p->sent_at) / (double)MILLISECOND);
    struct stream *s = p->stream != 0 ? stream_find(g, p->stream) : NULL;
    p->stream = 0;
    if (s != NULL)
        stream_end(g, s, STR_NONE);
    if (g->probe_due)
        begin(g);
}

static bool can_ask(const struct gossip *g, const struct member *m, const void *target) {
    (void)g;
    return m != target && m->state == GOSSIP_ALIVE;
}

void probe_timeout(struct gossip *g) {
    struct probe *p = &g->probe;
    struct member *target = members_at(&g->members, p->target);
    p->indirect = true;
    if (target == NULL)
        return;
    g_log(g, LOG_DEBUG, false, "Failed ping: " STR_FMT " (timeout reached)",
          STR_ARG(member_name(target)));
    struct member *helpers[16];
    size_t wanted = g->timing.indirect_checks < COUNT_OF(helpers) ? g->timing.indirect_checks
                                                                  : COUNT_OF(helpers);
    size_t count = g_pick_nodes(g, wanted, can_ask, target, helpers);
    struct ping_message ping = ping_to(g, member_name(target), p->sequence);
    for (size_t i = 0; i < count; i++) {
        struct indirect_ping_message ask = {
            .seq_no = p->sequence,
            .target = str_of(target->id->address.ip, target->id->address.len),
            .port = target->id->address.port,
            .node = ping.node,
            .nack = helpers[i]->id->versions[GOSSIP_PMAX] >= 4,
            .source_addr = ping.source_addr,
            .source_port = ping.source_port,
            .source_node = ping.source_node};
        p->nacks_expected += ask.nack;
        packet_send_with_broadcasts(
            g, &helpers[i]->id->address, member_name(helpers[i]),
            message_of(g, MESSAGE_INDIRECT_PING, &indirect_ping_wire, &ask));
    }
    if (target->id->versions[GOSSIP_PMAX] < 3 ||
        (g->carried != NULL && g->carried(g->owner, ping.node)))
        return;
    struct stream *s =
        stream_begin(g, STREAM_PING, &target->id->address, ping.node, p->deadline.at);
    if (s != NULL) {
        s->sequence = p->sequence;
        p->stream = s->id;
    }
}

void probe_acked(struct gossip *g, uint32_t sequence, struct str payload) {
    struct probe *p = &g->probe;
    if (!p->active || p->sequence != sequence)
        return;
    struct member *target = members_at(&g->members, p->target);
    if (!p->indirect && target != NULL)
        coordinate_heard(g, target, payload, g->now - p->sent_at);
    g_health(g, -1);
    finish(g);
}

void probe_nacked(struct gossip *g, uint32_t sequence) {
    if (g->probe.active && g->probe.sequence == sequence)
        g->probe.nacks++;
}

void probe_stream_result(struct gossip *g, uint32_t sequence, bool acked, struct str error) {
    struct probe *p = &g->probe;
    if (!p->active || p->sequence != sequence)
        return;
    p->stream = 0;
    p->stream_acked = acked;
    if (!acked && error.len > 0 && str_find(error, STR("connection refused"), 0) < 0)
        g_log(g, LOG_ERROR, false, "Failed fallback ping: " STR_FMT, STR_ARG(error));
}

void probe_deadline(struct gossip *g) {
    struct probe *p = &g->probe;
    struct member *m = members_at(&g->members, p->target);
    if (m == NULL || !m->listed) {
        finish(g);
        return;
    }
    struct str name = str_copy(g_arena(g), member_name(m));
    struct stream *fallback = p->stream != 0 ? stream_find(g, p->stream) : NULL;
    if (fallback != NULL) {
        char text[GOSSIP_ADDRESS_TEXT];
        g_log(g, LOG_ERROR, false, "Failed fallback ping: %s tcp " STR_FMT ": i/o timeout",
              fallback->opened ? "read" : "dial",
              STR_ARG(gossip_address_text(&fallback->address, text)));
    }
    if (p->stream_acked) {
        g_log(g, LOG_WARN, false,
              "Was able to connect to " STR_FMT
              " but other probes failed, network may be misconfigured",
              STR_ARG(name));
        g_health(g, -1);
        finish(g);
        return;
    }
    g_health(g, p->nacks_expected > 0 ? (int)p->nacks_expected - (int)p->nacks : 1);
    g_log(g, LOG_INFO, false, "Suspect " STR_FMT " has failed, no acks received", STR_ARG(name));
    struct accusation_message s = {
        .incarnation = m->incarnation, .node = name, .from = member_name(g->self)};
    suspect_apply(g, &s);
    finish(g);
}

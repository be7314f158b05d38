/* Suspected nodes (gossip.md 5.3 and 6.3): who is accused, and the timer that runs out the sooner
 * the more nodes agree.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/state.h"

void suspect_apply(struct gossip *g, const struct accusation_message *s) {
    struct member *m = members_find(&g->members, s->node);
    if (m == NULL || !m->listed || s->incarnation < m->incarnation)
        return;
    if (m->suspicion != 0) {
        if (suspicion_confirm(g, m, s->from))
            broadcast_membership(g, s->node, message_of(g, MESSAGE_SUSPECT, &accusation_wire, s),
                                 0);
        return;
    }
    if (m->state != GOSSIP_ALIVE)
        return;
    if (m == g->self) {
        g_log_input(g, LOG_WARN, false, "Refuting a suspect message (from: " STR_FMT ")",
                    STR_ARG(s->from));
        refute(g, s->incarnation);
        return;
    }
    broadcast_membership(g, s->node, message_of(g, MESSAGE_SUSPECT, &accusation_wire, s), 0);
    g_metric(g, METRIC_COUNTER, "memberlist.msg.suspect", 1);
    m->incarnation = s->incarnation;
    m->state = GOSSIP_SUSPECT;
    m->changed = g->now;
    suspicion_start(g, m, s->from);
}

/* ---- the timer ---- */

static struct suspicion *suspicion_of(const struct gossip *g, const struct member *m) {
    return m->suspicion != 0 ? g->suspicions[m->suspicion - 1] : NULL;
}

static char *copy_name(struct str name) {
    char *copy = mem_alloc(name.len + 1);
    memcpy(copy, name.data, name.len);
    copy[name.len] = '\0';
    return copy;
}

static size_t free_suspicion_slot(struct gossip *g) {
    for (size_t i = 0; i < g->suspicions_cap; i++) {
        if (g->suspicions[i] == NULL)
            return i;
    }
    size_t cap = g->suspicions_cap > 0 ? 2 * g->suspicions_cap : 4;
    g->suspicions = mem_resize(g->suspicions, cap, sizeof(struct suspicion *));
    for (size_t i = g->suspicions_cap; i < cap; i++)
        g->suspicions[i] = NULL;
    size_t slot = g->suspicions_cap;
    g->suspicions_cap = cap;
    return slot;
}

void suspicion_start(struct gossip *g, struct member *m, struct str accuser) {
    const struct gossip_timing *t = &g->timing;
    size_t n = g->members.listed;
    uint32_t needed = t->suspicion_mult > 2 ? t->suspicion_mult - 2 : 0;
    if (n < (size_t)needed + 2)
        needed = 0;
    struct suspicion *s = MEM_NEW(struct suspicion);
    s->slot = m->slot;
    s->needed = needed;
    s->start = g->now;
    s->min = gossip_suspicion_min(t->suspicion_mult, n, t->probe_interval);
    s->max = s->min * t->suspicion_max_mult;
    s->from = mem_zalloc((size_t)needed + 1, sizeof(char *));
    s->from[0] = copy_name(accuser);
    s->timer.kind = TIMER_SUSPICION;
    size_t slot = free_suspicion_slot(g);
    g->suspicions[slot] = s;
    m->suspicion = (uint32_t)slot + 1;
    timer_start(&g->timers, &s->timer, g->now + (needed < 1 ? s->min : s->max));
}

void suspicion_cancel(struct gossip *g, struct member *m) {
    struct suspicion *s = suspicion_of(g, m);
    if (s == NULL)
        return;
    timer_stop(&g->timers, &s->timer);
    g->suspicions[m->suspicion - 1] = NULL;
    m->suspicion = 0;
    for (uint32_t i = 0; i <= s->confirmations; i++)
        mem_free(s->from[i]);
    mem_free(s->from);
    mem_free(s);
}

bool suspicion_confirm(struct gossip *g, struct member *m, struct str from) {
    struct suspicion *s = suspicion_of(g, m);
    if (s->confirmations >= s->needed)
        return false;
    for (uint32_t i = 0; i <= s->confirmations; i++) {
        if (str_is(from, s->from[i]))
            return false;
    }
    s->from[++s->confirmations] = copy_name(from);
    timer_start(&g->timers, &s->timer,
                s->start + gossip_suspicion_timeout(s->needed, s->confirmations, s->min, s->max));
    return true;
}

void suspicion_expired(struct gossip *g, struct suspicion *s) {
    struct member *m = members_at(&g->members, s->slot);
    ASSERT(m != NULL && m->state == GOSSIP_SUSPECT && suspicion_of(g, m) == s);
    uint32_t confirmations = s->confirmations;
    if (s->needed > 0 && confirmations < s->needed)
        g_metric(g, METRIC_COUNTER, "memberlist.degraded.timeout", 1);
    g_log(g, LOG_INFO, false,
          "Marking " STR_FMT " as failed, suspect timeout reached (%u peer confirmations)",
          STR_ARG(member_name(m)), confirmations);
    struct accusation_message d = {.incarnation = m->incarnation,
                                   .node = str_copy(g_arena(g), member_name(m)),
                                   .from = member_name(g->self)};
    dead_apply(g, &d, 0);
}

/* Intents (gossip.md 9.4): who joined or is about to leave, ordered by the members' clock, whatever
 * the order in which they arrive.
 */
#include "base/mem.h"
#include "gossip/state.h"

/* Of a node that is not known (yet): the newest counts when it comes. Whether it was stored. */
static bool remember(struct gossip *g, struct str node, bool leave, uint64_t ltime) {
    if (node.len > GOSSIP_NAME_MAX)
        return false;
    struct intent *intent = map_get(&g->intents, node);
    if (intent != NULL && ltime <= intent->ltime)
        return false;
    if (intent == NULL) {
        if (g->intents.count >= INTENTS_MAX)
            return false;
        intent = mem_alloc(sizeof *intent);
        map_put(&g->intents, node, intent);
    }
    *intent = (struct intent){.leave = leave, .ltime = ltime, .at = g->now};
    return true;
}

static struct member *known(struct gossip *g, struct str node) {
    struct member *m = members_find(&g->members, node);
    return m != NULL && m->status != GOSSIP_STATUS_NONE ? m : NULL;
}

bool join_intent_apply(struct gossip *g, const struct join_message *j) {
    clock_witness(&g->clock, j->ltime);
    struct member *m = known(g, j->node);
    if (m == NULL)
        return remember(g, j->node, false, j->ltime);
    if (j->ltime <= m->status_ltime)
        return false;
    m->status_ltime = j->ltime;
    if (m->status == GOSSIP_STATUS_LEAVING)
        member_set_status(&g->members, m, GOSSIP_STATUS_ALIVE);
    return true;
}

void join_intent_announce(struct gossip *g, uint64_t ltime) {
    struct join_message j = {.ltime = ltime, .node = member_name(g->self)};
    join_intent_apply(g, &j);
    broadcast_serf(g, QUEUE_INTENTS, serf_message_of(g, SERF_JOIN, &join_wire, &j), 0);
}

/* ---- leaving ---- */

void prune_free(struct gossip *g, struct prune *p) {
    struct prune **link = &g->prunes;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    timer_stop(&g->timers, &p->timer);
    mem_free(p->name);
    mem_free(p);
}

/* By then it has left, or it is still there and took the intent back. (The peer erases it all the
 * same, and never sees it again.) */
void prune_expired(struct gossip *g, struct prune *p) {
    struct member *m = known(g, str_from(p->name));
    bool alive = m != NULL && m->listed && (m->state == GOSSIP_ALIVE || m->state == GOSSIP_SUSPECT);
    if (m != NULL && !alive)
        member_erase(g, m, true);
    prune_free(g, p);
}

static void prune_later(struct gossip *g, struct str name) {
    size_t count = 0;
    for (const struct prune *p = g->prunes; p != NULL; p = p->next) {
        if (str_is(name, p->name) || ++count >= INTENTS_MAX)
            return;
    }
    struct prune *p = MEM_NEW(struct prune);
    p->name = mem_alloc(name.len + 1);
    memcpy(p->name, name.data, name.len);
    p->name[name.len] = '\0';
    p->timer.kind = TIMER_PRUNE;
    p->next = g->prunes;
    g->prunes = p;
    timer_start(&g->timers, &p->timer,
                g->now + g->timing.broadcast_timeout + g->timing.leave_propagate);
}

static void prune(struct gossip *g, struct member *m) {
    if (m->status == GOSSIP_STATUS_LEAVING)
        prune_later(g, member_name(m));
    else
        member_erase(g, m, true);
}

bool leave_intent_apply(struct gossip *g, const struct leave_message *l) {
    clock_witness(&g->clock, l->ltime);
    struct member *m = known(g, l->node);
    if (m == NULL)
        return remember(g, l->node, true, l->ltime);
    if (l->ltime <= m->status_ltime)
        return false;
    if (m == g->self && g->life == GOSSIP_RUNNING) {
        g_log_input(g, LOG_DEBUG, true, "Refuting an older leave intent");
        join_intent_announce(g, g->clock);
        return false;
    }
    m->status_ltime = l->ltime;
    if (m->status == GOSSIP_STATUS_ALIVE) {
        member_set_status(&g->members, m, GOSSIP_STATUS_LEAVING);
    } else if (m->status == GOSSIP_STATUS_FAILED) {
        member_set_status(&g->members, m, GOSSIP_STATUS_LEFT);
        member_event(g, GOSSIP_MEMBER_LEAVE, m, true);
        snapshot_member(g, m, false);
    }
    if (l->prune && m != g->self)
        prune(g, m);
    return true;
}

/* Nodes that failed or left (gossip.md 5.3).
 */
#include "base/mem.h"
#include "gossip/state.h"

void dead_apply(struct gossip *g, const struct accusation_message *d, uint32_t waiter) {
    struct member *m = members_find(&g->members, d->node);
    if (m == NULL || !m->listed || d->incarnation < m->incarnation)
        return;
    suspicion_cancel(g, m);
    if (m->state == GOSSIP_DEAD || m->state == GOSSIP_LEFT)
        return;
    if (m == g->self && !g->left) {
        g_log_input(g, LOG_WARN, false, "Refuting a dead message (from: " STR_FMT ")",
                    STR_ARG(d->from));
        refute(g, d->incarnation);
        return;
    }
    broadcast_membership(g, d->node, message_of(g, MESSAGE_DEAD, &accusation_wire, d), waiter);
    g_metric(g, METRIC_COUNTER, "memberlist.msg.dead", 1);
    m->incarnation = d->incarnation;
    m->state = str_eq(d->from, d->node) ? GOSSIP_LEFT : GOSSIP_DEAD;
    m->changed = g->now;
    serf_left(g, m);
}

/* Leaving (gossip.md 9.4, 6.5, 12.8): our own, which goes through its stages by timers and finished
 * broadcasts; that of another by force; and new tags of our own, which are awaited alike.
 */
#include "base/mem.h"
#include "gossip/state.h"

/* Somebody but us is there, as the upper layer sees it. */
static bool others_are_members(const struct gossip *g) {
    return g->members.by_status[GOSSIP_STATUS_ALIVE] >
           (g->self->status == GOSSIP_STATUS_ALIVE ? 1u : 0u);
}

static void finish(struct gossip *g, struct str error) {
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_LEFT);
    a->token = g->leave_token;
    a->error = error;
    g->life = error.len == 0 ? GOSSIP_GONE : g->life;
}

/* Third stage: the broadcasts are out; others may still ask. */
static void stay_a_while(struct gossip *g) {
    timer_start(&g->timers, &g->leave_timer, g->now + g->timing.leave_propagate);
}

void leave_expired(struct gossip *g) {
    finish(g, STR_NONE);
}

/* Second stage: the membership layer. */
static void leave_membership(struct gossip *g) {
    g->left = true;
    struct str name = str_copy(g_arena(g), member_name(g->self));
    struct accusation_message d = {.incarnation = g->incarnation, .node = name, .from = name};
    if (!g_others_alive(g)) {
        dead_apply(g, &d, 0);
        stay_a_while(g);
        return;
    }
    dead_apply(g, &d, g_wait(g, WAIT_LEAVE, NULL));
}

void leave_command(struct gossip *g, struct gossip_event *event) {
    if (g->life == GOSSIP_LEAVING) {
        event->error = STR("Leave already in progress");
        return;
    }
    if (g->life == GOSSIP_GONE) { /* nothing to do */
        g->leave_token = event->token;
        finish(g, STR_NONE);
        return;
    }
    g->life = GOSSIP_LEAVING;
    g->leave_token = event->token;
    snapshot_leave(g);
    struct leave_message l = {.ltime = g->clock++, .node = member_name(g->self)};
    leave_intent_apply(g, &l);
    if (!others_are_members(g)) {
        leave_membership(g);
        return;
    }
    broadcast_serf(g, QUEUE_INTENTS, serf_message_of(g, SERF_LEAVE, &leave_wire, &l),
                   g_wait(g, WAIT_LEAVE_INTENT, NULL));
}

void leave_wait_over(struct gossip *g, enum wait_kind kind, bool in_time) {
    if (kind == WAIT_LEAVE_INTENT && in_time)
        leave_membership(g);
    else if (kind == WAIT_LEAVE_INTENT)
        finish(g, STR("timeout while waiting for graceful leave"));
    else if (in_time)
        stay_a_while(g);
    else
        finish(g, STR("timeout waiting for leave broadcast"));
}

void force_leave_command(struct gossip *g, struct gossip_event *event) {
    struct leave_message l = {
        .ltime = g->clock, .node = event->force_leave.name, .prune = event->force_leave.prune};
    leave_intent_apply(g, &l);
    if (!others_are_members(g)) {
        g_action(g, GOSSIP_ACTION_FORCED_LEAVE)->token = event->token;
        return;
    }
    broadcast_serf(g, QUEUE_INTENTS, serf_message_of(g, SERF_LEAVE, &leave_wire, &l),
                   g_wait(g, WAIT_FORCED_LEAVE, event->token));
}

void set_tags_command(struct gossip *g, struct gossip_event *event) {
    if (event->set_tags.meta.len > GOSSIP_META_MAX) {
        event->error = STR("Encoded length of tags exceeds limit of 512 bytes");
        return;
    }
    if (g->life != GOSSIP_RUNNING) {
        event->error = STR("Serf can't set tags after Leave or Shutdown");
        return;
    }
    if (g_others_alive(g)) {
        alive_announce(g, event->set_tags.meta, g_wait(g, WAIT_TAGS, event->token));
        return;
    }
    alive_announce(g, event->set_tags.meta, 0);
    g_action(g, GOSSIP_ACTION_TAGS_SET)->token = event->token;
}

/* What operators do to a cluster while it runs: servers added, promoted, demoted, removed, replaced
 * by empty ones; leadership handed over; snapshots taken, saved and restored.
 */
#include "sim/cluster/sim.h"

#define VOTERS_MIN 1
#define VOTERS_MAX 5

struct change {
    struct raft_event event;
    char id[SIM_NAME], address[32];
    struct proposal proposal;
};

struct operator_state {
    struct sim_event event;
    bool changing, restoring;
    int archive; /* that is being restored, and since when */
    int64_t restore_began;
};

/* ---- who leads ---- */

static struct node *leader_of(struct sim *s) {
    struct node *best = NULL;
    for (int i = 0; i < SIM_SLOTS; i++) {
        struct node *n = s->nodes[i];
        if (node_leads(n) && n->paused_until == 0 &&
            (best == NULL || n->told_term > best->told_term))
            best = n;
    }
    return best;
}

/* ---- membership ---- */

static void change_done(struct node *n, struct proposal *p, enum raft_error error, bool yes) {
    (void)yes;
    struct sim *s = n->sim;
    struct change *c = CONTAINER_OF(p, struct change, proposal);
    s->op->changing = false;
    SIM_TRACE(s, "change %d of %s: %s", c->event.change.change, c->id, raft_error_text(error));
    if (error == RAFT_OK) {
        s->totals.changes++;
        struct node *of = node_find(s, str_from(c->id), STR(""));
        if (of != NULL && c->event.change.change == RAFT_REMOVE)
            of->removed = true;
    }
    mem_free(c);
}

static void change(struct node *leader, enum raft_change what, struct node *of) {
    struct sim *s = leader->sim;
    struct change *c = MEM_NEW(struct change);
    snprintf(c->id, sizeof c->id, "%s", of->id);
    snprintf(c->address, sizeof c->address, "%s", of->address);
    c->event =
        (struct raft_event){.kind = RAFT_EVENT_CHANGE,
                            .change = {what, str_from(c->id), str_from(c->address), 0, NULL}};
    c->proposal =
        (struct proposal){.kind = PROPOSAL_CHANGE, .done = change_done, .owner = &c->event};
    s->op->changing = true;
    if (what != RAFT_REMOVE)
        of->removed = false; /* perhaps, from now on */
    SIM_TRACE(s, "operator asks %s: change %d of %s", leader->id, what, of->id);
    propose(leader, &c->proposal);
}

/* A removed server comes back empty, under another name. */
static bool replace_one(struct sim *s) {
    for (int i = 0; i < SIM_SLOTS; i++) {
        struct node *n = s->nodes[i];
        if (!n->used || !n->removed || sim_chance(s, 2))
            continue;
        node_crash(n, false, false);
        n->disk->fail_one_in = 0;
        n->disk->fail_next_sync = false;
        node_identify(n);
        if (!node_start(n))
            node_restart_later(n, SECOND);
        return true;
    }
    return false;
}

static void membership(struct sim *s, struct node *leader) {
    const struct raft_configuration *c = raft_latest_configuration(leader->raft, NULL);
    struct node *n = s->nodes[sim_below(s, SIM_SLOTS)];
    if (!n->used || s->op->changing)
        return;
    const struct raft_server *in = raft_configuration_find(c, str_from(n->id));
    size_t voters = raft_configuration_voters(c);
    if (in == NULL) {
        if (sim_chance(s, 3) && replace_one(s))
            return;
        change(leader, sim_chance(s, 4) && voters < VOTERS_MAX ? RAFT_ADD_VOTER : RAFT_ADD_NONVOTER,
               n);
    } else if (in->suffrage != RAFT_VOTER) {
        bool up = sim_chance(s, 4) || voters >= VOTERS_MAX;
        change(leader, up ? RAFT_REMOVE : RAFT_ADD_VOTER, n);
    } else if (voters > VOTERS_MIN && sim_chance(s, 2)) {
        change(leader, sim_chance(s, 2) ? RAFT_REMOVE : RAFT_DEMOTE, n);
    }
}

/* ---- transfers ---- */

static void transfer(struct sim *s, struct node *leader) {
    struct node *to = s->nodes[sim_below(s, SIM_SLOTS)];
    bool any = sim_chance(s, 3);
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER,
                               .transfer = {any ? STR("") : str_from(to->id)}};
    SIM_TRACE(s, "operator asks %s to hand over to %s", leader->id, any ? "anybody" : to->id);
    node_step(leader, &event);
}

/* ---- saved snapshots ---- */

static void save(struct sim *s, struct node *leader) {
    struct archive *a = &s->archives[sim_below(s, SIM_ARCHIVES)];
    if (!leader->ready || (s->op->restoring && a == &s->archives[s->op->archive]))
        return;
    machine_snapshot_release(a->content);
    a->content = machine_snapshot_take(leader->machine);
    a->index = a->content->index;
    a->used = true;
}

static void restore_done(struct node *n, struct proposal *p, enum raft_error error, bool yes) {
    (void)yes;
    struct sim *s = n->sim;
    struct operator_state *o = s->op;
    SIM_TRACE(s, "restore: %s", raft_error_text(error));
    if (error == RAFT_OK)
        history_restore(s, s->archives[o->archive].content, o->restore_began, s->now);
    else if (p->index != 0 || error == RAFT_ERROR_SHUTDOWN || error == RAFT_ERROR_LEADERSHIP_LOST)
        history_restore(s, s->archives[o->archive].content, o->restore_began, LINEAR_NEVER);
    o->restoring = false;
    mem_free(p);
}

static void restore(struct sim *s, struct node *leader) {
    struct operator_state *o = s->op;
    int i = (int)sim_below(s, SIM_ARCHIVES);
    if (o->restoring || !s->archives[i].used)
        return;
    o->restoring = true;
    o->archive = i;
    o->restore_began = s->now;
    struct proposal *p = MEM_NEW(struct proposal);
    *p = (struct proposal){
        .kind = PROPOSAL_RESTORE, .done = restore_done, .owner = (void *)(intptr_t)i};
    SIM_TRACE(s, "operator restores what was saved at %llu",
              (unsigned long long)s->archives[i].index);
    propose(leader, p);
}

/* ---- from time to time ---- */

static void act(struct sim *s, struct node *leader) {
    const struct plan *p = &s->plan;
    uint64_t what = sim_below(s, 10);
    if (what < 5 && p->membership)
        membership(s, leader);
    else if (what < 7 && p->transfers)
        transfer(s, leader);
    else if (what == 7 && p->restores)
        save(s, leader);
    else if (what == 8 && p->restores)
        restore(s, leader);
}

static void operator_fire(struct sim *s, struct sim_event *e) {
    struct node *leader = leader_of(s);
    struct node *any = s->nodes[sim_below(s, SIM_SLOTS)];
    if (s->plan.snapshots && any->up && sim_chance(s, 2)) {
        any->snapshot_wanted = true;
        node_soon(any);
    }
    if (leader != NULL)
        act(s, leader);
    sim_after(s, e, sim_delay(s, 4 * s->plan.operator_every));
}

void operator_start(struct sim *s) {
    s->op = MEM_NEW(struct operator_state);
    s->op->event.fire = operator_fire;
    sim_after(s, &s->op->event, sim_delay(s, 4 * s->plan.operator_every));
}

void operator_settle(struct sim *s) {
    sim_cancel(s, &s->op->event);
}

bool operator_busy(const struct sim *s) {
    return s->op->changing || s->op->restoring;
}

void operator_free(struct sim *s) {
    for (int i = 0; i < SIM_ARCHIVES; i++)
        machine_snapshot_release(s->archives[i].content);
    mem_free(s->op);
}

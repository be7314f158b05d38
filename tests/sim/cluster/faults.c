/* What goes wrong, and when it is mended. */
#include "sim/cluster/sim.h"

struct repair {
    struct sim_event event;
    struct repair *next;
    enum fault fault;
    struct node *node;
};

struct fault_state {
    struct sim_event event;
    struct repair *repairs;
    int64_t last_jump;
};

/* ---- repairs ---- */

static void mend(struct sim *s, struct repair *r) {
    struct node *n = r->node;
    switch (r->fault) {
    case FAULT_PARTITION:
    case FAULT_ONE_WAY:
    case FAULT_ISOLATE:
        SIM_TRACE(s, "the network is whole again");
        network_heal(s);
        break;
    case FAULT_DISK_SLOW:
        n->disk_slow = 0;
        break;
    case FAULT_DISK_ERROR:
        n->disk->fail_one_in = 0;
        break;
    case FAULT_CLOCK_DRIFT:
        node_clock_set(n, 0, 0);
        break;
    default:
        break;
    }
}

static void mend_fire(struct sim *s, struct sim_event *e) {
    struct repair *r = CONTAINER_OF(e, struct repair, event);
    struct repair **link = &s->faulting->repairs;
    while (*link != r)
        link = &(*link)->next;
    *link = r->next;
    mend(s, r);
    mem_free(r);
}

static void mend_later(struct sim *s, enum fault f, struct node *n, int64_t delay) {
    struct repair *r = MEM_NEW(struct repair);
    r->fault = f;
    r->node = n;
    r->event.fire = mend_fire;
    r->next = s->faulting->repairs;
    s->faulting->repairs = r;
    sim_after(s, &r->event, delay);
}

/* ---- faults ---- */

static void kill_one(struct sim *s, struct node *n, bool power) {
    if (!n->up)
        return;
    sim_fault(s, power ? FAULT_POWER : FAULT_CRASH);
    node_crash(n, power, s->plan.faults[FAULT_TORN] && sim_chance(s, 2));
    int64_t away = 50 * MILLISECOND + sim_delay(s, 15 * SECOND);
    if (away < s->plan.lease + 100 * MILLISECOND) /* it votes, and has forgotten its leader */
        s->doubt_until = s->now + away + 2 * s->plan.heartbeat;
    node_restart_later(n, away);
}

static void kill_all(struct sim *s) {
    sim_fault(s, FAULT_POWER_ALL);
    for (int i = 0; i < SIM_SLOTS; i++) {
        struct node *n = s->nodes[i];
        if (!n->up)
            continue;
        node_crash(n, true, s->plan.faults[FAULT_TORN] && sim_chance(s, 2));
        node_restart_later(n, 100 * MILLISECOND + sim_delay(s, 5 * SECOND));
    }
    s->doubt_until = s->now + 8 * SECOND;
}

static void partition(struct sim *s, enum fault f, struct node *n) {
    bool side[SIM_SLOTS];
    sim_fault(s, f);
    SIM_TRACE(s, "%s (%s)", fault_names[f], n->id);
    for (int i = 0; i < SIM_SLOTS; i++)
        side[i] = f == FAULT_PARTITION ? sim_chance(s, 2) : i == n->slot;
    for (int a = 0; a < SIM_SLOTS; a++) {
        for (int b = 0; b < SIM_SLOTS; b++) {
            if (side[a] == side[b])
                continue;
            if (f == FAULT_ONE_WAY && (a != n->slot || sim_chance(s, 3)))
                continue;
            network_cut(s, a, b);
        }
    }
    mend_later(s, f, NULL, 200 * MILLISECOND + sim_delay(s, 20 * SECOND));
}

static void clock_jump(struct sim *s, struct node *n) {
    int64_t by = sim_delay(s, 10 * SECOND);
    node_clock_set(n, by, n->ppm);
    s->doubt_until = s->now + 2 * s->plan.heartbeat + s->plan.lease;
    SIM_TRACE(s, "%s: clock jumps by %lld ms", n->id, (long long)(by / MILLISECOND));
}

static void of_disk(struct sim *s, enum fault f, struct node *n) {
    if (f == FAULT_DISK_SLOW) {
        n->disk_slow = sim_delay(s, 3 * SECOND);
        mend_later(s, f, n, SECOND + sim_delay(s, 20 * SECOND));
    } else if (f == FAULT_DISK_ERROR) {
        n->disk->fail_one_in = 3 + (unsigned)sim_below(s, 40);
        mend_later(s, f, n, SECOND + sim_delay(s, 10 * SECOND));
    } else {
        n->disk->fail_next_sync = true;
    }
    sim_fault(s, f);
    SIM_TRACE(s, "%s: %s", n->id, fault_names[f]);
}

static void of_clock(struct sim *s, enum fault f, struct node *n) {
    sim_fault(s, f);
    if (f == FAULT_CLOCK_JUMP) {
        clock_jump(s, n);
    } else if (f == FAULT_CLOCK_DRIFT) {
        node_clock_set(n, 0, (int64_t)sim_below(s, 200000) - 100000);
        mend_later(s, f, n, SECOND + sim_delay(s, 60 * SECOND));
    } else {
        n->wall += (int64_t)sim_below(s, 2000 * SECOND) - 1000 * SECOND;
    }
}

static void one_fault(struct sim *s) {
    enum fault f = (enum fault)sim_below(s, FAULT_COUNT);
    struct node *n = s->nodes[sim_below(s, SIM_SLOTS)];
    if (!s->plan.faults[f] || !n->used)
        return;
    switch (f) {
    case FAULT_CRASH:
    case FAULT_POWER:
        kill_one(s, n, f == FAULT_POWER);
        break;
    case FAULT_POWER_ALL:
        if (sim_chance(s, 4))
            kill_all(s);
        break;
    case FAULT_PAUSE:
        if (n->up)
            sim_fault(s, f);
        node_pause(n, sim_delay(s, 12 * SECOND));
        break;
    case FAULT_PARTITION:
    case FAULT_ONE_WAY:
    case FAULT_ISOLATE:
        partition(s, f, n);
        break;
    case FAULT_SLOW_NET:
        sim_fault(s, f);
        s->slow_until = s->now + sim_delay(s, 10 * SECOND);
        s->slow_by = sim_delay(s, 2 * SECOND);
        break;
    case FAULT_DISK_SLOW:
    case FAULT_DISK_ERROR:
    case FAULT_SYNC_ERROR:
        of_disk(s, f, n);
        break;
    case FAULT_CLOCK_JUMP:
    case FAULT_CLOCK_DRIFT:
    case FAULT_WALL_JUMP:
        of_clock(s, f, n);
        break;
    default: /* RESET, LATE, DUPLICATE, TORN come with what they happen to */
        break;
    }
}

static void fault_fire(struct sim *s, struct sim_event *e) {
    one_fault(s);
    sim_after(s, e, sim_delay(s, 4 * s->plan.fault_every / FAULT_COUNT * 2));
}

void faults_start(struct sim *s) {
    s->faulting = MEM_NEW(struct fault_state);
    s->faulting->event.fire = fault_fire;
    sim_after(s, &s->faulting->event, SECOND + sim_delay(s, 4 * s->plan.fault_every));
}

/* Everything works from here on; processes that are away come back. */
void faults_end(struct sim *s) {
    sim_cancel(s, &s->faulting->event);
    while (s->faulting->repairs != NULL) {
        struct repair *r = s->faulting->repairs;
        s->faulting->repairs = r->next;
        sim_cancel(s, &r->event);
        mend(s, r);
        mem_free(r);
    }
    network_heal(s);
    s->slow_until = 0;
    s->plan.lose_one_in = s->plan.duplicate_one_in = 0;
    for (int i = 0; i < SIM_SLOTS; i++) {
        struct node *n = s->nodes[i];
        if (!n->used)
            continue;
        n->disk->fail_one_in = 0;
        n->disk->fail_next_sync = false;
    }
    mem_free(s->faulting);
    s->faulting = NULL;
}

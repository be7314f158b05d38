/* Committed entries to the state machine, and what waits for them: proposals, readers of keys,
 * those who wait for a change (server/raft_driver.c, server/question.c).
 */
#include "sim/cluster/sim.h"

#define APPLY_ENTRIES ((size_t)256)
#define PROPOSE_ENTRIES ((size_t)64)

/* ---- proposing ---- */

void propose(struct node *n, struct proposal *p) {
    p->next = NULL;
    p->index = 0;
    *n->queued_end = p;
    n->queued_end = &p->next;
    node_soon(n);
}

void waiting_add(struct node *n, struct proposal *p) {
    p->next = NULL;
    *n->waiting_end = p;
    n->waiting_end = &p->next;
}

static struct proposal *queued_take(struct node *n) {
    struct proposal *p = n->queued;
    n->queued = p->next;
    if (n->queued == NULL)
        n->queued_end = &n->queued;
    return p;
}

static void propose_entries(struct node *n) {
    struct raft_entry *entries[PROPOSE_ENTRIES];
    size_t count = 0;
    for (struct proposal *p = n->queued;
         p != NULL && p->kind <= PROPOSAL_BARRIER && count < PROPOSE_ENTRIES; p = p->next) {
        if (p->kind == PROPOSAL_BARRIER)
            p->entry = raft_entry_new(RAFT_BARRIER, STR_NONE, STR_NONE);
        entries[count++] = p->entry;
        p->index = 1; /* node_step puts in the true one */
    }
    struct raft_event event = {.kind = RAFT_EVENT_PROPOSE, .propose = {entries, count}};
    node_step(n, &event);
    if (event.error == RAFT_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        struct proposal *p = queued_take(n);
        raft_entry_release(p->entry);
        p->entry = NULL;
        p->index = 0;
        p->done(n, p, event.error, false);
    }
}

static void ask_core(struct node *n, struct proposal *p) {
    if (p->kind == PROPOSAL_RESTORE) {
        restore_begin(n, p, (int)(intptr_t)p->owner);
        return;
    }
    p->next = n->changing;
    n->changing = p;
    const struct raft_event *change = p->owner; /* operator.c's */
    struct raft_event event = *change;
    event.change.token = p;
    node_step(n, &event);
}

void propose_queued(struct node *n) {
    while (n->up && n->queued != NULL && n->restoring == NULL) {
        if (n->queued->kind <= PROPOSAL_BARRIER)
            propose_entries(n);
        else
            ask_core(n, queued_take(n));
    }
}

/* ---- ends ---- */

void proposals_fail(struct node *n, uint64_t above, enum raft_error error) {
    struct proposal **link = &n->waiting, *failed;
    while (*link != NULL && (*link)->index <= above)
        link = &(*link)->next;
    failed = *link;
    *link = NULL;
    n->waiting_end = link;
    while (failed != NULL) {
        struct proposal *next = failed->next;
        failed->done(n, failed, error, false);
        failed = next;
    }
}

static void forget_list(struct node *n, struct proposal *p) {
    while (p != NULL) {
        struct proposal *next = p->next;
        if (p->index == 0)
            raft_entry_release(p->entry);
        p->done(n, p, RAFT_ERROR_SHUTDOWN, false);
        p = next;
    }
}

/* The process has ended: nobody is told anything but that the connection broke. */
void proposals_forget(struct node *n) {
    struct proposal *waiting = n->waiting, *queued = n->queued, *changing = n->changing;
    n->waiting = n->queued = n->changing = NULL;
    n->waiting_end = &n->waiting;
    n->queued_end = &n->queued;
    n->told_leader = n->ready = false;
    forget_list(n, waiting);
    forget_list(n, queued);
    forget_list(n, changing);
    while (n->verifying != NULL) {
        struct call *c = n->verifying;
        n->verifying = c->next;
        c->outcome = CALL_LOST;
        client_answered(n, c);
    }
}

static void answer_up_to(struct node *n, uint64_t first, size_t count, const bool *yes) {
    while (n->waiting != NULL && n->waiting->index < first + count) {
        struct proposal *p = n->waiting;
        SIM_CHECK(n->sim, p->index >= first);
        n->waiting = p->next;
        if (n->waiting == NULL)
            n->waiting_end = &n->waiting;
        p->done(n, p, RAFT_OK, yes[p->index - first]);
    }
}

/* ---- applying ---- */

static void apply_entries(struct node *n, struct raft_entry *const *entries, size_t count) {
    struct sim *s = n->sim;
    bool yes[APPLY_ENTRIES];
    uint64_t hashes[APPLY_ENTRIES];
    char why[200];
    struct watch_touched *touched;
    uint64_t first = entries[0]->index;
    SIM_CHECK(s, first == n->applied + 1);
    if (!machine_apply(n->machine, entries, count, yes, hashes, &touched, why))
        sim_fail(s, "%s: %s", n->id, why);
    if (touched != NULL)
        io_push(n, touched);
    for (size_t i = 0; i < count; i++) {
        if (entries[i]->type == RAFT_COMMAND || entries[i]->type == RAFT_BARRIER) {
            n->command_index = entries[i]->index;
            n->command_term = entries[i]->term;
        }
        n->applied = entries[i]->index;
        n->applied_term = entries[i]->term;
        check_applied(n, entries[i], hashes[i]);
    }
    SIM_TRACE(s, "%s applied up to %llu", n->id, (unsigned long long)n->applied);
    answer_up_to(n, first, count, yes);
    struct raft_event event = {.kind = RAFT_EVENT_APPLIED, .applied = n->applied};
    node_step(n, &event);
}

static void entries_read(struct node *n, struct job *j) {
    n->reading = false;
    if (!j->ok && !n->raft_broken) {
        SIM_CHECK(n->sim, n->disk->failures > 0);
        node_fatal(n, "committed entries cannot be read");
    }
    for (size_t at = 0; j->ok && at < j->count && n->up;) {
        size_t left = j->count - at, count = left < APPLY_ENTRIES ? left : APPLY_ENTRIES;
        apply_entries(n, j->entries + at, count);
        at += count;
    }
    job_free(j);
    node_soon(n);
}

static void read_older(struct node *n, uint64_t first) {
    struct job *j = job_new(JOB_READ);
    j->index = first;
    j->last = n->apply_target;
    j->done = entries_read;
    n->reading = true;
    disk_submit(n, j);
}

bool apply_may(const struct node *n) {
    return n->up && !n->reading && !n->raft_broken && n->restored == NULL &&
           n->applied < n->apply_target;
}

void apply_some(struct node *n) {
    if (!apply_may(n))
        return;
    const struct raft_log *log = raft_get_log(n->raft);
    uint64_t first = n->applied + 1;
    if (raft_log_cached(log, first) == NULL) {
        read_older(n, first);
        return;
    }
    struct raft_entry *entries[APPLY_ENTRIES];
    size_t count = 0, most = 1 + (size_t)sim_below(n->sim, APPLY_ENTRIES);
    do {
        struct raft_entry *e = raft_log_cached(log, first + count);
        SIM_CHECK(n->sim, e != NULL);
        entries[count++] = raft_entry_hold(e);
    } while (count < most && first + count <= n->apply_target);
    apply_entries(n, entries, count);
    for (size_t i = 0; i < count; i++)
        raft_entry_release(entries[i]);
}

/* ---- the I/O thread: it hears of changes a little later ---- */

static void io_fire(struct sim *s, struct sim_event *e) {
    (void)s;
    struct node *n = e->node;
    struct io_item *i = n->io_queue;
    n->io_queue = i->next;
    if (n->io_queue == NULL)
        n->io_end = &n->io_queue;
    n->sim->totals.wakes += watch_publish(n->registry, i->touched);
    watch_touched_release(i->touched);
    mem_free(i);
    if (n->io_queue != NULL)
        sim_after(n->sim, &n->io_event, sim_delay(n->sim, 300 * MICROSECOND));
    else
        waiters_check(n);
}

void io_push(struct node *n, struct watch_touched *touched) {
    struct io_item *i = MEM_NEW(struct io_item);
    i->touched = touched;
    *n->io_end = i;
    n->io_end = &i->next;
    n->io_event.fire = io_fire;
    if (n->io_event.place == 0)
        sim_after(n->sim, &n->io_event, sim_delay(n->sim, MILLISECOND));
}

/* ---- reads of keys ---- */

bool lease_is_doubtful(const struct node *n) {
    return n->paused_until != 0 || n->sim->now < n->doubt_until ||
           n->sim->now < n->sim->doubt_until;
}

/* A default read: whoever leads, with its barrier applied, answers from what it has. */
void call_read(struct node *n, struct call *c) {
    bool may = c->mode == READ_STALE || (n->told_leader && n->ready);
    if (may && c->mode == READ_CONSISTENT) {
        c->next = n->verifying;
        n->verifying = c;
        struct raft_event event = {.kind = RAFT_EVENT_VERIFY, .verify = {c}};
        node_step(n, &event);
        return;
    }
    c->outcome = may ? CALL_OK : CALL_REFUSED;
    if (may) {
        c->found = machine_get(n->machine, c->key);
        c->doubtful = c->mode == READ_STALE || lease_is_doubtful(n);
    }
    client_answered(n, c);
}

/* The core has asked a quorum; the I/O thread reads afterwards. */
void call_verified(struct node *n, struct call *c, enum raft_error error) {
    struct call **link = &n->verifying;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    c->outcome = error == RAFT_OK ? CALL_OK : CALL_REFUSED;
    if (error == RAFT_OK)
        c->found = machine_get(n->machine, c->key);
    client_answered(n, c);
}

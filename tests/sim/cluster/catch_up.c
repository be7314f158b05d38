/* Entries that the core no longer has in memory, read from the log for followers that are behind,
 * as server/raft_driver_network.c does it: a good piece at once, kept for the messages that follow.
 * Only what this leader's log still is may go out under its term.
 */
#include "sim/cluster/sim.h"

static void catch_up_free(struct catch_up *c);

/* In a place that is free, or was of a server that is no more. */
static struct catch_up *catch_up_of(struct node *n, struct str id) {
    struct catch_up **place = NULL;
    for (int i = 0; i < SIM_SLOTS; i++) {
        struct catch_up *c = n->catch_ups[i];
        if (c != NULL && str_is(id, c->id))
            return c;
        if (c == NULL || (c->waiting == NULL && !c->reading && place == NULL))
            place = &n->catch_ups[i];
    }
    if (place == NULL)
        return NULL;
    if (*place != NULL)
        catch_up_free(*place);
    struct catch_up *c = MEM_NEW(struct catch_up);
    snprintf(c->id, sizeof c->id, STR_FMT, STR_ARG(id));
    c->waiting_end = &c->waiting;
    *place = c;
    return c;
}

static void entries_forget(struct catch_up *c) {
    for (size_t i = 0; i < c->count; i++)
        raft_entry_release(c->entries[i]);
    mem_free(c->entries);
    c->entries = NULL;
    c->count = 0;
}

static void catch_up_free(struct catch_up *c) {
    while (c->waiting != NULL) {
        struct held *h = c->waiting;
        c->waiting = h->next;
        held_free(h);
    }
    entries_forget(c);
    mem_free(c);
}

static bool leads_in(const struct node *n, uint64_t term) {
    return raft_get_state(n->raft) == RAFT_LEADER && raft_term(n->raft) == term;
}

/* False: its entries are not here. */
static bool send(struct node *n, struct catch_up *c, struct held *h) {
    struct raft_append *a = &h->message.append;
    if (c->entries == NULL || a->first < c->first || a->first + a->count > c->first + c->count)
        return false;
    h->entries = mem_zalloc(a->count, sizeof *h->entries);
    for (size_t i = 0; i < a->count; i++)
        h->entries[i] = raft_entry_hold(c->entries[a->first - c->first + i]);
    a->entries = h->entries;
    held_send(n, h);
    return true;
}

static void read_more(struct node *n, struct catch_up *c);

static void read_done(struct node *n, struct job *j) {
    struct catch_up *c = j->owner;
    c->reading = false;
    entries_forget(c);
    if (j->ok && j->term == c->term) {
        c->entries = j->entries;
        c->first = j->index;
        c->count = j->count;
        j->entries = NULL;
        j->count = 0;
    }
    while (c->waiting != NULL) {
        struct held *h = c->waiting, *next = h->next;
        bool current = leads_in(n, h->message.append.term);
        if (j->ok && current) {
            if (!send(n, c, h))
                break;
        } else {
            held_drop(n, h);
        }
        c->waiting = next;
    }
    if (c->waiting == NULL)
        c->waiting_end = &c->waiting;
    else
        read_more(n, c);
    job_free(j);
}

static void read_more(struct node *n, struct catch_up *c) {
    const struct raft_append *a = &c->waiting->message.append;
    struct job *j = job_new(JOB_READ);
    j->index = a->first;
    j->needed = a->first + a->count - 1;
    j->last = raft_log_last_index(raft_get_log(n->raft));
    j->term = c->term;
    j->done = read_done;
    j->owner = c;
    c->reading = true;
    disk_submit(n, j);
}

void catch_up_send(struct node *n, struct held *h) {
    const struct raft_append *a = &h->message.append;
    struct catch_up *c = leads_in(n, a->term) ? catch_up_of(n, h->message.peer_id) : NULL;
    if (c == NULL) {
        held_drop(n, h);
        return;
    }
    if (c->term != a->term)
        entries_forget(c);
    c->term = a->term;
    if (c->waiting == NULL && send(n, c, h))
        return;
    h->next = NULL;
    *c->waiting_end = h;
    c->waiting_end = &h->next;
    if (!c->reading)
        read_more(n, c);
}

void catch_up_end(struct node *n) {
    for (int i = 0; i < SIM_SLOTS; i++) {
        if (n->catch_ups[i] != NULL)
            catch_up_free(n->catch_ups[i]);
        n->catch_ups[i] = NULL;
    }
}

/* One server's process: the core and what it says, as server/raft_driver.c does it; its clocks; how
 * it starts from its disk (server/raft_driver_open.c) and how it ends.
 */
#include <errno.h>
#include <stdio.h>

#include "raft/checksum.h"
#include "sim/cluster/sim.h"

#define WAL_DIR "/n/raft/wal"
#define SNAPSHOT_DIR "/n/raft/snapshots"

/* ---- clocks ---- */

int64_t node_clock(const struct node *n) {
    int64_t d = n->sim->now - n->clock_true;
    return n->clock_local + d + d * n->ppm / 1000000;
}

static int64_t true_time(const struct node *n, int64_t local) {
    if (local == INT64_MAX)
        return INT64_MAX;
    int64_t d = local - n->clock_local;
    return n->clock_true + (d > 0 ? d * 1000000 / (1000000 + n->ppm) + 1 : 0);
}

static void set_wake(struct node *n) {
    int64_t at = true_time(n, raft_next_wakeup(n->raft));
    if (at == INT64_MAX)
        sim_cancel(n->sim, &n->wake);
    else if (n->wake.place == 0 || n->wake.at != at)
        sim_at(n->sim, &n->wake, at);
}

void node_clock_set(struct node *n, int64_t jump, int64_t ppm) {
    n->clock_local = node_clock(n) + jump;
    n->clock_true = n->sim->now;
    n->ppm = ppm;
    if (n->up)
        set_wake(n);
}

uint64_t node_below(struct node *n, uint64_t limit) {
    return limit > 0 ? prng_below(&n->prng, limit) : 0;
}

/* ---- who ---- */

/* As gossip would find it: by its ID, else whoever has the address. */
struct node *node_find(struct sim *s, struct str id, struct str address) {
    for (int i = 0; i < SIM_SLOTS; i++) {
        if (s->nodes[i]->used && str_is(id, s->nodes[i]->id))
            return s->nodes[i];
    }
    for (int i = 0; i < SIM_SLOTS; i++) {
        if (s->nodes[i]->used && str_is(address, s->nodes[i]->address))
            return s->nodes[i];
    }
    return NULL;
}

bool node_leads(const struct node *n) {
    return n->up && n->told_leader;
}

/* ---- messages that wait for the disk ---- */

void held_free(struct held *h) {
    if (h->entries != NULL) {
        for (size_t i = 0; i < h->message.append.count; i++)
            raft_entry_release(h->entries[i]);
        mem_free(h->entries);
    }
    blob_release(h->blob);
    arena_free(&h->arena);
    mem_free(h);
}

static struct held *held_new(const struct raft_message *m) {
    struct held *h = MEM_NEW(struct held);
    h->message = *m;
    h->message.peer_id = str_copy(&h->arena, m->peer_id);
    h->message.peer_address = str_copy(&h->arena, m->peer_address);
    if (m->kind == RAFT_VOTE) {
        h->message.vote.candidate = str_copy(&h->arena, m->vote.candidate);
    } else if (m->kind == RAFT_INSTALL) {
        h->message.install.leader = str_copy(&h->arena, m->install.leader);
    } else if (m->kind == RAFT_APPEND) {
        h->message.append.leader = str_copy(&h->arena, m->append.leader);
        size_t count = m->append.count;
        if (m->append.entries != NULL && count > 0) {
            h->entries = mem_zalloc(count, sizeof *h->entries);
            for (size_t i = 0; i < count; i++)
                h->entries[i] = raft_entry_hold(m->append.entries[i]);
        }
        h->message.append.entries = h->entries;
    }
    return h;
}

static void send_failed(struct node *n, struct held *h);

struct failed_send {
    struct sim_event event;
    struct held *held;
};

static void failed_send_drop(struct sim *s, struct sim_event *e) {
    (void)s;
    struct failed_send *f = CONTAINER_OF(e, struct failed_send, event);
    held_free(f->held);
    mem_free(f);
}

static void failed_send_fire(struct sim *s, struct sim_event *e) {
    struct failed_send *f = CONTAINER_OF(e, struct failed_send, event);
    struct raft_event event = {.kind = RAFT_EVENT_SEND_FAILED, .message = &f->held->message};
    node_step(e->node, &event);
    failed_send_drop(s, e);
}

static void send_failed(struct node *n, struct held *h) {
    struct failed_send *f = MEM_NEW(struct failed_send);
    f->held = h;
    f->event.fire = failed_send_fire;
    f->event.drop = failed_send_drop;
    sim_bind(&f->event, n);
    sim_after(n->sim, &f->event, MILLISECOND);
}

/* It will never be sent. */
void held_drop(struct node *n, struct held *h) {
    if (h->message.kind % 2 != 0) {
        network_drop(n->sim, h->message.reply);
        held_free(h);
    } else {
        send_failed(n, h);
    }
}

void held_send(struct node *n, struct held *h) {
    struct blob *blob = NULL;
    if (h->message.kind == RAFT_INSTALL) {
        blob = snapshot_newest(n, &h->message);
        if (blob == NULL) {
            send_failed(n, h);
            return;
        }
    }
    network_send(n->sim, n, &h->message, blob);
    if (h->message.kind == RAFT_INSTALL)
        raft_configuration_release(h->message.install.configuration);
    held_free(h);
}

static void held_go(struct node *n, struct held *h) {
    const struct raft_message *m = &h->message;
    if (m->kind == RAFT_APPEND && m->append.count > 0 && m->append.entries == NULL)
        catch_up_send(n, h);
    else
        held_send(n, h);
}

static void do_send(struct node *n, const struct raft_action *a) {
    struct held *h = held_new(&a->message);
    h->after = a->sequence;
    if (a->message.kind == RAFT_TIMEOUT_NOW) /* from here on somebody else may lead at any time */
        n->doubt_until = n->sim->now + 3 * n->sim->plan.election;
    if (a->sequence == UINT64_MAX) {
        held_drop(n, h);
    } else if (a->sequence > n->persisted) {
        *n->held_end = h;
        n->held_end = &h->next;
    } else {
        held_go(n, h);
    }
}

static void held_run(struct node *n) {
    struct held **link = &n->held;
    struct held *ready = NULL, **ready_end = &ready;
    while (*link != NULL) {
        struct held *h = *link;
        if (h->after > n->persisted) {
            link = &h->next;
            continue;
        }
        *link = h->next;
        h->next = NULL;
        *ready_end = h;
        ready_end = &h->next;
    }
    n->held_end = link;
    while (ready != NULL) {
        struct held *h = ready;
        ready = h->next;
        held_go(n, h);
    }
}

static void held_drop_all(struct node *n) {
    struct held *h = n->held;
    n->held = NULL;
    n->held_end = &n->held;
    while (h != NULL) {
        struct held *next = h->next;
        held_drop(n, h);
        h = next;
    }
}

/* ---- what the core says ---- */

static void do_disk(struct node *n, const struct raft_action *a) {
    static const enum job_kind kinds[] = {
        [RAFT_ACTION_TERM] = JOB_TERM,         [RAFT_ACTION_APPEND] = JOB_ENTRIES,
        [RAFT_ACTION_TRUNCATE] = JOB_TRUNCATE, [RAFT_ACTION_RESET] = JOB_RESET,
        [RAFT_ACTION_COMPACT] = JOB_COMPACT,
    };
    struct job *j = job_new(kinds[a->kind]);
    j->sequence = a->sequence;
    j->index = a->index;
    if (a->kind == RAFT_ACTION_TERM) {
        j->term = a->term.term;
        j->vote_term = a->term.vote_term;
        snprintf(j->vote, sizeof j->vote, STR_FMT, STR_ARG(a->term.vote));
    } else if (a->kind == RAFT_ACTION_APPEND) {
        j->count = a->append.count;
        j->entries = mem_zalloc(j->count, sizeof *j->entries);
        for (size_t i = 0; i < j->count; i++) {
            j->entries[i] = raft_entry_hold(a->append.entries[i]);
            check_appended(n, j->entries[i]);
        }
    } else if (a->kind != RAFT_ACTION_COMPACT) {
        bool reset = a->kind == RAFT_ACTION_RESET;
        check_truncated(n, reset ? a->index + 1 : a->index, reset);
    }
    disk_submit(n, j);
}

static void do_changed(struct node *n, const struct raft_action *a) {
    struct proposal *p = a->token;
    for (struct proposal **link = &n->changing; *link != NULL; link = &(*link)->next) {
        if (*link == p) {
            *link = p->next;
            break;
        }
    }
    if (a->error != RAFT_OK) {
        p->done(n, p, a->error, false);
        return;
    }
    p->index = a->index;
    p->term = raft_term(n->raft);
    waiting_add(n, p);
}

static void do_log(struct node *n, const struct raft_action *a) {
    struct sim *s = n->sim;
    if (!s->trace)
        return;
    char line[400];
    size_t at = (size_t)snprintf(line, sizeof line, "%s: %s", n->id, a->log.text);
    for (size_t i = 0; i < RAFT_LOG_FIELDS && a->log.fields[i].key != NULL && at < 300; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, " %s=" STR_FMT, a->log.fields[i].key,
                               STR_ARG(str_sub(a->log.fields[i].value, 0, 80)));
    sim_trace(s, "%s", line);
}

static void do_action(struct node *n, const struct raft_action *a) {
    switch (a->kind) {
    case RAFT_ACTION_TERM:
    case RAFT_ACTION_APPEND:
    case RAFT_ACTION_TRUNCATE:
    case RAFT_ACTION_RESET:
    case RAFT_ACTION_COMPACT:
        do_disk(n, a);
        break;
    case RAFT_ACTION_SEND:
        do_send(n, a);
        break;
    case RAFT_ACTION_APPLY:
        n->apply_target = a->index;
        break;
    case RAFT_ACTION_COMMIT:
        check_committed(n, a->index);
        break;
    case RAFT_ACTION_STATE:
        break;
    case RAFT_ACTION_FAIL:
        proposals_fail(n, a->index, a->error);
        break;
    case RAFT_ACTION_CHANGED:
        do_changed(n, a);
        break;
    case RAFT_ACTION_VERIFIED:
        call_verified(n, a->token, a->error);
        break;
    case RAFT_ACTION_TRANSFERRED:
        n->sim->totals.transfers += a->error == RAFT_OK;
        break;
    case RAFT_ACTION_INSTALL:
        n->install_taken = true; /* snapshot.c goes on */
        break;
    case RAFT_ACTION_RESTORE:
        restore_action(n, a);
        break;
    case RAFT_ACTION_FORGET:
        n->forgetting = true;
        break;
    case RAFT_ACTION_LOG:
        do_log(n, a);
        break;
    }
}

/* ---- leadership, as the rest of the server knows it ---- */

static void barrier_propose(struct node *n, uint64_t term);

struct barrier_retry {
    struct sim_event event;
    uint64_t term;
};

static void retry_drop(struct sim *s, struct sim_event *e) {
    (void)s;
    mem_free(CONTAINER_OF(e, struct barrier_retry, event));
}

static void retry_fire(struct sim *s, struct sim_event *e) {
    uint64_t term = CONTAINER_OF(e, struct barrier_retry, event)->term;
    struct node *n = e->node;
    retry_drop(s, e);
    if (n->told_leader && n->told_term == term)
        barrier_propose(n, term);
}

/* Refused for a moment (a transfer, a restore): once more, later. */
static void barrier_done(struct node *n, struct proposal *p, enum raft_error error, bool yes) {
    (void)yes;
    uint64_t term = (uint64_t)(uintptr_t)p->owner;
    mem_free(p);
    if (!n->told_leader || n->told_term != term)
        return;
    if (error == RAFT_OK) {
        n->ready = true;
        return;
    }
    struct barrier_retry *r = MEM_NEW(struct barrier_retry);
    r->term = term;
    r->event.fire = retry_fire;
    r->event.drop = retry_drop;
    sim_bind(&r->event, n);
    sim_after(n->sim, &r->event, 100 * MILLISECOND);
}

static void barrier_propose(struct node *n, uint64_t term) {
    struct proposal *p = MEM_NEW(struct proposal);
    *p = (struct proposal){
        .kind = PROPOSAL_BARRIER, .done = barrier_done, .owner = (void *)(uintptr_t)term};
    propose(n, p);
}

static void tell_leadership(struct node *n) {
    bool leader = raft_get_state(n->raft) == RAFT_LEADER;
    uint64_t term = raft_term(n->raft);
    if (n->told_leader && (!leader || term != n->told_term))
        n->told_leader = n->ready = false;
    if (!leader || n->told_leader)
        return;
    n->told_leader = true;
    n->told_term = term;
    n->sim->totals.elections++;
    check_became_leader(n);
    barrier_propose(n, term);
}

/* ---- the loop ---- */

void node_step(struct node *n, struct raft_event *event) {
    ASSERT(n->up && !n->stepping);
    n->stepping = true;
    event->now = node_clock(n);
    n->last_before = raft_get_log(n->raft)->last;
    raft_step(n->raft, event, &n->actions);
    if (event->kind == RAFT_EVENT_PROPOSE && event->error == RAFT_OK) {
        uint64_t index = event->index;
        while (n->queued != NULL && n->queued->index != 0) { /* those that were in the event */
            struct proposal *p = n->queued;
            n->queued = p->next;
            if (n->queued == NULL)
                n->queued_end = &n->queued;
            p->index = index++;
            p->term = event->term;
            waiting_add(n, p);
        }
    }
    for (size_t i = 0; i < n->actions.len; i++)
        do_action(n, &n->actions.items[i]);
    raft_actions_clear(&n->actions);
    n->stepping = false;
    if (n->paused_until != 0 && n->sim->now >= n->paused_until)
        n->paused_until = 0;
    tell_leadership(n);
    check_step(n);
    set_wake(n);
    node_soon(n);
}

static void wake_fire(struct sim *s, struct sim_event *e) {
    (void)s;
    struct raft_event event = {.kind = RAFT_EVENT_TICK};
    node_step(e->node, &event);
}

static void round_fire(struct sim *s, struct sim_event *e) {
    (void)s;
    struct node *n = e->node;
    restored_tick(n);
    propose_queued(n);
    apply_some(n);
    snapshot_tick(n);
    if (apply_may(n))
        node_soon(n);
}

void node_soon(struct node *n) {
    if (n->round.place == 0 && n->up)
        sim_after(n->sim, &n->round, sim_delay(n->sim, n->sim->plan.apply_delay));
}

void node_persisted(struct node *n, uint64_t sequence) {
    n->persisted = sequence;
    struct raft_event event = {.kind = RAFT_EVENT_PERSISTED, .sequence = sequence};
    node_step(n, &event);
    held_run(n);
}

struct dying {
    struct sim_event event;
};

static void die_drop(struct sim *s, struct sim_event *e) {
    (void)s;
    mem_free(CONTAINER_OF(e, struct dying, event));
}

static void die_fire(struct sim *s, struct sim_event *e) {
    struct node *n = e->node;
    die_drop(s, e);
    node_crash(n, false, false);
    node_restart_later(n, SECOND + sim_delay(s, 5 * SECOND));
}

void node_fatal(struct node *n, const char *why) {
    SIM_TRACE(n->sim, "%s ends: %s", n->id, why);
    n->raft_broken = true;
    struct dying *d = MEM_NEW(struct dying);
    d->event.fire = die_fire;
    d->event.drop = die_drop;
    sim_bind(&d->event, n);
    sim_after(n->sim, &d->event, 0);
}

void node_persist_failed(struct node *n, bool for_good) {
    if (for_good) {
        node_fatal(n, "a sync failed");
        return;
    }
    disk_resume(n);
    struct raft_event event = {.kind = RAFT_EVENT_PERSIST_FAILED};
    held_drop_all(n);
    node_step(n, &event);
}

/* ---- starting ---- */

struct recovery {
    struct node *n;
    struct arena arena;
    struct error error;
    struct snapshot_meta *metas;
    size_t meta_count, skipped, newest;
    struct raft_run *runs;
    size_t run_count;
    uint64_t failures; /* of the disk, before */
};

static bool make_dirs(struct recovery *r) {
    struct disk_io *io = &r->n->io;
    static const char *const dirs[] = {"/n", "/n/raft", WAL_DIR};
    for (size_t i = 0; i < COUNT_OF(dirs); i++) {
        int code = io->mkdir(io->owner, dirs[i]);
        if (code < 0 && code != -EEXIST)
            return error_set(&r->error, ERROR_IO, "cannot make %s", dirs[i]);
    }
    return io->sync_dir(io->owner, "/n") >= 0 ||
           error_set(&r->error, ERROR_IO, "cannot sync the directories");
}

static bool open_logs(struct recovery *r) {
    struct node *n = r->n;
    if (!make_dirs(r))
        return false;
    n->snapshots = snapshots_open(&n->io, SNAPSHOT_DIR, &r->error);
    if (n->snapshots == NULL ||
        !snapshots_list(n->snapshots, &r->metas, &r->meta_count, &r->skipped, &r->arena, &r->error))
        return false;
    struct wal_options options = {.directory = WAL_DIR,
                                  .segment_bytes = n->sim->plan.segment_bytes,
                                  .seed = prng_next(&n->prng)};
    n->wal = wal_open(&n->io, &options, &r->error);
    if (n->wal != NULL && !wal_has_state(n->wal) && r->meta_count + r->skipped > 0)
        return error_set(&r->error, ERROR_IO, "there are snapshots but no log");
    return n->wal != NULL;
}

static bool term_in_log(const struct recovery *r, uint64_t index, uint64_t *term) {
    const struct wal *w = r->n->wal;
    if (index < wal_first(w) || index > wal_last(w))
        return false;
    for (size_t i = r->run_count; i-- > 0;) {
        if (r->runs[i].first <= index) {
            *term = r->runs[i].term;
            return true;
        }
    }
    return false;
}

static bool log_continues(const struct recovery *r, uint64_t index, uint64_t index_term) {
    uint64_t term;
    if (term_in_log(r, index, &term))
        return term == index_term;
    return index + 1 == wal_first(r->n->wal) && index <= wal_last(r->n->wal);
}

/* The newest snapshot that the log continues counts. What is newer was being taken over when the
 * process ended, or is of a history that never was. Without any the newest one counts, and the log
 * is emptied; but not where it reaches back to the beginning. */
static void choose_snapshot(struct recovery *r) {
    size_t drop = 0;
    while (drop < r->meta_count && !log_continues(r, r->metas[drop].index, r->metas[drop].term))
        drop++;
    bool whole = wal_first(r->n->wal) == 1 && wal_last(r->n->wal) > 0;
    if (drop == r->meta_count && !whole)
        return;
    for (size_t i = 0; i < drop; i++) {
        struct error ignored = ERROR_IN(&r->arena);
        (void)snapshots_remove(r->n->snapshots, r->metas[i].id, &ignored);
        snapshot_meta_free(&r->metas[i]);
    }
    r->meta_count -= drop;
    memmove(r->metas, r->metas + drop, r->meta_count * sizeof *r->metas);
}

static bool machine_is_usable(const struct recovery *r) {
    uint64_t term, applied = machine_applied(r->n->machine, &term), in_log;
    if (r->meta_count > 0) {
        const struct snapshot_meta *newest = &r->metas[0];
        if (applied < newest->index)
            return false;
        if (applied == newest->index)
            return term == newest->term;
    }
    if (applied == 0)
        return wal_first(r->n->wal) == 1;
    return term_in_log(r, applied, &in_log) && in_log == term;
}

static bool log_reaches(struct recovery *r) {
    uint64_t applied = machine_applied(r->n->machine, NULL), last = wal_last(r->n->wal);
    if (applied <= last || (r->meta_count > 0 && applied <= r->metas[0].index))
        return true;
    sim_fail(r->n->sim, "%s: the log ends at %llu, but %llu was applied", r->n->id,
             (unsigned long long)last, (unsigned long long)applied);
}

static bool read_all(struct node *n, int handle, struct buf *out) {
    int64_t size = n->io.size(n->io.owner, handle);
    if (size < 0)
        return false;
    char *room = buf_reserve(out, (size_t)size);
    int64_t got = n->io.pread(n->io.owner, handle, room, (size_t)size, 0);
    out->len = got > 0 ? (size_t)got : 0;
    return got == size;
}

static bool restore_from(struct recovery *r, const struct snapshot_meta *meta) {
    struct node *n = r->n;
    int handle = snapshots_open_state(n->snapshots, meta->id, &r->error);
    if (handle < 0)
        return false;
    struct buf state = BUF_INIT;
    struct watch_touched *touched = NULL;
    char why[200] = "it cannot be read";
    bool ok = read_all(n, handle, &state) &&
              (!meta->has_crc || crc64_ecma(0, state.data, state.len) == meta->crc) &&
              machine_restore(n->machine, buf_str(&state), meta->index, meta->term, &touched, why);
    n->io.close(n->io.owner, handle);
    buf_free(&state);
    watch_touched_release(touched);
    return ok || error_set(&r->error, ERROR_IO, "snapshot: %s", why);
}

static bool machine_rebuild(struct recovery *r) {
    if (machine_applied(r->n->machine, NULL) > 0)
        machine_clear(r->n->machine);
    for (r->newest = 0; r->newest < r->meta_count; r->newest++) {
        error_clear(&r->error);
        if (restore_from(r, &r->metas[r->newest]))
            return true;
    }
    if (r->meta_count + r->skipped > 0)
        return error_set(&r->error, ERROR_IO, "no snapshot can be loaded");
    return true;
}

static bool log_align(struct recovery *r) {
    struct wal *w = r->n->wal;
    if (r->newest == r->meta_count)
        return wal_first(w) == 1 ||
               error_set(&r->error, ERROR_IO, "the log starts at %llu and there is no snapshot",
                         (unsigned long long)wal_first(w));
    const struct snapshot_meta *meta = &r->metas[r->newest];
    if (log_continues(r, meta->index, meta->term))
        return true;
    if (wal_first(w) > meta->index + 1)
        return error_set(&r->error, ERROR_IO, "the log starts at %llu, the snapshot ends at %llu",
                         (unsigned long long)wal_first(w), (unsigned long long)meta->index);
    wal_put_reset(w, meta->index);
    return wal_commit(w, &r->error);
}

static bool read_configurations(struct recovery *r, struct raft_initial *in) {
    struct wal *w = r->n->wal;
    uint64_t *indexes;
    size_t count = wal_configurations(w, &indexes);
    struct raft_entry **entries = ARENA_ARRAY(&r->arena, struct raft_entry *, count + 1);
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        size_t got;
        if (indexes[i] <= in->snapshot_index)
            continue;
        ok = wal_read(w, indexes[i], indexes[i], 1, &entries[in->configuration_count], &got,
                      &r->error);
        in->configuration_count += ok ? got : 0;
    }
    mem_free(indexes);
    in->configurations = entries;
    return ok;
}

static struct raft_options core_options(struct node *n) {
    const struct plan *p = &n->sim->plan;
    return (struct raft_options){
        .id = str_from(n->id),
        .address = str_from(n->address),
        .protocol = 3,
        .heartbeat_timeout = p->heartbeat,
        .election_timeout = p->election,
        .lease_timeout = p->lease,
        .commit_timeout = p->commit,
        .rpc_timeout = p->rpc_timeout,
        .max_append = p->max_append,
        .max_in_flight = p->max_in_flight,
        .trailing_logs = p->trailing_logs,
        .cache_entries = p->cache_entries,
        .cache_bytes = 1 << 20,
        .seed = prng_next(&n->prng),
    };
}

static bool make_core(struct recovery *r) {
    struct node *n = r->n;
    struct raft_initial in = {.now = node_clock(n),
                              .term = wal_term(n->wal),
                              .vote_term = wal_vote_term(n->wal),
                              .vote = wal_vote(n->wal),
                              .first = wal_first(n->wal),
                              .last = wal_last(n->wal),
                              .applied = machine_applied(n->machine, NULL)};
    if (r->newest < r->meta_count) {
        const struct snapshot_meta *meta = &r->metas[r->newest];
        in.snapshot_index = meta->index;
        in.snapshot_term = meta->term;
        in.snapshot_configuration = meta->configuration;
        in.snapshot_configuration_index = meta->configuration_index;
        if (in.term < meta->term)
            in.term = meta->term;
    }
    mem_free(r->runs);
    in.run_count = r->run_count = wal_runs(n->wal, &r->runs);
    in.runs = r->runs;
    bool ok = read_configurations(r, &in);
    if (ok) {
        struct raft_options options = core_options(n);
        n->raft = raft_new(&options, &in, &r->error);
        ok = n->raft != NULL;
    }
    for (size_t i = 0; i < in.configuration_count; i++)
        raft_entry_release(in.configurations[i]);
    n->snapshot_index = in.snapshot_index;
    n->snapshot_term = in.snapshot_term;
    return ok;
}

static bool recover(struct recovery *r) {
    struct node *n = r->n;
    if (!open_logs(r))
        return false;
    r->run_count = wal_runs(n->wal, &r->runs);
    r->newest = 0;
    if (!log_reaches(r))
        return false;
    choose_snapshot(r);
    if (!machine_is_usable(r) && !machine_rebuild(r))
        return false;
    return log_align(r) && make_core(r);
}

static void process_reset(struct node *n) {
    n->jobs_end = &n->jobs;
    n->held_end = &n->held;
    n->queued_end = &n->queued;
    n->waiting_end = &n->waiting;
    n->io_end = &n->io_queue;
    n->submit_epoch = 1;
    n->epoch = n->failed_epoch = 0;
    n->disk_sequence = n->persisted = 0;
    n->command_index = n->command_term = 0;
    n->forgetting = false;
    n->reading = n->told_leader = n->ready = n->raft_broken = n->snapshot_wanted = false;
    n->apply_target = n->applied = machine_applied(n->machine, &n->applied_term);
    n->paused_until = 0;
    n->doubt_until = 0;
}

static void files_close(struct node *n) {
    wal_close(n->wal);
    snapshots_close(n->snapshots);
    n->wal = NULL;
    n->snapshots = NULL;
}

/* A start that fails must have a reason among the faults, and may fail in the middle. */
static bool start_failed(struct recovery *r) {
    struct node *n = r->n;
    SIM_TRACE(n->sim, "%s does not start: " STR_FMT, n->id, STR_ARG(r->error.text));
    if (n->disk->failures == r->failures)
        sim_fail(n->sim, "%s does not start: " STR_FMT, n->id, STR_ARG(r->error.text));
    files_close(n);
    n->start_failures++;
    return false;
}

bool node_start(struct node *n) {
    ASSERT(!n->up && n->used);
    uint64_t failures = n->disk->failures;
    struct recovery r = {.n = n, .failures = failures};
    r.error = ERROR_IN(&r.arena);
    bool ok = recover(&r) || start_failed(&r);
    for (size_t i = 0; i < r.meta_count; i++)
        snapshot_meta_free(&r.metas[i]);
    mem_free(r.runs);
    arena_free(&r.arena);
    if (!ok)
        return false;
    process_reset(n);
    n->up = true;
    n->incarnation++;
    n->registry = watch_registry_new();
    sim_bind(&n->wake, n);
    sim_bind(&n->round, n);
    sim_bind(&n->snapshot_timer, n);
    sim_bind(&n->disk_event, n);
    sim_bind(&n->io_event, n);
    snapshot_timer_set(n);
    n->sim->totals.starts++;
    SIM_TRACE(n->sim, "%s starts: log %llu..%llu, snapshot %llu, applied %llu, term %llu", n->id,
              (unsigned long long)wal_first(n->wal), (unsigned long long)wal_last(n->wal),
              (unsigned long long)n->snapshot_index, (unsigned long long)n->applied,
              (unsigned long long)raft_term(n->raft));
    check_log_opened(n, n->disk->failures != failures);
    sim_note(n->sim, (uint64_t)n->slot);
    set_wake(n);
    return true;
}

/* ---- ending ---- */

void node_crash(struct node *n, bool power, bool torn) {
    struct sim *s = n->sim;
    if (n->up) {
        SIM_TRACE(s, "%s ends%s%s", n->id, power ? " without power" : "", torn ? ", torn" : "");
        network_node_down(s, n);
        held_drop_all(n);
        proposals_forget(n);
        catch_up_end(n);
        disk_end(n, torn);
        snapshot_forget(n, torn);
        waiters_node_down(n);
        while (n->io_queue != NULL) {
            struct io_item *i = n->io_queue;
            n->io_queue = i->next;
            watch_touched_release(i->touched);
            mem_free(i);
        }
        watch_registry_free(n->registry);
        n->registry = NULL;
        sim_cancel(s, &n->wake);
        sim_cancel(s, &n->round);
        sim_cancel(s, &n->snapshot_timer);
        sim_cancel(s, &n->io_event);
        raft_free(n->raft);
        raft_actions_free(&n->actions);
        n->raft = NULL;
        n->up = false;
        n->told_leader = n->ready = false;
        n->incarnation++;
        n->paused_until = 0;
        files_close(n);
    }
    if (power) {
        sim_disk_cut_power(n->disk);
        machine_clear(n->machine);
    }
    sim_note(s, (uint64_t)n->slot + 100);
}

struct restart {
    struct sim_event event;
    struct node *of;
};

static void restart_fire(struct sim *s, struct sim_event *e) {
    struct restart *r = CONTAINER_OF(e, struct restart, event);
    struct node *n = r->of;
    bool again = !n->up && n->used && !node_start(n);
    mem_free(r);
    if (again)
        node_restart_later(n, SECOND + sim_delay(s, 2 * SECOND));
}

void node_restart_later(struct node *n, int64_t delay) {
    struct sim *s = n->sim;
    struct restart *r = MEM_NEW(struct restart);
    r->of = n;
    r->event.fire = restart_fire;
    sim_after(s, &r->event, delay);
}

/* It was busy with applying something: the driver says so before anything else, and a leader goes
 * on for a little while without having heard of anybody. */
static void stall_fire(struct sim *s, struct sim_event *e) {
    struct node *n = e->node;
    die_drop(s, e);
    n->doubt_until = s->now + s->plan.lease;
    struct raft_event event = {.kind = RAFT_EVENT_STALLED};
    node_step(n, &event);
}

void node_pause(struct node *n, int64_t duration) {
    struct sim *s = n->sim;
    if (!n->up || n->paused_until != 0)
        return;
    n->paused_until = s->now + duration;
    if (!sim_chance(s, 2))
        return;
    struct dying *d = MEM_NEW(struct dying);
    d->event.fire = stall_fire;
    d->event.drop = die_drop;
    sim_bind(&d->event, n);
    sim_at(s, &d->event, n->paused_until);
}

/* ---- identities ---- */

void node_identify(struct node *n) {
    struct sim *s = n->sim;
    ASSERT(!n->up);
    if (n->disk != NULL)
        sim_disk_free(n->disk);
    n->disk = sim_disk_new(prng_next(&s->prng));
    n->io = sim_disk_io(n->disk);
    machine_clear(n->machine);
    mem_free(n->durable.terms);
    n->durable = (struct durable){.first = 1, .void_from = UINT64_MAX};
    n->identity = ++s->identities;
    n->used = true;
    n->removed = false;
    snprintf(n->id, sizeof n->id, "s%u-%u", (unsigned)n->slot + 1, n->identity);
    snprintf(n->address, sizeof n->address, "10.0.%u.%u:8300", n->identity / 250,
             n->identity % 250 + 1);
    prng_seed(&n->prng, prng_next(&s->prng));
}

void node_init(struct sim *s, int slot) {
    struct node *n = MEM_NEW(struct node);
    s->nodes[slot] = n;
    n->sim = s;
    n->slot = slot;
    n->clock_local = SECOND + (int64_t)sim_below(s, 1000 * SECOND);
    n->clock_true = s->now;
    n->machine = machine_new(s->plan.real_store);
    n->actions = RAFT_ACTIONS_INIT;
    n->wake.fire = wake_fire;
    n->round.fire = round_fire;
    n->jobs_end = &n->jobs;
    n->held_end = &n->held;
    n->queued_end = &n->queued;
    n->waiting_end = &n->waiting;
    n->io_end = &n->io_queue;
}

void node_free(struct node *n) {
    node_crash(n, false, false);
    if (n->disk != NULL)
        sim_disk_free(n->disk);
    machine_free(n->machine);
    mem_free(n->durable.terms);
    mem_free(n);
}

/* The disk thread (server/raft_disk.c) on virtual time: it takes all that waits, works on it for a
 * while, and commits it as one batch on the simulated disk; results come to the core in order, a
 * little later.
 */
#include "sim/cluster/sim.h"

#define READ_BYTES ((size_t)64 << 10)
#define READ_ENTRIES ((size_t)1024)

struct report {
    struct sim_event event;
    uint64_t sequence;
    bool failed, for_good;
    struct job *job; /* to be given back; NULL: about a commit */
};

struct job *job_new(enum job_kind kind) {
    struct job *j = MEM_NEW(struct job);
    j->kind = kind;
    return j;
}

void job_free(struct job *j) {
    for (size_t i = 0; i < j->count; i++)
        raft_entry_release(j->entries[i]);
    mem_free(j->entries);
    mem_free(j);
}

/* ---- reports ---- */

static void report_drop(struct sim *s, struct sim_event *e) {
    (void)s;
    struct report *r = CONTAINER_OF(e, struct report, event);
    if (r->job != NULL) {
        if (r->job->forget != NULL)
            r->job->forget(e->node, r->job);
        job_free(r->job);
    }
    mem_free(r);
}

static void report_fire(struct sim *s, struct sim_event *e) {
    (void)s;
    struct report r = *CONTAINER_OF(e, struct report, event);
    struct node *n = e->node;
    mem_free(CONTAINER_OF(e, struct report, event));
    if (r.job != NULL)
        r.job->done(n, r.job);
    else if (r.failed)
        node_persist_failed(n, r.for_good);
    else
        node_persisted(n, r.sequence);
}

static void report(struct node *n, struct report *r) {
    struct sim *s = n->sim;
    int64_t at = s->now + sim_delay(s, 200 * MICROSECOND);
    if (at <= n->report_due)
        at = n->report_due + 1;
    n->report_due = at;
    r->event.fire = report_fire;
    r->event.drop = report_drop;
    sim_bind(&r->event, n);
    sim_at(s, &r->event, at);
}

static void report_commit(struct node *n, bool failed, bool lost) {
    struct report *r = MEM_NEW(struct report);
    r->sequence = n->disk_sequence;
    r->failed = failed;
    r->for_good = failed && (lost || wal_is_broken(n->wal));
    report(n, r);
}

static void give_back(struct node *n, struct job *j) {
    struct report *r = MEM_NEW(struct report);
    r->job = j;
    report(n, r);
}

/* ---- work ---- */

/* Jobs in the batch, kept until it is committed. */
struct batch {
    struct job *jobs, **end;
};

static void batch_free(struct batch *b) {
    while (b->jobs != NULL) {
        struct job *j = b->jobs;
        b->jobs = j->next;
        job_free(j);
    }
    b->end = &b->jobs;
}

/* From the moment of writing on nobody knows whether what a batch makes void is still there. */
static void note_void(struct node *n, const struct job *jobs) {
    for (const struct job *j = jobs; j != NULL; j = j->next) {
        uint64_t from = j->kind == JOB_TRUNCATE  ? j->index
                        : j->kind == JOB_RESET   ? 0
                        : j->kind == JOB_ENTRIES ? j->entries[0]->index
                                                 : UINT64_MAX;
        if (from < n->durable.void_from)
            n->durable.void_from = from;
    }
}

/* Snapshots of a history that never was go with the log; without that nothing can go on. */
static bool reset_snapshots(struct node *n, const struct job *jobs, struct error *e) {
    for (const struct job *j = jobs; j != NULL; j = j->next) {
        if (j->kind != JOB_RESET)
            continue;
        n->durable.snapshot_index = 0; /* what is newer may go */
        check_snapshot_durable(n, j->index, n->snapshot_term);
        if (!snapshots_remove_others(n->snapshots, j->index, e) || !snapshots_reap(n->snapshots, e))
            return false;
    }
    return true;
}

static void commit(struct node *n, struct batch *b) {
    if (wal_batch_bytes(n->wal) == 0)
        return;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    note_void(n, b->jobs);
    bool ok = wal_commit(n->wal, &e), lost = ok && !reset_snapshots(n, b->jobs, &e);
    SIM_TRACE(n->sim, "%s disk: committed up to %llu%s" STR_FMT, n->id,
              (unsigned long long)n->disk_sequence, ok ? "" : " failed: ", STR_ARG(e.text));
    arena_free(&arena);
    if (ok)
        check_log_written(n, b->jobs);
    if (!ok || lost)
        n->failed_epoch = n->epoch;
    batch_free(b);
    report_commit(n, !ok || lost, lost);
}

static void put(struct node *n, const struct job *j) {
    switch (j->kind) {
    case JOB_ENTRIES:
        for (size_t i = 0; i < j->count; i++)
            wal_put_entry(n->wal, j->entries[i]);
        break;
    case JOB_TERM:
        wal_put_term(n->wal, j->term, j->vote_term, str_from(j->vote));
        break;
    case JOB_TRUNCATE:
        wal_put_truncate(n->wal, j->index);
        break;
    default:
        wal_put_reset(n->wal, j->index);
        break;
    }
    n->disk_sequence = j->sequence;
}

static void read_entries(struct node *n, struct job *j) {
    struct wal *w = n->wal;
    uint64_t last = j->last < wal_last(w) ? j->last : wal_last(w);
    j->ok = false;
    if (j->index < wal_first(w) || j->index > last)
        return;
    if (last - j->index >= READ_ENTRIES)
        last = j->index + READ_ENTRIES - 1;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    j->entries = mem_zalloc((size_t)(last - j->index + 1), sizeof *j->entries);
    uint64_t failures = n->disk->failures;
    uint64_t needed = j->needed < last ? j->needed : last;
    j->ok = needed < j->index || wal_read(w, j->index, needed, SIZE_MAX, j->entries, &j->count, &e);
    size_t more = 0;
    if (j->ok && j->index + j->count <= last)
        j->ok =
            wal_read(w, j->index + j->count, last, READ_BYTES, j->entries + j->count, &more, &e);
    j->count += more;
    if (!j->ok && n->disk->failures == failures && n->disk->crash_at == 0)
        sim_fail(n->sim, "%s cannot read its log: " STR_FMT, n->id, STR_ARG(e.text));
    arena_free(&arena);
}

static void compact(struct node *n, uint64_t index) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    (void)wal_compact(n->wal, index, &e);
    arena_free(&arena);
    n->durable.first = wal_first(n->wal);
}

static void run_job(struct node *n, struct job *j, struct batch *b) {
    if (j->kind <= JOB_RESET) {
        if (n->failed_epoch == j->epoch) {
            job_free(j);
            return;
        }
        n->epoch = j->epoch;
        put(n, j);
        *b->end = j;
        b->end = &j->next;
        return;
    }
    commit(n, b);
    if (j->kind == JOB_COMPACT) {
        compact(n, j->index);
        job_free(j);
        return;
    }
    if (j->kind == JOB_READ)
        read_entries(n, j);
    else
        j->ok = j->call(n, j);
    give_back(n, j);
}

static void run_all(struct node *n) {
    struct batch b = {NULL, NULL};
    b.end = &b.jobs;
    struct job *j = n->working;
    n->working = NULL;
    while (j != NULL) {
        struct job *next = j->next;
        j->next = NULL;
        run_job(n, j, &b);
        j = next;
    }
    commit(n, &b);
    batch_free(&b);
}

static void begin(struct node *n) {
    if (n->working != NULL || n->jobs == NULL)
        return;
    n->working = n->jobs;
    n->jobs = NULL;
    n->jobs_end = &n->jobs;
    struct sim *s = n->sim;
    sim_after(s, &n->disk_event,
              sim_delay(s, s->plan.disk_latency) +
                  (n->disk_slow > 0 ? sim_delay(s, n->disk_slow) : 0));
}

static void disk_fire(struct sim *s, struct sim_event *e) {
    struct node *n = e->node;
    run_all(n);
    if (n->jobs != NULL)
        begin(n);
    else if (sim_chance(s, 2))
        wal_prepare(n->wal, 4096);
}

void disk_submit(struct node *n, struct job *j) {
    j->epoch = n->submit_epoch;
    *n->jobs_end = j;
    n->jobs_end = &j->next;
    n->disk_event.fire = disk_fire;
    begin(n);
}

void disk_resume(struct node *n) {
    n->submit_epoch++;
}

/* ---- the end ---- */

static void forget_list(struct node *n, struct job *j) {
    while (j != NULL) {
        struct job *next = j->next;
        if (j->forget != NULL)
            j->forget(n, j);
        job_free(j);
        j = next;
    }
}

/* The batch under way has not begun, or got somewhere; what it reports is for nobody. */
void disk_end(struct node *n, bool torn) {
    struct sim *s = n->sim;
    sim_cancel(s, &n->disk_event);
    if (torn && n->working != NULL) {
        sim_fault(s, FAULT_TORN);
        n->disk->crash_at = n->disk->calls + 1 + sim_below(s, 6);
        run_all(n);
    }
    n->disk->crash_at = 0;
    forget_list(n, n->working);
    forget_list(n, n->jobs);
    n->working = n->jobs = NULL;
    n->jobs_end = &n->jobs;
}

/* The disk thread's loop: take everything, write, sync, tell. */
#include "server/raft_disk.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "base/time.h"

#define COMMIT_BYTES ((size_t)8 << 20) /* a batch is committed when it has grown to this */
#define READ_BYTES ((size_t)4 << 20)
#define READ_ENTRIES ((size_t)16384)
#define PREPARE_BYTES ((size_t)256 << 10)
#define CROWD 4 /* entries in one commit: from then on it pays to wait for company */
#define REST_MAX (300 * MICROSECOND)
#define GREAT_CROWD 16 /* they keep the processor busy meanwhile: it pays to wait for longer */
#define GREAT_FACTOR 4

struct raft_disk {
    struct wal *wal;
    struct loop *core;
    struct raft_disk_callbacks callbacks;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all up to `stopping` */
    pthread_cond_t wake;
    struct raft_disk_job *first, **end;
    size_t queued; /* entries in the jobs */
    size_t wanted; /* the disk thread rests until so many are queued; 0: it does not rest */
    bool urgent;   /* among the jobs is one that waits for nobody */
    bool stopping;
    unsigned submit_epoch; /* core thread: grows with each raft_disk_resume; from 1 */
    /* The disk thread's: */
    unsigned epoch;        /* of the newest job */
    unsigned failed_epoch; /* jobs of this epoch are dropped; 0: none */
    uint64_t sequence;     /* of the newest job in the batch */
    size_t batch;          /* entries in the batch */
    bool reset;            /* in the batch is a RESET, to reset_index */
    uint64_t reset_index;
    size_t last_batch; /* entries in the one before, and how long its commit took */
    int64_t last_took;
    _Atomic bool stopped; /* results that arrive from now on are for nobody */
    _Atomic unsigned on_their_way;
};

struct report {
    struct message message;
    struct raft_disk *disk;
    uint64_t sequence;
    bool failed, for_good;
    struct arena arena;
    struct error error;
};

struct raft_disk_job *raft_disk_job_new(enum raft_disk_kind kind) {
    struct raft_disk_job *job = MEM_NEW(struct raft_disk_job);
    job->kind = kind;
    job->arena = ARENA_INIT;
    return job;
}

void raft_disk_job_free(struct raft_disk_job *job) {
    for (size_t i = 0; i < job->count; i++)
        raft_entry_release(job->entries[i]);
    mem_free(job->entries);
    arena_free(&job->arena);
    mem_free(job);
}

/* ---- reports to the core ---- */

static void report_run(struct message *m) {
    struct report *r = CONTAINER_OF(m, struct report, message);
    struct raft_disk *d = r->disk;
    if (!atomic_load(&d->stopped)) {
        if (r->failed)
            d->callbacks.failed(d->callbacks.owner, &r->error, r->for_good);
        else
            d->callbacks.persisted(d->callbacks.owner, r->sequence);
    }
    arena_free(&r->arena);
    mem_free(r);
    if (atomic_fetch_sub(&d->on_their_way, 1) == 1 && atomic_load(&d->stopped))
        mem_free(d);
}

static void report(struct raft_disk *d, bool failed, bool for_good, const struct error *e) {
    struct report *r = MEM_NEW(struct report);
    r->disk = d;
    r->sequence = d->sequence;
    r->failed = failed;
    r->for_good = for_good;
    r->arena = ARENA_INIT;
    r->error = ERROR_IN(&r->arena);
    if (failed)
        error_copy(&r->error, e);
    r->message.run = report_run;
    atomic_fetch_add(&d->on_their_way, 1);
    loop_post_reply(d->core, &r->message);
}

static void job_done_run(struct message *m) {
    struct raft_disk_job *job = CONTAINER_OF(m, struct raft_disk_job, message);
    job->done(job);
}

static void give_back(struct raft_disk *d, struct raft_disk_job *job) {
    job->message.run = job_done_run;
    loop_post_reply(d->core, &job->message);
}

/* ---- work ---- */

static void commit(struct raft_disk *d) {
    if (wal_batch_bytes(d->wal) == 0)
        return;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    int64_t began = time_now_monotonic();
    bool ok = wal_commit(d->wal, &e);
    d->last_took = time_now_monotonic() - began;
    d->last_batch = d->batch;
    d->batch = 0;
    bool lost = ok && d->reset && d->callbacks.reset != NULL &&
                !d->callbacks.reset(d->callbacks.owner, d->reset_index, &e);
    d->reset = false;
    if (ok && !lost) {
        report(d, false, false, NULL);
    } else {
        d->failed_epoch = d->epoch;
        report(d, true, lost || wal_is_broken(d->wal), &e);
    }
    arena_free(&arena);
}

static void put(struct raft_disk *d, const struct raft_disk_job *job) {
    switch (job->kind) {
    case RAFT_DISK_ENTRIES:
        for (size_t i = 0; i < job->count; i++)
            wal_put_entry(d->wal, job->entries[i]);
        d->batch += job->count;
        break;
    case RAFT_DISK_TERM:
        wal_put_term(d->wal, job->term, job->vote_term, str_of(job->vote, job->vote_len));
        break;
    case RAFT_DISK_TRUNCATE:
        wal_put_truncate(d->wal, job->index);
        break;
    default:
        wal_put_reset(d->wal, job->index);
        d->reset = true;
        d->reset_index = job->index;
        break;
    }
    d->sequence = job->sequence;
}

static void read_entries(struct raft_disk *d, struct raft_disk_job *job) {
    uint64_t last = job->last;
    job->error = ERROR_IN(&job->arena);
    if (job->index < wal_first(d->wal) || job->index > wal_last(d->wal) || last < job->index) {
        job->ok = error_set(&job->error, ERROR_INTERNAL, "log not found");
        return;
    }
    if (last > wal_last(d->wal))
        last = wal_last(d->wal);
    if (last - job->index >= READ_ENTRIES)
        last = job->index + READ_ENTRIES - 1;
    job->entries = mem_zalloc((size_t)(last - job->index + 1), sizeof *job->entries);
    uint64_t needed = job->needed < last ? job->needed : last;
    job->ok = true;
    if (needed >= job->index)
        job->ok =
            wal_read(d->wal, job->index, needed, SIZE_MAX, job->entries, &job->count, &job->error);
    uint64_t next = job->index + job->count;
    size_t more = 0;
    if (job->ok && next <= last)
        job->ok =
            wal_read(d->wal, next, last, READ_BYTES, job->entries + job->count, &more, &job->error);
    job->count += more;
}

/* A failed compaction leaves too much on disk, which the next one removes. */
static void compact(struct raft_disk *d, uint64_t index) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    int64_t began = time_now_monotonic();
    if (!wal_compact(d->wal, index, &e))
        log_at(LOG_WARN, "agent.server.raft", "failed to compact the log", LOG_S("error", e.text));
    metric_since("raft.compactLogs", began);
    arena_free(&arena);
}

static void run_job(struct raft_disk *d, struct raft_disk_job *job) {
    if (job->kind <= RAFT_DISK_RESET) {
        if (d->failed_epoch != job->epoch) {
            d->epoch = job->epoch;
            put(d, job);
        }
        raft_disk_job_free(job);
        if (wal_batch_bytes(d->wal) >= COMMIT_BYTES)
            commit(d);
        return;
    }
    commit(d);
    if (job->kind == RAFT_DISK_COMPACT) {
        compact(d, job->index);
        raft_disk_job_free(job);
        return;
    }
    if (job->kind == RAFT_DISK_READ)
        read_entries(d, job);
    else
        job->call(job);
    give_back(d, job);
}

/* A sync costs the processor as much as several requests do, and those who were just answered are
 * about to write again. So where many write at once, the next commit waits for as many as the last
 * one had, at most as long as that one took (a few times that where very many do): fewer syncs, and
 * never much later. Mutex held. */
static void rest(struct raft_disk *d) {
    if (d->last_batch < CROWD || d->queued >= d->last_batch || d->urgent)
        return;
    int64_t limit = d->last_took < REST_MAX ? d->last_took : REST_MAX;
    if (d->last_batch >= GREAT_CROWD)
        limit *= GREAT_FACTOR;
    int64_t until = time_now_monotonic() + limit;
    struct timespec at = {.tv_sec = until / SECOND, .tv_nsec = until % SECOND};
    d->wanted = d->last_batch;
    while (d->queued < d->wanted && !d->urgent && !d->stopping)
        if (pthread_cond_clockwait(&d->wake, &d->mutex, CLOCK_MONOTONIC, &at) != 0)
            break;
    d->wanted = 0;
}

/* Waits for jobs; meanwhile, if it has nothing to do, gets the next segment ready bit by bit. NULL:
 * stop. */
static struct raft_disk_job *take(struct raft_disk *d) {
    bool more = true;
    pthread_mutex_lock(&d->mutex);
    while (d->first == NULL && !d->stopping) {
        if (more) {
            pthread_mutex_unlock(&d->mutex);
            more = wal_prepare(d->wal, PREPARE_BYTES);
            pthread_mutex_lock(&d->mutex);
        } else {
            pthread_cond_wait(&d->wake, &d->mutex);
        }
    }
    rest(d);
    struct raft_disk_job *jobs = d->first;
    d->first = NULL;
    d->queued = 0;
    d->urgent = false;
    d->end = &d->first;
    pthread_mutex_unlock(&d->mutex);
    return jobs;
}

/* What sched_getattr and sched_setattr take (sched_setattr(2)); the C library has no name for it.
 */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* After a sync there is little to do and everybody waits for it. A thread with a short slice is let
 * in before others' longer slices are over (Linux 6.12 and later; elsewhere this does nothing),
 * which on a busy machine gives a third more writes. */
static void ask_for_short_slices(void) {
    struct scheduling s = {.size = sizeof s};
    if (syscall(SYS_sched_getattr, 0, &s, sizeof s, 0) != 0)
        return;
    s.flags = 0;
    s.runtime = 100 * MICROSECOND;
    syscall(SYS_sched_setattr, 0, &s, 0);
}

static void *disk_main(void *arg) {
    struct raft_disk *d = arg;
    pthread_setname_np(pthread_self(), "raft-disk");
    ask_for_short_slices();
    for (;;) {
        struct raft_disk_job *job = take(d);
        if (job == NULL)
            return NULL;
        while (job != NULL) {
            struct raft_disk_job *next = job->next;
            run_job(d, job);
            job = next;
        }
        commit(d);
    }
}

/* ---- from the core ---- */

struct raft_disk *raft_disk_start(struct wal *wal, struct loop *core,
                                  const struct raft_disk_callbacks *callbacks, struct error *e) {
    struct raft_disk *d = MEM_NEW(struct raft_disk);
    d->wal = wal;
    d->core = core;
    d->callbacks = *callbacks;
    d->end = &d->first;
    d->submit_epoch = 1;
    pthread_mutex_init(&d->mutex, NULL);
    pthread_cond_init(&d->wake, NULL);
    atomic_store(&d->on_their_way, 1); /* one for the owner */
    sigset_t before;
    signals_block(&before);
    int code = pthread_create(&d->thread, NULL, disk_main, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        return d;
    error_set_errno(e, code, "cannot start the disk thread");
    mem_free(d);
    return NULL;
}

void raft_disk_submit(struct raft_disk *d, struct raft_disk_job *job) {
    job->next = NULL;
    pthread_mutex_lock(&d->mutex);
    job->epoch = d->submit_epoch;
    bool wake = d->first == NULL;
    *d->end = job;
    d->end = &job->next;
    d->queued += job->count;
    d->urgent |= job->kind != RAFT_DISK_ENTRIES;
    if (d->wanted > 0)
        wake = d->urgent || d->queued >= d->wanted;
    if (wake)
        pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->mutex);
}

void raft_disk_resume(struct raft_disk *d) {
    d->submit_epoch++;
}

void raft_disk_stop(struct raft_disk *d) {
    pthread_mutex_lock(&d->mutex);
    d->stopping = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->mutex);
    pthread_join(d->thread, NULL);
    pthread_mutex_destroy(&d->mutex);
    pthread_cond_destroy(&d->wake);
    atomic_store(&d->stopped, true);
    if (atomic_fetch_sub(&d->on_their_way, 1) == 1)
        mem_free(d);
}

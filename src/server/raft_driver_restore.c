/* A user's archive that replaces the state of the cluster (raft.md 4.9): read and decoded on any
 * thread, then made a snapshot that takes the log's place. The store takes it over last, when the
 * no-op behind it is committed: until then the restore may be lost with this server's leadership,
 * and nobody whom a leader answers may have seen what never was. (The peer's store has it before.)
 */
#include "server/raft_driver_internal.h"

#include <unistd.h>

#include "base/metrics.h"
#include "server/archive.h"

/* ---- restoring an archive: reading it, on any thread ---- */

static bool restore_sink(void *owner, struct str bytes, struct error *e) {
    struct raft_driver_restore *r = owner;
    bool kept = r->writer != NULL ? snapshot_writer_add(r->writer, bytes, e)
                                  : driver_memory_add(r->driver, r->fd, r->size, bytes, e);
    r->size += bytes.len;
    if (kept && !r->state_bad)
        r->state_bad = !store_restore_feed(r->state, bytes, &r->state_error);
    return kept; /* what is wrong with the state is told after what is wrong with the archive */
}

static bool restore_open(struct raft_driver_restore *r, struct error *e) {
    struct raft_driver *d = r->driver;
    r->locked = !atomic_exchange(&d->restoring, true);
    if (!r->locked)
        return error_set(e, ERROR_INTERNAL, "a restore is under way already");
    if (d->dev) {
        r->fd = driver_memory_file(e);
        if (r->fd < 0)
            return false;
    } else {
        r->writer = snapshot_writer_new(d->snapshots, "restore", e);
        if (r->writer == NULL)
            return false;
    }
    r->state = store_restore_begin(d->store, e);
    return r->state != NULL;
}

static bool check_meta(const struct archive_content *content, struct error *e) {
    static const char raft[] = "Raft error when restoring snapshot";
    int64_t version = content->meta.version, size = content->meta.size;
    if (version == 0)
        return error_set(e, ERROR_INTERNAL,
                         "%s: failed to create snapshot: unsupported snapshot version 0", raft);
    if (version != 1)
        return error_set(e, ERROR_INTERNAL, "%s: unsupported snapshot version %lld", raft,
                         (long long)version);
    if (size < 0 || (uint64_t)size != content->state_size)
        return error_set(e, ERROR_INTERNAL,
                         "%s: failed to write snapshot, size didn't match (%llu != %lld)", raft,
                         (unsigned long long)content->state_size, (long long)size);
    return true;
}

/* The archive's own faults come first, then what its meta says, then whether the state can be read:
 * the peer learns the last only when it is too late, and dies (fsm.md 8). */
static bool restore_read(struct raft_driver_restore *r, archive_source *source, void *owner,
                         struct error *e) {
    struct archive_content content;
    if (!archive_read(source, owner, restore_sink, r, &content, &r->arena, e))
        return false;
    bool ok = check_meta(&content, e);
    r->archive_index = content.meta.index;
    snapshot_meta_free(&content.meta);
    if (!ok)
        return false;
    if (!r->state_bad)
        r->state_bad = !store_restore_finish(r->state, &r->state_error);
    if (!r->state_bad)
        return true;
    error_copy(e, &r->state_error);
    return error_prefix(e, "Raft error when restoring snapshot: failed to restore snapshot: ");
}

struct raft_driver_restore *
raft_driver_restore_read(struct raft_driver *d,
                         ptrdiff_t (*source)(void *owner, char *out, size_t max, struct error *e),
                         void *owner, struct error *e) {
    struct raft_driver_restore *r = MEM_NEW(struct raft_driver_restore);
    r->driver = d;
    r->arena = ARENA_INIT;
    r->error = r->state_error = ERROR_IN(&r->arena);
    r->fd = -1;
    if (restore_open(r, e) && restore_read(r, source, owner, e))
        return r;
    raft_driver_restore_free(r);
    return NULL;
}

void raft_driver_restore_free(struct raft_driver_restore *r) {
    if (r == NULL)
        return;
    if (r->state != NULL)
        store_restore_abort(r->state);
    snapshot_writer_abort(r->writer);
    if (r->fd >= 0)
        close(r->fd);
    if (r->locked)
        atomic_store(&r->driver->restoring, false);
    snapshot_meta_free(&r->meta);
    arena_free(&r->arena);
    mem_free(r);
}

/* ---- restoring: on the core ---- */

void raft_driver_restore(struct raft_driver *d, struct raft_driver_restore *r,
                         struct raft_proposal *p) {
    p->entry = BUF_INIT;
    p->work = r;
    p->kind = PROPOSAL_RESTORE;
    p->index = p->term = 0;
    r->proposal = p;
    r->started = time_now_monotonic();
    metric_count("raft.restore", 1);
    proposal_list_add(&d->queued, p);
    if (!d->running)
        driver_wake(d);
}

/* The error of raft, with what the caller sees before it. */
static void restore_answer(struct raft_driver *d, struct raft_proposal *p, enum raft_error error,
                           struct str text) {
    struct arena arena = ARENA_INIT;
    if (error != RAFT_ERROR_MESSAGE)
        text = str_from(raft_error_text(error));
    struct str whole =
        str_format(&arena, "Raft error when restoring snapshot: " STR_FMT, STR_ARG(text));
    p->work = NULL;
    driver_answer(d, p, RAFT_ERROR_MESSAGE, whole);
    arena_free(&arena);
}

static void restore_fail(struct raft_driver *d, struct raft_driver_restore *r,
                         enum raft_error error, struct str text) {
    restore_answer(d, r->proposal, error, text);
    raft_driver_restore_free(r);
}

void driver_restore_begin(struct raft_driver *d, struct raft_proposal *p) {
    struct raft_driver_restore *r = p->work;
    ASSERT(d->restore == NULL);
    d->restore = r; /* the action comes inside the step */
    struct raft_event event = {.kind = RAFT_EVENT_RESTORE, .restore = {r->archive_index}};
    driver_step(d, &event);
    if (event.error == RAFT_OK)
        return;
    d->restore = NULL;
    restore_fail(d, r, event.error, event.text);
}

void driver_restore_action(struct raft_driver *d, const struct raft_action *a) {
    struct raft_driver_restore *r = d->restore;
    ASSERT(r != NULL);
    const struct raft_configuration *c = a->restore.configuration;
    r->meta = (struct snapshot_meta){
        .index = a->index,
        .term = a->restore.term,
        .configuration = raft_configuration_new(c->servers, c->len),
        .configuration_index = a->restore.configuration_index,
    };
    d->restore_ready = true;
}

/* The snapshot is in the log's place. */
static void restore_published(struct raft_driver *d) {
    struct raft_driver_restore *r = d->restore;
    struct raft_proposal *p = r->proposal;
    ASSERT(d->restored == NULL);
    d->restore = NULL;
    d->restored = r;
    d->snapshot_index = r->meta.index;
    d->snapshot_term = r->meta.term;
    d->applied = d->apply_target = r->meta.index;
    d->applied_term = r->meta.term;
    d->command_index = 0;
    struct raft_event event = {.kind = RAFT_EVENT_RESTORED,
                               .restored = {true, r->meta.index, r->meta.term}};
    p->work = NULL;
    p->kind = PROPOSAL_VERIFY; /* it waits for the no-op, which the step below appends */
    p->index = r->meta.index + 1;
    proposal_list_add(&d->waiting, p);
    driver_step(d, &event);
    if (event.error != RAFT_OK) {
        proposal_list_remove(&d->waiting, p);
        restore_answer(d, p, event.error, STR_NONE);
    }
}

static void restore_failed(struct raft_driver *d) {
    struct raft_driver_restore *r = d->restore;
    struct raft_event event = {.kind = RAFT_EVENT_RESTORED, .restored = {false, 0, 0}};
    d->restore = NULL;
    driver_step(d, &event);
    restore_fail(d, r, RAFT_ERROR_MESSAGE, r->error.text);
}

static void store_take_over(struct raft_driver *d, struct raft_driver_restore *r) {
    struct watch_touched *touched = NULL;
    struct store_restore *state = r->state;
    int64_t began = time_now_monotonic();
    r->state = NULL;
    if (!store_restore_commit(state, r->meta.index, r->meta.term, &touched, &r->error)) {
        /* The snapshot is in place and the store is not: only a restart can put that right. */
        driver_fatal(d, r->error.text);
        return;
    }
    if (touched != NULL && d->options.on_touched != NULL)
        d->options.on_touched(d->options.owner, touched);
    else if (touched != NULL)
        watch_touched_release(touched);
    metric_since("raft.fsm.restore", began);
    metric_since("raft.restoreUserSnapshot", r->started);
    log_at(LOG_INFO, DRIVER_LOG, "restored user snapshot", LOG_I("index", r->meta.index));
}

/* What is behind the snapshot is committed, or this server no longer leads and its owner knows it:
 * then a leader's history decides what becomes of it, as on any other server. */
bool driver_restored_is_due(const struct raft_driver *d) {
    const struct raft_driver_restore *r = d->restored;
    if (r == NULL || d->dead)
        return false;
    bool leads = d->told_leader && d->told_term == r->meta.term;
    return !leads || d->apply_target > r->meta.index;
}

void driver_restored_tick(struct raft_driver *d) {
    struct raft_driver_restore *r = d->restored;
    if (!driver_restored_is_due(d))
        return;
    ASSERT(!driver_state_is_used(d));
    d->restored = NULL;
    store_take_over(d, r);
    raft_driver_restore_free(r);
}

static void publish_call(struct raft_disk_job *job) {
    struct raft_driver_restore *r = job->owner;
    struct snapshot_writer *writer = r->writer;
    r->writer = NULL;
    job->ok = snapshot_writer_finish(writer, &r->meta, time_now_wall() / MILLISECOND, &r->arena,
                                     &r->error);
    struct error ignored = ERROR_IN(&job->arena);
    if (job->ok)
        (void)snapshots_reap(r->driver->snapshots, &ignored);
}

static void publish_done(struct raft_disk_job *job) {
    struct raft_driver_restore *r = job->owner;
    struct raft_driver *d = r->driver;
    bool ok = job->ok;
    raft_disk_job_free(job);
    if (d->stopping || d->dead) { /* the caller was told; the next start takes the snapshot up */
        raft_driver_restore_free(r);
        return;
    }
    d->restore_finishing = false;
    if (ok)
        restore_published(d);
    else
        restore_failed(d);
}

static void restore_in_memory(struct raft_driver *d, struct raft_driver_restore *r) {
    r->meta.version = 1;
    r->meta.id = str_format(&r->arena, "%llu-%llu-0", (unsigned long long)r->meta.term,
                            (unsigned long long)r->meta.index);
    r->meta.size = (int64_t)r->size;
    driver_dev_snapshot_set(d, &r->meta, r->fd);
    restore_published(d);
}

void driver_restore_tick(struct raft_driver *d) {
    if (!d->restore_ready || driver_state_is_used(d) || d->applied < d->apply_target)
        return;
    d->restore_ready = false;
    struct raft_driver_restore *r = d->restore;
    if (d->dev) {
        restore_in_memory(d, r);
        return;
    }
    struct raft_disk_job *job = raft_disk_job_new(RAFT_DISK_CALL);
    job->call = publish_call;
    job->done = publish_done;
    job->owner = r;
    d->restore_finishing = true;
    raft_disk_submit(d->disk, job);
}

/* The disk thread has ended: what it still had to do for a restore is done, and on its way here. */
void driver_restore_stop(struct raft_driver *d) {
    struct raft_driver_restore *r = d->restore;
    raft_driver_restore_free(d->restored); /* its caller is among those who wait */
    d->restored = NULL;
    if (r == NULL)
        return;
    d->restore = NULL;
    r->proposal->work = NULL;
    driver_answer(d, r->proposal, RAFT_ERROR_SHUTDOWN, STR_NONE);
    if (!d->restore_finishing)
        raft_driver_restore_free(r);
}

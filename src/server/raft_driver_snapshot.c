/* Snapshots of the local state, written by a thread of their own from a read transaction; and a
 * user's archive that replaces the state (raft.md 4.8, 4.9).
 */
#include "server/raft_driver_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/signals.h"
#include "raft/checksum.h"
#include "server/archive.h"

/* ---- state.bin in memory, for dev mode ---- */

static int memory_file(struct error *e) {
    int fd = memfd_create("state.bin", MFD_CLOEXEC);
    if (fd < 0)
        error_set_errno(e, errno, "failed to create a memory file");
    return fd;
}

static bool memory_add(const struct raft_driver *d, int fd, uint64_t at, struct str bytes,
                       struct error *e) {
    int code = d->io.pwrite(d->io.owner, fd, bytes.data, bytes.len, at);
    if (code < 0)
        return error_set_errno(e, -code, "failed to write the snapshot");
    return true;
}

/* ---- opened snapshots ---- */

static struct raft_driver_snapshot *opened_new(const struct snapshot_meta *meta, int fd) {
    struct raft_driver_snapshot *s = MEM_NEW(struct raft_driver_snapshot);
    s->arena = ARENA_INIT;
    s->meta = *meta;
    s->meta.id = str_copy(&s->arena, meta->id);
    const struct raft_configuration *c = meta->configuration;
    s->meta.configuration = raft_configuration_new(c->servers, c->len);
    s->fd = fd;
    return s;
}

void driver_dev_snapshot_set(struct raft_driver *d, const struct snapshot_meta *meta, int fd) {
    raft_driver_snapshot_close(d->dev_snapshot);
    d->dev_snapshot = opened_new(meta, dup(fd));
}

uint64_t raft_driver_snapshot_index(const struct raft_driver_snapshot *s) {
    return s->meta.index;
}

struct state_source {
    int fd;
    uint64_t at;
};

static ptrdiff_t state_read(void *owner, char *out, size_t max, struct error *e) {
    struct state_source *s = owner;
    ssize_t n;
    do {
        n = pread(s->fd, out, max, (off_t)s->at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        error_set_errno(e, errno, "failed to read snapshot");
    s->at += n > 0 ? (uint64_t)n : 0;
    return n;
}

bool raft_driver_snapshot_pack(struct raft_driver_snapshot *s,
                               bool (*sink)(void *owner, struct str bytes, struct error *e),
                               void *owner, struct error *e) {
    struct state_source source = {s->fd, 0};
    return archive_write(&s->meta, state_read, &source, sink, owner, e);
}

void raft_driver_snapshot_close(struct raft_driver_snapshot *s) {
    if (s == NULL)
        return;
    close(s->fd);
    snapshot_meta_free(&s->meta);
    arena_free(&s->arena);
    mem_free(s);
}

/* ---- taking one ---- */

struct snapshot_task {
    struct message message;
    struct raft_driver *driver;
    pthread_t thread;
    struct arena arena;
    struct store_read read;
    struct snapshot_meta meta; /* configuration: of its own */
    struct snapshot_writer *writer;
    int fd; /* dev mode, and of the finished one */
    uint64_t size, crc;
    struct snapshot_request *requests; /* answered with this one */
    bool ok;
    struct error error;
};

static void answer_requests(struct snapshot_request *r, const struct snapshot_meta *meta, int fd,
                            const struct error *e) {
    while (r != NULL) {
        struct snapshot_request *next = r->next;
        int own = meta != NULL ? dup(fd) : -1;
        r->done(r->owner, meta != NULL ? opened_new(meta, own) : NULL, e);
        mem_free(r);
        r = next;
    }
}

static bool task_sink(void *owner, struct str bytes, struct error *e) {
    struct snapshot_task *t = owner;
    if (atomic_load_explicit(&t->driver->cancel_snapshot, memory_order_relaxed))
        return error_set(e, ERROR_INTERNAL, "%s", raft_error_text(RAFT_ERROR_SHUTDOWN));
    if (t->writer != NULL)
        return snapshot_writer_add(t->writer, bytes, e);
    if (!memory_add(t->driver, t->fd, t->size, bytes, e))
        return false;
    t->crc = crc64_ecma(t->crc, bytes.data, bytes.len);
    t->size += bytes.len;
    return true;
}

static bool task_open(struct snapshot_task *t, struct error *e) {
    if (t->driver->dev) {
        t->fd = memory_file(e);
        return t->fd >= 0;
    }
    t->writer = snapshot_writer_new(t->driver->snapshots, "local", e);
    return t->writer != NULL;
}

static bool task_finish(struct snapshot_task *t, struct error *e) {
    struct raft_driver *d = t->driver;
    int64_t now_ms = time_now_wall() / MILLISECOND;
    if (d->dev) {
        t->meta.version = 1;
        t->meta.id = str_format(&t->arena, "%llu-%llu-%lld", (unsigned long long)t->meta.term,
                                (unsigned long long)t->meta.index, (long long)now_ms);
        t->meta.size = (int64_t)t->size;
        t->meta.has_crc = true;
        t->meta.crc = t->crc;
        return true;
    }
    struct snapshot_writer *writer = t->writer;
    t->writer = NULL;
    if (!snapshot_writer_finish(writer, &t->meta, now_ms, &t->arena, e))
        return false;
    t->fd = snapshots_open_state(d->snapshots, t->meta.id, e);
    if (t->fd < 0)
        return false;
    struct error ignored = ERROR_IN(&t->arena);
    if (!snapshots_reap(d->snapshots, &ignored))
        log_at(LOG_WARN, "agent.server.snapshot", "failed to reap snapshots",
               LOG_S("error", ignored.text));
    return true;
}

static void task_done(struct message *m);

static void *task_main(void *arg) {
    struct snapshot_task *t = arg;
    pthread_setname_np(pthread_self(), "raft-snapshot");
    int64_t began = time_now_monotonic();
    t->ok = task_open(t, &t->error);
    metric_since("raft.snapshot.create", began);
    int64_t opened = time_now_monotonic();
    t->ok = t->ok && store_snapshot_write(&t->read, task_sink, t, &t->error);
    metric_since("fsm.persist", opened);
    t->ok = t->ok && task_finish(t, &t->error);
    metric_since("raft.snapshot.persist", opened);
    metric_since("raft.snapshot.takeSnapshot", began);
    store_read_end(&t->read);
    if (t->ok)
        log_at(LOG_INFO, "agent.server.fsm", "snapshot created",
               LOG_D("duration", time_now_monotonic() - began));
    t->message.run = task_done;
    loop_post_reply(t->driver->core, &t->message);
    return NULL;
}

static void task_free(struct snapshot_task *t) {
    snapshot_writer_abort(t->writer);
    if (t->fd >= 0)
        close(t->fd);
    snapshot_meta_free(&t->meta);
    arena_free(&t->arena);
    mem_free(t);
}

static void task_taken(struct raft_driver *d, struct snapshot_task *t) {
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_TAKEN,
                               .snapshot = {t->meta.index, t->meta.term}};
    driver_step(d, &event);
    if (t->meta.index >= d->snapshot_index) {
        d->snapshot_index = t->meta.index;
        d->snapshot_term = t->meta.term;
    }
    if (d->dev)
        driver_dev_snapshot_set(d, &t->meta, t->fd);
    driver_view_update(d);
    log_at(LOG_INFO, DRIVER_LOG, "snapshot complete up to", LOG_I("index", t->meta.index));
}

static void task_done(struct message *m) {
    struct snapshot_task *t = CONTAINER_OF(m, struct snapshot_task, message);
    struct raft_driver *d = t->driver;
    if (d->task == t) { /* otherwise the driver was stopped, and has joined the thread */
        pthread_join(t->thread, NULL);
        d->task = NULL;
        if (t->ok)
            task_taken(d, t);
        else
            log_at(LOG_ERROR, DRIVER_LOG, "failed to take snapshot", LOG_S("error", t->error.text));
        answer_requests(t->requests, t->ok ? &t->meta : NULL, t->fd, &t->error);
        t->requests = NULL;
    }
    task_free(t);
}

/* What there is to take, by the rules of raft.md 4.8. */
static bool may_snapshot(struct raft_driver *d, struct error *e) {
    uint64_t configuration_index;
    const struct raft_configuration *c =
        raft_committed_configuration(d->raft, &configuration_index);
    if (d->command_index == 0 || c == NULL)
        return error_set(e, ERROR_INTERNAL, "nothing new to snapshot");
    if (d->command_index < configuration_index)
        return error_set(e, ERROR_INTERNAL,
                         "cannot take snapshot now, wait until the configuration entry at %llu has "
                         "been applied (have applied %llu)",
                         (unsigned long long)configuration_index,
                         (unsigned long long)d->command_index);
    return true;
}

/* The read transaction is begun here, between two batches, so that it is the state at the last
 * applied entry; the snapshot's index is that of the last command, behind which nothing changed the
 * state. */
static bool task_start(struct raft_driver *d, struct snapshot_request *requests, struct error *e) {
    if (!may_snapshot(d, e))
        return false;
    struct snapshot_task *t = MEM_NEW(struct snapshot_task);
    t->driver = d;
    t->arena = ARENA_INIT;
    t->error = ERROR_IN(&t->arena);
    t->fd = -1;
    t->requests = requests;
    const struct raft_configuration *c =
        raft_committed_configuration(d->raft, &t->meta.configuration_index);
    t->meta.index = d->command_index;
    t->meta.term = d->command_term;
    t->meta.configuration = raft_configuration_new(c->servers, c->len);
    int64_t began = time_now_monotonic();
    if (!store_read_begin(d->store, &t->read, &t->arena, NULL, e)) {
        task_free(t);
        return false;
    }
    metric_since("raft.fsm.snapshot", began);
    log_at(LOG_INFO, DRIVER_LOG, "starting snapshot up to", LOG_I("index", t->meta.index));
    sigset_t before;
    signals_block(&before);
    int code = pthread_create(&t->thread, NULL, task_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        store_read_end(&t->read);
        task_free(t);
        return error_set_errno(e, code, "cannot start the snapshot thread");
    }
    d->task = t;
    return true;
}

void driver_snapshot_tick(struct raft_driver *d) {
    if (d->requests == NULL || driver_state_is_used(d) || d->restore != NULL || d->installing ||
        d->dead)
        return;
    struct snapshot_request *requests = d->requests;
    d->requests = NULL;
    d->requests_end = &d->requests;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (!task_start(d, requests, &e))
        answer_requests(requests, NULL, -1, &e);
    arena_free(&arena);
}

void raft_driver_take_snapshot(struct raft_driver *d,
                               void (*done)(void *owner, struct raft_driver_snapshot *snapshot,
                                            const struct error *e),
                               void *owner) {
    struct snapshot_request *r = MEM_NEW(struct snapshot_request);
    r->done = done;
    r->owner = owner;
    *d->requests_end = r;
    d->requests_end = &r->next;
    if (d->stopping)
        driver_snapshot_stop(d);
    else if (!d->running)
        driver_wake(d);
}

/* ---- from time to time ---- */

void driver_snapshot_timer_set(struct raft_driver *d) {
    int64_t interval = d->options.snapshot_interval;
    loop_timer_set(&d->snapshot_timer,
                   interval + (int64_t)prng_below(&d->jitter, (uint64_t)interval));
}

void driver_snapshot_timer(struct loop_timer *timer) {
    struct raft_driver *d = timer->owner;
    uint64_t last = raft_log_last_index(raft_get_log(d->raft));
    bool due = last - d->snapshot_index >= d->options.snapshot_threshold;
    if (due && !driver_state_is_used(d) && d->restore == NULL && !d->installing && !d->dead) {
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        if (!task_start(d, NULL, &e) && d->command_index > 0)
            log_at(LOG_ERROR, DRIVER_LOG, "failed to take snapshot", LOG_S("error", e.text));
        arena_free(&arena);
    }
    driver_snapshot_timer_set(d);
}

void driver_snapshot_stop(struct raft_driver *d) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    error_set(&e, ERROR_INTERNAL, "%s", raft_error_text(RAFT_ERROR_SHUTDOWN));
    struct snapshot_task *t = d->task;
    d->task = NULL;
    if (t != NULL) {
        atomic_store(&d->cancel_snapshot, true);
        pthread_join(t->thread, NULL); /* its message comes later and frees it */
        answer_requests(t->requests, NULL, -1, &e);
        t->requests = NULL;
    }
    struct snapshot_request *requests = d->requests;
    d->requests = NULL;
    d->requests_end = &d->requests;
    answer_requests(requests, NULL, -1, &e);
    arena_free(&arena);
}

/* ---- restoring an archive: reading it, on any thread ---- */

static bool restore_sink(void *owner, struct str bytes, struct error *e) {
    struct raft_driver_restore *r = owner;
    bool kept = r->writer != NULL ? snapshot_writer_add(r->writer, bytes, e)
                                  : memory_add(r->driver, r->fd, r->size, bytes, e);
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
        r->fd = memory_file(e);
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
static void restore_fail(struct raft_driver *d, struct raft_driver_restore *r,
                         enum raft_error error, struct str text) {
    struct raft_proposal *p = r->proposal;
    struct arena arena = ARENA_INIT;
    if (error != RAFT_ERROR_MESSAGE)
        text = str_from(raft_error_text(error));
    struct str whole =
        str_format(&arena, "Raft error when restoring snapshot: " STR_FMT, STR_ARG(text));
    p->work = NULL;
    driver_answer(d, p, RAFT_ERROR_MESSAGE, whole);
    arena_free(&arena);
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

static void restore_end(struct raft_driver *d, bool ok) {
    struct raft_driver_restore *r = d->restore;
    struct raft_proposal *p = r->proposal;
    d->restore = NULL;
    if (ok) {
        d->snapshot_index = r->meta.index;
        d->snapshot_term = r->meta.term;
        d->applied = d->apply_target = r->meta.index;
        d->applied_term = r->meta.term;
        d->command_index = 0;
    }
    struct raft_event event = {.kind = RAFT_EVENT_RESTORED,
                               .restored = {ok, r->meta.index, r->meta.term}};
    p->work = NULL;
    if (ok) { /* it waits for the no-op, which the step below appends */
        p->kind = PROPOSAL_VERIFY;
        p->index = r->meta.index + 1;
        proposal_list_add(&d->waiting, p);
    }
    driver_step(d, &event);
    if (ok && event.error != RAFT_OK) {
        proposal_list_remove(&d->waiting, p);
        restore_fail(d, r, event.error, STR_NONE);
    } else if (!ok) {
        p->kind = PROPOSAL_RESTORE;
        restore_fail(d, r, RAFT_ERROR_MESSAGE, r->error.text);
    } else {
        raft_driver_restore_free(r);
    }
}

/* Everything before it is applied and the snapshot is durable: now the store may follow. */
static void restore_commit(struct raft_driver *d, struct raft_driver_restore *r) {
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
    restore_end(d, true);
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
        restore_commit(d, r);
    else
        restore_end(d, false);
}

static void restore_in_memory(struct raft_driver *d, struct raft_driver_restore *r) {
    r->meta.version = 1;
    r->meta.id = str_format(&r->arena, "%llu-%llu-0", (unsigned long long)r->meta.term,
                            (unsigned long long)r->meta.index);
    r->meta.size = (int64_t)r->size;
    driver_dev_snapshot_set(d, &r->meta, r->fd);
    restore_commit(d, r);
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
    if (r == NULL)
        return;
    d->restore = NULL;
    r->proposal->work = NULL;
    driver_answer(d, r->proposal, RAFT_ERROR_SHUTDOWN, STR_NONE);
    if (!d->restore_finishing)
        raft_driver_restore_free(r);
}

/* Snapshots of the local state, written by a thread of their own from a read transaction (raft.md
 * 4.8); and what it takes to have one in memory, for dev mode.
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

int driver_memory_file(struct error *e) {
    int fd = memfd_create("state.bin", MFD_CLOEXEC);
    if (fd < 0)
        error_set_errno(e, errno, "failed to create a memory file");
    return fd;
}

bool driver_memory_add(const struct raft_driver *d, int fd, uint64_t at, struct str bytes,
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
    if (!driver_memory_add(t->driver, t->fd, t->size, bytes, e))
        return false;
    t->crc = crc64_ecma(t->crc, bytes.data, bytes.len);
    t->size += bytes.len;
    return true;
}

static bool task_open(struct snapshot_task *t, struct error *e) {
    if (t->driver->dev) {
        t->fd = driver_memory_file(e);
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

static bool may_start(const struct raft_driver *d) {
    return !driver_state_is_used(d) && d->restore == NULL && d->restored == NULL &&
           !d->installing && !d->dead;
}

void driver_snapshot_tick(struct raft_driver *d) {
    if (d->requests == NULL || !may_start(d))
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
    if (due && may_start(d)) {
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

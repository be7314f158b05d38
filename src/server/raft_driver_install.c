/* A leader's snapshot that replaces the state (raft.md 4.4). Its bytes come in pieces on the core
 * loop and go to a thread of their own, which writes them to the snapshot directory and decodes
 * them into a store beside the one in use; a bounded number waits between the two. When all are
 * there and synced, the message is given to the core; when the core wants it, the snapshot gets its
 * name and the stores are swapped.
 */
#include "server/raft_driver_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/signals.h"
#include "raft/checksum.h"

#define WAITING_MAX ((size_t)4 << 20) /* bytes between core and thread */

struct piece {
    struct piece *next;
    size_t len;
    char bytes[];
};

struct raft_install_sink {
    struct raft_driver *driver;
    struct raft_message *message; /* the transport's; NULL: its connection is gone */
    uint64_t term;
    int64_t begun;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards the next ones */
    pthread_cond_t wake;
    struct piece *first, **end;
    size_t waiting;
    bool full; /* the core was told to wait */
    bool ended, aborted;
    /* The thread's, until its last message: */
    struct snapshot_writer *writer; /* on disk */
    int fd;                         /* in dev mode */
    uint64_t size, crc;
    struct store_restore *state;
    struct arena arena;
    struct error error;
    bool ok;
    struct message room, over; /* to the core: there is room; the thread has ended */
    bool room_posted;          /* guarded */
    int64_t began;
    /* The core's: */
    bool joined; /* the thread has ended; ok and error say how */
    bool wanted; /* by the core: what follows is its end */
    bool publishing;
    struct snapshot_meta meta;
};

/* ---- the thread ---- */

static bool keep(struct raft_install_sink *s, struct str bytes, struct error *e) {
    if (s->writer != NULL)
        return snapshot_writer_add(s->writer, bytes, e);
    struct disk_io *io = &s->driver->io;
    int code = io->pwrite(io->owner, s->fd, bytes.data, bytes.len, s->size);
    if (code < 0)
        return error_set_errno(e, -code, "failed to write the snapshot");
    s->crc = crc64_ecma(s->crc, bytes.data, bytes.len);
    return true;
}

static void take_piece(struct raft_install_sink *s, const struct piece *p) {
    struct str bytes = str_of(p->bytes, p->len);
    if (!s->ok) /* what follows is only taken away */
        return;
    s->ok = keep(s, bytes, &s->error) && store_restore_feed(s->state, bytes, &s->error);
    s->size += p->len;
}

static void post_room(struct raft_install_sink *s) {
    if (!s->full || s->room_posted || s->waiting > WAITING_MAX / 2)
        return;
    s->room_posted = true;
    loop_post_reply(s->driver->core, &s->room);
}

/* NULL: there will be no more. */
static struct piece *next_piece(struct raft_install_sink *s) {
    pthread_mutex_lock(&s->mutex);
    while (s->first == NULL && !s->ended && !s->aborted)
        pthread_cond_wait(&s->wake, &s->mutex);
    struct piece *p = s->aborted ? NULL : s->first;
    if (p != NULL) {
        s->first = p->next;
        if (s->first == NULL)
            s->end = &s->first;
        s->waiting -= p->len;
        post_room(s);
    }
    pthread_mutex_unlock(&s->mutex);
    return p;
}

static void *sink_main(void *arg) {
    struct raft_install_sink *s = arg;
    pthread_setname_np(pthread_self(), "raft-install");
    struct piece *p;
    while ((p = next_piece(s)) != NULL) {
        take_piece(s, p);
        mem_free(p);
    }
    s->ok = s->ok && store_restore_finish(s->state, &s->error) &&
            (s->writer == NULL || snapshot_writer_sync(s->writer, &s->error));
    loop_post_reply(s->driver->core, &s->over);
    return NULL;
}

/* ---- the sink's end ---- */

/* The thread has ended. */
static void sink_free(struct raft_install_sink *s) {
    struct raft_driver *d = s->driver;
    ASSERT(s->joined);
    while (s->first != NULL) {
        struct piece *p = s->first;
        s->first = p->next;
        mem_free(p);
    }
    if (s->state != NULL)
        store_restore_abort(s->state);
    snapshot_writer_abort(s->writer);
    if (s->fd >= 0)
        close(s->fd);
    snapshot_meta_free(&s->meta);
    atomic_store(&d->restoring, false);
    if (d->sink == s)
        d->sink = NULL;
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->wake);
    arena_free(&s->arena);
    mem_free(s);
}

/* One that the core wanted, at the driver's end: there will be no answer. */
static void sink_drop(struct raft_install_sink *s) {
    raft_transport_drop(s->driver->transport, s->message->reply);
    sink_free(s);
}

static void sink_stop_thread(struct raft_install_sink *s) {
    pthread_mutex_lock(&s->mutex);
    s->aborted = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

static void on_room(struct message *m) {
    struct raft_install_sink *s = CONTAINER_OF(m, struct raft_install_sink, room);
    pthread_mutex_lock(&s->mutex);
    s->room_posted = s->full = false;
    pthread_mutex_unlock(&s->mutex);
    if (s->message != NULL && !s->driver->stopping)
        raft_transport_install_ready(s->driver->transport, s->message);
}

/* `over` is posted behind the last `room`: nothing of the thread is left. */
static void on_over(struct message *m) {
    struct raft_install_sink *s = CONTAINER_OF(m, struct raft_install_sink, over);
    struct raft_driver *d = s->driver;
    if (!s->joined)
        pthread_join(s->thread, NULL);
    s->joined = true;
    if (d->stopping || s->message == NULL) {
        sink_free(s);
        return;
    }
    if (!s->ok)
        log_at(LOG_ERROR, DRIVER_LOG, "failed to copy snapshot", LOG_S("error", s->error.text));
    else
        log_at(LOG_INFO, DRIVER_LOG, "copied to local snapshot", LOG_I("bytes", s->size));
    raft_transport_install_complete(d->transport, s->message); /* to on_receive */
}

/* ---- from the transport ---- */

static bool sink_open(struct raft_install_sink *s, struct error *e) {
    struct raft_driver *d = s->driver;
    if (d->dev) {
        s->fd = memfd_create("state.bin", MFD_CLOEXEC);
        if (s->fd < 0)
            return error_set_errno(e, errno, "failed to create a memory file");
    } else {
        s->writer = snapshot_writer_new(d->snapshots, "install", e);
        if (s->writer == NULL)
            return false;
    }
    s->state = store_restore_begin(d->store, e);
    if (s->state == NULL)
        return false;
    sigset_t before;
    signals_block(&before);
    int code = pthread_create(&s->thread, NULL, sink_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0 || error_set_errno(e, code, "cannot start the snapshot thread");
}

/* One at a time: a newer leader's ends an older one's, and is taken at its next try. */
static bool may_begin(struct raft_driver *d, const struct raft_message *m) {
    if (d->stopping || d->dead || m->install.term < raft_term(d->raft))
        return false;
    struct raft_install_sink *old = d->sink;
    if (old != NULL && m->install.term > old->term && !old->joined) {
        old->message = NULL;
        sink_stop_thread(old);
    }
    if (old != NULL || m->install.configuration == NULL || m->install.last_index == 0)
        return false;
    return !atomic_exchange(&d->restoring, true);
}

struct raft_install_sink *driver_install_begin(void *owner, struct raft_message *m) {
    struct raft_driver *d = owner;
    if (!may_begin(d, m))
        return NULL;
    struct raft_install_sink *s = MEM_NEW(struct raft_install_sink);
    s->driver = d;
    s->message = m;
    s->term = m->install.term;
    s->begun = time_now_monotonic();
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    s->end = &s->first;
    s->fd = -1;
    s->arena = ARENA_INIT;
    s->error = ERROR_IN(&s->arena);
    s->ok = true;
    s->room.run = on_room;
    s->over.run = on_over;
    s->began = time_now_monotonic();
    if (!sink_open(s, &s->error)) {
        log_at(LOG_ERROR, DRIVER_LOG, "failed to create snapshot to install",
               LOG_S("error", s->error.text));
        s->joined = true;
        sink_free(s);
        return NULL;
    }
    d->sink = s;
    return s;
}

bool driver_install_add(struct raft_install_sink *s, struct str bytes) {
    struct piece *p = mem_alloc(sizeof *p + bytes.len);
    p->next = NULL;
    p->len = bytes.len;
    memcpy(p->bytes, bytes.data, bytes.len);
    pthread_mutex_lock(&s->mutex);
    *s->end = p;
    s->end = &p->next;
    s->waiting += p->len;
    s->full = s->waiting >= WAITING_MAX;
    bool more = !s->full;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    return more;
}

void driver_install_end(struct raft_install_sink *s) {
    pthread_mutex_lock(&s->mutex);
    s->ended = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

void driver_install_abort(struct raft_install_sink *s) {
    s->message = NULL;
    sink_stop_thread(s);
}

/* ---- to the core and from it ---- */

bool driver_install_ready(struct raft_driver *d, const struct raft_message *m) {
    struct raft_install_sink *s = d->sink;
    return s != NULL && s->message == m && s->joined && s->ok && d->restore == NULL;
}

void driver_install_settle(struct raft_driver *d, const struct raft_message *m) {
    struct raft_install_sink *s = d->sink;
    if (s != NULL && s->message == m && s->joined && !s->wanted)
        sink_free(s);
}

void driver_install_action(struct raft_driver *d, struct raft_message *m) {
    struct raft_install_sink *s = d->sink;
    ASSERT(s != NULL && s->message == m && s->joined && s->ok);
    s->wanted = true;
    d->installing = true;
    const struct raft_configuration *c = m->install.configuration;
    s->meta = (struct snapshot_meta){
        .index = m->install.last_index,
        .term = m->install.last_term,
        .configuration = raft_configuration_new(c->servers, c->len),
        .configuration_index = m->install.configuration_index,
    };
    driver_wake(d);
}

static void installed(struct raft_driver *d, bool ok) {
    struct raft_install_sink *s = d->sink;
    metric_since("raft.rpc.installSnapshot", s->begun);
    struct raft_event event = {.kind = RAFT_EVENT_INSTALLED, .installed = {ok, s->message}};
    d->installing = false;
    if (ok) {
        d->snapshot_index = s->meta.index;
        d->snapshot_term = s->meta.term;
        d->applied = d->apply_target = s->meta.index;
        d->applied_term = s->meta.term;
        d->command_index = 0;
        log_at(LOG_INFO, DRIVER_LOG, "Installed remote snapshot");
    } else {
        log_at(LOG_ERROR, DRIVER_LOG, "failed to restore snapshot", LOG_S("error", s->error.text));
    }
    sink_free(s);
    driver_step(d, &event);
    driver_view_configuration(d);
}

/* The snapshot is durable under its name: now the store may follow. */
static void install_commit(struct raft_driver *d) {
    struct raft_install_sink *s = d->sink;
    struct watch_touched *touched = NULL;
    struct store_restore *state = s->state;
    s->state = NULL;
    if (!store_restore_commit(state, s->meta.index, s->meta.term, &touched, &s->error)) {
        /* The snapshot is in place and the store is not: only a restart can put that right. */
        driver_fatal(d, s->error.text);
        return;
    }
    if (touched != NULL && d->options.on_touched != NULL)
        d->options.on_touched(d->options.owner, touched);
    else if (touched != NULL)
        watch_touched_release(touched);
    log_at(LOG_INFO, "agent.server.fsm", "snapshot restored",
           LOG_D("duration", time_now_monotonic() - s->began));
    installed(d, true);
}

static void publish_call(struct raft_disk_job *job) {
    struct raft_install_sink *s = job->owner;
    struct snapshot_writer *writer = s->writer;
    s->writer = NULL;
    job->ok = snapshot_writer_finish(writer, &s->meta, time_now_wall() / MILLISECOND, &s->arena,
                                     &s->error);
    /* Others are removed when the log has followed (driver_log_reset): not before, since this one
     * may be older than they are. */
}

static void publish_done(struct raft_disk_job *job) {
    struct raft_install_sink *s = job->owner;
    struct raft_driver *d = s->driver;
    bool ok = job->ok;
    raft_disk_job_free(job);
    s->publishing = false;
    if (d->stopping || d->dead) { /* the next start takes the snapshot up */
        sink_drop(s);
        return;
    }
    if (ok)
        install_commit(d);
    else
        installed(d, false);
}

static void publish_in_memory(struct raft_driver *d) {
    struct raft_install_sink *s = d->sink;
    s->meta.version = 1;
    s->meta.id = str_format(&s->arena, "%llu-%llu-0", (unsigned long long)s->meta.term,
                            (unsigned long long)s->meta.index);
    s->meta.size = (int64_t)s->size;
    s->meta.has_crc = true;
    s->meta.crc = s->crc;
    driver_dev_snapshot_set(d, &s->meta, s->fd);
    install_commit(d);
}

/* Not while entries are being read for the applier, nor while a snapshot of the old state is being
 * written. */
void driver_install_tick(struct raft_driver *d) {
    struct raft_install_sink *s = d->sink;
    if (!d->installing || driver_state_is_used(d) || s->publishing || d->dead)
        return;
    driver_older_drop(d);
    if (d->dev) {
        publish_in_memory(d);
        return;
    }
    struct raft_disk_job *job = raft_disk_job_new(RAFT_DISK_CALL);
    job->call = publish_call;
    job->done = publish_done;
    job->owner = s;
    s->publishing = true;
    raft_disk_submit(d->disk, job);
}

/* The disk thread has ended; what it still did is on its way and frees the sink. */
void driver_install_stop(struct raft_driver *d) {
    struct raft_install_sink *s = d->sink;
    if (s == NULL)
        return;
    if (s->joined) {
        if (!s->publishing)
            sink_drop(s);
        return;
    }
    s->message = NULL;
    sink_stop_thread(s);
    pthread_join(s->thread, NULL);
    s->joined = true; /* its message comes later and frees it */
}

/* Messages between the core and the transport: those that wait for the disk, those whose entries or
 * snapshot must be read first, and what is said in the log when one fails.
 */
#include "server/raft_driver_internal.h"

#include <unistd.h>

#define CATCH_UP_KEPT (5 * SECOND) /* entries read for a follower that does not ask any more */

/* ---- messages that are kept ---- */

static struct held_send *held_new(const struct raft_message *m, uint64_t sequence) {
    struct held_send *h = MEM_NEW(struct held_send);
    struct arena *arena = &h->arena;
    *arena = ARENA_INIT;
    h->sequence = sequence;
    h->message = *m;
    h->message.peer_id = str_copy(arena, m->peer_id);
    h->message.peer_address = str_copy(arena, m->peer_address);
    struct raft_append *a = &h->message.append;
    switch (m->kind) {
    case RAFT_APPEND:
        a->leader = str_copy(arena, a->leader);
        if (a->entries == NULL)
            break;
        a->entries = arena_copy(arena, a->entries, a->count * sizeof(struct raft_entry *));
        for (size_t i = 0; i < a->count; i++)
            raft_entry_hold(a->entries[i]);
        break;
    case RAFT_VOTE:
        h->message.vote.candidate = str_copy(arena, m->vote.candidate);
        break;
    case RAFT_INSTALL:
        h->message.install.leader = str_copy(arena, m->install.leader);
        break;
    default:
        break;
    }
    return h;
}

static void held_free(struct held_send *h) {
    const struct raft_append *a = &h->message.append;
    for (size_t i = 0; h->message.kind == RAFT_APPEND && a->entries != NULL && i < a->count; i++)
        raft_entry_release(a->entries[i]);
    arena_free(&h->arena);
    mem_free(h);
}

static bool is_request(const struct raft_message *m) {
    return m->kind == RAFT_APPEND || m->kind == RAFT_VOTE || m->kind == RAFT_INSTALL ||
           m->kind == RAFT_TIMEOUT_NOW;
}

static void drop(struct raft_driver *d, const struct raft_message *m, const char *why) {
    if (is_request(m))
        raft_transport_fail(d->transport, m, str_from(why));
    else
        raft_transport_drop(d->transport, m->reply);
}

/* ---- entries for followers that are behind ---- */

static struct catch_up *catch_up_of(struct raft_driver *d, struct str id) {
    for (struct catch_up *c = d->catch_ups; c != NULL; c = c->next) {
        if (str_eq(c->id, id))
            return c;
    }
    struct catch_up *c = mem_zalloc(1, sizeof *c + id.len + 1);
    memcpy(c + 1, id.data, id.len);
    c->id = str_of((char *)(c + 1), id.len);
    c->waiting_end = &c->waiting;
    c->next = d->catch_ups;
    if (d->catch_ups == NULL)
        loop_timer_set(&d->catch_up_timer, CATCH_UP_KEPT);
    d->catch_ups = c;
    return c;
}

static void catch_up_free(struct catch_up *c) {
    while (c->waiting != NULL) {
        struct held_send *h = c->waiting;
        c->waiting = h->next;
        held_free(h);
    }
    if (c->entries != NULL)
        raft_disk_job_free(c->entries);
    mem_free(c);
}

static bool leads_in(const struct raft_driver *d, uint64_t term) {
    return raft_get_state(d->raft) == RAFT_LEADER && raft_term(d->raft) == term;
}

static void catch_up_forget(struct catch_up *c) {
    if (c->entries != NULL)
        raft_disk_job_free(c->entries);
    c->entries = NULL;
}

/* Sends it if its entries have been read. */
static bool catch_up_send(struct raft_driver *d, struct catch_up *c, struct raft_message *m) {
    const struct raft_disk_job *read = c->entries;
    struct raft_append *a = &m->append;
    if (read == NULL || a->first < read->index || a->first + a->count > read->index + read->count)
        return false;
    a->entries = read->entries + (a->first - read->index);
    raft_transport_send(d->transport, m);
    a->entries = NULL;
    return true;
}

static void catch_up_read(struct raft_driver *d, struct catch_up *c);

static void catch_up_done(struct raft_disk_job *job) {
    struct raft_driver *d = job->owner;
    struct catch_up *c = job->second_owner;
    if (d->stopping) { /* the list is gone */
        raft_disk_job_free(job);
        return;
    }
    c->reading = false;
    c->used_at = time_now_monotonic();
    catch_up_forget(c);
    bool fits = job->ok && job->term == c->term;
    c->entries = fits ? job : NULL;
    while (c->waiting != NULL) {
        struct held_send *h = c->waiting;
        bool current = leads_in(d, h->message.append.term);
        if (job->ok && current && !catch_up_send(d, c, &h->message))
            break;
        if (!job->ok || !current)
            drop(d, &h->message, job->ok ? "no longer leader" : "failed to read the log");
        c->waiting = h->next;
        held_free(h);
    }
    if (c->waiting == NULL)
        c->waiting_end = &c->waiting;
    else
        catch_up_read(d, c);
    if (!fits)
        raft_disk_job_free(job);
    raft_transport_flush(d->transport);
}

static void catch_up_read(struct raft_driver *d, struct catch_up *c) {
    const struct raft_append *a = &c->waiting->message.append;
    struct raft_disk_job *job = raft_disk_job_new(RAFT_DISK_READ);
    job->index = a->first;
    job->needed = a->first + a->count - 1;
    job->last = raft_log_last_index(raft_get_log(d->raft));
    job->term = c->term;
    job->done = catch_up_done;
    job->owner = d;
    job->second_owner = c;
    c->reading = true;
    raft_disk_submit(d->disk, job);
}

static void send_older(struct raft_driver *d, const struct raft_message *m) {
    struct catch_up *c = catch_up_of(d, m->peer_id);
    struct raft_message copy = *m;
    if (!leads_in(d, m->append.term)) {
        drop(d, m, "no longer leader");
        return;
    }
    if (c->term != m->append.term)
        catch_up_forget(c);
    c->term = m->append.term;
    c->used_at = time_now_monotonic();
    if (c->waiting == NULL && catch_up_send(d, c, &copy))
        return;
    struct held_send *h = held_new(m, 0);
    *c->waiting_end = h;
    c->waiting_end = &h->next;
    if (!c->reading)
        catch_up_read(d, c);
}

static void catch_up_sweep(struct loop_timer *timer) {
    struct raft_driver *d = timer->owner;
    int64_t now = time_now_monotonic();
    for (struct catch_up **at = &d->catch_ups; *at != NULL;) {
        struct catch_up *c = *at;
        if (c->reading || now - c->used_at < CATCH_UP_KEPT) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        catch_up_free(c);
    }
    if (d->catch_ups != NULL)
        loop_timer_set(&d->catch_up_timer, CATCH_UP_KEPT);
}

/* ---- the newest snapshot for a follower that is too far behind ---- */

struct snapshot_open {
    struct raft_driver *driver;
    struct held_send *held;
    struct snapshot_meta meta;
    struct arena arena;
    int fd;
};

static void snapshot_open_free(struct snapshot_open *o) {
    if (o->fd >= 0)
        close(o->fd);
    snapshot_meta_free(&o->meta);
    held_free(o->held);
    arena_free(&o->arena);
    mem_free(o);
}

/* On the disk thread: directories are read. */
static void open_newest(struct raft_disk_job *job) {
    struct snapshot_open *o = job->owner;
    struct snapshots *s = o->driver->snapshots;
    struct snapshot_meta *metas;
    size_t count, skipped;
    job->error = ERROR_IN(&job->arena);
    if (!snapshots_list(s, &metas, &count, &skipped, &o->arena, &job->error))
        return;
    for (size_t i = 0; i < count; i++) {
        if (o->fd < 0)
            o->fd = snapshots_open_state(s, metas[i].id, &job->error);
        if (o->fd >= 0 && o->meta.configuration == NULL)
            o->meta = metas[i];
        else
            snapshot_meta_free(&metas[i]);
    }
    if (count == 0)
        error_set(&job->error, ERROR_INTERNAL, "failed to get snapshot to send");
}

static void send_snapshot(struct raft_driver *d, struct raft_message *m,
                          const struct snapshot_meta *meta, int fd) {
    m->tag.last = meta->index;
    m->install.last_index = meta->index;
    m->install.last_term = meta->term;
    m->install.configuration = meta->configuration;
    m->install.configuration_index = meta->configuration_index;
    m->install.size = meta->size;
    m->install.version = 1;
    log_at(LOG_INFO, DRIVER_LOG, "sending snapshot", LOG_S("peer", m->peer_id),
           LOG_I("index", meta->index), LOG_I("bytes", meta->size));
    raft_transport_send_snapshot(d->transport, m, fd);
}

static void newest_opened(struct raft_disk_job *job) {
    struct snapshot_open *o = job->owner;
    struct raft_driver *d = o->driver;
    struct raft_message *m = &o->held->message;
    if (d->stopping) {
        snapshot_open_free(o);
        raft_disk_job_free(job);
        return;
    }
    bool useful = o->fd >= 0 && o->meta.index + 1 >= raft_get_log(d->raft)->first;
    if (useful) {
        send_snapshot(d, m, &o->meta, o->fd);
        o->fd = -1;
    } else {
        struct str why =
            error_is_set(&job->error) ? job->error.text : STR("the newest snapshot is too old");
        log_at(LOG_ERROR, DRIVER_LOG, "failed to send snapshot to", LOG_S("peer", m->peer_id),
               LOG_S("error", why));
        raft_transport_fail(d->transport, m, why);
    }
    snapshot_open_free(o);
    raft_disk_job_free(job);
}

static void send_newest(struct raft_driver *d, const struct raft_message *m) {
    if (d->dev) {
        struct raft_message copy = *m;
        struct raft_driver_snapshot *s = d->dev_snapshot;
        int fd = s != NULL ? dup(s->fd) : -1;
        if (fd >= 0)
            send_snapshot(d, &copy, &s->meta, fd);
        else
            drop(d, m, "failed to get snapshot to send");
        return;
    }
    struct snapshot_open *o = MEM_NEW(struct snapshot_open);
    o->driver = d;
    o->held = held_new(m, 0);
    o->arena = ARENA_INIT;
    o->fd = -1;
    struct raft_disk_job *job = raft_disk_job_new(RAFT_DISK_CALL);
    job->call = open_newest;
    job->done = newest_opened;
    job->owner = o;
    raft_disk_submit(d->disk, job);
}

/* ---- sending ---- */

static void send_now(struct raft_driver *d, const struct raft_message *m) {
    if (!is_request(m))
        raft_transport_answer(d->transport, m, STR(""));
    else if (m->kind == RAFT_INSTALL)
        send_newest(d, m);
    else if (m->kind == RAFT_APPEND && m->append.count > 0 && m->append.entries == NULL)
        send_older(d, m);
    else
        raft_transport_send(d->transport, m);
}

void driver_send(struct raft_driver *d, const struct raft_action *a) {
    if (a->sequence == UINT64_MAX) {
        drop(d, &a->message, "failed to persist the term");
    } else if (a->sequence <= d->persisted) {
        send_now(d, &a->message);
    } else {
        struct held_send *h = held_new(&a->message, a->sequence);
        *d->held_end = h;
        d->held_end = &h->next;
    }
}

void driver_sends_release(struct raft_driver *d) {
    while (d->held != NULL && d->held->sequence <= d->persisted) {
        struct held_send *h = d->held;
        d->held = h->next;
        if (d->held == NULL)
            d->held_end = &d->held;
        send_now(d, &h->message);
        held_free(h);
    }
}

void driver_sends_drop(struct raft_driver *d) {
    while (d->held != NULL) {
        struct held_send *h = d->held;
        d->held = h->next;
        drop(d, &h->message, "failed to commit logs");
        held_free(h);
    }
    d->held_end = &d->held;
}

/* ---- receiving ---- */

static bool bad_version(struct raft_driver *d, struct raft_message *m) {
    int64_t version = m->install.version;
    if (version == 0 || version == 1)
        return false;
    struct arena arena = ARENA_INIT;
    struct raft_message result = {.kind = RAFT_INSTALL_RESULT,
                                  .reply = m->reply,
                                  .install_result = {.term = raft_term(d->raft)}};
    raft_transport_answer(
        d->transport, &result,
        str_format(&arena, "unsupported snapshot version %lld", (long long)version));
    arena_free(&arena);
    return true;
}

static void on_receive(void *owner, struct raft_message *m) {
    struct raft_driver *d = owner;
    bool install = m->kind == RAFT_INSTALL;
    if (d->dead) { /* nothing can be promised any more */
        if (is_request(m))
            raft_transport_drop(d->transport, m->reply);
        return;
    }
    if (install && bad_version(d, m))
        return;
    if (install && !driver_install_ready(d, m))
        m->install.last_index = 0; /* to be refused */
    struct raft_event event = {.kind = RAFT_EVENT_RECEIVE, .message = m};
    int64_t began = time_now_monotonic();
    driver_step(d, &event);
    if (install)
        driver_install_settle(d, m); /* when it was answered, m is gone */
    else
        driver_measure_received(m, began);
}

static struct str suffrage_text(const struct raft_driver *d, const struct raft_message *m,
                                struct arena *arena) {
    const struct raft_configuration *c = raft_latest_configuration(d->raft, NULL);
    const struct raft_server *s = c != NULL ? raft_configuration_find(c, m->peer_id) : NULL;
    const char *suffrage = s == NULL || s->suffrage == RAFT_VOTER ? "Voter" : "Nonvoter";
    return str_format(arena, "{%s " STR_FMT " " STR_FMT "}", suffrage, STR_ARG(m->peer_id),
                      STR_ARG(m->peer_address));
}

static void log_failure(const struct raft_driver *d, const struct raft_message *m, struct str why) {
    struct arena arena = ARENA_INIT;
    struct str peer = suffrage_text(d, m, &arena);
    if (m->kind == RAFT_APPEND && m->tag.heartbeat)
        log_at(LOG_ERROR, DRIVER_LOG, "failed to heartbeat to", LOG_S("peer", m->peer_address),
               LOG_S("error", why));
    else if (m->kind == RAFT_APPEND)
        log_at(LOG_ERROR, DRIVER_LOG, "failed to appendEntries to", LOG_S("peer", peer),
               LOG_S("error", why));
    else if (m->kind == RAFT_VOTE)
        log_at(LOG_ERROR, DRIVER_LOG, "failed to make requestVote RPC", LOG_S("target", peer),
               LOG_S("error", why));
    else if (m->kind == RAFT_INSTALL)
        log_at(LOG_ERROR, DRIVER_LOG, "failed to send snapshot to", LOG_S("peer", peer),
               LOG_S("error", why));
    else
        log_at(LOG_ERROR, DRIVER_LOG, "failed to make TimeoutNow RPC", LOG_S("peer", peer),
               LOG_S("error", why));
    arena_free(&arena);
}

/* A pipeline that breaks fails in many pieces; one line says it. */
static void on_failed(void *owner, struct raft_message *m, struct str why) {
    struct raft_driver *d = owner;
    if (d->dead)
        return;
    bool matters = m->tag.term == raft_term(d->raft) || m->kind == RAFT_INSTALL;
    bool again = m->kind == RAFT_APPEND && !m->tag.heartbeat && m->tag.epoch == d->failed_epoch &&
                 str_eq(m->peer_id, buf_str(&d->failed_peer));
    if (matters && !again)
        log_failure(d, m, why);
    if (m->kind == RAFT_APPEND && !m->tag.heartbeat) {
        d->failed_epoch = m->tag.epoch;
        buf_clear(&d->failed_peer);
        buf_add_str(&d->failed_peer, m->peer_id);
    }
    struct raft_event event = {.kind = RAFT_EVENT_SEND_FAILED, .message = m};
    driver_step(d, &event);
}

void raft_driver_accept(struct raft_driver *d, struct stream_detached *connection, const char *from,
                        void (*closed)(void *owner), void *owner) {
    raft_transport_accept(d->transport, connection, from, closed, owner);
}

/* ---- life ---- */

static bool ask_address(void *owner, struct str id, char out[64]) {
    struct raft_driver *d = owner;
    return d->options.server_address(d->options.owner, id, out);
}

void driver_network_start(struct raft_driver *d) {
    struct raft_transport_options options = {
        .source = d->options.source,
        .secure = d->options.secure,
        .datacenter = d->options.datacenter,
        .local = d->options.address,
        .protocol = d->options.protocol,
        .rpc_timeout = 10 * SECOND,
        .owner = d,
        .receive = on_receive,
        .failed = on_failed,
        .server_address = d->options.server_address != NULL ? ask_address : NULL,
        .install_begin = driver_install_begin,
        .install_add = driver_install_add,
        .install_end = driver_install_end,
        .install_abort = driver_install_abort,
    };
    d->transport = raft_transport_new(d->core, &options);
    loop_timer_init(d->core, &d->catch_up_timer, catch_up_sweep, d);
}

void driver_network_stop(struct raft_driver *d) {
    while (d->held != NULL) {
        struct held_send *h = d->held;
        d->held = h->next;
        drop(d, &h->message, "shutdown");
        held_free(h);
    }
    d->held_end = &d->held;
    raft_transport_stop(d->transport);
    while (d->catch_ups != NULL) {
        struct catch_up *c = d->catch_ups;
        d->catch_ups = c->next;
        catch_up_free(c);
    }
    loop_timer_close(&d->catch_up_timer, NULL);
}

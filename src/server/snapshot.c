/* Saving and restoring the whole state as an archive (fsm.md 8, rpc.md 8), here or, by
 * snapshot_forward.c, on another server. The archive is packed and read on a worker thread of the
 * caller's loop, because that is long and blocks; the core takes the snapshot and replaces the
 * state. What an archive is, the driver knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "acl/authorizer.h"
#include "base/mem.h"
#include "server/endpoints.h"
#include "server/server_room.h"

struct snapshot_work {
    struct snapshot_call *call;
    struct raft_proposal proposal;
    struct raft_driver_snapshot *snapshot;
    struct raft_driver_restore *restore;
    uv_work_t work;
    bool reserved; /* of restores one runs at a time: this one */
};

/* ---- the end of a job, on the caller's loop ---- */

static void finish(struct snapshot_call *c) {
    struct server *s = c->server;
    if (!c->elsewhere) {
        c->meta.known_leader = server_known_leader(s);
        c->meta.last_contact = (int64_t)server_last_contact_ns(s);
    }
    peer_release(c->peer);
    c->peer = NULL;
    pthread_mutex_lock(&s->jobs_mutex);
    if (c->work->reserved) {
        s->restoring = false;
    }
    pthread_mutex_unlock(&s->jobs_mutex);
    mem_free(c->work);
    c->work = NULL;
    c->done(c);
    pthread_mutex_lock(&s->jobs_mutex);
    s->jobs--;
    pthread_cond_broadcast(&s->jobs_over);
    pthread_mutex_unlock(&s->jobs_mutex);
}

static void finish_run(struct message *m) {
    finish(CONTAINER_OF(m, struct snapshot_call, message));
}

static void send_home(struct snapshot_call *c, void (*run)(struct message *m)) {
    c->message.run = run;
    loop_post_reply(c->home, &c->message);
}

static void send_to_core(struct snapshot_call *c, void (*run)(struct message *m)) {
    c->message.run = run;
    if (!loop_post(&c->server->core, &c->message)) {
        error_set(&c->error, ERROR_RATE_LIMIT, "RPC rate limit exceeded");
        send_home(c, finish_run);
    }
}

static void job_begin(struct server *s, struct snapshot_call *c) {
    struct snapshot_work *w = MEM_NEW(struct snapshot_work);
    w->call = c;
    w->work.data = w;
    c->work = w;
    c->server = s;
    c->home = loop_current();
    c->arena = ARENA_INIT;
    c->error = ERROR_IN(&c->arena);
    c->result = -1;
    c->size = 0;
    c->meta = (struct query_meta){.index = 0};
    c->peer = NULL;
    c->restoring = c->elsewhere = false;
    pthread_mutex_lock(&s->jobs_mutex);
    s->jobs++;
    pthread_mutex_unlock(&s->jobs_mutex);
    if (c->datacenter.len == 0) {
        c->datacenter = s->options.datacenter;
    }
}

/* ---- where ---- */

static void forwarded(struct snapshot_call *c) {
    struct server *s = c->server;
    if (error_is_set(&c->error) && c->peer != NULL &&
        (s->options.client || !str_eq(c->peer->datacenter, s->options.datacenter))) {
        peers_rotate(s->peers, c->peer);
    }
    finish(c);
}

static bool forward_to_leader(struct snapshot_call *c) {
    struct server *s = c->server;
    char text[64];
    struct str address = str_of(text, server_leader_address(s, text));
    c->peer = peers_by_address(s->peers, address);
    if (address.len == 0 || str_is(address, s->raft_address) ||
        (c->peer == NULL && atomic_load(&s->gossip))) {
        return error_set(&c->error, ERROR_NO_LEADER, "No cluster leader");
    }
    c->elsewhere = true;
    snapshot_forward(c, address, forwarded);
    return true;
}

/* True: it is done here. False: another server has it, or it is refused with c->error. */
static bool runs_here(struct snapshot_call *c) {
    struct server *s = c->server;
    bool own = str_eq(c->datacenter, s->options.datacenter);
    if (!c->remote && !rpc_rate_allow(&s->rate)) {
        return error_set(&c->error, ERROR_RATE_LIMIT, "RPC rate limit exceeded");
    }
    if (s->options.client || !own) {
        c->peer = peers_choose(s->peers, c->datacenter, &c->error);
        if (c->peer != NULL) {
            c->elsewhere = true;
            snapshot_forward(c, c->peer->address, forwarded);
        }
        return false;
    }
    if (c->allow_stale || server_is_leader(s)) {
        return true;
    }
    forward_to_leader(c);
    return false;
}

/* ---- who may: where it is done (acl.md 9.6) ---- */

static void begin_here(struct snapshot_call *c);

static void snapshot_authorized(struct authorize *a) {
    struct snapshot_call *c = CONTAINER_OF(a, struct snapshot_call, authorize);
    bool allowed = authorizer_may_snapshot(authorization_may(a->result));
    authorization_release(a->result);
    if (error_is_set(&a->error)) {
        error_copy(&c->error, &a->error);
    } else if (!allowed) {
        error_set(&c->error, ERROR_DENIED, "Permission denied");
    }
    if (error_is_set(&c->error)) {
        send_home(c, finish_run);
    } else {
        begin_here(c);
    }
}

static void snapshot_authorize(struct snapshot_call *c) {
    c->authorize = (struct authorize){
        .secret = c->token, .done = snapshot_authorized, .error = ERROR_IN(&c->arena)};
    if (authorize_start(&c->authorize)) {
        snapshot_authorized(&c->authorize);
    }
}

static bool leader_here(struct snapshot_call *c) {
    return server_is_leader(c->server) ||
           error_set(&c->error, ERROR_NO_LEADER, "No cluster leader");
}

/* ---- save ---- */

int snapshot_scratch_file(const struct server *s, struct error *e) {
    char path[4096];
    const char *tmp = getenv("TMPDIR");
    struct str dir = s->options.dev_mode || s->options.data_dir.len == 0
                         ? str_from(tmp != NULL ? tmp : "/tmp")
                         : s->options.data_dir;
    snprintf(path, sizeof(path), "%.*s/snapshot-XXXXXX", STR_ARG(dir));
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(e, errno, "failed to create a file for the snapshot");
        return -1;
    }
    unlink(path);
    return fd;
}

static bool sink_write(void *owner, struct str bytes, struct error *e) {
    int fd = *(int *)owner;
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno != EINTR) {
            return error_set_errno(e, errno, "failed to write the snapshot");
        }
        bytes = n > 0 ? str_sub(bytes, (size_t)n, bytes.len) : bytes;
    }
    return true;
}

static void save_pack(uv_work_t *work) {
    struct snapshot_work *w = work->data;
    struct snapshot_call *c = w->call;
    int fd = snapshot_scratch_file(c->server, &c->error);
    if (fd >= 0 && raft_driver_snapshot_pack(w->snapshot, sink_write, &fd, &c->error)) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        c->size = end > 0 ? (uint64_t)end : 0;
        lseek(fd, 0, SEEK_SET);
        c->result = fd;
    } else if (fd >= 0) {
        close(fd);
    }
    raft_driver_snapshot_close(w->snapshot);
}

static void save_packed(uv_work_t *work, int status) {
    (void)status; /* jobs are never called off */
    struct snapshot_work *w = work->data;
    finish(w->call);
}

static void save_taken_home(struct message *m) {
    struct snapshot_call *c = CONTAINER_OF(m, struct snapshot_call, message);
    struct snapshot_work *w = c->work;
    c->meta.index = raft_driver_snapshot_index(w->snapshot);
    int rc = uv_queue_work(&c->home->uv, &w->work, save_pack, save_packed);
    ASSERT(rc == 0);
}

static void save_taken(void *owner, struct raft_driver_snapshot *snapshot, const struct error *e) {
    struct snapshot_call *c = owner;
    struct snapshot_work *w = c->work;
    if (snapshot == NULL) {
        error_copy(&c->error, e);
        error_prefix(&c->error, "Raft error when taking snapshot: ");
        send_home(c, finish_run);
        return;
    }
    w->snapshot = snapshot;
    send_home(c, save_taken_home);
}

static void save_verified(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct snapshot_work *w = CONTAINER_OF(p, struct snapshot_work, proposal);
    struct snapshot_call *c = w->call;
    if (error_is_set(&outcome->error)) {
        error_copy(&c->error, &outcome->error);
        send_home(c, finish_run);
        return;
    }
    raft_driver_take_snapshot(c->server->driver, save_taken, c);
}

static void save_on_core(struct message *m) {
    struct snapshot_call *c = CONTAINER_OF(m, struct snapshot_call, message);
    struct snapshot_work *w = c->work;
    if (c->allow_stale) {
        raft_driver_take_snapshot(c->server->driver, save_taken, c);
        return;
    }
    w->proposal.done = save_verified;
    raft_driver_verify_leader(c->server->driver, &w->proposal);
}

void server_snapshot_save(struct server *s, struct snapshot_call *c) {
    job_begin(s, c);
    if (runs_here(c)) {
        snapshot_authorize(c);
    } else if (!c->elsewhere) {
        send_home(c, finish_run);
    }
}

/* ---- restore ---- */

static ptrdiff_t source_read(void *owner, char *out, size_t max, struct error *e) {
    int fd = *(int *)owner;
    ssize_t n;
    do {
        n = read(fd, out, max);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        error_set_errno(e, errno, "failed to read the snapshot");
    }
    return n;
}

static void restore_read(uv_work_t *work) {
    struct snapshot_work *w = work->data;
    struct snapshot_call *c = w->call;
    int fd = c->archive;
    lseek(fd, 0, SEEK_SET);
    w->restore = raft_driver_restore_read(c->server->driver, source_read, &fd, &c->error);
}

static void restore_settled(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct snapshot_work *w = CONTAINER_OF(p, struct snapshot_work, proposal);
    struct snapshot_call *c = w->call;
    server_publish(c->server, NULL);
    if (error_is_set(&outcome->error)) {
        error_copy(&c->error, &outcome->error);
    } else {
        leader_reestablish(c->server->leader);
    }
    send_home(c, finish_run);
}

/* The barrier behind a restore is also what the next snapshot may end with: without it there would
 * be nothing to save until somebody writes (raft.md 4.8). */
static void restore_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct snapshot_work *w = CONTAINER_OF(p, struct snapshot_work, proposal);
    if (error_is_set(&outcome->error)) {
        restore_settled(p, outcome);
        return;
    }
    server_publish(w->call->server, NULL);
    p->done = restore_settled;
    raft_driver_barrier(w->call->server->driver, p);
}

static void restore_on_core(struct message *m) {
    struct snapshot_call *c = CONTAINER_OF(m, struct snapshot_call, message);
    struct snapshot_work *w = c->work;
    if (!leader_here(c)) {
        raft_driver_restore_free(w->restore);
        send_home(c, finish_run);
        return;
    }
    w->proposal.done = restore_done;
    raft_driver_restore(c->server->driver, w->restore, &w->proposal);
}

static void restore_was_read(uv_work_t *work, int status) {
    (void)status;
    struct snapshot_work *w = work->data;
    struct snapshot_call *c = w->call;
    if (w->restore == NULL) {
        finish(c);
        return;
    }
    c->message.run = restore_on_core;
    if (!loop_post(&c->server->core, &c->message)) {
        raft_driver_restore_free(w->restore);
        error_set(&c->error, ERROR_RATE_LIMIT, "RPC rate limit exceeded");
        finish(c);
    }
}

static bool restore_reserve(struct server *s, struct snapshot_call *c) {
    pthread_mutex_lock(&s->jobs_mutex);
    c->work->reserved = !s->restoring;
    s->restoring = true;
    pthread_mutex_unlock(&s->jobs_mutex);
    return c->work->reserved ||
           error_set(&c->error, ERROR_INTERNAL, "another restore is in progress");
}

static bool restore_check(struct snapshot_call *c) {
    return c->allow_stale ? error_set(&c->error, ERROR_INTERNAL, "stale not allowed for restore")
                          : restore_reserve(c->server, c);
}

void server_snapshot_restore(struct server *s, struct snapshot_call *c) {
    job_begin(s, c);
    c->restoring = true;
    if (runs_here(c)) {
        snapshot_authorize(c);
    } else if (!c->elsewhere) {
        send_home(c, finish_run);
    }
}

/* ---- both ---- */

static void begin_here(struct snapshot_call *c) {
    struct snapshot_work *w = c->work;
    if (!c->restoring) {
        send_to_core(c, save_on_core);
    } else if (!restore_check(c)) {
        send_home(c, finish_run);
    } else {
        int rc = uv_queue_work(&c->home->uv, &w->work, restore_read, restore_was_read);
        ASSERT(rc == 0);
    }
}

/* ---- for the server's end ---- */

void server_snapshot_wait(struct server *s) {
    pthread_mutex_lock(&s->jobs_mutex);
    while (s->jobs > 0) {
        pthread_cond_wait(&s->jobs_over, &s->jobs_mutex);
    }
    pthread_mutex_unlock(&s->jobs_mutex);
}

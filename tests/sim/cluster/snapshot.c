/* Snapshots, as server/raft_driver_{snapshot,install,restore}.c have them: of the local state,
 * written while entries go on being applied; a leader's, which replaces everything; a user's, which
 * replaces the cluster's state. All are real snapshot directories on the simulated disk.
 */
#include "sim/cluster/sim.h"

static int64_t wall_ms(const struct node *n) {
    return (n->sim->now + n->wall) / MILLISECOND + 1700000000000;
}

static struct raft_configuration *configuration_copy(const struct raft_configuration *c) {
    return raft_configuration_new(c->servers, c->len);
}

static struct snapshot_writer *write_state(struct node *n, const char *name, struct str state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct snapshot_writer *w = snapshot_writer_new(n->snapshots, name, &e);
    for (size_t at = 0; w != NULL && at < state.len;) {
        size_t piece = 1 + (size_t)node_below(n, 5000);
        if (!snapshot_writer_add(w, str_sub(state, at, piece), &e)) {
            snapshot_writer_abort(w);
            w = NULL;
        }
        at += piece;
    }
    arena_free(&arena);
    return w;
}

/* The writer is gone afterwards. Others than local ones count when the log has followed. */
static bool publish(struct node *n, struct snapshot_writer *w, struct snapshot_meta *m,
                    bool local) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    bool ok = snapshot_writer_finish(w, m, wall_ms(n), &arena, &e);
    if (ok && local)
        check_snapshot_durable(n, m->index, m->term);
    if (ok && local)
        (void)snapshots_reap(n->snapshots, &e);
    arena_free(&arena);
    return ok;
}

/* The process ends while it writes one. */
static void writer_end(struct node *n, struct snapshot_writer *w, struct snapshot_meta *m,
                       bool torn) {
    if (torn) {
        n->disk->crash_at = n->disk->calls + 1 + node_below(n, 10);
        sim_fault(n->sim, FAULT_TORN);
        (void)publish(n, w, m, false);
    } else {
        n->disk->crash_at = 1; /* nothing more reaches the disk */
        snapshot_writer_abort(w);
    }
    n->disk->crash_at = 0;
}

/* ---- of the local state ---- */

struct snapshot_task {
    struct sim_event event;
    struct machine_snapshot *content;
    struct snapshot_meta meta;
    struct snapshot_writer *writer;
};

static void task_free(struct node *n) {
    struct snapshot_task *t = n->task;
    n->task = NULL;
    sim_cancel(n->sim, &t->event);
    machine_snapshot_release(t->content);
    snapshot_meta_free(&t->meta);
    mem_free(t);
}

static void task_fire(struct sim *s, struct sim_event *e) {
    struct node *n = e->node;
    struct snapshot_task *t = n->task;
    if (t->writer == NULL) {
        t->writer = write_state(n, "local", buf_str(&t->content->state));
        if (t->writer == NULL)
            task_free(n);
        else
            sim_after(s, &t->event, sim_delay(s, 500 * MILLISECOND));
        return;
    }
    struct snapshot_writer *w = t->writer;
    t->writer = NULL;
    bool ok = publish(n, w, &t->meta, true);
    uint64_t index = t->meta.index, term = t->meta.term;
    SIM_TRACE(s, "%s snapshot at %llu: %s", n->id, (unsigned long long)index,
              ok ? "done" : "failed");
    task_free(n);
    if (!ok)
        return;
    s->totals.snapshots++;
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = {index, term}};
    node_step(n, &event);
    if (index >= n->snapshot_index) {
        n->snapshot_index = index;
        n->snapshot_term = term;
    }
}

static void task_start(struct node *n) {
    struct sim *s = n->sim;
    uint64_t configuration_index;
    const struct raft_configuration *c =
        raft_committed_configuration(n->raft, &configuration_index);
    if (n->command_index == 0 || c == NULL || n->command_index < configuration_index)
        return;
    struct snapshot_task *t = MEM_NEW(struct snapshot_task);
    n->task = t;
    t->content = machine_snapshot_take(n->machine);
    t->meta = (struct snapshot_meta){.index = n->command_index,
                                     .term = n->command_term,
                                     .configuration = configuration_copy(c),
                                     .configuration_index = configuration_index};
    t->event.fire = task_fire;
    sim_bind(&t->event, n);
    sim_after(s, &t->event, sim_delay(s, 500 * MILLISECOND));
    SIM_TRACE(s, "%s snapshot at %llu begins", n->id, (unsigned long long)t->meta.index);
}

static void timer_fire(struct sim *s, struct sim_event *e) {
    struct node *n = e->node;
    uint64_t last = raft_log_last_index(raft_get_log(n->raft));
    if (last - n->snapshot_index >= s->plan.snapshot_threshold)
        n->snapshot_wanted = true;
    snapshot_timer_set(n);
    node_soon(n);
}

void snapshot_timer_set(struct node *n) {
    n->snapshot_timer.fire = timer_fire;
    sim_after(n->sim, &n->snapshot_timer, SECOND + (int64_t)sim_below(n->sim, 3 * SECOND));
}

/* ---- a leader's ---- */

struct incoming {
    struct sim_event event;
    struct arena arena;
    struct raft_message message;
    struct blob *blob;
    struct snapshot_writer *writer;
    struct snapshot_meta meta;
    bool taken;     /* by the core */
    bool finishing; /* on the disk thread */
};

struct blob *snapshot_newest(struct node *n, struct raft_message *m) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct snapshot_meta *metas = NULL;
    size_t count = 0, skipped;
    struct blob *b = NULL;
    int handle = -1;
    /* One that is older than the log begins is of no use: a newer one could not be read. */
    if (snapshots_list(n->snapshots, &metas, &count, &skipped, &arena, &e) && count > 0 &&
        metas[0].index + 1 >= raft_get_log(n->raft)->first)
        handle = snapshots_open_state(n->snapshots, metas[0].id, &e);
    if (handle >= 0) {
        b = MEM_NEW(struct blob);
        b->references = 1;
        char *room = buf_reserve(&b->bytes, (size_t)metas[0].size);
        int64_t got = n->io.pread(n->io.owner, handle, room, (size_t)metas[0].size, 0);
        n->io.close(n->io.owner, handle);
        b->bytes.len = got > 0 ? (size_t)got : 0;
        if (got != metas[0].size) {
            blob_release(b);
            b = NULL;
        }
    }
    if (b != NULL) {
        m->install.last_index = m->tag.last = metas[0].index;
        m->install.last_term = metas[0].term;
        m->install.configuration = raft_configuration_hold(metas[0].configuration);
        m->install.configuration_index = metas[0].configuration_index;
        m->install.size = metas[0].size;
        m->install.version = 1;
    }
    for (size_t i = 0; i < count; i++)
        snapshot_meta_free(&metas[i]);
    arena_free(&arena);
    return b;
}

static void incoming_free(struct node *n) {
    struct incoming *in = n->incoming;
    n->incoming = NULL;
    sim_cancel(n->sim, &in->event);
    if (in->writer != NULL)
        snapshot_writer_abort(in->writer);
    snapshot_meta_free(&in->meta);
    raft_configuration_release(in->message.install.configuration);
    blob_release(in->blob);
    arena_free(&in->arena);
    mem_free(in);
}

static void installed(struct node *n, bool ok) {
    struct incoming *in = n->incoming;
    struct raft_event event = {.kind = RAFT_EVENT_INSTALLED, .installed = {ok, &in->message}};
    node_step(n, &event);
    incoming_free(n);
}

static void take_over(struct node *n) {
    struct incoming *in = n->incoming;
    uint64_t index = in->meta.index, term = in->meta.term;
    char why[200];
    struct watch_touched *touched;
    if (!machine_restore(n->machine, buf_str(&in->blob->bytes), index, term, &touched, why))
        sim_fail(n->sim, "%s: %s", n->id, why);
    if (touched != NULL)
        io_push(n, touched);
    n->applied = n->apply_target = n->snapshot_index = index;
    n->applied_term = n->snapshot_term = term;
    n->command_index = 0;
    n->sim->totals.installs++;
    SIM_TRACE(n->sim, "%s installed %llu", n->id, (unsigned long long)index);
    check_replaced(n, index, term);
    installed(n, true);
}

static bool finish_call(struct node *n, struct job *j) {
    (void)j;
    struct incoming *in = n->incoming;
    struct snapshot_writer *w = in->writer;
    in->writer = NULL;
    return publish(n, w, &in->meta, false);
}

static void finish_done(struct node *n, struct job *j) {
    bool ok = j->ok;
    job_free(j);
    if (n->raft_broken)
        return;
    if (ok)
        take_over(n);
    else
        installed(n, false);
}

/* What is being applied, written or read comes to its end first. */
static void incoming_tick(struct node *n) {
    struct incoming *in = n->incoming;
    if (in == NULL || !in->taken || in->finishing || n->restored != NULL || n->task != NULL ||
        n->reading || n->applied < n->apply_target || n->raft_broken)
        return;
    in->finishing = true;
    struct job *j = job_new(JOB_CALL);
    j->call = finish_call;
    j->done = finish_done;
    disk_submit(n, j);
}

static bool core_takes(struct node *n, struct raft_message *m) {
    n->install_taken = false;
    struct raft_event event = {.kind = RAFT_EVENT_RECEIVE, .message = m};
    node_step(n, &event);
    return n->install_taken;
}

/* All bytes have come. */
static void incoming_fire(struct sim *s, struct sim_event *e) {
    (void)s;
    struct node *n = e->node;
    struct incoming *in = n->incoming;
    in->writer = write_state(n, "install", buf_str(&in->blob->bytes));
    bool kept = in->writer != NULL;
    if (!core_takes(n, &in->message)) {
        incoming_free(n);
        return;
    }
    in->taken = true;
    if (!kept)
        installed(n, false);
    else
        node_soon(n);
}

void install_begin(struct node *n, const struct raft_message *m, struct blob *blob) {
    struct sim *s = n->sim;
    if (n->incoming != NULL) { /* one at a time: its bytes are not kept */
        struct raft_message copy = *m;
        if (core_takes(n, &copy)) {
            struct raft_event event = {.kind = RAFT_EVENT_INSTALLED, .installed = {false, &copy}};
            node_step(n, &event);
        }
        return;
    }
    struct incoming *in = MEM_NEW(struct incoming);
    n->incoming = in;
    in->message = *m;
    in->message.install.leader = str_copy(&in->arena, m->install.leader);
    in->message.install.configuration = configuration_copy(m->install.configuration);
    in->blob = blob_hold(blob);
    in->meta = (struct snapshot_meta){.index = m->install.last_index,
                                      .term = m->install.last_term,
                                      .configuration = configuration_copy(m->install.configuration),
                                      .configuration_index = m->install.configuration_index};
    in->event.fire = incoming_fire;
    sim_bind(&in->event, n);
    sim_after(s, &in->event, sim_delay(s, 300 * MILLISECOND));
}

/* ---- a user's ---- */

struct restoring {
    struct proposal *proposal;
    struct machine_snapshot *content;
    struct snapshot_meta meta;
    struct snapshot_writer *writer;
    bool ready, finishing;
};

static void restoring_free(struct restoring *r) {
    if (r->writer != NULL)
        snapshot_writer_abort(r->writer);
    snapshot_meta_free(&r->meta);
    machine_snapshot_release(r->content);
    mem_free(r);
}

void restore_begin(struct node *n, struct proposal *p, int archive) {
    struct sim *s = n->sim;
    struct restoring *r = MEM_NEW(struct restoring);
    n->restoring = r;
    r->proposal = p;
    r->content = machine_snapshot_hold(s->archives[archive].content);
    struct raft_event event = {.kind = RAFT_EVENT_RESTORE, .restore = {s->archives[archive].index}};
    node_step(n, &event);
    if (event.error == RAFT_OK)
        return;
    n->restoring = NULL;
    restoring_free(r);
    p->done(n, p, event.error, false);
}

void restore_action(struct node *n, const struct raft_action *a) {
    struct restoring *r = n->restoring;
    r->meta = (struct snapshot_meta){.index = a->index,
                                     .term = a->restore.term,
                                     .configuration = configuration_copy(a->restore.configuration),
                                     .configuration_index = a->restore.configuration_index};
    r->ready = true;
}

static bool restore_call(struct node *n, struct job *j) {
    (void)j;
    struct restoring *r = n->restoring;
    struct snapshot_writer *w = write_state(n, "restore", buf_str(&r->content->state));
    return w != NULL && publish(n, w, &r->meta, false);
}

static void waiting_remove(struct node *n, struct proposal *p) {
    struct proposal **link = &n->waiting;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    if (*link == NULL)
        n->waiting_end = link;
}

static void restore_end(struct node *n, bool ok) {
    struct restoring *r = n->restoring;
    struct proposal *p = r->proposal;
    uint64_t index = r->meta.index, term = r->meta.term;
    n->restoring = NULL;
    if (!ok) {
        restoring_free(r);
    } else {
        n->restored = r;
        n->snapshot_index = n->applied = n->apply_target = index;
        n->snapshot_term = n->applied_term = term;
        n->command_index = 0;
        p->index = index + 1;
        waiting_add(n, p);
        check_restored(n, index, term, r->content->hash);
        n->sim->totals.restores++;
    }
    SIM_TRACE(n->sim, "%s restored %llu: %d", n->id, (unsigned long long)index, ok);
    struct raft_event event = {.kind = RAFT_EVENT_RESTORED, .restored = {ok, index, term}};
    node_step(n, &event);
    if (!ok) {
        p->done(n, p, RAFT_ERROR_MESSAGE, false);
    } else if (event.error != RAFT_OK) {
        waiting_remove(n, p);
        p->done(n, p, event.error, false);
    }
}

static void restore_done(struct node *n, struct job *j) {
    bool ok = j->ok;
    job_free(j);
    if (!n->raft_broken)
        restore_end(n, ok);
}

/* It is committed, or another leader decides what becomes of it: now the store may follow. */
static bool restored_is_due(const struct node *n) {
    const struct restoring *r = n->restored;
    return r != NULL &&
           (!n->told_leader || n->told_term != r->meta.term || n->apply_target > r->meta.index);
}

void restored_tick(struct node *n) {
    struct restoring *r = n->restored;
    if (!n->up || n->raft_broken || !restored_is_due(n))
        return;
    char why[200];
    struct watch_touched *touched;
    if (!machine_restore(n->machine, buf_str(&r->content->state), r->meta.index, r->meta.term,
                         &touched, why))
        sim_fail(n->sim, "%s: %s", n->id, why);
    SIM_CHECK(n->sim, machine_hash(n->machine) == r->content->hash);
    if (touched != NULL)
        io_push(n, touched);
    n->restored = NULL;
    restoring_free(r);
}

static void restoring_tick(struct node *n) {
    struct restoring *r = n->restoring;
    if (r == NULL || !r->ready || r->finishing || n->reading || n->task != NULL ||
        n->applied < n->apply_target || n->raft_broken)
        return;
    r->finishing = true;
    struct job *j = job_new(JOB_CALL);
    j->call = restore_call;
    j->done = restore_done;
    disk_submit(n, j);
}

/* ---- what never was ---- */

static void forget_tick(struct node *n) {
    if (!n->forgetting || n->restored != NULL || n->reading || n->task != NULL || n->raft_broken)
        return;
    n->forgetting = false;
    machine_clear(n->machine);
    struct watch_touched *touched = watch_touched_new();
    watch_touched_add(touched, WATCH_ALL, STR(""));
    io_push(n, touched);
    n->applied = n->apply_target = n->applied_term = 0;
    n->snapshot_index = n->snapshot_term = n->command_index = 0;
    n->sim->totals.forgotten++;
    SIM_TRACE(n->sim, "%s starts anew", n->id);
    struct raft_event event = {.kind = RAFT_EVENT_FORGOTTEN};
    node_step(n, &event);
}

/* ---- all of them ---- */

void snapshot_tick(struct node *n) {
    if (!n->up)
        return;
    incoming_tick(n);
    restoring_tick(n);
    forget_tick(n);
    bool busy = n->restoring != NULL || n->restored != NULL || n->forgetting ||
                (n->incoming != NULL && n->incoming->taken);
    if (n->snapshot_wanted && n->task == NULL && !busy && !n->raft_broken) {
        n->snapshot_wanted = false;
        task_start(n);
    }
}

void snapshot_forget(struct node *n, bool torn) {
    struct sim *s = n->sim;
    if (n->task != NULL) {
        if (n->task->writer != NULL)
            writer_end(n, n->task->writer, &n->task->meta, torn);
        task_free(n);
    }
    if (n->incoming != NULL) {
        struct incoming *in = n->incoming;
        if (in->writer != NULL)
            writer_end(n, in->writer, &in->meta, torn && in->taken);
        in->writer = NULL;
        network_drop(s, in->message.reply);
        incoming_free(n);
    }
    if (n->restoring != NULL) {
        struct proposal *p = n->restoring->proposal;
        restoring_free(n->restoring);
        n->restoring = NULL;
        p->done(n, p, RAFT_ERROR_SHUTDOWN, false);
    }
    if (n->restored != NULL)
        restoring_free(n->restored);
    n->restored = NULL;
}

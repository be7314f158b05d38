/* The driver's round on the core loop: give the core what was proposed, do what it says, apply what
 * is committed, answer. One round runs before and one after each poll of the loop, so that
 * everything which came in one poll becomes one log write.
 */
#include "base/metrics.h"
#include "server/raft_driver_internal.h"

#define PROPOSE_ENTRIES ((size_t)4096)
#define CHUNK_BYTES ((size_t)524288)
#define ENTRY_KVS_TYPE 2
#define TYPE_MASK 0x7f

/* ---- lists ---- */

void proposal_list_add(struct proposal_list *list, struct raft_proposal *p) {
    p->next = NULL;
    p->previous = list->last;
    if (list->last != NULL)
        list->last->next = p;
    else
        list->first = p;
    list->last = p;
}

void proposal_list_remove(struct proposal_list *list, struct raft_proposal *p) {
    *(p->previous != NULL ? &p->previous->next : &list->first) = p->next;
    *(p->next != NULL ? &p->next->previous : &list->last) = p->previous;
    p->next = p->previous = NULL;
}

/* ---- the ends of proposals ---- */

static enum error_kind kind_of(enum raft_error error) {
    return error == RAFT_ERROR_NOT_LEADER || error == RAFT_ERROR_LEADERSHIP_LOST ? ERROR_NO_LEADER
                                                                                 : ERROR_INTERNAL;
}

void driver_finish(struct raft_driver *d, struct raft_proposal *p,
                   const struct raft_outcome *outcome) {
    if (p->kind == PROPOSAL_COMMAND || p->kind == PROPOSAL_BARRIER) {
        d->in_flight_entries--;
        d->in_flight_bytes -= p->bytes;
    }
    p->done(p, outcome);
}

void driver_answer(struct raft_driver *d, struct raft_proposal *p, enum raft_error error,
                   struct str text) {
    struct arena arena = ARENA_INIT;
    struct raft_outcome outcome = {.error = ERROR_IN(&arena)};
    if (error == RAFT_ERROR_MESSAGE)
        error_set(&outcome.error, ERROR_INTERNAL, STR_FMT, STR_ARG(text));
    else if (error != RAFT_OK)
        error_set(&outcome.error, kind_of(error), "%s", raft_error_text(error));
    buf_free(&p->entry);
    driver_finish(d, p, &outcome);
    arena_free(&arena);
}

void driver_fatal(struct raft_driver *d, struct str text) {
    if (d->dead)
        return;
    d->dead = true;
    if (d->options.on_fatal != NULL)
        d->options.on_fatal(d->options.owner, text);
}

/* ---- what the core says ---- */

static struct raft_disk_job *disk_job(const struct raft_action *a, enum raft_disk_kind kind) {
    struct raft_disk_job *job = raft_disk_job_new(kind);
    job->sequence = a->sequence;
    job->index = a->index;
    return job;
}

static void do_append(struct raft_driver *d, const struct raft_action *a) {
    struct raft_disk_job *job = disk_job(a, RAFT_DISK_ENTRIES);
    job->count = a->append.count;
    job->entries = mem_resize(NULL, job->count, sizeof *job->entries);
    for (size_t i = 0; i < job->count; i++)
        job->entries[i] = raft_entry_hold(a->append.entries[i]);
    raft_disk_submit(d->disk, job);
}

static void do_term(struct raft_driver *d, const struct raft_action *a) {
    struct raft_disk_job *job = disk_job(a, RAFT_DISK_TERM);
    job->term = a->term.term;
    job->vote_term = a->term.vote_term;
    job->vote_len = a->term.vote.len < sizeof job->vote ? a->term.vote.len : sizeof job->vote - 1;
    if (job->vote_len > 0)
        memcpy(job->vote, a->term.vote.data, job->vote_len);
    raft_disk_submit(d->disk, job);
}

static void do_disk(struct raft_driver *d, const struct raft_action *a) {
    if (a->kind == RAFT_ACTION_APPEND)
        driver_measure_append(d, a);
    if (d->dev) {
        if (a->sequence > d->dev_sequence)
            d->dev_sequence = a->sequence;
        return;
    }
    switch (a->kind) {
    case RAFT_ACTION_APPEND:
        do_append(d, a);
        break;
    case RAFT_ACTION_TERM:
        do_term(d, a);
        break;
    case RAFT_ACTION_TRUNCATE:
        raft_disk_submit(d->disk, disk_job(a, RAFT_DISK_TRUNCATE));
        break;
    case RAFT_ACTION_RESET:
        raft_disk_submit(d->disk, disk_job(a, RAFT_DISK_RESET));
        break;
    default:
        raft_disk_submit(d->disk, disk_job(a, RAFT_DISK_COMPACT));
        break;
    }
}

static void do_fail(struct raft_driver *d, const struct raft_action *a) {
    while (d->waiting.last != NULL && d->waiting.last->index > a->index) {
        struct raft_proposal *p = d->waiting.last;
        proposal_list_remove(&d->waiting, p);
        driver_answer(d, p, a->error, STR_NONE);
    }
}

static void do_verified(struct raft_driver *d, const struct raft_action *a) {
    struct raft_proposal *p = a->token;
    proposal_list_remove(&d->asking, p);
    driver_answer(d, p, a->error, STR_NONE);
}

/* Appended: from now on the proposal waits for its entry like any other. */
static void do_changed(struct raft_driver *d, const struct raft_action *a) {
    struct driver_change *change = a->token;
    struct raft_proposal *p = change->proposal;
    mem_free(change);
    p->work = NULL;
    proposal_list_remove(&d->asking, p);
    if (a->error != RAFT_OK) {
        driver_answer(d, p, a->error, a->text);
        return;
    }
    p->index = a->index;
    p->term = raft_term(d->raft);
    proposal_list_add(&d->waiting, p);
    driver_view_configuration(d);
}

static void do_transferred(struct raft_driver *d, const struct raft_action *a) {
    struct raft_proposal *p = d->transfer;
    d->transfer = NULL;
    if (p != NULL)
        driver_answer(d, p, a->error, a->text);
}

static void do_log(const struct raft_action *a) {
    struct log_field fields[RAFT_LOG_FIELDS + 1] = {0};
    for (size_t i = 0; i < RAFT_LOG_FIELDS && a->log.fields[i].key != NULL; i++)
        fields[i] = (struct log_field)LOG_S(a->log.fields[i].key, a->log.fields[i].value);
    if ((int)a->log.level >= atomic_load_explicit(&log_threshold, memory_order_relaxed))
        log_write(a->log.level, DRIVER_LOG, a->log.text, fields);
}

static void do_action(struct raft_driver *d, const struct raft_action *a) {
    switch (a->kind) {
    case RAFT_ACTION_TERM:
    case RAFT_ACTION_APPEND:
    case RAFT_ACTION_TRUNCATE:
    case RAFT_ACTION_RESET:
    case RAFT_ACTION_COMPACT:
        do_disk(d, a);
        break;
    case RAFT_ACTION_APPLY:
        driver_measure_committed(d, a->index);
        d->apply_target = a->index;
        break;
    case RAFT_ACTION_COMMIT:
        driver_view_configuration(d);
        break;
    case RAFT_ACTION_STATE:
        driver_measure_state(d);
        d->state_dirty = true;
        break;
    case RAFT_ACTION_FAIL:
        do_fail(d, a);
        break;
    case RAFT_ACTION_CHANGED:
        do_changed(d, a);
        break;
    case RAFT_ACTION_VERIFIED:
        do_verified(d, a);
        break;
    case RAFT_ACTION_RESTORE:
        driver_restore_action(d, a);
        break;
    case RAFT_ACTION_LOG:
        do_log(a);
        break;
    case RAFT_ACTION_SEND:
        driver_send(d, a);
        break;
    case RAFT_ACTION_INSTALL:
        driver_install_action(d, a->install);
        break;
    case RAFT_ACTION_TRANSFERRED:
        do_transferred(d, a);
        break;
    case RAFT_ACTION_FORGET:
        d->forgetting = true;
        break;
    }
}

static void batch_accepted(struct raft_driver *d, const struct raft_event *event);

static void step_once(struct raft_driver *d, struct raft_event *event) {
    ASSERT(!d->stepping);
    d->stepping = true;
    event->now = time_now_monotonic();
    raft_step(d->raft, event, &d->actions);
    if (event->kind == RAFT_EVENT_PROPOSE && event->error == RAFT_OK)
        batch_accepted(d, event); /* before the actions, one of which may fail them */
    for (size_t i = 0; i < d->actions.len; i++)
        do_action(d, &d->actions.items[i]);
    raft_actions_clear(&d->actions);
    d->stepping = false;
    raft_transport_flush(d->transport);
}

void driver_step(struct raft_driver *d, struct raft_event *event) {
    step_once(d, event);
    while (d->dev_sequence > d->dev_persisted) { /* memory is as durable as dev mode gets */
        d->dev_persisted = d->persisted = d->dev_sequence;
        driver_measure_persisted(d, d->persisted);
        driver_sends_release(d);
        struct raft_event persisted = {.kind = RAFT_EVENT_PERSISTED, .sequence = d->dev_sequence};
        step_once(d, &persisted);
    }
}

/* ---- from the disk thread ---- */

static void on_persisted(void *owner, uint64_t sequence) {
    struct raft_driver *d = owner;
    struct raft_event event = {.kind = RAFT_EVENT_PERSISTED, .sequence = sequence};
    d->persisted = sequence;
    driver_measure_persisted(d, sequence);
    driver_sends_release(d);
    driver_step(d, &event);
}

static void on_failed(void *owner, const struct error *e, bool for_good) {
    struct raft_driver *d = owner;
    log_at(LOG_ERROR, DRIVER_LOG, "failed to commit logs", LOG_S("error", e->text));
    if (for_good) {
        driver_fatal(d, e->text);
        return;
    }
    struct raft_event event = {.kind = RAFT_EVENT_PERSIST_FAILED};
    raft_disk_resume(d->disk);
    driver_sends_drop(d);
    driver_step(d, &event);
}

/* ---- proposing ---- */

static void batch_add(struct raft_driver *d, struct raft_entry *entry) {
    if (d->batch_count == d->batch_cap) {
        d->batch_cap = d->batch_cap > 0 ? d->batch_cap * 2 : 64;
        d->batch_entries = mem_resize(d->batch_entries, d->batch_cap, sizeof *d->batch_entries);
    }
    d->batch_entries[d->batch_count++] = entry;
}

static void add_varint(struct buf *out, uint64_t n) {
    for (; n >= 0x80; n >>= 7)
        buf_add_char(out, (char)(n | 0x80));
    buf_add_char(out, (char)n);
}

static void add_field(struct buf *out, uint64_t field, uint64_t value) {
    if (value == 0)
        return;
    add_varint(out, field << 3);
    add_varint(out, value);
}

/* fsm.md 1.2: pieces of a long KVS command, each with its place in Extensions. */
static void batch_add_chunks(struct raft_driver *d, struct str data) {
    uint64_t operation;
    random_bytes(&operation, sizeof operation);
    size_t chunks = (data.len + CHUNK_BYTES - 1) / CHUNK_BYTES;
    for (size_t i = 0; i < chunks; i++) {
        struct buf extensions = BUF_INIT;
        add_field(&extensions, 1, operation);
        add_field(&extensions, 2, i);
        add_field(&extensions, 3, chunks);
        batch_add(d, raft_entry_new(RAFT_COMMAND, str_sub(data, i * CHUNK_BYTES, CHUNK_BYTES),
                                    buf_str(&extensions)));
        buf_free(&extensions);
    }
}

static void batch_add_proposal(struct raft_driver *d, struct raft_proposal *p) {
    struct str data = buf_str(&p->entry);
    if (p->kind == PROPOSAL_BARRIER) {
        batch_add(d, raft_entry_new(RAFT_BARRIER, STR_NONE, STR_NONE));
    } else if (data.len > CHUNK_BYTES && (data.data[0] & TYPE_MASK) == ENTRY_KVS_TYPE) {
        batch_add_chunks(d, data);
        buf_free(&p->entry);
    } else {
        batch_add(d, raft_entry_take(RAFT_COMMAND, data, p->entry.data));
        p->entry = BUF_INIT;
    }
    p->index = d->batch_count; /* until the core says where the batch begins */
}

/* The core took the batch: its proposals wait for their entries. */
static void batch_accepted(struct raft_driver *d, const struct raft_event *event) {
    while (d->batch.first != NULL) {
        struct raft_proposal *p = d->batch.first;
        proposal_list_remove(&d->batch, p);
        p->index = event->index + p->index - 1;
        p->term = event->term;
        p->dispatched = event->now;
        proposal_list_add(&d->waiting, p);
    }
}

static void batch_refused(struct raft_driver *d, enum raft_error error) {
    for (size_t i = 0; i < d->batch_count; i++)
        raft_entry_release(d->batch_entries[i]);
    while (d->batch.first != NULL) {
        struct raft_proposal *p = d->batch.first;
        proposal_list_remove(&d->batch, p);
        driver_answer(d, p, error, STR_NONE);
    }
}

/* Commands and barriers from the head of the queue, as one log write. */
static void propose_batch(struct raft_driver *d) {
    unsigned commands = 0;
    d->batch_count = 0;
    while (d->queued.first != NULL && d->queued.first->kind <= PROPOSAL_BARRIER &&
           d->batch_count < PROPOSE_ENTRIES) {
        struct raft_proposal *p = d->queued.first;
        proposal_list_remove(&d->queued, p);
        commands += p->kind == PROPOSAL_COMMAND;
        batch_add_proposal(d, p);
        proposal_list_add(&d->batch, p);
    }
    if (commands > 0)
        metric_count("raft.apply", commands);
    struct raft_event event = {.kind = RAFT_EVENT_PROPOSE,
                               .propose = {d->batch_entries, d->batch_count}};
    driver_step(d, &event);
    if (event.error != RAFT_OK)
        batch_refused(d, event.error);
}

static void transfer(struct raft_driver *d, struct raft_proposal *p) {
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .transfer = {buf_str(&p->entry)}};
    if (d->transfer == NULL)
        d->transfer = p; /* the core may be done with it inside the step */
    bool ours = d->transfer == p;
    driver_step(d, &event);
    if (event.error == RAFT_OK)
        return;
    if (ours)
        d->transfer = NULL;
    driver_answer(d, p, event.error, event.text);
}

static void ask_core(struct raft_driver *d, struct raft_proposal *p) {
    proposal_list_remove(&d->queued, p);
    if (p->kind == PROPOSAL_REFUSED) {
        driver_answer(d, p, RAFT_ERROR_ENQUEUE_TIMEOUT, STR_NONE);
    } else if (p->kind == PROPOSAL_RESTORE) {
        driver_restore_begin(d, p);
    } else if (p->kind == PROPOSAL_VERIFY) {
        metric_count("raft.verify_leader", 1);
        proposal_list_add(&d->asking, p);
        struct raft_event event = {.kind = RAFT_EVENT_VERIFY, .verify = {p}};
        driver_step(d, &event);
    } else if (p->kind == PROPOSAL_TRANSFER) {
        transfer(d, p);
    } else {
        struct driver_change *change = p->work;
        proposal_list_add(&d->asking, p);
        struct raft_event event = {.kind = RAFT_EVENT_CHANGE,
                                   .change = {change->change, change->id, change->address,
                                              change->previous_index, change}};
        driver_step(d, &event);
    }
}

static void give_queued(struct raft_driver *d) {
    /* What comes during a restore waits for its end, as it does with the peer. */
    while (d->queued.first != NULL && d->restore == NULL) {
        if (d->queued.first->kind <= PROPOSAL_BARRIER)
            propose_batch(d);
        else
            ask_core(d, d->queued.first);
    }
}

/* ---- leadership ---- */

static void tell_leadership(struct raft_driver *d) {
    bool leader = raft_get_state(d->raft) == RAFT_LEADER;
    uint64_t term = raft_term(d->raft);
    struct str address = raft_leader(d->raft);
    d->state_dirty = false;
    if (!str_eq(address, buf_str(&d->told_address))) {
        buf_clear(&d->told_address);
        buf_add_str(&d->told_address, address);
        if (d->options.on_leader_address != NULL)
            d->options.on_leader_address(d->options.owner, buf_str(&d->told_address));
    }
    if (d->told_leader && (!leader || term != d->told_term)) {
        d->told_leader = false;
        if (d->options.on_leader != NULL)
            d->options.on_leader(d->options.owner, false, d->told_term);
    }
    if (leader && !d->told_leader) {
        d->told_leader = true;
        d->told_term = term;
        if (d->options.on_leader != NULL)
            d->options.on_leader(d->options.owner, true, term);
    }
}

/* ---- the round ---- */

static void set_timer(struct raft_driver *d) {
    int64_t at = raft_next_wakeup(d->raft);
    if (at == d->timer_at)
        return;
    d->timer_at = at;
    if (at == INT64_MAX)
        loop_timer_stop(&d->timer);
    else
        loop_timer_set(&d->timer, at - time_now_monotonic());
}

static bool work_is_left(const struct raft_driver *d) {
    return (d->queued.first != NULL && d->restore == NULL) || d->state_dirty || d->tick ||
           driver_may_apply(d) || driver_restored_is_due(d);
}

static void on_idle(uv_idle_t *idle) {
    (void)idle;
}

void driver_wake(struct raft_driver *d) {
    if (!d->idling)
        uv_idle_start(&d->idle, on_idle); /* the loop does not wait as long as it is active */
    d->idling = true;
}

static void driver_run(struct raft_driver *d) {
    if (d->running || d->stopping)
        return;
    d->running = true;
    /* After a long round what has come meanwhile is looked at first: perhaps the leader was not
     * silent, but this server busy. */
    if (d->tick && time_now_monotonic() - d->polled_at < DRIVER_STALL) {
        d->tick = false;
        d->timer_at = 0;
        struct raft_event event = {.kind = RAFT_EVENT_TICK};
        driver_step(d, &event);
    }
    driver_restored_tick(d);
    give_queued(d);
    driver_apply_some(d);
    driver_restore_tick(d);
    driver_install_tick(d);
    driver_forget_tick(d);
    driver_snapshot_tick(d);
    driver_view_update(d);
    driver_measure_round(d);
    if (d->state_dirty)
        tell_leadership(d);
    set_timer(d);
    d->running = false;
    if (work_is_left(d)) {
        driver_wake(d);
    } else if (d->idling) {
        uv_idle_stop(&d->idle);
        d->idling = false;
    }
}

static void on_prepare(uv_prepare_t *handle) {
    driver_run(handle->data);
}
static void on_check(uv_check_t *handle) {
    ((struct raft_driver *)handle->data)->polled_at = time_now_monotonic();
    driver_run(handle->data);
}

static void on_timer(struct loop_timer *t) {
    struct raft_driver *d = t->owner;
    d->tick = true; /* the round before the next poll does the rest */
}

bool raft_driver_start(struct raft_driver *d, struct loop *core, struct error *e) {
    ASSERT(!d->started && loop_is_current(core));
    d->core = core;
    if (!d->dev) {
        struct raft_disk_callbacks callbacks = {d, on_persisted, on_failed, driver_log_reset};
        d->disk = raft_disk_start(d->wal, core, &callbacks, e);
        if (d->disk == NULL)
            return false;
    }
    driver_network_start(d);
    uv_prepare_init(&core->uv, &d->prepare);
    uv_check_init(&core->uv, &d->check);
    uv_idle_init(&core->uv, &d->idle);
    d->prepare.data = d->check.data = d;
    uv_prepare_start(&d->prepare, on_prepare);
    uv_check_start(&d->check, on_check);
    loop_timer_init(core, &d->timer, on_timer, d);
    loop_timer_init(core, &d->snapshot_timer, driver_snapshot_timer, d);
    loop_timer_init(core, &d->retry_timer, driver_apply_retry, d);
    driver_snapshot_timer_set(d);
    driver_measure_state(d);
    d->started = true;
    d->tick = true;
    driver_wake(d);
    return true;
}

static void fail_list(struct raft_driver *d, struct proposal_list *list) {
    while (list->first != NULL) {
        struct raft_proposal *p = list->first;
        proposal_list_remove(list, p);
        if (p->kind == PROPOSAL_CHANGE)
            mem_free(p->work);
        else if (p->kind == PROPOSAL_RESTORE)
            raft_driver_restore_free(p->work);
        p->work = NULL;
        driver_answer(d, p, RAFT_ERROR_SHUTDOWN, STR_NONE);
    }
}

void raft_driver_stop(struct raft_driver *d) {
    if (!d->started || d->stopping)
        return;
    d->stopping = true;
    driver_snapshot_stop(d);
    if (d->disk != NULL)
        raft_disk_stop(d->disk);
    d->disk = NULL;
    driver_network_stop(d);
    driver_install_stop(d);
    driver_restore_stop(d);
    driver_apply_stop(d);
    if (d->transfer != NULL)
        driver_answer(d, d->transfer, RAFT_ERROR_SHUTDOWN, STR_NONE);
    d->transfer = NULL;
    fail_list(d, &d->waiting);
    fail_list(d, &d->asking);
    fail_list(d, &d->queued);
    uv_close((uv_handle_t *)&d->prepare, NULL);
    uv_close((uv_handle_t *)&d->check, NULL);
    uv_close((uv_handle_t *)&d->idle, NULL);
    loop_timer_close(&d->timer, NULL);
    loop_timer_close(&d->snapshot_timer, NULL);
    loop_timer_close(&d->retry_timer, NULL);
}

/* ---- what the owner asks ---- */

/* After the driver's end the answer comes at once: there is no later. */
static void enqueue(struct raft_driver *d, struct raft_proposal *p, enum proposal_kind kind) {
    p->kind = (uint8_t)kind;
    p->index = p->term = 0;
    p->dispatched = 0;
    proposal_list_add(&d->queued, p);
    if (d->stopping)
        fail_list(d, &d->queued);
    else if (!d->running)
        driver_wake(d);
}

static bool admit(const struct raft_driver *d, const struct raft_proposal *p) {
    return d->in_flight_entries < d->options.max_in_flight_entries &&
           (d->in_flight_bytes == 0 ||
            d->in_flight_bytes + p->entry.len <= d->options.max_in_flight_bytes) &&
           p->entry.len <= RAFT_ENTRY_MAX_BYTES;
}

static void enqueue_entry(struct raft_driver *d, struct raft_proposal *p, enum proposal_kind kind) {
    p->work = NULL;
    if (!admit(d, p)) {
        enqueue(d, p, PROPOSAL_REFUSED);
        return;
    }
    p->bytes = p->entry.len + sizeof(struct raft_entry);
    d->in_flight_entries++;
    d->in_flight_bytes += p->bytes;
    enqueue(d, p, kind);
}

void raft_driver_propose(struct raft_driver *d, struct raft_proposal *p) {
    ASSERT(p->entry.len > 0);
    enqueue_entry(d, p, PROPOSAL_COMMAND);
}

void raft_driver_barrier(struct raft_driver *d, struct raft_proposal *p) {
    p->entry = BUF_INIT;
    metric_count("raft.barrier", 1);
    enqueue_entry(d, p, PROPOSAL_BARRIER);
}

void raft_driver_verify_leader(struct raft_driver *d, struct raft_proposal *p) {
    p->entry = BUF_INIT;
    p->work = NULL;
    enqueue(d, p, PROPOSAL_VERIFY);
}

bool raft_driver_bootstrap(struct raft_driver *d, const struct raft_driver_server *servers,
                           size_t count, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct raft_server *list = ARENA_ARRAY(&arena, struct raft_server, count + 1);
    for (size_t i = 0; i < count; i++)
        list[i] = (struct raft_server){servers[i].id, servers[i].address,
                                       (enum raft_suffrage)servers[i].suffrage};
    struct raft_configuration *c = raft_configuration_new(list, count);
    struct raft_event event = {.kind = RAFT_EVENT_BOOTSTRAP, .bootstrap = c};
    bool ok = raft_configuration_validate(c, e);
    if (ok && d->stopping)
        ok = error_set(e, ERROR_INTERNAL, "%s", raft_error_text(RAFT_ERROR_SHUTDOWN));
    if (ok) {
        driver_step(d, &event);
        if (event.error != RAFT_OK)
            ok = error_set(e, ERROR_INTERNAL, "%s", raft_error_text(event.error));
        driver_view_update(d);
        driver_view_configuration(d);
        driver_wake(d);
    }
    raft_configuration_release(c);
    arena_free(&arena);
    return ok;
}

void raft_driver_transfer(struct raft_driver *d, struct raft_proposal *p, struct str id) {
    p->entry = BUF_INIT;
    buf_add_str(&p->entry, id);
    p->work = NULL;
    enqueue(d, p, PROPOSAL_TRANSFER);
}

void raft_driver_change_membership(struct raft_driver *d, struct raft_proposal *p,
                                   enum raft_driver_change change, struct str id,
                                   struct str address, uint64_t previous_index) {
    struct driver_change *c = mem_zalloc(1, sizeof *c + id.len + address.len);
    char *room = (char *)(c + 1);
    if (id.len > 0)
        memcpy(room, id.data, id.len);
    if (address.len > 0)
        memcpy(room + id.len, address.data, address.len);
    static const enum raft_change changes[] = {[RAFT_DRIVER_ADD_VOTER] = RAFT_ADD_VOTER,
                                               [RAFT_DRIVER_ADD_NONVOTER] = RAFT_ADD_NONVOTER,
                                               [RAFT_DRIVER_DEMOTE] = RAFT_DEMOTE,
                                               [RAFT_DRIVER_REMOVE] = RAFT_REMOVE};
    *c = (struct driver_change){p, changes[change], str_of(room, id.len),
                                str_of(room + id.len, address.len), previous_index};
    p->entry = BUF_INIT;
    p->work = c;
    enqueue(d, p, PROPOSAL_CHANGE);
}

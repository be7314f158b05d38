/* Committed entries into the store: batch by batch on the core thread, each for a few milliseconds
 * at most, so that heartbeats are answered in between. One entry can be work for seconds (a tree of
 * a million keys is deleted): those are applied by a helper thread, and the core goes on with
 * everything but the state meanwhile.
 */
#include "server/raft_driver_internal.h"

#include "base/signals.h"

#define APPLY_ENTRIES DRIVER_APPLY_ENTRIES
#define APPLY_BYTES ((size_t)16 << 20)
#define APPLY_TIME (10 * MILLISECOND)
#define APPLY_LOOK 32 /* entries between looks at the clock */
#define APPLY_RETRY SECOND
enum { TYPE_KVS = 2, TYPE_TOMBSTONE = 5, TYPE_TXN = 8, TYPE_MASK = 127 }; /* schema/entries.h */
#define OPERATION_TAIL ((size_t)256) /* where a KVS entry names its operation: behind the value */

/* One batch, on whichever thread. */
struct applying {
    struct raft_driver *driver;
    struct raft_entry **entries; /* references of its own */
    size_t given;
    size_t count; /* at most; when it has run: of those that were applied */
    struct watch_touched *touched;
    bool ok;
    struct arena arena;
    struct error error;
    int64_t began;
    /* of a helper: */
    pthread_t thread;
    bool joined;
    struct message over;
};

static void applying_free(struct applying *a, size_t given) {
    for (size_t i = 0; i < given; i++)
        raft_entry_release(a->entries[i]);
    if (a->touched != NULL)
        watch_touched_release(a->touched);
    arena_free(&a->arena);
}

/* ---- applying ---- */

bool driver_apply_entry(struct store_batch *b, const struct raft_entry *entry,
                        struct store_result *result, struct error *e) {
    if (entry->type == RAFT_COMMAND) {
        if (!store_apply(b, entry->index, entry->term, entry->data, entry->extensions, result, e))
            return error_prefix(e, "entry %llu: ", (unsigned long long)entry->index);
    } else if (entry->type < RAFT_ENTRY_TYPES) {
        store_advance(b, entry->index, entry->term);
    } else {
        return error_set(e, ERROR_INTERNAL, "entry %llu: unrecognized log type: %u",
                         (unsigned long long)entry->index, entry->type);
    }
    return true;
}

/* Touches nothing of the driver but the store, the results and what is measured of entries. */
static void apply(struct applying *a, int64_t time) {
    struct raft_driver *d = a->driver;
    struct store_batch *b = store_batch_begin(d->store, &a->error);
    if (b == NULL)
        return;
    int64_t now = a->began, until = a->began + time;
    store_set_clock(d->store, time_now_steady());
    size_t n = 0;
    while (n < a->count) {
        if (!driver_apply_entry(b, a->entries[n], &d->results[n], &a->error)) {
            store_batch_abort(b);
            return;
        }
        now = driver_measure_applied(d, a->entries[n], now);
        if (++n % APPLY_LOOK == 0 && now > until)
            break;
    }
    a->count = n;
    a->ok = store_batch_commit(b, &a->touched, &a->error);
}

/* ---- what follows ---- */

static void answer_one(struct raft_driver *d, struct raft_proposal *p,
                       const struct store_result *result) {
    struct arena arena = ARENA_INIT;
    struct raft_outcome outcome = {.index = p->index, .term = p->term, .error = ERROR_IN(&arena)};
    if (p->kind == PROPOSAL_COMMAND && result->kind == STORE_RESULT_INCOMPLETE)
        error_set(&outcome.error, ERROR_INTERNAL, "please resubmit call for rechunking");
    else if (p->kind == PROPOSAL_COMMAND)
        outcome.result = result;
    driver_finish(d, p, &outcome);
    arena_free(&arena);
}

/* Answers those whose entry is among first..first+count-1. */
static void answer_batch(struct raft_driver *d, uint64_t first, size_t count) {
    while (d->waiting.first != NULL && d->waiting.first->index < first + count) {
        struct raft_proposal *p = d->waiting.first;
        ASSERT(p->index >= first);
        proposal_list_remove(&d->waiting, p);
        driver_measure_answered(d, p);
        answer_one(d, p, &d->results[p->index - first]);
    }
}

/* A disk that is full may have room again later: what is committed is safe in the log, and its
 * proposers wait. Anything else that keeps an entry from being applied will do so for ever. */
static void apply_failed(struct raft_driver *d, uint64_t first, const struct error *e) {
    if (e->kind != ERROR_IO) {
        store_distrust(d->store);
        driver_fatal(d, e->text);
        return;
    }
    log_at(LOG_ERROR, DRIVER_LOG, "failed to apply entries, will try again", LOG_I("index", first),
           LOG_S("error", e->text));
    d->apply_waits = true;
    loop_timer_set(&d->retry_timer, APPLY_RETRY);
}

void driver_apply_retry(struct loop_timer *t) {
    struct raft_driver *d = t->owner;
    d->apply_waits = false; /* the round before the next poll does the rest */
}

/* What a snapshot that is taken now would end with. */
static void note_commands(struct raft_driver *d, const struct applying *a) {
    for (size_t i = a->count; i-- > 0;) {
        const struct raft_entry *entry = a->entries[i];
        if (entry->type != RAFT_COMMAND && entry->type != RAFT_BARRIER)
            continue;
        d->command_index = entry->index;
        d->command_term = entry->term;
        return;
    }
}

/* On the core thread, when it has run. */
static void applied(struct raft_driver *d, struct applying *a) {
    driver_measure_batch(d);
    if (!a->ok) {
        apply_failed(d, a->entries[0]->index, &a->error);
        return;
    }
    const struct raft_entry *last = a->entries[a->count - 1];
    d->applied = last->index;
    d->applied_term = last->term;
    note_commands(d, a);
    struct watch_touched *touched = a->touched;
    a->touched = NULL;
    if (touched != NULL && d->options.on_touched != NULL)
        d->options.on_touched(d->options.owner, touched);
    else if (touched != NULL)
        watch_touched_release(touched);
    answer_batch(d, a->entries[0]->index, a->count);
    driver_measure_batch(d);
    struct raft_event event = {.kind = RAFT_EVENT_APPLIED, .applied = d->applied};
    driver_step(d, &event);
}

/* ---- the helper ---- */

/* Whether the entry can be work for long: the deletion of a tree, and of what it left behind. */
static bool is_heavy(const struct raft_entry *entry) {
    struct str data = entry->data;
    if (entry->type != RAFT_COMMAND || data.len == 0)
        return false;
    switch ((uint8_t)data.data[0] & TYPE_MASK) {
    case TYPE_TOMBSTONE:
        return true;
    case TYPE_KVS:
        if (data.len > OPERATION_TAIL)
            data = str_sub(data, data.len - OPERATION_TAIL, OPERATION_TAIL);
        return str_find(data, STR("delete-tree"), 0) >= 0;
    case TYPE_TXN:
        return str_find(data, STR("delete-tree"), 0) >= 0;
    default:
        return false;
    }
}

static void *helper_main(void *arg) {
    struct applying *a = arg;
    pthread_setname_np(pthread_self(), "raft-apply");
    apply(a, INT64_MAX / 2);
    loop_post_reply(a->driver->core, &a->over);
    return NULL;
}

static void helper_over(struct message *m) {
    struct applying *a = CONTAINER_OF(m, struct applying, over);
    struct raft_driver *d = a->driver;
    if (!a->joined)
        pthread_join(a->thread, NULL);
    if (d->applying == a) { /* otherwise the driver was stopped */
        d->applying = NULL;
        applied(d, a);
    }
    size_t given = a->given;
    applying_free(a, given);
    mem_free(a->entries);
    mem_free(a);
}

/* False: there is no thread to be had. */
static bool helper_start(struct raft_driver *d, struct raft_entry *const *entries, size_t count) {
    struct applying *a = MEM_NEW(struct applying);
    *a = (struct applying){.driver = d,
                           .count = count,
                           .given = count,
                           .arena = ARENA_INIT,
                           .began = time_now_monotonic(),
                           .over = {.run = helper_over}};
    a->error = ERROR_IN(&a->arena);
    a->entries = mem_resize(NULL, count, sizeof *a->entries);
    for (size_t i = 0; i < count; i++)
        a->entries[i] = raft_entry_hold(entries[i]);
    d->applying = a;
    sigset_t before;
    signals_block(&before);
    int code = pthread_create(&a->thread, NULL, helper_main, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        return true;
    d->applying = NULL;
    applying_free(a, count);
    mem_free(a->entries);
    mem_free(a);
    return false;
}

void driver_apply_stop(struct raft_driver *d) {
    struct applying *a = d->applying;
    d->applying = NULL;
    if (a != NULL) {
        pthread_join(a->thread, NULL);
        a->joined = true; /* its message comes later and frees it */
    }
    driver_older_drop(d);
}

/* ---- the entries ---- */

void driver_older_drop(struct raft_driver *d) {
    if (d->older != NULL)
        raft_disk_job_free(d->older);
    d->older = NULL;
}

static void on_read(struct raft_disk_job *job) {
    struct raft_driver *d = job->owner;
    d->reading = false;
    bool wanted = !d->stopping && !d->dead && !d->installing;
    if (wanted && !job->ok)
        driver_fatal(d, job->error.text);
    if (wanted && job->ok)
        d->older = job; /* the round before the next poll begins with them */
    else
        raft_disk_job_free(job);
}

static void read_older(struct raft_driver *d, uint64_t first) {
    ASSERT(!d->dev);
    struct raft_disk_job *job = raft_disk_job_new(RAFT_DISK_READ);
    job->index = first;
    job->last = d->apply_target;
    job->done = on_read;
    job->owner = d;
    d->reading = true;
    raft_disk_submit(d->disk, job);
}

/* Entries from first on that were read from disk; 0: none of them. */
static size_t older_from(struct raft_driver *d, uint64_t first, struct raft_entry **out) {
    const struct raft_disk_job *job = d->older;
    if (job != NULL && first >= job->index && first < job->index + job->count) {
        size_t at = (size_t)(first - job->index), n = 0;
        for (; n < APPLY_ENTRIES && at + n < job->count; n++)
            out[n] = raft_entry_hold(job->entries[at + n]);
        return n;
    }
    driver_older_drop(d);
    return 0;
}

static size_t cached_from(struct raft_driver *d, uint64_t first, struct raft_entry **out) {
    const struct raft_log *log = raft_get_log(d->raft);
    size_t n = 0, bytes = 0;
    while (n < APPLY_ENTRIES && first + n <= d->apply_target && bytes < APPLY_BYTES) {
        struct raft_entry *entry = raft_log_cached(log, first + n);
        ASSERT(entry != NULL);
        out[n++] = raft_entry_hold(entry);
        bytes += raft_entry_bytes(entry);
    }
    return n;
}

bool driver_may_apply(const struct raft_driver *d) {
    return d->applying == NULL && !d->reading && !d->dead && !d->apply_waits && !d->installing &&
           d->restored == NULL && d->applied < d->apply_target;
}

static void apply_here(struct raft_driver *d, struct raft_entry **entries, size_t count) {
    struct applying a = {.driver = d,
                         .entries = entries,
                         .count = count,
                         .arena = ARENA_INIT,
                         .began = time_now_monotonic()};
    a.error = ERROR_IN(&a.arena);
    apply(&a, APPLY_TIME);
    if (time_now_monotonic() - a.began >= DRIVER_STALL) {
        struct raft_event event = {.kind = RAFT_EVENT_STALLED};
        driver_step(d, &event);
    }
    applied(d, &a);
    applying_free(&a, 0);
}

/* One batch a round: what is committed is applied in one transaction, but the loop must get its
 * turn. */
void driver_apply_some(struct raft_driver *d) {
    if (!driver_may_apply(d))
        return;
    uint64_t first = d->applied + 1;
    struct raft_entry *entries[APPLY_ENTRIES];
    size_t n = older_from(d, first, entries), light = 0;
    if (n == 0 && raft_log_cached(raft_get_log(d->raft), first) != NULL)
        n = cached_from(d, first, entries);
    if (n == 0) {
        read_older(d, first);
        return;
    }
    while (light < n && !is_heavy(entries[light]))
        light++;
    if (light > 0 || !helper_start(d, entries, 1))
        apply_here(d, entries, light > 0 ? light : 1);
    for (size_t i = 0; i < n; i++)
        raft_entry_release(entries[i]);
}

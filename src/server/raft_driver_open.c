/* From what is on disk to a core that can run: which snapshot, which part of the log, and whether
 * the store's own content may be used as it stands.
 *
 * The store holds what it has applied, without any sync; after a crash of the machine it comes up
 * empty (store/store.h). What it holds is used if the log or the newest snapshot vouch for it: its
 * applied index is known there, with the same term, and what follows is in the log. Otherwise it is
 * dropped and read again from the newest snapshot that works.
 */
#include "server/raft_driver_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raft/checksum.h"
#include "server/disk_posix.h"

#define RESTORE_PIECE ((size_t)256 << 10)
#define DEFAULT_MULTIPLIER 5
#define MAX_MULTIPLIER 10

struct recovery {
    struct raft_driver *d;
    struct arena *arena;
    char *raft_dir, *state_dir;
    struct snapshot_meta *metas; /* newest first */
    size_t meta_count, skipped;
    size_t newest; /* metas[newest] is the one in use; meta_count: none */
    struct raft_run *runs;
    size_t run_count;
};

/* ---- options ---- */

static void options_take(struct raft_driver *d, const struct raft_driver_options *from) {
    struct raft_driver_options *o = &d->options;
    *o = *from;
    o->data_dir = str_copy(&d->arena, from->data_dir);
    o->id = str_copy(&d->arena, from->id);
    o->address = str_copy(&d->arena, from->address);
    o->source = str_copy(&d->arena, from->source);
    if (o->protocol == 0 || o->protocol > 3)
        o->protocol = 3;
    if (o->protocol < 3)
        o->id = o->address; /* raft.md 2.1 */
    if (o->multiplier == 0)
        o->multiplier = from->dev_timing ? 1 : DEFAULT_MULTIPLIER;
    if (o->multiplier > MAX_MULTIPLIER)
        o->multiplier = MAX_MULTIPLIER;
    if (o->snapshot_threshold == 0)
        o->snapshot_threshold = 16384;
    if (o->snapshot_interval == 0)
        o->snapshot_interval = 30 * SECOND;
    if (o->trailing_logs == 0)
        o->trailing_logs = 10240;
    if (o->max_in_flight_entries == 0)
        o->max_in_flight_entries = 65536;
    if (o->max_in_flight_bytes == 0)
        o->max_in_flight_bytes = UINT64_C(256) << 20;
    d->dev = o->data_dir.len == 0;
}

static struct raft_options core_options(const struct raft_driver *d) {
    const struct raft_driver_options *o = &d->options;
    int64_t m = (int64_t)o->multiplier;
    bool dev = o->dev_timing;
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    return (struct raft_options){
        .id = o->id,
        .address = o->address,
        .protocol = o->protocol,
        .heartbeat_timeout = m * (dev ? 35 : 1000) * MILLISECOND,
        .election_timeout = m * (dev ? 52 : 1000) * MILLISECOND,
        .lease_timeout = m * (dev ? 20 : 500) * MILLISECOND,
        .commit_timeout = 50 * MILLISECOND,
        .rpc_timeout = 10 * SECOND,
        .max_append = 64,
        .max_in_flight = 128,
        .trailing_logs = o->trailing_logs,
        .cache_entries = 512,
        .cache_bytes = (size_t)4 << 20,
        .keep_all = d->dev,
        .seed = seed,
    };
}

/* ---- directories ---- */

static bool make_dir(const char *path, struct error *e) {
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return true;
    return error_set_errno(e, errno, "failed to make directory %s", path);
}

static bool lock_dir(struct raft_driver *d, const char *path, struct error *e) {
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock < 0)
        return error_set_errno(e, errno, "failed to open %s", path);
    if (flock(d->lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    return error_set_errno(e, errno, "data directory is in use by another process: %s", path);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static bool open_dirs(struct recovery *r, struct error *e) {
    struct raft_driver *d = r->d;
    char *data_dir = str_terminated(r->arena, d->options.data_dir);
    r->raft_dir = str_terminated(r->arena, str_format(r->arena, "%s/raft", data_dir));
    r->state_dir = str_terminated(r->arena, str_format(r->arena, "%s/state", data_dir));
    char *wal_dir = str_terminated(r->arena, str_format(r->arena, "%s/wal", r->raft_dir));
    char *snapshot_dir =
        str_terminated(r->arena, str_format(r->arena, "%s/snapshots", r->raft_dir));
    char *lock = str_terminated(r->arena, str_format(r->arena, "%s/lock", r->raft_dir));
    char *bolt = str_terminated(r->arena, str_format(r->arena, "%s/raft.db", r->raft_dir));
    if (!make_dir(data_dir, e) || !make_dir(r->raft_dir, e) || !lock_dir(d, lock, e))
        return false;
    /* A cluster's data must not be passed over in silence. */
    if (access(bolt, F_OK) == 0 && access(wal_dir, F_OK) != 0)
        return error_set(e, ERROR_INTERNAL, "%s was written by Consul and cannot be imported yet",
                         bolt);
    if (!make_dir(wal_dir, e))
        return false;
    int code = d->io.sync_dir(NULL, r->raft_dir);
    if (code >= 0)
        code = d->io.sync_dir(NULL, data_dir);
    if (code < 0)
        return error_set_errno(e, -code, "failed to sync %s", r->raft_dir);
    d->snapshots = snapshots_open(&d->io, snapshot_dir, e);
    if (d->snapshots == NULL ||
        !snapshots_list(d->snapshots, &r->metas, &r->meta_count, &r->skipped, r->arena, e))
        return false;
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    d->wal = wal_open(&d->io, &(struct wal_options){.directory = wal_dir, .seed = seed}, e);
    if (d->wal != NULL && !wal_has_state(d->wal) && r->meta_count + r->skipped > 0)
        return error_set(
            e, ERROR_IO,
            "there are snapshots in %s, but the write-ahead log in %s is missing: restore "
            "the data directory from a backup",
            snapshot_dir, wal_dir);
    return d->wal != NULL;
}

/* ---- the store ---- */

static bool store_start(struct recovery *r, struct error *e) {
    struct store_options options = r->d->options.store;
    options.directory = r->state_dir;
    options.memory_only = r->d->dev;
    r->d->store = store_open(&options, e);
    return r->d->store != NULL;
}

static bool term_in_log(const struct recovery *r, uint64_t index, uint64_t *term) {
    const struct wal *w = r->d->wal;
    if (index < wal_first(w) || index > wal_last(w))
        return false;
    for (size_t i = r->run_count; i-- > 0;) {
        if (r->runs[i].first <= index) {
            *term = r->runs[i].term;
            return true;
        }
    }
    return false;
}

/* Whether the log continues behind index (or ends there), and agrees that index has that term. */
static bool log_continues(const struct recovery *r, uint64_t index, uint64_t index_term) {
    uint64_t term;
    if (term_in_log(r, index, &term))
        return term == index_term;
    return index + 1 == wal_first(r->d->wal) && index <= wal_last(r->d->wal);
}

/* The newest snapshot that the log continues counts. What is newer was being taken over when the
 * process ended, or is of a history that never was (raft/recv_append.c). Without any such the
 * newest counts, and the log is emptied behind it; but not when the log reaches back to the
 * beginning. */
static void choose_snapshot(struct recovery *r) {
    const struct wal *w = r->d->wal;
    size_t newer = 0;
    while (newer < r->meta_count && !log_continues(r, r->metas[newer].index, r->metas[newer].term))
        newer++;
    bool whole = wal_first(w) == 1 && wal_last(w) > 0;
    if (newer == r->meta_count && !whole)
        return;
    for (size_t i = 0; i < newer; i++) {
        struct error why = ERROR_IN(r->arena);
        log_at(LOG_WARN, DRIVER_LOG, "removing a snapshot that the log does not continue",
               LOG_S("id", r->metas[i].id));
        if (!snapshots_remove(r->d->snapshots, r->metas[i].id, &why))
            log_at(LOG_WARN, DRIVER_LOG, "failed to remove snapshot", LOG_S("error", why.text));
        snapshot_meta_free(&r->metas[i]);
    }
    r->meta_count -= newer;
    memmove(r->metas, r->metas + newer, r->meta_count * sizeof *r->metas);
}

static bool store_is_usable(const struct recovery *r) {
    uint64_t applied = store_applied_index(r->d->store), term = store_applied_term(r->d->store);
    if (r->meta_count > 0) {
        const struct snapshot_meta *newest = &r->metas[0];
        if (applied < newest->index)
            return false; /* the snapshot was put in place by a restore that did not get to the
                             store */
        if (applied == newest->index)
            return term == newest->term;
    }
    if (applied == 0)
        return wal_first(r->d->wal) == 1;
    uint64_t in_log;
    return term_in_log(r, applied, &in_log) && in_log == term;
}

/* What the store has applied was on disk before, and is in the log or in a snapshot for as long as
 * the store is trusted. If neither reaches as far, the end of the log was lost or damaged after it
 * was synced, which the log alone cannot tell from an append that a crash cut short. To go on would
 * lose what was acknowledged. */
static bool log_reaches(const struct recovery *r, struct error *e) {
    uint64_t applied = store_applied_index(r->d->store), last = wal_last(r->d->wal);
    uint64_t newest = r->meta_count > 0 ? r->metas[0].index : 0;
    if (applied <= last || applied <= newest)
        return true;
    return error_set(
        e, ERROR_IO,
        "the write-ahead log ends at entry %llu, but entry %llu was committed: its end is "
        "damaged or missing. Restore the data directory from a backup, or remove %s to go "
        "on without the entries after %llu",
        (unsigned long long)last, (unsigned long long)applied, r->state_dir,
        (unsigned long long)(last > newest ? last : newest));
}

static bool feed_state(struct recovery *r, const struct snapshot_meta *meta, int fd,
                       struct store_restore *state, struct error *e) {
    char *piece = mem_alloc(RESTORE_PIECE);
    uint64_t at = 0, crc = 0;
    bool ok = true;
    for (;;) {
        int64_t n = r->d->io.pread(NULL, fd, piece, RESTORE_PIECE, at);
        if (n < 0)
            ok = error_set_errno(e, (int)-n, "failed to read the state file");
        if (n <= 0)
            break;
        crc = crc64_ecma(crc, piece, (size_t)n);
        at += (uint64_t)n;
        if (ok && !store_restore_feed(state, str_of(piece, (size_t)n), e)) {
            ok = false;
            break;
        }
    }
    mem_free(piece);
    if (ok && meta->has_crc && crc != meta->crc)
        return error_set(e, ERROR_INTERNAL, "CRC mismatch");
    return ok;
}

static bool restore_from(struct recovery *r, const struct snapshot_meta *meta, struct error *e) {
    struct raft_driver *d = r->d;
    int fd = snapshots_open_state(d->snapshots, meta->id, e);
    if (fd < 0)
        return false;
    struct store_restore *state = store_restore_begin(d->store, e);
    bool ok = state != NULL && feed_state(r, meta, fd, state, e);
    if (state != NULL && !ok) {
        store_restore_abort(state);
    } else if (ok) {
        struct watch_touched *touched = NULL;
        ok = store_restore_commit(state, meta->index, meta->term, &touched, e);
        if (touched != NULL)
            watch_touched_release(touched);
    }
    d->io.close(NULL, fd);
    return ok;
}

static bool store_drop(struct recovery *r, struct error *e) {
    store_close(r->d->store);
    r->d->store = NULL;
    if (nftw(r->state_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return error_set_errno(e, errno, "failed to remove %s", r->state_dir);
    return store_start(r, e);
}

static bool store_rebuild(struct recovery *r, struct error *e) {
    if (store_applied_index(r->d->store) > 0 && !store_drop(r, e))
        return false;
    for (r->newest = 0; r->newest < r->meta_count; r->newest++) {
        const struct snapshot_meta *meta = &r->metas[r->newest];
        struct error why = ERROR_IN(r->arena);
        if (restore_from(r, meta, &why)) {
            log_at(LOG_INFO, DRIVER_LOG, "restored from snapshot", LOG_S("id", meta->id));
            return true;
        }
        log_at(LOG_ERROR, DRIVER_LOG, "failed to restore snapshot", LOG_S("id", meta->id),
               LOG_S("error", why.text));
    }
    if (r->meta_count + r->skipped > 0)
        return error_set(e, ERROR_INTERNAL, "failed to load any existing snapshots");
    return true;
}

/* ---- the log ---- */

static bool commit_log(struct recovery *r, struct error *e) {
    return wal_commit(r->d->wal, e);
}

/* The log starts right behind the snapshot, or overlaps it; a log of before it (or of another
 * history) is void: the snapshot was installed or restored, and the crash came before the log was
 * emptied. */
static bool log_align(struct recovery *r, struct error *e) {
    struct wal *w = r->d->wal;
    if (r->newest == r->meta_count) {
        if (wal_first(w) == 1)
            return true;
        return error_set(e, ERROR_INTERNAL,
                         "the log starts at entry %llu and there is no snapshot of what was before",
                         (unsigned long long)wal_first(w));
    }
    const struct snapshot_meta *meta = &r->metas[r->newest];
    if (log_continues(r, meta->index, meta->term))
        return true;
    if (wal_first(w) > meta->index + 1)
        return error_set(e, ERROR_INTERNAL,
                         "the log starts at entry %llu but the newest usable snapshot ends at %llu",
                         (unsigned long long)wal_first(w), (unsigned long long)meta->index);
    wal_put_reset(w, meta->index);
    return commit_log(r, e);
}

static struct raft_configuration *own_configuration(const struct raft_driver *d) {
    struct raft_server self = {d->options.id, d->options.address, RAFT_VOTER};
    return raft_configuration_new(&self, 1);
}

static struct raft_entry *bootstrap_entry(const struct raft_driver *d) {
    struct raft_configuration *c = own_configuration(d);
    struct raft_entry *entry = raft_configuration_entry(c, d->options.protocol >= 3);
    entry->index = entry->term = 1;
    raft_configuration_release(c);
    return entry;
}

/* raft.md 5.1: term 1 and a first entry with only this server in it. */
static bool bootstrap(struct recovery *r, struct error *e) {
    struct raft_driver *d = r->d;
    if (!d->options.bootstrap || wal_has_state(d->wal) || r->meta_count + r->skipped > 0)
        return true;
    struct raft_entry *entry = bootstrap_entry(d);
    wal_put_term(d->wal, 1, 0, STR_NONE);
    wal_put_entry(d->wal, entry);
    raft_entry_release(entry);
    return commit_log(r, e);
}

static bool read_configurations(struct recovery *r, struct raft_initial *in, struct error *e) {
    struct wal *w = r->d->wal;
    uint64_t *indexes;
    size_t count = wal_configurations(w, &indexes);
    struct raft_entry **entries = ARENA_ARRAY(r->arena, struct raft_entry *, count + 1);
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        size_t got;
        if (indexes[i] <= in->snapshot_index)
            continue;
        ok = wal_read(w, indexes[i], indexes[i], 1, &entries[in->configuration_count], &got, e);
        in->configuration_count += ok ? got : 0;
    }
    mem_free(indexes);
    in->configurations = entries;
    return ok;
}

static bool make_core(struct recovery *r, struct error *e) {
    struct raft_driver *d = r->d;
    struct raft_initial in = {.now = time_now_monotonic(),
                              .term = wal_term(d->wal),
                              .vote_term = wal_vote_term(d->wal),
                              .vote = wal_vote(d->wal),
                              .first = wal_first(d->wal),
                              .last = wal_last(d->wal),
                              .applied = store_applied_index(d->store)};
    if (r->newest < r->meta_count) {
        const struct snapshot_meta *meta = &r->metas[r->newest];
        in.snapshot_index = meta->index;
        in.snapshot_term = meta->term;
        in.snapshot_configuration = meta->configuration;
        in.snapshot_configuration_index = meta->configuration_index;
        if (in.term < meta->term)
            in.term = meta->term;
    }
    mem_free(r->runs);
    in.run_count = r->run_count = wal_runs(d->wal, &r->runs);
    in.runs = r->runs;
    bool ok = read_configurations(r, &in, e);
    if (ok) {
        struct raft_options options = core_options(d);
        d->raft = raft_new(&options, &in, e);
        ok = d->raft != NULL;
    }
    for (size_t i = 0; i < in.configuration_count; i++)
        raft_entry_release(in.configurations[i]);
    d->snapshot_index = in.snapshot_index;
    d->snapshot_term = in.snapshot_term;
    return ok;
}

static void metas_free(struct recovery *r) {
    for (size_t i = 0; i < r->meta_count; i++)
        snapshot_meta_free(&r->metas[i]);
    r->meta_count = 0;
}

/* The store becomes what snapshot and log say that it is. */
static bool store_prepare(struct recovery *r, struct error *e) {
    struct raft_driver *d = r->d;
    if (!store_start(r, e))
        return false;
    r->run_count = wal_runs(d->wal, &r->runs);
    r->newest = 0;
    if (!log_reaches(r, e))
        return false;
    choose_snapshot(r);
    if (!store_is_usable(r)) {
        if (store_applied_index(d->store) > 0)
            log_at(LOG_WARN, DRIVER_LOG, "rebuilding the state from snapshot and log",
                   LOG_I("index", store_applied_index(d->store)));
        if (!store_rebuild(r, e))
            return false;
    }
    return log_align(r, e);
}

static bool recover(struct recovery *r, struct raft_configuration *c, struct error *e) {
    struct raft_driver *d = r->d;
    if (!driver_recover(d, r->raft_dir, c, e))
        return false;
    metas_free(r);
    r->newest = 0;
    return snapshots_list(d->snapshots, &r->metas, &r->meta_count, &r->skipped, r->arena, e);
}

static bool open_from_disk(struct recovery *r, struct error *e) {
    struct raft_driver *d = r->d;
    struct raft_configuration *c = NULL;
    if (!open_dirs(r, e))
        return false;
    bool has_state = wal_has_state(d->wal) || r->meta_count + r->skipped > 0;
    if (!driver_recover_look(d, r->raft_dir, has_state, &c, e))
        return false;
    bool ok = bootstrap(r, e) && store_prepare(r, e);
    if (ok && c != NULL)
        ok = recover(r, c, e);
    raft_configuration_release(c);
    return ok && make_core(r, e);
}

/* ---- dev mode ---- */

static bool open_in_memory(struct recovery *r, struct error *e) {
    struct raft_driver *d = r->d;
    if (!store_start(r, e))
        return false;
    struct raft_entry *entry = d->options.bootstrap ? bootstrap_entry(d) : NULL;
    struct raft_initial in = {.now = time_now_monotonic(),
                              .term = entry != NULL ? 1 : 0,
                              .first = 1,
                              .configurations = &entry,
                              .configuration_count = entry != NULL,
                              .entries = &entry,
                              .entry_count = entry != NULL};
    struct raft_options options = core_options(d);
    d->raft = raft_new(&options, &in, e);
    raft_entry_release(entry);
    return d->raft != NULL;
}

/* ---- open and free ---- */

static void log_beginning(const struct raft_driver *d) {
    struct arena arena = ARENA_INIT;
    uint64_t index;
    const struct raft_configuration *c = raft_latest_configuration(d->raft, &index);
    struct str servers = c != NULL ? raft_configuration_text(c, &arena) : STR("[]");
    log_at(LOG_INFO, DRIVER_LOG, "initial configuration", LOG_I("index", index),
           LOG_S("servers", servers));
    struct str self =
        str_format(&arena, "Node at " STR_FMT " [Follower]", STR_ARG(d->options.address));
    log_at(LOG_INFO, DRIVER_LOG, "entering follower state", LOG_S("follower", self),
           LOG_C("leader", ""));
    arena_free(&arena);
}

struct raft_driver *raft_driver_open(const struct raft_driver_options *options, struct error *e) {
    struct arena scratch = ARENA_INIT;
    struct raft_driver *d = MEM_NEW(struct raft_driver);
    d->arena = ARENA_INIT;
    d->lock = -1;
    d->io = disk_posix();
    d->requests_end = &d->requests;
    d->held_end = &d->held;
    d->results = mem_zalloc(DRIVER_APPLY_ENTRIES, sizeof *d->results);
    pthread_mutex_init(&d->view_mutex, NULL);
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    prng_seed(&d->jitter, seed);
    options_take(d, options);
    struct recovery r = {.d = d, .arena = &scratch};
    bool ok = d->dev ? open_in_memory(&r, e) : open_from_disk(&r, e);
    metas_free(&r);
    mem_free(r.runs);
    arena_free(&scratch);
    if (!ok) {
        raft_driver_free(d);
        return NULL;
    }
    d->applied = d->apply_target = store_applied_index(d->store);
    d->applied_term = store_applied_term(d->store);
    driver_view_configuration(d);
    driver_view_update(d);
    log_beginning(d);
    return d;
}

struct store *raft_driver_store(struct raft_driver *d) {
    return d->store;
}

void raft_driver_free(struct raft_driver *d) {
    if (d == NULL)
        return;
    ASSERT(!d->started || d->stopping);
    if (d->raft != NULL)
        raft_free(d->raft);
    raft_actions_free(&d->actions);
    wal_close(d->wal);
    snapshots_close(d->snapshots);
    raft_driver_snapshot_close(d->dev_snapshot);
    if (d->store != NULL)
        store_close(d->store);
    raft_configuration_release(d->view_configuration);
    pthread_mutex_destroy(&d->view_mutex);
    raft_transport_free(d->transport);
    buf_free(&d->told_address);
    buf_free(&d->failed_peer);
    mem_free(d->batch_entries);
    mem_free(d->results);
    if (d->lock >= 0)
        close(d->lock);
    arena_free(&d->arena);
    mem_free(d);
}

/* Opening and closing a store, batches of writes, and the beginning and end of reads. What entries
 * do is apply.c's, how bytes lie in LMDB is tables.c's.
 */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/env.h"

#define DEFAULT_MAP_SIZE ((uint64_t)64 << 30)
#define DEFAULT_THREADS 16
#define SCRATCH_KEPT ((size_t)256 << 10)
#define MAX_LOCK_DELAY (60 * SECOND)

/* ---- open and close ---- */

static bool make_directories(const char *path, struct error *e) {
    char *copy = mem_strdup(path);
    bool ok = true;
    for (char *p = copy + 1; ok; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
            ok = error_set_errno(e, errno, "state store: mkdir %s", copy);
        }
        *p = end;
        if (end == '\0')
            break;
    }
    mem_free(copy);
    return ok;
}

/* Removes environments that a crash or an unfinished restore left behind. */
static void remove_strays(const struct store *s, unsigned keep) {
    DIR *dir = opendir(s->directory);
    if (dir == NULL)
        return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        unsigned number;
        char rest;
        if (sscanf(d->d_name, "state-%u%c", &number, &rest) != 1 || number == keep)
            continue;
        env_remove_files(s, number);
    }
    closedir(dir);
}

static bool format_matches(struct store *s) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    struct str value;
    bool ok = store_read_begin(s, &r, &arena, NULL, &e);
    if (ok) {
        ok = table_get(&r, TABLE_META, STR("format"), &value) && value.len == 8 &&
             be64_get(value.data) == STORE_FORMAT;
        store_read_end(&r);
    }
    arena_free(&arena);
    return ok;
}

static void load_applied(struct store *s) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    uint64_t index = 0, term = 0;
    if (store_read_begin(s, &r, &arena, NULL, &e)) {
        meta_get_applied(&r, &index, &term);
        atomic_store(&s->version, r.version);
        store_read_end(&r);
    }
    atomic_store(&s->applied_index, index);
    atomic_store(&s->applied_term, term);
    arena_free(&arena);
}

static void delay_note(struct store *s, struct str key, int64_t end) {
    int64_t *until = map_get(&s->delays, key);
    if (until == NULL) {
        until = MEM_NEW(int64_t);
        *until = INT64_MIN;
        map_put(&s->delays, key, until);
    }
    if (end > *until)
        *until = end;
}

static void load_delays(struct store *s) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    if (store_read_begin(s, &r, &arena, NULL, &e)) {
        struct table_scan scan;
        struct str key, value;
        table_scan_begin(&scan, &r, TABLE_LOCK_DELAYS, STR(""));
        while (table_scan_next(&scan, &key, &value))
            if (value.len == 8)
                delay_note(s, key, (int64_t)be64_get(value.data));
        table_scan_end(&scan);
        store_read_end(&r);
    }
    arena_free(&arena);
}

static void drop_current(struct store *s) {
    struct store_env *env = atomic_exchange(&s->env, NULL);
    if (env == NULL)
        return;
    env_retire(s, env);
    ASSERT(s->retired == NULL); /* nobody reads yet */
}

/* Uses what is there if it can be trusted, else starts with nothing. */
static bool open_current(struct store *s, struct error *e) {
    unsigned number = s->directory == NULL ? 0 : mark_read(s);
    if (number != 0) {
        struct error ignored = *e;
        struct store_env *env = env_open(s, number, &ignored);
        atomic_store(&s->env, env);
        if (env != NULL && !format_matches(s))
            drop_current(s);
    }
    if (atomic_load(&s->env) == NULL) {
        if (s->directory != NULL) {
            remove_strays(s, 0);
            number = number + 1 == 0 ? 1 : number + 1;
        }
        struct store_env *env = env_open(s, number, e);
        if (env == NULL)
            return false;
        atomic_store(&s->env, env);
    }
    s->next_number = number + 1;
    if (s->directory == NULL)
        return true;
    remove_strays(s, number);
    return mark_write(s, number, false, e);
}

struct store *store_open(const struct store_options *options, struct error *e) {
    struct store *s = MEM_NEW(struct store);
    unsigned threads = options->reader_threads != 0 ? options->reader_threads : DEFAULT_THREADS;
    s->slot_count = threads * 4 + 32;
    s->slots =
        aligned_alloc(_Alignof(struct reader_slot), s->slot_count * sizeof(struct reader_slot));
    ASSERT(s->slots != NULL);
    memset(s->slots, 0, s->slot_count * sizeof(struct reader_slot));
    pthread_mutex_init(&s->delays_mutex, NULL);
    s->delays_swept = -MAX_LOCK_DELAY; /* look at what was loaded as soon as there is a clock */
    s->map_size = options->map_size != 0 ? options->map_size : DEFAULT_MAP_SIZE;
    bool ok = true;
    if (!options->memory_only) {
        s->directory = mem_strdup(options->directory);
        ok = make_directories(s->directory, e);
    }
    if (ok && open_current(s, e)) {
        load_applied(s);
        load_delays(s);
        return s;
    }
    store_close(s);
    return NULL;
}

void store_close(struct store *s) {
    if (s == NULL)
        return;
    ASSERT(!s->batch_open);
    struct store_env *env = atomic_load(&s->env);
    if (env != NULL) {
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        unsigned number = env->number;
        bool durable = s->directory != NULL && mdb_env_sync(env->mdb, 1) == 0;
        atomic_store(&s->env, NULL);
        env->next_retired = s->retired;
        s->retired = env;
        env_close_retired(s);
        ASSERT(s->retired == NULL); /* all reads have ended */
        if (durable)
            mark_write(s, number, true, &e);
        arena_free(&arena);
    }
    arena_free(&s->batch.results);
    size_t cursor = 0;
    void *until;
    while (map_next(&s->delays, &cursor, NULL, &until))
        mem_free(until);
    map_free(&s->delays);
    pthread_mutex_destroy(&s->delays_mutex);
    free(s->slots);
    mem_free(s->directory);
    mem_free(s);
}

void store_distrust(struct store *s) {
    mark_remove(s);
}

uint64_t store_applied_index(const struct store *s) {
    return atomic_load(&s->applied_index);
}
uint64_t store_applied_term(const struct store *s) {
    return atomic_load(&s->applied_term);
}
uint64_t store_version(const struct store *s) {
    return atomic_load(&s->version);
}

/* ---- batches ---- */

bool batch_start(struct store_batch *b, struct store *s, struct store_env *env, struct error *e) {
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (rc != 0)
        return error_set_lmdb(e, rc, "begin batch");
    struct arena results = b->results;
    arena_reset(&results, SCRATCH_KEPT);
    *b = (struct store_batch){.store = s, .txn = txn, .results = results};
    b->read = (struct store_read){.store = s,
                                  .txn = txn,
                                  .arena = &b->scratch,
                                  .version = env->version_base + mdb_txn_id(txn),
                                  .batch = b};
    b->failure = ERROR_IN(&b->results);
    return true;
}

void batch_stop(struct store_batch *b) {
    arena_free(&b->scratch);
    arena_free(&b->undo_arena);
    arena_free(&b->delay_arena);
    buf_free(&b->encoded);
    watch_touched_release(b->touched);
    b->touched = NULL;
    b->txn = NULL;
}

struct store_batch *store_batch_begin(struct store *s, struct error *e) {
    ASSERT(!s->batch_open);
    struct store_batch *b = &s->batch;
    if (!batch_start(b, s, atomic_load(&s->env), e))
        return NULL;
    b->index = atomic_load(&s->applied_index);
    b->term = atomic_load(&s->applied_term);
    b->read.applied_index = b->index;
    b->touched = watch_touched_new();
    s->batch_open = true;
    return b;
}

void store_advance(struct store_batch *b, uint64_t index, uint64_t term) {
    b->index = index;
    b->term = term;
}

void meta_put_applied(struct store_batch *b) {
    char bytes[16];
    be64_put(bytes, b->index);
    be64_put(bytes + 8, b->term);
    b->no_undo = true;
    table_put(b, TABLE_META, STR("applied"), str_of(bytes, sizeof bytes));
    be64_put(bytes, STORE_FORMAT);
    if (!table_has(&b->read, TABLE_META, STR("format"))) {
        table_put(b, TABLE_META, STR("format"), str_of(bytes, 8));
    }
}

bool meta_get_applied(struct store_read *r, uint64_t *index, uint64_t *term) {
    struct str value;
    if (!table_get(r, TABLE_META, STR("applied"), &value) || value.len != 16)
        return false;
    *index = be64_get(value.data);
    *term = be64_get(value.data + 8);
    return true;
}

static int64_t delay_end(const struct store *s, const struct lock_delay *d) {
    return s->now + (d->nanoseconds < MAX_LOCK_DELAY ? d->nanoseconds : MAX_LOCK_DELAY);
}

static void note_delays(struct store *s, struct lock_delay *delays) {
    if (delays == NULL)
        return;
    pthread_mutex_lock(&s->delays_mutex);
    for (struct lock_delay *d = delays; d != NULL; d = d->next)
        delay_note(s, d->key, delay_end(s, d));
    pthread_mutex_unlock(&s->delays_mutex);
}

/* Deletes what is over from the table. */
static void prune_delays(struct store_batch *b) {
    struct table_scan scan;
    struct str key, value;
    struct list old = LIST_EMPTY;
    uint32_t cap = 0;
    table_scan_begin(&scan, &b->read, TABLE_LOCK_DELAYS, STR(""));
    while (table_scan_next(&scan, &key, &value))
        if (value.len != 8 || (int64_t)be64_get(value.data) <= b->store->now)
            *(struct str *)list_push(&old, &cap, sizeof key, &b->scratch) =
                str_copy(&b->scratch, key);
    table_scan_end(&scan);
    for (uint32_t i = 0; i < old.len; i++)
        table_delete(b, TABLE_LOCK_DELAYS, LIST_AT(old, struct str, i));
}

/* So that a restart does not hand a lock on before its time. */
static void save_delays(struct store_batch *b) {
    struct store *s = b->store;
    if (b->delays == NULL)
        return;
    if (s->now - s->delays_pruned >= MAX_LOCK_DELAY) {
        s->delays_pruned = s->now;
        prune_delays(b);
    }
    for (struct lock_delay *d = b->delays; d != NULL; d = d->next) {
        char bytes[8];
        struct str stored;
        int64_t end = delay_end(s, d);
        if (table_get(&b->read, TABLE_LOCK_DELAYS, d->key, &stored) && stored.len == 8 &&
            (int64_t)be64_get(stored.data) >= end)
            continue;
        be64_put(bytes, (uint64_t)end);
        table_put(b, TABLE_LOCK_DELAYS, d->key, str_of(bytes, sizeof bytes));
    }
}

bool store_batch_commit(struct store_batch *b, struct watch_touched **touched, struct error *e) {
    struct store *s = b->store;
    ASSERT(s->batch_open && b == &s->batch);
    if (touched != NULL)
        *touched = NULL;
    uint64_t version = b->read.version;
    meta_put_applied(b);
    save_delays(b);
    int rc = 0;
    if (!b->failed) {
        rc = mdb_txn_commit(b->txn);
        b->txn = NULL;
        if (rc != 0) {
            b->failed = true;
            error_set_lmdb(&b->failure, rc, "commit");
        }
    }
    if (b->failed) {
        error_copy(e, &b->failure);
        store_batch_abort(b);
        return false;
    }
    atomic_store(&s->applied_term, b->term);
    atomic_store(&s->applied_index, b->index);
    atomic_store(&s->version, version);
    note_delays(s, b->delays);
    if (touched != NULL && watch_touched_count(b->touched) > 0) {
        watch_touched_set_version(b->touched, version);
        *touched = b->touched;
        b->touched = NULL;
    }
    s->batch_open = false;
    batch_stop(b);
    if (s->retired != NULL)
        env_close_retired(s);
    return true;
}

void store_batch_abort(struct store_batch *b) {
    ASSERT(b->store->batch_open && b == &b->store->batch);
    if (b->txn != NULL)
        mdb_txn_abort(b->txn);
    b->store->batch_open = false;
    batch_stop(b);
}

/* ---- reads ---- */

static _Atomic unsigned next_hint;
static _Thread_local unsigned slot_hint; /* 1 + where this thread looks for a free slot first */

static struct reader_slot *slot_take(struct store *s) {
    if (slot_hint == 0)
        slot_hint = 1 + atomic_fetch_add(&next_hint, 4) % (UINT32_MAX / 2);
    for (unsigned i = 0; i < s->slot_count; i++) {
        struct reader_slot *slot = &s->slots[(slot_hint - 1 + i) % s->slot_count];
        if (!atomic_load_explicit(&slot->taken, memory_order_relaxed) &&
            !atomic_exchange(&slot->taken, true)) {
            return slot;
        }
    }
    return NULL;
}

static int slot_begin(struct store *s, struct reader_slot *slot, struct store_env **out) {
    struct store_env *env;
    do { /* announce first, so that a restore that swaps meanwhile either sees us or is seen */
        env = atomic_load(&s->env);
        atomic_store(&slot->env, env);
    } while (atomic_load(&s->env) != env);
    *out = env;
    if (slot->txn != NULL && atomic_load(&slot->txn_env) == env)
        return mdb_txn_renew(slot->txn);
    if (slot->txn != NULL)
        mdb_txn_abort(slot->txn);
    slot->txn = NULL;
    atomic_store(&slot->txn_env, NULL);
    int rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &slot->txn);
    if (rc == 0)
        atomic_store(&slot->txn_env, env);
    else
        slot->txn = NULL;
    return rc;
}

bool store_read_begin(struct store *s, struct store_read *r, struct arena *arena,
                      struct watch_set *watch, struct error *e) {
    *r = (struct store_read){.store = s, .watch = watch, .arena = arena};
    struct reader_slot *slot = slot_take(s);
    if (slot == NULL)
        return error_set(e, ERROR_RATE_LIMIT, "too many reads at once");
    r->slot = (unsigned)(slot - s->slots);
    r->applied_index = atomic_load(&s->applied_index);
    struct store_env *env;
    int rc = slot_begin(s, slot, &env);
    if (rc != 0) {
        atomic_store(&slot->env, NULL);
        atomic_store(&slot->taken, false);
        return error_set_lmdb(e, rc, "begin read");
    }
    r->txn = slot->txn;
    r->version = env->version_base + mdb_txn_id(slot->txn);
    return true;
}

void store_read_end(struct store_read *r) {
    if (r->txn == NULL)
        return;
    struct reader_slot *slot = &r->store->slots[r->slot];
    mdb_txn_reset(slot->txn);
    atomic_store(&slot->env, NULL);
    atomic_store(&slot->taken, false);
    r->txn = NULL;
}

/* ---- lock delays ---- */

static void set_clock(struct store *s, int64_t now_wall_ns) {
    s->now = now_wall_ns;
    int64_t since = now_wall_ns - s->delays_swept; /* negative: the clock was set back */
    if (s->delays.count == 0 || (since >= 0 && since < MAX_LOCK_DELAY))
        return;
    s->delays_swept = now_wall_ns;
    size_t cursor = 0;
    struct str key;
    void *until;
    while (map_next(&s->delays, &cursor, &key, &until)) {
        int64_t *end = until;
        if (*end > now_wall_ns + MAX_LOCK_DELAY)
            *end = now_wall_ns + MAX_LOCK_DELAY; /* the clock was set back */
        if (*end > now_wall_ns)
            continue;
        map_remove(&s->delays, key);
        mem_free(until);
    }
}

void store_set_clock(struct store *s, int64_t now_wall_ns) {
    pthread_mutex_lock(&s->delays_mutex);
    set_clock(s, now_wall_ns);
    pthread_mutex_unlock(&s->delays_mutex);
}

int64_t store_lock_delay(struct store *s, struct str key) {
    pthread_mutex_lock(&s->delays_mutex);
    const int64_t *until = map_get(&s->delays, key);
    int64_t end = until != NULL && *until > s->now ? *until : 0;
    pthread_mutex_unlock(&s->delays_mutex);
    return end;
}

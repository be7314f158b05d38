/* LMDB environments and who reads from them; for store.c, restore.c and tables.c only. A store has
 * one current environment; a restore fills a second one and swaps. Readers that still use the old
 * one keep it alive: it is closed when the last of them has ended.
 *
 * Readers take a slot each. A slot keeps its read transaction between reads (reset, so that it pins
 * no pages), which makes beginning a read a matter of two atomic operations and a renewal.
 */
#ifndef PRAETOR_STORE_ENV_H
#define PRAETOR_STORE_ENV_H

#include <lmdb.h>
#include <pthread.h>

#include "store/tables.h"

struct store_env {
    MDB_env *mdb;
    MDB_dbi dbi;
    uint64_t version_base; /* store's version = base + LMDB's transaction id */
    unsigned number;       /* of its directory, state-<number>; 0: in memory */
    struct store_env *next_retired;
};

struct reader_slot {
    _Alignas(64) _Atomic bool taken;
    _Atomic(struct store_env *) env; /* announced before it is used; NULL when idle */
    _Atomic(struct store_env *)
        txn_env; /* where txn belongs to; changed only by who has taken it */
    MDB_txn *txn;
};

/* A key that may not be locked for a while (fsm.md 4.3). */
struct lock_delay {
    struct lock_delay *next;
    struct str key;
    int64_t nanoseconds;
};

struct store {
    _Atomic(struct store_env *) env;
    struct store_env *retired; /* core thread */
    struct reader_slot *slots;
    unsigned slot_count;
    _Atomic uint64_t version, applied_index, applied_term;

    char *directory; /* NULL: in memory */
    uint64_t map_size;
    unsigned next_number;
    bool restoring; /* a restore is under way */

    struct store_batch batch;
    bool batch_open;

    int64_t now; /* wall clock, as told */
    /* Guards the clock and what is in memory of the delays: an entry may be applied by a helper
     * while the core asks for one. */
    pthread_mutex_t delays_mutex;
    struct map delays; /* key to int64_t *: until when; what TABLE_LOCK_DELAYS has */
    int64_t delays_swept, delays_pruned; /* when in memory, in the table */
};

/* Opens an empty or existing environment: number 0 in memory, else <directory>/state-<number>. */
struct store_env *env_open(const struct store *s, unsigned number, struct error *e);
/* Not current any more: closed now or when its last reader has ended. Core thread. */
void env_retire(struct store *s, struct store_env *env);
void env_close_retired(struct store *s);
void env_close(struct store_env *env);
/* Removes state-<number> and its files. */
void env_remove_files(const struct store *s, unsigned number);

/* The file `current` in the directory: which environment counts, and whether its pages can be
 * trusted. mark_read returns 0 when there is none that can be. */
unsigned mark_read(const struct store *s);
/* The next opening starts with nothing. */
void mark_remove(const struct store *s);
bool mark_write(const struct store *s, unsigned number, bool clean, struct error *e);

bool error_set_lmdb(struct error *e, int rc, const char *what);

/* Starts a write transaction's batch on an environment: for store_batch_begin and restores. */
bool batch_start(struct store_batch *b, struct store *s, struct store_env *env, struct error *e);
void batch_stop(struct store_batch *b); /* frees all but results */

/* What a batch keeps as applied. */
void meta_put_applied(struct store_batch *b);
bool meta_get_applied(struct store_read *r, uint64_t *index, uint64_t *term);

#endif

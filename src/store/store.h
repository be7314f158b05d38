/* The replicated state: tables in LMDB, log entries applied to them, and reads from MVCC snapshots.
 * One writer (the core thread) applies entries in batches; any number of threads read, without
 * locks. Apply is a pure function of state and entry (fsm.md 1.1). LMDB is a rebuildable cache of
 * snapshot and log: it is opened without sync.
 *
 * Tables have headers of their own: store/catalog.h, store/kv.h, store/session.h,
 * store/coordinate.h, store/autopilot.h, store/txn.h, store/query.h, store/acl.h, store/connect.h,
 * store/config_entry.h, store/gateway.h. Snapshots and restores are store/snapshot.h. What a read
 * depends on is collected in its watch set (store/watch.h). How it is built, and how to add a table
 * or an entry type: store/tables.h (for this room only).
 */
#ifndef PRAETOR_STORE_STORE_H
#define PRAETOR_STORE_STORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "schema/schema.h"
#include "store/watch.h"

struct store;
struct store_batch;

struct store_options {
    const char *directory;   /* created when missing; memory_only: ignored */
    bool memory_only;        /* -dev: in unlinked memory-backed files */
    uint64_t map_size;       /* LMDB's limit in bytes; 0 = 64 GiB of address space */
    unsigned reader_threads; /* 0 = 16; up to 4 open reads a thread, and 32 more, at once */
};

/* What is found in the directory is used as it stands after store_close or a crash of the process
 * alone; after a crash of the machine (another boot id) or with an unknown format it is dropped and
 * the store is empty: the caller then restores from snapshot and log. */
struct store *store_open(const struct store_options *options, struct error *e);
/* What it holds can no longer be vouched for (a write of it failed half-way): the next opening
 * starts with nothing. Only to be followed by the end of the process. */
void store_distrust(struct store *s);
/* All reads must have ended. */
void store_close(struct store *s);
/* Index and term of the last applied entry, as stored with it; 0 when empty. */
uint64_t store_applied_index(const struct store *s);
uint64_t store_applied_term(const struct store *s);
/* Grows with every committed batch and restore. Readable from any thread (atomic). */
uint64_t store_version(const struct store *s);

/* ---- writing: one thread at a time (the core, or a helper that it waits for) ---- */

enum store_result_kind {
    STORE_RESULT_NIL,
    STORE_RESULT_BOOL,
    STORE_RESULT_STR,
    STORE_RESULT_U64,
    STORE_RESULT_TXN,        /* struct txn_response * */
    STORE_RESULT_ACL,        /* struct legacy_acl *: op bootstrap-now of type 4 */
    STORE_RESULT_ERROR,      /* result.error */
    STORE_RESULT_INCOMPLETE, /* a chunk that is not the last (fsm.md 1.2) */
};
struct store_result { /* content lives as long as the batch's arena, see store_batch_begin */
    enum store_result_kind kind;
    union {
        bool boolean;
        struct str string;
        uint64_t number;
        struct txn_response *txn;
        struct legacy_acl *acl;
        struct error error;
    };
};

/* One LMDB transaction for a whole batch of entries; each entry is atomic in itself (an error
 * result leaves no trace). At most one batch at a time. Results stay valid after commit, until the
 * next store_batch_begin or store_close. */
struct store_batch *store_batch_begin(struct store *s, struct error *e);
/* data: type byte and body. extensions: raft's Extensions field, absent for plain commands. False
 * only for what must stop the process: an unknown type without the ignore bit, a body that does not
 * decode (fsm.md 1.1), or LMDB failing (disk full); the batch can then only be aborted. */
bool store_apply(struct store_batch *b, uint64_t index, uint64_t term, struct str data,
                 struct str extensions, struct store_result *result, struct error *e);
/* Notes that entries up to index are applied which the state machine does not see (no-ops,
 * configurations). */
void store_advance(struct store_batch *b, uint64_t index, uint64_t term);
/* Commits, or drops everything when it fails. *touched (the pointer may be NULL) gets what changed,
 * for the watch registries of all threads, NULL when nothing did; one reference is the caller's. */
bool store_batch_commit(struct store_batch *b, struct watch_touched **touched, struct error *e);
void store_batch_abort(struct store_batch *b);

/* ---- reading: any thread ----
 *
 * A read is one snapshot: between begin and end nothing changes. What functions of the tables
 * return is decoded into the arena and outlives the read. They return the index that the answer
 * reports by fsm.md 6.1, never less than 1. A read is for one thread at a time and should be short:
 * pages that it may see are not reused by the writer. */

struct store_read {
    struct store *store;
    void *txn;                 /* MDB_txn */
    struct watch_set *watch;   /* where reads note what they depend on; NULL: not collected */
    struct arena *arena;       /* where results are decoded to */
    uint64_t version;          /* of the snapshot, exactly: compare with watch_touched_version */
    uint64_t applied_index;    /* the snapshot has at least this */
    struct store_batch *batch; /* when the reader is the writer itself (inside apply) */
    unsigned slot;             /* the store's own */
};
bool store_read_begin(struct store *s, struct store_read *r, struct arena *arena,
                      struct watch_set *watch, struct error *e);
void store_read_end(struct store_read *r);

/* An index entry (fsm.md 2), 0 when absent. Notes nothing in the watch set. */
uint64_t store_index(struct store_read *r, struct str name);

/* ---- lock delays (fsm.md 4.3): this server's own, kept over restarts. Any thread. ---- */

/* Applying notes the end of sessions here with the wall clock that store_set_clock gave. */
void store_set_clock(struct store *s, int64_t now_wall_ns);
/* Until when `key` may not be locked; 0: no delay. */
int64_t store_lock_delay(struct store *s, struct str key);

#endif

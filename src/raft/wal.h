/* The write-ahead log: entries, term and vote in a row of segment files, appended to and never
 * changed. What was committed here (wal_commit returned true) survives any crash; what was not may
 * survive in part. A torn end is cut off when the log is opened; damage anywhere else is an error,
 * never a silent loss. One thread at a time; all I/O goes through a struct disk_io. The bytes:
 * wal_format.h.
 *
 * Memory: four bytes an entry. Files: <20 digits>.wal, preallocated and zeroed, so that a sync
 * writes data only; "spare.tmp", the next one in the making.
 */
#ifndef PRAETOR_RAFT_WAL_H
#define PRAETOR_RAFT_WAL_H

#include "raft/disk.h"
#include "raft/entry.h"
#include "raft/log.h"

#include "base/error.h"

struct wal;

struct wal_options {
    const char *directory; /* must exist */
    size_t segment_bytes;  /* 0: 16 MiB. A larger batch makes its segment larger. */
    uint64_t seed;         /* for salts: a different one at each opening */
};

/* Opens or creates. Errors: what the disk said, or what is damaged. */
struct wal *wal_open(const struct disk_io *io, const struct wal_options *options, struct error *e);
void wal_close(struct wal *w);

/* The log holds first..last; first = last + 1: no entries. */
uint64_t wal_first(const struct wal *w);
uint64_t wal_last(const struct wal *w);
uint64_t wal_term(const struct wal *w);
uint64_t wal_vote_term(const struct wal *w);
struct str wal_vote(const struct wal *w);
/* False: no term was ever stored and no entry (a new log). */
bool wal_has_state(const struct wal *w);
/* Runs of equal terms over first..last, and the indexes of entries of types 2, 3 and 5; in arrays
 * that the caller frees with mem_free (NULL when empty). */
size_t wal_runs(const struct wal *w, struct raft_run **runs);
size_t wal_configurations(const struct wal *w, uint64_t **indexes);

/* A batch is put together in memory and committed with one write and one sync. An entry whose index
 * is not behind the last one makes that and all later ones void. */
void wal_put_entry(struct wal *w, const struct raft_entry *entry);
void wal_put_term(struct wal *w, uint64_t term, uint64_t vote_term, struct str vote);
void wal_put_truncate(struct wal *w, uint64_t from);
void wal_put_reset(struct wal *w, uint64_t index); /* all void; the next entry has index + 1 */
size_t wal_batch_bytes(const struct wal *w);
/* On failure nothing of the batch has happened, and it is forgotten. After a failed sync every
 * later commit fails too: only a restart can tell what is on the disk. */
bool wal_commit(struct wal *w, struct error *e);
bool wal_is_broken(const struct wal *w); /* a sync failed */

/* Reads entries first..last (which are in the log), but stops after max_bytes when it has one at
 * least. The caller owns the references. */
bool wal_read(struct wal *w, uint64_t first, uint64_t last, size_t max_bytes,
              struct raft_entry **entries, size_t *count, struct error *e);

/* Deletes segments whose entries are all at or below `through`. */
bool wal_compact(struct wal *w, uint64_t through, struct error *e);
/* Works on the next segment's file: zeroes up to max_bytes of it. False when it is ready (or cannot
 * be made: the commit that needs it will say why). For when there is nothing else to do. */
bool wal_prepare(struct wal *w, size_t max_bytes);

#endif

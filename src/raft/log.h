/* What the core knows of the log: which indexes it holds and their terms (as runs of equal terms,
 * so that a million entries cost nothing), and the newest entries themselves. Older entries are
 * only on disk; the driver reads them when it applies or sends them.
 *
 * Everything up to the snapshot's index is in the newest snapshot; the log's own entries may start
 * earlier (trailing ones, kept for slow followers) and never later than right behind it.
 */
#ifndef PRAETOR_RAFT_LOG_H
#define PRAETOR_RAFT_LOG_H

#include "raft/entry.h"

struct raft_run { /* entries from `first` on, up to the next run, have this term */
    uint64_t first;
    uint64_t term;
};

struct raft_log {
    uint64_t first; /* index of the oldest entry */
    uint64_t last;  /* of the newest; first - 1 when there is none */
    uint64_t snapshot_index, snapshot_term;
    struct raft_run *runs;
    size_t run_count, run_cap;

    /* The newest entries, cached_first..last: entry i is ring[i & (ring_cap - 1)]. */
    struct raft_entry **ring;
    size_t ring_cap; /* power of two */
    uint64_t cached_first;
    size_t cached_bytes;
};

/* first = last + 1 and no runs: an empty log behind the snapshot. */
void raft_log_init(struct raft_log *l, uint64_t snapshot_index, uint64_t snapshot_term,
                   uint64_t first, uint64_t last, const struct raft_run *runs, size_t run_count);
void raft_log_free(struct raft_log *l);

/* Index and term of the newest entry, or of the snapshot when the log is empty. */
uint64_t raft_log_last_index(const struct raft_log *l);
uint64_t raft_log_last_term(const struct raft_log *l);
/* The term at index, also at the snapshot's; false when it is not known (compacted, or not yet
 * there). Index 0 has term 0. */
bool raft_log_term(const struct raft_log *l, uint64_t index, uint64_t *term);
/* NULL when it is not in memory. No new reference. */
struct raft_entry *raft_log_cached(const struct raft_log *l, uint64_t index);

/* Takes over one reference; entry->index must be last + 1. */
void raft_log_append(struct raft_log *l, struct raft_entry *entry);
/* Removes from..last; from > snapshot_index. */
void raft_log_truncate(struct raft_log *l, uint64_t from);
/* Forgets entries up to index (inclusive). */
void raft_log_compact(struct raft_log *l, uint64_t index);
/* A snapshot has replaced everything: the log is empty behind it. */
void raft_log_reset(struct raft_log *l, uint64_t snapshot_index, uint64_t snapshot_term);
/* Lets go of cached entries up to `through` while there are more than max_count or max_bytes. */
void raft_log_trim_cache(struct raft_log *l, uint64_t through, size_t max_count, size_t max_bytes);

#endif

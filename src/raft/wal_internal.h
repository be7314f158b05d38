/* The log's own state, shared by wal.c and wal_open.c. */
#ifndef PRAETOR_RAFT_WAL_INTERNAL_H
#define PRAETOR_RAFT_WAL_INTERNAL_H

#include "base/random.h"
#include "raft/wal_segment.h"

struct wal {
    struct disk_io io;
    char *directory;
    char *path; /* scratch of wal_path */
    size_t segment_bytes;
    struct prng salts;

    struct wal_segment **segments; /* oldest first; the last one is written to */
    size_t segment_count, segment_cap;
    uint64_t term, vote_term;
    struct buf vote;
    uint64_t
        dirty_to; /* behind the tail's end something was written that does not count, up to here */
    bool broken;  /* a sync failed */

    int spare; /* the next segment's file, or -1 */
    uint64_t spare_zeroed;
    bool spare_failed;

    struct buf batch;
    size_t *places; /* where the batch's records begin */
    size_t place_count, place_cap;
};

static inline struct wal_segment *wal_tail(const struct wal *w) {
    return w->segments[w->segment_count - 1];
}
/* Both valid until the next call of either. */
const char *wal_path(const struct wal *w, const char *name);
const char *wal_segment_path(const struct wal *w, uint64_t number);
void wal_segments_push(struct wal *w, struct wal_segment *s);
/* Applies a record to what is known; false when it makes no sense there. */
bool wal_note(struct wal *w, const struct wal_record *r);
bool wal_zero(struct wal *w, int handle, uint64_t from, uint64_t to, struct error *e);
/* Makes the next segment and its name durable. */
bool wal_add_segment(struct wal *w, struct error *e);

#endif

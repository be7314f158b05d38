/* What is known in memory of one segment of the log. For wal*.c only. */
#ifndef PRAETOR_RAFT_WAL_SEGMENT_H
#define PRAETOR_RAFT_WAL_SEGMENT_H

#include "raft/wal.h"
#include "raft/wal_format.h"

struct wal_segment {
    uint64_t number, salt;
    int handle;
    uint64_t size; /* of the file */
    uint64_t end;  /* of its records */

    /* Entries first..first+count-1 are here and valid; offsets[i] * 8 is where entry first + i
     * lies. Its effect on what came before: entries from `first` on were void, or all, after a
     * reset. */
    uint64_t first;
    size_t count;
    bool reset;
    uint32_t *offsets;
    size_t offset_cap;
    struct raft_run *runs;
    size_t run_count, run_cap;
    uint64_t *configurations;
    size_t configuration_count, configuration_cap;
};

void wal_segment_free(struct wal_segment *s); /* does not close the handle */
void wal_segment_add(struct wal_segment *s, uint64_t index, uint64_t term, uint8_t type,
                     uint64_t offset);
/* Makes entries from `from` on void. */
void wal_segment_cut(struct wal_segment *s, uint64_t from);
/* Makes all void; what comes next has index `first`. */
void wal_segment_void(struct wal_segment *s, uint64_t first);
/* The data of the WAL_INDEX record, both ways. */
void wal_segment_index_write(const struct wal_segment *s, struct buf *out);
/* False when it contradicts itself. end: where records end. */
bool wal_segment_index_read(struct wal_segment *s, struct str data, uint64_t end);

#endif

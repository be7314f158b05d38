/* The bytes of a log segment: one header, then records back to back, each with two checksums. Pure:
 * bytes in, values out; what a sequence of segments means is wal.c's.
 *
 *   segment  header (512 bytes) | record | record | ... | zeros up to the size it was made with
 *   record   head (48 bytes) | data | extensions | zeros up to a multiple of 8
 *   head     magic u32 | checksum of the head | checksum of data and extensions | length of data |
 *            length of extensions | batch | index u64 | term u64 | kind u8 | flags u8 | 6 zeros
 * All integers are little endian, u32 where nothing else is said. The head's checksum covers the
 * segment's salt and the record's offset as well, so no record is valid at another place.
 *
 * One append is one batch: records written together and synced together. `batch` is the offset (in
 * units of 8) at which the record's batch begins: everything before that was on disk when the
 * record was written. So a bad record at the end of a segment is a torn write, unless an intact
 * record of a *later batch* follows: then something that was synced was damaged.
 */
#ifndef PRAETOR_RAFT_WAL_FORMAT_H
#define PRAETOR_RAFT_WAL_FORMAT_H

#include "base/buf.h"
#include "base/error.h"

#define WAL_HEADER_BYTES ((size_t)512)
#define WAL_HEAD_BYTES ((size_t)48)
#define WAL_VOTE_MAX ((size_t)255)
#define WAL_RECORD_MAX ((size_t)1 << 30)

enum wal_kind {
    /* 0..127: entries, by their type */
    WAL_TERM = 0x80,     /* data: vote_term u64, address voted for; term: current term */
    WAL_TRUNCATE = 0x81, /* entries from index on are void */
    WAL_RESET = 0x82,    /* all entries are void; the next has index + 1 */
    WAL_INDEX = 0x83, /* behind the end of a finished segment: where its entries are; see wal.c */
};
#define WAL_HAS_DATA 1 /* flags: data is there (perhaps empty), not nil */
#define WAL_HAS_EXTENSIONS 2

struct wal_header {
    uint64_t number; /* of the segment */
    uint64_t salt;
    uint64_t previous_end; /* where the records of the segment before end; 0: there is none */
    uint64_t next_index;   /* of the log when the segment was made */
    uint64_t size;         /* that it was made with, at least which it keeps; 0: not known */
    uint64_t term, vote_term;
    struct str vote; /* into the bytes it was read from */
};
void wal_header_write(const struct wal_header *h, uint8_t out[WAL_HEADER_BYTES]);
/* False: no header, another version, or damaged. */
bool wal_header_read(const uint8_t bytes[WAL_HEADER_BYTES], struct wal_header *h);

struct wal_record {
    uint8_t kind;
    uint64_t index, term;
    struct str data, extensions; /* absent: nil */
    uint64_t offset;             /* in the segment */
    uint64_t batch;              /* offset at which its batch begins */
    uint32_t size;               /* with head and padding */
};
size_t wal_record_size(size_t data, size_t extensions);
/* Adds the record to `out`, all but what depends on its place, which wal_record_place fills in. */
void wal_record_write(const struct wal_record *r, struct buf *out);
void wal_record_place(uint8_t *record, uint64_t salt, uint64_t offset, uint64_t batch);
/* Reads the record at `offset`; bytes has what follows from there. False: no intact record. With
 * head_only the data is not looked at and may be missing (data and extensions are then unusable).
 */
bool wal_record_read(struct str bytes, uint64_t salt, uint64_t offset, bool head_only,
                     struct wal_record *r);

/* Goes through the records of a whole segment's bytes until the first that is not intact. */
struct wal_scan {
    uint64_t end;      /* of the last good record */
    uint64_t dirty_to; /* > end: something not zero lies behind the end, up to here */
    bool damaged;      /* what lies at `end` was synced once */
    bool finished;     /* at `end` is the segment's index: another segment follows */
};
void wal_scan(struct str segment, uint64_t salt, void (*visit)(void *, const struct wal_record *),
              void *owner, struct wal_scan *result);

uint32_t le32_get(const void *p);
uint64_t le64_get(const void *p);
void le32_put(void *p, uint32_t n);
void le64_put(void *p, uint64_t n);

#endif

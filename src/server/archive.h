/* Archives of the whole state (fsm.md 8): gzip of a tar with meta.json, state.bin and SHA256SUMS,
 * made and read as a stream. What is in state.bin is store/'s; taking and restoring snapshots the
 * driver's.
 */
#ifndef PRAETOR_SERVER_ARCHIVE_H
#define PRAETOR_SERVER_ARCHIVE_H

#include "base/error.h"
#include "raft/snapshots.h"

/* Takes bytes; false with an error stops. */
typedef bool archive_sink(void *owner, struct str bytes, struct error *e);
/* Gives up to max bytes (at least one); 0 at the end, -1 with an error. */
typedef ptrdiff_t archive_source(void *owner, char *out, size_t max, struct error *e);

/* Packs meta and meta->size bytes of state.bin, which `state` gives. */
bool archive_write(const struct snapshot_meta *meta, archive_source *state, void *state_owner,
                   archive_sink *sink, void *sink_owner, struct error *e);

struct archive_content {
    struct snapshot_meta meta; /* the caller frees it; strings are in the arena */
    uint64_t state_size;       /* bytes of state.bin */
};
/* Reads a whole archive and checks all of it: compression, layout, names, hashes. state.bin goes to
 * `sink` as it comes, so nothing may be done with it before this returns true. Errors are the
 * peer's, to the letter. A sink's failure does not hide what is wrong with the archive: it is
 * returned last. */
bool archive_read(archive_source *source, void *source_owner, archive_sink *sink, void *sink_owner,
                  struct archive_content *content, struct arena *arena, struct error *e);

#endif

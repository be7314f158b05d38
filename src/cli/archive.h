/* Snapshot files as users hold them: a gzipped tar of meta.json, state.bin and their SHA-256 sums.
 * Reads and checks one from end to end without keeping it; what the state means is not known here.
 */
#ifndef PRAETOR_CLI_ARCHIVE_H
#define PRAETOR_CLI_ARCHIVE_H

#include <stdio.h>

#include "base/error.h"
#include "base/str.h"

struct snapshot_meta {
    struct str id;
    uint64_t index, term, version;
    int64_t size; /* of state.bin */
};

/* Errors have the peer's texts: "failed to decompress snapshot: unexpected EOF". name: of the file,
 * for them. */
bool archive_verify(FILE *file, const char *name, struct snapshot_meta *meta, struct arena *arena,
                    struct error *e);

#endif

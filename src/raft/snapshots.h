/* Snapshots on disk in the peer's own format (raft.md 6.2): a directory <term>-<index>-<unix ms>
 * each, with meta.json and state.bin, made under a name ending in .tmp and renamed when it is
 * complete and synced. What state.bin holds is store/'s. One thread at a time for each snapshot
 * being written.
 */
#ifndef PRAETOR_RAFT_SNAPSHOTS_H
#define PRAETOR_RAFT_SNAPSHOTS_H

#include "raft/configuration.h"
#include "raft/disk.h"

#define SNAPSHOT_ID_MAX 72
#define SNAPSHOTS_KEPT 2
#define SNAPSHOT_META_MAX ((size_t)1 << 20)

struct snapshot_meta {
    int64_t version;
    struct str id;
    uint64_t index, term;
    struct raft_configuration *configuration; /* one reference: snapshot_meta_free; NULL: none */
    uint64_t configuration_index;
    int64_t size; /* bytes of state.bin */
    bool has_crc;
    uint64_t crc; /* CRC-64/ECMA of state.bin */
};
void snapshot_meta_free(struct snapshot_meta *m);

/* The JSON text of meta.json with its newline. The archive's (fsm.md 8) has no CRC key. */
void snapshot_meta_write(const struct snapshot_meta *m, bool crc_key, struct buf *out);
/* Strings go into the arena; unknown keys are ignored, absent ones leave zero values, as the peer
 * reads it. Configuration is NULL when there is none. Errors are those of the JSON reader. */
bool snapshot_meta_read(struct str text, struct snapshot_meta *m, struct arena *arena,
                        struct error *e);

struct snapshots; /* the directory */
/* Creates it when missing; removes what a crash left half-made. */
struct snapshots *snapshots_open(const struct disk_io *io, const char *directory, struct error *e);
void snapshots_close(struct snapshots *s);

/* Usable ones, newest first (by term, index, name); into an array in the arena, with references to
 * configurations that the caller frees. Unreadable ones are left out: *skipped counts them. */
bool snapshots_list(struct snapshots *s, struct snapshot_meta **metas, size_t *count,
                    size_t *skipped, struct arena *arena, struct error *e);
/* Opens state.bin for reading: a handle of the disk_io. */
int snapshots_open_state(struct snapshots *s, struct str id, struct error *e);
/* Removes all but the newest SNAPSHOTS_KEPT. */
bool snapshots_reap(struct snapshots *s, struct error *e);
bool snapshots_remove(struct snapshots *s, struct str id, struct error *e);
/* The log was emptied behind index: what is newer than the snapshot at index is of a history that
 * never was, and is removed. Index 0: all. */
bool snapshots_remove_others(struct snapshots *s, uint64_t index, struct error *e);

struct snapshot_writer;
/* name tells concurrent writers apart. */
struct snapshot_writer *snapshot_writer_new(struct snapshots *s, const char *name, struct error *e);
bool snapshot_writer_add(struct snapshot_writer *w, struct str bytes, struct error *e);
/* What was added so far is durable (but not the snapshot: it has no name yet). Optional: finish
 * does it too, and then has little left to do. */
bool snapshot_writer_sync(struct snapshot_writer *w, struct error *e);
uint64_t snapshot_writer_size(const struct snapshot_writer *w);
/* Syncs everything and gives the snapshot its name: from then on it counts. Fills in id (in the
 * arena), size and crc. The writer is gone afterwards, whatever happened. */
bool snapshot_writer_finish(struct snapshot_writer *w, struct snapshot_meta *m, int64_t now_ms,
                            struct arena *arena, struct error *e);
void snapshot_writer_abort(struct snapshot_writer *w);

#endif

/* state.bin (fsm.md 7): the whole state as a stream of records, written from a read transaction
 * while writes go on, and read back into a second environment that replaces the first one at once.
 */
#ifndef PRAETOR_STORE_SNAPSHOT_H
#define PRAETOR_STORE_SNAPSHOT_H

#include "store/store.h"

/* Gets the stream piece by piece (64 KiB and a record at most). False with an error stops it. */
typedef bool store_snapshot_sink(void *owner, struct str bytes, struct error *e);
/* Any thread. r->arena is not used. store_snapshot_index tells which raft index the snapshot has.
 */
bool store_snapshot_write(struct store_read *r, store_snapshot_sink *sink, void *owner,
                          struct error *e);
/* Index and term of the last entry that this read's snapshot has applied, exactly. */
void store_snapshot_index(struct store_read *r, uint64_t *index, uint64_t *term);

/* A restore takes bytes as they come, in any pieces, and touches nothing of the store until it is
 * committed. Only one at a time. Begin, commit and abort are the core thread's; feed and finish may
 * run on another one meanwhile. */
struct store_restore;
struct store_restore *store_restore_begin(struct store *s, struct error *e);
/* False: what came is no valid state.bin ("Unrecognized msg type 99", a decoder's text…); the
 * restore can then only be aborted. */
bool store_restore_feed(struct store_restore *r, struct str bytes, struct error *e);
/* No more bytes will come: false when the stream ends inside a record. Optional: commit does it
 * too. */
bool store_restore_finish(struct store_restore *r, struct error *e);
/* Core thread, no batch open. Replaces the state; the applied index and term become those given.
 * *touched has WATCH_ALL. The restore is gone afterwards, also on failure (the old state then
 * stays). */
bool store_restore_commit(struct store_restore *r, uint64_t index, uint64_t term,
                          struct watch_touched **touched, struct error *e);
void store_restore_abort(struct store_restore *r);

#endif

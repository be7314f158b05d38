/* The disk thread: everything that the Raft core wants on disk, in its order. It takes all that
 * waits, writes it as one batch and syncs once, so that however many proposals came during a sync,
 * the next one commits them all. Also the place for other work on the log and the snapshots that
 * blocks.
 *
 * Results come to the core loop. Bounded by what the driver admits.
 */
#ifndef PRAETOR_SERVER_RAFT_DISK_H
#define PRAETOR_SERVER_RAFT_DISK_H

#include "net/loop.h"
#include "raft/raft.h"
#include "raft/wal.h"

struct raft_disk;

enum raft_disk_kind {
    RAFT_DISK_ENTRIES,
    RAFT_DISK_TERM,
    RAFT_DISK_TRUNCATE,
    RAFT_DISK_RESET,
    RAFT_DISK_COMPACT,
    RAFT_DISK_READ, /* entries index..last, at least one, about 4 MiB at most */
    RAFT_DISK_CALL, /* call(job) on the disk thread */
};

/* From mem_alloc; the disk thread's from submit on, and given back to `done` for READ and CALL. */
struct raft_disk_job {
    enum raft_disk_kind kind;
    uint64_t sequence; /* the four that write */
    unsigned epoch;    /* set by submit */
    uint64_t index, last;
    uint64_t needed; /* READ: up to here whatever the bytes; 0: no such wish */
    uint64_t term, vote_term;
    char vote[256];
    size_t vote_len;
    struct raft_entry **entries; /* ENTRIES: references that the job owns. READ: the result's */
    size_t count;
    void (*call)(struct raft_disk_job *job);
    void (*done)(struct raft_disk_job *job); /* READ, CALL: on the core loop; frees the job */
    void *owner, *second_owner;
    bool ok;
    struct arena arena; /* of error */
    struct error error;
    struct message message;
    struct raft_disk_job *next;
};
struct raft_disk_job *raft_disk_job_new(enum raft_disk_kind kind);
void raft_disk_job_free(struct raft_disk_job *job);

struct raft_disk_callbacks {
    void *owner;
    /* On the core loop. Everything up to sequence is durable. */
    void (*persisted)(void *owner, uint64_t sequence);
    /* What was written after the last `persisted` is lost; all writing jobs are dropped until the
     * driver calls raft_disk_resume. for_good: nothing can be written any more; only a restart can
     * tell what is on the disk. */
    void (*failed)(void *owner, const struct error *e, bool for_good);
    /* On the disk thread: the log was emptied behind index, durably. What this does belongs to it:
     * if it fails, nothing can go on (failed, for good). May be NULL. */
    bool (*reset)(void *owner, uint64_t index, struct error *e);
};

struct raft_disk *raft_disk_start(struct wal *wal, struct loop *core,
                                  const struct raft_disk_callbacks *callbacks, struct error *e);
/* Core thread. */
void raft_disk_submit(struct raft_disk *d, struct raft_disk_job *job);
/* After a failure: from here on jobs count again. */
void raft_disk_resume(struct raft_disk *d);
/* Does all that was submitted, then ends the thread; results that are still on their way to the
 * core loop arrive there (and are freed) after this. The wal is not closed. */
void raft_disk_stop(struct raft_disk *d);

#endif

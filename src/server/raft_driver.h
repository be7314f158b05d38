/* Runs the Raft core (raft/raft.h) for a server: on the core loop, with one disk thread that
 * appends to the write-ahead log and syncs it (one sync for everything that waited behind the
 * last), and a thread that writes a snapshot while entries go on being applied. Opens the store,
 * decides whether what is in it may be used, and applies committed entries to it. Not the place for
 * what entries mean (store/) nor for what a leader does (leader duties). Messages to and from other
 * servers go through raft_transport.h.
 *
 * Threads: everything here is for the core thread, except raft_driver_open and raft_driver_free
 * (before its start and after its end) and where a function says "any thread". Callbacks run on the
 * core thread, never inside the call that asked for them.
 */
#ifndef PRAETOR_SERVER_RAFT_DRIVER_H
#define PRAETOR_SERVER_RAFT_DRIVER_H

#include "base/buf.h"
#include "base/error.h"
#include "net/stream.h"
#include "store/store.h"

struct raft_driver;

/* All strings are copied. Zero means the default where one is given. */
struct raft_driver_options {
    struct str data_dir;   /* absent: dev mode, nothing is written to disk */
    struct str id;         /* this server's ID in the raft configuration: the node ID */
    struct str address;    /* its RPC address "ip:port" */
    bool bootstrap;        /* without any state: start a cluster of this server alone */
    unsigned protocol;     /* raft_protocol, 1 to 3; default 3. Below 3 the ID is the address. */
    struct str source;     /* IP that connections to other servers come from; absent: any */
    struct secure *secure; /* NULL: in clear */
    struct str datacenter;
    /* Timing (raft.md 3). dev: the short timeouts of -dev; multiplier: 1..10, default 5. */
    bool dev_timing;
    unsigned multiplier;
    uint64_t snapshot_threshold; /* entries; default 16384 */
    int64_t snapshot_interval;   /* ns; default 30 s */
    uint64_t trailing_logs;      /* default 10240 */
    /* Proposals beyond these are refused with "timed out enqueuing operation". */
    uint64_t max_in_flight_entries; /* default 65536 */
    uint64_t max_in_flight_bytes;   /* default 256 MiB */
    struct store_options store;     /* directory and memory_only are set by the driver */

    /* What the driver tells its owner, on the core thread. */
    void *owner;
    /* Where a server is now, by its ID (gossip); false: not known, the configuration's address is
     * used. "ip:port". May be NULL. */
    bool (*server_address)(void *owner, struct str id, char out[64]);
    /* This server became the leader of `term`, or is it no longer. The leader's first act should be
     * a barrier: what earlier leaders committed is then applied. */
    void (*on_leader)(void *owner, bool leader, uint64_t term);
    /* The leader's address changed as known here; empty: none. */
    void (*on_leader_address)(void *owner, struct str address);
    /* A batch was applied, or the state was replaced (WATCH_ALL). The reference is the owner's.
     * Called before the proposers of the batch get their results. */
    void (*on_touched)(void *owner, struct watch_touched *touched);
    /* Nothing can go on: an entry that may not be applied, a state that does not restore, a log
     * whose sync failed. The text says what; the owner should end the process. Nothing is applied
     * from then on. */
    void (*on_fatal)(void *owner, struct str text);
};

/* Opens (and recovers) the log, the snapshots and the store; reads the state into the store where
 * the store's own is missing or unusable. Blocks for as long as that takes. No thread runs yet. */
struct raft_driver *raft_driver_open(const struct raft_driver_options *options, struct error *e);
/* The store that it opened; lives until raft_driver_free. */
struct store *raft_driver_store(struct raft_driver *d);
/* On the core thread: starts the disk thread and the core's timers. */
bool raft_driver_start(struct raft_driver *d, struct loop *core, struct error *e);
/* On the core thread: refuses what comes from now on with "raft is already shutdown", answers what
 * is under way with it, waits for the disk and snapshot threads, closes its handles. What is
 * already appended stays in the log. */
void raft_driver_stop(struct raft_driver *d);
/* After loop_free of the core loop (or without raft_driver_start). Closes the store: all reads must
 * have ended. */
void raft_driver_free(struct raft_driver *d);

/* ---- proposals ---- */

struct raft_proposal;
struct raft_outcome {
    uint64_t index; /* of the entry (its last one, for a chunked command); 0 when there was none */
    uint64_t term;
    /* Commands only, NULL with an error: what applying gave; valid during the callback. A
     * STORE_RESULT_ERROR is here, not in `error`. Never STORE_RESULT_INCOMPLETE. */
    const struct store_result *result;
    /* kind ERROR_NONE: committed and applied. The texts of raft.md 4.11; those that mean that
     * another server leads ("node is not the leader", "leadership lost while committing log") have
     * the kind ERROR_NO_LEADER: after the second the entry may still be committed. */
    struct error error;
};
/* Embedded in what waits for the entry; must live until done ran. Fill in entry, done and owner. */
struct raft_proposal {
    struct buf entry; /* type byte and body; moved by raft_driver_propose */
    void (*done)(struct raft_proposal *p, const struct raft_outcome *outcome);
    void *owner;

    /* The driver's own. */
    struct raft_proposal *next, *previous;
    uint64_t index, term;
    size_t bytes;
    int64_t dispatched; /* when the core took it; 0: it was no entry */
    void *work;
    uint8_t kind;
};
/* One command. KVS commands above 512 KiB are proposed in chunks (fsm.md 1.2). done always runs,
 * later. */
void raft_driver_propose(struct raft_driver *d, struct raft_proposal *p);
/* A barrier entry: done when everything before it is applied here. entry is not used. */
void raft_driver_barrier(struct raft_driver *d, struct raft_proposal *p);
/* Whether this server still leads, by asking a quorum (consistent reads). No entry; outcome->index
 * is 0. With one voter the answer comes in the same round of the loop. */
void raft_driver_verify_leader(struct raft_driver *d, struct raft_proposal *p);

/* ---- membership (leader; raft.md 2.5). done when the change is committed. ---- */

enum raft_driver_change {
    RAFT_DRIVER_ADD_VOTER,
    RAFT_DRIVER_ADD_NONVOTER,
    RAFT_DRIVER_DEMOTE,
    RAFT_DRIVER_REMOVE,
};
/* previous_index: refuse when the configuration is no longer that one; 0: any. */
void raft_driver_change_membership(struct raft_driver *d, struct raft_proposal *p,
                                   enum raft_driver_change change, struct str id,
                                   struct str address, uint64_t previous_index);

/* Hands leadership to another voter, empty: the one that is most up to date (raft.md 4.7). done
 * when this server no longer leads, or with the error. */
void raft_driver_transfer(struct raft_driver *d, struct raft_proposal *p, struct str id);
/* Without any state (otherwise the error "bootstrap only works on new clusters"): starts a cluster
 * of these servers (raft.md 5.1), synchronously; this one campaigns at its next timeout. */
struct raft_driver_server;
bool raft_driver_bootstrap(struct raft_driver *d, const struct raft_driver_server *servers,
                           size_t count, struct error *e);
/* Whether the log or a snapshot holds anything: "Raft data found". Any thread. */
bool raft_driver_has_state(const struct raft_driver *d);

/* ---- other servers ---- */

/* A connection that chose Raft (0x01), with what the RPC port has read behind that byte; taken
 * over, whatever happens. from: "ip:port" for logs. closed(owner) (may be NULL) runs once, on the
 * core loop, when the connection is gone. Any thread, from open to free. */
void raft_driver_accept(struct raft_driver *d, struct stream_detached *connection, const char *from,
                        void (*closed)(void *owner), void *owner);

/* ---- what is known ---- */

enum raft_driver_suffrage { RAFT_DRIVER_VOTER, RAFT_DRIVER_NONVOTER, RAFT_DRIVER_STAGING };
struct raft_driver_server {
    struct str id;
    struct str address;
    enum raft_driver_suffrage suffrage;
    bool leader;
};
struct raft_driver_configuration {
    uint64_t index; /* of the latest configuration (the API reports 0: raft.md 5.6) */
    struct raft_driver_server *servers;
    size_t len;
};
void raft_driver_configuration(const struct raft_driver *d, struct arena *arena,
                               struct raft_driver_configuration *out);

/* Whether one of the entries that are proposed or in the log, but not applied yet, passes the test,
 * which gets its bytes. Those that the log does not hold in memory any more are not looked at. */
typedef bool raft_driver_entry_test(void *arg, struct str entry);
bool raft_driver_any_unapplied(const struct raft_driver *d, raft_driver_entry_test *test,
                               void *arg);

bool raft_driver_is_leader(const struct raft_driver *d);         /* any thread */
uint64_t raft_driver_term(const struct raft_driver *d);          /* any thread */
uint64_t raft_driver_applied_index(const struct raft_driver *d); /* any thread */
uint64_t raft_driver_last_index(const struct raft_driver *d);    /* any thread */
uint64_t raft_driver_last_term(const struct raft_driver *d);     /* of that entry; any thread */
/* ns since the leader was last heard of; 0 on the leader; -1: never. Any thread. */
int64_t raft_driver_last_contact(const struct raft_driver *d);
/* Address of the leader as known here, empty when there is none. Any thread. */
size_t raft_driver_leader_address(const struct raft_driver *d, char out[64]);

/* The "raft" section of `consul info` and of the agent's self (raft.md 5.6), sorted by key. */
struct raft_driver_stat {
    const char *key;
    struct str value;
};
#define RAFT_DRIVER_STATS 18
void raft_driver_stats(const struct raft_driver *d, struct arena *arena,
                       struct raft_driver_stat out[RAFT_DRIVER_STATS]);

/* ---- snapshots ---- */

/* An opened snapshot: meta and the bytes of state.bin. Stays readable when newer ones replace it.
 */
struct raft_driver_snapshot;
/* Takes a snapshot now and opens it (leader or not). done gets NULL and an error when there is
 * none, such as "nothing new to snapshot"; otherwise the snapshot is the receiver's to close, on
 * any thread. */
void raft_driver_take_snapshot(struct raft_driver *d,
                               void (*done)(void *owner, struct raft_driver_snapshot *snapshot,
                                            const struct error *e),
                               void *owner);
uint64_t raft_driver_snapshot_index(const struct raft_driver_snapshot *s);
/* Packs it as an archive (fsm.md 8), piece by piece: pread and gzip, so not for the core thread. */
bool raft_driver_snapshot_pack(struct raft_driver_snapshot *s,
                               bool (*sink)(void *owner, struct str bytes, struct error *e),
                               void *owner, struct error *e);
void raft_driver_snapshot_close(struct raft_driver_snapshot *s);

/* An archive that was read and verified completely, its state already decoded beside the store. */
struct raft_driver_restore;
/* Reads the archive from `source`, which gives up to `max` bytes a call (0: end) or -1 with an
 * error, and checks everything: the errors are those of fsm.md 8. Blocks: not for the core thread;
 * one at a time. */
struct raft_driver_restore *
raft_driver_restore_read(struct raft_driver *d,
                         ptrdiff_t (*source)(void *owner, char *out, size_t max, struct error *e),
                         void *owner, struct error *e);
/* Core thread: replaces the state of the cluster (raft.md 4.9) and commits a no-op behind it. Until
 * that is committed the leader's store keeps the state of before. In-flight proposals end with
 * "snapshot restored while committing log". Takes over the restore. outcome->index is that of the
 * no-op; errors have the text of fsm.md 8 ("Raft error when restoring snapshot: ..."). */
void raft_driver_restore(struct raft_driver *d, struct raft_driver_restore *r,
                         struct raft_proposal *p);
/* For one that is not used after all. Any thread. */
void raft_driver_restore_free(struct raft_driver_restore *r);

#endif

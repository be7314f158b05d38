/* The Raft core (raft.md 2 to 4): one server's part in the consensus, as a value that events
 * change. It does no I/O, reads no clock, starts no thread and draws no randomness but from its
 * seed: time, messages and the disk's answers come in as events; messages, disk writes, committed
 * entries and log lines go out as actions. The same core runs under the driver (server/raft_driver)
 * and in simulations.
 *
 * What the caller does with actions:
 * - Disk actions (APPEND, TRUNCATE, RESET, TERM) carry a sequence number and are done in that
 *   order: RAFT_EVENT_PERSISTED when they are durable, RAFT_EVENT_PERSIST_FAILED when one fails.
 * - A SEND with a sequence number waits until that one is durable; one that waits for a write
 *   which failed, or for UINT64_MAX, is dropped.
 * - Everything else is done at once, in order.
 *
 * Not here: the log on disk (wal.h), snapshots on disk (snapshots.h), what entries mean (store/),
 * and how messages look on the wire (wire.h).
 */
#ifndef PRAETOR_RAFT_RAFT_H
#define PRAETOR_RAFT_RAFT_H

#include "base/error.h"
#include "base/log.h"
#include "raft/configuration.h"
#include "raft/log.h"

struct raft;

enum raft_state { RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER };
const char *raft_state_name(enum raft_state s); /* "Follower" */

/* Why something did not happen; raft_error_text gives the peer's text (raft.md 4.11). */
enum raft_error {
    RAFT_OK = 0,
    RAFT_ERROR_NOT_LEADER,
    RAFT_ERROR_LEADERSHIP_LOST,
    RAFT_ERROR_RESTORED,
    RAFT_ERROR_SHUTDOWN,
    RAFT_ERROR_ENQUEUE_TIMEOUT,
    RAFT_ERROR_TRANSFER_IN_PROGRESS,
    RAFT_ERROR_TRANSFER_TIMEOUT,
    RAFT_ERROR_TRANSFER_SELF,
    RAFT_ERROR_NO_PEER,
    RAFT_ERROR_UNSUPPORTED, /* operation not supported with current protocol version */
    RAFT_ERROR_NOT_NEW,     /* bootstrap only works on new clusters */
    RAFT_ERROR_MESSAGE,     /* see the text that comes with it */
};
const char *raft_error_text(enum raft_error e);

struct raft_options {
    struct str id;                                                              /* copied */
    struct str address;                                                         /* copied */
    unsigned protocol;                                                          /* 3 */
    int64_t heartbeat_timeout, election_timeout, lease_timeout, commit_timeout; /* ns, raft.md 3 */
    int64_t rpc_timeout;               /* an unanswered request counts as failed after this */
    unsigned max_append;               /* entries a message: 64 */
    unsigned max_in_flight;            /* messages to one follower: 128 */
    size_t max_append_bytes;           /* a message, unless one entry has more; 0: 1 MiB */
    size_t max_in_flight_bytes;        /* to one follower, and one message more; 0: 8 MiB */
    uint64_t trailing_logs;            /* entries kept behind a snapshot */
    size_t cache_entries, cache_bytes; /* applied entries that stay in memory, at most */
    bool keep_all; /* there is no disk to read from: all entries stay in memory */
    uint64_t seed;
};

/* What was found on disk. The strings and configurations are copied or held. */
struct raft_initial {
    int64_t now;
    uint64_t term, vote_term;
    struct str vote; /* address voted for in vote_term; empty: none */
    uint64_t snapshot_index, snapshot_term;
    struct raft_configuration *snapshot_configuration; /* NULL: none */
    uint64_t snapshot_configuration_index;
    uint64_t first, last; /* the log; first <= snapshot_index + 1, last >= snapshot_index */
    const struct raft_run *runs;
    size_t run_count;
    /* Entries of types 2, 3 and 5 in the log, in order (those up to the snapshot are skipped). */
    struct raft_entry *const *configurations;
    size_t configuration_count;
    /* With keep_all: the log itself; first = 1, last = 0 and no runs then. */
    struct raft_entry *const *entries;
    size_t entry_count;
    uint64_t applied; /* what the state machine holds: at least snapshot_index, at most last */
};

/* ---- messages (raft.md 1.4) ---- */

enum raft_message_kind {
    RAFT_APPEND,
    RAFT_APPEND_RESULT,
    RAFT_VOTE,
    RAFT_VOTE_RESULT,
    RAFT_INSTALL,
    RAFT_INSTALL_RESULT,
    RAFT_TIMEOUT_NOW,
    RAFT_TIMEOUT_NOW_RESULT,
};

/* Belongs to a request and comes back with its result (or failure). It is not on the wire: the
 * sender keeps it beside the request, since results come in the order of requests. */
struct raft_tag {
    uint64_t term;
    /* APPEND: entries previous+1..last were sent; INSTALL: last is its index. */
    uint64_t previous, last;
    uint64_t round; /* verification round */
    int64_t sent_at;
    size_t bytes;   /* APPEND: of its entries, as far as they are in memory */
    uint32_t epoch; /* of the follower's mode; older results do not count */
    bool heartbeat;
};

struct raft_append {
    uint64_t term;
    struct str leader;
    uint64_t previous_index, previous_term;
    uint64_t commit;
    bool heartbeat; /* entries nil on the wire, everything else 0: raft.md 1.3 */
    /* Entries first..first+count-1. As an action: `entries` is NULL when they are not in memory;
     * the driver then reads them from the log (and reports a failure when they are gone). Received:
     * always there; the core holds what it keeps. */
    uint64_t first;
    size_t count;
    struct raft_entry **entries;
};
struct raft_append_result {
    uint64_t term;
    uint64_t last_log;
    bool success;
    bool no_retry_backoff;
};
struct raft_vote {
    uint64_t term;
    struct str candidate;
    uint64_t last_log_index, last_log_term;
    bool leadership_transfer;
};
struct raft_vote_result {
    uint64_t term;
    bool granted;
};
/* As an action the driver adds the newest snapshot's bytes and takes index, term and configuration
 * from it. Received: its bytes have come completely and wait with the driver. */
struct raft_install {
    uint64_t term;
    struct str leader;
    uint64_t last_index, last_term;
    struct raft_configuration *configuration;
    uint64_t configuration_index;
    int64_t size;
    int64_t version;
};
struct raft_install_result {
    uint64_t term;
    bool success;
};

struct raft_message {
    enum raft_message_kind kind;
    struct raft_tag tag;
    /* Requests, and results received: the other server as the configuration names it. Results sent:
     * empty; they go where the request came from. */
    struct str peer_id, peer_address;
    void *reply; /* what the driver gave with a request, handed back with its result */
    union {
        struct raft_append append;
        struct raft_append_result append_result;
        struct raft_vote vote;
        struct raft_vote_result vote_result;
        struct raft_install install;
        struct raft_install_result install_result;
    };
};

/* ---- events ---- */

enum raft_event_kind {
    /* Nothing but time; due at raft_next_wakeup. Only here a server gives its leader up, so that
     * whoever was busy itself can look at what has come meanwhile before. */
    RAFT_EVENT_TICK,
    /* No event was given for a while because the driver was busy (applying something big), not
     * because nothing came: a leader asks its followers once more before it gives up. */
    RAFT_EVENT_STALLED,
    RAFT_EVENT_PROPOSE,   /* leader: append entries */
    RAFT_EVENT_CHANGE,    /* leader: change the membership */
    RAFT_EVENT_VERIFY,    /* leader: ask a quorum whether it still is */
    RAFT_EVENT_TRANSFER,  /* leader: hand over to another server */
    RAFT_EVENT_BOOTSTRAP, /* without any state: start a cluster */
    RAFT_EVENT_RECEIVE,   /* a message */
    /* A request that was sent will not be answered. The core also gives up by itself after
     * rpc_timeout, except for INSTALL, whose time depends on its size: there the driver must always
     * tell. */
    RAFT_EVENT_SEND_FAILED,
    RAFT_EVENT_PERSISTED,
    RAFT_EVENT_PERSIST_FAILED,
    RAFT_EVENT_APPLIED,
    RAFT_EVENT_SNAPSHOT_TAKEN, /* a local snapshot is durable */
    RAFT_EVENT_INSTALLED,      /* the end of INSTALL: the snapshot was taken over, or not */
    RAFT_EVENT_RESTORE,        /* leader: a user's snapshot replaces everything */
    RAFT_EVENT_RESTORED,       /* the end of RESTORE */
    RAFT_EVENT_FORGOTTEN,      /* the end of FORGET */
};

struct raft_event {
    enum raft_event_kind kind;
    int64_t now; /* monotonic ns, never going back */
    union {
        /* The core takes over one reference to each entry when it accepts them. */
        struct {
            struct raft_entry **entries;
            size_t count;
        } propose;
        struct {
            enum raft_change change;
            struct str id, address;
            uint64_t previous_index;
            void *token; /* comes back in RAFT_ACTION_CHANGED */
        } change;
        struct {
            void *token; /* comes back in RAFT_ACTION_VERIFIED */
        } verify;
        struct {
            struct str id; /* empty: the best follower */
        } transfer;
        struct raft_configuration *bootstrap; /* valid; not taken over */
        struct raft_message *message; /* RECEIVE; SEND_FAILED: the request, of which peer_id, kind
                                         and tag are looked at */
        uint64_t sequence; /* PERSISTED: everything up to it. FAILED: what came after `persisted` */
        uint64_t applied;
        struct {
            uint64_t index, term;
        } snapshot;
        struct {
            bool ok;
            struct raft_message *message; /* the INSTALL */
        } installed;
        struct {
            uint64_t index; /* that of the archive */
        } restore;
        struct {
            bool ok;
            uint64_t index, term; /* as given by RAFT_ACTION_RESTORE */
        } restored;
    };
    /* PROPOSE, TRANSFER, BOOTSTRAP, RESTORE: set by the core. With RAFT_OK a proposal's entries got
     * the indexes `index`..index+count-1. text (in the actions' arena) with RAFT_ERROR_MESSAGE. */
    enum raft_error error;
    uint64_t index;
    uint64_t term;
    struct str text;
};

/* ---- actions ---- */

enum raft_action_kind {
    RAFT_ACTION_TERM,     /* disk: term and vote */
    RAFT_ACTION_APPEND,   /* disk: entries */
    RAFT_ACTION_TRUNCATE, /* disk: entries from index on are void */
    /* disk: all entries are void, the next has `index` + 1. So are snapshots of another history:
     * those that sort as newer than the one at `index` (all, when it is 0) are removed before it
     * counts as durable. */
    RAFT_ACTION_RESET,
    RAFT_ACTION_COMPACT, /* entries up to index may be deleted; no hurry, no sequence */
    RAFT_ACTION_SEND,
    RAFT_ACTION_APPLY,   /* entries up to index may be applied */
    RAFT_ACTION_COMMIT,  /* everything up to index is committed (APPLY may lag behind the disk) */
    RAFT_ACTION_STATE,   /* state, term or leader changed: see raft_state, raft_term, raft_leader */
    RAFT_ACTION_FAIL,    /* proposals with indexes above `index` fail with `error` */
    RAFT_ACTION_CHANGED, /* a membership change was appended at index, or refused */
    RAFT_ACTION_VERIFIED,
    RAFT_ACTION_TRANSFERRED,
    RAFT_ACTION_INSTALL, /* take over the snapshot of `message`, then send INSTALLED */
    RAFT_ACTION_RESTORE, /* store the user's snapshot as index, term, configuration; then RESTORED
                          */
    /* The state machine becomes empty, then FORGOTTEN. The RESET to 0 that follows that voids the
     * snapshots on disk as well: see there. */
    RAFT_ACTION_FORGET,
    RAFT_ACTION_LOG, /* a line for the agent's log, logger "raft" */
};

#define RAFT_LOG_FIELDS 3
struct raft_action {
    enum raft_action_kind kind;
    uint64_t sequence; /* disk actions: their own; SEND: that they wait for, 0: none */
    uint64_t index;
    enum raft_error error;
    void *token;
    union {
        struct {
            uint64_t term, vote_term;
            struct str vote;
        } term;
        struct { /* held until raft_actions_clear */
            struct raft_entry **entries;
            size_t count;
        } append;
        struct raft_message message;
        struct raft_message *install; /* the event's own message */
        struct {
            uint64_t term;
            struct raft_configuration *configuration; /* held until raft_actions_clear */
            uint64_t configuration_index;
        } restore;
        struct {
            enum log_level level;
            const char *text;
            struct {
                const char *key; /* NULL: no more */
                struct str value;
            } fields[RAFT_LOG_FIELDS];
        } log;
        struct str text; /* CHANGED, TRANSFERRED with RAFT_ERROR_MESSAGE */
    };
};

struct raft_actions {
    struct raft_action *items;
    size_t len, cap;
    struct arena arena; /* strings and arrays of the actions */
};
#define RAFT_ACTIONS_INIT ((struct raft_actions){NULL, 0, 0, ARENA_INIT})
/* Forgets the actions, keeps the memory. */
void raft_actions_clear(struct raft_actions *a);
void raft_actions_free(struct raft_actions *a);

/* ---- the core ---- */

/* False only for a configuration entry that does not decode. */
struct raft *raft_new(const struct raft_options *options, const struct raft_initial *initial,
                      struct error *e);
void raft_free(struct raft *r);
/* Adds to `out` what is to be done because of the event. */
void raft_step(struct raft *r, struct raft_event *event, struct raft_actions *out);
/* When the next TICK is due; INT64_MAX: never. */
int64_t raft_next_wakeup(const struct raft *r);

enum raft_state raft_get_state(const struct raft *r);
uint64_t raft_term(const struct raft *r);
struct str raft_leader(const struct raft *r); /* address, empty: none; until the next step */
uint64_t raft_commit_index(const struct raft *r);
const struct raft_log *raft_get_log(const struct raft *r);
/* ns since the leader was heard of; -1: never. Not for the leader. */
int64_t raft_last_contact(const struct raft *r, int64_t now);
const struct raft_configuration *raft_latest_configuration(const struct raft *r, uint64_t *index);
struct raft_configuration *raft_committed_configuration(const struct raft *r, uint64_t *index);
const struct raft_options *raft_get_options(const struct raft *r);
/* The replication state of one follower, for autopilot and tests; false when there is none. */
bool raft_peer_progress(const struct raft *r, struct str id, uint64_t *match, uint64_t *next);
/* For how long each follower, at most `max` of them, has not been heard of (ns); for telemetry.
 * Returns how many. */
size_t raft_follower_silences(const struct raft *r, int64_t now, int64_t *out, size_t max);

#endif

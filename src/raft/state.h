/* The core's own state and what its files share. For src/raft/ only. One file for each message
 * received (recv_*.c) and each duty: election.c, replication.c, commit.c (commit rule, lease,
 * verification), membership.c, persist.c (what goes to disk and has come to it), restore.c,
 * transfer.c.
 */
#ifndef PRAETOR_RAFT_STATE_H
#define PRAETOR_RAFT_STATE_H

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "raft/raft.h"

enum raft_peer_mode {
    PEER_PROBE,    /* one message at a time, until one succeeds */
    PEER_PIPELINE, /* many under way; `next` runs ahead of what is acknowledged */
    PEER_SNAPSHOT, /* the snapshot is under way */
};

/* The leader's view of another server. */
struct raft_peer {
    struct str id, address; /* owned */
    uint64_t next, match;
    enum raft_peer_mode mode;
    uint32_t epoch; /* grows with every change of mode: results of before do not count */
    unsigned in_flight;
    size_t in_flight_bytes;
    int64_t waiting_since; /* in_flight > 0: since when no result has come */
    int64_t retry_at;      /* nothing is sent before (0: at once) */
    unsigned failures;
    int64_t last_contact;
    bool contact_lost; /* "failed to contact" was logged */

    int64_t heartbeat_at, heartbeat_sent;
    bool heartbeat_open; /* one is unanswered */
    unsigned heartbeat_failures;

    uint64_t commit_told;
    int64_t commit_at; /* when to tell a newer one without entries */
    uint64_t round;    /* highest verification round that it acknowledged */
};

/* A membership change that waits for the one before it. */
struct raft_waiting_change {
    struct raft_waiting_change *next;
    enum raft_change change;
    struct str id, address; /* owned by the struct's own allocation */
    uint64_t previous_index;
    void *token;
};
#define RAFT_MAX_WAITING_CHANGES 64

struct raft_indexed_configuration {
    uint64_t index;
    struct raft_configuration *configuration;
};

struct raft_verification {
    uint64_t round;
    void *token;
};

/* A log write that is not durable yet. */
struct raft_write {
    uint64_t sequence;
    uint64_t last; /* when it is, entries up to here are */
};

struct raft {
    struct raft_options options;
    struct prng prng;
    int64_t now;
    struct raft_actions *out; /* during raft_step */

    enum raft_state state;
    uint64_t term, vote_term;
    struct buf vote;   /* address voted for in vote_term */
    struct buf leader; /* address, empty: none */
    struct raft_log log;
    uint64_t commit;
    uint64_t apply_sent; /* APPLY was given up to here */
    uint64_t applied;
    uint64_t confirmed;   /* up to here this log is that of the leader of the present term */
    bool base_unsure;     /* nothing behind the snapshot is committed yet: see recv_append.c */
    int64_t last_contact; /* -1: never */
    int64_t election_at;
    bool no_peers_logged, not_stable_logged;
    bool busy; /* INSTALL or RESTORE is under way: the log must not move */

    /* The configurations of the log, by index, from the newest that is applied on (membership.c).
     */
    struct raft_indexed_configuration *configurations;
    size_t configuration_count, configuration_cap;
    struct raft_configuration *latest, *committed; /* two of them; NULL: none yet */
    uint64_t latest_index, committed_index;

    /* persist.c */
    uint64_t sequence;       /* of the newest disk action */
    uint64_t persisted;      /* up to here they are durable */
    uint64_t term_sequence;  /* of the newest TERM */
    uint64_t log_sequence;   /* of the newest log write */
    uint64_t reset_sequence; /* of the newest RESET */
    bool reset_lost;         /* it failed: to be done before the next entries */
    uint64_t durable;        /* entries up to here are on disk */
    struct raft_write *writes;
    size_t write_count, write_cap;
    bool term_unsaved; /* a TERM failed: to be tried again */
    int64_t term_retry_at;

    /* candidate */
    struct raft_configuration *election; /* in which votes are counted */
    bool *granted;
    size_t needed;
    bool transfer_election; /* the first after a TimeoutNow */
    uint64_t vote_sequence; /* the own vote counts when this is durable; 0: counted */

    /* leader */
    struct raft_peer **peers;
    size_t peer_count;
    uint64_t start_index; /* the first entry of this leader's term */
    int64_t lease_at;
    uint64_t round; /* of the newest verification */
    struct raft_verification *verifications;
    size_t verification_count, verification_cap;
    struct raft_waiting_change *changes, **changes_end;
    size_t change_count;
    bool transferring, timeout_now_sent;
    struct buf transfer_target;
    int64_t transfer_deadline;
};

/* raft.c */
struct raft_action *raft_act(struct raft *r, enum raft_action_kind kind);
int64_t raft_random(struct raft *r, int64_t x); /* uniform in [x, 2x) */
struct str raft_out_copy(struct raft *r, struct str s);
struct raft_action *raft_log_line(struct raft *r, enum log_level level, const char *text);
/* Adds a field to a log line; the value is copied. */
void raft_log_str(struct raft *r, struct raft_action *line, const char *key, struct str value);
void raft_log_u64(struct raft *r, struct raft_action *line, const char *key, uint64_t value);
void raft_log_self(struct raft *r, struct raft_action *line, const char *key);
void raft_set_leader(struct raft *r, struct str address);
bool raft_is_voter(const struct raft *r);

/* persist.c */
void raft_persist_term(struct raft *r);
void raft_set_term(struct raft *r, uint64_t term);
/* Appends entries that have their index and term; takes over one reference to each. */
void raft_persist_entries(struct raft *r, struct raft_entry **entries, size_t count);
void raft_persist_truncate(struct raft *r, uint64_t from);
/* The log is now empty behind a snapshot. */
void raft_persist_reset(struct raft *r, uint64_t index, uint64_t term);
void raft_on_persisted(struct raft *r, uint64_t sequence);
void raft_on_persist_failed(struct raft *r);
/* What a message must wait for: 0, or the sequence of what is not durable yet. */
uint64_t raft_after_term(const struct raft *r);
uint64_t raft_after_log(const struct raft *r);

/* election.c */
void raft_become_follower(struct raft *r);
void raft_become_candidate(struct raft *r, bool transfer);
void raft_on_election_timer(struct raft *r);
void raft_count_vote(struct raft *r, struct str id);
void raft_step_down(struct raft *r, const char *why); /* leader to follower */

/* replication.c */
void raft_peers_update(struct raft *r); /* to r->latest */
void raft_peers_free(struct raft *r);
/* As the peer's log shows a server: "{Voter id address}". */
struct str raft_peer_text(struct raft *r, const struct raft_peer *p);
struct raft_peer *raft_peer_find(const struct raft *r, struct str id);
void raft_replicate(struct raft *r);
void raft_peer_failed(struct raft *r, struct raft_peer *p, bool backoff);
int64_t raft_replication_wakeup(const struct raft *r);

/* commit.c */
void raft_set_commit(struct raft *r, uint64_t commit);
void raft_advance_commit(struct raft *r);
void raft_emit_apply(struct raft *r);
void raft_check_lease(struct raft *r);
/* Asks all followers now, and looks at the lease only when they have had time to answer. */
void raft_lease_grace(struct raft *r);
void raft_on_verify(struct raft *r, void *token);
void raft_check_verifications(struct raft *r);
void raft_fail_verifications(struct raft *r, enum raft_error error);

/* membership.c */
/* After the commit index or the applied index has changed. */
void raft_configurations_update(struct raft *r);
void raft_configurations_clear(struct raft *r);
/* Takes over the reference. */
void raft_configuration_appended(struct raft *r, struct raft_configuration *c, uint64_t index);
void raft_configuration_truncated(struct raft *r, uint64_t from);
void raft_configuration_installed(struct raft *r, struct raft_configuration *c, uint64_t index,
                                  uint64_t snapshot_index);
void raft_on_change(struct raft *r, struct raft_event *event);
void raft_on_bootstrap(struct raft *r, struct raft_event *event);
void raft_run_changes(struct raft *r);
void raft_fail_changes(struct raft *r, enum raft_error error);

/* transfer.c */
void raft_on_transfer(struct raft *r, struct raft_event *event);
void raft_run_transfer(struct raft *r);
void raft_end_transfer(struct raft *r, enum raft_error error);

/* restore.c */
void raft_compact(struct raft *r);
void raft_on_snapshot_taken(struct raft *r, uint64_t index, uint64_t term);
void raft_on_restore(struct raft *r, struct raft_event *event);
void raft_on_restored(struct raft *r, struct raft_event *event);
void raft_on_installed(struct raft *r, struct raft_message *m, bool ok);
void raft_on_forgotten(struct raft *r);

/* recv_*.c */
void raft_recv_append(struct raft *r, struct raft_message *m);
void raft_recv_append_result(struct raft *r, struct raft_message *m);
void raft_recv_vote(struct raft *r, struct raft_message *m);
void raft_recv_vote_result(struct raft *r, struct raft_message *m);
void raft_recv_install(struct raft *r, struct raft_message *m);
void raft_recv_install_result(struct raft *r, struct raft_message *m);
void raft_recv_timeout_now(struct raft *r, struct raft_message *m);
/* A result for the request m; the caller fills in the rest. */
struct raft_message *raft_reply(struct raft *r, const struct raft_message *m, uint64_t after);

#endif

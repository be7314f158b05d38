/* The driver's own state, for raft_driver*.c. raft_driver_open.c: from disk to a running core;
 * raft_driver.c: the core's loop and proposals; raft_driver_apply.c: entries into the store;
 * raft_driver_network.c: messages to and
 * from other servers; raft_driver_install.c: a leader's snapshot that replaces the state;
 * raft_driver_recover.c: peers.json; raft_driver_snapshot.c: snapshots; raft_driver_restore.c: a
 * user's snapshot that replaces the state; raft_driver_info.c: what other threads may ask.
 */
#ifndef PRAETOR_SERVER_RAFT_DRIVER_INTERNAL_H
#define PRAETOR_SERVER_RAFT_DRIVER_INTERNAL_H

#include <pthread.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "raft/raft.h"
#include "raft/snapshots.h"
#include "raft/wal.h"
#include "server/fsm_metrics.h"
#include "server/raft_disk.h"
#include "server/raft_driver.h"
#include "server/raft_transport.h"
#include "store/snapshot.h"

#define DRIVER_LOG "agent.server.raft"
#define DRIVER_APPLY_ENTRIES ((size_t)4096) /* a transaction */
#define DRIVER_STALL (50 * MILLISECOND) /* a round of the core that takes longer is a long one */
#define DRIVER_ADDRESS_MAX 64           /* bytes of "ip:port" with its end */

enum proposal_kind {
    PROPOSAL_COMMAND,
    PROPOSAL_BARRIER,
    PROPOSAL_VERIFY,
    PROPOSAL_CHANGE,
    PROPOSAL_RESTORE,
    PROPOSAL_TRANSFER,
    PROPOSAL_REFUSED, /* over the limits; only to be told so */
};

struct proposal_list {
    struct raft_proposal *first, *last;
};
void proposal_list_add(struct proposal_list *list, struct raft_proposal *p);
void proposal_list_remove(struct proposal_list *list, struct raft_proposal *p);

/* A membership change on its way through the core; the proposal's token. */
struct driver_change {
    struct raft_proposal *proposal;
    enum raft_change change;
    struct str id, address;
    uint64_t previous_index;
};

/* A message that promises what is not on disk yet. Strings and entries are its own. */
struct held_send {
    struct held_send *next;
    uint64_t sequence;
    struct raft_message message;
    struct arena arena;
};

/* Entries read from disk for a follower that is behind what is in memory, and the messages that
 * wait for them. */
struct catch_up {
    struct catch_up *next;
    struct held_send *waiting, **waiting_end;
    struct raft_disk_job *entries; /* the last that were read; NULL: none yet */
    uint64_t term; /* in which they were: when this server led before, its log was another one */
    bool reading;
    int64_t used_at;
    struct str id;
};

struct snapshot_request {
    struct snapshot_request *next;
    void (*done)(void *owner, struct raft_driver_snapshot *snapshot, const struct error *e);
    void *owner;
};
struct snapshot_task;
struct applying;

/* A finished snapshot: its meta with a configuration of its own, and its state.bin. */
struct raft_driver_snapshot {
    struct arena arena;
    struct snapshot_meta meta;
    int fd;
};

struct raft_driver_restore {
    struct raft_driver *driver;
    struct arena arena;
    uint64_t archive_index;
    bool locked; /* holds driver->restoring */
    struct store_restore *state;
    struct snapshot_writer *writer; /* on disk */
    int fd;                         /* in dev mode; -1 otherwise */
    uint64_t size;
    bool state_bad; /* state.bin does not decode: state_error says why */
    struct error state_error;
    struct raft_proposal *proposal;
    int64_t started;
    /* set by the core: what the snapshot becomes */
    struct snapshot_meta meta;
    struct error error;
};

#define DRIVER_CONTACTS ((size_t)16) /* followers whose silence is measured */

/* What raft_driver_metrics.c keeps. */
struct driver_metrics {
    bool state_known, append_leads;
    enum raft_state state;
    uint64_t term;
    uint64_t append_sequence; /* of the write that is followed to the disk; 0: none */
    int64_t append_at, commit_at, contact_at;
    struct metric_tally applied, commit_time; /* of a batch */
    struct fsm_tally fsm;
};

struct raft_driver {
    struct raft_driver_options options;
    struct arena arena; /* strings of options */
    bool dev;
    int lock; /* fd, -1 */
    struct loop *core;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    struct loop_timer timer, snapshot_timer, retry_timer;
    int64_t timer_at;
    bool started, stopping, dead, running, idling;
    bool tick;         /* the timer fired */
    int64_t polled_at; /* when what had come was last looked at */
    bool state_dirty;  /* leadership may have changed: tell the owner */

    struct raft *raft;
    struct wal *wal;
    struct raft_disk *disk;
    struct snapshots *snapshots;
    struct store *store;
    struct disk_io io;
    struct raft_actions actions;
    bool stepping;
    uint64_t dev_sequence, dev_persisted;

    /* other servers */
    struct raft_transport *transport; /* from start on */
    struct held_send *held, **held_end;
    uint64_t persisted;
    struct catch_up *catch_ups;
    struct loop_timer catch_up_timer;
    struct buf failed_peer; /* whose pipeline broke last, and in which epoch */
    uint32_t failed_epoch;
    struct raft_proposal *transfer; /* under way */
    struct raft_install_sink *sink; /* a snapshot is coming in */
    bool installing;                /* the core wants it; nothing is applied meanwhile */
    bool forgetting;                /* the core wants the state to become empty */
    _Atomic bool restoring;         /* a restore of the store, of whatever origin */

    struct proposal_list queued;  /* not given to the core yet */
    struct proposal_list waiting; /* for their entries, by index */
    struct proposal_list asking;  /* verifications and changes that the core has */
    uint64_t in_flight_entries, in_flight_bytes;
    struct proposal_list batch; /* in the PROPOSE event under way, with its entries */
    struct raft_entry **batch_entries;
    size_t batch_count, batch_cap;

    /* applying */
    uint64_t apply_target, applied, applied_term;
    uint64_t command_index,
        command_term;            /* last command or barrier applied since the start or restore */
    struct applying *applying;   /* by a helper thread: the state is its; NULL: none */
    struct raft_disk_job *older; /* entries read from disk, to be applied; NULL: none */
    bool reading;
    bool apply_waits; /* the store's disk is full or failing: to be tried again */
    struct store_result *results;

    /* leadership as told to the owner */
    bool told_leader;
    uint64_t told_term;
    struct buf told_address;

    /* snapshots */
    struct snapshot_request *requests, **requests_end;
    struct snapshot_task *task;
    uint64_t snapshot_index, snapshot_term; /* of the newest */
    struct raft_driver_snapshot *dev_snapshot;
    struct raft_driver_restore *restore; /* under way in the core */
    bool restore_ready, restore_finishing;
    /* In the log's place, but not in the store yet: `applied` is ahead of the store. */
    struct raft_driver_restore *restored;
    _Atomic bool cancel_snapshot;
    struct prng jitter;
    struct driver_metrics metrics;

    /* for other threads */
    pthread_mutex_t view_mutex;
    char view_address[64];
    struct raft_configuration *view_configuration;
    uint64_t view_configuration_index;
    _Atomic bool view_leader;
    _Atomic int view_state;
    _Atomic uint64_t view_term, view_commit, view_last_index, view_last_term;
    _Atomic uint64_t view_snapshot_index, view_snapshot_term, view_pending;
    _Atomic int64_t view_contact; /* monotonic time; 0: never */
};

/* Something reads the state or writes it, apart from those who only look: it must not be replaced,
 * nor captured, now. */
static inline bool driver_state_is_used(const struct raft_driver *d) {
    return d->reading || d->task != NULL || d->applying != NULL;
}

/* raft_driver.c */
void driver_step(struct raft_driver *d, struct raft_event *event);
void driver_fatal(struct raft_driver *d, struct str text);
void driver_finish(struct raft_driver *d, struct raft_proposal *p,
                   const struct raft_outcome *outcome);
/* Without a result: an error, or RAFT_OK for what has no entry. text: for RAFT_ERROR_MESSAGE. */
void driver_answer(struct raft_driver *d, struct raft_proposal *p, enum raft_error error,
                   struct str text);
/* Has driver_run called soon although nothing else may happen on the loop. */
void driver_wake(struct raft_driver *d);

/* raft_driver_snapshot.c */
void driver_snapshot_tick(struct raft_driver *d); /* starts what was asked for, if it can */
void driver_snapshot_timer(struct loop_timer *t);
void driver_snapshot_timer_set(struct raft_driver *d);
void driver_snapshot_stop(struct raft_driver *d);
/* Dev mode: this is the newest snapshot now. fd is copied. */
void driver_dev_snapshot_set(struct raft_driver *d, const struct snapshot_meta *meta, int fd);
/* A file for state.bin without a name; -1 with an error. */
int driver_memory_file(struct error *e);
bool driver_memory_add(const struct raft_driver *d, int fd, uint64_t at, struct str bytes,
                       struct error *e);

/* raft_driver_restore.c */
void driver_restore_begin(struct raft_driver *d, struct raft_proposal *p);
void driver_restore_action(struct raft_driver *d, const struct raft_action *a);
void driver_restore_stop(struct raft_driver *d);
void driver_restore_tick(struct raft_driver *d); /* goes on when everything before it is applied */
bool driver_restored_is_due(const struct raft_driver *d);
void driver_restored_tick(struct raft_driver *d); /* then the store takes it over */

/* Entries read for the applier that are not to be applied. */
void driver_older_drop(struct raft_driver *d);

/* raft_driver_apply.c */
/* One entry into the batch, whatever its type. */
bool driver_apply_entry(struct store_batch *b, const struct raft_entry *entry,
                        struct store_result *result, struct error *e);
void driver_apply_some(struct raft_driver *d);
bool driver_may_apply(const struct raft_driver *d);
void driver_apply_retry(struct loop_timer *t);
void driver_apply_stop(struct raft_driver *d);

/* raft_driver_recover.c */
/* peers.info and peers.json at the start. *c: the configuration to recover with, or NULL. */
bool driver_recover_look(struct raft_driver *d, const char *raft_dir, bool has_state,
                         struct raft_configuration **c, struct error *e);
/* Log, snapshots and store are open, and the store is what snapshot and log say. */
bool driver_recover(struct raft_driver *d, const char *raft_dir, struct raft_configuration *c,
                    struct error *e);

/* raft_driver_metrics.c */
/* An entry has been applied since `began`; returns the time now. */
int64_t driver_measure_applied(struct raft_driver *d, const struct raft_entry *entry,
                               int64_t began);
/* The batch is over; its entries must still be there. */
void driver_measure_batch(struct raft_driver *d);
void driver_measure_state(struct raft_driver *d);
void driver_measure_append(struct raft_driver *d, const struct raft_action *a);
void driver_measure_persisted(struct raft_driver *d, uint64_t sequence);
/* Entries up to index may be applied; before apply_target follows. */
void driver_measure_committed(struct raft_driver *d, uint64_t index);
void driver_measure_answered(struct raft_driver *d, const struct raft_proposal *p);
void driver_measure_received(const struct raft_message *m, int64_t began);
void driver_measure_round(struct raft_driver *d);

/* raft_driver_network.c */
void driver_network_start(struct raft_driver *d);
void driver_send(struct raft_driver *d, const struct raft_action *a);
void driver_sends_release(struct raft_driver *d); /* after d->persisted has grown */
void driver_sends_drop(struct raft_driver *d);    /* what they wait for will not be */
void driver_network_stop(struct raft_driver *d);

/* raft_driver_install.c: callbacks of the transport, and of the core's action. */
struct raft_install_sink *driver_install_begin(void *owner, struct raft_message *m);
bool driver_install_add(struct raft_install_sink *sink, struct str bytes);
void driver_install_end(struct raft_install_sink *sink);
void driver_install_abort(struct raft_install_sink *sink);
/* Before an INSTALL is given to the core: whether its bytes are there. */
bool driver_install_ready(struct raft_driver *d, const struct raft_message *m);
void driver_install_action(struct raft_driver *d, struct raft_message *m);
/* After it was given: if the core did not want it, the bytes go. */
void driver_install_settle(struct raft_driver *d, const struct raft_message *m);
void driver_install_tick(struct raft_driver *d);

/* raft_driver_forget.c */
void driver_forget_tick(struct raft_driver *d);
/* On the disk thread, when a RESET is durable. */
bool driver_log_reset(void *owner, uint64_t index, struct error *e);
void driver_install_stop(struct raft_driver *d);

/* raft_driver_info.c */
void driver_view_update(struct raft_driver *d);
void driver_view_configuration(struct raft_driver *d);

#endif

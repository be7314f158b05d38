/* A whole cluster in one process on virtual time: the real Raft core, the real write-ahead log and
 * snapshot directory on simulated disks, the real store (or a small model of its keys), and
 * everything around them played by one seed: network, clocks, processes, operators, clients. What
 * the driver (server/raft_driver*.c) and the transport do is modelled here step by step; their own
 * code needs threads and sockets.
 *
 *   schedule.c    time: what happens next
 *   network.c     connections between servers; requests and answers in the wire's own bytes
 *   node.c        one server: the core, what it says, clocks, starts and ends
 *   disk_thread.c the log's writes, one batch after the other
 *   catch_up.c    entries read from the log for followers that are behind
 *   apply.c       committed entries to the state machine; proposals' ends; reads
 *   snapshot.c    snapshots taken, installed, restored
 *   machine.c     the state machine: a model of keys, beside it the real store
 *   client.c      clients that write and read keys, and those that wait for changes
 *   operator.c    membership, transfers, snapshots and restores
 *   faults.c      what goes wrong
 *   check.c       what must hold after every step
 *   plan.c        what a seed decides at first
 *   main.c        seeds, their lives, numbers
 */
#ifndef PRAETOR_TESTS_SIM_CLUSTER_SIM_H
#define PRAETOR_TESTS_SIM_CLUSTER_SIM_H

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "raft/raft.h"
#include "raft/snapshots.h"
#include "raft/wal.h"
#include "sim/cluster/linear.h"
#include "sim/cluster/machine.h"
#include "sim/sim_disk.h"
#include "store/watch.h"

#define SIM_SLOTS 7
#define SIM_NAME 24
#define SIM_CLIENTS 8
#define SIM_WATCHERS 8
#define SIM_ARCHIVES 4

struct sim;
struct node;

/* ---- schedule.c ---- */

/* Something that will happen. Those of a node wait while its process is paused and are dropped when
 * it has ended since. */
struct sim_event {
    int64_t at;
    uint64_t order; /* of those at the same time */
    size_t place;   /* in the heap, from 1; 0: not there */
    void (*fire)(struct sim *s, struct sim_event *e);
    void (*drop)(struct sim *s, struct sim_event *e); /* NULL: nothing to do */
    struct node *node;
    uint64_t incarnation;
};
void sim_at(struct sim *s, struct sim_event *e, int64_t at);
void sim_after(struct sim *s, struct sim_event *e, int64_t delay);
void sim_cancel(struct sim *s, struct sim_event *e);
/* Binds it to a node's present process. */
void sim_bind(struct sim_event *e, struct node *n);
/* Until `end`, or until nothing is left to happen. */
void sim_run(struct sim *s, int64_t end);

/* ---- plan.c ---- */

enum fault {
    FAULT_CRASH,       /* a process is killed */
    FAULT_POWER,       /* a machine loses power */
    FAULT_POWER_ALL,   /* all of them at once */
    FAULT_PAUSE,       /* a process stands still */
    FAULT_PARTITION,   /* the network falls apart in two */
    FAULT_ONE_WAY,     /* what one server sends to some others does not arrive */
    FAULT_ISOLATE,     /* one server is cut off */
    FAULT_RESET,       /* a connection breaks */
    FAULT_LATE,        /* what a broken connection still held arrives */
    FAULT_DUPLICATE,   /* a request arrives twice */
    FAULT_SLOW_NET,    /* for a while everything takes long */
    FAULT_DISK_SLOW,   /* for a while a disk takes long */
    FAULT_DISK_ERROR,  /* for a while calls of a disk fail */
    FAULT_SYNC_ERROR,  /* a sync fails */
    FAULT_TORN,        /* a crash in the middle of writing */
    FAULT_CLOCK_JUMP,  /* a monotonic clock jumps ahead */
    FAULT_CLOCK_DRIFT, /* a clock runs faster or slower */
    FAULT_WALL_JUMP,   /* a wall clock is set */
    FAULT_COUNT,
};
extern const char *const fault_names[FAULT_COUNT];

struct plan {
    unsigned voters, spares;
    int64_t duration; /* with faults; then everything is mended */
    bool real_store;
    bool ordered; /* answers come in the order of requests on each connection */
    unsigned clients, watchers;
    int64_t think; /* a client's pause between operations, at most */
    unsigned keys; /* at a time */
    size_t value_max;
    bool faults[FAULT_COUNT];
    int64_t fault_every;                    /* on average */
    unsigned lose_one_in, duplicate_one_in; /* messages; 0: none */
    bool membership, transfers, snapshots, restores;
    int64_t operator_every;
    int64_t latency, disk_latency, apply_delay; /* at most */
    int64_t heartbeat, election, lease, commit, rpc_timeout;
    unsigned max_append, max_in_flight;
    uint64_t trailing_logs, snapshot_threshold;
    size_t cache_entries, segment_bytes;
};
void plan_make(struct plan *p, uint64_t seed);
/* Switches a part of it on or off: membership, transfers, snapshots, restores, store (the real
 * one), order (of answers), faults (all of them), or one fault by its name. False: no such thing.
 */
bool plan_set(struct plan *p, const char *name, bool on);
void plan_print(const struct plan *p);

/* ---- network.c ---- */

enum channel { CHANNEL_HEARTBEAT, CHANNEL_APPEND, CHANNEL_VOTE, CHANNEL_INSTALL, CHANNELS };

/* A request that was sent and not answered yet. */
struct request {
    struct request *next;
    uint64_t number, generation;
    struct connection *connection;
    enum raft_message_kind kind;
    struct raft_tag tag;
    char id[SIM_NAME], address[32];
    struct sim_event timeout;
};
/* A request that was received and not answered yet. */
struct ticket {
    struct ticket *next;
    struct connection *connection;
    uint64_t number, generation;
    enum raft_message_kind kind;
    uint64_t last, last_term; /* of an append: what its success promises; 0: nothing */
    char candidate[32];       /* who asks for a vote: by now another may be in his slot */
    bool dead;                /* its connection is gone, or nobody waits: the answer goes nowhere */
    bool done;
    struct buf answer;
};
struct connection {
    int from, to;
    enum channel channel;
    uint64_t generation;
    uint64_t late_generation; /* a broken one, the rest of which may still arrive */
    int64_t last_due, last_due_back;
    struct request *open;
    struct ticket *tickets, **tickets_end;
};

/* A snapshot's content on its way, shared. */
struct blob {
    unsigned references;
    struct buf bytes;
};
struct blob *blob_hold(struct blob *b);
void blob_release(struct blob *b);

void network_init(struct sim *s);
void network_free(struct sim *s);
/* A request or, with m->reply a ticket, a result. blob: of an INSTALL; its reference is taken. */
void network_send(struct sim *s, struct node *n, const struct raft_message *m, struct blob *blob);
/* There will be no answer. */
void network_drop(struct sim *s, struct ticket *t);
void network_break(struct sim *s, struct connection *c);
void network_node_down(struct sim *s, struct node *n);
void network_heal(struct sim *s);
void network_cut(struct sim *s, int from, int to);

/* ---- disk_thread.c ---- */

enum job_kind {
    JOB_ENTRIES,
    JOB_TERM,
    JOB_TRUNCATE,
    JOB_RESET,
    JOB_COMPACT,
    JOB_READ,
    JOB_CALL,
};
struct job {
    struct job *next;
    enum job_kind kind;
    unsigned epoch;
    uint64_t sequence, index, last, term, vote_term;
    uint64_t needed; /* READ: at least up to here, however much that is */
    char vote[64];
    struct raft_entry **entries; /* ENTRIES: to write. READ: what was read. */
    size_t count;
    bool ok;
    bool (*call)(struct node *n, struct job *j);
    void (*done)(struct node *n, struct job *j);   /* READ, CALL; frees it */
    void (*forget)(struct node *n, struct job *j); /* the process ended before; does not free it */
    void *owner;
};
struct job *job_new(enum job_kind kind);
void job_free(struct job *j);
void disk_submit(struct node *n, struct job *j);
void disk_resume(struct node *n);
/* The process ends: what was under way comes to some end, and all is forgotten. */
void disk_end(struct node *n, bool torn);

/* ---- node.c ---- */

struct held { /* a message that waits for the disk */
    struct held *next;
    uint64_t after;
    bool is_read; /* its entries are being read from the log */
    struct raft_message message;
    struct arena arena;
    struct raft_entry **entries;
    struct blob *blob;
};

void held_free(struct held *h);
void held_send(struct node *n, struct held *h);
void held_drop(struct node *n, struct held *h); /* it will never be sent */

enum proposal_kind { PROPOSAL_COMMAND, PROPOSAL_BARRIER, PROPOSAL_CHANGE, PROPOSAL_RESTORE };
struct proposal {
    struct proposal *next;
    enum proposal_kind kind;
    uint64_t index, term;
    struct raft_entry *entry; /* until it is given to the core */
    void (*done)(struct node *n, struct proposal *p, enum raft_error error, bool yes);
    void *owner;
};

/* What is surely on disk. */
struct durable {
    uint64_t first, last; /* of the log */
    uint64_t *terms;      /* by index */
    size_t cap;
    uint64_t term, vote_term;
    char vote[64];
    uint64_t snapshot_index, snapshot_term;
    uint64_t void_from; /* a truncation or reset is under way: from here on nothing is sure */
};

struct snapshot_task;
struct incoming;
struct restoring;
struct io_item { /* on its way to the I/O thread */
    struct io_item *next;
    struct watch_touched *touched;
};

struct node {
    struct sim *sim;
    int slot;
    unsigned identity;
    char id[SIM_NAME], address[32];
    bool used;    /* has an identity */
    bool removed; /* from the cluster, as far as the operator knows */
    bool up;
    uint64_t incarnation; /* odd: up */
    int64_t paused_until;
    int64_t doubt_until; /* its idea of its lease may be wrong until then */
    int64_t clock_true, clock_local, ppm, wall;

    struct raft *raft;
    struct raft_actions actions;
    bool stepping, raft_broken;
    uint64_t last_before; /* the log's end before this step */
    struct sim_event wake, round;
    struct prng prng; /* what the process itself draws */

    struct sim_disk *disk;
    struct disk_io io;
    int64_t disk_slow; /* extra, at most */
    struct wal *wal;
    struct snapshots *snapshots;
    struct job *jobs, **jobs_end, *working;
    struct sim_event disk_event;
    unsigned submit_epoch, epoch, failed_epoch;
    uint64_t disk_sequence;
    int64_t report_due;
    struct durable durable;

    uint64_t persisted;
    struct held *held, **held_end;
    struct catch_up *catch_ups[SIM_SLOTS];

    struct machine *machine;
    uint64_t apply_target, applied, applied_term, command_index, command_term;
    bool reading;
    struct proposal *queued, **queued_end, *waiting, **waiting_end, *changing;
    struct call *verifying;

    bool told_leader, ready;
    uint64_t told_term;

    uint64_t snapshot_index, snapshot_term;
    struct sim_event snapshot_timer;
    struct snapshot_task *task;
    bool snapshot_wanted;
    struct incoming *incoming;
    bool forgetting;    /* the core wants the state to become empty */
    bool install_taken; /* the core said INSTALL in this step */
    struct restoring *restoring;
    struct restoring *restored; /* in the log's place, but not in the state machine yet */

    struct io_item *io_queue, **io_end;
    struct sim_event io_event;
    struct watch_registry *registry;
    uint64_t start_failures;
};

void node_init(struct sim *s, int slot);
void node_free(struct node *n);
void node_identify(struct node *n); /* a new identity with an empty disk */
int64_t node_clock(const struct node *n);
void node_clock_set(struct node *n, int64_t jump, int64_t ppm);
/* From what is on its disk. False: it could not start, because of a fault. */
bool node_start(struct node *n);
void node_crash(struct node *n, bool power, bool torn);
void node_restart_later(struct node *n, int64_t delay);
void node_pause(struct node *n, int64_t duration);
/* Gives an event to the core and does what it says. */
void node_step(struct node *n, struct raft_event *event);
void node_soon(struct node *n); /* a round follows */
void node_fatal(struct node *n, const char *why);
uint64_t node_below(struct node *n, uint64_t limit);
void node_persisted(struct node *n, uint64_t sequence);
void node_persist_failed(struct node *n, bool for_good);
struct node *node_find(struct sim *s, struct str id, struct str address);
bool node_leads(const struct node *n);

/* ---- catch_up.c ---- */

/* What was read from the log for a follower that is behind. */
struct catch_up {
    char id[SIM_NAME];
    uint64_t term; /* in which it was */
    bool reading;
    struct held *waiting, **waiting_end;
    struct raft_entry **entries;
    uint64_t first;
    size_t count;
};
/* An append whose entries are not in memory. Takes h over. */
void catch_up_send(struct node *n, struct held *h);
void catch_up_end(struct node *n);

/* ---- apply.c ---- */

void apply_some(struct node *n);
bool apply_may(const struct node *n);
void propose(struct node *n, struct proposal *p);
void propose_queued(struct node *n);
void proposals_fail(struct node *n, uint64_t above, enum raft_error error);
void proposals_forget(struct node *n);
void waiting_add(struct node *n, struct proposal *p);
void io_push(struct node *n, struct watch_touched *touched);
/* A pause, a clock's jump, a handing over of leadership (also one that comes late) or a server that
 * voted too soon after its start has taken the ground from under a lease. */
bool lease_is_doubtful(const struct node *n);

/* ---- snapshot.c ---- */

void snapshot_tick(struct node *n);
void snapshot_timer_set(struct node *n);
void snapshot_forget(struct node *n, bool torn);
/* The newest one, for an INSTALL whose meta is filled in; NULL when it cannot be read. */
struct blob *snapshot_newest(struct node *n, struct raft_message *m);
void install_begin(struct node *n, const struct raft_message *m, struct blob *blob);
void restore_begin(struct node *n, struct proposal *p, int archive);
void restore_action(struct node *n, const struct raft_action *a);
void restored_tick(struct node *n);

/* ---- client.c ---- */

enum read_mode { READ_DEFAULT, READ_CONSISTENT, READ_STALE };
enum call_kind { CALL_SET, CALL_CAS, CALL_DELETE, CALL_GET };
struct call { /* one operation of a client at one server */
    struct sim_event event;
    struct call *next; /* of those that wait for a verification */
    struct client *client;
    uint64_t number; /* of the client's operation; older ones are forgotten */
    enum call_kind kind;
    enum read_mode mode;
    uint32_t key;
    uint64_t value, expect_index;
    size_t size;
    /* the answer */
    enum { CALL_OK, CALL_REFUSED, CALL_LOST } outcome;
    bool yes;
    struct machine_value found;
    bool doubtful; /* a default read of a server whose lease may be over without its knowing */
};

struct history {
    struct linear_op *ops;
    size_t count, cap;
};
struct client {
    int number;
    struct sim_event event, timeout;
    struct prng prng;
    int node; /* where it goes first */
    bool busy;
    uint64_t operation; /* number of the one under way */
    struct call ask;    /* what it is about */
    int64_t began, deadline;
    unsigned tries;
    uint32_t key_seen;
    struct machine_value seen;
};
struct waiter {
    int number;
    struct sim *sim;
    struct sim_event event;
    struct watcher watcher;
    struct prng prng;
    struct node *node; /* where it waits; NULL: nowhere */
    struct node *last; /* where it waited before, and in which process */
    uint64_t incarnation;
    uint32_t key;
    bool prefix, exact;
    uint64_t index;
};

void clients_start(struct sim *s);
void clients_settle(struct sim *s); /* no new operations; those under way end */
bool clients_busy(const struct sim *s);
void clients_free(struct sim *s);
void client_answered(struct node *n, struct call *c);
void waiters_node_down(struct node *n);
void waiters_check(struct node *n);
void history_restore(struct sim *s, const struct machine_snapshot *archive, int64_t call,
                     int64_t ret);
void history_check(struct sim *s);
/* Reads of a server: now; after asking a quorum. */
void call_read(struct node *n, struct call *c);
void call_verified(struct node *n, struct call *c, enum raft_error error);

/* ---- operator.c ---- */

void operator_start(struct sim *s);
void operator_settle(struct sim *s);
void operator_free(struct sim *s);
bool operator_busy(const struct sim *s);

/* ---- faults.c ---- */

void faults_start(struct sim *s);
void faults_end(struct sim *s); /* mends everything */

/* ---- check.c ---- */

struct check;
struct check *check_new(void);
void check_free(struct check *c);
/* Says what is wrong, with seed and time, and ends the process. */
_Noreturn void sim_fail(struct sim *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define SIM_CHECK(s, condition)                                                                    \
    ((condition) ? (void)0 : sim_fail((s), "%s (%s:%d)", #condition, __FILE__, __LINE__))

void check_step(struct node *n);
void check_appended(struct node *n, const struct raft_entry *e);
/* Entries from `from` on are gone. */
void check_truncated(struct node *n, uint64_t from, bool reset);
void check_became_leader(struct node *n);
void check_committed(struct node *n, uint64_t index);
/* hash: of the state behind the entry. */
void check_applied(struct node *n, const struct raft_entry *e, uint64_t hash);
/* A leader has put a user's state into the log's place. */
void check_restored(struct node *n, uint64_t index, uint64_t term, uint64_t hash);
/* The whole state was replaced by that at index, which the leader had sent. */
void check_replaced(struct node *n, uint64_t index, uint64_t term);
/* A request, or a result with the ticket of its request. */
void check_sent(struct node *n, const struct raft_message *m, const struct ticket *t);
void check_log_written(struct node *n, const struct job *jobs);
/* troubled: the disk failed meanwhile (a snapshot may have been passed over). */
void check_log_opened(struct node *n, bool troubled);
void check_snapshot_durable(struct node *n, uint64_t index, uint64_t term);
void check_acknowledged(struct node *n, uint64_t index, uint64_t term);
void check_end(struct sim *s);

/* ---- the world ---- */

struct archive { /* a user's saved snapshot */
    bool used;
    uint64_t index;
    struct machine_snapshot *content;
};

struct totals {
    uint64_t seeds, failed;
    int64_t simulated;
    uint64_t faults[FAULT_COUNT];
    uint64_t events, messages, elections, entries, writes, reads, doubtful, unknown, wakes,
        snapshots;
    uint64_t installs, restores, changes, transfers, starts, keys, undecided, real_stores,
        forgotten;
};

struct sim {
    uint64_t seed;
    struct plan plan;
    struct prng prng;
    int64_t now;
    int64_t began;
    bool trace, mended;
    struct sim_event **heap;
    size_t heap_count, heap_cap;
    uint64_t order;
    uint64_t hash; /* of everything that happened */

    struct node *nodes[SIM_SLOTS];
    unsigned identities;

    struct connection connections[SIM_SLOTS][SIM_SLOTS][CHANNELS];
    bool cut[SIM_SLOTS][SIM_SLOTS];
    struct packet *parked, **parked_end;
    uint64_t requests;
    int64_t slow_until, slow_by;
    int64_t doubt_until; /* leases may be wrong: clocks jumped, or somebody forgot its leader */

    struct client clients[SIM_CLIENTS];
    struct waiter waiters[SIM_WATCHERS];
    struct history *histories; /* by key */
    size_t history_cap;
    uint64_t values; /* written so far: each is another one */
    bool settling;

    struct archive archives[SIM_ARCHIVES];
    struct operator_state *op;
    struct fault_state *faulting;
    struct check *check;
    struct totals totals;
};

uint64_t sim_below(struct sim *s, uint64_t limit);
bool sim_chance(struct sim *s, unsigned one_in);
/* From the short to the long, more of the short. */
int64_t sim_delay(struct sim *s, int64_t most);
void sim_note(struct sim *s, uint64_t what); /* into the hash */
void sim_fault(struct sim *s, enum fault f);
#define SIM_TRACE(s, ...) ((s)->trace ? sim_trace((s), __VA_ARGS__) : (void)0)
void sim_trace(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

/* The server's inside, for server/ only: what its files share. Everything here belongs to the core
 * thread unless it says otherwise.
 */
#ifndef PRAETOR_SERVER_ROOM_H
#define PRAETOR_SERVER_ROOM_H

#include <stdatomic.h>

#include "gossip/gossip.h"
#include "server/raft_driver.h"
#include "server/rpc_port.h"
#include "server/rpc_rate.h"
#include "server/server.h"
#include "server/thread.h"

/* Messages that may wait for a thread: writes and other calls of all I/O threads. */
#define SERVER_CORE_INBOX 65536
#define SERVER_IO_INBOX 65536
/* I/O threads without other wish. Each may have a connection of its own to another server, which
 * admits a hundred from one address (limits.rpc_max_conns_per_client) and serves many clients. */
#define SERVER_IO_MOST 32
#define SERVER_IO_MOST_CLIENT 4

struct leader;                /* leader.c */
struct session_timers;        /* session_timer.c */
struct tombstone_gc;          /* tombstone_gc.c */
struct coordinate_batch;      /* coordinate_batch.c */
struct balance;               /* balance.c */
struct auth_methods;          /* auth_method.h */
struct acl_caches;            /* authorize_fetch.h */
struct acl_monitor;           /* acl_mode.h */
struct acl_replication;       /* acl_replication.h */
struct intention_replication; /* intention_replication.h */
struct config_replication;    /* config_replication.h */
struct federation;            /* federation.h */
struct gateways;              /* gateways.h */

struct server {
    struct server_options options; /* strings in arena */
    struct arena arena;
    struct arena bootstrap_arena; /* of options.bootstrap_entries */
    char raft_address[80];        /* "ip:port" */

    struct agent_tokens *tokens;
    struct ca *ca;                 /* ca.h; NULL: a client agent */
    struct acl_caches *acl_caches; /* NULL: access control is off. Any thread. */
    struct rpc_port *port;         /* NULL: none */
    struct raft_driver *driver;    /* NULL, as store and leader: a client agent */
    struct secure *secure;
    struct gateways
        *gateways; /* NULL: other datacenters are not behind mesh gateways. Any thread */
    struct store *store;
    struct peers *peers;
    struct balance *balance;
    struct rpc_rate rate;
    struct auth_methods *auth; /* auth_method.h. Any thread */
    struct loop core;
    struct loop *io;
    unsigned io_count;
    struct server_thread **threads; /* io_count I/O threads, then the core's */
    unsigned thread_count;
    bool running;

    /* Any thread. */
    atomic_bool leading; /* leader, and everything that earlier leaders committed is applied */
    atomic_bool ready;   /* the leader's initialisation is done: consistent reads */
    atomic_bool stopping;
    _Atomic int64_t waiting; /* calls with a deadline: blocking queries, for telemetry */
    atomic_bool leaving;
    /* Access control is on, but not yet everybody speaks of the new system (acl.md 12). */
    atomic_bool acl_legacy;
    atomic_bool federation_enabled; /* federation.h: once is for good */
    atomic_bool gossip; /* peers come from the gossip pools, not from Raft's configuration */

    pthread_mutex_t jobs_mutex; /* guards the next three: saving and restoring snapshots */
    pthread_cond_t jobs_over;
    unsigned jobs;
    bool restoring;

    uint64_t published;                 /* the version that threads were told of */
    struct server_thread *verify_first; /* verifications that wait until the leader is ready */
    struct loop_timer verify_timer;

    struct leader *leader;
    struct session_timers *session_timers;
    struct tombstone_gc *tombstone_gc;
    struct coordinate_batch *coordinates;
    struct reconcile *reconcile;             /* reconcile.h */
    struct autopilot *autopilot;             /* autopilot.h */
    struct leader_acl *leader_acl;           /* leader_acl.h */
    struct membership *membership;           /* membership.h; NULL: no gossip (tests) */
    struct acl_monitor *acl_monitor;         /* acl_mode.h; NULL: access control is off */
    struct acl_replication *acl_replication; /* acl_replication.h; NULL: a client agent */
    struct intention_replication *intention_replication; /* the same */
    struct config_replication *config_replication;       /* the same */
    struct federation *federation;                       /* the same */
    struct bootstrap *bootstrap; /* bootstrap.h; NULL: this server does not wait for others */
};

/* server.c */
void server_publish(struct server *s, struct watch_touched *touched);
void server_leader_news(struct server *s);
/* The peer's answer to "who leads, and how long ago was it heard of". Any thread. */
bool server_known_leader(const struct server *s);
/* Whether the server ever heard of a leader: it may then serve stale reads. Any thread. */
bool server_had_contact(const struct server *s);

/* propose.c */
void server_write_run(struct message *m);
void server_core_call_run(struct message *m);
void server_verify_run(struct message *m);
void server_verify_ready(struct server *s); /* the leader is ready, or it is no longer leader */
void server_verify_init(struct server *s);
void server_verify_close(struct server *s);
/* Proposes an entry of the leader's own; failures are logged as `what`. done may be NULL; it gets
 * whether it was applied without an error. entry is moved. */
void server_propose(struct server *s, struct buf *entry, const char *what,
                    void (*done)(struct server *s, void *owner, bool ok), void *owner);

/* leader.c: what a leader does. It makes and ends the three below. */
struct leader *leader_new(struct server *s);
void leader_changed(struct leader *l, bool leader, uint64_t term);
/* After each commit: what touched lists tell the leader (tombstones). */
void leader_touched(struct leader *l, const struct watch_touched *touched);
/* Access control's first entries are applied. */
void leader_acl_has_settled(struct leader *l);
/* The configuration entries that the configuration names are written, or refused. */
void leader_bootstrapped(struct leader *l, uint64_t term);
/* They are others now. */
void leader_bootstrap_again(struct leader *l);
/* A member of the LAN pool changed. */
void leader_member_changed(struct leader *l, enum gossip_member_event event,
                           const struct gossip_member *m);
/* After a restore: the part from the sessions' timers on is done anew (raft.md 5.4). */
void leader_reestablish(struct leader *l);
/* Ends the duties and closes the timers. */
void leader_stop(struct leader *l);
void leader_free(struct leader *l);

/* session_timer.c: a leader's timers of 2 x TTL (fsm.md 4.3). */
struct session_timers *session_timers_new(struct server *s);
void session_timers_free(struct session_timers *t); /* after session_timers_clear */
bool session_timers_init(struct session_timers *t); /* all sessions of the store, anew */
void session_timers_clear(struct session_timers *t);
/* Starts or restarts it. A session without TTL has none. */
void session_timers_reset(struct session_timers *t, const struct session *session);
void session_timers_remove(struct session_timers *t, struct str id);
size_t session_timers_count(const struct session_timers *t);

/* tombstone_gc.c (fsm.md 4.2) */
struct tombstone_gc *tombstone_gc_new(struct server *s);
void tombstone_gc_close(struct tombstone_gc *g); /* its timer */
void tombstone_gc_free(struct tombstone_gc *g);
void tombstone_gc_enable(struct tombstone_gc *g, bool on);
void tombstone_gc_hint(struct tombstone_gc *g, uint64_t index);
/* Bins are in steps of 30 s of wall time: when what is hinted at `now` may go. */
int64_t tombstone_gc_expiry(int64_t now_wall);

/* coordinate_batch.c (rpc.md 6.6) */
struct coordinate_batch *coordinate_batch_new(struct server *s);
void coordinate_batch_close(struct coordinate_batch *b); /* its timer */
void coordinate_batch_free(struct coordinate_batch *b);
void coordinate_batch_enable(struct coordinate_batch *b, bool on);
void coordinate_batch_add(struct coordinate_batch *b, const struct coordinate_update_request *r);

/* balance.c: from time to time another server takes the calls of a datacenter (rpc.md 9.2). */
struct balance *balance_new(struct server *s);
void balance_start(struct balance *b); /* the first time in two minutes */
void balance_now(struct balance *b);   /* unless a round is under way */
void balance_close(struct balance *b); /* its timer and what it asks */
void balance_free(struct balance *b);

/* snapshot.c: waits until no snapshot is being saved or restored. */
void server_snapshot_wait(struct server *s);
/* An open file without a name, where there is room for the whole state; -1 with an error. */
int snapshot_scratch_file(const struct server *s, struct error *e);

/* snapshot_forward.c: has another server do it. done comes later, with the error set or result,
 * size and meta. */
struct snapshot_call;
typedef void snapshot_forwarded(struct snapshot_call *c);
void snapshot_forward(struct snapshot_call *c, struct str address, snapshot_forwarded *done);

/* shapes.c */
struct type;
extern const struct type str_reply_type, bool_reply_type, str_list_reply_type,
    datacenter_map_list_reply_type;

#endif

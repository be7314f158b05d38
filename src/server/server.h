/* A server agent's heart: the core thread with Raft and the store's writer, the I/O threads'
 * contexts, and leader duties. agent/ makes one at start and gives it to http/ and dns/.
 */
#ifndef PRAETOR_SERVER_SERVER_H
#define PRAETOR_SERVER_SERVER_H

#include <stdatomic.h>

#include "net/loop.h"
#include "server/ca.h"
#include "server/call.h"
#include "server/peers.h"
#include "store/store.h"

struct agent_tokens; /* agent_tokens.h */
struct secure;       /* secure.h */
struct membership;
struct membership_options; /* membership.h */

/* What becomes of a token that nobody can be asked about (acl.md 7.3). */
enum acl_down { ACL_DOWN_ALLOW, ACL_DOWN_DENY, ACL_DOWN_EXTEND, ACL_DOWN_ASYNC };

/* Access control (acl.md 2). */
struct acl_options {
    bool enabled;
    bool old_keys; /* set up as the old system was: /v1/acl/update of the anonymous token works */
    bool default_allow;
    bool key_list_policy;   /* listing keys needs a right of its own (acl.md 9.4) */
    bool token_replication; /* a secondary datacenter has the global tokens, and its own */
    enum acl_down down;
    int64_t token_ttl, policy_ttl, role_ttl; /* ns: of what other servers were asked for */
    struct str primary_datacenter;
    struct str master_token; /* "": none */
};

struct server_options {
    /* A client agent: no Raft, no store, no duties; every call goes to a server. */
    bool client;
    struct str node_name;
    struct str node_id;
    struct str datacenter;
    struct str data_dir; /* absent in dev mode */
    bool dev_mode;
    bool bootstrap;               /* one server alone: elect itself */
    struct str advertise_address; /* IP */
    struct str bind_address;      /* IP that connections to servers come from; absent: any */
    uint16_t server_port;
    unsigned io_threads; /* 0: as many as cores, at most 32 (client agents: 4) */
    unsigned raft_multiplier;
    unsigned raft_protocol;           /* 0: 3 */
    uint64_t raft_snapshot_threshold; /* entries */
    int64_t raft_snapshot_interval;
    uint64_t raft_trailing_logs;
    int64_t session_ttl_min;
    int64_t default_query_time, max_query_time;
    int64_t rpc_hold_timeout;
    uint64_t kv_max_value_size, txn_max_req_len;
    /* What a new cluster starts with; NULL: the defaults of raft.md 5.5. Copied. */
    const struct autopilot_config *autopilot;
    int64_t coordinate_update_period; /* 0: 5 s; -dev: 100 ms */
    double rpc_rate; /* calls of its own a second; not positive, infinite: no limit */
    int64_t rpc_max_burst;
    bool serve_rpc;                   /* listen on bind_address:server_port (rpc_port.h) */
    int64_t rpc_handshake_timeout;    /* ns; 0: none */
    int64_t rpc_max_conns_per_client; /* 0: no limit */
    struct acl_options acl;
    struct ca_options ca;
    /* Servers of other datacenters are reached through mesh gateways (gateways.h). */
    bool mesh_gateway_wan_federation;
    /* config_entries.bootstrap, of struct config_entry *, normalised; copied. NULL: none. */
    const struct list *bootstrap_entries;
    /* The gossip pools; NULL: none (tests). Only used until server_start returns. */
    const struct membership_options *membership;
};

struct server;
/* Zero means the default where there is one (0, 300 s, 600 s, 7 s, 10 s...). NULL with an error. */
struct server *server_new(const struct server_options *options, struct error *e);
/* Opens the data, starts the threads; returns when the core runs (leadership comes later). Not on
 * one of the server's threads. After a failure only server_free may follow. */
bool server_start(struct server *s, struct error *e);
/* Answers what is under way with errors, ends and joins all threads. Whoever has handles on the I/O
 * loops or on the core closes them before. Not on one of the server's threads. */
void server_stop(struct server *s);
/* After server_stop. Answers that came too late, and callbacks of handles that were closing, run
 * here. */
void server_free(struct server *s);

const struct server_options *server_options(const struct server *s);
/* Sets the gauges that are read rather than counted (agent.md 6.4). Any thread, from server_start
 * to server_stop. */
void server_sample_metrics(struct server *s);
struct store *server_store(struct server *s); /* NULL: a client agent */
/* For statistics (raft_driver_stats, core thread). NULL: a client agent. */
struct raft_driver;
struct raft_driver *server_driver(struct server *s);
struct loop *server_core(struct server *s);
unsigned server_io_count(const struct server *s);
struct loop *server_io(struct server *s, unsigned i);

/* Any thread (atomics). */
bool server_is_leader(const struct server *s);
/* "ip:port" of the leader as known here; length 0 when there is none. out: 64 bytes. */
size_t server_leader_address(const struct server *s, char out[64]);
uint64_t server_last_contact_ns(const struct server *s); /* 0 on the leader */
/* Whether calls have where to go: a server knows a leader, a client agent knows a server. */
bool server_can_call(struct server *s);

/* ---- other servers (peers.h) ---- */

struct peers *server_peers(struct server *s);
struct membership *server_membership(struct server *s); /* NULL: no gossip */
struct gateways;
/* NULL: servers of other datacenters are not reached through mesh gateways. */
struct gateways *server_gateways(struct server *s);
/* TLS of the agent, for as long as the server lives: secure_set before server_start and at each
 * reload. Any thread. */
struct secure *server_secure(struct server *s);
/* The agent's own tokens, for as long as the server lives. Any thread. */
struct agent_tokens *server_tokens(struct server *s);
/* Whether the old system is in force here (acl.md 12); with access control on only. Any thread. */
bool server_acl_is_legacy(const struct server *s);
/* Core: a gossip pool as it is now. From the first call on the pools decide who is known; before,
 * it is the Raft configuration. Held calls are tried again. */
void server_update_peers(struct server *s, enum peer_pool pool, const struct peer *all,
                         size_t count);
/* Any thread. While the server leaves, calls that need a leader get "No cluster leader" at once. */
void server_set_leaving(struct server *s, bool leaving);
/* Reload, any thread. */
void server_set_rpc_rate(struct server *s, double rate, int64_t burst);
/* limits.rpc_max_conns_per_client, anew: for connections that come later. Any thread. */
void server_set_rpc_max_conns(struct server *s, int64_t most);
/* On the core. A leader writes those that are missing at once; they are copied. */
void server_set_bootstrap_entries(struct server *s, const struct list *entries);

/* Runs fn on the core thread, then `done` (may be NULL) back on the calling loop; called from a
 * thread without a loop, or from the core itself, both run on the core. False: the core's queue is
 * full (nothing will run). Used by agent/ for its local state. */
bool server_run_on_core(struct server *s, void (*fn)(void *arg), void (*done)(void *arg),
                        void *arg);

#endif

/* Start, stop and the threads of a server, and what other rooms may ask of it. Calls are call.c's,
 * a leader's duties leader.c's, Raft's disk and store raft_driver.c's.
 *
 * Order of the end: the core's Raft answers all that is under way while the I/O threads still run;
 * then the I/O threads answer what waits and end; then the core ends; then the store is closed.
 */
#include "server/acl_mode.h"
#include "server/agent_tokens.h"
#include "server/auth_method.h"
#include "server/authorize_fetch.h"
#include "server/bootstrap.h"
#include "server/ca_trust.h"
#include "server/gateways.h"
#include "server/membership.h"
#include "server/secure.h"
#include "server/server_room.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

/* ---- tasks on other threads ---- */

struct task {
    struct message message;
    struct loop *home; /* where done runs; NULL: where fn ran */
    void (*fn)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void task_done(struct message *m) {
    struct task *task = CONTAINER_OF(m, struct task, message);
    struct task copy = *task;
    mem_free(task);
    if (copy.done != NULL) {
        copy.done(copy.arg);
    }
}

static void task_run(struct message *m) {
    struct task *task = CONTAINER_OF(m, struct task, message);
    task->fn(task->arg);
    if (task->home == NULL || loop_is_current(task->home)) {
        task_done(m);
        return;
    }
    task->message.run = task_done;
    loop_post_reply(task->home, &task->message);
}

bool server_run_on_core(struct server *s, void (*fn)(void *arg), void (*done)(void *arg),
                        void *arg) {
    struct task *task = MEM_NEW(struct task);
    *task = (struct task){{.run = task_run}, loop_current(), fn, done, arg};
    if (!loop_post(&s->core, &task->message)) {
        mem_free(task);
        return false;
    }
    return true;
}

/* Runs fn on a loop's thread and waits for it. For start and stop only. */
struct wait {
    struct message message;
    void (*fn)(void *arg);
    void *arg;
    uv_sem_t finished;
};

static void wait_run(struct message *m) {
    struct wait *w = CONTAINER_OF(m, struct wait, message);
    w->fn(w->arg);
    uv_sem_post(&w->finished);
}

static void run_and_wait(struct loop *loop, void (*fn)(void *arg), void *arg) {
    struct wait w = {.message = {.run = wait_run}, .fn = fn, .arg = arg};
    uv_sem_init(&w.finished, 0);
    loop_post_reply(loop, &w.message);
    uv_sem_wait(&w.finished);
    uv_sem_destroy(&w.finished);
}

/* ---- what the driver tells ---- */

void server_publish(struct server *s, struct watch_touched *touched) {
    uint64_t version = store_version(s->store);
    if (touched == NULL && version == s->published) {
        return;
    }
    s->published = version;
    for (unsigned i = 0; i < s->thread_count; i++) {
        thread_send_touched(s->threads[i], version, touched);
    }
}

void server_leader_news(struct server *s) {
    for (unsigned i = 0; i < s->thread_count; i++) {
        thread_send_leader_news(s->threads[i]);
    }
}

static void on_touched(void *owner, struct watch_touched *touched) {
    struct server *s = owner;
    if (touched != NULL) {
        leader_touched(s->leader, touched);
        ca_trust_touched(s, touched);
        if (s->gateways != NULL) {
            gateways_touched(s->gateways, s->store, touched);
        }
    }
    server_publish(s, touched);
    if (touched != NULL) {
        watch_touched_release(touched);
    }
}

static void on_leader(void *owner, bool leader, uint64_t term) {
    struct server *s = owner;
    leader_changed(s->leader, leader, term);
}

/* ---- who else is there ---- */

/* Without gossip: the servers of Raft's configuration, which tells neither names nor tags. */
static void peers_from_raft(struct server *s) {
    struct arena arena = ARENA_INIT;
    struct raft_driver_configuration configuration;
    raft_driver_configuration(s->driver, &arena, &configuration);
    struct peer *all = ARENA_ARRAY(&arena, struct peer, configuration.len);
    for (size_t i = 0; i < configuration.len; i++) {
        const struct raft_driver_server *from = &configuration.servers[i];
        bool own = str_eq(from->id, s->options.node_id);
        all[i] = (struct peer){.name = own ? s->options.node_name : from->id,
                               .id = from->id,
                               .datacenter = s->options.datacenter,
                               .address = from->address,
                               .nonvoter = from->suffrage == RAFT_DRIVER_NONVOTER,
                               .raft_version = 3,
                               .acls = -1};
    }
    peers_update(s->peers, PEER_POOL_LAN, all, configuration.len);
    arena_free(&arena);
}

static void on_leader_address(void *owner, struct str address) {
    struct server *s = owner;
    (void)address;
    if (!atomic_load(&s->gossip)) {
        peers_from_raft(s);
    }
    server_leader_news(s);
}

void server_update_peers(struct server *s, enum peer_pool pool, const struct peer *all,
                         size_t count) {
    atomic_store(&s->gossip, true);
    peers_update(s->peers, pool, all, count);
    server_leader_news(s);
}

static void on_fatal(void *owner, struct str text) {
    (void)owner;
    log_at(LOG_ERROR, "agent.server", "cannot go on, stopping the process", LOG_S("error", text));
    _exit(1);
}

static void take_bootstrap_entries(struct server *s, const struct list *from) {
    struct arena arena = ARENA_INIT;
    struct list *copies = ARENA_NEW(&arena, struct list);
    *copies = LIST_NEW(&arena, struct config_entry *, from->len);
    for (uint32_t i = 0; i < from->len; i++) {
        LIST_AT(*copies, struct config_entry *, i) =
            config_entry_copy(LIST_AT(*from, struct config_entry *, i), &arena);
    }
    arena_free(&s->bootstrap_arena);
    s->bootstrap_arena = arena;
    s->options.bootstrap_entries = copies;
}

/* ---- start ---- */

static void options_copy(struct server *s, const struct server_options *o) {
    s->options = *o;
    struct server_options *own = &s->options;
    own->node_name = str_copy(&s->arena, o->node_name);
    own->node_id = str_copy(&s->arena, o->node_id);
    own->datacenter = str_copy(&s->arena, o->datacenter);
    own->data_dir = str_copy(&s->arena, o->data_dir);
    own->advertise_address = str_copy(&s->arena, o->advertise_address);
    own->bind_address = str_copy(&s->arena, o->bind_address);
    own->acl.primary_datacenter = str_copy(&s->arena, o->acl.primary_datacenter);
    own->acl.master_token = str_copy(&s->arena, o->acl.master_token);
    own->ca.provider = str_copy(&s->arena, o->ca.provider);
    own->ca.config = o->ca.config != NULL ? value_copy(o->ca.config, &s->arena) : NULL;
    if (o->autopilot != NULL) {
        struct autopilot_config *copy = ARENA_NEW(&s->arena, struct autopilot_config);
        schema_copy(&autopilot_config_shape, copy, o->autopilot, &s->arena);
        own->autopilot = copy;
    }
    own->bootstrap_entries = NULL;
    if (o->bootstrap_entries != NULL) {
        take_bootstrap_entries(s, o->bootstrap_entries);
    }
    own->default_query_time = o->default_query_time > 0 ? o->default_query_time : 300 * SECOND;
    own->max_query_time = o->max_query_time > 0 ? o->max_query_time : 600 * SECOND;
    own->rpc_hold_timeout = o->rpc_hold_timeout > 0 ? o->rpc_hold_timeout : 7 * SECOND;
    own->session_ttl_min = o->session_ttl_min > 0 ? o->session_ttl_min : 10 * SECOND;
    bool v6 = str_find_char(own->advertise_address, ':') >= 0;
    snprintf(s->raft_address, sizeof(s->raft_address), v6 ? "[%.*s]:%u" : "%.*s:%u",
             STR_ARG(own->advertise_address), own->server_port);
}

struct server *server_new(const struct server_options *options, struct error *e) {
    if (options->node_name.len == 0 || options->node_id.len == 0 || options->datacenter.len == 0 ||
        options->advertise_address.len == 0 || options->advertise_address.len > 60) {
        error_set(e, ERROR_INTERNAL,
                  "server: node name, node ID, datacenter or address is missing");
        return NULL;
    }
    struct server *s = MEM_NEW(struct server);
    options_copy(s, options);
    unsigned cores = uv_available_parallelism();
    unsigned most = options->client ? SERVER_IO_MOST_CLIENT : SERVER_IO_MOST;
    unsigned usual = cores < most ? cores : most;
    s->io_count = s->options.io_threads != 0 ? s->options.io_threads : usual;
    s->thread_count = s->io_count + 1;
    s->peers = peers_new(s->options.datacenter, s->options.client);
    s->tokens = agent_tokens_new();
    if (s->options.acl.enabled) {
        s->acl_caches = acl_caches_new(&s->options.acl, s->options.client);
    }
    s->secure = secure_new();
    s->ca = s->options.client ? NULL : ca_new(s);
    if (s->options.mesh_gateway_wan_federation && !s->options.client) {
        const struct gateways_options gateways = {.datacenter = s->options.datacenter,
                                                  .primary = s->options.acl.primary_datacenter,
                                                  .secure = s->secure};
        s->gateways = gateways_new(&gateways);
    }
    atomic_store(&s->acl_legacy, s->options.acl.enabled);
    s->auth = auth_methods_new();
    rpc_rate_set(&s->rate, s->options.rpc_rate, s->options.rpc_max_burst);
    pthread_mutex_init(&s->jobs_mutex, NULL);
    pthread_cond_init(&s->jobs_over, NULL);
    return s;
}

/* Where Raft finds another server (raft.md 1.1). */
static bool server_address(void *owner, struct str id, char out[64]) {
    struct server *s = owner;
    const struct peer *p = peers_by_id(s->peers, id);
    bool known = p != NULL && p->address.len > 0 && p->address.len < 64;
    if (known) {
        memcpy(out, p->address.data, p->address.len);
        out[p->address.len] = 0;
    }
    peer_release(p);
    return known;
}

static struct raft_driver *driver_open(struct server *s, struct error *e) {
    const struct server_options *o = &s->options;
    struct raft_driver_options options = {
        .data_dir = o->dev_mode ? STR_NONE : o->data_dir,
        .id = o->node_id,
        .address = str_from(s->raft_address),
        .bootstrap = o->bootstrap || o->dev_mode,
        .dev_timing = o->dev_mode,
        .protocol = o->raft_protocol,
        .source = o->bind_address,
        .secure = s->secure,
        .datacenter = o->datacenter,
        .multiplier = o->raft_multiplier,
        .snapshot_threshold = o->raft_snapshot_threshold,
        .snapshot_interval = o->raft_snapshot_interval,
        .trailing_logs = o->raft_trailing_logs,
        .store = {.reader_threads = s->thread_count + 4},
        .owner = s,
        .server_address = server_address,
        .on_leader = on_leader,
        .on_leader_address = on_leader_address,
        .on_touched = on_touched,
        .on_fatal = on_fatal,
    };
    struct raft_driver *d = raft_driver_open(&options, e);
    if (d == NULL) {
        error_prefix(e, "Failed to start Raft: ");
    }
    return d;
}

static bool loops_init(struct server *s, struct error *e) {
    if (!loop_init(&s->core, "core", SERVER_CORE_INBOX, e)) {
        return false;
    }
    s->io = mem_zalloc(s->io_count, sizeof(*s->io));
    for (unsigned i = 0; i < s->io_count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "io-%u", i);
        if (!loop_init(&s->io[i], name, SERVER_IO_INBOX, e)) {
            return false;
        }
    }
    s->threads = mem_zalloc(s->thread_count, sizeof(struct server_thread *));
    for (unsigned i = 0; i < s->thread_count; i++) {
        s->threads[i] = thread_new(s, s->store, i < s->io_count ? &s->io[i] : &s->core);
    }
    return true;
}

static bool port_open(struct server *s, struct error *e) {
    const struct server_options *o = &s->options;
    if (!o->serve_rpc) {
        return true;
    }
    struct rpc_port_options options = {
        .bind_address = o->bind_address.len > 0 ? o->bind_address : STR("0.0.0.0"),
        .port = o->server_port,
        .handshake_timeout = o->rpc_handshake_timeout,
        .max_conns_per_client = o->rpc_max_conns_per_client,
        .secure = s->secure,
    };
    s->port = rpc_port_open(s, &options, e);
    return s->port != NULL || error_prefix(e, "Failed to start RPC layer: ");
}

/* The port counts the connections of each client; Raft gives the place back. */
static void raft_connection_closed(void *owner) {
    rpc_lease_release(owner);
}

static void on_raft_connection(void *owner, struct stream_detached *connection,
                               const struct peer_address *from, struct rpc_lease *lease) {
    struct server *s = owner;
    char text[56];
    peer_address_format(from, text);
    raft_driver_accept(s->driver, connection, text, raft_connection_closed, lease);
}

static void on_gossip_connection(void *owner, struct stream_detached *connection,
                                 const struct peer_address *from, struct rpc_lease *lease,
                                 bool packets) {
    struct server *s = owner;
    bool taken = membership_accept(s->membership, connection, from, lease, packets);
    ASSERT(taken);
}

struct core_start {
    struct server *server;
    struct error *e;
    bool ok;
};

static void core_started(void *arg) {
    struct core_start *start = arg;
    struct server *s = start->server;
    if (!s->options.client) {
        ca_trust(s);
    }
    start->ok = s->options.client || raft_driver_start(s->driver, &s->core, start->e);
    if (start->ok) {
        balance_start(s->balance);
    }
    if (start->ok && s->gateways != NULL) {
        gateways_read(s->gateways, s->store);
    }
    if (start->ok && s->membership != NULL) {
        start->ok = membership_start(s->membership, start->e);
    }
    if (start->ok && s->acl_monitor != NULL) {
        acl_monitor_start(s->acl_monitor);
    }
}

/* The pools' sockets; they are used when the core runs. */
static bool membership_prepare(struct server *s, struct error *e) {
    const struct membership_options *o = s->options.membership;
    if (o == NULL) {
        return true;
    }
    s->membership = membership_open(s, o, e);
    if (s->membership == NULL) {
        return false;
    }
    if (!s->options.client && o->bootstrap_expect > 1) {
        s->bootstrap = bootstrap_new(s, o->bootstrap_expect);
    }
    return true;
}

bool server_start(struct server *s, struct error *e) {
    if (!port_open(s, e)) {
        return false;
    }
    if (!s->options.client) {
        s->driver = driver_open(s, e);
        if (s->driver == NULL) {
            return false;
        }
        s->store = raft_driver_store(s->driver);
        s->published = store_version(s->store);
    }
    if (!loops_init(s, e)) {
        return false;
    }
    s->leader = s->options.client ? NULL : leader_new(s);
    s->balance = balance_new(s);
    s->acl_monitor = s->options.acl.enabled ? acl_monitor_new(s) : NULL;
    server_verify_init(s);
    if (!membership_prepare(s, e)) {
        return false;
    }
    for (unsigned i = 0; i < s->thread_count; i++) {
        if (!loop_start(s->threads[i]->loop, e)) {
            return false;
        }
    }
    struct core_start start = {s, e, false};
    run_and_wait(&s->core, core_started, &start);
    s->running = start.ok;
    if (start.ok && s->port != NULL) {
        if (s->driver != NULL) {
            rpc_port_set_raft_handler(s->port, on_raft_connection, s);
        }
        if (s->membership != NULL && membership_pool(s->membership, MEMBERSHIP_WAN) != NULL) {
            rpc_port_set_gossip_handler(s->port, on_gossip_connection, s);
        }
        rpc_port_start(s->port);
    }
    return start.ok;
}

/* ---- stop ---- */

static void core_closing(void *arg) {
    struct server *s = arg;
    balance_close(s->balance);
    if (s->acl_monitor != NULL) {
        acl_monitor_close(s->acl_monitor);
    }
    if (s->bootstrap != NULL) {
        bootstrap_close(s->bootstrap);
    }
    if (s->membership != NULL) {
        membership_stop(s->membership);
    }
    if (s->leader != NULL) {
        leader_stop(s->leader);
        raft_driver_stop(s->driver);
    }
    server_verify_close(s);
}

static void thread_closing(void *arg) {
    thread_close(arg);
}

static void thread_end(struct server_thread *t) {
    run_and_wait(t->loop, thread_closing, t);
    loop_stop(t->loop);
    loop_join(t->loop);
}

void server_stop(struct server *s) {
    if (!s->running) {
        return;
    }
    s->running = false;
    if (s->port != NULL) {
        rpc_port_stop(s->port);
    }
    if (s->membership != NULL) {
        membership_close_listeners(s->membership);
    }
    atomic_store(&s->stopping, true);
    atomic_store(&s->leading, false);
    run_and_wait(&s->core, core_closing, s);
    server_snapshot_wait(s);
    if (s->ca != NULL) {
        ca_stop(s->ca);
    }
    auth_methods_stop(s->auth); /* answers those who wait, while their threads run */
    /* The first thread has others' calls (rpc_away.h), the core everybody's: they end last. */
    for (unsigned i = s->io_count; i > 0; i--) {
        thread_end(s->threads[i - 1]);
    }
    thread_end(s->threads[s->io_count]);
}

/* After a start that failed halfway: nobody waits, but loops may run and timers are there. */
static void abandon(struct server *s) {
    for (unsigned i = 0; i < s->thread_count && s->threads != NULL; i++) {
        struct server_thread *t = s->threads[i];
        if (t->loop->started) {
            if (t->loop == &s->core) {
                if (s->membership != NULL) {
                    membership_close_listeners(s->membership);
                }
                run_and_wait(t->loop, core_closing, s);
            }
            run_and_wait(t->loop, thread_closing, t);
            loop_stop(t->loop);
            loop_join(t->loop);
        } else {
            thread_abandon(t);
            if (t->loop == &s->core && s->balance != NULL) {
                if (s->leader != NULL) {
                    leader_stop(s->leader);
                }
                if (s->bootstrap != NULL) {
                    bootstrap_close(s->bootstrap);
                }
                balance_close(s->balance);
                if (s->acl_monitor != NULL) {
                    acl_monitor_close(s->acl_monitor);
                }
                server_verify_close(s);
            }
        }
    }
}

void server_free(struct server *s) {
    if (s == NULL) {
        return;
    }
    ASSERT(!s->running);
    if (!atomic_load(&s->stopping)) {
        abandon(s);
    }
    auth_methods_free(s->auth);
    if (s->threads != NULL) {
        loop_free(&s->core); /* first: it answers the others, as the first of them does */
        for (unsigned i = 0; i < s->io_count; i++) {
            loop_free(s->threads[i]->loop);
        }
        for (unsigned i = 0; i < s->thread_count; i++) {
            thread_free(s->threads[i]);
        }
    }
    balance_free(s->balance);
    acl_monitor_free(s->acl_monitor);
    rpc_port_free(s->port);
    leader_free(s->leader);
    bootstrap_free(s->bootstrap);
    membership_free(s->membership);
    peers_free(s->peers);
    agent_tokens_free(s->tokens);
    acl_caches_free(s->acl_caches);
    gateways_free(s->gateways);
    secure_free(s->secure);
    ca_free(s->ca);
    if (s->driver != NULL) {
        raft_driver_free(s->driver);
    }
    mem_free(s->threads);
    mem_free(s->io);
    pthread_mutex_destroy(&s->jobs_mutex);
    pthread_cond_destroy(&s->jobs_over);
    arena_free(&s->bootstrap_arena);
    arena_free(&s->arena);
    mem_free(s);
}

/* ---- what others ask ---- */

const struct server_options *server_options(const struct server *s) {
    return &s->options;
}
struct store *server_store(struct server *s) {
    return s->store;
}
struct raft_driver *server_driver(struct server *s) {
    return s->driver;
}
struct loop *server_core(struct server *s) {
    return &s->core;
}
unsigned server_io_count(const struct server *s) {
    return s->io_count;
}

struct loop *server_io(struct server *s, unsigned i) {
    ASSERT(i < s->io_count);
    return &s->io[i];
}

bool server_is_leader(const struct server *s) {
    return atomic_load_explicit(&s->leading, memory_order_acquire);
}

size_t server_leader_address(const struct server *s, char out[64]) {
    return s->driver != NULL ? raft_driver_leader_address(s->driver, out) : 0;
}

bool server_known_leader(const struct server *s) {
    char address[64];
    return server_is_leader(s) || server_leader_address(s, address) > 0;
}

bool server_had_contact(const struct server *s) {
    return s->driver != NULL && raft_driver_last_contact(s->driver) >= 0;
}

uint64_t server_last_contact_ns(const struct server *s) {
    if (s->driver == NULL || server_is_leader(s)) {
        return 0;
    }
    int64_t ns = raft_driver_last_contact(s->driver);
    return ns > 0 ? (uint64_t)ns : 0;
}

struct gateways *server_gateways(struct server *s) {
    return s->gateways;
}

struct membership *server_membership(struct server *s) {
    return s->membership;
}

struct secure *server_secure(struct server *s) {
    return s->secure;
}

struct agent_tokens *server_tokens(struct server *s) {
    return s->tokens;
}

bool server_acl_is_legacy(const struct server *s) {
    return atomic_load_explicit(&s->acl_legacy, memory_order_relaxed);
}

struct peers *server_peers(struct server *s) {
    return s->peers;
}

bool server_can_call(struct server *s) {
    return s->options.client ? peers_have(s->peers, STR_NONE) : server_known_leader(s);
}

void server_set_leaving(struct server *s, bool leaving) {
    atomic_store(&s->leaving, leaving);
}

void server_set_bootstrap_entries(struct server *s, const struct list *entries) {
    take_bootstrap_entries(s, entries);
    if (s->leader != NULL) {
        leader_bootstrap_again(s->leader);
    }
}

void server_set_rpc_rate(struct server *s, double rate, int64_t burst) {
    rpc_rate_set(&s->rate, rate, burst);
}

void server_set_rpc_max_conns(struct server *s, int64_t most) {
    if (s->port != NULL) {
        rpc_port_set_max_conns(s->port, most);
    }
}

/* The life of an agent: flags and configuration, start in the peer's order with its lines, signals,
 * reload, leave and stop (config.md 4, agent.md 8).
 */
#include "agent/agent.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_files.h"
#include "agent/auto_agent.h"
#include "agent/auto_authorizer.h"
#include "agent/coordinates.h"
#include "agent/crash.h"
#include "agent/profile.h"
#include "agent/remote_exec.h"
#include "agent/telemetry.h"
#include "agent/tls_load.h"
#include "agent/token_store.h"
#include "agent/watches.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "server/leave.h"

#define LOGGER "agent"
#define LEAVE_TIMEOUT (15 * SECOND)
#define LEAVE_ANSWER_TIME                                                                          \
    (500 * MILLISECOND) /* for the answer of PUT /v1/agent/leave to go out                         \
                         */
#define INBOX 1024
#define INTERFACES_MAX 8

enum { SIGNALS = 5 };
static const int handled_signals[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGQUIT};

struct running_interface {
    const struct agent_interface *interface;
    void *self;
};

struct agent {
    struct config_inputs inputs;
    const struct config *config;  /* of the start */
    const struct config *current; /* the core's: with what reloads changed */
    char node_id[37];
    struct arena arena;            /* of what the server keeps views of */
    struct secure_settings secure; /* until the server has them */
    struct server *server;
    struct token_store *tokens;
    struct auto_agent *auto_agent; /* NULL: certificates are the configuration's */
    struct local *local;
    struct events *events;
    struct watches *watches;
    struct cluster *cluster;
    struct coordinates *coordinates;
    struct remote_exec *remote_exec;
    bool server_started, local_started, cluster_started;
    bool error_told; /* why it does not start is in the log already */
    struct running_interface interfaces[INTERFACES_MAX];
    size_t interface_count;
    struct loop main;
    uv_signal_t signals[SIGNALS];
    struct loop_timer metrics_timer, leave_timer;
    bool left;     /* a leave is done or under way: the next signal ends at once */
    bool has_left; /* it is done */
    struct main_request *leave_requests; /* to be answered then */
    const char *leaving_signal;          /* "interrupt", when a signal began the leave */
    int exit_code;
};

/* ---- what other rooms ask ---- */

struct server *agent_server(struct agent *agent) {
    return agent->server;
}
struct local *agent_local(struct agent *agent) {
    return agent->local;
}
struct events *agent_events(struct agent *agent) {
    return agent->events;
}
struct cluster *agent_cluster(struct agent *agent) {
    return agent->cluster;
}
const struct config *agent_config(struct agent *agent) {
    return agent->config;
}
const struct config *agent_current_config(struct agent *agent) {
    return agent->current;
}
struct str agent_node_id(struct agent *agent) {
    return str_from(agent->node_id);
}

bool agent_run_on_core(struct agent *agent, void (*fn)(void *arg), void (*done)(void *arg),
                       void *arg) {
    return server_run_on_core(agent->server, fn, done, arg);
}

/* ---- the core, from the main thread ---- */

struct core_job {
    void (*fn)(struct agent *agent, void *arg, uv_sem_t *over);
    struct agent *agent;
    void *arg;
    uv_sem_t over;
};

static void core_job_run(void *arg) {
    struct core_job *job = arg;
    job->fn(job->agent, job->arg, &job->over);
}

/* fn must post `over` when it is through; waits for it. */
static void on_core(struct agent *agent, void (*fn)(struct agent *, void *, uv_sem_t *),
                    void *arg) {
    struct core_job job = {.fn = fn, .agent = agent, .arg = arg};
    uv_sem_init(&job.over, 0);
    while (!server_run_on_core(agent->server, core_job_run, NULL, &job)) {
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL); /* the core's queue is full */
    }
    uv_sem_wait(&job.over);
    uv_sem_destroy(&job.over);
}

struct load_job {
    const struct config *config;
    struct error *e;
    bool ok;
};

static void core_load(struct agent *agent, void *arg, uv_sem_t *over) {
    struct load_job *job = arg;
    job->ok = local_load(agent->local, job->config, job->e);
    uv_sem_post(over);
}

static void core_reload(struct agent *agent, void *arg, uv_sem_t *over) {
    struct load_job *job = arg;
    job->ok = local_reload(agent->local, job->config, job->e);
    if (job->ok) {
        config_release(agent->current);
        agent->current = config_hold(job->config);
    }
    uv_sem_post(over);
}

static void core_start_local(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    local_start(agent->local);
    uv_sem_post(over);
}

static void core_start_auto(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    auto_agent_start(agent->auto_agent, agent->server);
    uv_sem_post(over);
}

static void core_stop_auto(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    auto_agent_stop(agent->auto_agent);
    uv_sem_post(over);
}

/* The default or the agent token is another one. */
static void core_tokens_changed(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    if (agent->auto_agent != NULL)
        auto_agent_token_changed(agent->auto_agent);
    local_full_sync_trigger(agent->local);
    uv_sem_post(over);
}

static void local_is_stopped(void *arg) {
    uv_sem_post(arg);
}

static void core_stop_local(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    local_stop(agent->local, local_is_stopped, over);
}

/* ---- start ---- */

static void print_banner(const struct agent *agent) {
    const struct config *c = agent->config;
    struct buf client = BUF_INIT;
    for (uint32_t i = 0; i < c->client_addrs.len; i++)
        buf_add_format(&client, "%s" STR_FMT, i ? " " : "",
                       STR_ARG(LIST_AT(c->client_addrs, struct listen_address, i).text));
    bool tls_out = c->tls.verify_outgoing || c->tls.verify_server_hostname;
    bool auto_encrypt = c->auto_encrypt_tls || c->auto_encrypt_allow_tls;
    printf(
        "==> Starting Consul agent...\n"
        "           Version: '%s'\n"
        "           Node ID: '%s'\n"
        "         Node name: '" STR_FMT "'\n"
        "        Datacenter: '" STR_FMT "' (Segment: '%s')\n"
        "            Server: %s (Bootstrap: %s)\n"
        "       Client Addr: [" STR_FMT "] (HTTP: %d, HTTPS: %d, gRPC: %d, DNS: %d)\n"
        "      Cluster Addr: " STR_FMT " (LAN: %d, WAN: %d)\n"
        "           Encrypt: Gossip: %s, TLS-Outgoing: %s, TLS-Incoming: %s, Auto-Encrypt-TLS: %s\n"
        "\n"
        "==> Log data will now stream in as it occurs:\n"
        "\n",
        CONFIG_VERSION, agent->node_id, STR_ARG(c->node_name), STR_ARG(c->datacenter),
        c->server_mode ? "<all>" : "", c->server_mode ? "true" : "false",
        c->bootstrap ? "true" : "false", STR_ARG(buf_str(&client)), c->http_port, c->https_port,
        c->grpc_port, c->dns_port, STR_ARG(c->advertise_addr_lan), c->serf_port_lan,
        c->serf_port_wan, c->encrypt_key.len > 0 ? "true" : "false", tls_out ? "true" : "false",
        c->tls.verify_incoming ? "true" : "false", auto_encrypt ? "true" : "false");
    fflush(stdout);
    buf_free(&client);
}

/* A failure before the banner: standard error, nothing else. */
static bool refuse(struct str text) {
    fprintf(stderr, "==> " STR_FMT "\n", STR_ARG(text));
    return false;
}

static bool parse_arguments(struct agent *agent, int argc, char **argv, struct error *e) {
    bool help;
    int rest;
    if (!config_parse_flags(&agent->inputs, argc, argv, &help, &rest, e)) {
        fprintf(stderr, STR_FMT "\n", STR_ARG(e->text));
        config_print_flags(stderr);
        error_prefix(e, "error parsing flags: ");
        return refuse(e->text);
    }
    if (help) {
        config_print_help(stdout);
        agent->exit_code = 0;
        return false;
    }
    if (rest > 0) {
        struct buf text = BUF_INIT;
        for (int i = argc - rest; i < argc; i++)
            buf_add_format(&text, "%s%s", i > argc - rest ? " " : "", argv[i]);
        fprintf(stderr, "==> Unexpected extra arguments: [" STR_FMT "]\n", STR_ARG(buf_str(&text)));
        buf_free(&text);
        return false;
    }
    return true;
}

static void log_warnings(const struct list *warnings, bool first) {
    /* The peer reads its configuration twice at start, and tells twice. */
    for (uint32_t i = 0; first && i < warnings->len; i++)
        log_at(LOG_WARN, LOGGER, LIST_AT(*warnings, struct str, i).data);
    for (uint32_t i = 0; i < warnings->len; i++)
        log_at(LOG_WARN, "agent.auto_config", LIST_AT(*warnings, struct str, i).data);
}

static void log_ineffective(const struct config *c) {
    if (c->ineffective.len == 0)
        return;
    struct buf keys = BUF_INIT;
    for (uint32_t i = 0; i < c->ineffective.len; i++)
        buf_add_format(&keys, "%s" STR_FMT, i ? ", " : "",
                       STR_ARG(LIST_AT(c->ineffective, struct str, i)));
    log_at(LOG_WARN, LOGGER,
           "settings of features that this version of Praetor does not have yet are accepted "
           "without effect",
           LOG_S("keys", buf_str(&keys)));
    buf_free(&keys);
}

static bool prepare(struct agent *agent, struct list *warnings, struct arena *arena,
                    struct error *e) {
    agent->config = config_load(&agent->inputs, warnings, arena, e);
    if (agent->config == NULL)
        return false;
    agent->current = config_hold(agent->config);
    const struct config *c = agent->config;
    enum log_level level;
    if (!log_level_parse(c->logging.level, &level))
        return error_set(e, ERROR_INTERNAL,
                         "Invalid log level: " STR_FMT
                         ". Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]",
                         STR_ARG(c->logging.level));
    log_set_level(level);
    log_set_json(c->logging.json);
    if (!agent_open_syslog(c, SYSLOG_PATH, level, e) || !agent_open_log_file(c, level, e))
        return false;
    crash_catch(c->dev_mode ? STR_NONE : c->data_dir);
    return agent_find_node_id(c, agent->node_id, e) && tls_load(c, &agent->secure, e);
}

static void autopilot_of(const struct config *c, struct autopilot_config *out) {
    *out = (struct autopilot_config){
        .cleanup_dead_servers = c->autopilot.cleanup_dead_servers,
        .disable_upgrade_migration = c->autopilot.disable_upgrade_migration,
        .last_contact_threshold = c->autopilot.last_contact_threshold,
        .max_trailing_logs = (uint64_t)c->autopilot.max_trailing_logs,
        .min_quorum = c->autopilot.min_quorum,
        .redundancy_zone_tag = c->autopilot.redundancy_zone_tag,
        .server_stabilization_time = c->autopilot.server_stabilization_time,
        .upgrade_version_tag = c->autopilot.upgrade_version_tag,
    };
}

/* The policies' words are checked (config_start.c). */
static struct acl_options acl_of(const struct config *c) {
    static const char *const downs[] = {[ACL_DOWN_ALLOW] = "allow",
                                        [ACL_DOWN_DENY] = "deny",
                                        [ACL_DOWN_EXTEND] = "extend-cache",
                                        [ACL_DOWN_ASYNC] = "async-cache"};
    struct acl_options out = {
        .enabled = c->acl.enabled,
        .old_keys = c->acl.old_keys,
        .default_allow = str_is(c->acl.default_policy, "allow"),
        .key_list_policy = c->acl.enable_key_list_policy,
        .token_replication = c->acl.token_replication,
        .token_ttl = c->acl.token_ttl,
        .policy_ttl = c->acl.policy_ttl,
        .role_ttl = c->acl.role_ttl,
        .primary_datacenter = c->primary_datacenter,
        .master_token = c->acl.token_master,
    };
    for (size_t i = 0; i < COUNT_OF(downs); i++) {
        if (str_is(c->acl.down_policy, downs[i]))
            out.down = (enum acl_down)i;
    }
    return out;
}

static bool start_server(struct agent *agent, struct error *e) {
    const struct config *c = agent->config;
    struct autopilot_config autopilot;
    struct value ca_config = {.kind = VALUE_MAP,
                              .map = {c->connect_ca_config.items, c->connect_ca_config.len}};
    autopilot_of(c, &autopilot);
    struct server_options options = {
        .client = !c->server_mode,
        .node_name = c->node_name,
        .node_id = str_from(agent->node_id),
        .datacenter = c->datacenter,
        .data_dir = c->data_dir,
        .dev_mode = c->dev_mode,
        .bootstrap = c->bootstrap || c->dev_mode,
        .advertise_address = c->advertise_addr_lan,
        .bind_address = c->bind_addr,
        .server_port = (uint16_t)c->server_port,
        .raft_multiplier = (unsigned)c->raft_multiplier,
        .raft_protocol = (unsigned)c->raft_protocol,
        .serve_rpc = c->server_mode,
        .rpc_handshake_timeout = c->limits.rpc_handshake_timeout,
        .rpc_max_conns_per_client = c->limits.rpc_max_conns_per_client,
        .raft_snapshot_threshold = (uint64_t)c->raft_snapshot_threshold,
        .raft_snapshot_interval = c->raft_snapshot_interval,
        .raft_trailing_logs = (uint64_t)c->raft_trailing_logs,
        .session_ttl_min = c->session_ttl_min,
        .default_query_time = c->default_query_time,
        .max_query_time = c->max_query_time,
        .rpc_hold_timeout = c->rpc_hold_timeout,
        .kv_max_value_size = c->limits.kv_max_value_size,
        .txn_max_req_len = c->limits.txn_max_req_len,
        .autopilot = &autopilot,
        .coordinate_update_period = c->consul_coordinate_update_period,
        .rpc_rate = c->limits.rpc_rate,
        .rpc_max_burst = c->limits.rpc_max_burst,
        .acl = acl_of(c),
        .ca = {.enabled = c->connect_enabled,
               .allow_tls = c->auto_encrypt_allow_tls,
               .provider = c->connect_ca_provider,
               .config = &ca_config,
               .authorizer = auto_authorizer(c, &agent->arena)},
    };
    if (c->data_dir.len == 0)
        options.data_dir = STR_NONE;
    struct arena arena = ARENA_INIT;
    struct membership_options membership;
    options.membership = &membership;
    bool ok = cluster_membership_options(c, &membership, &arena, e) &&
              (agent->server = server_new(&options, e)) != NULL;
    if (ok) {
        secure_set(server_secure(agent->server), &agent->secure);
        agent->tokens = token_store_new(server_tokens(agent->server));
        token_store_load(agent->tokens, c);
        ok = (agent->auto_agent == NULL ||
              auto_agent_apply(agent->auto_agent, server_secure(agent->server), e)) &&
             server_start(agent->server, e);
    }
    tls_config_release(agent->secure.config);
    arena_free(&arena);
    agent->server_started = ok;
    if (!ok && !str_has_prefix(e->text, STR("Failed to configure keyring")))
        error_prefix(e, "Failed to start Consul %s: ", c->server_mode ? "server" : "client");
    return ok;
}

/* ---- the cluster ---- */

static void cluster_servers_changed(void *owner) {
    struct agent *agent = owner;
    local_full_sync_trigger(agent->local);
}

static void cluster_event_came(void *owner, uint64_t ltime, struct str name, struct str payload) {
    struct agent *agent = owner;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct user_event event;
    (void)name; /* the event has it too */
    if (event_decode(payload, &event, &arena, &e)) {
        event.ltime = ltime;
        events_receive(agent->events, &event);
    } else {
        log_at(LOG_ERROR, LOGGER, "Failed to decode event", LOG_S("error", e.text));
    }
    arena_free(&arena);
}

static void notify_ready(void);

static void cluster_joined(void *owner) {
    (void)owner;
    notify_ready();
}

static void give_up(struct message *m);

struct giving_up {
    struct message message;
    struct agent *agent;
};

/* The agent ends: on its main thread. */
static void cluster_given_up(void *owner, struct str error) {
    struct giving_up *g = MEM_NEW(struct giving_up);
    g->agent = owner;
    g->message.run = give_up;
    log_at(LOG_ERROR, LOGGER, "Retry join failed", LOG_S("error", error));
    loop_post_reply(&g->agent->main, &g->message);
}

static void core_start_cluster(struct agent *agent, void *arg, uv_sem_t *over) {
    struct membership *m = server_membership(agent->server);
    const struct membership_listener listener = {
        .owner = agent, .on_servers = cluster_servers_changed, .on_user_event = cluster_event_came};
    const struct cluster_options options = {.membership = m,
                                            .core = server_core(agent->server),
                                            .config = agent->config,
                                            .owner = agent,
                                            .joined = cluster_joined,
                                            .given_up = cluster_given_up};
    (void)arg;
    membership_listen(m, &listener);
    agent->cluster = cluster_new(&options);
    agent->coordinates = coordinates_start(agent->server, agent->config);
    cluster_start(agent->cluster);
    uv_sem_post(over);
}

static void cluster_is_stopped(void *over) {
    uv_sem_post(over);
}

static void core_stop_cluster(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    membership_listen(server_membership(agent->server), NULL);
    cluster_stop(agent->cluster);
    coordinates_stop(agent->coordinates);
    remote_exec_stop(agent->remote_exec, cluster_is_stopped, over);
}

struct first_join {
    enum membership_pool pool;
    const struct list *addresses;
    uv_sem_t *over;
    size_t joined;
    struct error *e;
};

static void first_join_over(void *owner, size_t joined, struct str error) {
    struct first_join *j = owner;
    j->joined = joined;
    if (joined == 0)
        error_set(j->e, ERROR_INTERNAL, STR_FMT, STR_ARG(error));
    uv_sem_post(j->over);
}

static void core_first_join(struct agent *agent, void *arg, uv_sem_t *over) {
    struct first_join *j = arg;
    j->over = over;
    cluster_join(agent->cluster, j->pool, j->addresses->items, j->addresses->len, first_join_over,
                 j);
}

/* start_join: once, and the agent ends when it fails. */
static bool first_join(struct agent *agent, enum membership_pool pool, const struct list *addresses,
                       struct error *e) {
    struct first_join job = {.pool = pool, .addresses = addresses, .e = e};
    struct arena scratch = ARENA_INIT;
    if (addresses->len == 0)
        return true;
    printf(pool == MEMBERSHIP_WAN ? "==> Joining -wan cluster...\n" : "==> Joining cluster...\n");
    fflush(stdout);
    on_core(agent, core_first_join, &job);
    if (job.joined == 0) {
        log_at(LOG_ERROR, LOGGER, str_terminated(&scratch, e->text));
        arena_free(&scratch);
        agent->error_told = true;
        return false;
    }
    log_at(LOG_INFO, LOGGER, "Join completed. Initial agents synced with",
           LOG_I("agent_count", job.joined));
    return true;
}

static bool start_cluster(struct agent *agent, struct error *e) {
    const struct config *c = agent->config;
    on_core(agent, core_start_cluster, NULL);
    agent->cluster_started = true;
    return first_join(agent, MEMBERSHIP_LAN, &c->start_join_addrs_lan, e) &&
           first_join(agent, MEMBERSHIP_WAN, &c->start_join_addrs_wan, e);
}

static bool start_interfaces(struct agent *agent, const struct agent_interface *const *interfaces,
                             struct error *e) {
    for (; *interfaces != NULL; interfaces++) {
        ASSERT(agent->interface_count < INTERFACES_MAX);
        void *self = (*interfaces)->start(agent, e);
        if (self == NULL)
            return false;
        agent->interfaces[agent->interface_count++] = (struct running_interface){*interfaces, self};
    }
    return true;
}

static void remote_exec_wanted(void *owner, struct str payload) {
    remote_exec_start(owner, payload);
}

/* What servers have given of the configuration stands below what the files say. */
static bool take_given(struct agent *agent, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct list warnings;
    struct buf text = BUF_INIT;
    struct secure_settings secure;
    const struct config *c = NULL;
    bool ok = auto_agent_source(agent->auto_agent, &text, e);
    if (ok && text.len > 0) {
        agent->inputs.auto_config = str_copy(&agent->inputs.arena, buf_str(&text));
        c = config_load(&agent->inputs, &warnings, &arena, e);
        ok = c != NULL && tls_load(c, &secure, e);
    }
    if (ok && c != NULL) {
        tls_config_release(agent->secure.config);
        agent->secure = secure;
        config_release(agent->config);
        config_release(agent->current);
        agent->config = config_hold(c);
        agent->current = config_hold(c);
    }
    config_release(c);
    buf_free(&text);
    arena_free(&arena);
    return ok;
}

/* An agent that gets its certificate from servers waits for it: nothing listens before. */
static bool begin_auto(struct agent *agent, struct error *e) {
    agent->auto_agent = auto_agent_new(agent->config);
    if (agent->auto_agent == NULL)
        return true;
    if (!auto_agent_begin(agent->auto_agent, &agent->secure, e)) {
        if (agent->config->auto_encrypt_tls)
            log_at(LOG_ERROR, "agent.auto_config",
                   "interrupted during retrieval of auto-encrypt certificates",
                   LOG_S("err", e->text));
        tls_config_release(agent->secure.config);
        return false;
    }
    if (!take_given(agent, e)) {
        tls_config_release(agent->secure.config);
        return false;
    }
    if (agent->config->auto_encrypt_tls)
        log_at(LOG_INFO, "agent.auto_config", "automatically upgraded to TLS");
    return true;
}

static bool start(struct agent *agent, const struct agent_interface *const *interfaces,
                  struct error *e) {
    if (!telemetry_start(agent->config, e))
        return false;
    if (!config_check_server(agent->config, e) || !begin_auto(agent, e) || !start_server(agent, e))
        return false;
    if (agent->auto_agent != NULL)
        on_core(agent, core_start_auto, NULL);
    struct local_options options = {agent->config, agent->server, str_from(agent->node_id)};
    agent->local = local_new(&options);
    agent->local_started = true;
    agent->remote_exec = remote_exec_new(agent->server, agent->config);
    agent->events = events_new(agent->local, agent->config->node_name,
                               agent->config->disable_remote_exec ? NULL : remote_exec_wanted,
                               agent->remote_exec);
    struct load_job job = {.config = agent->config, .e = e};
    on_core(agent, core_load, &job);
    if (!job.ok || !agent_write_pid(agent->config, e) || !start_interfaces(agent, interfaces, e))
        return false;
    struct watches_options watches = {agent->server, agent->local, agent->events};
    agent->watches = watches_new(&watches);
    if (!watches_start(agent->watches, agent->config, e))
        return false;
    on_core(agent, core_start_local, NULL);
    log_at(LOG_INFO, LOGGER, "started state syncer");
    return start_cluster(agent, e);
}

/* ---- stop ---- */

static void stop(struct agent *agent) {
    log_at(LOG_INFO, LOGGER, "Requesting shutdown");
    watches_end(agent->watches);
    for (size_t i = agent->interface_count; i-- > 0;)
        agent->interfaces[i].interface->stop(agent->interfaces[i].self);
    profile_stop();
    log_at(LOG_INFO, LOGGER, "Waiting for endpoints to shut down");
    log_at(LOG_INFO, LOGGER, "Endpoints down");
    if (agent->cluster_started)
        on_core(agent, core_stop_cluster, NULL);
    if (agent->local_started)
        on_core(agent, core_stop_local, NULL);
    if (agent->server_started && agent->auto_agent != NULL)
        on_core(agent, core_stop_auto, NULL);
    if (agent->server_started) {
        bool server = agent->config->server_mode;
        log_at(LOG_INFO, server ? "agent.server" : "agent.client",
               server ? "shutting down server" : "shutting down client");
        server_stop(agent->server);
        log_at(LOG_INFO, LOGGER, server ? "consul server down" : "consul client down");
    }
    log_at(LOG_INFO, LOGGER, "shutdown complete");
    agent_remove_pid(agent->config);
}

static void free_agent(struct agent *agent) {
    token_store_free(agent->tokens);
    server_free(agent->server);
    arena_free(&agent->arena);
    auto_agent_free(agent->auto_agent); /* after the calls that it has under way */
    cluster_free(agent->cluster);
    coordinates_free(agent->coordinates);
    remote_exec_free(agent->remote_exec);
    telemetry_stop();
    events_free(agent->events);
    local_free(agent->local);
    config_release(agent->current);
    config_release(agent->config);
    config_inputs_free(&agent->inputs);
}

/* ---- reload ---- */

static void apply_log_level(const struct config *c) {
    enum log_level level;
    if (log_level_parse(c->logging.level, &level))
        agent_set_log_level(level);
    else
        log_at(LOG_WARN, LOGGER, "Invalid log level in new configuration",
               LOG_S("level", c->logging.level));
}

static void tell_cache_options(const struct config *old, const struct config *c) {
    if (old->cache_entry_fetch_rate == c->cache_entry_fetch_rate &&
        old->cache_entry_fetch_max_burst == c->cache_entry_fetch_max_burst)
        log_at(LOG_DEBUG, LOGGER, "Cache options have not been modified");
    else
        log_at(LOG_INFO, LOGGER, "Cache options have been updated");
}

/* In the peer's order, but for TLS: the peer looks at it when it has taken all services away, and
 * does not bring them back when it is wrong. */
static bool reload_parts(struct agent *agent, const struct config *c, struct error *e) {
    apply_log_level(c);
    struct secure_settings secure;
    if (!tls_load(c, &secure, e))
        return error_prefix(e, "Failed reloading tls configuration: ");
    secure_set(server_secure(agent->server), &secure);
    tls_config_release(secure.config);
    if (token_store_load(agent->tokens, c))
        on_core(agent, core_tokens_changed, NULL);
    struct load_job job = {.config = c, .e = e};
    on_core(agent, core_reload, &job);
    if (!job.ok)
        return error_prefix(e, "Failed reloading %s: ", local_loading_part(agent->local));
    if (!watches_start(agent->watches, c, e))
        return error_prefix(e, "Failed reloading watches: ");
    server_set_rpc_rate(agent->server, c->limits.rpc_rate, c->limits.rpc_max_burst);
    server_set_rpc_max_conns(agent->server, c->limits.rpc_max_conns_per_client);
    for (size_t i = 0; i < agent->interface_count; i++)
        if (!agent->interfaces[i].interface->reload(agent->interfaces[i].self, c, e))
            return false;
    telemetry_reload(c);
    return true;
}

/* Main thread. */
static bool reload(struct agent *agent, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct list warnings;
    const struct config *old = config_hold(agent->current); /* only a reload changes it */
    struct config *c = config_load(&agent->inputs, &warnings, &arena, e);
    log_warnings(&warnings, false);
    arena_free(&arena);
    bool ok = c != NULL;
    if (ok) {
        config_keep_start(c, agent->config);
        log_ineffective(c);
        ok = reload_parts(agent, c, e);
    }
    if (ok)
        tell_cache_options(old, c);
    config_release(old);
    config_release(c);
    return ok;
}

struct main_request {
    struct message message;
    struct main_request *next;
    struct agent *agent;
    struct loop *home; /* of the caller */
    struct error *e;   /* a reload's, a token's */
    enum agent_token_kind kind;
    struct str secret;
    void (*done)(void *arg);
    void *arg;
};

static void request_answered(struct message *m) {
    struct main_request *r = CONTAINER_OF(m, struct main_request, message);
    void (*done)(void *arg) = r->done;
    void *arg = r->arg;
    mem_free(r);
    done(arg);
}

static void answer_request(struct main_request *r) {
    r->message.run = request_answered;
    loop_post_reply(r->home, &r->message);
}

static void reload_requested(struct message *m) {
    struct main_request *r = CONTAINER_OF(m, struct main_request, message);
    reload(r->agent, r->e);
    answer_request(r);
}

static void token_requested(struct message *m) {
    struct main_request *r = CONTAINER_OF(m, struct main_request, message);
    bool changed;
    token_store_set(r->agent->tokens, r->kind, r->secret, &changed, r->e);
    if (changed)
        on_core(r->agent, core_tokens_changed, NULL);
    answer_request(r);
}

static bool post_to_main(struct agent *agent, void (*run)(struct message *),
                         const struct main_request *request) {
    struct main_request *r = MEM_NEW(struct main_request);
    *r = *request;
    r->message.run = run;
    r->agent = agent;
    r->home = loop_current();
    ASSERT(r->home != NULL);
    if (loop_post(&agent->main, &r->message))
        return true;
    mem_free(r);
    return false;
}

bool agent_reload(struct agent *agent, struct error *e, void (*done)(void *arg), void *arg) {
    const struct main_request r = {.e = e, .done = done, .arg = arg};
    return post_to_main(agent, reload_requested, &r);
}

bool agent_set_token(struct agent *agent, enum agent_token_kind kind, struct str secret,
                     struct error *e, void (*done)(void *arg), void *arg) {
    const struct main_request r = {
        .e = e, .kind = kind, .secret = secret, .done = done, .arg = arg};
    return post_to_main(agent, token_requested, &r);
}

/* ---- leave ---- */

/* One leave, whoever asked for it; then the agent ends. */
struct leaving {
    struct message message;
    struct agent *agent;
    struct arena arena;
    struct str error;
};

static void answer_leaves(struct agent *agent) {
    while (agent->leave_requests != NULL) {
        struct main_request *r = agent->leave_requests;
        agent->leave_requests = r->next;
        answer_request(r);
    }
}

/* The answer of PUT /v1/agent/leave has gone out; or the leave took too long. */
static void leave_over(struct loop_timer *t) {
    struct agent *agent = t->owner;
    if (!agent->has_left) {
        log_at(LOG_ERROR, LOGGER, "Timeout on graceful leave. Exiting");
        agent->exit_code = 1;
    }
    loop_stop(&agent->main);
}

static void leave_done(struct message *m) {
    struct leaving *l = CONTAINER_OF(m, struct leaving, message);
    struct agent *agent = l->agent;
    if (l->error.len > 0) {
        log_at(LOG_ERROR, LOGGER, "Error on leave", LOG_S("error", l->error));
    } else {
        agent->has_left = true;
        agent->exit_code = 0;
        log_at(LOG_INFO, LOGGER, "Graceful exit completed");
    }
    bool asked = agent->leave_requests != NULL;
    answer_leaves(agent);
    if (agent->has_left)
        loop_timer_set(&agent->leave_timer, asked ? LEAVE_ANSWER_TIME : 0);
    arena_free(&l->arena);
    mem_free(l);
}

static void core_left(void *owner, struct str error) {
    struct leaving *l = owner;
    l->error = str_copy(&l->arena, error);
    l->message.run = leave_done;
    loop_post_reply(&l->agent->main, &l->message);
}

static void core_leave(void *arg) {
    struct leaving *l = arg;
    server_leave(l->agent->server, l->agent->config->leave_drain_time, core_left, l);
}

static void leave(struct agent *agent) {
    struct leaving *l = MEM_NEW(struct leaving);
    l->agent = agent;
    l->arena = ARENA_INIT;
    agent->left = true;
    loop_timer_set(&agent->leave_timer, LEAVE_TIMEOUT);
    if (!server_run_on_core(agent->server, core_leave, NULL, l))
        core_left(l, STR("the agent is too busy"));
}

static void leave_requested(struct message *m) {
    struct main_request *r = CONTAINER_OF(m, struct main_request, message);
    struct agent *agent = r->agent;
    r->next = agent->leave_requests;
    agent->leave_requests = r;
    if (agent->has_left)
        answer_leaves(agent);
    else if (!agent->left)
        leave(agent);
}

bool agent_leave(struct agent *agent, void (*done)(void *arg), void *arg) {
    const struct main_request r = {.done = done, .arg = arg};
    return post_to_main(agent, leave_requested, &r);
}

static void give_up(struct message *m) {
    struct giving_up *g = CONTAINER_OF(m, struct giving_up, message);
    g->agent->exit_code = 1;
    loop_stop(&g->agent->main);
    mem_free(g);
}

/* ---- signals ---- */

static const char *signal_name(int number) {
    return number == SIGINT ? "interrupt" : number == SIGTERM ? "terminated" : "hangup";
}

static void end_by_signal(struct agent *agent, int number) {
    const struct config *c = agent->config;
    bool graceful = number == SIGINT ? !c->skip_leave_on_int : c->leave_on_term;
    if (agent->left) {
        log_at(
            LOG_INFO, LOGGER, "Caught second signal, Exiting",
            LOG_C("signal", agent->leaving_signal ? agent->leaving_signal : signal_name(number)));
        agent->exit_code = 1;
    } else if (!graceful) {
        log_at(LOG_INFO, LOGGER, "Graceful shutdown disabled. Exiting");
        agent->exit_code = 1;
    } else {
        agent->leaving_signal = signal_name(number);
        log_at(LOG_INFO, LOGGER, "Gracefully shutting down agent...");
        leave(agent);
        return;
    }
    loop_stop(&agent->main);
}

static void reload_by_signal(struct agent *agent) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (!reload(agent, &e))
        log_at(LOG_ERROR, LOGGER, "Reload config failed", LOG_S("error", e.text));
    arena_free(&arena);
}

static void signal_caught(uv_signal_t *handle, int number) {
    struct agent *agent = handle->data;
    if (number == SIGUSR1) {
        telemetry_dump(stderr, agent->config);
        return;
    }
    if (number == SIGQUIT) { /* as a crash: no clean stop */
        fflush(NULL);
        _exit(2);
    }
    log_at(LOG_INFO, LOGGER, "Caught", LOG_C("signal", signal_name(number)));
    if (number == SIGHUP)
        reload_by_signal(agent);
    else
        end_by_signal(agent, number);
}

/* From the start on, the signals wait until the agent can do something about them. */
static void block_signals(int how) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaddset(&set, handled_signals[i]);
    pthread_sigmask(how, &set, NULL);
}

/* Gauges are read at the end of each interval, and whenever somebody looks. */
static void metrics_due(struct loop_timer *t) {
    struct agent *agent = t->owner;
    int64_t period = telemetry_period();
    telemetry_sample_runtime();
    server_sample_metrics(agent->server);
    metrics_rotate(time_now_wall());
    loop_timer_set(t, period - time_now_wall() % period + MILLISECOND);
}

/* Until a signal or a leave ends it. */
static void run(struct agent *agent) {
    loop_timer_init(&agent->main, &agent->metrics_timer, metrics_due, agent);
    loop_timer_init(&agent->main, &agent->leave_timer, leave_over, agent);
    metrics_due(&agent->metrics_timer);
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_signal_init(&agent->main.uv, &agent->signals[i]);
        agent->signals[i].data = agent;
        uv_signal_start(&agent->signals[i], signal_caught, handled_signals[i]);
    }
    block_signals(SIG_UNBLOCK);
    malloc_trim(0);
    loop_run_here(&agent->main);
    block_signals(SIG_BLOCK);
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_signal_stop(&agent->signals[i]);
        uv_close((uv_handle_t *)&agent->signals[i], NULL);
    }
    loop_timer_stop(&agent->metrics_timer);
    loop_timer_close(&agent->metrics_timer, NULL);
    loop_timer_stop(&agent->leave_timer);
    loop_timer_close(&agent->leave_timer, NULL);
}

/* ---- main ---- */

/* The peer tells after its first join; an agent that has nobody to join is ready when it runs. */
static void notify_ready(void) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (!agent_notify_systemd("READY=1", &e))
        log_at(LOG_DEBUG, LOGGER, "systemd notify failed", LOG_S("error", e.text));
    arena_free(&arena);
}

/* Between the banner and the end. */
static void serve(struct agent *agent, const struct agent_interface *const *interfaces,
                  struct error *e) {
    if (start(agent, interfaces, e)) {
        if (!agent->config->logging.json) {
            printf("==> Consul agent running!\n");
            fflush(stdout);
        }
        notify_ready();
        run(agent);
        stop(agent);
    } else {
        if (!agent->error_told)
            log_at(LOG_ERROR, LOGGER, "Error starting agent", LOG_S("error", e->text));
        agent->exit_code = 1;
        stop(agent);
    }
    log_at(LOG_INFO, LOGGER, "Exit code", LOG_I("code", agent->exit_code));
}

static void run_agent(struct agent *agent, const struct agent_interface *const *interfaces,
                      struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct list warnings;
    log_set_stdout(false);
    if (!prepare(agent, &warnings, arena, &e)) {
        refuse(e.text);
        return;
    }
    if (!agent->config->logging.json)
        print_banner(agent);
    log_set_stdout(true);
    log_warnings(&warnings, true);
    log_ineffective(agent->config);
    if (!loop_init(&agent->main, "main", INBOX, &e)) {
        refuse(e.text);
        return;
    }
    serve(agent, interfaces, &e);
    loop_free(&agent->main);
}

int agent_main(int argc, char **argv, const struct agent_interface *const *interfaces) {
    struct agent *agent = MEM_NEW(struct agent);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    uint64_t key[2];
    /* Few malloc arenas: threads share memory rather than each keeping its own. */
    mallopt(M_ARENA_MAX, 2);
    random_bytes(key, sizeof(key));
    map_set_hash_key(key[0], key[1]);
    signal(SIGPIPE, SIG_IGN);
    block_signals(SIG_BLOCK);
    agent->exit_code = 1;
    config_inputs_init(&agent->inputs);
    if (parse_arguments(agent, argc, argv, &e))
        run_agent(agent, interfaces, &arena);
    int code = agent->exit_code;
    free_agent(agent);
    arena_free(&arena);
    mem_free(agent);
    return code;
}

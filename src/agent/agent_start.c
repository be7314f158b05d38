/* An agent's start, in the peer's order with its lines, and its stop in the opposite one (agent.md
 * 8).
 */
#include "agent/agent_room.h"

#include <stdio.h>
#include <time.h>

#include "agent/agent_files.h"
#include "agent/auto_agent.h"
#include "agent/auto_authorizer.h"
#include "agent/coordinates.h"
#include "agent/profile.h"
#include "agent/remote_exec.h"
#include "agent/tls_load.h"
#include "agent/token_store.h"
#include "agent/watches.h"
#include "base/log.h"
#include "base/mem.h"

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

void agent_on_core(struct agent *agent, void (*fn)(struct agent *, void *, uv_sem_t *), void *arg) {
    struct core_job job = {.fn = fn, .agent = agent, .arg = arg};
    uv_sem_init(&job.over, 0);
    while (!server_run_on_core(agent->server, core_job_run, NULL, &job)) {
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL); /* the core's queue is full */
    }
    uv_sem_wait(&job.over);
    uv_sem_destroy(&job.over);
}

void agent_core_load(struct agent *agent, void *arg, uv_sem_t *over) {
    struct agent_load *job = arg;
    job->ok = local_load(agent->local, job->config, job->e);
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

static void local_is_stopped(void *arg) {
    uv_sem_post(arg);
}

static void core_stop_proxies(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    proxies_stop(agent->proxies, local_is_stopped, over);
}

static void core_stop_local(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    local_stop(agent->local, local_is_stopped, over);
}

/* ---- the server ---- */

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
        .bootstrap_entries = &c->config_entry_bootstrap,
        .mesh_gateway_wan_federation = c->connect_mesh_gateway_wan_federation,
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

/* The peer tells after its first join; an agent that has nobody to join is ready when it runs. */
void agent_tell_ready(void) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (!agent_notify_systemd("READY=1", &e))
        log_at(LOG_DEBUG, LOGGER, "systemd notify failed", LOG_S("error", e.text));
    arena_free(&arena);
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

static void cluster_joined(void *owner) {
    (void)owner;
    agent_tell_ready();
}

struct giving_up {
    struct message message;
    struct agent *agent;
};

static void give_up(struct message *m) {
    struct giving_up *g = CONTAINER_OF(m, struct giving_up, message);
    g->agent->exit_code = 1;
    loop_stop(&g->agent->main);
    mem_free(g);
}

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
                                            .gateways = server_gateways(agent->server),
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
    agent_on_core(agent, core_first_join, &job);
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
    agent_on_core(agent, core_start_cluster, NULL);
    agent->cluster_started = true;
    return first_join(agent, MEMBERSHIP_LAN, &c->start_join_addrs_lan, e) &&
           first_join(agent, MEMBERSHIP_WAN, &c->start_join_addrs_wan, e);
}

/* ---- start ---- */

static bool start_interfaces(struct agent *agent, const struct agent_interface *const *interfaces,
                             struct error *e) {
    for (; *interfaces != NULL; interfaces++) {
        ASSERT(agent->interface_count < AGENT_INTERFACES_MAX);
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

bool agent_start(struct agent *agent, const struct agent_interface *const *interfaces,
                 struct error *e) {
    if (!config_check_server(agent->config, e) || !begin_auto(agent, e) || !start_server(agent, e))
        return false;
    if (agent->auto_agent != NULL)
        agent_on_core(agent, core_start_auto, NULL);
    struct local_options options = {agent->config, agent->server, str_from(agent->node_id)};
    agent->local = local_new(&options);
    agent->local_started = true;
    if (agent->config->grpc_port > 0)
        agent->proxies = proxies_new(agent->local);
    agent->remote_exec = remote_exec_new(agent->server, agent->config);
    agent->events = events_new(agent->local, agent->config->node_name,
                               agent->config->disable_remote_exec ? NULL : remote_exec_wanted,
                               agent->remote_exec);
    struct agent_load job = {.config = agent->config, .e = e};
    agent_on_core(agent, agent_core_load, &job);
    if (!job.ok || !agent_write_pid(agent->config, e) || !start_interfaces(agent, interfaces, e))
        return false;
    struct watches_options watches = {agent->server, agent->local, agent->events};
    agent->watches = watches_new(&watches);
    if (!watches_start(agent->watches, agent->config, e))
        return false;
    agent_on_core(agent, core_start_local, NULL);
    log_at(LOG_INFO, LOGGER, "started state syncer");
    return start_cluster(agent, e);
}

/* ---- stop ---- */

void agent_stop(struct agent *agent) {
    log_at(LOG_INFO, LOGGER, "Requesting shutdown");
    watches_end(agent->watches);
    for (size_t i = agent->interface_count; i-- > 0;)
        agent->interfaces[i].interface->stop(agent->interfaces[i].self);
    profile_stop();
    log_at(LOG_INFO, LOGGER, "Waiting for endpoints to shut down");
    log_at(LOG_INFO, LOGGER, "Endpoints down");
    if (agent->cluster_started)
        agent_on_core(agent, core_stop_cluster, NULL);
    if (agent->proxies != NULL)
        agent_on_core(agent, core_stop_proxies, NULL);
    if (agent->local_started)
        agent_on_core(agent, core_stop_local, NULL);
    if (agent->server_started && agent->auto_agent != NULL)
        agent_on_core(agent, core_stop_auto, NULL);
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

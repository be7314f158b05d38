/* Gossip's configuration, and joining. See cluster.h. */
#include "agent/cluster.h"

#include "agent/discover.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/gateways.h"

#define LOGGER "agent"

/* ---- options ---- */

static void timing_apply(struct gossip_timing *t, const struct config_gossip *c,
                         int64_t reconnect_timeout) {
    t->gossip_interval = c->gossip_interval;
    t->gossip_nodes = (unsigned)c->gossip_nodes;
    t->probe_interval = c->probe_interval;
    t->probe_timeout = c->probe_timeout;
    t->suspicion_mult = (unsigned)c->suspicion_mult;
    t->retransmit_mult = (unsigned)c->retransmit_mult;
    if (reconnect_timeout > 0)
        t->failed_kept = reconnect_timeout;
}

static bool cidrs_of(const struct list *texts, struct membership_pool_options *pool,
                     struct arena *arena, struct error *e) {
    struct gossip_cidr *out = ARENA_ARRAY(arena, struct gossip_cidr, texts->len + 1);
    for (uint32_t i = 0; i < texts->len; i++) {
        struct str text = LIST_AT(*texts, struct str, i);
        if (!gossip_cidr_parse(&out[i], text))
            return error_set(e, ERROR_INTERNAL, "invalid cidr: " STR_FMT, STR_ARG(text));
    }
    pool->allowed = out;
    pool->allowed_len = texts->len;
    return true;
}

bool cluster_membership_options(const struct config *c, struct membership_options *out,
                                struct arena *arena, struct error *e) {
    *out = (struct membership_options){
        .lan = {.bind = c->serf_bind_addr_lan,
                .advertise = c->advertise_addr_lan,
                .port = (uint16_t)c->serf_port_lan,
                .timing = gossip_timing_lan()},
        .wan = {.bind = c->serf_bind_addr_wan,
                .advertise = c->advertise_addr_wan,
                .port = (uint16_t)(c->serf_port_wan > 0 ? c->serf_port_wan : 0),
                .timing = gossip_timing_wan()},
        .has_wan = c->server_mode && c->serf_port_wan > 0,
        .data_dir = c->dev_mode ? STR_NONE : c->data_dir,
        .encrypt = c->encrypt_key,
        .no_keyring_file = c->disable_keyring_file || c->dev_mode,
        .verify_incoming = c->encrypt_verify_incoming,
        .verify_outgoing = c->encrypt_verify_outgoing,
        .rejoin_after_leave = c->rejoin_after_leave,
        .bootstrap = c->bootstrap,
        .bootstrap_expect = c->bootstrap_expect,
        .acls = c->acl.enabled,
        .non_voter = c->non_voting_server,
        .use_tls = c->tls.ca_file.len > 0 || c->tls.ca_path.len > 0,
        .protocol = (unsigned)c->rpc_protocol,
        .raft_protocol = c->raft_protocol > 0 ? (unsigned)c->raft_protocol : 3,
        .build = STR(CONFIG_VERSION ":"),
    };
    timing_apply(&out->lan.timing, &c->gossip_lan, c->reconnect_timeout_lan);
    timing_apply(&out->wan.timing, &c->gossip_wan, c->reconnect_timeout_wan);
    return cidrs_of(&c->serf_allowed_cidrs_lan, &out->lan, arena, e) &&
           cidrs_of(&c->serf_allowed_cidrs_wan, &out->wan, arena, e);
}

/* ---- one round ---- */

struct join {
    struct cluster *cluster;
    bool wan;
    gossip_join_done *done;
    void *owner;
};

enum retry_kind {
    RETRY_LAN,
    RETRY_WAN,
    RETRY_GATEWAYS, /* nothing is joined: the primary's mesh gateways are told */
};

struct retry {
    struct cluster *cluster;
    enum retry_kind kind;
    bool active;
    struct list entries; /* of struct str */
    int64_t interval, most, rounds;
    struct loop_timer timer;
    /* a round: entries are expanded one after the other */
    struct arena arena;
    struct str *addresses;
    size_t len, cap, entry;
    struct discover *discover;
};

struct cluster {
    struct cluster_options options;
    struct retry lan, wan, gateways;
    struct arena arena;
    struct str placeholder; /* what is joined through gateways */
    bool has_joined, started, stopped;
};

static void round_done(void *owner, size_t joined, struct str error) {
    struct join *j = owner;
    struct cluster *c = j->cluster;
    const char *failed = j->wan ? "(WAN) couldn't join" : "(LAN) couldn't join";
    const char *worked = j->wan ? "(WAN) joined" : "(LAN) joined";
    if (joined == 0)
        log_at(LOG_WARN, LOGGER, failed, LOG_I("number_of_nodes", 0), LOG_S("error", error));
    else
        log_at(LOG_INFO, LOGGER, worked, LOG_I("number_of_nodes", joined));
    if (joined > 0 && !j->wan && !c->has_joined && !c->stopped) {
        c->has_joined = true;
        c->options.joined(c->options.owner);
    }
    j->done(j->owner, joined, error);
    mem_free(j);
}

void cluster_join(struct cluster *c, enum membership_pool pool, const struct str *addresses,
                  size_t count, gossip_join_done *done, void *owner) {
    bool wan = pool == MEMBERSHIP_WAN;
    struct gossip_driver *driver = membership_pool(c->options.membership, pool);
    if (wan)
        log_at(LOG_INFO, LOGGER, "(WAN) joining", LOG_L("wan_addresses", addresses, count));
    else
        log_at(LOG_INFO, LOGGER, "(LAN) joining", LOG_L("lan_addresses", addresses, count));
    if (wan && !c->options.config->server_mode) {
        struct str why = STR("Must be a server to join WAN cluster");
        log_at(LOG_WARN, LOGGER, "(WAN) couldn't join", LOG_I("number_of_nodes", 0),
               LOG_S("error", why));
        done(owner, 0, why);
        return;
    }
    struct join *j = MEM_NEW(struct join);
    *j = (struct join){c, wan, done, owner};
    if (driver == NULL) {
        round_done(j, 0, STR("WAN Federation is disabled"));
        return;
    }
    gossip_driver_join(driver, addresses, count, round_done, j);
}

/* ---- again and again ---- */

static const char *cluster_name(const struct retry *r) {
    return r->kind == RETRY_WAN ? "WAN" : "LAN";
}

static void retry_end(struct retry *r) {
    r->active = false;
    arena_free(&r->arena);
    r->arena = ARENA_INIT;
}

static void given_up(struct retry *r) {
    struct str error = r->kind == RETRY_WAN ? STR("agent: max join WAN retry exhausted, exiting")
                                            : STR("agent: max join LAN retry exhausted, exiting");
    retry_end(r);
    r->cluster->options.given_up(r->cluster->options.owner, error);
}

static void retry_failed(struct retry *r, const char *why) {
    if (r->most > 0 && r->rounds > r->most) {
        given_up(r);
        return;
    }
    if (r->kind == RETRY_GATEWAYS)
        log_at(LOG_WARN, LOGGER, "Refreshing mesh gateways failed, will retry",
               LOG_D("retry_interval", r->interval), LOG_C("error", why));
    else
        log_at(LOG_WARN, LOGGER, "Join cluster failed, will retry",
               LOG_C("cluster", cluster_name(r)), LOG_D("retry_interval", r->interval),
               LOG_C("error", why));
    loop_timer_set(&r->timer, r->interval);
}

static void retry_joined(void *owner, size_t joined, struct str error) {
    struct retry *r = owner;
    (void)error;
    if (r->cluster->stopped)
        return;
    if (joined == 0) {
        retry_failed(r, "<nil>");
        return;
    }
    log_at(LOG_INFO, LOGGER, "Join cluster completed. Synced with initial agents",
           LOG_C("cluster", cluster_name(r)), LOG_I("num_agents", joined));
    retry_end(r);
}

static void address_add(struct retry *r, struct str address) {
    if (r->len == r->cap) {
        size_t cap = r->cap > 0 ? r->cap * 2 : 16;
        struct str *more = ARENA_ARRAY(&r->arena, struct str, cap);
        if (r->len > 0)
            memcpy(more, r->addresses, r->len * sizeof(*more));
        r->addresses = more;
        r->cap = cap;
    }
    r->addresses[r->len++] = str_copy(&r->arena, address);
}

static void expand_next(struct retry *r);

static void log_undiscovered(const struct retry *r, struct str entry, struct str error) {
    if (r->kind == RETRY_GATEWAYS)
        log_at(LOG_ERROR, LOGGER, "Cannot discover address", LOG_S("address", entry),
               LOG_S("error", error));
    else
        log_at(LOG_ERROR, LOGGER, "Cannot discover address", LOG_C("cluster", cluster_name(r)),
               LOG_S("address", entry), LOG_S("error", error));
}

static void log_discovered(const struct retry *r, const struct str *addresses, size_t count) {
    struct buf servers = BUF_INIT;
    for (size_t i = 0; i < count; i++)
        buf_add_format(&servers, "%s" STR_FMT, i > 0 ? " " : "", STR_ARG(addresses[i]));
    if (r->kind == RETRY_GATEWAYS)
        log_at(LOG_INFO, LOGGER, "Discovered mesh gateways", LOG_C("cluster", "primary"),
               LOG_S("mesh_gateways", buf_str(&servers)));
    else
        log_at(LOG_INFO, LOGGER, "Discovered servers", LOG_C("cluster", cluster_name(r)),
               LOG_C("cluster", cluster_name(r)), LOG_S("servers", buf_str(&servers)));
    buf_free(&servers);
}

static void discovered(void *owner, const struct str *addresses, size_t count, struct str error) {
    struct retry *r = owner;
    r->discover = NULL;
    if (error.len > 0) {
        log_undiscovered(r, LIST_AT(r->entries, struct str, r->entry), error);
    } else {
        log_discovered(r, addresses, count);
        for (size_t i = 0; i < count; i++)
            address_add(r, addresses[i]);
    }
    r->entry++;
    expand_next(r);
}

static void gateways_known(struct retry *r);

/* All entries are expanded. */
static void expanded(struct retry *r) {
    bool gateways = r->kind == RETRY_GATEWAYS;
    if (r->len == 0)
        retry_failed(r, gateways ? "No mesh gateways found" : "No servers to join");
    else if (gateways)
        gateways_known(r);
    else
        cluster_join(r->cluster, r->kind == RETRY_WAN ? MEMBERSHIP_WAN : MEMBERSHIP_LAN,
                     r->addresses, r->len, retry_joined, r);
}

static void expand_next(struct retry *r) {
    for (; r->entry < r->entries.len; r->entry++) {
        struct str entry = LIST_AT(r->entries, struct str, r->entry);
        if (discover_wanted(entry)) {
            r->discover = discover_start(r->cluster->options.core, entry, discovered, r);
            return;
        }
        address_add(r, entry);
    }
    expanded(r);
}

static void retry_round(struct loop_timer *t) {
    struct retry *r = t->owner;
    arena_free(&r->arena);
    r->arena = ARENA_INIT;
    r->addresses = NULL;
    r->len = r->cap = r->entry = 0;
    r->rounds++;
    expand_next(r);
}

static void retry_init(struct cluster *c, struct retry *r, enum retry_kind kind) {
    *r = (struct retry){.cluster = c, .kind = kind, .arena = ARENA_INIT};
    loop_timer_init(c->options.core, &r->timer, retry_round, r);
}

static void retry_begin(struct retry *r, struct list entries, int64_t interval, int64_t most) {
    r->entries = entries;
    r->interval = interval;
    r->most = most;
    r->active = true;
    if (r->kind == RETRY_GATEWAYS) {
        log_at(LOG_INFO, LOGGER,
               "Refreshing mesh gateways is supported for the following discovery methods",
               LOG_C("discovery_methods", discover_names()));
        log_at(LOG_INFO, LOGGER, "Refreshing mesh gateways...");
    } else {
        log_at(LOG_INFO, LOGGER, "Retry join is supported for the following discovery methods",
               LOG_C("cluster", cluster_name(r)), LOG_C("discovery_methods", discover_names()));
        log_at(LOG_INFO, LOGGER, "Joining cluster...", LOG_C("cluster", cluster_name(r)));
    }
    loop_timer_set(&r->timer, 0);
}

/* ---- through mesh gateways ---- */

/* Whoever the gateway leads to: its address is not known, nor used. */
static void join_through_gateways(struct cluster *c) {
    const struct config *config = c->options.config;
    c->placeholder =
        str_format(&c->arena, "*." STR_FMT "/192.0.2.2", STR_ARG(config->primary_datacenter));
    const struct list entries = {&c->placeholder, 1, true};
    retry_begin(&c->wan, entries, config->retry_join_interval_wan,
                config->retry_join_max_attempts_wan);
}

/* Once is enough: from then on the federation states tell of others. */
static void gateways_known(struct retry *r) {
    struct cluster *c = r->cluster;
    gateways_set_fallback(c->options.gateways, r->addresses, r->len);
    log_at(LOG_INFO, LOGGER, "Refreshing mesh gateways completed");
    retry_end(r);
    join_through_gateways(c);
}

/* Servers of the primary are joined, and join nobody. */
static void federate(struct cluster *c) {
    const struct config *config = c->options.config;
    if (gateways_in_primary(c->options.gateways))
        return;
    if (config->primary_gateways.len > 0)
        retry_begin(&c->gateways, config->primary_gateways, config->primary_gateways_interval, 0);
    else
        join_through_gateways(c);
}

bool cluster_wan_is_federated(const struct cluster *c) {
    return c->options.gateways != NULL;
}

static void retry_stop(struct retry *r) {
    if (r->discover != NULL)
        discover_cancel(r->discover);
    r->discover = NULL;
    r->active = false;
    loop_timer_stop(&r->timer);
    loop_timer_close(&r->timer, NULL);
}

void cluster_start(struct cluster *c) {
    const struct config *config = c->options.config;
    c->started = true;
    retry_init(c, &c->lan, RETRY_LAN);
    retry_init(c, &c->wan, RETRY_WAN);
    retry_init(c, &c->gateways, RETRY_GATEWAYS);
    if (config->retry_join_lan.len > 0)
        retry_begin(&c->lan, config->retry_join_lan, config->retry_join_interval_lan,
                    config->retry_join_max_attempts_lan);
    if (c->options.gateways != NULL)
        federate(c);
    else if (config->retry_join_wan.len > 0 && config->server_mode)
        retry_begin(&c->wan, config->retry_join_wan, config->retry_join_interval_wan,
                    config->retry_join_max_attempts_wan);
}

void cluster_stop(struct cluster *c) {
    c->stopped = true;
    if (!c->started)
        return;
    c->started = false;
    retry_stop(&c->lan);
    retry_stop(&c->wan);
    retry_stop(&c->gateways);
}

struct cluster *cluster_new(const struct cluster_options *options) {
    struct cluster *c = MEM_NEW(struct cluster);
    c->arena = ARENA_INIT;
    c->options = *options;
    return c;
}

void cluster_free(struct cluster *c) {
    if (c == NULL)
        return;
    arena_free(&c->lan.arena);
    arena_free(&c->wan.arena);
    arena_free(&c->gateways.arena);
    arena_free(&c->arena);
    mem_free(c);
}

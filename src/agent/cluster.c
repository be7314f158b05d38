/* Gossip's configuration, and joining. See cluster.h. */
#include "agent/cluster.h"

#include "agent/discover.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

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

struct retry {
    struct cluster *cluster;
    bool wan, active;
    const struct list *entries;
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
    struct retry lan, wan;
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
    if (driver == NULL) {
        done(owner, 0, STR("Must be a server to join WAN cluster"));
        return;
    }
    if (wan)
        log_at(LOG_INFO, LOGGER, "(WAN) joining", LOG_L("wan_addresses", addresses, count));
    else
        log_at(LOG_INFO, LOGGER, "(LAN) joining", LOG_L("lan_addresses", addresses, count));
    struct join *j = MEM_NEW(struct join);
    *j = (struct join){c, wan, done, owner};
    gossip_driver_join(driver, addresses, count, round_done, j);
}

/* ---- again and again ---- */

static const char *cluster_name(const struct retry *r) {
    return r->wan ? "WAN" : "LAN";
}

static void retry_end(struct retry *r) {
    r->active = false;
    arena_free(&r->arena);
    r->arena = ARENA_INIT;
}

static void retry_failed(struct retry *r, const char *why) {
    if (r->most > 0 && r->rounds > r->most) {
        struct str error = r->wan ? STR("agent: max join WAN retry exhausted, exiting")
                                  : STR("agent: max join LAN retry exhausted, exiting");
        retry_end(r);
        r->cluster->options.given_up(r->cluster->options.owner, error);
        return;
    }
    log_at(LOG_WARN, LOGGER, "Join cluster failed, will retry", LOG_C("cluster", cluster_name(r)),
           LOG_D("retry_interval", r->interval), LOG_C("error", why));
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

static void discovered(void *owner, const struct str *addresses, size_t count, struct str error) {
    struct retry *r = owner;
    struct str entry = LIST_AT(*r->entries, struct str, r->entry);
    r->discover = NULL;
    if (error.len > 0) {
        log_at(LOG_ERROR, LOGGER, "Cannot discover address", LOG_C("cluster", cluster_name(r)),
               LOG_S("address", entry), LOG_S("error", error));
    } else {
        struct buf servers = BUF_INIT;
        for (size_t i = 0; i < count; i++) {
            buf_add_format(&servers, "%s" STR_FMT, i > 0 ? " " : "", STR_ARG(addresses[i]));
            address_add(r, addresses[i]);
        }
        log_at(LOG_INFO, LOGGER, "Discovered servers", LOG_C("cluster", cluster_name(r)),
               LOG_C("cluster", cluster_name(r)), LOG_S("servers", buf_str(&servers)));
        buf_free(&servers);
    }
    r->entry++;
    expand_next(r);
}

static void expand_next(struct retry *r) {
    for (; r->entry < r->entries->len; r->entry++) {
        struct str entry = LIST_AT(*r->entries, struct str, r->entry);
        if (discover_wanted(entry)) {
            r->discover = discover_start(r->cluster->options.core, entry, discovered, r);
            return;
        }
        address_add(r, entry);
    }
    if (r->len == 0)
        retry_failed(r, "No servers to join");
    else
        cluster_join(r->cluster, r->wan ? MEMBERSHIP_WAN : MEMBERSHIP_LAN, r->addresses, r->len,
                     retry_joined, r);
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

static void retry_start(struct cluster *c, struct retry *r, bool wan) {
    const struct config *config = c->options.config;
    *r = (struct retry){
        .cluster = c,
        .wan = wan,
        .arena = ARENA_INIT,
        .entries = wan ? &config->retry_join_wan : &config->retry_join_lan,
        .interval = wan ? config->retry_join_interval_wan : config->retry_join_interval_lan,
        .most = wan ? config->retry_join_max_attempts_wan : config->retry_join_max_attempts_lan};
    loop_timer_init(c->options.core, &r->timer, retry_round, r);
    if (r->entries->len == 0 || (wan && !config->server_mode))
        return;
    r->active = true;
    log_at(LOG_INFO, LOGGER, "Retry join is supported for the following discovery methods",
           LOG_C("cluster", cluster_name(r)), LOG_C("discovery_methods", discover_names()));
    log_at(LOG_INFO, LOGGER, "Joining cluster...", LOG_C("cluster", cluster_name(r)));
    loop_timer_set(&r->timer, 0);
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
    c->started = true;
    retry_start(c, &c->lan, false);
    retry_start(c, &c->wan, true);
}

void cluster_stop(struct cluster *c) {
    c->stopped = true;
    if (!c->started)
        return;
    c->started = false;
    retry_stop(&c->lan);
    retry_stop(&c->wan);
}

struct cluster *cluster_new(const struct cluster_options *options) {
    struct cluster *c = MEM_NEW(struct cluster);
    c->options = *options;
    return c;
}

void cluster_free(struct cluster *c) {
    if (c == NULL)
        return;
    arena_free(&c->lan.arena);
    arena_free(&c->wan.arena);
    mem_free(c);
}

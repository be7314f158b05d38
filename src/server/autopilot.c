/* A leader's watch over its servers. See autopilot.h.
 *
 * Every two seconds all servers are asked how far they are; a second later (or when all have
 * answered) health is judged from what came. An answer that takes longer counts for nothing, and
 * that server is not asked again before it has come.
 */
#include "server/autopilot.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "gossip/rules.h"
#include "schema/table.h"
#include "server/endpoints.h"
#include "server/membership.h"
#include "server/server_room.h"
#include "store/autopilot.h"

#define LOGGER "agent.server.autopilot"
#define HEALTH_PERIOD (2 * SECOND)
#define HEALTH_WAIT (1 * SECOND)
#define CLEANUP_PERIOD (10 * SECOND)

#define OF struct server_health
static const struct field server_health_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Address", address),
    F_INT("SerfStatus", serf_status),
    F_STR("Version", version),
    F_BOOL("Leader", leader),
    F_DUR("LastContact", last_contact),
    F_UINT("LastTerm", last_term),
    F_UINT("LastIndex", last_index),
    F_BOOL("Healthy", healthy),
    F_BOOL("Voter", voter),
    F_TIME("StableSince", stable_since),
};
#undef OF
SHAPE(server_health, "ServerHealth");

#define OF struct operator_health_reply
static const struct field operator_health_reply_fields[] = {
    F_BOOL("Healthy", healthy),
    F_INT("FailureTolerance", failure_tolerance),
    F_LIST("Servers", servers, OF_STRUCT(server_health)),
};
#undef OF
SHAPE(operator_health_reply, "OperatorHealthReply");

/* What one server said, and what it is thought of. */
struct watched {
    struct watched *next;
    struct autopilot *autopilot; /* NULL: the answer is for nobody any more */
    char id[64];
    struct arena arena; /* of the call */
    struct empty_struct request;
    struct call call;
    bool calling;
    bool answered; /* in this round */
    struct raft_stats stats;
    int64_t last_contact; /* ns; -1: not known */
    bool known;           /* was judged before */
    bool healthy;
    int64_t stable_since; /* wall clock */
};

struct autopilot {
    struct server *server;
    bool enabled, closed;
    bool round; /* answers are waited for */
    struct loop_timer health_timer, cleanup_timer;
    struct watched *watched;
    struct list judged; /* of struct server_health, in arena */
    struct arena arena;
    bool pruning;
    unsigned generation;
};

/* ---- asking ---- */

static void judge(struct autopilot *a);

static void watched_free(struct watched *w) {
    struct arena arena = w->arena;
    arena_free(&arena);
    mem_free(w);
}

/* Who cannot be reached is waited for as well, as by the peer: until then gossip may have noticed,
 * and what is told is more than that nothing is known. */
static bool all_answered(const struct autopilot *a) {
    for (const struct watched *w = a->watched; w != NULL; w = w->next) {
        if (!w->answered)
            return false;
    }
    return true;
}

/* "never", "0", "12.5ms" (raft.md 5.5). */
static int64_t contact_of(struct str text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    int64_t ns = -1;
    if (str_is(text, "0"))
        ns = 0;
    else if (!duration_parse(text, &ns, &e))
        ns = -1;
    arena_free(&arena);
    return ns;
}

static void stats_done(struct call *c) {
    struct watched *w = c->owner;
    struct autopilot *a = w->autopilot;
    struct answer *answer = c->answer;
    w->calling = false;
    c->answer = NULL;
    if (a == NULL) {
        answer_release(answer);
        watched_free(w);
        return;
    }
    if (!error_is_set(&answer->error)) {
        const struct raft_stats *stats = answer->reply;
        w->stats = *stats;
        w->stats.last_contact = STR("");
        w->last_contact = contact_of(stats->last_contact);
        w->answered = true;
    } else {
        log_at(LOG_WARN, LOGGER, "Error getting server health", LOG_S("server", str_from(w->id)),
               LOG_S("error", answer->error.text));
    }
    answer_release(answer);
    if (a->round && all_answered(a))
        judge(a);
}

static struct watched *watched_get(struct autopilot *a, struct str id) {
    for (struct watched *w = a->watched; w != NULL; w = w->next) {
        if (str_is(id, w->id))
            return w;
    }
    struct watched *w = MEM_NEW(struct watched);
    w->autopilot = a;
    w->arena = ARENA_INIT;
    size_t len = id.len < sizeof(w->id) ? id.len : sizeof(w->id) - 1;
    memcpy(w->id, id.data, len);
    w->next = a->watched;
    a->watched = w;
    return w;
}

static void ask(struct autopilot *a, struct str id, struct str address) {
    struct watched *w = watched_get(a, id);
    struct server *s = a->server;
    if (w->calling)
        return;
    w->answered = false;
    if (str_eq(id, s->options.node_id)) {
        w->stats.last_index = raft_driver_last_index(s->driver);
        w->stats.last_term = raft_driver_last_term(s->driver);
        w->last_contact = 0;
        w->answered = true;
        return;
    }
    arena_free(&w->arena);
    w->arena = ARENA_INIT;
    w->call = (struct call){.endpoint = &endpoint_status_raft_stats,
                            .arena = &w->arena,
                            .request = &w->request,
                            .done = stats_done,
                            .owner = w};
    w->calling = true;
    call_start_at(s, &w->call, address);
}

/* Servers that left gossip and Raft are forgotten. */
static void forget_others(struct autopilot *a, const struct list *servers) {
    struct watched **link = &a->watched;
    while (*link != NULL) {
        struct watched *w = *link;
        bool wanted = w->calling;
        for (uint32_t i = 0; i < servers->len && !wanted; i++)
            wanted = str_is(LIST_AT(*servers, struct server_health, i).id, w->id);
        if (wanted) {
            link = &w->next;
            continue;
        }
        *link = w->next;
        watched_free(w);
    }
}

static void round_start(struct loop_timer *timer) {
    struct autopilot *a = timer->owner;
    struct arena arena = ARENA_INIT;
    struct gossip_member *members;
    if (a->round) { /* its time is over */
        judge(a);
        return;
    }
    a->round = true;
    loop_timer_set(&a->health_timer, HEALTH_WAIT);
    size_t count = 0;
    if (a->server->membership != NULL)
        count = membership_members(a->server->membership, MEMBERSHIP_LAN, &arena, &members);
    for (size_t i = 0; i < count; i++) {
        struct gossip_server server;
        char address[GOSSIP_ADDRESS_TEXT];
        if (gossip_server_of(&members[i], &server) && server.status != GOSSIP_STATUS_LEFT)
            ask(a, server.id, gossip_address_text(&server.address, address));
    }
    arena_free(&arena);
    if (a->round && all_answered(a))
        judge(a);
}

/* ---- judging ---- */

static bool config_read(struct autopilot *a, struct autopilot_config *out, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    struct store_read read;
    struct autopilot_config *config = NULL;
    if (!store_read_begin(a->server->store, &read, arena, NULL, &e))
        return false;
    autopilot_config_get(&read, &config);
    store_read_end(&read);
    if (config != NULL)
        *out = *config;
    return config != NULL;
}

static bool is_healthy(const struct autopilot *a, const struct server_health *h,
                       const struct autopilot_config *config) {
    const struct raft_driver *d = a->server->driver;
    uint64_t leader_last = raft_driver_last_index(d);
    bool trails = leader_last > config->max_trailing_logs &&
                  h->last_index < leader_last - config->max_trailing_logs;
    return h->serf_status == GOSSIP_STATUS_ALIVE && h->last_contact >= 0 &&
           h->last_contact <= config->last_contact_threshold &&
           h->last_term == raft_driver_last_term(d) && !trails;
}

static void judge_one(struct autopilot *a, struct server_health *h,
                      const struct autopilot_config *config) {
    struct watched *w = watched_get(a, h->id);
    h->last_contact = -1;
    if (!w->answered) { /* nothing is said of it */
        w->known = false;
        return;
    }
    h->last_contact = w->last_contact;
    h->last_index = w->stats.last_index;
    h->last_term = w->stats.last_term;
    h->healthy = is_healthy(a, h, config);
    if (!w->known || w->healthy != h->healthy)
        w->stable_since = time_now_wall();
    w->known = true;
    w->healthy = h->healthy;
    h->stable_since = timestamp_from_unix_ns(w->stable_since);
}

static void fill_from_gossip(struct autopilot *a, struct server_health *h,
                             const struct gossip_member *members, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct gossip_server server;
        if (!gossip_server_of(&members[i], &server) || !str_eq(server.id, h->id))
            continue;
        h->name = str_copy(&a->arena, server.name);
        h->version = str_copy(&a->arena, server.build_text);
        h->serf_status = server.status;
        return;
    }
}

static void judge(struct autopilot *a) {
    struct arena scratch = ARENA_INIT;
    struct autopilot_config config;
    struct raft_driver_configuration servers;
    struct gossip_member *members = NULL;
    size_t count = 0;
    a->round = false;
    loop_timer_set(&a->health_timer, HEALTH_PERIOD - HEALTH_WAIT);
    if (!config_read(a, &config, &scratch)) {
        arena_free(&scratch);
        return;
    }
    arena_free(&a->arena);
    a->arena = ARENA_INIT;
    raft_driver_configuration(a->server->driver, &scratch, &servers);
    if (a->server->membership != NULL)
        count = membership_members(a->server->membership, MEMBERSHIP_LAN, &scratch, &members);
    a->judged = LIST_NEW(&a->arena, struct server_health, servers.len);
    for (size_t i = 0; i < servers.len; i++) {
        struct server_health *h = &LIST_AT(a->judged, struct server_health, i);
        *h = (struct server_health){.id = str_copy(&a->arena, servers.servers[i].id),
                                    .address = str_copy(&a->arena, servers.servers[i].address),
                                    .leader = servers.servers[i].leader,
                                    .voter = servers.servers[i].suffrage == RAFT_DRIVER_VOTER};
        fill_from_gossip(a, h, members, count);
        judge_one(a, h, &config);
    }
    forget_others(a, &a->judged);
    arena_free(&scratch);
    struct operator_health_reply health;
    struct error e = ERROR_IN(&scratch);
    if (autopilot_health(a, &scratch, &health, &e)) {
        metric_gauge("autopilot.failure_tolerance", (double)health.failure_tolerance);
        metric_gauge("autopilot.healthy", health.healthy ? 1 : 0);
    }
    arena_free(&scratch);
}

static bool raft_version_below_3(const struct autopilot *a) {
    struct arena arena = ARENA_INIT;
    struct gossip_member *members;
    bool below = false;
    size_t count = 0;
    if (a->server->membership != NULL)
        count = membership_members(a->server->membership, MEMBERSHIP_LAN, &arena, &members);
    for (size_t i = 0; i < count && !below; i++) {
        struct gossip_server server;
        below = members[i].status == GOSSIP_STATUS_ALIVE &&
                gossip_server_of(&members[i], &server) && server.raft_version < 3;
    }
    arena_free(&arena);
    return below;
}

bool autopilot_health(struct autopilot *a, struct arena *arena, struct operator_health_reply *out,
                      struct error *e) {
    if (raft_version_below_3(a))
        return error_set(e, ERROR_INTERNAL,
                         "all servers must have raft_protocol set to 3 or "
                         "higher to use this endpoint");
    *out = (struct operator_health_reply){.healthy = a->judged.present, .servers = LIST_NIL};
    if (!a->judged.present)
        return true;
    out->servers = LIST_NEW(arena, struct server_health, a->judged.len);
    int64_t voters = 0, healthy = 0;
    for (uint32_t i = 0; i < a->judged.len; i++) {
        struct server_health *h = &LIST_AT(out->servers, struct server_health, i);
        schema_copy(&server_health_shape, h, &LIST_AT(a->judged, struct server_health, i), arena);
        out->healthy &= h->healthy;
        voters += h->voter;
        healthy += h->voter && h->healthy;
    }
    int64_t spare = healthy - (voters / 2 + 1);
    out->failure_tolerance = spare > 0 ? spare : 0;
    return true;
}

/* ---- promoting ---- */

struct change {
    struct raft_proposal proposal;
    struct autopilot *autopilot;
    unsigned generation;
    const char *failure;
};

static void change_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct change *c = CONTAINER_OF(p, struct change, proposal);
    server_publish(c->autopilot->server, NULL);
    if (error_is_set(&outcome->error) && c->generation == c->autopilot->generation)
        log_at(LOG_ERROR, LOGGER, c->failure, LOG_S("error", outcome->error.text));
    mem_free(c);
}

static void change_start(struct autopilot *a, enum raft_driver_change change, struct str id,
                         struct str address, const char *failure) {
    struct change *c = MEM_NEW(struct change);
    *c = (struct change){.proposal.done = change_done,
                         .autopilot = a,
                         .generation = a->generation,
                         .failure = failure};
    raft_driver_change_membership(a->server->driver, &c->proposal, change, id, address, 0);
}

static void promote(struct autopilot *a, const struct autopilot_config *config) {
    int64_t now = time_now_wall();
    for (uint32_t i = 0; i < a->judged.len; i++) {
        const struct server_health *h = &LIST_AT(a->judged, struct server_health, i);
        const struct watched *w = watched_get(a, h->id);
        if (h->voter || !h->healthy || now - w->stable_since < config->server_stabilization_time)
            continue;
        log_at(LOG_INFO, LOGGER, "Promoting server to voter", LOG_S("id", h->id),
               LOG_S("address", h->address), LOG_S("name", h->name));
        change_start(a, RAFT_DRIVER_ADD_VOTER, h->id, h->address,
                     "failed to add raft peer"); /* one by one: the next comes in ten seconds */
        return;
    }
}

/* ---- pruning ---- */

struct dead {
    struct str failed[64]; /* names */
    struct raft_driver_server stale[64];
    size_t failed_len, stale_len;
};

static void force_left(void *owner, struct str error) {
    (void)owner;
    if (error.len > 0)
        log_at(LOG_ERROR, LOGGER, "failed to remove failed server node", LOG_S("error", error));
}

static void force_leave(struct autopilot *a, struct str name) {
    log_at(LOG_INFO, LOGGER, "Attempting removal of failed server node", LOG_S("name", name));
    membership_force_leave(a->server->membership, name, false, force_left, a);
}

static bool has_address(const struct raft_driver_server *server,
                        const struct gossip_member *members, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct gossip_server found;
        char text[GOSSIP_ADDRESS_TEXT];
        if (gossip_server_of(&members[i], &found) &&
            str_eq(gossip_address_text(&found.address, text), server->address))
            return true;
    }
    return false;
}

static bool is_nonvoter(const struct raft_driver_configuration *servers, struct str id) {
    for (size_t i = 0; i < servers->len; i++) {
        if (str_eq(servers->servers[i].id, id))
            return servers->servers[i].suffrage != RAFT_DRIVER_VOTER;
    }
    return false;
}

static void find_dead(struct autopilot *a, const struct raft_driver_configuration *servers,
                      const struct gossip_member *members, size_t count, struct dead *dead) {
    for (size_t i = 0; i < count; i++) {
        struct gossip_server server;
        if (!gossip_server_of(&members[i], &server) || server.status != GOSSIP_STATUS_FAILED)
            continue;
        if (is_nonvoter(servers, server.id))
            force_leave(a, server.name);
        else if (dead->failed_len < COUNT_OF(dead->failed))
            dead->failed[dead->failed_len++] = server.name;
    }
    for (size_t i = 0; i < servers->len && dead->stale_len < COUNT_OF(dead->stale); i++) {
        if (!has_address(&servers->servers[i], members, count))
            dead->stale[dead->stale_len++] = servers->servers[i];
    }
}

static bool may_remove(const struct raft_driver_configuration *servers, size_t dead,
                       const struct autopilot_config *config) {
    size_t voters = 0;
    for (size_t i = 0; i < servers->len; i++)
        voters += servers->servers[i].suffrage == RAFT_DRIVER_VOTER;
    struct arena arena = ARENA_INIT;
    struct str why = STR("");
    if (voters < dead + config->min_quorum)
        why = str_format(&arena,
                         "denied, because removing %zu/%zu servers would leave less then minimal "
                         "allowed quorum of %llu servers",
                         dead, voters, (unsigned long long)config->min_quorum);
    else if (dead > (voters - 1) / 2)
        why = str_format(&arena,
                         "denied, because removing the majority of servers %zu/%zu is not safe",
                         dead, voters);
    if (why.len > 0)
        log_at(LOG_DEBUG, LOGGER, "Failed to remove dead servers", LOG_S("error", why));
    bool ok = why.len == 0;
    arena_free(&arena);
    return ok;
}

static void prune(struct autopilot *a, const struct autopilot_config *config) {
    if (!config->cleanup_dead_servers || a->server->membership == NULL)
        return;
    struct arena arena = ARENA_INIT;
    struct raft_driver_configuration servers;
    struct gossip_member *members;
    struct dead dead = {.failed_len = 0};
    raft_driver_configuration(a->server->driver, &arena, &servers);
    size_t count = membership_members(a->server->membership, MEMBERSHIP_LAN, &arena, &members);
    find_dead(a, &servers, members, count, &dead);
    size_t total = dead.failed_len + dead.stale_len;
    if (total > 0 && may_remove(&servers, total, config)) {
        for (size_t i = 0; i < dead.failed_len; i++)
            force_leave(a, dead.failed[i]);
        for (size_t i = 0; i < dead.stale_len; i++) {
            log_at(LOG_INFO, LOGGER, "Attempting removal of stale server",
                   LOG_S("server", dead.stale[i].id));
            change_start(a, RAFT_DRIVER_REMOVE, dead.stale[i].id, STR(""),
                         "failed to remove stale server");
        }
    }
    arena_free(&arena);
}

static void cleanup(struct loop_timer *timer) {
    struct autopilot *a = timer->owner;
    struct arena arena = ARENA_INIT;
    struct autopilot_config config;
    loop_timer_set(&a->cleanup_timer, CLEANUP_PERIOD);
    if (config_read(a, &config, &arena)) {
        if (!raft_version_below_3(a))
            promote(a, &config);
        prune(a, &config);
    }
    arena_free(&arena);
}

void autopilot_kick(struct autopilot *a) {
    struct arena arena = ARENA_INIT;
    struct autopilot_config config;
    if (a->enabled && config_read(a, &config, &arena))
        prune(a, &config);
    arena_free(&arena);
}

/* ---- life ---- */

static void call_freed(void *owner) {
    watched_free(owner);
}

void autopilot_enable(struct autopilot *a, bool on) {
    a->enabled = on;
    a->round = false;
    a->generation++;
    loop_timer_stop(&a->health_timer);
    loop_timer_stop(&a->cleanup_timer);
    while (a->watched != NULL) {
        struct watched *w = a->watched;
        a->watched = w->next;
        w->autopilot = NULL;
        if (w->calling)
            call_cancel(&w->call, call_freed);
        else
            watched_free(w);
    }
    a->judged = LIST_NIL;
    arena_free(&a->arena);
    a->arena = ARENA_INIT;
    if (on) {
        loop_timer_set(&a->health_timer, 0);
        loop_timer_set(&a->cleanup_timer, CLEANUP_PERIOD);
    }
}

struct autopilot *autopilot_new(struct server *s) {
    struct autopilot *a = MEM_NEW(struct autopilot);
    a->server = s;
    a->arena = ARENA_INIT;
    a->judged = LIST_NIL;
    loop_timer_init(&s->core, &a->health_timer, round_start, a);
    loop_timer_init(&s->core, &a->cleanup_timer, cleanup, a);
    return a;
}

void autopilot_close(struct autopilot *a) {
    autopilot_enable(a, false);
    a->closed = true;
    loop_timer_close(&a->health_timer, NULL);
    loop_timer_close(&a->cleanup_timer, NULL);
}

void autopilot_free(struct autopilot *a) {
    if (a == NULL)
        return;
    ASSERT(a->watched == NULL);
    arena_free(&a->arena);
    mem_free(a);
}

/* Members of the gossip pools, and what the agent makes of them. See membership.h. */
#include "server/membership.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "gossip/rules.h"
#include "schema/regex.h"
#include "server/bootstrap.h"
#include "server/gateways.h"
#include "server/server_room.h"

#define FLOOD_PERIOD (60 * SECOND)
#define DISTANCES_PERIOD (5 * SECOND)
#define EVENT_PREFIX STR("consul:event:")
#define EVENT_NEW_LEADER "consul:new-leader"
#define SYSTEM_PREFIX STR("consul:")

struct membership {
    struct server *server;
    struct membership_options options;
    struct arena arena;
    struct gossip_rules lan_rules, wan_rules;
    struct gossip_driver *lan, *wan;
    struct loop_timer flood, distances;
    struct membership_listener listener;
    char acl_mode;
    bool started, stopped;
};

/* ---- tags (12.2) ---- */

struct tag_list {
    struct gossip_tag items[24];
    size_t len;
    struct arena *arena;
};

static void tag_add(struct tag_list *t, const char *name, struct str value) {
    ASSERT(t->len < COUNT_OF(t->items));
    t->items[t->len++] = (struct gossip_tag){str_from(name), value};
}

static void tag_number(struct tag_list *t, const char *name, int64_t value) {
    tag_add(t, name, str_format(t->arena, "%lld", (long long)value));
}

static void tags_of_server(const struct membership *m, struct tag_list *t, bool wan) {
    const struct membership_options *o = &m->options;
    tag_number(t, "port", m->server->options.server_port);
    tag_number(t, "raft_vsn", o->raft_protocol);
    tag_add(t, "ft_fs", STR("1"));
    if (o->has_wan && !wan)
        tag_number(t, "wan_join_port", gossip_driver_port(m->wan));
    if (o->bootstrap)
        tag_add(t, "bootstrap", STR("1"));
    if (o->bootstrap_expect > 1)
        tag_number(t, "expect", o->bootstrap_expect);
    if (o->non_voter)
        tag_add(t, "nonvoter", STR("1"));
    if (o->use_tls)
        tag_add(t, "use_tls", STR("1"));
}

static bool tags_write(const struct membership *m, bool wan, struct arena *arena, struct str *meta,
                       struct error *e) {
    const struct membership_options *o = &m->options;
    const struct server_options *s = &m->server->options;
    struct tag_list t = {.arena = arena};
    tag_add(&t, "role", s->client ? STR("node") : STR("consul"));
    tag_add(&t, "dc", s->datacenter);
    tag_add(&t, "segment", STR(""));
    tag_add(&t, "id", s->node_id);
    tag_number(&t, "vsn", o->protocol);
    tag_add(&t, "vsn_min", STR("2"));
    tag_add(&t, "vsn_max", STR("3"));
    tag_add(&t, "build", o->build);
    tag_add(&t, "acls", str_of(&m->acl_mode, 1));
    if (!s->client)
        tags_of_server(m, &t, wan);
    return gossip_tags_write(t.items, t.len, meta, arena, e);
}

/* ---- who may be a member, and filters ---- */

static bool merge_lan(void *owner, const struct gossip_member *members, size_t len,
                      struct error *e) {
    return gossip_merge_lan(owner, members, len, e);
}

static bool merge_wan(void *owner, const struct gossip_member *members, size_t len,
                      struct error *e) {
    return gossip_merge_wan(owner, members, len, e);
}

static bool is_carried(void *owner, struct str name) {
    const struct gossip_rules *rules = owner;
    return gateway_member_is_remote(name, rules->datacenter);
}

static bool match(void *owner, struct str expression, struct str value, bool *matches,
                  struct error *e) {
    (void)owner;
    struct regex *re = regex_compile(expression, e);
    if (re == NULL)
        return false;
    *matches = regex_search(re, value);
    regex_free(re);
    return true;
}

/* ---- the table of servers ---- */

static struct peer peer_of(const struct gossip_server *from, struct arena *arena) {
    static const enum peer_status status[] = {
        [GOSSIP_STATUS_NONE] = PEER_LEFT,       [GOSSIP_STATUS_ALIVE] = PEER_ALIVE,
        [GOSSIP_STATUS_LEAVING] = PEER_LEAVING, [GOSSIP_STATUS_LEFT] = PEER_LEFT,
        [GOSSIP_STATUS_FAILED] = PEER_FAILED,
    };
    char address[GOSSIP_ADDRESS_TEXT];
    return (struct peer){
        .name = from->short_name,
        .id = from->id,
        .datacenter = from->datacenter,
        .segment = from->segment,
        .address = str_copy(arena, gossip_address_text(&from->address, address)),
        .build = from->build_text,
        .status = status[from->status],
        .bootstrap = from->bootstrap,
        .nonvoter = from->non_voter,
        .use_tls = from->use_tls,
        .expect = from->expect,
        .version = from->version,
        .raft_version = from->raft_version,
        .wan_join_port = from->wan_join_port,
        .acls = from->acls <= 2 ? from->acls : -1,
    };
}

static struct list tags_of(const struct gossip_member *member, struct arena *arena) {
    struct gossip_tag *tags;
    size_t len = gossip_tags_read(member->meta, &tags, arena);
    struct list out = LIST_NEW(arena, struct str_pair, len);
    for (size_t i = 0; i < len; i++)
        LIST_AT(out, struct str_pair, i) = (struct str_pair){tags[i].name, tags[i].value};
    return out;
}

static void peers_rebuild(struct membership *m, enum membership_pool which) {
    struct arena arena = ARENA_INIT;
    struct gossip_member *members;
    size_t count = membership_members(m, which, &arena, &members), len = 0;
    struct peer *all = ARENA_ARRAY(&arena, struct peer, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct gossip_server server;
        if (!gossip_server_of(&members[i], &server))
            continue;
        all[len] = peer_of(&server, &arena);
        all[len++].tags = tags_of(&members[i], &arena);
    }
    server_update_peers(m->server, which == MEMBERSHIP_WAN ? PEER_POOL_WAN : PEER_POOL_LAN, all,
                        len);
    arena_free(&arena);
}

/* ---- servers of the LAN belong into the WAN (12.7) ---- */

struct flood_join {
    struct arena arena;
    struct str name, address;
};

static void flooded(void *owner, size_t joined, struct str error) {
    struct flood_join *f = owner;
    if (joined == 0)
        log_at(LOG_DEBUG, "agent.server", "Failed to flood-join server at address",
               LOG_S("server", f->name), LOG_S("address", f->address), LOG_S("error", error));
    else
        log_at(LOG_DEBUG, "agent.server", "Successfully performed flood-join for server at address",
               LOG_S("server", f->name), LOG_S("address", f->address));
    struct arena arena = f->arena;
    arena_free(&arena);
}

static void flood_start(struct membership *m, struct str name, struct str address) {
    struct arena arena = ARENA_INIT;
    struct flood_join *f = ARENA_NEW(&arena, struct flood_join);
    f->arena = arena;
    f->name = str_copy(&f->arena, name);
    f->address = str_copy(&f->arena, address);
    struct str where =
        str_format(&f->arena, STR_FMT "/" STR_FMT, STR_ARG(f->name), STR_ARG(f->address));
    gossip_driver_join(m->wan, &where, 1, flooded, f);
}

static void flood_one(struct membership *m, const struct gossip_member *member,
                      struct arena *arena) {
    struct gossip_server server;
    struct gossip_member known;
    if (member->status != GOSSIP_STATUS_ALIVE || !gossip_server_of(member, &server) ||
        server.wan_join_port == 0 || !str_eq(server.datacenter, m->lan_rules.datacenter))
        return;
    struct str name =
        str_format(arena, STR_FMT "." STR_FMT, STR_ARG(member->name), STR_ARG(server.datacenter));
    if (gossip_member_find(gossip_driver_core(m->wan), name, &known))
        return;
    struct gossip_address address = member->address;
    char text[GOSSIP_ADDRESS_TEXT];
    address.port = (uint16_t)server.wan_join_port;
    flood_start(m, name, gossip_address_text(&address, text));
}

static void flood_run(struct loop_timer *timer) {
    struct membership *m = timer->owner;
    struct arena arena = ARENA_INIT;
    struct gossip_member *members;
    size_t count = membership_members(m, MEMBERSHIP_LAN, &arena, &members);
    for (size_t i = 0; i < count; i++)
        flood_one(m, &members[i], &arena);
    arena_free(&arena);
    loop_timer_set(&m->flood, FLOOD_PERIOD);
}

/* ---- how far other datacenters are (rpc.md 9.3) ---- */

static int by_distance(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The middle one of the distances to a datacenter's servers. */
static double distance_to(struct membership *m, const struct gossip_member *members, size_t count,
                          struct str datacenter, double *distances) {
    const struct gossip *g = gossip_driver_core(m->wan);
    struct gossip_coordinate own = gossip_coordinate(g);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        struct gossip_server server;
        struct gossip_coordinate at;
        if (!gossip_server_of(&members[i], &server) || !str_eq(server.datacenter, datacenter) ||
            members[i].status == GOSSIP_STATUS_LEFT)
            continue;
        distances[len++] = gossip_coordinate_of(g, members[i].name, &at)
                               ? (double)coordinate_distance(&own, &at) / (double)SECOND
                               : INFINITY;
    }
    qsort(distances, len, sizeof(*distances), by_distance);
    return len > 0 ? distances[len / 2] : INFINITY;
}

static void distances_update(struct loop_timer *timer) {
    struct membership *m = timer->owner;
    struct arena arena = ARENA_INIT;
    struct gossip_member *members;
    struct peer_datacenter *known;
    size_t members_len = membership_members(m, MEMBERSHIP_WAN, &arena, &members);
    size_t count = peers_datacenters(m->server->peers, &arena, &known);
    double *distances = ARENA_ARRAY(&arena, double, members_len + 1);
    for (size_t i = 0; i < count; i++) {
        if (!str_eq(known[i].name, m->server->options.datacenter))
            peers_set_distance(m->server->peers, known[i].name,
                               distance_to(m, members, members_len, known[i].name, distances));
    }
    arena_free(&arena);
    loop_timer_set(&m->distances, DISTANCES_PERIOD);
}

/* ---- what the pools tell ---- */

static void log_server(const struct gossip_member *member, enum gossip_member_event event,
                       bool wan) {
    static const char *const lan_texts[] = {"Adding LAN server", "Removing LAN server",
                                            "Removing LAN server", NULL, "Removing LAN server"};
    static const char *const wan_texts[] = {
        "Handled event for server in area", "Handled event for server in area",
        "Handled event for server in area", NULL, "Handled event for server in area"};
    static const char *const events[] = {"member-join", "member-leave", "member-failed",
                                         "member-update", "member-reap"};
    struct gossip_server server;
    const char *text = (wan ? wan_texts : lan_texts)[event];
    if (text == NULL || !gossip_server_of(member, &server))
        return;
    struct arena arena = ARENA_INIT;
    char address[GOSSIP_ADDRESS_TEXT];
    struct str shown = str_format(
        &arena, STR_FMT " (Addr: tcp/" STR_FMT ") (DC: " STR_FMT ")", STR_ARG(server.name),
        STR_ARG(gossip_address_text(&server.address, address)), STR_ARG(server.datacenter));
    if (wan)
        log_at(LOG_INFO, "agent.server", text, LOG_C("event", events[event]),
               LOG_S("server", server.name), LOG_C("area", "wan"));
    else
        log_at(LOG_INFO, "agent.server", text, LOG_S("server", shown));
    arena_free(&arena);
}

static void on_lan_member(void *owner, enum gossip_member_event event,
                          const struct gossip_member *member) {
    struct membership *m = owner;
    struct gossip_server server;
    bool is_server = gossip_server_of(member, &server);
    if (!m->server->options.client)
        log_server(member, event, false);
    if (is_server)
        peers_rebuild(m, MEMBERSHIP_LAN);
    if (m->server->leader != NULL)
        leader_member_changed(m->server->leader, event, member);
    if (event != GOSSIP_MEMBER_JOIN || !is_server)
        return;
    if (m->listener.on_servers != NULL)
        m->listener.on_servers(m->listener.owner);
    if (m->started && m->wan != NULL)
        loop_timer_set(&m->flood, 0);
    if (m->started && m->server->bootstrap != NULL)
        bootstrap_try(m->server->bootstrap);
}

static void on_wan_member(void *owner, enum gossip_member_event event,
                          const struct gossip_member *member) {
    struct membership *m = owner;
    struct gossip_server server;
    if (!gossip_server_of(member, &server)) {
        log_at(LOG_WARN, "agent.server", "Non-server in WAN pool",
               LOG_S("non_server", member->name));
        return;
    }
    log_server(member, event, true);
    peers_rebuild(m, MEMBERSHIP_WAN);
}

static void on_user_event(void *owner, uint64_t ltime, struct str name, struct str payload) {
    struct membership *m = owner;
    const char *logger = m->server->options.client ? "agent.client" : "agent.server";
    if (str_is(name, EVENT_NEW_LEADER)) {
        log_at(LOG_INFO, logger, "New leader elected", LOG_S("payload", payload));
        if (m->listener.on_servers != NULL)
            m->listener.on_servers(m->listener.owner);
    } else if (str_has_prefix(name, EVENT_PREFIX)) {
        struct str bare = str_sub(name, EVENT_PREFIX.len, name.len);
        log_at(LOG_DEBUG, logger, "User event", LOG_S("event", bare));
        if (m->listener.on_user_event != NULL)
            m->listener.on_user_event(m->listener.owner, ltime, bare, payload);
    } else if (str_has_prefix(name, SYSTEM_PREFIX)) {
        log_at(LOG_WARN, logger, "Unhandled local event", LOG_S("event", name));
    }
}

static void on_wan_user_event(void *owner, uint64_t ltime, struct str name, struct str payload) {
    (void)owner;
    (void)ltime;
    (void)name;
    (void)payload; /* the WAN pool has none (12.4) */
}

/* ---- start ---- */

static struct str file_in(struct membership *m, const char *name) {
    if (m->options.data_dir.len == 0)
        return STR_NONE;
    return str_format(&m->arena, STR_FMT "/serf/%s", STR_ARG(m->options.data_dir), name);
}

static struct gossip_driver *pool_open(struct membership *m, bool wan, struct error *e) {
    struct membership_pool_options *o = wan ? &m->options.wan : &m->options.lan;
    struct gossip_driver_options d = {
        .pool = wan ? "wan" : "lan",
        .server = !m->server->options.client,
        .bind = o->bind,
        .snapshot = file_in(m, wan ? "remote.snapshot" : "local.snapshot"),
        .keyring = m->options.no_keyring_file
                       ? STR_NONE
                       : file_in(m, wan ? "remote.keyring" : "local.keyring"),
        .encrypt = m->options.encrypt,
        .core = {.name = wan ? m->wan_rules.name : m->lan_rules.name,
                 .timing = &o->timing,
                 .verify_incoming = m->options.verify_incoming,
                 .verify_outgoing = m->options.verify_outgoing,
                 .rejoin_after_leave = m->options.rejoin_after_leave,
                 .allowed = o->allowed,
                 .allowed_len = o->allowed_len,
                 .owner = wan ? &m->wan_rules : &m->lan_rules,
                 .merge = wan ? merge_wan : merge_lan,
                 .match = match,
                 .carried = wan && m->server->gateways != NULL ? is_carried : NULL},
        .gateways = wan ? m->server->gateways : NULL,
        .datacenter = m->server->options.datacenter,
        .owner = m,
        .on_member = wan ? on_wan_member : on_lan_member,
        .on_user_event = wan ? on_wan_user_event : on_user_event,
    };
    if (!gossip_address_parse_ip(&d.core.address, o->advertise, o->port)) {
        error_set(e, ERROR_INTERNAL, "Failed to parse advertise address: " STR_FMT,
                  STR_ARG(o->advertise));
        return NULL;
    }
    struct gossip_driver *out = gossip_driver_open(&d, e);
    if (out == NULL && !str_has_prefix(e->text, STR("Failed to configure keyring")))
        error_prefix(e, "Failed to start %s serf: ",
                     wan                         ? "WAN"
                     : m->server->options.client ? "lan"
                                                 : "LAN");
    return out;
}

static void options_copy(struct membership *m, const struct membership_options *from) {
    struct membership_options *o = &m->options;
    const struct server_options *s = &m->server->options;
    *o = *from;
    o->data_dir = str_copy(&m->arena, from->data_dir);
    o->encrypt = str_copy(&m->arena, from->encrypt);
    o->build = str_copy(&m->arena, from->build);
    o->lan.bind = str_copy(&m->arena, from->lan.bind);
    o->lan.advertise = str_copy(&m->arena, from->lan.advertise);
    o->wan.bind = str_copy(&m->arena, from->wan.bind);
    o->wan.advertise = str_copy(&m->arena, from->wan.advertise);
    o->has_wan = from->has_wan && !s->client;
    m->acl_mode = from->acls ? '2' : '0';
    m->lan_rules = (struct gossip_rules){
        .name = s->node_name, .id = s->node_id, .datacenter = s->datacenter, .segment = STR("")};
    m->wan_rules = m->lan_rules;
    m->wan_rules.name =
        str_format(&m->arena, STR_FMT "." STR_FMT, STR_ARG(s->node_name), STR_ARG(s->datacenter));
}

struct membership *membership_open(struct server *s, const struct membership_options *options,
                                   struct error *e) {
    struct membership *m = MEM_NEW(struct membership);
    m->server = s;
    m->arena = ARENA_INIT;
    options_copy(m, options);
    if ((m->options.has_wan && (m->wan = pool_open(m, true, e)) == NULL) ||
        (m->lan = pool_open(m, false, e)) == NULL) {
        membership_free(m);
        return NULL;
    }
    return m;
}

static bool pool_start(struct membership *m, bool wan, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct str meta;
    bool ok = tags_write(m, wan, &arena, &meta, e) &&
              gossip_driver_start(wan ? m->wan : m->lan, &m->server->core, meta, e);
    arena_free(&arena);
    return ok;
}

bool membership_start(struct membership *m, struct error *e) {
    if (m->wan != NULL && !pool_start(m, true, e))
        return error_prefix(e, "Failed to start WAN serf: Failed to create serf: ");
    if (!pool_start(m, false, e))
        return error_prefix(e, "Failed to start LAN serf: Failed to create serf: ");
    log_at(LOG_INFO, "agent.router", "Initializing LAN area manager");
    loop_timer_init(&m->server->core, &m->flood, flood_run, m);
    loop_timer_init(&m->server->core, &m->distances, distances_update, m);
    m->started = true;
    if (m->wan != NULL) {
        loop_timer_set(&m->flood, 0);
        loop_timer_set(&m->distances, DISTANCES_PERIOD);
    }
    if (m->server->bootstrap != NULL)
        bootstrap_try(m->server->bootstrap);
    return true;
}

void membership_listen(struct membership *m, const struct membership_listener *listener) {
    m->listener = listener != NULL ? *listener : (struct membership_listener){NULL, NULL, NULL};
}

void membership_close_listeners(struct membership *m) {
    gossip_driver_close_listener(m->lan);
    if (m->wan != NULL)
        gossip_driver_close_listener(m->wan);
}

void membership_stop(struct membership *m) {
    if (m->stopped)
        return;
    m->stopped = true;
    if (m->started) {
        loop_timer_close(&m->flood, NULL);
        loop_timer_close(&m->distances, NULL);
    }
    if (m->wan != NULL)
        gossip_driver_stop(m->wan);
    gossip_driver_stop(m->lan);
}

void membership_free(struct membership *m) {
    if (m == NULL)
        return;
    gossip_driver_free(m->wan);
    gossip_driver_free(m->lan);
    struct arena arena = m->arena;
    arena_free(&arena);
    mem_free(m);
}

/* ---- looking in ---- */

struct gossip_driver *membership_pool(struct membership *m, enum membership_pool pool) {
    return pool == MEMBERSHIP_WAN ? m->wan : m->lan;
}

const struct membership_options *membership_get_options(const struct membership *m) {
    return &m->options;
}

bool membership_accept(struct membership *m, struct stream_detached *connection,
                       const struct peer_address *from, struct rpc_lease *lease, bool packets) {
    if (m->wan == NULL)
        return false;
    gossip_driver_accept(m->wan, connection, from, lease, packets);
    return true;
}

static int by_name(const void *a, const void *b) {
    return str_compare(((const struct gossip_member *)a)->name,
                       ((const struct gossip_member *)b)->name);
}

size_t membership_members(struct membership *m, enum membership_pool pool, struct arena *arena,
                          struct gossip_member **out) {
    struct gossip_driver *d = membership_pool(m, pool);
    *out = NULL;
    if (d == NULL || gossip_driver_core(d) == NULL)
        return 0;
    const struct gossip *g = gossip_driver_core(d);
    size_t len = 0, cap = gossip_member_count(g);
    *out = ARENA_ARRAY(arena, struct gossip_member, cap + 1);
    for (size_t i = 0; len < cap && gossip_member_next(g, &i, &(*out)[len]); len++) {
        struct gossip_member *member = &(*out)[len];
        member->name = str_copy(arena, member->name);
        member->meta = str_copy(arena, member->meta);
    }
    qsort(*out, len, sizeof(**out), by_name);
    return len;
}

/* ---- commands ---- */

struct forced_leave {
    struct membership *membership;
    gossip_done *done;
    void *owner;
    bool prune;
    struct arena arena;
    struct str wan_name;
};

static void forced_leave_end(struct forced_leave *f, struct str error) {
    f->done(f->owner, error);
    struct arena arena = f->arena;
    arena_free(&arena);
}

static void forced_in_wan(void *owner, struct str error) {
    forced_leave_end(owner, error);
}

static void forced_in_lan(void *owner, struct str error) {
    struct forced_leave *f = owner;
    struct membership *m = f->membership;
    if (error.len > 0 || m->wan == NULL || m->stopped) {
        forced_leave_end(f, error);
        return;
    }
    gossip_driver_force_leave(m->wan, f->wan_name, f->prune, forced_in_wan, f);
}

void membership_force_leave(struct membership *m, struct str name, bool prune, gossip_done *done,
                            void *owner) {
    struct gossip_member member;
    struct arena arena = ARENA_INIT;
    if (!gossip_member_find(gossip_driver_core(m->lan), name, &member)) {
        done(owner,
             str_format(&arena, "agent: No node found with name '" STR_FMT "'", STR_ARG(name)));
        arena_free(&arena);
        return;
    }
    struct forced_leave *f = ARENA_NEW(&arena, struct forced_leave);
    *f = (struct forced_leave){m, done, owner, prune, arena, STR("")};
    struct str suffix = str_format(&f->arena, "." STR_FMT, STR_ARG(m->server->options.datacenter));
    f->wan_name = str_has_suffix(name, suffix)
                      ? str_copy(&f->arena, name)
                      : str_format(&f->arena, STR_FMT STR_FMT, STR_ARG(name), STR_ARG(suffix));
    gossip_driver_force_leave(m->lan, name, prune, forced_in_lan, f);
}

struct leaving {
    struct membership *membership;
    gossip_done *done;
    void *owner;
};

static void lan_left(void *owner, struct str error) {
    struct leaving *l = owner;
    if (error.len > 0)
        log_at(LOG_ERROR, "agent.server", "failed to leave LAN Serf cluster",
               LOG_S("error", error));
    l->done(l->owner, error);
    mem_free(l);
}

static void wan_left(void *owner, struct str error) {
    struct leaving *l = owner;
    if (error.len > 0)
        log_at(LOG_ERROR, "agent.server", "failed to leave WAN Serf cluster",
               LOG_S("error", error));
    gossip_driver_leave(l->membership->lan, lan_left, l);
}

void membership_leave(struct membership *m, gossip_done *done, void *owner) {
    struct leaving *l = MEM_NEW(struct leaving);
    *l = (struct leaving){m, done, owner};
    if (m->wan != NULL)
        gossip_driver_leave(m->wan, wan_left, l);
    else
        gossip_driver_leave(m->lan, lan_left, l);
}

bool membership_fire(struct membership *m, struct str name, struct str payload, struct error *e) {
    return gossip_driver_fire(m->lan, name, payload, e);
}

static void tags_changed(void *owner, struct str error) {
    (void)owner;
    if (error.len > 0)
        log_at(LOG_ERROR, "agent.server", "failed to update gossip tags", LOG_S("error", error));
}

void membership_set_acl_tag(struct membership *m, char mode) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    m->acl_mode = mode;
    for (int wan = 0; wan < 2; wan++) {
        struct gossip_driver *d = wan ? m->wan : m->lan;
        struct str meta;
        if (d != NULL && tags_write(m, wan, &arena, &meta, &e))
            gossip_driver_set_tags(d, meta, tags_changed, m);
    }
    arena_free(&arena);
}

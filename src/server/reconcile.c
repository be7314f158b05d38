/* Members into the catalog and into Raft. See reconcile.h.
 *
 * What is to be done with a member is a list of steps (membership changes, then at most one
 * registration or deregistration), made when its turn comes from the configuration and the store as
 * they are then, and done one after the other.
 */
#include "server/reconcile.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "gossip/rules.h"
#include "schema/entries.h"
#include "server/autopilot.h"
#include "server/membership.h"
#include "server/server_room.h"
#include "store/catalog.h"

#define LOGGER "agent.server"
#define STEPS_MAX 8
#define SERF_CHECK "serfHealth"
#define LOOK_AGAIN (2 * MILLISECOND)
#define LOOKS_MAX 100

struct waiting_member {
    struct waiting_member *next;
    struct arena arena;
    struct gossip_member member;
    bool reaped;
};

enum step_kind { STEP_CHANGE, STEP_ENTRY };
struct reconcile_step {
    enum step_kind kind;
    enum raft_driver_change change;
    struct str id, address;
    const char *failure; /* what it is called when it fails */
    struct buf entry;
};

struct reconcile {
    struct server *server;
    bool enabled;
    unsigned generation; /* of leadership: what was begun under another is forgotten */
    struct waiting_member *first, **end;
    size_t waiting;

    struct waiting_member *current;
    struct loop_timer timer; /* looks at the current one again */
    unsigned looks;
    bool closed;
    int64_t started;
    struct reconcile_step steps[STEPS_MAX];
    size_t step, step_count;
    struct arena arena; /* of the steps */
};

static void next_member(struct reconcile *r);

/* ---- steps ---- */

static void add_change(struct reconcile *r, enum raft_driver_change change, struct str id,
                       struct str address, const char *failure) {
    if (r->step_count == STEPS_MAX)
        return; /* a configuration with so many duplicates is finished by the next pass */
    r->steps[r->step_count++] = (struct reconcile_step){.kind = STEP_CHANGE,
                                                        .change = change,
                                                        .id = str_copy(&r->arena, id),
                                                        .address = str_copy(&r->arena, address),
                                                        .failure = failure};
}

static void add_entry(struct reconcile *r, enum entry_type type, const struct shape *shape,
                      const void *request) {
    if (r->step_count == STEPS_MAX)
        return;
    struct reconcile_step *s = &r->steps[r->step_count++];
    *s = (struct reconcile_step){.kind = STEP_ENTRY, .entry = BUF_INIT};
    buf_add_char(&s->entry, (char)type);
    schema_encode(&s->entry, shape, request);
}

static void steps_clear(struct reconcile *r) {
    for (size_t i = 0; i < r->step_count; i++)
        buf_free(&r->steps[i].entry);
    r->step_count = r->step = 0;
    arena_free(&r->arena);
    r->arena = ARENA_INIT;
}

static void member_end(struct reconcile *r) {
    struct waiting_member *w = r->current;
    r->current = NULL;
    loop_timer_stop(&r->timer);
    steps_clear(r);
    metric_since("leader.reconcileMember", r->started);
    if (w != NULL) {
        struct arena arena = w->arena;
        arena_free(&arena);
    }
}

static void steps_run(struct reconcile *r);

struct step_change {
    struct raft_proposal proposal;
    struct reconcile *reconcile;
    const char *failure;
    unsigned generation;
};

static void step_ended(struct reconcile *r, unsigned generation, bool ok) {
    if (generation != r->generation || r->current == NULL)
        return;
    if (ok && ++r->step < r->step_count) {
        steps_run(r);
        return;
    }
    member_end(r);
    next_member(r);
}

static void change_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct step_change *c = CONTAINER_OF(p, struct step_change, proposal);
    bool ok = !error_is_set(&outcome->error);
    server_publish(c->reconcile->server, NULL);
    if (!ok && c->generation == c->reconcile->generation)
        log_at(LOG_ERROR, LOGGER, c->failure, LOG_S("error", outcome->error.text));
    step_ended(c->reconcile, c->generation, ok);
    mem_free(c);
}

struct step_entry {
    struct reconcile *reconcile;
    unsigned generation;
};

static void entry_done(struct server *s, void *owner, bool ok) {
    struct step_entry *e = owner;
    (void)s;
    step_ended(e->reconcile, e->generation, ok);
    mem_free(e);
}

static void steps_run(struct reconcile *r) {
    struct reconcile_step *s = &r->steps[r->step];
    if (s->kind == STEP_CHANGE) {
        struct step_change *c = MEM_NEW(struct step_change);
        *c = (struct step_change){.proposal.done = change_done,
                                  .reconcile = r,
                                  .failure = s->failure,
                                  .generation = r->generation};
        raft_driver_change_membership(r->server->driver, &c->proposal, s->change, s->id, s->address,
                                      0);
        return;
    }
    struct step_entry *e = MEM_NEW(struct step_entry);
    *e = (struct step_entry){r, r->generation};
    server_propose(r->server, &s->entry, "failed to reconcile member", entry_done, e);
}

/* ---- servers and Raft ---- */

/* The lowest Raft version among the servers that are alive; 0: there is none. */
static int lowest_version(const struct reconcile *r) {
    struct arena arena = ARENA_INIT;
    struct gossip_member *members;
    int lowest = 0;
    size_t count = membership_members(r->server->membership, MEMBERSHIP_LAN, &arena, &members);
    for (size_t i = 0; i < count; i++) {
        struct gossip_server server;
        if (members[i].status != GOSSIP_STATUS_ALIVE || !gossip_server_of(&members[i], &server))
            continue;
        int version = server.raft_version > 0 ? server.raft_version : 1;
        lowest = lowest == 0 || version < lowest ? version : lowest;
    }
    arena_free(&arena);
    return lowest;
}

static bool other_bootstraps(const struct reconcile *r, const struct gossip_server *server) {
    struct arena arena = ARENA_INIT;
    struct gossip_member *members;
    bool found = false;
    size_t count = membership_members(r->server->membership, MEMBERSHIP_LAN, &arena, &members);
    for (size_t i = 0; i < count && !found; i++) {
        struct gossip_server other;
        found = gossip_server_of(&members[i], &other) && other.bootstrap &&
                !str_eq(other.name, server->name);
        if (found)
            log_at(LOG_ERROR, LOGGER,
                   "Two nodes are in bootstrap mode. Only one node should be in bootstrap mode, "
                   "not adding Raft peer.",
                   LOG_S("node_to_add", server->name), LOG_S("other", other.name));
    }
    arena_free(&arena);
    return found;
}

static struct str address_of(const struct gossip_server *server, struct arena *arena) {
    char text[GOSSIP_ADDRESS_TEXT];
    return str_copy(arena, gossip_address_text(&server->address, text));
}

/* The server is in the configuration already, or what stands in its way is to be removed. */
static bool duplicates_removed(struct reconcile *r, const struct gossip_server *server,
                               struct str address, int lowest,
                               const struct raft_driver_configuration *configuration) {
    for (size_t i = 0; i < configuration->len; i++) {
        const struct raft_driver_server *c = &configuration->servers[i];
        bool same_address = str_eq(c->address, address);
        bool same_id = str_eq(c->id, server->id);
        if (same_address && (same_id || lowest < 2 || server->raft_version < 3))
            return false;
        if (same_address || same_id)
            add_change(r, RAFT_DRIVER_REMOVE, c->id, STR(""),
                       same_address ? "error removing server with duplicate address"
                                    : "error removing server with duplicate ID");
    }
    return true;
}

static void server_join(struct reconcile *r, const struct gossip_server *server) {
    const struct server_options *o = &r->server->options;
    struct raft_driver_configuration configuration;
    if (server->bootstrap && other_bootstraps(r, server))
        return;
    raft_driver_configuration(r->server->driver, &r->arena, &configuration);
    if (str_eq(server->name, o->node_name) && configuration.len < 3) {
        log_at(LOG_DEBUG, LOGGER,
               "Skipping self join check for node since the cluster is too small",
               LOG_S("node", server->name));
        return;
    }
    int lowest = lowest_version(r);
    struct str address = address_of(server, &r->arena);
    if (!duplicates_removed(r, server, address, lowest, &configuration))
        return;
    if (lowest >= 3)
        add_change(r, RAFT_DRIVER_ADD_NONVOTER, server->id, address, "failed to add raft peer");
    else if (lowest == 2 && server->raft_version >= 3)
        add_change(r, RAFT_DRIVER_ADD_VOTER, server->id, address, "failed to add raft peer");
    else
        add_change(r, RAFT_DRIVER_ADD_VOTER, address, address, "failed to add raft peer");
    autopilot_kick(r->server->autopilot);
}

static void server_remove(struct reconcile *r, const struct gossip_server *server) {
    struct raft_driver_configuration configuration;
    struct str address = address_of(server, &r->arena);
    bool by_id = lowest_version(r) >= 2;
    raft_driver_configuration(r->server->driver, &r->arena, &configuration);
    for (size_t i = 0; i < configuration.len; i++) {
        const struct raft_driver_server *c = &configuration.servers[i];
        if ((by_id && str_eq(c->id, server->id)) || str_eq(c->address, address)) {
            log_at(LOG_INFO, LOGGER, "removing server by ID", LOG_S("id", c->id));
            add_change(r, RAFT_DRIVER_REMOVE, c->id, STR(""), "failed to remove raft peer");
            return;
        }
    }
}

/* ---- members and the catalog ---- */

static struct list service_meta(const struct gossip_member *m, const struct gossip_server *server,
                                struct arena *arena) {
    const struct str_pair pairs[] = {
        {STR("non_voter"), server->non_voter ? STR("true") : STR("false")},
        {STR("raft_version"), str_format(arena, "%d", server->raft_version)},
        {STR("serf_protocol_current"), str_format(arena, "%u", m->versions[GOSSIP_PCUR])},
        {STR("serf_protocol_max"), str_format(arena, "%u", m->versions[GOSSIP_PMAX])},
        {STR("serf_protocol_min"), str_format(arena, "%u", m->versions[GOSSIP_PMIN])},
        {STR("version"), str_copy(arena, server->build_text)},
    };
    return (struct list){arena_copy(arena, pairs, sizeof(pairs)), COUNT_OF(pairs), true};
}

static bool is_registered(struct store_read *read, const struct node *node,
                          const struct register_request *wanted) {
    if (node == NULL || !str_eq(node->address, wanted->address))
        return false;
    if (wanted->service != NULL) {
        struct node_service *s = catalog_service(read, wanted->node, STR("consul"));
        if (s == NULL || !str_map_equal(&s->meta, &wanted->service->meta))
            return false;
    }
    struct health_check *check = catalog_check(read, wanted->node, STR(SERF_CHECK));
    return check != NULL && str_is(check->status, "passing");
}

static struct health_check *serf_check(struct reconcile *r, struct str node, bool alive) {
    struct health_check *check = ARENA_NEW(&r->arena, struct health_check);
    *check = (struct health_check){
        .node = node,
        .check_id = STR(SERF_CHECK),
        .name = STR("Serf Health Status"),
        .status = alive ? STR("passing") : STR("critical"),
        .output = alive ? STR("Agent alive and reachable") : STR("Agent not live or unreachable"),
    };
    return check;
}

static struct node_service *consul_service(struct reconcile *r, const struct gossip_member *m,
                                           const struct gossip_server *server) {
    struct node_service *service = ARENA_NEW(&r->arena, struct node_service);
    struct weights *weights = ARENA_NEW(&r->arena, struct weights);
    *weights = (struct weights){1, 1};
    *service = (struct node_service){.id = STR("consul"),
                                     .service = STR("consul"),
                                     .port = server->address.port,
                                     .weights = weights,
                                     .meta = service_meta(m, server, &r->arena)};
    return service;
}

static void alive(struct reconcile *r, struct store_read *read, const struct gossip_member *m,
                  const struct gossip_server *server) {
    char ip[GOSSIP_ADDRESS_TEXT];
    struct register_request request = {
        .datacenter = r->server->options.datacenter,
        .node = m->name,
        .id = gossip_tag_get(m->meta, STR("id")),
        .address = str_copy(&r->arena, gossip_address_ip(&m->address, ip)),
        .service = server != NULL ? consul_service(r, m, server) : NULL,
        .check = serf_check(r, m->name, true),
    };
    struct node *node = catalog_node(read, m->name);
    if (is_registered(read, node, &request))
        return;
    if (node != NULL) {
        request.tagged_addresses = node->tagged_addresses;
        request.node_meta = node->meta;
    }
    log_at(LOG_INFO, LOGGER, "member joined, marking health alive", LOG_S("member", m->name));
    add_entry(r, ENTRY_REGISTER, &register_request_shape, &request);
}

static void failed(struct reconcile *r, struct store_read *read, const struct gossip_member *m) {
    struct node *node = catalog_node(read, m->name);
    if (node == NULL) {
        log_at(LOG_INFO, LOGGER,
               "ignoring failed event for member because it does not exist in "
               "the catalog",
               LOG_S("member", m->name));
        return;
    }
    struct health_check *check = catalog_check(read, m->name, STR(SERF_CHECK));
    if (check != NULL && str_is(check->status, "critical"))
        return;
    char ip[GOSSIP_ADDRESS_TEXT];
    struct register_request request = {
        .datacenter = r->server->options.datacenter,
        .node = m->name,
        .id = gossip_tag_get(m->meta, STR("id")),
        .address = str_copy(&r->arena, gossip_address_ip(&m->address, ip)),
        .check = serf_check(r, m->name, false),
        .skip_node_update = true,
    };
    log_at(LOG_INFO, LOGGER, "member failed, marking health critical", LOG_S("member", m->name));
    add_entry(r, ENTRY_REGISTER, &register_request_shape, &request);
}

static void gone(struct reconcile *r, struct store_read *read, const struct gossip_member *m,
                 const struct gossip_server *server, bool reaped) {
    if (str_eq(m->name, r->server->options.node_name)) {
        log_at(LOG_WARN, LOGGER, "deregistering self should be done by follower",
               LOG_S("name", m->name));
        return;
    }
    if (server != NULL)
        server_remove(r, server);
    if (catalog_node(read, m->name) == NULL)
        return;
    log_at(LOG_INFO, LOGGER, "deregistering member", LOG_S("member", m->name),
           LOG_C("reason", reaped ? "reaped" : "left"));
    struct deregister_request request = {.datacenter = r->server->options.datacenter,
                                         .node = m->name};
    add_entry(r, ENTRY_DEREGISTER, &deregister_request_shape, &request);
}

/* What is to be done with a member, as things are now. */
static void plan(struct reconcile *r, struct store_read *read, const struct waiting_member *w) {
    const struct gossip_member *m = &w->member;
    struct gossip_server found;
    const struct gossip_server *server = gossip_server_of(m, &found) ? &found : NULL;
    if (w->reaped || m->status == GOSSIP_STATUS_LEFT) {
        gone(r, read, m, server, w->reaped);
    } else if (m->status == GOSSIP_STATUS_FAILED) {
        failed(r, read, m);
    } else if (m->status == GOSSIP_STATUS_ALIVE) {
        if (server != NULL && r->server->membership != NULL)
            server_join(r, server);
        alive(r, read, m, server);
    }
}

/* ---- the queue ---- */

static void queue_clear(struct reconcile *r) {
    while (r->first != NULL) {
        struct waiting_member *w = r->first;
        r->first = w->next;
        struct arena arena = w->arena;
        arena_free(&arena);
    }
    r->end = &r->first;
    r->waiting = 0;
}

static struct waiting_member *take(struct reconcile *r) {
    struct waiting_member *w = r->first;
    if (w != NULL) {
        r->first = w->next;
        r->end = r->first == NULL ? &r->first : r->end;
        r->waiting--;
    }
    return w;
}

static bool registers_node(void *arg, struct str entry) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct register_request request;
    const struct str *name = arg;
    bool found = entry.len > 1 && entry.data[0] == ENTRY_REGISTER &&
                 schema_decode_bytes(str_sub(entry, 1, entry.len), &register_request_shape,
                                     &request, &arena, &e) &&
                 str_eq_fold(request.node, *name);
    arena_free(&arena);
    return found;
}

/* An agent says more of its node than gossip does (tagged addresses, metadata). What it says just
 * now, and the store has not seen, would be written over. */
static bool is_on_its_way(struct reconcile *r) {
    return r->looks++ < LOOKS_MAX &&
           raft_driver_any_unapplied(r->server->driver, registers_node, &r->current->member.name);
}

/* Makes the steps for the current member, and begins with them. */
static void look(struct reconcile *r) {
    struct store_read read;
    struct error e = ERROR_IN(&r->arena);
    if (store_read_begin(r->server->store, &read, &r->arena, NULL, &e)) {
        plan(r, &read, r->current);
        store_read_end(&read);
    } else {
        log_at(LOG_ERROR, LOGGER, "failed to read the state store", LOG_S("error", e.text));
    }
    if (r->step_count == 0) {
        member_end(r);
    } else if (is_on_its_way(r)) {
        steps_clear(r);
        loop_timer_set(&r->timer, LOOK_AGAIN);
    } else {
        steps_run(r);
    }
}

static void next_member(struct reconcile *r) {
    while (r->enabled && r->current == NULL && (r->current = take(r)) != NULL) {
        r->started = time_now_monotonic();
        r->looks = 0;
        look(r);
    }
}

static void look_again(struct loop_timer *timer) {
    struct reconcile *r = timer->owner;
    look(r);
    next_member(r);
}

/* Members of this datacenter, servers or clients. */
static bool is_ours(const struct reconcile *r, const struct gossip_member *m) {
    struct gossip_server server;
    struct str datacenter;
    if (gossip_server_of(m, &server))
        datacenter = server.datacenter;
    else if (!gossip_client_of(m, &datacenter))
        return false;
    return str_eq(datacenter, r->server->options.datacenter);
}

static void enqueue(struct reconcile *r, const struct gossip_member *m, bool reaped) {
    struct arena arena = ARENA_INIT;
    struct waiting_member *w = ARENA_NEW(&arena, struct waiting_member);
    w->member = *m;
    w->member.name = str_copy(&arena, m->name);
    w->member.meta = str_copy(&arena, m->meta);
    w->reaped = reaped;
    w->arena = arena;
    *r->end = w;
    r->end = &w->next;
    r->waiting++;
}

void reconcile_member(struct reconcile *r, enum gossip_member_event event,
                      const struct gossip_member *m) {
    if (!r->enabled || r->waiting >= RECONCILE_WAITING || !is_ours(r, m))
        return;
    enqueue(r, m, event == GOSSIP_MEMBER_REAP);
    next_member(r);
}

/* The server itself, where there is no gossip. */
static void enqueue_self(struct reconcile *r) {
    const struct server_options *o = &r->server->options;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    const struct gossip_tag tags[] = {
        {STR("role"), STR("consul")},
        {STR("dc"), o->datacenter},
        {STR("id"), o->node_id},
        {STR("vsn"), STR("2")},
        {STR("raft_vsn"), STR("3")},
        {STR("build"), STR("1.8.7:")},
        {STR("port"), str_format(&arena, "%u", o->server_port)},
    };
    struct gossip_tag copy[COUNT_OF(tags)];
    memcpy(copy, tags, sizeof(tags));
    struct gossip_member self = {
        .name = o->node_name,
        .versions = {[GOSSIP_PMIN] = 1, [GOSSIP_PMAX] = 5, [GOSSIP_PCUR] = 2},
        .status = GOSSIP_STATUS_ALIVE};
    if (gossip_address_parse_ip(&self.address, o->advertise_address, 0) &&
        gossip_tags_write(copy, COUNT_OF(copy), &self.meta, &arena, &e))
        enqueue(r, &self, false);
    arena_free(&arena);
}

/* Nodes that gossip once registered and no longer knows. */
static void enqueue_forgotten(struct reconcile *r) {
    const struct gossip *g =
        gossip_driver_core(membership_pool(r->server->membership, MEMBERSHIP_LAN));
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    struct list nodes;
    if (!store_read_begin(r->server->store, &read, &arena, NULL, &e)) {
        arena_free(&arena);
        return;
    }
    catalog_nodes(&read, NULL, &nodes);
    for (uint32_t i = 0; i < nodes.len; i++) {
        const struct node *node = LIST_AT(nodes, struct node *, i);
        struct gossip_member known;
        if (gossip_member_find(g, node->node, &known) ||
            catalog_check(&read, node->node, STR(SERF_CHECK)) == NULL)
            continue;
        const struct gossip_member forgotten = {.name = node->node};
        enqueue(r, &forgotten, true);
    }
    store_read_end(&read);
    arena_free(&arena);
}

void reconcile_all(struct reconcile *r) {
    if (!r->enabled)
        return;
    int64_t start = time_now_monotonic();
    queue_clear(r); /* all of them come again */
    if (r->server->membership == NULL) {
        enqueue_self(r);
    } else {
        struct arena arena = ARENA_INIT;
        struct gossip_member *members;
        size_t count = membership_members(r->server->membership, MEMBERSHIP_LAN, &arena, &members);
        for (size_t i = 0; i < count; i++) {
            if (is_ours(r, &members[i]))
                enqueue(r, &members[i], false);
        }
        arena_free(&arena);
        enqueue_forgotten(r);
    }
    next_member(r);
    metric_since("leader.reconcile", start);
}

void reconcile_enable(struct reconcile *r, bool on) {
    r->enabled = on;
    r->generation++;
    queue_clear(r);
    if (r->current != NULL)
        member_end(r);
}

struct reconcile *reconcile_new(struct server *s) {
    struct reconcile *r = MEM_NEW(struct reconcile);
    r->server = s;
    r->arena = ARENA_INIT;
    r->end = &r->first;
    loop_timer_init(&s->core, &r->timer, look_again, r);
    return r;
}

void reconcile_close(struct reconcile *r) {
    if (r->closed)
        return;
    reconcile_enable(r, false);
    r->closed = true;
    loop_timer_close(&r->timer, NULL);
}

void reconcile_free(struct reconcile *r) {
    mem_free(r);
}

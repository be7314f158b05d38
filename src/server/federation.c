/* See federation.h: whether federation states are in use, the parts together, and what the primary
 * deletes.
 */
#include "store/federation.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/federation_room.h"
#include "server/server_room.h"

#define PRUNE_PERIOD (60 * 60 * SECOND)
#define PRUNE_ROUTINE STR("federation state pruning")

struct federation {
    struct server *server;
    struct federation_sync sync;
    struct federation_replication replication;
    struct loop_timer prune_timer;
    bool on, closed;
};

/* ---- whether they are in use ---- */

static bool is_supported(struct server *s, enum peer_pool pool, struct str datacenter) {
    struct arena arena = ARENA_INIT;
    const struct peer **servers;
    size_t count = peers_list(s->peers, pool, &arena, &servers);
    bool supported = federation_is_supported(servers, count, datacenter);
    peers_list_release(servers, count);
    arena_free(&arena);
    return supported;
}

static bool may_enable(struct server *s) {
    if (s->membership == NULL)
        return true; /* there are no others (tests) */
    if (replication_is_wanted(s) &&
        !is_supported(s, PEER_POOL_WAN, s->options.acl.primary_datacenter)) {
        log_at(LOG_DEBUG, "agent.server", "federation states are not enabled in the primary dc");
        return false;
    }
    if (!is_supported(s, PEER_POOL_LAN, s->options.datacenter)) {
        log_at(LOG_DEBUG, "agent.server", "federation states are not enabled in this datacenter",
               LOG_S("datacenter", s->options.datacenter));
        return false;
    }
    return true;
}

bool federation_is_enabled(struct server *s) {
    if (!atomic_load_explicit(&s->federation_enabled, memory_order_relaxed) && may_enable(s))
        atomic_store_explicit(&s->federation_enabled, true, memory_order_relaxed);
    return atomic_load_explicit(&s->federation_enabled, memory_order_relaxed);
}

/* ---- entries ---- */

struct buf federation_entry(const struct server *s, const char *op,
                            const struct federation_state *state) {
    struct federation_state_request request = {.datacenter = s->options.datacenter,
                                               .op = str_from(op),
                                               .state = (struct federation_state *)state};
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, ENTRY_FEDERATION_STATE);
    schema_encode(&entry, &federation_state_request_shape, &request);
    return entry;
}

/* ---- pruning ---- */

static void prune(struct federation *f, struct store_read *read) {
    struct peer_datacenter *known;
    struct list states;
    size_t count = peers_datacenters(f->server->peers, read->arena, &known);
    federation_state_list(read, &states);
    struct list ops = federation_lost(&states, known, count, read->arena);
    for (uint32_t i = 0; i < ops.len; i++) {
        const struct federation_state *lost = LIST_AT(ops, struct federation_op, i).state;
        log_at(LOG_INFO, "agent.server", "pruning federation state of a datacenter that is gone",
               LOG_S("datacenter", lost->datacenter));
        struct buf entry = federation_entry(f->server, "delete", lost);
        server_propose(f->server, &entry, "failed to delete federation state", NULL, NULL);
    }
}

void federation_prune(struct federation *f) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    if (f->on && federation_is_enabled(f->server) &&
        store_read_begin(f->server->store, &read, &arena, NULL, &e)) {
        prune(f, &read);
        store_read_end(&read);
    }
    arena_free(&arena);
}

static void prune_fired(struct loop_timer *timer) {
    struct federation *f = timer->owner;
    loop_timer_set(&f->prune_timer, PRUNE_PERIOD);
    federation_prune(f);
}

static void prune_enable(struct federation *f, bool on) {
    if (on) {
        log_at(LOG_INFO, "agent.leader", "started routine", LOG_S("routine", PRUNE_ROUTINE));
        loop_timer_set(&f->prune_timer, PRUNE_PERIOD);
    } else {
        log_at(LOG_DEBUG, "agent.leader", "stopping routine", LOG_S("routine", PRUNE_ROUTINE));
        loop_timer_stop(&f->prune_timer);
    }
}

/* ---- life ---- */

void federation_enable(struct federation *f, bool leading) {
    bool secondary = replication_is_wanted(f->server);
    if (leading == f->on)
        return;
    f->on = leading;
    replication_enable(&f->sync.base, leading);
    if (secondary)
        replication_enable(&f->replication.base, leading);
    else
        prune_enable(f, leading);
}

void federation_touched(struct federation *f, const struct watch_touched *touched) {
    federation_sync_touched(&f->sync, touched);
}

struct federation *federation_new(struct server *s) {
    struct federation *f = MEM_NEW(struct federation);
    f->server = s;
    federation_sync_init(&f->sync, s);
    federation_replication_init(&f->replication, s);
    loop_timer_init(&s->core, &f->prune_timer, prune_fired, f);
    return f;
}

void federation_close(struct federation *f) {
    if (f->closed)
        return;
    federation_enable(f, false);
    f->closed = true;
    replication_close(&f->sync.base);
    replication_close(&f->replication.base);
    loop_timer_close(&f->prune_timer, NULL);
}

void federation_free(struct federation *f) {
    mem_free(f);
}

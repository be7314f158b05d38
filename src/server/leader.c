/* What a server does when it becomes the leader, while it leads, and when it no longer does
 * (raft.md 5.4): a barrier, then access control's first entries, tombstones, session timers, the
 * autopilot configuration, configuration entries that the configuration names, the certificate
 * authority, federation states, and the members that gossip knows into the catalog (reconcile.h).
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/autopilot.h"
#include "server/config_bootstrap.h"
#include "server/config_replication.h"
#include "server/federation.h"
#include "server/intention_replication.h"
#include "server/leader_acl.h"
#include "server/membership.h"
#include "server/reconcile.h"
#include "server/server_room.h"
#include "store/autopilot.h"

#define RECONCILE_PERIOD (60 * SECOND)
#define ESTABLISH_RETRY (5 * SECOND)
#define GAUGE_PERIOD (5 * SECOND) /* twice in each interval of metrics */
#define CA_PATIENCE SECOND        /* calls wait no longer for the certificate authority */

struct leader {
    struct server *server;
    bool leading;       /* Raft says so */
    bool established;   /* the barrier is through */
    bool bootstrapping; /* configured entries are not all applied yet */
    bool stopped;
    uint64_t term;
    unsigned barriers;       /* under way */
    struct loop_timer timer; /* the next pass over the members, or another attempt to begin */
    struct loop_timer gauges;
    bool ca_asked; /* the authority is at its first entries, in this term */
    struct loop_timer ca_patience;
};

/* To hear when the authority has made a beginning, or has failed to. */
struct ca_settling {
    struct ca_work work;
    struct message message;
    struct leader *leader;
    uint64_t term;
};

struct barrier {
    struct raft_proposal proposal;
    struct leader *leader;
    uint64_t term;
    int64_t started;
};

/* ---- reads on the core ---- */

static bool read_begin(struct leader *l, struct store_read *read, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    if (!store_read_begin(l->server->store, read, arena, NULL, &e)) {
        log_at(LOG_ERROR, "agent.server", "failed to read the state store", LOG_S("error", e.text));
        return false;
    }
    return true;
}

/* ---- first entries ---- */

static void autopilot_config_init(struct leader *l, struct store_read *read) {
    struct autopilot_config *config = NULL;
    autopilot_config_get(read, &config);
    if (config != NULL) {
        return;
    }
    struct autopilot_set_request request = {.config = {.cleanup_dead_servers = true,
                                                       .last_contact_threshold = 200 * MILLISECOND,
                                                       .max_trailing_logs = 250,
                                                       .server_stabilization_time = 10 * SECOND}};
    if (l->server->options.autopilot != NULL) {
        request.config = *l->server->options.autopilot;
    }
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, ENTRY_AUTOPILOT);
    schema_encode(&entry, &autopilot_set_request_shape, &request);
    server_propose(l->server, &entry, "failed to initialize config", NULL, NULL);
}

/* ---- becoming leader ---- */

static void establish_state(struct leader *l) {
    struct server *s = l->server;
    l->bootstrapping = false;
    tombstone_gc_enable(s->tombstone_gc, true);
    tombstone_gc_hint(s->tombstone_gc, raft_driver_last_index(s->driver));
    session_timers_init(s->session_timers);
    coordinate_batch_enable(s->coordinates, true);
    struct arena arena = ARENA_INIT;
    struct store_read read;
    if (read_begin(l, &read, &arena)) {
        autopilot_config_init(l, &read);
        l->bootstrapping = config_bootstrap(s, &read, l->term);
        store_read_end(&read);
    }
    arena_free(&arena);
}

/* Everybody is to know: agents then compare what they have with the catalog. */
static void announce(struct leader *l) {
    struct server *s = l->server;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (s->membership == NULL) {
        log_at(LOG_INFO, "agent.server", "New leader elected",
               LOG_S("payload", s->options.node_name));
    } else if (!membership_fire(s->membership, STR("consul:new-leader"), s->options.node_name,
                                &e)) {
        log_at(LOG_ERROR, "agent.server", "failed to broadcast new leader event",
               LOG_S("error", e.text));
    }
    arena_free(&arena);
}

/* From here on calls come. */
static void open_for_calls(struct leader *l) {
    struct server *s = l->server;
    loop_timer_stop(&l->ca_patience);
    autopilot_enable(s->autopilot, true);
    intention_replication_enable(s->intention_replication, true);
    config_replication_enable(s->config_replication, true);
    federation_enable(s->federation, true);
    atomic_store_explicit(&s->leading, true, memory_order_release);
    atomic_store(&s->ready, true);
    server_leader_news(s);
    server_verify_ready(s);
    reconcile_enable(s->reconcile, true);
    reconcile_all(s->reconcile);
    loop_timer_set(&l->timer, RECONCILE_PERIOD);
    loop_timer_set(&l->gauges, 0);
}

static void open_with_ca(struct leader *l) {
    if (l->leading && l->established && !l->stopped && l->ca_asked &&
        !atomic_load(&l->server->ready)) {
        open_for_calls(l);
    }
}

static void ca_has_settled(struct message *m) {
    struct ca_settling *c = CONTAINER_OF(m, struct ca_settling, message);
    if (c->leader->term == c->term) {
        open_with_ca(c->leader);
    }
    mem_free(c);
}

/* On the authority's thread. */
static void ca_got_to_work(struct ca *ca, struct ca_work *w, const struct error *e) {
    struct ca_settling *c = CONTAINER_OF(w, struct ca_settling, work);
    (void)ca;
    (void)e;
    loop_post_reply(&c->leader->server->core, &c->message);
}

static void patience_over(struct loop_timer *timer) {
    open_with_ca(timer->owner);
}

/* A call that came before would be told that its token does not exist, or miss entries. The
 * authority's first entries stand before the members', as in the peer's log; but what it asks
 * elsewhere keeps nobody waiting for long. */
static void open_when_settled(struct leader *l) {
    if (!l->leading || !l->established || l->stopped || l->bootstrapping || l->ca_asked ||
        !leader_acl_is_settled(l->server->leader_acl)) {
        return;
    }
    l->ca_asked = true;
    ca_enable(l->server->ca, true);
    struct ca_settling *c = MEM_NEW(struct ca_settling);
    *c = (struct ca_settling){
        .work.run = ca_got_to_work, .message.run = ca_has_settled, .leader = l, .term = l->term};
    loop_timer_set(&l->ca_patience, CA_PATIENCE);
    ca_do(l->server->ca, &c->work);
}

static void establish(struct leader *l) {
    l->established = true;
    leader_acl_enable(l->server->leader_acl, true);
    establish_state(l);
    open_when_settled(l);
}

void leader_acl_has_settled(struct leader *l) {
    open_when_settled(l);
}

void leader_bootstrap_again(struct leader *l) {
    struct arena arena = ARENA_INIT;
    struct store_read read;
    bool settled = l->leading && l->established && !l->stopped && !l->bootstrapping;
    if (settled && read_begin(l, &read, &arena)) {
        config_bootstrap(l->server, &read, l->term);
        store_read_end(&read);
    }
    arena_free(&arena);
}

void leader_bootstrapped(struct leader *l, uint64_t term) {
    if (l->term == term) {
        l->bootstrapping = false;
        open_when_settled(l);
    }
}

static void barrier_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct barrier *b = CONTAINER_OF(p, struct barrier, proposal);
    struct leader *l = b->leader;
    l->barriers--;
    bool current = l->leading && !l->stopped && b->term == l->term;
    bool ok = !error_is_set(&outcome->error);
    metric_since("leader.barrier", b->started);
    if (current && !ok) {
        log_at(LOG_ERROR, "agent.server", "failed to wait for barrier",
               LOG_S("error", outcome->error.text));
    }
    mem_free(b);
    server_publish(l->server, NULL);
    if (!current) {
        return;
    }
    if (!ok) {
        loop_timer_set(&l->timer, ESTABLISH_RETRY);
    } else if (!l->established) {
        establish(l);
    } else {
        reconcile_all(l->server->reconcile);
        loop_timer_set(&l->timer, RECONCILE_PERIOD);
    }
}

/* Everything that is committed is applied here when it comes back. */
static void barrier_send(struct leader *l) {
    struct barrier *b = MEM_NEW(struct barrier);
    b->leader = l;
    b->term = l->term;
    b->started = time_now_monotonic();
    b->proposal.done = barrier_done;
    l->barriers++;
    raft_driver_barrier(l->server->driver, &b->proposal);
}

static void timer_fired(struct loop_timer *timer) {
    struct leader *l = timer->owner;
    if (l->leading && !l->stopped) {
        barrier_send(l);
    }
}

static void gauges_fired(struct loop_timer *timer) {
    struct leader *l = timer->owner;
    metric_gauge("session_ttl.active", (double)session_timers_count(l->server->session_timers));
    loop_timer_set(&l->gauges, GAUGE_PERIOD);
}

/* ---- no longer ---- */

static void step_down(struct leader *l) {
    struct server *s = l->server;
    atomic_store(&s->ready, false);
    atomic_store_explicit(&s->leading, false, memory_order_release);
    l->established = false;
    l->ca_asked = false;
    loop_timer_stop(&l->timer);
    loop_timer_stop(&l->gauges);
    loop_timer_stop(&l->ca_patience);
    tombstone_gc_enable(s->tombstone_gc, false);
    session_timers_clear(s->session_timers);
    coordinate_batch_enable(s->coordinates, false);
    reconcile_enable(s->reconcile, false);
    autopilot_enable(s->autopilot, false);
    intention_replication_enable(s->intention_replication, false);
    config_replication_enable(s->config_replication, false);
    federation_enable(s->federation, false);
    leader_acl_enable(s->leader_acl, false);
    ca_enable(s->ca, false);
    server_verify_ready(s); /* they are told that this is not the leader */
}

void leader_changed(struct leader *l, bool leading, uint64_t term) {
    if (l->stopped) {
        return;
    }
    if (l->leading) {
        step_down(l);
        if (!leading) {
            log_at(LOG_INFO, "agent.server", "cluster leadership lost");
        }
    }
    l->leading = leading;
    l->term = term;
    if (leading) {
        log_at(LOG_INFO, "agent.server", "cluster leadership acquired");
        announce(l);
        barrier_send(l);
    }
}

void leader_reestablish(struct leader *l) {
    if (l->leading && l->established && !l->stopped) {
        establish_state(l);
        ca_enable(l->server->ca, true);
    }
}

void leader_member_changed(struct leader *l, enum gossip_member_event event,
                           const struct gossip_member *m) {
    if (l->established) {
        reconcile_member(l->server->reconcile, event, m);
    }
}

void leader_touched(struct leader *l, const struct watch_touched *touched) {
    if (!l->established) {
        return;
    }
    struct watch_key key;
    federation_touched(l->server->federation, touched);
    for (size_t i = 0; watch_touched_at(touched, i, &key); i++) {
        if (key.table == WATCH_TABLE && str_is(key.name, "tombstones")) {
            tombstone_gc_hint(l->server->tombstone_gc, store_applied_index(l->server->store));
            return;
        }
    }
}

struct leader *leader_new(struct server *s) {
    struct leader *l = MEM_NEW(struct leader);
    l->server = s;
    loop_timer_init(&s->core, &l->timer, timer_fired, l);
    loop_timer_init(&s->core, &l->gauges, gauges_fired, l);
    loop_timer_init(&s->core, &l->ca_patience, patience_over, l);
    s->tombstone_gc = tombstone_gc_new(s);
    s->session_timers = session_timers_new(s);
    s->coordinates = coordinate_batch_new(s);
    s->reconcile = reconcile_new(s);
    s->autopilot = autopilot_new(s);
    s->leader_acl = leader_acl_new(s);
    s->intention_replication = intention_replication_new(s);
    s->config_replication = config_replication_new(s);
    s->federation = federation_new(s);
    return l;
}

void leader_stop(struct leader *l) {
    if (l->stopped) {
        return;
    }
    step_down(l);
    l->leading = false;
    l->stopped = true;
    loop_timer_close(&l->timer, NULL);
    loop_timer_close(&l->gauges, NULL);
    loop_timer_close(&l->ca_patience, NULL);
    tombstone_gc_close(l->server->tombstone_gc);
    coordinate_batch_close(l->server->coordinates);
    autopilot_close(l->server->autopilot);
    leader_acl_close(l->server->leader_acl);
    ca_close(l->server->ca);
    intention_replication_close(l->server->intention_replication);
    config_replication_close(l->server->config_replication);
    federation_close(l->server->federation);
    reconcile_close(l->server->reconcile);
}

void leader_free(struct leader *l) {
    if (l == NULL) {
        return;
    }
    ASSERT(l->barriers == 0);
    tombstone_gc_free(l->server->tombstone_gc);
    session_timers_free(l->server->session_timers);
    coordinate_batch_free(l->server->coordinates);
    reconcile_free(l->server->reconcile);
    autopilot_free(l->server->autopilot);
    leader_acl_free(l->server->leader_acl);
    intention_replication_free(l->server->intention_replication);
    config_replication_free(l->server->config_replication);
    federation_free(l->server->federation);
    mem_free(l);
}

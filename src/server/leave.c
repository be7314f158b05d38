/* Leaving, step by step. See leave.h. */
#include "server/leave.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/membership.h"
#include "server/server_room.h"

#define REMOVAL_WAIT (5 * SECOND)
#define REMOVAL_POLL (50 * MILLISECOND)

struct leave {
    struct server *server;
    int64_t drain_time;
    void (*done)(void *owner, struct str error);
    void *owner;
    struct raft_proposal removal;
    struct loop_timer timer;
    bool was_leader;
    int64_t give_up; /* monotonic */
    struct arena arena;
    struct str error;
};

static void timer_closed(struct loop_timer *t) {
    struct leave *l = CONTAINER_OF(t, struct leave, timer);
    struct arena arena = l->arena;
    arena_free(&arena);
    mem_free(l);
}

static void finish(struct leave *l) {
    l->done(l->owner, l->error);
    loop_timer_close(&l->timer, timer_closed);
}

static bool in_configuration(struct leave *l, size_t *voters) {
    struct arena arena = ARENA_INIT;
    struct raft_driver_configuration configuration;
    bool found = false;
    *voters = 0;
    raft_driver_configuration(l->server->driver, &arena, &configuration);
    for (size_t i = 0; i < configuration.len; i++) {
        const struct raft_driver_server *s = &configuration.servers[i];
        *voters += s->suffrage == RAFT_DRIVER_VOTER;
        found = found || str_is(s->address, l->server->raft_address);
    }
    arena_free(&arena);
    return found;
}

static void poll_removal(struct loop_timer *t) {
    struct leave *l = t->owner;
    size_t voters;
    if (!in_configuration(l, &voters)) {
        finish(l);
    } else if (time_now_monotonic() >= l->give_up) {
        log_at(LOG_WARN, "agent.server", "failed to leave raft configuration gracefully, timeout");
        finish(l);
    } else {
        loop_timer_set(&l->timer, REMOVAL_POLL);
    }
}

static void drained(struct loop_timer *t) {
    struct leave *l = t->owner;
    if (l->was_leader) {
        finish(l);
        return;
    }
    l->give_up = time_now_monotonic() + REMOVAL_WAIT;
    l->timer.fn = poll_removal;
    poll_removal(t);
}

static void pools_left(void *owner, struct str error) {
    struct leave *l = owner;
    struct server *s = l->server;
    l->error = str_copy(&l->arena, error);
    if (s->options.client) {
        finish(l);
        return;
    }
    server_set_leaving(s, true);
    log_at(LOG_INFO, "agent.server", "Waiting to drain RPC traffic",
           LOG_D("drain_time", l->drain_time));
    l->timer.fn = drained;
    loop_timer_set(&l->timer, l->drain_time);
}

static void leave_pools(struct leave *l) {
    if (l->server->membership != NULL)
        membership_leave(l->server->membership, pools_left, l);
    else
        pools_left(l, STR(""));
}

static void removed(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct leave *l = CONTAINER_OF(p, struct leave, removal);
    if (error_is_set(&outcome->error))
        log_at(LOG_ERROR, "agent.server", "failed to remove ourself as raft peer",
               LOG_S("error", outcome->error.text));
    leave_pools(l);
}

void server_leave(struct server *s, int64_t drain_time, void (*done)(void *owner, struct str error),
                  void *owner) {
    struct leave *l = MEM_NEW(struct leave);
    *l = (struct leave){.server = s,
                        .drain_time = drain_time,
                        .done = done,
                        .owner = owner,
                        .removal.done = removed,
                        .arena = ARENA_INIT};
    loop_timer_init(&s->core, &l->timer, drained, l);
    log_at(LOG_INFO, s->options.client ? "agent.client" : "agent.server",
           s->options.client ? "client starting leave" : "server starting leave");
    size_t voters = 0;
    if (s->driver != NULL && raft_driver_is_leader(s->driver) && in_configuration(l, &voters) &&
        voters > 1) {
        l->was_leader = true;
        raft_driver_change_membership(s->driver, &l->removal, RAFT_DRIVER_REMOVE,
                                      s->options.node_id, STR(""), 0);
        return;
    }
    /* The last voter stays in its own configuration: nobody is to be waited for. */
    l->was_leader = s->driver == NULL || raft_driver_is_leader(s->driver);
    leave_pools(l);
}

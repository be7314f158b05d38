/* See acl_mode.h. */
#include "server/acl_mode.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/authorize_fetch.h"
#include "server/leader_acl.h"
#include "server/membership.h"
#include "server/server_room.h"

#define WAIT_FIRST (50 * MILLISECOND)
#define WAIT_MOST (30 * SECOND)

/* ---- rules ---- */

static enum acl_mode mode_of(const struct peer *p) {
    return p->acls >= ACL_MODE_DISABLED && p->acls <= ACL_MODE_LEGACY ? (enum acl_mode)p->acls
                                                                      : ACL_MODE_UNKNOWN;
}

static int badness(enum acl_mode mode) {
    static const int order[] = {[ACL_MODE_ENABLED] = 0,
                                [ACL_MODE_LEGACY] = 1,
                                [ACL_MODE_UNKNOWN] = 2,
                                [ACL_MODE_DISABLED] = 3};
    return order[mode];
}

enum acl_mode acl_mode_of(const struct peer *const *servers, size_t count, struct str datacenter,
                          bool *found) {
    enum acl_mode worst = ACL_MODE_ENABLED;
    *found = false;
    for (size_t i = 0; i < count; i++) {
        const struct peer *p = servers[i];
        bool counts = p->status == PEER_ALIVE || p->status == PEER_FAILED;
        if (!counts || !str_eq(p->datacenter, datacenter)) {
            continue;
        }
        *found = true;
        worst = badness(mode_of(p)) > badness(worst) ? mode_of(p) : worst;
    }
    return worst;
}

bool acl_mode_may_switch(const struct acl_mode_seen *seen, enum acl_mode_role role) {
    if (seen->secondary && role != ACL_MODE_ROLE_CLIENT &&
        !(seen->primary_found && seen->primary_mode == ACL_MODE_ENABLED)) {
        return false;
    }
    switch (role) {
    case ACL_MODE_ROLE_LEADER:
        return seen->mode == ACL_MODE_LEGACY || seen->mode == ACL_MODE_ENABLED;
    case ACL_MODE_ROLE_FOLLOWER:
        return seen->leader_mode == ACL_MODE_ENABLED;
    case ACL_MODE_ROLE_CLIENT:
        return seen->found && seen->mode == ACL_MODE_ENABLED;
    }
    return false;
}

int64_t acl_mode_wait(int64_t last) {
    if (last == 0) {
        return WAIT_FIRST;
    }
    return last > WAIT_MOST / 2 ? WAIT_MOST : last * 2;
}

/* ---- looking ---- */

static void look(struct server *s, struct acl_mode_seen *seen) {
    struct arena arena = ARENA_INIT;
    const struct peer **servers;
    char text[64];
    const struct acl_options *acl = &s->options.acl;
    size_t count = peers_list(s->peers, PEER_POOL_LAN, &arena, &servers);
    seen->mode = acl_mode_of(servers, count, s->options.datacenter, &seen->found);
    peers_list_release(servers, count);
    const struct peer *leader =
        peers_by_address(s->peers, str_of(text, server_leader_address(s, text)));
    seen->leader_mode = leader != NULL ? mode_of(leader) : ACL_MODE_UNKNOWN;
    peer_release(leader);
    seen->secondary = !str_eq(s->options.datacenter, acl->primary_datacenter);
    if (seen->secondary && !s->options.client) {
        count = peers_list(s->peers, PEER_POOL_WAN, &arena, &servers);
        seen->primary_mode =
            acl_mode_of(servers, count, acl->primary_datacenter, &seen->primary_found);
        peers_list_release(servers, count);
    }
    arena_free(&arena);
}

static void log_waiting(struct server *s, const struct acl_mode_seen *seen) {
    char text[64];
    struct str leader = str_of(text, server_leader_address(s, text));
    if (seen->secondary && !(seen->primary_found && seen->primary_mode == ACL_MODE_ENABLED)) {
        log_at(LOG_DEBUG, "agent.server",
               "Cannot upgrade to new ACLs, servers in acl datacenter are not yet upgraded",
               LOG_S("ACLDatacenter", s->options.acl.primary_datacenter),
               LOG_I("mode", seen->primary_mode), LOG_B("found", seen->primary_found));
        return;
    }
    log_at(LOG_DEBUG, "agent.server", "Cannot upgrade to new ACLs",
           LOG_I("leaderMode", seen->leader_mode), LOG_I("mode", seen->mode),
           LOG_B("found", seen->found), LOG_S("leader", leader));
}

bool acl_mode_may_switch_now(struct server *s, bool leader) {
    struct acl_mode_seen seen = {0};
    if (s->membership == NULL) {
        return true; /* there are no others (tests) */
    }
    look(s, &seen);
    bool may = acl_mode_may_switch(&seen, leader ? ACL_MODE_ROLE_LEADER : ACL_MODE_ROLE_FOLLOWER);
    if (!may) {
        log_waiting(s, &seen);
    }
    return may;
}

void acl_mode_switch(struct server *s) {
    acl_caches_clear(s->acl_caches);
    if (!atomic_exchange(&s->acl_legacy, false)) {
        return;
    }
    if (s->options.client) {
        log_at(LOG_DEBUG, "agent.client", "transitioned out of legacy ACL mode");
    } else {
        log_at(LOG_DEBUG, "agent.server", "transitioning out of legacy ACL mode");
    }
    if (s->membership != NULL) {
        membership_set_acl_tag(s->membership, '0' + ACL_MODE_ENABLED);
    }
}

/* ---- by timer ---- */

struct acl_monitor {
    struct server *server;
    struct loop_timer timer;
    int64_t wait;
    bool closed;
};

static bool client_may_switch(struct server *s) {
    struct acl_mode_seen seen = {0};
    look(s, &seen);
    return acl_mode_may_switch(&seen, ACL_MODE_ROLE_CLIENT);
}

static void monitor_fired(struct loop_timer *timer) {
    struct acl_monitor *m = timer->owner;
    struct server *s = m->server;
    if (!server_acl_is_legacy(s)) {
        return;
    }
    if (s->options.client) {
        if (client_may_switch(s)) {
            acl_mode_switch(s);
            return;
        }
    } else if (acl_mode_may_switch_now(s, server_is_leader(s))) {
        if (server_is_leader(s)) {
            leader_acl_switch(s->leader_acl);
        } else {
            acl_mode_switch(s);
        }
        return;
    }
    m->wait = acl_mode_wait(m->wait);
    loop_timer_set(&m->timer, m->wait);
}

struct acl_monitor *acl_monitor_new(struct server *s) {
    struct acl_monitor *m = MEM_NEW(struct acl_monitor);
    m->server = s;
    loop_timer_init(&s->core, &m->timer, monitor_fired, m);
    return m;
}

void acl_monitor_start(struct acl_monitor *m) {
    m->wait = acl_mode_wait(0);
    loop_timer_set(&m->timer, m->wait);
}

void acl_monitor_close(struct acl_monitor *m) {
    if (m->closed) {
        return;
    }
    m->closed = true;
    loop_timer_stop(&m->timer);
    loop_timer_close(&m->timer, NULL);
}

void acl_monitor_free(struct acl_monitor *m) {
    mem_free(m);
}

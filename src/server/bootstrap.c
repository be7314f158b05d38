/* The beginning of a cluster. See bootstrap.h.
 *
 * The peer asks all servers one after the other and waits; here a round is a small machine that is
 * driven by the answers. A join that comes in the middle of a round does not start another.
 */
#include "server/bootstrap.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "gossip/rules.h"
#include "server/endpoints.h"
#include "server/membership.h"
#include "server/server_room.h"

#define LOGGER "agent.server"
#define ATTEMPTS 6

struct bootstrap {
    struct server *server;
    int64_t expect; /* 0: done, or given up */
    bool closed;

    bool running;
    struct arena arena; /* of the round */
    struct raft_driver_server *servers;
    struct str *names;
    size_t len, asked;
    unsigned attempt;
    struct loop_timer timer;
    struct arena call_arena;
    struct call call;
    struct dc_request request;
    bool calling;
};

static void ask(struct bootstrap *b);

static void round_end(struct bootstrap *b) {
    b->running = false;
    arena_free(&b->arena);
    b->arena = ARENA_INIT;
}

static void finish(struct bootstrap *b) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf peers = BUF_INIT;
    for (size_t i = 0; i < b->len; i++)
        buf_add_format(&peers, "%s" STR_FMT, i > 0 ? "," : "", STR_ARG(b->servers[i].address));
    log_at(LOG_INFO, LOGGER, "Found expected number of peers, attempting bootstrap",
           LOG_S("peers", buf_str(&peers)));
    if (!raft_driver_bootstrap(b->server->driver, b->servers, b->len, &e))
        log_at(LOG_ERROR, LOGGER, "Failed to bootstrap cluster", LOG_S("error", e.text));
    buf_free(&peers);
    arena_free(&arena);
    b->expect = 0;
    round_end(b);
}

static void next_server(struct bootstrap *b) {
    b->attempt = 0;
    if (++b->asked < b->len)
        ask(b);
    else
        finish(b);
}

static void peers_done(struct call *c) {
    struct bootstrap *b = c->owner;
    struct answer *a = c->answer;
    b->calling = false;
    c->answer = NULL;
    bool failed = error_is_set(&a->error);
    bool has_peers = !failed && ((const struct list *)a->reply)->len > 0;
    if (failed && !b->closed)
        log_at(LOG_ERROR, LOGGER, "Failed to confirm peer status for server (will retry).",
               LOG_S("server", b->names[b->asked]), LOG_S("error", a->error.text));
    answer_release(a);
    if (b->closed)
        return;
    if (failed && ++b->attempt < ATTEMPTS) {
        loop_timer_set(&b->timer, (int64_t)(1u << (b->attempt - 1)) * SECOND);
    } else if (has_peers) {
        log_at(LOG_INFO, LOGGER, "Existing Raft peers reported by server, disabling bootstrap mode",
               LOG_S("server", b->names[b->asked]));
        b->expect = 0;
        round_end(b);
    } else {
        next_server(b);
    }
}

static void ask(struct bootstrap *b) {
    arena_free(&b->call_arena);
    b->call_arena = ARENA_INIT;
    b->request = (struct dc_request){.datacenter = b->server->options.datacenter};
    b->call = (struct call){.endpoint = &endpoint_status_peers,
                            .arena = &b->call_arena,
                            .request = &b->request,
                            .done = peers_done,
                            .owner = b};
    b->calling = true;
    if (str_eq(b->servers[b->asked].id, b->server->options.node_id))
        call_start(b->server, &b->call);
    else
        call_start_at(b->server, &b->call, b->servers[b->asked].address);
}

static void ask_again(struct loop_timer *timer) {
    struct bootstrap *b = timer->owner;
    if (b->running && !b->calling)
        ask(b);
}

/* False: not now. */
static bool fits(const struct bootstrap *b, const struct gossip_server *server, bool *skip) {
    *skip = !str_eq(server->datacenter, b->server->options.datacenter);
    if (*skip) {
        log_at(LOG_WARN, LOGGER, "Member has a conflicting datacenter, ignoring",
               LOG_S("member", server->name));
        return true;
    }
    if (server->expect != 0 && server->expect != b->expect) {
        log_at(LOG_ERROR, LOGGER,
               "Member has a conflicting expect value. All nodes should expect the same number.",
               LOG_S("member", server->name));
        return false;
    }
    if (server->bootstrap) {
        log_at(LOG_ERROR, LOGGER, "Member has bootstrap mode. Expect disabled.",
               LOG_S("member", server->name));
        return false;
    }
    return true;
}

/* The servers of a round. False: it cannot begin yet. */
static bool collect(struct bootstrap *b) {
    struct gossip_member *members;
    size_t count = membership_members(b->server->membership, MEMBERSHIP_LAN, &b->arena, &members);
    int64_t voters = 0;
    int lowest = 3;
    b->servers = ARENA_ARRAY(&b->arena, struct raft_driver_server, count + 1);
    b->names = ARENA_ARRAY(&b->arena, struct str, count + 1);
    b->len = 0;
    for (size_t i = 0; i < count; i++) {
        struct gossip_server server;
        char address[GOSSIP_ADDRESS_TEXT];
        bool skip;
        if (!gossip_server_of(&members[i], &server))
            continue;
        if (!fits(b, &server, &skip))
            return false;
        if (skip)
            continue;
        lowest = server.raft_version < lowest ? server.raft_version : lowest;
        voters += !server.non_voter;
        b->names[b->len] = server.name;
        b->servers[b->len++] = (struct raft_driver_server){
            .id = server.id,
            .address = str_copy(&b->arena, gossip_address_text(&server.address, address)),
            .suffrage = server.non_voter ? RAFT_DRIVER_NONVOTER : RAFT_DRIVER_VOTER};
    }
    for (size_t i = 0; i < b->len && lowest < 3; i++)
        b->servers[i].id = b->servers[i].address;
    return voters >= b->expect;
}

void bootstrap_try(struct bootstrap *b) {
    if (b->expect == 0 || b->running || b->closed)
        return;
    if (raft_driver_has_state(b->server->driver)) {
        log_at(LOG_INFO, LOGGER, "Raft data found, disabling bootstrap mode");
        b->expect = 0;
        return;
    }
    b->running = true;
    if (!collect(b)) {
        round_end(b);
        return;
    }
    b->asked = 0;
    b->attempt = 0;
    ask(b);
}

struct bootstrap *bootstrap_new(struct server *s, int64_t expect) {
    struct bootstrap *b = MEM_NEW(struct bootstrap);
    b->server = s;
    b->expect = expect;
    b->arena = ARENA_INIT;
    b->call_arena = ARENA_INIT;
    loop_timer_init(&s->core, &b->timer, ask_again, b);
    return b;
}

static void call_freed(void *owner) {
    ((struct bootstrap *)owner)->calling = false;
}

void bootstrap_close(struct bootstrap *b) {
    b->closed = true;
    if (b->calling)
        call_cancel(&b->call, call_freed);
    loop_timer_close(&b->timer, NULL);
}

void bootstrap_free(struct bootstrap *b) {
    if (b == NULL)
        return;
    arena_free(&b->arena);
    arena_free(&b->call_arena);
    mem_free(b);
}

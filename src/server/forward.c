/* Where a call runs: here, on the leader, in another datacenter, or, for a client agent, on the
 * server whose turn it is (rpc.md 7.1, 7.2); what happens when that fails; and calls that wait for
 * a leader. What goes over the wire is rpc_pool.c's.
 *
 * A held call is tried again at once when the core tells of a new leader or of new servers, and
 * otherwise as the peer does: after a random part of rpc_hold_timeout / 16, until rpc_hold_timeout
 * has passed.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/time.h"
#include "codec/msgpack.h"
#include "server/server_room.h"
#include "server/thread.h"
#include "store/acl.h"

/* What a call keeps from its first try elsewhere until its end. */
struct forward {
    struct rpc_exchange exchange;
    const struct peer *peer; /* whom it went to; NULL: only an address is known */
    bool once;               /* one try, whatever comes of it */
    bool rotates;            /* an error costs the server its turn */
    struct buf body;
    struct arena arena; /* of the error */
    char address[80];
};

/* ---- life ---- */

static struct forward *forward_get(struct call *c) {
    if (c->forward == NULL) {
        c->forward = MEM_NEW(struct forward);
        if (c->endpoint->request != NULL) {
            schema_encode(&c->forward->body, c->endpoint->request, c->request);
        } else {
            schema_encode_type(&c->forward->body, c->endpoint->request_type, c->request);
        }
    }
    return c->forward;
}

void forward_end(struct call *c) {
    struct forward *f = c->forward;
    c->held_since = 0;
    if (f == NULL) {
        return;
    }
    c->forward = NULL;
    rpc_cancel(&f->exchange);
    peer_release(f->peer);
    buf_free(&f->body);
    arena_free(&f->arena);
    mem_free(f);
}

/* ---- holding ---- */

static int64_t hold_timeout(const struct call *c) {
    return server_options(c->server)->rpc_hold_timeout;
}

static void fail(struct call *c, enum error_kind kind, struct str text) {
    struct answer *a = answer_new(c->endpoint);
    error_set(&a->error, kind, STR_FMT, STR_ARG(text));
    call_deliver(c, a);
}

static void hold_until(struct server_thread *t, struct call *c, int64_t deadline) {
    c->state = CALL_HELD;
    call_list_add(&t->held, c);
    thread_deadline_set(t, c, deadline);
}

/* Nobody leads, as far as is known here: the core will tell when that changes. */
static void hold_for_leader(struct server_thread *t, struct call *c) {
    int64_t now = time_now_monotonic();
    c->held_since = c->held_since != 0 ? c->held_since : now;
    if (now - c->held_since >= hold_timeout(c) || t->closing) {
        fail(c, ERROR_NO_LEADER, STR("No cluster leader"));
        return;
    }
    hold_until(t, c, c->held_since + hold_timeout(c));
}

static int64_t retry_wait(struct server_thread *t, const struct call *c) {
    struct prng prng;
    prng_seed(&prng, t->jitter);
    t->jitter = prng_next(&prng);
    return (int64_t)prng_below(&prng, (uint64_t)(hold_timeout(c) / 16) + 1);
}

static void try_again(struct server_thread *t, struct call *c) {
    call_list_remove(c);
    thread_deadline_clear(t, c);
    c->state = CALL_IDLE;
    call_route(t, c);
}

void call_hold_expired(struct server_thread *t, struct call *c) {
    try_again(t, c);
}

void call_held_retry(struct server_thread *t) {
    struct call_list held = t->held;
    for (struct call *c = held.first; c != NULL; c = c->next) {
        c->list = &held;
    }
    t->held = (struct call_list){NULL, NULL};
    while (held.first != NULL) {
        try_again(t, held.first);
    }
}

/* ---- answers from elsewhere ---- */

/* Only what was surely not done. */
static bool may_retry(const struct error *e) {
    return str_find(e->text, STR("No cluster leader"), 0) >= 0;
}

static bool decode_reply(struct call *c, struct answer *a, struct str reply) {
    const struct endpoint *endpoint = c->endpoint;
    struct str own = str_copy(&a->arena, reply);
    struct msgpack_reader in = msgpack_read(own);
    bool ok = endpoint->reply != NULL
                  ? schema_decode(&in, endpoint->reply, a->reply, &a->arena, &a->error)
                  : schema_decode_type(&in, endpoint->reply_type, a->reply, &a->arena, &a->error);
    if (!ok) {
        return error_prefix(&a->error, "rpc error making call: ");
    }
    if (endpoint->meta >= 0) {
        a->meta = *(struct query_meta *)((char *)a->reply + endpoint->meta);
    }
    return true;
}

static void forward_failed(struct server_thread *t, struct call *c) {
    struct forward *f = c->forward;
    struct error *e = &f->exchange.error;
    const struct server *s = c->server;
    if (s->options.client && f->peer != NULL && !f->once) {
        struct metric_label labels[] = {{"server", f->peer->name}, {NULL, STR_NONE}};
        metric_add(METRIC_COUNTER, "client.rpc.failed", 1, labels);
        log_at(LOG_ERROR, "agent.client", "RPC failed to server",
               LOG_S("method", str_from(c->endpoint->name)), LOG_S("server", str_from(f->address)),
               LOG_S("error", e->text));
    }
    if (f->once && f->rotates) {
        log_at(LOG_ERROR, "agent.server.rpc", "RPC failed to server in DC",
               LOG_S("server", str_from(f->address)), LOG_S("datacenter", f->peer->datacenter),
               LOG_S("method", str_from(c->endpoint->name)), LOG_S("error", e->text));
    }
    if (f->rotates) {
        peers_rotate(s->peers, f->peer);
    }
    int64_t now = time_now_monotonic();
    c->held_since = c->held_since != 0 ? c->held_since : now;
    if (f->once || t->closing || !may_retry(e) || now - c->held_since >= hold_timeout(c)) {
        fail(c, e->kind, e->text);
        return;
    }
    hold_until(t, c, now + retry_wait(t, c));
}

static void forward_done(struct rpc_exchange *x) {
    struct call *c = x->owner;
    ASSERT(c->state == CALL_FORWARDED);
    c->state = CALL_IDLE;
    if (error_is_set(&x->error)) {
        forward_failed(c->home, c);
        return;
    }
    struct answer *a = answer_new(c->endpoint);
    a->remote = true;
    decode_reply(c, a, x->reply);
    call_deliver(c, a);
}

/* ---- sending ---- */

/* peer: held for it, or NULL. */
static struct forward *forward_to(struct call *c, const struct peer *peer, struct str address) {
    struct forward *f = forward_get(c);
    peer_release(f->peer);
    f->peer = peer;
    snprintf(f->address, sizeof(f->address), STR_FMT, STR_ARG(address));
    arena_reset(&f->arena, 4096);
    f->exchange.address = str_from(f->address);
    f->exchange.datacenter = peer != NULL ? peer->datacenter : STR_NONE;
    f->exchange.node = peer != NULL ? peer->name : STR_NONE;
    f->exchange.method = str_from(c->endpoint->name);
    f->exchange.body = buf_str(&f->body);
    f->exchange.insecure = c->endpoint->insecure;
    f->exchange.done = forward_done;
    f->exchange.owner = c;
    f->exchange.arena = &f->arena;
    return f;
}

static void forward_start(struct server_thread *t, struct call *c) {
    c->started = 0;
    c->state = CALL_FORWARDED;
    rpc_start(t->pool, &c->forward->exchange);
}

static bool rate_allows(struct call *c) {
    if (c->remote || rpc_rate_allow(&c->server->rate)) {
        return true;
    }
    metric_count("client.rpc.exceeded", 1);
    fail(c, ERROR_RATE_LIMIT, STR("RPC rate limit exceeded"));
    return false;
}

/* rpc.md 7.2 */
static void route_client(struct server_thread *t, struct call *c) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    const struct peer *peer = peers_choose(c->server->peers, STR_NONE, &e);
    c->held_since = c->held_since != 0 ? c->held_since : time_now_monotonic();
    if (peer == NULL) {
        if (!atomic_load(&c->server->gossip)) { /* not once yet */
            log_at(LOG_WARN, "agent.router.manager", "No servers available");
        }
        fail(c, e.kind, e.text);
    } else if (!rate_allows(c)) {
        peer_release(peer);
    } else {
        forward_to(c, peer, peer->address)->rotates = true;
        forward_start(t, c);
    }
    arena_free(&arena);
}

/* A token that is only known in this datacenter is nobody's elsewhere: such a call goes on without
 * it, as the anonymous token's (acl.md 14.4). */
static void hide_local_token(struct server_thread *t, struct call *c) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    struct acl_token *token = NULL;
    if (c->endpoint->token < 0 || !c->server->options.acl.enabled) {
        return;
    }
    struct str *secret = (struct str *)((char *)c->request + c->endpoint->token);
    if (secret->len > 0 && store_read_begin(t->store, &read, &arena, NULL, &e)) {
        acl_token_by_secret(&read, *secret, &token);
        if (token != NULL && token->local) {
            *secret = STR("");
        }
        store_read_end(&read);
    }
    arena_free(&arena);
}

static void route_datacenter(struct server_thread *t, struct call *c, struct str datacenter) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    hide_local_token(t, c);
    const struct peer *peer = peers_choose(c->server->peers, datacenter, &e);
    if (peer == NULL) {
        fail(c, e.kind, e.text);
    } else {
        struct metric_label labels[] = {{"datacenter", datacenter}, {NULL, STR_NONE}};
        metric_add(METRIC_COUNTER, "rpc.cross-dc", 1, labels);
        struct forward *f = forward_to(c, peer, peer->address);
        f->once = f->rotates = true;
        forward_start(t, c);
    }
    arena_free(&arena);
}

/* False: nobody leads who could be reached. */
static bool route_leader(struct server_thread *t, struct call *c) {
    struct server *s = c->server;
    char text[64];
    struct str address = str_of(text, server_leader_address(s, text));
    const struct peer *peer = peers_by_address(s->peers, address);
    bool known = peer != NULL || !atomic_load(&s->gossip);
    if (address.len == 0 || !known || str_is(address, s->raft_address)) {
        peer_release(peer);
        return false;
    }
    forward_to(c, peer, address);
    forward_start(t, c);
    return true;
}

static bool stale_is_enough(const struct call *c) {
    const struct query_options *options = call_options(c->endpoint, c->request);
    return options != NULL && options->allow_stale && server_had_contact(c->server);
}

/* The datacenter that is asked, when that is another one. Callers in this process may leave it
 * empty: it is filled in. */
static bool is_elsewhere(struct call *c, struct str *datacenter) {
    if (c->endpoint->datacenter < 0) {
        return false;
    }
    struct str *asked = (struct str *)((char *)c->request + c->endpoint->datacenter);
    struct str own = server_options(c->server)->datacenter;
    if (asked->len == 0 && (!c->remote || c->endpoint->kind == ENDPOINT_LOCAL)) {
        *asked = own;
    }
    *datacenter = *asked;
    return !str_eq(*asked, own);
}

static void run_here(struct server_thread *t, struct call *c) {
    forward_end(c); /* what earlier tries elsewhere left */
    call_run(t, c);
}

void call_route(struct server_thread *t, struct call *c) {
    struct server *s = c->server;
    struct str datacenter;
    bool elsewhere = is_elsewhere(c, &datacenter);
    if (s->options.client) {
        route_client(t, c);
    } else if (elsewhere) {
        route_datacenter(t, c, datacenter);
    } else if (c->endpoint->kind == ENDPOINT_LOCAL) {
        run_here(t, c);
    } else if (atomic_load_explicit(&s->leaving, memory_order_relaxed)) {
        if (stale_is_enough(c)) {
            run_here(t, c);
        } else {
            fail(c, ERROR_NO_LEADER, STR("No cluster leader"));
        }
    } else if (server_is_leader(s) || stale_is_enough(c)) {
        run_here(t, c);
    } else if (!route_leader(t, c)) {
        hold_for_leader(t, c);
    }
}

void call_route_at(struct server_thread *t, struct call *c, const struct peer *peer,
                   struct str address) {
    forward_to(c, peer != NULL ? peer_hold(peer) : NULL, address)->once = true;
    forward_start(t, c);
}

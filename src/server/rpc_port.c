/* Accepting on the server port, and the first byte. A connection stands here until it has said what
 * it is, at most for the handshake's time; then it goes to who serves it, with the bytes that came
 * along.
 */
#include "server/rpc_port.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "net/client_limit.h"
#include "server/rpc_serve.h"
#include "server/secure.h"
#include "server/server.h"

#define LOGGER "agent.server.rpc"

enum rpc_type {
    RPC_CONSUL = 0,
    RPC_RAFT = 1,
    RPC_TLS = 3,
    RPC_MULTIPLEX = 4,
    RPC_SNAPSHOT = 5,
    RPC_TLS_INSECURE = 7,
    /* Not bytes, but names of native connections. */
    RPC_GOSSIP_PACKETS = 256,
    RPC_GOSSIP_STREAM,
};

struct port_home { /* one a loop */
    struct rpc_home home;
    struct rpc_port *port;
    struct message message;
};

struct rpc_port {
    struct server *server;
    struct listener *listener;
    struct client_limit *limit;
    int64_t handshake_timeout;
    struct secure *secure;
    rpc_port_raft *raft;
    void *raft_owner;
    rpc_port_gossip *gossip;
    void *gossip_owner;
    struct port_home *homes;
    unsigned home_count;
    unsigned homes_open; /* at the end, under mutex */
    atomic_uint leases;
    atomic_bool stopping;
    pthread_mutex_t mutex;
    pthread_cond_t emptied;
};

/* ---- leases ---- */

struct rpc_lease {
    struct rpc_port *port;
    uint8_t ip[16];
    uint8_t ip_len;
};

static struct str lease_key(const struct rpc_lease *l) {
    return str_of(l->ip, l->ip_len);
}

void rpc_lease_release(struct rpc_lease *l) {
    if (l == NULL) {
        return;
    }
    client_limit_leave(l->port->limit, lease_key(l));
    atomic_fetch_sub(&l->port->leases, 1);
    mem_free(l);
}

static struct rpc_lease *lease_take(struct rpc_port *p, const struct peer_address *from) {
    if (!client_limit_enter(p->limit, str_of(from->ip, from->ip_len))) {
        return NULL;
    }
    struct rpc_lease *l = MEM_NEW(struct rpc_lease);
    l->port = p;
    l->ip_len = from->ip_len;
    memcpy(l->ip, from->ip, sizeof(l->ip));
    atomic_fetch_add(&p->leases, 1);
    return l;
}

/* ---- connections that have not said what they are ---- */

struct newcomer {
    struct rpc_link link;
    struct stream stream;
    struct rpc_port *port;
    struct peer_address from;
    bool insecure; /* behind byte 0x07 */
    bool native;   /* what it is was said in the handshake */
};

static struct newcomer *newcomer_of(struct stream *s) {
    return CONTAINER_OF(s, struct newcomer, stream);
}

static void hand_to_raft(struct newcomer *n, struct stream_detached *connection,
                         struct rpc_lease *lease) {
    struct rpc_port *p = n->port;
    metric_count("rpc.raft_handoff", 1);
    if (p->raft == NULL || atomic_load(&p->stopping)) {
        stream_detached_drop(connection);
        rpc_lease_release(lease);
        return;
    }
    p->raft(p->raft_owner, connection, &n->from, lease);
}

static void hand_to_gossip(struct newcomer *n, struct stream_detached *connection,
                           struct rpc_lease *lease, bool packets) {
    struct rpc_port *p = n->port;
    if (atomic_load(&p->stopping)) {
        stream_detached_drop(connection);
        rpc_lease_release(lease);
        return;
    }
    p->gossip(p->gossip_owner, connection, &n->from, lease, packets);
}

/* The connection leaves: whoever serves it gets the lease too. rest: what came behind the type. */
static void hand_over(struct newcomer *n, enum rpc_type type, const char *rest, size_t len) {
    struct stream_detached connection;
    struct rpc_home *home = n->link.home;
    struct rpc_lease *lease = n->link.lease;
    n->link.lease = NULL;
    stream_detach(&n->stream, &connection);
    buf_add(&connection.input, rest, len);
    switch (type) {
    case RPC_RAFT:
        hand_to_raft(n, &connection, lease);
        return;
    case RPC_MULTIPLEX:
        rpc_serve_mux(home, &connection, &n->from, lease);
        return;
    case RPC_SNAPSHOT:
        rpc_serve_snapshot(home, &connection, &n->from, lease);
        return;
    case RPC_TLS_INSECURE:
        rpc_serve_insecure(home, &connection, &n->from, lease);
        return;
    case RPC_GOSSIP_PACKETS:
    case RPC_GOSSIP_STREAM:
        hand_to_gossip(n, &connection, lease, type == RPC_GOSSIP_PACKETS);
        return;
    default:
        rpc_serve_single(home, &connection, &n->from, lease);
        return;
    }
}

/* What it is comes in the handshake, or behind it. */
static void start_tls(struct newcomer *n, enum secure_port port, const char *rest, size_t len) {
    struct secure *secure = n->port->secure;
    n->insecure = port == SECURE_RPC_INSECURE;
    n->native = port == SECURE_RPC_NATIVE;
    stream_start_tls(&n->stream, secure_accept(secure, port), str_of(rest, len));
    /* The peer waits for ever for the end of an insecure one's handshake. */
    stream_set_deadline(&n->stream, n->port->handshake_timeout);
}

/* Bytes of a connection in clear. False: it is not one in clear, or is refused. */
static bool admit_clear(struct newcomer *n, uint8_t type, const char *bytes, size_t len) {
    struct secure *secure = n->port->secure;
    if (secure == NULL) {
        return true;
    }
    if (type == RPC_TLS || type == RPC_TLS_INSECURE) {
        start_tls(n, type == RPC_TLS ? SECURE_RPC : SECURE_RPC_INSECURE, bytes + 1, len - 1);
        return false;
    }
    if (type > RPC_TLS_INSECURE && secure_is_native(secure)) {
        start_tls(n, SECURE_RPC_NATIVE, bytes, len);
        return false;
    }
    if (secure_refuses_clear(secure)) {
        log_at(LOG_WARN, LOGGER, "Non-TLS connection attempted with VerifyIncoming set",
               LOG_C("conn", n->link.from));
        stream_close(&n->stream);
        return false;
    }
    return true;
}

static size_t on_first_byte(struct stream *s, const char *bytes, size_t len) {
    struct newcomer *n = newcomer_of(s);
    uint8_t type = (uint8_t)bytes[0];
    if (s->tls == NULL && !admit_clear(n, type, bytes, len)) {
        return len;
    }
    if (n->insecure) {
        hand_over(n, RPC_TLS_INSECURE, bytes, len);
        return len;
    }
    switch (type) {
    case RPC_CONSUL:
    case RPC_RAFT:
    case RPC_MULTIPLEX:
    case RPC_SNAPSHOT:
        hand_over(n, type, bytes + 1, len - 1);
        return len;
    case RPC_TLS:
    case RPC_TLS_INSECURE:
        log_at(LOG_ERROR, LOGGER, "TLS connection attempting to establish inner TLS connection",
               LOG_C("conn", n->link.from));
        break;
    default:
        log_at(LOG_ERROR, LOGGER, "unrecognized RPC byte", LOG_I("byte", type),
               LOG_C("conn", n->link.from));
    }
    stream_close(s);
    return len;
}

/* A native connection says in its handshake what it is. False: something that nobody serves. */
static bool native_type(const struct rpc_port *p, struct str name, enum rpc_type *type) {
    static const struct {
        const char *name;
        enum rpc_type type;
    } protocols[] = {{SECURE_NATIVE_SINGLE, RPC_CONSUL},
                     {SECURE_NATIVE_RAFT, RPC_RAFT},
                     {SECURE_NATIVE_MULTIPLEX, RPC_MULTIPLEX},
                     {SECURE_NATIVE_SNAPSHOT, RPC_SNAPSHOT},
                     {SECURE_NATIVE_GOSSIP_PACKETS, RPC_GOSSIP_PACKETS},
                     {SECURE_NATIVE_GOSSIP_STREAM, RPC_GOSSIP_STREAM}};
    size_t count = COUNT_OF(protocols) - (p->gossip != NULL ? 0 : 2);
    for (size_t i = 0; i < count; i++) {
        *type = protocols[i].type;
        if (str_is(name, protocols[i].name)) {
            return true;
        }
    }
    return false;
}

static void on_secured(struct stream *s) {
    struct newcomer *n = newcomer_of(s);
    enum rpc_type type;
    if (!n->native) {
        return;
    }
    struct str name = tls_protocol(s->tls);
    log_at(LOG_TRACE, LOGGER, "accepted nativeTLS RPC", LOG_S("sni", tls_server_name(s->tls)),
           LOG_S("protocol", name), LOG_C("conn", n->link.from));
    stream_push(s);
    if (s->closing) {
        return;
    }
    if (native_type(n->port, name, &type)) {
        hand_over(n, type, "", 0);
        return;
    }
    log_at(LOG_ERROR, LOGGER, "discarding RPC for unknown negotiated protocol",
           LOG_S("protocol", name), LOG_C("conn", n->link.from));
    stream_close(s);
}

static void on_ended(struct stream *s) {
    stream_close(s); /* the peer says nothing about it either */
}

static void on_expired(struct stream *s) {
    struct newcomer *n = newcomer_of(s);
    char text[200], from[56];
    peer_address_format(&n->from, from);
    snprintf(text, sizeof(text), "read tcp %s->%s: i/o timeout", rpc_port_name(n->port), from);
    log_at(LOG_ERROR, LOGGER, "failed to read byte", LOG_C("conn", n->link.from),
           LOG_C("error", text));
    stream_close(s);
}

static void on_closed(struct stream *s) {
    struct newcomer *n = newcomer_of(s);
    const char *why = stream_error(s);
    if (why != NULL) {
        log_at(LOG_ERROR, LOGGER,
               n->native     ? "TLS handshake failed"
               : n->insecure ? "INSECURERPC error"
                             : "failed to read byte",
               LOG_C("conn", n->link.from), LOG_C("error", why));
    }
    rpc_link_remove(&n->link);
}

static const struct stream_handlers newcomer_handlers = {
    .data = on_first_byte,
    .secured = on_secured,
    .ended = on_ended,
    .expired = on_expired,
    .closed = on_closed,
};

static void newcomer_close(struct rpc_link *l) {
    stream_close(&CONTAINER_OF(l, struct newcomer, link)->stream);
}

/* ---- accepting ---- */

static struct rpc_home *home_of(struct rpc_port *p, const struct loop *loop) {
    for (unsigned i = 0; i < p->home_count; i++) {
        if (p->homes[i].home.loop == loop) {
            return &p->homes[i].home;
        }
    }
    ASSERT(false);
    return NULL;
}

static void on_accept(void *owner, struct loop *loop, int fd, const struct peer_address *from) {
    struct rpc_port *p = owner;
    struct stream_detached connection = {.fd = fd};
    struct rpc_home *home = home_of(p, loop);
    struct rpc_lease *lease = home->closing ? NULL : lease_take(p, from);
    if (lease == NULL) {
        char address[64] = "from=";
        peer_address_format(from, address + 5);
        if (!home->closing) {
            log_at(LOG_ERROR, LOGGER,
                   "rejecting RPC conn from because rpc_max_conns_per_client exceeded",
                   LOG_C("conn", address));
        }
        stream_detached_drop(&connection);
        return;
    }
    metric_count("rpc.accept_conn", 1);
    struct newcomer *n = MEM_NEW(struct newcomer);
    n->port = p;
    n->from = *from;
    rpc_link_add(&n->link, home, from, lease, newcomer_close);
    stream_open(&n->stream, loop, fd, &newcomer_handlers);
    stream_set_deadline(&n->stream, p->handshake_timeout);
}

/* ---- life ---- */

struct rpc_port *rpc_port_open(struct server *s, const struct rpc_port_options *o,
                               struct error *e) {
    struct listener *listener = listener_open_tcp(o->bind_address, o->port, e);
    if (listener == NULL) {
        return NULL;
    }
    struct rpc_port *p = MEM_NEW(struct rpc_port);
    p->server = s;
    p->listener = listener;
    p->limit = client_limit_new(o->max_conns_per_client);
    p->handshake_timeout = o->handshake_timeout;
    p->secure = o->secure;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->emptied, NULL);
    return p;
}

void rpc_port_set_raft_handler(struct rpc_port *p, rpc_port_raft *handler, void *owner) {
    p->raft = handler;
    p->raft_owner = owner;
}

void rpc_port_set_gossip_handler(struct rpc_port *p, rpc_port_gossip *handler, void *owner) {
    p->gossip = handler;
    p->gossip_owner = owner;
}

static void home_emptied(struct rpc_home *h) {
    struct rpc_port *p = CONTAINER_OF(h, struct port_home, home)->port;
    pthread_mutex_lock(&p->mutex);
    p->homes_open--;
    pthread_cond_broadcast(&p->emptied);
    pthread_mutex_unlock(&p->mutex);
}

void rpc_port_start(struct rpc_port *p) {
    p->home_count = server_io_count(p->server);
    p->homes = mem_zalloc(p->home_count, sizeof(*p->homes));
    struct loop **loops = mem_zalloc(p->home_count, sizeof(struct loop *));
    for (unsigned i = 0; i < p->home_count; i++) {
        loops[i] = server_io(p->server, i);
        p->homes[i].port = p;
        p->homes[i].home =
            (struct rpc_home){.server = p->server, .loop = loops[i], .emptied = home_emptied};
    }
    listener_start(p->listener, loops, p->home_count, on_accept, p);
    mem_free(loops);
}

static void close_home(struct message *m) {
    rpc_home_close(&CONTAINER_OF(m, struct port_home, message)->home);
}

void rpc_port_stop(struct rpc_port *p) {
    atomic_store(&p->stopping, true);
    listener_close(p->listener);
    p->listener = NULL;
    p->homes_open = p->home_count;
    for (unsigned i = 0; i < p->home_count; i++) {
        p->homes[i].message.run = close_home;
        loop_post_reply(p->homes[i].home.loop, &p->homes[i].message);
    }
    pthread_mutex_lock(&p->mutex);
    while (p->homes_open > 0) {
        pthread_cond_wait(&p->emptied, &p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
}

void rpc_port_free(struct rpc_port *p) {
    if (p == NULL) {
        return;
    }
    ASSERT(atomic_load(&p->leases) == 0);
    if (p->listener != NULL) {
        listener_close(p->listener);
    }
    client_limit_free(p->limit);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->emptied);
    mem_free(p->homes);
    mem_free(p);
}

void rpc_port_set_max_conns(struct rpc_port *p, int64_t most) {
    client_limit_set(p->limit, most);
}

int rpc_port_number(const struct rpc_port *p) {
    return listener_port(p->listener);
}

const char *rpc_port_name(const struct rpc_port *p) {
    return listener_name(p->listener);
}

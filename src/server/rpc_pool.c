/* The client side of the server RPC. A connection goes from dialled to open to dropped (nothing new
 * is started on it; it closes when what runs on it has ended). An exchange waits for its connection
 * or for leave to open a stream, then runs on a stream of its own, which is kept for the next one
 * only after an answer that was no error.
 *
 * A stream that was opened must carry data: one that is called off before its first byte went out
 * still sends its header (rpc.md 2: the other side would close the whole connection).
 */
#include "server/rpc_pool.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/connect.h"
#include "net/mux.h"
#include "server/rpc_away.h"
#include "server/rpc_insecure.h"
#include "server/rpc_reply.h"
#include "server/secure.h"
#include "server/server_dial.h"

#define TYPE_MULTIPLEX 4
#define IDLE_STREAMS_SERVER 64
#define IDLE_STREAMS_CLIENT 32
#define IDLE_TIME_SERVER (120 * SECOND)
#define IDLE_TIME_CLIENT (127 * SECOND)
#define SPARE_MAX ((size_t)64 << 10)

enum exchange_state {
    EXCHANGE_IDLE,
    EXCHANGE_WAITING, /* in its connection's list: for the dial, or for leave to open a stream */
    EXCHANGE_RUNNING, /* on a stream */
    EXCHANGE_ENDED,   /* in the pool's list: done comes next */
    EXCHANGE_SINGLE,  /* on a connection of its own */
    EXCHANGE_AWAY,    /* in another thread's pool */
};

struct rpc_stream {
    struct yamux_stream *yamux;
    struct rpc_connection *connection;
    struct rpc_exchange *exchange; /* NULL: idle, or only its header is still to be sent */
    struct rpc_stream *next;       /* idle ones, last used first */
    struct buf out;                /* the request's header */
    size_t written;                /* of header and body */
    struct buf in;                 /* of a reply that has not come completely */
    struct rpc_reply reply;
    bool idle;
};

struct rpc_connection {
    struct rpc_pool *pool;
    struct rpc_connection *next, **link; /* all of the pool */
    struct server_dial dial;
    struct mux mux;
    bool open;    /* mux is in use */
    bool dropped; /* no longer in the pool's map */
    bool closing;
    struct rpc_exchange *first, *last; /* waiting */
    struct rpc_stream *idle;
    unsigned idle_count;
    unsigned running;   /* exchanges on streams, and waiting ones */
    int64_t idle_since; /* monotonic; while none is running */
    char key[];
};

struct rpc_pool {
    struct loop *loop;
    bool server;
    int64_t idle_time;
    char source[64];
    char datacenter[256];
    struct secure *secure;
    struct gateways *gateways;
    struct rpc_pool *gateway_home;
    struct map by_key;
    struct rpc_connection *all;
    struct rpc_exchange *ended_first, *ended_last;
    struct rpc_exchange *apart; /* on connections of their own, or away */
    struct loop_timer ended_timer;
    struct loop_timer reaper;
    bool reaping, closed;
    unsigned starting; /* inside rpc_start: what ends is told later */
    unsigned connections, exchanges;
    uint64_t seq;
    struct buf spare;
};

static void connection_pump(struct rpc_connection *c);
static void connection_drop(struct rpc_connection *c);
static void start_on(struct rpc_pool *pool, struct rpc_exchange *x);

/* ---- the end of an exchange ---- */

static void ended_deliver(struct rpc_exchange *x) {
    x->state = EXCHANGE_IDLE;
    x->pool->exchanges--;
    x->done(x);
}

static void ended_fired(struct loop_timer *timer) {
    struct rpc_pool *pool = timer->owner;
    while (pool->ended_first != NULL) {
        struct rpc_exchange *x = pool->ended_first;
        pool->ended_first = x->next;
        if (pool->ended_first == NULL) {
            pool->ended_last = NULL;
        } else {
            pool->ended_first->previous = NULL;
        }
        ended_deliver(x);
    }
}

/* What was reached before keeps its reply or error. */
static void exchange_end(struct rpc_exchange *x) {
    struct rpc_pool *pool = x->pool;
    x->connection = NULL;
    x->stream = NULL;
    if (pool->starting == 0 || pool->closed) {
        ended_deliver(x);
        return;
    }
    x->state = EXCHANGE_ENDED;
    x->next = NULL;
    x->previous = pool->ended_last;
    *(pool->ended_last != NULL ? &pool->ended_last->next : &pool->ended_first) = x;
    pool->ended_last = x;
    loop_timer_set(&pool->ended_timer, 0);
}

static void exchange_fail(struct rpc_exchange *x, const char *prefix, const char *why) {
    error_set(&x->error, ERROR_IO, "%s%s", prefix, why);
    exchange_end(x);
}

/* ---- lists of a connection ---- */

static void waiting_add(struct rpc_connection *c, struct rpc_exchange *x) {
    x->state = EXCHANGE_WAITING;
    x->connection = c;
    x->next = NULL;
    x->previous = c->last;
    *(c->last != NULL ? &c->last->next : &c->first) = x;
    c->last = x;
    c->running++;
}

static void waiting_remove(struct rpc_connection *c, struct rpc_exchange *x) {
    *(x->previous != NULL ? &x->previous->next : &c->first) = x->next;
    *(x->next != NULL ? &x->next->previous : &c->last) = x->previous;
    x->next = x->previous = NULL;
    c->running--;
}

/* After something ended on the connection: a dropped one closes with its last, others may be reaped
 * from now on. */
static void connection_rest(struct rpc_connection *c) {
    struct rpc_pool *pool = c->pool;
    if (c->running > 0 || c->closing || !c->open) {
        return;
    }
    if (c->dropped) {
        c->closing = true;
        mux_close(&c->mux);
        return;
    }
    c->idle_since = time_now_monotonic();
    if (!pool->reaping && !pool->closed) {
        pool->reaping = true;
        loop_timer_set(&pool->reaper, pool->idle_time);
    }
}

/* ---- streams ---- */

static void stream_free(struct rpc_stream *rs) {
    buf_free(&rs->out);
    buf_free(&rs->in);
    mem_free(rs);
}

static void idle_unlink(struct rpc_stream *rs) {
    struct rpc_connection *c = rs->connection;
    struct rpc_stream **link = &c->idle;
    while (*link != rs) {
        link = &(*link)->next;
    }
    *link = rs->next;
    rs->idle = false;
    c->idle_count--;
}

/* Who had it is told elsewhere. */
static void stream_finish_with(struct rpc_stream *rs) {
    yamux_close(rs->yamux);
    stream_free(rs);
}

static void stream_write(struct rpc_stream *rs) {
    struct rpc_exchange *x = rs->exchange;
    struct str body = x != NULL ? x->body : STR_NONE;
    if (rs->written < rs->out.len) {
        rs->written +=
            yamux_write(rs->yamux, rs->out.data + rs->written, rs->out.len - rs->written);
    }
    if (rs->written >= rs->out.len) {
        size_t at = rs->written - rs->out.len;
        if (at < body.len) {
            rs->written += yamux_write(rs->yamux, body.data + at, body.len - at);
        }
    }
}

static void on_stream_writable(struct yamux_stream *y) {
    struct rpc_stream *rs = yamux_stream_owner(y);
    stream_write(rs);
    if (rs->exchange == NULL && rs->written > 0) {
        stream_finish_with(rs);
    }
}

/* The exchange ends without a reply; the connection is no good either (rpc.md 2). */
static void stream_broke(struct rpc_stream *rs, const char *why) {
    struct rpc_connection *c = rs->connection;
    struct rpc_exchange *x = rs->exchange;
    if (rs->idle) {
        idle_unlink(rs);
    }
    stream_free(rs);
    if (x == NULL) {
        return;
    }
    c->running--;
    if (strcmp(why, "EOF") == 0 || strcmp(why, "stream closed") == 0 ||
        strcmp(why, "session shutdown") == 0) {
        connection_drop(c);
    }
    connection_rest(c);
    exchange_fail(x, "rpc error making call: ", why);
}

static const char *cut_short(const struct rpc_stream *rs) {
    return rs->in.len == 0 || rs->in.len == rs->reply.header_len ? "EOF" : "unexpected EOF";
}

static void on_stream_ended(struct yamux_stream *y) {
    struct rpc_stream *rs = yamux_stream_owner(y);
    const char *why = cut_short(rs);
    yamux_close(y);
    stream_broke(rs, why);
}

static void on_stream_gone(struct yamux_stream *y, enum yamux_why why) {
    struct rpc_stream *rs = yamux_stream_owner(y);
    stream_broke(rs, why == YAMUX_RESET ? "connection reset" : cut_short(rs));
}

/* ---- replies ---- */

/* Gives the stream back before the reply is delivered, since that may start the next exchange. */
static void reply_complete(struct rpc_stream *rs, struct str body, bool keep) {
    struct rpc_connection *c = rs->connection;
    struct rpc_pool *pool = c->pool;
    struct rpc_exchange *x = rs->exchange;
    struct buf in = rs->in;
    unsigned most = pool->server ? IDLE_STREAMS_SERVER : IDLE_STREAMS_CLIENT;
    rs->in = BUF_INIT;
    rs->exchange = NULL;
    c->running--;
    if (!keep || error_is_set(&x->error) || c->dropped || c->idle_count >= most) {
        stream_finish_with(rs);
    } else {
        rs->idle = true;
        rs->next = c->idle;
        c->idle = rs;
        c->idle_count++;
    }
    connection_rest(c);
    x->reply = body;
    exchange_end(x);
    if (in.cap > pool->spare.cap && in.cap <= SPARE_MAX) {
        buf_clear(&in);
        buf_free(&pool->spare);
        pool->spare = in;
    } else {
        buf_free(&in);
    }
}

/* Looks at what there is of the reply. True: the exchange has ended. */
static bool reply_look(struct rpc_stream *rs, const char *bytes, size_t len) {
    struct str body = STR_NONE;
    size_t end = 0;
    switch (rpc_reply_look(&rs->reply, bytes, len, &body, &end, &rs->exchange->error)) {
    case RPC_REPLY_MORE:
        return false;
    case RPC_REPLY_DONE:
        reply_complete(rs, body, end == len);
        return true;
    case RPC_REPLY_BAD:
        break;
    }
    reply_complete(rs, STR_NONE, false);
    return true;
}

static size_t on_stream_data(struct yamux_stream *y, const char *bytes, size_t len) {
    struct rpc_stream *rs = yamux_stream_owner(y);
    if (rs->exchange == NULL) { /* nobody asked */
        if (rs->idle) {
            idle_unlink(rs);
            stream_finish_with(rs);
        }
        return len;
    }
    if (rs->in.len > 0) {
        buf_add(&rs->in, bytes, len);
        reply_look(rs, rs->in.data, rs->in.len);
        return len;
    }
    if (!reply_look(rs, bytes, len)) {
        struct rpc_pool *pool = rs->connection->pool;
        if (rs->in.cap == 0) {
            rs->in = pool->spare;
            pool->spare = BUF_INIT;
        }
        buf_add(&rs->in, bytes, len);
    }
    return len;
}

static const struct yamux_stream_handlers stream_handlers = {
    .data = on_stream_data,
    .ended = on_stream_ended,
    .writable = on_stream_writable,
    .gone = on_stream_gone,
};

/* ---- connections ---- */

static void connection_unlink(struct rpc_connection *c) {
    *c->link = c->next;
    if (c->next != NULL) {
        c->next->link = c->link;
    }
    c->pool->connections--;
}

static void connection_free(struct rpc_connection *c) {
    connection_unlink(c);
    mem_free(c);
}

/* Nothing new starts on it. What runs goes on. */
static void connection_drop(struct rpc_connection *c) {
    if (!c->dropped) {
        c->dropped = true;
        map_remove(&c->pool->by_key, str_from(c->key));
    }
}

static void on_mux_openable(struct mux *m) {
    connection_pump(m->owner);
}

/* All streams have been told. Those who wait for one go to a new connection, once. */
static void on_mux_over(struct mux *m, const char *why) {
    (void)why;
    struct rpc_connection *c = m->owner;
    c->closing = true;
    connection_drop(c);
    while (c->first != NULL) {
        struct rpc_exchange *x = c->first;
        waiting_remove(c, x);
        if (x->again || c->pool->closed) {
            exchange_fail(x,
                          "rpc error getting client: failed to start stream: ", "session shutdown");
        } else {
            x->again = true;
            start_on(c->pool, x);
        }
    }
    mux_close(m);
}

static void on_mux_closed(struct mux *m) {
    connection_free(m->owner);
}

static const struct mux_handlers mux_handlers = {
    .openable = on_mux_openable,
    .over = on_mux_over,
    .closed = on_mux_closed,
};

static void connection_failed(struct rpc_connection *c, struct str why) {
    static const char prefix[] = "rpc error getting client: failed to get conn: ";
    const char *others = "rpc error: lead thread didn't get connection";
    struct rpc_exchange *x = c->first;
    struct arena arena = ARENA_INIT;
    const char *text = str_terminated(&arena, why);
    connection_drop(c);
    while (x != NULL) {
        waiting_remove(c, x);
        exchange_fail(x, prefix, text);
        text = others;
        x = c->first;
    }
    arena_free(&arena);
    connection_free(c);
}

static void on_dialled(void *owner, struct stream_detached *connection, const struct error *e) {
    struct rpc_connection *c = owner;
    server_dial_over(&c->dial);
    if (connection == NULL) {
        connection_failed(c, e->text);
        return;
    }
    mux_init(&c->mux, c->pool->loop, connection, YAMUX_CLIENT, &mux_handlers, c);
    c->open = true;
    if (!c->dial.native) {
        buf_add_char(stream_out(&c->mux.stream), TYPE_MULTIPLEX);
    }
    mux_start(&c->mux);
    connection_pump(c);
    connection_rest(c); /* all who waited may be gone */
}

static struct rpc_connection *connection_new(struct rpc_pool *pool, struct str key) {
    struct rpc_connection *c = mem_zalloc(1, sizeof(*c) + key.len + 1);
    memcpy(c->key, key.data, key.len);
    c->pool = pool;
    c->next = pool->all;
    c->link = &pool->all;
    if (c->next != NULL) {
        c->next->link = &c->next;
    }
    pool->all = c;
    pool->connections++;
    map_put(&pool->by_key, key, c);
    return c;
}

static struct server_dial_options dial_options(const struct rpc_pool *pool,
                                               const struct rpc_exchange *x) {
    return (struct server_dial_options){.address = x->address,
                                        .datacenter = x->datacenter,
                                        .node = x->node,
                                        .source = str_from(pool->source),
                                        .protocol = SECURE_NATIVE_MULTIPLEX,
                                        .own_datacenter = str_from(pool->datacenter),
                                        .secure = pool->secure,
                                        .gateways = pool->gateways};
}

static struct rpc_connection *connection_dial(struct rpc_pool *pool,
                                              const struct server_dial_options *o, struct str key) {
    if (pool->closed) {
        return NULL;
    }
    struct rpc_connection *c = connection_new(pool, key);
    if (server_dial_start(&c->dial, pool->loop, o, on_dialled, c)) {
        return c;
    }
    connection_drop(c);
    connection_free(c);
    return NULL;
}

/* ---- starting ---- */

static void exchange_run(struct rpc_stream *rs, struct rpc_exchange *x) {
    struct rpc_pool *pool = x->pool;
    x->state = EXCHANGE_RUNNING;
    x->stream = rs;
    rs->exchange = x;
    rs->connection->running++;
    rs->written = 0;
    buf_clear(&rs->out);
    rpc_write_request(&rs->out, ++pool->seq, x->method);
    rpc_reply_begin(&rs->reply);
    stream_write(rs);
}

/* NULL: none to be had now. *wait: there will be, or the connection ends. */
static struct rpc_stream *stream_take(struct rpc_connection *c, bool *wait) {
    struct rpc_stream *rs = c->idle;
    if (rs != NULL) {
        idle_unlink(rs);
        return rs;
    }
    rs = MEM_NEW(struct rpc_stream);
    rs->connection = c;
    rs->yamux = yamux_open(c->mux.yamux, &stream_handlers, rs, wait);
    if (rs->yamux == NULL) {
        mem_free(rs);
        return NULL;
    }
    return rs;
}

/* Lets those who wait have streams. */
static void connection_pump(struct rpc_connection *c) {
    while (c->first != NULL && c->open && !c->closing) {
        bool wait = false;
        struct rpc_stream *rs = stream_take(c, &wait);
        if (rs == NULL && wait) {
            break;
        }
        struct rpc_exchange *x = c->first;
        waiting_remove(c, x);
        if (rs != NULL) {
            exchange_run(rs, x);
            continue;
        }
        connection_drop(c);
        if (x->again) {
            exchange_fail(x,
                          "rpc error getting client: failed to start stream: ", "session shutdown");
        } else {
            x->again = true;
            start_on(c->pool, x);
        }
    }
    if (c->open && !c->closing) {
        mux_flush(&c->mux);
    }
}

static void start_on(struct rpc_pool *pool, struct rpc_exchange *x) {
    struct arena arena = ARENA_INIT;
    const struct server_dial_options o = dial_options(pool, x);
    /* Addresses of different datacenters may be the same: behind gateways the name counts. */
    struct str key = server_dial_is_behind(&o) ? str_format(&arena, STR_FMT "." STR_FMT,
                                                            STR_ARG(o.node), STR_ARG(o.datacenter))
                                               : x->address;
    struct rpc_connection *c = map_get(&pool->by_key, key);
    if (c == NULL) {
        c = connection_dial(pool, &o, key);
    }
    arena_free(&arena);
    if (c == NULL) {
        exchange_fail(x, "rpc error getting client: failed to get conn: ",
                      pool->closed ? "rpc error: shutdown" : "invalid address");
        return;
    }
    waiting_add(c, x);
    connection_pump(c);
}

/* ---- apart from the pool's connections ---- */

static void apart_add(struct rpc_pool *pool, struct rpc_exchange *x, enum exchange_state state) {
    x->state = (uint8_t)state;
    x->previous = NULL;
    x->next = pool->apart;
    if (x->next != NULL) {
        x->next->previous = x;
    }
    pool->apart = x;
}

static void apart_remove(struct rpc_pool *pool, struct rpc_exchange *x) {
    *(x->previous != NULL ? &x->previous->next : &pool->apart) = x->next;
    if (x->next != NULL) {
        x->next->previous = x->previous;
    }
    x->next = x->previous = NULL;
}

/* Called off: nothing is told of it any more. */
static void apart_cancel(struct rpc_pool *pool, struct rpc_exchange *x) {
    apart_remove(pool, x);
    if (x->state == EXCHANGE_SINGLE) {
        rpc_insecure_cancel(x->single);
    } else {
        rpc_away_cancel(x->away);
    }
    x->single = NULL;
    x->away = NULL;
}

static void single_done(void *owner, struct str reply, const struct error *e) {
    struct rpc_exchange *x = owner;
    apart_remove(x->pool, x);
    x->single = NULL;
    if (reply.data == NULL) {
        error_copy(&x->error, e);
    }
    x->reply = reply;
    exchange_end(x);
}

static void start_single(struct rpc_pool *pool, struct rpc_exchange *x) {
    struct str datacenter = x->datacenter.len > 0 ? x->datacenter : str_from(pool->datacenter);
    if (pool->closed || pool->secure == NULL) {
        exchange_fail(x, "rpcinsecure error establishing connection: ", "rpc error: shutdown");
        return;
    }
    struct rpc_insecure_options options = {.address = x->address,
                                           .source = str_from(pool->source),
                                           .tls = secure_dial_insecure(pool->secure, datacenter),
                                           .method = x->method,
                                           .body = x->body};
    apart_add(pool, x, EXCHANGE_SINGLE);
    x->single = rpc_insecure_start(pool->loop, &options, single_done, x);
}

static void away_done(void *owner, const struct rpc_exchange *inner) {
    struct rpc_exchange *x = owner;
    apart_remove(x->pool, x);
    x->away = NULL;
    if (error_is_set(&inner->error)) {
        error_copy(&x->error, &inner->error);
    }
    x->reply = inner->reply;
    exchange_end(x);
}

static bool is_away(const struct rpc_pool *pool, const struct rpc_exchange *x) {
    const struct server_dial_options o = dial_options(pool, x);
    return pool->gateway_home != NULL && !pool->closed && server_dial_is_behind(&o);
}

void rpc_start(struct rpc_pool *pool, struct rpc_exchange *x) {
    ASSERT(x->state == EXCHANGE_IDLE && loop_is_current(pool->loop));
    x->pool = pool;
    x->error = ERROR_IN(x->arena);
    x->reply = STR_NONE;
    x->connection = NULL;
    x->stream = NULL;
    x->single = NULL;
    x->away = NULL;
    x->again = false;
    pool->exchanges++;
    pool->starting++;
    if (pool->exchanges > RPC_EXCHANGES_MAX) {
        error_set(&x->error, ERROR_RATE_LIMIT, "RPC rate limit exceeded");
        exchange_end(x);
    } else if (x->insecure) {
        start_single(pool, x);
    } else if (is_away(pool, x)) {
        apart_add(pool, x, EXCHANGE_AWAY);
        x->away = rpc_away_start(pool->gateway_home, pool->loop, x, away_done, x);
    } else {
        start_on(pool, x);
    }
    pool->starting--;
}

static void ended_remove(struct rpc_pool *pool, struct rpc_exchange *x) {
    *(x->previous != NULL ? &x->previous->next : &pool->ended_first) = x->next;
    *(x->next != NULL ? &x->next->previous : &pool->ended_last) = x->previous;
}

void rpc_cancel(struct rpc_exchange *x) {
    struct rpc_pool *pool = x->pool;
    struct rpc_connection *c = x->connection;
    if (x->state == EXCHANGE_IDLE) {
        return;
    }
    pool->starting++; /* nothing is told inside */
    if (x->state == EXCHANGE_ENDED) {
        ended_remove(pool, x);
    } else if (x->state == EXCHANGE_SINGLE || x->state == EXCHANGE_AWAY) {
        apart_cancel(pool, x);
    } else if (x->state == EXCHANGE_WAITING) {
        waiting_remove(c, x);
    } else {
        struct rpc_stream *rs = x->stream;
        rs->exchange = NULL;
        c->running--;
        if (rs->written > 0) {
            stream_finish_with(rs);
            mux_flush(&c->mux);
        }
    }
    if (c != NULL) {
        connection_rest(c);
    }
    pool->starting--;
    pool->exchanges--;
    x->state = EXCHANGE_IDLE;
    x->connection = NULL;
    x->stream = NULL;
}

/* ---- the pool ---- */

static void reaper_fired(struct loop_timer *timer) {
    struct rpc_pool *pool = timer->owner;
    int64_t now = time_now_monotonic();
    int64_t wait = 0;
    pool->reaping = false;
    for (struct rpc_connection *c = pool->all, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->open || c->closing || c->running > 0) {
            continue;
        }
        int64_t left = c->idle_since + pool->idle_time - now;
        if (left <= 0) {
            c->closing = true;
            connection_drop(c);
            mux_close(&c->mux);
        } else if (wait == 0 || left < wait) {
            wait = left;
        }
    }
    if (wait > 0) {
        pool->reaping = true;
        loop_timer_set(&pool->reaper, wait);
    }
}

struct rpc_pool *rpc_pool_new(struct loop *loop, const struct rpc_pool_options *options) {
    struct rpc_pool *pool = MEM_NEW(struct rpc_pool);
    pool->loop = loop;
    pool->server = options->server;
    pool->idle_time = options->idle_time > 0 ? options->idle_time
                      : options->server      ? IDLE_TIME_SERVER
                                             : IDLE_TIME_CLIENT;
    if (options->source.len < sizeof(pool->source)) {
        memcpy(pool->source, options->source.data, options->source.len);
    }
    if (options->datacenter.len < sizeof(pool->datacenter)) {
        memcpy(pool->datacenter, options->datacenter.data, options->datacenter.len);
    }
    pool->secure = options->secure;
    pool->gateways = options->gateways;
    pool->gateway_home = options->gateway_home;
    loop_timer_init(loop, &pool->ended_timer, ended_fired, pool);
    loop_timer_init(loop, &pool->reaper, reaper_fired, pool);
    return pool;
}

void rpc_pool_close(struct rpc_pool *pool) {
    if (pool->closed) {
        return;
    }
    pool->closed = true;
    for (struct rpc_connection *c = pool->all, *next; c != NULL; c = next) {
        next = c->next;
        if (server_dial_is_under_way(&c->dial)) {
            server_dial_cancel(&c->dial);
            connection_failed(c, STR("rpc error: shutdown"));
        } else if (!c->closing) {
            c->closing = true;
            mux_close(&c->mux);
        }
    }
    while (pool->apart != NULL) {
        struct rpc_exchange *x = pool->apart;
        bool single = x->state == EXCHANGE_SINGLE;
        apart_cancel(pool, x);
        exchange_fail(x, single ? "rpcinsecure error making call: " : "rpc error making call: ",
                      "rpc error: shutdown");
    }
    ended_fired(&pool->ended_timer);
    loop_timer_stop(&pool->ended_timer);
    loop_timer_stop(&pool->reaper);
    loop_timer_close(&pool->ended_timer, NULL);
    loop_timer_close(&pool->reaper, NULL);
}

void rpc_pool_free(struct rpc_pool *pool) {
    if (pool == NULL) {
        return;
    }
    ASSERT(pool->closed && pool->all == NULL && pool->exchanges == 0);
    map_free(&pool->by_key);
    buf_free(&pool->spare);
    mem_free(pool);
}

struct loop *rpc_pool_loop(const struct rpc_pool *pool) {
    return pool->loop;
}

unsigned rpc_pool_connections(const struct rpc_pool *pool) {
    return pool->connections;
}

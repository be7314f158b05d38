/* Lines of requests on the streams of a session and on plain connections. */
#include "server/rpc_serve.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/mux.h"
#include "server/rpc_line.h"

#define LOGGER "agent.server.rpc"
#define SINGLE_BACKLOG ((size_t)256 << 10)

/* ---- what all connections have ---- */

void rpc_link_add(struct rpc_link *l, struct rpc_home *h, const struct peer_address *from,
                  struct rpc_lease *lease, void (*close)(struct rpc_link *l)) {
    char address[56];
    peer_address_format(from, address);
    snprintf(l->from, sizeof(l->from), "from=%s", address);
    l->home = h;
    l->lease = lease;
    l->close = close;
    l->next = h->first;
    if (l->next != NULL) {
        l->next->previous = l;
    }
    h->first = l;
}

void rpc_link_remove(struct rpc_link *l) {
    struct rpc_home *h = l->home;
    if (l->previous != NULL) {
        l->previous->next = l->next;
    } else {
        h->first = l->next;
    }
    if (l->next != NULL) {
        l->next->previous = l->previous;
    }
    rpc_lease_release(l->lease);
    mem_free(l);
    if (h->closing && h->first == NULL) {
        h->emptied(h);
    }
}

void rpc_home_close(struct rpc_home *h) {
    struct rpc_link *next;
    if (h->first == NULL) {
        h->closing = true;
        h->emptied(h);
        return;
    }
    h->closing = true;
    for (struct rpc_link *l = h->first; l != NULL; l = next) {
        next = l->next;
        l->close(l);
    }
}

/* ---- sessions ---- */

/* The peer's server takes a session's streams one by one: the next is accepted when the one before
 * has sent a byte, and a stream that ends without one ends the connection (rpc.md 2, "server
 * loop"). */
struct mux_link {
    struct rpc_link link;
    struct mux mux;
    struct mux_line *waiting; /* for its first byte */
    bool accepting;
    bool told; /* why it ends has been logged */
};

struct mux_line {
    struct rpc_line line;
    struct yamux_stream *stream;
    struct mux_link *link;
    bool spoke; /* its first byte has come */
};

static void mux_line_free(struct mux_line *ml) {
    rpc_line_free(&ml->line);
    mem_free(ml);
}

static size_t mux_line_write(struct rpc_line *l, struct str bytes) {
    struct mux_line *ml = CONTAINER_OF(l, struct mux_line, line);
    return yamux_write(ml->stream, bytes.data, bytes.len);
}

static void mux_line_flush(struct rpc_line *l) {
    struct mux_line *ml = CONTAINER_OF(l, struct mux_line, line);
    mux_flush(&ml->link->mux);
}

static void mux_line_set_busy(struct rpc_line *l, bool busy) {
    struct mux_line *ml = CONTAINER_OF(l, struct mux_line, line);
    yamux_set_busy(ml->stream, busy);
}

static void mux_line_end(struct rpc_line *l) {
    struct mux_line *ml = CONTAINER_OF(l, struct mux_line, line);
    struct mux *mux = &ml->link->mux;
    yamux_close(ml->stream);
    mux_line_free(ml);
    mux_flush(mux);
}

static const struct rpc_line_carrier mux_carrier = {
    .write = mux_line_write,
    .flush = mux_line_flush,
    .set_busy = mux_line_set_busy,
    .end = mux_line_end,
};

static void accept_streams(struct mux_link *link);

/* The first byte of a stream. False: the stream is not served, and closed. */
static bool mux_line_first(struct mux_line *ml, uint8_t byte) {
    ml->spoke = true;
    ml->link->waiting = NULL;
    if (byte != 6) {
        return true;
    }
    log_at(LOG_ERROR, LOGGER, "unrecognized RPC byte", LOG_I("byte", byte),
           LOG_C("conn", ml->link->link.from));
    yamux_close(ml->stream);
    mux_line_free(ml);
    return false;
}

static size_t on_stream_data(struct yamux_stream *s, const char *bytes, size_t len) {
    struct mux_line *ml = yamux_stream_owner(s);
    struct mux_link *link = ml->link;
    if (ml->spoke) {
        return rpc_line_data(&ml->line, bytes, len);
    }
    size_t taken = len;
    if (mux_line_first(ml, (uint8_t)bytes[0])) {
        taken = rpc_line_data(&ml->line, bytes, len);
    }
    accept_streams(link);
    return taken;
}

/* A stream ended before it spoke. */
static void end_session(struct mux_link *link, const char *why) {
    log_at(LOG_ERROR, LOGGER, "Problem peeking connection", LOG_C("conn", link->link.from),
           LOG_C("err", why));
    link->waiting = NULL;
    link->told = true;
    mux_close(&link->mux);
}

static void on_stream_ended(struct yamux_stream *s) {
    struct mux_line *ml = yamux_stream_owner(s);
    if (ml->spoke) {
        rpc_line_ended(&ml->line);
        return;
    }
    struct mux_link *link = ml->link;
    yamux_close(s);
    mux_line_free(ml);
    end_session(link, "EOF");
}

static void on_stream_writable(struct yamux_stream *s) {
    struct mux_line *ml = yamux_stream_owner(s);
    rpc_line_writable(&ml->line);
}

static void on_stream_gone(struct yamux_stream *s, enum yamux_why why) {
    struct mux_line *ml = yamux_stream_owner(s);
    struct mux_link *link = ml->link;
    bool spoke = ml->spoke;
    mux_line_free(ml);
    if (!spoke) {
        link->waiting = NULL;
    }
    if (!spoke && why == YAMUX_RESET) {
        end_session(link, "connection reset");
    }
}

static const struct yamux_stream_handlers stream_handlers = {
    .data = on_stream_data,
    .ended = on_stream_ended,
    .writable = on_stream_writable,
    .gone = on_stream_gone,
};

static void accept_streams(struct mux_link *link) {
    if (link->accepting) {
        return; /* the loop below goes on */
    }
    link->accepting = true;
    while (link->waiting == NULL) {
        struct mux_line *ml = MEM_NEW(struct mux_line);
        struct yamux_stream *s = yamux_accept(link->mux.yamux, &stream_handlers, ml);
        if (s == NULL) {
            mem_free(ml);
            break;
        }
        ml->line = (struct rpc_line){
            .carrier = &mux_carrier, .server = link->link.home->server, .from = link->link.from};
        if (!rpc_line_open(&ml->line)) {
            log_at(LOG_WARN, LOGGER, "too many streams wait: one is refused",
                   LOG_C("conn", link->link.from));
            yamux_reset(s);
            mem_free(ml);
            continue;
        }
        ml->stream = s;
        ml->link = link;
        link->waiting = ml;
        yamux_set_busy(s, false); /* what came before it was accepted */
    }
    link->accepting = false;
}

static void on_incoming(struct mux *m) {
    accept_streams(m->owner);
}

static void on_mux_over(struct mux *m, const char *why) {
    struct mux_link *link = m->owner;
    if (!link->told && !str_is(STR("EOF"), why) && !link->link.home->closing) {
        log_at(LOG_ERROR, LOGGER, "multiplex conn accept failed", LOG_C("conn", link->link.from),
               LOG_C("error", why));
    }
}

static void on_mux_closed(struct mux *m) {
    struct mux_link *link = m->owner;
    rpc_link_remove(&link->link);
}

static const struct mux_handlers mux_handlers = {
    .incoming = on_incoming,
    .over = on_mux_over,
    .closed = on_mux_closed,
};

static void mux_link_close(struct rpc_link *l) {
    struct mux_link *link = CONTAINER_OF(l, struct mux_link, link);
    mux_close(&link->mux);
}

void rpc_serve_mux(struct rpc_home *h, struct stream_detached *connection,
                   const struct peer_address *from, struct rpc_lease *lease) {
    struct mux_link *link = MEM_NEW(struct mux_link);
    rpc_link_add(&link->link, h, from, lease, mux_link_close);
    mux_init(&link->mux, h->loop, connection, YAMUX_SERVER, &mux_handlers, link);
    mux_start(&link->mux);
}

/* ---- plain connections ---- */

struct single_link {
    struct rpc_link link;
    struct stream stream;
    struct rpc_line line;
    bool opened; /* the line */
};

static struct single_link *single_of(struct stream *s) {
    return CONTAINER_OF(s, struct single_link, stream);
}

static size_t single_write(struct rpc_line *l, struct str bytes) {
    struct stream *s = &CONTAINER_OF(l, struct single_link, line)->stream;
    size_t taken = 0;
    while (taken < bytes.len) {
        size_t backlog = stream_backlog(s);
        if (backlog >= SINGLE_BACKLOG) {
            stream_push(s);
            if (s->closing || stream_backlog(s) > 0) {
                break; /* on_single_drained, or closed, follows */
            }
            backlog = 0;
        }
        struct str part = str_sub(bytes, taken, SINGLE_BACKLOG - backlog);
        buf_add_str(stream_out(s), part);
        taken += part.len;
    }
    return taken;
}

static void single_flush(struct rpc_line *l) {
    stream_flush(&CONTAINER_OF(l, struct single_link, line)->stream);
}

static void single_set_busy(struct rpc_line *l, bool busy) {
    stream_set_busy(&CONTAINER_OF(l, struct single_link, line)->stream, busy);
}

static void single_end(struct rpc_line *l) {
    stream_finish(&CONTAINER_OF(l, struct single_link, line)->stream);
}

static const struct rpc_line_carrier single_carrier = {
    .write = single_write,
    .flush = single_flush,
    .set_busy = single_set_busy,
    .end = single_end,
};

static size_t on_single_data(struct stream *s, const char *bytes, size_t len) {
    struct single_link *link = single_of(s);
    return link->line.over ? len : rpc_line_data(&link->line, bytes, len);
}

static void on_single_ended(struct stream *s) {
    struct single_link *link = single_of(s);
    if (!link->line.over) {
        rpc_line_ended(&link->line);
    }
}

static void on_single_drained(struct stream *s) {
    struct single_link *link = single_of(s);
    if (!link->line.over) {
        rpc_line_writable(&link->line);
    }
}

static void on_single_closed(struct stream *s) {
    struct single_link *link = single_of(s);
    if (link->opened) {
        rpc_line_free(&link->line);
    }
    rpc_link_remove(&link->link);
}

static const struct stream_handlers single_handlers = {
    .data = on_single_data,
    .ended = on_single_ended,
    .drained = on_single_drained,
    .expired = stream_close,
    .closed = on_single_closed,
};

static void single_close(struct rpc_link *l) {
    stream_close(&CONTAINER_OF(l, struct single_link, link)->stream);
}

static void serve_single(struct rpc_home *h, struct stream_detached *connection,
                         const struct peer_address *from, struct rpc_lease *lease, bool insecure) {
    struct single_link *link = MEM_NEW(struct single_link);
    rpc_link_add(&link->link, h, from, lease, single_close);
    link->line = (struct rpc_line){.carrier = &single_carrier,
                                   .server = h->server,
                                   .from = link->link.from,
                                   .insecure = insecure};
    bool room = rpc_line_open(&link->line);
    stream_attach(&link->stream, h->loop, connection, &single_handlers);
    link->opened = room;
    if (room) {
        stream_set_busy(&link->stream, false);
    } else {
        stream_close(&link->stream);
    }
}

void rpc_serve_single(struct rpc_home *h, struct stream_detached *connection,
                      const struct peer_address *from, struct rpc_lease *lease) {
    serve_single(h, connection, from, lease, false);
}

void rpc_serve_insecure(struct rpc_home *h, struct stream_detached *connection,
                        const struct peer_address *from, struct rpc_lease *lease) {
    serve_single(h, connection, from, lease, true);
}

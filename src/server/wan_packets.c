/* See wan_packets.h. */
#include "server/wan_packets.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "gossip/carried.h"
#include "server/secure.h"
#include "server/wan_dial.h"

#define IDLE (120 * SECOND)
#define LINKS_MOST 1024               /* that are dialled */
#define WAITING_MAX ((size_t)1 << 18) /* bytes of a link that wait to be sent */

struct out_link {
    struct wan_packets *home;
    struct out_link *next, **link;
    struct wan_dial *dial; /* while it is being made */
    struct buf waiting;    /* meanwhile */
    struct str name;       /* the member's */
    struct str address;
    struct stream stream;
    struct arena arena;
    bool open;
};

struct in_link {
    struct wan_packets *home;
    struct in_link *next, **link;
    struct stream stream;
    struct carried carried;
    struct peer_address from;
    struct rpc_lease *lease;
};

struct wan_packets {
    struct wan_packets_options options;
    struct out_link *out;
    struct in_link *in;
    size_t out_count;
    bool closed;
};

/* ---- to others ---- */

static struct out_link *out_of(struct stream *s) {
    return CONTAINER_OF(s, struct out_link, stream);
}

static void out_unlink(struct out_link *l) {
    if (l->link == NULL)
        return;
    *l->link = l->next;
    if (l->next != NULL)
        l->next->link = l->link;
    l->link = NULL;
    l->home->out_count--;
}

static void out_free(struct out_link *l) {
    out_unlink(l);
    buf_free(&l->waiting);
    struct arena arena = l->arena;
    arena_free(&arena);
}

static size_t out_data(struct stream *s, const char *bytes, size_t len) {
    (void)s;
    (void)bytes;
    return len; /* nothing is said in this direction */
}

/* Nothing is sent on it any more, so that the next packet has a connection of its own. */
static void out_close(struct stream *s) {
    out_unlink(out_of(s));
    stream_close(s);
}

static void out_closed(struct stream *s) {
    out_free(out_of(s));
}

static const struct stream_handlers out_handlers = {
    .data = out_data, .ended = out_close, .expired = out_close, .closed = out_closed};

static void send_now(struct out_link *l, struct str framed) {
    if (stream_backlog(&l->stream) + framed.len > WAITING_MAX)
        return; /* the network is slower than we are: as a full buffer of UDP's */
    buf_add_str(stream_out(&l->stream), framed);
    stream_set_deadline(&l->stream, IDLE);
    stream_flush(&l->stream);
}

static void on_dialled(void *owner, struct stream_detached *connection, const struct error *e) {
    struct out_link *l = owner;
    l->dial = NULL;
    if (connection == NULL) {
        log_at(LOG_ERROR, l->home->options.logger, "memberlist: Failed to send packet",
               LOG_S("node", l->name), LOG_S("address", l->address), LOG_S("error", e->text));
        out_free(l);
        return;
    }
    l->open = true;
    stream_attach(&l->stream, l->home->options.core, connection, &out_handlers);
    send_now(l, buf_str(&l->waiting));
    buf_free(&l->waiting);
    stream_set_busy(&l->stream, false);
}

static struct out_link *out_find(const struct wan_packets *w, struct str name) {
    struct out_link *l = w->out;
    while (l != NULL && !str_eq(l->name, name))
        l = l->next;
    return l;
}

static struct out_link *out_new(struct wan_packets *w, struct str name, struct str address) {
    struct arena arena = ARENA_INIT;
    struct out_link *l = ARENA_NEW(&arena, struct out_link);
    l->arena = arena;
    l->home = w;
    l->name = str_copy(&l->arena, name);
    l->address = str_copy(&l->arena, address);
    l->waiting = BUF_INIT;
    l->next = w->out;
    l->link = &w->out;
    if (l->next != NULL)
        l->next->link = &l->next;
    w->out = l;
    w->out_count++;
    const struct wan_dial_options options = {.node = l->name,
                                             .protocol = SECURE_NATIVE_GOSSIP_PACKETS};
    l->dial = wan_dial_start(w->options.gateways, w->options.core, &options, on_dialled, l);
    return l;
}

void wan_packets_send(struct wan_packets *w, struct str name, struct str address,
                      struct str bytes) {
    struct out_link *l = out_find(w, name);
    if (w->closed || (l == NULL && w->out_count >= LINKS_MOST))
        return;
    if (l == NULL)
        l = out_new(w, name, address);
    struct buf framed = BUF_INIT;
    carried_add(&framed, bytes);
    if (l->open)
        send_now(l, buf_str(&framed));
    else if (l->waiting.len + framed.len <= WAITING_MAX)
        buf_add_str(&l->waiting, buf_str(&framed));
    buf_free(&framed);
}

/* ---- from others ---- */

static struct in_link *in_of(struct stream *s) {
    return CONTAINER_OF(s, struct in_link, stream);
}

static void in_failed(const struct in_link *l, struct str why) {
    char from[64] = "from=";
    peer_address_format(&l->from, from + 5);
    log_at(LOG_ERROR, "agent.server.rpc", "failed to ingest RPC",
           LOG_S("sni", l->stream.tls != NULL ? tls_server_name(l->stream.tls) : STR_NONE),
           LOG_C("protocol", SECURE_NATIVE_GOSSIP_PACKETS), LOG_C("conn", from),
           LOG_S("error", why));
}

static size_t in_data(struct stream *s, const char *bytes, size_t len) {
    struct in_link *l = in_of(s);
    struct wan_packets *w = l->home;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str rest = str_of(bytes, len), packet;
    enum carried_status status = CARRIED_MORE;
    while (!s->closing &&
           (status = carried_take(&l->carried, &rest, &packet, &e)) == CARRIED_PACKET)
        w->options.packet(w->options.owner, &l->from, packet);
    if (status == CARRIED_BAD) {
        in_failed(l, e.text);
        stream_close(s);
    } else if (!s->closing && rest.len < len) {
        stream_set_deadline(s, IDLE);
    }
    arena_free(&arena);
    return len - rest.len;
}

static void in_ended(struct stream *s) {
    struct in_link *l = in_of(s);
    if (l->stream.in.len > 0 || l->carried.skip > 0)
        in_failed(l, STR("unexpected EOF"));
    stream_close(s);
}

static void in_closed(struct stream *s) {
    struct in_link *l = in_of(s);
    *l->link = l->next;
    if (l->next != NULL)
        l->next->link = l->link;
    rpc_lease_release(l->lease);
    mem_free(l);
}

static const struct stream_handlers in_handlers = {
    .data = in_data, .ended = in_ended, .expired = stream_close, .closed = in_closed};

void wan_packets_accept(struct wan_packets *w, struct stream_detached *connection,
                        const struct peer_address *from, struct rpc_lease *lease) {
    if (w->closed) {
        stream_detached_drop(connection);
        rpc_lease_release(lease);
        return;
    }
    struct in_link *l = MEM_NEW(struct in_link);
    l->home = w;
    l->from = *from;
    l->lease = lease;
    l->next = w->in;
    l->link = &w->in;
    if (l->next != NULL)
        l->next->link = &l->next;
    w->in = l;
    stream_attach(&l->stream, w->options.core, connection, &in_handlers);
    stream_set_deadline(&l->stream, IDLE);
    stream_set_busy(&l->stream, false);
}

/* ---- life ---- */

struct wan_packets *wan_packets_new(const struct wan_packets_options *options) {
    struct wan_packets *w = MEM_NEW(struct wan_packets);
    w->options = *options;
    return w;
}

void wan_packets_close(struct wan_packets *w) {
    w->closed = true;
    for (struct out_link *l = w->out, *next; l != NULL; l = next) {
        next = l->next;
        if (l->open) {
            stream_close(&l->stream);
        } else {
            wan_dial_cancel(l->dial);
            out_free(l);
        }
    }
    for (struct in_link *l = w->in; l != NULL; l = l->next)
        stream_close(&l->stream);
}

void wan_packets_free(struct wan_packets *w) {
    mem_free(w);
}

/* The gossip driver's streams: dialled, directly or through a mesh gateway, and accepted, on the
 * gossip port or (through a gateway) on the server port. See gossip_driver_room.h.
 */
#include "base/mem.h"
#include "net/dial.h"
#include "server/gossip_driver_room.h"
#include "server/secure.h"
#include "server/wan_dial.h"
#include "server/wan_packets.h"

/* What a stream may have waiting to be sent before it is given up: the answer to a push/pull. */
#define STREAM_BACKLOG_MAX (2 * (size_t)GOSSIP_STREAM_MAX)

static struct gossip_stream *stream_find(struct gossip_driver *d, uint64_t id) {
    for (struct gossip_stream *s = d->streams; s != NULL; s = s->next) {
        if (s->id == id)
            return s;
    }
    return NULL;
}

static struct gossip_stream *stream_new(struct gossip_driver *d, uint64_t id) {
    struct gossip_stream *s = MEM_NEW(struct gossip_stream);
    s->driver = d;
    s->id = id;
    s->next = d->streams;
    if (s->next != NULL)
        s->next->previous = s;
    d->streams = s;
    return s;
}

static void stream_free(struct gossip_stream *s) {
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        s->driver->streams = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    buf_free(&s->waiting);
    rpc_lease_release(s->lease);
    mem_free(s);
}

/* The core hears of its end, once. */
static void stream_tell_closed(struct gossip_stream *s, struct str text) {
    uint64_t id = s->id;
    s->id = 0;
    if (id == 0)
        return;
    struct gossip_event event = {.kind = GOSSIP_EVENT_STREAM_CLOSED,
                                 .stream = {.id = id, .text = text}};
    gossip_driver_step(s->driver, &event);
}

static size_t on_data(struct stream *stream, const char *bytes, size_t len) {
    struct gossip_stream *s = CONTAINER_OF(stream, struct gossip_stream, stream);
    if (s->id != 0) {
        struct gossip_event event = {.kind = GOSSIP_EVENT_STREAM_DATA,
                                     .stream = {.id = s->id, .bytes = str_of(bytes, len)}};
        gossip_driver_step(s->driver, &event);
    }
    return len;
}

static void on_ended(struct stream *stream) {
    stream_tell_closed(CONTAINER_OF(stream, struct gossip_stream, stream), STR(""));
    stream_close(stream);
}

static void on_expired(struct stream *stream) {
    stream_close(stream); /* no deadline is ever set: time limits are the core's */
}

static void on_closed(struct stream *stream) {
    struct gossip_stream *s = CONTAINER_OF(stream, struct gossip_stream, stream);
    stream_tell_closed(s, STR("connection reset by peer"));
    stream_free(s);
}

static const struct stream_handlers stream_handlers = {
    .data = on_data, .ended = on_ended, .expired = on_expired, .closed = on_closed};

/* What came along waits until the stream is no longer busy. */
static void stream_begin(struct gossip_stream *s, struct stream_detached *connection) {
    s->open = true;
    stream_attach(&s->stream, s->driver->core, connection, &stream_handlers);
    if (s->waiting.len > 0) {
        buf_add_str(stream_out(&s->stream), buf_str(&s->waiting));
        buf_free(&s->waiting);
        stream_flush(&s->stream);
    }
}

static void on_connected(void *owner, struct stream_detached *connection, const struct error *e) {
    struct gossip_stream *s = owner;
    s->wan_dial = NULL;
    if (connection == NULL) {
        stream_tell_closed(s, e->text);
        stream_free(s);
        return;
    }
    uint64_t id = s->id;
    stream_begin(s, connection);
    struct gossip_event event = {.kind = GOSSIP_EVENT_STREAM_OPENED, .stream = {.id = id}};
    gossip_driver_step(s->driver, &event);
    stream_set_busy(&s->stream, false);
}

static void on_dialled(void *owner, int fd, const struct error *e) {
    struct gossip_stream *s = owner;
    struct stream_detached connection = {.fd = fd};
    s->dial = NULL;
    on_connected(s, fd >= 0 ? &connection : NULL, e);
}

bool gossip_is_behind_gateway(const struct gossip_driver *d, struct str name) {
    return d->options.gateways != NULL && gateway_member_is_remote(name, d->options.datacenter);
}

void gossip_stream_dial(struct gossip_driver *d, const struct gossip_action *a) {
    char text[GOSSIP_ADDRESS_TEXT];
    struct gossip_stream *s = stream_new(d, a->stream.id);
    if (gossip_is_behind_gateway(d, a->stream.name)) {
        const struct wan_dial_options options = {.node = a->stream.name,
                                                 .protocol = SECURE_NATIVE_GOSSIP_STREAM,
                                                 .timeout = d->options.core.timing->stream_timeout};
        s->wan_dial = wan_dial_start(d->options.gateways, d->core, &options, on_connected, s);
        return;
    }
    struct dial_target target = {.ip = gossip_address_ip(&a->stream.to, text),
                                 .port = a->stream.to.port,
                                 .timeout = d->options.core.timing->stream_timeout};
    s->dial = dial_start(d->core, &target, on_dialled, s);
}

void gossip_stream_write(struct gossip_driver *d, const struct gossip_action *a) {
    struct gossip_stream *s = stream_find(d, a->stream.id);
    if (s == NULL)
        return;
    if (!s->open) {
        buf_add_str(&s->waiting, a->stream.bytes);
        return;
    }
    buf_add_str(stream_out(&s->stream), a->stream.bytes);
    stream_flush(&s->stream);
    if (stream_backlog(&s->stream) > STREAM_BACKLOG_MAX)
        stream_close(&s->stream);
}

static void stream_undial(struct gossip_stream *s) {
    if (s->dial != NULL)
        dial_cancel(s->dial);
    if (s->wan_dial != NULL)
        wan_dial_cancel(s->wan_dial);
    stream_free(s);
}

void gossip_stream_end(struct gossip_driver *d, const struct gossip_action *a) {
    struct gossip_stream *s = stream_find(d, a->stream.id);
    if (s == NULL)
        return;
    s->id = 0;
    if (s->open) {
        stream_finish(&s->stream);
        return;
    }
    stream_undial(s);
}

static void gossip_stream_accept(struct gossip_driver *d, struct stream_detached *connection,
                                 const struct peer_address *peer, struct rpc_lease *lease) {
    struct gossip_event event = {.kind = GOSSIP_EVENT_STREAM_ACCEPTED,
                                 .stream = {.from = {.len = peer->ip_len, .port = peer->port}}};
    memcpy(event.stream.from.ip, peer->ip, sizeof(event.stream.from.ip));
    struct gossip_stream *s = stream_new(d, 0);
    s->lease = lease;
    stream_begin(s, connection);
    if (!d->stopping)
        gossip_driver_step(d, &event);
    s->id = event.stream.id;
    if (s->id == 0)
        stream_close(&s->stream);
    else
        stream_set_busy(&s->stream, false);
}

void gossip_stream_came(void *owner, struct loop *loop, int fd, const struct peer_address *peer) {
    (void)loop;
    struct stream_detached connection = {.fd = fd};
    gossip_stream_accept(owner, &connection, peer, NULL);
}

void gossip_streams_close(struct gossip_driver *d) {
    for (struct gossip_stream *s = d->streams, *next; s != NULL; s = next) {
        next = s->next;
        s->id = 0;
        if (s->open)
            stream_close(&s->stream);
        else
            stream_undial(s);
    }
}

/* ---- what came in on the server port ---- */

struct arrival {
    struct message message;
    struct gossip_driver *driver;
    struct stream_detached connection;
    struct peer_address from;
    struct rpc_lease *lease;
    bool packets;
};

static void arrive(struct message *m) {
    struct arrival *a = CONTAINER_OF(m, struct arrival, message);
    struct gossip_driver *d = a->driver;
    if (!d->started || d->stopping) {
        stream_detached_drop(&a->connection);
        rpc_lease_release(a->lease);
    } else if (a->packets) {
        wan_packets_accept(d->packets, &a->connection, &a->from, a->lease);
    } else {
        gossip_stream_accept(d, &a->connection, &a->from, a->lease);
    }
    mem_free(a);
}

void gossip_driver_accept(struct gossip_driver *d, struct stream_detached *connection,
                          const struct peer_address *from, struct rpc_lease *lease, bool packets) {
    struct arrival *a = MEM_NEW(struct arrival);
    *a = (struct arrival){.message = {.run = arrive},
                          .driver = d,
                          .connection = *connection,
                          .from = *from,
                          .lease = lease,
                          .packets = packets};
    *connection = (struct stream_detached){.fd = -1};
    /* Limited by the port, for each client: never refused. */
    loop_post_reply(d->core, &a->message);
}

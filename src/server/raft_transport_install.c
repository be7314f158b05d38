/* A snapshot on its way to another server: a connection of its own, the header, then the bytes of
 * state.bin, read by the loop's helpers piece by piece as the connection takes them. Whatever
 * happens, its sender is told.
 */
#include "server/raft_transport_internal.h"

#include <stdio.h>
#include <unistd.h>

#include "base/metrics.h"

#define PIECE ((size_t)256 << 10)
#define BACKLOG (2 * PIECE)               /* bytes that may wait in the connection */
#define BYTES_A_TIMEOUT ((int64_t)262144) /* raft.md 1.2 */
#define RESPONSE_MAX ((size_t)64 << 10)

struct snapshot_send {
    struct stream stream;
    struct raft_transport *transport;
    struct snapshot_send *next; /* in the transport's list, until it has ended */
    struct connect *dial;
    bool open, ended; /* ended: its sender knows (or will) */
    bool closed;      /* the stream is gone */
    bool reading;
    struct buf header;
    struct arena arena; /* of the strings in message */
    struct raft_message message;
    int fd;
    int64_t offset, size;
    int64_t begun, deadline;
    uv_fs_t read;
    char *piece;
};

static void send_free(struct snapshot_send *s) {
    close(s->fd);
    buf_free(&s->header);
    arena_free(&s->arena);
    mem_free(s->piece);
    mem_free(s);
}

/* Nobody uses it any more: its connection is gone, and no piece is being read. */
static void free_if_over(struct snapshot_send *s) {
    if (s->ended && s->closed && !s->reading)
        send_free(s);
}

static void send_end(struct snapshot_send *s) {
    struct raft_transport *t = s->transport;
    s->ended = true;
    for (struct snapshot_send **at = &t->sends; *at != NULL; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    t->out_count--;
}

static void send_fail(struct snapshot_send *s, struct str why) {
    if (s->ended)
        return;
    send_end(s);
    transport_fail(s->transport, RAFT_INSTALL, &s->message.tag, s->message.peer_id,
                   s->message.peer_address, why);
}

static void send_break(struct snapshot_send *s, struct str why) {
    send_fail(s, why);
    if (s->open) {
        stream_close(&s->stream);
        return;
    }
    if (s->dial != NULL)
        connect_cancel(s->dial);
    s->dial = NULL;
    s->closed = true;
    free_if_over(s);
}

/* ---- the bytes ---- */

static void pump(struct snapshot_send *s);

static void on_read(uv_fs_t *request) {
    struct snapshot_send *s = CONTAINER_OF(request, struct snapshot_send, read);
    ssize_t got = request->result;
    uv_fs_req_cleanup(request);
    s->reading = false;
    if (s->ended) {
        free_if_over(s);
        return;
    }
    if (got <= 0) {
        send_break(s, STR("failed to read the snapshot"));
        return;
    }
    s->offset += got;
    buf_add(stream_out(&s->stream), s->piece, (size_t)got);
    stream_flush(&s->stream);
    pump(s);
}

static void pump(struct snapshot_send *s) {
    if (s->reading || s->ended || s->offset == s->size || s->stream.closing ||
        stream_backlog(&s->stream) > BACKLOG)
        return;
    int64_t left = s->size - s->offset;
    uv_buf_t into = uv_buf_init(s->piece, left < (int64_t)PIECE ? (unsigned)left : (unsigned)PIECE);
    s->reading = true;
    int code = uv_fs_read(&s->transport->core->uv, &s->read, s->fd, &into, 1, s->offset, on_read);
    if (code < 0) {
        s->reading = false;
        send_break(s, STR("failed to read the snapshot"));
    }
}

static void send_drained(struct stream *stream) {
    pump(CONTAINER_OF(stream, struct snapshot_send, stream));
}

/* ---- the answer ---- */

static void measure(const struct snapshot_send *s) {
    char name[128];
    snprintf(name, sizeof name, "raft.replication.installSnapshot." STR_FMT,
             STR_ARG(s->message.peer_id));
    metric_since(name, s->begun);
}

static size_t send_data(struct stream *stream, const char *bytes, size_t len) {
    struct snapshot_send *s = CONTAINER_OF(stream, struct snapshot_send, stream);
    struct raft_transport *t = s->transport;
    arena_reset(&t->scratch, (size_t)64 << 10);
    struct error e = ERROR_IN(&t->scratch);
    struct raft_message m;
    struct str refusal;
    size_t used = 0;
    if (s->ended)
        return len;
    enum raft_wire_status status = raft_wire_read_response(RAFT_INSTALL, str_of(bytes, len), &used,
                                                           &m, &refusal, &t->scratch, &e);
    if (status == RAFT_WIRE_MORE && len <= RESPONSE_MAX)
        return 0;
    if (status != RAFT_WIRE_DONE) {
        send_break(s, status == RAFT_WIRE_BAD ? e.text : STR("answer is too long"));
        return len;
    }
    if (refusal.len > 0) {
        send_break(s, refusal);
        return len;
    }
    measure(s);
    send_end(s);
    stream_close(stream); /* it is never used again (raft.md 1.2) */
    m.tag = s->message.tag;
    m.peer_id = s->message.peer_id;
    m.peer_address = s->message.peer_address;
    t->options.receive(t->options.owner, &m);
    return len;
}

static void send_ended(struct stream *stream) {
    send_break(CONTAINER_OF(stream, struct snapshot_send, stream), STR("EOF"));
}

static void send_closed(struct stream *stream) {
    struct snapshot_send *s = CONTAINER_OF(stream, struct snapshot_send, stream);
    send_fail(s, STR("connection reset by peer"));
    s->closed = true;
    free_if_over(s);
}

static const struct stream_handlers send_handlers = {.data = send_data,
                                                     .ended = send_ended,
                                                     .drained = send_drained,
                                                     .expired = send_ended,
                                                     .closed = send_closed};

/* ---- beginning ---- */

static void send_dialed(void *owner, struct stream_detached *connection, const struct error *e) {
    struct snapshot_send *s = owner;
    s->dial = NULL;
    if (connection == NULL) {
        send_break(s, e->text);
        return;
    }
    s->open = true;
    stream_attach(&s->stream, s->transport->core, connection, &send_handlers);
    buf_add_str(stream_out(&s->stream), buf_str(&s->header));
    stream_flush(&s->stream);
    stream_set_busy(&s->stream, false);
    pump(s);
}

void raft_transport_send_snapshot(struct raft_transport *t, const struct raft_message *m, int fd) {
    struct snapshot_send *s = MEM_NEW(struct snapshot_send);
    s->transport = t;
    s->arena = ARENA_INIT;
    s->fd = fd;
    s->size = m->install.size;
    s->piece = mem_alloc(PIECE);
    s->message = (struct raft_message){.kind = RAFT_INSTALL,
                                       .tag = m->tag,
                                       .peer_id = str_copy(&s->arena, m->peer_id),
                                       .peer_address = str_copy(&s->arena, m->peer_address)};
    buf_add_char(&s->header, TRANSPORT_BYTE);
    raft_wire_write_request(m, t->options.protocol, &s->header);
    int64_t times = m->install.size / BYTES_A_TIMEOUT;
    s->begun = time_now_monotonic();
    s->deadline = s->begun + t->options.rpc_timeout * (times > 1 ? times : 1);
    s->next = t->sends;
    t->sends = s;
    t->out_count++;
    struct error e = ERROR_IN(&s->arena);
    s->dial = transport_dial(t, m->peer_id, m->peer_address, send_dialed, s, &e);
    if (s->dial == NULL)
        send_break(s, e.text);
    transport_watch(t);
}

void snapshot_sends_check(struct raft_transport *t, int64_t now) {
    struct snapshot_send *next;
    for (struct snapshot_send *s = t->sends; s != NULL; s = next) {
        next = s->next;
        if (now > s->deadline)
            send_break(s, STR("i/o timeout"));
    }
}

void snapshot_sends_stop(struct raft_transport *t) {
    while (t->sends != NULL)
        send_break(t->sends, STR("shutdown"));
}

/* Connections of gRPC (connect.md 6.1): HTTP/2 by nghttp2, calls on its streams, messages in and
 * out of them. See grpc.h.
 *
 * Nothing is kept without bound: a message of a client's is limited, and so are all of a loop that
 * are not whole; of ours one waits on each call, and new ones only while not much waits on the
 * connection. nghttp2's callbacks only note what has come (touch); methods are called, and bytes
 * sent, in work(), outside of them. (http/http2.c does the same for the HTTP API, whose answers
 * have neither trailers nor messages that come while they go on.)
 */
#include "xds/grpc.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "xds/grpc_room.h"

#define FRAME_MAX 16384u
#define STREAMS_MAX 2048u
#define FIELD_MAX ((size_t)8192)     /* of those that are kept */
#define GREETING_TIME (120 * SECOND) /* from the connection to its first frame */
#define HEAD_TIME (60 * SECOND)      /* from the first byte of a head to its end */
#define INPUT_MAX ((size_t)64 << 20) /* of a loop, see grpc_loop.input */
#define TLS_HANDSHAKE_RECORD 0x16

static void work(struct grpc_connection *h);

/* ---- calls ---- */

static void touch(struct grpc_call *c) {
    struct grpc_connection *h = c->connection;
    if (c->touched)
        return;
    c->touched = true;
    c->next_touched = NULL;
    if (h->touched == NULL)
        h->touched = c;
    else
        h->touched_last->next_touched = c;
    h->touched_last = c;
}

void grpc_call_poke(struct grpc_call *c) {
    touch(c);
    work(c->connection);
}

static void call_new(struct grpc_connection *h, int32_t id) {
    struct grpc_call *c = MEM_NEW(struct grpc_call);
    c->connection = h;
    c->loop = h->home->loop;
    c->owner = h->home->grpc->o.owner;
    c->id = id;
    c->next = h->first;
    if (c->next != NULL)
        c->next->previous = c;
    h->first = c;
    nghttp2_session_set_stream_user_data(h->session, id, c);
}

static void drop_output(struct grpc_call *c) {
    c->connection->backlog -= c->out.len;
    buf_free(&c->out);
    c->sent = 0;
}

static void call_free(struct grpc_call *c) {
    struct grpc_connection *h = c->connection;
    if (c->begun)
        c->method->closed(c);
    grpc_call_set_input(c, c->in.len);
    drop_output(c);
    h->held -= c->held;
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        h->first = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    buf_free(&c->path);
    buf_free(&c->content_type);
    buf_free(&c->encoding);
    buf_free(&c->token);
    buf_free(&c->status_text);
    mem_free(c);
}

void grpc_call_reset(struct grpc_call *c, uint32_t code) {
    c->refused = c->ended = true;
    if (!c->closed)
        nghttp2_submit_rst_stream(c->connection->session, NGHTTP2_FLAG_NONE, c->id, code);
}

/* ---- what nghttp2 has read ---- */

static struct grpc_call *find(nghttp2_session *session, int32_t id) {
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *owner) {
    struct grpc_connection *h = owner;
    (void)session;
    h->head_open = true;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        call_new(h, frame->hd.stream_id);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *owner) {
    struct grpc_call *c = find(session, frame->hd.stream_id);
    struct str field = str_of(name, name_len);
    struct buf *into = NULL;
    (void)flags, (void)owner;
    if (c == NULL || c->head_whole || value_len > FIELD_MAX)
        return 0;
    if (str_is(field, ":path"))
        into = &c->path;
    else if (str_is(field, "content-type"))
        into = &c->content_type;
    else if (str_is(field, "grpc-encoding"))
        into = &c->encoding;
    else if (str_is(field, "x-consul-token") && !c->has_token)
        into = &c->token;
    c->has_token |= into == &c->token;
    if (into != NULL && into->len == 0)
        buf_add(into, value, value_len);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *owner) {
    struct grpc_connection *h = owner;
    h->greeted = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    h->head_open = false;
    struct grpc_call *c = find(session, frame->hd.stream_id);
    if (c == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        c->head_whole = true;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        c->client_ended = true;
    touch(c);
    return 0;
}

/* The window is given back at once: what is not whole yet has limits of its own. */
static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *owner) {
    struct grpc_connection *h = owner;
    struct grpc_call *c = find(session, id);
    (void)flags;
    nghttp2_session_consume(session, id, len);
    if (c == NULL || c->ended)
        return 0;
    if (h->home->input + len > INPUT_MAX) {
        grpc_call_reset(c, NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    h->home->input += len;
    buf_add(&c->in, data, len);
    touch(c);
    return 0;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *owner) {
    struct grpc_connection *h = owner;
    if (hd->type != NGHTTP2_CONTINUATION)
        h->head_open = false;
    http2_guard_frame(&h->guard, session, hd);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *owner) {
    struct grpc_call *c = find(session, id);
    (void)code, (void)owner;
    if (c == NULL)
        return 0;
    c->closed = true;
    touch(c); /* freed there */
    return 0;
}

/* A call that ends before its client does: the rest of that is not wanted (RFC 9113 8.1). */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *owner) {
    (void)owner;
    if (frame->hd.type != NGHTTP2_HEADERS || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct grpc_call *c = find(session, frame->hd.stream_id);
    if (c != NULL && !c->client_ended && !c->closed)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, c->id, NGHTTP2_NO_ERROR);
    return 0;
}

/* ---- answers ---- */

/* The status, and its text if there is one. Returns their number; `digits` lives as long. */
static size_t trailers(struct grpc_call *c, nghttp2_nv *fields, char digits[12]) {
    snprintf(digits, 12, "%d", (int)c->status);
    fields[0] = http2_field_of("grpc-status", str_from(digits));
    fields[1] = http2_field_of("grpc-message", buf_str(&c->status_text));
    if (c->status_text.len == 0)
        fields[1].value = (uint8_t *)(uintptr_t) "";
    return 2;
}

/* nghttp2 asks for as much as it may send. */
static ssize_t read_output(nghttp2_session *session, int32_t id, uint8_t *into, size_t most,
                           uint32_t *flags, nghttp2_data_source *source, void *owner) {
    struct grpc_call *c = source->ptr;
    size_t len = c->out.len - c->sent < most ? c->out.len - c->sent : most;
    nghttp2_nv fields[2];
    char digits[12];
    (void)owner;
    if (len > 0)
        memcpy(into, c->out.data + c->sent, len);
    c->sent += len;
    if (c->sent < c->out.len)
        return (ssize_t)len;
    drop_output(c);
    touch(c); /* there may be more */
    if (!c->ended)
        return len > 0 ? (ssize_t)len : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session, id, fields, trailers(c, fields, digits));
    return (ssize_t)len;
}

static void answer(struct grpc_call *c) {
    nghttp2_session *session = c->connection->session;
    nghttp2_nv fields[4] = {http2_field_of(":status", STR("200")),
                            http2_field_of("content-type", STR("application/grpc"))};
    nghttp2_data_provider body = {{.ptr = c}, read_output};
    bool only_trailers = c->ended && c->out.len == 0;
    size_t count = 2;
    char digits[12];
    if (c->refused || c->closed || (c->out.len == 0 && !c->ended))
        return;
    if (c->answering) {
        nghttp2_session_resume_data(session, c->id); /* an error: it does not wait */
        return;
    }
    c->answering = true;
    if (only_trailers)
        count += trailers(c, fields + 2, digits);
    int code = nghttp2_submit_response(session, c->id, fields, count, only_trailers ? NULL : &body);
    if (code != 0)
        grpc_call_reset(c, NGHTTP2_INTERNAL_ERROR);
}

/* ---- work ---- */

static void serve(struct grpc_call *c) {
    if (c->closed)
        return;
    grpc_call_serve(c);
    answer(c);
}

static void let_send(struct grpc_connection *h) {
    if (h->held == 0 || h->backlog > GRPC_BACKLOG_MAX)
        return;
    for (struct grpc_call *c = h->first; c != NULL; c = c->next)
        if (c->held)
            touch(c);
}

static void serve_touched(struct grpc_connection *h) {
    while (h->touched != NULL) {
        struct grpc_call *c = h->touched;
        h->touched = c->next_touched;
        c->touched = false;
        serve(c);
        if (c->closed && !c->touched)
            call_free(c);
    }
}

static void set_deadline(struct grpc_connection *h) {
    struct stream *s = &h->stream;
    if (s->blocked || !h->greeted)
        return; /* then the time for sending counts, or that for the greeting */
    if (h->head_open && s->deadline == 0)
        stream_set_deadline(s, HEAD_TIME);
    else if (!h->head_open)
        stream_set_deadline(s, 0);
}

/* Everything that can be done now. */
static void work(struct grpc_connection *h) {
    struct stream *s = &h->stream;
    if (h->working || s->closing || s->finishing || h->session == NULL)
        return;
    h->working = true;
    do {
        serve_touched(h);
        http2_send_frames(h->session, s);
        let_send(h);
    } while (h->touched != NULL && !s->closing);
    h->working = false;
    if (s->closing)
        return;
    if (nghttp2_session_get_outbound_queue_size(h->session) > HTTP2_QUEUE_MAX) {
        stream_close(s);
        return;
    }
    if (nghttp2_session_want_read(h->session) == 0 && nghttp2_session_want_write(h->session) == 0)
        stream_finish(s);
    else
        stream_flush(s);
}

/* ---- the session ---- */

static nghttp2_session *session_new(struct grpc_connection *h) {
    nghttp2_session_callbacks *on;
    int code = nghttp2_session_callbacks_new(&on);
    ASSERT(code == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(on, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(on, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(on, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(on, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(on, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(on, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(on, on_frame_send);
    return http2_session_new(on, NULL, h);
}

static void begin_session(struct grpc_connection *h) {
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_MAX},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
    };
    h->session = session_new(h);
    nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings));
    work(h);
}

/* ---- the connection's stream ---- */

static void log_no_greeting(const char *what) {
    struct arena arena = ARENA_INIT;
    struct str text =
        str_format(&arena,
                   "grpc: Server.Serve failed to create ServerTransport: connection error: desc = "
                   "\"transport: http2Server.HandleStreams %s\"",
                   what);
    log_at(LOG_WARN, "agent", str_terminated(&arena, text));
    arena_free(&arena);
}

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct grpc_connection *h = (struct grpc_connection *)s;
    if (h->secure && s->tls == NULL) {
        if (bytes[0] == TLS_HANDSHAKE_RECORD)
            stream_start_tls(s, secure_accept(h->home->grpc->o.secure, SECURE_GRPC),
                             str_of(bytes, len));
        else
            stream_close(s);
        return len;
    }
    if (h->session == NULL)
        begin_session(h);
    if (s->closing)
        return len;
    h->working = true;
    ssize_t taken = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes, len);
    h->working = false;
    if (taken < 0) {
        if (taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
            log_no_greeting("received bogus greeting from client");
        stream_close(s);
        return len;
    }
    work(h);
    if (!s->closing && !s->finishing)
        set_deadline(h);
    return len;
}

static void on_secured(struct stream *s) {
    begin_session((struct grpc_connection *)s);
}

static void on_drained(struct stream *s) {
    work((struct grpc_connection *)s);
}

/* Who sends no more reads no more: it has no use for half a connection. */
static void on_ended(struct stream *s) {
    struct grpc_connection *h = (struct grpc_connection *)s;
    if (!h->greeted)
        log_no_greeting("failed to receive the preface from client: EOF");
    stream_close(s);
}

static void on_closed(struct stream *s) {
    struct grpc_connection *h = (struct grpc_connection *)s;
    struct grpc_loop *home = h->home;
    h->working = true; /* nothing goes out any more */
    for (struct grpc_call *c = h->first; c != NULL; c = c->next)
        c->closed = true;
    while (h->first != NULL)
        call_free(h->first);
    if (h->session != NULL)
        nghttp2_session_del(h->session);
    client_limit_leave(home->grpc->clients, str_of(h->peer.ip, h->peer.ip_len));
    mem_free(h);
    home->connections--;
}

const struct stream_handlers grpc_stream_handlers = {
    .data = on_data,
    .secured = on_secured,
    .ended = on_ended,
    .drained = on_drained,
    .expired = stream_close,
    .closed = on_closed,
};

void grpc_connection_open(struct grpc_loop *home, int fd, const struct peer_address *peer,
                          bool secure) {
    int on = 1;
    struct str key = str_of(peer->ip, peer->ip_len);
    if (home->stopping || !client_limit_enter(home->grpc->clients, key)) {
        close(fd);
        return;
    }
    if (peer->ip_len > 0) /* an Envoy whose machine is gone says nothing for ever */
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    struct grpc_connection *h = MEM_NEW(struct grpc_connection);
    h->home = home;
    h->peer = *peer;
    h->secure = secure;
    http2_guard_init(&h->guard);
    home->connections++;
    stream_open(&h->stream, home->loop, fd, &grpc_stream_handlers);
    stream_set_deadline(&h->stream, GREETING_TIME);
    if (!secure)
        begin_session(h);
}

/* A connection that speaks HTTP/2 (RFC 9113; tls.md 6). Frames, HPACK, windows and the rules of
 * both are nghttp2's; the bytes go through the connection's stream. Each HTTP/2 stream is an
 * http_connection of its own on a carried stream, which reads and writes HTTP/1.1
 * (http2_message.h), so that nothing beyond this file knows of it.
 *
 * Nothing is kept without bound: a window is given back for what a handler has taken, and an answer
 * is taken from its stream as the windows of the other side allow, so that its handler sees the
 * backlog.
 *
 * nghttp2's callbacks only note what has come (touch). What calls handlers, and what sends, happens
 * in http2_work, outside of them.
 */
#include "base/mem.h"
#include "http/http2_message.h"
#include "http/http2_session.h"
#include "http/room.h"

#define HTTP2_FRAME_MAX (1u << 20)
#define HTTP2_STREAMS_MAX 250u
#define HTTP2_WINDOW (1 << 20)              /* of a stream, and of all together */
#define HTTP2_BACKLOG_MAX ((size_t)4 << 20) /* answers that wait: no new request is begun */
#define HTTP2_CONTINUATIONS 80u             /* the longest head in the smallest full frames */
#define HTTP2_ANSWER_HEAD_MAX ((size_t)4 << 20)

struct http2_stream {
    struct http2 *h2;
    struct stream *stream; /* an http_connection's; NULL: not begun, or over */
    struct http2_stream *next, *previous, *next_touched;
    struct http2_request request;
    struct http2_answer answer;
    struct buf pending; /* of the request, as HTTP/1.1, not delivered yet */
    size_t unconsumed;  /* bytes of DATA whose window was not given back */
    size_t counted;     /* in the connection's backlog */
    int32_t id;
    bool touched;
    bool head_whole;    /* of the request */
    bool request_ended; /* by the client */
    bool refused;       /* reset, or answered here: its input is thrown away */
    bool begun;
    bool held;      /* not begun because too much waits */
    bool answering; /* the answer's head is nghttp2's */
    bool answered;  /* so is the end */
    bool closed;    /* nghttp2 has forgotten it */
};

struct http2 {
    struct http_connection *connection;
    nghttp2_session *session;
    struct http2_stream *first; /* all */
    struct http2_stream *touched, *touched_last;
    size_t backlog; /* of all answers */
    size_t held;
    struct http2_guard guard;
    bool working;
    bool greeted;   /* the client's preface is whole */
    bool head_open; /* of some request */
    bool stopping;
};

static void http2_work(struct http2 *h);

static struct stream *carrier_of(struct http2 *h) {
    return &h->connection->stream;
}

/* ---- streams ---- */

static struct http2_stream *stream_new(struct http2 *h, int32_t id) {
    struct http2_stream *st = MEM_NEW(struct http2_stream);
    st->h2 = h;
    st->id = id;
    st->next = h->first;
    if (st->next != NULL)
        st->next->previous = st;
    h->first = st;
    nghttp2_session_set_stream_user_data(h->session, id, st);
    return st;
}

static void stream_free(struct http2_stream *st) {
    struct http2 *h = st->h2;
    if (st->previous != NULL)
        st->previous->next = st->next;
    else
        h->first = st->next;
    if (st->next != NULL)
        st->next->previous = st->previous;
    h->backlog -= st->counted;
    h->held -= st->held;
    http2_request_free(&st->request);
    http2_answer_free(&st->answer);
    buf_free(&st->pending);
    mem_free(st);
}

static void touch(struct http2_stream *st) {
    struct http2 *h = st->h2;
    if (st->touched)
        return;
    st->touched = true;
    st->next_touched = NULL;
    if (h->touched == NULL)
        h->touched = st;
    else
        h->touched_last->next_touched = st;
    h->touched_last = st;
}

static void reset(struct http2_stream *st, uint32_t code) {
    st->refused = true;
    if (!st->closed)
        nghttp2_submit_rst_stream(st->h2->session, NGHTTP2_FLAG_NONE, st->id, code);
}

/* ---- what nghttp2 has read ---- */

static struct http2_stream *find(nghttp2_session *session, int32_t id) {
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *owner) {
    struct http2 *h = owner;
    (void)session;
    h->head_open = true;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        stream_new(h, frame->hd.stream_id);
    return 0;
}

static int malformed(struct http2_stream *st) {
    reset(st, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *owner) {
    struct http2_stream *st = find(session, frame->hd.stream_id);
    (void)flags;
    (void)owner;
    if (st == NULL || st->head_whole)
        return 0; /* trailers mean nothing here */
    return http2_request_field(&st->request, str_of(name, name_len), str_of(value, value_len))
               ? 0
               : malformed(st);
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *owner) {
    struct http2_stream *st = find(session, frame->hd.stream_id);
    (void)name, (void)name_len, (void)value, (void)value_len, (void)flags, (void)owner;
    return st == NULL ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : malformed(st);
}

static const char too_large_text[] =
    "<h1>HTTP Error 431</h1><p>Request Header Field(s) Too Large</p>";

static ssize_t read_too_large(nghttp2_session *session, int32_t id, uint8_t *into, size_t most,
                              uint32_t *flags, nghttp2_data_source *source, void *owner) {
    struct str left = str_sub(str_from(too_large_text), (size_t)source->fd, SIZE_MAX);
    size_t len = left.len < most ? left.len : most;
    (void)session, (void)id, (void)owner;
    memcpy(into, left.data, len);
    source->fd += (int)len;
    if (len == left.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

/* Nobody reads that head: answered here, as the peer does. */
static void answer_too_large(struct http2_stream *st) {
    struct buf date = BUF_INIT;
    http_add_date(st->h2->connection->home, &date);
    struct str value = str_sub(buf_str(&date), strlen("Date: "), SIZE_MAX);
    nghttp2_nv fields[] = {
        http2_field_of(":status", STR("431")),
        http2_field_of("content-type", STR("text/html; charset=utf-8")),
        http2_field_of("content-length", STR("63")),
        http2_field_of("date", str_trim(value)),
    };
    nghttp2_data_provider body = {{.fd = 0}, read_too_large}; /* fd: how far it is */
    st->refused = st->answering = st->answered = true;
    nghttp2_submit_response(st->h2->session, st->id, fields, COUNT_OF(fields), &body);
    buf_free(&date);
}

static void head_is_whole(struct http2_stream *st, bool ended) {
    st->head_whole = true;
    if (st->refused)
        return;
    if (st->request.too_large)
        answer_too_large(st);
    else if (!http2_request_head(&st->request, ended, &st->pending))
        reset(st, NGHTTP2_PROTOCOL_ERROR);
    st->answer.to_head = str_is(buf_str(&st->request.method), "HEAD");
    touch(st);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *owner) {
    struct http2 *h = owner;
    h->greeted = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    h->head_open = false;
    struct http2_stream *st = find(session, frame->hd.stream_id);
    if (st == NULL)
        return 0;
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !st->head_whole)
        head_is_whole(st, ended);
    if (!ended)
        return 0;
    st->request_ended = true;
    if (!st->refused && !http2_request_end(&st->request, &st->pending))
        reset(st, NGHTTP2_PROTOCOL_ERROR);
    touch(st);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *owner) {
    struct http2_stream *st = find(session, id);
    (void)flags;
    (void)owner;
    if (st == NULL) {
        nghttp2_session_consume(session, id, len);
        return 0;
    }
    st->unconsumed += len;
    if (!st->refused && !http2_request_body(&st->request, str_of(data, len), &st->pending))
        reset(st, NGHTTP2_PROTOCOL_ERROR);
    touch(st);
    return 0;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *owner) {
    struct http2 *h = owner;
    if (hd->type != NGHTTP2_CONTINUATION)
        h->head_open = false;
    http2_guard_frame(&h->guard, session, hd);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *owner) {
    struct http2_stream *st = find(session, id);
    (void)code;
    (void)owner;
    if (st == NULL)
        return 0;
    st->closed = true;
    nghttp2_session_consume_connection(session, st->unconsumed);
    st->unconsumed = 0;
    if (st->stream != NULL)
        stream_close(st->stream); /* the client is gone, or has all it wanted */
    touch(st);                    /* freed there */
    return 0;
}

/* An answer that ends before its request: the rest of that is not wanted (RFC 9113 8.1). */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *owner) {
    (void)owner;
    bool carries = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!carries || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct http2_stream *st = find(session, frame->hd.stream_id);
    if (st != NULL && !st->request_ended)
        reset(st, NGHTTP2_NO_ERROR);
    return 0;
}

/* ---- answers ---- */

/* nghttp2 asks for as much of a body as it may send. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *into, size_t most,
                         uint32_t *flags, nghttp2_data_source *source, void *owner) {
    struct http2_stream *st = source->ptr;
    struct stream *s = st->stream;
    size_t got = 0;
    (void)session, (void)id, (void)owner;
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* it has been reset */
    touch(st);
    while (got < most && !st->answered) {
        struct str out = stream_output(s), piece;
        if (out.len == 0) {
            if (!stream_output_ended(s))
                return got > 0 ? (ssize_t)got : NGHTTP2_ERR_DEFERRED;
            if (st->answer.body != HTTP2_UNTIL_END)
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* cut off */
            st->answered = true;
            break;
        }
        out = str_sub(out, 0, most - got);
        struct str rest = out;
        enum http_progress progress = http2_answer_body(&st->answer, &rest, &piece);
        if (piece.len > 0)
            memcpy(into + got, piece.data, piece.len);
        got += piece.len;
        stream_output_taken(s, out.len - rest.len);
        if (progress == HTTP_REFUSED)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        st->answered = progress == HTTP_COMPLETE;
    }
    if (st->answered)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)got;
}

static void submit_head(struct http2_stream *st) {
    const struct http2_answer *a = &st->answer;
    nghttp2_session *session = st->h2->session;
    nghttp2_nv *fields = mem_zalloc(a->field_count, sizeof *fields);
    for (size_t i = 0; i < a->field_count; i++) {
        const struct http2_field *f = &a->fields[i];
        fields[i].name = (uint8_t *)(uintptr_t)f->name.data;
        fields[i].namelen = f->name.len;
        fields[i].value = (uint8_t *)(uintptr_t)f->value.data;
        fields[i].valuelen = f->value.len;
    }
    int code;
    if (http2_answer_is_interim(a)) {
        code = nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, st->id, NULL, fields,
                                      a->field_count, NULL);
    } else {
        nghttp2_data_provider body = {{.ptr = st}, read_body};
        st->answering = true;
        st->answered = a->body == HTTP2_NO_BODY;
        code = nghttp2_submit_response(session, st->id, fields, a->field_count,
                                       st->answered ? NULL : &body);
    }
    mem_free(fields);
    if (code != 0)
        reset(st, NGHTTP2_INTERNAL_ERROR);
}

/* What has come into the output goes to nghttp2: the head now, the body when that asks. */
static void take_answer(struct http2_stream *st) {
    struct stream *s = st->stream;
    while (!st->answering && !st->refused) {
        struct str out = stream_output(s);
        struct str rest = out;
        if (out.len == 0 && stream_output_ended(s))
            reset(st, NGHTTP2_INTERNAL_ERROR);
        if (out.len == 0)
            return;
        enum http_progress progress = http2_answer_head(&st->answer, &rest);
        stream_output_taken(s, out.len - rest.len);
        if (progress == HTTP_COMPLETE)
            submit_head(st);
        else if (progress == HTTP_REFUSED)
            reset(st, NGHTTP2_INTERNAL_ERROR);
    }
    if (!st->answered && !st->refused && (stream_output(s).len > 0 || stream_output_ended(s)))
        nghttp2_session_resume_data(st->h2->session, st->id); /* an error: it does not wait */
}

/* ---- the carried streams ---- */

static void on_output(struct stream *s) {
    struct http2_stream *st = s->carrier_owner;
    touch(st);
    http2_work(st->h2);
}

static void on_taken(struct stream *s) {
    on_output(s);
}

static void on_dropped(struct stream *s) {
    struct http2_stream *st = s->carrier_owner;
    st->stream = NULL;
    if (!st->answered)
        reset(st, NGHTTP2_INTERNAL_ERROR);
    touch(st);
    http2_work(st->h2);
}

static const struct stream_carrier carrier = {
    .output = on_output,
    .taken = on_taken,
    .dropped = on_dropped,
};

/* ---- work ---- */

/* Whether the request may be handled now; it is told when it may. */
static bool may_begin(struct http2_stream *st) {
    struct http2 *h = st->h2;
    bool full = h->backlog > HTTP2_BACKLOG_MAX;
    if (full != st->held) {
        st->held = full;
        h->held += full ? 1 : (size_t)-1;
    }
    return !full;
}

static void give_input(struct http2_stream *st) {
    if (st->pending.len == 0 || st->refused || st->closed)
        return;
    if (!st->begun) {
        if (!may_begin(st))
            return;
        st->begun = true;
        st->stream = &http_connection_carried(st->h2->connection, &carrier, st)->stream;
    }
    if (st->stream == NULL || st->stream->delivering)
        return; /* it says when it is done */
    struct buf bytes = st->pending;
    st->pending = BUF_INIT;
    stream_input(st->stream, buf_str(&bytes)); /* may close it */
    buf_free(&bytes);
}

/* Gives the window back for what is not kept any more. */
static void consume(struct http2_stream *st) {
    size_t kept = 0;
    if (!st->refused)
        kept = st->pending.len + (st->stream != NULL ? stream_input_waiting(st->stream) : 0);
    if (st->closed || st->unconsumed <= kept)
        return;
    nghttp2_session_consume(st->h2->session, st->id, st->unconsumed - kept);
    st->unconsumed = kept;
}

static void count_backlog(struct http2_stream *st) {
    struct http2 *h = st->h2;
    size_t now = st->stream != NULL ? stream_backlog(st->stream) : 0;
    h->backlog = h->backlog - st->counted + now;
    st->counted = now;
}

static void let_begin(struct http2 *h) {
    if (h->held == 0 || h->backlog > HTTP2_BACKLOG_MAX)
        return;
    for (struct http2_stream *st = h->first; st != NULL; st = st->next)
        if (st->held)
            touch(st);
}

static void serve(struct http2_stream *st) {
    give_input(st);
    if (st->stream != NULL)
        take_answer(st);
    if (st->stream != NULL)
        stream_output_settle(st->stream); /* its handler may write more */
    count_backlog(st);
    consume(st);
}

static void serve_touched(struct http2 *h) {
    while (h->touched != NULL) {
        struct http2_stream *st = h->touched;
        h->touched = st->next_touched;
        st->touched = false;
        serve(st);
        if (st->closed && !st->touched)
            stream_free(st);
        let_begin(h);
    }
}

static void set_deadline(struct http2 *h) {
    struct stream *s = carrier_of(h);
    if (s->blocked)
        return; /* then the time for sending counts */
    if (h->head_open && s->deadline == 0)
        stream_set_deadline(s, HTTP_HEAD_TIME);
    else if (!h->head_open && h->greeted)
        stream_set_deadline(s, 0);
}

static bool is_over(struct http2 *h) {
    bool none = nghttp2_session_want_read(h->session) == 0 || (h->stopping && h->first == NULL);
    return none && nghttp2_session_want_write(h->session) == 0;
}

/* Everything that can be done now. */
static void http2_work(struct http2 *h) {
    struct stream *s = carrier_of(h);
    if (h->working || s->closing || s->finishing)
        return;
    h->working = true;
    do {
        serve_touched(h);
        http2_send_frames(h->session, s);
    } while (h->touched != NULL && !s->closing);
    h->working = false;
    if (s->closing)
        return;
    if (nghttp2_session_get_outbound_queue_size(h->session) > HTTP2_QUEUE_MAX) {
        stream_close(s);
        return;
    }
    if (is_over(h))
        stream_finish(s);
    else
        stream_flush(s);
}

/* ---- the connection's stream ---- */

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct http2 *h = ((struct http_connection *)s)->h2;
    h->working = true;
    ssize_t taken = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes, len);
    h->working = false;
    if (taken < 0) {
        stream_close(s);
        return len;
    }
    http2_work(h);
    if (!s->closing && !s->finishing)
        set_deadline(h);
    return len;
}

static void on_drained(struct stream *s) {
    http2_work(((struct http_connection *)s)->h2);
}

/* Who sends no more reads no more: it has no use for half a connection. */
static void on_ended(struct stream *s) {
    stream_close(s);
}

const struct stream_handlers http2_stream_handlers = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_drained,
    .expired = stream_close,
    .closed = http_connection_closed,
};

/* ---- the beginning and the end ---- */

static void set_options(nghttp2_option *option) {
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1); /* as the peer */
    nghttp2_option_set_max_continuations(option, HTTP2_CONTINUATIONS);
    nghttp2_option_set_max_send_header_block_length(option, HTTP2_ANSWER_HEAD_MAX);
}

static nghttp2_session *session_new(struct http2 *h) {
    nghttp2_session_callbacks *on;
    int code = nghttp2_session_callbacks_new(&on);
    ASSERT(code == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(on, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(on, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(on, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(on, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(on, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(on, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(on, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(on, on_frame_send);
    return http2_session_new(on, set_options, h);
}

void http2_begin(struct http_connection *c) {
    static const nghttp2_settings_entry settings[] = {
        /* in the peer's order */
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, HTTP2_FRAME_MAX},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)HTTP2_FIELDS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW},
    };
    struct http2 *h = MEM_NEW(struct http2);
    h->connection = c;
    http2_guard_init(&h->guard);
    h->session = session_new(h);
    c->h2 = h;
    nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings));
    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, HTTP2_WINDOW);
    stream_set_handlers(&c->stream, &http2_stream_handlers);
    http2_work(h);
}

void http2_stop(struct stream *s) {
    struct http2 *h = ((struct http_connection *)s)->h2;
    if (!h->stopping)
        nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
                              NULL, 0);
    h->stopping = true;
    http2_work(h);
}

void http2_close(struct stream *s) {
    if (s->finishing) {
        stream_close(s);
        return;
    }
    http2_stop(s);
    if (!s->closing)
        stream_finish(s);
}

void http2_free(struct http2 *h) {
    if (h == NULL)
        return;
    h->working = true; /* nothing goes out any more */
    for (struct http2_stream *st = h->first; st != NULL; st = st->next) {
        st->closed = true;
        if (st->stream != NULL)
            stream_close(st->stream);
    }
    while (h->first != NULL)
        stream_free(h->first);
    nghttp2_session_del(h->session);
    mem_free(h);
}

/* A yamux session on a stream of a loop. Its own rules: data is written only while little waits to
 * be sent (yamux.h), so that reading never has to stop because of it, and two sides that both send
 * much cannot wait for each other. Reading stops only when control frames pile up, which no honest
 * side makes happen.
 */
#include "net/mux.h"

#include "base/mem.h"
#include "base/time.h"

#define READ_STOP (2 * YAMUX_OUT_LIMIT)

static struct mux *mux_of_stream(struct stream *s) {
    return CONTAINER_OF(s, struct mux, stream);
}

struct mux *mux_of(const struct yamux_stream *s) {
    return yamux_owner(yamux_session(s));
}

/* ---- the end ---- */

static void handle_closed(struct mux *m) {
    if (--m->handles > 0)
        return;
    yamux_free(m->yamux);
    m->yamux = NULL;
    m->on->closed(m);
}

static void on_timer_closed(struct loop_timer *t) {
    handle_closed(t->owner);
}

static void on_prepare_closed(uv_handle_t *handle) {
    handle_closed(CONTAINER_OF((uv_prepare_t *)handle, struct mux, prepare));
}

/* After everything that may have ended the session. False: it has. */
static bool settle(struct mux *m) {
    if (!yamux_is_over(m->yamux))
        return !m->over;
    if (m->over || !yamux_is_told(m->yamux))
        return false; /* inside a handler: whoever called it comes here later */
    m->over = true;
    stream_push(&m->stream); /* perhaps it says why */
    stream_close(&m->stream);
    loop_timer_close(&m->timer, on_timer_closed);
    uv_close((uv_handle_t *)&m->prepare, on_prepare_closed);
    m->on->over(m, yamux_error(m->yamux));
    return false;
}

void mux_close(struct mux *m) {
    if (m->over)
        return;
    yamux_end(m->yamux, "session shutdown");
    settle(m);
}

/* ---- sending ---- */

/* Sends, and lets streams that wait for room write, as long as the system takes it at once. */
static bool pump(struct mux *m) {
    while (settle(m)) {
        stream_push(&m->stream);
        if (m->stream.closing || stream_backlog(&m->stream) > 0)
            break;
        yamux_drained(m->yamux);
        if (stream_backlog(&m->stream) == 0)
            break;
    }
    return settle(m) && !m->stream.closing;
}

static void set_reading(struct mux *m) {
    bool stop = stream_backlog(&m->stream) > READ_STOP;
    if (stop == m->reading_stopped)
        return;
    m->reading_stopped = stop;
    stream_set_busy(&m->stream, stop);
}

static void flush_now(struct mux *m) {
    if (m->flushing) {
        m->flushing = false;
        uv_prepare_stop(&m->prepare);
    }
    if (!m->over && pump(m))
        set_reading(m);
}

static void on_prepare(uv_prepare_t *prepare) {
    flush_now(CONTAINER_OF(prepare, struct mux, prepare));
}

void mux_flush(struct mux *m) {
    if (m->flushing || m->over)
        return;
    m->flushing = true;
    uv_prepare_start(&m->prepare, on_prepare);
}

static void on_drained(struct stream *s) {
    flush_now(mux_of_stream(s));
}

/* ---- receiving ---- */

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct mux *m = mux_of_stream(s);
    yamux_input(m->yamux, bytes, len, time_now_monotonic());
    flush_now(m);
    return len;
}

static void on_ended(struct stream *s) {
    struct mux *m = mux_of_stream(s);
    yamux_end(m->yamux, "EOF");
    settle(m);
}

static void on_expired(struct stream *s) {
    struct mux *m = mux_of_stream(s);
    yamux_end(m->yamux, "connection write timeout");
    settle(m);
}

static void on_closed(struct stream *s) {
    struct mux *m = mux_of_stream(s);
    yamux_end(m->yamux, "EOF");
    settle(m);
    handle_closed(m);
}

static const struct stream_handlers mux_stream_handlers = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_drained,
    .expired = on_expired,
    .closed = on_closed,
};

/* ---- the session's handlers ---- */

static struct buf *session_out(struct yamux *y) {
    struct mux *m = yamux_owner(y);
    return stream_out(&m->stream);
}

static size_t session_backlog(struct yamux *y) {
    struct mux *m = yamux_owner(y);
    return stream_backlog(&m->stream);
}

static void session_incoming(struct yamux *y) {
    struct mux *m = yamux_owner(y);
    m->on->incoming(m);
}

static void session_openable(struct yamux *y) {
    struct mux *m = yamux_owner(y);
    if (m->on->openable != NULL)
        m->on->openable(m);
}

static const struct yamux_handlers client_handlers = {
    .out = session_out,
    .backlog = session_backlog,
    .openable = session_openable,
};
static const struct yamux_handlers server_handlers = {
    .out = session_out,
    .backlog = session_backlog,
    .incoming = session_incoming,
    .openable = session_openable,
};

/* ---- keepalive ---- */

static void on_timer(struct loop_timer *t) {
    struct mux *m = t->owner;
    int64_t now = time_now_monotonic();
    yamux_tick(m->yamux, now);
    flush_now(m);
    if (!m->over)
        loop_timer_set(t, yamux_next(m->yamux) - now);
}

/* ---- start ---- */

void mux_init(struct mux *m, struct loop *l, struct stream_detached *connection,
              enum yamux_role role, const struct mux_handlers *on, void *owner) {
    memset(m, 0, sizeof *m);
    m->on = on;
    m->owner = owner;
    m->yamux = yamux_new(role, time_now_monotonic(),
                         on->incoming != NULL ? &server_handlers : &client_handlers, m);
    loop_timer_init(l, &m->timer, on_timer, m);
    loop_timer_set(&m->timer, yamux_next(m->yamux) - time_now_monotonic());
    uv_prepare_init(&l->uv, &m->prepare);
    m->handles = 3;
    stream_attach(&m->stream, l, connection, &mux_stream_handlers);
}

void mux_start(struct mux *m) {
    stream_set_busy(&m->stream, false);
}

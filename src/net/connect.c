/* See connect.h. */
#include "net/connect.h"

#include "base/mem.h"

struct connect {
    struct stream stream;
    struct loop *loop;
    struct dial *dial; /* NULL: the handshake is under way */
    struct tls_session *tls;
    connect_done *done; /* NULL: nobody waits any more */
    void *owner;
    int64_t timeout;
    const char *announce;
    bool timed_out;
};

static void finish(struct connect *c, struct stream_detached *connection, const struct error *e) {
    connect_done *done = c->done;
    c->done = NULL;
    if (done != NULL)
        done(c->owner, connection, e);
    else if (connection != NULL)
        stream_detached_drop(connection);
}

static void fail(struct connect *c, const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    error_set(&e, ERROR_IO, "%s", text);
    finish(c, NULL, &e);
    arena_free(&arena);
}

static struct connect *of_stream(struct stream *s) {
    return CONTAINER_OF(s, struct connect, stream);
}

/* ---- the handshake ---- */

static void on_secured(struct stream *s) {
    struct stream_detached connection;
    stream_push(s); /* the last that it has to say */
    if (s->closing)
        return;
    stream_detach(s, &connection);
    finish(of_stream(s), &connection, NULL);
}

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    (void)s;
    (void)bytes;
    return len; /* none: it is another's by then */
}

static void on_ended(struct stream *s) {
    stream_close(s);
}

static void on_expired(struct stream *s) {
    of_stream(s)->timed_out = true;
    stream_close(s);
}

static void on_closed(struct stream *s) {
    struct connect *c = of_stream(s);
    const char *why = stream_error(s);
    fail(c, why != NULL ? why : c->timed_out ? "i/o timeout" : "EOF");
    mem_free(c);
}

static const struct stream_handlers handshake_handlers = {.data = on_data,
                                                          .secured = on_secured,
                                                          .ended = on_ended,
                                                          .expired = on_expired,
                                                          .closed = on_closed};

/* ---- the dial ---- */

static void on_dialled(void *owner, int fd, const struct error *e) {
    struct connect *c = owner;
    c->dial = NULL;
    if (fd >= 0 && c->tls != NULL) {
        struct tls_session *tls = c->tls;
        c->tls = NULL;
        stream_open(&c->stream, c->loop, fd, &handshake_handlers);
        stream_set_deadline(&c->stream, c->timeout);
        if (c->announce != NULL)
            buf_add_text(stream_out(&c->stream), c->announce);
        stream_start_tls(&c->stream, tls, STR_NONE);
        return;
    }
    tls_session_free(c->tls);
    struct stream_detached connection = {.fd = fd};
    finish(c, fd >= 0 ? &connection : NULL, e);
    mem_free(c);
}

struct connect *connect_start(struct loop *l, const struct connect_options *options,
                              connect_done *done, void *owner) {
    struct connect *c = MEM_NEW(struct connect);
    c->loop = l;
    c->tls = options->tls;
    c->announce = options->announce;
    c->timeout = options->target.timeout > 0 ? options->target.timeout : DIAL_TIMEOUT;
    c->done = done;
    c->owner = owner;
    c->dial = dial_start(l, &options->target, on_dialled, c);
    return c;
}

void connect_cancel(struct connect *c) {
    c->done = NULL;
    if (c->dial == NULL) {
        stream_close(&c->stream);
        return;
    }
    dial_cancel(c->dial);
    tls_session_free(c->tls);
    mem_free(c);
}

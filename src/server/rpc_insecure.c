/* See rpc_insecure.h. */
#include "server/rpc_insecure.h"

#include "base/mem.h"
#include "base/time.h"
#include "net/connect.h"
#include "server/rpc_reply.h"
#include "server/rpc_wire.h"
#include "server/secure.h"

#define CONNECTING "rpcinsecure error establishing connection: "
#define CALLING "rpcinsecure error making call: "
#define CALLING_ELSEWHERE "rpc error making call: " /* rpc_reply.h's */

struct rpc_insecure {
    struct loop *loop;
    struct connect *dial;    /* under way, or NULL */
    struct stream stream;    /* after that */
    struct loop_timer later; /* an address that is none is told later */
    rpc_insecure_done *done; /* NULL: it was told, or nobody waits */
    void *owner;
    struct buf request;
    struct buf in;
    struct rpc_reply reply;
    bool expired;
};

static void insecure_free(struct rpc_insecure *c) {
    buf_free(&c->request);
    buf_free(&c->in);
    mem_free(c);
}

static void tell(struct rpc_insecure *c, struct str reply, const struct error *e) {
    rpc_insecure_done *done = c->done;
    c->done = NULL;
    if (done != NULL) {
        done(c->owner, reply, e);
    }
}

static void tell_failure(struct rpc_insecure *c, enum error_kind kind, const char *prefix,
                         struct str why) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    error_set(&e, kind, "%s" STR_FMT, prefix, STR_ARG(why));
    tell(c, STR_NONE, &e);
    arena_free(&arena);
}

/* ---- the answer ---- */

static struct rpc_insecure *of_stream(struct stream *s) {
    return CONTAINER_OF(s, struct rpc_insecure, stream);
}

static void tell_reply(struct rpc_insecure *c, enum rpc_reply_result result, struct str body,
                       const struct error *e) {
    if (result == RPC_REPLY_DONE && !error_is_set(e)) {
        tell(c, body, e);
        return;
    }
    struct str prefix = STR(CALLING_ELSEWHERE), text = e->text;
    if (str_has_prefix(text, prefix)) {
        text = str_sub(text, prefix.len, text.len);
    }
    tell_failure(c, e->kind, CALLING, text);
}

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct rpc_insecure *c = of_stream(s);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str body = STR_NONE;
    size_t end = 0;
    buf_add(&c->in, bytes, len);
    enum rpc_reply_result result =
        rpc_reply_look(&c->reply, c->in.data, c->in.len, &body, &end, &e);
    if (result != RPC_REPLY_MORE) {
        tell_reply(c, result, body, &e);
        stream_close(s);
    }
    arena_free(&arena);
    return len;
}

static void on_ended(struct stream *s) {
    stream_close(s);
}

static void on_expired(struct stream *s) {
    of_stream(s)->expired = true;
    stream_close(s);
}

static void on_closed(struct stream *s) {
    struct rpc_insecure *c = of_stream(s);
    const char *why = stream_error(s);
    why = why != NULL ? why : c->expired ? "i/o timeout" : "EOF";
    tell_failure(c, ERROR_IO, CALLING, str_from(why));
    insecure_free(c);
}

static const struct stream_handlers call_handlers = {
    .data = on_data, .ended = on_ended, .expired = on_expired, .closed = on_closed};

/* ---- the connection ---- */

static void on_connected(void *owner, struct stream_detached *connection, const struct error *e) {
    struct rpc_insecure *c = owner;
    c->dial = NULL;
    if (connection == NULL) {
        tell_failure(c, ERROR_IO, CONNECTING, e->text);
        insecure_free(c);
        return;
    }
    rpc_reply_begin(&c->reply);
    stream_attach(&c->stream, c->loop, connection, &call_handlers);
    stream_set_deadline(&c->stream, RPC_INSECURE_TIME);
    buf_add_str(stream_out(&c->stream), buf_str(&c->request));
    stream_flush(&c->stream);
    stream_set_busy(&c->stream, false);
}

static void later_closed(struct loop_timer *t) {
    insecure_free(t->owner);
}

static void no_address(struct loop_timer *t) {
    struct rpc_insecure *c = t->owner;
    tell_failure(c, ERROR_IO, CONNECTING, STR("invalid address"));
    loop_timer_close(t, later_closed);
}

struct rpc_insecure *rpc_insecure_start(struct loop *l, const struct rpc_insecure_options *o,
                                        rpc_insecure_done *done, void *owner) {
    struct rpc_insecure *c = MEM_NEW(struct rpc_insecure);
    struct connect_options options = {
        .target = {.source = o->source}, .tls = o->tls, .announce = SECURE_ANNOUNCE_INSECURE};
    c->loop = l;
    c->done = done;
    c->owner = owner;
    rpc_write_request(&c->request, 1, o->method);
    buf_add_str(&c->request, o->body);
    if (dial_split(o->address, &options.target.ip, &options.target.port)) {
        c->dial = connect_start(l, &options, on_connected, c);
    } else {
        tls_session_free(o->tls);
        loop_timer_init(l, &c->later, no_address, c);
        loop_timer_set(&c->later, 0);
    }
    return c;
}

void rpc_insecure_cancel(struct rpc_insecure *c) {
    c->done = NULL;
    if (c->dial != NULL) {
        connect_cancel(c->dial);
        insecure_free(c);
    } else if (c->later.owner == NULL) {
        stream_close(&c->stream);
    } /* else: the timer ends it */
}

/* Connections of the built-in proxy: their life, and the bytes between their two sides. What has
 * come on one side waits in the other's output; when that is too much, the first is not read. One
 * side's end is passed on, and the other may still finish what it has to say. See proxy.h.
 */
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/proxy.h"
#include "net/connect.h"
#include "net/resolve.h"

#define BACKLOG_MAX ((size_t)262144)  /* of one direction */
#define HALF_OPEN_TIME (300 * SECOND) /* without a byte, once one side has ended */
#define FOUND_TIME (5 * SECOND)       /* that a name's address is used again */

static struct proxy_side *side_of(struct stream *s) {
    return CONTAINER_OF(s, struct proxy_side, stream);
}

static struct proxy_side *other_of(struct proxy_side *side) {
    struct proxy_connection *c = side->connection;
    return side == &c->near ? &c->far : &c->near;
}

static bool is_usable(const struct proxy_side *side) {
    return side->open && !side->stream.closing && !side->stream.finishing;
}

/* ---- the end ---- */

static void on_timer_closed(struct loop_timer *t) {
    struct proxy_connection *c = t->owner;
    arena_free(&c->arena);
    mem_free(c);
}

static void step_to(struct proxy_connection *c, enum proxy_step step) {
    if (c->step < STEP_PIPING && step >= STEP_PIPING)
        c->proxy->unproven--;
    if (c->step != STEP_PIPING && step == STEP_PIPING)
        proxy_metrics_opened(c);
    else if (c->step == STEP_PIPING && step != STEP_PIPING)
        proxy_metrics_closed(c);
    c->step = step;
}

/* Once nothing of it is under way. */
static void free_if_over(struct proxy_connection *c) {
    if (c->step != STEP_ENDING || c->near.open || c->far.open)
        return;
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        c->proxy->connections = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    loop_timer_close(&c->timer, on_timer_closed);
}

static void cancel_waits(struct proxy_connection *c) {
    agent_ask_cancel(c->question);
    if (c->resolve != NULL)
        resolve_cancel(c->resolve);
    if (c->dial != NULL)
        dial_cancel(c->dial);
    if (c->connect != NULL)
        connect_cancel(c->connect);
    c->question = NULL;
    c->resolve = NULL;
    c->dial = NULL;
    c->connect = NULL;
}

void proxy_drop(struct proxy_connection *c) {
    if (c->step == STEP_ENDING && !c->near.open && !c->far.open)
        return;
    bool was_over = c->step == STEP_ENDING;
    cancel_waits(c);
    step_to(c, STEP_ENDING);
    if (c->near.open)
        stream_close(&c->near.stream);
    if (c->far.open)
        stream_close(&c->far.stream);
    if (!was_over)
        free_if_over(c);
}

/* Who came is told politely: what it was told so far arrives. */
void proxy_fail(struct proxy_connection *c, const char *what, struct str why) {
    if (why.data != NULL)
        log_at(LOG_ERROR, c->inbound ? "proxy.inbound" : "proxy.upstream", what,
               LOG_S("error", why));
    cancel_waits(c);
    step_to(c, STEP_ENDING);
    if (c->far.open)
        stream_close(&c->far.stream);
    if (c->near.open)
        stream_finish(&c->near.stream);
    free_if_over(c);
}

static void on_timer(struct loop_timer *t) {
    struct proxy_connection *c = t->owner;
    if (c->step < STEP_PIPING) {
        proxy_fail(c, c->step == STEP_PROVING ? "failed handshake" : "failed to dial",
                   STR("i/o timeout"));
    } else if (c->moved && c->step == STEP_PIPING) {
        c->moved = false;
        loop_timer_set(&c->timer, HALF_OPEN_TIME);
    } else {
        proxy_drop(c);
    }
}

/* ---- bytes ---- */

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct proxy_side *from = side_of(s), *to = other_of(from);
    if (from->connection->step != STEP_PIPING || !is_usable(to))
        return len; /* nobody is there for them any more */
    from->connection->moved = true;
    *(from == &from->connection->near ? &from->connection->received : &from->connection->sent) +=
        len;
    buf_add(stream_out(&to->stream), bytes, len);
    stream_flush(&to->stream);
    if (is_usable(to) && stream_backlog(&to->stream) > BACKLOG_MAX)
        stream_set_busy(s, true);
    return len;
}

static void tell_end(struct proxy_side *side) {
    if (is_usable(side))
        stream_push(&side->stream); /* what is left then waits for on_drained */
    if (!is_usable(side))
        return;
    side->end_due = stream_backlog(&side->stream) > 0;
    if (!side->end_due)
        stream_end_output(&side->stream);
}

static void pass_end(struct proxy_side *side) {
    struct proxy_side *other = other_of(side);
    struct proxy_connection *c = side->connection;
    side->ended = true;
    if (other->ended || !is_usable(other)) {
        step_to(c, STEP_ENDING);
        stream_finish(&side->stream);
        if (is_usable(other))
            stream_finish(&other->stream);
    } else {
        tell_end(other);
        loop_timer_set(&c->timer, HALF_OPEN_TIME);
    }
}

/* Its bytes are wanted (again). */
static void go_on_reading(struct proxy_side *side) {
    struct stream *s = &side->stream;
    if (!is_usable(side))
        return;
    stream_set_busy(s, false);
    if (!side->end_waits || s->busy || s->in.len > 0 || !is_usable(side))
        return;
    side->end_waits = false;
    pass_end(side);
}

static void on_drained(struct stream *s) {
    struct proxy_side *side = side_of(s);
    if (side->connection->step != STEP_PIPING)
        return;
    if (side->end_due)
        tell_end(side);
    go_on_reading(other_of(side));
}

/* Told also to who is busy: then there may be bytes that come first. */
static void on_ended(struct stream *s) {
    struct proxy_side *side = side_of(s);
    struct proxy_connection *c = side->connection;
    if (s->busy)
        side->end_waits = true;
    else if (c->step == STEP_PIPING)
        pass_end(side);
    else
        proxy_drop(c);
}

static void on_secured(struct stream *s) {
    struct proxy_side *side = side_of(s);
    stream_set_busy(s, true);
    proxy_inbound_secured(side->connection);
}

/* It takes hardly anything, for long: as long as it likes. The kernel finds out who is dead. */
static void on_expired(struct stream *s) {
    (void)s;
}

static void on_closed(struct stream *s) {
    struct proxy_side *side = side_of(s), *other = other_of(side);
    struct proxy_connection *c = side->connection;
    const char *why = stream_error(s);
    bool was_proving = c->step == STEP_PROVING && c->inbound;
    side->open = false;
    if (was_proving && why != NULL)
        log_at(LOG_ERROR, "proxy.inbound", "failed handshake", LOG_C("error", why));
    else if (c->step == STEP_PIPING && why != NULL)
        log_at(LOG_ERROR, c->inbound ? "proxy.inbound" : "proxy.upstream", "connection failed",
               LOG_C("error", why));
    cancel_waits(c);
    step_to(c, STEP_ENDING);
    if (is_usable(other))
        stream_finish(&other->stream);
    free_if_over(c);
}

static const struct stream_handlers handlers = {.data = on_data,
                                                .ended = on_ended,
                                                .secured = on_secured,
                                                .drained = on_drained,
                                                .expired = on_expired,
                                                .closed = on_closed};

void proxy_side_open(struct proxy_side *side, int fd) {
    side->open = true;
    stream_open(&side->stream, side->connection->proxy->loop, fd, &handlers);
}

void proxy_side_attach(struct proxy_side *side, struct stream_detached *connection) {
    side->open = true;
    stream_attach(&side->stream, side->connection->proxy->loop, connection, &handlers);
}

void proxy_pipe(struct proxy_connection *c) {
    step_to(c, STEP_PIPING);
    loop_timer_stop(&c->timer);
    go_on_reading(&c->far);
    go_on_reading(&c->near);
}

/* ---- the beginning ---- */

int64_t proxy_time_left(const struct proxy_connection *c) {
    int64_t left = c->until - time_now_monotonic();
    return left > MILLISECOND ? left : MILLISECOND;
}

void proxy_accept(struct proxy *p, int fd, const struct proxy_upstream *upstream) {
    if (p->stopping || p->config == NULL || p->unproven >= PROXY_UNPROVEN_MAX) {
        close(fd);
        return;
    }
    struct proxy_connection *c = MEM_NEW(struct proxy_connection);
    c->proxy = p;
    c->inbound = upstream == NULL;
    c->near.connection = c->far.connection = c;
    c->next = p->connections;
    if (c->next != NULL)
        c->next->previous = c;
    p->connections = c;
    p->unproven++;
    loop_timer_init(p->loop, &c->timer, on_timer, c);
    int64_t time = p->config->handshake_timeout;
    if (upstream != NULL) {
        struct proxy_config one = {.upstreams = (struct proxy_upstream *)(uintptr_t)upstream,
                                   .upstream_count = 1};
        c->upstream = proxy_config_copy(&one, &c->arena)->upstreams[0];
        time = c->upstream.connect_timeout;
    }
    c->until = time_now_monotonic() + time;
    loop_timer_set(&c->timer, time);
    if (c->inbound)
        proxy_inbound_start(c, fd);
    else
        proxy_outbound_start(c, fd);
}

/* ---- names ---- */

static void go_on(struct proxy_connection *c, struct str ip) {
    if (c->inbound)
        proxy_inbound_dial(c, ip);
    else
        proxy_outbound_dial(c, ip);
}

static void on_found(void *owner, const struct resolved_address *addresses, size_t count,
                     const struct error *e) {
    struct proxy_connection *c = owner;
    struct proxy *p = c->proxy;
    char text[46];
    c->resolve = NULL;
    if (count == 0) {
        proxy_fail(c, "failed to dial", e->text);
        return;
    }
    struct str ip = resolved_address_text(addresses, text);
    if (c->host.len < sizeof p->found_name) {
        snprintf(p->found_name, sizeof p->found_name, STR_FMT, STR_ARG(c->host));
        snprintf(p->found_ip, sizeof p->found_ip, STR_FMT, STR_ARG(ip));
        p->found_until = time_now_monotonic() + FOUND_TIME;
    }
    go_on(c, ip);
}

/* The name found last is not looked up again at once: a look-up takes a thread. */
void proxy_find(struct proxy_connection *c, struct str host, int64_t port) {
    struct proxy *p = c->proxy;
    step_to(c, STEP_DIALLING);
    if (port <= 0 || port > 65535) {
        proxy_fail(c, "failed to dial", STR("invalid port"));
        return;
    }
    c->port = (uint16_t)port;
    if (host.len == 0)
        host = STR("127.0.0.1");
    if (resolve_is_literal(host)) {
        go_on(c, host);
    } else if (str_is(host, p->found_name) && time_now_monotonic() < p->found_until) {
        go_on(c, str_from(p->found_ip));
    } else {
        c->host = str_copy(&c->arena, host);
        c->resolve = resolve_start(p->loop, host, on_found, c);
    }
}

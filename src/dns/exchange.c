/* One message to one recursor, and its reply, over UDP or TCP (dns.md 11), each from a socket of
 * its own. libuv closes handles later, so what it works on is a `struct dns_channel` with its own
 * copy of the message, which outlives the exchange.
 */
#include "base/mem.h"
#include "dns/query.h"

struct dns_channel {
    struct dns_exchange *exchange; /* NULL: over, only closing */
    struct dns_worker *worker;
    struct dns_channel *next, *previous; /* in the worker's list, while it is not over */
    union {
        uv_handle_t any;
        uv_udp_t udp;
        uv_tcp_t tcp;
        uv_stream_t stream;
    } socket;
    struct loop_timer timer;
    int open; /* handles that are not closed yet */
    uv_connect_t connect;
    uv_write_t write;
    const char *step; /* "dial", "write", "read": what it is at, for errors */
    struct buf in;    /* TCP */
    size_t out_len;
    uint8_t out[]; /* TCP: with the length in front */
};

/* ---- replies ---- */

static bool same_question(const struct dns_exchange *x, const struct dns_message *m) {
    return m->has_question && m->question.type == x->question.type &&
           m->question.class == x->question.class &&
           dns_name_equal_fold(m->question.name, x->question.name);
}

bool dns_exchange_accept(struct dns_exchange *x, struct str bytes) {
    struct dns_header h;
    if (!dns_header_parse(bytes, &h) || h.id != x->id || (h.flags & DNS_QR) == 0) {
        return false;
    }
    bytes = str_copy(x->arena, bytes);
    bool whole = dns_message_parse(bytes, &x->reply, x->arena);
    bool refused = (h.flags & DNS_RCODE_MASK) != 0 && !x->reply.has_question;
    if (!refused && x->reply.has_question && !same_question(x, &x->reply)) {
        return false;
    }
    /* What is cut but says so is worth passing on. */
    x->ok = (whole || (h.flags & DNS_TC) != 0) && (refused || x->reply.has_question);
    if (!x->ok) {
        x->error = STR("dns: malformed reply");
    }
    return true;
}

/* ---- the end ---- */

static void handle_closed(struct dns_channel *c) {
    if (--c->open == 0) {
        buf_free(&c->in);
        mem_free(c);
    }
}

static void socket_closed(uv_handle_t *h) {
    handle_closed(h->data);
}
static void timer_closed(struct loop_timer *t) {
    handle_closed(t->owner);
}

static void channel_close(struct dns_channel *c) {
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        c->worker->channels = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    c->worker->exchange_count--;
    c->exchange->channel = NULL;
    c->exchange = NULL;
    uv_close(&c->socket.any, socket_closed);
    loop_timer_close(&c->timer, timer_closed);
}

static void channel_done(struct dns_channel *c) {
    struct dns_exchange *x = c->exchange;
    channel_close(c);
    x->done(x);
}

/* As the peer's errors read: "read udp 127.0.0.1:1->127.0.0.1:53: i/o timeout". */
static void channel_fail(struct dns_channel *c, const char *why) {
    struct dns_exchange *x = c->exchange;
    struct sockaddr_storage local = {0};
    int len = sizeof(local);
    const char *network = x->transport == DNS_TCP ? "tcp" : "udp";
    if (x->transport == DNS_TCP) {
        uv_tcp_getsockname(&c->socket.tcp, (struct sockaddr *)&local, &len);
    } else {
        uv_udp_getsockname(&c->socket.udp, (struct sockaddr *)&local, &len);
    }
    if (strcmp(c->step, "dial") == 0) {
        x->error = str_format(x->arena, "dial %s " STR_FMT ": %s", network,
                              STR_ARG(x->recursor->text), why);
    } else {
        x->error = str_format(x->arena, "%s %s " STR_FMT "->" STR_FMT ": %s", c->step, network,
                              STR_ARG(dns_sockaddr_text(&local, x->arena)),
                              STR_ARG(x->recursor->text), why);
    }
    channel_done(c);
}

static void channel_fail_uv(struct dns_channel *c, int code) {
    channel_fail(c, code == UV_ECONNREFUSED ? "connection refused"
                    : code == UV_EOF        ? "EOF"
                                            : uv_strerror(code));
}

static void timed_out(struct loop_timer *t) {
    channel_fail(t->owner, "i/o timeout");
}

static void begin_step(struct dns_channel *c, const char *step) {
    c->step = step;
    loop_timer_set(&c->timer, c->exchange->timeout);
}

/* ---- UDP ---- */

static void udp_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *out) {
    struct dns_channel *c = h->data;
    (void)suggested;
    if (c->worker->receive_buffer == NULL) {
        c->worker->receive_buffer = mem_alloc(DNS_MESSAGE_MAX);
    }
    *out = uv_buf_init((char *)c->worker->receive_buffer,
                       c->exchange == NULL ? 0 : (unsigned)c->exchange->size);
}

static void udp_received(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                         unsigned flags) {
    struct dns_channel *c = h->data;
    (void)flags;
    if (c->exchange == NULL || (n == 0 && from == NULL)) {
        return;
    }
    if (n < 0) {
        channel_fail_uv(c, (int)n);
    } else if (dns_exchange_accept(c->exchange, str_of(buf->base, (size_t)n))) {
        channel_done(c);
    }
}

static void start_udp(struct dns_channel *c) {
    const struct sockaddr *to = (const struct sockaddr *)&c->exchange->recursor->address;
    uv_buf_t out = uv_buf_init((char *)c->out + 2, (unsigned)c->out_len - 2);
    begin_step(c, "dial");
    int code = uv_udp_connect(&c->socket.udp, to);
    if (code == 0) {
        begin_step(c, "write");
        code = uv_udp_try_send(&c->socket.udp, &out, 1, NULL);
    }
    if (code >= 0) {
        begin_step(c, "read");
        code = uv_udp_recv_start(&c->socket.udp, udp_buffer, udp_received);
    }
    if (code < 0) {
        channel_fail_uv(c, code);
    }
}

/* ---- TCP ---- */

static void tcp_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *out) {
    struct dns_channel *c = h->data;
    (void)suggested;
    *out = uv_buf_init(buf_reserve(&c->in, 4096), 4096);
}

static void tcp_received(uv_stream_t *h, ssize_t n, const uv_buf_t *buf) {
    struct dns_channel *c = h->data;
    (void)buf;
    if (c->exchange == NULL || n == 0) {
        return;
    }
    if (n < 0) {
        channel_fail_uv(c, (int)n);
        return;
    }
    c->in.len += (size_t)n;
    if (c->in.len < 2 || c->in.len - 2 < be16_get(c->in.data)) {
        return;
    }
    struct dns_exchange *x = c->exchange;
    if (!dns_exchange_accept(x, str_of(c->in.data + 2, be16_get(c->in.data)))) {
        x->error = STR("dns: id mismatch");
    }
    channel_done(c);
}

static void tcp_written(uv_write_t *request, int code) {
    struct dns_channel *c = request->data;
    if (c->exchange == NULL) {
        return;
    }
    if (code == 0) {
        begin_step(c, "read");
        code = uv_read_start(&c->socket.stream, tcp_buffer, tcp_received);
    }
    if (code < 0) {
        channel_fail_uv(c, code);
    }
}

static void tcp_connected(uv_connect_t *request, int code) {
    struct dns_channel *c = request->data;
    if (c->exchange == NULL) {
        return;
    }
    if (code == 0) {
        uv_buf_t out = uv_buf_init((char *)c->out, (unsigned)c->out_len);
        begin_step(c, "write");
        c->write.data = c;
        code = uv_write(&c->write, &c->socket.stream, &out, 1, tcp_written);
    }
    if (code < 0) {
        channel_fail_uv(c, code);
    }
}

static void start_tcp(struct dns_channel *c) {
    begin_step(c, "dial");
    c->connect.data = c;
    int code =
        uv_tcp_connect(&c->connect, &c->socket.tcp,
                       (const struct sockaddr *)&c->exchange->recursor->address, tcp_connected);
    if (code < 0) {
        channel_fail_uv(c, code);
    }
}

/* ---- */

static struct dns_channel *channel_new(struct dns_exchange *x) {
    struct dns_worker *w = x->worker;
    size_t len = x->message.len;
    struct dns_channel *c = mem_zalloc(1, sizeof(*c) + 2 + len);
    int code = x->transport == DNS_TCP ? uv_tcp_init(&w->loop->uv, &c->socket.tcp)
                                       : uv_udp_init(&w->loop->uv, &c->socket.udp);
    if (code < 0) {
        mem_free(c);
        return NULL;
    }
    be16_put(c->out, (uint16_t)len);
    memcpy(c->out + 2, x->message.data, len);
    c->out_len = 2 + len;
    c->worker = w;
    c->exchange = x;
    c->socket.any.data = c;
    c->open = 2;
    loop_timer_init(w->loop, &c->timer, timed_out, c);
    c->next = w->channels;
    if (c->next != NULL) {
        c->next->previous = c;
    }
    w->channels = c;
    w->exchange_count++;
    x->channel = c;
    return c;
}

void dns_exchange_start(struct dns_exchange *x) {
    struct dns_worker *w = x->worker;
    x->ok = false;
    x->error = STR_NONE;
    x->started = time_now_monotonic();
    struct dns_channel *c = NULL;
    if (w->exchange_count < DNS_EXCHANGES_MAX && w->loop != NULL) {
        c = channel_new(x);
    }
    if (c == NULL) {
        x->error = STR("too many open requests to recursors");
        x->done(x);
    } else if (x->transport == DNS_TCP) {
        start_tcp(c);
    } else {
        start_udp(c);
    }
}

void dns_exchange_cancel(struct dns_exchange *x) {
    if (x->channel != NULL) {
        channel_close(x->channel);
    }
}

void dns_exchange_close_all(struct dns_worker *w) {
    while (w->channels != NULL) {
        channel_close(w->channels);
    }
}

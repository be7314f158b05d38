/* TCP: messages with a length in front, served one after the other on each connection (dns.md 1).
 * The first must be complete two seconds after the connection came, each later one eight seconds
 * after the answer before it; an answer must have been taken in the same time.
 */
#include "base/mem.h"
#include "base/time.h"
#include "dns/listen.h"

#define FIRST_TIMEOUT (2 * SECOND)
#define NEXT_TIMEOUT (8 * SECOND)
#define MESSAGES_MAX 128u
#define BACKLOG 1024
#define READ_SIZE ((size_t)4096)
/* Input beyond a whole message waits in the kernel. */
#define INPUT_MAX (2 + DNS_MESSAGE_MAX)

struct dns_connection {
    struct dns_tcp *tcp;
    struct dns_connection *next, *previous;
    uv_tcp_t socket;
    struct loop_timer timer;
    int open; /* handles not closed yet */
    struct buf in;
    size_t taken;            /* bytes of `in` that were served */
    struct dns_query *query; /* being served */
    uint32_t messages;
    bool reading, ended, advancing, writing, closing;
    bool entered; /* counted by the limit of its client */
    uint8_t ip[16];
    size_t ip_len;
    uv_write_t write;
    struct buf out; /* what the kernel did not take at once */
};

static void advance(struct dns_connection *c);

/* ---- the end of a connection ---- */

static void tcp_handle_closed(struct dns_tcp *t) {
    if (--t->open == 0 && t->closing) {
        t->closed(t->owner);
    }
}

static void handle_closed(struct dns_connection *c) {
    if (--c->open > 0) {
        return;
    }
    struct dns_tcp *t = c->tcp;
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        t->connections = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    t->count--;
    if (c->entered) {
        client_limit_leave(t->clients, str_of((const char *)c->ip, c->ip_len));
    }
    buf_free(&c->in);
    buf_free(&c->out);
    mem_free(c);
    tcp_handle_closed(t);
}

static void socket_closed(uv_handle_t *h) {
    handle_closed(h->data);
}
static void timer_closed(struct loop_timer *timer) {
    handle_closed(timer->owner);
}

static void connection_close(struct dns_connection *c) {
    if (c->closing) {
        return;
    }
    c->closing = true;
    if (c->query != NULL) {
        dns_query_release(c->query);
        c->query = NULL;
    }
    uv_close((uv_handle_t *)&c->socket, socket_closed);
    loop_timer_close(&c->timer, timer_closed);
}

static void timed_out(struct loop_timer *timer) {
    connection_close(timer->owner);
}

/* ---- answers ---- */

static void written(uv_write_t *request, int code) {
    struct dns_connection *c = request->data;
    c->writing = false;
    buf_clear(&c->out);
    if (c->closing) {
        return;
    }
    if (code < 0) {
        connection_close(c);
        return;
    }
    loop_timer_set(&c->timer, NEXT_TIMEOUT);
    advance(c);
}

static void respond(struct dns_connection *c, const struct buf *response) {
    uint8_t prefix[2];
    be16_put(prefix, (uint16_t)response->len);
    uv_buf_t parts[2] = {uv_buf_init((char *)prefix, 2),
                         uv_buf_init(response->data, (unsigned)response->len)};
    int n = uv_try_write((uv_stream_t *)&c->socket, parts, 2);
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (n < 0 && n != UV_EAGAIN) {
        connection_close(c);
        return;
    }
    if (sent == response->len + 2) {
        return;
    }
    buf_clear(&c->out);
    buf_add(&c->out, prefix, 2);
    buf_add(&c->out, response->data, response->len);
    uv_buf_t rest = uv_buf_init(c->out.data + sent, (unsigned)(c->out.len - sent));
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->socket, &rest, 1, written) < 0) {
        connection_close(c);
        return;
    }
    c->writing = true;
}

static void answered(struct dns_query *q) {
    struct dns_connection *c = q->owner;
    c->query = NULL;
    if (!c->closing) {
        loop_timer_set(&c->timer, NEXT_TIMEOUT);
        if (q->response.len > 0) {
            respond(c, &q->response);
        }
    }
    dns_query_release(q);
    if (!c->closing && !c->advancing) {
        advance(c);
    }
}

/* ---- queries ---- */

/* The next whole message, if it is there. */
static bool take_message(struct dns_connection *c, struct str *message) {
    const char *p = c->in.data + c->taken;
    size_t have = c->in.len - c->taken;
    if (have < 2 || have - 2 < be16_get(p)) {
        return false;
    }
    *message = str_of(p + 2, be16_get(p));
    c->taken += 2 + message->len;
    return true;
}

static void start_query(struct dns_connection *c, struct str message) {
    struct sockaddr_storage client = {0};
    int len = sizeof(client);
    struct dns_query *q = dns_query_take(c->tcp->worker);
    if (q == NULL || uv_tcp_getpeername(&c->socket, (struct sockaddr *)&client, &len) < 0) {
        if (q != NULL) {
            q->finished = true;
            dns_query_release(q);
        }
        connection_close(c);
        return;
    }
    loop_timer_stop(&c->timer);
    c->query = q;
    dns_query_start(q, DNS_TCP, message, (const struct sockaddr *)&client, answered, c);
}

static void read_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *out);
static void received(uv_stream_t *h, ssize_t n, const uv_buf_t *buf);

/* Drops what was served, and reads on when there is room and something to come. */
static void settle_input(struct dns_connection *c) {
    if (c->taken > 0) {
        c->in.len -= c->taken;
        memmove(c->in.data, c->in.data + c->taken, c->in.len);
        c->taken = 0;
    }
    bool wanted = !c->ended && c->in.len < INPUT_MAX;
    if (wanted && !c->reading) {
        uv_read_start((uv_stream_t *)&c->socket, read_buffer, received);
    } else if (!wanted && c->reading) {
        uv_read_stop((uv_stream_t *)&c->socket);
    }
    c->reading = wanted;
}

static void advance(struct dns_connection *c) {
    struct str message;
    c->advancing = true;
    while (c->query == NULL && !c->writing && !c->closing) {
        if (c->messages >= MESSAGES_MAX) {
            connection_close(c);
        } else if (!take_message(c, &message)) {
            if (c->ended) {
                connection_close(c);
            }
            break;
        } else {
            c->messages++;
            if (message.len >= DNS_HEADER_SIZE) {
                start_query(c, message);
            } else {
                loop_timer_set(&c->timer, NEXT_TIMEOUT);
            }
        }
    }
    c->advancing = false;
    if (!c->closing) {
        settle_input(c);
    }
}

static void read_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *out) {
    struct dns_connection *c = h->data;
    (void)suggested;
    *out = uv_buf_init(buf_reserve(&c->in, READ_SIZE), (unsigned)READ_SIZE);
}

static void received(uv_stream_t *h, ssize_t n, const uv_buf_t *buf) {
    struct dns_connection *c = h->data;
    (void)buf;
    if (c->closing || n == 0) {
        return;
    }
    if (n == UV_EOF) { /* the client may still read: answers to what is here go out */
        c->ended = true;
    } else if (n < 0) {
        connection_close(c);
        return;
    } else {
        c->in.len += (size_t)n;
    }
    if (c->query == NULL && !c->writing) {
        advance(c);
    } else {
        settle_input(c);
    }
}

/* ---- connections ---- */

/* Whether its client has not too many already. */
static bool enter(struct dns_connection *c) {
    struct sockaddr_storage client = {0};
    int len = sizeof(client);
    if (uv_tcp_getpeername(&c->socket, (struct sockaddr *)&client, &len) < 0) {
        return false;
    }
    bool v6 = client.ss_family == AF_INET6;
    const void *ip = v6 ? (const void *)&((struct sockaddr_in6 *)&client)->sin6_addr
                        : (const void *)&((struct sockaddr_in *)&client)->sin_addr;
    c->ip_len = v6 ? 16 : 4;
    memcpy(c->ip, ip, c->ip_len);
    c->entered = client_limit_enter(c->tcp->clients, str_of((const char *)c->ip, c->ip_len));
    return c->entered;
}

static void accepted(uv_stream_t *listener, int status) {
    struct dns_tcp *t = listener->data;
    if (status < 0 || t->closing) {
        return;
    }
    struct dns_connection *c = MEM_NEW(struct dns_connection);
    c->tcp = t;
    c->socket.data = c;
    c->open = 2;
    if (uv_tcp_init(listener->loop, &c->socket) < 0) {
        mem_free(c);
        return;
    }
    loop_timer_init(t->worker->loop, &c->timer, timed_out, c);
    c->next = t->connections;
    if (c->next != NULL) {
        c->next->previous = c;
    }
    t->connections = c;
    t->count++;
    t->open++;
    if (uv_accept(listener, (uv_stream_t *)&c->socket) < 0 || t->count > t->limit || !enter(c)) {
        connection_close(c);
        return;
    }
    uv_tcp_nodelay(&c->socket, 1);
    loop_timer_set(&c->timer, FIRST_TIMEOUT);
    settle_input(c);
}

bool dns_tcp_start(struct dns_tcp *t, struct dns_worker *w, int fd, uint32_t limit,
                   struct client_limit *clients) {
    *t = (struct dns_tcp){.worker = w, .limit = limit, .clients = clients};
    if (uv_tcp_init(&w->loop->uv, &t->listener) < 0) {
        return false;
    }
    t->listener.data = t;
    t->open = 1;
    return uv_tcp_open(&t->listener, fd) == 0 &&
           uv_listen((uv_stream_t *)&t->listener, BACKLOG, accepted) == 0;
}

static void listener_closed(uv_handle_t *h) {
    tcp_handle_closed(h->data);
}

void dns_tcp_close(struct dns_tcp *t, void (*closed)(void *owner), void *owner) {
    t->closing = true;
    t->closed = closed;
    t->owner = owner;
    for (struct dns_connection *c = t->connections, *next; c != NULL; c = next) {
        next = c->next;
        connection_close(c);
    }
    uv_close((uv_handle_t *)&t->listener, listener_closed);
}

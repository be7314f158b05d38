/* Connections: bytes become requests, one at a time, and pipelined ones wait in the stream. Bodies
 * are read when the handler asks for them. What ends a request (answer.c, streaming.c) comes back
 * here through http_request_end.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "http/room.h"
#include "server/secure.h"

#define TLS_HANDSHAKE_RECORD 0x16

#define METHOD_MEASURED 16 /* bytes of a method's name; nobody means longer ones */

/* ---- requests ---- */

static struct http_request *request_new(struct http_connection *c) {
    struct http_loop *home = c->home;
    struct http_request *r = home->spare;
    struct arena arena = ARENA_INIT;
    struct buf extra = BUF_INIT;
    if (r != NULL) {
        home->spare = r->next;
        home->spare_count--;
        arena = r->arena;
        extra = r->extra;
    } else {
        r = mem_alloc(sizeof *r);
    }
    memset(r, 0, sizeof *r);
    r->arena = arena;
    r->extra = extra;
    r->http = home->http;
    r->home = home;
    r->agent = home->http->o.agent;
    r->server = home->http->o.server;
    r->loop = home->loop;
    r->settings = home->settings;
    r->settings->references++;
    r->config = r->settings->config;
    r->body_file = -1;
    r->peer = c->peer;
    r->connection = c;
    c->request = r;
    home->requests++;
    return r;
}

static void request_free(struct http_request *r) {
    struct http_loop *home = r->home;
    home->requests--;
    if (r->body_file >= 0)
        close(r->body_file);
    http_stream_drop(r);
    buf_free(&r->out);
    authorization_release(r->who);
    r->who = NULL;
    authorization_release(r->also);
    r->also = NULL;
    http_settings_release(r->settings);
    if (home->spare_count < HTTP_SPARE_REQUESTS && r->extra.cap <= 1024) {
        arena_reset(&r->arena, 8192);
        buf_clear(&r->extra);
        r->next = home->spare;
        home->spare = r;
        home->spare_count++;
        return;
    }
    arena_free(&r->arena);
    buf_free(&r->extra);
    mem_free(r);
}

void http_loop_free_spare(struct http_loop *home) {
    while (home->spare != NULL) {
        struct http_request *r = home->spare;
        home->spare = r->next;
        arena_free(&r->arena);
        buf_free(&r->extra);
        mem_free(r);
    }
    home->spare_count = 0;
}

/* ---- refusals ---- */

/* Of a message that cannot be understood: with a text no Date, no Content-Length (http-core.md
 * 1.2). */
static void send_refusal(struct http_connection *c, const struct http_refusal *refusal) {
    struct buf *out = stream_out(&c->stream);
    if (refusal->body[0] == '\0') {
        buf_add_format(out, "HTTP/1.1 %s\r\n", refusal->line);
        http_add_date(c->home, out);
        buf_add_text(out, "Connection: close\r\nContent-Length: 0\r\n\r\n");
    } else {
        buf_add_format(out,
                       "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                       "Connection: close\r\n\r\n%s",
                       refusal->line, refusal->body);
    }
    stream_finish(&c->stream);
}

/* ---- deadlines ---- */

/* While output waits for the client, the time for that counts (stream.c), and no other. */
static void clear_deadline(struct http_connection *c) {
    if (!c->stream.blocked)
        stream_set_deadline(&c->stream, 0);
}

/* How long the next bytes may take. head: some of the next head are there. */
static void set_deadline(struct http_connection *c, bool head) {
    struct stream *s = &c->stream;
    bool body = c->wants_body || c->draining;
    if (s->blocked)
        return;
    if (!body && (c->request != NULL || !head)) {
        stream_set_deadline(s, 0); /* the handler's time, or idle */
    } else if (!body) {
        if (s->deadline == 0)
            stream_set_deadline(s, HTTP_HEAD_TIME); /* not prolonged by further bytes */
    } else if (s->deadline == 0 || c->moved >= HTTP_BODY_LEAST) {
        c->moved = 0;
        stream_set_deadline(s, HTTP_BODY_TIME);
    }
}

/* ---- heads ---- */

static void begin_body(struct http_connection *c, const struct http_head *head) {
    c->body_left = head->content_length > 0 ? (uint64_t)head->content_length : 0;
    c->body_state = head->chunked ? BODY_CHUNKED : c->body_left > 0 ? BODY_LENGTH : BODY_NONE;
    memset(&c->chunks, 0, sizeof c->chunks);
    c->drained = c->moved = 0;
    c->draining = c->wants_body = false;
    c->expects = head->expect_continue && head->minor >= 1 && c->body_state != BODY_NONE;
}

/* Splits and decodes the target. False: refused. */
static bool read_target(struct http_request *r, struct str target) {
    struct str path;
    if (!url_split_target(target, &path, &r->raw_query))
        return false;
    return url_decode(path, false, &r->arena, &r->path);
}

static void start_request(struct http_connection *c, struct str bytes) {
    static const struct http_refusal bad = {400, "400 Bad Request", "400 Bad Request"};
    struct http_request *r = request_new(c);
    struct http_refusal refusal = bad;
    struct http_head head;
    memset(&c->scan, 0, sizeof c->scan);
    bytes = str_of(arena_copy(&r->arena, bytes.data, bytes.len), bytes.len);
    if (!http_head_parse(bytes, &head, &r->arena, &refusal) || !read_target(r, head.target)) {
        c->request = NULL;
        request_free(r);
        send_refusal(c, &refusal);
        return;
    }
    r->method = head.method;
    r->target = head.target;
    r->headers = head.headers;
    r->header_count = head.header_count;
    r->content_length = head.content_length;
    r->chunked = head.chunked;
    r->minor = head.minor;
    r->started = time_now_monotonic();
    r->close_after = !head.keep_alive || c->home->stopping;
    r->says_keep_alive = head.minor == 0 && head.keep_alive;
    r->accepts_gzip = head.accepts_gzip;
    r->unix_socket = c->peer.ip_len == 0;
    begin_body(c, &head);
    clear_deadline(c); /* the head's */
    stream_set_busy(&c->stream, true);
    http_dispatch(r);
}

/* ---- bodies ---- */

/* Takes body bytes from *in. COMPLETE: the body has ended. */
static enum http_progress take_body(struct http_connection *c, struct str *in, struct str *piece) {
    if (c->body_state == BODY_CHUNKED) {
        enum http_progress progress = http_chunked_read(&c->chunks, in, piece);
        if (progress == HTTP_COMPLETE)
            c->body_state = BODY_ENDED;
        return progress;
    }
    size_t len = in->len < c->body_left ? in->len : (size_t)c->body_left;
    *piece = str_sub(*in, 0, len);
    *in = str_of(in->data + len, in->len - len);
    c->body_left -= len;
    if (c->body_left > 0)
        return HTTP_MORE;
    c->body_state = BODY_ENDED;
    return HTTP_COMPLETE;
}

static void body_too_large(struct http_request *r, uint64_t limit) {
    r->close_after = true;
    r->connection->wants_body = false;
    http_answer_format(r, 413, "Request body too large, max size: %llu bytes.",
                       (unsigned long long)limit);
}

/* The handler's turn. It may answer at once, or go on waiting for something else. */
static void body_complete(struct http_connection *c) {
    struct http_request *r = c->request;
    c->wants_body = false;
    clear_deadline(c);
    stream_set_busy(&c->stream, true);
    if (r->body_file >= 0) {
        lseek(r->body_file, 0, SEEK_SET);
    } else {
        r->body = c->body.len > 0
                      ? str_of(arena_copy(&r->arena, c->body.data, c->body.len), c->body.len)
                      : STR("");
        buf_free(&c->body);
    }
    r->body_done(r);
}

/* False: answered or broken. */
static bool store_body(struct http_connection *c, struct str piece) {
    struct http_request *r = c->request;
    if (r->body_file < 0) {
        if (c->body.len + piece.len > c->body_limit) {
            buf_free(&c->body);
            if (r->body_over != NULL) {
                r->close_after = true;
                c->wants_body = false;
                r->body_over(r);
            } else {
                body_too_large(r, c->body_limit);
            }
            return false;
        }
        buf_add_str(&c->body, piece);
        return true;
    }
    while (piece.len > 0) {
        ssize_t wrote = write(r->body_file, piece.data, piece.len);
        if (wrote <= 0) {
            r->close_after = true;
            c->wants_body = false;
            http_answer_text(r, 500, STR("failed to store the request body"));
            return false;
        }
        piece = str_of(piece.data + wrote, piece.len - (size_t)wrote);
    }
    return true;
}

static void body_broken(struct http_connection *c) {
    static const struct http_refusal bad = {400, "400 Bad Request", "400 Bad Request"};
    if (c->request == NULL) {
        stream_finish(&c->stream); /* answered already */
        return;
    }
    struct http_request *r = c->request;
    c->request = NULL;
    c->wants_body = false;
    r->connection = NULL;
    request_free(r);
    send_refusal(c, &bad);
}

/* Feeds the handler's body. */
static void read_body(struct http_connection *c, struct str *in) {
    while (c->wants_body && !c->stream.closing) {
        struct str piece;
        size_t before = in->len;
        enum http_progress progress = take_body(c, in, &piece);
        if (progress == HTTP_REFUSED) {
            in->len = 0;
            body_broken(c);
            return;
        }
        if (piece.len > 0 && !store_body(c, piece))
            return;
        if (progress == HTTP_COMPLETE) {
            body_complete(c);
            return;
        }
        if (in->len == 0 || in->len == before)
            return;
    }
}

/* Throws a body away that nobody wanted; too much of it is not worth the connection. */
static void drain_body(struct http_connection *c, struct str *in) {
    while (c->draining && in->len > 0) {
        struct str piece;
        enum http_progress progress = take_body(c, in, &piece);
        c->drained += piece.len;
        if (progress == HTTP_REFUSED || c->drained > HTTP_DRAIN_MAX) {
            in->len = 0;
            c->draining = false;
            stream_finish(&c->stream);
        } else if (progress == HTTP_COMPLETE) {
            c->draining = false;
            clear_deadline(c);
        }
    }
}

/* After all that has come was looked at. The other side may have ended its half while a request
 * held that up (on_ended left it alone then): what is left is no whole request, or no whole body.
 */
static void end_if_ended(struct http_connection *c) {
    struct stream *s = &c->stream;
    if (!s->read_ended || s->closing || s->finishing || s->busy || c->in_data)
        return;
    if (c->request == NULL || c->wants_body)
        stream_finish(s);
}

void http_read_body(struct http_request *r, uint64_t limit, void (*done)(struct http_request *r)) {
    struct http_connection *c = r->connection;
    r->body_done = done;
    if (c == NULL || c->body_state == BODY_NONE || c->body_state == BODY_ENDED) {
        r->body = STR("");
        done(r);
        return;
    }
    c->body_limit = limit == 0 ? HTTP_BODY_MAX : limit;
    if (c->body_state == BODY_LENGTH && c->body_left > c->body_limit) {
        if (r->body_over != NULL) {
            r->close_after = true;
            r->body_over(r);
        } else {
            body_too_large(r, c->body_limit);
        }
        return;
    }
    if (c->expects) {
        buf_add_text(stream_out(&c->stream), "HTTP/1.1 100 Continue\r\n\r\n");
        c->expects = false;
    }
    c->wants_body = true;
    if (c->in_data)
        return; /* the loop in on_data goes on with it */
    stream_flush(&c->stream);
    set_deadline(c, false);
    stream_set_busy(&c->stream, false);
    end_if_ended(c);
}

void http_read_body_file(struct http_request *r, void (*done)(struct http_request *r)) {
    const char *folder = getenv("TMPDIR");
    struct str name = str_format(&r->arena, "%s/praetor-body-XXXXXX",
                                 folder != NULL && *folder != '\0' ? folder : "/tmp");
    char *path = (char *)(uintptr_t)name.data;
    r->body_file = mkostemp(path, O_CLOEXEC);
    if (r->body_file < 0) {
        http_answer_text(r, 500, STR("cannot store the request body"));
        return;
    }
    unlink(path);
    http_read_body(r, UINT64_MAX, done);
}

/* ---- bytes come in ---- */

/* Whether there is room for another answer. */
static bool has_room(struct http_connection *c) {
    if (stream_backlog(&c->stream) <= HTTP_BACKLOG_MAX)
        return true;
    stream_push(&c->stream);
    return !c->stream.closing && stream_backlog(&c->stream) <= HTTP_BACKLOG_MAX;
}

/* One step forward; false: wait for more bytes, or for the handler. */
static bool step(struct http_connection *c, struct str *in) {
    if (c->request != NULL) {
        if (!c->wants_body || in->len == 0)
            return false;
        read_body(c, in);
        return true;
    }
    if (c->draining) {
        drain_body(c, in);
        return !c->draining;
    }
    if (in->len == 0 || !has_room(c))
        return false;
    struct http_refusal refusal;
    size_t end;
    switch (http_head_find(&c->scan, *in, &end, &refusal)) {
    case HTTP_MORE:
        return false;
    case HTTP_REFUSED:
        send_refusal(c, &refusal);
        return false;
    default:
        break;
    }
    struct str head = str_sub(*in, 0, end);
    *in = str_of(in->data + end, in->len - end);
    start_request(c, head);
    return true;
}

/* What comes first where TLS is spoken: a handshake, or somebody's mistake (tls.md 6). */
static void first_bytes(struct http_connection *c, struct str in) {
    static const char *const methods[] = {"GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET"};
    if (in.data[0] == TLS_HANDSHAKE_RECORD) {
        stream_start_tls(&c->stream,
                         secure_accept(server_secure(c->home->http->o.server), SECURE_HTTPS), in);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (str_has_prefix(in, str_from(methods[i]))) {
            buf_add_text(stream_out(&c->stream),
                         "HTTP/1.0 400 Bad Request\r\n\r\n"
                         "Client sent an HTTP request to an HTTPS server.\n");
            stream_finish(&c->stream);
            return;
        }
    }
    stream_close(&c->stream);
}

static size_t on_data(struct stream *s, const char *bytes, size_t len) {
    struct http_connection *c = (struct http_connection *)s;
    if (c->secure && s->tls == NULL) {
        first_bytes(c, str_of(bytes, len));
        return len;
    }
    struct str in = str_of(bytes, len);
    c->in_data = true;
    while (!s->closing && !s->finishing && step(c, &in))
        continue;
    c->in_data = false;
    if (s->closing || s->finishing)
        return len;
    /* The handler waits for something: bytes behind its request stay where they are. Its own body
     * must go on coming. */
    bool full = stream_backlog(s) > HTTP_BACKLOG_MAX && s->blocked; /* on_drained goes on */
    stream_set_busy(s, full || (c->request != NULL && !c->wants_body));
    c->moved += len - in.len;
    set_deadline(c, in.len > 0);
    end_if_ended(c);
    return len - in.len;
}

/* ---- ends ---- */

/* Measures and logs an API request that is answered. */
static void note_end(struct http_request *r) {
    char name[96];
    if (r->pattern == NULL || (r->route->flags & ROUTE_PLAIN) != 0)
        return;
    int64_t took = time_now_monotonic() - r->started;
    if (r->method.len <= METHOD_MEASURED) {
        memcpy(name, "http.", 5);
        memcpy(name + 5, r->method.data, r->method.len);
        strcpy(name + 5 + r->method.len, r->pattern->metric);
        metric_sample(name, (double)took / (double)MILLISECOND);
    }
    if ((r->route->flags & ROUTE_BARE) != 0)
        return;
    log_at(LOG_DEBUG, "agent.http", "Request finished", LOG_S("method", r->method),
           LOG_S("url", http_logged_url(r)), LOG_S("from", http_remote(r)),
           LOG_S("latency", duration_format(&r->arena, took)));
}

void http_request_end(struct http_request *r) {
    struct http_connection *c = r->connection;
    note_end(r);
    bool close_after = r->close_after;
    request_free(r);
    if (c == NULL)
        return;
    c->request = NULL;
    c->wants_body = false;
    buf_free(&c->body);
    struct stream *s = &c->stream;
    if (s->closing)
        return;
    c->draining = c->body_state == BODY_LENGTH || c->body_state == BODY_CHUNKED;
    if (c->expects ||
        (c->draining && c->body_state == BODY_LENGTH && c->body_left > HTTP_DRAIN_MAX))
        close_after = true;
    if (close_after) {
        stream_finish(s);
        return;
    }
    clear_deadline(c); /* of its body */
    if (c->in_data)
        return; /* goes on there, and flushes at its end */
    set_deadline(c, s->in.len > 0);
    stream_set_busy(s, false);
    stream_flush(s);
    end_if_ended(c);
}

static void on_ended(struct stream *s) {
    struct http_connection *c = (struct http_connection *)s;
    /* A request under way is still answered: its sender may have closed only its half. */
    bool hangs_up = c->request != NULL && c->request->hangs_up;
    if (c->request == NULL || c->wants_body || hangs_up) {
        if (c->request != NULL)
            stream_close(s);
        else
            stream_finish(s);
    }
}

/* The handshake's time is over; a head may come whenever it likes. (HTTP/2 begins with a preface,
 * for which there is as much time as is left.) */
static void on_secured(struct stream *s) {
    if (str_is(tls_protocol(s->tls), "h2"))
        http2_begin((struct http_connection *)s);
    else
        stream_set_deadline(s, 0);
}

static void on_expired(struct stream *s) {
    stream_close(s);
}

static void on_drained(struct stream *s) {
    struct http_connection *c = (struct http_connection *)s;
    struct http_request *r = c->request;
    set_deadline(c, s->in.len > 0);
    if (r != NULL && r->drained != NULL)
        r->drained(r);
    else if (r == NULL)
        stream_set_busy(s, false);
}

static void on_call_freed(void *owner) {
    request_free(owner);
}

void http_connection_closed(struct stream *s) {
    struct http_connection *c = (struct http_connection *)s;
    struct http_request *r = c->request;
    struct http_loop *home = c->home;
    if (s->carrier == NULL)
        client_limit_leave(home->http->clients, str_of(c->peer.ip, c->peer.ip_len));
    home->connections--;
    http2_free(c->h2);
    bool waiting_body = c->wants_body;
    buf_free(&c->body);
    mem_free(c);
    if (r == NULL)
        return;
    r->connection = NULL;
    if (r->calling) {
        r->calling = false;
        call_cancel(&r->call, on_call_freed);
    } else if (waiting_body || http_authorize_gone(r) || http_cached_gone(r)) {
        request_free(r);
    } else if (r->gone != NULL) {
        r->gone(r);
    }
}

const struct stream_handlers http_stream_handlers = {
    .data = on_data,
    .secured = on_secured,
    .ended = on_ended,
    .drained = on_drained,
    .expired = on_expired,
    .closed = http_connection_closed,
};

void http_connection_open(struct http_loop *home, int fd, const struct peer_address *peer,
                          bool secure) {
    struct str key = str_of(peer->ip, peer->ip_len);
    if (home->stopping || !client_limit_enter(home->http->clients, key)) {
        close(fd);
        return;
    }
    struct http_connection *c = MEM_NEW(struct http_connection);
    c->home = home;
    c->peer = *peer;
    home->connections++;
    c->secure = secure;
    stream_open(&c->stream, home->loop, fd, &http_stream_handlers);
    if (secure)
        stream_set_deadline(&c->stream, home->settings->config->limits.https_handshake_timeout);
}

struct http_connection *http_connection_carried(struct http_connection *parent,
                                                const struct stream_carrier *carrier, void *owner) {
    struct http_connection *c = MEM_NEW(struct http_connection);
    c->home = parent->home;
    c->peer = parent->peer;
    c->home->connections++;
    stream_open_carried(&c->stream, c->home->loop, &http_stream_handlers, carrier, owner);
    return c;
}

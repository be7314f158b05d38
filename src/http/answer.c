/* Answers: status line, headers (http-core.md 4), bodies with their length or in chunks (1.2),
 * compressed when the client takes it (5.2), and errors (3).
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "http/room.h"

static const char http_text_type[] = "text/plain; charset=utf-8";

/* ---- heads ---- */

void http_add_date(struct http_loop *home, struct buf *out) {
    int64_t now = time_now_wall() / SECOND;
    if (now != home->date_second) {
        time_t seconds = (time_t)now;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        home->date_len =
            strftime(home->date, sizeof home->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        home->date_second = now;
    }
    buf_add(out, home->date, home->date_len);
}

bool http_is_head(const struct http_request *r) {
    return str_eq(r->method, STR("HEAD"));
}

static bool is_api(const struct http_request *r) {
    return r->route != NULL && (r->route->flags & ROUTE_PLAIN) == 0;
}

void http_head_begin(struct http_request *r, struct buf *out, int status, const char *type) {
    char spare[32];
    buf_add_text(out, r->minor == 0 ? "HTTP/1.0 " : "HTTP/1.1 ");
    buf_add_text(out, status == 200 ? "200 OK" : http_status_line(status, spare));
    buf_add_str(out, STR("\r\n"));
    if (is_api(r) && (r->route->flags & ROUTE_BARE) != 0) {
        buf_add_str(out, STR("Vary: Accept-Encoding\r\n"));
    } else if (is_api(r)) {
        if (!r->settings->sets_vary)
            buf_add_str(out, STR("Vary: Accept-Encoding\r\n"));
        buf_add_str(out, r->settings->header_lines);
        /* A configured type stands where the handler named none; that of texts is only a guess. */
        if (r->settings->content_type != NULL && (type == NULL || type == http_text_type))
            type = r->settings->content_type;
    }
    if (type != NULL) {
        buf_add_str(out, STR("Content-Type: "));
        buf_add_text(out, type);
        buf_add_str(out, STR("\r\n"));
    }
    buf_add(out, r->extra.data, r->extra.len);
    http_add_date(r->home, out);
}

void http_head_end(struct http_request *r, struct buf *out) {
    if (r->says_keep_alive && !r->close_after)
        buf_add_str(out, STR("Connection: keep-alive\r\n\r\n"));
    else if (r->close_after && r->minor >= 1)
        buf_add_str(out, STR("Connection: close\r\n\r\n"));
    else
        buf_add_str(out, STR("\r\n"));
}

void http_set_header(struct http_request *r, const char *name, struct str value) {
    buf_add_text(&r->extra, name);
    buf_add_str(&r->extra, STR(": "));
    for (size_t i = 0; i < value.len; i++) { /* a value must not end the line */
        char c = value.data[i];
        buf_add_char(&r->extra, c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
    }
    buf_add_str(&r->extra, STR("\r\n"));
}

static const char *effective_consistency(const struct http_request *r) {
    return r->effective_stale ? "stale" : r->effective_consistent ? "consistent" : "leader";
}

void http_set_meta(struct http_request *r, const struct query_meta *meta) {
    struct buf *out = &r->extra;
    if (r->route != NULL && (r->route->flags & ROUTE_EFFECTIVE) != 0) {
        buf_add_str(out, STR("X-Consul-Effective-Consistency: "));
        buf_add_text(out, effective_consistency(r));
        buf_add_str(out, STR("\r\n"));
    }
    buf_add_str(out, STR("X-Consul-Index: "));
    buf_add_u64(out, meta->index == 0 ? 1 : meta->index);
    buf_add_str(out, STR("\r\nX-Consul-Knownleader: "));
    buf_add_text(out, meta->known_leader ? "true" : "false");
    buf_add_str(out, STR("\r\nX-Consul-Lastcontact: "));
    buf_add_i64(out, meta->last_contact / MILLISECOND);
    buf_add_str(out, STR("\r\n"));
}

/* ---- bodies ---- */

struct body {
    struct str bytes;
    void (*release)(void *owner); /* NULL: must be copied now */
    void *owner;
    bool compressed;
    bool exact; /* has a length of its own */
};

static void free_buf(void *owner) {
    struct buf *b = owner;
    buf_free(b);
    mem_free(b);
}

static void body_release(struct body *body) {
    if (body->release != NULL)
        body->release(body->owner);
}

static void compress_body(struct http_request *r, struct body *body) {
    if (!r->accepts_gzip || body->compressed || body->bytes.len == 0 || !is_api(r))
        return;
    struct buf *packed = MEM_NEW(struct buf);
    http_gzip(body->bytes, packed);
    body_release(body);
    *body = (struct body){buf_str(packed), free_buf, packed, true, false};
}

/* Puts the body into the output: copied when it is small, otherwise sent from where it is. */
static void put_body(struct stream *s, struct body *body) {
    if (body->release != NULL && body->bytes.len > HTTP_BODY_COPY) {
        stream_out_shared(s, body->bytes, body->release, body->owner);
        return;
    }
    buf_add_str(stream_out(s), body->bytes);
    body_release(body);
}

static void send_answer(struct http_request *r, int status, const char *type, struct body *body) {
    struct http_connection *c = r->connection;
    if (c == NULL || c->stream.closing) {
        body_release(body);
        http_request_end(r);
        return;
    }
    compress_body(r, body);
    bool sized = body->exact || body->bytes.len <= HTTP_PLAIN_BODY;
    if (!sized && r->minor == 0)
        r->close_after = true;
    if (c->expects)
        r->close_after = true; /* the body that was announced may or may not follow */
    struct buf *out = stream_out(&c->stream);
    http_head_begin(r, out, status, type);
    if (body->compressed)
        buf_add_str(out, STR("Content-Encoding: gzip\r\n"));
    if (sized && http_is_head(r) && body->bytes.len == 0) {
        /* nothing is known about the length of what was not written */
    } else if (sized) {
        buf_add_str(out, STR("Content-Length: "));
        buf_add_u64(out, body->bytes.len);
        buf_add_str(out, STR("\r\n"));
    } else if (r->minor > 0) {
        buf_add_str(out, STR("Transfer-Encoding: chunked\r\n"));
    }
    http_head_end(r, out);
    if (http_is_head(r)) {
        body_release(body);
    } else if (sized || r->minor == 0) {
        put_body(&c->stream, body);
    } else {
        buf_add_format(out, "%zx\r\n", body->bytes.len);
        put_body(&c->stream, body);
        buf_add_str(stream_out(&c->stream), STR("\r\n0\r\n\r\n"));
    }
    http_request_end(r);
}

void http_answer_owned(struct http_request *r, int status, const char *type, struct str bytes,
                       bool compressed, void (*release)(void *owner), void *owner) {
    struct body body = {bytes, release, owner, compressed, false};
    send_answer(r, status, type, &body);
}

void http_answer_bytes(struct http_request *r, int status, const char *type, struct str bytes,
                       bool exact) {
    struct body body = {.bytes = bytes, .exact = exact};
    send_answer(r, status, type, &body);
}

void http_answer_empty(struct http_request *r, int status) {
    http_answer_bytes(r, status, NULL, STR(""), false);
}

void http_answer_text(struct http_request *r, int status, struct str text) {
    http_answer_bytes(r, status, text.len > 0 ? http_text_type : NULL, text, false);
}

void http_answer_format(struct http_request *r, int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(&r->arena, format, args);
    va_end(args);
    http_answer_text(r, status, text);
}

/* ---- JSON ---- */

struct json_writer *http_json_begin(struct http_request *r) {
    json_begin(&r->writer, &r->out, r->pretty);
    return &r->writer;
}

void http_answer_json_written(struct http_request *r, int status) {
    json_finish(&r->writer);
    if (r->out.len <= HTTP_BODY_COPY) {
        http_answer_bytes(r, status, "application/json", buf_str(&r->out), false);
        return;
    }
    struct buf *moved = MEM_NEW(struct buf);
    *moved = r->out;
    r->out = BUF_INIT;
    http_answer_owned(r, status, "application/json", buf_str(moved), false, free_buf, moved);
}

void http_answer_json(struct http_request *r, int status, const struct shape *shape,
                      const void *object) {
    schema_write_json(http_json_begin(r), shape, object);
    http_answer_json_written(r, status);
}

void http_answer_json_type(struct http_request *r, int status, const struct type *type,
                           const void *object) {
    schema_write_json_type(http_json_begin(r), type, object, 0);
    http_answer_json_written(r, status);
}

void http_answer_bool(struct http_request *r, bool b) {
    http_answer_bytes(
        r, 200, "application/json",
        r->pretty ? (b ? STR("true\n") : STR("false\n")) : (b ? STR("true") : STR("false")), false);
}

/* ---- answers of calls ---- */

static void release_answer(void *owner) {
    answer_release(owner);
}

/* Slots of answer->encoded. */
static struct buf *encoded(struct http_request *r, struct answer *a, http_reply_writer *write) {
    unsigned slot = r->pretty ? 1 : 0;
    if (a->encoded[slot] == NULL) {
        struct json_writer w;
        struct buf *b = MEM_NEW(struct buf);
        json_begin(&w, b, r->pretty);
        write(r, a->reply, &w);
        json_finish(&w);
        a->encoded[slot] = b;
        answer_encoded(a);
    }
    if (!r->accepts_gzip)
        return a->encoded[slot];
    if (a->encoded[slot + 2] == NULL) {
        struct buf *packed = MEM_NEW(struct buf);
        http_gzip(buf_str(a->encoded[slot]), packed);
        a->encoded[slot + 2] = packed;
        answer_encoded(a);
    }
    return a->encoded[slot + 2];
}

void http_answer_shared(struct http_request *r, struct answer *a, int status,
                        http_reply_writer *write) {
    if (!answer_may_encode()) {
        struct error e = ERROR_IN(&r->arena);
        error_set(&e, ERROR_RATE_LIMIT, "too many answers wait for clients to read them");
        http_answer_error(r, &e);
        return;
    }
    struct buf *b = encoded(r, a, write);
    http_answer_owned(r, status, "application/json", buf_str(b), r->accepts_gzip, release_answer,
                      answer_hold(a));
}

/* ---- errors ---- */

static bool contains(struct str text, struct str part) {
    return str_find(text, part, 0) >= 0;
}

static int error_status(const struct error *e) {
    if (contains(e->text, STR("Permission denied")) || contains(e->text, STR("ACL not found")))
        return 403;
    if (contains(e->text, STR("RPC rate limit exceeded")))
        return 429;
    switch (e->kind) {
    case ERROR_BAD_REQUEST:
        return 400;
    case ERROR_NOT_FOUND:
        return 404;
    case ERROR_DENIED:
        return 403;
    case ERROR_TOO_LARGE:
        return 413;
    case ERROR_RATE_LIMIT:
        return 429;
    default:
        return 500;
    }
}

/* Legacy tokens are named in the path. The decoded one counts: it is what is acted on. */
static struct str logged_path(struct http_request *r, struct str sent) {
    static const char *const secret[] = {"create/", "update/", "destroy/", "info/",
                                         "clone/",  "list/",   NULL};
    struct str path = r->path.data != NULL ? r->path : sent;
    if (!str_has_prefix(path, STR("/v1/acl/")))
        return sent;
    struct str rest = str_sub(path, 8, path.len);
    for (size_t i = 0; secret[i] != NULL; i++) {
        struct str action = str_from(secret[i]);
        if (str_has_prefix(rest, action) && rest.len > action.len)
            return str_format(&r->arena, "/v1/acl/%s<hidden>", secret[i]);
    }
    return sent;
}

/* One "name=value" of a query, however its name is spelt. */
static void add_logged_param(struct http_request *r, struct buf *text, struct str part) {
    struct str value = part, name;
    struct str spelt = str_cut(&value, '=');
    bool is_token = url_decode(spelt, true, &r->arena, &name) && str_is(name, "token");
    buf_add_str(text, is_token && value.data != NULL ? spelt : part);
    if (is_token && value.data != NULL)
        buf_add_text(text, "=<hidden>");
}

/* The URL as it may be logged: without tokens. */
struct str http_logged_url(struct http_request *r) {
    struct str query = r->target;
    struct str path = logged_path(r, str_cut(&query, '?'));
    if (query.data == NULL)
        return path;
    struct buf text = BUF_INIT;
    buf_add_str(&text, path);
    buf_add_char(&text, '?');
    size_t begin = 0;
    for (size_t i = 0; i <= query.len; i++) {
        if (i < query.len && query.data[i] != '&' && query.data[i] != ';')
            continue;
        add_logged_param(r, &text, str_sub(query, begin, i - begin));
        if (i < query.len)
            buf_add_char(&text, query.data[i]);
        begin = i + 1;
    }
    struct str out = str_copy(&r->arena, buf_str(&text));
    buf_free(&text);
    return out;
}

void http_answer_error(struct http_request *r, const struct error *e) {
    http_answer_error_as(r, e, error_status(e));
}

static void log_fault(struct http_request *r, struct str text) {
    log_at(LOG_ERROR, "agent.http", "Request error", LOG_S("method", r->method),
           LOG_S("url", http_logged_url(r)), LOG_S("from", http_remote(r)), LOG_S("error", text));
}

void http_answer_fault(struct http_request *r, int status, struct str text) {
    log_fault(r, text);
    http_answer_text(r, status, text);
}

void http_answer_method(struct http_request *r) {
    http_answer_fault(r, 405,
                      str_format(&r->arena, "method " STR_FMT " not allowed", STR_ARG(r->method)));
}

void http_answer_error_as(struct http_request *r, const struct error *e, int status) {
    log_fault(r, e->text);
    if (status == 429 && !str_is(e->text, "Rate limit reached, try again later"))
        http_answer_empty(r, status);
    else
        http_answer_text(r, status, e->text);
}

/* See http2_message.h. */
#include "http/http2_message.h"

#include "base/mem.h"

#define FIELD_COST 32 /* RFC 9113 6.5.2 */
#define ANSWER_HEAD_MAX ((size_t)4 << 20)

/* ---- requests ---- */

/* Whether it stays within its place in the text: no blanks, no controls. */
static bool is_word(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c <= 0x20 || c == 0x7f)
            return false;
    }
    return s.len > 0;
}

/* Whether it stays within its line. */
static bool is_line(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] == '\r' || s.data[i] == '\n' || s.data[i] == '\0')
            return false;
    return true;
}

static bool set_once(struct buf *where, struct str value) {
    if (where->len > 0 || !is_word(value))
        return false;
    buf_add_str(where, value);
    return true;
}

static bool pseudo_field(struct http2_request *q, struct str name, struct str value) {
    if (str_is(name, ":method"))
        return http_is_token(value) && set_once(&q->method, value);
    if (str_is(name, ":path"))
        return set_once(&q->path, value);
    if (str_is(name, ":authority"))
        return value.len == 0 || set_once(&q->authority, value);
    return str_is(name, ":scheme");
}

/* RFC 9113 8.2.2: what is said about one connection has no place here; where the body ends is said
 * by frames. */
static bool is_of_connection(struct str name) {
    static const char *const names[] = {"connection", "proxy-connection", "keep-alive",
                                        "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_fold(name, str_from(names[i])))
            return true;
    return false;
}

static void add_line(struct buf *out, struct str name, struct str value) {
    buf_add_str(out, name);
    buf_add_str(out, STR(": "));
    buf_add_str(out, value);
    buf_add_str(out, STR("\r\n"));
}

static bool plain_field(struct http2_request *q, struct str name, struct str value) {
    if (!http_is_token(name) || !is_line(value) || is_of_connection(name))
        return false;
    if (str_eq_fold(name, STR("host")))
        return value.len == 0 || q->authority.len > 0 || set_once(&q->host, value);
    if (str_eq_fold(name, STR("expect")) && !str_eq_fold(value, STR("100-continue")))
        return true; /* refused in HTTP/1.1 only (http-core.md 1.2) */
    if (str_eq_fold(name, STR("content-length"))) {
        if (q->has_length || !str_to_u64(value, &q->left))
            return false;
        q->has_length = true;
    }
    add_line(&q->lines, name, value);
    return true;
}

bool http2_request_field(struct http2_request *q, struct str name, struct str value) {
    q->size += name.len + value.len + FIELD_COST;
    if (q->size > HTTP2_FIELDS_MAX) {
        q->too_large = true;
        buf_free(&q->lines);
    }
    if (q->too_large)
        return true;
    if (name.len > 0 && name.data[0] == ':')
        return pseudo_field(q, name, value);
    return plain_field(q, name, value);
}

bool http2_request_head(struct http2_request *q, bool ended, struct buf *out) {
    const struct buf *host = q->authority.len > 0 ? &q->authority : &q->host;
    bool connects = str_is(buf_str(&q->method), "CONNECT"); /* to an authority: RFC 9113 8.5 */
    const struct buf *target = connects ? &q->authority : &q->path;
    if (q->method.len == 0 || target->len == 0 || (connects && q->path.len > 0) ||
        (ended && q->left > 0))
        return false;
    q->chunked = !ended && !q->has_length;
    buf_add_str(out, buf_str(&q->method));
    buf_add_char(out, ' ');
    buf_add_str(out, buf_str(target));
    buf_add_str(out, STR(" HTTP/1.1\r\n"));
    if (host->len > 0)
        add_line(out, STR("host"), buf_str(host));
    buf_add_str(out, buf_str(&q->lines));
    if (q->chunked)
        add_line(out, STR("transfer-encoding"), STR("chunked"));
    buf_add_str(out, STR("\r\n"));
    buf_free(&q->lines);
    return true;
}

bool http2_request_body(struct http2_request *q, struct str bytes, struct buf *out) {
    if (q->has_length && bytes.len > q->left)
        return false; /* the rest would be read as another request */
    if (q->has_length)
        q->left -= bytes.len;
    if (bytes.len == 0)
        return true; /* a chunk of none would be the end */
    if (q->chunked)
        buf_add_format(out, "%zx\r\n", bytes.len);
    buf_add_str(out, bytes);
    if (q->chunked)
        buf_add_str(out, STR("\r\n"));
    return true;
}

bool http2_request_end(const struct http2_request *q, struct buf *out) {
    if (q->chunked)
        buf_add_str(out, STR("0\r\n\r\n"));
    return !q->has_length || q->left == 0;
}

void http2_request_free(struct http2_request *q) {
    buf_free(&q->method);
    buf_free(&q->path);
    buf_free(&q->authority);
    buf_free(&q->host);
    buf_free(&q->lines);
}

/* ---- answers ---- */

static void lower(struct str s) {
    char *c = (char *)(uintptr_t)s.data; /* our own copy */
    for (size_t i = 0; i < s.len; i++)
        if (c[i] >= 'A' && c[i] <= 'Z')
            c[i] = (char)(c[i] - 'A' + 'a');
}

static bool read_status(struct http2_answer *a, struct str line) {
    if (line.len < 12 || !str_has_prefix(line, STR("HTTP/1.")) || line.data[8] != ' ')
        return false;
    for (size_t i = 0; i < 3; i++) {
        char c = line.data[9 + i];
        if (c < '0' || c > '9')
            return false;
        a->status[i] = c;
    }
    a->status[3] = '\0';
    a->fields[a->field_count++] = (struct http2_field){STR(":status"), str_from(a->status)};
    return true;
}

static bool read_line(struct http2_answer *a, struct str line) {
    struct str value = line;
    struct str name = str_cut(&value, ':');
    if (value.data == NULL || !http_is_token(name))
        return false;
    value = str_trim(value);
    lower(name);
    if (str_is(name, "transfer-encoding") && str_is(value, "chunked"))
        a->body = HTTP2_CHUNKED;
    if (str_is(name, "content-length")) {
        if (!str_to_u64(value, &a->left))
            return false;
        a->body = HTTP2_SIZED;
    }
    if (!is_of_connection(name))
        a->fields[a->field_count++] = (struct http2_field){name, value};
    return true;
}

/* RFC 9112 6.3. */
static void settle_body(struct http2_answer *a) {
    bool none = a->to_head || a->status[0] == '1' || strcmp(a->status, "204") == 0 ||
                strcmp(a->status, "304") == 0 || (a->body == HTTP2_SIZED && a->left == 0);
    if (none)
        a->body = HTTP2_NO_BODY;
    memset(&a->chunks, 0, sizeof a->chunks);
    a->head_done = !http2_answer_is_interim(a);
}

static bool parse_head(struct http2_answer *a) {
    struct str rest = buf_str(&a->head);
    size_t lines = 0;
    for (size_t i = 0; i < rest.len; i++)
        lines += rest.data[i] == '\n';
    mem_free(a->fields);
    a->fields = mem_zalloc(lines + 1, sizeof *a->fields);
    a->field_count = 0;
    a->body = HTTP2_UNTIL_END;
    a->left = 0;
    for (bool first = true; rest.data != NULL; first = false) {
        struct str line = str_cut(&rest, '\n');
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 && !first)
            break;
        if (!(first ? read_status : read_line)(a, line))
            return false;
    }
    settle_body(a);
    return true;
}

enum http_progress http2_answer_head(struct http2_answer *a, struct str *in) {
    if (a->field_count > 0) { /* those of an interim answer */
        a->field_count = 0;
        buf_clear(&a->head);
    }
    while (in->len > 0) {
        ptrdiff_t newline = str_find_char(*in, '\n');
        size_t len = newline < 0 ? in->len : (size_t)newline + 1;
        buf_add(&a->head, in->data, len);
        *in = str_of(in->data + len, in->len - len);
        if (a->head.len > ANSWER_HEAD_MAX)
            return HTTP_REFUSED;
        struct str so_far = buf_str(&a->head);
        if (newline >= 0 && str_has_suffix(so_far, STR("\r\n\r\n")))
            return parse_head(a) ? HTTP_COMPLETE : HTTP_REFUSED;
    }
    return HTTP_MORE;
}

bool http2_answer_is_interim(const struct http2_answer *a) {
    return a->status[0] == '1';
}

enum http_progress http2_answer_body(struct http2_answer *a, struct str *in, struct str *piece) {
    size_t len = in->len;
    switch (a->body) {
    case HTTP2_CHUNKED:
        return http_chunked_read(&a->chunks, in, piece);
    case HTTP2_SIZED:
        len = len < a->left ? len : (size_t)a->left;
        a->left -= len;
        break;
    case HTTP2_NO_BODY:
        len = 0;
        break;
    default:
        break;
    }
    *piece = str_sub(*in, 0, len);
    *in = str_of(in->data + len, in->len - len);
    bool whole = a->body == HTTP2_NO_BODY || (a->body == HTTP2_SIZED && a->left == 0);
    return whole ? HTTP_COMPLETE : HTTP_MORE;
}

void http2_answer_free(struct http2_answer *a) {
    mem_free(a->fields);
    buf_free(&a->head);
}

/* The reader of HTTP/1.1 heads and chunked bodies. A head is first measured (bytes are looked at
 * once, however slowly they come) and then parsed in one pass when it is complete.
 */
#include "codec/http.h"

#include <stdio.h>

static const struct http_refusal bad_request = {400, "400 Bad Request", "400 Bad Request"};

static bool refuse(struct http_refusal *out, int status, const char *line) {
    *out = (struct http_refusal){status, line, line};
    return false;
}

static bool refuse_bad(struct http_refusal *out) {
    *out = bad_request;
    return false;
}

/* RFC 9110 5.6.2: tchar. */
static const bool token_char[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1,
};

bool http_is_token(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (!token_char[(unsigned char)s.data[i]])
            return false;
    return s.len > 0;
}

/* ---- the request line ---- */

struct request_line {
    struct str method, target;
    uint8_t major, minor;
};

/* "HTTP/" digits "." digits. */
static bool parse_version(struct str s, struct request_line *out) {
    if (!str_has_prefix(s, STR("HTTP/")) || s.len < 8)
        return false;
    struct str rest = str_sub(s, 5, s.len);
    struct str major = str_cut(&rest, '.');
    uint64_t a, b;
    if (rest.data == NULL || !str_to_u64(major, &a) || !str_to_u64(rest, &b) || a > 255 || b > 255)
        return false;
    out->major = (uint8_t)a;
    out->minor = (uint8_t)b;
    return true;
}

static bool parse_request_line(struct str line, struct request_line *out) {
    struct str rest = line;
    out->method = str_cut(&rest, ' ');
    if (rest.data == NULL || !http_is_token(out->method))
        return false;
    out->target = str_cut(&rest, ' ');
    if (rest.data == NULL || out->target.len == 0)
        return false;
    for (size_t i = 0; i < out->target.len; i++) {
        unsigned char c = (unsigned char)out->target.data[i];
        if (c < 0x21 || c == 0x7f)
            return false;
    }
    return parse_version(rest, out);
}

static struct str without_cr(struct str line) {
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* ---- measuring ---- */

static bool line_is_empty(struct str bytes, size_t at, size_t *behind) {
    if (at < bytes.len && bytes.data[at] == '\n') {
        *behind = at + 1;
        return true;
    }
    if (at + 1 < bytes.len && bytes.data[at] == '\r' && bytes.data[at + 1] == '\n') {
        *behind = at + 2;
        return true;
    }
    return false;
}

static bool check_first_line(struct str bytes, size_t newline, struct http_refusal *refusal) {
    struct request_line line;
    if (!parse_request_line(without_cr(str_sub(bytes, 0, newline)), &line))
        return refuse_bad(refusal);
    return true;
}

enum http_progress http_head_find(struct http_head_scan *scan, struct str bytes, size_t *end,
                                  struct http_refusal *refusal) {
    size_t at = scan->scanned;
    struct str seen = str_sub(bytes, 0, HTTP_HEAD_MAX);
    while (at < seen.len) {
        const char *found = memchr(seen.data + at, '\n', seen.len - at);
        if (found == NULL)
            break;
        size_t newline = (size_t)(found - seen.data);
        if (!scan->line_checked) {
            if (!check_first_line(bytes, newline, refusal))
                return HTTP_REFUSED;
            scan->line_checked = true;
        }
        if (line_is_empty(seen, newline + 1, end))
            return HTTP_COMPLETE;
        /* The line behind is not empty, or not there yet: then look at this newline again. */
        if (newline + 2 >= seen.len) {
            at = newline;
            scan->scanned = at;
            goto more;
        }
        at = newline + 1;
    }
    scan->scanned = seen.len;
more:
    if (bytes.len < HTTP_HEAD_MAX)
        return HTTP_MORE;
    refuse(refusal, 431, "431 Request Header Fields Too Large");
    return HTTP_REFUSED;
}

/* ---- header lines ---- */

/* What decides where the message ends, gathered from all lines before it is judged. */
struct framing {
    unsigned hosts, lengths, encodings;
    bool length_bad, encoding_unknown, name_bad, value_bad;
    bool close, keep;
    bool expect_other, gzip_seen;
};

/* Whether a comma-separated list holds the word (any case). */
static bool list_has(struct str list, const char *word) {
    while (list.data != NULL) {
        struct str item = str_trim(str_cut(&list, ','));
        if (str_eq_fold(item, str_from(word)))
            return true;
    }
    return false;
}

/* The value of q in ";q=0.5", for telling zero from more. */
static bool quality_is_zero(struct str parameters) {
    while (parameters.data != NULL) {
        struct str value = str_trim(str_cut(&parameters, ';'));
        struct str name = str_trim(str_cut(&value, '='));
        if (!str_eq_fold(name, STR("q")) || value.data == NULL)
            continue;
        value = str_trim(value);
        for (size_t i = 0; i < value.len; i++)
            if (value.data[i] != '0' && value.data[i] != '.')
                return false;
        return value.len > 0;
    }
    return false;
}

static bool wants_gzip(struct str list) {
    while (list.data != NULL) {
        struct str rest = str_cut(&list, ',');
        struct str coding = str_trim(str_cut(&rest, ';'));
        if (str_eq_fold(coding, STR("gzip")))
            return !quality_is_zero(rest);
    }
    return false;
}

static void note_header(struct http_head *head, struct framing *f, struct str name,
                        struct str value) {
    switch (name.len) {
    case 4:
        if (str_eq_fold(name, STR("Host"))) {
            f->hosts++;
            head->host = value;
        }
        break;
    case 6:
        if (str_eq_fold(name, STR("Expect")) && value.len > 0) {
            head->expect_continue = str_eq_fold(value, STR("100-continue"));
            f->expect_other |= !head->expect_continue;
        }
        break;
    case 10:
        if (str_eq_fold(name, STR("Connection"))) {
            f->close |= list_has(value, "close");
            f->keep |= list_has(value, "keep-alive");
        }
        break;
    case 14:
        if (str_eq_fold(name, STR("Content-Length"))) {
            uint64_t length;
            if (!str_to_u64(value, &length) || length > INT64_MAX ||
                (f->lengths++ > 0 && (int64_t)length != head->content_length))
                f->length_bad = true; /* the same length twice leaves no doubt */
            else
                head->content_length = (int64_t)length;
        }
        break;
    case 15:
        if (str_eq_fold(name, STR("Accept-Encoding")) && !f->gzip_seen) {
            f->gzip_seen = true;
            head->accepts_gzip = wants_gzip(value);
        }
        break;
    case 17:
        if (str_eq_fold(name, STR("Transfer-Encoding"))) {
            f->encodings++;
            f->encoding_unknown |= !str_eq_fold(value, STR("chunked"));
        }
        break;
    default:
        break;
    }
}

/* Visible characters, blanks, tabs and anything above ASCII. */
static bool value_is_valid(struct str value) {
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static struct str trim_blanks(struct str s) {
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool parse_header_line(struct str line, struct http_header *out, struct framing *f,
                              struct http_refusal *refusal) {
    /* A line that begins with a blank would continue the one before; RFC 9112 5.2 lets us refuse.
     */
    ptrdiff_t colon = str_find_char(line, ':');
    if (colon < 0 || line.data[0] == ' ' || line.data[0] == '\t')
        return refuse_bad(refusal);
    out->name = str_sub(line, 0, (size_t)colon);
    out->value = trim_blanks(str_sub(line, (size_t)colon + 1, line.len));
    if (out->name.len == 0)
        return refuse_bad(refusal);
    /* Said only after what is wrong with the hosts. */
    if (!f->value_bad && !http_is_token(out->name))
        f->name_bad = true;
    if (!f->name_bad && !value_is_valid(out->value))
        f->value_bad = true;
    return true;
}

static size_t count_lines(struct str bytes) {
    size_t lines = 0;
    for (const char *p = bytes.data, *end = p + bytes.len;
         (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        lines++;
    return lines;
}

/* The characters of RFC 3986 3.2.2, not their order. */
static bool host_is_valid(struct str host) {
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || strchr("!$%&'()*+,-.:;=[]_~", c) == NULL))
            return false;
    }
    return true;
}

static bool judge_framing(const struct framing *f, struct http_head *head,
                          struct http_refusal *refusal) {
    if (f->encodings > 0 && f->encoding_unknown) {
        *refusal =
            (struct http_refusal){501, "501 Not Implemented", "Unsupported transfer encoding"};
        return false;
    }
    if (f->length_bad || f->encodings > 1)
        return refuse_bad(refusal);
    /* Two ways to say how long the body is, or chunks for a reader that knows none: whoever stands
     * in front of us may have read it otherwise. */
    if (f->encodings == 1 && (f->lengths > 0 || head->minor == 0))
        return refuse_bad(refusal);
    head->chunked = f->encodings == 1;
    if (f->hosts > 1)
        return refuse(refusal, 400, "400 Bad Request: too many Host headers");
    if (f->hosts == 0 && head->minor >= 1 && !str_is(head->method, "CONNECT"))
        return refuse(refusal, 400, "400 Bad Request: missing required Host header");
    if (!host_is_valid(head->host))
        return refuse(refusal, 400, "400 Bad Request: malformed Host header");
    if (f->name_bad)
        return refuse(refusal, 400, "400 Bad Request: invalid header name");
    if (f->value_bad)
        return refuse(refusal, 400, "400 Bad Request: invalid header value");
    head->keep_alive = head->minor >= 1 ? !f->close : f->keep && !f->close;
    if (f->expect_other) {
        *refusal = (struct http_refusal){417, "417 Expectation Failed", ""};
        return false;
    }
    return true;
}

static bool parse_first_line(struct str *rest, struct http_head *head,
                             struct http_refusal *refusal) {
    struct request_line line;
    if (!parse_request_line(without_cr(str_cut(rest, '\n')), &line))
        return refuse_bad(refusal);
    head->method = line.method;
    head->target = line.target;
    if (line.major == 2 && line.minor == 0 && str_is(line.method, "PRI")) {
        *refusal = (struct http_refusal){400, "400 Bad Request", ""};
        return false;
    }
    if (line.major != 1)
        return refuse(refusal, 400, "400 Bad Request: unsupported protocol version");
    head->minor = line.minor;
    return true;
}

bool http_head_parse(struct str bytes, struct http_head *head, struct arena *arena,
                     struct http_refusal *refusal) {
    memset(head, 0, sizeof *head);
    head->content_length = -1;
    struct str rest = bytes;
    if (!parse_first_line(&rest, head, refusal))
        return false;
    size_t lines = count_lines(rest);
    if (lines > HTTP_HEADERS_MAX)
        return refuse(refusal, 431, "431 Request Header Fields Too Large");
    head->headers = arena_alloc(arena, lines * sizeof *head->headers);
    struct framing f = {0};
    while (rest.data != NULL && rest.len > 0) {
        struct str line = without_cr(str_cut(&rest, '\n'));
        if (line.len == 0)
            break;
        struct http_header *h = &head->headers[head->header_count];
        if (!parse_header_line(line, h, &f, refusal))
            return false;
        head->header_count++;
        note_header(head, &f, h->name, h->value);
    }
    return judge_framing(&f, head, refusal);
}

/* ---- chunks ---- */

enum chunk_state {
    CHUNK_SIZE,      /* hex digits */
    CHUNK_EXTENSION, /* up to CR */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER,
    CHUNK_TRAILER_LF,
};

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool chunk_size_char(struct http_chunked *c, char ch) {
    int digit = hex_digit(ch);
    if (digit >= 0) {
        /* 15 digits are more than anybody can send, and cannot overflow. */
        if (c->digits >= 15)
            return false;
        c->digits++;
        c->left = c->left * 16 + (uint64_t)digit;
        return true;
    }
    if (c->digits == 0)
        return false;
    if (ch == '\r')
        c->state = CHUNK_SIZE_LF;
    else if (ch == ';' || ch == ' ' || ch == '\t')
        c->state = CHUNK_EXTENSION;
    else
        return false;
    return true;
}

/* Line by line up to an empty one; the content is not looked at, only its characters. */
static enum http_progress trailer_char(struct http_chunked *c, char ch) {
    if (c->state == CHUNK_TRAILER_LF) {
        if (ch != '\n')
            return HTTP_REFUSED;
        if (c->trailer_blank)
            return HTTP_COMPLETE;
        c->trailer_blank = true;
        c->state = CHUNK_TRAILER;
        return HTTP_MORE;
    }
    if (ch == '\r')
        c->state = CHUNK_TRAILER_LF;
    else if ((unsigned char)ch < 0x20 && ch != '\t')
        return HTTP_REFUSED;
    else
        c->trailer_blank = false;
    return HTTP_MORE;
}

static enum http_progress chunk_char(struct http_chunked *c, char ch) {
    bool fine = true;
    switch (c->state) {
    case CHUNK_SIZE:
        fine = chunk_size_char(c, ch);
        break;
    case CHUNK_EXTENSION:
        if (ch == '\r')
            c->state = CHUNK_SIZE_LF;
        else
            fine = (unsigned char)ch >= 0x20 || ch == '\t';
        break;
    case CHUNK_SIZE_LF:
        fine = ch == '\n';
        c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
        c->trailer_blank = true;
        c->line_len = 0;
        break;
    case CHUNK_DATA_CR:
        fine = ch == '\r';
        c->state = CHUNK_DATA_LF;
        break;
    case CHUNK_DATA_LF:
        fine = ch == '\n';
        c->state = CHUNK_SIZE;
        c->digits = 0;
        c->left = 0;
        c->line_len = 0;
        break;
    default:
        return trailer_char(c, ch);
    }
    return fine ? HTTP_MORE : HTTP_REFUSED;
}

enum http_progress http_chunked_read(struct http_chunked *c, struct str *in, struct str *piece) {
    *piece = str_sub(*in, 0, 0);
    while (in->len > 0) {
        if (c->state == CHUNK_DATA) {
            size_t len = in->len < c->left ? in->len : (size_t)c->left;
            *piece = str_sub(*in, 0, len);
            *in = str_of(in->data + len, in->len - len);
            c->left -= len;
            if (c->left == 0)
                c->state = CHUNK_DATA_CR;
            return HTTP_MORE;
        }
        if (++c->line_len > HTTP_CHUNK_LINE_MAX)
            return HTTP_REFUSED;
        enum http_progress progress = chunk_char(c, in->data[0]);
        *in = str_of(in->data + 1, in->len - 1);
        if (progress != HTTP_MORE)
            return progress;
    }
    return HTTP_MORE;
}

/* ---- statuses ---- */

const char *http_status_line(int status, char spare[32]) {
    switch (status) {
    case 200:
        return "200 OK";
    case 301:
        return "301 Moved Permanently";
    case 304:
        return "304 Not Modified";
    case 307:
        return "307 Temporary Redirect";
    case 400:
        return "400 Bad Request";
    case 401:
        return "401 Unauthorized";
    case 403:
        return "403 Forbidden";
    case 404:
        return "404 Not Found";
    case 405:
        return "405 Method Not Allowed";
    case 409:
        return "409 Conflict";
    case 413:
        return "413 Request Entity Too Large";
    case 415:
        return "415 Unsupported Media Type";
    case 417:
        return "417 Expectation Failed";
    case 429:
        return "429 Too Many Requests";
    case 431:
        return "431 Request Header Fields Too Large";
    case 500:
        return "500 Internal Server Error";
    case 501:
        return "501 Not Implemented";
    case 503:
        return "503 Service Unavailable";
    default:
        snprintf(spare, 32, "%d status code %d", status, status);
        return spare;
    }
}

/* HTTP checks: one request per run on a connection of its own, redirects followed as the peer
 * follows them, status and the end of the body told (agent.md 3.4, 3.5).
 */
#include <stdlib.h>

#include "agent/check_run.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/http.h"
#include "codec/url_parts.h"
#include "net/http_client.h"

#define DEFAULT_TIMEOUT (10 * SECOND)
#define REDIRECTS_MAX 10

struct http_check {
    struct http_transfer transfer;
    struct arena arena;
    struct check_run *run;
    struct str url;   /* of the request under way */
    struct str shown; /* as error texts show it */
    struct str host;
    struct str method;
    struct str body;
    struct str referer; /* after a redirect: where from */
    bool elsewhere;     /* redirected to another host or port */
    bool absolute;      /* by a whole URL */
    unsigned redirects;
    int64_t deadline;
};

/* ---- end ---- */

static void http_free(struct http_check *h) {
    struct arena arena = h->arena;
    http_transfer_free(&h->transfer);
    mem_free(h);
    arena_free(&arena);
}

static void over(struct http_check *h, enum check_health status, struct str output) {
    struct check_run *r = h->run;
    check_run_over(r, status, output);
    http_free(h);
}

static struct str configured_method(const struct check_run *r) {
    return r->type.method.len > 0 ? r->type.method : STR("GET");
}

/* "Get", "Post"… of the first request, and the URL of the last. */
static struct str fault_text(struct http_check *h, struct str why) {
    struct str method = configured_method(h->run);
    struct str tail = str_lower(&h->arena, str_sub(method, 1, method.len));
    struct str shown = str_quote(&h->arena, h->shown);
    return str_format(&h->arena, "%.1s" STR_FMT " " STR_FMT ": " STR_FMT, method.data,
                      STR_ARG(tail), STR_ARG(shown), STR_ARG(why));
}

static void fail(struct http_check *h, struct str why) {
    over(h, CHECK_CRITICAL, fault_text(h, why));
}

static void answered(struct http_check *h) {
    struct http_transfer *t = &h->transfer;
    struct check_run *r = h->run;
    struct str method = configured_method(r), body = tail_bytes(&t->output);
    struct str text =
        str_format(&h->arena, "HTTP " STR_FMT " " STR_FMT ": " STR_FMT " Output: ", STR_ARG(method),
                   STR_ARG(r->type.http), STR_ARG(t->status_line));
    struct buf whole = BUF_INIT; /* bodies may hold NUL bytes */
    buf_add_str(&whole, text);
    buf_add_str(&whole, body);
    enum check_health status = t->status >= 200 && t->status <= 299 ? CHECK_PASSING
                               : t->status == 429                   ? CHECK_WARNING
                                                                    : CHECK_CRITICAL;
    over(h, status, buf_str(&whole));
    buf_free(&whole);
}

/* ---- the request ---- */

static bool configured(const struct check_run *r, const char *name) {
    for (uint32_t i = 0; i < r->type.header.len; i++)
        if (str_eq_fold(LIST_AT(r->type.header, struct list_pair, i).key, str_from(name)))
            return true;
    return false;
}

/* By this very name, and with something in its first value. */
static bool named(const struct check_run *r, const char *name) {
    for (uint32_t i = 0; i < r->type.header.len; i++) {
        const struct list_pair *pair = &LIST_AT(r->type.header, struct list_pair, i);
        if (str_is(pair->key, name))
            return pair->value.len > 0 && LIST_AT(pair->value, struct str, 0).len > 0;
    }
    return false;
}

static bool printable(struct str s) {
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.data[i] < ' ' && s.data[i] != '\t') || s.data[i] == 0x7f)
            return false;
    return true;
}

/* What the message itself says of its body. */
static bool is_framing(struct str name) {
    return str_eq_fold(name, STR("Content-Length")) ||
           str_eq_fold(name, STR("Transfer-Encoding")) || str_eq_fold(name, STR("Trailer"));
}

/* Not for others than the host that it was meant for. */
static bool is_confidential(struct str name) {
    return str_eq_fold(name, STR("Authorization")) || str_eq_fold(name, STR("Www-Authenticate")) ||
           str_eq_fold(name, STR("Cookie")) || str_eq_fold(name, STR("Cookie2"));
}

static void add_header(struct http_check *h, struct str name, struct str value) {
    value = str_trim(value);
    struct str line =
        value.len > 0 ? str_format(&h->arena, STR_FMT ": " STR_FMT, STR_ARG(name), STR_ARG(value))
                      : str_format(&h->arena, STR_FMT ";", STR_ARG(name));
    http_transfer_header(&h->transfer, line.data);
}

static void add_headers(struct http_check *h) {
    struct check_run *r = h->run;
    for (uint32_t i = 0; i < r->type.header.len; i++) {
        const struct list_pair *pair = &LIST_AT(r->type.header, struct list_pair, i);
        bool host = str_eq_fold(pair->key, STR("host"));
        uint32_t count = host && pair->value.len > 1 ? 1 : pair->value.len;
        if (is_framing(pair->key) || (host && h->absolute) ||
            (h->elsewhere && is_confidential(pair->key)) ||
            (h->referer.len > 0 && str_eq_fold(pair->key, STR("Referer"))))
            continue;
        for (uint32_t j = 0; j < count; j++)
            add_header(h, pair->key, LIST_AT(pair->value, struct str, j));
    }
    /* These two by their exact names, as the peer looks for them. */
    if (!named(r, "User-Agent"))
        add_header(h, STR("User-Agent"), STR("Consul Health Check"));
    if (!named(r, "Accept"))
        add_header(h, STR("Accept"), STR("text/plain, text/*, */*"));
    if (h->referer.len > 0)
        add_header(h, STR("Referer"), h->referer);
    if (!configured(r, "Connection"))
        add_header(h, STR("Connection"), STR("close"));
    if (!configured(r, "Content-Type")) /* libcurl's own is not wanted */
        http_transfer_header(&h->transfer, "Content-Type:");
    if (!configured(r, "Expect"))
        http_transfer_header(&h->transfer, "Expect:");
}

/* The agent's TLS settings name the server whose certificate is wanted, whatever the URL's host. */
static void name_server(struct http_check *h) {
    h->transfer.connect_to = NULL;
    struct str host = http_transfer_name(&h->transfer, h->run->tls.server_name);
    if (host.data != NULL && !configured(h->run, "Host"))
        add_header(h, STR("Host"), host);
}

/* "http://:8080/" is on this machine, which libcurl would not know. */
static void name_here(struct http_check *h) {
    struct str authority = url_authority(h->url);
    size_t start = (size_t)(authority.data - h->url.data);
    h->transfer.url = str_format(&h->arena, STR_FMT "127.0.0.1%s",
                                 STR_ARG(str_sub(h->url, 0, start)), h->url.data + start)
                          .data;
}

static bool send_request(struct http_check *h, struct error *e) {
    struct http_transfer *t = &h->transfer;
    struct check_run *r = h->run;
    bool head = str_is(h->method, "HEAD");
    t->url = str_terminated(&h->arena, h->url);
    t->method = str_terminated(&h->arena, h->method);
    t->body = h->body;
    t->sends_body = h->body.len > 0 || str_is(h->method, "POST") || str_is(h->method, "PUT") ||
                    str_is(h->method, "PATCH");
    t->no_answer_body = head && h->body.len == 0;
    t->gunzip = !head && !configured(r, "Accept-Encoding") && !configured(r, "Range");
    t->timeout = h->deadline - time_now_monotonic();
    if (t->timeout < MILLISECOND)
        t->timeout = MILLISECOND;
    h->host = url_host(h->url);
    http_transfer_clear_headers(t);
    add_headers(h);
    name_server(h);
    if (h->host.len == 0 && t->connect_to == NULL)
        name_here(h);
    return http_transfer_start(t, e);
}

/* ---- redirects ---- */

static bool is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* "host:port", in small letters. */
static struct str place_of(struct str url, struct arena *arena) {
    struct str port = url_port(url);
    if (port.len == 0)
        port = str_eq_fold(url_scheme(url), STR("https")) ? STR("443") : STR("80");
    return str_lower(arena,
                     str_format(arena, STR_FMT ":" STR_FMT, STR_ARG(url_host(url)), STR_ARG(port)));
}

/* What goes along to where a redirect leads. */
static void note_origin(struct http_check *h, struct str to, bool absolute) {
    struct arena *arena = &h->arena;
    bool secure = str_eq_fold(url_scheme(h->url), STR("https"));
    struct str first = place_of(str_copy(arena, h->run->type.http), arena);
    struct str place = place_of(to, arena);
    h->referer = STR("");
    if (!secure || str_eq_fold(url_scheme(to), STR("https")))
        h->referer = url_bare(h->url, arena);
    h->elsewhere = !str_eq(place, first) &&
                   !str_has_suffix(place, str_format(arena, "." STR_FMT, STR_ARG(first)));
    h->absolute = absolute;
}

static void follow(struct http_check *h) {
    struct http_transfer *t = &h->transfer;
    struct str to = t->location;
    if (to.len == 0) {
        fail(h, str_format(&h->arena, "%ld response missing Location header", t->status));
        return;
    }
    struct error e = ERROR_IN(&h->arena);
    struct str whole = url_resolve(&h->arena, h->url, to);
    if (!url_valid(to, &h->arena, &e) || !url_normal(whole, &whole, &h->arena, &e)) {
        fail(h, str_format(&h->arena, "failed to parse Location header " STR_FMT ": " STR_FMT,
                           STR_ARG(str_quote(&h->arena, to)), STR_ARG(e.text)));
        return;
    }
    h->shown = to;
    if (++h->redirects >= REDIRECTS_MAX) {
        fail(h, STR("stopped after 10 redirects"));
        return;
    }
    note_origin(h, whole, url_scheme(to).len > 0);
    h->url = whole;
    struct str scheme = url_scheme(h->url);
    if (!str_eq_fold(scheme, STR("http")) && !str_eq_fold(scheme, STR("https"))) {
        struct str quoted = str_quote(&h->arena, scheme);
        fail(h, str_format(&h->arena, "unsupported protocol scheme " STR_FMT, STR_ARG(quoted)));
        return;
    }
    if (t->status <= 303) {
        if (!str_is(h->method, "HEAD"))
            h->method = STR("GET");
        h->body = STR("");
    }
    if (!send_request(h, &e))
        fail(h, e.text);
}

static void transfer_done(struct http_transfer *t) {
    struct http_check *h = t->owner;
    bool without_location = t->location.len == 0 && t->status >= 307;
    if (h->host.len == 0)
        t->address = url_authority(h->url);
    if (t->code == CURLE_OPERATION_TIMEDOUT && t->status_line.len > 0) {
        log_at(LOG_WARN, "agent", "Check error while reading body",
               LOG_S("check", h->run->check_id));
        answered(h);
    } else if (t->code == CURLE_OPERATION_TIMEDOUT) {
        fail(h, STR("context deadline exceeded (Client.Timeout exceeded while awaiting headers)"));
    } else if (t->broken.data != NULL) {
        fail(h, http_transfer_fault(t, h->host));
    } else if (t->code == CURLE_OK && is_redirect(t->status) && !without_location) {
        tail_free(&t->output);
        t->output.total = 0;
        follow(h);
    } else if (t->status_line.len > 0) {
        answered(h);
    } else {
        fail(h, http_transfer_fault(t, h->host));
    }
}

/* ---- start ---- */

/* "", or what is wrong with a header. */
static struct str header_fault(const struct http_check *h) {
    const struct list *headers = &h->run->type.header;
    struct arena *arena = h->transfer.arena;
    for (uint32_t i = 0; i < headers->len; i++) {
        const struct list_pair *pair = &LIST_AT(*headers, struct list_pair, i);
        if (!http_is_token(pair->key))
            return str_format(arena, "net/http: invalid header field name " STR_FMT,
                              STR_ARG(str_quote(arena, pair->key)));
        for (uint32_t j = 0; j < pair->value.len; j++) {
            struct str value = LIST_AT(pair->value, struct str, j);
            if (!printable(value))
                return str_format(
                    arena, "net/http: invalid header field value " STR_FMT " for key " STR_FMT,
                    STR_ARG(str_quote(arena, value)), STR_ARG(pair->key));
        }
    }
    return STR("");
}

static bool refuse(struct http_check *h, struct str why, struct error *e) {
    struct str text = fault_text(h, why);
    return error_set(e, ERROR_BAD_REQUEST, STR_FMT, STR_ARG(text));
}

/* What is refused before anything is sent. */
static bool admit(struct http_check *h, struct error *e) {
    struct arena *arena = &h->arena;
    if (!http_is_token(h->method)) {
        struct str method = str_quote(arena, h->method);
        return error_set(e, ERROR_BAD_REQUEST, "net/http: invalid method " STR_FMT,
                         STR_ARG(method));
    }
    if (!url_normal(h->url, &h->url, arena, e))
        return false;
    h->shown = url_shown(h->url, arena);
    struct str url = h->url, scheme = url_scheme(url);
    if (!str_eq_fold(scheme, STR("http")) && !str_eq_fold(scheme, STR("https"))) {
        struct str lower = str_lower(arena, scheme), name = str_quote(arena, lower);
        return refuse(h, str_format(arena, "unsupported protocol scheme " STR_FMT, STR_ARG(name)),
                      e);
    }
    struct str fault = header_fault(h);
    if (fault.len > 0)
        return refuse(h, fault, e);
    if (url_authority(url).len == 0)
        return refuse(h, STR("http: no Host in request URL"), e);
    struct str port = url_port(url);
    uint64_t number = 0;
    if (port.len > 0 && (!str_to_u64(port, &number) || number > 65535))
        return refuse(
            h, str_format(arena, "dial tcp: address " STR_FMT ": invalid port", STR_ARG(port)), e);
    return true;
}

static void http_start(struct check_run *r) {
    struct http_check *h = MEM_NEW(struct http_check);
    struct http_transfer *t = &h->transfer;
    struct error e = ERROR_IN(&h->arena);
    h->run = r;
    h->url = h->shown = str_copy(&h->arena, r->type.http); /* terminated */
    h->method = configured_method(r);
    h->body = r->type.body;
    h->deadline = time_now_monotonic() + check_run_timeout(r, DEFAULT_TIMEOUT);
    t->arena = &h->arena;
    t->owner = h;
    t->done = transfer_done;
    t->dial_limit = HTTP_DIAL_LIMIT;
    t->handshake_limit = HTTP_HANDSHAKE_LIMIT;
    t->tls = &r->tls;
    t->skip_verify = r->type.tls_skip_verify;
    t->output.limit = r->output_limit;
    t->curl = check_run_curl(r, &e);
    r->state = h;
    if (t->curl == NULL) {
        check_run_over(r, CHECK_CRITICAL, e.text);
        struct arena arena = h->arena;
        mem_free(h);
        arena_free(&arena);
        return;
    }
    if (!admit(h, &e)) {
        over(h, CHECK_CRITICAL, e.text);
        return;
    }
    if (!send_request(h, &e))
        over(h, CHECK_CRITICAL, e.text);
}

static void http_cancel(struct check_run *r) {
    struct http_check *h = r->state;
    http_transfer_cancel(&h->transfer);
    over(h, CHECK_CRITICAL, STR(""));
}

const struct check_kind check_kind_http = {http_start, http_cancel};

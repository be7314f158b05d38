/* See http_call.h. */
#include "net/http_call.h"

#include "base/mem.h"
#include "base/time.h"
#include "codec/url_parts.h"

#define STOP_LOOK (50 * MILLISECOND) /* how often somebody looks whether to stop */

struct exchange {
    struct loop loop;
    struct http_call *call;
    struct error *e;
    struct http_client *client;
    struct http_transfer transfer;
    struct loop_timer end; /* libcurl cannot be freed from within done() */
    struct loop_timer look;
};

bool http_call_fail(const struct http_call *c, struct str why, struct error *e) {
    return error_set(e, ERROR_IO, "%c%s " STR_FMT ": " STR_FMT, c->method[0],
                     str_lower(c->arena, str_from(c->method + 1)).data,
                     STR_ARG(str_quote(c->arena, url_shown(c->url, c->arena))), STR_ARG(why));
}

bool http_call_possible(const struct http_call *c, struct error *e) {
    struct str scheme = url_scheme(c->url), port = url_port(c->url);
    uint64_t number;
    if (!str_eq_fold(scheme, STR("http")) && !str_eq_fold(scheme, STR("https")))
        return http_call_fail(c,
                              str_format(c->arena, "unsupported protocol scheme " STR_FMT,
                                         STR_ARG(str_quote(c->arena, str_lower(c->arena, scheme)))),
                              e);
    if (url_authority(c->url).len == 0)
        return http_call_fail(c, STR("http: no Host in request URL"), e);
    if (port.len > 0 && (!str_to_u64(port, &number) || number > UINT16_MAX))
        return http_call_fail(
            c, str_format(c->arena, "dial tcp: address " STR_FMT ": invalid port", STR_ARG(port)),
            e);
    return true;
}

static struct str answer_of(struct http_transfer *t, struct arena *arena) {
    return t->output.total > 0 ? str_copy(arena, tail_bytes(&t->output)) : STR("");
}

static void take_answer(struct http_call *c, struct http_transfer *t, struct error *e) {
    c->status = t->status;
    c->status_line = str_copy(c->arena, t->status_line);
    c->location = str_copy(c->arena, t->location);
    if (t->code != CURLE_OK) {
        struct str why = t->code == CURLE_OPERATION_TIMEDOUT
                             ? STR("context deadline exceeded")
                             : http_transfer_fault(t, url_host(c->url));
        http_call_fail(c, why, e);
    } else if (t->output.total > c->limit) {
        error_set(e, ERROR_TOO_LARGE, "answer of more than %zu bytes", c->limit);
    } else {
        c->answer = answer_of(t, c->arena);
    }
}

static void over(struct loop_timer *t) {
    struct exchange *x = t->owner;
    if (!error_is_set(x->e))
        take_answer(x->call, &x->transfer, x->e);
    if (x->client != NULL)
        http_transfer_free(&x->transfer);
    http_client_free(x->client);
    loop_timer_close(&x->end, NULL);
    loop_timer_close(&x->look, NULL);
    loop_stop(&x->loop);
}

static void arrived(struct http_transfer *t) {
    struct exchange *x = t->owner;
    loop_timer_set(&x->end, 0);
}

static void look(struct loop_timer *t) {
    struct exchange *x = t->owner;
    if (!atomic_load(x->call->stop)) {
        loop_timer_set(t, STOP_LOOK);
        return;
    }
    http_transfer_cancel(&x->transfer);
    if (!error_is_set(x->e))
        error_set(x->e, ERROR_IO, "context canceled");
    loop_timer_set(&x->end, 0);
}

static void take_header(struct http_transfer *t, struct str name, struct str value) {
    struct exchange *x = t->owner;
    struct http_call *c = x->call;
    struct str *place = str_eq_fold(name, STR("content-type"))    ? &c->content_type
                        : str_eq_fold(name, STR("cache-control")) ? &c->cache_control
                        : str_eq_fold(name, STR("expires"))       ? &c->expires
                                                                  : NULL;
    if (place != NULL)
        *place = str_copy(c->arena, value);
}

static bool exchange_start(struct exchange *x, struct error *e) {
    struct http_call *c = x->call;
    struct http_transfer *t = &x->transfer;
    *t = (struct http_transfer){
        .curl = x->client,
        .arena = c->arena,
        .url = str_terminated(c->arena, c->url),
        .method = c->method,
        .body = c->body,
        .sends_body = c->body.data != NULL,
        .skip_verify = c->skip_verify,
        .tls = c->tls,
        .timeout = c->time,
        .output = {.limit = c->limit},
        .header = take_header,
        .done = arrived,
        .owner = x,
    };
    for (size_t i = 0; i < HTTP_CALL_HEADERS_MAX && c->headers[i].data != NULL; i++)
        http_transfer_header(t, str_terminated(c->arena, c->headers[i]));
    http_transfer_header(t, "Expect:"); /* neither waits nor asks */
    if (c->tls != NULL) {
        struct str host = http_transfer_name(t, c->tls->server_name);
        if (host.data != NULL)
            http_transfer_header(t, str_format(c->arena, "Host: " STR_FMT, STR_ARG(host)).data);
    }
    return http_transfer_start(t, e);
}

static bool has_line_break(const struct http_call *c) {
    bool found = str_find_char(c->url, '\n') >= 0 || str_find_char(c->url, '\r') >= 0;
    for (size_t i = 0; i < HTTP_CALL_HEADERS_MAX && c->headers[i].data != NULL; i++)
        found |= str_find_char(c->headers[i], '\n') >= 0 || str_find_char(c->headers[i], '\r') >= 0;
    return found;
}

bool http_call_run(struct http_call *c, struct error *e) {
    error_clear(e);
    c->status_line = c->content_type = c->cache_control = c->expires = c->location = STR_NONE;
    c->answer = STR("");
    if (has_line_break(c))
        return error_set(e, ERROR_BAD_REQUEST, "a setting holds a line break");
    struct exchange *x = MEM_NEW(struct exchange);
    x->call = c;
    x->e = e;
    if (!loop_init(&x->loop, "http", 16, e)) {
        mem_free(x);
        return false;
    }
    x->client = http_client_new(&x->loop, e);
    loop_timer_init(&x->loop, &x->end, over, x);
    loop_timer_init(&x->loop, &x->look, look, x);
    if (x->client == NULL || !exchange_start(x, e))
        loop_timer_set(&x->end, 0);
    else if (c->stop != NULL)
        loop_timer_set(&x->look, 0);
    loop_run_here(&x->loop);
    loop_free(&x->loop);
    mem_free(x);
    return !error_is_set(e);
}

/* Between handlers and endpoints: the call of a request, its errors, and what of reads is common to
 * all: placeholder headers, the second try when an answer is staler than allowed.
 */
#include <stdio.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "http/authorize.h"
#include "http/room.h"

static void on_call_done(struct call *call);

static struct query_options *options_of(struct http_request *r) {
    ptrdiff_t at = r->call.endpoint->options;
    return at < 0 ? NULL : (struct query_options *)((char *)r->call.request + at);
}

static void start(struct http_request *r) {
    bool done = false;
    r->calling = true;
    r->call_flag = &done;
    call_start(r->server, &r->call);
    if (!done)
        r->call_flag = NULL;
}

/* discovery_max_stale and max_stale (http-core.md 6.3): ask the leader instead. */
static bool too_stale(struct http_request *r, const struct answer *a) {
    struct query_options *options = options_of(r);
    return options != NULL && (r->route->flags & ROUTE_EFFECTIVE) != 0 && options->allow_stale &&
           options->max_stale_duration > 0 && a->meta.last_contact > options->max_stale_duration;
}

void http_count(const struct http_request *r, const char *group, const char *counter) {
    char name[96];
    const struct metric_label labels[] = {{"node", r->config->node_name}, {NULL, STR_NONE}};
    if (counter == NULL)
        return;
    snprintf(name, sizeof name, "%s%s", group, counter);
    metric_add(METRIC_COUNTER, name, 1, labels);
}

/* What comes of connected services is counted with the others. */
void http_count_end(const struct http_request *r, const char *group) {
    const char *counter = r->route->counter;
    if (counter != NULL && strcmp(counter, "catalog_connect_service_nodes") == 0)
        counter = "catalog_service_nodes";
    http_count(r, group, counter);
}

void http_answer_failure(struct http_request *r, struct answer *a) {
    if ((r->route->flags & ROUTE_META) != 0 && r->call.endpoint->meta >= 0 &&
        a->error.kind != ERROR_NOT_FOUND) {
        buf_add_text(&r->extra, "X-Consul-Index: 1\r\nX-Consul-Knownleader: false\r\n"
                                "X-Consul-Lastcontact: 0\r\n");
    }
    if ((r->route->flags & ROUTE_EVENT) != 0 && a->error.kind == ERROR_DENIED) {
        if (str_find(a->error.text, STR("Permission denied"), 0) >= 0)
            http_deny(r, NULL);
        else
            http_answer_error_as(r, &a->error, 500);
        return;
    }
    http_answer_error(r, &a->error);
}

static void on_call_done(struct call *call) {
    struct http_request *r = call->owner;
    struct answer *a = call->answer;
    r->calling = false;
    if (r->call_flag != NULL)
        *r->call_flag = true;
    call->answer = NULL;
    if (a->error.kind != ERROR_NONE) {
        http_count_end(r, "client.rpc.error.");
        if (r->call_failed != NULL)
            r->call_failed(r, a);
        else
            http_answer_failure(r, a);
    } else if (too_stale(r, a)) {
        struct query_options *options = options_of(r);
        options->allow_stale = false;
        options->max_stale_duration = 0;
        r->effective_stale = false;
        start(r);
    } else {
        http_count_end(r, "client.api.success.");
        r->answer_done(r, a);
    }
    answer_release(a);
}

void http_call(struct http_request *r, const struct endpoint *endpoint, void *request,
               http_answer_done *done) {
    r->call.endpoint = endpoint;
    r->call.arena = &r->arena;
    r->call.request = request;
    r->call.done = on_call_done;
    r->call.owner = r;
    r->answer_done = done;
    struct query_options *options = options_of(r);
    if (options != NULL) {
        /* These are for the agent that was asked, and would keep equal questions apart. */
        options->max_age = options->stale_if_error = 0;
        options->must_revalidate = options->use_cache = false;
    }
    start(r);
}

static void answer_with_meta(struct http_request *r, struct answer *a) {
    if (r->call.endpoint->meta >= 0)
        http_set_meta(r, &a->meta);
    http_answer_shared(r, a, 200, r->reply_writer);
}

void http_call_json(struct http_request *r, const struct endpoint *endpoint, void *request,
                    uint32_t variant, http_reply_writer *write) {
    r->call.variant = variant;
    r->reply_writer = write;
    http_call(r, endpoint, request, answer_with_meta);
}

/* Prepared queries in other datacenters. See query_failover.h. */
#include "server/query_failover.h"

#include "base/log.h"
#include "base/mem.h"
#include "server/endpoints.h"
#include "server/server_room.h"
#include "server/thread.h"

struct failover {
    struct call *outer;
    struct arena arena;
    struct prepared_query_execute_response best; /* the last answer, none of them with nodes */
    struct str *datacenters;                     /* in the order in which they are asked */
    size_t len, next;
    struct prepared_query_execute_remote_request request;
    struct call call;
    struct arena call_arena;
};

static void ask_next(struct failover *f);

static void failover_free(void *owner) {
    struct failover *f = owner;
    struct arena arena = f->arena;
    arena_free(&f->call_arena);
    arena_free(&arena);
}

static void finish(struct failover *f) {
    struct call *c = f->outer;
    struct answer *a = answer_new(c->endpoint);
    f->best.failovers = (int64_t)f->next;
    schema_copy(&prepared_query_execute_response_shape, a->reply, &f->best, &a->arena);
    c->following = NULL;
    failover_free(f);
    call_followed(c, a);
}

static void remote_done(struct call *call) {
    struct failover *f = call->owner;
    struct answer *a = call->answer;
    call->answer = NULL;
    if (error_is_set(&a->error)) {
        log_at(LOG_WARN, "agent.server.prepared_query", "Failed querying for service in datacenter",
               LOG_S("service", f->best.service), LOG_S("datacenter", f->datacenters[f->next - 1]),
               LOG_S("error", a->error.text));
    } else {
        schema_copy(&prepared_query_execute_response_shape, &f->best, a->reply, &f->arena);
    }
    answer_release(a);
    if (f->best.nodes.len > 0)
        finish(f);
    else
        ask_next(f);
}

static void ask_next(struct failover *f) {
    if (f->next == f->len) {
        finish(f);
        return;
    }
    f->request.datacenter = f->datacenters[f->next++];
    arena_free(&f->call_arena);
    f->call_arena = ARENA_INIT;
    f->call = (struct call){.endpoint = &endpoint_prepared_query_execute_remote,
                            .arena = &f->call_arena,
                            .request = &f->request,
                            .done = remote_done,
                            .owner = f};
    call_start(f->outer->server, &f->call);
}

static bool is_among(const struct failover *f, size_t count, struct str datacenter) {
    for (size_t i = 0; i < count; i++) {
        if (str_eq(f->datacenters[i], datacenter))
            return true;
    }
    return false;
}

/* The own one is none of those that can be gone on to. */
static bool is_known(const struct failover *f, const struct peer_datacenter *known, size_t count,
                     struct str name) {
    for (size_t i = 0; i < count; i++) {
        if (str_eq(known[i].name, name) && !str_eq(name, f->outer->server->options.datacenter))
            return true;
    }
    log_at(LOG_DEBUG, "agent.server.prepared_query",
           "Skipping unknown datacenter in prepared query", LOG_S("datacenter", name));
    return false;
}

static void choose(struct failover *f, const struct service_query_failover *wanted) {
    struct server *s = f->outer->server;
    struct peer_datacenter *known;
    size_t count = peers_datacenters(s->peers, &f->arena, &known);
    f->datacenters = ARENA_ARRAY(&f->arena, struct str, count + wanted->datacenters.len + 1);
    for (size_t i = 0; i < count && f->len < (size_t)wanted->nearest_n; i++) {
        if (!str_eq(known[i].name, s->options.datacenter))
            f->datacenters[f->len++] = known[i].name;
    }
    size_t nearest = f->len;
    for (uint32_t i = 0; i < wanted->datacenters.len; i++) {
        struct str name = LIST_AT(wanted->datacenters, struct str, i);
        if (is_known(f, known, count, name) && !is_among(f, nearest, name))
            f->datacenters[f->len++] = name; /* as often as it is named */
    }
}

bool query_failover_begin(struct call *c, struct answer *answer) {
    const struct prepared_query_execute_response *reply = answer->reply;
    const struct prepared_query_execute_request *asked = c->request;
    const struct service_query_failover *wanted = &reply->query->service.failover;
    if (reply->nodes.len > 0 || (wanted->nearest_n <= 0 && wanted->datacenters.len == 0))
        return false;
    struct arena arena = ARENA_INIT;
    struct failover *f = ARENA_NEW(&arena, struct failover);
    f->arena = arena;
    f->call_arena = ARENA_INIT;
    f->outer = c;
    schema_copy(&prepared_query_execute_response_shape, &f->best, reply, &f->arena);
    schema_copy(&prepared_query_shape, &f->request.query, reply->query, &f->arena);
    f->request.limit = asked->limit;
    f->request.connect = asked->connect;
    schema_copy(&query_options_shape, &f->request.options, &asked->options, &f->arena);
    choose(f, &f->request.query.service.failover);
    if (f->len == 0) {
        failover_free(f);
        return false;
    }
    c->following = f;
    c->state = CALL_FOLLOWED; /* the answers may be at hand */
    ask_next(f);
    return true;
}

void query_failover_cancel(struct call *c) {
    struct failover *f = c->following;
    c->following = NULL;
    call_cancel(&f->call, failover_free);
}

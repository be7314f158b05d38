/* Envoy's question whether who connects may (connect.md 6.7): once for each connection, decided as
 * POST /v1/agent/connect/authorize does.
 */
#include "base/log.h"
#include "base/mem.h"
#include "server/agent_cache.h"
#include "server/authorize.h"
#include "server/connect_authorize.h"
#include "server/endpoints.h"
#include "xds/discovery.h"
#include "xds/services.h"

struct check_state {
    struct grpc_call *call; /* NULL: it is over */
    struct server *server;
    struct arena arena;
    struct error error;
    struct str token;
    struct str source_uri, target_uri; /* for the log */
    struct spiffe_id source, target;
    struct authorize authorize;
    struct authorization *who;
    struct call query;           /* on a server */
    struct agent_cache_ask *ask; /* on a client agent */
    bool asked, authorizing, querying;
};

static void state_free(struct check_state *s) {
    struct arena arena = s->arena;
    authorization_release(s->who);
    mem_free(s);
    arena_free(&arena);
}

/* ---- answers ---- */

static void note(const struct check_state *s, const char *what, const char *field,
                 struct str text) {
    log_at(LOG_DEBUG, "agent.envoy", what, LOG_S("source", s->source_uri),
           LOG_S("destination", s->target_uri), LOG_S(field, text));
}

static void refuse(struct check_state *s, enum grpc_status status, struct str text) {
    note(s, "Connect AuthZ failed", "error", text);
    grpc_end(s->call, status, text);
}

static void answer(struct check_state *s, bool allowed, struct str reason) {
    note(s, allowed ? "Connect AuthZ ALLOWED" : "Connect AuthZ DENIED", "reason", reason);
    struct check_response response = {
        {allowed ? GRPC_OK : GRPC_PERMISSION_DENIED,
         str_format(&s->arena, "%s: " STR_FMT, allowed ? "ALLOWED" : "Denied", STR_ARG(reason))}};
    struct buf out = BUF_INIT;
    struct grpc_call *c = s->call;
    proto_encode(&out, &check_response_proto, &response);
    if (grpc_may_send(c))
        grpc_send(c, &out);
    buf_free(&out);
    grpc_end(c, GRPC_OK, STR(""));
}

/* ---- intentions ---- */

static void decide(struct check_state *s, const struct answer *a) {
    if (error_is_set(&a->error)) {
        refuse(s, GRPC_INTERNAL, a->error.text);
        return;
    }
    struct connect_verdict verdict =
        connect_decide(a->reply, &s->source, authorization_may(s->who) != NULL,
                       server_options(s->server)->acl.default_allow, &s->arena);
    answer(s, verdict.allowed, verdict.reason);
}

static void called(struct call *c) {
    struct check_state *s = c->owner;
    struct answer *a = c->answer;
    s->querying = false;
    decide(s, a);
    answer_release(a);
}

static void cached(void *owner, struct answer *a, bool hit, int64_t age) {
    struct check_state *s = owner;
    (void)hit, (void)age;
    s->ask = NULL;
    decide(s, a);
    answer_release(a);
}

static void query(struct check_state *s) {
    struct intention_query_request *q = connect_question(s->target.name, s->token, &s->arena);
    if (agent_cache_is_used(s->server)) {
        s->ask = agent_cache_ask(s->server, &endpoint_intention_match, q, AGENT_CACHE_REFRESHED,
                                 cached, s);
        return;
    }
    s->query = (struct call){.endpoint = &endpoint_intention_match,
                             .arena = &s->arena,
                             .request = q,
                             .done = called,
                             .owner = s};
    s->querying = true;
    call_start(s->server, &s->query);
}

/* ---- rights ---- */

static void take_rights(struct check_state *s) {
    s->who = s->authorize.result;
    if (error_is_set(&s->error))
        refuse(s, GRPC_INTERNAL, s->error.text);
    else if (!authorizer_may(authorization_may(s->who), ACL_SERVICE, ACL_WRITE, s->target.name))
        refuse(s, GRPC_PERMISSION_DENIED, STR("Permission denied"));
    else
        query(s);
}

static void authorized(struct authorize *a) {
    struct check_state *s = a->owner;
    s->authorizing = false;
    s->error = a->error;
    take_rights(s);
}

static void ask_rights(struct check_state *s) {
    s->authorize = (struct authorize){.secret = s->token,
                                      .agent = true,
                                      .done = authorized,
                                      .owner = s,
                                      .error = ERROR_IN(&s->arena)};
    if (!authorize_start(&s->authorize)) {
        s->authorizing = true;
        return;
    }
    s->error = s->authorize.error;
    take_rights(s);
}

/* ---- the question ---- */

static void read_request(struct check_state *s, const struct check_request *r) {
    const struct check_attributes *a = r->attributes;
    struct error unread = ERROR_IN(&s->arena);
    if (a != NULL && a->source != NULL)
        s->source_uri = a->source->principal;
    if (a != NULL && a->destination != NULL)
        s->target_uri = a->destination->principal;
    if (a == NULL || a->source == NULL || a->destination == NULL)
        refuse(s, GRPC_INVALID_ARGUMENT, STR("source and destination attributes are required"));
    else if (a->source->principal.len == 0 || a->destination->principal.len == 0)
        refuse(s, GRPC_INVALID_ARGUMENT, STR("source and destination Principal are required"));
    else if (!spiffe_parse(a->destination->principal, &s->target, &s->arena, &unread))
        answer(s, false, STR("Destination Principal is not a valid Connect identity"));
    else if (s->target.kind != SPIFFE_SERVICE)
        answer(s, false, STR("Destination Principal is not a valid Service identity"));
    else if (!connect_source(a->source->principal, &s->source, &s->arena, &s->error))
        refuse(s, GRPC_INTERNAL, s->error.text);
    else
        ask_rights(s);
}

static void begin(struct grpc_call *c) {
    struct check_state *s = MEM_NEW(struct check_state);
    s->call = c;
    s->server = ((struct xds_services *)c->owner)->server;
    s->error = ERROR_IN(&s->arena);
    s->token = str_copy(&s->arena, buf_str(&c->token));
    c->state = s;
}

static void message(struct grpc_call *c, struct str bytes) {
    struct check_state *s = c->state;
    struct check_request r;
    if (s->asked)
        return;
    s->asked = true;
    if (!proto_decode(str_copy(&s->arena, bytes), &check_request_proto, &r, &s->arena, &s->error))
        refuse(s, GRPC_INTERNAL,
               str_format(&s->arena, "grpc: error unmarshalling request: " STR_FMT,
                          STR_ARG(s->error.text)));
    else
        read_request(s, &r);
}

static void half_closed(struct grpc_call *c) {
    const struct check_state *s = c->state;
    if (!s->asked)
        grpc_end(c, GRPC_INTERNAL, STR("grpc: the request is missing"));
}

static void writable(struct grpc_call *c) {
    (void)c; /* there is one answer */
}

static void query_freed(void *owner) {
    state_free(owner);
}

static void closed(struct grpc_call *c) {
    struct check_state *s = c->state;
    s->call = NULL;
    if (s->querying) {
        call_cancel(&s->query, query_freed);
        return;
    }
    if (s->authorizing)
        authorize_cancel(&s->authorize);
    if (s->ask != NULL)
        agent_cache_cancel(s->ask);
    state_free(s);
}

#define METHOD(service_)                                                                           \
    {                                                                                              \
        .service = (service_), .name = "Check", .begin = begin, .message = message,                \
        .half_closed = half_closed, .writable = writable, .closed = closed                         \
    }
const struct grpc_method xds_method_check = METHOD("envoy.service.auth.v2.Authorization");
const struct grpc_method xds_method_check_alpha =
    METHOD("envoy.service.auth.v2alpha.Authorization");

/* /v1/session: http-core.md 11.5. */
#include "http/reads.h"
#include "http/records.h"

#include "base/time.h"
#include "codec/number.h"
#include "schema/table.h"

#define LOCK_DELAY_DEFAULT (15 * SECOND)
#define LOCK_DELAY_SECONDS ((int64_t)1000) /* smaller ones are meant in seconds */

/* ---- create ---- */

/* The body: a session, with a lock delay of whatever kind. */
struct session_body {
    struct value *lock_delay;
    struct session session;
};

#define OF struct session_body
static const struct field session_body_fields[] = {
    F_ANY("LockDelay", lock_delay),
    F_STR("ID", session.id),
    F_STR("Name", session.name),
    F_STR("Node", session.node),
    F_STR("Behavior", session.behavior, .go = "structs.SessionBehavior"),
    F_STR("TTL", session.ttl, .go = "string"),
    F_LIST("NodeChecks", session.node_checks, OF_STR),
    F_LIST("ServiceChecks", session.service_checks, OF_STRUCT(service_check)),
    F_LIST("Checks", session.checks, OF_STR, .go = "[]types.CheckID"),
    F_UINT("CreateIndex", session.create_index),
    F_UINT("ModifyIndex", session.modify_index),
};
#undef OF
SHAPE(session_body, "");

/* The peer multiplies without looking, and so wraps. */
static int64_t in_seconds_when_small(int64_t ns) {
    return ns < LOCK_DELAY_SECONDS ? (int64_t)((uint64_t)ns * (uint64_t)SECOND) : ns;
}

static bool read_lock_delay(const struct session_body *body, int64_t *out, struct error *e) {
    const struct value *v = body->lock_delay;
    *out = LOCK_DELAY_DEFAULT;
    if (v == NULL || v->kind == VALUE_NULL)
        return true;
    *out = 0;
    if (v->kind == VALUE_STRING) {
        if (!duration_parse(v->string, out, e))
            return false;
    } else if (v->kind == VALUE_FLOAT) {
        *out = number_i64_of(v->number);
    }
    *out = in_seconds_when_small(*out);
    return true;
}

static struct list default_checks(struct arena *arena) {
    struct list list = LIST_NEW(arena, struct str, 1);
    LIST_AT(list, struct str, 0) = STR("serfHealth");
    return list;
}

/* The old list of checks and the new one become one. */
static void merge_checks(struct session *s) {
    if (s->checks.len == 0)
        s->node_checks = LIST_EMPTY;
    else if (s->checks.len == 1 && str_is(LIST_AT(s->checks, struct str, 0), "serfHealth"))
        s->checks = LIST_NIL;
    else if (s->node_checks.len == 0)
        s->checks = LIST_NIL;
}

static void created(struct http_request *r, struct answer *a) {
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    json_key(w, STR("ID"));
    json_str(w, *(const struct str *)a->reply);
    json_close_object(w);
    http_answer_json_written(r, 200);
}

static void create_body(struct http_request *r) {
    struct session_body *body = ARENA_NEW(&r->arena, struct session_body);
    struct session_request *q = ARENA_NEW(&r->arena, struct session_request);
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.ignore_unknown = true,
                                   .go_type = "struct { LockDelay interface {}; *structs.Alias }"};
    struct session *s = &body->session;
    s->node = r->config->node_name;
    s->behavior = STR("release");
    s->node_checks = default_checks(&r->arena);
    s->checks = default_checks(&r->arena);
    if (r->content_length > 0 && !http_body_from_json(r, &session_body_shape, body, &options, &e)) {
        http_answer_format(r, 400, "Request decode failed: " STR_FMT, STR_ARG(e.text));
        return;
    }
    if (!read_lock_delay(body, &s->lock_delay, &e)) {
        http_answer_format(r, 400, "Request decode failed: " STR_FMT, STR_ARG(e.text));
        return;
    }
    merge_checks(s);
    s->id = STR("");
    s->create_index = s->modify_index = 0;
    q->session = *s;
    q->datacenter = http_datacenter(r);
    q->op = STR("create");
    q->write.token = http_token(r);
    http_call(r, &endpoint_session_apply, q, created);
}

static void session_create(struct http_request *r) {
    if (!http_check_namespace(r))
        return;
    if (r->content_length > 0)
        http_read_body(r, 0, create_body);
    else
        create_body(r); /* also with chunks, which are not looked at */
}

/* ---- destroy and renew ---- */

static void destroyed(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_bool(r, true);
}

static void session_destroy(struct http_request *r) {
    struct session_request *q = ARENA_NEW(&r->arena, struct session_request);
    if (!http_check_namespace(r) || !http_need_argument(r, "Missing session"))
        return;
    q->datacenter = http_datacenter(r);
    q->op = STR("destroy");
    q->session.id = r->argument;
    q->write.token = http_token(r);
    http_call(r, &endpoint_session_apply, q, destroyed);
}

static void write_sessions(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    http_write_pointers(w, &((const struct indexed_sessions *)reply)->sessions, &session_shape);
}

static void renewed(struct http_request *r, struct answer *a) {
    const struct indexed_sessions *reply = a->reply;
    if (reply->sessions.len == 0)
        http_answer_format(r, 404, "Session id '" STR_FMT "' not found", STR_ARG(r->argument));
    else
        http_answer_shared(r, a, 200, write_sessions);
}

/* NULL: answered. */
static struct session_specific_request *question(struct http_request *r) {
    struct session_specific_request *q = ARENA_NEW(&r->arena, struct session_specific_request);
    q->datacenter = http_datacenter(r);
    q->session_id = r->argument;
    q->session = r->argument;
    if (!http_read_options(r, &q->options) || !http_check_namespace(r))
        return NULL;
    q->options.filter = STR("");
    return q;
}

static void session_renew(struct http_request *r) {
    struct session_specific_request *q = question(r);
    if (q != NULL && http_need_argument(r, "Missing session"))
        http_call(r, &endpoint_session_renew, q, renewed);
}

/* ---- reads ---- */

static void session_info(struct http_request *r) {
    struct session_specific_request *q = question(r);
    if (q != NULL && http_need_argument(r, "Missing session"))
        http_call_json(r, &endpoint_session_get, q, 0, write_sessions);
}

static void session_list(struct http_request *r) {
    struct session_specific_request *q = question(r);
    if (q != NULL)
        http_call_json(r, &endpoint_session_list, q, 0, write_sessions);
}

static void session_node(struct http_request *r) {
    struct node_request *q = http_read_node_unfiltered(r);
    if (q != NULL)
        http_call_json(r, &endpoint_session_node_sessions, q, 0, write_sessions);
}

const struct http_route http_routes_session[] = {
    {"/v1/session/create", "PUT", session_create, 0},
    {"/v1/session/destroy/", "PUT", session_destroy, 0},
    {"/v1/session/renew/", "PUT", session_renew, 0},
    {"/v1/session/info/", "GET", session_info, ROUTE_META},
    {"/v1/session/node/", "GET", session_node, ROUTE_META},
    {"/v1/session/list", "GET", session_list, ROUTE_META},
    {NULL, NULL, NULL, 0},
};

/* Session (rpc.md 6.5). Timers are session_timer.c's. */
#include "base/random.h"
#include "server/endpoint.h"
#include "server/filter_acl.h"
#include "server/permit.h"
#include "store/session.h"

#define SESSION_TTL_MAX (24 * HOUR)
#define SESSION_ID_TRIES 32

static bool ttl_check(struct call_context *c, struct str ttl, struct error *e) {
    int64_t ns = 0;
    if (ttl.len == 0) {
        return true;
    }
    if (!duration_parse(ttl, &ns, e)) {
        return error_prefix(e, "Session TTL '%.*s' invalid: ", STR_ARG(ttl));
    }
    int64_t least = server_options(c->server)->session_ttl_min;
    if (ns != 0 && (ns < least || ns > SESSION_TTL_MAX)) {
        return error_set(e, ERROR_INTERNAL,
                         "Invalid Session TTL '%lld', must be between [%.*s=%.*s]", (long long)ns,
                         STR_ARG(duration_format(c->arena, least)),
                         STR_ARG(duration_format(c->arena, SESSION_TTL_MAX)));
    }
    return true;
}

/* An ID that no session has. */
static bool id_choose(struct call_context *c, struct session *session, struct error *e) {
    for (int i = 0; i < SESSION_ID_TRIES; i++) {
        char *id = arena_alloc(c->arena, 37);
        uuid_random(id);
        session->id = str_from(id);
        struct session *other = NULL;
        uint64_t index;
        if (!session_get(c->store, session->id, &other, &index, e)) {
            return false;
        }
        if (other == NULL) {
            return true;
        }
    }
    return error_set(e, ERROR_INTERNAL, "failed to find an unused session ID");
}

static bool create_prepare(struct call_context *c, struct session *session, struct error *e) {
    struct str behavior = session->behavior;
    if (session->node.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide Node");
    }
    if (!permit(c, ACL_SESSION, ACL_WRITE, session->node, e)) {
        return false;
    }
    if (behavior.len == 0) {
        session->behavior = STR("release");
    } else if (!str_is(behavior, "release") && !str_is(behavior, "delete")) {
        return error_set(e, ERROR_INTERNAL, "Invalid Behavior setting '%.*s'", STR_ARG(behavior));
    }
    return ttl_check(c, session->ttl, e) && id_choose(c, session, e);
}

/* What is not there may be destroyed by anybody. */
static bool destroy_permit(struct call_context *c, struct str id, struct error *e) {
    struct session *stored = NULL;
    uint64_t index;
    if (c->may == NULL) {
        return true;
    }
    if (!session_get(c->store, id, &stored, &index, e)) {
        return error_prefix(e, "Session lookup failed: ");
    }
    return stored == NULL || permit(c, ACL_SESSION, ACL_WRITE, stored->node, e);
}

static bool destroy_prepare(struct call_context *c, struct str id, struct error *e) {
    if (id.len == 0) {
        return error_set(e, ERROR_INTERNAL, "Must provide ID");
    }
    return destroy_permit(c, id, e);
}

static bool op_prepare(struct call_context *c, struct session_request *r, struct error *e) {
    if (str_is(r->op, "create")) {
        return create_prepare(c, &r->session, e);
    }
    if (str_is(r->op, "destroy")) {
        return destroy_prepare(c, r->session.id, e);
    }
    /* Otherwise it is refused when it is applied, in other words. */
    return c->may == NULL || error_set(e, ERROR_INTERNAL, "Invalid session operation " STR_FMT,
                                       STR_ARG(str_quote(c->arena, r->op)));
}

static bool apply_prepare(struct call_context *c, void *request, struct buf *entry,
                          struct error *e) {
    struct session_request *r = request;
    if (!op_prepare(c, r, e)) {
        return false;
    }
    endpoint_entry(entry, ENTRY_SESSION, &session_request_shape, r);
    return true;
}

static bool apply_finish(struct call_context *c, const void *request,
                         const struct store_result *result, void *reply, struct error *e) {
    (void)e;
    const struct session_request *r = request;
    struct session_timers *timers = c->server->session_timers;
    struct str *id = reply;
    *id = STR("");
    if (str_is(r->op, "create")) {
        session_timers_reset(timers, &r->session);
    } else {
        session_timers_remove(timers, r->session.id);
    }
    if (result->kind == STORE_RESULT_STR) {
        *id = str_copy(c->arena, result->string);
    }
    return true;
}

static struct str wanted_id(const struct session_specific_request *r) {
    return r->session_id.len > 0 ? r->session_id : r->session;
}

static bool session_find(struct call_context *c, struct store_read *read, struct str id,
                         struct list *sessions, uint64_t *index, struct error *e) {
    struct session *session = NULL;
    *sessions = LIST_NIL;
    if (!session_get(read, id, &session, index, e)) {
        return false;
    }
    if (session != NULL) {
        *sessions = LIST_NEW(c->arena, struct session *, 1);
        LIST_AT(*sessions, struct session *, 0) = session;
    }
    return true;
}

static bool get_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    struct indexed_sessions *out = reply;
    if (!session_find(c, c->store, wanted_id(request), &out->sessions, &c->meta->index, e)) {
        return false;
    }
    filter_sessions(c, &out->sessions);
    return true;
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)request;
    (void)e;
    struct indexed_sessions *out = reply;
    c->meta->index = session_list(c->store, &out->sessions);
    c->exact = true;
    filter_sessions(c, &out->sessions);
    return true;
}

static bool node_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)e;
    const struct node_request *r = request;
    struct indexed_sessions *out = reply;
    c->meta->index = session_node_list(c->store, r->node, &out->sessions);
    filter_sessions(c, &out->sessions);
    return true;
}

static bool renew_permit(const struct call_context *c, const struct list *sessions,
                         struct error *e) {
    return sessions->len == 0 ||
           permit(c, ACL_SESSION, ACL_WRITE, LIST_AT(*sessions, struct session *, 0)->node, e);
}

/* No entry; the reply's meta has nothing but the index, and not even that for an unknown session.
 */
static bool renew_core(struct call_context *c, void *request, void *reply, struct error *e) {
    struct indexed_sessions *out = reply;
    struct store_read read;
    uint64_t index = 0;
    if (!store_read_begin(c->server->store, &read, c->arena, NULL, e)) {
        return false;
    }
    bool ok = session_find(c, &read, wanted_id(request), &out->sessions, &index, e);
    store_read_end(&read);
    ok = ok && renew_permit(c, &out->sessions, e);
    out->meta.index = ok && index > 1 ? index : 0; /* 1 stands for "never written" */
    if (ok && out->sessions.len > 0 && server_is_leader(c->server)) { /* others have no timers */
        session_timers_reset(c->server->session_timers,
                             LIST_AT(out->sessions, struct session *, 0));
    }
    return ok;
}

const struct endpoint endpoint_session_apply = {
    ENDPOINT_WRITES("Session.Apply", session_request),
    .metric = "session.apply",
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .prepare = apply_prepare,
    .prepare_reads = true,
    .finish = apply_finish,
};

const struct endpoint endpoint_session_get = {
    ENDPOINT_READS("Session.Get", ENDPOINT_BLOCKING, session_specific_request, indexed_sessions),
    .read = get_read,
};

const struct endpoint endpoint_session_list = {
    ENDPOINT_READS("Session.List", ENDPOINT_BLOCKING, session_specific_request, indexed_sessions),
    .read = list_read,
};

const struct endpoint endpoint_session_node_sessions = {
    ENDPOINT_READS("Session.NodeSessions", ENDPOINT_BLOCKING, node_request, indexed_sessions),
    .read = node_read,
};

const struct endpoint endpoint_session_renew = {
    ENDPOINT_READS("Session.Renew", ENDPOINT_CORE, session_specific_request, indexed_sessions),
    .metric = "session.renew",
    .core = renew_core,
};

/* Sessions: reads, and entry type 3 (fsm.md 4.3).
 */
#include "store/session.h"

#include "store/apply.h"
#include "store/query.h"

#define BAD_ID "failed session lookup: index error: "

/* ---- reads ---- */

bool session_fetch(struct store_read *r, struct str id, struct session *session, bool *malformed,
                   struct error *e) {
    struct str key;
    struct error ignored = ERROR_IN(r->arena);
    if (malformed != NULL)
        *malformed = false;
    if (e == NULL)
        e = &ignored;
    if (!uuid_key(r->arena, id, &key, e)) {
        if (malformed != NULL)
            *malformed = true;
        return error_prefix(e, BAD_ID);
    }
    return record_get(r, TABLE_SESSIONS, key, &session_shape, session);
}

bool session_get(struct store_read *r, struct str id, struct session **session, uint64_t *index,
                 struct error *e) {
    struct str key;
    *session = NULL;
    *index = INDEX_MAX(r, "sessions");
    if (!uuid_key(r->arena, id, &key, e))
        return error_prefix(e, BAD_ID);
    watch_set_add_record(r->watch, "sessions", key);
    struct session *found = ARENA_NEW(r->arena, struct session);
    if (record_get(r, TABLE_SESSIONS, key, &session_shape, found))
        *session = found;
    return true;
}

static void push(struct store_read *r, struct list *sessions, uint32_t *cap, struct str value) {
    struct session *session = ARENA_NEW(r->arena, struct session);
    record_decode(r, value, &session_shape, session);
    *(struct session **)list_push(sessions, cap, sizeof session, r->arena) = session;
}

uint64_t session_list(struct store_read *r, struct list *sessions) {
    *sessions = LIST_NIL;
    uint32_t cap = 0;
    struct table_scan s;
    struct str value;
    watch_name(r, WATCH_TABLE, STR("sessions"));
    table_scan_begin(&s, r, TABLE_SESSIONS, STR(""));
    while (table_scan_next(&s, NULL, &value))
        push(r, sessions, &cap, value);
    table_scan_end(&s);
    return INDEX_MAX(r, "sessions");
}

static struct list keys_of_node(struct store_read *r, struct str node) {
    return lookup_keys(r, TABLE_SESSIONS_NODE, KEY(r->arena, K_LOWER(node)));
}

uint64_t session_node_list(struct store_read *r, struct str node, struct list *sessions) {
    *sessions = LIST_NIL;
    uint32_t cap = 0;
    struct str value;
    watch_name(r, WATCH_NODE_SESSIONS, node);
    struct list keys = keys_of_node(r, node);
    for (uint32_t i = 0; i < keys.len; i++) {
        if (table_get(r, TABLE_SESSIONS, LIST_AT(keys, struct str, i), &value)) {
            push(r, sessions, &cap, value);
        }
    }
    return INDEX_MAX(r, "sessions");
}

/* ---- lookups ---- */

/* Calls fn for each check that the session is bound to: Checks, NodeChecks, ServiceChecks. */
typedef bool check_fn(struct store_batch *b, const struct session *session, struct str check,
                      void *argument);
static bool each_check(struct store_batch *b, const struct session *session, check_fn *fn,
                       void *argument) {
    const struct list *lists[2] = {&session->checks, &session->node_checks};
    for (size_t n = 0; n < COUNT_OF(lists); n++) {
        for (uint32_t i = 0; i < lists[n]->len; i++) {
            if (!fn(b, session, LIST_AT(*lists[n], struct str, i), argument))
                return false;
        }
    }
    for (uint32_t i = 0; i < session->service_checks.len; i++) {
        struct str id = LIST_AT(session->service_checks, struct service_check, i).id;
        if (!fn(b, session, id, argument))
            return false;
    }
    return true;
}

static bool check_link(struct store_batch *b, const struct session *session, struct str check,
                       void *argument) {
    const struct str *key = argument;
    lookup_put(b, TABLE_SESSION_CHECKS,
               KEY(b->read.arena, K_LOWER(session->node), K_LOWER(check), K_BARE(*key)), *key);
    return true;
}

static bool check_unlink(struct store_batch *b, const struct session *session, struct str check,
                         void *argument) {
    const struct str *key = argument;
    lookup_delete(b, TABLE_SESSION_CHECKS,
                  KEY(b->read.arena, K_LOWER(session->node), K_LOWER(check), K_BARE(*key)));
    return true;
}

static void session_touch(struct store_batch *b, struct str key, const struct session *session) {
    touch_record(b, "sessions", key);
    touch(b, WATCH_NODE_SESSIONS, session->node);
}

static void session_unstore(struct store_batch *b, struct str key, struct session *session) {
    each_check(b, session, check_unlink, &key);
    lookup_delete(b, TABLE_SESSIONS_NODE, KEY(b->read.arena, K_LOWER(session->node), K_BARE(key)));
    table_delete(b, TABLE_SESSIONS, key);
    session_touch(b, key, session);
}

void session_store(struct store_batch *b, struct str key, struct session *session) {
    struct session old;
    if (record_get(&b->read, TABLE_SESSIONS, key, &session_shape, &old)) {
        session_unstore(b, key, &old);
    }
    record_put(b, TABLE_SESSIONS, key, &session_shape, session);
    lookup_put(b, TABLE_SESSIONS_NODE, KEY(b->read.arena, K_LOWER(session->node), K_BARE(key)),
               key);
    each_check(b, session, check_link, &key);
    session_touch(b, key, session);
}

/* ---- creating ---- */

static bool check_usable(struct store_batch *b, const struct session *session, struct str id,
                         void *argument) {
    struct error *e = argument;
    struct health_check check;
    struct str key = KEY(b->read.arena, K_LOWER(session->node), K_LOWER(id));
    if (!record_get(&b->read, TABLE_CHECKS, key, &health_check_shape, &check)) {
        return error_set(e, ERROR_INTERNAL, "Missing check '%.*s' registration", STR_ARG(id));
    }
    if (str_is(check.status, "critical")) {
        return error_set(e, ERROR_INTERNAL, "Check '%.*s' is in critical state", STR_ARG(id));
    }
    return true;
}

static bool session_create(struct store_batch *b, struct session *session, struct error *e) {
    struct str key;
    if (session->id.len == 0)
        return error_set(e, ERROR_INTERNAL, "Missing session ID");
    if (session->behavior.len == 0) {
        session->behavior = STR("release");
    } else if (!str_is(session->behavior, "release") && !str_is(session->behavior, "delete")) {
        return error_set(e, ERROR_INTERNAL, "Invalid session behavior: %.*s",
                         STR_ARG(session->behavior));
    }
    if (!table_has(&b->read, TABLE_NODES, KEY(b->read.arena, K_LOWER(session->node)))) {
        return error_set(e, ERROR_INTERNAL, "Missing node registration");
    }
    if (!each_check(b, session, check_usable, e))
        return false;
    if (!uuid_key(b->read.arena, session->id, &key, e)) {
        return error_prefix(e, "failed inserting session: ");
    }
    session->create_index = session->modify_index = b->index;
    session_store(b, key, session);
    index_bump(b, STR("sessions"));
    return true;
}

/* ---- ending ---- */

void session_destroy(struct store_batch *b, struct str id) {
    struct session session;
    if (!record_get(&b->read, TABLE_SESSIONS, id, &session_shape, &session))
        return;
    session_unstore(b, id, &session);
    index_bump(b, STR("sessions"));
    kv_session_ended(b, id, &session);
    query_session_ended(b, id);
}

static void destroy_all(struct store_batch *b, struct list ids) {
    for (uint32_t i = 0; i < ids.len; i++)
        session_destroy(b, LIST_AT(ids, struct str, i));
}

void session_destroy_of_check(struct store_batch *b, struct str node, struct str check_id) {
    struct str prefix = KEY(b->read.arena, K_LOWER(node), K_LOWER(check_id));
    destroy_all(b, lookup_keys(&b->read, TABLE_SESSION_CHECKS, prefix));
}

void session_destroy_of_node(struct store_batch *b, struct str node) {
    destroy_all(b, keys_of_node(&b->read, node));
}

bool session_remove_record(struct store_batch *b, struct str id, struct error *e) {
    struct str key;
    struct session session;
    if (!uuid_key(b->read.arena, id, &key, e))
        return error_prefix(e, "index error: ");
    if (!record_get(&b->read, TABLE_SESSIONS, key, &session_shape, &session))
        return true;
    session_unstore(b, key, &session);
    index_bump(b, STR("sessions"));
    return true;
}

void apply_session(struct store_batch *b, void *request, struct store_result *result) {
    struct session_request *r = request;
    struct error e = ERROR_IN(b->read.arena);
    struct str key;
    if (str_is(r->op, "create")) {
        if (!session_create(b, &r->session, &e)) {
            apply_fail(b, result, &e);
            return;
        }
        *result = (struct store_result){.kind = STORE_RESULT_STR,
                                        .string = str_copy(&b->results, r->session.id)};
    } else if (str_is(r->op, "destroy")) {
        if (uuid_key(b->read.arena, r->session.id, &key, &e)) {
            session_destroy(b, key);
        } else {
            error_prefix(&e, BAD_ID);
            apply_fail(b, result, &e);
        }
    } else {
        apply_refuse(b, result, "Invalid Session operation '%.*s'", STR_ARG(r->op));
    }
}

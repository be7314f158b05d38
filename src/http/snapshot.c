/* /v1/snapshot: http-core.md 11.11. Archives are files, not values: they go out and come in as they
 * are.
 */
#include "http/authorize.h"
#include "http/room.h"

static void work_error(struct http_request *r, struct snapshot_call *c) {
    struct error e = ERROR_IN(&r->arena);
    error_copy(&e, &c->error);
    arena_free(&c->arena);
    http_answer_error(r, &e);
}

static void saved(struct snapshot_call *c) {
    struct http_request *r = c->owner;
    if (c->error.kind != ERROR_NONE) {
        work_error(r, c);
        return;
    }
    http_set_meta(r, &c->meta);
    arena_free(&c->arena);
    http_answer_file(r, 200, "application/x-gzip", c->result);
}

static void restored(struct snapshot_call *c) {
    struct http_request *r = c->owner;
    if (c->error.kind != ERROR_NONE) {
        work_error(r, c);
        return;
    }
    arena_free(&c->arena);
    http_answer_empty(r, 200);
}

static struct snapshot_call *new_work(struct http_request *r) {
    struct snapshot_call *c = ARENA_NEW(&r->arena, struct snapshot_call);
    c->datacenter = http_datacenter(r);
    c->token = http_token(r);
    c->allow_stale = http_has_param(r, "stale");
    c->archive = -1;
    c->owner = r;
    return c;
}

static void restore_body(struct http_request *r) {
    struct snapshot_call *c = new_work(r);
    c->archive = r->body_file;
    c->done = restored;
    server_snapshot_restore(r->server, c);
}

/* ---- before an archive is read ----
 *
 * The server that restores asks for itself; but who may not would have filled our disk by then. */

static void restore_refused(struct http_request *r) {
    r->close_after = true;
    http_deny(r, NULL);
}

static void restore_authorized(struct http_request *r) {
    const struct authorizer *may = http_may(r);
    if (may != NULL && !authorizer_may_snapshot(may))
        restore_refused(r);
    else
        http_read_body_file(r, restore_body);
}

static void restore_asked(struct http_request *r, struct answer *a) {
    const struct list *answers = a->reply;
    if (answers->len == 1 && !LIST_AT(*answers, struct acl_authorization_response, 0).allow)
        restore_refused(r);
    else
        http_read_body_file(r, restore_body);
}

/* Another datacenter without access control, or with servers that cannot be asked so: it will tell
 * when it restores. */
static void restore_not_asked(struct http_request *r, struct answer *a) {
    r->call_failed = NULL;
    if (str_find(a->error.text, STR("ACL not found"), 0) >= 0) {
        struct error e = ERROR_IN(&r->arena);
        error_set(&e, a->error.kind, "ACL not found"); /* without who asked whom */
        r->close_after = true;
        http_answer_error(r, &e);
        return;
    }
    http_read_body_file(r, restore_body);
}

/* Its tokens may be its own. What restores may do whatever `acl = "write"` may (acl.md 9). */
static void restore_ask(struct http_request *r, struct str datacenter) {
    struct acl_remote_authorization_request *q =
        ARENA_NEW(&r->arena, struct acl_remote_authorization_request);
    q->datacenter = datacenter;
    q->options.token = http_token(r);
    q->requests = LIST_NEW(&r->arena, struct acl_authorization_request, 1);
    LIST_AT(q->requests, struct acl_authorization_request, 0) = (struct acl_authorization_request){
        .access = STR("write"), .resource = STR("acl"), .segment = STR("")};
    r->call_failed = restore_not_asked;
    http_call(r, &endpoint_acl_authorize, q, restore_asked);
}

static void snapshot(struct http_request *r) {
    if (http_method_is(r, "PUT")) {
        struct str dc = http_datacenter(r);
        if (dc.len == 0 || str_eq(dc, r->config->datacenter))
            http_authorize_for_servers(r, restore_authorized);
        else
            restore_ask(r, dc);
        return;
    }
    struct snapshot_call *c = new_work(r);
    c->done = saved;
    server_snapshot_save(r->server, c);
}

const struct http_route http_routes_snapshot[] = {
    {"/v1/snapshot", "GET,PUT", snapshot, 0},
    {NULL, NULL, NULL, 0},
};

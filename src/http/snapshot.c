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

/* The server that restores asks for itself; but who may not would have filled our disk by then. */
static void restore_authorized(struct http_request *r) {
    const struct authorizer *may = http_may(r);
    if (may != NULL && !authorizer_may_snapshot(may)) {
        r->close_after = true;
        http_deny(r, NULL);
        return;
    }
    http_read_body_file(r, restore_body);
}

static void snapshot(struct http_request *r) {
    if (http_method_is(r, "PUT")) {
        struct str dc = http_datacenter(r);
        if (dc.len == 0 || str_eq(dc, r->config->datacenter))
            http_authorize_for_servers(r, restore_authorized);
        else /* whose tokens may be its own */
            http_read_body_file(r, restore_body);
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

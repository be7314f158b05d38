/* The old system's part of /v1/acl (acl.md 11): create, update, destroy, info, clone, list. They
 * act in the primary datacenter.
 */
#include "http/acl.h"

/* ---- writes ---- */

static void answer_id(struct http_request *r, struct answer *a) {
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    json_key(w, STR("ID"));
    json_str(w, *(const struct str *)a->reply);
    json_close_object(w);
    http_answer_json_written(r, 200);
}

static struct legacy_acl_request *new_write(struct http_request *r, const char *op) {
    struct legacy_acl_request *q = ARENA_NEW(&r->arena, struct legacy_acl_request);
    q->datacenter = acl_primary(r);
    q->op = str_from(op);
    q->acl.type = STR("client");
    q->write.token = http_token(r);
    return q;
}

static void set(struct http_request *r, bool update) {
    struct legacy_acl_request *q = new_write(r, "set");
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = "structs.ACL"};
    if (r->content_length > 0 &&
        !http_body_from_json(r, &legacy_acl_shape, &q->acl, &options, &e)) {
        http_answer_format(r, 400, "Request decode failed: " STR_FMT, STR_ARG(e.text));
        return;
    }
    if (update && q->acl.id.len == 0) {
        http_answer_text(r, 400, STR("ACL ID must be set"));
        return;
    }
    http_call(r, &endpoint_acl_apply, q, answer_id);
}

static void create_body(struct http_request *r) {
    set(r, false);
}

static void update_body(struct http_request *r) {
    set(r, true);
}

/* Bodies in chunks are not looked at, as the peer does. */
static void read_set(struct http_request *r, void (*done)(struct http_request *r)) {
    if (!acl_enabled(r))
        return;
    if (r->content_length > 0)
        http_read_body(r, 0, done);
    else
        done(r);
}

static void create(struct http_request *r) {
    read_set(r, create_body);
}

static void update(struct http_request *r) {
    read_set(r, update_body);
}

static void destroy(struct http_request *r) {
    if (!acl_enabled(r) || !http_need_argument(r, "Missing ACL"))
        return;
    struct legacy_acl_request *q = new_write(r, "delete");
    q->acl = (struct legacy_acl){.id = r->argument};
    http_call(r, &endpoint_acl_apply, q, acl_answer_true);
}

/* ---- reads ---- */

static void write_acls(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct indexed_acls *out = reply;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < out->acls.len; i++)
        schema_write_json(w, &legacy_acl_shape, LIST_AT(out->acls, struct legacy_acl *, i));
    json_close_array(w);
}

/* NULL: answered. */
static struct acl_specific_request *question(struct http_request *r) {
    struct acl_specific_request *q = ARENA_NEW(&r->arena, struct acl_specific_request);
    if (!acl_enabled(r) || !http_read_options(r, &q->options) ||
        !http_need_argument(r, "Missing ACL"))
        return NULL;
    q->options.filter = STR("");
    q->datacenter = acl_primary(r);
    q->acl = r->argument;
    return q;
}

static void info(struct http_request *r) {
    struct acl_specific_request *q = question(r);
    if (q != NULL)
        http_call_json(r, &endpoint_acl_get, q, 0, write_acls);
}

static void list(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    if (!acl_enabled(r) || !http_read_options(r, &q->options))
        return;
    q->options.filter = STR("");
    q->datacenter = acl_primary(r);
    http_call_json(r, &endpoint_acl_list, q, 0, write_acls);
}

/* ---- clone: a read, then a write ---- */

static void clone_got(struct http_request *r, struct answer *a) {
    const struct indexed_acls *reply = a->reply;
    struct error e = ERROR_IN(&r->arena);
    http_set_meta(r, &a->meta);
    if (reply->acls.len == 0) {
        error_set(&e, ERROR_DENIED, "Permission denied");
        http_answer_error(r, &e);
        return;
    }
    struct legacy_acl_request *q = new_write(r, "set");
    schema_copy(&legacy_acl_shape, &q->acl, LIST_AT(reply->acls, struct legacy_acl *, 0),
                &r->arena);
    q->acl.id = STR("");
    http_call(r, &endpoint_acl_apply, q, answer_id);
}

static void acl_clone(struct http_request *r) {
    struct acl_specific_request *q = question(r);
    if (q != NULL)
        http_call(r, &endpoint_acl_get, q, clone_got);
}

const struct http_route http_routes_acl_legacy[] = {
    {"/v1/acl/create", "PUT", create, 0},
    {"/v1/acl/update", "PUT", update, 0},
    {"/v1/acl/destroy/", "PUT", destroy, 0},
    {"/v1/acl/info/", "GET", info, ROUTE_META},
    {"/v1/acl/clone/", "PUT", acl_clone, 0},
    {"/v1/acl/list", "GET", list, ROUTE_META},
    {NULL, NULL, NULL, 0},
};

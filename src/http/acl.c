/* What the handlers of /v1/acl share, and its routes that are about no object: bootstrap, login and
 * logout, what a token may do, replication (acl.md 10, 13, 15).
 */
#include "http/acl.h"

#include <stdarg.h>

#include "http/authorize.h"
#include "schema/table.h"
#include "server/acl_question.h"

#define AUTHORIZE_MAX 64 /* questions at once */

/* ---- shared ---- */

bool acl_enabled(struct http_request *r) {
    if (r->server != NULL && server_options(r->server)->acl.enabled)
        return true;
    http_answer_text(r, 401, STR("ACL support disabled"));
    return false;
}

struct str acl_primary(const struct http_request *r) {
    return server_options(r->server)->acl.primary_datacenter;
}

bool acl_bad_request(struct http_request *r, const char *format, ...) {
    struct error e = ERROR_IN(&r->arena);
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(&r->arena, format, args);
    va_end(args);
    error_set(&e, ERROR_BAD_REQUEST, "Bad request: " STR_FMT, STR_ARG(text));
    http_answer_error(r, &e);
    return false;
}

void acl_not_found(struct http_request *r) {
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, ERROR_DENIED, "ACL not found");
    http_answer_error(r, &e);
}

bool acl_body(struct http_request *r, const char *what, const struct shape *shape, void *object,
              const char *go_type) {
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = go_type};
    if (http_body_from_json(r, shape, object, &options, &e))
        return true;
    bool namespace = str_is(e.text, "json: unknown field \"Namespace\"");
    return acl_bad_request(r, "%s: " STR_FMT "%s", what, STR_ARG(e.text),
                           namespace ? " - Namespaces are a Consul Enterprise feature" : "");
}

bool acl_body_type(struct http_request *r, const char *what, const struct type *type, void *object,
                   const char *go_type) {
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = go_type};
    struct value tree;
    if (json_parse(r->body, &tree, NULL, &r->arena, &e) &&
        schema_from_json_type(&tree, type, object, &options, &r->arena, &e))
        return true;
    return acl_bad_request(r, "%s: " STR_FMT, what, STR_ARG(e.text));
}

bool acl_need_argument(struct http_request *r, const char *text) {
    return r->argument.len > 0 || acl_bad_request(r, "%s", text);
}

bool acl_same_id(struct http_request *r, struct str *id, const char *text) {
    if (id->len > 0 && !str_eq(*id, r->argument))
        return acl_bad_request(r, "%s", text);
    *id = r->argument;
    return true;
}

bool acl_read_begin(struct http_request *r, struct query_options *options, struct str *datacenter) {
    return acl_read_anywhere(r, options, datacenter) && http_check_namespace(r);
}

bool acl_read_anywhere(struct http_request *r, struct query_options *options,
                       struct str *datacenter) {
    if (!http_read_options(r, options))
        return false;
    options->filter = STR("");
    *datacenter = http_datacenter(r);
    return true;
}

bool acl_write_begin(struct http_request *r) {
    return http_check_namespace(r);
}

void acl_answer_true(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_bool(r, true);
}

void acl_answer_object(struct http_request *r, struct answer *a) {
    http_answer_json(r, 200, r->call.endpoint->reply, a->reply);
}

/* ---- bootstrap ---- */

/* The answer: the secret once more in front, as it was called in the old system. */
struct bootstrap_body {
    struct str id;
    struct acl_token token;
};

#define OF struct bootstrap_body
static const struct field bootstrap_body_fields[] = {
    F_STR("ID", id),
    F_FLAT(token, acl_token),
};
#undef OF
SHAPE(bootstrap_body, "aclBootstrapResponse");

static void bootstrapped(struct http_request *r, struct answer *a) {
    struct bootstrap_body body = {0};
    if (r->call.endpoint == &endpoint_acl_bootstrap) {
        body.id = ((const struct legacy_acl *)a->reply)->id;
    } else {
        body.token = *(const struct acl_token *)a->reply;
        body.id = body.token.secret_id;
    }
    http_answer_json(r, 200, &bootstrap_body_shape, &body);
}

/* That it was done before is a matter of rights. */
static void bootstrap_failed(struct http_request *r, struct answer *a) {
    struct error e = ERROR_IN(&r->arena);
    error_copy(&e, &a->error);
    if (str_find(e.text, STR("ACL bootstrap no longer allowed"), 0) >= 0)
        error_prefix(&e, "Permission denied: ");
    http_answer_error(r, &e);
}

static void bootstrap(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    if (!acl_enabled(r))
        return;
    bool legacy = http_has_param(r, "legacy") && server_acl_is_legacy(r->server);
    r->call_failed = bootstrap_failed;
    http_call(r, legacy ? &endpoint_acl_bootstrap : &endpoint_acl_bootstrap_tokens, q,
              bootstrapped);
}

/* ---- login, logout ---- */

static void login_body(struct http_request *r) {
    struct acl_login_request *q = ARENA_NEW(&r->arena, struct acl_login_request);
    q->auth = ARENA_NEW(&r->arena, struct acl_login_params);
    if (!acl_body(r, "Failed to decode request body", &acl_login_params_shape, q->auth,
                  "structs.ACLLoginParams"))
        return;
    struct str rest = str_trim(r->body);
    if (str_has_prefix(rest, STR("null")))
        q->auth = NULL;
    q->datacenter = http_datacenter(r);
    http_call(r, &endpoint_acl_login, q, acl_answer_object);
}

static void login(struct http_request *r) {
    if (acl_enabled(r) && http_check_namespace(r))
        http_read_body(r, 0, login_body);
}

static void logout(struct http_request *r) {
    struct acl_logout_request *q = ARENA_NEW(&r->arena, struct acl_logout_request);
    if (!acl_enabled(r))
        return;
    q->datacenter = http_datacenter(r);
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_logout, q, acl_answer_true);
}

/* ---- what a token may do ---- */

static void authorized(struct http_request *r, struct answer *a) {
    http_answer_json_type(r, 200, &acl_authorization_responses_type, a->reply);
}

static void authorize_here(struct http_request *r) {
    const struct acl_remote_authorization_request *q = r->state;
    struct error e = ERROR_IN(&r->arena);
    struct list answers;
    if (acl_questions_answer(http_may(r), &q->requests, &r->arena, &answers, &e))
        http_answer_json_type(r, 200, &acl_authorization_responses_type, &answers);
    else
        acl_bad_request(r, STR_FMT, STR_ARG(e.text));
}

static void authorize_body(struct http_request *r) {
    struct acl_remote_authorization_request *q =
        ARENA_NEW(&r->arena, struct acl_remote_authorization_request);
    if (!acl_body_type(r, "Failed to decode request body", &acl_authorization_requests_type,
                       &q->requests, "[]structs.ACLAuthorizationRequest"))
        return;
    if (q->requests.len > AUTHORIZE_MAX) {
        acl_bad_request(r, "Refusing to process more than %d authorizations at once",
                        AUTHORIZE_MAX);
        return;
    }
    if (q->requests.len == 0) {
        http_answer_json_type(r, 200, &acl_authorization_responses_type, &LIST_EMPTY);
        return;
    }
    q->datacenter = http_datacenter(r);
    r->state = q;
    if (q->datacenter.len == 0 || str_eq(q->datacenter, r->config->datacenter))
        http_authorize(r, authorize_here);
    else if (http_read_options(r, &q->options))
        http_call(r, &endpoint_acl_authorize, q, authorized);
}

static void authorize(struct http_request *r) {
    if (acl_enabled(r))
        http_read_body(r, 0, authorize_body);
}

/* ---- replication ---- */

static void replication(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    if (!acl_enabled(r) || !http_read_options(r, &q->options))
        return;
    q->datacenter = http_datacenter(r);
    http_call(r, &endpoint_acl_replication_status, q, acl_answer_object);
}

const struct http_route http_routes_acl[] = {
    {"/v1/acl/bootstrap", "PUT", bootstrap, 0},
    {"/v1/acl/login", "POST", login, 0},
    {"/v1/acl/logout", "POST", logout, 0},
    {"/v1/acl/replication", "GET", replication, 0},
    {"/v1/internal/acl/authorize", "POST", authorize, 0},
    {NULL, NULL, NULL, 0},
};

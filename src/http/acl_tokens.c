/* /v1/acl/token and tokens (acl.md 10.1). */
#include "http/acl.h"
#include "schema/table.h"

/* Roles are linked as policies are, but are told by another name in error texts. */
#define OF struct acl_link
static const struct field role_link_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
};
#undef OF
SHAPE_OVER(role_link, acl_link, "ACLTokenRoleLink");

/* The body of a write: a token whose hash, as it is computed anew, may be any text. */
#define OF struct acl_token
static const struct field token_body_fields[] = {
    F_STR("AccessorID", accessor_id),
    F_STR("SecretID", secret_id),
    F_STR("Description", description),
    F_LIST("Policies", policies, OF_STRUCT(acl_link)),
    F_LIST("Roles", roles, OF_STRUCT(role_link), .go = "[]structs.ACLTokenRoleLink"),
    F_LIST("ServiceIdentities", service_identities, OF_PTR(service_identity)),
    F_LIST("NodeIdentities", node_identities, OF_PTR(node_identity)),
    F_STR("Rules", rules),
    F_BOOL("Local", local),
    F_STR("AuthMethod", auth_method),
    F_TIME("ExpirationTime", expiration_time, .flags = FIELD_NULLABLE),
    F_DUR("ExpirationTTL", expiration_ttl, .flags = FIELD_DUR_ANY),
    F_TIME("CreateTime", create_time),
    F_STR("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE_OVER(token_body, acl_token, "", .flags = SHAPE_OWN_JSON);

/* ---- reads ---- */

static void write_token(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    schema_write_json(w, &acl_token_shape, ((const struct acl_token_response *)reply)->token);
}

static void got_token(struct http_request *r, struct answer *a) {
    http_set_meta(r, &a->meta);
    if (((const struct acl_token_response *)a->reply)->token != NULL)
        http_answer_shared(r, a, 200, write_token);
    else
        acl_not_found(r);
}

static void token_get(struct http_request *r, bool self) {
    struct acl_token_get_request *q = ARENA_NEW(&r->arena, struct acl_token_get_request);
    if (!(self ? acl_read_anywhere : acl_read_begin)(r, &q->options, &q->datacenter))
        return;
    q->token_id = self ? q->options.token : r->argument;
    q->token_id_type = self ? STR("secret") : STR("accessor");
    http_call(r, &endpoint_acl_token_read, q, got_token);
}

static void token_self(struct http_request *r) {
    if (acl_enabled(r))
        token_get(r, true);
}

static void write_tokens(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct acl_token_list_response *out = reply;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < out->tokens.len; i++)
        schema_write_json(w, &acl_token_list_stub_shape,
                          LIST_AT(out->tokens, struct acl_token_list_stub *, i));
    json_close_array(w);
}

static void tokens(struct http_request *r) {
    struct acl_token_list_request *q = ARENA_NEW(&r->arena, struct acl_token_list_request);
    if (!acl_enabled(r) || !acl_read_begin(r, &q->options, &q->datacenter))
        return;
    q->include_local = q->include_global = true;
    q->policy = http_param(r, "policy");
    q->role = http_param(r, "role");
    q->auth_method = http_param(r, "authmethod");
    http_call_json(r, &endpoint_acl_token_list, q, 0, write_tokens);
}

/* ---- writes ---- */

static bool read_token(struct http_request *r, struct acl_token *token) {
    if (!acl_body(r, "Token decoding failed", &token_body_shape, token,
                  "struct { ExpirationTTL interface {}; Hash string; *structs.Alias }"))
        return false;
    token->hash = STR_NONE;
    return true;
}

static struct acl_token_set_request *new_set(struct http_request *r, bool create) {
    struct acl_token_set_request *q = ARENA_NEW(&r->arena, struct acl_token_set_request);
    q->create = create;
    q->write.token = http_token(r);
    return q;
}

static void create_body(struct http_request *r) {
    struct acl_token_set_request *q = new_set(r, true);
    if (read_token(r, &q->acl_token))
        http_call(r, &endpoint_acl_token_set, q, acl_answer_object);
}

static void token_create(struct http_request *r) {
    if (acl_enabled(r) && acl_write_begin(r))
        http_read_body(r, 0, create_body);
}

static void update_body(struct http_request *r) {
    struct acl_token_set_request *q = new_set(r, false);
    if (read_token(r, &q->acl_token) &&
        acl_same_id(r, &q->acl_token.accessor_id,
                    "Token Accessor ID in URL and payload do not match"))
        http_call(r, &endpoint_acl_token_set, q, acl_answer_object);
}

static void clone_body(struct http_request *r) {
    struct acl_token_set_request *q = new_set(r, false);
    if (!read_token(r, &q->acl_token))
        return;
    q->acl_token.accessor_id = r->argument;
    http_call(r, &endpoint_acl_token_clone, q, acl_answer_object);
}

static void token_delete(struct http_request *r) {
    struct acl_token_delete_request *q = ARENA_NEW(&r->arena, struct acl_token_delete_request);
    if (!acl_write_begin(r))
        return;
    q->token_id = r->argument;
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_token_delete, q, acl_answer_true);
}

static void token(struct http_request *r) {
    if (!acl_enabled(r))
        return;
    bool put = http_method_is(r, "PUT");
    if (put && str_has_suffix(r->argument, STR("/clone"))) {
        r->argument = str_sub(r->argument, 0, r->argument.len - strlen("/clone"));
        if (acl_write_begin(r))
            http_read_body(r, 0, clone_body);
    } else if (put) {
        if (acl_write_begin(r))
            http_read_body(r, 0, update_body);
    } else if (!acl_need_argument(r, "Missing token ID")) {
        return;
    } else if (http_method_is(r, "GET")) {
        token_get(r, false);
    } else {
        token_delete(r);
    }
}

const struct http_route http_routes_acl_tokens[] = {
    {"/v1/acl/token", "PUT", token_create, 0},
    {"/v1/acl/token/", "GET,PUT,DELETE", token, ROUTE_META},
    {"/v1/acl/token/self", "GET", token_self, ROUTE_META},
    {"/v1/acl/tokens", "GET", tokens, ROUTE_META},
    {NULL, NULL, NULL, 0},
};

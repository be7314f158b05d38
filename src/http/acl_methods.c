/* /v1/acl/auth-method and auth-methods, binding-rule and binding-rules (acl.md 10.4, 10.5). */
#include "http/acl.h"
#include "schema/table.h"

/* The body of a write; error texts name it otherwise than the record. */
#define OF struct acl_auth_method
static const struct field method_body_fields[] = {
    F_DUR("MaxTokenTTL", max_token_ttl, .flags = FIELD_DUR_ANY),
    F_STR("Name", name),
    F_STR("Type", type),
    F_STR("DisplayName", display_name),
    F_STR("Description", description),
    F_STR("TokenLocality", token_locality),
    F_ANY("Config", config, .flags = FIELD_MAP_ONLY),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE_OVER(method_body, acl_auth_method, "", .flags = SHAPE_OWN_JSON);

/* ---- auth methods ---- */

static void write_method(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    schema_write_json(w, &acl_auth_method_shape,
                      ((const struct acl_auth_method_response *)reply)->auth_method);
}

/* One that is not there says nothing of indexes. */
static void got_method(struct http_request *r, struct answer *a) {
    if (((const struct acl_auth_method_response *)a->reply)->auth_method == NULL) {
        http_answer_empty(r, 404);
        return;
    }
    http_set_meta(r, &a->meta);
    http_answer_shared(r, a, 200, write_method);
}

static void method_get(struct http_request *r) {
    struct acl_auth_method_get_request *q =
        ARENA_NEW(&r->arena, struct acl_auth_method_get_request);
    if (!acl_read_begin(r, &q->options, &q->datacenter))
        return;
    q->auth_method_name = r->argument;
    http_call(r, &endpoint_acl_auth_method_read, q, got_method);
}

static void write_methods(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct acl_auth_method_list_response *out = reply;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < out->auth_methods.len; i++)
        schema_write_json(w, &acl_auth_method_list_stub_shape,
                          LIST_AT(out->auth_methods, struct acl_auth_method_list_stub *, i));
    json_close_array(w);
}

static void methods(struct http_request *r) {
    struct acl_auth_method_list_request *q =
        ARENA_NEW(&r->arena, struct acl_auth_method_list_request);
    if (acl_enabled(r) && acl_read_begin(r, &q->options, &q->datacenter))
        http_call_json(r, &endpoint_acl_auth_method_list, q, 0, write_methods);
}

/* route: with a name in the path, which counts if the body has none. */
static void method_put(struct http_request *r) {
    struct acl_auth_method_set_request *q =
        ARENA_NEW(&r->arena, struct acl_auth_method_set_request);
    bool named = r->argument.len > 0;
    if (!acl_body(r, "AuthMethod decoding failed", &method_body_shape, &q->auth_method,
                  "struct { MaxTokenTTL interface {}; *structs.Alias }") ||
        (named &&
         !acl_same_id(r, &q->auth_method.name, "AuthMethod Name in URL and payload do not match")))
        return;
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_auth_method_set, q, acl_answer_object);
}

static void method_delete(struct http_request *r) {
    struct acl_auth_method_delete_request *q =
        ARENA_NEW(&r->arena, struct acl_auth_method_delete_request);
    if (!acl_write_begin(r))
        return;
    q->auth_method_name = r->argument;
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_auth_method_delete, q, acl_answer_true);
}

static void method(struct http_request *r) {
    if (!acl_enabled(r))
        return;
    if (http_method_is(r, "PUT")) {
        if (acl_write_begin(r))
            http_read_body(r, 0, method_put);
    } else if (!acl_need_argument(r, "Missing auth method name")) {
        return;
    } else if (http_method_is(r, "GET")) {
        method_get(r);
    } else {
        method_delete(r);
    }
}

/* ---- binding rules ---- */

static void write_rule(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    schema_write_json(w, &acl_binding_rule_shape,
                      ((const struct acl_binding_rule_response *)reply)->binding_rule);
}

static void got_rule(struct http_request *r, struct answer *a) {
    if (((const struct acl_binding_rule_response *)a->reply)->binding_rule == NULL) {
        http_answer_empty(r, 404);
        return;
    }
    http_set_meta(r, &a->meta);
    http_answer_shared(r, a, 200, write_rule);
}

static void rule_get(struct http_request *r) {
    struct acl_binding_rule_get_request *q =
        ARENA_NEW(&r->arena, struct acl_binding_rule_get_request);
    if (!acl_read_begin(r, &q->options, &q->datacenter))
        return;
    q->binding_rule_id = r->argument;
    http_call(r, &endpoint_acl_binding_rule_read, q, got_rule);
}

static void write_rules(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct acl_binding_rule_list_response *out = reply;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < out->binding_rules.len; i++)
        schema_write_json(w, &acl_binding_rule_shape,
                          LIST_AT(out->binding_rules, struct acl_binding_rule *, i));
    json_close_array(w);
}

static void rules(struct http_request *r) {
    struct acl_binding_rule_list_request *q =
        ARENA_NEW(&r->arena, struct acl_binding_rule_list_request);
    if (!acl_enabled(r) || !acl_read_begin(r, &q->options, &q->datacenter))
        return;
    q->auth_method = http_param(r, "authmethod");
    http_call_json(r, &endpoint_acl_binding_rule_list, q, 0, write_rules);
}

/* The path of a creation names none. */
static void rule_put(struct http_request *r) {
    struct acl_binding_rule_set_request *q =
        ARENA_NEW(&r->arena, struct acl_binding_rule_set_request);
    if (!acl_body(r, "BindingRule decoding failed", &acl_binding_rule_shape, &q->binding_rule,
                  "structs.ACLBindingRule") ||
        !acl_same_id(r, &q->binding_rule.id, "BindingRule ID in URL and payload do not match"))
        return;
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_binding_rule_set, q, acl_answer_object);
}

static void rule_delete(struct http_request *r) {
    struct acl_binding_rule_delete_request *q =
        ARENA_NEW(&r->arena, struct acl_binding_rule_delete_request);
    if (!acl_write_begin(r))
        return;
    q->binding_rule_id = r->argument;
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_binding_rule_delete, q, acl_answer_true);
}

static void rule(struct http_request *r) {
    if (!acl_enabled(r))
        return;
    if (http_method_is(r, "PUT")) {
        if (acl_write_begin(r))
            http_read_body(r, 0, rule_put);
    } else if (!acl_need_argument(r, "Missing binding rule ID")) {
        return;
    } else if (http_method_is(r, "GET")) {
        rule_get(r);
    } else {
        rule_delete(r);
    }
}

const struct http_route http_routes_acl_methods[] = {
    {"/v1/acl/auth-method", "PUT", method, 0},
    {"/v1/acl/auth-method/", "GET,PUT,DELETE", method, ROUTE_META},
    {"/v1/acl/auth-methods", "GET", methods, ROUTE_META},
    {"/v1/acl/binding-rule", "PUT", rule, 0},
    {"/v1/acl/binding-rule/", "GET,PUT,DELETE", rule, ROUTE_META},
    {"/v1/acl/binding-rules", "GET", rules, ROUTE_META},
    {NULL, NULL, NULL, 0},
};

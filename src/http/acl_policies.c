/* /v1/acl/policy and policies, role and roles (acl.md 10.2, 10.3). */
#include "http/acl.h"
#include "schema/table.h"

#define BODY_GO_TYPE "struct { Hash string; *structs.Alias }"

/* Bodies of writes: hashes, as they are computed anew, may be any text. */
#define OF struct acl_policy
static const struct field policy_body_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Description", description),
    F_STR("Rules", rules),
    F_LIST("Datacenters", datacenters, OF_STR),
    F_STR("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE_OVER(policy_body, acl_policy, "");

/* Links of a role are told by another name than those of a token. */
#define OF struct acl_link
static const struct field role_policy_link_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
};
#undef OF
SHAPE_OVER(role_policy_link, acl_link, "ACLRolePolicyLink");

#define OF struct acl_role
static const struct field role_body_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Description", description),
    F_LIST("Policies", policies, OF_STRUCT(role_policy_link)),
    F_LIST("ServiceIdentities", service_identities, OF_PTR(service_identity)),
    F_LIST("NodeIdentities", node_identities, OF_PTR(node_identity)),
    F_STR("Hash", hash),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE_OVER(role_body, acl_role, "");

/* ---- policies: reads ---- */

static void write_policy(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    schema_write_json(w, &acl_policy_shape, ((const struct acl_policy_response *)reply)->policy);
}

static void got_policy(struct http_request *r, struct answer *a) {
    http_set_meta(r, &a->meta);
    if (((const struct acl_policy_response *)a->reply)->policy != NULL)
        http_answer_shared(r, a, 200, write_policy);
    else
        acl_not_found(r);
}

static void policy_get(struct http_request *r, bool by_name) {
    struct acl_policy_get_request *q = ARENA_NEW(&r->arena, struct acl_policy_get_request);
    if (!acl_read_begin(r, &q->options, &q->datacenter))
        return;
    *(by_name ? &q->policy_name : &q->policy_id) = r->argument;
    http_call(r, &endpoint_acl_policy_read, q, got_policy);
}

static void policy_by_name(struct http_request *r) {
    if (acl_enabled(r) && acl_need_argument(r, "Missing policy Name"))
        policy_get(r, true);
}

static void write_policies(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct acl_policy_list_response *out = reply;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < out->policies.len; i++)
        schema_write_json(w, &acl_policy_list_stub_shape,
                          LIST_AT(out->policies, struct acl_policy_list_stub *, i));
    json_close_array(w);
}

static void policies(struct http_request *r) {
    struct acl_policy_list_request *q = ARENA_NEW(&r->arena, struct acl_policy_list_request);
    if (acl_enabled(r) && acl_read_begin(r, &q->options, &q->datacenter))
        http_call_json(r, &endpoint_acl_policy_list, q, 0, write_policies);
}

/* ---- policies: writes ---- */

static struct acl_policy_set_request *read_policy(struct http_request *r) {
    struct acl_policy_set_request *q = ARENA_NEW(&r->arena, struct acl_policy_set_request);
    if (!acl_body(r, "Policy decoding failed", &policy_body_shape, &q->policy, BODY_GO_TYPE))
        return NULL;
    q->policy.hash = STR_NONE;
    q->write.token = http_token(r);
    return q;
}

static void policy_create_body(struct http_request *r) {
    struct acl_policy_set_request *q = read_policy(r);
    if (q == NULL)
        return;
    if (q->policy.id.len > 0)
        acl_bad_request(r, "Cannot specify the ID when creating a new policy");
    else
        http_call(r, &endpoint_acl_policy_set, q, acl_answer_object);
}

static void policy_create(struct http_request *r) {
    if (acl_enabled(r) && acl_write_begin(r))
        http_read_body(r, 0, policy_create_body);
}

static void policy_update_body(struct http_request *r) {
    struct acl_policy_set_request *q = read_policy(r);
    if (q != NULL && acl_same_id(r, &q->policy.id, "Policy ID in URL and payload do not match"))
        http_call(r, &endpoint_acl_policy_set, q, acl_answer_object);
}

static void policy_delete(struct http_request *r) {
    struct acl_policy_delete_request *q = ARENA_NEW(&r->arena, struct acl_policy_delete_request);
    if (!acl_write_begin(r))
        return;
    q->policy_id = r->argument;
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_policy_delete, q, acl_answer_true);
}

static void policy(struct http_request *r) {
    if (!acl_enabled(r))
        return;
    if (http_method_is(r, "PUT")) {
        if (acl_write_begin(r))
            http_read_body(r, 0, policy_update_body);
    } else if (!acl_need_argument(r, "Missing policy ID")) {
        return;
    } else if (http_method_is(r, "GET")) {
        policy_get(r, false);
    } else {
        policy_delete(r);
    }
}

/* ---- roles: reads ---- */

static void write_role(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    schema_write_json(w, &acl_role_shape, ((const struct acl_role_response *)reply)->role);
}

/* One that is not there says nothing of indexes. */
static void got_role(struct http_request *r, struct answer *a) {
    if (((const struct acl_role_response *)a->reply)->role == NULL) {
        http_answer_empty(r, 404);
        return;
    }
    http_set_meta(r, &a->meta);
    http_answer_shared(r, a, 200, write_role);
}

static void role_get(struct http_request *r, bool by_name) {
    struct acl_role_get_request *q = ARENA_NEW(&r->arena, struct acl_role_get_request);
    if (!acl_read_begin(r, &q->options, &q->datacenter))
        return;
    *(by_name ? &q->role_name : &q->role_id) = r->argument;
    http_call(r, &endpoint_acl_role_read, q, got_role);
}

static void role_by_name(struct http_request *r) {
    if (acl_enabled(r) && acl_need_argument(r, "Missing role Name"))
        role_get(r, true);
}

static void write_roles(struct http_request *r, const void *reply, struct json_writer *w) {
    const struct acl_role_batch_response *out = reply;
    (void)r;
    json_open_array(w);
    for (uint32_t i = 0; i < out->roles.len; i++)
        schema_write_json(w, &acl_role_shape, LIST_AT(out->roles, struct acl_role *, i));
    json_close_array(w);
}

static void roles(struct http_request *r) {
    struct acl_role_list_request *q = ARENA_NEW(&r->arena, struct acl_role_list_request);
    if (!acl_enabled(r) || !acl_read_begin(r, &q->options, &q->datacenter))
        return;
    q->policy = http_param(r, "policy");
    http_call_json(r, &endpoint_acl_role_list, q, 0, write_roles);
}

/* ---- roles: writes ---- */

/* The path of a creation names none. */
static void role_body_done(struct http_request *r) {
    struct acl_role_set_request *q = ARENA_NEW(&r->arena, struct acl_role_set_request);
    if (!acl_body(r, "Role decoding failed", &role_body_shape, &q->role, BODY_GO_TYPE) ||
        !acl_same_id(r, &q->role.id, "Role ID in URL and payload do not match"))
        return;
    q->role.hash = STR_NONE;
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_role_set, q, acl_answer_object);
}

static void role_delete(struct http_request *r) {
    struct acl_role_delete_request *q = ARENA_NEW(&r->arena, struct acl_role_delete_request);
    if (!acl_write_begin(r))
        return;
    q->role_id = r->argument;
    q->write.token = http_token(r);
    http_call(r, &endpoint_acl_role_delete, q, acl_answer_true);
}

static void role(struct http_request *r) {
    if (!acl_enabled(r))
        return;
    if (http_method_is(r, "PUT")) {
        if (acl_write_begin(r))
            http_read_body(r, 0, role_body_done);
    } else if (!acl_need_argument(r, "Missing role ID")) {
        return;
    } else if (http_method_is(r, "GET")) {
        role_get(r, false);
    } else {
        role_delete(r);
    }
}

const struct http_route http_routes_acl_policies[] = {
    {"/v1/acl/policy", "PUT", policy_create, 0},
    {"/v1/acl/policy/", "GET,PUT,DELETE", policy, ROUTE_META},
    {"/v1/acl/policy/name/", "GET", policy_by_name, ROUTE_META},
    {"/v1/acl/policies", "GET", policies, ROUTE_META},
    {"/v1/acl/role", "PUT", role, 0},
    {"/v1/acl/role/", "GET,PUT,DELETE", role, ROUTE_META},
    {"/v1/acl/role/name/", "GET", role_by_name, ROUTE_META},
    {"/v1/acl/roles", "GET", roles, ROUTE_META},
    {NULL, NULL, NULL, 0},
};

/* Roles (acl.md 10.3): ACL.RoleRead, RoleBatchRead, RoleSet, RoleDelete, RoleList, RoleResolve.
 */
#include "codec/uuid.h"
#include "schema/hash.h"
#include "server/endpoint_acl.h"

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

/* ---- reads ---- */

static bool read_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_role_get_request *r = request;
    struct acl_role_response *out = reply;
    if (!permit_acl(c, ACL_READ, e))
        return false;
    if (r->role_id.len > 0)
        return acl_role_by_id(c->store, r->role_id, &out->role, &c->meta->index, e);
    c->meta->index = acl_role_by_name(c->store, r->role_name, &out->role);
    return true;
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_role_list_request *r = request;
    struct acl_role_batch_response *out = reply;
    if (!permit_acl(c, ACL_READ, e))
        return false;
    c->meta->index = acl_role_list(c->store, r->policy, &out->roles);
    return true;
}

/* Those that there are, in the order of the question. */
static bool roles_read(struct call_context *c, const struct list *ids, uint64_t *index,
                       struct list *out, struct error *e) {
    *out = LIST_NEW(c->arena, struct acl_role *, ids->len);
    out->len = 0;
    for (uint32_t i = 0; i < ids->len; i++) {
        struct acl_role *role;
        if (!acl_role_by_id(c->store, LIST_AT(*ids, struct str, i), &role, index, e))
            return false;
        if (role != NULL)
            LIST_AT(*out, struct acl_role *, out->len++) = role;
    }
    return true;
}

static bool batch_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_role_batch_get_request *r = request;
    struct acl_role_batch_response *out = reply;
    if (!roles_read(c, &r->role_ids, &c->meta->index, &out->roles, e))
        return false;
    if (!authorizer_may_acl(c->may, ACL_READ))
        out->roles.len = 0;
    return true;
}

/* For who resolves a token elsewhere (7.2): its own roles only. */
static bool token_has_role(const struct call_context *c, struct str id) {
    for (uint32_t i = 0; c->token != NULL && i < c->token->roles.len; i++) {
        if (str_eq(LIST_AT(c->token->roles, struct acl_link, i).id, id))
            return true;
    }
    return false;
}

static bool resolve_read(struct call_context *c, const void *request, void *reply,
                         struct error *e) {
    const struct acl_role_batch_get_request *r = request;
    struct acl_role_batch_response *out = reply;
    uint64_t ignored = 0; /* this reply reports no index */
    if (!roles_read(c, &r->role_ids, &ignored, &out->roles, e))
        return false;
    for (uint32_t i = 0; i < out->roles.len; i++) {
        /* A link to what is gone is no longer to be seen in the token. */
        if (!token_has_role(c, LIST_AT(out->roles, struct acl_role *, i)->id))
            return permit_deny(e);
    }
    return true;
}

/* ---- Set ---- */

static bool role_id_taken(struct store_read *r, struct str id) {
    struct acl_role *role;
    struct error ignored = ERROR_IN(r->arena);
    uint64_t index;
    return acl_role_by_id(r, id, &role, &index, &ignored) && role != NULL;
}

static bool set_create(struct call_context *c, struct acl_role *role, struct error *e) {
    struct acl_role *other;
    acl_role_by_name(c->store, role->name, &other);
    if (other != NULL)
        return REFUSE(e, "Invalid Role: A Role with Name " STR_FMT " already exists",
                      STR_ARG(str_quote(c->arena, role->name)));
    role->id = acl_new_id(c, role_id_taken);
    return true;
}

static bool set_update(struct call_context *c, struct acl_role *role, struct error *e) {
    struct acl_role *stored, *other;
    uint64_t index;
    if (!uuid_valid(role->id))
        return REFUSE(e, "Role ID invalid UUID");
    if (!acl_role_by_id(c->store, role->id, &stored, &index, e))
        return false;
    if (stored == NULL)
        return REFUSE(e, "cannot find role " STR_FMT, STR_ARG(role->id));
    /* As by the peer, its own name in another letter case is taken too. */
    acl_role_by_name(c->store, role->name, &other);
    if (other != NULL && !str_eq(role->name, stored->name))
        return REFUSE(e, "Invalid Role: A role with name " STR_FMT " already exists",
                      STR_ARG(str_quote(c->arena, role->name)));
    role->id = stored->id;
    return true;
}

/* A policy that is linked by its ID is only looked for when the entry is applied. */
static bool set_prepare(struct call_context *c, void *request, struct buf *entry, struct error *e) {
    const struct acl_role_set_request *r = request;
    struct acl_role *role = c->reply;
    if (!permit_acl(c, ACL_WRITE, e))
        return false;
    *role = r->role;
    if (role->name.len == 0)
        return REFUSE(e, "Invalid Role: no Name is set");
    if (!acl_name_valid(role->name, ACL_ROLE_NAME_MAX))
        return REFUSE(e, "Invalid Role: invalid Name. " ACL_NAME_RULE);
    if (!(role->id.len == 0 ? set_create(c, role, e) : set_update(c, role, e)) ||
        !acl_links_resolve(c, ACL_LINKS_POLICIES, &role->policies, false, &role->policies, e) ||
        !acl_service_identities(c, &role->service_identities, "role", false,
                                &role->service_identities, e) ||
        !acl_node_identities(c, &role->node_identities, "role", &role->node_identities, e))
        return false;
    role->create_index = role->modify_index = 0;
    role->hash = acl_role_hash(role, c->arena);
    struct acl_role_batch_set_request batch = {.roles = acl_one(c->arena, role)};
    endpoint_entry(entry, ENTRY_ACL_ROLE_SET, &acl_role_batch_set_request_shape, &batch);
    return true;
}

static bool set_finish(struct call_context *c, const void *request,
                       const struct store_result *result, void *reply, struct error *e) {
    (void)request;
    (void)result;
    struct acl_role *out = reply, *stored = NULL;
    struct store_read read;
    uint64_t index;
    if (!store_read_begin(c->server->store, &read, c->arena, NULL, e))
        return false;
    bool ok = acl_role_by_id(&read, out->id, &stored, &index, e);
    store_read_end(&read);
    if (ok && stored != NULL)
        *out = *stored;
    return ok;
}

/* ---- Delete ---- */

static bool delete_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    const struct acl_role_delete_request *r = request;
    struct acl_role *role;
    uint64_t index;
    if (!permit_acl(c, ACL_WRITE, e) || !acl_role_by_id(c->store, r->role_id, &role, &index, e))
        return false;
    if (role == NULL)
        return true;
    *(struct str *)c->reply = role->name;
    struct acl_role_batch_delete_request batch = {.role_ids = acl_one_name(c->arena, r->role_id)};
    endpoint_entry(entry, ENTRY_ACL_ROLE_DELETE, &acl_role_batch_delete_request_shape, &batch);
    return true;
}

const struct endpoint endpoint_acl_role_read = {
    ENDPOINT_READS("ACL.RoleRead", ENDPOINT_BLOCKING, acl_role_get_request, acl_role_response),
    .place = acl_place,
    .read = read_read,
};

const struct endpoint endpoint_acl_role_list = {
    ENDPOINT_READS("ACL.RoleList", ENDPOINT_BLOCKING, acl_role_list_request,
                   acl_role_batch_response),
    .place = acl_place,
    .read = list_read,
};

const struct endpoint endpoint_acl_role_batch_read = {
    ENDPOINT_READS("ACL.RoleBatchRead", ENDPOINT_BLOCKING, acl_role_batch_get_request,
                   acl_role_batch_response),
    .place = acl_place,
    .read = batch_read,
};

const struct endpoint endpoint_acl_role_resolve = {
    ENDPOINT_READS("ACL.RoleResolve", ENDPOINT_READ, acl_role_batch_get_request,
                   acl_role_batch_response),
    .place = acl_place,
    .read = resolve_read,
};

const struct endpoint endpoint_acl_role_set = {
    ENDPOINT_WRITES("ACL.RoleSet", acl_role_set_request),
    ENDPOINT_REPLY(acl_role),
    .place = acl_place_primary,
    .prepare = set_prepare,
    .prepare_reads = true,
    .finish = set_finish,
};

const struct endpoint endpoint_acl_role_delete = {
    ENDPOINT_WRITES("ACL.RoleDelete", acl_role_delete_request),
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .place = acl_place_primary,
    .prepare = delete_prepare,
    .prepare_reads = true,
    .admit = acl_admit_named,
};

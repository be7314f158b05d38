/* Policies (acl.md 10.2): ACL.PolicyRead, PolicyBatchRead, PolicySet, PolicyDelete, PolicyList,
 * PolicyResolve.
 */
#include "acl/rules.h"
#include "codec/uuid.h"
#include "schema/hash.h"
#include "server/endpoint_acl.h"

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

/* ---- reads ---- */

static bool read_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_policy_get_request *r = request;
    struct acl_policy_response *out = reply;
    if (!permit_acl(c, ACL_READ, e))
        return false;
    if (r->policy_id.len > 0)
        return acl_policy_by_id(c->store, r->policy_id, &out->policy, &c->meta->index, e);
    c->meta->index = acl_policy_by_name(c->store, r->policy_name, &out->policy);
    return true;
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)request;
    struct acl_policy_list_response *out = reply;
    struct list policies;
    if (!permit_acl(c, ACL_READ, e))
        return false;
    c->meta->index = acl_policy_list(c->store, &policies);
    out->policies = LIST_NEW(c->arena, struct acl_policy_list_stub *, policies.len);
    for (uint32_t i = 0; i < policies.len; i++) {
        const struct acl_policy *p = LIST_AT(policies, struct acl_policy *, i);
        struct acl_policy_list_stub *s = ARENA_NEW(c->arena, struct acl_policy_list_stub);
        *s = (struct acl_policy_list_stub){.create_index = p->create_index,
                                           .datacenters = p->datacenters,
                                           .description = p->description,
                                           .hash = p->hash,
                                           .id = p->id,
                                           .modify_index = p->modify_index,
                                           .name = p->name};
        LIST_AT(out->policies, struct acl_policy_list_stub *, i) = s;
    }
    return true;
}

/* Those that there are, in the order of the question. */
static bool policies_read(struct call_context *c, const struct list *ids, uint64_t *index,
                          struct list *out, struct error *e) {
    *out = LIST_NEW(c->arena, struct acl_policy *, ids->len);
    out->len = 0;
    for (uint32_t i = 0; i < ids->len; i++) {
        struct acl_policy *policy;
        if (!acl_policy_by_id(c->store, LIST_AT(*ids, struct str, i), &policy, index, e))
            return false;
        if (policy != NULL)
            LIST_AT(*out, struct acl_policy *, out->len++) = policy;
    }
    return true;
}

static bool batch_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_policy_batch_get_request *r = request;
    struct acl_policy_batch_response *out = reply;
    if (!policies_read(c, &r->policy_ids, &c->meta->index, &out->policies, e))
        return false;
    if (!authorizer_may_acl(c->may, ACL_READ))
        out->policies.len = 0;
    return true;
}

/* ---- Resolve: for who resolves a token elsewhere (7.2) ---- */

static bool links_have(const struct list *links, struct str id) {
    for (uint32_t i = 0; i < links->len; i++) {
        if (str_eq(LIST_AT(*links, struct acl_link, i).id, id))
            return true;
    }
    return false;
}

/* Directly, or through one of its roles. */
static bool token_has_policy(struct call_context *c, struct str id) {
    if (links_have(&c->token->policies, id))
        return true;
    for (uint32_t i = 0; i < c->token->roles.len; i++) {
        struct acl_role *role = NULL;
        struct error ignored = ERROR_IN(c->arena);
        uint64_t index;
        struct str role_id = LIST_AT(c->token->roles, struct acl_link, i).id;
        if (acl_role_by_id(c->store, role_id, &role, &index, &ignored) && role != NULL &&
            links_have(&role->policies, id))
            return true;
    }
    return false;
}

static bool resolve_read(struct call_context *c, const void *request, void *reply,
                         struct error *e) {
    const struct acl_policy_batch_get_request *r = request;
    struct acl_policy_batch_response *out = reply;
    uint64_t ignored = 0; /* this reply reports no index */
    for (uint32_t i = 0; i < r->policy_ids.len; i++) {
        struct str id = LIST_AT(r->policy_ids, struct str, i);
        struct acl_policy *policy;
        if (c->token != NULL && token_has_policy(c, id))
            continue;
        /* A link to what is gone is no longer to be seen in the token. */
        if (!acl_policy_by_id(c->store, id, &policy, &ignored, e))
            return false;
        if (policy != NULL)
            return permit_deny(e);
    }
    return policies_read(c, &r->policy_ids, &ignored, &out->policies, e);
}

/* ---- Set ---- */

static bool policy_id_taken(struct store_read *r, struct str id) {
    struct acl_policy *policy;
    struct error ignored = ERROR_IN(r->arena);
    uint64_t index;
    return acl_policy_by_id(r, id, &policy, &index, &ignored) && policy != NULL;
}

static bool set_create(struct call_context *c, struct acl_policy *p, struct error *e) {
    struct acl_policy *other;
    acl_policy_by_name(c->store, p->name, &other);
    if (other != NULL)
        return REFUSE(e, "Invalid Policy: A Policy with Name " STR_FMT " already exists",
                      STR_ARG(str_quote(c->arena, p->name)));
    p->id = acl_new_id(c, policy_id_taken);
    return true;
}

/* As the peer compares them: none is not an empty list. */
static bool same_strings(const struct list *a, const struct list *b) {
    for (uint32_t i = 0; i < a->len && a->len == b->len; i++) {
        if (!str_eq(LIST_AT(*a, struct str, i), LIST_AT(*b, struct str, i)))
            return false;
    }
    return a->len == b->len && a->present == b->present;
}

static bool set_update(struct call_context *c, struct acl_policy *p, struct error *e) {
    struct acl_policy *stored, *other;
    uint64_t index;
    if (!uuid_valid(p->id))
        return REFUSE(e, "Policy ID invalid UUID");
    if (!acl_policy_by_id(c->store, p->id, &stored, &index, e))
        return false;
    if (stored == NULL)
        return REFUSE(e, "cannot find policy " STR_FMT, STR_ARG(p->id));
    /* As by the peer, its own name in another letter case is taken too. */
    acl_policy_by_name(c->store, p->name, &other);
    if (other != NULL && !str_eq(p->name, stored->name))
        return REFUSE(e, "Invalid Policy: A policy with name " STR_FMT " already exists",
                      STR_ARG(str_quote(c->arena, p->name)));
    p->id = stored->id;
    if (!str_is(p->id, ACL_POLICY_GLOBAL_MANAGEMENT))
        return true;
    if (!same_strings(&p->datacenters, &stored->datacenters))
        return REFUSE(e, "Changing the Datacenters of the builtin global-management policy is not "
                         "permitted");
    if (!str_eq(p->rules, stored->rules))
        return REFUSE(e, "Changing the Rules for the builtin global-management policy is not "
                         "permitted");
    return true;
}

static bool set_prepare(struct call_context *c, void *request, struct buf *entry, struct error *e) {
    const struct acl_policy_set_request *r = request;
    struct acl_policy *p = c->reply;
    struct acl_rules rules;
    if (!permit_acl(c, ACL_WRITE, e))
        return false;
    *p = r->policy;
    if (p->name.len == 0)
        return REFUSE(e, "Invalid Policy: no Name is set");
    if (!acl_name_valid(p->name, ACL_POLICY_NAME_MAX))
        return REFUSE(e, "Invalid Policy: invalid Name. " ACL_NAME_RULE);
    if (!(p->id.len == 0 ? set_create(c, p, e) : set_update(c, p, e)))
        return false;
    p->syntax = ACL_SYNTAX_CURRENT;
    if (!acl_rules_parse(p->rules, ACL_SYNTAX_CURRENT, &rules, c->arena, e))
        return false;
    p->create_index = p->modify_index = 0;
    p->hash = acl_policy_hash(p, c->arena);
    struct acl_policy_batch_set_request batch = {.policies = acl_one(c->arena, p)};
    endpoint_entry(entry, ENTRY_ACL_POLICY_SET, &acl_policy_batch_set_request_shape, &batch);
    return true;
}

static bool set_finish(struct call_context *c, const void *request,
                       const struct store_result *result, void *reply, struct error *e) {
    (void)request;
    (void)result;
    struct acl_policy *out = reply, *stored = NULL;
    struct store_read read;
    uint64_t index;
    if (!store_read_begin(c->server->store, &read, c->arena, NULL, e))
        return false;
    bool ok = acl_policy_by_id(&read, out->id, &stored, &index, e);
    store_read_end(&read);
    if (ok && stored != NULL)
        *out = *stored;
    return ok;
}

/* ---- Delete ---- */

static bool delete_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    const struct acl_policy_delete_request *r = request;
    struct acl_policy *policy;
    uint64_t index;
    if (!permit_acl(c, ACL_WRITE, e) ||
        !acl_policy_by_id(c->store, r->policy_id, &policy, &index, e))
        return false;
    if (policy == NULL)
        return true;
    if (str_is(policy->id, ACL_POLICY_GLOBAL_MANAGEMENT))
        return REFUSE(e, "Delete operation not permitted on the builtin global-management policy");
    *(struct str *)c->reply = policy->name;
    struct acl_policy_batch_delete_request batch = {.policy_ids =
                                                        acl_one_name(c->arena, r->policy_id)};
    endpoint_entry(entry, ENTRY_ACL_POLICY_DELETE, &acl_policy_batch_delete_request_shape, &batch);
    return true;
}

const struct endpoint endpoint_acl_policy_read = {
    ENDPOINT_READS("ACL.PolicyRead", ENDPOINT_BLOCKING, acl_policy_get_request,
                   acl_policy_response),
    .place = acl_place,
    .read = read_read,
};

const struct endpoint endpoint_acl_policy_list = {
    ENDPOINT_READS("ACL.PolicyList", ENDPOINT_BLOCKING, acl_policy_list_request,
                   acl_policy_list_response),
    .place = acl_place,
    .read = list_read,
};

const struct endpoint endpoint_acl_policy_batch_read = {
    ENDPOINT_READS("ACL.PolicyBatchRead", ENDPOINT_BLOCKING, acl_policy_batch_get_request,
                   acl_policy_batch_response),
    .place = acl_place,
    .read = batch_read,
};

const struct endpoint endpoint_acl_policy_resolve = {
    ENDPOINT_READS("ACL.PolicyResolve", ENDPOINT_READ, acl_policy_batch_get_request,
                   acl_policy_batch_response),
    .place = acl_place,
    .read = resolve_read,
};

const struct endpoint endpoint_acl_policy_set = {
    ENDPOINT_WRITES("ACL.PolicySet", acl_policy_set_request),
    ENDPOINT_REPLY(acl_policy),
    .place = acl_place_primary,
    .prepare = set_prepare,
    .prepare_reads = true,
    .finish = set_finish,
};

const struct endpoint endpoint_acl_policy_delete = {
    ENDPOINT_WRITES("ACL.PolicyDelete", acl_policy_delete_request),
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .place = acl_place_primary,
    .prepare = delete_prepare,
    .prepare_reads = true,
    .admit = acl_admit_named,
};

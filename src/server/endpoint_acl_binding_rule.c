/* Binding rules (acl.md 10.4): ACL.BindingRuleRead, BindingRuleSet, BindingRuleDelete,
 * BindingRuleList. What rules mean, and whether one is good, is binding_rule.h's.
 */
#include "codec/uuid.h"
#include "server/binding_rule.h"
#include "server/endpoint_acl.h"

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

/* ---- reads ---- */

static bool read_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_binding_rule_get_request *r = request;
    struct acl_binding_rule_response *out = reply;
    return permit_acl(c, ACL_READ, e) &&
           acl_binding_rule_by_id(c->store, r->binding_rule_id, &out->binding_rule, &c->meta->index,
                                  e);
}

static bool list_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    const struct acl_binding_rule_list_request *r = request;
    struct acl_binding_rule_list_response *out = reply;
    if (!permit_acl(c, ACL_READ, e))
        return false;
    c->meta->index = acl_binding_rule_list(c->store, r->auth_method, &out->binding_rules);
    out->binding_rules.present = true;
    return true;
}

/* ---- Set ---- */

static bool rule_id_taken(struct store_read *r, struct str id) {
    struct acl_binding_rule *rule;
    struct error ignored = ERROR_IN(r->arena);
    uint64_t index;
    return acl_binding_rule_by_id(r, id, &rule, &index, &ignored) && rule != NULL;
}

static bool set_update(struct call_context *c, struct acl_binding_rule *rule, struct error *e) {
    struct acl_binding_rule *stored;
    uint64_t index;
    if (!uuid_valid(rule->id))
        return REFUSE(e, "Binding Rule ID invalid UUID");
    if (!acl_binding_rule_by_id(c->store, rule->id, &stored, &index, e))
        return false;
    if (stored == NULL)
        return REFUSE(e, "cannot find binding rule " STR_FMT, STR_ARG(rule->id));
    rule->id = stored->id;
    if (rule->auth_method.len == 0)
        rule->auth_method = stored->auth_method;
    else if (!str_eq(rule->auth_method, stored->auth_method))
        return REFUSE(e, "the AuthMethod field of an Binding Rule is immutable");
    return true;
}

static bool set_prepare(struct call_context *c, void *request, struct buf *entry, struct error *e) {
    const struct acl_binding_rule_set_request *r = request;
    struct acl_binding_rule *rule = c->reply;
    struct acl_auth_method *method;
    if (!permit_acl(c, ACL_WRITE, e))
        return false;
    *rule = r->binding_rule;
    if (rule->id.len == 0)
        rule->id = acl_new_id(c, rule_id_taken);
    else if (!set_update(c, rule, e))
        return false;
    if (rule->auth_method.len == 0)
        return REFUSE(e, "Invalid Binding Rule: no AuthMethod is set");
    acl_auth_method_by_name(c->store, rule->auth_method, &method);
    if (method == NULL)
        return REFUSE(e, "cannot find auth method with name " STR_FMT,
                      STR_ARG(str_quote(c->arena, rule->auth_method)));
    if (!binding_rule_check(method, rule, e))
        return false;
    rule->create_index = rule->modify_index = 0;
    struct acl_binding_rule_batch_set_request batch = {.binding_rules = acl_one(c->arena, rule)};
    endpoint_entry(entry, ENTRY_ACL_BINDING_RULE_SET, &acl_binding_rule_batch_set_request_shape,
                   &batch);
    return true;
}

static bool set_finish(struct call_context *c, const void *request,
                       const struct store_result *result, void *reply, struct error *e) {
    (void)request;
    (void)result;
    struct acl_binding_rule *out = reply, *stored = NULL;
    struct store_read read;
    uint64_t index;
    if (!store_read_begin(c->server->store, &read, c->arena, NULL, e))
        return false;
    bool ok = acl_binding_rule_by_id(&read, out->id, &stored, &index, e);
    store_read_end(&read);
    if (ok && stored != NULL)
        *out = *stored;
    return ok;
}

/* ---- Delete ---- */

static bool delete_prepare(struct call_context *c, void *request, struct buf *entry,
                           struct error *e) {
    const struct acl_binding_rule_delete_request *r = request;
    struct acl_binding_rule *rule;
    uint64_t index;
    if (!permit_acl(c, ACL_WRITE, e) ||
        !acl_binding_rule_by_id(c->store, r->binding_rule_id, &rule, &index, e))
        return false;
    *(bool *)c->reply = rule != NULL;
    struct acl_binding_rule_batch_delete_request batch = {
        .binding_rule_ids = acl_one_name(c->arena, r->binding_rule_id)};
    endpoint_entry(entry, ENTRY_ACL_BINDING_RULE_DELETE,
                   &acl_binding_rule_batch_delete_request_shape, &batch);
    return true;
}

const struct endpoint endpoint_acl_binding_rule_read = {
    ENDPOINT_READS("ACL.BindingRuleRead", ENDPOINT_BLOCKING, acl_binding_rule_get_request,
                   acl_binding_rule_response),
    .place = acl_place_methods,
    .read = read_read,
};

const struct endpoint endpoint_acl_binding_rule_list = {
    ENDPOINT_READS("ACL.BindingRuleList", ENDPOINT_BLOCKING, acl_binding_rule_list_request,
                   acl_binding_rule_list_response),
    .place = acl_place_methods,
    .read = list_read,
};

const struct endpoint endpoint_acl_binding_rule_set = {
    ENDPOINT_WRITES("ACL.BindingRuleSet", acl_binding_rule_set_request),
    ENDPOINT_REPLY(acl_binding_rule),
    .place = acl_place_methods,
    .prepare = set_prepare,
    .prepare_reads = true,
    .finish = set_finish,
};

const struct endpoint endpoint_acl_binding_rule_delete = {
    ENDPOINT_WRITES("ACL.BindingRuleDelete", acl_binding_rule_delete_request),
    ENDPOINT_REPLY_TYPE(bool_reply_type, bool),
    .place = acl_place_methods,
    .prepare = delete_prepare,
    .prepare_reads = true,
    .admit = acl_admit_found,
};

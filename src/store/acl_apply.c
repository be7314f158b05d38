/* Access control's log entries (fsm.md 5.5, 5.6) and snapshot records. The tables are acl.c's.
 */
#include "schema/hash.h"
#include "store/acl_tables.h"

/* How a token is written; all false: as a bootstrap. */
struct token_write {
    bool cas;
    bool allow_missing_links;
    bool prohibit_unprivileged;
    bool from_replication;
    bool legacy; /* type 4: no accessor is needed */
};

#define REFUSE(e, ...) error_set((e), ERROR_INTERNAL, __VA_ARGS__)

/* ---- links and identities, of tokens and roles ---- */

/* Fills in the names of links; counts those that lead somewhere. owner: "Token" or "Role". */
static bool resolve_links(struct store_batch *b, enum store_table table, struct list *links,
                          const char *owner, bool allow_missing, uint32_t *valid, struct error *e) {
    bool policies = table == TABLE_ACL_POLICIES;
    for (uint32_t i = 0; i < links->len; i++) {
        struct acl_link *link = &LIST_AT(*links, struct acl_link, i);
        struct acl_policy policy;
        struct acl_role role;
        struct str key;
        if (link->id.len == 0) {
            return REFUSE(e, "Encountered a %s with %s linked by Name in the state store", owner,
                          policies ? "policies" : "roles");
        }
        if (!acl_id_key(&b->read, policies ? "policy" : "role", link->id, &key, e))
            return false;
        if (policies && acl_policy_fetch(&b->read, key, &policy)) {
            link->name = policy.name;
            ++*valid;
        } else if (!policies && acl_role_fetch(&b->read, key, &role)) {
            link->name = role.name;
            ++*valid;
        } else if (!allow_missing) {
            return REFUSE(e, "No such %s with ID: %.*s", policies ? "policy" : "role",
                          STR_ARG(link->id));
        }
    }
    return true;
}

static bool check_identities(const struct list *services, const struct list *nodes,
                             const char *owner, struct error *e) {
    for (uint32_t i = 0; i < services->len; i++) {
        const struct service_identity *id = LIST_AT(*services, struct service_identity *, i);
        if (id == NULL || id->service_name.len == 0) {
            return REFUSE(e,
                          "Encountered a %s with an empty service identity name in the state store",
                          owner);
        }
    }
    for (uint32_t i = 0; i < nodes->len; i++) {
        const struct node_identity *id = LIST_AT(*nodes, struct node_identity *, i);
        if (id == NULL || id->node_name.len == 0) {
            return REFUSE(e, "Encountered a %s with an empty node identity name in the state store",
                          owner);
        }
        if (id->datacenter.len == 0) {
            return REFUSE(
                e, "Encountered a %s with an empty node identity datacenter in the state store",
                owner);
        }
    }
    return true;
}

/* ---- tokens ---- */

static bool token_is_legacy(const struct acl_token *t) {
    return t->policies.len == 0 && t->roles.len == 0 && t->service_identities.len == 0 &&
           t->node_identities.len == 0 && !acl_token_expires(t) && t->auth_method.len == 0 &&
           t->type.len > 0;
}

/* Links, auth method and identities of a token lead somewhere, as far as its writer is asked. */
static bool token_check(struct store_batch *b, struct acl_token *token,
                        const struct token_write *how, struct error *e) {
    uint32_t privileges = token->service_identities.len + token->node_identities.len;
    struct str method = acl_method_key(&b->read, token->auth_method);
    if (!resolve_links(b, TABLE_ACL_POLICIES, &token->policies, "Token", how->allow_missing_links,
                       &privileges, e) ||
        !resolve_links(b, TABLE_ACL_ROLES, &token->roles, "Token", how->allow_missing_links,
                       &privileges, e))
        return false;
    if (token->auth_method.len > 0 && !how->from_replication &&
        !table_has(&b->read, TABLE_ACL_METHODS, method)) {
        return REFUSE(e, "No such auth method with Name: %.*s", STR_ARG(token->auth_method));
    }
    if (!check_identities(&token->service_identities, &token->node_identities, "Token", e))
        return false;
    if (how->prohibit_unprivileged && privileges == 0)
        return REFUSE(e, "Token has no privileges");
    return true;
}

static bool token_set(struct store_batch *b, struct acl_token *token, const struct token_write *how,
                      struct error *e) {
    struct acl_token old;
    if (token == NULL || token->secret_id.len == 0)
        return REFUSE(e, "Missing ACL Token SecretID");
    if (!how->legacy && token->accessor_id.len == 0)
        return REFUSE(e, "Missing ACL Token AccessorID");
    if (how->from_replication && token->local)
        return REFUSE(e, "Cannot replicate local tokens");
    bool exists = acl_token_fetch(&b->read, acl_token_key(&b->read, token->secret_id), &old);
    if (how->cas) {
        bool absent_wanted = token->modify_index == 0;
        if (absent_wanted == exists || (exists && old.modify_index != token->modify_index))
            return true;
    }
    if (how->legacy && exists) {
        if (!token_is_legacy(&old))
            return REFUSE(e, "cannot use legacy endpoint to modify a non-legacy token");
        token->accessor_id = old.accessor_id;
    }
    if (!token_check(b, token, how, e))
        return false;
    if (exists && old.accessor_id.len > 0 && !str_eq(old.accessor_id, token->accessor_id))
        return REFUSE(e, "The ACL Token AccessorID field is immutable");
    if (token->hash.data == NULL)
        token->hash = acl_token_hash(token, b->read.arena);
    token->create_index = exists ? old.create_index : b->index;
    token->modify_index = b->index;
    acl_token_store(b, token);
    index_bump(b, STR(TOKENS_INDEX));
    return true;
}

static bool token_delete(struct store_batch *b, struct str key, struct error *e) {
    struct acl_token old;
    if (!acl_token_fetch(&b->read, key, &old))
        return true;
    if (str_is(old.accessor_id, ACL_TOKEN_ANONYMOUS))
        return REFUSE(e, "Deletion of the builtin anonymous token is not permitted");
    acl_token_remove(b, key);
    index_bump(b, STR(TOKENS_INDEX));
    return true;
}

static bool token_delete_by_accessor(struct store_batch *b, struct str accessor, struct error *e) {
    struct str key, primary;
    if (!acl_id_key(&b->read, "token", accessor, &key, e))
        return false;
    if (!table_get(&b->read, TABLE_ACL_TOKENS_ACCESSOR, key, &primary))
        return true;
    return token_delete(b, str_copy(b->read.arena, primary), e);
}

void apply_acl_token_set(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_token_batch_set_request *r = request;
    struct token_write how = {.cas = r->cas,
                              .allow_missing_links = r->allow_missing_links,
                              .prohibit_unprivileged = r->prohibit_unprivileged,
                              .from_replication = r->from_replication};
    struct error e = ERROR_IN(b->read.arena);
    bool ok = true;
    for (uint32_t i = 0; i < r->tokens.len && ok; i++)
        ok = token_set(b, LIST_AT(r->tokens, struct acl_token *, i), &how, &e);
    if (!ok)
        apply_fail(b, result, &e);
}

/* The delete types: a list of names, each of which one function deletes. */
static void delete_each(struct store_batch *b, const struct list *names,
                        bool (*fn)(struct store_batch *b, struct str name, struct error *e),
                        struct store_result *result) {
    struct error e = ERROR_IN(b->read.arena);
    bool ok = true;
    for (uint32_t i = 0; i < names->len && ok; i++)
        ok = fn(b, LIST_AT(*names, struct str, i), &e);
    if (!ok)
        apply_fail(b, result, &e);
}

void apply_acl_token_delete(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_token_batch_delete_request *r = request;
    delete_each(b, &r->token_ids, token_delete_by_accessor, result);
}

/* ---- bootstrap, and the legacy form of tokens ---- */

static bool bootstrap(struct store_batch *b, uint64_t reset_index, struct acl_token *token,
                      const struct token_write *how, struct error *e) {
    uint64_t done = acl_bootstrap_index(&b->read);
    if (done != 0 && reset_index == 0)
        return REFUSE(e, "ACL bootstrap no longer allowed");
    if (done != 0 && reset_index != done)
        return REFUSE(e, "Invalid ACL bootstrap reset index");
    if (!token_set(b, token, how, e))
        return error_prefix(e, "failed inserting bootstrap token: ");
    index_bump(b, STR(BOOTSTRAP_INDEX));
    return true;
}

void apply_acl_bootstrap(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_bootstrap_request *r = request;
    struct token_write how = {0};
    struct error e = ERROR_IN(b->read.arena);
    if (!bootstrap(b, r->reset_index, &r->token, &how, &e))
        apply_fail(b, result, &e);
}

static struct acl_token token_of_legacy(const struct legacy_acl *acl) {
    return (struct acl_token){.secret_id = acl->id,
                              .description = acl->name,
                              .type = acl->type,
                              .rules = acl->rules,
                              .create_index = acl->create_index,
                              .modify_index = acl->modify_index,
                              .create_time = {.offset = -1, .present = true}};
}

static void legacy_bootstrap(struct store_batch *b, const struct legacy_acl *acl,
                             struct store_result *result) {
    struct acl_token token = token_of_legacy(acl);
    struct token_write how = {.legacy = true};
    struct error e = ERROR_IN(b->read.arena);
    if (!bootstrap(b, 0, &token, &how, &e)) {
        apply_fail(b, result, &e);
        return;
    }
    struct legacy_acl *answer = ARENA_NEW(&b->results, struct legacy_acl);
    schema_copy(&legacy_acl_shape, answer, acl, &b->results);
    answer->create_index = token.create_index;
    answer->modify_index = token.modify_index;
    *result = (struct store_result){.kind = STORE_RESULT_ACL, .acl = answer};
}

static void legacy_set(struct store_batch *b, const struct legacy_acl *acl,
                       struct store_result *result) {
    struct acl_token token = token_of_legacy(acl);
    struct token_write how = {.legacy = true};
    struct error e = ERROR_IN(b->read.arena);
    if (!token_set(b, &token, &how, &e)) {
        error_prefix(&e, "failed inserting acl token: ");
        apply_fail(b, result, &e);
        return;
    }
    *result =
        (struct store_result){.kind = STORE_RESULT_STR, .string = str_copy(&b->results, acl->id)};
}

void apply_legacy_acl(struct store_batch *b, void *request, struct store_result *result) {
    struct legacy_acl_request *r = request;
    struct error e = ERROR_IN(b->read.arena);
    if (str_is(r->op, "set") || str_is(r->op, "force-set")) {
        legacy_set(b, &r->acl, result);
    } else if (str_is(r->op, "delete")) {
        if (!token_delete(b, acl_token_key(&b->read, r->acl.id), &e))
            apply_fail(b, result, &e);
    } else if (str_is(r->op, "bootstrap-init")) {
        *result = (struct store_result){.kind = STORE_RESULT_BOOL,
                                        .boolean = acl_bootstrap_index(&b->read) == 0};
    } else if (str_is(r->op, "bootstrap-now")) {
        legacy_bootstrap(b, &r->acl, result);
    } else {
        apply_refuse(b, result, "Invalid ACL operation '%.*s'", STR_ARG(r->op));
    }
}

/* ---- policies ---- */

static bool is_global_management(struct str id) {
    return str_is(id, ACL_POLICY_GLOBAL_MANAGEMENT);
}

/* Whether another record than `key` has the name. */
static bool name_is_taken(struct store_batch *b, enum store_table names, struct str name,
                          struct str key) {
    struct str other;
    return acl_named_key(&b->read, names, name, &other) && !str_eq(other, key);
}

static bool policy_set(struct store_batch *b, struct acl_policy *policy, struct error *e) {
    struct acl_policy old;
    struct str key;
    if (policy == NULL || policy->id.len == 0)
        return REFUSE(e, "Missing ACL Policy ID");
    if (policy->name.len == 0)
        return REFUSE(e, "Missing ACL Policy Name");
    if (!acl_id_key(&b->read, "policy", policy->id, &key, e))
        return false;
    bool exists = acl_policy_fetch(&b->read, key, &old);
    if (exists && is_global_management(policy->id)) {
        if (!str_eq(policy->rules, acl_global_management_rules)) {
            return REFUSE(e, "Changing the Rules for the builtin global-management policy is not "
                             "permitted");
        }
        if (policy->datacenters.len > 0) {
            return REFUSE(e, "Changing the Datacenters of the builtin global-management policy is "
                             "not permitted");
        }
    }
    if (name_is_taken(b, TABLE_ACL_POLICIES_NAME, policy->name, key)) {
        struct str name = str_quote(b->read.arena, policy->name);
        return REFUSE(e, "A policy with name %.*s already exists", STR_ARG(name));
    }
    policy->create_index = exists ? old.create_index : b->index;
    policy->modify_index = b->index;
    if (!acl_policy_store(b, policy, e))
        return false;
    index_bump(b, STR(POLICIES_INDEX));
    return true;
}

void apply_acl_policy_set(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_policy_batch_set_request *r = request;
    struct error e = ERROR_IN(b->read.arena);
    bool ok = true;
    for (uint32_t i = 0; i < r->policies.len && ok; i++)
        ok = policy_set(b, LIST_AT(r->policies, struct acl_policy *, i), &e);
    if (!ok)
        apply_fail(b, result, &e);
}

static bool policy_delete(struct store_batch *b, struct str id, struct error *e) {
    struct str key;
    if (!acl_id_key(&b->read, "policy", id, &key, e))
        return false;
    if (!table_has(&b->read, TABLE_ACL_POLICIES, key))
        return true;
    if (is_global_management(id)) {
        return REFUSE(e, "Deletion of the builtin global-management policy is not permitted");
    }
    acl_policy_remove(b, key);
    index_bump(b, STR(POLICIES_INDEX));
    return true;
}

void apply_acl_policy_delete(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_policy_batch_delete_request *r = request;
    delete_each(b, &r->policy_ids, policy_delete, result);
}

/* ---- roles ---- */

static bool role_set(struct store_batch *b, struct acl_role *role, bool allow_missing_links,
                     struct error *e) {
    struct acl_role old;
    struct str key;
    uint32_t valid = 0;
    if (role == NULL || role->id.len == 0)
        return REFUSE(e, "Missing ACL Role ID");
    if (role->name.len == 0)
        return REFUSE(e, "Missing ACL Role Name");
    if (!acl_id_key(&b->read, "role", role->id, &key, e))
        return false;
    if (name_is_taken(b, TABLE_ACL_ROLES_NAME, role->name, key)) {
        struct str name = str_quote(b->read.arena, role->name);
        return REFUSE(e, "A role with name %.*s already exists", STR_ARG(name));
    }
    if (!resolve_links(b, TABLE_ACL_POLICIES, &role->policies, "Role", allow_missing_links, &valid,
                       e) ||
        !check_identities(&role->service_identities, &role->node_identities, "Role", e))
        return false;
    bool exists = acl_role_fetch(&b->read, key, &old);
    role->create_index = exists ? old.create_index : b->index;
    role->modify_index = b->index;
    if (!acl_role_store(b, role, e))
        return false;
    index_bump(b, STR(ROLES_INDEX));
    return true;
}

void apply_acl_role_set(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_role_batch_set_request *r = request;
    struct error e = ERROR_IN(b->read.arena);
    bool ok = true;
    for (uint32_t i = 0; i < r->roles.len && ok; i++)
        ok = role_set(b, LIST_AT(r->roles, struct acl_role *, i), r->allow_missing_links, &e);
    if (!ok)
        apply_fail(b, result, &e);
}

static bool role_delete(struct store_batch *b, struct str id, struct error *e) {
    struct str key;
    if (!acl_id_key(&b->read, "role", id, &key, e))
        return false;
    if (acl_role_remove(b, key))
        index_bump(b, STR(ROLES_INDEX));
    return true;
}

void apply_acl_role_delete(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_role_batch_delete_request *r = request;
    delete_each(b, &r->role_ids, role_delete, result);
}

/* ---- binding rules ---- */

static bool rule_set(struct store_batch *b, struct acl_binding_rule *rule, struct error *e) {
    struct acl_binding_rule old;
    struct str key;
    if (rule == NULL || rule->id.len == 0)
        return REFUSE(e, "Missing ACL Binding Rule ID");
    if (rule->auth_method.len == 0)
        return REFUSE(e, "Missing ACL Binding Rule Auth Method");
    if (!acl_id_key(&b->read, "binding rule", rule->id, &key, e))
        return false;
    if (!table_has(&b->read, TABLE_ACL_METHODS, acl_method_key(&b->read, rule->auth_method)))
        return REFUSE(e, "failed inserting acl binding rule: auth method not found");
    bool exists = acl_rule_fetch(&b->read, key, &old);
    rule->create_index = exists ? old.create_index : b->index;
    rule->modify_index = b->index;
    if (!acl_rule_store(b, rule, e))
        return false;
    index_bump(b, STR(RULES_INDEX));
    return true;
}

void apply_acl_binding_rule_set(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_binding_rule_batch_set_request *r = request;
    struct error e = ERROR_IN(b->read.arena);
    bool ok = true;
    for (uint32_t i = 0; i < r->binding_rules.len && ok; i++)
        ok = rule_set(b, LIST_AT(r->binding_rules, struct acl_binding_rule *, i), &e);
    if (!ok)
        apply_fail(b, result, &e);
}

static bool rule_delete(struct store_batch *b, struct str id, struct error *e) {
    struct str key;
    if (!acl_id_key(&b->read, "binding rule", id, &key, e))
        return false;
    if (acl_rule_remove(b, key))
        index_bump(b, STR(RULES_INDEX));
    return true;
}

void apply_acl_binding_rule_delete(struct store_batch *b, void *request,
                                   struct store_result *result) {
    struct acl_binding_rule_batch_delete_request *r = request;
    delete_each(b, &r->binding_rule_ids, rule_delete, result);
}

/* ---- auth methods ---- */

static bool method_set(struct store_batch *b, struct acl_auth_method *method, struct error *e) {
    struct acl_auth_method old;
    if (method == NULL || method->name.len == 0)
        return REFUSE(e, "Missing ACL Auth Method Name");
    if (method->type.len == 0)
        return REFUSE(e, "Missing ACL Auth Method Type");
    bool exists = acl_method_fetch(&b->read, acl_method_key(&b->read, method->name), &old);
    method->create_index = exists ? old.create_index : b->index;
    method->modify_index = b->index;
    acl_method_store(b, method);
    index_bump(b, STR(METHODS_INDEX));
    return true;
}

void apply_acl_auth_method_set(struct store_batch *b, void *request, struct store_result *result) {
    struct acl_auth_method_batch_set_request *r = request;
    struct error e = ERROR_IN(b->read.arena);
    bool ok = true;
    for (uint32_t i = 0; i < r->auth_methods.len && ok; i++)
        ok = method_set(b, LIST_AT(r->auth_methods, struct acl_auth_method *, i), &e);
    if (!ok)
        apply_fail(b, result, &e);
}

/* The tokens that were got from the method, of its locality. */
static bool method_delete_tokens(struct store_batch *b, const struct acl_auth_method *method,
                                 struct error *e) {
    bool global = str_is(method->token_locality, "global");
    struct str prefix = KEY(b->read.arena, K_EXACT(method->name));
    struct list keys = lookup_keys(&b->read, TABLE_ACL_TOKENS_METHOD, prefix);
    for (uint32_t i = 0; i < keys.len; i++) {
        struct acl_token token;
        struct str key = LIST_AT(keys, struct str, i);
        if (!acl_token_fetch(&b->read, key, &token) || token.local == global)
            continue;
        if (!token_delete(b, key, e))
            return false;
    }
    return true;
}

static bool method_delete(struct store_batch *b, struct str name, struct error *e) {
    struct acl_auth_method method;
    struct str key = acl_method_key(&b->read, name);
    if (!acl_method_fetch(&b->read, key, &method))
        return true;
    struct list rules = lookup_keys(&b->read, TABLE_ACL_RULES_METHOD, key);
    for (uint32_t i = 0; i < rules.len; i++)
        acl_rule_remove(b, LIST_AT(rules, struct str, i));
    if (rules.len > 0)
        index_bump(b, STR(RULES_INDEX));
    if (!method_delete_tokens(b, &method, e))
        return false;
    acl_method_remove(b, key);
    index_bump(b, STR(METHODS_INDEX));
    return true;
}

void apply_acl_auth_method_delete(struct store_batch *b, void *request,
                                  struct store_result *result) {
    struct acl_auth_method_batch_delete_request *r = request;
    delete_each(b, &r->auth_method_names, method_delete, result);
}

/* ---- snapshots ---- */

void acl_snapshot(struct snapshot_writer *w) {
    snapshot_copy_table(w, ENTRY_ACL_TOKEN_SET, TABLE_ACL_TOKENS);
    snapshot_copy_table(w, ENTRY_ACL_POLICY_SET, TABLE_ACL_POLICIES);
    snapshot_copy_table(w, ENTRY_ACL_ROLE_SET, TABLE_ACL_ROLES);
    snapshot_copy_table(w, ENTRY_ACL_BINDING_RULE_SET, TABLE_ACL_RULES);
    snapshot_copy_table(w, ENTRY_ACL_AUTH_METHOD_SET, TABLE_ACL_METHODS);
}

bool acl_token_restore(struct store_batch *b, void *record, struct error *e) {
    struct acl_token *token = record;
    (void)e;
    if (token->hash.data == NULL)
        token->hash = acl_token_hash(token, b->read.arena);
    acl_token_store(b, token);
    index_raise(b, STR(TOKENS_INDEX), token->modify_index);
    return true;
}

bool acl_policy_restore(struct store_batch *b, void *record, struct error *e) {
    const struct acl_policy *policy = record;
    if (!acl_policy_store(b, policy, e))
        return false;
    index_raise(b, STR(POLICIES_INDEX), policy->modify_index);
    return true;
}

bool acl_role_restore(struct store_batch *b, void *record, struct error *e) {
    const struct acl_role *role = record;
    if (!acl_role_store(b, role, e))
        return false;
    index_raise(b, STR(ROLES_INDEX), role->modify_index);
    return true;
}

bool acl_binding_rule_restore(struct store_batch *b, void *record, struct error *e) {
    const struct acl_binding_rule *rule = record;
    if (!acl_rule_store(b, rule, e))
        return false;
    index_raise(b, STR(RULES_INDEX), rule->modify_index);
    return true;
}

bool acl_auth_method_restore(struct store_batch *b, void *record, struct error *e) {
    const struct acl_auth_method *method = record;
    (void)e;
    acl_method_store(b, method);
    index_raise(b, STR(METHODS_INDEX), method->modify_index);
    return true;
}

bool acl_legacy_restore(struct store_batch *b, void *record, struct error *e) {
    struct acl_token token = token_of_legacy(record);
    return acl_token_restore(b, &token, e);
}

bool acl_bootstrap_restore(struct store_batch *b, void *record, struct error *e) {
    const struct acl_bootstrap_record *r = record;
    (void)e;
    index_set(b, STR(BOOTSTRAP_INDEX), r->modify_index);
    return true;
}

/* Access control's entry types (fsm.md 5.5, 5.6), their reads, and the hashes of objects. */
#include "fixture.h"
#include "schema/hash.h"
#include "store/acl.h"

#define ID(n) "0000000" #n "-0000-4000-8000-000000000000"

/* ---- entries in one line ---- */

static struct list one(void *pointer) { /* pointer to a pointer */
    return (struct list){.items = pointer, .len = 1, .present = true};
}

static struct store_result *token_set(struct fixture *f, struct acl_token token) {
    struct acl_token *pointer = &token;
    struct acl_token_batch_set_request r = {.tokens = one(&pointer)};
    return apply(f, ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &r);
}
static struct store_result *token_cas(struct fixture *f, struct acl_token token) {
    struct acl_token *pointer = &token;
    struct acl_token_batch_set_request r = {.tokens = one(&pointer), .cas = true};
    return apply(f, ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &r);
}
static struct store_result *token_delete(struct fixture *f, const char *accessor) {
    struct str id = S(accessor);
    struct acl_token_batch_delete_request r = {.token_ids = one(&id)};
    return apply(f, ENTRY_ACL_TOKEN_DELETE, &acl_token_batch_delete_request_shape, &r);
}
static struct store_result *policy_set(struct fixture *f, struct acl_policy policy) {
    struct acl_policy *pointer = &policy;
    struct acl_policy_batch_set_request r = {.policies = one(&pointer)};
    return apply(f, ENTRY_ACL_POLICY_SET, &acl_policy_batch_set_request_shape, &r);
}
static struct store_result *policy_delete(struct fixture *f, const char *text) {
    struct str id = S(text);
    struct acl_policy_batch_delete_request r = {.policy_ids = one(&id)};
    return apply(f, ENTRY_ACL_POLICY_DELETE, &acl_policy_batch_delete_request_shape, &r);
}
static struct store_result *role_set(struct fixture *f, struct acl_role role) {
    struct acl_role *pointer = &role;
    struct acl_role_batch_set_request r = {.roles = one(&pointer)};
    return apply(f, ENTRY_ACL_ROLE_SET, &acl_role_batch_set_request_shape, &r);
}
static struct store_result *role_delete(struct fixture *f, const char *text) {
    struct str id = S(text);
    struct acl_role_batch_delete_request r = {.role_ids = one(&id)};
    return apply(f, ENTRY_ACL_ROLE_DELETE, &acl_role_batch_delete_request_shape, &r);
}
static struct store_result *rule_set(struct fixture *f, struct acl_binding_rule rule) {
    struct acl_binding_rule *pointer = &rule;
    struct acl_binding_rule_batch_set_request r = {.binding_rules = one(&pointer)};
    return apply(f, ENTRY_ACL_BINDING_RULE_SET, &acl_binding_rule_batch_set_request_shape, &r);
}
static struct store_result *method_set(struct fixture *f, struct acl_auth_method method) {
    struct acl_auth_method *pointer = &method;
    struct acl_auth_method_batch_set_request r = {.auth_methods = one(&pointer)};
    return apply(f, ENTRY_ACL_AUTH_METHOD_SET, &acl_auth_method_batch_set_request_shape, &r);
}
static struct store_result *method_delete(struct fixture *f, const char *name) {
    struct str id = S(name);
    struct acl_auth_method_batch_delete_request r = {.auth_method_names = one(&id)};
    return apply(f, ENTRY_ACL_AUTH_METHOD_DELETE, &acl_auth_method_batch_delete_request_shape, &r);
}
static struct store_result *legacy_op(struct fixture *f, const char *op, struct legacy_acl acl) {
    struct legacy_acl_request r = {.op = S(op), .acl = acl};
    return apply(f, ENTRY_LEGACY_ACL, &legacy_acl_request_shape, &r);
}

static struct acl_token token_named(const char *accessor, const char *secret) {
    return (struct acl_token){.accessor_id = S(accessor), .secret_id = S(secret)};
}
static struct acl_policy policy_named(const char *id, const char *name) {
    return (struct acl_policy){.id = S(id), .name = S(name)};
}

static struct acl_token *by_secret(struct fixture *f, const char *secret) {
    struct acl_token *token = NULL;
    WITH_READ(f, r) acl_token_by_secret(r, S(secret), &token);
    return token;
}
static struct acl_token *by_accessor(struct fixture *f, const char *accessor) {
    struct acl_token *token = NULL;
    uint64_t index;
    WITH_READ(f, r) assert_true(acl_token_by_accessor(r, S(accessor), &token, &index, &f->error));
    return token;
}
static uint32_t tokens_listed(struct fixture *f, struct acl_token_filter filter) {
    struct list tokens;
    WITH_READ(f, r) acl_token_list(r, &filter, &tokens);
    return tokens.len;
}

/* ---- tokens ---- */

static void tokens_need_both_ids(void **state) {
    struct fixture *f = *state;
    assert_refused(token_set(f, token_named(ID(1), "")), "Missing ACL Token SecretID");
    assert_refused(token_set(f, token_named("", "s")), "Missing ACL Token AccessorID");
    assert_ok(token_set(f, token_named(ID(1), "s")));
    assert_int_equal(index_of(f, "acl-tokens"), f->index);
    assert_refused(token_set(f, token_named(ID(2), "s")),
                   "The ACL Token AccessorID field is immutable");
    struct acl_token *token = by_secret(f, "s");
    assert_int_equal(token->hash.len, 32);
    assert_true(str_eq(token->hash, acl_token_hash(token, &f->arena)));
    assert_null(by_secret(f, "S"));
    assert_non_null(by_accessor(f, ID(1)));
    struct acl_token *none;
    uint64_t index;
    WITH_READ(f, r) assert_false(acl_token_by_accessor(r, S("nope"), &none, &index, &f->error));
    assert_str(f->error.text, "failed acl token lookup: index error: UUID must be 36 characters");
}

static void cas_skips_silently(void **state) {
    struct fixture *f = *state;
    struct acl_token t = token_named(ID(1), "s");
    t.modify_index = 7;
    assert_ok(token_cas(f, t)); /* there is none of index 7 */
    assert_null(by_secret(f, "s"));
    t.modify_index = 0;
    assert_ok(token_cas(f, t));
    uint64_t created = f->index;
    t.description = S("new");
    assert_ok(token_cas(f, t)); /* there is one by now */
    assert_str(by_secret(f, "s")->description, "");
    assert_int_equal(index_of(f, "acl-tokens"), created);
    t.modify_index = created;
    assert_ok(token_cas(f, t));
    assert_str(by_secret(f, "s")->description, "new");
    assert_int_equal(by_secret(f, "s")->create_index, created);
}

static void links_are_checked_and_refreshed(void **state) {
    struct fixture *f = *state;
    struct acl_link policies[] = {{S(ID(5)), S("wrong")}}, roles[] = {{S(ID(6)), S("")}};
    struct acl_token t = token_named(ID(1), "s");
    t.policies = (struct list){policies, 1, true};
    assert_refused(token_set(f, t), "No such policy with ID: " ID(5));
    assert_ok(policy_set(f, policy_named(ID(5), "p")));
    assert_ok(token_set(f, t));
    assert_str(LIST_AT(by_secret(f, "s")->policies, struct acl_link, 0).name, "p");
    t.roles = (struct list){roles, 1, true};
    assert_refused(token_set(f, t), "No such role with ID: " ID(6));
    struct acl_role role = {.id = S(ID(6)), .name = S("r"), .policies = t.policies};
    assert_ok(role_set(f, role));
    assert_ok(token_set(f, t));
    assert_ok(policy_set(f, policy_named(ID(5), "renamed")));
    assert_str(LIST_AT(by_secret(f, "s")->policies, struct acl_link, 0).name, "renamed");
    assert_int_equal(
        tokens_listed(f, (struct acl_token_filter){.global = true, .policy = S(ID(5))}), 1);
    assert_int_equal(tokens_listed(f, (struct acl_token_filter){.global = true, .role = S(ID(6))}),
                     1);
    assert_int_equal(tokens_listed(f, (struct acl_token_filter){.local = true}), 0);
    assert_ok(policy_delete(f, ID(5)));
    assert_int_equal(by_secret(f, "s")->policies.len, 0); /* hidden, not removed */
    struct acl_role *found;
    WITH_READ(f, r) acl_role_by_name(r, S("R"), &found);
    assert_int_equal(found->policies.len, 0);
    policies[0].id = S("");
    assert_refused(token_set(f, t),
                   "Encountered a Token with policies linked by Name in the state store");
    role.policies.len = 1;
    assert_refused(role_set(f, role),
                   "Encountered a Role with policies linked by Name in the state store");
    policies[0].id = S("x");
    assert_refused(token_set(f, t),
                   "failed acl policy lookup: index error: UUID must be 36 characters");
}

static void batches_are_atomic(void **state) {
    struct fixture *f = *state;
    struct acl_token a = token_named(ID(1), "a"), b = token_named("", "b"), *both[] = {&a, &b};
    struct acl_token_batch_set_request r = {.tokens = {both, 2, true}};
    assert_refused(apply(f, ENTRY_ACL_TOKEN_SET, &acl_token_batch_set_request_shape, &r),
                   "Missing ACL Token AccessorID");
    assert_null(by_secret(f, "a"));
    assert_int_equal(index_of(f, "acl-tokens"), 0);
}

static void modes_of_writing(void **state) {
    struct fixture *f = *state;
    struct acl_token t = token_named(ID(1), "s"), *pointer = &t;
    struct acl_token_batch_set_request r = {.tokens = one(&pointer), .prohibit_unprivileged = true};
    const struct shape *shape = &acl_token_batch_set_request_shape;
    assert_refused(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r), "Token has no privileges");
    struct service_identity web = {.service_name = S("")}, *identity = &web;
    t.service_identities = one(&identity);
    assert_refused(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r),
                   "Encountered a Token with an empty service identity name in the state store");
    web.service_name = S("web");
    assert_ok(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r));
    struct node_identity node = {.node_name = S("n")}, *second = &node;
    t.node_identities = one(&second);
    assert_refused(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r),
                   "Encountered a Token with an empty node identity datacenter in the state store");
    node.datacenter = S("dc1");
    assert_ok(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r));
    t.auth_method = S("m");
    assert_refused(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r), "No such auth method with Name: m");
    r.from_replication = true;
    assert_ok(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r));
    t.local = true;
    assert_refused(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r), "Cannot replicate local tokens");
    struct acl_link gone = {S(ID(9)), S("kept")};
    t.local = false;
    t.policies = (struct list){&gone, 1, true};
    r.allow_missing_links = true;
    assert_ok(apply(f, ENTRY_ACL_TOKEN_SET, shape, &r));
}

static void builtins_stay(void **state) {
    struct fixture *f = *state;
    assert_ok(token_set(f, token_named(ACL_TOKEN_ANONYMOUS, "anonymous")));
    assert_refused(token_delete(f, ACL_TOKEN_ANONYMOUS),
                   "Deletion of the builtin anonymous token is not permitted");
    assert_ok(token_delete(f, ID(3)));
    struct acl_policy p = policy_named(ACL_POLICY_GLOBAL_MANAGEMENT, "global-management");
    p.rules = acl_global_management_rules;
    assert_ok(policy_set(f, p));
    p.name = S("renamed");
    assert_ok(policy_set(f, p));
    struct str dc = S("dc1");
    p.datacenters = one(&dc);
    assert_refused(policy_set(f, p), "Changing the Datacenters of the builtin global-management "
                                     "policy is not permitted");
    p.rules = S("x");
    assert_refused(policy_set(f, p), "Changing the Rules for the builtin global-management policy "
                                     "is not permitted");
    assert_refused(policy_delete(f, ACL_POLICY_GLOBAL_MANAGEMENT),
                   "Deletion of the builtin global-management policy is not permitted");
}

static void names_are_unique(void **state) {
    struct fixture *f = *state;
    assert_refused(policy_set(f, policy_named("", "p")), "Missing ACL Policy ID");
    assert_refused(policy_set(f, policy_named(ID(1), "")), "Missing ACL Policy Name");
    assert_ok(policy_set(f, policy_named(ID(1), "p")));
    assert_refused(policy_set(f, policy_named(ID(2), "P")),
                   "A policy with name \"P\" already exists");
    assert_ok(policy_set(f, policy_named(ID(1), "q")));
    assert_ok(policy_set(f, policy_named(ID(2), "P")));
    struct acl_policy *policy;
    WITH_READ(f, r) acl_policy_by_name(r, S("p"), &policy);
    assert_str(policy->id, ID(2));
    assert_ok(role_set(f, (struct acl_role){.id = S(ID(1)), .name = S("p")}));
    assert_refused(role_set(f, (struct acl_role){.id = S(ID(2)), .name = S("p")}),
                   "A role with name \"p\" already exists");
    assert_ok(role_delete(f, ID(1)));
    assert_ok(role_set(f, (struct acl_role){.id = S(ID(2)), .name = S("p")}));
}

static void methods_take_rules_and_tokens_with_them(void **state) {
    struct fixture *f = *state;
    struct acl_binding_rule rule = {.id = S(ID(1)), .auth_method = S("m")};
    assert_refused(rule_set(f, rule), "failed inserting acl binding rule: auth method not found");
    assert_refused(method_set(f, (struct acl_auth_method){.name = S("M")}),
                   "Missing ACL Auth Method Type");
    assert_ok(method_set(f, (struct acl_auth_method){.name = S("M"), .type = S("jwt")}));
    assert_ok(rule_set(f, rule));
    struct acl_token local = token_named(ID(2), "local"), global = token_named(ID(3), "global");
    local.auth_method = global.auth_method = S("M");
    local.local = true;
    assert_ok(token_set(f, local));
    assert_ok(token_set(f, global));
    assert_int_equal(
        tokens_listed(
            f, (struct acl_token_filter){.local = true, .global = true, .auth_method = S("M")}),
        2);
    assert_ok(method_delete(f, "m"));
    assert_null(by_secret(f, "local"));
    assert_non_null(by_secret(f, "global"));
    struct list rules;
    WITH_READ(f, r) acl_binding_rule_list(r, S(""), &rules);
    assert_int_equal(rules.len, 0);
    assert_int_equal(index_of(f, "acl-binding-rules"), f->index);
    assert_int_equal(index_of(f, "acl-tokens"), f->index);
}

static void expired_tokens_are_found_in_time(void **state) {
    struct fixture *f = *state;
    struct acl_token t = token_named(ID(1), "late");
    t.expiration_time = timestamp_from_unix_ns(300);
    assert_ok(token_set(f, t));
    t = token_named(ID(2), "soon");
    t.expiration_time = timestamp_from_unix_ns(200);
    assert_ok(token_set(f, t));
    t = token_named(ID(3), "here");
    t.local = true;
    t.expiration_time = timestamp_from_unix_ns(100);
    assert_ok(token_set(f, t));
    struct list tokens;
    WITH_READ(f, r) {
        assert_int_equal(acl_tokens_next_expiry(r, false), 200);
        assert_int_equal(acl_tokens_next_expiry(r, true), 100);
        acl_tokens_expired(r, false, 300, 10, &tokens);
    }
    assert_int_equal(tokens.len, 1);
    assert_str(LIST_AT(tokens, struct acl_token *, 0)->secret_id, "soon");
    assert_ok(token_delete(f, ID(2)));
    WITH_READ(f, r) {
        assert_int_equal(acl_tokens_next_expiry(r, false), 300);
        acl_tokens_expired(r, false, 301, 10, &tokens);
    }
    assert_int_equal(tokens.len, 1);
    assert_ok(token_delete(f, ID(1)));
    WITH_READ(f, r) assert_int_equal(acl_tokens_next_expiry(r, false), INT64_MAX);
}

static void bootstrap_happens_once(void **state) {
    struct fixture *f = *state;
    struct acl_bootstrap_request r = {.token = token_named(ID(1), "root")};
    const struct shape *shape = &acl_bootstrap_request_shape;
    assert_bool(legacy_op(f, "bootstrap-init", (struct legacy_acl){0}), true);
    assert_ok(apply(f, ENTRY_ACL_BOOTSTRAP, shape, &r));
    uint64_t index = f->index;
    assert_int_equal(index_of(f, "acl-token-bootstrap"), index);
    assert_bool(legacy_op(f, "bootstrap-init", (struct legacy_acl){0}), false);
    assert_refused(apply(f, ENTRY_ACL_BOOTSTRAP, shape, &r), "ACL bootstrap no longer allowed");
    assert_refused(legacy_op(f, "bootstrap-now", (struct legacy_acl){.id = S("x")}),
                   "ACL bootstrap no longer allowed");
    r.reset_index = index + 1;
    assert_refused(apply(f, ENTRY_ACL_BOOTSTRAP, shape, &r), "Invalid ACL bootstrap reset index");
    r.reset_index = index;
    r.token.accessor_id = S(ID(2));
    assert_refused(apply(f, ENTRY_ACL_BOOTSTRAP, shape, &r),
                   "failed inserting bootstrap token: The ACL Token AccessorID field is immutable");
    r.token.secret_id = S("root2");
    assert_ok(apply(f, ENTRY_ACL_BOOTSTRAP, shape, &r));
    assert_int_equal(index_of(f, "acl-token-bootstrap"), f->index);
}

static void legacy_tokens(void **state) {
    struct fixture *f = *state;
    struct legacy_acl acl = {.id = S("old"), .name = S("n"), .type = S("client"), .rules = S("r")};
    struct store_result *result = legacy_op(f, "set", acl);
    assert_int_equal(result->kind, STORE_RESULT_STR);
    assert_str(result->string, "old");
    struct acl_token *t = by_secret(f, "old");
    assert_str(t->description, "n");
    assert_str(t->type, "client");
    assert_str(t->rules, "r");
    assert_str(t->accessor_id, "");
    t->accessor_id = S(ID(1)); /* as the leader's upgrade does */
    assert_ok(token_set(f, *t));
    acl.name = S("other");
    assert_ok(legacy_op(f, "force-set", acl));
    assert_str(by_accessor(f, ID(1))->description, "other");
    assert_ok(token_set(f, token_named(ID(2), "new")));
    acl.id = S("new");
    assert_refused(legacy_op(f, "set", acl), "failed inserting acl token: cannot use legacy "
                                             "endpoint to modify a non-legacy token");
    assert_ok(legacy_op(f, "delete", acl));
    assert_null(by_secret(f, "new"));
    assert_refused(legacy_op(f, "bogus", acl), "Invalid ACL operation 'bogus'");
    acl.id = S("boot");
    result = legacy_op(f, "bootstrap-now", acl);
    assert_int_equal(result->kind, STORE_RESULT_ACL);
    assert_str(result->acl->id, "boot");
}

static void assert_hash(struct str hash, const char *hex) {
    char text[65] = {0};
    assert_int_equal(hash.len, 32);
    for (size_t i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", (uint8_t)hash.data[i]);
    assert_string_equal(text, hex);
}

/* Values of a real server: acl.md 4.4, 10.1 (anonymous token), tests/vectors/fsm/rewritten.json. */
static void hashes_are_the_peers(void **state) {
    struct fixture *f = *state;
    struct acl_token anonymous = {.description = S("Anonymous Token")};
    assert_hash(acl_token_hash(&anonymous, &f->arena),
                "44d5454969df7790d43ae07cbe9969fa29a2be52276b77ca4159e4507876d5c0");
    struct acl_token client = {.description = S("legacy client"),
                               .type = S("client"),
                               .rules = S("key \"\" { policy = \"read\" }")};
    assert_hash(acl_token_hash(&client, &f->arena),
                "3b518c2578ba0ff05a29a98ceef2b5b79b994743757196b92ae87d841506272e");
    struct acl_policy management = {.name = S("global-management"),
                                    .description = S("Builtin Policy that grants unlimited access"),
                                    .rules = acl_global_management_rules};
    assert_hash(acl_policy_hash(&management, &f->arena),
                "b30210b7aba9facd1c57891e3df27669174a08b690cb2905e0797535f75eba69");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_need_both_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(cas_skips_silently, setup, teardown),
        cmocka_unit_test_setup_teardown(links_are_checked_and_refreshed, setup, teardown),
        cmocka_unit_test_setup_teardown(batches_are_atomic, setup, teardown),
        cmocka_unit_test_setup_teardown(modes_of_writing, setup, teardown),
        cmocka_unit_test_setup_teardown(builtins_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_unique, setup, teardown),
        cmocka_unit_test_setup_teardown(methods_take_rules_and_tokens_with_them, setup, teardown),
        cmocka_unit_test_setup_teardown(expired_tokens_are_found_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(bootstrap_happens_once, setup, teardown),
        cmocka_unit_test_setup_teardown(legacy_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(hashes_are_the_peers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

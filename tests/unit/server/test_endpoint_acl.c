/* The endpoints of access control where HTTP does not show them (rpc.md 6.11): what other servers
 * and agents ask for, where calls go in a secondary datacenter, and the entries that are written.
 * What users see is e2e/test_acl_api.py's. */
#include "acl_fixture.h"

#include "base/time.h"

/* ---- reads by other servers ---- */

static void test_token_by_secret_is_nobodys_business(void **state) {
    struct acl_token_get_request r = {
        .token_id = STR(SOME), .token_id_type = STR("secret"), .options.token = STR(UNKNOWN)};
    struct ask a;
    const struct acl_token_response *reply = ask(&a, 0, &endpoint_acl_token_read, &r)->reply;
    assert_non_null(reply->token);
    assert_true(str_is(reply->token->secret_id, SOME));
    assert_true(str_is(reply->source_datacenter, "dc1"));
    assert_false(reply->redacted);
    ask_end(&a);
    r.token_id = STR(UNKNOWN); /* no error: the asker makes something of it */
    reply = ask(&a, 0, &endpoint_acl_token_read, &r)->reply;
    assert_null(reply->token);
    ask_end(&a);
    r = (struct acl_token_get_request){
        .token_id = STR(SOME), .token_id_type = STR("accessor"), .options.token = STR(UNKNOWN)};
    ask_error(0, &endpoint_acl_token_read, &r, "ACL not found");
}

static void test_batches(void **state) {
    struct str ids[] = {STR(SOME), STR(UNKNOWN), STR(ALL)};
    struct acl_token_batch_get_request r = {.accessor_ids = {ids, 3, true},
                                            .options.token = STR(ROOT)};
    struct ask a;
    const struct acl_token_batch_response *reply =
        ask(&a, 0, &endpoint_acl_token_batch_read, &r)->reply;
    assert_int_equal(reply->tokens.len, 2);
    assert_true(str_is(LIST_AT(reply->tokens, struct acl_token *, 1)->secret_id, ALL));
    assert_false(reply->redacted || reply->removed);
    ask_end(&a);
    token_put("22222222-0000-4000-8000-000000000001", "acl = \"read\"");
    r.options.token = STR("22222222-0000-4000-8000-000000000001");
    reply = ask(&a, 0, &endpoint_acl_token_batch_read, &r)->reply;
    assert_int_equal(reply->tokens.len, 2);
    assert_true(reply->redacted && !reply->removed);
    assert_true(str_is(LIST_AT(reply->tokens, struct acl_token *, 0)->secret_id, "<hidden>"));
    ask_end(&a);
    r.options.token = STR(SOME);
    reply = ask(&a, 0, &endpoint_acl_token_batch_read, &r)->reply;
    assert_int_equal(reply->tokens.len, 0);
    assert_true(reply->removed);
    ask_end(&a);
    struct acl_policy_batch_get_request p = {.policy_ids = {ids, 3, true},
                                             .options.token = STR(SOME)};
    const struct acl_policy_batch_response *policies =
        ask(&a, 0, &endpoint_acl_policy_batch_read, &p)->reply;
    assert_int_equal(policies->policies.len, 0);
    ask_end(&a);
    p.options.token = STR(ROOT);
    policies = ask(&a, 0, &endpoint_acl_policy_batch_read, &p)->reply;
    assert_int_equal(policies->policies.len, 2);
    ask_end(&a);
}

/* Only what the token itself links to, directly or through a role. */
static void test_resolve(void **state) {
    struct str mine[] = {STR(SOME)}, others[] = {STR(SOME), STR(ALL)};
    struct acl_policy_batch_get_request p = {.policy_ids = {mine, 1, true},
                                             .options.token = STR(SOME)};
    struct ask a;
    const struct acl_policy_batch_response *reply =
        ask(&a, 0, &endpoint_acl_policy_resolve, &p)->reply;
    assert_int_equal(reply->policies.len, 1);
    assert_int_equal(reply->meta.index, 0);
    ask_end(&a);
    p.policy_ids = (struct list){others, 2, true};
    ask_error(0, &endpoint_acl_policy_resolve, &p, DENIED);

    struct acl_link link = {.id = STR(ALL)};
    struct acl_role_set_request set = {
        .role = {.name = STR("carrier"), .policies = {&link, 1, true}}, .write.token = STR(ROOT)};
    const struct acl_role *role = ask(&a, 0, &endpoint_acl_role_set, &set)->reply;
    char role_id[37];
    snprintf(role_id, sizeof role_id, STR_FMT, STR_ARG(role->id));
    ask_end(&a);
    struct acl_link roles[] = {{.name = STR("Carrier")}};
    struct acl_token_set_request t = {
        .acl_token = {.roles = {roles, 1, true},
                      .secret_id = STR("22222222-0000-4000-8000-000000000002")},
        .create = true,
        .write.token = STR(ROOT)};
    ask(&a, 0, &endpoint_acl_token_set, &t);
    ask_end(&a);
    p = (struct acl_policy_batch_get_request){.policy_ids = {others + 1, 1, true},
                                              .options.token =
                                                  STR("22222222-0000-4000-8000-000000000002")};
    reply = ask(&a, 0, &endpoint_acl_policy_resolve, &p)->reply;
    assert_int_equal(reply->policies.len, 1);
    ask_end(&a);
    struct str role_ids[] = {str_from(role_id)};
    struct acl_role_batch_get_request r = {.role_ids = {role_ids, 1, true},
                                           .options.token =
                                               STR("22222222-0000-4000-8000-000000000002")};
    const struct acl_role_batch_response *found = ask(&a, 0, &endpoint_acl_role_resolve, &r)->reply;
    assert_int_equal(found->roles.len, 1);
    ask_end(&a);
    r.options.token = STR(SOME);
    ask_error(0, &endpoint_acl_role_resolve, &r, DENIED);
}

/* ---- the old system's policies ---- */

static void test_get_policy(void **state) {
    struct acl_policy_resolve_legacy_request r = {.acl = STR(ROOT)};
    struct ask a;
    const struct acl_policy_resolve_legacy_response *reply =
        ask(&a, 0, &endpoint_acl_get_policy, &r)->reply;
    assert_true(str_is(reply->parent, "manage"));
    assert_true(str_has_prefix(reply->etag, STR("manage:")));
    assert_int_equal(reply->etag.len, strlen("manage:") + 64);
    assert_non_null(reply->policy);
    assert_true(str_is(reply->policy->acl, "write") && str_is(reply->policy->keyring, "write"));
    assert_int_equal(reply->policy->services.len,
                     1); /* the prefix rule, in the list of the exact */
    assert_false(reply->policy->service_prefixes.present);
    const struct legacy_service_rule *service =
        LIST_AT(reply->policy->services, struct legacy_service_rule *, 0);
    assert_true(str_is(service->intentions, "write") && service->name.len == 0);
    char etag[128];
    snprintf(etag, sizeof etag, STR_FMT, STR_ARG(reply->etag));
    ask_end(&a);
    r.etag = str_from(etag);
    reply = ask(&a, 0, &endpoint_acl_get_policy, &r)->reply;
    assert_null(reply->policy);
    assert_true(reply->parent.len == 0 && str_is(reply->etag, etag));
    ask_end(&a);
    r = (struct acl_policy_resolve_legacy_request){.acl = STR(SOME)};
    reply = ask(&a, 0, &endpoint_acl_get_policy, &r)->reply;
    assert_true(str_is(reply->parent, "deny"));
    assert_int_equal(reply->policy->services.len, 2);
    assert_int_equal(reply->policy->keys.len, 1);
    ask_end(&a);
    r.acl = STR(UNKNOWN);
    ask_error(0, &endpoint_acl_get_policy, &r, "ACL not found");
    r.acl = STR("anonymous"); /* without any policy */
    ask_error(0, &endpoint_acl_get_policy, &r, "ACL not found");
}

/* ---- writes ---- */

static void test_set_refusals_of_rpc(void **state) {
    struct acl_token_set_request r = {
        .acl_token.type = STR("management"), .create = true, .write.token = STR(ROOT)};
    ask_error(0, &endpoint_acl_token_set, &r, "Type cannot be specified for this token");
    struct service_identity *none[] = {NULL};
    r.acl_token = (struct acl_token){.service_identities = {none, 1, true}};
    ask_error(0, &endpoint_acl_token_set, &r,
              "Service identity is missing the service name field on this token");
    struct node_identity *nobody[] = {NULL};
    struct acl_role_set_request role = {
        .role = {.name = STR("x"), .node_identities = {nobody, 1, true}}, .write.token = STR(ROOT)};
    ask_error(0, &endpoint_acl_role_set, &role,
              "Node identity is missing the node name field on this role");
    struct legacy_acl_request apply = {.op = STR("force-set"), .write.token = STR(ROOT)};
    ask_error(0, &endpoint_acl_apply, &apply, "Invalid ACL Operation");
    apply.op = STR("delete");
    ask_error(0, &endpoint_acl_apply, &apply, "Missing ACL ID");
    struct acl_login_request login = {.write.token = STR("x")};
    ask_error(0, &endpoint_acl_login, &login, "Invalid Login request: Missing auth parameters");
    struct acl_login_params auth = {.auth_method = STR("m")};
    login.auth = &auth;
    ask_error(0, &endpoint_acl_login, &login, "do not provide a token when logging in");
    struct acl_logout_request logout = {.write.token = STR("")};
    ask_error(0, &endpoint_acl_logout, &logout, "ACL not found");
    logout.write.token = STR(SOME);
    ask_error(0, &endpoint_acl_logout, &logout, DENIED);
}

/* What prepare fills in must not be in the request: the call may be sent on to another leader. */
static void test_request_stays_as_it_was(void **state) {
    struct acl_token_set_request r = {.create = true, .write.token = STR(ROOT)};
    struct ask a;
    const struct acl_token *token = ask(&a, 0, &endpoint_acl_token_set, &r)->reply;
    assert_int_equal(token->accessor_id.len, 36);
    assert_int_equal(token->hash.len, 32);
    assert_true(token->create_index > 0 && token->create_time.present);
    assert_int_equal(r.acl_token.accessor_id.len, 0);
    assert_int_equal(r.acl_token.secret_id.len, 0);
    ask_end(&a);
}

/* Deleting what is not there answers without an entry. */
static void test_nothing_to_delete(void **state) {
    uint64_t before = store_applied_index(server_store(server));
    struct acl_token_delete_request t = {.token_id = STR(UNKNOWN), .write.token = STR(ROOT)};
    struct ask a;
    assert_int_equal(((const struct str *)ask(&a, 0, &endpoint_acl_token_delete, &t)->reply)->len,
                     0);
    ask_end(&a);
    struct acl_auth_method_delete_request m = {.auth_method_name = STR("nope"),
                                               .write.token = STR(ROOT)};
    assert_false(*(const bool *)ask(&a, 0, &endpoint_acl_auth_method_delete, &m)->reply);
    ask_end(&a);
    assert_int_equal(store_applied_index(server_store(server)), before);
}

/* ---- elsewhere than in the primary, and without access control ---- */

static int begin_secondary(void **state) {
    struct server_options o = harness_options();
    o.datacenter = STR("dc2");
    o.rpc_hold_timeout = 20 * SECOND; /* the leader may take a while on a busy machine */
    o.acl = (struct acl_options){.enabled = true, .primary_datacenter = STR("dc1")};
    server_begin(&o);
    return 0;
}

static int begin_off(void **state) {
    struct server_options o = harness_options();
    o.acl.primary_datacenter = STR("dc1");
    server_begin(&o);
    server_settle();
    return 0;
}

/* The server begins in the old system's mode, and leaves it when it leads. */
static void new_system_wait(void) {
    for (int i = 0; i < 5000; i++) {
        struct acl_logout_request r = {.write.token = STR("")};
        struct ask a;
        ask_start(&a, 0, &endpoint_acl_logout, &r);
        struct answer *answer = ask_wait(&a, 30000);
        assert_non_null(answer);
        bool legacy = str_find(answer->error.text, STR("legacy mode"), 0) >= 0;
        ask_end(&a);
        if (!legacy)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    fail_msg("still in the old system's mode");
}

/* What the primary has to do goes there, whom nobody knows here; the rest is refused. */
static void test_secondary(void **state) {
    new_system_wait();
    struct acl_policy_set_request p = {.policy.name = STR("p")};
    ask_error(0, &endpoint_acl_policy_set, &p, "No path to datacenter");
    struct acl_role_delete_request d = {.role_id = STR(UNKNOWN)};
    ask_error(0, &endpoint_acl_role_delete, &d, "No path to datacenter");
    struct acl_token_set_request t = {.create = true};
    ask_error(0, &endpoint_acl_token_set, &t, "No path to datacenter");
    t.acl_token.local = true;
    ask_error(0, &endpoint_acl_token_set, &t, "Local tokens are disabled");
    struct acl_token_get_request g = {.token_id = STR("x"), .token_id_type = STR("secret")};
    ask_error(0, &endpoint_acl_token_read, &g, "No path to datacenter");
    struct acl_binding_rule_list_request b = {0};
    ask_error(0, &endpoint_acl_binding_rule_list, &b,
              "Token replication is required for auth methods to function");
    struct acl_logout_request logout = {.write.token = STR("")};
    ask_error(0, &endpoint_acl_logout, &logout, "ACL not found");
    logout.write.token = STR("x");
    ask_error(0, &endpoint_acl_logout, &logout,
              "Token replication is required for auth methods to function");
    struct dc_request dc = {0};
    ask_error(0, &endpoint_acl_bootstrap_tokens, &dc, "ACL support disabled");
    ask_error(0, &endpoint_acl_bootstrap, &dc, "ACL support disabled");
    struct acl_policy_resolve_legacy_request l = {.acl = STR("x")};
    ask_error(0, &endpoint_acl_get_policy, &l, "ACL support disabled");
}

static void test_off(void **state) {
    struct acl_token_set_request t = {.create = true};
    ask_error(0, &endpoint_acl_token_set, &t, "ACL support disabled");
    struct acl_policy_list_request p = {0};
    ask_error(0, &endpoint_acl_policy_list, &p, "ACL support disabled");
    struct acl_login_request login = {0};
    ask_error(0, &endpoint_acl_login, &login, "ACL support disabled");
    struct dc_request dc = {0};
    ask_error(0, &endpoint_acl_bootstrap_tokens, &dc, "ACL support disabled");
    ask_error(0, &endpoint_acl_bootstrap, &dc, "ACL support disabled");
    ask_error(0, &endpoint_acl_list, &dc, "ACL support disabled");
    struct legacy_acl_request apply = {.op = STR("set")};
    ask_error(0, &endpoint_acl_apply, &apply, "ACL support disabled");
    struct acl_specific_request get = {.acl = STR("x")};
    ask_error(0, &endpoint_acl_get, &get, "ACL support disabled");
    struct ask a;
    const struct acl_replication_status *status =
        ask(&a, 0, &endpoint_acl_replication_status, &dc)->reply;
    assert_false(status->enabled || status->running);
    ask_end(&a);
}

int main(void) {
    const struct CMUnitTest on[] = {
        cmocka_unit_test(test_token_by_secret_is_nobodys_business),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_get_policy),
        cmocka_unit_test(test_set_refusals_of_rpc),
        cmocka_unit_test(test_request_stays_as_it_was),
        cmocka_unit_test(test_nothing_to_delete),
    };
    const struct CMUnitTest secondary[] = {cmocka_unit_test(test_secondary)};
    const struct CMUnitTest off[] = {cmocka_unit_test(test_off)};
    return cmocka_run_group_tests(on, begin, end) +
           cmocka_run_group_tests(secondary, begin_secondary, end) +
           cmocka_run_group_tests(off, begin_off, end);
}

/* Who goes over from the old system of access control to the new one, and when (acl.md 12.1); what
 * becomes of tokens of the old kind (12.3); what rules of the old kind say elsewhere (7.4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "schema/hash.h"
#include "server/acl_mode.h"
#include "server/acl_upgrade.h"
#include "server/authorize_legacy.h"
#include "store/acl.h"

static struct peer server(int32_t acls, enum peer_status status, const char *datacenter) {
    return (struct peer){.acls = acls, .status = status, .datacenter = str_from(datacenter)};
}

static enum acl_mode mode_of(const struct peer *all, size_t count, bool *found) {
    const struct peer *list[8];
    for (size_t i = 0; i < count; i++)
        list[i] = &all[i];
    return acl_mode_of(list, count, STR("dc1"), found);
}
#define MODE(found, ...)                                                                           \
    mode_of((const struct peer[]){__VA_ARGS__},                                                    \
            sizeof((const struct peer[]){__VA_ARGS__}) / sizeof(struct peer), (found))

static void test_the_worst_counts(void **state) {
    struct peer off = server(0, PEER_ALIVE, "dc1"), on = server(1, PEER_ALIVE, "dc1"),
                old = server(2, PEER_ALIVE, "dc1"), unknown = server(-1, PEER_ALIVE, "dc1");
    bool found;
    assert_int_equal(MODE(&found, on, on), ACL_MODE_ENABLED);
    assert_true(found);
    assert_int_equal(MODE(&found, on, old, on), ACL_MODE_LEGACY);
    assert_int_equal(MODE(&found, old, unknown, on), ACL_MODE_UNKNOWN);
    assert_int_equal(MODE(&found, unknown, off, old), ACL_MODE_DISABLED);
    assert_int_equal(MODE(&found, server(3, PEER_ALIVE, "dc1")), ACL_MODE_UNKNOWN);
    assert_int_equal(MODE(&found, server(1000, PEER_ALIVE, "dc1")), ACL_MODE_UNKNOWN);
    /* failed ones may come back; those that left do not */
    assert_int_equal(MODE(&found, on, server(0, PEER_FAILED, "dc1")), ACL_MODE_DISABLED);
    assert_int_equal(MODE(&found, on, server(0, PEER_LEFT, "dc1")), ACL_MODE_ENABLED);
    assert_int_equal(MODE(&found, on, server(0, PEER_LEAVING, "dc1")), ACL_MODE_ENABLED);
    assert_int_equal(MODE(&found, server(0, PEER_ALIVE, "dc2")), ACL_MODE_ENABLED);
    assert_false(found);
}

static void test_who_goes_over(void **state) {
    struct acl_mode_seen seen = {.found = true, .mode = ACL_MODE_LEGACY};
    for (int mode = ACL_MODE_DISABLED; mode <= ACL_MODE_UNKNOWN; mode++) {
        for (int leader = ACL_MODE_DISABLED; leader <= ACL_MODE_UNKNOWN; leader++) {
            seen.mode = (enum acl_mode)mode;
            seen.leader_mode = (enum acl_mode)leader;
            assert_int_equal(acl_mode_may_switch(&seen, ACL_MODE_ROLE_LEADER),
                             mode == ACL_MODE_LEGACY || mode == ACL_MODE_ENABLED);
            assert_int_equal(acl_mode_may_switch(&seen, ACL_MODE_ROLE_FOLLOWER),
                             leader == ACL_MODE_ENABLED);
            assert_int_equal(acl_mode_may_switch(&seen, ACL_MODE_ROLE_CLIENT),
                             mode == ACL_MODE_ENABLED);
        }
    }
    seen = (struct acl_mode_seen){.found = false, .mode = ACL_MODE_ENABLED};
    assert_false(acl_mode_may_switch(&seen, ACL_MODE_ROLE_CLIENT)); /* it knows no server */
}

static void test_a_secondary_waits_for_the_primary(void **state) {
    struct acl_mode_seen seen = {.found = true,
                                 .mode = ACL_MODE_LEGACY,
                                 .leader_mode = ACL_MODE_ENABLED,
                                 .secondary = true,
                                 .primary_mode = ACL_MODE_ENABLED};
    assert_false(acl_mode_may_switch(&seen, ACL_MODE_ROLE_LEADER)); /* none is known */
    assert_false(acl_mode_may_switch(&seen, ACL_MODE_ROLE_FOLLOWER));
    seen.primary_found = true;
    assert_true(acl_mode_may_switch(&seen, ACL_MODE_ROLE_LEADER));
    assert_true(acl_mode_may_switch(&seen, ACL_MODE_ROLE_FOLLOWER));
    seen.primary_mode = ACL_MODE_LEGACY;
    assert_false(acl_mode_may_switch(&seen, ACL_MODE_ROLE_LEADER));
    assert_false(acl_mode_may_switch(&seen, ACL_MODE_ROLE_FOLLOWER));
    seen.mode = ACL_MODE_ENABLED;
    assert_true(acl_mode_may_switch(&seen, ACL_MODE_ROLE_CLIENT)); /* follows its own servers */
}

static void test_looking_again(void **state) {
    int64_t wait = acl_mode_wait(0), all = 0;
    assert_int_equal(wait, 50 * MILLISECOND);
    for (int i = 0; i < 9; i++) {
        int64_t next = acl_mode_wait(wait);
        assert_int_equal(next, wait * 2);
        wait = next;
        all += wait;
    }
    assert_int_equal(wait, 25600 * MILLISECOND);
    assert_int_equal(acl_mode_wait(wait), 30 * SECOND);
    assert_int_equal(acl_mode_wait(30 * SECOND), 30 * SECOND);
}

static void test_upgrade(void **state) {
    struct arena arena = ARENA_INIT;
    struct str accessor = STR("12345678-0000-0000-0000-000000000000");
    struct acl_token management = {.secret_id = STR("m"), .type = STR("management")};
    acl_upgrade_token(&management, accessor, &arena);
    assert_true(str_eq(management.accessor_id, accessor));
    assert_int_equal(management.policies.len, 1);
    assert_true(
        str_is(LIST_AT(management.policies, struct acl_link, 0).id, ACL_POLICY_GLOBAL_MANAGEMENT));
    assert_true(str_is(management.type, "management"));
    assert_true(str_eq(management.hash, acl_token_hash(&management, &arena)));

    struct acl_token client = {
        .secret_id = STR("c"), .type = STR("client"), .rules = STR("key \"\" {}")};
    acl_upgrade_token(&client, accessor, &arena);
    assert_int_equal(client.policies.len, 0);
    assert_true(str_is(client.rules, "key \"\" {}"));

    struct acl_token anonymous = {.secret_id = STR("anonymous"), .type = STR("client")};
    acl_upgrade_token(&anonymous, accessor, &arena);
    assert_true(str_is(anonymous.accessor_id, ACL_TOKEN_ANONYMOUS));
    arena_free(&arena);
}

static void *one(struct arena *arena, struct list *list, size_t size) {
    void **items = arena_zalloc(arena, 1, sizeof(void *));
    items[0] = arena_zalloc(arena, 1, size);
    *list = (struct list){items, 1, true};
    return items[0];
}

static void test_rules_from_elsewhere(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct legacy_policy p = {.operator= STR("read"), .keyring = STR("nonsense")};
    *(struct legacy_prefix_rule *)one(&arena, &p.keys, sizeof(struct legacy_prefix_rule)) =
        (struct legacy_prefix_rule){.prefix = STR("a/"), .policy = STR("write")};
    *(struct legacy_node_rule *)one(&arena, &p.agents, sizeof(struct legacy_node_rule)) =
        (struct legacy_node_rule){.node = STR("n"), .policy = STR("read")};
    *(struct legacy_service_rule *)one(&arena, &p.services, sizeof(struct legacy_service_rule)) =
        (struct legacy_service_rule){
            .name = STR("w"), .policy = STR("read"), .intentions = STR("write")};
    const struct authorizer *a = legacy_policy_authorizer(&p, STR("deny"), &e);
    assert_true(authorizer_may(a, ACL_KEY, ACL_WRITE, STR("a/b")));
    assert_false(authorizer_may(a, ACL_KEY, ACL_READ, STR("b")));
    assert_true(authorizer_may(a, ACL_AGENT, ACL_READ, STR("node")));
    assert_false(authorizer_may(a, ACL_AGENT, ACL_WRITE, STR("node")));
    assert_true(authorizer_may(a, ACL_SERVICE, ACL_READ, STR("web")));
    assert_true(authorizer_may_intention(a, ACL_WRITE, STR("web")));
    assert_true(authorizer_may_operator(a, ACL_READ));
    assert_false(authorizer_may_operator(a, ACL_WRITE));
    assert_false(authorizer_may_keyring(a, ACL_READ));
    authorizer_release(a);

    a = legacy_policy_authorizer(&p, STR("allow"), &e);
    assert_true(authorizer_may(a, ACL_KEY, ACL_READ, STR("b")));
    assert_false(authorizer_may_acl(a, ACL_READ));
    authorizer_release(a);
    a = legacy_policy_authorizer(NULL, STR("manage"), &e);
    assert_true(authorizer_may_acl(a, ACL_WRITE));
    authorizer_release(a);
    a = legacy_policy_authorizer(NULL, STR("deny"), &e);
    assert_false(authorizer_may(a, ACL_KEY, ACL_READ, STR("b")));
    authorizer_release(a);
    assert_null(legacy_policy_authorizer(&p, STR("something"), &e));
    assert_true(str_is(e.text, "Invalid Parent"));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_worst_counts),
        cmocka_unit_test(test_who_goes_over),
        cmocka_unit_test(test_a_secondary_waits_for_the_primary),
        cmocka_unit_test(test_looking_again),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_rules_from_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

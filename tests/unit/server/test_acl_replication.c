/* What a round of replication does: against a second, plain way to find it for random lists, and
 * the limits of entries and time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "server/acl_replication_diff.h"
#include "server/replication.h"
#include "store/acl.h"

static struct list replicas(struct arena *arena, const struct replica *items, uint32_t len) {
    struct list all = LIST_NEW(arena, struct replica, len);
    for (uint32_t i = 0; i < len; i++)
        LIST_AT(all, struct replica, i) = items[i];
    return all;
}

static struct replica one(const char *id, const char *hash, uint64_t index) {
    return (struct replica){str_from(id), str_from(hash), index, NULL};
}

static void test_what_differs(void **state) {
    struct arena arena = ARENA_INIT;
    struct replica ours[] = {one("d", "1", 9), one("", "x", 1), one("b", "1", 9), one("a", "1", 9)};
    struct replica theirs[] = {one("c", "1", 3), one("b", "2", 20), one("a", "2", 5),
                               one("", "x", 30), one("", "y", 30)};
    struct list local = replicas(&arena, ours, COUNT_OF(ours));
    struct list remote = replicas(&arena, theirs, COUNT_OF(theirs));
    struct replica_diff d;
    replica_diff(&local, &remote, 10, &arena, &d);
    assert_int_equal(d.deletions.len, 1);
    assert_true(str_is(LIST_AT(d.deletions, struct str, 0), "d"));
    assert_int_equal(d.updates.len, 2); /* b is newer, c is missing; a was here at 10 */
    assert_true(str_is(LIST_AT(d.updates, struct replica, 0).id, "b"));
    assert_true(str_is(LIST_AT(d.updates, struct replica, 1).id, "c"));
    assert_int_equal(d.skipped_local, 1);
    assert_int_equal(d.skipped_remote, 2);

    replica_diff(&local, &remote, 0, &arena, &d); /* a full comparison finds a too */
    assert_int_equal(d.updates.len, 3);
    assert_true(str_is(LIST_AT(d.updates, struct replica, 0).id, "a"));
    arena_free(&arena);
}

static struct list random_replicas(struct prng *p, struct arena *arena) {
    static const char *const ids[] = {"", "a", "b", "c", "d", "e", "f", "g"};
    static const char *const hashes[] = {"1", "2"};
    struct replica items[COUNT_OF(ids)];
    uint32_t len = 0;
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        if (prng_below(p, 2))
            items[len++] = one(ids[i], hashes[prng_below(p, 2)], prng_below(p, 6));
    }
    for (uint32_t i = len; i > 1; i--) {
        uint32_t k = (uint32_t)prng_below(p, i);
        struct replica swap = items[i - 1];
        items[i - 1] = items[k];
        items[k] = swap;
    }
    return replicas(arena, items, len);
}

static const struct replica *find(const struct list *all, struct str id) {
    for (uint32_t i = 0; i < all->len; i++) {
        if (str_eq(LIST_AT(*all, struct replica, i).id, id))
            return &LIST_AT(*all, struct replica, i);
    }
    return NULL;
}

static bool deletes(const struct replica_diff *d, struct str id) {
    return str_list_has(&d->deletions, id);
}

static void test_random_lists(void **state) {
    struct prng p;
    prng_seed(&p, 7);
    for (int round = 0; round < 20000; round++) {
        struct arena arena = ARENA_INIT;
        struct list local = random_replicas(&p, &arena), remote = random_replicas(&p, &arena);
        uint64_t last = prng_below(&p, 6);
        struct replica_diff d;
        replica_diff(&local, &remote, last, &arena, &d);
        uint32_t deletions = 0, updates = 0;
        for (char c = 'a'; c <= 'g'; c++) {
            struct str id = str_of(&c, 1);
            const struct replica *l = find(&local, id), *r = find(&remote, id);
            bool gone = l != NULL && r == NULL;
            bool fetched =
                r != NULL && (l == NULL || (r->modify_index > last && !str_eq(l->hash, r->hash)));
            assert_int_equal(deletes(&d, id), gone);
            assert_int_equal(find(&d.updates, id) != NULL, fetched);
            deletions += gone;
            updates += fetched;
        }
        assert_int_equal(d.deletions.len, deletions);
        assert_int_equal(d.updates.len, updates);
        arena_free(&arena);
    }
}

/* As the peer logged them for what a cluster begins with: batch_size=464, batch_size=257. */
static void test_sizes_of_the_peer(void **state) {
    struct arena arena = ARENA_INIT;
    struct acl_policy management = {.name = STR("global-management"),
                                    .description =
                                        STR("Builtin Policy that grants unlimited access"),
                                    .rules = acl_global_management_rules};
    assert_int_equal(replica_policy_size(&management), 464);
    struct list links = LIST_NEW(&arena, struct acl_link, 1);
    LIST_AT(links, struct acl_link, 0) =
        (struct acl_link){STR(ACL_POLICY_GLOBAL_MANAGEMENT), STR("global-management")};
    struct acl_token anonymous = {.accessor_id = STR(ACL_TOKEN_ANONYMOUS),
                                  .secret_id = STR("anonymous"),
                                  .description = STR("Anonymous Token")};
    struct acl_token master = {.accessor_id = STR("db01fefd-46e2-7b6d-f075-962c5c32f455"),
                               .secret_id = STR("root"),
                               .description = STR("Master Token"),
                               .policies = links,
                               .type = STR("management")};
    assert_int_equal(replica_token_size(&anonymous) + replica_token_size(&master), 257);
    arena_free(&arena);
}

static void test_sizes(void **state) {
    struct arena arena = ARENA_INIT;
    struct list datacenters = LIST_NEW(&arena, struct str, 2);
    LIST_AT(datacenters, struct str, 0) = STR("dc1");
    LIST_AT(datacenters, struct str, 1) = STR("dc22");
    struct acl_policy policy = {.name = STR("abc"),
                                .description = STR("de"),
                                .rules = STR("0123456789"),
                                .datacenters = datacenters};
    assert_int_equal(replica_policy_size(&policy), 64 + 3 + 2 + 10 + 7);

    struct list links = LIST_NEW(&arena, struct acl_link, 1);
    LIST_AT(links, struct acl_link, 0) = (struct acl_link){STR("12345"), STR("n")};
    struct service_identity service = {.service_name = STR("web"), .datacenters = datacenters};
    struct node_identity node = {STR("dc1"), STR("node")};
    struct list services = LIST_NEW(&arena, struct service_identity *, 1);
    LIST_AT(services, struct service_identity *, 0) = &service;
    struct list nodes = LIST_NEW(&arena, struct node_identity *, 1);
    LIST_AT(nodes, struct node_identity *, 0) = &node;
    struct acl_role role = {.name = STR("r"),
                            .description = STR("dd"),
                            .policies = links,
                            .service_identities = services,
                            .node_identities = nodes};
    assert_int_equal(replica_role_size(&role), 60 + 1 + 2 + 6 + 10 + 7);
    struct acl_token token = {.accessor_id = STR("acc"),
                              .secret_id = STR("secret"),
                              .description = STR("dddd"),
                              .type = STR("client"),
                              .rules = STR("rules"),
                              .auth_method = STR("m"),
                              .policies = links,
                              .roles = links,
                              .service_identities = services,
                              .node_identities = nodes};
    assert_int_equal(replica_token_size(&token), 41 + 3 + 6 + 4 + 6 + 5 + 1 + 12 + 10 + 7);
    arena_free(&arena);
}

static size_t size_of(const void *object) {
    return *(const size_t *)object;
}

static void test_batches(void **state) {
    static const size_t sizes[] = {100 << 10, 100 << 10, 56 << 10, 1, 300 << 10, 5};
    struct arena arena = ARENA_INIT;
    struct list objects = LIST_NEW(&arena, const void *, COUNT_OF(sizes));
    for (uint32_t i = 0; i < COUNT_OF(sizes); i++)
        LIST_AT(objects, const void *, i) = &sizes[i];
    size_t size;
    assert_int_equal(replica_batch(&objects, 0, size_of, &size), 3); /* exactly full */
    assert_int_equal(size, 256 << 10);
    assert_int_equal(replica_batch(&objects, 3, size_of, &size), 1);
    assert_int_equal(replica_batch(&objects, 4, size_of, &size), 1); /* alone, though too large */
    assert_int_equal(size, 300 << 10);
    assert_int_equal(replica_batch(&objects, 5, size_of, &size), 1);
    assert_int_equal(replica_batch(&objects, 6, size_of, &size), 0);
    arena_free(&arena);
}

static void test_time(void **state) {
    static const int64_t waits[] = {0, 2, 4, 8, 16, 32, 64, 64, 64};
    for (unsigned i = 0; i < COUNT_OF(waits); i++)
        assert_int_equal(replica_backoff(i, 2 * SECOND, 64 * SECOND), waits[i] * SECOND);
    assert_int_equal(replica_backoff(1000000, 2 * SECOND, 64 * SECOND), 64 * SECOND);

    struct replica_rate rate = {0};
    int64_t now = 1000 * SECOND;
    for (int i = 0; i < 5; i++)
        assert_int_equal(replica_rate_take(&rate, SECOND, now), 0); /* saved up */
    assert_int_equal(replica_rate_take(&rate, SECOND, now), SECOND);
    now += SECOND;
    assert_int_equal(replica_rate_take(&rate, SECOND, now), SECOND);
    now += 100 * SECOND; /* no more than five are saved */
    for (int i = 0; i < 5; i++)
        assert_int_equal(replica_rate_take(&rate, SECOND, now), 0);
    assert_int_equal(replica_rate_take(&rate, SECOND, now), SECOND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_differs), cmocka_unit_test(test_random_lists),
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_sizes_of_the_peer),
        cmocka_unit_test(test_batches),      cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

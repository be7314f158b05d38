/* Clusters of 1, 3 and 5 on virtual time: elections, replication, membership, snapshots, transfers;
 * and fuzzy runs in which everything goes wrong. CLUSTER_SEED=n replays one of them,
 * CLUSTER_SEEDS=n runs more, CLUSTER_LOG=1 shows what the servers say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/raft/cluster.h"

/* ---- one server ---- */

static void test_single(void **state) {
    struct cluster *c = cluster_new(1, 1, 0);
    struct node *n = c->nodes[0];
    /* Nobody else can lead: it does not wait for a timeout, but it does for its disk. */
    struct raft_event tick = {.kind = RAFT_EVENT_TICK};
    node_event(c, n, &tick);
    assert_int_equal(raft_get_state(n->raft), RAFT_CANDIDATE);
    cluster_run(c, 10 * MILLISECOND);
    assert_int_equal(raft_get_state(n->raft), RAFT_LEADER);
    assert_int_equal(raft_term(n->raft), 2);
    assert_int_equal(n->applied, 2);
    c->disk_latency = 10 * MILLISECOND;
    uint64_t index = node_propose(c, n, STR("x"));
    assert_int_equal(index, 3);
    assert_int_equal(n->applied, 2); /* not before it is durable */
    cluster_run(c, 20 * MILLISECOND);
    assert_int_equal(n->applied, 3);
    assert_int_equal(raft_next_wakeup(n->raft), INT64_MAX);
    struct raft_event verify = {.kind = RAFT_EVENT_VERIFY};
    node_event(c, n, &verify);
    assert_int_equal(n->verified_ok, 1);
    node_crash(c, n);
    node_start(c, n);
    cluster_run(c, 100 * MILLISECOND);
    assert_int_equal(raft_term(n->raft), 3);
    assert_int_equal(n->applied, 4);
    cluster_free(c);
}

/* "If that write fails the leader steps down and the callers get the error." */
static void test_write_fails(void **state) {
    struct cluster *c = cluster_new(2, 1, 0);
    struct node *n = cluster_elect(c);
    uint64_t before = n->applied;
    n->fail_next_write = true;
    assert_int_not_equal(0, node_propose(c, n, STR("x")));
    cluster_run(c, 2 * MILLISECOND);
    assert_int_equal(raft_get_log(n->raft)->last, before);
    cluster_run(c, 5 * SECOND); /* it comes back */
    n = cluster_elect(c);
    uint64_t index = node_propose(c, n, STR("y"));
    cluster_run(c, SECOND);
    assert_true(n->applied >= index);
    /* A term that could not be saved is tried again, and not used before. */
    node_crash(c, n);
    node_start(c, n);
    n->fail_next_write = true;
    cluster_run(c, 5 * SECOND);
    assert_int_equal(raft_get_state(n->raft), RAFT_LEADER);
    assert_int_equal(n->term, raft_term(n->raft));
    cluster_free(c);
}

/* ---- three and five ---- */

static void wait_all_applied(struct cluster *c, uint64_t index) {
    for (int t = 0; t < 100; t++) {
        bool all = true;
        for (int i = 0; i < c->count; i++)
            all = all && (!c->nodes[i]->up || c->nodes[i]->applied >= index);
        if (all)
            return;
        cluster_run(c, 100 * MILLISECOND);
    }
    CLUSTER_CHECK(c, !"not everywhere");
}

static void replicate(int servers) {
    struct cluster *c = cluster_new((uint64_t)servers, servers, 0);
    struct node *leader = cluster_elect(c);
    uint64_t last = 0;
    for (int i = 0; i < 500; i++) {
        char text[16];
        last = node_propose(c, leader, str_of(text, (size_t)sprintf(text, "%d", i)));
        assert_int_not_equal(last, 0);
        if (i % 50 == 0)
            cluster_run(c, 5 * MILLISECOND);
    }
    wait_all_applied(c, last);
    assert_ptr_equal(cluster_leader(c), leader); /* nothing disturbed it */

    /* Followers learn of a commit without new entries within the commit timeout. */
    last = node_propose(c, leader, STR("one"));
    cluster_run(c, 120 * MILLISECOND);
    for (int i = 0; i < servers; i++)
        assert_true(c->nodes[i]->applied >= last);

    /* The leader dies; another one takes over and has everything. */
    node_crash(c, leader);
    cluster_run(c, 10 * SECOND);
    struct node *next = cluster_leader(c);
    assert_non_null(next);
    assert_ptr_not_equal(next, leader);
    last = node_propose(c, next, STR("two"));
    node_start(c, leader);
    wait_all_applied(c, last);
    cluster_free(c);
}

static void test_three(void **state) {
    replicate(3);
}
static void test_five(void **state) {
    replicate(5);
}

/* Cut off from the others a leader stops leading after its lease, and its verification fails. */
static void test_lease(void **state) {
    struct cluster *c = cluster_new(5, 3, 0);
    struct node *old = cluster_elect(c);
    cluster_run(c, SECOND);
    struct raft_event verify = {.kind = RAFT_EVENT_VERIFY};
    node_event(c, old, &verify);
    assert_int_equal(old->verified_ok, 0); /* two others have to answer */
    cluster_run(c, 20 * MILLISECOND);
    assert_int_equal(old->verified_ok, 1);
    cluster_part(c, old, true);
    uint64_t lost = node_propose(c, old, STR("lost"));
    struct raft_event again = {.kind = RAFT_EVENT_VERIFY};
    node_event(c, old, &again);
    cluster_run(c, 700 * MILLISECOND);
    assert_int_not_equal(raft_get_state(old->raft), RAFT_LEADER);
    assert_int_equal(old->verified_bad, 1);
    cluster_run(c, 5 * SECOND);
    struct node *next = cluster_leader(c);
    assert_ptr_not_equal(next, old);
    uint64_t index = node_propose(c, next, STR("kept"));
    assert_int_equal(index > lost ? 1 : index == lost, 1);
    cluster_heal(c);
    cluster_run(c, 10 * SECOND);
    index = node_propose(c, cluster_elect(c), STR("after"));
    wait_all_applied(c, index);
    cluster_free(c);
}

/* A follower that is far behind gets the snapshot. */
static void test_install(void **state) {
    struct cluster *c = cluster_new(6, 3, 0);
    struct node *leader = cluster_elect(c);
    struct node *slow = c->nodes[(leader->number + 1) % 3];
    node_crash(c, slow);
    uint64_t last = 0;
    for (int i = 0; i < 200; i++)
        last = node_propose(c, leader, STR("entry"));
    cluster_run(c, SECOND);
    node_snapshot(c, leader);
    assert_int_equal(leader->snapshot_index, last);
    assert_true(raft_get_log(leader->raft)->first > 100);
    for (int i = 0; i < 20; i++)
        last = node_propose(c, leader, STR("after"));
    node_start(c, slow);
    wait_all_applied(c, last);
    assert_true(slow->snapshot_index > 0);
    cluster_free(c);
}

static void test_membership(void **state) {
    struct cluster *c = cluster_new(7, 3, 2);
    struct node *leader = cluster_elect(c);
    struct node *fourth = c->nodes[3], *fifth = c->nodes[4];
    uint64_t index = node_propose(c, leader, STR("before"));
    node_change(c, leader, RAFT_ADD_NONVOTER, fourth);
    node_change(c, leader, RAFT_ADD_NONVOTER, fifth); /* waits for the first */
    assert_int_equal(leader->changed_ok, 1);
    cluster_run(c, SECOND);
    assert_int_equal(leader->changed_ok, 2);
    assert_true(fourth->applied >= index && fifth->applied >= index);
    node_change(c, leader, RAFT_ADD_VOTER, fourth);
    node_change(c, leader, RAFT_ADD_VOTER, fifth);
    cluster_run(c, SECOND);
    uint64_t at;
    const struct raft_configuration *now = raft_latest_configuration(fifth->raft, &at);
    assert_int_equal(raft_configuration_voters(now), 5);

    /* Five voters bear the loss of two. */
    struct node *a = c->nodes[(leader->number + 1) % 3], *b = c->nodes[(leader->number + 2) % 3];
    node_crash(c, a);
    node_crash(c, b);
    index = node_propose(c, leader, STR("three of five"));
    cluster_run(c, SECOND);
    assert_true(leader->applied >= index);
    node_start(c, a);
    node_start(c, b);
    cluster_run(c, SECOND);

    /* The leader removes itself: it steps down when that is committed, another one leads. */
    struct node *gone = leader;
    node_change(c, gone, RAFT_REMOVE, gone);
    cluster_run(c, 100 * MILLISECOND);
    assert_int_not_equal(raft_get_state(gone->raft), RAFT_LEADER);
    cluster_run(c, 10 * SECOND);
    leader = cluster_leader(c);
    assert_non_null(leader);
    assert_ptr_not_equal(leader, gone);
    now = raft_latest_configuration(leader->raft, &at);
    assert_int_equal(raft_configuration_voters(now), 4);
    assert_null(raft_configuration_find(now, str_from(gone->id)));

    /* A change that leaves no voter is refused, and so is one with a wrong predecessor. */
    struct raft_event event = {.kind = RAFT_EVENT_CHANGE,
                               .change = {RAFT_ADD_NONVOTER, STR("x"), STR("y"), at + 1000, NULL}};
    node_event(c, leader, &event);
    assert_int_equal(leader->changed_bad, 1);
    cluster_free(c);
}

/* A server that was removed and does not know it campaigns, and is ignored. */
static void test_removed_is_harmless(void **state) {
    struct cluster *c = cluster_new(8, 3, 0);
    struct node *leader = cluster_elect(c);
    struct node *removed = c->nodes[(leader->number + 1) % 3];
    cluster_part(c, removed, true);
    cluster_run(c, 100 * MILLISECOND);
    node_change(c, leader, RAFT_REMOVE, removed);
    cluster_run(c, 5 * SECOND);
    uint64_t term = raft_term(leader->raft);
    assert_true(raft_term(removed->raft) > term);
    cluster_heal(c);
    cluster_run(c, 30 * SECOND);
    assert_int_equal(raft_term(leader->raft), term);
    assert_int_equal(raft_get_state(leader->raft), RAFT_LEADER);
    cluster_free(c);
}

static void test_transfer(void **state) {
    struct cluster *c = cluster_new(9, 3, 0);
    struct node *leader = cluster_elect(c);
    struct node *target = c->nodes[(leader->number + 2) % 3];
    struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .transfer = {str_from(target->id)}};
    node_event(c, leader, &event);
    assert_int_equal(event.error, RAFT_OK);
    assert_int_equal(0, node_propose(c, leader, STR("refused")));
    cluster_run(c, 200 * MILLISECOND);
    assert_int_equal(raft_get_state(target->raft), RAFT_LEADER);
    assert_int_equal(leader->transferred_ok, 1);
    /* To one that does not answer it fails in time, and the leader leads on. */
    leader = target;
    cluster_run(c, SECOND);
    struct node *dead = c->nodes[(leader->number + 1) % 3];
    cluster_part(c, dead, true);
    struct raft_event second = {.kind = RAFT_EVENT_TRANSFER, .transfer = {str_from(dead->id)}};
    node_event(c, leader, &second);
    assert_int_equal(second.error, RAFT_OK);
    cluster_run(c, 1100 * MILLISECOND);
    assert_int_equal(leader->transferred_bad, 1);
    assert_int_not_equal(0, node_propose(c, leader, STR("again")));
    struct raft_event self = {.kind = RAFT_EVENT_TRANSFER, .transfer = {str_from(leader->id)}};
    node_event(c, leader, &self);
    assert_int_equal(self.error, RAFT_ERROR_TRANSFER_SELF);
    cluster_free(c);
}

static void test_restore(void **state) {
    struct cluster *c = cluster_new(10, 3, 0);
    struct node *leader = cluster_elect(c);
    cluster_run(c, SECOND);
    uint64_t index = node_restore(c, leader, 92);
    assert_int_equal(index, 94);
    cluster_run(c, 2 * SECOND);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c->nodes[i]->applied, 94);
        assert_int_equal(c->nodes[i]->snapshot_index, 93);
    }
    uint64_t last = node_propose(c, leader, STR("after"));
    assert_int_equal(last, 95);
    wait_all_applied(c, last);
    cluster_free(c);
}

/* ---- fuzzy ---- */

static void do_something(struct cluster *c) {
    struct node *n = c->nodes[cluster_below(c, (uint64_t)c->count)];
    switch (cluster_below(c, 26)) {
    case 0:
        node_crash(c, n);
        break;
    case 1:
    case 2:
    case 3:
        if (!n->up)
            node_start(c, n);
        break;
    case 4:
        cluster_part(c, n, true);
        break;
    case 5:
    case 6:
        cluster_heal(c);
        break;
    case 7: { /* one direction only */
        int to = (int)cluster_below(c, (uint64_t)c->count);
        c->cut[n->number][to] = to != n->number;
        break;
    }
    case 8:
        if (n->up)
            node_snapshot(c, n);
        break;
    case 9:
        if (n->up)
            n->fail_next_write = cluster_below(c, 3) == 0;
        break;
    case 10: {
        struct node *leader = cluster_leader(c);
        if (leader != NULL)
            node_change(c, leader, (enum raft_change)cluster_below(c, 4), n);
        break;
    }
    case 11: {
        struct node *leader = cluster_leader(c);
        struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .transfer = {STR("")}};
        if (leader != NULL)
            node_event(c, leader, &event);
        break;
    }
    case 12:
        if (n->up) {
            struct raft_event event = {.kind = RAFT_EVENT_VERIFY};
            node_event(c, n, &event);
        }
        break;
    case 13:
        c->latency = cluster_below(c, 3) == 0 ? 300 * MILLISECOND : 5 * MILLISECOND;
        c->disk_latency = cluster_below(c, 3) == 0 ? 200 * MILLISECOND : MILLISECOND;
        break;
    default:
        if (n->up && raft_get_log(n->raft)->last < CLUSTER_LOG - 500) {
            char text[24];
            size_t many = 1 + cluster_below(c, 30);
            for (size_t i = 0; i < many; i++) {
                int len = sprintf(text, "%llu", (unsigned long long)prng_next(&c->prng));
                node_propose(c, n, str_of(text, (size_t)len));
            }
        }
        break;
    }
}

static void fuzzy(uint64_t seed) {
    int voters = seed % 3 == 0 ? 5 : seed % 3 == 1 ? 3 : 1;
    struct cluster *c = cluster_new(seed, voters, 2);
    c->lose_one_in = seed % 2 == 0 ? 20 : 0;
    c->tell_failures = seed % 5 < 3;
    for (int i = 0; i < 400; i++) {
        do_something(c);
        cluster_run(c, (int64_t)cluster_below(c, 300 * MILLISECOND));
    }
    /* Peace: whoever is in the configuration must get on again. */
    cluster_heal(c);
    c->lose_one_in = 0;
    c->latency = 2 * MILLISECOND;
    c->disk_latency = MILLISECOND;
    for (int i = 0; i < c->count; i++) {
        c->nodes[i]->fail_next_write = false;
        if (!c->nodes[i]->up)
            node_start(c, c->nodes[i]);
    }
    cluster_run(c, 60 * SECOND);
    struct node *leader = cluster_leader(c);
    CLUSTER_CHECK(c, leader != NULL);
    uint64_t index = node_propose(c, leader, STR("peace"));
    CLUSTER_CHECK(c, index != 0);
    cluster_run(c, 30 * SECOND);
    const struct raft_configuration *now = raft_latest_configuration(leader->raft, NULL);
    for (size_t i = 0; i < now->len; i++) {
        struct node *n = cluster_find(c, now->servers[i].id);
        CLUSTER_CHECK(c, n->applied >= index);
    }
    cluster_free(c);
}

static void test_fuzzy(void **state) {
    const char *one = getenv("CLUSTER_SEED"), *many = getenv("CLUSTER_SEEDS");
    if (one != NULL) {
        fuzzy(strtoull(one, NULL, 10));
        return;
    }
    uint64_t count = many != NULL ? strtoull(many, NULL, 10) : 30;
    for (uint64_t seed = 1; seed <= count; seed++)
        fuzzy(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),     cmocka_unit_test(test_write_fails),
        cmocka_unit_test(test_three),      cmocka_unit_test(test_five),
        cmocka_unit_test(test_lease),      cmocka_unit_test(test_install),
        cmocka_unit_test(test_membership), cmocka_unit_test(test_removed_is_harmless),
        cmocka_unit_test(test_transfer),   cmocka_unit_test(test_restore),
        cmocka_unit_test(test_fuzzy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

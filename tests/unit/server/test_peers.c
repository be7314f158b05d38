/* Which servers are known, and whose turn it is (rpc.md 9). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "server/peers.h"
#include "server/rpc_rate.h"

static struct peer server_at(const char *name, const char *dc, const char *address) {
    return (struct peer){.name = str_from(name),
                         .id = str_from(name),
                         .datacenter = str_from(dc),
                         .address = str_from(address)};
}

/* "a,b,c": the list of a datacenter. */
static void expect_order(struct peers *p, const char *dc, const char *want) {
    struct arena arena = ARENA_INIT;
    struct buf got = BUF_INIT;
    const struct peer **order;
    size_t n = peers_order(p, str_from(dc), &arena, &order);
    for (size_t i = 0; i < n; i++) {
        buf_add_format(&got, "%s%.*s", i > 0 ? "," : "", STR_ARG(order[i]->name));
    }
    buf_add_char(&got, 0);
    peers_list_release(order, n);
    assert_string_equal(got.data, want);
    buf_free(&got);
    arena_free(&arena);
}

static void expect_choice(struct peers *p, const char *dc, const char *want) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    const struct peer *chosen = peers_choose(p, str_from(dc), &e);
    char got[128];
    snprintf(got, sizeof got, "%.*s", STR_ARG(chosen != NULL ? chosen->name : e.text));
    assert_string_equal(got, want);
    assert_true(peers_have(p, str_from(dc)) == (chosen != NULL));
    peer_release(chosen);
    arena_free(&arena);
}

static void rotate(struct peers *p, const char *dc) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    const struct peer *chosen = peers_choose(p, str_from(dc), &e);
    peers_rotate(p, chosen);
    peer_release(chosen);
    arena_free(&arena);
}

static void test_client(void **state) {
    struct peers *p = peers_new(STR("dc1"), true);
    expect_choice(p, "dc1", "No known Consul servers");
    struct peer all[] = {
        server_at("a", "dc1", "10.0.0.1:8300"), server_at("b", "dc1", "10.0.0.2:8300"),
        server_at("c", "dc1", "10.0.0.3:8300"), server_at("x", "dc2", "10.0.0.9:8300")};
    peers_update(p, PEER_POOL_LAN, all, 4);
    expect_order(p, "dc1", "a,b,c"); /* that of another datacenter is ignored */
    expect_order(p, "dc2", "");
    expect_choice(p, "dc7", "a"); /* whatever is asked for */

    /* Only the first is moved, and only once. */
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    const struct peer *first = peers_choose(p, STR("dc1"), &e);
    peers_rotate(p, first);
    peers_rotate(p, first);
    expect_order(p, "dc1", "b,c,a");

    /* Failed ones leave the list and come back at its end; the held one is still there. */
    all[1].status = PEER_FAILED;
    peers_update(p, PEER_POOL_LAN, all, 4);
    expect_order(p, "dc1", "c,a");
    all[1].status = PEER_ALIVE;
    all[0].status = PEER_LEFT;
    peers_update(p, PEER_POOL_LAN, all, 4);
    expect_order(p, "dc1", "c,b");
    assert_true(str_is(first->address, "10.0.0.1:8300"));
    peer_release(first);

    /* A new address under the old name keeps its place. */
    all[2].address = STR("10.0.0.33:8300");
    peers_update(p, PEER_POOL_LAN, all, 4);
    expect_order(p, "dc1", "c,b");
    first = peers_choose(p, STR("dc1"), &e);
    assert_true(str_is(first->address, "10.0.0.33:8300"));
    peer_release(first);
    rotate(p, "dc1");
    rotate(p, "dc1");
    expect_order(p, "dc1", "c,b");

    /* No server answered a rebalance: the client goes on trying. */
    first = peers_choose(p, STR("dc1"), &e);
    peers_reorder(p, STR("dc1"), &first, 1, false);
    peer_release(first);
    expect_choice(p, "dc1", "c");

    /* One alone stays first. */
    peers_update(p, PEER_POOL_LAN, all + 1, 1);
    rotate(p, "dc1");
    expect_order(p, "dc1", "b");
    peers_update(p, PEER_POOL_LAN, NULL, 0);
    expect_choice(p, "dc1", "No known Consul servers");
    arena_free(&arena);
    peers_free(p);
}

static void test_datacenters(void **state) {
    struct peers *p = peers_new(STR("dc1"), false);
    struct peer wan[] = {
        server_at("a", "dc1", "10.0.0.1:8300"), server_at("x", "dc3", "10.0.3.1:8300"),
        server_at("y", "dc3", "10.0.3.2:8300"), server_at("z", "dc2", "10.0.2.1:8300")};
    expect_choice(p, "dc2", "No path to datacenter");
    expect_choice(p, "", "No path to datacenter");
    peers_update(p, PEER_POOL_WAN, wan, 4);
    expect_choice(p, "dc3", "x");
    expect_choice(p, "dc2", "z");
    expect_choice(p, "dc1", "No path to datacenter"); /* the LAN pool's */

    /* A failed one goes to the end, once, and is still called. */
    wan[1].status = PEER_FAILED;
    peers_update(p, PEER_POOL_WAN, wan, 4);
    expect_order(p, "dc3", "y,x");
    rotate(p, "dc3");
    peers_update(p, PEER_POOL_WAN, wan, 4);
    expect_order(p, "dc3", "x,y");
    wan[3].status = PEER_FAILED;
    peers_update(p, PEER_POOL_WAN, wan, 4);
    expect_choice(p, "dc2", "z");
    wan[3].status = PEER_LEFT;
    peers_update(p, PEER_POOL_WAN, wan, 4);
    expect_choice(p, "dc2", "No path to datacenter");

    struct arena arena = ARENA_INIT;
    struct peer_datacenter *list;
    wan[3].status = PEER_ALIVE;
    peers_update(p, PEER_POOL_WAN, wan, 4);
    assert_int_equal(peers_datacenters(p, &arena, &list), 3);
    assert_true(str_is(list[0].name, "dc1") && str_is(list[1].name, "dc2") &&
                str_is(list[2].name, "dc3"));
    assert_true(list[0].distance == 0 && isinf(list[1].distance));
    peers_set_distance(p, STR("dc3"), 0.02);
    peers_datacenters(p, &arena, &list);
    assert_true(str_is(list[1].name, "dc3") && list[1].distance == 0.02);
    arena_free(&arena);
    peers_free(p);
}

static void test_reorder(void **state) {
    struct peers *p = peers_new(STR("dc1"), false);
    struct peer wan[] = {
        server_at("a", "dc2", "10.0.0.1:8300"), server_at("b", "dc2", "10.0.0.2:8300"),
        server_at("c", "dc2", "10.0.0.3:8300"), server_at("d", "dc2", "10.0.0.4:8300")};
    struct arena arena = ARENA_INIT;
    const struct peer **order;
    peers_update(p, PEER_POOL_WAN, wan, 3);
    size_t n = peers_order(p, STR("dc2"), &arena, &order);
    const struct peer *wanted[] = {order[2], order[0], order[1]};
    peers_update(p, PEER_POOL_WAN, wan + 1, 3); /* a is gone, d is new */
    peers_reorder(p, STR("dc2"), wanted, n, true);
    expect_order(p, "dc2", "c,b,d");
    const struct peer *gone[] = {order[0], order[1], order[2]};
    peers_reorder(p, STR("dc2"), gone, n, true); /* the chosen one is gone: all stays */
    expect_order(p, "dc2", "c,b,d");
    peers_reorder(p, STR("dc2"), wanted, n, false);
    expect_order(p, "dc2", "c,b,d");
    expect_choice(p, "dc2", "Remote DC has no server currently reachable");
    peers_update(p, PEER_POOL_WAN, wan, 4); /* one joins */
    expect_choice(p, "dc2", "c");
    peers_reorder(p, STR("dc9"), wanted, n, true);
    peers_list_release(order, n);
    arena_free(&arena);
    peers_free(p);
}

static void test_lookups(void **state) {
    struct peers *p = peers_new(STR("dc1"), false);
    struct peer lan[] = {server_at("a", "dc1", "10.0.0.1:8300"),
                         server_at("b", "dc1", "10.0.0.2:8300"),
                         server_at("s", "dc1", "10.0.0.3:8300")};
    struct str_pair tags[] = {{STR("ft_fs"), STR("1")}, {STR("role"), STR("consul")}};
    lan[0].tags = (struct list){tags, 2, true};
    lan[1].status = PEER_FAILED;
    lan[2].segment = STR("alpha");
    peers_update(p, PEER_POOL_LAN, lan, 3);
    const struct peer *found = peers_by_address(p, STR("10.0.0.1:8300"));
    assert_non_null(found);
    assert_true(str_is(*str_map_get(&found->tags, STR("ft_fs")), "1"));
    peer_release(found);
    found = peers_by_id(p, STR("a"));
    assert_non_null(found);
    peer_release(found);
    assert_null(peers_by_address(p, STR("10.0.0.2:8300"))); /* failed */
    assert_null(peers_by_address(p, STR("10.0.0.3:8300"))); /* of a segment */
    assert_null(peers_by_address(p, STR("")));
    assert_null(peers_by_id(p, STR("")));
    struct arena arena = ARENA_INIT;
    const struct peer **list;
    size_t n = peers_list(p, PEER_POOL_LAN, &arena, &list);
    assert_int_equal(n, 3);
    assert_int_equal(list[1]->status, PEER_FAILED);
    peers_list_release(list, n);
    arena_free(&arena);
    peers_free(p);
}

static void test_rate(void **state) {
    struct rpc_rate r = {0};
    for (int i = 0; i < 100000; i++) {
        assert_true(rpc_rate_allow(&r));
    }
    rpc_rate_set(&r, 0.001, 3);
    assert_true(rpc_rate_allow(&r));
    assert_true(rpc_rate_allow(&r));
    assert_true(rpc_rate_allow(&r));
    assert_false(rpc_rate_allow(&r));
    rpc_rate_set(&r, INFINITY, 3);
    for (int i = 0; i < 100; i++) {
        assert_true(rpc_rate_allow(&r));
    }
    /* Tokens come back. */
    rpc_rate_set(&r, 1000, 1);
    int64_t end = time_now_monotonic() + 100 * MILLISECOND;
    int taken = 0;
    while (time_now_monotonic() < end) {
        taken += rpc_rate_allow(&r);
    }
    assert_in_range(taken, 2, 102); /* few, when the machine is busy: one token is all it keeps */
    rpc_rate_set(&r, 1e12, INT64_MAX);
    assert_true(rpc_rate_allow(&r));
    rpc_rate_set(&r, 1, 0);
    assert_false(rpc_rate_allow(&r));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client),  cmocka_unit_test(test_datacenters),
        cmocka_unit_test(test_reorder), cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

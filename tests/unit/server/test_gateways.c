/* Mesh gateways (connect.md 7.3): which instances carry servers' connections and where they are,
 * which of them lead to a datacenter, their addresses and the names of those behind them. */
#include "harness.h"

#include "schema/catalog.h"
#include "server/gateways.h"
#include "server/secure.h"

static struct arena arena;

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

/* ---- what a state says ---- */

struct service_pair {
    struct str key;
    struct service_address value;
};

static struct list text_map(const char *key, const char *value) {
    struct list map = LIST_NEW(&arena, struct str_pair, value != NULL ? 1 : 0);
    if (value != NULL)
        LIST_AT(map, struct str_pair, 0) = (struct str_pair){str_from(key), str_from(value)};
    return map;
}

struct gateway {
    const char *address;
    int64_t port;
    const char *tag, *tagged; /* address of the service */
    int64_t tagged_port;
    const char *node_wan;
    const char *federation; /* meta */
    const char *statuses[3];
};

static struct check_service_node instance(const struct gateway *g) {
    struct check_service_node out = {.node = ARENA_NEW(&arena, struct node),
                                     .service = ARENA_NEW(&arena, struct node_service)};
    out.node->address = STR("9.0.0.9");
    out.node->tagged_addresses = text_map("wan", g->node_wan);
    out.service->address = str_from(g->address);
    out.service->port = g->port;
    out.service->meta = text_map("consul-wan-federation", g->federation);
    if (g->tag != NULL) {
        struct list tagged = LIST_NEW(&arena, struct service_pair, 1);
        LIST_AT(tagged, struct service_pair, 0) = (struct service_pair){
            str_from(g->tag), {.address = str_from(g->tagged), .port = g->tagged_port}};
        out.service->tagged_addresses = tagged;
    }
    out.checks = LIST_NEW(&arena, struct health_check *, 3);
    out.checks.len = 0;
    for (size_t i = 0; i < 3 && g->statuses[i] != NULL; i++) {
        struct health_check *check = ARENA_NEW(&arena, struct health_check);
        check->status = str_from(g->statuses[i]);
        LIST_AT(out.checks, struct health_check *, out.checks.len++) = check;
    }
    return out;
}

static struct federation_state state_of(const struct gateway *gateways, size_t count) {
    struct federation_state s = {.datacenter = STR("dc1")};
    s.mesh_gateways = LIST_NEW(&arena, struct check_service_node, count);
    for (size_t i = 0; i < count; i++)
        LIST_AT(s.mesh_gateways, struct check_service_node, i) = instance(&gateways[i]);
    return s;
}

static struct str joined(const struct list *texts) {
    struct buf out = BUF_INIT;
    for (uint32_t i = 0; i < texts->len; i++)
        buf_add_format(&out, "%s" STR_FMT, i > 0 ? " " : "",
                       STR_ARG(LIST_AT(*texts, struct str, i)));
    struct str copy = str_copy(&arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static void check_one(struct gateway g, const char *lan, const char *wan) {
    struct federation_state s = state_of(&g, 1);
    struct list here = gateways_of_state(&s, false, &arena);
    struct list there = gateways_of_state(&s, true, &arena);
    assert_true(str_is(joined(&here), lan));
    assert_true(str_is(joined(&there), wan));
}

static void test_where_they_are(void **state) {
    check_one((struct gateway){"1.0.0.1", 1, .federation = "1"}, "1.0.0.1:1", "1.0.0.1:1");
    check_one((struct gateway){"", 1, .federation = "1"}, "9.0.0.9:1", "9.0.0.9:1");
    check_one((struct gateway){"::1", 1, .federation = "1"}, "[::1]:1", "[::1]:1");
    /* what others see: the tag, else the service's address; then the node's tag, the node's */
    check_one((struct gateway){"1.0.0.1", 1, "wan", "1.0.0.2", 2, "8.8.8.8", "1"}, "1.0.0.1:1",
              "1.0.0.2:2");
    check_one((struct gateway){"1.0.0.1", 1, "wan", "1.0.0.2", 0, "8.8.8.8", "1"}, "1.0.0.1:1",
              "1.0.0.2:1");
    check_one((struct gateway){"1.0.0.1", 1, .node_wan = "8.8.8.8", .federation = "1"}, "1.0.0.1:1",
              "1.0.0.1:1");
    check_one((struct gateway){"", 1, .node_wan = "8.8.8.8", .federation = "1"}, "9.0.0.9:1",
              "8.8.8.8:1");
    /* a tag without an address hides the service's, and its port counts */
    check_one((struct gateway){"", 1, "wan", "", 6, "8.8.8.8", "1"}, "9.0.0.9:1", "8.8.8.8:6");
    check_one((struct gateway){"1.0.0.1", 1, "wan", "", 6, "8.8.8.8", "1"}, "1.0.0.1:1",
              "8.8.8.8:6");
    check_one((struct gateway){"1.0.0.1", 1, "wan", "", 0, NULL, "1"}, "1.0.0.1:1", "9.0.0.9:1");
    /* other tags are nothing */
    check_one((struct gateway){"1.0.0.1", 1, "lan", "1.0.0.2", 2, NULL, "1"}, "1.0.0.1:1",
              "1.0.0.1:1");
    check_one((struct gateway){"1.0.0.1", 1, "wan_ipv4", "1.0.0.2", 2, NULL, "1"}, "1.0.0.1:1",
              "1.0.0.1:1");
}

static void test_which_count(void **state) {
    check_one((struct gateway){"1.0.0.1", 1}, "", "");
    check_one((struct gateway){"1.0.0.1", 1, .federation = "true"}, "", "");
    check_one((struct gateway){"1.0.0.1", 1, .federation = ""}, "", "");
    check_one((struct gateway){"1.0.0.1", 1, .federation = "1", .statuses = {"passing", "warning"}},
              "1.0.0.1:1", "1.0.0.1:1");
    check_one((struct gateway){"1.0.0.1", 1, .federation = "1",
                               .statuses = {"passing", "critical", "passing"}},
              "", "");
    struct federation_state s =
        state_of((struct gateway[]){{"1.0.0.9", 1, .federation = "1"},
                                    {"1.0.0.10", 1, .federation = "1"},
                                    {"gw.example.com", 443, .federation = "1"},
                                    {"1.0.0.2", 1, .federation = "0"},
                                    {"1.0.0.9", 1, .federation = "1"}},
                 5);
    struct list all = gateways_of_state(&s, false, &arena);
    assert_true(str_is(joined(&all), "1.0.0.10:1 1.0.0.9:1 1.0.0.9:1 gw.example.com:443"));
    /* one of a record that anybody may have written */
    LIST_AT(s.mesh_gateways, struct check_service_node, 0).node = NULL;
    LIST_AT(s.mesh_gateways, struct check_service_node, 1).service = NULL;
    all = gateways_of_state(&s, false, &arena);
    assert_true(str_is(joined(&all), "1.0.0.9:1 gw.example.com:443"));
    all = gateways_of_state(NULL, false, &arena);
    assert_int_equal(all.len, 0);
}

/* ---- which way ---- */

static void test_signal(void **state) {
    struct gateway_signal s = {false, 0};
    assert_false(gateway_signal_tell(&s, false));
    assert_true(gateway_signal_tell(&s, true) && s.works);
    assert_false(gateway_signal_tell(&s, true));
    assert_false(gateway_signal_tell(&s, false));
    assert_false(gateway_signal_tell(&s, false));
    assert_false(gateway_signal_tell(&s, true));
    assert_false(gateway_signal_tell(&s, false));
    assert_false(gateway_signal_tell(&s, false));
    assert_true(s.works);
    assert_true(gateway_signal_tell(&s, false) && !s.works);
    assert_false(gateway_signal_tell(&s, false));
    assert_true(gateway_signal_tell(&s, true) && s.works && s.failures == 0);
}

static struct list texts(const char *a, const char *b) {
    struct list out = LIST_NEW(&arena, struct str, (a != NULL) + (b != NULL));
    if (a != NULL)
        LIST_AT(out, struct str, 0) = str_from(a);
    if (b != NULL)
        LIST_AT(out, struct str, 1) = str_from(b);
    return out;
}

static void ways(const struct gateway_choice *c, const char *to_primary, const char *to_others) {
    struct list primary = gateways_for(c, true, &arena), others = gateways_for(c, false, &arena);
    assert_true(str_is(joined(&primary), to_primary));
    assert_true(str_is(joined(&others), to_others));
}

static void test_ways(void **state) {
    struct gateway_choice c = {
        .local = texts("l1", "l2"), .primary = texts("p1", NULL), .fallback = texts("f1", "f2")};
    ways(&c, "p1 f1 f2", "l1 l2");
    c.signal.works = true;
    ways(&c, "l1 l2", "l1 l2");
    c.local = texts(NULL, NULL);
    ways(&c, "p1 f1 f2", "");
    c.primary = c.fallback = texts(NULL, NULL);
    ways(&c, "", "");
    c = (struct gateway_choice){
        .local = texts("l1", NULL), .primary = texts("l1", NULL), .in_primary = true};
    ways(&c, "l1", "l1");
}

static void pick_all(struct gateways *g, const char *datacenter, const char *const *wanted,
                     size_t count) {
    unsigned seen[4] = {0};
    for (int i = 0; i < 400; i++) {
        struct str address;
        struct error e = ERROR_IN(&arena);
        assert_true(gateways_pick(g, str_from(datacenter), &address, &arena, &e));
        size_t at = 0;
        while (at < count && !str_is(address, wanted[at]))
            at++;
        assert_true(at < count);
        seen[at]++;
    }
    for (size_t i = 0; i < count; i++)
        assert_true(seen[i] > 400 / count / 2);
}

static void test_picks(void **state) {
    struct secure *secure = secure_new();
    struct gateways *g = gateways_new(&(struct gateways_options){
        .datacenter = STR("dc2"), .primary = STR("dc1"), .secure = secure});
    struct str address;
    struct error e = ERROR_IN(&arena);
    assert_false(gateways_in_primary(g));
    assert_false(gateways_pick(g, STR("dc1"), &address, &arena, &e));
    assert_true(str_is(e.text, "Remote DC has no server currently reachable"));
    gateways_set_fallback(g, (struct str[]){STR("b:1"), STR("a:1"), STR("c:1")}, 3);
    pick_all(g, "dc1", (const char *const[]){"a:1", "b:1", "c:1"}, 3);
    error_clear(&e);
    assert_false(gateways_pick(g, STR("dc3"), &address, &arena, &e));
    gateways_free(g);
    g = gateways_new(
        &(struct gateways_options){.datacenter = STR("dc2"), .primary = STR(""), .secure = secure});
    assert_true(gateways_in_primary(g));
    gateways_free(g);
    secure_free(secure);
}

/* ---- texts ---- */

static void split(const char *address, const char *host, int port, const char *error) {
    struct error e = ERROR_IN(&arena);
    struct str is;
    uint16_t number;
    bool ok = gateway_split(str_from(address), &is, &number, &e);
    assert_int_equal(ok, error == NULL);
    if (ok)
        assert_true(str_is(is, host) && number == port);
    else
        assert_true(str_is(e.text, error));
}

static void test_split(void **state) {
    split("127.0.0.1:8443", "127.0.0.1", 8443, NULL);
    split("gw.example.com:0", "gw.example.com", 0, NULL);
    split("[::1]:65535", "::1", 65535, NULL);
    split("127.0.0.1", NULL, 0, "dial tcp: address 127.0.0.1: missing port in address");
    split("127.0.0.1:", NULL, 0, "dial tcp: address 127.0.0.1:: missing port in address");
    split(":8443", "", 8443, NULL);
    split("[]:8443", "", 8443, NULL);
    split("[::1", NULL, 0, "dial tcp: address [::1: missing ']' in address");
    split("[::1]", NULL, 0, "dial tcp: address [::1]: missing port in address");
    split("[::1]:8443:1", NULL, 0, "dial tcp: address [::1]:8443:1: too many colons in address");
    split("[::1]x:1", NULL, 0, "dial tcp: address [::1]x:1: missing port in address");
    split("127.0.0.1:70000", NULL, 0, "dial tcp: address 70000: invalid port");
    split("127.0.0.1:x", NULL, 0, "dial tcp: address tcp/x: unknown port");
    split("::1:8443", NULL, 0, "dial tcp: address ::1:8443: too many colons in address");
}

static void member(const char *name, const char *node, const char *datacenter, const char *error) {
    struct error e = ERROR_IN(&arena);
    struct str is, of;
    bool ok = gateway_member_split(str_from(name), &is, &of, &e);
    assert_int_equal(ok, error == NULL);
    if (ok)
        assert_true(str_is(is, node) && str_is(of, datacenter));
    else
        assert_true(str_is(e.text, error));
}

static void test_members(void **state) {
    member("s1.dc1", "s1", "dc1", NULL);
    member("*.dc1", "*", "dc1", NULL);
    member("a.b.dc1", NULL, NULL, "node name does not encode a datacenter: a.b.dc1");
    member("zz", NULL, NULL, "node name does not encode a datacenter: zz");
    member("zz.", NULL, NULL, "node name does not encode a datacenter: zz.");
    member(".dc1", NULL, NULL, "node name does not encode a datacenter: .dc1");
    member("", NULL, NULL,
           "memberlist: node names are required by configuration but one was not provided");
    assert_false(gateway_member_is_remote(STR("s1.dc1"), STR("dc1")));
    assert_false(gateway_member_is_remote(STR("a.b.dc1"), STR("dc1")));
    assert_true(gateway_member_is_remote(STR("s1.dc2"), STR("dc1")));
    assert_true(gateway_member_is_remote(STR("s1.xdc1"), STR("dc1")));
    assert_true(gateway_member_is_remote(STR("dc1"), STR("dc1")));
    assert_true(gateway_member_is_remote(STR(""), STR("dc1")));
}

/* ---- on a server ---- */

static void know_dc2(void *arg) {
    (void)arg;
    struct peer there = {.name = STR("s2"),
                         .datacenter = STR("dc2"),
                         .address = STR("127.46.0.10:8300"),
                         .status = PEER_ALIVE};
    server_update_peers(server, PEER_POOL_WAN, &there, 1);
}

static void is_known(void *arg) {
    sem_post(arg);
}

/* What a call to the other datacenter ends with. */
static struct str problem(unsigned thread) {
    struct key_request r = {.datacenter = STR("dc2"), .key = STR("a")};
    struct ask a;
    ask_start(&a, thread, &endpoint_kvs_get, &r);
    struct answer *answer = ask_wait(&a, 10000);
    assert_non_null(answer);
    struct str text = str_copy(&arena, answer->error.text);
    ask_end(&a);
    return text;
}

static void register_gateway(const char *status) {
    struct str_pair meta = {STR("consul-wan-federation"), STR("1")};
    struct node_service service = {.kind = STR("mesh-gateway"),
                                   .service = STR("gw"),
                                   .id = STR("gw"),
                                   .port = 443,
                                   .meta = {&meta, 1, true}};
    struct health_check check = {.node = STR("g"),
                                 .check_id = STR("c"),
                                 .name = STR("c"),
                                 .status = str_from(status),
                                 .service_id = STR("gw")};
    struct register_request r = {
        .node = STR("g"), .address = STR("127.46.0.11"), .service = &service, .check = &check};
    struct ask a;
    ask(&a, 1, &endpoint_catalog_register, &r);
    ask_end(&a);
}

/* On both threads, of which the second leaves it to the first. */
static void wait_for_problem(const char *wanted) {
    int64_t end = time_now_monotonic() + 20 * SECOND;
    struct str text = problem(0);
    while (!str_is(text, wanted)) {
        if (time_now_monotonic() > end)
            fail_msg("the problem is \"" STR_FMT "\"", STR_ARG(text));
        text = problem(0);
    }
    assert_true(str_is(problem(1), wanted));
}

#define NO_CONNECTION "rpc error getting client: failed to get conn: "

/* The server finds its gateways in the states, and goes nowhere without one. */
static void test_a_server(void **state) {
    struct server_options o = harness_options();
    o.rpc_hold_timeout = 20 * SECOND;
    o.mesh_gateway_wan_federation = true;
    server_begin(&o);
    server_settle();
    assert_true(str_is(problem(1), "No path to datacenter"));
    sem_t done;
    sem_init(&done, 0, 0);
    assert_true(server_run_on_core(server, know_dc2, is_known, &done));
    assert_true(sem_wait_ms(&done, 20000));
    sem_destroy(&done);
    wait_for_problem(NO_CONNECTION GATEWAYS_NONE);
    register_gateway("passing");
    wait_for_problem(NO_CONNECTION
                     "wanfed: cannot dial via a mesh gateway when outgoing TLS is disabled");
    register_gateway("critical");
    wait_for_problem(NO_CONNECTION GATEWAYS_NONE);
    server_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_where_they_are, teardown),
        cmocka_unit_test_teardown(test_which_count, teardown),
        cmocka_unit_test_teardown(test_signal, teardown),
        cmocka_unit_test_teardown(test_ways, teardown),
        cmocka_unit_test_teardown(test_picks, teardown),
        cmocka_unit_test_teardown(test_split, teardown),
        cmocka_unit_test_teardown(test_members, teardown),
        cmocka_unit_test_teardown(test_a_server, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

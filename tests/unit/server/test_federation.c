/* Federation states (connect.md 7.2): who has to support them, what a secondary has to do to have
 * the primary's, what the primary deletes; and a leader's own record, on a real server. */
#include "harness.h"

#include "schema/entries.h"
#include "server/federation.h"
#include "server/server_room.h"

/* ---- who supports them ---- */

static struct peer supporter(const char *datacenter, enum peer_status status, const char *value) {
    static struct str_pair tags[4] = {{STR("ft_fs"), STR("1")},
                                      {STR("ft_fs"), STR("0")},
                                      {STR("ft_fs"), STR("")},
                                      {STR("ft_x"), STR("1")}};
    struct peer p = {.datacenter = str_from(datacenter), .status = status};
    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        if (value != NULL && str_is(tags[i].key, "ft_fs") && str_is(tags[i].value, value))
            p.tags = (struct list){&tags[i], 1, true};
    }
    if (value == NULL)
        p.tags = (struct list){&tags[3], 1, true};
    return p;
}

static bool supported(const struct peer *all, size_t count) {
    const struct peer *list[8];
    for (size_t i = 0; i < count; i++)
        list[i] = &all[i];
    return federation_is_supported(list, count, STR("dc1"));
}
#define SUPPORTED(...)                                                                             \
    supported((const struct peer[]){__VA_ARGS__},                                                  \
              sizeof((const struct peer[]){__VA_ARGS__}) / sizeof(struct peer))

static void test_all_servers_support_them(void **state) {
    struct peer has = supporter("dc1", PEER_ALIVE, "1"), no = supporter("dc1", PEER_ALIVE, NULL);
    assert_true(SUPPORTED(has));
    assert_true(SUPPORTED(has, has));
    assert_false(SUPPORTED(has, no));
    assert_false(SUPPORTED(no, has));
    assert_false(SUPPORTED(has, supporter("dc1", PEER_ALIVE, "0")));
    assert_false(SUPPORTED(has, supporter("dc1", PEER_ALIVE, "")));
    /* one that failed may come back, one that left does not */
    assert_false(SUPPORTED(has, supporter("dc1", PEER_FAILED, NULL)));
    assert_true(SUPPORTED(has, supporter("dc1", PEER_LEFT, NULL)));
    assert_true(SUPPORTED(has, supporter("dc1", PEER_LEAVING, NULL)));
    assert_true(SUPPORTED(supporter("dc1", PEER_FAILED, "1")));
    /* others' servers do not count, and nobody supports nothing */
    assert_true(SUPPORTED(has, supporter("dc2", PEER_ALIVE, NULL)));
    assert_false(SUPPORTED(supporter("dc2", PEER_ALIVE, "1")));
    assert_false(federation_is_supported(NULL, 0, STR("dc1")));
}

/* ---- what differs ---- */

static struct federation_state *state_of(struct arena *arena, const char *datacenter,
                                         uint64_t primary, uint64_t modified, int64_t updated) {
    struct federation_state *s = ARENA_NEW(arena, struct federation_state);
    s->datacenter = str_from(datacenter);
    s->primary_modify_index = primary;
    s->create_index = 3;
    s->modify_index = modified;
    s->updated_at = timestamp_from_unix_ns(updated * SECOND);
    return s;
}

#define LIST(...)                                                                                  \
    (struct list) {                                                                                \
        (struct federation_state *[]){__VA_ARGS__},                                                \
            sizeof((struct federation_state *[]){__VA_ARGS__}) / sizeof(void *), true              \
    }

/* "+dc" and "-dc" with what a copy says of the primary's index, blanks between. */
static void check(struct list local, struct list remote, uint64_t last_index, const char *wanted) {
    struct arena arena = ARENA_INIT;
    struct list ops = federation_diff(&local, &remote, last_index, &arena);
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i < ops.len; i++) {
        const struct federation_op *op = &LIST_AT(ops, struct federation_op, i);
        buf_add_format(&text, "%s%s" STR_FMT, i > 0 ? " " : "", op->delete ? "-" : "+",
                       STR_ARG(op->state->datacenter));
        if (!op->delete)
            buf_add_format(&text, "@%d", (int)op->state->primary_modify_index);
    }
    assert_string_equal(str_terminated(&arena, buf_str(&text)), wanted);
    buf_free(&text);
    arena_free(&arena);
}

static void test_difference(void **state) {
    struct arena arena = ARENA_INIT;
    struct list none = LIST_NIL;
    /* Of the primary: dc1 was written at 7, dc2 at 9. Here: copies of both. */
    struct federation_state *one = state_of(&arena, "dc1", 7, 7, 1);
    struct federation_state *two = state_of(&arena, "dc2", 9, 9, 2);
    struct federation_state *one_here = state_of(&arena, "dc1", 7, 20, 1);
    struct federation_state *two_here = state_of(&arena, "dc2", 9, 21, 2);
    check(none, none, 0, "");
    check(none, LIST(two, one), 0, "+dc1@7 +dc2@9");
    check(LIST(one_here, two_here), LIST(two, one), 0, "");
    check(LIST(two_here), LIST(one, two), 9, "+dc1@7"); /* what is missing is never skipped */
    check(LIST(two_here, one_here), none, 0, "-dc1 -dc2");
    check(LIST(one_here), LIST(two), 0, "-dc1 +dc2@9");
    /* changed in the primary */
    struct federation_state *later = state_of(&arena, "dc2", 12, 12, 3);
    check(LIST(one_here, two_here), LIST(one, later), 9, "+dc2@12");
    check(LIST(one_here, two_here), LIST(one, later), 12, "");
    /* no copy, whatever it says */
    struct federation_state *changed = state_of(&arena, "dc2", 9, 22, 4);
    check(LIST(one_here, changed), LIST(one, two), 0, "+dc2@9");
    struct federation_state *foreign = state_of(&arena, "dc2", 8, 22, 2);
    check(LIST(foreign), LIST(two), 0, "+dc2@9");
    /* another spelling is the same record */
    check(LIST(one_here), LIST(state_of(&arena, "DC1", 8, 8, 1)), 7, "+DC1@8");
    assert_int_equal(two->primary_modify_index, 9); /* what is compared is not changed */
    arena_free(&arena);
}

static void test_gateways_differ(void **state) {
    struct arena arena = ARENA_INIT;
    struct federation_state *a = state_of(&arena, "dc1", 7, 7, 1);
    struct federation_state *b = state_of(&arena, "dc1", 8, 9, 2);
    assert_true(federation_same_gateways(a, b));
    struct node node = {.node = STR("n")}, other = {.node = STR("m")};
    struct check_service_node x = {.node = &node}, y = {.node = &other};
    a->mesh_gateways = (struct list){&x, 1, true};
    assert_false(federation_same_gateways(a, b));
    b->mesh_gateways = (struct list){&y, 1, true};
    assert_false(federation_same_gateways(a, b));
    other.node = STR("n");
    assert_true(federation_same_gateways(a, b));
    other.modify_index = 5;
    assert_false(federation_same_gateways(a, b));
    arena_free(&arena);
}

static void test_lost(void **state) {
    struct arena arena = ARENA_INIT;
    struct peer_datacenter known[] = {{.name = STR("dc1")}, {.name = STR("dc3")}};
    struct list states = LIST(state_of(&arena, "dc1", 1, 1, 1), state_of(&arena, "dc2", 2, 2, 2),
                              state_of(&arena, "DC3", 3, 3, 3), state_of(&arena, "dc4", 4, 4, 4));
    struct list lost = federation_lost(&states, known, COUNT_OF(known), &arena);
    assert_int_equal(lost.len, 2);
    assert_true(str_is(LIST_AT(lost, struct federation_op, 0).state->datacenter, "dc2"));
    assert_true(str_is(LIST_AT(lost, struct federation_op, 1).state->datacenter, "dc4"));
    assert_true(LIST_AT(lost, struct federation_op, 0).delete);
    struct list nothing = LIST_NIL;
    assert_int_equal(federation_lost(&nothing, known, COUNT_OF(known), &arena).len, 0);
    arena_free(&arena);
}

/* ---- on a server ---- */

/* The names of the datacenters with a state, and the number of gateways of each: "dc1:0 dc2:1". */
static uint64_t states_now(char text[256]) {
    struct dc_request r = {0};
    struct ask a;
    struct answer *answer = ask(&a, 0, &endpoint_federation_state_list, &r);
    const struct list *states = &((struct indexed_federation_states *)answer->reply)->states;
    text[0] = '\0';
    for (uint32_t i = 0; i < states->len; i++) {
        const struct federation_state *s = LIST_AT(*states, struct federation_state *, i);
        snprintf(text + strlen(text), 256 - strlen(text), "%s" STR_FMT ":%u", i > 0 ? " " : "",
                 STR_ARG(s->datacenter), s->mesh_gateways.len);
    }
    uint64_t index = answer->meta.index;
    ask_end(&a);
    return index;
}

static void wait_for_states(const char *wanted) {
    char text[256];
    int64_t end = time_now_monotonic() + 20 * SECOND;
    states_now(text);
    while (strcmp(text, wanted) != 0) {
        if (time_now_monotonic() > end)
            fail_msg("states are \"%s\", not \"%s\"", text, wanted);
        states_now(text);
    }
}

static void apply_state(const char *op, const char *datacenter) {
    struct federation_state s = {.datacenter = str_from(datacenter)};
    struct federation_state_request r = {.op = str_from(op), .state = &s};
    struct ask a;
    struct answer *answer = ask(&a, 1, &endpoint_federation_state_apply, &r);
    assert_int_equal(*(bool *)answer->reply, strcmp(op, "upsert") == 0);
    ask_end(&a);
}

static void register_gateway(const char *node, const char *output) {
    struct node_service service = {
        .kind = STR("mesh-gateway"), .service = STR("gw"), .id = STR("gw"), .port = 443};
    struct health_check check = {.node = str_from(node),
                                 .check_id = STR("c"),
                                 .name = STR("c"),
                                 .status = STR("passing"),
                                 .output = str_from(output),
                                 .service_id = STR("gw")};
    struct register_request r = {
        .node = str_from(node), .address = STR("127.0.0.2"), .service = &service, .check = &check};
    struct ask a;
    ask(&a, 1, &endpoint_catalog_register, &r);
    ask_end(&a);
}

static void deregister(const char *node) {
    struct deregister_request r = {.node = str_from(node)};
    struct ask a;
    ask(&a, 1, &endpoint_catalog_deregister, &r);
    ask_end(&a);
}

static void prune_on_core(void *arg) {
    (void)arg;
    federation_prune(server->federation);
}

static void pruned(void *arg) {
    sem_post(arg);
}

static void prune_now(void) {
    sem_t done;
    sem_init(&done, 0, 0);
    assert_true(server_run_on_core(server, prune_on_core, pruned, &done));
    assert_true(sem_wait_ms(&done, 20000));
    sem_destroy(&done);
}

static void test_own_record(void **state) {
    struct server_options o = harness_options();
    o.rpc_hold_timeout = 20 * SECOND;
    server_begin(&o);
    server_settle();
    wait_for_states("dc1:0");
    register_gateway("a", "");
    wait_for_states("dc1:1");
    /* What a record shows is also what is said of a gateway's checks. */
    char text[256];
    struct dc_request r = {.options.min_query_index = states_now(text)};
    struct ask waiting;
    ask_start(&waiting, 0, &endpoint_federation_state_list_mesh_gateways, &r);
    register_gateway("a", "changed");
    struct answer *answer = ask_wait(&waiting, 20000);
    assert_non_null(answer);
    const struct list *gateways = &((struct datacenter_gateways *)answer->reply)->nodes;
    assert_int_equal(gateways->len, 1);
    const struct list *instances = &LIST_AT(*gateways, struct list_pair, 0).value;
    const struct list *checks = &LIST_AT(*instances, struct check_service_node, 0).checks;
    assert_true(str_is(LIST_AT(*checks, struct health_check *, 0)->output, "changed"));
    ask_end(&waiting);
    deregister("a");
    wait_for_states("dc1:0");
    /* The own one comes back, those of others go when nobody of them is in the pool. */
    apply_state("delete", "dc1");
    wait_for_states("dc1:0");
    apply_state("upsert", "gone");
    wait_for_states("dc1:0 gone:0");
    prune_now();
    wait_for_states("dc1:0");
    server_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_servers_support_them),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_gateways_differ),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_own_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

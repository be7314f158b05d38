/* The catalog's rules that no transcript covers: equality, rename traps, cascades, connect, dumps,
 * lookups, and which names a write touches (fsm.md 3, 6). */
#include "fixture.h"
#include "store/autopilot.h"

#define ID_A "aaaaaaaa-1111-4111-8111-111111111111"
#define ID_B "abbbbbbb-1111-4111-8111-111111111111"

static void base(struct fixture *f) {
    node_put(f, "n1", ID_A, "10.0.0.1");
    service_put(f, "n1", (struct node_service){.id = S("web1"), .service = S("web")});
    check_put(f, "n1", "node", "", "passing");
    check_put(f, "n1", "c", "web1", "passing");
}

static void test_nil_and_empty_differ(void **state) {
    struct fixture *f = *state;
    base(f);
    struct node_service s = {.id = S("web1"), .service = S("web")};
    service_put(f, "n1", s);
    assert_int_equal(index_of(f, "services"), 2); /* {1,1} filled in: equal after that */
    s.tags = LIST_EMPTY;
    service_put(f, "n1", s);
    assert_int_equal(index_of(f, "services"), f->index);
    s.weights = &(struct weights){1, 1};
    service_put(f, "n1", s);
    assert_int_equal(index_of(f, "services"), f->index - 1);
    s.weights = &(struct weights){0, 1}; /* invalid: {1,1} */
    service_put(f, "n1", s);
    assert_int_equal(index_of(f, "services"), f->index - 2);
    struct node_service *stored = NULL;
    WITH_READ(f, r) stored = catalog_service(r, S("N1"), S("WEB1"));
    assert_non_null(stored);
    assert_true(stored->tags.present);
    assert_int_equal(stored->weights->passing, 1);
}

static void test_check_rules(void **state) {
    struct fixture *f = *state;
    base(f);
    uint64_t written = f->index;
    struct health_check *c = NULL;
    check_put(f, "n1", "c", "web1", "passing"); /* unmodified: bumps checks, keeps its index */
    WITH_READ(f, r) c = catalog_check(r, S("n1"), S("C"));
    assert_int_equal(c->modify_index, written);
    assert_str(c->service_name, "web");
    assert_int_equal(index_of(f, "checks"), f->index);
    assert_int_equal(index_of(f, "service.web"), written);
    assert_true(was_touched(f, WATCH_NODE_CHECKS, "n1"));
    assert_true(was_touched(f, WATCH_STATE_CHECKS, "passing"));
    assert_false(was_touched(f, WATCH_SERVICE, "web"));
    check_put(f, "n1", "c", "web1", "");
    assert_true(was_touched(f, WATCH_SERVICE, "web"));
    assert_true(was_touched(f, WATCH_STATE_CHECKS, "passing"));
    assert_true(was_touched(f, WATCH_STATE_CHECKS, "critical"));
    struct list list;
    WITH_READ(f, r) {
        catalog_state_checks(r, S("critical"), NULL, &list);
        assert_int_equal(list.len, 1);
        catalog_state_checks(r, S("any"), NULL, &list);
        assert_int_equal(list.len, 2);
        catalog_state_checks(r, S("warning"), NULL, &list);
        assert_false(list.present);
    }
}

static void test_check_of_missing(void **state) {
    struct fixture *f = *state;
    base(f);
    assert_refused(check_put(f, "n1", "x", "nope", "passing"),
                   "failed inserting check: Missing service registration on node \"n1\"");
    assert_null(f->touched);
    assert_refused(
        check_put(f, "n1", "", "", "passing"),
        "failed inserting check: failed inserting check: object missing primary index on "
        "node \"n1\"");
}

static void test_service_nodes_of_nil(void **state) {
    struct fixture *f = *state;
    base(f);
    struct list list;
    WITH_READ(f, r) {
        catalog_service_nodes(r, S("web"), NULL, &list);
        struct service_node *sn = LIST_AT(list, struct service_node *, 0);
        assert_true(sn->service_tags.present && sn->service_meta.present);
        assert_false(sn->service_tagged_addresses.present);
        catalog_check_service_nodes(r, S("web"), NULL, &list);
        assert_false(LIST_AT(list, struct check_service_node, 0).service->tags.present);
    }
}

static void test_autopilot(void **state) {
    struct fixture *f = *state;
    struct autopilot_set_request r = {.cas = true, .config = {.max_trailing_logs = 1}};
    struct autopilot_config *config = NULL;
    assert_bool(apply(f, ENTRY_AUTOPILOT, &autopilot_set_request_shape, &r), false);
    WITH_READ(f, rd)
    assert_int_equal(autopilot_config_get(rd, &config), 1);
    assert_null(config);
    r.cas = false;
    assert_int_equal(apply(f, ENTRY_AUTOPILOT, &autopilot_set_request_shape, &r)->kind,
                     STORE_RESULT_NIL);
    r.cas = true;
    r.config.max_trailing_logs = 2;
    assert_bool(apply(f, ENTRY_AUTOPILOT, &autopilot_set_request_shape, &r), false);
    r.config.modify_index = 2;
    assert_bool(apply(f, ENTRY_AUTOPILOT, &autopilot_set_request_shape, &r), true);
    WITH_READ(f, rd)
    assert_int_equal(autopilot_config_get(rd, &config), 4);
    assert_int_equal(config->create_index, 2);
    assert_int_equal(config->max_trailing_logs, 2);
}

/* Type is not compared: its change is stored, but is no modification. */
static void test_check_type(void **state) {
    struct fixture *f = *state;
    base(f);
    uint64_t before = index_of(f, "service.web");
    struct health_check c = {.node = S("n1"),
                             .check_id = S("c"),
                             .name = S("c"),
                             .service_id = S("web1"),
                             .status = S("passing"),
                             .type = S("ttl")};
    struct register_request r = {.node = S("n1"), .check = &c, .skip_node_update = true};
    apply(f, ENTRY_REGISTER, &register_request_shape, &r);
    assert_int_equal(index_of(f, "service.web"), before);
    struct health_check *stored = NULL;
    WITH_READ(f, rd)
    stored = catalog_check(rd, S("n1"), S("c"));
    assert_str(stored->type, "ttl");
    assert_int_equal(stored->modify_index, before);
}

/* What is no number and what is of nobody is skipped; the index grows all the same. */
static void test_coordinates(void **state) {
    struct fixture *f = *state;
    base(f);
    double bad[] = {1, 0.0 / 0.0};
    struct coord coords[] = {{.error = 1.0 / 0.0}, {.vec = {bad, 2, true}}, {.height = 1}};
    struct coordinate rows[] = {{.node = S("n1"), .coord = &coords[0]},
                                {.node = S("n1"), .coord = &coords[1]},
                                {.node = S("nope"), .coord = &coords[2]},
                                {.node = S("n1")},
                                {.node = S("N1"), .segment = S("a"), .coord = &coords[2]}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct coordinate *pointers[] = {&rows[i], NULL};
        struct list batch = {pointers, 2, true}, list;
        struct buf data = BUF_INIT;
        buf_add_char(&data, (char)ENTRY_COORDINATE_BATCH);
        schema_encode_type(&data, &coordinate_batch_type, &batch);
        apply_at(f, f->index + 1, buf_str(&data), STR_NONE);
        buf_free(&data);
        WITH_READ(f, r) {
            assert_int_equal(coordinate_list(r, &list), f->index);
            assert_int_equal(list.len, i == 4 ? 1 : 0);
        }
    }
}

/* The old name of a renamed instance is left behind, with its index entry and its checks. */
static void test_service_rename(void **state) {
    struct fixture *f = *state;
    base(f);
    uint64_t old = index_of(f, "service.web");
    service_put(f, "n1", (struct node_service){.id = S("web1"), .service = S("shop")});
    assert_int_equal(index_of(f, "service.web"), old);
    assert_int_equal(index_of(f, "service.shop"), f->index);
    assert_int_equal(index_of(f, "service_last_extinction"), 0);
    struct list list;
    WITH_READ(f, r) {
        assert_int_equal(catalog_service_nodes(r, S("web"), NULL, &list), old); /* left over */
        assert_false(list.present);
        catalog_service_checks(r, S("web"), NULL, &list);
        assert_int_equal(list.len, 1);
        catalog_check_service_nodes(r, S("shop"), NULL, &list);
        assert_int_equal(list.len, 1);
        assert_int_equal(LIST_AT(list, struct check_service_node, 0).checks.len, 2);
    }
    deregister(f, "n1", "web1", "");
    assert_int_equal(index_of(f, "service.shop"), 0);
    assert_int_equal(index_of(f, "service_last_extinction"), f->index);
}

static void test_delete_node_takes_all(void **state) {
    struct fixture *f = *state;
    base(f);
    session_op(f, "create", (struct session){.id = S(ID_B), .node = S("n1")});
    kv_op(f, "lock", (struct dir_entry){.key = S("k"), .session = S(ID_B)});
    struct coordinate c = {.node = S("n1"), .coord = &(struct coord){.vec = LIST_NIL}},
                      *pointer = &c;
    struct list one = {&pointer, 1, true};
    struct buf data = BUF_INIT;
    buf_add_char(&data, (char)ENTRY_COORDINATE_BATCH);
    schema_encode_type(&data, &coordinate_batch_type, &one);
    apply_at(f, f->index + 1, buf_str(&data), STR_NONE);
    buf_free(&data);
    struct list list;
    WITH_READ(f, r) {
        assert_int_equal(coordinate_node(r, S("N1"), &list), f->index);
        assert_int_equal(list.len, 1);
    }
    deregister(f, "N1", "", "");
    const char *bumped[] = {"nodes",
                            "services",
                            "checks",
                            "coordinates",
                            "sessions",
                            "kvs",
                            "service_kind.typical",
                            "service_last_extinction"};
    for (size_t i = 0; i < COUNT_OF(bumped); i++)
        assert_int_equal(index_of(f, bumped[i]), f->index);
    assert_int_equal(index_of(f, "service.web"), 0);
    assert_int_equal(index_of(f, "tombstones"), 0);
    WITH_READ(f, r) {
        struct dir_entry *entry;
        kv_get(r, S("k"), &entry);
        assert_str(entry->session, "");
        catalog_nodes(r, NULL, &list);
        assert_false(list.present);
        catalog_node_checks(r, S("n1"), &list);
        assert_false(list.present);
        coordinate_list(r, &list);
        assert_false(list.present);
        session_list(r, &list);
        assert_false(list.present);
        assert_null(catalog_node_by_id(r, S(ID_A)));
    }
    assert_int_equal(deregister(f, "n1", "", "")->kind, STORE_RESULT_NIL);
    assert_null(f->touched);
}

static void test_lookup_by_id_prefix(void **state) {
    struct fixture *f = *state;
    base(f);
    node_put(f, "n2", ID_B, "10.0.0.2");
    struct node *node;
    struct list services;
    WITH_READ(f, r) {
        assert_int_equal(catalog_node_services(r, S("aa"), &node, &services), 5);
        assert_str(node->node, "n1");
        assert_int_equal(services.len, 1);
        catalog_node_services(r, S("aaaaaaaa-1111-"), &node, &services);
        assert_non_null(node);
        catalog_node_services(r, S("aaaaaaaa-11"), &node, &services); /* cut, 9 digits are left */
        assert_null(node);
        catalog_node_services(r, S("aaa"), &node, &services); /* odd: one character less */
        assert_non_null(node);
        catalog_node_services(r, S("ABBBBBBB"), &node, &services);
        assert_str(node->node, "n2");
        assert_int_equal(catalog_node_services(r, S("a"), &node, &services), 1);
        assert_null(node);
        catalog_node_services(r, S("cc"), &node, &services);
        assert_null(node);
        catalog_node_services(r, S("zz"), &node, &services);
        assert_null(node);
        struct node_services *map;
        catalog_node_services_map(r, S("N1"), &map);
        assert_int_equal(map->services.len, 1);
        catalog_node_services_map(r, S("none"), &map);
        assert_null(map);
    }
}

static void test_meta_and_names(void **state) {
    struct fixture *f = *state;
    struct str_pair meta[] = {{S("rack"), S("1")}, {S("zone"), S("b")}};
    struct register_request r1 = {.node = S("n1"), .address = S("1"), .node_meta = {meta, 2, true}};
    struct register_request r2 = {.node = S("n2"), .address = S("2"), .node_meta = {meta, 1, true}};
    struct str tags[] = {S("b"), S("a"), S("b")};
    apply(f, ENTRY_REGISTER, &register_request_shape, &r1);
    apply(f, ENTRY_REGISTER, &register_request_shape, &r2);
    service_put(f, "n1",
                (struct node_service){.id = S("w"), .service = S("web"), .tags = {tags, 3, true}});
    service_put(f, "n2",
                (struct node_service){.id = S("w"), .service = S("web"), .tags = {tags, 1, true}});
    service_put(f, "n2", (struct node_service){.id = S("d"), .service = S("db")});
    struct list list, one = {meta, 1, true}, both = {meta, 2, true}, none = {meta + 1, 0, true};
    WITH_READ(f, r) {
        catalog_nodes(r, &one, &list);
        assert_int_equal(list.len, 2);
        catalog_nodes(r, &both, &list);
        assert_int_equal(list.len, 1);
        catalog_nodes(r, &none, &list);
        assert_int_equal(list.len, 2);
        catalog_services(r, NULL, &list);
        assert_int_equal(list.len, 2);
        struct list_pair *pairs = list.items;
        assert_str(pairs[0].key, "db");
        assert_true(pairs[0].value.present);
        assert_int_equal(pairs[1].value.len, 2);
        catalog_services(r, &both, &list);
        assert_int_equal(list.len, 1);
        catalog_service_names(r, &list);
        assert_int_equal(list.len, 2);
        struct list wanted = {(struct str[]){S("B"), S("A")}, 2, true};
        catalog_service_nodes(r, S("WEB"), &wanted, &list);
        assert_int_equal(list.len, 1);
        struct service_node *sn = LIST_AT(list, struct service_node *, 0);
        assert_str(sn->node, "n1");
        assert_true(sn->service_meta.present);
        assert_int_equal(sn->service_weights.passing, 1);
        wanted = (struct list){(struct str[]){S("")}, 1, true}; /* an empty tag must be there */
        catalog_service_nodes(r, S("web"), &wanted, &list);
        assert_true(list.present && list.len == 0);
        catalog_address_nodes(r, S("2"), &list);
        assert_int_equal(list.len, 2);
        assert_int_equal(catalog_address_nodes(r, S("3"), &list), 1);
    }
    struct register_request r3 = {.node = S("n1"), .address = S("1")}; /* meta gone: lookups too */
    apply(f, ENTRY_REGISTER, &register_request_shape, &r3);
    WITH_READ(f, r) {
        catalog_nodes(r, &one, &list);
        assert_int_equal(list.len, 1);
    }
}

static void test_connect(void **state) {
    struct fixture *f = *state;
    base(f);
    struct node_service proxy = {.id = S("p"),
                                 .service = S("web-proxy"),
                                 .kind = S("connect-proxy"),
                                 .proxy.destination_service_name = S("Web")};
    service_put(f, "n1", proxy);
    assert_true(was_touched(f, WATCH_CONNECT, "web"));
    uint64_t at = f->index;
    assert_int_equal(index_of(f, "service_kind.connect-proxy"), at);
    service_put(f, "n1",
                (struct node_service){.id = S("nat"), .service = S("web"), .connect.native = true});
    node_put(f, "n9", "", "9"); /* another node: no business of health connect */
    struct list list;
    WITH_READ(f, r) {
        assert_int_equal(catalog_check_connect_nodes(r, S("web"), &list), at + 1);
        assert_int_equal(list.len, 2);
        catalog_connect_nodes(r, S("web"), &list);
        assert_int_equal(list.len, 2);
        assert_str(LIST_AT(list, struct service_node *, 0)->service_id, "nat");
    }
    deregister(f, "n1", "nat", "");
    deregister(f, "n1", "web1", "");
    WITH_READ(f, r) {
        /* Asked by a name that has no service entry: any change of nodes or services. */
        assert_int_equal(catalog_connect_nodes(r, S("web"), &list), f->index);
        assert_int_equal(list.len, 1);
        assert_int_equal(catalog_check_connect_nodes(r, S("none"), &list), f->index);
        catalog_service_dump(r, true, S("connect-proxy"), &list);
        assert_int_equal(list.len, 1);
        catalog_service_dump(r, false, STR(""), &list);
        assert_int_equal(list.len, 1);
    }
    proxy.proxy.destination_service_name = STR_NONE; /* found by nobody */
    service_put(f, "n1", proxy);
    WITH_READ(f, r) {
        catalog_connect_nodes(r, S("web"), &list);
        assert_false(list.present);
    }
    proxy.proxy.destination_service_name = S("web");
    service_put(f, "n1", proxy);
    proxy.proxy.destination_service_name = S("db"); /* the old destination is told */
    service_put(f, "n1", proxy);
    assert_true(was_touched(f, WATCH_CONNECT, "web"));
    assert_true(was_touched(f, WATCH_CONNECT, "db"));
}

static void test_dumps(void **state) {
    struct fixture *f = *state;
    base(f);
    node_put(f, "N0", "", "0");
    struct list list;
    WITH_READ(f, r) {
        assert_int_equal(catalog_node_dump(r, &list), f->index);
        assert_int_equal(list.len, 2);
        struct node_info *info = LIST_AT(list, struct node_info *, 1);
        assert_str(info->node, "n1");
        assert_int_equal(info->services.len, 1);
        assert_int_equal(info->checks.len, 2);
        catalog_node_info(r, S("n0"), &list);
        assert_int_equal(list.len, 1);
        catalog_node_info(r, S("none"), &list);
        assert_false(list.present);
    }
}

/* One entry all or nothing, in the middle of a batch. */
static void test_refused_entry_leaves_no_trace(void **state) {
    struct fixture *f = *state;
    base(f);
    struct health_check bad = {.node = S("n2"), .check_id = S("c"), .service_id = S("nope")};
    struct node_service s = {.id = S("s"), .service = S("s")};
    struct register_request r = {.node = S("n2"), .address = S("2"), .service = &s, .check = &bad};
    assert_refused(apply(f, ENTRY_REGISTER, &register_request_shape, &r),
                   "failed inserting check: Missing service registration on node \"n2\"");
    assert_int_equal(index_of(f, "nodes"), 1);
    assert_int_equal(index_of(f, "services"), 2);
    assert_int_equal(index_of(f, "service.s"), 0);
    struct list list;
    WITH_READ(f, rd) {
        catalog_nodes(rd, NULL, &list);
        assert_int_equal(list.len, 1);
        catalog_services(rd, NULL, &list);
        assert_int_equal(list.len, 1);
    }
    assert_int_equal(store_applied_index(f->store), 5);
}

static void test_meta_of_services(void **state) {
    struct fixture *f = *state;
    base(f);
    char long_value[514];
    memset(long_value, 'v', 513);
    long_value[513] = '\0';
    struct {
        const char *key, *value, *kind, *why;
    } rows[] = {
        {"", "x", "", "Key cannot be blank"},
        {"a b", "x", "", "Key contains invalid characters"},
        {"consul-x", "x", "", "Key prefix 'consul-' is reserved for internal use"},
        {"consul-wan-federation", "x", "", "Key prefix 'consul-' is reserved for internal use"},
        {"consul-wan-federation", "1", "mesh-gateway", NULL},
        {"k", long_value, "", "Value is too long (limit: 512 characters)"},
        {"k_-9Z", "", "", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str_pair pair = {S(rows[i].key), S(rows[i].value)};
        struct node_service s = {
            .id = S("m"), .service = S("m"), .kind = S(rows[i].kind), .meta = {&pair, 1, true}};
        struct store_result *result = service_put(f, "n1", s);
        if (rows[i].why == NULL) {
            assert_not_refused(result);
        } else {
            char text[1024];
            snprintf(text, sizeof text,
                     "failed inserting service: Invalid Service Meta for node n1 and serviceID m: "
                     "Couldn't load metadata pair ('%s', '%s'): %s",
                     rows[i].key, rows[i].value, rows[i].why);
            assert_refused(result, text);
        }
    }
}

/* Long and odd names do not break keys. */
static void test_odd_names(void **state) {
    struct fixture *f = *state;
    char name[3000];
    memset(name, 'N', sizeof name);
    name[2999] = '\0';
    node_put(f, name, "", "1");
    service_put(f, name, (struct node_service){.id = S(name), .service = S(name)});
    check_put(f, name, name, name, "passing");
    struct list list;
    WITH_READ(f, r) {
        catalog_check_service_nodes(r, S(name), NULL, &list);
        assert_int_equal(list.len, 1);
        assert_int_equal(LIST_AT(list, struct check_service_node, 0).checks.len, 1);
    }
    deregister(f, name, "", "");
    WITH_READ(f, r) {
        catalog_node_dump(r, &list);
        assert_false(list.present);
    }
}

/* As the peer folds: by Unicode, bytes that are no UTF-8 are all one. NUL and 01 do not confuse
 * keys. */
static void test_names_fold(void **state) {
    struct fixture *f = *state;
    struct list list;
    node_put(f,
             "\xc3\x89"
             "cole",
             "", "1");
    node_put(f,
             "\xc3\xa9"
             "COLE",
             "", "2");
    node_put(f, "\xd0\x96", "", "3"); /* Zhe */
    node_put(f, "bad\xff", "", "4");
    node_put(f, "bad\xfe", "", "5");
    WITH_READ(f, r) {
        catalog_nodes(r, NULL, &list);
        assert_int_equal(list.len, 3);
        assert_str(LIST_AT(list, struct node *, 1)->address, "2");
        assert_str(LIST_AT(list, struct node *, 0)->address, "5");
        assert_non_null(catalog_node(r, S("\xd0\xb6")));
    }
    const struct str names[] = {STR("a\0b"), STR("a\1b"), STR("a")},
                     ids[] = {STR("c"), STR("b\0c")};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        for (size_t k = 0; k < COUNT_OF(ids); k++) {
            struct node_service s = {.id = ids[k], .service = names[i]};
            struct register_request r = {.node = names[i], .address = S("1"), .service = &s};
            apply(f, ENTRY_REGISTER, &register_request_shape, &r);
        }
    }
    WITH_READ(f, r) {
        verify_store(r);
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            struct node *node;
            catalog_node_services(r, names[i], &node, &list);
            assert_int_equal(list.len, 2);
            catalog_service_nodes(r, names[i], NULL, &list);
            assert_int_equal(list.len, 2);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nil_and_empty_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check_of_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service_nodes_of_nil, setup, teardown),
        cmocka_unit_test_setup_teardown(test_autopilot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check_type, setup, teardown),
        cmocka_unit_test_setup_teardown(test_coordinates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_service_rename, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete_node_takes_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lookup_by_id_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meta_and_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dumps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_entry_leaves_no_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meta_of_services, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_fold, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

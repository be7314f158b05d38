/* JSON to structures and back: the peer's own answers to some 430 bodies
 * (vectors/schema/json-in.json), and the records of http-core.md 10.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "schema/entries.h"
#include "schema/txn_body.h"
#include "unit/vectors.h"

static const struct {
    const char *name;
    const struct shape *shape;
    const char *go_type;
} targets[] = {
    {"register", &register_request_shape, "structs.RegisterRequest"},
    {"service_definition", &service_definition_shape, NULL},
    {"check_definition", &check_definition_shape, NULL},
    {"session", &session_shape, NULL},
    {"prepared_query", &prepared_query_shape, NULL},
    {"coordinate_update", &coordinate_update_request_shape, NULL},
    {"autopilot", &autopilot_config_shape, NULL},
    {"deregister", &deregister_request_shape, NULL},
    {"intention", &intention_shape, NULL},
};

static bool decode_body(struct str target, struct str body, struct arena *arena, struct error *e) {
    struct value json;
    if (!json_parse(body, &json, NULL, arena, e)) {
        return false;
    }
    if (str_is(target, "txn")) {
        struct json_options options = {.go_type = "api.TxnOps"};
        struct list ops = LIST_NIL;
        return schema_from_json_type(&json, &api_txn_ops_type, &ops, &options, arena, e);
    }
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        if (str_is(target, targets[i].name)) {
            struct json_options options = {.go_type = targets[i].go_type};
            void *object = arena_zalloc(arena, 1, targets[i].shape->size);
            return schema_from_json(&json, targets[i].shape, object, &options, arena, e);
        }
    }
    fail_msg("no target %.*s", STR_ARG(target));
    return false;
}

static void test_peer_texts(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value *root = vectors_json(&arena, "schema/json-in.json");
    struct value *vectors = value_get(root, "vectors");
    int bad = 0;
    for (size_t i = 0; i < vectors->list.len; i++) {
        const struct value *v = &vectors->list.items[i];
        struct str target = value_get(v, "target")->string;
        struct str body = value_get(v, "body")->string;
        const struct value *want = value_get(v, "error");
        error_clear(&e);
        bool ok = decode_body(target, body, &arena, &e);
        bool right = want->kind == VALUE_NULL ? ok : !ok && str_eq(want->string, e.text);
        if (!right) {
            bad++;
            print_error("#%zu %.*s %.*s\n  want %.*s\n  have %.*s\n", i, STR_ARG(target),
                        STR_ARG(body), STR_ARG(want->kind == VALUE_NULL ? STR("-") : want->string),
                        STR_ARG(ok ? STR("-") : e.text));
        }
    }
    assert_int_equal(bad, 0);
    assert_true(vectors->list.len > 400);
    arena_free(&arena);
}

/* Body to struct to JSON. */
static void expect_json(const struct shape *shape, const char *body, const char *want) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    void *object = arena_zalloc(&arena, 1, shape->size);
    if (!json_parse(str_from(body), &json, NULL, &arena, &e) ||
        !schema_from_json(&json, shape, object, NULL, &arena, &e)) {
        fail_msg("%.*s", STR_ARG(e.text));
    }
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    schema_write_json(&w, shape, object);
    json_finish(&w);
    buf_add_char(&out, 0);
    assert_string_equal(out.data, want);
    buf_free(&out);
    arena_free(&arena);
}

/* http-core.md 10.5 and 10.6 */
static void test_definition(void **state) {
    static const char full[] =
        "{\"Interval\":\"10s\",\"OutputMaxSize\":5,\"Timeout\":\"1.5s\","
        "\"DeregisterCriticalServiceAfter\":\"24h0m0s\",\"HTTP\":\"h\",\"TLSSkipVerify\":true,"
        "\"Header\":{\"a\":[\"2\"],\"b\":[\"1\"]},\"Method\":\"M\",\"Body\":\"B\",\"TCP\":\"T\","
        "\"ScriptArgs\":[\"a\"],\"DockerContainerID\":\"d\",\"Shell\":\"sh\",\"GRPC\":\"g\","
        "\"GRPCUseTLS\":true,\"AliasNode\":\"an\",\"AliasService\":\"as\",\"TTL\":5000000000}";
    expect_json(&health_check_definition_shape, full, full);
    expect_json(&health_check_definition_shape, "{}", "{}");
    expect_json(&health_check_definition_shape,
                "{\"TTL\":\"5s\",\"Interval\":1.5e9,\"Timeout\":true}",
                "{\"Interval\":\"1.5s\",\"TTL\":5000000000}");
}

static void test_proxy(void **state) {
    static const char full[] =
        "{\"DestinationServiceName\":\"web\",\"DestinationServiceID\":\"web1\","
        "\"LocalServicePort\":80,"
        "\"Config\":{\"a\":{\"y\":[1,2]},\"b\":1},\"Upstreams\":[{\"DestinationType\":\"\","
        "\"DestinationName\":\"db\",\"Datacenter\":\"\",\"LocalBindPort\":9191,\"Config\":null,"
        "\"MeshGateway\":{}}],\"MeshGateway\":{\"Mode\":\"local\"},\"Expose\":{\"Checks\":true,"
        "\"Paths\":[{\"ListenerPort\":2,\"Path\":\"/h\",\"LocalPathPort\":3,"
        "\"ParsedFromCheck\":false}]}}";
    expect_json(&connect_proxy_config_shape, full, full);
    expect_json(&connect_proxy_config_shape, "{}", "{\"MeshGateway\":{},\"Expose\":{}}");
    expect_json(&connect_proxy_config_shape,
                "{\"destination_service_name\":\"a\",\"DestinationServiceName\":\"b\","
                "\"DESTINATION_service_id\":\"c\",\"local_service_port\":7,"
                "\"Upstreams\":[{\"destination_name\":\"x\",\"Local_Bind_Port\":1}],"
                "\"Expose\":{\"Paths\":[{\"listener_port\":4}]}}",
                "{\"DestinationServiceName\":\"b\",\"DestinationServiceID\":\"c\","
                "\"LocalServicePort\":7,\"Upstreams\":[{\"DestinationType\":\"\","
                "\"DestinationName\":\"x\",\"Datacenter\":\"\",\"LocalBindPort\":1,\"Config\":null,"
                "\"MeshGateway\":{}}],\"MeshGateway\":{},\"Expose\":{\"Paths\":["
                "{\"ListenerPort\":4,\"ParsedFromCheck\":false}]}}");
}

static void test_node(void **state) {
    expect_json(&node_shape,
                "{\"Node\":\"x\",\"node\":\"c1\",\"META\":{\"b\":\"<&>\",\"a\":null},\"ID\":null}",
                "{\"ID\":\"\",\"Node\":\"c1\",\"Address\":\"\",\"Datacenter\":\"\","
                "\"TaggedAddresses\":null,\"Meta\":{\"a\":\"\",\"b\":\"\\u003c\\u0026\\u003e\"},"
                "\"CreateIndex\":0,\"ModifyIndex\":0}");
    /* A map given twice is merged, null makes nil of it, and of a list. */
    expect_json(&node_shape,
                "{\"Meta\":{\"a\":\"1\",\"c\":\"1\"},\"Meta\":{\"b\":\"2\",\"a\":\"3\"},"
                "\"TaggedAddresses\":{\"x\":\"y\"},\"TaggedAddresses\":null}",
                "{\"ID\":\"\",\"Node\":\"\",\"Address\":\"\",\"Datacenter\":\"\","
                "\"TaggedAddresses\":null,\"Meta\":{\"a\":\"3\",\"b\":\"2\",\"c\":\"1\"},"
                "\"CreateIndex\":0,\"ModifyIndex\":0}");
}

static void test_kv(void **state) {
    expect_json(&dir_entry_shape,
                "{\"Key\":\"a\",\"Value\":\"aGk=\",\"Flags\":18446744073709551615}",
                "{\"LockIndex\":0,\"Key\":\"a\",\"Flags\":18446744073709551615,\"Value\":\"aGk=\","
                "\"CreateIndex\":0,\"ModifyIndex\":0}");
    expect_json(&dir_entry_shape, "{\"Session\":\"s\"}",
                "{\"LockIndex\":0,\"Key\":\"\",\"Flags\":0,\"Value\":null,\"Session\":\"s\","
                "\"CreateIndex\":0,\"ModifyIndex\":0}");
}

static void test_session_defaults(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value json;
    struct str serf = STR("serfHealth");
    struct session s = {.lock_delay = 15 * SECOND, .node_checks = {&serf, 1, true}};
    assert_true(json_parse(STR("{\"LockDelay\":null,\"Unknown\":1,\"NodeChecks\":null}"), &json,
                           NULL, &arena, &e));
    assert_true(schema_from_json(&json, &session_shape, &s, NULL, &arena, &e));
    assert_int_equal(s.lock_delay, 15 * SECOND);
    assert_false(s.node_checks.present);
    assert_true(json_parse(STR("{\"LockDelay\":5,\"Checks\":[]}"), &json, NULL, &arena, &e));
    assert_true(schema_from_json(&json, &session_shape, &s, NULL, &arena, &e));
    assert_int_equal(s.lock_delay, 5);
    assert_true(s.checks.present);
    assert_int_equal(s.checks.len, 0);
    arena_free(&arena);
}

/* The whole sidecar, as catalog/node prints it (http-core.md 10.7), and its check's aliases. */
static void test_sidecar(void **state) {
    expect_json(
        &service_connect_shape,
        "{\"sidecar_service\":{\"Name\":\"a\",\"Check\":{\"Args\":[\"x\"],\"TTL\":\"5s\"},"
        "\"tagged_addresses\":{\"lan\":{\"Port\":1}}}}",
        "{\"SidecarService\":{\"ID\":\"\",\"Name\":\"a\",\"Tags\":null,\"Address\":\"\","
        "\"TaggedAddresses\":{\"lan\":{\"Address\":\"\",\"Port\":1}},\"Meta\":null,\"Port\":0,"
        "\"Check\":{\"CheckID\":\"\",\"Name\":\"\",\"Status\":\"\",\"Notes\":\"\","
        "\"ScriptArgs\":[\"x\"],\"HTTP\":\"\",\"Header\":null,\"Method\":\"\",\"Body\":\"\","
        "\"TCP\":\"\",\"Interval\":0,\"AliasNode\":\"\",\"AliasService\":\"\","
        "\"DockerContainerID\":\"\",\"Shell\":\"\",\"GRPC\":\"\",\"GRPCUseTLS\":false,"
        "\"TLSSkipVerify\":false,\"Timeout\":0,\"TTL\":5000000000,\"SuccessBeforePassing\":0,"
        "\"FailuresBeforeCritical\":0,\"ProxyHTTP\":\"\",\"ProxyGRPC\":\"\","
        "\"DeregisterCriticalServiceAfter\":0,\"OutputMaxSize\":0},\"Checks\":null,"
        "\"Weights\":null,\"Token\":\"\",\"EnableTagOverride\":false,\"Proxy\":null,"
        "\"Connect\":null}}");
}

/* connect.md 1 */
static void test_config_entries(void **state) {
    expect_json(&service_resolver_shape,
                "{\"Kind\":\"service-resolver\",\"Name\":\"r\",\"ConnectTimeout\":\"15s\","
                "\"Subsets\":{\"v2\":{},\"v1\":{\"Filter\":\"f\",\"OnlyPassing\":true}}}",
                "{\"ConnectTimeout\":\"15s\",\"Kind\":\"service-resolver\",\"Name\":\"r\","
                "\"Subsets\":{\"v1\":{\"Filter\":\"f\",\"OnlyPassing\":true},\"v2\":{}},"
                "\"CreateIndex\":0,\"ModifyIndex\":0}");
    expect_json(
        &service_splitter_shape,
        "{\"Kind\":\"service-splitter\",\"Splits\":[{\"Weight\":33.34},{\"Weight\":66.66}]}",
        "{\"Kind\":\"service-splitter\",\"Name\":\"\",\"Splits\":[{\"Weight\":33.34},"
        "{\"Weight\":66.66}],\"CreateIndex\":0,\"ModifyIndex\":0}");
}

static void test_pretty(void **state) {
    struct coord c = {.vec = LIST_EMPTY, .error = 1.5, .height = 1e-5};
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, true);
    schema_write_json(&w, &coord_shape, &c);
    json_finish(&w);
    buf_add_char(&out, 0);
    assert_string_equal(out.data,
                        "{\n    \"Vec\": [],\n    \"Error\": 1.5,\n    \"Adjustment\": 0,\n"
                        "    \"Height\": 0.00001\n}\n");
    buf_free(&out);
}

static void test_equality(void **state) {
    struct arena arena = ARENA_INIT;
    struct node a = {.node = STR("x"), .meta = LIST_NIL},
                b = {.node = STR("x"), .meta = LIST_EMPTY};
    assert_false(schema_equal(&node_shape, &a, &b));
    assert_true(schema_equal_but(&node_shape, &a, &b, (const char *const[]){"Meta", NULL}));
    b.meta = LIST_NIL;
    assert_true(schema_equal(&node_shape, &a, &b));
    b.modify_index = 7;
    assert_false(schema_equal(&node_shape, &a, &b));
    /* Bytes know no difference between empty and nil. */
    struct dir_entry x = {.value = STR_NONE}, y = {.value = STR("")};
    assert_true(schema_equal(&dir_entry_shape, &x, &y));
    arena_free(&arena);
}

static void expect_too_much(const char *before, const char *each, int n, const char *after) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf b = BUF_INIT;
    struct value json;
    struct register_request r = {0};
    buf_add_text(&b, before);
    for (int i = 0; i < n; i++) {
        buf_add_format(&b, each, i);
    }
    b.len--; /* the last comma */
    buf_add_text(&b, after);
    assert_true(json_parse_whole(buf_str(&b), &json, &arena, &e));
    size_t tree = arena.total;
    assert_false(schema_from_json(&json, &register_request_shape, &r, NULL, &arena, &e));
    assert_true(str_is(e.text, "body needs too much memory"));
    assert_true(arena.total - tree < ((size_t)2 << 20) + 64 * b.len);
    buf_free(&b);
    arena_free(&arena);
}

/* Bodies that ask for far more memory than their size. */
static void test_memory(void **state) {
    expect_too_much("{\"Checks\":[", "{},", 100000, "]}");
    expect_too_much("{\"Service\":{\"Proxy\":{\"Upstreams\":[", "{},", 100000, "]}}}");
    expect_too_much("{", "\"NodeMeta\":{\"%d\":\"\"},", 20000, "}");
}

static void *encode_once(void *unused) {
    struct ingress_gateway entry = {.head.name = STR("x")};
    struct buf b = BUF_INIT;
    schema_encode(&b, &ingress_gateway_shape, &entry);
    size_t len = b.len;
    buf_free(&b);
    return (void *)len;
}

/* The plan of a shape is made by whoever comes first, and many may come first. */
static void test_threads(void **state) {
    pthread_t threads[8];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, encode_once, NULL), 0);
    }
    void *first = NULL, *len;
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &len), 0);
        first = first == NULL ? len : first;
        assert_ptr_equal(first, len);
    }
}

static void test_maps(void **state) {
    struct arena arena = ARENA_INIT;
    struct str_pair pairs[] = {{STR("b"), STR("1")}, {STR("a"), STR("2")}, {STR("b"), STR("3")}};
    struct list map = {pairs, 3, true};
    map_sort(&map, sizeof(struct str_pair), &arena);
    assert_int_equal(map.len, 2);
    assert_true(str_is(*str_map_get(&map, STR("a")), "2"));
    assert_true(str_is(*str_map_get(&map, STR("b")), "3"));
    assert_null(str_map_get(&map, STR("c")));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_texts), cmocka_unit_test(test_definition),
        cmocka_unit_test(test_proxy),      cmocka_unit_test(test_node),
        cmocka_unit_test(test_kv),         cmocka_unit_test(test_session_defaults),
        cmocka_unit_test(test_sidecar),    cmocka_unit_test(test_config_entries),
        cmocka_unit_test(test_pretty),     cmocka_unit_test(test_equality),
        cmocka_unit_test(test_maps),       cmocka_unit_test(test_memory),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

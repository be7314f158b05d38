/* What central configuration makes of a registration (connect.md 4.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/central.h"
#include "base/mem.h"
#include "codec/json.h"

static struct value *json(struct arena *arena, const char *text) {
    struct error e = ERROR_IN(arena);
    struct value *v = ARENA_NEW(arena, struct value);
    if (!json_parse(str_from(text), v, NULL, arena, &e))
        fail_msg("%s", text);
    return v;
}

static void check_config(const char *own, const char *under, const char *wanted) {
    struct arena arena = ARENA_INIT;
    struct node_service s = {.proxy.config = own != NULL ? json(&arena, own) : NULL};
    struct service_config_response answer = {.proxy_config =
                                                 under != NULL ? json(&arena, under) : NULL};
    central_merge(&s, &answer, &arena);
    if (wanted == NULL)
        assert_null(s.proxy.config);
    else if (!value_equal(s.proxy.config, json(&arena, wanted)))
        fail_msg("%s over %s", own, under);
    arena_free(&arena);
}

static void test_config(void **state) {
    check_config("{\"z\":0,\"f\":false,\"e\":\"\",\"l0\":[],\"n\":{\"a\":9,\"b\":{\"d\":1}}}",
                 "{\"z\":5,\"f\":true,\"e\":\"def\",\"l0\":1,\"n\":{\"a\":1,\"b\":{\"c\":2}}}",
                 "{\"z\":5,\"f\":true,\"e\":\"def\",\"l0\":1,\"n\":{\"a\":9,\"b\":{\"c\":2,\"d\":"
                 "1}}}");
    check_config("{\"a\":[1],\"b\":{\"c\":1},\"d\":1}", "{\"a\":[2],\"b\":5,\"d\":{\"e\":1}}",
                 "{\"a\":[1],\"b\":{\"c\":1},\"d\":1}");
    check_config(NULL, "{\"a\":1}", "{\"a\":1}");
    check_config("{\"a\":1}", NULL, "{\"a\":1}");
    check_config("{\"a\":null}", "{\"a\":1}", "{\"a\":1}");
    /* What is null says nothing, unless it comes within something new. */
    check_config(NULL, "{\"a\":null,\"b\":{\"c\":null,\"d\":1},\"e\":[null]}",
                 "{\"b\":{\"c\":null,\"d\":1},\"e\":[null]}");
    check_config("{\"b\":{\"x\":0}}", "{\"b\":{\"c\":null,\"x\":null}}", "{\"b\":{\"x\":0}}");
    check_config(NULL, "{}", "{}");
    check_config(NULL, NULL, NULL);
}

static void test_the_rest(void **state) {
    struct arena arena = ARENA_INIT;
    struct upstream upstreams[] = {
        {.destination_name = STR("db")},
        {.destination_name = STR("db"), .mesh_gateway.mode = STR("none")},
        {.destination_name = STR("db"), .destination_type = STR("prepared_query")},
        {.destination_name = STR("x"), .destination_type = STR("service")},
    };
    struct upstream_config of_db = {json(&arena, "{\"protocol\":\"grpc\"}"), {STR("db")}};
    struct expose_path path = {.path = STR("/central")};
    struct node_service s = {.proxy.upstreams = {upstreams, COUNT_OF(upstreams), true}};
    struct service_config_response answer = {.expose = {true, {&path, 1, true}},
                                             .mesh_gateway.mode = STR("local"),
                                             .upstream_id_configs = {&of_db, 1, true}};
    central_merge(&s, &answer, &arena);
    const struct upstream *u = s.proxy.upstreams.items;
    assert_ptr_not_equal(u, upstreams); /* what was registered stays as it is */
    assert_null(upstreams[0].config);
    assert_true(s.proxy.expose.checks);
    assert_int_equal(s.proxy.expose.paths.len, 1);
    assert_true(str_is(s.proxy.mesh_gateway.mode, "local"));
    assert_true(str_is(u[0].mesh_gateway.mode, "local") && u[0].config != NULL);
    assert_true(str_is(u[1].mesh_gateway.mode, "none") && u[1].config != NULL);
    assert_true(u[2].mesh_gateway.mode.len == 0 && u[2].config == NULL);
    assert_true(str_is(u[3].mesh_gateway.mode, "local") && u[3].config == NULL);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Trees to bytes: each kind of field, the names of JSON, and what is refused. The bytes were made
 * by hand after the encoding of protocol buffers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"
#include "xds/envoy.h"
#include "xds/settings.h"
#include "xds/tree.h"

static bool encode(const struct envoy_message *m, const char *json, struct buf *out,
                   struct arena *arena, struct error *e) {
    struct value v;
    if (!json_parse_whole(str_from(json), &v, arena, e))
        return false;
    return message_encode(out, m, &v, e);
}

static void expect(const struct envoy_message *m, const char *json, const char *hex) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf out = BUF_INIT, text = BUF_INIT;
    if (!encode(m, json, &out, &arena, &e))
        fail_msg("%s: %.*s", json, STR_ARG(e.text));
    for (size_t i = 0; i < out.len; i++)
        buf_add_format(&text, "%02x", (unsigned char)out.data[i]);
    if (!str_is(buf_str(&text), hex))
        fail_msg("%s: %.*s and not %s", json, STR_ARG(buf_str(&text)), hex);
    buf_free(&out);
    buf_free(&text);
    arena_free(&arena);
}

static void expect_error(const struct envoy_message *m, const char *json, const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf out = BUF_INIT;
    if (encode(m, json, &out, &arena, &e))
        fail_msg("%s is fine", json);
    if (!str_is(e.text, text))
        fail_msg("%s: %.*s", json, STR_ARG(e.text));
    buf_free(&out);
    arena_free(&arena);
}

static void test_scalars(void **state) {
    expect(&envoy_cluster, "{}", "");
    expect(&envoy_cluster, "{\"name\":\"ab\"}", "0a026162");
    expect(&envoy_cluster, "{\"name\":\"\"}", "");
    expect(&envoy_cluster, "{\"name\":null}", "");
    expect(&envoy_cluster, "{\"type\":\"STATIC\"}", "1000");
    expect(&envoy_cluster, "{\"type\":\"EDS\"}", "1003");
    expect(&envoy_cluster, "{\"type\":3}", "1003");
    expect(&envoy_cluster, "{\"lb_policy\":\"ROUND_ROBIN\"}", "");
    expect(&envoy_cluster, "{\"connect_timeout\":\"5s\"}", "22020805");
    expect(&envoy_cluster, "{\"connect_timeout\":\"1.234s\"}", "2207080110809dca6f");
    expect(&envoy_cluster, "{\"connectTimeout\":\"0s\"}", "2200");
    expect(&envoy_address, "{\"socketAddress\":{\"address\":\"h\",\"portValue\":300}}",
           "0a06120168"
           "18ac02");
    expect(&envoy_address, "{\"socket_address\":{\"port_value\":\"300\"}}", "0a0318ac02");
    expect(&envoy_address, "{\"socket_address\":{\"port_value\":0}}", "0a021800");
}

static void test_wrapped(void **state) {
    expect(&envoy_cidr_range, "{\"prefix_len\":32}", "12020820");
    expect(&envoy_cidr_range, "{\"prefix_len\":0}", "1200");
    expect(&envoy_route_configuration, "{\"validate_clusters\":true}", "3a020801");
    expect(&envoy_route_configuration, "{\"validate_clusters\":false}", "3a00");
}

static void test_reals_and_lists(void **state) {
    expect(&envoy_percent, "{\"value\":50}", "090000000000004940");
    expect(&envoy_percent, "{\"value\":0}", "");
    expect(&envoy_route_configuration, "{\"internal_only_headers\":[\"a\",\"\"]}", "1a01611a00");
    expect(&envoy_route_configuration,
           "{\"virtual_hosts\":[{\"routes\":[{\"route\":{\"retry_policy\":"
           "{\"retriable_status_codes\":[503,504]}}}]}]}",
           "120c1a0a12084a063a04f703f803"); /* packed */
}

static void test_free_form(void **state) {
    expect(&envoy_metadata, "{\"filter_metadata\":{\"k\":{\"a\":null,\"b\":true,\"c\":\"x\"}}}",
           "0a21"
           "0a016b"
           "121c"
           "0a07"
           "0a0161"
           "1202"
           "0800"
           "0a07"
           "0a0162"
           "1202"
           "2001"
           "0a08"
           "0a0163"
           "1203"
           "1a0178");
    expect(&envoy_metadata, "{\"filter_metadata\":{\"k\":{\"n\":2,\"l\":[false],\"m\":{}}}}",
           "0a2b"
           "0a016b"
           "1226"
           "0a0e"
           "0a016e"
           "1209"
           "110000000000000040"
           "0a0b"
           "0a016c"
           "1206"
           "3204"
           "0a02"
           "2000"
           "0a07"
           "0a016d"
           "1202"
           "2a00");
}

static void test_any(void **state) {
    expect(&envoy_transport_socket,
           "{\"name\":\"t\",\"typed_config\":{\"@type\":"
           "\"x/envoy.config.filter.network.sni_cluster.v2.SniCluster\"}}",
           "0a0174"
           "1a3b"
           "0a37"
           "782f656e766f792e636f6e6669672e66696c7465722e6e6574776f726b2e736e695f636c75737465722e"
           "76322e536e69436c7573746572"
           "1200");
    expect_error(&envoy_transport_socket, "{\"typed_config\":{\"@type\":\"x/y.Z\"}}",
                 "unknown message type \"y.Z\"");
    expect_error(&envoy_transport_socket, "{\"typed_config\":{}}",
                 "envoy.api.v2.core.TransportSocket.typed_config: Any JSON doesn't have '@type'");
}

#define GO(is, wanted) "json: cannot unmarshal " is " into Go value of type " wanted

static void test_refused(void **state) {
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"[]", GO("array", "map[string]*json.RawMessage")},
        {"{\"x\":1}", "unknown field \"x\" in envoy_api_v2.Cluster"},
        {"{\"Name\":\"x\"}", "unknown field \"Name\" in envoy_api_v2.Cluster"},
        {"{\"eds_cluster_config\":{\"x\":1}}",
         "unknown field \"x\" in envoy_api_v2.Cluster_EdsClusterConfig"},
        {"{\"hosts\":[{\"x\":1}]}", "unknown field \"x\" in envoy_api_v2_core.Address"},
        {"{\"name\":1}", GO("number", "string")},
        {"{\"type\":\"X\"}", "unknown value \"X\" for enum envoy.api.v2.Cluster_DiscoveryType"},
        {"{\"connect_timeout\":5}", GO("number", "string")},
        {"{\"connect_timeout\":\"5x\"}",
         "bad Duration: time: unknown unit \"x\" in duration \"5x\""},
        {"{\"hosts\":{}}", GO("object", "[]json.RawMessage")},
        {"{\"hosts\":[1]}", GO("number", "map[string]*json.RawMessage")},
        {"{\"load_assignment\":{\"endpoints\":[{\"priority\":-1}]}}", GO("number", "uint32")},
        {"{\"load_assignment\":{\"endpoints\":[{\"priority\":1.5}]}}", GO("number", "uint32")},
        {"{\"metadata\":{\"filter_metadata\":{\"k\":1}}}",
         GO("number", "map[string]*json.RawMessage")},
        {"{\"common_lb_config\":{\"healthy_panic_threshold\":{\"value\":\"x\"}}}",
         GO("string", "float64")},
        {"{\"close_connections_on_host_health_failure\":1}", GO("number", "bool")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_error(&envoy_cluster, cases[i].json, cases[i].text);
}

/* As deep as JSON may be, and deeper than messages may. */
static void test_depth(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct buf json = BUF_INIT, out = BUF_INIT;
    buf_add_text(&json, "{\"metadata\":{\"filter_metadata\":{\"k\":{\"v\":");
    for (int i = 0; i < 300; i++)
        buf_add_char(&json, '[');
    for (int i = 0; i < 300; i++)
        buf_add_char(&json, ']');
    buf_add_text(&json, "}}}}");
    buf_add_char(&json, '\0');
    assert_false(encode(&envoy_cluster, json.data, &out, &arena, &e));
    assert_true(str_has_suffix(e.text, STR("nested too deep")));
    buf_free(&json);
    buf_free(&out);
    arena_free(&arena);
}

/* ---- trees ---- */

static void test_trees(void **state) {
    struct arena arena = ARENA_INIT;
    struct value v = TREE(&arena, {"a", TREE_NONE}, {"b", tree_text_or_none(STR(""))},
                          {"c", tree_duration(&arena, 1500 * MILLISECOND)},
                          {"d", TREES(&arena, tree_word("x"), TREE_NONE, tree_bool(false))});
    assert_int_equal(v.map.len, 2);
    assert_true(str_is(value_get(&v, "c")->string, "1.500s"));
    assert_int_equal(value_get(&v, "d")->list.len, 2);
    tree_prepend(value_get(&v, "d"), tree_number(5), &arena);
    assert_int_equal(value_get(&v, "d")->list.items[0].integer, 5);
    message_set(&v, "c", tree_word("y"), &arena);
    assert_true(str_is(message_get(&v, "c")->string, "y"));
    arena_free(&arena);
}

/* ---- settings ---- */

static void test_settings(void **state) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    assert_true(json_parse_whole(
        STR("{\"Protocol\":\"HTTP2\",\"n\":\"0x10\",\"f\":2.7,\"b\":\"true\",\"t\":1,\"e\":\"\","
            "\"ms\":\"20\",\"zero\":0,\"d\":\"22s\",\"dn\":5,\"bad\":\"x\",\"list\":[1],\"lists\":["
            "1,2],\"map\":{},"
            "\"null\":null}"),
        &v, &arena, &e));
    struct settings s = {.config = &v, .arena = &arena};
    assert_true(str_is(setting_protocol(&s), "http2"));
    assert_int_equal(setting_i64(&s, "n", 0), 16);
    assert_int_equal(setting_i64(&s, "f", 0), 2);
    assert_true(setting_bool(&s, "b") && setting_bool(&s, "t") && !setting_bool(&s, "e"));
    assert_int_equal(setting_ms(&s, "ms", 1), 20 * MILLISECOND);
    assert_int_equal(setting_ms(&s, "zero", 7), 7);
    assert_int_equal(setting_duration(&s, "d", 0), 22 * SECOND);
    assert_int_equal(setting_duration(&s, "dn", 0), 5);
    assert_int_equal(setting_i64(&s, "null", 9), 9);
    assert_true(str_is(setting_str(&s, "f", STR("")), "2.7"));
    assert_true(str_is(setting_str(&s, "t", STR("")), "1"));
    assert_int_equal(setting_i64(&s, "list", 0), 1);
    assert_true(settings_are_fine(&s, &e));
    assert_int_equal(setting_i64(&s, "bad", 3), 3);
    assert_true(str_is(setting_str(&s, "map", STR("z")), "z"));
    assert_int_equal(setting_i64(&s, "lists", 3), 3);
    assert_int_equal(setting_duration(&s, "bad", 3), 3);
    assert_false(setting_bool(&s, "bad"));
    assert_false(settings_are_fine(&s, &e));
    assert_true(str_is(
        e.text, "5 error(s) decoding:\n\n"
                "* 'lists' expected type 'int', got unconvertible type '[]interface {}'\n"
                "* 'map' expected type 'string', got unconvertible type 'map[string]interface {}'\n"
                "* cannot parse 'bad' as bool: strconv.ParseBool: parsing \"x\": invalid syntax\n"
                "* cannot parse 'bad' as int: strconv.ParseInt: parsing \"x\": invalid syntax\n"
                "* error decoding 'bad': time: invalid duration \"x\""));
    s = (struct settings){.config = NULL, .arena = &arena};
    assert_int_equal(setting_i64(&s, "n", 4), 4);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_wrapped),
        cmocka_unit_test(test_reals_and_lists),
        cmocka_unit_test(test_free_form),
        cmocka_unit_test(test_any),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_trees),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

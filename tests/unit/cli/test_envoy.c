/* envoy_bootstrap.c, envoy_stats.c, envoy_template.c, envoy_register.c: the recorded bootstraps
 * that need nothing but a registration's configuration, addresses of flags, and what a template of
 * the registration's own may ask for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/envoy.h"
#include "cli/envoy_bootstrap.h"
#include "cli/input.h"
#include "codec/json.h"

static struct arena arena;
static struct error error;

#define assert_str(s, expected) assert_string_equal(str_terminated(&arena, (s)), (expected))

static struct envoy_args usual_args(void) {
    return (struct envoy_args){.proxy_cluster = STR("web"),
                               .proxy_id = STR("web1-sidecar-proxy"),
                               .agent_address = STR("127.0.0.1"),
                               .agent_port = STR("25802"),
                               .agent_socket = STR(""),
                               .agent_ca_pem = STR(""),
                               .admin_access_log_path = STR("/dev/null"),
                               .admin_bind_address = STR("127.0.0.1"),
                               .admin_bind_port = STR("19000"),
                               .local_agent_cluster_name = STR("local_agent"),
                               .token = STR(""),
                               .name_space = STR(""),
                               .envoy_version = STR("1.14.5")};
}

/* ---- the recorded ones ---- */

static const struct value *config_of(const struct value *vector) {
    const struct value *v = value_get(vector, "registrations");
    static const char *const path[] = {"Connect", "SidecarService", "Proxy", "Config"};
    for (size_t i = 0; v != NULL && i < COUNT_OF(path); i++)
        v = value_get(v, path[i]);
    return v;
}

/* Whose only argument is the service. */
static bool is_plain(const struct value *vector) {
    return value_len(value_get(vector, "args")) == 2 && config_of(vector) != NULL;
}

static void check_vector(const struct value *vector) {
    static const struct cli_hooks hooks;
    struct envoy_args args = usual_args();
    struct envoy_config config;
    struct buf out = BUF_INIT;
    struct value made;
    struct str told = value_str(vector, "stderr");
    error = ERROR_IN(&arena);
    bool ok = envoy_config_read(config_of(vector), &config, &arena, &error) &&
              envoy_bootstrap(&config, &args, &hooks, &out, &arena, &error);
    if (told.len > 0) {
        assert_false(ok);
        struct str line = str_format(&arena, "==> " STR_FMT "\n", STR_ARG(error.text));
        if (!str_eq(line, told))
            fail_msg("%.*s instead of %.*s", STR_ARG(line), STR_ARG(told));
        buf_free(&out);
        return;
    }
    if (!ok)
        fail_msg("%.*s: %.*s", STR_ARG(value_str(vector, "case")), STR_ARG(error.text));
    assert_true(json_parse_whole(buf_str(&out), &made, &arena, &error));
    if (!value_equal(&made, value_get(vector, "stdout_json")))
        fail_msg("%.*s:\n%.*s", STR_ARG(value_str(vector, "case")), STR_ARG(buf_str(&out)));
    struct str raw = value_str(vector, "stdout_raw");
    if (raw.len > 0)
        assert_true(str_eq(buf_str(&out), raw));
    buf_free(&out);
}

static void test_recorded(void **state) {
    struct str text;
    struct value all;
    unsigned count = 0;
    error = ERROR_IN(&arena);
    assert_true(file_read(TEST_VECTORS "/connect/envoy-bootstrap.json", &text, &arena, &error));
    assert_true(json_parse_whole(text, &all, &arena, &error));
    setenv("MYSTATSD", "udp://127.0.0.1:8125", 1);
    const struct value *vectors = value_get(&all, "vectors");
    for (size_t i = 0; i < value_len(vectors); i++) {
        const struct value *vector = &vectors->list.items[i];
        bool own = str_find(value_str(vector, "case"), STR("template"), 0) >= 0;
        if (!is_plain(vector) || own)
            continue;
        check_vector(vector);
        count++;
    }
    assert_int_equal(count, 7);
    arena_free(&arena);
}

/* ---- a template of the registration's own ---- */

static bool render(struct str text, const char *name, const char *type,
                   const struct cli_template_field *fields, size_t count, struct str *out,
                   struct arena *in, struct error *e) {
    struct buf all = BUF_INIT;
    assert_string_equal(name, "bootstrap");
    assert_string_equal(type, "*envoy.BootstrapTplArgs");
    assert_int_equal(count, 20);
    if (str_is(text, "bad"))
        return error_set(e, ERROR_BAD_REQUEST, "template: bad");
    buf_add_char(&all, '[');
    for (size_t i = 0; i < count; i++) {
        buf_add_format(&all, "%s\"%s=", i > 0 ? "," : "", fields[i].name);
        if (fields[i].is_bool)
            buf_add_text(&all, fields[i].boolean ? "true" : "false");
        else
            buf_add_format(&all, "%zu", fields[i].text.len);
        buf_add_char(&all, '"');
    }
    buf_add_char(&all, ']');
    *out = str_copy(in, buf_str(&all));
    buf_free(&all);
    return true;
}

static void test_own_template(void **state) {
    static const struct cli_hooks hooks = {.render_template = render}, none;
    struct envoy_args args = usual_args();
    struct envoy_config config = {.bootstrap_template = STR("x"),
                                  .statsd_url = STR("udp://1.2.3.4:5")};
    struct buf out = BUF_INIT;
    error = ERROR_IN(&arena);
    args.agent_tls = true;
    assert_true(envoy_bootstrap(&config, &args, &hooks, &out, &arena, &error));
    assert_true(str_find(buf_str(&out), STR("\"ProxyID=18\""), 0) > 0);
    assert_true(str_find(buf_str(&out), STR("\"AgentTLS=true\""), 0) > 0);
    assert_true(str_find(buf_str(&out), STR("\"StatsSinksJSON=0\""), 0) < 0);
    buf_free(&out);
    config.bootstrap_template = STR("bad");
    assert_false(envoy_bootstrap(&config, &args, &hooks, &out, &arena, &error));
    assert_str(error.text, "template: bad");
    error = ERROR_IN(&arena);
    assert_false(envoy_bootstrap(&config, &args, &none, &out, &arena, &error));
    buf_free(&out);
    arena_free(&arena);
}

/* ---- addresses ---- */

static void expect_split(const char *address, const char *host, const char *port) {
    struct str got_host, got_port;
    error = ERROR_IN(&arena);
    bool ok = envoy_split_address(str_from(address), &got_host, &got_port, &error);
    if (ok != (port != NULL))
        fail_msg("%s: %.*s", address, STR_ARG(error.text));
    assert_str(ok ? got_host : error.text, host);
    if (ok)
        assert_str(got_port, port);
}

static void test_split(void **state) {
    expect_split("a:1", "a", "1");
    expect_split(":", "", "");
    expect_split("[::1]:5", "::1", "5");
    expect_split("", "missing port in address", NULL);
    expect_split("a", "address a: missing port in address", NULL);
    expect_split("[::1]", "address [::1]: missing port in address", NULL);
    expect_split("::1:5", "address ::1:5: too many colons in address", NULL);
    expect_split("[::1", "address [::1: missing ']' in address", NULL);
    expect_split("[a]b:1", "address [a]b:1: missing port in address", NULL);
    expect_split("[a]:b:1", "address [a]:b:1: too many colons in address", NULL);
    expect_split("a]:1", "address a]:1: unexpected ']' in address", NULL);
    expect_split("a[b:1", "address a[b:1: unexpected '[' in address", NULL);
    arena_free(&arena);
}

static void test_gateway_addresses(void **state) {
    static const struct cli_hooks none;
    static const struct {
        const char *text, *shown;
    } good[] = {
        {"1.2.3.4", "1.2.3.4:443"},  {"1.2.3.4:5", "1.2.3.4:5"},
        {"1.2.3.4:", "1.2.3.4:443"}, {":5", "127.0.0.1:5"},
        {"[::1]:5", "[::1]:5"},      {"localhost:99999", "localhost:99999"},
    };
    struct gateway_address a;
    error = ERROR_IN(&arena);
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(gateway_address_read(&a, str_from(good[i].text), &none, &arena, &error));
        assert_str(gateway_address_text(&a, &arena), good[i].shown);
    }
    assert_false(gateway_address_read(&a, STR("a:9999999999999999999"), &none, &arena, &error));
    assert_str(error.text, "Error parsing port \"9999999999999999999\": strconv.Atoi: parsing "
                           "\"9999999999999999999\": value out of range");
    struct bind_addresses list = {0};
    error = ERROR_IN(&arena);
    assert_true(bind_address_read(&list, STR("b=1.1.1.1:1"), &none, &arena, &error));
    assert_true(bind_address_read(&list, STR("c=1.1.1.1:2"), &none, &arena, &error));
    assert_true(bind_address_read(&list, STR("a=1.1.1.1:3"), &none, &arena, &error));
    assert_true(bind_address_read(&list, STR("b=1.1.1.1:4"), &none, &arena, &error));
    assert_int_equal(list.len, 3);
    assert_str(list.items[0].name, "a");
    assert_str(list.items[1].name, "b");
    assert_int_equal(list.items[1].address.port, 4);
    assert_int_equal(list.items[2].address.port, 2);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded),
        cmocka_unit_test(test_own_template),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_gateway_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

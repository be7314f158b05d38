/* What is said to Vault and read of its answers (connect.md 3.11): bodies as the peer's, errors in
 * its words, leases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"
#include "server/ca_config.h"
#include "server/ca_vault.h"

static struct arena arena;

static struct error fresh(void) {
    return ERROR_IN(&arena);
}

static void assert_str(struct str a, const char *b) {
    assert_non_null(a.data);
    assert_string_equal(str_terminated(&arena, a), b);
}

static struct value parse(const char *json) {
    struct error e = fresh();
    struct value v;
    assert_true(json_parse_whole(str_from(json), &v, &arena, &e));
    return v;
}

/* ---- answers ---- */

static void test_errors(void **state) {
    static const struct {
        long status;
        const char *body, *end; /* NULL: good */
    } cases[] = {
        {200, "", NULL},
        {204, "", NULL},
        {307, "", NULL},
        {403, "{\"errors\":[\"permission denied\"]}", "403. Errors:\n\n* permission denied"},
        {500, "{\"errors\":[\"internal\",\"x\"]}", "500. Errors:\n\n* internal* x"},
        {404, "{\"errors\":[]}", "404. Errors:\n\n"},
        {404, "{\"errors\":[5,null,{}]}", "404. Errors:\n\n"},
        {400, "{\"errors\":\"x\"}", "400. Errors:\n\n"},
        {500, "oops", "500. Raw Message:\n\noops"},
        {500, "[1]", "500. Raw Message:\n\n[1]"},
        {502, "", "502. Raw Message:\n\n"},
        {199, "{}", "199. Errors:\n\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = fresh();
        bool ok =
            vault_check("PUT", STR("http://v/v1/x"), cases[i].status, str_from(cases[i].body), &e);
        assert_int_equal(ok, cases[i].end == NULL);
        if (!ok) {
            assert_str(e.text, str_format(&arena,
                                          "Error making API request.\n\nURL: PUT http://v/v1/x\n"
                                          "Code: %s",
                                          cases[i].end)
                                   .data);
            assert_int_equal(e.kind, ERROR_INTERNAL);
        }
    }
}

/* An answer that is no JSON may be long: an error is not. */
static void test_long_error(void **state) {
    struct error e = fresh();
    char *body = mem_alloc(1 << 20);
    memset(body, 'x', 1 << 20);
    assert_false(vault_check("GET", STR("u"), 500, str_of(body, 1 << 20), &e));
    assert_true(e.text.len < 8192);
    mem_free(body);
}

static void test_secrets(void **state) {
    struct value v;
    struct error e = fresh();
    assert_true(vault_secret(204, STR(""), &v, &arena, &e));
    assert_int_equal(v.kind, VALUE_NULL);
    assert_true(vault_secret(404, STR("{\"errors\":[]}"), &v, &arena, &e));
    assert_int_equal(v.kind, VALUE_NULL);
    assert_true(vault_secret(200, STR("{\"data\":{\"csr\":\"a\",\"n\":5}}"), &v, &arena, &e));
    assert_str(vault_text(vault_data(&v), "csr"), "a");
    assert_null(vault_text(vault_data(&v), "n").data);
    assert_null(vault_text(vault_data(&v), "none").data);
    v = parse("{\"data\":[1]}");
    assert_null(vault_data(&v));
    assert_null(vault_text(NULL, "csr").data);
    assert_false(vault_secret(200, STR("garbage<"), &v, &arena, &e));
    assert_str(e.text, "invalid character 'g' looking for beginning of value");
    assert_int_equal(e.kind, ERROR_INTERNAL);
    error_clear(&e);
    assert_false(vault_secret(200, STR(""), &v, &arena, &e));
    assert_true(e.text.len > 0);
}

static void test_leases(void **state) {
    static const struct {
        const char *json, *error;
        int64_t lease; /* s */
    } cases[] = {
        {"{\"data\":{\"renewable\":true,\"ttl\":7}}", NULL, 7},
        {"{\"data\":{\"renewable\":false,\"ttl\":7}}", NULL, 0},
        {"{\"data\":{\"renewable\":true,\"ttl\":0}}", NULL, 0},
        {"{\"data\":{\"renewable\":true,\"ttl\":-5}}", NULL, 0},
        {"{\"data\":{\"renewable\":true}}", NULL, 0},
        {"{\"data\":{\"ttl\":7}}", NULL, 0},
        {"{\"data\":{\"renewable\":true,\"ttl\":1e300}}", NULL, (int64_t)100 * 365 * 24 * 3600},
        {"{\"data\":{\"renewable\":null,\"ttl\":null}}", NULL, 0},
        {"{\"data\":null}", NULL, 0},
        {"null", NULL, 0},
        {"{\"data\":{\"renewable\":true,\"ttl\":\"x\"}}",
         "1 error(s) decoding:\n\n* 'TTL' expected type 'int', got unconvertible type 'string'"},
        {"{\"data\":{\"renewable\":\"x\",\"ttl\":1}}",
         "1 error(s) decoding:\n\n* 'Renewable' expected type 'bool', got unconvertible type "
         "'string'"},
        {"{\"data\":{\"renewable\":[],\"ttl\":1}}",
         "1 error(s) decoding:\n\n* 'Renewable' expected type 'bool', got unconvertible type "
         "'[]interface {}'"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = fresh();
        struct value v = parse(cases[i].json);
        int64_t lease = -1;
        bool ok = vault_token_lease(&v, &lease, &e);
        assert_int_equal(ok, cases[i].error == NULL);
        if (ok) {
            assert_int_equal(lease, cases[i].lease * SECOND);
        } else {
            assert_str(e.text, cases[i].error);
        }
    }
    struct value renewed = parse("{\"auth\":{\"lease_duration\":12}}");
    assert_int_equal(vault_renewed_lease(&renewed), 12 * SECOND);
    renewed = parse("{\"auth\":[],\"lease_duration\":3}");
    assert_int_equal(vault_renewed_lease(&renewed), 0);
}

/* ---- requests, as the peer's were recorded ---- */

static void test_bodies(void **state) {
    struct value a = parse(str_terminated(
        &arena, vault_mount_body("root CA backend for Consul Connect", STR("8760h"), &arena)));
    struct value b = parse(
        "{\"type\":\"pki\",\"description\":\"root CA backend for Consul Connect\",\"config\":{"
        "\"options\":null,\"default_lease_ttl\":\"\",\"max_lease_ttl\":\"8760h\",\"force_no_"
        "cache\":false},\"local\":false,\"seal_wrap\":false,\"external_entropy_access\":false,"
        "\"options\":null}");
    assert_true(value_equal(&a, &b));
    assert_str(vault_role_body(50 * HOUR, &arena),
               "{\"allow_any_name\":true,\"allowed_uri_sans\":\"spiffe://*\",\"key_type\":\"any\","
               "\"max_ttl\":\"50h0m0s\",\"no_store\":true,\"require_cn\":false}");
    assert_str(vault_generate_body(STR("pri-x"), STR("ec"), 256, STR("spiffe://d"), &arena),
               "{\"common_name\":\"pri-x\",\"key_bits\":256,\"key_type\":\"ec\",\"uri_sans\":"
               "\"spiffe://d\"}");
    assert_str(vault_intermediate_body(STR("c\n"), 8760 * HOUR, false, &arena),
               "{\"csr\":\"c\\n\",\"format\":\"pem_bundle\",\"ttl\":\"8760h0m0s\",\"use_csr_"
               "values\":true}");
    assert_str(vault_intermediate_body(STR("c"), 8760 * HOUR, true, &arena),
               "{\"csr\":\"c\",\"format\":\"pem_bundle\",\"max_path_length\":0,\"ttl\":\"8760h0m0s"
               "\",\"use_csr_values\":true}");
    assert_str(vault_leaf_body(STR("c"), 48 * HOUR, &arena), "{\"csr\":\"c\",\"ttl\":\"48h0m0s\"}");
    assert_str(vault_certificate_body(STR("p"), &arena), "{\"certificate\":\"p\"}");
    assert_str(vault_renew_body(7 * SECOND, &arena), "{\"increment\":7}");
}

/* ---- settings ---- */

static void test_settings(void **state) {
    struct error e = fresh();
    assert_str(vault_mount(STR("a/b/")), "a/b");
    assert_str(vault_mount(STR("/a//")), "a");
    assert_int_equal(vault_mount(STR("///")).len, 0);
    assert_true(vault_token_check(STR("s.abc"), &e));
    assert_false(vault_token_check(STR("s\n"), &e));
    assert_str(e.text,
               "configured Vault token contains non-printable characters and cannot be used");
    assert_true(str_find(e.text, STR("s\n"), 0) < 0);
}

static void test_config(void **state) {
    static const struct {
        const char *json, *error;
    } cases[] = {
        {"{}", "must provide a Vault token"},
        {"{\"Token\":\"t\"}", "must provide a valid path to a root PKI backend"},
        {"{\"Token\":\"t\",\"RootPKIPath\":\"r\"}",
         "must provide a valid path for the intermediate PKI backend"},
        {"{\"token\":\"t\",\"rootpkipath\":\"r\",\"INTERMEDIATEPKIPATH\":\"i\"}", NULL},
        {"{\"Token\":\"t\",\"RootPKIPath\":\"r\",\"IntermediatePKIPath\":\"i\",\"LeafCertTTL\":"
         "\"1m\"}",
         "leaf cert TTL must be greater or equal than 1h0m0s"},
        {"{\"Token\":[1]}",
         "error decoding config: 1 error(s) decoding:\n\n* 'Token' expected type "
         "'string', got unconvertible type '[]interface {}'"},
        {"{\"TLSSkipVerify\":\"x\"}",
         "error decoding config: 1 error(s) decoding:\n\n* cannot parse 'TLSSkipVerify' as bool: "
         "strconv.ParseBool: parsing \"x\": invalid syntax"},
        /* What is consul's alone is not looked at. */
        {"{\"Token\":\"t\",\"RootPKIPath\":\"r\",\"IntermediatePKIPath\":\"i\",\"PrivateKey\":[1],"
         "\"RootCert\":\"x\"}",
         NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = fresh();
        struct value config = parse(cases[i].json);
        struct ca_settings s;
        bool ok = ca_config_read(STR("vault"), &config, &s, &arena, &e) &&
                  ca_config_check(STR("vault"), &s, &arena, &e);
        assert_int_equal(ok, cases[i].error == NULL);
        if (!ok) {
            assert_str(e.text, cases[i].error);
        }
    }
    /* And the other way round. */
    struct error e = fresh();
    struct value config = parse("{\"Token\":[1],\"TLSSkipVerify\":{}}");
    struct ca_settings s;
    assert_true(ca_config_read(STR("consul"), &config, &s, &arena, &e));
}

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_long_error),
        cmocka_unit_test(test_secrets), cmocka_unit_test(test_leases),
        cmocka_unit_test(test_bodies),  cmocka_unit_test(test_settings),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

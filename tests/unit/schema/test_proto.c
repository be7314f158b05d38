/* Messages as protocol buffers and as JSON (rpc.md 6.17): bytes written by hand, what is skipped,
 * what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "schema/auto_config.h"

static struct arena arena;

#define BYTES(literal) str_of(literal, sizeof(literal) - 1)

static void assert_text(struct str got, const char *want) {
    assert_string_equal(str_terminated(&arena, got), want);
}

static void test_request(void **state) {
    struct auto_config_request r = {.datacenter = STR("dc1"), .node = STR("n"), .csr = STR("c")};
    struct auto_config_request back;
    struct error e = ERROR_IN(&arena);
    struct buf out = BUF_INIT;
    proto_encode(&out, &auto_config_request_proto, &r);
    assert_int_equal(out.len, 11);
    assert_memory_equal(out.data,
                        "\x0a\x03"
                        "dc1"
                        "\x12\x01n"
                        "\x3a\x01"
                        "c",
                        11);
    assert_true(proto_decode(buf_str(&out), &auto_config_request_proto, &back, &arena, &e));
    assert_text(back.datacenter, "dc1");
    assert_text(back.csr, "c");
    assert_non_null(back.jwt.data); /* what is not there is empty */
    assert_int_equal(back.jwt.len, 0);
    buf_free(&out);
}

/* Fields that are not known: of each wire type. */
static void test_unknown(void **state) {
    struct auto_config_request r;
    struct error e = ERROR_IN(&arena);
    assert_true(proto_decode(BYTES("\xf8\x01\x05"
                                   "\xf9\x01"
                                   "12345678"
                                   "\xfa\x01\x02xy"
                                   "\xfd\x01"
                                   "1234"
                                   "\x0a\x02hi"),
                             &auto_config_request_proto, &r, &arena, &e));
    assert_text(r.datacenter, "hi");
}

static void test_refused(void **state) {
    static const struct {
        struct str bytes;
        const char *error;
    } cases[] = {
        {STR_INIT("\x0a"), "proto: unexpected end of bytes"},
        {STR_INIT("\x0a\x05"
                  "abc"),
         "proto: unexpected end of bytes"},
        {STR_INIT("\x08\x05"), "proto: wrong wire type"},
        {STR_INIT("\x02\x01x"), "proto: illegal field"},
        {STR_INIT("\xfb\x01"), "proto: illegal field"},
        {STR_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "proto: integer overflow"},
        {STR_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "proto: integer overflow"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct auto_config_request r;
        struct error e = ERROR_IN(&arena);
        assert_false(proto_decode(cases[i].bytes, &auto_config_request_proto, &r, &arena, &e));
        assert_text(e.text, cases[i].error);
    }
    /* A time that no calendar has. */
    struct auto_config_response response;
    struct error e = ERROR_IN(&arena);
    assert_false(proto_decode(BYTES("\x1a\x0b\x42\x09\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
                              &auto_config_response_proto, &response, &arena, &e));
    assert_text(e.text, "proto: time out of range");
}

static struct auto_config_response *full(void) {
    static struct ca_root root = {.id = STR_INIT("aa"),
                                  .serial_number = UINT64_MAX,
                                  .private_key_bits = 256,
                                  .active = true,
                                  .create_index = 7,
                                  .modify_index = 8};
    static struct ca_root *root_list[20];
    static struct indexed_ca_roots roots = {.trust_domain = STR_INIT("x.consul"),
                                            .meta.last_contact = 1500000000};
    static struct issued_cert cert = {.agent = STR_INIT("n"), .modify_index = 9};
    static struct auto_config_tokens tokens = {.agent = STR_INIT("secret")};
    static struct auto_config_acl acl = {.enabled = true, .tokens = &tokens};
    static struct auto_config_config config = {.node_name = STR_INIT("n"), .acl = &acl};
    static struct str certificates[] = {STR_INIT("one"), STR_INIT("two")};
    static struct auto_config_response r = {
        .config = &config, .roots = &roots, .certificate = &cert};
    root.not_before = timestamp_from_unix_ns(1790000000 * SECOND + 5);
    root.not_after = root.rotated_out_at = cert.valid_after = cert.valid_before =
        (struct timestamp){.offset = -1, .present = true};
    for (size_t i = 0; i < COUNT_OF(root_list); i++)
        root_list[i] = &root;
    roots.roots = (struct list){root_list, COUNT_OF(root_list), true};
    r.extra_certificates = (struct list){certificates, 2, true};
    return &r;
}

static void assert_full(const struct auto_config_response *r) {
    assert_text(r->config->acl->tokens->agent, "secret");
    assert_true(r->config->acl->enabled);
    assert_null(r->config->tls);
    assert_int_equal(r->roots->roots.len, 20);
    for (uint32_t i = 0; i < 20; i++) {
        const struct ca_root *root = LIST_AT(r->roots->roots, struct ca_root *, i);
        assert_true(root->serial_number == UINT64_MAX);
        assert_int_equal(root->private_key_bits, 256);
        assert_int_equal(root->modify_index, 8);
        assert_true(timestamp_to_unix_ns(root->not_before) == 1790000000 * SECOND + 5);
        assert_int_equal(root->not_after.seconds, 0);
    }
    assert_int_equal(r->roots->meta.last_contact, 1500000000);
    assert_int_equal(r->certificate->modify_index, 9);
    assert_int_equal(r->extra_certificates.len, 2);
    assert_text(LIST_AT(r->extra_certificates, struct str, 1), "two");
}

static void test_both_ways(void **state) {
    struct error e = ERROR_IN(&arena);
    struct buf bytes = BUF_INIT, json = BUF_INIT;
    struct auto_config_response back, again;
    struct json_writer w;
    struct value value;
    proto_encode(&bytes, &auto_config_response_proto, full());
    assert_true(proto_decode(buf_str(&bytes), &auto_config_response_proto, &back, &arena, &e));
    assert_full(&back);
    json_begin(&w, &json, true);
    proto_write_json(&w, &auto_config_response_proto, &back);
    json_finish(&w);
    assert_true(str_find(buf_str(&json), STR("\"SerialNumber\": \"18446744073709551615\""), 0) > 0);
    assert_true(str_find(buf_str(&json), STR("\"LastContact\": \"1500000000\""), 0) > 0);
    assert_true(str_find(buf_str(&json), STR("\"TLS\": null"), 0) > 0);
    assert_true(json_parse_whole(buf_str(&json), &value, &arena, &e));
    assert_true(proto_from_json(&value, &auto_config_response_proto, &again, &arena, &e));
    assert_full(&again);
    buf_free(&bytes);
    buf_free(&json);
}

static void test_json_refused(void **state) {
    static const struct {
        const char *json, *error;
    } cases[] = {
        {"1", "proto: not an object"},
        {"{\"Config\": 1}", "proto: field Config is not of its kind"},
        {"{\"Config\": {\"NodeName\": 1}}", "proto: field NodeName is not of its kind"},
        {"{\"Config\": {\"ACL\": {\"Enabled\": \"yes\"}}}",
         "proto: field Enabled is not of its kind"},
        {"{\"ExtraCACertificates\": [1]}", "proto: field ExtraCACertificates is not of its kind"},
        {"{\"Certificate\": {\"ValidAfter\": \"soon\"}}",
         "proto: field ValidAfter is not of its kind"},
        {"{\"Certificate\": {\"RaftIndex\": {\"CreateIndex\": \"-1\"}}}",
         "proto: field CreateIndex is not of its kind"},
        {"{\"Config\": null, \"Bogus\": 5}", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        struct value value;
        struct auto_config_response r;
        assert_true(json_parse_whole(str_from(cases[i].json), &value, &arena, &e));
        bool ok = proto_from_json(&value, &auto_config_response_proto, &r, &arena, &e);
        assert_int_equal(ok, cases[i].error == NULL);
        if (!ok)
            assert_text(e.text, cases[i].error);
    }
}

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),      cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_json_refused),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

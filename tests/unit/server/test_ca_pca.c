/* What is said to Amazon's private CA and read of its answers (connect.md 3.12): bodies as the
 * peer's, errors in its words; which configurations are good. */
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
#include "server/ca_pca.h"

static struct arena arena;

static void same(struct str text, const char *wanted) {
    assert_non_null(text.data);
    assert_string_equal(str_terminated(&arena, text), wanted);
}

static struct value parse(const char *json) {
    struct error e = ERROR_IN(&arena);
    struct value v;
    assert_true(json_parse_whole(str_from(json), &v, &arena, &e));
    return v;
}

static void test_bodies(void **state) {
    struct pca_wish w = {.is_root = true,
                         .common_name = STR("pri-1bvv4imc.aws.ca.13a56f0a.consul"),
                         .key_type = STR("ec"),
                         .key_bits = 256,
                         .cluster_id = STR("13a56f0a"),
                         .datacenter = STR("dc1")};
    same(pca_create_body(&w, &arena),
         "{\"CertificateAuthorityConfiguration\":{\"KeyAlgorithm\":\"EC_prime256v1\","
         "\"SigningAlgorithm\":\"SHA256WITHECDSA\",\"Subject\":{\"CommonName\":"
         "\"pri-1bvv4imc.aws.ca.13a56f0a.consul\"}},\"CertificateAuthorityType\":\"ROOT\","
         "\"IdempotencyToken\":\"1bvv4imc\",\"RevocationConfiguration\":{\"CrlConfiguration\":{"
         "\"Enabled\":false}},\"Tags\":[{\"Key\":\"consul_cluster_id\",\"Value\":\"13a56f0a\"},{"
         "\"Key\":\"consul_datacenter\",\"Value\":\"dc1\"}]}");
    w.is_root = false;
    w.key_type = STR("rsa");
    w.key_bits = 4096;
    struct str body = pca_create_body(&w, &arena);
    assert_true(str_find(body, STR("\"RSA_4096\",\"SigningAlgorithm\":\"SHA256WITHRSA\""), 0) > 0);
    assert_true(str_find(body, STR("\"SUBORDINATE\""), 0) > 0);
    w.key_bits = 2048;
    assert_true(str_find(pca_create_body(&w, &arena), STR("\"RSA_2048\""), 0) > 0);
    same(pca_arn_body(STR("a"), &arena), "{\"CertificateAuthorityArn\":\"a\"}");
    same(pca_issue_body(STR("a"), STR("csr"), "EndEntityCertificate", 3, STR("S"), &arena),
         "{\"CertificateAuthorityArn\":\"a\",\"Csr\":\"Y3Ny\",\"SigningAlgorithm\":\"S\","
         "\"TemplateArn\":\"arn:aws:acm-pca:::template/EndEntityCertificate/V1\",\"Validity\":{"
         "\"Type\":\"DAYS\",\"Value\":3}}");
    same(pca_get_body(STR("a"), STR("c"), &arena),
         "{\"CertificateArn\":\"c\",\"CertificateAuthorityArn\":\"a\"}");
    same(pca_import_body(STR("a"), STR("pem"), STR(""), &arena),
         "{\"Certificate\":\"cGVt\",\"CertificateAuthorityArn\":\"a\"}");
    same(pca_import_body(STR("a"), STR("pem"), STR("csr"), &arena),
         "{\"Certificate\":\"cGVt\",\"CertificateAuthorityArn\":\"a\",\"CertificateChain\":"
         "\"Y3Ny\"}");
    same(pca_disable_body(STR("a"), &arena),
         "{\"CertificateAuthorityArn\":\"a\",\"Status\":\"DISABLED\"}");
    same(pca_delete_body(STR("a"), &arena),
         "{\"CertificateAuthorityArn\":\"a\",\"PermanentDeletionTimeInDays\":7}");
    assert_int_equal(pca_days(72 * HOUR), 3);
    assert_int_equal(pca_days(49 * HOUR), 2);
    assert_int_equal(pca_days(HOUR), 1);
}

static void check_fault(long status, const char *body, const char *text, bool passes, bool slows) {
    struct error e = ERROR_IN(&arena);
    struct pca_fault f;
    pca_fault_read(status, str_from(body), &f, &arena, &e);
    same(e.text, text);
    assert_int_equal(e.kind, ERROR_INTERNAL);
    assert_int_equal(f.passes, passes);
    assert_int_equal(f.slows, slows);
}

static void test_faults(void **state) {
    check_fault(400, "{\"__type\":\"ResourceNotFoundException\",\"message\":\"Could not find x\"}",
                "ResourceNotFoundException: Could not find x", false, false);
    check_fault(400, "{\"__type\":\"com.amazonaws.pca#InvalidArnException\",\"Message\":\"m\"}",
                "InvalidArnException: m", false, false);
    check_fault(400, "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}",
                "ThrottlingException: Rate exceeded\n\tstatus code: 400, request id: ", true, true);
    check_fault(500, "{\"__type\":\"InternalError\",\"message\":\"oops\"}",
                "InternalError: oops\n\tstatus code: 500, request id: ", true, false);
    check_fault(503, "<html>", "UnknownError: \n\tstatus code: 503, request id: ", true, false);
    check_fault(403, "{\"__type\":5}", "UnknownError: \n\tstatus code: 403, request id: ", false,
                false);
    check_fault(429, "[]", "UnknownError: \n\tstatus code: 429, request id: ", true, true);
}

static void test_answers(void **state) {
    struct value v = parse("{\"CertificateAuthority\":{\"Status\":\"ACTIVE\","
                           "\"CertificateAuthorityConfiguration\":{\"SigningAlgorithm\":\"S\"}},"
                           "\"Csr\":\"c\",\"Bad\":5}");
    same(pca_status(&v), "ACTIVE");
    same(pca_signs_with(&v), "S");
    same(pca_text(&v, "Csr"), "c");
    assert_null(pca_text(&v, "Bad").data);
    v = parse("{\"CertificateAuthority\":[]}");
    same(pca_status(&v), "");
    assert_null(pca_signs_with(&v).data);
    same(pca_algorithm(STR("rsa")), "SHA256WITHRSA");
    same(pca_algorithm(STR("ec")), "SHA256WITHECDSA");
}

/* error NULL: it is good. */
static void check_config(const char *json, const char *error) {
    struct error e = ERROR_IN(&arena);
    struct ca_settings s;
    struct value v = parse(json);
    bool ok = ca_config_read(STR("aws-pca"), &v, &s, &arena, &e) &&
              ca_config_check(STR("aws-pca"), &s, &arena, &e);
    assert_int_equal(ok, error == NULL);
    if (error != NULL)
        same(e.text, error);
}

static void test_config(void **state) {
    struct error e = ERROR_IN(&arena);
    struct ca_settings s;
    struct value v = parse("{\"existingarn\":\"arn:x\",\"DeleteOnExit\":1}");
    assert_true(ca_config_read(STR("aws-pca"), &v, &s, &arena, &e));
    same(s.pca.existing_arn, "arn:x");
    assert_true(s.pca.delete_on_exit && s.disable_cross_signing);
    check_config("{}", NULL);
    check_config("{\"LeafCertTTL\":\"24h\"}", NULL);
    check_config("{\"PrivateKeyType\":\"rsa\",\"PrivateKeyBits\":4096}", NULL);
    check_config("{\"LeafCertTTL\":\"23h59m\"}",
                 "AWS PCA doesn't support certificates that are valid for less than 24 hours, "
                 "LeafTTL of 23h59m0s configured");
    check_config("{\"PrivateKeyBits\":384,\"LeafCertTTL\":\"5h\"}",
                 "AWS PCA only supports P256 EC curve, keyBits of 384 configured");
    check_config("{\"PrivateKeyBits\":384,\"SkipValidate\":true}",
                 "AWS PCA only supports P256 EC curve, keyBits of 384 configured");
    check_config("{\"LeafCertTTL\":\"30m\"}", "leaf cert TTL must be greater or equal than 1h0m0s");
    check_config("{\"PrivateKeyType\":\"x\"}", "private key type must be either 'ec' or 'rsa'");
    check_config("{\"ExistingARN\":[\"x\"]}",
                 "error decoding config: 1 error(s) decoding:\n\n* 'ExistingARN' expected type "
                 "'string', got unconvertible type '[]interface {}'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_config),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}

/* Names, keys, requests and certificates of the authority (connect.md 3.1, 3.2), against what the
 * peer's looks like (vectors/connect/ca.json). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"
#include "server/ca_certificate.h"
#include "server/ca_config.h"
#include "server/ca_name.h"
#include "unit/vectors.h"

#define TEXT(s) str_from(s)

static struct arena arena;

static struct error fresh(void) {
    return ERROR_IN(&arena);
}

static void assert_str(struct str a, const char *b) {
    assert_string_equal(str_terminated(&arena, a), b);
}

/* ---- names ---- */

static void test_spiffe(void **state) {
    static const struct {
        const char *uri, *error;
        enum spiffe_kind kind;
        const char *name, *again;
    } cases[] = {
        {"spiffe://x.consul/ns/default/dc/dc1/svc/web", NULL, SPIFFE_SERVICE, "web", NULL},
        {"SPIFFE://x.consul/ns/default/dc/dc1/svc/a%20b", NULL, SPIFFE_SERVICE, "a b",
         "spiffe://x.consul/ns/default/dc/dc1/svc/a%20b"},
        {"spiffe://u:p@x:80/ns/default/dc/dc1/svc/web?q#f", NULL, SPIFFE_SERVICE, "web",
         "spiffe://x:80/ns/default/dc/dc1/svc/web"},
        {"spiffe:/ns/default/dc/dc1/svc/%77eb%2541", NULL, SPIFFE_SERVICE, "web%41",
         "spiffe:///ns/default/dc/dc1/svc/web%2541"},
        {"spiffe://x/ns/default/dc/dc1/svc/a%2Fb", NULL, SPIFFE_SERVICE, "a/b",
         "spiffe://x/ns/default/dc/dc1/svc/a/b"},
        {"spiffe://x/agent/client/dc/dc1/id/N1", NULL, SPIFFE_AGENT, "N1", NULL},
        {"spiffe://x.consul", NULL, SPIFFE_SIGNING, "", NULL},
        {"http://x/agent/client/dc/dc1/id/n", "SPIFFE ID must have 'spiffe' scheme"},
        {"spiffe://x/ns/default/dc/dc1/svc/a/b",
         "SPIFFE ID is not in the expected format: spiffe://x/ns/default/dc/dc1/svc/a/b"},
        {"spiffe://x", "SPIFFE ID is not in the expected format: spiffe://x"},
        {"spiffe://x/agent/client/dc//id/n",
         "SPIFFE ID is not in the expected format: spiffe://x/agent/client/dc//id/n"},
        {"spiffe://.consul", "SPIFFE ID is not in the expected format: spiffe://.consul"},
        {"spiffe:x.consul", "SPIFFE ID is not in the expected format: spiffe:x.consul"},
        {"spiffe://x/%6es/default/dc/dc1/svc/web",
         "SPIFFE ID is not in the expected format: spiffe://x/%6es/default/dc/dc1/svc/web"},
        {"spiffe://x:y/ns/default/dc/dc1/svc/web",
         "parse \"spiffe://x:y/ns/default/dc/dc1/svc/web\": invalid port \":y\" after host"},
        {"spiffe://x/ns/default/dc/dc1/svc/a\nb",
         "parse \"spiffe://x/ns/default/dc/dc1/svc/a\\nb\": net/url: invalid control character in "
         "URL"},
        {"", "SPIFFE ID must have 'spiffe' scheme"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = fresh();
        struct spiffe_id id;
        bool ok = spiffe_parse(TEXT(cases[i].uri), &id, &arena, &e);
        assert_int_equal(ok, cases[i].error == NULL);
        if (!ok) {
            assert_str(e.text, cases[i].error);
            continue;
        }
        assert_int_equal(id.kind, cases[i].kind);
        assert_str(id.name, cases[i].name);
        assert_str(spiffe_format(&id, &arena), cases[i].again ? cases[i].again : cases[i].uri);
    }
}

static void test_common_names(void **state) {
    struct spiffe_id service = {.kind = SPIFFE_SERVICE,
                                .host = STR("11111111-2222-3333-4444-555555555555.consul"),
                                .namespace = STR("default"),
                                .datacenter = STR("dc1"),
                                .name = STR("My_Web.Service")};
    struct spiffe_id agent = {.kind = SPIFFE_AGENT, .host = service.host, .name = STR("T-2")};
    assert_str(spiffe_common_name(&service, &arena), "mywebservice.svc.default.11111111.consul");
    assert_str(spiffe_common_name(&agent, &arena), "t2.agnt.11111111.consul");
    service.name = STR("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    assert_str(spiffe_common_name(&service, &arena),
               "abcdefghijklmnopqrstuvwxyzabcdefghij.svc.default.11111111.consul");
    struct str ca = ca_common_name(true, STR("consul"), STR("11111111-2222"), &arena);
    assert_true(str_has_prefix(ca, STR("pri-")));
    assert_true(str_has_suffix(ca, STR(".consul.ca.11111111.consul")));
}

/* ---- certificates ---- */

static X509 *parse(struct str pem) {
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(x);
    return x;
}

/* The same extensions in the same order, the same bytes in those that do not depend on keys. */
static void assert_alike(struct str ours_pem, struct str theirs_pem) {
    X509 *ours = parse(ours_pem), *theirs = parse(theirs_pem);
    assert_int_equal(X509_get_ext_count(ours), X509_get_ext_count(theirs));
    assert_int_equal(X509_get_signature_nid(ours), X509_get_signature_nid(theirs));
    for (int i = 0; i < X509_get_ext_count(ours); i++) {
        X509_EXTENSION *a = X509_get_ext(ours, i), *b = X509_get_ext(theirs, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(a));
        assert_int_equal(nid, OBJ_obj2nid(X509_EXTENSION_get_object(b)));
        assert_int_equal(X509_EXTENSION_get_critical(a), X509_EXTENSION_get_critical(b));
        const ASN1_OCTET_STRING *x = X509_EXTENSION_get_data(a), *y = X509_EXTENSION_get_data(b);
        assert_int_equal(ASN1_STRING_length(x), ASN1_STRING_length(y));
        if (nid != NID_subject_key_identifier && nid != NID_authority_key_identifier) {
            assert_memory_equal(ASN1_STRING_get0_data(x), ASN1_STRING_get0_data(y),
                                (size_t)ASN1_STRING_length(x));
        }
    }
    X509_free(ours);
    X509_free(theirs);
}

static struct str vector(const struct value *all, const char *name, size_t i) {
    const struct value *vectors = value_get(all, "vectors");
    for (size_t v = 0; v < vectors->list.len; v++) {
        const struct value *one = &vectors->list.items[v];
        if (str_is(value_get(one, "name")->string, name)) {
            assert_true(i < value_get(one, "pem")->list.len);
            return value_get(one, "pem")->list.items[i].string;
        }
    }
    fail_msg("no vector %s", name);
    return STR_NONE;
}

static struct list one(const char *text) {
    struct list l = LIST_NEW(&arena, struct str, 1);
    LIST_AT(l, struct str, 0) = TEXT(text);
    return l;
}

#define CLUSTER "spiffe://11111111-2222-3333-4444-555555555555.consul"

static struct str make_root(EVP_PKEY *key, uint64_t serial) {
    struct error e = fresh();
    struct ca_certificate_request r = {.kind = CA_ROOT,
                                       .serial = serial,
                                       .common_name = STR("pri-x.consul.ca.11111111.consul"),
                                       .names = {.uris = one(CLUSTER)},
                                       .key = key,
                                       .now = time_now_wall()};
    struct str pem = ca_certificate_new(&r, &arena, &e);
    assert_non_null(pem.data);
    return pem;
}

static bool verifies(struct str leaf, struct str between, struct str root) {
    X509 *x = parse(leaf), *r = parse(root);
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509_STORE_add_cert(store, r);
    if (between.data != NULL) {
        sk_X509_push(chain, parse(between));
    }
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_CTX_init(ctx, store, x, chain);
    bool ok = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    sk_X509_pop_free(chain, X509_free);
    X509_STORE_free(store);
    X509_free(x);
    X509_free(r);
    return ok;
}

static void test_certificates(void **state) {
    const struct value *vectors = vectors_json(&arena, "connect/ca.json");
    struct error e = fresh();
    EVP_PKEY *root_key = ca_key_new(STR("ec"), 256, &e), *leaf_key = ca_key_new(STR("ec"), 256, &e);
    struct str root = make_root(root_key, 7);
    assert_alike(root, vector(vectors, "single: first root", 0));
    struct ca_certificate_request r = {
        .kind = CA_LEAF,
        .serial = 8,
        .common_name = STR("mywebservice.svc.default.11111111.consul"),
        .names = {.uris = one(CLUSTER "/ns/default/dc/dc1/svc/My_Web.Service")},
        .key = leaf_key,
        .issuer = root,
        .signer = root_key,
        .now = time_now_wall(),
        .ttl = 72 * HOUR};
    struct str leaf = ca_certificate_new(&r, &arena, &e);
    assert_alike(leaf, vector(vectors,
                              "single: leaf of service My_Web.Service, signed by the first "
                              "root",
                              0));
    assert_true(verifies(leaf, STR_NONE, root));
    struct ca_certificate_info info, root_info;
    assert_true(ca_certificate_read(leaf, &info, &arena, &e));
    assert_true(ca_certificate_read(root, &root_info, &arena, &e));
    assert_str(info.serial, "08");
    assert_true(str_eq(info.authority_key_id, root_info.subject_key_id));
    assert_true(timestamp_to_unix_ns(info.not_after) - timestamp_to_unix_ns(info.not_before) ==
                72 * HOUR);
    EVP_PKEY_free(root_key);
    EVP_PKEY_free(leaf_key);
}

static int signature_of(struct str pem) {
    X509 *x = parse(pem);
    int nid = X509_get_signature_nid(x);
    X509_free(x);
    return nid;
}

static void test_rotation(void **state) {
    const struct value *vectors = vectors_json(&arena, "connect/ca.json");
    static const struct {
        const char *type;
        int64_t bits;
        int signature; /* of a root, also when it signs another's */
    } kinds[] = {{"ec", 224, NID_ecdsa_with_SHA256},
                 {"ec", 384, NID_ecdsa_with_SHA384},
                 {"ec", 521, NID_ecdsa_with_SHA512},
                 {"rsa", 2048, NID_sha256WithRSAEncryption}};
    struct error e = fresh();
    EVP_PKEY *old_key = ca_key_new(STR("ec"), 256, &e), *leaf_key = ca_key_new(STR("ec"), 256, &e);
    struct str old = make_root(old_key, 7);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        EVP_PKEY *key = ca_key_new(TEXT(kinds[i].type), kinds[i].bits, &e);
        struct str type;
        int64_t bits;
        ca_key_kind(key, &type, &bits);
        assert_str(type, kinds[i].type);
        assert_int_equal(bits, kinds[i].bits);
        struct str root = make_root(key, 24);
        assert_int_equal(signature_of(root), kinds[i].signature);
        struct str back =
            ca_certificate_cross_sign(old, root, key, 27, time_now_wall(), &arena, &e);
        assert_int_equal(signature_of(back), kinds[i].signature);
        struct str cross =
            ca_certificate_cross_sign(root, old, old_key, 25, time_now_wall(), &arena, &e);
        assert_alike(cross, vector(vectors,
                                   "single: second root cross-signed by the first "
                                   "(IntermediateCerts[0] of the second root's record)",
                                   0));
        struct ca_certificate_request r = {
            .kind = CA_LEAF,
            .serial = 26,
            .common_name = STR("a.svc.default.11111111.consul"),
            .names = {.uris = one(CLUSTER "/ns/default/dc/dc1/svc/a")},
            .key = leaf_key,
            .issuer = root,
            .signer = key,
            .now = time_now_wall(),
            .ttl = HOUR};
        struct str leaf = ca_certificate_new(&r, &arena, &e);
        assert_int_equal(signature_of(leaf), kinds[i].type[0] == 'r' ? NID_sha256WithRSAEncryption
                                                                     : NID_ecdsa_with_SHA256);
        assert_true(verifies(leaf, cross, old));
        assert_false(verifies(leaf, STR_NONE, old));
        r.signer = old_key; /* does not belong to the issuer */
        assert_null(ca_certificate_new(&r, &arena, &e).data);
        EVP_PKEY_free(key);
        e = fresh();
    }
    EVP_PKEY_free(old_key);
    EVP_PKEY_free(leaf_key);
}

/* ---- requests ---- */

static void test_csr(void **state) {
    struct error e = fresh();
    EVP_PKEY *key = ca_key_new(STR("ec"), 256, &e);
    struct ca_names names = {.dns = one("localhost"),
                             .ips = one("\x7f\1\2\3"),
                             .uris = one("spiffe://unknown/agent/client/dc/dc1/id/n1")};
    struct str pem = ca_csr_new(key, STR("n1.agnt.unknown.consul"), &names, false, &arena);
    struct ca_csr csr;
    assert_true(ca_csr_read(pem, &csr, &arena, &e));
    assert_str(csr.common_name, "n1.agnt.unknown.consul");
    assert_str(LIST_AT(csr.names.dns, struct str, 0), "localhost");
    assert_str(LIST_AT(csr.names.uris, struct str, 0),
               "spiffe://unknown/agent/client/dc/dc1/id/n1");
    assert_memory_equal(LIST_AT(csr.names.ips, struct str, 0).data, "\x7f\1\2\3", 4);
    assert_int_equal(EVP_PKEY_eq(csr.key, key), 1);
    ca_csr_free(&csr);

    assert_false(ca_csr_read(STR("x"), &csr, &arena, &e));
    assert_str(e.text, "no PEM-encoded data found");
    e = fresh();
    assert_false(ca_csr_read(make_root(key, 1), &csr, &arena, &e));
    assert_str(e.text, "first PEM-block should be CERTIFICATE REQUEST type");
    e = fresh();
    char *broken = str_terminated(&arena, pem); /* another signature */
    broken[pem.len - 60] = broken[pem.len - 60] == 'A' ? 'B' : 'A';
    assert_false(ca_csr_read(TEXT(broken), &csr, &arena, &e));
    EVP_PKEY_free(key);
}

static void test_keys(void **state) {
    struct error e = fresh();
    EVP_PKEY *key = ca_key_new(STR("ec"), 256, &e);
    struct str pem = ca_key_pem(key, &arena);
    assert_true(str_has_prefix(pem, STR("-----BEGIN EC PRIVATE KEY-----\n")));
    EVP_PKEY *again = ca_key_read(pem, &e);
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    EVP_PKEY_free(again);
    EVP_PKEY_free(key);
    assert_null(ca_key_read(STR(""), &e));
    assert_str(e.text, "no PEM-encoded data found");
    e = fresh();
    assert_null(ca_key_new(STR("ec"), 255, &e));
}

/* ---- configurations ---- */

static void test_config(void **state) {
    static const struct {
        const char *json, *error;
    } cases[] = {
        {"{}", NULL},
        {"{\"LeafCertTTL\":\"1h\",\"IntermediateCertTTL\":\"3h\"}", NULL},
        {"{\"leafcertttl\":\"30m\"}", "leaf cert TTL must be greater or equal than 1h0m0s"},
        {"{\"LeafCertTTL\":\"30m\",\"SkipValidate\":true}", NULL},
        {"{\"IntermediateCertTTL\":\"100h\"}",
         "Intermediate Cert TTL must be greater or equal than 3 * LeafCertTTL (>=216h0m0s)."},
        {"{\"LeafCertTTL\":\"zz\"}",
         "error decoding config: 1 error(s) decoding:\n\n* error decoding 'LeafCertTTL': time: "
         "invalid duration \"zz\""},
        {"{\"PrivateKeyBits\":\"384\"}", NULL},
        {"{\"PrivateKeyBits\":100}", "EC key length must be one of (224, 256, 384, 521) bits"},
        {"{\"PrivateKeyType\":\"rsa\"}", "RSA key length must be 2048 or 4096 bits"},
        {"{\"PrivateKeyType\":\"dsa\"}", "private key type must be either 'ec' or 'rsa'"},
        {"{\"RootCert\":\"x\"}", "must provide a private key when providing a root cert"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = fresh();
        struct value config;
        struct ca_settings s;
        assert_true(json_parse_whole(TEXT(cases[i].json), &config, &arena, &e));
        bool ok = ca_config_read(STR("consul"), &config, &s, &arena, &e) &&
                  ca_config_check(STR("consul"), &s, &arena, &e);
        assert_int_equal(ok, cases[i].error == NULL);
        if (!ok) {
            assert_str(e.text, cases[i].error);
        }
    }
}

static int teardown(void **state) {
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spiffe),       cmocka_unit_test(test_common_names),
        cmocka_unit_test(test_certificates), cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_csr),          cmocka_unit_test(test_keys),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

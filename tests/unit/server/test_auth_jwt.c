/* Bearer tokens without anybody to ask: configurations, the outside of a token, keys and
 * signatures, claims, what the mappings make of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/number.h"
#include "server/auth_jwt.h"
#include "signing.h"

#define NOW ((int64_t)1700000000)

static struct arena arena;

static int begin(void **state) {
    arena = ARENA_INIT;
    return 0;
}
static int end(void **state) {
    arena_free(&arena);
    return 0;
}

static const struct value *json(const char *text) {
    struct value *v = ARENA_NEW(&arena, struct value);
    struct error e = ERROR_IN(&arena);
    assert_true(json_parse_whole(str_from(text), v, &arena, &e));
    return v;
}

static void assert_text(struct str got, const char *want) {
    assert_string_equal(str_terminated(&arena, got), want);
}

/* ---- numbers and base64 ---- */

static void test_base64url(void **state) {
    static const struct {
        const char *text, *out; /* or the place of what is wrong */
    } cases[] = {
        {"", ""},        {"YQ", "a"},     {"YWI", "ab"},  {"YWJj", "abc"}, {"YW\r\nJj", "abc"},
        {"Pz8_", "???"}, {"Pj4-", ">>>"}, {"YQ==", "!2"}, {"Y", "!0"},     {"YWJjZ", "!4"},
        {"Pz8/", "!3"},  {"Pj4+", "!3"},  {"a b", "!1"},  {"!", "!0"},     {"YWJjYW\xff", "!6"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        struct str out;
        bool ok = base64url_decode(str_from(cases[i].text), &out, &arena, &e);
        assert_int_equal(ok, cases[i].out[0] != '!');
        if (ok)
            assert_text(out, cases[i].out);
        else
            assert_text(
                e.text,
                str_format(&arena, "illegal base64 data at input byte %s", cases[i].out + 1).data);
    }
}

static void test_numbers(void **state) {
    static const struct {
        const char *text;
        int64_t n;
        const char *wrong;
    } cases[] = {
        {"10", 10, NULL},
        {"-5", -5, NULL},
        {"+5", 5, NULL},
        {"0x10", 16, NULL},
        {"010", 8, NULL},
        {"0b11", 3, NULL},
        {"1_0", 10, NULL},
        {"9223372036854775807", INT64_MAX, NULL},
        {"-9223372036854775808", INT64_MIN, NULL},
        {"9223372036854775808", 0, "value out of range"},
        {"10s", 0, "invalid syntax"},
        {"", 0, "invalid syntax"},
        {"1__0", 0, "invalid syntax"},
        {"_1", 0, "invalid syntax"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t n = 0;
        const char *wrong = number_parse_i64(str_from(cases[i].text), &n);
        assert_true((wrong == NULL) == (cases[i].wrong == NULL));
        if (wrong != NULL)
            assert_string_equal(wrong, cases[i].wrong);
        assert_true(n == cases[i].n);
    }
    uint64_t u = 7;
    assert_string_equal(number_parse_u64(STR("-1"), &u), "invalid syntax");
    assert_true(u == 7);
    assert_null(number_parse_u64(STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
}

/* ---- configurations ---- */

static void test_config(void **state) {
    struct jwt_config c;
    struct error e = ERROR_IN(&arena);
    assert_true(jwt_config_decode(
        json(
            "{\"jwtvalidationpubkeys\":\"a\",\"BoundIssuer\":5.5,\"BoundAudiences\":[1,true,null],"
            "\"ClaimMappings\":[{\"a\":\"x\",\"b\":2},{\"a\":\"y\"}],\"ExpirationLeeway\":\"0x10\","
            "\"NotBeforeLeeway\":1.9,\"ClockSkewLeeway\":true,\"JWKSURL\":null}"),
        &c, &arena, &e));
    assert_int_equal(c.jwt_validation_pub_keys.len, 1);
    assert_text(c.bound_issuer, "5.5");
    assert_int_equal(c.bound_audiences.len, 3);
    assert_text(LIST_AT(c.bound_audiences, struct str, 0), "1");
    assert_text(LIST_AT(c.bound_audiences, struct str, 1), "1");
    assert_text(LIST_AT(c.bound_audiences, struct str, 2), "");
    assert_int_equal(c.claim_mappings.len, 2);
    assert_text(*str_map_get(&c.claim_mappings, STR("a")), "y");
    assert_text(*str_map_get(&c.claim_mappings, STR("b")), "2");
    assert_true(c.expiration_leeway == 16 && c.not_before_leeway == 1 && c.clock_skew_leeway == 1);
    assert_true(c.jwks_url.data == NULL);
    assert_true(jwt_config_decode(NULL, &c, &arena, &e));
}

static void test_config_problems(void **state) {
    static const struct {
        const char *config, *problems;
    } cases[] = {
        {"{\"Foo\":1,\"Bar\":2}", "1 error(s) decoding:\n\n* '' has invalid keys: Bar, Foo"},
        {"{\"boundissuer\":\"x\",\"BoundIssuer\":\"y\"}",
         "1 error(s) decoding:\n\n* '' has invalid keys: boundissuer"},
        {"{\"ClaimMappings\":5,\"BoundIssuer\":[],\"Foo\":1}",
         "3 error(s) decoding:\n\n* '' has invalid keys: Foo\n"
         "* 'BoundIssuer' expected type 'string', got unconvertible type '[]interface {}'\n"
         "* 'ClaimMappings' expected a map, got 'float64'"},
        {"{\"ExpirationLeeway\":\"10s\",\"NotBeforeLeeway\":{}}",
         "2 error(s) decoding:\n\n* 'NotBeforeLeeway' expected type 'time.Duration', got "
         "unconvertible type 'map[string]interface {}'\n"
         "* cannot parse 'ExpirationLeeway' as int: strconv.ParseInt: parsing \"10s\": invalid "
         "syntax"},
        {"{\"JWTValidationPubKeys\":[[],{}]}",
         "2 error(s) decoding:\n\n"
         "* 'JWTValidationPubKeys[0]' expected type 'string', got unconvertible type "
         "'[]interface {}'\n* 'JWTValidationPubKeys[1]' expected type 'string', got unconvertible "
         "type 'map[string]interface {}'"},
        {"{\"ClaimMappings\":{\"a\":[1]}}",
         "1 error(s) decoding:\n\n* 'ClaimMappings[a]' expected type 'string', got unconvertible "
         "type '[]interface {}'"},
        {"{\"ClaimMappings\":[1]}",
         "1 error(s) decoding:\n\n* 'ClaimMappings[0]' expected a map, got 'float64'"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct jwt_config c;
        struct error e = ERROR_IN(&arena);
        assert_false(jwt_config_decode(json(cases[i].config), &c, &arena, &e));
        assert_text(e.text,
                    str_format(&arena, "error decoding config: %s", cases[i].problems).data);
    }
}

/* ---- the outside of a token ---- */

static void test_parse(void **state) {
    static const struct {
        const char *bearer, *wrong; /* NULL: it parses */
    } cases[] = {
        {"x", "square/go-jose: compact JWS format must have three parts"},
        {"a.b", "square/go-jose: compact JWS format must have three parts"},
        {"e30.e30.e30.e30", "square/go-jose: compact JWS format must have three parts"},
        {"x.y.z", "illegal base64 data at input byte 0"},
        {"e30.!.e30", "illegal base64 data at input byte 0"},
        {"e30.e30.e30=", "illegal base64 data at input byte 3"},
        {"e30.e30.e30", NULL},
        {" e3\n0.e30.\te30 ", NULL},
        {".e30.e30", NULL},
        {"bnVsbA.e30.", NULL},
        {"eA.e30.", "invalid character 'x' looking for beginning of value"},
        {"W10.e30.", "json: cannot unmarshal array into Go value of type jose.rawHeader"},
        {"eyJhbGciOjF9.e30.",
         "failed to unmarshal algorithm: json: cannot unmarshal number into Go "
         "value of type string: \"1\""},
        {"eyJhbGciOiJhIiwiYWxnIjoiYiJ9.e30.", "json: duplicate key 'alg' in object"},
        {"{}", "square/go-jose: missing payload in JWS message"},
        {"{x", "invalid character 'x' looking for beginning of object key string"},
        {"{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"e30\"}", NULL},
        {"{\"payload\":\"e30\",\"signatures\":[{\"protected\":\"e30\",\"signature\":\"e30\"}]}",
         NULL},
        {"{\"payload\":5}", NULL},
        {"{\"payload\":\"e30\",\"signatures\":[5]}", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct jwt t;
        struct error e = ERROR_IN(&arena);
        bool ok = jwt_parse(str_from(cases[i].bearer), &t, &arena, &e);
        assert_int_equal(ok, cases[i].wrong == NULL);
        if (!ok)
            assert_text(e.text, cases[i].wrong);
    }
    struct jwt t;
    struct error e = ERROR_IN(&arena);
    assert_true(
        jwt_parse(STR("{\"payload\":\"eyJhIjoxfQ\",\"protected\":\"eyJhbGciOiJSUzI1NiIsImtpZCI6"
                      "ImsifQ\",\"signature\":\"YQ\"}"),
                  &t, &arena, &e));
    assert_text(t.compact, "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJhIjoxfQ.YQ");
    assert_text(t.signed_part, "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJhIjoxfQ");
    assert_text(t.alg, "RS256");
    assert_text(t.kid, "k");
    assert_text(t.payload, "{\"a\":1}");
    assert_text(t.signature, "a");
    assert_true(t.verifiable);
}

/* ---- signatures ---- */

static bool verifies(struct jwt_keys *keys, struct str bearer, bool by_id) {
    struct jwt t;
    struct error e = ERROR_IN(&arena);
    assert_true(jwt_parse(bearer, &t, &arena, &e));
    return jwt_keys_verify(keys, &t, by_id);
}

static void add(struct jwt_keys *keys, EVP_PKEY *key) {
    struct error e = ERROR_IN(&arena);
    assert_true(jwt_keys_add_pem(keys, signing_pem(key, &arena), &e));
}

static void test_algorithms(void **state) {
    EVP_PKEY *all[] = {signing_rsa(), signing_ec("P-256"), signing_ec("P-384"), signing_ec("P-521"),
                       signing_ed25519()};
    static const struct {
        int key;
        const char *alg;
        bool ok;
    } cases[] = {
        {0, "RS256", true},  {0, "RS384", true},  {0, "RS512", true},  {0, "PS256", true},
        {0, "PS384", true},  {0, "PS512", true},  {1, "ES256", true},  {2, "ES384", true},
        {3, "ES512", true},  {4, "EdDSA", true},  {0, "none", false},  {0, "HS256", false},
        {0, "HS512", false}, {1, "HS256", false}, {4, "HS256", false}, {1, "none", false},
    };
    struct jwt_keys *keys = jwt_keys_new(), *others = jwt_keys_new();
    for (size_t i = 0; i < COUNT_OF(all); i++)
        add(keys, all[i]);
    EVP_PKEY *foreign[] = {signing_rsa(), signing_ec("P-256"), signing_ec("P-384"),
                           signing_ec("P-521"), signing_ed25519()};
    for (size_t i = 0; i < COUNT_OF(foreign); i++)
        add(others, foreign[i]);
    assert_int_equal(jwt_keys_count(keys), 5);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        EVP_PKEY *key = all[cases[i].key];
        struct str token = signing_token(key, cases[i].alg, "", "{\"a\":1}", &arena);
        assert_int_equal(verifies(keys, token, false), cases[i].ok);
        assert_false(verifies(others, token, false));
        /* The same with another payload. */
        ptrdiff_t dot = str_find_char(token, '.');
        char *changed = str_terminated(&arena, token);
        changed[dot + 3] ^= 1;
        assert_false(verifies(keys, str_of(changed, token.len), false));
    }
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        EVP_PKEY_free(all[i]);
        EVP_PKEY_free(foreign[i]);
    }
    jwt_keys_release(keys);
    jwt_keys_release(others);
}

/* An algorithm of one kind of key never meets a key of another, and none makes nothing of "none".
 */
static void test_confusion(void **state) {
    EVP_PKEY *rsa = signing_rsa(), *p384 = signing_ec("P-384");
    struct jwt_keys *keys = jwt_keys_new();
    add(keys, rsa);
    add(keys, p384);
    /* A signature of P-384 under ES256's name, as it would be with SHA-256. */
    struct str head = b64url(&arena, STR("{\"alg\":\"ES256\"}")), body = b64url(&arena, STR("{}"));
    struct str text = str_format(&arena, "%s.%s", head.data, body.data);
    uint8_t der[256];
    size_t len = sizeof(der);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, p384, NULL);
    EVP_DigestSign(context, der, &len, (const uint8_t *)text.data, text.len);
    EVP_MD_CTX_free(context);
    struct str signature = b64url(&arena, signing_fixed(der, len, 48, &arena));
    assert_false(verifies(keys, str_format(&arena, "%s.%s", text.data, signature.data), false));
    static const char *const headers[] = {",\"crit\":[\"x\"]", ",\"b64\":false",
                                          ",\"b64\":false,\"crit\":[\"b64\"]", ",\"crit\":5"};
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        assert_false(verifies(keys, signing_token(rsa, "RS256", headers[i], "{}", &arena), false));
    assert_true(verifies(
        keys, signing_token(rsa, "RS256", ",\"b64\":true,\"crit\":[\"b64\"]", "{}", &arena),
        false));
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p384);
    jwt_keys_release(keys);
}

static void test_key_sets(void **state) {
    EVP_PKEY *rsa = signing_rsa(), *ec = signing_ec("P-256"), *ed = signing_ed25519();
    struct jwt_keys *keys = jwt_keys_new();
    struct error e = ERROR_IN(&arena);
    struct str set =
        str_format(&arena, "{\"Keys\":[%s,%s,%s,{\"kty\":\"oct\",\"k\":\"YQ\"}],\"x\":1}",
                   signing_jwk(rsa, "a", &arena).data, signing_jwk(ec, "b", &arena).data,
                   signing_jwk(ed, "c", &arena).data);
    assert_true(jwt_keys_add_set(keys, set, &arena, &e));
    assert_int_equal(jwt_keys_count(keys), 4);
    EVP_PKEY *all[] = {rsa, ec, ed};
    const char *const algs[] = {"RS256", "ES256", "EdDSA"}, *const ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            struct str header = str_format(&arena, ",\"kid\":\"%s\"", ids[j]);
            struct str token = signing_token(all[i], algs[i], header.data, "{}", &arena);
            assert_int_equal(verifies(keys, token, true), i == j);
            assert_true(verifies(keys, token, false));
        }
        assert_true(verifies(keys, signing_token(all[i], algs[i], "", "{}", &arena), true));
        EVP_PKEY_free(all[i]);
    }
    jwt_keys_release(keys);
}

static void test_bad_key_sets(void **state) {
    static const struct {
        const char *set, *wrong;
    } cases[] = {
        {"zzz", "invalid character 'z' looking for beginning of value"},
        {"", "unexpected end of JSON input"},
        {"[]", "json: cannot unmarshal array into Go value of type jose.JSONWebKeySet"},
        {"{\"keys\":\"x\"}", "json: cannot unmarshal string into Go struct field "
                             "JSONWebKeySet.keys of type []jose.JSONWebKey"},
        {"{\"keys\":[5]}", "json: cannot unmarshal number into Go value of type "
                           "jose.rawJSONWebKey"},
        {"{\"keys\":[null]}", "square/go-jose: unknown json web key type ''"},
        {"{\"keys\":[{\"kty\":\"XX\"}]}", "square/go-jose: unknown json web key type 'XX'"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"kty\":\"RSA\"}]}", "json: duplicate key 'kty' in object"},
        {"{\"keys\":[{\"kty\":5}]}", "json: cannot unmarshal number into Go value of type string"},
        {"{\"keys\":[{\"kty\":\"RSA\"}]}", "square/go-jose: invalid RSA key, missing n/e values"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"!\"}]}", "illegal base64 data at input byte 0"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-1\"}]}",
         "square/go-jose: unsupported elliptic curve 'P-1'"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"}]}",
         "square/go-jose: invalid EC key, missing x/y values"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}]}",
         "square/go-jose: invalid EC public key, wrong length for x"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
         "\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"
         "EBAQE\",\"y\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}]}",
         "square/go-jose: invalid EC key, X/Y are not on declared curve"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AQ\"}]}",
         "square/go-jose: unknown curve X25519'"},
        {"{\"keys\":[{\"kty\":\"oct\"}]}",
         "square/go-jose: invalid OCT (symmetric) key, missing k value"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"YQ\",\"x5c\":[\"zz\"]}]}",
         "square/go-jose: failed to unmarshal x5c field: illegal base64 data at input byte 0"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"YQ\",\"x5c\":5}]}",
         "json: cannot unmarshal number into Go value of type []string"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct jwt_keys *keys = jwt_keys_new();
        struct error e = ERROR_IN(&arena);
        assert_false(jwt_keys_add_set(keys, str_from(cases[i].set), &arena, &e));
        assert_text(e.text, cases[i].wrong);
        jwt_keys_release(keys);
    }
    struct jwt_keys *keys = jwt_keys_new();
    struct error e = ERROR_IN(&arena);
    assert_true(jwt_keys_add_set(keys, STR("null"), &arena, &e));
    assert_true(jwt_keys_add_set(keys, STR("{\"keys\":null}"), &arena, &e));
    assert_int_equal(jwt_keys_count(keys), 0);
    jwt_keys_release(keys);
}

static struct str pem_of(struct str der) {
    struct buf b = BUF_INIT;
    buf_add_text(&b, "-----BEGIN PUBLIC KEY-----\n");
    base64_encode(&b, der);
    buf_add_text(&b, "\n-----END PUBLIC KEY-----\n");
    struct str pem = str_copy(&arena, buf_str(&b));
    buf_free(&b);
    return pem;
}

static void test_pems(void **state) {
#define NO_KEY "data does not contain any valid RSA, ECDSA, or ED25519 public keys"
#define TAGS(wanted, header, name)                                                                 \
    "asn1: structure error: tags don't match (" wanted " vs {" header                              \
    "}) {optional:false explicit:false application:false private:false defaultValue:<nil> "        \
    "tag:<nil> stringType:0 timeType:0 set:false omitEmpty:false} " name
    EVP_PKEY *ec = signing_ec("P-256"), *p224 = signing_ec("P-224"), *k1 = signing_ec("secp256k1");
    struct str pem = signing_pem(ec, &arena);
    const struct {
        struct str pem;
        const char *wrong;
    } cases[] = {
        {pem, NULL},
        {str_format(&arena, "junk\n%s", pem.data), NULL},
        {str_format(&arena, "%stail", pem.data), NULL},
        {signing_pem(p224, &arena), NULL},
        {STR(""), NO_KEY},
        {STR("x"), NO_KEY},
        {str_format(&arena, " %s", pem.data), NO_KEY},
        {pem_of(STR("\0\0\0")),
         TAGS("16", "class:0 tag:0 length:0 isCompound:false", "certificate @2")},
        {pem_of(STR("\x30\x00")), "asn1: syntax error: sequence truncated"},
        {pem_of(STR("\x30\x82\x01")), "asn1: syntax error: truncated tag or length"},
        {pem_of(STR("\x30\x10\x30")), "asn1: syntax error: data truncated"},
        {pem_of(STR("\x30\x80\x30")), "asn1: syntax error: indefinite length found (not DER)"},
        {pem_of(STR("\x30\x03\x02\x01\x00")),
         TAGS("16", "class:0 tag:2 length:1 isCompound:false", "tbsCertificate @2")},
        {signing_pem(k1, &arena), TAGS("2", "class:0 tag:6 length:7 isCompound:false", " @2")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct jwt_keys *keys = jwt_keys_new();
        struct error e = ERROR_IN(&arena);
        bool ok = jwt_keys_add_pem(keys, cases[i].pem, &e);
        assert_int_equal(ok, cases[i].wrong == NULL);
        assert_int_equal(jwt_keys_count(keys), ok ? 1 : 0);
        if (!ok)
            assert_text(e.text, cases[i].wrong);
        jwt_keys_release(keys);
    }
    EVP_PKEY_free(ec);
    EVP_PKEY_free(p224);
    EVP_PKEY_free(k1);
}

/* ---- claims ---- */

#define INVALID "error validating claims: "
#define VALIDATION INVALID "square/go-jose/jwt: validation "

static void test_times(void **state) {
    static const struct {
        const char *claims;
        const char *config;
        const char *wrong; /* NULL: none */
    } cases[] = {
        {"{}", "{}", "no issue time, notbefore, or expiration time encoded in token"},
        {"{\"exp\":0,\"nbf\":0,\"iat\":0}", "{}",
         "no issue time, notbefore, or expiration time encoded in token"},
        {"{\"exp\":1700000100}", "{}", NULL},
        {"{\"exp\":1699999941}", "{}", NULL},
        {"{\"exp\":1699999939}", "{}", VALIDATION "failed, token is expired (exp)"},
        {"{\"exp\":1699999941}", "{\"ClockSkewLeeway\":-1}",
         VALIDATION "failed, token is expired (exp)"},
        {"{\"exp\":1700000211}", "{}", VALIDATION "failed, token not valid yet (nbf)"},
        {"{\"exp\":1700000209}", "{}", NULL},
        {"{\"exp\":1700000209}", "{\"NotBeforeLeeway\":20000000000}",
         VALIDATION "failed, token not valid yet (nbf)"},
        {"{\"iat\":1699999791}", "{}", NULL},
        {"{\"iat\":1699999789}", "{}", VALIDATION "failed, token is expired (exp)"},
        {"{\"iat\":1699999791}", "{\"ExpirationLeeway\":-5}",
         VALIDATION "failed, token is expired (exp)"},
        {"{\"iat\":1699999000,\"nbf\":1699999999}", "{}", NULL},
        {"{\"nbf\":1700000061,\"exp\":1800000000}", "{}",
         VALIDATION "failed, token not valid yet (nbf)"},
        {"{\"nbf\":1700000059,\"exp\":1800000000}", "{}", NULL},
        {"{\"nbf\":1,\"iat\":1700000061,\"exp\":1800000000}", "{}",
         VALIDATION "field, token issued in the future (iat)"},
        {"{\"nbf\":1,\"iat\":1700000059.9,\"exp\":1.8e9}", "{}", NULL},
        {"{\"iat\":1700000000,\"exp\":1e300}", "{}", VALIDATION "failed, token is expired (exp)"},
        {"{\"iat\":1700000000,\"exp\":-5}", "{}", VALIDATION "failed, token is expired (exp)"},
        {"{\"iat\":1700000000}", "{\"ExpirationLeeway\":9223372036854775807}", NULL},
        {"{\"iat\":1700000000,\"iss\":\"a\"}", "{\"BoundIssuer\":\"a\"}", NULL},
        {"{\"iat\":1700000000,\"iss\":\"A\",\"exp\":1}", "{\"BoundIssuer\":\"a\"}",
         VALIDATION "failed, invalid issuer claim (iss)"},
        {"{\"iat\":1700000000}", "{\"BoundIssuer\":\"a\"}",
         VALIDATION "failed, invalid issuer claim (iss)"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct jwt_claims c;
        struct jwt_config config;
        struct error e = ERROR_IN(&arena);
        assert_true(jwt_claims_parse(str_from(cases[i].claims), true, &c, &arena, &e));
        assert_true(jwt_config_decode(json(cases[i].config), &config, &arena, &e));
        bool ok = jwt_claims_check(&c, &config, NOW * SECOND, &e);
        assert_int_equal(ok, cases[i].wrong == NULL);
        if (!ok)
            assert_text(e.text, cases[i].wrong);
    }
}

static void test_audiences(void **state) {
    static const struct {
        const char *claims, *config;
        bool must_be_bound;
        const char *wrong;
    } cases[] = {
        {"{\"aud\":\"a\"}", "{\"BoundAudiences\":[\"a\",\"b\"]}", true, NULL},
        {"{\"aud\":[\"z\",\"b\"]}", "{\"BoundAudiences\":[\"a\",\"b\"]}", true, NULL},
        {"{\"aud\":\"z\"}", "{\"BoundAudiences\":\"a\"}", true,
         INVALID "aud claim does not match any bound audience"},
        {"{}", "{\"BoundAudiences\":\"a\"}", true,
         INVALID "aud claim does not match any bound audience"},
        {"{\"aud\":\"a\"}", "{}", true,
         INVALID "audience claim found in JWT but no audiences are bound"},
        {"{\"aud\":\"a\"}", "{}", false, NULL},
        {"{\"aud\":[]}", "{}", true, NULL},
        {"{}", "{}", true, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct jwt_claims c;
        struct jwt_config config;
        struct error e = ERROR_IN(&arena);
        assert_true(jwt_claims_parse(str_from(cases[i].claims), true, &c, &arena, &e));
        assert_true(jwt_config_decode(json(cases[i].config), &config, &arena, &e));
        bool ok = jwt_claims_check_audience(&c, &config, cases[i].must_be_bound, &e);
        assert_int_equal(ok, cases[i].wrong == NULL);
        if (!ok)
            assert_text(e.text, cases[i].wrong);
    }
}

static void test_claim_texts(void **state) {
    static const struct {
        const char *claims, *wrong;
    } cases[] = {
        {"x", "invalid character 'x' looking for beginning of value"},
        {"[]", "json: cannot unmarshal array into Go value of type jwt.Claims"},
        {"{\"iss\":5}",
         "json: cannot unmarshal number into Go struct field Claims.iss of type string"},
        {"{\"exp\":\"5\"}", "square/go-jose/jwt: expected number value to unmarshal NumericDate"},
        {"{\"EXP\":true}", "square/go-jose/jwt: expected number value to unmarshal NumericDate"},
        {"{\"aud\":[5]}",
         "square/go-jose/jwt: expected string or array value to unmarshal to Audience"},
        {"{\"aud\":null}",
         "square/go-jose/jwt: expected string or array value to unmarshal to Audience"},
    };
    struct jwt_claims c;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        assert_false(jwt_claims_parse(str_from(cases[i].claims), false, &c, &arena, &e));
        assert_text(e.text, cases[i].wrong);
    }
    struct error e = ERROR_IN(&arena);
    assert_true(jwt_claims_parse(STR("{\"EXP\":\"x\"}"), true, &c, &arena, &e));
    assert_false(jwt_claims_parse(STR("{\"a\":{\"b\":1,\"b\":2}}"), true, &c, &arena, &e));
    assert_text(e.text, "json: duplicate key 'b' in object");
    assert_true(jwt_claims_parse(STR("null"), true, &c, &arena, &e));
}

static void test_id_tokens(void **state) {
    static const struct {
        const char *claims, *wrong;
    } cases[] = {
        {"{\"iss\":\"me\",\"exp\":1700000001}", NULL},
        {"{\"iss\":\"me\",\"exp\":\"1700000001\"}", NULL},
        {"{\"iss\":\"me\",\"EXP\":1700000001.5,\"aud\":null,\"nbf\":1700000060}", NULL},
        {"{\"iss\":\"me\",\"exp\":1699999999}",
         "oidc: token is expired (Token Expiry: 2023-11-14 22:13:19 +0000 UTC)"},
        {"{\"iss\":\"me\"}",
         "oidc: token is expired (Token Expiry: 0001-01-01 00:00:00 +0000 UTC)"},
        {"{\"iss\":\"you\",\"exp\":1}",
         "oidc: id token issued by a different provider, expected \"me\" got \"you\""},
        {"{\"iss\":\"me\",\"exp\":1700000001,\"nbf\":1700000061}",
         "oidc: current time 2023-11-14 22:13:20 +0000 UTC before the nbf (not before) time: "
         "2023-11-14 22:14:21 +0000 UTC"},
        {"x", "oidc: failed to unmarshal claims: invalid character 'x' looking for beginning of "
              "value"},
        {"[]", "oidc: failed to unmarshal claims: json: cannot unmarshal array into Go value of "
               "type oidc.idToken"},
        {"{\"exp\":\"x\"}",
         "oidc: failed to unmarshal claims: json: invalid number literal, trying "
         "to unmarshal \"\\\"x\\\"\" into Number"},
        {"{\"exp\":null}", "oidc: failed to unmarshal claims: strconv.ParseFloat: parsing \"\": "
                           "invalid syntax"},
        {"{\"aud\":[5]}", "oidc: failed to unmarshal claims: json: cannot unmarshal number into Go "
                          "struct field idToken.aud of type string"},
        {"{\"iss\":\"me\",\"exp\":1700000001,\"_claim_names\":{\"a\":\"b\"}}",
         "oidc: source does not exist"},
        {"{\"iss\":\"me\",\"exp\":1700000001,\"_claim_names\":{\"a\":\"b\"},"
         "\"_claim_sources\":{\"b\":{}}}",
         NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        bool ok =
            jwt_id_token_check(str_from(cases[i].claims), STR("me"), NOW * SECOND, &arena, &e);
        assert_int_equal(ok, cases[i].wrong == NULL);
        if (!ok)
            assert_text(e.text, cases[i].wrong);
    }
}

/* ---- mappings ---- */

/* The variable "value.t" that a claim of the JSON gives, or the error. */
static struct str projected(const char *claim, const char *claims) {
    struct jwt_claims c;
    struct error e = ERROR_IN(&arena);
    struct auth_identity identity;
    struct str_pair mapping = {str_from(claim), STR("t")};
    struct jwt_config config = {.claim_mappings = {&mapping, 1, true}};
    assert_true(jwt_claims_parse(str_from(claims), true, &c, &arena, &e));
    if (!jwt_claims_project(&c, &config, &identity, &arena, &e))
        return e.text;
    const struct str *value = str_map_get(&identity.variables, STR("value.t"));
    assert_non_null(value);
    return *value;
}

static void test_mapped_texts(void **state) {
    static const struct {
        const char *claim, *claims, *value;
    } cases[] = {
        {"x", "{\"x\":\"Hello\"}", "hello"},
        {"x", "{\"x\":7.9}", "7"},
        {"x", "{\"x\":-7.9}", "-7"},
        {"x", "{\"x\":1e300}", "-9223372036854775808"},
        {"x", "{\"x\":true}", "true"},
        {"x", "{\"X\":1}", ""},
        {"x", "{\"x\":null}", ""},
        {"x", "{\"x\":[]}",
         "error converting claim 'x' to string from unknown type []interface {}"},
        {"x", "{\"x\":{}}",
         "error converting claim 'x' to string from unknown type map[string]interface {}"},
        {"x", "{\"x\":\"\\u00c4B\\u0130\"}",
         "\xc3\xa4"
         "bi"},
        {"/x/y", "{\"x\":{\"y\":\"deep\"}}", "deep"},
        {"/x/1", "{\"x\":[\"a\",\"b\"]}", "b"},
        {"/x/01", "{\"x\":[\"a\",\"b\"]}", "b"},
        {"/x/+1", "{\"x\":[\"a\",\"b\"]}", "b"},
        {"/x/2", "{\"x\":[\"a\",\"b\"]}", ""},
        {"/x/-1", "{\"x\":[\"a\",\"b\"]}", ""},
        {"/x/-", "{\"x\":[\"a\",\"b\"]}", ""},
        {"/x/a", "{\"x\":\"s\"}", ""},
        {"/a~1b/c~0d", "{\"a/b\":{\"c~d\":\"t\"}}", "t"},
        {"/a~01", "{\"a~1\":\"z\"}", "z"},
        {"/", "{\"\":\"r\"}", "r"},
        {"/x//y", "{\"x\":{\"\":{\"y\":\"d\"}}}", "d"},
        {"/x/", "{\"x\":{\"\":\"e\"}}", "e"},
        {"a/b", "{\"a/b\":\"lit\"}", "lit"},
        {"", "{\"\":\"n\"}", "n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_text(projected(cases[i].claim, cases[i].claims), cases[i].value);
}

static void test_mapped_lists(void **state) {
    static const struct {
        const char *claims, *list; /* joined with ","; or the error */
        bool ok;
    } cases[] = {
        {"{\"x\":[\"a\",\"B\",\"\",7,true,1.5]}", "a,B,7,true,1", true},
        {"{\"x\":\"a\"}", "a", true},
        {"{\"x\":\"\"}", "", true},
        {"{\"x\":5}", "5", true},
        {"{\"x\":{}}", "\"x\" list claim could not be converted to string list", false},
        {"{\"x\":[null]}", "value <nil> in \"x\" list claim could not be parsed as string", false},
        {"{\"x\":[\"a\",{\"c\":[1.5,\"x\",null,true,1e21,1e-7,123456789,100000,0.0001,0,-2],\"b\":"
         "1}]}",
         "value map[b:1 c:[1.5 x <nil> true 1e+21 1e-07 1.23456789e+08 100000 0.0001 0 -2]] in "
         "\"x\" list claim could not be parsed as string",
         false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct jwt_claims c;
        struct error e = ERROR_IN(&arena);
        struct auth_identity identity;
        struct str_pair mapping = {STR("x"), STR("t")};
        struct jwt_config config = {.list_claim_mappings = {&mapping, 1, true}};
        assert_true(jwt_claims_parse(str_from(cases[i].claims), true, &c, &arena, &e));
        bool ok = jwt_claims_project(&c, &config, &identity, &arena, &e);
        assert_int_equal(ok, cases[i].ok);
        if (!ok) {
            assert_text(e.text, cases[i].list);
            continue;
        }
        struct buf joined = BUF_INIT;
        struct list *list = map_pair_value(&identity.list, sizeof(struct list_pair), STR("t"));
        for (uint32_t j = 0; j < list->len; j++) {
            buf_add_text(&joined, j > 0 ? "," : "");
            buf_add_str(&joined, LIST_AT(*list, struct str, j));
        }
        assert_text(buf_str(&joined), cases[i].list);
        buf_free(&joined);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_base64url),    TEST(test_numbers),
        TEST(test_config),       TEST(test_config_problems),
        TEST(test_parse),        TEST(test_algorithms),
        TEST(test_confusion),    TEST(test_key_sets),
        TEST(test_bad_key_sets), TEST(test_pems),
        TEST(test_times),        TEST(test_audiences),
        TEST(test_claim_texts),  TEST(test_id_tokens),
        TEST(test_mapped_texts), TEST(test_mapped_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

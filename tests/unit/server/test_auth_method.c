/* Auth methods against a fake of all that they ask: key sets, their keys changing, discovery,
 * Kubernetes; and what becomes of works whose caller goes away, whose server stops, or of which
 * there are too many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "fake_http.h"
#include "server/auth_jwt.h"
#include "server/auth_method.h"
#include "signing.h"

static struct arena arena;
static struct fake_http fake;
static struct auth_methods *methods;
static struct loop loop;

static int begin(void **state) {
    struct error e = ERROR_IN(&arena);
    arena = ARENA_INIT;
    fake_http_start(&fake);
    methods = auth_methods_new();
    assert_true(loop_init(&loop, "test", 64, &e));
    return 0;
}
static int end(void **state) {
    auth_methods_free(methods);
    loop_free(&loop);
    fake_http_stop(&fake);
    arena_free(&arena);
    return 0;
}

/* ---- asking ---- */

static struct acl_auth_method method(const char *type, struct str config) {
    struct acl_auth_method m = {.name = STR("m"), .type = str_from(type)};
    struct error e = ERROR_IN(&arena);
    m.config = ARENA_NEW(&arena, struct value);
    assert_true(json_parse_whole(config, m.config, &arena, &e));
    return m;
}

struct job {
    struct message message;
    const struct acl_auth_method *method;
    struct str bearer; /* absent: a check */
    struct auth_work *work;
    unsigned left; /* works to come */
};

static void finished(struct auth_work *w) {
    struct job *job = w->owner;
    job->work = w;
    if (--job->left == 0)
        uv_stop(&loop.uv);
}

static void begin_work(struct message *message) {
    struct job *job = CONTAINER_OF(message, struct job, message);
    if (job->bearer.data == NULL)
        auth_method_check(methods, job->method, finished, job);
    else
        auth_login_verify(methods, job->method, job->bearer, finished, job);
}

static struct auth_work *run(const struct acl_auth_method *m, struct str bearer) {
    struct job job = {{.run = begin_work}, m, bearer, NULL, 1};
    loop_post_reply(&loop, &job.message);
    loop_run_here(&loop);
    assert_non_null(job.work);
    return job.work;
}

/* The error's text, or "". */
static char *check(const struct acl_auth_method *m) {
    struct auth_work *w = run(m, STR_NONE);
    char *text = str_terminated(&arena, error_is_set(&w->error) ? w->error.text : STR(""));
    auth_work_free(w);
    return text;
}

/* The error's text, or the variables: "value.t=web". */
static char *login(const struct acl_auth_method *m, struct str bearer) {
    struct auth_work *w = run(m, bearer);
    struct buf text = BUF_INIT;
    if (error_is_set(&w->error)) {
        assert_int_equal(w->error.kind, ERROR_INTERNAL);
        buf_add_str(&text, w->error.text);
    }
    for (uint32_t i = 0; !error_is_set(&w->error) && i < w->identity.variables.len; i++) {
        struct str_pair *p = &LIST_AT(w->identity.variables, struct str_pair, i);
        buf_add_format(&text, "%s" STR_FMT "=" STR_FMT, i > 0 ? "," : "", STR_ARG(p->key),
                       STR_ARG(p->value));
    }
    auth_work_free(w);
    char *copy = str_terminated(&arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static struct str url(const char *path) {
    return str_format(&arena, "http://127.0.0.1:%u%s", fake.port, path);
}

static struct str quoted(struct str s) {
    struct buf b = BUF_INIT;
    json_escape(&b, s);
    struct str text = str_copy(&arena, buf_str(&b));
    buf_free(&b);
    return text;
}

static struct str token(EVP_PKEY *key, const char *kid, const char *more) {
    int64_t now = time_now_wall() / SECOND;
    struct str header = str_format(&arena, ",\"kid\":\"%s\"", kid);
    struct str claims = str_format(
        &arena, "{\"iat\":%lld,\"exp\":%lld,\"name\":\"Web\",\"iss\":\"http://127.0.0.1:%u/o\"%s}",
        (long long)now, (long long)now + 100, fake.port, more);
    return signing_token(key, "RS256", kid[0] != '\0' ? header.data : "", claims.data, &arena);
}

static void serve_keys(const char *headers, EVP_PKEY *key, const char *kid) {
    struct str set = str_format(&arena, "{\"keys\":[%s]}", signing_jwk(key, kid, &arena).data);
    fake_http_answer(&fake, "/keys", 200, headers, set.data);
}

#define JSON_TYPE "Content-Type: application/json\r\n"
#define NOT_VERIFIED "error verifying token: failed to verify id token signature"

/* ---- jwt ---- */

static void test_public_keys(void **state) {
    EVP_PKEY *key = signing_rsa(), *other = signing_rsa();
    struct acl_auth_method m = method(
        "jwt",
        str_format(&arena, "{\"JWTValidationPubKeys\":[%s],\"ClaimMappings\":{\"name\":\"n\"}}",
                   quoted(signing_pem(key, &arena)).data));
    assert_string_equal(check(&m), "");
    assert_string_equal(login(&m, token(key, "", "")), "value.n=web");
    assert_string_equal(login(&m, token(other, "", "")),
                        "no known key successfully validated the token signature");
    assert_string_equal(login(&m, STR("")), "missing jwt");
    assert_string_equal(login(&m, STR("x")), "error parsing token: square/go-jose: compact JWS "
                                             "format must have three parts");
    assert_string_equal(login(&m, token(key, "", ",\"nbf\":4000000000")),
                        "error validating claims: square/go-jose/jwt: validation failed, token not "
                        "valid yet (nbf)");
    assert_string_equal(login(&m, token(key, "", ",\"aud\":\"x\"")),
                        "error validating claims: audience claim found in JWT but no audiences are "
                        "bound");
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void test_refused_configs(void **state) {
    struct str keys = url("/nowhere");
    const struct {
        struct str config;
        const char *wrong;
    } cases[] = {
        {STR("{}"),
         "exactly one of 'JWTValidationPubKeys', 'JWKSURL', or 'OIDCDiscoveryURL' must be "
         "set for type \"jwt\""},
        {STR("{\"JWTValidationPubKeys\":[\"x\"],\"JWKSCACert\":\"x\"}"),
         "'JWKSCACert' should not be set unless 'JWKSURL' is set"},
        {STR("{\"JWTValidationPubKeys\":[\"x\"],\"OIDCDiscoveryCACert\":\"x\"}"),
         "error parsing public key JWTValidationPubKeys[0]: data does not contain any valid RSA, "
         "ECDSA, or ED25519 public keys"},
        {STR("{\"JWKSURL\":\"http://x/\",\"JWKSCACert\":\"x\"}"),
         "error checking JWKSCACert: could not parse CA PEM value successfully"},
        {STR("{\"JWKSURL\":\"::\"}"),
         "error checking JWKSURL: fetching keys oidc: can't create request: parse \"::\": missing "
         "protocol scheme"},
        {STR("{\"JWKSURL\":\"foo\"}"),
         "error checking JWKSURL: fetching keys oidc: get keys failed "
         "Get \"foo\": unsupported protocol scheme \"\""},
        {STR("{\"JWKSURL\":\"http://127.0.0.1:99999/\"}"),
         "error checking JWKSURL: fetching keys oidc: get keys failed Get "
         "\"http://127.0.0.1:99999/\": dial tcp: address 99999: invalid port"},
        {STR("{\"OIDCDiscoveryURL\":\"foo\"}"),
         "error checking OIDCDiscoveryURL: Get \"foo/.well-known/openid-configuration\": "
         "unsupported "
         "protocol scheme \"\""},
        {str_format(&arena, "{\"JWKSURL\":\"%s\"}", keys.data),
         "error checking JWKSURL: fetching keys oidc: get keys failed: 404 Not Found 404 page not "
         "found\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct acl_auth_method m = method("jwt", cases[i].config);
        assert_string_equal(check(&m),
                            str_format(&arena, "Invalid Auth Method: %s", cases[i].wrong).data);
    }
}

static void test_key_set(void **state) {
    EVP_PKEY *a = signing_rsa(), *b = signing_rsa();
    struct acl_auth_method m =
        method("jwt", str_format(&arena, "{\"JWKSURL\":\"%s\",\"ClaimMappings\":{\"name\":\"n\"}}",
                                 url("/keys").data));
    fake_http_answer(&fake, "/keys", 200, JSON_TYPE, "zzz");
    assert_string_equal(
        check(&m), "Invalid Auth Method: error checking JWKSURL: fetching keys oidc: failed to "
                   "decode keys: got Content-Type = application/json, but could not unmarshal as "
                   "JSON: invalid character 'z' looking for beginning of value zzz");
    fake_http_answer(&fake, "/keys", 200, "Content-Type: text/plain\r\n", "zzz");
    assert_string_equal(
        check(&m), "Invalid Auth Method: error checking JWKSURL: fetching keys oidc: failed to "
                   "decode keys: expected Content-Type = application/json, got \"text/plain\": "
                   "invalid character 'z' looking for beginning of value zzz");
    serve_keys(JSON_TYPE, a, "a");
    assert_string_equal(check(&m), "");
    assert_int_equal(fake_http_count(&fake, "/keys"), 3);
    /* What the check fetched serves the logins. */
    assert_string_equal(login(&m, token(a, "a", "")), "value.n=web");
    assert_string_equal(login(&m, token(a, "", "")), "value.n=web");
    assert_int_equal(fake_http_count(&fake, "/keys"), 3);
    assert_string_equal(login(&m, STR("x")),
                        "error verifying token: oidc: malformed jwt: square/go-jose: compact JWS "
                        "format must have three parts");
    assert_string_equal(
        login(&m, signing_token(a, "RS256", "", "x", &arena)),
        "failed to unmarshal claims: invalid character 'x' looking for beginning of "
        "value");
    assert_string_equal(login(&m, signing_token(a, "none", "", "{}", &arena)), NOT_VERIFIED);
    assert_string_equal(login(&m, signing_token(a, "HS256", "", "{}", &arena)), NOT_VERIFIED);
    assert_int_equal(fake_http_count(&fake, "/keys"), 5);
    /* The keys change. */
    serve_keys(JSON_TYPE, b, "b");
    assert_string_equal(login(&m, token(a, "a", "")), "value.n=web");
    assert_string_equal(login(&m, token(b, "b", "")), "value.n=web");
    assert_string_equal(login(&m, token(a, "a", "")), NOT_VERIFIED);
    fake_http_answer(&fake, "/keys", 500, "", "boom");
    assert_string_equal(
        login(&m, token(a, "a", "")),
        "error verifying token: fetching keys oidc: get keys failed: 500 Other boom");
    assert_string_equal(login(&m, token(b, "b", "")), "value.n=web");
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}

/* Tokens that nobody signed do not make the provider work for ever. */
static void test_fetches_bounded(void **state) {
    EVP_PKEY *a = signing_rsa(), *b = signing_rsa();
    struct acl_auth_method m =
        method("jwt", str_format(&arena, "{\"JWKSURL\":\"%s\"}", url("/keys").data));
    serve_keys(JSON_TYPE, a, "a");
    struct str foreign = token(b, "b", "");
    int64_t began = time_now_monotonic();
    for (int i = 0; i < 60; i++)
        assert_string_equal(login(&m, foreign), NOT_VERIFIED);
    int64_t allowed = JWT_REFETCH_BURST + (time_now_monotonic() - began) / JWT_REFETCH_INTERVAL + 1;
    assert_in_range(fake_http_count(&fake, "/keys"), JWT_REFETCH_BURST, (uintmax_t)allowed);
    assert_true(fake_http_count(&fake, "/keys") < 60 || allowed >= 60);
    /* Nor is a set asked for that still holds. */
    serve_keys(JSON_TYPE "Cache-Control: public, max-age=3600\r\n", a, "a");
    assert_string_equal(check(&m), "");
    int count = fake_http_count(&fake, "/keys");
    assert_string_equal(login(&m, foreign), NOT_VERIFIED);
    assert_int_equal(fake_http_count(&fake, "/keys"), count);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}

static void test_redirects(void **state) {
    EVP_PKEY *a = signing_rsa();
    struct acl_auth_method m =
        method("jwt", str_format(&arena, "{\"JWKSURL\":\"%s\"}", url("/from").data));
    serve_keys(JSON_TYPE, a, "a");
    fake_http_answer(&fake, "/from", 302, "Location: /keys\r\n", "");
    assert_string_equal(check(&m), "");
    fake_http_answer(&fake, "/from", 302, "", "");
    assert_string_equal(
        check(&m),
        str_format(
            &arena,
            "Invalid Auth Method: error checking JWKSURL: fetching keys oidc: get keys failed "
            "Get \"%s\": 302 response missing Location header",
            url("/from").data)
            .data);
    fake_http_answer(&fake, "/from", 302, "Location: /from\r\n", "");
    assert_string_equal(check(&m),
                        "Invalid Auth Method: error checking JWKSURL: fetching keys oidc: get keys "
                        "failed Get \"/from\": stopped after 10 redirects");
    EVP_PKEY_free(a);
}

#define DISCOVERY "/o/.well-known/openid-configuration"
#define SIGNATURE "error validating signature: "

static void test_discovery(void **state) {
    EVP_PKEY *a = signing_rsa(), *b = signing_rsa();
    struct acl_auth_method m =
        method("jwt", str_format(&arena,
                                 "{\"OIDCDiscoveryURL\":\"%s\",\"ClaimMappings\":{\"name\":\"n\"}}",
                                 url("/o").data));
    struct str document = str_format(&arena, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s\"}",
                                     url("/o").data, url("/keys").data);
    serve_keys(JSON_TYPE, a, "a");
    fake_http_answer(&fake, DISCOVERY, 200, JSON_TYPE, "{\"issuer\":\"no\"}");
    assert_string_equal(
        check(&m), str_format(&arena,
                              "Invalid Auth Method: error checking OIDCDiscoveryURL: oidc: issuer "
                              "did not match the issuer returned by provider, expected \"%s\" got "
                              "\"no\"",
                              url("/o").data)
                       .data);
    fake_http_answer(&fake, DISCOVERY, 200, JSON_TYPE, document.data);
    assert_string_equal(check(&m), "");
    assert_string_equal(login(&m, token(a, "a", ",\"aud\":\"x\"")), "value.n=web");
    assert_int_equal(fake_http_count(&fake, DISCOVERY), 2);
    assert_string_equal(login(&m, token(b, "b", "")), SIGNATURE
                        "failed to verify signature: failed to verify id token signature");
    assert_string_equal(login(&m, token(a, "a", ",\"exp\":1")),
                        SIGNATURE "oidc: token is expired (Token Expiry: 1970-01-01 00:00:01 +0000 "
                                  "UTC)");
    assert_string_equal(login(&m, signing_token(a, "RS256", "", "{\"exp\":1}", &arena)),
                        str_format(&arena,
                                   SIGNATURE
                                   "oidc: id token issued by a different provider, expected "
                                   "\"%s\" got \"\"",
                                   url("/o").data)
                            .data);
    struct str claims = str_format(&arena, "{\"iss\":\"%s\",\"exp\":4000000000}", url("/o").data);
    assert_string_equal(login(&m, signing_token(a, "RS384", "", claims.data, &arena)),
                        SIGNATURE "oidc: id token signed with unsupported algorithm, expected "
                                  "[\"RS256\"] got \"RS384\"");
    assert_string_equal(login(&m, signing_token(a, "none", "", claims.data, &arena)),
                        SIGNATURE "oidc: id token signed with unsupported algorithm, expected "
                                  "[\"RS256\"] got \"none\"");
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}

/* ---- kubernetes ---- */

#define REVIEWS "/apis/authentication.k8s.io/v1/tokenreviews"
#define ACCOUNT "/api/v1/namespaces/Ns/serviceaccounts/Web"

static struct str certificate(EVP_PKEY *key) {
    X509 *x = X509_new();
    X509_set_pubkey(x, key);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_sign(x, key, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    PEM_write_bio_X509(bio, x);
    long len = BIO_get_mem_data(bio, &data);
    struct str pem = str_copy(&arena, str_of(data, (size_t)len));
    BIO_free(bio);
    X509_free(x);
    return pem;
}

static void serve_user(const char *username) {
    struct str review =
        str_format(&arena,
                   "{\"status\":{\"authenticated\":true,\"user\":{\"username\":\"%s\","
                   "\"uid\":\"U-1\"}}}",
                   username);
    fake_http_answer(&fake, REVIEWS, 201, JSON_TYPE, review.data);
}

static void test_kubernetes(void **state) {
    EVP_PKEY *key = signing_ec("P-256");
    struct acl_auth_method m = method(
        "kubernetes",
        str_format(&arena, "{\"Host\":\"%s/\",\"CACert\":%s,\"ServiceAccountJWT\":\"e30.e30.e30\"}",
                   url("").data, quoted(certificate(key)).data));
    assert_string_equal(check(&m), "");
    struct str bearer = STR("e30.eyJhIjoxfQ.e30");
    fake_http_answer(&fake, ACCOUNT, 200, JSON_TYPE, "{\"metadata\":{}}");
    serve_user("system:serviceaccount:Ns:Web");
    assert_string_equal(login(&m, bearer), "serviceaccount.name=web,serviceaccount.namespace=ns,"
                                           "serviceaccount.uid=u-1");
    assert_true(fake_http_got(&fake, "GET " ACCOUNT " HTTP/1.1\r\n"));
    assert_true(fake_http_got(&fake, "Authorization: Bearer e30.e30.e30\r\n"));
    fake_http_answer(
        &fake, ACCOUNT, 200, JSON_TYPE,
        "{\"metadata\":{\"annotations\":{\"consul.hashicorp.com/service-name\":\"Other\"}}}");
    assert_string_equal(login(&m, bearer), "serviceaccount.name=other,serviceaccount.namespace=ns,"
                                           "serviceaccount.uid=u-1");
    fake_http_answer(&fake, ACCOUNT, 404, JSON_TYPE, "{}");
    assert_string_equal(
        login(&m, bearer),
        "annotation lookup failed: the server could not find the requested resource "
        "(get serviceaccounts Web)");
    static const struct {
        const char *user, *wrong;
    } users[] = {
        {"a", "lookup failed: unexpected username format"},
        {"system:serviceaccount:a:b:c", "lookup failed: unexpected username format"},
        {"system:node:a:b", "lookup failed: username returned is not a service account"},
        {"system:serviceaccount::", "annotation lookup failed: resource name may not be empty"},
        {"system:serviceaccount:..:a",
         "annotation lookup failed: invalid resource name \"..\": [may not be '..']"},
        {"system:serviceaccount:a:b/c",
         "annotation lookup failed: invalid resource name \"b/c\": [may not contain '/']"},
    };
    for (size_t i = 0; i < COUNT_OF(users); i++) {
        serve_user(users[i].user);
        assert_string_equal(login(&m, bearer), users[i].wrong);
    }
    EVP_PKEY_free(key);
}

static void test_kubernetes_refusals(void **state) {
    EVP_PKEY *key = signing_ec("P-256");
    struct acl_auth_method m = method(
        "kubernetes",
        str_format(&arena, "{\"Host\":\"%s\",\"CACert\":%s,\"ServiceAccountJWT\":\"e30.e30.e30\"}",
                   url("").data, quoted(certificate(key)).data));
    static const struct {
        int status;
        const char *headers, *body, *wrong;
    } reviews[] = {
        {201, JSON_TYPE, "{\"status\":{\"error\":\"boom\"}}", "lookup failed: boom"},
        {201, JSON_TYPE, "{}", "lookup failed: service account jwt not valid"},
        {201, JSON_TYPE, "null", "lookup failed: service account jwt not valid"},
        {200, JSON_TYPE, "zzz",
         "couldn't get version/kind; json parse error: invalid character 'z' "
         "looking for beginning of value"},
        {200, JSON_TYPE, "",
         "0-length response with status code: 200 and content type: application/json"},
        {401, JSON_TYPE, "go",
         "the server has asked for the client to provide credentials (post "
         "tokenreviews.authentication.k8s.io)"},
        {403, "Content-Type: text/plain\r\n", "no way",
         "no way (post tokenreviews.authentication.k8s.io)"},
        {403, JSON_TYPE, "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"nope\"}",
         "nope"},
        {500, JSON_TYPE, "x",
         "an error on the server (\"unknown\") has prevented the request from "
         "succeeding (post tokenreviews.authentication.k8s.io)"},
        {201, JSON_TYPE, "{\"status\":{\"authenticated\":\"x\"}}",
         "v1.TokenReviewStatus.Authenticated: unexpected string"},
        {201, JSON_TYPE, "{\"status\":5}", "v1.TokenReview.Status: unexpected number"},
    };
    for (size_t i = 0; i < COUNT_OF(reviews); i++) {
        fake_http_answer(&fake, REVIEWS, reviews[i].status, reviews[i].headers, reviews[i].body);
        assert_string_equal(login(&m, STR("e30.e30.e30")), reviews[i].wrong);
    }
    assert_string_equal(login(&m, STR("")), "failed to parse and validate JWT: square/go-jose: "
                                            "compact JWS format must have three parts");
    static const struct {
        const char *config, *wrong;
    } configs[] = {
        {"{}", "Config.Host is required"},
        {"{\"Host\":1}", "Config.CACert is required"},
        {"{\"Foo\":1}",
         "error decoding config: 1 error(s) decoding:\n\n* '' has invalid keys: Foo"},
        {"{\"Host\":1,\"CACert\":\"x\"}", "error parsing kubernetes ca cert: data does not contain "
                                          "any valid RSA or ECDSA certificates"},
    };
    for (size_t i = 0; i < COUNT_OF(configs); i++) {
        m = method("kubernetes", str_from(configs[i].config));
        assert_string_equal(check(&m),
                            str_format(&arena, "Invalid Auth Method: %s", configs[i].wrong).data);
    }
    EVP_PKEY_free(key);
}

/* ---- lives of works ---- */

static void never(struct auth_work *w) {
    fail();
}

static void stop_soon(struct loop_timer *t) {
    loop_timer_close(t, NULL);
    uv_stop(&loop.uv);
}

static void start_and_cancel(struct message *message) {
    struct job *job = CONTAINER_OF(message, struct job, message);
    auth_work_cancel(auth_method_check(methods, job->method, never, NULL));
}

static bool is_asked(void) {
    pthread_mutex_lock(&fake.mutex);
    bool asked = fake.silent_count > 0;
    pthread_mutex_unlock(&fake.mutex);
    return asked;
}

/* The caller goes away while a provider does not answer: the work ends soon, and silently. */
static void test_cancel(void **state) {
    struct acl_auth_method m =
        method("jwt", str_format(&arena, "{\"JWKSURL\":\"%s\"}", url("/silent").data));
    struct job job = {{.run = start_and_cancel}, &m, STR_NONE, NULL, 1};
    struct loop_timer t;
    int64_t began = time_now_monotonic();
    loop_post_reply(&loop, &job.message);
    loop_timer_init(&loop, &t, stop_soon, NULL);
    loop_timer_set(&t, 50 * MILLISECOND);
    loop_run_here(&loop);
    auth_methods_stop(methods);
    assert_true(time_now_monotonic() - began < 5 * SECOND);
    /* What comes later is refused, and answered. */
    assert_string_equal(check(&m), "the server is stopping");
}

static void *stop_when_asked(void *unused) {
    for (int i = 0; i < 1000 && !is_asked(); i++)
        usleep(10000);
    auth_methods_stop(methods);
    return NULL;
}

static void test_stop(void **state) {
    struct acl_auth_method m =
        method("jwt", str_format(&arena, "{\"JWKSURL\":\"%s\"}", url("/silent").data));
    pthread_t stopper;
    int64_t began = time_now_monotonic();
    pthread_create(&stopper, NULL, stop_when_asked, NULL);
    assert_string_equal(check(&m),
                        "Invalid Auth Method: error checking JWKSURL: fetching keys oidc: get keys "
                        "failed context canceled");
    pthread_join(stopper, NULL);
    assert_true(time_now_monotonic() - began < AUTH_EXCHANGE_TIME);
}

struct crowd {
    struct message message;
    const struct acl_auth_method *method;
    unsigned left, refused;
};

static void crowd_done(struct auth_work *w) {
    struct crowd *c = w->owner;
    c->refused += error_is_set(&w->error) && str_is(w->error.text, "too many logins at a time");
    auth_work_free(w);
    if (--c->left == 0)
        uv_stop(&loop.uv);
    if (c->refused == 44 && c->left == AUTH_THREADS + AUTH_WAITING_MAX)
        auth_methods_stop(methods); /* the others would wait for ten seconds */
}

static void crowd_start(struct message *message) {
    struct crowd *c = CONTAINER_OF(message, struct crowd, message);
    /* Threads that are taken first, each by a provider that does not answer. */
    for (unsigned i = 0; i < AUTH_THREADS; i++)
        auth_method_check(methods, c->method, crowd_done, c);
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&fake.mutex);
        bool all = fake.silent_count >= AUTH_THREADS;
        pthread_mutex_unlock(&fake.mutex);
        if (all)
            break;
        usleep(10000);
    }
    for (unsigned i = AUTH_THREADS; i < c->left; i++)
        auth_method_check(methods, c->method, crowd_done, c);
}

static void test_too_many(void **state) {
    struct acl_auth_method m =
        method("jwt", str_format(&arena, "{\"JWKSURL\":\"%s\"}", url("/silent").data));
    struct crowd c = {{.run = crowd_start}, &m, AUTH_THREADS + AUTH_WAITING_MAX + 44, 0};
    loop_post_reply(&loop, &c.message);
    loop_run_here(&loop);
    assert_int_equal(c.refused, 44);
    assert_int_equal(c.left, 0);
}

/* Many logins at once share what was fetched. */
struct logins {
    struct message message;
    const struct acl_auth_method *method;
    struct str bearer;
    unsigned left, good;
};

static void logged_in(struct auth_work *w) {
    struct logins *l = w->owner;
    l->good += !error_is_set(&w->error);
    auth_work_free(w);
    if (--l->left == 0)
        uv_stop(&loop.uv);
}

static void log_in(struct message *message) {
    struct logins *l = CONTAINER_OF(message, struct logins, message);
    for (unsigned i = l->left; i > 0; i--)
        auth_login_verify(methods, l->method, l->bearer, logged_in, l);
}

static void test_many(void **state) {
    EVP_PKEY *a = signing_rsa();
    struct acl_auth_method m =
        method("jwt", str_format(&arena, "{\"JWKSURL\":\"%s\"}", url("/keys").data));
    serve_keys(JSON_TYPE, a, "a");
    struct str bearer = token(a, "a", "");
    assert_string_equal(login(&m, bearer), "");
    struct logins l = {{.run = log_in}, &m, bearer, 200, 0};
    loop_post_reply(&loop, &l.message);
    loop_run_here(&loop);
    assert_int_equal(l.good, 200);
    assert_int_equal(fake_http_count(&fake, "/keys"), 1);
    EVP_PKEY_free(a);
}

static void test_types(void **state) {
    assert_true(auth_method_type_known(STR("jwt")) && auth_method_type_known(STR("kubernetes")));
    assert_false(auth_method_type_known(STR("oidc")) || auth_method_type_known(STR("JWT")));
    struct acl_auth_method m = method("oidc", STR("{}"));
    assert_string_equal(check(&m), "Invalid Auth Method: Type should be one of: [jwt kubernetes]");
    assert_string_equal(login(&m, STR("x")),
                        "no auth method validator found for auth method type \"oidc\"");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_public_keys), TEST(test_refused_configs),
        TEST(test_key_set),     TEST(test_fetches_bounded),
        TEST(test_redirects),   TEST(test_discovery),
        TEST(test_kubernetes),  TEST(test_kubernetes_refusals),
        TEST(test_cancel),      TEST(test_stop),
        TEST(test_too_many),    TEST(test_many),
        TEST(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tls.c, tls_session.c, tls_verify.c: handshakes between two sessions in memory, with certificates
 * that have whatever is wrong with them, against what the peer makes of each (tls.md 3, 5, 11).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../certificates.h"
#include "base/mem.h"
#include "net/tls.h"

static struct arena arena;
static struct certificate ca, other_ca, middle;

static int setup(void **state) {
    ca = certificate_make(&arena, &(struct certificate_wish){.name = "CA", .authority = true});
    other_ca =
        certificate_make(&arena, &(struct certificate_wish){.name = "Other", .authority = true});
    middle = certificate_make(
        &arena, &(struct certificate_wish){.name = "Middle", .authority = true, .issuer = &ca});
    return 0;
}

static int teardown(void **state) {
    certificate_free(&ca);
    certificate_free(&other_ca);
    certificate_free(&middle);
    arena_free(&arena);
    return 0;
}

static struct tls_config *config_of(const struct str *authorities, size_t count,
                                    const struct certificate *own, enum tls_version least) {
    struct error e = ERROR_IN(&arena);
    struct tls_options o = {.authorities = {authorities, count}, .least = least};
    if (own != NULL) {
        o.certificate = own->pem;
        o.key = own->key;
    }
    struct tls_config *c = tls_config_new(&o, &e);
    if (c == NULL)
        fail_msg("%.*s", STR_ARG(e.text));
    return c;
}

/* ---- two ends ---- */

struct ends {
    struct tls_session *client, *server;
    char client_error[512], server_error[512]; /* "": none */
    bool client_done, server_done;             /* a byte of the other's came through */
};

/* What one has to say reaches the other. True: something moved. */
static bool carry(struct tls_session *from, struct tls_session *to, char error[512], bool *done) {
    struct buf *out = tls_output(from);
    struct buf bytes = *out;
    *out = BUF_INIT;
    bool moved = bytes.len > 0;
    char plain[1000];
    size_t len;
    enum tls_result r = TLS_OK;
    tls_feed(to, buf_str(&bytes));
    while (r == TLS_OK) {
        r = tls_read(to, plain, sizeof plain, &len);
        *done |= r == TLS_OK;
    }
    if (r == TLS_FAILED)
        snprintf(error, 512, "%s", tls_error(to));
    tls_take_input(to);
    buf_free(&bytes);
    return moved;
}

static void say_hello(struct tls_session *s, bool *said) {
    size_t taken;
    if (!*said && tls_is_established(s))
        *said = tls_write(s, "x", 1, &taken) == TLS_OK;
}

static void converse(struct ends *e) {
    bool client_said = false, server_said = false, moved = true;
    size_t len;
    char none[1];
    tls_read(e->client, none, 1, &len); /* it begins */
    while (moved) {
        moved = carry(e->client, e->server, e->server_error, &e->server_done);
        say_hello(e->server, &server_said);
        moved |= carry(e->server, e->client, e->client_error, &e->client_done);
        say_hello(e->client, &client_said);
        moved |= tls_output(e->client)->len > 0;
    }
}

static struct ends meet(struct tls_config *client, enum tls_role client_role, const char *name,
                        struct tls_config *server, enum tls_role server_role) {
    struct ends e = {
        .client = tls_session_new(client, client_role, name != NULL ? str_from(name) : STR_NONE),
        .server = tls_session_new(server, server_role, STR_NONE)};
    converse(&e);
    return e;
}

static void part(struct ends *e) {
    tls_session_free(e->client);
    tls_session_free(e->server);
}

#define SERVER_NAME "server.dc1.consul"

/* Nothing wrong: bytes both ways. */
static void expect_ends(struct ends e, const char *client_error, const char *server_error) {
    assert_string_equal(e.client_error, client_error);
    assert_string_equal(e.server_error, server_error);
    bool good = client_error[0] == '\0' && server_error[0] == '\0';
    assert_int_equal(e.server_done, good);
    if (good)
        assert_true(e.client_done);
    part(&e);
}

/* ---- servers ---- */

static void check_server(const struct certificate_wish *wish, const char *name, const char *error) {
    struct certificate own = certificate_make(&arena, wish);
    struct tls_config *server = config_of(NULL, 0, &own, TLS_1_2);
    struct tls_config *client = config_of(&ca.pem, 1, NULL, TLS_1_2);
    struct ends e = meet(client, TLS_CLIENT, name, server, TLS_SERVER);
    if (strstr(error, "...") != NULL) {
        assert_true(strncmp(e.client_error, error, (size_t)(strstr(error, "...") - error)) == 0);
    } else {
        assert_string_equal(e.client_error, error);
    }
    assert_int_equal(e.client_done, error[0] == '\0');
    if (error[0] != '\0')
        assert_true(strstr(e.server_error, "remote error: tls: ") != NULL);
    part(&e);
    tls_config_release(server);
    tls_config_release(client);
    certificate_free(&own);
}

static void test_servers(void **state) {
    const struct {
        struct certificate_wish wish;
        const char *name, *error;
    } cases[] = {
        {{.names = "DNS:" SERVER_NAME, .uses = "serverAuth,clientAuth"}, NULL, ""},
        {{.names = "DNS:" SERVER_NAME, .uses = "serverAuth"}, SERVER_NAME, ""},
        {{.names = "DNS:" SERVER_NAME, .rsa = true}, SERVER_NAME, ""},
        {{.names = "DNS:SERVER.dc1.Consul"}, SERVER_NAME, ""},
        {{.names = "DNS:a,DNS:*.dc1.consul"}, SERVER_NAME, ""},
        {{.names = "DNS:" SERVER_NAME, .uses = "anyExtendedKeyUsage"}, SERVER_NAME, ""},
        {{.names = "DNS:foo.dc1.consul,DNS:b"},
         SERVER_NAME,
         "x509: certificate is valid for foo.dc1.consul, b, not " SERVER_NAME},
        {{.names = "DNS:*.consul"},
         SERVER_NAME,
         "x509: certificate is valid for *.consul, not " SERVER_NAME},
        {{.names = "DNS:foo.dc1.consul"}, NULL, ""},
        {{0}, NULL, ""},
        {{0},
         SERVER_NAME,
         "x509: certificate relies on legacy Common Name field, use SANs or temporarily enable "
         "Common Name matching with GODEBUG=x509ignoreCN=0"},
        {{.uses = "clientAuth"}, NULL, "x509: certificate specifies an incompatible key usage"},
        {{.from = -10, .to = -1},
         NULL,
         "x509: certificate has expired or is not yet valid: current time ..."},
        {{.from = 2, .to = 9},
         NULL,
         "x509: certificate has expired or is not yet valid: current time ..."},
        {{.issuer = &other_ca}, NULL, "x509: certificate signed by unknown authority"},
        {{.issuer = &middle}, NULL, "x509: certificate signed by unknown authority"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct certificate_wish wish = cases[i].wish;
        wish.name = SERVER_NAME; /* which is never looked at */
        if (wish.issuer == NULL)
            wish.issuer = &ca;
        check_server(&wish, cases[i].name, cases[i].error);
    }
}

static void test_blind_client(void **state) {
    struct certificate own =
        certificate_make(&arena, &(struct certificate_wish){.name = "x", .issuer = &other_ca});
    struct tls_config *server = config_of(NULL, 0, &own, TLS_1_2);
    struct tls_config *client = config_of(NULL, 0, NULL, TLS_1_2);
    expect_ends(meet(client, TLS_CLIENT_BLIND, NULL, server, TLS_SERVER), "", "");
    tls_config_release(server);
    tls_config_release(client);
    certificate_free(&own);
}

/* Anchors may be what they are: an authority in the middle, or the certificate itself. */
static void test_anchors(void **state) {
    struct certificate own =
        certificate_make(&arena, &(struct certificate_wish){.name = "x", .issuer = &middle});
    struct certificate with_chain = own;
    with_chain.pem = str_format(&arena, STR_FMT STR_FMT, STR_ARG(own.pem), STR_ARG(middle.pem));
    const struct {
        const struct certificate *own;
        struct str anchor;
        const char *error;
    } cases[] = {
        {&own, middle.pem, ""},
        {&own, own.pem, ""},
        {&with_chain, ca.pem, ""},
        {&own, ca.pem, "x509: certificate signed by unknown authority"},
        {&own, other_ca.pem, "x509: certificate signed by unknown authority"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tls_config *server = config_of(NULL, 0, cases[i].own, TLS_1_2);
        struct tls_config *client = config_of(&cases[i].anchor, 1, NULL, TLS_1_2);
        struct ends e = meet(client, TLS_CLIENT, NULL, server, TLS_SERVER);
        assert_string_equal(e.client_error, cases[i].error);
        part(&e);
        tls_config_release(server);
        tls_config_release(client);
    }
    certificate_free(&own);
}

/* ---- clients ---- */

#define NOT_VERIFIED "tls: failed to verify client certificate: x509: certificate "

static void test_clients(void **state) {
    static const char bad[] = "remote error: tls: bad certificate";
    const struct {
        struct certificate_wish wish;
        const char *error;
        bool none;
    } cases[] = {
        {.none = true, .error = "tls: client didn't provide a certificate"},
        {{.uses = "clientAuth"}, ""},
        {{.uses = "clientAuth", .rsa = true}, ""},
        {{0}, ""},
        {{.names = "DNS:anything"}, ""},
        {{.uses = "serverAuth"}, NOT_VERIFIED "specifies an incompatible key usage"},
        {{.issuer = &other_ca}, NOT_VERIFIED "signed by unknown authority"},
        {{.issuer = &middle}, NOT_VERIFIED "signed by unknown authority"},
        {{.from = -10, .to = -1}, NOT_VERIFIED "has expired or is not yet valid: current time "},
        {{.from = 2, .to = 9}, NOT_VERIFIED "has expired or is not yet valid: current time "},
    };
    struct certificate server_own =
        certificate_make(&arena, &(struct certificate_wish){.name = "s", .issuer = &ca});
    for (size_t i = 0; i < COUNT_OF(cases) * 2; i++) {
        struct certificate_wish wish = cases[i / 2].wish;
        wish.name = "client";
        if (wish.issuer == NULL)
            wish.issuer = &ca;
        struct certificate own = certificate_make(&arena, &wish);
        struct tls_config *server =
            config_of(&ca.pem, 1, &server_own, i % 2 == 0 ? TLS_1_2 : TLS_1_3);
        struct tls_config *client = config_of(&ca.pem, 1, cases[i / 2].none ? NULL : &own, TLS_1_2);
        struct ends e = meet(client, TLS_CLIENT, NULL, server, TLS_SERVER_VERIFY);
        const char *error = cases[i / 2].error;
        assert_true(strncmp(e.server_error, error, strlen(error)) == 0);
        assert_int_equal(e.server_done, error[0] == '\0');
        if (error[0] != '\0' && !cases[i / 2].none)
            assert_string_equal(e.client_error, bad);
        else if (error[0] != '\0')
            assert_true(strstr(e.client_error, "remote error: tls: ") != NULL);
        part(&e);
        /* Who is not asked is not verified. */
        e = meet(client, TLS_CLIENT, NULL, server, TLS_SERVER);
        expect_ends(e, "", "");
        tls_config_release(server);
        tls_config_release(client);
        certificate_free(&own);
    }
    certificate_free(&server_own);
}

/* ---- versions, suites, protocols ---- */

static void test_versions(void **state) {
    struct certificate own =
        certificate_make(&arena, &(struct certificate_wish){.name = "s", .issuer = &ca});
    struct error e = ERROR_IN(&arena);
    struct str suite = STR("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"); /* the key is no RSA key */
    struct tls_options options = {.certificate = own.pem,
                                  .key = own.key,
                                  .least = TLS_1_2,
                                  .suites = &suite,
                                  .suite_count = 1};
    struct tls_config *server = tls_config_new(&options, &e);
    struct tls_config *any = config_of(&ca.pem, 1, NULL, TLS_1_2);
    expect_ends(meet(any, TLS_CLIENT, NULL, server, TLS_SERVER), "", ""); /* by 1.3 */
    tls_config_release(server);
    tls_config_release(any);
    certificate_free(&own);
}

static void test_no_tls(void **state) {
    struct certificate own =
        certificate_make(&arena, &(struct certificate_wish){.name = "s", .issuer = &ca});
    struct tls_config *server = config_of(NULL, 0, &own, TLS_1_2);
    const char *texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "hello, this is no TLS at all",
                           "\x04\x00\x00\x00\x00\x00\x00\x00\x00"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct tls_session *s = tls_session_new(server, TLS_SERVER, STR_NONE);
        char out[10];
        size_t len;
        struct str bytes = i == 2 ? str_of(texts[i], 9) : str_from(texts[i]);
        tls_feed(s, bytes);
        assert_int_equal(tls_read(s, out, sizeof out, &len), TLS_FAILED);
        assert_string_equal(tls_error(s), "tls: first record does not look like a TLS handshake");
        assert_int_equal(tls_read(s, out, sizeof out, &len), TLS_FAILED);
        tls_session_free(s);
    }
    tls_config_release(server);
    certificate_free(&own);
}

static void test_no_certificate(void **state) {
    struct tls_config *server = config_of(NULL, 0, NULL, TLS_1_2);
    struct tls_config *client = config_of(NULL, 0, NULL, TLS_1_2);
    expect_ends(meet(client, TLS_CLIENT_BLIND, NULL, server, TLS_SERVER),
                "remote error: tls: unrecognized name", "tls: no certificates configured");
    tls_config_release(server);
    tls_config_release(client);
}

/* ---- what cannot be loaded ---- */

static void test_loading(void **state) {
    struct certificate own =
        certificate_make(&arena, &(struct certificate_wish){.name = "s", .issuer = &ca});
    struct str junk = STR("not PEM at all\n");
    const struct {
        struct str certificate, key, authority;
        const char *error;
    } cases[] = {
        {junk, own.key, STR_NONE, "tls: failed to find any PEM data in certificate input"},
        {own.pem, junk, STR_NONE, "tls: failed to find any PEM data in key input"},
        {own.key, own.pem, STR_NONE,
         "tls: failed to find certificate PEM data in certificate input, but did find a private "
         "key; PEM inputs may have been switched"},
        {own.pem, own.pem, STR_NONE,
         "tls: found a certificate rather than a key in the PEM for the private key"},
        {own.pem, ca.key, STR_NONE, "tls: private key does not match public key"},
        {STR_NONE, STR_NONE, own.key, "Couldn't parse PEM"},
        {STR_NONE, STR_NONE, junk, "Couldn't parse PEM not PEM at all\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error e = ERROR_IN(&arena);
        struct tls_options o = {.certificate = cases[i].certificate, .key = cases[i].key};
        if (cases[i].authority.data != NULL)
            o.authorities = (struct tls_pems){&cases[i].authority, 1};
        assert_null(tls_config_new(&o, &e));
        assert_string_equal(str_terminated(&arena, e.text), cases[i].error);
    }
    certificate_free(&own);
}

/* ---- identities ---- */

struct wanted {
    const char *uri; /* NULL: none */
    unsigned asked;
};

static bool is_wanted(void *owner, struct str uri, struct buf *why) {
    struct wanted *w = owner;
    w->asked++;
    if (w->uri != NULL ? str_is(uri, w->uri) : uri.data == NULL)
        return true;
    buf_add_format(why, "not " STR_FMT, STR_ARG(uri));
    return false;
}

static struct ends meet_wanted(const struct certificate *own, enum tls_version least,
                               struct wanted *by_client, struct wanted *by_server) {
    struct tls_config *c = config_of(&ca.pem, 1, own, least);
    struct ends e = {.client = tls_session_new(c, TLS_CLIENT, STR_NONE),
                     .server = tls_session_new(c, TLS_SERVER_VERIFY, STR_NONE)};
    bool client_said = false, server_said = false, moved = true;
    size_t len;
    char none[1];
    tls_require(e.client, is_wanted, by_client);
    if (by_server != NULL)
        tls_require(e.server, is_wanted, by_server);
    tls_read(e.client, none, 1, &len);
    while (moved) {
        moved = carry(e.client, e.server, e.server_error, &e.server_done);
        say_hello(e.server, &server_said);
        moved |= carry(e.server, e.client, e.client_error, &e.client_done);
        say_hello(e.client, &client_said);
        moved |= tls_output(e.client)->len > 0;
    }
    tls_config_release(c);
    return e;
}

/* The first URI of a good certificate counts, and only when the certificate is good. */
static void test_identities(void **state) {
    struct certificate db = certificate_make(
        &arena, &(struct certificate_wish){.name = "db",
                                           .issuer = &ca,
                                           .uses = "serverAuth,clientAuth",
                                           .names = "DNS:db,URI:spiffe://x/db,URI:spiffe://x/web"});
    struct certificate none = certificate_make(
        &arena,
        &(struct certificate_wish){.name = "none", .issuer = &ca, .uses = "serverAuth,clientAuth"});
    struct certificate stranger =
        certificate_make(&arena, &(struct certificate_wish){.name = "db",
                                                            .issuer = &other_ca,
                                                            .uses = "serverAuth,clientAuth",
                                                            .names = "URI:spiffe://x/db"});
    struct wanted right = {"spiffe://x/db", 0}, second = {"spiffe://x/web", 0}, nobody = {NULL, 0};
    struct ends e = meet_wanted(&db, TLS_1_2, &right, &right);
    struct str uri, serial;
    tls_peer_identity(e.server, &uri, &serial, &arena);
    assert_true(str_is(uri, "spiffe://x/db"));
    assert_true(serial.len == 2 || (serial.len > 2 && serial.data[2] == ':'));
    expect_ends(e, "", "");
    assert_int_equal(right.asked, 2);
    expect_ends(meet_wanted(&db, TLS_1_2, &second, NULL), "not spiffe://x/db",
                "remote error: tls: bad certificate");
    e = meet_wanted(&db, TLS_1_3, &right, &second);
    assert_string_equal(e.client_error, "remote error: tls: bad certificate");
    assert_string_equal(e.server_error, "not spiffe://x/db");
    assert_false(e.server_done);
    part(&e);
    expect_ends(meet_wanted(&none, TLS_1_2, &nobody, &nobody), "", "");
    right.asked = 0;
    e = meet_wanted(&stranger, TLS_1_2, &right, &right);
    assert_true(strncmp(e.client_error, "x509: certificate signed by unknown authority", 45) == 0);
    assert_int_equal(right.asked, 0);
    part(&e);
    certificate_free(&db);
    certificate_free(&none);
    certificate_free(&stranger);
}

/* ---- protocols ---- */

static void check_protocols(const char *client, const char *server, const char *agreed) {
    struct certificate own =
        certificate_make(&arena, &(struct certificate_wish){.name = SERVER_NAME, .issuer = &ca});
    struct tls_config *s = config_of(NULL, 0, &own, TLS_1_2),
                      *c = config_of(&ca.pem, 1, NULL, TLS_1_2);
    struct ends e = {.client = tls_session_new(c, TLS_CLIENT, STR_NONE),
                     .server = tls_session_new(s, TLS_SERVER, STR_NONE)};
    if (client != NULL)
        tls_propose(e.client, str_from(client));
    if (server != NULL)
        tls_offer(e.server, str_from(server));
    converse(&e);
    struct str at_client = tls_protocol(e.client), at_server = tls_protocol(e.server);
    assert_true(agreed != NULL ? str_is(at_client, agreed) && str_is(at_server, agreed)
                               : at_client.data == NULL && at_server.data == NULL);
    expect_ends(e, "", "");
    tls_config_release(s);
    tls_config_release(c);
    certificate_free(&own);
}

/* Without one in common they go on without. */
static void test_protocols(void **state) {
    check_protocols("\x02h2", "\x02h2\x08http/1.1", "h2");
    check_protocols("\x08http/1.1\x02h2", "\x02h2\x08http/1.1", "h2");
    check_protocols("\x08http/1.1", "\x02h2", NULL);
    check_protocols("\x02h2", NULL, NULL);
    check_protocols(NULL, "\x02h2", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols),      cmocka_unit_test(test_servers),
        cmocka_unit_test(test_blind_client),   cmocka_unit_test(test_identities),
        cmocka_unit_test(test_anchors),        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_versions),       cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_no_certificate), cmocka_unit_test(test_loading),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

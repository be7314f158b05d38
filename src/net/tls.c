/* What is configured: contexts of OpenSSL, one for each role. See tls.h; connections are
 * tls_session.c's, who is believed tls_verify.c's.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "codec/trust.h"
#include "net/tls_room.h"

/* ---- suites (tls.md 9) ---- */

/* The peer's list for up to 1.2, in its order, and the two that must be asked for by name. */
static const struct suite {
    const char *name, *openssl;
    bool usual;
} suites[] = {
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", true},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", true},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", true},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", true},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", true},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305", true},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA", true},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA", true},
    {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA", true},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA", true},
    {NULL, "AES128-GCM-SHA256", true},
    {NULL, "AES256-GCM-SHA384", true},
    {NULL, "AES128-SHA", true},
    {NULL, "AES256-SHA", true},
    {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256", false},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256", false},
};

static const char *suite_of(struct str name) {
    for (size_t i = 0; i < COUNT_OF(suites); i++) {
        if (suites[i].name != NULL && str_is(name, suites[i].name))
            return suites[i].openssl;
    }
    return NULL;
}

static bool suites_add(struct buf *list, const char *suite) {
    if (suite == NULL)
        return false;
    if (list->len > 0)
        buf_add_char(list, ':');
    buf_add_text(list, suite);
    return true;
}

static void suites_choose(struct tls_config *c, const struct tls_options *o) {
    for (size_t i = 0; i < o->suite_count; i++)
        suites_add(&c->suites, suite_of(o->suites[i]));
    for (size_t i = 0; o->suite_count == 0 && i < COUNT_OF(suites); i++) {
        if (suites[i].usual)
            suites_add(&c->suites, suites[i].openssl);
    }
    buf_add_char(&c->suites, '\0');
}

/* What is strong enough is said by version and suites, as the peer does; certificates of any
 * strength are taken. */
static void strength_set(const struct tls_config *c, SSL_CTX *ctx) {
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, c->least);
    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_cipher_list(ctx, c->suites.data);
    SSL_CTX_set_ciphersuites(
        ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384");
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384:P-521");
}

/* ---- certificates ---- */

static bool has_block(struct str pem, const char *type) {
    return str_find(pem, str_from(type), 0) >= 0;
}

#define SHOWN_MAX 200 /* bytes of a file that is no certificate */

/* The peer shows the whole content. What may be a key is not shown. */
static bool couldnt_parse(struct str pem, struct error *e) {
    if (has_block(pem, "PRIVATE KEY"))
        return error_set(e, ERROR_INTERNAL, "Couldn't parse PEM");
    struct str shown = str_sub(pem, 0, pem.len < SHOWN_MAX ? pem.len : SHOWN_MAX);
    return error_set(e, ERROR_INTERNAL, "Couldn't parse PEM " STR_FMT, STR_ARG(shown));
}

/* Made when it is first wanted: a configuration without certificates needs nothing of OpenSSL,
 * which then stays out of the process (tools/lazy_link.py). */
static X509_STORE *anchors_of(struct tls_config *c) {
    if (c->anchors == NULL)
        c->anchors = X509_STORE_new();
    return c->anchors;
}

/* All certificates of a text are anchors; what else it holds is skipped (tls.md 2). */
static bool authorities_add(struct tls_config *c, struct str pem, struct error *e) {
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    size_t count = 0;
    for (X509 *x; (x = trust_next(bio)) != NULL; count++) {
        X509_STORE_add_cert(anchors_of(c), x);
        X509_free(x);
    }
    BIO_free(bio);
    c->anchor_count += count;
    return count > 0 || couldnt_parse(pem, e);
}

static bool pair_load(struct tls_config *c, const struct tls_options *o, struct error *e) {
    if (o->certificate.data == NULL || o->key.data == NULL)
        return true;
    struct trust_pair pair;
    if (!trust_read_pair(o->certificate, o->key, &pair, e))
        return false;
    c->leaf = pair.leaf;
    c->chain = pair.chain;
    c->key = pair.key;
    return true;
}

/* ---- contexts ---- */

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *owner) {
    (void)owner;
    struct str offer = tls_session_of(ssl)->offer;
    unsigned char *chosen = NULL;
    int got = OPENSSL_NPN_NO_OVERLAP;
    if (offer.len > 0)
        got = SSL_select_next_proto(&chosen, out_len, (const unsigned char *)offer.data,
                                    (unsigned)offer.len, in, in_len);
    *out = chosen;
    return got == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* Without a certificate every hello is refused with the peer's alert (tls.md 3). */
static int refuse_hello(SSL *ssl, int *alert, void *owner) {
    (void)owner;
    struct tls_session *s = tls_session_of(ssl);
    snprintf(s->error, sizeof s->error, "tls: no certificates configured");
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
}

/* Asks for a certificate, and names whom it may come from. */
static void ask_for_certificate(struct tls_config *c, SSL_CTX *ctx) {
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(c->anchors);
    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (x != NULL)
            sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(x)));
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, tls_verify_client, c);
}

static void use_pair(const struct tls_config *c, SSL_CTX *ctx) {
    if (c->leaf == NULL)
        return;
    SSL_CTX_use_certificate(ctx, c->leaf);
    SSL_CTX_set1_chain(ctx, c->chain);
    SSL_CTX_use_PrivateKey(ctx, c->key);
}

static SSL_CTX *context_new(struct tls_config *c, enum tls_role role) {
    bool server = role == TLS_SERVER || role == TLS_SERVER_VERIFY;
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    strength_set(c, ctx);
    uint64_t options = SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                       SSL_OP_IGNORE_UNEXPECTED_EOF;
    if (c->options.prefer_server_suites)
        options |= SSL_OP_CIPHER_SERVER_PREFERENCE;
    SSL_CTX_set_options(ctx, options);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* never resumed (tls.md 9) */
    SSL_CTX_set1_verify_cert_store(ctx, anchors_of(c));
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    use_pair(c, ctx);
    if (role == TLS_SERVER_VERIFY)
        ask_for_certificate(c, ctx);
    if (role == TLS_CLIENT) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ctx, tls_verify_server, c);
    }
    if (server)
        SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    if (server && c->leaf == NULL)
        SSL_CTX_set_client_hello_cb(ctx, refuse_hello, NULL);
    return ctx;
}

SSL_CTX *tls_config_context(struct tls_config *c, enum tls_role role) {
    pthread_mutex_lock(&c->mutex);
    if (c->contexts[role] == NULL)
        c->contexts[role] = context_new(c, role);
    SSL_CTX *ctx = c->contexts[role];
    pthread_mutex_unlock(&c->mutex);
    return ctx;
}

void tls_config_dress(const struct tls_config *c, SSL_CTX *ctx) {
    strength_set(c, ctx);
    use_pair(c, ctx);
    if (c->anchor_count > 0)
        SSL_CTX_set1_verify_cert_store(ctx, c->anchors);
}

static struct str *copy_texts(struct arena *arena, const struct str *texts, size_t count) {
    struct str *copy = ARENA_ARRAY(arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++)
        copy[i] = str_copy(arena, texts[i]);
    return copy;
}

static void options_keep(struct tls_config *c, const struct tls_options *o) {
    c->options = *o;
    c->options.authorities.texts = copy_texts(&c->arena, o->authorities.texts, o->authorities.len);
    c->options.certificate = str_copy(&c->arena, o->certificate);
    c->options.key = str_copy(&c->arena, o->key);
    if (o->suites != NULL)
        c->options.suites = copy_texts(&c->arena, o->suites, o->suite_count);
}

struct tls_config *tls_config_new(const struct tls_options *o, struct error *e) {
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_config *c = MEM_NEW(struct tls_config);
    atomic_init(&c->references, 1);
    pthread_mutex_init(&c->mutex, NULL);
    options_keep(c, o);
    c->least = versions[o->least];
    suites_choose(c, o);
    bool ok = pair_load(c, o, e);
    for (size_t i = 0; ok && i < o->authorities.len; i++)
        ok = authorities_add(c, o->authorities.texts[i], e);
    if (!ok) {
        tls_config_release(c);
        return NULL;
    }
    return c;
}

struct tls_config *tls_config_hold(struct tls_config *c) {
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

/* Whoever made a context made the anchors before. */
static void contexts_free(struct tls_config *c) {
    for (int role = 0; role < TLS_ROLES; role++)
        SSL_CTX_free(c->contexts[role]);
    X509_STORE_free(c->anchors);
}

static void pair_free(struct tls_config *c) {
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
}

void tls_config_release(struct tls_config *c) {
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    if (c->anchors != NULL)
        contexts_free(c);
    if (c->leaf != NULL)
        pair_free(c);
    pthread_mutex_destroy(&c->mutex);
    buf_free(&c->suites);
    if (c->options.key.len > 0)
        explicit_bzero((char *)(uintptr_t)c->options.key.data, c->options.key.len);
    arena_free(&c->arena);
    mem_free(c);
}

const struct tls_options *tls_config_options(const struct tls_config *c) {
    return &c->options;
}

bool tls_config_has_certificate(const struct tls_config *c) {
    return c->leaf != NULL;
}

bool tls_config_has_authorities(const struct tls_config *c) {
    return c->anchor_count > 0;
}

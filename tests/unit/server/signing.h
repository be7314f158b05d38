/* Keys made in the test, and the tokens that they sign. */
#ifndef TESTS_UNIT_SERVER_SIGNING_H
#define TESTS_UNIT_SERVER_SIGNING_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/arena.h"
#include "base/buf.h"

static inline EVP_PKEY *signing_rsa(void) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
}
static inline EVP_PKEY *signing_ec(const char *curve) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
}
static inline EVP_PKEY *signing_ed25519(void) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static inline struct str signing_pem(EVP_PKEY *key, struct arena *arena) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    PEM_write_bio_PUBKEY(bio, key);
    long len = BIO_get_mem_data(bio, &data);
    struct str pem = str_copy(arena, str_of(data, (size_t)len));
    BIO_free(bio);
    return pem;
}

static inline struct str b64url(struct arena *arena, struct str bytes) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct buf out = BUF_INIT;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (uint8_t)bytes.data[i];
        for (have += 8; have >= 6; have -= 6)
            buf_add_char(&out, letters[bits >> (have - 6) & 63]);
    }
    if (have > 0)
        buf_add_char(&out, letters[bits << (6 - have) & 63]);
    struct str text = out.len > 0 ? str_copy(arena, buf_str(&out)) : STR("");
    buf_free(&out);
    return text;
}

/* One parameter of a public key, in base64url. */
static inline struct str signing_number(EVP_PKEY *key, const char *name, int size,
                                        struct arena *arena) {
    BIGNUM *n = NULL;
    uint8_t bytes[512];
    EVP_PKEY_get_bn_param(key, name, &n);
    size = size > 0 ? size : BN_num_bytes(n);
    BN_bn2binpad(n, bytes, size);
    BN_free(n);
    return b64url(arena, str_of(bytes, (size_t)size));
}

static inline struct str signing_jwk(EVP_PKEY *key, const char *kid, struct arena *arena) {
    int type = EVP_PKEY_get_base_id(key);
    if (type == EVP_PKEY_RSA)
        return str_format(arena, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"}", kid,
                          signing_number(key, OSSL_PKEY_PARAM_RSA_N, 0, arena).data,
                          signing_number(key, OSSL_PKEY_PARAM_RSA_E, 0, arena).data);
    if (type == EVP_PKEY_EC)
        return str_format(
            arena, "{\"kty\":\"EC\",\"kid\":\"%s\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
            kid, signing_number(key, OSSL_PKEY_PARAM_EC_PUB_X, 32, arena).data,
            signing_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32, arena).data);
    uint8_t x[32];
    size_t len = sizeof(x);
    EVP_PKEY_get_raw_public_key(key, x, &len);
    return str_format(arena, "{\"kty\":\"OKP\",\"kid\":\"%s\",\"crv\":\"Ed25519\",\"x\":\"%s\"}",
                      kid, b64url(arena, str_of(x, len)).data);
}

/* An ECDSA signature's two numbers side by side. */
static inline struct str signing_fixed(const uint8_t *der, size_t len, int size,
                                       struct arena *arena) {
    ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)len);
    uint8_t *both = arena_alloc(arena, (size_t)size * 2);
    BN_bn2binpad(ECDSA_SIG_get0_r(s), both, size);
    BN_bn2binpad(ECDSA_SIG_get0_s(s), both + size, size);
    ECDSA_SIG_free(s);
    return str_of(both, (size_t)size * 2);
}

static inline struct str signing_sign(EVP_PKEY *key, const char *alg, struct str text,
                                      struct arena *arena) {
    if (strcmp(alg, "none") == 0)
        return STR("");
    const char *digest = strcmp(alg, "EdDSA") == 0     ? NULL
                         : strcmp(alg + 2, "256") == 0 ? "SHA256"
                         : strcmp(alg + 2, "384") == 0 ? "SHA384"
                                                       : "SHA512";
    uint8_t out[1024];
    size_t len = sizeof(out);
    if (alg[0] == 'H') { /* the public key as a secret */
        struct str pem = signing_pem(key, arena);
        EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, pem.data, pem.len, (const uint8_t *)text.data,
                  text.len, out, sizeof(out), &len);
        return str_copy(arena, str_of(out, len));
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    EVP_DigestSignInit_ex(context, &options, digest, NULL, NULL, key, NULL);
    if (alg[0] == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
    }
    EVP_DigestSign(context, out, &len, (const uint8_t *)text.data, text.len);
    EVP_MD_CTX_free(context);
    if (alg[0] == 'E' && alg[1] == 'S')
        return signing_fixed(out, len,
                             strcmp(alg, "ES256") == 0   ? 32
                             : strcmp(alg, "ES384") == 0 ? 48
                                                         : 66,
                             arena);
    return str_copy(arena, str_of(out, len));
}

/* header: what stands behind the algorithm (",\"kid\":\"a\""), or "". */
static inline struct str signing_token(EVP_PKEY *key, const char *alg, const char *header,
                                       const char *claims, struct arena *arena) {
    struct str head = str_format(arena, "{\"alg\":\"%s\"%s}", alg, header);
    struct str text =
        str_format(arena, "%s.%s", b64url(arena, head).data, b64url(arena, str_from(claims)).data);
    struct str signature = b64url(arena, signing_sign(key, alg, text, arena));
    return str_format(arena, "%s.%s", text.data, signature.data);
}

#endif

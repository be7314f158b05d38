/* See ca_key.h. */
#include "server/ca_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

EVP_PKEY *ca_key_new(struct str type, int64_t bits, struct error *e) {
    EVP_PKEY *key = NULL;
    if (str_is(type, "ec") && (bits == 224 || bits == 256 || bits == 384 || bits == 521)) {
        char curve[8];
        snprintf(curve, sizeof(curve), "P-%d", (int)bits);
        key = EVP_EC_gen(curve);
    } else if (str_is(type, "rsa") && bits > 0 && bits <= 16384) {
        key = EVP_RSA_gen((unsigned)bits);
    } else {
        error_set(e, ERROR_INTERNAL, "unknown private key type requested: " STR_FMT, STR_ARG(type));
        return NULL;
    }
    if (key == NULL) {
        ERR_clear_error();
        error_set(e, ERROR_INTERNAL, "error generating private key");
    }
    return key;
}

static int no_password(char *out, int size, int writing, void *owner) {
    (void)out;
    (void)size;
    (void)writing;
    (void)owner;
    return -1;
}

/* Why a text gave no key; nothing of the key is told. */
static void tell_unreadable(struct str pem, struct error *e) {
    BIO *bio = BIO_new_mem_buf(pem.data, (int)(pem.len < INT_MAX ? pem.len : INT_MAX));
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long len = 0;
    if (PEM_read_bio(bio, &name, &header, &data, &len) != 1)
        error_set(e, ERROR_INTERNAL, "no PEM-encoded data found");
    else if (strcmp(name, "EC PRIVATE KEY") == 0)
        error_set(e, ERROR_INTERNAL, "x509: failed to parse EC private key");
    else if (strcmp(name, "RSA PRIVATE KEY") == 0 || strcmp(name, "PRIVATE KEY") == 0)
        error_set(e, ERROR_INTERNAL, "x509: failed to parse private key");
    else
        error_set(e, ERROR_INTERNAL, "unknown PEM block type for signing key: %s", name);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, len > 0 ? (size_t)len : 0);
    BIO_free(bio);
}

EVP_PKEY *ca_key_read(struct str pem, struct error *e) {
    BIO *bio = BIO_new_mem_buf(pem.data, (int)(pem.len < INT_MAX ? pem.len : INT_MAX));
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    if (key == NULL) {
        tell_unreadable(pem, e);
    }
    ERR_clear_error();
    return key;
}

struct str ca_key_pem(EVP_PKEY *key, struct arena *arena) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
    long len = BIO_get_mem_data(bio, &text);
    struct str out = str_copy(arena, str_of(text, len > 0 ? (size_t)len : 0));
    OPENSSL_cleanse(text, len > 0 ? (size_t)len : 0);
    BIO_free(bio);
    return out;
}

void ca_key_kind(const EVP_PKEY *key, struct str *type, int64_t *bits) {
    *type = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? STR("rsa") : STR("ec");
    *bits = EVP_PKEY_get_bits(key);
}

void ca_key_id(EVP_PKEY *key, uint8_t out[CA_KEY_ID_SIZE]) {
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    ASSERT(len > 0);
    SHA256(der, (size_t)len, out);
    OPENSSL_free(der);
}

struct str ca_hex(const void *bytes, size_t len, struct arena *arena) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;
    char *out = arena_alloc(arena, len * 3 + 1), *to = out;
    for (size_t i = 0; i < len; i++) {
        if (i > 0) {
            *to++ = ':';
        }
        *to++ = digits[in[i] >> 4];
        *to++ = digits[in[i] & 15];
    }
    *to = '\0';
    return str_of(out, (size_t)(to - out));
}

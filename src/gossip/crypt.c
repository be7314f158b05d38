/* AES-GCM through OpenSSL's EVP interface. */
#include "gossip/crypt.h"

#include <openssl/evp.h>

#include "base/mem.h"

static EVP_CIPHER_CTX *context_of(struct crypt *c) {
    if (c->context == NULL) {
        c->context = EVP_CIPHER_CTX_new();
        ASSERT(c->context != NULL);
    }
    return c->context;
}

void crypt_free(struct crypt *c) {
    EVP_CIPHER_CTX_free(c->context);
    c->context = NULL;
}

static const EVP_CIPHER *cipher_of(const struct gossip_key *key) {
    switch (key->len) {
    case 16:
        return EVP_aes_128_gcm();
    case 24:
        return EVP_aes_192_gcm();
    default:
        ASSERT(key->len == 32);
        return EVP_aes_256_gcm();
    }
}

static size_t padding(unsigned version, size_t len) {
    return version == 0 ? 16 - len % 16 : 0;
}

size_t crypt_size(unsigned version, size_t len) {
    return CRYPT_OVERHEAD + len + padding(version, len);
}

void crypt_seal(struct crypt *c, struct buf *out, unsigned version, const struct keyring *ring,
                const uint8_t nonce[CRYPT_NONCE], struct str plain, struct str aad) {
    ASSERT(ring->len > 0 && plain.len <= INT32_MAX && aad.len <= INT32_MAX);
    EVP_CIPHER_CTX *ctx = context_of(c);
    const struct gossip_key *key = &ring->keys[0];
    size_t start = out->len, pad = padding(version, plain.len);
    buf_add_char(out, (char)version);
    buf_add(out, nonce, CRYPT_NONCE);
    uint8_t *to = (uint8_t *)buf_reserve(out, plain.len + pad + CRYPT_TAG);
    uint8_t padding_bytes[16];
    memset(padding_bytes, (int)pad, sizeof padding_bytes);
    int n = 0, ok = EVP_EncryptInit_ex(ctx, cipher_of(key), NULL, key->bytes, nonce);
    if (aad.len > 0)
        ok &= EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)aad.data, (int)aad.len);
    if (plain.len > 0)
        ok &= EVP_EncryptUpdate(ctx, to, &n, (const uint8_t *)plain.data, (int)plain.len);
    if (pad > 0)
        ok &= EVP_EncryptUpdate(ctx, to + plain.len, &n, padding_bytes, (int)pad);
    to += plain.len + pad;
    ok &= EVP_EncryptFinal_ex(ctx, to, &n);
    ok &= EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, CRYPT_TAG, to);
    ASSERT(ok == 1);
    out->len += plain.len + pad + CRYPT_TAG;
    ASSERT(out->len - start == crypt_size(version, plain.len));
}

static bool open_with(EVP_CIPHER_CTX *ctx, const struct gossip_key *key, const uint8_t *nonce,
                      struct str cipher, struct str aad, uint8_t *to) {
    size_t len = cipher.len - CRYPT_TAG;
    uint8_t tag[CRYPT_TAG];
    memcpy(tag, cipher.data + len, CRYPT_TAG);
    int n = 0;
    if (EVP_DecryptInit_ex(ctx, cipher_of(key), NULL, key->bytes, nonce) != 1)
        return false;
    if (aad.len > 0 &&
        EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)aad.data, (int)aad.len) != 1)
        return false;
    if (len > 0 && EVP_DecryptUpdate(ctx, to, &n, (const uint8_t *)cipher.data, (int)len) != 1)
        return false;
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, CRYPT_TAG, tag) == 1 &&
           EVP_DecryptFinal_ex(ctx, to + len, &n) == 1;
}

/* Version 0: the last byte says how many bytes to take off, itself included. */
static bool unpad(struct buf *out, size_t start, struct error *e) {
    size_t len = out->len - start;
    size_t pad = len > 0 ? (uint8_t)out->data[out->len - 1] : 0;
    if (pad < 1 || pad > 16 || pad > len) {
        out->len = start;
        return error_set(e, ERROR_INTERNAL, "invalid padding");
    }
    out->len -= pad;
    return true;
}

bool crypt_open(struct crypt *c, struct buf *out, const struct keyring *ring, struct str payload,
                struct str aad, struct error *e) {
    if (payload.len == 0)
        return error_set(e, ERROR_INTERNAL, "Cannot decrypt empty payload");
    unsigned version = (uint8_t)payload.data[0];
    if (version > CRYPT_VERSION)
        return error_set(e, ERROR_INTERNAL, "Unsupported encryption version %u", version);
    if (payload.len < (version == 0 ? CRYPT_OVERHEAD_PADDED : CRYPT_OVERHEAD))
        return error_set(e, ERROR_INTERNAL, "Payload is too small to decrypt: %zu", payload.len);
    if (payload.len > INT32_MAX)
        return error_set(e, ERROR_TOO_LARGE, "Payload is too large to decrypt: %zu", payload.len);
    struct str cipher = str_sub(payload, 1 + CRYPT_NONCE, SIZE_MAX);
    EVP_CIPHER_CTX *ctx = context_of(c);
    uint8_t *to = (uint8_t *)buf_reserve(out, cipher.len);
    for (size_t i = 0; i < ring->len; i++) {
        if (open_with(ctx, &ring->keys[i], (const uint8_t *)payload.data + 1, cipher, aad, to)) {
            size_t start = out->len;
            out->len += cipher.len - CRYPT_TAG;
            return version == CRYPT_VERSION || unpad(out, start, e);
        }
    }
    return error_set(e, ERROR_INTERNAL, "No installed keys could decrypt the message");
}

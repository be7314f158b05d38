/* Signatures: see discover_sign.h. */
#include "agent/discover_sign.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"

static void add_base64url(struct buf *out, struct str bytes) {
    size_t start = out->len;
    base64_encode(out, bytes);
    while (out->len > start && out->data[out->len - 1] == '=')
        out->len--;
    for (size_t i = start; i < out->len; i++)
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
}

static bool rsa_sign(EVP_PKEY *key, struct buf *text) {
    unsigned char signature[1024]; /* of keys up to 8192 bits */
    size_t len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok =
        context != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
        (size_t)EVP_PKEY_get_size(key) <= sizeof signature &&
        EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(context, signature, &len, (const unsigned char *)text->data, text->len) == 1;
    EVP_MD_CTX_free(context);
    if (ok) {
        buf_add_char(text, '.');
        add_base64url(text, str_of(signature, len));
    }
    return ok;
}

/* An encrypted key must not make the agent ask at its terminal. */
static int no_password(char *out, int size, int writing, void *owner) {
    (void)out, (void)size, (void)writing, (void)owner;
    return -1;
}

bool jwt_sign(struct str key_pem, struct str key_id, struct str claims, struct str *out,
              struct arena *arena, struct error *e) {
    BIO *bio = key_pem.len <= INT_MAX ? BIO_new_mem_buf(key_pem.data, (int)key_pem.len) : NULL;
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    struct buf text = BUF_INIT;
    struct buf head = BUF_INIT;
    buf_add_text(&head, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":");
    json_escape(&head, key_id);
    buf_add_char(&head, '}');
    add_base64url(&text, buf_str(&head));
    buf_free(&head);
    buf_add_char(&text, '.');
    add_base64url(&text, claims);
    bool ok =
        (key != NULL && rsa_sign(key, &text)) ||
        error_set(e, ERROR_BAD_REQUEST, "private key should be a PEM or plain PKCS1 or PKCS8");
    if (ok)
        *out = str_copy(arena, buf_str(&text));
    buf_free(&text);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

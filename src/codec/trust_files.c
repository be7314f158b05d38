/* Certificates and keys out of PEM texts, as the peer's library reads them: see trust.h.
 */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "codec/trust.h"

X509 *trust_next(BIO *bio) {
    char *kind = NULL, *head = NULL;
    unsigned char *der = NULL;
    long len = 0;
    X509 *x = NULL;
    while (x == NULL && PEM_read_bio(bio, &kind, &head, &der, &len) == 1) {
        const unsigned char *at = der;
        if (strcmp(kind, PEM_STRING_X509) == 0 && head[0] == '\0')
            x = d2i_X509(NULL, &at, len);
        OPENSSL_free(kind);
        OPENSSL_free(head);
        OPENSSL_clear_free(der, (size_t)len);
    }
    ERR_clear_error();
    return x;
}

/* ---- pairs ---- */

static bool has_block(struct str pem, const char *type) {
    return str_find(pem, str_from(type), 0) >= 0;
}

static bool certificate_missing(struct str pem, struct error *e) {
    if (!has_block(pem, "-----BEGIN "))
        return error_set(e, ERROR_BAD_REQUEST,
                         "tls: failed to find any PEM data in certificate input");
    if (has_block(pem, "-----BEGIN CERTIFICATE-----"))
        return error_set(e, ERROR_BAD_REQUEST, "x509: malformed certificate");
    if (has_block(pem, "PRIVATE KEY-----"))
        return error_set(e, ERROR_BAD_REQUEST,
                         "tls: failed to find certificate PEM data in certificate input, but did "
                         "find a private key; PEM inputs may have been switched");
    return error_set(e, ERROR_BAD_REQUEST,
                     "tls: failed to find \"CERTIFICATE\" PEM block in certificate input");
}

static bool key_missing(struct str pem, struct error *e) {
    if (!has_block(pem, "-----BEGIN "))
        return error_set(e, ERROR_BAD_REQUEST, "tls: failed to find any PEM data in key input");
    if (has_block(pem, "-----BEGIN CERTIFICATE"))
        return error_set(
            e, ERROR_BAD_REQUEST,
            "tls: found a certificate rather than a key in the PEM for the private key");
    return error_set(e, ERROR_BAD_REQUEST, "tls: failed to parse private key");
}

static int no_password(char *out, int size, int rwflag, void *owner) {
    (void)out;
    (void)size;
    (void)rwflag;
    (void)owner;
    return -1; /* encrypted keys are not read (tls.md 2), and nobody is asked at the terminal */
}

static bool judge_pair(const struct trust_pair *p, struct str certificate, struct str key,
                       struct error *e) {
    if (p->leaf == NULL)
        return certificate_missing(certificate, e);
    if (p->key == NULL)
        return key_missing(key, e);
    EVP_PKEY *public = X509_get0_pubkey(p->leaf);
    if (public != NULL && EVP_PKEY_get_base_id(public) != EVP_PKEY_get_base_id(p->key))
        return error_set(e, ERROR_BAD_REQUEST,
                         "tls: private key type does not match public key type");
    return X509_check_private_key(p->leaf, p->key) == 1 ||
           error_set(e, ERROR_BAD_REQUEST, "tls: private key does not match public key");
}

bool trust_read_pair(struct str certificate, struct str key, struct trust_pair *out,
                     struct error *e) {
    BIO *bio = BIO_new_mem_buf(certificate.data, (int)certificate.len);
    *out = (struct trust_pair){.leaf = trust_next(bio), .chain = sk_X509_new_null()};
    for (X509 *x; out->leaf != NULL && (x = trust_next(bio)) != NULL;)
        sk_X509_push(out->chain, x);
    BIO_free(bio);
    bio = BIO_new_mem_buf(key.data, (int)key.len);
    out->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    bool ok = judge_pair(out, certificate, key, e);
    if (!ok)
        trust_pair_free(out);
    ERR_clear_error();
    return ok;
}

void trust_pair_free(struct trust_pair *pair) {
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    *pair = (struct trust_pair){NULL, NULL, NULL};
}

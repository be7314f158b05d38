/* Certificates made on the spot, for tests of TLS: an authority, and what it signs, with whatever
 * is to be wrong with them.
 */
#ifndef PRAETOR_TESTS_CERTIFICATES_H
#define PRAETOR_TESTS_CERTIFICATES_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/str.h"

struct certificate {
    struct str pem, key; /* texts */
    X509 *x;
    EVP_PKEY *pkey;
};

struct certificate_wish {
    const char *name;  /* common name */
    const char *names; /* subjectAltName as openssl.cnf has it: "DNS:a,IP:127.0.0.1"; NULL: none */
    const char *uses;  /* extendedKeyUsage: "serverAuth,clientAuth"; NULL: none */
    int from, to;      /* days from now */
    bool authority;
    bool rsa;
    const struct certificate *issuer; /* NULL: itself */
};

static void certificate_extension(X509 *x, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ASSERT(e != NULL);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static struct str certificate_text(struct arena *arena, BIO *bio) {
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    struct str text = str_copy(arena, str_of(data, (size_t)len));
    BIO_free(bio);
    return text;
}

static struct certificate certificate_make(struct arena *arena, const struct certificate_wish *w) {
    static long serial = 1;
    struct certificate c = {.x = X509_new(),
                            .pkey = w->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")};
    const struct certificate *issuer = w->issuer != NULL ? w->issuer : &c;
    X509_set_version(c.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.x), (long)w->from * 86400 - 60);
    X509_gmtime_adj(X509_getm_notAfter(c.x), (long)(w->to != 0 ? w->to : 30) * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x), "CN", MBSTRING_ASC,
                               (const unsigned char *)w->name, -1, -1, 0);
    X509_set_issuer_name(c.x, X509_get_subject_name(issuer->x));
    X509_set_pubkey(c.x, c.pkey);
    certificate_extension(c.x, issuer->x, NID_basic_constraints,
                          w->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (w->names != NULL)
        certificate_extension(c.x, issuer->x, NID_subject_alt_name, w->names);
    if (w->uses != NULL)
        certificate_extension(c.x, issuer->x, NID_ext_key_usage, w->uses);
    X509_sign(c.x, issuer->pkey, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, c.x);
    c.pem = certificate_text(arena, bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, c.pkey, NULL, NULL, 0, NULL, NULL);
    c.key = certificate_text(arena, bio);
    return c;
}

static void certificate_free(struct certificate *c) {
    X509_free(c->x);
    EVP_PKEY_free(c->pkey);
}

#endif

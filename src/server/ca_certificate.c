/* See ca_certificate.h. Extensions are written as the bytes that the peer writes. */
#include "server/ca_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"

#define SKEW MINUTE /* of clocks: certificates begin so much before now */
#define CROSS_TTL (7 * 24 * HOUR)
#define ROOT_YEARS 10

static struct str fail(struct error *e, const char *text) {
    ERR_clear_error();
    error_set(e, ERROR_INTERNAL, "%s", text);
    return STR_NONE;
}

static X509 *read_first(struct str pem, struct error *e) {
    BIO *bio = BIO_new_mem_buf(pem.data != NULL ? pem.data : "",
                               (int)(pem.len < INT_MAX ? pem.len : INT_MAX));
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (x == NULL) {
        fail(e, "no PEM-encoded data found");
    }
    return x;
}

static struct str write_pem(X509 *x, struct arena *arena) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    PEM_write_bio_X509(bio, x);
    long len = BIO_get_mem_data(bio, &text);
    struct str out = str_copy(arena, str_of(text, (size_t)len));
    BIO_free(bio);
    return out;
}

/* ---- parts ---- */

static void add_extension(X509 *x, int nid, bool critical, struct str der) {
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(data, (const unsigned char *)der.data, (int)der.len);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, nid, critical, data);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(data);
}

static void add_uses(X509 *x, enum ca_certificate_kind kind) {
    /* digitalSignature, keyCertSign, cRLSign; for leaves digitalSignature, keyEncipherment,
     * dataEncipherment, keyAgreement, and clientAuth, serverAuth. */
    if (kind == CA_LEAF) {
        add_extension(x, NID_key_usage, true, STR("\x03\x02\x03\xb8"));
        add_extension(x, NID_ext_key_usage, false,
                      STR("\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02"
                          "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"));
        add_extension(x, NID_basic_constraints, true, STR("\x30\x00"));
        return;
    }
    add_extension(x, NID_key_usage, true, STR("\x03\x02\x01\x86"));
    add_extension(x, NID_basic_constraints, true,
                  kind == CA_ROOT ? STR("\x30\x03\x01\x01\xff")
                                  : STR("\x30\x06\x01\x01\xff\x02\x01\x00"));
}

static void add_own_id(X509 *x, EVP_PKEY *key) {
    uint8_t own[2 + CA_KEY_ID_SIZE] = {0x04, CA_KEY_ID_SIZE};
    ca_key_id(key, own + 2);
    add_extension(x, NID_subject_key_identifier, false, str_of(own, sizeof(own)));
}

/* Of who signs; issuer NULL: the certificate's own key. */
static void add_authority_id(X509 *x, EVP_PKEY *key, X509 *issuer) {
    uint8_t own[CA_KEY_ID_SIZE] = {0};
    struct buf authority = BUF_INIT;
    struct str id = str_of(own, sizeof(own));
    ca_key_id(key, own);
    if (issuer != NULL) {
        const ASN1_OCTET_STRING *theirs = X509_get0_subject_key_id(issuer);
        id = theirs == NULL
                 ? STR_NONE
                 : str_of(ASN1_STRING_get0_data(theirs), (size_t)ASN1_STRING_length(theirs));
    }
    if (id.len > 0 && id.len < 0x7c) {
        buf_add_char(&authority, 0x30);
        buf_add_char(&authority, (char)(id.len + 2));
        buf_add_char(&authority, (char)0x80);
        buf_add_char(&authority, (char)id.len);
        buf_add_str(&authority, id);
        add_extension(x, NID_authority_key_identifier, false, buf_str(&authority));
    }
    buf_free(&authority);
}

static void set_times(X509 *x, const struct ca_certificate_request *r) {
    time_t from = (time_t)((r->kind == CA_ROOT ? r->now : r->now - SKEW) / SECOND);
    time_t until = from + (time_t)(r->ttl / SECOND);
    if (r->kind == CA_ROOT) {
        struct tm calendar;
        gmtime_r(&from, &calendar);
        calendar.tm_year += ROOT_YEARS;
        until = timegm(&calendar);
    }
    ASN1_TIME_set(X509_getm_notBefore(x), from);
    ASN1_TIME_set(X509_getm_notAfter(x), until);
}

static void set_serial(X509 *x, uint64_t serial) {
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial);
}

static bool fits(const X509 *issuer, EVP_PKEY *signer) {
    return X509_check_private_key(issuer, signer) == 1;
}

/* ---- making ---- */

static void fill(X509 *x, const struct ca_certificate_request *r, X509 *issuer) {
    struct buf names = BUF_INIT;
    X509_set_version(x, 2);
    set_serial(x, r->serial);
    set_times(x, r);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, V_ASN1_PRINTABLESTRING,
                               (const unsigned char *)r->common_name.data, (int)r->common_name.len,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer != NULL ? issuer : x));
    X509_set_pubkey(x, r->key);
    add_uses(x, r->kind);
    add_own_id(x, r->key);
    add_authority_id(x, r->key, issuer);
    ca_names_encode(&names, &r->names);
    add_extension(x, NID_subject_alt_name, false, buf_str(&names));
    buf_free(&names);
}

/* Of roots, their own and cross signatures, by the size of the key; all else has SHA-256. */
static const EVP_MD *root_digest(const EVP_PKEY *signer) {
    int bits = EVP_PKEY_base_id(signer) == EVP_PKEY_EC ? EVP_PKEY_bits(signer) : 0;
    return bits > 384 ? EVP_sha512() : bits > 256 ? EVP_sha384() : EVP_sha256();
}

static struct str sign(X509 *x, EVP_PKEY *signer, const EVP_MD *digest, struct arena *arena,
                       struct error *e) {
    if (X509_sign(x, signer, digest) <= 0) {
        return fail(e, "error generating CA certificate: x509: the key cannot sign");
    }
    return write_pem(x, arena);
}

struct str ca_certificate_new(const struct ca_certificate_request *r, struct arena *arena,
                              struct error *e) {
    X509 *issuer = NULL;
    if (r->kind != CA_ROOT) {
        issuer = read_first(r->issuer, e);
        if (issuer == NULL) {
            return STR_NONE;
        }
        if (!fits(issuer, r->signer)) {
            X509_free(issuer);
            return fail(e, "x509: provided PrivateKey doesn't match parent's PublicKey");
        }
    }
    X509 *x = X509_new();
    fill(x, r, issuer);
    bool root = r->kind == CA_ROOT;
    EVP_PKEY *signer = root ? r->key : r->signer;
    struct str pem = sign(x, signer, root ? root_digest(signer) : EVP_sha256(), arena, e);
    X509_free(x);
    X509_free(issuer);
    return pem;
}

/* Only the authority's key id changes, in its place. The root's own stays what it is, by which
 * those that it signed name it: of a root that is not ours it need not be the one that we make. */
static void replace_authority(X509 *x, X509 *root, X509 *issuer) {
    EVP_PKEY *key = X509_get0_pubkey(root);
    int count = X509_get_ext_count(root);
    bool done = false;
    for (int i = 0; i < count; i++) {
        X509_EXTENSION *extension = X509_get_ext(root, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
        if (nid != NID_authority_key_identifier) {
            X509_add_ext(x, extension, -1);
        }
        if (!done && (nid == NID_subject_key_identifier || nid == NID_authority_key_identifier)) {
            add_authority_id(x, key, issuer);
            done = true;
        }
    }
    if (!done) {
        add_authority_id(x, key, issuer);
    }
}

static void fill_cross(X509 *x, X509 *root, X509 *issuer, uint64_t serial, int64_t now) {
    struct ca_certificate_request times = {.kind = CA_INTERMEDIATE, .now = now, .ttl = CROSS_TTL};
    X509_set_version(x, 2);
    set_serial(x, serial);
    set_times(x, &times);
    X509_set_subject_name(x, X509_get_subject_name(root));
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    X509_set_pubkey(x, X509_get0_pubkey(root));
    replace_authority(x, root, issuer);
}

struct str ca_certificate_cross_sign(struct str root_pem, struct str issuer_pem, EVP_PKEY *signer,
                                     uint64_t serial, int64_t now, struct arena *arena,
                                     struct error *e) {
    struct str pem = STR_NONE;
    X509 *root = read_first(root_pem, e);
    X509 *issuer = root != NULL ? read_first(issuer_pem, e) : NULL;
    if (issuer != NULL) { /* whose key it should be: who was given another must get rid of it */
        X509 *x = X509_new();
        fill_cross(x, root, issuer, serial, now);
        pem = sign(x, signer, root_digest(signer), arena, e);
        X509_free(x);
    }
    X509_free(root);
    X509_free(issuer);
    return pem;
}

/* ---- reading ---- */

static struct str hex_of(const ASN1_STRING *s, struct arena *arena) {
    return s == NULL ? STR("")
                     : ca_hex(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s), arena);
}

static struct timestamp time_of(const ASN1_TIME *t) {
    struct tm calendar = {0};
    ASN1_TIME_to_tm(t, &calendar);
    return (struct timestamp){.seconds = (int64_t)timegm(&calendar) + TIMESTAMP_UNIX_EPOCH,
                              .offset = -1,
                              .present = true};
}

static struct str fingerprint_of(X509 *x, struct arena *arena) {
    uint8_t digest[SHA_DIGEST_LENGTH];
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);
    ASSERT(len > 0);
    SHA1(der, (size_t)len, digest);
    OPENSSL_free(der);
    return ca_hex(digest, sizeof(digest), arena);
}

static void read_serial(const X509 *x, struct ca_certificate_info *out, struct arena *arena) {
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
    const uint8_t *bytes = ASN1_STRING_get0_data(serial);
    int len = ASN1_STRING_length(serial);
    out->serial = ca_hex(bytes, (size_t)len, arena);
    out->serial_number = 0;
    for (int i = 0; i < len; i++) {
        out->serial_number = out->serial_number << 8 | bytes[i];
    }
}

static bool read_names(const X509 *x, struct ca_names *out, struct arena *arena) {
    int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
    *out = (struct ca_names){LIST_NIL, LIST_NIL, LIST_NIL};
    if (at < 0) {
        return true;
    }
    const ASN1_OCTET_STRING *der = X509_EXTENSION_get_data(X509_get_ext(x, at));
    return ca_names_decode(str_of(ASN1_STRING_get0_data(der), (size_t)ASN1_STRING_length(der)), out,
                           arena);
}

bool ca_certificate_read(struct str pem, struct ca_certificate_info *out, struct arena *arena,
                         struct error *e) {
    X509 *x = read_first(pem, e);
    if (x == NULL) {
        return false;
    }
    const EVP_PKEY *key = X509_get0_pubkey(x);
    bool ok = key != NULL && read_names(x, &out->names, arena);
    if (ok) {
        out->fingerprint = fingerprint_of(x, arena);
        read_serial(x, out, arena);
        out->subject_key_id = hex_of(X509_get0_subject_key_id(x), arena);
        out->authority_key_id = hex_of(X509_get0_authority_key_id(x), arena);
        out->not_before = time_of(X509_get0_notBefore(x));
        out->not_after = time_of(X509_get0_notAfter(x));
        ca_key_kind(key, &out->key_type, &out->key_bits);
    } else {
        fail(e, "x509: failed to parse certificate");
    }
    X509_free(x);
    ERR_clear_error();
    return ok;
}

bool ca_certificate_is_signed(struct str intermediate, struct str root, struct error *e) {
    X509 *x = read_first(intermediate, e), *r = x != NULL ? read_first(root, e) : NULL;
    bool ok = r != NULL && X509_check_ca(x) == 1 && X509_verify(x, X509_get0_pubkey(r)) == 1;
    X509_free(x);
    X509_free(r);
    if (!ok && !error_is_set(e)) {
        fail(e, "x509: the intermediate is not signed by the primary's root");
    }
    ERR_clear_error();
    return ok;
}

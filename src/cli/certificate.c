/* Making certificates: see certificate.h. */
#include "cli/certificate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "codec/trust.h"

#define SERIAL_BYTES 16
#define DAYS_MOST 100000000 /* more lead out of the calendar for certain */
#define PEM_CERTIFICATE "CERTIFICATE"
#define PEM_KEY "EC PRIVATE KEY"

/* ---- parts of a certificate ---- */

/* Letters and digits where they do, as the peer's library chooses. */
static int string_type(struct str text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (!(c < 128 && isalnum(c)) && (c == '\0' || strchr(" '()+,-./:=?", c) == NULL))
            return V_ASN1_UTF8STRING;
    }
    return V_ASN1_PRINTABLESTRING;
}

static void add_subject(X509_NAME *name, int nid, struct str text) {
    X509_NAME_add_entry_by_NID(name, nid, string_type(text), (const unsigned char *)text.data,
                               (int)text.len, -1, 0);
}

static void set_serial(X509 *x) {
    unsigned char bytes[SERIAL_BYTES];
    random_bytes(bytes, sizeof bytes);
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
    BN_free(number);
}

static bool set_times(X509 *x, int64_t days, struct error *e) {
    time_t now = (time_t)(time_now_wall() / SECOND);
    struct tm end;
    bool far = days > DAYS_MOST || days < -DAYS_MOST;
    time_t then = now + (far ? 0 : days * 86400);
    if (far || gmtime_r(&then, &end) == NULL || end.tm_year > 9999 - 1900 || end.tm_year < -1900)
        return error_set(e, ERROR_BAD_REQUEST,
                         "asn1: structure error: cannot represent time as GeneralizedTime");
    ASN1_TIME_set(X509_getm_notBefore(x), now);
    ASN1_TIME_set(X509_getm_notAfter(x), then);
    return true;
}

static void add_extension(X509 *x, int nid, bool critical, void *value) {
    X509_add1_ext_i2d(x, nid, value, critical, X509V3_ADD_APPEND);
}

/* bits: as the first byte of the BIT STRING has them. */
static void add_key_usage(X509 *x, unsigned char bits) {
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    ASN1_BIT_STRING_set(usage, &bits, 1);
    add_extension(x, NID_key_usage, true, usage);
    ASN1_BIT_STRING_free(usage);
}

static void add_uses(X509 *x, int first, int second) {
    EXTENDED_KEY_USAGE *uses = sk_ASN1_OBJECT_new_null();
    sk_ASN1_OBJECT_push(uses, OBJ_nid2obj(first));
    sk_ASN1_OBJECT_push(uses, OBJ_nid2obj(second));
    add_extension(x, NID_ext_key_usage, false, uses);
    sk_ASN1_OBJECT_pop_free(uses, ASN1_OBJECT_free);
}

static void add_basic_constraints(X509 *x, bool authority) {
    BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();
    basic->ca = authority ? 0xff : 0;
    add_extension(x, NID_basic_constraints, true, basic);
    BASIC_CONSTRAINTS_free(basic);
}

/* SHA-256 of the whole public key info; to be freed. */
static ASN1_OCTET_STRING *add_subject_key_id(X509 *x) {
    unsigned char *der = NULL, digest[32];
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
    OPENSSL_free(der);
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(id, digest, sizeof digest);
    add_extension(x, NID_subject_key_identifier, false, id);
    return id;
}

static void add_authority_key_id(X509 *x, const ASN1_OCTET_STRING *of) {
    if (of == NULL)
        return;
    AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
    id->keyid = ASN1_OCTET_STRING_dup(of);
    add_extension(x, NID_authority_key_identifier, false, id);
    AUTHORITY_KEYID_free(id);
}

static GENERAL_NAME *general_name(int type, struct str bytes) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *text = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
    ASN1_STRING_set(text, bytes.data, (int)bytes.len);
    GENERAL_NAME_set0_value(name, type, text);
    return name;
}

static void add_permitted(X509 *x, struct certificate_names permitted) {
    if (permitted.len == 0)
        return;
    NAME_CONSTRAINTS *rules = NAME_CONSTRAINTS_new();
    rules->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
    for (size_t i = 0; i < permitted.len; i++) {
        GENERAL_SUBTREE *tree = GENERAL_SUBTREE_new();
        GENERAL_NAME_free(tree->base);
        tree->base = general_name(GEN_DNS, permitted.items[i]);
        sk_GENERAL_SUBTREE_push(rules->permittedSubtrees, tree);
    }
    add_extension(x, NID_name_constraints, true, rules);
    NAME_CONSTRAINTS_free(rules);
}

/* The bytes of an address, 0: it is none. As the peer reads it: numbers may begin with zeros, and
 * an IPv4 address that is written as IPv6 is IPv4. */
static size_t parse_address(struct str text, char bytes[16]) {
    static const char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (char)0xff, (char)0xff};
    char plain[INET6_ADDRSTRLEN];
    size_t len = 0;
    bool v6 = str_find_char(text, ':') >= 0;
    for (size_t i = 0; i < text.len && len < sizeof plain; i++) {
        bool begins = len == 0 || plain[len - 1] == '.';
        bool more = i + 1 < text.len && isdigit((unsigned char)text.data[i + 1]);
        if (v6 || text.data[i] != '0' || !begins || !more)
            plain[len++] = text.data[i];
    }
    if (len >= sizeof plain)
        return 0;
    plain[len] = '\0';
    if (inet_pton(AF_INET, plain, bytes) == 1)
        return 4;
    if (inet_pton(AF_INET6, plain, bytes) != 1)
        return 0;
    if (memcmp(bytes, mapped, sizeof mapped) != 0)
        return 16;
    memmove(bytes, bytes + sizeof mapped, 4);
    return 4;
}

static bool add_address(GENERAL_NAMES *all, struct str text) {
    char bytes[16];
    size_t len = parse_address(text, bytes);
    if (len > 0)
        sk_GENERAL_NAME_push(all, general_name(GEN_IPADD, str_of(bytes, len)));
    return len > 0;
}

static bool add_names(X509 *x, const struct certificate_wish *w, struct error *e) {
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool ok = true;
    for (size_t i = 0; i < w->names.len; i++)
        sk_GENERAL_NAME_push(all, general_name(GEN_DNS, w->names.items[i]));
    for (size_t i = 0; i < w->addresses.len; i++)
        ok &= add_address(all, w->addresses.items[i]);
    add_extension(x, NID_subject_alt_name, false, all);
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    return ok || error_set(e, ERROR_BAD_REQUEST, "failed to parse certificate");
}

/* ---- texts ---- */

static struct str text_of(BIO *bio, struct arena *arena) {
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    struct str text = str_copy(arena, str_of(data, (size_t)len));
    OPENSSL_cleanse(data, (size_t)len);
    BIO_free(bio);
    return text;
}

static void write_pair(X509 *x, EVP_PKEY *key, struct certificate_pair *out, struct arena *arena) {
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    out->certificate = text_of(bio, arena);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
    out->key = text_of(bio, arena);
}

static X509 *begin(EVP_PKEY *key, int64_t days, struct error *e) {
    X509 *x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    set_serial(x);
    X509_set_pubkey(x, key);
    if (set_times(x, days, e))
        return x;
    X509_free(x);
    return NULL;
}

/* ---- authorities ---- */

static void name_authority(X509 *x) {
    static const struct {
        int nid;
        const char *text;
    } parts[] = {
        {NID_countryName, "US"},
        {NID_stateOrProvinceName, "CA"},
        {NID_localityName, "San Francisco"},
        {NID_streetAddress, "101 Second Street"},
        {NID_postalCode, "94105"},
        {NID_organizationName, "HashiCorp Inc."},
    };
    X509_NAME *name = X509_get_subject_name(x);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        add_subject(name, parts[i].nid, str_from(parts[i].text));
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get_serialNumber(x), NULL);
    char *digits = BN_bn2dec(number), text[80];
    snprintf(text, sizeof text, "Consul Agent CA %s", digits);
    add_subject(name, NID_commonName, str_from(text));
    OPENSSL_free(digits);
    BN_free(number);
    X509_set_issuer_name(x, name);
}

static bool names_are_ascii(struct certificate_names names, struct error *e) {
    for (size_t i = 0; i < names.len; i++) {
        for (size_t c = 0; c < names.items[i].len; c++) {
            if ((unsigned char)names.items[i].data[c] >= 0x80)
                return error_set(e, ERROR_BAD_REQUEST,
                                 "x509: " STR_FMT " cannot be encoded as an IA5String",
                                 STR_ARG(str_quote(e->arena, names.items[i])));
        }
    }
    return true;
}

bool certificate_make_authority(int64_t days, struct certificate_names permitted,
                                struct certificate_pair *out, struct arena *arena,
                                struct error *e) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = begin(key, days, e);
    if (x == NULL || !names_are_ascii(permitted, e)) {
        X509_free(x);
        EVP_PKEY_free(key);
        return error_prefix(e, "error generating CA certificate: ");
    }
    name_authority(x);
    add_key_usage(x, 0x86); /* digitalSignature, keyCertSign, cRLSign */
    add_basic_constraints(x, true);
    ASN1_OCTET_STRING *id = add_subject_key_id(x);
    add_authority_key_id(x, id);
    ASN1_OCTET_STRING_free(id);
    add_permitted(x, permitted);
    X509_sign(x, key, EVP_sha256());
    write_pair(x, key, out, arena);
    X509_free(x);
    EVP_PKEY_free(key);
    return true;
}

/* ---- what authorities sign ---- */

/* The first block of a text, as DER in *der (to be freed), and its kind in *kind. */
static bool first_block(struct str pem, char **kind, unsigned char **der, long *len,
                        struct error *e) {
    char *head = NULL;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    bool found = PEM_read_bio(bio, kind, &head, der, len) == 1;
    BIO_free(bio);
    OPENSSL_free(head);
    ERR_clear_error();
    return found || error_set(e, ERROR_BAD_REQUEST, "no PEM-encoded data found");
}

static X509 *read_authority(struct str pem, struct error *e) {
    char *kind;
    unsigned char *der;
    long len;
    X509 *x = NULL;
    if (!first_block(pem, &kind, &der, &len, e))
        return NULL;
    const unsigned char *at = der;
    if (strcmp(kind, PEM_CERTIFICATE) != 0)
        error_set(e, ERROR_BAD_REQUEST, "first PEM-block should be CERTIFICATE type");
    else if ((x = d2i_X509(NULL, &at, len)) == NULL)
        error_set(e, ERROR_BAD_REQUEST, "x509: malformed certificate");
    OPENSSL_free(kind);
    OPENSSL_free(der);
    ERR_clear_error();
    return x;
}

static EVP_PKEY *parse_key(const unsigned char *der, long len, struct error *e) {
    EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_EC, NULL, &der, len);
    char group[64] = "";
    if (key == NULL) {
        error_set(e, ERROR_BAD_REQUEST, "x509: failed to parse EC private key");
        return NULL;
    }
    EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
    int nid = OBJ_sn2nid(group);
    if (nid == NID_X9_62_prime256v1 || nid == NID_secp384r1 || nid == NID_secp521r1 ||
        nid == NID_secp224r1)
        return key;
    EVP_PKEY_free(key);
    error_set(e, ERROR_BAD_REQUEST, "x509: unknown elliptic curve");
    return NULL;
}

static EVP_PKEY *read_key(struct str pem, struct error *e) {
    char *kind;
    unsigned char *der;
    long len;
    EVP_PKEY *key = NULL;
    if (!first_block(pem, &kind, &der, &len, e))
        return NULL;
    if (strcmp(kind, PEM_KEY) == 0)
        key = parse_key(der, len, e);
    else
        error_set(e, ERROR_BAD_REQUEST, "unknown PEM block type for signing key: %s", kind);
    OPENSSL_free(kind);
    OPENSSL_clear_free(der, (size_t)len);
    ERR_clear_error();
    return key;
}

static const EVP_MD *digest_for(EVP_PKEY *key) {
    int bits = EVP_PKEY_get_bits(key);
    return bits <= 256 ? EVP_sha256() : bits <= 384 ? EVP_sha384() : EVP_sha512();
}

/* Whether those who have only the authority would believe it. */
static bool judge(X509 *x, X509 *authority, struct str name, struct error *e) {
    X509_STORE *anchors = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    struct buf text = BUF_INIT;
    X509_STORE_add_cert(anchors, authority);
    X509_STORE_CTX_init(ctx, anchors, x, NULL);
    bool good = trust_judge(ctx, TRUST_AS_SERVER, name, &text);
    if (!good)
        error_set(e, ERROR_BAD_REQUEST, "%.*s", (int)text.len, text.data);
    buf_free(&text);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(anchors);
    ERR_clear_error();
    return good;
}

static bool describe(X509 *x, X509 *authority, const struct certificate_wish *w, struct error *e) {
    add_subject(X509_get_subject_name(x), NID_commonName, w->name);
    X509_set_issuer_name(x, X509_get_subject_name(authority));
    add_key_usage(x, 0xa0); /* digitalSignature, keyEncipherment */
    if (w->use == CERTIFICATE_SERVER)
        add_uses(x, NID_server_auth, NID_client_auth);
    if (w->use == CERTIFICATE_CLIENT)
        add_uses(x, NID_client_auth, NID_server_auth);
    add_basic_constraints(x, false);
    ASN1_OCTET_STRING_free(add_subject_key_id(x));
    add_authority_key_id(x, X509_get0_subject_key_id(authority));
    return add_names(x, w, e);
}

static bool sign_wish(X509 *authority, EVP_PKEY *signer, const struct certificate_wish *w,
                      struct certificate_pair *out, struct arena *arena, struct error *e) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = begin(key, w->days, e);
    bool ok = x != NULL && describe(x, authority, w, e);
    if (ok && X509_sign(x, signer, digest_for(signer)) <= 0)
        ok = error_set(e, ERROR_INTERNAL, "the certificate cannot be signed");
    ok = ok && judge(x, authority, w->name, e);
    if (ok)
        write_pair(x, key, out, arena);
    X509_free(x);
    EVP_PKEY_free(key);
    return ok;
}

bool certificate_make(struct str authority, struct str authority_key,
                      const struct certificate_wish *wish, struct certificate_pair *out,
                      struct arena *arena, struct error *e) {
    EVP_PKEY *signer = read_key(authority_key, e);
    X509 *issuer = signer != NULL ? read_authority(authority, e) : NULL;
    bool ok = issuer != NULL && sign_wish(issuer, signer, wish, out, arena, e);
    X509_free(issuer);
    EVP_PKEY_free(signer);
    return ok;
}

/* See ca_csr.h. */
#include "server/ca_csr.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/mem.h"

#define NAMES_MOST 256 /* of a request */

/* ---- names ---- */

struct str ca_ip_bytes(struct str text, struct arena *arena) {
    uint8_t bytes[16];
    const char *terminated = str_terminated(arena, text);
    if (inet_pton(AF_INET, terminated, bytes) == 1) {
        return str_copy(arena, str_of(bytes, 4));
    }
    if (inet_pton(AF_INET6, terminated, bytes) == 1) {
        return str_copy(arena, str_of(bytes, 16));
    }
    return STR_NONE;
}

static void add_der(struct buf *out, uint8_t tag, struct str content) {
    buf_add_char(out, (char)tag);
    if (content.len >= 0x10000) {
        buf_add_char(out, (char)0x83);
        buf_add_char(out, (char)(content.len >> 16));
        buf_add_be16(out, (uint16_t)content.len);
    } else if (content.len >= 0x100) {
        buf_add_char(out, (char)0x82);
        buf_add_be16(out, (uint16_t)content.len);
    } else {
        if (content.len >= 0x80) {
            buf_add_char(out, (char)0x81);
        }
        buf_add_char(out, (char)content.len);
    }
    buf_add_str(out, content);
}

static void add_all(struct buf *out, uint8_t tag, const struct list *list) {
    for (uint32_t i = 0; i < list->len; i++) {
        add_der(out, tag, LIST_AT(*list, struct str, i));
    }
}

void ca_names_encode(struct buf *out, const struct ca_names *names) {
    struct buf content = BUF_INIT;
    add_all(&content, 0x82, &names->dns);
    add_all(&content, 0x87, &names->ips);
    add_all(&content, 0x86, &names->uris);
    add_der(out, 0x30, buf_str(&content));
    buf_free(&content);
}

static void keep_name(struct list *list, const ASN1_STRING *s, struct arena *arena) {
    LIST_AT(*list, struct str, list->len++) =
        str_copy(arena, str_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
}

static bool take_names(const GENERAL_NAMES *from, struct ca_names *out, struct arena *arena) {
    int count = sk_GENERAL_NAME_num(from);
    if (count > NAMES_MOST) {
        return false;
    }
    uint32_t room = count > 0 ? (uint32_t)count : 0;
    out->dns = LIST_NEW(arena, struct str, room);
    out->ips = LIST_NEW(arena, struct str, room);
    out->uris = LIST_NEW(arena, struct str, room);
    out->dns.len = out->ips.len = out->uris.len = 0;
    for (int i = 0; i < count; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(from, i);
        if (n->type == GEN_DNS) {
            keep_name(&out->dns, n->d.dNSName, arena);
        } else if (n->type == GEN_URI) {
            keep_name(&out->uris, n->d.uniformResourceIdentifier, arena);
        } else if (n->type == GEN_IPADD) {
            int len = ASN1_STRING_length(n->d.iPAddress);
            if (len != 4 && len != 16) {
                return false;
            }
            keep_name(&out->ips, n->d.iPAddress, arena);
        }
    }
    return true;
}

bool ca_names_decode(struct str der, struct ca_names *out, struct arena *arena) {
    const unsigned char *at = (const unsigned char *)der.data;
    GENERAL_NAMES *names = d2i_GENERAL_NAMES(NULL, &at, (long)der.len);
    bool ok = names != NULL && take_names(names, out, arena);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return ok;
}

/* ---- writing ---- */

static X509_EXTENSION *extension(int nid, bool critical, struct str der) {
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(data, (const unsigned char *)der.data, (int)der.len);
    X509_EXTENSION *x = X509_EXTENSION_create_by_NID(NULL, nid, critical, data);
    ASN1_OCTET_STRING_free(data);
    return x;
}

static void add_extensions(X509_REQ *r, const struct ca_names *names, bool ca) {
    static const char is_ca[] = "\x30\x03\x01\x01\xff";
    STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
    struct buf der = BUF_INIT;
    ca_names_encode(&der, names);
    sk_X509_EXTENSION_push(all, extension(NID_subject_alt_name, false, buf_str(&der)));
    if (ca) {
        sk_X509_EXTENSION_push(all, extension(NID_basic_constraints, true, STR(is_ca)));
    }
    X509_REQ_add_extensions(r, all);
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
    buf_free(&der);
}

static struct str pem_of(X509_REQ *r, struct arena *arena) {
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_REQ(bio, r);
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    struct str out = str_copy(arena, str_of(text, (size_t)len));
    BIO_free(bio);
    return out;
}

struct str ca_csr_new(EVP_PKEY *key, struct str common_name, const struct ca_names *names, bool ca,
                      struct arena *arena) {
    X509_REQ *r = X509_REQ_new();
    X509_REQ_set_version(r, 0);
    X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(r), NID_commonName, V_ASN1_PRINTABLESTRING,
                               (const unsigned char *)common_name.data, (int)common_name.len, -1,
                               0);
    X509_REQ_set_pubkey(r, key);
    add_extensions(r, names, ca);
    int signed_bytes = X509_REQ_sign(r, key, EVP_sha256());
    ASSERT(signed_bytes > 0);
    struct str out = pem_of(r, arena);
    X509_REQ_free(r);
    return out;
}

/* ---- reading ---- */

/* The first block of a PEM text; NULL with the error. Freed with OPENSSL_free. */
static unsigned char *first_block(struct str pem, const char *type, long *len, struct error *e) {
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    BIO *bio = BIO_new_mem_buf(pem.data != NULL ? pem.data : "", (int)pem.len);
    bool read = PEM_read_bio(bio, &name, &header, &data, len) == 1;
    bool right = read && str_is(str_from(name), type);
    BIO_free(bio);
    OPENSSL_free(name);
    OPENSSL_free(header);
    ERR_clear_error();
    if (right) {
        return data;
    }
    OPENSSL_free(data);
    if (read) {
        error_set(e, ERROR_INTERNAL, "first PEM-block should be %s type", type);
    } else {
        error_set(e, ERROR_INTERNAL, "no PEM-encoded data found");
    }
    return NULL;
}

static struct str common_name_of(X509_REQ *r, struct arena *arena) {
    X509_NAME *subject = X509_REQ_get_subject_name(r);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) {
        return STR("");
    }
    const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    return str_copy(arena, str_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
}

static bool read_names(X509_REQ *r, struct ca_names *out, struct arena *arena) {
    STACK_OF(X509_EXTENSION) *all = X509_REQ_get_extensions(r);
    int at = X509v3_get_ext_by_NID(all, NID_subject_alt_name, -1);
    bool ok = true;
    *out = (struct ca_names){LIST_NIL, LIST_NIL, LIST_NIL};
    if (at >= 0) {
        const ASN1_OCTET_STRING *der = X509_EXTENSION_get_data(sk_X509_EXTENSION_value(all, at));
        ok = ca_names_decode(str_of(ASN1_STRING_get0_data(der), (size_t)ASN1_STRING_length(der)),
                             out, arena);
    }
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
    return ok;
}

static bool read_request(X509_REQ *r, struct ca_csr *out, struct arena *arena, struct error *e) {
    out->key = X509_REQ_get_pubkey(r);
    if (out->key == NULL) {
        return error_set(e, ERROR_INTERNAL, "x509: unknown public key algorithm");
    }
    if (X509_REQ_verify(r, out->key) != 1) {
        return error_set(e, ERROR_INTERNAL, "x509: signature check of the request failed");
    }
    out->common_name = common_name_of(r, arena);
    out->pem = pem_of(r, arena);
    return read_names(r, &out->names, arena) ||
           error_set(e, ERROR_INTERNAL, "x509: failed to parse the request's alternative names");
}

bool ca_csr_read(struct str pem, struct ca_csr *out, struct arena *arena, struct error *e) {
    long len = 0;
    *out = (struct ca_csr){0};
    if (pem.len > CA_CSR_MAX) {
        return error_set(e, ERROR_INTERNAL, "certificate signing request too large");
    }
    unsigned char *der = first_block(pem, "CERTIFICATE REQUEST", &len, e);
    if (der == NULL) {
        return false;
    }
    const unsigned char *at = der;
    X509_REQ *r = d2i_X509_REQ(NULL, &at, len);
    bool ok = r != NULL ? read_request(r, out, arena, e)
                        : error_set(e, ERROR_INTERNAL, "asn1: structure error");
    X509_REQ_free(r);
    OPENSSL_free(der);
    ERR_clear_error();
    if (!ok) {
        ca_csr_free(out);
    }
    return ok;
}

void ca_csr_free(struct ca_csr *csr) {
    EVP_PKEY_free(csr->key);
    csr->key = NULL;
}

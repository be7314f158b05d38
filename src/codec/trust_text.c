/* Chains that are not believed, in the peer's words: see trust_text.h. OpenSSL says what is wrong
 * with a chain; the peer tells which name is outside of an authority's constraints, and which
 * certificate it took for the issuer in vain.
 */
#include "codec/trust_text.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/str.h"
#include "codec/trust.h"

static struct str content(const ASN1_STRING *s) {
    return str_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* ---- names outside of constraints ---- */

/* "b.c" covers itself and what is below, ".b.c" only what is below, "" all. */
static bool covers(struct str constraint, struct str name) {
    bool below_only = str_has_prefix(constraint, STR("."));
    if (below_only)
        constraint = str_sub(constraint, 1, constraint.len);
    if (constraint.len == 0)
        return true;
    if (name.len == constraint.len)
        return !below_only && str_eq_fold(name, constraint);
    return name.len > constraint.len && name.data[name.len - constraint.len - 1] == '.' &&
           str_eq_fold(str_sub(name, name.len - constraint.len, name.len), constraint);
}

/* An address and a mask of as many bytes. */
static bool covers_address(struct str constraint, struct str address) {
    if (constraint.len != 2 * address.len)
        return false;
    for (size_t i = 0; i < address.len; i++) {
        if (((address.data[i] ^ constraint.data[i]) & constraint.data[address.len + i]) != 0)
            return false;
    }
    return true;
}

/* The bytes of a name that constraints are about; absent: of another kind. */
static struct str bytes_of(const GENERAL_NAME *n) {
    return n->type == GEN_DNS     ? content(n->d.dNSName)
           : n->type == GEN_IPADD ? content(n->d.iPAddress)
                                  : STR_NONE;
}

/* The first constraint that covers the name; absent: none. *count: how many are of its kind. */
static struct str covering(const STACK_OF(GENERAL_SUBTREE) * trees, const GENERAL_NAME *name,
                           size_t *count) {
    struct str found = STR_NONE;
    *count = 0;
    for (int i = 0; i < sk_GENERAL_SUBTREE_num(trees); i++) {
        const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(trees, i)->base;
        if (base->type != name->type)
            continue;
        ++*count;
        bool covered = base->type == GEN_DNS ? covers(bytes_of(base), bytes_of(name))
                                             : covers_address(bytes_of(base), bytes_of(name));
        if (found.data == NULL && covered)
            found = bytes_of(base);
    }
    return found;
}

/* "\"10.0.0.1\"", "\"10.0.0.0/8\"" of bytes, or a name as it is. */
static void add_quoted(struct buf *text, int type, struct str bytes) {
    struct arena arena = ARENA_INIT;
    char shown[INET6_ADDRSTRLEN] = "?";
    bool with_mask = bytes.len == 8 || bytes.len == 32;
    size_t len = with_mask ? bytes.len / 2 : bytes.len;
    unsigned bits = 0;
    for (size_t i = len; i < bytes.len; i++)
        bits += (unsigned)__builtin_popcount((unsigned char)bytes.data[i]);
    if (type == GEN_DNS) {
        buf_add_str(text, str_quote(&arena, bytes));
    } else {
        if (len == 4 || len == 16)
            inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes.data, shown, sizeof shown);
        buf_add_format(text, with_mask ? "\"%s/%u\"" : "\"%s\"", shown, bits);
    }
    arena_free(&arena);
}

#define NOT_AUTHORIZED                                                                             \
    "x509: a root or intermediate certificate is not authorized to sign for this name"

/* True: it was this name. */
static bool say_name(const NAME_CONSTRAINTS *rules, const GENERAL_NAME *name, struct buf *text) {
    size_t count;
    struct str excluded = covering(rules->excludedSubtrees, name, &count);
    bool permitted = covering(rules->permittedSubtrees, name, &count).data != NULL || count == 0;
    if (excluded.data == NULL && permitted)
        return false;
    buf_add_text(text, NOT_AUTHORIZED);
    buf_add_text(text, name->type == GEN_DNS ? ": DNS name " : ": IP address ");
    add_quoted(text, name->type, bytes_of(name));
    if (excluded.data != NULL) {
        buf_add_text(text, " is excluded by constraint ");
        add_quoted(text, name->type, excluded);
    } else {
        buf_add_text(text, " is not permitted by any constraint");
    }
    return true;
}

static bool say_constraint_of(X509 *authority, const GENERAL_NAMES *names, struct buf *text) {
    NAME_CONSTRAINTS *rules = X509_get_ext_d2i(authority, NID_name_constraints, NULL, NULL);
    bool said = false;
    for (int i = 0; rules != NULL && !said && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        said = bytes_of(n).data != NULL && say_name(rules, n, text);
    }
    NAME_CONSTRAINTS_free(rules);
    return said;
}

static void say_constraint(X509_STORE_CTX *ctx, struct buf *text) {
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    GENERAL_NAMES *names =
        X509_get_ext_d2i(X509_STORE_CTX_get0_cert(ctx), NID_subject_alt_name, NULL, NULL);
    bool said = false;
    for (int i = sk_X509_num(chain) - 1; i > 0 && !said; i--)
        said = say_constraint_of(sk_X509_value(chain, i), names, text);
    if (!said)
        buf_add_text(text, NOT_AUTHORIZED);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
}

/* ---- issuers that were none ---- */

static bool keys_named_alike(X509 *issuer, X509 *issued) {
    const ASN1_OCTET_STRING *own = X509_get0_subject_key_id(issuer);
    const ASN1_OCTET_STRING *wanted = X509_get0_authority_key_id(issued);
    return own != NULL && wanted != NULL && ASN1_OCTET_STRING_cmp(own, wanted) == 0;
}

/* Those whose key the certificate names; only when there are none, those whose name it names. */
static X509 *candidate_in(X509_STORE *anchors, X509 *issued) {
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(anchors);
    X509 *by_name = NULL;
    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (x == NULL)
            continue;
        if (keys_named_alike(x, issued))
            return x;
        if (by_name == NULL &&
            X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(issued)) == 0)
            by_name = x;
    }
    return by_name;
}

static struct {
    int kind;
    const char *name, *type, *fault;
} const algorithms[] = {
    {EVP_PKEY_RSA, "RSA", "*rsa.PublicKey", "crypto/rsa: verification error"},
    {EVP_PKEY_EC, "ECDSA", "*ecdsa.PublicKey", "x509: ECDSA verification failure"},
    {EVP_PKEY_ED25519, "Ed25519", "ed25519.PublicKey", "x509: Ed25519 verification failure"},
};

static int algorithm_of(int kind) {
    for (int i = 0; i < (int)(sizeof algorithms / sizeof algorithms[0]); i++) {
        if (algorithms[i].kind == kind)
            return i;
    }
    return -1;
}

static int signature_kind(const X509 *x) {
    int digest, kind = NID_undef;
    OBJ_find_sigid_algs(X509_get_signature_nid(x), &digest, &kind);
    return algorithm_of(EVP_PKEY_type(kind) != NID_undef ? EVP_PKEY_type(kind) : kind);
}

/* False: nothing is wrong with it. */
static bool say_issuer_fault(X509 *issuer, X509 *issued, struct buf *why) {
    uint32_t flags = X509_get_extension_flags(issuer);
    bool old = X509_get_version(issuer) < 2;
    if ((!old && (flags & EXFLAG_CA) == 0) ||
        ((flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN) == 0)) {
        buf_add_text(why, "x509: invalid signature: parent certificate cannot sign this kind of "
                          "certificate");
        return true;
    }
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    int signed_with = signature_kind(issued);
    int has = key != NULL ? algorithm_of(EVP_PKEY_get_base_id(key)) : -1;
    if (signed_with < 0 || has < 0) {
        buf_add_text(why, "x509: cannot verify signature: algorithm unimplemented");
        return true;
    }
    if (signed_with != has) {
        buf_add_format(why,
                       "x509: signature algorithm specifies an %s public key, but have public key "
                       "of type %s",
                       algorithms[signed_with].name, algorithms[has].type);
        return true;
    }
    if (X509_verify(issued, key) == 1)
        return false;
    buf_add_text(why, algorithms[has].fault);
    return true;
}

static struct str entry(const X509 *x, int nid) {
    X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, nid, -1);
    return at < 0 ? STR_NONE : content(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static struct str title(X509 *x, struct arena *arena) {
    struct str name = entry(x, NID_commonName);
    if (name.len == 0)
        name = entry(x, NID_organizationName);
    if (name.len > 0)
        return str_quote(arena, name);
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    char *digits = number != NULL ? BN_bn2dec(number) : NULL;
    struct str text = str_format(arena, "\"serial:%s\"", digits != NULL ? digits : "");
    OPENSSL_free(digits);
    BN_free(number);
    return text;
}

static void say_unknown(X509_STORE_CTX *ctx, struct buf *text) {
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    X509_STORE *anchors = X509_STORE_CTX_get0_store(ctx);
    buf_add_text(text, "x509: certificate signed by unknown authority");
    X509 *last = X509_STORE_CTX_get0_cert(ctx);
    /* The last that is not an anchor itself: whose issuer is looked for. */
    if (sk_X509_num(chain) > 0)
        last =
            sk_X509_value(chain, sk_X509_num(chain) > 1 && X509_STORE_CTX_get_error_depth(ctx) > 0
                                     ? X509_STORE_CTX_get_error_depth(ctx) - 1
                                     : 0);
    X509 *candidate = anchors != NULL ? candidate_in(anchors, last) : NULL;
    struct buf why = BUF_INIT;
    struct arena arena = ARENA_INIT;
    if (candidate != NULL && X509_cmp(candidate, last) != 0 &&
        say_issuer_fault(candidate, last, &why))
        buf_add_format(text,
                       " (possibly because of " STR_FMT
                       " while trying to verify candidate authority certificate " STR_FMT ")",
                       STR_ARG(str_quote(&arena, buf_str(&why))),
                       STR_ARG(title(candidate, &arena)));
    arena_free(&arena);
    buf_free(&why);
}

void trust_say_chain(X509_STORE_CTX *ctx, struct buf *text) {
    switch (X509_STORE_CTX_get_error(ctx)) {
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
        say_constraint(ctx, text);
        return;
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
        buf_add_text(text, "x509: too many intermediates for path length constraint");
        return;
    case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
        buf_add_text(text, "x509: unhandled critical extension");
        return;
    default:
        say_unknown(ctx, text);
    }
}

/* Judging certificates: see trust.h. The order of what is looked at is the peer's, because only the
 * first that is wrong is told: the leaf's extensions, its dates, its names, the chain, the uses.
 */
#include "codec/trust.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/time.h"
#include "codec/trust_text.h"

/* ---- dates ---- */

static void add_time(struct buf *text, const struct tm *t) {
    char shown[40];
    strftime(shown, sizeof shown, "%Y-%m-%dT%H:%M:%SZ", t);
    buf_add_text(text, shown);
}

/* Not time(), which OpenSSL would ask: it runs some milliseconds behind, and a certificate that was
 * made in this second would not be valid yet. */
static time_t now_seconds(void) {
    return (time_t)(time_now_wall() / SECOND);
}

static void say_time(const X509 *x, bool over, struct buf *text) {
    struct tm now, limit;
    time_t seconds = now_seconds();
    gmtime_r(&seconds, &now);
    buf_add_text(text, "x509: certificate has expired or is not yet valid: current time ");
    add_time(text, &now);
    buf_add_text(text, over ? " is after " : " is before ");
    const ASN1_TIME *at = over ? X509_get0_notAfter(x) : X509_get0_notBefore(x);
    if (ASN1_TIME_to_tm(at, &limit) == 1)
        add_time(text, &limit);
}

static bool dates_are_right(const X509 *x, struct buf *text) {
    /* 0, which is an error, counts as wrong. */
    time_t now = now_seconds();
    bool begun = X509_cmp_time(X509_get0_notBefore(x), &now) < 0;
    bool over = X509_cmp_time(X509_get0_notAfter(x), &now) <= 0;
    if (!begun || over)
        say_time(x, begun, text);
    return begun && !over;
}

/* ---- uses ---- */

static bool may_be_used(const X509 *x, enum trust_use use) {
    int wanted = use == TRUST_AS_SERVER ? NID_server_auth : NID_client_auth;
    EXTENDED_KEY_USAGE *uses = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
    bool may = uses == NULL;
    for (int i = 0; uses != NULL && i < sk_ASN1_OBJECT_num(uses); i++) {
        int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(uses, i));
        may |= nid == wanted || nid == NID_anyExtendedKeyUsage;
        may |= use == TRUST_AS_SERVER && (nid == NID_ms_sgc || nid == NID_ns_sgc);
    }
    sk_ASN1_OBJECT_pop_free(uses, ASN1_OBJECT_free);
    return may;
}

static bool chain_may_be_used(X509_STORE_CTX *ctx, enum trust_use use) {
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (!may_be_used(sk_X509_value(chain, i), use))
            return false;
    }
    return true;
}

/* ---- names ---- */

/* RFC 6125 as the peer reads it: a "*" stands for the whole first label. */
static bool name_matches(struct str pattern, struct str name) {
    if (str_has_prefix(pattern, STR("*."))) {
        ptrdiff_t dot = str_find_char(name, '.');
        return dot > 0 && str_eq_fold(str_sub(pattern, 2, pattern.len),
                                      str_sub(name, (size_t)dot + 1, name.len));
    }
    return pattern.len > 0 && str_eq_fold(pattern, name);
}

static struct str content(const ASN1_STRING *s) {
    return str_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* One of the names that are of the wanted kind; absent: it is of another. */
static struct str name_at(const GENERAL_NAMES *names, int i, int kind) {
    const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
    if (n->type != kind)
        return STR_NONE;
    return content(kind == GEN_DNS ? n->d.dNSName : n->d.iPAddress);
}

static void add_address(struct buf *list, struct str bytes) {
    char shown[INET6_ADDRSTRLEN] = "?";
    if (bytes.len == 4 || bytes.len == 16)
        inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.data, shown, sizeof shown);
    buf_add_text(list, shown);
}

static void say_names(const GENERAL_NAMES *names, int kind, struct str wanted, struct buf *text) {
    struct buf list = BUF_INIT;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        struct str name = name_at(names, i, kind);
        if (name.data == NULL)
            continue;
        if (list.len > 0)
            buf_add_text(&list, ", ");
        if (kind == GEN_IPADD)
            add_address(&list, name);
        else
            buf_add_str(&list, name);
    }
    if (list.len > 0)
        buf_add_format(text, "x509: certificate is valid for %.*s, not " STR_FMT, (int)list.len,
                       list.data, STR_ARG(wanted));
    else if (kind == GEN_IPADD)
        buf_add_format(text,
                       "x509: cannot validate certificate for " STR_FMT
                       " because it doesn't contain any IP SANs",
                       STR_ARG(wanted));
    else
        buf_add_format(text,
                       "x509: certificate is not valid for any names, but wanted to match " STR_FMT,
                       STR_ARG(wanted));
    buf_free(&list);
}

static struct str common_name(X509 *x) {
    X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at < 0 ? STR_NONE : content(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

/* The bytes of an address; 0: it is a host's name. */
static size_t address_of(struct str name, char bytes[16]) {
    char text[INET6_ADDRSTRLEN];
    if (name.len == 0 || name.len >= sizeof text)
        return 0;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    if (inet_pton(AF_INET, text, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

static struct str without_dot(struct str name) {
    return str_has_suffix(name, STR(".")) ? str_sub(name, 0, name.len - 1) : name;
}

/* A final dot of the wanted name does not count; a certificate's name with one is only itself. */
static bool one_is_right(const GENERAL_NAMES *names, struct str wanted, struct str address) {
    struct str host = without_dot(wanted);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        struct str name = name_at(names, i, address.len > 0 ? GEN_IPADD : GEN_DNS);
        if (name.data != NULL &&
            (address.len > 0 ? str_eq(name, address)
                             : name_matches(name, host) || str_eq_fold(name, wanted)))
            return true;
    }
    return false;
}

static bool name_is_right(X509 *leaf, struct str wanted, struct buf *text) {
    char bytes[16];
    struct str address = str_of(bytes, address_of(wanted, bytes));
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool right = one_is_right(names, wanted, address);
    if (!right && names == NULL && name_matches(common_name(leaf), without_dot(wanted)))
        buf_add_text(
            text, "x509: certificate relies on legacy Common Name field, use SANs or temporarily "
                  "enable Common Name matching with GODEBUG=x509ignoreCN=0");
    else if (!right)
        say_names(names, address.len > 0 ? GEN_IPADD : GEN_DNS, wanted, text);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return right;
}

/* ---- all of it ---- */

static bool refuse(X509_STORE_CTX *ctx, int code) {
    X509_STORE_CTX_set_error(ctx, code);
    return false;
}

static void say(X509_STORE_CTX *ctx, struct buf *text) {
    const X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    int code = X509_STORE_CTX_get_error(ctx);
    if (code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID)
        say_time(x, code == X509_V_ERR_CERT_HAS_EXPIRED, text);
    else
        trust_say_chain(ctx, text);
}

bool trust_judge(X509_STORE_CTX *ctx, enum trust_use use, struct str name, struct buf *text) {
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
    if ((X509_get_extension_flags(leaf) & EXFLAG_CRITICAL) != 0) {
        buf_add_text(text, "x509: unhandled critical extension");
        return refuse(ctx, X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION);
    }
    if (!dates_are_right(leaf, text))
        return refuse(ctx, X509_V_ERR_CERT_HAS_EXPIRED);
    if (name.len > 0 && !name_is_right(leaf, name, text))
        return refuse(ctx, X509_V_ERR_CERT_REJECTED);
    X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_ANY);
    X509_VERIFY_PARAM_set_trust(rules, X509_TRUST_DEFAULT);
    X509_VERIFY_PARAM_set_auth_level(rules, 0);
    X509_VERIFY_PARAM_set_time(rules, now_seconds());
    if (X509_verify_cert(ctx) != 1) {
        say(ctx, text);
        return false;
    }
    if (!chain_may_be_used(ctx, use)) {
        buf_add_text(text, "x509: certificate specifies an incompatible key usage");
        return refuse(ctx, X509_V_ERR_INVALID_PURPOSE);
    }
    return true;
}

/* Who is believed (tls.md 3): a chain to one of the anchors at the present time, of certificates
 * that may be used for what they are shown for, and for servers the name; in the peer's words. The
 * signatures and the chain are OpenSSL's, what the peer's library sees differently is here: uses
 * (an absent or "any" extension allows all, each certificate of the chain counts), and names (never
 * the subject's).
 */
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "net/tls_room.h"

static int refuse(X509_STORE_CTX *ctx, int code) {
    X509_STORE_CTX_set_error(ctx, code);
    return 0;
}

static struct tls_session *session_of(X509_STORE_CTX *ctx) {
    return tls_session_of(X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

/* ---- texts ---- */

static void time_text(char out[40], const struct tm *t) {
    strftime(out, 40, "%Y-%m-%dT%H:%M:%SZ", t);
}

static void say_time(struct tls_session *s, X509_STORE_CTX *ctx, bool over) {
    const X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    char now_text[40], limit_text[40] = "";
    struct tm now, limit;
    time_t seconds = (time_t)(time_now_wall() / SECOND);
    gmtime_r(&seconds, &now);
    time_text(now_text, &now);
    if (x != NULL &&
        ASN1_TIME_to_tm(over ? X509_get0_notAfter(x) : X509_get0_notBefore(x), &limit) == 1)
        time_text(limit_text, &limit);
    snprintf(s->error, sizeof s->error,
             "x509: certificate has expired or is not yet valid: current time %s is %s %s",
             now_text, over ? "after" : "before", limit_text);
}

static void say(struct tls_session *s, X509_STORE_CTX *ctx) {
    switch (X509_STORE_CTX_get_error(ctx)) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        say_time(s, ctx, true);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        say_time(s, ctx, false);
        return;
    case X509_V_ERR_INVALID_PURPOSE:
        snprintf(s->error, sizeof s->error,
                 "x509: certificate specifies an incompatible key usage");
        return;
    default:
        snprintf(s->error, sizeof s->error, "x509: certificate signed by unknown authority");
    }
}

/* ---- uses ---- */

static bool may_be_used(const X509 *x, int wanted) {
    EXTENDED_KEY_USAGE *uses = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
    bool may = uses == NULL;
    for (int i = 0; uses != NULL && i < sk_ASN1_OBJECT_num(uses); i++) {
        int use = OBJ_obj2nid(sk_ASN1_OBJECT_value(uses, i));
        may |= use == wanted || use == NID_anyExtendedKeyUsage;
    }
    sk_ASN1_OBJECT_pop_free(uses, ASN1_OBJECT_free);
    return may;
}

static bool chain_may_be_used(X509_STORE_CTX *ctx, int wanted) {
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (!may_be_used(sk_X509_value(chain, i), wanted))
            return false;
    }
    return true;
}

/* ---- names ---- */

static bool equal_fold(const char *a, size_t a_len, struct str b) {
    return str_eq_fold(str_of(a, a_len), b);
}

/* RFC 6125 as the peer reads it: a "*" stands for the whole first label. */
static bool name_matches(struct str pattern, struct str name) {
    if (str_has_prefix(pattern, STR("*."))) {
        ptrdiff_t dot = str_find_char(name, '.');
        return dot > 0 && equal_fold(pattern.data + 2, pattern.len - 2,
                                     str_of(name.data + dot + 1, name.len - (size_t)dot - 1));
    }
    return pattern.len > 0 && equal_fold(pattern.data, pattern.len, name);
}

static struct str dns_name(const GENERAL_NAMES *names, int i) {
    const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
    if (n->type != GEN_DNS)
        return STR_NONE;
    return str_of((const char *)ASN1_STRING_get0_data(n->d.dNSName),
                  (size_t)ASN1_STRING_length(n->d.dNSName));
}

static void say_names(struct tls_session *s, const GENERAL_NAMES *names, struct str wanted) {
    struct buf list = BUF_INIT;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        struct str name = dns_name(names, i);
        if (name.data == NULL)
            continue;
        if (list.len > 0)
            buf_add_text(&list, ", ");
        buf_add_str(&list, name);
    }
    if (list.len == 0)
        snprintf(s->error, sizeof s->error,
                 "x509: certificate is not valid for any names, but wanted to match " STR_FMT,
                 STR_ARG(wanted));
    else
        snprintf(s->error, sizeof s->error, "x509: certificate is valid for %.*s, not " STR_FMT,
                 (int)list.len, list.data, STR_ARG(wanted));
    buf_free(&list);
}

static bool name_is_right(struct tls_session *s, X509 *leaf) {
    struct str wanted = buf_str(&s->name);
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool right = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        struct str name = dns_name(names, i);
        right |= name.data != NULL && name_matches(name, wanted);
    }
    if (!right && names == NULL)
        snprintf(s->error, sizeof s->error,
                 "x509: certificate relies on legacy Common Name field, use SANs or temporarily "
                 "enable Common Name matching with GODEBUG=x509ignoreCN=0");
    else if (!right)
        say_names(s, names, wanted);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return right;
}

/* ---- chains ---- */

static bool chain_is_good(X509_STORE_CTX *ctx, int use) {
    X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_ANY);
    X509_VERIFY_PARAM_set_trust(rules, X509_TRUST_DEFAULT);
    X509_VERIFY_PARAM_set_auth_level(rules, 0);
    if (X509_verify_cert(ctx) != 1)
        return false;
    if (!chain_may_be_used(ctx, use))
        return refuse(ctx, X509_V_ERR_INVALID_PURPOSE) != 0;
    return true;
}

int tls_verify_client(X509_STORE_CTX *ctx, void *owner) {
    (void)owner;
    struct tls_session *s = session_of(ctx);
    if (chain_is_good(ctx, NID_client_auth))
        return 1;
    say(s, ctx);
    char text[sizeof s->error];
    snprintf(text, sizeof text, "%s", s->error);
    snprintf(s->error, sizeof s->error, "tls: failed to verify client certificate: %.440s", text);
    return refuse(ctx, X509_V_ERR_CERT_REJECTED); /* alert 42, whatever it was */
}

int tls_verify_server(X509_STORE_CTX *ctx, void *owner) {
    (void)owner;
    struct tls_session *s = session_of(ctx);
    if (!chain_is_good(ctx, NID_server_auth)) {
        say(s, ctx);
        return 0;
    }
    if (s->name.len > 0 && !name_is_right(s, X509_STORE_CTX_get0_cert(ctx)))
        return refuse(ctx, X509_V_ERR_CERT_REJECTED);
    return 1;
}

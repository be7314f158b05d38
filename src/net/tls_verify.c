/* Whom sessions believe: codec/trust.h's judgement, with its words as the session's error (tls.md
 * 3).
 */
#include <openssl/x509v3.h>
#include <stdio.h>

#include "codec/trust.h"
#include "net/tls_room.h"

static struct tls_session *session_of(X509_STORE_CTX *ctx) {
    return tls_session_of(X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

struct str tls_uri_of(X509 *x, struct arena *arena) {
    struct str uri = STR_NONE;
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && uri.data == NULL; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI) {
            const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
            uri = str_copy(arena,
                           str_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)));
        }
    }
    GENERAL_NAMES_free(names);
    return uri;
}

/* A good certificate, but of the one who is meant? */
static bool is_meant(X509_STORE_CTX *ctx, struct tls_session *s, struct buf *why) {
    struct arena arena = ARENA_INIT;
    bool meant = s->judge == NULL ||
                 s->judge(s->judge_owner, tls_uri_of(X509_STORE_CTX_get0_cert(ctx), &arena), why);
    arena_free(&arena);
    if (!meant)
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
    return meant;
}

static bool judge(X509_STORE_CTX *ctx, enum trust_use use, struct str name, const char *before) {
    struct tls_session *s = session_of(ctx);
    struct buf text = BUF_INIT;
    bool good = trust_judge(ctx, use, name, &text);
    if (!good)
        snprintf(s->error, sizeof s->error, "%s%.*s", before, (int)text.len, text.data);
    else if (!(good = is_meant(ctx, s, &text)))
        snprintf(s->error, sizeof s->error, "%.*s", (int)text.len, text.data);
    buf_free(&text);
    return good;
}

int tls_verify_client(X509_STORE_CTX *ctx, void *owner) {
    (void)owner;
    if (judge(ctx, TRUST_AS_CLIENT, STR_NONE, "tls: failed to verify client certificate: "))
        return 1;
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED); /* alert 42, whatever it was */
    return 0;
}

int tls_verify_server(X509_STORE_CTX *ctx, void *owner) {
    (void)owner;
    return judge(ctx, TRUST_AS_SERVER, buf_str(&session_of(ctx)->name), "");
}

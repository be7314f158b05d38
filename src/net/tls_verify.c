/* Whom sessions believe: codec/trust.h's judgement, with its words as the session's error (tls.md
 * 3).
 */
#include <stdio.h>

#include "codec/trust.h"
#include "net/tls_room.h"

static struct tls_session *session_of(X509_STORE_CTX *ctx) {
    return tls_session_of(X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

static bool judge(X509_STORE_CTX *ctx, enum trust_use use, struct str name, const char *before) {
    struct tls_session *s = session_of(ctx);
    struct buf text = BUF_INIT;
    bool good = trust_judge(ctx, use, name, &text);
    if (!good)
        snprintf(s->error, sizeof s->error, "%s%.*s", before, (int)text.len, text.data);
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

/* Who is believed over TLS, and how the peer words it when somebody is not (tls.md 3, 5): a chain
 * to one of the anchors at the present time, of certificates that may be used for what they are
 * shown for, and the name. OpenSSL follows chains and checks signatures; what the peer's library
 * sees differently is here: uses (an absent or "any" extension allows all, each certificate of the
 * chain counts) and names (never the subject's). For whoever lets OpenSSL do his TLS: net/, and
 * libcurl's users in agent/ and cli/.
 */
#ifndef PRAETOR_CODEC_TRUST_H
#define PRAETOR_CODEC_TRUST_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum trust_use { TRUST_AS_SERVER, TRUST_AS_CLIENT };

/* Whether the context's leaf is believed; name: of the host or IP address that it must be valid
 * for, absent: any. False sets *text: "x509: certificate signed by unknown authority", ... */
bool trust_judge(X509_STORE_CTX *ctx, enum trust_use use, struct str name, struct buf *text);

/* The next certificate of a PEM text that can be read; what else is there is skipped. NULL: no
 * more. The caller's to free. */
X509 *trust_next(BIO *bio);

struct trust_pair { /* the caller's to free */
    X509 *leaf;
    STACK_OF(X509) * chain; /* behind the leaf */
    EVP_PKEY *key;
};
/* PEM texts of a chain, leaf first, and its key. False: "tls: private key does not match public
 * key", ... (tls.md 11). Nobody is asked for a password. */
bool trust_read_pair(struct str certificate, struct str key, struct trust_pair *out,
                     struct error *e);
void trust_pair_free(struct trust_pair *pair);

/* "tls: bad certificate" for the number of an alert, behind "remote error: ". In `spare` when it
 * has no name. */
const char *trust_alert(int number, char spare[32]);

/* ---- clients whose connections are libcurl's ---- */

/* What is wanted of the servers of some connections, and what was wrong with the last of them. */
struct trust_watch;
/* Counted: by the maker and by each SSL_CTX that it was attached to. */
struct trust_watch *trust_watch_new(struct str name);
void trust_watch_release(struct trust_watch *w); /* NULL is allowed */
/* Servers are judged by trust_judge (verify) or not at all; alerts are noted. False: OpenSSL has no
 * memory left. */
bool trust_watch_attach(struct trust_watch *w, SSL_CTX *ctx, bool verify);
/* "x509: …", "remote error: tls: …"; absent: nothing was wrong. Valid until the next connection. */
struct str trust_watch_fault(const struct trust_watch *w);
void trust_watch_forget(struct trust_watch *w);

#endif

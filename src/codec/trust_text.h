/* What trust.c has of trust_text.c. For it only.
 */
#ifndef PRAETOR_CODEC_TRUST_TEXT_H
#define PRAETOR_CODEC_TRUST_TEXT_H

#include <openssl/x509.h>

#include "base/buf.h"

/* Why X509_verify_cert found no good chain, dates apart. */
void trust_say_chain(X509_STORE_CTX *ctx, struct buf *text);

#endif

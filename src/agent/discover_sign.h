/* What requests to clouds are signed with, besides Amazon's (net/aws_sign.h): the RS256 tokens of
 * Google's service accounts. Pure but for OpenSSL.
 */
#ifndef PRAETOR_AGENT_DISCOVER_SIGN_H
#define PRAETOR_AGENT_DISCOVER_SIGN_H

#include "base/error.h"

/* "header.claims.signature", signed with a private key in PEM. */
bool jwt_sign(struct str key_pem, struct str key_id, struct str claims, struct str *out,
              struct arena *arena, struct error *e);

#endif

/* A bearer token's outside (RFC 7515): three parts, or the JSON form of them; its header, payload
 * and signature. Nothing of it is believed before auth_jwt_keys.h has looked at the signature.
 * Texts are those of the peer's library.
 */
#ifndef PRAETOR_SERVER_AUTH_JWT_TOKEN_H
#define PRAETOR_SERVER_AUTH_JWT_TOKEN_H

#include "base/error.h"
#include "codec/value.h"

struct jwt {
    struct str compact;            /* "header.payload.signature", without blanks; terminated */
    struct str signed_part;        /* of compact: "header.payload" */
    struct str payload, signature; /* decoded */
    struct str alg, kid;           /* of the protected header; empty when it has none */
    bool verifiable; /* false: nothing can make the signature count (an unknown critical header,
                      * more than one signature) */
};

/* Parts that are no base64url, a header that is no JSON…: "square/go-jose: compact JWS format must
 * have three parts". The strings are in the arena. */
bool jwt_parse(struct str bearer, struct jwt *out, struct arena *arena, struct error *e);

/* What the peer's JSON errors call a value: "string", "number", "bool", "object", "array". */
const char *jwt_json_kind(const struct value *v);
/* A key that an object has twice is an error, anywhere below: "json: duplicate key 'a' in object".
 */
bool jwt_json_unique(const struct value *v, struct error *e);
/* The value of the exact key, the last one; NULL when there is none or it is null. */
const struct value *jwt_json_get(const struct value *object, const char *key);

#endif

/* The public keys that bearer tokens are signed with: from PEM texts, from JWK sets (RFC 7517), and
 * whether one of them made a signature. RSA and EC by cjose, Ed25519 by OpenSSL. Symmetric keys
 * count for nothing, whoever names them: a token's "HS256" would be a signature that anybody can
 * make.
 *
 * cjose is loaded when the first key is wanted (see net/http_client.h for why).
 */
#ifndef PRAETOR_SERVER_AUTH_JWT_KEYS_H
#define PRAETOR_SERVER_AUTH_JWT_KEYS_H

#include "server/auth_jwt_token.h"

#define JWT_KEYS_MAX 1024 /* of one set */

struct jwt_key;

/* Reference-counted; any thread. */
struct jwt_keys;
struct jwt_keys *jwt_keys_new(void);
struct jwt_keys *jwt_keys_hold(struct jwt_keys *keys);
void jwt_keys_release(struct jwt_keys *keys); /* NULL is allowed */
size_t jwt_keys_count(const struct jwt_keys *keys);

/* Before it is shared. The first block of a PEM text: a public key or a certificate. The error is
 * the peer's: "data does not contain any valid RSA, ECDSA, or ED25519 public keys", "asn1: …". */
bool jwt_keys_add_pem(struct jwt_keys *keys, struct str pem, struct error *e);
/* A JWK set, {"keys":[…]}. All or nothing: one that cannot be read spoils it, as with the peer. */
bool jwt_keys_add_set(struct jwt_keys *keys, struct str json, struct arena *arena, struct error *e);

/* Whether one of the keys made the signature; with by_id only those whose ID is the token's, if it
 * names one. */
bool jwt_keys_verify(const struct jwt_keys *keys, const struct jwt *token, bool by_id);

/* What the peer says of a PEM text's or certificate's DER that is neither ("asn1: structure error:
 * …"). auth_jwt_asn1.c. */
struct str jwt_asn1_fault(struct str der, struct arena *arena);

#endif

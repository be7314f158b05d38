/* Private keys of the mesh's certificates (connect.md 3.2): made, written and read as PEM, and the
 * ids that are shown of keys and certificates. By OpenSSL.
 */
#ifndef PRAETOR_SERVER_CA_KEY_H
#define PRAETOR_SERVER_CA_KEY_H

#include <openssl/evp.h>

#include "base/error.h"

/* type "ec" with 224, 256, 384 or 521 bits, "rsa" with any. NULL with an error. RSA keys take
 * seconds. The caller frees (EVP_PKEY_free). */
EVP_PKEY *ca_key_new(struct str type, int64_t bits, struct error *e);
/* The first private key of a PEM text, without a password. NULL: "no PEM-encoded data found", … */
EVP_PKEY *ca_key_read(struct str pem, struct error *e);
/* "EC PRIVATE KEY", "RSA PRIVATE KEY". */
struct str ca_key_pem(EVP_PKEY *key, struct arena *arena);
/* "ec", 256. */
void ca_key_kind(const EVP_PKEY *key, struct str *type, int64_t *bits);

#define CA_KEY_ID_SIZE 32
/* SHA-256 of the SubjectPublicKeyInfo: SubjectKeyId. */
void ca_key_id(EVP_PKEY *key, uint8_t out[CA_KEY_ID_SIZE]);
/* "0b:d1:38". */
struct str ca_hex(const void *bytes, size_t len, struct arena *arena);

#endif

/* Encryption of packets and streams (gossip.md 2.6): AES-GCM under the keys of a ring. Payload:
 * version, nonce of 12 bytes, ciphertext, tag of 16.
 */
#ifndef PRAETOR_GOSSIP_CRYPT_H
#define PRAETOR_GOSSIP_CRYPT_H

#include "base/buf.h"
#include "base/error.h"
#include "gossip/keyring.h"

#define CRYPT_VERSION 1
#define CRYPT_NONCE 12
#define CRYPT_TAG 16
#define CRYPT_OVERHEAD (1 + CRYPT_NONCE + CRYPT_TAG) /* of version 1 */
#define CRYPT_OVERHEAD_PADDED (CRYPT_OVERHEAD + 16)  /* of version 0, at most */

/* OpenSSL's context, made once: making one takes longer than encrypting a packet. */
struct crypt {
    void *context; /* NULL until first use */
};
void crypt_free(struct crypt *c);

/* How long the payload of `len` bytes will be. */
size_t crypt_size(unsigned version, size_t len);
/* Appends the payload, made with the primary key. Version 0 is written for tests only. */
void crypt_seal(struct crypt *c, struct buf *out, unsigned version, const struct keyring *ring,
                const uint8_t nonce[CRYPT_NONCE], struct str plain, struct str aad);
/* Appends the plaintext. Tries all keys. */
bool crypt_open(struct crypt *c, struct buf *out, const struct keyring *ring, struct str payload,
                struct str aad, struct error *e);

#endif

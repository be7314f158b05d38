/* BLAKE2b-256 (RFC 7693), unkeyed: the hash that ACL objects and intentions carry (acl.md 4.5).
 * Libraries that we use have its 512-bit form only.
 */
#ifndef PRAETOR_CODEC_BLAKE2B_H
#define PRAETOR_CODEC_BLAKE2B_H

#include "base/str.h"

#define BLAKE2B_BYTES 32
#define BLAKE2B_BLOCK 128

struct blake2b {
    uint64_t state[8];
    uint64_t count; /* bytes taken before the block; 2^64 of them cannot be fed */
    uint8_t block[BLAKE2B_BLOCK];
    size_t used;
};
void blake2b_start(struct blake2b *h);
void blake2b_add(struct blake2b *h, struct str bytes);
void blake2b_end(struct blake2b *h, uint8_t out[BLAKE2B_BYTES]);

#endif

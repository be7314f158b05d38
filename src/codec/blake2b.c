/* BLAKE2b-256 by RFC 7693, section 3. Not a general one: no key, one length.
 */
#include "codec/blake2b.h"

static const uint64_t iv[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                               0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                               0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

/* Message word schedule; rounds 10 and 11 use rows 0 and 1 again. */
static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t rotate(uint64_t x, unsigned bits) {
    return x >> bits | x << (64 - bits);
}

static uint64_t load(const uint8_t *p) {
    uint64_t x = 0;
    for (unsigned i = 0; i < 8; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static void mix(uint64_t *v, unsigned a, unsigned b, unsigned c, unsigned d, uint64_t x,
                uint64_t y) {
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 63);
}

static void compress(struct blake2b *h, uint64_t count, bool last) {
    uint64_t v[16], m[16];
    for (unsigned i = 0; i < 8; i++) {
        v[i] = h->state[i];
        v[i + 8] = iv[i];
    }
    v[12] ^= count;
    if (last)
        v[14] = ~v[14];
    for (unsigned i = 0; i < 16; i++)
        m[i] = load(h->block + 8 * i);
    for (unsigned round = 0; round < 12; round++) {
        const uint8_t *s = sigma[round % 10];
        for (unsigned i = 0; i < 4; i++)
            mix(v, i, i + 4, i + 8, i + 12, m[s[2 * i]], m[s[2 * i + 1]]);
        for (unsigned i = 0; i < 4; i++)
            mix(v, i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12, m[s[8 + 2 * i]],
                m[s[9 + 2 * i]]);
    }
    for (unsigned i = 0; i < 8; i++)
        h->state[i] ^= v[i] ^ v[i + 8];
}

void blake2b_start(struct blake2b *h) {
    memset(h, 0, sizeof *h);
    memcpy(h->state, iv, sizeof iv);
    h->state[0] ^= 0x01010000 ^ BLAKE2B_BYTES; /* no key; length of the hash */
}

void blake2b_add(struct blake2b *h, struct str bytes) {
    while (bytes.len > 0) {
        if (h->used == BLAKE2B_BLOCK) { /* the last block is not known to be the last until later */
            h->count += BLAKE2B_BLOCK;
            compress(h, h->count, false);
            h->used = 0;
        }
        size_t room = BLAKE2B_BLOCK - h->used;
        size_t n = bytes.len < room ? bytes.len : room;
        memcpy(h->block + h->used, bytes.data, n);
        h->used += n;
        bytes = str_sub(bytes, n, bytes.len);
    }
}

void blake2b_end(struct blake2b *h, uint8_t out[BLAKE2B_BYTES]) {
    memset(h->block + h->used, 0, BLAKE2B_BLOCK - h->used);
    compress(h, h->count + h->used, true);
    for (unsigned i = 0; i < BLAKE2B_BYTES; i++)
        out[i] = (uint8_t)(h->state[i / 8] >> (8 * (i % 8)));
}

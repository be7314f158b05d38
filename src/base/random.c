/* Kernel randomness, a seeded generator, and random UUIDs. The seeded generator's output must never
 * change: recorded simulator seeds depend on it.
 */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/mem.h"

void random_bytes(void *out, size_t len) {
    char *at = out;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0) {
            ASSERT(errno == EINTR);
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
}

/* splitmix64: spreads a seed, however poor, over the whole state. */
static uint64_t seed_next(uint64_t *x) {
    *x += 0x9e3779b97f4a7c15u;
    uint64_t z = *x;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void prng_seed(struct prng *p, uint64_t seed) {
    for (size_t i = 0; i < COUNT_OF(p->state); i++) {
        p->state[i] = seed_next(&seed);
    }
}

static uint64_t rotate_left(uint64_t x, unsigned n) {
    return (x << n) | (x >> (64 - n));
}

uint64_t prng_next(struct prng *p) {
    uint64_t *s = p->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t limit) {
    ASSERT(limit > 0);
    /* Numbers below 2^64 mod limit would make the small results more likely: draw again. */
    uint64_t unfair = -limit % limit;
    uint64_t n;
    do {
        n = prng_next(p);
    } while (n < unfair);
    return n % limit;
}

double prng_unit(struct prng *p) {
    return (double)(prng_next(p) >> 11) * 0x1.0p-53;
}

void uuid_format(const uint8_t bytes[16], char out[37]) {
    static const char hex[] = "0123456789abcdef";
    char *at = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    *at = '\0';
}

void uuid_random(char out[37]) {
    uint8_t bytes[16];
    random_bytes(bytes, sizeof bytes);
    uuid_format(bytes, out);
}

/* Randomness: from the kernel for secrets and identifiers, and a small seeded generator for cores,
 * tests and jitter, whose seed comes in as an argument so that a run can be replayed.
 */
#ifndef PRAETOR_BASE_RANDOM_H
#define PRAETOR_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Kernel randomness. Never fails: without it the process ends. */
void random_bytes(void *out, size_t len);

/* xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64. */
struct prng {
    uint64_t state[4];
};
void prng_seed(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
/* Uniform in 0..limit-1; limit > 0. */
uint64_t prng_below(struct prng *p, uint64_t limit);
double prng_unit(struct prng *p); /* [0, 1) */

/* A random UUID as the peer makes them: 16 random bytes in the 8-4-4-4-12 form. out: 37 bytes. */
void uuid_random(char out[37]);
void uuid_format(const uint8_t bytes[16], char out[37]);

#endif

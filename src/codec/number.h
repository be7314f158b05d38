/* Numbers as texts, as the peer's language reads and writes them. Where integers may have any base:
 * a sign, 0x, 0o, 0b or 0 in front, underscores between digits.
 */
#ifndef PRAETOR_CODEC_NUMBER_H
#define PRAETOR_CODEC_NUMBER_H

#include "base/arena.h"
#include "base/str.h"

/* NULL, or what is wrong: "invalid syntax", "value out of range"; *out is then unchanged. No sign
 * is allowed where there is none (u64). */
const char *number_parse_i64(struct str s, int64_t *out);
const char *number_parse_u64(struct str s, uint64_t *out);
/* Decimal or, with 0x and an exponent (p), hexadecimal; "Inf", "infinity" and "nan" in any case. */
const char *number_parse_f32(struct str s, float *out);

/* The whole part, as the peer's processors convert it: what does not fit is the least number. */
int64_t number_i64_of(double n);

/* The fewest digits that read back as the same number, never with an exponent. Finite. */
struct str number_f64_text(struct arena *arena, double n);

#endif

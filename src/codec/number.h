/* Integers as texts, as the peer's language reads them where it takes any base: a sign, 0x, 0o, 0b
 * or 0 in front, underscores between digits.
 */
#ifndef PRAETOR_CODEC_NUMBER_H
#define PRAETOR_CODEC_NUMBER_H

#include "base/str.h"

/* NULL, or what is wrong: "invalid syntax", "value out of range"; *out is then unchanged. No sign
 * is allowed where there is none (u64). */
const char *number_parse_i64(struct str s, int64_t *out);
const char *number_parse_u64(struct str s, uint64_t *out);

#endif

/* UUIDs as text: 36 characters, 8-4-4-4-12 hexadecimal digits. Making random ones is
 * base/random.h's.
 */
#ifndef PRAETOR_CODEC_UUID_H
#define PRAETOR_CODEC_UUID_H

#include "base/error.h"
#include "base/str.h"

/* Any letter case; no version or variant is asked for. */
bool uuid_valid(struct str text);
/* As the peer parses node IDs: "uuid string is wrong length", "uuid is improperly formatted". */
bool uuid_parse(struct str text, uint8_t out[16], struct error *e);
/* As the peer's state store reads IDs that it looks up: 36 characters, of which at most 4 are
 * dashes, anywhere. So up to 18 bytes come out, and only 16 can ever be found. Texts: "UUID must be
 * 36 characters", "UUID should have maximum of 4 "-"; got 5", "Input (without hyphens) must be even
 * length", "Invalid UUID: encoding/hex: invalid byte: U+0067 'g'". */
bool uuid_parse_index(struct str text, uint8_t out[18], size_t *len, struct error *e);

#endif

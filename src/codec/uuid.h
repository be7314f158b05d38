/* UUIDs as text: 36 characters, 8-4-4-4-12 hexadecimal digits. Making random ones is base/random.h's.
 */
#ifndef PRAETOR_CODEC_UUID_H
#define PRAETOR_CODEC_UUID_H

#include "base/error.h"
#include "base/str.h"

/* Any letter case; no version or variant is asked for. */
bool uuid_valid(struct str text);
/* As the peer parses node IDs: "uuid string is wrong length", "uuid is improperly formatted". */
bool uuid_parse(struct str text, uint8_t out[16], struct error *e);
/* As the peer's state store looks IDs up: "UUID must be 36 characters", "Invalid UUID element: …". */
bool uuid_parse_index(struct str text, uint8_t out[16], struct error *e);

#endif

/* Base64, standard alphabet with padding or URLs' without, with the texts of the peer's decoder.
 */
#ifndef PRAETOR_CODEC_BASE64_H
#define PRAETOR_CODEC_BASE64_H

#include "base/buf.h"
#include "base/error.h"

void base64_encode(struct buf *out, struct str bytes);
/* CR and LF are skipped. "illegal base64 data at input byte N". The result is never absent. */
bool base64_decode(struct str text, struct str *out, struct arena *arena, struct error *e);
/* The alphabet of URLs without padding, as tokens have it; otherwise the same. */
bool base64url_decode(struct str text, struct str *out, struct arena *arena, struct error *e);

#endif

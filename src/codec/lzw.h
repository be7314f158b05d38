/* LZW as gossip compresses with it (gossip.md 2.4): least significant bit first, literals of eight
 * bits, codes of up to twelve, no clear code at the start. Written to the byte as the peer writes.
 */
#ifndef PRAETOR_CODEC_LZW_H
#define PRAETOR_CODEC_LZW_H

#include "base/buf.h"
#include "base/error.h"

/* Appends. */
void lzw_compress(struct buf *out, struct str in);
/* Appends at most `limit` bytes. "unexpected EOF", "lzw: invalid code"; on failure `out` holds what
 * was read so far. */
bool lzw_decompress(struct buf *out, struct str in, size_t limit, struct error *e);

#endif

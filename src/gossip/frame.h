/* The layers around messages (gossip.md 2.3, 2.5, 3): compression, checksum, several messages in
 * one packet.
 */
#ifndef PRAETOR_GOSSIP_FRAME_H
#define PRAETOR_GOSSIP_FRAME_H

#include "base/buf.h"
#include "base/error.h"

#define FRAME_COMPOUND_MAX 127 /* parts: the peer reads no more */
#define FRAME_CRC_SIZE 5
#define FRAME_COMPOUND_OVERHEAD 2 /* and for each part */
#define FRAME_PART_OVERHEAD 2

/* CRC-32 (IEEE). */
uint32_t frame_crc32(struct str bytes);

/* Appends the message compressed. */
void frame_compress(struct buf *out, struct str message);
/* `bytes` behind the type byte; appends the message that is inside. */
bool frame_decompress(struct buf *out, struct str bytes, size_t limit, struct arena *arena,
                      struct error *e);
/* Appends the type byte, the checksum, and the message. */
void frame_add_crc(struct buf *out, struct str message);
/* Appends all parts as one message. At most FRAME_COMPOUND_MAX. */
void frame_compound(struct buf *out, const struct str *parts, size_t len);

/* The parts of a compound (bytes behind the type byte). */
struct frame_parts {
    struct str lengths, rest;
    size_t truncated; /* when all were read: parts that are not there */
};
bool frame_parts_begin(struct frame_parts *p, struct str bytes, struct error *e);
bool frame_parts_next(struct frame_parts *p, struct str *part);

#endif

/* The wire format of protocol buffers: numbers, keys and lengths, both ways. What the fields of a
 * message mean is for tables above: schema/proto.h and xds/message.h.
 */
#ifndef PRAETOR_CODEC_PROTOBUF_H
#define PRAETOR_CODEC_PROTOBUF_H

#include "base/buf.h"

enum pb_wire { PB_VARINT = 0, PB_64 = 1, PB_BYTES = 2, PB_32 = 5 };

void pb_add_varint(struct buf *out, uint64_t n);
void pb_add_key(struct buf *out, unsigned number, enum pb_wire wire);
void pb_add_number(struct buf *out, unsigned number, uint64_t n); /* key and varint */
void pb_add_bytes(struct buf *out, unsigned number, struct str bytes);
void pb_add_f64(struct buf *out, unsigned number, double d);
void pb_add_f32(struct buf *out, unsigned number, float f);
/* A message within: what is added between the two calls. */
size_t pb_open(struct buf *out, unsigned number);
void pb_close(struct buf *out, size_t opened);

struct pb_reader {
    struct str rest;
    const char *problem; /* after a failure: "unexpected end of bytes", … */
};
bool pb_take_varint(struct pb_reader *r, uint64_t *out);
/* Field number and wire type; 0 is no number. */
bool pb_take_key(struct pb_reader *r, uint64_t *number, unsigned *wire);
/* With their length in front; a view. Never absent. */
bool pb_take_bytes(struct pb_reader *r, struct str *out);
bool pb_take_fixed(struct pb_reader *r, size_t len, struct str *out);
bool pb_take_f64(struct pb_reader *r, double *out);
bool pb_skip(struct pb_reader *r, unsigned wire);

#endif

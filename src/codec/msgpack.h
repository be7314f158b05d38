/* msgpack as the peer writes it (rpc.md 3.2: the old dialect, raw = string = bytes, smallest
 * integer forms) and as it reads it (3.3). The writer appends to a buffer; the reader is a cursor
 * over bytes that allocates nothing, so that a hostile length costs nothing.
 */
#ifndef PRAETOR_CODEC_MSGPACK_H
#define PRAETOR_CODEC_MSGPACK_H

#include "base/buf.h"
#include "base/error.h"
#include "base/time.h"
#include "codec/value.h"

#define MSGPACK_MAX_DEPTH 100

void msgpack_write_nil(struct buf *out);
void msgpack_write_bool(struct buf *out, bool b);
void msgpack_write_i64(struct buf *out, int64_t n);
void msgpack_write_u64(struct buf *out, uint64_t n);
void msgpack_write_f64(struct buf *out, double d);
void msgpack_write_f32(struct buf *out, float f);
void msgpack_write_str(struct buf *out, struct str s); /* absent is written as empty */
void msgpack_write_text(struct buf *out, const char *terminated);
void msgpack_write_array(struct buf *out, uint32_t len);
void msgpack_write_map(struct buf *out, uint32_t len);
void msgpack_write_time(struct buf *out, struct timestamp t);
void msgpack_write_value(struct buf *out, const struct value *v); /* NULL: nil */

struct msgpack_reader {
    const uint8_t *at;
    const uint8_t *end;
};
struct msgpack_reader msgpack_read(struct str bytes);

enum msgpack_type {
    MSGPACK_NIL,
    MSGPACK_BOOL,
    MSGPACK_INT,  /* token.i; signed forms and fixints */
    MSGPACK_UINT, /* token.u */
    MSGPACK_F64,
    MSGPACK_F32,
    MSGPACK_RAW,   /* token.str: fixraw, str8, raw16, raw32 */
    MSGPACK_BIN,   /* token.str */
    MSGPACK_ARRAY, /* token.len items follow */
    MSGPACK_MAP,   /* token.len pairs follow */
    MSGPACK_EXT,   /* token.str is the data */
};
struct msgpack_token {
    enum msgpack_type type;
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double f64;
        float f32;
        struct str str;
        uint32_t len;
    };
};
/* The next token; strings point into the input. False (error "EOF", "unexpected EOF" or what is
 * wrong) when the input ends or is no msgpack. Array and map lengths above the bytes that are left
 * fail. */
bool msgpack_next(struct msgpack_reader *in, struct msgpack_token *token, struct error *e);
/* A string (nil: absent); and the content of one as a reader of its own. Anything else is refused
 * with the text of the peer's decoder. */
bool msgpack_read_str(struct msgpack_reader *in, struct str *out, struct error *e);
bool msgpack_read_raw(struct msgpack_reader *in, struct msgpack_reader *content, struct error *e);
/* Skips one whole object (bounded depth). */
bool msgpack_skip(struct msgpack_reader *in, struct error *e);
/* One object as a tree: rpc.md 3.2 `any`. Strings are copied into the arena. */
bool msgpack_read_value(struct msgpack_reader *in, struct value *out, struct arena *arena,
                        struct error *e);
bool msgpack_time_from_raw(struct str raw, struct timestamp *t);

#endif

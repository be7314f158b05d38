/* See protobuf.h. */
#include "codec/protobuf.h"

/* ---- out ---- */

void pb_add_varint(struct buf *out, uint64_t n) {
    while (n >= 0x80) {
        buf_add_char(out, (char)(n | 0x80));
        n >>= 7;
    }
    buf_add_char(out, (char)n);
}

void pb_add_key(struct buf *out, unsigned number, enum pb_wire wire) {
    pb_add_varint(out, (uint64_t)number << 3 | wire);
}

void pb_add_number(struct buf *out, unsigned number, uint64_t n) {
    pb_add_key(out, number, PB_VARINT);
    pb_add_varint(out, n);
}

void pb_add_bytes(struct buf *out, unsigned number, struct str bytes) {
    pb_add_key(out, number, PB_BYTES);
    pb_add_varint(out, bytes.len);
    buf_add_str(out, bytes);
}

/* Little endian. */
static void add_fixed(struct buf *out, uint64_t bits, unsigned len) {
    for (unsigned i = 0; i < len; i++) {
        buf_add_char(out, (char)(bits >> (8 * i)));
    }
}

void pb_add_f64(struct buf *out, unsigned number, double d) {
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    pb_add_key(out, number, PB_64);
    add_fixed(out, bits, 8);
}

void pb_add_f32(struct buf *out, unsigned number, float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    pb_add_key(out, number, PB_32);
    add_fixed(out, bits, 4);
}

size_t pb_open(struct buf *out, unsigned number) {
    pb_add_key(out, number, PB_BYTES);
    return out->len;
}

/* Lengths are not known before, and rarely take more than two bytes. */
void pb_close(struct buf *out, size_t opened) {
    struct buf length = BUF_INIT;
    size_t content = out->len - opened;
    pb_add_varint(&length, content);
    buf_reserve(out, length.len);
    memmove(out->data + opened + length.len, out->data + opened, content);
    memcpy(out->data + opened, length.data, length.len);
    out->len += length.len;
    buf_free(&length);
}

/* ---- in ---- */

static bool fail(struct pb_reader *r, const char *problem) {
    r->problem = problem;
    return false;
}

bool pb_take_varint(struct pb_reader *r, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->rest.len == 0) {
            return fail(r, "unexpected end of bytes");
        }
        uint8_t byte = (uint8_t)r->rest.data[0];
        r->rest = str_sub(r->rest, 1, r->rest.len);
        if (shift == 63 && byte > 1) {
            return fail(r, "integer overflow");
        }
        *out |= (uint64_t)(byte & 0x7f) << (shift < 64 ? shift : 63);
        if (byte < 0x80) {
            return true;
        }
    }
    return fail(r, "integer overflow");
}

bool pb_take_key(struct pb_reader *r, uint64_t *number, unsigned *wire) {
    uint64_t key;
    if (!pb_take_varint(r, &key)) {
        return false;
    }
    *number = key >> 3;
    *wire = key & 7;
    return *number != 0 || fail(r, "illegal field");
}

static bool take(struct pb_reader *r, uint64_t len, struct str *out) {
    if (len > r->rest.len) {
        return fail(r, "unexpected end of bytes");
    }
    *out = len == 0 ? STR("") : str_sub(r->rest, 0, (size_t)len);
    r->rest = str_sub(r->rest, (size_t)len, r->rest.len);
    return true;
}

bool pb_take_bytes(struct pb_reader *r, struct str *out) {
    uint64_t len;
    return pb_take_varint(r, &len) && take(r, len, out);
}

bool pb_take_fixed(struct pb_reader *r, size_t len, struct str *out) {
    return take(r, len, out);
}

bool pb_take_f64(struct pb_reader *r, double *out) {
    struct str bytes;
    uint64_t bits = 0;
    if (!take(r, 8, &bytes)) {
        return false;
    }
    for (unsigned i = 0; i < 8; i++) {
        bits |= (uint64_t)(uint8_t)bytes.data[i] << (8 * i);
    }
    memcpy(out, &bits, sizeof(bits));
    return true;
}

bool pb_skip(struct pb_reader *r, unsigned wire) {
    struct str ignored;
    uint64_t number;
    switch (wire) {
    case PB_VARINT:
        return pb_take_varint(r, &number);
    case PB_64:
        return take(r, 8, &ignored);
    case PB_BYTES:
        return pb_take_bytes(r, &ignored);
    case PB_32:
        return take(r, 4, &ignored);
    default:
        return fail(r, "illegal field");
    }
}

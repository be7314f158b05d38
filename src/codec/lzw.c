/* LZW: the writer finds (code, byte) pairs in a small hash table, the reader keeps for each code
 * the code it extends and the byte that it adds, and writes strings from their end.
 */
#include "codec/lzw.h"

#include "base/mem.h"

enum {
    LZW_CLEAR = 256,
    LZW_END = 257,
    LZW_FIRST_WIDTH = 9,
    LZW_MAX_WIDTH = 12,
    LZW_CODES = 1 << LZW_MAX_WIDTH,
    LZW_LAST = LZW_CODES - 1,
};

/* ---- writing ---- */

/* An entry: code and byte (20 bits) and the code that stands for both (12 bits, never 0). */
#define TABLE_MAX 8192
struct writer {
    struct buf *out;
    uint64_t bits;
    unsigned bit_count;
    unsigned width, hi, over;
    uint32_t mask;
    uint32_t table[TABLE_MAX];
};

static void put_code(struct writer *w, unsigned code) {
    w->bits |= (uint64_t)code << w->bit_count;
    w->bit_count += w->width;
    while (w->bit_count >= 8) {
        buf_add_char(w->out, (char)w->bits);
        w->bits >>= 8;
        w->bit_count -= 8;
    }
}

static void writer_reset(struct writer *w) {
    w->width = LZW_FIRST_WIDTH;
    w->hi = LZW_END;
    w->over = 1 << LZW_FIRST_WIDTH;
    memset(w->table, 0, ((size_t)w->mask + 1) * sizeof w->table[0]);
}

/* Takes the next code. False: there was none left, and the table starts anew. */
static bool writer_grow(struct writer *w) {
    w->hi++;
    if (w->hi == w->over) {
        w->width++;
        w->over *= 2;
    }
    if (w->hi == LZW_LAST) {
        put_code(w, LZW_CLEAR);
        writer_reset(w);
        return false;
    }
    return true;
}

/* Where the pair is, or would be. */
static uint32_t *find_pair(struct writer *w, uint32_t pair) {
    uint32_t i = (pair * UINT32_C(0x9e3779b1)) >> 15 & w->mask;
    while (w->table[i] != 0 && w->table[i] >> LZW_MAX_WIDTH != pair)
        i = (i + 1) & w->mask;
    return &w->table[i];
}

void lzw_compress(struct buf *out, struct str in) {
    struct writer w = {.out = out, .mask = TABLE_MAX - 1};
    while (w.mask > 255 && (size_t)w.mask >= 4 * in.len) /* at most half full in any case */
        w.mask >>= 1;
    writer_reset(&w);
    if (in.len > 0) {
        unsigned code = (uint8_t)in.data[0];
        for (size_t i = 1; i < in.len; i++) {
            unsigned byte = (uint8_t)in.data[i];
            uint32_t pair = (uint32_t)code << 8 | byte;
            uint32_t *slot = find_pair(&w, pair);
            if (*slot != 0) {
                code = *slot & LZW_LAST;
                continue;
            }
            put_code(&w, code);
            code = byte;
            if (writer_grow(&w))
                *slot = pair << LZW_MAX_WIDTH | w.hi;
        }
        put_code(&w, code);
        writer_grow(&w);
    }
    put_code(&w, LZW_END);
    if (w.bit_count > 0)
        buf_add_char(out, (char)w.bits);
}

/* ---- reading ---- */

#define NO_CODE UINT16_MAX
struct reader {
    unsigned width, hi;
    uint16_t last;
    uint16_t prefix[LZW_CODES];
    uint16_t len[LZW_CODES];
    uint8_t suffix[LZW_CODES];
};

static void reader_reset(struct reader *r) {
    r->width = LZW_FIRST_WIDTH;
    r->hi = LZW_END;
    r->last = NO_CODE;
}

/* Writes the string of a code and returns its first byte. */
static uint8_t expand(const struct reader *r, uint16_t code, struct buf *out) {
    size_t len = r->len[code];
    uint8_t *at = (uint8_t *)buf_reserve(out, len + 1) + len;
    out->len += len;
    while (code >= LZW_CLEAR) {
        *--at = r->suffix[code];
        code = r->prefix[code];
    }
    *--at = (uint8_t)code;
    return *at;
}

/* The string of a code that is not clear or end. False: there is no such code. */
static bool read_code(struct reader *r, unsigned code, struct buf *out) {
    uint8_t first;
    if (code < LZW_CLEAR || code < r->hi ||
        (code == r->hi && r->last == NO_CODE && code > LZW_END)) {
        first = expand(r, (uint16_t)code, out);
    } else if (code == r->hi && r->last != NO_CODE) { /* the string that is just being defined */
        first = expand(r, r->last, out);
        buf_add_char(out, (char)first);
    } else {
        return false;
    }
    if (r->last != NO_CODE) {
        r->prefix[r->hi] = r->last;
        r->suffix[r->hi] = first;
        r->len[r->hi] = (uint16_t)(r->len[r->last] + 1);
    }
    r->last = (uint16_t)code;
    r->hi++;
    if (r->hi >= 1u << r->width) {
        if (r->width == LZW_MAX_WIDTH) {
            r->last = NO_CODE;
            r->hi--;
        } else {
            r->width++;
        }
    }
    return true;
}

bool lzw_decompress(struct buf *out, struct str in, size_t limit, struct error *e) {
    struct reader r;
    reader_reset(&r);
    for (unsigned i = 0; i < LZW_CLEAR; i++)
        r.len[i] = 1;
    size_t start = out->len, at = 0;
    uint64_t bits = 0;
    unsigned bit_count = 0;
    for (;;) {
        while (bit_count < r.width) {
            if (at == in.len)
                return error_set(e, ERROR_INTERNAL, "unexpected EOF");
            bits |= (uint64_t)(uint8_t)in.data[at++] << bit_count;
            bit_count += 8;
        }
        unsigned code = (unsigned)bits & ((1u << r.width) - 1);
        bits >>= r.width;
        bit_count -= r.width;
        if (code == LZW_END)
            return true;
        if (code == LZW_CLEAR)
            reader_reset(&r);
        else if (!read_code(&r, code, out))
            return error_set(e, ERROR_INTERNAL, "lzw: invalid code");
        if (out->len - start > limit)
            return error_set(e, ERROR_TOO_LARGE, "decompressed data is larger than limit (%zu)",
                             limit);
    }
}

/* Compression, checksums and compounds around messages. */
#include "gossip/frame.h"

#include <pthread.h>

#include "base/mem.h"
#include "codec/lzw.h"
#include "gossip/messages.h"

static uint32_t crc_table[4][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_make_tables(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ UINT32_C(0xedb88320) : crc >> 1;
        crc_table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 4; t++) {
            uint32_t before = crc_table[t - 1][i];
            crc_table[t][i] = before >> 8 ^ crc_table[0][before & 255];
        }
    }
}

uint32_t frame_crc32(struct str bytes) {
    pthread_once(&crc_once, crc_make_tables);
    const uint8_t *p = (const uint8_t *)bytes.data;
    uint32_t crc = UINT32_MAX;
    size_t left = bytes.len;
    for (; left >= 4; left -= 4, p += 4) {
        crc ^= p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = crc_table[3][crc & 255] ^ crc_table[2][crc >> 8 & 255] ^
              crc_table[1][crc >> 16 & 255] ^ crc_table[0][crc >> 24];
    }
    for (; left > 0; left--, p++)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *p) & 255];
    return ~crc;
}

void frame_compress(struct buf *out, struct str message) {
    struct buf body = BUF_INIT;
    lzw_compress(&body, message);
    struct compress_message m = {.algo = 0, .buf = buf_str(&body)};
    buf_add_char(out, MESSAGE_COMPRESS);
    wire_write(out, &compress_wire, &m);
    buf_free(&body);
}

bool frame_decompress(struct buf *out, struct str bytes, size_t limit, struct arena *arena,
                      struct error *e) {
    struct compress_message m;
    if (!wire_read_all(bytes, &compress_wire, &m, arena, e))
        return false;
    if (m.algo != 0)
        return error_set(e, ERROR_INTERNAL, "Cannot decompress unknown algorithm %llu",
                         (unsigned long long)m.algo);
    return lzw_decompress(out, m.buf, limit, e);
}

void frame_add_crc(struct buf *out, struct str message) {
    buf_add_char(out, MESSAGE_CRC);
    buf_add_be32(out, frame_crc32(message));
    buf_add_str(out, message);
}

void frame_compound(struct buf *out, const struct str *parts, size_t len) {
    ASSERT(len <= FRAME_COMPOUND_MAX);
    buf_add_char(out, MESSAGE_COMPOUND);
    buf_add_char(out, (char)len);
    for (size_t i = 0; i < len; i++)
        buf_add_be16(out, (uint16_t)parts[i].len);
    for (size_t i = 0; i < len; i++)
        buf_add_str(out, parts[i]);
}

bool frame_parts_begin(struct frame_parts *p, struct str bytes, struct error *e) {
    if (bytes.len < 1)
        return error_set(e, ERROR_INTERNAL, "missing compound length byte");
    size_t lengths = 2 * (size_t)(uint8_t)bytes.data[0];
    if (bytes.len - 1 < lengths)
        return error_set(e, ERROR_INTERNAL, "truncated len slice");
    *p = (struct frame_parts){.lengths = str_sub(bytes, 1, lengths),
                              .rest = str_sub(bytes, 1 + lengths, SIZE_MAX)};
    return true;
}

bool frame_parts_next(struct frame_parts *p, struct str *part) {
    if (p->lengths.len == 0)
        return false;
    size_t len = be16_get(p->lengths.data);
    if (len > p->rest.len) {
        p->truncated = p->lengths.len / 2;
        return false;
    }
    p->lengths = str_sub(p->lengths, 2, SIZE_MAX);
    *part = str_sub(p->rest, 0, len);
    p->rest = str_sub(p->rest, len, SIZE_MAX);
    return true;
}

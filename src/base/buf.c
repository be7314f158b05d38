/* The growable byte buffer: doubles when it is full, never shrinks by itself. */
#include "base/buf.h"

#include <endian.h>
#include <stdio.h>

#include "base/mem.h"

enum { BUF_SMALLEST = 64 };

void buf_free(struct buf *b) {
    mem_free(b->data);
    *b = BUF_INIT;
}

void buf_clear(struct buf *b) {
    b->len = 0;
}

char *buf_reserve(struct buf *b, size_t more) {
    ASSERT(b->len <= b->cap);
    if (b->data == NULL || more > b->cap - b->len) {
        size_t need;
        ASSERT(!__builtin_add_overflow(b->len, more, &need));
        ASSERT(need <= SIZE_MAX / 2);
        size_t cap = b->cap * 2 > BUF_SMALLEST ? b->cap * 2 : BUF_SMALLEST;
        b->cap = need > cap ? need : cap;
        b->data = mem_resize(b->data, b->cap, 1);
    }
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *data, size_t len) {
    if (len > 0) {
        memcpy(buf_reserve(b, len), data, len);
        b->len += len;
    }
}

void buf_add_str(struct buf *b, struct str s) {
    buf_add(b, s.data, s.len);
}

void buf_add_text(struct buf *b, const char *terminated) {
    buf_add(b, terminated, strlen(terminated));
}

void buf_add_char(struct buf *b, char c) {
    *buf_reserve(b, 1) = c;
    b->len++;
}

void buf_add_format(struct buf *b, const char *format, ...) {
    /* Usually what is left, or this much, is enough, and one pass does it. */
    char *at = buf_reserve(b, 64);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(at, b->cap - b->len, format, args);
    va_end(args);
    ASSERT(n >= 0);
    size_t len = (size_t)n;
    if (len >= b->cap - b->len) {
        at = buf_reserve(b, len + 1);
        va_start(args, format);
        vsnprintf(at, len + 1, format, args);
        va_end(args);
    }
    b->len += len;
}

void buf_add_u64(struct buf *b, uint64_t n) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buf_add(b, digits + at, sizeof digits - at);
}

void buf_add_i64(struct buf *b, int64_t n) {
    if (n < 0) {
        buf_add_char(b, '-');
    }
    /* Negated as unsigned, so that the smallest number works too. */
    buf_add_u64(b, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

struct str buf_str(const struct buf *b) {
    return (struct str){b->data, b->len};
}

void buf_add_be16(struct buf *b, uint16_t n) {
    be16_put(buf_reserve(b, sizeof n), n);
    b->len += sizeof n;
}

void buf_add_be32(struct buf *b, uint32_t n) {
    be32_put(buf_reserve(b, sizeof n), n);
    b->len += sizeof n;
}

void buf_add_be64(struct buf *b, uint64_t n) {
    be64_put(buf_reserve(b, sizeof n), n);
    b->len += sizeof n;
}

uint16_t be16_get(const void *p) {
    uint16_t n;
    memcpy(&n, p, sizeof n);
    return be16toh(n);
}

uint32_t be32_get(const void *p) {
    uint32_t n;
    memcpy(&n, p, sizeof n);
    return be32toh(n);
}

uint64_t be64_get(const void *p) {
    uint64_t n;
    memcpy(&n, p, sizeof n);
    return be64toh(n);
}

void be16_put(void *p, uint16_t n) {
    n = htobe16(n);
    memcpy(p, &n, sizeof n);
}

void be32_put(void *p, uint32_t n) {
    n = htobe32(n);
    memcpy(p, &n, sizeof n);
}

void be64_put(void *p, uint64_t n) {
    n = htobe64(n);
    memcpy(p, &n, sizeof n);
}

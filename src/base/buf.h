/* A growable byte buffer that owns its memory. Used for output that is built piece by piece:
 * encoded entries, HTTP answers, DNS messages.
 */
#ifndef PRAETOR_BASE_BUF_H
#define PRAETOR_BASE_BUF_H

#include "base/str.h"

struct buf {
    char *data; /* NULL until something was added */
    size_t len;
    size_t cap;
};

#define BUF_INIT ((struct buf){NULL, 0, 0})

void buf_free(struct buf *b);
/* Forget the content, keep the memory. */
void buf_clear(struct buf *b);
/* Room for `more` bytes behind the content; returns where they start. buf->len is not changed. */
char *buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_str(struct buf *b, struct str s);
void buf_add_text(struct buf *b, const char *terminated);
void buf_add_char(struct buf *b, char c);
void buf_add_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_add_u64(struct buf *b, uint64_t n); /* decimal */
void buf_add_i64(struct buf *b, int64_t n);
struct str buf_str(const struct buf *b);

/* Fixed-width integers, big endian (wire formats, keys that must sort). */
void buf_add_be16(struct buf *b, uint16_t n);
void buf_add_be32(struct buf *b, uint32_t n);
void buf_add_be64(struct buf *b, uint64_t n);
uint16_t be16_get(const void *p);
uint32_t be32_get(const void *p);
uint64_t be64_get(const void *p);
void be16_put(void *p, uint16_t n);
void be32_put(void *p, uint32_t n);
void be64_put(void *p, uint64_t n);

#endif

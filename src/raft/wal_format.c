/* Segment headers and records, to bytes and back. */
#include "raft/wal_format.h"

#include "base/mem.h"
#include "raft/checksum.h"

#define HEADER_MAGIC "PRAETORW"
#define HEADER_VERSION 1
#define RECORD_MAGIC UINT32_C(0x52435752)

uint32_t le32_get(const void *p) {
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t le64_get(const void *p) {
    const uint8_t *b = p;
    return le32_get(b) | (uint64_t)le32_get(b + 4) << 32;
}

void le32_put(void *p, uint32_t n) {
    uint8_t *b = p;
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(n >> 8 * i);
}

void le64_put(void *p, uint64_t n) {
    le32_put(p, (uint32_t)n);
    le32_put((uint8_t *)p + 4, (uint32_t)(n >> 32));
}

/* magic 8 | version 4 | checksum 4 (of the 512 bytes with this one 0) | number | salt |
 * previous_end | next_index | term | vote_term | length of vote 4 | vote | ... | size, at 328 */
enum {
    AT_VERSION = 8,
    AT_SUM = 12,
    AT_NUMBERS = 16,
    AT_VOTE_LEN = 64,
    AT_VOTE = 68,
    AT_SIZE = 328
};

void wal_header_write(const struct wal_header *h, uint8_t out[WAL_HEADER_BYTES]) {
    ASSERT(h->vote.len <= WAL_VOTE_MAX);
    memset(out, 0, WAL_HEADER_BYTES);
    memcpy(out, HEADER_MAGIC, 8);
    le32_put(out + AT_VERSION, HEADER_VERSION);
    const uint64_t numbers[6] = {h->number,     h->salt, h->previous_end,
                                 h->next_index, h->term, h->vote_term};
    for (int i = 0; i < 6; i++)
        le64_put(out + AT_NUMBERS + 8 * i, numbers[i]);
    le32_put(out + AT_VOTE_LEN, (uint32_t)h->vote.len);
    le64_put(out + AT_SIZE, h->size);
    if (h->vote.len > 0)
        memcpy(out + AT_VOTE, h->vote.data, h->vote.len);
    le32_put(out + AT_SUM, crc32c(0, out, WAL_HEADER_BYTES));
}

bool wal_header_read(const uint8_t bytes[WAL_HEADER_BYTES], struct wal_header *h) {
    uint8_t copy[WAL_HEADER_BYTES];
    memcpy(copy, bytes, sizeof copy);
    le32_put(copy + AT_SUM, 0);
    if (memcmp(bytes, HEADER_MAGIC, 8) != 0 || le32_get(bytes + AT_VERSION) != HEADER_VERSION ||
        le32_get(bytes + AT_SUM) != crc32c(0, copy, sizeof copy))
        return false;
    uint64_t numbers[6];
    for (int i = 0; i < 6; i++)
        numbers[i] = le64_get(bytes + AT_NUMBERS + 8 * i);
    uint32_t vote_len = le32_get(bytes + AT_VOTE_LEN);
    if (vote_len > WAL_VOTE_MAX || numbers[3] == 0)
        return false;
    *h = (struct wal_header){.number = numbers[0],
                             .salt = numbers[1],
                             .previous_end = numbers[2],
                             .next_index = numbers[3],
                             .term = numbers[4],
                             .vote_term = numbers[5],
                             .size = le64_get(bytes + AT_SIZE),
                             .vote = str_of(bytes + AT_VOTE, vote_len)};
    return true;
}

/* ---- records ---- */

enum {
    HEAD_MAGIC = 0,
    HEAD_SUM = 4,
    HEAD_DATA_SUM = 8,
    HEAD_DATA_LEN = 12,
    HEAD_EXTENSIONS_LEN = 16,
    HEAD_BATCH = 20,
    HEAD_INDEX = 24,
    HEAD_TERM = 32,
    HEAD_KIND = 40,
    HEAD_FLAGS = 41,
};

size_t wal_record_size(size_t data, size_t extensions) {
    return (WAL_HEAD_BYTES + data + extensions + 7) & ~(size_t)7;
}

void wal_record_write(const struct wal_record *r, struct buf *out) {
    size_t size = wal_record_size(r->data.len, r->extensions.len);
    ASSERT(size <= WAL_RECORD_MAX);
    uint8_t *head = (uint8_t *)buf_reserve(out, size);
    memset(head, 0, WAL_HEAD_BYTES);
    uint8_t *body = head + WAL_HEAD_BYTES;
    if (r->data.len > 0)
        memcpy(body, r->data.data, r->data.len);
    if (r->extensions.len > 0)
        memcpy(body + r->data.len, r->extensions.data, r->extensions.len);
    size_t used = r->data.len + r->extensions.len;
    memset(body + used, 0, size - WAL_HEAD_BYTES - used);
    le32_put(head + HEAD_MAGIC, RECORD_MAGIC);
    le32_put(head + HEAD_DATA_SUM, crc32c(0, body, used));
    le32_put(head + HEAD_DATA_LEN, (uint32_t)r->data.len);
    le32_put(head + HEAD_EXTENSIONS_LEN, (uint32_t)r->extensions.len);
    le64_put(head + HEAD_INDEX, r->index);
    le64_put(head + HEAD_TERM, r->term);
    head[HEAD_KIND] = r->kind;
    head[HEAD_FLAGS] = (uint8_t)((r->data.data != NULL ? WAL_HAS_DATA : 0) |
                                 (r->extensions.data != NULL ? WAL_HAS_EXTENSIONS : 0));
    out->len += size;
}

static uint32_t head_sum(const uint8_t *head, uint64_t salt, uint64_t offset) {
    uint8_t place[16];
    le64_put(place, salt);
    le64_put(place + 8, offset);
    uint32_t sum = crc32c(0, place, sizeof place);
    return crc32c(sum, head + HEAD_DATA_SUM, WAL_HEAD_BYTES - HEAD_DATA_SUM);
}

void wal_record_place(uint8_t *record, uint64_t salt, uint64_t offset, uint64_t batch) {
    ASSERT(offset % 8 == 0 && batch % 8 == 0 && batch <= offset && batch / 8 <= UINT32_MAX);
    le32_put(record + HEAD_BATCH, (uint32_t)(batch / 8));
    le32_put(record + HEAD_SUM, head_sum(record, salt, offset));
}

bool wal_record_read(struct str bytes, uint64_t salt, uint64_t offset, bool head_only,
                     struct wal_record *r) {
    if (bytes.len < WAL_HEAD_BYTES)
        return false;
    const uint8_t *head = (const uint8_t *)bytes.data;
    if (le32_get(head + HEAD_MAGIC) != RECORD_MAGIC ||
        le32_get(head + HEAD_SUM) != head_sum(head, salt, offset))
        return false;
    size_t data = le32_get(head + HEAD_DATA_LEN), extensions = le32_get(head + HEAD_EXTENSIONS_LEN);
    size_t size = wal_record_size(data, extensions);
    if (size > WAL_RECORD_MAX)
        return false;
    const char *body = bytes.data + WAL_HEAD_BYTES;
    uint8_t flags = head[HEAD_FLAGS];
    *r = (struct wal_record){
        .kind = head[HEAD_KIND],
        .index = le64_get(head + HEAD_INDEX),
        .term = le64_get(head + HEAD_TERM),
        .offset = offset,
        .batch = (uint64_t)le32_get(head + HEAD_BATCH) * 8,
        .size = (uint32_t)size,
    };
    if (r->batch > offset)
        return false;
    if (head_only)
        return true;
    if (size > bytes.len || le32_get(head + HEAD_DATA_SUM) != crc32c(0, body, data + extensions))
        return false;
    if (flags & WAL_HAS_DATA)
        r->data = str_of(body, data);
    if (flags & WAL_HAS_EXTENSIONS)
        r->extensions = str_of(body + data, extensions);
    return true;
}

/* ---- a whole segment ---- */

/* Whether, behind the bad place `end`, there is a record of a batch that began later still: when it
 * was written, what lies at `end` had been synced. */
static bool later_batch_follows(struct str segment, uint64_t salt, uint64_t end) {
    for (uint64_t at = end; at + WAL_HEAD_BYTES <= segment.len; at += 8) {
        struct wal_record r;
        const char *p = segment.data + at;
        if (le32_get(p) == RECORD_MAGIC &&
            wal_record_read(str_of(p, segment.len - at), salt, at, true, &r) && r.batch > end)
            return true;
    }
    return false;
}

static uint64_t last_nonzero(struct str segment, uint64_t from) {
    uint64_t at = segment.len;
    while (at > from && segment.data[at - 1] == 0)
        at--;
    return at;
}

void wal_scan(struct str segment, uint64_t salt, void (*visit)(void *, const struct wal_record *),
              void *owner, struct wal_scan *result) {
    uint64_t at = WAL_HEADER_BYTES, batch = 0;
    struct wal_record r;
    bool finished = false;
    while (at < segment.len &&
           wal_record_read(str_of(segment.data + at, segment.len - at), salt, at, false, &r)) {
        /* The index behind the end of a segment that was not yet finished is no record of the log.
         */
        finished = r.kind == WAL_INDEX;
        if (finished || (r.batch != at && r.batch != batch))
            break;
        batch = r.batch;
        visit(owner, &r);
        at += r.size;
    }
    *result = (struct wal_scan){.end = at, .dirty_to = at, .finished = finished};
    if (at >= segment.len)
        return;
    result->dirty_to = last_nonzero(segment, at);
    result->damaged = result->dirty_to > at && later_batch_follows(segment, salt, at);
}

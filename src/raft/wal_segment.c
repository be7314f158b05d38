/* A segment's index in memory, and its form behind the end of a finished segment:
 *   first u64 | count u64 | reset u32 | runs u32 | configurations u32 | 0 u32
 *   runs * (first u64, term u64) | configurations * u64 | count * offset/8 u32
 */
#include "raft/wal_segment.h"

#include "base/mem.h"

#define INDEX_HEAD_BYTES ((size_t)32)

void wal_segment_free(struct wal_segment *s) {
    mem_free(s->offsets);
    mem_free(s->runs);
    mem_free(s->configurations);
    mem_free(s);
}

static void run_add(struct wal_segment *s, uint64_t first, uint64_t term) {
    if (s->run_count == s->run_cap) {
        s->run_cap = s->run_cap > 0 ? s->run_cap * 2 : 4;
        s->runs = mem_resize(s->runs, s->run_cap, sizeof *s->runs);
    }
    s->runs[s->run_count++] = (struct raft_run){first, term};
}

static void configuration_add(struct wal_segment *s, uint64_t index) {
    if (s->configuration_count == s->configuration_cap) {
        s->configuration_cap = s->configuration_cap > 0 ? s->configuration_cap * 2 : 4;
        s->configurations =
            mem_resize(s->configurations, s->configuration_cap, sizeof *s->configurations);
    }
    s->configurations[s->configuration_count++] = index;
}

void wal_segment_add(struct wal_segment *s, uint64_t index, uint64_t term, uint8_t type,
                     uint64_t offset) {
    ASSERT(index == s->first + s->count && offset % 8 == 0 && offset / 8 <= UINT32_MAX);
    if (s->count == s->offset_cap) {
        s->offset_cap = s->offset_cap > 0 ? s->offset_cap * 2 : 64;
        s->offsets = mem_resize(s->offsets, s->offset_cap, sizeof *s->offsets);
    }
    s->offsets[s->count++] = (uint32_t)(offset / 8);
    if (s->run_count == 0 || s->runs[s->run_count - 1].term != term)
        run_add(s, index, term);
    if (raft_entry_is_configuration(type))
        configuration_add(s, index);
}

void wal_segment_cut(struct wal_segment *s, uint64_t from) {
    if (from >= s->first + s->count)
        return;
    s->count = from > s->first ? (size_t)(from - s->first) : 0;
    if (from < s->first)
        s->first = from; /* first indexes never fall along the row of segments */
    while (s->run_count > 0 && s->runs[s->run_count - 1].first >= from)
        s->run_count--;
    while (s->configuration_count > 0 && s->configurations[s->configuration_count - 1] >= from)
        s->configuration_count--;
}

void wal_segment_void(struct wal_segment *s, uint64_t first) {
    wal_segment_cut(s, 0);
    s->first = first;
}

static void add_le32(struct buf *out, uint32_t n) {
    le32_put(buf_reserve(out, 4), n);
    out->len += 4;
}

static void add_le64(struct buf *out, uint64_t n) {
    le64_put(buf_reserve(out, 8), n);
    out->len += 8;
}

void wal_segment_index_write(const struct wal_segment *s, struct buf *out) {
    add_le64(out, s->first);
    add_le64(out, s->count);
    add_le32(out, s->reset);
    add_le32(out, (uint32_t)s->run_count);
    add_le32(out, (uint32_t)s->configuration_count);
    add_le32(out, 0);
    for (size_t i = 0; i < s->run_count; i++) {
        add_le64(out, s->runs[i].first);
        add_le64(out, s->runs[i].term);
    }
    for (size_t i = 0; i < s->configuration_count; i++)
        add_le64(out, s->configurations[i]);
    for (size_t i = 0; i < s->count; i++)
        add_le32(out, s->offsets[i]);
}

static bool index_is_sane(const struct wal_segment *s, uint64_t end) {
    uint64_t last = s->first + s->count, before = WAL_HEADER_BYTES - 8;
    for (size_t i = 0; i < s->count; i++) {
        uint64_t offset = (uint64_t)s->offsets[i] * 8;
        if (offset <= before || offset + WAL_HEAD_BYTES > end)
            return false;
        before = offset;
    }
    for (size_t i = 0; i < s->run_count; i++) {
        if (s->runs[i].first < s->first || s->runs[i].first >= last)
            return false;
        if (i > 0 && s->runs[i].first <= s->runs[i - 1].first)
            return false;
    }
    for (size_t i = 0; i < s->configuration_count; i++) {
        if (s->configurations[i] < s->first || s->configurations[i] >= last)
            return false;
    }
    return (s->count == 0) == (s->run_count == 0) &&
           (s->run_count == 0 || s->runs[0].first == s->first);
}

bool wal_segment_index_read(struct wal_segment *s, struct str data, uint64_t end) {
    if (data.len < INDEX_HEAD_BYTES)
        return false;
    const char *p = data.data;
    uint64_t first = le64_get(p), count = le64_get(p + 8);
    uint64_t runs = le32_get(p + 20), configurations = le32_get(p + 24);
    if (first == 0 || count > data.len / 4 || first + count < first ||
        INDEX_HEAD_BYTES + 16 * runs + 8 * configurations + 4 * count != data.len)
        return false;
    s->first = first;
    s->count = s->run_count = s->configuration_count = 0;
    s->reset = le32_get(p + 16) != 0;
    p += INDEX_HEAD_BYTES;
    for (uint64_t i = 0; i < runs; i++, p += 16)
        run_add(s, le64_get(p), le64_get(p + 8));
    for (uint64_t i = 0; i < configurations; i++, p += 8)
        configuration_add(s, le64_get(p));
    s->offset_cap = count > 0 ? (size_t)count : 1;
    s->offsets = mem_resize(s->offsets, s->offset_cap, sizeof *s->offsets);
    for (uint64_t i = 0; i < count; i++, p += 4)
        s->offsets[s->count++] = le32_get(p);
    return index_is_sane(s, end);
}

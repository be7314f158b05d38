/* Opening the log: finding its segments, reading what they hold (finished ones from their index,
 * where it is intact), checking that they form one unbroken row, and cutting off a torn end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "raft/wal_internal.h"

#define SEGMENT_BYTES ((size_t)16 << 20)
#define SEGMENT_MAX_BYTES ((uint64_t)8 << 30)
#define SEGMENTS_MAX 100000
#define NAME_DIGITS 20

const char *wal_path(const struct wal *w, const char *name) {
    sprintf(w->path, "%s/%s", w->directory, name);
    return w->path;
}

const char *wal_segment_path(const struct wal *w, uint64_t number) {
    sprintf(w->path, "%s/%0*llu.wal", w->directory, NAME_DIGITS, (unsigned long long)number);
    return w->path;
}

void wal_segments_push(struct wal *w, struct wal_segment *s) {
    if (w->segment_count == w->segment_cap) {
        w->segment_cap = w->segment_cap > 0 ? w->segment_cap * 2 : 8;
        w->segments = mem_resize(w->segments, w->segment_cap, sizeof *w->segments);
    }
    w->segments[w->segment_count++] = s;
}

/* ---- finding them ---- */

struct found {
    uint64_t *numbers;
    size_t count, cap;
};

static void on_name(void *arg, const char *name) {
    struct found *f = arg;
    uint64_t number;
    if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".wal") != 0 ||
        !str_to_u64(str_of(name, NAME_DIGITS), &number) || f->count >= SEGMENTS_MAX)
        return;
    if (f->count == f->cap) {
        f->cap = f->cap > 0 ? f->cap * 2 : 16;
        f->numbers = mem_resize(f->numbers, f->cap, sizeof *f->numbers);
    }
    f->numbers[f->count++] = number;
}

static int compare_numbers(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool find_segments(struct wal *w, struct found *f, struct error *e) {
    int code = w->io.list(w->io.owner, w->directory, on_name, f);
    if (code < 0)
        return error_set_errno(e, -code, "write-ahead log: cannot list %s", w->directory);
    if (f->count > 1)
        qsort(f->numbers, f->count, sizeof *f->numbers, compare_numbers);
    for (size_t i = 1; i < f->count; i++) {
        if (f->numbers[i] != f->numbers[i - 1] + 1)
            return error_set(e, ERROR_IO, "write-ahead log: %s is missing",
                             wal_segment_path(w, f->numbers[i - 1] + 1));
    }
    return true;
}

/* ---- reading one ---- */

static bool damaged(const struct wal *w, uint64_t number, uint64_t offset, struct error *e) {
    return error_set(e, ERROR_IO, "write-ahead log: %s is damaged at byte %llu",
                     wal_segment_path(w, number), (unsigned long long)offset);
}

/* A segment with its header; header->vote is into bytes. */
struct opened {
    struct wal_segment *segment;
    struct wal_header header;
    uint8_t bytes[WAL_HEADER_BYTES];
};

static bool open_segment(struct wal *w, uint64_t number, struct opened *o, struct error *e) {
    int handle = w->io.open(w->io.owner, wal_segment_path(w, number), DISK_WRITE);
    if (handle < 0)
        return error_set_errno(e, -handle, "write-ahead log: cannot open %s",
                               wal_segment_path(w, number));
    int64_t size = w->io.size(w->io.owner, handle);
    int64_t got = size < 0 ? size : w->io.pread(w->io.owner, handle, o->bytes, sizeof o->bytes, 0);
    bool ok = got == (int64_t)sizeof o->bytes && wal_header_read(o->bytes, &o->header) &&
              o->header.number == number && (uint64_t)size <= SEGMENT_MAX_BYTES;
    if (!ok) {
        w->io.close(w->io.owner, handle);
        if (got < 0)
            return error_set_errno(e, (int)-got, "write-ahead log: cannot read %s",
                                   wal_segment_path(w, number));
        return damaged(w, number, 0, e);
    }
    if ((uint64_t)size < o->header.size) {
        w->io.close(w->io.owner, handle);
        return error_set(e, ERROR_IO, "write-ahead log: %s was cut off at byte %lld",
                         wal_segment_path(w, number), (long long)size);
    }
    o->segment = MEM_NEW(struct wal_segment);
    *o->segment = (struct wal_segment){.number = number,
                                       .salt = o->header.salt,
                                       .handle = handle,
                                       .size = (uint64_t)size,
                                       .end = WAL_HEADER_BYTES,
                                       .first = o->header.next_index};
    return true;
}

static bool read_bytes(struct wal *w, struct wal_segment *s, uint64_t from, uint64_t to,
                       struct buf *out, struct error *e) {
    buf_clear(out);
    char *room = buf_reserve(out, (size_t)(to - from));
    int64_t got = w->io.pread(w->io.owner, s->handle, room, (size_t)(to - from), from);
    if (got < 0)
        return error_set_errno(e, (int)-got, "write-ahead log: cannot read %s",
                               wal_segment_path(w, s->number));
    if ((uint64_t)got != to - from)
        return damaged(w, s->number, from + (uint64_t)got, e);
    out->len = (size_t)got;
    return true;
}

/* Takes a finished segment's effect from its index. False without an error when there is no intact
 * one. */
static bool use_index(struct wal *w, struct wal_segment *s, uint64_t end, struct error *e) {
    if (end + WAL_HEAD_BYTES > s->size)
        return false;
    struct buf bytes = BUF_INIT;
    struct wal_record r;
    uint64_t before = wal_last(w);
    bool ok = read_bytes(w, s, end, s->size, &bytes, e) &&
              wal_record_read(buf_str(&bytes), s->salt, end, false, &r) && r.kind == WAL_INDEX &&
              wal_segment_index_read(s, r.data, end) && (s->reset || s->first <= before + 1);
    buf_free(&bytes);
    if (!ok) { /* as if nothing was known of it */
        s->count = s->run_count = s->configuration_count = 0;
        s->reset = false;
        s->first = before + 1;
        return false;
    }
    s->end = end;
    for (size_t i = 0; i + 1 < w->segment_count; i++) {
        if (s->reset)
            wal_segment_void(w->segments[i], s->first);
        else
            wal_segment_cut(w->segments[i], s->first);
    }
    return true;
}

struct visitor {
    struct wal *w;
    bool nonsense;
    uint64_t nonsense_at;
    uint64_t batch; /* offset of the last one */
};

static void on_record(void *owner, const struct wal_record *r) {
    struct visitor *v = owner;
    v->batch = r->batch;
    if (!v->nonsense && !wal_note(v->w, r)) {
        v->nonsense = true;
        v->nonsense_at = r->offset;
    }
}

/* What was read from the end of the log counts from now on, so it must be on the disk. The last
 * batch may be in memory only: the process ended before its sync, or the sync failed and the kernel
 * took its pages for clean; so it is written once more, and synced. The torn end goes at once: what
 * lies there must never become the continuation of a later record. batch: where the last one
 * begins; 0: there is none. */
static bool settle_tail(struct wal *w, const struct wal_segment *s, const struct wal_scan *scan,
                        struct str bytes, uint64_t batch, struct error *e) {
    if (scan->dirty_to > scan->end && !wal_zero(w, s->handle, scan->end, scan->dirty_to, e))
        return false;
    int code = 0;
    if (batch > 0)
        code = w->io.pwrite(w->io.owner, s->handle, bytes.data + batch, (size_t)(scan->end - batch),
                            batch);
    if (code < 0)
        return error_set_errno(e, -code, "write-ahead log: cannot write %s",
                               wal_segment_path(w, s->number));
    code = w->io.fdatasync(w->io.owner, s->handle);
    return code >= 0 || error_set_errno(e, -code, "write-ahead log: cannot sync %s",
                                        wal_segment_path(w, s->number));
}

/* Reads all records. expected_end: where they must end, 0 for the last segment, which may be torn.
 */
static bool read_records(struct wal *w, struct wal_segment *s, uint64_t expected_end,
                         struct error *e) {
    struct buf bytes = BUF_INIT;
    uint64_t to = expected_end > 0 ? expected_end : s->size;
    if (to > s->size)
        return damaged(w, s->number, s->size, e);
    bool ok = read_bytes(w, s, 0, to, &bytes, e);
    if (ok) {
        struct visitor v = {.w = w};
        struct wal_scan scan;
        wal_scan(buf_str(&bytes), s->salt, on_record, &v, &scan);
        s->end = scan.end;
        if (v.nonsense)
            ok = damaged(w, s->number, v.nonsense_at, e);
        else if (scan.damaged || (expected_end > 0 && scan.end != expected_end))
            ok = damaged(w, s->number, scan.end, e);
        else if (expected_end == 0 &&
                 scan.finished) /* its index is written when the next one is there */
            ok = error_set(e, ERROR_IO, "write-ahead log: %s is missing",
                           wal_segment_path(w, s->number + 1));
        else if (expected_end == 0)
            ok = settle_tail(w, s, &scan, buf_str(&bytes), v.batch, e);
    }
    buf_free(&bytes);
    return ok;
}

/* ---- all of them ---- */

static bool load(struct wal *w, struct opened *all, size_t count, struct error *e) {
    for (size_t i = 0; i < count; i++) {
        struct wal_segment *s = all[i].segment;
        const struct wal_header *h = &all[i].header;
        if (i > 0 && h->next_index != wal_last(w) + 1)
            return error_set(e, ERROR_IO,
                             "write-ahead log: %s continues with entry %llu, but %llu was expected",
                             wal_segment_path(w, s->number), (unsigned long long)h->next_index,
                             (unsigned long long)wal_last(w) + 1);
        wal_segments_push(w, s);
        all[i].segment = NULL;
        w->term = h->term;
        w->vote_term = h->vote_term;
        buf_clear(&w->vote);
        buf_add_str(&w->vote, h->vote);
        uint64_t end = i + 1 < count ? all[i + 1].header.previous_end : 0;
        if (i + 1 < count && end < WAL_HEADER_BYTES)
            return damaged(w, all[i + 1].header.number, 0, e);
        if (end > 0 && use_index(w, s, end, e))
            continue;
        if (error_is_set(e) || !read_records(w, s, end, e))
            return false;
    }
    return true;
}

static bool open_all(struct wal *w, const struct found *f, struct error *e) {
    struct opened *all = mem_zalloc(f->count, sizeof *all);
    bool ok = true;
    for (size_t i = 0; i < f->count && ok; i++)
        ok = open_segment(w, f->numbers[i], &all[i], e);
    ok = ok && load(w, all, f->count, e);
    for (size_t i = 0; i < f->count; i++) {
        if (all[i].segment != NULL) {
            w->io.close(w->io.owner, all[i].segment->handle);
            wal_segment_free(all[i].segment);
        }
    }
    mem_free(all);
    return ok;
}

struct wal *wal_open(const struct disk_io *io, const struct wal_options *options, struct error *e) {
    struct wal *w = MEM_NEW(struct wal);
    w->io = *io;
    w->directory = mem_strdup(options->directory);
    w->path = mem_alloc(strlen(w->directory) + NAME_DIGITS + 16);
    w->segment_bytes = options->segment_bytes > 0 ? options->segment_bytes : SEGMENT_BYTES;
    if (w->segment_bytes < 4096)
        w->segment_bytes = 4096;
    w->spare = -1;
    prng_seed(&w->salts, options->seed);
    struct found f = {0};
    bool ok = find_segments(w, &f, e) && (f.count > 0 ? open_all(w, &f, e) : wal_add_segment(w, e));
    mem_free(f.numbers);
    if (!ok) {
        wal_close(w);
        return NULL;
    }
    return w;
}

/* The log as a whole: its segments, appending, rolling over to the next one, reading and
 * compacting. How it is opened: wal_open.c. */
#include "raft/wal.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "raft/wal_internal.h"

#define BATCH_KEEP ((size_t)1 << 20) /* the batch buffer is not kept beyond this */

/* ---- what it holds ---- */

uint64_t wal_last(const struct wal *w) {
    return wal_tail(w)->first + wal_tail(w)->count - 1;
}

uint64_t wal_first(const struct wal *w) {
    for (size_t i = 0; i < w->segment_count; i++) {
        if (w->segments[i]->count > 0)
            return w->segments[i]->first;
    }
    return wal_last(w) + 1;
}

uint64_t wal_term(const struct wal *w) {
    return w->term;
}
uint64_t wal_vote_term(const struct wal *w) {
    return w->vote_term;
}
struct str wal_vote(const struct wal *w) {
    return buf_str(&w->vote);
}

bool wal_has_state(const struct wal *w) {
    return w->term > 0 || wal_last(w) > 0;
}

size_t wal_runs(const struct wal *w, struct raft_run **runs) {
    size_t n = 0, room = 0;
    for (size_t i = 0; i < w->segment_count; i++)
        room += w->segments[i]->run_count;
    *runs = room > 0 ? mem_resize(NULL, room, sizeof **runs) : NULL;
    for (size_t i = 0; i < w->segment_count; i++) {
        const struct wal_segment *s = w->segments[i];
        for (size_t k = 0; k < s->run_count; k++) {
            if (n == 0 || (*runs)[n - 1].term != s->runs[k].term)
                (*runs)[n++] = s->runs[k];
        }
    }
    return n;
}

size_t wal_configurations(const struct wal *w, uint64_t **indexes) {
    size_t n = 0, room = 0;
    for (size_t i = 0; i < w->segment_count; i++)
        room += w->segments[i]->configuration_count;
    *indexes = room > 0 ? mem_resize(NULL, room, sizeof **indexes) : NULL;
    for (size_t i = 0; i < w->segment_count; i++) {
        const struct wal_segment *s = w->segments[i];
        for (size_t k = 0; k < s->configuration_count; k++)
            (*indexes)[n++] = s->configurations[k];
    }
    return n;
}

/* ---- what a record does to it ---- */

static void cut(struct wal *w, uint64_t from) {
    for (size_t i = w->segment_count; i-- > 0;)
        wal_segment_cut(w->segments[i], from);
}

static void reset(struct wal *w, uint64_t index) {
    for (size_t i = 0; i < w->segment_count; i++)
        wal_segment_void(w->segments[i], index + 1);
    wal_tail(w)->reset = true;
}

static bool note_entry(struct wal *w, const struct wal_record *r) {
    if (r->index == 0 || r->index > wal_last(w) + 1)
        return false;
    if (r->index <= wal_last(w))
        cut(w, r->index);
    wal_segment_add(wal_tail(w), r->index, r->term, r->kind, r->offset);
    return true;
}

bool wal_note(struct wal *w, const struct wal_record *r) {
    switch (r->kind) {
    case WAL_TERM:
        if (r->data.len < 8 || r->data.len - 8 > WAL_VOTE_MAX)
            return false;
        w->term = r->term;
        w->vote_term = le64_get(r->data.data);
        buf_clear(&w->vote);
        buf_add(&w->vote, r->data.data + 8, r->data.len - 8);
        return true;
    case WAL_TRUNCATE:
        if (r->index <= wal_last(w))
            cut(w, r->index > 0 ? r->index : 1);
        return true;
    case WAL_RESET:
        if (r->index == UINT64_MAX)
            return false;
        reset(w, r->index);
        return true;
    default:
        return r->kind < 0x80 && note_entry(w, r);
    }
}

/* ---- putting a batch together ---- */

static void put(struct wal *w, const struct wal_record *r) {
    if (w->place_count == w->place_cap) {
        w->place_cap = w->place_cap > 0 ? w->place_cap * 2 : 64;
        w->places = mem_resize(w->places, w->place_cap, sizeof *w->places);
    }
    w->places[w->place_count++] = w->batch.len;
    wal_record_write(r, &w->batch);
}

void wal_put_entry(struct wal *w, const struct raft_entry *entry) {
    put(w, &(struct wal_record){.kind = entry->type,
                                .index = entry->index,
                                .term = entry->term,
                                .data = entry->data,
                                .extensions = entry->extensions});
}

void wal_put_term(struct wal *w, uint64_t term, uint64_t vote_term, struct str vote) {
    ASSERT(vote.len <= WAL_VOTE_MAX);
    char data[8 + WAL_VOTE_MAX];
    le64_put(data, vote_term);
    if (vote.len > 0)
        memcpy(data + 8, vote.data, vote.len);
    put(w,
        &(struct wal_record){.kind = WAL_TERM, .term = term, .data = str_of(data, 8 + vote.len)});
}

void wal_put_truncate(struct wal *w, uint64_t from) {
    put(w, &(struct wal_record){.kind = WAL_TRUNCATE, .index = from});
}

void wal_put_reset(struct wal *w, uint64_t index) {
    put(w, &(struct wal_record){.kind = WAL_RESET, .index = index});
}

size_t wal_batch_bytes(const struct wal *w) {
    return w->batch.len;
}

bool wal_is_broken(const struct wal *w) {
    return w->broken;
}

static void batch_forget(struct wal *w) {
    w->place_count = 0;
    if (w->batch.cap > BATCH_KEEP)
        buf_free(&w->batch);
    buf_clear(&w->batch);
}

/* ---- the next segment ---- */

static void spare_drop(struct wal *w) {
    if (w->spare >= 0)
        w->io.close(w->io.owner, w->spare);
    w->spare = -1;
    w->spare_zeroed = 0;
}

bool wal_zero(struct wal *w, int handle, uint64_t from, uint64_t to, struct error *e) {
    static const char zeros[64 << 10];
    while (from < to) {
        size_t len = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
        int code = w->io.pwrite(w->io.owner, handle, zeros, len, from);
        if (code < 0)
            return error_set_errno(e, -code, "write-ahead log: cannot prepare a segment");
        from += len;
    }
    return true;
}

static bool spare_work(struct wal *w, uint64_t up_to, struct error *e) {
    if (w->spare < 0) {
        w->spare = w->io.open(w->io.owner, wal_path(w, "spare.tmp"), DISK_CREATE);
        if (w->spare < 0)
            return error_set_errno(e, -w->spare, "write-ahead log: cannot create %s",
                                   wal_path(w, "spare.tmp"));
        w->spare_zeroed = 0;
    }
    if (w->spare_zeroed < up_to) {
        if (!wal_zero(w, w->spare, w->spare_zeroed, up_to, e))
            return false;
        w->spare_zeroed = up_to;
    }
    return true;
}

bool wal_prepare(struct wal *w, size_t max_bytes) {
    if (w->broken || w->spare_failed || w->spare_zeroed >= w->segment_bytes)
        return false;
    uint64_t to = w->spare_zeroed + max_bytes;
    if (to > w->segment_bytes)
        to = w->segment_bytes;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    if (!spare_work(w, to, &e)) {
        spare_drop(w);
        w->spare_failed = true; /* until a roll-over tries again and reports it */
    }
    arena_free(&arena);
    return !w->spare_failed && w->spare_zeroed < w->segment_bytes;
}

/* Writes the header into the spare and gives it its name; when the name is durable, the segment is.
 */
static bool spare_finish(struct wal *w, const struct wal_header *h, struct error *e) {
    uint8_t bytes[WAL_HEADER_BYTES];
    wal_header_write(h, bytes);
    int code = w->io.pwrite(w->io.owner, w->spare, bytes, sizeof bytes, 0);
    if (code >= 0)
        code = w->io.fdatasync(w->io.owner, w->spare);
    if (code >= 0) {
        char *from = mem_strdup(wal_path(w, "spare.tmp"));
        code = w->io.rename(w->io.owner, from, wal_segment_path(w, h->number));
        mem_free(from);
    }
    if (code >= 0) {
        code = w->io.sync_dir(w->io.owner, w->directory);
        /* The new segment may or may not be there after a crash. It says where the one before ends:
         * that one must not grow any more, and this one is not usable. Only a restart can tell. */
        w->broken = code < 0;
    }
    if (code < 0)
        return error_set_errno(e, -code, "write-ahead log: cannot create %s",
                               wal_segment_path(w, h->number));
    return true;
}

bool wal_add_segment(struct wal *w, struct error *e) {
    w->spare_failed = false;
    const struct wal_segment *tail = w->segment_count > 0 ? wal_tail(w) : NULL;
    struct wal_header h = {
        .number = tail != NULL ? tail->number + 1 : 1,
        .salt = prng_next(&w->salts),
        .previous_end = tail != NULL ? tail->end : 0,
        .next_index = tail != NULL ? wal_last(w) + 1 : 1,
        .size = w->segment_bytes,
        .term = w->term,
        .vote_term = w->vote_term,
        .vote = buf_str(&w->vote),
    };
    if (!spare_work(w, w->segment_bytes, e) || !spare_finish(w, &h, e)) {
        spare_drop(w);
        return false;
    }
    struct wal_segment *s = MEM_NEW(struct wal_segment);
    *s = (struct wal_segment){.number = h.number,
                              .salt = h.salt,
                              .handle = w->spare,
                              .size = w->spare_zeroed,
                              .end = WAL_HEADER_BYTES,
                              .first = h.next_index};
    w->spare = -1;
    w->spare_zeroed = 0;
    wal_segments_push(w, s);
    return true;
}

/* Leaves the finished segment's index behind its end, so that the next start need not read it all.
 * It is not synced: without it the segment is read. */
static void write_index(struct wal *w, struct wal_segment *s) {
    struct buf data = BUF_INIT, record = BUF_INIT;
    wal_segment_index_write(s, &data);
    if (wal_record_size(data.len, 0) <= WAL_RECORD_MAX) {
        wal_record_write(&(struct wal_record){.kind = WAL_INDEX, .data = buf_str(&data)}, &record);
        wal_record_place((uint8_t *)record.data, s->salt, s->end, s->end);
        (void)w->io.pwrite(w->io.owner, s->handle, record.data, record.len, s->end);
    }
    buf_free(&data);
    buf_free(&record);
}

static bool roll_over(struct wal *w, struct error *e) {
    struct wal_segment *before = wal_tail(w);
    if (!wal_add_segment(w, e))
        return false;
    w->dirty_to = 0;
    write_index(w, before);
    return true;
}

/* ---- committing ---- */

static bool commit_fail(struct wal *w, struct error *e, int code, const char *what) {
    batch_forget(w);
    return error_set_errno(e, -code, "write-ahead log: cannot %s %s", what,
                           wal_segment_path(w, wal_tail(w)->number));
}

/* Room for the batch behind the tail's end, with nothing but zeros from there on. */
static bool make_room(struct wal *w, struct error *e) {
    struct wal_segment *tail = wal_tail(w);
    bool full = tail->end + w->batch.len > tail->size && tail->end > WAL_HEADER_BYTES;
    if (full)
        return roll_over(w, e);
    if (w->dirty_to > tail->end) {
        if (!wal_zero(w, tail->handle, tail->end, w->dirty_to, e))
            return false;
        w->dirty_to = 0;
    }
    return true;
}

static void take_effect(struct wal *w) {
    struct wal_segment *tail = wal_tail(w);
    for (size_t i = 0; i < w->place_count; i++) {
        struct wal_record r;
        size_t at = w->places[i];
        uint64_t offset = tail->end + at;
        bool good = wal_record_read(str_of(w->batch.data + at, w->batch.len - at), tail->salt,
                                    offset, false, &r) &&
                    wal_note(w, &r);
        ASSERT(good);
    }
    tail->end += w->batch.len;
    if (tail->end > tail->size)
        tail->size = tail->end;
}

bool wal_commit(struct wal *w, struct error *e) {
    if (w->place_count == 0)
        return true;
    if (w->broken) {
        batch_forget(w);
        return error_set(e, ERROR_IO, "write-ahead log: an earlier sync failed");
    }
    if (!make_room(w, e)) {
        batch_forget(w);
        return false;
    }
    struct wal_segment *tail = wal_tail(w);
    for (size_t i = 0; i < w->place_count; i++)
        wal_record_place((uint8_t *)w->batch.data + w->places[i], tail->salt,
                         tail->end + w->places[i], tail->end);
    int code = w->io.pwrite(w->io.owner, tail->handle, w->batch.data, w->batch.len, tail->end);
    if (code < 0) {
        w->dirty_to = tail->end + w->batch.len;
        return commit_fail(w, e, code, "write");
    }
    code = w->io.fdatasync(w->io.owner, tail->handle);
    if (code < 0) {
        w->broken = true;
        return commit_fail(w, e, code, "sync");
    }
    take_effect(w);
    batch_forget(w);
    return true;
}

/* ---- reading ---- */

static struct wal_segment *segment_of(const struct wal *w, uint64_t index) {
    size_t low = 0, high = w->segment_count;
    while (high - low > 1) { /* the last segment that starts at or before index */
        size_t middle = low + (high - low) / 2;
        if (w->segments[middle]->first <= index)
            low = middle;
        else
            high = middle;
    }
    /* Emptied segments share their first index with what replaced them, which comes later. */
    struct wal_segment *s = w->segments[low];
    return index >= s->first && index - s->first < s->count ? s : NULL;
}

static bool damaged(const struct wal *w, const struct wal_segment *s, uint64_t offset,
                    struct error *e) {
    return error_set(e, ERROR_IO, "write-ahead log: %s is damaged at byte %llu",
                     wal_segment_path(w, s->number), (unsigned long long)offset);
}

/* Reads the bytes from entry `first` up to (not with) what follows entry `last`. */
static bool read_span(struct wal *w, struct wal_segment *s, uint64_t first, uint64_t *last,
                      size_t max_bytes, struct buf *out, struct error *e) {
    uint64_t from = (uint64_t)s->offsets[first - s->first] * 8, to = s->end;
    for (uint64_t i = first + 1; i < s->first + s->count; i++) {
        uint64_t at = (uint64_t)s->offsets[i - s->first] * 8;
        if (i > *last || at - from >= max_bytes) {
            to = at;
            *last = i - 1;
            break;
        }
    }
    if (*last >= s->first + s->count)
        *last = s->first + s->count - 1;
    char *room = buf_reserve(out, (size_t)(to - from));
    int64_t got = w->io.pread(w->io.owner, s->handle, room, (size_t)(to - from), from);
    if (got < 0)
        return error_set_errno(e, (int)-got, "write-ahead log: cannot read %s",
                               wal_segment_path(w, s->number));
    if ((uint64_t)got != to - from)
        return damaged(w, s, from + (uint64_t)got, e);
    out->len = (size_t)got;
    return true;
}

static bool decode_span(struct wal *w, struct wal_segment *s, uint64_t first, uint64_t last,
                        struct str bytes, struct raft_entry **entries, size_t *count,
                        struct error *e) {
    uint64_t from = (uint64_t)s->offsets[first - s->first] * 8;
    for (uint64_t i = first; i <= last; i++) {
        uint64_t offset = (uint64_t)s->offsets[i - s->first] * 8;
        struct wal_record r;
        struct str rest = str_sub(bytes, (size_t)(offset - from), SIZE_MAX);
        if (!wal_record_read(rest, s->salt, offset, false, &r) || r.index != i || r.kind >= 0x80)
            return damaged(w, s, offset, e);
        struct raft_entry *entry =
            raft_entry_new((enum raft_entry_type)r.kind, r.data, r.extensions);
        entry->index = r.index;
        entry->term = r.term;
        entries[(*count)++] = entry;
    }
    return true;
}

bool wal_read(struct wal *w, uint64_t first, uint64_t last, size_t max_bytes,
              struct raft_entry **entries, size_t *count, struct error *e) {
    *count = 0;
    ASSERT(first >= wal_first(w) && last <= wal_last(w) && first <= last);
    struct buf bytes = BUF_INIT;
    bool ok = true;
    size_t left = max_bytes;
    for (uint64_t next = first; ok && next <= last && (left > 0 || *count == 0);) {
        struct wal_segment *s = segment_of(w, next);
        ASSERT(s != NULL);
        uint64_t to = last;
        buf_clear(&bytes);
        ok = read_span(w, s, next, &to, left > 0 ? left : 1, &bytes, e) &&
             decode_span(w, s, next, to, buf_str(&bytes), entries, count, e);
        left -= bytes.len < left ? bytes.len : left;
        next = to + 1;
    }
    buf_free(&bytes);
    for (size_t i = 0; !ok && i < *count; i++)
        raft_entry_release(entries[i]);
    if (!ok)
        *count = 0;
    return ok;
}

/* ---- compacting and closing ---- */

/* Oldest first, each removal durable before the next: what is left is always an unbroken row. */
bool wal_compact(struct wal *w, uint64_t through, struct error *e) {
    while (w->segment_count > 1) {
        struct wal_segment *s = w->segments[0];
        if (s->count > 0 && s->first + s->count - 1 > through)
            return true;
        int code = w->io.unlink(w->io.owner, wal_segment_path(w, s->number));
        if (code >= 0 || code == -ENOENT)
            code = w->io.sync_dir(w->io.owner, w->directory);
        if (code < 0)
            return error_set_errno(e, -code, "write-ahead log: cannot remove %s",
                                   wal_segment_path(w, s->number));
        w->io.close(w->io.owner, s->handle);
        wal_segment_free(s);
        w->segment_count--;
        memmove(w->segments, w->segments + 1, w->segment_count * sizeof *w->segments);
    }
    return true;
}

void wal_close(struct wal *w) {
    if (w == NULL)
        return;
    spare_drop(w);
    for (size_t i = 0; i < w->segment_count; i++) {
        w->io.close(w->io.owner, w->segments[i]->handle);
        wal_segment_free(w->segments[i]);
    }
    mem_free(w->segments);
    mem_free(w->places);
    mem_free(w->path);
    mem_free(w->directory);
    buf_free(&w->batch);
    buf_free(&w->vote);
    mem_free(w);
}

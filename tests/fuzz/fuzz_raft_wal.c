/* The log opened on whatever is in its files. The first byte says what the rest is: a segment's
 * bytes as they are (checksums stop most of that early), records whose checksums are right but
 * which make no sense, or the index of a finished segment. Whatever it is, opening fails with an
 * error or gives a log that can be read, continued, and opened again with the same result.
 */
#include "raft/wal.h"
#include "raft/wal_format.h"
#include "sim/sim_disk.h"

#define SALT 42

static void put_file(struct disk_io *io, const char *path, const struct buf *bytes) {
    int handle = io->open(io->owner, path, DISK_CREATE);
    ASSERT(handle >= 0 && io->pwrite(io->owner, handle, bytes->data, bytes->len, 0) >= 0);
    io->close(io->owner, handle);
}

static void add_header(struct buf *out, uint64_t number, uint64_t previous_end, uint64_t next) {
    struct wal_header h = {.number = number,
                           .salt = SALT,
                           .previous_end = previous_end,
                           .next_index = next,
                           .term = 1,
                           .vote_term = 1,
                           .vote = STR("a")};
    uint8_t bytes[WAL_HEADER_BYTES];
    wal_header_write(&h, bytes);
    buf_add(out, bytes, sizeof bytes);
}

static void add_record(struct buf *out, const struct wal_record *r, uint64_t batch) {
    uint64_t at = out->len;
    wal_record_write(r, out);
    wal_record_place((uint8_t *)out->data + at, SALT, at, batch == 0 ? at : batch);
}

/* kind, index, term, how long, flags, data... */
static void add_records(struct buf *out, const uint8_t *data, size_t size) {
    uint64_t batch = 0;
    while (size >= 5) {
        struct wal_record r = {.kind = data[0] < 0x90 ? data[0] : (uint8_t)(data[0] & 7),
                               .index = data[1],
                               .term = data[2]};
        size_t len = data[3] < size - 5 ? data[3] : size - 5;
        bool joins = (data[4] & 1) != 0 && batch != 0;
        if (data[4] & 2)
            r.data = str_of((const char *)data + 5, len);
        if (!joins)
            batch = out->len;
        add_record(out, &r, batch);
        data += 5 + len;
        size -= 5 + len;
    }
    buf_add(out, data, size); /* a torn end */
    char zeros[256] = {0};
    buf_add(out, zeros, sizeof zeros);
    while (out->len % 8 != 0)
        buf_add_char(out, 0);
}

/* A finished segment of three entries with this index behind it, and an empty one. */
static void make_indexed(struct disk_io *io, const uint8_t *data, size_t size) {
    struct buf first = BUF_INIT, second = BUF_INIT;
    add_header(&first, 1, 0, 1);
    for (uint64_t i = 1; i <= 3; i++)
        add_record(&first, &(struct wal_record){.kind = 0, .index = i, .term = 1, .data = STR("x")},
                   0);
    uint64_t end = first.len;
    add_record(&first,
               &(struct wal_record){.kind = WAL_INDEX, .data = str_of((const char *)data, size)},
               0);
    put_file(io, "/wal/00000000000000000001.wal", &first);
    add_header(&second, 2, end, size > 0 ? data[0] : 4);
    buf_reserve(&second, 4096);
    memset(second.data + second.len, 0, 4096);
    second.len += 4096;
    put_file(io, "/wal/00000000000000000002.wal", &second);
    buf_free(&first);
    buf_free(&second);
}

static void make_files(struct disk_io *io, const uint8_t *data, size_t size) {
    struct buf bytes = BUF_INIT;
    uint8_t mode = data[0] % 3;
    if (mode == 2) {
        make_indexed(io, data + 1, size - 1);
        return;
    }
    if (mode == 1) {
        add_header(&bytes, 1, 0, 1);
        add_records(&bytes, data + 1, size - 1);
    } else {
        buf_add(&bytes, data + 1, size - 1);
    }
    put_file(io, "/wal/00000000000000000001.wal", &bytes);
    buf_free(&bytes);
}

static struct wal *open_log(struct disk_io *io, struct error *e) {
    return wal_open(
        io, &(struct wal_options){.directory = "/wal", .segment_bytes = 4096, .seed = 1}, e);
}

static void read_all(struct wal *w, struct error *e) {
    for (uint64_t i = wal_first(w); i <= wal_last(w);) {
        struct raft_entry *entries[256];
        size_t count;
        uint64_t to = wal_last(w) - i < 256 ? wal_last(w) : i + 255;
        if (!wal_read(w, i, to, 10000, entries, &count, e))
            return;
        ASSERT(count > 0);
        for (size_t k = 0; k < count; k++) {
            ASSERT(entries[k]->index == i + k);
            raft_entry_release(entries[k]);
        }
        i += count;
    }
}

static void use(struct disk_io *io, struct wal *w, struct error *e) {
    struct raft_run *runs;
    uint64_t *configurations;
    size_t run_count = wal_runs(w, &runs);
    wal_configurations(w, &configurations);
    ASSERT((wal_first(w) == wal_last(w) + 1) == (run_count == 0));
    ASSERT(run_count == 0 || runs[0].first == wal_first(w));
    mem_free(runs);
    mem_free(configurations);
    read_all(w, e);
    error_clear(e);
    uint64_t last = wal_last(w);
    if (last < UINT64_MAX - 1) {
        struct raft_entry *entry = raft_entry_new(RAFT_NOOP, STR_NONE, STR_NONE);
        entry->index = last + 1;
        entry->term = 9;
        wal_put_entry(w, entry);
        raft_entry_release(entry);
        bool ok = wal_commit(w, e);
        ASSERT(ok && wal_last(w) == last + 1);
        wal_close(w);
        w = open_log(io, e);
        ASSERT(w != NULL && wal_last(w) == last + 1);
    }
    wal_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct sim_disk *disk = sim_disk_new(1);
    struct disk_io io = sim_disk_io(disk);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    sim_mkdir(disk, "/wal");
    make_files(&io, data, size);
    struct wal *w = open_log(&io, &e);
    ASSERT(w != NULL || error_is_set(&e));
    if (w != NULL)
        use(&io, w, &e);
    arena_free(&arena);
    sim_disk_free(disk);
    return 0;
}

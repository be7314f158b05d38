/* Snapshots on a disk that loses power at any call: a snapshot that was finished is there
 * afterwards with its bytes; one that was not is there whole or not at all; the newest two stay.
 *   SNAPSHOT_SEED=123 replays one run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/checksum.h"
#include "raft/snapshots.h"
#include "sim/sim_disk.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("seed %llu: %s (line %d)\n", (unsigned long long)seed, #condition,         \
                        __LINE__);                                                                 \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static void fill(struct buf *out, uint64_t content) {
    struct prng p;
    prng_seed(&p, content);
    size_t len = prng_below(&p, 5000);
    for (size_t i = 0; i < len; i++)
        buf_add_char(out, (char)prng_next(&p));
}

/* state.bin of the snapshot is what was written at that index. */
static bool content_is_right(struct disk_io *io, struct snapshots *s, const struct snapshot_meta *m,
                             struct error *e) {
    struct buf want = BUF_INIT, have = BUF_INIT;
    fill(&want, m->index);
    int handle = snapshots_open_state(s, m->id, e);
    if (handle < 0)
        return false;
    int64_t size = io->size(io->owner, handle);
    io->pread(io->owner, handle, buf_reserve(&have, (size_t)size + 1), (size_t)size, 0);
    have.len = (size_t)size;
    io->close(io->owner, handle);
    bool same = str_eq(buf_str(&want), buf_str(&have)) && m->size == size &&
                m->crc == crc64_ecma(0, have.data, have.len);
    buf_free(&want);
    buf_free(&have);
    return same;
}

static bool write_one(struct snapshots *s, uint64_t index, struct arena *arena, struct error *e) {
    struct raft_server self = {STR("id"), STR("1.2.3.4:8300"), RAFT_VOTER};
    struct snapshot_meta m = {.index = index, .term = 2, .configuration_index = 1};
    struct buf bytes = BUF_INIT;
    fill(&bytes, index);
    struct snapshot_writer *w = snapshot_writer_new(s, "local", e);
    bool ok = w != NULL && snapshot_writer_add(w, buf_str(&bytes), e);
    if (w != NULL && !ok)
        snapshot_writer_abort(w);
    if (ok) {
        m.configuration = raft_configuration_new(&self, 1);
        ok = snapshot_writer_finish(w, &m, (int64_t)index, arena, e);
        snapshot_meta_free(&m);
    }
    buf_free(&bytes);
    return ok;
}

static struct snapshots *reopen(struct sim_disk *disk, struct error *e) {
    struct disk_io io = sim_disk_io(disk);
    sim_disk_cut_power(disk);
    return snapshots_open(&io, "/snapshots", e);
}

static void one_run(uint64_t seed) {
    struct prng prng;
    prng_seed(&prng, seed);
    struct sim_disk *disk = sim_disk_new(seed);
    struct disk_io io = sim_disk_io(disk);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    sim_mkdir(disk, "/snapshots");
    sim_sync_dir(disk, "/");
    struct snapshots *s = snapshots_open(&io, "/snapshots", &e);
    uint64_t newest = 0, tried = 0;
    for (uint64_t index = 1; index < 60; index++) {
        disk->calls = 0;
        disk->crash_at = prng_below(&prng, 3) == 0 ? 1 + prng_below(&prng, 25) : 0;
        bool ok = write_one(s, index, &arena, &e);
        tried = index;
        if (ok)
            newest = index;
        if (ok)
            (void)snapshots_reap(s, &e);
        if (disk->crash_at == 0)
            continue;
        snapshots_close(s);
        s = reopen(disk, &e);
        CHECK(s != NULL);
        struct snapshot_meta *metas;
        size_t count, skipped;
        CHECK(snapshots_list(s, &metas, &count, &skipped, &arena, &e));
        CHECK(newest == 0 || count > 0);
        CHECK(skipped == 0 || newest > 0);
        if (newest > 0)
            CHECK(metas[0].index == newest || metas[0].index == tried);
        for (size_t i = 0; i < count; i++) {
            CHECK(content_is_right(&io, s, &metas[i], &e));
            snapshot_meta_free(&metas[i]);
        }
        CHECK(snapshots_reap(s, &e));
        CHECK(snapshots_list(s, &metas, &count, &skipped, &arena, &e));
        CHECK(count <= SNAPSHOTS_KEPT);
        if (count > 0)
            newest = metas[0].index;
        for (size_t i = 0; i < count; i++)
            snapshot_meta_free(&metas[i]);
        error_clear(&e);
    }
    snapshots_close(s);
    sim_disk_free(disk);
    arena_free(&arena);
}

static void test_power_cuts(void **state) {
    const char *one = getenv("SNAPSHOT_SEED");
    if (one != NULL) {
        one_run(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 100; seed++)
        one_run(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_power_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

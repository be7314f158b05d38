/* The log on a disk that loses power at any call: what was acknowledged is there afterwards, whole
 * and in order, and nothing else than the batch under way may be there besides. One seed replays
 * one run: WAL_SEED=123 sim_raft_test_wal_disk
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/wal.h"
#include "raft/wal_format.h"
#include "sim/sim_disk.h"

#define MAX_ENTRIES 20000
#define MAX_BATCH 64

/* ---- what the log should hold ---- */

struct model_entry {
    uint64_t term, content; /* content: seed of the data */
    uint32_t len;
    uint8_t type;
};
struct model {
    uint64_t last, term, vote_term;
    uint64_t compacted; /* entries up to here may be gone */
    uint64_t void_to;   /* entries up to here are gone (a reset) */
    char vote[64];
    struct model_entry entries[MAX_ENTRIES];
};
struct model_record {
    enum { PUT_ENTRY, PUT_TERM, PUT_TRUNCATE, PUT_RESET } kind;
    uint64_t index, term, vote_term;
    char vote[64];
    struct model_entry entry;
};

static void model_apply(struct model *m, const struct model_record *r) {
    switch (r->kind) {
    case PUT_ENTRY:
        m->entries[r->index] = r->entry;
        m->last = r->index;
        break;
    case PUT_TERM:
        m->term = r->term;
        m->vote_term = r->vote_term;
        strcpy(m->vote, r->vote);
        break;
    case PUT_TRUNCATE:
        m->last = r->index - 1;
        break;
    case PUT_RESET:
        m->last = m->void_to = m->compacted = r->index;
        break;
    }
}

static void content_fill(const struct model_entry *e, char *out) {
    struct prng p;
    prng_seed(&p, e->content);
    for (uint32_t i = 0; i < e->len; i++)
        out[i] = (char)prng_next(&p);
}

/* ---- one run ---- */

struct run {
    uint64_t seed;
    struct prng prng;
    struct sim_disk *disk;
    struct wal *wal;
    struct model model;
    struct model_record batch[MAX_BATCH];
    size_t batch_count;
    uint32_t fixed_len; /* > 0: all entries are that long, so that torn ends fit later records */
    uint64_t commits, crashes, torn;
};

static uint64_t below(struct run *r, uint64_t n) {
    return prng_below(&r->prng, n);
}

#define CHECK(run, condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("seed %llu, commit %llu, crash %llu: %s (line %d)\n",                      \
                        (unsigned long long)(run)->seed, (unsigned long long)(run)->commits,       \
                        (unsigned long long)(run)->crashes, #condition, __LINE__);                 \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static bool entry_equals(struct run *r, const struct model_entry *e, const struct raft_entry *got,
                         uint64_t index) {
    char *data = mem_alloc(e->len + 1);
    content_fill(e, data);
    bool same = got->index == index && got->term == e->term && got->type == e->type &&
                got->data.len == e->len && memcmp(got->data.data, data, e->len) == 0;
    mem_free(data);
    return same;
}

static bool same_state(struct run *r, const struct model *m) {
    struct wal *w = r->wal;
    if (wal_last(w) != m->last || wal_term(w) != m->term || wal_vote_term(w) != m->vote_term ||
        !str_is(wal_vote(w), m->vote))
        return false;
    uint64_t first = wal_first(w);
    if (first > m->compacted + 1 || first <= m->void_to)
        return false;
    struct raft_run *runs;
    size_t run_count = wal_runs(w, &runs), at = 0;
    bool same = true;
    for (uint64_t i = first; i <= m->last && same;) {
        static struct raft_entry *entries[MAX_ENTRIES];
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        size_t count;
        if (!wal_read(w, i, m->last, 1 + below(r, 20000), entries, &count, &e)) {
            print_error("%.*s\n", (int)e.text.len, e.text.data);
            same = false;
            count = 0;
        }
        arena_free(&arena);
        for (size_t k = 0; k < count; k++) {
            while (at + 1 < run_count && runs[at + 1].first <= i)
                at++;
            same = same && entry_equals(r, &m->entries[i], entries[k], i) &&
                   runs[at].term == m->entries[i].term;
            raft_entry_release(entries[k]);
            i++;
        }
    }
    mem_free(runs);
    return same;
}

static void open_log(struct run *r) {
    struct disk_io io = sim_disk_io(r->disk);
    struct arena arena = ARENA_INIT;
    for (int attempt = 0;; attempt++) {
        struct error e = ERROR_IN(&arena);
        r->wal =
            wal_open(&io,
                     &(struct wal_options){
                         .directory = "/wal", .segment_bytes = 8192, .seed = prng_next(&r->prng)},
                     &e);
        if (r->wal != NULL)
            break;
        if (r->disk->crash_at == 0)
            print_error("seed %llu: %.*s\n", (unsigned long long)r->seed, (int)e.text.len,
                        e.text.data);
        CHECK(r, r->disk->crash_at != 0 && attempt < 100);
        sim_disk_cut_power(r->disk); /* it died while it recovered */
    }
    r->disk->crash_at = 0;
    arena_free(&arena);
}

/* After a crash: what was acknowledged, then any number of records of the batch under way. */
static void check_after_crash(struct run *r) {
    static struct model m;
    m = r->model;
    size_t k = 0;
    while (!same_state(r, &m)) {
        CHECK(r, k < r->batch_count);
        model_apply(&m, &r->batch[k++]);
    }
    r->torn += k > 0;
    r->model = m;
    r->batch_count = 0;
}

static void put_entry(struct run *r, struct model *after) {
    struct model_record *rec = &r->batch[r->batch_count++];
    uint64_t kind = below(r, 20);
    *rec = (struct model_record){
        .kind = PUT_ENTRY,
        .index = after->last + 1,
        .entry = {.term = after->term,
                  .content = prng_next(&r->prng),
                  .len = (uint32_t)(kind == 0   ? below(r, 20000)
                                    : kind < 10 ? below(r, 40)
                                                : below(r, 600)),
                  .type = (uint8_t)(below(r, 10) == 0 ? RAFT_CONFIGURATION : RAFT_COMMAND)},
    };
    if (r->fixed_len > 0)
        rec->entry.len = r->fixed_len;
    struct raft_entry *entry;
    char *data = mem_alloc(rec->entry.len + 1);
    content_fill(&rec->entry, data);
    entry = raft_entry_new(rec->entry.type, str_of(data, rec->entry.len), STR_NONE);
    mem_free(data);
    entry->index = rec->index;
    entry->term = rec->entry.term;
    wal_put_entry(r->wal, entry);
    raft_entry_release(entry);
    model_apply(after, rec);
}

static void put_other(struct run *r, struct model *after) {
    struct model_record *rec = &r->batch[r->batch_count];
    uint64_t kind = below(r, 10);
    memset(rec, 0, sizeof *rec);
    if (kind < 6) {
        rec->kind = PUT_TERM;
        rec->term = after->term + below(r, 2);
        rec->vote_term = rec->term;
        snprintf(rec->vote, sizeof rec->vote, "127.0.0.%u:8300", (unsigned)below(r, 256));
        wal_put_term(r->wal, rec->term, rec->vote_term, str_from(rec->vote));
    } else if (kind < 9) {
        if (after->last <= after->compacted)
            return;
        rec->kind = PUT_TRUNCATE;
        rec->index =
            after->last -
            below(r, after->last - after->compacted < 30 ? after->last - after->compacted : 30);
        wal_put_truncate(r->wal, rec->index);
    } else {
        if (below(r, 5) != 0)
            return;
        rec->kind = PUT_RESET;
        rec->index = after->last + below(r, 50);
        wal_put_reset(r->wal, rec->index);
    }
    r->batch_count++;
    model_apply(after, rec);
}

/* One batch; false when the disk has failed. */
static bool commit_batch(struct run *r) {
    static struct model after;
    after = r->model;
    r->batch_count = 0;
    size_t n = 1 + below(r, 8);
    for (size_t i = 0; i < n && after.last + 1 < MAX_ENTRIES - 100; i++) {
        if (r->fixed_len == 0 && below(r, 6) == 0)
            put_other(r, &after);
        else
            put_entry(r, &after);
    }
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    bool ok = wal_commit(r->wal, &e);
    arena_free(&arena);
    r->commits++;
    if (ok) {
        r->model = after;
        r->batch_count = 0;
    }
    return ok;
}

static void compact(struct run *r) {
    if (r->model.last <= r->model.compacted)
        return;
    uint64_t through = r->model.compacted + below(r, r->model.last - r->model.compacted + 1);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    r->model.compacted = through;
    (void)wal_compact(r->wal, through, &e);
    arena_free(&arena);
}

static void power_cycle(struct run *r) {
    wal_close(r->wal);
    sim_disk_cut_power(r->disk);
    r->crashes++;
    if (below(r, 3) == 0) /* and again while it recovers */
        r->disk->crash_at = 1 + below(r, 40);
    open_log(r);
    check_after_crash(r);
}

static void one_run(uint64_t seed, unsigned cycles) {
    struct run *r = calloc(1, sizeof *r);
    r->seed = seed;
    prng_seed(&r->prng, seed);
    r->disk = sim_disk_new(prng_next(&r->prng));
    r->fixed_len = seed % 2 == 0 ? 100 + (uint32_t)below(r, 500) : 0;
    sim_mkdir(r->disk, "/wal");
    sim_sync_dir(r->disk, "/");
    open_log(r);
    for (unsigned c = 0; c < cycles; c++) {
        r->disk->calls = 0;
        r->disk->crash_at = 1 + below(r, below(r, 2) == 0 ? 20 : 200);
        for (int i = 0; i < 200; i++) {
            if (!commit_batch(r))
                break;
            if (below(r, 10) == 0)
                compact(r);
            if (below(r, 4) == 0)
                wal_prepare(r->wal, 1 + below(r, 5000));
        }
        power_cycle(r);
        if (r->model.last > MAX_ENTRIES / 2)
            break;
    }
    wal_close(r->wal);
    sim_disk_free(r->disk);
    free(r);
}

static void test_power_cuts(void **state) {
    const char *fixed = getenv("WAL_SEED");
    const char *count = getenv("WAL_SEEDS");
    if (fixed != NULL) {
        one_run(strtoull(fixed, NULL, 10), 40);
        return;
    }
    unsigned n = count != NULL ? (unsigned)atoi(count) : 60;
    for (unsigned i = 1; i <= n; i++)
        one_run(i, 40);
}

/* Without any power cut, calls fail now and then: a failed commit has not happened, a later one
 * that succeeds has, and after a failed sync none succeeds. */
static void one_run_with_errors(uint64_t seed, bool syncs) {
    struct run *r = calloc(1, sizeof *r);
    r->seed = seed;
    prng_seed(&r->prng, seed);
    r->disk = sim_disk_new(prng_next(&r->prng));
    r->fixed_len = seed % 2 == 0 ? 100 + (uint32_t)below(r, 500) : 0;
    sim_mkdir(r->disk, "/wal");
    sim_sync_dir(r->disk, "/");
    open_log(r);
    r->disk->fail_one_in = 15;
    r->disk->fail_syncs = syncs;
    static struct model_record failed[MAX_BATCH];
    size_t failed_count = 0;
    int commits = seed % 8 == 0 ? 300 : (int)below(r, 40);
    for (int i = 0; i < commits; i++) {
        if (commit_batch(r)) {
            failed_count = 0;
        } else {
            memcpy(failed, r->batch, sizeof failed);
            failed_count = r->batch_count;
        }
        if (below(r, 10) == 0)
            compact(r);
        if (below(r, 4) == 0)
            wal_prepare(r->wal, 1 + below(r, 5000));
        unsigned one_in = r->disk->fail_one_in;
        r->disk->fail_one_in = 0;
        if (below(r, 30) == 0)
            CHECK(r, same_state(r, &r->model));
        r->disk->fail_one_in = one_in;
    }
    r->disk->fail_one_in = 0;
    CHECK(r, same_state(r, &r->model));
    /* A batch whose last attempt failed may be found by the next start, in part; nothing before it.
     */
    if (!syncs) {
        memcpy(r->batch, failed, sizeof failed);
        r->batch_count = failed_count;
        power_cycle(r);
    }
    wal_close(r->wal);
    sim_disk_free(r->disk);
    free(r);
}

static void test_errors(void **state) {
    for (uint64_t seed = 1; seed <= 400; seed++) {
        one_run_with_errors(seed, false);
        one_run_with_errors(seed, true);
    }
}

/* A byte that changes under records that were synced, with later batches behind them, is never
 * taken for a torn end: opening or reading says so. */
static void one_damage(uint64_t seed) {
    struct run *r = calloc(1, sizeof *r);
    r->seed = seed;
    prng_seed(&r->prng, seed);
    r->disk = sim_disk_new(prng_next(&r->prng));
    sim_mkdir(r->disk, "/wal");
    sim_sync_dir(r->disk, "/");
    open_log(r);
    for (int i = 0; i < 60; i++)
        CHECK(r, commit_batch(r));
    wal_close(r->wal);
    r->wal = NULL;

    /* Which records are there, by file: damage one that is not of the last batch. */
    size_t at = below(r, r->disk->now_count);
    struct sim_inode *inode = r->disk->now[at].inode;
    struct wal_header header;
    bool usable = inode != NULL && inode->size > WAL_HEADER_BYTES &&
                  wal_header_read((uint8_t *)inode->now, &header);
    uint64_t end = WAL_HEADER_BYTES, last_batch = 0;
    struct wal_record rec;
    while (usable &&
           wal_record_read(str_of(inode->now + end, inode->size - end), header.salt, end, false,
                           &rec) &&
           rec.kind != WAL_INDEX) {
        last_batch = rec.batch;
        end += rec.size;
    }
    if (usable && last_batch > WAL_HEADER_BYTES) {
        uint64_t byte = WAL_HEADER_BYTES + below(r, last_batch - WAL_HEADER_BYTES);
        inode->now[byte] = (char)(inode->now[byte] ^ (1 << below(r, 8)));
        struct disk_io io = sim_disk_io(r->disk);
        struct arena arena = ARENA_INIT;
        struct error e = ERROR_IN(&arena);
        r->wal =
            wal_open(&io, &(struct wal_options){.directory = "/wal", .segment_bytes = 8192}, &e);
        if (r->wal != NULL) {
            /* In a finished segment, or in padding: then reading all of it fails or gives what was
             * written. */
            bool complained = false;
            for (uint64_t i = wal_first(r->wal); i <= wal_last(r->wal); i++) {
                struct raft_entry *entry;
                size_t count;
                if (!wal_read(r->wal, i, i, 1, &entry, &count, &e)) {
                    complained = true;
                    continue;
                }
                CHECK(r, entry_equals(r, &r->model.entries[i], entry, i));
                raft_entry_release(entry);
            }
            CHECK(r, wal_last(r->wal) == r->model.last || complained);
            wal_close(r->wal);
        } else {
            CHECK(r, str_find(e.text, STR("damaged"), 0) >= 0);
        }
        arena_free(&arena);
    }
    sim_disk_free(r->disk);
    free(r);
}

static void test_damage(void **state) {
    for (uint64_t seed = 1; seed <= 400; seed++)
        one_damage(seed);
}

/* A segment that is gone from the middle is noticed. */
static void test_missing_segment(void **state) {
    struct run *r = calloc(1, sizeof *r);
    prng_seed(&r->prng, 7);
    r->disk = sim_disk_new(7);
    sim_mkdir(r->disk, "/wal");
    open_log(r);
    for (int i = 0; i < 60; i++)
        CHECK(r, commit_batch(r));
    wal_close(r->wal);
    assert_int_equal(0, sim_unlink(r->disk, "/wal/00000000000000000002.wal"));
    struct disk_io io = sim_disk_io(r->disk);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    assert_null(wal_open(&io, &(struct wal_options){.directory = "/wal"}, &e));
    assert_true(str_is(e.text, "write-ahead log: /wal/00000000000000000002.wal is missing"));
    arena_free(&arena);
    sim_disk_free(r->disk);
    free(r);
}

/* What a disk holds after a failed sync nobody knows: nothing more is acknowledged until a restart.
 */
static void test_failed_sync(void **state) {
    struct run *r = calloc(1, sizeof *r);
    prng_seed(&r->prng, 3);
    r->disk = sim_disk_new(3);
    sim_mkdir(r->disk, "/wal");
    open_log(r);
    CHECK(r, commit_batch(r));
    r->disk->fail_next_sync = true;
    CHECK(r, !commit_batch(r));
    struct model_record failed[MAX_BATCH];
    size_t count = r->batch_count;
    memcpy(failed, r->batch, sizeof failed);
    CHECK(r, !commit_batch(r));
    CHECK(r, same_state(r, &r->model));
    memcpy(r->batch, failed, sizeof failed);
    r->batch_count = count;
    power_cycle(r);
    CHECK(r, commit_batch(r));
    wal_close(r->wal);
    sim_disk_free(r->disk);
    free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cuts),      cmocka_unit_test(test_errors),
        cmocka_unit_test(test_failed_sync),     cmocka_unit_test(test_damage),
        cmocka_unit_test(test_missing_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* state.bin from bytes of anybody, restored. Checks that what was accepted is written as a snapshot
 * that is accepted again and is the same, and that lookups and records agree.
 */
#include <stddef.h>
#include <stdint.h>

#include "store/snapshot.h"
#include "unit/store/verify.h"

static struct store *store;
static struct arena arena;

static bool to_buf(void *owner, struct str bytes, struct error *e) {
    (void)e;
    buf_add_str(owner, bytes);
    return true;
}

static bool restore(struct str bytes, size_t piece) {
    struct error e = ERROR_IN(&arena);
    struct store_restore *r = store_restore_begin(store, &e);
    ASSERT(r != NULL);
    for (size_t at = 0; at < bytes.len; at += piece) {
        if (store_restore_feed(r, str_sub(bytes, at, piece), &e))
            continue;
        store_restore_abort(r);
        return false;
    }
    return store_restore_commit(r, 1, 1, NULL, &e);
}

static struct buf state_of(void) {
    struct buf out = BUF_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read r;
    ASSERT(store_read_begin(store, &r, &arena, NULL, &e));
    ASSERT(store_snapshot_write(&r, to_buf, &out, &e));
    verify_store(&r);
    store_read_end(&r);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error e = ERROR_IN(&arena);
    if (store == NULL) {
        struct store_options options = {.memory_only = true, .reader_threads = 1};
        store = store_open(&options, &e);
        ASSERT(store != NULL);
    }
    if (restore(str_of(data, size), 1 + size / 3)) {
        /* A node without indexes takes the header's LastIndex, and what comes without one gets one
         * by being written: so the first state that must not change any more is the second. */
        struct buf first = state_of();
        ASSERT(restore(buf_str(&first), 4096));
        buf_free(&first);
        struct buf one = state_of();
        ASSERT(restore(buf_str(&one), 4096));
        struct buf two = state_of();
        ASSERT(str_eq(buf_str(&one), buf_str(&two)));
        buf_free(&one);
        buf_free(&two);
    }
    arena_reset(&arena, 65536);
    return 0;
}

/* Answers: how they live, and the budget of their encoded forms. See call.h.
 */
#include <unistd.h>

#include "base/mem.h"
#include "server/thread.h"

#define COUNTED_FROM ((size_t)16 << 10)

static size_t reply_size(const struct endpoint *endpoint) {
    return endpoint->reply != NULL ? endpoint->reply->size : endpoint->reply_size;
}

/* The answer lives in its own arena: one piece of memory for most. */
struct answer *answer_new(const struct endpoint *endpoint) {
    struct arena arena = ARENA_INIT;
    struct answer *a = ARENA_NEW(&arena, struct answer);
    void *reply = arena_zalloc(&arena, 1, reply_size(endpoint));
    a->references = 1;
    a->arena = arena;
    a->error = ERROR_IN(&a->arena);
    a->reply = reply;
    return a;
}

struct answer *answer_hold(struct answer *a) {
    a->references++;
    return a;
}

static _Atomic size_t encoded_bytes; /* of all threads' answers */

bool answer_may_encode(void) {
    static _Atomic size_t budget;
    size_t most = atomic_load_explicit(&budget, memory_order_relaxed);
    if (most == 0) {
        most = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * (size_t)sysconf(_SC_PAGESIZE);
        atomic_store_explicit(&budget, most, memory_order_relaxed);
    }
    return atomic_load_explicit(&encoded_bytes, memory_order_relaxed) < most;
}

/* Small ones are not worth the threads' sharing of a number: what connections may hold of them is
 * little. */
static void answer_count(struct answer *a, size_t bytes) {
    if (bytes < COUNTED_FROM)
        bytes = 0;
    if (bytes == a->counted)
        return;
    /* Wraps around when it falls: one addition does for both. */
    atomic_fetch_add_explicit(&encoded_bytes, bytes - a->counted, memory_order_relaxed);
    a->counted = bytes;
}

void answer_encoded(struct answer *a) {
    size_t bytes = a->arena.total;
    for (size_t i = 0; i < COUNT_OF(a->encoded); i++) {
        bytes += a->encoded[i] != NULL ? a->encoded[i]->cap : 0;
    }
    answer_count(a, bytes);
}

void answer_release(struct answer *a) {
    if (a == NULL) {
        return;
    }
    ASSERT(a->references > 0);
    if (--a->references > 0) {
        return;
    }
    answer_count(a, 0);
    for (size_t i = 0; i < COUNT_OF(a->encoded); i++) {
        if (a->encoded[i] != NULL) {
            buf_free(a->encoded[i]);
            mem_free(a->encoded[i]);
        }
    }
    struct answer *before = a->before;
    struct arena arena = a->arena;
    arena_free(&arena);
    answer_release(before);
}

/* Arenas: a list of chunks, newest first, each cut from front to back. The common case, room in the
 * newest chunk, is inline in the header; here is what happens when there is none.
 */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

/* With their headers, and with malloc's: what malloc sees is below its limit of 1024 for small
 * requests, beyond which each miss of its cache first tidies up all that is free. */
enum { CHUNK_FIRST = 1024, CHUNK_LARGEST = 64 * 1024, CHUNK_MALLOC = 32 };

static struct arena_chunk *chunk_new(struct arena *arena, size_t size) {
    struct arena_chunk *chunk = mem_alloc(sizeof(struct arena_chunk) + size);
    chunk->size = size;
    arena->total += size;
    ARENA_POISON(chunk->bytes, size);
    return chunk;
}

static void chunk_free(struct arena_chunk *chunk) {
    ARENA_UNPOISON(chunk->bytes, chunk->size);
    mem_free(chunk);
}

/* What the next ordinary chunk would hold: as much as there is already, within the limits. */
static size_t chunk_next_size(const struct arena *arena) {
    size_t whole = CHUNK_FIRST;
    while (whole < CHUNK_LARGEST && whole < arena->total) {
        whole *= 2;
    }
    return whole - sizeof(struct arena_chunk) - CHUNK_MALLOC;
}

void *arena_alloc_slow(struct arena *arena, size_t size) {
    ASSERT(size <= SIZE_MAX / 2);
    size_t need = ((size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1)) + ARENA_REDZONE;
    size_t ordinary = chunk_next_size(arena);
    struct arena_chunk *chunk;
    if (need > ordinary && arena->chunk != NULL) {
        /* A chunk of its own goes behind the newest, whose room stays in use. */
        chunk = chunk_new(arena, need);
        chunk->older = arena->chunk->older;
        arena->chunk->older = chunk;
    } else {
        chunk = chunk_new(arena, need > ordinary ? need : ordinary);
        chunk->older = arena->chunk;
        arena->chunk = chunk;
        arena->used = need;
    }
    ARENA_UNPOISON(chunk->bytes, size);
    return chunk->bytes;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size) {
    size_t bytes;
    ASSERT(!__builtin_mul_overflow(count, size, &bytes));
    return memset(arena_alloc(arena, bytes), 0, bytes);
}

void *arena_copy(struct arena *arena, const void *data, size_t size) {
    void *p = arena_alloc(arena, size);
    if (size > 0) {
        memcpy(p, data, size);
    }
    return p;
}

static void chunks_free(struct arena_chunk *chunk) {
    while (chunk != NULL) {
        struct arena_chunk *older = chunk->older;
        chunk_free(chunk);
        chunk = older;
    }
}

void arena_free(struct arena *arena) {
    chunks_free(arena->chunk);
    *arena = ARENA_INIT;
}

void arena_reset(struct arena *arena, size_t keep) {
    struct arena_chunk *newest = arena->chunk;
    if (newest == NULL || newest->size > keep) {
        arena_free(arena);
        return;
    }
    chunks_free(newest->older);
    newest->older = NULL;
    arena->used = 0;
    arena->total = newest->size;
    ARENA_POISON(newest->bytes, newest->size);
}

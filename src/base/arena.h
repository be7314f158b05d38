/* Memory with one owner and one end: everything that a request, a log entry or an answer needs is
 * taken from its arena and given back at once. Nothing in an arena is freed alone. Not for memory
 * whose life is not known when it is taken, nor for sharing between threads.
 *
 * The first chunk is about 1 KiB, because ten thousand waiting requests hold one each; later ones
 * double what the arena has, up to 64 KiB. What does not fit one of those gets a chunk of its own.
 * Under AddressSanitizer the bytes behind each piece are poisoned.
 */
#ifndef PRAETOR_BASE_ARENA_H
#define PRAETOR_BASE_ARENA_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_REDZONE ((size_t)16)
#define ARENA_POISON(p, size) __asan_poison_memory_region((p), (size))
#define ARENA_UNPOISON(p, size) __asan_unpoison_memory_region((p), (size))
#else
#define ARENA_REDZONE ((size_t)0)
#define ARENA_POISON(p, size) ((void)0)
#define ARENA_UNPOISON(p, size) ((void)0)
#endif

#define ARENA_ALIGN ((size_t)16)

/* For arena.c and the inline function below only. */
struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* of bytes[]; a multiple of ARENA_ALIGN */
    _Alignas(16) char bytes[];
};

struct arena {
    struct arena_chunk *chunk; /* newest; NULL until first use */
    size_t used;               /* bytes used of the newest chunk; a multiple of ARENA_ALIGN */
    size_t total;              /* bytes of all chunks */
};

/* Ready for use without further calls; a zeroed struct is the same. */
#define ARENA_INIT ((struct arena){NULL, 0, 0})

/* Takes a piece when the newest chunk has no room for it. For arena_alloc only. */
void *arena_alloc_slow(struct arena *arena, size_t size);

/* Aligned for any type, not cleared. Never NULL: out of memory ends the process. size 0 is allowed.
 */
static inline void *arena_alloc(struct arena *arena, size_t size) {
    struct arena_chunk *chunk = arena->chunk;
    size = size > 0 ? size : 1; /* also a piece of nothing is a place of its own */
    if (chunk != NULL) {
        size_t room = chunk->size - arena->used;
        room = room > ARENA_REDZONE ? room - ARENA_REDZONE : 0;
        /* room is a multiple of ARENA_ALIGN, so the rounded size fits too and cannot overflow. */
        if (size <= room) {
            void *p = chunk->bytes + arena->used;
            arena->used += ((size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1)) + ARENA_REDZONE;
            ARENA_UNPOISON(p, size);
            return p;
        }
    }
    return arena_alloc_slow(arena, size);
}

/* The same, cleared; checks count * size for overflow. */
void *arena_zalloc(struct arena *arena, size_t count, size_t size);
/* data may be NULL when size is 0. */
void *arena_copy(struct arena *arena, const void *data, size_t size);
/* Frees everything; the arena may be used again. */
void arena_free(struct arena *arena);
/* Forgets everything but keeps the newest chunk if it is at most `keep` bytes. */
void arena_reset(struct arena *arena, size_t keep);

#define ARENA_NEW(arena, type) ((type *)arena_zalloc((arena), 1, sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_zalloc((arena), (n), sizeof(type)))

#endif

/* Memory with one owner and one end: everything that a request, a log entry or an answer needs is
 * taken from its arena and given back at once. Nothing in an arena is freed alone. Not for memory
 * whose life is not known when it is taken, nor for sharing between threads.
 */
#ifndef PRAETOR_BASE_ARENA_H
#define PRAETOR_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk; /* newest; NULL until first use */
    size_t used;               /* bytes used of the newest chunk */
    size_t total;              /* bytes of all chunks */
};

/* Ready for use without further calls; a zeroed struct is the same. */
#define ARENA_INIT ((struct arena){NULL, 0, 0})

/* Aligned for any type, not cleared. Never NULL: out of memory ends the process. size 0 is allowed. */
void *arena_alloc(struct arena *arena, size_t size);
/* The same, cleared; checks count * size for overflow. */
void *arena_zalloc(struct arena *arena, size_t count, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
/* Frees everything; the arena may be used again. */
void arena_free(struct arena *arena);
/* Forgets everything but keeps the newest chunk if it is at most `keep` bytes. */
void arena_reset(struct arena *arena, size_t keep);

#define ARENA_NEW(arena, type) ((type *)arena_zalloc((arena), 1, sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_zalloc((arena), (n), sizeof(type)))

#endif

/* Memory for long-lived structures, and assertions. Out of memory is not an error that a caller
 * could do anything about (the kernel overcommits; we would be killed later anyway), so it ends the
 * process.
 */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void mem_exhausted(size_t count, size_t size) {
    fprintf(stderr, "praetor: out of memory (%zu x %zu bytes)\n", count, size);
    abort();
}

void *mem_alloc(size_t size) {
    /* malloc(0) may give NULL, which our callers must never see. */
    void *p = malloc(size > 0 ? size : 1);
    if (p == NULL) {
        mem_exhausted(1, size);
    }
    return p;
}

/* count * size; a product that overflows is more memory than there is. */
static size_t mem_product(size_t count, size_t size) {
    size_t product;
    if (__builtin_mul_overflow(count, size, &product)) {
        mem_exhausted(count, size);
    }
    return product;
}

void *mem_zalloc(size_t count, size_t size) {
    size_t product = mem_product(count, size);
    void *p = calloc(product > 0 ? product : 1, 1);
    if (p == NULL) {
        mem_exhausted(count, size);
    }
    return p;
}

void *mem_resize(void *old, size_t count, size_t size) {
    size_t product = mem_product(count, size);
    /* realloc to nothing frees on some systems and not on others; one byte is the same on all. */
    void *p = realloc(old, product > 0 ? product : 1);
    if (p == NULL) {
        mem_exhausted(count, size);
    }
    return p;
}

char *mem_strdup(const char *s) {
    size_t size = strlen(s) + 1;
    return memcpy(mem_alloc(size), s, size);
}

void mem_free(void *p) {
    free(p);
}

void assert_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "praetor: %s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}

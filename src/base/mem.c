/* Memory for long-lived structures, and assertions. Out of memory is not an error that a caller
 * could do anything about (the kernel overcommits; we would be killed later anyway), so it ends the
 * process.
 */
#include "base/mem.h"

#include <stdbool.h>
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

void *mem_zalloc(size_t count, size_t size) {
    bool some = count > 0 && size > 0;
    void *p = some ? calloc(count, size) : calloc(1, 1);
    if (p == NULL) {
        mem_exhausted(count, size);
    }
    return p;
}

void *mem_resize(void *old, size_t count, size_t size) {
    bool some = count > 0 && size > 0;
    /* realloc to nothing frees on some systems and not on others; one byte is the same everywhere.
     */
    void *p = some ? reallocarray(old, count, size) : realloc(old, 1);
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

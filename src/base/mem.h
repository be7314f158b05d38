/* malloc and its kin for long-lived structures: they never return NULL (out of memory ends the
 * process, with a line on standard error), and sizes are checked for overflow.
 */
#ifndef PRAETOR_BASE_MEM_H
#define PRAETOR_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                /* not cleared */
void *mem_zalloc(size_t count, size_t size); /* cleared */
void *mem_resize(void *old, size_t count, size_t size);
char *mem_strdup(const char *s);
void mem_free(void *p); /* NULL is allowed */

#define MEM_NEW(type) ((type *)mem_zalloc(1, sizeof(type)))

/* An invariant. Stays on in release builds; prints where and what, then aborts. */
#define ASSERT(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void assert_failed(const char *condition, const char *file, int line);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif

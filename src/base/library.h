/* Libraries that are loaded when they are first needed, so that an agent at rest does without them
 * and what they bring along.
 */
#ifndef PRAETOR_BASE_LIBRARY_H
#define PRAETOR_BASE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

struct library_function {
    const char *name;
    void *place; /* a pointer to a function, which it becomes */
};

/* file: "libcurl.so.4". Loaded for good, with all these functions, which are not called yet. False:
 * why, in `fault`. Once a library: whoever needs it uses pthread_once. */
bool library_load(const char *file, const struct library_function *functions, size_t count,
                  char fault[256]);

#endif

/* See library.h. */
#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool library_load(const char *file, const struct library_function *functions, size_t count,
                  char fault[256]) {
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        snprintf(fault, 256, "%s", dlerror());
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        void *function = dlsym(handle, functions[i].name);
        if (function == NULL) {
            snprintf(fault, 256, "%s has no %s", file, functions[i].name);
            return false;
        }
        memcpy(functions[i].place, &function, sizeof(function));
    }
    return true;
}

/* Loaded before libc into an agent by test_durability.py: from the FAULT_AT-th on, FAULT_COUNT (0:
 * all) calls of fdatasync (FAULT_CALL=sync) or of those that write (FAULT_CALL=write) fail with
 * FAULT_ERRNO, on files whose path contains FAULT_PATH. A write that fails has written its first
 * half. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic int calls;

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static int fails(int fd, const char *call) {
    char link[64], path[4096];
    if (strcmp(getenv("FAULT_CALL"), call) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n < 0 ? 0 : n] = '\0';
    if (!strstr(path, getenv("FAULT_PATH")))
        return 0;
    int nth = atomic_fetch_add(&calls, 1) + 1, at = number("FAULT_AT"),
        count = number("FAULT_COUNT");
    if (nth < at || (count > 0 && nth >= at + count))
        return 0;
    errno = number("FAULT_ERRNO");
    return 1;
}

#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

int fdatasync(int fd) {
    REAL(fdatasync);
    return fails(fd, "sync") ? -1 : real(fd);
}

ssize_t write(int fd, const void *data, size_t len) {
    REAL(write);
    return fails(fd, "write") ? -1 : real(fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
    REAL(pwrite);
    if (!fails(fd, "write"))
        return real(fd, data, len, at);
    int code = errno;
    if (len > 1)
        (void)!real(fd, data, len / 2, at);
    errno = code;
    return -1;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) {
    return pwrite(fd, data, len, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    return fails(fd, "write") ? -1 : real(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    REAL(pwritev);
    return fails(fd, "write") ? -1 : real(fd, parts, count, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    return pwritev(fd, parts, count, at);
}

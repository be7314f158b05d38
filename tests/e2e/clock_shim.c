/* Loaded before libc into an agent by test_ca_vault.py: the monotonic clock is ahead by as many ns
 * as the file CLOCK_FILE holds (8 bytes), which the test may change while the agent runs. What
 * waits in the kernel does not notice. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void open_file(void) {
    int fd = open(getenv("CLOCK_FILE"), O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    ahead = at != MAP_FAILED ? at : NULL;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    int done = (int)syscall(SYS_clock_gettime, clock, t);
    if (done == 0 && clock == CLOCK_MONOTONIC && ahead != NULL) {
        int64_t ns = t->tv_nsec + *ahead % 1000000000;
        t->tv_sec += *ahead / 1000000000 + ns / 1000000000;
        t->tv_nsec = ns % 1000000000;
    }
    return done;
}

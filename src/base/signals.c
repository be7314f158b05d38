/* All signals but faults and the profiler's (signals.h). */
#include "base/signals.h"

#include <stddef.h>

void signals_block(sigset_t *before) {
    static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        sigdelset(&all, open[i]);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

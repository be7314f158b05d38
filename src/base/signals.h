/* The signal mask of threads. Signals from outside belong to the main thread. Faults of a thread's
 * own (SIGSEGV, SIGBUS and the like) stay open everywhere: blocked, they would end the process
 * without any handler being asked. So does SIGPROF, with which the profiler asks each thread where
 * it is: nobody else may send it.
 */
#ifndef PRAETOR_BASE_SIGNALS_H
#define PRAETOR_BASE_SIGNALS_H

#include <signal.h>

/* Before a thread is made, which inherits the mask; the maker then sets `before` again. */
void signals_block(sigset_t *before);

#endif

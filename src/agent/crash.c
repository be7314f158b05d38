/* The handler of faults (crash.h). It runs where the fault was, so it only makes system calls. */
#include "agent/crash.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char mark[4096]; /* path of the state's mark; empty: none */
static const char bus_text[] =
    "==> state store: a page of data.mdb cannot be read or written: no space left on device, or "
    "the "
    "device failed. Nothing acknowledged is lost; stopping the process\n";

static void on_fault(int number) {
    if (mark[0] != '\0')
        unlink(mark);
    if (number == SIGBUS) {
        ssize_t ignored = write(STDERR_FILENO, bus_text, sizeof bus_text - 1);
        (void)ignored;
        _exit(1);
    }
    raise(number); /* the handler is gone already: SA_RESETHAND */
}

void crash_catch(struct str data_dir) {
    int n = snprintf(mark, sizeof mark, STR_FMT "/state/current", STR_ARG(data_dir));
    if (data_dir.len == 0 || n < 0 || n >= (int)sizeof mark)
        mark[0] = '\0';
    static const int numbers[] = {
        SIGBUS,
#ifndef __SANITIZE_ADDRESS__
        SIGSEGV, SIGABRT, SIGILL, SIGFPE,
#endif
    };
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}

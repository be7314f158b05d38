/* A program that a command runs: a handler of `watch`, what `lock` guards. One at a time; signals
 * are caught (client_catch_signals) before it starts, so that its end wakes polls.
 */
#ifndef PRAETOR_CLI_CHILD_H
#define PRAETOR_CLI_CHILD_H

#include <sys/types.h>

#include "cli/command.h"

enum child_input { CHILD_INPUT_NONE, CHILD_INPUT_INHERIT, CHILD_INPUT_BYTES };

struct child_plan {
    char *const *args;
    size_t count;
    bool shell; /* $SHELL or /bin/sh runs the arguments, joined by blanks */
    enum child_input input;
    struct str bytes;     /* CHILD_INPUT_BYTES */
    const char *variable; /* "NAME=value" that is added to the environment */
};

struct child {
    pid_t pid;  /* 0: not running */
    int status; /* of waitpid, once it ended */
};

/* "fork/exec /nope: no such file or directory" */
bool child_start(struct child *child, const struct child_plan *plan, struct arena *arena,
                 struct error *e);
/* Whether it has ended by now. */
bool child_ended(struct child *child);
void child_signal(const struct child *child, int number);
/* Whether it ended well; otherwise *text (in the arena) is "exit status 3" or "signal: killed". */
bool child_succeeded(const struct child *child, struct str *text, struct arena *arena);

#endif

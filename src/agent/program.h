/* A program that the agent starts for a check or a watch: its output through a pipe, its end
 * through a pidfd, both on an event loop. Nothing here blocks: starting a program shares memory
 * with the child until it has been loaded, which takes a fraction of a millisecond. Not: what its
 * output and its end mean (check_script.c, watch_handler.c).
 */
#ifndef PRAETOR_AGENT_PROGRAM_H
#define PRAETOR_AGENT_PROGRAM_H

#include <sys/types.h>

#include "agent/check_run.h"

struct program_command {
    const char *file; /* program_find's; taken as it is */
    char *const *argv;
    char *const *environment; /* NULL: the agent's own */
    int input;                /* a descriptor that stays the caller's; -1: nothing to read */
    bool own_group;           /* program_kill ends all that it started */
};

struct program {
    struct tail output; /* limit: the caller's */
    /* Optional: gets the output as it comes, which then is not kept. False: no more until
     * program_resume. */
    bool (*data)(struct program *c, const char *bytes, size_t len);
    /* On the loop, each time that something ended: see the flags. */
    void (*changed)(struct program *c);
    /* After program_close: the handles are gone; the struct may be freed. */
    void (*closed)(struct program *c);
    void *owner;

    bool exited, read_over; /* the program has ended; its output has */
    int wait_status;        /* once exited */
    bool closing, paused;

    pid_t pid;
    bool own_group;
    int pid_fd, read_fd;
    uv_poll_t exit_poll, read_poll;
    unsigned open_handles;
};

/* The file for a name, as the peer looks for it: names with a slash are taken as they are, others
 * are looked for in $PATH. NULL with the peer's text ("exec: \"x\": executable file not found in
 * $PATH").
 */
const char *program_find(struct str name, struct arena *arena, struct error *e);
/* False with the peer's text ("fork/exec /x: permission denied"), and nothing to close. */
bool program_start(struct program *c, struct loop *loop, const struct program_command *command,
                   struct arena *arena, struct error *e);
/* SIGKILL, to the whole group when it has its own. */
void program_kill(const struct program *c);
/* After `data` was false. */
void program_resume(struct program *c);
/* Nobody waits for it any more; once. A program that still runs goes on. */
void program_close(struct program *c);
/* What is left of the output, and how much it was: "Captured 4096 of 9000 bytes\n...\n…". */
struct str program_output_text(struct tail *output, struct arena *arena);

#endif

/* A program that a command runs: see child.h. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/client.h"

extern char **environ;

static char **make_environment(const char *variable, struct arena *arena) {
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **to = ARENA_ARRAY(arena, char *, count + 2);
    memcpy(to, environ, count * sizeof *to);
    if (variable != NULL)
        to[count] = str_terminated(arena, str_from(variable));
    return to;
}

static char **make_arguments(const struct child_plan *plan, struct arena *arena) {
    char **to = ARENA_ARRAY(arena, char *, plan->count + 4);
    if (!plan->shell) {
        memcpy(to, plan->args, plan->count * sizeof *to);
        return to;
    }
    const char *shell = getenv("SHELL");
    struct buf script = BUF_INIT;
    for (size_t i = 0; i < plan->count; i++)
        buf_add_format(&script, "%s%s", i > 0 ? " " : "", plan->args[i]);
    to[0] = str_terminated(arena, str_from(shell != NULL && *shell != '\0' ? shell : "/bin/sh"));
    to[1] = str_terminated(arena, STR("-c"));
    to[2] = str_terminated(arena, buf_str(&script));
    buf_free(&script);
    return to;
}

/* A file in memory: the child may read it or not, and nobody has to feed it. */
static int input_file(const struct child_plan *plan, struct error *e) {
    if (plan->input == CHILD_INPUT_NONE)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("input", MFD_CLOEXEC);
    struct str left = plan->bytes;
    while (fd >= 0 && left.len > 0) {
        ssize_t n = write(fd, left.data, left.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            error_set_errno(e, errno, "writing the handler's input");
            close(fd);
            return -1;
        }
        left = str_sub(left, (size_t)n, left.len);
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

static bool spawn(struct child *child, char **args, char **environment, int input,
                  struct error *e) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (input >= 0)
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    int reason = posix_spawnp(&child->pid, args[0], &actions, NULL, args, environment);
    posix_spawn_file_actions_destroy(&actions);
    if (reason == 0)
        return true;
    child->pid = 0;
    if (args[0][0] != '\0' && strchr(args[0], '/') == NULL)
        return error_set(e, ERROR_IO, "exec: " STR_FMT ": executable file not found in $PATH",
                         STR_ARG(str_quote(e->arena, str_from(args[0]))));
    return error_set(e, ERROR_IO, "fork/exec %s: %s", args[0], errno_text(reason));
}

bool child_start(struct child *child, const struct child_plan *plan, struct arena *arena,
                 struct error *e) {
    int input = -1;
    *child = (struct child){0, 0};
    if (plan->input != CHILD_INPUT_INHERIT) {
        input = input_file(plan, e);
        if (input < 0)
            return error_is_set(e) ? false : error_set_errno(e, errno, "the handler's input");
    }
    bool ok = spawn(child, make_arguments(plan, arena), make_environment(plan->variable, arena),
                    input, e);
    if (input >= 0)
        close(input);
    return ok;
}

bool child_ended(struct child *child) {
    if (child->pid == 0)
        return true;
    pid_t got = waitpid(child->pid, &child->status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR))
        return false;
    child->pid = 0;
    return true;
}

void child_signal(const struct child *child, int number) {
    if (child->pid > 0)
        kill(child->pid, number);
}

bool child_succeeded(const struct child *child, struct str *text, struct arena *arena) {
    if (WIFSIGNALED(child->status)) {
        const char *name = strsignal(WTERMSIG(child->status));
        struct str lower = str_lower(arena, str_from(name != NULL ? name : "unknown"));
        *text = str_format(arena, "signal: " STR_FMT "%s", STR_ARG(lower),
                           WCOREDUMP(child->status) ? " (core dumped)" : "");
        return false;
    }
    *text = str_format(arena, "exit status %d", WEXITSTATUS(child->status));
    return WEXITSTATUS(child->status) == 0;
}

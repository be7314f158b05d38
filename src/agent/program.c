/* Programs that the agent starts: see program.h.
 */
#include "agent/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define READ_SIZE 16384
#define READS_AT_ONCE 16

/* ---- under way ---- */

static void take(struct program *c, const char *bytes, size_t len) {
    if (c->data == NULL)
        tail_add(&c->output, bytes, len);
    else
        c->paused = !c->data(c, bytes, len);
}

static void read_all(struct program *c) {
    char bytes[READ_SIZE];
    /* Bounded: a program that writes without end must not keep the others waiting. */
    for (int i = 0; i < READS_AT_ONCE && !c->read_over && !c->paused; i++) {
        ssize_t n = read(c->read_fd, bytes, sizeof(bytes));
        if (n > 0)
            take(c, bytes, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            c->read_over = true;
        else if (errno == EAGAIN)
            return;
    }
    if (c->read_over || c->paused)
        uv_poll_stop(&c->read_poll);
}

static void can_read(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct program *c = CONTAINER_OF(poll, struct program, read_poll);
    read_all(c);
    if (c->read_over)
        c->changed(c);
}

static void has_exited(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct program *c = CONTAINER_OF(poll, struct program, exit_poll);
    if (waitpid(c->pid, &c->wait_status, WNOHANG) != c->pid)
        return;
    c->exited = true;
    uv_poll_stop(&c->exit_poll);
    if (!c->read_over && !c->paused)
        read_all(c);
    c->changed(c);
}

void program_resume(struct program *c) {
    if (!c->paused || c->closing || c->read_over)
        return;
    c->paused = false;
    uv_poll_start(&c->read_poll, UV_READABLE | UV_DISCONNECT, can_read);
}

void program_kill(const struct program *c) {
    if (!c->exited || c->own_group)
        kill(c->own_group ? -c->pid : c->pid, SIGKILL);
}

/* ---- end ---- */

static void closed_one(struct program *c) {
    if (--c->open_handles > 0)
        return;
    close(c->pid_fd);
    close(c->read_fd);
    c->closed(c);
}

static void exit_closed(uv_handle_t *h) {
    closed_one(CONTAINER_OF((uv_poll_t *)h, struct program, exit_poll));
}
static void read_closed(uv_handle_t *h) {
    closed_one(CONTAINER_OF((uv_poll_t *)h, struct program, read_poll));
}

void program_close(struct program *c) {
    ASSERT(!c->closing);
    c->closing = true;
    uv_close((uv_handle_t *)&c->exit_poll, exit_closed);
    uv_close((uv_handle_t *)&c->read_poll, read_closed);
}

struct str program_output_text(struct tail *output, struct arena *arena) {
    struct str tail = tail_bytes(output);
    if (output->total <= tail.len)
        return tail;
    return str_format(arena, "Captured %zu of %llu bytes\n...\n" STR_FMT, tail.len,
                      (unsigned long long)output->total, STR_ARG(tail));
}

/* ---- start ---- */

static bool is_executable(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

const char *program_find(struct str name, struct arena *arena, struct error *e) {
    if (name.len == 0 || str_find_char(name, '/') >= 0)
        return str_terminated(arena, name);
    const char *path = getenv("PATH");
    struct str rest = str_from(path != NULL ? path : "");
    while (rest.data != NULL) {
        struct str folder = str_cut(&rest, ':');
        struct str file = str_format(arena, STR_FMT "/" STR_FMT,
                                     STR_ARG(folder.len > 0 ? folder : STR(".")), STR_ARG(name));
        if (is_executable(file.data))
            return file.data;
    }
    error_set(e, ERROR_IO, "exec: " STR_FMT ": executable file not found in $PATH",
              STR_ARG(str_quote(arena, name)));
    return NULL;
}

static int spawn(const struct program_command *command, int output, pid_t *pid) {
    extern char **environ;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    if (command->input < 0)
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    else
        posix_spawn_file_actions_adddup2(&files, command->input, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how,
                             command->own_group ? (short)(flags | POSIX_SPAWN_SETPGROUP) : flags);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    int code = posix_spawn(pid, command->file, &files, &how, command->argv,
                           command->environment != NULL ? command->environment : environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

/* 0, or an errno and nothing left open. */
static int launch(struct program *c, const struct program_command *command) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int code = spawn(command, ends[1], &c->pid);
    close(ends[1]);
    c->pid_fd = code == 0 ? pidfd_open(c->pid, 0) : -1;
    if (code == 0 && c->pid_fd < 0) { /* it runs, but nobody could tell when it ends */
        code = errno;
        kill(command->own_group ? -c->pid : c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
    }
    if (code != 0) {
        close(ends[0]);
        return code;
    }
    c->read_fd = ends[0];
    return 0;
}

bool program_start(struct program *c, struct loop *loop, const struct program_command *command,
                   struct arena *arena, struct error *e) {
    int code = launch(c, command);
    if (code != 0)
        return error_set(e, ERROR_IO, "fork/exec %s: " STR_FMT, command->file,
                         STR_ARG(fault_errno(arena, code)));
    c->own_group = command->own_group;
    uv_poll_init(&loop->uv, &c->exit_poll, c->pid_fd);
    uv_poll_init(&loop->uv, &c->read_poll, c->read_fd);
    c->open_handles = 2;
    uv_poll_start(&c->exit_poll, UV_READABLE, has_exited);
    uv_poll_start(&c->read_poll, UV_READABLE | UV_DISCONNECT, can_read);
    return true;
}

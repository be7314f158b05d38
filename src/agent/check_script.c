/* Script checks: a program in its own process group, its output through a pipe, its end through a
 * pidfd (agent.md 3.5). When the time is up the whole group is killed, and the check waits for the
 * end before it runs again. Nothing here blocks: starting a program shares memory with the child
 * until it has been loaded, which takes a fraction of a millisecond.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/check_run.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

#define DEFAULT_TIMEOUT (30 * SECOND)
#define READ_SIZE 16384

struct script {
    struct check_run *run;
    struct check_output output;
    struct loop_timer timeout;
    uv_poll_t exit_poll, read_poll;
    pid_t pid;
    int pid_fd, read_fd;
    int wait_status;
    unsigned open_handles;
    bool exited, read_over, timed_out, cancelled, closing;
};

/* ---- end ---- */

static struct str output_text(struct script *s, struct arena *arena) {
    struct str tail = check_output_tail(&s->output);
    if (s->output.total <= tail.len)
        return tail;
    return str_format(arena, "Captured %zu of %llu bytes\n...\n" STR_FMT, tail.len,
                      (unsigned long long)s->output.total, STR_ARG(tail));
}

static void report(struct script *s) {
    struct arena scratch = ARENA_INIT;
    struct check_run *r = s->run;
    struct str output = output_text(s, &scratch);
    log_at(LOG_TRACE, "agent", "Check output", LOG_S("check", r->check_id),
           LOG_S("output", output));
    if (s->timed_out) {
        struct str limit = duration_format(&scratch, check_run_timeout(r, DEFAULT_TIMEOUT));
        struct str text = str_format(&scratch, "Timed out (" STR_FMT ") running check%s" STR_FMT,
                                     STR_ARG(limit), output.len > 0 ? "\n\n" : "", STR_ARG(output));
        check_run_over_at_once(r, CHECK_CRITICAL, text);
    } else {
        int code = WIFEXITED(s->wait_status) ? WEXITSTATUS(s->wait_status) : -1;
        check_run_over(r,
                       code == 0   ? CHECK_PASSING
                       : code == 1 ? CHECK_WARNING
                                   : CHECK_CRITICAL,
                       output);
    }
    arena_free(&scratch);
}

static void closed_one(struct script *s) {
    if (--s->open_handles > 0)
        return;
    close(s->pid_fd);
    close(s->read_fd);
    report(s);
    check_output_free(&s->output);
    mem_free(s);
}

static void exit_closed(uv_handle_t *h) {
    closed_one(CONTAINER_OF((uv_poll_t *)h, struct script, exit_poll));
}
static void read_closed(uv_handle_t *h) {
    closed_one(CONTAINER_OF((uv_poll_t *)h, struct script, read_poll));
}
static void timeout_closed(struct loop_timer *t) {
    closed_one(t->owner);
}

/* The program has ended and so has its output, or nobody waits for that any more. */
static void maybe_over(struct script *s) {
    if (s->closing || !s->exited || !(s->read_over || s->timed_out || s->cancelled))
        return;
    s->closing = true;
    loop_timer_stop(&s->timeout);
    loop_timer_close(&s->timeout, timeout_closed);
    uv_close((uv_handle_t *)&s->exit_poll, exit_closed);
    uv_close((uv_handle_t *)&s->read_poll, read_closed);
}

/* ---- under way ---- */

static void read_all(struct script *s) {
    char bytes[READ_SIZE];
    /* Bounded: a program that writes without end must not keep the others waiting. */
    for (int i = 0; i < 16 && !s->read_over; i++) {
        ssize_t n = read(s->read_fd, bytes, sizeof(bytes));
        if (n > 0)
            check_output_add(&s->output, bytes, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            s->read_over = true;
        else if (errno == EAGAIN)
            return;
    }
    if (s->read_over)
        uv_poll_stop(&s->read_poll);
}

static void can_read(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct script *s = CONTAINER_OF(poll, struct script, read_poll);
    read_all(s);
    maybe_over(s);
}

static void has_exited(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct script *s = CONTAINER_OF(poll, struct script, exit_poll);
    if (waitpid(s->pid, &s->wait_status, WNOHANG) != s->pid)
        return;
    s->exited = true;
    uv_poll_stop(&s->exit_poll);
    if (!s->read_over)
        read_all(s);
    maybe_over(s);
}

static void kill_group(const struct script *s) {
    kill(-s->pid, SIGKILL);
}

static void time_is_up(struct loop_timer *t) {
    struct script *s = t->owner;
    s->timed_out = true;
    log_at(LOG_WARN, "agent", "Timed out running check", LOG_S("check", s->run->check_id));
    kill_group(s);
    maybe_over(s);
}

static void script_cancel(struct check_run *r) {
    struct script *s = r->state;
    s->cancelled = true;
    kill_group(s);
    maybe_over(s);
}

/* ---- start ---- */

static bool is_program(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The file for a name, as the peer looks for it: names with a slash are taken as they are. */
static const char *find_program(struct str name, struct arena *arena, struct error *e) {
    if (name.len == 0 || str_find_char(name, '/') >= 0)
        return str_terminated(arena, name);
    const char *path = getenv("PATH");
    struct str rest = str_from(path != NULL ? path : "");
    while (rest.data != NULL) {
        struct str folder = str_cut(&rest, ':');
        struct str file = str_format(arena, STR_FMT "/" STR_FMT,
                                     STR_ARG(folder.len > 0 ? folder : STR(".")), STR_ARG(name));
        if (is_program(file.data))
            return file.data;
    }
    struct str quoted = str_quote(arena, name);
    error_set(e, ERROR_IO, "exec: " STR_FMT ": executable file not found in $PATH",
              STR_ARG(quoted));
    return NULL;
}

static int spawn(const char *program, char *const *argv, int output, pid_t *pid) {
    extern char **environ;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                       POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    int code = posix_spawn(pid, program, &files, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

static char **arguments(const struct check_type *t, struct arena *arena) {
    char **argv = ARENA_ARRAY(arena, char *, t->script_args.len + 1);
    for (uint32_t i = 0; i < t->script_args.len; i++)
        argv[i] = str_terminated(arena, LIST_AT(t->script_args, struct str, i));
    return argv;
}

/* Starts the program; *read_fd gets its output. */
static bool launch(struct check_run *r, pid_t *pid, int *pid_fd, int *read_fd, struct arena *arena,
                   struct error *e) {
    const char *program = find_program(LIST_AT(r->type.script_args, struct str, 0), arena, e);
    if (program == NULL)
        return false;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        struct str text = check_errno_text(arena, errno);
        return error_set(e, ERROR_IO, "pipe2: " STR_FMT, STR_ARG(text));
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int code = spawn(program, arguments(&r->type, arena), ends[1], pid);
    close(ends[1]);
    *pid_fd = code == 0 ? pidfd_open(*pid, 0) : -1;
    if (code == 0 && *pid_fd < 0) {
        code = errno;
        kill(-*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    if (code != 0) {
        close(ends[0]);
        struct str text = check_errno_text(arena, code);
        return error_set(e, ERROR_IO, "fork/exec %s: " STR_FMT, program, STR_ARG(text));
    }
    *read_fd = ends[0];
    return true;
}

static void script_start(struct check_run *r) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    struct script *s = MEM_NEW(struct script);
    if (!launch(r, &s->pid, &s->pid_fd, &s->read_fd, &scratch, &e)) {
        log_at(LOG_ERROR, "agent", "Check failed to start", LOG_S("check", r->check_id),
               LOG_S("error", e.text));
        mem_free(s);
        check_run_over_at_once(r, CHECK_CRITICAL, e.text);
        arena_free(&scratch);
        return;
    }
    arena_free(&scratch);
    r->state = s;
    s->run = r;
    s->output.limit = r->output_limit;
    struct loop *loop = check_run_loop(r);
    loop_timer_init(loop, &s->timeout, time_is_up, s);
    uv_poll_init(&loop->uv, &s->exit_poll, s->pid_fd);
    uv_poll_init(&loop->uv, &s->read_poll, s->read_fd);
    s->open_handles = 3;
    uv_poll_start(&s->exit_poll, UV_READABLE, has_exited);
    uv_poll_start(&s->read_poll, UV_READABLE | UV_DISCONNECT, can_read);
    loop_timer_set(&s->timeout, check_run_timeout(r, DEFAULT_TIMEOUT));
}

const struct check_kind check_kind_script = {script_start, script_cancel};

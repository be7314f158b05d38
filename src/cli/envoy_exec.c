/* `connect envoy` becomes Envoy. The bootstrap holds a token, so it is in no file: Envoy reads it
 * from a named pipe, once, that a child of ours fills and removes. See envoy.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"
#include "cli/commands.h"
#include "cli/envoy.h"
#include "cli/input.h"

#define PIPE_TIME_S 10 /* that Envoy has to open it */
#define EXIT_LATE 99

static void on_alarm(int number) {
    (void)number;
    _exit(EXIT_LATE);
}

/* Waits for the reader; gives it all and removes the pipe. */
static bool pipe_fill(const char *path, struct str bytes, struct error *e) {
    signal(SIGPIPE, SIG_IGN);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, ERROR_IO, "open %s: %s", path, errno_text(errno));
    bool ok = true;
    while (ok && bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n > 0)
            bytes = str_sub(bytes, (size_t)n, bytes.len);
        else if (n < 0 && errno != EINTR)
            ok = error_set(e, ERROR_IO, "write %s: %s", path, errno_text(errno));
    }
    close(fd);
    if (unlink(path) != 0 && ok)
        ok = error_set(e, ERROR_IO, "remove %s: %s", path, errno_text(errno));
    return ok;
}

/* ---- finding and starting it ---- */

bool envoy_find(struct str *path, struct arena *arena, struct error *e) {
    struct str folders = str_from(getenv("PATH"));
    while (folders.data != NULL) {
        struct str folder = str_cut(&folders, ':');
        struct str at =
            str_format(arena, STR_FMT "/envoy", STR_ARG(folder.len > 0 ? folder : STR(".")));
        struct stat about;
        if (stat(at.data, &about) == 0 && S_ISREG(about.st_mode) && access(at.data, X_OK) == 0) {
            *path = at;
            return true;
        }
    }
    return error_set(e, ERROR_NOT_FOUND, "exec: \"envoy\": executable file not found in $PATH");
}

/* "--name" or "--name=value" */
static bool has_flag(char *const *args, size_t count, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < count; i++)
        if (strncmp(args[i], name, len) == 0 && (args[i][len] == '\0' || args[i][len] == '='))
            return true;
    return false;
}

static char **build_args(const char *binary, char *pipe, char *const *args, size_t count,
                         struct arena *arena) {
    static const char *const restart[] = {"--restart-epoch", "--hot-restart-version",
                                          "--drain-time-s", "--parent-shutdown-time-s"};
    char **all = ARENA_ARRAY(arena, char *, count + 8);
    size_t n = 0;
    bool restarts = false;
    for (size_t i = 0; i < COUNT_OF(restart); i++)
        restarts |= has_flag(args, count, restart[i]);
    all[n++] = str_terminated(arena, str_from(binary));
    all[n++] = str_terminated(arena, STR("--config-path"));
    all[n++] = pipe;
    if (!restarts)
        all[n++] = str_terminated(arena, STR("--disable-hot-restart"));
    if (!has_flag(args, count, "--max-obj-name-len")) {
        all[n++] = str_terminated(arena, STR("--max-obj-name-len"));
        all[n++] = str_terminated(arena, STR("256"));
    }
    for (size_t i = 0; i < count; i++)
        all[n++] = args[i];
    return all;
}

static char *pipe_make(struct arena *arena, struct error *e) {
    const char *folder = getenv("TMPDIR");
    uint64_t number;
    random_bytes(&number, sizeof number);
    struct str path =
        str_format(arena, "%s/envoy-%llx-bootstrap.json",
                   folder != NULL && *folder != '\0' ? folder : "/tmp", (unsigned long long)number);
    if (mkfifo(path.data, 0600) == 0)
        return str_terminated(arena, path);
    error_set(e, ERROR_IO, "%s", errno_text(errno));
    return NULL;
}

/* The child. It is silent: the terminal is Envoy's. */
static _Noreturn void serve_pipe(const char *path, struct str bootstrap, struct arena *arena) {
    struct error e = ERROR_IN(arena);
    signal(SIGALRM, on_alarm);
    alarm(PIPE_TIME_S);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        for (int fd = 0; fd < 3; fd++)
            dup2(null, fd);
    _exit(pipe_fill(path, bootstrap, &e) ? 0 : 1);
}

bool envoy_exec(struct str binary, char *const *args, size_t count, struct str bootstrap,
                struct arena *arena, struct error *e) {
    const char *program = str_terminated(arena, binary);
    char *pipe = pipe_make(arena, e);
    if (pipe == NULL)
        return false;
    char **all = build_args(program, pipe, args, count, arena);
    pid_t child = fork();
    if (child == 0)
        serve_pipe(pipe, bootstrap, arena);
    if (child > 0)
        execv(program, all);
    error_set(e, ERROR_IO, "Failed to exec envoy: %s", errno_text(errno));
    if (child > 0)
        kill(child, SIGKILL);
    unlink(pipe);
    return false;
}

/* ---- connect envoy pipe-bootstrap ---- */

static int run_pipe(struct cli *cli, const void *options) {
    struct error e = ERROR_IN(cli->arena);
    struct str bytes;
    (void)options;
    if (cli->arg_count != 1)
        return cli_fail(cli, "Expecting named pipe path as argument");
    signal(SIGALRM, on_alarm);
    alarm(PIPE_TIME_S);
    bool ok =
        stream_read(cli->in, "stdin", &bytes, cli->arena, &e) && pipe_fill(cli->args[0], bytes, &e);
    alarm(0);
    if (!ok)
        return cli_fail(cli, STR_FMT, STR_ARG(e.text));
    cli_out(cli, "Bootstrap sent, unlinking named pipe");
    return CLI_OK;
}

const struct command command_connect_envoy_pipe_bootstrap = {
    .name = "connect envoy pipe-bootstrap",
    .synopsis = "Writes Envoy's bootstrap into a named pipe",
    .usage = "connect envoy pipe-bootstrap PIPE",
    .about =
        "  Writes what comes on standard input into a named pipe and removes it, for an Envoy\n"
        "  that reads its bootstrap from there. `connect envoy` does the same by itself.\n",
    .raw = true,
    .run = run_pipe,
};

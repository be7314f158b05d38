/* Handlers of watches: see watch_handler.h.
 */
#include "agent/watch_handler.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/check_curl.h"
#include "base/log.h"
#include "base/mem.h"

#define LOGGER "agent"
#define OUTPUT_MAX 4096
#define READ_SIZE 4096

struct watch_handler {
    const struct watch_plan *plan;
    struct loop *loop;
    void (*over)(void *owner);
    void *owner;
    struct arena arena;
    bool closing;

    /* script */
    struct check_output output;
    uv_poll_t exit_poll, read_poll;
    pid_t pid;
    int pid_fd, read_fd, wait_status;
    unsigned open_handles;
    bool exited, read_over, abandoned;

    /* call */
    struct check_curl *curl;
    struct check_transfer transfer;
    struct loop_timer timer; /* ends it outside of the transfer's own callback */
};

static void free_handler(struct watch_handler *h) {
    void (*over)(void *owner) = h->over;
    void *owner = h->owner;
    check_output_free(&h->output);
    arena_free(&h->arena);
    mem_free(h);
    over(owner);
}

static struct str output_text(struct check_output *output, struct arena *arena) {
    struct str tail = check_output_tail(output);
    if (output->total <= tail.len)
        return tail;
    return str_format(arena, "Captured %zu of %llu bytes\n...\n" STR_FMT, tail.len,
                      (unsigned long long)output->total, STR_ARG(tail));
}

/* ---- scripts ---- */

static void script_said(const struct watch_plan *plan, struct str output) {
    const struct str *words = plan->words.items;
    if (plan->deprecated)
        log_at(LOG_DEBUG, LOGGER, "watch handler output", LOG_S("watch_handler", words[0]),
               LOG_S("output", output));
    else
        log_at(LOG_DEBUG, LOGGER, "watch handler output",
               LOG_L("watch_handler", words, plan->words.len), LOG_S("output", output));
}

static void script_failed(const struct watch_plan *plan, struct str why) {
    const struct str *words = plan->words.items;
    if (plan->deprecated)
        log_at(LOG_ERROR, LOGGER, "Failed to run watch handler", LOG_S("watch_handler", words[0]),
               LOG_S("error", why));
    else
        log_at(LOG_ERROR, LOGGER, "Failed to run watch handler",
               LOG_L("watch_handler", words, plan->words.len), LOG_S("error", why));
}

static struct str end_text(int status, struct arena *arena) {
    if (WIFSIGNALED(status)) {
        const char *name = strsignal(WTERMSIG(status));
        struct str lower = str_lower(arena, str_from(name != NULL ? name : "unknown"));
        return str_format(arena, "signal: " STR_FMT "%s", STR_ARG(lower),
                          WCOREDUMP(status) ? " (core dumped)" : "");
    }
    return str_format(arena, "exit status %d", WEXITSTATUS(status));
}

static void script_closed(struct watch_handler *h) {
    if (--h->open_handles > 0)
        return;
    close(h->pid_fd);
    close(h->read_fd);
    if (!h->abandoned) {
        if (h->wait_status != 0)
            script_failed(h->plan, end_text(h->wait_status, &h->arena));
        script_said(h->plan, output_text(&h->output, &h->arena));
    }
    free_handler(h);
}

static void exit_closed(uv_handle_t *handle) {
    script_closed(CONTAINER_OF((uv_poll_t *)handle, struct watch_handler, exit_poll));
}
static void read_closed(uv_handle_t *handle) {
    script_closed(CONTAINER_OF((uv_poll_t *)handle, struct watch_handler, read_poll));
}

static void script_maybe_over(struct watch_handler *h) {
    if (h->closing || !(h->abandoned || (h->exited && h->read_over)))
        return;
    h->closing = true;
    uv_close((uv_handle_t *)&h->exit_poll, exit_closed);
    uv_close((uv_handle_t *)&h->read_poll, read_closed);
}

static void can_read(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct watch_handler *h = CONTAINER_OF(poll, struct watch_handler, read_poll);
    char bytes[READ_SIZE];
    ssize_t n = read(h->read_fd, bytes, sizeof(bytes));
    if (n > 0) {
        check_output_add(&h->output, bytes, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        h->read_over = true;
        uv_poll_stop(&h->read_poll);
        script_maybe_over(h);
    }
}

static void has_exited(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct watch_handler *h = CONTAINER_OF(poll, struct watch_handler, exit_poll);
    if (waitpid(h->pid, &h->wait_status, WNOHANG) != h->pid)
        return;
    h->exited = true;
    uv_poll_stop(&h->exit_poll);
    script_maybe_over(h);
}

/* A file in memory: the script may read it or not, and nobody has to feed it. */
static int input_file(struct str payload) {
    int fd = memfd_create("watch", MFD_CLOEXEC);
    struct buf text = BUF_INIT;
    buf_add_str(&text, payload);
    buf_add_char(&text, '\n');
    size_t done = 0;
    while (fd >= 0 && done < text.len) {
        ssize_t n = write(fd, text.data + done, text.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            close(fd);
            fd = -1;
        } else {
            done += (size_t)n;
        }
    }
    buf_free(&text);
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

static char **environment(uint64_t index, struct arena *arena) {
    extern char **environ;
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **to = ARENA_ARRAY(arena, char *, count + 2);
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "CONSUL_INDEX=", 13) != 0)
            to[len++] = environ[i];
    to[len] =
        str_terminated(arena, str_format(arena, "CONSUL_INDEX=%llu", (unsigned long long)index));
    return to;
}

static int spawn(struct watch_handler *h, int input, int output, char **env) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    int code = posix_spawnp(&h->pid, h->plan->argv[0], &files, &how, h->plan->argv, env);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

static struct str start_text(const char *program, int code, struct arena *arena) {
    if (strchr(program, '/') == NULL && code == ENOENT)
        return str_format(arena, "exec: " STR_FMT ": executable file not found in $PATH",
                          STR_ARG(str_quote(arena, str_from(program))));
    return str_format(arena, "fork/exec %s: " STR_FMT, program,
                      STR_ARG(check_errno_text(arena, code)));
}

/* 0, or an errno. */
static int script_launch(struct watch_handler *h, struct str payload, uint64_t index) {
    int ends[2];
    int input = input_file(payload);
    if (input < 0)
        return errno;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        int code = errno;
        close(input);
        return code;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int code = spawn(h, input, ends[1], environment(index, &h->arena));
    close(input);
    close(ends[1]);
    h->read_fd = ends[0];
    h->pid_fd = code == 0 ? pidfd_open(h->pid, 0) : -1;
    if (code == 0 && h->pid_fd < 0) { /* it runs, but nobody could tell when it ends */
        code = errno;
        kill(h->pid, SIGKILL);
        waitpid(h->pid, NULL, 0);
    }
    if (code != 0)
        close(h->read_fd);
    return code;
}

static bool script_start(struct watch_handler *h, struct str payload, uint64_t index) {
    if (h->plan->argv[0] == NULL)
        return false;
    int code = script_launch(h, payload, index);
    if (code != 0) {
        script_failed(h->plan, start_text(h->plan->argv[0], code, &h->arena));
        script_said(h->plan, STR(""));
        return false;
    }
    h->output.limit = OUTPUT_MAX;
    uv_poll_init(&h->loop->uv, &h->exit_poll, h->pid_fd);
    uv_poll_init(&h->loop->uv, &h->read_poll, h->read_fd);
    h->open_handles = 2;
    uv_poll_start(&h->exit_poll, UV_READABLE, has_exited);
    uv_poll_start(&h->read_poll, UV_READABLE | UV_DISCONNECT, can_read);
    return true;
}

/* ---- calls ---- */

static void call_failed(const struct watch_plan *plan, struct str why) {
    log_at(LOG_ERROR, LOGGER, "Failed to invoke http watch handler", LOG_C("watch", plan->url),
           LOG_S("error", why));
}

static void timer_closed(struct loop_timer *t) {
    struct watch_handler *h = t->owner;
    check_transfer_free(&h->transfer);
    check_curl_free(h->curl);
    free_handler(h);
}

static void call_end(struct loop_timer *t) {
    struct watch_handler *h = t->owner;
    if (h->closing)
        return;
    h->closing = true;
    loop_timer_stop(t);
    loop_timer_close(t, timer_closed);
}

static struct str host_of(const char *url) {
    struct str rest = str_from(url);
    ptrdiff_t at = str_find(rest, STR("://"), 0);
    if (at >= 0)
        rest = str_sub(rest, (size_t)at + 3, SIZE_MAX);
    rest = str_cut(&rest, '/');
    return str_cut(&rest, ':');
}

/* "Post \"http://x/\": dial tcp …", as the peer's client says it. */
static struct str fault_text(struct watch_handler *h) {
    struct str method = str_lower(&h->arena, str_from(h->plan->method));
    char first = method.data[0];
    struct str url = str_quote(&h->arena, str_from(h->plan->url));
    struct str fault = check_transfer_fault(&h->transfer, host_of(h->plan->url));
    return str_format(&h->arena, "%c" STR_FMT " " STR_FMT ": " STR_FMT,
                      first >= 'a' && first <= 'z' ? first - 32 : first,
                      STR_ARG(str_sub(method, 1, SIZE_MAX)), STR_ARG(url), STR_ARG(fault));
}

static void call_finished(struct check_transfer *t) {
    struct watch_handler *h = t->owner;
    struct str output = output_text(&t->output, &h->arena);
    if (t->code != CURLE_OK)
        call_failed(h->plan, fault_text(h));
    else if (t->status / 100 != 2)
        log_at(LOG_ERROR, LOGGER, "http watch handler failed with output",
               LOG_C("watch", h->plan->url), LOG_S("status", t->status_line),
               LOG_S("output", output));
    else
        log_at(LOG_TRACE, LOGGER, "http watch handler output", LOG_C("watch", h->plan->url),
               LOG_S("output", output));
    loop_timer_set(&h->timer, 0);
}

static bool call_start_now(struct watch_handler *h, struct str payload, uint64_t index,
                           struct error *e) {
    const struct watch_plan *plan = h->plan;
    struct check_transfer *t = &h->transfer;
    h->curl = check_curl_new(h->loop, e);
    if (h->curl == NULL)
        return false;
    *t = (struct check_transfer){
        .curl = h->curl,
        .arena = &h->arena,
        .url = plan->url,
        .method = plan->method,
        .body = str_copy(&h->arena, payload),
        .sends_body = true,
        .skip_verify = plan->skip_verify,
        .timeout = plan->timeout,
        .output = {.limit = OUTPUT_MAX},
        .done = call_finished,
        .owner = h,
    };
    check_transfer_header(t, "Content-Type: application/json");
    check_transfer_header(
        t, str_format(&h->arena, "X-Consul-Index: %llu", (unsigned long long)index).data);
    bool accepts = false, agent = false;
    for (uint32_t i = 0; i < plan->headers.len; i++) {
        struct str line = LIST_AT(plan->headers, struct str, i);
        struct str rest = line, name = str_cut(&rest, ':');
        accepts |= str_eq_fold(name, STR("Accept"));
        agent |= str_eq_fold(name, STR("User-Agent"));
        check_transfer_header(t, line.data);
    }
    check_transfer_header(t, "Expect:"); /* neither waits nor asks */
    if (!accepts)
        check_transfer_header(t, "Accept:");
    if (!agent)
        check_transfer_header(t, "User-Agent: Go-http-client/1.1");
    loop_timer_init(h->loop, &h->timer, call_end, h);
    if (check_transfer_start(t, e))
        return true;
    call_failed(plan, e->text);
    loop_timer_set(&h->timer, 0);
    return true;
}

/* ---- both ---- */

struct watch_handler *watch_handler_start(const struct watch_plan *plan, struct loop *loop,
                                          struct str payload, uint64_t index,
                                          void (*over)(void *owner), void *owner) {
    struct watch_handler *h = MEM_NEW(struct watch_handler);
    struct error e = ERROR_IN(&h->arena);
    h->plan = plan;
    h->loop = loop;
    h->over = over;
    h->owner = owner;
    if (plan->argv != NULL) {
        if (script_start(h, payload, index))
            return h;
    } else {
        if (call_start_now(h, payload, index, &e))
            return h;
        call_failed(plan, e.text);
    }
    arena_free(&h->arena);
    mem_free(h);
    return NULL;
}

void watch_handler_abandon(struct watch_handler *h) {
    if (h->plan->argv != NULL) {
        h->abandoned = true;
        script_maybe_over(h);
    } else {
        check_transfer_cancel(&h->transfer);
        call_end(&h->timer);
    }
}

void watch_handler_release(struct watch_handler *h) {
    if (h->plan->argv == NULL)
        watch_handler_abandon(h);
}

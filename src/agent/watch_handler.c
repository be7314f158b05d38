/* Handlers of watches: see watch_handler.h.
 */
#include "agent/watch_handler.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/check_run.h"
#include "agent/program.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_client.h"

#define LOGGER "agent"
#define OUTPUT_MAX 4096

struct watch_handler {
    const struct watch_plan *plan;
    struct loop *loop;
    void (*over)(void *owner);
    void *owner;
    struct arena arena;
    bool closing;

    /* script */
    struct program child;
    bool abandoned;

    /* call */
    struct http_client *curl;
    struct http_transfer transfer;
    struct loop_timer timer; /* ends it outside of the transfer's own callback */
};

static void free_handler(struct watch_handler *h) {
    void (*over)(void *owner) = h->over;
    void *owner = h->owner;
    tail_free(&h->child.output);
    arena_free(&h->arena);
    mem_free(h);
    over(owner);
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

static void script_closed(struct program *c) {
    struct watch_handler *h = c->owner;
    if (!h->abandoned) {
        if (c->wait_status != 0)
            script_failed(h->plan, end_text(c->wait_status, &h->arena));
        script_said(h->plan, program_output_text(&c->output, &h->arena));
    }
    free_handler(h);
}

static void script_changed(struct program *c) {
    const struct watch_handler *h = c->owner;
    if (!c->closing && (h->abandoned || (c->exited && c->read_over)))
        program_close(c);
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

static bool script_launch(struct watch_handler *h, struct str payload, uint64_t index,
                          struct error *e) {
    const char *name = h->plan->argv[0];
    struct program_command command = {
        .file = program_find(str_from(name), &h->arena, e),
        .argv = h->plan->argv,
        .environment = environment(index, &h->arena),
    };
    if (command.file == NULL)
        return false;
    command.input = input_file(payload);
    if (command.input < 0)
        return error_set(e, ERROR_IO, "fork/exec %s: " STR_FMT, name,
                         STR_ARG(fault_errno(&h->arena, errno)));
    bool ok = program_start(&h->child, h->loop, &command, &h->arena, e);
    close(command.input);
    return ok;
}

static bool script_start(struct watch_handler *h, struct str payload, uint64_t index) {
    struct error e = ERROR_IN(&h->arena);
    if (h->plan->argv[0] == NULL)
        return false;
    h->child = (struct program){
        .output.limit = OUTPUT_MAX, .changed = script_changed, .closed = script_closed, .owner = h};
    if (script_launch(h, payload, index, &e))
        return true;
    script_failed(h->plan, e.text);
    script_said(h->plan, STR(""));
    return false;
}

/* ---- calls ---- */

static void call_failed(const struct watch_plan *plan, struct str why) {
    log_at(LOG_ERROR, LOGGER, "Failed to invoke http watch handler", LOG_C("watch", plan->url),
           LOG_S("error", why));
}

static void timer_closed(struct loop_timer *t) {
    struct watch_handler *h = t->owner;
    http_transfer_free(&h->transfer);
    http_client_free(h->curl);
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
    struct str fault = http_transfer_fault(&h->transfer, host_of(h->plan->url));
    return str_format(&h->arena, "%c" STR_FMT " " STR_FMT ": " STR_FMT,
                      first >= 'a' && first <= 'z' ? first - 32 : first,
                      STR_ARG(str_sub(method, 1, SIZE_MAX)), STR_ARG(url), STR_ARG(fault));
}

static void call_finished(struct http_transfer *t) {
    struct watch_handler *h = t->owner;
    struct str output = program_output_text(&t->output, &h->arena);
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
    struct http_transfer *t = &h->transfer;
    h->curl = http_client_new(h->loop, e);
    if (h->curl == NULL)
        return false;
    *t = (struct http_transfer){
        .curl = h->curl,
        .arena = &h->arena,
        .url = plan->url,
        .method = plan->method,
        .body = str_copy(&h->arena, payload),
        .sends_body = true,
        .skip_verify = plan->skip_verify,
        .timeout = plan->timeout,
        .dial_limit = HTTP_DIAL_LIMIT,
        .handshake_limit = HTTP_HANDSHAKE_LIMIT,
        .output = {.limit = OUTPUT_MAX},
        .done = call_finished,
        .owner = h,
    };
    http_transfer_header(t, "Content-Type: application/json");
    http_transfer_header(
        t, str_format(&h->arena, "X-Consul-Index: %llu", (unsigned long long)index).data);
    bool accepts = false, agent = false;
    for (uint32_t i = 0; i < plan->headers.len; i++) {
        struct str line = LIST_AT(plan->headers, struct str, i);
        struct str rest = line, name = str_cut(&rest, ':');
        accepts |= str_eq_fold(name, STR("Accept"));
        agent |= str_eq_fold(name, STR("User-Agent"));
        http_transfer_header(t, line.data);
    }
    http_transfer_header(t, "Expect:"); /* neither waits nor asks */
    if (!accepts)
        http_transfer_header(t, "Accept:");
    if (!agent)
        http_transfer_header(t, "User-Agent: Go-http-client/1.1");
    loop_timer_init(h->loop, &h->timer, call_end, h);
    if (http_transfer_start(t, e))
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
        script_changed(&h->child);
    } else {
        http_transfer_cancel(&h->transfer);
        call_end(&h->timer);
    }
}

void watch_handler_release(struct watch_handler *h) {
    if (h->plan->argv == NULL)
        watch_handler_abandon(h);
}

/* Jobs of `consul exec`. See remote_exec.h.
 *
 * All that a job writes goes through one queue, one call at a time, so that the caller sees it in
 * order. While the queue is long the program's output is not read, and so the program waits.
 */
#include "agent/remote_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/program.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "codec/json.h"
#include "schema/table.h"
#include "server/agent_tokens.h"
#include "server/endpoints.h"

#define LOGGER "agent"
#define CHUNK ((size_t)4096)
#define FLUSH (500 * MILLISECOND)
#define QUEUE_MAX 64 /* chunks that wait to be written */
#define FAILED 255   /* the exit code of what could not be run */
#define PLACE_MAX 1024

struct exec_event { /* the event's payload */
    struct str prefix, session;
};
#define OF struct exec_event
static const struct field exec_event_fields[] = {
    F_STR("Prefix", prefix),
    F_STR("Session", session),
};
#undef OF
SHAPE(exec_event, "remoteExecEvent");

struct exec_spec { /* the key "job" */
    struct str command;
    struct list args; /* of str */
    struct str script;
    int64_t wait; /* ns */
};
#define OF struct exec_spec
static const struct field exec_spec_fields[] = {
    F_STR("Command", command),
    F_LIST("Args", args, OF_STR),
    F_BYTES("Script", script),
    F_DUR("Wait", wait),
};
#undef OF
SHAPE(exec_spec, "remoteExecSpec");

struct exec_write {
    struct exec_write *next;
    char name[32]; /* below the node's place */
    struct buf value;
};

struct exec_job {
    struct exec_job *next, *previous;
    struct remote_exec *owner;
    struct arena arena;
    struct str place; /* "<prefix>/<session>/" */
    struct str session;
    struct exec_spec spec;

    struct arena call_arena;
    struct call call;
    struct key_request get;
    struct kvs_request put;
    bool calling, consistent;

    struct exec_write *first, **end;
    size_t waiting;
    unsigned chunks;
    struct buf output;

    struct program program;
    bool started, program_closed, exit_told, failed, ending;
    char script_path[64];
    struct loop_timer timer;
    bool timer_closed;
    int64_t last_output; /* monotonic */
};

struct remote_exec {
    struct server *server;
    const struct config *config;
    struct exec_job *jobs;
    unsigned count;
    bool stopping;
    void (*stopped)(void *arg);
    void *arg;
};

static void work(struct exec_job *j);

/* ---- end ---- */

/* A text of JSON from outside. */
static bool read_json(struct str text, const struct shape *shape, void *out, struct arena *arena,
                      struct error *e) {
    struct json_options options = {.ignore_unknown = true};
    struct value value;
    return json_parse_whole(text, &value, arena, e) &&
           schema_from_json(&value, shape, out, &options, arena, e);
}

static void job_free(struct exec_job *j) {
    struct remote_exec *x = j->owner;
    if (j->previous != NULL)
        j->previous->next = j->next;
    else
        x->jobs = j->next;
    if (j->next != NULL)
        j->next->previous = j->previous;
    x->count--;
    while (j->first != NULL) {
        struct exec_write *w = j->first;
        j->first = w->next;
        buf_free(&w->value);
        mem_free(w);
    }
    if (j->script_path[0] != 0)
        unlink(j->script_path);
    buf_free(&j->output);
    tail_free(&j->program.output);
    arena_free(&j->call_arena);
    arena_free(&j->arena);
    mem_free(j);
    if (x->stopping && x->count == 0 && x->stopped != NULL)
        x->stopped(x->arg);
}

/* Once neither a call, nor the program, nor the timer is left. */
static void maybe_free(struct exec_job *j) {
    if (!j->calling && (!j->started || j->program_closed) && j->timer_closed)
        job_free(j);
}

static void timer_gone(struct loop_timer *t) {
    struct exec_job *j = t->owner;
    j->timer_closed = true;
    maybe_free(j);
}

static void program_gone(struct program *p) {
    struct exec_job *j = p->owner;
    j->program_closed = true;
    maybe_free(j);
}

/* Nothing more is to be written. */
static void job_end(struct exec_job *j) {
    if (j->ending)
        return;
    j->ending = true;
    loop_timer_stop(&j->timer);
    loop_timer_close(&j->timer, timer_gone);
}

/* ---- what is written ---- */

static void enqueue(struct exec_job *j, const char *name, struct str value) {
    struct exec_write *w = MEM_NEW(struct exec_write);
    snprintf(w->name, sizeof(w->name), "%s", name);
    buf_add_str(&w->value, value);
    *j->end = w;
    j->end = &w->next;
    j->waiting++;
}

static void enqueue_chunk(struct exec_job *j, struct str bytes) {
    char name[32];
    snprintf(name, sizeof(name), "out/%05x", j->chunks++);
    enqueue(j, name, bytes);
}

static void tell_exit(struct exec_job *j, int code) {
    char text[16];
    j->exit_told = true;
    snprintf(text, sizeof(text), "%d", code);
    enqueue(j, "exit", str_from(text));
}

static struct str own_token(struct exec_job *j) {
    return agent_token_own(server_tokens(j->owner->server), &j->arena);
}

static void call_begin(struct exec_job *j, const struct endpoint *endpoint, void *request,
                       call_done *done) {
    arena_free(&j->call_arena);
    j->call_arena = ARENA_INIT;
    j->call = (struct call){.endpoint = endpoint,
                            .arena = &j->call_arena,
                            .request = request,
                            .done = done,
                            .owner = j};
    j->calling = true;
    call_start(j->owner->server, &j->call);
}

static void written(struct call *c) {
    struct exec_job *j = c->owner;
    struct answer *a = c->answer;
    c->answer = NULL;
    j->calling = false;
    bool ok = !error_is_set(&a->error) && *(const bool *)a->reply;
    if (!ok)
        log_at(LOG_ERROR, LOGGER, "failed to write key for remote exec job",
               LOG_S("key", j->put.dir_ent.key),
               LOG_S("error",
                     error_is_set(&a->error) ? a->error.text : STR("failed to acquire lock")));
    answer_release(a);
    struct exec_write *w = j->first;
    j->first = w->next;
    if (j->first == NULL)
        j->end = &j->first;
    j->waiting--;
    buf_free(&w->value);
    mem_free(w);
    j->failed |= !ok;
    work(j);
}

static void write_first(struct exec_job *j) {
    const struct config *c = j->owner->config;
    struct exec_write *w = j->first;
    arena_free(&j->call_arena);
    j->call_arena = ARENA_INIT;
    j->put = (struct kvs_request){
        .datacenter = c->datacenter,
        .op = STR("lock"),
        .dir_ent = {.key = str_format(&j->arena, STR_FMT STR_FMT "/%s", STR_ARG(j->place),
                                      STR_ARG(c->node_name), w->name),
                    .value = buf_str(&w->value),
                    .session = j->session},
        .write = {.token = own_token(j)}};
    call_begin(j, &endpoint_kvs_apply, &j->put, written);
}

/* ---- the program ---- */

static void flush(struct exec_job *j) {
    if (j->output.len == 0)
        return;
    enqueue_chunk(j, buf_str(&j->output));
    buf_clear(&j->output);
}

static bool output_came(struct program *p, const char *bytes, size_t len) {
    struct exec_job *j = p->owner;
    j->last_output = time_now_monotonic();
    while (len > 0) {
        size_t room = CHUNK - j->output.len;
        size_t n = len < room ? len : room;
        buf_add(&j->output, bytes, n);
        bytes += n;
        len -= n;
        if (j->output.len == CHUNK)
            flush(j);
    }
    if (!j->ending)
        loop_timer_set(&j->timer, j->output.len > 0 ? FLUSH : j->spec.wait);
    work(j);
    return j->waiting < QUEUE_MAX;
}

/* Silence: what is there goes out, and then signs of life. */
static void silent(struct loop_timer *t) {
    struct exec_job *j = t->owner;
    if (j->output.len > 0)
        flush(j);
    else
        enqueue_chunk(j, STR(""));
    loop_timer_set(&j->timer, j->spec.wait);
    work(j);
}

static void program_changed(struct program *p) {
    work(p->owner);
}

static bool write_script(struct exec_job *j) {
    const char *folder = getenv("TMPDIR");
    snprintf(j->script_path, sizeof(j->script_path), "%.40s/rexecXXXXXX",
             folder != NULL ? folder : "/tmp");
    int fd = mkostemp(j->script_path, O_CLOEXEC);
    if (fd < 0) {
        j->script_path[0] = 0;
        return false;
    }
    bool ok = fchmod(fd, 0750) == 0 &&
              write(fd, j->spec.script.data, j->spec.script.len) == (ssize_t)j->spec.script.len;
    return close(fd) == 0 && ok;
}

static bool program_begin(struct exec_job *j) {
    struct error e = ERROR_IN(&j->arena);
    const char *shell = getenv("SHELL");
    struct list args = j->spec.args;
    struct str words[3] = {str_from(shell != NULL ? shell : "/bin/sh"), STR("-c"), j->spec.command};
    bool ok = true;
    if (j->spec.script.len > 0) {
        ok = write_script(j);
        words[2] = str_from(j->script_path);
    }
    if (args.len == 0)
        args = (struct list){words, 3, true};
    char **argv = ARENA_ARRAY(&j->arena, char *, args.len + 1);
    for (uint32_t i = 0; i < args.len; i++)
        argv[i] = str_terminated(&j->arena, LIST_AT(args, struct str, i));
    struct program_command command = {.argv = argv, .input = -1, .own_group = true};
    command.file = ok ? program_find(LIST_AT(args, struct str, 0), &j->arena, &e) : NULL;
    j->program = (struct program){
        .data = output_came, .changed = program_changed, .closed = program_gone, .owner = j};
    ok = command.file != NULL &&
         program_start(&j->program, server_core(j->owner->server), &command, &j->arena, &e);
    if (!ok)
        log_at(LOG_ERROR, LOGGER, "failed to start remote exec", LOG_S("error", e.text));
    return ok;
}

/* ---- from step to step ---- */

static void program_over(struct exec_job *j) {
    int status = j->program.wait_status;
    flush(j);
    tell_exit(j, j->failed             ? FAILED
                 : WIFEXITED(status)   ? WEXITSTATUS(status)
                 : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                       : FAILED);
    program_close(&j->program);
}

static void work(struct exec_job *j) {
    struct program *p = &j->program;
    if (j->owner->stopping || (j->failed && j->started && !p->exited))
        program_kill(p);
    if (j->started && p->exited && (p->read_over || j->failed || j->owner->stopping) && !p->closing)
        program_over(j);
    if (j->calling)
        return;
    if (j->first != NULL && !j->owner->stopping) {
        write_first(j);
        return;
    }
    if (j->started && p->paused)
        program_resume(p);
    if (j->exit_told)
        job_end(j);
}

static void run(struct exec_job *j) {
    j->last_output = time_now_monotonic();
    enqueue(j, "ack", STR(""));
    if (program_begin(j))
        j->started = true;
    else
        tell_exit(j, FAILED);
    loop_timer_set(&j->timer, j->spec.wait);
    work(j);
}

/* ---- the job's description ---- */

static void get_job(struct exec_job *j, bool consistent);

static void got_job(struct call *c) {
    struct exec_job *j = c->owner;
    struct answer *a = c->answer;
    struct error e = ERROR_IN(&j->arena);
    const struct indexed_dir_entries *reply = a->reply;
    c->answer = NULL;
    j->calling = false;
    bool found = !error_is_set(&a->error) && reply->entries.len > 0;
    bool ok = found &&
              read_json(str_copy(&j->arena, LIST_AT(reply->entries, struct dir_entry *, 0)->value),
                        &exec_spec_shape, &j->spec, &j->arena, &e);
    if (error_is_set(&a->error))
        log_at(LOG_ERROR, LOGGER, "failed to get remote exec job", LOG_S("error", a->error.text));
    else if (found && !ok)
        log_at(LOG_ERROR, LOGGER, "failed to decode remote exec spec", LOG_S("error", e.text));
    bool again = !found && !error_is_set(&a->error) && !j->consistent;
    answer_release(a);
    if (ok && !j->owner->stopping)
        run(j);
    else if (again && !j->owner->stopping)
        get_job(j, true);
    else
        job_end(j);
}

static void get_job(struct exec_job *j, bool consistent) {
    const struct config *c = j->owner->config;
    j->consistent = consistent;
    j->get = (struct key_request){.datacenter = c->datacenter,
                                  .key = str_format(&j->arena, STR_FMT "job", STR_ARG(j->place)),
                                  .options = {.allow_stale = !consistent,
                                              .require_consistent = consistent,
                                              .token = own_token(j)}};
    call_begin(j, &endpoint_kvs_get, &j->get, got_job);
}

void remote_exec_start(struct remote_exec *x, struct str payload) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct exec_event event = {.prefix = STR("")};
    bool ok = read_json(payload, &exec_event_shape, &event, &arena, &e);
    if (!ok)
        log_at(LOG_ERROR, LOGGER, "failed to decode remote exec event", LOG_S("error", e.text));
    ok = ok && !x->stopping && event.prefix.len + event.session.len < PLACE_MAX;
    if (ok && x->count >= REMOTE_EXEC_JOBS_MAX)
        log_at(LOG_WARN, LOGGER, "too many remote exec jobs run already");
    if (ok && x->count < REMOTE_EXEC_JOBS_MAX) {
        struct exec_job *j = MEM_NEW(struct exec_job);
        j->arena = j->call_arena = ARENA_INIT;
        j->owner = x;
        j->end = &j->first;
        j->place = str_format(&j->arena, STR_FMT "/" STR_FMT "/", STR_ARG(event.prefix),
                              STR_ARG(event.session));
        j->session = str_copy(&j->arena, event.session);
        j->next = x->jobs;
        if (j->next != NULL)
            j->next->previous = j;
        x->jobs = j;
        x->count++;
        loop_timer_init(server_core(x->server), &j->timer, silent, j);
        get_job(j, false);
    }
    arena_free(&arena);
}

/* ---- life ---- */

struct remote_exec *remote_exec_new(struct server *server, const struct config *config) {
    struct remote_exec *x = MEM_NEW(struct remote_exec);
    x->server = server;
    x->config = config;
    return x;
}

static void call_gone(void *owner) {
    struct exec_job *j = owner;
    j->calling = false;
    maybe_free(j);
}

void remote_exec_stop(struct remote_exec *x, void (*stopped)(void *arg), void *arg) {
    x->stopping = true;
    x->stopped = stopped;
    x->arg = arg;
    if (x->count == 0) {
        stopped(arg);
        return;
    }
    for (struct exec_job *j = x->jobs, *next; j != NULL; j = next) {
        next = j->next;
        if (j->started && !j->program.exited)
            program_kill(&j->program); /* its end is seen by the loop */
        job_end(j);
        if (j->calling)
            call_cancel(&j->call, call_gone);
    }
}

void remote_exec_free(struct remote_exec *x) {
    if (x == NULL)
        return;
    ASSERT(x->count == 0);
    mem_free(x);
}

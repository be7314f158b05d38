/* Docker checks: a program inside of a container, run by the engine that DOCKER_HOST names, by
 * three requests one after the other: create, start, inspect (agent.md 3.6).
 */
#include <stdlib.h>

#include "agent/check_run.h"
#include "agent/program.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "net/http_client.h"

#define ANSWER_MAX 65536

enum docker_step { STEP_CREATE, STEP_START, STEP_INSPECT };
static const char *const step_names[] = {"create", "start", "inspect"};

struct docker_check {
    struct http_transfer transfer;
    struct arena arena;
    struct check_run *run;
    enum docker_step step;
    struct str base;    /* "http://docker" or "http://host:port" */
    struct str shown;   /* the same in error texts */
    struct str path;    /* of the request under way */
    struct str exec_id; /* as the engine gave it */
    struct str output;  /* of the program */
};

/* ---- the engine ---- */

bool check_docker_host(struct str *address, bool *tcp, struct arena *arena, struct error *e) {
    const char *set = getenv("DOCKER_HOST");
    struct str host = set != NULL && set[0] != '\0' ? str_copy(arena, str_from(set))
                                                    : STR("unix:///var/run/docker.sock");
    ptrdiff_t at = str_find(host, STR("://"), 0);
    if (at < 0)
        return error_set(e, ERROR_INTERNAL, "unable to parse docker host `" STR_FMT "`",
                         STR_ARG(host));
    struct str scheme = str_sub(host, 0, (size_t)at);
    struct str rest = str_sub(host, (size_t)at + 3, host.len);
    *tcp = !str_is(scheme, "unix");
    *address = *tcp ? str_cut(&rest, '/') : rest;
    return true;
}

/* As a query's value is escaped; for a host in a URL blanks are not '+'. */
static struct str escape(struct arena *arena, struct str s, const char *blank) {
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c != '\0' && strchr("-_.~", c) != NULL))
            buf_add_char(&out, c);
        else if (c == ' ')
            buf_add_text(&out, blank);
        else
            buf_add_format(&out, "%%%02X", (unsigned)(unsigned char)c);
    }
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

/* ---- end ---- */

static void over(struct docker_check *d, enum check_health status, struct str output) {
    struct arena arena = d->arena;
    check_run_over(d->run, status, output);
    http_transfer_free(&d->transfer);
    mem_free(d);
    arena_free(&arena);
}

static void fail(struct docker_check *d, struct str output) {
    log_at(LOG_DEBUG, "agent", "Check failed", LOG_S("check", d->run->check_id),
           LOG_S("error", output));
    over(d, CHECK_CRITICAL, output);
}

/* "create exec failed for container C: …" */
static void fail_as(struct docker_check *d, struct str why) {
    fail(d,
         str_format(&d->arena, "%s exec failed for container " STR_FMT ": " STR_FMT,
                    step_names[d->step], STR_ARG(d->run->type.docker_container_id), STR_ARG(why)));
}

static void refused(struct docker_check *d, struct str body) {
    struct str container = d->run->type.docker_container_id;
    long status = d->transfer.status;
    const char *step = step_names[d->step];
    struct arena *arena = &d->arena;
    if (status == 404 && d->step == STEP_CREATE)
        fail(d, str_format(arena, "create exec failed for unknown container " STR_FMT,
                           STR_ARG(container)));
    else if (status == 404)
        fail_as(d, str_format(arena, "invalid exec id " STR_FMT, STR_ARG(d->exec_id)));
    else if (status == 409 && d->step != STEP_INSPECT)
        fail(d, str_format(arena, "%s exec failed since container " STR_FMT " is paused or stopped",
                           step, STR_ARG(container)));
    else if (d->step == STEP_START)
        fail(d, str_format(arena,
                           "start exec failed for container " STR_FMT
                           " with status %ld: body: " STR_FMT " err: <nil>",
                           STR_ARG(container), status, STR_ARG(body)));
    else
        fail(d,
             str_format(arena, "%s exec failed for container " STR_FMT " with status %ld: " STR_FMT,
                        step, STR_ARG(container), status, STR_ARG(body)));
}

static void finish(struct docker_check *d, int64_t code) {
    log_at(LOG_TRACE, "agent", "Check output", LOG_S("check", d->run->check_id),
           LOG_S("output", d->output));
    over(d, code == 0 ? CHECK_PASSING : code == 1 ? CHECK_WARNING : CHECK_CRITICAL, d->output);
}

/* ---- requests ---- */

static void send_step(struct docker_check *d, enum docker_step step, struct str path,
                      struct str body) {
    struct http_transfer *t = &d->transfer;
    struct error e = ERROR_IN(&d->arena);
    d->step = step;
    d->path = path;
    t->url = str_format(&d->arena, STR_FMT STR_FMT, STR_ARG(d->base), STR_ARG(path)).data;
    t->method = step == STEP_INSPECT ? "GET" : "POST";
    t->sends_body = step != STEP_INSPECT;
    t->body = body;
    tail_free(&t->output);
    t->output = (struct tail){.limit = step == STEP_START ? d->run->output_limit : ANSWER_MAX};
    http_transfer_clear_headers(t);
    http_transfer_header(t, "Accept:");
    http_transfer_header(t, "Expect:");
    if (t->sends_body) {
        http_transfer_header(t, "Content-Type: application/json");
        http_transfer_header(t, "Transfer-Encoding: chunked");
    }
    if (!http_transfer_start(t, &e))
        fail_as(d, e.text);
}

static struct str create_body(struct docker_check *d) {
    struct buf out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &out, false);
    json_open_object(&w);
    json_key(&w, STR("AttachStdin"));
    json_bool(&w, false);
    json_key(&w, STR("AttachStdout"));
    json_bool(&w, true);
    json_key(&w, STR("AttachStderr"));
    json_bool(&w, true);
    json_key(&w, STR("Tty"));
    json_bool(&w, false);
    json_key(&w, STR("Cmd"));
    json_open_array(&w);
    const struct list *args = &d->run->type.script_args;
    for (uint32_t i = 0; i < args->len; i++)
        json_str(&w, LIST_AT(*args, struct str, i));
    json_close_array(&w);
    json_close_object(&w);
    json_finish(&w);
    buf_add_char(&out, '\n');
    struct str body = str_copy(&d->arena, buf_str(&out));
    buf_free(&out);
    return body;
}

/* ---- answers ---- */

static void unreadable(struct docker_check *d, struct str why) {
    fail(d, str_format(
                &d->arena, "%s exec response for container " STR_FMT " cannot be parsed: " STR_FMT,
                step_names[d->step], STR_ARG(d->run->type.docker_container_id), STR_ARG(why)));
}

/* The member of an object; NULL when there is none, or (with `ok` false) no object. */
static const struct value *member(struct docker_check *d, struct str body, const char *name,
                                  bool *ok) {
    struct value *v = ARENA_NEW(&d->arena, struct value);
    struct error e = ERROR_IN(&d->arena);
    *ok = json_parse(body, v, NULL, &d->arena, &e);
    if (!*ok) {
        unreadable(d, e.text);
        return NULL;
    }
    return value_get(v, name);
}

static void created(struct docker_check *d, struct str body) {
    bool ok;
    const struct value *id = member(d, body, "Id", &ok);
    if (!ok)
        return;
    d->exec_id = id != NULL && id->kind == VALUE_STRING ? str_copy(&d->arena, id->string) : STR("");
    struct str escaped = escape(&d->arena, d->exec_id, "+");
    send_step(d, STEP_START, str_format(&d->arena, "/exec/" STR_FMT "/start", STR_ARG(escaped)),
              STR("{\"Detach\":false,\"Tty\":true}\n"));
}

static void started(struct docker_check *d) {
    d->output = str_copy(&d->arena, program_output_text(&d->transfer.output, &d->arena));
    struct str escaped = escape(&d->arena, d->exec_id, "+");
    send_step(d, STEP_INSPECT, str_format(&d->arena, "/exec/" STR_FMT "/json", STR_ARG(escaped)),
              STR(""));
}

static void inspected(struct docker_check *d, struct str body) {
    bool ok;
    const struct value *code = member(d, body, "ExitCode", &ok);
    int64_t number = 0;
    if (ok && code != NULL && code->kind == VALUE_FLOAT && code->number > -1e9 &&
        code->number < 1e9)
        number = (int64_t)code->number;
    if (ok)
        finish(d, number);
}

static void transfer_done(struct http_transfer *t) {
    static const long wanted[] = {201, 200, 200};
    struct docker_check *d = t->owner;
    if (t->code != CURLE_OK) {
        struct str why = http_transfer_fault(t, d->shown);
        struct str url =
            str_format(&d->arena, "http://" STR_FMT STR_FMT, STR_ARG(d->shown), STR_ARG(d->path));
        fail_as(d,
                str_format(&d->arena, "%s \"" STR_FMT "\": " STR_FMT,
                           d->step == STEP_INSPECT ? "Get" : "Post", STR_ARG(url), STR_ARG(why)));
        return;
    }
    struct str body = tail_bytes(&t->output);
    if (t->status != wanted[d->step])
        refused(d, body);
    else if (d->step == STEP_CREATE)
        created(d, body);
    else if (d->step == STEP_START)
        started(d);
    else
        inspected(d, body);
}

/* ---- start ---- */

static bool prepare(struct docker_check *d, struct error *e) {
    struct http_transfer *t = &d->transfer;
    struct str address;
    bool tcp;
    if (!check_docker_host(&address, &tcp, &d->arena, e))
        return false;
    if (tcp) {
        d->base = str_format(&d->arena, "http://" STR_FMT, STR_ARG(address));
        d->shown = address;
    } else {
        d->base = STR("http://docker");
        d->shown = escape(&d->arena, address, "%20");
        t->unix_socket = str_terminated(&d->arena, address);
    }
    t->curl = check_run_curl(d->run, e);
    t->arena = &d->arena;
    t->owner = d;
    t->done = transfer_done;
    return t->curl != NULL;
}

static void docker_start(struct check_run *r) {
    struct docker_check *d = MEM_NEW(struct docker_check);
    struct error e = ERROR_IN(&d->arena);
    d->run = r;
    r->state = d;
    if (!prepare(d, &e)) {
        check_run_over(r, CHECK_CRITICAL, e.text);
        struct arena arena = d->arena;
        mem_free(d);
        arena_free(&arena);
        return;
    }
    struct str container = escape(&d->arena, r->type.docker_container_id, "+");
    send_step(d, STEP_CREATE,
              str_format(&d->arena, "/containers/" STR_FMT "/exec", STR_ARG(container)),
              create_body(d));
}

static void docker_cancel(struct check_run *r) {
    struct docker_check *d = r->state;
    http_transfer_cancel(&d->transfer);
    over(d, CHECK_CRITICAL, STR(""));
}

const struct check_kind check_kind_docker = {docker_start, docker_cancel};

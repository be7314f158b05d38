/* /debug/pprof: profiles of the running process (http-core.md 11.14). What they hold is told in
 * agent/profile.h; paths, parameters, headers and refusals are the peer's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/profile.h"
#include "base/mem.h"
#include "http/authorize.h"
#include "http/room.h"

#define CPU_TIME (30 * SECOND) /* without ?seconds */
#define TRACE_TIME SECOND
#define COMMAND_LINE_MAX ((size_t)1 << 20)
#define TEXT_TYPE "text/plain; charset=utf-8"

/* What `http` makes of a profile while it is taken; in the request's arena. */
struct profile_request {
    struct profile profile;
    struct http_request *r;
    struct error e;
    const char *file; /* "heap": the name under which a browser keeps it */
};

static void refuse(struct http_request *r, int status, const char *text) {
    http_set_header(r, "X-Content-Type-Options", STR("nosniff"));
    http_set_header(r, "X-Go-Pprof", STR("1"));
    http_answer_bytes(r, status, TEXT_TYPE, str_format(&r->arena, "%s\n", text), false);
}

/* Whether the agent shows profiles at all; then `next` finds out to whom. */
static void guard(struct http_request *r, http_handler *next) {
    if (r->config->acl.enabled || agent_config(r->agent)->enable_debug)
        http_authorize_quietly(r, next);
    else
        http_answer_text(r, 401, STR("ACL support disabled"));
}

/* False: answered. */
static bool may_see(struct http_request *r) {
    if (authorizer_may_operator(http_may(r), ACL_READ))
        return true;
    http_answer_empty(r, 403);
    return false;
}

/* ---- answers ---- */

static void answer_profile(struct http_request *r, struct profile_request *q) {
    struct profile *p = &q->profile;
    http_set_header(r, "X-Content-Type-Options", STR("nosniff"));
    if (p->text) {
        http_answer_bytes(r, 200, TEXT_TYPE, buf_str(&p->out), false);
        return;
    }
    http_set_header(r, "Content-Disposition",
                    str_format(&r->arena, "attachment; filename=\"%s\"", q->file));
    if (p->kind == PROFILE_TRACE) {
        http_answer_bytes(r, 200, "application/octet-stream", buf_str(&p->out), false);
        return;
    }
    struct buf packed = BUF_INIT; /* part of the format */
    http_gzip(buf_str(&p->out), &packed);
    http_answer_bytes(r, 200, "application/octet-stream", buf_str(&packed), false);
    buf_free(&packed);
}

static void on_done(struct profile *p) {
    struct profile_request *q = p->owner;
    struct buf out = p->out; /* the request and its arena end with the answer */
    if (p->ok)
        answer_profile(q->r, q);
    else
        refuse(q->r, 500, str_terminated(&q->r->arena, q->e.text));
    buf_free(&out);
}

static void on_gone(struct http_request *r) {
    struct profile_request *q = r->state;
    profile_cancel(&q->profile);
}

static void take(struct http_request *r, enum profile_kind kind, const char *file, bool text,
                 int64_t duration) {
    struct profile_request *q = ARENA_NEW(&r->arena, struct profile_request);
    q->r = r;
    q->e = ERROR_IN(&r->arena);
    q->file = file;
    q->profile = (struct profile){
        .kind = kind, .text = text, .duration = duration, .e = &q->e, .done = on_done, .owner = q};
    r->state = q;
    r->gone = on_gone;
    r->hangs_up = true;
    if (!profile_start(&q->profile)) {
        r->gone = NULL;
        refuse(r, 500, str_terminated(&r->arena, q->e.text));
    }
}

/* ?seconds; what is none, or not above 0, is as good as absent. */
static int64_t read_seconds(struct http_request *r, int64_t otherwise) {
    struct str text = http_param(r, "seconds");
    char *end;
    double seconds = strtod(text.len > 0 ? str_terminated(&r->arena, text) : "", &end);
    if (text.len == 0 || *end != '\0' || !(seconds > 0))
        return otherwise;
    double most = (double)(PROFILE_TIME_MAX / SECOND);
    return (int64_t)((seconds < most ? seconds : most) * (double)SECOND);
}

/* ---- the index ---- */

static const struct {
    const char *name, *link, *about;
} listed[] = {
    {"cmdline", "cmdline", "The command line of this process"},
    {"goroutine", "goroutine?debug=1", "Where each thread is now"},
    {"heap", "heap?debug=1", "Resident, private and swapped memory by mapping, and malloc's"},
    {"profile", "profile",
     "Where processor time goes. ?seconds=30 says for how long to look; the file is for pprof"},
    {"trace", "trace",
     "What each thread did when. ?seconds=1 says for how long to look; the file is for Perfetto"},
};

static void answer_index(struct http_request *r) {
    struct buf page = BUF_INIT;
    buf_add_text(&page, "<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n"
                        "/debug/pprof/<br>\n<table>\n");
    for (size_t i = 0; i < COUNT_OF(listed); i++)
        buf_add_format(&page, "\t<tr><td><a href=\"%s\">%s</a></td><td>%s</td></tr>\n",
                       listed[i].link, listed[i].name, listed[i].about);
    buf_add_text(&page, "</table>\n</body>\n</html>\n");
    http_set_header(r, "X-Content-Type-Options", STR("nosniff"));
    http_answer_bytes(r, 200, "text/html; charset=utf-8", buf_str(&page), false);
    buf_free(&page);
}

/* ---- routes ---- */

static void index_authorized(struct http_request *r) {
    int64_t debug = 0;
    if (!may_see(r))
        return;
    str_to_i64(http_param(r, "debug"), &debug);
    if (r->argument.len == 0)
        answer_index(r);
    else if (str_is(r->argument, "heap"))
        take(r, PROFILE_MEMORY, "heap", debug != 0, 0);
    else if (str_is(r->argument, "goroutine"))
        take(r, PROFILE_THREADS, "goroutine", debug != 0, 0);
    else
        refuse(r, 404, "Unknown profile");
}

static void profile_index(struct http_request *r) {
    guard(r, index_authorized);
}

static void cpu_authorized(struct http_request *r) {
    if (may_see(r))
        take(r, PROFILE_CPU, "profile", false, read_seconds(r, CPU_TIME));
}

static void profile_cpu(struct http_request *r) {
    guard(r, cpu_authorized);
}

static void trace_authorized(struct http_request *r) {
    if (may_see(r))
        take(r, PROFILE_TRACE, "trace", false, read_seconds(r, TRACE_TIME));
}

static void profile_trace(struct http_request *r) {
    guard(r, trace_authorized);
}

/* The arguments, with a NUL between them. */
static void cmdline_authorized(struct http_request *r) {
    struct buf text = BUF_INIT;
    if (!may_see(r))
        return;
    FILE *file = fopen("/proc/self/cmdline", "re");
    size_t got = 1;
    while (file != NULL && got > 0 && text.len < COMMAND_LINE_MAX) {
        got = fread(buf_reserve(&text, 4096), 1, 4096, file);
        text.len += got;
    }
    if (file != NULL)
        fclose(file);
    if (text.len > 0 && text.data[text.len - 1] == '\0')
        text.len--;
    http_set_header(r, "X-Content-Type-Options", STR("nosniff"));
    http_answer_bytes(r, 200, TEXT_TYPE, buf_str(&text), false);
    buf_free(&text);
}

static void profile_cmdline(struct http_request *r) {
    guard(r, cmdline_authorized);
}

/* Who asks for symbols is told that there are some; profiles bring theirs along. */
static void symbol_authorized(struct http_request *r) {
    if (!may_see(r))
        return;
    http_set_header(r, "X-Content-Type-Options", STR("nosniff"));
    http_answer_bytes(r, 200, TEXT_TYPE, STR("num_symbols: 1\n"), false);
}

static void profile_symbol(struct http_request *r) {
    guard(r, symbol_authorized);
}

#define FLAGS (ROUTE_ANY_METHOD | ROUTE_BARE)
const struct http_route http_routes_profile[] = {
    {"/debug/pprof/", "GET", profile_index, FLAGS},
    {"/debug/pprof/cmdline", "GET", profile_cmdline, FLAGS},
    {"/debug/pprof/profile", "GET", profile_cpu, FLAGS},
    {"/debug/pprof/symbol", "GET", profile_symbol, FLAGS},
    {"/debug/pprof/trace", "GET", profile_trace, FLAGS},
    {NULL, NULL, NULL, 0},
};

/* `debug`: collects what an agent tells of itself into a directory or an archive (cli.md 2.9): once
 * what does not change, and in each interval metrics, log and profiles. What the profiles hold is
 * the agent's matter; here they are files.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/request.h"
#include "cli/targz.h"
#include "schema/client_view.h"

#define DURATION_MIN (10 * SECOND)
#define INTERVAL_MIN (5 * SECOND)
#define FILE_MODE 0644
#define DIRECTORY_MODE 0755
#define GRACE_TIME (10 * SECOND) /* for answers that come after the end of an interval */
#define TARGETS_MAX 64

struct options {
    bool archive;
    struct flag_list capture;
    int64_t duration, interval;
    struct str output;
};

struct debug {
    struct cli *cli;
    struct client *client;
    const struct options *options;
    struct str targets[TARGETS_MAX]; /* what to capture, as the user named it */
    size_t target_count;
    const char *path; /* the directory */
    struct value self;
};

static int fail(struct cli *cli, const char *what, struct str why) {
    return cli_fail(cli, "==> %s" STR_FMT, what, STR_ARG(why));
}

static bool wants(const struct debug *d, const char *target) {
    for (size_t i = 0; i < d->target_count; i++)
        if (str_is(d->targets[i], target))
            return true;
    return false;
}

/* ---- before the start ---- */

static bool check_times(const struct options *o, struct error *e) {
    if (o->duration < DURATION_MIN)
        return error_set(e, ERROR_BAD_REQUEST, "duration must be longer than 10s");
    if (o->interval < INTERVAL_MIN)
        return error_set(e, ERROR_BAD_REQUEST, "interval must be longer than 10s");
    if (o->duration < o->interval)
        return error_set(e, ERROR_BAD_REQUEST,
                         "duration (" STR_FMT ") must be longer than interval (" STR_FMT ")",
                         STR_ARG(duration_format(e->arena, o->duration)),
                         STR_ARG(duration_format(e->arena, o->interval)));
    return true;
}

static bool choose_targets(struct debug *d, struct error *e) {
    static const char *const all[] = {"metrics", "logs", "pprof", "host", "agent", "cluster"};
    const struct flag_list *given = &d->options->capture;
    if (given->len > TARGETS_MAX)
        return error_set(e, ERROR_BAD_REQUEST, "too many targets");
    for (size_t i = 0; given->len == 0 && i < COUNT_OF(all); i++)
        d->targets[d->target_count++] = str_from(all[i]);
    for (size_t i = 0; i < given->len; i++) {
        bool known = false;
        for (size_t j = 0; j < COUNT_OF(all); j++)
            known |= str_is(given->items[i], all[j]);
        if (!known)
            return error_set(e, ERROR_BAD_REQUEST, "target not found: " STR_FMT,
                             STR_ARG(given->items[i]));
        d->targets[d->target_count++] = given->items[i];
    }
    return true;
}

/* Profiles need an agent that shows them. */
static void check_profiles(struct debug *d) {
    const struct value *config = value_get(&d->self, "DebugConfig");
    size_t kept = 0;
    if (!wants(d, "pprof") || (config != NULL && value_bool(config, "EnableDebug")))
        return;
    cli_err(d->cli, "[WARN] Unable to capture pprof. Set enable_debug to true on target agent to "
                    "enable profiling.");
    for (size_t i = 0; i < d->target_count; i++)
        if (!str_is(d->targets[i], "pprof"))
            d->targets[kept++] = d->targets[i];
    d->target_count = kept;
}

static bool check_answer(const struct debug *d, struct error *e) {
    const struct value *config = value_get(&d->self, "Config");
    if (config == NULL || value_get(config, "Version") == NULL)
        return error_set(e, ERROR_INTERNAL, "agent response did not contain version key");
    config = value_get(&d->self, "DebugConfig");
    if (config == NULL || value_get(config, "EnableDebug") == NULL)
        return error_set(e, ERROR_INTERNAL, "agent response did not contain debug key");
    return true;
}

static bool prepare(struct debug *d, struct error *e) {
    struct stat info;
    if (!check_times(d->options, e))
        return false;
    if (!client_get(d->client, STR("/v1/agent/self"), &d->self, d->cli->arena, e)) {
        e->text = str_format(e->arena,
                             "error querying target agent: " STR_FMT
                             ". verify connectivity and agent address",
                             STR_ARG(e->text));
        return false;
    }
    if (!check_answer(d, e) || !choose_targets(d, e))
        return false;
    check_profiles(d);
    if (stat(d->path, &info) == 0 || errno != ENOENT)
        if (d->path[0] != '\0')
            return error_set(e, ERROR_BAD_REQUEST, "output directory already exists: %s", d->path);
    return directories_make(d->path, DIRECTORY_MODE, e->arena, e) ||
           error_prefix(e, "could not create output directory: ");
}

static struct str target_list(const struct debug *d, const char *separator, const char *quote) {
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < d->target_count; i++)
        buf_add_format(&text, "%s%s" STR_FMT "%s", i > 0 ? separator : "", quote,
                       STR_ARG(d->targets[i]), quote);
    struct str out = str_copy(d->cli->arena, buf_str(&text));
    buf_free(&text);
    return out;
}

/* ---- files ---- */

static const char *path_of(const struct debug *d, const char *directory, const char *name) {
    return str_format(d->cli->arena, "%s/%s%s%s", d->path, directory,
                      directory[0] != '\0' ? "/" : "", name)
        .data;
}

static bool write_file(struct debug *d, const char *directory, const char *name, struct str bytes,
                       struct error *e) {
    return file_write_atomic(path_of(d, directory, name), bytes, FILE_MODE, d->cli->arena, e);
}

/* write adds the value to the writer; the file gets tabs. */
static bool write_json(struct debug *d, const char *directory, const char *name,
                       const struct value *v,
                       void (*write)(struct json_writer *w, const struct value *v),
                       struct error *e) {
    struct buf text = BUF_INIT, out = BUF_INIT;
    struct json_writer w;
    json_begin(&w, &text, true);
    write(&w, v);
    json_indent(buf_str(&text), "\t", &out);
    bool ok = write_file(d, directory, name, buf_str(&out), e);
    buf_free(&text);
    buf_free(&out);
    return ok;
}

/* ---- what does not change ---- */

static void write_sorted(struct json_writer *w, const struct value *v) {
    json_value(w, v);
}

static void write_members(struct json_writer *w, const struct value *v) {
    static const struct shape_field member[] = {
        {"Name", SHAPE_STR},        {"Addr", SHAPE_STR},        {"Port", SHAPE_INT},
        {"Tags", SHAPE_ANY},        {"Status", SHAPE_INT},      {"ProtocolMin", SHAPE_INT},
        {"ProtocolMax", SHAPE_INT}, {"ProtocolCur", SHAPE_INT}, {"DelegateMin", SHAPE_INT},
        {"DelegateMax", SHAPE_INT}, {"DelegateCur", SHAPE_INT}, {NULL},
    };
    shape_write_list(w, v, member);
}

static bool write_index(struct debug *d, struct error *e) {
    const struct options *o = d->options;
    struct arena *arena = d->cli->arena;
    struct str version = value_str(value_get(&d->self, "Config"), "Version");
    struct str text = str_format(
        arena,
        "{\n\t\"Version\": 1,\n\t\"AgentVersion\": " STR_FMT ",\n\t\"Interval\": \"" STR_FMT
        "\",\n\t\"Duration\": \"" STR_FMT "\",\n\t\"Targets\": [\n\t\t" STR_FMT "\n\t]\n}",
        STR_ARG(str_quote(arena, version)), STR_ARG(duration_format(arena, o->interval)),
        STR_ARG(duration_format(arena, o->duration)), STR_ARG(target_list(d, ",\n\t\t", "\"")));
    return write_file(d, "", "index.json", text, e);
}

static void capture_static(struct debug *d) {
    struct error e = ERROR_IN(d->cli->arena);
    struct buf failed = BUF_INIT;
    struct value v;
    struct call call;
    unsigned failures = 0;
    if (wants(d, "host") && !(client_get(d->client, STR("/v1/agent/host"), &v, e.arena, &e) &&
                              write_json(d, "", "host.json", &v, write_sorted, &e))) {
        buf_add_format(&failed, "\t* " STR_FMT "\n", STR_ARG(e.text));
        failures++;
    }
    if (wants(d, "agent") && !write_json(d, "", "agent.json", &d->self, write_sorted, &e)) {
        buf_add_format(&failed, "\t* " STR_FMT "\n", STR_ARG(e.text));
        failures++;
    }
    call_init(&call, "GET", STR("/v1/agent/members"));
    call_param(&call, "wan", STR("1"));
    if (wants(d, "cluster") && !(client_json(d->client, &call, &v, e.arena, &e) &&
                                 write_json(d, "", "cluster.json", &v, write_members, &e))) {
        buf_add_format(&failed, "\t* " STR_FMT "\n", STR_ARG(e.text));
        failures++;
    }
    if (failures > 0)
        cli_err(d->cli, "Static capture failed: %u error%s occurred:\n" STR_FMT "\n\n", failures,
                failures > 1 ? "s" : "", STR_ARG(buf_str(&failed)));
    buf_free(&failed);
}

/* ---- what changes ---- */

enum capture_kind { CAPTURE_METRICS, CAPTURE_LOG, CAPTURE_FILE };

/* What one interval asks the agent for. */
struct capture {
    const char *target, *path, *file;
    enum capture_kind kind;
    bool takes_time; /* as many seconds as the interval has */
};
static const struct capture captures[] = {
    {"metrics", "/v1/agent/metrics", "metrics.json", CAPTURE_METRICS, false},
    {"logs", "/v1/agent/monitor", "consul.log", CAPTURE_LOG, false},
    {"pprof", "/debug/pprof/heap", "heap.prof", CAPTURE_FILE, false},
    {"pprof", "/debug/pprof/goroutine", "goroutine.prof", CAPTURE_FILE, false},
    {"pprof", "/debug/pprof/profile", "profile.prof", CAPTURE_FILE, true},
    {"pprof", "/debug/pprof/trace", "trace.out", CAPTURE_FILE, true},
};

struct interval {
    struct debug *debug;
    const char *directory;
    struct call calls[COUNT_OF(captures)];
    bool running[COUNT_OF(captures)];
    FILE *log;
};

static void write_metrics(struct json_writer *w, const struct value *v) {
    static const struct shape_field gauge[] = {
        {"Name", SHAPE_STR}, {"Value", SHAPE_ANY}, {"Labels", SHAPE_ANY}, {NULL}};
    static const struct shape_field point[] = {{"Name", SHAPE_STR}, {"Points", SHAPE_ANY}, {NULL}};
    static const struct shape_field sample[] = {
        {"Name", SHAPE_STR},   {"Count", SHAPE_INT},  {"Sum", SHAPE_ANY},
        {"Min", SHAPE_ANY},    {"Max", SHAPE_ANY},    {"Mean", SHAPE_ANY},
        {"Stddev", SHAPE_ANY}, {"Labels", SHAPE_ANY}, {NULL}};
    static const struct shape_field metrics[] = {
        {"Timestamp", SHAPE_STR},
        {"Gauges", SHAPE_LIST, .of = gauge},
        {"Points", SHAPE_LIST, .of = point},
        {"Counters", SHAPE_LIST, .of = sample},
        {"Samples", SHAPE_LIST, .of = sample},
        {NULL},
    };
    shape_write(w, v, metrics);
}

static bool log_piece(void *owner, struct str piece) {
    struct interval *in = owner;
    return fwrite(piece.data, 1, piece.len, in->log) == piece.len;
}

static void start_captures(struct interval *in, int64_t length) {
    struct debug *d = in->debug;
    struct arena *arena = d->cli->arena;
    for (size_t i = 0; i < COUNT_OF(captures); i++) {
        const struct capture *c = &captures[i];
        struct call *call = &in->calls[i];
        in->running[i] = wants(d, c->target);
        if (!in->running[i])
            continue;
        call_init(call, "GET", str_from(c->path));
        if (c->takes_time)
            call_param(call, "seconds", str_format(arena, "%lld", (long long)(length / SECOND)));
        if (c->kind == CAPTURE_LOG) {
            call_param(call, "loglevel", STR("DEBUG"));
            in->log = fopen(path_of(d, in->directory, c->file), "we");
            call->sink = log_piece;
            call->sink_owner = in;
        }
        if (c->kind == CAPTURE_LOG && in->log == NULL) {
            fail(d->cli, "Capture failure ", str_from(errno_text(errno)));
            in->running[i] = false;
            continue;
        }
        client_start(d->client, call, arena);
    }
}

static void take_answer(struct interval *in, size_t i) {
    const struct capture *c = &captures[i];
    struct call *call = &in->calls[i];
    struct error e = ERROR_IN(in->debug->cli->arena);
    struct value v;
    bool ok = true;
    in->running[i] = false;
    if (call->failed)
        ok = error_copy(&e, &call->error);
    else if (call->status != 200)
        ok = call_unexpected(call, &e);
    else if (c->kind == CAPTURE_METRICS)
        ok = json_parse(call->answer, &v, NULL, e.arena, &e) &&
             write_json(in->debug, in->directory, c->file, &v, write_metrics, &e);
    else if (c->kind == CAPTURE_FILE)
        ok = write_file(in->debug, in->directory, c->file, call->answer, &e);
    if (!ok)
        fail(in->debug->cli, "Capture failure ", e.text);
}

/* Whether anything but the log, which has no end, is still to come. */
static bool is_waiting(const struct interval *in) {
    for (size_t i = 0; i < COUNT_OF(captures); i++)
        if (in->running[i] && captures[i].kind != CAPTURE_LOG)
            return true;
    return false;
}

/* Until the interval is over and all answers are there, or a signal came. */
static void wait_for_answers(struct interval *in, int64_t until) {
    for (;;) {
        int64_t now = time_now_monotonic();
        for (size_t i = 0; i < COUNT_OF(captures); i++)
            if (in->running[i] && in->calls[i].done)
                take_answer(in, i);
        bool waiting = is_waiting(in);
        int64_t end = waiting ? until + GRACE_TIME : until;
        if (now >= end || client_signal() != 0)
            return;
        client_poll(in->debug->client, -1, end - now);
        client_wake_drain();
    }
}

static void end_captures(struct interval *in) {
    for (size_t i = 0; i < COUNT_OF(captures); i++) {
        if (!in->running[i])
            continue;
        client_cancel(in->debug->client, &in->calls[i]);
        if (captures[i].kind != CAPTURE_LOG && client_signal() == 0)
            fail(in->debug->cli, "Capture failure ",
                 str_format(in->debug->cli->arena, "Get %s: no answer in time", captures[i].path));
    }
    if (in->log != NULL)
        fclose(in->log);
}

static void capture_interval(struct debug *d, int64_t length) {
    struct arena *outer = d->cli->arena;
    struct arena arena = ARENA_INIT; /* profiles are large and there may be many intervals */
    struct error e = ERROR_IN(&arena);
    int64_t until = time_now_monotonic() + length;
    d->cli->arena = &arena;
    struct interval *in = ARENA_NEW(&arena, struct interval);
    in->debug = d;
    in->directory = str_format(&arena, "%lld", (long long)(time_now_wall() / SECOND)).data;
    if (directories_make(path_of(d, in->directory, ""), DIRECTORY_MODE, &arena, &e)) {
        start_captures(in, length);
        wait_for_answers(in, until);
        end_captures(in);
    } else {
        fail(d->cli, "Capture failure ", e.text);
    }
    d->cli->arena = outer;
    arena_free(&arena);
}

/* "2026-11-23 09:22:29.985431264 +0000 UTC", or without the part of the second. */
static struct str time_text(struct arena *arena, int64_t ns, bool exact) {
    char text[32], part[16] = "";
    time_t seconds = (time_t)(ns / SECOND);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    if (exact && ns % SECOND > 0)
        snprintf(part, sizeof(part), ".%09lld", (long long)(ns % SECOND));
    for (size_t len = strlen(part); len > 0 && part[len - 1] == '0'; len--)
        part[len - 1] = '\0';
    return str_format(arena, "%s%s +0000 UTC", text, part);
}

/* False: a signal ended it. */
static bool capture_dynamic(struct debug *d) {
    const struct options *o = d->options;
    int64_t start = time_now_monotonic();
    cli_out(d->cli, "==> Beginning capture interval " STR_FMT " (0)",
            STR_ARG(time_text(d->cli->arena, time_now_wall(), true)));
    fflush(d->cli->out);
    for (unsigned i = 1;; i++) {
        int64_t left = o->duration - (time_now_monotonic() - start);
        if (left < SECOND)
            return true;
        capture_interval(d, left < o->interval ? left : o->interval);
        if (client_signal() != 0)
            return false;
        cli_out(d->cli, "==> Capture successful " STR_FMT " (%u)",
                STR_ARG(time_text(d->cli->arena, time_now_wall(), false)), i);
        fflush(d->cli->out);
    }
}

/* ---- the whole ---- */

static int save_archive(struct debug *d, const char *archive) {
    struct error e = ERROR_IN(d->cli->arena);
    if (!targz_write(d->path, archive, d->cli->arena, &e) || !directory_remove(d->path, &e))
        return fail(d->cli, "Archive creation failed: ", e.text);
    return CLI_OK;
}

static int collect(struct debug *d) {
    struct cli *cli = d->cli;
    struct error e = ERROR_IN(cli->arena);
    const struct options *o = d->options;
    if (!prepare(d, &e))
        return fail(cli, "Capture validation failed: ", e.text);
    const char *saved = str_format(cli->arena, "%s%s", d->path, o->archive ? ".tar.gz" : "").data;
    cli_out(cli,
            "==> Starting debugger and capturing static information...\n"
            "     Agent Version: '" STR_FMT "'\n"
            "          Interval: '" STR_FMT "'\n"
            "          Duration: '" STR_FMT "'\n"
            "            Output: '%s'\n"
            "           Capture: '" STR_FMT "'",
            STR_ARG(value_str(value_get(&d->self, "Config"), "Version")),
            STR_ARG(duration_format(cli->arena, o->interval)),
            STR_ARG(duration_format(cli->arena, o->duration)), saved,
            STR_ARG(target_list(d, ", ", "")));
    fflush(cli->out);
    client_catch_signals();
    if (!write_index(d, &e))
        return fail(cli, "Capture failure ", e.text);
    capture_static(d);
    if ((wants(d, "metrics") || wants(d, "logs") || wants(d, "pprof")) && !capture_dynamic(d))
        cli_err(cli, "==> Error encountered during collection: stopping collection due to shutdown "
                     "signal");
    int exit_code = o->archive ? save_archive(d, saved) : CLI_OK;
    if (exit_code == CLI_OK)
        cli_out(cli, "    Saved debug archive: %s", saved);
    return exit_code;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    if (cli->arg_count > 0)
        return cli_fail(cli, "==> debug: Too many arguments provided, expected 0");
    struct error e = ERROR_IN(cli->arena);
    struct debug d = {.cli = cli, .client = client_new(cli, &e), .options = options};
    if (d.client == NULL)
        return fail(cli, "Error connecting to Consul agent: ", e.text);
    struct str output = options->output;
    if (output.data == NULL)
        output = str_format(cli->arena, "consul-debug-%lld", (long long)(time_now_wall() / SECOND));
    d.path = str_terminated(cli->arena, output);
    int exit_code = collect(&d);
    client_free(d.client);
    return exit_code;
}

static const struct flag flags[] = {
    {"archive", FLAG_BOOL, offsetof(struct options, archive), NULL,
     "Make one compressed file of it all. With -archive=false the directory stays."},
    {"capture", FLAG_LIST, offsetof(struct options, capture), NULL,
     "What to collect: metrics, logs, pprof, host, agent or cluster. May be given several times; "
     "all of them when it is not given."},
    {"duration", FLAG_DURATION, offsetof(struct options, duration), NULL,
     "How long to collect; at least 10s."},
    {"interval", FLAG_DURATION, offsetof(struct options, interval), NULL,
     "How often to collect what changes; at least 5s."},
    {"output", FLAG_STRING, offsetof(struct options, output), NULL,
     "Directory to collect in, and the archive's name without .tar.gz."},
};
static const struct options defaults = {
    .archive = true, .duration = 2 * MINUTE, .interval = 30 * SECOND};

const struct command command_debug = {
    .name = "debug",
    .synopsis = "Collects what helps to find a fault",
    .usage = "debug [options]",
    .about =
        "  Watches an agent for a while and writes what it tells of itself to an archive: its\n"
        "  settings and machine, and in each interval its metrics, its log and profiles of where\n"
        "  it spends time and memory. Profiles need an agent with enable_debug.\n\n"
        "      $ consul debug -duration=1m -interval=20s\n"
        "      $ consul debug -capture=metrics -capture=logs -output=/tmp/slow\n\n"
        "  Tokens and keys are not among the settings, but look through the archive before you\n"
        "  give it away.\n",
    .groups = GROUP_CLIENT,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .bad_flags_prefix = "==> Error parsing flags: ",
    .run = run,
};

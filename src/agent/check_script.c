/* Script checks: a program in its own process group (program.h), its exit code the status (agent.md
 * 3.5). When the time is up the whole group is killed, and the check waits for the end before it
 * runs again.
 */
#include <sys/wait.h>

#include "agent/program.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

#define DEFAULT_TIMEOUT (30 * SECOND)

struct script {
    struct check_run *run;
    struct program child;
    struct loop_timer timeout;
    unsigned open; /* the child and the timer */
    bool timed_out, cancelled;
};

/* ---- end ---- */

static void report(struct script *s) {
    struct arena scratch = ARENA_INIT;
    struct check_run *r = s->run;
    struct str output = program_output_text(&s->child.output, &scratch);
    log_at(LOG_TRACE, "agent", "Check output", LOG_S("check", r->check_id),
           LOG_S("output", output));
    if (s->timed_out) {
        struct str limit = duration_format(&scratch, check_run_timeout(r, DEFAULT_TIMEOUT));
        struct str text = str_format(&scratch, "Timed out (" STR_FMT ") running check%s" STR_FMT,
                                     STR_ARG(limit), output.len > 0 ? "\n\n" : "", STR_ARG(output));
        check_run_over_at_once(r, CHECK_CRITICAL, text);
    } else {
        int status = s->child.wait_status;
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        check_run_over(r,
                       code == 0   ? CHECK_PASSING
                       : code == 1 ? CHECK_WARNING
                                   : CHECK_CRITICAL,
                       output);
    }
    arena_free(&scratch);
}

static void closed_one(struct script *s) {
    if (--s->open > 0)
        return;
    report(s);
    tail_free(&s->child.output);
    mem_free(s);
}

static void child_closed(struct program *c) {
    closed_one(c->owner);
}
static void timeout_closed(struct loop_timer *t) {
    closed_one(t->owner);
}

/* The program has ended and so has its output, or nobody waits for that any more. */
static void maybe_over(struct script *s) {
    struct program *c = &s->child;
    if (c->closing || !c->exited || !(c->read_over || s->timed_out || s->cancelled))
        return;
    loop_timer_stop(&s->timeout);
    loop_timer_close(&s->timeout, timeout_closed);
    program_close(c);
}

static void child_changed(struct program *c) {
    maybe_over(c->owner);
}

static void time_is_up(struct loop_timer *t) {
    struct script *s = t->owner;
    s->timed_out = true;
    log_at(LOG_WARN, "agent", "Timed out running check", LOG_S("check", s->run->check_id));
    program_kill(&s->child);
    maybe_over(s);
}

static void script_cancel(struct check_run *r) {
    struct script *s = r->state;
    s->cancelled = true;
    program_kill(&s->child);
    maybe_over(s);
}

/* ---- start ---- */

static char **arguments(const struct check_type *t, struct arena *arena) {
    char **argv = ARENA_ARRAY(arena, char *, t->script_args.len + 1);
    for (uint32_t i = 0; i < t->script_args.len; i++)
        argv[i] = str_terminated(arena, LIST_AT(t->script_args, struct str, i));
    return argv;
}

static bool launch(struct script *s, struct arena *arena, struct error *e) {
    struct check_run *r = s->run;
    struct program_command command = {
        .file = program_find(LIST_AT(r->type.script_args, struct str, 0), arena, e),
        .argv = arguments(&r->type, arena),
        .input = -1,
        .own_group = true,
    };
    return command.file != NULL && program_start(&s->child, check_run_loop(r), &command, arena, e);
}

static void script_start(struct check_run *r) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    struct script *s = MEM_NEW(struct script);
    s->run = r;
    s->child = (struct program){.output.limit = r->output_limit,
                                .changed = child_changed,
                                .closed = child_closed,
                                .owner = s};
    if (launch(s, &scratch, &e)) {
        r->state = s;
        s->open = 2;
        loop_timer_init(check_run_loop(r), &s->timeout, time_is_up, s);
        loop_timer_set(&s->timeout, check_run_timeout(r, DEFAULT_TIMEOUT));
    } else {
        log_at(LOG_ERROR, "agent", "Check failed to start", LOG_S("check", r->check_id),
               LOG_S("error", e.text));
        mem_free(s);
        check_run_over_at_once(r, CHECK_CRITICAL, e.text);
    }
    arena_free(&scratch);
}

const struct check_kind check_kind_script = {script_start, script_cancel};

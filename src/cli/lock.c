/* `lock`: runs a program while holding a lock or a place in a semaphore (cli.md 2.20). How locks
 * are made is in locking.c.
 */
#include <signal.h>

#include "base/mem.h"
#include "base/time.h"
#include "cli/child.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/locking.h"

#define KILL_GRACE (5 * SECOND)
enum { EXIT_CHILD_FAILED = 2 };

struct options {
    bool child_exit_code, pass_stdin, shell, verbose;
    int64_t limit, monitor_retry, timeout;
    struct str name;
};

struct run {
    struct cli *cli;
    const struct options *options;
    struct client *client;
    struct locking locking;
    struct child child;
};

static void say(struct run *r, const char *text) {
    if (r->options->verbose)
        cli_out(r->cli, "%s", text);
    fflush(r->cli->out);
}

/* Polls until the child ended or the time (ns, < 0: none) is over; the lock's affairs go on. */
static bool await_child(struct run *r, int64_t timeout) {
    int64_t until = timeout < 0 ? -1 : time_now_monotonic() + timeout;
    while (!child_ended(&r->child)) {
        if (until < 0 && (client_signal() != 0 || r->locking.lost))
            return false;
        int64_t patience = locking_patience(&r->locking);
        if (until >= 0) {
            int64_t left = until - time_now_monotonic();
            if (left <= 0)
                return false;
            patience = patience < 0 || left < patience ? left : patience;
        }
        client_poll(r->client, -1, patience);
        client_wake_drain();
        locking_step(&r->locking);
    }
    return true;
}

static void kill_child(struct run *r) {
    struct cli *cli = r->cli;
    int pid = (int)r->child.pid;
    if (r->options->verbose)
        cli_out(cli, "Terminating child pid %d", pid);
    child_signal(&r->child, SIGTERM);
    if (await_child(r, KILL_GRACE)) {
        say(r, "Child terminated");
        return;
    }
    say(r, "Child did not exit after grace period of 5s");
    if (r->options->verbose)
        cli_out(cli, "Killing child pid %d", pid);
    child_signal(&r->child, SIGKILL);
    await_child(r, KILL_GRACE);
}

/* True: the child ran and ended well. */
static bool run_child(struct run *r) {
    struct cli *cli = r->cli;
    struct error e = ERROR_IN(cli->arena);
    struct str text;
    struct child_plan plan = {
        .args = cli->args + 1,
        .count = cli->arg_count - 1,
        .shell = r->options->shell,
        .input = r->options->pass_stdin ? CHILD_INPUT_INHERIT : CHILD_INPUT_NONE,
        .variable = "CONSUL_LOCK_HELD=true",
    };
    say(r, "Starting handler");
    if (!child_start(&r->child, &plan, cli->arena, &e)) {
        cli_err(cli, "Error starting handler: " STR_FMT, STR_ARG(e.text));
        return false;
    }
    if (r->options->pass_stdin)
        say(r, "Stdin passed to handler process");
    if (await_child(r, -1)) {
        say(r, "Child terminated, releasing lock");
    } else {
        int number = client_signal();
        client_signal_clear();
        child_signal(&r->child, number);
        say(r, number != 0 ? "Shutdown triggered, killing child" : "Lock lost, killing child");
        kill_child(r);
    }
    if (child_succeeded(&r->child, &text, cli->arena))
        return true;
    cli_err(cli, "Error running handler: " STR_FMT, STR_ARG(text));
    return false;
}

/* Failures here are said, and change the exit code only when the lock could not be given up. */
static int release(struct run *r) {
    struct cli *cli = r->cli;
    struct error e = ERROR_IN(cli->arena);
    client_signal_clear();
    if (!locking_release(&r->locking, &e))
        return cli_fail(cli, "Lock release failed: " STR_FMT, STR_ARG(e.text));
    error_clear(&e);
    switch (locking_clean_up(&r->locking, &e)) {
    case LOCKING_OK:
        say(r, "Cleanup succeeded");
        return CLI_OK;
    case LOCKING_NOT:
        say(r, "Cleanup aborted, lock in use");
        return CLI_OK;
    default:
        return cli_fail(cli, "Lock cleanup failed: " STR_FMT, STR_ARG(e.text));
    }
}

static int hold_and_run(struct run *r) {
    struct cli *cli = r->cli;
    struct error e = ERROR_IN(cli->arena);
    say(r, "Attempting lock acquisition");
    enum locking_result result = locking_acquire(&r->locking, &e);
    if (result == LOCKING_NOT)
        return cli_fail(cli, "Shutdown triggered or timeout during lock acquisition");
    if (result == LOCKING_FAILED)
        return cli_fail(cli, "Lock acquisition failed: " STR_FMT, STR_ARG(e.text));
    bool ok = run_child(r);
    int exit_code = release(r);
    return exit_code == CLI_OK && !ok && r->options->child_exit_code ? EXIT_CHILD_FAILED
                                                                     : exit_code;
}

static struct str session_name(struct cli *cli, const struct options *options, struct str prefix) {
    if (options->name.len > 0)
        return options->name;
    struct buf text = BUF_INIT;
    for (size_t i = 1; i < cli->arg_count; i++)
        buf_add_format(&text, "%s%s", i > 1 ? " " : "", cli->args[i]);
    struct str name = str_format(cli->arena, "Consul lock for '" STR_FMT "' at '" STR_FMT "'",
                                 STR_ARG(buf_str(&text)), STR_ARG(prefix));
    buf_free(&text);
    return name;
}

static void say_set_up(struct run *r) {
    struct str prefix = r->locking.prefix;
    if (!r->options->verbose)
        return;
    if (r->options->limit == 1)
        cli_out(r->cli, "Setting up lock at path: " STR_FMT,
                STR_ARG(locking_key(r->cli->arena, prefix)));
    else
        cli_out(r->cli, "Setting up semaphore (limit %lld) at prefix: " STR_FMT,
                (long long)r->options->limit, STR_ARG(prefix));
}

static bool check(struct cli *cli, const struct options *options) {
    const char *wrong = options->limit <= 0    ? "Lock holder limit must be positive"
                        : cli->arg_count < 2   ? "Key prefix and child command must be specified"
                        : options->timeout < 0 ? "Timeout must be positive"
                        : options->monitor_retry < 0 ? "Number for 'monitor-retry' must be >= 0"
                                                     : NULL;
    if (wrong != NULL)
        cli_err(cli, "%s", wrong);
    return wrong == NULL;
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct run *r = ARENA_NEW(cli->arena, struct run);
    struct error e = ERROR_IN(cli->arena);
    struct value self;
    if (!check(cli, options))
        return CLI_FAILED;
    struct str prefix = str_from(cli->args[0][0] == '/' ? cli->args[0] + 1 : cli->args[0]);
    *r = (struct run){.cli = cli, .options = options, .client = client_open(cli)};
    if (r->client == NULL)
        return CLI_FAILED;
    r->locking = (struct locking){
        .cli = cli,
        .client = r->client,
        .prefix = prefix,
        .session_name = session_name(cli, options, prefix),
        .limit = (uint64_t)options->limit,
        .timeout = options->timeout,
        .monitor_retry = options->monitor_retry,
    };
    client_catch_signals();
    int exit_code = CLI_FAILED;
    if (!client_get(r->client, STR("/v1/agent/self"), &self, cli->arena, &e)) {
        cli_err(cli, "Error querying Consul agent: " STR_FMT, STR_ARG(e.text));
    } else {
        say_set_up(r);
        if (options->limit > 1 && prefix.len == 0)
            cli_err(cli, "Lock setup failed: missing prefix");
        else
            exit_code = hold_and_run(r);
    }
    locking_end(&r->locking);
    client_free(r->client);
    return exit_code;
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"child-exit-code", FLAG_BOOL, AT(child_exit_code), NULL,
     "Exit with 2 when the program failed; otherwise that does not matter."},
    {"monitor-retry", FLAG_INT, AT(monitor_retry), NULL,
     "How many errors in a row, a second apart, do not yet mean that the lock is lost."},
    {"n", FLAG_INT, AT(limit), NULL,
     "How many may hold it at a time; more than one makes it a semaphore. All must agree on it."},
    {"name", FLAG_STRING, AT(name), NULL,
     "Name of the session, instead of one that says what runs."},
    {"pass-stdin", FLAG_BOOL, AT(pass_stdin), NULL, "The program reads this one's standard input."},
    {"shell", FLAG_BOOL, AT(shell), NULL,
     "Whether a shell runs the program, with its arguments joined."},
    {"timeout", FLAG_DURATION, AT(timeout), NULL,
     "How long to try, for example 15s; 0s is for ever."},
    {"try", FLAG_DURATION, AT(timeout), NULL, "The same as -timeout."},
    {"verbose", FLAG_BOOL, AT(verbose), NULL, "Say what happens."},
};
#undef AT
static const struct options defaults = {.limit = 1, .monitor_retry = 3, .shell = true};

const struct command command_lock = {
    .name = "lock",
    .synopsis = "Runs a program while holding a lock",
    .usage = "lock [options] prefix child...",
    .about =
        "  Waits until it has the lock under the key prefix, then runs the program, and gives\n"
        "  the lock up when it ends. If the lock is lost meanwhile, the program is terminated.\n\n"
        "      $ consul lock jobs/backup ./backup.sh\n"
        "      $ consul lock -n 3 jobs/build make\n",
    .groups = GROUP_CLIENT | GROUP_SERVER,
    COMMAND_FLAGS(flags, struct options, &defaults),
    .run = run,
};

/* Which command was meant, and running it (cli.md 1.1). Flags are in flag.c, help in help.c.
 */
#include "cli/cli.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cli/agent.h"
#include "cli/commands.h"

/* ---- lines for the user ---- */

static void print_line(FILE *stream, const char *format, va_list args) {
    vfprintf(stream, format, args);
    fputc('\n', stream);
}

void cli_out(struct cli *cli, const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(cli->out, format, args);
    va_end(args);
}

void cli_err(struct cli *cli, const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(cli->err, format, args);
    va_end(args);
}

int cli_fail(struct cli *cli, const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(cli->err, format, args);
    va_end(args);
    return CLI_FAILED;
}

void cli_write_buf(FILE *stream, struct buf *b) {
    if (b->len > 0)
        fwrite(b->data, 1, b->len, stream);
    buf_free(b);
}

void cli_out_bytes(struct cli *cli, struct str bytes) {
    if (bytes.len > 0)
        fwrite(bytes.data, 1, bytes.len, cli->out);
    fputc('\n', cli->out);
}

static void print_help(const struct command *command, FILE *stream) {
    struct buf text = BUF_INIT;
    if (command != NULL)
        help_command(command, &text);
    else
        help_main(&text);
    cli_write_buf(stream, &text);
}

int cli_usage_error(struct cli *cli, const char *message) {
    if (message != NULL)
        fprintf(cli->err, "%s\n\n", message);
    print_help(cli->command, cli->err);
    return CLI_FAILED;
}

/* ---- the command line ---- */

struct invocation {
    bool help, version, install, uninstall, misplaced_flag;
    const struct command *command;
    char *const *args; /* of the command */
    size_t arg_count;
};

static bool is_flag(const char *arg, const char *name) {
    return arg[0] == '-' &&
           (strcmp(arg + 1, name) == 0 || (arg[1] == '-' && strcmp(arg + 2, name) == 0));
}

static void read_invocation(char *const *args, size_t count, struct invocation *to) {
    bool named = false;
    for (size_t i = 0; i < count; i++) {
        const char *arg = args[i];
        if (strcmp(arg, "--") == 0)
            return;
        if (strcmp(arg, "-h") == 0 || is_flag(arg, "help")) {
            to->help = true;
        } else if (is_flag(arg, "autocomplete-install")) {
            to->install = true;
        } else if (is_flag(arg, "autocomplete-uninstall")) {
            to->uninstall = true;
        } else if (named || arg[0] == '\0') {
            continue;
        } else if (strcmp(arg, "-v") == 0 || is_flag(arg, "version")) {
            to->version = true;
        } else if (arg[0] == '-') {
            to->misplaced_flag = true;
        } else {
            size_t words = 1;
            named = true;
            to->command = cli_command_match(args + i, count - i, &words);
            to->args = args + i + words;
            to->arg_count = count - i - words;
        }
    }
}

/* Reads the flags; on failure prints what is wrong and how it is done. */
static bool read_flags(struct cli *cli, void *options, char *const *args, size_t count,
                       int *exit_code) {
    const struct command *command = cli->command;
    struct flag http[HTTP_FLAGS_MAX];
    struct flag_group groups[2] = {{http, http_flags(command->groups, http), &cli->http},
                                   {command->flags, command->flag_count, options, cli->hooks}};
    struct error e = ERROR_IN(cli->arena);
    size_t used = 0;
    if (command->raw) {
        cli->args = args;
        cli->arg_count = count;
        return true;
    }
    if (flags_parse(groups, 2, args, count, &used, cli->arena, &e)) {
        cli->args = args + used;
        cli->arg_count = count - used;
        return true;
    }
    /* The listing shows defaults, not what was read before the error. */
    memset(&cli->http, 0, sizeof cli->http);
    if (command->defaults != NULL)
        memcpy(options, command->defaults, command->options_size);
    struct buf listing = BUF_INIT;
    flags_list(groups, 2, &listing);
    cli_err(cli, STR_FMT, STR_ARG(e.text));
    cli_write_buf(cli->err, &listing);
    if (command->bad_flags_prefix != NULL)
        cli_err(cli, "%s" STR_FMT, command->bad_flags_prefix, STR_ARG(e.text));
    *exit_code = command->bad_flags_exit != 0 ? command->bad_flags_exit : CLI_FAILED;
    return false;
}

static int run_command(struct cli *cli, char *const *args, size_t count) {
    const struct command *command = cli->command;
    void *options = arena_zalloc(cli->arena, 1, command->options_size);
    if (command->defaults != NULL)
        memcpy(options, command->defaults, command->options_size);
    int exit_code = CLI_FAILED;
    if (!read_flags(cli, options, args, count, &exit_code))
        return exit_code;
    return command->run(cli, options);
}

static bool complete(struct cli *cli) {
    const char *line = getenv("COMP_LINE");
    if (line == NULL || *line == '\0')
        return false;
    struct str text = str_from(line);
    const char *point = getenv("COMP_POINT");
    int64_t at = 0;
    if (point != NULL && str_to_i64(str_from(point), &at) && at >= 0 && (uint64_t)at < text.len)
        text.len = (size_t)at;
    struct buf out = BUF_INIT;
    complete_line(text, &out);
    cli_write_buf(cli->out, &out);
    return true;
}

int cli_run(struct cli *cli, char *const *args, size_t count) {
    struct invocation call = {0};
    read_invocation(args, count, &call);
    cli->command = call.command;
    if (call.version) {
        cli->command = cli_command_find(STR("version"));
        return run_command(cli, NULL, 0);
    }
    if (complete(cli))
        return CLI_OK;
    if (call.help && call.command == NULL && call.args == NULL) {
        print_help(NULL, cli->out);
        return CLI_OK;
    }
    if (call.install && call.uninstall)
        return cli_fail(cli,
                        "Error executing CLI: Either the autocomplete install or uninstall flag "
                        "may be specified, but not both.");
    if (call.install || call.uninstall)
        return complete_install(cli, call.install);
    if (call.command == NULL) {
        print_help(NULL, cli->err);
        return CLI_UNKNOWN_COMMAND;
    }
    if (call.help && call.command == &command_agent)
        return agent_help(cli);
    if (call.help) {
        print_help(call.command, cli->out);
        return CLI_OK;
    }
    if (call.misplaced_flag) {
        return cli_usage_error(cli, "Invalid flags before the subcommand. If these flags are for\n"
                                    "the subcommand, please put them after the subcommand.");
    }
    if (call.command->run == NULL)
        return cli_usage_error(cli, NULL);
    return run_command(cli, call.args, call.arg_count);
}

static bool called_consul(const char *program) {
    const char *slash = strrchr(program, '/');
    return strcmp(slash != NULL ? slash + 1 : program, "consul") == 0;
}

int cli_main(int argc, char **argv, const struct cli_hooks *hooks) {
    static const struct cli_hooks no_hooks;
    struct arena arena = ARENA_INIT;
    const char *program = argc > 0 ? argv[0] : "praetor";
    struct cli cli = {.hooks = hooks != NULL ? hooks : &no_hooks,
                      .arena = &arena,
                      .in = stdin,
                      .out = stdout,
                      .err = stderr,
                      .program = program,
                      .as_consul = called_consul(program)};
    int exit_code = cli_run(&cli, argv + (argc > 0 ? 1 : 0), argc > 0 ? (size_t)argc - 1 : 0);
    if (fflush(stdout) != 0 && exit_code == CLI_OK)
        exit_code = CLI_FAILED;
    arena_free(&arena);
    return exit_code;
}

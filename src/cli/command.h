/* What a command is, and what it has at hand while it runs. Each command is one constant
 * `struct command` in a file of its own (or of its family); commands.c lists them all.
 */
#ifndef PRAETOR_CLI_COMMAND_H
#define PRAETOR_CLI_COMMAND_H

#include <stdio.h>

#include "cli/cli.h"
#include "cli/flag.h"

#define CLI_CONSUL_VERSION "1.8.7" /* whose protocols and command line these are */
#define CLI_PRAETOR_VERSION "0.1.0"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_UNKNOWN_COMMAND = 127 };

/* Values of the flags that all commands which talk to an agent share (cli.md 1.4). */
struct http_options {
    struct flag_set_string address, token, token_file, ca_file, ca_path, client_cert, client_key,
        tls_server_name;
    struct flag_set_string datacenter;
    struct flag_set_bool stale;
    struct flag_set_string name_space;
};
enum { GROUP_CLIENT = 1, GROUP_SERVER = 2, GROUP_NAMESPACE = 4 };

struct command;

struct cli {
    const struct command *command;
    const struct cli_hooks *hooks;
    struct arena *arena; /* lives as long as the command runs */
    FILE *in, *out, *err;
    const char *program; /* argv[0] */
    bool as_consul;      /* called by the peer's name */
    struct http_options http;
    bool tokenless;    /* flags and environment that give a token are not looked at */
    char *const *args; /* behind the flags */
    size_t arg_count;
};

struct command {
    const char *name;     /* "kv get" */
    const char *synopsis; /* one line, for lists; NULL: not listed */
    const char *usage;    /* behind "Usage: consul " */
    const char *about;    /* help text, wrapped and indented as it is to be shown; NULL: none */
    unsigned groups;      /* of flags for HTTP */
    const struct flag *flags;
    size_t flag_count;
    const void *defaults; /* of its options; NULL: all zero */
    size_t options_size;
    int bad_flags_exit;           /* 0: CLI_FAILED */
    const char *bad_flags_prefix; /* another line with the error behind the listing; NULL: none */
    bool flags_untold;            /* the help does not list them */
    bool raw;                     /* gets its arguments as they are: flags are not read */
    int (*run)(struct cli *cli, const void *options); /* NULL: a group of commands */
};

/* For the initialisers of commands. */
#define COMMAND_FLAGS(array, type, defaults_pointer)                                               \
    .flags = (array), .flag_count = sizeof(array) / sizeof((array)[0]),                            \
    .defaults = (defaults_pointer), .options_size = sizeof(type)

/* All commands, sorted by name. */
extern const struct command *const cli_commands[];
extern const size_t cli_command_count;
/* The command of that name, or NULL. */
const struct command *cli_command_find(struct str name);
/* The longest command whose words are the first of the arguments; *words is how many those are, at
 * least
 * 1. NULL: there is none. */
const struct command *cli_command_match(char *const *args, size_t count, size_t *words);

/* What cli_main does, with streams and hooks of the caller's choice; args without the program's
 * name. */
int cli_run(struct cli *cli, char *const *args, size_t count);

/* Lines for the user: results on standard output, errors and warnings on standard error. The
 * newline is added. */
void cli_out(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_err(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes as they are, and a newline. */
void cli_out_bytes(struct cli *cli, struct str bytes);
/* A buffer as it is; frees it. */
void cli_write_buf(FILE *stream, struct buf *b);
/* Prints the message (unless NULL), an empty line and the command's help on standard error. */
int cli_usage_error(struct cli *cli, const char *message);
/* cli_err, and CLI_FAILED. */
int cli_fail(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The help of a command, ended by a newline. */
void help_command(const struct command *command, struct buf *out);
void help_main(struct buf *out);
/* The HTTP flags of the groups. */
size_t http_flags(unsigned groups, struct flag *out);
#define HTTP_FLAGS_MAX 11
/* Whether a flag of that name stands among the "HTTP API Options" in help texts. */
bool http_flag_is_api_option(const char *name);

/* Shell completion (cli.md 1.7). */
void complete_line(struct str line, struct buf *out);
int complete_install(struct cli *cli, bool install);
/* The same for a home and program (absolute path) of the caller's choice. XDG_CONFIG_HOME counts
 * too. */
int complete_install_at(struct cli *cli, bool install, const char *home, const char *program);

#endif

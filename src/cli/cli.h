/* The command line: everything of `praetor …` except the agent itself. Finds the command, reads its
 * flags, talks to an agent over HTTP and prints as the peer does (docs/protocol/cli.md). It knows
 * nothing of how an agent works: what needs that comes in through hooks from main.c.
 */
#ifndef PRAETOR_CLI_CLI_H
#define PRAETOR_CLI_CLI_H

#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* A service of a configuration file, for `services register` and `services deregister`. */
struct cli_service {
    struct str id;   /* may be empty */
    struct str name; /* as the user wrote it */
    struct str json; /* the body of PUT /v1/agent/service/register */
};

/* A field of a template. */
struct cli_template_field {
    const char *name;
    bool is_bool, boolean;
    struct str text; /* unless is_bool */
};

/* The metrics of `connect proxy` (agent/telemetry_proxy.h). */
struct value;
struct cli_telemetry {
    bool (*start)(const struct value *settings, struct error *unread, struct error *e);
    int64_t (*sample)(void); /* ns until the next time */
    void (*dump)(FILE *out);
    void (*stop)(void);
};

/* What the command line needs from rooms that it may not include. A hook that is NULL makes its
 * command say that it is not part of this build. */
struct cli_hooks {
    /* `praetor agent ARGS`: argv[0] is "agent", the rest are its arguments, flags unparsed; help
     * was dealt with. Returns the exit code. */
    int (*agent)(int argc, char **argv);

    /* `praetor validate`: reads and validates files and directories as config.md 4.8 says. format
     * is
     * "", "hcl" or "json". Adds one line for each warning to *warnings (each ended by a newline).
     * False: *e holds MSG of "Config validation failed: MSG". */
    bool (*validate)(char *const *paths, size_t count, const char *format, struct buf *warnings,
                     struct error *e);

    /* Services of configuration files (cli.md 2.26): built in dev mode, other keys tolerated. The
     * array is in the arena. Warnings as above. */
    bool (*services_from_files)(char *const *paths, size_t count, struct cli_service **services,
                                size_t *services_count, struct buf *warnings, struct arena *arena,
                                struct error *e);

    /* `connect envoy`: a value whose actions ask for addresses of this machine (config.md 1.8). */
    bool (*expand_address)(struct str text, struct str *out, struct arena *arena, struct error *e);

    /* `connect envoy`: a text over named fields (agent/template.h). type: how errors call what
     * holds them. */
    bool (*render_template)(struct str text, const char *name, const char *type,
                            const struct cli_template_field *fields, size_t count, struct str *out,
                            struct arena *arena, struct error *e);

    /* `acl translate-rules`: rules in the legacy syntax to the current one. *out is in the arena.
     * False: "Failed to parse rules: …". */
    bool (*translate_rules)(struct arena *arena, struct str text, struct str *out, struct error *e);

    const struct cli_telemetry *telemetry;
};

/* Runs one command. argv is main's, with argv[0] the program's name: when its last part is
 * "consul", `version` speaks as the peer. Writes to standard output and error; returns the exit
 * code. */
int cli_main(int argc, char **argv, const struct cli_hooks *hooks);

#endif

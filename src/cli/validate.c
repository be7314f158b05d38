/* `validate` (config.md 4.8): the check itself is a hook, since it needs the agent.
 */
#include "cli/commands.h"

struct options {
    struct str config_format;
    bool quiet;
};

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct str format = options->config_format;
    if (cli->arg_count < 1)
        return cli_fail(cli, "Must specify at least one config file or directory");
    if (format.len > 0 && !str_is(format, "json") && !str_is(format, "hcl"))
        return cli_fail(cli, "-config-format must be either 'hcl' or 'json");
    if (cli->hooks->validate == NULL)
        return cli_fail(cli, "validate is not part of this build");
    struct error e = ERROR_IN(cli->arena);
    struct buf warnings = BUF_INIT;
    bool ok = cli->hooks->validate(cli->args, cli->arg_count, format.len > 0 ? format.data : "",
                                   &warnings, &e);
    if (ok && !options->quiet) {
        if (warnings.len > 0)
            fwrite(warnings.data, 1, warnings.len, cli->err);
        cli_out(cli, "Configuration is valid!");
    }
    buf_free(&warnings);
    return ok ? CLI_OK : cli_fail(cli, "Config validation failed: " STR_FMT, STR_ARG(e.text));
}

static const struct flag flags[] = {
    {"config-format", FLAG_STRING, offsetof(struct options, config_format), NULL,
     "Read all files as \"hcl\" or \"json\", whatever their names end in."},
    {"quiet", FLAG_BOOL, offsetof(struct options, quiet), NULL,
     "Say nothing when all is well, not even warnings."},
};

const struct command command_validate = {
    .name = "validate",
    .synopsis = "Checks configuration files",
    .usage = "validate [options] FILE_OR_DIRECTORY...",
    .about = "  Reads configuration files as the agent would and says what is wrong with them, as\n"
             "  far as that can be told without starting. Give all files that the agent gets: a\n"
             "  part of a configuration is seldom valid.\n",
    COMMAND_FLAGS(flags, struct options, NULL),
    .bad_flags_prefix = "",
    .run = run,
};

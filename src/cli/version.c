/* `version` (cli.md 2.29). Scripts look for the peer's text, so that is what is printed; the
 * program's own version is in the form that the peer does not have.
 */
#include "cli/commands.h"

struct options {
    struct str format;
};

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    if (str_is(options->format, "json")) {
        cli_out(cli, "{\n   \"Praetor\": \"" CLI_PRAETOR_VERSION
                     "\",\n   \"Version\": \"" CLI_CONSUL_VERSION "\",");
        cli_out(cli, "   \"Revision\": \"\",\n   \"Prerelease\": \"\",\n   \"RPC\": {\n"
                     "      \"Default\": 2,\n      \"Min\": 2,\n      \"Max\": 3\n   }\n}");
        return CLI_OK;
    }
    if (!str_is(options->format, "pretty"))
        return cli_fail(cli, "Unknown format: " STR_FMT, STR_ARG(options->format));
    cli_out(cli, "Consul v" CLI_CONSUL_VERSION);
    cli_out(cli, "Protocol 2 spoken by default, understands 2 to 3 (agent will automatically use "
                 "protocol >2 when speaking to compatible agents)\n");
    return CLI_OK;
}

static const struct flag flags[] = {
    {"format", FLAG_STRING, offsetof(struct options, format), NULL,
     "Print it as \"pretty\" text or as \"json\"."},
};
static const struct options defaults = {.format = STR_INIT("pretty")};

const struct command command_version = {
    .name = "version",
    .synopsis = "Prints the version",
    .usage = "version [options]",
    .about = "  Prints this program's version, and which versions of the protocol it speaks.\n",
    COMMAND_FLAGS(flags, struct options, &defaults),
    .run = run,
};

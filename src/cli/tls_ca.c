/* `tls ca create` (cli.md 2.28).
 */
#include "cli/commands.h"
#include "cli/tls.h"

struct options {
    int64_t days;
    struct str domain;
    bool constrain;
    struct flag_list more;
};

static const struct options defaults = {.days = 1825, .domain = {"consul", 6}};

static struct certificate_names permitted(const struct options *options, struct arena *arena) {
    if (!options->constrain)
        return (struct certificate_names){NULL, 0};
    size_t len = options->more.len;
    struct str *items = ARENA_ARRAY(arena, struct str, len + 2);
    for (size_t i = 0; i < len; i++)
        items[i] = options->more.items[i];
    items[len] = options->domain;
    items[len + 1] = STR("localhost");
    return (struct certificate_names){items, len + 2};
}

static int run(struct cli *cli, const void *given) {
    const struct options *options = given;
    struct error e = ERROR_IN(cli->arena);
    struct str domain = options->domain;
    struct str paths[] = {str_format(cli->arena, STR_FMT "-agent-ca.pem", STR_ARG(domain)),
                          str_format(cli->arena, STR_FMT "-agent-ca-key.pem", STR_ARG(domain))};
    for (int i = 0; i < 2; i++) {
        if (tls_file_exists(paths[i], cli->arena))
            return cli_fail(cli, STR_FMT " already exists.", STR_ARG(paths[i]));
    }
    struct certificate_pair pair;
    if (!certificate_make_authority(options->days, permitted(options, cli->arena), &pair,
                                    cli->arena, &e))
        return cli_fail(cli, STR_FMT, STR_ARG(e.text));
    return tls_save(cli, paths[0], paths[1], &pair);
}

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
    {"additional-name-constraint", FLAG_LIST, AT(more), NULL,
     "With -name-constraint: another domain that certificates may be for. Can be given several "
     "times."},
    {"days", FLAG_INT, AT(days), NULL, "How many days from now the authority is valid."},
    {"domain", FLAG_STRING, AT(domain), NULL,
     "The agents' domain. It begins the files' names; with -name-constraint it is permitted."},
    {"name-constraint", FLAG_BOOL, AT(constrain), NULL,
     "Make an authority whose certificates are only good for -domain, localhost and what "
     "-additional-name-constraint adds. That cannot be changed later."},
};
#undef AT

const struct command command_tls_ca_create = {
    .name = "tls ca create",
    .synopsis = "Makes an authority",
    .usage = "tls ca create [options]",
    .about =
        "  Makes an authority: its certificate and its key, in two files of this folder. Keep\n"
        "  the key where no agent is.\n\n"
        "      $ consul tls ca create\n"
        "      ==> Saved consul-agent-ca.pem\n"
        "      ==> Saved consul-agent-ca-key.pem\n",
    COMMAND_FLAGS(flags, struct options, &defaults),
    .bad_flags_prefix = "Failed to parse args: ",
    .run = run,
};

/* `info`: an agent's statistics (cli.md 2.13).
 */
#include "base/mem.h"
#include "cli/client.h"
#include "cli/commands.h"

static void print_section(struct cli *cli, const struct value *section) {
    const struct value_pair **pairs = NULL;
    if (section->kind != VALUE_MAP || section->map.len == 0)
        return;
    size_t count = value_sorted_pairs(section, &pairs);
    for (size_t i = 0; i < count; i++) {
        struct str value = pairs[i]->value.kind == VALUE_STRING ? pairs[i]->value.string : STR("");
        cli_out(cli, "\t" STR_FMT " = " STR_FMT, STR_ARG(pairs[i]->key), STR_ARG(value));
    }
    mem_free(pairs);
}

static int run(struct cli *cli, const void *options) {
    (void)options;
    struct client *c = client_open(cli);
    if (c == NULL)
        return CLI_FAILED;
    struct error e = ERROR_IN(cli->arena);
    struct value self;
    bool ok = client_get(c, STR("/v1/agent/self"), &self, cli->arena, &e);
    client_free(c);
    if (!ok)
        return cli_fail(cli, "Error querying agent: " STR_FMT, STR_ARG(e.text));
    const struct value *stats = value_get(&self, "Stats");
    if (stats == NULL || stats->kind != VALUE_MAP)
        return cli_fail(cli, "Agent response did not contain 'Stats' key");
    const struct value_pair **sections = NULL;
    size_t count = stats->map.len > 0 ? value_sorted_pairs(stats, &sections) : 0;
    for (size_t i = 0; i < count; i++) {
        cli_out(cli, STR_FMT ":", STR_ARG(sections[i]->key));
        print_section(cli, &sections[i]->value);
    }
    mem_free(sections);
    return CLI_OK;
}

const struct command command_info = {
    .name = "info",
    .synopsis = "Shows an agent's statistics",
    .usage = "info [options]",
    .about = "  Prints what an agent counts about itself, its gossip and its Raft log.\n",
    .groups = GROUP_CLIENT,
    .run = run,
};

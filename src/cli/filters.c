/* Regular expressions that choose nodes: see filters.h. */
#include "cli/filters.h"
#include "schema/regex.h"

static bool check_one(struct cli *cli, const char *name, struct str pattern) {
    struct error e = ERROR_IN(cli->arena);
    if (pattern.len == 0)
        return true;
    struct regex *regex = regex_compile(pattern, &e);
    if (regex == NULL)
        cli_err(cli, "Failed to compile %s filter regexp: " STR_FMT, name, STR_ARG(e.text));
    regex_free(regex);
    return regex != NULL;
}

bool node_filters_check(struct cli *cli, const struct node_filters *filters) {
    if (!check_one(cli, "node", filters->node) || !check_one(cli, "service", filters->service) ||
        !check_one(cli, "tag", filters->tag))
        return false;
    if (filters->tag.len > 0 && filters->service.len == 0) {
        cli_err(cli, "Cannot provide tag filter without service filter.");
        return false;
    }
    return true;
}

void node_filters_add(const struct node_filters *filters, struct call *call) {
    if (filters->node.len > 0)
        call_param(call, "node", filters->node);
    if (filters->service.len > 0)
        call_param(call, "service", filters->service);
    if (filters->tag.len > 0)
        call_param(call, "tag", filters->tag);
}

/* Which nodes an event or a remote command is for: regular expressions, shared by `event` and
 * `exec`.
 */
#ifndef PRAETOR_CLI_FILTERS_H
#define PRAETOR_CLI_FILTERS_H

#include "cli/client.h"

struct node_filters {
    struct str node, service, tag;
};
/* Says what is wrong. */
bool node_filters_check(struct cli *cli, const struct node_filters *filters);
/* Those that are not empty, as parameters. */
void node_filters_add(const struct node_filters *filters, struct call *call);

#endif

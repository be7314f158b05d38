/* The help of `agent`, which the agent itself prints. For cli.c.
 */
#ifndef PRAETOR_CLI_AGENT_H
#define PRAETOR_CLI_AGENT_H

#include "cli/command.h"

int agent_help(struct cli *cli);

#endif

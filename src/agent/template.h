/* The templates of address values (config.md 1.8): text with actions in double braces, in the
 * language of the peer's text templates, over the addresses of this machine:
 *
 *     {{ GetPrivateInterfaces | include "network" "10.0.0.0/8" | sort "size" | attr "address" }}
 *
 * There are pipelines, parentheses, variables, if, with, range, comments and trimming; not define,
 * template and block, nor methods other than an address's fields.
 */
#ifndef PRAETOR_AGENT_TEMPLATE_H
#define PRAETOR_AGENT_TEMPLATE_H

#include "agent/machine.h"

/* The text with its actions replaced. An error begins with "unable to parse template " or "unable
 * to execute sockaddr input ". The work that a template may ask for is bounded. */
bool template_expand(struct str text, const struct machine *machine, struct str *out,
                     struct arena *arena, struct error *e);

#endif

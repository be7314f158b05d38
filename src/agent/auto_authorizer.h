/* auto_config.authorization of the configuration as servers use it (server/auto_config.h).
 */
#ifndef PRAETOR_AGENT_AUTO_AUTHORIZER_H
#define PRAETOR_AGENT_AUTO_AUTHORIZER_H

#include "agent/config.h"
#include "server/auto_config.h"

/* NULL: it is off. In the arena, with strings of the configuration. */
const struct auto_config_options *auto_authorizer(const struct config *c, struct arena *arena);

#endif

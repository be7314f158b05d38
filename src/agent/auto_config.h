/* auto_config on client agents (tls.md 14), below auto_agent.h.
 */
#ifndef PRAETOR_AGENT_AUTO_CONFIG_H
#define PRAETOR_AGENT_AUTO_CONFIG_H

#include "agent/auto_agent.h"
#include "schema/auto_config.h"

extern const struct auto_mode auto_config_mode;

/* What an earlier life has kept. *found false: nothing. False: it cannot be read. */
bool auto_config_load(struct auto_agent *a, struct auto_material *out, bool *found,
                      struct arena *arena, struct error *e);
/* The file's contents. Strings are views of the text, or in the arena. */
bool auto_config_parse_file(struct str text, struct auto_config_response *out, struct arena *arena,
                            struct error *e);
/* The part of an answer that is configuration (an encoded Config), in the language of
 * configuration files. */
bool auto_config_source(struct str given, struct buf *out, struct error *e);

#endif

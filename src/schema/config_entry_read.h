/* Configuration entries as people write them: the body of PUT /v1/config, a file of `config write`,
 * an item of config_entries.bootstrap (connect.md 1.1). Keys in any letter case and with
 * underscores, values converted weakly, what is unknown told with where it stands.
 */
#ifndef PRAETOR_SCHEMA_CONFIG_ENTRY_READ_H
#define PRAETOR_SCHEMA_CONFIG_ENTRY_READ_H

#include "schema/config_entry.h"

/* value: of JSON or HCL, numbers finite; texts of the entry may point into it. NULL: the peer's
 * text (ERROR_BAD_REQUEST, without the prefixes that callers give). Not normalised, not validated:
 * config_entry_rules.h. */
struct config_entry *config_entry_read(const struct value *value, struct arena *arena,
                                       struct error *e);
/* Another structure by the same rules, but that what is unknown is no error; out: zeroed. */
bool config_read_weakly(struct str text, const struct shape *shape, void *out, struct arena *arena,
                        struct error *e);
/* The first value of a JSON text, which lives as long as the arena. */
struct config_entry *config_entry_read_json(struct str text, struct arena *arena, struct error *e);

#endif

/* What users write in Proxy.Config and the Config of an upstream (connect.md 4.1), read as
 * leniently as the peer does: keys in any letter case, numbers and booleans also as texts. What
 * cannot be read counts as not there; the caller is told, for the log.
 */
#ifndef PRAETOR_XDS_SETTINGS_H
#define PRAETOR_XDS_SETTINGS_H

#include "base/arena.h"
#include "codec/value.h"

struct settings {
    const struct value *config; /* a map, or NULL */
    struct arena *arena;
    bool unreadable; /* set when something was there and could not be read */
};
/* NULL: not there. */
const struct value *setting_get(const struct settings *s, const char *key);
struct str setting_str(struct settings *s, const char *key, struct str otherwise);
int64_t setting_i64(struct settings *s, const char *key, int64_t otherwise);
bool setting_bool(struct settings *s, const char *key);
/* "22s", or nanoseconds. */
int64_t setting_duration(struct settings *s, const char *key, int64_t otherwise);
/* Milliseconds, as a duration in ns; less than 1 is the default. */
int64_t setting_ms(struct settings *s, const char *key, int64_t otherwise);
/* "protocol" in lower case; "": not there. */
struct str setting_protocol(struct settings *s);

#endif

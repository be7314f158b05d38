/* What users write in Proxy.Config and the Config of an upstream (connect.md 4.1), read as
 * leniently as the peer does: keys in any letter case, numbers and booleans also as texts, one
 * value also as a list of it. What cannot be read counts as not there, and is told.
 */
#ifndef PRAETOR_XDS_SETTINGS_H
#define PRAETOR_XDS_SETTINGS_H

#include "base/error.h"
#include "xds/tree.h"

struct settings {
    const struct value *config; /* a map, or NULL */
    struct arena *arena;
    struct trees problems; /* a text for each key that could not be read */
};
/* False: something could not be read, with the peer's text: "1 error(s) decoding:\n\n* …". */
bool settings_are_fine(const struct settings *s, struct error *e);
/* Of the map under a key; its problems are to be given back with settings_leave. */
struct settings settings_enter(struct settings *s, const char *key);
void settings_leave(struct settings *s, const struct settings *inner);

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

/* What discover.c and its providers share. A provider runs on a thread of its own and may wait; it
 * must end within DISCOVER_TIME.
 */
#ifndef PRAETOR_AGENT_DISCOVER_PROVIDER_H
#define PRAETOR_AGENT_DISCOVER_PROVIDER_H

#include "base/error.h"
#include "base/time.h"
#include "schema/schema.h"

#define DISCOVER_TIME (60 * SECOND)
#define DISCOVER_ADDRESSES_MAX 4096
#define DISCOVER_KEYS_MAX 64

/* The keys of an entry. */
struct discover_keys {
    struct str_pair pairs[DISCOVER_KEYS_MAX];
    size_t len;
};
/* The value, or the absent string. */
struct str discover_key(const struct discover_keys *keys, const char *name);
/* "discover: x: missing value", ... Strings are in the arena. */
bool discover_parse(struct str entry, struct discover_keys *out, struct arena *arena,
                    struct error *e);

struct discover_provider {
    const char *name;
    /* *addresses: a list of str in the arena. False: "discover-aws: ...". */
    bool (*find)(const struct discover_keys *keys, struct arena *arena, struct list *addresses,
                 struct error *e);
};
/* Ended by a NULL; sorted by name. */
extern const struct discover_provider *const discover_providers[];

#endif

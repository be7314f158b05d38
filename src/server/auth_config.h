/* The Config of an auth method, which is a free-form map, to a struct by a table of its keys
 * (acl.md 15.3, 15.4). Values are converted weakly, as the peer does: one for a list of one,
 * numbers and booleans for texts.
 */
#ifndef PRAETOR_SERVER_AUTH_CONFIG_H
#define PRAETOR_SERVER_AUTH_CONFIG_H

#include "codec/value.h"
#include "schema/schema.h"

enum auth_config_kind {
    AUTH_CONFIG_TEXT, /* struct str; absent when not set */
    AUTH_CONFIG_LIST, /* struct list of str */
    AUTH_CONFIG_MAP,  /* struct list of str_pair, sorted by key */
    AUTH_CONFIG_TIME, /* int64_t ns */
};

struct auth_config_key {
    const char *name;
    enum auth_config_kind kind;
    size_t offset;
};

/* Fills `out`, which must be zeroed. config: a map, or NULL for an empty one. The keys are known in
 * any case, the exact one wins. All problems are told at once: "error decoding config: 2 error(s)
 * decoding:\n\n* …". Texts may point into config. */
bool auth_config_decode(const struct value *config, const struct auth_config_key *keys,
                        size_t count, void *out, struct arena *arena, struct error *e);

#endif

/* The key/value entry (rpc.md 5.2). Field names are the wire names in snake_case; what is
 * nullable or a map is said beside the field. Each struct X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_KV_H
#define PRAETOR_SCHEMA_KV_H

#include "schema/schema.h"

struct dir_entry {
    uint64_t create_index;
    uint64_t flags;
    struct str key;
    uint64_t lock_index;
    uint64_t modify_index;
    struct str session;
    struct str value;
};

extern const struct shape dir_entry_shape;

#endif

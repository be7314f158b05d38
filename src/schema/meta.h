/* The rules for metadata pairs of nodes and services (http-core.md 11.2), which also prepared
 * queries' filters must keep to. Not the place for where such pairs are kept.
 */
#ifndef PRAETOR_SCHEMA_META_H
#define PRAETOR_SCHEMA_META_H

#include "schema/schema.h"

enum meta_reserved {
    META_RESERVED_REFUSED,      /* no key may begin with "consul-" */
    META_RESERVED_MESH_GATEWAY, /* but consul-wan-federation */
    META_RESERVED_ALLOWED,
};

/* meta: a map, str to str. False (ERROR_INTERNAL) with "Node metadata cannot contain more than 64
 * key/value pairs" or "Couldn't load metadata pair ('k', 'v'): Key cannot be blank". */
bool meta_validate(const struct list *meta, enum meta_reserved reserved, struct error *e);

#endif

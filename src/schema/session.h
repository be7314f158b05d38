/* Sessions (rpc.md 5.2). Field names are the wire names in snake_case; what is
 * nullable or a map is said beside the field. Each struct X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_SESSION_H
#define PRAETOR_SCHEMA_SESSION_H

#include "schema/schema.h"

struct service_check {
    struct str id;
    struct str namespace;
};

struct session {
    struct str behavior;
    struct list checks; /* of str */
    uint64_t create_index;
    struct str id;
    int64_t lock_delay;
    uint64_t modify_index;
    struct str name;
    struct str node;
    struct list node_checks;    /* of str */
    struct list service_checks; /* of struct service_check */
    struct str ttl;
};

extern const struct shape service_check_shape;
extern const struct shape session_shape;

#endif

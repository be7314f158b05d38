/* What is said on a snapshot connection (rpc.md 8) before and after the archive. */
#ifndef PRAETOR_SERVER_SNAPSHOT_WIRE_H
#define PRAETOR_SERVER_SNAPSHOT_WIRE_H

#include "schema/requests.h"

enum snapshot_op { SNAPSHOT_SAVE = 0, SNAPSHOT_RESTORE = 1 };

struct snapshot_request {
    bool allow_stale;
    struct str datacenter;
    int64_t op; /* enum snapshot_op, or whatever came */
    struct str token;
};

struct snapshot_response {
    struct str error;
    struct query_meta meta;
};

extern const struct shape snapshot_request_shape, snapshot_response_shape;

#endif

/* Field tables of the snapshot connection's two objects. */
#include "server/snapshot_wire.h"

#include "schema/table.h"

#define OF struct snapshot_request
static const struct field snapshot_request_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("Token", token),
    F_BOOL("AllowStale", allow_stale),
    F_INT("Op", op),
};
#undef OF
SHAPE(snapshot_request, "SnapshotRequest");

#define OF struct snapshot_response
static const struct field snapshot_response_fields[] = {
    F_STR("Error", error),
    F_FLAT(meta, query_meta),
};
#undef OF
SHAPE(snapshot_response, "SnapshotResponse");

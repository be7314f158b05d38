/* Field tables of key/value entries, sessions and coordinates (http-core.md 11.4, 11.5, 11.7). */
#include "schema/kv.h"

#include "schema/coordinate.h"
#include "schema/session.h"
#include "schema/table.h"

#define OMIT .flags = FIELD_OMIT_EMPTY
#define INDEX .flags = FIELD_NO_FILTER

#define OF struct dir_entry
static const struct field dir_entry_fields[] = {
    F_UINT("LockIndex", lock_index),
    F_STR("Key", key),
    F_UINT("Flags", flags),
    F_BYTES("Value", value),
    F_STR("Session", session, OMIT),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
SHAPE(dir_entry, "DirEntry");

#define OF struct service_check
static const struct field service_check_fields[] = {
    F_STR("ID", id),
    F_STR("Namespace", namespace),
};
#undef OF
SHAPE(service_check, "ServiceCheck");

#define OF struct session
static const struct field session_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_STR("Node", node),
    F_DUR("LockDelay", lock_delay, .flags = FIELD_DUR_ANY),
    F_STR("Behavior", behavior, .go = "structs.SessionBehavior"),
    F_STR("TTL", ttl),
    F_LIST("NodeChecks", node_checks, OF_STR),
    F_LIST("ServiceChecks", service_checks, OF_STRUCT(service_check),
           .go = "[]structs.ServiceCheck"),
    F_LIST("Checks", checks, OF_STR, OMIT, .go = "[]types.CheckID"),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
SHAPE(session, "Session", .flags = SHAPE_OWN_JSON | SHAPE_LENIENT,
      .go = "struct { LockDelay interface {}; *structs.Alias }");

#define OF struct coord
static const struct field coord_fields[] = {
    F_LIST("Vec", vec, OF_F64),
    F_F64("Error", error),
    F_F64("Adjustment", adjustment),
    F_F64("Height", height),
};
#undef OF
SHAPE(coord, "Coordinate", .go = "coordinate.Coordinate");

#define OF struct coordinate
static const struct field coordinate_fields[] = {
    F_STR("Node", node),
    F_STR("Segment", segment),
    F_PTR("Coord", coord, coord),
};
#undef OF
SHAPE(coordinate, "Coordinate");

#define OF struct datacenter_map
static const struct field datacenter_map_fields[] = {
    F_STR("Datacenter", datacenter),
    F_STR("AreaID", area_id, .go = "types.AreaID"),
    F_LIST("Coordinates", coordinates, OF_PTR(coordinate), .go = "structs.Coordinates"),
};
#undef OF
SHAPE(datacenter_map, "DatacenterMap");

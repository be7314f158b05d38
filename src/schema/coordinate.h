/* Network coordinates (rpc.md 5.2). Field names are the wire names in snake_case; what is
 * nullable or a map is said beside the field. Each struct X has a `X_shape`.
 */
#ifndef PRAETOR_SCHEMA_COORDINATE_H
#define PRAETOR_SCHEMA_COORDINATE_H

#include "schema/schema.h"

struct coord {
    double adjustment;
    double error;
    double height;
    struct list vec; /* of double */
};

struct coordinate {
    struct coord *coord; /* or NULL */
    struct str node;
    struct str segment;
};

struct datacenter_map {
    struct str area_id;
    struct list coordinates; /* of struct coordinate * */
    struct str datacenter;
};

extern const struct shape coord_shape;
extern const struct shape coordinate_shape;
extern const struct shape datacenter_map_shape;

#endif

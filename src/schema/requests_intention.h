/* Requests and replies of the endpoints of intentions (rpc.md 6.14). Conventions: requests.h. Each
 * struct X has a `X_shape`. What Apply gets is requests.h's intention_request.
 */
#ifndef PRAETOR_SCHEMA_REQUESTS_INTENTION_H
#define PRAETOR_SCHEMA_REQUESTS_INTENTION_H

#include "schema/connect.h"
#include "schema/requests.h"

struct intention_match_entry {
    struct str name;
    struct str name_space;
};

struct intention_query_match {
    struct list entries; /* of struct intention_match_entry */
    struct str type;     /* "source", "destination" */
};

struct intention_query_check {
    struct str destination_ns;
    struct str destination_name;
    struct str source_ns;
    struct str source_name;
    struct str source_type; /* "consul" */
};

/* Get, Match, Check: each looks at its own. */
struct intention_query_request {
    struct intention_query_check *check; /* or NULL */
    struct str datacenter;
    struct str intention_id;
    struct intention_query_match *match; /* or NULL */
    struct query_options options;
};

struct indexed_intentions {
    struct list intentions; /* of struct intention * */
    struct query_meta meta;
};

struct indexed_intention_matches {
    struct list matches; /* of struct list (nil: none) of struct intention *, one an entry */
    struct query_meta meta;
};

struct intention_query_check_response {
    bool allowed;
};

extern const struct shape intention_match_entry_shape;
extern const struct shape intention_query_match_shape;
extern const struct shape intention_query_check_shape;
extern const struct shape intention_query_request_shape;
extern const struct shape indexed_intentions_shape;
extern const struct shape indexed_intention_matches_shape;
extern const struct shape intention_query_check_response_shape;

#endif

/* Messages between Envoy and the agent that are not resources (connect.md 6.2, 6.7, 6.8): requests
 * for resources, the answers that carry them, and the questions whether connections may be.
 */
#ifndef PRAETOR_XDS_DISCOVERY_H
#define PRAETOR_XDS_DISCOVERY_H

#include "schema/proto.h"

struct semantic_version {
    uint64_t major_number, minor_number, patch;
};
struct build_version {
    struct semantic_version *version; /* or NULL */
};
struct discovery_node {
    struct str id;
    struct str build_version;
    struct str user_agent_name;
    struct build_version *user_agent_build_version; /* or NULL */
};
/* What is looked at of it. */
struct discovery_request {
    struct discovery_node *node; /* or NULL */
    struct str type_url;
    struct str response_nonce;
};
extern const struct proto_message discovery_request_proto;

struct check_peer {
    struct str principal; /* a SPIFFE URI */
};
struct check_attributes {
    struct check_peer *source, *destination; /* or NULL */
};
struct check_request {
    struct check_attributes *attributes; /* or NULL */
};
extern const struct proto_message check_request_proto;

struct check_status {
    int64_t code; /* of gRPC's */
    struct str message;
};
struct check_response {
    struct check_status status;
};
extern const struct proto_message check_response_proto;

#endif

/* Tables of the messages of discovery.h. */
#include "xds/discovery.h"

#include "base/mem.h"

#define AT(type, member) offsetof(struct type, member)
#define MESSAGE(type)                                                                              \
    const struct proto_message type##_proto = {sizeof(struct type), type##_fields,                 \
                                               COUNT_OF(type##_fields)}

static const struct proto_field semantic_version_fields[] = {
    {1, "major_number", PROTO_U64, AT(semantic_version, major_number), NULL},
    {2, "minor_number", PROTO_U64, AT(semantic_version, minor_number), NULL},
    {3, "patch", PROTO_U64, AT(semantic_version, patch), NULL},
};
static MESSAGE(semantic_version);

static const struct proto_field build_version_fields[] = {
    {1, "version", PROTO_PTR, AT(build_version, version), &semantic_version_proto},
};
static MESSAGE(build_version);

static const struct proto_field discovery_node_fields[] = {
    {1, "id", PROTO_STR, AT(discovery_node, id), NULL},
    {5, "build_version", PROTO_STR, AT(discovery_node, build_version), NULL},
    {6, "user_agent_name", PROTO_STR, AT(discovery_node, user_agent_name), NULL},
    {8, "user_agent_build_version", PROTO_PTR, AT(discovery_node, user_agent_build_version),
     &build_version_proto},
};
static MESSAGE(discovery_node);

static const struct proto_field discovery_request_fields[] = {
    {2, "node", PROTO_PTR, AT(discovery_request, node), &discovery_node_proto},
    {4, "type_url", PROTO_STR, AT(discovery_request, type_url), NULL},
    {5, "response_nonce", PROTO_STR, AT(discovery_request, response_nonce), NULL},
};
MESSAGE(discovery_request);

static const struct proto_field check_peer_fields[] = {
    {4, "principal", PROTO_STR, AT(check_peer, principal), NULL},
};
static MESSAGE(check_peer);

static const struct proto_field check_attributes_fields[] = {
    {1, "source", PROTO_PTR, AT(check_attributes, source), &check_peer_proto},
    {2, "destination", PROTO_PTR, AT(check_attributes, destination), &check_peer_proto},
};
static MESSAGE(check_attributes);

static const struct proto_field check_request_fields[] = {
    {1, "attributes", PROTO_PTR, AT(check_request, attributes), &check_attributes_proto},
};
MESSAGE(check_request);

static const struct proto_field check_status_fields[] = {
    {1, "code", PROTO_I32, AT(check_status, code), NULL},
    {2, "message", PROTO_STR, AT(check_status, message), NULL},
};
static MESSAGE(check_status);

static const struct proto_field check_response_fields[] = {
    {1, "status", PROTO_INLINE, AT(check_response, status), &check_status_proto},
};
MESSAGE(check_response);

/* Field tables of intentions (connect.md 2.1), the certificate authority (agent.md 1.14) and
 * federation states (http-core.md 11.14). */
#include "schema/connect.h"

#include "schema/catalog.h"
#include "schema/table.h"

#define OMIT .flags = FIELD_OMIT_EMPTY
#define HIDDEN .flags = FIELD_NO_JSON
#define INDEX .flags = FIELD_NO_FILTER

/* JSON in: what the caller says of Hash and the two times is dropped. */
#define OF struct intention
static const struct field intention_fields[] = {
    F_STR("ID", id),
    F_STR("Description", description),
    F_STR("SourceNS", source_ns),
    F_STR("SourceName", source_name),
    F_STR("DestinationNS", destination_ns),
    F_STR("DestinationName", destination_name),
    F_STR("SourceType", source_type, .go = "structs.IntentionSourceType"),
    F_STR("Action", action, .go = "structs.IntentionAction"),
    F_STR("DefaultAddr", default_addr),
    F_INT("DefaultPort", default_port),
    F_MAP("Meta", meta, OF_STR),
    F_INT("Precedence", precedence),
    F_TIME("CreatedAt", created_at, INDEX),
    F_TIME("UpdatedAt", updated_at, INDEX),
    F_BYTES("Hash", hash, INDEX),
    F_UINT("CreateIndex", create_index, INDEX),
    F_UINT("ModifyIndex", modify_index, INDEX),
};
#undef OF
static const struct json_alias intention_aliases[] = {
    {"Hash", NULL},
    {"CreatedAt", NULL},
    {"UpdatedAt", NULL},
    {NULL, NULL},
};
SHAPE(intention, "Intention", .flags = SHAPE_OWN_JSON, .aliases = intention_aliases,
      .go = "struct { Hash string; CreatedAt string; UpdatedAt string; *structs.Alias }");

#define OF struct ca_root
static const struct field ca_root_fields[] = {
    F_STR("ID", id),
    F_STR("Name", name),
    F_UINT("SerialNumber", serial_number),
    F_STR("SigningKeyID", signing_key_id),
    F_STR("ExternalTrustDomain", external_trust_domain),
    F_TIME("NotBefore", not_before),
    F_TIME("NotAfter", not_after),
    F_STR("RootCert", root_cert),
    F_LIST("IntermediateCerts", intermediate_certs, OF_STR),
    F_STR("SigningCert", signing_cert, HIDDEN),
    F_STR("SigningKey", signing_key, HIDDEN),
    F_BOOL("Active", active),
    F_TIME("RotatedOutAt", rotated_out_at, HIDDEN),
    F_STR("PrivateKeyType", private_key_type),
    F_INT("PrivateKeyBits", private_key_bits),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(ca_root, "CARoot");

#define OF struct ca_configuration
static const struct field ca_configuration_fields[] = {
    F_STR("ClusterID", cluster_id, HIDDEN),
    F_STR("Provider", provider),
    F_ANY("Config", config, .flags = FIELD_MAP_ONLY),
    F_MAP("State", state, OF_STR),
    F_BOOL("ForceWithoutCrossSigning", force_without_cross_signing),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(ca_configuration, "CAConfiguration");

#define OF struct issued_cert
static const struct field issued_cert_fields[] = {
    F_STR("SerialNumber", serial_number),
    F_STR("CertPEM", cert_pem),
    F_STR("PrivateKeyPEM", private_key_pem, OMIT),
    F_STR("Service", service, OMIT),
    F_STR("ServiceURI", service_uri, OMIT),
    F_STR("Agent", agent, OMIT),
    F_STR("AgentURI", agent_uri, OMIT),
    F_TIME("ValidAfter", valid_after),
    F_TIME("ValidBefore", valid_before),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(issued_cert, "IssuedCert");

#define OF struct ca_consul_provider_state
static const struct field ca_consul_provider_state_fields[] = {
    F_STR("ID", id),
    F_STR("PrivateKey", private_key),
    F_STR("RootCert", root_cert),
    F_STR("IntermediateCert", intermediate_cert),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(ca_consul_provider_state, "CAConsulProviderState");

#define OF struct federation_state
static const struct field federation_state_fields[] = {
    F_STR("Datacenter", datacenter),
    F_LIST("MeshGateways", mesh_gateways, OF_STRUCT(check_service_node), OMIT),
    F_TIME("UpdatedAt", updated_at),
    F_UINT("PrimaryModifyIndex", primary_modify_index),
    F_UINT("CreateIndex", create_index),
    F_UINT("ModifyIndex", modify_index),
};
#undef OF
SHAPE(federation_state, "FederationState");

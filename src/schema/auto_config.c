/* The tables of AutoConfig's messages. */
#include "schema/auto_config.h"

#include "base/mem.h"

#define F(number_, name_, kind_, member)                                                           \
    { .number = (number_), .name = (name_), .kind = (kind_), .offset = offsetof(OF, member) }
#define F_MESSAGE(number_, name_, kind_, member, message_)                                         \
    {                                                                                              \
        .number = (number_), .name = (name_), .kind = (kind_), .offset = offsetof(OF, member),     \
        .message = &message_##_proto                                                               \
    }
/* A message of the wire whose fields are the struct's own. */
#define F_OWN(number_, name_, message_)                                                            \
    { .number = (number_), .name = (name_), .kind = PROTO_INLINE, .message = &message_##_proto }
#define PROTO(item) PROTO_OF(item, static)
#define PROTO_OF(item, linkage)                                                                    \
    linkage const struct proto_message item##_proto = {                                            \
        .size = sizeof(OF), .fields = item##_proto_fields, .count = COUNT_OF(item##_proto_fields)}

#define OF struct auto_config_request
static const struct proto_field auto_config_request_proto_fields[] = {
    F(1, "Datacenter", PROTO_STR, datacenter),    F(2, "Node", PROTO_STR, node),
    F(4, "Segment", PROTO_STR, segment),          F(5, "JWT", PROTO_STR, jwt),
    F(6, "ConsulToken", PROTO_STR, consul_token), F(7, "CSR", PROTO_STR, csr),
};
PROTO_OF(auto_config_request, );
#undef OF

#define OF struct auto_config_provider_token
static const struct proto_field provider_token_proto_fields[] = {
    F(1, "AccessorID", PROTO_STR, accessor_id),
    F(2, "SecretID", PROTO_STR, secret_id),
};
PROTO(provider_token);
#undef OF

#define OF struct auto_config_tokens
static const struct proto_field tokens_proto_fields[] = {
    F(1, "Master", PROTO_STR, master),
    F(2, "Replication", PROTO_STR, replication),
    F(3, "AgentMaster", PROTO_STR, agent_master),
    F(4, "Default", PROTO_STR, default_token),
    F(5, "Agent", PROTO_STR, agent),
    F_MESSAGE(6, "ManagedServiceProvider", PROTO_PTRS, managed, provider_token),
};
PROTO(tokens);
#undef OF

#define OF struct auto_config_acl
static const struct proto_field acl_proto_fields[] = {
    F(1, "Enabled", PROTO_BOOL, enabled),
    F(2, "PolicyTTL", PROTO_STR, policy_ttl),
    F(3, "RoleTTL", PROTO_STR, role_ttl),
    F(4, "TokenTTL", PROTO_STR, token_ttl),
    F(5, "DownPolicy", PROTO_STR, down_policy),
    F(6, "DefaultPolicy", PROTO_STR, default_policy),
    F(7, "EnableKeyListPolicy", PROTO_BOOL, enable_key_list_policy),
    F_MESSAGE(8, "Tokens", PROTO_PTR, tokens, tokens),
    F(9, "DisabledTTL", PROTO_STR, disabled_ttl),
    F(10, "EnableTokenPersistence", PROTO_BOOL, enable_token_persistence),
    F(11, "MSPDisableBootstrap", PROTO_BOOL, msp_disable_bootstrap),
};
PROTO(acl);
#undef OF

#define OF struct auto_config_auto_encrypt
static const struct proto_field auto_encrypt_proto_fields[] = {
    F(1, "TLS", PROTO_BOOL, tls),
    F(2, "DNSSAN", PROTO_STRS, dns_san),
    F(3, "IPSAN", PROTO_STRS, ip_san),
    F(4, "AllowTLS", PROTO_BOOL, allow_tls),
};
PROTO(auto_encrypt);
#undef OF

#define OF struct auto_config_encryption
static const struct proto_field encryption_proto_fields[] = {
    F(1, "Key", PROTO_STR, key),
    F(2, "VerifyIncoming", PROTO_BOOL, verify_incoming),
    F(3, "VerifyOutgoing", PROTO_BOOL, verify_outgoing),
};
PROTO(encryption);
#undef OF

#define OF struct auto_config_gossip
static const struct proto_field gossip_proto_fields[] = {
    F_MESSAGE(1, "Encryption", PROTO_PTR, encryption, encryption),
    F(2, "RetryJoinLAN", PROTO_STRS, retry_join_lan),
};
PROTO(gossip);
#undef OF

#define OF struct auto_config_tls
static const struct proto_field tls_proto_fields[] = {
    F(1, "VerifyOutgoing", PROTO_BOOL, verify_outgoing),
    F(2, "VerifyServerHostname", PROTO_BOOL, verify_server_hostname),
    F(3, "CipherSuites", PROTO_STR, cipher_suites),
    F(4, "MinVersion", PROTO_STR, min_version),
    F(5, "PreferServerCipherSuites", PROTO_BOOL, prefer_server_cipher_suites),
};
PROTO(tls);
#undef OF

#define OF struct auto_config_config
static const struct proto_field auto_config_config_proto_fields[] = {
    F(1, "Datacenter", PROTO_STR, datacenter),
    F(2, "PrimaryDatacenter", PROTO_STR, primary_datacenter),
    F(3, "NodeName", PROTO_STR, node_name),
    F(4, "SegmentName", PROTO_STR, segment_name),
    F_MESSAGE(5, "ACL", PROTO_PTR, acl, acl),
    F_MESSAGE(6, "AutoEncrypt", PROTO_PTR, auto_encrypt, auto_encrypt),
    F_MESSAGE(7, "Gossip", PROTO_PTR, gossip, gossip),
    F_MESSAGE(8, "TLS", PROTO_PTR, tls, tls),
};
PROTO_OF(auto_config_config, );
#undef OF

#define OF struct ca_root
static const struct proto_field root_index_proto_fields[] = {
    F(1, "CreateIndex", PROTO_U64, create_index),
    F(2, "ModifyIndex", PROTO_U64, modify_index),
};
PROTO(root_index);
static const struct proto_field root_proto_fields[] = {
    F(1, "ID", PROTO_STR, id),
    F(2, "Name", PROTO_STR, name),
    F(3, "SerialNumber", PROTO_U64, serial_number),
    F(4, "SigningKeyID", PROTO_STR, signing_key_id),
    F(5, "ExternalTrustDomain", PROTO_STR, external_trust_domain),
    F(6, "NotBefore", PROTO_TIME, not_before),
    F(7, "NotAfter", PROTO_TIME, not_after),
    F(8, "RootCert", PROTO_STR, root_cert),
    F(9, "IntermediateCerts", PROTO_STRS, intermediate_certs),
    F(10, "SigningCert", PROTO_STR, signing_cert),
    F(11, "SigningKey", PROTO_STR, signing_key),
    F(12, "Active", PROTO_BOOL, active),
    F(13, "RotatedOutAt", PROTO_TIME, rotated_out_at),
    F(14, "PrivateKeyType", PROTO_STR, private_key_type),
    F(15, "PrivateKeyBits", PROTO_I32, private_key_bits),
    F_OWN(16, "RaftIndex", root_index),
};
PROTO(root);
#undef OF

#define OF struct query_meta
static const struct proto_field meta_proto_fields[] = {
    F(1, "Index", PROTO_U64, index),
    F(2, "LastContact", PROTO_DUR, last_contact),
    F(3, "KnownLeader", PROTO_BOOL, known_leader),
    F(4, "ConsistencyLevel", PROTO_STR, consistency_level),
};
PROTO(meta);
#undef OF

#define OF struct indexed_ca_roots
static const struct proto_field roots_proto_fields[] = {
    F(1, "ActiveRootID", PROTO_STR, active_root_id),
    F(2, "TrustDomain", PROTO_STR, trust_domain),
    F_MESSAGE(3, "Roots", PROTO_PTRS, roots, root),
    F_MESSAGE(4, "QueryMeta", PROTO_INLINE, meta, meta),
};
PROTO(roots);
#undef OF

#define OF struct issued_cert
static const struct proto_field certificate_index_proto_fields[] = {
    F(1, "CreateIndex", PROTO_U64, create_index),
    F(2, "ModifyIndex", PROTO_U64, modify_index),
};
PROTO(certificate_index);
static const struct proto_message enterprise_proto = {.size = sizeof(OF)};
static const struct proto_field certificate_proto_fields[] = {
    F(1, "SerialNumber", PROTO_STR, serial_number),
    F(2, "CertPEM", PROTO_STR, cert_pem),
    F(3, "PrivateKeyPEM", PROTO_STR, private_key_pem),
    F(4, "Service", PROTO_STR, service),
    F(5, "ServiceURI", PROTO_STR, service_uri),
    F(6, "Agent", PROTO_STR, agent),
    F(7, "AgentURI", PROTO_STR, agent_uri),
    F(8, "ValidAfter", PROTO_TIME, valid_after),
    F(9, "ValidBefore", PROTO_TIME, valid_before),
    F_OWN(10, "EnterpriseMeta", enterprise),
    F_OWN(11, "RaftIndex", certificate_index),
};
PROTO(certificate);
#undef OF

#define OF struct auto_config_response
static const struct proto_field auto_config_response_proto_fields[] = {
    F_MESSAGE(1, "Config", PROTO_PTR, config, auto_config_config),
    F_MESSAGE(2, "CARoots", PROTO_PTR, roots, roots),
    F_MESSAGE(3, "Certificate", PROTO_PTR, certificate, certificate),
    F(4, "ExtraCACertificates", PROTO_STRS, extra_certificates),
};
PROTO_OF(auto_config_response, );
#undef OF

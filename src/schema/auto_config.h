/* AutoConfig's messages (rpc.md 6.17, tls.md 14): what a new agent says of itself, and what it
 * gets: a part of its configuration, its certificate, and whom to believe.
 */
#ifndef PRAETOR_SCHEMA_AUTO_CONFIG_H
#define PRAETOR_SCHEMA_AUTO_CONFIG_H

#include "schema/proto.h"
#include "schema/requests_connect.h"

struct auto_config_request {
    struct str datacenter, node, segment, jwt, consul_token, csr;
};

struct auto_config_provider_token {
    struct str accessor_id, secret_id;
};
struct auto_config_tokens {
    struct str master, replication, agent_master, default_token, agent;
    struct list managed; /* of struct auto_config_provider_token * */
};
struct auto_config_acl {
    bool enabled, enable_key_list_policy, enable_token_persistence, msp_disable_bootstrap;
    struct str policy_ttl, role_ttl, token_ttl, disabled_ttl, down_policy, default_policy;
    struct auto_config_tokens *tokens;
};
struct auto_config_auto_encrypt {
    bool tls, allow_tls;
    struct list dns_san, ip_san;
};
struct auto_config_encryption {
    struct str key;
    bool verify_incoming, verify_outgoing;
};
struct auto_config_gossip {
    struct auto_config_encryption *encryption;
    struct list retry_join_lan;
};
struct auto_config_tls {
    bool verify_outgoing, verify_server_hostname, prefer_server_cipher_suites;
    struct str cipher_suites, min_version;
};
struct auto_config_config {
    struct str datacenter, primary_datacenter, node_name, segment_name;
    struct auto_config_acl *acl;
    struct auto_config_auto_encrypt *auto_encrypt;
    struct auto_config_gossip *gossip;
    struct auto_config_tls *tls;
};

struct auto_config_response {
    struct auto_config_config *config;
    struct indexed_ca_roots *roots;
    struct issued_cert *certificate;
    struct list extra_certificates; /* of str: PEM */
};

extern const struct proto_message auto_config_request_proto, auto_config_response_proto,
    auto_config_config_proto;

#endif

/* Every key of the configuration (config.md 3): its type and where its value goes. A new key is one
 * line. What needs more than its value put in place is built by config_build.c.
 */
#include "agent/config_table.h"

#include "base/mem.h"

#define AT(member) (ptrdiff_t) offsetof(struct config, member)
#define IN(type, member) (ptrdiff_t) offsetof(struct type, member)
#define KEYS(array) array, COUNT_OF(array)
#define NOWHERE CONFIG_NOWHERE

/* ---- checks and services ---- */

static const struct config_key check_keys[] = {
    {"alias_node", CONFIG_STR, IN(config_check, type.alias_node)},
    {"alias_service", CONFIG_STR, IN(config_check, type.alias_service)},
    {"args", CONFIG_STRS, IN(config_check, type.script_args)},
    {"body", CONFIG_STR, IN(config_check, type.body)},
    {"deregister_critical_service_after", CONFIG_DUR,
     IN(config_check, type.deregister_critical_service_after)},
    {"docker_container_id", CONFIG_STR, IN(config_check, type.docker_container_id)},
    {"failures_before_critical", CONFIG_INT, IN(config_check, type.failures_before_critical)},
    {"grpc", CONFIG_STR, IN(config_check, type.grpc)},
    {"grpc_use_tls", CONFIG_BOOL, IN(config_check, type.grpc_use_tls)},
    {"header", CONFIG_LISTS, IN(config_check, type.header)},
    {"http", CONFIG_STR, IN(config_check, type.http)},
    {"id", CONFIG_STR, IN(config_check, type.check_id)},
    {"interval", CONFIG_DUR, IN(config_check, type.interval)},
    {"method", CONFIG_STR, IN(config_check, type.method)},
    {"name", CONFIG_STR, IN(config_check, type.name)},
    {"notes", CONFIG_STR, IN(config_check, type.notes)},
    {"output_max_size", CONFIG_INT, IN(config_check, type.output_max_size)},
    {"service_id", CONFIG_STR, IN(config_check, service_id)},
    {"shell", CONFIG_STR, IN(config_check, type.shell)},
    {"status", CONFIG_STR, IN(config_check, type.status)},
    {"success_before_passing", CONFIG_INT, IN(config_check, type.success_before_passing)},
    {"tcp", CONFIG_STR, IN(config_check, type.tcp)},
    {"timeout", CONFIG_DUR, IN(config_check, type.timeout)},
    {"tls_skip_verify", CONFIG_BOOL, IN(config_check, type.tls_skip_verify)},
    {"token", CONFIG_STR, IN(config_check, token)},
    {"ttl", CONFIG_DUR, IN(config_check, type.ttl)},
};
static const struct config_alias check_aliases[] = {
    {"serviceid", "service_id"},
    {"scriptargs", "args"},
    {"dockercontainerid", "docker_container_id"},
    {"tlsskipverify", "tls_skip_verify"},
    {"deregistercriticalserviceafter", "deregister_critical_service_after"},
};
static void check_init(void *object) {
    struct config_check *check = object;
    check->type.output_max_size = 4096;
}
const struct config_block config_check_block = {KEYS(check_keys), sizeof(struct config_check),
                                                check_init, KEYS(check_aliases), true};

static const struct config_key address_keys[] = {
    {"address", CONFIG_STR, IN(service_address, address)},
    {"port", CONFIG_INT, IN(service_address, port)},
};
static const struct config_block address_block = {KEYS(address_keys),
                                                  sizeof(struct service_address)};

static const struct config_key weights_keys[] = {
    {"passing", CONFIG_INT, IN(weights, passing)},
    {"warning", CONFIG_INT, IN(weights, warning)},
};
static void weights_init(void *object) {
    *(struct weights *)object = (struct weights){1, 1};
}
static const struct config_block weights_block = {KEYS(weights_keys), sizeof(struct weights),
                                                  weights_init};

static const struct config_key gateway_keys[] = {
    {"mode", CONFIG_STR, IN(mesh_gateway_config, mode)},
};
static const struct config_block gateway_block = {KEYS(gateway_keys),
                                                  sizeof(struct mesh_gateway_config)};

static const struct config_key path_keys[] = {
    {"listener_port", CONFIG_INT, IN(expose_path, listener_port)},
    {"local_path_port", CONFIG_INT, IN(expose_path, local_path_port)},
    {"path", CONFIG_STR, IN(expose_path, path)},
    {"protocol", CONFIG_STR, IN(expose_path, protocol)},
};
static const struct config_block path_block = {KEYS(path_keys), sizeof(struct expose_path)};

static const struct config_key expose_keys[] = {
    {"checks", CONFIG_BOOL, IN(expose_config, checks)},
    {"paths", CONFIG_BLOCKS, IN(expose_config, paths), 0, &path_block},
    {"port", CONFIG_INT, NOWHERE},
};
static const struct config_block expose_block = {KEYS(expose_keys), sizeof(struct expose_config)};

static const struct config_key upstream_keys[] = {
    {"config", CONFIG_FREE, IN(upstream, config)},
    {"datacenter", CONFIG_STR, IN(upstream, datacenter)},
    {"destination_name", CONFIG_STR, IN(upstream, destination_name)},
    {"destination_namespace", CONFIG_STR, IN(upstream, destination_namespace)},
    {"destination_type", CONFIG_STR, IN(upstream, destination_type)},
    {"local_bind_address", CONFIG_STR, IN(upstream, local_bind_address)},
    {"local_bind_port", CONFIG_INT, IN(upstream, local_bind_port)},
    {"mesh_gateway", CONFIG_BLOCK, IN(upstream, mesh_gateway), KEY_TWICE, &gateway_block},
};
static void upstream_init(void *object) {
    ((struct upstream *)object)->destination_type = STR("service");
}
static const struct config_block upstream_block = {KEYS(upstream_keys), sizeof(struct upstream),
                                                   upstream_init};

static const struct config_key proxy_keys[] = {
    {"config", CONFIG_FREE, IN(connect_proxy_config, config)},
    {"destination_service_id", CONFIG_STR, IN(connect_proxy_config, destination_service_id)},
    {"destination_service_name", CONFIG_STR, IN(connect_proxy_config, destination_service_name)},
    {"expose", CONFIG_BLOCK, IN(connect_proxy_config, expose), KEY_TWICE, &expose_block},
    {"local_service_address", CONFIG_STR, IN(connect_proxy_config, local_service_address)},
    {"local_service_port", CONFIG_INT, IN(connect_proxy_config, local_service_port)},
    {"mesh_gateway", CONFIG_BLOCK, IN(connect_proxy_config, mesh_gateway), KEY_TWICE,
     &gateway_block},
    {"upstreams", CONFIG_BLOCKS, IN(connect_proxy_config, upstreams), 0, &upstream_block},
};
static const struct config_block proxy_block = {KEYS(proxy_keys),
                                                sizeof(struct connect_proxy_config)};

static const struct config_key service_connect_keys[] = {
    {"native", CONFIG_BOOL, IN(service_connect, native)},
    {"sidecar_service", CONFIG_BLOCK, IN(service_connect, sidecar_service), KEY_POINTER,
     &config_service_block},
};
static const struct config_block service_connect_block = {KEYS(service_connect_keys),
                                                          sizeof(struct service_connect)};

/* check and checks are built by code: they become one list, and a service may have a check without
 * any key. */
static const struct config_key service_keys[] = {
    {"address", CONFIG_STR, IN(service_definition, address)},
    {"check", CONFIG_BLOCK, NOWHERE, KEY_TWICE, &config_check_block},
    {"checks", CONFIG_BLOCKS, NOWHERE, 0, &config_check_block},
    {"connect", CONFIG_BLOCK, IN(service_definition, connect), KEY_POINTER, &service_connect_block},
    {"enable_tag_override", CONFIG_BOOL, IN(service_definition, enable_tag_override)},
    {"id", CONFIG_STR, IN(service_definition, id)},
    {"kind", CONFIG_STR, IN(service_definition, kind)},
    {"meta", CONFIG_MAP, IN(service_definition, meta)},
    {"name", CONFIG_STR, IN(service_definition, name)},
    {"port", CONFIG_INT, IN(service_definition, port)},
    {"proxy", CONFIG_BLOCK, IN(service_definition, proxy), KEY_POINTER, &proxy_block},
    {"tagged_addresses", CONFIG_BLOCK_MAP, IN(service_definition, tagged_addresses), 0,
     &address_block},
    {"tags", CONFIG_STRS, IN(service_definition, tags)},
    {"token", CONFIG_STR, IN(service_definition, token)},
    {"weights", CONFIG_BLOCK, IN(service_definition, weights), KEY_POINTER, &weights_block},
};
const struct config_block config_service_block = {KEYS(service_keys),
                                                  sizeof(struct service_definition)};

/* ---- blocks of the top level ---- */

static const struct config_key addresses_keys[] = {
    {"dns", CONFIG_STR, NOWHERE},
    {"grpc", CONFIG_STR, NOWHERE},
    {"http", CONFIG_STR, NOWHERE},
    {"https", CONFIG_STR, NOWHERE},
};
static const struct config_block addresses_block = {KEYS(addresses_keys)};

static const struct config_key ports_keys[] = {
    {"dns", CONFIG_INT, NOWHERE},
    {"expose_max_port", CONFIG_INT, NOWHERE},
    {"expose_min_port", CONFIG_INT, NOWHERE},
    {"grpc", CONFIG_INT, NOWHERE},
    {"http", CONFIG_INT, NOWHERE},
    {"https", CONFIG_INT, NOWHERE},
    {"proxy_max_port", CONFIG_INT, NOWHERE},
    {"proxy_min_port", CONFIG_INT, NOWHERE},
    {"serf_lan", CONFIG_INT, NOWHERE},
    {"serf_wan", CONFIG_INT, NOWHERE},
    {"server", CONFIG_INT, NOWHERE},
    {"sidecar_max_port", CONFIG_INT, NOWHERE},
    {"sidecar_min_port", CONFIG_INT, NOWHERE},
};
static const struct config_block ports_block = {KEYS(ports_keys)};

static const struct config_key msp_keys[] = {
    {"accessor_id", CONFIG_STR, NOWHERE},
    {"secret_id", CONFIG_STR, NOWHERE},
};
static const struct config_block msp_block = {KEYS(msp_keys)};
static const struct config_key acl_tokens_keys[] = {
    {"agent", CONFIG_STR, NOWHERE},
    {"agent_master", CONFIG_STR, NOWHERE},
    {"default", CONFIG_STR, NOWHERE},
    {"managed_service_provider", CONFIG_BLOCKS, NOWHERE, KEY_ENTERPRISE, &msp_block},
    {"master", CONFIG_STR, NOWHERE},
    {"replication", CONFIG_STR, NOWHERE},
};
static const struct config_block acl_tokens_block = {KEYS(acl_tokens_keys)};
static const struct config_key acl_keys[] = {
    {"default_policy", CONFIG_STR, NOWHERE},
    {"disabled_ttl", CONFIG_DUR, AT(acl.disabled_ttl)},
    {"down_policy", CONFIG_STR, NOWHERE},
    {"enable_key_list_policy", CONFIG_BOOL, NOWHERE},
    {"enable_token_persistence", CONFIG_BOOL, AT(acl.enable_token_persistence)},
    {"enable_token_replication", CONFIG_BOOL, NOWHERE},
    {"enabled", CONFIG_BOOL, NOWHERE},
    {"msp_disable_bootstrap", CONFIG_BOOL, NOWHERE, KEY_ENTERPRISE},
    {"policy_ttl", CONFIG_DUR, AT(acl.policy_ttl)},
    {"role_ttl", CONFIG_DUR, AT(acl.role_ttl)},
    {"token_ttl", CONFIG_DUR, AT(acl.token_ttl)},
    {"tokens", CONFIG_BLOCK, NOWHERE, 0, &acl_tokens_block},
};
static const struct config_block acl_block = {KEYS(acl_keys)};

static const struct config_key audit_sink_keys[] = {
    {"delivery_guarantee", CONFIG_STR, NOWHERE},
    {"format", CONFIG_STR, NOWHERE},
    {"name", CONFIG_STR, NOWHERE},
    {"path", CONFIG_STR, NOWHERE},
    {"rotate_bytes", CONFIG_INT, NOWHERE},
    {"rotate_duration", CONFIG_STR, NOWHERE},
    {"rotate_max_files", CONFIG_INT, NOWHERE},
    {"type", CONFIG_STR, NOWHERE},
};
static const struct config_block audit_sink_block = {KEYS(audit_sink_keys)};
static const struct config_key audit_keys[] = {
    {"enabled", CONFIG_BOOL, NOWHERE},
    {"sink", CONFIG_BLOCK_MAP, NOWHERE, 0, &audit_sink_block},
};
static const struct config_block audit_block = {KEYS(audit_keys)};

#define OF_AUTHORIZER(member) AT(auto_config.authorizer.member)
static const struct config_key static_keys[] = {
    {"allow_reuse", CONFIG_BOOL, OF_AUTHORIZER(allow_reuse)},
    {"bound_audiences", CONFIG_STRS, OF_AUTHORIZER(bound_audiences)},
    {"bound_issuer", CONFIG_STR, OF_AUTHORIZER(bound_issuer)},
    {"claim_assertions", CONFIG_STRS, OF_AUTHORIZER(claim_assertions)},
    {"claim_mappings", CONFIG_MAP, OF_AUTHORIZER(claim_mappings)},
    {"clock_skew_leeway", CONFIG_DUR, OF_AUTHORIZER(clock_skew_leeway)},
    {"expiration_leeway", CONFIG_DUR, OF_AUTHORIZER(expiration_leeway)},
    {"jwks_ca_cert", CONFIG_STR, OF_AUTHORIZER(jwks_ca)},
    {"jwks_url", CONFIG_STR, OF_AUTHORIZER(jwks_url)},
    {"jwt_supported_algs", CONFIG_STRS, OF_AUTHORIZER(supported_algorithms)},
    {"jwt_validation_pub_keys", CONFIG_STRS, OF_AUTHORIZER(public_keys)},
    {"list_claim_mappings", CONFIG_MAP, OF_AUTHORIZER(list_claim_mappings)},
    {"not_before_leeway", CONFIG_DUR, OF_AUTHORIZER(not_before_leeway)},
    {"oidc_discovery_ca_cert", CONFIG_STR, OF_AUTHORIZER(discovery_ca)},
    {"oidc_discovery_url", CONFIG_STR, OF_AUTHORIZER(discovery_url)},
};
static const struct config_block static_block = {KEYS(static_keys)};
static const struct config_key authorization_keys[] = {
    {"enabled", CONFIG_BOOL, AT(auto_config.authorizer_enabled)},
    {"static", CONFIG_BLOCK, NOWHERE, 0, &static_block},
};
static const struct config_block authorization_block = {KEYS(authorization_keys)};
static const struct config_key auto_config_keys[] = {
    {"authorization", CONFIG_BLOCK, NOWHERE, 0, &authorization_block},
    {"dns_sans", CONFIG_STRS, AT(auto_config.dns_sans)},
    {"enabled", CONFIG_BOOL, AT(auto_config.enabled)},
    {"intro_token", CONFIG_STR, AT(auto_config.intro_token)},
    {"intro_token_file", CONFIG_STR, AT(auto_config.intro_token_file)},
    {"ip_sans", CONFIG_STRS, AT(auto_config.ip_sans)},
    {"server_addresses", CONFIG_STRS, AT(auto_config.server_addresses)},
};
static const struct config_block auto_config_block = {KEYS(auto_config_keys)};

static const struct config_key auto_encrypt_keys[] = {
    {"allow_tls", CONFIG_BOOL, AT(auto_encrypt_allow_tls)},
    {"dns_san", CONFIG_STRS, AT(auto_encrypt_dns_san)},
    {"ip_san", CONFIG_STRS, AT(auto_encrypt_ip_san)},
    {"tls", CONFIG_BOOL, AT(auto_encrypt_tls)},
};
static const struct config_block auto_encrypt_block = {KEYS(auto_encrypt_keys)};

static const struct config_key autopilot_keys[] = {
    {"cleanup_dead_servers", CONFIG_BOOL, AT(autopilot.cleanup_dead_servers)},
    {"disable_upgrade_migration", CONFIG_BOOL, AT(autopilot.disable_upgrade_migration),
     KEY_ENTERPRISE},
    {"last_contact_threshold", CONFIG_DUR, AT(autopilot.last_contact_threshold)},
    {"max_trailing_logs", CONFIG_INT, AT(autopilot.max_trailing_logs)},
    {"min_quorum", CONFIG_UINT, AT(autopilot.min_quorum)},
    {"redundancy_zone_tag", CONFIG_STR, AT(autopilot.redundancy_zone_tag), KEY_ENTERPRISE},
    {"server_stabilization_time", CONFIG_DUR, AT(autopilot.server_stabilization_time)},
    {"upgrade_version_tag", CONFIG_STR, AT(autopilot.upgrade_version_tag), KEY_ENTERPRISE},
};
static const struct config_block autopilot_block = {KEYS(autopilot_keys)};

static const struct config_key cache_keys[] = {
    {"entry_fetch_max_burst", CONFIG_INT, AT(cache_entry_fetch_max_burst), KEY_LATER},
    {"entry_fetch_rate", CONFIG_FLOAT, AT(cache_entry_fetch_rate), KEY_LATER},
};
static const struct config_block cache_block = {KEYS(cache_keys)};

static const struct config_key config_entries_keys[] = {
    {"bootstrap", CONFIG_FREES, AT(config_entry_bootstrap)},
};
static const struct config_block config_entries_block = {KEYS(config_entries_keys)};

static const struct config_key connect_keys[] = {
    {"ca_config", CONFIG_FREE, NOWHERE},
    {"ca_provider", CONFIG_STR, AT(connect_ca_provider)},
    {"enable_mesh_gateway_wan_federation", CONFIG_BOOL, AT(connect_mesh_gateway_wan_federation)},
    {"enabled", CONFIG_BOOL, AT(connect_enabled)},
    {"test_ca_leaf_root_change_spread", CONFIG_DUR, AT(connect_test_ca_leaf_root_change_spread)},
};
static const struct config_block connect_block = {KEYS(connect_keys)};

static const struct config_key coordinate_keys[] = {
    {"update_batch_size", CONFIG_INT, AT(consul_coordinate_update_batch_size)},
    {"update_max_batches", CONFIG_INT, AT(consul_coordinate_update_max_batches)},
    {"update_period", CONFIG_DUR, AT(consul_coordinate_update_period)},
};
static const struct config_block coordinate_block = {KEYS(coordinate_keys)};
static const struct config_key raft_keys[] = {
    {"election_timeout", CONFIG_DUR, AT(consul_raft_election_timeout)},
    {"heartbeat_timeout", CONFIG_DUR, AT(consul_raft_heartbeat_timeout)},
    {"leader_lease_timeout", CONFIG_DUR, AT(consul_raft_leader_lease_timeout)},
};
static const struct config_block raft_block = {KEYS(raft_keys)};
static const struct config_key consul_server_keys[] = {
    {"health_interval", CONFIG_DUR, AT(consul_server_health_interval)},
};
static const struct config_block consul_server_block = {KEYS(consul_server_keys)};
static const struct config_key consul_keys[] = {
    {"coordinate", CONFIG_BLOCK, NOWHERE, 0, &coordinate_block},
    {"raft", CONFIG_BLOCK, NOWHERE, 0, &raft_block},
    {"server", CONFIG_BLOCK, NOWHERE, 0, &consul_server_block},
};
static const struct config_block consul_block = {KEYS(consul_keys)};

static const struct config_key soa_keys[] = {
    {"expire", CONFIG_UINT32, AT(dns.soa.expire)},
    {"min_ttl", CONFIG_UINT32, AT(dns.soa.min_ttl)},
    {"refresh", CONFIG_UINT32, AT(dns.soa.refresh)},
    {"retry", CONFIG_UINT32, AT(dns.soa.retry)},
};
static const struct config_block soa_block = {KEYS(soa_keys)};
static const struct config_key dns_keys[] = {
    {"a_record_limit", CONFIG_INT, AT(dns.a_record_limit)},
    {"allow_stale", CONFIG_BOOL, AT(dns.allow_stale)},
    {"cache_max_age", CONFIG_DUR, AT(dns.cache_max_age)},
    {"disable_compression", CONFIG_BOOL, AT(dns.disable_compression)},
    {"enable_additional_node_meta_txt", CONFIG_BOOL, AT(dns.node_meta_txt)},
    {"enable_truncate", CONFIG_BOOL, AT(dns.enable_truncate)},
    {"max_stale", CONFIG_DUR, AT(dns.max_stale)},
    {"node_ttl", CONFIG_DUR, AT(dns.node_ttl)},
    {"only_passing", CONFIG_BOOL, AT(dns.only_passing)},
    {"prefer_namespace", CONFIG_BOOL, NOWHERE, KEY_ENTERPRISE},
    {"recursor_timeout", CONFIG_DUR, AT(dns.recursor_timeout)},
    {"service_ttl", CONFIG_MAP, NOWHERE},
    {"soa", CONFIG_BLOCK, NOWHERE, KEY_WHOLE, &soa_block},
    {"udp_answer_limit", CONFIG_INT, AT(dns.udp_answer_limit)},
    {"use_cache", CONFIG_BOOL, AT(dns.use_cache)},
};
static const struct config_block dns_block = {KEYS(dns_keys)};

#define GOSSIP_KEYS(array, member)                                                                 \
    static const struct config_key array[] = {                                                     \
        {"gossip_interval", CONFIG_DUR, AT(member.gossip_interval)},                               \
        {"gossip_nodes", CONFIG_INT, AT(member.gossip_nodes)},                                     \
        {"probe_interval", CONFIG_DUR, AT(member.probe_interval)},                                 \
        {"probe_timeout", CONFIG_DUR, AT(member.probe_timeout)},                                   \
        {"retransmit_mult", CONFIG_INT, AT(member.retransmit_mult)},                               \
        {"suspicion_mult", CONFIG_INT, AT(member.suspicion_mult)},                                 \
    }
GOSSIP_KEYS(gossip_lan_keys, gossip_lan);
GOSSIP_KEYS(gossip_wan_keys, gossip_wan);
static const struct config_block gossip_lan_block = {KEYS(gossip_lan_keys)};
static const struct config_block gossip_wan_block = {KEYS(gossip_wan_keys)};

static const struct config_key http_keys[] = {
    {"allow_write_http_from", CONFIG_STRS, AT(http.allow_write_http_from)},
    {"block_endpoints", CONFIG_STRS, AT(http.block_endpoints)},
    {"response_headers", CONFIG_MAP, AT(http.response_headers)},
    {"use_cache", CONFIG_BOOL, AT(http.use_cache)},
};
static const struct config_block http_block = {KEYS(http_keys)};

static const struct config_key limits_keys[] = {
    {"http_max_conns_per_client", CONFIG_INT, AT(limits.http_max_conns_per_client)},
    {"https_handshake_timeout", CONFIG_DUR, AT(limits.https_handshake_timeout)},
    {"kv_max_value_size", CONFIG_UINT64, AT(limits.kv_max_value_size)},
    {"rpc_handshake_timeout", CONFIG_DUR, AT(limits.rpc_handshake_timeout)},
    {"rpc_max_burst", CONFIG_INT, AT(limits.rpc_max_burst)},
    {"rpc_max_conns_per_client", CONFIG_INT, AT(limits.rpc_max_conns_per_client)},
    {"rpc_rate", CONFIG_FLOAT, AT(limits.rpc_rate)},
    {"txn_max_req_len", CONFIG_UINT64, AT(limits.txn_max_req_len)},
};
static const struct config_block limits_block = {KEYS(limits_keys)};

static const struct config_key performance_keys[] = {
    {"leave_drain_time", CONFIG_DUR, AT(leave_drain_time)},
    {"raft_multiplier", CONFIG_INT, AT(raft_multiplier)},
    {"rpc_hold_timeout", CONFIG_DUR, AT(rpc_hold_timeout)},
};
static const struct config_block performance_block = {KEYS(performance_keys)};

static const struct config_key segment_keys[] = {
    {"advertise", CONFIG_STR, NOWHERE},     {"bind", CONFIG_STR, NOWHERE},
    {"name", CONFIG_STR, NOWHERE},          {"port", CONFIG_INT, NOWHERE},
    {"rpc_listener", CONFIG_BOOL, NOWHERE},
};
static const struct config_block segment_block = {KEYS(segment_keys)};

#define CIRCONUS(name)                                                                             \
    { "circonus_" #name, CONFIG_STR, AT(telemetry.circonus_##name), KEY_LATER }
static const struct config_key telemetry_keys[] = {
    CIRCONUS(api_app),
    CIRCONUS(api_token),
    CIRCONUS(api_url),
    CIRCONUS(broker_id),
    CIRCONUS(broker_select_tag),
    CIRCONUS(check_display_name),
    CIRCONUS(check_force_metric_activation),
    CIRCONUS(check_id),
    CIRCONUS(check_instance_id),
    CIRCONUS(check_search_tag),
    CIRCONUS(check_tags),
    CIRCONUS(submission_interval),
    CIRCONUS(submission_url),
    {"disable_hostname", CONFIG_BOOL, AT(telemetry.disable_hostname)},
    {"dogstatsd_addr", CONFIG_STR, AT(telemetry.dogstatsd_addr)},
    {"dogstatsd_tags", CONFIG_STRS, AT(telemetry.dogstatsd_tags)},
    {"filter_default", CONFIG_BOOL, AT(telemetry.filter_default)},
    {"metrics_prefix", CONFIG_STR, AT(telemetry.metrics_prefix)},
    {"prefix_filter", CONFIG_STRS, NOWHERE},
    {"prometheus_retention_time", CONFIG_DUR, AT(telemetry.prometheus_retention_time)},
    {"statsd_address", CONFIG_STR, AT(telemetry.statsd_addr)},
    {"statsite_address", CONFIG_STR, AT(telemetry.statsite_addr)},
};
static const struct config_block telemetry_block = {KEYS(telemetry_keys)};

static const struct config_key unix_sockets_keys[] = {
    {"group", CONFIG_STR, AT(unix_socket_group)},
    {"mode", CONFIG_STR, AT(unix_socket_mode)},
    {"user", CONFIG_STR, AT(unix_socket_user)},
};
static const struct config_block unix_sockets_block = {KEYS(unix_sockets_keys)};

/* ---- the top level ---- */

static const struct config_key root_keys[] = {
    {"acl", CONFIG_BLOCK, NOWHERE, 0, &acl_block},
    {"acl_agent_master_token", CONFIG_STR, NOWHERE},
    {"acl_agent_token", CONFIG_STR, NOWHERE},
    {"acl_datacenter", CONFIG_STR, NOWHERE},
    {"acl_default_policy", CONFIG_STR, NOWHERE},
    {"acl_disabled_ttl", CONFIG_STR, NOWHERE},
    {"acl_down_policy", CONFIG_STR, NOWHERE},
    {"acl_enable_key_list_policy", CONFIG_BOOL, NOWHERE},
    {"acl_master_token", CONFIG_STR, NOWHERE},
    {"acl_replication_token", CONFIG_STR, NOWHERE},
    {"acl_token", CONFIG_STR, NOWHERE},
    {"acl_ttl", CONFIG_DUR, NOWHERE},
    {"addresses", CONFIG_BLOCK, NOWHERE, 0, &addresses_block},
    {"advertise_addr", CONFIG_STR, NOWHERE},
    {"advertise_addr_ipv4", CONFIG_STR, NOWHERE},
    {"advertise_addr_ipv6", CONFIG_STR, NOWHERE},
    {"advertise_addr_wan", CONFIG_STR, NOWHERE},
    {"advertise_addr_wan_ipv4", CONFIG_STR, NOWHERE},
    {"ae_interval", CONFIG_DUR, AT(ae_interval)},
    {"alt_domain", CONFIG_STR, AT(dns.alt_domain)},
    {"audit", CONFIG_BLOCK, NOWHERE, KEY_ENTERPRISE | KEY_WHOLE, &audit_block},
    {"auto_config", CONFIG_BLOCK, NOWHERE, 0, &auto_config_block},
    {"auto_encrypt", CONFIG_BLOCK, NOWHERE, 0, &auto_encrypt_block},
    {"autopilot", CONFIG_BLOCK, NOWHERE, 0, &autopilot_block},
    {"bind_addr", CONFIG_STR, NOWHERE},
    {"bootstrap", CONFIG_BOOL, AT(bootstrap)},
    {"bootstrap_expect", CONFIG_INT, AT(bootstrap_expect)},
    {"ca_file", CONFIG_STR, AT(tls.ca_file)},
    {"ca_path", CONFIG_STR, AT(tls.ca_path)},
    {"cache", CONFIG_BLOCK, NOWHERE, 0, &cache_block},
    {"cert_file", CONFIG_STR, AT(tls.cert_file)},
    {"check", CONFIG_BLOCK, NOWHERE, KEY_TWICE, &config_check_block},
    {"check_deregister_interval_min", CONFIG_DUR, AT(check_deregister_interval_min)},
    {"check_output_max_size", CONFIG_INT, AT(check_output_max_size)},
    {"check_reap_interval", CONFIG_DUR, AT(check_reap_interval)},
    {"check_update_interval", CONFIG_DUR, AT(check_update_interval)},
    {"checks", CONFIG_BLOCKS, NOWHERE, 0, &config_check_block},
    {"client_addr", CONFIG_STR, NOWHERE},
    {"config_entries", CONFIG_BLOCK, NOWHERE, 0, &config_entries_block},
    {"connect", CONFIG_BLOCK, NOWHERE, 0, &connect_block},
    {"consul", CONFIG_BLOCK, NOWHERE, 0, &consul_block},
    {"data_dir", CONFIG_STR, AT(data_dir)},
    {"datacenter", CONFIG_STR, AT(datacenter)},
    {"default_query_time", CONFIG_DUR, AT(default_query_time)},
    {"disable_anonymous_signature", CONFIG_BOOL, AT(disable_anonymous_signature)},
    {"disable_coordinates", CONFIG_BOOL, AT(disable_coordinates)},
    {"disable_host_node_id", CONFIG_BOOL, AT(disable_host_node_id)},
    {"disable_http_unprintable_char_filter", CONFIG_BOOL, AT(disable_http_unprintable_char_filter)},
    {"disable_keyring_file", CONFIG_BOOL, AT(disable_keyring_file)},
    {"disable_remote_exec", CONFIG_BOOL, AT(disable_remote_exec)},
    {"disable_update_check", CONFIG_BOOL, AT(disable_update_check)},
    {"discard_check_output", CONFIG_BOOL, AT(discard_check_output)},
    {"discovery_max_stale", CONFIG_DUR, AT(discovery_max_stale)},
    {"dns_config", CONFIG_BLOCK, NOWHERE, 0, &dns_block},
    {"domain", CONFIG_STR, AT(dns.domain)},
    {"enable_acl_replication", CONFIG_BOOL, NOWHERE},
    {"enable_agent_tls_for_checks", CONFIG_BOOL, AT(tls.enable_agent_tls_for_checks)},
    {"enable_central_service_config", CONFIG_BOOL, AT(enable_central_service_config)},
    {"enable_debug", CONFIG_BOOL, AT(enable_debug)},
    {"enable_local_script_checks", CONFIG_BOOL, AT(enable_local_script_checks)},
    {"enable_script_checks", CONFIG_BOOL, AT(enable_remote_script_checks)},
    {"enable_syslog", CONFIG_BOOL, AT(logging.enable_syslog)},
    {"encrypt", CONFIG_STR, AT(encrypt_key)},
    {"encrypt_verify_incoming", CONFIG_BOOL, AT(encrypt_verify_incoming)},
    {"encrypt_verify_outgoing", CONFIG_BOOL, AT(encrypt_verify_outgoing)},
    {"gossip_lan", CONFIG_BLOCK, NOWHERE, 0, &gossip_lan_block},
    {"gossip_wan", CONFIG_BLOCK, NOWHERE, 0, &gossip_wan_block},
    {"http_config", CONFIG_BLOCK, NOWHERE, 0, &http_block},
    {"key_file", CONFIG_STR, AT(tls.key_file)},
    {"leave_on_terminate", CONFIG_BOOL, AT(leave_on_term)},
    {"limits", CONFIG_BLOCK, NOWHERE, 0, &limits_block},
    {"log_file", CONFIG_STR, AT(logging.file_path)},
    {"log_json", CONFIG_BOOL, AT(logging.json)},
    {"log_level", CONFIG_STR, AT(logging.level)},
    {"log_rotate_bytes", CONFIG_INT, AT(logging.rotate_bytes)},
    {"log_rotate_duration", CONFIG_DUR, AT(logging.rotate_duration)},
    {"log_rotate_max_files", CONFIG_INT, AT(logging.rotate_max_files)},
    {"max_query_time", CONFIG_DUR, AT(max_query_time)},
    {"node_id", CONFIG_STR, AT(node_id)},
    {"node_meta", CONFIG_MAP, AT(node_meta)},
    {"node_name", CONFIG_STR, AT(node_name)},
    {"non_voting_server", CONFIG_BOOL, AT(non_voting_server), KEY_ENTERPRISE},
    {"performance", CONFIG_BLOCK, NOWHERE, 0, &performance_block},
    {"pid_file", CONFIG_STR, AT(pid_file)},
    {"ports", CONFIG_BLOCK, NOWHERE, 0, &ports_block},
    {"primary_datacenter", CONFIG_STR, AT(primary_datacenter)},
    {"primary_gateways", CONFIG_STRS, AT(primary_gateways)},
    {"primary_gateways_interval", CONFIG_DUR, AT(primary_gateways_interval)},
    {"protocol", CONFIG_INT, AT(rpc_protocol)},
    {"raft_protocol", CONFIG_INT, AT(raft_protocol)},
    {"raft_snapshot_interval", CONFIG_DUR, AT(raft_snapshot_interval)},
    {"raft_snapshot_threshold", CONFIG_INT, AT(raft_snapshot_threshold)},
    {"raft_trailing_logs", CONFIG_INT, AT(raft_trailing_logs)},
    {"reconnect_timeout", CONFIG_DUR, AT(reconnect_timeout_lan)},
    {"reconnect_timeout_wan", CONFIG_DUR, AT(reconnect_timeout_wan)},
    {"recursors", CONFIG_STRS, NOWHERE},
    {"rejoin_after_leave", CONFIG_BOOL, AT(rejoin_after_leave)},
    {"retry_interval", CONFIG_DUR, AT(retry_join_interval_lan)},
    {"retry_interval_wan", CONFIG_DUR, AT(retry_join_interval_wan)},
    {"retry_join", CONFIG_STRS, AT(retry_join_lan)},
    {"retry_join_wan", CONFIG_STRS, AT(retry_join_wan)},
    {"retry_max", CONFIG_INT, AT(retry_join_max_attempts_lan)},
    {"retry_max_wan", CONFIG_INT, AT(retry_join_max_attempts_wan)},
    {"revision", CONFIG_STR, NOWHERE},
    {"segment", CONFIG_STR, AT(segment_name), KEY_ENTERPRISE},
    {"segment_limit", CONFIG_INT, NOWHERE},
    {"segment_name_limit", CONFIG_INT, NOWHERE},
    {"segments", CONFIG_BLOCKS, NOWHERE, KEY_ENTERPRISE, &segment_block},
    {"serf_lan", CONFIG_STR, NOWHERE},
    {"serf_lan_allowed_cidrs", CONFIG_STRS, AT(serf_allowed_cidrs_lan)},
    {"serf_wan", CONFIG_STR, NOWHERE},
    {"serf_wan_allowed_cidrs", CONFIG_STRS, AT(serf_allowed_cidrs_wan)},
    {"server", CONFIG_BOOL, AT(server_mode)},
    {"server_name", CONFIG_STR, AT(tls.server_name)},
    {"service", CONFIG_BLOCK, NOWHERE, KEY_TWICE, &config_service_block},
    {"services", CONFIG_BLOCKS, NOWHERE, 0, &config_service_block},
    {"session_ttl_min", CONFIG_DUR, AT(session_ttl_min)},
    {"skip_leave_on_interrupt", CONFIG_BOOL, AT(skip_leave_on_int)},
    {"snapshot_agent", CONFIG_FREE, NOWHERE},
    {"start_join", CONFIG_STRS, AT(start_join_addrs_lan)},
    {"start_join_wan", CONFIG_STRS, AT(start_join_addrs_wan)},
    {"sync_coordinate_interval_min", CONFIG_DUR, AT(sync_coordinate_interval_min)},
    {"sync_coordinate_rate_target", CONFIG_FLOAT, AT(sync_coordinate_rate_target)},
    {"syslog_facility", CONFIG_STR, AT(logging.syslog_facility)},
    {"tagged_addresses", CONFIG_MAP, AT(tagged_addresses)},
    {"telemetry", CONFIG_BLOCK, NOWHERE, 0, &telemetry_block},
    {"tls_cipher_suites", CONFIG_STR, NOWHERE},
    {"tls_min_version", CONFIG_STR, AT(tls.min_version)},
    {"tls_prefer_server_cipher_suites", CONFIG_BOOL, AT(tls.prefer_server_cipher_suites)},
    {"translate_wan_addrs", CONFIG_BOOL, AT(translate_wan_addrs)},
    {"ui", CONFIG_BOOL, AT(enable_ui)},
    {"ui_content_path", CONFIG_STR, AT(ui_content_path)},
    {"ui_dir", CONFIG_STR, AT(ui_dir)},
    {"unix_sockets", CONFIG_BLOCK, NOWHERE, 0, &unix_sockets_block},
    {"verify_incoming", CONFIG_BOOL, AT(tls.verify_incoming)},
    {"verify_incoming_https", CONFIG_BOOL, AT(tls.verify_incoming_https)},
    {"verify_incoming_rpc", CONFIG_BOOL, AT(tls.verify_incoming_rpc)},
    {"verify_outgoing", CONFIG_BOOL, AT(tls.verify_outgoing)},
    {"verify_server_hostname", CONFIG_BOOL, AT(tls.verify_server_hostname)},
    {"version", CONFIG_STR, NOWHERE},
    {"version_prerelease", CONFIG_STR, NOWHERE},
    {"watches", CONFIG_FREES, AT(watches)},
};
const struct config_block config_root = {KEYS(root_keys), sizeof(struct config)};

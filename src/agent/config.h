/* The agent's configuration: sources (defaults, flags, files, fragments), their merging, and the
 * one immutable result that all rooms read (config.md). Tables in config_table.c say which keys
 * exist, of which type, and where each value goes; reading, merging and filling in are driven by
 * them.
 *
 * A `struct config` is never changed after config_load returned it, is reference-counted (any
 * thread), and owns all that it points to. A reload makes a new one; the rooms get it handed
 * (agent.h).
 *
 * Field names are the keys of the peer's DebugConfig (agent.md 1.3) in snake_case. Durations are
 * int64 nanoseconds; ports are int, -1 when disabled.
 */
#ifndef PRAETOR_AGENT_CONFIG_H
#define PRAETOR_AGENT_CONFIG_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "schema/catalog.h"
#include "schema/schema.h"

/* What the version of the protocol is: /v1/agent/self, Stats, serf tags, banner. */
#define CONFIG_VERSION "1.8.7"

/* Where to listen. text: an IP literal without brackets, or the path of a socket. */
struct listen_address {
    enum { LISTEN_TCP, LISTEN_UNIX } network;
    struct str text;
    int port; /* LISTEN_TCP */
};

/* A check from a file (agent.md 2.3). type.check_id is the configured id. */
struct config_check {
    struct check_type type;
    struct str service_id;
    struct str token;
};

struct config_dns_soa {
    int64_t refresh, retry, expire, min_ttl;
};

/* Everything of the dns_config block and its neighbours (dns.md 13). All but the domains are
 * applied on reload. */
struct config_dns {
    struct str domain;     /* lower case, with a dot at its end: "consul." */
    struct str alt_domain; /* the same, or empty */
    struct str domain_given, alt_domain_given;
    struct list recursors;       /* of str: "1.2.3.4:53", "[::1]:53" */
    struct list recursors_given; /* of str: as they were before a port was added */
    bool allow_stale;
    int64_t a_record_limit;
    int64_t udp_answer_limit;
    bool disable_compression;
    bool enable_truncate;
    bool only_passing;
    bool use_cache;
    bool node_meta_txt; /* enable_additional_node_meta_txt */
    int64_t max_stale;
    int64_t node_ttl;
    int64_t cache_max_age;
    int64_t recursor_timeout;
    struct list service_ttl; /* of struct config_service_ttl, sorted by name; "*" ends a prefix */
    struct config_dns_soa soa;
};
struct config_service_ttl {
    struct str name;
    int64_t ttl;
};

struct config_http {
    struct list block_endpoints;       /* of str: path prefixes */
    struct list allow_write_http_from; /* of str: CIDRs, checked */
    struct list response_headers;      /* map: str to str */
    bool use_cache;
};

struct config_limits {
    int64_t http_max_conns_per_client; /* R; <= 0: unlimited */
    int64_t https_handshake_timeout;
    int64_t rpc_handshake_timeout;
    double rpc_rate; /* R; not positive: unlimited */
    int64_t rpc_max_burst;
    int64_t rpc_max_conns_per_client;
    uint64_t kv_max_value_size;
    uint64_t txn_max_req_len;
};

struct config_acl {
    bool enabled;
    bool old_keys; /* set up as the guides of the old system say: by acl_datacenter */
    struct str default_policy, down_policy;
    int64_t token_ttl, policy_ttl, role_ttl, disabled_ttl;
    bool enable_key_list_policy;
    bool token_replication;
    bool enable_token_persistence;
    struct str token_master, token_agent_master, token_agent, token_default,
        token_replication_secret;
};

struct config_autopilot {
    bool cleanup_dead_servers;
    bool disable_upgrade_migration;
    int64_t last_contact_threshold;
    int64_t max_trailing_logs;
    uint64_t min_quorum;
    struct str redundancy_zone_tag;
    int64_t server_stabilization_time;
    struct str upgrade_version_tag;
};

struct config_gossip {
    int64_t gossip_interval;
    int64_t gossip_nodes;
    int64_t probe_interval;
    int64_t probe_timeout;
    int64_t suspicion_mult;
    int64_t retransmit_mult;
};

struct config_tls {
    struct str ca_file, ca_path, cert_file, key_file, server_name;
    struct str min_version;    /* "tls12" */
    struct list cipher_suites; /* of str: IANA names, checked */
    bool prefer_server_cipher_suites;
    bool verify_incoming, verify_incoming_rpc, verify_incoming_https;
    bool verify_outgoing, verify_server_hostname;
    bool enable_agent_tls_for_checks;
};

struct config_telemetry {
    struct str metrics_prefix;
    bool disable_hostname;
    bool filter_default;
    struct list allowed_prefixes, blocked_prefixes; /* of str; R */
    int64_t prometheus_retention_time;
    struct str statsd_addr, statsite_addr, dogstatsd_addr;
    struct list dogstatsd_tags; /* of str */
    struct str circonus_api_app, circonus_api_token, circonus_api_url, circonus_broker_id,
        circonus_broker_select_tag, circonus_check_display_name,
        circonus_check_force_metric_activation, circonus_check_id, circonus_check_instance_id,
        circonus_check_search_tag, circonus_check_tags, circonus_submission_interval,
        circonus_submission_url;
};

struct config_logging {
    struct str level; /* as configured */
    bool json;
    struct str file_path;
    int64_t rotate_bytes, rotate_duration, rotate_max_files;
    bool enable_syslog;
    struct str syslog_facility;
};

/* auto_config.authorization.static: how tokens of joining agents are judged. Lists that were not
 * set are not present. */
struct config_authorizer {
    bool allow_reuse;
    struct list claim_assertions, bound_audiences, supported_algorithms, public_keys; /* of str */
    struct list claim_mappings, list_claim_mappings; /* maps: str to str */
    struct str bound_issuer, discovery_url, discovery_ca, jwks_url, jwks_ca;
    int64_t expiration_leeway, not_before_leeway, clock_skew_leeway;
};

struct config_auto_config {
    struct config_authorizer authorizer;
    bool enabled;
    struct str intro_token, intro_token_file;
    struct list server_addresses, dns_sans, ip_sans; /* of str */
    bool authorizer_enabled;
};

struct config {
    _Atomic unsigned references; /* config_hold, config_release */
    struct arena arena;

    /* identity and mode */
    struct str datacenter;         /* lower case */
    struct str primary_datacenter; /* never empty */
    struct str node_name;
    struct str node_id; /* as configured, lower case; agent.h knows the one in use */
    bool disable_host_node_id;
    struct list node_meta; /* map: str to str; R */
    bool server_mode;
    bool dev_mode;
    struct str data_dir; /* empty in dev mode */
    bool bootstrap;
    int64_t bootstrap_expect; /* 0 when bootstrap */
    int64_t rpc_protocol;
    int64_t raft_protocol;
    bool non_voting_server;
    struct str segment_name;
    bool rejoin_after_leave;
    bool leave_on_term;
    bool skip_leave_on_int;
    struct str pid_file;

    /* addresses and ports */
    struct str bind_addr;                                       /* IP */
    struct str advertise_addr_lan, advertise_addr_wan;          /* IP */
    struct str serf_bind_addr_lan, serf_bind_addr_wan;          /* IP; ports below */
    struct list serf_allowed_cidrs_lan, serf_allowed_cidrs_wan; /* of str; present: set */
    struct list client_addrs; /* of struct listen_address, without ports */
    struct list dns_addrs, http_addrs, https_addrs, grpc_addrs; /* of struct listen_address */
    int dns_port, http_port, https_port, grpc_port, serf_port_lan, serf_port_wan, server_port;
    int connect_sidecar_min_port, connect_sidecar_max_port, expose_min_port, expose_max_port;
    bool translate_wan_addrs;
    struct list tagged_addresses; /* map: str to str: lan, lan_ipv4, wan… */
    struct str unix_socket_user, unix_socket_group, unix_socket_mode;

    /* joining */
    struct list start_join_addrs_lan, start_join_addrs_wan; /* of str */
    struct list retry_join_lan, retry_join_wan;             /* of str */
    int64_t retry_join_interval_lan, retry_join_interval_wan;
    int64_t retry_join_max_attempts_lan, retry_join_max_attempts_wan;
    struct list primary_gateways; /* of str */
    int64_t primary_gateways_interval;
    int64_t reconnect_timeout_lan, reconnect_timeout_wan;
    struct config_gossip gossip_lan, gossip_wan;
    struct str encrypt_key;
    bool encrypt_verify_incoming, encrypt_verify_outgoing;
    bool disable_keyring_file;

    /* servers */
    struct config_autopilot autopilot;
    int64_t leave_drain_time;
    int64_t raft_multiplier;
    int64_t rpc_hold_timeout;
    int64_t raft_snapshot_threshold, raft_snapshot_interval, raft_trailing_logs;
    int64_t consul_raft_election_timeout, consul_raft_heartbeat_timeout,
        consul_raft_leader_lease_timeout; /* already multiplied */
    int64_t consul_server_health_interval;
    int64_t consul_coordinate_update_batch_size, consul_coordinate_update_max_batches,
        consul_coordinate_update_period;
    int64_t session_ttl_min;
    int64_t default_query_time, max_query_time;
    int64_t discovery_max_stale;
    bool enable_central_service_config;
    struct list config_entry_bootstrap; /* of struct config_entry *, normalised */

    struct config_limits limits;
    double cache_entry_fetch_rate; /* infinity: unlimited */
    int64_t cache_entry_fetch_max_burst;

    /* the interfaces */
    struct config_dns dns;
    struct config_http http;
    bool enable_ui;
    struct str ui_dir;
    struct str ui_content_path; /* "/ui/" */
    bool enable_debug;
    bool disable_http_unprintable_char_filter;

    /* checks, scripts, watches, services */
    int64_t ae_interval, check_deregister_interval_min, check_reap_interval;
    int64_t check_update_interval;
    int64_t check_output_max_size;
    bool discard_check_output;
    bool enable_local_script_checks, enable_remote_script_checks;
    bool disable_remote_exec;
    bool disable_coordinates;
    bool disable_anonymous_signature, disable_update_check;
    int64_t sync_coordinate_interval_min;
    double sync_coordinate_rate_target;
    struct list services; /* of struct service_definition; R */
    struct list checks;   /* of struct config_check; R */
    struct list watches;  /* of struct value (maps); R */

    /* security */
    struct config_acl acl;
    struct config_tls tls;
    bool auto_encrypt_tls, auto_encrypt_allow_tls;
    struct list auto_encrypt_dns_san, auto_encrypt_ip_san; /* of str */
    struct config_auto_config auto_config;
    bool connect_enabled;
    bool connect_mesh_gateway_wan_federation;
    struct str connect_ca_provider;
    struct list connect_ca_config; /* map: str to struct value; pairs are struct value_pair */
    int64_t connect_test_ca_leaf_root_change_spread;

    struct config_telemetry telemetry;
    struct config_logging logging;

    /* Keys that were set and are accepted, but belong to what is not built yet ("watches", …):
     * named in one warning at start. */
    struct list ineffective; /* of str */
};

/* What the command line gave: read once, used at start and again for every reload. */
struct config_inputs {
    struct arena arena;
    bool dev_mode;
    struct str config_format; /* -config-format, or absent */
    struct list paths;        /* of str: -config-file and -config-dir in their order */
    struct list fragments;    /* of str: -hcl */
    struct value flag_lists;  /* source "flags.slices": a map */
    struct value flag_values; /* source "flags.values": a map */
    struct str auto_config;   /* what servers gave (tls.md 14), JSON; absent: nothing */
};
void config_inputs_init(struct config_inputs *in);
void config_inputs_free(struct config_inputs *in);
/* The flags of `agent` (config.md 3, cli.md 1.3). Errors have the text behind "error parsing flags:
 * ". *help: -h was given. *rest: how many arguments at the end of argv are no flags. */
bool config_parse_flags(struct config_inputs *in, int argc, char **argv, bool *help, int *rest,
                        struct error *e);
/* "Usage:" and the list of all flags, as printed after a flag error; and the help of the command.
 */
void config_print_flags(FILE *out);
void config_print_help(FILE *out);

/* Reads, merges, builds and validates (config.md 1 and 2). NULL on error, with the text that the
 * peer prints. *warnings gets a list of str in `arena`, in the order of config.md 2.4; it is filled
 * also when the result is NULL. */
struct config *config_load(const struct config_inputs *in, struct list *warnings,
                           struct arena *arena, struct error *e);
/* Before a configuration that was loaded for a reload is handed on: all that a reload does not
 * change becomes what it was at the start, which must live as long (config.md 4.6). */
void config_keep_start(struct config *fresh, const struct config *start);
const struct config *config_hold(const struct config *c);
void config_release(const struct config *c);

/* What config_load lets pass and the start of an agent does not, after the banner (config.md 4.4).
 */
bool config_check_server(const struct config *c, struct error *e);

/* The number of one of tls.cipher_suites in the protocol. */
unsigned config_cipher_number(struct str name);

/* "tcp://127.0.0.1:8500", "unix:///path", "udp://…" (network as given), as DebugConfig shows it. */
struct str listen_address_format(struct arena *arena, const struct listen_address *a,
                                 const char *network);

/* A service of a file as the body of PUT /v1/agent/service/register. */
void config_write_service_json(struct buf *out, const struct service_definition *d);

#endif

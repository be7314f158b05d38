/* DebugConfig of GET /v1/agent/self: the configuration with which the agent started, as one flat
 * map in the peer's names and order (agent.md 1.3). A table says what each entry is.
 */
#include <arpa/inet.h>
#include <float.h>
#include <math.h>

#include "base/mem.h"
#include "base/time.h"
#include "http/agent_work.h"

enum shown_kind {
    SHOW_STR,
    SHOW_HIDDEN, /* a secret, also when it is empty */
    SHOW_BOOL,
    SHOW_I64,
    SHOW_INT,
    SHOW_F64,
    SHOW_DUR,
    SHOW_STRS,
    SHOW_MAP,
    SHOW_ENTRIES, /* list of struct config_entry * */
    SHOW_FREE,    /* map str to struct value */
    SHOW_TCP,     /* list of listen_address */
    SHOW_IPS,     /* the same, bare */
    SHOW_CONST,   /* JSON as it is */
    SHOW_FUNCTION,
    SHOW_OPEN, /* begins a nested map */
    SHOW_CLOSE,
};

typedef void show_function(struct json_writer *w, struct agent *agent, const struct config *c);

struct shown {
    const char *key;
    enum shown_kind kind;
    size_t offset;
    const char *text;        /* SHOW_CONST */
    show_function *function; /* SHOW_FUNCTION */
    bool nil;                /* SHOW_STRS, SHOW_MAP: null when it was not set */
};

#define AT(member) offsetof(struct config, member)

/* ---- what needs code ---- */

static void show_node_id(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)c;
    json_str(w, agent_node_id(agent));
}

static void show_dns_addresses(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    struct arena arena = ARENA_INIT;
    static const char *const networks[] = {"tcp", "udp"};
    json_open_array(w);
    for (uint32_t i = 0; i < c->dns_addrs.len; i++)
        for (size_t n = 0; n < COUNT_OF(networks); n++)
            json_str(w, listen_address_format(
                            &arena, &LIST_AT(c->dns_addrs, struct listen_address, i), networks[n]));
    json_close_array(w);
    arena_free(&arena);
}

static void show_address(struct json_writer *w, struct str ip, int port) {
    struct arena arena = ARENA_INIT;
    struct listen_address a = {LISTEN_TCP, ip, port};
    json_str(w, port < 0 ? STR("") : listen_address_format(&arena, &a, "tcp"));
    arena_free(&arena);
}

static void show_rpc_advertise(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    show_address(w, c->advertise_addr_lan, c->server_port);
}
static void show_rpc_bind(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    show_address(w, c->bind_addr, c->server_port);
}
static void show_serf_advertise_lan(struct json_writer *w, struct agent *agent,
                                    const struct config *c) {
    (void)agent;
    show_address(w, c->advertise_addr_lan, c->serf_port_lan);
}
static void show_serf_advertise_wan(struct json_writer *w, struct agent *agent,
                                    const struct config *c) {
    (void)agent;
    show_address(w, c->advertise_addr_wan, c->serf_port_wan);
}
static void show_serf_bind_lan(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    show_address(w, c->serf_bind_addr_lan, c->serf_port_lan);
}
static void show_serf_bind_wan(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    show_address(w, c->serf_bind_addr_wan, c->serf_port_wan);
}

static void show_fetch_rate(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    json_f64(w, isinf(c->cache_entry_fetch_rate) ? DBL_MAX : c->cache_entry_fetch_rate);
}

/* These two are shown as they are after a reload. */
static void show_rpc_rate(struct json_writer *w, struct agent *agent, const struct config *c) {
    c = agent_current_config(agent);
    json_f64(w, c->limits.rpc_rate);
}
static void show_rpc_burst(struct json_writer *w, struct agent *agent, const struct config *c) {
    c = agent_current_config(agent);
    json_i64(w, c->limits.rpc_max_burst);
}

static void show_ciphers(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    json_open_array(w);
    for (uint32_t i = 0; i < c->tls.cipher_suites.len; i++)
        json_u64(w, config_cipher_number(LIST_AT(c->tls.cipher_suites, struct str, i)));
    json_close_array(w);
}

/* As the bytes of their IPv6 form. */
static void show_sans(struct json_writer *w, const struct list *list) {
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++) {
        struct arena arena = ARENA_INIT;
        unsigned char bytes[16] = {[10] = 0xFF, [11] = 0xFF};
        const char *text = str_terminated(&arena, LIST_AT(*list, struct str, i));
        bool v6 = strchr(text, ':') != NULL;
        inet_pton(v6 ? AF_INET6 : AF_INET, text, v6 ? bytes : bytes + 12);
        json_open_array(w);
        for (size_t j = 0; j < sizeof(bytes); j++)
            json_u64(w, bytes[j]);
        json_close_array(w);
        arena_free(&arena);
    }
    json_close_array(w);
}
static void show_auto_config_sans(struct json_writer *w, struct agent *agent,
                                  const struct config *c) {
    (void)agent;
    show_sans(w, &c->auto_config.ip_sans);
}
static void show_auto_encrypt_sans(struct json_writer *w, struct agent *agent,
                                   const struct config *c) {
    (void)agent;
    show_sans(w, &c->auto_encrypt_ip_san);
}

/* The peer takes the parameters out of a watch when it starts it, and shows what is left. */
static void show_watches(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    json_open_array(w);
    for (uint32_t i = 0; i < c->watches.len; i++) {
        json_open_object(w);
        json_close_object(w);
    }
    json_close_array(w);
}

static void show_service_ttls(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    struct arena arena = ARENA_INIT;
    json_open_object(w);
    for (uint32_t i = 0; i < c->dns.service_ttl.len; i++) {
        const struct config_service_ttl *ttl =
            &LIST_AT(c->dns.service_ttl, struct config_service_ttl, i);
        json_key(w, ttl->name);
        json_str(w, duration_format(&arena, ttl->ttl));
    }
    json_close_object(w);
    arena_free(&arena);
}

/* ---- services and checks, under the names of memory ---- */

static void key_duration(struct json_writer *w, const char *key, int64_t value) {
    struct arena arena = ARENA_INIT;
    agent_key_str(w, key, duration_format(&arena, value));
    arena_free(&arena);
}
static void key_free(struct json_writer *w, const char *key, const struct value *v) {
    json_key(w, str_from(key));
    if (v != NULL) {
        json_value(w, v);
    } else {
        json_open_object(w);
        json_close_object(w);
    }
}

/* Values under keys that look like a secret's are hidden: in maps, free-form content and join
 * entries. */
static bool looks_secret(struct str key) {
    static const char *const words[] = {"key", "token", "secret"};
    struct arena arena = ARENA_INIT;
    struct str lower = str_lower(&arena, key);
    bool secret = false;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        secret = secret || str_find(lower, str_from(words[i]), 0) >= 0;
    arena_free(&arena);
    return secret;
}

static void write_map(struct json_writer *w, const struct list *map) {
    json_open_object(w);
    for (uint32_t i = 0; i < map->len; i++) {
        const struct str_pair *pair = &LIST_AT(*map, struct str_pair, i);
        json_key(w, pair->key);
        json_str(w, looks_secret(pair->key) ? STR("hidden") : pair->value);
    }
    json_close_object(w);
}

static void write_headers(struct json_writer *w, const struct list *map) {
    json_key(w, STR("Header"));
    json_open_object(w);
    for (uint32_t i = 0; i < map->len; i++) {
        const struct list_pair *pair = &LIST_AT(*map, struct list_pair, i);
        bool secret = looks_secret(pair->key);
        json_key(w, pair->key);
        json_open_array(w);
        for (uint32_t j = 0; j < pair->value.len; j++)
            json_str(w, secret ? STR("hidden") : LIST_AT(pair->value, struct str, j));
        json_close_array(w);
    }
    json_close_object(w);
}

/* with: a node check's own keys, NULL inside of services. */
static void write_check(struct json_writer *w, const struct check_type *t,
                        const struct config_check *with) {
    json_open_object(w);
    agent_key_str(w, "AliasNode", t->alias_node);
    agent_key_str(w, "AliasService", t->alias_service);
    agent_key_str(w, "Body", t->body);
    if (with == NULL)
        agent_key_str(w, "CheckID", t->check_id);
    key_duration(w, "DeregisterCriticalServiceAfter", t->deregister_critical_service_after);
    agent_key_str(w, "DockerContainerID", t->docker_container_id);
    if (with != NULL) {
        json_key(w, STR("EnterpriseMeta"));
        json_open_object(w);
        json_close_object(w);
    }
    agent_key_i64(w, "FailuresBeforeCritical", t->failures_before_critical);
    agent_key_str(w, "GRPC", t->grpc);
    agent_key_bool(w, "GRPCUseTLS", t->grpc_use_tls);
    agent_key_str(w, "HTTP", t->http);
    write_headers(w, &t->header);
    if (with != NULL)
        agent_key_str(w, "ID", t->check_id);
    key_duration(w, "Interval", t->interval);
    agent_key_str(w, "Method", t->method);
    agent_key_str(w, "Name", t->name);
    agent_key_str(w, "Notes", t->notes);
    agent_key_i64(w, "OutputMaxSize", t->output_max_size);
    if (with == NULL) {
        agent_key_str(w, "ProxyGRPC", t->proxy_grpc);
        agent_key_str(w, "ProxyHTTP", t->proxy_http);
    }
    agent_key_strings(w, "ScriptArgs", &t->script_args);
    if (with != NULL)
        agent_key_str(w, "ServiceID", with->service_id);
    agent_key_str(w, "Shell", t->shell);
    agent_key_str(w, "Status", t->status);
    agent_key_i64(w, "SuccessBeforePassing", t->success_before_passing);
    agent_key_str(w, "TCP", t->tcp);
    agent_key_bool(w, "TLSSkipVerify", t->tls_skip_verify);
    key_duration(w, "TTL", t->ttl);
    key_duration(w, "Timeout", t->timeout);
    if (with != NULL)
        agent_key_str(w, "Token", STR("hidden"));
    json_close_object(w);
}

static void show_checks(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    json_open_array(w);
    for (uint32_t i = 0; i < c->checks.len; i++) {
        const struct config_check *check = &LIST_AT(c->checks, struct config_check, i);
        write_check(w, &check->type, check);
    }
    json_close_array(w);
}

static void write_gateway_mode(struct json_writer *w, const struct mesh_gateway_config *g) {
    json_key(w, STR("MeshGateway"));
    json_open_object(w);
    agent_key_str(w, "Mode", g->mode);
    json_close_object(w);
}

static void write_upstream(struct json_writer *w, const struct upstream *u) {
    json_open_object(w);
    key_free(w, "Config", u->config);
    agent_key_str(w, "Datacenter", u->datacenter);
    agent_key_str(w, "DestinationName", u->destination_name);
    agent_key_str(w, "DestinationNamespace", u->destination_namespace);
    agent_key_str(w, "DestinationType", u->destination_type);
    agent_key_strings(w, "IngressHosts", &u->ingress_hosts);
    agent_key_str(w, "LocalBindAddress", u->local_bind_address);
    agent_key_i64(w, "LocalBindPort", u->local_bind_port);
    write_gateway_mode(w, &u->mesh_gateway);
    json_close_object(w);
}

static void write_expose(struct json_writer *w, const struct expose_config *e) {
    json_key(w, STR("Expose"));
    json_open_object(w);
    agent_key_bool(w, "Checks", e->checks);
    json_key(w, STR("Paths"));
    json_open_array(w);
    for (uint32_t i = 0; i < e->paths.len; i++) {
        const struct expose_path *p = &LIST_AT(e->paths, struct expose_path, i);
        json_open_object(w);
        agent_key_i64(w, "ListenerPort", p->listener_port);
        agent_key_i64(w, "LocalPathPort", p->local_path_port);
        agent_key_bool(w, "ParsedFromCheck", p->parsed_from_check);
        agent_key_str(w, "Path", p->path);
        agent_key_str(w, "Protocol", p->protocol);
        json_close_object(w);
    }
    json_close_array(w);
    json_close_object(w);
}

static void write_proxy(struct json_writer *w, const struct connect_proxy_config *p) {
    json_key(w, STR("Proxy"));
    if (p == NULL) {
        json_null(w);
        return;
    }
    json_open_object(w);
    key_free(w, "Config", p->config);
    agent_key_str(w, "DestinationServiceID", p->destination_service_id);
    agent_key_str(w, "DestinationServiceName", p->destination_service_name);
    write_expose(w, &p->expose);
    agent_key_str(w, "LocalServiceAddress", p->local_service_address);
    agent_key_i64(w, "LocalServicePort", p->local_service_port);
    write_gateway_mode(w, &p->mesh_gateway);
    json_key(w, STR("Upstreams"));
    json_open_array(w);
    for (uint32_t i = 0; i < p->upstreams.len; i++)
        write_upstream(w, &LIST_AT(p->upstreams, struct upstream, i));
    json_close_array(w);
    json_close_object(w);
}

static void write_service(struct json_writer *w, const struct service_definition *d);

static void write_connect(struct json_writer *w, const struct service_connect *connect) {
    json_key(w, STR("Connect"));
    if (connect == NULL) {
        json_null(w);
        return;
    }
    json_open_object(w);
    agent_key_bool(w, "Native", connect->native);
    json_key(w, STR("SidecarService"));
    if (connect->sidecar_service != NULL)
        write_service(w, connect->sidecar_service);
    else
        json_null(w);
    json_close_object(w);
}

static void write_service(struct json_writer *w, const struct service_definition *d) {
    json_open_object(w);
    agent_key_str(w, "Address", d->address);
    json_key(w, STR("Check"));
    write_check(w, &d->check, NULL);
    json_key(w, STR("Checks"));
    json_open_array(w);
    for (uint32_t i = 0; i < d->checks.len; i++)
        write_check(w, LIST_AT(d->checks, struct check_type *, i), NULL);
    json_close_array(w);
    write_connect(w, d->connect);
    agent_key_bool(w, "EnableTagOverride", d->enable_tag_override);
    json_key(w, STR("EnterpriseMeta"));
    json_open_object(w);
    json_close_object(w);
    agent_key_str(w, "ID", d->id);
    agent_key_str(w, "Kind", d->kind);
    json_key(w, STR("Meta"));
    write_map(w, &d->meta);
    agent_key_str(w, "Name", d->name);
    agent_key_i64(w, "Port", d->port);
    write_proxy(w, d->proxy);
    agent_key_addresses(w, "TaggedAddresses", &d->tagged_addresses);
    agent_key_strings(w, "Tags", &d->tags);
    agent_key_str(w, "Token", STR("hidden"));
    json_key(w, STR("Weights"));
    json_open_object(w);
    agent_key_i64(w, "Passing", d->weights ? d->weights->passing : 1);
    agent_key_i64(w, "Warning", d->weights ? d->weights->warning : 1);
    json_close_object(w);
    json_close_object(w);
}

static void show_services(struct json_writer *w, struct agent *agent, const struct config *c) {
    (void)agent;
    json_open_array(w);
    for (uint32_t i = 0; i < c->services.len; i++)
        write_service(w, &LIST_AT(c->services, struct service_definition, i));
    json_close_array(w);
}

/* ---- the table ---- */

#define S(key, member)                                                                             \
    { key, SHOW_STR, AT(member) }
#define B(key, member)                                                                             \
    { key, SHOW_BOOL, AT(member) }
#define N(key, member)                                                                             \
    { key, SHOW_I64, AT(member) }
#define I(key, member)                                                                             \
    { key, SHOW_INT, AT(member) }
#define D(key, member)                                                                             \
    { key, SHOW_DUR, AT(member) }
#define L(key, member)                                                                             \
    { key, SHOW_STRS, AT(member) }
#define M(key, member)                                                                             \
    { key, SHOW_MAP, AT(member) }
#define LN(key, member)                                                                            \
    { key, SHOW_STRS, AT(member), .nil = true }
#define MN(key, member)                                                                            \
    { key, SHOW_MAP, AT(member), .nil = true }
#define H(key)                                                                                     \
    { key, SHOW_HIDDEN }
#define C(key, json)                                                                               \
    { key, SHOW_CONST, 0, json }
#define F(key, fn)                                                                                 \
    { key, SHOW_FUNCTION, 0, NULL, fn }
#define OPEN(key)                                                                                  \
    { key, SHOW_OPEN }
#define CLOSE                                                                                      \
    { NULL, SHOW_CLOSE }
#define GOSSIP(name, member)                                                                       \
    D("Gossip" name "GossipInterval", member.gossip_interval),                                     \
        N("Gossip" name "GossipNodes", member.gossip_nodes),                                       \
        D("Gossip" name "ProbeInterval", member.probe_interval),                                   \
        D("Gossip" name "ProbeTimeout", member.probe_timeout),                                     \
        N("Gossip" name "RetransmitMult", member.retransmit_mult),                                 \
        N("Gossip" name "SuspicionMult", member.suspicion_mult)

static const struct shown table[] = {
    H("ACLAgentMasterToken"),
    H("ACLAgentToken"),
    S("ACLDatacenter", primary_datacenter),
    S("ACLDefaultPolicy", acl.default_policy),
    D("ACLDisabledTTL", acl.disabled_ttl),
    S("ACLDownPolicy", acl.down_policy),
    B("ACLEnableKeyListPolicy", acl.enable_key_list_policy),
    B("ACLEnableTokenPersistence", acl.enable_token_persistence),
    H("ACLMasterToken"),
    D("ACLPolicyTTL", acl.policy_ttl),
    H("ACLReplicationToken"),
    D("ACLRoleTTL", acl.role_ttl),
    H("ACLToken"),
    B("ACLTokenReplication", acl.token_replication),
    D("ACLTokenTTL", acl.token_ttl),
    B("ACLsEnabled", acl.enabled),
    D("AEInterval", ae_interval),
    S("AdvertiseAddrLAN", advertise_addr_lan),
    S("AdvertiseAddrWAN", advertise_addr_wan),
    L("AllowWriteHTTPFrom", http.allow_write_http_from),
    OPEN("AutoConfig"),
    OPEN("Authorizer"),
    B("AllowReuse", auto_config.authorizer.allow_reuse),
    OPEN("AuthMethod"),
    C("ACLAuthMethodEnterpriseFields", "{}"),
    OPEN("Config"),
    LN("BoundAudiences", auto_config.authorizer.bound_audiences),
    S("BoundIssuer", auto_config.authorizer.bound_issuer),
    MN("ClaimMappings", auto_config.authorizer.claim_mappings),
    N("ClockSkewLeeway", auto_config.authorizer.clock_skew_leeway),
    N("ExpirationLeeway", auto_config.authorizer.expiration_leeway),
    S("JWKSCACert", auto_config.authorizer.jwks_ca),
    S("JWKSURL", auto_config.authorizer.jwks_url),
    LN("JWTSupportedAlgs", auto_config.authorizer.supported_algorithms),
    LN("JWTValidationPubKeys", auto_config.authorizer.public_keys),
    MN("ListClaimMappings", auto_config.authorizer.list_claim_mappings),
    N("NotBeforeLeeway", auto_config.authorizer.not_before_leeway),
    S("OIDCDiscoveryCACert", auto_config.authorizer.discovery_ca),
    S("OIDCDiscoveryURL", auto_config.authorizer.discovery_url),
    CLOSE,
    C("Description", "\"\""),
    C("DisplayName", "\"\""),
    C("EnterpriseMeta", "{}"),
    C("MaxTokenTTL", "\"0s\""),
    C("Name", "\"Auto Config Authorizer\""),
    OPEN("RaftIndex"),
    C("CreateIndex", "0"),
    C("ModifyIndex", "0"),
    CLOSE,
    C("TokenLocality", "\"\""),
    C("Type", "\"jwt\""),
    CLOSE,
    L("ClaimAssertions", auto_config.authorizer.claim_assertions),
    B("Enabled", auto_config.authorizer_enabled),
    CLOSE,
    L("DNSSANs", auto_config.dns_sans),
    B("Enabled", auto_config.enabled),
    F("IPSANs", show_auto_config_sans),
    H("IntroToken"),
    S("IntroTokenFile", auto_config.intro_token_file),
    L("ServerAddresses", auto_config.server_addresses),
    CLOSE,
    B("AutoEncryptAllowTLS", auto_encrypt_allow_tls),
    L("AutoEncryptDNSSAN", auto_encrypt_dns_san),
    F("AutoEncryptIPSAN", show_auto_encrypt_sans),
    B("AutoEncryptTLS", auto_encrypt_tls),
    B("AutopilotCleanupDeadServers", autopilot.cleanup_dead_servers),
    B("AutopilotDisableUpgradeMigration", autopilot.disable_upgrade_migration),
    D("AutopilotLastContactThreshold", autopilot.last_contact_threshold),
    N("AutopilotMaxTrailingLogs", autopilot.max_trailing_logs),
    N("AutopilotMinQuorum", autopilot.min_quorum),
    S("AutopilotRedundancyZoneTag", autopilot.redundancy_zone_tag),
    D("AutopilotServerStabilizationTime", autopilot.server_stabilization_time),
    S("AutopilotUpgradeVersionTag", autopilot.upgrade_version_tag),
    S("BindAddr", bind_addr),
    B("Bootstrap", bootstrap),
    N("BootstrapExpect", bootstrap_expect),
    S("CAFile", tls.ca_file),
    S("CAPath", tls.ca_path),
    OPEN("Cache"),
    N("EntryFetchMaxBurst", cache_entry_fetch_max_burst),
    F("EntryFetchRate", show_fetch_rate),
    CLOSE,
    S("CertFile", tls.cert_file),
    D("CheckDeregisterIntervalMin", check_deregister_interval_min),
    N("CheckOutputMaxSize", check_output_max_size),
    D("CheckReapInterval", check_reap_interval),
    D("CheckUpdateInterval", check_update_interval),
    F("Checks", show_checks),
    {"ClientAddrs", SHOW_IPS, AT(client_addrs)},
    {"ConfigEntryBootstrap", SHOW_ENTRIES, AT(config_entry_bootstrap)},
    {"ConnectCAConfig", SHOW_FREE, AT(connect_ca_config)},
    S("ConnectCAProvider", connect_ca_provider),
    B("ConnectEnabled", connect_enabled),
    B("ConnectMeshGatewayWANFederationEnabled", connect_mesh_gateway_wan_federation),
    I("ConnectSidecarMaxPort", connect_sidecar_max_port),
    I("ConnectSidecarMinPort", connect_sidecar_min_port),
    D("ConnectTestCALeafRootChangeSpread", connect_test_ca_leaf_root_change_spread),
    N("ConsulCoordinateUpdateBatchSize", consul_coordinate_update_batch_size),
    N("ConsulCoordinateUpdateMaxBatches", consul_coordinate_update_max_batches),
    D("ConsulCoordinateUpdatePeriod", consul_coordinate_update_period),
    D("ConsulRaftElectionTimeout", consul_raft_election_timeout),
    D("ConsulRaftHeartbeatTimeout", consul_raft_heartbeat_timeout),
    D("ConsulRaftLeaderLeaseTimeout", consul_raft_leader_lease_timeout),
    D("ConsulServerHealthInterval", consul_server_health_interval),
    N("DNSARecordLimit", dns.a_record_limit),
    F("DNSAddrs", show_dns_addresses),
    B("DNSAllowStale", dns.allow_stale),
    S("DNSAltDomain", dns.alt_domain_given),
    D("DNSCacheMaxAge", dns.cache_max_age),
    B("DNSDisableCompression", dns.disable_compression),
    S("DNSDomain", dns.domain_given),
    B("DNSEnableTruncate", dns.enable_truncate),
    D("DNSMaxStale", dns.max_stale),
    B("DNSNodeMetaTXT", dns.node_meta_txt),
    D("DNSNodeTTL", dns.node_ttl),
    B("DNSOnlyPassing", dns.only_passing),
    I("DNSPort", dns_port),
    D("DNSRecursorTimeout", dns.recursor_timeout),
    L("DNSRecursors", dns.recursors_given),
    OPEN("DNSSOA"),
    N("Expire", dns.soa.expire),
    N("Minttl", dns.soa.min_ttl),
    N("Refresh", dns.soa.refresh),
    N("Retry", dns.soa.retry),
    CLOSE,
    F("DNSServiceTTL", show_service_ttls),
    N("DNSUDPAnswerLimit", dns.udp_answer_limit),
    B("DNSUseCache", dns.use_cache),
    S("DataDir", data_dir),
    S("Datacenter", datacenter),
    D("DefaultQueryTime", default_query_time),
    B("DevMode", dev_mode),
    B("DisableAnonymousSignature", disable_anonymous_signature),
    B("DisableCoordinates", disable_coordinates),
    B("DisableHTTPUnprintableCharFilter", disable_http_unprintable_char_filter),
    B("DisableHostNodeID", disable_host_node_id),
    B("DisableKeyringFile", disable_keyring_file),
    B("DisableRemoteExec", disable_remote_exec),
    B("DisableUpdateCheck", disable_update_check),
    B("DiscardCheckOutput", discard_check_output),
    D("DiscoveryMaxStale", discovery_max_stale),
    B("EnableAgentTLSForChecks", tls.enable_agent_tls_for_checks),
    B("EnableCentralServiceConfig", enable_central_service_config),
    B("EnableDebug", enable_debug),
    B("EnableLocalScriptChecks", enable_local_script_checks),
    B("EnableRemoteScriptChecks", enable_remote_script_checks),
    B("EnableUI", enable_ui),
    H("EncryptKey"),
    B("EncryptVerifyIncoming", encrypt_verify_incoming),
    B("EncryptVerifyOutgoing", encrypt_verify_outgoing),
    C("EnterpriseRuntimeConfig", "{}"),
    I("ExposeMaxPort", expose_max_port),
    I("ExposeMinPort", expose_min_port),
    {"GRPCAddrs", SHOW_TCP, AT(grpc_addrs)},
    I("GRPCPort", grpc_port),
    GOSSIP("LAN", gossip_lan),
    GOSSIP("WAN", gossip_wan),
    {"HTTPAddrs", SHOW_TCP, AT(http_addrs)},
    L("HTTPBlockEndpoints", http.block_endpoints),
    N("HTTPMaxConnsPerClient", limits.http_max_conns_per_client),
    I("HTTPPort", http_port),
    M("HTTPResponseHeaders", http.response_headers),
    {"HTTPSAddrs", SHOW_TCP, AT(https_addrs)},
    D("HTTPSHandshakeTimeout", limits.https_handshake_timeout),
    I("HTTPSPort", https_port),
    B("HTTPUseCache", http.use_cache),
    N("KVMaxValueSize", limits.kv_max_value_size),
    H("KeyFile"),
    D("LeaveDrainTime", leave_drain_time),
    B("LeaveOnTerm", leave_on_term),
    OPEN("Logging"),
    B("EnableSyslog", logging.enable_syslog),
    S("LogFilePath", logging.file_path),
    B("LogJSON", logging.json),
    S("LogLevel", logging.level),
    N("LogRotateBytes", logging.rotate_bytes),
    D("LogRotateDuration", logging.rotate_duration),
    N("LogRotateMaxFiles", logging.rotate_max_files),
    C("Name", "\"\""),
    S("SyslogFacility", logging.syslog_facility),
    CLOSE,
    D("MaxQueryTime", max_query_time),
    F("NodeID", show_node_id),
    M("NodeMeta", node_meta),
    S("NodeName", node_name),
    B("NonVotingServer", non_voting_server),
    S("PidFile", pid_file),
    S("PrimaryDatacenter", primary_datacenter),
    L("PrimaryGateways", primary_gateways),
    D("PrimaryGatewaysInterval", primary_gateways_interval),
    F("RPCAdvertiseAddr", show_rpc_advertise),
    F("RPCBindAddr", show_rpc_bind),
    D("RPCHandshakeTimeout", limits.rpc_handshake_timeout),
    D("RPCHoldTimeout", rpc_hold_timeout),
    F("RPCMaxBurst", show_rpc_burst),
    N("RPCMaxConnsPerClient", limits.rpc_max_conns_per_client),
    N("RPCProtocol", rpc_protocol),
    F("RPCRateLimit", show_rpc_rate),
    N("RaftProtocol", raft_protocol),
    D("RaftSnapshotInterval", raft_snapshot_interval),
    N("RaftSnapshotThreshold", raft_snapshot_threshold),
    N("RaftTrailingLogs", raft_trailing_logs),
    D("ReconnectTimeoutLAN", reconnect_timeout_lan),
    D("ReconnectTimeoutWAN", reconnect_timeout_wan),
    B("RejoinAfterLeave", rejoin_after_leave),
    D("RetryJoinIntervalLAN", retry_join_interval_lan),
    D("RetryJoinIntervalWAN", retry_join_interval_wan),
    L("RetryJoinLAN", retry_join_lan),
    N("RetryJoinMaxAttemptsLAN", retry_join_max_attempts_lan),
    N("RetryJoinMaxAttemptsWAN", retry_join_max_attempts_wan),
    L("RetryJoinWAN", retry_join_wan),
    C("Revision", "\"\""),
    C("SegmentLimit", "64"),
    S("SegmentName", segment_name),
    C("SegmentNameLimit", "64"),
    C("Segments", "[]"),
    F("SerfAdvertiseAddrLAN", show_serf_advertise_lan),
    F("SerfAdvertiseAddrWAN", show_serf_advertise_wan),
    L("SerfAllowedCIDRsLAN", serf_allowed_cidrs_lan),
    L("SerfAllowedCIDRsWAN", serf_allowed_cidrs_wan),
    F("SerfBindAddrLAN", show_serf_bind_lan),
    F("SerfBindAddrWAN", show_serf_bind_wan),
    I("SerfPortLAN", serf_port_lan),
    I("SerfPortWAN", serf_port_wan),
    B("ServerMode", server_mode),
    S("ServerName", tls.server_name),
    I("ServerPort", server_port),
    F("Services", show_services),
    D("SessionTTLMin", session_ttl_min),
    B("SkipLeaveOnInt", skip_leave_on_int),
    L("StartJoinAddrsLAN", start_join_addrs_lan),
    L("StartJoinAddrsWAN", start_join_addrs_wan),
    D("SyncCoordinateIntervalMin", sync_coordinate_interval_min),
    {"SyncCoordinateRateTarget", SHOW_F64, AT(sync_coordinate_rate_target)},
    F("TLSCipherSuites", show_ciphers),
    S("TLSMinVersion", tls.min_version),
    B("TLSPreferServerCipherSuites", tls.prefer_server_cipher_suites),
    M("TaggedAddresses", tagged_addresses),
    OPEN("Telemetry"),
    L("AllowedPrefixes", telemetry.allowed_prefixes),
    L("BlockedPrefixes", telemetry.blocked_prefixes),
    S("CirconusAPIApp", telemetry.circonus_api_app),
    H("CirconusAPIToken"),
    S("CirconusAPIURL", telemetry.circonus_api_url),
    S("CirconusBrokerID", telemetry.circonus_broker_id),
    S("CirconusBrokerSelectTag", telemetry.circonus_broker_select_tag),
    S("CirconusCheckDisplayName", telemetry.circonus_check_display_name),
    S("CirconusCheckForceMetricActivation", telemetry.circonus_check_force_metric_activation),
    S("CirconusCheckID", telemetry.circonus_check_id),
    S("CirconusCheckInstanceID", telemetry.circonus_check_instance_id),
    S("CirconusCheckSearchTag", telemetry.circonus_check_search_tag),
    S("CirconusCheckTags", telemetry.circonus_check_tags),
    S("CirconusSubmissionInterval", telemetry.circonus_submission_interval),
    S("CirconusSubmissionURL", telemetry.circonus_submission_url),
    C("Disable", "false"),
    B("DisableHostname", telemetry.disable_hostname),
    S("DogstatsdAddr", telemetry.dogstatsd_addr),
    L("DogstatsdTags", telemetry.dogstatsd_tags),
    B("FilterDefault", telemetry.filter_default),
    S("MetricsPrefix", telemetry.metrics_prefix),
    D("PrometheusRetentionTime", telemetry.prometheus_retention_time),
    S("StatsdAddr", telemetry.statsd_addr),
    S("StatsiteAddr", telemetry.statsite_addr),
    CLOSE,
    B("TranslateWANAddrs", translate_wan_addrs),
    N("TxnMaxReqLen", limits.txn_max_req_len),
    S("UIContentPath", ui_content_path),
    S("UIDir", ui_dir),
    S("UnixSocketGroup", unix_socket_group),
    S("UnixSocketMode", unix_socket_mode),
    S("UnixSocketUser", unix_socket_user),
    B("VerifyIncoming", tls.verify_incoming),
    B("VerifyIncomingHTTPS", tls.verify_incoming_https),
    B("VerifyIncomingRPC", tls.verify_incoming_rpc),
    B("VerifyOutgoing", tls.verify_outgoing),
    B("VerifyServerHostname", tls.verify_server_hostname),
    C("Version", "\"" CONFIG_VERSION "\""),
    C("VersionPrerelease", "\"\""),
    F("Watches", show_watches),
};

/* ---- writing ---- */

static void write_value(struct json_writer *w, const struct value *v, bool secret) {
    if (v->kind == VALUE_STRING && secret) {
        json_str(w, STR("hidden"));
    } else if (v->kind == VALUE_LIST) {
        json_open_array(w);
        for (size_t i = 0; i < v->list.len; i++)
            write_value(w, &v->list.items[i], secret);
        json_close_array(w);
    } else if (v->kind == VALUE_MAP) {
        json_open_object(w);
        for (size_t i = 0; i < v->map.len; i++) {
            json_key(w, v->map.pairs[i].key);
            write_value(w, &v->map.pairs[i].value, secret || looks_secret(v->map.pairs[i].key));
        }
        json_close_object(w);
    } else {
        json_value(w, v);
    }
}

/* "provider=aws secret_access_key=x": the values of words that look like secrets. */
static void write_words(struct json_writer *w, struct str text) {
    struct buf out = BUF_INIT;
    bool first = true;
    while (text.data != NULL) {
        struct str value = str_cut(&text, ' ');
        struct str key = str_cut(&value, '=');
        if (!first)
            buf_add_char(&out, ' ');
        first = false;
        buf_add_str(&out, key);
        if (value.data != NULL) {
            buf_add_char(&out, '=');
            buf_add_str(&out, looks_secret(key) ? STR("hidden") : value);
        }
    }
    json_str(w, buf_str(&out));
    buf_free(&out);
}

static void write_addresses(struct json_writer *w, const struct list *list, bool bare) {
    struct arena arena = ARENA_INIT;
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++) {
        const struct listen_address *a = &LIST_AT(*list, struct listen_address, i);
        json_str(w, bare ? a->text : listen_address_format(&arena, a, "tcp"));
    }
    json_close_array(w);
    arena_free(&arena);
}

static void write_strings(struct json_writer *w, const struct shown *s, const struct list *list) {
    bool joins = strncmp(s->key, "RetryJoin", 9) == 0;
    if (s->nil && !list->present) {
        json_null(w);
        return;
    }
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++) {
        if (joins)
            write_words(w, LIST_AT(*list, struct str, i));
        else
            json_str(w, LIST_AT(*list, struct str, i));
    }
    json_close_array(w);
}

static void write_entries(struct json_writer *w, const struct list *list) {
    json_open_array(w);
    for (uint32_t i = 0; i < list->len; i++)
        config_entry_write_json(w, LIST_AT(*list, struct config_entry *, i));
    json_close_array(w);
}

static void write_free(struct json_writer *w, const struct list *map) {
    json_open_object(w);
    for (uint32_t i = 0; i < map->len; i++) {
        const struct value_pair *pair = &LIST_AT(*map, struct value_pair, i);
        json_key(w, pair->key);
        write_value(w, &pair->value, looks_secret(pair->key));
    }
    json_close_object(w);
}

static void write_const(struct json_writer *w, const char *text) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct value v;
    bool ok = json_parse_whole(str_from(text), &v, &arena, &e);
    ASSERT(ok);
    json_value(w, &v);
    arena_free(&arena);
}

static void write_entry(struct json_writer *w, const struct shown *s, struct agent *agent,
                        const struct config *c) {
    struct arena arena = ARENA_INIT;
    const void *at = (const char *)c + s->offset;
    json_key(w, str_from(s->key));
    switch (s->kind) {
    case SHOW_STR:
        json_str(w, *(const struct str *)at);
        break;
    case SHOW_HIDDEN:
        json_str(w, STR("hidden"));
        break;
    case SHOW_BOOL:
        json_bool(w, *(const bool *)at);
        break;
    case SHOW_I64:
        json_i64(w, *(const int64_t *)at);
        break;
    case SHOW_INT:
        json_i64(w, *(const int *)at);
        break;
    case SHOW_F64:
        json_f64(w, *(const double *)at);
        break;
    case SHOW_DUR:
        json_str(w, duration_format(&arena, *(const int64_t *)at));
        break;
    case SHOW_STRS:
        write_strings(w, s, at);
        break;
    case SHOW_MAP:
        if (s->nil && !((const struct list *)at)->present)
            json_null(w);
        else
            write_map(w, at);
        break;
    case SHOW_ENTRIES: /* a reload changes them */
        write_entries(w, (const void *)((const char *)agent_current_config(agent) + s->offset));
        break;
    case SHOW_FREE:
        write_free(w, at);
        break;
    case SHOW_TCP:
        write_addresses(w, at, false);
        break;
    case SHOW_IPS:
        write_addresses(w, at, true);
        break;
    case SHOW_CONST:
        write_const(w, s->text);
        break;
    case SHOW_FUNCTION:
        s->function(w, agent, c);
        break;
    case SHOW_OPEN:
        json_open_object(w);
        break;
    case SHOW_CLOSE:
        break;
    }
    arena_free(&arena);
}

void agent_write_debug_config(struct json_writer *w, struct agent *agent) {
    const struct config *c = agent_config(agent);
    json_open_object(w);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (table[i].kind == SHOW_CLOSE)
            json_close_object(w);
        else
            write_entry(w, &table[i], agent, c);
    }
    json_close_object(w);
}

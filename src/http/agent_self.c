/* GET /v1/agent/self: who this agent is, and how it is (agent.md 1.3). */
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "http/agent_work.h"
#include "http/authorize.h"
#include "server/raft_driver.h"

static void key_text(struct json_writer *w, const char *key, const char *value) {
    agent_key_str(w, key, str_from(value));
}
/* Statistics are strings. */
static void key_count(struct json_writer *w, const char *key, uint64_t value) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    key_text(w, key, text);
}

/* ---- self ---- */

static void write_config(struct json_writer *w, struct agent *agent, const struct config *c) {
    json_key(w, STR("Config"));
    json_open_object(w);
    agent_key_str(w, "Datacenter", c->datacenter);
    agent_key_str(w, "NodeName", c->node_name);
    agent_key_str(w, "NodeID", agent_node_id(agent));
    key_text(w, "Revision", "");
    json_key(w, STR("Server"));
    json_bool(w, c->server_mode);
    key_text(w, "Version", CONFIG_VERSION);
    json_close_object(w);
}

static void write_coordinate(struct json_writer *w, struct agent *agent, const struct config *c) {
    json_key(w, STR("Coord"));
    if (c->disable_coordinates)
        json_null(w);
    else
        agent_write_coordinate(w, agent);
}

static const char *acl_mode(const struct server *server, const struct config *c) {
    return !c->acl.enabled ? "disabled" : server_acl_is_legacy(server) ? "legacy" : "enabled";
}

static void write_server_stats(struct json_writer *w, struct server *server,
                               const struct config *c) {
    struct arena arena = ARENA_INIT;
    struct peer_datacenter *datacenters;
    char leader[64];
    size_t len = server_leader_address(server, leader);
    key_text(w, "acl", acl_mode(server, c));
    key_text(w, "bootstrap", c->bootstrap ? "true" : "false");
    key_count(w, "known_datacenters",
              peers_datacenters(server_peers(server), &arena, &datacenters));
    key_text(w, "leader", server_is_leader(server) ? "true" : "false");
    agent_key_str(w, "leader_addr", str_of(leader, len));
    key_text(w, "server", "true");
    arena_free(&arena);
}

static void write_client_stats(struct json_writer *w, struct server *server,
                               const struct config *c) {
    struct arena arena = ARENA_INIT;
    const struct peer **order;
    size_t count = peers_order(server_peers(server), c->datacenter, &arena, &order);
    key_text(w, "acl", acl_mode(server, c));
    key_count(w, "known_servers", count);
    key_text(w, "server", "false");
    peers_list_release(order, count);
    arena_free(&arena);
}

static void write_consul_stats(struct json_writer *w, struct server *server,
                               const struct config *c) {
    json_key(w, STR("consul"));
    json_open_object(w);
    if (c->server_mode)
        write_server_stats(w, server, c);
    else
        write_client_stats(w, server, c);
    json_close_object(w);
}

static void write_raft_stats(struct json_writer *w, struct server *server, struct arena *arena) {
    struct raft_driver_stat stats[RAFT_DRIVER_STATS];
    struct raft_driver *driver = server_driver(server);
    if (driver == NULL)
        return; /* a client agent */
    json_key(w, STR("raft"));
    json_open_object(w);
    raft_driver_stats(driver, arena, stats);
    for (size_t i = 0; i < RAFT_DRIVER_STATS; i++)
        agent_key_str(w, stats[i].key, stats[i].value);
    json_close_object(w);
}

static void write_runtime_stats(struct json_writer *w) {
    struct utsname name;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const char *arch = uname(&name) != 0                      ? "unknown"
                       : strcmp(name.machine, "x86_64") == 0  ? "amd64"
                       : strcmp(name.machine, "aarch64") == 0 ? "arm64"
                                                              : name.machine;
    json_key(w, STR("runtime"));
    json_open_object(w);
    key_text(w, "arch", arch);
    key_count(w, "cpu_count", (uint64_t)cores);
    key_count(w, "goroutines", (uint64_t)cores + 3);
    key_count(w, "max_procs", (uint64_t)cores);
    key_text(w, "os", "linux");
    key_text(w, "version", "go: none, C17"); /* scripts look for the first two letters */
    json_close_object(w);
}

static void write_stats(struct agent_work *work, struct json_writer *w, const struct config *c) {
    struct http_request *r = work->r;
    json_key(w, STR("Stats"));
    json_open_object(w);
    json_key(w, STR("agent"));
    json_open_object(w);
    key_count(w, "check_monitors", local_script_count(work->local));
    key_count(w, "check_ttls", local_ttl_count(work->local));
    key_count(w, "checks", local_check_count(work->local));
    key_count(w, "services", local_service_count(work->local));
    json_close_object(w);
    json_key(w, STR("build"));
    json_open_object(w);
    key_text(w, "prerelease", "");
    key_text(w, "revision", "");
    key_text(w, "version", CONFIG_VERSION);
    json_close_object(w);
    write_consul_stats(w, r->server, c);
    write_raft_stats(w, r->server, &r->arena);
    write_runtime_stats(w);
    agent_write_pool_stats(w, r->agent, MEMBERSHIP_LAN);
    agent_write_pool_stats(w, r->agent, MEMBERSHIP_WAN);
    json_close_object(w);
}

static void write_meta(struct json_writer *w, const struct config *c) {
    struct str added = STR("consul-network-segment");
    bool written = false;
    json_key(w, STR("Meta"));
    json_open_object(w);
    for (uint32_t i = 0; i <= c->node_meta.len; i++) {
        const struct str_pair *pair =
            i < c->node_meta.len ? &LIST_AT(c->node_meta, struct str_pair, i) : NULL;
        if (!written && (pair == NULL || str_compare(pair->key, added) > 0)) {
            json_key(w, added);
            json_str(w, c->segment_name);
            written = true;
        }
        if (pair != NULL) {
            json_key(w, pair->key);
            json_str(w, pair->value);
        }
    }
    json_close_object(w);
}

/* Which proxies the gRPC port is made for. */
static void write_xds(struct json_writer *w) {
    static const char *const envoy[] = {"1.14.5", "1.13.6", "1.12.7", "1.11.2"};
    json_key(w, STR("xDS"));
    json_open_object(w);
    json_key(w, STR("SupportedProxies"));
    json_open_object(w);
    json_key(w, STR("envoy"));
    json_open_array(w);
    for (size_t i = 0; i < COUNT_OF(envoy); i++)
        json_str(w, str_from(envoy[i]));
    json_close_array(w);
    json_close_object(w);
    json_close_object(w);
}

static bool write_self(struct agent_work *work, struct error *e) {
    (void)e;
    struct agent *agent = work->r->agent;
    const struct config *c = agent_config(agent);
    struct json_writer *w = http_json_begin(work->r);
    json_open_object(w);
    write_config(w, agent, c);
    json_key(w, STR("DebugConfig"));
    agent_write_debug_config(w, agent);
    write_coordinate(w, agent, c);
    json_key(w, STR("Member"));
    agent_write_self_member(w, agent);
    write_stats(work, w, c);
    write_meta(w, agent_current_config(agent));
    if (agent_proxies(agent) != NULL)
        write_xds(w);
    json_close_object(w);
    return true;
}

static void self_authorized(struct http_request *r) {
    if (http_permit(r, ACL_AGENT, ACL_READ, r->config->node_name))
        agent_work_start(r, write_self, agent_work_answer_json, false, NULL);
}

void agent_self(struct http_request *r) {
    http_authorize(r, self_authorized);
}

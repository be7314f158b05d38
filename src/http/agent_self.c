/* GET /v1/agent/self and /members: who this agent is, and how it is (agent.md 1.3, 1.6).
 */
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "http/agent_work.h"
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

/* ---- the member ---- */

static void write_tags(struct json_writer *w, struct agent *agent, const struct config *c,
                       bool wan) {
    char text[24];
    json_key(w, STR("Tags"));
    json_open_object(w);
    key_text(w, "acls", c->acl.enabled ? "1" : "0");
    if (c->bootstrap)
        key_text(w, "bootstrap", "1");
    key_text(w, "build", CONFIG_VERSION ":");
    agent_key_str(w, "dc", c->datacenter);
    if (c->bootstrap_expect > 0)
        key_count(w, "expect", (uint64_t)c->bootstrap_expect);
    key_text(w, "ft_fs", "1");
    agent_key_str(w, "id", agent_node_id(agent));
    if (c->non_voting_server)
        key_text(w, "nonvoter", "1");
    snprintf(text, sizeof(text), "%d", c->server_port);
    key_text(w, "port", text);
    key_text(w, "raft_vsn", "3");
    key_text(w, "role", "consul");
    agent_key_str(w, "segment", c->segment_name);
    key_text(w, "vsn", "2");
    key_text(w, "vsn_max", "3");
    key_text(w, "vsn_min", "2");
    snprintf(text, sizeof(text), "%d", c->serf_port_wan);
    if (!wan && c->serf_port_wan > 0)
        key_text(w, "wan_join_port", text);
    json_close_object(w);
}

void agent_write_member(struct json_writer *w, struct agent *agent, const struct config *c,
                        bool wan) {
    struct arena arena = ARENA_INIT;
    json_open_object(w);
    agent_key_str(
        w, "Name",
        wan ? str_format(&arena, STR_FMT "." STR_FMT, STR_ARG(c->node_name), STR_ARG(c->datacenter))
            : c->node_name);
    agent_key_str(w, "Addr", wan ? c->advertise_addr_wan : c->advertise_addr_lan);
    agent_key_i64(w, "Port", wan ? c->serf_port_wan : c->serf_port_lan);
    write_tags(w, agent, c, wan);
    agent_key_i64(w, "Status", 1);
    agent_key_i64(w, "ProtocolMin", 1);
    agent_key_i64(w, "ProtocolMax", 5);
    agent_key_i64(w, "ProtocolCur", 2);
    agent_key_i64(w, "DelegateMin", 2);
    agent_key_i64(w, "DelegateMax", 5);
    agent_key_i64(w, "DelegateCur", 4);
    json_close_object(w);
    arena_free(&arena);
}

void agent_members(struct http_request *r) {
    bool wan = http_param(r, "wan").len > 0;
    struct str segment = http_param(r, "segment");
    bool all = segment.len == 0 || str_is(segment, "_all");
    if (wan && !all) {
        http_answer_text(r, 400, STR("Cannot provide a segment with wan=true"));
        return;
    }
    if (!all) {
        http_answer_text(r, 500,
                         STR("Network segments are not supported in this version of Consul"));
        return;
    }
    struct json_writer *w = http_json_begin(r);
    json_open_array(w);
    if (!wan || agent_config(r->agent)->serf_port_wan > 0)
        agent_write_member(w, r->agent, agent_config(r->agent), wan);
    json_close_array(w);
    http_answer_json_written(r, 200);
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

/* One agent alone stays where every coordinate begins. */
static void write_coordinate(struct json_writer *w, const struct config *c) {
    json_key(w, STR("Coord"));
    if (c->disable_coordinates) {
        json_null(w);
        return;
    }
    json_open_object(w);
    json_key(w, STR("Vec"));
    json_open_array(w);
    for (int i = 0; i < 8; i++)
        json_f64(w, 0);
    json_close_array(w);
    json_key(w, STR("Error"));
    json_f64(w, 1.5);
    json_key(w, STR("Adjustment"));
    json_f64(w, 0);
    json_key(w, STR("Height"));
    json_f64(w, 1e-5);
    json_close_object(w);
}

static void write_consul_stats(struct json_writer *w, struct server *server,
                               const struct config *c) {
    char leader[64];
    size_t len = server_leader_address(server, leader);
    json_key(w, STR("consul"));
    json_open_object(w);
    key_text(w, "acl", c->acl.enabled ? "enabled" : "disabled");
    key_text(w, "bootstrap", c->bootstrap ? "true" : "false");
    key_text(w, "known_datacenters", "1");
    key_text(w, "leader", server_is_leader(server) ? "true" : "false");
    agent_key_str(w, "leader_addr", str_of(leader, len));
    key_text(w, "server", "true");
    json_close_object(w);
}

static void write_raft_stats(struct json_writer *w, struct server *server, struct arena *arena) {
    struct raft_driver_stat stats[RAFT_DRIVER_STATS];
    struct raft_driver *driver = server_driver(server);
    json_key(w, STR("raft"));
    json_open_object(w);
    if (driver != NULL) {
        raft_driver_stats(driver, arena, stats);
        for (size_t i = 0; i < RAFT_DRIVER_STATS; i++)
            agent_key_str(w, stats[i].key, stats[i].value);
    }
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
    key_text(w, "version", "C17");
    json_close_object(w);
}

static void write_serf_stats(struct json_writer *w, const char *pool) {
    static const struct {
        const char *key, *value;
    } stats[] = {
        {"coordinate_resets", "0"}, {"encrypted", "false"}, {"event_queue", "0"},
        {"event_time", "1"},        {"failed", "0"},        {"health_score", "0"},
        {"intent_queue", "0"},      {"left", "0"},          {"member_time", "1"},
        {"members", "1"},           {"query_queue", "0"},   {"query_time", "1"},
    };
    json_key(w, str_from(pool));
    json_open_object(w);
    for (size_t i = 0; i < COUNT_OF(stats); i++)
        key_text(w, stats[i].key, stats[i].value);
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
    write_serf_stats(w, "serf_lan");
    if (c->serf_port_wan > 0)
        write_serf_stats(w, "serf_wan");
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

static bool write_self(struct agent_work *work, struct error *e) {
    (void)e;
    struct agent *agent = work->r->agent;
    const struct config *c = agent_config(agent);
    struct json_writer *w = http_json_begin(work->r);
    json_open_object(w);
    write_config(w, agent, c);
    json_key(w, STR("DebugConfig"));
    agent_write_debug_config(w, agent);
    write_coordinate(w, c);
    json_key(w, STR("Member"));
    agent_write_member(w, agent, c, false);
    write_stats(work, w, c);
    write_meta(w, c);
    json_close_object(w);
    return true;
}

void agent_self(struct http_request *r) {
    agent_work_start(r, write_self, agent_work_answer_json, false, NULL);
}

/* /v1/agent/members, join and force-leave, and what /v1/agent/self says of the pools (agent.md 1.3,
 * 1.6). The pools are the core's.
 */
#include "agent/cluster.h"
#include "base/log.h"
#include "base/mem.h"
#include "gossip/tags.h"
#include "http/agent_work.h"
#include "http/authorize.h"
#include "http/room.h"

/* ---- members as JSON ---- */

static void write_tags(struct json_writer *w, struct str meta) {
    struct arena arena = ARENA_INIT;
    struct gossip_tag *tags;
    size_t len = gossip_tags_read(meta, &tags, &arena);
    json_key(w, STR("Tags"));
    json_open_object(w);
    for (size_t i = 0; i < len; i++) {
        json_key(w, tags[i].name);
        json_str(w, tags[i].value);
    }
    json_close_object(w);
    arena_free(&arena);
}

static void write_member(struct json_writer *w, const struct gossip_member *m) {
    char ip[GOSSIP_ADDRESS_TEXT];
    json_open_object(w);
    agent_key_str(w, "Name", m->name);
    agent_key_str(w, "Addr", gossip_address_ip(&m->address, ip));
    agent_key_i64(w, "Port", m->address.port);
    write_tags(w, m->meta);
    agent_key_i64(w, "Status", m->status);
    agent_key_i64(w, "ProtocolMin", m->versions[GOSSIP_PMIN]);
    agent_key_i64(w, "ProtocolMax", m->versions[GOSSIP_PMAX]);
    agent_key_i64(w, "ProtocolCur", m->versions[GOSSIP_PCUR]);
    agent_key_i64(w, "DelegateMin", m->versions[GOSSIP_DMIN]);
    agent_key_i64(w, "DelegateMax", m->versions[GOSSIP_DMAX]);
    agent_key_i64(w, "DelegateCur", m->versions[GOSSIP_DCUR]);
    json_close_object(w);
}

static const struct gossip *pool_of(struct agent *agent, enum membership_pool pool) {
    struct gossip_driver *d = membership_pool(server_membership(agent_server(agent)), pool);
    return d != NULL ? gossip_driver_core(d) : NULL;
}

void agent_write_self_member(struct json_writer *w, struct agent *agent) {
    struct gossip_member self;
    gossip_member_self(pool_of(agent, MEMBERSHIP_LAN), &self);
    write_member(w, &self);
}

void agent_write_coordinate(struct json_writer *w, struct agent *agent) {
    struct gossip_coordinate c = gossip_coordinate(pool_of(agent, MEMBERSHIP_LAN));
    json_open_object(w);
    json_key(w, STR("Vec"));
    json_open_array(w);
    for (size_t i = 0; i < COUNT_OF(c.vec); i++)
        json_f64(w, c.vec[i]);
    json_close_array(w);
    json_key(w, STR("Error"));
    json_f64(w, c.error);
    json_key(w, STR("Adjustment"));
    json_f64(w, c.adjustment);
    json_key(w, STR("Height"));
    json_f64(w, c.height);
    json_close_object(w);
}

static void key_count(struct json_writer *w, const char *key, uint64_t value) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    agent_key_str(w, key, str_from(text));
}

void agent_write_pool_stats(struct json_writer *w, struct agent *agent, enum membership_pool pool) {
    const struct gossip *g = pool_of(agent, pool);
    if (g == NULL)
        return;
    struct gossip_stats s = gossip_get_stats(g);
    json_key(w, pool == MEMBERSHIP_WAN ? STR("serf_wan") : STR("serf_lan"));
    json_open_object(w);
    key_count(w, "coordinate_resets", s.coordinate_resets);
    agent_key_str(w, "encrypted", s.encrypted ? STR("true") : STR("false"));
    key_count(w, "event_queue", s.event_queue);
    key_count(w, "event_time", s.event_time);
    key_count(w, "failed", s.failed);
    key_count(w, "health_score", s.health_score);
    key_count(w, "intent_queue", s.intent_queue);
    key_count(w, "left", s.left);
    key_count(w, "member_time", s.member_time);
    key_count(w, "members", s.members);
    key_count(w, "query_queue", s.query_queue);
    key_count(w, "query_time", s.query_time);
    json_close_object(w);
}

/* ---- members ---- */

static bool write_members(struct agent_work *work, struct error *e) {
    struct http_request *r = work->r;
    struct json_writer *w = http_json_begin(r);
    enum membership_pool pool = http_param(r, "wan").len > 0 ? MEMBERSHIP_WAN : MEMBERSHIP_LAN;
    struct membership *m = server_membership(r->server);
    struct gossip_member *members;
    (void)e;
    if (membership_pool(m, pool) == NULL) {
        json_null(w);
        return true;
    }
    struct arena arena = ARENA_INIT;
    size_t count = membership_members(m, pool, &arena, &members);
    json_open_array(w);
    for (size_t i = 0; i < count; i++)
        if (authorizer_may(http_may(r), ACL_NODE, ACL_READ, members[i].name))
            write_member(w, &members[i]);
    json_close_array(w);
    arena_free(&arena);
    return true;
}

static void members_authorized(struct http_request *r) {
    agent_work_start(r, write_members, agent_work_answer_json, false, NULL);
}

void agent_members(struct http_request *r) {
    bool wan = http_param(r, "wan").len > 0;
    struct str segment = http_param(r, "segment");
    bool all = segment.len == 0 || str_is(segment, "_all");
    if (wan && !all) {
        http_answer_text(r, 400, STR("Cannot provide a segment with wan=true"));
        return;
    }
    if (!all && !r->config->server_mode) {
        http_answer_format(r, 500, "segment " STR_FMT " not found",
                           STR_ARG(str_quote(&r->arena, segment)));
        return;
    }
    if (!all) {
        http_answer_fault(r, 500,
                          STR("Network segments are not supported in this version of Consul"));
        return;
    }
    http_authorize(r, members_authorized);
}

/* ---- join ---- */

static void joined(void *owner, size_t count, struct str error) {
    struct agent_work *work = owner;
    if (count == 0)
        error_set(&work->error, ERROR_INTERNAL, STR_FMT, STR_ARG(error));
    agent_work_end(work, count > 0);
}

static bool join(struct agent_work *work, struct error *e) {
    struct http_request *r = work->r;
    bool wan = str_is(http_param(r, "wan"), "1");
    (void)e;
    work->later = true;
    cluster_join(agent_cluster(r->agent), wan ? MEMBERSHIP_WAN : MEMBERSHIP_LAN, &r->argument, 1,
                 joined, work);
    return true;
}

static void join_authorized(struct http_request *r) {
    if (!http_permit(r, ACL_AGENT, ACL_WRITE, r->config->node_name))
        return;
    if (str_is(http_param(r, "wan"), "1") && cluster_wan_is_federated(agent_cluster(r->agent)))
        http_answer_text(r, 500, STR(CLUSTER_WAN_FEDERATED));
    else
        agent_work_start(r, join, NULL, false, NULL);
}

void agent_join(struct http_request *r) {
    http_authorize(r, join_authorized);
}

/* ---- force-leave ---- */

static void forced(void *owner, struct str error) {
    struct agent_work *work = owner;
    if (error.len > 0)
        error_set(&work->error, ERROR_INTERNAL, STR_FMT, STR_ARG(error));
    agent_work_end(work, error.len == 0);
}

static bool force_leave(struct agent_work *work, struct error *e) {
    struct http_request *r = work->r;
    (void)e;
    work->later = true;
    log_at(LOG_INFO, "agent", "Force leaving node", LOG_S("node", r->argument));
    membership_force_leave(server_membership(r->server), r->argument, http_has_param(r, "prune"),
                           forced, work);
    return true;
}

static void force_leave_authorized(struct http_request *r) {
    if (http_permit_operator(r, ACL_WRITE))
        agent_work_start(r, force_leave, NULL, false, NULL);
}

void agent_force_leave(struct http_request *r) {
    http_authorize(r, force_leave_authorized);
}

/* Status and Operator (rpc.md 6.1, 6.8). */
#include "base/log.h"
#include "server/autopilot.h"
#include "server/endpoint.h"
#include "server/permit.h"
#include "store/autopilot.h"

/* ---- Status ---- */

static bool ping_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)c;
    (void)request;
    (void)reply;
    (void)e;
    return true;
}

static bool leader_read(struct call_context *c, const void *request, void *reply, struct error *e) {
    (void)request;
    (void)e;
    char address[64];
    size_t len = server_leader_address(c->server, address);
    *(struct str *)reply = str_copy(c->arena, str_of(address, len));
    return true;
}

static bool peers_core(struct call_context *c, void *request, void *reply, struct error *e) {
    (void)request;
    (void)e;
    struct list *out = reply;
    struct raft_driver_configuration configuration;
    raft_driver_configuration(c->server->driver, c->arena, &configuration);
    *out = LIST_NEW(c->arena, struct str, configuration.len);
    for (size_t i = 0; i < configuration.len; i++) {
        LIST_AT(*out, struct str, i) = str_copy(c->arena, configuration.servers[i].address);
    }
    return true;
}

static bool raft_stats_read(struct call_context *c, const void *request, void *reply,
                            struct error *e) {
    (void)request;
    (void)e;
    struct raft_stats *out = reply;
    const struct raft_driver *driver = c->server->driver;
    int64_t contact = raft_driver_last_contact(driver);
    out->last_contact = STR("0");
    if (contact < 0) {
        out->last_contact = STR("never");
    } else if (!raft_driver_is_leader(driver)) {
        out->last_contact = duration_format(c->arena, contact);
    }
    out->last_index = raft_driver_last_index(driver);
    out->last_term = raft_driver_last_term(driver);
    return true;
}

const struct endpoint endpoint_status_ping = {
    .name = "Status.Ping",
    .kind = ENDPOINT_LOCAL,
    .request = &empty_struct_shape,
    ENDPOINT_NOWHERE,
    ENDPOINT_REPLY(empty_struct),
    .read = ping_read,
};

const struct endpoint endpoint_status_leader = {
    .name = "Status.Leader",
    .kind = ENDPOINT_LOCAL,
    .request = &dc_request_shape,
    .datacenter = offsetof(struct dc_request, datacenter),
    .options = offsetof(struct dc_request, options),
    .meta = -1,
    .token = -1,
    ENDPOINT_REPLY_TYPE(str_reply_type, struct str),
    .read = leader_read,
};

const struct endpoint endpoint_status_peers = {
    .name = "Status.Peers",
    .kind = ENDPOINT_LOCAL,
    .request = &dc_request_shape,
    .datacenter = offsetof(struct dc_request, datacenter),
    .options = offsetof(struct dc_request, options),
    .meta = -1,
    .token = -1,
    ENDPOINT_REPLY_TYPE(str_list_reply_type, struct list),
    .core = peers_core,
};

const struct endpoint endpoint_status_raft_stats = {
    .name = "Status.RaftStats",
    .kind = ENDPOINT_LOCAL,
    .request = &empty_struct_shape,
    ENDPOINT_NOWHERE,
    ENDPOINT_REPLY(raft_stats),
    .read = raft_stats_read,
};

/* ---- Operator ---- */

static bool configuration_core(struct call_context *c, void *request, void *reply,
                               struct error *e) {
    (void)request;
    struct raft_configuration_response *out = reply;
    const struct server_options *o = server_options(c->server);
    struct raft_driver_configuration configuration;
    if (!permit_operator(c, ACL_READ, e)) {
        return false;
    }
    raft_driver_configuration(c->server->driver, c->arena, &configuration);
    out->servers = LIST_NEW(c->arena, struct raft_server *, configuration.len);
    for (size_t i = 0; i < configuration.len; i++) {
        const struct raft_driver_server *from = &configuration.servers[i];
        struct raft_server *to = ARENA_NEW(c->arena, struct raft_server);
        const struct peer *peer = peers_by_address(c->server->peers, from->address);
        to->address = str_copy(c->arena, from->address);
        to->id = str_copy(c->arena, from->id);
        to->leader = from->leader;
        to->node = STR("(unknown)");
        to->protocol_version = STR("unknown");
        to->voter = from->suffrage == RAFT_DRIVER_VOTER;
        if (str_eq(from->id, o->node_id)) {
            to->node = o->node_name;
            to->protocol_version = STR("3");
        } else if (peer != NULL && atomic_load(&c->server->gossip)) {
            to->node = str_copy(c->arena, peer->name);
            to->protocol_version = str_format(c->arena, "%d", peer->raft_version);
        }
        peer_release(peer);
        LIST_AT(out->servers, struct raft_server *, i) = to;
    }
    return true;
}

struct peer_removal {
    struct raft_proposal proposal;
    struct call *call;
};

static void removal_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct peer_removal *r = CONTAINER_OF(p, struct peer_removal, proposal);
    struct call *c = r->call;
    server_publish(c->server, NULL);
    if (error_is_set(&outcome->error)) {
        error_copy(&c->answer->error, &outcome->error);
    }
    call_send_back(c);
}

static void remove_peer(struct call *c, bool by_id) {
    const struct raft_remove_peer_request *r = c->request;
    struct arena *arena = &c->answer->arena;
    struct raft_driver *driver = c->server->driver;
    struct raft_driver_configuration configuration;
    struct str wanted = by_id ? r->id : r->address;
    if (!authorizer_may_operator(authorization_may(c->who), ACL_WRITE)) {
        permit_deny(&c->answer->error);
        call_send_back(c);
        return;
    }
    raft_driver_configuration(driver, arena, &configuration);
    for (size_t i = 0; i < configuration.len; i++) {
        const struct raft_driver_server *s = &configuration.servers[i];
        if (str_eq(by_id ? s->id : s->address, wanted)) {
            struct peer_removal *removal = ARENA_NEW(arena, struct peer_removal);
            removal->proposal.done = removal_done;
            removal->call = c;
            log_at(LOG_WARN, "agent.server", "Removed Raft peer", LOG_S("id", s->id));
            raft_driver_change_membership(driver, &removal->proposal, RAFT_DRIVER_REMOVE, s->id,
                                          STR(""), 0);
            return;
        }
    }
    error_set(&c->answer->error, ERROR_INTERNAL,
              "%s " STR_FMT " was not found in the Raft configuration", by_id ? "id" : "address",
              STR_ARG(str_quote(arena, wanted)));
    call_send_back(c);
}

static void remove_by_address(struct call *c) {
    remove_peer(c, false);
}

static void remove_by_id(struct call *c) {
    remove_peer(c, true);
}

static bool health_core(struct call_context *c, void *request, void *reply, struct error *e) {
    (void)request;
    return permit_operator(c, ACL_READ, e) &&
           autopilot_health(c->server->autopilot, c->arena, reply, e);
}

static bool autopilot_get_read(struct call_context *c, const void *request, void *reply,
                               struct error *e) {
    (void)request;
    struct autopilot_config *config = NULL;
    if (!permit_operator(c, ACL_READ, e)) {
        return false;
    }
    autopilot_config_get(c->store, &config);
    if (config == NULL) {
        return error_set(e, ERROR_INTERNAL, "autopilot config not initialized yet");
    }
    *(struct autopilot_config *)reply = *config;
    return true;
}

static bool autopilot_set_prepare(struct call_context *c, void *request, struct buf *entry,
                                  struct error *e) {
    if (!permit_operator(c, ACL_WRITE, e)) {
        return false;
    }
    endpoint_entry(entry, ENTRY_AUTOPILOT, &autopilot_set_request_shape, request);
    return true;
}

static bool autopilot_set_finish(struct call_context *c, const void *request,
                                 const struct store_result *result, void *reply, struct error *e) {
    (void)c;
    (void)request;
    (void)e;
    *(bool *)reply = result->kind == STORE_RESULT_BOOL && result->boolean;
    return true;
}

const struct endpoint endpoint_operator_raft_configuration = {
    .name = "Operator.RaftGetConfiguration",
    .kind = ENDPOINT_CORE,
    .request = &dc_request_shape,
    .datacenter = offsetof(struct dc_request, datacenter),
    .options = offsetof(struct dc_request, options),
    .meta = -1,
    .token = offsetof(struct dc_request, options.token),
    ENDPOINT_REPLY(raft_configuration_response),
    .core = configuration_core,
};

#define REMOVES_PEER(wire)                                                                         \
    .name = (wire), .kind = ENDPOINT_CORE, .request = &raft_remove_peer_request_shape,             \
    .datacenter = offsetof(struct raft_remove_peer_request, datacenter), .options = -1,            \
    .meta = -1, .token = offsetof(struct raft_remove_peer_request, write.token)

const struct endpoint endpoint_operator_raft_remove_by_address = {
    REMOVES_PEER("Operator.RaftRemovePeerByAddress"),
    ENDPOINT_REPLY(empty_struct),
    .begin = remove_by_address,
};

const struct endpoint endpoint_operator_raft_remove_by_id = {
    REMOVES_PEER("Operator.RaftRemovePeerByID"),
    ENDPOINT_REPLY(empty_struct),
    .begin = remove_by_id,
};

/* options -1: always the leader, whatever ?stale says. */
const struct endpoint endpoint_operator_server_health = {
    .name = "Operator.ServerHealth",
    .kind = ENDPOINT_CORE,
    .request = &dc_request_shape,
    .datacenter = offsetof(struct dc_request, datacenter),
    .options = -1,
    .meta = -1,
    .token = offsetof(struct dc_request, options.token),
    ENDPOINT_REPLY(operator_health_reply),
    .core = health_core,
};

const struct endpoint endpoint_operator_autopilot_get = {
    .name = "Operator.AutopilotGetConfiguration",
    .kind = ENDPOINT_READ,
    .request = &dc_request_shape,
    .datacenter = offsetof(struct dc_request, datacenter),
    .options = offsetof(struct dc_request, options),
    .meta = -1,
    .token = offsetof(struct dc_request, options.token),
    ENDPOINT_REPLY(autopilot_config),
    .read = autopilot_get_read,
};

const struct endpoint endpoint_operator_autopilot_set = {
    ENDPOINT_WRITES("Operator.AutopilotSetConfiguration", autopilot_set_request),
    ENDPOINT_REPLY_TYPE(bool_reply_type, bool),
    .prepare = autopilot_set_prepare,
    .finish = autopilot_set_finish,
};

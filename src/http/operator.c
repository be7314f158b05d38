/* /v1/operator: http-core.md 11.12 and 11.13. The keyring is keyring.c's. */
#include "http/records.h"
#include "http/room.h"

#include "base/time.h"
#include "gossip/gossip.h"
#include "server/autopilot.h"

/* ---- raft ---- */

static void write_raft(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    schema_write_json(w, &raft_configuration_response_shape, reply);
}

static struct dc_request *dc_question(struct http_request *r) {
    struct dc_request *q = ARENA_NEW(&r->arena, struct dc_request);
    q->datacenter = http_datacenter(r);
    if (!http_read_options(r, &q->options))
        return NULL;
    q->options.filter = STR("");
    return q;
}

static void raft_configuration(struct http_request *r) {
    struct dc_request *q = dc_question(r);
    if (q != NULL)
        http_call_json(r, &endpoint_operator_raft_configuration, q, 0, write_raft);
}

static void peer_removed(struct http_request *r, struct answer *a) {
    (void)a;
    http_answer_empty(r, 200);
}

static void raft_peer(struct http_request *r) {
    struct raft_remove_peer_request *q = ARENA_NEW(&r->arena, struct raft_remove_peer_request);
    bool by_id = http_has_param(r, "id");
    bool by_address = http_has_param(r, "address");
    struct error e = ERROR_IN(&r->arena);
    if (by_id == by_address) {
        error_set(&e, ERROR_BAD_REQUEST, "Bad request: %s",
                  by_id ? "Must specify only one of ?id or ?address"
                        : "Must specify either ?id with the server's ID or ?address with IP:port "
                          "of peer to remove");
        http_answer_error(r, &e);
        return;
    }
    q->datacenter = http_datacenter(r);
    q->write.token = http_token(r);
    if (by_id)
        q->id = http_param(r, "id");
    else
        q->address = http_param(r, "address");
    http_call(
        r, by_id ? &endpoint_operator_raft_remove_by_id : &endpoint_operator_raft_remove_by_address,
        q, peer_removed);
}

/* ---- autopilot ---- */

static void write_autopilot(struct http_request *r, const void *reply, struct json_writer *w) {
    (void)r;
    schema_write_json(w, &autopilot_config_shape, reply);
}

static void autopilot_set(struct http_request *r, struct answer *a) {
    const struct autopilot_set_request *q = r->call.request;
    http_answer_bool(r, !q->cas || *(const bool *)a->reply);
}

static void bad_request(struct http_request *r, const char *what, struct str text) {
    struct error e = ERROR_IN(&r->arena);
    error_set(&e, ERROR_BAD_REQUEST, "Bad request: %s: " STR_FMT, what, STR_ARG(text));
    http_answer_error(r, &e);
}

static void autopilot_body(struct http_request *r) {
    struct autopilot_set_request *q = ARENA_NEW(&r->arena, struct autopilot_set_request);
    struct error e = ERROR_IN(&r->arena);
    struct json_options options = {.go_type = "api.AutopilotConfiguration"};
    if (!http_body_from_json(r, &autopilot_config_shape, &q->config, &options, &e)) {
        bad_request(r, "Error parsing autopilot config", e.text);
        return;
    }
    q->config.create_index = q->config.modify_index = 0;
    if (http_has_param(r, "cas")) {
        if (!http_read_u64(r, "cas", &q->config.modify_index, &e)) {
            bad_request(r, "Error parsing cas value", e.text);
            return;
        }
        q->cas = true;
    }
    q->datacenter = http_datacenter(r);
    q->write.token = http_token(r);
    http_call(r, &endpoint_operator_autopilot_set, q, autopilot_set);
}

static void autopilot_configuration(struct http_request *r) {
    if (http_method_is(r, "PUT")) {
        http_read_body(r, 0, autopilot_body);
        return;
    }
    struct dc_request *q = dc_question(r);
    if (q != NULL)
        http_call_json(r, &endpoint_operator_autopilot_get, q, 0, write_autopilot);
}

static const char *serf_status_name(int64_t status) {
    return status >= GOSSIP_STATUS_NONE && status <= GOSSIP_STATUS_FAILED
               ? gossip_status_name((enum gossip_status)status)
               : "none";
}

static void write_server_health(struct http_request *r, struct json_writer *w,
                                const struct server_health *h) {
    struct timestamp since = h->stable_since;
    since.nanoseconds = 0;
    json_open_object(w);
    json_key(w, STR("ID"));
    json_str(w, h->id);
    json_key(w, STR("Name"));
    json_str(w, h->name);
    json_key(w, STR("Address"));
    json_str(w, h->address);
    json_key(w, STR("SerfStatus"));
    json_str(w, str_from(serf_status_name(h->serf_status)));
    json_key(w, STR("Version"));
    json_str(w, h->version);
    json_key(w, STR("Leader"));
    json_bool(w, h->leader);
    json_key(w, STR("LastContact"));
    json_str(w, duration_format(&r->arena, h->last_contact));
    json_key(w, STR("LastTerm"));
    json_u64(w, h->last_term);
    json_key(w, STR("LastIndex"));
    json_u64(w, h->last_index);
    json_key(w, STR("Healthy"));
    json_bool(w, h->healthy);
    json_key(w, STR("Voter"));
    json_bool(w, h->voter);
    json_key(w, STR("StableSince"));
    json_time(w, since);
    json_close_object(w);
}

static void health_got(struct http_request *r, struct answer *a) {
    const struct operator_health_reply *reply = a->reply;
    struct json_writer *w = http_json_begin(r);
    json_open_object(w);
    json_key(w, STR("Healthy"));
    json_bool(w, reply->healthy);
    json_key(w, STR("FailureTolerance"));
    json_i64(w, reply->failure_tolerance);
    json_key(w, STR("Servers"));
    if (!reply->servers.present) {
        json_null(w);
    } else {
        json_open_array(w);
        for (uint32_t i = 0; i < reply->servers.len; i++)
            write_server_health(r, w, &LIST_AT(reply->servers, struct server_health, i));
        json_close_array(w);
    }
    json_close_object(w);
    if (reply->healthy) {
        http_answer_json_written(r, 200);
        return;
    }
    json_finish(w); /* the peer's type, unless it is compressed */
    http_answer_bytes(r, 429, r->accepts_gzip ? "application/json" : "text/plain; charset=utf-8",
                      buf_str(&r->out), false);
}

static void autopilot_health_route(struct http_request *r) {
    struct dc_request *q = dc_question(r);
    if (q != NULL)
        http_call(r, &endpoint_operator_server_health, q, health_got);
}

const struct http_route http_routes_operator[] = {
    {"/v1/operator/raft/configuration", "GET", raft_configuration, 0},
    {"/v1/operator/raft/peer", "DELETE", raft_peer, 0},
    {"/v1/operator/autopilot/configuration", "GET,PUT", autopilot_configuration, 0},
    {"/v1/operator/autopilot/health", "GET", autopilot_health_route, 0},
    {NULL, NULL, NULL, 0},
};

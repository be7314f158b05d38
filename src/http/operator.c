/* /v1/operator: http-core.md 11.12 and 11.13. The keyring and autopilot's health need the gossip
 * pool and are not here yet.
 */
#include "http/records.h"
#include "http/room.h"

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

const struct http_route http_routes_operator[] = {
    {"/v1/operator/raft/configuration", "GET", raft_configuration, 0},
    {"/v1/operator/autopilot/configuration", "GET,PUT", autopilot_configuration, 0},
    {NULL, NULL, NULL, 0},
};

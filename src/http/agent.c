/* /v1/agent: the table of its routes, and the short ones: metrics, reload, leave, join,
 * force-leave (agent.md 1).
 */
#include "agent/telemetry.h"
#include "base/mem.h"
#include "http/agent_work.h"
#include "http/authorize.h"

#define NOT_YET "is not supported yet by this version of Praetor"

/* False: answered. */
static bool may_read(struct http_request *r) {
    return http_permit(r, ACL_AGENT, ACL_READ, r->config->node_name);
}
static bool may_write(struct http_request *r) {
    return http_permit(r, ACL_AGENT, ACL_WRITE, r->config->node_name);
}

/* ---- metrics ---- */

/* Whether the client asks for the text form, in the peer's own way of looking. */
static bool wants_prometheus(const struct http_request *r) {
    if (str_is(http_param(r, "format"), "prometheus"))
        return true;
    struct str accept = http_header(r, "Accept");
    while (accept.len > 0) {
        struct str rest = str_cut(&accept, ',');
        struct str type = str_trim(str_cut(&rest, ';'));
        if (str_is(type, "application/openmetrics-text"))
            return true;
        if (str_is(type, "text/plain") && str_is(str_trim(str_cut(&rest, ';')), "version=0.4.0"))
            return true;
    }
    return false;
}

static void answer_prometheus(struct http_request *r) {
    struct buf text = BUF_INIT;
    telemetry_write_prometheus(&text);
    http_answer_bytes(r, 200, "text/plain; version=0.0.4; charset=utf-8",
                      str_copy(&r->arena, buf_str(&text)), false);
    buf_free(&text);
}

static void metrics_authorized(struct http_request *r) {
    if (!may_read(r))
        return;
    telemetry_sample_runtime();
    server_sample_metrics(r->server);
    if (wants_prometheus(r)) {
        if (agent_config(r->agent)->telemetry.prometheus_retention_time <= 0)
            http_answer_text(
                r, 415, STR("Prometheus is not enabled since its retention time is not positive"));
        else
            answer_prometheus(r);
        return;
    }
    telemetry_write_json(http_json_begin(r), r->config);
    http_answer_json_written(r, 200);
}

static void agent_metrics(struct http_request *r) {
    http_authorize(r, metrics_authorized);
}

/* ---- reload and leave ---- */

static void reloaded(void *arg) {
    struct http_request *r = arg;
    const struct error *e = r->state;
    if (error_is_set(e))
        http_answer_fault(r, 500, e->text); /* whatever was wrong */
    else
        http_answer_empty(r, 200);
}

static void reload_authorized(struct http_request *r) {
    if (!may_write(r))
        return;
    struct error *e = ARENA_NEW(&r->arena, struct error);
    *e = ERROR_IN(&r->arena);
    r->state = e;
    if (!agent_reload(r->agent, e, reloaded, r))
        http_answer_text(r, 500, STR("too many requests are waiting for the agent"));
}

static void agent_reload_now(struct http_request *r) {
    http_authorize(r, reload_authorized);
}

static void left(void *arg) {
    http_answer_empty(arg, 200);
}

static void leave_authorized(struct http_request *r) {
    if (may_write(r) && !agent_leave(r->agent, left, r))
        http_answer_text(r, 500, STR("too many requests are waiting for the agent"));
}

static void agent_leave_now(struct http_request *r) {
    http_authorize(r, leave_authorized);
}

const struct http_route http_routes_agent[] = {
    {"/v1/agent/self", "GET", agent_self, 0},
    {"/v1/agent/host", "GET", agent_host, 0},
    {"/v1/agent/maintenance", "PUT", agent_maintenance, 0},
    {"/v1/agent/reload", "PUT", agent_reload_now, 0},
    {"/v1/agent/monitor", "GET", agent_monitor, 0},
    {"/v1/agent/metrics", "GET", agent_metrics, 0},
    {"/v1/agent/members", "GET", agent_members, 0},
    {"/v1/agent/join/", "PUT", agent_join, 0},
    {"/v1/agent/leave", "PUT", agent_leave_now, 0},
    {"/v1/agent/force-leave/", "PUT", agent_force_leave, 0},
    {"/v1/agent/services", "GET", agent_services, 0},
    {"/v1/agent/service/", "GET", agent_service, 0},
    {"/v1/agent/checks", "GET", agent_checks, 0},
    {"/v1/agent/health/service/id/", "GET", agent_health_by_id, 0},
    {"/v1/agent/health/service/name/", "GET", agent_health_by_name, 0},
    {"/v1/agent/check/register", "PUT", agent_check_register, 0},
    {"/v1/agent/check/deregister/", "PUT", agent_check_deregister, 0},
    {"/v1/agent/check/pass/", "PUT", agent_check_pass, 0},
    {"/v1/agent/check/warn/", "PUT", agent_check_warn, 0},
    {"/v1/agent/check/fail/", "PUT", agent_check_fail, 0},
    {"/v1/agent/check/update/", "PUT", agent_check_update, 0},
    {"/v1/agent/service/register", "PUT", agent_service_register, 0},
    {"/v1/agent/service/deregister/", "PUT", agent_service_deregister, 0},
    {"/v1/agent/service/maintenance/", "PUT", agent_service_maintenance, 0},
    {"/v1/agent/token/", "PUT", agent_token_set_by_api, 0},
    {NULL, NULL, NULL, 0},
};

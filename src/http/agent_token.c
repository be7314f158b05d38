/* PUT /v1/agent/token/:kind: the agent's own tokens (acl.md 3.3). Where they are kept is
 * agent/token_store.h's.
 */
#include "agent/token_store.h"
#include "base/log.h"
#include "http/agent_work.h"
#include "http/authorize.h"
#include "schema/table.h"

struct agent_token_body {
    struct str token;
};
#define OF struct agent_token_body
static const struct field agent_token_body_fields[] = {F_STR("Token", token)};
#undef OF
SHAPE(agent_token_body, "AgentToken", .go = "api.AgentToken");

struct token_change {
    struct http_request *r;
    struct error error;
};

static void token_changed(void *arg) {
    struct token_change *change = arg;
    struct http_request *r = change->r;
    if (error_is_set(&change->error)) {
        http_answer_error(r, &change->error);
        return;
    }
    log_at(LOG_INFO, "agent", "Updated agent's ACL token", LOG_S("token", r->argument));
    http_answer_empty(r, 200);
}

static void agent_token_body_read(struct http_request *r) {
    struct agent_token_body body = {.token = STR("")};
    struct error e = ERROR_IN(&r->arena);
    enum agent_token_kind kind;
    if (!http_body_from_json(r, &agent_token_body_shape, &body, NULL, &e)) {
        http_answer_format(r, 400, "Request decode failed: " STR_FMT, STR_ARG(e.text));
        return;
    }
    if (!token_kind_find(r->argument, &kind)) {
        http_answer_format(r, 404, "Token \"" STR_FMT "\" is unknown", STR_ARG(r->argument));
        return;
    }
    struct token_change *change = ARENA_NEW(&r->arena, struct token_change);
    *change = (struct token_change){.r = r, .error = ERROR_IN(&r->arena)};
    if (!agent_set_token(r->agent, kind, body.token, &change->error, token_changed, change))
        http_answer_text(r, 500, STR("too many requests are waiting for the agent"));
}

static void token_authorized(struct http_request *r) {
    if (http_permit(r, ACL_AGENT, ACL_WRITE, r->config->node_name))
        http_read_body(r, 0, agent_token_body_read);
}

void agent_token_set_by_api(struct http_request *r) {
    if (r->config->acl.enabled)
        http_authorize(r, token_authorized);
    else
        http_answer_text(r, 401, STR("ACL support disabled"));
}

/* What is asked of a running agent, by signals on its main thread and by requests on others: to
 * read its configuration anew, to take a token, to leave (config.md 4, agent.md 8).
 */
#include "agent/agent_room.h"

#include "agent/agent_files.h"
#include "agent/auto_agent.h"
#include "agent/telemetry.h"
#include "agent/tls_load.h"
#include "agent/token_store.h"
#include "agent/watches.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/leave.h"

#define LEAVE_TIMEOUT (15 * SECOND)

/* ---- reload ---- */

static void core_reload(struct agent *agent, void *arg, uv_sem_t *over) {
    struct agent_load *job = arg;
    job->ok = local_reload(agent->local, job->config, job->e);
    if (job->ok) {
        config_release(agent->current);
        agent->current = config_hold(job->config);
    }
    uv_sem_post(over);
}

static void core_bootstrap_entries(struct agent *agent, void *arg, uv_sem_t *over) {
    const struct agent_load *job = arg;
    server_set_bootstrap_entries(agent->server, &job->config->config_entry_bootstrap);
    uv_sem_post(over);
}

/* The default or the agent token is another one. */
static void core_tokens_changed(struct agent *agent, void *arg, uv_sem_t *over) {
    (void)arg;
    if (agent->auto_agent != NULL)
        auto_agent_token_changed(agent->auto_agent);
    local_full_sync_trigger(agent->local);
    if (agent->proxies != NULL)
        proxies_changed(agent->proxies, STR_NONE);
    uv_sem_post(over);
}

static void apply_log_level(const struct config *c) {
    enum log_level level;
    if (log_level_parse(c->logging.level, &level))
        agent_set_log_level(level);
    else
        log_at(LOG_WARN, LOGGER, "Invalid log level in new configuration",
               LOG_S("level", c->logging.level));
}

static void tell_cache_options(const struct config *old, const struct config *c) {
    if (old->cache_entry_fetch_rate == c->cache_entry_fetch_rate &&
        old->cache_entry_fetch_max_burst == c->cache_entry_fetch_max_burst)
        log_at(LOG_DEBUG, LOGGER, "Cache options have not been modified");
    else
        log_at(LOG_INFO, LOGGER, "Cache options have been updated");
}

/* In the peer's order, but for TLS: the peer looks at it when it has taken all services away, and
 * does not bring them back when it is wrong. */
static bool reload_parts(struct agent *agent, const struct config *c, struct error *e) {
    apply_log_level(c);
    struct secure_settings secure;
    if (!tls_load(c, &secure, e))
        return error_prefix(e, "Failed reloading tls configuration: ");
    secure_set(server_secure(agent->server), &secure);
    tls_config_release(secure.config);
    if (token_store_load(agent->tokens, c))
        agent_on_core(agent, core_tokens_changed, NULL);
    struct agent_load job = {.config = c, .e = e};
    agent_on_core(agent, core_reload, &job);
    if (!job.ok)
        return error_prefix(e, "Failed reloading %s: ", local_loading_part(agent->local));
    if (!watches_start(agent->watches, c, e))
        return error_prefix(e, "Failed reloading watches: ");
    server_set_rpc_rate(agent->server, c->limits.rpc_rate, c->limits.rpc_max_burst);
    server_set_rpc_max_conns(agent->server, c->limits.rpc_max_conns_per_client);
    for (size_t i = 0; i < agent->interface_count; i++)
        if (!agent->interfaces[i].interface->reload(agent->interfaces[i].self, c, e))
            return false;
    agent_on_core(agent, core_bootstrap_entries, &job);
    telemetry_reload(c);
    return true;
}

bool agent_reload_here(struct agent *agent, struct error *e) {
    struct arena arena = ARENA_INIT;
    struct list warnings;
    const struct config *old = config_hold(agent->current); /* only a reload changes it */
    struct config *c = config_load(&agent->inputs, &warnings, &arena, e);
    agent_log_warnings(&warnings, false);
    arena_free(&arena);
    bool ok = c != NULL;
    if (ok) {
        config_keep_start(c, agent->config);
        agent_log_ineffective(c);
        ok = reload_parts(agent, c, e);
    }
    if (ok)
        tell_cache_options(old, c);
    config_release(old);
    config_release(c);
    return ok;
}

/* What another thread asks of the main one. */
struct main_request {
    struct message message;
    struct main_request *next;
    struct agent *agent;
    struct loop *home; /* of the caller */
    struct error *e;   /* a reload's, a token's */
    enum agent_token_kind kind;
    struct str secret;
    void (*done)(void *arg);
    void *arg;
};

static void request_answered(struct message *m) {
    struct main_request *r = CONTAINER_OF(m, struct main_request, message);
    void (*done)(void *arg) = r->done;
    void *arg = r->arg;
    mem_free(r);
    done(arg);
}

static void answer_request(struct main_request *r) {
    r->message.run = request_answered;
    loop_post_reply(r->home, &r->message);
}

static void reload_requested(struct message *m) {
    struct main_request *r = CONTAINER_OF(m, struct main_request, message);
    agent_reload_here(r->agent, r->e);
    answer_request(r);
}

static void token_requested(struct message *m) {
    struct main_request *r = CONTAINER_OF(m, struct main_request, message);
    bool changed;
    token_store_set(r->agent->tokens, r->kind, r->secret, &changed, r->e);
    if (changed)
        agent_on_core(r->agent, core_tokens_changed, NULL);
    answer_request(r);
}

static bool post_to_main(struct agent *agent, void (*run)(struct message *),
                         const struct main_request *request) {
    struct main_request *r = MEM_NEW(struct main_request);
    *r = *request;
    r->message.run = run;
    r->agent = agent;
    r->home = loop_current();
    ASSERT(r->home != NULL);
    if (loop_post(&agent->main, &r->message))
        return true;
    mem_free(r);
    return false;
}

bool agent_reload(struct agent *agent, struct error *e, void (*done)(void *arg), void *arg) {
    const struct main_request r = {.e = e, .done = done, .arg = arg};
    return post_to_main(agent, reload_requested, &r);
}

bool agent_set_token(struct agent *agent, enum agent_token_kind kind, struct str secret,
                     struct error *e, void (*done)(void *arg), void *arg) {
    const struct main_request r = {
        .e = e, .kind = kind, .secret = secret, .done = done, .arg = arg};
    return post_to_main(agent, token_requested, &r);
}

/* ---- leave ---- */

/* One leave, whoever asked for it; then the agent ends. */
struct leaving {
    struct message message;
    struct agent *agent;
    struct arena arena;
    struct str error;
};

static void answer_leaves(struct agent *agent) {
    while (agent->leave_requests != NULL) {
        struct main_request *r = agent->leave_requests;
        agent->leave_requests = r->next;
        answer_request(r);
    }
}

/* It has left, and who asked for it is answered; or the leave took too long. */
void agent_leave_over(struct loop_timer *t) {
    struct agent *agent = t->owner;
    if (!agent->has_left) {
        log_at(LOG_ERROR, LOGGER, "Timeout on graceful leave. Exiting");
        agent->exit_code = 1;
    }
    loop_stop(&agent->main);
}

static void leave_done(struct message *m) {
    struct leaving *l = CONTAINER_OF(m, struct leaving, message);
    struct agent *agent = l->agent;
    if (l->error.len > 0) {
        log_at(LOG_ERROR, LOGGER, "Error on leave", LOG_S("error", l->error));
    } else {
        agent->has_left = true;
        agent->exit_code = 0;
        log_at(LOG_INFO, LOGGER, "Graceful exit completed");
    }
    answer_leaves(agent); /* before the interfaces are told to stop, which wait for answers */
    if (agent->has_left)
        loop_timer_set(&agent->leave_timer, 0);
    arena_free(&l->arena);
    mem_free(l);
}

static void core_left(void *owner, struct str error) {
    struct leaving *l = owner;
    l->error = str_copy(&l->arena, error);
    l->message.run = leave_done;
    loop_post_reply(&l->agent->main, &l->message);
}

static void core_leave(void *arg) {
    struct leaving *l = arg;
    server_leave(l->agent->server, l->agent->config->leave_drain_time, core_left, l);
}

void agent_begin_leave(struct agent *agent) {
    struct leaving *l = MEM_NEW(struct leaving);
    l->agent = agent;
    l->arena = ARENA_INIT;
    agent->left = true;
    loop_timer_set(&agent->leave_timer, LEAVE_TIMEOUT);
    if (!server_run_on_core(agent->server, core_leave, NULL, l))
        core_left(l, STR("the agent is too busy"));
}

static void leave_requested(struct message *m) {
    struct main_request *r = CONTAINER_OF(m, struct main_request, message);
    struct agent *agent = r->agent;
    r->next = agent->leave_requests;
    agent->leave_requests = r;
    if (agent->has_left)
        answer_leaves(agent);
    else if (!agent->left)
        agent_begin_leave(agent);
}

bool agent_leave(struct agent *agent, void (*done)(void *arg), void *arg) {
    const struct main_request r = {.done = done, .arg = arg};
    return post_to_main(agent, leave_requested, &r);
}

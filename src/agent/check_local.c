/* Checks that run by themselves, as the core sees them: which kind a definition is, starting and
 * stopping with the check's registration, and what a result does to the check (agent.md 3.1, 3.2).
 */
#include "agent/check_local.h"

#include "agent/check_run.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/secure.h"

#define LOGGER "agent"

/* The core's side of one running check. */
struct check_monitor {
    struct check_run *run;
    struct local *local;
    struct str check_id; /* in the run's arena */
    int64_t successes, failures;
};

/* Which of several types runs: agent.md 2.3. NULL: none of those here. */
static const struct check_kind *kind_of(const struct check_type *t) {
    if (t->ttl > 0)
        return NULL;
    if (t->http.len > 0)
        return &check_kind_http;
    if (t->tcp.len > 0)
        return &check_kind_tcp;
    if (t->grpc.len > 0)
        return &check_kind_grpc;
    if (t->docker_container_id.len > 0 && t->script_args.len > 0)
        return &check_kind_docker;
    if (t->script_args.len > 0)
        return &check_kind_script;
    return NULL;
}

/* ---- results ---- */

/* Whether the result counts: so many in a row, the first at once. */
static bool count(struct check_monitor *m, const struct check_type *t, const struct check_run *r,
                  struct str status) {
    if (r->bypass)
        return true;
    if (r->status != CHECK_CRITICAL) {
        m->failures = 0;
        if (m->successes < t->success_before_passing)
            m->successes++;
        if (m->successes >= t->success_before_passing)
            return true;
        log_at(LOG_WARN, LOGGER, "Check passed but has not reached success threshold",
               LOG_S("check", m->check_id), LOG_S("status", status),
               LOG_I("success_count", m->successes),
               LOG_I("success_threshold", t->success_before_passing));
        return false;
    }
    m->successes = 0;
    if (m->failures < t->failures_before_critical)
        m->failures++;
    if (m->failures >= t->failures_before_critical)
        return true;
    log_at(LOG_WARN, LOGGER, "Check failed but has not reached failure threshold",
           LOG_S("check", m->check_id), LOG_S("status", status),
           LOG_I("failure_count", m->failures),
           LOG_I("failure_threshold", t->failures_before_critical));
    return false;
}

static void result(struct check_run *r) {
    static const char *const names[] = {"passing", "warning", "critical"};
    struct check_monitor *m = r->owner;
    struct local_check *c = local_check_find(m->local, m->check_id);
    if (c == NULL || c->monitor != m)
        return;
    struct str status = str_from(names[r->status]);
    if (r->status == CHECK_CRITICAL && r->kind == &check_kind_tcp)
        log_at(LOG_WARN, LOGGER, "Check socket connection failed", LOG_S("check", m->check_id),
               LOG_S("error", r->output));
    if (r->status == CHECK_CRITICAL)
        log_at(LOG_WARN, LOGGER, "Check is now critical", LOG_S("check", m->check_id));
    else
        log_at(LOG_DEBUG, LOGGER, "Check status updated", LOG_S("check", m->check_id),
               LOG_S("status", status));
    if (count(m, &r->type, r, status))
        local_check_update(m->local, c, status, r->output);
}

/* ---- life ---- */

static void ended(struct check_run *r) {
    struct check_monitor *m = r->owner;
    struct local *l = m->local;
    check_run_free(r);
    mem_free(m);
    local_closed_one(l);
}

static size_t output_limit(const struct local *l, const struct check_type *t) {
    int64_t limit = l->config->check_output_max_size;
    if (t->output_max_size > 0 && t->output_max_size < limit)
        limit = t->output_max_size;
    return limit > 0 ? (size_t)limit : 0;
}

static struct check_run *run_new(struct local *l, const struct local_check *c,
                                 const struct check_kind *kind) {
    struct check_run *r = MEM_NEW(struct check_run);
    r->check_id = str_copy(&r->arena, c->check.check_id);
    schema_copy(&check_type_shape, &r->type, &c->type, &r->arena);
    if (c->exposed_at != NULL)
        expose_rewrite(&r->type, str_from(c->exposed_at), &r->arena);
    r->kind = kind;
    r->output_limit = output_limit(l, &c->type);
    r->result = result;
    r->ended = ended;
    const struct config_tls *tls = &l->config->tls;
    if (tls->enable_agent_tls_for_checks)
        r->tls = (struct http_tls){.config = secure_config(server_secure(l->server)),
                                   .server_name = str_copy(&r->arena, tls->server_name.len > 0
                                                                          ? tls->server_name
                                                                          : l->config->node_name)};
    return r;
}

void check_start(struct local *l, struct local_check *c) {
    const struct check_kind *kind = kind_of(&c->type);
    if (kind == NULL) {
        if (c->type.ttl <= 0)
            check_alias_start(l, c);
        return;
    }
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    if (l->check_pool == NULL)
        l->check_pool = check_pool_new(l->loop, &e);
    if (l->check_pool == NULL) {
        log_at(LOG_ERROR, LOGGER, "Check cannot run", LOG_S("check", c->check.check_id),
               LOG_S("error", e.text));
        arena_free(&scratch);
        return;
    }
    struct check_monitor *m = MEM_NEW(struct check_monitor);
    m->run = run_new(l, c, kind);
    m->run->owner = m;
    m->local = l;
    m->check_id = m->run->check_id;
    /* At their thresholds, so that the first result counts. */
    m->successes = c->type.success_before_passing;
    m->failures = c->type.failures_before_critical;
    c->monitor = m;
    l->open_handles++;
    check_run_start(l->check_pool, m->run);
}

void check_stop(struct local_check *c) {
    check_alias_stop(c);
    struct check_monitor *m = c->monitor;
    if (m == NULL)
        return;
    c->monitor = NULL;
    check_run_stop(m->run);
}

size_t local_script_count(const struct local *l) {
    size_t scripts = 0;
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        const struct local_check *c = value;
        scripts += c->monitor != NULL && c->monitor->run->kind == &check_kind_script;
    }
    return scripts;
}

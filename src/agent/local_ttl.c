/* TTL checks: their timers, beats and expiry (agent.md 3.5), and services that go because a check
 * of theirs was critical for too long (3.8).
 */
#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"

#define LOGGER "agent"

struct str status_literal(struct str status) {
    static const char *const known[] = {"passing", "warning", "critical"};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (str_is(status, known[i]))
            return str_from(known[i]);
    return STR("critical");
}

static void ttl_expired(struct loop_timer *timer) {
    struct ttl_timer *t = timer->owner;
    struct local *l = t->local;
    struct local_check *c = local_check_find(l, t->check_id);
    if (c == NULL || c->ttl != t)
        return;
    log_at(LOG_WARN, LOGGER, "Check missed TTL, is now critical",
           LOG_S("check", c->check.check_id));
    struct arena scratch = ARENA_INIT;
    struct str output = STR("TTL expired");
    if (t->had_output)
        output = str_format(&scratch, "TTL expired (last output before timeout follows): " STR_FMT,
                            STR_ARG(c->check.output));
    t->had_output = false;
    local_check_update(l, c, STR("critical"), output);
    arena_free(&scratch);
}

static void ttl_closed(struct loop_timer *timer) {
    struct ttl_timer *t = CONTAINER_OF(timer, struct ttl_timer, timer);
    struct local *l = t->local;
    mem_free(t);
    local_closed_one(l);
}

void ttl_start(struct local *l, struct local_check *c) {
    struct ttl_timer *t = MEM_NEW(struct ttl_timer);
    t->local = l;
    t->ttl = c->type.ttl;
    t->check_id = c->check.check_id;
    loop_timer_init(l->loop, &t->timer, ttl_expired, t);
    l->open_handles++;
    c->ttl = t;
    loop_timer_set(&t->timer, t->ttl);
}

void ttl_stop(struct local_check *c) {
    struct ttl_timer *t = c->ttl;
    if (t == NULL)
        return;
    c->ttl = NULL;
    t->check_id = STR("");
    loop_timer_stop(&t->timer);
    loop_timer_close(&t->timer, ttl_closed);
}

void ttl_restart(struct local_check *c) {
    if (c->ttl != NULL)
        loop_timer_set(&c->ttl->timer, c->ttl->ttl);
}

bool local_update_ttl(struct local *l, struct str check_id, struct str status, struct str output,
                      struct error *e) {
    struct local_check *c = local_check_find(l, check_id);
    if (c == NULL || c->ttl == NULL)
        return error_set(e, ERROR_INTERNAL, "CheckID \"" STR_FMT "\" does not have associated TTL",
                         STR_ARG(check_id));
    int64_t limit = l->config->check_output_max_size;
    if (c->type.output_max_size > 0 && c->type.output_max_size < limit)
        limit = c->type.output_max_size;
    struct arena scratch = ARENA_INIT;
    if ((int64_t)output.len > limit)
        output = str_format(&scratch, "%.*s ... (captured %lld of %zu bytes)", (int)limit,
                            output.data, (long long)limit, output.len);
    log_at(LOG_DEBUG, LOGGER, "Check status updated", LOG_S("check", check_id),
           LOG_S("status", status));
    local_check_update(l, c, status_literal(status), output);
    c->ttl->had_output = output.len > 0;
    ttl_restart(c);
    file_store_state(l, c, c->type.ttl);
    arena_free(&scratch);
    return true;
}

/* ---- critical for too long ---- */

#define REAP_MINIMUM MINUTE

void local_reap_check(struct local_check *c) {
    int64_t *limit = &c->reap_after;
    *limit = c->type.deregister_critical_service_after;
    if (*limit <= 0 || *limit >= REAP_MINIMUM)
        return;
    *limit = REAP_MINIMUM;
    log_at(LOG_WARN, LOGGER, "check has deregister interval below minimum",
           LOG_S("check", c->check.check_id), LOG_D("minimum_interval", REAP_MINIMUM));
}

static void reap(struct loop_timer *timer) {
    struct local *l = timer->owner;
    int64_t now = time_now_monotonic();
    struct arena scratch = ARENA_INIT;
    void *value;
    struct local_check *due = NULL;
    do {
        due = NULL;
        for (size_t i = 0; due == NULL && map_next(&l->checks, &i, NULL, &value);) {
            struct local_check *c = value;
            if (!c->deleted && c->reap_after > 0 && c->critical_since != 0 &&
                c->check.service_id.len > 0 && now - c->critical_since >= c->reap_after)
                due = c;
        }
        if (due == NULL)
            break;
        struct error e = ERROR_IN(&scratch);
        struct str service = str_copy(&scratch, due->check.service_id);
        struct str check = str_copy(&scratch, due->check.check_id);
        due->critical_since = 0;
        local_deregister_service(l, service, &e);
        log_at(LOG_INFO, LOGGER,
               "Check for service has been critical for too long; deregistered service",
               LOG_S("service", service), LOG_S("check", check));
    } while (due != NULL);
    arena_free(&scratch);
    loop_timer_set(&l->reap_timer, l->config->check_reap_interval > 0
                                       ? l->config->check_reap_interval
                                       : 30 * SECOND);
}

void local_reap_start(struct local *l) {
    loop_timer_init(l->loop, &l->reap_timer, reap, l);
    l->open_handles++;
    loop_timer_set(&l->reap_timer, 30 * SECOND);
}

/* See proxy_register.h. */
#include "cli/proxy_register.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/client.h"
#include "codec/json.h"

#define COMPARE_EVERY (30 * SECOND)
#define HEARTBEAT_EVERY (10 * SECOND)
#define ASK_TIME (10 * SECOND)
#define DEREGISTER_TRIES 3
#define DEREGISTER_PAUSE (500 * MILLISECOND)

struct proxy_registration {
    struct proxy_agent *agent;
    struct arena arena;
    struct str id, name, service, host, check_id;
    int64_t port;
    struct agent_question *comparing, *beating, *leaving;
    struct loop_timer compare, beat, leave;
    unsigned tries, timers_open;
    void (*done)(void *owner);
    void *owner;
};

static void warn(const char *what, const struct error *e) {
    log_at(LOG_WARN, "proxy", what, LOG_S("error", e->text));
}

/* ---- registering ---- */

static void add_text(struct json_writer *w, const char *key, struct str value) {
    json_key(w, str_from(key));
    json_str(w, value);
}

static void write_registration(const struct proxy_registration *r, struct buf *out) {
    struct json_writer w;
    json_begin(&w, out, false);
    json_open_object(&w);
    add_text(&w, "Kind", STR("connect-proxy"));
    add_text(&w, "ID", r->id);
    add_text(&w, "Name", r->name);
    json_key(&w, STR("Port"));
    json_i64(&w, r->port);
    if (r->host.len > 0)
        add_text(&w, "Address", r->host);
    json_key(&w, STR("Check"));
    json_open_object(&w);
    add_text(&w, "CheckID", r->check_id);
    add_text(&w, "Name", STR("proxy heartbeat"));
    add_text(&w, "TTL", STR("30s"));
    add_text(&w, "Status", STR("passing"));
    add_text(&w, "Notes", STR("Built-in proxy will heartbeat this check."));
    json_close_object(&w);
    json_key(&w, STR("Proxy"));
    json_open_object(&w);
    add_text(&w, "DestinationServiceName", r->service);
    json_close_object(&w);
    json_close_object(&w);
}

static void on_registered(void *owner, struct agent_answer *answer, const struct error *e) {
    struct proxy_registration *r = owner;
    (void)answer;
    r->comparing = NULL;
    if (e != NULL)
        warn("service registration failed", e);
    else
        log_at(LOG_INFO, "proxy", "registered Consul service", LOG_S("service", r->id));
    loop_timer_set(&r->compare, COMPARE_EVERY);
}

static void register_now(struct proxy_registration *r) {
    struct buf body = BUF_INIT;
    write_registration(r, &body);
    const struct agent_ask ask = {.method = "PUT",
                                  .path = STR("/v1/agent/service/register"),
                                  .body = buf_str(&body),
                                  .timeout = ASK_TIME};
    r->comparing = agent_ask(r->agent, &ask, on_registered, r);
    buf_free(&body);
}

static bool is_there(const struct proxy_registration *r, const struct value *list) {
    for (size_t i = 0; i < value_len(list); i++) {
        const struct value *v = &list->list.items[i];
        if (str_eq(value_str(v, "ServiceID"), r->id))
            return str_eq(value_str(v, "ServiceName"), r->name) &&
                   str_eq(value_str(v, "ServiceAddress"), r->host) &&
                   (int64_t)value_u64(v, "ServicePort") == r->port;
    }
    return false;
}

static void on_catalog(void *owner, struct agent_answer *answer, const struct error *failure) {
    struct proxy_registration *r = owner;
    struct value list;
    struct error e = ERROR_IN(answer->arena);
    r->comparing = NULL;
    if (failure == NULL && json_parse_whole(answer->body, &list, answer->arena, &e) &&
        is_there(r, &list))
        loop_timer_set(&r->compare, COMPARE_EVERY);
    else
        register_now(r);
}

static void on_compare(struct loop_timer *t) {
    struct proxy_registration *r = t->owner;
    struct url_param stale = {STR("stale"), STR("")};
    const struct agent_ask ask = {
        .method = "GET",
        .path = str_format(&r->arena, "/v1/catalog/service/" STR_FMT, STR_ARG(r->name)),
        .params = &stale,
        .param_count = 1,
        .timeout = ASK_TIME};
    r->comparing = agent_ask(r->agent, &ask, on_catalog, r);
}

/* ---- the heartbeat ---- */

static void on_beaten(void *owner, struct agent_answer *answer, const struct error *e) {
    struct proxy_registration *r = owner;
    (void)answer;
    r->beating = NULL;
    if (e != NULL)
        warn("heartbeat failed", e);
    loop_timer_set(&r->beat, HEARTBEAT_EVERY);
}

static void on_beat(struct loop_timer *t) {
    struct proxy_registration *r = t->owner;
    struct url_param note = {STR("note"), STR("")};
    struct arena scratch = ARENA_INIT;
    const struct agent_ask ask = {
        .method = "PUT",
        .path = str_format(&scratch, "/v1/agent/check/pass/" STR_FMT, STR_ARG(r->check_id)),
        .params = &note,
        .param_count = 1,
        .body = STR(""),
        .timeout = ASK_TIME};
    r->beating = agent_ask(r->agent, &ask, on_beaten, r);
    arena_free(&scratch);
}

/* ---- the end ---- */

static void on_timer_closed(struct loop_timer *t) {
    struct proxy_registration *r = t->owner;
    if (--r->timers_open > 0)
        return;
    void (*done)(void *owner) = r->done;
    void *owner = r->owner;
    arena_free(&r->arena);
    mem_free(r);
    done(owner);
}

static void close_timers(struct proxy_registration *r) {
    r->timers_open = 3;
    loop_timer_close(&r->compare, on_timer_closed);
    loop_timer_close(&r->beat, on_timer_closed);
    loop_timer_close(&r->leave, on_timer_closed);
}

static void on_left(void *owner, struct agent_answer *answer, const struct error *e) {
    struct proxy_registration *r = owner;
    (void)answer;
    r->leaving = NULL;
    if (e != NULL)
        warn("service deregister failed", e);
    if (e != NULL && ++r->tries < DEREGISTER_TRIES)
        loop_timer_set(&r->leave, DEREGISTER_PAUSE);
    else
        close_timers(r);
}

static void on_leave(struct loop_timer *t) {
    struct proxy_registration *r = t->owner;
    const struct agent_ask ask = {
        .method = "PUT",
        .path = str_format(&r->arena, "/v1/agent/service/deregister/" STR_FMT, STR_ARG(r->id)),
        .body = STR(""),
        .timeout = ASK_TIME};
    r->leaving = agent_ask(r->agent, &ask, on_left, r);
}

void proxy_registration_end(struct proxy_registration *r, void (*done)(void *owner), void *owner) {
    if (r == NULL) {
        done(owner);
        return;
    }
    log_at(LOG_INFO, "proxy", "stop request received, deregistering");
    r->done = done;
    r->owner = owner;
    agent_ask_cancel(r->comparing);
    agent_ask_cancel(r->beating);
    r->comparing = r->beating = NULL;
    loop_timer_stop(&r->compare);
    loop_timer_stop(&r->beat);
    loop_timer_set(&r->leave, 0);
}

struct proxy_registration *proxy_registration_start(struct proxy_agent *a,
                                                    const struct proxy_registration_plan *plan) {
    struct proxy_registration *r = MEM_NEW(struct proxy_registration);
    struct loop *loop = proxy_agent_loop(a);
    r->agent = a;
    r->service = str_copy(&r->arena, plan->service);
    r->name = str_format(&r->arena, STR_FMT "-proxy", STR_ARG(plan->service));
    r->id = plan->suffix.len > 0 ? str_format(&r->arena, STR_FMT "-" STR_FMT, STR_ARG(r->name),
                                              STR_ARG(plan->suffix))
                                 : r->name;
    r->check_id = str_format(&r->arena, STR_FMT "-ttl", STR_ARG(r->id));
    r->host = str_copy(&r->arena, plan->host);
    r->port = plan->port;
    loop_timer_init(loop, &r->compare, on_compare, r);
    loop_timer_init(loop, &r->beat, on_beat, r);
    loop_timer_init(loop, &r->leave, on_leave, r);
    loop_timer_set(&r->compare, 0);
    loop_timer_set(&r->beat, HEARTBEAT_EVERY);
    return r;
}

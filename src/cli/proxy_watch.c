/* Watches of the built-in proxy: a blocking query, asked again as soon as it is answered, or after
 * a while when it failed. See proxy_agent.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/proxy_agent.h"
#include "codec/json.h"

#define RETRY (5 * SECOND) /* times the square of the failures in a row */
#define RETRY_MAX (180 * SECOND)
#define QUIET SECOND              /* before the next question when nothing was to wait for */
#define ANSWER_TIME (11 * MINUTE) /* servers answer within ten, whatever happens */

struct agent_watch {
    struct proxy_agent *agent;
    struct agent_watch_plan plan;
    struct arena arena; /* of the plan */
    struct agent_question *question;
    struct loop_timer timer;
    uint64_t index;
    struct buf hash;
    unsigned failures;
};

static void answered(void *owner, struct agent_answer *answer, const struct error *e);

static void ask(struct agent_watch *w) {
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)w->index);
    struct url_param since = {STR("index"), str_from(number)};
    if (w->plan.by_hash)
        since = (struct url_param){STR("hash"), buf_str(&w->hash)};
    bool waits = w->plan.by_hash ? w->hash.len > 0 : w->index > 0;
    struct agent_ask question = {.method = "GET",
                                 .path = w->plan.path,
                                 .params = &since,
                                 .param_count = waits ? 1 : 0,
                                 .timeout = ANSWER_TIME,
                                 .long_poll = true};
    w->question = agent_ask(w->agent, &question, answered, w);
}

static void on_timer(struct loop_timer *t) {
    ask(t->owner);
}

static void failed(struct agent_watch *w, const struct error *e) {
    w->failures++;
    int64_t wait = RETRY * w->failures * w->failures;
    if (w->failures >= 6 || wait > RETRY_MAX)
        wait = RETRY_MAX;
    w->index = 0;
    buf_clear(&w->hash);
    log_at(LOG_ERROR, w->plan.log, "Watch errored", LOG_S(w->plan.whose, w->plan.service),
           LOG_C("type", w->plan.kind), LOG_S("error", e->text), LOG_D("retry", wait));
    loop_timer_set(&w->timer, wait);
}

static void answered(void *owner, struct agent_answer *answer, const struct error *failure) {
    struct agent_watch *w = owner;
    struct error e = ERROR_IN(answer->arena);
    struct value now;
    w->question = NULL;
    if (failure != NULL) {
        failed(w, failure);
        return;
    }
    bool same = w->plan.by_hash ? str_eq(answer->hash, buf_str(&w->hash)) && answer->hash.len > 0
                                : answer->index == w->index && answer->index > 0;
    if (!same && (!json_parse_whole(answer->body, &now, answer->arena, &e) ||
                  !w->plan.changed(w->plan.owner, &now, answer->arena, &e))) {
        failed(w, &e);
        return;
    }
    w->failures = 0;
    w->index = answer->index >= w->index ? answer->index : 0; /* the servers began anew */
    buf_clear(&w->hash);
    buf_add_str(&w->hash, answer->hash);
    bool waits = w->plan.by_hash ? w->hash.len > 0 : w->index > 0;
    loop_timer_set(&w->timer, waits ? 0 : QUIET);
}

struct agent_watch *agent_watch_start(struct proxy_agent *a, const struct agent_watch_plan *plan) {
    struct agent_watch *w = MEM_NEW(struct agent_watch);
    w->agent = a;
    w->plan = *plan;
    w->plan.service = str_copy(&w->arena, plan->service);
    w->plan.path = str_copy(&w->arena, plan->path);
    loop_timer_init(proxy_agent_loop(a), &w->timer, on_timer, w);
    ask(w);
    return w;
}

static void on_closed(struct loop_timer *t) {
    struct agent_watch *w = t->owner;
    buf_free(&w->hash);
    arena_free(&w->arena);
    mem_free(w);
}

void agent_watch_stop(struct agent_watch *w) {
    if (w == NULL)
        return;
    agent_ask_cancel(w->question);
    loop_timer_close(&w->timer, on_closed);
}

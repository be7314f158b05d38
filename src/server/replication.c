/* See replication.h. */
#include "server/replication.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/agent_tokens.h"
#include "server/server_room.h"

#define RATE_BURST 5
#define ENTRY_PERIOD (10 * MILLISECOND)

/* ---- time ---- */

int64_t replica_backoff(unsigned failures, int64_t first, int64_t most) {
    int64_t wait = first;
    for (unsigned i = 1; i < failures && wait < most; i++)
        wait *= 2;
    return failures == 0 ? 0 : wait;
}

int64_t replica_rate_take(struct replica_rate *r, int64_t period, int64_t now) {
    if (r->at < now)
        r->at = now;
    r->at += period;
    int64_t wait = r->at - now - RATE_BURST * period;
    return wait > 0 ? wait : 0;
}

/* ---- the end of a round ---- */

static void forget_round(struct replication *r) {
    for (unsigned i = 0; i < r->questions; i++)
        answer_release(r->answers[i]);
    r->questions = 0;
    arena_free(&r->arena);
    r->arena = ARENA_INIT;
}

void replication_wait(struct replication *r, int64_t wait, replication_step *next) {
    r->next = next;
    loop_timer_set(&r->timer, wait);
}

void replication_rest(struct replication *r, int64_t wait, replication_step *next) {
    forget_round(r);
    replication_wait(r, wait, next);
}

void replication_again(struct replication *r, int64_t wait) {
    forget_round(r);
    int64_t turn = replica_rate_take(&r->rate, r->plan->period, time_now_monotonic());
    replication_wait(r, turn > wait ? turn : wait, r->plan->round);
}

void replication_failed(struct replication *r, struct str why) {
    if (why.data != NULL && !atomic_load(&r->server->stopping))
        r->plan->log_failure(r, why);
    r->last_index = 0;
    r->failures++;
    replication_again(r,
                      replica_backoff(r->failures, r->plan->backoff_first, r->plan->backoff_most));
}

void replication_succeeded(struct replication *r) {
    r->last_index = r->remote_index;
    r->failures = 0;
    replication_again(r, 0);
}

/* ---- asking the primary ---- */

struct str replication_primary(const struct replication *r) {
    return r->server->options.acl.primary_datacenter;
}

bool replication_is_wanted(const struct server *s) {
    struct str primary = s->options.acl.primary_datacenter;
    return primary.len > 0 && !str_eq(primary, s->options.datacenter);
}

struct query_options replication_options(struct replication *r) {
    return (struct query_options){
        .token = agent_token(r->server->tokens, AGENT_TOKEN_REPLICATION, &r->arena),
        .min_query_index = r->last_index};
}

static void called(struct call *c) {
    struct replication *r = c->owner;
    struct answer *a = c->answer;
    r->calling = false;
    c->answer = NULL;
    r->answers[r->questions++] = a;
    r->answered(r, a);
}

void replication_ask(struct replication *r, const struct endpoint *endpoint, void *request,
                     replication_answered *answered) {
    r->call = (struct call){
        .endpoint = endpoint, .arena = &r->arena, .request = request, .done = called, .owner = r};
    r->answered = answered;
    r->asked = time_now_monotonic();
    r->calling = true;
    call_start(r->server, &r->call);
}

/* ---- entries ---- */

struct replication_entry {
    struct raft_proposal proposal;
    struct replication *of;
    unsigned generation;
    replication_applied *applied;
};

static void entry_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct replication_entry *entry = CONTAINER_OF(p, struct replication_entry, proposal);
    struct replication *r = entry->of;
    server_publish(r->server, NULL);
    if (r->on && entry->generation == r->generation)
        entry->applied(r, outcome);
    mem_free(entry);
}

void replication_propose(struct replication *r, struct buf entry, replication_applied *applied) {
    struct replication_entry *e = MEM_NEW(struct replication_entry);
    e->of = r;
    e->generation = r->generation;
    e->applied = applied;
    e->proposal.done = entry_done;
    e->proposal.entry = entry;
    raft_driver_propose(r->server->driver, &e->proposal);
}

void replication_next_entry(struct replication *r, replication_step *propose) {
    int64_t turn = replica_rate_take(&r->entry_rate, ENTRY_PERIOD, time_now_monotonic());
    replication_wait(r, turn, propose);
}

void replication_check_index(struct replication *r, const char *logger) {
    if (r->remote_index >= r->last_index)
        return;
    log_at(LOG_WARN, logger,
           "remote index is lower than the last one: what is known of the primary is dropped");
    r->last_index = 0;
}

struct str replication_problem(const struct raft_outcome *outcome) {
    if (error_is_set(&outcome->error))
        return outcome->error.text;
    if (outcome->result != NULL && outcome->result->kind == STORE_RESULT_ERROR)
        return outcome->result->error.text;
    return STR_NONE;
}

/* ---- life ---- */

static void begin(struct replication *r) {
    r->on = true;
    r->generation++;
    r->failures = 0;
    r->last_index = 0;
    r->rate = r->entry_rate = (struct replica_rate){0};
    log_at(LOG_INFO, "agent.leader", "started routine", LOG_S("routine", str_from(r->routine)));
    if (r->plan->begun != NULL)
        r->plan->begun(r);
    replication_again(r, 0);
}

static void end(struct replication *r) {
    log_at(LOG_DEBUG, "agent.leader", "stopping routine", LOG_S("routine", str_from(r->routine)));
    r->on = false;
    loop_timer_stop(&r->timer);
    if (r->calling) {
        call_cancel(&r->call, NULL); /* it goes to another datacenter, never to the core */
        r->calling = false;
    }
    forget_round(r);
}

void replication_enable(struct replication *r, bool leading) {
    if (leading == r->on)
        return;
    if (leading)
        begin(r);
    else
        end(r);
}

static void timer_fired(struct loop_timer *timer) {
    struct replication *r = timer->owner;
    r->next(r);
}

void replication_init(struct replication *r, struct server *s, const struct replication_plan *plan,
                      const char *routine) {
    *r = (struct replication){.server = s, .plan = plan, .routine = routine, .arena = ARENA_INIT};
    loop_timer_init(&s->core, &r->timer, timer_fired, r);
}

void replication_close(struct replication *r) {
    if (r->closed)
        return;
    replication_enable(r, false);
    r->closed = true;
    loop_timer_close(&r->timer, NULL);
}

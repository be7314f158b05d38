/* See config_replication.h. A round: list what the primary has (a blocking query), compare, propose
 * what differs one entry after the other. One that is refused waits for the others: they may be
 * what it needs. What is still refused when none of a pass went through is logged, and makes the
 * round fail: the next one begins from nothing, after a while.
 */
#include "server/config_replication.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/acl_replication_diff.h"
#include "server/agent_tokens.h"
#include "server/endpoints.h"
#include "server/server_room.h"
#include "store/config_entry.h"

#define LOGGER "agent.server.replication.config_entry"
#define ROUTINE "config entry replication"
#define PERIOD (1 * SECOND)
#define ENTRY_PERIOD (10 * MILLISECOND) /* a hundred a second */
#define BACKOFF_MOST (240 * SECOND)     /* halved */
#define TOLD_MOST 10                    /* refused entries that one round logs */

struct config_replication {
    struct server *server;
    struct loop_timer timer; /* the next round, or the next entry */
    bool on, calling, closed, in_round;
    unsigned generation; /* what belongs to an earlier life is ignored */
    unsigned failures;
    uint64_t last_index, remote_index;
    struct replica_rate rate, entry_rate;

    struct arena arena; /* of the round */
    struct dc_request request;
    struct call call;
    struct answer *listed;
    struct list ops;  /* struct config_op; of those refused in this pass, from the front on */
    uint32_t done;    /* of the operations of this pass */
    uint32_t refused; /* among them */
    int64_t started;
};

static bool is_secondary(const struct server *s) {
    struct str primary = s->options.acl.primary_datacenter;
    return primary.len > 0 && !str_eq(primary, s->options.datacenter);
}

/* ---- the end of a round ---- */

static void round_again(struct config_replication *r, int64_t wait) {
    answer_release(r->listed);
    r->listed = NULL;
    r->ops = LIST_NIL;
    r->done = r->refused = 0;
    r->in_round = false;
    arena_free(&r->arena);
    r->arena = ARENA_INIT;
    if (r->on) {
        int64_t turn = replica_rate_take(&r->rate, PERIOD, time_now_monotonic());
        loop_timer_set(&r->timer, turn > wait ? turn : wait);
    }
}

static void failed(struct config_replication *r) {
    r->failures++;
    r->last_index = 0;
    round_again(r, replica_backoff(r->failures, BACKOFF_MOST) / 2);
}

static void failed_because(struct config_replication *r, struct str why) {
    if (!atomic_load(&r->server->stopping))
        log_at(LOG_WARN, LOGGER, "replication error (will retry if still leader)",
               LOG_S("error", why));
    failed(r);
}

/* ---- entries ---- */

struct replicated_entry {
    struct raft_proposal proposal;
    struct config_replication *of;
    unsigned generation;
};

static void pass_on(struct config_replication *r);

/* None of them went through in this pass. */
static void tell_refused(const struct config_replication *r) {
    for (uint32_t i = 0; i < r->refused && i < TOLD_MOST; i++) {
        const struct config_op *op = &LIST_AT(r->ops, struct config_op, i);
        log_at(LOG_WARN, LOGGER, "configuration entry of the primary was refused",
               LOG_S("kind", op->entry->kind), LOG_S("name", op->entry->name),
               LOG_S("op", op->delete ? STR("delete") : STR("upsert")),
               LOG_S("error", op->refused));
    }
    if (r->refused > TOLD_MOST)
        log_at(LOG_WARN, LOGGER, "more were refused", LOG_I("count", r->refused - TOLD_MOST));
}

static void applied(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct replicated_entry *entry = CONTAINER_OF(p, struct replicated_entry, proposal);
    struct config_replication *r = entry->of;
    bool current = r->on && entry->generation == r->generation;
    mem_free(entry);
    server_publish(r->server, NULL);
    if (!current)
        return;
    if (error_is_set(&outcome->error)) {
        failed_because(r, str_copy(&r->arena, outcome->error.text));
        return;
    }
    struct config_op op = LIST_AT(r->ops, struct config_op, r->done++);
    if (outcome->result->kind == STORE_RESULT_ERROR) {
        op.refused = str_copy(&r->arena, outcome->result->error.text);
        LIST_AT(r->ops, struct config_op, r->refused++) = op;
    }
    pass_on(r);
}

static void propose(struct config_replication *r) {
    const struct config_op *op = &LIST_AT(r->ops, struct config_op, r->done);
    struct config_entry_request request = {.kind = op->entry->kind,
                                           .datacenter = r->server->options.datacenter,
                                           .entry = (struct config_entry *)op->entry,
                                           .op = op->delete ? STR("delete") : STR("upsert")};
    struct replicated_entry *entry = MEM_NEW(struct replicated_entry);
    entry->of = r;
    entry->generation = r->generation;
    entry->proposal.done = applied;
    buf_add_char(&entry->proposal.entry, ENTRY_CONFIG_ENTRY);
    config_entry_request_encode(&entry->proposal.entry, &request);
    raft_driver_propose(r->server->driver, &entry->proposal);
}

/* The next entry, the next pass, or the end. */
static void pass_on(struct config_replication *r) {
    if (r->done == r->ops.len && r->refused > 0 && r->refused < r->ops.len) {
        r->ops.len = r->refused;
        r->done = r->refused = 0;
    }
    if (r->done < r->ops.len) {
        int64_t turn = replica_rate_take(&r->entry_rate, ENTRY_PERIOD, time_now_monotonic());
        loop_timer_set(&r->timer, turn);
        return;
    }
    metric_since("leader.replication.config.apply", r->started);
    if (r->refused > 0) {
        tell_refused(r);
        failed(r);
        return;
    }
    log_at(LOG_DEBUG, LOGGER, "replication completed through remote index",
           LOG_I("index", (int64_t)r->remote_index));
    r->last_index = r->remote_index;
    r->failures = 0;
    round_again(r, 0);
}

/* ---- a round ---- */

static bool compare(struct config_replication *r) {
    struct indexed_generic_config_entries *reply = r->listed->reply;
    struct error e = ERROR_IN(&r->arena);
    struct store_read read;
    struct list local;
    if (!store_read_begin(r->server->store, &read, &r->arena, NULL, &e)) {
        failed_because(r, e.text);
        return false;
    }
    config_entry_list(&read, STR(""), &local);
    store_read_end(&read);
    if (r->remote_index < r->last_index) { /* another state than the one that was known */
        log_at(LOG_WARN, LOGGER,
               "remote index is lower than the last one: what is known of the primary is dropped");
        r->last_index = 0;
    }
    r->ops = config_diff(&local, &reply->entries, r->last_index, &r->arena);
    return true;
}

static void listed(struct call *c) {
    struct config_replication *r = c->owner;
    r->calling = false;
    r->listed = c->answer;
    c->answer = NULL;
    metric_since("leader.replication.config-entries.fetch", r->started);
    if (error_is_set(&r->listed->error)) {
        failed_because(r, str_copy(&r->arena, r->listed->error.text));
        return;
    }
    r->remote_index = r->listed->meta.index;
    r->started = time_now_monotonic();
    if (compare(r))
        pass_on(r);
}

static void round_begin(struct config_replication *r) {
    struct server *s = r->server;
    r->in_round = true;
    r->started = time_now_monotonic();
    r->request = (struct dc_request){
        .datacenter = s->options.acl.primary_datacenter,
        .options = {.token = agent_token(s->tokens, AGENT_TOKEN_REPLICATION, &r->arena),
                    .allow_stale = true,
                    .min_query_index = r->last_index}};
    r->call = (struct call){.endpoint = &endpoint_config_entry_list_all,
                            .arena = &r->arena,
                            .request = &r->request,
                            .done = listed,
                            .owner = r};
    r->calling = true;
    call_start(s, &r->call);
}

static void timer_fired(struct loop_timer *timer) {
    struct config_replication *r = timer->owner;
    if (r->in_round)
        propose(r);
    else
        round_begin(r);
}

/* ---- life ---- */

static void begin(struct config_replication *r) {
    r->on = true;
    r->generation++;
    r->failures = 0;
    r->last_index = 0;
    r->rate = r->entry_rate = (struct replica_rate){0};
    log_at(LOG_INFO, "agent.leader", "started routine", LOG_S("routine", STR(ROUTINE)));
    round_again(r, 0);
}

static void end(struct config_replication *r) {
    log_at(LOG_DEBUG, "agent.leader", "stopping routine", LOG_S("routine", STR(ROUTINE)));
    r->on = false;
    loop_timer_stop(&r->timer);
    if (r->calling) {
        call_cancel(&r->call, NULL); /* it goes to another datacenter, never to the core */
        r->calling = false;
    }
    round_again(r, 0);
}

void config_replication_enable(struct config_replication *r, bool leading) {
    if (leading == r->on || (leading && !is_secondary(r->server)))
        return;
    if (leading)
        begin(r);
    else
        end(r);
}

struct config_replication *config_replication_new(struct server *s) {
    struct config_replication *r = MEM_NEW(struct config_replication);
    r->server = s;
    loop_timer_init(&s->core, &r->timer, timer_fired, r);
    return r;
}

void config_replication_close(struct config_replication *r) {
    if (r->closed)
        return;
    config_replication_enable(r, false);
    r->closed = true;
    loop_timer_close(&r->timer, NULL);
}

void config_replication_free(struct config_replication *r) {
    mem_free(r);
}

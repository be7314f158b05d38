/* See intention_replication.h. A round: list what the primary has (a blocking query), compare,
 * propose what differs one entry after the other.
 */
#include "server/intention_replication.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/acl_replication_diff.h"
#include "server/agent_tokens.h"
#include "server/endpoints.h"
#include "server/server_room.h"
#include "store/connect.h"

#define LOGGER "agent.server.connect"
#define ROUTINE "intention replication"
#define PERIOD (5 * SECOND)
#define BACKOFF_MOST (256 * SECOND)

struct intention_replication {
    struct server *server;
    struct loop_timer timer;
    bool on, calling, closed;
    unsigned generation; /* what belongs to an earlier life is ignored */
    unsigned failures;
    uint64_t last_index, remote_index;
    struct replica_rate rate;

    struct arena arena; /* of the round */
    struct dc_request request;
    struct call call;
    struct answer *listed;
    struct list ops;
    uint32_t done; /* of the operations */
};

bool intentions_are_replicated(const struct server *s) {
    struct str primary = s->options.acl.primary_datacenter;
    return s->options.ca.enabled && primary.len > 0 && !str_eq(primary, s->options.datacenter);
}

/* ---- the end of a round ---- */

static void forget_round(struct intention_replication *r) {
    answer_release(r->listed);
    r->listed = NULL;
    r->ops = LIST_NIL;
    r->done = 0;
    arena_free(&r->arena);
    r->arena = ARENA_INIT;
}

static void round_again(struct intention_replication *r, int64_t wait) {
    forget_round(r);
    int64_t turn = replica_rate_take(&r->rate, PERIOD, time_now_monotonic());
    loop_timer_set(&r->timer, turn > wait ? turn : wait);
}

static void failed(struct intention_replication *r, struct str why) {
    if (!atomic_load(&r->server->stopping))
        log_at(LOG_ERROR, LOGGER, "error replicating intentions", LOG_S("routine", STR(ROUTINE)),
               LOG_S("error", why));
    r->failures++;
    r->last_index = 0;
    round_again(r, replica_backoff(r->failures, BACKOFF_MOST));
}

/* ---- entries ---- */

struct intention_entry {
    struct raft_proposal proposal;
    struct intention_replication *of;
    unsigned generation;
    uint32_t count;
};

static void propose_next(struct intention_replication *r);

/* What one entry came to; the absent string: all went well. */
static struct str problem_of(const struct raft_outcome *outcome) {
    const struct store_result *result = outcome->result;
    if (error_is_set(&outcome->error))
        return outcome->error.text;
    if (result != NULL && result->kind == STORE_RESULT_ERROR)
        return result->error.text;
    if (result != NULL && result->kind == STORE_RESULT_TXN && result->txn->errors.len > 0)
        return LIST_AT(result->txn->errors, struct txn_error *, 0)->what;
    return STR_NONE;
}

static void applied(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct intention_entry *entry = CONTAINER_OF(p, struct intention_entry, proposal);
    struct intention_replication *r = entry->of;
    server_publish(r->server, NULL);
    if (r->on && entry->generation == r->generation) {
        struct str problem = problem_of(outcome);
        if (problem.data != NULL) {
            failed(r, str_copy(&r->arena, problem));
        } else {
            r->done += entry->count;
            propose_next(r);
        }
    }
    mem_free(entry);
}

static void propose_next(struct intention_replication *r) {
    if (r->done == r->ops.len) {
        r->last_index = r->remote_index;
        r->failures = 0;
        round_again(r, 0);
        return;
    }
    struct intention_entry *entry = MEM_NEW(struct intention_entry);
    struct txn_request request = {.datacenter = r->server->options.datacenter};
    entry->of = r;
    entry->generation = r->generation;
    entry->count = intention_batch(&r->ops, r->done);
    entry->proposal.done = applied;
    request.ops = (struct list){&LIST_AT(r->ops, struct txn_op *, r->done), entry->count, true};
    buf_add_char(&entry->proposal.entry, ENTRY_TXN);
    schema_encode(&entry->proposal.entry, &txn_request_shape, &request);
    raft_driver_propose(r->server->driver, &entry->proposal);
}

/* ---- a round ---- */

static bool compare(struct intention_replication *r) {
    struct error e = ERROR_IN(&r->arena);
    struct store_read read;
    struct list local;
    if (!store_read_begin(r->server->store, &read, &r->arena, NULL, &e)) {
        failed(r, e.text);
        return false;
    }
    intention_list(&read, &local);
    store_read_end(&read);
    intention_diff(&local, &((const struct indexed_intentions *)r->listed->reply)->intentions,
                   &r->arena, &r->ops);
    return true;
}

static void listed(struct call *c) {
    struct intention_replication *r = c->owner;
    r->calling = false;
    r->listed = c->answer;
    c->answer = NULL;
    if (error_is_set(&r->listed->error)) {
        failed(r, str_copy(&r->arena, r->listed->error.text));
        return;
    }
    r->remote_index = r->listed->meta.index;
    if (compare(r))
        propose_next(r);
}

static void round_begin(struct loop_timer *timer) {
    struct intention_replication *r = timer->owner;
    struct server *s = r->server;
    r->request = (struct dc_request){
        .datacenter = s->options.acl.primary_datacenter,
        .options = {.token = agent_token(s->tokens, AGENT_TOKEN_REPLICATION, &r->arena),
                    .min_query_index = r->last_index}};
    r->call = (struct call){.endpoint = &endpoint_intention_list,
                            .arena = &r->arena,
                            .request = &r->request,
                            .done = listed,
                            .owner = r};
    r->calling = true;
    call_start(s, &r->call);
}

/* ---- life ---- */

static void begin(struct intention_replication *r) {
    r->on = true;
    r->generation++;
    r->failures = 0;
    r->last_index = 0;
    r->rate = (struct replica_rate){0};
    log_at(LOG_INFO, "agent.leader", "started routine", LOG_S("routine", STR(ROUTINE)));
    log_at(LOG_DEBUG, LOGGER, "starting Connect intention replication from primary datacenter",
           LOG_S("primary", r->server->options.acl.primary_datacenter));
    round_again(r, 0);
}

static void end(struct intention_replication *r) {
    log_at(LOG_DEBUG, "agent.leader", "stopping routine", LOG_S("routine", STR(ROUTINE)));
    r->on = false;
    loop_timer_stop(&r->timer);
    if (r->calling) {
        call_cancel(&r->call, NULL); /* it goes to another datacenter, never to the core */
        r->calling = false;
    }
    forget_round(r);
}

void intention_replication_enable(struct intention_replication *r, bool leading) {
    if (leading == r->on || (leading && !intentions_are_replicated(r->server)))
        return;
    if (leading)
        begin(r);
    else
        end(r);
}

struct intention_replication *intention_replication_new(struct server *s) {
    struct intention_replication *r = MEM_NEW(struct intention_replication);
    r->server = s;
    loop_timer_init(&s->core, &r->timer, round_begin, r);
    return r;
}

void intention_replication_close(struct intention_replication *r) {
    if (r->closed)
        return;
    intention_replication_enable(r, false);
    r->closed = true;
    loop_timer_close(&r->timer, NULL);
}

void intention_replication_free(struct intention_replication *r) {
    mem_free(r);
}

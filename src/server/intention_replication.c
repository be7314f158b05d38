/* See intention_replication.h. A round: list what the primary has (a blocking query), compare,
 * propose what differs one entry after the other.
 */
#include "server/intention_replication.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/endpoints.h"
#include "server/replication.h"
#include "server/server_room.h"
#include "store/connect.h"

#define LOGGER "agent.server.connect"

struct intention_replication {
    struct replication base;
    struct dc_request request;
    struct list ops;         /* of the round */
    uint32_t done, proposed; /* of the operations */
};

static struct intention_replication *of(struct replication *base) {
    return CONTAINER_OF(base, struct intention_replication, base);
}

bool intentions_are_replicated(const struct server *s) {
    return s->options.ca.enabled && replication_is_wanted(s);
}

static void log_failure(const struct replication *base, struct str why) {
    log_at(LOG_ERROR, LOGGER, "error replicating intentions",
           LOG_S("routine", str_from(base->routine)), LOG_S("error", why));
}

/* ---- entries ---- */

static void propose_next(struct intention_replication *r);

static void applied(struct replication *base, const struct raft_outcome *outcome) {
    struct intention_replication *r = of(base);
    const struct store_result *result = outcome->result;
    struct str problem = replication_problem(outcome);
    if (problem.data == NULL && result != NULL && result->kind == STORE_RESULT_TXN &&
        result->txn->errors.len > 0)
        problem = LIST_AT(result->txn->errors, struct txn_error *, 0)->what;
    if (problem.data != NULL) {
        replication_failed(base, problem);
    } else {
        r->done += r->proposed;
        propose_next(r);
    }
}

static void propose_next(struct intention_replication *r) {
    struct txn_request request = {.datacenter = r->base.server->options.datacenter};
    struct buf entry = BUF_INIT;
    if (r->done == r->ops.len) {
        replication_succeeded(&r->base);
        return;
    }
    r->proposed = intention_batch(&r->ops, r->done);
    request.ops = (struct list){&LIST_AT(r->ops, struct txn_op *, r->done), r->proposed, true};
    buf_add_char(&entry, ENTRY_TXN);
    schema_encode(&entry, &txn_request_shape, &request);
    replication_propose(&r->base, entry, applied);
}

/* ---- a round ---- */

static void listed(struct replication *base, const struct answer *a) {
    struct intention_replication *r = of(base);
    const struct indexed_intentions *reply = a->reply;
    struct error e = ERROR_IN(&base->arena);
    struct store_read read;
    struct list local;
    if (error_is_set(&a->error)) {
        replication_failed(base, a->error.text);
        return;
    }
    base->remote_index = a->meta.index;
    if (!store_read_begin(base->server->store, &read, &base->arena, NULL, &e)) {
        replication_failed(base, e.text);
        return;
    }
    intention_list(&read, &local);
    store_read_end(&read);
    r->done = 0;
    intention_diff(&local, &reply->intentions, &base->arena, &r->ops);
    propose_next(r);
}

static void round_begin(struct replication *base) {
    struct intention_replication *r = of(base);
    r->request = (struct dc_request){.datacenter = replication_primary(base),
                                     .options = replication_options(base)};
    replication_ask(base, &endpoint_intention_list, &r->request, listed);
}

/* ---- life ---- */

static void begun(struct replication *base) {
    log_at(LOG_DEBUG, LOGGER, "starting Connect intention replication from primary datacenter",
           LOG_S("primary", replication_primary(base)));
}

static const struct replication_plan plan = {
    .period = 5 * SECOND,
    .backoff_first = 2 * SECOND,
    .backoff_most = 256 * SECOND,
    .begun = begun,
    .round = round_begin,
    .log_failure = log_failure,
};

void intention_replication_enable(struct intention_replication *r, bool leading) {
    replication_enable(&r->base, leading && intentions_are_replicated(r->base.server));
}

struct intention_replication *intention_replication_new(struct server *s) {
    struct intention_replication *r = MEM_NEW(struct intention_replication);
    replication_init(&r->base, s, &plan, "intention replication");
    return r;
}

void intention_replication_close(struct intention_replication *r) {
    replication_close(&r->base);
}

void intention_replication_free(struct intention_replication *r) {
    mem_free(r);
}

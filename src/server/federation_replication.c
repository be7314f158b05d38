/* See federation_room.h. A round: list what the primary has (a blocking query), compare, propose
 * what differs one entry after the other.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "server/endpoints.h"
#include "server/federation_room.h"
#include "server/gateways.h"
#include "server/server_room.h"
#include "store/federation.h"

#define LOGGER "agent.replication.federation_state"
#define DISABLED_WAIT (5 * SECOND)

static struct federation_replication *of(struct replication *base) {
    return CONTAINER_OF(base, struct federation_replication, base);
}

static void log_failure(const struct replication *base, struct str why) {
    (void)base;
    log_at(LOG_WARN, LOGGER, "replication error (will retry if still leader)", LOG_S("error", why));
}

/* ---- entries ---- */

static void go_on(struct federation_replication *r);

static void applied(struct replication *base, const struct raft_outcome *outcome) {
    struct str problem = replication_problem(outcome);
    if (problem.data != NULL) {
        replication_failed(base, problem);
        return;
    }
    of(base)->done++;
    go_on(of(base));
}

static void propose(struct replication *base) {
    struct federation_replication *r = of(base);
    const struct federation_op *op = &LIST_AT(r->ops, struct federation_op, r->done);
    replication_propose(
        base, federation_entry(base->server, op->delete ? "delete" : "upsert", op->state), applied);
}

/* The next entry, or the end. */
static void go_on(struct federation_replication *r) {
    if (r->done < r->ops.len) {
        replication_next_entry(&r->base, propose);
        return;
    }
    metric_since("leader.replication.federation-state.apply", r->started);
    log_at(LOG_DEBUG, LOGGER, "replication completed through remote index",
           LOG_I("index", (int64_t)r->base.remote_index));
    replication_succeeded(&r->base);
}

/* ---- a round ---- */

static void log_difference(const struct list *ops) {
    uint32_t deletions = 0;
    for (uint32_t i = 0; i < ops->len; i++)
        deletions += LIST_AT(*ops, struct federation_op, i).delete;
    log_at(LOG_DEBUG, "agent.server", "diffed replication state", LOG_I("deletions", deletions),
           LOG_I("updates", ops->len - deletions));
}

static void compare(struct federation_replication *r, const struct list *remote) {
    struct replication *base = &r->base;
    struct error e = ERROR_IN(&base->arena);
    struct store_read read;
    struct list local;
    if (!store_read_begin(base->server->store, &read, &base->arena, NULL, &e)) {
        replication_failed(base, e.text);
        return;
    }
    federation_state_list(&read, &local);
    store_read_end(&read);
    replication_check_index(base, LOGGER);
    log_at(LOG_DEBUG, "agent.server", "diffing replication state", LOG_I("local_amount", local.len),
           LOG_I("remote_amount", remote->len));
    r->ops = federation_diff(&local, remote, base->last_index, &base->arena);
    r->done = 0;
    log_difference(&r->ops);
    go_on(r);
}

/* It goes to the primary by the own gateways: whether these are a way is known by that. */
static void tell_gateways(const struct replication *base, bool ok) {
    struct gateways *gateways = base->server->gateways;
    if (gateways != NULL)
        gateways_replicated(gateways, ok);
}

static void listed(struct replication *base, const struct answer *a) {
    struct federation_replication *r = of(base);
    const struct indexed_federation_states *reply = a->reply;
    metric_since("leader.replication.federation-state.fetch", base->asked);
    tell_gateways(base, !error_is_set(&a->error));
    if (error_is_set(&a->error)) {
        replication_failed(base, str_format(&base->arena,
                                            "failed to retrieve federation states: " STR_FMT,
                                            STR_ARG(a->error.text)));
        return;
    }
    base->remote_index = a->meta.index;
    r->started = time_now_monotonic();
    compare(r, &reply->states);
}

static void round_begin(struct replication *base) {
    struct federation_replication *r = of(base);
    if (!federation_is_enabled(base->server)) {
        replication_rest(base, DISABLED_WAIT, round_begin);
        return;
    }
    r->request = (struct dc_request){.datacenter = replication_primary(base),
                                     .options = replication_options(base)};
    r->request.options.allow_stale = true;
    replication_ask(base, &endpoint_federation_state_list, &r->request, listed);
}

/* ---- life ---- */

static const struct replication_plan plan = {
    .period = 1 * SECOND,
    .backoff_first = 1 * SECOND,
    .backoff_most = 120 * SECOND,
    .round = round_begin,
    .log_failure = log_failure,
};

void federation_replication_init(struct federation_replication *r, struct server *s) {
    replication_init(&r->base, s, &plan, "federation state replication");
}

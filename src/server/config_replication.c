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
#include "server/endpoints.h"
#include "server/replication.h"
#include "server/server_room.h"
#include "store/config_entry.h"

#define LOGGER "agent.server.replication.config_entry"
#define TOLD_MOST 10 /* refused entries that one round logs */

struct config_replication {
    struct replication base;
    struct dc_request request;
    struct list ops;  /* struct config_op; of those refused in this pass, from the front on */
    uint32_t done;    /* of the operations of this pass */
    uint32_t refused; /* among them */
    int64_t started;  /* with the entries; monotonic */
};

static struct config_replication *of(struct replication *base) {
    return CONTAINER_OF(base, struct config_replication, base);
}

static void log_failure(const struct replication *base, struct str why) {
    (void)base;
    log_at(LOG_WARN, LOGGER, "replication error (will retry if still leader)", LOG_S("error", why));
}

/* ---- entries ---- */

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

static void pass_on(struct config_replication *r);

static void applied(struct replication *base, const struct raft_outcome *outcome) {
    struct config_replication *r = of(base);
    if (error_is_set(&outcome->error)) {
        replication_failed(base, outcome->error.text);
        return;
    }
    struct config_op op = LIST_AT(r->ops, struct config_op, r->done++);
    struct str problem = replication_problem(outcome);
    if (problem.data != NULL) {
        op.refused = str_copy(&base->arena, problem);
        LIST_AT(r->ops, struct config_op, r->refused++) = op;
    }
    pass_on(r);
}

static void propose(struct replication *base) {
    struct config_replication *r = of(base);
    const struct config_op *op = &LIST_AT(r->ops, struct config_op, r->done);
    struct config_entry_request request = {.kind = op->entry->kind,
                                           .datacenter = base->server->options.datacenter,
                                           .entry = (struct config_entry *)op->entry,
                                           .op = op->delete ? STR("delete") : STR("upsert")};
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, ENTRY_CONFIG_ENTRY);
    config_entry_request_encode(&entry, &request);
    replication_propose(base, entry, applied);
}

/* The next entry, the next pass, or the end. */
static void pass_on(struct config_replication *r) {
    if (r->done == r->ops.len && r->refused > 0 && r->refused < r->ops.len) {
        r->ops.len = r->refused;
        r->done = r->refused = 0;
    }
    if (r->done < r->ops.len) {
        replication_next_entry(&r->base, propose);
        return;
    }
    metric_since("leader.replication.config.apply", r->started);
    if (r->refused > 0) {
        tell_refused(r);
        replication_failed(&r->base, STR_NONE);
        return;
    }
    log_at(LOG_DEBUG, LOGGER, "replication completed through remote index",
           LOG_I("index", (int64_t)r->base.remote_index));
    replication_succeeded(&r->base);
}

/* ---- a round ---- */

static void compare(struct config_replication *r, const struct list *remote) {
    struct replication *base = &r->base;
    struct error e = ERROR_IN(&base->arena);
    struct store_read read;
    struct list local;
    if (!store_read_begin(base->server->store, &read, &base->arena, NULL, &e)) {
        replication_failed(base, e.text);
        return;
    }
    config_entry_list(&read, STR(""), &local);
    store_read_end(&read);
    replication_check_index(base, LOGGER);
    r->ops = config_diff(&local, remote, base->last_index, &base->arena);
    r->done = r->refused = 0;
    pass_on(r);
}

static void listed(struct replication *base, const struct answer *a) {
    struct config_replication *r = of(base);
    const struct indexed_generic_config_entries *reply = a->reply;
    metric_since("leader.replication.config-entries.fetch", base->asked);
    if (error_is_set(&a->error)) {
        replication_failed(base, a->error.text);
        return;
    }
    base->remote_index = a->meta.index;
    r->started = time_now_monotonic();
    compare(r, &reply->entries);
}

static void round_begin(struct replication *base) {
    struct config_replication *r = of(base);
    r->request = (struct dc_request){.datacenter = replication_primary(base),
                                     .options = replication_options(base)};
    r->request.options.allow_stale = true;
    replication_ask(base, &endpoint_config_entry_list_all, &r->request, listed);
}

/* ---- life ---- */

static const struct replication_plan plan = {
    .period = 1 * SECOND,
    .backoff_first = 1 * SECOND,
    .backoff_most = 120 * SECOND,
    .round = round_begin,
    .log_failure = log_failure,
};

void config_replication_enable(struct config_replication *r, bool leading) {
    replication_enable(&r->base, leading && replication_is_wanted(r->base.server));
}

struct config_replication *config_replication_new(struct server *s) {
    struct config_replication *r = MEM_NEW(struct config_replication);
    replication_init(&r->base, s, &plan, "config entry replication");
    return r;
}

void config_replication_close(struct config_replication *r) {
    replication_close(&r->base);
}

void config_replication_free(struct config_replication *r) {
    mem_free(r);
}

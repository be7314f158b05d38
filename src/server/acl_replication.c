/* See acl_replication.h. Each loop goes through the same round: it waits for its turn, lists what
 * the primary has (a blocking query), compares, fetches what changed, and proposes deletions and
 * updates one entry after the other. What differs between types is in acl_replication_kind.c, what
 * is compared in acl_replication_diff.h.
 */
#include "server/acl_replication.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "server/acl_replication_kind.h"
#include "server/agent_tokens.h"
#include "server/replication.h"
#include "server/server_room.h"

#define DELETIONS_MOST 4096
#define ENTRY_PERIOD (10 * MILLISECOND)

struct replica_loop {
    struct replication base;
    struct acl_replication *all;
    const struct replica_kind *kind;
    struct replica_request request;
    int64_t started; /* with the entries; monotonic */
    struct replica_diff diff;
    struct list objects; /* const void *: what is to be written */
    uint32_t done;       /* of the deletions or objects */
    uint32_t proposed;
};

struct acl_replication {
    struct server *server;
    struct replica_loop loops[REPLICA_KINDS];
    bool on, legacy;
    struct acl_replication_status status;
};

static replication_step deletions_next, updates_next;
static void updates_begin(struct replica_loop *l);

static struct replica_loop *of(struct replication *base) {
    return CONTAINER_OF(base, struct replica_loop, base);
}

/* ---- the end of a round ---- */

/* As the peer shows it: the nearest second. */
static struct timestamp now_rounded(void) {
    return timestamp_from_unix_ns((time_now_wall() + SECOND / 2) / SECOND * SECOND);
}

static void log_failure(const struct replication *base, struct str why) {
    const struct replica_kind *kind = CONTAINER_OF(base, const struct replica_loop, base)->kind;
    log_at(LOG_WARN, kind->logger, kind->failed, LOG_S("error", why));
}

static void failed(struct replica_loop *l, const char *what, struct str why) {
    l->all->status.last_error = now_rounded();
    replication_failed(&l->base, str_format(&l->base.arena, "%s" STR_FMT, what, STR_ARG(why)));
}

static void succeeded(struct replica_loop *l) {
    struct acl_replication_status *status = &l->all->status;
    log_at(LOG_DEBUG, l->kind->logger, l->kind->completed, LOG_I("index", l->base.remote_index));
    l->kind->set_index(status, l->base.remote_index);
    status->last_success = now_rounded();
    replication_succeeded(&l->base);
}

/* ---- comparing ---- */

static void log_diff(const struct replica_loop *l) {
    const struct replica_diff *d = &l->diff;
    if (l->kind->skips) {
        log_at(LOG_DEBUG, l->kind->logger, "acl replication", LOG_I("deletions", d->deletions.len),
               LOG_I("updates", d->updates.len), LOG_I("skipped", d->skipped_local),
               LOG_I("skipped_remote", d->skipped_remote));
    } else {
        log_at(LOG_DEBUG, l->kind->logger, "acl replication", LOG_I("deletions", d->deletions.len),
               LOG_I("updates", d->updates.len));
    }
}

static bool compare(struct replica_loop *l, const void *reply) {
    struct replication *base = &l->base;
    struct error e = ERROR_IN(&base->arena);
    struct store_read read;
    struct list local, remote;
    if (!store_read_begin(base->server->store, &read, &base->arena, NULL, &e)) {
        failed(l, "failed to retrieve local state: ", e.text);
        return false;
    }
    l->kind->list_local(&read, &local);
    store_read_end(&read);
    l->kind->list_remote(reply, &remote, &base->arena);
    log_at(LOG_DEBUG, l->kind->logger, "finished fetching acls", LOG_I("amount", remote.len));
    if (base->remote_index < base->last_index) {
        log_at(LOG_WARN, l->kind->logger,
               "ACL replication remote index moved backwards, forcing a full ACL sync",
               LOG_I("from", base->last_index), LOG_I("to", base->remote_index));
        base->last_index = 0;
    }
    log_at(LOG_DEBUG, l->kind->logger, "acl replication", LOG_I("local", local.len),
           LOG_I("remote", remote.len));
    replica_diff(&local, &remote, base->last_index, &base->arena, &l->diff);
    log_diff(l);
    return true;
}

static void listed(struct replication *base, const struct answer *a) {
    struct replica_loop *l = of(base);
    metric_since(l->kind->metric_fetch, base->asked);
    if (error_is_set(&a->error)) {
        failed(l, l->kind->list_failed, a->error.text);
        return;
    }
    base->remote_index = a->meta.index;
    if (compare(l, a->reply)) {
        l->done = 0;
        l->started = time_now_monotonic();
        deletions_next(base);
    }
}

static struct replica_asked asked(struct replica_loop *l) {
    struct replica_asked a = {.datacenter = replication_primary(&l->base),
                              .options = replication_options(&l->base)};
    a.options.allow_stale = true;
    return a;
}

static void round_begin(struct replication *base) {
    struct replica_loop *l = of(base);
    if (!agent_token_is_set(base->server->tokens, AGENT_TOKEN_REPLICATION)) {
        replication_again(base, SECOND);
        return;
    }
    struct replica_asked a = asked(l);
    l->kind->ask_list(&l->request, &a);
    replication_ask(base, l->kind->list, &l->request, listed);
}

/* ---- entries ---- */

static void advance(struct replica_loop *l, const struct raft_outcome *outcome, const char *problem,
                    replication_step *next) {
    struct str why = replication_problem(outcome);
    if (why.data != NULL) {
        failed(l, problem, why);
    } else {
        l->done += l->proposed;
        replication_wait(&l->base, ENTRY_PERIOD, next);
    }
}

static void deleted(struct replication *base, const struct raft_outcome *outcome) {
    struct replica_loop *l = of(base);
    advance(l, outcome, l->kind->delete_failed, deletions_next);
}

static void updated(struct replication *base, const struct raft_outcome *outcome) {
    struct replica_loop *l = of(base);
    advance(l, outcome, l->kind->update_failed, updates_next);
}

static void deletions_next(struct replication *base) {
    struct replica_loop *l = of(base);
    const struct list *all = &l->diff.deletions;
    if (l->done == all->len) {
        if (all->len > 0) {
            log_at(LOG_DEBUG, l->kind->logger, "acl replication - finished deletions");
        }
        l->done = 0;
        updates_begin(l);
        return;
    }
    if (l->done == 0) {
        log_at(LOG_DEBUG, l->kind->logger, "acl replication - performing deletions");
    }
    uint32_t most = l->kind->one_by_one ? 1 : DELETIONS_MOST;
    l->proposed = all->len - l->done < most ? all->len - l->done : most;
    struct list part = {&LIST_AT(*all, struct str, l->done), l->proposed, true};
    struct buf bytes = BUF_INIT;
    l->kind->encode_deletions(&bytes, &part);
    replication_propose(base, bytes, deleted);
}

static void updates_next(struct replication *base) {
    struct replica_loop *l = of(base);
    size_t size;
    if (l->done == l->objects.len) {
        if (l->objects.len > 0) {
            log_at(LOG_DEBUG, l->kind->logger, "acl replication - finished updates");
        }
        metric_since(l->kind->metric_apply, l->started);
        succeeded(l);
        return;
    }
    uint32_t count = replica_batch(&l->objects, l->done, l->kind->size_of, &size);
    l->proposed = l->kind->one_by_one ? 1 : count;
    struct list part = {&LIST_AT(l->objects, const void *, l->done), l->proposed, true};
    struct buf bytes = BUF_INIT;
    l->kind->encode_updates(&bytes, &part);
    log_at(LOG_DEBUG, l->kind->logger, "acl replication - upserted batch",
           LOG_I("number_upserted", l->proposed), LOG_I("batch_size", size));
    replication_propose(base, bytes, updated);
}

static void updates_write(struct replica_loop *l) {
    if (l->objects.len > 0) {
        log_at(LOG_DEBUG, l->kind->logger, "acl replication - performing updates");
    }
    l->started = time_now_monotonic();
    l->done = 0;
    updates_next(&l->base);
}

static void fetched(struct replication *base, const struct answer *a) {
    struct replica_loop *l = of(base);
    struct error e = ERROR_IN(&base->arena);
    if (error_is_set(&a->error)) {
        failed(l, l->kind->fetch_failed, a->error.text);
        return;
    }
    if (!l->kind->take_fetched(a->reply, &l->objects, &base->arena, &e)) {
        failed(l, "", e.text);
        return;
    }
    log_at(LOG_DEBUG, l->kind->logger, "acl replication - downloaded updates",
           LOG_I("amount", l->objects.len));
    updates_write(l);
}

static void updates_begin(struct replica_loop *l) {
    const struct list *updates = &l->diff.updates;
    if (updates->len == 0 || l->kind->fetch == NULL) { /* the list had all of it */
        l->objects = LIST_NEW(&l->base.arena, const void *, updates->len);
        for (uint32_t i = 0; i < updates->len; i++) {
            LIST_AT(l->objects, const void *, i) = LIST_AT(*updates, struct replica, i).object;
        }
        updates_write(l);
        return;
    }
    struct replica_asked a = asked(l);
    a.ids = LIST_NEW(&l->base.arena, struct str, updates->len);
    for (uint32_t i = 0; i < updates->len; i++) {
        LIST_AT(a.ids, struct str, i) = LIST_AT(*updates, struct replica, i).id;
    }
    l->kind->ask_fetch(&l->request, &a);
    replication_ask(&l->base, l->kind->fetch, &l->request, fetched);
}

/* ---- life ---- */

static void begun(struct replication *base) {
    const struct replica_kind *kind = of(base)->kind;
    log_at(LOG_INFO, kind->started_by, kind->started);
}

static const struct replication_plan plan = {
    .period = SECOND,
    .backoff_first = 2 * SECOND,
    .backoff_most = 64 * SECOND,
    .begun = begun,
    .round = round_begin,
    .log_failure = log_failure,
};
static const struct replication_plan legacy_plan = {
    .period = SECOND,
    .begun = begun,
    .round = round_begin,
    .log_failure = log_failure,
};

void acl_replication_start(struct acl_replication *r, bool legacy) {
    const struct acl_options *acl = &r->server->options.acl;
    if (!acl->enabled || str_eq(r->server->options.datacenter, acl->primary_datacenter) ||
        (r->on && r->legacy == legacy)) {
        return;
    }
    acl_replication_stop(r);
    if (legacy && !acl->token_replication) {
        return;
    }
    r->on = true;
    r->legacy = legacy;
    r->status = (struct acl_replication_status){
        .enabled = true,
        .running = true,
        .source_datacenter = acl->primary_datacenter,
        .replication_type = legacy                   ? STR("legacy")
                            : acl->token_replication ? STR("tokens")
                                                     : STR("policies"),
        .last_success = r->status.last_success,
        .last_error = r->status.last_error,
    };
    if (legacy) {
        replication_enable(&r->loops[REPLICA_LEGACY].base, true);
        return;
    }
    replication_enable(&r->loops[REPLICA_POLICIES].base, true);
    replication_enable(&r->loops[REPLICA_ROLES].base, true);
    if (acl->token_replication) {
        replication_enable(&r->loops[REPLICA_TOKENS].base, true);
    }
}

void acl_replication_stop(struct acl_replication *r) {
    r->on = false;
    for (int kind = 0; kind < REPLICA_KINDS; kind++) {
        replication_enable(&r->loops[kind].base, false);
    }
    r->status = (struct acl_replication_status){.last_success = r->status.last_success,
                                                .last_error = r->status.last_error};
}

void acl_replication_get_status(const struct acl_replication *r,
                                struct acl_replication_status *out) {
    *out = r != NULL ? r->status : (struct acl_replication_status){0};
    if (!out->last_success.present)
        out->last_success = (struct timestamp){.offset = -1, .present = true};
    if (!out->last_error.present)
        out->last_error = (struct timestamp){.offset = -1, .present = true};
}

struct acl_replication *acl_replication_new(struct server *s) {
    struct acl_replication *r = MEM_NEW(struct acl_replication);
    r->server = s;
    for (int kind = 0; kind < REPLICA_KINDS; kind++) {
        struct replica_loop *l = &r->loops[kind];
        l->all = r;
        l->kind = &replica_kinds[kind];
        replication_init(&l->base, s, kind == REPLICA_LEGACY ? &legacy_plan : &plan,
                         l->kind->routine);
    }
    return r;
}

void acl_replication_close(struct acl_replication *r) {
    acl_replication_stop(r);
    for (int kind = 0; kind < REPLICA_KINDS; kind++) {
        replication_close(&r->loops[kind].base);
    }
}

void acl_replication_free(struct acl_replication *r) {
    mem_free(r);
}

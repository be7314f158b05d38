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
#include "server/server_room.h"

#define DELETIONS_MOST 4096
#define BACKOFF_MOST (64 * SECOND)
#define ENTRY_PERIOD (10 * MILLISECOND)

struct replica_loop {
    struct acl_replication *all;
    const struct replica_kind *kind;
    struct loop_timer timer;
    void (*next)(struct replica_loop *l); /* what the timer goes on with */
    bool on, calling;
    unsigned generation; /* what belongs to an earlier life is ignored */
    struct replica_rate rate;
    unsigned failures;
    uint64_t last_index, remote_index;
    int64_t started; /* of what is measured */

    struct arena arena; /* of the round */
    struct replica_request request;
    struct call call;
    struct answer *listed, *fetched;
    struct replica_diff diff;
    struct list objects; /* const void *: what is to be written */
    uint32_t done;       /* of the deletions or objects */
};

struct acl_replication {
    struct server *server;
    struct replica_loop loops[REPLICA_KINDS];
    bool on, legacy, closed;
    struct acl_replication_status status;
};

static void round_begin(struct replica_loop *l);
static void deletions_next(struct replica_loop *l);
static void updates_begin(struct replica_loop *l);
static void updates_next(struct replica_loop *l);

/* ---- the end of a round ---- */

/* As the peer shows it: the nearest second. */
static struct timestamp now_rounded(void) {
    return timestamp_from_unix_ns((time_now_wall() + SECOND / 2) / SECOND * SECOND);
}

static void forget_round(struct replica_loop *l) {
    answer_release(l->listed);
    answer_release(l->fetched);
    l->listed = l->fetched = NULL;
    l->diff = (struct replica_diff){0};
    l->objects = LIST_NIL;
    l->done = 0;
    arena_free(&l->arena);
    l->arena = ARENA_INIT;
}

static void wait_then(struct replica_loop *l, int64_t wait, void (*next)(struct replica_loop *l)) {
    l->next = next;
    loop_timer_set(&l->timer, wait);
}

static void round_again(struct replica_loop *l, int64_t wait) {
    forget_round(l);
    int64_t turn = replica_rate_take(&l->rate, SECOND, time_now_monotonic());
    wait_then(l, turn > wait ? turn : wait, round_begin);
}

static void failed(struct replica_loop *l, const char *what, struct str why) {
    struct arena arena = ARENA_INIT;
    struct str text = str_format(&arena, "%s" STR_FMT, what, STR_ARG(why));
    if (!atomic_load(&l->all->server->stopping)) {
        log_at(LOG_WARN, l->kind->logger, l->kind->failed, LOG_S("error", text));
    }
    arena_free(&arena);
    l->last_index = 0;
    l->failures++;
    l->all->status.last_error = now_rounded();
    round_again(l, l->kind->backs_off ? replica_backoff(l->failures, BACKOFF_MOST) : 0);
}

static void succeeded(struct replica_loop *l) {
    struct acl_replication_status *status = &l->all->status;
    log_at(LOG_DEBUG, l->kind->logger, l->kind->completed, LOG_I("index", l->remote_index));
    l->last_index = l->remote_index;
    l->failures = 0;
    l->kind->set_index(status, l->remote_index);
    status->last_success = now_rounded();
    round_again(l, 0);
}

/* ---- asking the primary ---- */

static void ask(struct replica_loop *l, const struct endpoint *endpoint,
                void (*done)(struct call *)) {
    l->call = (struct call){
        .endpoint = endpoint, .arena = &l->arena, .request = &l->request, .done = done, .owner = l};
    l->started = time_now_monotonic();
    l->calling = true;
    call_start(l->all->server, &l->call);
}

static struct replica_asked asked(struct replica_loop *l) {
    const struct server *s = l->all->server;
    return (struct replica_asked){
        .datacenter = s->options.acl.primary_datacenter,
        .options = {.token = agent_token(s->tokens, AGENT_TOKEN_REPLICATION, &l->arena),
                    .allow_stale = true}};
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

static bool compare(struct replica_loop *l) {
    struct error e = ERROR_IN(&l->arena);
    struct store_read read;
    struct list local, remote;
    if (!store_read_begin(l->all->server->store, &read, &l->arena, NULL, &e)) {
        failed(l, "failed to retrieve local state: ", e.text);
        return false;
    }
    l->kind->list_local(&read, &local);
    store_read_end(&read);
    l->kind->list_remote(l->listed->reply, &remote, &l->arena);
    log_at(LOG_DEBUG, l->kind->logger, "finished fetching acls", LOG_I("amount", remote.len));
    if (l->remote_index < l->last_index) {
        log_at(LOG_WARN, l->kind->logger,
               "ACL replication remote index moved backwards, forcing a full ACL sync",
               LOG_I("from", l->last_index), LOG_I("to", l->remote_index));
        l->last_index = 0;
    }
    log_at(LOG_DEBUG, l->kind->logger, "acl replication", LOG_I("local", local.len),
           LOG_I("remote", remote.len));
    replica_diff(&local, &remote, l->last_index, &l->arena, &l->diff);
    log_diff(l);
    return true;
}

static void listed(struct call *c) {
    struct replica_loop *l = c->owner;
    l->calling = false;
    l->listed = c->answer;
    c->answer = NULL;
    metric_since(l->kind->metric_fetch, l->started);
    if (error_is_set(&l->listed->error)) {
        struct str why = str_copy(&l->arena, l->listed->error.text);
        failed(l, l->kind->list_failed, why);
        return;
    }
    l->remote_index = l->listed->meta.index;
    if (compare(l)) {
        l->done = 0;
        l->started = time_now_monotonic();
        deletions_next(l);
    }
}

static void round_begin(struct replica_loop *l) {
    if (!agent_token_is_set(l->all->server->tokens, AGENT_TOKEN_REPLICATION)) {
        round_again(l, SECOND);
        return;
    }
    struct replica_asked a = asked(l);
    a.options.min_query_index = l->last_index;
    l->kind->ask_list(&l->request, &a);
    ask(l, l->kind->list, listed);
}

/* ---- entries ---- */

struct replica_entry {
    struct raft_proposal proposal;
    struct replica_loop *loop;
    unsigned generation;
    const char *failed;
    uint32_t count;
    void (*next)(struct replica_loop *l);
};

static void applied(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct replica_entry *entry = CONTAINER_OF(p, struct replica_entry, proposal);
    struct replica_loop *l = entry->loop;
    const struct error *e = &outcome->error;
    server_publish(l->all->server, NULL);
    if (!error_is_set(e) && outcome->result != NULL &&
        outcome->result->kind == STORE_RESULT_ERROR) {
        e = &outcome->result->error;
    }
    if (l->on && entry->generation == l->generation) {
        if (error_is_set(e)) {
            failed(l, entry->failed, e->text);
        } else {
            l->done += entry->count;
            wait_then(l, ENTRY_PERIOD, entry->next);
        }
    }
    mem_free(entry);
}

static void propose(struct replica_loop *l, struct buf *bytes, uint32_t count, const char *what,
                    void (*next)(struct replica_loop *l)) {
    struct replica_entry *entry = MEM_NEW(struct replica_entry);
    entry->loop = l;
    entry->generation = l->generation;
    entry->failed = what;
    entry->count = count;
    entry->next = next;
    entry->proposal.done = applied;
    entry->proposal.entry = *bytes;
    raft_driver_propose(l->all->server->driver, &entry->proposal);
}

static void deletions_next(struct replica_loop *l) {
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
    uint32_t count = all->len - l->done < most ? all->len - l->done : most;
    struct list part = {&LIST_AT(*all, struct str, l->done), count, true};
    struct buf bytes = BUF_INIT;
    l->kind->encode_deletions(&bytes, &part);
    propose(l, &bytes, count, l->kind->delete_failed, deletions_next);
}

static void updates_next(struct replica_loop *l) {
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
    count = l->kind->one_by_one ? 1 : count;
    struct list part = {&LIST_AT(l->objects, const void *, l->done), count, true};
    struct buf bytes = BUF_INIT;
    l->kind->encode_updates(&bytes, &part);
    log_at(LOG_DEBUG, l->kind->logger, "acl replication - upserted batch",
           LOG_I("number_upserted", count), LOG_I("batch_size", size));
    propose(l, &bytes, count, l->kind->update_failed, updates_next);
}

static void updates_write(struct replica_loop *l) {
    if (l->objects.len > 0) {
        log_at(LOG_DEBUG, l->kind->logger, "acl replication - performing updates");
    }
    l->started = time_now_monotonic();
    l->done = 0;
    updates_next(l);
}

static void fetched(struct call *c) {
    struct replica_loop *l = c->owner;
    struct error e = ERROR_IN(&l->arena);
    l->calling = false;
    l->fetched = c->answer;
    c->answer = NULL;
    if (error_is_set(&l->fetched->error)) {
        struct str why = str_copy(&l->arena, l->fetched->error.text);
        failed(l, l->kind->fetch_failed, why);
        return;
    }
    if (!l->kind->take_fetched(l->fetched->reply, &l->objects, &l->arena, &e)) {
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
        l->objects = LIST_NEW(&l->arena, const void *, updates->len);
        for (uint32_t i = 0; i < updates->len; i++) {
            LIST_AT(l->objects, const void *, i) = LIST_AT(*updates, struct replica, i).object;
        }
        updates_write(l);
        return;
    }
    struct replica_asked a = asked(l);
    a.ids = LIST_NEW(&l->arena, struct str, updates->len);
    for (uint32_t i = 0; i < updates->len; i++) {
        LIST_AT(a.ids, struct str, i) = LIST_AT(*updates, struct replica, i).id;
    }
    l->kind->ask_fetch(&l->request, &a);
    ask(l, l->kind->fetch, fetched);
}

/* ---- life ---- */

static void loop_start_now(struct replica_loop *l) {
    l->on = true;
    l->generation++;
    l->failures = 0;
    l->last_index = 0;
    l->rate = (struct replica_rate){0};
    log_at(LOG_INFO, "agent.leader", "started routine",
           LOG_S("routine", str_from(l->kind->routine)));
    log_at(LOG_INFO, l->kind->started_by, l->kind->started);
    round_again(l, 0);
}

static void loop_end(struct replica_loop *l) {
    if (!l->on) {
        return;
    }
    log_at(LOG_DEBUG, "agent.leader", "stopping routine",
           LOG_S("routine", str_from(l->kind->routine)));
    l->on = false;
    loop_timer_stop(&l->timer);
    if (l->calling) {
        call_cancel(&l->call, NULL); /* it goes to another datacenter, never to the core */
        l->calling = false;
    }
    forget_round(l);
}

static void timer_fired(struct loop_timer *timer) {
    struct replica_loop *l = timer->owner;
    l->next(l);
}

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
        loop_start_now(&r->loops[REPLICA_LEGACY]);
        return;
    }
    loop_start_now(&r->loops[REPLICA_POLICIES]);
    loop_start_now(&r->loops[REPLICA_ROLES]);
    if (acl->token_replication) {
        loop_start_now(&r->loops[REPLICA_TOKENS]);
    }
}

void acl_replication_stop(struct acl_replication *r) {
    r->on = false;
    for (int kind = 0; kind < REPLICA_KINDS; kind++) {
        loop_end(&r->loops[kind]);
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
        loop_timer_init(&s->core, &l->timer, timer_fired, l);
    }
    return r;
}

void acl_replication_close(struct acl_replication *r) {
    if (r->closed) {
        return;
    }
    acl_replication_stop(r);
    r->closed = true;
    for (int kind = 0; kind < REPLICA_KINDS; kind++) {
        loop_timer_close(&r->loops[kind].timer, NULL);
    }
}

void acl_replication_free(struct acl_replication *r) {
    mem_free(r);
}

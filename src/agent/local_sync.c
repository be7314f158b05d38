/* Anti-entropy (agent.md 4.2–4.5): a pass pushes what is dirty to the catalog; a full sync first
 * reads what the catalog has of this node (and local_compare.c marks what differs). At most one of
 * them runs at a time; calls of one stage go out together. What changes meanwhile is pushed by the
 * next pass.
 */
#include <stdlib.h>

#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/agent_tokens.h"
#include "server/authorize.h"
#include "server/endpoints.h"

#define LOGGER "agent"
#define AE_LOGGER "agent.anti_entropy"
#define WINDOW 64 /* calls under way */
#define RETRY_MIN (15 * SECOND)
#define LEADER_POLL (100 * MILLISECOND)
#define STAGGER (3 * SECOND)
#define MEMBERS_UNSCALED 128
#define MAX_STALE (2 * SECOND)

enum sync_kind {
    PUSH_NODE,
    PUSH_SERVICE,
    PUSH_CHECK,
    DROP_SERVICE,
    DROP_CHECK,
    READ_SERVICES,
    READ_CHECKS
};

struct sync_call {
    struct call call;
    struct arena arena;
    struct local *local;
    enum sync_kind kind;
    struct sync_item item;
    struct sync_item *checks; /* that travel with a service */
    size_t check_count;
    uint64_t node_version;          /* of what it tells of the node */
    struct str token;               /* with which it goes */
    struct authorize whose;         /* it was refused: who that was, for the log */
    bool asking;                    /* … which is being found out */
    struct sync_call *next, **back; /* list of those under way */
};

static void pass_continue(struct local *l);
static void full_start(struct local *l);

/* ---- waiters ---- */

static void waiters_append(struct sync_waiter **to, struct sync_waiter *more) {
    while (*to != NULL)
        to = &(*to)->next;
    *to = more;
}

void sync_files_written(struct local *l) {
    struct sync_waiter **at = &l->written;
    while (*at != NULL) {
        struct sync_waiter *w = *at;
        if (w->file > l->file_done) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->done(w->arg);
        mem_free(w);
        at = &l->written; /* done() may have changed the list */
    }
}

/* ---- calls ---- */

static void call_free(struct sync_call *c) {
    *c->back = c->next;
    if (c->next != NULL)
        c->next->back = c->back;
    c->local->in_flight--;
    struct arena arena = c->arena;
    mem_free(c);
    arena_free(&arena);
}

static struct sync_call *call_new(struct local *l, enum sync_kind kind, struct str id,
                                  uint64_t generation) {
    struct sync_call *c = MEM_NEW(struct sync_call);
    c->local = l;
    c->kind = kind;
    c->item = (struct sync_item){str_copy(&c->arena, id), generation};
    c->next = l->calls;
    c->back = &l->calls;
    if (c->next != NULL)
        c->next->back = &c->next;
    l->calls = c;
    l->in_flight++;
    return c;
}

static void call_done_push(struct call *call);
static void call_done_read(struct call *call);

static void call_go(struct sync_call *c, const struct endpoint *endpoint, void *request) {
    c->call.endpoint = endpoint;
    c->call.arena = &c->arena;
    c->call.request = request;
    c->call.owner = c;
    c->call.done =
        c->kind == READ_SERVICES || c->kind == READ_CHECKS ? call_done_read : call_done_push;
    call_start(c->local->server, &c->call);
}

/* Of a service or check that brought `own` along; in the arena. */
static struct str effective_token(const struct local *l, struct str own, struct arena *arena) {
    return own.len > 0 ? str_copy(arena, own)
                       : agent_token(server_tokens(l->server), AGENT_TOKEN_DEFAULT, arena);
}

static struct str own_token(const struct local *l, struct arena *arena) {
    return agent_token_own(server_tokens(l->server), arena);
}

struct list sync_own_meta(const struct local *l, struct arena *arena) {
    struct list given = l->config->node_meta;
    struct list all = LIST_NEW(arena, struct str_pair, given.len + 1);
    struct str key = STR("consul-network-segment");
    uint32_t at = 0, len = 0;
    for (; at < given.len && str_compare(LIST_AT(given, struct str_pair, at).key, key) < 0; at++)
        LIST_AT(all, struct str_pair, len++) = LIST_AT(given, struct str_pair, at);
    LIST_AT(all, struct str_pair, len++) = (struct str_pair){key, l->config->segment_name};
    for (; at < given.len; at++)
        LIST_AT(all, struct str_pair, len++) = LIST_AT(given, struct str_pair, at);
    return all;
}

/* Everything points into memory that lives as long as the call, where the token must be already:
 * the configuration is copied, since a reload may replace it. */
static struct register_request *new_register(struct sync_call *c, struct str token) {
    struct local *l = c->local;
    struct register_request from = {
        .address = l->config->advertise_addr_lan,
        .datacenter = l->config->datacenter,
        .id = str_from(l->node_id),
        .node = l->config->node_name,
        .node_meta = sync_own_meta(l, &c->arena),
        .skip_node_update = l->node_in_sync,
        .tagged_addresses = l->config->tagged_addresses,
    };
    c->node_version = l->node_version;
    struct register_request *r = ARENA_NEW(&c->arena, struct register_request);
    schema_copy(&register_request_shape, r, &from, &c->arena);
    r->write.token = c->token = token;
    return r;
}

static struct health_check *copy_check(const struct local_check *from, struct arena *arena) {
    struct health_check *to = ARENA_NEW(arena, struct health_check);
    schema_copy(&health_check_shape, to, &from->check, arena);
    return to;
}

static struct node_service *copy_service(const struct local_service *from, struct arena *arena) {
    struct node_service *to = ARENA_NEW(arena, struct node_service);
    schema_copy(&node_service_shape, to, &from->service, arena);
    return to;
}

static void push_node(struct local *l) {
    struct sync_call *c = call_new(l, PUSH_NODE, STR(""), 0);
    call_go(c, &endpoint_catalog_register, new_register(c, own_token(l, &c->arena)));
}

static int compare_dirty(const void *a, const void *b) {
    const struct dirty_check *x = a, *y = b;
    int order = str_compare(x->service_id, y->service_id);
    return order != 0 ? order : (x->generation > y->generation) - (x->generation < y->generation);
}

/* The dirty checks of services, once for the whole stage rather than once for each service. */
static void collect_dirty_checks(struct local *l) {
    l->dirty = ARENA_ARRAY(&l->pass, struct dirty_check, l->checks.count);
    l->dirty_len = 0;
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        const struct local_check *c = value;
        if (!c->deleted && !c->in_sync && c->check.service_id.len > 0)
            l->dirty[l->dirty_len++] =
                (struct dirty_check){str_copy(&l->pass, c->check.service_id),
                                     str_copy(&l->pass, c->check.check_id), c->generation};
    }
    if (l->dirty_len > 1)
        qsort(l->dirty, l->dirty_len, sizeof(*l->dirty), compare_dirty);
}

static void dirty_checks_of(const struct local *l, struct str service_id,
                            const struct dirty_check **first, const struct dirty_check **end) {
    size_t low = 0, high = l->dirty_len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (str_compare(l->dirty[middle].service_id, service_id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *first = l->dirty + low;
    while (low < l->dirty_len && str_eq(l->dirty[low].service_id, service_id))
        low++;
    *end = l->dirty + low;
}

/* A service and those dirty checks of it that have its token: exactly one goes into Check, more
 * into Checks. */
static void push_service(struct local *l, struct local_service *s) {
    struct sync_call *c = call_new(l, PUSH_SERVICE, s->service.id, s->generation);
    struct register_request *r = new_register(c, effective_token(l, s->token, &c->arena));
    r->service = copy_service(s, &c->arena);
    const struct dirty_check *first, *end;
    dirty_checks_of(l, s->service.id, &first, &end);
    struct list checks = LIST_NEW(&c->arena, struct health_check *, (size_t)(end - first));
    c->checks = ARENA_ARRAY(&c->arena, struct sync_item, (size_t)(end - first));
    for (; first < end; first++) {
        const struct local_check *check = map_get(&l->checks, first->check_id);
        if (check == NULL || check->deleted || check->in_sync ||
            !str_eq(check->check.service_id, s->service.id) ||
            !str_eq(effective_token(l, check->token, &l->pass), c->token))
            continue;
        struct health_check *copy = copy_check(check, &c->arena);
        LIST_AT(checks, struct health_check *, c->check_count) = copy;
        c->checks[c->check_count++] = (struct sync_item){copy->check_id, check->generation};
    }
    checks.len = (uint32_t)c->check_count;
    if (c->check_count == 1)
        r->check = LIST_AT(checks, struct health_check *, 0);
    else if (c->check_count > 1)
        r->checks = checks;
    call_go(c, &endpoint_catalog_register, r);
}

static void push_check(struct local *l, struct local_check *check) {
    struct sync_call *c = call_new(l, PUSH_CHECK, check->check.check_id, check->generation);
    struct register_request *r = new_register(c, effective_token(l, check->token, &c->arena));
    r->check = copy_check(check, &c->arena);
    const struct local_service *s = local_service_find(l, check->check.service_id);
    if (s != NULL)
        r->service = copy_service(s, &c->arena);
    sync_cancel_deferral(check);
    call_go(c, &endpoint_catalog_register, r);
}

static void drop_remote(struct local *l, enum sync_kind kind, struct str id, uint64_t generation,
                        struct str token) {
    struct sync_call *c = call_new(l, kind, id, generation);
    struct deregister_request *r = ARENA_NEW(&c->arena, struct deregister_request);
    r->datacenter = str_copy(&c->arena, l->config->datacenter);
    r->node = str_copy(&c->arena, l->config->node_name);
    *(kind == DROP_SERVICE ? &r->service_id : &r->check_id) = c->item.id;
    r->write.token = c->token = effective_token(l, token, &c->arena);
    call_go(c, &endpoint_catalog_deregister, r);
}

void sync_drop_service(struct local *l, struct str id) {
    drop_remote(l, DROP_SERVICE, id, 0, STR(""));
}
void sync_drop_check(struct local *l, struct str id) {
    drop_remote(l, DROP_CHECK, id, 0, STR(""));
}

/* ---- answers ---- */

static void log_failure(const struct sync_call *c, struct str error) {
    switch (c->kind) {
    case PUSH_NODE:
        log_at(LOG_WARN, LOGGER, "Syncing node info failed.", LOG_S("error", error));
        break;
    case PUSH_SERVICE:
        log_at(LOG_WARN, LOGGER, "Syncing service failed.", LOG_S("service", c->item.id),
               LOG_S("error", error));
        break;
    case PUSH_CHECK:
        log_at(LOG_WARN, LOGGER, "Syncing check failed.", LOG_S("check", c->item.id),
               LOG_S("error", error));
        break;
    case DROP_SERVICE:
        log_at(LOG_WARN, LOGGER, "Deregistering service failed.", LOG_S("service", c->item.id),
               LOG_S("error", error));
        break;
    default:
        log_at(LOG_WARN, LOGGER, "Deregistering check failed.", LOG_S("check", c->item.id),
               LOG_S("error", error));
        break;
    }
}

static void log_denied(const struct sync_call *c, struct str accessor) {
    switch (c->kind) {
    case PUSH_NODE:
        log_at(LOG_WARN, LOGGER, "Node info update blocked by ACLs",
               LOG_C("node", c->local->node_id), LOG_S("accessorID", accessor));
        break;
    case PUSH_SERVICE:
        log_at(LOG_WARN, LOGGER, "Service registration blocked by ACLs",
               LOG_S("service", c->item.id), LOG_S("accessorID", accessor));
        break;
    case DROP_SERVICE:
        log_at(LOG_WARN, LOGGER, "Service deregistration blocked by ACLs",
               LOG_S("service", c->item.id), LOG_S("accessorID", accessor));
        break;
    case PUSH_CHECK:
        log_at(LOG_WARN, LOGGER, "Check registration blocked by ACLs", LOG_S("check", c->item.id),
               LOG_S("accessorID", accessor));
        break;
    default:
        log_at(LOG_WARN, LOGGER, "Check deregistration blocked by ACLs", LOG_S("check", c->item.id),
               LOG_S("accessorID", accessor));
        break;
    }
}

/* Whether the entry is as it was when the call was sent. */
static struct local_service *unchanged_service(const struct local *l, struct sync_item item) {
    struct local_service *s = map_get(&l->services, item.id);
    return s != NULL && s->generation == item.generation ? s : NULL;
}

static struct local_check *unchanged_check(const struct local *l, struct sync_item item) {
    struct local_check *c = map_get(&l->checks, item.id);
    return c != NULL && c->generation == item.generation ? c : NULL;
}

/* The server removed the service's checks with it. */
static void forget_checks_of(struct local *l, struct str service_id) {
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (!c->deleted || !str_eq(c->check.service_id, service_id))
            continue;
        map_remove(&l->checks, c->check.check_id);
        local_check_free(l, c);
    }
}

/* Refused counts as in sync, until the next full sync looks again (acl.md 3.1). */
static void settle(struct local *l, const struct sync_call *c, bool denied) {
    struct local_service *s;
    struct local_check *check;
    switch (c->kind) {
    case PUSH_NODE: /* unless a reload has changed it since */
        l->node_in_sync = l->node_in_sync || c->node_version == l->node_version;
        break;
    case PUSH_SERVICE:
        if ((s = unchanged_service(l, c->item)) != NULL)
            s->in_sync = true;
        for (size_t i = 0; i < c->check_count; i++)
            if ((check = unchanged_check(l, c->checks[i])) != NULL) {
                check->in_sync = true;
                sync_cancel_deferral(check);
            }
        break;
    case PUSH_CHECK:
        if ((check = unchanged_check(l, c->item)) != NULL)
            check->in_sync = true;
        break;
    case DROP_SERVICE:
        if (!denied)
            forget_checks_of(l, c->item.id);
        if ((s = unchanged_service(l, c->item)) == NULL)
            break;
        if (denied)
            s->in_sync = true;
        else
            local_service_drop(l, s);
        break;
    default:
        if ((check = unchanged_check(l, c->item)) == NULL)
            break;
        if (denied) {
            check->in_sync = true;
        } else {
            map_remove(&l->checks, c->item.id);
            local_check_free(l, check);
        }
        break;
    }
}

static void log_success(const struct sync_call *c) {
    switch (c->kind) {
    case PUSH_NODE:
        log_at(LOG_INFO, LOGGER, "Synced node info");
        break;
    case PUSH_SERVICE:
        log_at(LOG_INFO, LOGGER, "Synced service", LOG_S("service", c->item.id));
        break;
    case PUSH_CHECK:
        log_at(LOG_INFO, LOGGER, "Synced check", LOG_S("check", c->item.id));
        break;
    case DROP_SERVICE:
        log_at(LOG_INFO, LOGGER, "Deregistered service", LOG_S("service", c->item.id));
        break;
    default:
        log_at(LOG_INFO, LOGGER, "Deregistered check", LOG_S("check", c->item.id));
        break;
    }
}

static bool drop_is_done(const struct sync_call *c, const struct error *e) {
    return (c->kind == DROP_SERVICE && str_has_prefix(e->text, STR("Unknown service"))) ||
           (c->kind == DROP_CHECK && str_has_prefix(e->text, STR("Unknown check")));
}

static void denied_told(struct authorize *a) {
    struct sync_call *c = a->owner;
    struct local *l = c->local;
    const struct authorization *who = a->result;
    c->asking = false;
    log_denied(c, who != NULL && who->token != NULL ? who->token->accessor_id : STR(""));
    authorization_release(a->result);
    call_free(c);
    pass_continue(l);
}

/* The log names the token by its accessor, which may have to be asked for. */
static void denied(struct sync_call *c) {
    c->whose = (struct authorize){
        .secret = c->token, .done = denied_told, .owner = c, .error = ERROR_IN(&c->arena)};
    c->asking = true;
    if (authorize_start(&c->whose))
        denied_told(&c->whose);
}

static void call_done_push(struct call *call) {
    struct sync_call *c = call->owner;
    struct local *l = c->local;
    struct answer *a = call->answer;
    bool node_follows = c->kind == PUSH_SERVICE || c->kind == PUSH_CHECK;
    if (!error_is_set(&a->error) || drop_is_done(c, &a->error)) {
        settle(l, c, false);
        l->node_in_sync = l->node_in_sync || (node_follows && c->node_version == l->node_version);
        log_success(c);
    } else if (a->error.kind == ERROR_DENIED) {
        settle(l, c, true);
        answer_release(a);
        denied(c);
        return;
    } else {
        /* What is wrong with one entry does not keep the others waiting (the peer stops at it, and
         * goes on in another order the next time); what is wrong with the servers does. */
        enum error_kind kind = a->error.kind;
        l->failed =
            l->failed || kind == ERROR_NO_LEADER || kind == ERROR_IO || kind == ERROR_RATE_LIMIT;
        if (!l->incomplete)
            l->pass_error = str_copy(&l->pass, a->error.text);
        l->incomplete = true;
        log_failure(c, a->error.text);
    }
    answer_release(a);
    call_free(c);
    pass_continue(l);
}

/* ---- a pass ---- */

static size_t cluster_size(const struct local *l) {
    return peers_members(server_peers(l->server));
}

/* Up to so much, times what the cluster's size makes of it. */
static int64_t staggered(struct local *l, int64_t most) {
    int64_t factor = 1;
    size_t members = cluster_size(l);
    for (size_t n = MEMBERS_UNSCALED; n < members; n *= 2)
        factor++;
    return (int64_t)prng_below(&l->random, (uint64_t)(most * factor));
}

/* A full sync later: soon after a leader has come when there is none, else when the time is up. */
static void retry_later(struct local *l) {
    l->state = SYNC_RETRY_FULL;
    l->leaderless = !server_can_call(l->server);
    l->retry_at = time_now_monotonic() + RETRY_MIN + staggered(l, RETRY_MIN);
    loop_timer_set(&l->retry_timer, LEADER_POLL);
}

static void pass_end(struct local *l) {
    if (l->incomplete)
        log_at(LOG_ERROR, AE_LOGGER,
               l->full ? "failed to sync remote state" : "failed to sync changes",
               LOG_S("error", l->pass_error));
    if (l->incomplete && !l->stopping && (l->full || l->failed))
        retry_later(l);
    l->synced |= l->full && !l->incomplete;
    l->full = false;
    l->stage = STAGE_IDLE;
    l->todo = NULL;
    l->todo_len = l->todo_next = 0;
    l->dirty = NULL;
    l->dirty_len = 0;
    arena_reset(&l->pass, 4096);
    struct sync_waiter *over = l->waiting;
    l->waiting = NULL;
    for (struct sync_waiter *w = over; w != NULL; w = w->next)
        w->file = l->file_queued;
    waiters_append(&l->written, over);
    bool again = l->again || l->waiting_next != NULL;
    l->again = false;
    sync_files_written(l);
    if (l->stopping || l->stage != STAGE_IDLE) {
        local_ended_one(l);
        return;
    }
    if (l->full_wanted)
        full_start(l);
    else if (again)
        loop_timer_set(&l->trigger_timer, 0);
}

static int compare_items(const void *a, const void *b) {
    uint64_t first = ((const struct sync_item *)a)->generation,
             second = ((const struct sync_item *)b)->generation;
    return (first > second) - (first < second);
}

/* What is dirty, in the order of the changes. */
static void collect(struct local *l, const struct map *map, bool services) {
    l->todo = ARENA_ARRAY(&l->pass, struct sync_item, map->count);
    l->todo_len = l->todo_next = 0;
    struct str id;
    void *value;
    for (size_t i = 0; map_next(map, &i, &id, &value);) {
        const struct local_service *s = value;
        const struct local_check *c = value;
        uint64_t generation = services ? s->generation : c->generation;
        if (!(services ? s->in_sync : c->in_sync))
            l->todo[l->todo_len++] = (struct sync_item){str_copy(&l->pass, id), generation};
    }
    if (l->todo_len > 1)
        qsort(l->todo, l->todo_len, sizeof(*l->todo), compare_items);
}

static void push_next_service(struct local *l) {
    struct local_service *s = map_get(&l->services, l->todo[l->todo_next++].id);
    if (s == NULL || s->in_sync)
        return;
    if (s->deleted)
        drop_remote(l, DROP_SERVICE, s->service.id, s->generation, s->token);
    else
        push_service(l, s);
}

static void push_next_check(struct local *l) {
    struct local_check *c = map_get(&l->checks, l->todo[l->todo_next++].id);
    if (c == NULL || c->in_sync)
        return;
    if (c->deleted)
        drop_remote(l, DROP_CHECK, c->check.check_id, c->generation, c->token);
    else
        push_check(l, c);
}

/* Answers that are at hand come while their call is started: the guard keeps the loop flat. */
static void pass_continue(struct local *l) {
    static _Thread_local bool inside;
    if (inside)
        return;
    inside = true;
    while (l->stage >= STAGE_NODE) {
        if (l->failed || l->stopping)
            l->todo_next = l->todo_len;
        if (l->stage != STAGE_NODE && l->todo_next < l->todo_len && l->in_flight < WINDOW) {
            if (l->stage == STAGE_SERVICES)
                push_next_service(l);
            else
                push_next_check(l);
            continue;
        }
        if (l->in_flight > 0)
            break;
        if (l->failed || l->stopping || l->stage == STAGE_CHECKS) {
            pass_end(l); /* which may start the next one */
            continue;
        }
        if (l->stage == STAGE_NODE) {
            l->stage = STAGE_SERVICES;
            collect(l, &l->services, true);
            if (l->todo_len > 0)
                collect_dirty_checks(l);
        } else {
            l->stage = STAGE_CHECKS;
            collect(l, &l->checks, false);
        }
    }
    inside = false;
}

static void pass_start(struct local *l) {
    ASSERT(l->stage == STAGE_IDLE || l->stage == STAGE_READ_CHECKS);
    loop_timer_stop(&l->trigger_timer);
    l->stage = STAGE_NODE;
    l->failed = l->incomplete = false;
    l->again = false;
    waiters_append(&l->waiting, l->waiting_next);
    l->waiting_next = NULL;
    if (!l->node_in_sync)
        push_node(l);
    pass_continue(l);
}

void sync_trigger(struct local *l) {
    if (!l->started || l->stopping)
        return;
    if (l->stage == STAGE_IDLE)
        loop_timer_set(&l->trigger_timer, 0);
    else
        l->again = true;
}

static void trigger_fired(struct loop_timer *t) {
    struct local *l = t->owner;
    if (l->stage == STAGE_IDLE && !l->stopping)
        pass_start(l);
}

void local_sync_changes(struct local *l, void (*done)(void *arg), void *arg) {
    struct sync_waiter *w = MEM_NEW(struct sync_waiter);
    w->done = done;
    w->arg = arg;
    if (!l->started || l->stopping) {
        waiters_append(&l->written, w);
        sync_files_written(l);
        return;
    }
    waiters_append(&l->waiting_next, w);
    if (l->stage == STAGE_IDLE)
        pass_start(l);
}

/* ---- a full sync ---- */

static void full_again_later(struct local *l) {
    int64_t interval = l->config->ae_interval > 0 ? l->config->ae_interval : MINUTE;
    loop_timer_set(&l->full_timer, interval + staggered(l, interval));
}

static void full_failed(struct local *l, struct str error) {
    log_at(LOG_ERROR, AE_LOGGER, "failed to sync remote state", LOG_S("error", error));
    retry_later(l);
    l->stage = STAGE_IDLE;
    if (l->waiting_next != NULL)
        pass_start(l);
}

static void retry_fired(struct loop_timer *t) {
    struct local *l = t->owner;
    if (l->state != SYNC_RETRY_FULL || l->stopping)
        return;
    bool news = l->leaderless && server_can_call(l->server);
    bool ready = news || time_now_monotonic() >= l->retry_at;
    if (ready && l->stage == STAGE_IDLE)
        full_start(l);
    else
        loop_timer_set(&l->retry_timer, LEADER_POLL);
}

/* Now, or when what is under way is over. */
static void full_soon(struct local *l) {
    if (l->stage == STAGE_IDLE)
        full_start(l);
    else
        l->full_wanted = true;
}

static void full_fired(struct loop_timer *t) {
    struct local *l = t->owner;
    if (l->stopping)
        return;
    full_again_later(l);
    full_soon(l);
}

static void asked_fired(struct loop_timer *t) {
    struct local *l = t->owner;
    l->asked = false;
    if (!l->stopping)
        full_soon(l);
}

void local_full_sync_trigger(struct local *l) {
    if (!l->started || l->stopping || l->asked)
        return;
    l->asked = true;
    loop_timer_set(&l->asked_timer, staggered(l, STAGGER));
}

static void start_read(struct local *l, enum sync_kind kind, const struct endpoint *endpoint) {
    struct sync_call *c = call_new(l, kind, STR(""), 0);
    struct node_request *r = ARENA_NEW(&c->arena, struct node_request);
    r->datacenter = str_copy(&c->arena, l->config->datacenter);
    r->node = str_copy(&c->arena, l->config->node_name);
    /* What a server has that was just started may be from before it was stopped: the first time the
     * leader is asked. */
    r->options.allow_stale = l->synced;
    r->options.max_stale_duration = l->synced ? MAX_STALE : 0;
    r->options.token = own_token(l, &c->arena);
    call_go(c, endpoint, r);
}

static void full_start(struct local *l) {
    loop_timer_stop(&l->retry_timer);
    loop_timer_stop(&l->asked_timer);
    l->full_wanted = l->asked = false;
    l->state = SYNC_FULL;
    l->stage = STAGE_READ_SERVICES;
    start_read(l, READ_SERVICES, &endpoint_catalog_node_service_list);
}

static void call_done_read(struct call *call) {
    struct sync_call *c = call->owner;
    struct local *l = c->local;
    struct answer *a = call->answer;
    enum sync_kind kind = c->kind;
    if (l->stopping) {
        answer_release(a);
        call_free(c);
        l->stage = STAGE_IDLE;
        local_ended_one(l);
        return;
    }
    if (error_is_set(&a->error)) {
        call_free(c);
        full_failed(l, a->error.text);
        answer_release(a);
        return;
    }
    if (kind == READ_SERVICES)
        sync_compare_services(l, &((struct indexed_node_service_list *)a->reply)->node_services);
    else
        sync_compare_checks(l, &((struct indexed_health_checks *)a->reply)->health_checks);
    answer_release(a);
    call_free(c);
    if (kind == READ_SERVICES) {
        l->stage = STAGE_READ_CHECKS;
        start_read(l, READ_CHECKS, &endpoint_health_node_checks);
        return;
    }
    l->state = SYNC_PARTIAL;
    l->full = true;
    pass_start(l);
}

/* ---- deferred output ---- */

static void deferral_fired(struct loop_timer *t) {
    struct local_check *c = t->owner;
    struct local *l = local_timer_local(t);
    sync_cancel_deferral(c);
    local_touch_check(l, c);
}

void sync_defer(struct local *l, struct local_check *c) {
    if (c->deferral != NULL || l->stopping)
        return;
    int64_t interval = l->config->check_update_interval;
    c->deferral = local_timer_new(l, deferral_fired, c);
    loop_timer_set(c->deferral, interval / 2 + (int64_t)prng_below(&l->random, (uint64_t)interval));
}

void sync_cancel_deferral(struct local_check *c) {
    struct loop_timer *t = c->deferral;
    c->deferral = NULL;
    local_timer_free(t);
}

/* ---- life ---- */

void sync_init(struct local *l) {
    loop_timer_init(l->loop, &l->full_timer, full_fired, l);
    loop_timer_init(l->loop, &l->retry_timer, retry_fired, l);
    loop_timer_init(l->loop, &l->trigger_timer, trigger_fired, l);
    loop_timer_init(l->loop, &l->asked_timer, asked_fired, l);
    l->open_handles += 4;
    l->started = true;
    full_again_later(l);
    full_start(l);
}

static void call_freed(void *owner) {
    struct sync_call *c = owner;
    struct local *l = c->local;
    call_free(c);
    local_ended_one(l);
}

void sync_stop(struct local *l) {
    struct loop_timer *timers[] = {&l->full_timer, &l->retry_timer, &l->trigger_timer,
                                   &l->asked_timer};
    for (size_t i = 0; i < COUNT_OF(timers); i++) {
        loop_timer_stop(timers[i]);
        loop_timer_close(timers[i], local_handle_closed);
    }
    for (struct sync_call *c = l->calls, *next; c != NULL; c = next) {
        next = c->next;
        if (c->asking) {
            authorize_cancel(&c->whose);
            call_free(c);
        } else {
            call_cancel(&c->call, call_freed);
        }
    }
    waiters_append(&l->written, l->waiting);
    waiters_append(&l->written, l->waiting_next);
    l->waiting = l->waiting_next = NULL;
    for (struct sync_waiter *w = l->written; w != NULL; w = w->next)
        w->file = 0;
    sync_files_written(l);
}

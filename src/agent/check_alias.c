/* Alias checks: as healthy as another service, of this agent (read from the local state) or of any
 * node (read from the catalog by blocking queries): agent.md 3.7. All on the core: there is nothing
 * to wait for but messages.
 *
 * Unlike the peer, an alias check does not count itself, its worker ends with it, and a node that
 * the catalog does not know is a service that could not be found.
 */
#include "agent/check_local.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/agent_tokens.h"
#include "server/endpoints.h"

#define LOCAL_AGAIN MINUTE
#define QUERY_TIME MINUTE
#define MAX_STALE (15 * SECOND)
#define BACKOFF_FROM 3 /* failures without a pause */
#define BACKOFF_MAX MINUTE
#define BETWEEN_QUERIES (10 * MILLISECOND)
#define EXISTENCE_TRIES 4

enum alias_stage { ALIAS_CHECKS, ALIAS_SERVICES };

struct alias_check {
    struct local *local;
    struct arena arena; /* of the definition */
    struct str check_id, node, service, token;
    struct alias_check *next, **back; /* in local->aliases */
    struct loop_timer timer;
    bool timer_open, removed;

    /* Of an alias of another node. */
    struct call call;
    struct arena call_arena;
    bool calling;
    enum alias_stage stage;
    uint64_t index;
    unsigned failures, existence_failures;
    struct arena view_arena;
    struct list
        view; /* of struct health_check: as answered last, while the service is looked for */
};

/* ---- what it amounts to ---- */

struct verdict {
    const struct alias_check *alias;
    struct arena *arena;
    struct str status, output;
    bool any, of_service;
};

/* False: it cannot get worse. */
static bool consider(struct verdict *v, const struct health_check *c) {
    bool of_service = c->service_id.len > 0 && str_eq(c->service_id, v->alias->service);
    if (c->service_id.len > 0 && !of_service)
        return true;
    v->any = true;
    v->of_service |= of_service;
    bool critical = str_is(c->status, "critical"), warning = str_is(c->status, "warning");
    if (!critical && !warning)
        return true;
    v->status = critical ? STR("critical") : STR("warning");
    v->output = str_format(v->arena, "Aliased check " STR_FMT " failing: " STR_FMT,
                           STR_ARG(str_quote(v->arena, c->name)), STR_ARG(c->output));
    return !critical;
}

/* first: only if the status changes; false otherwise, and nothing is done. */
static bool apply(struct alias_check *a, struct verdict *v, bool exists, bool first) {
    struct local_check *c = local_check_find(a->local, a->check_id);
    if (c == NULL || c->alias != a)
        return true;
    if (!v->of_service && !exists) {
        v->status = STR("critical");
        v->output = str_format(v->arena, "Service " STR_FMT " could not be found on node " STR_FMT,
                               STR_ARG(a->service), STR_ARG(a->node));
    } else if (v->status.len == 0) {
        v->status = STR("passing");
        v->output = v->any ? STR("All checks passing.") : STR("No checks found.");
    }
    if (first && str_eq(c->check.status, v->status))
        return false;
    local_check_update(a->local, c, v->status, v->output);
    return true;
}

/* ---- of this agent ---- */

static void evaluate_here(struct alias_check *a, bool first) {
    struct local *l = a->local;
    struct arena scratch = ARENA_INIT;
    struct verdict v = {.alias = a, .arena = &scratch};
    bool exists = a->service.len == 0 || local_service_find(l, a->service) != NULL;
    void *value;
    for (size_t i = 0; map_next(&l->checks, &i, NULL, &value);) {
        struct local_check *c = value;
        if (!c->deleted && c->alias != a && !consider(&v, &c->check))
            break;
    }
    bool done = apply(a, &v, exists, first);
    arena_free(&scratch);
    loop_timer_set(&a->timer, done ? LOCAL_AGAIN : 0);
}

void check_alias_notify(struct local *l, struct str service_id) {
    if (service_id.len == 0)
        return;
    for (struct alias_check *a = l->aliases; a != NULL; a = a->next)
        if (a->node.len == 0 && str_eq(a->service, service_id))
            loop_timer_set(&a->timer, 0);
}

/* ---- of another node ---- */

static void evaluate_there(struct alias_check *a, bool exists) {
    struct arena scratch = ARENA_INIT;
    struct verdict v = {.alias = a, .arena = &scratch};
    for (uint32_t i = 0; i < a->view.len; i++) {
        const struct health_check *c = &LIST_AT(a->view, struct health_check, i);
        bool itself =
            str_eq(c->check_id, a->check_id) && str_eq(c->node, a->local->config->node_name);
        if (!itself && !consider(&v, c))
            break;
    }
    apply(a, &v, exists, false);
    arena_free(&scratch);
    a->view = LIST_EMPTY;
    arena_free(&a->view_arena);
}

static void query_done(struct call *call);

static void ask(struct alias_check *a, enum alias_stage stage) {
    struct local *l = a->local;
    a->stage = stage;
    arena_free(&a->call_arena);
    struct node_request *r = ARENA_NEW(&a->call_arena, struct node_request);
    r->datacenter = l->config->datacenter;
    r->node = a->node;
    r->options.allow_stale = true;
    r->options.max_stale_duration = MAX_STALE;
    r->options.token = a->token.len > 0 ? a->token
                                        : agent_token(server_tokens(l->server), AGENT_TOKEN_DEFAULT,
                                                      &a->call_arena);
    if (stage == ALIAS_CHECKS) {
        r->options.min_query_index = a->index;
        r->options.max_query_time = QUERY_TIME;
    }
    a->call = (struct call){
        .endpoint =
            stage == ALIAS_CHECKS ? &endpoint_health_node_checks : &endpoint_catalog_node_services,
        .arena = &a->call_arena,
        .request = r,
        .done = query_done,
        .owner = a,
    };
    a->calling = true;
    call_start(l->server, &a->call);
}

static void ask_again(struct alias_check *a) {
    loop_timer_set(&a->timer, BETWEEN_QUERIES);
    a->stage = ALIAS_CHECKS;
}

static void asking_failed(struct alias_check *a, struct str why) {
    a->failures++;
    a->index = 0;
    struct local_check *c = local_check_find(a->local, a->check_id);
    if (a->failures > 1 && c != NULL && c->alias == a) {
        struct arena scratch = ARENA_INIT;
        local_check_update(a->local, c, STR("critical"),
                           str_format(&scratch,
                                      "Failure checking aliased node or service: " STR_FMT,
                                      STR_ARG(why)));
        arena_free(&scratch);
    }
    int64_t pause = BETWEEN_QUERIES;
    if (a->failures > BACKOFF_FROM) {
        unsigned power = a->failures - BACKOFF_FROM;
        pause = power >= 6 ? BACKOFF_MAX : SECOND << power;
    }
    loop_timer_set(&a->timer, pause);
}

static void got_checks(struct alias_check *a, const struct answer *answer) {
    const struct indexed_health_checks *reply = answer->reply;
    uint64_t index = answer->meta.index > 0 ? answer->meta.index : 1;
    a->failures = 0;
    a->index = index < a->index ? 0 : index;
    const struct list *found = &reply->health_checks;
    a->view = LIST_NEW(&a->view_arena, struct health_check, found->len);
    bool of_service = a->service.len == 0;
    for (uint32_t i = 0; i < found->len; i++) {
        struct health_check *copy = &LIST_AT(a->view, struct health_check, i);
        schema_copy(&health_check_shape, copy, LIST_AT(*found, struct health_check *, i),
                    &a->view_arena);
        of_service |= copy->service_id.len > 0 && str_eq(copy->service_id, a->service);
    }
    if (of_service) {
        evaluate_there(a, true);
        ask_again(a);
    } else {
        a->existence_failures = 0;
        ask(a, ALIAS_SERVICES);
    }
}

static void got_services(struct alias_check *a, const struct answer *answer) {
    const struct indexed_node_services *reply = answer->reply;
    const struct node_services *found = reply->node_services;
    struct service_pair {
        struct str id;
        struct node_service *service;
    };
    evaluate_there(a, found != NULL && map_pair_value(&found->services, sizeof(struct service_pair),
                                                      a->service) != NULL);
    ask_again(a);
}

static void query_done(struct call *call) {
    struct alias_check *a = call->owner;
    struct answer *answer = call->answer;
    a->calling = false;
    if (!error_is_set(&answer->error)) {
        if (a->stage == ALIAS_CHECKS)
            got_checks(a, answer);
        else
            got_services(a, answer);
    } else if (a->stage == ALIAS_CHECKS) {
        asking_failed(a, answer->error.text);
    } else if (++a->existence_failures < EXISTENCE_TRIES) {
        loop_timer_set(&a->timer, a->existence_failures * SECOND);
    } else { /* nobody knows: then it exists */
        evaluate_there(a, true);
        ask_again(a);
    }
    answer_release(answer);
}

/* ---- life ---- */

static void timer_fired(struct loop_timer *t) {
    struct alias_check *a = t->owner;
    if (a->node.len == 0)
        evaluate_here(a, false);
    else if (!a->calling)
        ask(a, a->stage);
}

/* So that the check is right from its first push on. The peer's is when it keeps the check on disk
 * before; in dev mode an output alone comes too late for that push, and waits for a later one.
 */
void check_alias_start(struct local *l, struct local_check *c) {
    struct alias_check *a = MEM_NEW(struct alias_check);
    a->local = l;
    a->check_id = str_copy(&a->arena, c->check.check_id);
    a->node = str_copy(&a->arena, c->type.alias_node);
    a->service = str_copy(&a->arena, c->type.alias_service);
    a->token = str_copy(&a->arena, c->token);
    a->next = l->aliases;
    a->back = &l->aliases;
    if (a->next != NULL)
        a->next->back = &a->next;
    l->aliases = a;
    c->alias = a;
    l->open_handles++;
    loop_timer_init(l->loop, &a->timer, timer_fired, a);
    a->timer_open = true;
    if (a->node.len > 0 || l->loading) /* what it follows may still be loading */
        loop_timer_set(&a->timer, 0);
    else
        evaluate_here(a, l->config->data_dir.len == 0);
}

static void maybe_free(struct alias_check *a) {
    if (!a->removed || a->timer_open || a->calling)
        return;
    struct local *l = a->local;
    struct arena arena = a->arena;
    arena_free(&a->call_arena);
    arena_free(&a->view_arena);
    mem_free(a);
    arena_free(&arena);
    local_closed_one(l);
}

static void call_freed(void *owner) {
    struct alias_check *a = owner;
    a->calling = false;
    maybe_free(a);
}

static void timer_closed(struct loop_timer *t) {
    struct alias_check *a = t->owner;
    a->timer_open = false;
    maybe_free(a);
}

void check_alias_stop(struct local_check *c) {
    struct alias_check *a = c->alias;
    if (a == NULL)
        return;
    c->alias = NULL;
    *a->back = a->next;
    if (a->next != NULL)
        a->next->back = a->back;
    loop_timer_stop(&a->timer);
    loop_timer_close(&a->timer, timer_closed);
    a->removed = true;
    if (a->calling)
        call_cancel(&a->call, call_freed);
}

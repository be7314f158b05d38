/* See authorize_legacy.h. */
#include "server/authorize_legacy.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "server/authorize_fetch.h"
#include "server/server_room.h"

#define KNOWN_MOST 1024

struct told { /* of one secret; also on its way */
    struct legacy_tokens *all;
    struct told *newer, *older; /* by use */
    struct str secret;
    struct authorization *authorization; /* NULL: there is no such token, or nothing is known */
    char etag[96];
    int64_t until; /* monotonic; 0: nothing was told yet */

    struct authorize *waiters;
    bool starting;
    bool calling;
    int64_t asked_at;   /* monotonic */
    struct error error; /* for who waits, in ask_arena */
    struct arena ask_arena;
    struct acl_policy_resolve_legacy_request request;
    struct call call;
    struct authorization *now; /* what those who wait get */
    struct arena arena;        /* of the secret */
};

struct legacy_tokens {
    struct server_thread *thread;
    struct map told; /* by secret */
    struct told *newest, *oldest;
};

/* ---- rules ---- */

struct collector {
    struct arena *arena;
    struct acl_rules rules;
    size_t cap;
};

static void rule_add(struct collector *c, enum acl_resource resource, bool prefix, struct str name,
                     struct str policy, struct str intentions) {
    struct acl_rules *r = &c->rules;
    struct acl_rule rule = {.resource = resource, .prefix = prefix, .name = name};
    if (!acl_word_parse(policy, c->arena, &rule.policy)) {
        return; /* says nothing */
    }
    acl_word_parse(intentions, c->arena, &rule.intentions);
    if (r->len == c->cap) {
        size_t cap = c->cap == 0 ? 32 : c->cap * 2;
        struct acl_rule *items = ARENA_ARRAY(c->arena, struct acl_rule, cap);
        memcpy(items, r->items, r->len * sizeof(*items));
        r->items = items;
        c->cap = cap;
    }
    r->items[r->len++] = rule;
}

#define EACH(list, type, resource, prefix, name_member, intentions)                                \
    for (uint32_t i = 0; i < (list).len; i++) {                                                    \
        const struct type *rule = LIST_AT(list, struct type *, i);                                 \
        if (rule != NULL)                                                                          \
            rule_add(c, (resource), (prefix), rule->name_member, rule->policy, (intentions));      \
    }

/* What the old system calls a key, node or service is a prefix of such. */
static void collect(struct collector *c, const struct legacy_policy *p) {
    acl_word_parse(p->acl, c->arena, &c->rules.acl);
    acl_word_parse(p->keyring, c->arena, &c->rules.keyring);
    acl_word_parse(p->operator, c->arena, &c->rules.operator);
    EACH(p->agents, legacy_node_rule, ACL_AGENT, true, node, STR(""));
    EACH(p->agent_prefixes, legacy_node_rule, ACL_AGENT, true, node, STR(""));
    EACH(p->keys, legacy_prefix_rule, ACL_KEY, true, prefix, STR(""));
    EACH(p->key_prefixes, legacy_prefix_rule, ACL_KEY, true, prefix, STR(""));
    EACH(p->nodes, legacy_name_rule, ACL_NODE, true, name, STR(""));
    EACH(p->node_prefixes, legacy_name_rule, ACL_NODE, true, name, STR(""));
    EACH(p->services, legacy_service_rule, ACL_SERVICE, true, name, rule->intentions);
    EACH(p->service_prefixes, legacy_service_rule, ACL_SERVICE, true, name, rule->intentions);
    EACH(p->sessions, legacy_node_rule, ACL_SESSION, true, node, STR(""));
    EACH(p->session_prefixes, legacy_node_rule, ACL_SESSION, true, node, STR(""));
    EACH(p->events, legacy_event_rule, ACL_EVENT, true, event, STR(""));
    EACH(p->event_prefixes, legacy_event_rule, ACL_EVENT, true, event, STR(""));
    EACH(p->prepared_queries, legacy_prefix_rule, ACL_QUERY, true, prefix, STR(""));
    EACH(p->prepared_query_prefixes, legacy_prefix_rule, ACL_QUERY, true, prefix, STR(""));
}

const struct authorizer *legacy_policy_authorizer(const struct legacy_policy *policy,
                                                  struct str parent, struct error *e) {
    if (str_is(parent, "manage")) {
        return authorizer_manage_all();
    }
    if (!str_is(parent, "allow") && !str_is(parent, "deny")) {
        error_set(e, ERROR_INTERNAL, "Invalid Parent");
        return NULL;
    }
    struct arena arena = ARENA_INIT;
    struct collector c = {.arena = &arena};
    if (policy != NULL) {
        collect(&c, policy);
    }
    const struct acl_rules *rules = &c.rules;
    const struct authorizer *a = authorizer_new(&rules, 1, str_is(parent, "allow"));
    arena_free(&arena);
    return a;
}

/* ---- what is known ---- */

static void told_unlink(struct told *t) {
    struct legacy_tokens *l = t->all;
    *(t->newer != NULL ? &t->newer->older : &l->newest) = t->older;
    *(t->older != NULL ? &t->older->newer : &l->oldest) = t->newer;
    t->newer = t->older = NULL;
}

static void told_link(struct told *t) {
    struct legacy_tokens *l = t->all;
    t->older = l->newest;
    *(l->newest != NULL ? &l->newest->newer : &l->oldest) = t;
    l->newest = t;
}

static void told_forget(struct told *t) {
    ASSERT(t->waiters == NULL);
    if (t->calling) {
        call_cancel(&t->call, NULL);
    }
    map_remove(&t->all->told, t->secret);
    told_unlink(t);
    authorization_release(t->authorization);
    authorization_release(t->now);
    arena_free(&t->ask_arena);
    arena_free(&t->arena);
    mem_free(t);
}

/* Those that are on their way stay. */
static void make_room(struct legacy_tokens *l) {
    struct told *t = l->oldest;
    while (t != NULL && l->told.count >= KNOWN_MOST) {
        struct told *newer = t->newer;
        if (!t->calling && t->waiters == NULL)
            told_forget(t);
        t = newer;
    }
}

static struct told *told_get(struct legacy_tokens *l, struct str secret) {
    struct told *t = map_get(&l->told, secret);
    if (t == NULL) {
        make_room(l);
        t = MEM_NEW(struct told);
        t->all = l;
        t->secret = str_copy(&t->arena, secret);
        map_put(&l->told, t->secret, t);
    } else {
        told_unlink(t);
    }
    told_link(t);
    return t;
}

/* ---- answers ---- */

static void set_known(struct told *t, struct authorization *a, int64_t ttl) {
    authorization_release(t->authorization);
    t->authorization = a;
    t->until = time_now_monotonic() + ttl;
}

static void take_reply(struct told *t, const struct acl_policy_resolve_legacy_response *reply) {
    int64_t most = t->all->thread->server->options.acl.token_ttl;
    int64_t ttl = reply->ttl < most ? reply->ttl : most;
    bool same = reply->policy == NULL && t->authorization != NULL && str_is(reply->etag, t->etag);
    struct authorization *a = t->authorization;
    if (same) {
        authorization_hold(a);
    } else {
        const struct authorizer *may =
            legacy_policy_authorizer(reply->policy, reply->parent, &t->error);
        if (may == NULL) {
            return;
        }
        a = authorization_new(may, t->secret, NULL);
        a->remote = true;
        snprintf(t->etag, sizeof(t->etag), STR_FMT, STR_ARG(reply->etag));
    }
    set_known(t, a, ttl > 0 ? ttl : 0);
    t->now = authorization_hold(a);
}

static void not_found(struct told *t) {
    error_set(&t->error, ERROR_DENIED, "ACL not found");
}

/* Nobody could say. What was known goes on with the two policies that extend; otherwise nothing is
 * open. */
static void take_failure(struct told *t, const struct error *e) {
    const struct server *s = t->all->thread->server;
    if (str_find(e->text, STR("ACL not found"), 0) >= 0) {
        set_known(t, NULL, s->options.acl.token_ttl);
        t->etag[0] = 0;
        not_found(t);
        return;
    }
    log_at(LOG_ERROR, acl_logger(s), "Failed to get policy from ACL datacenter",
           LOG_S("error", e->text));
    bool extends = s->options.acl.down == ACL_DOWN_EXTEND || s->options.acl.down == ACL_DOWN_ASYNC;
    if (extends && t->authorization != NULL) {
        t->until = time_now_monotonic() + s->options.acl.token_ttl;
        t->now = authorization_hold(t->authorization);
        return;
    }
    bool allow = s->options.acl.down == ACL_DOWN_ALLOW;
    t->now =
        authorization_new(allow ? authorizer_allow_all() : authorizer_deny_all(), t->secret, NULL);
    t->now->remote = true;
}

static void answer(const struct told *t, struct authorize *a) {
    if (error_is_set(&t->error)) {
        error_copy(&a->error, &t->error);
    } else {
        a->result = authorization_hold(t->now);
    }
}

static void answer_all(struct told *t) {
    struct told copy = {.now = t->now, .error = t->error};
    t->now = NULL;
    struct arena arena = t->ask_arena; /* holds the error's text; a new question may begin inside */
    t->ask_arena = ARENA_INIT;
    while (t->waiters != NULL) { /* each may cancel others */
        struct authorize *a = t->waiters;
        t->waiters = a->next;
        answer(&copy, a);
        authorize_measure(a);
        a->done(a);
    }
    authorization_release(copy.now);
    arena_free(&arena);
}

static void asked(struct call *c) {
    struct told *t = c->owner;
    struct answer *a = c->answer;
    c->answer = NULL;
    t->calling = false;
    metric_since("acl.resolveTokenLegacy", t->asked_at);
    if (error_is_set(&a->error)) {
        take_failure(t, &a->error);
    } else {
        take_reply(t, a->reply);
    }
    answer_release(a);
    if (!t->starting) {
        answer_all(t);
    }
}

/* ---- questions ---- */

static void ask(struct told *t) {
    struct server *s = t->all->thread->server;
    arena_free(&t->ask_arena);
    t->error = ERROR_IN(&t->ask_arena);
    t->request = (struct acl_policy_resolve_legacy_request){
        .acl = t->secret,
        .datacenter = s->options.acl.primary_datacenter,
        .etag = t->authorization != NULL ? str_from(t->etag) : STR(""),
        .options = {.token = STR(""), .allow_stale = true}};
    t->call = (struct call){.endpoint = &ask_legacy_get,
                            .arena = &t->ask_arena,
                            .request = &t->request,
                            .done = asked,
                            .owner = t};
    t->calling = t->starting = true;
    t->asked_at = time_now_monotonic();
    call_start(s, &t->call);
    t->starting = false;
}

bool legacy_tokens_start(struct legacy_tokens *l, struct authorize *a) {
    struct told *t = told_get(l, a->secret);
    if (!t->calling && time_now_monotonic() < t->until) {
        if (t->authorization == NULL) {
            return !error_set(&a->error, ERROR_DENIED, "ACL not found");
        }
        a->result = authorization_hold(t->authorization);
        return true;
    }
    if (!t->calling) {
        ask(t);
        if (!t->calling) { /* answered inside */
            answer(t, a);
            authorization_release(t->now);
            t->now = NULL;
            return true;
        }
    }
    a->next = t->waiters;
    t->waiters = a;
    return false;
}

bool legacy_tokens_cancel(struct legacy_tokens *l, struct authorize *a) {
    struct told *t = map_get(&l->told, a->secret);
    struct authorize **link = t != NULL ? &t->waiters : NULL;
    while (link != NULL && *link != NULL && *link != a) {
        link = &(*link)->next;
    }
    if (link == NULL || *link == NULL) {
        return false;
    }
    *link = a->next;
    return true;
}

/* ---- life ---- */

struct legacy_tokens *legacy_tokens_new(struct server_thread *t) {
    struct legacy_tokens *l = MEM_NEW(struct legacy_tokens);
    l->thread = t;
    l->told = MAP_INIT;
    return l;
}

void legacy_tokens_close(struct legacy_tokens *l) {
    void *value;
    for (size_t i = 0; map_next(&l->told, &i, NULL, &value);) {
        struct told *t = value;
        if (t->calling) {
            call_cancel(&t->call, NULL);
            t->calling = false;
            error_set(&t->error, ERROR_NO_LEADER, "server is shutting down");
            answer_all(t);
        }
    }
}

void legacy_tokens_free(struct legacy_tokens *l) {
    while (l->oldest != NULL) {
        told_forget(l->oldest);
    }
    map_free(&l->told);
    mem_free(l);
}

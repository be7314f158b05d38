/* What a thread knows of tokens, and how it finds out where they are in the own store. See
 * authorize.h; how others are asked is authorize_remote.c's.
 *
 * A token that is known is a watcher of the records that its rights were made of, so that it is
 * forgotten when the thread looks at the commit that changes one. Coherence is that of questions
 * (question.c): the thread looks at all commits up to the store's present version before it uses
 * what it knows, so that nobody goes on with rights whose loss was acknowledged.
 */
#include "server/authorize.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "server/agent_tokens.h"
#include "server/authorize_legacy.h"
#include "server/authorize_remote.h"
#include "server/server_room.h"
#include "store/acl.h"

#define KNOWN_MOST 10240 /* tokens a thread (acl.md 7.3) */
#define ANONYMOUS STR("anonymous")

/* A token in the own store, as last read. */
struct known {
    struct watcher watcher; /* registered: it still stands */
    struct authorizations *all;
    struct authorization *authorization;
    struct known *newer, *older; /* by use */
};

struct authorizations {
    struct server_thread *thread;
    struct map known; /* by secret: struct known */
    struct known *newest, *oldest;
    struct remote_tokens *remote;
    struct legacy_tokens *legacy;
    bool replicated; /* a secondary's tables were seen to be written */
};

/* ---- values ---- */

struct authorization *authorization_new(const struct authorizer *may_do, struct str secret,
                                        const struct acl_token *token) {
    struct arena arena = ARENA_INIT;
    struct authorization *a = ARENA_NEW(&arena, struct authorization);
    a->references = 1;
    a->may = may_do;
    a->secret = str_copy(&arena, secret);
    a->expires = INT64_MAX;
    if (token != NULL) {
        struct acl_token *copy = ARENA_NEW(&arena, struct acl_token);
        schema_copy(&acl_token_shape, copy, token, &arena);
        a->token = copy;
        if (acl_token_expires(token)) {
            a->expires = timestamp_to_unix_ns(token->expiration_time);
        }
    }
    a->arena = arena;
    return a;
}

struct authorization *authorization_hold(struct authorization *a) {
    if (a != NULL) {
        a->references++;
    }
    return a;
}

void authorization_release(struct authorization *a) {
    if (a == NULL || --a->references > 0) {
        return;
    }
    authorizer_release(a->may);
    struct arena arena = a->arena;
    arena_free(&arena);
}

const struct authorizer *authorization_may(const struct authorization *a) {
    return a != NULL ? a->may : NULL;
}

bool authorize_expired(const struct acl_token *token, int64_t now) {
    return acl_token_expires(token) && timestamp_to_unix_ns(token->expiration_time) <= now;
}

/* ---- what is known ---- */

static void known_unlink(struct known *k) {
    struct authorizations *all = k->all;
    *(k->newer != NULL ? &k->newer->older : &all->newest) = k->older;
    *(k->older != NULL ? &k->older->newer : &all->oldest) = k->newer;
    k->newer = k->older = NULL;
}

static void known_link(struct known *k) {
    struct authorizations *all = k->all;
    k->newer = NULL;
    k->older = all->newest;
    *(all->newest != NULL ? &all->newest->newer : &all->oldest) = k;
    all->newest = k;
}

static void known_forget(struct known *k) {
    watch_unregister(&k->watcher);
    map_remove(&k->all->known, k->authorization->secret);
    known_unlink(k);
    authorization_release(k->authorization);
    mem_free(k);
}

static void known_woken(struct watcher *w, bool restored) {
    struct known *k = CONTAINER_OF(w, struct known, watcher);
    k->all->replicated &= !restored;
    known_forget(k);
}

static void known_add(struct authorizations *all, struct authorization *a,
                      const struct watch_set *set) {
    struct known *k = map_get(&all->known, a->secret);
    if (k != NULL) {
        known_forget(k);
    }
    k = MEM_NEW(struct known);
    k->all = all;
    k->authorization = authorization_hold(a);
    k->watcher.wake = known_woken;
    map_put(&all->known, a->secret, k);
    known_link(k);
    watch_register(all->thread->registry, &k->watcher, set);
    if (all->known.count > KNOWN_MOST) {
        known_forget(all->oldest);
    }
}

static struct authorization *known_get(struct authorizations *all, struct str secret) {
    if (!thread_is_current(all->thread)) { /* may forget some */
        return NULL;
    }
    struct known *k = map_get(&all->known, secret);
    if (k == NULL) {
        return NULL;
    }
    if (k->authorization->expires != INT64_MAX && k->authorization->expires <= time_now_wall()) {
        known_forget(k);
        return NULL;
    }
    if (all->newest != k) {
        known_unlink(k);
        known_link(k);
    }
    return authorization_hold(k->authorization);
}

/* ---- the own store ---- */

static bool in_primary(const struct server *s) {
    return !s->options.client && str_eq(s->options.datacenter, s->options.acl.primary_datacenter);
}

/* A link to what is gone gives nothing (acl.md 7.1). */
static void grant_links(struct store_read *r, const struct list *links, struct list *policies) {
    for (uint32_t i = 0; i < links->len; i++) {
        struct str id = LIST_AT(*links, struct acl_link, i).id;
        struct acl_policy *policy = NULL;
        uint64_t index;
        struct error ignored = ERROR_IN(r->arena);
        if (acl_policy_by_id(r, id, &policy, &index, &ignored) && policy != NULL) {
            LIST_AT(*policies, struct acl_policy *, policies->len++) = policy;
        }
    }
}

static struct list roles_read(struct store_read *r, const struct acl_token *token) {
    struct list roles = LIST_NEW(r->arena, struct acl_role *, token->roles.len);
    roles.len = 0;
    for (uint32_t i = 0; i < token->roles.len; i++) {
        struct acl_role *role = NULL;
        uint64_t index;
        struct error ignored = ERROR_IN(r->arena);
        struct str id = LIST_AT(token->roles, struct acl_link, i).id;
        if (acl_role_by_id(r, id, &role, &index, &ignored) && role != NULL) {
            LIST_AT(roles, struct acl_role *, roles.len++) = role;
        }
    }
    return roles;
}

void token_grants_read(struct store_read *r, const struct acl_token *token,
                       struct token_grants *g) {
    g->token = token;
    g->roles = roles_read(r, token);
    uint32_t most = token->policies.len;
    for (uint32_t i = 0; i < g->roles.len; i++) {
        most += LIST_AT(g->roles, struct acl_role *, i)->policies.len;
    }
    g->policies = LIST_NEW(r->arena, struct acl_policy *, most);
    g->policies.len = 0;
    grant_links(r, &token->policies, &g->policies);
    for (uint32_t i = 0; i < g->roles.len; i++) {
        grant_links(r, &LIST_AT(g->roles, struct acl_role *, i)->policies, &g->policies);
    }
}

/* NULL without an error: it links to roles, which only the primary has yet. */
static struct authorization *token_read(struct authorizations *all, struct store_read *r,
                                        struct str secret, struct error *e) {
    const struct server *s = all->thread->server;
    struct acl_token *token;
    acl_token_by_secret(r, secret, &token);
    if (token == NULL || authorize_expired(token, time_now_wall())) {
        error_set(e, ERROR_DENIED, "ACL not found");
        return NULL;
    }
    if (token->roles.len > 0 && !in_primary(s) && !acl_roles_written(r)) {
        return NULL;
    }
    struct token_grants grants;
    token_grants_read(r, token, &grants);
    const struct authorizer *may_do = authorize_compile(s, &grants, e);
    return may_do != NULL ? authorization_new(may_do, secret, token) : NULL;
}

static struct authorization *store_get(struct authorizations *all, struct str secret,
                                       struct error *e) {
    struct authorization *a = known_get(all, secret);
    if (a != NULL) {
        return a;
    }
    int64_t started = time_now_monotonic();
    struct arena arena = ARENA_INIT;
    struct watch_set set;
    struct store_read read;
    watch_set_init(&set, &arena);
    if (store_read_begin(all->thread->store, &read, &arena, &set, e)) {
        a = token_read(all, &read, secret, e);
        store_read_end(&read);
    }
    if (a != NULL) {
        known_add(all, a, &set);
    }
    arena_free(&arena);
    metric_since("acl.ResolveToken", started); /* what is known costs less than to say so */
    return a;
}

/* ---- asking ---- */

static bool is_root(struct str secret) {
    return str_is(secret, "allow") || str_is(secret, "deny") || str_is(secret, "manage");
}

/* The agent's own rules (acl.md 3.2). */
static struct authorization *agent_master(const struct server *s, struct str secret) {
    struct acl_rule items[] = {
        {.resource = ACL_AGENT,
         .name = s->options.node_name,
         .policy = {.level = ACL_LEVEL_WRITE, .exact = true}},
        {.resource = ACL_NODE,
         .prefix = true,
         .name = STR(""),
         .policy = {.level = ACL_LEVEL_READ, .exact = true}},
    };
    struct acl_rules rules = {.items = items, .len = COUNT_OF(items)};
    const struct acl_rules *policies[] = {&rules};
    return authorization_new(authorizer_new(policies, 1, false), secret, NULL);
}

/* Whether this server's own tables say what tokens there are, if they were ever written. */
static bool tokens_may_be_here(const struct server *s) {
    return in_primary(s) || (!s->options.client && s->options.acl.token_replication &&
                             agent_token_is_set(s->tokens, AGENT_TOKEN_REPLICATION));
}

bool authorize_tokens_are_here(const struct server_thread *t, struct store_read *r) {
    return tokens_may_be_here(t->server) && (in_primary(t->server) || acl_tokens_written(r));
}

/* A secondary that replicates tokens asks the primary until it has something. What it has it keeps:
 * until the tables are replaced as a whole that need not be looked at again. Tokens of the old
 * system need no policies. */
static bool tokens_are_here(struct authorizations *all) {
    struct server_thread *t = all->thread;
    bool may_be = tokens_may_be_here(t->server);
    if (!may_be || all->replicated || in_primary(t->server)) {
        return may_be;
    }
    struct arena arena = ARENA_INIT;
    struct error ignored = ERROR_IN(&arena);
    struct store_read read;
    bool here = false;
    if (store_read_begin(t->store, &read, &arena, NULL, &ignored)) {
        here = acl_tokens_written(&read);
        all->replicated = here && acl_policies_written(&read);
        here = server_acl_is_legacy(t->server) ? here : all->replicated;
        store_read_end(&read);
    }
    arena_free(&arena);
    return here;
}

static bool resolve(struct authorize *a) {
    struct server *s = a->thread->server;
    struct authorizations *all = a->thread->authorizations;
    if (is_root(a->secret)) {
        error_set(&a->error, ERROR_INTERNAL, "Cannot resolve root ACL");
        return true;
    }
    if (a->agent && agent_token_is_master(s->tokens, a->secret)) {
        a->result = agent_master(s, a->secret);
        return true;
    }
    if (a->secret.len == 0) {
        a->secret = ANONYMOUS;
    }
    if (tokens_are_here(all)) {
        a->result = store_get(all, a->secret, &a->error);
        if (a->result != NULL || error_is_set(&a->error)) {
            return true;
        }
    }
    a->started = time_now_monotonic();
    bool answered = server_acl_is_legacy(s) ? legacy_tokens_start(all->legacy, a)
                                            : remote_tokens_start(all->remote, a);
    if (answered) {
        authorize_measure(a);
    }
    return answered;
}

void authorize_measure(const struct authorize *a) {
    metric_since("acl.ResolveToken", a->started);
}

bool authorize_start(struct authorize *a) {
    a->thread = thread_current();
    a->result = NULL;
    a->wait = NULL;
    if (a->thread == NULL || a->thread->closing) {
        return !error_set(&a->error, ERROR_NO_LEADER, "server is shutting down");
    }
    if (!a->thread->server->options.acl.enabled) {
        return true;
    }
    return resolve(a);
}

void authorize_cancel(struct authorize *a) {
    struct authorizations *all = a->thread->authorizations;
    if (a->wait != NULL) {
        remote_tokens_cancel(all->remote, a);
    } else {
        legacy_tokens_cancel(all->legacy, a);
    }
}

struct authorization *authorize_again(struct server_thread *t, struct authorization *was,
                                      struct error *e) {
    if (was == NULL) {
        return NULL;
    }
    if (!was->remote && was->token != NULL) {
        struct authorization *now = store_get(t->authorizations, was->secret, e);
        return now != NULL || error_is_set(e) ? now : authorization_hold(was);
    }
    if (was->expires != INT64_MAX && was->expires <= time_now_wall()) {
        error_set(e, ERROR_DENIED, "ACL not found");
        return NULL;
    }
    return was->remote && !server_acl_is_legacy(t->server)
               ? remote_tokens_again(t->authorizations->remote, was, e)
               : authorization_hold(was);
}

/* ---- life ---- */

struct authorizations *authorizations_new(struct server_thread *t) {
    struct authorizations *all = MEM_NEW(struct authorizations);
    all->thread = t;
    all->known = MAP_INIT;
    all->remote = remote_tokens_new(t);
    all->legacy = legacy_tokens_new(t);
    return all;
}

void authorizations_close(struct authorizations *all) {
    remote_tokens_close(all->remote);
    legacy_tokens_close(all->legacy);
}

void authorizations_forget(struct authorizations *all) {
    all->replicated = false;
    while (all->oldest != NULL) {
        known_forget(all->oldest);
    }
}

void authorizations_free(struct authorizations *all) {
    authorizations_forget(all);
    remote_tokens_free(all->remote);
    legacy_tokens_free(all->legacy);
    map_free(&all->known);
    mem_free(all);
}

/* See authorize_remote.h. A wait is one secret on its way from identity over roles and policies to
 * rules; all who ask for it on this thread wait together. It goes on as long as what it needs is
 * at hand, and stops where another server must be asked (authorize_fetch.h).
 */
#include "server/authorize_remote.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "server/authorize_fetch.h"
#include "server/server_room.h"
#include "store/acl.h"

#define KNOWN_SERVER 1024 /* rule sets a thread (acl.md 7.3) */
#define KNOWN_CLIENT 256
#define ATTEMPTS 5

/* The rules made of a token's grants, and of which they were made. */
struct made {
    struct made *newer, *older; /* by use */
    struct authorization *authorization;
    struct buf grants;
};

struct authorize_wait {
    struct remote_tokens *all;
    struct arena arena;
    struct str secret;
    struct authorize *waiters;
    struct acl_value *identity;             /* held */
    struct acl_value **values[FETCH_KINDS]; /* of roles and policies, held */
    struct list ids[FETCH_KINDS];           /* str, beside values */
    bool asked[FETCH_KINDS];                /* in this attempt */
    struct fetch *fetch;                    /* under way, for this wait */
    bool starting;                          /* a fetch that ends now ended inside */
    enum fetch_outcome outcome;
    unsigned attempts;
    struct authorization *result;
    struct error error;
};

struct remote_tokens {
    struct server_thread *thread;
    struct map waits;      /* by secret: struct authorize_wait */
    struct map background; /* by kind and secret: struct fetch */
    struct map made;       /* by secret: struct made */
    struct made *newest, *oldest;
};

/* ---- rules that were made ---- */

static void made_unlink(struct remote_tokens *r, struct made *m) {
    *(m->newer != NULL ? &m->newer->older : &r->newest) = m->older;
    *(m->older != NULL ? &m->older->newer : &r->oldest) = m->newer;
    m->newer = m->older = NULL;
}

static void made_link(struct remote_tokens *r, struct made *m) {
    m->older = r->newest;
    *(r->newest != NULL ? &r->newest->newer : &r->oldest) = m;
    r->newest = m;
}

static void made_forget(struct remote_tokens *r, struct made *m) {
    map_remove(&r->made, m->authorization->secret);
    made_unlink(r, m);
    authorization_release(m->authorization);
    buf_free(&m->grants);
    mem_free(m);
}

static void made_add(struct remote_tokens *r, struct authorization *a, struct buf *grants) {
    struct made *m = map_get(&r->made, a->secret);
    if (m != NULL) {
        made_forget(r, m);
    }
    m = MEM_NEW(struct made);
    m->authorization = authorization_hold(a);
    m->grants = *grants;
    *grants = BUF_INIT;
    map_put(&r->made, a->secret, m);
    made_link(r, m);
    if (r->made.count > (r->thread->server->options.client ? KNOWN_CLIENT : KNOWN_SERVER)) {
        made_forget(r, r->oldest);
    }
}

static struct authorization *made_get(struct remote_tokens *r, struct str secret,
                                      struct str grants) {
    struct made *m = map_get(&r->made, secret);
    if (m == NULL || !str_eq(buf_str(&m->grants), grants)) {
        return NULL;
    }
    if (r->newest != m) {
        made_unlink(r, m);
        made_link(r, m);
    }
    return authorization_hold(m->authorization);
}

/* ---- in the background ---- */

static void background_done(struct fetch *f) {
    struct remote_tokens *r = f->owner;
    struct arena arena = ARENA_INIT;
    map_remove(&r->background, str_format(&arena, "%d" STR_FMT, (int)f->kind, STR_ARG(f->secret)));
    arena_free(&arena);
    fetch_free(f);
}

static void background_start(struct remote_tokens *r, enum fetch_kind kind, struct str secret,
                             const struct list *ids) {
    struct arena arena = ARENA_INIT;
    struct str key = str_format(&arena, "%d" STR_FMT, (int)kind, STR_ARG(secret));
    if (map_get(&r->background, key) == NULL && !r->thread->closing) {
        struct fetch *f = fetch_new(r->thread->server, kind, secret, ids);
        f->done = background_done;
        f->owner = r;
        map_put(&r->background, key, f);
        fetch_start(f);
    }
    arena_free(&arena);
}

/* ---- a wait ---- */

static void wait_forget_values(struct authorize_wait *w) {
    acl_value_release(w->identity);
    w->identity = NULL;
    for (int kind = 0; kind < FETCH_KINDS; kind++) {
        for (uint32_t i = 0; i < w->ids[kind].len; i++) {
            acl_value_release(w->values[kind][i]);
        }
        w->ids[kind] = LIST_NIL;
        w->asked[kind] = false;
    }
}

static struct authorize_wait *wait_new(struct remote_tokens *r, struct str secret) {
    struct authorize_wait *w = MEM_NEW(struct authorize_wait);
    w->all = r;
    w->arena = ARENA_INIT;
    w->error = ERROR_IN(&w->arena);
    w->secret = str_copy(&w->arena, secret);
    map_put(&r->waits, w->secret, w);
    return w;
}

static void wait_free(struct authorize_wait *w) {
    if (map_get(&w->all->waits, w->secret) == w) {
        map_remove(&w->all->waits, w->secret);
    }
    if (w->fetch != NULL) {
        fetch_free(w->fetch);
    }
    wait_forget_values(w);
    authorization_release(w->result);
    arena_free(&w->arena);
    mem_free(w);
}

/* ---- steps: each true when it has what it needs, or the wait has its error; false: another server
 * must be asked for `need` ---- */

struct need {
    enum fetch_kind kind;
    struct list ids; /* str */
};

static bool not_found(struct authorize_wait *w) {
    error_set(&w->error, ERROR_DENIED, "ACL not found");
    return true;
}

static bool is_async(const struct authorize_wait *w) {
    return w->all->thread->server->options.acl.down == ACL_DOWN_ASYNC;
}

static bool identity_step(struct authorize_wait *w, struct store_read *read, struct need *need) {
    struct server *s = w->all->thread->server;
    if (read != NULL && authorize_tokens_are_here(w->all->thread, read)) {
        struct acl_token *token;
        acl_token_by_secret(read, w->secret, &token);
        w->identity = acl_value_new(&acl_token_shape, token);
    }
    if (w->identity == NULL) {
        struct acl_value *v;
        enum acl_freshness known =
            acl_cache_get(s->acl_caches->identities, w->secret, time_now_monotonic(), &v);
        if (known == ACL_STALE && is_async(w)) {
            background_start(w->all, FETCH_IDENTITY, w->secret, NULL);
            known = ACL_FRESH;
        }
        if (known != ACL_FRESH) {
            acl_value_release(v);
            metric_count("acl.token.cache_miss", 1);
            *need = (struct need){FETCH_IDENTITY, LIST_NIL};
            return false;
        }
        metric_count("acl.token.cache_hit", 1);
        w->identity = v;
    }
    const struct acl_token *token = acl_value_object(w->identity);
    bool dead = token == NULL || authorize_expired(token, time_now_wall());
    return dead ? not_found(w) : true;
}

/* What is at hand of the linked objects; the others go into need. */
static bool links_step(struct authorize_wait *w, enum fetch_kind kind, struct need *need) {
    struct acl_caches *caches = w->all->thread->server->acl_caches;
    struct acl_cache *cache = kind == FETCH_POLICIES ? caches->policies : caches->roles;
    struct list *ids = &w->ids[kind];
    struct list old = LIST_NEW(&w->arena, struct str, ids->len);
    need->kind = kind;
    need->ids = LIST_NEW(&w->arena, struct str, ids->len);
    old.len = need->ids.len = 0;
    for (uint32_t i = 0; i < ids->len; i++) {
        struct str id = LIST_AT(*ids, struct str, i);
        struct acl_value *v;
        if (w->values[kind][i] != NULL) {
            continue;
        }
        enum acl_freshness known = acl_cache_get(cache, id, time_now_monotonic(), &v);
        if (known == ACL_FRESH || (known == ACL_STALE && is_async(w))) {
            w->values[kind][i] = v;
            if (known == ACL_STALE)
                LIST_AT(old, struct str, old.len++) = id;
        } else {
            acl_value_release(v);
            LIST_AT(need->ids, struct str, need->ids.len++) = id;
        }
    }
    if (old.len > 0) {
        background_start(w->all, kind, w->secret, &old);
    }
    return need->ids.len == 0;
}

static void own_values(struct authorize_wait *w, enum fetch_kind kind, struct store_read *read) {
    for (uint32_t i = 0; i < w->ids[kind].len; i++) {
        struct str id = LIST_AT(w->ids[kind], struct str, i);
        struct error ignored = ERROR_IN(read->arena);
        uint64_t index;
        if (kind == FETCH_POLICIES) {
            struct acl_policy *policy = NULL;
            acl_policy_by_id(read, id, &policy, &index, &ignored);
            w->values[kind][i] = acl_value_new(&acl_policy_shape, policy);
        } else {
            struct acl_role *role = NULL;
            acl_role_by_id(read, id, &role, &index, &ignored);
            w->values[kind][i] = acl_value_new(&acl_role_shape, role);
        }
    }
}

static bool objects_step(struct authorize_wait *w, enum fetch_kind kind, const struct list *ids,
                         struct store_read *read, struct need *need) {
    if (!w->ids[kind].present) {
        w->ids[kind] = *ids;
        w->values[kind] = ARENA_ARRAY(&w->arena, struct acl_value *, ids->len + 1);
        bool here = read != NULL &&
                    (kind == FETCH_POLICIES ? acl_policies_written(read) : acl_roles_written(read));
        if (here) {
            own_values(w, kind, read);
        }
    }
    return links_step(w, kind, need);
}

static void ids_add(struct list *ids, const struct list *links) {
    for (uint32_t i = 0; i < links->len; i++) {
        struct str id = LIST_AT(*links, struct acl_link, i).id;
        if (!str_list_has(ids, id)) {
            LIST_AT(*ids, struct str, ids->len++) = id;
        }
    }
}

static struct list role_ids(struct authorize_wait *w) {
    const struct acl_token *token = acl_value_object(w->identity);
    struct list ids = LIST_NEW(&w->arena, struct str, token->roles.len);
    ids.len = 0;
    ids_add(&ids, &token->roles);
    return ids;
}

static const void *value_at(const struct authorize_wait *w, enum fetch_kind kind, uint32_t i) {
    return acl_value_object(w->values[kind][i]);
}

static struct list policy_ids(struct authorize_wait *w) {
    const struct acl_token *token = acl_value_object(w->identity);
    uint32_t most = token->policies.len;
    for (uint32_t i = 0; i < w->ids[FETCH_ROLES].len; i++) {
        const struct acl_role *role = value_at(w, FETCH_ROLES, i);
        most += role != NULL ? role->policies.len : 0;
    }
    struct list ids = LIST_NEW(&w->arena, struct str, most);
    ids.len = 0;
    ids_add(&ids, &token->policies);
    for (uint32_t i = 0; i < w->ids[FETCH_ROLES].len; i++) {
        const struct acl_role *role = value_at(w, FETCH_ROLES, i);
        if (role != NULL)
            ids_add(&ids, &role->policies);
    }
    return ids;
}

/* ---- from grants to rules ---- */

static void grants_name(struct buf *out, struct str id, uint64_t modify_index, struct str hash) {
    buf_add_str(out, id);
    buf_add(out, &modify_index, sizeof(modify_index));
    buf_add_str(out, hash);
}

/* Tells apart what different rules are made of. */
static struct buf grants_text(const struct authorize_wait *w) {
    struct buf out = BUF_INIT;
    schema_encode(&out, &acl_token_shape, acl_value_object(w->identity));
    for (uint32_t i = 0; i < w->ids[FETCH_ROLES].len; i++) {
        const struct acl_role *role = value_at(w, FETCH_ROLES, i);
        if (role != NULL)
            grants_name(&out, role->id, role->modify_index, role->hash);
    }
    for (uint32_t i = 0; i < w->ids[FETCH_POLICIES].len; i++) {
        const struct acl_policy *policy = value_at(w, FETCH_POLICIES, i);
        if (policy != NULL)
            grants_name(&out, policy->id, policy->modify_index, policy->hash);
    }
    return out;
}

static struct list objects(struct authorize_wait *w, enum fetch_kind kind) {
    struct list all = LIST_NEW(&w->arena, const void *, w->ids[kind].len);
    all.len = 0;
    for (uint32_t i = 0; i < w->ids[kind].len; i++) {
        const void *object = value_at(w, kind, i);
        if (object != NULL) {
            LIST_AT(all, const void *, all.len++) = object;
        } else if (kind == FETCH_POLICIES) {
            log_at(LOG_WARN, acl_logger(w->all->thread->server), "policy not found for identity",
                   LOG_S("policy", LIST_AT(w->ids[kind], struct str, i)));
        }
    }
    return all;
}

static void make(struct authorize_wait *w) {
    struct remote_tokens *r = w->all;
    struct buf text = grants_text(w);
    w->result = made_get(r, w->secret, buf_str(&text));
    if (w->result == NULL) {
        struct token_grants grants = {.token = acl_value_object(w->identity),
                                      .policies = objects(w, FETCH_POLICIES),
                                      .roles = objects(w, FETCH_ROLES)};
        const struct authorizer *may = authorize_compile(r->thread->server, &grants, &w->error);
        if (may != NULL) {
            w->result = authorization_new(may, w->secret, grants.token);
            w->result->remote = true;
            made_add(r, w->result, &text);
        }
    }
    buf_free(&text);
}

/* True: it has its result or its error. */
static bool steps(struct authorize_wait *w, struct store_read *read, struct need *need) {
    if (w->identity == NULL && !identity_step(w, read, need)) {
        return false;
    }
    if (error_is_set(&w->error)) {
        return true;
    }
    struct list ids = role_ids(w);
    if (!objects_step(w, FETCH_ROLES, &ids, read, need)) {
        return false;
    }
    ids = policy_ids(w);
    if (!objects_step(w, FETCH_POLICIES, &ids, read, need)) {
        return false;
    }
    make(w);
    return true;
}

static bool steps_with_store(struct authorize_wait *w, struct need *need) {
    struct store *store = w->all->thread->store;
    if (store == NULL) {
        return steps(w, NULL, need);
    }
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    bool done = true;
    if (store_read_begin(store, &read, &arena, NULL, &e)) {
        done = steps(w, &read, need);
        store_read_end(&read);
    } else {
        error_copy(&w->error, &e);
    }
    arena_free(&arena);
    return done;
}

/* ---- asking ---- */

struct authorization *authorize_down(const struct server *s, struct str secret,
                                     const struct error *why, struct error *e) {
    log_at(LOG_ERROR, acl_logger(s), "Error resolving token", LOG_S("error", why->text));
    switch (s->options.acl.down) {
    case ACL_DOWN_ALLOW:
        return authorization_new(authorizer_allow_all(), secret, NULL);
    case ACL_DOWN_DENY:
        return authorization_new(authorizer_deny_all(), secret, NULL);
    default:
        /* Whoever may nothing is not told which servers there are. */
        error_set(e, ERROR_DENIED,
                  "Permission denied: Error communicating with the ACL Datacenter");
        return NULL;
    }
}

static void take_values(struct authorize_wait *w, struct fetch *f) {
    if (f->kind == FETCH_IDENTITY) {
        struct acl_value *v = f->values[0];
        f->values[0] = NULL;
        w->identity = v;
        const struct acl_token *token = v != NULL ? acl_value_object(v) : NULL;
        if (token == NULL || authorize_expired(token, time_now_wall())) {
            not_found(w);
        }
        return;
    }
    for (uint32_t i = 0; i < w->ids[f->kind].len; i++) {
        for (uint32_t k = 0; k < f->ids.len && w->values[f->kind][i] == NULL; k++) {
            if (str_eq(LIST_AT(w->ids[f->kind], struct str, i), LIST_AT(f->ids, struct str, k))) {
                w->values[f->kind][i] = f->values[k];
                f->values[k] = NULL;
            }
        }
    }
}

/* What one question gave. */
static void take_outcome(struct authorize_wait *w, struct fetch *f) {
    switch (f->outcome) {
    case FETCH_OK:
        take_values(w, f);
        break;
    case FETCH_NOT_FOUND:
        not_found(w);
        break;
    case FETCH_AGAIN:
        wait_forget_values(w);
        if (++w->attempts == ATTEMPTS) {
            error_set(&w->error, ERROR_DENIED, "Permission denied");
        }
        break;
    case FETCH_REFUSED:
        error_copy(&w->error, &f->error);
        error_prefix(&f->error, "Error communicating with the ACL Datacenter: ");
        log_at(LOG_ERROR, acl_logger(f->server), "Error resolving token",
               LOG_S("error", f->error.text));
        break;
    case FETCH_FAILED:
        error_prefix(&f->error, "Error communicating with the ACL Datacenter: ");
        w->result = authorize_down(w->all->thread->server, w->secret, &f->error, &w->error);
        if (w->result != NULL)
            w->result->remote = true;
        break;
    }
}

static void wait_finish(struct authorize_wait *w);
static bool wait_advance(struct authorize_wait *w);

static void wait_fetched(struct fetch *f) {
    struct authorize_wait *w = f->owner;
    w->fetch = NULL;
    take_outcome(w, f);
    fetch_free(f);
    if (!w->starting && wait_advance(w)) {
        wait_finish(w);
    }
}

/* True: it has its result or its error. */
static bool wait_advance(struct authorize_wait *w) {
    struct need need;
    while (w->result == NULL && !error_is_set(&w->error) && !steps_with_store(w, &need)) {
        w->fetch = fetch_new(w->all->thread->server, need.kind, w->secret,
                             need.kind == FETCH_IDENTITY ? NULL : &need.ids);
        w->fetch->done = wait_fetched;
        w->fetch->owner = w;
        w->starting = true;
        fetch_start(w->fetch);
        w->starting = false;
        if (w->fetch != NULL) {
            return false;
        }
    }
    return true;
}

static void answer(const struct authorize_wait *w, struct authorize *a) {
    a->wait = NULL;
    if (error_is_set(&w->error)) {
        error_copy(&a->error, &w->error);
    } else {
        a->result = authorization_hold(w->result);
    }
}

/* Whoever is told may ask anew, or cancel others that wait. */
static void wait_finish(struct authorize_wait *w) {
    map_remove(&w->all->waits, w->secret);
    while (w->waiters != NULL) {
        struct authorize *a = w->waiters;
        w->waiters = a->next;
        answer(w, a);
        authorize_measure(a);
        a->done(a);
    }
    wait_free(w);
}

/* ---- for authorize.c ---- */

bool remote_tokens_start(struct remote_tokens *r, struct authorize *a) {
    struct authorize_wait *w = map_get(&r->waits, a->secret);
    if (w == NULL) {
        w = wait_new(r, a->secret);
        if (wait_advance(w)) {
            answer(w, a);
            wait_free(w);
            return true;
        }
    }
    a->wait = w;
    a->next = w->waiters;
    w->waiters = a;
    return false;
}

/* The question goes on: its answer is kept for the next. */
void remote_tokens_cancel(struct remote_tokens *r, struct authorize *a) {
    (void)r;
    struct authorize **link = &a->wait->waiters;
    while (*link != a) {
        link = &(*link)->next;
    }
    *link = a->next;
    a->wait = NULL;
}

struct authorization *remote_tokens_again(struct remote_tokens *r, struct authorization *was,
                                          struct error *e) {
    struct authorize_wait *w = map_get(&r->waits, was->secret);
    struct authorization *now = NULL;
    if (w == NULL) { /* nobody is asked already */
        w = wait_new(r, was->secret);
        if (!wait_advance(w)) {
            return authorization_hold(was);
        }
        if (error_is_set(&w->error)) {
            error_copy(e, &w->error);
        } else {
            now = authorization_hold(w->result);
        }
        wait_free(w);
        return now;
    }
    return authorization_hold(was);
}

/* ---- life ---- */

struct remote_tokens *remote_tokens_new(struct server_thread *t) {
    struct remote_tokens *r = MEM_NEW(struct remote_tokens);
    r->thread = t;
    r->waits = r->background = r->made = MAP_INIT;
    return r;
}

void remote_tokens_close(struct remote_tokens *r) {
    void *value;
    for (size_t i = 0; map_next(&r->background, &i, NULL, &value);) {
        background_done(value);
    }
    for (size_t i = 0; map_next(&r->waits, &i, NULL, &value);) {
        struct authorize_wait *w = value;
        error_set(&w->error, ERROR_NO_LEADER, "server is shutting down");
        wait_finish(w);
    }
}

void remote_tokens_free(struct remote_tokens *r) {
    while (r->oldest != NULL) {
        made_forget(r, r->oldest);
    }
    ASSERT(r->waits.count == 0 && r->background.count == 0);
    map_free(&r->made);
    map_free(&r->waits);
    map_free(&r->background);
    mem_free(r);
}

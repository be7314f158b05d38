/* See authorize_fetch.h. */
#include "server/authorize_fetch.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "server/server_room.h"

#define IDENTITIES_SERVER 10240
#define IDENTITIES_CLIENT 1024
#define LINKED 128

/* ---- what is known ---- */

struct acl_caches *acl_caches_new(const struct acl_options *o, bool client) {
    struct acl_caches *c = MEM_NEW(struct acl_caches);
    c->identities = acl_cache_new(client ? IDENTITIES_CLIENT : IDENTITIES_SERVER, o->token_ttl);
    c->policies = acl_cache_new(client ? LINKED : 1, client ? o->policy_ttl : 0);
    c->roles = acl_cache_new(client ? LINKED : 1, client ? o->role_ttl : 0);
    return c;
}

void acl_caches_clear(struct acl_caches *c) {
    if (c != NULL) {
        acl_cache_clear(c->identities);
        acl_cache_clear(c->policies);
        acl_cache_clear(c->roles);
    }
}

void acl_caches_free(struct acl_caches *c) {
    if (c != NULL) {
        acl_cache_free(c->identities);
        acl_cache_free(c->policies);
        acl_cache_free(c->roles);
        mem_free(c);
    }
}

const char *acl_logger(const struct server *s) {
    return s->options.client ? "agent.client.acl" : "agent.acl";
}

/* ---- answers ---- */

static bool says(const struct error *e, const char *what) {
    return str_find(e->text, str_from(what), 0) >= 0;
}

static bool extends(const struct fetch *f) {
    enum acl_down down = f->server->options.acl.down;
    return down == ACL_DOWN_EXTEND || down == ACL_DOWN_ASYNC;
}

static struct acl_cache *cache_of(const struct fetch *f) {
    const struct acl_caches *c = f->server->acl_caches;
    return f->kind == FETCH_POLICIES ? c->policies : c->roles;
}

static void identity_put(struct fetch *f, const struct acl_token *token) {
    struct acl_value *v = acl_value_new(&acl_token_shape, token);
    acl_cache_put(f->server->acl_caches->identities, f->secret, v, time_now_monotonic());
    acl_value_release(f->values[0]);
    f->values[0] = v;
}

static enum fetch_outcome failed(struct fetch *f, const struct error *e) {
    if (says(e, "ACL support disabled")) {
        log_at(LOG_ERROR, acl_logger(f->server), "ACLs disabled on upstream servers, will retry",
               LOG_S("retry_interval", STR("0s")));
    }
    error_copy(&f->error, e);
    return FETCH_FAILED;
}

static enum fetch_outcome identity_told(struct fetch *f, const struct answer *a) {
    struct acl_cache *cache = f->server->acl_caches->identities;
    const struct acl_token_response *reply = a->reply;
    int64_t now = time_now_monotonic();
    if (error_is_set(&a->error)) {
        if (says(&a->error, "ACL not found")) {
            identity_put(f, NULL);
            return FETCH_OK;
        }
        if (extends(f) && acl_cache_extend(cache, f->secret, now)) {
            acl_cache_get(cache, f->secret, now, &f->values[0]);
            return FETCH_OK;
        }
        identity_put(f, NULL);
        return failed(f, &a->error);
    }
    const struct acl_token *token = reply->token;
    if (token != NULL && token->local &&
        !str_eq(reply->source_datacenter, f->server->options.datacenter)) {
        identity_put(f, NULL);
        error_set(&f->error, ERROR_DENIED,
                  "Permission denied: This is a local token in datacenter \"" STR_FMT "\"",
                  STR_ARG(reply->source_datacenter));
        return FETCH_REFUSED;
    }
    identity_put(f, token);
    return FETCH_OK;
}

/* The object among those that were told. */
static const void *told_object(const struct fetch *f, const struct answer *a, struct str id) {
    if (f->kind == FETCH_POLICIES) {
        const struct list *all = &((const struct acl_policy_batch_response *)a->reply)->policies;
        for (uint32_t i = 0; i < all->len; i++) {
            const struct acl_policy *p = LIST_AT(*all, struct acl_policy *, i);
            if (p != NULL && str_eq(p->id, id)) {
                return p;
            }
        }
        return NULL;
    }
    const struct list *all = &((const struct acl_role_batch_response *)a->reply)->roles;
    for (uint32_t i = 0; i < all->len; i++) {
        const struct acl_role *r = LIST_AT(*all, struct acl_role *, i);
        if (r != NULL && str_eq(r->id, id)) {
            return r;
        }
    }
    return NULL;
}

static void links_put(struct fetch *f, const struct answer *a) {
    const struct shape *shape = f->kind == FETCH_POLICIES ? &acl_policy_shape : &acl_role_shape;
    for (uint32_t i = 0; i < f->ids.len; i++) {
        struct str id = LIST_AT(f->ids, struct str, i);
        f->values[i] = acl_value_new(shape, told_object(f, a, id));
        acl_cache_put(cache_of(f), id, f->values[i], time_now_monotonic());
    }
}

static bool links_extend(struct fetch *f) {
    int64_t now = time_now_monotonic();
    bool all = extends(f);
    for (uint32_t i = 0; i < f->ids.len && extends(f); i++) {
        struct str id = LIST_AT(f->ids, struct str, i);
        all &= acl_cache_extend(cache_of(f), id, now);
        acl_cache_get(cache_of(f), id, now, &f->values[i]);
    }
    return all;
}

static enum fetch_outcome links_told(struct fetch *f, const struct answer *a) {
    struct acl_cache *identities = f->server->acl_caches->identities;
    if (!error_is_set(&a->error)) {
        links_put(f, a);
        return FETCH_OK;
    }
    if (says(&a->error, "ACL not found")) {
        struct acl_value *none = acl_value_new(&acl_token_shape, NULL);
        acl_cache_put(identities, f->secret, none, time_now_monotonic());
        acl_value_release(none);
        return FETCH_NOT_FOUND;
    }
    if (says(&a->error, "Permission denied")) {
        acl_cache_drop(identities, f->secret);
        return FETCH_AGAIN;
    }
    return links_extend(f) ? FETCH_OK : failed(f, &a->error);
}

static void told(struct call *c) {
    struct fetch *f = c->owner;
    struct answer *a = c->answer;
    c->answer = NULL;
    f->calling = false;
    if (f->kind == FETCH_IDENTITY) {
        metric_since("acl.ResolveTokenToIdentity", f->started);
    }
    f->outcome = f->kind == FETCH_IDENTITY ? identity_told(f, a) : links_told(f, a);
    answer_release(a);
    f->done(f);
}

/* ---- questions ---- */

struct fetch *fetch_new(struct server *s, enum fetch_kind kind, struct str secret,
                        const struct list *ids) {
    struct fetch *f = MEM_NEW(struct fetch);
    f->server = s;
    f->kind = kind;
    f->arena = ARENA_INIT;
    f->error = ERROR_IN(&f->arena);
    f->secret = str_copy(&f->arena, secret);
    f->ids = LIST_NEW(&f->arena, struct str, ids != NULL ? ids->len : 1);
    for (uint32_t i = 0; ids != NULL && i < ids->len; i++) {
        LIST_AT(f->ids, struct str, i) = str_copy(&f->arena, LIST_AT(*ids, struct str, i));
    }
    f->values = ARENA_ARRAY(&f->arena, struct acl_value *, f->ids.len + 1);
    return f;
}

/* A client agent asks its own datacenter's servers, a server those of the primary. The token
 * speaks for itself. */
void fetch_start(struct fetch *f) {
    static const struct endpoint *const endpoints[FETCH_KINDS] = {
        [FETCH_IDENTITY] = &ask_token_read,
        [FETCH_ROLES] = &ask_role_resolve,
        [FETCH_POLICIES] = &ask_policy_resolve,
    };
    const struct server_options *o = &f->server->options;
    struct str datacenter = o->client ? o->datacenter : o->acl.primary_datacenter;
    struct query_options options = {.token = f->secret, .allow_stale = true};
    if (f->kind == FETCH_IDENTITY) {
        f->request.token = (struct acl_token_get_request){.datacenter = datacenter,
                                                          .token_id = f->secret,
                                                          .token_id_type = STR("secret"),
                                                          .options = options};
    } else if (f->kind == FETCH_ROLES) {
        f->request.roles = (struct acl_role_batch_get_request){
            .datacenter = datacenter, .role_ids = f->ids, .options = options};
    } else {
        f->request.policies = (struct acl_policy_batch_get_request){
            .datacenter = datacenter, .policy_ids = f->ids, .options = options};
    }
    f->call = (struct call){.endpoint = endpoints[f->kind],
                            .arena = &f->arena,
                            .request = &f->request,
                            .done = told,
                            .owner = f};
    f->calling = true;
    f->started = time_now_monotonic();
    call_start(f->server, &f->call);
}

void fetch_free(struct fetch *f) {
    if (f->calling) {
        call_cancel(&f->call, NULL); /* it is never the core's: it goes to another server */
    }
    for (uint32_t i = 0; i < f->ids.len; i++) {
        acl_value_release(f->values[i]);
    }
    arena_free(&f->arena);
    mem_free(f);
}

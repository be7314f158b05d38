/* Key sets and OIDC discovery. Fetches are done without the lock: two logins at once may fetch
 * twice. */
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "codec/json.h"
#include "server/auth_fetch.h"
#include "server/auth_jwt.h"

struct jwt_provider *jwt_provider_new(const struct acl_auth_method *m) {
    struct jwt_provider *p = MEM_NEW(struct jwt_provider);
    atomic_init(&p->references, 1);
    pthread_mutex_init(&p->mutex, NULL);
    if (m->config != NULL)
        p->config = value_copy(m->config, &p->arena);
    p->fetches = JWT_REFETCH_BURST;
    return p;
}

struct jwt_provider *jwt_provider_hold(struct jwt_provider *p) {
    atomic_fetch_add(&p->references, 1);
    return p;
}

void jwt_provider_release(struct jwt_provider *p) {
    if (p == NULL || atomic_fetch_sub(&p->references, 1) != 1)
        return;
    jwt_keys_release(p->keys);
    pthread_mutex_destroy(&p->mutex);
    arena_free(&p->arena);
    mem_free(p);
}

/* ---- discovery ---- */

static bool provider_text(const struct value *document, const char *name, struct str *out,
                          struct error *e) {
    const struct value *v = NULL;
    *out = STR("");
    for (size_t i = 0; document->kind == VALUE_MAP && i < document->map.len; i++)
        if (str_eq_fold(document->map.pairs[i].key, str_from(name)))
            v = &document->map.pairs[i].value;
    if (v == NULL || v->kind == VALUE_NULL)
        return true;
    if (v->kind != VALUE_STRING)
        return error_set(e, ERROR_INTERNAL,
                         "json: cannot unmarshal %s into Go struct field providerJSON.%s of type "
                         "string",
                         jwt_json_kind(v), name);
    *out = v->string.data != NULL ? v->string : STR("");
    return true;
}

static bool read_provider(const struct http_call *c, struct str *issuer, struct str *key_set_url,
                          struct error *e) {
    struct value document;
    bool ok = json_parse_whole(c->answer, &document, c->arena, e);
    if (ok && document.kind != VALUE_MAP && document.kind != VALUE_NULL)
        ok = error_set(e, ERROR_INTERNAL,
                       "json: cannot unmarshal %s into Go value of type oidc.providerJSON",
                       jwt_json_kind(&document));
    ok = ok && provider_text(&document, "issuer", issuer, e) &&
         provider_text(&document, "jwks_uri", key_set_url, e);
    if (ok)
        return true;
    auth_json_fault(c, e);
    error_prefix(e, "oidc: failed to decode provider discovery object: ");
    e->kind = ERROR_INTERNAL;
    return false;
}

/* Where the configuration of a provider is: its URL, whose own "/" at the end does not count. */
static struct str discovery_url(struct str base, struct arena *arena) {
    if (str_has_suffix(base, STR("/")))
        base.len--;
    return str_format(arena, STR_FMT "/.well-known/openid-configuration", STR_ARG(base));
}

bool jwt_provider_discover(struct auth_work *w, struct jwt_provider *p,
                           const struct jwt_config *config, struct error *e) {
    struct str issuer, key_set_url;
    pthread_mutex_lock(&p->mutex);
    bool known = p->key_set_url.data != NULL;
    pthread_mutex_unlock(&p->mutex);
    if (known)
        return true;
    struct http_call c = {
        .method = "GET",
        .url = discovery_url(config->oidc_discovery_url, &w->arena),
        .headers = {STR("User-Agent: praetor")},
        .arena = &w->arena,
    };
    if (!auth_fetch(w, &c, config->oidc_discovery_ca_cert, NULL, e))
        return false;
    if (c.status != 200)
        return error_set(e, ERROR_INTERNAL, STR_FMT ": " STR_FMT, STR_ARG(c.status_line),
                         STR_ARG(c.answer));
    if (!read_provider(&c, &issuer, &key_set_url, e))
        return false;
    if (!str_eq(issuer, config->oidc_discovery_url))
        return error_set(
            e, ERROR_INTERNAL,
            "oidc: issuer did not match the issuer returned by provider, expected " STR_FMT
            " got " STR_FMT,
            STR_ARG(str_quote(&w->arena, config->oidc_discovery_url)),
            STR_ARG(str_quote(&w->arena, issuer)));
    pthread_mutex_lock(&p->mutex);
    if (p->key_set_url.data == NULL)
        p->key_set_url = str_copy(&p->arena, key_set_url.len > 0 ? key_set_url : STR(""));
    pthread_mutex_unlock(&p->mutex);
    return true;
}

/* ---- key sets ---- */

/* How long an answer says that it holds, in ns; 0: it does not, or not at all. */
static int64_t life_of(const struct http_call *c) {
    struct str rest = c->cache_control;
    int64_t life = 0;
    bool said = false;
    while (rest.data != NULL) {
        struct str value = str_trim(str_cut(&rest, ',')), name = str_trim(str_cut(&value, '='));
        uint64_t seconds;
        if (str_eq_fold(name, STR("no-store")) || str_eq_fold(name, STR("no-cache")))
            return 0;
        if (str_eq_fold(name, STR("max-age")) && str_to_u64(str_trim(value), &seconds)) {
            life = (int64_t)(seconds < 365 * 86400 ? seconds : 365 * 86400) * SECOND;
            said = true;
        }
    }
    struct tm tm = {0};
    if (said || c->expires.len == 0 ||
        strptime(c->expires.data, "%a, %d %b %Y %H:%M:%S GMT", &tm) == NULL)
        return life;
    int64_t at = (int64_t)timegm(&tm) * SECOND, now = time_now_wall();
    return at > now ? at - now : 0;
}

static struct str key_set_url(struct jwt_provider *p, const struct jwt_config *config,
                              struct arena *arena) {
    if (config->jwks_url.len > 0)
        return config->jwks_url;
    pthread_mutex_lock(&p->mutex);
    struct str url = str_copy(arena, p->key_set_url);
    pthread_mutex_unlock(&p->mutex);
    return url;
}

static bool read_key_set(const struct http_call *c, struct jwt_keys *keys, struct error *e) {
    if (c->status != 200)
        return error_set(e, ERROR_INTERNAL, "oidc: get keys failed: " STR_FMT " " STR_FMT,
                         STR_ARG(c->status_line), STR_ARG(c->answer));
    if (jwt_keys_add_set(keys, c->answer, c->arena, e))
        return true;
    auth_json_fault(c, e);
    struct str why = str_copy(c->arena, e->text);
    return error_set(e, ERROR_INTERNAL, "oidc: failed to decode keys: " STR_FMT " " STR_FMT,
                     STR_ARG(why), STR_ARG(c->answer));
}

/* A set that is held, with "fetching keys oidc: " in front of what is wrong. */
static struct jwt_keys *fetch(struct auth_work *w, struct jwt_provider *p,
                              const struct jwt_config *config, struct error *e) {
    struct http_call c = {
        .method = "GET",
        .url = key_set_url(p, config, &w->arena),
        .headers = {STR("User-Agent: praetor")},
        .arena = &w->arena,
    };
    struct str ca =
        config->jwks_url.len > 0 ? config->jwks_ca_cert : config->oidc_discovery_ca_cert;
    bool unread = false;
    if (!auth_fetch(w, &c, ca, &unread, e)) {
        error_prefix(e, unread ? "fetching keys oidc: can't create request: "
                               : "fetching keys oidc: get keys failed ");
        return NULL;
    }
    struct jwt_keys *keys = jwt_keys_new();
    if (!read_key_set(&c, keys, e)) {
        error_prefix(e, "fetching keys ");
        jwt_keys_release(keys);
        return NULL;
    }
    pthread_mutex_lock(&p->mutex);
    jwt_keys_release(p->keys);
    p->keys = jwt_keys_hold(keys);
    p->keys_expire = time_now_monotonic() + life_of(&c);
    pthread_mutex_unlock(&p->mutex);
    return keys;
}

bool jwt_provider_fetch(struct auth_work *w, struct jwt_provider *p,
                        const struct jwt_config *config, struct error *e) {
    struct jwt_keys *keys = fetch(w, p, config, e);
    jwt_keys_release(keys);
    return keys != NULL;
}

/* Whether the set may be asked for once more. */
static bool may_fetch(struct jwt_provider *p) {
    int64_t now = time_now_monotonic();
    pthread_mutex_lock(&p->mutex);
    bool first = p->keys == NULL, expired = now >= p->keys_expire;
    p->fetches += (double)(now - p->fetched_at) / (double)JWT_REFETCH_INTERVAL;
    p->fetches = p->fetches < JWT_REFETCH_BURST ? p->fetches : JWT_REFETCH_BURST;
    p->fetched_at = now;
    bool may = (first || expired) && p->fetches >= 1;
    if (may)
        p->fetches -= 1;
    pthread_mutex_unlock(&p->mutex);
    return may;
}

bool jwt_provider_verify(struct auth_work *w, struct jwt_provider *p,
                         const struct jwt_config *config, const struct jwt *token,
                         struct error *e) {
    pthread_mutex_lock(&p->mutex);
    struct jwt_keys *keys = p->keys != NULL ? jwt_keys_hold(p->keys) : NULL;
    pthread_mutex_unlock(&p->mutex);
    bool verified = keys != NULL && jwt_keys_verify(keys, token, true);
    jwt_keys_release(keys);
    if (verified)
        return true;
    if (may_fetch(p)) {
        keys = fetch(w, p, config, e);
        if (keys == NULL)
            return false;
        verified = jwt_keys_verify(keys, token, true);
        jwt_keys_release(keys);
    }
    return verified || error_set(e, ERROR_INTERNAL, "failed to verify id token signature");
}

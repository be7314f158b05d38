/* ?cached (http-core.md 6.5). The answer comes from the agent's cache (server/agent_cache.h), but
 * for what that keeps current on a server agent: this we read from the state, which is as fast and
 * never behind; so an entry here holds no answer, only that the question was asked before, for
 * X-Cache.
 */
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "codec/blake2b.h"
#include "http/room.h"
#include "server/agent_cache.h"

#define ENTRIES_MAX 65536
#define ENTRY_LIFE (72 * HOUR)
#define KEY_MOST ((size_t)1024)

struct http_cached {
    bool hit;
    uint64_t asked_index;
    http_reply_writer *write;
    http_answer_done *done;      /* instead of it, without meta headers; or NULL */
    struct agent_cache_ask *ask; /* a client agent's, while it is under way */
};

struct entry {
    int64_t used; /* monotonic */
};

/* One for the process: the questions of all I/O threads. */
static struct {
    pthread_mutex_t mutex;
    struct map entries;
} memory = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void forget_all(void) {
    void *value;
    for (size_t i = 0; map_next(&memory.entries, &i, NULL, &value);)
        mem_free(value);
    map_free(&memory.entries);
    memory.entries = (struct map)MAP_INIT;
}

/* Who asks what, without how long to wait; what is long is remembered by its digest. */
static struct str entry_key(struct http_request *r, const struct endpoint *endpoint, void *request,
                            struct query_options *options) {
    struct query_options kept = *options;
    struct buf text = BUF_INIT;
    *options = (struct query_options){.token = kept.token, .filter = kept.filter};
    buf_add_text(&text, endpoint->name);
    schema_encode(&text, endpoint->request, request);
    *options = kept;
    uint8_t digest[BLAKE2B_BYTES];
    struct str key = buf_str(&text);
    if (key.len > KEY_MOST) {
        struct blake2b h;
        blake2b_start(&h);
        blake2b_add(&h, key);
        blake2b_end(&h, digest);
        key = str_of(digest, sizeof digest);
    }
    key = str_copy(&r->arena, key);
    buf_free(&text);
    return key;
}

/* Looks the question up and notes that it is asked now. */
static bool remember(struct str key) {
    int64_t now = time_now_monotonic();
    bool hit = false;
    pthread_mutex_lock(&memory.mutex);
    struct entry *entry = map_get(&memory.entries, key);
    if (entry == NULL && memory.entries.count >= ENTRIES_MAX)
        forget_all();
    if (entry == NULL) {
        entry = MEM_NEW(struct entry);
        map_put(&memory.entries, key, entry);
    } else {
        hit = now - entry->used < ENTRY_LIFE;
    }
    entry->used = now;
    size_t count = memory.entries.count;
    pthread_mutex_unlock(&memory.mutex);
    agent_cache_count_others(count);
    return hit;
}

void http_cached_forget(void) {
    pthread_mutex_lock(&memory.mutex);
    forget_all();
    pthread_mutex_unlock(&memory.mutex);
}

static void count(const char *type, const char *what) {
    char name[96];
    if (type == NULL)
        return;
    snprintf(name, sizeof name, "consul.cache.%s.%s", type, what);
    metric_count(name, 1);
}

void http_cache_count_ask(const char *type, bool hit, bool waited) {
    count(type, hit ? "hit" : waited ? "miss_block" : "miss_new");
}

void http_cache_count_fetch(const char *type, bool ok) {
    count(type, ok ? "fetch_success" : "fetch_error");
    metric_count(ok ? "consul.cache.fetch_success" : "consul.cache.fetch_error", 1);
}

/* NULL: of a kind that is not counted. */
static const char *cache_type(const struct http_request *r) {
    static const struct {
        const char *endpoint, *type;
    } types[] = {
        {"Catalog.ListDatacenters", "catalog-datacenters"},
        {"Catalog.ListServices", "catalog-list-services"},
        {"Catalog.ServiceNodes", "catalog-services"},
        {"ConnectCA.Roots", "connect-ca-root"},
        {"DiscoveryChain.Get", "compiled-discovery-chain"},
        {"Health.ServiceNodes", "health-services"},
        {"Intention.Match", "intention-match"},
        {"PreparedQuery.Execute", "prepared-query"},
    };
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (strcmp(types[i].endpoint, r->call.endpoint->name) == 0)
            return types[i].type;
    }
    return NULL;
}

static void count_answer(const struct http_request *r, bool hit) {
    http_cache_count_ask(cache_type(r), hit, r->cached->hit);
    if (!hit)
        http_cache_count_fetch(cache_type(r), true);
}

static void answer_cached(struct http_request *r, struct answer *a, bool hit, int64_t age) {
    if (r->call.endpoint->meta >= 0 && r->cached->done == NULL)
        http_set_meta(r, &a->meta);
    count_answer(r, hit);
    http_set_header(r, "X-Cache", hit ? STR("HIT") : STR("MISS"));
    if (hit)
        http_set_header(r, "Age",
                        str_format(&r->arena, "%lld", (long long)((age + SECOND / 2) / SECOND)));
    if (r->cached->done != NULL)
        r->cached->done(r, a);
    else
        http_answer_shared(r, a, 200, r->cached->write);
}

/* ---- from a server's state ---- */

static void answered(struct http_request *r, struct answer *a) {
    struct http_cached *c = r->cached;
    /* A call that did not end before it began to wait had to wait. */
    bool hit = c->hit && (c->asked_index == 0 || r->call_flag != NULL);
    answer_cached(r, a, hit, 0);
}

/* ---- from the agent's cache ---- */

static void from_agent_cache(void *owner, struct answer *a, bool hit, int64_t age) {
    struct http_request *r = owner;
    r->cached->ask = NULL;
    r->cached->hit = a->meta.index > 0 && r->cached->asked_index > 0; /* it waited for news */
    if (error_is_set(&a->error)) {
        http_cache_count_fetch(cache_type(r), false);
        http_count_end(r, "client.rpc.error.");
        if (a->error.kind == ERROR_NOT_FOUND)
            a->error.kind = ERROR_INTERNAL;
        http_answer_failure(r, a);
    } else {
        http_count_end(r, "client.api.success.");
        answer_cached(r, a, hit, age);
    }
    answer_release(a);
}

static void ask_agent_cache(struct http_request *r, const struct endpoint *endpoint, void *request,
                            enum http_cache_kind kind, uint32_t variant) {
    r->call = (struct call){.endpoint = endpoint,
                            .arena = &r->arena,
                            .request = request,
                            .variant = variant}; /* what writers look at; it is never started */
    r->cached->ask = agent_cache_ask(
        r->server, endpoint, request,
        kind == HTTP_CACHE_PLAIN ? AGENT_CACHE_PLAIN : AGENT_CACHE_REFRESHED, from_agent_cache, r);
}

bool http_cached_gone(struct http_request *r) {
    if (r->cached == NULL || r->cached->ask == NULL)
        return false;
    agent_cache_cancel(r->cached->ask);
    r->cached->ask = NULL;
    return true;
}

/* ---- for handlers ---- */

/* Whether the own datacenter is named or not, it is the same question. */
static void name_datacenter(const struct http_request *r, const struct endpoint *endpoint,
                            void *request) {
    if (endpoint->datacenter < 0)
        return;
    struct str *datacenter = (struct str *)((char *)request + endpoint->datacenter);
    if (datacenter->len == 0)
        *datacenter = r->config->datacenter;
}

static void start(struct http_request *r, const struct endpoint *endpoint, void *request,
                  struct query_options *options, enum http_cache_kind kind, struct http_cached *c,
                  uint32_t variant) {
    name_datacenter(r, endpoint, request);
    c->asked_index = options->min_query_index;
    r->cached = c;
    if (agent_cache_is_used(r->server) || kind == HTTP_CACHE_PLAIN) {
        ask_agent_cache(r, endpoint, request, kind, variant);
        return;
    }
    c->hit = remember(entry_key(r, endpoint, request, options));
    options->allow_stale = true; /* the cache is filled by stale reads */
    r->call.variant = variant;
    http_call(r, endpoint, request, answered);
}

void http_call_cached(struct http_request *r, const struct endpoint *endpoint, void *request,
                      struct query_options *options, enum http_cache_kind kind, uint32_t variant,
                      http_reply_writer *write) {
    if (!options->use_cache) {
        http_call_json(r, endpoint, request, variant, write);
        return;
    }
    struct http_cached *c = ARENA_NEW(&r->arena, struct http_cached);
    c->write = write;
    start(r, endpoint, request, options, kind, c, variant);
}

void http_call_through_cache(struct http_request *r, const struct endpoint *endpoint, void *request,
                             struct query_options *options, http_answer_done *done) {
    struct http_cached *c = ARENA_NEW(&r->arena, struct http_cached);
    c->done = done;
    start(r, endpoint, request, options, HTTP_CACHE_REFRESHED, c, 0);
}

static void warmed(void *owner, struct answer *a, bool hit, int64_t age) {
    (void)owner;
    (void)hit;
    (void)age;
    answer_release(a);
}

void http_cache_warm(struct http_request *r, const struct endpoint *endpoint, void *request,
                     struct query_options *options) {
    name_datacenter(r, endpoint, request);
    if (agent_cache_is_used(r->server))
        agent_cache_ask(r->server, endpoint, request, AGENT_CACHE_REFRESHED, warmed, NULL);
    else
        remember(entry_key(r, endpoint, request, options));
}

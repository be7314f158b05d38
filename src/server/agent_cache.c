/* Entries, their fetches and those who wait for them. See agent_cache.h. */
#include "server/agent_cache.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/random.h"
#include "codec/msgpack.h"
#include "server/server_room.h"

#define FETCH_TIME (600 * SECOND)     /* of a blocking query in the background */
#define CONNECTED_AFTER (31 * SECOND) /* a fetch that waits this long has reached its server */
#define SWEEP_INTERVAL MINUTE
#define FREE_FAILURES 3 /* fetches that may fail before there are pauses */

/* A reply in its encoded form. */
struct blob {
    atomic_uint references;
    uint64_t index;
    size_t len;
    char bytes[];
};

struct entry {
    struct agent_cache *cache;
    const struct endpoint *endpoint;
    bool refreshed;
    struct str key;
    struct arena arena; /* holds key and request */
    void *request;
    struct call call;
    bool fetching, gone;
    struct loop_timer retry;
    struct blob *value;                   /* NULL: none yet */
    int64_t fetched, started, used, lost; /* monotonic; lost: 0 while the servers are reachable */
    unsigned failures;
    struct agent_cache_ask *first; /* those who wait */
    struct entry *newer, *older;   /* by use */
};

struct agent_cache {
    struct server *server;
    struct server_thread *thread;
    struct map entries;
    struct entry *newest, *oldest;
    size_t bytes;
    struct prng random;
    struct loop_timer sweep;
    bool sweeping, closing;
};

struct agent_cache_ask {
    struct message message;
    struct server *server;
    struct loop *from;
    const struct endpoint *endpoint;
    enum agent_cache_kind kind;
    struct buf key;               /* the endpoint's name, a zero byte, the encoded request */
    struct query_options options; /* numbers only */
    agent_cache_done *done;       /* NULL: cancelled. The asking thread's */
    void *owner;

    /* On the cache's thread. */
    struct entry *entry;
    struct agent_cache_ask *next, **previous;
    struct loop_timer timer;
    bool timed;
    /* The result. */
    struct blob *blob;
    struct arena arena;
    struct error error;
    bool hit;
    int64_t age;
};

bool agent_cache_is_used(const struct server *server) {
    return server->options.client;
}

static struct blob *blob_hold(struct blob *b) {
    atomic_fetch_add(&b->references, 1);
    return b;
}

static void blob_release(struct blob *b) {
    if (b != NULL && atomic_fetch_sub(&b->references, 1) == 1)
        mem_free(b);
}

/* ---- the answer, on the thread that asked ---- */

static struct answer *answer_from(const struct agent_cache_ask *ask) {
    const struct endpoint *endpoint = ask->endpoint;
    struct answer *a = answer_new(endpoint);
    if (error_is_set(&ask->error)) {
        error_copy(&a->error, &ask->error);
        return a;
    }
    struct str own = str_copy(&a->arena, str_of(ask->blob->bytes, ask->blob->len));
    struct msgpack_reader in = msgpack_read(own);
    bool ok = endpoint->reply != NULL
                  ? schema_decode(&in, endpoint->reply, a->reply, &a->arena, &a->error)
                  : schema_decode_type(&in, endpoint->reply_type, a->reply, &a->arena, &a->error);
    a->remote = true;
    if (ok && endpoint->meta >= 0)
        a->meta = *(struct query_meta *)((char *)a->reply + endpoint->meta);
    return a;
}

static void ask_free(struct agent_cache_ask *ask) {
    blob_release(ask->blob);
    buf_free(&ask->key);
    arena_free(&ask->arena);
    mem_free(ask);
}

static void come_back(struct message *m) {
    struct agent_cache_ask *ask = CONTAINER_OF(m, struct agent_cache_ask, message);
    if (ask->done != NULL)
        ask->done(ask->owner, answer_from(ask), ask->hit, ask->age);
    ask_free(ask);
}

void agent_cache_cancel(struct agent_cache_ask *ask) {
    ask->done = NULL;
}

/* ---- those who wait ---- */

static void send_back(struct agent_cache_ask *ask) {
    ask->message.run = come_back;
    loop_post_reply(ask->from, &ask->message);
}

static void timer_closed(struct loop_timer *t) {
    send_back(t->owner);
}

/* With its result set; the ask is the asking thread's from then on. */
static void ask_end(struct agent_cache_ask *ask) {
    if (ask->previous != NULL) {
        *ask->previous = ask->next;
        if (ask->next != NULL)
            ask->next->previous = ask->previous;
        ask->previous = NULL;
    }
    if (ask->timed)
        loop_timer_close(&ask->timer, timer_closed);
    else
        send_back(ask);
}

static void ask_fail(struct agent_cache_ask *ask, enum error_kind kind, struct str text) {
    error_set(&ask->error, kind, STR_FMT, STR_ARG(text));
    ask_end(ask);
}

static void ask_answer(struct agent_cache_ask *ask, bool hit) {
    struct entry *e = ask->entry;
    int64_t now = time_now_monotonic();
    ask->blob = blob_hold(e->value);
    ask->hit = hit;
    ask->age = !e->refreshed ? now - e->fetched : e->lost != 0 ? now - e->lost : 0;
    ask_end(ask);
}

static void wait_over(struct loop_timer *t) {
    struct agent_cache_ask *ask = t->owner;
    ask_answer(ask, false); /* there is a value: only then is there a timer */
}

static void ask_wait(struct agent_cache_ask *ask, struct entry *e) {
    ask->next = e->first;
    ask->previous = &e->first;
    if (e->first != NULL)
        e->first->previous = &ask->next;
    e->first = ask;
    if (!e->refreshed || e->value == NULL || ask->options.min_query_index == 0)
        return;
    int64_t time = ask->options.max_query_time;
    ask->timed = true;
    loop_timer_init(e->cache->thread->loop, &ask->timer, wait_over, ask);
    loop_timer_set(&ask->timer, time > 0 && time < FETCH_TIME ? time : FETCH_TIME);
}

/* ---- entries ---- */

static void entry_unlink(struct entry *e) {
    struct agent_cache *c = e->cache;
    *(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void entry_use(struct entry *e, bool is_new) {
    struct agent_cache *c = e->cache;
    e->used = time_now_monotonic();
    if (!is_new)
        entry_unlink(e);
    e->older = c->newest;
    if (c->newest != NULL)
        c->newest->newer = e;
    c->newest = e;
    if (c->oldest == NULL)
        c->oldest = e;
}

static void entry_closed(struct loop_timer *t) {
    struct entry *e = t->owner;
    arena_free(&e->arena);
    mem_free(e);
}

static void entry_freed(void *owner) {
    struct entry *e = owner;
    loop_timer_close(&e->retry, entry_closed);
}

/* What it holds beside its value: the key, the map's copy of it, and the request. */
static size_t size_of_question(const struct entry *e) {
    return 3 * e->key.len;
}

static void entry_set(struct entry *e, struct blob *value) {
    struct agent_cache *c = e->cache;
    c->bytes -= e->value != NULL ? e->value->len : 0;
    blob_release(e->value);
    e->value = value;
    c->bytes += value != NULL ? value->len : 0;
}

/* Those who still wait get an error. */
static void entry_drop(struct entry *e) {
    while (e->first != NULL)
        ask_fail(e->first, ERROR_NO_LEADER, STR("server is shutting down"));
    entry_set(e, NULL);
    entry_unlink(e);
    map_remove(&e->cache->entries, e->key);
    e->cache->bytes -= size_of_question(e);
    loop_timer_stop(&e->retry);
    e->gone = true;
    if (e->fetching)
        call_cancel(&e->call, entry_freed);
    else
        entry_freed(e);
}

/* Of the process, for the gauge: those here, and those that http/cached.c reads from the state. */
static atomic_size_t kept_here, kept_elsewhere;

static void gauge_all(void) {
    metric_gauge("consul.cache.entries_count",
                 (double)(atomic_load(&kept_here) + atomic_load(&kept_elsewhere)));
}

static void gauge(const struct agent_cache *c) {
    atomic_store(&kept_here, c->entries.count);
    gauge_all();
}

void agent_cache_count_others(size_t count) {
    atomic_store(&kept_elsewhere, count);
    gauge_all();
}

/* Makes room; `kept` is in use just now. */
static void make_room(struct agent_cache *c, const struct entry *kept) {
    struct entry *e = c->oldest;
    while (e != NULL && (c->entries.count > AGENT_CACHE_ENTRIES || c->bytes > AGENT_CACHE_BYTES)) {
        struct entry *next = e->newer;
        if (e != kept && e->first == NULL)
            entry_drop(e);
        e = next;
    }
}

static void sweep(struct loop_timer *t) {
    struct agent_cache *c = t->owner;
    int64_t now = time_now_monotonic();
    while (c->oldest != NULL && c->oldest->first == NULL &&
           now - c->oldest->used > AGENT_CACHE_LIFE) {
        entry_drop(c->oldest);
        metric_count("consul.cache.evict_expired", 1);
    }
    gauge(c);
    c->sweeping = c->entries.count > 0;
    if (c->sweeping)
        loop_timer_set(t, SWEEP_INTERVAL);
}

/* ---- fetching ---- */

static void fetched(struct call *call);

static void fetch(struct entry *e) {
    struct query_options *o = call_options(e->endpoint, e->request);
    loop_timer_stop(&e->retry);
    e->fetching = true;
    e->started = time_now_monotonic();
    if (o != NULL) {
        o->min_query_index = e->refreshed && e->value != NULL ? e->value->index : 0;
        o->max_query_time = e->refreshed ? FETCH_TIME : 0;
        o->allow_stale = e->refreshed;
    }
    e->call = (struct call){.endpoint = e->endpoint,
                            .arena = &e->arena,
                            .request = e->request,
                            .done = fetched,
                            .owner = e};
    call_start(e->cache->server, &e->call);
}

static void retry(struct loop_timer *t) {
    struct entry *e = t->owner;
    if (!e->fetching && !e->gone)
        fetch(e);
}

/* 2^(n-3) s, at most a minute, and the same again at random. */
static int64_t pause_after(struct agent_cache *c, unsigned failures) {
    if (failures <= FREE_FAILURES)
        return 50 * MILLISECOND;
    unsigned power = failures - FREE_FAILURES;
    int64_t pause = power < 6 ? ((int64_t)1 << power) * SECOND : MINUTE;
    return pause + (int64_t)prng_below(&c->random, (uint64_t)pause);
}

static struct blob *encode(const struct endpoint *endpoint, const struct answer *a) {
    struct buf text = BUF_INIT;
    if (endpoint->reply != NULL)
        schema_encode(&text, endpoint->reply, a->reply);
    else
        schema_encode_type(&text, endpoint->reply_type, a->reply);
    struct blob *b = mem_alloc(sizeof(*b) + text.len);
    atomic_init(&b->references, 1);
    b->index = a->meta.index > 0 ? a->meta.index : 1;
    b->len = text.len;
    memcpy(b->bytes, text.data, text.len);
    buf_free(&text);
    return b;
}

/* As the peer has it: who asked for revalidation gets the old value if there can be no new one, who
 * named an age gets the error; stale-if-error changes neither. */
static bool may_be_old(const struct agent_cache_ask *ask, const struct entry *e) {
    return !e->refreshed && e->value != NULL && ask->options.must_revalidate;
}

static void fetch_failed(struct entry *e, const struct error *error) {
    int64_t now = time_now_monotonic();
    metric_count("consul.cache.fetch_error", 1);
    e->failures++;
    e->lost = e->lost != 0 ? e->lost : now;
    for (struct agent_cache_ask *ask = e->first, *next; ask != NULL; ask = next) {
        next = ask->next;
        if (may_be_old(ask, e))
            ask_answer(ask, false);
        else
            ask_fail(ask, error->kind, error->text);
    }
    if (e->refreshed && !e->cache->closing)
        loop_timer_set(&e->retry, pause_after(e->cache, e->failures));
}

static bool satisfies(const struct entry *e, const struct agent_cache_ask *ask) {
    return e->value != NULL && (!e->refreshed || ask->options.min_query_index == 0 ||
                                e->value->index > ask->options.min_query_index);
}

/* A blocking query that came back at once with nothing new must not become a storm. */
static void go_on(struct entry *e, bool is_new) {
    int64_t took = time_now_monotonic() - e->started;
    if (!is_new && took < SECOND)
        loop_timer_set(&e->retry, SECOND);
    else
        fetch(e);
}

static void fetch_worked(struct entry *e, const struct answer *a) {
    struct blob *value = encode(e->endpoint, a);
    bool is_new = e->value == NULL || e->value->index != value->index;
    metric_count("consul.cache.fetch_success", 1);
    e->failures = 0;
    e->lost = 0;
    e->fetched = time_now_monotonic();
    entry_set(e, value);
    for (struct agent_cache_ask *ask = e->first, *next; ask != NULL; ask = next) {
        next = ask->next;
        if (satisfies(e, ask))
            ask_answer(ask, false);
    }
    struct agent_cache *c = e->cache;
    if (value->len + size_of_question(e) > AGENT_CACHE_BYTES / 4 && e->first == NULL) {
        entry_drop(e); /* too large to be kept */
        return;
    }
    make_room(c, e);
    if (e->refreshed && !c->closing)
        go_on(e, is_new);
}

static void fetched(struct call *call) {
    struct entry *e = call->owner;
    struct answer *a = call->answer;
    call->answer = NULL;
    e->fetching = false;
    if (error_is_set(&a->error))
        fetch_failed(e, &a->error);
    else
        fetch_worked(e, a);
    answer_release(a);
}

/* ---- asks, on the cache's thread ---- */

static struct agent_cache *cache_of(struct server_thread *t) {
    if (t->cache == NULL) {
        uint64_t seed;
        random_bytes(&seed, sizeof seed);
        t->cache = MEM_NEW(struct agent_cache);
        t->cache->server = t->server;
        t->cache->thread = t;
        prng_seed(&t->cache->random, seed);
        loop_timer_init(t->loop, &t->cache->sweep, sweep, t->cache);
    }
    return t->cache;
}

/* NULL with an error: the request did not survive its encoding. */
static struct entry *entry_new(struct agent_cache *c, struct agent_cache_ask *ask) {
    struct entry *e = MEM_NEW(struct entry);
    size_t name = strlen(ask->endpoint->name) + 1;
    e->cache = c;
    e->endpoint = ask->endpoint;
    e->refreshed = ask->kind == AGENT_CACHE_REFRESHED;
    e->key = str_copy(&e->arena, buf_str(&ask->key));
    e->request = arena_zalloc(&e->arena, 1, ask->endpoint->request->size);
    if (!schema_decode_bytes(str_sub(e->key, name, e->key.len), ask->endpoint->request, e->request,
                             &e->arena, &ask->error)) {
        arena_free(&e->arena);
        mem_free(e);
        return NULL;
    }
    loop_timer_init(c->thread->loop, &e->retry, retry, e);
    map_put(&c->entries, e->key, e);
    c->bytes += size_of_question(e);
    entry_use(e, true);
    if (!c->sweeping)
        loop_timer_set(&c->sweep, SWEEP_INTERVAL);
    c->sweeping = true;
    make_room(c, e);
    gauge(c);
    return e;
}

static bool is_fresh(const struct entry *e, const struct agent_cache_ask *ask) {
    if (e->refreshed)
        return satisfies(e, ask);
    const struct query_options *o = &ask->options;
    return e->value != NULL && !o->must_revalidate &&
           (o->max_age <= 0 || time_now_monotonic() - e->fetched <= o->max_age);
}

static void take(struct message *m) {
    struct agent_cache_ask *ask = CONTAINER_OF(m, struct agent_cache_ask, message);
    struct server_thread *t = thread_current();
    if (t == NULL || t->closing) {
        ask_fail(ask, ERROR_NO_LEADER, STR("server is shutting down"));
        return;
    }
    struct agent_cache *c = cache_of(t);
    struct entry *e = map_get(&c->entries, buf_str(&ask->key));
    if (e != NULL)
        entry_use(e, false);
    else if ((e = entry_new(c, ask)) == NULL) {
        ask_end(ask);
        return;
    }
    ask->entry = e;
    if (e->fetching && e->lost != 0 && time_now_monotonic() - e->started > CONNECTED_AFTER)
        e->lost = 0;
    if (is_fresh(e, ask)) {
        ask_answer(ask, true);
        return;
    }
    ask_wait(ask, e);
    if (!e->fetching)
        fetch(e);
}

/* ---- asking ---- */

/* Who asks what, without how long to wait and how old it may be. */
static void build_key(struct buf *out, struct server *server, const struct endpoint *endpoint,
                      void *request) {
    struct query_options *o = call_options(endpoint, request), kept = *o;
    struct str *datacenter =
        endpoint->datacenter < 0 ? NULL : (struct str *)((char *)request + endpoint->datacenter);
    *o = (struct query_options){.token = kept.token, .filter = kept.filter};
    if (datacenter != NULL && datacenter->len == 0)
        *datacenter = server->options.datacenter;
    buf_add(out, endpoint->name, strlen(endpoint->name) + 1);
    schema_encode(out, endpoint->request, request);
    *o = kept;
}

struct agent_cache_ask *agent_cache_ask(struct server *server, const struct endpoint *endpoint,
                                        void *request, enum agent_cache_kind kind,
                                        agent_cache_done *done, void *owner) {
    struct agent_cache_ask *ask = MEM_NEW(struct agent_cache_ask);
    ASSERT(endpoint->options >= 0);
    ask->server = server;
    ask->from = loop_current();
    ask->endpoint = endpoint;
    ask->kind = kind;
    ask->options = *call_options(endpoint, request);
    ask->done = done;
    ask->owner = owner;
    ask->error = ERROR_IN(&ask->arena);
    build_key(&ask->key, server, endpoint, request);
    ask->message.run = take;
    if (!loop_post(server_io(server, 0), &ask->message)) {
        error_set(&ask->error, ERROR_RATE_LIMIT, "RPC rate limit exceeded");
        send_back(ask);
    }
    return ask;
}

/* ---- the end ---- */

void agent_cache_close(struct agent_cache *c) {
    if (c == NULL)
        return;
    c->closing = true;
    while (c->newest != NULL)
        entry_drop(c->newest);
    loop_timer_stop(&c->sweep);
    loop_timer_close(&c->sweep, NULL);
}

void agent_cache_free(struct agent_cache *c) {
    if (c == NULL)
        return;
    map_free(&c->entries);
    mem_free(c);
}

/* See facts.h. */
#include "agent/facts.h"

#include "base/log.h"
#include "base/mem.h"
#include "codec/msgpack.h"
#include "server/endpoints.h"

#define LOGGER "agent.proxycfg"

struct facts {
    struct server *server;
    struct map sources; /* by key */
    unsigned open;      /* sources that are not gone yet */
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

struct fact_source {
    struct facts *all;
    struct arena arena; /* of key */
    struct str key;
    size_t request_at; /* where in the key the request is, encoded */
    const struct endpoint *endpoint;
    struct follow *follow;
    struct leaf_follow *leaf;
    const struct fact *now;
    bool failed;
    struct fact_watch watches; /* head of the list */
};

/* ---- facts ---- */

const struct fact *fact_hold(const struct fact *f) {
    if (f != NULL)
        atomic_fetch_add(&((struct fact *)f)->references, 1);
    return f;
}

void fact_release(const struct fact *fact) {
    struct fact *f = (struct fact *)fact;
    if (f == NULL || atomic_fetch_sub(&f->references, 1) != 1)
        return;
    struct arena arena = f->arena;
    mem_free(f);
    arena_free(&arena);
}

static struct fact *fact_new(struct str bytes) {
    struct fact *f = MEM_NEW(struct fact);
    f->references = 1;
    f->bytes = str_copy(&f->arena, bytes);
    return f;
}

/* What was encoded here can be decoded. */
static void decoded(bool ok, const struct error *e) {
    if (!ok)
        log_at(LOG_ERROR, LOGGER, "an answer cannot be read back", LOG_S("error", e->text));
    ASSERT(ok);
}

const struct fact *fact_of(const struct shape *shape, const void *object) {
    struct buf bytes = BUF_INIT;
    schema_encode(&bytes, shape, object);
    struct fact *f = fact_new(buf_str(&bytes));
    struct error e = ERROR_IN(&f->arena);
    void *copy = arena_zalloc(&f->arena, 1, shape->size);
    decoded(schema_decode_bytes(f->bytes, shape, copy, &f->arena, &e), &e);
    f->reply = copy;
    buf_free(&bytes);
    return f;
}

static size_t reply_size(const struct endpoint *endpoint) {
    return endpoint->reply_size > 0 ? endpoint->reply_size : endpoint->reply->size;
}

/* The reply without what changes from one time to the next. */
static void encode_reply(struct buf *out, const struct endpoint *endpoint, const void *reply) {
    struct arena scratch = ARENA_INIT;
    void *copy = arena_copy(&scratch, reply, reply_size(endpoint));
    if (endpoint->meta >= 0)
        *(struct query_meta *)((char *)copy + endpoint->meta) = (struct query_meta){0};
    if (endpoint->reply != NULL)
        schema_encode(out, endpoint->reply, copy);
    else
        schema_encode_type(out, endpoint->reply_type, copy);
    arena_free(&scratch);
}

static const struct fact *fact_of_reply(const struct endpoint *endpoint, struct str bytes) {
    struct fact *f = fact_new(bytes);
    struct error e = ERROR_IN(&f->arena);
    void *copy = arena_zalloc(&f->arena, 1, reply_size(endpoint));
    struct msgpack_reader in = msgpack_read(f->bytes);
    decoded(endpoint->reply != NULL
                ? schema_decode(&in, endpoint->reply, copy, &f->arena, &e)
                : schema_decode_type(&in, endpoint->reply_type, copy, &f->arena, &e),
            &e);
    f->reply = copy;
    return f;
}

/* ---- what is answered ---- */

static void tell(struct fact_source *s) {
    for (struct fact_watch *w = s->watches.next; w != &s->watches; w = w->next)
        w->fn(w);
}

static void source_set(struct fact_source *s, const struct fact *fact) {
    fact_release(s->now);
    s->now = fact;
    s->failed = false;
    tell(s);
}

/* Instances of a prepared query come in another order each time. */
static bool same_nodes(const struct fact *known, struct str bytes,
                       const struct endpoint *endpoint) {
    if (known == NULL || endpoint != &endpoint_prepared_query_execute ||
        known->bytes.len != bytes.len)
        return false;
    const struct fact *now = fact_of_reply(endpoint, bytes);
    const struct fact *both[2] = {known, now};
    uint64_t sums[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        const struct prepared_query_execute_response *r = both[i]->reply;
        for (uint32_t n = 0; n < r->nodes.len; n++) {
            struct buf one = BUF_INIT;
            schema_encode(&one, &check_service_node_shape,
                          &LIST_AT(r->nodes, struct check_service_node, n));
            sums[i] += map_hash(buf_str(&one));
            buf_free(&one);
        }
    }
    const struct prepared_query_execute_response *a = known->reply, *b = now->reply;
    bool same = sums[0] == sums[1] && a->nodes.len == b->nodes.len &&
                str_eq(a->service, b->service) && str_eq(a->datacenter, b->datacenter);
    fact_release(now);
    return same;
}

static void came(void *owner, const struct answer *answer) {
    struct fact_source *s = owner;
    struct buf bytes = BUF_INIT;
    encode_reply(&bytes, s->endpoint, answer->reply);
    s->failed = false;
    if ((s->now == NULL || !str_eq(s->now->bytes, buf_str(&bytes))) &&
        !same_nodes(s->now, buf_str(&bytes), s->endpoint))
        source_set(s, fact_of_reply(s->endpoint, buf_str(&bytes)));
    buf_free(&bytes);
}

static void leaf_came(void *owner, const struct issued_cert *cert) {
    source_set(owner, fact_of(&issued_cert_shape, cert));
}

/* Each question fails for itself when no server can be reached: that is told once aloud. */
static void failed(void *owner, const struct error *e) {
    struct fact_source *s = owner;
    bool first = !s->failed;
    if (!s->all->stopping)
        log_at(first ? LOG_ERROR : LOG_DEBUG, LOGGER, "watch error",
               LOG_C("id", s->endpoint != NULL ? s->endpoint->name : "leaf"),
               LOG_S("error", e->text));
    s->failed = true;
    if (first)
        tell(s);
}

static bool question(void *owner, void *request, struct arena *arena) {
    struct fact_source *s = owner;
    struct error e = ERROR_IN(arena);
    decoded(schema_decode_bytes(str_sub(s->key, s->request_at, s->key.len), s->endpoint->request,
                                request, arena, &e),
            &e);
    return true;
}

/* ---- sources ---- */

/* *request_at: where the encoded request begins. */
static struct str make_key(const struct fact_question *q, size_t *request_at, struct arena *arena) {
    struct buf key = BUF_INIT;
    if (q->endpoint == NULL) {
        buf_add_char(&key, '\0');
        buf_add_str(&key, leaf_wish_key(q->leaf, arena));
    } else {
        buf_add_text(&key, q->endpoint->name);
        buf_add_char(&key, '\0');
        buf_add_be64(&key, (uint64_t)q->period);
        *request_at = key.len;
        schema_encode(&key, q->endpoint->request, q->request);
    }
    struct str out = str_copy(arena, buf_str(&key));
    buf_free(&key);
    return out;
}

static void source_begin(struct fact_source *s, const struct fact_question *q) {
    if (q->endpoint == NULL) {
        struct leaf_follow_options options = {.server = s->all->server,
                                              .wish = q->leaf,
                                              .came = leaf_came,
                                              .failed = failed,
                                              .owner = s};
        s->leaf = leaf_follow_begin(&options);
        return;
    }
    struct follow_options options = {.server = s->all->server,
                                     .endpoint = q->endpoint,
                                     .period = q->period,
                                     .question = question,
                                     .came = came,
                                     .failed = failed,
                                     .owner = s};
    s->endpoint = q->endpoint;
    s->follow = follow_begin(&options);
}

static struct fact_source *source_new(struct facts *all, const struct fact_question *q) {
    struct fact_source *s = MEM_NEW(struct fact_source);
    s->all = all;
    s->key = make_key(q, &s->request_at, &s->arena);
    s->watches.next = s->watches.previous = &s->watches;
    map_put(&all->sources, s->key, s);
    all->open++;
    source_begin(s, q);
    return s;
}

static void maybe_stopped(struct facts *all) {
    if (!all->stopping || all->open > 0 || all->stopped == NULL)
        return;
    void (*stopped)(void *arg) = all->stopped;
    all->stopped = NULL;
    stopped(all->stopped_arg);
}

static void source_closed(void *arg) {
    struct fact_source *s = arg;
    struct facts *all = s->all;
    fact_release(s->now);
    arena_free(&s->arena);
    mem_free(s);
    all->open--;
    maybe_stopped(all);
}

static void source_end(struct fact_source *s) {
    map_remove(&s->all->sources, s->key);
    follow_end(s->follow, source_closed, s);
    leaf_follow_end(s->leaf, source_closed, s);
}

/* ---- watches ---- */

void fact_watch_begin(struct facts *all, struct fact_watch *w, const struct fact_question *q) {
    struct arena scratch = ARENA_INIT;
    size_t ignored;
    struct fact_source *s = map_get(&all->sources, make_key(q, &ignored, &scratch));
    arena_free(&scratch);
    if (s == NULL)
        s = source_new(all, q);
    w->source = s;
    w->next = &s->watches;
    w->previous = s->watches.previous;
    w->previous->next = w;
    s->watches.previous = w;
}

void fact_watch_end(struct fact_watch *w) {
    struct fact_source *s = w->source;
    if (s == NULL)
        return;
    w->source = NULL;
    w->next->previous = w->previous;
    w->previous->next = w->next;
    if (s->watches.next == &s->watches)
        source_end(s);
}

const struct fact *fact_watch_now(const struct fact_watch *w) {
    return w->source != NULL ? w->source->now : NULL;
}

bool fact_watch_failed(const struct fact_watch *w) {
    return w->source != NULL && w->source->failed;
}

bool fact_watch_asks(const struct fact_watch *w, const struct fact_question *q) {
    struct arena scratch = ARENA_INIT;
    size_t ignored;
    bool same = w->source != NULL && str_eq(w->source->key, make_key(q, &ignored, &scratch));
    arena_free(&scratch);
    return same;
}

/* ---- life ---- */

struct facts *facts_new(struct server *server) {
    struct facts *all = MEM_NEW(struct facts);
    all->server = server;
    return all;
}

void facts_stop(struct facts *all, void (*stopped)(void *arg), void *arg) {
    ASSERT(all->sources.count == 0);
    all->stopping = true;
    all->stopped = stopped;
    all->stopped_arg = arg;
    maybe_stopped(all);
}

void facts_free(struct facts *all) {
    if (all == NULL)
        return;
    map_free(&all->sources);
    mem_free(all);
}

/* Certificates, who waits for them, and the roots that they follow. See leaf.h. */
#include "server/leaf.h"

#include "base/mem.h"
#include "base/random.h"
#include "server/ca_certificate.h"
#include "server/ca_name.h"
#include "server/endpoints.h"
#include "server/server_room.h"

#define RETRY_LEAST SECOND
#define RETRY_MOST MINUTE
#define SHORT_LIFE (10 * MINUTE) /* of a certificate that is renewed as soon as it can be */

/* The roots of one datacenter, as they are now. */
struct roots {
    struct leaves *leaves;
    struct str datacenter;
    struct arena arena; /* of datacenter and the request */
    struct dc_request *request;
    struct call call;
    bool asking, known, gone;
    struct loop_timer retry;
    unsigned failures;
    struct buf trust_domain, signing_key_id;
    struct roots *next;
};

struct leaf {
    struct leaves *leaves;
    struct roots *roots;
    struct str key;
    struct leaf_wish wish; /* in arena */
    struct arena arena;
    struct arena now; /* of cert and authority */
    struct issued_cert cert;
    bool have;
    struct str authority;   /* key id of who signed it */
    struct buf private_key; /* of the request under way */
    struct ca_sign_request request;
    struct arena request_arena;
    struct call call;
    bool asking, gone;
    struct loop_timer renew;
    int64_t used; /* monotonic */
    unsigned failures;
    struct leaf_ask *first; /* who waits */
};

struct leaves {
    struct server *server;
    struct server_thread *thread;
    struct map all; /* struct leaf, by key */
    struct roots *roots;
    struct prng random;
    bool closing;
};

struct leaf_ask {
    struct message message;
    struct server *server;
    struct loop *from;
    struct arena arena; /* of all below */
    struct leaf_wish wish;
    struct str key;
    uint64_t min_index;
    int64_t max_time;
    leaf_done *done; /* NULL: cancelled. The asking thread's */
    void *owner;

    /* On the leaves' thread. */
    struct leaf_ask *next, **previous;
    struct loop_timer timer;
    bool timed;
    struct issued_cert cert;
    bool have, hit;
    struct error error;
};

/* ---- the answer, on the thread that asked ---- */

static void come_back(struct message *m) {
    struct leaf_ask *ask = CONTAINER_OF(m, struct leaf_ask, message);
    if (ask->done != NULL) {
        ask->done(ask->owner, ask->have ? &ask->cert : NULL, ask->hit, &ask->error);
    }
    struct arena arena = ask->arena;
    mem_free(ask);
    arena_free(&arena);
}

void leaf_cancel(struct leaf_ask *ask) {
    ask->done = NULL;
}

static void send_back(struct leaf_ask *ask) {
    ask->error.arena = &ask->arena;
    ask->message.run = come_back;
    loop_post_reply(ask->from, &ask->message);
}

static void timer_closed(struct loop_timer *t) {
    send_back(t->owner);
}

static void ask_end(struct leaf_ask *ask) {
    if (ask->previous != NULL) {
        *ask->previous = ask->next;
        if (ask->next != NULL) {
            ask->next->previous = ask->previous;
        }
        ask->previous = NULL;
    }
    if (ask->timed) {
        loop_timer_close(&ask->timer, timer_closed);
    } else {
        send_back(ask);
    }
}

static void ask_fail(struct leaf_ask *ask, enum error_kind kind, struct str text) {
    error_set(&ask->error, kind, STR_FMT, STR_ARG(text));
    ask_end(ask);
}

static void ask_answer(struct leaf_ask *ask, const struct leaf *l, bool hit) {
    schema_copy(&issued_cert_shape, &ask->cert, &l->cert, &ask->arena);
    ask->have = true;
    ask->hit = hit || (l->wish.ahead && ask->min_index == 0);
    ask_end(ask);
}

/* ---- life ---- */

static void leaf_closed(struct loop_timer *t) {
    struct leaf *l = t->owner;
    buf_free(&l->private_key);
    arena_free(&l->request_arena);
    arena_free(&l->now);
    arena_free(&l->arena);
    mem_free(l);
}

static void leaf_freed(void *owner) {
    struct leaf *l = owner;
    loop_timer_close(&l->renew, leaf_closed);
}

static void leaf_drop(struct leaf *l, enum error_kind kind, struct str text) {
    while (l->first != NULL) {
        ask_fail(l->first, kind, text);
    }
    map_remove(&l->leaves->all, l->key);
    loop_timer_stop(&l->renew);
    l->gone = true;
    if (l->asking) {
        call_cancel(&l->call, leaf_freed);
    } else {
        leaf_freed(l);
    }
}

/* What went wrong before there was a certificate goes to who waits; otherwise the old one stays
 * for a while. */
static void leaf_failed(struct leaf *l, enum error_kind kind, struct str text) {
    if (!l->have) {
        leaf_drop(l, kind, text);
        return;
    }
    int64_t spread = l->wish.spread > 0 ? l->wish.spread : LEAF_SPREAD;
    l->failures++;
    loop_timer_set(&l->renew,
                   RETRY_LEAST + (int64_t)prng_below(&l->leaves->random, (uint64_t)spread));
}

/* ---- asking the authority ---- */

/* When it is to be made anew: at a random moment of its later life. */
static int64_t renewal_wait(struct leaf *l) {
    int64_t from = timestamp_to_unix_ns(l->cert.valid_after);
    int64_t life = timestamp_to_unix_ns(l->cert.valid_before) - from, now = time_now_wall();
    if (life < SHORT_LIFE || now - from > life / 10 * 9) {
        return RETRY_LEAST;
    }
    int64_t at = from + life / 10 * 6 +
                 (int64_t)prng_below(&l->leaves->random, (uint64_t)(life / 10 * 3) + 1);
    return at > now + RETRY_LEAST ? at - now : RETRY_LEAST;
}

static void leaf_keep(struct leaf *l, const struct issued_cert *cert) {
    struct ca_certificate_info info;
    struct error ignored = ERROR_IN(&l->now);
    arena_free(&l->now);
    schema_copy(&issued_cert_shape, &l->cert, cert, &l->now);
    l->cert.private_key_pem = str_copy(&l->now, buf_str(&l->private_key));
    buf_free(&l->private_key);
    l->authority = STR("");
    if (ca_certificate_read(l->cert.cert_pem, &info, &l->now, &ignored)) {
        l->authority = info.authority_key_id;
    }
    l->have = true;
    l->failures = 0;
    loop_timer_set(&l->renew, renewal_wait(l));
    for (struct leaf_ask *ask = l->first, *next; ask != NULL; ask = next) {
        next = ask->next;
        if (l->cert.modify_index > ask->min_index) {
            ask_answer(ask, l, false);
        }
    }
}

static void leaf_signed(struct call *call) {
    struct leaf *l = call->owner;
    struct answer *a = call->answer;
    call->answer = NULL;
    l->asking = false;
    if (error_is_set(&a->error)) {
        leaf_failed(l, a->error.kind, a->error.text);
    } else {
        leaf_keep(l, a->reply);
    }
    answer_release(a);
}

static void leaf_fetch(struct leaf *l) {
    struct arena *arena = &l->request_arena;
    struct error e = ERROR_IN(arena);
    arena_free(arena);
    if (l->roots->trust_domain.len == 0) {
        leaf_failed(l, ERROR_INTERNAL, STR("cluster has no CA bootstrapped yet"));
        return;
    }
    EVP_PKEY *key = ca_key_new(l->wish.key_type, l->wish.key_bits, &e);
    if (key == NULL) {
        leaf_failed(l, e.kind, e.text);
        return;
    }
    buf_clear(&l->private_key);
    buf_add_str(&l->private_key, ca_key_pem(key, arena));
    l->request = (struct ca_sign_request){
        .csr = leaf_csr(&l->wish, buf_str(&l->roots->trust_domain), key, arena),
        .datacenter = l->wish.datacenter,
        .write.token = l->wish.token};
    EVP_PKEY_free(key);
    l->call = (struct call){.endpoint = &endpoint_connect_ca_sign,
                            .arena = arena,
                            .request = &l->request,
                            .done = leaf_signed,
                            .owner = l};
    l->asking = true;
    call_start(l->leaves->server, &l->call);
}

static void leaf_due(struct loop_timer *t) {
    struct leaf *l = t->owner;
    if (l->asking || l->gone) {
        return;
    }
    if (l->first == NULL && time_now_monotonic() - l->used > LEAF_LIFE) {
        leaf_drop(l, ERROR_INTERNAL, STR(""));
    } else {
        leaf_fetch(l);
    }
}

/* ---- roots ---- */

/* A certificate of another signer than the active one is replaced soon, not by all at once. */
static void follow_roots(struct roots *r) {
    void *value;
    for (size_t i = 0; map_next(&r->leaves->all, &i, NULL, &value);) {
        struct leaf *l = value;
        if (l->roots != r || l->asking || !l->have ||
            str_eq(l->authority, buf_str(&r->signing_key_id))) {
            continue;
        }
        int64_t spread = l->wish.spread > 0 ? l->wish.spread : LEAF_SPREAD;
        loop_timer_set(&l->renew, (int64_t)prng_below(&r->leaves->random, (uint64_t)spread + 1));
    }
}

/* Those that wait for roots to begin with; the list changes while they are dropped. */
static struct leaf *next_waiting(struct roots *r) {
    void *value;
    for (size_t i = 0; map_next(&r->leaves->all, &i, NULL, &value);) {
        struct leaf *l = value;
        if (l->roots == r && !l->have && !l->asking) {
            return l;
        }
    }
    return NULL;
}

static void roots_ask(struct roots *r);

static void take_roots(struct roots *r, const struct indexed_ca_roots *in) {
    struct leaf *l;
    buf_clear(&r->signing_key_id);
    buf_clear(&r->trust_domain);
    if (in->active_root_id.len > 0) {
        buf_add_str(&r->trust_domain, in->trust_domain);
    }
    for (uint32_t i = 0; i < in->roots.len; i++) {
        const struct ca_root *root = LIST_AT(in->roots, struct ca_root *, i);
        if (root != NULL && root->active) {
            buf_add_str(&r->signing_key_id, root->signing_key_id);
        }
    }
    r->known = true;
    r->failures = 0;
    while ((l = next_waiting(r)) != NULL) {
        leaf_fetch(l); /* asks, or is dropped */
    }
    if (r->signing_key_id.len > 0) {
        follow_roots(r);
    }
}

static void roots_failed(struct roots *r, const struct error *e) {
    struct leaf *l;
    r->known = false;
    while ((l = next_waiting(r)) != NULL) {
        leaf_drop(l, e->kind, e->text);
    }
    r->failures = r->failures < 6 ? r->failures + 1 : r->failures;
    int64_t pause = (RETRY_LEAST << r->failures) / 2;
    loop_timer_set(&r->retry, pause < RETRY_MOST ? pause : RETRY_MOST);
}

static void roots_came(struct call *call) {
    struct roots *r = call->owner;
    struct answer *a = call->answer;
    call->answer = NULL;
    r->asking = false;
    if (error_is_set(&a->error)) {
        r->request->options.min_query_index = 0;
        roots_failed(r, &a->error);
    } else {
        bool is_new = a->meta.index != r->request->options.min_query_index;
        r->request->options.min_query_index = a->meta.index;
        take_roots(r, a->reply);
        /* What comes back at once with nothing new must not become a storm. */
        loop_timer_set(&r->retry, is_new ? 0 : SECOND);
    }
    answer_release(a);
}

static void roots_ask(struct roots *r) {
    loop_timer_stop(&r->retry);
    r->asking = true;
    r->call = (struct call){.endpoint = &endpoint_connect_ca_roots,
                            .arena = &r->arena,
                            .request = r->request,
                            .done = roots_came,
                            .owner = r};
    call_start(r->leaves->server, &r->call);
}

static void roots_due(struct loop_timer *t) {
    struct roots *r = t->owner;
    if (!r->asking && !r->gone) {
        roots_ask(r);
    }
}

static void roots_closed(struct loop_timer *t) {
    struct roots *r = t->owner;
    buf_free(&r->trust_domain);
    buf_free(&r->signing_key_id);
    arena_free(&r->arena);
    mem_free(r);
}

static void roots_freed(void *owner) {
    struct roots *r = owner;
    loop_timer_close(&r->retry, roots_closed);
}

static struct roots *roots_of(struct leaves *all, struct str datacenter) {
    for (struct roots *r = all->roots; r != NULL; r = r->next) {
        if (str_eq(r->datacenter, datacenter)) {
            return r;
        }
    }
    struct roots *r = MEM_NEW(struct roots);
    r->leaves = all;
    r->datacenter = str_copy(&r->arena, datacenter);
    r->request = ARENA_NEW(&r->arena, struct dc_request);
    r->request->datacenter = r->datacenter;
    r->request->options.max_query_time = LEAF_FETCH_TIME;
    loop_timer_init(all->thread->loop, &r->retry, roots_due, r);
    r->next = all->roots;
    all->roots = r;
    return r;
}

/* ---- asks, on the leaves' thread ---- */

static struct leaves *leaves_of(struct server_thread *t) {
    if (t->leaves == NULL) {
        uint64_t seed;
        random_bytes(&seed, sizeof(seed));
        t->leaves = MEM_NEW(struct leaves);
        t->leaves->server = t->server;
        t->leaves->thread = t;
        prng_seed(&t->leaves->random, seed);
    }
    return t->leaves;
}

static struct leaf *leaf_new(struct leaves *all, const struct leaf_ask *ask) {
    struct leaf *l = MEM_NEW(struct leaf);
    l->leaves = all;
    l->key = str_copy(&l->arena, ask->key);
    leaf_wish_copy(&l->wish, &ask->wish, &l->arena);
    l->roots = roots_of(all, l->wish.datacenter);
    loop_timer_init(all->thread->loop, &l->renew, leaf_due, l);
    map_put(&all->all, l->key, l);
    return l;
}

static void wait_over(struct loop_timer *t) {
    struct leaf_ask *ask = t->owner;
    struct leaves *all = thread_current()->leaves;
    struct leaf *l = map_get(&all->all, ask->key);
    ask_answer(ask, l, false); /* there is one: only then is there a timer */
}

static void ask_wait(struct leaf_ask *ask, struct leaf *l) {
    ask->next = l->first;
    ask->previous = &l->first;
    if (l->first != NULL) {
        l->first->previous = &ask->next;
    }
    l->first = ask;
    if (l->have) {
        int64_t time = ask->max_time;
        ask->timed = true;
        loop_timer_init(l->leaves->thread->loop, &ask->timer, wait_over, ask);
        loop_timer_set(&ask->timer, time > 0 && time < LEAF_FETCH_TIME ? time : LEAF_FETCH_TIME);
    }
}

static void take(struct message *m) {
    struct leaf_ask *ask = CONTAINER_OF(m, struct leaf_ask, message);
    struct server_thread *t = thread_current();
    if (t == NULL || t->closing) {
        ask_fail(ask, ERROR_NO_LEADER, STR("server is shutting down"));
        return;
    }
    struct leaves *all = leaves_of(t);
    struct leaf *l = map_get(&all->all, ask->key);
    if (l == NULL && all->all.count >= LEAVES_MOST) {
        ask_fail(ask, ERROR_INTERNAL, STR("too many certificates are held"));
        return;
    }
    bool is_new = l == NULL;
    l = is_new ? leaf_new(all, ask) : l;
    l->used = time_now_monotonic();
    if (l->have && l->cert.modify_index > ask->min_index) {
        ask_answer(ask, l, true);
        return;
    }
    ask_wait(ask, l);
    if (!is_new) {
        return;
    }
    if (l->roots->known) {
        leaf_fetch(l);
    } else if (!l->roots->asking) {
        roots_ask(l->roots);
    }
}

/* ---- asking ---- */

static void held(struct message *m) {
    struct leaf_ask *ask = CONTAINER_OF(m, struct leaf_ask, message);
    struct server_thread *t = thread_current();
    struct leaves *all = t == NULL || t->closing ? NULL : leaves_of(t);
    struct leaf *l = all != NULL ? map_get(&all->all, ask->key) : NULL;
    if (all != NULL && l == NULL) {
        l = leaf_new(all, ask);
    }
    if (l != NULL && !l->asking) {
        l->used = time_now_monotonic();
        buf_clear(&l->private_key);
        buf_add_str(&l->private_key, ask->cert.private_key_pem);
        leaf_keep(l, &ask->cert);
        if (!l->roots->asking && !l->roots->known) {
            roots_ask(l->roots);
        }
    }
    struct arena arena = ask->arena;
    mem_free(ask);
    arena_free(&arena);
}

void leaf_hold(struct server *server, const struct leaf_wish *wish,
               const struct issued_cert *cert) {
    struct leaf_ask *ask = MEM_NEW(struct leaf_ask);
    leaf_wish_copy(&ask->wish, wish, &ask->arena);
    leaf_wish_complete(&ask->wish, server->options.datacenter);
    ask->key = leaf_wish_key(&ask->wish, &ask->arena);
    schema_copy(&issued_cert_shape, &ask->cert, cert, &ask->arena);
    ask->message.run = held;
    if (!loop_post(server_io(server, 0), &ask->message)) { /* as asks, so that it comes first */
        loop_post_reply(server_io(server, 0), &ask->message);
    }
}

struct leaf_ask *leaf_ask(struct server *server, const struct leaf_wish *wish, uint64_t min_index,
                          int64_t max_time, leaf_done *done, void *owner) {
    struct leaf_ask *ask = MEM_NEW(struct leaf_ask);
    ask->server = server;
    ask->from = loop_current();
    leaf_wish_copy(&ask->wish, wish, &ask->arena);
    leaf_wish_complete(&ask->wish, server->options.datacenter);
    ask->key = leaf_wish_key(&ask->wish, &ask->arena);
    ask->min_index = min_index;
    ask->max_time = max_time;
    ask->done = done;
    ask->owner = owner;
    ask->error = ERROR_IN(&ask->arena);
    ask->message.run = take;
    if (!loop_post(server_io(server, 0), &ask->message)) {
        error_set(&ask->error, ERROR_RATE_LIMIT, "RPC rate limit exceeded");
        send_back(ask);
    }
    return ask;
}

/* ---- the end ---- */

void leaves_close(struct leaves *all) {
    if (all == NULL) {
        return;
    }
    void *value;
    all->closing = true;
    for (size_t i = 0; map_next(&all->all, &i, NULL, &value); i = 0) {
        leaf_drop(value, ERROR_NO_LEADER, STR("server is shutting down"));
    }
    while (all->roots != NULL) {
        struct roots *r = all->roots;
        all->roots = r->next;
        r->gone = true;
        loop_timer_stop(&r->retry);
        if (r->asking) {
            call_cancel(&r->call, roots_freed);
        } else {
            roots_freed(r);
        }
    }
}

void leaves_free(struct leaves *all) {
    if (all == NULL) {
        return;
    }
    map_free(&all->all);
    mem_free(all);
}

/* The life of a call, on the thread that started it: how it begins, is run here, is answered or
 * called off. Where it runs is forward.c's; questions are question.c's; what the core does for a
 * call is propose.c's.
 */
#include "base/mem.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/time.h"
#include "server/near.h"
#include "server/server_room.h"
#include "server/thread.h"

struct query_options *call_options(const struct endpoint *endpoint, const void *request) {
    return endpoint->options < 0
               ? NULL
               : (struct query_options *)((char *)(uintptr_t)request + endpoint->options);
}

static struct query_meta *reply_meta(const struct endpoint *endpoint, struct answer *a) {
    return endpoint->meta < 0 ? NULL : (struct query_meta *)((char *)a->reply + endpoint->meta);
}

/* Which methods leave QM zero but for the index: rpc.md 12.13. */
static void answer_set_leader(const struct server *s, const struct endpoint *endpoint,
                              struct answer *a) {
    if (endpoint->meta < 0 || endpoint->kind == ENDPOINT_CORE || endpoint->kind == ENDPOINT_LOCAL ||
        endpoint->leaderless || a->remote || a->unlooked || error_is_set(&a->error)) {
        return;
    }
    a->meta.known_leader = server_known_leader(s);
    a->meta.last_contact = (int64_t)server_last_contact_ns(s);
    *reply_meta(endpoint, a) = a->meta;
}

/* ---- deliveries ---- */

static void call_observe(const struct call *c, const struct answer *answer) {
    if (c->endpoint->metric != NULL && c->started != 0) {
        metric_since(c->endpoint->metric, c->started);
        if (c->endpoint->metric_too != NULL) {
            metric_since(c->endpoint->metric_too, c->started);
        }
    }
    if (c->endpoint->observe != NULL && !answer->remote && !error_is_set(&answer->error)) {
        c->endpoint->observe(c->request, answer->reply);
    }
}

static void call_act(struct call *c, struct answer *answer);

void call_deliver(struct call *c, struct answer *answer) {
    ASSERT(c->list == NULL && c->deadline_slot == 0);
    bool here = c->forward == NULL && !c->followed; /* read here, for the first time */
    forward_end(c);
    authorization_release(c->who);
    c->who = NULL;
    c->state = CALL_IDLE;
    c->question = NULL;
    c->expired = false;
    if (here && !error_is_set(&answer->error) && answer->as.data != NULL) {
        call_act(c, answer);
        return;
    }
    if (here && c->endpoint->follow != NULL && !error_is_set(&answer->error) &&
        c->endpoint->follow(c, answer)) {
        answer_release(answer); /* the call may be over already */
        return;
    }
    c->answer = answer;
    answer_set_leader(c->server, c->endpoint, answer);
    call_observe(c, answer);
    struct answer *before = c->before;
    c->before = NULL;
    c->done(c); /* the call may be over, and gone */
    answer_release(before);
}

void call_followed(struct call *c, struct answer *answer) {
    ASSERT(c->state == CALL_FOLLOWED);
    c->followed = true;
    call_deliver(c, answer);
}

void call_deliver_error(struct call *c, enum error_kind kind, struct str text) {
    struct answer *a = answer_new(c->endpoint);
    error_set(&a->error, kind, STR_FMT, STR_ARG(text));
    call_deliver(c, a);
}

/* ---- reads ---- */

struct answer *call_evaluate(struct server_thread *t, const struct endpoint *endpoint,
                             const void *request, const struct authorization *who,
                             struct store_read *read) {
    struct answer *a = answer_new(endpoint);
    if (read != NULL) {
        read->arena = &a->arena;
        a->version = read->version;
    }
    struct call_context context = {.server = t->server,
                                   .store = read,
                                   .arena = &a->arena,
                                   .meta = &a->meta,
                                   .reply = a->reply,
                                   .may = authorization_may(who),
                                   .token = who != NULL ? who->token : NULL,
                                   .secret = who != NULL ? who->secret : STR_NONE,
                                   .now_wall = time_now_steady()};
    bool ok = endpoint->read(&context, request, a->reply, &a->error);
    ASSERT(ok == !error_is_set(&a->error));
    a->exact = context.exact;
    a->unlooked = context.unlooked;
    a->as = context.as;
    if (endpoint->kind == ENDPOINT_BLOCKING && a->meta.index == 0 && !a->unlooked) {
        a->meta.index = 1;
    }
    if (endpoint->meta >= 0) {
        *reply_meta(endpoint, a) = a->meta;
    }
    return a;
}

/* Not worth a question: nothing is kept, nothing waits. */
static void read_once(struct server_thread *t, struct call *c) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    struct answer *a;
    if (store_read_begin(t->store, &read, &arena, NULL, &e)) {
        a = call_evaluate(t, c->endpoint, c->request, c->who, &read);
        store_read_end(&read);
    } else {
        a = answer_new(c->endpoint);
        error_copy(&a->error, &e);
    }
    arena_free(&arena);
    call_deliver(c, a);
}

/* rpc.md 7.4 */
static int64_t blocking_deadline(struct server_thread *t, const struct query_options *options) {
    const struct server_options *o = server_options(t->server);
    int64_t timeout = options->max_query_time;
    if (timeout > o->max_query_time) {
        timeout = o->max_query_time;
    }
    if (timeout <= 0) {
        timeout = o->default_query_time;
    }
    struct prng prng;
    prng_seed(&prng, t->jitter);
    t->jitter = prng_next(&prng);
    timeout += (int64_t)prng_below(&prng, (uint64_t)(timeout / 16) + 1);
    return time_now_monotonic() + timeout;
}

static void read_park(struct server_thread *t, struct question *q, struct call *c) {
    question_park(q, c);
    struct query_options *options = call_options(c->endpoint, c->request);
    if (c->endpoint->kind == ENDPOINT_BLOCKING && options->min_query_index > 0) {
        thread_deadline_set(t, c, blocking_deadline(t, options));
    }
}

static void read_blocking(struct server_thread *t, struct call *c, struct question *q, bool current,
                          bool keep) {
    uint64_t min_index = call_options(c->endpoint, c->request)->min_query_index;
    if (current && q->exact && question_stands(q, authorization_may(c->who))) {
        if (q->index <= min_index) {
            read_park(t, q, c);
            if (q->last == NULL) {
                question_set_last(q, q->answer);
            }
            return;
        }
        if (q->answer != NULL) {
            question_used(q);
            call_deliver(c, answer_hold(q->answer));
            return;
        }
    }
    struct answer *a = question_ask(q, c->request, c->who, keep);
    if (!error_is_set(&a->error) && !a->unlooked && a->meta.index <= min_index) {
        read_park(t, q, c);
        question_set_last(q, a);
        answer_release(a);
        return;
    }
    question_release(q);
    call_deliver(c, a);
}

static void read_run(struct server_thread *t, struct call *c) {
    struct query_options *options = call_options(c->endpoint, c->request);
    metric_count("rpc.query", 1);
    bool consistent = options != NULL && options->require_consistent;
    if (c->endpoint->kind == ENDPOINT_READ && !consistent) {
        read_once(t, c);
        return;
    }
    question_key(&t->key, c);
    struct str key = buf_str(&t->key);
    if (consistent) {
        struct question *q = question_get(t, c->endpoint, key);
        read_park(t, q, c);
        question_verify(q);
        return;
    }
    bool current = thread_is_current(t); /* before the question is looked for: may free some */
    struct question *q = question_find(t, key);
    bool keep = q != NULL ? q->answer != NULL : false;
    keep = question_asked_before(t, key) || keep;
    if (q == NULL && options->min_query_index == 0 && !keep) {
        read_once(t, c);
        return;
    }
    if (q == NULL) {
        q = question_get(t, c->endpoint, key);
    }
    read_blocking(t, c, q, current, keep);
}

/* ---- writes, and calls that the core runs ---- */

/* A write goes on as another try. What its request was made to point at stays. */
static void try_over(struct call *c) {
    c->answer->before = c->before;
    c->before = c->answer;
    c->answer = NULL;
}

static void tries_forget(struct call *c) {
    answer_release(c->before);
    c->before = NULL;
}

/* Back on the thread that started it. */
static void sent_back(struct message *m) {
    struct call *c = CONTAINER_OF(m, struct call, message);
    ASSERT(c->state == CALL_SENT);
    buf_free(&c->entry);
    struct answer *a = c->answer;
    if (c->freed != NULL || (c->again && !c->home->closing)) {
        authorization_release(c->who); /* who is told at last is asked anew */
        c->who = NULL;
    }
    if (c->freed != NULL) {
        void (*freed)(void *owner) = c->freed;
        c->freed = NULL;
        c->state = CALL_IDLE;
        c->answer = NULL;
        answer_release(a);
        tries_forget(c);
        freed(c->owner);
        return;
    }
    if (c->again && !c->home->closing) {
        c->again = false;
        c->state = CALL_IDLE;
        try_over(c);
        call_route(c->home, c);
        return;
    }
    call_deliver(c, a);
}

void call_send_back(struct call *c) {
    c->message.run = sent_back;
    loop_post_reply(c->home->loop, &c->message);
}

static void send_to_core(struct call *c, void (*run)(struct message *m)) {
    c->state = CALL_SENT;
    c->message.run = run;
    if (!loop_post(server_core(c->server), &c->message)) {
        struct answer *a = c->answer;
        buf_free(&c->entry);
        error_set(&a->error, ERROR_RATE_LIMIT, "RPC rate limit exceeded");
        call_deliver(c, a);
    }
}

static struct str *call_datacenter(const struct call *c) {
    return (struct str *)((char *)c->request + c->endpoint->datacenter);
}

/* elsewhere: the datacenter where it belongs, when that is another one. */
static bool write_prepare(struct server_thread *t, struct call *c, struct answer *a,
                          struct str *elsewhere) {
    struct call_context context = {.server = c->server,
                                   .arena = &a->arena,
                                   .meta = &a->meta,
                                   .reply = a->reply,
                                   .may = authorization_may(c->who),
                                   .token = c->who != NULL ? c->who->token : NULL,
                                   .found = c->following,
                                   .now_wall = time_now_steady()};
    struct store_read read;
    if (c->endpoint->prepare_reads) {
        if (!store_read_begin(t->store, &read, &a->arena, NULL, &a->error)) {
            return false;
        }
        context.store = &read;
    }
    bool ok = c->endpoint->prepare(&context, c->request, &c->entry, &a->error);
    if (context.store != NULL) {
        store_read_end(&read);
    }
    ASSERT(ok == !error_is_set(&a->error));
    *elsewhere = context.elsewhere;
    return ok;
}

static void write_elsewhere(struct server_thread *t, struct call *c, struct str datacenter) {
    *call_datacenter(c) = str_copy(c->arena, datacenter);
    try_over(c);
    authorization_release(c->who);
    c->who = NULL;
    call_route(t, c);
}

static void write_go_on(struct server_thread *t, struct call *c) {
    struct str elsewhere = STR_NONE;
    bool ok = write_prepare(t, c, c->answer, &elsewhere);
    if (c->endpoint->inquire_end != NULL) {
        c->endpoint->inquire_end(c);
    }
    if (ok && elsewhere.data == NULL) {
        send_to_core(c, server_write_run);
        return;
    }
    buf_free(&c->entry);
    if (ok) {
        write_elsewhere(t, c, elsewhere);
    } else {
        call_deliver(c, c->answer);
    }
}

void call_inquired(struct call *c, const struct error *e) {
    ASSERT(c->state == CALL_INQUIRING);
    struct answer *a = c->answer;
    c->state = CALL_IDLE;
    if (e != NULL && error_is_set(e)) {
        error_copy(&a->error, e);
    } else if (c->home->closing) {
        error_set(&a->error, ERROR_NO_LEADER, "server is shutting down");
    } else {
        write_go_on(c->home, c);
        return;
    }
    c->endpoint->inquire_end(c);
    call_deliver(c, a);
}

static void write_run(struct server_thread *t, struct call *c) {
    struct answer *a = answer_new(c->endpoint);
    c->answer = a;
    buf_clear(&c->entry);
    if (c->endpoint->inquire == NULL) {
        write_go_on(t, c);
        return;
    }
    c->state = CALL_INQUIRING;
    if (!c->endpoint->inquire(c, &a->error)) {
        c->state = CALL_IDLE;
        call_deliver(c, a);
    }
}

static void core_run(struct call *c) {
    c->answer = answer_new(c->endpoint);
    send_to_core(c, server_core_call_run);
}

/* ---- whose it is ---- */

static struct str call_token(const struct call *c) {
    return *(const struct str *)((const char *)c->request + c->endpoint->token);
}

static void run_authorized(struct server_thread *t, struct call *c);

/* The bearer may nothing; why: what is told him then. */
static void read_denied(struct server_thread *t, struct call *c, const struct error *why) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    struct answer *a;
    c->who = authorization_new(authorizer_deny_all(), STR(""), NULL);
    if (store_read_begin(t->store, &read, &arena, NULL, &e)) {
        a = call_evaluate(t, c->endpoint, c->request, c->who, &read);
        store_read_end(&read);
        if (a->error.kind == ERROR_DENIED) {
            error_clear(&a->error);
            error_copy(&a->error, why);
        }
    } else {
        a = answer_new(c->endpoint);
        error_copy(&a->error, &e);
    }
    arena_free(&arena);
    call_deliver(c, a);
}

static void call_authorized(struct authorize *a) {
    struct call *c = CONTAINER_OF(a, struct call, authorize);
    c->state = CALL_IDLE;
    c->who = a->result;
    if (error_is_set(&a->error) && c->endpoint->token_last) {
        read_denied(a->thread, c, &a->error);
    } else if (error_is_set(&a->error)) {
        call_deliver_error(c, a->error.kind, a->error.text);
    } else {
        run_authorized(a->thread, c);
    }
}

static void call_authorize(struct call *c) {
    c->authorize = (struct authorize){
        .secret = call_token(c), .done = call_authorized, .error = ERROR_IN(c->arena)};
    c->state = CALL_AUTHORIZED;
    if (authorize_start(&c->authorize)) {
        call_authorized(&c->authorize);
    }
}

/* ---- reads with another's rights ---- */

static void call_acting(struct authorize *a) {
    struct call *c = CONTAINER_OF(a, struct call, authorize);
    c->state = CALL_IDLE;
    c->who = a->result;
    if (error_is_set(&a->error)) {
        call_deliver_error(c, a->error.kind, a->error.text);
    } else {
        read_once(a->thread, c);
    }
}

/* The answer, which is released, names whose rights are wanted. */
static void call_act(struct call *c, struct answer *answer) {
    c->authorize = (struct authorize){
        .secret = str_copy(c->arena, answer->as), .done = call_acting, .error = ERROR_IN(c->arena)};
    answer_release(answer);
    c->state = CALL_AUTHORIZED;
    if (authorize_start(&c->authorize)) {
        call_acting(&c->authorize);
    }
}

/* ---- where it begins ---- */

static void run_authorized(struct server_thread *t, struct call *c) {
    switch (c->endpoint->kind) {
    case ENDPOINT_READ:
    case ENDPOINT_BLOCKING:
        read_run(t, c);
        return;
    case ENDPOINT_WRITE:
        write_run(t, c);
        return;
    case ENDPOINT_CORE:
        core_run(c);
        return;
    case ENDPOINT_LOCAL:
        if (c->endpoint->core != NULL || c->endpoint->begin != NULL) {
            core_run(c);
        } else {
            call_deliver(c, call_evaluate(t, c->endpoint, c->request, c->who, NULL));
        }
        return;
    }
}

static bool call_check_filter(struct call *c) {
    const struct endpoint *endpoint = c->endpoint;
    if (endpoint->filtered == NULL)
        return true;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    const struct query_options *options =
        (const void *)((const char *)c->request + endpoint->options);
    bool ok = filter_check(options->filter, endpoint->filtered, &e);
    if (!ok)
        call_deliver_error(c, e.kind, e.text);
    arena_free(&arena);
    return ok;
}

void call_run(struct server_thread *t, struct call *c) {
    c->started = c->endpoint->metric != NULL ? time_now_monotonic() : 0;
    if (!call_check_filter(c)) {
        return;
    }
    if (c->endpoint->token < 0 || !t->server->options.acl.enabled ||
        (c->endpoint->tokenless != NULL && c->endpoint->tokenless(c->request))) {
        run_authorized(t, c);
    } else {
        call_authorize(c);
    }
}

/* What is refused before the call is routed; a client agent leaves that to the server. */
static bool call_check(struct call *c) {
    const struct endpoint *endpoint = c->endpoint;
    if ((endpoint->check == NULL && endpoint->place == NULL) || c->server->options.client) {
        return true;
    }
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    bool ok = (endpoint->check == NULL || endpoint->check(c->request, &e)) &&
              (endpoint->place == NULL || endpoint->place(c, call_datacenter(c), &e));
    if (!ok) {
        call_deliver_error(c, e.kind, e.text);
    }
    arena_free(&arena);
    return ok;
}

/* False: it was answered already. */
static bool call_begin(struct server *server, struct call *c) {
    ASSERT(c->state == CALL_IDLE && c->list == NULL && c->forward == NULL);
    struct server_thread *t = thread_current();
    c->server = server;
    c->home = t;
    c->answer = NULL;
    c->freed = NULL;
    c->expired = c->again = c->followed = false;
    c->who = NULL;
    c->before = NULL;
    c->started = c->held_since = 0;
    if (t == NULL || t->closing) { /* NULL: answers that came after the end of the loops */
        call_deliver_error(c, ERROR_NO_LEADER, STR("server is shutting down"));
        return false;
    }
    return true;
}

void call_start(struct server *server, struct call *c) {
    if (!call_begin(server, c)) {
        return;
    }
    if (!c->remote) {
        metric_count("client.rpc", 1);
        /* A client agent counts each try: forward.c. */
        if (!server->options.client && !rpc_rate_allow(&server->rate)) {
            metric_count("client.rpc.exceeded", 1);
            call_deliver_error(c, ERROR_RATE_LIMIT, STR("RPC rate limit exceeded"));
            return;
        }
    }
    if (call_check(c)) {
        call_route(c->home, c);
    }
}

void call_start_at(struct server *server, struct call *c, struct str address) {
    if (call_begin(server, c)) {
        call_route_at(c->home, c, NULL, address);
    }
}

void call_start_at_peer(struct server *server, struct call *c, const struct peer *peer) {
    if (call_begin(server, c)) {
        call_route_at(c->home, c, peer, peer->address);
    }
}

void call_cancel(struct call *c, void (*freed)(void *owner)) {
    switch (c->state) {
    case CALL_SENT:
        ASSERT(freed != NULL);
        c->freed = freed;
        return;
    case CALL_READY:
        call_list_remove(c);
        answer_release(c->answer);
        c->answer = NULL;
        break;
    case CALL_PARKED: {
        struct question *q = c->question;
        call_list_remove(c);
        thread_deadline_clear(c->home, c);
        c->question = NULL;
        question_release(q);
        break;
    }
    case CALL_HELD:
        call_list_remove(c);
        thread_deadline_clear(c->home, c);
        break;
    case CALL_FOLLOWED:
        c->endpoint->unfollow(c);
        break;
    case CALL_AUTHORIZED:
        authorize_cancel(&c->authorize);
        break;
    case CALL_INQUIRING:
        c->endpoint->inquire_end(c);
        answer_release(c->answer);
        c->answer = NULL;
        break;
    default:
        break;
    }
    forward_end(c);
    tries_forget(c);
    authorization_release(c->who);
    c->who = NULL;
    c->state = CALL_IDLE;
    if (freed != NULL) {
        freed(c->owner);
    }
}

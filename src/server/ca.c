/* The thread that the authority's works run on, and how it reaches the log. See ca.h. */
#include "server/ca.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/time.h"
#include "server/ca_room.h"
#include "server/endpoints.h"
#include "server/server_room.h"

#define RETRY (5 * SECOND)  /* of a beginning that failed */
#define FOLLOW_RETRY MINUTE /* of a secondary that could not follow */
#define WATCH_RETRY (10 * SECOND)
#define PRUNE_PERIOD HOUR  /* connect.md 3.7 */
#define RENEW_LEAST SECOND /* between renewals of a lease, however short it is */
#define RENEW_PAUSE_MOST (30 * SECOND)
#define SIGN_WAIT (SECOND / 2) /* of a CSR for its turn */

struct ca {
    struct server *server;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows, up to the core's */
    pthread_cond_t news;
    bool started, closing;
    bool leading, ready;
    unsigned turn; /* changes with leading */
    struct ca_work *first, *last;
    unsigned waiting;
    int64_t begin_at, prune_at; /* monotonic; of a secondary, begin_at is when to follow */
    int64_t renew_at;           /* the provider's lease; INT64_MAX: it has none */
    int64_t lease;
    int64_t renew_pause;             /* after one that failed; 0: the last one did not */
    atomic_bool stopping;            /* what is under way is wanted no more */
    struct indexed_ca_roots primary; /* a secondary's: in its arena */
    struct arena primary_arena;
    bool primary_known;

    /* The core's. */
    int64_t next_csr;  /* when the next may be signed, monotonic */
    struct call watch; /* of the primary's roots */
    struct dc_request watch_request;
    struct arena watch_arena;
    struct loop_timer watch_timer;
    bool watching, watch_wanted, has_timer;
    struct remote *remote; /* a call of the thread's that is under way */
};

bool ca_is_primary(const struct ca *ca) {
    const struct server_options *o = &ca->server->options;
    return str_eq(o->acl.primary_datacenter, o->datacenter);
}

struct server *ca_server(struct ca *ca) {
    return ca->server;
}

const atomic_bool *ca_stopping(const struct ca *ca) {
    return &ca->stopping;
}

bool ca_check_enabled(const struct server *s, struct error *e) {
    return s->options.ca.enabled ||
           error_set(e, ERROR_INTERNAL, "Connect must be enabled in order to use this endpoint");
}

/* ---- the log ---- */

struct proposal {
    struct message message;
    struct raft_proposal raft;
    struct ca *ca;
    struct ca_outcome outcome;
    struct error *error;
    bool over;
};

static void proposal_over(struct proposal *p) {
    pthread_mutex_lock(&p->ca->mutex);
    p->over = true;
    pthread_cond_broadcast(&p->ca->news);
    pthread_mutex_unlock(&p->ca->mutex);
}

static void applied(struct raft_proposal *raft, const struct raft_outcome *outcome) {
    struct proposal *p = CONTAINER_OF(raft, struct proposal, raft);
    const struct store_result *result = outcome->result;
    server_publish(p->ca->server, NULL);
    p->outcome.index = outcome->index;
    if (error_is_set(&outcome->error)) {
        error_copy(p->error, &outcome->error);
    } else if (result->kind == STORE_RESULT_ERROR) {
        error_copy(p->error, &result->error);
    } else if (result->kind == STORE_RESULT_U64) {
        p->outcome.number = result->number;
    } else {
        p->outcome.refused = result->kind == STORE_RESULT_BOOL && !result->boolean;
    }
    proposal_over(p);
}

static void propose_on_core(struct message *m) {
    struct proposal *p = CONTAINER_OF(m, struct proposal, message);
    if (atomic_load(&p->ca->server->stopping)) {
        buf_free(&p->raft.entry);
        error_set(p->error, ERROR_NO_LEADER, "server is shutting down");
        proposal_over(p);
        return;
    }
    raft_driver_propose(p->ca->server->driver, &p->raft);
}

bool ca_propose(struct ca *ca, enum entry_type type, const struct shape *shape, const void *request,
                struct ca_outcome *out, struct error *e) {
    struct proposal p = {.ca = ca, .error = e};
    buf_add_char(&p.raft.entry, (char)type);
    schema_encode(&p.raft.entry, shape, request);
    p.raft.done = applied;
    p.message.run = propose_on_core;
    loop_post_reply(&ca->server->core, &p.message);
    pthread_mutex_lock(&ca->mutex);
    while (!p.over) {
        pthread_cond_wait(&ca->news, &ca->mutex);
    }
    pthread_mutex_unlock(&ca->mutex);
    if (out != NULL) {
        *out = p.outcome;
    }
    return !error_is_set(e);
}

bool ca_change(struct ca *ca, struct ca_request *request, struct ca_outcome *out, struct error *e) {
    request->datacenter = ca->server->options.datacenter;
    return ca_propose(ca, ENTRY_CONNECT_CA, &ca_request_shape, request, out, e);
}

/* ---- the store ---- */

bool ca_read(struct ca *ca, struct ca_state *out, struct arena *arena, struct error *e) {
    struct store_read read;
    *out = (struct ca_state){0};
    if (!store_read_begin(ca->server->store, &read, arena, NULL, e)) {
        return false;
    }
    ca_config_get(&read, &out->config);
    ca_root_list(&read, &out->roots);
    out->roots_index = store_index(&read, STR("connect-ca-roots"));
    store_read_end(&read);
    for (uint32_t i = 0; i < out->roots.len; i++) {
        struct ca_root *root = LIST_AT(out->roots, struct ca_root *, i);
        out->active = root->active ? root : out->active;
    }
    return true;
}

/* ---- calls ---- */

struct remote {
    struct message message;
    struct ca *ca;
    struct call call;
    struct answer *answer;
    bool over; /* under the mutex */
};

static void remote_over(struct remote *r, struct answer *a) {
    pthread_mutex_lock(&r->ca->mutex);
    r->answer = a;
    r->over = true;
    pthread_cond_broadcast(&r->ca->news);
    pthread_mutex_unlock(&r->ca->mutex);
}

static void remote_answered(struct call *call) {
    struct remote *r = call->owner;
    struct answer *a = call->answer;
    call->answer = NULL;
    r->ca->remote = NULL;
    remote_over(r, a);
}

static void remote_on_core(struct message *m) {
    struct remote *r = CONTAINER_OF(m, struct remote, message);
    if (atomic_load(&r->ca->server->stopping)) {
        remote_over(r, NULL);
        return;
    }
    r->ca->remote = r;
    call_start(r->ca->server, &r->call);
}

struct answer *ca_call(struct ca *ca, const struct endpoint *endpoint, void *request,
                       struct arena *arena) {
    struct remote *r = ARENA_NEW(arena, struct remote);
    r->ca = ca;
    r->call = (struct call){.endpoint = endpoint,
                            .arena = arena,
                            .request = request,
                            .done = remote_answered,
                            .owner = r};
    r->message.run = remote_on_core;
    loop_post_reply(&ca->server->core, &r->message);
    pthread_mutex_lock(&ca->mutex);
    while (!r->over) {
        pthread_cond_wait(&ca->news, &ca->mutex);
    }
    pthread_mutex_unlock(&ca->mutex);
    return r->answer;
}

static void remote_called_off(void *owner) {
    remote_over(owner, NULL);
}

bool ca_primary_roots(struct ca *ca, struct indexed_ca_roots *out, struct arena *arena) {
    pthread_mutex_lock(&ca->mutex);
    bool known = ca->primary_known;
    if (known) {
        schema_copy(&indexed_ca_roots_shape, out, &ca->primary, arena);
    }
    pthread_mutex_unlock(&ca->mutex);
    return known;
}

/* ---- a secondary's watch of the primary's roots, on the core ---- */

static void watch_start(struct ca *ca);

static void watch_took(struct ca *ca, const struct indexed_ca_roots *roots) {
    pthread_mutex_lock(&ca->mutex);
    arena_free(&ca->primary_arena);
    schema_copy(&indexed_ca_roots_shape, &ca->primary, roots, &ca->primary_arena);
    ca->primary_known = roots->active_root_id.len > 0;
    ca->begin_at = 0;
    pthread_cond_broadcast(&ca->news);
    pthread_mutex_unlock(&ca->mutex);
}

static void watch_came(struct call *call) {
    struct ca *ca = call->owner;
    struct answer *a = call->answer;
    uint64_t *index = &ca->watch_request.options.min_query_index;
    int64_t wait = 0;
    call->answer = NULL;
    ca->watching = false;
    if (error_is_set(&a->error)) {
        log_at(LOG_ERROR, CA_LOGGER, "CA root replication failed, will retry",
               LOG_C("routine", "secondary CA roots watch"), LOG_S("error", a->error.text));
        *index = 0;
        wait = WATCH_RETRY;
    } else if (*index != a->meta.index) {
        *index = a->meta.index;
        watch_took(ca, a->reply);
    } else {
        wait = SECOND;
    }
    answer_release(a);
    loop_timer_set(&ca->watch_timer, wait);
}

static void watch_start(struct ca *ca) {
    if (!ca->watch_wanted || ca->watching) {
        return;
    }
    ca->watching = true;
    ca->watch_request.datacenter = ca->server->options.acl.primary_datacenter;
    ca->watch_request.options.max_query_time = ca->server->options.max_query_time;
    ca->watch = (struct call){.endpoint = &endpoint_connect_ca_roots,
                              .arena = &ca->watch_arena,
                              .request = &ca->watch_request,
                              .done = watch_came,
                              .owner = ca};
    call_start(ca->server, &ca->watch);
}

static void watch_due(struct loop_timer *t) {
    watch_start(t->owner);
}

static void watch_freed(void *owner) {
    (void)owner; /* the CA outlives the core */
}

static void watch_enable(struct ca *ca, bool on) {
    if (!ca->has_timer) {
        loop_timer_init(&ca->server->core, &ca->watch_timer, watch_due, ca);
        ca->has_timer = true;
    }
    ca->watch_wanted = on;
    loop_timer_stop(&ca->watch_timer);
    if (!on && ca->watching) {
        ca->watching = false;
        call_cancel(&ca->watch, watch_freed);
    }
    ca->watch_request.options.min_query_index = 0;
    if (on) {
        loop_timer_set(&ca->watch_timer, 0);
    }
}

void ca_close(struct ca *ca) {
    atomic_store(&ca->stopping, true);
    if (ca->has_timer) {
        watch_enable(ca, false);
        loop_timer_close(&ca->watch_timer, NULL);
        ca->has_timer = false;
    }
    if (ca->remote != NULL) {
        struct remote *r = ca->remote;
        ca->remote = NULL;
        call_cancel(&r->call, remote_called_off);
    }
}

/* ---- the thread ---- */

/* Under the mutex, before a work. */
static void begin_work(struct ca *ca) {
    atomic_store(&ca->stopping, ca->closing || !ca->leading || atomic_load(&ca->server->stopping));
}

void ca_use(struct ca *ca, const struct ca_provider *p) {
    pthread_mutex_lock(&ca->mutex);
    ca->renew_at = p->lease > 0 ? 0 : INT64_MAX;
    ca->lease = p->lease;
    ca->renew_pause = 0;
    pthread_mutex_unlock(&ca->mutex);
}

static void run_initialise(struct ca *ca) {
    unsigned turn = ca->turn;
    begin_work(ca);
    bool primary = ca_is_primary(ca), was_ready = ca->ready;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    ca->begin_at = INT64_MAX; /* news that come meanwhile set it anew */
    pthread_mutex_unlock(&ca->mutex);
    bool ok = primary ? ca_initialise(ca, &arena, &e) : ca_follow(ca, NULL, &arena, &e);
    if (!ok && !atomic_load(&ca->server->stopping)) {
        log_at(LOG_ERROR, CA_LOGGER, "failed to initialize the CA", LOG_S("error", e.text));
    }
    arena_free(&arena);
    pthread_mutex_lock(&ca->mutex);
    int64_t again = ok ? PRUNE_PERIOD : primary ? RETRY : FOLLOW_RETRY;
    again += time_now_monotonic();
    ca->begin_at = ca->begin_at < again ? ca->begin_at : again;
    if (!was_ready || turn != ca->turn) {
        ca->prune_at = time_now_monotonic() + PRUNE_PERIOD;
    }
    ca->ready = turn == ca->turn && (ok || was_ready);
}

static void run_prune(struct ca *ca) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    ca->prune_at = time_now_monotonic() + PRUNE_PERIOD;
    begin_work(ca);
    pthread_mutex_unlock(&ca->mutex);
    if (!ca_prune(ca, &arena, &e)) {
        log_at(LOG_ERROR, CA_LOGGER, "error pruning CA roots", LOG_S("error", e.text));
    }
    error_clear(&e);
    if (ca_is_primary(ca) && !ca_renew_intermediate(ca, &arena, &e)) {
        log_at(LOG_ERROR, CA_LOGGER, "error renewing intermediate certs", LOG_S("error", e.text));
    }
    arena_free(&arena);
    pthread_mutex_lock(&ca->mutex);
}

/* One that failed is tried again soon, at first. */
static void run_renew(struct ca *ca) {
    int64_t lease = ca->lease;
    begin_work(ca);
    ca->renew_at = INT64_MAX;
    pthread_mutex_unlock(&ca->mutex);
    bool ok = ca_provider_renew(ca, &lease);
    pthread_mutex_lock(&ca->mutex);
    int64_t pause = ca->renew_pause == 0 ? SECOND : 2 * ca->renew_pause;
    ca->renew_pause = ok ? 0 : pause < RENEW_PAUSE_MOST ? pause : RENEW_PAUSE_MOST;
    int64_t wait = lease / 3 * 2; /* as the peer does, about */
    wait = !ok ? ca->renew_pause : wait > RENEW_LEAST ? wait : RENEW_LEAST;
    ca->renew_at = time_now_monotonic() + wait;
}

static struct ca_work *take(struct ca *ca) {
    struct ca_work *w = ca->first;
    ca->first = w->next;
    ca->last = ca->first != NULL ? ca->last : NULL;
    ca->waiting--;
    return w;
}

/* What keeps a work from being done. */
static void judge(const struct ca *ca, const struct ca_work *w, struct error *e) {
    if (ca->closing) {
        error_set(e, ERROR_NO_LEADER, "server is shutting down");
    } else if (!ca->leading) {
        error_set(e, ERROR_NO_LEADER, "No cluster leader");
    } else if (!ca->ready) {
        error_set(e, ERROR_INTERNAL, "internal error: CA provider is nil");
    } else if (w->not_after != 0 && time_now_monotonic() > w->not_after) {
        error_set(e, ERROR_INTERNAL, CA_RATE_LIMITED);
    }
}

static void run_work(struct ca *ca) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct ca_work *w = take(ca);
    judge(ca, w, &e);
    begin_work(ca);
    pthread_mutex_unlock(&ca->mutex);
    w->run(ca, w, &e);
    arena_free(&arena);
    pthread_mutex_lock(&ca->mutex);
}

/* When there is something to do next; 0: now. */
static int64_t next_time(const struct ca *ca, int64_t now) {
    int64_t at = now + HOUR;
    if (ca->first != NULL && (!ca->leading || ca->ready || ca->begin_at > now)) {
        at = ca->leading ? ca->first->not_before : 0;
    }
    if (ca->leading) {
        int64_t own = ca->ready ? ca->prune_at : ca->begin_at;
        own = ca->ready && ca->renew_at < own ? ca->renew_at : own;
        own = !ca_is_primary(ca) && ca->begin_at < own ? ca->begin_at : own;
        at = own < at ? own : at;
    }
    return at <= now ? 0 : at;
}

static void wait_until(struct ca *ca, int64_t at) {
    struct timespec until = {.tv_sec = (time_t)(at / SECOND), .tv_nsec = (long)(at % SECOND)};
    pthread_cond_timedwait(&ca->news, &ca->mutex, &until);
}

static void *work(void *arg) {
    struct ca *ca = arg;
    pthread_mutex_lock(&ca->mutex);
    while (!ca->closing) {
        int64_t now = time_now_monotonic(), at = next_time(ca, now);
        if (at > 0) {
            wait_until(ca, at);
        } else if (ca->leading && (!ca->ready || !ca_is_primary(ca)) && ca->begin_at <= now) {
            run_initialise(ca);
        } else if (ca->leading && ca->ready && ca->renew_at <= now) {
            run_renew(ca);
        } else if (ca->leading && ca->ready && ca->prune_at <= now) {
            run_prune(ca);
        } else {
            run_work(ca);
        }
    }
    while (ca->first != NULL) {
        run_work(ca);
    }
    pthread_mutex_unlock(&ca->mutex);
    return NULL;
}

void ca_do(struct ca *ca, struct ca_work *w) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    pthread_mutex_lock(&ca->mutex);
    if (!ca->started || ca->closing) {
        error_set(&e, ERROR_NO_LEADER, "No cluster leader");
    } else if (ca->waiting >= CA_WAITING_MAX) {
        error_set(&e, ERROR_INTERNAL, CA_RATE_LIMITED);
    } else {
        w->next = NULL;
        *(ca->last != NULL ? &ca->last->next : &ca->first) = w;
        ca->last = w;
        ca->waiting++;
        pthread_cond_broadcast(&ca->news);
    }
    pthread_mutex_unlock(&ca->mutex);
    if (error_is_set(&e)) {
        w->run(ca, w, &e);
    }
    arena_free(&arena);
}

/* ---- limits ---- */

static bool limited(struct error *e) {
    return error_set(e, ERROR_INTERNAL, CA_RATE_LIMITED);
}

bool ca_admit(struct ca *ca, const struct ca_settings *settings, struct ca_work *w,
              struct error *e) {
    int64_t now = time_now_monotonic();
    double rate = settings->csr_max_per_second;
    w->not_before = w->not_after = 0;
    if (rate <= 0) { /* works are one after the other: never more at once than any limit */
        w->not_after = settings->csr_max_concurrent > 0 ? now + SIGN_WAIT : 0;
        return true;
    }
    int64_t turn = ca->next_csr > now ? ca->next_csr : now;
    if (turn - now > SIGN_WAIT) {
        return limited(e);
    }
    double pause = (double)SECOND / rate;
    ca->next_csr = turn + (pause < (double)HOUR ? (int64_t)pause : HOUR);
    w->not_before = turn;
    return true;
}

/* ---- life ---- */

struct ca *ca_new(struct server *s) {
    struct ca *ca = MEM_NEW(struct ca);
    pthread_condattr_t attributes;
    ca->server = s;
    ca->renew_at = INT64_MAX;
    pthread_mutex_init(&ca->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&ca->news, &attributes);
    pthread_condattr_destroy(&attributes);
    return ca;
}

static void start_thread(struct ca *ca) {
    sigset_t before;
    signals_block(&before);
    ca->started = pthread_create(&ca->thread, NULL, work, ca) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ca->started) {
        pthread_setname_np(ca->thread, "ca");
    } else {
        log_at(LOG_ERROR, CA_LOGGER, "failed to start the thread of the CA");
    }
}

void ca_enable(struct ca *ca, bool leading) {
    if (!ca->server->options.ca.enabled) {
        return;
    }
    if (!ca_is_primary(ca)) {
        watch_enable(ca, leading);
    }
    pthread_mutex_lock(&ca->mutex);
    if (leading && !ca->started && !ca->closing) {
        start_thread(ca);
    }
    ca->turn++;
    ca->leading = leading;
    atomic_store(&ca->stopping, true); /* what is under way was asked in another turn */
    ca->renew_at = INT64_MAX;
    ca->ready = false;
    ca->begin_at = ca_is_primary(ca) ? 0 : INT64_MAX; /* a secondary: once it has news */
    pthread_cond_broadcast(&ca->news);
    pthread_mutex_unlock(&ca->mutex);
}

void ca_stop(struct ca *ca) {
    pthread_mutex_lock(&ca->mutex);
    bool join = ca->started && !ca->closing;
    ca->closing = true;
    atomic_store(&ca->stopping, true);
    pthread_cond_broadcast(&ca->news);
    pthread_mutex_unlock(&ca->mutex);
    if (join) {
        pthread_join(ca->thread, NULL);
    }
}

void ca_free(struct ca *ca) {
    if (ca == NULL) {
        return;
    }
    pthread_mutex_destroy(&ca->mutex);
    pthread_cond_destroy(&ca->news);
    arena_free(&ca->primary_arena);
    arena_free(&ca->watch_arena);
    mem_free(ca);
}

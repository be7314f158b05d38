/* Streams of aggregated discovery: joins what ads.c decides with who sends, who knows proxies and
 * who knows tokens.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/authorize.h"
#include "xds/ads.h"
#include "xds/services.h"

#define SERVICE "envoy.service.discovery.v2.AggregatedDiscoveryService"

struct stream_state {
    struct grpc_call *call; /* NULL: it is over */
    struct xds_services *services;
    struct ads ads;
    struct proxy_watch *watch; /* NULL: nobody has said yet whose snapshots are wanted */
    struct loop_timer timer;
    struct authorize authorize;
    struct arena authorize_arena; /* of its error */
    bool authorizing, pumping;
};

static void pump(struct stream_state *s);

/* ---- rights ---- */

static void take_answer(struct stream_state *s) {
    const struct authorize *a = &s->authorize;
    bool may = !error_is_set(&a->error) && authorizer_may(authorization_may(a->result), ACL_SERVICE,
                                                          ACL_WRITE, xds_service(s->ads.snapshot));
    ads_authorized(&s->ads, error_is_set(&a->error) ? &a->error : NULL, may);
    authorization_release(a->result);
}

static void authorized(struct authorize *a) {
    struct stream_state *s = a->owner;
    s->authorizing = false;
    take_answer(s);
    pump(s);
}

/* False: the answer comes later. */
static bool ask(struct stream_state *s) {
    arena_reset(&s->authorize_arena, 1024);
    s->authorize = (struct authorize){.secret = s->ads.token,
                                      .agent = true,
                                      .done = authorized,
                                      .owner = s,
                                      .error = ERROR_IN(&s->authorize_arena)};
    if (!authorize_start(&s->authorize)) {
        s->authorizing = true;
        return false;
    }
    take_answer(s);
    return true;
}

/* ---- what is to be done ---- */

static void log_warnings(const struct stream_state *s, const struct trees *warnings) {
    for (size_t i = 0; i < warnings->len; i++) {
        struct arena arena = ARENA_INIT;
        log_at(LOG_WARN, "agent.envoy", str_terminated(&arena, warnings->items[i].string),
               LOG_S("proxy", s->ads.proxy_id));
        arena_free(&arena);
    }
}

static void end(struct stream_state *s) {
    struct arena arena = ARENA_INIT;
    log_at(LOG_DEBUG, "agent.envoy", "Error handling ADS stream",
           LOG_S("error", str_format(&arena, "rpc error: code = %s desc = " STR_FMT,
                                     grpc_status_name(s->ads.code), STR_ARG(s->ads.text))));
    arena_free(&arena);
    grpc_end(s->call, s->ads.code, s->ads.text);
}

/* False: nothing more can be done now. */
static bool step(struct stream_state *s) {
    struct arena arena = ARENA_INIT;
    struct trees warnings;
    struct buf out = BUF_INIT;
    bool more = true;
    enum ads_action action = ads_next(&s->ads, grpc_may_send(s->call), &out, &warnings, &arena);
    log_warnings(s, &warnings);
    arena_free(&arena);
    if (action == ADS_AUTHORIZE)
        more = ask(s);
    else if (action == ADS_SEND)
        grpc_send(s->call, &out);
    else
        more = false;
    if (action == ADS_END)
        end(s);
    buf_free(&out);
    return more;
}

/* What is sent may come back here as `writable`, and be the end of the call. */
static void pump(struct stream_state *s) {
    if (s->pumping)
        return;
    s->pumping = true;
    while (s->call != NULL && step(s))
        continue;
    s->pumping = false;
}

/* ---- what comes ---- */

static void snapshot_came(void *owner, struct proxy_snapshot *snapshot) {
    struct stream_state *s = owner;
    if (snapshot == NULL)
        return;
    ads_snapshot(&s->ads, snapshot);
    pump(s);
}

static void time_to_check(struct loop_timer *t) {
    struct stream_state *s = t->owner;
    ads_check_again(&s->ads);
    loop_timer_set(t, ADS_CHECK_INTERVAL);
    pump(s);
}

static void begin(struct grpc_call *c) {
    struct stream_state *s = MEM_NEW(struct stream_state);
    s->call = c;
    s->services = c->owner;
    ads_init(&s->ads, buf_str(&c->token));
    loop_timer_init(c->loop, &s->timer, time_to_check, s);
    loop_timer_set(&s->timer, ADS_CHECK_INTERVAL);
    c->state = s;
}

static void message(struct grpc_call *c, struct str bytes) {
    struct stream_state *s = c->state;
    ads_request(&s->ads, bytes);
    if (s->watch == NULL && s->ads.has_node && !s->ads.ended)
        s->watch = proxy_watch_begin(s->services->proxies, s->ads.proxy_id, snapshot_came, s);
    pump(s);
}

/* Envoy has ended its half: there is nothing more to be asked. */
static void half_closed(struct grpc_call *c) {
    grpc_end(c, GRPC_OK, STR(""));
}

static void writable(struct grpc_call *c) {
    pump(c->state);
}

static void freed(struct loop_timer *t) {
    struct stream_state *s = t->owner;
    ads_free(&s->ads);
    arena_free(&s->authorize_arena);
    mem_free(s);
}

static void closed(struct grpc_call *c) {
    struct stream_state *s = c->state;
    s->call = NULL;
    if (s->watch != NULL)
        proxy_watch_end(s->watch);
    if (s->authorizing)
        authorize_cancel(&s->authorize);
    loop_timer_close(&s->timer, freed);
}

const struct grpc_method xds_method_stream = {
    .service = SERVICE,
    .name = "StreamAggregatedResources",
    .begin = begin,
    .message = message,
    .half_closed = half_closed,
    .writable = writable,
    .closed = closed,
};

/* ---- the other method ---- */

static void delta_begin(struct grpc_call *c) {
    grpc_end(c, GRPC_UNKNOWN, STR("not implemented"));
}

static void delta_message(struct grpc_call *c, struct str bytes) {
    (void)c, (void)bytes;
}

static void delta_nothing(struct grpc_call *c) {
    (void)c;
}

const struct grpc_method xds_method_delta = {
    .service = SERVICE,
    .name = "DeltaAggregatedResources",
    .begin = delta_begin,
    .message = delta_message,
    .half_closed = delta_nothing,
    .writable = delta_nothing,
    .closed = delta_nothing,
};

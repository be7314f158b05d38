/* Reports of the agent's own coordinate. See coordinates.h. */
#include "agent/coordinates.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "server/agent_tokens.h"
#include "server/authorize.h"
#include "server/endpoints.h"
#include "server/membership.h"

#define LOGGER "agent"

struct coordinates {
    struct server *server;
    const struct config *config;
    struct loop_timer timer;
    struct prng random;
    bool stopped, calling, asking;
    struct arena arena; /* of the call */
    struct coordinate_update_request request;
    struct coord coord;
    struct call call;
    struct authorize whose; /* it was refused: who that was, for the log */
};

static const struct gossip *lan(const struct coordinates *c) {
    struct gossip_driver *d = membership_pool(server_membership(c->server), MEMBERSHIP_LAN);
    return gossip_driver_core(d);
}

static void wait(struct coordinates *c) {
    int64_t period = c->config->sync_coordinate_interval_min;
    /* The whole cluster together keeps to the rate. */
    double members = (double)gossip_get_stats(lan(c)).members;
    int64_t spread = (int64_t)(members / c->config->sync_coordinate_rate_target * (double)SECOND);
    period = spread > period ? spread : period;
    loop_timer_set(&c->timer, period + (int64_t)prng_below(&c->random, (uint64_t)period + 1));
}

static void refused(struct authorize *a) {
    struct coordinates *c = a->owner;
    const struct authorization *who = a->result;
    c->asking = false;
    log_at(
        LOG_WARN, LOGGER, "Coordinate update blocked by ACLs",
        LOG_S("accessorID", who != NULL && who->token != NULL ? who->token->accessor_id : STR("")));
    authorization_release(a->result);
    wait(c);
}

static void reported(struct call *call) {
    struct coordinates *c = call->owner;
    struct answer *a = call->answer;
    call->answer = NULL;
    c->calling = false;
    if (a->error.kind == ERROR_DENIED && !c->stopped) {
        answer_release(a);
        c->whose = (struct authorize){.secret = c->request.write.token,
                                      .done = refused,
                                      .owner = c,
                                      .error = ERROR_IN(&c->arena)};
        c->asking = true;
        if (authorize_start(&c->whose))
            refused(&c->whose);
        return;
    }
    if (error_is_set(&a->error) && !c->stopped)
        log_at(LOG_ERROR, LOGGER, "Coordinate update error", LOG_S("error", a->error.text));
    answer_release(a);
    if (!c->stopped)
        wait(c);
}

static void report(struct loop_timer *timer) {
    struct coordinates *c = timer->owner;
    struct gossip_coordinate own = gossip_coordinate(lan(c));
    arena_free(&c->arena);
    c->arena = ARENA_INIT;
    c->coord = (struct coord){.adjustment = own.adjustment,
                              .error = own.error,
                              .height = own.height,
                              .vec = LIST_NEW(&c->arena, double, COUNT_OF(own.vec))};
    memcpy(c->coord.vec.items, own.vec, sizeof(own.vec));
    c->request = (struct coordinate_update_request){
        .coord = &c->coord,
        .datacenter = c->config->datacenter,
        .node = c->config->node_name,
        .write = {.token = agent_token_own(server_tokens(c->server), &c->arena)}};
    c->call = (struct call){.endpoint = &endpoint_coordinate_update,
                            .arena = &c->arena,
                            .request = &c->request,
                            .done = reported,
                            .owner = c};
    c->calling = true;
    call_start(c->server, &c->call);
}

struct coordinates *coordinates_start(struct server *server, const struct config *config) {
    if (config->disable_coordinates)
        return NULL;
    struct coordinates *c = MEM_NEW(struct coordinates);
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    prng_seed(&c->random, seed);
    c->server = server;
    c->config = config;
    c->arena = ARENA_INIT;
    loop_timer_init(server_core(server), &c->timer, report, c);
    wait(c);
    return c;
}

static void cancelled(void *owner) {
    ((struct coordinates *)owner)->calling = false;
}

void coordinates_stop(struct coordinates *c) {
    if (c == NULL)
        return;
    c->stopped = true;
    if (c->calling)
        call_cancel(&c->call, cancelled);
    if (c->asking)
        authorize_cancel(&c->whose);
    loop_timer_stop(&c->timer);
    loop_timer_close(&c->timer, NULL);
}

void coordinates_free(struct coordinates *c) {
    if (c == NULL)
        return;
    arena_free(&c->arena);
    mem_free(c);
}

/* See federation_room.h. What is read is the own state, so that nothing is asked for when nothing
 * differs. In a secondary a change is seen here only when the primary's record has been copied:
 * until then it is not sent again.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/endpoints.h"
#include "server/federation_room.h"
#include "server/server_room.h"
#include "store/catalog.h"
#include "store/federation.h"

#define LOGGER "agent.server"
#define MESH_GATEWAY STR("mesh-gateway")
#define LOOK_PERIOD (60 * SECOND) /* without anything having been touched */
#define DISABLED_WAIT (5 * SECOND)

static void look(struct replication *base);

static struct federation_sync *of(struct replication *base) {
    return CONTAINER_OF(base, struct federation_sync, base);
}

static void log_failure(const struct replication *base, struct str why) {
    (void)base;
    log_at(LOG_ERROR, LOGGER, "error performing anti-entropy sync of federation state",
           LOG_S("error", why));
}

/* ---- sending ---- */

static void sent(struct federation_sync *y) {
    y->busy = false;
    log_at(LOG_INFO, LOGGER, "federation state anti-entropy synced");
    y->base.failures = 0;
    replication_rest(&y->base, y->touched ? 0 : LOOK_PERIOD, look);
}

static void not_sent(struct federation_sync *y, struct str why) {
    y->busy = false;
    replication_failed(&y->base,
                       str_format(&y->base.arena,
                                  "error performing federation state anti-entropy sync: " STR_FMT,
                                  STR_ARG(why)));
}

static void applied(struct replication *base, const struct raft_outcome *outcome) {
    struct str problem = replication_problem(outcome);
    if (problem.data != NULL)
        not_sent(of(base), problem);
    else
        sent(of(base));
}

static void answered(struct replication *base, const struct answer *a) {
    if (error_is_set(&a->error))
        not_sent(of(base), a->error.text);
    else
        sent(of(base));
}

static void submit(struct federation_sync *y) {
    struct replication *base = &y->base;
    y->busy = true;
    y->touched = false;
    if (!replication_is_wanted(base->server)) {
        replication_propose(base, federation_entry(base->server, "upsert", &y->state), applied);
        return;
    }
    y->request = (struct federation_state_request){
        .op = STR("upsert"), .state = &y->state, .write.token = replication_options(base).token};
    replication_ask(base, &endpoint_federation_state_apply, &y->request, answered);
}

/* ---- looking ---- */

/* The own datacenter's state as it ought to be. */
static bool is_right(struct federation_sync *y, struct store_read *read) {
    struct federation_state *stored;
    struct str own = y->base.server->options.datacenter;
    y->state = (struct federation_state){.datacenter = own,
                                         .updated_at = timestamp_from_unix_ns(time_now_wall())};
    federation_state_get(read, own, &stored);
    catalog_service_dump(read, true, MESH_GATEWAY, &y->state.mesh_gateways);
    return stored != NULL && federation_same_gateways(stored, &y->state);
}

/* False: it fails. */
static bool read_state(struct federation_sync *y, bool *right) {
    struct replication *base = &y->base;
    struct error e = ERROR_IN(&base->arena);
    struct store_read read;
    if (!store_read_begin(base->server->store, &read, &base->arena, NULL, &e)) {
        replication_failed(base, e.text);
        return false;
    }
    *right = is_right(y, &read);
    store_read_end(&read);
    return true;
}

static void all_right(struct federation_sync *y) {
    log_at(LOG_TRACE, LOGGER, "federation state anti-entropy sync skipped; already up to date");
    replication_rest(&y->base, LOOK_PERIOD, look);
}

static void round_begin(struct replication *base) {
    struct federation_sync *y = of(base);
    bool right;
    if (!federation_is_enabled(base->server)) {
        replication_rest(base, DISABLED_WAIT, round_begin);
    } else if (read_state(y, &right)) {
        if (right)
            all_right(y);
        else
            submit(y);
    }
}

/* Costs no turn when all is right. */
static void look(struct replication *base) {
    bool right;
    if (!read_state(of(base), &right))
        return;
    if (right)
        all_right(of(base));
    else
        replication_again(base, 0);
}

static bool concerns(const struct watch_touched *touched) {
    struct watch_key key;
    for (size_t i = 0; watch_touched_at(touched, i, &key); i++) {
        if (key.table == WATCH_ALL ||
            (key.table == WATCH_TABLE && (str_is(key.name, "federation-states") ||
                                          str_is(key.name, "service_kind.mesh-gateway"))))
            return true;
    }
    return false;
}

void federation_sync_touched(struct federation_sync *y, const struct watch_touched *touched) {
    if (!y->base.on || !concerns(touched))
        return;
    y->touched = true;
    if (!y->busy && y->base.next == look)
        replication_wait(&y->base, 0, look);
}

/* ---- life ---- */

static void begun(struct replication *base) {
    of(base)->busy = of(base)->touched = false;
}

static const struct replication_plan plan = {
    .period = 5 * SECOND,
    .backoff_first = 2 * SECOND,
    .backoff_most = 256 * SECOND,
    .begun = begun,
    .round = round_begin,
    .log_failure = log_failure,
};

void federation_sync_init(struct federation_sync *y, struct server *s) {
    replication_init(&y->base, s, &plan, "federation state anti-entropy");
}

/* See central.h. One blocking query a service; what it answers with is kept by the service's ID, so
 * that a reload, which registers everything anew, begins with it.
 */
#include "agent/central.h"

#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/endpoints.h"

#define LOGGER "agent.service_manager"
#define BACKOFF_FROM 3 /* failures with a pause of a second */
#define BACKOFF_MAX MINUTE
#define BETWEEN_QUERIES (10 * MILLISECOND)

struct central {
    struct local *local;
    struct arena arena; /* of the ID */
    struct str service_id;
    struct loop_timer timer;
    bool timer_open, calling, removed;
    uint64_t index;
    unsigned failures;
    struct service_config_request request;
    struct call call;
    struct arena call_arena;
};

/* ---- questions ---- */

static void answered(struct call *call);

static void ask(struct central *c) {
    struct local_service *s = local_service_find(c->local, c->service_id);
    arena_free(&c->call_arena);
    if (s == NULL || s->central != c ||
        !central_question(c->local, s->own, s->token, &c->request, &c->call_arena))
        return;
    c->request.options.allow_stale = true;
    c->request.options.min_query_index = c->index;
    c->call = (struct call){.endpoint = &endpoint_config_entry_resolve_service_config,
                            .arena = &c->call_arena,
                            .request = &c->request,
                            .done = answered,
                            .owner = c};
    c->calling = true;
    call_start(c->local->server, &c->call);
}

static void asking_failed(struct central *c, struct str why) {
    int64_t pause = SECOND;
    if (!c->local->stopping)
        log_at(LOG_ERROR, LOGGER, "could not retrieve service_defaults config",
               LOG_S("service", c->service_id), LOG_S("error", why));
    c->index = 0;
    c->failures++;
    if (c->failures > BACKOFF_FROM) {
        unsigned power = c->failures - BACKOFF_FROM;
        pause = power >= 6 ? BACKOFF_MAX : SECOND << power;
    }
    loop_timer_set(&c->timer, pause);
}

static void answered(struct call *call) {
    struct central *c = call->owner;
    struct answer *a = call->answer;
    struct local_service *s = local_service_find(c->local, c->service_id);
    c->calling = false;
    if (error_is_set(&a->error)) {
        asking_failed(c, a->error.text);
    } else {
        uint64_t index = a->meta.index > 0 ? a->meta.index : 1;
        c->failures = 0;
        c->index = index < c->index ? 0 : index;
        loop_timer_set(&c->timer, BETWEEN_QUERIES);
        if (s != NULL && s->central == c)
            local_central_changed(c->local, s, a->reply);
    }
    answer_release(a);
}

/* ---- life ---- */

static void timer_fired(struct loop_timer *t) {
    struct central *c = t->owner;
    if (!c->calling)
        ask(c);
}

void central_start(struct local *l, struct local_service *s, uint64_t index) {
    struct central *c = MEM_NEW(struct central);
    ASSERT(s->own != NULL && s->central == NULL);
    c->local = l;
    c->service_id = str_copy(&c->arena, s->service.id);
    c->index = index;
    s->central = c;
    l->open_handles++;
    loop_timer_init(l->loop, &c->timer, timer_fired, c);
    c->timer_open = true;
    loop_timer_set(&c->timer, 0);
}

static void maybe_free(struct central *c) {
    if (!c->removed || c->timer_open || c->calling)
        return;
    struct local *l = c->local;
    struct arena arena = c->arena;
    arena_free(&c->call_arena);
    mem_free(c);
    arena_free(&arena);
    local_closed_one(l);
}

static void call_freed(void *owner) {
    struct central *c = owner;
    c->calling = false;
    maybe_free(c);
}

static void timer_closed(struct loop_timer *t) {
    struct central *c = t->owner;
    c->timer_open = false;
    maybe_free(c);
}

void central_stop(struct local_service *s) {
    struct central *c = s->central;
    if (c == NULL)
        return;
    s->central = NULL;
    loop_timer_stop(&c->timer);
    loop_timer_close(&c->timer, timer_closed);
    c->removed = true;
    if (c->calling)
        call_cancel(&c->call, call_freed);
}

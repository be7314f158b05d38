/* See central.h. One blocking query a service; what it answers with is kept by the service's ID, so
 * that a reload, which registers everything anew, begins with it.
 */
#include "agent/central.h"

#include "agent/follow.h"
#include "agent/local_state.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/endpoints.h"

#define LOGGER "agent.service_manager"

struct central {
    struct local *local;
    struct arena arena; /* of the ID */
    struct str service_id;
    struct follow *follow;
};

/* NULL: it is no longer that which is followed. */
static struct local_service *service_of(const struct central *c) {
    struct local_service *s = local_service_find(c->local, c->service_id);
    return s != NULL && s->central == c ? s : NULL;
}

/* The service's token, or the agent's, may be another one each time. */
static bool question(void *owner, void *request, struct arena *arena) {
    struct central *c = owner;
    struct service_config_request *r = request;
    struct local_service *s = service_of(c);
    if (s == NULL || !central_question(c->local, s->own, s->token, r, arena))
        return false;
    r->options.allow_stale = true;
    return true;
}

static void came(void *owner, const struct answer *a) {
    struct central *c = owner;
    struct local_service *s = service_of(c);
    if (s != NULL)
        local_central_changed(c->local, s, a->reply);
}

static void failed(void *owner, const struct error *e) {
    struct central *c = owner;
    if (!c->local->stopping)
        log_at(LOG_ERROR, LOGGER, "could not retrieve service_defaults config",
               LOG_S("service", c->service_id), LOG_S("error", e->text));
}

void central_start(struct local *l, struct local_service *s, uint64_t index) {
    struct central *c = MEM_NEW(struct central);
    ASSERT(s->own != NULL && s->central == NULL);
    c->local = l;
    c->service_id = str_copy(&c->arena, s->service.id);
    s->central = c;
    l->open_handles++;
    struct follow_options options = {.server = l->server,
                                     .endpoint = &endpoint_config_entry_resolve_service_config,
                                     .index = index,
                                     .question = question,
                                     .came = came,
                                     .failed = failed,
                                     .owner = c};
    c->follow = follow_begin(&options);
}

static void closed(void *arg) {
    struct central *c = arg;
    struct local *l = c->local;
    struct arena arena = c->arena;
    mem_free(c);
    arena_free(&arena);
    local_closed_one(l);
}

void central_stop(struct local_service *s) {
    struct central *c = s->central;
    if (c == NULL)
        return;
    s->central = NULL;
    follow_end(c->follow, closed, c);
}

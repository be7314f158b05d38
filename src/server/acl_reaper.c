/* See acl_reaper.h. */
#include "server/acl_reaper.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/server_room.h"
#include "store/acl.h"

#define PERIOD SECOND
#define BATCH 4096

struct acl_reaper {
    struct server *server;
    struct loop_timer timer;
    bool on, closed;
    bool proposed; /* a batch is on its way: the same tokens would be found again */
};

static void reaped(struct server *s, void *owner, bool ok) {
    struct acl_reaper *r = owner;
    (void)s;
    (void)ok;
    r->proposed = false;
}

static void reap(struct acl_reaper *r, struct store_read *read, bool local) {
    struct list tokens;
    acl_tokens_expired(read, local, time_now_wall(), BATCH, &tokens);
    if (tokens.len == 0) {
        return;
    }
    struct acl_token_batch_delete_request request = {
        .token_ids = LIST_NEW(read->arena, struct str, tokens.len)};
    request.token_ids.len = 0;
    for (uint32_t i = 0; i < tokens.len; i++) {
        struct str accessor = LIST_AT(tokens, struct acl_token *, i)->accessor_id;
        if (accessor.len > 0) {
            LIST_AT(request.token_ids, struct str, request.token_ids.len++) = accessor;
        }
    }
    log_at(LOG_INFO, "agent.server", "deleting expired ACL tokens",
           LOG_I("amount", request.token_ids.len),
           LOG_S("locality", local ? STR("local") : STR("global")));
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, ENTRY_ACL_TOKEN_DELETE);
    schema_encode(&entry, &acl_token_batch_delete_request_shape, &request);
    r->proposed = true;
    server_propose(r->server, &entry, "Failed to apply token expiration deletions", reaped, r);
}

static void round_start(struct loop_timer *timer) {
    struct acl_reaper *r = timer->owner;
    struct server *s = r->server;
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    loop_timer_set(&r->timer, PERIOD);
    if (!r->proposed && store_read_begin(s->store, &read, &arena, NULL, &e)) {
        reap(r, &read, true);
        if (!r->proposed && str_eq(s->options.datacenter, s->options.acl.primary_datacenter)) {
            reap(r, &read, false);
        }
        store_read_end(&read);
    }
    arena_free(&arena);
}

struct acl_reaper *acl_reaper_new(struct server *s) {
    struct acl_reaper *r = MEM_NEW(struct acl_reaper);
    r->server = s;
    loop_timer_init(&s->core, &r->timer, round_start, r);
    return r;
}

void acl_reaper_start(struct acl_reaper *r) {
    if (!r->on) {
        r->on = true;
        log_at(LOG_INFO, "agent.leader", "started routine",
               LOG_S("routine", STR("acl token reaping")));
        loop_timer_set(&r->timer, PERIOD);
    }
}

void acl_reaper_stop(struct acl_reaper *r) {
    if (r->on) {
        r->on = false;
        log_at(LOG_DEBUG, "agent.leader", "stopping routine",
               LOG_S("routine", STR("acl token reaping")));
        loop_timer_stop(&r->timer);
    }
}

void acl_reaper_close(struct acl_reaper *r) {
    if (!r->closed) {
        acl_reaper_stop(r);
        r->closed = true;
        loop_timer_close(&r->timer, NULL);
    }
}

void acl_reaper_free(struct acl_reaper *r) {
    mem_free(r);
}

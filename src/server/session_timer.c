/* Sessions with a TTL end when their owner has not renewed them for twice that time (fsm.md 4.3).
 * The timers are the leader's memory only: a new leader starts all of them anew. Not: what the end
 * of a session does (store/).
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/server_room.h"
#include "store/session.h"

#define TTL_FACTOR 2
#define RETRIES_MAX 6
#define RETRY_FIRST (10 * SECOND)

struct session_timer {
    struct session_timers *all;
    struct loop_timer timer;
    unsigned attempts; /* proposals that failed */
    bool proposed;     /* the proposal's callback comes */
    int64_t proposed_at;
    bool removed; /* not in the map any more */
    char id[37];
};

struct session_timers {
    struct server *server;
    struct map timers; /* by ID, lower case */
};

static void timer_closed(struct loop_timer *timer) {
    mem_free(CONTAINER_OF(timer, struct session_timer, timer));
}

static void timer_remove(struct session_timer *t) {
    if (t->removed) {
        return;
    }
    t->removed = true;
    map_remove(&t->all->timers, str_from(t->id));
    loop_timer_stop(&t->timer);
    if (!t->proposed) {
        loop_timer_close(&t->timer, timer_closed);
    }
}

static bool session_is_there(struct session_timers *all, struct str id, bool *there) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    *there = false;
    bool ok = store_read_begin(all->server->store, &read, &arena, NULL, &e);
    if (ok) {
        struct session *session = NULL;
        uint64_t index;
        ok = session_get(&read, id, &session, &index, &e);
        *there = session != NULL;
        store_read_end(&read);
    }
    arena_free(&arena);
    return ok;
}

static void destroy_done(struct server *s, void *owner, bool ok) {
    (void)s;
    struct session_timer *t = owner;
    t->proposed = false;
    metric_since("session_ttl.invalidate", t->proposed_at);
    if (t->removed) {
        loop_timer_close(&t->timer, timer_closed);
        return;
    }
    if (ok || ++t->attempts > RETRIES_MAX) {
        if (!ok) {
            log_at(LOG_ERROR, "agent.server", "maximum revoke attempts reached for session",
                   LOG_C("error", t->id));
        }
        timer_remove(t);
        return;
    }
    loop_timer_set(&t->timer, RETRY_FIRST << (t->attempts - 1));
}

static void timer_fired(struct loop_timer *timer) {
    struct session_timer *t = CONTAINER_OF(timer, struct session_timer, timer);
    struct server *s = t->all->server;
    bool there;
    /* Sessions also end with their node or a check; then there is nothing to write. */
    if (session_is_there(t->all, str_from(t->id), &there) && !there) {
        timer_remove(t);
        return;
    }
    if (t->attempts == 0) {
        log_at(LOG_DEBUG, "agent.server", "Session TTL expired", LOG_C("session", t->id));
    }
    struct session_request request = {.datacenter = s->options.datacenter,
                                      .op = STR("destroy"),
                                      .session = {.id = str_from(t->id)}};
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, ENTRY_SESSION);
    schema_encode(&entry, &session_request_shape, &request);
    t->proposed = true;
    t->proposed_at = time_now_monotonic();
    server_propose(s, &entry, "failed to destroy session", destroy_done, t);
}

struct session_timers *session_timers_new(struct server *s) {
    struct session_timers *all = MEM_NEW(struct session_timers);
    all->server = s;
    all->timers = MAP_INIT;
    return all;
}

void session_timers_free(struct session_timers *all) {
    if (all != NULL) {
        map_free(&all->timers);
        mem_free(all);
    }
}

void session_timers_clear(struct session_timers *all) {
    size_t cursor = 0;
    void *value;
    while (map_next(&all->timers, &cursor, NULL, &value)) {
        timer_remove(value);
    }
}

static struct session_timer *timer_get(struct session_timers *all, struct str id) {
    struct arena scratch = ARENA_INIT;
    struct str key = str_lower(&scratch, id);
    struct session_timer *t = map_get(&all->timers, key);
    if (t == NULL && key.len < sizeof(t->id)) {
        t = MEM_NEW(struct session_timer);
        t->all = all;
        memcpy(t->id, key.data, key.len);
        loop_timer_init(&all->server->core, &t->timer, timer_fired, t);
        map_put(&all->timers, key, t);
    }
    arena_free(&scratch);
    return t;
}

void session_timers_reset(struct session_timers *all, const struct session *session) {
    struct arena scratch = ARENA_INIT;
    struct error e = ERROR_IN(&scratch);
    int64_t ttl = 0;
    if (session->ttl.len > 0 && duration_parse(session->ttl, &ttl, &e) && ttl > 0) {
        struct session_timer *t = timer_get(all, session->id);
        if (t != NULL) {
            t->attempts = 0;
            loop_timer_set(&t->timer, ttl * TTL_FACTOR);
        }
    }
    arena_free(&scratch);
}

void session_timers_remove(struct session_timers *all, struct str id) {
    struct arena scratch = ARENA_INIT;
    struct session_timer *t = map_get(&all->timers, str_lower(&scratch, id));
    arena_free(&scratch);
    if (t != NULL) {
        timer_remove(t);
    }
}

bool session_timers_init(struct session_timers *all) {
    session_timers_clear(all);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct store_read read;
    bool ok = store_read_begin(all->server->store, &read, &arena, NULL, &e);
    if (ok) {
        struct list sessions;
        session_list(&read, &sessions);
        for (uint32_t i = 0; i < sessions.len; i++) {
            session_timers_reset(all, LIST_AT(sessions, struct session *, i));
        }
        store_read_end(&read);
    } else {
        log_at(LOG_ERROR, "agent.server", "failed to list sessions", LOG_S("error", e.text));
    }
    arena_free(&arena);
    return ok;
}

size_t session_timers_count(const struct session_timers *all) {
    return all->timers.count;
}

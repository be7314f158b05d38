/* What the core does for calls: writes become log entries and their results replies; calls of kind
 * CORE run; leadership is verified for consistent reads. Also the leader's own entries.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/time.h"
#include "server/server_room.h"

/* ---- writes ---- */

struct write {
    struct raft_proposal proposal;
    struct call *call;
};

static struct call_context core_context(struct call *c) {
    struct answer *a = c->answer;
    return (struct call_context){.server = c->server,
                                 .arena = &a->arena,
                                 .meta = &a->meta,
                                 .reply = a->reply,
                                 .may = authorization_may(c->who),
                                 .token = c->who != NULL ? c->who->token : NULL,
                                 .now_wall = time_now_steady()};
}

static void write_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct write *w = CONTAINER_OF(p, struct write, proposal);
    struct call *c = w->call;
    struct answer *a = c->answer;
    server_publish(c->server, NULL);
    if (error_is_set(&outcome->error)) {
        error_copy(&a->error, &outcome->error);
    } else if (outcome->result->kind == STORE_RESULT_ERROR) {
        error_copy(&a->error, &outcome->result->error);
    } else if (c->endpoint->finish != NULL) {
        struct call_context context = core_context(c);
        c->endpoint->finish(&context, c->request, outcome->result, a->reply, &a->error);
    }
    call_send_back(c);
}

void server_write_run(struct message *m) {
    struct call *c = CONTAINER_OF(m, struct call, message);
    struct answer *a = c->answer;
    struct server *s = c->server;
    struct call_context context = core_context(c);
    if (!server_is_leader(s)) { /* no longer, since it was sent: nothing has happened yet */
        error_set(&a->error, ERROR_NO_LEADER, "No cluster leader");
        c->again = true;
    } else if (c->endpoint->admit == NULL ||
               c->endpoint->admit(&context, c->request, a->reply, &a->error)) {
        struct write *w = ARENA_NEW(&a->arena, struct write);
        w->call = c;
        w->proposal.entry = c->entry;
        w->proposal.done = write_done;
        c->entry = BUF_INIT;
        raft_driver_propose(s->driver, &w->proposal);
        return;
    }
    call_send_back(c);
}

void server_core_call_run(struct message *m) {
    struct call *c = CONTAINER_OF(m, struct call, message);
    struct answer *a = c->answer;
    struct call_context context = core_context(c);
    const struct query_options *options = call_options(c->endpoint, c->request);
    if (c->endpoint->kind == ENDPOINT_CORE && !server_is_leader(c->server) &&
        (options == NULL || !options->allow_stale)) {
        error_set(&a->error, ERROR_NO_LEADER, "No cluster leader");
        c->again = true;
        call_send_back(c);
        return;
    }
    if (c->endpoint->begin != NULL) {
        c->endpoint->begin(c);
        return;
    }
    c->endpoint->core(&context, c->request, a->reply, &a->error);
    if (c->endpoint->meta >= 0 && !error_is_set(&a->error)) {
        a->meta = *(struct query_meta *)((char *)a->reply + c->endpoint->meta);
    }
    call_send_back(c);
}

/* ---- verification of leadership (rpc.md 7.3) ---- */

struct verify {
    struct raft_proposal proposal;
    struct server_thread *thread;
    struct server *server;
};

static void verify_answer(struct server_thread *t) {
    metric_since("rpc.consistentRead", t->verify_started);
    t->verify_message.run = t->verify_done;
    loop_post_reply(t->loop, &t->verify_message);
}

static void verify_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct verify *v = CONTAINER_OF(p, struct verify, proposal);
    struct server_thread *t = v->thread;
    server_publish(v->server, NULL);
    if (error_is_set(&outcome->error)) {
        error_copy(&t->verify_error, &outcome->error);
    } else {
        t->verify_ok = true;
    }
    mem_free(v);
    verify_answer(t);
}

static void verify_start(struct server *s, struct server_thread *t) {
    struct verify *v = MEM_NEW(struct verify);
    v->thread = t;
    v->server = s;
    v->proposal.done = verify_done;
    raft_driver_verify_leader(s->driver, &v->proposal);
}

static void verify_timer_set(struct server *s) {
    int64_t earliest = INT64_MAX;
    for (struct server_thread *t = s->verify_first; t != NULL; t = t->verify_next) {
        earliest = t->verify_started < earliest ? t->verify_started : earliest;
    }
    if (earliest != INT64_MAX) {
        int64_t wait = earliest + s->options.rpc_hold_timeout - time_now_monotonic();
        loop_timer_set(&s->verify_timer, wait > 0 ? wait : 0);
    }
}

void server_verify_run(struct message *m) {
    struct server_thread *t = CONTAINER_OF(m, struct server_thread, verify_message);
    struct server *s = t->server;
    /* Who does not lead is told so by Raft; who leads must also be through with its beginning. */
    if (atomic_load(&s->ready) || !raft_driver_is_leader(s->driver)) {
        verify_start(s, t);
        return;
    }
    t->verify_next = s->verify_first;
    s->verify_first = t;
    verify_timer_set(s);
}

void server_verify_ready(struct server *s) {
    struct server_thread *t = s->verify_first;
    s->verify_first = NULL;
    while (t != NULL) {
        struct server_thread *next = t->verify_next;
        t->verify_next = NULL;
        verify_start(s, t);
        t = next;
    }
}

static void verify_expired(struct loop_timer *timer) {
    struct server *s = timer->owner;
    int64_t limit = time_now_monotonic() - s->options.rpc_hold_timeout;
    struct server_thread **link = &s->verify_first;
    while (*link != NULL) {
        struct server_thread *t = *link;
        if (t->verify_started > limit) {
            link = &t->verify_next;
            continue;
        }
        *link = t->verify_next;
        t->verify_next = NULL;
        error_set(&t->verify_error, ERROR_INTERNAL, "Not ready to serve consistent reads");
        verify_answer(t);
    }
    verify_timer_set(s);
}

void server_verify_init(struct server *s) {
    loop_timer_init(&s->core, &s->verify_timer, verify_expired, s);
}

void server_verify_close(struct server *s) {
    loop_timer_stop(&s->verify_timer);
    loop_timer_close(&s->verify_timer, NULL);
}

/* ---- the leader's own entries ---- */

struct own_proposal {
    struct raft_proposal proposal;
    struct server *server;
    const char *what;
    void (*done)(struct server *s, void *owner, bool ok);
    void *owner;
};

static void own_done(struct raft_proposal *p, const struct raft_outcome *outcome) {
    struct own_proposal *own = CONTAINER_OF(p, struct own_proposal, proposal);
    server_publish(own->server, NULL);
    const struct error *e = &outcome->error;
    if (!error_is_set(e) && outcome->result != NULL &&
        outcome->result->kind == STORE_RESULT_ERROR) {
        e = &outcome->result->error;
    }
    if (error_is_set(e) && !atomic_load(&own->server->stopping)) {
        log_at(LOG_ERROR, "agent.server", own->what, LOG_S("error", e->text));
    }
    if (own->done != NULL) {
        own->done(own->server, own->owner, !error_is_set(e));
    }
    mem_free(own);
}

void server_propose(struct server *s, struct buf *entry, const char *what,
                    void (*done)(struct server *s, void *owner, bool ok), void *owner) {
    struct own_proposal *own = MEM_NEW(struct own_proposal);
    own->server = s;
    own->what = what;
    own->done = done;
    own->owner = owner;
    own->proposal.done = own_done;
    own->proposal.entry = *entry;
    *entry = BUF_INIT;
    raft_driver_propose(s->driver, &own->proposal);
}

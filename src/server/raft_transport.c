/* The kept connections to other servers: made when there is something to send, answers matched to
 * requests by their order, given up when an answer does not come.
 */
#include "server/raft_transport_internal.h"
#include "server/secure.h"

#include <stdio.h>

#include "base/metrics.h"

#define CHECK_INTERVAL (500 * MILLISECOND)
#define IDLE_TIME (60 * SECOND)         /* then an unused connection is closed */
#define RESPONSE_MAX ((size_t)64 << 10) /* bytes of an answer that is no snapshot's */
#define BACKLOG_MAX ((size_t)256 << 20) /* bytes to one server that may wait to be sent */

/* ---- later ---- */

static void fail_waiting(struct raft_transport *t) {
    while (t->failures != NULL && !t->stopped) {
        struct failure *f = t->failures;
        t->failures = f->next;
        if (t->failures == NULL)
            t->failures_end = &t->failures;
        t->options.failed(t->options.owner, &f->message, f->why);
        arena_free(&f->arena);
        mem_free(f);
    }
}

static void on_later(struct message *m) {
    struct raft_transport *t = CONTAINER_OF(m, struct raft_transport, later);
    t->later_posted = false;
    if (t->stopped)
        return;
    fail_waiting(t);
    inbound_resume(t);
    raft_transport_flush(t);
}

void transport_later(struct raft_transport *t) {
    if (t->later_posted || t->stopped)
        return;
    t->later_posted = true;
    t->later.run = on_later;
    loop_post_reply(t->core, &t->later);
}

void transport_fail(struct raft_transport *t, enum raft_message_kind kind,
                    const struct raft_tag *tag, struct str id, struct str address, struct str why) {
    struct failure *f = MEM_NEW(struct failure);
    f->arena = ARENA_INIT;
    f->message = (struct raft_message){.kind = kind,
                                       .tag = *tag,
                                       .peer_id = str_copy(&f->arena, id),
                                       .peer_address = str_copy(&f->arena, address)};
    f->why = str_copy(&f->arena, why);
    *t->failures_end = f;
    t->failures_end = &f->next;
    transport_later(t);
}

void raft_transport_fail(struct raft_transport *t, const struct raft_message *m, struct str why) {
    transport_fail(t, m->kind, &m->tag, m->peer_id, m->peer_address, why);
}

/* ---- where a server is ---- */

static struct str resolve(struct raft_transport *t, struct str id, struct str address,
                          char room[64]) {
    if (t->options.server_address == NULL || t->options.protocol < 3)
        return address;
    if (t->options.server_address(t->options.owner, id, room))
        return str_from(room);
    struct arena arena = ARENA_INIT;
    log_at(LOG_WARN, TRANSPORT_LOG, "unable to get address for sever, using fallback address",
           LOG_S("id", id), LOG_S("fallback", address),
           LOG_S("error",
                 str_format(&arena, "Could not find address for server id " STR_FMT, STR_ARG(id))));
    arena_free(&arena);
    return address;
}

struct connect *transport_dial(struct raft_transport *t, struct str id, struct str address,
                               connect_done *done, void *owner, struct error *e) {
    char room[64];
    struct str to = resolve(t, id, address, room);
    struct connect_options options = {
        .target = {.source = t->options.source, .timeout = t->options.rpc_timeout},
        .announce = SECURE_ANNOUNCE};
    if (!dial_split(to, &options.target.ip, &options.target.port)) {
        error_set(e, ERROR_INTERNAL, "dial tcp: address " STR_FMT ": no IP and port", STR_ARG(to));
        return NULL;
    }
    if (t->options.secure != NULL)
        options.tls = secure_dial(t->options.secure, t->options.datacenter);
    return connect_start(t->core, &options, done, owner);
}

/* ---- the end of a connection ---- */

static void link_free(struct link *l) {
    buf_free(&l->waiting);
    mem_free(l);
}

static void undirty(struct raft_transport *t, struct link *l) {
    for (struct link **at = &t->dirty; *at != NULL; at = &(*at)->next_dirty) {
        if (*at == l) {
            *at = l->next_dirty;
            break;
        }
    }
    l->dirty = false;
}

/* Everything under way on it fails. Its memory goes with the stream. */
static void link_end(struct link *l, struct str why) {
    struct raft_transport *t = l->transport;
    struct remote *r = l->remote;
    if (r == NULL)
        return;
    for (; l->count > 0; l->count--) {
        struct outstanding *o = &l->ring[l->head];
        l->head = (l->head + 1) % RAFT_TRANSPORT_IN_FLIGHT;
        transport_fail(t, o->kind, &o->tag, r->id, r->address, why);
    }
    r->links[l->kind] = NULL;
    l->remote = NULL;
    t->out_count--;
    if (l->dirty)
        undirty(t, l);
}

static void link_break(struct link *l, struct str why) {
    link_end(l, why);
    if (l->open) {
        stream_close(&l->stream);
        return;
    }
    if (l->dial != NULL)
        connect_cancel(l->dial);
    link_free(l);
}

/* ---- answers ---- */

/* How long a server took to answer (agent.md 6.4). */
static void measure_answer(const struct remote *r, enum link_kind kind,
                           const struct outstanding *o) {
    char name[128];
    const char *what = kind == LINK_HEARTBEAT ? "heartbeat" : "appendEntries.rpc";
    if (o->kind == RAFT_VOTE) {
        metric_since("raft.candidate.electSelf", o->sent_at);
        return;
    }
    if (o->kind != RAFT_APPEND)
        return;
    snprintf(name, sizeof name, "raft.replication.%s." STR_FMT, what, STR_ARG(r->id));
    metric_since(name, o->sent_at);
    if (kind == LINK_HEARTBEAT)
        return;
    snprintf(name, sizeof name, "raft.replication.appendEntries.logs." STR_FMT, STR_ARG(r->id));
    metric_count(name, o->entries);
}

/* One answer from the start of `bytes`; what it took, 0: more is needed or the link is broken. */
static size_t take_answer(struct link *l, struct str bytes) {
    struct raft_transport *t = l->transport;
    struct remote *r = l->remote;
    arena_reset(&t->scratch, (size_t)64 << 10);
    struct error e = ERROR_IN(&t->scratch);
    if (l->count == 0) {
        link_break(l, STR("unexpected data"));
        return 0;
    }
    struct outstanding o = l->ring[l->head];
    struct raft_message m;
    struct str refusal;
    size_t used = 0;
    enum raft_wire_status status =
        raft_wire_read_response(o.kind, bytes, &used, &m, &refusal, &t->scratch, &e);
    if (status == RAFT_WIRE_MORE && bytes.len <= RESPONSE_MAX)
        return 0;
    if (status != RAFT_WIRE_DONE) {
        link_break(l, status == RAFT_WIRE_BAD ? e.text : STR("answer is too long"));
        return 0;
    }
    l->head = (l->head + 1) % RAFT_TRANSPORT_IN_FLIGHT;
    l->count--;
    l->since = time_now_monotonic();
    if (refusal.len > 0) {
        transport_fail(t, o.kind, &o.tag, r->id, r->address, refusal);
        return used;
    }
    measure_answer(r, l->kind, &o);
    m.tag = o.tag;
    m.peer_id = r->id;
    m.peer_address = r->address;
    t->options.receive(t->options.owner, &m);
    return used;
}

static size_t link_data(struct stream *s, const char *bytes, size_t len) {
    struct link *l = CONTAINER_OF(s, struct link, stream);
    size_t taken = 0;
    while (taken < len && l->remote != NULL) {
        size_t used = take_answer(l, str_of(bytes + taken, len - taken));
        if (used == 0)
            break;
        taken += used;
    }
    return taken;
}

static void link_ended(struct stream *s) {
    link_break(CONTAINER_OF(s, struct link, stream), STR("EOF"));
}

static void link_expired(struct stream *s) {
    link_break(CONTAINER_OF(s, struct link, stream), STR("i/o timeout"));
}

static void link_closed(struct stream *s) {
    struct link *l = CONTAINER_OF(s, struct link, stream);
    link_end(l, STR("connection reset by peer"));
    link_free(l);
}

static const struct stream_handlers link_handlers = {
    .data = link_data, .ended = link_ended, .expired = link_expired, .closed = link_closed};

/* ---- making one ---- */

static void link_dialed(void *owner, struct stream_detached *connection, const struct error *e) {
    struct link *l = owner;
    l->dial = NULL;
    if (connection == NULL) {
        link_break(l, e->text);
        return;
    }
    l->open = true;
    stream_attach(&l->stream, l->transport->core, connection, &link_handlers);
    struct buf *out = stream_out(&l->stream);
    buf_add_char(out, TRANSPORT_BYTE);
    buf_add_str(out, buf_str(&l->waiting));
    buf_free(&l->waiting);
    if (l->count > 0)
        l->since = time_now_monotonic();
    stream_flush(&l->stream);
    stream_set_busy(&l->stream, false);
}

/* NULL with an error. */
static struct link *link_new(struct raft_transport *t, struct remote *r, enum link_kind kind,
                             struct error *e) {
    struct link *l = MEM_NEW(struct link);
    l->transport = t;
    l->kind = kind;
    l->dial = transport_dial(t, r->id, r->address, link_dialed, l, e);
    if (l->dial == NULL) {
        mem_free(l);
        return NULL;
    }
    l->remote = r;
    l->since = time_now_monotonic();
    r->links[kind] = l;
    t->out_count++;
    transport_watch(t);
    return l;
}

static struct remote *remote_new(struct raft_transport *t, struct str id, struct str address) {
    struct remote *r = mem_zalloc(1, sizeof *r + id.len + address.len + 1);
    char *room = (char *)(r + 1);
    if (id.len > 0)
        memcpy(room, id.data, id.len);
    if (address.len > 0)
        memcpy(room + id.len, address.data, address.len);
    r->id = str_of(room, id.len);
    r->address = str_of(room + id.len, address.len);
    r->next = t->remotes;
    t->remotes = r;
    return r;
}

static struct remote *remote_of(struct raft_transport *t, struct str id, struct str address) {
    for (struct remote *r = t->remotes; r != NULL; r = r->next) {
        if (str_eq(r->id, id) && str_eq(r->address, address))
            return r;
    }
    return remote_new(t, id, address);
}

/* ---- sending ---- */

static bool same_append(const struct raft_append *a, const struct raft_append *b) {
    return a->term == b->term && a->previous_index == b->previous_index &&
           a->previous_term == b->previous_term && a->commit == b->commit && a->count == b->count &&
           a->heartbeat == b->heartbeat;
}

/* What is sent is made once for all followers: entries never change, and in one term this server
 * sends only one at an index. */
static void encode(struct raft_transport *t, const struct raft_message *m, struct buf *out) {
    if (m->kind != RAFT_APPEND || m->append.count == 0) {
        raft_wire_write_request(m, t->options.protocol, out);
        return;
    }
    if (!t->last_valid || !same_append(&m->append, &t->last_append)) {
        buf_clear(&t->last);
        raft_wire_write_request(m, t->options.protocol, &t->last);
        t->last_append = m->append;
        t->last_valid = true;
    }
    buf_add_str(out, buf_str(&t->last));
}

static enum link_kind kind_of(const struct raft_message *m) {
    if (m->kind != RAFT_APPEND)
        return LINK_CONTROL;
    return m->append.heartbeat ? LINK_HEARTBEAT : LINK_APPEND;
}

void raft_transport_send(struct raft_transport *t, const struct raft_message *m) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct remote *r = remote_of(t, m->peer_id, m->peer_address);
    enum link_kind kind = kind_of(m);
    struct link *l = r->links[kind];
    if (l == NULL)
        l = link_new(t, r, kind, &e);
    if (l != NULL && (l->count == RAFT_TRANSPORT_IN_FLIGHT || l->waiting.len > BACKLOG_MAX))
        error_set(&e, ERROR_INTERNAL, "too many requests under way");
    if (error_is_set(&e)) {
        transport_fail(t, m->kind, &m->tag, r->id, r->address, e.text);
        arena_free(&arena);
        return;
    }
    encode(t, m, l->open ? stream_out(&l->stream) : &l->waiting);
    if (l->count == 0)
        l->since = time_now_monotonic();
    l->ring[(l->head + l->count++) % RAFT_TRANSPORT_IN_FLIGHT] =
        (struct outstanding){m->kind, m->tag, time_now_monotonic(),
                             m->kind == RAFT_APPEND ? (uint32_t)m->append.count : 0};
    if (l->open && !l->dirty) {
        l->dirty = true;
        l->next_dirty = t->dirty;
        t->dirty = l;
    }
}

void raft_transport_flush(struct raft_transport *t) {
    while (t->dirty != NULL) {
        struct link *l = t->dirty;
        t->dirty = l->next_dirty;
        l->dirty = false;
        stream_flush(&l->stream);
    }
    inbound_flush(t);
    if (t->last.cap > (size_t)1 << 20) {
        buf_free(&t->last);
        t->last_valid = false;
    }
}

/* ---- what has waited too long ---- */

/* False: it may go. */
static bool remote_check(struct raft_transport *t, struct remote *r, int64_t now) {
    bool used = false;
    for (unsigned i = 0; i < LINK_KINDS; i++) {
        struct link *l = r->links[i];
        if (l == NULL)
            continue;
        if (l->count > 0 && l->open && now - l->since > t->options.rpc_timeout)
            link_break(l, STR("i/o timeout"));
        else if (l->count == 0 && now - l->since > IDLE_TIME)
            link_break(l, STR("idle"));
        else
            used = true;
    }
    return used;
}

static void on_timer(struct loop_timer *timer) {
    struct raft_transport *t = timer->owner;
    int64_t now = time_now_monotonic();
    t->timing = false;
    for (struct remote **at = &t->remotes; *at != NULL;) {
        struct remote *r = *at;
        if (remote_check(t, r, now)) {
            at = &r->next;
        } else {
            *at = r->next;
            mem_free(r);
        }
    }
    snapshot_sends_check(t, now);
    inbound_check(t, now);
    if (t->remotes != NULL || t->sends != NULL || t->inbounds != NULL)
        transport_watch(t);
}

void transport_watch(struct raft_transport *t) {
    if (t->timing || t->stopped)
        return;
    t->timing = true;
    loop_timer_set(&t->timer, CHECK_INTERVAL);
}

/* ---- life ---- */

struct raft_transport *raft_transport_new(struct loop *core,
                                          const struct raft_transport_options *options) {
    struct raft_transport *t = MEM_NEW(struct raft_transport);
    t->core = core;
    t->arena = t->scratch = ARENA_INIT;
    t->options = *options;
    t->options.source = str_copy(&t->arena, options->source);
    t->options.local = str_copy(&t->arena, options->local);
    t->options.datacenter = str_copy(&t->arena, options->datacenter);
    t->failures_end = &t->failures;
    loop_timer_init(core, &t->timer, on_timer, t);
    return t;
}

void raft_transport_stop(struct raft_transport *t) {
    if (t->stopped)
        return;
    t->stopped = true;
    for (struct remote *r = t->remotes; r != NULL; r = r->next) {
        for (unsigned i = 0; i < LINK_KINDS; i++) {
            if (r->links[i] != NULL)
                link_break(r->links[i], STR("shutdown"));
        }
    }
    snapshot_sends_stop(t);
    inbound_stop(t);
    loop_timer_close(&t->timer, NULL);
}

void raft_transport_free(struct raft_transport *t) {
    if (t == NULL)
        return;
    while (t->remotes != NULL) {
        struct remote *r = t->remotes;
        t->remotes = r->next;
        mem_free(r);
    }
    while (t->failures != NULL) {
        struct failure *f = t->failures;
        t->failures = f->next;
        arena_free(&f->arena);
        mem_free(f);
    }
    buf_free(&t->last);
    arena_free(&t->scratch);
    arena_free(&t->arena);
    mem_free(t);
}

void raft_transport_count(const struct raft_transport *t, unsigned *out, unsigned *in) {
    *out = t->out_count;
    *in = t->in_count;
}

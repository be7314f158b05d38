/* Connections from other servers: frames found and decoded, given to the driver in their order, and
 * answered in that order, whatever order the answers come in. Whoever sends what is no request is
 * closed; whoever does not read its answers is not read either.
 */
#include "server/raft_transport_internal.h"

#include <stdio.h>

/* Requests of one connection that may wait for their answers; then it is not read any more. */
#define PENDING_MAX 256
/* The same for bytes of answers that the other side does not take. */
#define BACKLOG_MAX ((size_t)256 << 10)
#define SNAPSHOT_VERSION_MAX 1

/* ---- requests ---- */

static struct request *request_new(struct inbound *in, const struct raft_message *m) {
    struct request *r = MEM_NEW(struct request);
    r->in = in;
    r->kind = m->kind;
    r->arena = ARENA_INIT;
    *in->end = r;
    in->end = &r->next;
    in->pending++;
    return r;
}

static void request_free(struct request *r) {
    if (r->kind == RAFT_INSTALL)
        raft_wire_release(&r->message);
    buf_free(&r->response);
    arena_free(&r->arena);
    mem_free(r);
}

/* ---- the end of a connection ---- */

static void resume_remove(struct inbound *in) {
    struct raft_transport *t = in->transport;
    *(in->resume_previous != NULL ? &in->resume_previous->resume_next : &t->resume_first) =
        in->resume_next;
    *(in->resume_next != NULL ? &in->resume_next->resume_previous : &t->resume_last) =
        in->resume_previous;
    in->resume_next = in->resume_previous = NULL;
    in->resume = false;
    t->resume_count--;
}

static void unlink_lists(struct inbound *in) {
    struct raft_transport *t = in->transport;
    for (struct inbound **at = &t->dirty_in; in->dirty && *at != NULL; at = &(*at)->next_dirty) {
        if (*at == in) {
            *at = in->next_dirty;
            in->dirty = false;
            break;
        }
    }
    if (in->resume)
        resume_remove(in);
}

/* Requests that are with the driver lose their connection and are freed when it answers them. */
static void inbound_end(struct inbound *in) {
    struct raft_transport *t = in->transport;
    unlink_lists(in);
    t->partial -= in->partial;
    in->partial = 0;
    struct request *install = in->install;
    in->install = NULL;
    while (in->first != NULL) {
        struct request *r = in->first;
        in->first = r->next;
        r->in = NULL;
        if (r == install && r->sink != NULL)
            t->options.install_abort(r->sink);
        if (r->answered || r == install)
            request_free(r);
    }
    in->end = &in->first;
    in->pending = 0;
}

static void inbound_close(struct inbound *in) {
    inbound_end(in);
    stream_close(&in->stream);
}

static void inbound_closed(struct stream *s) {
    struct inbound *in = CONTAINER_OF(s, struct inbound, stream);
    struct raft_transport *t = in->transport;
    inbound_end(in);
    *(in->previous != NULL ? &in->previous->next : &t->inbounds) = in->next;
    if (in->next != NULL)
        in->next->previous = in->previous;
    t->in_count--;
    if (in->closed != NULL)
        in->closed(in->owner);
    mem_free(in);
}

static void inbound_ended(struct stream *s) {
    inbound_close(CONTAINER_OF(s, struct inbound, stream));
}

static void refuse_bytes(struct inbound *in, struct str why) {
    log_at(LOG_ERROR, TRANSPORT_LOG, "failed to decode incoming command", LOG_S("error", why),
           LOG_C("from", in->from));
    inbound_close(in);
}

/* ---- not reading on, and reading on ---- */

static bool is_crowded(const struct inbound *in) {
    return in->pending >= PENDING_MAX || stream_backlog(&in->stream) > BACKLOG_MAX;
}

static void pause_reading(struct inbound *in) {
    in->paused = true;
    stream_set_busy(&in->stream, true);
}

/* Looks again in the next round whether it may be read. */
static void resume_soon(struct inbound *in) {
    struct raft_transport *t = in->transport;
    if (!in->paused || in->resume || in->stream.closing)
        return;
    in->resume = true;
    in->resume_previous = t->resume_last;
    *(t->resume_last != NULL ? &t->resume_last->resume_next : &t->resume_first) = in;
    t->resume_last = in;
    t->resume_count++;
    transport_later(t);
}

/* Those that wait now: one that has to wait again meanwhile has its next turn in the next round. */
void inbound_resume(struct raft_transport *t) {
    for (unsigned n = t->resume_count; n > 0 && t->resume_first != NULL; n--) {
        struct inbound *in = t->resume_first;
        resume_remove(in);
        if (in->install_done || in->sink_full || is_crowded(in))
            continue; /* what it waits for will call again */
        in->paused = false;
        stream_set_busy(&in->stream, false);
    }
}

static void inbound_drained(struct stream *s) {
    resume_soon(CONTAINER_OF(s, struct inbound, stream));
}

/* ---- the bytes of a snapshot ---- */

static void write_answers(struct inbound *in);

static void answer_refused(struct inbound *in, struct request *r) {
    raft_wire_write_refusal(STR(RAFT_WIRE_VERSION_ERROR), &r->response);
    r->answered = true;
    write_answers(in);
}

/* All bytes are there: to the driver with it, or first to where they belong. */
static void install_came(struct inbound *in) {
    struct raft_transport *t = in->transport;
    struct request *r = in->install;
    in->install_done = true;
    pause_reading(in);
    if (r->sink != NULL) {
        t->options.install_end(r->sink);
        return;
    }
    in->install = NULL;
    if (r->refused)
        answer_refused(in, r);
    else
        t->options.receive(t->options.owner, &r->message);
}

static size_t install_bytes(struct inbound *in, struct str bytes) {
    struct raft_transport *t = in->transport;
    struct request *r = in->install;
    size_t n = in->install_left < bytes.len ? (size_t)in->install_left : bytes.len;
    in->install_left -= n;
    in->install_at = time_now_monotonic();
    if (r->sink != NULL && n > 0 && !t->options.install_add(r->sink, str_sub(bytes, 0, n))) {
        in->sink_full = true;
        pause_reading(in);
    }
    if (in->install_left == 0)
        install_came(in);
    return n;
}

void raft_transport_install_ready(struct raft_transport *t, const struct raft_message *m) {
    struct request *r = m->reply;
    (void)t;
    ASSERT(r->in != NULL);
    r->in->sink_full = false;
    resume_soon(r->in);
}

void raft_transport_install_complete(struct raft_transport *t, const struct raft_message *m) {
    struct request *r = m->reply;
    ASSERT(r->in != NULL && r->in->install == r);
    r->in->install = NULL;
    t->options.receive(t->options.owner, &r->message);
}

/* The bytes are read whatever becomes of it (raft.md 1.2). */
static void install_begin(struct inbound *in, struct raft_message *m, bool refused) {
    struct raft_transport *t = in->transport;
    struct request *r = request_new(in, m);
    r->message = *m;
    r->message.reply = r;
    r->message.install.leader = str_copy(&r->arena, m->install.leader);
    in->install = r;
    in->install_left = (uint64_t)m->install.size;
    in->install_at = time_now_monotonic();
    r->refused = refused;
    if (!refused && m->install.version >= 0 && m->install.version <= SNAPSHOT_VERSION_MAX)
        r->sink = t->options.install_begin(t->options.owner, &r->message);
    if (in->install_left == 0)
        install_came(in);
}

/* ---- requests as they come ---- */

static void mark_dirty(struct inbound *in) {
    struct raft_transport *t = in->transport;
    if (in->dirty)
        return;
    in->dirty = true;
    in->next_dirty = t->dirty_in;
    t->dirty_in = in;
}

/* Writes the answers that are due: those with no unanswered one before them. */
static void write_answers(struct inbound *in) {
    while (in->first != NULL && in->first->answered) {
        struct request *r = in->first;
        in->first = r->next;
        if (in->first == NULL)
            in->end = &in->first;
        in->pending--;
        buf_add_str(stream_out(&in->stream), buf_str(&r->response));
        request_free(r);
    }
    mark_dirty(in);
    if (in->pending <= PENDING_MAX / 2)
        resume_soon(in);
}

static void take_request(struct inbound *in, struct raft_message *m, int64_t protocol) {
    struct raft_transport *t = in->transport;
    bool refused = !raft_wire_version_ok(protocol, t->options.protocol);
    if (m->kind == RAFT_INSTALL) {
        install_begin(in, m, refused);
        return;
    }
    struct request *r = request_new(in, m);
    m->reply = r;
    if (refused)
        answer_refused(in, r);
    else
        t->options.receive(t->options.owner, m);
    raft_wire_release(m);
}

static enum raft_wire_status read_frame(struct inbound *in, struct str bytes,
                                        struct raft_message *m, int64_t *protocol,
                                        struct arena *arena, struct error *e) {
    size_t used;
    enum raft_wire_status status = raft_wire_scan(&in->scan, bytes, e);
    if (status == RAFT_WIRE_MORE && in->scan.at > RAFT_TRANSPORT_MAX_FRAME) {
        error_set(e, ERROR_INTERNAL, "request of more than %zu bytes", RAFT_TRANSPORT_MAX_FRAME);
        return RAFT_WIRE_BAD;
    }
    if (status != RAFT_WIRE_DONE)
        return status;
    status = raft_wire_read_request(str_sub(bytes, 0, in->scan.at), &used, m, protocol, arena, e);
    if (status == RAFT_WIRE_MORE)
        error_set(e, ERROR_INTERNAL, "msgpack decode error: not a request");
    return status == RAFT_WIRE_DONE ? status : RAFT_WIRE_BAD;
}

/* One frame from the start of bytes; what it took, 0: there is no whole one, or the connection was
 * closed. */
static size_t take_frame(struct inbound *in, struct str bytes) {
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_message m;
    int64_t protocol = 0;
    size_t used = 0;
    enum raft_wire_status status = read_frame(in, bytes, &m, &protocol, &arena, &e);
    if (status == RAFT_WIRE_DONE) {
        used = in->scan.at;
        in->scan = (struct raft_wire_scan){0};
        take_request(in, &m, protocol);
    } else if (status == RAFT_WIRE_BAD) {
        refuse_bytes(in, e.text);
    }
    arena_free(&arena);
    return used;
}

/* What is kept of a frame that has not come completely counts for all connections together. */
static void count_partial(struct inbound *in, size_t left) {
    struct raft_transport *t = in->transport;
    t->partial += left - in->partial;
    in->partial = left;
    if (t->partial > RAFT_TRANSPORT_MAX_PARTIAL)
        refuse_bytes(in, STR("too many bytes of requests that are not complete"));
}

static size_t inbound_data(struct stream *s, const char *bytes, size_t len) {
    struct inbound *in = CONTAINER_OF(s, struct inbound, stream);
    size_t taken = 0;
    while (taken < len && !in->paused && !s->closing) {
        struct str rest = str_of(bytes + taken, len - taken);
        size_t used = in->install != NULL ? install_bytes(in, rest) : take_frame(in, rest);
        if (used == 0)
            break;
        taken += used;
        if (!in->paused && is_crowded(in))
            pause_reading(in);
    }
    if (!s->closing)
        count_partial(in, len - taken);
    resume_soon(in); /* its own answers go out behind this function */
    raft_transport_flush(in->transport);
    return taken;
}

static const struct stream_handlers inbound_handlers = {.data = inbound_data,
                                                        .ended = inbound_ended,
                                                        .drained = inbound_drained,
                                                        .expired = inbound_ended,
                                                        .closed = inbound_closed};

/* ---- answers ---- */

void raft_transport_answer(struct raft_transport *t, const struct raft_message *result,
                           struct str error) {
    struct request *r = result->reply;
    struct inbound *in = r->in;
    ASSERT(!r->answered);
    if (in == NULL) {
        request_free(r);
        return;
    }
    r->answered = true;
    raft_wire_write_response(result, error, t->options.protocol, &r->response);
    if (in->first == r)
        write_answers(in);
}

void raft_transport_drop(struct raft_transport *t, void *reply) {
    struct request *r = reply;
    struct inbound *in = r->in;
    (void)t;
    ASSERT(!r->answered);
    if (in != NULL)
        inbound_close(in);
    request_free(r);
}

void inbound_flush(struct raft_transport *t) {
    while (t->dirty_in != NULL) {
        struct inbound *in = t->dirty_in;
        t->dirty_in = in->next_dirty;
        in->dirty = false;
        stream_flush(&in->stream);
    }
}

/* ---- arriving ---- */

static void arrive(struct message *message) {
    struct arrival *a = CONTAINER_OF(message, struct arrival, message);
    struct raft_transport *t = a->transport;
    if (t->stopped) {
        stream_detached_drop(&a->connection);
        if (a->closed != NULL)
            a->closed(a->owner);
        mem_free(a);
        return;
    }
    log_at(LOG_DEBUG, TRANSPORT_LOG, "accepted connection",
           LOG_S("local-address", t->options.local), LOG_C("remote-address", a->from));
    struct inbound *in = MEM_NEW(struct inbound);
    in->transport = t;
    in->end = &in->first;
    snprintf(in->from, sizeof in->from, "%s", a->from);
    in->closed = a->closed;
    in->owner = a->owner;
    in->next = t->inbounds;
    if (in->next != NULL)
        in->next->previous = in;
    t->inbounds = in;
    t->in_count++;
    stream_attach(&in->stream, t->core, &a->connection, &inbound_handlers);
    mem_free(a);
    transport_watch(t);
    stream_set_busy(&in->stream, false);
}

void raft_transport_accept(struct raft_transport *t, struct stream_detached *connection,
                           const char *from, void (*closed)(void *owner), void *owner) {
    struct arrival *a = MEM_NEW(struct arrival);
    a->message.run = arrive;
    a->transport = t;
    a->connection = *connection;
    *connection = (struct stream_detached){.fd = -1};
    snprintf(a->from, sizeof a->from, "%s", from);
    a->closed = closed;
    a->owner = owner;
    /* Connections are few and limited by the port: never refused. */
    loop_post_reply(t->core, &a->message);
}

void inbound_check(struct raft_transport *t, int64_t now) {
    struct inbound *next;
    for (struct inbound *in = t->inbounds; in != NULL; in = next) {
        next = in->next;
        bool waits = in->install != NULL && !in->install_done && !in->paused;
        if (waits && now - in->install_at > RAFT_TRANSPORT_INSTALL_IDLE)
            inbound_close(in);
    }
}

void inbound_stop(struct raft_transport *t) {
    for (struct inbound *in = t->inbounds; in != NULL; in = in->next)
        inbound_close(in);
}

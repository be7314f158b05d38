/* Connections between servers as the transport has them: for each target one for heartbeats, one
 * for appends, one for votes; each snapshot has its own. On one connection requests arrive in
 * order, and are answered in order (in most runs); a connection that breaks takes with it what was
 * under way, of which a first part may still arrive. What is sent into a partition waits until it
 * ends or the connection is given up. Requests and answers are in the bytes of raft/wire.h.
 */
#include "raft/wire.h"
#include "sim/cluster/sim.h"

struct packet {
    struct sim_event event;
    struct packet *next; /* parked */
    struct connection *connection;
    uint64_t generation, number;
    bool response, failure, duplicate;
    enum raft_message_kind kind; /* of the request */
    struct buf bytes;
    struct blob *blob;
    struct request *request; /* of a failure: taken out of its list */
};

/* ---- blobs ---- */

struct blob *blob_hold(struct blob *b) {
    b->references++;
    return b;
}

void blob_release(struct blob *b) {
    if (b == NULL || --b->references > 0)
        return;
    buf_free(&b->bytes);
    mem_free(b);
}

/* ---- parts ---- */

static void packet_free(struct packet *p) {
    buf_free(&p->bytes);
    blob_release(p->blob);
    mem_free(p->request);
    mem_free(p);
}

static void ticket_free(struct ticket *t) {
    buf_free(&t->answer);
    mem_free(t);
}

static enum channel channel_of(const struct raft_message *m) {
    switch (m->kind) {
    case RAFT_APPEND:
        return m->tag.heartbeat ? CHANNEL_HEARTBEAT : CHANNEL_APPEND;
    case RAFT_INSTALL:
        return CHANNEL_INSTALL;
    default:
        return CHANNEL_VOTE;
    }
}

static void packet_drop(struct sim *s, struct sim_event *e);

static struct packet *packet_new(struct connection *c, uint64_t number) {
    struct packet *p = MEM_NEW(struct packet);
    p->connection = c;
    p->generation = c->generation;
    p->number = number;
    p->event.drop = packet_drop;
    return p;
}

static struct request *request_take(struct connection *c, uint64_t number) {
    for (struct request **link = &c->open; *link != NULL; link = &(*link)->next) {
        struct request *r = *link;
        if (r->number != number)
            continue;
        *link = r->next;
        return r;
    }
    return NULL;
}

/* ---- failures: the sender learns that no answer will come ---- */

static void failure_fire(struct sim *s, struct sim_event *e) {
    struct packet *p = CONTAINER_OF(e, struct packet, event);
    struct request *r = p->request;
    struct raft_message m = {.kind = r->kind,
                             .tag = r->tag,
                             .peer_id = str_from(r->id),
                             .peer_address = str_from(r->address)};
    struct raft_event event = {.kind = RAFT_EVENT_SEND_FAILED, .message = &m};
    SIM_TRACE(s, "%s -> %s: request %llu failed", e->node->id, r->id,
              (unsigned long long)r->number);
    node_step(e->node, &event);
    packet_free(p);
}

static void request_fail(struct sim *s, struct request *r, int64_t delay) {
    struct packet *p = packet_new(r->connection, r->number);
    sim_cancel(s, &r->timeout);
    p->failure = true;
    p->request = r;
    p->event.fire = failure_fire;
    sim_bind(&p->event, s->nodes[r->connection->from]);
    sim_after(s, &p->event, delay);
}

static void tickets_forget(struct connection *c) {
    for (struct ticket *t = c->tickets; t != NULL; t = t->next)
        t->dead = true; /* whoever has it brings it back */
    while (c->tickets != NULL) {
        struct ticket *t = c->tickets;
        c->tickets = t->next;
        if (t->done)
            ticket_free(t);
    }
    c->tickets_end = &c->tickets;
}

void network_break(struct sim *s, struct connection *c) {
    if (sim_chance(s, 2))
        c->late_generation = c->generation;
    c->generation++;
    tickets_forget(c);
    struct request *open = c->open;
    c->open = NULL;
    while (open != NULL) {
        struct request *r = open;
        open = r->next;
        request_fail(s, r, sim_delay(s, 50 * MILLISECOND));
    }
}

static void request_timeout(struct sim *s, struct sim_event *e) {
    struct request *r = CONTAINER_OF(e, struct request, timeout);
    network_break(s, r->connection);
}

/* ---- on the way ---- */

/* In order, unless the run has no order. */
static int64_t due(struct sim *s, struct connection *c, bool back) {
    int64_t at = s->now + sim_delay(s, s->plan.latency);
    int64_t *last = back ? &c->last_due_back : &c->last_due;
    if (s->now < s->slow_until)
        at += sim_delay(s, s->slow_by);
    if (c->channel == CHANNEL_INSTALL || !s->plan.ordered)
        return at;
    if (at <= *last)
        at = *last + 1;
    *last = at;
    return at;
}

static bool still_arrives(const struct packet *p) {
    const struct connection *c = p->connection;
    if (p->duplicate || p->generation == c->generation)
        return true;
    return !p->response && p->generation == c->late_generation;
}

static void park(struct sim *s, struct packet *p) {
    p->next = NULL;
    *s->parked_end = p;
    s->parked_end = &p->next;
}

/* The receiver's process has ended since it was sent. */
static void packet_drop(struct sim *s, struct sim_event *e) {
    struct packet *p = CONTAINER_OF(e, struct packet, event);
    if (!p->failure && !p->duplicate && p->generation == p->connection->generation)
        network_break(s, p->connection);
    packet_free(p);
}

static void request_arrives(struct sim *s, struct packet *p);
static void response_arrives(struct sim *s, struct packet *p);

static void packet_fire(struct sim *s, struct sim_event *e) {
    struct packet *p = CONTAINER_OF(e, struct packet, event);
    struct connection *c = p->connection;
    int from = p->response ? c->to : c->from, to = p->response ? c->from : c->to;
    if (!still_arrives(p)) {
        packet_free(p);
    } else if (s->cut[from][to]) {
        park(s, p);
    } else if (!s->nodes[to]->up) {
        packet_drop(s, e);
    } else if (p->response) {
        response_arrives(s, p);
    } else {
        request_arrives(s, p);
    }
}

/* It is for the process that runs there now, and for no later one. */
static void packet_launch(struct sim *s, struct packet *p, int64_t at) {
    struct connection *c = p->connection;
    p->event.fire = packet_fire;
    sim_bind(&p->event, s->nodes[p->response ? c->from : c->to]);
    sim_at(s, &p->event, at);
}

/* ---- requests ---- */

static void receive(struct node *n, struct raft_message *m, struct blob *blob) {
    if (m->kind == RAFT_INSTALL)
        install_begin(n, m, blob); /* it is received when its bytes are on disk */
    else {
        struct raft_event event = {.kind = RAFT_EVENT_RECEIVE, .message = m};
        node_step(n, &event);
    }
}

static void request_arrives(struct sim *s, struct packet *p) {
    struct connection *c = p->connection;
    struct node *n = s->nodes[c->to];
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_message m;
    size_t used;
    int64_t protocol;
    enum raft_wire_status status =
        raft_wire_read_request(buf_str(&p->bytes), &used, &m, &protocol, &arena, &e);
    SIM_CHECK(s, status == RAFT_WIRE_DONE && used == p->bytes.len && m.kind == p->kind);
    struct ticket *t = MEM_NEW(struct ticket);
    t->connection = c;
    t->number = p->number;
    t->generation = p->generation;
    t->kind = p->kind;
    t->dead = p->duplicate || p->generation != c->generation;
    if (t->dead)
        sim_fault(s, p->duplicate ? FAULT_DUPLICATE : FAULT_LATE);
    /* TimeoutNow has no term: nobody can tell that it is old. */
    if (p->kind == RAFT_TIMEOUT_NOW && (t->dead || !s->nodes[c->from]->told_leader))
        s->doubt_until = s->now + 3 * s->plan.election;
    if (!t->dead) {
        *c->tickets_end = t;
        c->tickets_end = &t->next;
    }
    if (m.kind == RAFT_APPEND && !m.append.heartbeat) {
        size_t count = m.append.count;
        t->last = m.append.previous_index + count;
        t->last_term = count > 0 ? m.append.entries[count - 1]->term : m.append.previous_term;
    }
    if (m.kind == RAFT_VOTE)
        snprintf(t->candidate, sizeof t->candidate, STR_FMT, STR_ARG(m.vote.candidate));
    m.reply = t;
    s->totals.messages++;
    sim_note(s, p->number);
    SIM_TRACE(s, "%s <- %s: request %llu kind %d%s", n->id, s->nodes[c->from]->id,
              (unsigned long long)p->number, p->kind, t->dead ? " (late or twice)" : "");
    receive(n, &m, p->blob);
    raft_wire_release(&m);
    arena_free(&arena);
    packet_free(p);
}

static void request_send(struct sim *s, struct node *n, const struct raft_message *m,
                         struct blob *blob) {
    struct node *to = node_find(s, m->peer_id, m->peer_address);
    int target = to != NULL ? to->slot : n->slot;
    struct connection *c = &s->connections[n->slot][target][channel_of(m)];
    struct request *r = MEM_NEW(struct request);
    *r = (struct request){.number = ++s->requests,
                          .generation = c->generation,
                          .connection = c,
                          .kind = m->kind,
                          .tag = m->tag};
    snprintf(r->id, sizeof r->id, STR_FMT, STR_ARG(m->peer_id));
    snprintf(r->address, sizeof r->address, STR_FMT, STR_ARG(m->peer_address));
    if (to == NULL) { /* nobody is there */
        request_fail(s, r, sim_delay(s, 100 * MILLISECOND));
        blob_release(blob);
        return;
    }
    r->next = c->open;
    c->open = r;
    r->timeout.fire = request_timeout;
    sim_bind(&r->timeout, n);
    sim_after(s, &r->timeout,
              s->plan.rpc_timeout * (m->kind == RAFT_INSTALL ? 3 : 1) +
                  (int64_t)sim_below(s, 1000));
    struct packet *p = packet_new(c, r->number);
    p->kind = m->kind;
    p->blob = blob;
    raft_wire_write_request(m, 3, &p->bytes);
    check_sent(n, m, NULL);
    if (sim_chance(s, s->plan.duplicate_one_in)) {
        struct packet *twin = packet_new(c, r->number);
        twin->kind = p->kind;
        twin->duplicate = true;
        twin->blob = blob != NULL ? blob_hold(blob) : NULL;
        buf_add_str(&twin->bytes, buf_str(&p->bytes));
        packet_launch(s, twin, s->now + sim_delay(s, 5 * SECOND));
    }
    packet_launch(s, p, due(s, c, false));
    if (sim_chance(s, s->plan.lose_one_in)) {
        sim_fault(s, FAULT_RESET);
        network_break(s, c);
    }
}

/* ---- responses ---- */

static void response_arrives(struct sim *s, struct packet *p) {
    struct connection *c = p->connection;
    struct request *r = request_take(c, p->number);
    if (r == NULL) {
        packet_free(p);
        return;
    }
    struct node *n = s->nodes[c->from];
    sim_cancel(s, &r->timeout);
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct raft_message m = {0};
    struct str refusal = STR_NONE;
    size_t used;
    enum raft_wire_status status =
        raft_wire_read_response(r->kind, buf_str(&p->bytes), &used, &m, &refusal, &arena, &e);
    SIM_CHECK(s, status == RAFT_WIRE_DONE && used == p->bytes.len && refusal.len == 0);
    m.tag = r->tag;
    m.peer_id = str_from(r->id);
    m.peer_address = str_from(r->address);
    s->totals.messages++;
    sim_note(s, p->number);
    SIM_TRACE(s, "%s <- %s: answer to %llu kind %d", n->id, r->id, (unsigned long long)r->number,
              r->kind);
    struct raft_event event = {.kind = RAFT_EVENT_RECEIVE, .message = &m};
    node_step(n, &event);
    arena_free(&arena);
    mem_free(r);
    packet_free(p);
}

static void answer_launch(struct sim *s, struct ticket *t) {
    struct connection *c = t->connection;
    struct packet *p = packet_new(c, t->number);
    p->response = true;
    p->kind = t->kind;
    p->bytes = t->answer;
    t->answer = BUF_INIT;
    packet_launch(s, p, due(s, c, true));
    if (sim_chance(s, s->plan.lose_one_in)) {
        sim_fault(s, FAULT_RESET);
        network_break(s, c);
    }
}

/* Those at the head that are done go out; in a run without order each that is done. */
static void answers_flush(struct sim *s, struct connection *c) {
    for (struct ticket **link = &c->tickets; *link != NULL;) {
        struct ticket *t = *link;
        if (!t->done) {
            if (s->plan.ordered)
                break;
            link = &t->next;
            continue;
        }
        *link = t->next;
        if (*link == NULL)
            c->tickets_end = link;
        uint64_t generation = c->generation;
        answer_launch(s, t);
        ticket_free(t);
        if (c->generation != generation)
            break;
    }
}

static void answer(struct sim *s, struct node *n, const struct raft_message *m) {
    struct ticket *t = m->reply;
    check_sent(n, m, t);
    if (t->dead) {
        ticket_free(t);
        return;
    }
    raft_wire_write_response(m, STR(""), 3, &t->answer);
    t->done = true;
    answers_flush(s, t->connection);
}

void network_send(struct sim *s, struct node *n, const struct raft_message *m, struct blob *blob) {
    if (m->kind % 2 == 0)
        request_send(s, n, m, blob);
    else
        answer(s, n, m);
}

void network_drop(struct sim *s, struct ticket *t) {
    if (!t->dead) {
        struct connection *c = t->connection;
        t->done = true; /* freed with the others */
        network_break(s, c);
        return;
    }
    ticket_free(t);
}

/* ---- faults ---- */

void network_cut(struct sim *s, int from, int to) {
    s->cut[from][to] = true;
}

/* What had to wait goes on, in order. */
void network_heal(struct sim *s) {
    memset(s->cut, 0, sizeof s->cut);
    struct packet *p = s->parked;
    s->parked = NULL;
    s->parked_end = &s->parked;
    while (p != NULL) {
        struct packet *next = p->next;
        if (still_arrives(p))
            sim_at(s, &p->event, due(s, p->connection, p->response));
        else
            packet_free(p);
        p = next;
    }
}

/* Connections to and from it are gone; what it had sent may still arrive. */
void network_node_down(struct sim *s, struct node *n) {
    for (int other = 0; other < SIM_SLOTS; other++) {
        for (int ch = 0; ch < CHANNELS; ch++) {
            network_break(s, &s->connections[other][n->slot][ch]);
            struct connection *c = &s->connections[n->slot][other][ch];
            network_break(s, c); /* the failures are dropped with the process */
        }
    }
}

void network_init(struct sim *s) {
    s->parked_end = &s->parked;
    for (int from = 0; from < SIM_SLOTS; from++) {
        for (int to = 0; to < SIM_SLOTS; to++) {
            for (int ch = 0; ch < CHANNELS; ch++) {
                struct connection *c = &s->connections[from][to][ch];
                *c = (struct connection){.from = from, .to = to, .channel = ch, .generation = 1};
                c->tickets_end = &c->tickets;
            }
        }
    }
}

void network_free(struct sim *s) {
    network_heal(s);
    /* Tickets are with those who answer; requests' ends are events: both are freed there. */
}

/* Queries that we ask (gossip.md 9.6): who acknowledged, who answered, until the time is over.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/state.h"

#define OWN_TIMEOUT_MAX HOUR

void query_free(struct gossip *g, struct own_query *q) {
    struct own_query **link = &g->own_queries;
    while (*link != q)
        link = &(*link)->next;
    *link = q->next;
    timer_stop(&g->timers, &q->timer);
    map_free(&q->acks);
    map_free(&q->responses);
    key_collection_free(q->keys);
    mem_free(q);
}

/* Fills in what is ours and begins. m: name, payload, filters, flags, relay factor and timeout (0:
 * the default). NULL: refused. */
struct own_query *query_run(struct gossip *g, struct query_message *m, void *token,
                            struct error *e) {
    size_t running = 0;
    for (const struct own_query *q = g->own_queries; q != NULL; q = q->next)
        running++;
    if (running >= OWN_QUERIES_MAX) {
        error_set(e, ERROR_RATE_LIMIT, "too many queries at a time");
        return NULL;
    }
    const struct identity *us = g->self->id;
    m->ltime = g->query_clock;
    m->id = (uint32_t)(prng_next(&g->rng) >> 33);
    m->addr = str_of(us->address.ip, us->address.len);
    m->port = us->address.port;
    m->source_node = identity_name(us);
    if (m->timeout <= 0)
        m->timeout = gossip_query_timeout(g->timing.gossip_interval, g_count_alive(g));
    if (m->timeout > OWN_TIMEOUT_MAX)
        m->timeout = OWN_TIMEOUT_MAX;
    struct str message = serf_message_of(g, SERF_QUERY, &query_wire, m);
    if (message.len > GOSSIP_QUERY_MAX) {
        error_set(e, ERROR_INTERNAL, "query exceeds limit of %d bytes", GOSSIP_QUERY_MAX);
        return NULL;
    }
    struct own_query *q = MEM_NEW(struct own_query);
    *q = (struct own_query){.next = g->own_queries,
                            .id = ++g->next_query,
                            .ltime = m->ltime,
                            .wire_id = m->id,
                            .token = token,
                            .deadline = g->now + m->timeout};
    q->timer.kind = TIMER_QUERY;
    g->own_queries = q;
    timer_start(&g->timers, &q->timer, q->deadline);
    query_apply(g, m);
    broadcast_serf(g, QUEUE_QUERIES, message, 0);
    return q;
}

static void write_filter(struct buf *out, const struct gossip_filter *f) {
    if (f->nodes != NULL) {
        buf_add_char(out, FILTER_NODES);
        message_write_names(out, f->nodes, f->nodes_len);
    } else {
        struct tag_filter t = {.tag = f->tag, .expr = f->expression};
        buf_add_char(out, FILTER_TAG);
        wire_write(out, &tag_filter_wire, &t);
    }
}

void query_start(struct gossip *g, struct gossip_event *event) {
    struct error e = g_error(g);
    struct str *filters = ARENA_ARRAY(g_arena(g), struct str, event->query.filters_len);
    for (size_t i = 0; i < event->query.filters_len; i++) {
        struct buf one = BUF_INIT;
        write_filter(&one, &event->query.filters[i]);
        filters[i] = str_copy(g_arena(g), buf_str(&one));
        buf_free(&one);
    }
    struct query_message m = {
        .name = event->query.name,
        .payload = event->query.payload,
        .filters = {filters, event->query.filters_len, event->query.filters_len > 0},
        .flags = event->query.want_ack ? QUERY_FLAG_ACK : 0,
        .relay_factor = event->query.relay,
        .timeout = event->query.timeout};
    struct own_query *q = query_run(g, &m, event->token, &e);
    if (q == NULL)
        event->error = e.text;
    else
        event->query.id = q->id;
}

static void tell(struct gossip *g, enum gossip_action_kind kind, const struct own_query *q,
                 struct str from, struct str payload) {
    struct gossip_action *a = g_action(g, kind);
    a->token = q->token;
    a->query.id = q->id;
    a->query.ltime = q->ltime;
    a->query.from = str_copy(g_arena(g), from);
    a->query.payload = str_copy(g_arena(g), payload);
    a->query.deadline = q->deadline;
}

static void finish(struct gossip *g, struct own_query *q) {
    if (q->key)
        key_query_done(g, q);
    else
        tell(g, GOSSIP_ACTION_QUERY_DONE, q, STR_NONE, STR_NONE);
    query_free(g, q);
}

void query_expired(struct gossip *g, struct own_query *q) {
    finish(g, q);
}

static struct own_query *find(struct gossip *g, const struct query_response_message *m) {
    struct own_query *q = g->own_queries;
    while (q != NULL && (q->ltime != m->ltime || q->wire_id != m->id))
        q = q->next;
    return q;
}

void query_response_receive(struct gossip *g, struct str body) {
    struct query_response_message m;
    struct error e = g_error(g);
    if (!wire_read_all(body, &query_response_wire, &m, g_arena(g), &e)) {
        g_log_input(g, LOG_ERROR, true, "Error decoding query response message: " STR_FMT,
                    STR_ARG(e.text));
        return;
    }
    g_log_input(g, LOG_DEBUG, true, "messageQueryResponseType: " STR_FMT, STR_ARG(m.from));
    struct own_query *q = find(g, &m);
    if (q == NULL) {
        g_log_input(g, LOG_WARN, true,
                    "reply for non-running query (LTime: %llu, ID: %u) From: " STR_FMT,
                    (unsigned long long)m.ltime, m.id, STR_ARG(m.from));
        return;
    }
    bool ack = m.flags & RESPONSE_FLAG_ACK;
    struct map *seen = ack ? &q->acks : &q->responses;
    g_metric(g, METRIC_COUNTER, ack ? "serf.query_acks" : "serf.query_responses", 1);
    if (map_get(seen, m.from) != NULL) {
        g_metric(g, METRIC_COUNTER,
                 ack ? "serf.query_duplicate_acks" : "serf.query_duplicate_responses", 1);
        return;
    }
    if (seen->count >= g->max_members || m.from.len > GOSSIP_NAME_MAX)
        return;
    map_put(seen, m.from, q);
    if (!q->key)
        tell(g, ack ? GOSSIP_ACTION_QUERY_ACK : GOSSIP_ACTION_QUERY_RESPONSE, q, m.from, m.payload);
    else if (!ack && key_query_response(g, q, m.from, m.payload))
        finish(g, q);
}

/* Queries that others (or we) ask (gossip.md 9.6, 9.7): dedupe, filters, and the answers' way back,
 * straight and through others.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/state.h"

#define RESPONSE_MAX 1024
#define QUERY_TIMEOUT_MAX HOUR /* longer ones are cut */

/* ---- in ---- */

/* False: it was there already. */
static bool remember(struct gossip *g, const struct query_message *m) {
    if (g->queries == NULL)
        g->queries = mem_zalloc(EVENT_BUFFER, sizeof *g->queries);
    struct query_bucket *b = &g->queries[m->ltime % EVENT_BUFFER];
    if (b->ltime != m->ltime) {
        mem_free(b->ids);
        *b = (struct query_bucket){m->ltime, NULL, 0};
    }
    for (size_t i = 0; i < b->len; i++) {
        if (b->ids[i] == m->id)
            return false;
    }
    if (b->len >= BUCKET_MAX)
        return false;
    b->ids = mem_resize(b->ids, b->len + 1, sizeof *b->ids);
    b->ids[b->len++] = m->id;
    return true;
}

static bool nodes_filter(struct gossip *g, struct str bytes, struct error *e) {
    struct wire_list names;
    if (!message_read_names(bytes, &names, g_arena(g), e))
        return error_prefix(e, "decode filterNodeType: ");
    for (size_t i = 0; i < names.len; i++) {
        if (str_eq(((const struct str *)names.items)[i], member_name(g->self)))
            return true;
    }
    return false;
}

static bool tag_filter(struct gossip *g, struct str bytes, struct error *e) {
    struct tag_filter f;
    if (!wire_read_all(bytes, &tag_filter_wire, &f, g_arena(g), e))
        return error_prefix(e, "decode filterTagType: ");
    struct str value = gossip_tag_get(identity_meta(g->self->id), f.tag);
    bool matches = false;
    if (g->match == NULL)
        return false;
    if (!g->match(g->owner, f.expr, value, &matches, e))
        return error_prefix(e, "compile filter regex (" STR_FMT "): ", STR_ARG(f.expr));
    return matches;
}

static bool filters_pass(struct gossip *g, const struct query_message *m) {
    const struct str *filters = m->filters.items;
    for (size_t i = 0; i < m->filters.len; i++) {
        struct error e = g_error(g);
        int type = filters[i].len > 0 ? (uint8_t)filters[i].data[0] : -1;
        struct str body = str_sub(filters[i], 1, SIZE_MAX);
        bool passes = false;
        if (type == FILTER_NODES)
            passes = nodes_filter(g, body, &e);
        else if (type == FILTER_TAG)
            passes = tag_filter(g, body, &e);
        else
            g_log_input(g, LOG_WARN, true, "query has unrecognized filter type: %d", type);
        if (error_is_set(&e))
            g_log_input(g, LOG_WARN, true, "failed to " STR_FMT, STR_ARG(e.text));
        if (!passes)
            return false;
    }
    return true;
}

static void deliver(struct gossip *g, const struct asked_query *q, struct str name,
                    struct str payload) {
    if (g->asked == NULL)
        g->asked = mem_zalloc(ASKED_QUERIES_MAX, sizeof *g->asked);
    struct asked_query *slot = &g->asked[g->asked_at];
    g->asked_at = (g->asked_at + 1) % ASKED_QUERIES_MAX;
    mem_free(slot->source);
    *slot = *q;
    slot->id = ++g->next_query;
    slot->source = mem_strdup(q->source);
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_QUERY);
    a->query.id = slot->id;
    a->query.ltime = q->ltime;
    a->query.name = str_copy(g_arena(g), name);
    a->query.payload = str_copy(g_arena(g), payload);
    a->query.from = str_copy(g_arena(g), str_from(q->source));
    a->query.deadline = q->deadline;
}

static void ask(struct gossip *g, const struct query_message *m) {
    int64_t timeout = m->timeout < 0 ? 0 : m->timeout;
    struct asked_query q = {
        .ltime = m->ltime,
        .wire_id = m->id,
        .relay = m->relay_factor,
        .source = str_terminated(g_arena(g), m->source_node),
        .deadline = g->now + (timeout < QUERY_TIMEOUT_MAX ? timeout : QUERY_TIMEOUT_MAX)};
    gossip_address_set(&q.address, m->addr, m->port); /* else there is nobody to answer */
    if (m->flags & QUERY_FLAG_ACK) {
        struct error e = g_error(g);
        if (!query_answer(g, &q, RESPONSE_FLAG_ACK, STR_NONE, &e))
            g_log_input(g, LOG_ERROR, true, "failed to send ack: " STR_FMT, STR_ARG(e.text));
    }
    g_metric(g, METRIC_COUNTER, "serf.queries", 1);
    g_count(g, "serf.queries.", m->name);
    snapshot_query_clock(g, m->ltime);
    static const struct str internal = STR_INIT("_serf_");
    if (str_has_prefix(m->name, internal))
        internal_query(g, &q, str_sub(m->name, internal.len, SIZE_MAX), m->payload);
    else
        deliver(g, &q, m->name, m->payload);
}

/* What ends the process of a peer that hears it: we take no notice, and do not pass it on. */
static bool kills_peers(const struct query_message *m) {
    for (size_t i = 0; i < m->filters.len; i++) {
        if (((const struct str *)m->filters.items)[i].len == 0)
            return true;
    }
    return m->payload.len == 0 &&
           (str_is(m->name, "_serf_install-key") || str_is(m->name, "_serf_use-key") ||
            str_is(m->name, "_serf_remove-key"));
}

bool query_apply(struct gossip *g, const struct query_message *m) {
    clock_witness(&g->query_clock, m->ltime);
    if (m->ltime < g->query_min)
        return false;
    if (g->query_clock > EVENT_BUFFER && m->ltime < g->query_clock - EVENT_BUFFER) {
        g_log_input(
            g, LOG_WARN, true, "received old query " STR_FMT " from time %llu (current: %llu)",
            STR_ARG(m->name), (unsigned long long)m->ltime, (unsigned long long)g->query_clock);
        return false;
    }
    if (!remember(g, m))
        return false;
    if (kills_peers(m)) {
        g_log_input(g, LOG_WARN, true,
                    "query " STR_FMT " has an empty filter or payload, dropping it",
                    STR_ARG(m->name));
        return false;
    }
    if (filters_pass(g, m))
        ask(g, m);
    return !(m->flags & QUERY_FLAG_NO_BROADCAST);
}

/* ---- answers ---- */

static struct str encode_answer(struct gossip *g, const struct asked_query *q, uint32_t flags,
                                struct str payload) {
    struct query_response_message m = {.ltime = q->ltime,
                                       .id = q->wire_id,
                                       .from = member_name(g->self),
                                       .flags = flags,
                                       .payload = payload};
    return serf_message_of(g, SERF_QUERY_RESPONSE, &query_response_wire, &m);
}

size_t query_answer_size(struct gossip *g, const struct asked_query *q, struct str payload) {
    return encode_answer(g, q, 0, payload).len;
}

static struct str user_packet(struct gossip *g, struct str serf_message) {
    char *packet = arena_alloc(g_arena(g), 1 + serf_message.len);
    packet[0] = MESSAGE_USER;
    memcpy(packet + 1, serf_message.data, serf_message.len);
    return str_of(packet, 1 + serf_message.len);
}

static bool can_relay(const struct member *m, const struct gossip *g) {
    return m != NULL && m != g->self && m->status == GOSSIP_STATUS_ALIVE &&
           m->id->versions[GOSSIP_PMAX] >= 5;
}

/* Up to `count` members of those that can, all equally likely: reservoir sampling. */
static size_t pick_relays(struct gossip *g, size_t count, struct member **out) {
    size_t seen = 0;
    for (uint32_t slot = 0; slot < g->members.slots; slot++) {
        struct member *m = members_at(&g->members, slot);
        if (!can_relay(m, g))
            continue;
        size_t at = seen < count ? seen : (size_t)prng_below(&g->rng, seen + 1);
        if (at < count)
            out[at] = m;
        seen++;
    }
    return seen < count ? seen : count;
}

static bool relay_answer(struct gossip *g, const struct asked_query *q, struct str answer,
                         struct error *e) {
    struct member *relays[UINT8_MAX];
    if (q->relay == 0 || g->members.with_status < (uint32_t)q->relay + 1)
        return true;
    struct relay_header h = {
        .dest_addr = {.ip = str_of(q->address.ip, q->address.len), .port = q->address.port},
        .dest_name = str_from(q->source)};
    struct str head = serf_message_of(g, SERF_RELAY, &relay_header_wire, &h);
    if (head.len + answer.len > RESPONSE_MAX)
        return error_set(e, ERROR_INTERNAL, "relayed response exceeds limit of %d bytes",
                         RESPONSE_MAX);
    char *bytes = arena_alloc(g_arena(g), head.len + answer.len);
    memcpy(bytes, head.data, head.len);
    memcpy(bytes + head.len, answer.data, answer.len);
    struct str whole = user_packet(g, str_of(bytes, head.len + answer.len));
    size_t count = pick_relays(g, q->relay, relays);
    for (size_t i = 0; i < count; i++)
        packet_send(g, &relays[i]->id->address, member_name(relays[i]), whole, false);
    return true;
}

bool query_answer(struct gossip *g, const struct asked_query *q, uint32_t flags, struct str payload,
                  struct error *e) {
    struct str answer = encode_answer(g, q, flags, payload);
    if (answer.len > RESPONSE_MAX)
        return error_set(e, ERROR_INTERNAL, "response exceeds limit of %d bytes", RESPONSE_MAX);
    if (q->address.len == 0)
        return true;
    packet_send(g, &q->address, str_from(q->source), user_packet(g, answer), false);
    return relay_answer(g, q, answer, e);
}

void query_respond(struct gossip *g, struct gossip_event *event) {
    struct asked_query *q = NULL;
    for (size_t i = 0; g->asked != NULL && i < ASKED_QUERIES_MAX; i++) {
        if (g->asked[i].id == event->respond.id && event->respond.id != 0)
            q = &g->asked[i];
    }
    struct error e = g_error(g);
    if (q == NULL)
        event->error = STR("response already sent");
    else if (g->now > q->deadline)
        event->error = STR("response is past the deadline");
    else if (!query_answer(g, q, 0, event->respond.payload, &e))
        event->error = e.text;
    else
        q->id = 0;
}

/* Somebody's answer, which we are to pass on to him who asked. */
void relay_receive(struct gossip *g, struct str body) {
    struct relay_header h;
    struct error e = g_error(g);
    struct msgpack_reader in = msgpack_read(body);
    struct gossip_address to;
    if (!wire_read(&in, &relay_header_wire, &h, g_arena(g), &e)) {
        g_log_input(g, LOG_ERROR, true, "Error decoding relay header: " STR_FMT, STR_ARG(e.text));
        return;
    }
    struct str inner = str_of(in.at, (size_t)(in.end - in.at));
    if (inner.len == 0 || inner.len > RESPONSE_MAX || h.dest_addr.port <= 0 ||
        h.dest_addr.port > UINT16_MAX ||
        !gossip_address_set(&to, h.dest_addr.ip, (uint16_t)h.dest_addr.port))
        return;
    char text[GOSSIP_ADDRESS_TEXT];
    g_log_input(g, LOG_DEBUG, true, "Relaying response to addr: " STR_FMT,
                STR_ARG(gossip_address_text(&to, text)));
    packet_send(g, &to, h.dest_name, user_packet(g, inner), false);
}

/* Others' probes (gossip.md 6.2): pings are answered at once; pings on behalf of others are sent on
 * and their answers passed back. And coordinates, which travel in the answers.
 */
#include "base/mem.h"
#include "gossip/state.h"

enum { PING_VERSION = 1 };

/* ---- coordinates ---- */

struct str coordinate_encode(struct gossip *g) {
    struct gossip_coordinate *own = &g->coordinate.own;
    struct coordinate_payload p = {.vec = {own->vec, COORDINATE_DIMENSIONS, true},
                                   .error = own->error,
                                   .adjustment = own->adjustment,
                                   .height = own->height};
    struct buf out = BUF_INIT;
    buf_add_char(&out, PING_VERSION);
    wire_write(&out, &coordinate_wire, &p);
    struct str payload = str_copy(g_arena(g), buf_str(&out));
    buf_free(&out);
    return payload;
}

static bool read_coordinate(struct gossip *g, struct str payload, struct gossip_coordinate *out,
                            struct error *e) {
    struct coordinate_payload p;
    if (!wire_read_all(str_sub(payload, 1, SIZE_MAX), &coordinate_wire, &p, g_arena(g), e))
        return false;
    if (p.vec.len != COORDINATE_DIMENSIONS)
        return error_set(e, ERROR_INTERNAL, "dimensions aren't compatible");
    memcpy(out->vec, p.vec.items, sizeof out->vec);
    out->error = p.error;
    out->adjustment = p.adjustment;
    out->height = p.height;
    return true;
}

void coordinate_heard(struct gossip *g, struct member *m, struct str payload, int64_t rtt) {
    if (payload.len == 0)
        return;
    if (payload.data[0] != PING_VERSION) {
        g_log_input(g, LOG_ERROR, true, "Unsupported ping version: %u", (uint8_t)payload.data[0]);
        return;
    }
    struct gossip_coordinate heard;
    struct error e = g_error(g);
    if (!read_coordinate(g, payload, &heard, &e)) {
        g_log_input(g, LOG_ERROR, true, "Failed to decode coordinate from ping: " STR_FMT,
                    STR_ARG(e.text));
        return;
    }
    if (m->coordinate == NULL)
        m->coordinate = MEM_NEW(struct member_coordinate);
    double before = g->coordinate.own.adjustment;
    if (!coordinate_move(&g->coordinate, &m->coordinate->filter, &heard, rtt, &g->rng, &e)) {
        g_metric(g, METRIC_COUNTER, "serf.coordinate.rejected", 1);
        g_log_input(g, LOG_TRACE, true, "Rejected coordinate from " STR_FMT ": " STR_FMT,
                    STR_ARG(member_name(m)), STR_ARG(e.text));
        return;
    }
    if (rtt == 0)
        g_metric(g, METRIC_COUNTER, "serf.coordinate.zero-rtt", 1);
    double moved = g->coordinate.own.adjustment - before;
    g_metric(g, METRIC_SAMPLE, "serf.coordinate.adjustment-ms",
             (moved < 0 ? -moved : moved) * 1000);
    m->coordinate->heard = heard;
    m->coordinate->has_heard = true;
    g_action(g, GOSSIP_ACTION_COORDINATE);
}

/* ---- pings ---- */

static void decode_failed(struct gossip *g, const char *what, const struct gossip_address *from,
                          const struct error *e) {
    char text[GOSSIP_ADDRESS_TEXT];
    g_log_input(g, LOG_ERROR, false, "Failed to decode %s: " STR_FMT " from=" STR_FMT, what,
                STR_ARG(e->text), STR_ARG(gossip_address_text(from, text)));
}

/* Where an answer goes: what the sender says, else where the packet came from. */
static struct gossip_address answer_to(struct str ip, uint16_t port,
                                       const struct gossip_address *from) {
    struct gossip_address to;
    if (port != 0 && gossip_address_set(&to, ip, port))
        return to;
    return *from;
}

void ping_receive(struct gossip *g, const struct gossip_address *from, struct str body) {
    struct ping_message ping;
    struct error e = g_error(g);
    if (!wire_read_all(body, &ping_wire, &ping, g_arena(g), &e)) {
        decode_failed(g, "ping request", from, &e);
        return;
    }
    if (ping.node.len > 0 && !str_eq(ping.node, member_name(g->self))) {
        char text[GOSSIP_ADDRESS_TEXT];
        g_log_input(g, LOG_WARN, false, "Got ping for unexpected node '" STR_FMT "' from=" STR_FMT,
                    STR_ARG(ping.node), STR_ARG(gossip_address_text(from, text)));
        return;
    }
    struct ack_message ack = {.seq_no = ping.seq_no, .payload = coordinate_encode(g)};
    struct gossip_address to = answer_to(ping.source_addr, ping.source_port, from);
    packet_send_with_broadcasts(g, &to, ping.source_node,
                                message_of(g, MESSAGE_ACK, &ack_wire, &ack));
}

void relayed_ping_free(struct gossip *g, struct relayed_ping *r) {
    struct relayed_ping **link = &g->relayed;
    while (*link != r)
        link = &(*link)->next;
    *link = r->next;
    g->relayed_len--;
    timer_stop(&g->timers, &r->timer);
    mem_free(r);
}

static struct relayed_ping *relayed_ping_new(struct gossip *g, struct str name) {
    if (g->relayed_len >= RELAYED_PINGS_MAX)
        return NULL;
    struct relayed_ping *r = mem_alloc(sizeof *r + name.len);
    char *copy = (char *)(r + 1);
    memcpy(copy, name.data, name.len);
    *r = (struct relayed_ping){.next = g->relayed, .from_name = str_of(copy, name.len)};
    r->timer.kind = TIMER_RELAYED_PING;
    g->relayed = r;
    g->relayed_len++;
    timer_start(&g->timers, &r->timer, g->now + g->timing.probe_timeout);
    return r;
}

void indirect_ping_receive(struct gossip *g, const struct gossip_address *from, struct str body) {
    struct indirect_ping_message ask;
    struct error e = g_error(g);
    if (!wire_read_all(body, &indirect_ping_wire, &ask, g_arena(g), &e)) {
        decode_failed(g, "indirect ping request", from, &e);
        return;
    }
    const struct identity *us = g->self->id;
    struct gossip_address target;
    struct relayed_ping *r;
    if (!gossip_address_set(&target, ask.target, ask.port != 0 ? ask.port : us->address.port) ||
        (r = relayed_ping_new(g, ask.source_node)) == NULL)
        return;
    r->sequence = ++g->sequence;
    r->original = ask.seq_no;
    r->nack = ask.nack;
    r->from = answer_to(ask.source_addr, ask.source_port, from);
    struct ping_message ping = {.seq_no = r->sequence,
                                .node = ask.node,
                                .source_addr = str_of(us->address.ip, us->address.len),
                                .source_port = us->address.port,
                                .source_node = identity_name(us)};
    packet_send_with_broadcasts(g, &target, ask.node,
                                message_of(g, MESSAGE_PING, &ping_wire, &ping));
}

void relayed_ping_expired(struct gossip *g, struct relayed_ping *r) {
    if (r->nack) {
        struct nack_message nack = {.seq_no = r->original};
        packet_send_with_broadcasts(g, &r->from, r->from_name,
                                    message_of(g, MESSAGE_NACK, &nack_wire, &nack));
    }
    relayed_ping_free(g, r);
}

/* ---- answers ---- */

void ack_receive(struct gossip *g, const struct gossip_address *from, struct str body) {
    struct ack_message ack;
    struct error e = g_error(g);
    if (!wire_read_all(body, &ack_wire, &ack, g_arena(g), &e)) {
        decode_failed(g, "ack response", from, &e);
        return;
    }
    for (struct relayed_ping *r = g->relayed; r != NULL; r = r->next) {
        if (r->sequence != ack.seq_no)
            continue;
        struct ack_message relayed = {.seq_no = r->original};
        packet_send_with_broadcasts(g, &r->from, r->from_name,
                                    message_of(g, MESSAGE_ACK, &ack_wire, &relayed));
        relayed_ping_free(g, r);
        return;
    }
    probe_acked(g, ack.seq_no, ack.payload);
}

void nack_receive(struct gossip *g, const struct gossip_address *from, struct str body) {
    struct nack_message nack;
    struct error e = g_error(g);
    if (!wire_read_all(body, &nack_wire, &nack, g_arena(g), &e)) {
        decode_failed(g, "nack response", from, &e);
        return;
    }
    probe_nacked(g, nack.seq_no);
}

/* Packets in and out (gossip.md 3): layers off, parts to whom they are for; layers on.
 */
#include "base/mem.h"
#include "gossip/frame.h"
#include "gossip/state.h"

enum {
    SHORTEST_COMPRESSED = 100, /* shorter messages never get shorter */
    MAX_LAYERS = 4,            /* compounds and compressed messages within each other */
    UDP_INFLATED_MAX = 65536,
    MAX_PINGS = 4, /* in a packet: members send one; more would only be answered many times */
};

/* ---- out ---- */

static struct str encode(struct gossip *g, const uint8_t *types, size_t len,
                         const struct wire_shape *shape, const void *body) {
    struct buf out = BUF_INIT;
    buf_add(&out, types, len);
    wire_write(&out, shape, body);
    struct str message = str_copy(g_arena(g), buf_str(&out));
    buf_free(&out);
    return message;
}

struct str message_of(struct gossip *g, enum message_type type, const struct wire_shape *shape,
                      const void *body) {
    return encode(g, (const uint8_t[]){(uint8_t)type}, 1, shape, body);
}

/* Without the type byte of the membership layer. */
struct str serf_message_of(struct gossip *g, enum serf_type type, const struct wire_shape *shape,
                           const void *body) {
    return encode(g, (const uint8_t[]){(uint8_t)type}, 1, shape, body);
}

bool member_takes_crc(const struct member *m) {
    return m->id->versions[GOSSIP_PMAX] >= 5;
}

void packet_send(struct gossip *g, const struct gossip_address *to, struct str name,
                 struct str message, bool crc) {
    struct buf compressed = BUF_INIT, summed = BUF_INIT, sealed = BUF_INIT;
    if (message.len >= SHORTEST_COMPRESSED) {
        frame_compress(&compressed, message);
        if (compressed.len < message.len)
            message = buf_str(&compressed);
    }
    if (crc) {
        frame_add_crc(&summed, message);
        message = buf_str(&summed);
    }
    if (g_encrypts(g) && g->verify_outgoing) {
        uint8_t nonce[CRYPT_NONCE];
        g_nonce(g, nonce);
        crypt_seal(&g->crypt, &sealed, CRYPT_VERSION, g->keyring, nonce, message, STR_NONE);
        message = buf_str(&sealed);
    }
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_SEND);
    a->send.to = *to;
    a->send.name = str_copy(g_arena(g), name);
    a->send.bytes = str_copy(g_arena(g), message);
    g_metric(g, METRIC_COUNTER, "memberlist.udp.sent", (double)message.len);
    buf_free(&compressed);
    buf_free(&summed);
    buf_free(&sealed);
}

void packet_send_with_broadcasts(struct gossip *g, const struct gossip_address *to, struct str name,
                                 struct str message) {
    size_t taken = message.len + FRAME_COMPOUND_OVERHEAD +
                   (g_encrypts(g) && g->verify_outgoing ? CRYPT_OVERHEAD : 0);
    struct str parts[FRAME_COMPOUND_MAX];
    parts[0] = message;
    size_t len = 1;
    if (taken < PACKET_BUDGET)
        len += broadcasts_gather(g, PACKET_BUDGET - taken, FRAME_COMPOUND_MAX - 1, parts + 1);
    if (len == 1) {
        packet_send(g, to, name, message, false);
        return;
    }
    struct buf whole = BUF_INIT;
    frame_compound(&whole, parts, len);
    packet_send(g, to, name, buf_str(&whole), false);
    buf_free(&whole);
}

/* ---- in ---- */

struct receiving {
    struct gossip *g;
    const struct gossip_address *from;
    char from_text[GOSSIP_ADDRESS_TEXT];
    int layers, pings;
};

static void take_message(struct receiving *r, struct str message);

static struct str from_text(struct receiving *r) {
    return gossip_address_text(r->from, r->from_text);
}

static void take_compound(struct receiving *r, struct str body) {
    struct gossip *g = r->g;
    struct error e = g_error(g);
    struct frame_parts parts;
    if (!frame_parts_begin(&parts, body, &e)) {
        g_log_input(g, LOG_ERROR, false,
                    "Failed to decode compound request: " STR_FMT " from=" STR_FMT, STR_ARG(e.text),
                    STR_ARG(from_text(r)));
        return;
    }
    for (struct str part; frame_parts_next(&parts, &part);)
        take_message(r, part);
    if (parts.truncated > 0)
        g_log_input(g, LOG_WARN, false, "Compound request had %zu truncated messages from=" STR_FMT,
                    parts.truncated, STR_ARG(from_text(r)));
}

static void take_compressed(struct receiving *r, struct str body) {
    struct gossip *g = r->g;
    struct error e = g_error(g);
    struct buf inner = BUF_INIT;
    if (frame_decompress(&inner, body, UDP_INFLATED_MAX, g_arena(g), &e))
        take_message(r, buf_str(&inner));
    else
        g_log_input(g, LOG_ERROR, false, "Failed to decompress payload: " STR_FMT " from=" STR_FMT,
                    STR_ARG(e.text), STR_ARG(from_text(r)));
    buf_free(&inner);
}

/* Alive, suspect and dead. */
static void take_membership(struct receiving *r, enum message_type type, struct str body) {
    struct gossip *g = r->g;
    struct error e = g_error(g);
    static const char *const names[] = {
        [MESSAGE_SUSPECT] = "suspect", [MESSAGE_ALIVE] = "alive", [MESSAGE_DEAD] = "dead"};
    bool ok;
    if (type == MESSAGE_ALIVE) {
        struct alive_message a;
        ok = wire_read_all(body, &alive_wire, &a, g_arena(g), &e);
        if (ok)
            alive_apply(g, &a, r->from, false, 0);
    } else {
        struct accusation_message m;
        ok = wire_read_all(body, &accusation_wire, &m, g_arena(g), &e);
        if (ok && type == MESSAGE_SUSPECT)
            suspect_apply(g, &m);
        else if (ok)
            dead_apply(g, &m, 0);
    }
    if (!ok)
        g_log_input(g, LOG_ERROR, false, "Failed to decode %s message: " STR_FMT " from=" STR_FMT,
                    names[type], STR_ARG(e.text), STR_ARG(from_text(r)));
}

static void take_message(struct receiving *r, struct str message) {
    struct gossip *g = r->g;
    if (message.len == 0)
        return;
    enum message_type type = (uint8_t)message.data[0];
    struct str body = str_sub(message, 1, SIZE_MAX);
    if ((type == MESSAGE_COMPOUND || type == MESSAGE_COMPRESS) && ++r->layers > MAX_LAYERS) {
        g_log_input(g, LOG_ERROR, false, "messages nested deeper than %d from=" STR_FMT, MAX_LAYERS,
                    STR_ARG(from_text(r)));
        return;
    }
    switch (type) {
    case MESSAGE_COMPOUND:
        take_compound(r, body);
        r->layers--;
        break;
    case MESSAGE_COMPRESS:
        take_compressed(r, body);
        r->layers--;
        break;
    case MESSAGE_PING:
        if (++r->pings <= MAX_PINGS)
            ping_receive(g, r->from, body);
        break;
    case MESSAGE_INDIRECT_PING:
        if (++r->pings <= MAX_PINGS)
            indirect_ping_receive(g, r->from, body);
        break;
    case MESSAGE_ACK:
        ack_receive(g, r->from, body);
        break;
    case MESSAGE_NACK:
        nack_receive(g, r->from, body);
        break;
    case MESSAGE_SUSPECT:
    case MESSAGE_ALIVE:
    case MESSAGE_DEAD:
        take_membership(r, type, body);
        break;
    case MESSAGE_USER:
        serf_receive(g, body);
        break;
    default:
        g_log_input(g, LOG_ERROR, false, "msg type (%d) not supported from=" STR_FMT, (int)type,
                    STR_ARG(from_text(r)));
    }
}

static void take_packet(struct receiving *r, struct str packet) {
    struct gossip *g = r->g;
    if (packet.len == 0)
        return;
    if ((uint8_t)packet.data[0] == MESSAGE_CRC && packet.len >= FRAME_CRC_SIZE) {
        uint32_t sum = be32_get(packet.data + 1);
        packet = str_sub(packet, FRAME_CRC_SIZE, SIZE_MAX);
        if (frame_crc32(packet) != sum) {
            g_log_input(g, LOG_WARN, false, "Got invalid checksum for UDP packet: %x, %x",
                        frame_crc32(packet), sum);
            return;
        }
    }
    take_message(r, packet);
}

void packet_receive(struct gossip *g, const struct gossip_address *from, struct str bytes) {
    struct receiving r = {.g = g, .from = from};
    g_metric(g, METRIC_COUNTER, "memberlist.udp.received", (double)bytes.len);
    if (bytes.len == 0 || bytes.len > GOSSIP_PACKET_MAX)
        return;
    if (!g_encrypts(g)) {
        take_packet(&r, bytes);
        return;
    }
    struct error e = g_error(g);
    struct buf plain = BUF_INIT;
    if (crypt_open(&g->crypt, &plain, g->keyring, bytes, STR_NONE, &e))
        take_packet(&r, buf_str(&plain));
    else if (!g->verify_incoming)
        take_packet(&r, bytes);
    else
        g_log_input(g, LOG_ERROR, false, "Decrypt packet failed: " STR_FMT " from=" STR_FMT,
                    STR_ARG(e.text), STR_ARG(from_text(&r)));
    buf_free(&plain);
}

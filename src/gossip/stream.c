/* Streams (gossip.md 4): one exchange for each. What comes in is taken apart as it comes, through
 * encryption and compression down to the one message whose end follows from its content; then it is
 * handled, answered, and the stream is closed.
 */
#include "gossip/frame.h"
#include "gossip/state.h"

#include "base/mem.h"

enum { FRAME_HEAD = 5 }; /* type byte and length of an encrypted frame */

/* ---- life ---- */

struct stream *stream_find(struct gossip *g, uint64_t id) {
    struct stream *s = g->streams;
    while (s != NULL && s->id != id)
        s = s->next;
    return s;
}

static struct stream *stream_new(struct gossip *g, enum stream_purpose purpose,
                                 const struct gossip_address *address, struct str name,
                                 int64_t deadline) {
    struct stream *s = MEM_NEW(struct stream);
    s->id = ++g->next_stream;
    s->purpose = purpose;
    s->address = *address;
    s->items_left = -1;
    if (name.len > 0) {
        s->name = mem_alloc(name.len + 1);
        memcpy(s->name, name.data, name.len);
        s->name[name.len] = '\0';
    }
    s->timer.kind = TIMER_STREAM;
    s->next = g->streams;
    g->streams = s;
    timer_start(&g->timers, &s->timer, deadline);
    *(purpose == STREAM_ACCEPTED ? &g->accepted : &g->opened) += 1;
    return s;
}

void stream_free(struct gossip *g, struct stream *s) {
    struct stream **link = &g->streams;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    timer_stop(&g->timers, &s->timer);
    *(s->purpose == STREAM_ACCEPTED ? &g->accepted : &g->opened) -= 1;
    g->push_pulls -= s->push_pull;
    if (s->purpose == STREAM_ACCEPTED)
        g->stream_memory -= s->in.len;
    buf_free(&s->in);
    mem_free(s->name);
    mem_free(s);
}

struct stream *stream_begin(struct gossip *g, enum stream_purpose purpose,
                            const struct gossip_address *to, struct str name, int64_t deadline) {
    if (g->opened >= GOSSIP_OPENED_MAX)
        return NULL;
    struct stream *s = stream_new(g, purpose, to, name, deadline);
    s->begun = g->now;
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_STREAM_OPEN);
    a->stream.id = s->id;
    a->stream.to = *to;
    a->stream.name = str_copy(g_arena(g), name);
    g_metric(g, METRIC_COUNTER, "memberlist.tcp.connect", 1);
    return s;
}

/* Accepted streams from the same IP address. */
static size_t accepted_from(const struct gossip *g, const struct gossip_address *from) {
    size_t count = 0;
    for (const struct stream *s = g->streams; s != NULL; s = s->next)
        count += s->purpose == STREAM_ACCEPTED && s->address.len == from->len &&
                 memcmp(s->address.ip, from->ip, from->len) == 0;
    return count;
}

void stream_accept(struct gossip *g, struct gossip_event *event) {
    char text[GOSSIP_ADDRESS_TEXT];
    struct str from = gossip_address_text(&event->stream.from, text);
    event->stream.id = 0;
    if (g->accepted >= GOSSIP_ACCEPTED_MAX ||
        accepted_from(g, &event->stream.from) >= GOSSIP_ACCEPTED_FROM_ONE) {
        g_log_input(g, LOG_ERROR, false, "Too many streams from=" STR_FMT, STR_ARG(from));
        return;
    }
    struct stream *s = stream_new(g, STREAM_ACCEPTED, &event->stream.from, STR_NONE,
                                  g->now + g->timing.stream_timeout);
    s->opened = true;
    event->stream.id = s->id;
    g_log_input(g, LOG_DEBUG, false, "Stream connection from=" STR_FMT, STR_ARG(from));
    g_metric(g, METRIC_COUNTER, "memberlist.tcp.accept", 1);
}

void stream_end(struct gossip *g, struct stream *s, struct str error) {
    g_action(g, GOSSIP_ACTION_STREAM_CLOSE)->stream.id = s->id;
    char text[GOSSIP_ADDRESS_TEXT];
    struct str address = gossip_address_text(&s->address, text);
    uint32_t sequence = s->sequence;
    bool acked = s->stage == STAGE_DONE;
    switch (s->purpose) {
    case STREAM_ACCEPTED:
        if (error.len > 0)
            g_log_input(g, LOG_ERROR, false, STR_FMT " from=" STR_FMT, STR_ARG(error),
                        STR_ARG(address));
        stream_free(g, s);
        break;
    case STREAM_PUSH_PULL:
        if (error.len > 0)
            g_log_input(g, LOG_ERROR, false, "Push/Pull with %s failed: " STR_FMT,
                        s->name != NULL ? s->name : "", STR_ARG(error));
        stream_free(g, s);
        break;
    case STREAM_PING:
        stream_free(g, s);
        probe_stream_result(g, sequence, acked, error);
        break;
    case STREAM_JOIN:
        join_stream_done(g, s, error); /* frees it */
        break;
    }
}

/* ---- out ---- */

void g_seal_stream(struct gossip *g, struct buf *out, struct str message) {
    struct buf compressed = BUF_INIT;
    frame_compress(&compressed, message);
    if (g_encrypts(g) && g->verify_outgoing) {
        char head[FRAME_HEAD] = {MESSAGE_ENCRYPT};
        uint8_t nonce[CRYPT_NONCE];
        be32_put(head + 1, (uint32_t)crypt_size(CRYPT_VERSION, compressed.len));
        g_nonce(g, nonce);
        buf_add(out, head, sizeof head);
        crypt_seal(&g->crypt, out, CRYPT_VERSION, g->keyring, nonce, buf_str(&compressed),
                   str_of(head, sizeof head));
    } else {
        buf_add_str(out, buf_str(&compressed));
    }
    buf_free(&compressed);
}

void stream_write(struct gossip *g, struct stream *s, struct str message) {
    struct buf out = BUF_INIT;
    g_seal_stream(g, &out, message);
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_STREAM_WRITE);
    a->stream.id = s->id;
    a->stream.bytes = str_copy(g_arena(g), buf_str(&out));
    g_metric(g, METRIC_COUNTER, "memberlist.tcp.sent", (double)out.len);
    buf_free(&out);
}

void stream_opened(struct gossip *g, uint64_t id) {
    struct stream *s = stream_find(g, id);
    if (s == NULL || s->opened)
        return;
    s->opened = true;
    if (s->purpose == STREAM_PING) {
        const struct identity *us = g->self->id;
        struct ping_message ping = {.seq_no = s->sequence,
                                    .node = str_from(s->name),
                                    .source_addr = str_of(us->address.ip, us->address.len),
                                    .source_port = us->address.port,
                                    .source_node = identity_name(us)};
        stream_write(g, s, message_of(g, MESSAGE_PING, &ping_wire, &ping));
        return;
    }
    char text[GOSSIP_ADDRESS_TEXT];
    g_log(g, LOG_DEBUG, false, "Initiating push/pull sync with: %s " STR_FMT,
          s->name != NULL ? s->name : "", STR_ARG(gossip_address_text(&s->address, text)));
    timer_start(&g->timers, &s->timer, g->now + g->timing.stream_timeout);
    stream_write(g, s, push_pull_encode(g, s->purpose == STREAM_JOIN));
}

/* ---- in: layers ---- */

enum progress { PROGRESS_MORE, PROGRESS_DONE, PROGRESS_FAILED };

/* What came is replaced by what was in it; then nothing more is expected. */
static void replace_input(struct gossip *g, struct stream *s, struct buf *inside) {
    if (s->purpose == STREAM_ACCEPTED)
        g->stream_memory += inside->len - s->in.len;
    buf_free(&s->in);
    s->in = *inside;
    s->whole = true;
    s->scan = (struct wire_scan){0, 0};
}

static enum progress failed(struct error *e, const char *text) {
    error_set(e, ERROR_INTERNAL, "%s", text);
    return PROGRESS_FAILED;
}

static enum progress take_frame(struct gossip *g, struct stream *s, struct error *e) {
    struct str in = buf_str(&s->in);
    if (in.data[0] != MESSAGE_ENCRYPT) {
        if (g_encrypts(g) && g->verify_incoming)
            return failed(e, "Encryption is configured but remote state is not encrypted");
        return PROGRESS_DONE;
    }
    if (!g_encrypts(g))
        return failed(e, "Remote state is encrypted and encryption is not configured");
    if (in.len < FRAME_HEAD)
        return PROGRESS_MORE;
    uint32_t len = be32_get(in.data + 1);
    if (len > GOSSIP_STREAM_MAX) {
        error_set(e, ERROR_TOO_LARGE, "Remote node state is larger than limit (%u)", len);
        return PROGRESS_FAILED;
    }
    if (in.len - FRAME_HEAD < len)
        return PROGRESS_MORE;
    struct buf plain = BUF_INIT;
    if (!crypt_open(&g->crypt, &plain, g->keyring, str_sub(in, FRAME_HEAD, len),
                    str_sub(in, 0, FRAME_HEAD), e)) {
        buf_free(&plain);
        return PROGRESS_FAILED;
    }
    replace_input(g, s, &plain);
    return PROGRESS_DONE;
}

static enum progress take_compressed(struct gossip *g, struct stream *s, struct error *e) {
    struct str in = buf_str(&s->in);
    if (in.len == 0)
        return failed(e, "EOF");
    if (in.data[0] != MESSAGE_COMPRESS)
        return PROGRESS_DONE;
    if (s->scan.at == 0)
        s->scan.at = 1;
    switch (wire_scan_value(&s->scan, in)) {
    case WIRE_MORE:
        return s->whole ? failed(e, "unexpected EOF") : PROGRESS_MORE;
    case WIRE_BAD:
        return failed(e, "codec.decoder: currentEncodedType: Undeciphered descriptor: Unrecognized "
                         "descriptor byte: hex: c1, dec: 193");
    case WIRE_DONE:
        break;
    }
    struct buf plain = BUF_INIT;
    if (!frame_decompress(&plain, str_sub(in, 1, SIZE_MAX), GOSSIP_INFLATED_MAX, g_arena(g), e)) {
        buf_free(&plain);
        return PROGRESS_FAILED;
    }
    replace_input(g, s, &plain);
    return PROGRESS_DONE;
}

/* ---- in: the message ---- */

static enum progress scan(struct stream *s, struct error *e) {
    if (s->scan.at == 0)
        s->scan.at = 1;
    switch (wire_scan_value(&s->scan, buf_str(&s->in))) {
    case WIRE_MORE:
        return PROGRESS_MORE;
    case WIRE_BAD:
        return failed(e, "codec.decoder: currentEncodedType: Undeciphered descriptor: Unrecognized "
                         "descriptor byte: hex: c1, dec: 193");
    case WIRE_DONE:
        break;
    }
    return PROGRESS_DONE;
}

static enum progress read_header(struct gossip *g, struct stream *s, struct error *e) {
    struct str body = str_sub(buf_str(&s->in), 1, SIZE_MAX);
    if (s->in.data[0] == MESSAGE_USER) {
        struct user_header h;
        if (!wire_read_all(body, &user_header_wire, &h, g_arena(g), e))
            return PROGRESS_FAILED;
        s->items_left = 0;
        s->tail = h.user_msg_len;
    } else {
        struct push_pull_header h;
        if (!wire_read_all(body, &push_pull_header_wire, &h, g_arena(g), e))
            return PROGRESS_FAILED;
        s->items_left = h.nodes;
        s->tail = h.user_state_len;
    }
    if (s->items_left < 0 || s->tail < 0 || s->tail > GOSSIP_INFLATED_MAX ||
        (uint64_t)s->items_left > 2 * g->max_members)
        return failed(e, "announced lengths are not acceptable");
    return PROGRESS_DONE;
}

/* Header, records, tail. */
static enum progress scan_long(struct gossip *g, struct stream *s, struct error *e) {
    enum progress p;
    if (s->items_left < 0 &&
        ((p = scan(s, e)) != PROGRESS_DONE || (p = read_header(g, s, e)) != PROGRESS_DONE))
        return p;
    for (; s->items_left > 0; s->items_left--) {
        if ((p = scan(s, e)) != PROGRESS_DONE)
            return p;
    }
    return s->in.len - s->scan.at >= (size_t)s->tail ? PROGRESS_DONE : PROGRESS_MORE;
}

static enum progress find_end(struct gossip *g, struct stream *s, struct error *e) {
    if (s->in.len == 0)
        return failed(e, "EOF");
    switch ((uint8_t)s->in.data[0]) {
    case MESSAGE_PING:
    case MESSAGE_ACK:
    case MESSAGE_ERROR:
        return scan(s, e);
    case MESSAGE_PUSH_PULL:
        if (s->purpose == STREAM_ACCEPTED && !s->push_pull) {
            if (g->push_pulls >= PUSH_PULLS_MAX)
                return failed(e, "Too many pending push/pull requests");
            s->push_pull = true;
            g->push_pulls++;
        }
        return scan_long(g, s, e);
    case MESSAGE_USER:
        return scan_long(g, s, e);
    default:
        return PROGRESS_DONE; /* whoever handles it says that it is wrong */
    }
}

/* ---- in: handling ---- */

static struct str body_of(const struct stream *s) {
    return str_sub(buf_str(&s->in), 1, SIZE_MAX);
}

static void serve_push_pull(struct gossip *g, struct stream *s) {
    struct error e = g_error(g);
    timer_start(&g->timers, &s->timer, g->now + g->timing.stream_timeout);
    stream_write(g, s, push_pull_encode(g, push_pull_is_join(g, body_of(s))));
    struct str error = STR_NONE;
    if (!push_pull_merge(g, body_of(s), false, false, &e))
        error = str_format(g_arena(g), "Failed push/pull merge: " STR_FMT, STR_ARG(e.text));
    stream_end(g, s, error);
}

static void serve_ping(struct gossip *g, struct stream *s) {
    struct ping_message ping;
    struct error e = g_error(g);
    if (!wire_read_all(body_of(s), &ping_wire, &ping, g_arena(g), &e)) {
        stream_end(g, s,
                   str_format(g_arena(g), "Failed to decode ping: " STR_FMT, STR_ARG(e.text)));
        return;
    }
    if (ping.node.len > 0 && !str_eq(ping.node, member_name(g->self))) {
        char text[GOSSIP_ADDRESS_TEXT];
        g_log_input(g, LOG_WARN, false, "Got ping for unexpected node " STR_FMT " from=" STR_FMT,
                    STR_ARG(ping.node), STR_ARG(gossip_address_text(&s->address, text)));
        stream_end(g, s, STR_NONE);
        return;
    }
    struct ack_message ack = {.seq_no = ping.seq_no};
    stream_write(g, s, message_of(g, MESSAGE_ACK, &ack_wire, &ack));
    stream_end(g, s, STR_NONE);
}

static void serve(struct gossip *g, struct stream *s) {
    uint8_t type = (uint8_t)s->in.data[0];
    switch (type) {
    case MESSAGE_PUSH_PULL:
        serve_push_pull(g, s);
        break;
    case MESSAGE_PING:
        serve_ping(g, s);
        break;
    case MESSAGE_USER:
        serf_receive(g, str_sub(buf_str(&s->in), s->scan.at, (size_t)s->tail));
        stream_end(g, s, STR_NONE);
        break;
    default:
        stream_end(g, s, str_format(g_arena(g), "Received invalid msgType (%u)", type));
    }
}

static void ping_answered(struct gossip *g, struct stream *s) {
    struct ack_message ack;
    struct error e = g_error(g);
    struct str error = STR_NONE;
    uint8_t type = (uint8_t)s->in.data[0];
    if (type != MESSAGE_ACK)
        error = str_format(g_arena(g), "Unexpected msgType (%u) from ping", type);
    else if (!wire_read_all(body_of(s), &ack_wire, &ack, g_arena(g), &e))
        error = e.text;
    else if (ack.seq_no != s->sequence)
        error = str_format(g_arena(g), "Sequence number from ack (%u) doesn't match ping (%u)",
                           ack.seq_no, s->sequence);
    s->stage = error.len == 0 ? STAGE_DONE : STAGE_PLAIN;
    stream_end(g, s, error);
}

static void push_pull_answered(struct gossip *g, struct stream *s) {
    struct error e = g_error(g);
    uint8_t type = (uint8_t)s->in.data[0];
    bool ok;
    if (type == MESSAGE_PUSH_PULL) {
        bool ignore_old = s->purpose == STREAM_JOIN && s->join->kind == JOIN_COMMAND;
        ok = push_pull_merge(g, body_of(s), s->purpose == STREAM_JOIN, ignore_old, &e);
    } else if (type == MESSAGE_ERROR) {
        struct error_message m;
        ok = wire_read_all(body_of(s), &error_wire, &m, g_arena(g), &e) &&
             error_set(&e, ERROR_INTERNAL, "remote error: " STR_FMT, STR_ARG(m.error));
    } else {
        char text[GOSSIP_ADDRESS_TEXT];
        ok = error_set(&e, ERROR_INTERNAL,
                       "received invalid msgType (%u), expected pushPullMsg (6) from=" STR_FMT,
                       type, STR_ARG(gossip_address_text(&s->address, text)));
    }
    g_metric(g, METRIC_SAMPLE, "memberlist.pushPullNode",
             (double)(g->now - s->begun) / (double)MILLISECOND);
    stream_end(g, s, ok ? STR_NONE : e.text);
}

/* How far it came. */
static struct str receive_failed(struct gossip *g, const struct stream *s, struct str why) {
    bool read = s->stage == STAGE_PLAIN && s->in.len > 0 && s->in.data[0] == MESSAGE_PUSH_PULL;
    return str_format(g_arena(g), "%s: " STR_FMT,
                      read ? "Failed to read remote state" : "failed to receive", STR_ARG(why));
}

/* A frame that cannot be opened is answered with the reason. */
static void refuse(struct gossip *g, struct stream *s, const struct error *e) {
    if (s->purpose == STREAM_ACCEPTED && s->stage != STAGE_PLAIN) {
        struct error_message m = {.error = e->text};
        stream_write(g, s, message_of(g, MESSAGE_ERROR, &error_wire, &m));
    }
    struct str error = e->text;
    if (s->purpose == STREAM_ACCEPTED)
        error = receive_failed(g, s, e->text);
    stream_end(g, s, error);
}

static void handle(struct gossip *g, struct stream *s) {
    if (s->purpose == STREAM_ACCEPTED)
        serve(g, s);
    else if (s->purpose == STREAM_PING)
        ping_answered(g, s);
    else
        push_pull_answered(g, s);
}

static void take_input(struct gossip *g, struct stream *s) {
    struct error e = g_error(g);
    enum progress p = PROGRESS_DONE;
    if (s->stage == STAGE_OUTER && (p = take_frame(g, s, &e)) == PROGRESS_DONE)
        s->stage = STAGE_INNER;
    if (s->stage == STAGE_INNER && (p = take_compressed(g, s, &e)) == PROGRESS_DONE)
        s->stage = STAGE_PLAIN;
    if (s->stage == STAGE_PLAIN) {
        p = find_end(g, s, &e);
        if (p == PROGRESS_MORE && s->whole)
            p = failed(&e, "unexpected EOF");
    }
    if (p == PROGRESS_FAILED)
        refuse(g, s, &e);
    else if (p == PROGRESS_DONE)
        handle(g, s);
}

void stream_data(struct gossip *g, uint64_t id, struct str bytes) {
    struct stream *s = stream_find(g, id);
    if (s == NULL || bytes.len == 0)
        return;
    bool accepted = s->purpose == STREAM_ACCEPTED;
    if (bytes.len > GOSSIP_STREAM_MAX + FRAME_HEAD - s->in.len ||
        (accepted && g->stream_memory + bytes.len > STREAM_MEMORY_MAX)) {
        stream_end(g, s, STR("failed to receive: Remote node state is larger than limit"));
        return;
    }
    buf_add_str(&s->in, bytes);
    if (accepted)
        g->stream_memory += bytes.len;
    take_input(g, s);
}

/* ---- ends that come from outside ---- */

void stream_closed(struct gossip *g, uint64_t id, struct str text) {
    struct stream *s = stream_find(g, id);
    if (s == NULL)
        return;
    if (s->purpose == STREAM_ACCEPTED && s->in.len == 0) { /* somebody looked whether we listen */
        stream_end(g, s, STR_NONE);
        return;
    }
    struct str error = text.len > 0 ? text : STR("EOF");
    if (s->purpose == STREAM_ACCEPTED)
        error = receive_failed(g, s, error);
    stream_end(g, s, error);
}

void stream_expired(struct gossip *g, struct stream *s) {
    char text[GOSSIP_ADDRESS_TEXT];
    struct str address = gossip_address_text(&s->address, text);
    struct str error = str_format(g_arena(g), "%s tcp " STR_FMT ": i/o timeout",
                                  s->opened ? "read" : "dial", STR_ARG(address));
    if (s->purpose == STREAM_ACCEPTED)
        error = receive_failed(g, s, error);
    stream_end(g, s, error);
}

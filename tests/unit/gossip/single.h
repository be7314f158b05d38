/* One core alone, whose others are played by the test: packets and streams are made by hand, what
 * it says is looked at. Header only.
 */
#ifndef PRAETOR_TESTS_GOSSIP_SINGLE_H
#define PRAETOR_TESTS_GOSSIP_SINGLE_H

#include <stdio.h>

#include "base/mem.h"
#include "base/time.h"
#include "gossip/frame.h"
#include "gossip/state.h"

struct single {
    struct gossip *g;
    struct gossip_actions out;
    struct arena arena;
    int64_t now;
    struct str answer; /* of what was written to streams last */
};

static inline void single_start(struct single *s, const struct gossip_options *o) {
    *s = (struct single){.out = GOSSIP_ACTIONS_INIT, .now = 1000 * SECOND};
    struct error e = ERROR_IN(&s->arena);
    s->g = gossip_new(o, s->now, 42, &s->out, &e);
    ASSERT(s->g != NULL);
    gossip_actions_clear(&s->out);
}

static inline void single_init(struct single *s) {
    static struct gossip_timing timing;
    timing = gossip_timing_lan();
    struct gossip_options o = {.name = STR("me"),
                               .meta = STR("meta"),
                               .timing = &timing,
                               .log = LOG_DEBUG,
                               .verify_incoming = true,
                               .verify_outgoing = true};
    gossip_address_parse(&o.address, STR("10.0.0.1:8301"));
    single_start(s, &o);
}

static inline void single_free(struct single *s) {
    gossip_free(s->g);
    gossip_actions_free(&s->out);
    arena_free(&s->arena);
}

static inline struct str encode(struct single *s, enum message_type type,
                                const struct wire_shape *shape, const void *body) {
    struct buf out = BUF_INIT;
    buf_add_char(&out, (char)type);
    wire_write(&out, shape, body);
    struct str message = str_copy(&s->arena, buf_str(&out));
    buf_free(&out);
    return message;
}

static inline struct str encode_serf(struct single *s, enum serf_type type,
                                     const struct wire_shape *shape, const void *body) {
    struct buf out = BUF_INIT;
    buf_add_char(&out, MESSAGE_USER);
    buf_add_char(&out, (char)type);
    wire_write(&out, shape, body);
    struct str message = str_copy(&s->arena, buf_str(&out));
    buf_free(&out);
    return message;
}

static inline void packet(struct single *s, struct str bytes) {
    gossip_actions_clear(&s->out);
    struct gossip_event e = {
        .kind = GOSSIP_EVENT_PACKET, .now = s->now, .packet = {.bytes = bytes}};
    gossip_address_parse(&e.packet.from, STR("10.0.0.99:8301"));
    gossip_step(s->g, &e, &s->out);
}

/* Lets the time pass; what it says meanwhile is kept together. */
static inline void pass(struct single *s, int64_t time) {
    gossip_actions_clear(&s->out);
    int64_t until = s->now + time;
    while (gossip_next_wakeup(s->g) <= until) {
        s->now = gossip_next_wakeup(s->g);
        struct gossip_event e = {.kind = GOSSIP_EVENT_TICK, .now = s->now};
        gossip_step(s->g, &e, &s->out);
    }
    s->now = until;
}

static inline void alive_of(struct single *s, const char *name, const char *address, uint32_t inc,
                            const char *meta) {
    struct gossip_address a;
    gossip_address_parse(&a, str_from(address));
    static const uint8_t vsn[] = OUR_VERSIONS;
    struct alive_message m = {.incarnation = inc,
                              .node = str_from(name),
                              .addr = str_of(a.ip, a.len),
                              .port = a.port,
                              .meta = str_from(meta),
                              .vsn = str_of(vsn, sizeof vsn)};
    packet(s, encode(s, MESSAGE_ALIVE, &alive_wire, &m));
}

static inline void accuse(struct single *s, enum message_type type, const char *name, uint32_t inc,
                          const char *from) {
    struct accusation_message m = {
        .incarnation = inc, .node = str_from(name), .from = str_from(from)};
    packet(s, encode(s, type, &accusation_wire, &m));
}

static inline size_t count(const struct single *s, enum gossip_action_kind kind) {
    size_t n = 0;
    for (size_t i = 0; i < s->out.len; i++)
        n += s->out.items[i].kind == kind;
    return n;
}

static inline const struct gossip_action *nth(const struct single *s, enum gossip_action_kind kind,
                                              size_t n) {
    for (size_t i = 0; i < s->out.len; i++) {
        if (s->out.items[i].kind == kind && n-- == 0)
            return &s->out.items[i];
    }
    return NULL;
}

static inline bool logged(const struct single *s, const char *text) {
    for (size_t i = 0; i < s->out.len; i++) {
        const struct gossip_action *a = &s->out.items[i];
        if (a->kind == GOSSIP_ACTION_LOG && str_find(a->log.text, str_from(text), 0) >= 0)
            return true;
    }
    return false;
}

/* The messages of what was sent: layers off, compounds apart. */
static inline size_t messages_of(struct single *s, struct str bytes, struct str *out, size_t max) {
    struct error e = ERROR_IN(&s->arena);
    if ((uint8_t)bytes.data[0] == MESSAGE_CRC)
        bytes = str_sub(bytes, FRAME_CRC_SIZE, SIZE_MAX);
    if ((uint8_t)bytes.data[0] == MESSAGE_COMPRESS) {
        struct buf plain = BUF_INIT;
        ASSERT(frame_decompress(&plain, str_sub(bytes, 1, SIZE_MAX), 65536, &s->arena, &e));
        bytes = str_copy(&s->arena, buf_str(&plain));
        buf_free(&plain);
    }
    if ((uint8_t)bytes.data[0] != MESSAGE_COMPOUND) {
        out[0] = bytes;
        return 1;
    }
    struct frame_parts parts;
    ASSERT(frame_parts_begin(&parts, str_sub(bytes, 1, SIZE_MAX), &e));
    size_t n = 0;
    while (n < max && frame_parts_next(&parts, &out[n]))
        n++;
    return n;
}

/* The n-th message of that type among all that was sent, or absent; *to: to whom. */
static inline struct str sent(struct single *s, enum message_type type, size_t n,
                              struct gossip_address *to) {
    for (size_t i = 0; i < s->out.len; i++) {
        const struct gossip_action *a = &s->out.items[i];
        if (a->kind != GOSSIP_ACTION_SEND)
            continue;
        struct str parts[FRAME_COMPOUND_MAX];
        size_t len = messages_of(s, a->send.bytes, parts, FRAME_COMPOUND_MAX);
        for (size_t k = 0; k < len; k++) {
            if ((uint8_t)parts[k].data[0] == type && n-- == 0) {
                if (to != NULL)
                    *to = a->send.to;
                return str_copy(&s->arena, str_sub(parts[k], 1, SIZE_MAX));
            }
        }
    }
    return STR_NONE;
}

static inline bool read_body(struct single *s, struct str body, const struct wire_shape *shape,
                             void *to) {
    struct error e = ERROR_IN(&s->arena);
    return body.data != NULL && wire_read_all(body, shape, to, &s->arena, &e);
}

static inline enum gossip_status status_of(struct single *s, const char *name) {
    struct gossip_member m;
    return gossip_member_find(s->g, str_from(name), &m) ? m.status : GOSSIP_STATUS_NONE;
}
static inline enum gossip_state state_of(struct single *s, const char *name) {
    struct gossip_member m;
    ASSERT(gossip_member_find(s->g, str_from(name), &m));
    return m.state;
}

/* ---- streams ---- */

static inline uint64_t stream_from(struct single *s, const char *from) {
    gossip_actions_clear(&s->out);
    struct gossip_event e = {.kind = GOSSIP_EVENT_STREAM_ACCEPTED, .now = s->now};
    gossip_address_parse(&e.stream.from, str_from(from));
    gossip_step(s->g, &e, &s->out);
    return e.stream.id;
}

static inline uint64_t stream_to(struct single *s) {
    return stream_from(s, "10.0.0.99:50000");
}

static inline void stream_put(struct single *s, uint64_t id, struct str bytes) {
    struct gossip_event e = {
        .kind = GOSSIP_EVENT_STREAM_DATA, .now = s->now, .stream = {.id = id, .bytes = bytes}};
    gossip_step(s->g, &e, &s->out);
}

static inline void stream_is_open(struct single *s, uint64_t id) {
    struct gossip_event e = {
        .kind = GOSSIP_EVENT_STREAM_OPENED, .now = s->now, .stream = {.id = id}};
    gossip_step(s->g, &e, &s->out);
}

/* What was written to a stream: decompressed. */
static inline struct str written(struct single *s, uint64_t id) {
    for (size_t i = 0; i < s->out.len; i++) {
        const struct gossip_action *a = &s->out.items[i];
        if (a->kind != GOSSIP_ACTION_STREAM_WRITE || a->stream.id != id)
            continue;
        struct error e = ERROR_IN(&s->arena);
        struct buf plain = BUF_INIT;
        if (frame_decompress(&plain, str_sub(a->stream.bytes, 1, SIZE_MAX), 1 << 24, &s->arena, &e))
            s->answer = str_copy(&s->arena, buf_str(&plain));
        buf_free(&plain);
        return s->answer;
    }
    return STR_NONE;
}

static inline bool closed(struct single *s, uint64_t id) {
    for (size_t i = 0; i < s->out.len; i++) {
        const struct gossip_action *a = &s->out.items[i];
        if (a->kind == GOSSIP_ACTION_STREAM_CLOSE && a->stream.id == id)
            return true;
    }
    return false;
}

/* A push/pull of these records, with an empty state of the upper layer. */
static inline struct str push_pull_of(struct single *s, const struct node_record *records,
                                      size_t len, bool join) {
    struct buf out = BUF_INIT;
    struct push_pull_header h = {.nodes = (int64_t)len, .user_state_len = 0, .join = join};
    buf_add_char(&out, MESSAGE_PUSH_PULL);
    wire_write(&out, &push_pull_header_wire, &h);
    for (size_t i = 0; i < len; i++)
        wire_write(&out, &node_record_wire, &records[i]);
    struct str message = str_copy(&s->arena, buf_str(&out));
    buf_free(&out);
    return message;
}

#endif

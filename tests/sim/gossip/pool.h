/* A pool of gossip cores in memory, on virtual time: a network that delays, loses and parts
 * packets, streams on top of it, nodes that die, stall and come back. One seed replays everything.
 * From a handful to ten thousand nodes in one process. Header only, for tests.
 */
#ifndef PRAETOR_TESTS_GOSSIP_POOL_H
#define PRAETOR_TESTS_GOSSIP_POOL_H

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "gossip/gossip.h"

#define POOL_PORT 8301

struct pool;
struct pool_node {
    struct pool *pool;
    uint32_t number;
    struct gossip *g; /* NULL: not there */
    bool stalled;     /* hears and says nothing, its clock stands */
    char name[32];
    int64_t wake; /* of the entry in the heap that counts */
    /* What it said and heard. */
    uint64_t packets_out, bytes_out, packets_in, stream_bytes;
    uint32_t joins, leaves, failures, updates, reaps;
    uint32_t events; /* user events delivered */
    uint64_t last_event;
    /* The last command's end. */
    bool ended;
    char error[512];
    size_t joined;
    struct buf snapshot;
    struct buf keyring_file;
};

enum pool_kind { POOL_WAKE, POOL_PACKET, POOL_CONNECT, POOL_OPENED, POOL_DATA, POOL_CLOSED };
struct pool_entry {
    int64_t due;
    uint64_t order;
    enum pool_kind kind;
    uint32_t node, from;
    uint64_t stream; /* number in pool->streams */
    char *bytes;
    size_t len;
};
struct pool_stream {
    uint32_t node[2]; /* who opened it, who accepted */
    uint64_t id[2];
    bool closed[2];
    int64_t due[2]; /* of what a side sent last */
};

typedef void pool_hook(struct pool *p, struct pool_node *n, const struct gossip_action *a);
struct pool {
    struct pool_node *nodes;
    uint32_t count;
    int64_t now;
    struct prng rng;
    struct pool_entry *heap;
    size_t heap_len, heap_cap;
    uint64_t order;
    struct pool_stream *streams;
    size_t stream_count, stream_cap;
    struct gossip_actions actions;
    struct gossip_shared *shared;
    /* Settings. */
    double loss; /* of packets, 0..1 */
    int64_t latency, jitter;
    bool (*parted)(struct pool *p, uint32_t a, uint32_t b);
    pool_hook *hook;
    void *context;
    bool logging; /* to stderr */
    char refusal[512];
    /* Options of the nodes to come. */
    struct gossip_timing timing;
    struct keyring keyring;
    gossip_merge_fn *merge;
    gossip_match_fn *match;
    bool snapshots;
    enum log_level log;
    uint64_t seed;
};

static inline struct gossip_address pool_address(uint32_t number) {
    uint8_t ip[4] = {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
    struct gossip_address a;
    gossip_address_set(&a, str_of(ip, 4), POOL_PORT);
    return a;
}

static inline void pool_init(struct pool *p, uint32_t count, uint64_t seed) {
    *p = (struct pool){.count = count,
                       .latency = 200 * MICROSECOND,
                       .jitter = 100 * MICROSECOND,
                       .timing = gossip_timing_lan(),
                       .log = LOG_DEBUG,
                       .seed = seed,
                       .now = 1000 * SECOND,
                       .actions = GOSSIP_ACTIONS_INIT};
    prng_seed(&p->rng, seed);
    p->nodes = mem_zalloc(count, sizeof *p->nodes);
    for (uint32_t i = 0; i < count; i++) {
        p->nodes[i].pool = p;
        p->nodes[i].number = i;
        snprintf(p->nodes[i].name, sizeof p->nodes[i].name, "n%u", i);
    }
}

/* ---- the heap ---- */

static inline bool pool_before(const struct pool_entry *a, const struct pool_entry *b) {
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static inline void pool_push(struct pool *p, struct pool_entry e) {
    if (p->heap_len == p->heap_cap) {
        p->heap_cap = p->heap_cap > 0 ? 2 * p->heap_cap : 256;
        p->heap = mem_resize(p->heap, p->heap_cap, sizeof *p->heap);
    }
    e.order = ++p->order;
    size_t i = p->heap_len++;
    for (; i > 0 && pool_before(&e, &p->heap[(i - 1) / 2]); i = (i - 1) / 2)
        p->heap[i] = p->heap[(i - 1) / 2];
    p->heap[i] = e;
}

static inline struct pool_entry pool_pop(struct pool *p) {
    struct pool_entry first = p->heap[0];
    struct pool_entry last = p->heap[--p->heap_len];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < p->heap_len && pool_before(&p->heap[child + 1], &p->heap[child]))
            child++;
        if (child >= p->heap_len || !pool_before(&p->heap[child], &last))
            break;
        p->heap[i] = p->heap[child];
        i = child;
    }
    p->heap[i] = last;
    return first;
}

static inline char *pool_copy(struct str bytes) {
    char *copy = mem_alloc(bytes.len > 0 ? bytes.len : 1);
    memcpy(copy, bytes.data, bytes.len);
    return copy;
}

static inline int64_t pool_delay(struct pool *p) {
    return p->latency + (p->jitter > 0 ? (int64_t)prng_below(&p->rng, (uint64_t)p->jitter) : 0);
}

static inline bool pool_reaches(struct pool *p, uint32_t a, uint32_t b) {
    return p->parted == NULL || !p->parted(p, a, b);
}

/* The node that has the address, or count. */
static inline uint32_t pool_number(const struct pool *p, const struct gossip_address *a) {
    if (a->len != 4 || a->ip[0] != 10 || a->port != POOL_PORT)
        return p->count;
    uint32_t number = (uint32_t)a->ip[1] << 16 | (uint32_t)a->ip[2] << 8 | a->ip[3];
    return number < p->count ? number : p->count;
}

/* ---- actions ---- */

static inline void pool_step(struct pool *p, struct pool_node *n, struct gossip_event *event);

static inline void pool_send(struct pool *p, struct pool_node *n, const struct gossip_action *a) {
    uint32_t to = pool_number(p, &a->send.to);
    n->packets_out++;
    n->bytes_out += a->send.bytes.len;
    if (to == p->count || !pool_reaches(p, n->number, to) ||
        (p->loss > 0 && to != n->number && prng_unit(&p->rng) < p->loss))
        return;
    pool_push(p, (struct pool_entry){.due = p->now + pool_delay(p),
                                     .kind = POOL_PACKET,
                                     .node = to,
                                     .from = n->number,
                                     .bytes = pool_copy(a->send.bytes),
                                     .len = a->send.bytes.len});
}

/* Streams lose nothing, but what is lost below is sent again: by the usual timers of TCP. */
static inline int64_t pool_repeats(struct pool *p, int64_t first) {
    int64_t delay = 0;
    for (; p->loss > 0 && prng_unit(&p->rng) < p->loss && delay < MINUTE; first *= 2)
        delay += first;
    return delay;
}

static inline void pool_open(struct pool *p, struct pool_node *n, const struct gossip_action *a) {
    uint32_t to = pool_number(p, &a->stream.to);
    if (to == p->count || !pool_reaches(p, n->number, to))
        return; /* nobody answers */
    if (p->stream_count == p->stream_cap) {
        p->stream_cap = p->stream_cap > 0 ? 2 * p->stream_cap : 64;
        p->streams = mem_resize(p->streams, p->stream_cap, sizeof *p->streams);
    }
    p->streams[p->stream_count] =
        (struct pool_stream){.node = {n->number, to}, .id = {a->stream.id, 0}};
    pool_push(p, (struct pool_entry){.due = p->now + pool_delay(p) + pool_repeats(p, SECOND),
                                     .kind = POOL_CONNECT,
                                     .node = to,
                                     .from = n->number,
                                     .stream = p->stream_count++});
}

/* Newest first: an id is that of a stream which is not closed on this side. */
static inline size_t pool_find_stream(const struct pool *p, uint32_t node, uint64_t id, int *side) {
    for (size_t i = p->stream_count; i > 0; i--) {
        const struct pool_stream *s = &p->streams[i - 1];
        for (*side = 0; *side < 2; ++*side) {
            if (s->node[*side] == node && s->id[*side] == id)
                return i - 1;
        }
    }
    return p->stream_count;
}

static inline void pool_pass(struct pool *p, size_t stream, int from_side, enum pool_kind kind,
                             struct str bytes) {
    struct pool_stream *s = &p->streams[stream];
    uint32_t to = s->node[!from_side];
    if (!pool_reaches(p, s->node[from_side], to))
        return;
    int64_t due = p->now + p->latency + p->jitter +
                  pool_repeats(p, kind == POOL_OPENED ? SECOND : 200 * MILLISECOND);
    s->due[from_side] = due > s->due[from_side] ? due : s->due[from_side]; /* in order */
    pool_push(p, (struct pool_entry){.due = s->due[from_side],
                                     .kind = kind,
                                     .node = to,
                                     .from = s->node[from_side],
                                     .stream = stream,
                                     .bytes = pool_copy(bytes),
                                     .len = bytes.len});
}

static inline void pool_stream_action(struct pool *p, struct pool_node *n,
                                      const struct gossip_action *a) {
    int side;
    size_t stream = pool_find_stream(p, n->number, a->stream.id, &side);
    if (stream == p->stream_count)
        return;
    if (a->kind == GOSSIP_ACTION_STREAM_WRITE) {
        n->stream_bytes += a->stream.bytes.len;
        pool_pass(p, stream, side, POOL_DATA, a->stream.bytes);
        return;
    }
    p->streams[stream].closed[side] = true;
    pool_pass(p, stream, side, POOL_CLOSED, STR(""));
}

static inline void pool_count(struct pool_node *n, const struct gossip_action *a) {
    switch (a->kind) {
    case GOSSIP_ACTION_MEMBER:
        n->joins += a->member.event == GOSSIP_MEMBER_JOIN;
        n->leaves += a->member.event == GOSSIP_MEMBER_LEAVE;
        n->failures += a->member.event == GOSSIP_MEMBER_FAILED;
        n->updates += a->member.event == GOSSIP_MEMBER_UPDATE;
        n->reaps += a->member.event == GOSSIP_MEMBER_REAP;
        break;
    case GOSSIP_ACTION_USER_EVENT:
        n->events++;
        n->last_event = a->user_event.ltime;
        break;
    case GOSSIP_ACTION_JOINED:
        n->joined = a->joined.joined;
        /* fallthrough */
    case GOSSIP_ACTION_LEFT:
    case GOSSIP_ACTION_FORCED_LEAVE:
    case GOSSIP_ACTION_TAGS_SET:
    case GOSSIP_ACTION_KEY_DONE:
        n->ended = true;
        snprintf(n->error, sizeof n->error, STR_FMT, STR_ARG(a->error));
        break;
    case GOSSIP_ACTION_SNAPSHOT:
        if (a->snapshot.replace)
            buf_clear(&n->snapshot);
        buf_add_str(&n->snapshot, a->snapshot.bytes);
        break;
    default:
        break;
    }
}

static inline void pool_act(struct pool *p, struct pool_node *n) {
    /* A step inside a step would overwrite the actions: none is made here. */
    struct gossip_actions actions = p->actions;
    p->actions = GOSSIP_ACTIONS_INIT;
    for (size_t i = 0; i < actions.len; i++) {
        const struct gossip_action *a = &actions.items[i];
        pool_count(n, a);
        if (p->hook != NULL)
            p->hook(p, n, a);
        switch (a->kind) {
        case GOSSIP_ACTION_SEND:
            pool_send(p, n, a);
            break;
        case GOSSIP_ACTION_STREAM_OPEN:
            pool_open(p, n, a);
            break;
        case GOSSIP_ACTION_STREAM_WRITE:
        case GOSSIP_ACTION_STREAM_CLOSE:
            pool_stream_action(p, n, a);
            break;
        case GOSSIP_ACTION_KEYRING: {
            buf_clear(&n->keyring_file);
            buf_add_str(&n->keyring_file, a->keyring.text);
            struct gossip_event e = {.kind = GOSSIP_EVENT_KEYRING_WRITTEN,
                                     .keyring_written = {.sequence = a->keyring.sequence}};
            pool_step(p, n, &e);
            break;
        }
        case GOSSIP_ACTION_LOG:
            if (p->logging)
                fprintf(stderr, "%.3f %s [%s] " STR_FMT "\n", (double)p->now / 1e9, n->name,
                        log_level_name(a->log.level), STR_ARG(a->log.text));
            break;
        default:
            break;
        }
    }
    if (p->actions.cap == 0) {
        p->actions = actions;
        gossip_actions_clear(&p->actions);
    } else {
        gossip_actions_free(&actions);
    }
}

static inline void pool_schedule(struct pool *p, struct pool_node *n) {
    int64_t next = gossip_next_wakeup(n->g);
    if (next == INT64_MAX || next == n->wake)
        return;
    n->wake = next;
    pool_push(p, (struct pool_entry){.due = next > p->now ? next : p->now,
                                     .kind = POOL_WAKE,
                                     .node = n->number,
                                     .stream = (uint64_t)next});
}

static inline void pool_step(struct pool *p, struct pool_node *n, struct gossip_event *event) {
    event->now = p->now;
    gossip_step(n->g, event, &p->actions);
    if (event->error.len > 0) { /* it lives with the actions */
        snprintf(p->refusal, sizeof p->refusal, STR_FMT, STR_ARG(event->error));
        event->error = str_from(p->refusal);
    }
    pool_act(p, n);
    pool_schedule(p, n);
}

/* ---- nodes ---- */

static inline struct str pool_meta(const char *role, struct arena *arena) {
    struct gossip_tag tags[] = {{STR("role"), str_from(role)}, {STR("dc"), STR("dc1")}};
    struct str meta;
    struct error e = ERROR_IN(arena);
    gossip_tags_write(tags, COUNT_OF(tags), &meta, arena, &e);
    return meta;
}

static inline void pool_start_with(struct pool *p, uint32_t number, struct str meta) {
    struct pool_node *n = &p->nodes[number];
    struct arena arena = ARENA_INIT;
    struct error e = ERROR_IN(&arena);
    struct str snapshot = str_copy(&arena, buf_str(&n->snapshot));
    struct gossip_options o = {.name = str_from(n->name),
                               .address = pool_address(number),
                               .meta = meta,
                               .timing = &p->timing,
                               .keyring = &p->keyring,
                               .verify_incoming = true,
                               .verify_outgoing = true,
                               .keyring_file = true,
                               .snapshot = p->snapshots,
                               .snapshot_text = snapshot,
                               .owner = n,
                               .merge = p->merge,
                               .match = p->match,
                               .log = p->log,
                               .shared = p->shared};
    n->g = gossip_new(&o, p->now, p->seed * 1000003 + number * 7919 + (uint64_t)p->now, &p->actions,
                      &e);
    ASSERT(n->g != NULL);
    n->stalled = false;
    n->wake = 0;
    pool_act(p, n);
    pool_schedule(p, n);
    arena_free(&arena);
}

static inline void pool_start(struct pool *p, uint32_t number) {
    struct arena arena = ARENA_INIT;
    pool_start_with(p, number, pool_meta("node", &arena));
    arena_free(&arena);
}

/* Without a word. */
static inline void pool_kill(struct pool *p, uint32_t number) {
    struct pool_node *n = &p->nodes[number];
    gossip_free(n->g);
    n->g = NULL;
    for (size_t i = 0; i < p->stream_count; i++) {
        for (int side = 0; side < 2; side++) {
            struct pool_stream *s = &p->streams[i];
            if (s->node[side] == number && !s->closed[side] && s->id[side] != 0) {
                s->closed[side] = true;
                s->id[side] = 0;
                pool_pass(p, i, side, POOL_CLOSED, STR(""));
            }
        }
    }
}

static inline void pool_free(struct pool *p) {
    for (uint32_t i = 0; i < p->count; i++) {
        gossip_free(p->nodes[i].g);
        buf_free(&p->nodes[i].snapshot);
        buf_free(&p->nodes[i].keyring_file);
    }
    for (size_t i = 0; i < p->heap_len; i++)
        mem_free(p->heap[i].bytes);
    mem_free(p->heap);
    mem_free(p->streams);
    mem_free(p->nodes);
    gossip_actions_free(&p->actions);
    gossip_shared_free(p->shared);
}

/* ---- time ---- */

static inline void pool_closed(struct pool *p, struct pool_node *n, uint64_t id, const char *text) {
    struct gossip_event e = {.kind = GOSSIP_EVENT_STREAM_CLOSED,
                             .stream = {.id = id, .text = str_from(text)}};
    pool_step(p, n, &e);
}

static inline void pool_connect(struct pool *p, struct pool_node *n, struct pool_entry *entry) {
    uint64_t id = 0;
    if (n->g != NULL) {
        struct gossip_event e = {.kind = GOSSIP_EVENT_STREAM_ACCEPTED,
                                 .stream = {.from = pool_address(entry->from)}};
        e.stream.from.port = 50000;
        pool_step(p, n, &e);
        id = e.stream.id;
    }
    p->streams[entry->stream].id[1] = id;
    /* Refused or opened: the other side hears of it one way later. */
    pool_pass(p, entry->stream, 1, id != 0 ? POOL_OPENED : POOL_CLOSED,
              id != 0 ? STR("") : STR("dial tcp: connect: connection refused"));
}

static inline void pool_deliver(struct pool *p, struct pool_entry *entry) {
    struct pool_node *n = &p->nodes[entry->node];
    if (entry->kind == POOL_CONNECT) {
        pool_connect(p, n, entry);
        return;
    }
    if (n->g == NULL)
        return;
    if (entry->kind == POOL_PACKET) {
        n->packets_in++;
        struct gossip_event e = {.kind = GOSSIP_EVENT_PACKET,
                                 .packet = {.from = pool_address(entry->from),
                                            .bytes = str_of(entry->bytes, entry->len)}};
        pool_step(p, n, &e);
        return;
    }
    if (entry->kind == POOL_WAKE) {
        if (n->wake != (int64_t)entry->stream)
            return;
        n->wake = 0;
        struct gossip_event e = {.kind = GOSSIP_EVENT_TICK};
        pool_step(p, n, &e);
        return;
    }
    struct pool_stream *s = &p->streams[entry->stream];
    int side = s->node[0] == entry->from && s->node[1] == entry->node ? 1 : 0;
    if (s->node[0] == s->node[1])
        return;
    uint64_t id = s->id[side];
    if (id == 0 || s->closed[side])
        return;
    if (entry->kind == POOL_CLOSED) {
        s->closed[side] = true;
        char text[128];
        snprintf(text, sizeof text, "%.*s", (int)entry->len, entry->bytes);
        pool_closed(p, n, id, text);
        return;
    }
    struct gossip_event e = {.kind = entry->kind == POOL_OPENED ? GOSSIP_EVENT_STREAM_OPENED
                                                                : GOSSIP_EVENT_STREAM_DATA,
                             .stream = {.id = id, .bytes = str_of(entry->bytes, entry->len)}};
    pool_step(p, n, &e);
}

/* Lets time pass until `until`, or until done() says so. */
static inline bool pool_run(struct pool *p, int64_t time,
                            bool (*done)(struct pool *p, void *context), void *context) {
    int64_t until = p->now + time;
    while (p->heap_len > 0 && p->heap[0].due <= until) {
        struct pool_entry entry = pool_pop(p);
        p->now = entry.due > p->now ? entry.due : p->now;
        if (p->nodes[entry.node].stalled) {
            /* It stays in the socket's buffer; timers come first when the node wakes. */
            entry.due = p->now + (entry.kind == POOL_WAKE ? 1 : 10) * MILLISECOND;
            pool_push(p, entry);
            continue;
        }
        pool_deliver(p, &entry);
        mem_free(entry.bytes);
        if (done != NULL && done(p, context))
            return true;
    }
    p->now = until;
    return done == NULL;
}

/* ---- commands ---- */

static inline void pool_command(struct pool *p, uint32_t number, struct gossip_event *e) {
    p->nodes[number].ended = false;
    p->nodes[number].error[0] = '\0';
    pool_step(p, &p->nodes[number], e);
}

static inline bool pool_has_ended(struct pool *p, void *context) {
    return p->nodes[*(uint32_t *)context].ended;
}

/* Until the command ends, at most a minute. */
static inline bool pool_await(struct pool *p, uint32_t number) {
    return pool_has_ended(p, &number) || pool_run(p, MINUTE, pool_has_ended, &number);
}

static inline void pool_join(struct pool *p, uint32_t number, uint32_t to) {
    struct gossip_target target = {.address = pool_address(to)};
    struct gossip_event e = {.kind = GOSSIP_EVENT_JOIN, .join = {.targets = &target, .len = 1}};
    pool_command(p, number, &e);
}

/* How many members a node has with that status. */
static inline size_t pool_members(struct pool *p, uint32_t number, enum gossip_status status) {
    struct gossip_member m;
    size_t count = 0;
    for (size_t i = 0; gossip_member_next(p->nodes[number].g, &i, &m);)
        count += m.status == status;
    return count;
}

/* Status of one in the eyes of another. */
static inline enum gossip_status pool_status(struct pool *p, uint32_t of, uint32_t in_eyes_of) {
    struct gossip_member m;
    return gossip_member_find(p->nodes[in_eyes_of].g, str_from(p->nodes[of].name), &m)
               ? m.status
               : GOSSIP_STATUS_NONE;
}

#endif

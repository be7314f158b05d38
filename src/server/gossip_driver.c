/* A gossip core on real time and real sockets. See gossip_driver.h.
 *
 * Everything goes through `step`: an event into the core, its actions out. Actions never call back
 * into the core before all of them are done; what they set off (a connection that cannot be made,
 * a file that is written) comes as an event of its own, later.
 */
#include "server/gossip_driver.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "net/udp.h"
#include "server/gossip_files.h"
#include "server/secure.h"
#include "server/wan_dial.h"
#include "server/wan_packets.h"

/* What a stream may have waiting to be sent before it is given up: the answer to a push/pull. */
#define QUEUES_PERIOD (30 * SECOND)
#define STREAM_BACKLOG_MAX (2 * (size_t)GOSSIP_STREAM_MAX)

struct gossip_stream {
    struct gossip_stream *next, *previous;
    struct gossip_driver *driver;
    uint64_t id;       /* 0: the core is not to hear of it any more */
    struct dial *dial; /* while it is being made; or: */
    struct wan_dial *wan_dial;
    struct rpc_lease *lease; /* it came in on the server port; or NULL */
    bool open;               /* stream is in use */
    struct stream stream;
    struct buf waiting; /* written before it was connected */
};

struct gossip_join; /* a join whose names are being resolved */

/* What a command's token points to. */
struct gossip_command {
    union {
        gossip_done *done;
        gossip_join_done *join;
        gossip_key_done *key;
    };
    void *owner;
    struct gossip_command *next, *previous;
    enum gossip_action_kind ends_with;
};

struct gossip_driver {
    struct gossip_driver_options options;
    struct arena arena;
    char log_serf[40], log_memberlist[40];
    struct keyring keyring;
    struct str snapshot_text; /* until the start */

    struct loop *core;
    struct udp *udp;
    struct listener *listener;
    struct gossip_files *files;
    struct gossip *gossip;
    struct gossip_actions actions;
    struct wan_packets *packets; /* through gateways */
    struct loop_timer timer, queues_timer;
    bool started, stopping, stepping;
    struct gossip_stream *streams;
    struct gossip_command *commands;
    struct gossip_join *joins;
};

static void step(struct gossip_driver *d, struct gossip_event *event);

/* ---- start ---- */

static void copy_options(struct gossip_driver *d, const struct gossip_driver_options *from) {
    struct gossip_driver_options *o = &d->options;
    *o = *from;
    o->bind = str_copy(&d->arena, from->bind);
    o->snapshot = str_copy(&d->arena, from->snapshot);
    o->keyring = str_copy(&d->arena, from->keyring);
    o->core.name = str_copy(&d->arena, from->core.name);
    o->datacenter = str_copy(&d->arena, from->datacenter);
    if (from->core.timing != NULL)
        o->core.timing = arena_copy(&d->arena, from->core.timing, sizeof(*from->core.timing));
    if (from->core.allowed_len > 0)
        o->core.allowed = arena_copy(&d->arena, from->core.allowed,
                                     from->core.allowed_len * sizeof(*from->core.allowed));
    const char *kind = from->server ? "server" : "client";
    snprintf(d->log_serf, sizeof(d->log_serf), "agent.%s.serf.%s", kind, from->pool);
    snprintf(d->log_memberlist, sizeof(d->log_memberlist), "agent.%s.memberlist.%s", kind,
             from->pool);
}

static bool open_files(struct gossip_driver *d, struct str encrypt, struct error *e) {
    if (!gossip_keyring_load(d->options.keyring, encrypt, &d->keyring, e))
        return error_prefix(e, "Failed to configure keyring: ");
    return d->options.snapshot.len == 0 ||
           gossip_file_read(d->options.snapshot, &d->arena, &d->snapshot_text, e);
}

static bool open_sockets(struct gossip_driver *d, struct error *e) {
    static const char prefix[] = "Failed to create memberlist: Could not set up network transport: "
                                 "failed to obtain an address: Failed to start %s listener on "
                                 "\"%.*s\" port %u: ";
    struct gossip_driver_options *o = &d->options;
    uint16_t port = o->core.address.port;
    d->listener = listener_open_tcp(o->bind, port, e);
    if (d->listener == NULL)
        return error_prefix(e, prefix, "TCP", STR_ARG(o->bind), port);
    o->core.address.port = (uint16_t)listener_port(d->listener);
    d->udp = udp_open(o->bind, o->core.address.port, e);
    if (d->udp == NULL)
        return error_prefix(e, prefix, "UDP", STR_ARG(o->bind), port);
    return true;
}

struct gossip_driver *gossip_driver_open(const struct gossip_driver_options *options,
                                         struct error *e) {
    struct gossip_driver *d = MEM_NEW(struct gossip_driver);
    d->arena = ARENA_INIT;
    d->actions = GOSSIP_ACTIONS_INIT;
    copy_options(d, options);
    if (open_files(d, options->encrypt, e) && open_sockets(d, e))
        return d;
    gossip_driver_free(d);
    return NULL;
}

uint16_t gossip_driver_port(const struct gossip_driver *d) {
    return d->options.core.address.port;
}

const struct gossip *gossip_driver_core(const struct gossip_driver *d) {
    return d->gossip;
}

bool gossip_driver_encrypted(const struct gossip_driver *d) {
    return gossip_get_stats(d->gossip).encrypted;
}

/* ---- streams ---- */

static struct gossip_stream *stream_find(struct gossip_driver *d, uint64_t id) {
    for (struct gossip_stream *s = d->streams; s != NULL; s = s->next) {
        if (s->id == id)
            return s;
    }
    return NULL;
}

static struct gossip_stream *stream_new(struct gossip_driver *d, uint64_t id) {
    struct gossip_stream *s = MEM_NEW(struct gossip_stream);
    s->driver = d;
    s->id = id;
    s->next = d->streams;
    if (s->next != NULL)
        s->next->previous = s;
    d->streams = s;
    return s;
}

static void stream_free(struct gossip_stream *s) {
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        s->driver->streams = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    buf_free(&s->waiting);
    rpc_lease_release(s->lease);
    mem_free(s);
}

/* The core hears of its end, once. */
static void stream_tell_closed(struct gossip_stream *s, struct str text) {
    uint64_t id = s->id;
    s->id = 0;
    if (id == 0)
        return;
    struct gossip_event event = {.kind = GOSSIP_EVENT_STREAM_CLOSED,
                                 .stream = {.id = id, .text = text}};
    step(s->driver, &event);
}

static size_t on_data(struct stream *stream, const char *bytes, size_t len) {
    struct gossip_stream *s = CONTAINER_OF(stream, struct gossip_stream, stream);
    if (s->id != 0) {
        struct gossip_event event = {.kind = GOSSIP_EVENT_STREAM_DATA,
                                     .stream = {.id = s->id, .bytes = str_of(bytes, len)}};
        step(s->driver, &event);
    }
    return len;
}

static void on_ended(struct stream *stream) {
    stream_tell_closed(CONTAINER_OF(stream, struct gossip_stream, stream), STR(""));
    stream_close(stream);
}

static void on_expired(struct stream *stream) {
    stream_close(stream); /* no deadline is ever set: time limits are the core's */
}

static void on_closed(struct stream *stream) {
    struct gossip_stream *s = CONTAINER_OF(stream, struct gossip_stream, stream);
    stream_tell_closed(s, STR("connection reset by peer"));
    stream_free(s);
}

static const struct stream_handlers stream_handlers = {
    .data = on_data, .ended = on_ended, .expired = on_expired, .closed = on_closed};

/* What came along waits until the stream is no longer busy. */
static void stream_begin(struct gossip_stream *s, struct stream_detached *connection) {
    s->open = true;
    stream_attach(&s->stream, s->driver->core, connection, &stream_handlers);
    if (s->waiting.len > 0) {
        buf_add_str(stream_out(&s->stream), buf_str(&s->waiting));
        buf_free(&s->waiting);
        stream_flush(&s->stream);
    }
}

static void on_connected(void *owner, struct stream_detached *connection, const struct error *e) {
    struct gossip_stream *s = owner;
    s->wan_dial = NULL;
    if (connection == NULL) {
        stream_tell_closed(s, e->text);
        stream_free(s);
        return;
    }
    uint64_t id = s->id;
    stream_begin(s, connection);
    struct gossip_event event = {.kind = GOSSIP_EVENT_STREAM_OPENED, .stream = {.id = id}};
    step(s->driver, &event);
    stream_set_busy(&s->stream, false);
}

static void on_dialled(void *owner, int fd, const struct error *e) {
    struct gossip_stream *s = owner;
    struct stream_detached connection = {.fd = fd};
    s->dial = NULL;
    on_connected(s, fd >= 0 ? &connection : NULL, e);
}

static bool is_behind_gateway(const struct gossip_driver *d, struct str name) {
    return d->options.gateways != NULL && gateway_member_is_remote(name, d->options.datacenter);
}

static void stream_dial(struct gossip_driver *d, const struct gossip_action *a) {
    char text[GOSSIP_ADDRESS_TEXT];
    struct gossip_stream *s = stream_new(d, a->stream.id);
    if (is_behind_gateway(d, a->stream.name)) {
        const struct wan_dial_options options = {.node = a->stream.name,
                                                 .protocol = SECURE_NATIVE_GOSSIP_STREAM,
                                                 .timeout = d->options.core.timing->stream_timeout};
        s->wan_dial = wan_dial_start(d->options.gateways, d->core, &options, on_connected, s);
        return;
    }
    struct dial_target target = {.ip = gossip_address_ip(&a->stream.to, text),
                                 .port = a->stream.to.port,
                                 .timeout = d->options.core.timing->stream_timeout};
    s->dial = dial_start(d->core, &target, on_dialled, s);
}

static void stream_write(struct gossip_driver *d, const struct gossip_action *a) {
    struct gossip_stream *s = stream_find(d, a->stream.id);
    if (s == NULL)
        return;
    if (!s->open) {
        buf_add_str(&s->waiting, a->stream.bytes);
        return;
    }
    buf_add_str(stream_out(&s->stream), a->stream.bytes);
    stream_flush(&s->stream);
    if (stream_backlog(&s->stream) > STREAM_BACKLOG_MAX)
        stream_close(&s->stream);
}

static void stream_undial(struct gossip_stream *s) {
    if (s->dial != NULL)
        dial_cancel(s->dial);
    if (s->wan_dial != NULL)
        wan_dial_cancel(s->wan_dial);
    stream_free(s);
}

/* By the core: nothing more is said of it. */
static void stream_end(struct gossip_driver *d, const struct gossip_action *a) {
    struct gossip_stream *s = stream_find(d, a->stream.id);
    if (s == NULL)
        return;
    s->id = 0;
    if (s->open) {
        stream_finish(&s->stream);
        return;
    }
    stream_undial(s);
}

static void stream_accept(struct gossip_driver *d, struct stream_detached *connection,
                          const struct peer_address *peer, struct rpc_lease *lease) {
    struct gossip_event event = {.kind = GOSSIP_EVENT_STREAM_ACCEPTED,
                                 .stream = {.from = {.len = peer->ip_len, .port = peer->port}}};
    memcpy(event.stream.from.ip, peer->ip, sizeof(event.stream.from.ip));
    struct gossip_stream *s = stream_new(d, 0);
    s->lease = lease;
    stream_begin(s, connection);
    if (!d->stopping)
        step(d, &event);
    s->id = event.stream.id;
    if (s->id == 0)
        stream_close(&s->stream);
    else
        stream_set_busy(&s->stream, false);
}

static void on_accept(void *owner, struct loop *loop, int fd, const struct peer_address *peer) {
    (void)loop;
    struct stream_detached connection = {.fd = fd};
    stream_accept(owner, &connection, peer, NULL);
}

/* ---- what came in on the server port ---- */

struct arrival {
    struct message message;
    struct gossip_driver *driver;
    struct stream_detached connection;
    struct peer_address from;
    struct rpc_lease *lease;
    bool packets;
};

static void arrive(struct message *m) {
    struct arrival *a = CONTAINER_OF(m, struct arrival, message);
    struct gossip_driver *d = a->driver;
    if (!d->started || d->stopping) {
        stream_detached_drop(&a->connection);
        rpc_lease_release(a->lease);
    } else if (a->packets) {
        wan_packets_accept(d->packets, &a->connection, &a->from, a->lease);
    } else {
        stream_accept(d, &a->connection, &a->from, a->lease);
    }
    mem_free(a);
}

void gossip_driver_accept(struct gossip_driver *d, struct stream_detached *connection,
                          const struct peer_address *from, struct rpc_lease *lease, bool packets) {
    struct arrival *a = MEM_NEW(struct arrival);
    *a = (struct arrival){.message = {.run = arrive},
                          .driver = d,
                          .connection = *connection,
                          .from = *from,
                          .lease = lease,
                          .packets = packets};
    *connection = (struct stream_detached){.fd = -1};
    /* Limited by the port, for each client: never refused. */
    loop_post_reply(d->core, &a->message);
}

/* ---- packets ---- */

static void on_carried(void *owner, const struct peer_address *from, struct str bytes) {
    struct gossip_driver *d = owner;
    struct gossip_event event = {
        .kind = GOSSIP_EVENT_PACKET,
        .packet = {.from = {.len = from->ip_len, .port = from->port}, .bytes = bytes}};
    memcpy(event.packet.from.ip, from->ip, sizeof(event.packet.from.ip));
    step(d, &event);
}

static void on_packet(void *owner, const struct udp_address *from, struct str bytes) {
    struct gossip_driver *d = owner;
    struct gossip_event event = {
        .kind = GOSSIP_EVENT_PACKET,
        .packet = {.from = {.len = from->len, .port = from->port}, .bytes = bytes}};
    memcpy(event.packet.from.ip, from->ip, sizeof(event.packet.from.ip));
    step(d, &event);
}

static void packet_send(struct gossip_driver *d, const struct gossip_action *a) {
    struct udp_address to = {.len = a->send.to.len, .port = a->send.to.port};
    char address[GOSSIP_ADDRESS_TEXT];
    const char *why;
    if (is_behind_gateway(d, a->send.name)) {
        wan_packets_send(d->packets, a->send.name, gossip_address_text(&a->send.to, address),
                         a->send.bytes);
        return;
    }
    memcpy(to.ip, a->send.to.ip, sizeof(to.ip));
    if (to.len == 0 || udp_send(d->udp, &to, a->send.bytes, &why) || why == NULL)
        return;
    log_at(LOG_DEBUG, d->log_memberlist, "memberlist: Failed to send UDP message",
           LOG_S("to", gossip_address_text(&a->send.to, address)), LOG_C("error", why));
}

/* ---- commands ---- */

static struct gossip_command *command_new(struct gossip_driver *d, enum gossip_action_kind ends,
                                          void *owner) {
    struct gossip_command *c = MEM_NEW(struct gossip_command);
    c->owner = owner;
    c->ends_with = ends;
    c->next = d->commands;
    if (c->next != NULL)
        c->next->previous = c;
    d->commands = c;
    return c;
}

static void command_unlink(struct gossip_driver *d, struct gossip_command *c) {
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        d->commands = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
}

static void command_end(struct gossip_driver *d, struct gossip_command *c, size_t joined,
                        const struct gossip_key_result *result, struct str error) {
    static const struct gossip_key_result nothing;
    command_unlink(d, c);
    if (c->ends_with == GOSSIP_ACTION_JOINED)
        c->join(c->owner, joined, error);
    else if (c->ends_with == GOSSIP_ACTION_KEY_DONE)
        c->key(c->owner, result != NULL ? result : &nothing, error);
    else if (c->done != NULL)
        c->done(c->owner, error);
    mem_free(c);
}

/* Gives the core a command; one that it refuses ends at once. */
static void command_run(struct gossip_driver *d, struct gossip_command *c,
                        struct gossip_event *event) {
    if (d->stopping || d->gossip == NULL) {
        command_end(d, c, 0, NULL, STR("agent is shutting down"));
        return;
    }
    event->token = c;
    event->error = STR("");
    step(d, event);
}

/* ---- actions ---- */

static void log_line(struct gossip_driver *d, const struct gossip_action *a) {
    struct arena arena = ARENA_INIT;
    log_at(a->log.level, a->log.serf ? d->log_serf : d->log_memberlist,
           str_terminated(&arena, a->log.text));
    arena_free(&arena);
}

static void metric(const struct gossip_action *a) {
    struct arena arena = ARENA_INIT;
    metric_add(a->metric.kind, str_terminated(&arena, a->metric.name), a->metric.value, NULL);
    arena_free(&arena);
}

static void on_keyring_written(void *owner, uint64_t sequence, struct str error) {
    struct gossip_driver *d = owner;
    if (d->stopping)
        return;
    struct gossip_event event = {.kind = GOSSIP_EVENT_KEYRING_WRITTEN,
                                 .keyring_written = {.sequence = sequence, .error = error}};
    step(d, &event);
}

static void command_ended(struct gossip_driver *d, const struct gossip_action *a) {
    struct gossip_command *c = a->token;
    if (c == NULL)
        return;
    ASSERT(c->ends_with == a->kind);
    command_end(d, c, a->kind == GOSSIP_ACTION_JOINED ? a->joined.joined : 0,
                a->kind == GOSSIP_ACTION_KEY_DONE ? &a->key : NULL, a->error);
}

static void act(struct gossip_driver *d, const struct gossip_action *a) {
    switch (a->kind) {
    case GOSSIP_ACTION_SEND:
        packet_send(d, a);
        return;
    case GOSSIP_ACTION_STREAM_OPEN:
        stream_dial(d, a);
        return;
    case GOSSIP_ACTION_STREAM_WRITE:
        stream_write(d, a);
        return;
    case GOSSIP_ACTION_STREAM_CLOSE:
        stream_end(d, a);
        return;
    case GOSSIP_ACTION_MEMBER:
        d->options.on_member(d->options.owner, a->member.event, &a->member.member);
        return;
    case GOSSIP_ACTION_USER_EVENT:
        d->options.on_user_event(d->options.owner, a->user_event.ltime, a->user_event.name,
                                 a->user_event.payload);
        return;
    case GOSSIP_ACTION_SNAPSHOT:
        gossip_files_snapshot(d->files, a->snapshot.replace, a->snapshot.sync, a->snapshot.bytes);
        return;
    case GOSSIP_ACTION_KEYRING:
        gossip_files_keyring(d->files, a->keyring.text, on_keyring_written, d, a->keyring.sequence);
        return;
    case GOSSIP_ACTION_LOG:
        log_line(d, a);
        return;
    case GOSSIP_ACTION_METRIC:
        metric(a);
        return;
    case GOSSIP_ACTION_JOINED:
    case GOSSIP_ACTION_LEFT:
    case GOSSIP_ACTION_FORCED_LEAVE:
    case GOSSIP_ACTION_TAGS_SET:
    case GOSSIP_ACTION_KEY_DONE:
        command_ended(d, a);
        return;
    case GOSSIP_ACTION_QUERY: /* nobody here answers those that are not internal */
    case GOSSIP_ACTION_QUERY_ACK:
    case GOSSIP_ACTION_QUERY_RESPONSE:
    case GOSSIP_ACTION_QUERY_DONE:
    case GOSSIP_ACTION_COORDINATE: /* is asked for when it is wanted */
        return;
    }
}

static void timer_set(struct gossip_driver *d) {
    int64_t at = gossip_next_wakeup(d->gossip);
    if (at == INT64_MAX) {
        loop_timer_stop(&d->timer);
        return;
    }
    int64_t wait = at - time_now_monotonic();
    loop_timer_set(&d->timer, wait > 0 ? wait : 0);
}

/* Callbacks may give commands while the actions of an event are being done: these get a list of
 * their own. */
static void perform(struct gossip_driver *d) {
    struct gossip_actions actions = d->actions;
    d->actions = GOSSIP_ACTIONS_INIT;
    for (size_t i = 0; i < actions.len; i++)
        act(d, &actions.items[i]);
    gossip_actions_clear(&actions);
    if (d->actions.items == NULL)
        d->actions = actions; /* its memory serves again */
    else
        gossip_actions_free(&actions);
}

static void step(struct gossip_driver *d, struct gossip_event *event) {
    if (d->gossip == NULL)
        return;
    ASSERT(!d->stepping);
    event->now = time_now_monotonic();
    d->stepping = true;
    gossip_step(d->gossip, event, &d->actions);
    d->stepping = false;
    struct gossip_command *refused =
        event->token != NULL && event->error.len > 0 ? event->token : NULL;
    struct arena arena = ARENA_INIT;
    struct str why = refused != NULL ? str_copy(&arena, event->error) : STR("");
    perform(d);
    if (refused != NULL)
        command_end(d, refused, 0, NULL, why);
    arena_free(&arena);
    timer_set(d);
}

static void on_timer(struct loop_timer *t) {
    struct gossip_event event = {.kind = GOSSIP_EVENT_TICK};
    step(t->owner, &event);
}

/* How much waits to be spread (agent.md 6.4). */
static void on_queues_timer(struct loop_timer *t) {
    struct gossip_driver *d = t->owner;
    struct gossip_stats stats = gossip_get_stats(d->gossip);
    metric_sample("serf.queue.Intent", (double)stats.intent_queue);
    metric_sample("serf.queue.Event", (double)stats.event_queue);
    metric_sample("serf.queue.Query", (double)stats.query_queue);
    loop_timer_set(t, QUEUES_PERIOD);
}

static void random_nonce(void *owner, void *out, size_t len) {
    (void)owner;
    random_bytes(out, len);
}

bool gossip_driver_start(struct gossip_driver *d, struct loop *core, struct str meta,
                         struct error *e) {
    struct gossip_driver_options *o = &d->options;
    uint64_t seed;
    random_bytes(&seed, sizeof(seed));
    d->core = core;
    if (o->snapshot.len > 0 || o->keyring.len > 0) {
        d->files = gossip_files_start(core, o->snapshot, o->keyring, e);
        if (d->files == NULL)
            return false;
    }
    o->core.meta = str_copy(&d->arena, meta);
    o->core.keyring = d->keyring.len > 0 ? &d->keyring : NULL;
    o->core.keyring_file = o->keyring.len > 0;
    o->core.snapshot = o->snapshot.len > 0;
    o->core.snapshot_text = d->snapshot_text;
    o->core.nonce = random_nonce;
    o->core.metrics = true;
    o->core.log = (enum log_level)atomic_load(&log_threshold);
    loop_timer_init(core, &d->timer, on_timer, d);
    loop_timer_init(core, &d->queues_timer, on_queues_timer, d);
    const struct wan_packets_options packets = {.core = core,
                                                .gateways = o->gateways,
                                                .logger = d->log_memberlist,
                                                .owner = d,
                                                .packet = on_carried};
    d->packets = wan_packets_new(&packets);
    d->started = true;
    d->gossip = gossip_new(&o->core, time_now_monotonic(), seed, &d->actions, e);
    if (d->gossip == NULL)
        return false;
    udp_start(d->udp, core, on_packet, d);
    listener_start(d->listener, &d->core, 1, on_accept, d);
    loop_timer_set(&d->queues_timer, QUEUES_PERIOD);
    perform(d);
    timer_set(d);
    return true;
}

/* ---- stop ---- */

void gossip_driver_close_listener(struct gossip_driver *d) {
    if (d->listener != NULL)
        listener_close(d->listener);
    d->listener = NULL;
}

static void joins_cancel(struct gossip_driver *d);

void gossip_driver_stop(struct gossip_driver *d) {
    if (!d->started || d->stopping)
        return;
    d->stopping = true;
    joins_cancel(d);
    if (d->gossip != NULL) {
        gossip_close(d->gossip, time_now_monotonic(), &d->actions);
        perform(d);
    }
    while (d->commands != NULL)
        command_end(d, d->commands, 0, NULL, STR("agent is shutting down"));
    for (struct gossip_stream *s = d->streams, *next; s != NULL; s = next) {
        next = s->next;
        s->id = 0;
        if (s->open) {
            stream_close(&s->stream);
        } else {
            stream_undial(s);
        }
    }
    wan_packets_close(d->packets);
    gossip_files_stop(d->files);
    udp_close(d->udp);
    d->udp = NULL;
    loop_timer_close(&d->timer, NULL);
    loop_timer_close(&d->queues_timer, NULL);
}

void gossip_driver_free(struct gossip_driver *d) {
    if (d == NULL)
        return;
    ASSERT(d->streams == NULL && d->commands == NULL);
    if (d->listener != NULL)
        listener_close(d->listener);
    if (!d->stopping)
        udp_close(d->udp);
    gossip_files_free(d->files);
    wan_packets_free(d->packets);
    if (d->gossip != NULL)
        gossip_free(d->gossip);
    gossip_actions_free(&d->actions);
    explicit_bzero(&d->keyring, sizeof(d->keyring));
    struct arena arena = d->arena;
    arena_free(&arena);
    mem_free(d);
}

/* ---- joining: names first (gossip.md 12.7) ---- */

/* One address as it was given, and what became of it. */
struct join_part {
    struct gossip_join *join;
    struct str text; /* as given */
    struct str name; /* of the node, before the slash */
    uint16_t port;
    struct resolve *resolve;
    struct gossip_target *targets;
    size_t count;
};

struct gossip_join {
    struct gossip_join *next, *previous;
    struct gossip_driver *driver;
    struct gossip_command *command;
    struct arena arena;
    struct join_part *parts;
    size_t count, waiting;
};

static void join_unlink(struct gossip_join *j) {
    if (j->previous != NULL)
        j->previous->next = j->next;
    else
        j->driver->joins = j->next;
    if (j->next != NULL)
        j->next->previous = j->previous;
}

static void join_free(struct gossip_join *j) {
    struct arena arena = j->arena;
    arena_free(&arena);
}

/* All names have their addresses, or a reason why not. */
static void join_go(struct gossip_join *j) {
    struct gossip_driver *d = j->driver;
    size_t len = 0;
    for (size_t i = 0; i < j->count; i++)
        len += j->parts[i].count;
    struct gossip_target *targets = ARENA_ARRAY(&j->arena, struct gossip_target, len + 1);
    len = 0;
    for (size_t i = 0; i < j->count; i++) {
        for (size_t k = 0; k < j->parts[i].count; k++)
            targets[len++] = j->parts[i].targets[k];
    }
    struct gossip_event event = {.kind = GOSSIP_EVENT_JOIN,
                                 .join = {.targets = targets, .len = len}};
    join_unlink(j);
    command_run(d, j->command, &event);
    join_free(j);
}

static void part_failed(struct join_part *p, struct str why) {
    struct arena *arena = &p->join->arena;
    p->targets = ARENA_NEW(arena, struct gossip_target);
    p->targets->failed = str_format(arena, "Failed to resolve " STR_FMT ": " STR_FMT,
                                    STR_ARG(p->text), STR_ARG(why));
    p->count = 1;
}

static void on_resolved(void *owner, const struct resolved_address *addresses, size_t count,
                        const struct error *e) {
    struct join_part *p = owner;
    struct gossip_join *j = p->join;
    p->resolve = NULL;
    if (count == 0) {
        part_failed(p, e->text);
    } else {
        p->targets = ARENA_ARRAY(&j->arena, struct gossip_target, count);
        p->count = count;
        for (size_t i = 0; i < count; i++) {
            p->targets[i].name = p->name;
            gossip_address_set(&p->targets[i].address, str_of(addresses[i].ip, addresses[i].len),
                               p->port);
        }
    }
    if (--j->waiting == 0)
        join_go(j);
}

static bool no_such_host(struct str text, struct error *e) {
    return error_set(e, ERROR_IO, "lookup " STR_FMT ": no such host", STR_ARG(text));
}

static bool read_port(struct str text, uint16_t *port, struct error *e) {
    uint64_t number = 0;
    bool digits = text.len > 0;
    for (size_t i = 0; i < text.len; i++)
        digits &= text.data[i] >= '0' && text.data[i] <= '9';
    if (!digits || !str_to_u64(text, &number) || number > UINT16_MAX)
        return error_set(e, ERROR_IO, "strconv.ParseUint: parsing " STR_FMT ": %s",
                         STR_ARG(str_quote(e->arena, text)),
                         digits ? "value out of range" : "invalid syntax");
    *port = (uint16_t)number;
    return true;
}

/* "host", "host:port", "[ip]", "[ip]:port", a bare IPv6 address. */
static bool host_split(struct str text, struct str *host, uint16_t *port, struct error *e) {
    ptrdiff_t first = str_find_char(text, ':');
    struct str whole = text;
    *host = text;
    if (text.len > 0 && text.data[0] == '[') {
        ptrdiff_t end = str_find_char(text, ']');
        if (end < 0)
            return error_set(e, ERROR_IO, "address " STR_FMT ": missing ']' in address",
                             STR_ARG(text));
        *host = str_sub(text, 1, (size_t)end - 1);
        text = str_sub(text, (size_t)end + 1, text.len);
        if (text.len == 0)
            return true;
        if (text.data[0] != ':')
            return no_such_host(whole, e);
        text = str_sub(text, 1, text.len);
    } else if (first >= 0 && str_find(text, STR(":"), (size_t)first + 1) < 0) {
        *host = str_sub(text, 0, (size_t)first);
        text = str_sub(text, (size_t)first + 1, text.len);
    } else {
        return true;
    }
    return read_port(text, port, e);
}

static void part_start(struct join_part *p, struct str text, struct loop *core) {
    struct gossip_join *j = p->join;
    struct gossip_address address;
    struct error e = ERROR_IN(&j->arena);
    struct str host;
    p->text = str_copy(&j->arena, text);
    p->port = gossip_driver_port(j->driver);
    struct str rest = p->text;
    ptrdiff_t slash = str_find_char(rest, '/');
    if (slash >= 0) {
        p->name = str_sub(rest, 0, (size_t)slash);
        rest = str_sub(rest, (size_t)slash + 1, rest.len);
    }
    if (slash == 0) {
        part_failed(p, STR("empty node name provided"));
    } else if (!host_split(rest, &host, &p->port, &e) ||
               (host.len == 0 && !no_such_host(host, &e))) {
        part_failed(p, e.text);
    } else if (gossip_address_parse_ip(&address, host, p->port)) {
        p->targets = ARENA_NEW(&j->arena, struct gossip_target);
        *p->targets = (struct gossip_target){.name = p->name, .address = address};
        p->count = 1;
    } else {
        p->resolve = resolve_start(core, host, on_resolved, p);
        j->waiting++;
    }
}

void gossip_driver_join(struct gossip_driver *d, const struct str *addresses, size_t count,
                        gossip_join_done *done, void *owner) {
    struct gossip_command *c = command_new(d, GOSSIP_ACTION_JOINED, owner);
    c->join = done;
    struct arena arena = ARENA_INIT;
    struct gossip_join *j = ARENA_NEW(&arena, struct gossip_join);
    j->arena = arena;
    j->driver = d;
    j->command = c;
    j->count = count;
    j->parts = ARENA_ARRAY(&j->arena, struct join_part, count + 1);
    j->next = d->joins;
    if (j->next != NULL)
        j->next->previous = j;
    d->joins = j;
    j->waiting = 1; /* until all have begun */
    for (size_t i = 0; i < count && !d->stopping; i++) {
        j->parts[i].join = j;
        part_start(&j->parts[i], addresses[i], d->core);
    }
    if (--j->waiting == 0)
        join_go(j);
}

static void joins_cancel(struct gossip_driver *d) {
    while (d->joins != NULL) {
        struct gossip_join *j = d->joins;
        for (size_t i = 0; i < j->count; i++) {
            if (j->parts[i].resolve != NULL)
                resolve_cancel(j->parts[i].resolve);
        }
        join_unlink(j); /* its command is answered with the others */
        join_free(j);
    }
}

/* ---- the other commands ---- */

void gossip_driver_leave(struct gossip_driver *d, gossip_done *done, void *owner) {
    struct gossip_command *c = command_new(d, GOSSIP_ACTION_LEFT, owner);
    c->done = done;
    struct gossip_event event = {.kind = GOSSIP_EVENT_LEAVE};
    command_run(d, c, &event);
}

void gossip_driver_force_leave(struct gossip_driver *d, struct str name, bool prune,
                               gossip_done *done, void *owner) {
    struct gossip_command *c = command_new(d, GOSSIP_ACTION_FORCED_LEAVE, owner);
    c->done = done;
    struct gossip_event event = {.kind = GOSSIP_EVENT_FORCE_LEAVE,
                                 .force_leave = {.name = name, .prune = prune}};
    command_run(d, c, &event);
}

void gossip_driver_set_tags(struct gossip_driver *d, struct str meta, gossip_done *done,
                            void *owner) {
    struct gossip_command *c = command_new(d, GOSSIP_ACTION_TAGS_SET, owner);
    c->done = done;
    struct gossip_event event = {.kind = GOSSIP_EVENT_SET_TAGS, .set_tags = {.meta = meta}};
    command_run(d, c, &event);
}

void gossip_driver_key(struct gossip_driver *d, enum gossip_key_operation operation,
                       struct str raw_key, uint8_t relay, gossip_key_done *done, void *owner) {
    struct gossip_command *c = command_new(d, GOSSIP_ACTION_KEY_DONE, owner);
    c->key = done;
    struct gossip_event event = {.kind = GOSSIP_EVENT_KEY,
                                 .key = {.operation = operation, .key = raw_key, .relay = relay}};
    command_run(d, c, &event);
}

bool gossip_driver_fire(struct gossip_driver *d, struct str name, struct str payload,
                        struct error *e) {
    struct gossip_event event = {.kind = GOSSIP_EVENT_FIRE,
                                 .fire = {.name = name, .payload = payload}};
    if (d->stopping || d->gossip == NULL)
        return error_set(e, ERROR_INTERNAL, "agent is shutting down");
    event.now = time_now_monotonic();
    gossip_step(d->gossip, &event, &d->actions);
    bool ok = event.error.len == 0 || error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(event.error));
    perform(d);
    timer_set(d);
    return ok;
}

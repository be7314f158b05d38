/* A gossip core on real time and real sockets. See gossip_driver.h.
 *
 * Everything goes through gossip_driver_step: an event into the core, its actions out. Actions
 * never call back into the core before all of them are done; what they set off (a connection that
 * cannot be made, a file that is written) comes as an event of its own, later.
 */
#include "server/gossip_driver_room.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/time.h"
#include "net/udp.h"
#include "server/gossip_files.h"
#include "server/wan_packets.h"

#define QUEUES_PERIOD (30 * SECOND)

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

/* ---- packets ---- */

static void on_carried(void *owner, const struct peer_address *from, struct str bytes) {
    struct gossip_driver *d = owner;
    struct gossip_event event = {
        .kind = GOSSIP_EVENT_PACKET,
        .packet = {.from = {.len = from->ip_len, .port = from->port}, .bytes = bytes}};
    memcpy(event.packet.from.ip, from->ip, sizeof(event.packet.from.ip));
    gossip_driver_step(d, &event);
}

static void on_packet(void *owner, const struct udp_address *from, struct str bytes) {
    struct gossip_driver *d = owner;
    struct gossip_event event = {
        .kind = GOSSIP_EVENT_PACKET,
        .packet = {.from = {.len = from->len, .port = from->port}, .bytes = bytes}};
    memcpy(event.packet.from.ip, from->ip, sizeof(event.packet.from.ip));
    gossip_driver_step(d, &event);
}

static void packet_send(struct gossip_driver *d, const struct gossip_action *a) {
    struct udp_address to = {.len = a->send.to.len, .port = a->send.to.port};
    char address[GOSSIP_ADDRESS_TEXT];
    const char *why;
    if (gossip_is_behind_gateway(d, a->send.name)) {
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

struct gossip_command *gossip_command_new(struct gossip_driver *d, enum gossip_action_kind ends,
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

void gossip_command_run(struct gossip_driver *d, struct gossip_command *c,
                        struct gossip_event *event) {
    if (d->stopping || d->gossip == NULL) {
        command_end(d, c, 0, NULL, STR("agent is shutting down"));
        return;
    }
    event->token = c;
    event->error = STR("");
    gossip_driver_step(d, event);
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
    gossip_driver_step(d, &event);
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
        gossip_stream_dial(d, a);
        return;
    case GOSSIP_ACTION_STREAM_WRITE:
        gossip_stream_write(d, a);
        return;
    case GOSSIP_ACTION_STREAM_CLOSE:
        gossip_stream_end(d, a);
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

void gossip_driver_step(struct gossip_driver *d, struct gossip_event *event) {
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
    gossip_driver_step(t->owner, &event);
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
    listener_start(d->listener, &d->core, 1, gossip_stream_came, d);
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

void gossip_driver_stop(struct gossip_driver *d) {
    if (!d->started || d->stopping)
        return;
    d->stopping = true;
    gossip_joins_cancel(d);
    if (d->gossip != NULL) {
        gossip_close(d->gossip, time_now_monotonic(), &d->actions);
        perform(d);
    }
    while (d->commands != NULL)
        command_end(d, d->commands, 0, NULL, STR("agent is shutting down"));
    gossip_streams_close(d);
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

/* ---- what may be asked of it ---- */

void gossip_driver_leave(struct gossip_driver *d, gossip_done *done, void *owner) {
    struct gossip_command *c = gossip_command_new(d, GOSSIP_ACTION_LEFT, owner);
    c->done = done;
    struct gossip_event event = {.kind = GOSSIP_EVENT_LEAVE};
    gossip_command_run(d, c, &event);
}

void gossip_driver_force_leave(struct gossip_driver *d, struct str name, bool prune,
                               gossip_done *done, void *owner) {
    struct gossip_command *c = gossip_command_new(d, GOSSIP_ACTION_FORCED_LEAVE, owner);
    c->done = done;
    struct gossip_event event = {.kind = GOSSIP_EVENT_FORCE_LEAVE,
                                 .force_leave = {.name = name, .prune = prune}};
    gossip_command_run(d, c, &event);
}

void gossip_driver_set_tags(struct gossip_driver *d, struct str meta, gossip_done *done,
                            void *owner) {
    struct gossip_command *c = gossip_command_new(d, GOSSIP_ACTION_TAGS_SET, owner);
    c->done = done;
    struct gossip_event event = {.kind = GOSSIP_EVENT_SET_TAGS, .set_tags = {.meta = meta}};
    gossip_command_run(d, c, &event);
}

void gossip_driver_key(struct gossip_driver *d, enum gossip_key_operation operation,
                       struct str raw_key, uint8_t relay, gossip_key_done *done, void *owner) {
    struct gossip_command *c = gossip_command_new(d, GOSSIP_ACTION_KEY_DONE, owner);
    c->key = done;
    struct gossip_event event = {.kind = GOSSIP_EVENT_KEY,
                                 .key = {.operation = operation, .key = raw_key, .relay = relay}};
    gossip_command_run(d, c, &event);
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

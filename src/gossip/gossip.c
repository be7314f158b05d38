/* The core's beginning, end and middle: options, one step for each event, timers, actions, and the
 * small things that all files use. What the events mean is in the other files.
 */
#include "gossip/state.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/time.h"

/* ---- options ---- */

struct gossip_timing gossip_timing_lan(void) {
    return (struct gossip_timing){.gossip_interval = 200 * MILLISECOND,
                                  .gossip_nodes = 3,
                                  .probe_interval = SECOND,
                                  .probe_timeout = 500 * MILLISECOND,
                                  .suspicion_mult = 4,
                                  .suspicion_max_mult = 6,
                                  .retransmit_mult = 4,
                                  .indirect_checks = 3,
                                  .push_pull_interval = 30 * SECOND,
                                  .gossip_to_dead = 30 * SECOND,
                                  .dead_reclaim = 30 * SECOND,
                                  .stream_timeout = 10 * SECOND,
                                  .broadcast_timeout = 5 * SECOND,
                                  .leave_propagate = 3 * SECOND,
                                  .reap_interval = 15 * SECOND,
                                  .failed_kept = 72 * HOUR,
                                  .left_kept = 24 * HOUR,
                                  .reconnect_interval = 30 * SECOND,
                                  .intent_kept = 5 * MINUTE};
}

struct gossip_timing gossip_timing_wan(void) {
    struct gossip_timing t = gossip_timing_lan();
    t.gossip_interval = 500 * MILLISECOND;
    t.probe_interval = 5 * SECOND;
    t.probe_timeout = 3 * SECOND;
    t.suspicion_mult = 6;
    t.push_pull_interval = 60 * SECOND;
    t.gossip_to_dead = 60 * SECOND;
    t.stream_timeout = 30 * SECOND;
    return t;
}

void gossip_timing_dev(struct gossip_timing *t) {
    t->gossip_interval = 100 * MILLISECOND;
    t->probe_interval = 100 * MILLISECOND;
    t->probe_timeout = 100 * MILLISECOND;
    t->suspicion_mult = 3;
}

const char *gossip_status_name(enum gossip_status s) {
    static const char *const names[] = {"none", "alive", "leaving", "left", "failed"};
    return (unsigned)s < COUNT_OF(names) ? names[s] : "none";
}

/* ---- actions ---- */

void gossip_actions_clear(struct gossip_actions *a) {
    a->len = 0;
    arena_reset(&a->arena, 65536);
}

void gossip_actions_free(struct gossip_actions *a) {
    mem_free(a->items);
    arena_free(&a->arena);
    *a = GOSSIP_ACTIONS_INIT;
}

struct gossip_action *g_action(struct gossip *g, enum gossip_action_kind kind) {
    struct gossip_actions *out = g->out;
    if (out->len == out->cap) {
        out->cap = out->cap > 0 ? 2 * out->cap : 16;
        out->items = mem_resize(out->items, out->cap, sizeof *out->items);
    }
    struct gossip_action *a = &out->items[out->len++];
    *a = (struct gossip_action){.kind = kind};
    return a;
}

struct arena *g_arena(struct gossip *g) {
    return &g->out->arena;
}

struct error g_error(struct gossip *g) {
    return ERROR_IN(g_arena(g));
}

static void log_line(struct gossip *g, enum log_level level, bool serf, const char *format,
                     va_list args) {
    struct str text = str_vformat(g_arena(g), format, args);
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_LOG);
    a->log.level = level;
    a->log.serf = serf;
    a->log.text =
        str_format(g_arena(g), "%s: " STR_FMT, serf ? "serf" : "memberlist", STR_ARG(text));
}

void g_log(struct gossip *g, enum log_level level, bool serf, const char *format, ...) {
    if (level < g->log)
        return;
    va_list args;
    va_start(args, format);
    log_line(g, level, serf, format, args);
    va_end(args);
}

void g_log_input(struct gossip *g, enum log_level level, bool serf, const char *format, ...) {
    if (level < g->log)
        return;
    int64_t second = g->now / SECOND;
    if (second != g->input_log_second) {
        if (g->input_log_dropped > 0)
            g_log(g, LOG_WARN, false, "%u lines about what was received were left out",
                  g->input_log_dropped);
        g->input_log_second = second;
        g->input_log_lines = g->input_log_dropped = 0;
    }
    if (g->input_log_lines >= INPUT_LOG_MAX) {
        g->input_log_dropped++;
        return;
    }
    g->input_log_lines++;
    va_list args;
    va_start(args, format);
    log_line(g, level, serf, format, args);
    va_end(args);
}

void g_metric(struct gossip *g, enum metric_kind kind, const char *name, double value) {
    if (!g->metrics)
        return;
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_METRIC);
    a->metric.kind = kind;
    a->metric.name = str_from(name);
    a->metric.value = value;
}

void g_count(struct gossip *g, const char *group, struct str name) {
    if (g->metrics)
        g_metric(g, METRIC_COUNTER, str_format(g_arena(g), "%s" STR_FMT, group, STR_ARG(name)).data,
                 1);
}

/* ---- small things ---- */

bool g_encrypts(const struct gossip *g) {
    return g->keyring != NULL && g->keyring->len > 0;
}

void g_health(struct gossip *g, int delta) {
    int score = g->health + delta;
    g->health = score < 0 ? 0 : score > 7 ? 7 : score;
    g_metric(g, METRIC_GAUGE, "memberlist.health.score", g->health);
}

void g_describe(const struct member *m, struct gossip_member *out) {
    *out = (struct gossip_member){.name = member_name(m),
                                  .address = m->id->address,
                                  .meta = identity_meta(m->id),
                                  .status = m->status,
                                  .state = m->listed ? m->state : GOSSIP_DEAD,
                                  .status_ltime = m->status_ltime,
                                  .left_at = m->left_at};
    memcpy(out->versions, m->id->versions, sizeof out->versions);
}

size_t g_pick_nodes(struct gossip *g, size_t count, node_filter *wanted, const void *context,
                    struct member **out) {
    size_t n = g->members.listed, found = 0;
    for (size_t i = 0; i < 3 * n && found < count; i++) {
        struct member *m = members_in_order(&g->members, (uint32_t)prng_below(&g->rng, n));
        bool taken = m == g->self || !wanted(g, m, context);
        for (size_t k = 0; k < found && !taken; k++)
            taken = out[k] == m;
        if (!taken)
            out[found++] = m;
    }
    return found;
}

static bool is_alive(const struct member *m) {
    return m->state == GOSSIP_ALIVE || m->state == GOSSIP_SUSPECT;
}

size_t g_count_alive(const struct gossip *g) {
    size_t alive = 0;
    for (uint32_t i = 0; i < g->members.listed; i++)
        alive += is_alive(members_in_order(&g->members, i));
    return alive;
}

bool g_others_alive(const struct gossip *g) {
    for (uint32_t i = 0; i < g->members.listed; i++) {
        const struct member *m = members_in_order(&g->members, i);
        if (m != g->self && is_alive(m))
            return true;
    }
    return false;
}

unsigned g_retransmit_limit(const struct gossip *g, size_t nodes) {
    unsigned limit = gossip_retransmit_limit(g->timing.retransmit_mult, nodes);
    return limit > 0 ? limit : 1;
}

bool g_address_allowed(const struct gossip *g, const struct gossip_address *a) {
    for (size_t i = 0; i < g->allowed_len; i++) {
        if (gossip_cidr_holds(&g->allowed[i], a))
            return true;
    }
    return g->allowed_len == 0;
}

void g_nonce(struct gossip *g, uint8_t nonce[CRYPT_NONCE]) {
    if (g->nonce != NULL) {
        g->nonce(g->owner, nonce, CRYPT_NONCE);
        return;
    }
    uint64_t words[2] = {prng_next(&g->rng), prng_next(&g->rng)};
    memcpy(nonce, words, CRYPT_NONCE);
}

/* ---- waiting for broadcasts ---- */

uint32_t g_wait(struct gossip *g, enum wait_kind kind, void *token) {
    struct wait *w = MEM_NEW(struct wait);
    if (++g->next_wait == 0)
        g->next_wait = 1;
    *w = (struct wait){.next = g->waits, .id = g->next_wait, .kind = kind, .token = token};
    w->timer.kind = TIMER_WAIT;
    g->waits = w;
    timer_start(&g->timers, &w->timer, g->now + g->timing.broadcast_timeout);
    return w->id;
}

static void broadcast_finished(void *owner, uint32_t waiter) {
    struct gossip *g = owner;
    for (struct wait *w = g->waits; w != NULL; w = w->next) {
        if (w->id == waiter)
            w->finished = true;
    }
}

static void finish_wait(struct gossip *g, struct wait *w, bool in_time) {
    enum wait_kind kind = w->kind;
    void *token = w->token;
    struct wait **link = &g->waits;
    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    timer_stop(&g->timers, &w->timer);
    mem_free(w);
    if (kind == WAIT_LEAVE_INTENT || kind == WAIT_LEAVE) {
        leave_wait_over(g, kind, in_time);
        return;
    }
    struct gossip_action *a =
        g_action(g, kind == WAIT_TAGS ? GOSSIP_ACTION_TAGS_SET : GOSSIP_ACTION_FORCED_LEAVE);
    a->token = token;
    if (!in_time)
        a->error = kind == WAIT_TAGS ? STR("timeout waiting for update broadcast")
                                     : STR("timed out broadcasting node removal");
}

static void finish_waits(struct gossip *g) {
    for (struct wait *w = g->waits; w != NULL;) {
        if (!w->finished) {
            w = w->next;
            continue;
        }
        finish_wait(g, w, true);
        w = g->waits; /* another may have been added */
    }
}

/* ---- beginning and end ---- */

static void start_timer(struct gossip *g, struct timer *timer, enum timer_kind kind, int64_t at) {
    timer->kind = (uint8_t)kind;
    timer_start(&g->timers, timer, at);
}

static int64_t random_delay(struct gossip *g, int64_t interval) {
    return interval > 0 ? (int64_t)prng_below(&g->rng, (uint64_t)interval) : 0;
}

static void start_timers(struct gossip *g) {
    const struct gossip_timing *t = &g->timing;
    g->gossip_timer.kind = TIMER_GOSSIP; /* runs only while there is something to spread */
    g->gossip_phase = g->now + random_delay(g, t->gossip_interval);
    g->early_since = g->now;
    g->queues_timer.kind = TIMER_QUEUES;
    g->probe.timeout.kind = TIMER_PROBE_TIMEOUT;
    g->probe.deadline.kind = TIMER_PROBE_DEADLINE;
    g->leave_timer.kind = TIMER_LEAVE;
    g->snapshot.timer.kind = TIMER_SNAPSHOT;
    start_timer(g, &g->probe_timer, TIMER_PROBE_TICK, g->now + random_delay(g, t->probe_interval));
    if (t->push_pull_interval > 0)
        start_timer(g, &g->push_pull_timer, TIMER_PUSH_PULL,
                    g->now + random_delay(g, t->push_pull_interval));
    start_timer(g, &g->reap_timer, TIMER_REAP, g->now + t->reap_interval);
    start_timer(g, &g->reconnect_timer, TIMER_RECONNECT, g->now + t->reconnect_interval);
}

static void copy_options(struct gossip *g, const struct gossip_options *o) {
    g->timing = *o->timing;
    g->owner = o->owner;
    g->merge = o->merge;
    g->match = o->match;
    g->nonce = o->nonce;
    g->carried = o->carried;
    g->verify_incoming = o->verify_incoming;
    g->verify_outgoing = o->verify_outgoing;
    g->keyring_file = o->keyring_file;
    g->metrics = o->metrics;
    g->log = o->log;
    g->max_members = o->max_members > 0 ? o->max_members : GOSSIP_MAX_MEMBERS;
    g->members.shared = o->shared;
    if (o->keyring != NULL && o->keyring->len > 0) {
        g->keyring = mem_alloc(sizeof *g->keyring);
        *g->keyring = *o->keyring;
    }
    if (o->allowed_len > 0) {
        g->allowed = mem_alloc(o->allowed_len * sizeof *g->allowed);
        memcpy(g->allowed, o->allowed, o->allowed_len * sizeof *g->allowed);
        g->allowed_len = o->allowed_len;
    }
    g->snapshot.on = o->snapshot;
}

static bool check_options(const struct gossip_options *o, struct error *e) {
    const struct gossip_timing *t = o->timing;
    if (o->name.len == 0 || o->name.len > GOSSIP_NAME_MAX)
        return error_set(e, ERROR_INTERNAL, "the node's name must have 1 to %d bytes",
                         GOSSIP_NAME_MAX);
    if (o->address.len == 0)
        return error_set(e, ERROR_INTERNAL, "failed to parse advertise address");
    if (o->meta.len > GOSSIP_META_MAX)
        return error_set(e, ERROR_INTERNAL, "Encoded length of tags exceeds limit of %d bytes",
                         GOSSIP_META_MAX);
    if (t->gossip_interval <= 0 || t->probe_interval <= 0 || t->probe_timeout <= 0 ||
        t->reap_interval <= 0 || t->reconnect_interval <= 0)
        return error_set(e, ERROR_INTERNAL, "intervals of gossip must be positive");
    return true;
}

struct gossip *gossip_new(const struct gossip_options *options, int64_t now, uint64_t seed,
                          struct gossip_actions *out, struct error *e) {
    if (!check_options(options, e))
        return NULL;
    struct gossip *g = MEM_NEW(struct gossip);
    copy_options(g, options);
    g->now = now;
    g->out = out;
    g->clock = g->event_clock = g->query_clock = 1;
    prng_seed(&g->rng, seed);
    coordinate_client_init(&g->coordinate);
    for (int i = 0; i < QUEUE_COUNT; i++)
        broadcasts_init(&g->queues[i], broadcast_finished, g);
    start_timers(g);
    if (g->snapshot.on)
        snapshot_load(g, options->snapshot_text, options->rejoin_after_leave);
    static const uint8_t versions[GOSSIP_VERSIONS] = OUR_VERSIONS;
    struct identity *id =
        identity_new(g->members.shared, options->name, &options->address, options->meta, versions);
    g->self = members_add(&g->members, id);
    members_list(&g->members, g->self, &g->rng);
    alive_announce(g, options->meta, 0);
    if (g->snapshot.on)
        rejoin(g);
    snapshot_check(g);
    g->out = NULL;
    return g;
}

void gossip_close(struct gossip *g, int64_t now, struct gossip_actions *out) {
    g->now = now;
    g->out = out;
    if (g->life != GOSSIP_GONE)
        g_log(g, LOG_WARN, true, "Shutdown without a Leave");
    snapshot_close(g);
    g->out = NULL;
}

static void free_upper(struct gossip *g) {
    while (g->own_queries != NULL)
        query_free(g, g->own_queries);
    while (g->prunes != NULL)
        prune_free(g, g->prunes);
    while (g->key_answers != NULL) {
        struct key_answer *next = g->key_answers->next;
        key_answer_free(g->key_answers);
        g->key_answers = next;
    }
    void *value;
    for (size_t i = 0; map_next(&g->intents, &i, NULL, &value);)
        mem_free(value);
    map_free(&g->intents);
    for (size_t i = 0; g->events != NULL && i < EVENT_BUFFER; i++) {
        for (size_t k = 0; k < g->events[i].len; k++)
            mem_free(g->events[i].items[k]);
        mem_free(g->events[i].items);
    }
    for (size_t i = 0; g->queries != NULL && i < EVENT_BUFFER; i++)
        mem_free(g->queries[i].ids);
    for (size_t i = 0; g->asked != NULL && i < ASKED_QUERIES_MAX; i++)
        mem_free(g->asked[i].source);
    mem_free(g->events);
    mem_free(g->queries);
    mem_free(g->asked);
}

void gossip_free(struct gossip *g) {
    if (g == NULL)
        return;
    while (g->streams != NULL)
        stream_free(g, g->streams);
    while (g->joins != NULL)
        join_free(g, g->joins);
    while (g->relayed != NULL)
        relayed_ping_free(g, g->relayed);
    for (uint32_t slot = 0; slot < g->members.slots; slot++) {
        struct member *m = members_at(&g->members, slot);
        if (m != NULL)
            suspicion_cancel(g, m);
    }
    mem_free(g->suspicions);
    while (g->waits != NULL) {
        struct wait *next = g->waits->next;
        mem_free(g->waits);
        g->waits = next;
    }
    for (int i = 0; i < QUEUE_COUNT; i++)
        broadcasts_free(&g->queues[i]);
    free_upper(g);
    members_free(&g->members);
    snapshot_free(g);
    timers_free(&g->timers);
    crypt_free(&g->crypt);
    if (g->keyring != NULL)
        explicit_bzero(g->keyring, sizeof *g->keyring);
    mem_free(g->keyring);
    mem_free(g->allowed);
    mem_free(g);
}

/* ---- steps ---- */

static void timer_fired(struct gossip *g, struct timer *timer) {
    switch ((enum timer_kind)timer->kind) {
    case TIMER_GOSSIP:
        gossip_tick(g);
        break;
    case TIMER_PROBE_TICK:
        probe_tick(g);
        break;
    case TIMER_PROBE_TIMEOUT:
        probe_timeout(g);
        break;
    case TIMER_PROBE_DEADLINE:
        probe_deadline(g);
        break;
    case TIMER_RELAYED_PING:
        relayed_ping_expired(g, CONTAINER_OF(timer, struct relayed_ping, timer));
        break;
    case TIMER_SUSPICION:
        suspicion_expired(g, CONTAINER_OF(timer, struct suspicion, timer));
        break;
    case TIMER_PUSH_PULL:
        push_pull_tick(g);
        break;
    case TIMER_STREAM:
        stream_expired(g, CONTAINER_OF(timer, struct stream, timer));
        break;
    case TIMER_WAIT:
        finish_wait(g, CONTAINER_OF(timer, struct wait, timer), false);
        break;
    case TIMER_LEAVE:
        leave_expired(g);
        break;
    case TIMER_REAP:
        reap(g);
        break;
    case TIMER_RECONNECT:
        reconnect(g);
        break;
    case TIMER_QUEUES:
        queues_check(g);
        break;
    case TIMER_QUERY:
        query_expired(g, CONTAINER_OF(timer, struct own_query, timer));
        break;
    case TIMER_PRUNE:
        prune_expired(g, CONTAINER_OF(timer, struct prune, timer));
        break;
    case TIMER_SNAPSHOT:
        snapshot_timer(g);
        break;
    }
}

static void command(struct gossip *g, struct gossip_event *event) {
    switch (event->kind) {
    case GOSSIP_EVENT_JOIN:
        join_command(g, event);
        break;
    case GOSSIP_EVENT_LEAVE:
        leave_command(g, event);
        break;
    case GOSSIP_EVENT_FORCE_LEAVE:
        force_leave_command(g, event);
        break;
    case GOSSIP_EVENT_FIRE:
        user_event_fire(g, event);
        break;
    case GOSSIP_EVENT_QUERY:
        query_start(g, event);
        break;
    case GOSSIP_EVENT_RESPOND:
        query_respond(g, event);
        break;
    case GOSSIP_EVENT_SET_TAGS:
        set_tags_command(g, event);
        break;
    case GOSSIP_EVENT_KEY:
        key_query_start(g, event);
        break;
    case GOSSIP_EVENT_KEYRING_WRITTEN:
        keyring_written(g, event);
        break;
    default:
        ASSERT(false); /* an event that is none */
    }
}

/* A timer that judges others and comes this late says that we were not running: what they answered
 * meanwhile waits in the socket, and is heard first. */
#define LATE (200 * MILLISECOND)
#define LATE_GRACE (50 * MILLISECOND)

static bool judges(const struct timer *t) {
    return t->kind == TIMER_PROBE_TIMEOUT || t->kind == TIMER_PROBE_DEADLINE ||
           t->kind == TIMER_SUSPICION || t->kind == TIMER_RELAYED_PING;
}

static void fire_timers(struct gossip *g) {
    for (struct timer *t; (t = timers_take(&g->timers, g->now)) != NULL;) {
        if (judges(t) && g->now - t->at > LATE)
            timer_start(&g->timers, t, g->now + LATE_GRACE);
        else
            timer_fired(g, t);
    }
}

void gossip_step(struct gossip *g, struct gossip_event *event, struct gossip_actions *out) {
    g->out = out;
    g->now = event->now > g->now ? event->now : g->now;
    event->error = STR_NONE;
    fire_timers(g);
    switch (event->kind) {
    case GOSSIP_EVENT_TICK:
        break;
    case GOSSIP_EVENT_PACKET:
        packet_receive(g, &event->packet.from, event->packet.bytes);
        break;
    case GOSSIP_EVENT_STREAM_ACCEPTED:
        stream_accept(g, event);
        break;
    case GOSSIP_EVENT_STREAM_OPENED:
        stream_opened(g, event->stream.id);
        break;
    case GOSSIP_EVENT_STREAM_DATA:
        stream_data(g, event->stream.id, event->stream.bytes);
        break;
    case GOSSIP_EVENT_STREAM_CLOSED:
        stream_closed(g, event->stream.id, event->stream.text);
        break;
    default:
        command(g, event);
    }
    finish_waits(g);
    snapshot_check(g);
    g->out = NULL;
}

int64_t gossip_next_wakeup(const struct gossip *g) {
    return timers_next(&g->timers);
}

void gossip_preload(struct gossip *g, struct gossip *const *cores, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (cores[i] == g)
            continue;
        const struct member *them = cores[i]->self;
        ASSERT(g->members.shared != NULL && g->members.shared == cores[i]->members.shared);
        identity_hold(them->id);
        struct member *m = members_add(&g->members, them->id);
        members_list(&g->members, m, &g->rng);
        m->incarnation = them->incarnation;
        m->state = GOSSIP_ALIVE;
        m->changed = g->now;
        member_set_status(&g->members, m, GOSSIP_STATUS_ALIVE);
    }
    /* Our own record has been spread as well. */
    for (int i = 0; i < QUEUE_COUNT; i++)
        broadcasts_prune(&g->queues[i], 0);
}

/* ---- looking in ---- */

size_t gossip_member_count(const struct gossip *g) {
    return g->members.with_status;
}

bool gossip_member_next(const struct gossip *g, size_t *cursor, struct gossip_member *out) {
    while (*cursor < g->members.slots) {
        const struct member *m = members_at(&g->members, (uint32_t)(*cursor)++);
        if (m != NULL && m->status != GOSSIP_STATUS_NONE) {
            g_describe(m, out);
            return true;
        }
    }
    return false;
}

bool gossip_member_find(const struct gossip *g, struct str name, struct gossip_member *out) {
    const struct member *m = members_find(&g->members, name);
    if (m == NULL || m->status == GOSSIP_STATUS_NONE)
        return false;
    g_describe(m, out);
    return true;
}

void gossip_member_self(const struct gossip *g, struct gossip_member *out) {
    g_describe(g->self, out);
}

struct gossip_stats gossip_get_stats(const struct gossip *g) {
    return (struct gossip_stats){.members = g->members.with_status,
                                 .failed = g->members.by_status[GOSSIP_STATUS_FAILED],
                                 .left = g->members.by_status[GOSSIP_STATUS_LEFT],
                                 .health_score = (unsigned)g->health,
                                 .member_time = g->clock,
                                 .event_time = g->event_clock,
                                 .query_time = g->query_clock,
                                 .intent_queue = g->queues[QUEUE_INTENTS].len,
                                 .event_queue = g->queues[QUEUE_EVENTS].len,
                                 .query_queue = g->queues[QUEUE_QUERIES].len,
                                 .membership_queue = g->queues[QUEUE_MEMBERSHIP].len,
                                 .encrypted = g_encrypts(g),
                                 .coordinate_resets = g->coordinate.resets,
                                 .incarnation = g->incarnation,
                                 .nodes = g->members.listed,
                                 .alive = g_count_alive(g)};
}

enum gossip_life gossip_get_life(const struct gossip *g) {
    return g->life;
}

const struct keyring *gossip_keyring(const struct gossip *g) {
    static const struct keyring none;
    return g->keyring != NULL ? g->keyring : &none;
}

struct gossip_coordinate gossip_coordinate(const struct gossip *g) {
    return g->coordinate.own;
}

bool gossip_coordinate_of(const struct gossip *g, struct str name, struct gossip_coordinate *out) {
    const struct member *m = members_find(&g->members, name);
    if (m == g->self && m != NULL) {
        *out = g->coordinate.own;
        return true;
    }
    if (m == NULL || m->coordinate == NULL || !m->coordinate->has_heard)
        return false;
    *out = m->coordinate->heard;
    return true;
}

/* User events (gossip.md 9.5): fired by anybody, delivered once to everybody. What was seen is
 * remembered in buckets by time, which also travel with push/pull to those who were not there.
 */
#include "base/mem.h"
#include "gossip/state.h"

static bool same(const struct event_item *item, const struct user_event_message *m) {
    return str_eq(str_of(item->data, item->name_len), m->name) &&
           str_eq(str_of(item->data + item->name_len, item->payload_len), m->payload);
}

static void clear_bucket(struct event_bucket *b) {
    for (size_t i = 0; i < b->len; i++)
        mem_free(b->items[i]);
    mem_free(b->items);
    *b = (struct event_bucket){0, NULL, 0};
}

static void add_item(struct event_bucket *b, const struct user_event_message *m) {
    struct event_item *item = mem_alloc(sizeof *item + m->name.len + m->payload.len);
    *item = (struct event_item){.name_len = (uint32_t)m->name.len,
                                .payload_len = (uint32_t)m->payload.len,
                                .has_payload = m->payload.data != NULL};
    memcpy(item->data, m->name.data, m->name.len);
    if (m->payload.len > 0)
        memcpy(item->data + m->name.len, m->payload.data, m->payload.len);
    b->items = mem_resize(b->items, b->len + 1, sizeof(struct event_item *));
    b->items[b->len++] = item;
}

/* False: it was there already, or there is no room for one more of its time. */
static bool remember(struct gossip *g, const struct user_event_message *m) {
    if (g->events == NULL)
        g->events = mem_zalloc(EVENT_BUFFER, sizeof *g->events);
    struct event_bucket *b = &g->events[m->ltime % EVENT_BUFFER];
    if (b->ltime != m->ltime) {
        clear_bucket(b);
        b->ltime = m->ltime;
    }
    for (size_t i = 0; i < b->len; i++) {
        if (same(b->items[i], m))
            return false;
    }
    if (b->len >= BUCKET_MAX)
        return false;
    add_item(b, m);
    return true;
}

bool user_event_apply(struct gossip *g, const struct user_event_message *m) {
    if (m->name.len + m->payload.len > 4 * GOSSIP_EVENT_MAX) /* more than any member may send */
        return false;
    clock_witness(&g->event_clock, m->ltime);
    if (m->ltime < g->event_min)
        return false;
    if (g->event_clock > EVENT_BUFFER && m->ltime < g->event_clock - EVENT_BUFFER) {
        g_log_input(
            g, LOG_WARN, true, "received old event " STR_FMT " from time %llu (current: %llu)",
            STR_ARG(m->name), (unsigned long long)m->ltime, (unsigned long long)g->event_clock);
        return false;
    }
    if (!remember(g, m))
        return false;
    g_metric(g, METRIC_COUNTER, "serf.events", 1);
    g_count(g, "serf.events.", m->name);
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_USER_EVENT);
    a->user_event.ltime = m->ltime;
    a->user_event.name = str_copy(g_arena(g), m->name);
    a->user_event.payload = str_copy(g_arena(g), m->payload);
    a->user_event.coalesce = m->cc;
    snapshot_event_clock(g, m->ltime);
    return true;
}

void user_event_fire(struct gossip *g, struct gossip_event *event) {
    struct str name = event->fire.name, payload = event->fire.payload;
    if (name.len + payload.len > GOSSIP_EVENT_MAX) {
        event->error = str_format(g_arena(g),
                                  "user event exceeds configured limit of %d bytes before encoding",
                                  GOSSIP_EVENT_MAX);
        return;
    }
    struct user_event_message m = {
        .ltime = g->event_clock, .name = name, .payload = payload, .cc = event->fire.coalesce};
    struct str message = serf_message_of(g, SERF_USER_EVENT, &user_event_wire, &m);
    if (message.len > GOSSIP_EVENT_MAX) {
        event->error = str_format(
            g_arena(g), "encoded user event exceeds configured limit of %d bytes after encoding",
            GOSSIP_EVENT_MAX);
        return;
    }
    g->event_clock++;
    user_event_apply(g, &m);
    broadcast_serf(g, QUEUE_EVENTS, message, 0);
}

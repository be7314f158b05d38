/* What the upper layer adds to a push/pull (gossip.md 9.3): clocks, the times of the last intents,
 * who left, and the events of the buffer.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "gossip/state.h"

/* ---- out ---- */

static void add_members(struct gossip *g, struct push_pull_state *s) {
    struct arena *arena = g_arena(g);
    size_t count = g->members.with_status;
    struct wire_ltime *times = ARENA_ARRAY(arena, struct wire_ltime, count);
    struct str *left = ARENA_ARRAY(arena, struct str, g->members.by_status[GOSSIP_STATUS_LEFT]);
    s->status_ltimes = (struct wire_list){times, 0, true};
    s->left_members = (struct wire_list){left, 0, true};
    for (uint32_t slot = 0; slot < g->members.slots; slot++) {
        const struct member *m = members_at(&g->members, slot);
        if (m == NULL || m->status == GOSSIP_STATUS_NONE)
            continue;
        times[s->status_ltimes.len++] = (struct wire_ltime){member_name(m), m->status_ltime};
        if (m->status == GOSSIP_STATUS_LEFT)
            left[s->left_members.len++] = member_name(m);
    }
}

static struct buffered_events *bucket_of(struct gossip *g, const struct event_bucket *b) {
    struct arena *arena = g_arena(g);
    struct buffered_events *out = ARENA_NEW(arena, struct buffered_events);
    struct buffered_event **items = ARENA_ARRAY(arena, struct buffered_event *, b->len);
    for (size_t i = 0; i < b->len; i++) {
        const struct event_item *item = b->items[i];
        items[i] = ARENA_NEW(arena, struct buffered_event);
        items[i]->name = str_of(item->data, item->name_len);
        if (item->has_payload)
            items[i]->payload = str_of(item->data + item->name_len, item->payload_len);
    }
    out->ltime = b->ltime;
    out->events = (struct wire_list){items, b->len, true};
    return out;
}

struct str serf_state_encode(struct gossip *g) {
    struct buffered_events **events =
        ARENA_ARRAY(g_arena(g), struct buffered_events *, EVENT_BUFFER);
    struct push_pull_state s = {.ltime = g->clock,
                                .event_ltime = g->event_clock,
                                .events = {events, EVENT_BUFFER, true},
                                .query_ltime = g->query_clock};
    add_members(g, &s);
    for (size_t i = 0; g->events != NULL && i < EVENT_BUFFER; i++) {
        if (g->events[i].len > 0)
            events[i] = bucket_of(g, &g->events[i]);
    }
    return serf_message_of(g, SERF_PUSH_PULL, &push_pull_state_wire, &s);
}

/* ---- in ---- */

static int compare_ltimes(const void *a, const void *b) {
    return str_compare(((const struct wire_ltime *)a)->name, ((const struct wire_ltime *)b)->name);
}

static uint64_t ltime_of(const struct wire_list *sorted, struct str name) {
    struct wire_ltime key = {name, 0};
    if (sorted->len == 0)
        return 0;
    const struct wire_ltime *found =
        bsearch(&key, sorted->items, sorted->len, sizeof key, compare_ltimes);
    return found != NULL ? found->ltime : 0;
}

static void merge_intents(struct gossip *g, struct push_pull_state *s) {
    struct wire_ltime *times = s->status_ltimes.items;
    const struct str *left = s->left_members.items;
    struct map gone = MAP_INIT;
    if (s->status_ltimes.len > 0)
        qsort(times, s->status_ltimes.len, sizeof *times, compare_ltimes);
    for (size_t i = 0; i < s->left_members.len; i++) {
        /* One higher, so that it wins over a join intent of the same time. */
        uint64_t ltime = ltime_of(&s->status_ltimes, left[i]);
        struct leave_message m = {.ltime = ltime < UINT64_MAX ? ltime + 1 : ltime, .node = left[i]};
        leave_intent_apply(g, &m);
        map_put(&gone, left[i], g);
    }
    for (size_t i = 0; i < s->status_ltimes.len; i++) {
        struct join_message m = {.ltime = times[i].ltime, .node = times[i].name};
        if (map_get(&gone, m.node) == NULL)
            join_intent_apply(g, &m);
    }
    map_free(&gone);
}

static void merge_events(struct gossip *g, const struct push_pull_state *s) {
    struct buffered_events *const *buckets = s->events.items;
    for (size_t i = 0; i < s->events.len; i++) {
        if (buckets[i] == NULL)
            continue;
        struct buffered_event *const *items = buckets[i]->events.items;
        for (size_t k = 0; k < buckets[i]->events.len; k++) {
            if (items[k] == NULL)
                continue;
            struct user_event_message m = {
                .ltime = buckets[i]->ltime, .name = items[k]->name, .payload = items[k]->payload};
            user_event_apply(g, &m);
        }
    }
}

static void witness(uint64_t *clock, uint64_t theirs) {
    if (theirs > 0)
        clock_witness(clock, theirs - 1);
}

void serf_state_merge(struct gossip *g, struct str state, bool ignore_old) {
    struct push_pull_state s;
    struct error e = g_error(g);
    if (state.len == 0)
        return;
    if ((uint8_t)state.data[0] != SERF_PUSH_PULL) {
        g_log_input(g, LOG_ERROR, true, "Remote state has bad type prefix: %u",
                    (uint8_t)state.data[0]);
        return;
    }
    if (!wire_read_all(str_sub(state, 1, SIZE_MAX), &push_pull_state_wire, &s, g_arena(g), &e)) {
        g_log_input(g, LOG_ERROR, true, "Failed to decode remote state: " STR_FMT, STR_ARG(e.text));
        return;
    }
    witness(&g->clock, s.ltime);
    witness(&g->event_clock, s.event_ltime);
    witness(&g->query_clock, s.query_ltime);
    merge_intents(g, &s);
    if (ignore_old && s.event_ltime > g->event_min)
        g->event_min = s.event_ltime;
    merge_events(g, &s);
}

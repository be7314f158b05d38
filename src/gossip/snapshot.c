/* The snapshot file (gossip.md 11.1): who was there, and the clocks, one line each, appended; so
 * that after a restart the pool is found again and nothing is delivered twice. Written out in
 * pieces, at most every half second.
 */
#include "base/mem.h"
#include "base/time.h"
#include "gossip/state.h"

#define FLUSH_INTERVAL (500 * MILLISECOND)
#define COMPACT_SIZE (128 * 1024)
#define COMPACT_PER_NODE 256
#define REMEMBERED_MAX 100000 /* nodes */

/* ---- reading ---- */

static void forget(struct snapshot *s, struct str name) {
    mem_free(map_remove(&s->alive, name));
}

static void remember(struct snapshot *s, struct str name, struct str address) {
    if (name.len > GOSSIP_NAME_MAX || address.len >= GOSSIP_ADDRESS_TEXT ||
        (s->alive.count >= REMEMBERED_MAX && map_get(&s->alive, name) == NULL))
        return;
    char *copy = mem_alloc(address.len + 1);
    memcpy(copy, address.data, address.len);
    copy[address.len] = '\0';
    mem_free(map_put(&s->alive, name, copy));
}

static void forget_all(struct snapshot *s) {
    void *value;
    for (size_t i = 0; map_next(&s->alive, &i, NULL, &value);)
        mem_free(value);
    map_free(&s->alive);
}

static bool line_value(struct str line, const char *prefix, struct str *value) {
    struct str p = str_from(prefix);
    if (!str_has_prefix(line, p))
        return false;
    *value = str_sub(line, p.len, SIZE_MAX);
    return true;
}

static void read_clock(struct gossip *g, struct str text, const char *name, uint64_t *clock) {
    if (!str_to_u64(text, clock))
        g_log(g, LOG_WARN, true, "Failed to convert %s time: " STR_FMT, name, STR_ARG(text));
}

static void read_alive(struct gossip *g, struct str value) {
    size_t space = value.len;
    while (space > 0 && value.data[space - 1] != ' ')
        space--;
    if (space == 0)
        g_log(g, LOG_WARN, true, "Failed to parse address: " STR_FMT, STR_ARG(value));
    else
        remember(&g->snapshot, str_sub(value, 0, space - 1), str_sub(value, space, SIZE_MAX));
}

static void read_line(struct gossip *g, struct str line, bool rejoin_after_leave) {
    struct snapshot *s = &g->snapshot;
    struct str value;
    if (line_value(line, "alive: ", &value)) {
        read_alive(g, value);
    } else if (line_value(line, "not-alive: ", &value)) {
        forget(s, value);
    } else if (line_value(line, "clock: ", &value)) {
        read_clock(g, value, "clock", &s->clock);
    } else if (line_value(line, "event-clock: ", &value)) {
        read_clock(g, value, "event clock", &s->event_clock);
    } else if (line_value(line, "query-clock: ", &value)) {
        read_clock(g, value, "query clock", &s->query_clock);
    } else if (str_is(line, "leave")) {
        if (!rejoin_after_leave) {
            forget_all(s);
            s->clock = s->event_clock = s->query_clock = 0;
        }
    } else if (!line_value(line, "coordinate: ", &value) && !line_value(line, "#", &value)) {
        g_log(g, LOG_WARN, true, "Unrecognized snapshot line: " STR_FMT, STR_ARG(line));
    }
}

void snapshot_load(struct gossip *g, struct str text, bool rejoin_after_leave) {
    struct snapshot *s = &g->snapshot;
    s->size = text.len;
    /* A last line that is not whole was being written when the process died. */
    for (ptrdiff_t end; (end = str_find_char(text, '\n')) >= 0;
         text = str_sub(text, (size_t)end + 1, SIZE_MAX)) {
        struct str line = str_sub(text, 0, (size_t)end);
        if (line.len > 0)
            read_line(g, line, rejoin_after_leave);
    }
    if (s->clock > 0 || s->event_clock > 0 || s->query_clock > 0) {
        clock_witness(&g->clock, s->clock);
        clock_witness(&g->event_clock, s->event_clock);
        clock_witness(&g->query_clock, s->query_clock);
        g->event_min = s->event_clock < UINT64_MAX ? s->event_clock + 1 : UINT64_MAX;
        g->query_min = s->query_clock < UINT64_MAX ? s->query_clock + 1 : UINT64_MAX;
    }
    if (text.len > 0) { /* go on behind it on a line of its own */
        buf_add_char(&s->buffer, '\n');
        s->size++;
    }
}

/* ---- writing ---- */

static void hand_out(struct gossip *g, bool replace, bool sync, struct str bytes) {
    struct gossip_action *a = g_action(g, GOSSIP_ACTION_SNAPSHOT);
    a->snapshot.replace = replace;
    a->snapshot.sync = sync;
    a->snapshot.bytes = str_copy(g_arena(g), bytes);
    g->snapshot.flushed = g->now;
}

static void flush(struct gossip *g, bool sync) {
    struct snapshot *s = &g->snapshot;
    timer_stop(&g->timers, &s->timer);
    if (s->buffer.len > 0 || sync)
        hand_out(g, false, sync, buf_str(&s->buffer));
    buf_clear(&s->buffer);
}

static void write_clocks(struct buf *out, const struct snapshot *s) {
    buf_add_format(out, "clock: %llu\nevent-clock: %llu\nquery-clock: %llu\n",
                   (unsigned long long)s->clock, (unsigned long long)s->event_clock,
                   (unsigned long long)s->query_clock);
}

static void compact(struct gossip *g) {
    struct snapshot *s = &g->snapshot;
    struct buf whole = BUF_INIT;
    struct str name;
    void *address;
    for (size_t i = 0; map_next(&s->alive, &i, &name, &address);)
        buf_add_format(&whole, "alive: " STR_FMT " %s\n", STR_ARG(name), (const char *)address);
    write_clocks(&whole, s);
    if (s->left)
        buf_add_text(&whole, "leave\n");
    buf_clear(&s->buffer);
    s->size = whole.len;
    hand_out(g, true, true, buf_str(&whole));
    buf_free(&whole);
    g_metric(g, METRIC_SAMPLE, "serf.snapshot.compact", 1);
}

static void line_added(struct gossip *g, size_t before) {
    struct snapshot *s = &g->snapshot;
    size_t limit = COMPACT_PER_NODE * s->alive.count;
    s->size += s->buffer.len - before;
    if (s->size > (limit > COMPACT_SIZE ? limit : COMPACT_SIZE))
        compact(g);
    else if (!timer_runs(&s->timer))
        timer_start(&g->timers, &s->timer,
                    s->flushed + FLUSH_INTERVAL > g->now ? s->flushed + FLUSH_INTERVAL : g->now);
}

/* A name that is no line would be read as several. */
static bool can_be_written(struct str name) {
    return str_find_char(name, '\n') < 0;
}

void snapshot_member(struct gossip *g, const struct member *m, bool alive) {
    struct snapshot *s = &g->snapshot;
    struct str name = member_name(m);
    if (!s->on || s->left || !can_be_written(name))
        return;
    size_t before = s->buffer.len;
    if (alive) {
        char text[GOSSIP_ADDRESS_TEXT];
        struct str address = gossip_address_text(&m->id->address, text);
        remember(s, name, address);
        buf_add_format(&s->buffer, "alive: " STR_FMT " " STR_FMT "\n", STR_ARG(name),
                       STR_ARG(address));
    } else {
        forget(s, name);
        buf_add_format(&s->buffer, "not-alive: " STR_FMT "\n", STR_ARG(name));
    }
    line_added(g, before);
}

static void write_clock(struct gossip *g, const char *name, uint64_t *written, uint64_t ltime) {
    struct snapshot *s = &g->snapshot;
    if (ltime <= *written)
        return;
    *written = ltime;
    size_t before = s->buffer.len;
    buf_add_format(&s->buffer, "%s: %llu\n", name, (unsigned long long)ltime);
    line_added(g, before);
}

void snapshot_event_clock(struct gossip *g, uint64_t ltime) {
    if (g->snapshot.on && !g->snapshot.left)
        write_clock(g, "event-clock", &g->snapshot.event_clock, ltime);
}

void snapshot_query_clock(struct gossip *g, uint64_t ltime) {
    if (g->snapshot.on && !g->snapshot.left)
        write_clock(g, "query-clock", &g->snapshot.query_clock, ltime);
}

/* The members' clock is looked at after each step. */
void snapshot_check(struct gossip *g) {
    if (g->snapshot.on)
        write_clock(g, "clock", &g->snapshot.clock, g->clock - 1);
}

void snapshot_leave(struct gossip *g) {
    struct snapshot *s = &g->snapshot;
    if (!s->on || s->left)
        return;
    s->left = true;
    size_t before = s->buffer.len;
    buf_add_text(&s->buffer, "leave\n");
    s->size += s->buffer.len - before;
    flush(g, true);
}

void snapshot_timer(struct gossip *g) {
    flush(g, false);
}

void snapshot_close(struct gossip *g) {
    if (g->snapshot.on)
        flush(g, true);
}

void snapshot_free(struct gossip *g) {
    forget_all(&g->snapshot);
    buf_free(&g->snapshot.buffer);
}

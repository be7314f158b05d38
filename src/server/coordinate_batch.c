/* Coordinates that agents report are written in batches (rpc.md 6.6): the latest of each node and
 * segment, every 5 s, at most 5 batches of 128; the rest is dropped, since all come again.
 */
#include "base/mem.h"
#include "base/time.h"
#include "schema/entries.h"
#include "server/server_room.h"

#define BATCH_SIZE 128
#define BATCH_COUNT 5
#define BATCH_PERIOD (5 * SECOND)

struct coordinate_batch {
    struct server *server;
    bool on;
    struct arena arena; /* of what was collected */
    struct map updates; /* node NUL segment -> struct coordinate * */
    struct coordinate *list[BATCH_SIZE * BATCH_COUNT];
    struct loop_timer timer;
};

static void batch_clear(struct coordinate_batch *b) {
    map_free(&b->updates);
    b->updates = MAP_INIT;
    arena_reset(&b->arena, 4096);
}

static void batch_propose(struct coordinate_batch *b, struct coordinate **items, size_t len) {
    struct buf entry = BUF_INIT;
    buf_add_char(&entry, (char)(ENTRY_COORDINATE_BATCH | ENTRY_IGNORE_UNKNOWN));
    struct list list = {items, (uint32_t)len, true};
    schema_encode_type(&entry, &coordinate_batch_type, &list);
    server_propose(b->server, &entry, "Batch update failed", NULL, NULL);
}

static void batch_fired(struct loop_timer *timer) {
    struct coordinate_batch *b = timer->owner;
    if (!b->on) {
        return;
    }
    size_t len = 0;
    size_t cursor = 0;
    void *value;
    while (map_next(&b->updates, &cursor, NULL, &value) && len < COUNT_OF(b->list)) {
        b->list[len++] = value;
    }
    for (size_t at = 0; at < len; at += BATCH_SIZE) {
        batch_propose(b, b->list + at, len - at < BATCH_SIZE ? len - at : BATCH_SIZE);
    }
    batch_clear(b);
}

struct coordinate_batch *coordinate_batch_new(struct server *s) {
    struct coordinate_batch *b = MEM_NEW(struct coordinate_batch);
    b->server = s;
    loop_timer_init(&s->core, &b->timer, batch_fired, b);
    return b;
}

void coordinate_batch_close(struct coordinate_batch *b) {
    coordinate_batch_enable(b, false);
    loop_timer_close(&b->timer, NULL);
}

void coordinate_batch_free(struct coordinate_batch *b) {
    if (b != NULL) {
        batch_clear(b);
        arena_free(&b->arena);
        mem_free(b);
    }
}

void coordinate_batch_enable(struct coordinate_batch *b, bool on) {
    b->on = on;
    if (!on) {
        loop_timer_stop(&b->timer);
        batch_clear(b);
    }
}

void coordinate_batch_add(struct coordinate_batch *b, const struct coordinate_update_request *r) {
    struct arena scratch = ARENA_INIT;
    struct str key = str_format(&scratch, "%.*s%c%.*s", STR_ARG(r->node), 0, STR_ARG(r->segment));
    bool known = map_get(&b->updates, key) != NULL;
    /* Updates of known nodes take memory too, until the next write. */
    if (b->on && (known || b->updates.count < COUNT_OF(b->list)) && b->arena.total < (4 << 20)) {
        if (b->updates.count == 0) {
            int64_t period = b->server->options.coordinate_update_period;
            loop_timer_set(&b->timer, period > 0 ? period : BATCH_PERIOD);
        }
        struct coordinate update = {.coord = r->coord, .node = r->node, .segment = r->segment};
        struct coordinate *copy = ARENA_NEW(&b->arena, struct coordinate);
        schema_copy(&coordinate_shape, copy, &update, &b->arena);
        map_put(&b->updates, key, copy);
    }
    arena_free(&scratch);
}

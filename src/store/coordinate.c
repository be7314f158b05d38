/* Network coordinates: reads, and entry type 6 (fsm.md 5.2).
 */
#include "store/coordinate.h"

#include <math.h>

#include "codec/msgpack.h"
#include "store/apply.h"

static void collect(struct store_read *r, struct str prefix, struct list *coordinates) {
    *coordinates = LIST_NIL;
    uint32_t cap = 0;
    struct table_scan s;
    struct str value;
    table_scan_begin(&s, r, TABLE_COORDINATES, prefix);
    while (table_scan_next(&s, NULL, &value)) {
        struct coordinate *c = ARENA_NEW(r->arena, struct coordinate);
        record_decode(r, value, &coordinate_shape, c);
        *(struct coordinate **)list_push(coordinates, &cap, sizeof c, r->arena) = c;
    }
    table_scan_end(&s);
}

uint64_t coordinate_list(struct store_read *r, struct list *coordinates) {
    watch_name(r, WATCH_TABLE, STR("coordinates"));
    collect(r, STR(""), coordinates);
    return INDEX_MAX(r, "coordinates");
}

uint64_t coordinate_node(struct store_read *r, struct str node, struct list *coordinates) {
    struct str prefix = KEY(r->arena, K_LOWER(node));
    watch_set_add_record(r->watch, "coordinates", prefix);
    collect(r, prefix, coordinates);
    return INDEX_MAX(r, "coordinates");
}

static void coordinate_store(struct store_batch *b, const struct coordinate *c) {
    record_put(b, TABLE_COORDINATES, KEY(b->read.arena, K_LOWER(c->node), K_LOWER(c->segment)),
               &coordinate_shape, c);
    touch_record(b, "coordinates", KEY(b->read.arena, K_LOWER(c->node)));
}

void coordinate_delete_node(struct store_batch *b, struct str node) {
    struct str prefix = KEY(b->read.arena, K_LOWER(node));
    if (table_delete_prefix(b, TABLE_COORDINATES, prefix) == 0)
        return;
    touch_record(b, "coordinates", prefix);
    index_bump(b, STR("coordinates"));
}

static bool coordinate_valid(const struct coord *c) {
    if (c == NULL || !isfinite(c->adjustment) || !isfinite(c->error) || !isfinite(c->height)) {
        return false;
    }
    for (uint32_t i = 0; i < c->vec.len; i++) {
        if (!isfinite(LIST_AT(c->vec, double, i)))
            return false;
    }
    return true;
}

void coordinate_update(struct store_batch *b, const struct list *updates) {
    for (uint32_t i = 0; i < updates->len; i++) {
        const struct coordinate *c = LIST_AT(*updates, struct coordinate *, i);
        if (c == NULL || !coordinate_valid(c->coord))
            continue;
        if (!table_has(&b->read, TABLE_NODES, KEY(b->read.arena, K_LOWER(c->node))))
            continue;
        coordinate_store(b, c);
    }
}

bool apply_coordinates(struct store_batch *b, struct str body, struct store_result *result,
                       struct error *e) {
    struct list updates;
    struct msgpack_reader in = msgpack_read(body);
    (void)result; /* nil */
    if (!schema_decode_type(&in, &coordinate_batch_type, &updates, b->read.arena, e))
        return false;
    coordinate_update(b, &updates);
    index_bump(b, STR("coordinates")); /* even if all were skipped */
    return true;
}

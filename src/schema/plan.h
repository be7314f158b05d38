/* What is computed from a shape at its first use and kept: its fields with embedded blocks laid
 * flat, in the order of the table (JSON) and in that of the wire, with their keys encoded. Private
 * to the room.
 */
#ifndef PRAETOR_SCHEMA_PLAN_H
#define PRAETOR_SCHEMA_PLAN_H

#include "schema/schema.h"

struct plan_field {
    struct str name;        /* on the wire */
    struct str json;        /* in JSON */
    struct str key_wire;    /* msgpack */
    struct str key_json;    /* in quotes */
    struct str key_compact; /* in quotes, with the comma before and the colon behind */
    const struct field *field;
    const struct type *type;
    size_t offset; /* in the outermost struct */
    unsigned flags;
};

struct shape_plan {
    struct plan_field *fields; /* all, in the order of the table */
    uint32_t count;
    struct plan_field *wire; /* those on the wire, in ascending order of their names */
    uint32_t wire_count;
    bool has_delayed;     /* a field with FIELD_DUR_ANY */
    struct str wire_open; /* the map header */
};

const struct shape_plan *shape_plan_make(const struct shape *shape);

static inline const struct shape_plan *shape_plan_of(const struct shape *shape) {
    struct shape_plan *plan = atomic_load_explicit(&shape->cache->plan, memory_order_acquire);
    return plan != NULL ? plan : shape_plan_make(shape);
}

/* A member of the object. */
static inline const void *member(const void *object, size_t offset) {
    return (const char *)object + offset;
}
static inline void *member_mut(void *object, size_t offset) {
    return (char *)object + offset;
}

/* Zero, "", nil, or a list or map without items: what FIELD_OMIT_EMPTY leaves out. */
bool schema_is_empty(const struct type *type, const void *object, unsigned flags);

/* buf_reserve, without the call when there is room. */
static inline char *room(struct buf *b, size_t n) {
    return b->cap - b->len >= n && b->data != NULL ? b->data + b->len : buf_reserve(b, n);
}

static inline void put(struct buf *b, struct str s) {
    memcpy(room(b, s.len), s.data, s.len); /* never absent: keys of plans */
    b->len += s.len;
}

/* The i-th item or pair. */
static inline void *list_item(const struct list *list, size_t item_size, uint32_t i) {
    return (char *)list->items + (size_t)i * item_size;
}

#endif

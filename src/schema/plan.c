/* Turning a field table into the plan that the encoders and decoders run on. */
#include "schema/plan.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/msgpack.h"

#define MAX_FIELDS 128 /* of one shape, blocks laid flat */

static uint32_t count_flat(const struct shape *shape) {
    uint32_t n = 0;
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        n += f->flags & FIELD_FLAT ? count_flat(f->type.shape) : 1;
    }
    return n;
}

static struct str owned(struct buf *b) {
    struct str s = buf_str(b); /* kept for ever, like the plan */
    *b = BUF_INIT;
    return s;
}

static void fill_field(struct plan_field *to, const struct field *f, size_t base, unsigned outer) {
    struct buf b = BUF_INIT;
    to->name = str_from(f->name);
    to->json = str_from(f->json != NULL ? f->json : f->name);
    to->field = f;
    to->type = &f->type;
    to->offset = base + f->offset;
    to->flags = f->flags | outer;
    msgpack_write_str(&b, to->name);
    to->key_wire = owned(&b);
    json_escape(&b, to->json);
    to->key_json = owned(&b);
    buf_add_format(&b, "," STR_FMT ":", STR_ARG(to->key_json));
    to->key_compact = owned(&b);
}

/* A block that is not in JSON, or not on the wire, hands that on to its fields. */
static uint32_t fill(struct plan_field *to, const struct shape *shape, size_t base,
                     unsigned outer) {
    uint32_t n = 0;
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        if (f->flags & FIELD_FLAT) {
            unsigned handed_on = f->flags & (FIELD_NO_JSON | FIELD_NO_WIRE | FIELD_NO_FILTER);
            n += fill(to + n, f->type.shape, base + f->offset, outer | handed_on);
        } else {
            fill_field(&to[n++], f, base, outer);
        }
    }
    return n;
}

static int compare_names(const void *a, const void *b) {
    const struct plan_field *x = a, *y = b;
    return str_compare(x->name, y->name);
}

static void free_plan(struct shape_plan *plan) {
    for (uint32_t i = 0; i < plan->count; i++) {
        mem_free((void *)(uintptr_t)plan->fields[i].key_wire.data);
        mem_free((void *)(uintptr_t)plan->fields[i].key_json.data);
        mem_free((void *)(uintptr_t)plan->fields[i].key_compact.data);
    }
    mem_free((void *)(uintptr_t)plan->wire_open.data);
    mem_free(plan->fields);
    mem_free(plan->wire);
    mem_free(plan);
}

const struct shape_plan *shape_plan_make(const struct shape *shape) {
    struct shape_plan *plan = MEM_NEW(struct shape_plan);
    plan->count = count_flat(shape);
    ASSERT(plan->count <= MAX_FIELDS);
    plan->fields = mem_zalloc(plan->count + 1, sizeof(struct plan_field));
    plan->wire = mem_zalloc(plan->count + 1, sizeof(struct plan_field));
    fill(plan->fields, shape, 0, 0);
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!(plan->fields[i].flags & FIELD_NO_WIRE)) {
            plan->wire[plan->wire_count++] = plan->fields[i];
        }
        plan->has_delayed = plan->has_delayed || plan->fields[i].flags & FIELD_DUR_ANY;
    }
    qsort(plan->wire, plan->wire_count, sizeof(struct plan_field), compare_names);
    for (uint32_t i = 1; i < plan->wire_count; i++) {
        ASSERT(str_compare(plan->wire[i - 1].name, plan->wire[i].name) < 0);
    }
    struct buf b = BUF_INIT;
    msgpack_write_map(&b, plan->wire_count);
    plan->wire_open = owned(&b);

    struct shape_plan *first = NULL;
    if (!atomic_compare_exchange_strong(&shape->cache->plan, &first, plan)) {
        free_plan(plan); /* another thread was faster */
        return first;
    }
    return plan;
}

size_t schema_type_size(const struct type *type) {
    switch (type->kind) {
    case KIND_STR:
    case KIND_BYTES:
        return sizeof(struct str);
    case KIND_BOOL:
        return sizeof(bool);
    case KIND_INT:
    case KIND_UINT:
    case KIND_DUR:
        return sizeof(int64_t);
    case KIND_TIME:
        return sizeof(struct timestamp);
    case KIND_F64:
        return sizeof(double);
    case KIND_F32:
        return sizeof(float);
    case KIND_ANY:
    case KIND_PTR:
        return sizeof(void *);
    case KIND_STRUCT:
        return type->shape->size;
    case KIND_LIST:
    case KIND_MAP:
        return sizeof(struct list);
    }
    ASSERT(false);
    return 0;
}

size_t schema_pair_size(const struct type *value_type) {
    size_t size = MAP_VALUE_OFFSET + schema_type_size(value_type);
    return (size + 7) & ~(size_t)7;
}

const struct field *schema_field(const struct shape *shape, struct str name) {
    const struct shape_plan *plan = shape_plan_of(shape);
    for (uint32_t i = 0; i < plan->count; i++) {
        if (str_eq(plan->fields[i].name, name)) {
            return plan->fields[i].field;
        }
    }
    return NULL;
}

bool schema_is_empty(const struct type *type, const void *object, unsigned flags) {
    switch (type->kind) {
    case KIND_STR:
    case KIND_BYTES:
        return ((const struct str *)object)->len == 0;
    case KIND_BOOL:
        return !*(const bool *)object;
    case KIND_INT:
    case KIND_UINT:
    case KIND_DUR:
        return *(const uint64_t *)object == 0;
    case KIND_TIME:
        return flags & FIELD_NULLABLE && !((const struct timestamp *)object)->present;
    case KIND_F64:
        return *(const double *)object == 0;
    case KIND_F32:
        return *(const float *)object == 0;
    case KIND_ANY: {
        const struct value *v = *(struct value *const *)object;
        return v == NULL || (v->kind == VALUE_MAP && v->map.len == 0);
    }
    case KIND_PTR:
        return *(void *const *)object == NULL;
    case KIND_STRUCT:
        return false;
    case KIND_LIST:
    case KIND_MAP:
        return ((const struct list *)object)->len == 0;
    }
    return false;
}

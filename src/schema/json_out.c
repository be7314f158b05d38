/* Structures to JSON: the table's order, its omit rules, the peer's layout (http-core.md 5.1, 10).
 */
#include "codec/json.h"
#include "schema/plan.h"

static void write_type(struct json_writer *out, const struct type *type, const void *object,
                       unsigned flags);

static void write_list(struct json_writer *out, const struct type *elem, const struct list *list) {
    if (!list->present) {
        json_null(out);
        return;
    }
    size_t size = schema_type_size(elem);
    json_open_array(out);
    for (uint32_t i = 0; i < list->len; i++) {
        write_type(out, elem, list_item(list, size, i), 0);
    }
    json_close_array(out);
}

static void write_map(struct json_writer *out, const struct type *elem, const struct list *map) {
    if (!map->present) {
        json_null(out);
        return;
    }
    size_t size = schema_pair_size(elem);
    json_open_object(out);
    for (uint32_t i = 0; i < map->len; i++) {
        const void *pair = list_item(map, size, i);
        json_key(out, *(const struct str *)pair);
        write_type(out, elem, member(pair, MAP_VALUE_OFFSET), 0);
    }
    json_close_object(out);
}

static void write_duration(struct json_writer *out, int64_t ns, unsigned flags) {
    if (!(flags & FIELD_DUR_TEXT)) {
        json_i64(out, ns);
        return;
    }
    struct arena arena = ARENA_INIT;
    json_str(out, duration_format(&arena, ns));
    arena_free(&arena);
}

static void write_type(struct json_writer *out, const struct type *type, const void *object,
                       unsigned flags) {
    switch (type->kind) {
    case KIND_STR:
        json_str(out, *(const struct str *)object);
        break;
    case KIND_BYTES:
        json_base64(out, *(const struct str *)object);
        break;
    case KIND_BOOL:
        json_bool(out, *(const bool *)object);
        break;
    case KIND_INT:
        json_i64(out, *(const int64_t *)object);
        break;
    case KIND_UINT:
        json_u64(out, *(const uint64_t *)object);
        break;
    case KIND_DUR:
        write_duration(out, *(const int64_t *)object, flags);
        break;
    case KIND_TIME:
        if (flags & FIELD_NULLABLE && !((const struct timestamp *)object)->present) {
            json_null(out);
        } else {
            json_time(out, *(const struct timestamp *)object);
        }
        break;
    case KIND_F64:
        json_f64(out, *(const double *)object);
        break;
    case KIND_F32:
        json_f32(out, *(const float *)object);
        break;
    case KIND_ANY:
        json_value(out, *(struct value *const *)object);
        break;
    case KIND_STRUCT:
        schema_write_json(out, type->shape, object);
        break;
    case KIND_PTR:
        if (*(void *const *)object == NULL) {
            json_null(out);
        } else {
            schema_write_json(out, type->shape, *(void *const *)object);
        }
        break;
    case KIND_LIST:
        write_list(out, type->elem, object);
        break;
    case KIND_MAP:
        write_map(out, type->elem, object);
        break;
    }
}

/* json_key_quoted, in one piece. */
static inline void write_key(struct json_writer *out, const struct plan_field *f) {
    if (out->pretty) {
        json_key_quoted(out, f->key_json);
        return;
    }
    struct str key = f->key_compact;
    if (out->first) {
        key = (struct str){key.data + 1, key.len - 1};
        out->first = false;
    }
    put(out->out, key);
    out->after_key = true;
}

void schema_write_json(struct json_writer *out, const struct shape *shape, const void *object) {
    const struct shape_plan *plan = shape_plan_of(shape);
    json_open_object(out);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_field *f = &plan->fields[i];
        const void *at = member(object, f->offset);
        if (f->flags & FIELD_NO_JSON ||
            (f->flags & FIELD_OMIT_EMPTY && schema_is_empty(f->type, at, f->flags))) {
            continue;
        }
        write_key(out, f);
        write_type(out, f->type, at, f->flags);
    }
    json_close_object(out);
}

void schema_write_json_type(struct json_writer *out, const struct type *type, const void *object,
                            unsigned flags) {
    write_type(out, type, object, flags);
}

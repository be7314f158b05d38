/* Structures to msgpack: a map of all fields in ascending order of their names (rpc.md 3.2). */
#include "codec/msgpack.h"
#include "schema/plan.h"

static void encode_type(struct buf *out, const struct type *type, unsigned flags,
                        const void *object);

static void encode_str(struct buf *out, struct str s);

static void encode_list(struct buf *out, const struct type *elem, const struct list *list) {
    if (!list->present) {
        msgpack_write_nil(out);
        return;
    }
    size_t size = schema_type_size(elem);
    msgpack_write_array(out, list->len);
    for (uint32_t i = 0; i < list->len; i++) {
        encode_type(out, elem, 0, list_item(list, size, i));
    }
}

static void encode_map(struct buf *out, const struct type *elem, const struct list *map) {
    if (!map->present) {
        msgpack_write_nil(out);
        return;
    }
    size_t size = schema_pair_size(elem);
    msgpack_write_map(out, map->len);
    for (uint32_t i = 0; i < map->len; i++) {
        const void *pair = list_item(map, size, i);
        encode_str(out, *(const struct str *)pair);
        encode_type(out, elem, 0, member(pair, MAP_VALUE_OFFSET));
    }
}

static void encode_bytes(struct buf *out, struct str bytes) {
    if (bytes.data == NULL) {
        msgpack_write_nil(out);
    } else {
        msgpack_write_str(out, bytes);
    }
}

static void encode_str(struct buf *out, struct str s) {
    if (s.len >= 32) {
        msgpack_write_str(out, s);
        return;
    }
    char *p = room(out, 1 + s.len);
    p[0] = (char)(0xa0 | s.len);
    if (s.len > 0) {
        memcpy(p + 1, s.data, s.len);
    }
    out->len += 1 + s.len;
}

static void encode_int(struct buf *out, int64_t n) {
    if (n < 0 || n > 127) {
        msgpack_write_i64(out, n);
        return;
    }
    *room(out, 1) = (char)n;
    out->len++;
}

static void encode_type(struct buf *out, const struct type *type, unsigned flags,
                        const void *object) {
    switch (type->kind) {
    case KIND_STR:
        encode_str(out, *(const struct str *)object);
        break;
    case KIND_BYTES:
        encode_bytes(out, *(const struct str *)object);
        break;
    case KIND_BOOL:
        *room(out, 1) = (char)(*(const bool *)object ? 0xc3 : 0xc2);
        out->len++;
        break;
    case KIND_INT:
    case KIND_DUR:
        encode_int(out, *(const int64_t *)object);
        break;
    case KIND_UINT:
        msgpack_write_u64(out, *(const uint64_t *)object);
        break;
    case KIND_TIME:
        if (flags & FIELD_NULLABLE && !((const struct timestamp *)object)->present) {
            msgpack_write_nil(out);
        } else {
            msgpack_write_time(out, *(const struct timestamp *)object);
        }
        break;
    case KIND_F64:
        msgpack_write_f64(out, *(const double *)object);
        break;
    case KIND_F32:
        msgpack_write_f32(out, *(const float *)object);
        break;
    case KIND_ANY:
        msgpack_write_value(out, *(struct value *const *)object);
        break;
    case KIND_STRUCT:
        schema_encode(out, type->shape, object);
        break;
    case KIND_PTR:
        if (*(void *const *)object == NULL) {
            msgpack_write_nil(out);
        } else {
            schema_encode(out, type->shape, *(void *const *)object);
        }
        break;
    case KIND_LIST:
        encode_list(out, type->elem, object);
        break;
    case KIND_MAP:
        encode_map(out, type->elem, object);
        break;
    }
}

void schema_encode(struct buf *out, const struct shape *shape, const void *object) {
    if (shape->wire != NULL) {
        shape->wire->encode(out, object);
        return;
    }
    const struct shape_plan *plan = shape_plan_of(shape);
    put(out, plan->wire_open);
    for (uint32_t i = 0; i < plan->wire_count; i++) {
        const struct plan_field *f = &plan->wire[i];
        put(out, f->key_wire);
        encode_type(out, f->type, f->flags, member(object, f->offset));
    }
}

void schema_encode_type(struct buf *out, const struct type *type, const void *object) {
    encode_type(out, type, 0, object);
}

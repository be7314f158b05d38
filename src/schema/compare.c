/* Maps, deep comparison and deep copies. */
#include <stdlib.h>

#include "base/mem.h"
#include "schema/plan.h"

void *map_pair_value(const struct list *map, size_t pair_size, struct str key) {
    uint32_t low = 0, high = map->len;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        void *pair = list_item(map, pair_size, middle);
        int c = str_compare(*(struct str *)pair, key);
        if (c == 0) {
            return member_mut(pair, MAP_VALUE_OFFSET);
        }
        if (c < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

struct str *str_map_get(const struct list *map, struct str key) {
    return map_pair_value(map, sizeof(struct str_pair), key);
}

bool str_map_equal(const struct list *a, const struct list *b) {
    if (a->len != b->len) {
        return false;
    }
    for (uint32_t i = 0; i < a->len; i++) {
        const struct str_pair *x = &LIST_AT(*a, struct str_pair, i);
        const struct str_pair *y = &LIST_AT(*b, struct str_pair, i);
        if (!str_eq(x->key, y->key) || !str_eq(x->value, y->value)) {
            return false;
        }
    }
    return true;
}

bool str_list_has(const struct list *strings, struct str s) {
    for (uint32_t i = 0; i < strings->len; i++) {
        if (str_eq(LIST_AT(*strings, struct str, i), s)) {
            return true;
        }
    }
    return false;
}

static int compare_pairs(const void *a, const void *b) {
    const struct str *x = *(const struct str *const *)a;
    const struct str *y = *(const struct str *const *)b;
    int c = str_compare(*x, *y);
    if (c != 0) {
        return c;
    }
    return x < y ? -1 : x > y; /* in one array: the order of arrival */
}

static bool is_ordered(const struct list *map, size_t pair_size) {
    for (uint32_t i = 1; i < map->len; i++) {
        const struct str *before = list_item(map, pair_size, i - 1);
        const struct str *here = list_item(map, pair_size, i);
        if (str_compare(*before, *here) >= 0) {
            return false;
        }
    }
    return true;
}

void map_sort(struct list *map, size_t pair_size, struct arena *arena) {
    if (is_ordered(map, pair_size)) {
        return;
    }
    const void **order = mem_zalloc(map->len, sizeof(*order));
    for (uint32_t i = 0; i < map->len; i++) {
        order[i] = list_item(map, pair_size, i);
    }
    qsort(order, map->len, sizeof(*order), compare_pairs);
    char *sorted = arena_zalloc(arena, map->len, pair_size);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map->len; i++) {
        if (i + 1 < map->len &&
            str_eq(*(const struct str *)order[i], *(const struct str *)order[i + 1])) {
            continue;
        }
        memcpy(sorted + (size_t)kept++ * pair_size, order[i], pair_size);
    }
    mem_free(order);
    map->items = sorted;
    map->len = kept;
}

static bool equal_type(const struct type *type, const void *a, const void *b);

static bool equal_items(const struct list *a, const struct list *b, const struct type *elem,
                        bool pairs) {
    if (a->present != b->present || a->len != b->len) {
        return false;
    }
    size_t size = pairs ? schema_pair_size(elem) : schema_type_size(elem);
    for (uint32_t i = 0; i < a->len; i++) {
        const void *x = list_item(a, size, i);
        const void *y = list_item(b, size, i);
        if (pairs) {
            if (!str_eq(*(const struct str *)x, *(const struct str *)y)) {
                return false;
            }
            x = member(x, MAP_VALUE_OFFSET);
            y = member(y, MAP_VALUE_OFFSET);
        }
        if (!equal_type(elem, x, y)) {
            return false;
        }
    }
    return true;
}

static bool equal_time(const struct timestamp *a, const struct timestamp *b) {
    return a->present == b->present && a->seconds == b->seconds &&
           a->nanoseconds == b->nanoseconds && a->offset == b->offset;
}

static bool equal_pointers(const struct shape *shape, const void *a, const void *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return schema_equal(shape, a, b);
}

static bool equal_type(const struct type *type, const void *a, const void *b) {
    switch (type->kind) {
    case KIND_STR:
    case KIND_BYTES:
        return str_eq(*(const struct str *)a, *(const struct str *)b);
    case KIND_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case KIND_INT:
    case KIND_UINT:
    case KIND_DUR:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    case KIND_TIME:
        return equal_time(a, b);
    case KIND_F64:
        return *(const double *)a == *(const double *)b;
    case KIND_F32:
        return *(const float *)a == *(const float *)b;
    case KIND_ANY:
        return value_equal(*(struct value *const *)a, *(struct value *const *)b);
    case KIND_STRUCT:
        return schema_equal(type->shape, a, b);
    case KIND_PTR:
        return equal_pointers(type->shape, *(void *const *)a, *(void *const *)b);
    case KIND_LIST:
    case KIND_MAP:
        return equal_items(a, b, type->elem, type->kind == KIND_MAP);
    }
    return false;
}

static bool is_skipped(struct str name, const char *const *skip) {
    for (; skip != NULL && *skip != NULL; skip++) {
        if (str_is(name, *skip)) {
            return true;
        }
    }
    return false;
}

bool schema_equal_but(const struct shape *shape, const void *a, const void *b,
                      const char *const *skip) {
    const struct shape_plan *plan = shape_plan_of(shape);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_field *f = &plan->fields[i];
        if (!is_skipped(f->name, skip) &&
            !equal_type(f->type, member(a, f->offset), member(b, f->offset))) {
            return false;
        }
    }
    return true;
}

bool schema_equal(const struct shape *shape, const void *a, const void *b) {
    return schema_equal_but(shape, a, b, NULL);
}

static void copy_type(const struct type *type, void *to, const void *from, struct arena *arena);

static void copy_items(struct list *to, const struct list *from, const struct type *elem,
                       bool pairs, struct arena *arena) {
    size_t size = pairs ? schema_pair_size(elem) : schema_type_size(elem);
    *to = (struct list){.len = from->len, .present = from->present};
    if (from->len == 0) {
        return;
    }
    to->items = arena_zalloc(arena, from->len, size);
    for (uint32_t i = 0; i < from->len; i++) {
        void *x = list_item(to, size, i);
        const void *y = list_item(from, size, i);
        if (pairs) {
            *(struct str *)x = str_copy(arena, *(const struct str *)y);
            x = member_mut(x, MAP_VALUE_OFFSET);
            y = member(y, MAP_VALUE_OFFSET);
        }
        copy_type(elem, x, y, arena);
    }
}

static void copy_type(const struct type *type, void *to, const void *from, struct arena *arena) {
    switch (type->kind) {
    case KIND_STR:
    case KIND_BYTES:
        *(struct str *)to = str_copy(arena, *(const struct str *)from);
        break;
    case KIND_ANY:
        *(struct value **)to = value_copy(*(struct value *const *)from, arena);
        break;
    case KIND_STRUCT:
        schema_copy(type->shape, to, from, arena);
        break;
    case KIND_PTR: {
        const void *target = *(void *const *)from;
        void *copy = target == NULL ? NULL : arena_zalloc(arena, 1, type->shape->size);
        if (target != NULL) {
            schema_copy(type->shape, copy, target, arena);
        }
        *(void **)to = copy;
        break;
    }
    case KIND_LIST:
    case KIND_MAP:
        copy_items(to, from, type->elem, type->kind == KIND_MAP, arena);
        break;
    default:
        memcpy(to, from, schema_type_size(type));
        break;
    }
}

void schema_copy(const struct shape *shape, void *to, const void *from, struct arena *arena) {
    const struct shape_plan *plan = shape_plan_of(shape);
    ASSERT(to != from);
    memset(to, 0, shape->size);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_field *f = &plan->fields[i];
        copy_type(f->type, member_mut(to, f->offset), member(from, f->offset), arena);
    }
}

/* Trees of free-form content: looking up, copying, comparing. */
#include "codec/value.h"

#include <stdlib.h>

#include "base/mem.h"

struct value *value_find(const struct value *v, struct str key) {
    if (v == NULL || v->kind != VALUE_MAP) {
        return NULL;
    }
    for (size_t i = v->map.len; i > 0; i--) {
        if (str_eq(v->map.pairs[i - 1].key, key)) {
            return &v->map.pairs[i - 1].value;
        }
    }
    return NULL;
}

struct value *value_get(const struct value *v, const char *key) {
    return value_find(v, str_from(key));
}

bool value_is_zero(const struct value *v) {
    switch (v->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return !v->boolean;
    case VALUE_INT:
        return v->integer == 0;
    case VALUE_UINT:
        return v->uinteger == 0;
    case VALUE_FLOAT:
        return v->number == 0;
    case VALUE_STRING:
        return v->string.len == 0;
    case VALUE_LIST:
        return v->list.len == 0;
    case VALUE_MAP:
        return v->map.len == 0;
    }
    return false;
}

struct value value_from_str(struct str text) {
    return (struct value){.kind = VALUE_STRING, .string = text};
}

struct value value_map(void) {
    return (struct value){.kind = VALUE_MAP};
}

void value_put(struct value *map, struct str key, struct value v, struct arena *arena) {
    if (map->kind != VALUE_MAP) {
        *map = value_map();
    }
    struct value *there = value_find(map, key);
    if (there != NULL) {
        *there = v;
        return;
    }
    struct value_pair *pairs = ARENA_ARRAY(arena, struct value_pair, map->map.len + 1);
    if (map->map.len > 0) {
        memcpy(pairs, map->map.pairs, map->map.len * sizeof *pairs);
    }
    pairs[map->map.len] = (struct value_pair){key, v};
    map->map.pairs = pairs;
    map->map.len++;
}

void value_append(struct value *list, struct value item, struct arena *arena) {
    if (list->kind != VALUE_LIST) {
        *list = (struct value){.kind = VALUE_LIST};
    }
    struct value *items = ARENA_ARRAY(arena, struct value, list->list.len + 1);
    if (list->list.len > 0) {
        memcpy(items, list->list.items, list->list.len * sizeof *items);
    }
    items[list->list.len] = item;
    list->list.items = items;
    list->list.len++;
}

static void copy_into(struct value *to, const struct value *from, struct arena *arena) {
    *to = *from;
    to->literal = from->kind == VALUE_FLOAT ? str_copy(arena, from->literal) : STR_NONE;
    switch (from->kind) {
    case VALUE_STRING:
        to->string = str_copy(arena, from->string);
        break;
    case VALUE_LIST:
        to->list.items = ARENA_ARRAY(arena, struct value, from->list.len);
        for (size_t i = 0; i < from->list.len; i++) {
            copy_into(&to->list.items[i], &from->list.items[i], arena);
        }
        break;
    case VALUE_MAP:
        to->map.pairs = ARENA_ARRAY(arena, struct value_pair, from->map.len);
        for (size_t i = 0; i < from->map.len; i++) {
            to->map.pairs[i].key = str_copy(arena, from->map.pairs[i].key);
            copy_into(&to->map.pairs[i].value, &from->map.pairs[i].value, arena);
        }
        break;
    default:
        break;
    }
}

struct value *value_copy(const struct value *v, struct arena *arena) {
    if (v == NULL) {
        return NULL;
    }
    struct value *copy = ARENA_NEW(arena, struct value);
    copy_into(copy, v, arena);
    return copy;
}

static int pair_compare(const void *a, const void *b) {
    const struct value_pair *x = *(const struct value_pair *const *)a;
    const struct value_pair *y = *(const struct value_pair *const *)b;
    int c = str_compare(x->key, y->key);
    if (c != 0) {
        return c;
    }
    return x < y ? -1 : x > y; /* both point into one array: the order of the text */
}

size_t value_sorted_pairs(const struct value *v, const struct value_pair ***out) {
    const struct value_pair **sorted = mem_zalloc(v->map.len + 1, sizeof(*sorted));
    bool ordered = true;
    for (size_t i = 0; i < v->map.len; i++) {
        sorted[i] = &v->map.pairs[i];
        if (i > 0 && str_compare(sorted[i - 1]->key, sorted[i]->key) >= 0) {
            ordered = false;
        }
    }
    size_t len = v->map.len;
    if (!ordered) {
        qsort(sorted, len, sizeof(*sorted), pair_compare);
        size_t kept = 0;
        for (size_t i = 0; i < len; i++) {
            if (i + 1 < len && str_eq(sorted[i]->key, sorted[i + 1]->key)) {
                continue; /* the last of equal keys wins */
            }
            sorted[kept++] = sorted[i];
        }
        len = kept;
    }
    *out = sorted;
    return len;
}

static bool maps_equal(const struct value *a, const struct value *b) {
    const struct value_pair **x, **y;
    size_t x_len = value_sorted_pairs(a, &x);
    size_t y_len = value_sorted_pairs(b, &y);
    bool equal = x_len == y_len;
    for (size_t i = 0; equal && i < x_len; i++) {
        equal = str_eq(x[i]->key, y[i]->key) && value_equal(&x[i]->value, &y[i]->value);
    }
    mem_free(x);
    mem_free(y);
    return equal;
}

static bool lists_equal(const struct value *a, const struct value *b) {
    if (a->list.len != b->list.len) {
        return false;
    }
    for (size_t i = 0; i < a->list.len; i++) {
        if (!value_equal(&a->list.items[i], &b->list.items[i])) {
            return false;
        }
    }
    return true;
}

bool value_equal(const struct value *a, const struct value *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return a->boolean == b->boolean;
    case VALUE_INT:
        return a->integer == b->integer;
    case VALUE_UINT:
        return a->uinteger == b->uinteger;
    case VALUE_FLOAT:
        return a->number == b->number;
    case VALUE_STRING:
        return str_eq(a->string, b->string);
    case VALUE_LIST:
        return lists_equal(a, b);
    case VALUE_MAP:
        return maps_equal(a, b);
    }
    return false;
}

/* See tree.h. */
#include "xds/tree.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/time.h"

struct value tree_of(struct arena *arena, const struct tree_field *fields) {
    struct value map = {.kind = VALUE_MAP};
    size_t count = 0;
    for (const struct tree_field *f = fields; f->name != NULL; f++)
        count += f->value.kind != VALUE_NULL;
    map.map.pairs = ARENA_ARRAY(arena, struct value_pair, count);
    for (const struct tree_field *f = fields; f->name != NULL; f++)
        if (f->value.kind != VALUE_NULL)
            map.map.pairs[map.map.len++] = (struct value_pair){str_from(f->name), f->value};
    return map;
}

struct value tree_list(struct arena *arena, const struct value *items) {
    struct trees trees = {0};
    for (; items->position != SIZE_MAX; items++)
        if (items->kind != VALUE_NULL)
            trees_add(&trees, *items, arena);
    return trees_list(&trees);
}

struct value tree_empty(void) {
    return (struct value){.kind = VALUE_MAP};
}

struct value tree_text(struct str text) {
    return (struct value){.kind = VALUE_STRING, .string = text.data == NULL ? STR("") : text};
}

struct value tree_text_or_none(struct str text) {
    return text.len > 0 ? tree_text(text) : TREE_NONE;
}

struct value tree_word(const char *text) {
    return tree_text(str_from(text));
}

struct value tree_number(int64_t n) {
    return (struct value){.kind = VALUE_INT, .integer = n};
}

struct value tree_bool(bool b) {
    return (struct value){.kind = VALUE_BOOL, .boolean = b};
}

struct value tree_when(bool condition, struct value v) {
    return condition ? v : TREE_NONE;
}

/* Thousandths, millionths or all: as the fraction needs. */
struct value tree_duration(struct arena *arena, int64_t ns) {
    const char *sign = ns < 0 ? "-" : "";
    long long seconds = llabs(ns / SECOND), rest = llabs(ns % SECOND);
    if (rest == 0)
        return tree_text(str_format(arena, "%s%llds", sign, seconds));
    if (rest % 1000000 == 0)
        return tree_text(str_format(arena, "%s%lld.%03llds", sign, seconds, rest / 1000000));
    if (rest % 1000 == 0)
        return tree_text(str_format(arena, "%s%lld.%06llds", sign, seconds, rest / 1000));
    return tree_text(str_format(arena, "%s%lld.%09llds", sign, seconds, rest));
}

void trees_add(struct trees *trees, struct value item, struct arena *arena) {
    if (trees->len == trees->cap) {
        size_t cap = trees->cap == 0 ? 4 : trees->cap * 2;
        struct value *items = ARENA_ARRAY(arena, struct value, cap);
        if (trees->len > 0)
            memcpy(items, trees->items, trees->len * sizeof *items);
        trees->items = items;
        trees->cap = cap;
    }
    trees->items[trees->len++] = item;
}

void tree_prepend(struct value *list, struct value item, struct arena *arena) {
    struct trees all = {0};
    trees_add(&all, item, arena);
    for (size_t i = 0; list->kind == VALUE_LIST && i < list->list.len; i++)
        trees_add(&all, list->list.items[i], arena);
    *list = trees_list(&all);
}

struct value trees_list(const struct trees *trees) {
    return (struct value){.kind = VALUE_LIST, .list = {trees->items, trees->len}};
}

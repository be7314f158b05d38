/* From a canonical tree into C structs, by the tables' offsets.
 */
#include <stdlib.h>

#include "agent/config_table.h"
#include "base/mem.h"

struct filler {
    struct arena *arena;
    struct texts *errors;
};

static void fill_block(struct filler *f, const struct config_block *block, const struct value *tree,
                       void *object, struct str path);

static void fill_duration(struct filler *f, const struct value *v, struct str path, int64_t *out) {
    struct error e = ERROR_IN(f->arena);
    if (duration_parse(v->string, out, &e))
        return;
    f->errors->len = 0; /* a bad duration discards what was found before it: config.md 2.1 */
    texts_addf(f->errors, STR_FMT ": invalid duration: " STR_FMT ": " STR_FMT, STR_ARG(path),
               STR_ARG(str_quote(f->arena, v->string)), STR_ARG(e.text));
}

static int compare_keys(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static struct list strings_of(const struct value *v, struct arena *arena) {
    struct list out = LIST_NEW(arena, struct str, v->list.len);
    for (size_t i = 0; i < v->list.len; i++)
        LIST_AT(out, struct str, i) = v->list.items[i].string;
    return out;
}

static struct list map_of(struct filler *f, const struct config_key *key, const struct value *v,
                          struct str path) {
    size_t value_size = key->type == CONFIG_MAP     ? sizeof(struct str)
                        : key->type == CONFIG_LISTS ? sizeof(struct list)
                                                    : key->block->size;
    size_t size = MAP_VALUE_OFFSET + value_size;
    struct list out = {arena_zalloc(f->arena, v->map.len, size), (uint32_t)v->map.len, true};
    for (size_t i = 0; i < v->map.len; i++) {
        const struct value_pair *pair = &v->map.pairs[i];
        char *at = (char *)out.items + i * size;
        void *value = at + MAP_VALUE_OFFSET;
        *(struct str *)at = pair->key;
        if (key->type == CONFIG_MAP)
            *(struct str *)value = pair->value.string;
        else if (key->type == CONFIG_LISTS)
            *(struct list *)value = strings_of(&pair->value, f->arena);
        else
            fill_block(f, key->block, &pair->value, value, path);
    }
    if (out.len > 1)
        qsort(out.items, out.len, size, compare_keys);
    return out;
}

static struct list blocks_of(struct filler *f, const struct config_key *key, const struct value *v,
                             struct str path) {
    size_t size = key->block->size;
    bool pointers = key->flags & KEY_POINTER;
    struct list out = {arena_zalloc(f->arena, v->list.len, pointers ? sizeof(void *) : size),
                       (uint32_t)v->list.len, true};
    for (size_t i = 0; i < v->list.len; i++) {
        void *item = pointers ? arena_zalloc(f->arena, 1, size) : (char *)out.items + i * size;
        if (pointers)
            ((void **)out.items)[i] = item;
        struct str name = str_format(f->arena, STR_FMT "[%zu]", STR_ARG(path), i);
        fill_block(f, key->block, &v->list.items[i], item, name);
    }
    return out;
}

static struct list free_list(const struct value *v, struct arena *arena) {
    struct list out = LIST_NEW(arena, struct value, v->list.len);
    if (v->list.len > 0)
        memcpy(out.items, v->list.items, v->list.len * sizeof(struct value));
    return out;
}

static void fill_key(struct filler *f, const struct config_key *key, const struct value *v,
                     void *at, struct str path) {
    switch (key->type) {
    case CONFIG_STR:
        *(struct str *)at = v->string;
        break;
    case CONFIG_BOOL:
        *(bool *)at = v->boolean;
        break;
    case CONFIG_INT:
        *(int64_t *)at = v->integer;
        break;
    case CONFIG_UINT:
    case CONFIG_UINT32:
    case CONFIG_UINT64:
        *(uint64_t *)at = v->uinteger;
        break;
    case CONFIG_FLOAT:
        *(double *)at = v->number;
        break;
    case CONFIG_DUR:
        fill_duration(f, v, path, at);
        break;
    case CONFIG_STRS:
        *(struct list *)at = strings_of(v, f->arena);
        break;
    case CONFIG_MAP:
    case CONFIG_LISTS:
    case CONFIG_BLOCK_MAP:
        *(struct list *)at = map_of(f, key, v, path);
        break;
    case CONFIG_BLOCKS:
        *(struct list *)at = blocks_of(f, key, v, path);
        break;
    case CONFIG_FREE:
        *(struct value **)at = value_copy(v, f->arena);
        break;
    case CONFIG_FREES:
        *(struct list *)at = free_list(v, f->arena);
        break;
    case CONFIG_BLOCK:
        if (key->flags & KEY_POINTER) {
            void *object = arena_zalloc(f->arena, 1, key->block->size);
            *(void **)at = object;
            at = object;
        }
        fill_block(f, key->block, v, at, path);
        break;
    }
}

static void fill_block(struct filler *f, const struct config_block *block, const struct value *tree,
                       void *object, struct str path) {
    if (block->init != NULL)
        block->init(object);
    if (block->is_check) {
        struct str id = config_get_str(tree, "id");
        path = str_format(f->arena, "check[" STR_FMT "]", STR_ARG(id));
    }
    for (size_t i = 0; i < block->count; i++) {
        const struct config_key *key = &block->keys[i];
        const struct value *v = config_get(tree, key->name);
        if (v == NULL)
            continue;
        struct str name = path.len == 0
                              ? str_from(key->name)
                              : str_format(f->arena, STR_FMT ".%s", STR_ARG(path), key->name);
        if (key->offset != CONFIG_NOWHERE)
            fill_key(f, key, v, (char *)object + key->offset, name);
        else if (key->type == CONFIG_BLOCK && key->block->size == 0)
            fill_block(f, key->block, v, object, name); /* its keys go into the same struct */
    }
}

void config_fill(const struct config_block *block, const struct value *tree, void *object,
                 struct str path, struct texts *errors, struct arena *arena) {
    struct filler f = {arena, errors};
    fill_block(&f, block, tree, object, path);
}

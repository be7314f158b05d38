/* From a tree as a file had it to the canonical tree of one source: types checked, keys known,
 * lists of one element unwrapped where one value is expected (config.md 1.4). Driven by the tables
 * alone.
 */
#include <stdlib.h>

#include "agent/config_table.h"
#include "base/mem.h"
#include "codec/hcl.h"
#include "codec/number.h"

struct decoder {
    struct arena *arena;
    struct texts errors;  /* of types */
    struct texts unknown; /* keys */
    struct texts *warnings;
};

void texts_add(struct texts *t, struct str text) {
    if (t->len == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 8;
        struct str *items = ARENA_ARRAY(t->arena, struct str, cap);
        if (t->len > 0)
            memcpy(items, t->items, t->len * sizeof(*items));
        t->items = items;
        t->cap = cap;
    }
    t->items[t->len++] = str_copy(t->arena, text);
}

void texts_addf(struct texts *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(t->arena, format, args);
    va_end(args);
    texts_add(t, text);
}

struct str texts_multi(const struct texts *t, struct arena *arena) {
    struct buf out = BUF_INIT;
    if (t->len == 1)
        buf_add_text(&out, "1 error occurred:");
    else
        buf_add_format(&out, "%zu errors occurred:", t->len);
    for (size_t i = 0; i < t->len; i++) {
        buf_add_text(&out, "\n\t* ");
        buf_add_str(&out, t->items[i]);
    }
    buf_add_text(&out, "\n\n");
    struct str text = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

/* ---- values and their names ---- */

/* An item of a list or a value of a map: element_of. */
#define KEY_ELEMENT (1u << 31)

/* Lists of one element are opened, as often as the peer does: scalars under a key and blocks marked
 * so twice, all else once. */
static const struct value *unwrap(const struct config_key *key, const struct value *v) {
    bool block = key->type == CONFIG_BLOCK;
    bool scalar = key->type <= CONFIG_DUR;
    bool twice = (scalar && !(key->flags & KEY_ELEMENT)) ||
                 (block && key->flags & (KEY_POINTER | KEY_WHOLE | KEY_TWICE));
    for (int i = twice ? 2 : 1; i > 0 && v->kind == VALUE_LIST && v->list.len == 1; i--)
        v = &v->list.items[0];
    return v;
}

static const char *kind_name(const struct value *v) {
    return v->kind == VALUE_LIST ? "slice" : v->kind == VALUE_MAP ? "map" : hcl_type_name(v);
}

static void unconvertible(struct decoder *d, struct str path, const char *wanted,
                          const struct value *v) {
    texts_addf(&d->errors, "'" STR_FMT "' expected type '%s', got unconvertible type '%s'",
               STR_ARG(path), wanted, hcl_type_name(v));
}

static struct value *map_add(struct value *map, struct str key, struct arena *arena) {
    for (size_t i = 0; i < map->map.len; i++)
        if (str_eq(map->map.pairs[i].key, key))
            return &map->map.pairs[i].value;
    size_t len = map->map.len;
    if ((len & (len - 1)) == 0) { /* capacity: the next power of two */
        struct value_pair *pairs = ARENA_ARRAY(arena, struct value_pair, len ? len * 2 : 1);
        if (len > 0)
            memcpy(pairs, map->map.pairs, len * sizeof(*pairs));
        map->map.pairs = pairs;
    }
    map->map.pairs[len].key = str_copy(arena, key);
    return &map->map.pairs[map->map.len++].value;
}

static void list_add(struct value *list, const struct value *item, struct arena *arena) {
    size_t len = list->list.len;
    if ((len & (len - 1)) == 0) {
        struct value *items = ARENA_ARRAY(arena, struct value, len ? len * 2 : 1);
        if (len > 0)
            memcpy(items, list->list.items, len * sizeof(*items));
        list->list.items = items;
    }
    list->list.items[list->list.len++] = *item;
}

/* ---- scalars ---- */

static uint64_t uint_of_float(double d) {
    return d >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)d;
}

/* An overflow is told of all unsigned types under the name of the first. */
static bool decode_uint(struct decoder *d, const struct value *v, const char *name, struct str path,
                        struct value *out) {
    out->kind = VALUE_UINT;
    if (v->kind == VALUE_INT && v->integer >= 0) {
        out->uinteger = (uint64_t)v->integer;
        return true;
    }
    if (v->kind == VALUE_FLOAT && v->number >= 0) {
        out->uinteger = uint_of_float(v->number);
        return true;
    }
    if (v->kind == VALUE_INT)
        texts_addf(&d->errors, "cannot parse '" STR_FMT "', %lld overflows uint", STR_ARG(path),
                   (long long)v->integer);
    else if (v->kind == VALUE_FLOAT)
        texts_addf(&d->errors, "cannot parse '" STR_FMT "', %f overflows uint", STR_ARG(path),
                   v->number);
    else
        unconvertible(d, path, name, v);
    return false;
}

/* False: the value is not of the type; the error is noted. */
static bool decode_scalar(struct decoder *d, const struct config_key *key, const struct value *v,
                          struct str path, struct value *out) {
    v = unwrap(key, v);
    if (v->kind == VALUE_NULL) { /* a list of one null: not set, or an empty item */
        *out = (struct value){.kind = VALUE_STRING};
        return key->flags & KEY_ELEMENT;
    }
    switch (key->type) {
    case CONFIG_BOOL:
        if (v->kind != VALUE_BOOL)
            return unconvertible(d, path, "bool", v), false;
        *out = (struct value){.kind = VALUE_BOOL, .boolean = v->boolean};
        return true;
    case CONFIG_INT:
        if (v->kind != VALUE_INT && v->kind != VALUE_FLOAT)
            return unconvertible(d, path, "int", v), false;
        out->kind = VALUE_INT;
        out->integer = v->kind == VALUE_INT ? v->integer : number_i64_of(v->number);
        return true;
    case CONFIG_UINT:
        return decode_uint(d, v, "uint", path, out);
    case CONFIG_UINT32:
        return decode_uint(d, v, "uint32", path, out);
    case CONFIG_UINT64:
        return decode_uint(d, v, "uint64", path, out);
    case CONFIG_FLOAT:
        if (v->kind != VALUE_INT && v->kind != VALUE_FLOAT)
            return unconvertible(d, path, "float64", v), false;
        out->kind = VALUE_FLOAT;
        out->number = v->kind == VALUE_INT ? (double)v->integer : v->number;
        return true;
    default:
        if (v->kind != VALUE_STRING)
            return unconvertible(d, path, "string", v), false;
        out->kind = VALUE_STRING;
        out->string = str_copy(d->arena, v->string.len > 0 ? v->string : STR(""));
        return true;
    }
}

/* ---- content without a table ---- */

static struct value free_map(struct decoder *d, const struct value *v);

/* A one-element list becomes its element, and if that is a map the same holds for its values: so it
 * goes through the blocks of HCL, which are such lists, but not into the objects of JSON. */
static struct value free_item(struct decoder *d, const struct value *v) {
    bool only = v->kind == VALUE_LIST && v->list.len == 1;
    if (only && v->list.items[0].kind == VALUE_MAP)
        return free_map(d, &v->list.items[0]);
    return *value_copy(only ? &v->list.items[0] : v, d->arena);
}

/* A map in an untyped position. */
static struct value free_map(struct decoder *d, const struct value *v) {
    struct value out = *v;
    out.map.pairs = NULL;
    out.map.len = 0;
    for (size_t i = 0; i < v->map.len; i++)
        *map_add(&out, v->map.pairs[i].key, d->arena) = free_item(d, &v->map.pairs[i].value);
    return out;
}

/* ---- containers ---- */

static bool decode_block(struct decoder *d, const struct config_key *key, const struct value *v,
                         struct str path, struct value *out);
static bool decode_value(struct decoder *d, const struct config_key *key, const struct value *v,
                         struct str path, struct value *out);

static const struct value *want_map(struct decoder *d, const struct config_key *key,
                                    const struct value *v, struct str path) {
    v = unwrap(key, v);
    if (v->kind == VALUE_MAP)
        return v;
    texts_addf(&d->errors, "'" STR_FMT "' expected a map, got '%s'", STR_ARG(path), kind_name(v));
    return NULL;
}

/* What the items of a list or the values of a map are, as a key of its own. */
static struct config_key element_of(const struct config_key *key) {
    struct config_key element = {
        .name = "", .offset = CONFIG_NOWHERE, .flags = KEY_ELEMENT, .block = key->block};
    switch (key->type) {
    case CONFIG_BLOCKS:
    case CONFIG_BLOCK_MAP:
        element.type = CONFIG_BLOCK;
        break;
    case CONFIG_LISTS:
        element.type = CONFIG_STRS;
        break;
    case CONFIG_FREES:
        element.type = CONFIG_FREE;
        break;
    default:
        element.type = CONFIG_STR;
        break;
    }
    return element;
}

static bool decode_list(struct decoder *d, const struct config_key *key, const struct value *v,
                        struct str path, struct value *out) {
    *out = (struct value){.kind = VALUE_LIST};
    if (v->kind != VALUE_LIST) {
        texts_addf(&d->errors, "'" STR_FMT "': source data must be an array or slice, got %s",
                   STR_ARG(path), kind_name(v));
        return false;
    }
    struct config_key element = element_of(key);
    for (size_t i = 0; i < v->list.len; i++) {
        struct value item = {0};
        struct str name = str_format(d->arena, STR_FMT "[%zu]", STR_ARG(path), i);
        const struct value *from = &v->list.items[i];
        if (from->kind == VALUE_NULL) {
            static const struct value empty_text = {.kind = VALUE_STRING};
            static const struct value empty_map = {.kind = VALUE_MAP};
            from = element.type == CONFIG_STR ? &empty_text : &empty_map;
        }
        if (decode_value(d, &element, from, name, &item))
            list_add(out, &item, d->arena);
    }
    return true;
}

static bool decode_map(struct decoder *d, const struct config_key *key, const struct value *v,
                       struct str path, struct value *out) {
    *out = (struct value){.kind = VALUE_MAP};
    v = want_map(d, key, v, path);
    if (v == NULL)
        return false;
    struct config_key element = element_of(key);
    for (size_t i = 0; i < v->map.len; i++) {
        const struct value_pair *pair = &v->map.pairs[i];
        struct value item = {0};
        struct str name =
            str_format(d->arena, STR_FMT "[" STR_FMT "]", STR_ARG(path), STR_ARG(pair->key));
        if (key->type == CONFIG_BLOCK_MAP)
            name = str_format(d->arena, STR_FMT "[" STR_FMT "]", STR_ARG(path), STR_ARG(pair->key));
        if (pair->value.kind == VALUE_NULL)
            item = (struct value){.kind = key->type == CONFIG_MAP     ? VALUE_STRING
                                          : key->type == CONFIG_LISTS ? VALUE_LIST
                                                                      : VALUE_MAP};
        else if (!decode_value(d, &element, &pair->value, name, &item))
            continue;
        *map_add(out, pair->key, d->arena) = item;
    }
    return true;
}

static bool decode_value(struct decoder *d, const struct config_key *key, const struct value *v,
                         struct str path, struct value *out) {
    switch (key->type) {
    case CONFIG_STRS:
    case CONFIG_BLOCKS:
    case CONFIG_FREES:
        return decode_list(d, key, v, path, out);
    case CONFIG_MAP:
    case CONFIG_LISTS:
    case CONFIG_BLOCK_MAP:
        return decode_map(d, key, v, path, out);
    case CONFIG_FREE:
        v = want_map(d, key, v, path);
        if (v != NULL)
            *out = free_map(d, v);
        return v != NULL;
    case CONFIG_BLOCK:
        return decode_block(d, key, v, path, out);
    default:
        return decode_scalar(d, key, v, path, out);
    }
}

/* ---- keys ---- */

const struct config_key *config_key_find(const struct config_block *block, struct str name) {
    size_t low = 0, high = block->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = str_compare(name, str_from(block->keys[middle].name));
        if (order == 0)
            return &block->keys[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool map_has(const struct value *map, struct str key) {
    for (size_t i = 0; i < map->map.len; i++)
        if (str_eq(map->map.pairs[i].key, key))
            return true;
    return false;
}

static bool map_has_fold(const struct value *map, struct str key) {
    for (size_t i = 0; i < map->map.len; i++)
        if (str_eq_fold(map->map.pairs[i].key, key))
            return true;
    return false;
}

/* The key that a spelling in `map` stands for. NULL: unknown. *hidden: an alias of a key that is
 * there under its own name. */
static const struct config_key *match_key(const struct config_block *block, const struct value *map,
                                          struct str spelling, bool *hidden) {
    *hidden = false;
    const struct config_key *key = config_key_find(block, spelling);
    if (key != NULL)
        return key;
    for (size_t i = 0; i < block->count; i++) {
        struct str name = str_from(block->keys[i].name);
        if (str_eq_fold(name, spelling))
            return map_has(map, name) ? NULL : &block->keys[i];
    }
    for (size_t i = 0; i < block->alias_count; i++) {
        if (!str_eq_fold(str_from(block->aliases[i].alias), spelling))
            continue;
        struct str name = str_from(block->aliases[i].name);
        *hidden = map_has_fold(map, name);
        return config_key_find(block, name);
    }
    return NULL;
}

/* A key of the block was read: the peer has two fields under this name, and tells both faults. */
static bool told_twice(struct str path) {
    return str_is(path, "advertise_addr_ipv6");
}

static bool decode_block(struct decoder *d, const struct config_key *self, const struct value *v,
                         struct str path, struct value *out) {
    const struct config_block *block = self->block;
    *out = (struct value){.kind = VALUE_MAP};
    v = want_map(d, self, v, path);
    if (v == NULL)
        return false;
    for (size_t i = 0; i < v->map.len; i++) {
        const struct value_pair *pair = &v->map.pairs[i];
        bool hidden;
        const struct config_key *key = match_key(block, v, pair->key, &hidden);
        struct str name = key ? str_from(key->name) : pair->key;
        if (path.len > 0)
            name = str_format(d->arena, STR_FMT "." STR_FMT, STR_ARG(path), STR_ARG(name));
        if (key == NULL) {
            if (path.len == 0 && str_is(pair->key, "acl_enforce_version_8"))
                texts_add(d->warnings, STR("config key \"acl_enforce_version_8\" is deprecated and "
                                           "should be removed"));
            else
                texts_add(&d->unknown, name);
            continue;
        }
        struct value item = {0};
        size_t errors = d->errors.len;
        if (hidden || pair->value.kind == VALUE_NULL)
            continue;
        if (decode_value(d, key, &pair->value, name, &item))
            *map_add(out, str_from(key->name), d->arena) = item;
        else if (told_twice(name) && d->errors.len > errors)
            texts_add(&d->errors, d->errors.items[d->errors.len - 1]);
    }
    return true;
}

/* ---- after decoding ---- */

static const struct value *child(const struct value *map, const char *key) {
    return value_get(map, key);
}

/* Of nested blocks first, then of the block's own keys. */
static void enterprise_warnings(const struct config_block *block, const struct value *tree,
                                struct str path, struct texts *warnings) {
    for (size_t i = 0; i < 2 * block->count; i++) {
        const struct config_key *key = &block->keys[i % block->count];
        const struct value *v = child(tree, key->name);
        bool nested = i < block->count;
        if (v == NULL || (nested ? key->type != CONFIG_BLOCK || key->block->is_check
                                 : !(key->flags & KEY_ENTERPRISE)))
            continue;
        struct str name =
            path.len == 0 ? str_from(key->name)
                          : str_format(warnings->arena, STR_FMT ".%s", STR_ARG(path), key->name);
        if (nested)
            enterprise_warnings(key->block, v, name, warnings);
        else
            texts_addf(warnings,
                       "\"" STR_FMT
                       "\" is a Consul Enterprise configuration and will have no effect",
                       STR_ARG(name));
    }
}

static bool has_effect(const struct value *v) {
    switch (v->kind) {
    case VALUE_BOOL:
        return v->boolean;
    case VALUE_INT:
        return v->integer > 0;
    case VALUE_UINT:
        return v->uinteger > 0;
    case VALUE_FLOAT:
        return v->number > 0;
    case VALUE_STRING:
        return v->string.len > 0;
    case VALUE_LIST:
        return v->list.len > 0;
    case VALUE_MAP:
        return v->map.len > 0;
    default:
        return false;
    }
}

void config_later_keys(const struct config_block *block, const struct value *tree, struct str path,
                       struct texts *out) {
    for (size_t i = 0; i < block->count; i++) {
        const struct config_key *key = &block->keys[i];
        const struct value *v = child(tree, key->name);
        if (v == NULL)
            continue;
        struct str name = path.len == 0
                              ? str_from(key->name)
                              : str_format(out->arena, STR_FMT ".%s", STR_ARG(path), key->name);
        bool known = false;
        for (size_t j = 0; j < out->len && !known; j++)
            known = str_eq(out->items[j], name);
        if (key->flags & KEY_LATER && has_effect(v) && !known)
            texts_add(out, name);
        if (key->type == CONFIG_BLOCK && v->kind == VALUE_MAP)
            config_later_keys(key->block, v, name, out);
    }
}

/* The single service and check become the last of their lists. */
static void move_single(struct value *tree, const char *single, const char *plural,
                        struct arena *arena) {
    struct value *one = value_get(tree, single);
    if (one == NULL)
        return;
    struct value item = *one;
    *one = (struct value){.kind = VALUE_NULL};
    struct value *list = map_add(tree, str_from(plural), arena);
    if (list->kind != VALUE_LIST)
        *list = (struct value){.kind = VALUE_LIST};
    list_add(list, &item, arena);
}

static int compare_texts(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Where the peer tells of a block: by name, but for these, which go as if they had the other. */
static struct str block_rank(struct str name, bool top) {
    static const struct {
        const char *name, *as;
        bool top;
    } moved[] = {
        {"auto_encrypt", "config_entries1", true},
        {"consul", "unix_sockets1", true},
        {"audit", "unix_sockets2", true},
        {"segments", "unix_sockets3", true},
        {"tagged_addresses", "", false},
        {"weights", "checks1", false},
        {"proxy", "checks2", false},
        {"connect", "checks3", false},
        {"upstreams", "", false},
        {"mesh_gateway", "a", false},
    };
    for (size_t i = 0; i < COUNT_OF(moved); i++)
        if (moved[i].top == top && str_is(name, moved[i].name))
            return str_from(moved[i].as);
    return name;
}

/* Unknown keys: those inside of blocks before the block's own, blocks in the order of their names,
 * lists in theirs. */
static int compare_paths(const void *a, const void *b) {
    struct str rest_a = *(const struct str *)a, rest_b = *(const struct str *)b;
    for (bool top = true;; top = false) {
        struct str x = str_cut(&rest_a, '.'), y = str_cut(&rest_b, '.');
        bool leaf_x = rest_a.data == NULL, leaf_y = rest_b.data == NULL;
        if (leaf_x || leaf_y)
            return leaf_x != leaf_y ? leaf_x - leaf_y : str_compare(x, y);
        struct str part_x = str_cut(&x, '['), part_y = str_cut(&y, '[');
        int order = str_compare(block_rank(part_x, top), block_rank(part_y, top));
        if (order == 0 && x.len != y.len)
            order = x.len < y.len ? -1 : 1; /* more digits, greater index */
        if (order == 0)
            order = str_compare(x, y);
        if (order != 0)
            return order;
    }
}

bool config_decode(const struct value *raw, struct value *out, struct texts *warnings,
                   struct arena *arena, struct error *e) {
    struct decoder d = {.arena = arena,
                        .errors = {.arena = arena},
                        .unknown = {.arena = arena},
                        .warnings = warnings};
    static const struct value nothing = {.kind = VALUE_MAP};
    static const struct config_key root = {.type = CONFIG_BLOCK, .block = &config_root};
    decode_block(&d, &root, raw->kind == VALUE_NULL ? &nothing : raw, STR(""), out);
    if (d.errors.len > 0) {
        qsort(d.errors.items, d.errors.len, sizeof(struct str), compare_texts);
        struct buf text = BUF_INIT;
        buf_add_format(&text, "%zu error(s) decoding:\n", d.errors.len);
        for (size_t i = 0; i < d.errors.len; i++)
            buf_add_format(&text, "\n* " STR_FMT, STR_ARG(d.errors.items[i]));
        error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(buf_str(&text)));
        buf_free(&text);
        return false;
    }
    if (d.unknown.len > 0) {
        qsort(d.unknown.items, d.unknown.len, sizeof(struct str), compare_paths);
        struct texts told = {.arena = arena};
        for (size_t i = 0; i < d.unknown.len; i++)
            texts_addf(&told, "invalid config key " STR_FMT, STR_ARG(d.unknown.items[i]));
        struct str text = texts_multi(&told, arena);
        return error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(text));
    }
    enterprise_warnings(&config_root, out, STR(""), warnings);
    move_single(out, "service", "services", arena);
    move_single(out, "check", "checks", arena);
    return true;
}

/* ---- merging ---- */

static void merge_value(const struct config_key *key, struct value *earlier,
                        const struct value *later, struct arena *arena) {
    switch (key->type) {
    case CONFIG_STRS:
    case CONFIG_BLOCKS:
    case CONFIG_FREES:
        if (earlier->kind != VALUE_LIST)
            *earlier = (struct value){.kind = VALUE_LIST};
        for (size_t i = 0; i < later->list.len; i++)
            list_add(earlier, &later->list.items[i], arena);
        return;
    case CONFIG_MAP:
    case CONFIG_LISTS:
    case CONFIG_BLOCK_MAP:
    case CONFIG_FREE:
        if (earlier->kind != VALUE_MAP)
            *earlier = (struct value){.kind = VALUE_MAP};
        for (size_t i = 0; i < later->map.len; i++)
            *map_add(earlier, later->map.pairs[i].key, arena) = later->map.pairs[i].value;
        return;
    case CONFIG_BLOCK:
        if (earlier->kind == VALUE_MAP && !(key->flags & KEY_WHOLE)) {
            config_merge(key->block, earlier, later, arena);
            return;
        }
        break;
    default:
        break;
    }
    *earlier = *later;
}

void config_merge(const struct config_block *block, struct value *earlier,
                  const struct value *later, struct arena *arena) {
    if (earlier->kind != VALUE_MAP)
        *earlier = (struct value){.kind = VALUE_MAP};
    for (size_t i = 0; i < later->map.len; i++) {
        const struct value_pair *pair = &later->map.pairs[i];
        const struct config_key *key = config_key_find(block, pair->key);
        if (key == NULL || pair->value.kind == VALUE_NULL)
            continue;
        merge_value(key, map_add(earlier, pair->key, arena), &pair->value, arena);
    }
}

/* ---- reading single values ---- */

const struct value *config_get(const struct value *tree, const char *path) {
    struct str rest = str_from(path);
    while (tree != NULL && rest.data != NULL && rest.len > 0) {
        struct str key = str_cut(&rest, '.');
        if (tree->kind != VALUE_MAP)
            return NULL;
        const struct value *found = NULL;
        for (size_t i = 0; i < tree->map.len; i++)
            if (str_eq(tree->map.pairs[i].key, key))
                found = &tree->map.pairs[i].value;
        tree = found;
    }
    return tree != NULL && tree->kind != VALUE_NULL ? tree : NULL;
}

struct str config_get_str(const struct value *tree, const char *path) {
    const struct value *v = config_get(tree, path);
    return v != NULL && v->kind == VALUE_STRING ? v->string : STR("");
}

int64_t config_get_int(const struct value *tree, const char *path) {
    const struct value *v = config_get(tree, path);
    return v != NULL && v->kind == VALUE_INT ? v->integer : 0;
}

bool config_get_bool(const struct value *tree, const char *path, bool otherwise) {
    const struct value *v = config_get(tree, path);
    return v != NULL && v->kind == VALUE_BOOL ? v->boolean : otherwise;
}

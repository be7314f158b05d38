/* From HCL's syntax tree to values: what blocks, repeated keys and several keys before an object
 * mean (config.md 1.5.3). The grammar is in hcl_parse.c.
 */
#include "codec/hcl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/hcl_syntax.h"

struct decoder {
    struct str text;
    struct arena *arena;
    struct error *e;
};

static bool decode_node(struct decoder *d, const struct hcl_node *node, struct value *out,
                        struct str path);

static const char *node_type_name(const struct hcl_node *node) {
    return node->kind == HCL_NODE_LITERAL  ? "*ast.LiteralType"
           : node->kind == HCL_NODE_OBJECT ? "*ast.ObjectType"
                                           : "*ast.ListType";
}

static bool bad_number(const char *function, struct str text, const char *why, struct error *e) {
    struct arena scratch = ARENA_INIT;
    struct str quoted = str_quote(&scratch, text);
    error_set(e, ERROR_INTERNAL, "strconv.%s: parsing " STR_FMT ": %s", function, STR_ARG(quoted),
              why);
    arena_free(&scratch);
    return false;
}

static bool parse_int(struct str text, int64_t *out, struct error *e) {
    char copy[72];
    bool fits = text.len < sizeof(copy);
    if (fits) {
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        char *end;
        errno = 0;
        long long n = strtoll(copy, &end, 0);
        bool blank = text.len == 0 || copy[0] == ' ' || copy[0] == '\t' || copy[0] == '\n';
        if (!blank && *end == '\0' && errno == 0) {
            *out = n;
            return true;
        }
        if (errno == ERANGE && *end == '\0')
            return bad_number("ParseInt", text, "value out of range", e);
    }
    return bad_number("ParseInt", text, "invalid syntax", e);
}

static bool parse_float(struct str text, double *out, struct arena *arena, struct error *e) {
    const char *copy = str_terminated(arena, text);
    char *end;
    errno = 0;
    double number = strtod(copy, &end);
    if (*copy == '\0' || *end != '\0')
        return bad_number("ParseFloat", text, "invalid syntax", e);
    if (errno == ERANGE && isinf(number))
        return bad_number("ParseFloat", text, "value out of range", e);
    *out = number;
    return true;
}

bool hcl_literal_text(const struct hcl_token *t, struct str *out, struct arena *arena,
                      struct error *e) {
    if (t->type == HCL_HEREDOC) {
        *out = hcl_heredoc_value(t->text, arena);
        return true;
    }
    if (t->type == HCL_NUMBER) {
        *out = str_copy(arena, t->text);
        return true;
    }
    return hcl_unquote(t, arena, out) ||
           error_set(e, ERROR_INTERNAL, "unquote " STR_FMT " err: invalid syntax",
                     STR_ARG(t->text));
}

static bool literal_text(struct decoder *d, const struct hcl_token *t, struct str *out) {
    return hcl_literal_text(t, out, d->arena, d->e);
}

static bool decode_literal(struct decoder *d, const struct hcl_node *node, struct value *out) {
    const struct hcl_token *t = &node->token;
    switch (t->type) {
    case HCL_BOOL:
        out->kind = VALUE_BOOL;
        out->boolean = str_is(t->text, "true");
        return true;
    case HCL_NUMBER:
        out->kind = VALUE_INT;
        return parse_int(t->text, &out->integer, d->e);
    case HCL_FLOAT:
        out->kind = VALUE_FLOAT;
        return parse_float(t->text, &out->number, d->arena, d->e);
    default:
        out->kind = VALUE_STRING;
        return literal_text(d, t, &out->string);
    }
}

static bool wrong_type(struct decoder *d, const struct hcl_node *node, struct str path,
                       const char *wanted) {
    struct str place = hcl_place(d->arena, d->text, node->position);
    return error_set(d->e, ERROR_INTERNAL, "At " STR_FMT ": " STR_FMT ": unknown type%s %s",
                     STR_ARG(place), STR_ARG(path), wanted, node_type_name(node));
}

/* A repeated key: the value takes the type of the first one. */
static bool decode_onto_scalar(struct decoder *d, const struct hcl_node *node, struct value *old,
                               struct str path) {
    enum hcl_token_type type = node->kind == HCL_NODE_LITERAL ? node->token.type : HCL_ILLEGAL;
    struct str text;
    switch (old->kind) {
    case VALUE_STRING:
        if (type != HCL_STRING && type != HCL_HEREDOC && type != HCL_NUMBER)
            return wrong_type(d, node, path, " for string");
        return literal_text(d, &node->token, &old->string);
    case VALUE_INT:
        if (type != HCL_STRING && type != HCL_NUMBER)
            return wrong_type(d, node, path, "");
        return literal_text(d, &node->token, &text) && parse_int(text, &old->integer, d->e);
    case VALUE_FLOAT:
        if (type != HCL_FLOAT && type != HCL_NUMBER)
            return wrong_type(d, node, path, "");
        return parse_float(node->token.text, &old->number, d->arena, d->e);
    default:
        if (type != HCL_BOOL)
            return wrong_type(d, node, path, "");
        old->boolean = str_is(node->token.text, "true");
        return true;
    }
}

static void list_append(struct decoder *d, struct value *list, const struct value *item) {
    size_t len = list->list.len;
    if ((len & (len - 1)) == 0) { /* capacity: the next power of two */
        struct value *items = ARENA_ARRAY(d->arena, struct value, len ? len * 2 : 1);
        if (len > 0)
            memcpy(items, list->list.items, len * sizeof(*items));
        list->list.items = items;
    }
    list->list.items[list->list.len++] = *item;
}

static bool decode_onto_list(struct decoder *d, const struct hcl_node *node, struct value *list,
                             struct str path) {
    if (node->kind == HCL_NODE_LITERAL) {
        struct str place = hcl_place(d->arena, d->text, node->position);
        return error_set(d->e, ERROR_INTERNAL, "At " STR_FMT ": unknown slice type: %s",
                         STR_ARG(place), node_type_name(node));
    }
    size_t count = node->kind == HCL_NODE_OBJECT ? 1 : node->len;
    if (node->kind == HCL_NODE_LIST)
        list->literal = STR_NONE;
    for (size_t i = 0; i < count; i++) {
        struct value item = {0};
        struct str name = str_format(d->arena, STR_FMT "[%zu]", STR_ARG(path), list->list.len);
        const struct hcl_node *from = node->kind == HCL_NODE_OBJECT ? node : node->nodes[i];
        if (!decode_node(d, from, &item, name))
            return false;
        list_append(d, list, &item);
    }
    return true;
}

static struct value *map_add(struct decoder *d, struct value *map, struct str key) {
    size_t len = map->map.len;
    if ((len & (len - 1)) == 0) {
        struct value_pair *pairs = ARENA_ARRAY(d->arena, struct value_pair, len ? len * 2 : 1);
        if (len > 0)
            memcpy(pairs, map->map.pairs, len * sizeof(*pairs));
        map->map.pairs = pairs;
    }
    map->map.pairs[map->map.len].key = key;
    return &map->map.pairs[map->map.len++].value;
}

static struct value *map_find(struct value *map, struct str key) {
    for (size_t i = 0; i < map->map.len; i++)
        if (str_eq(map->map.pairs[i].key, key))
            return &map->map.pairs[i].value;
    return NULL;
}

/* One item into the map: `value` under `key`, with the rules for keys that are there already. */
static bool decode_item(struct decoder *d, struct value *map, struct str key,
                        const struct hcl_node *value, struct str path) {
    struct value *slot = map_find(map, key);
    struct str name = str_format(d->arena, STR_FMT "." STR_FMT, STR_ARG(path), STR_ARG(key));
    if (slot == NULL) {
        slot = map_add(d, map, str_copy(d->arena, key));
        slot->position = value->position;
        if (value->kind == HCL_NODE_LITERAL)
            return decode_literal(d, value, slot);
        slot->kind = VALUE_LIST;
        slot->literal = value->kind == HCL_NODE_OBJECT ? HCL_BLOCKS : STR_NONE;
        return decode_onto_list(d, value, slot, name);
    }
    if (slot->kind == VALUE_LIST)
        return decode_onto_list(d, value, slot, name);
    return decode_onto_scalar(d, value, slot, name);
}

/* key "label" {…}: all items with that first key together become one list of maps. */
static bool decode_labelled(struct decoder *d, const struct hcl_node *object, struct value *map,
                            struct str key, struct str path) {
    if (map_find(map, key) != NULL)
        return true;
    struct value list = {.kind = VALUE_LIST, .literal = HCL_BLOCKS};
    for (size_t i = 0; i < object->len; i++) {
        const struct hcl_item *item = &object->items[i];
        if (!str_eq(item->keys[0], key))
            continue;
        struct str name = str_format(d->arena, STR_FMT "." STR_FMT "[%zu]", STR_ARG(path),
                                     STR_ARG(key), list.list.len);
        struct value one = {.kind = VALUE_MAP};
        if (item->key_count > 1) {
            struct hcl_item rest = {
                .keys = item->keys + 1, .key_count = item->key_count - 1, .value = item->value};
            struct hcl_node wrapped = {.kind = HCL_NODE_OBJECT,
                                       .position = item->value->position,
                                       .items = &rest,
                                       .len = 1,
                                       .cap = 1};
            if (!decode_node(d, &wrapped, &one, name))
                return false;
        } else if (list.list.len == 0 && item->value->kind == HCL_NODE_LITERAL) {
            return error_set(d->e, ERROR_INTERNAL,
                             "At -: " STR_FMT "." STR_FMT ": unknown type *ast.ObjectList",
                             STR_ARG(path), STR_ARG(key));
        } else {
            return error_set(d->e, ERROR_INTERNAL, "At -: " STR_FMT ": map must have string keys",
                             STR_ARG(name));
        }
        list_append(d, &list, &one);
    }
    *map_add(d, map, str_copy(d->arena, key)) = list;
    return true;
}

static bool has_label(const struct hcl_node *object, struct str key) {
    for (size_t i = 0; i < object->len; i++)
        if (object->items[i].key_count > 1 && str_eq(object->items[i].keys[0], key))
            return true;
    return false;
}

/* A node where no map around it asks for blocks: a literal, a map, or a list. */
static bool decode_node(struct decoder *d, const struct hcl_node *node, struct value *out,
                        struct str path) {
    *out = (struct value){.position = node->position};
    if (node->kind == HCL_NODE_LITERAL)
        return decode_literal(d, node, out);
    if (node->kind == HCL_NODE_LIST) {
        out->kind = VALUE_LIST;
        return decode_onto_list(d, node, out, path);
    }
    out->kind = VALUE_MAP;
    bool labels = false;
    for (size_t i = 0; i < node->len && !labels; i++)
        labels = node->items[i].key_count > 1;
    for (size_t i = 0; i < node->len; i++) {
        const struct hcl_item *item = &node->items[i];
        bool ok = labels && has_label(node, item->keys[0])
                      ? decode_labelled(d, node, out, item->keys[0], path)
                      : decode_item(d, out, item->keys[0], item->value, path);
        if (!ok)
            return false;
    }
    return true;
}

bool hcl_parse(struct str text, struct value *out, struct arena *arena, struct error *e) {
    struct hcl_tree tree;
    if (!hcl_parse_tree(text, &tree, arena, e))
        return false;
    struct decoder d = {tree.text, arena, e};
    return decode_node(&d, tree.root, out, STR("root"));
}

const char *hcl_type_name(const struct value *v) {
    switch (v->kind) {
    case VALUE_BOOL:
        return "bool";
    case VALUE_INT:
        return "int";
    case VALUE_UINT:
        return "uint";
    case VALUE_FLOAT:
        return "float64";
    case VALUE_STRING:
        return "string";
    case VALUE_LIST:
        return str_eq(v->literal, HCL_BLOCKS) ? "[]map[string]interface {}" : "[]interface {}";
    case VALUE_MAP:
        return "map[string]interface {}";
    case VALUE_NULL:
        break;
    }
    return "invalid";
}

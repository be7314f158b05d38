/* HCL's own JSON dialect (config.md 1.5.4): JSON's shape with the lenient ends that the peer has,
 * read into the syntax tree of HCL, so that integers stay integers and objects are blocks. Not the
 * reader of .json files, which is codec/json.h.
 */
#include "base/mem.h"
#include "codec/hcl_syntax.h"

struct reader {
    struct hcl_scanner scanner;
    struct hcl_token token;
    bool unread;
    unsigned depth;
    bool to_print; /* as hcl_parse_json's */
    struct arena *arena;
    struct error *e;
};

static struct hcl_token scan(struct reader *r) {
    if (!r->unread)
        r->token = hcl_scan_json(&r->scanner);
    r->unread = false;
    return r->token;
}

/* What became of an item or a value. GONE: there was none, and the object that it was to stand in
 * ends here, which the peer lets pass. */
enum outcome { READ_OK, READ_GONE, READ_FAILED };

static enum outcome read_failed(struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum outcome read_failed(struct reader *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(r->arena, format, args);
    va_end(args);
    error_set(r->e, ERROR_INTERNAL, STR_FMT, STR_ARG(text));
    return READ_FAILED;
}

static struct hcl_node *new_node(struct reader *r, size_t position) {
    struct hcl_node *node = ARENA_NEW(r->arena, struct hcl_node);
    node->position = position;
    return node;
}

static struct hcl_node *new_literal(struct reader *r, struct hcl_token token) {
    struct hcl_node *node = new_node(r, token.position);
    node->kind = HCL_NODE_LITERAL;
    node->token = token;
    if (token.type == HCL_NULL) /* becomes the empty string */
        node->token = (struct hcl_token){
            .type = HCL_STRING, .text = STR("\"\""), .position = token.position, .null = true};
    return node;
}

static enum outcome read_object(struct reader *r, size_t position, struct hcl_node **out);

/* The bracket was taken. Commas may be missing or too many, booleans are dropped, and an opening
 * bracket is passed over, so that the first closing one ends all. */
static enum outcome read_list(struct reader *r, size_t position, struct hcl_node **out) {
    struct hcl_node *list = *out = new_node(r, position);
    list->kind = HCL_NODE_LIST;
    for (;;) {
        struct hcl_token t = scan(r);
        struct hcl_node *node;
        switch (t.type) {
        case HCL_STRING:
        case HCL_NUMBER:
        case HCL_FLOAT:
            hcl_list_add(list, new_literal(r, t), r->arena);
            break;
        case HCL_BOOL:
        case HCL_COMMA:
        case HCL_LBRACK:
            break;
        case HCL_LBRACE:
            if (read_object(r, t.position, &node) == READ_FAILED)
                return READ_FAILED;
            hcl_list_add(list, node, r->arena);
            break;
        case HCL_RBRACK:
            return READ_OK;
        case HCL_RBRACE:
            r->unread = true;
            return READ_GONE;
        default:
            return read_failed(r, "unexpected token while parsing list: %s",
                               hcl_token_name(t.type));
        }
    }
}

static enum outcome read_value(struct reader *r, struct hcl_node **out) {
    struct hcl_token t = scan(r);
    switch (t.type) {
    case HCL_STRING:
    case HCL_NUMBER:
    case HCL_FLOAT:
    case HCL_BOOL:
    case HCL_NULL:
        *out = new_literal(r, t);
        return READ_OK;
    case HCL_LBRACE:
        return read_object(r, t.position, out);
    case HCL_LBRACK:
        return read_list(r, t.position, out);
    case HCL_EOF:
        return READ_GONE;
    case HCL_RBRACE:
        r->unread = true;
        return READ_GONE;
    default: {
        struct str place = hcl_place(r->arena, r->scanner.text, t.position);
        return read_failed(r, "Expected object value, got unknown token: " STR_FMT " %s " STR_FMT,
                           STR_ARG(place), hcl_token_name(t.type), STR_ARG(t.text));
    }
    }
}

/* The keys of an item up to its colon. */
static enum outcome read_keys(struct reader *r, struct hcl_item *item) {
    struct str keys[64], written[COUNT_OF(keys)];
    size_t count = 0;
    for (;;) {
        struct hcl_token t = scan(r);
        if (t.type == HCL_COLON && count > 0)
            break;
        if (t.type == HCL_EOF)
            return READ_GONE;
        if (t.type == HCL_RBRACE) {
            r->unread = true;
            return READ_GONE;
        }
        if (t.type != HCL_STRING)
            return read_failed(r, "expected: STRING got: %s", hcl_token_name(t.type));
        if (count == COUNT_OF(keys))
            return read_failed(r, "too many keys");
        written[count] = t.text;
        keys[count] = t.text;
        if (!hcl_unquote(&t, r->arena, &keys[count++]) && !r->to_print)
            return read_failed(r, "illegal char escape");
    }
    item->keys = arena_copy(r->arena, keys, count * sizeof(*keys));
    item->written = arena_copy(r->arena, written, count * sizeof(*written));
    item->key_count = count;
    item->assigned = count == 1;
    return READ_OK;
}

static bool all_objects(const struct hcl_node *object) {
    for (size_t i = 0; i < object->len; i++)
        if (object->items[i].value->kind != HCL_NODE_OBJECT)
            return false;
    return object->len > 0;
}

static struct str *joined(struct arena *arena, const struct str *a, size_t a_len,
                          const struct str *b, size_t b_len) {
    struct str *out = ARENA_ARRAY(arena, struct str, a_len + b_len);
    memcpy(out, a, a_len * sizeof(*a));
    memcpy(out + a_len, b, b_len * sizeof(*b));
    return out;
}

/* An object of nothing but objects stands for as many items with one key more:
 * {"a": {"b": {}, "c": {}}} is what HCL writes as a "b" {} a "c" {}. */
static void add_flat(struct reader *r, struct hcl_node *object, struct hcl_item item) {
    if (item.value->kind != HCL_NODE_OBJECT || !all_objects(item.value)) {
        hcl_object_add(object, item, r->arena);
        return;
    }
    for (size_t i = 0; i < item.value->len; i++) {
        const struct hcl_item *inner = &item.value->items[i];
        struct hcl_item flat = {.key_count = item.key_count + inner->key_count,
                                .value = inner->value};
        flat.keys = joined(r->arena, item.keys, item.key_count, inner->keys, inner->key_count);
        flat.written =
            joined(r->arena, item.written, item.key_count, inner->written, inner->key_count);
        hcl_object_add(object, flat, r->arena);
    }
}

/* In a list such an object is as many objects of one item. */
static struct hcl_node *flatten_list(struct reader *r, const struct hcl_node *list) {
    struct hcl_node *flat = new_node(r, list->position);
    flat->kind = HCL_NODE_LIST;
    for (size_t i = 0; i < list->len; i++) {
        struct hcl_node *node = list->nodes[i];
        if (node->kind != HCL_NODE_OBJECT || !all_objects(node)) {
            hcl_list_add(flat, node, r->arena);
            continue;
        }
        for (size_t j = 0; j < node->len; j++) {
            struct hcl_node *one = new_node(r, node->position);
            one->kind = HCL_NODE_OBJECT;
            hcl_object_add(one, node->items[j], r->arena);
            hcl_list_add(flat, one, r->arena);
        }
    }
    return flat;
}

static bool is_list_of_objects(const struct hcl_node *node) {
    for (size_t i = 0; i < node->len; i++) {
        if (node->kind != HCL_NODE_LIST || node->nodes[i]->kind != HCL_NODE_OBJECT)
            return false;
    }
    return node->kind == HCL_NODE_LIST && node->len > 0;
}

/* Items up to where one does not end with a comma. */
static enum outcome read_items(struct reader *r, struct hcl_node *object) {
    for (;;) {
        struct hcl_item item = {0};
        enum outcome got = read_keys(r, &item);
        if (got == READ_OK)
            got = read_value(r, &item.value);
        if (got != READ_OK)
            return got;
        if (is_list_of_objects(item.value) || (item.value->kind == HCL_NODE_LIST && !r->to_print))
            item.value = flatten_list(r, item.value);
        add_flat(r, object, item);
        if (scan(r).type != HCL_COMMA) {
            r->unread = true;
            return READ_OK;
        }
    }
}

/* The brace was taken. Whatever stands where the closing one is expected counts for it. */
static enum outcome read_object(struct reader *r, size_t position, struct hcl_node **out) {
    *out = new_node(r, position);
    (*out)->kind = HCL_NODE_OBJECT;
    if (r->depth >= HCL_MAX_DEPTH)
        return read_failed(r, "nested too deeply");
    r->depth++;
    enum outcome got = read_items(r, *out);
    r->depth--;
    if (got == READ_FAILED)
        return got;
    scan(r);
    return READ_OK;
}

/* Lists of nothing but objects become as many items, everywhere. */
static void spread(struct reader *r, struct hcl_node *node) {
    if (node->kind == HCL_NODE_LIST) {
        for (size_t i = 0; i < node->len; i++)
            spread(r, node->nodes[i]);
        return;
    }
    if (node->kind == HCL_NODE_LITERAL)
        return;
    struct hcl_node out = *node;
    out.len = out.cap = 0;
    for (size_t i = 0; i < node->len; i++) {
        struct hcl_item item = node->items[i];
        if (!is_list_of_objects(item.value)) {
            hcl_object_add(&out, item, r->arena);
            continue;
        }
        for (size_t k = 0; k < node->items[i].value->len; k++) {
            item.value = node->items[i].value->nodes[k];
            add_flat(r, &out, item);
        }
    }
    *node = out;
    for (size_t i = 0; i < node->len; i++)
        spread(r, node->items[i].value);
}

bool hcl_parse_json(struct str text, bool to_print, struct hcl_node **root, struct arena *arena,
                    struct error *e) {
    struct reader r = {.to_print = to_print, .arena = arena, .e = e};
    hcl_scan_init(&r.scanner, text, arena);
    error_clear(e);
    struct hcl_token brace = scan(&r);
    enum outcome got = read_object(&r, brace.position, root);
    if (r.scanner.error == NULL) {
        if (got != READ_FAILED && to_print)
            spread(&r, *root);
        return got != READ_FAILED;
    }
    struct str place = hcl_place(arena, text, r.scanner.error_position);
    error_clear(e);
    return error_set(e, ERROR_INTERNAL, STR_FMT ": %s", STR_ARG(place), r.scanner.error);
}

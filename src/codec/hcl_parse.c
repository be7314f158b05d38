/* The grammar of HCL 1 (config.md 1.5.2): tokens to a syntax tree, with the comments if they are
 * wanted. What trees mean is in hcl.c, how they are printed in hcl_print.c.
 */
#include "base/mem.h"
#include "codec/hcl_syntax.h"

struct parser {
    struct hcl_scanner scanner;
    struct hcl_token token;
    bool unread;
    bool list_cut; /* the newest error is of a brace that ended a list */
    unsigned depth;
    struct hcl_gatherer *comments; /* NULL: they are dropped */
    struct arena *arena;
    struct error *e;
};

static struct hcl_node *parse_value(struct parser *p);

void hcl_object_add(struct hcl_node *object, struct hcl_item item, struct arena *arena) {
    if (object->len == object->cap) {
        size_t cap = object->cap ? object->cap * 2 : 4;
        struct hcl_item *items = ARENA_ARRAY(arena, struct hcl_item, cap);
        if (object->len > 0)
            memcpy(items, object->items, object->len * sizeof(*items));
        object->items = items;
        object->cap = cap;
    }
    object->items[object->len++] = item;
}

void hcl_list_add(struct hcl_node *list, struct hcl_node *node, struct arena *arena) {
    if (list->len == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        struct hcl_node **nodes = ARENA_ARRAY(arena, struct hcl_node *, cap);
        if (list->len > 0)
            memcpy(nodes, list->nodes, list->len * sizeof(*nodes));
        list->nodes = nodes;
        list->cap = cap;
    }
    list->nodes[list->len++] = node;
}

/* ---- tokens ---- */

static struct hcl_token scan(struct parser *p) {
    if (p->unread) {
        p->unread = false;
        return p->token;
    }
    if (p->comments != NULL) {
        p->token = hcl_gather_scan(p->comments, &p->scanner);
        return p->token;
    }
    do
        p->token = hcl_scan(&p->scanner);
    while (p->token.type == HCL_COMMENT);
    return p->token;
}

static void unscan(struct parser *p) {
    p->unread = true;
}

static void *parse_error(struct parser *p, size_t position, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void *parse_error(struct parser *p, size_t position, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str message = str_vformat(p->arena, format, args);
    va_end(args);
    struct str place = hcl_place(p->arena, p->scanner.text, position);
    error_set(p->e, ERROR_INTERNAL, "At " STR_FMT ": " STR_FMT, STR_ARG(place), STR_ARG(message));
    return NULL;
}

/* ---- grammar ---- */

/* The keys of an item, up to its "=" or "{", which is put back. *end: there is no item. Braces:
 * inside an object. */
static bool parse_keys(struct parser *p, struct hcl_item *item, struct str *shown, bool *end) {
    struct str keys[64], written[COUNT_OF(keys)];
    size_t places[COUNT_OF(keys)];
    struct str raw = {NULL, 0};
    size_t count = 0;
    *end = false;
    for (;;) {
        struct hcl_token t = scan(p);
        item->line = count == 0 ? t.line : item->line;
        switch (t.type) {
        case HCL_EOF:
            if (count > 0)
                unscan(p);
            *end = count == 0;
            goto done;
        case HCL_ASSIGN:
            if (count > 1)
                return parse_error(p, t.position, "nested object expected: LBRACE got: ASSIGN");
            if (count == 0)
                return parse_error(p, t.position, "no object keys found!");
            unscan(p);
            goto done;
        case HCL_LBRACE:
            if (count == 0)
                return parse_error(p, t.position, "expected: IDENT | STRING got: LBRACE");
            unscan(p);
            goto done;
        case HCL_IDENT:
        case HCL_STRING:
            if (count == COUNT_OF(keys))
                return parse_error(p, t.position, "too many keys");
            keys[count] = written[count] = t.text;
            places[count] = t.position;
            if (t.type == HCL_STRING && !hcl_unquote(&t, p->arena, &keys[count]) &&
                p->comments == NULL && p->scanner.error == NULL)
                return parse_error(p, t.position, "illegal char escape");
            raw = count == 0
                      ? t.text
                      : str_format(p->arena, STR_FMT " " STR_FMT, STR_ARG(raw), STR_ARG(t.text));
            count++;
            break;
        case HCL_RBRACE:
            if (count > 0 || p->depth > 0) {
                unscan(p);
                *end = count == 0;
                goto done;
            }
            /* fall through */
        default:
            return parse_error(p, t.position, "expected: IDENT | STRING | ASSIGN | LBRACE got: %s",
                               hcl_token_name(t.type));
        }
    }
done:
    item->keys = arena_copy(p->arena, keys, count * sizeof(*keys));
    item->written = arena_copy(p->arena, written, count * sizeof(*written));
    item->places = arena_copy(p->arena, places, count * sizeof(*places));
    item->key_count = count;
    *shown = raw;
    return true;
}

/* The comment behind an item is on the line of its end; but when its value starts on another line
 * than its key, it is the one that was waiting before its end. */
static void take_comment_behind(struct parser *p, struct hcl_item *item) {
    if (p->comments == NULL)
        return;
    if (item->value->line == item->line) {
        scan(p);
        unscan(p);
    }
    item->behind = hcl_gather_take(&p->comments->behind);
}

/* The value of an item, or its object. *gone: none came before the end of its object or the input,
 * or a list was ended by that object's brace. The peer drops such an item, and with it the brace
 * that ended it: "a { b = }}" is whole. */
static struct hcl_node *parse_item_value(struct parser *p, struct hcl_item *item, struct str shown,
                                         bool *gone) {
    struct hcl_token t = scan(p);
    item->assigned = t.type == HCL_ASSIGN;
    if (item->assigned) {
        t = scan(p);
        *gone = t.type == HCL_EOF || (t.type == HCL_RBRACE && p->depth > 0);
        if (*gone)
            return NULL;
    } else if (t.type != HCL_LBRACE) {
        return parse_error(p, t.position,
                           "key '" STR_FMT "' expected start of object ('{') or assignment ('=')",
                           STR_ARG(shown));
    }
    unscan(p);
    struct hcl_node *value = parse_value(p);
    *gone = value == NULL && p->list_cut && p->depth > 0;
    p->list_cut = false;
    return value;
}

/* One item. *end: there is none left. */
static bool parse_item(struct parser *p, struct hcl_item *item, bool *end) {
    struct str shown;
    if (!parse_keys(p, item, &shown, end))
        return false;
    if (*end)
        return true;
    if (p->comments != NULL)
        item->lead = hcl_gather_take(&p->comments->lead);
    item->value = parse_item_value(p, item, shown, end);
    if (item->value != NULL)
        take_comment_behind(p, item);
    else if (*end)
        error_clear(p->e);
    if (*end && item->lead != NULL)
        item->lead->attached = false;
    return item->value != NULL || *end;
}

static bool parse_items(struct parser *p, struct hcl_node *object) {
    for (;;) {
        struct hcl_item item = {0};
        bool end;
        if (!parse_item(p, &item, &end))
            return false;
        if (end)
            return true;
        hcl_object_add(object, item, p->arena);
        if (scan(p).type != HCL_COMMA)
            unscan(p);
    }
}

static struct hcl_node *new_node(struct parser *p, int kind, const struct hcl_token *t) {
    struct hcl_node *node = ARENA_NEW(p->arena, struct hcl_node);
    node->kind = kind == 0 ? HCL_NODE_LITERAL : kind == 1 ? HCL_NODE_OBJECT : HCL_NODE_LIST;
    node->position = t->position;
    node->line = t->line;
    node->token = *t;
    return node;
}

/* The brace was taken. */
static struct hcl_node *parse_object(struct parser *p, struct hcl_token brace) {
    if (p->depth >= HCL_MAX_DEPTH)
        return parse_error(p, brace.position, "nested too deeply");
    struct hcl_node *object = new_node(p, 1, &brace);
    p->depth++;
    bool ok = parse_items(p, object);
    p->depth--;
    if (!ok)
        return NULL;
    struct hcl_token t = scan(p);
    if (t.type != HCL_RBRACE)
        return parse_error(p, t.position, "object expected closing RBRACE got: %s",
                           hcl_token_name(t.type));
    object->end = t.position;
    return object;
}

/* An object or list inside a list: its error is wrapped. */
static struct hcl_node *parse_nested(struct parser *p, const char *what, size_t position) {
    struct hcl_node *node = parse_value(p);
    if (node == NULL) {
        struct str place = hcl_place(p->arena, p->scanner.text, position);
        error_prefix(p->e,
                     "At " STR_FMT ": error while trying to parse %s within list: ", STR_ARG(place),
                     what);
    }
    return node;
}

/* A comment behind a comma, or before one, belongs to the literal before it. */
static void comment_behind(struct parser *p, struct hcl_node *list) {
    if (p->comments == NULL || list->len == 0)
        return;
    scan(p);
    unscan(p);
    struct hcl_node *node = list->nodes[list->len - 1];
    if (node->kind != HCL_NODE_LITERAL || p->comments->behind == NULL)
        return;
    if (node->behind != NULL) /* of a comma before: there may be several */
        node->behind->attached = false;
    node->behind = hcl_gather_take(&p->comments->behind);
}

/* The bracket was taken. */
static struct hcl_node *parse_list(struct parser *p, struct hcl_token bracket) {
    if (p->depth >= HCL_MAX_DEPTH)
        return parse_error(p, bracket.position, "nested too deeply");
    struct hcl_node *list = new_node(p, 2, &bracket);
    bool need_comma = false;
    for (;;) {
        struct hcl_token t = scan(p);
        struct hcl_node *node;
        p->list_cut = t.type == HCL_RBRACE;
        if (need_comma && t.type != HCL_COMMA && t.type != HCL_RBRACK)
            return parse_error(p, t.position,
                               "error parsing list, expected comma or list end, got: %s",
                               hcl_token_name(t.type));
        switch (t.type) {
        case HCL_COMMA:
            need_comma = false;
            comment_behind(p, list);
            continue;
        case HCL_RBRACK:
            return list;
        case HCL_BOOL:
        case HCL_NUMBER:
        case HCL_FLOAT:
        case HCL_STRING:
        case HCL_HEREDOC:
            node = new_node(p, 0, &t);
            node->lead = p->comments != NULL ? hcl_gather_take(&p->comments->lead) : NULL;
            need_comma = true;
            break;
        case HCL_LBRACE:
        case HCL_LBRACK:
            unscan(p);
            p->depth++;
            node = parse_nested(p, t.type == HCL_LBRACE ? "object" : "list", t.position);
            p->depth--;
            need_comma = t.type == HCL_LBRACE;
            break;
        default:
            return parse_error(p, t.position, "unexpected token while parsing list: %s",
                               hcl_token_name(t.type));
        }
        if (node == NULL)
            return NULL;
        hcl_list_add(list, node, p->arena);
    }
}

static struct hcl_node *parse_value(struct parser *p) {
    struct hcl_token t = scan(p);
    switch (t.type) {
    case HCL_BOOL:
    case HCL_NUMBER:
    case HCL_FLOAT:
    case HCL_STRING:
    case HCL_HEREDOC:
        return new_node(p, 0, &t);
    case HCL_LBRACE:
        return parse_object(p, t);
    case HCL_LBRACK:
        return parse_list(p, t);
    default: {
        struct str place = hcl_place(p->arena, p->scanner.text, t.position);
        return parse_error(p, t.position, "Unknown token: " STR_FMT " %s " STR_FMT, STR_ARG(place),
                           hcl_token_name(t.type), STR_ARG(t.text));
    }
    }
}

/* ---- entry ---- */

static struct str without_carriage_returns(struct str text, struct arena *arena) {
    if (str_find(text, STR("\r\n"), 0) < 0)
        return text;
    char *copy = arena_alloc(arena, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '\r' || i + 1 == text.len || text.data[i + 1] != '\n')
            copy[len++] = text.data[i];
    return str_of(copy, len);
}

static struct hcl_node *parse_text(struct str text, struct hcl_gatherer *comments,
                                   struct arena *arena, struct error *e) {
    struct parser p = {.comments = comments, .arena = arena, .e = e};
    struct hcl_token start = {0};
    hcl_scan_init(&p.scanner, text, arena);
    struct hcl_node *root = new_node(&p, 1, &start);
    bool ok = parse_items(&p, root);
    if (p.scanner.error != NULL) {
        error_clear(e);
        parse_error(&p, p.scanner.error_position, "%s", p.scanner.error);
        return NULL;
    }
    return ok ? root : NULL;
}

static bool parse_tree(struct str text, bool commented, struct hcl_tree *out, struct arena *arena,
                       struct error *e) {
    *out = (struct hcl_tree){.text = without_carriage_returns(text, arena)};
    struct str start = str_trim(out->text);
    out->json = start.len > 0 && start.data[0] == '{';
    if (out->json)
        return hcl_parse_json(out->text, commented, &out->root, arena, e);
    struct hcl_gatherer comments;
    hcl_gather_init(&comments, out->text, arena);
    out->root = parse_text(out->text, commented ? &comments : NULL, arena, e);
    out->comments = comments.first;
    return out->root != NULL;
}

bool hcl_parse_tree(struct str text, struct hcl_tree *out, struct arena *arena, struct error *e) {
    return parse_tree(text, false, out, arena, e);
}

bool hcl_parse_commented(struct str text, struct hcl_tree *out, struct arena *arena,
                         struct error *e) {
    return parse_tree(text, true, out, arena, e);
}

/* HCL's own JSON dialect (config.md 1.5.4): JSON's shape with lenient ends, read into the syntax
 * tree of HCL, so that integers stay integers and objects are blocks. Not the reader of .json
 * files, which is codec/json.h. The peer splits an object whose values are all objects into blocks
 * of one entry each; that is not copied.
 */
#include "base/mem.h"
#include "codec/hcl_syntax.h"

struct reader {
    struct str text;
    size_t at;
    unsigned depth;
    struct arena *arena;
    struct error *e;
};

static bool read_error(struct reader *r, size_t position, const char *message) {
    struct str place = hcl_place(r->arena, r->text, position);
    return error_set(r->e, ERROR_INTERNAL, STR_FMT ": %s", STR_ARG(place), message);
}

static char peek(struct reader *r) {
    while (r->at < r->text.len && strchr(" \t\r\n", r->text.data[r->at]) != NULL &&
           r->text.data[r->at] != '\0')
        r->at++;
    return r->at < r->text.len ? r->text.data[r->at] : '\0';
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A JSON string as an HCL STRING token: the escapes of JSON are also HCL's, except "\/". */
static bool read_string(struct reader *r, struct hcl_token *token) {
    size_t start = r->at++;
    char *text = arena_alloc(r->arena, r->text.len - start + 2);
    size_t len = 0;
    text[len++] = '"';
    for (;;) {
        if (r->at >= r->text.len || r->text.data[r->at] == '\n')
            return read_error(r, r->at, "literal not terminated");
        char c = r->text.data[r->at++];
        if (c == '"')
            break;
        if (c == '\\') {
            char escape = r->at < r->text.len ? r->text.data[r->at] : '\0';
            if (escape == '\0' || strchr("\"\\/bfnrtu", escape) == NULL)
                return read_error(r, r->at, "illegal char escape");
            if (escape == '/') {
                text[len++] = '/';
                r->at++;
                continue;
            }
            for (size_t i = 1; escape == 'u' && i <= 4; i++)
                if (r->at + i >= r->text.len || hex(r->text.data[r->at + i]) < 0)
                    return read_error(r, r->at + i, "illegal char escape");
            text[len++] = c;
            c = escape;
            r->at++;
        }
        text[len++] = c;
    }
    text[len++] = '"';
    *token = (struct hcl_token){HCL_STRING, str_of(text, len), start};
    return true;
}

static bool is_number_char(char c, bool *fraction) {
    if (c == '.' || c == 'e' || c == 'E')
        *fraction = true;
    return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

static bool read_number(struct reader *r, struct hcl_token *token) {
    size_t start = r->at;
    bool fraction = false;
    while (r->at < r->text.len && is_number_char(r->text.data[r->at], &fraction))
        r->at++;
    struct str text = str_sub(r->text, start, r->at - start);
    struct str digits = text.data[0] == '-' ? str_sub(text, 1, SIZE_MAX) : text;
    if (!fraction && digits.len > 1 && digits.data[0] == '0')
        return read_error(r, start + (text.len - digits.len) + 1, "numbers cannot start with 0");
    *token = (struct hcl_token){fraction ? HCL_FLOAT : HCL_NUMBER, text, start};
    return true;
}

static bool read_word(struct reader *r, struct hcl_token *token) {
    size_t start = r->at;
    while (r->at < r->text.len && ((r->text.data[r->at] >= 'a' && r->text.data[r->at] <= 'z') ||
                                   (r->text.data[r->at] >= 'A' && r->text.data[r->at] <= 'Z')))
        r->at++;
    struct str word = str_sub(r->text, start, r->at - start);
    if (str_is(word, "true") || str_is(word, "false")) {
        *token = (struct hcl_token){HCL_BOOL, word, start};
        return true;
    }
    if (str_is(word, "null")) { /* becomes the empty string */
        *token = (struct hcl_token){HCL_STRING, STR("\"\""), start};
        return true;
    }
    if (start < r->text.len && r->text.data[start] == '/')
        return read_error(r, start, "illegal char: /");
    return read_error(r, word.len > 0 ? r->at - 1 : start, "illegal char");
}

static struct hcl_node *read_object(struct reader *r);

static struct hcl_node *new_list(struct reader *r) {
    struct hcl_node *list = ARENA_NEW(r->arena, struct hcl_node);
    list->kind = HCL_NODE_LIST;
    list->position = r->at++;
    return list;
}

/* NULL without an error: there is no value here, which is tolerated. */
static struct hcl_node *read_value(struct reader *r);

static struct hcl_node *fill_list(struct reader *r) {
    struct hcl_node *list = new_list(r);
    for (;;) {
        char c = peek(r);
        if (c == ',') {
            r->at++;
            continue;
        }
        if (c == ']')
            r->at++;
        if (c == ']' || c == '\0' || c == '}')
            return list;
        struct hcl_node *node = read_value(r);
        if (node == NULL)
            return error_is_set(r->e) ? NULL : list;
        hcl_list_add(list, node, r->arena);
    }
}

static struct hcl_node *read_value(struct reader *r) {
    char c = peek(r);
    if (c == '\0' || c == '}' || c == ']' || c == ',' || c == ':')
        return NULL;
    if (c == '{' || c == '[') {
        if (r->depth >= HCL_MAX_DEPTH) {
            read_error(r, r->at, "nested too deeply");
            return NULL;
        }
        r->depth++;
        struct hcl_node *nested = c == '{' ? read_object(r) : fill_list(r);
        r->depth--;
        return nested;
    }
    struct hcl_token token = {0};
    bool ok = c == '"'                             ? read_string(r, &token)
              : (c >= '0' && c <= '9') || c == '-' ? read_number(r, &token)
                                                   : read_word(r, &token);
    if (!ok)
        return NULL;
    struct hcl_node *node = ARENA_NEW(r->arena, struct hcl_node);
    node->kind = HCL_NODE_LITERAL;
    node->position = token.position;
    node->token = token;
    return node;
}

/* One entry behind its key. False: error. */
static bool read_entry(struct reader *r, struct hcl_node *object) {
    struct hcl_token key;
    struct str *name = ARENA_NEW(r->arena, struct str);
    if (!read_string(r, &key))
        return false;
    if (!hcl_unquote(key.text, r->arena, name))
        return read_error(r, key.position, "illegal char escape");
    if (peek(r) != ':')
        return true;
    r->at++;
    struct hcl_node *value = read_value(r);
    if (value != NULL)
        hcl_object_add(object, (struct hcl_item){name, 1, value}, r->arena);
    return !error_is_set(r->e);
}

static struct hcl_node *read_object(struct reader *r) {
    struct hcl_node *object = ARENA_NEW(r->arena, struct hcl_node);
    object->kind = HCL_NODE_OBJECT;
    object->position = r->at++;
    for (;;) {
        char c = peek(r);
        if (c == '"') {
            if (!read_entry(r, object))
                return NULL;
        } else if (c == ',') {
            r->at++;
        } else if (c == '}' || (c == '\0' && r->at >= r->text.len)) {
            r->at += c == '}';
            return object;
        } else {
            struct hcl_token ignored;
            if (c == '{' || c == '[' || c == ']' || c == ':' || (c >= '0' && c <= '9') || c == '-')
                read_error(r, r->at, "expected: STRING | RBRACE");
            else if (read_word(r, &ignored))
                read_error(r, ignored.position, "expected: STRING | RBRACE");
            return NULL;
        }
    }
}

bool hcl_parse_json(struct str text, struct hcl_node **root, struct arena *arena, struct error *e) {
    struct reader r = {.text = text, .arena = arena, .e = e};
    error_clear(e);
    peek(&r);
    *root = read_object(&r);
    return *root != NULL;
}

/* A reader for the plain part of YAML: see discover_yaml.h. Works line by line: each line has an
 * indent and a content without its comment; a block is a run of lines with the same indent, in
 * which "- " opens an item and "key:" a pair. */
#include "agent/discover_yaml.h"

#include "base/buf.h"
#include "base/mem.h"

struct line {
    struct str raw;     /* without its end */
    struct str content; /* without indent, comment and blanks at the end */
    size_t indent;
    size_t number;
};

struct yaml {
    struct line *lines; /* those with content, and empty ones (for blocks of text) */
    size_t len, at;
    unsigned depth;
    struct arena *arena;
    struct error *e;
};

static bool fail(struct yaml *y, const char *what) {
    size_t number = y->at < y->len ? y->lines[y->at].number : 0;
    return error_set(y->e, ERROR_BAD_REQUEST, "yaml: line %zu: %s", number, what);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* ---- lines ---- */

/* Where a comment begins: '#' at the start or behind a blank, outside of quotes. */
static size_t content_end(struct str s) {
    char quote = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (quote == '"' && c == '\\')
            i++;
        else if (quote != 0)
            quote = c == quote ? 0 : quote;
        else if ((c == '"' || c == '\'') && (i == 0 || strchr(" [{,:", s.data[i - 1]) != NULL))
            quote = c;
        else if (c == '#' && (i == 0 || is_blank(s.data[i - 1])))
            return i;
    }
    return s.len;
}

static struct line line_of(struct str raw, size_t number) {
    struct line l = {.raw = raw, .number = number};
    while (l.indent < raw.len && raw.data[l.indent] == ' ')
        l.indent++;
    l.content = str_sub(raw, l.indent, raw.len);
    l.content = str_trim(str_sub(l.content, 0, content_end(l.content)));
    return l;
}

static void split_lines(struct yaml *y, struct str text) {
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    y->lines = ARENA_ARRAY(y->arena, struct line, count);
    for (size_t number = 1; text.data != NULL; number++) {
        struct str raw = str_cut(&text, '\n');
        if (raw.len > 0 && raw.data[raw.len - 1] == '\r')
            raw.len--;
        if (str_is(raw, "..."))
            return; /* the end of the document */
        y->lines[y->len++] = line_of(raw, number);
    }
}

/* The next line with content, or NULL. */
static struct line *peek(struct yaml *y) {
    while (y->at < y->len && y->lines[y->at].content.len == 0)
        y->at++;
    return y->at < y->len ? &y->lines[y->at] : NULL;
}

/* ---- scalars ---- */

static bool take_double_quoted(struct yaml *y, struct str *rest, struct str *out) {
    struct buf text = BUF_INIT;
    size_t i = 1;
    bool ok = true;
    for (; ok && i < rest->len && rest->data[i] != '"'; i++) {
        char c = rest->data[i];
        if (c == '\\') {
            c = ++i < rest->len ? rest->data[i] : 0;
            ok = c != 0 && strchr("ntr\"\\/0", c) != NULL;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == '0' ? '\0' : c;
        }
        buf_add_char(&text, c);
    }
    ok = ok && i < rest->len;
    if (ok) {
        *out = text.len > 0 ? str_copy(y->arena, buf_str(&text)) : STR("");
        *rest = str_sub(*rest, i + 1, rest->len);
    }
    buf_free(&text);
    return ok || fail(y, "a quoted text without end, or with an escape that is not known");
}

static bool take_single_quoted(struct yaml *y, struct str *rest, struct str *out) {
    struct buf text = BUF_INIT;
    size_t i = 1;
    bool ok = false; /* the end was seen */
    for (; i < rest->len && !ok; i++) {
        if (rest->data[i] != '\'')
            buf_add_char(&text, rest->data[i]);
        else if (i + 1 < rest->len && rest->data[i + 1] == '\'')
            buf_add_char(&text, rest->data[i++]);
        else
            ok = true;
    }
    if (ok) {
        *out = text.len > 0 ? str_copy(y->arena, buf_str(&text)) : STR("");
        *rest = str_sub(*rest, i, rest->len);
    }
    buf_free(&text);
    return ok || fail(y, "a quoted text without end");
}

static void set_plain(struct value *out, struct str text) {
    *out = (struct value){.kind = VALUE_STRING, .string = text};
    if (text.len == 0 || str_is(text, "~") || str_is(text, "null") || str_is(text, "Null") ||
        str_is(text, "NULL"))
        *out = (struct value){.kind = VALUE_NULL};
    else if (str_eq_fold(text, STR("true")) || str_eq_fold(text, STR("false")))
        *out = (struct value){.kind = VALUE_BOOL, .boolean = str_eq_fold(text, STR("true"))};
}

static bool take_quoted(struct yaml *y, struct str *rest, struct str *out) {
    return rest->data[0] == '"' ? take_double_quoted(y, rest, out)
                                : take_single_quoted(y, rest, out);
}

/* ---- flow ---- */

static bool take_flow(struct yaml *y, struct str *rest, struct value *out);

static void skip_blanks(struct str *rest) {
    while (rest->len > 0 && is_blank(rest->data[0]))
        *rest = str_sub(*rest, 1, rest->len);
}

static bool take_flow_scalar(struct yaml *y, struct str *rest, struct value *out) {
    if (rest->len > 0 && (rest->data[0] == '"' || rest->data[0] == '\'')) {
        *out = (struct value){.kind = VALUE_STRING};
        return take_quoted(y, rest, &out->string);
    }
    size_t end = 0;
    while (end < rest->len && strchr(",]}[{", rest->data[end]) == NULL &&
           !(rest->data[end] == ':' && (end + 1 == rest->len || is_blank(rest->data[end + 1]))))
        end++;
    set_plain(out, str_trim(str_sub(*rest, 0, end)));
    *rest = str_sub(*rest, end, rest->len);
    return true;
}

static void add_item(struct yaml *y, struct value *list, const struct value *item) {
    size_t len = list->list.len;
    if ((len & (len - 1)) == 0) { /* full at each power of two */
        struct value *more = ARENA_ARRAY(y->arena, struct value, len == 0 ? 1 : len * 2);
        if (len > 0)
            memcpy(more, list->list.items, len * sizeof(*more));
        list->list.items = more;
    }
    list->list.items[list->list.len++] = *item;
}

static void add_pair(struct yaml *y, struct value *map, struct str key, const struct value *value) {
    size_t len = map->map.len;
    if ((len & (len - 1)) == 0) {
        struct value_pair *more = ARENA_ARRAY(y->arena, struct value_pair, len == 0 ? 1 : len * 2);
        if (len > 0)
            memcpy(more, map->map.pairs, len * sizeof(*more));
        map->map.pairs = more;
    }
    map->map.pairs[map->map.len++] = (struct value_pair){key, *value};
}

static bool take_flow_pair(struct yaml *y, struct str *rest, struct value *map) {
    struct value key, value;
    if (!take_flow_scalar(y, rest, &key))
        return false;
    skip_blanks(rest);
    if (key.kind != VALUE_STRING || rest->len == 0 || rest->data[0] != ':')
        return fail(y, "a flow mapping needs keys");
    *rest = str_sub(*rest, 1, rest->len);
    if (!take_flow(y, rest, &value))
        return false;
    add_pair(y, map, key.string, &value);
    return true;
}

static bool take_flow(struct yaml *y, struct str *rest, struct value *out) {
    skip_blanks(rest);
    char open = rest->len > 0 ? rest->data[0] : 0;
    if (open != '[' && open != '{')
        return take_flow_scalar(y, rest, out);
    if (++y->depth > YAML_DEPTH_MAX)
        return fail(y, "too deep");
    char close = open == '[' ? ']' : '}';
    *out = (struct value){.kind = open == '[' ? VALUE_LIST : VALUE_MAP};
    *rest = str_sub(*rest, 1, rest->len);
    for (;;) {
        struct value item;
        skip_blanks(rest);
        if (rest->len > 0 && rest->data[0] == close)
            break;
        if (open == '{' ? !take_flow_pair(y, rest, out) : !take_flow(y, rest, &item))
            return false;
        if (open == '[')
            add_item(y, out, &item);
        skip_blanks(rest);
        if (rest->len == 0 || (rest->data[0] != ',' && rest->data[0] != close))
            return fail(y, "a flow list or mapping must end on its line");
        if (rest->data[0] == ',')
            *rest = str_sub(*rest, 1, rest->len);
    }
    *rest = str_sub(*rest, 1, rest->len);
    y->depth--;
    return true;
}

/* ---- blocks ---- */

/* "|" and ">" with their signs: the lines below that are indented more than `indent`. */
static bool take_text_block(struct yaml *y, struct str head, size_t indent, struct value *out) {
    bool folded = head.data[0] == '>', strip = str_find_char(head, '-') >= 0;
    struct buf text = BUF_INIT;
    size_t inner = 0;
    for (; y->at < y->len; y->at++) {
        struct str raw = y->lines[y->at].raw;
        bool blank = str_trim(raw).len == 0;
        if (!blank && y->lines[y->at].indent <= indent)
            break;
        if (inner == 0 && !blank)
            inner = y->lines[y->at].indent;
        buf_add_str(&text, blank ? STR("") : str_sub(raw, inner, raw.len));
        buf_add_char(&text, folded && !blank ? ' ' : '\n');
    }
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == ' '))
        text.len--;
    if (!strip && text.len > 0)
        buf_add_char(&text, '\n');
    *out = (struct value){.kind = VALUE_STRING,
                          .string = text.len > 0 ? str_copy(y->arena, buf_str(&text)) : STR("")};
    buf_free(&text);
    return true;
}

static bool take_block(struct yaml *y, size_t indent, struct value *out);

/* What stands behind "key:" or "-" on a line that has been taken; `indent`: the block's. A list
 * may stand below its key without a further indent. */
static bool take_value(struct yaml *y, struct str rest, size_t indent, bool in_map,
                       struct value *out) {
    rest = str_trim(rest);
    if (rest.len == 0) {
        const struct line *next = peek(y);
        set_plain(out, STR(""));
        bool is_list = next != NULL &&
                       (str_is(next->content, "-") || str_has_prefix(next->content, STR("- ")));
        if (next != NULL &&
            (next->indent > indent || (in_map && is_list && next->indent == indent)))
            return take_block(y, next->indent, out);
        return true;
    }
    if (strchr("&*!%@`", rest.data[0]) != NULL)
        return fail(y, "anchors, aliases and tags are not read");
    if (rest.data[0] == '|' || rest.data[0] == '>')
        return take_text_block(y, rest, indent, out);
    if (strchr("[{\"'", rest.data[0]) == NULL) {
        set_plain(out, rest);
        return true;
    }
    unsigned depth = y->depth;
    if (!take_flow(y, &rest, out))
        return false;
    y->depth = depth;
    return str_trim(rest).len == 0 || fail(y, "something stands behind a value");
}

/* Cuts "key:" off a line's content; false without an error when there is none. */
static bool take_key(struct yaml *y, struct str *rest, struct str *key) {
    if (rest->len > 0 && (rest->data[0] == '"' || rest->data[0] == '\'')) {
        struct str from = *rest;
        if (!take_quoted(y, &from, key) || from.len == 0 || from.data[0] != ':')
            return false;
        *rest = str_sub(from, 1, from.len);
        return true;
    }
    for (size_t i = 0; i < rest->len; i++) {
        if (rest->data[i] == ':' && (i + 1 == rest->len || is_blank(rest->data[i + 1]))) {
            *key = str_trim(str_sub(*rest, 0, i));
            *rest = str_sub(*rest, i + 1, rest->len);
            return key->len > 0 && strchr("&*!?[{", key->data[0]) == NULL;
        }
    }
    return false;
}

static bool take_item(struct yaml *y, size_t indent, struct value *list) {
    struct line *l = &y->lines[y->at];
    struct value item;
    struct str rest = str_sub(l->content, 1, l->content.len), key;
    size_t blanks = 0;
    while (blanks < rest.len && rest.data[blanks] == ' ')
        blanks++;
    struct str inner = str_sub(rest, blanks, rest.len), probe = inner;
    struct error ignored = ERROR_IN(y->arena), *e = y->e;
    y->e = &ignored;
    bool is_map = inner.len > 0 && strchr("[{", inner.data[0]) == NULL && take_key(y, &probe, &key);
    y->e = e;
    if (is_map || str_has_prefix(inner, STR("- "))) {
        /* A block that begins on the item's own line: that line again, without its dash. */
        l->content = inner;
        l->indent = indent + 1 + blanks;
        if (!take_block(y, l->indent, &item))
            return false;
    } else {
        y->at++;
        if (!take_value(y, inner, indent, false, &item))
            return false;
    }
    add_item(y, list, &item);
    return true;
}

static bool is_item(const struct line *l) {
    return str_is(l->content, "-") || str_has_prefix(l->content, STR("- "));
}

static bool take_pair(struct yaml *y, size_t indent, struct value *map) {
    struct str rest = y->lines[y->at].content, key;
    struct value value;
    if (!take_key(y, &rest, &key))
        return error_is_set(y->e) ? false : fail(y, "could not find expected ':'");
    y->at++;
    if (!take_value(y, rest, indent, true, &value))
        return false;
    add_pair(y, map, key, &value);
    return true;
}

static bool take_block(struct yaml *y, size_t indent, struct value *out) {
    struct line *l = peek(y);
    if (++y->depth > YAML_DEPTH_MAX)
        return fail(y, "too deep");
    bool list = is_item(l);
    *out = (struct value){.kind = list ? VALUE_LIST : VALUE_MAP};
    for (; l != NULL && l->indent == indent && is_item(l) == list; l = peek(y))
        if (list ? !take_item(y, indent, out) : !take_pair(y, indent, out))
            return false;
    y->depth--;
    return l == NULL || l->indent <= indent || fail(y, "wrong indentation");
}

bool yaml_parse(struct str text, struct value *out, struct arena *arena, struct error *e) {
    struct yaml y = {.arena = arena, .e = e};
    set_plain(out, STR(""));
    if (text.len > YAML_BYTES_MAX)
        return error_set(e, ERROR_TOO_LARGE, "yaml: too large");
    split_lines(&y, text);
    for (size_t i = 0; i < y.len; i++)
        if (y.lines[i].content.len > 0 && y.lines[i].raw.data[y.lines[i].indent] == '\t')
            return error_set(e, ERROR_BAD_REQUEST,
                             "yaml: line %zu: found character that cannot start any token",
                             y.lines[i].number);
    struct line *l = peek(&y);
    if (l != NULL && str_is(l->content, "---")) {
        y.at++;
        l = peek(&y);
    }
    if (l == NULL)
        return true;
    if (!take_block(&y, l->indent, out))
        return false;
    l = peek(&y);
    return l == NULL || fail(&y, "the document goes on oddly");
}

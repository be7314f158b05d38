/* The filter grammar (agent.md 7.1): ordered choices with backtracking. What the text of a syntax
 * error lists is every terminal that was tried, and failed, at the farthest position reached; some
 * rules report an error of their own instead.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "schema/filter.h"
#include "schema/filter_ast.h"

/* Terminals, in the order in which they are listed. */
enum terminal {
    T_NOT_EQUAL,
    T_OPEN,
    T_CLOSE,
    T_MINUS,
    T_DOT,
    T_ZERO,
    T_EQUAL,
    T_OPEN_INDEX,
    T_QUOTE,
    T_CLOSE_INDEX,
    T_BACKQUOTE,
    T_AND,
    T_CONTAINS,
    T_EMPTY,
    T_IN,
    T_IS,
    T_MATCHES,
    T_NOT,
    T_OR,
    T_BLANK,
    T_DIGIT,
    T_NONZERO,
    T_WORD,
    T_LETTER,
    T_END,
    T_COUNT,
};
static const struct {
    const char *text; /* of a literal; NULL for classes */
    const char *shown;
} terminals[T_COUNT] = {
    [T_NOT_EQUAL] = {"!=", "\"!=\""},
    [T_OPEN] = {"(", "\"(\""},
    [T_CLOSE] = {")", "\")\""},
    [T_MINUS] = {"-", "\"-\""},
    [T_DOT] = {".", "\".\""},
    [T_ZERO] = {"0", "\"0\""},
    [T_EQUAL] = {"==", "\"==\""},
    [T_OPEN_INDEX] = {"[", "\"[\""},
    [T_QUOTE] = {"\"", "\"\\\"\""},
    [T_CLOSE_INDEX] = {"]", "\"]\""},
    [T_BACKQUOTE] = {"`", "\"`\""},
    [T_AND] = {"and", "\"and\""},
    [T_CONTAINS] = {"contains", "\"contains\""},
    [T_EMPTY] = {"empty", "\"empty\""},
    [T_IN] = {"in", "\"in\""},
    [T_IS] = {"is", "\"is\""},
    [T_MATCHES] = {"matches", "\"matches\""},
    [T_NOT] = {"not", "\"not\""},
    [T_OR] = {"or", "\"or\""},
    [T_BLANK] = {NULL, "[ \\t\\r\\n]"},
    [T_DIGIT] = {NULL, "[0-9]"},
    [T_NONZERO] = {NULL, "[1-9]"},
    [T_WORD] = {NULL, "[a-zA-Z0-9_]"},
    [T_LETTER] = {NULL, "[a-zA-Z]"},
    [T_END] = {NULL, "EOF"},
};

struct parser {
    struct str text;
    size_t at;
    int depth;
    size_t farthest;
    uint32_t tried;    /* bits of enum terminal, at the farthest position */
    struct buf errors; /* of rules; one a line */
    bool too_deep;
    struct arena *arena;
};

static struct filter_node *parse_or(struct parser *p);
static struct filter_node *parse_not(struct parser *p);

/* ---- terminals ---- */

static void record(struct parser *p, enum terminal t) {
    if (p->at < p->farthest) {
        return;
    }
    if (p->at > p->farthest) {
        p->farthest = p->at;
        p->tried = 0;
    }
    p->tried |= 1u << t;
}

static bool literal(struct parser *p, enum terminal t) {
    struct str want = str_from(terminals[t].text);
    if (str_has_prefix(str_sub(p->text, p->at, want.len), want)) {
        p->at += want.len;
        return true;
    }
    record(p, t);
    return false;
}

static bool in_class(enum terminal t, unsigned char c) {
    bool digit = c >= '0' && c <= '9';
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    switch (t) {
    case T_BLANK:
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
    case T_DIGIT:
        return digit;
    case T_NONZERO:
        return digit && c != '0';
    case T_WORD:
        return digit || letter || c == '_';
    default:
        return letter;
    }
}

static bool one_of(struct parser *p, enum terminal t) {
    if (p->at < p->text.len && in_class(t, (unsigned char)p->text.data[p->at])) {
        p->at++;
        return true;
    }
    record(p, t);
    return false;
}

static void any_of(struct parser *p, enum terminal t) {
    while (one_of(p, t)) {
    }
}

/* One blank or more. */
static bool blanks(struct parser *p) {
    if (!one_of(p, T_BLANK)) {
        return false;
    }
    any_of(p, T_BLANK);
    return true;
}

static bool end_of_text(struct parser *p) {
    if (p->at == p->text.len) {
        return true;
    }
    record(p, T_END);
    return false;
}

/* ---- errors ---- */

/* Lines and columns count from 1, columns in characters. */
static void put_position(struct buf *out, struct str text, size_t offset) {
    size_t line = 1, column = 1;
    for (size_t at = 0; at < offset;) {
        size_t size = utf8_decode(text.data + at, text.len - at, NULL);
        if (text.data[at] == '\n') {
            line++;
            column = 0;
        }
        column++;
        at += size != 0 ? size : 1;
    }
    buf_add_format(out, "%zu:%zu (%zu): ", line, column, offset);
}

static bool rule_error(struct parser *p, size_t at, const char *rule, const char *text) {
    struct buf b = BUF_INIT;
    put_position(&b, p->text, at);
    buf_add_format(&b, "rule \"%s\": %s", rule, text);
    /* Backtracking comes by twice. */
    struct str have = buf_str(&p->errors), line;
    bool known = false;
    while (have.data != NULL && have.len > 0) {
        line = str_cut(&have, '\n');
        known = known || str_eq(line, buf_str(&b));
    }
    if (!known) {
        if (p->errors.len > 0) {
            buf_add_char(&p->errors, '\n');
        }
        buf_add(&p->errors, b.data, b.len);
    }
    buf_free(&b);
    return false;
}

static void put_expected(struct buf *out, uint32_t tried) {
    int left = __builtin_popcount(tried);
    int total = left;
    for (int t = 0; t < T_COUNT; t++) {
        if (!(tried & 1u << t)) {
            continue;
        }
        if (left < total) {
            buf_add_text(out, left == 1 ? " or " : ", ");
        }
        buf_add_text(out, terminals[t].shown);
        left--;
    }
}

/* ---- values ---- */

static bool unquote_rune(struct str raw, size_t *at, struct buf *out) {
    static const char letters[] = "abfnrtv\\\"";
    static const char meanings[] = "\a\b\f\n\r\t\v\\\"";
    char c = raw.data[*at];
    const char *known = c != 0 ? strchr(letters, c) : NULL;
    if (known != NULL) {
        buf_add_char(out, meanings[known - letters]);
        ++*at;
        return true;
    }
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : c >= '0' && c <= '7' ? 3 : 0;
    size_t from = digits == 3 ? *at : *at + 1;
    unsigned shift = digits == 3 ? 3 : 4;
    uint32_t n = 0;
    if (digits == 0 || from + digits > raw.len) {
        return false;
    }
    for (size_t i = from; i < from + digits; i++) {
        int d = raw.data[i];
        d = d >= '0' && d <= '9'                     ? d - '0'
            : (d | 0x20) >= 'a' && (d | 0x20) <= 'f' ? (d | 0x20) - 'a' + 10
                                                     : 99;
        if (d >= 1 << shift || n >> 28 != 0) {
            return false;
        }
        n = n << shift | (uint32_t)d;
    }
    *at = from + digits;
    if (digits <= 3) {
        if (n > 255) {
            return false;
        }
        buf_add_char(out, (char)n);
        return true;
    }
    if (n > 0x10ffff || (n >= 0xd800 && n < 0xe000)) {
        return false;
    }
    char utf8[4];
    buf_add(out, utf8, utf8_encode(utf8, n));
    return true;
}

/* The inside of a double-quoted string, as the peer's language reads it. */
static bool unquote(struct parser *p, struct str raw, struct str *out) {
    if (memchr(raw.data, '\n', raw.len) != NULL) {
        return false;
    }
    struct buf b = BUF_INIT;
    bool ok = true;
    for (size_t at = 0; ok && at < raw.len;) {
        if (raw.data[at] != '\\') {
            buf_add_char(&b, raw.data[at++]);
            continue;
        }
        at++;
        ok = at < raw.len && unquote_rune(raw, &at, &b);
    }
    *out = b.len > 0 ? str_copy(p->arena, buf_str(&b)) : STR("");
    buf_free(&b);
    return ok;
}

static bool parse_string(struct parser *p, struct str *out) {
    size_t from = p->at;
    bool raw = literal(p, T_BACKQUOTE);
    if (!raw && !literal(p, T_QUOTE)) {
        return false;
    }
    size_t inside = p->at;
    ptrdiff_t len = str_find_char(str_sub(p->text, inside, p->text.len), raw ? '`' : '"');
    if (len < 0) {
        p->at = p->text.len;
        rule_error(p, p->at, "string", "Unterminated string literal");
        p->at = from;
        return false;
    }
    struct str text = str_sub(p->text, inside, (size_t)len);
    p->at = inside + (size_t)len + 1;
    if (raw) {
        *out = text;
        /* Carriage returns go, as in the raw strings of the peer's language. */
        struct buf b = BUF_INIT;
        for (size_t i = 0; i < text.len; i++) {
            if (text.data[i] != '\r') {
                buf_add_char(&b, text.data[i]);
            }
        }
        if (b.len < text.len) {
            *out = b.len > 0 ? str_copy(p->arena, buf_str(&b)) : STR("");
        }
        buf_free(&b);
        return true;
    }
    if (!unquote(p, text, out)) {
        rule_error(p, from, "string", "invalid syntax");
    }
    return true;
}

/* Behind a number: a blank, the end or ")"; looked at, not taken. */
static bool number_ends(struct parser *p) {
    size_t at = p->at;
    bool ok = blanks(p) || end_of_text(p) || literal(p, T_CLOSE);
    p->at = at;
    return ok;
}

static bool parse_number(struct parser *p, struct str *out) {
    size_t from = p->at;
    literal(p, T_MINUS);
    if (!literal(p, T_ZERO)) {
        if (!one_of(p, T_NONZERO)) {
            p->at = from;
            return false;
        }
        any_of(p, T_DIGIT);
    }
    size_t whole = p->at;
    if (literal(p, T_DOT)) {
        if (one_of(p, T_DIGIT)) {
            any_of(p, T_DIGIT);
        } else {
            p->at = whole;
        }
    }
    if (!number_ends(p)) {
        rule_error(p, p->at, "number", "Invalid number literal");
        p->at = from;
        return false;
    }
    *out = str_sub(p->text, from, p->at - from);
    return true;
}

static bool parse_identifier(struct parser *p, struct str *out) {
    size_t from = p->at;
    if (!one_of(p, T_LETTER)) {
        return false;
    }
    any_of(p, T_WORD);
    *out = str_sub(p->text, from, p->at - from);
    return true;
}

/* [ "key" ], with p->at at the bracket or anything else. */
static bool parse_index(struct parser *p, struct str *out) {
    size_t from = p->at;
    if (!literal(p, T_OPEN_INDEX)) {
        return false;
    }
    blanks(p);
    if (!parse_string(p, out)) {
        rule_error(p, p->at, "index", "Invalid index");
        p->at = from;
        return false;
    }
    blanks(p);
    if (!literal(p, T_CLOSE_INDEX)) {
        rule_error(p, p->at, "index", "Unclosed index expression");
        p->at = from;
        return false;
    }
    return true;
}

static bool parse_part(struct parser *p, struct str *out) {
    size_t from = p->at;
    if (literal(p, T_DOT)) {
        if (parse_identifier(p, out)) {
            return true;
        }
        p->at = from;
    }
    return parse_index(p, out);
}

static bool parse_selector(struct parser *p, struct filter_selector *out) {
    struct str part;
    struct buf parts = BUF_INIT;
    if (!parse_identifier(p, &part)) {
        return false;
    }
    do {
        buf_add(&parts, &part, sizeof(part));
    } while (parse_part(p, &part));
    out->len = parts.len / sizeof(part);
    out->parts = arena_copy(p->arena, parts.data, parts.len);
    buf_free(&parts);
    return true;
}

static struct str join(struct arena *arena, const struct filter_selector *s) {
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < s->len; i++) {
        if (i > 0) {
            buf_add_char(&b, '.');
        }
        buf_add_str(&b, s->parts[i]);
    }
    struct str joined = str_copy(arena, buf_str(&b));
    buf_free(&b);
    return joined;
}

static bool parse_value(struct parser *p, struct str *out) {
    struct filter_selector words;
    if (parse_selector(p, &words)) {
        *out = join(p->arena, &words);
        return true;
    }
    return parse_number(p, out) || parse_string(p, out);
}

/* ---- matches ---- */

/* Words with blanks between, before and (when said) behind them. */
static bool words(struct parser *p, const enum terminal *list, size_t len, bool blank_behind) {
    size_t from = p->at;
    for (size_t i = 0; i < len; i++) {
        if (!blanks(p) || !literal(p, list[i])) {
            p->at = from;
            return false;
        }
    }
    if (blank_behind && !blanks(p)) {
        p->at = from;
        return false;
    }
    return true;
}

static bool sign(struct parser *p, enum terminal t) {
    size_t from = p->at;
    blanks(p);
    if (!literal(p, t)) {
        p->at = from;
        return false;
    }
    blanks(p);
    return true;
}

#define WORDS(behind, ...)                                                                         \
    words(p, (const enum terminal[]){__VA_ARGS__},                                                 \
          sizeof((const enum terminal[]){__VA_ARGS__}) / sizeof(enum terminal), behind)

static bool value_operator(struct parser *p, enum filter_op *op) {
    if (sign(p, T_EQUAL)) {
        *op = FILTER_EQUAL;
    } else if (sign(p, T_NOT_EQUAL)) {
        *op = FILTER_NOT_EQUAL;
    } else if (WORDS(true, T_CONTAINS)) {
        *op = FILTER_IN;
    } else if (WORDS(true, T_NOT, T_CONTAINS)) {
        *op = FILTER_NOT_IN;
    } else if (WORDS(true, T_MATCHES)) {
        *op = FILTER_MATCHES;
    } else if (WORDS(true, T_NOT, T_MATCHES)) {
        *op = FILTER_NOT_MATCHES;
    } else {
        return false;
    }
    return true;
}

static bool parse_selector_match(struct parser *p, struct filter_node *node) {
    if (!parse_selector(p, &node->selector)) {
        return false;
    }
    size_t behind = p->at;
    if (value_operator(p, &node->op) && parse_value(p, &node->value)) {
        return true;
    }
    p->at = behind;
    node->value = STR_NONE;
    if (WORDS(false, T_IS, T_EMPTY)) {
        node->op = FILTER_IS_EMPTY;
        return true;
    }
    if (WORDS(false, T_IS, T_NOT, T_EMPTY)) {
        node->op = FILTER_IS_NOT_EMPTY;
        return true;
    }
    return false;
}

static bool parse_value_match(struct parser *p, struct filter_node *node) {
    if (!parse_value(p, &node->value)) {
        return false;
    }
    if (WORDS(true, T_IN)) {
        node->op = FILTER_IN;
    } else if (WORDS(true, T_NOT, T_IN)) {
        node->op = FILTER_NOT_IN;
    } else {
        return false;
    }
    return parse_selector(p, &node->selector) || rule_error(p, p->at, "match", "Invalid selector");
}

static struct filter_node *parse_match(struct parser *p) {
    size_t from = p->at;
    struct filter_node *node = ARENA_NEW(p->arena, struct filter_node);
    node->kind = FILTER_MATCH;
    if (parse_selector_match(p, node)) {
        return node;
    }
    p->at = from;
    if (parse_value_match(p, node)) {
        return node;
    }
    p->at = from;
    return NULL;
}

/* ---- expressions ---- */

static bool enter(struct parser *p) {
    if (p->depth >= FILTER_MAX_DEPTH) {
        p->too_deep = true;
        return false;
    }
    p->depth++;
    return true;
}

static struct filter_node *parse_parentheses(struct parser *p) {
    size_t from = p->at;
    if (literal(p, T_OPEN)) {
        blanks(p);
        struct filter_node *inner = enter(p) ? parse_or(p) : NULL;
        if (inner != NULL) {
            p->depth--;
            blanks(p);
            if (literal(p, T_CLOSE)) {
                return inner;
            }
            rule_error(p, p->at, "grouping", "Unmatched parentheses");
        } else if (!p->too_deep) {
            p->depth--;
        }
        p->at = from;
    }
    return parse_match(p);
}

static struct filter_node *new_node(struct parser *p, enum filter_node_kind kind,
                                    struct filter_node *left, struct filter_node *right) {
    struct filter_node *node = ARENA_NEW(p->arena, struct filter_node);
    node->kind = kind;
    node->left = left;
    node->right = right;
    return node;
}

static struct filter_node *parse_not(struct parser *p) {
    size_t from = p->at;
    if (literal(p, T_NOT) && blanks(p)) {
        struct filter_node *inner = enter(p) ? parse_not(p) : NULL;
        if (inner != NULL) {
            p->depth--;
            return new_node(p, FILTER_NOT, inner, NULL);
        }
        if (!p->too_deep) {
            p->depth--;
        }
    }
    p->at = from;
    return p->too_deep ? NULL : parse_parentheses(p);
}

/* item { _ "word" _ item }, leaning to the right: as long as the text allows, so not by recursion.
 */
static struct filter_node *parse_chain(struct parser *p, enum filter_node_kind kind,
                                       enum terminal word,
                                       struct filter_node *(*item)(struct parser *)) {
    struct filter_node *chain = item(p);
    struct filter_node **last = &chain;
    while (chain != NULL && !p->too_deep) {
        size_t from = p->at;
        struct filter_node *next = words(p, &word, 1, true) ? item(p) : NULL;
        if (next == NULL) {
            p->at = from;
            break;
        }
        *last = new_node(p, kind, *last, next);
        last = &(*last)->right;
    }
    return chain;
}

static struct filter_node *parse_and(struct parser *p) {
    return parse_chain(p, FILTER_AND, T_AND, parse_not);
}

static struct filter_node *parse_or(struct parser *p) {
    return parse_chain(p, FILTER_OR, T_OR, parse_and);
}

/* The whole in parentheses is tried first; it takes nothing that the other way would not. */
static struct filter_node *parse_input(struct parser *p) {
    blanks(p);
    size_t from = p->at;
    if (literal(p, T_OPEN)) {
        blanks(p);
        struct filter_node *inner = parse_or(p);
        if (inner != NULL) {
            blanks(p);
            if (literal(p, T_CLOSE)) {
                blanks(p);
                if (end_of_text(p)) {
                    return inner;
                }
            }
        }
    }
    p->at = from;
    struct filter_node *node = p->too_deep ? NULL : parse_or(p);
    if (node == NULL) {
        return NULL;
    }
    blanks(p);
    return end_of_text(p) ? node : NULL;
}

static bool check_utf8(struct str text, struct error *e) {
    for (size_t at = 0; at < text.len;) {
        size_t size = utf8_decode(text.data + at, text.len - at, NULL);
        if (size == 0) {
            struct buf b = BUF_INIT;
            put_position(&b, text, at);
            error_set(e, ERROR_INTERNAL, STR_FMT "invalid encoding", STR_ARG(buf_str(&b)));
            buf_free(&b);
            return false;
        }
        at += size;
    }
    return true;
}

static void syntax_error(struct parser *p, struct error *e) {
    if (p->errors.len > 0) {
        error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(buf_str(&p->errors)));
        return;
    }
    struct buf b = BUF_INIT;
    put_position(&b, p->text, p->farthest);
    buf_add_text(&b, "no match found, expected: ");
    put_expected(&b, p->tried);
    error_set(e, ERROR_INTERNAL, STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
}

struct filter_node *filter_parse(struct str text, struct arena *arena, struct error *e) {
    if (text.len > FILTER_MAX_BYTES) {
        error_set(e, ERROR_INTERNAL, "expression is longer than %d bytes", FILTER_MAX_BYTES);
        return NULL;
    }
    if (!check_utf8(text, e)) {
        return NULL;
    }
    struct parser p = {.text = text, .arena = arena};
    struct filter_node *node = parse_input(&p);
    if (p.too_deep) {
        error_set(e, ERROR_INTERNAL, "expression is nested deeper than %d", FILTER_MAX_DEPTH);
        node = NULL;
    } else if (node == NULL || p.errors.len > 0) {
        syntax_error(&p, e);
        node = NULL;
    }
    buf_free(&p.errors);
    return node;
}

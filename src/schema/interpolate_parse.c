/* The language of ${…}, parsed into a tree. Positions are those of the peer's error texts: the
 * line, and the column where the blanks before a token begin.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "schema/interpolate_tree.h"

static void add_child(struct node *parent, struct node *child) {
    if (parent->last == NULL)
        parent->first = child;
    else
        parent->last->next = child;
    parent->last = child;
    parent->count++;
}

/* ---- characters ---- */

#define END UINT32_MAX /* not a character */

struct parser {
    struct str text;
    size_t offset;
    struct position at; /* of the character read last */
    struct arena *arena;
    uint32_t depth;
    const char *problem; /* why parsing failed */
};

/* The character at an offset and its length; NUL counts as one. */
static uint32_t peek_at(const struct parser *p, size_t offset, size_t *len) {
    uint32_t rune = END;
    *len = 0;
    if (offset >= p->text.len)
        return END;
    *len = utf8_decode(p->text.data + offset, p->text.len - offset, &rune);
    if (*len == 0) { /* not UTF-8 */
        *len = 1;
        rune = 0xfffd;
    }
    return rune;
}

static uint32_t peek(const struct parser *p) {
    size_t len;
    return peek_at(p, p->offset, &len);
}

static uint32_t peek_second(const struct parser *p) {
    size_t len, ignored;
    peek_at(p, p->offset, &len);
    return peek_at(p, p->offset + len, &ignored);
}

static uint32_t next(struct parser *p) {
    size_t len;
    uint32_t rune = peek_at(p, p->offset, &len);
    p->offset += len;
    if (rune == '\n') {
        p->at.line++;
        p->at.column = 1;
    } else if (rune != END) {
        p->at.column++;
    }
    return rune;
}

/* Letters beyond ASCII are not told from other signs: no variable has such a name anyway. */
static bool is_name_start(uint32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
           (c >= 0x80 && c != END && c != 0xfffd);
}

/* Skips blanks. *at: where the token begins, as error texts say it. */
static uint32_t skip_blanks(struct parser *p, struct position *at) {
    struct parser ahead = *p;
    next(&ahead);
    *at = ahead.at;
    while (is_blank(peek(p)))
        next(p);
    return peek(p);
}

static struct node *malformed(struct parser *p) {
    if (p->problem == NULL)
        p->problem = "syntax error";
    return NULL;
}

static struct node *node_new(struct parser *p, enum node_kind kind, struct position at) {
    struct node *n = ARENA_NEW(p->arena, struct node);
    n->kind = kind;
    n->at = at;
    return n;
}

/* Whether the next token is this character; takes it. */
static bool take(struct parser *p, uint32_t c) {
    struct parser ahead = *p;
    struct position ignored;
    if (skip_blanks(&ahead, &ignored) != c)
        return false;
    next(&ahead);
    *p = ahead;
    return true;
}

/* ---- expressions ---- */

static struct node *parse_expression(struct parser *p);
static struct node *parse_parts(struct parser *p, bool quoted);

/* A NUL right behind a name or number is not seen. */
static void skip_nul(struct parser *p) {
    if (peek(p) == 0)
        next(p);
}

static struct node *parse_number(struct parser *p, struct position at) {
    size_t start = p->offset;
    bool is_float = false;
    while (is_digit(peek(p)) || (peek(p) == '.' && !is_float))
        is_float |= next(p) == '.';
    char *text = str_terminated(p->arena, str_sub(p->text, start, p->offset - start));
    struct node *n = node_new(p, is_float ? NODE_FLOAT : NODE_INT, at);
    char *end;
    errno = 0;
    if (is_float) {
        n->number = strtod(text, &end);
        if (isinf(n->number))
            return malformed(p);
    } else {
        n->integer = strtoll(text, &end, text[0] == '0' ? 8 : 10);
        if (errno != 0)
            return malformed(p);
    }
    if (*end != 0 || peek(p) == '.')
        return malformed(p);
    skip_nul(p);
    return n;
}

static struct str parse_name(struct parser *p) {
    size_t start = p->offset;
    uint32_t last = 0;
    for (uint32_t c = peek(p);
         is_name_start(c) || is_digit(c) || c == '-' || (c == '*' && last == '.'); c = peek(p))
        last = next(p);
    struct str name = str_sub(p->text, start, p->offset - start);
    skip_nul(p);
    return name;
}

static struct node *parse_arguments(struct parser *p, struct node *call) {
    if (take(p, ')'))
        return call;
    for (;;) {
        struct node *argument = parse_expression(p);
        if (argument == NULL)
            return NULL;
        add_child(call, argument);
        if (take(p, ')'))
            return call;
        if (!take(p, ','))
            return malformed(p);
    }
}

static struct node *parse_named(struct parser *p, struct position at) {
    struct node *n = node_new(p, NODE_NAME, at);
    n->text = parse_name(p);
    if (take(p, '(')) {
        n->kind = NODE_CALL;
        return parse_arguments(p, n);
    }
    if (take(p, '[')) {
        struct node *index = parse_expression(p);
        if (index == NULL || !take(p, ']'))
            return malformed(p);
        n->kind = NODE_INDEX;
        add_child(n, index);
    }
    return n;
}

/* One or more texts in quotes, which are joined. */
static struct node *parse_quoted(struct parser *p, struct position at) {
    struct node *all = node_new(p, NODE_PARTS, at);
    while (take(p, '"')) {
        struct node *parts = parse_parts(p, true);
        if (parts == NULL)
            return NULL;
        add_child(all, parts);
    }
    return all;
}

static struct node *parse_operand(struct parser *p);

/* At a "-": 0 - operand, so that floats become integers, as they do in the peer. */
static struct node *parse_negative(struct parser *p, struct position at) {
    struct node *sum = node_new(p, NODE_SUM, at);
    next(p);
    if (++p->depth > INTERPOLATE_MAX_DEPTH)
        return malformed(p);
    struct node *operand = parse_operand(p);
    p->depth--;
    if (operand == NULL)
        return NULL;
    add_child(sum, node_new(p, NODE_INT, at));
    operand->operation = '-';
    add_child(sum, operand);
    return sum;
}

static struct node *parse_operand(struct parser *p) {
    struct position at;
    uint32_t c = skip_blanks(p, &at);
    if (c == '-')
        return parse_negative(p, at);
    if (c == '(') {
        next(p);
        struct node *n = parse_expression(p);
        return n != NULL && take(p, ')') ? n : malformed(p);
    }
    if (c == '"')
        return parse_quoted(p, at);
    if (is_digit(c))
        return parse_number(p, at);
    return is_name_start(c) ? parse_named(p, at) : malformed(p);
}

static bool is_operation(uint32_t c) {
    return c == '+' || c == '-' || c == '*' || c == '/' || c == '%';
}

/* From left to right, whatever the operations: 1 + 2 * 3 is 9. */
static struct node *parse_sum(struct parser *p) {
    struct node *operand = parse_operand(p), *sum = operand;
    struct position ignored;
    while (operand != NULL && is_operation(skip_blanks(p, &ignored))) {
        char operation = (char)next(p);
        if (sum == operand) {
            sum = node_new(p, NODE_SUM, operand->at);
            add_child(sum, operand);
        }
        operand = parse_operand(p);
        if (operand != NULL) {
            operand->operation = operation;
            add_child(sum, operand);
        }
    }
    return operand != NULL ? sum : NULL;
}

static struct node *parse_expression(struct parser *p) {
    if (++p->depth > INTERPOLATE_MAX_DEPTH)
        return malformed(p);
    struct node *n = parse_sum(p);
    p->depth--;
    return n;
}

/* ---- texts with expressions in them ---- */

struct literal {
    struct parser *parser;
    struct node *parts;
    struct buf bytes;
};

static void literal_end(struct literal *l) {
    if (l->bytes.len == 0)
        return;
    struct node *n = node_new(l->parser, NODE_TEXT, l->parser->at);
    n->text = str_copy(l->parser->arena, buf_str(&l->bytes));
    add_child(l->parts, n);
    buf_clear(&l->bytes);
}

/* Takes one character as it is. */
static void literal_take(struct literal *l) {
    struct parser *p = l->parser;
    size_t start = p->offset;
    if (next(p) == 0xfffd)
        buf_add_text(&l->bytes, "\xef\xbf\xbd");
    else
        buf_add_str(&l->bytes, str_sub(p->text, start, p->offset - start));
}

/* Behind a backslash in a quoted text; unknown escapes stay as they are. */
static void literal_escape(struct literal *l) {
    uint32_t c = peek_second(l->parser);
    if (c == 'n' || c == '\\' || c == '"') {
        next(l->parser);
        next(l->parser);
        buf_add_char(&l->bytes, c == 'n' ? '\n' : (char)c);
    } else {
        literal_take(l);
    }
}

/* At a "$". False when an expression does not parse. */
static bool literal_dollar(struct literal *l, bool quoted) {
    struct parser *p = l->parser;
    uint32_t c = peek_second(p);
    if (c == '{') {
        literal_end(l);
        next(p);
        next(p);
        struct node *n = parse_expression(p);
        if (n == NULL || !take(p, '}'))
            return malformed(p) != NULL;
        add_child(l->parts, n);
        return true;
    }
    if (c == END && !quoted && l->bytes.len == 0) {
        next(p); /* a lone one at the end is lost */
        return true;
    }
    literal_take(l);
    if (c == '$')
        next(p); /* two are one */
    return true;
}

/* Up to the end, or to the closing quote. */
static bool parse_literal(struct literal *l, bool quoted) {
    struct parser *p = l->parser;
    for (;;) {
        uint32_t c = peek(p);
        if (quoted && (c == END || c == 0)) {
            p->problem = c == 0 ? "unterminated string" : "syntax error";
            return false;
        }
        if (c == END || (c == 0 && l->bytes.len == 0))
            return true;
        if (quoted && c == '"') {
            next(p);
            return true;
        }
        if (c == 0) {
            literal_end(l); /* ends this text, not all */
            next(p);
        } else if (c == '$') {
            if (!literal_dollar(l, quoted))
                return false;
        } else if (quoted && c == '\\') {
            literal_escape(l);
        } else {
            literal_take(l);
        }
    }
}

static struct node *parse_parts(struct parser *p, bool quoted) {
    if (++p->depth > INTERPOLATE_MAX_DEPTH)
        return malformed(p);
    struct literal l = {.parser = p, .parts = node_new(p, NODE_PARTS, p->at), .bytes = BUF_INIT};
    bool ok = parse_literal(&l, quoted);
    if (ok)
        literal_end(&l);
    buf_free(&l.bytes);
    p->depth--;
    return ok ? l.parts : malformed(p);
}

struct node *interpolate_parse(struct str text, struct arena *arena, const char **problem) {
    struct parser p = {.text = text, .at = {1, 0}, .arena = arena};
    struct node *tree = parse_parts(&p, false);
    *problem = p.problem;
    return tree;
}

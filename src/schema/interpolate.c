/* The language of ${…}: parsed into a tree, checked for names and types as a whole, then evaluated.
 *
 * Positions in error texts are those of the peer: the line, and the column where the blanks before
 * a token begin.
 */
#include "schema/interpolate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- the tree ---- */

enum node_kind {
    NODE_TEXT,
    NODE_INT,
    NODE_FLOAT,
    NODE_NAME,
    NODE_CALL,
    NODE_INDEX,
    NODE_SUM,
    NODE_PARTS
};

struct position {
    uint32_t line, column;
};

struct node {
    enum node_kind kind;
    struct position at;
    struct str text;           /* NODE_TEXT; the name of NODE_NAME, NODE_CALL, NODE_INDEX */
    int64_t integer;           /* NODE_INT */
    double number;             /* NODE_FLOAT */
    struct node *first, *last; /* children: arguments of NODE_CALL, the index of NODE_INDEX, parts
                                  of NODE_PARTS, operands of NODE_SUM from left to right */
    uint32_t count;            /* of them */
    struct node *next;         /* sibling */
    char operation;            /* an operand but the first: how it is added, + - * / % */
    bool is_float;             /* and whether as floats; found when checked */
};

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

static bool is_blank(uint32_t c) {
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

static bool is_digit(uint32_t c) {
    return c >= '0' && c <= '9';
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

/* ---- names and types ---- */

enum kind_of_value { IS_TEXT, IS_INT, IS_FLOAT };

struct run {
    const struct interpolation_scope *scope;
    struct arena *arena;
    struct error *error;
};

__attribute__((format(printf, 3, 4))) static bool impossible(struct run *r, struct position at,
                                                             const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(r->arena, format, args);
    va_end(args);
    return error_set(r->error, ERROR_INTERNAL, "%u:%u: %.*s", at.line, at.column, STR_ARG(text));
}

__attribute__((format(printf, 3, 4))) static bool impossible_at(struct run *r, struct position at,
                                                                const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = str_vformat(r->arena, format, args);
    va_end(args);
    return error_set(r->error, ERROR_INTERNAL, "At column %u, line %u: %.*s", at.column, at.line,
                     STR_ARG(text));
}

static const struct str *variable(const struct run *r, struct str name) {
    for (size_t i = 0; i < r->scope->variable_count; i++) {
        if (str_eq(r->scope->variables[i].key, name))
            return &r->scope->variables[i].value;
    }
    return NULL;
}

static bool is_match(const struct run *r, struct str name) {
    return r->scope->has_match && str_is(name, "match");
}

static bool check(struct run *r, struct node *n, enum kind_of_value *kind);

/* No variable has parts, so an index is always wrong; the text depends on what else is. */
static bool check_index(struct run *r, const struct node *n) {
    const struct node *key = n->first;
    if (variable(r, n->text) == NULL)
        return impossible_at(r, n->at, "unknown variable accessed: %.*s", STR_ARG(n->text));
    if (key->kind == NODE_NAME && variable(r, key->text) == NULL)
        return impossible_at(r, n->at, "unknown variable: %.*s", STR_ARG(key->text));
    if (key->kind == NODE_CALL && !is_match(r, key->text))
        return impossible_at(r, n->at, "unknown function: %.*s", STR_ARG(key->text));
    return impossible_at(r, n->at, "invalid index operation into non-indexable type: TypeString");
}

static bool check_sum(struct run *r, struct node *n, enum kind_of_value *kind) {
    if (!check(r, n->first, kind))
        return false;
    for (struct node *operand = n->first->next; operand != NULL; operand = operand->next) {
        enum kind_of_value right;
        if (!check(r, operand, &right))
            return false;
        /* The first number of the two decides; texts alone become integers. */
        operand->is_float = *kind == IS_FLOAT || (*kind == IS_TEXT && right == IS_FLOAT);
        *kind = operand->is_float ? IS_FLOAT : IS_INT;
        if (operand->is_float && operand->operation == '%')
            return impossible_at(r, n->at, "modulo cannot be used with floats");
    }
    return true;
}

static bool check_call(struct run *r, const struct node *n) {
    enum kind_of_value ignored;
    for (struct node *argument = n->first; argument != NULL; argument = argument->next) {
        if (!check(r, argument, &ignored))
            return false;
    }
    if (!is_match(r, n->text))
        return impossible(r, n->at, "unknown function called: %.*s", STR_ARG(n->text));
    if (n->count != 1)
        return impossible(r, n->at, "match: expected 1 arguments, got %u", n->count);
    return true;
}

static bool check(struct run *r, struct node *n, enum kind_of_value *kind) {
    *kind = IS_TEXT;
    switch (n->kind) {
    case NODE_TEXT:
        return true;
    case NODE_INT:
        *kind = IS_INT;
        return true;
    case NODE_FLOAT:
        *kind = IS_FLOAT;
        return true;
    case NODE_NAME:
        return variable(r, n->text) != NULL ||
               impossible(r, n->at, "unknown variable accessed: %.*s", STR_ARG(n->text));
    case NODE_CALL:
        return check_call(r, n);
    case NODE_INDEX:
        return check_index(r, n);
    case NODE_SUM:
        return check_sum(r, n, kind);
    case NODE_PARTS:
        for (struct node *part = n->first; part != NULL; part = part->next) {
            enum kind_of_value ignored;
            if (!check(r, part, &ignored))
                return false;
        }
        return true;
    }
    ASSERT(false);
    return false;
}

/* ---- values ---- */

struct datum {
    enum kind_of_value kind;
    struct str text;
    int64_t integer;
    double number;
};

/* As the peer's machine cuts: what does not fit is the smallest integer. */
static int64_t cut(double x) {
    return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? (int64_t)x : INT64_MIN;
}

static bool fail_number(struct run *r, bool is_float, struct str text, bool range) {
    struct str quoted = str_quote(r->arena, text);
    return error_set(r->error, ERROR_INTERNAL,
                     "__builtin_StringTo%s: strconv.Parse%s: parsing %.*s: %s",
                     is_float ? "Float" : "Int", is_float ? "Float" : "Int", STR_ARG(quoted),
                     range ? "value out of range" : "invalid syntax");
}

/* A copy without the underscores between digits, which numbers may have. */
static char *without_underscores(struct run *r, struct str text, bool *ok) {
    char *copy = arena_alloc(r->arena, text.len + 1);
    size_t len = 0;
    *ok = text.len > 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool digit_before = i > 0 && is_digit((uint8_t)text.data[i - 1]);
        bool digit_behind = i + 1 < text.len && is_digit((uint8_t)text.data[i + 1]);
        if (c == '_' && digit_before && digit_behind)
            continue;
        if (c == 0 || is_blank((uint8_t)c))
            *ok = false;
        copy[len++] = c;
    }
    copy[len] = 0;
    return copy;
}

static bool int_of_text(struct run *r, struct str text, int64_t *out) {
    bool ok;
    const char *digits = without_underscores(r, text, &ok);
    char *end;
    bool minus = *digits == '-';
    if (*digits == '-' || *digits == '+')
        digits++;
    int base = 10;
    if (digits[0] == '0' && digits[1] != 0) {
        char c = (char)(digits[1] | 0x20);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        digits += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
    }
    bool starts = is_digit((uint8_t)*digits) || (base == 16 && *digits != '+' && *digits != '-');
    errno = 0;
    unsigned long long n = strtoull(digits, &end, base);
    if (!ok || !starts || end == digits || *end != 0)
        return fail_number(r, false, text, false);
    unsigned long long most = (unsigned long long)INT64_MAX + (minus ? 1 : 0);
    if (errno != 0 || n > most)
        return fail_number(r, false, text, true);
    *out = (int64_t)(minus ? 0 - n : n);
    return true;
}

static bool float_of_text(struct run *r, struct str text, double *out) {
    bool ok;
    char *end;
    const char *digits = without_underscores(r, text, &ok);
    *out = strtod(digits, &end);
    if (!ok || *end != 0 || end == digits || strchr(digits, '(') != NULL)
        return fail_number(r, true, text, false);
    bool named = strpbrk(digits, "iInN") != NULL; /* inf, nan */
    if (!named && isinf(*out))
        return fail_number(r, true, text, true);
    return true;
}

/* As few digits as read back the same; with an exponent below 10^-4 and from 10^6 on. */
static struct str float_text(struct arena *arena, double x) {
    char digits[40], text[400];
    if (isnan(x))
        return STR("NaN");
    if (isinf(x))
        return x > 0 ? STR("+Inf") : STR("-Inf");
    int precision = 0;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision, x);
    } while (strtod(digits, NULL) != x && ++precision < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 6)
        return str_format(arena, "%s", digits);
    int decimals = precision - exponent;
    snprintf(text, sizeof text, "%.*f", decimals > 0 ? decimals : 0, x);
    return str_format(arena, "%s", text);
}

static bool as_int(struct run *r, struct datum *d) {
    if (d->kind == IS_TEXT && !int_of_text(r, d->text, &d->integer))
        return false;
    if (d->kind == IS_FLOAT)
        d->integer = cut(d->number);
    d->kind = IS_INT;
    return true;
}

static bool as_float(struct run *r, struct datum *d) {
    if (d->kind == IS_TEXT && !float_of_text(r, d->text, &d->number))
        return false;
    if (d->kind == IS_INT)
        d->number = (double)d->integer;
    d->kind = IS_FLOAT;
    return true;
}

static void as_text(struct run *r, struct datum *d) {
    if (d->kind == IS_INT)
        d->text = str_format(r->arena, "%lld", (long long)d->integer);
    if (d->kind == IS_FLOAT)
        d->text = float_text(r->arena, d->number);
    d->kind = IS_TEXT;
}

/* ---- evaluation ---- */

static bool evaluate(struct run *r, const struct node *n, struct datum *out);

static double calculate_float(char operation, double a, double b) {
    return operation == '+' ? a + b : operation == '-' ? a - b : operation == '*' ? a * b : a / b;
}

/* Overflow wraps. b is not 0 where it divides. */
static int64_t calculate_int(char operation, int64_t a, int64_t b) {
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    switch (operation) {
    case '+':
        return (int64_t)(x + y);
    case '-':
        return (int64_t)(x - y);
    case '*':
        return (int64_t)(x * y);
    case '/':
        return b == -1 ? (int64_t)(0 - x) : a / b;
    default:
        return b == -1 ? 0 : a % b;
    }
}

/* *sum := *sum with the operand. */
static bool add_operand(struct run *r, const struct node *n, const struct node *operand,
                        struct datum *sum) {
    struct datum right;
    char operation = operand->operation;
    if (!evaluate(r, operand, &right))
        return false;
    if (operand->is_float) {
        if (!as_float(r, sum) || !as_float(r, &right))
            return false;
        sum->number = calculate_float(operation, sum->number, right.number);
        return true;
    }
    if (!as_int(r, sum) || !as_int(r, &right))
        return false;
    if (right.integer == 0 && (operation == '/' || operation == '%'))
        return impossible_at(r, n->at, "integer divide by zero"); /* ends the peer's process */
    sum->integer = calculate_int(operation, sum->integer, right.integer);
    return true;
}

static bool evaluate_sum(struct run *r, const struct node *n, struct datum *out) {
    if (!evaluate(r, n->first, out))
        return false;
    for (const struct node *operand = n->first->next; operand != NULL; operand = operand->next) {
        if (!add_operand(r, n, operand, out))
            return false;
    }
    return true;
}

static bool evaluate_parts(struct run *r, const struct node *n, struct datum *out) {
    struct buf text = BUF_INIT;
    bool ok = true;
    for (const struct node *part = n->first; part != NULL && ok; part = part->next) {
        struct datum d;
        ok = evaluate(r, part, &d);
        if (ok) {
            as_text(r, &d);
            buf_add_str(&text, d.text);
        }
    }
    *out = (struct datum){.kind = IS_TEXT, .text = STR("")};
    if (text.len > 0)
        out->text = str_copy(r->arena, buf_str(&text));
    buf_free(&text);
    return ok;
}

static bool evaluate_match(struct run *r, const struct node *n, struct datum *out) {
    struct datum group;
    if (!evaluate(r, n->first, &group) || !as_int(r, &group))
        return false;
    *out = (struct datum){.kind = IS_TEXT, .text = STR("")};
    if (group.integer >= 0 && (uint64_t)group.integer < r->scope->group_count)
        out->text = r->scope->groups[group.integer];
    return true;
}

static bool evaluate(struct run *r, const struct node *n, struct datum *out) {
    switch (n->kind) {
    case NODE_TEXT:
        *out = (struct datum){.kind = IS_TEXT, .text = n->text};
        return true;
    case NODE_INT:
        *out = (struct datum){.kind = IS_INT, .integer = n->integer};
        return true;
    case NODE_FLOAT:
        *out = (struct datum){.kind = IS_FLOAT, .number = n->number};
        return true;
    case NODE_NAME:
        *out = (struct datum){.kind = IS_TEXT, .text = *variable(r, n->text)};
        return true;
    case NODE_CALL:
        return evaluate_match(r, n, out);
    case NODE_SUM:
        return evaluate_sum(r, n, out);
    case NODE_PARTS:
        return evaluate_parts(r, n, out);
    case NODE_INDEX:
        break; /* no check lets it pass */
    }
    ASSERT(false);
    return false;
}

enum interpolation interpolate(struct str text, const struct interpolation_scope *scope,
                               struct arena *arena, struct str *out, struct error *e) {
    *out = text;
    if (str_find_char(text, '$') < 0 && str_find_char(text, 0) < 0)
        return INTERPOLATION_DONE;
    struct parser p = {.text = text, .at = {1, 0}, .arena = arena};
    struct run r = {.scope = scope, .arena = arena, .error = e};
    struct datum result;
    enum kind_of_value ignored;
    struct node *tree = parse_parts(&p, false);
    if (tree == NULL) {
        error_set(e, ERROR_INTERNAL, "parse error: %s", p.problem);
        return INTERPOLATION_MALFORMED;
    }
    if (!check(&r, tree, &ignored) || !evaluate(&r, tree, &result))
        return INTERPOLATION_IMPOSSIBLE;
    *out = result.text;
    return INTERPOLATION_DONE;
}

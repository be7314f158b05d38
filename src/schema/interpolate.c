/* Texts with ${…}: the tree is checked for names and types as a whole, then evaluated. */
#include "schema/interpolate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "schema/interpolate_tree.h"

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
    struct run r = {.scope = scope, .arena = arena, .error = e};
    struct datum result;
    enum kind_of_value ignored;
    const char *problem;
    struct node *tree = interpolate_parse(text, arena, &problem);
    if (tree == NULL) {
        error_set(e, ERROR_INTERNAL, "parse error: %s", problem);
        return INTERPOLATION_MALFORMED;
    }
    if (!check(&r, tree, &ignored) || !evaluate(&r, tree, &result))
        return INTERPOLATION_IMPOSSIBLE;
    *out = result.text;
    return INTERPOLATION_DONE;
}

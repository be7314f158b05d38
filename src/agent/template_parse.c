/* From the tokens of a template to its syntax tree.
 */
#include <errno.h>
#include <stdlib.h>

#include "agent/template_syntax.h"
#include "base/mem.h"

struct parser {
    struct str text;
    struct template_tokens tokens;
    size_t at;
    unsigned depth;
    template_functions *functions;
    struct str variables[TEMPLATE_MAX_VARIABLES]; /* in force, from variable_base on */
    size_t variable_base, variable_count;
    struct template_set *set;
    struct arena *arena;
    struct error *e;
};

static bool parse_error(struct parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool parse_error(struct parser *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str message = str_vformat(p->arena, format, args);
    va_end(args);
    size_t end = p->tokens.items[p->at < p->tokens.len ? p->at : p->tokens.len - 1].position;
    size_t line = 1;
    for (size_t i = 0; i < end && i < p->text.len; i++)
        line += p->text.data[i] == '\n';
    return error_set(p->e, ERROR_INTERNAL, "%zu: " STR_FMT, line, STR_ARG(message));
}

static struct template_token peek(const struct parser *p) {
    return p->tokens.items[p->at];
}

static struct template_token next(struct parser *p) {
    struct template_token t = p->tokens.items[p->at];
    if (p->at + 1 < p->tokens.len)
        p->at++;
    return t;
}

static struct template_token next_word(struct parser *p) {
    while (peek(p).type == TOKEN_SPACE)
        p->at++;
    return next(p);
}

static struct template_token peek_word(struct parser *p) {
    while (peek(p).type == TOKEN_SPACE)
        p->at++;
    return peek(p);
}

static bool unexpected(struct parser *p, struct template_token t, const char *where) {
    struct str quoted = str_quote(p->arena, t.text);
    if (t.type == TOKEN_EOF)
        quoted = STR("EOF");
    else if (t.type == TOKEN_ERROR)
        quoted = t.text;
    else if (t.type == TOKEN_KEYWORD || t.type == TOKEN_DOT)
        quoted = str_format(p->arena, "<" STR_FMT ">", STR_ARG(t.text));
    return parse_error(p, "unexpected " STR_FMT " in %s", STR_ARG(quoted), where);
}

/* ---- literals ---- */

static bool unescape(struct parser *p, struct str quoted, struct str *out) {
    struct buf b = BUF_INIT;
    bool ok = true;
    for (size_t i = 1; ok && i + 1 < quoted.len; i++) {
        char c = quoted.data[i];
        if (c != '\\') {
            buf_add_char(&b, c);
            continue;
        }
        static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
        char escape = quoted.data[++i];
        const char *simple = escape != '\0' ? strchr(from, escape) : NULL;
        unsigned digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
        bool octal = escape >= '0' && escape <= '7';
        char number[9] = "";
        ok = simple != NULL || digits > 0 || octal;
        if (simple != NULL) {
            ok = escape != (quoted.data[0] == '"' ? '\'' : '"');
            buf_add_char(&b, to[simple - from]);
            continue;
        }
        size_t len = octal ? 3 : digits, start = octal ? i : i + 1;
        for (size_t j = 0; ok && j < len; j++) {
            ok = start + j + 1 < quoted.len &&
                 strchr(octal ? "01234567" : "0123456789abcdefABCDEF", quoted.data[start + j]) &&
                 quoted.data[start + j] != '\0';
            number[j] = ok ? quoted.data[start + j] : '\0';
        }
        unsigned long rune = strtoul(number, NULL, octal ? 8 : 16);
        i = start + len - 1;
        if (octal || digits == 2) {
            ok = ok && rune <= 0xFF;
            buf_add_char(&b, (char)rune);
        } else {
            ok = ok && rune <= 0x10FFFF;
            template_add_rune(&b, rune >= 0xD800 && rune < 0xE000 ? 0xFFFD : (uint32_t)rune);
        }
    }
    *out = str_copy(p->arena, b.len > 0 ? buf_str(&b) : STR(""));
    buf_free(&b);
    return ok;
}

static bool parse_string(struct parser *p, struct template_token t, struct template_value *out) {
    out->kind = TEMPLATE_STRING;
    if (t.type == TOKEN_RAW) {
        out->string = str_sub(t.text, 1, t.text.len - 2);
        return true;
    }
    return unescape(p, t.text, &out->string) || parse_error(p, "invalid syntax");
}

static bool parse_char(struct parser *p, struct template_token t, struct template_value *out) {
    struct str text;
    uint32_t rune = 0;
    out->kind = TEMPLATE_INT;
    if (!unescape(p, t.text, &text) || text.len == 0)
        return parse_error(p, "invalid syntax");
    if (utf8_decode(text.data, text.len, &rune) != text.len)
        return parse_error(p, "malformed character constant: " STR_FMT, STR_ARG(t.text));
    out->integer = rune;
    return true;
}

static bool parse_number(struct parser *p, struct template_token t, struct template_value *out) {
    char digits[128];
    size_t len = 0;
    for (size_t i = 0; i < t.text.len && len + 1 < sizeof(digits); i++)
        if (t.text.data[i] != '_')
            digits[len++] = t.text.data[i];
    digits[len] = '\0';
    char *end;
    char *start = digits + (digits[0] == '+' || digits[0] == '-');
    bool based = start[0] == '0' &&
                 (start[1] == 'b' || start[1] == 'o' || start[1] == 'O' || start[1] == 'B');
    errno = 0;
    int base = !based ? 0 : start[1] == 'b' || start[1] == 'B' ? 2 : 8;
    long long n = strtoll(based ? start + 2 : digits, &end, base);
    out->kind = TEMPLATE_INT;
    out->integer = based && digits[0] == '-' ? -n : n;
    if (end != digits && *end == '\0' && *start != '\0' && errno == 0)
        return true;
    out->kind = TEMPLATE_FLOAT;
    out->number = strtod(digits, &end);
    if (end != digits && *end == '\0' && strpbrk(digits, ".eE") != NULL)
        return true;
    struct str quoted = str_quote(p->arena, t.text);
    return parse_error(p, "%s: " STR_FMT,
                       errno == ERANGE ? "integer overflow" : "illegal number syntax",
                       STR_ARG(quoted));
}

/* ---- operands ---- */

static bool parse_pipeline(struct parser *p, const char *where, struct template_pipe *pipe);

static bool known_variable(const struct parser *p, struct str name) {
    if (str_is(name, "$"))
        return true;
    for (size_t i = p->variable_base; i < p->variable_count; i++)
        if (str_eq(p->variables[i], name))
            return true;
    return false;
}

static bool parse_literal(struct parser *p, struct template_token t, struct template_node *out) {
    out->type = NODE_VALUE;
    switch (t.type) {
    case TOKEN_BOOL:
        out->value.kind = TEMPLATE_BOOL;
        out->value.boolean = str_is(t.text, "true");
        return true;
    case TOKEN_NIL:
        return true;
    case TOKEN_NUMBER:
        return parse_number(p, t, &out->value);
    case TOKEN_CHAR:
        return parse_char(p, t, &out->value);
    default:
        return parse_string(p, t, &out->value);
    }
}

static bool parse_paren(struct parser *p, struct template_node *out) {
    if (p->depth >= TEMPLATE_MAX_DEPTH)
        return parse_error(p, "nested too deeply");
    out->type = NODE_PIPE;
    out->pipe = ARENA_NEW(p->arena, struct template_pipe);
    p->depth++;
    bool ok = parse_pipeline(p, "parenthesized pipeline", out->pipe);
    p->depth--;
    if (!ok)
        return false;
    struct template_token end = next(p);
    return end.type == TOKEN_RPAREN ||
           (end.type == TOKEN_ERROR ? parse_error(p, STR_FMT, STR_ARG(end.text))
                                    : parse_error(p, "unclosed right paren: unexpected " STR_FMT,
                                                  STR_ARG(str_quote(p->arena, end.text))));
}

/* *found: false when no operand starts here. */
static bool parse_term(struct parser *p, struct template_node *out, bool *found) {
    struct template_token t = peek_word(p);
    *found = true;
    out->position = t.position;
    out->text = t.type == TOKEN_FIELD ? STR("") : t.text;
    switch (t.type) {
    case TOKEN_ERROR:
        return parse_error(p, STR_FMT, STR_ARG(t.text));
    case TOKEN_IDENTIFIER: {
        next(p);
        out->type = NODE_FUNCTION;
        out->function = p->functions != NULL ? p->functions(t.text) : NULL;
        if (out->function == NULL)
            out->function = template_builtin(t.text);
        struct str quoted = str_quote(p->arena, t.text);
        return out->function != NULL ||
               parse_error(p, "function " STR_FMT " not defined", STR_ARG(quoted));
    }
    case TOKEN_DOT:
        next(p);
        out->type = NODE_DOT;
        return true;
    case TOKEN_VARIABLE: {
        next(p);
        out->type = NODE_VARIABLE;
        struct str quoted = str_quote(p->arena, t.text);
        return known_variable(p, t.text) ||
               parse_error(p, "undefined variable " STR_FMT, STR_ARG(quoted));
    }
    case TOKEN_FIELD: /* taken as one of the dot's */
        out->type = NODE_DOT;
        return true;
    case TOKEN_BOOL:
    case TOKEN_NIL:
    case TOKEN_NUMBER:
    case TOKEN_CHAR:
    case TOKEN_STRING:
    case TOKEN_RAW:
        return parse_literal(p, next(p), out);
    case TOKEN_LPAREN:
        next(p);
        return parse_paren(p, out);
    default:
        *found = false;
        return true;
    }
}

static bool parse_operand(struct parser *p, struct template_node *out, bool *found) {
    *out = (struct template_node){0};
    if (!parse_term(p, out, found))
        return false;
    if (!*found)
        return true;
    struct str fields[16];
    while (peek(p).type == TOKEN_FIELD) {
        struct template_token t = next(p);
        if (out->type == NODE_VALUE) {
            struct str text = str_sub(p->text, out->position, t.position - out->position);
            return parse_error(p, "unexpected . after term " STR_FMT,
                               STR_ARG(str_quote(p->arena, text)));
        }
        if (out->field_count == COUNT_OF(fields))
            return parse_error(p, "too many fields");
        fields[out->field_count++] = str_sub(t.text, 1, SIZE_MAX);
        /* Where the peer tells of them. */
        if (out->field_count == 1 ? out->type == NODE_VARIABLE
                                  : out->field_count == 2 && out->type == NODE_DOT)
            out->position = t.position;
    }
    out->fields = arena_copy(p->arena, fields, out->field_count * sizeof(*fields));
    return true;
}

/* ---- commands ---- */

static bool parse_command(struct parser *p, struct template_command *out) {
    struct template_node args[TEMPLATE_MAX_ARGS];
    size_t count = 0;
    for (bool more = true; more;) {
        bool found;
        if (count == COUNT_OF(args))
            return parse_error(p, "too many arguments");
        if (!parse_operand(p, &args[count], &found))
            return false;
        count += found;
        struct template_token t = peek(p);
        switch (t.type) {
        case TOKEN_SPACE:
            next(p);
            break;
        case TOKEN_ERROR:
            return parse_error(p, STR_FMT, STR_ARG(t.text));
        case TOKEN_PIPE:
            next(p);
            more = false;
            break;
        case TOKEN_RIGHT:
        case TOKEN_RPAREN:
            more = false;
            break;
        default:
            return unexpected(p, t, "operand");
        }
    }
    if (count == 0)
        return parse_error(p, "empty command");
    out->args = arena_copy(p->arena, args, count * sizeof(*args));
    out->count = count;
    return true;
}

/* "$x :=", "$x =", "$i, $x :=" */
static bool parse_declaration(struct parser *p, const char *where, struct template_pipe *pipe) {
    bool range = strcmp(where, "range") == 0;
    size_t start = p->at;
    struct str names[2];
    size_t count = 0;
    while (count < COUNT_OF(names) && peek_word(p).type == TOKEN_VARIABLE) {
        names[count++] = next(p).text;
        struct template_token t = peek_word(p);
        if (t.type == TOKEN_DECLARE || t.type == TOKEN_ASSIGN) {
            next(p);
            pipe->assign = t.type == TOKEN_ASSIGN;
            pipe->variable_count = count;
            memcpy(pipe->variables, names, sizeof(names));
            if (p->variable_count + count > COUNT_OF(p->variables))
                return parse_error(p, "too many variables");
            for (size_t i = 0; i < count; i++)
                p->variables[p->variable_count++] = names[i];
            return true;
        }
        if (!str_is(t.text, ",") || t.type != TOKEN_SIGN)
            break;
        if (!range || count == COUNT_OF(names))
            return parse_error(p, "too many declarations in %s", where);
        next(p);
    }
    p->at = start;
    return true;
}

static bool check_pipeline(struct parser *p, const struct template_pipe *pipe, const char *where) {
    if (pipe->count == 0)
        return parse_error(p, "missing value for %s", where);
    for (size_t i = 1; i < pipe->count; i++) {
        const struct template_node *first = &pipe->commands[i].args[0];
        if (first->type == NODE_VALUE || (first->type == NODE_DOT && first->field_count == 0))
            return parse_error(p, "non executable command in pipeline stage %zu", i + 1);
    }
    return true;
}

static bool parse_pipeline(struct parser *p, const char *where, struct template_pipe *pipe) {
    struct template_command commands[16];
    if (!parse_declaration(p, where, pipe))
        return false;
    for (;;) {
        struct template_token t = peek_word(p);
        switch (t.type) {
        case TOKEN_RIGHT:
        case TOKEN_RPAREN:
            pipe->commands = arena_copy(p->arena, commands, pipe->count * sizeof(*commands));
            if (t.type == TOKEN_RIGHT && check_pipeline(p, pipe, where)) {
                if (strcmp(where, "parenthesized pipeline") != 0)
                    next(p);
                return true;
            }
            return t.type == TOKEN_RPAREN && check_pipeline(p, pipe, where);
        case TOKEN_BOOL:
        case TOKEN_CHAR:
        case TOKEN_DOT:
        case TOKEN_FIELD:
        case TOKEN_IDENTIFIER:
        case TOKEN_NUMBER:
        case TOKEN_NIL:
        case TOKEN_RAW:
        case TOKEN_STRING:
        case TOKEN_VARIABLE:
        case TOKEN_LPAREN:
            if (pipe->count == COUNT_OF(commands))
                return parse_error(p, "too many commands in a pipeline");
            if (!parse_command(p, &commands[pipe->count]))
                return false;
            pipe->count++;
            break;
        default:
            return unexpected(p, t, where);
        }
    }
}

/* ---- blocks ---- */

enum ending { END_EOF, END_END, END_ELSE };

static bool parse_body(struct parser *p, struct template_body *out, enum ending *ending);

static void body_add(struct parser *p, struct template_body *body, struct template_node node) {
    if (body->len == body->cap) {
        size_t cap = body->cap ? body->cap * 2 : 4;
        struct template_node *nodes = ARENA_ARRAY(p->arena, struct template_node, cap);
        if (body->len > 0)
            memcpy(nodes, body->nodes, body->len * sizeof(*nodes));
        body->nodes = nodes;
        body->cap = cap;
    }
    body->nodes[body->len++] = node;
}

static bool parse_block(struct parser *p, enum template_node_type type, struct template_node *out);

/* Behind {{else: either the braces, or of an if another if, which makes the end its own. */
static bool parse_else(struct parser *p, struct template_node *out) {
    struct template_token t = next_word(p);
    if (out->type == NODE_IF && t.type == TOKEN_KEYWORD && str_is(t.text, "if")) {
        struct template_node nested = {.position = t.position};
        if (!parse_block(p, NODE_IF, &nested))
            return false;
        body_add(p, &out->otherwise, nested);
        return true;
    }
    if (t.type != TOKEN_RIGHT)
        return unexpected(p, t, str_is(t.text, "if") ? "input" : "else");
    enum ending ending;
    if (!parse_body(p, &out->otherwise, &ending))
        return false;
    return ending == END_END || (ending == END_ELSE ? parse_error(p, "expected end; found {{else}}")
                                                    : parse_error(p, "unexpected EOF"));
}

/* Behind {{if, {{range or {{with. */
static bool parse_block(struct parser *p, enum template_node_type type, struct template_node *out) {
    if (p->depth >= TEMPLATE_MAX_DEPTH)
        return parse_error(p, "nested too deeply");
    size_t variables = p->variable_count;
    out->type = type;
    out->pipe = ARENA_NEW(p->arena, struct template_pipe);
    const char *where = type == NODE_IF ? "if" : type == NODE_RANGE ? "range" : "with";
    enum ending ending = END_EOF;
    p->depth++;
    bool ok = parse_pipeline(p, where, out->pipe) && parse_body(p, &out->body, &ending);
    if (ok && ending == END_EOF)
        ok = parse_error(p, "unexpected EOF");
    if (ok && ending == END_ELSE)
        ok = parse_else(p, out);
    p->depth--;
    p->variable_count = variables;
    return ok;
}

/* ---- other templates ---- */

const struct template_body *template_named(const struct template_set *set, struct str name) {
    for (size_t i = 0; i < set->len; i++)
        if (str_eq(set->items[i].name, name))
            return &set->items[i].body;
    return NULL;
}

static bool is_empty(const struct template_body *body) {
    for (size_t i = 0; i < body->len; i++)
        if (body->nodes[i].type != NODE_TEXT || str_trim(body->nodes[i].text).len > 0)
            return false;
    return true;
}

/* An empty one gives way to another. */
static bool add_template(struct parser *p, struct str name, const struct template_body *body) {
    struct template_set *set = p->set;
    size_t i = 0;
    while (i < set->len && !str_eq(set->items[i].name, name))
        i++;
    if (i == set->len) {
        if (set->len == COUNT_OF(set->items))
            return parse_error(p, "too many templates");
        set->items[set->len++].name = name;
    } else if (!is_empty(&set->items[i].body)) {
        struct str quoted = str_quote(p->arena, name);
        return is_empty(body) ||
               parse_error(p, "template: multiple definition of template " STR_FMT,
                           STR_ARG(quoted));
    }
    set->items[i].body = *body;
    return true;
}

static bool parse_name(struct parser *p, const char *where, struct template_token *token,
                       struct str *out) {
    struct template_value value = {0};
    *token = next_word(p);
    if (token->type != TOKEN_STRING && token->type != TOKEN_RAW)
        return unexpected(p, *token, where);
    if (!parse_string(p, *token, &value))
        return false;
    *out = value.string;
    return true;
}

/* The body of a definition, up to its end; it knows no variables but its own. */
static bool parse_definition(struct parser *p, const char *where, struct str name) {
    struct template_body body = {0};
    enum ending ending = END_EOF;
    size_t base = p->variable_base;
    if (p->depth >= TEMPLATE_MAX_DEPTH)
        return parse_error(p, "nested too deeply");
    p->variable_base = p->variable_count;
    p->depth++;
    bool ok = parse_body(p, &body, &ending);
    p->depth--;
    p->variable_base = base;
    if (!ok)
        return false;
    if (ending != END_END)
        return ending == END_EOF ? parse_error(p, "unexpected EOF")
                                 : parse_error(p, "unexpected {{else}} in %s", where);
    return add_template(p, name, &body);
}

/* Behind {{define. */
static bool parse_define(struct parser *p) {
    struct template_token t;
    struct str name;
    if (!parse_name(p, "define clause", &t, &name))
        return false;
    t = next_word(p);
    if (t.type != TOKEN_RIGHT)
        return unexpected(p, t, "define clause");
    return parse_definition(p, "define clause", name);
}

/* Behind {{template or {{block. */
static bool parse_template(struct parser *p, bool block, struct template_node *out) {
    const char *where = block ? "block clause" : "template clause";
    struct template_token t;
    out->type = NODE_TEMPLATE;
    if (!parse_name(p, where, &t, &out->text))
        return false;
    out->position = t.position;
    if (!block && peek_word(p).type == TOKEN_RIGHT) {
        next(p);
        return true;
    }
    out->pipe = ARENA_NEW(p->arena, struct template_pipe);
    return parse_pipeline(p, where, out->pipe) && (!block || parse_definition(p, where, out->text));
}

/* Behind the opening braces. *ending: END_EOF when it was an ordinary action. */
static bool parse_action(struct parser *p, struct template_node *out, enum ending *ending) {
    struct template_token t = peek_word(p);
    *ending = END_EOF;
    out->position = t.position;
    if (t.type != TOKEN_KEYWORD) {
        out->type = NODE_ACTION;
        out->pipe = ARENA_NEW(p->arena, struct template_pipe);
        return parse_pipeline(p, "command", out->pipe);
    }
    next(p);
    if (str_is(t.text, "if"))
        return parse_block(p, NODE_IF, out);
    if (str_is(t.text, "range"))
        return parse_block(p, NODE_RANGE, out);
    if (str_is(t.text, "with"))
        return parse_block(p, NODE_WITH, out);
    if (str_is(t.text, "else")) {
        *ending = END_ELSE;
        return true;
    }
    if (str_is(t.text, "template") || str_is(t.text, "block"))
        return parse_template(p, str_is(t.text, "block"), out);
    if (!str_is(t.text, "end"))
        return unexpected(p, t, "command");
    *ending = END_END;
    t = next_word(p);
    return t.type == TOKEN_RIGHT || unexpected(p, t, "end");
}

/* Definitions stand outside of all others. */
static bool at_definition(struct parser *p) {
    struct template_token t = peek_word(p);
    if (p->depth > 0 || t.type != TOKEN_KEYWORD || !str_is(t.text, "define"))
        return false;
    next(p);
    return true;
}

static bool parse_body(struct parser *p, struct template_body *out, enum ending *ending) {
    size_t variables = p->variable_count;
    bool ok = true;
    for (*ending = END_EOF; ok;) {
        struct template_token t = next(p);
        struct template_node node = {.position = t.position};
        if (t.type == TOKEN_EOF)
            break;
        if (t.type == TOKEN_TEXT) {
            node.type = NODE_TEXT;
            node.text = t.text;
            body_add(p, out, node);
        } else if (t.type == TOKEN_LEFT && at_definition(p)) {
            ok = parse_define(p);
        } else if (t.type == TOKEN_LEFT) {
            ok = parse_action(p, &node, ending);
            if (ok && *ending != END_EOF)
                break;
            if (ok)
                body_add(p, out, node);
        } else {
            ok = unexpected(p, t, "input");
        }
    }
    p->variable_count = variables;
    return ok;
}

bool template_parse(struct str text, const char *name, template_functions *functions,
                    struct template_set *out, struct arena *arena, struct error *e) {
    struct parser *p = ARENA_NEW(arena, struct parser);
    struct template_body body = {0};
    enum ending ending;
    *p = (struct parser){.text = text, .functions = functions, .set = out, .arena = arena, .e = e};
    out->len = 0;
    error_clear(e);
    template_scan(text, &p->tokens, arena);
    if (!parse_body(p, &body, &ending))
        return false;
    if (ending != END_EOF)
        return parse_error(p, "unexpected {{%s}}", ending == END_END ? "end" : "else");
    return add_template(p, str_from(name), &body);
}

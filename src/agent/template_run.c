/* Templates carried out: nodes, variables, calls, and the functions that every template has.
 */
#include <math.h>

#include "agent/template_syntax.h"
#include "base/mem.h"

struct runner {
    struct str text; /* of the template */
    struct str name; /* of the one that is carried out */
    const struct template_set *set;
    unsigned nested; /* bodies, within each other */
    const struct machine *machine;
    struct {
        struct str name;
        struct template_value value;
    } variables[TEMPLATE_MAX_VARIABLES];
    size_t variable_base, variable_count; /* in force: from the base on */
    size_t steps, made;
    const struct template_node *last; /* evaluated: where the peer tells of what came of it */
    struct template_value root;
    struct buf out;
    struct arena *arena;
    struct error *e;
};

/* ---- errors ---- */

static struct str node_text(const struct template_node *n, struct arena *arena);

static struct str command_text(const struct template_command *c, struct arena *arena) {
    struct str out = STR("");
    for (size_t i = 0; i < c->count; i++) {
        struct str arg = node_text(&c->args[i], arena);
        out = str_format(arena, STR_FMT "%s" STR_FMT, STR_ARG(out), i ? " " : "", STR_ARG(arg));
    }
    return out;
}

static struct str node_text(const struct template_node *n, struct arena *arena) {
    struct str out = n->text;
    if (n->type == NODE_PIPE) {
        out = STR("(");
        for (size_t i = 0; i < n->pipe->count; i++) {
            struct str part = command_text(&n->pipe->commands[i], arena);
            out = str_format(arena, STR_FMT "%s" STR_FMT, STR_ARG(out), i ? " | " : "",
                             STR_ARG(part));
        }
        out = str_format(arena, STR_FMT ")", STR_ARG(out));
    }
    for (size_t i = 0; i < n->field_count; i++)
        out = str_format(arena, STR_FMT "." STR_FMT, STR_ARG(out), STR_ARG(n->fields[i]));
    return out;
}

static bool run_error(struct runner *r, size_t position, struct str node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool run_error(struct runner *r, size_t position, struct str node, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str message = str_vformat(r->arena, format, args);
    va_end(args);
    size_t line = 1, start = 0;
    for (size_t i = 0; i < position && i < r->text.len; i++)
        if (r->text.data[i] == '\n') {
            line++;
            start = i + 1;
        }
    struct str name = str_quote(r->arena, r->name);
    return error_set(r->e, ERROR_INTERNAL,
                     "%zu:%zu: executing " STR_FMT " at <" STR_FMT ">: " STR_FMT, line,
                     position - start, STR_ARG(name), STR_ARG(node), STR_ARG(message));
}

static bool node_error(struct runner *r, const struct template_node *n, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool node_error(struct runner *r, const struct template_node *n, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str message = str_vformat(r->arena, format, args);
    va_end(args);
    return run_error(r, n->position, node_text(n, r->arena), STR_FMT, STR_ARG(message));
}

static bool take_step(struct runner *r, const struct template_node *n) {
    return r->steps++ < TEMPLATE_MAX_STEPS || node_error(r, n, "too much work");
}

/* ---- operands ---- */

static bool run_pipe(struct runner *r, const struct template_pipe *pipe, struct template_value dot,
                     struct template_value *out);

static bool record_field(const struct template_record *record, struct str name,
                         struct template_value *out) {
    for (size_t i = 0; i < record->count; i++) {
        const struct template_field *f = &record->fields[i];
        if (!str_is(name, f->name))
            continue;
        *out = f->is_bool ? (struct template_value){.kind = TEMPLATE_BOOL, .boolean = f->boolean}
                          : (struct template_value){.kind = TEMPLATE_STRING, .string = f->text};
        return true;
    }
    return false;
}

static bool get_fields(struct runner *r, const struct template_node *owner,
                       struct template_value from, struct template_value *out) {
    const struct template_node *n = owner;
    *out = from;
    if (n->type == NODE_PIPE || n->type == NODE_FUNCTION)
        n = r->last;
    const struct template_node *chain = owner;
    for (size_t i = 0; i < chain->field_count; i++) {
        struct str name = chain->fields[i];
        if (out->kind == TEMPLATE_NIL)
            return node_error(r, n, "nil data; no entry for key \"" STR_FMT "\"", STR_ARG(name));
        struct template_value value = {0};
        bool has = false;
        if (out->kind == TEMPLATE_ADDRESS) {
            has = template_address_field(out->addresses, name, &value, r->arena);
        } else if (out->kind == TEMPLATE_RECORD) {
            has = record_field(out->record, name, &value);
        } else if (out->kind == TEMPLATE_LIST && str_is(name, "Len")) {
            value = (struct template_value){.kind = TEMPLATE_INT, .integer = (int64_t)out->len};
            has = true;
        }
        if (!has)
            return node_error(r, n, "can't evaluate field " STR_FMT " in type %s", STR_ARG(name),
                              template_type_name(out));
        *out = value;
    }
    return true;
}

static struct template_value *find_variable(struct runner *r, struct str name) {
    for (size_t i = r->variable_count; i-- > r->variable_base;)
        if (str_eq(r->variables[i].name, name))
            return &r->variables[i].value;
    return str_is(name, "$") ? &r->root : NULL;
}

static bool call_function(struct runner *r, const struct template_command *c,
                          struct template_value dot, const struct template_value *last,
                          struct template_value *out);

/* An operand that is no function with arguments. */
static bool run_operand(struct runner *r, const struct template_node *n, struct template_value dot,
                        struct template_value *out) {
    if (!take_step(r, n))
        return false;
    struct template_value value = n->value;
    switch (n->type) {
    case NODE_DOT:
        value = dot;
        break;
    case NODE_VARIABLE: {
        const struct template_value *found = find_variable(r, n->text);
        if (found == NULL)
            return node_error(r, n, "undefined variable: " STR_FMT, STR_ARG(n->text));
        value = *found;
        break;
    }
    case NODE_PIPE:
        if (!run_pipe(r, n->pipe, dot, &value))
            return false;
        break;
    case NODE_FUNCTION: {
        struct template_command alone = {(struct template_node *)(uintptr_t)n, 1};
        if (!call_function(r, &alone, dot, NULL, &value))
            return false;
        break;
    }
    default:
        break;
    }
    if (n->type != NODE_PIPE)
        r->last = n;
    return get_fields(r, n, value, out);
}

/* ---- calls ---- */

static const char *param_type(char param) {
    return param == 's'   ? "string"
           : param == 'u' ? "unsigned integer"
           : param == 'i' ? "integer"
                          : "sockaddr.IfAddrs";
}

static bool fits(char param, const struct template_value *v) {
    switch (param) {
    case 's':
        return v->kind == TEMPLATE_STRING;
    case 'u':
        return v->kind == TEMPLATE_INT && v->integer >= 0;
    case 'i':
        return v->kind == TEMPLATE_INT;
    case 'l':
        return v->kind == TEMPLATE_LIST;
    default:
        return true;
    }
}

static char param_of(const struct template_function *f, size_t i) {
    size_t len = strlen(f->params);
    bool open = len > 0 && f->params[len - 1] == '*';
    if (open && i + 1 >= len)
        return f->params[len - 2];
    return i < len ? f->params[i] : 'a';
}

static bool check_count(struct runner *r, const struct template_node *n, size_t given) {
    const struct template_function *f = n->function;
    size_t len = strlen(f->params);
    bool open = len > 0 && f->params[len - 1] == '*';
    size_t least = open ? len - 2 : len;
    if (open && given < least)
        return node_error(r, n, "wrong number of args for %s: want at least %zu got %zu", f->name,
                          least, given);
    return given >= least && (open || given == least)
               ? true
               : node_error(r, n, "wrong number of args for %s: want %zu got %zu", f->name, least,
                            given);
}

static bool run_argument(struct runner *r, const struct template_node *n, char param,
                         struct template_value dot, struct template_value *out) {
    if (!run_operand(r, n, dot, out))
        return false;
    if (fits(param, out))
        return true;
    if (n->type == NODE_VALUE)
        return param == 'l' ? node_error(r, n, "can't handle " STR_FMT " for arg of type %s",
                                         STR_ARG(n->text), param_type(param))
                            : node_error(r, n, "expected %s; found " STR_FMT, param_type(param),
                                         STR_ARG(n->text));
    return node_error(r, r->last, "wrong type for value; expected %s; got %s",
                      param == 'u'   ? "uint"
                      : param == 'i' ? "int"
                                     : param_type(param),
                      template_type_name(out));
}

static bool call_function(struct runner *r, const struct template_command *c,
                          struct template_value dot, const struct template_value *last,
                          struct template_value *out) {
    const struct template_node *n = &c->args[0];
    const struct template_function *f = n->function;
    size_t given = c->count - 1, count = given + (last != NULL);
    struct template_value args[TEMPLATE_MAX_ARGS + 1];
    if (!check_count(r, n, count))
        return false;
    for (size_t i = 0; i < given; i++)
        if (!run_argument(r, &c->args[i + 1], param_of(f, i), dot, &args[i]))
            return false;
    if (last != NULL) {
        char param = param_of(f, given);
        if (!fits(param, last))
            return node_error(r, r->last, "wrong type for value; expected %s; got %s",
                              param == 'u'   ? "uint"
                              : param == 'i' ? "int"
                                             : param_type(param),
                              template_type_name(last));
        args[given] = *last;
    }
    struct error own = ERROR_IN(r->arena);
    struct template_call call = {r->machine, args, count, r->arena, &own};
    *out = (struct template_value){0};
    bool ok = f->call(&call, out);
    r->made += out->string.len + out->len * sizeof(struct machine_address);
    if (r->made > TEMPLATE_MAX_MADE)
        return node_error(r, n, "too much work");
    if (ok)
        return true;
    return run_error(r, n->position, command_text(c, r->arena), "error calling %s: " STR_FMT,
                     f->name, STR_ARG(own.text));
}

static bool run_command(struct runner *r, const struct template_command *c,
                        struct template_value dot, const struct template_value *last,
                        struct template_value *out) {
    const struct template_node *first = &c->args[0];
    if (first->type == NODE_FUNCTION && first->field_count == 0) {
        r->last = first;
        return take_step(r, first) && call_function(r, c, dot, last, out);
    }
    if (first->type == NODE_VALUE && first->value.kind == TEMPLATE_NIL)
        return node_error(r, first, "nil is not a command");
    if (c->count > 1 || last != NULL) {
        struct str text = node_text(first, r->arena);
        bool paren = first->type == NODE_PIPE && first->field_count == 0;
        return run_error(r, first->position, paren ? command_text(c, r->arena) : text,
                         "can't give argument to non-function " STR_FMT,
                         STR_ARG(paren ? str_sub(text, 1, text.len - 2) : text));
    }
    return run_operand(r, first, dot, out);
}

static bool run_pipe(struct runner *r, const struct template_pipe *pipe, struct template_value dot,
                     struct template_value *out) {
    struct template_value last = {0};
    for (size_t i = 0; i < pipe->count; i++) {
        struct template_value value = {0};
        if (!run_command(r, &pipe->commands[i], dot, i > 0 ? &last : NULL, &value))
            return false;
        last = value;
    }
    *out = last;
    return true;
}

/* ---- variables ---- */

static bool declare(struct runner *r, const struct template_node *n, struct str name,
                    const struct template_value *value) {
    if (r->variable_count == COUNT_OF(r->variables))
        return node_error(r, n, "too many variables");
    r->variables[r->variable_count].name = name;
    r->variables[r->variable_count++].value = *value;
    return true;
}

static bool store(struct runner *r, const struct template_node *n,
                  const struct template_value *value) {
    const struct template_pipe *pipe = n->pipe;
    if (pipe->variable_count == 0)
        return true;
    struct str name = pipe->variables[pipe->variable_count - 1];
    if (!pipe->assign)
        return declare(r, n, name, value);
    struct template_value *old = find_variable(r, name);
    if (old == NULL) {
        const struct template_command *lastly = &pipe->commands[pipe->count - 1];
        return node_error(r, &lastly->args[lastly->count - 1], "undefined variable: " STR_FMT,
                          STR_ARG(name));
    }
    *old = *value;
    return true;
}

/* ---- nodes ---- */

static bool is_true(const struct template_value *v) {
    switch (v->kind) {
    case TEMPLATE_NIL:
        return false;
    case TEMPLATE_BOOL:
        return v->boolean;
    case TEMPLATE_INT:
        return v->integer != 0;
    case TEMPLATE_FLOAT:
        return v->number != 0;
    case TEMPLATE_STRING:
        return v->string.len > 0;
    case TEMPLATE_LIST:
        return v->len > 0;
    default:
        return true;
    }
}

static bool run_body(struct runner *r, const struct template_body *body, struct template_value dot);

static bool run_range(struct runner *r, const struct template_node *n, struct template_value dot) {
    struct template_value list;
    if (!run_pipe(r, n->pipe, dot, &list))
        return false;
    if (list.kind == TEMPLATE_NIL || (list.kind == TEMPLATE_LIST && list.len == 0))
        return run_body(r, &n->otherwise, dot);
    if (list.kind != TEMPLATE_LIST) {
        struct buf text = BUF_INIT;
        template_print(&text, &list);
        const struct template_command *last = &n->pipe->commands[n->pipe->count - 1];
        node_error(r, &last->args[0], "range can't iterate over " STR_FMT, STR_ARG(buf_str(&text)));
        buf_free(&text);
        return false;
    }
    const struct template_pipe *pipe = n->pipe;
    for (size_t i = 0; i < list.len; i++) {
        size_t variables = r->variable_count;
        struct template_value item = {.kind = TEMPLATE_ADDRESS, .addresses = &list.addresses[i]};
        struct template_value at = {.kind = TEMPLATE_INT, .integer = (int64_t)i};
        if (pipe->variable_count == 2 && !declare(r, n, pipe->variables[0], &at))
            return false;
        if (pipe->variable_count > 0 &&
            !declare(r, n, pipe->variables[pipe->variable_count - 1], &item))
            return false;
        if (!run_body(r, &n->body, item))
            return false;
        r->variable_count = variables;
    }
    return true;
}

static bool template_error(struct runner *r, const struct template_node *n, struct str what) {
    struct str quoted = str_quote(r->arena, n->text), pipe = STR("");
    for (size_t i = 0; n->pipe != NULL && i < n->pipe->count; i++) {
        struct str command = command_text(&n->pipe->commands[i], r->arena);
        pipe = str_format(r->arena, STR_FMT "%s" STR_FMT, STR_ARG(pipe), i > 0 ? " | " : " ",
                          STR_ARG(command));
    }
    struct str node =
        str_format(r->arena, "{{template " STR_FMT STR_FMT "}}", STR_ARG(quoted), STR_ARG(pipe));
    return run_error(r, n->position, node, STR_FMT, STR_ARG(what));
}

/* Another template, for which the dot is all there is. */
static bool run_template(struct runner *r, const struct template_node *n,
                         struct template_value dot) {
    const struct template_body *body = template_named(r->set, n->text);
    struct template_value given = {0}, root = r->root;
    struct str name = r->name, quoted = str_quote(r->arena, n->text);
    size_t base = r->variable_base, count = r->variable_count;
    if (body == NULL)
        return template_error(
            r, n, str_format(r->arena, "template " STR_FMT " not defined", STR_ARG(quoted)));
    if (r->nested >= TEMPLATE_MAX_NESTED) /* the peer's number is larger */
        return template_error(r, n, STR("exceeded maximum template depth (100000)"));
    if (n->pipe != NULL && (!run_pipe(r, n->pipe, dot, &given) || !store(r, n, &given)))
        return false;
    r->name = n->text;
    r->root = given;
    r->variable_base = r->variable_count;
    bool ok = run_body(r, body, given);
    if (!ok)
        return false;
    r->name = name;
    r->root = root;
    r->variable_base = base;
    r->variable_count = count;
    return true;
}

static bool run_node(struct runner *r, const struct template_node *n, struct template_value dot) {
    struct template_value value;
    size_t variables = r->variable_count;
    if (!take_step(r, n))
        return false;
    switch (n->type) {
    case NODE_TEXT:
        buf_add_str(&r->out, n->text);
        return true;
    case NODE_RANGE:
        return run_range(r, n, dot);
    case NODE_TEMPLATE:
        return run_template(r, n, dot);
    case NODE_IF:
    case NODE_WITH: {
        if (!run_pipe(r, n->pipe, dot, &value) || !store(r, n, &value))
            return false;
        bool yes = is_true(&value);
        bool ok =
            run_body(r, yes ? &n->body : &n->otherwise, yes && n->type == NODE_WITH ? value : dot);
        r->variable_count = variables;
        return ok;
    }
    default:
        if (!run_pipe(r, n->pipe, dot, &value) || !store(r, n, &value))
            return false;
        if (n->pipe->variable_count == 0)
            template_print(&r->out, &value);
        return true;
    }
}

static bool run_body(struct runner *r, const struct template_body *body,
                     struct template_value dot) {
    size_t variables = r->variable_count;
    r->nested++;
    for (size_t i = 0; i < body->len; i++) {
        if (!run_node(r, &body->nodes[i], dot))
            return false;
        if (r->out.len > TEMPLATE_MAX_OUTPUT)
            return node_error(r, &body->nodes[i], "the result is too long");
    }
    r->nested--;
    r->variable_count = variables;
    return true;
}

/* ---- entry ---- */

static bool run(const struct runner *start, struct str *out) {
    struct runner *r = arena_copy(start->arena, start, sizeof *start);
    bool ok = run_body(r, template_named(r->set, r->name), r->root);
    *out = str_copy(r->arena, r->out.len > 0 ? buf_str(&r->out) : STR(""));
    buf_free(&r->out);
    return ok;
}

bool template_expand(struct str text, const struct machine *machine, struct str *out,
                     struct arena *arena, struct error *e) {
    static const char name[] = "sockaddr.Parse";
    struct str quoted = str_quote(arena, text);
    if (text.len > TEMPLATE_MAX_BYTES)
        return error_set(e, ERROR_INTERNAL, "unable to parse template: it is too long");
    if (str_find(text, STR("{{"), 0) < 0) {
        *out = text;
        return true;
    }
    struct template_set *set = ARENA_NEW(arena, struct template_set);
    if (!template_parse(text, name, template_address_function, set, arena, e))
        return error_prefix(
            e, "unable to parse template " STR_FMT ": template: %s:", STR_ARG(quoted), name);
    struct runner start = {
        .text = text, .name = STR(name), .set = set, .machine = machine, .arena = arena, .e = e};
    start.root = (struct template_value){
        .kind = TEMPLATE_LIST, .addresses = machine->addresses, .len = machine->len};
    return run(&start, out) ||
           error_prefix(e, "unable to execute sockaddr input " STR_FMT ": template: %s:",
                        STR_ARG(quoted), name);
}

bool template_render(struct str text, const char *name, const struct template_record *record,
                     struct str *out, struct arena *arena, struct error *e) {
    if (text.len > TEMPLATE_MAX_BYTES)
        return error_set(e, ERROR_INTERNAL, "template: %s: it is too long", name);
    struct template_set *set = ARENA_NEW(arena, struct template_set);
    if (!template_parse(text, name, NULL, set, arena, e))
        return error_prefix(e, "template: %s:", name);
    struct runner start = {
        .text = text, .name = str_from(name), .set = set, .arena = arena, .e = e};
    start.root = (struct template_value){.kind = TEMPLATE_RECORD, .record = record};
    return run(&start, out) || error_prefix(e, "template: %s:", name);
}

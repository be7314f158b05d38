/* Filters compiled against a shape, and run (agent.md 7.2). */
#include "schema/filter.h"

#include "base/mem.h"
#include "codec/number.h"
#include "schema/filter_ast.h"
#include "schema/plan.h"
#include "schema/regex.h"

/* One step of a selector: a field of a structure or a key of a map. */
struct step {
    const struct plan_field *field; /* NULL: a key */
    struct str key;
};

struct filter_match {
    struct step *steps;
    size_t len;
    struct regex *regex;
    int64_t integer;
    uint64_t uinteger;
    double number;
    bool boolean;
};

struct filter {
    const struct shape *shape;
    struct filter_node *root;
};

/* ---- compiling ---- */

struct compiler {
    const struct shape *shape;
    struct arena *arena;
    struct error *e;
};

static struct str path(struct compiler *c, const struct filter_selector *s, size_t parts) {
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < parts && i < s->len; i++) {
        if (i > 0) {
            buf_add_char(&b, '.');
        }
        buf_add_str(&b, s->parts[i]);
    }
    struct str joined = str_copy(c->arena, buf_str(&b));
    buf_free(&b);
    return joined;
}

static const struct plan_field *find_field(const struct shape *shape, struct str name) {
    const struct shape_plan *plan = shape_plan_of(shape);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_field *f = &plan->fields[i];
        enum kind kind = f->type->kind;
        bool hidden = f->flags & (FIELD_NO_FILTER | FIELD_NO_JSON) || kind == KIND_ANY ||
                      kind == KIND_TIME || kind == KIND_BYTES;
        if (!hidden && str_eq(f->json, name)) {
            return f;
        }
    }
    return NULL;
}

static bool is_record(const struct type *type) {
    return type->kind == KIND_STRUCT || type->kind == KIND_PTR;
}

/* Resolves the selector into steps; *type is what it ends at. */
static bool resolve(struct compiler *c, struct filter_node *node, const struct type **type) {
    const struct filter_selector *s = &node->selector;
    struct filter_match *m = node->compiled;
    struct type root = {KIND_STRUCT, c->shape, NULL};
    const struct type *at = &root;
    m->steps = ARENA_ARRAY(c->arena, struct step, s->len);
    for (size_t i = 0; i < s->len; i++) {
        if (at->kind == KIND_LIST && is_record(at->elem)) {
            at = at->elem;
        }
        const struct type *next = NULL;
        if (is_record(at)) {
            m->steps[i].field = find_field(at->shape, s->parts[i]);
            next = m->steps[i].field != NULL ? m->steps[i].field->type : NULL;
        } else if (at->kind == KIND_MAP) {
            m->steps[i].key = s->parts[i];
            next = at->elem;
        }
        if (next == NULL) {
            return error_set(c->e, ERROR_INTERNAL, "Selector " STR_FMT " is not valid",
                             STR_ARG(str_quote(c->arena, path(c, s, i + 1))));
        }
        at = next;
    }
    m->len = s->len;
    *type = at;
    return true;
}

static bool allows(const struct type *type, enum filter_op op) {
    switch (type->kind) {
    case KIND_STR:
        return op != FILTER_IS_EMPTY && op != FILTER_IS_NOT_EMPTY;
    case KIND_BOOL:
    case KIND_INT:
    case KIND_UINT:
    case KIND_DUR:
    case KIND_F64:
    case KIND_F32:
        return op == FILTER_EQUAL || op == FILTER_NOT_EQUAL;
    case KIND_MAP:
        return op == FILTER_IN || op == FILTER_NOT_IN || op == FILTER_IS_EMPTY ||
               op == FILTER_IS_NOT_EMPTY;
    case KIND_LIST:
        if (type->elem->kind == KIND_STR && (op == FILTER_IN || op == FILTER_NOT_IN)) {
            return true;
        }
        return op == FILTER_IS_EMPTY || op == FILTER_IS_NOT_EMPTY;
    default:
        return false;
    }
}

static const char *const op_names[] = {
    [FILTER_EQUAL] = "Equal",
    [FILTER_NOT_EQUAL] = "Not Equal",
    [FILTER_IN] = "In",
    [FILTER_NOT_IN] = "Not In",
    [FILTER_IS_EMPTY] = "Is Empty",
    [FILTER_IS_NOT_EMPTY] = "Is Not Empty",
    [FILTER_MATCHES] = "Matches",
    [FILTER_NOT_MATCHES] = "Not Matches",
};

static const char *coerce_int(struct filter_match *m, struct str s) {
    return number_parse_i64(s, &m->integer);
}

static const char *coerce_uint(struct filter_match *m, struct str s) {
    return number_parse_u64(s, &m->uinteger);
}

static const char *coerce_bool(struct filter_match *m, struct str s) {
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (str_is(s, yes[i]) || str_is(s, no[i])) {
            m->boolean = str_is(s, yes[i]);
            return NULL;
        }
    }
    return "invalid syntax";
}

static bool coerce(struct compiler *c, struct filter_node *node, const struct type *type) {
    struct filter_match *m = node->compiled;
    const char *wrong = NULL, *function = "ParseInt";
    switch (type->kind) {
    case KIND_INT:
    case KIND_DUR:
        wrong = coerce_int(m, node->value);
        break;
    case KIND_UINT:
        function = "ParseUint";
        wrong = coerce_uint(m, node->value);
        break;
    case KIND_BOOL:
        function = "ParseBool";
        wrong = coerce_bool(m, node->value);
        break;
    default:
        break;
    }
    if (wrong == NULL) {
        return true;
    }
    struct str value = str_quote(c->arena, node->value);
    return error_set(c->e, ERROR_INTERNAL,
                     "Failed to coerce value " STR_FMT " for selector " STR_FMT
                     ": strconv.%s: parsing " STR_FMT ": %s",
                     STR_ARG(value),
                     STR_ARG(str_quote(c->arena, path(c, &node->selector, node->selector.len))),
                     function, STR_ARG(value), wrong);
}

static bool compile_regex(struct compiler *c, struct filter_node *node) {
    node->compiled->regex = regex_compile(node->value, c->e);
    if (node->compiled->regex != NULL) {
        return true;
    }
    return error_prefix(c->e, "Failed to compile regular expression " STR_FMT ": ",
                        STR_ARG(str_quote(c->arena, node->value)));
}

static bool compile_match(struct compiler *c, struct filter_node *node) {
    const struct type *type = NULL;
    node->compiled = ARENA_NEW(c->arena, struct filter_match);
    if (!resolve(c, node, &type)) {
        return false;
    }
    if (!allows(type, node->op)) {
        return error_set(
            c->e, ERROR_INTERNAL, "Invalid match operator \"%s\" for selector " STR_FMT,
            op_names[node->op],
            STR_ARG(str_quote(c->arena, path(c, &node->selector, node->selector.len))));
    }
    if (node->op == FILTER_MATCHES || node->op == FILTER_NOT_MATCHES) {
        return compile_regex(c, node);
    }
    return coerce(c, node, type);
}

/* Chains lean to the right and are as long as the text allows; the rest is bounded by
 * FILTER_MAX_DEPTH. */
static bool compile_node(struct compiler *c, struct filter_node *node) {
    for (; node != NULL && node->kind != FILTER_MATCH; node = node->right) {
        if (!compile_node(c, node->left)) {
            return false;
        }
    }
    return node == NULL || compile_match(c, node);
}

static void free_node(struct filter_node *node) {
    for (; node != NULL && node->kind != FILTER_MATCH; node = node->right) {
        free_node(node->left);
    }
    if (node != NULL && node->compiled != NULL) {
        regex_free(node->compiled->regex);
    }
}

struct filter *filter_compile(struct str text, const struct shape *element, struct arena *arena,
                              struct error *e) {
    struct compiler c = {.shape = element, .arena = arena, .e = e};
    struct filter_node *root = filter_parse(text, arena, e);
    if (root == NULL) {
        return NULL;
    }
    if (!compile_node(&c, root)) {
        free_node(root);
        return NULL;
    }
    struct filter *filter = ARENA_NEW(arena, struct filter);
    filter->shape = element;
    filter->root = root;
    return filter;
}

void filter_free(struct filter *filter) {
    if (filter != NULL) {
        free_node(filter->root);
        filter->root = NULL;
    }
}

/* ---- running ---- */

static bool match_text(const struct filter_node *node, struct str s) {
    switch (node->op) {
    case FILTER_EQUAL:
        return str_eq(s, node->value);
    case FILTER_NOT_EQUAL:
        return !str_eq(s, node->value);
    case FILTER_IN:
        return str_find(s, node->value, 0) >= 0;
    case FILTER_NOT_IN:
        return str_find(s, node->value, 0) < 0;
    case FILTER_MATCHES:
        return regex_search(node->compiled->regex, s);
    case FILTER_NOT_MATCHES:
        return !regex_search(node->compiled->regex, s);
    default:
        return false;
    }
}

static bool match_list(const struct filter_node *node, const struct list *list) {
    switch (node->op) {
    case FILTER_IN:
        return str_list_has(list, node->value);
    case FILTER_NOT_IN:
        return !str_list_has(list, node->value);
    case FILTER_IS_EMPTY:
        return list->len == 0;
    default:
        return list->len != 0;
    }
}

static bool match_map(const struct filter_node *node, const struct list *map,
                      const struct type *elem) {
    bool has;
    switch (node->op) {
    case FILTER_IN:
    case FILTER_NOT_IN:
        has = map_pair_value(map, schema_pair_size(elem), node->value) != NULL;
        return has == (node->op == FILTER_IN);
    case FILTER_IS_EMPTY:
        return map->len == 0;
    default:
        return map->len != 0;
    }
}

/* The end of the selector; object NULL stands for a zero value. */
static bool match_leaf(const struct filter_node *node, const struct type *type,
                       const void *object) {
    static const struct list nothing;
    const struct filter_match *m = node->compiled;
    bool equal;
    switch (type->kind) {
    case KIND_STR:
        return match_text(node, object != NULL ? *(const struct str *)object : STR_NONE);
    case KIND_LIST:
        return match_list(node, object != NULL ? object : &nothing);
    case KIND_MAP:
        return match_map(node, object != NULL ? object : &nothing, type->elem);
    case KIND_BOOL:
        equal = (object != NULL && *(const bool *)object) == m->boolean;
        break;
    case KIND_UINT:
        equal = (object != NULL ? *(const uint64_t *)object : 0) == m->uinteger;
        break;
    default:
        equal = (object != NULL ? *(const int64_t *)object : 0) == m->integer;
        break;
    }
    return equal == (node->op == FILTER_EQUAL);
}

/* A key that the map lacks (agent.md 7.2; the peer's ways, also that matches holds). */
static bool match_missing(enum filter_op op) {
    return op != FILTER_EQUAL && op != FILTER_IN && op != FILTER_IS_NOT_EMPTY;
}

static bool match_from(const struct filter_node *node, size_t step, const struct type *type,
                       const void *object);

/* Subfields of a list of records: any element will do, whatever the operator. */
static bool match_any(const struct filter_node *node, size_t step, const struct type *type,
                      const struct list *list) {
    size_t size = schema_type_size(type->elem);
    for (uint32_t i = 0; list != NULL && i < list->len; i++) {
        if (match_from(node, step, type->elem, list_item(list, size, i))) {
            return true;
        }
    }
    return false;
}

static bool match_from(const struct filter_node *node, size_t step, const struct type *type,
                       const void *object) {
    if (step == node->compiled->len) {
        return match_leaf(node, type, object);
    }
    if (type->kind == KIND_LIST) {
        return match_any(node, step, type, object);
    }
    const struct step *s = &node->compiled->steps[step];
    if (type->kind == KIND_MAP) {
        const struct list *map = object;
        const void *value =
            map != NULL ? map_pair_value(map, schema_pair_size(type->elem), s->key) : NULL;
        return value != NULL ? match_from(node, step + 1, type->elem, value)
                             : match_missing(node->op);
    }
    if (type->kind == KIND_PTR && object != NULL) {
        object = *(void *const *)object;
    }
    return match_from(node, step + 1, s->field->type,
                      object != NULL ? member(object, s->field->offset) : NULL);
}

static bool match_node(const struct filter *f, const struct filter_node *node,
                       const void *element) {
    struct type root = {KIND_STRUCT, f->shape, NULL};
    while (node->kind == FILTER_OR || node->kind == FILTER_AND) {
        if (match_node(f, node->left, element) == (node->kind == FILTER_OR)) {
            return node->kind == FILTER_OR;
        }
        node = node->right;
    }
    return node->kind == FILTER_NOT ? !match_node(f, node->left, element)
                                    : match_from(node, 0, &root, element);
}

bool filter_match(const struct filter *filter, const void *element) {
    return match_node(filter, filter->root, element);
}
